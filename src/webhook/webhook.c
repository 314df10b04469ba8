/* webhook/webhook.c - the thread that delivers events; see webhook.h.
 *
 * It reads the store page by page, from a cursor on, through the committer, which alone may. What was
 * taken is deleted before the next page is read, so nothing is sent twice while the process lives.
 * When the time of a held key has come the cursor goes back to the beginning: the key's first event is
 * the first of it that is found.
 */
#include "webhook/webhook.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "fetch/fetch.h"
#include "webhook/internal.h"

struct webhook {
    struct webhook_config config;
    struct committer     *committer;
    struct clock         *clock;
    pthread_mutex_t       lock;
    pthread_cond_t        wake;
    _Atomic bool          stop;
    bool                  started;
    pthread_t             thread;

    /* under the lock */
    struct secret        *secret;
    bool                  news;      /* events were added since the end was reached */
    bool                  hurry;     /* try at once */
    bool                  cleared;   /* the thread is to forget what it holds */
    struct webhook_counts counts;    /* without the times */
    int64_t               oldest_at; /* 0: nothing waits, as far as is known */
    int64_t               next_try;  /* of everything, monotonic; 0: at once */

    /* the thread's own */
    struct fetch_poster *poster;
    struct delivery_page page;
    struct holds         holds;
    uint64_t             cursor; /* behind this serial nothing was looked at */
    bool                 at_end;
    bool                 from_start;           /* the cursor was set back */
    uint64_t             taken[DELIVERY_PAGE]; /* and still in the store */
    size_t               n_taken;
    unsigned             failures; /* of everything, in a row */
};

/* --- making one ------------------------------------------------------------------------------- */

static enum kms_status check(const struct webhook_config *c, struct kms_error *reterr)
{
    struct kms_error err;

    if (fetch_check_url(c->url, c->dev ? FETCH_HTTP_ANYWHERE : FETCH_HTTP_HERE, &err) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "webhook-url: %s", err.detail);
    if (c->ca_file == NULL)
        return KMS_OK;
    CLEANUP(buf_release) struct buf pem = BUF_INIT(4 << 20);
    if (file_read(c->ca_file, &pem, &err) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "webhook-ca-file: %s", err.detail);
    return KMS_OK;
}

enum kms_status webhook_new(const struct webhook_config *config, struct webhook **ret,
                            struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;

    TRY(check(config, reterr));
    TRY(webhook_secret_read(config->secret_file, &secret, reterr));
    TRY(fetch_init(reterr));
    struct webhook *w = calloc(1, sizeof *w);
    if (w == NULL || (w->poster = fetch_poster_new()) == NULL) {
        free(w);
        fetch_cleanup();
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the webhook");
    }
    w->config = *config;
    w->secret = TAKE(secret);
    (void)pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->wake);
    *ret = w;
    return KMS_OK;
}

void webhook_free(struct webhook *w)
{
    if (w == NULL)
        return;
    fetch_poster_free(w->poster);
    arena_free(w->page.arena);
    secret_free(w->secret);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
    fetch_cleanup();
}

void webhook_added(void *webhook, size_t n)
{
    struct webhook *w = webhook;

    pthread_mutex_lock(&w->lock);
    w->counts.waiting += n;
    w->news = true;
    (void)pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void webhook_cleared(void *webhook)
{
    struct webhook *w = webhook;

    pthread_mutex_lock(&w->lock);
    w->cleared = true;
    w->counts.waiting = 0;
    w->oldest_at = 0;
    (void)pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

enum kms_status webhook_reload(struct webhook *w, struct kms_error *reterr)
{
    struct secret *fresh = NULL;

    TRY(webhook_secret_read(w->config.secret_file, &fresh, reterr));
    pthread_mutex_lock(&w->lock);
    struct secret *old = w->secret;
    w->secret = fresh;
    w->hurry = true;
    (void)pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    secret_free(old);
    return KMS_OK;
}

void webhook_counts(struct webhook *w, struct webhook_counts *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->counts;
    bool    any = w->oldest_at != 0 && w->counts.waiting > 0;
    int64_t age = any ? clock_now(w->clock) - w->oldest_at : 0;
    int64_t left = w->next_try != 0 ? w->next_try - clock_monotonic_ms() : 0;
    pthread_mutex_unlock(&w->lock);
    ret->oldest_ms = age > 0 ? age : 0;
    ret->retry_ms = left > 0 ? left : 0;
}

/* --- sending one ------------------------------------------------------------------------------ */

static uint64_t chance(void)
{
    uint64_t n;

    crypto_random((uint8_t *)&n, sizeof n);
    return n;
}

/* *ret_why: what to tell the operator when it was not taken. */
static enum verdict send_one(struct webhook *w, const struct delivery *d, struct kms_error *ret_why)
{
    const struct fetch_request rq = { w->config.url, w->config.ca_file,
                                      w->config.dev ? FETCH_HTTP_ANYWHERE : FETCH_HTTP_HERE,
                                      &w->stop };
    struct webhook_headers     headers = { 0 };
    long                       status = 0;

    pthread_mutex_lock(&w->lock);
    webhook_sign(w->secret, d, clock_wall_ms() / 1000, &headers);
    pthread_mutex_unlock(&w->lock);
    if (fetch_post(w->poster, &rq, headers.list, d->body, &status, ret_why) != KMS_OK)
        return VERDICT_DOWN;
    enum verdict verdict = verdict_of(status);
    if (verdict != VERDICT_TAKEN)
        (void)KMS_FAIL(ret_why, KMS_E_INTERNAL, "the answer has status %ld%s", status,
                       status >= 300 && status < 400
                           ? ", and redirects are not followed: name their aim in webhook-url"
                           : "");
    return verdict;
}

static void everything_waits(struct webhook *w, const struct kms_error *why)
{
    int64_t wait = retry_after_ms(++w->failures, chance());

    pthread_mutex_lock(&w->lock);
    w->counts.failed++;
    w->next_try = clock_monotonic_ms() + wait;
    unsigned long long waiting = w->counts.waiting;
    bool               said = atomic_load(&w->stop) || w->cleared;
    pthread_mutex_unlock(&w->lock);
    if (!said)
        log_warning("webhook: %s; %llu events wait, tried again in %lld s, or at once after SIGHUP",
                    why->detail, waiting, (long long)(wait + 999) / 1000);
}

/* False if too many keys wait by themselves: then everything does. */
static bool key_waits(struct webhook *w, const struct delivery *d, const struct kms_error *why)
{
    const struct hold *hold = hold_key(&w->holds, d, clock_monotonic_ms(), chance());

    if (hold == NULL) {
        everything_waits(w, why);
        return false;
    }
    pthread_mutex_lock(&w->lock);
    w->counts.failed++;
    pthread_mutex_unlock(&w->lock);
    log_warning("webhook: event %s: %s; the events of %s wait, those of other keys do not", d->id,
                why->detail, hold->key_arn);
    return true;
}

static void was_taken(struct webhook *w, const struct delivery *d)
{
    if (w->failures > 0)
        log_info("webhook: events are taken again");
    w->failures = 0;
    hold_end(&w->holds, d->key_arn);
    w->taken[w->n_taken++] = d->serial;
    pthread_mutex_lock(&w->lock);
    w->counts.delivered++;
    w->counts.waiting -= w->counts.waiting > 0 && !w->cleared;
    pthread_mutex_unlock(&w->lock);
}

/* --- a page of them --------------------------------------------------------------------------- */

/* True once the store does not have any more what was taken. */
static bool note_taken(struct webhook *w)
{
    CLEANUP(change_release) struct change change = { 0 };
    struct kms_error                      err;

    if (w->n_taken == 0)
        return true;
    for (size_t i = 0; i < w->n_taken; i++)
        change_add(&change, ROW_DELIVERY_DELETE)->delivery = w->taken[i];
    if (commit_wait(w->committer, &change, false, NULL, &err) != KMS_OK) {
        log_warning("webhook: %zu events were taken, which could not be noted: %s; a restart would "
                    "send them again",
                    w->n_taken, err.detail);
        return false;
    }
    w->n_taken = 0;
    return true;
}

/* The oldest of those that wait: the next one, or one that is held. */
static void note_oldest(struct webhook *w, int64_t next)
{
    int64_t oldest = next;

    for (size_t i = 0; i < w->holds.n; i++) {
        if (oldest == 0 || w->holds.list[i].at < oldest)
            oldest = w->holds.list[i].at;
    }
    pthread_mutex_lock(&w->lock);
    w->oldest_at = w->cleared ? 0 : oldest;
    pthread_mutex_unlock(&w->lock);
}

static bool is_cleared(struct webhook *w)
{
    pthread_mutex_lock(&w->lock);
    bool cleared = w->cleared;
    pthread_mutex_unlock(&w->lock);
    return cleared;
}

/* False if everything waits from here on. */
static bool send_next(struct webhook *w, const struct delivery *d)
{
    struct hold     *hold = hold_of(&w->holds, d->key_arn);
    struct kms_error why;

    note_oldest(w, d->at);
    if (hold != NULL)
        hold->seen = true;
    if (hold != NULL && hold->next_try > clock_monotonic_ms())
        return true;
    switch (send_one(w, d, &why)) {
    case VERDICT_TAKEN:   was_taken(w, d); return true;
    case VERDICT_REFUSED: return key_waits(w, d, &why);
    case VERDICT_DOWN:    break;
    }
    everything_waits(w, &why);
    return false;
}

static void send_page(struct webhook *w)
{
    for (size_t i = 0; i < w->page.n && !atomic_load(&w->stop) && !is_cleared(w); i++) {
        if (!send_next(w, &w->page.list[i]))
            return;
        w->cursor = w->page.list[i].serial;
    }
}

static bool read_page(struct webhook *w)
{
    struct kms_error err;

    arena_free(w->page.arena);
    w->page.arena = arena_new(16 * 1024);
    w->page.after = w->cursor;
    w->page.n = 0;
    if (w->page.arena != NULL && commit_read_deliveries(w->committer, &w->page, &err) == KMS_OK)
        return true;
    log_error("webhook: what is to be told cannot be read: %s",
              w->page.arena == NULL ? "out of memory" : err.detail);
    return false;
}

/* Nothing is behind the cursor. */
static void reached_end(struct webhook *w)
{
    w->at_end = true;
    if (w->from_start)
        holds_drop_unseen(&w->holds); /* their events are gone */
    w->from_start = false;
    note_oldest(w, 0);
    pthread_mutex_lock(&w->lock);
    if (!w->news && w->holds.n == 0)
        w->counts.waiting = 0; /* also if somebody else has emptied the table */
    pthread_mutex_unlock(&w->lock);
}

static void go_on(struct webhook *w)
{
    if (holds_next(&w->holds) <= clock_monotonic_ms()) {
        w->cursor = 0;
        w->at_end = false;
        w->from_start = true;
        holds_unsee(&w->holds);
    }
    if (!note_taken(w) || !read_page(w)) {
        pthread_mutex_lock(&w->lock);
        w->next_try = clock_monotonic_ms() + RETRY_FIRST_MS;
        pthread_mutex_unlock(&w->lock);
        return;
    }
    if (w->page.n == 0)
        reached_end(w);
    else
        send_page(w);
    (void)note_taken(w); /* or before the next page */
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Nothing of what the thread knows is in the store any more; with the lock. */
static void forget(struct webhook *w)
{
    w->cleared = false;
    w->holds.n = w->n_taken = w->page.n = 0;
    w->failures = 0;
    w->cursor = 0;
    w->from_start = false;
    w->at_end = false;
    w->next_try = 0;
}

/* Milliseconds until there is something to do; with the lock. */
static int64_t pause(struct webhook *w)
{
    int64_t now = clock_monotonic_ms();

    if (w->cleared)
        forget(w);
    if (w->hurry) {
        w->hurry = false;
        w->next_try = 0;
        holds_hurry(&w->holds, now);
    }
    if (w->next_try > now)
        return w->next_try - now;
    w->next_try = 0;
    if (w->news || !w->at_end || w->n_taken > 0) {
        w->news = false;
        w->at_end = false;
        return 0;
    }
    int64_t next = holds_next(&w->holds);
    return next == INT64_MAX ? RETRY_LONGEST_MS : next - now;
}

static void *deliver(void *arg)
{
    struct webhook *w = arg;

    (void)pthread_setname_np(pthread_self(), "webhook");
    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&w->stop)) {
        int64_t wait = pause(w);
        if (wait > 0) {
            clock_cond_wait(&w->wake, &w->lock, wait);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        go_on(w);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    (void)note_taken(w);
    crypto_thread_cleanup();
    return NULL;
}

enum kms_status webhook_start(struct webhook *w, struct committer *committer, struct clock *clock,
                              size_t waiting, struct kms_error *reterr)
{
    w->committer = committer;
    w->clock = clock;
    pthread_mutex_lock(&w->lock);
    w->counts.waiting += waiting;
    pthread_mutex_unlock(&w->lock);
    if (pthread_create(&w->thread, NULL, deliver, w) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start the thread of the webhook");
    w->started = true;
    return KMS_OK;
}

void webhook_stop(struct webhook *w)
{
    if (w == NULL || !w->started)
        return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stop, true);
    (void)pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    w->started = false;
}
