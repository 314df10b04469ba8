/* jobs/jobs.h - what happens by itself: expiry of imported material and warnings of it, the end of
 * deletion windows, rotations by the calendar and delayed ones, the end of import tokens and of
 * sessions, idle opened material, storing what keys were last used for.
 *
 * One thread, a heap of due times. Correctness never depends on it (key_state_at and key_gone judge
 * at use); it makes erasing follow within a second.
 */
#pragma once

#include "commit/commit.h"
#include "key/expiring.h"
#include "key/warning.h"

struct jobs;

struct jobs_parts {
    struct directory      *directory;
    struct identity_book  *identities;
    struct vault          *vault;
    struct epoch          *epoch;
    struct clock          *clock;
    int64_t                rotation_delay; /* ms */
    int64_t                usage_flush;    /* ms; last uses of keys are stored that often */
    struct expiry_warnings warnings;
    struct expiring       *expiring; /* is told of every key; may be NULL */
};

struct jobs *jobs_new(const struct jobs_parts *parts);
/* The committer and the jobs know each other; whoever is made second is told here. */
void jobs_set_committer(struct jobs *j, struct committer *committer);
/* Puts every key's next event on the heap; after commit_recover. */
void jobs_load(struct jobs *j);
/* Does everything that is due now; before listening, so that after any downtime the first answer is
 * right and the erasing is done. Returns the number of things done. The committer must be
 * running. */
KMS_MUST_CHECK enum kms_status jobs_run_due(struct jobs *j, size_t *ret_done,
                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status jobs_start(struct jobs *j, struct kms_error *reterr);
/* For struct committer_parts. */
void jobs_key_changed(void *jobs, const struct key_record *key);
void jobs_import_key_added(void *jobs, const struct import_key_record *key);
void jobs_session_added(void *jobs, const struct access_key_record *key);
/* The clock was moved or confirmed: look again now. */
void jobs_wake(struct jobs *j);
/* Calls fn(arg, true) once, on the jobs thread, when nothing is due any more by the clock as it is then; what
 * was put off or failed does not count. After ten seconds fn(arg, false). There are no pauses until then. `w`
 * stays valid until the call, or until jobs_stop, which forgets it. */
struct jobs_waiter {
    struct jobs_waiter *next;
    int64_t             until_ms;
    void (*fn)(void *arg, bool all_done);
    void *arg;
};
void jobs_when_done(struct jobs *j, struct jobs_waiter *w);
/* Ends the thread; last uses of keys are stored before. The committer must be running. */
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j);

struct jobs_counts {
    uint64_t expired, deleted, warned, import_keys, sessions, timers;
    uint64_t rotated;           /* those that were asked for and had to wait (rotation-delay) */
    uint64_t rotated_automatic; /* those by the calendar */
    uint64_t put_off; /* times that something due was not erased because the time is in doubt */
    int64_t  next_due;
};
void jobs_counts(struct jobs *j, struct jobs_counts *ret);
