/* jobs/internal.h - shared by the files of this folder. */
#pragma once

#include <pthread.h>

#include "jobs/jobs.h"
#include "key/state.h"

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
    struct jobs_parts  parts;
    struct committer  *committer;
    int                reader;
    pthread_mutex_t    lock;
    pthread_cond_t     wake;
    struct due        *heap;
    size_t             n, cap;
    size_t             tidy_at; /* tidied when it has more entries than this */
    bool               stopping, started;
    pthread_t          thread;
    struct jobs_counts counts; /* under lock */
};

/* What is due for one key; KMS_OK also if nothing is any more. KMS_E_CHANGED: look again.
 * KMS_E_TIMEOUT: the time is in doubt, nothing is erased now (trust-model 2.8). */
KMS_MUST_CHECK enum kms_status job_key(struct jobs *j, const struct due *d,
                                       struct kms_error *reterr);
/* The access keys of sessions that have ended are removed, up to SESSIONS_AT_ONCE in one change. `list`
 * has `n` of them; those that are gone already are left out. */
enum { SESSIONS_AT_ONCE = 64 };
KMS_MUST_CHECK enum kms_status job_sessions(struct jobs *j, const struct due *list, size_t n,
                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status job_import_key(struct jobs *j, const struct due *d,
                                              struct kms_error *reterr);
