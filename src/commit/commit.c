/* commit/commit.c - the committer thread: the queue, and the steps of a batch (see commit.h). */
#include "commit/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/log.h"

enum {
    QUIET_MS = 20,
    GATHER_SHARE = 4, /* waiting for more jobs may cost this part of what a batch takes */
    GATHER_NS_MAX = 2 * 1000 * 1000,
    BATCHES_ALONE = 8, /* that wait for nobody, after one that has waited in vain */
};

struct committer *committer_new(const struct committer_parts *parts)
{
    struct committer *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->parts = *parts;
    pthread_mutex_init(&c->lock, NULL);
    clock_cond_init(&c->wake);
    atomic_init(&c->generation, 1);
    return c;
}

void committer_free(struct committer *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->wake);
    free(c->erased);
    free(c->unerased);
    free(c->events);
    free(c);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool erases(const struct commit_job *job)
{
    for (size_t i = 0; i < job->change.n_rows; i++) {
        if (job->change.rows[i].kind == ROW_TOMBSTONE_INSERT)
            return true;
    }
    return false;
}

/* Others only want something written or read between two batches. */
static bool is_change(const struct commit_job *job)
{
    return !job->stores_usage && job->reads == NULL;
}

void commit_job_fails(struct commit_job *job, const struct kms_error *why)
{
    if (job->status != KMS_OK)
        return;
    job->error = *why;
    job->status = why->status;
}

/* Step 1. What could not be audited is not begun, unless it takes rights away. Only changes that erase
 * announce themselves; that goes to the disk while the transaction is put together (syncs.c). */
static void step_intent(struct committer *c, struct commit_job **jobs, size_t n)
{
    struct commit_job *in[COMMIT_BATCH];
    bool               healthy = audit_healthy(c->parts.audit);

    for (size_t i = 0; i < n && !healthy; i++) {
        if (!jobs[i]->takes_away && is_change(jobs[i]))
            jobs[i]->status = KMS_FAIL(&jobs[i]->error, KMS_E_INTERNAL,
                                       "the audit cannot be written");
    }
    for (int takes_away = 0; takes_away < 2; takes_away++) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            if (jobs[i]->status == KMS_OK && erases(jobs[i]) && jobs[i]->takes_away == takes_away)
                in[m++] = jobs[i];
        }
        commit_write_intents(c, in, m);
    }
}

/* One transaction. False if none of it is in the store for certain. What earlier batches have erased is
 * marked along the way: nobody waits for that, and it costs no sync of its own. */
static bool apply_jobs(struct committer *c, struct commit_job **in, size_t m)
{
    CLEANUP(change_release) struct change marks = { .event = BUF_INIT(0) };
    struct change                        *changes[COMMIT_BATCH + 1];
    enum kms_status                       results[COMMIT_BATCH + 1];
    struct kms_error                      err;
    bool marked = in[0]->fill == NULL && commit_add_marks(c, &marks); /* a reset is alone */

    for (size_t i = 0; i < m; i++) {
        results[i] = KMS_OK;
        in[i]->untouched = false;
        changes[i] = &in[i]->change;
    }
    changes[m] = &marks;
    results[m] = KMS_OK;
    enum kms_status status = commit_apply(c, changes, results, m + (marked ? 1 : 0), &err);
    if (marked && status == KMS_OK && results[m] == KMS_OK)
        c->n_erased = 0;
    for (size_t i = 0; i < m; i++) {
        if (status != KMS_OK) {
            commit_job_fails(in[i], &err);
        } else if (results[i] != KMS_OK) {
            in[i]->untouched = true;
            in[i]->status = KMS_FAIL(&in[i]->error, results[i], "the store refused the change");
            c->counts.conflicts += results[i] == KMS_E_CHANGED;
        }
    }
    return status == KMS_OK;
}

/* On a full disk the audit's emergency space lets those changes through that take rights away. */
static void apply_again(struct committer *c, struct commit_job **in, size_t m)
{
    size_t n = 0;

    for (size_t i = 0; i < m; i++) {
        if (in[i]->takes_away)
            in[n++] = in[i];
    }
    if (n == 0 || !audit_give_reserve(c->parts.audit))
        return;
    for (size_t i = 0; i < n; i++) {
        in[i]->status = KMS_OK;
        kms_error_clear(&in[i]->error);
    }
    (void)apply_jobs(c, in, n);
}

/* Step 2. Jobs that have failed already stay out of the transaction. Rows name slots: those are on disk
 * first, as the intents are. */
static void step_commit(struct committer *c, struct commit_job **jobs, size_t n)
{
    struct commit_job *in[COMMIT_BATCH];
    size_t             m = 0;
    uint64_t           number = c->parts.store->meta.commit + 1;

    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->status != KMS_OK || !is_change(jobs[i]))
            continue;
        commit_number_events(&jobs[i]->change, number);
        in[m++] = jobs[i];
    }
    if (m == 0)
        return;
    commit_syncs_begin(c);
    if (!apply_jobs(c, in, m))
        apply_again(c, in, m);
    commit_syncs_over(c);
    CRASH_POINT("commit-durable");
}

/* Step 3. */
static void step_publish(struct committer *c, struct commit_job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->status == KMS_OK)
            commit_publish(c, &jobs[i]->change);
    }
    CRASH_POINT("commit-published");
}

/* The audit records of a batch, in order. False when out of memory. */
static bool gather_events(struct committer *c, struct commit_job **jobs, size_t n, size_t *ret_n,
                          bool *ret_reserve)
{
    *ret_n = 0;
    *ret_reserve = true;
    for (size_t i = 0; i < n; i++) {
        const struct change *change = &jobs[i]->change;
        if (jobs[i]->status != KMS_OK)
            continue;
        if (!commit_room_for_events(c, *ret_n + 1 + change->n_caused))
            return false;
        if (change->event.len > 0)
            c->events[(*ret_n)++] = buf_bytes(&change->event);
        for (size_t k = 0; k < change->n_caused; k++)
            c->events[(*ret_n)++] = buf_bytes(&change->caused[k].event);
        if (change->event.len > 0 || change->n_caused > 0)
            *ret_reserve = *ret_reserve && jobs[i]->takes_away;
    }
    return true;
}

/* The events of the batch stay in the outbox. */
static void audit_failed_for(struct committer *c, struct commit_job **jobs, size_t n,
                             const struct kms_error *why)
{
    log_error("audit: events of commit %llu wait in the outbox: %s",
              (unsigned long long)c->parts.store->meta.commit, why->detail);
    c->outbox_stuck = true;
    for (size_t i = 0; i < n; i++)
        commit_job_fails(jobs[i], why);
}

/* Step 4. On disk at once, unless receipts are to follow in the same file: their sync comes before the
 * answers and takes these along. */
static void step_audit(struct committer *c, struct commit_job **jobs, size_t n, bool receipts)
{
    size_t           m = 0;
    bool             reserve = true;
    struct kms_error err;

    enum kms_status status = gather_events(c, jobs, n, &m, &reserve)
                                 ? KMS_OK
                                 : KMS_FAIL(&err, KMS_E_INTERNAL, "out of memory");
    if (status == KMS_OK && m > 0)
        status = audit_append(c->parts.audit, c->events, m, !receipts, reserve, &err);
    if (status != KMS_OK)
        audit_failed_for(c, jobs, n, &err);
    c->events_unsynced = receipts && status == KMS_OK && m > 0;
    CRASH_POINT("commit-audited");
}

/* The outbox keeps the events until they are on disk in the audit files. They are not if the receipts were
 * not written after all. */
static void step_synced(struct committer *c, struct commit_job **jobs, size_t n, uint64_t outbox)
{
    struct kms_error err;

    if (c->events_unsynced && audit_sync(c->parts.audit, &err) != KMS_OK)
        audit_failed_for(c, jobs, n, &err);
    c->events_unsynced = false;
    if (!c->outbox_stuck)
        c->outbox_done = outbox;
}

/* What was begun before a reset has seen records that are gone: it runs again. */
static void refuse_stale(const struct committer *c, struct commit_job *job)
{
    if (job->generation == 0 || job->generation == commit_generation(c) || job->status != KMS_OK)
        return;
    job->untouched = true;
    job->status = KMS_FAIL(&job->error, KMS_E_CHANGED, "begun before a reset");
}

static void run_batch(struct committer *c, struct commit_job **jobs, size_t n)
{
    bool any_erasure = false;

    for (size_t i = 0; i < n; i++)
        refuse_stale(c, jobs[i]);
    if (c->outbox_stuck)
        commit_drain_outbox(c);
    for (size_t i = 0; i < n; i++) {
        commit_bring(c, jobs[i]);
        commit_complete(c, &jobs[i]->change);
        any_erasure = any_erasure || erases(jobs[i]);
    }

    for (size_t i = 0; i < n; i++) {
        commit_demand_tombstones(c, jobs[i]);
        commit_note_unerased(c, jobs[i]);
    }

    step_intent(c, jobs, n);
    step_commit(c, jobs, n);
    for (size_t i = 0; i < n; i++)
        /* before audit can turn the answer into an error */
        jobs[i]->durable = jobs[i]->status == KMS_OK;
    step_publish(c, jobs, n);
    uint64_t mark = epoch_mark(
        c->parts.epoch); /* who still looks goes on while the disk is waited for */
    step_audit(c, jobs, n, any_erasure);

    epoch_wait(c->parts.epoch, mark); /* 5 drain: nobody holds an old record any more */
    if (any_erasure)
        commit_erase(c, jobs, n); /* 5 to 7 */
    commit_erase_again(c, jobs, n);
    step_synced(c, jobs, n, c->last_outbox);
    directory_reclaim(c->parts.directory);
    book_reclaim(c->parts.identities);
    commit_store_usage(c, jobs,
                       n); /* last: keys that this batch has removed have no uses any more */
    commit_tell_webhook(c, jobs, n);
    commit_fill_pages(c, jobs, n);
    c->counts.batches++;
    for (size_t i = 0; i < n; i++)
        c->counts.changes += is_change(jobs[i]);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* With the lock held; gives it up. Erasures that nobody's transaction has marked get one when it is quiet:
 * clients that have their answers come back sooner. */
static void wait_for_jobs(struct committer *c)
{
    c->wakes_at = 1;
    if (c->n_erased > 0)
        clock_cond_wait(&c->wake, &c->lock, QUIET_MS);
    while (c->head == NULL && !c->stopping) {
        if (c->n_erased > 0) {
            pthread_mutex_unlock(&c->lock);
            commit_mark_erased(c);
            pthread_mutex_lock(&c->lock);
        }
        if (c->head == NULL && !c->stopping)
            pthread_cond_wait(&c->wake, &c->lock);
    }
}

/* With the lock held. What is only read costs no sync, and waits for none. */
static bool reads_first(const struct committer *c)
{
    return c->head != NULL && (c->head->load != NULL || c->head->due != NULL);
}

/* With the lock held; gives it up. Clients that have just been answered come back in a moment. With those who
 * have come meanwhile they make one batch of what would be two that take turns, each with all the syncs. */
static void gather(struct committer *c, size_t expected)
{
    size_t   early = c->n_queued;
    uint64_t now = clock_monotonic_ns();
    uint64_t until = now + c->gather_ns;

    if (expected <= early || c->batches_alone > 0) {
        c->batches_alone -= c->batches_alone > 0;
        return;
    }
    c->wakes_at = expected;
    while (c->n_queued < expected && now < until && !c->stopping && !reads_first(c)) {
        clock_cond_wait_ns(&c->wake, &c->lock, (int64_t)(until - now));
        now = clock_monotonic_ns();
    }
    if ((c->n_queued - early) * 2 < expected - early) /* these do not come back */
        c->batches_alone = BATCHES_ALONE;
}

/* With the lock held. */
static size_t dequeue(struct committer *c, struct commit_job **jobs)
{
    size_t n = 0;

    while (c->head != NULL && n < COMMIT_BATCH &&
           !(n > 0 && (jobs[0]->fill != NULL || c->head->fill != NULL))) {
        jobs[n] = c->head;
        c->head = c->head->next;
        jobs[n++]->next = NULL;
    }
    if (c->head == NULL)
        c->tail = NULL;
    c->n_queued -= n;
    return n;
}

static size_t take_batch(struct committer *c, struct commit_job **jobs)
{
    pthread_mutex_lock(&c->lock);
    size_t expected = c->n_queued + c->last_batch;
    if (c->head == NULL && !c->stopping)
        wait_for_jobs(c);
    gather(c, expected < COMMIT_BATCH ? expected : COMMIT_BATCH);
    size_t n = dequeue(c, jobs);
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* How long the next batch may be waited for. */
static void note_duration(struct committer *c, uint64_t began_ns)
{
    uint64_t share = (clock_monotonic_ns() - began_ns) / GATHER_SHARE;

    c->gather_ns = share < GATHER_NS_MAX ? share : GATHER_NS_MAX;
}

static void *committer_main(void *arg)
{
    struct committer  *c = arg;
    struct commit_job *jobs[COMMIT_BATCH];

    (void)pthread_setname_np(pthread_self(), "committer");
    for (size_t n = take_batch(c, jobs); n > 0; n = take_batch(c, jobs)) {
        if (jobs[0]->fill != NULL) { /* alone */
            commit_run_filled(c, jobs[0], run_batch);
            commit_evict(c);
            c->last_batch = 1;
            continue;
        }
        uint64_t began = clock_monotonic_ns();
        size_t   m = commit_serve_reads(c, jobs, n);
        if (m > 0) {
            run_batch(c, jobs, m);
            for (size_t i = 0; i < m; i++)
                jobs[i]->done(jobs[i]);
            c->last_batch = m;
            note_duration(c, began);
        }
        commit_evict(c);
    }
    commit_mark_erased(c);
    crypto_thread_cleanup();
    return NULL;
}

enum kms_status committer_start(struct committer *c, struct kms_error *reterr)
{
    if (pthread_create(&c->thread, NULL, committer_main, c) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start the committer thread");
    c->started = true;
    return KMS_OK;
}

void committer_stop(struct committer *c)
{
    if (c == NULL || !c->started)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->started = false;
}

/* Appends a chain of jobs: nobody else's come between them. */
static void enqueue(struct committer *c, struct commit_job *first, struct commit_job *last,
                    size_t n)
{
    pthread_mutex_lock(&c->lock);
    if (c->tail != NULL)
        c->tail->next = first;
    else
        c->head = first;
    c->tail = last;
    c->n_queued += n;
    if (c->n_queued >= c->wakes_at || reads_first(c))
        pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void begin(struct commit_job *job)
{
    job->next = NULL;
    job->status = KMS_OK;
    job->durable = job->unerased = false;
    job->untouched = true;
    kms_error_clear(&job->error);
}

void commit_submit(struct committer *c, struct commit_job *job)
{
    begin(job);
    enqueue(c, job, job, 1);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    size_t          left; /* jobs that are not done */
};

static void waiter_done(struct commit_job *job)
{
    struct waiter *w = job->arg;

    pthread_mutex_lock(&w->lock);
    if (--w->left == 0)
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void commit_wait_all(struct committer *c, struct commit_job *const *jobs, size_t n)
{
    struct waiter w = { .left = n };

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        begin(jobs[i]);
        jobs[i]->done = waiter_done;
        jobs[i]->arg = &w;
        if (i > 0)
            jobs[i - 1]->next = jobs[i];
    }
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    enqueue(c, jobs[0], jobs[n - 1], n);

    pthread_mutex_lock(&w.lock);
    while (w.left > 0)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.wake);
}

static enum kms_status wait_for(struct committer *c, struct commit_job *job,
                                struct kms_error *reterr)
{
    commit_wait_all(c, &job, 1);
    if (job->status != KMS_OK && reterr != NULL)
        *reterr = job->error;
    return job->status;
}

enum kms_status commit_wait(struct committer *c, struct change *change, bool takes_away,
                            bool *ret_untouched, struct kms_error *reterr)
{
    struct commit_job job = { .change = *change, .takes_away = takes_away };

    *change = (struct change){ 0 };
    enum kms_status status = wait_for(c, &job, reterr);
    change_release(&job.change);
    if (ret_untouched != NULL)
        *ret_untouched = job.untouched;
    return status;
}

enum kms_status commit_usage(struct committer *c, struct kms_error *reterr)
{
    struct commit_job job = { .stores_usage = true };

    return wait_for(c, &job, reterr);
}

enum kms_status commit_read_deliveries(struct committer *c, struct delivery_page *page,
                                       struct kms_error *reterr)
{
    struct commit_job job = { .reads = page };

    return wait_for(c, &job, reterr);
}

enum kms_status commit_load_all(struct committer *c, struct key_load *list, size_t n,
                                struct kms_error *reterr)
{
    struct commit_job  *jobs = calloc(n, sizeof *jobs);
    struct commit_job **each = calloc(n, sizeof *each);
    enum kms_status     status = KMS_OK;

    if (n > 0 && (jobs == NULL || each == NULL))
        status = KMS_FAIL(reterr, KMS_E_MEMORY, "no memory to load %zu keys", n);
    for (size_t i = 0; i < n; i++)
        list[i].status = status;
    for (size_t i = 0; status == KMS_OK && i < n; i++) {
        jobs[i].load = &list[i];
        each[i] = &jobs[i];
    }
    if (status == KMS_OK)
        commit_wait_all(c, each, n);
    for (size_t i = 0; status == KMS_OK && i < n; i++) {
        status = jobs[i].status;
        if (status != KMS_OK)
            *reterr = jobs[i].error;
    }
    free(jobs);
    free(each);
    return status;
}

enum kms_status commit_read_due(struct committer *c, struct due_load *due, struct kms_error *reterr)
{
    struct commit_job job = { .due = due };

    return wait_for(c, &job, reterr);
}

void commit_counts(struct committer *c, struct commit_counts *ret)
{
    *ret = (struct commit_counts){
        .batches = atomic_load(&c->counts.batches),
        .changes = atomic_load(&c->counts.changes),
        .conflicts = atomic_load(&c->counts.conflicts),
        .erasures = atomic_load(&c->counts.erasures),
        .failures = atomic_load(&c->counts.failures),
        .rotated_on_demand = atomic_load(&c->counts.rotated_on_demand),
        .rotated_automatic = atomic_load(&c->counts.rotated_automatic),
        .loads = atomic_load(&c->counts.loads),
        .load_failures = atomic_load(&c->counts.load_failures),
        .evictions = atomic_load(&c->counts.evictions),
        .unreadable = atomic_load(&c->counts.unreadable),
    };
}
