/* seed/seed.h - what a development server starts with: accounts, identities, keys with fixed ids and
 * given material, aliases and grants, from one JSON file (trent-seed(5), docs/seeds.md).
 *
 * Members are named as the API names them, and what they may hold is checked by the rows of the
 * operations that make such things: there is no second set of rules. Reading is pure: no I/O, no
 * state. What depends on what is there already (who a policy names, whether an alias is taken) is
 * checked when the seed is staged, still before anything is written.
 *
 * Every error is one line "FILE:LINE: $.Keys[3].Material: what is wrong".
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "key/record.h"

struct seed;

enum { SEED_BYTES_MAX = 16 * 1024 * 1024 };

/* Reads the text of a seed; `file` is its name in errors. `check_material`: each is proved to be one of its
 * key's spec, which takes up to 0.1 s for an RSA key; without it only its encoding is looked at. Nothing
 * of *ret points into the text. KMS_E_VALIDATION with the line for whatever is wrong with the text. */
KMS_MUST_CHECK enum kms_status seed_read(const char *file, struct bytes text, bool check_material,
                                         struct seed **ret, struct kms_error *reterr);
void seed_free(struct seed *s); /* wipes what it holds of keys; NULL is fine */
void seed_freep(struct seed **s);
/* Reads the file `path` and the seed in it. */
KMS_MUST_CHECK enum kms_status seed_load(const char *path, bool check_material, struct seed **ret,
                                         struct kms_error *reterr);
/* May others than its owner read the file? */
bool seed_exposed(const char *path);
/* Wipes the key material and the text: what is left is good for seed_recall only. */
void seed_forget_plain(struct seed *s);
/* Would it work on a new development server? */
KMS_MUST_CHECK enum kms_status seed_check(struct seed *s, struct kms_error *reterr);
/* The same seed as JSON text, on one line and without comments: read again, it is the same seed. */
void seed_write(const struct seed *s, struct buf *out);

struct seed_counts {
    size_t accounts, identities, access_keys, keys, replicas, aliases, grants;
};
struct seed_counts seed_counts(const struct seed *s);
