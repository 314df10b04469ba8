/* tests/unit/base/test_clock.c - the time by which keys live: never back, movable in
 * development. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"

static const int64_t HOUR_MS = 60 * 60 * 1000;

/* The machine is suspended for an hour, which both clocks count, behind so many more looks at them. */
static int looks_before;
static int hours_suspended;

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long failed = syscall(SYS_clock_gettime, id, ret);

    if (failed != 0 || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME))
        return (int)failed;
    ret->tv_sec += hours_suspended * 3600;
    if (looks_before > 0 && --looks_before == 0)
        hours_suspended++;
    return 0;
}

static void test_follows_the_machine(void **state)
{
    struct clock *c = clock_new(0);
    int64_t       before = clock_wall_ms();
    int64_t       now = clock_now(c);

    (void)state;
    assert_true(now >= before && now <= clock_wall_ms());
    assert_true(before > 1700000000000); /* milliseconds since 1970, not seconds */
    clock_free(c);
}

static void test_never_below_the_floor(void **state)
{
    int64_t       floor_ms = clock_wall_ms() + HOUR_MS;
    struct clock *c = clock_new(floor_ms);

    (void)state;
    assert_true(clock_now(c) ==
                floor_ms); /* a machine clock that went back does not revive a key */
    clock_raise_floor(c, floor_ms + 5);
    assert_true(clock_now(c) == floor_ms + 5);
    clock_raise_floor(c, floor_ms);
    assert_true(clock_now(c) == floor_ms + 5);
    clock_free(c);
}

static void test_moves_forward_only(void **state)
{
    struct clock *c = clock_new(0);

    (void)state;
    assert_true(clock_advance(c, HOUR_MS));
    int64_t moved = clock_now(c);
    assert_true(moved >= clock_wall_ms() + HOUR_MS - 1000);
    assert_false(clock_advance(c, -1));
    assert_false(clock_advance(c, INT64_MAX));
    assert_false(
        clock_advance(c, 8000 * 366 * 24 * HOUR_MS)); /* dates have four digits for the year */
    assert_true(clock_now(c) >= moved);
    assert_true(clock_now(c) < moved + HOUR_MS);
    assert_true(clock_advance(c, HOUR_MS)); /* adds to what was moved before */
    assert_true(clock_now(c) >= moved + HOUR_MS);
    clock_free(c);
}

static void test_reset_goes_back(void **state)
{
    struct clock *c = clock_new(0);

    (void)state;
    assert_true(clock_advance(c, HOUR_MS));
    (void)clock_now(c);
    clock_reset(c);
    assert_true(clock_now(c) <= clock_wall_ms());
    clock_free(c);
}

static void test_is_certain_without_jumps(void **state)
{
    struct clock *c = clock_new(0);

    (void)state;
    assert_true(clock_certain(c));
    assert_true(clock_advance(c, 1000 * HOUR_MS)); /* asked for, so no doubt about it */
    assert_true(clock_certain(c));
    assert_true(clock_confirm(c));
    assert_true(clock_certain(c));
    clock_doubt(c);
    assert_false(clock_certain(c));
    assert_true(clock_now(c) > clock_wall_ms()); /* it goes on all the same */
    assert_true(clock_confirm(c));
    assert_true(clock_certain(c));
    clock_free(c);
}

/* The machine's clock was ahead once, and what it said then is all that says that a time has come. */
static void test_is_uncertain_below_the_floor(void **state)
{
    struct clock *c = clock_new(clock_wall_ms() + HOUR_MS);

    (void)state;
    assert_false(clock_certain(c));
    assert_true(clock_advance(c, HOUR_MS)); /* asked for, again */
    assert_true(clock_certain(c));
    clock_raise_floor(c, clock_now(c) + 30 * 1000); /* what a time service corrects */
    assert_true(clock_certain(c));
    clock_raise_floor(c, clock_now(c) + HOUR_MS);
    assert_false(clock_certain(c));
    assert_false(clock_confirm(c)); /* it has not come yet */
    assert_false(clock_certain(c));
    clock_free(c);
}

/* Time has passed, nobody has set a clock: whichever was read before, and whichever after. */
static void test_is_certain_after_a_suspend(void **state)
{
    int64_t drift = clock_drift_ms();

    (void)state;
    for (int looks = 1; looks < 8; looks++) {
        struct clock *c = clock_new(0);
        looks_before = looks;
        assert_true(clock_certain(c));
        assert_true(clock_certain(c));
        assert_int_equal(looks_before, 0);
        clock_free(c);

        looks_before = looks;
        assert_in_range(clock_drift_ms() - drift + 2000, 0, 4000);
        assert_in_range(clock_drift_ms() - drift + 2000, 0, 4000);
        assert_in_range(clock_drift_ms() - drift + 2000, 0, 4000);
        assert_int_equal(looks_before, 0);
    }
    assert_int_equal(hours_suspended, 14);
    hours_suspended = 0;
}

static void test_monotonic(void **state)
{
    int64_t  ms = clock_monotonic_ms();
    uint64_t ns = clock_monotonic_ns();

    (void)state;
    assert_true(clock_monotonic_ns() >= ns);
    assert_true(clock_monotonic_ms() >= ms);
    assert_true((int64_t)(ns / 1000000) - ms < 1000);
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t  cond;
    bool            called;
};

static void *call_soon(void *arg)
{
    struct waiting *w = arg;

    (void)pthread_mutex_lock(&w->lock);
    w->called = true;
    (void)pthread_cond_signal(&w->cond);
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void test_waits_for_a_time(void **state)
{
    struct waiting w = { .lock = PTHREAD_MUTEX_INITIALIZER };
    pthread_t      thread;

    (void)state;
    clock_cond_init(&w.cond);
    (void)pthread_mutex_lock(&w.lock);
    int64_t began = clock_monotonic_ms();
    for (int64_t left = 1120; left > 0;
         left = began + 1120 - clock_monotonic_ms()) /* over a second */
        clock_cond_wait(&w.cond, &w.lock, left);
    assert_true(clock_monotonic_ms() - began < 20000);

    assert_int_equal(pthread_create(&thread, NULL, call_soon, &w), 0);
    while (!w.called)
        clock_cond_wait(&w.cond, &w.lock, 20000);
    assert_true(clock_monotonic_ms() - began < 20000);
    (void)pthread_mutex_unlock(&w.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pthread_cond_destroy(&w.cond);
}

static void *look_often(void *arg)
{
    struct clock *c = arg;
    int64_t       last = 0;
    intptr_t      went_back = 0;

    for (int i = 0; i < 20000; i++) {
        int64_t now = clock_now(c);
        went_back |= now < last;
        last = now;
    }
    return (void *)went_back; /* an int, not memory */
}

static void test_no_thread_sees_it_go_back(void **state)
{
    struct clock *c = clock_new(0);
    pthread_t     thread[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, look_often, c), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(clock_advance(c, 7));
    for (int i = 0; i < 3; i++) {
        void *went_back = NULL;
        assert_int_equal(pthread_join(thread[i], &went_back), 0);
        assert_null(went_back);
    }
    clock_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_the_machine),
        cmocka_unit_test(test_never_below_the_floor),
        cmocka_unit_test(test_moves_forward_only),
        cmocka_unit_test(test_reset_goes_back),
        cmocka_unit_test(test_is_certain_without_jumps),
        cmocka_unit_test(test_is_uncertain_below_the_floor),
        cmocka_unit_test(test_is_certain_after_a_suspend),
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_waits_for_a_time),
        cmocka_unit_test(test_no_thread_sees_it_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
