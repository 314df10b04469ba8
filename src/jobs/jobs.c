/* jobs/jobs.c - the heap of due times and the thread that serves it (see jobs.h). */
#include "jobs/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "crypto/crypto.h"

enum {
    OVERDUE_MS = 1000,                /* how often waiting requests are looked at */
    IDLE_SWEEP_MS = 5 * 1000,         /* how often opened materials are looked at for idleness */
    RETRY_MS = 10 * 1000,             /* after a failure, or while the time is in doubt */
    SESSION_KEPT_MS = 15 * 60 * 1000, /* after its end */
    HEAP_SLACK = 256, /* entries beyond twice the needed ones, before the heap is tidied */
};

struct jobs *jobs_new(const struct jobs_parts *parts)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->parts = *parts;
    j->tidy_at = HEAP_SLACK;
    j->reader = epoch_register(parts->epoch);
    if (j->reader < 0) {
        free(j);
        return NULL;
    }
    pthread_mutex_init(&j->lock, NULL);
    clock_cond_init(&j->wake);
    return j;
}

void jobs_set_committer(struct jobs *j, struct committer *committer)
{
    j->committer = committer;
}

void jobs_free(struct jobs *j)
{
    if (j == NULL)
        return;
    free(j->heap);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->wake);
    free(j);
}

/* --- the heap: earliest first; entries are hints, the record decides -------------------------- */

static void heap_swap(struct due *a, struct due *b)
{
    struct due t = *a;

    *a = *b;
    *b = t;
}

static void heap_push(struct jobs *j, const struct due *d)
{
    if (j->n == j->cap) {
        size_t      cap = j->cap == 0 ? 256 : j->cap * 2;
        struct due *more = realloc(j->heap, cap * sizeof *more);
        if (more == NULL) {
            log_error("jobs: no memory for a timer; its key is looked at after the next restart");
            return;
        }
        j->heap = more;
        j->cap = cap;
    }
    size_t at = j->n++;
    j->heap[at] = *d;
    while (at > 0 && j->heap[at].when < j->heap[(at - 1) / 2].when) {
        heap_swap(&j->heap[at], &j->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct due heap_pop(struct jobs *j)
{
    struct due top = j->heap[0];

    j->heap[0] = j->heap[--j->n];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < j->n && j->heap[child].when < j->heap[least].when)
                least = child;
        }
        if (least == at)
            return top;
        heap_swap(&j->heap[at], &j->heap[least]);
        at = least;
    }
}

static void push(struct jobs *j, const struct due *d)
{
    pthread_mutex_lock(&j->lock);
    bool first = j->n == 0 || d->when < j->heap[0].when;
    heap_push(j, d);
    if (first)
        pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

static void name_copy(char *to, size_t size, struct bytes from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;

    memcpy(to, from.ptr, n);
    to[n] = '\0';
}

static void add_key(struct jobs *j, const struct key_record *key)
{
    struct due d = { .when = key_next_event(key, j->parts.rotation_delay) };
    int64_t    warning = key_next_warning(key, &j->parts.warnings);

    if (warning < d.when)
        d.when = warning;
    if (d.when == INT64_MAX)
        return;
    name_copy(d.account, sizeof d.account, key->name.account);
    name_copy(d.region, sizeof d.region, key->name.region);
    name_copy(d.key_id, sizeof d.key_id, key->name.id);
    push(j, &d);
}

static void add_import_key(struct jobs *j, const struct import_key_record *key)
{
    struct due d = { .when = key->valid_to, .kind = DUE_IMPORT_KEY };

    memcpy(d.import_key, key->id, sizeof d.import_key);
    push(j, &d);
}

/* Its access key says for a while that it has ended; then it is one that nobody knows. */
static void add_session(struct jobs *j, const struct access_key_record *key)
{
    struct due d = { .when = key->session.expires + SESSION_KEPT_MS, .kind = DUE_SESSION };

    if (key->session.kind == SESSION_NONE)
        return;
    name_copy(d.key_id, sizeof d.key_id, key->id);
    push(j, &d);
}

static void load_key(const struct key_record *key, void *ctx)
{
    add_key(ctx, key);
}

static void load_import_key(const struct import_key_record *key, void *ctx)
{
    add_import_key(ctx, key);
}

static void load_session(const struct access_key_record *key, void *ctx)
{
    add_session(ctx, key);
}

void jobs_load(struct jobs *j)
{
    book_each_access_key(j->parts.identities, load_session, j);
    directory_each_key(j->parts.directory, load_key, j);
    directory_each_import_key(j->parts.directory, load_import_key, j);
    pthread_mutex_lock(&j->lock);
    j->tidy_at = 2 * j->n + HEAP_SLACK;
    pthread_mutex_unlock(&j->lock);
}

/* Every change of a key adds an entry, and those before it stay until their time: a year, it may be. When
 * they are most of the heap it is made anew from the records. On the committer's thread, which alone may
 * walk the directory; what the jobs thread puts back meanwhile is at worst there twice. */
static void tidy(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    bool many = j->n > j->tidy_at;
    if (many)
        j->n = 0;
    pthread_mutex_unlock(&j->lock);
    if (many)
        jobs_load(j);
}

void jobs_key_changed(void *jobs, const struct key_record *key)
{
    add_key(jobs, key);
    tidy(jobs);
}

void jobs_import_key_added(void *jobs, const struct import_key_record *key)
{
    add_import_key(jobs, key);
    tidy(jobs);
}

void jobs_session_added(void *jobs, const struct access_key_record *key)
{
    add_session(jobs, key);
    tidy(jobs);
}

/* --- serving it ------------------------------------------------------------------------------- */

/* The earliest entry if it is due; false otherwise. */
static bool pop_due(struct jobs *j, struct due *ret)
{
    int64_t now = clock_now(j->parts.clock);

    pthread_mutex_lock(&j->lock);
    bool due = j->n > 0 && j->heap[0].when <= now;
    if (due)
        *ret = heap_pop(j);
    pthread_mutex_unlock(&j->lock);
    return due;
}

static void try_again_later(struct jobs *j, const struct due *list, size_t n, bool in_doubt)
{
    for (size_t i = 0; i < n; i++) {
        struct due d = list[i];
        d.when = clock_now(j->parts.clock) + RETRY_MS;
        push(j, &d);
    }
    pthread_mutex_lock(&j->lock);
    j->counts.put_off += in_doubt ? n : 0;
    pthread_mutex_unlock(&j->lock);
}

/* Sessions that are due besides the first: they end in droves, and share one change. */
static size_t pop_sessions(struct jobs *j, struct due list[SESSIONS_AT_ONCE])
{
    int64_t now = clock_now(j->parts.clock);
    size_t  n = 1;

    pthread_mutex_lock(&j->lock);
    while (n < SESSIONS_AT_ONCE && j->n > 0 && j->heap[0].when <= now &&
           j->heap[0].kind == DUE_SESSION)
        list[n++] = heap_pop(j);
    pthread_mutex_unlock(&j->lock);
    return n;
}

static enum kms_status run_one(struct jobs *j, struct due list[SESSIONS_AT_ONCE], size_t *ret_n,
                               struct kms_error *reterr)
{
    *ret_n = 1;
    switch (list[0].kind) {
    case DUE_KEY:        return job_key(j, list, reterr);
    case DUE_IMPORT_KEY: return job_import_key(j, list, reterr);
    case DUE_SESSION:    break;
    }
    *ret_n = pop_sessions(j, list);
    return job_sessions(j, list, *ret_n, reterr);
}

enum kms_status jobs_run_due(struct jobs *j, size_t *ret_done, struct kms_error *reterr)
{
    static const char *const what[] = { "key", "import token", "session" };
    struct due               list[SESSIONS_AT_ONCE];
    struct kms_error         err;
    enum kms_status          first = KMS_OK;

    *ret_done = 0;
    while (pop_due(j, list)) {
        size_t          n = 0;
        enum kms_status status = run_one(j, list, &n, &err);
        if (status == KMS_OK) {
            *ret_done += n;
            continue;
        }
        if (status == KMS_E_CHANGED) {
            for (size_t i = 0; i < n; i++)
                push(j, &list[i]); /* somebody was faster: look again */
            continue;
        }
        try_again_later(j, list, n, status == KMS_E_TIMEOUT);
        if (status != KMS_E_TIMEOUT)
            log_error("jobs: %s %s: %s", what[list[0].kind], list[0].key_id, err.detail);
        if (first == KMS_OK && status != KMS_E_TIMEOUT) {
            first = status;
            *reterr = err;
        }
    }
    return first;
}

static void sweep_idle(struct jobs *j)
{
    if (vault_forget_idle(j->parts.vault) == 0)
        return;
    epoch_barrier(j->parts.epoch);
    vault_reclaim(j->parts.vault);
}

static void store_usage(struct jobs *j)
{
    struct kms_error err;

    bool used = directory_has_used(j->parts.directory) || book_has_used(j->parts.identities);

    if (used && commit_usage(j->committer, &err) != KMS_OK)
        log_error("jobs: last uses of keys were not stored, this is tried again: %s", err.detail);
}

/* Milliseconds to sleep: to the next due time, at most to the next look at what does not come with a time. */
static int64_t nap(struct jobs *j)
{
    int64_t wait = j->parts.usage_flush < OVERDUE_MS ? j->parts.usage_flush : OVERDUE_MS;

    if (j->n > 0) {
        int64_t left = j->heap[0].when - clock_now(j->parts.clock);
        if (left < wait)
            wait = left < 1 ? 1 : left;
    }
    return wait;
}

static void *jobs_main(void *arg)
{
    struct jobs *j = arg;
    int64_t      next_sweep = clock_monotonic_ms() + IDLE_SWEEP_MS;
    int64_t      next_flush = clock_monotonic_ms() + j->parts.usage_flush;

    pthread_mutex_lock(&j->lock);
    while (!j->stopping) {
        clock_cond_wait(&j->wake, &j->lock, nap(j));
        pthread_mutex_unlock(&j->lock);

        size_t           done;
        struct kms_error err;
        if (jobs_run_due(j, &done, &err) != KMS_OK)
            log_debug("jobs: %s is tried again", err.detail); /* logged in full where it failed */
        vault_wake_overdue(j->parts.vault);
        if (clock_monotonic_ms() >= next_sweep) {
            sweep_idle(j);
            next_sweep = clock_monotonic_ms() + IDLE_SWEEP_MS;
        }
        if (clock_monotonic_ms() >= next_flush) {
            store_usage(j);
            next_flush = clock_monotonic_ms() + j->parts.usage_flush;
        }
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    store_usage(j);
    crypto_thread_cleanup();
    return NULL;
}

enum kms_status jobs_start(struct jobs *j, struct kms_error *reterr)
{
    if (pthread_create(&j->thread, NULL, jobs_main, j) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start the jobs thread");
    j->started = true;
    return KMS_OK;
}

void jobs_wake(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

void jobs_stop(struct jobs *j)
{
    if (j == NULL || !j->started)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    j->started = false;
}

void jobs_counts(struct jobs *j, struct jobs_counts *ret)
{
    pthread_mutex_lock(&j->lock);
    *ret = j->counts;
    ret->next_due = j->n > 0 ? j->heap[0].when : 0;
    ret->timers = j->n;
    pthread_mutex_unlock(&j->lock);
}
