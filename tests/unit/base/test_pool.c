/* Unit tests of base/pool.h: everything that is handed in runs once, on a worker with a number of
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/pool.h"

enum { QUICK = 3, LONG_MAX = 3, WORKERS = QUICK + LONG_MAX, TASKS = 10000 };

struct task {
    struct pool_task task; /* first: the pool hands this address back */
    _Atomic int      runs;
};

static _Atomic int seen[WORKERS];
static _Atomic int ended;
static _Atomic int gate;

static void count(struct pool_task *task, unsigned worker)
{
    struct task *t = (struct task *)(void *)task;

    assert_true(worker < WORKERS);
    atomic_fetch_add(&seen[worker], 1);
    atomic_fetch_add(&t->runs, 1);
}

static _Atomic int running_long, most_long;

/* Long enough that others would run beside it if they might. */
static void count_long(struct pool_task *task, unsigned worker)
{
    int now = atomic_fetch_add(&running_long, 1) + 1;

    if (now > atomic_load(&most_long))
        atomic_store(&most_long, now);
    for (volatile int i = 0; i < 20000; i++) {
    }
    atomic_fetch_sub(&running_long, 1);
    count(task, worker);
}

static void wait_for_gate(struct pool_task *task, unsigned worker)
{
    while (atomic_load(&gate) == 0) {
    }
    count(task, worker);
}

static void worker_ended(void)
{
    atomic_fetch_add(&ended, 1);
}

/* Of those that take long at most `long_max` at a time, and nobody is forgotten at the end. */
static void run_all(unsigned long_max)
{
    struct pool     *p = NULL;
    struct kms_error err;
    struct task     *tasks = calloc(TASKS, sizeof *tasks);

    assert_non_null(tasks);
    for (size_t i = 0; i < WORKERS; i++)
        atomic_store(&seen[i], 0);
    atomic_store(&ended, 0);
    atomic_store(&most_long, 0);
    assert_int_equal(pool_new(QUICK, long_max, worker_ended, &p, &err), KMS_OK);
    for (size_t i = 0; i < TASKS; i++) {
        tasks[i].task.takes_long = i % 3 == 0;
        tasks[i].task.run = i % 3 == 0 ? count_long : count;
        pool_submit(p, &tasks[i].task);
    }
    pool_stop(p); /* finishes what is queued */
    int total = 0;
    for (size_t i = 0; i < WORKERS; i++)
        total += atomic_load(&seen[i]);
    assert_int_equal(total, TASKS);
    for (size_t i = 0; i < TASKS; i++)
        assert_int_equal(atomic_load(&tasks[i].runs), 1);
    assert_int_equal(atomic_load(&ended), QUICK + long_max);
    assert_in_range(atomic_load(&most_long), 1, long_max);
    free(tasks);
}

static void every_task_runs_once(void **state)
{
    (void)state;
    run_all(1);
    run_all(2);
    run_all(LONG_MAX);
}

static void waiting_is_counted(void **state)
{
    struct pool     *p = NULL;
    struct kms_error err;
    struct task      tasks[5] = { 0 };

    (void)state;
    assert_int_equal(pool_new(1, 1, NULL, &p, &err), KMS_OK);
    for (size_t i = 0; i < 5; i++) {
        tasks[i].task.run = wait_for_gate;
        pool_submit(p, &tasks[i].task);
    }
    assert_in_range(pool_waiting(p), 4, 5); /* one of them may be in the worker's hands */
    atomic_store(&gate, 1);
    pool_stop(p);
    assert_int_equal(atomic_load(&tasks[4].runs), 1);
}

static void nothing_to_stop(void **state)
{
    (void)state;
    pool_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(waiting_is_counted),
        cmocka_unit_test(nothing_to_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
