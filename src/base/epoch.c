/* base/epoch.c - see epoch.h. Sequentially consistent atomics: a reader's "I am looking" must be
 * visible before its first look, and a writer's unlinking before the writer looks at the
 * readers. */
#include "base/epoch.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* In `now`: nobody may enter. */
#define CLOSED ((uint64_t)1 << 63)

struct reader {
    _Alignas(64) _Atomic uint64_t since; /* epoch in which the section began; 0 = not looking */
};

struct epoch {
    _Alignas(64) _Atomic uint64_t now;
    _Atomic int   readers;
    struct reader reader[EPOCH_READERS_MAX];
};

struct epoch *epoch_new(void)
{
    struct epoch *e = aligned_alloc(64, sizeof *e);

    if (e == NULL)
        return NULL;
    atomic_init(&e->now, 1);
    atomic_init(&e->readers, 0);
    for (size_t i = 0; i < EPOCH_READERS_MAX; i++)
        atomic_init(&e->reader[i].since, 0);
    return e;
}

void epoch_free(struct epoch *e)
{
    free(e);
}

int epoch_register(struct epoch *e)
{
    int n = atomic_load(&e->readers);

    while (n < EPOCH_READERS_MAX) { /* never above it, not for a moment: barriers walk that far */
        if (atomic_compare_exchange_weak(&e->readers, &n, n + 1))
            return n;
    }
    return -1;
}

/* Most sections are over in microseconds. Who stays for longer computes with a large key, for milliseconds, and
 * asking often would take CPU from it. */
static void pause_briefly(unsigned spins)
{
    enum { YIELDS = 64, SHORT_NAPS = 8, SHORT_NS = 50 * 1000, LONG_NS = 250 * 1000 };
    struct timespec nap = { 0, spins < YIELDS + SHORT_NAPS ? SHORT_NS : LONG_NS };

    if (spins < YIELDS)
        (void)sched_yield();
    else
        (void)nanosleep(&nap, NULL);
}

void epoch_enter(struct epoch *e, int reader)
{
    assert(atomic_load_explicit(&e->reader[reader].since, memory_order_relaxed) == 0);
    for (unsigned spins = 0;; spins++) {
        atomic_store(&e->reader[reader].since, atomic_load(&e->now) & ~CLOSED);
        /* Pairs with the barrier's increment: either the barrier sees us, or this load sees the
         * barrier and with it all that was unlinked before. Without it a weakly ordered machine may
         * look first. And with closing: either epoch_close waits for us, or we see that it is closed. */
        if ((atomic_load(&e->now) & CLOSED) == 0)
            return;
        atomic_store(&e->reader[reader].since, 0);
        pause_briefly(spins);
    }
}

void epoch_leave(struct epoch *e, int reader)
{
    atomic_store_explicit(&e->reader[reader].since, 0, memory_order_release);
}

uint64_t epoch_mark(struct epoch *e)
{
    return (atomic_fetch_add(&e->now, 1) & ~CLOSED) + 1;
}

void epoch_wait(struct epoch *e, uint64_t mark)
{
    /* who registers after the mark and before this is looked at too, and never older than the mark */
    int readers = atomic_load(&e->readers);

    for (int i = 0; i < readers; i++) {
        for (unsigned spins = 0;; spins++) {
            uint64_t since = atomic_load(&e->reader[i].since);
            if (since == 0 || since >= mark)
                break;
            pause_briefly(spins);
        }
    }
}

void epoch_barrier(struct epoch *e)
{
    epoch_wait(e, epoch_mark(e));
}

void epoch_close(struct epoch *e)
{
    assert((atomic_load(&e->now) & CLOSED) == 0);
    atomic_fetch_or(&e->now, CLOSED);
    epoch_barrier(e); /* whoever comes now sees that it is closed, and leaves again */
}

void epoch_open(struct epoch *e)
{
    atomic_fetch_and(&e->now, ~CLOSED);
}
