/* key/resolve.h - from what a KeyId member says to a key record, with the recorded texts
 * (kms-behaviour 3.2, 4.2, 4.3).
 */
#pragma once

#include "key/directory.h"
#include "key/state.h"

struct resolve_from {
    const struct directory *directory;
    struct bytes account; /* of the caller: bare ids and alias names are looked up there */
    struct bytes region;  /* of the request */
    int64_t      now;     /* keys past their deletion window do not exist */
    bool         aliases; /* alias names and alias ARNs are accepted */
};

/* The key that `text` names. Refusals: InvalidArnException for an alias where none is taken
 * (decided on the text alone), NotFoundException in its recorded spellings. Inside an epoch
 * section; *ret is valid until it ends. */
KMS_MUST_CHECK enum kms_status resolve_key(const struct resolve_from *from, struct bytes text,
                                           const struct key_record **ret, struct kms_error *reterr);
/* The key that holds the material named in a ciphertext, NULL if there is none in this Region. */
const struct key_record *resolve_material(const struct resolve_from *from,
                                          const struct material_id  *id);
