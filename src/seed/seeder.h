/* seed/seeder.h - the seed of a running development server: put in at start, and gone back to.
 *
 * Both are one change of the committer: all of it or nothing, also when the process dies.
 */
#pragma once

#include "commit/commit.h"
#include "seed/seed.h"

struct seeder;

struct seeder_parts {
    const char           *file; /* NULL: none, and a reset leads to a new development server */
    struct committer     *committer;
    struct identity_book *identities;
    struct directory     *directory;
    struct vault         *vault;
    struct clock         *clock;
    bool (*serves)(const void *ctx, struct bytes region);
    const void *serves_ctx;
};

/* NULL when out of memory. */
struct seeder *seeder_new(const struct seeder_parts *parts);
void seeder_free(struct seeder *s); /* NULL is fine; no reset is under way */

/* Reads the file and makes what is not there yet; waits. *ret_rows: how many records that were. The
 * committer runs, and so does the vault (for RSA keys that are generated). KMS_E_VALIDATION with file and
 * line: then nothing was changed. */
KMS_MUST_CHECK enum kms_status seeder_apply(struct seeder *s, size_t *ret_rows, bool *ret_exposed,
                                            struct kms_error *reterr);

/* Everything goes, and the file - as it is now - is put in again. Returns at once; `done` is called on the
 * committer's thread, with KMS_E_VALIDATION if the file is wrong: then nothing was changed. One at a
 * time. */
struct seeder_outcome {
    enum kms_status  status;
    struct kms_error error;
    int64_t          microseconds; /* on the committer's thread */
};
void seeder_reset(struct seeder *s, void (*done)(const struct seeder_outcome *o, void *arg),
                  void          *arg);
