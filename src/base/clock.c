/* base/clock.c - see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    CONFIRM_MS = 10 * 60 * 1000, /* on the boot clock: then a new time is taken as confirmed */
    MOMENT_MS = 1000,            /* what is read within it is of one moment */
};

struct clock {
    _Atomic int64_t mark;        /* highest value returned */
    _Atomic int64_t offset;      /* development offset */
    _Atomic int64_t drift;       /* wall minus boot clock when last looked at */
    _Atomic int64_t doubt_until; /* boot-clock ms until which the time is doubtful, 0 no */
};

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Wall minus boot clock. A machine that is suspended between the two has not had its clock set: it is asked
 * again. */
static int64_t drift_at(int64_t *ret_boot)
{
    int64_t wall;

    do {
        *ret_boot = read_ms(CLOCK_BOOTTIME);
        wall = clock_wall_ms();
    } while (read_ms(CLOCK_BOOTTIME) - *ret_boot > MOMENT_MS);
    return wall - *ret_boot;
}

int64_t clock_drift_ms(void)
{
    int64_t boot;

    return drift_at(&boot);
}

struct clock *clock_new(int64_t floor_ms)
{
    struct clock *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    atomic_store(&c->mark, floor_ms);
    atomic_store(&c->drift, clock_drift_ms());
    return c;
}

void clock_free(struct clock *c)
{
    free(c);
}

int64_t clock_now_at(struct clock *c, int64_t wall_ms)
{
    int64_t now = wall_ms + atomic_load_explicit(&c->offset, memory_order_relaxed);
    int64_t mark = atomic_load_explicit(&c->mark, memory_order_relaxed);

    while (now > mark) {
        if (atomic_compare_exchange_weak(&c->mark, &mark, now))
            return now;
    }
    return mark;
}

int64_t clock_now(struct clock *c)
{
    return clock_now_at(c, clock_wall_ms());
}

/* What is due by the mark alone may not be due at all: the machine's clock was set back since. */
static bool ahead_of_machine(struct clock *c)
{
    return clock_now(c) - (clock_wall_ms() + atomic_load(&c->offset)) > CLOCK_JUMP_MS;
}

bool clock_certain(struct clock *c)
{
    int64_t boot;
    int64_t drift = drift_at(&boot);
    int64_t known = atomic_load(&c->drift);

    if (drift - known > CLOCK_JUMP_MS)
        atomic_store(&c->doubt_until, boot + CONFIRM_MS);
    atomic_store(&c->drift, drift);

    if (ahead_of_machine(c))
        return false;
    int64_t until = atomic_load(&c->doubt_until);
    if (until != 0 && boot >= until)
        atomic_compare_exchange_strong(&c->doubt_until, &until, 0);
    return atomic_load(&c->doubt_until) == 0;
}

void clock_doubt(struct clock *c)
{
    atomic_store(&c->doubt_until, read_ms(CLOCK_BOOTTIME) + CONFIRM_MS);
}

bool clock_confirm(struct clock *c)
{
    if (ahead_of_machine(c))
        return false;
    atomic_store(&c->drift,
                 clock_drift_ms()); /* a jump that nobody has looked at yet is meant too */
    atomic_store(&c->doubt_until, 0);
    return true;
}

bool clock_advance(struct clock *c, int64_t by_ms)
{
    static const int64_t end =
        253402300800000; /* of the year 9999: dates have four digits for it */

    if (by_ms < 0 || by_ms >= end || clock_now(c) + by_ms >= end)
        return false;
    atomic_fetch_add(&c->offset, by_ms);
    (void)clock_now(c);
    return true;
}

void clock_reset(struct clock *c)
{
    atomic_store(&c->offset, 0);
    atomic_store(&c->mark, 0);
}

void clock_raise_floor(struct clock *c, int64_t floor_ms)
{
    int64_t mark = atomic_load(&c->mark);

    while (floor_ms > mark && !atomic_compare_exchange_weak(&c->mark, &mark, floor_ms)) {
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

void clock_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(c, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void clock_cond_wait_ns(pthread_cond_t *c, pthread_mutex_t *lock, int64_t ns)
{
    enum { NS_PER_S = 1000000000 };
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec += (long)(ns % NS_PER_S);
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    (void)pthread_cond_timedwait(c, lock, &until);
}

void clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t ms)
{
    clock_cond_wait_ns(c, lock, ms * 1000 * 1000);
}
