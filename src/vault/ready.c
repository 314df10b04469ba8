/* vault/ready.c - RSA keys made in advance, since making one takes longer than a request may: for wrapping,
 * for KMS keys and for data key pairs.
 *
 * One thread fills the pools, one key at a time and at low priority: however many ask, it takes at most
 * one core, and that only when nobody else wants it. Ready keys lie in secret memory; one that is taken
 * is used for one answer only.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum {
    NICENESS = 10,
    SPKI_MAX = 1024,
    PAUSE_MS = 1000, /* after a failure, which can only be want of memory */
    MINUTE_MS = 60 * 1000,
    NOTHING_TO_DO = -1,
};

struct ready_waiter {
    struct ready_waiter *next;
    void (*fn)(void *arg);
    void   *arg;
    int64_t until_ms; /* of the monotonic clock */
};

int ready_kind(enum key_spec spec)
{
    return spec >= SPEC_RSA_2048 && spec <= SPEC_RSA_4096 ? (int)(spec - SPEC_RSA_2048) : -1;
}

void ready_key_freep(struct ready_key **k)
{
    if (*k == NULL)
        return;
    secret_free((*k)->pkcs8);
    buf_release(&(*k)->spki);
    free(*k);
    *k = NULL;
}

/* --- the generator ----------------------------------------------------------------------------------- */

/* With the lock held. Pools somebody waits for first, in turn; then the emptiest. */
static int what_next(const struct vault *v)
{
    int best = NOTHING_TO_DO;

    for (int i = 1; i <= READY_KINDS; i++) {
        int                      kind = (v->ready_last + i) % READY_KINDS;
        const struct ready_pool *p = &v->ready[kind];
        if (p->first != NULL)
            return kind;
        if (p->count >= p->target)
            continue;
        const struct ready_pool *b = best < 0 ? NULL : &v->ready[best];
        if (b == NULL || p->count * b->target < b->count * p->target)
            best = kind;
    }
    return best;
}

static struct ready_key *generate(struct vault *v, int kind)
{
    CLEANUP(ready_key_freep) struct ready_key *k = calloc(1, sizeof *k);

    if (k == NULL)
        return NULL;
    buf_init(&k->spki, SPKI_MAX);
    if (crypto_rsa_generate(SPEC_RSA_2048 + (unsigned)kind, &v->ready_stop, &k->pkcs8, &k->spki,
                            NULL) != KMS_OK)
        return NULL;
    return TAKE(k);
}

/* With the lock held; gives it up while telling the one waiter for whom the key is. */
static void put(struct vault *v, int kind, struct ready_key *k)
{
    struct ready_pool   *p = &v->ready[kind];
    struct ready_waiter *w = p->first;

    k->next = p->keys;
    p->keys = k;
    p->count++;
    p->made++;
    if (w == NULL)
        return;
    p->waiting--;
    p->first = w->next;
    if (p->first == NULL)
        p->last = NULL;
    (void)pthread_mutex_unlock(&v->ready_lock);
    w->fn(w->arg);
    free(w);
    (void)pthread_mutex_lock(&v->ready_lock);
}

/* With the lock held: until this time of the monotonic clock, or the end. */
static void pause_locked(struct vault *v, int64_t until_ms)
{
    for (int64_t left = until_ms - clock_monotonic_ms(); left > 0 && !atomic_load(&v->ready_stop);
         left = until_ms - clock_monotonic_ms())
        clock_cond_wait(&v->ready_wake, &v->ready_lock, left);
}

/* When the next key may be begun: the setting bounds what one who asks all the time can make us do. */
static int64_t next_start(const struct vault *v, int64_t began_ms)
{
    return v->ready_per_minute == 0 ? began_ms : began_ms + MINUTE_MS / v->ready_per_minute;
}

static void *generator(void *arg)
{
    struct vault *v = arg;

    (void)pthread_setname_np(pthread_self(), "generator");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* of this thread only, on Linux */
    (void)pthread_mutex_lock(&v->ready_lock);
    while (!atomic_load(&v->ready_stop)) {
        int kind = what_next(v);
        if (kind == NOTHING_TO_DO) {
            (void)pthread_cond_wait(&v->ready_wake, &v->ready_lock);
            continue;
        }
        int64_t began = clock_monotonic_ms();
        v->ready_last = kind;
        (void)pthread_mutex_unlock(&v->ready_lock);
        struct ready_key *k = generate(v, kind);
        (void)pthread_mutex_lock(&v->ready_lock);
        if (k != NULL)
            put(v, kind, k);
        pause_locked(v, k != NULL ? next_start(v, began) : clock_monotonic_ms() + PAUSE_MS);
    }
    (void)pthread_mutex_unlock(&v->ready_lock);
    crypto_thread_cleanup();
    return NULL;
}

/* --- the interface ----------------------------------------------------------------------------------- */

enum kms_status vault_start(struct vault *v, struct kms_error *reterr)
{
    int why = pthread_create(&v->ready_thread, NULL, generator, v);

    if (why != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start the generator thread: %s",
                        strerror(why));
    v->ready_started = true;
    return KMS_OK;
}

void vault_stop(struct vault *v)
{
    if (v == NULL || !v->ready_started)
        return;
    (void)pthread_mutex_lock(&v->ready_lock);
    atomic_store(&v->ready_stop, true);
    (void)pthread_cond_signal(&v->ready_wake);
    (void)pthread_mutex_unlock(&v->ready_lock);
    (void)pthread_join(v->ready_thread, NULL);
    v->ready_started = false;
}

void ready_stop(struct vault *v)
{
    vault_stop(v);
    for (int kind = 0; kind < READY_KINDS; kind++) {
        struct ready_pool *p = &v->ready[kind];
        while (p->keys != NULL) {
            struct ready_key *k = p->keys;
            p->keys = k->next;
            ready_key_freep(&k);
        }
        while (p->first != NULL) { /* who waits is not called any more */
            struct ready_waiter *w = p->first;
            p->first = w->next;
            free(w);
        }
        p->last = NULL;
        p->count = p->waiting = 0;
    }
}

struct ready_key *ready_take(struct vault *v, int kind)
{
    struct ready_pool *p = &v->ready[kind];

    (void)pthread_mutex_lock(&v->ready_lock);
    struct ready_key *k = p->keys;
    if (k != NULL) {
        p->keys = k->next;
        p->count--;
        k->next = NULL;
        (void)pthread_cond_signal(&v->ready_wake);
    }
    (void)pthread_mutex_unlock(&v->ready_lock);
    return k;
}

/* With the lock held. */
static void append(struct ready_pool *p, struct ready_waiter *w)
{
    if (p->last != NULL)
        p->last->next = w;
    else
        p->first = w;
    p->last = w;
    p->waiting++;
}

void vault_when_ready(struct vault *v, enum key_spec wrapping_spec, int64_t until_ms,
                      void (*fn)(void *arg), void *arg)
{
    int                  kind = ready_kind(wrapping_spec);
    struct ready_waiter *w = kind < 0 ? NULL : calloc(1, sizeof *w);
    bool                 now = w == NULL; /* no memory to wait: come again, and fail there */

    if (w != NULL) {
        struct ready_pool *p = &v->ready[kind];
        *w = (struct ready_waiter){ NULL, fn, arg, until_ms };
        (void)pthread_mutex_lock(&v->ready_lock);
        now = p->keys != NULL;
        if (!now) {
            append(p, w);
            (void)pthread_cond_signal(&v->ready_wake);
        }
        (void)pthread_mutex_unlock(&v->ready_lock);
    }
    if (now) {
        free(w);
        fn(arg);
    }
}

/* With the lock held: unlinks those of one pool who have waited long enough, onto *list. */
static void take_overdue(struct ready_pool *p, int64_t now_ms, struct ready_waiter **list)
{
    struct ready_waiter *all = p->first;

    p->first = p->last = NULL;
    p->waiting = 0;
    while (all != NULL) {
        struct ready_waiter *w = all;
        all = w->next;
        w->next = NULL;
        if (now_ms >= w->until_ms) {
            w->next = *list;
            *list = w;
        } else {
            append(p, w);
        }
    }
}

void vault_wake_overdue(struct vault *v)
{
    struct ready_waiter *list = NULL;
    int64_t              now = clock_monotonic_ms();

    (void)pthread_mutex_lock(&v->ready_lock);
    for (int kind = 0; kind < READY_KINDS; kind++)
        take_overdue(&v->ready[kind], now, &list);
    (void)pthread_mutex_unlock(&v->ready_lock);
    while (list != NULL) {
        struct ready_waiter *next = list->next;
        list->fn(list->arg);
        free(list);
        list = next;
    }
}
