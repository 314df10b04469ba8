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
    /* a key that may be cold is noted here, and then the outcome does not count; NULL: nobody asks */
    struct key_wants *wants;
};

/* directory_key, noting a key that may be cold. */
const struct key_record *resolve_name(const struct directory *d, struct bytes account,
                                      struct bytes region, struct bytes key_id,
                                      struct key_wants *wants);

/* The key that `text` names. Refusals: InvalidArnException for an alias where none is taken
 * (decided on the text alone), NotFoundException in its recorded spellings. Inside an epoch
 * section; *ret is valid until it ends. */
KMS_MUST_CHECK enum kms_status resolve_key(const struct resolve_from *from, struct bytes text,
                                           const struct key_record **ret, struct kms_error *reterr);
/* The key that holds the material named in a ciphertext, NULL if there is none in this Region. */
const struct key_record *resolve_material(const struct resolve_from *from,
                                          const struct material_id  *id);
