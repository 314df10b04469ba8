/* commit/internal.h - shared by the files of this folder: the committer and its steps. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "commit/commit.h"
#include "crypto/crypto.h"

enum { COMMIT_BATCH = 256 }; /* changes in one transaction: bounds how long the first one waits */

/* What could not be read (unreadable.c). */
enum {
    UNREADABLE_MAX = 64,
    COMMIT_LOOK = 64 /* keys looked at in a WANT_CHECK: a millisecond or two */
};
struct unreadable {
    struct key_want list[UNREADABLE_MAX];
    size_t          n;
    bool            due_fails;                          /* as does each_due */
    int64_t         shortage_said, more_said, due_said; /* monotonic; 0: never */
};

/* What has to be on the disk before the batch is committed (syncs.c). */
struct commit_syncs {
    bool             intents; /* were appended to the audit files */
    bool             begun;
    bool             running; /* the thread: until it is joined the rest is its own */
    pthread_t        thread;
    enum kms_status  status;
    struct kms_error error;
};

struct committer {
    struct committer_parts parts;
    pthread_mutex_t        lock; /* the queue */
    pthread_cond_t         wake;
    struct commit_job     *head, *tail;
    size_t                 n_queued;
    size_t                 wakes_at; /* the thread waits for so many */
    bool                   stopping;
    bool                   started;
    pthread_t              thread;

    /* the committer thread's own */
    size_t              last_batch;    /* so many jobs were in it */
    uint64_t            gather_ns;     /* how long it is worth waiting for as many again */
    unsigned            batches_alone; /* so many more wait for nobody */
    _Atomic uint64_t    generation;    /* resets, and one */
    uint64_t            last_outbox;   /* highest outbox serial committed */
    uint64_t            outbox_done;   /* up to here the events are in the audit files, on disk */
    struct commit_syncs syncs;
    bool      events_unsynced; /* of the batch: they are in the audit files, not yet on disk */
    bool      outbox_stuck;    /* an event could not be written: append from the outbox first */
    uint64_t *erased;          /* tombstones whose receipt is durable, to be marked */
    size_t    n_erased, cap_erased;
    struct tombstone *unerased; /* their erasure has failed: tried again before anybody is told
                                        that there is nothing left of the key                      */
    size_t            n_unerased;
    struct bytes     *events; /* of the batch, for one append */
    size_t            cap_events;
    struct unreadable unreadable;
    int64_t usage_failed; /* monotonic: uses could not be stored to make room; 0: they could */
    struct {
        _Atomic uint64_t batches, changes, conflicts, erasures, failures;
        _Atomic uint64_t rotated_on_demand, rotated_automatic;
        _Atomic uint64_t loads, load_failures, evictions, unreadable;
    } counts; /* as struct commit_counts, which other threads ask for */
};

/* One store transaction with the bookkeeping of outbox and slot generations. */
KMS_MUST_CHECK enum kms_status commit_apply(struct committer *c, struct change **changes,
                                            enum kms_status *results, size_t n,
                                            struct kms_error *reterr);
/* Adds what a change brings with it: a deleted key takes its import tokens along, and what the service
 * does to a key is told (caused.c). Only this thread may look through the directory for them. */
void commit_complete(struct committer *c, struct change *change);
/* caused.c: adds the events of the service that follow from a change's rows. */
void commit_add_caused(struct committer *c, struct change *change);
/* Counts the rotation if this record, which is about to be published, comes from one; once for a family. */
void commit_count_rotation(struct committer *c, const struct key_record *new);
/* buried.c: the first material of a published key whose sealed form the change drops without a tombstone;
 * NULL if there is none, as there should be. */
const struct key_material *commit_unburied(const struct directory *d, const struct change *change);
/* Makes such a job fail, and says so in the log. */
void commit_demand_tombstones(struct committer *c, struct commit_job *job);
/* Writes the number of the commit into the events of a change. */
void commit_number_events(struct change *change, uint64_t number);
/* The pages that jobs ask for (delivery_page). */
void commit_fill_pages(struct committer *c, struct commit_job **jobs, size_t n);
/* Says how many rows for the webhook a batch has brought. */
void commit_tell_webhook(struct committer *c, struct commit_job **jobs, size_t n);
/* Room for `n` entries in c->events. False when out of memory. */
KMS_MUST_CHECK bool commit_room_for_events(struct committer *c, size_t n);
/* Hands the rows of a committed change to the directory and the vault. */
void commit_publish(struct committer *c, struct change *change);
/* One transaction with all last uses that the store does not have; for the jobs that ask for it. */
void commit_store_usage(struct committer *c, struct commit_job **jobs, size_t n);
/* Likewise, now. */
KMS_MUST_CHECK enum kms_status commit_flush_usage(struct committer *c, struct kms_error *reterr);
/* load.c: brings a key that is not in the directory, with its relatives. What cannot be read is noted
 * (unreadable.c). */
KMS_MUST_CHECK enum kms_status commit_load(struct committer *c, struct key_load *load,
                                           struct kms_error *reterr);
/* Brings all keys, for a reset and a seed: their development server has few. */
KMS_MUST_CHECK enum kms_status commit_load_everything(struct committer *c,
                                                      struct kms_error *reterr);
/* unreadable.c: `want` could not be read, because of the rows of key `row` unless that is 0. */
void commit_note_unreadable(struct committer *c, const struct key_want *want, uint64_t row,
                            const struct kms_error *why);
/* Looks whether what could not be read can be now. */
void commit_read_again(struct committer *c);
/* What became of reading what falls due. */
void commit_note_due(struct committer *c, enum kms_status status, const struct kms_error *why);
/* Brings the keys that a change is about; a job whose keys cannot be read fails. */
void commit_bring(struct committer *c, struct commit_job *job);
/* Serves the jobs that only read, and says so to who waits for them. Returns how many are left, in front. */
size_t commit_serve_reads(struct committer *c, struct commit_job **jobs, size_t n);
/* Keeps the directory in its bounds. */
void commit_evict(struct committer *c);
/* Appends what waits in the outbox to the audit files; clears outbox_stuck when all of it went. */
void commit_drain_outbox(struct committer *c);

/* Its answer from now on, if it had not failed before. */
void commit_job_fails(struct commit_job *job, const struct kms_error *why);

/* syncs.c */
/* Begins to put on the disk the intents that were written and the slots that rows may name. */
void commit_syncs_begin(struct committer *c);
/* Waits for that, if it has been begun. For store_batch.ready: nothing is committed if it has failed. */
KMS_MUST_CHECK enum kms_status commit_syncs_end(void *committer, struct kms_error *reterr);
/* The batch's transactions are over, whatever became of them: nothing of it runs any more. */
void commit_syncs_over(struct committer *c);

/* erase.c */
/* "About to erase", of up to COMMIT_BATCH jobs that all take rights away, or all do not. Those whose intent
 * could not be written fail; the others' is on the disk before they are committed (syncs.c). */
void commit_write_intents(struct committer *c, struct commit_job **jobs, size_t n);
/* Drain, erase, scrub, receipt for every tombstone of the durable jobs. A job whose erasure failed
 * gets the error as its answer: the material is unusable already, the erasure is tried again at
 * start. */
void commit_erase(struct committer *c, struct commit_job **jobs, size_t n);
/* Marks a job whose answer would say "erased" while an erasure of the same key is outstanding: before the
 * rows are published. Then, after the batch's own erasures: tries again, and if it fails so does the job's
 * answer. A repeated deletion finds nothing to delete and must not succeed for that (trust-model 3.3). */
void commit_note_unerased(struct committer *c, struct commit_job *job);
void commit_erase_again(struct committer *c, struct commit_job **jobs, size_t n);
/* The same for tombstones found unfinished at start. */
KMS_MUST_CHECK enum kms_status commit_erase_tombstones(struct committer  *c,
                                                       struct tombstone **stones, size_t n,
                                                       struct kms_error *reterr);
/* reset.c: fills a job that has to be, and runs it alone. */
void commit_run_filled(struct committer *c, struct commit_job *job,
                       void (*run_batch)(struct committer *c, struct commit_job **jobs, size_t n));
/* Is it a reset? */
bool commit_clears(const struct change *change);
/* Takes everything out of memory that ROW_CLEAR took out of the store. Nobody is in an epoch section. */
void commit_clear(struct committer *c);
/* Adds to a change which tombstones are done. False if there are none, or no memory: not now. */
KMS_MUST_CHECK bool commit_add_marks(struct committer *c, struct change *change);
/* Records the same in a transaction of its own: when no other is about to take it along. */
void commit_mark_erased(struct committer *c);
