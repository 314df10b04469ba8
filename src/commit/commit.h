/* commit/commit.h - every change goes through here, one batch at a time.
 *
 * The committer thread takes all waiting changes and carries them out together (design 3: group
 * commit). For a batch, in this order:
 *
 *   0 check      a change that drops sealed material has a tombstone for it, or is refused
 *   1 intent     changes that delete material: "about to erase" is in the audit, on disk
 *   2 commit     new slots on disk; then one store transaction; each change with its audit event; each
 *                may be refused alone
 *   3 publish    the directory shows the new records: the next request sees them
 *   4 audit      the events of the changes are in the audit files, on disk; if receipts follow, their
 *                sync does for both
 *   5 drain      wait until nobody holds an old record; for changes that delete material also until
 *                nobody holds it opened, and wipe it from memory
 *   6 erase      overwrite the slots, sync, read back; scrub the database file   (commit_erase:
 *   7 receipt    signed, in the audit, on disk                                    steps 5 to 7)
 *   8 answer     `done` of every change; a later transaction notes which erasures are done
 *
 * A crash at any step is finished by commit_recover() before the server listens.
 */
#pragma once

#include "audit/audit.h"
#include "identity/book.h"
#include "key/directory.h"
#include "store/store.h"
#include "vault/vault.h"

struct committer;

struct committer_parts {
    struct store         *store;
    struct audit         *audit;
    struct vault         *vault;
    struct directory     *directory;
    struct identity_book *identities;
    struct epoch         *epoch;
    struct clock         *clock;
    /* called on the committer thread after a key was published or removed (jobs: next expiry) */
    void (*changed)(void *ctx, const struct key_record *key);
    void (*import_key_added)(void *ctx, const struct import_key_record *key);
    void (*session_added)(void *ctx, const struct access_key_record *key);
    void *changed_ctx;
    /* there are so many new rows for the webhook, in the store; NULL: there is no webhook, and no row
     * is made */
    void (*deliveries_added)(void *ctx, size_t n);
    /* there is none any more: a reset. NULL if there is no webhook */
    void (*deliveries_cleared)(void *ctx);
    void  *deliveries_ctx;
    size_t cached_keys; /* at most so many are in the directory; 0: all */
};

/* A key that is wanted in memory, or a page. Of WANT_CHECK want.serial moves on, to 0 behind the last key. */
struct key_load {
    struct key_want  want;
    struct key_page *page; /* of WANT_PAGE: to be filled; the asker's */
    bool found; /* out: there is such a key. It and its relatives were in the directory then */
    enum kms_status status; /* out: KMS_E_INTERNAL if it cannot be read, KMS_E_MEMORY if not now */
    /* of WANT_CHECK: sees each key that is as we wrote it, in memory or not; on the committer's thread */
    void (*seen)(void *ctx, const struct key_record *key);
    void *ctx;
};

/* Times at which something may be due, of keys in the store (store_ops.each_due). */
struct due_load {
    struct due_range range;
    void (*visit)(void *ctx, const struct due_key *key); /* on the committer's thread */
    void *ctx;
};

/* Some of what the webhook is to be told, in order. */
enum { DELIVERY_PAGE = 64 };
struct delivery_page {
    uint64_t        after; /* serials above this one; set by who asks */
    struct delivery list[DELIVERY_PAGE];
    size_t          n;
    struct arena   *arena; /* for their texts; the asker's */
};

struct commit_job {
    struct commit_job *next;
    struct change      change;     /* the committer takes what it publishes out of it */
    bool               takes_away; /* takes rights away: may use the audit's emergency space */
    bool            says_erased;   /* the answer says that imported material of the key is erased */
    enum kms_status status;        /* result; KMS_E_CHANGED: run the request again */
    bool            stores_usage;  /* no change: what keys were last used for goes to the store */
    struct delivery_page *reads;   /* no change: to be filled from the store; NULL otherwise */
    /* no change, likewise; they do not wait for the changes of their batch */
    struct key_load *load;
    struct due_load *due;
    bool             durable;   /* the change is in the store, even if a later step (audit, erase)
                                         failed */
    bool             untouched; /* the store certainly does not have it. Neither of both: a failed
                                         transaction, whose fate the next start finds out */
    bool             unerased;  /* the committer's: an earlier erasure of this key has failed */
    struct kms_error error;
    void (*done)(struct commit_job *job); /* on the committer thread */
    void *arg;
    /* Not NULL: makes the change, on the committer's thread, just before it is committed. Nothing can
     * change between what it sees and the commit; it may look through directory and book without a
     * section. The job is alone in its batch. A change that begins with ROW_CLEAR is a reset: see
     * commit/reset.c. */
    enum kms_status (*fill)(struct commit_job *job, struct kms_error *reterr);
    const struct sealed *kept; /* of a reset: slots that the new records go on using */
    size_t               n_kept;
    uint64_t generation; /* commit_generation when it was begun; 0: it does not matter */
};

struct committer *committer_new(const struct committer_parts *parts);
/* Loads the store into the directory and finishes what a crash left undone: materials whose slot is
 * gone become missing, unfinished erasures are carried out, slots that no row names are erased,
 * events of the outbox that are not in the audit files are appended. Before the thread starts. */
struct commit_recovery {
    size_t keys, lost_materials, erased, orphans, outbox;
    size_t deliveries; /* the webhook has not been told so much */
};
KMS_MUST_CHECK enum kms_status commit_recover(struct committer *c, const struct audit_head *head,
                                              struct commit_recovery *ret,
                                              struct kms_error       *reterr);
KMS_MUST_CHECK enum kms_status committer_start(struct committer *c, struct kms_error *reterr);
/* How many resets there were, and one. What was begun before the last one is refused with KMS_E_CHANGED:
 * it saw records that are gone. Asked inside the epoch section in which the records are looked up. */
uint64_t commit_generation(const struct committer *c);
/* Hands a job over; any thread. The job belongs to the committer until `done`. */
void commit_submit(struct committer *c, struct commit_job *job);
/* Submits and waits (jobs, start-up, tools). `ret_untouched` (may be NULL) as in struct
 * commit_job. */
KMS_MUST_CHECK enum kms_status commit_wait(struct committer *c, struct change *change,
                                           bool takes_away, bool *ret_untouched,
                                           struct kms_error *reterr);
/* Submits `n` jobs together, so that they share batches, and waits until all are done. What became of each
 * is in it, and what is left of its change is the caller's to release. Sets `done` and `arg`. */
void commit_wait_all(struct committer *c, struct commit_job *const *jobs, size_t n);
/* Stores what keys were last used for, as far as it is not yet (key/last_use.h), and waits. On failure the
 * next call tries again. */
KMS_MUST_CHECK enum kms_status commit_usage(struct committer *c, struct kms_error *reterr);
/* Reads the next page, and waits. The store is the committer's, so this comes between two batches. */
KMS_MUST_CHECK enum kms_status commit_read_deliveries(struct committer     *c,
                                                      struct delivery_page *page,
                                                      struct kms_error     *reterr);
/* Loads what `n` members of the list want, each with its relatives, and waits. Fails if one cannot be read; the
 * others are loaded all the same. What became of each is in its `status`, in any case. */
KMS_MUST_CHECK enum kms_status commit_load_all(struct committer *c, struct key_load *list, size_t n,
                                               struct kms_error *reterr);
/* Visits what falls due, and waits. */
KMS_MUST_CHECK enum kms_status commit_read_due(struct committer *c, struct due_load *due,
                                               struct kms_error *reterr);
/* Finishes what is queued and ends the thread. */
void committer_stop(struct committer *c);
void committer_free(struct committer *c);

struct commit_counts {
    uint64_t batches, changes, conflicts, erasures, failures; /* failures: of erasing */
    uint64_t rotated_on_demand, rotated_automatic;            /* keys, each family once */
    uint64_t loads, load_failures, evictions;                 /* of keys */
    uint64_t unreadable; /* keys and pages that could not be read, and cannot yet; the first 64 */
};
/* Any thread. */
void commit_counts(struct committer *c, struct commit_counts *ret);
