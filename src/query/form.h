/* query/form.h - the parameters of a Query request: a form (application/x-www-form-urlencoded) of
 * names and values, in which lists and structures are spelled out in the names:
 * "Tags.member.1.Key=team&Tags.member.1.Value=blue".
 *
 * One form, one reading: a name may occur once, what is percent-encoded must be so correctly, and names
 * and values are text that XML could carry back. Lists are numbered from 1 without gaps.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"

struct form_param {
    struct bytes name;
    struct bytes value; /* never NULL; may be empty */
};

struct form {
    struct form_param *params; /* sorted by name; owned by the form */
    size_t             n;
    struct bytes       action, version; /* the two that every request has; ptr NULL: absent */
};

/* Is this the Content-Type of a form? Parameters, such as a charset, are left out of account: what
 * is in the form must be UTF-8. */
bool form_content_type(struct bytes value);

/* Reads a form, decoding it in place: the views of *ret lie in `body`, which is not the same
 * afterwards, whatever comes of it. At most LIMIT_FORM_PARAMS parameters: nothing else is allocated
 * than their list. KMS_E_SERIALIZATION for what is no form or could be read two ways. */
KMS_MUST_CHECK enum kms_status form_parse(uint8_t *body, size_t len, struct form *ret,
                                          struct kms_error *reterr);
void form_release(struct form *f); /* fine on a zeroed form; for CLEANUP too */

/* The value of a parameter; ptr NULL if there is none of this name, which has at most LIMIT_FORM_NAME
 * bytes. */
struct bytes form_get(const struct form *f, struct bytes name);
struct bytes form_get_str(const struct form *f, const char *name);

/* How many elements the list `name` has ("Tags": "Tags.member.1..." and so on). An absent list, and
 * "Tags=", which is how clients write an empty one, have none. KMS_E_VALIDATION for more than `max`
 * elements (at most LIMIT_LIST_ITEMS), and for numbers that are not 1, 2, 3 ... */
KMS_MUST_CHECK enum kms_status form_list(const struct form *f, struct bytes name, size_t max,
                                         size_t *ret, struct kms_error *reterr);
/* Value of element `i` (from 1) of a list, or of one of its members: "Tags.member.1.Key". `field` is
 * NULL for lists of strings. ptr NULL if it is absent. */
struct bytes form_element(const struct form *f, struct bytes list, size_t i, const char *field);

/* The name "LIST.member.I.FIELD", for lists within lists. */
struct form_name {
    char   text[LIMIT_FORM_NAME + 1];
    size_t len;
};
struct form_name form_name(struct bytes list, size_t i, const char *field);
