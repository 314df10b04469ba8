/* jobs/jobs.c - the thread that serves what is due (see jobs.h).
 *
 * What is due together is handed to the committer together, JOBS_AT_ONCE at a time: syncs, barriers and
 * scrubs are shared, each change is still refused or fails alone. After a full load the thread pauses, so
 * that the requests of clients get their share of the cores and of the committer however much is due.
 */
#include "jobs/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/crypto.h"

enum {
    OVERDUE_MS = 1000,        /* how often waiting requests are looked at */
    CHECK_MS = 1000,          /* how often some keys that are cold are looked at */
    IDLE_SWEEP_MS = 5 * 1000, /* how often opened materials are looked at for idleness */
    RETRY_MS = 10 * 1000,     /* after a failure, or while the time is in doubt */
    WAITERS_MS = 10 * 1000,   /* then whoever waits for what is due is told that there is more */
    PAUSE_PART = 4,           /* of the time that a full load took: a pause follows it */
    NICENESS = 5,             /* of the thread: what it does can wait for an Encrypt */
};

struct jobs *jobs_new(const struct jobs_parts *parts)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->parts = *parts;
    j->tasks = calloc(JOBS_AT_ONCE, sizeof *j->tasks);
    j->reader = epoch_register(parts->epoch);
    j->taken = calloc(JOBS_AT_ONCE, sizeof *j->taken);
    j->later = calloc(JOBS_AT_ONCE, sizeof *j->later);
    j->loads = calloc(JOBS_AT_ONCE, sizeof *j->loads);
    if (j->tasks == NULL || j->taken == NULL || j->later == NULL || j->loads == NULL ||
        j->reader < 0) {
        free(j->tasks);
        free(j->taken);
        free(j->later);
        free(j->loads);
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
    free(j->tasks);
    free(j->taken);
    free(j->later);
    free(j->loads);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->wake);
    free(j);
}

/* --- one load of what is due ------------------------------------------------------------------ */

static const char *const what[] = {
    [DUE_KEY] = "key",
    [DUE_IMPORT_KEY] = "import token",
    [DUE_SESSION] = "session",
};

static void try_again_later(struct jobs *j, const struct due *d, bool in_doubt)
{
    struct due again = *d;

    again.when = clock_now(j->parts.clock) + RETRY_MS;
    due_push(j, &again);
    pthread_mutex_lock(&j->lock);
    j->counts.put_off += in_doubt;
    pthread_mutex_unlock(&j->lock);
}

static bool failed(const struct task *t)
{
    return t->status != KMS_OK && t->status != KMS_E_CHANGED && t->status != KMS_E_TIMEOUT &&
           !t->unread;
}

/* What was not done for `n` entries that shared a change comes again: at once if somebody was faster. */
static void put_back(struct jobs *j, const struct task *t, const struct due *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (t->status == KMS_E_CHANGED)
            due_push(j, &list[i]);
        else
            try_again_later(j, &list[i], t->status == KMS_E_TIMEOUT);
    }
}

static void begin(struct task *t, const struct due *d)
{
    memset(t, 0, sizeof *t);
    t->due = *d;
    t->things = 1;
}

/* All sessions of the list are one task. */
static size_t plan_all(struct jobs *j, const struct due *list, size_t n)
{
    if (list[0].kind == DUE_SESSION) {
        struct task *t = &j->tasks[0];
        begin(t, &list[0]);
        t->status = sessions_plan(j, t, list, n, &t->err);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        begin(&j->tasks[i], &list[i]);
    tasks_plan(j, j->tasks, n);
    return n;
}

static void commit_all(struct jobs *j, size_t n)
{
    struct commit_job *list[JOBS_AT_ONCE] = { NULL };
    size_t             m = 0;

    for (size_t i = 0; i < n; i++) {
        struct task *t = &j->tasks[i];
        if (t->status == KMS_OK && t->job.change.n_rows > 0)
            list[m++] = &t->job;
    }
    commit_wait_all(j->committer, list, m);
    for (size_t i = 0; i < n; i++) {
        struct task *t = &j->tasks[i];
        if (t->status != KMS_OK || t->job.change.n_rows == 0)
            continue;
        t->status = t->job.status;
        t->err = t->job.error;
    }
}

/* One line for all that failed: for one reason, as a rule. */
static enum kms_status report(const struct task *tasks, size_t n, struct kms_error *reterr)
{
    const struct task *first = NULL;
    size_t             more = 0;

    for (size_t i = 0; i < n; i++) {
        if (!failed(&tasks[i]))
            continue;
        more += first != NULL;
        first = first == NULL ? &tasks[i] : first;
    }
    if (first == NULL)
        return KMS_OK;
    log_error("jobs: %s %s: %s (and %zu more; tried again)", what[first->due.kind],
              first->due.key_id, first->err.detail, more);
    *reterr = first->err;
    return first->status;
}

/* Serves up to JOBS_AT_ONCE of the entries that are due. Returns how many there were, 0 for none; *ret_done
 * grows by those that came to an end. An error is the first of those that failed; that a key could not be read is
 * none. */
static enum kms_status serve(struct jobs *j, size_t *ret_n, size_t *ret_done,
                             struct kms_error *reterr)
{
    struct due *list = j->taken;
    size_t      n = due_take(j, list, JOBS_AT_ONCE);

    *ret_n = n;
    if (n == 0)
        return KMS_OK;
    size_t n_tasks = plan_all(j, list, n);
    commit_all(j, n_tasks);
    for (size_t i = 0; i < n_tasks; i++) {
        struct task *t = &j->tasks[i];
        size_t       entries = n_tasks == 1 ? n : 1;
        task_end(j, t);
        if (t->status == KMS_OK)
            *ret_done += entries;
        else
            put_back(j, t, &list[i], entries);
    }
    return report(j->tasks, n_tasks, reterr);
}

enum kms_status jobs_run_due(struct jobs *j, size_t *ret_done, struct kms_error *reterr)
{
    enum kms_status first = KMS_OK;
    size_t          n;

    *ret_done = 0;
    TRY(due_read(j, reterr));
    do {
        struct kms_error err;
        enum kms_status  status = serve(j, &n, ret_done, &err);
        if (first == KMS_OK && status != KMS_OK) {
            first = status;
            *reterr = err;
        }
    } while (n > 0);
    return first;
}

/* --- what does not come with a time ----------------------------------------------------------- */

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

/* --- who waits for what is due ---------------------------------------------------------------- */

void jobs_when_done(struct jobs *j, struct jobs_waiter *w)
{
    w->until_ms = clock_monotonic_ms() + WAITERS_MS;
    pthread_mutex_lock(&j->lock);
    w->next = j->waiters;
    j->waiters = w;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

/* Those that came before the last look at the heap, which found nothing (`all_done`); or who have waited
 * long enough. The others stay. */
static void tell_waiters(struct jobs_waiter **list, bool all_done)
{
    struct jobs_waiter **at = list;
    int64_t              now = clock_monotonic_ms();

    while (*at != NULL) {
        struct jobs_waiter *w = *at;
        if (!all_done && now < w->until_ms) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->fn(w->arg, all_done);
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

/* The thread's own. */
struct shift {
    struct jobs        *jobs;
    struct jobs_waiter *waiters; /* who waited before the present look at the heap */
    int64_t             next_sweep, next_flush, next_check; /* monotonic */
    struct key_load     check;                              /* how far that has come */
    size_t              n_seen;      /* keys of jobs->taken that the present check has found due */
    int64_t             pause_until; /* monotonic; 0: no pause */
};

/* Milliseconds to sleep: to the next due time, at most to the next look at what does not come with a time.
 * With the lock held. */
static int64_t nap(const struct shift *s)
{
    struct jobs *j = s->jobs;
    int64_t      wait = j->parts.usage_flush < OVERDUE_MS ? j->parts.usage_flush : OVERDUE_MS;
    int64_t      pause = s->pause_until - clock_monotonic_ms();

    if (s->waiters != NULL || j->waiters != NULL)
        return 0;
    if (j->n > 0) {
        int64_t left = j->heap[0].when - clock_now(j->parts.clock);
        if (left < wait)
            wait = left < 0 ? 0 : left;
    }
    return wait < pause ? pause : wait;
}

static void take_waiters(struct shift *s)
{
    struct jobs_waiter **end = &s->waiters;

    while (*end != NULL)
        end = &(*end)->next;
    *end = s->jobs->waiters;
    s->jobs->waiters = NULL;
}

/* One load, and the pause after it if there is more. */
static void work(struct shift *s)
{
    struct jobs     *j = s->jobs;
    struct kms_error err;
    size_t           done = 0, n = 0;
    int64_t          start = clock_monotonic_ms();

    if (due_read(j, &err) != KMS_OK)
        log_debug("jobs: %s is tried again", err.detail); /* likewise */
    if (serve(j, &n, &done, &err) != KMS_OK)
        log_debug("jobs: %s is tried again", err.detail); /* logged in full where it failed */
    int64_t end = clock_monotonic_ms();
    s->pause_until = n == JOBS_AT_ONCE ? end + (end - start) / PAUSE_PART : 0;
    tell_waiters(&s->waiters, n == 0 || !due_any(j));
}

/* On the committer's thread, while this one waits for it. */
static void note_seen(void *ctx, const struct key_record *key)
{
    struct shift *s = ctx;
    struct due    d = { .kind = DUE_KEY };

    if (s->n_seen == JOBS_AT_ONCE || !task_due(s->jobs, key))
        return;
    due_name(&d, key);
    for (size_t i = 0; i < s->n_seen; i++) {
        if (due_related(&s->jobs->taken[i], &d))
            return; /* with the next round: relatives share a change */
    }
    s->jobs->taken[s->n_seen++] = d;
}

/* Rows of keys in memory were verified when they were read; the others are, all in turn. What falls due is known
 * by indexes, which have no MAC: a row that is past its time is served here, and if that fails with the next
 * round. As a rule the heap was faster. */
static void check_cold(struct shift *s)
{
    struct jobs     *j = s->jobs;
    struct kms_error err;

    if (directory_lists_all(j->parts.directory))
        return;
    s->n_seen = 0;
    if (commit_load_all(j->committer, &s->check, 1, &err) != KMS_OK)
        log_debug("jobs: %s", err.detail); /* logged in full where it failed */
    if (s->n_seen == 0)
        return;
    size_t n = plan_all(j, j->taken, s->n_seen);
    commit_all(j, n);
    for (size_t i = 0; i < n; i++)
        task_end(j, &j->tasks[i]);
    if (report(j->tasks, n, &err) != KMS_OK)
        log_debug("jobs: %s is tried again", err.detail); /* logged in full already */
}

static void housekeeping(struct shift *s)
{
    struct jobs *j = s->jobs;

    vault_wake_overdue(j->parts.vault);
    if (clock_monotonic_ms() >= s->next_sweep) {
        sweep_idle(j);
        s->next_sweep = clock_monotonic_ms() + IDLE_SWEEP_MS;
    }
    if (clock_monotonic_ms() >= s->next_flush) {
        store_usage(j);
        s->next_flush = clock_monotonic_ms() + j->parts.usage_flush;
    }
    if (clock_monotonic_ms() >= s->next_check) {
        check_cold(s);
        s->next_check = clock_monotonic_ms() + CHECK_MS;
    }
}

static void *jobs_main(void *arg)
{
    struct jobs *j = arg;
    struct shift s = { .jobs = j,
                       .next_sweep = clock_monotonic_ms() + IDLE_SWEEP_MS,
                       .next_flush = clock_monotonic_ms() + j->parts.usage_flush,
                       .next_check = clock_monotonic_ms() + CHECK_MS,
                       .check = { .want = { .kind = WANT_CHECK }, .seen = note_seen } };

    s.check.ctx = &s;

    (void)pthread_setname_np(pthread_self(), "jobs");
    /* of this thread only, on Linux */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICENESS);
    pthread_mutex_lock(&j->lock);
    while (!j->stopping) {
        int64_t ms = nap(&s);
        if (ms > 0)
            clock_cond_wait(&j->wake, &j->lock, ms);
        take_waiters(&s);
        bool paused = s.waiters == NULL && clock_monotonic_ms() < s.pause_until;
        pthread_mutex_unlock(&j->lock);

        if (!paused)
            work(&s);
        housekeeping(&s);
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
