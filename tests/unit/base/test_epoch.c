/* tests/unit/base/test_epoch.c - a barrier returns only when nobody looks at the old any more. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/epoch.h"

static void nap(void)
{
    struct timespec t = { 0, 20 * 1000 * 1000 };

    (void)nanosleep(&t, NULL);
}

static void test_barrier_without_readers(void **state)
{
    struct epoch *e = epoch_new();

    (void)state;
    assert_non_null(e);
    epoch_barrier(e);
    int reader = epoch_register(e);
    assert_int_equal(reader, 0);
    epoch_barrier(e); /* registered, but not looking */
    epoch_enter(e, reader);
    epoch_leave(e, reader);
    epoch_barrier(e);
    epoch_free(e);
}

static void test_readers_are_numbered_and_limited(void **state)
{
    struct epoch *e = epoch_new();

    (void)state;
    for (int i = 0; i < EPOCH_READERS_MAX; i++)
        assert_int_equal(epoch_register(e), i);
    assert_int_equal(epoch_register(e), -1);
    assert_int_equal(epoch_register(e), -1);
    epoch_barrier(e);
    epoch_free(e);
}

struct waiting {
    struct epoch *epoch;
    uint64_t      mark;
    _Atomic bool  passed;
};

static void *pass_barrier(void *arg)
{
    struct waiting *w = arg;

    epoch_barrier(w->epoch);
    atomic_store(&w->passed, true);
    return NULL;
}

static void test_barrier_waits_for_an_open_section(void **state)
{
    struct waiting w = { .epoch = epoch_new() };
    int            first = epoch_register(w.epoch);
    int            second = epoch_register(w.epoch);
    pthread_t      thread;

    (void)state;
    epoch_enter(w.epoch, first);
    uint64_t mark = epoch_mark(w.epoch);
    assert_int_equal(pthread_create(&thread, NULL, pass_barrier, &w), 0);
    do
        nap();
    while (epoch_mark(w.epoch) == ++mark); /* else the barrier has set a mark of its own */
    assert_false(atomic_load(&w.passed));
    epoch_enter(w.epoch, second); /* began after the barrier: nothing to wait for */
    epoch_leave(w.epoch, first);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&w.passed));
    epoch_leave(w.epoch, second);
    epoch_free(w.epoch);
}

/* Sections that begin between the mark and the wait are not waited for; those before the mark are. */
static void *wait_for_mark(void *arg)
{
    struct waiting *w = arg;

    epoch_wait(w->epoch, w->mark);
    atomic_store(&w->passed, true);
    return NULL;
}

static void test_a_mark_counts_not_the_wait(void **state)
{
    struct waiting w = { .epoch = epoch_new() };
    int            before = epoch_register(w.epoch);
    int            after = epoch_register(w.epoch);
    pthread_t      thread;

    (void)state;
    epoch_enter(w.epoch, before);
    w.mark = epoch_mark(w.epoch);
    epoch_enter(w.epoch, after);
    int late = epoch_register(w.epoch);
    epoch_enter(w.epoch, late);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_mark, &w), 0);
    nap();
    assert_false(atomic_load(&w.passed));
    epoch_leave(w.epoch, before);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&w.passed));
    epoch_leave(w.epoch, after);
    epoch_leave(w.epoch, late);
    epoch_free(w.epoch);
}

/* Readers follow a pointer that the writer keeps replacing; what was replaced is overwritten as
 * soon as the barrier has returned. A reader that sees an overwritten value was not waited for. */
enum { READERS = 3, ROUNDS = 3000, FREED = -1 };

struct shared {
    struct epoch          *epoch;
    _Atomic(_Atomic int *) current;
    _Atomic bool           stop;
    _Atomic int            torn;
};

static void *read_on(void *arg)
{
    struct shared *s = arg;
    int            me = epoch_register(s->epoch);

    while (!atomic_load(&s->stop)) {
        epoch_enter(s->epoch, me);
        _Atomic int *seen = atomic_load_explicit(&s->current, memory_order_acquire);
        for (int i = 0; i < 10; i++) {
            if (atomic_load_explicit(seen, memory_order_relaxed) == FREED)
                atomic_fetch_add(&s->torn, 1);
        }
        epoch_leave(s->epoch, me);
    }
    return NULL;
}

static void test_nothing_is_freed_under_a_reader(void **state)
{
    _Atomic int   value[2] = { 1, FREED };
    struct shared s = { .epoch = epoch_new(), .current = &value[0] };
    pthread_t     thread[READERS];

    (void)state;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &s), 0);
    for (int i = 0; i < ROUNDS; i++) {
        _Atomic int *fresh = &value[(i + 1) % 2];
        _Atomic int *old = &value[i % 2];
        atomic_store(fresh, i);
        atomic_store_explicit(&s.current, fresh, memory_order_release);
        epoch_barrier(s.epoch);
        atomic_store(old, FREED);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(atomic_load(&s.torn), 0);
    epoch_free(s.epoch);
}

/* Closing waits for who is inside, keeps out who comes, and lets them in again. */
struct entering {
    struct epoch *epoch;
    int           reader;
    _Atomic bool  closed, inside;
};

static void *close_it(void *arg)
{
    struct entering *e = arg;

    epoch_close(e->epoch);
    atomic_store(&e->closed, true);
    return NULL;
}

static void *enter_it(void *arg)
{
    struct entering *e = arg;

    epoch_enter(e->epoch, e->reader);
    atomic_store(&e->inside, true);
    epoch_leave(e->epoch, e->reader);
    return NULL;
}

static void test_closed_for_who_comes(void **state)
{
    struct entering e = { .epoch = epoch_new() };
    int             early = epoch_register(e.epoch);
    pthread_t       closing, entering;

    (void)state;
    e.reader = epoch_register(e.epoch);
    epoch_enter(e.epoch, early);
    assert_int_equal(pthread_create(&closing, NULL, close_it, &e), 0);
    nap();
    assert_false(atomic_load(&e.closed));
    epoch_leave(e.epoch, early);
    assert_int_equal(pthread_join(closing, NULL), 0);
    assert_true(atomic_load(&e.closed));
    assert_int_equal(pthread_create(&entering, NULL, enter_it, &e), 0);
    nap();
    assert_false(atomic_load(&e.inside));
    epoch_open(e.epoch);
    assert_int_equal(pthread_join(entering, NULL), 0);
    assert_true(atomic_load(&e.inside));
    epoch_barrier(e.epoch); /* as ever */
    epoch_free(e.epoch);
}

/* While it is closed two numbers differ; nobody inside a section may see that. */
struct halves {
    struct epoch *epoch;
    _Atomic int   a, b, seen_half, entered;
    _Atomic bool  stop;
};

static void *compare_halves(void *arg)
{
    struct halves *h = arg;
    int            me = epoch_register(h->epoch);

    while (!atomic_load(&h->stop)) {
        epoch_enter(h->epoch, me);
        int a = atomic_load_explicit(&h->a, memory_order_relaxed);
        if (a != atomic_load_explicit(&h->b, memory_order_relaxed))
            atomic_fetch_add(&h->seen_half, 1);
        epoch_leave(h->epoch, me);
        atomic_fetch_add(&h->entered, 1);
    }
    return NULL;
}

static void test_nobody_sees_half_of_it(void **state)
{
    enum { CLOSINGS = 500 };
    struct halves h = { .epoch = epoch_new() };
    pthread_t     thread[READERS];

    (void)state;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, compare_halves, &h), 0);
    for (int i = 1; i <= CLOSINGS; i++) {
        int before = atomic_load(&h.entered);
        epoch_close(h.epoch);
        atomic_store(&h.a, i);
        sched_yield();
        atomic_store(&h.b, i);
        epoch_open(h.epoch);
        while (atomic_load(&h.entered) == before) /* they go on */
            sched_yield();
    }
    atomic_store(&h.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(atomic_load(&h.seen_half), 0);
    epoch_free(h.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier_without_readers),
        cmocka_unit_test(test_readers_are_numbered_and_limited),
        cmocka_unit_test(test_barrier_waits_for_an_open_section),
        cmocka_unit_test(test_a_mark_counts_not_the_wait),
        cmocka_unit_test(test_nothing_is_freed_under_a_reader),
        cmocka_unit_test(test_closed_for_who_comes),
        cmocka_unit_test(test_nobody_sees_half_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
