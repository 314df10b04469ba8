/* seed/stage.h - a seed as one change of the store; see stage.c. */
#pragma once

#include "identity/book.h"
#include "key/directory.h"
#include "seed/seed.h"
#include "store/store.h"
#include "vault/vault.h"

/* What is there before the seed; nobody changes it meanwhile. Members that are NULL: nothing. Without a
 * vault the keys get no material, and what comes of it is only good for finding out what is wrong. */
struct seed_world {
    struct identity_book *identities;
    struct directory     *directory;
    struct vault         *vault;
    bool (*serves)(const void *ctx, struct bytes region); /* NULL: any Region */
    const void *serves_ctx;
    int64_t     now;
    /* everything goes, and the seed begins from the state of a new development server. Sealed material
     * that the seed's keys have already stays in use. */
    bool fresh;
};

struct seed_plan {
    struct change  change; /* its event is the caller's */
    struct sealed *spare;  /* slots that were written: to be released if the change fails */
    size_t         n_spare;
    struct sealed *kept; /* slots of before that the change goes on using; n_kept of them */
    size_t         n_kept;
    /* What users have changed so that it is not as in the seed, and stays so: how much, and the place and
     * text of the first. */
    size_t n_left;
    char   left[512];
};
void seed_plan_release(struct seed_plan *p);

/* Fills *ret, which is empty but for its event's limit; the caller releases it, and on failure the spare
 * slots too. What is there with the same identity stays as it is, and a relative of it that is gone stays
 * away; KMS_E_VALIDATION with the line where the identity of something contradicts the seed, and for
 * whatever else an operation would refuse. `s` NULL (with `fresh`): nothing
 * but the new development server. */
KMS_MUST_CHECK enum kms_status seed_stage(struct seed *s, const struct seed_world *from,
                                          struct seed_plan *ret, struct kms_error *reterr);
/* What the vault was asked about the materials of `from`, which was read from the same text. */
void seed_recall(struct seed *s, const struct seed *from);
