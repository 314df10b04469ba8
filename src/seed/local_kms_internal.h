/* seed/local_kms_internal.h - shared by local_kms.c and local_kms_key.c. */
#pragma once

#include "json/write.h"
#include "key/id.h"
#include "seed/local_kms.h"
#include "seed/yaml.h"

struct conversion {
    const char        *file;
    struct bytes       account, region;
    struct yaml_tree   tree;
    struct json_writer w;
    struct buf        *notes;
    size_t            *keys, *aliases; /* which node has become which element of the seed */
    size_t             n_keys, n_aliases;
    struct kms_error  *reterr;
};

/* Refuses what stands at a node. */
__attribute__((format(printf, 3, 4))) KMS_MUST_CHECK enum kms_status conversion_refuse(
    struct conversion *c, size_t node, const char *fmt, ...);
/* Notes that a node has been left out, and why. */
void conversion_leave_out(struct conversion *c, size_t node, const char *why);
/* It is a mapping, all of whose members are among `names` (NULL at the end). */
KMS_MUST_CHECK enum kms_status conversion_map(struct conversion *c, size_t node,
                                              const char *const *names);
/* A member that is text; empty if it is not there, which it may be unless `required` says what it is. */
KMS_MUST_CHECK enum kms_status conversion_text(struct conversion *c, size_t map, const char *name,
                                               const char *required, struct bytes *ret);
/* The key id in `ref`: itself, or that of an ARN of the account and Region. */
KMS_MUST_CHECK enum kms_status conversion_key_id(struct conversion *c, size_t node,
                                                 struct bytes ref, struct bytes *ret);

/* --- local_kms_key.c: one element of each list, written as a key ------------------------------- */

typedef enum kms_status convert_fn(struct conversion *c, size_t node);
convert_fn convert_aes, convert_hmac, convert_rsa, convert_ecc;
