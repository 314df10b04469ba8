/* jobs/internal.h - shared by the files of this folder. */
#pragma once

#include <pthread.h>

#include "jobs/jobs.h"
#include "key/family.h"

enum due_kind { DUE_KEY, DUE_IMPORT_KEY, DUE_SESSION };

/* One hint: look at this key (or import key, or session) at this time. */
struct due {
    int64_t       when;
    enum due_kind kind;
    uint8_t       import_key[16];
    char          account[ACCOUNT_LEN + 1];
    char          region[REGION_MAX + 1];
    char          key_id[KEY_ID_MAX + 1]; /* of a session its access key id */
};

struct jobs {
    struct jobs_parts parts;
    struct committer *committer;
    int               reader;
    pthread_mutex_t   lock; /* everything below but what is said to be a thread's own */
    pthread_cond_t    wake;
    struct due       *heap;
    size_t            n, cap;
    size_t            tidy_at; /* tidied when it has more entries than this */
    bool              stopping, started;
    /* of keys that are cold: what is due until then is in the heap; 0: nothing of it */
    int64_t             window_until;
    uint64_t            window_round; /* +1 when it is to be read anew */
    pthread_t           thread;
    struct jobs_waiter *waiters;
    struct jobs_counts  counts;
    /* JOBS_AT_ONCE of each; of the thread that serves what is due */
    struct task     *tasks;
    struct due      *taken, *later;
    struct key_load *loads;
};

/* --- due.c: the heap, earliest first; entries are hints, the record decides ----------------------- */

void due_push(struct jobs *j, const struct due *d);
/* The earliest entry if it is due, and so are as many more as `ret` has room for: keys and import keys,
 * each key id once (its relatives share its change), or sessions. Returns how many. */
size_t due_take(struct jobs *j, struct due *ret, size_t max);
/* Is anything due? */
bool due_any(struct jobs *j);
/* An entry that names this key. */
void due_name(struct due *ret, const struct key_record *key);
/* Does it name this key, or a relative? */
bool due_related(const struct due *a, const struct due *b);
/* While keys are cold: has the committer say what is due of them soon, if that is not known. On the thread
 * that serves what is due. */
KMS_MUST_CHECK enum kms_status due_read(struct jobs *j, struct kms_error *reterr);

/* --- work.c: what a due time means ------------------------------------------------------------------ */

enum {
    JOBS_AT_ONCE = 192
}; /* three quarters of what one transaction takes: the rest is for clients */

enum work {
    WORK_NOTHING,
    WORK_DELETE,
    WORK_EXPIRE,
    WORK_ROTATE,           /* asked for, with rotation-delay */
    WORK_ROTATE_AUTOMATIC, /* by the calendar */
    WORK_WARN,
    WORK_IMPORT_KEY,
    WORK_SESSIONS,
    WORK_COUNT
};

/* One change: what is due for one key and its relatives, one import key, or a number of sessions. */
struct task {
    struct due        due;
    enum work         work;
    struct key_family family;             /* those that are not in the change yet */
    int64_t           now;                /* when it was looked at */
    uint64_t          version;            /* of the named record, as it is now */
    struct sealed     spares[FAMILY_MAX]; /* slots written for materials of the change */
    size_t            n_spares;
    size_t            things; /* how many it does; n of `sessions` */
    struct commit_job job;
    enum kms_status   status;
    struct kms_error  err;
    bool              absent; /* the store has no such key any more */
    bool              unread; /* its key could not be read: the committer has said why */
};

/* Looks at the records and fills in the changes: no rows if nothing is due any more. Their status is
 * KMS_E_TIMEOUT where the time is in doubt, and it is not done now (trust-model 2.8). At most JOBS_AT_ONCE. */
void tasks_plan(struct jobs *j, struct task *tasks, size_t n);
/* Is there anything to be done for this key now, certain or not? */
bool task_due(const struct jobs *j, const struct key_record *key);
/* After the commit, or without one: counts, gives slots back that nobody names, frees. */
void task_end(struct jobs *j, struct task *t);

/* sessions.c: the access keys of sessions that have ended are removed, all `n` of `list` in one change; those
 * that are gone already are left out. */
KMS_MUST_CHECK enum kms_status sessions_plan(struct jobs *j, struct task *t, const struct due *list,
                                             size_t n, struct kms_error *reterr);
