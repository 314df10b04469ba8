/* throttle/throttle.c - see throttle.h.
 *
 * A bucket is one number: the time at which it will be full again (the generic cell rate
 * algorithm). Taking a token moves that time by the interval between two tokens; a bucket whose
 * time would lie more than a second ahead is empty. Nothing has to be refilled by anybody.
 */
#include "throttle/throttle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/index.h"

enum {
    SOURCES = 16384,
    PRINCIPALS_MAX = 1 << 18,
    NAME_MAX_LEN = 128,
};
static const int64_t SECOND = 1000 * 1000 * 1000;

struct bucket {
    _Atomic int64_t full_at; /* monotonic ns */
};

/* A root user is called as its account is: each has a bucket of its own. */
struct meter {
    struct index_node node;
    struct bucket     principal, account;
    uint8_t           name[];
};

struct throttle {
    struct throttle_rates rates;
    struct index         *meters; /* of principals and accounts: nothing is ever taken out */
    pthread_mutex_t       lock;   /* of who puts one in */
    struct bucket         rest;   /* of those for whom there was no room */
    _Atomic uint64_t      refused_requests, refused_sources;
    struct bucket         sources[SOURCES];
};

/* --- buckets ---------------------------------------------------------------------------------- */

/* When the bucket would be full again after one more token was taken; beyond a second from now there
 * is none. */
static int64_t after_one(int64_t full_at, uint32_t rate, int64_t now)
{
    return (full_at > now ? full_at : now) + SECOND / rate;
}

static bool bucket_take(struct bucket *b, uint32_t rate, int64_t now)
{
    if (rate == 0)
        return true;
    int64_t seen = atomic_load_explicit(&b->full_at, memory_order_relaxed);
    int64_t next;
    do {
        next = after_one(seen, rate, now);
        if (next - now > SECOND)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool bucket_empty(struct bucket *b, uint32_t rate, int64_t now)
{
    int64_t seen = atomic_load_explicit(&b->full_at, memory_order_relaxed);

    return rate != 0 && after_one(seen, rate, now) - now > SECOND;
}

/* --- principals and accounts ------------------------------------------------------------------ */

static struct meter *add_meter(struct throttle *t, struct bytes name)
{
    struct meter *m = (struct meter *)(void *)index_find(t->meters, name);

    if (m != NULL || index_count(t->meters) >= PRINCIPALS_MAX)
        return m;
    m = calloc(1, sizeof *m + name.len);
    if (m == NULL)
        return NULL;
    memcpy(m->name, name.ptr, name.len);
    m->node.key = bytes_of(m->name, name.len);
    index_insert(t->meters, &m->node, NULL); /* never grows: readers are in no section */
    return m;
}

/* NULL: there is no room for one. */
static struct meter *meter_of(struct throttle *t, struct bytes name)
{
    struct meter *m = (struct meter *)(void *)index_find(t->meters, name);

    if (m == NULL && name.len > 0 && name.len <= NAME_MAX_LEN) {
        (void)pthread_mutex_lock(&t->lock);
        m = add_meter(t, name);
        (void)pthread_mutex_unlock(&t->lock);
    }
    return m;
}

/* Who makes users and roles until there is no room must not slow down everybody else: whoever comes
 * then is held back by its account alone, where accounts have a rate. */
static bool principal_take(struct throttle *t, struct bytes principal, int64_t now_ns,
                           struct meter **ret)
{
    if (t->rates.principal == 0)
        return true;
    struct meter *m = meter_of(t, principal);

    *ret = m;
    if (m == NULL && t->rates.account != 0)
        return true;
    return bucket_take(m != NULL ? &m->principal : &t->rest, t->rates.principal, now_ns);
}

/* `m`: the account's meter if it is known already. */
static bool account_take(struct throttle *t, struct bytes account, struct meter *m, int64_t now_ns)
{
    if (t->rates.account == 0)
        return true;
    if (m == NULL)
        m = meter_of(t, account);
    return bucket_take(m != NULL ? &m->account : &t->rest, t->rates.account, now_ns);
}

bool throttle_request(struct throttle *t, struct bytes account, struct bytes principal,
                      int64_t now_ns)
{
    struct meter *m = NULL;
    bool          ok = principal_take(t, principal, now_ns, &m);

    if (!bytes_eq(account, principal)) /* a root user is called as its account is */
        m = NULL;
    ok = ok && account_take(t, account, m, now_ns);

    if (!ok)
        atomic_fetch_add_explicit(&t->refused_requests, 1, memory_order_relaxed);
    return ok;
}

/* --- sources ---------------------------------------------------------------------------------- */

static struct bucket *bucket_of_source(struct throttle *t, struct bytes source)
{
    return &t->sources[index_hash(t->meters, source) % SOURCES];
}

bool throttle_source_blocked(struct throttle *t, struct bytes source, int64_t now_ns)
{
    if (t->rates.failures == 0 ||
        !bucket_empty(bucket_of_source(t, source), t->rates.failures, now_ns))
        return false;
    atomic_fetch_add_explicit(&t->refused_sources, 1, memory_order_relaxed);
    return true;
}

void throttle_failure(struct throttle *t, struct bytes source, int64_t now_ns)
{
    if (t->rates.failures != 0)
        (void)bucket_take(bucket_of_source(t, source), t->rates.failures, now_ns);
}

/* --- making one ------------------------------------------------------------------------------- */

struct throttle *throttle_new(const struct throttle_rates *rates, uint64_t seed)
{
    struct throttle *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->rates = *rates;
    t->meters = index_new(seed);
    (void)pthread_mutex_init(&t->lock, NULL);
    if (t->meters == NULL || !index_reserve(t->meters, PRINCIPALS_MAX)) {
        throttle_free(t);
        return NULL;
    }
    return t;
}

static void meter_free(struct index_node *node, void *ctx)
{
    (void)ctx;
    free((struct meter *)(void *)node);
}

void throttle_free(struct throttle *t)
{
    if (t == NULL)
        return;
    if (t->meters != NULL) {
        index_each(t->meters, meter_free, NULL);
        index_free(t->meters);
    }
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

struct throttle_counts throttle_counts(const struct throttle *t)
{
    return (struct throttle_counts){
        .requests = atomic_load_explicit(&t->refused_requests, memory_order_relaxed),
        .sources = atomic_load_explicit(&t->refused_sources, memory_order_relaxed),
    };
}
