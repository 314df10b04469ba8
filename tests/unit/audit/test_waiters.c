/* tests/unit/audit/test_waiters.c - those who are told when their records are on disk: not before, in order,
 * many by one sync, and of failures, too. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { WAITERS = 5 };

/* A disk whose syncs wait until they may go on. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t  moved;
    bool            shut;
    unsigned        waiting; /* syncs at the gate */
    unsigned        syncs;
    unsigned        slow_us; /* what a sync takes */
    int             error;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };

static int gate_fdatasync(int fd)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.syncs++;
    gate.waiting++;
    (void)pthread_cond_broadcast(&gate.moved);
    while (gate.shut)
        (void)pthread_cond_wait(&gate.moved, &gate.lock);
    gate.waiting--;
    int error = gate.error;
    (void)pthread_mutex_unlock(&gate.lock);
    (void)usleep(gate.slow_us);
    errno = error;
    return error != 0 ? -1 : fdatasync(fd);
}

static void gate_set(bool shut)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    (void)pthread_cond_broadcast(&gate.moved);
    (void)pthread_mutex_unlock(&gate.lock);
}

static void gate_await(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    while (gate.waiting == 0)
        (void)pthread_cond_wait(&gate.moved, &gate.lock);
    (void)pthread_mutex_unlock(&gate.lock);
}

static unsigned gate_syncs(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    unsigned n = gate.syncs;
    (void)pthread_mutex_unlock(&gate.lock);
    return n;
}

static ssize_t plain_write(int fd, const void *from, size_t len)
{
    return write(fd, from, len);
}

static const struct audit_io gate_io = { .write = plain_write,
                                         .ftruncate = ftruncate,
                                         .fdatasync = gate_fdatasync,
                                         .posix_fallocate = posix_fallocate,
                                         .statvfs = statvfs };

struct one {
    struct audit_waiter waiter;
    _Atomic int         order; /* 0: not told yet */
    enum kms_status     status;
};

static _Atomic int told_so_far;

static void told(struct audit_waiter *w, enum kms_status status)
{
    struct one *o = (struct one *)w; /* its first member */

    o->status = status;
    o->order = told_so_far + 1; /* one thread tells */
    told_so_far++;
}

static int setup(void **state)
{
    gate.shut = false;
    gate.error = 0;
    gate.slow_us = 0;
    told_so_far = 0;
    int failed = fixture_setup(state);
    ((struct fixture *)*state)->config.io = &gate_io;
    return failed;
}

static void append_later(struct fixture *f, struct one *o)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);

    *o = (struct one){ .waiter.told = told };
    fixture_event(f, &text);
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append_later(f->audit, &event, 1, false, &o->waiter, NULL), KMS_OK);
}

static void wait_until_told(int n)
{
    for (int i = 0; i < 20000 && told_so_far < n; i++)
        (void)usleep(1000);
    assert_int_equal(told_so_far, n);
}

/* While one sync is under way nobody is told; those who come meanwhile share the next. */
static void test_many_share_a_sync(void **state)
{
    struct fixture *f = *state;
    struct one      first, more[WAITERS];

    fixture_open(f);
    gate_set(true);
    append_later(f, &first);
    gate_await();
    unsigned before = gate_syncs();
    for (size_t i = 0; i < WAITERS; i++)
        append_later(f, &more[i]); /* does not wait, although the disk is busy */
    (void)usleep(20000);
    assert_int_equal(told_so_far, 0);
    gate_set(false);
    wait_until_told(1 + WAITERS);
    assert_int_equal(gate_syncs(), before + 1);
    assert_int_equal(first.order, 1);
    for (size_t i = 0; i < WAITERS; i++) {
        assert_int_equal(more[i].order, i + 2);
        assert_int_equal(more[i].status, KMS_OK);
    }
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

/* On a slow disk a sync waits a moment for who has just been told and comes again. */
static void test_a_sync_waits_for_more(void **state)
{
    struct fixture *f = *state;
    struct one      a, b, again;
    unsigned        syncs = 0;

    f->config.limits.gather_ms = 1000;
    fixture_open(f);
    gate.slow_us = 800 * 1000; /* a quarter of that may be waited */
    for (int tries = 0; tries < 4 && syncs != 2;
         tries++) { /* on a busy machine it may come too late */
        unsigned before = gate_syncs();
        told_so_far = 0;
        append_later(f, &a);
        while (gate_syncs() == before)
            (void)usleep(1000);
        append_later(f, &b); /* too late for the first one */
        wait_until_told(1);
        append_later(f, &again); /* the first comes back */
        wait_until_told(3);
        syncs = gate_syncs() - before;
    }
    assert_int_equal(syncs, 2);
    fixture_close(f);
}

/* A sync that somebody else has done tells them, too. */
static void test_told_by_anothers_sync(void **state)
{
    struct fixture *f = *state;
    struct one      o;

    fixture_open(f);
    append_later(f, &o);
    fixture_append(f, 1, true);
    wait_until_told(1);
    assert_int_equal(o.status, KMS_OK);
    assert_int_equal(audit_sync(f->audit, NULL), KMS_OK);
    fixture_close(f);
}

static void test_told_of_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    struct one      list[2];

    fixture_open(f);
    gate_set(true);
    append_later(f, &list[0]);
    gate_await();
    append_later(f, &list[1]);
    gate.error = EIO;
    gate_set(false);
    wait_until_told(2);
    assert_int_equal(list[0].status, KMS_E_INTERNAL);
    assert_int_equal(list[1].status, KMS_E_INTERNAL);
    assert_true(audit_failed(f->audit));
    assert_int_equal(audit_sync(f->audit, NULL), KMS_E_INTERNAL);
    struct bytes event = BYTES_LIT("{\"a\":1");
    assert_int_equal(audit_append_later(f->audit, &event, 1, false, &list[0].waiter, NULL),
                     KMS_E_INTERNAL);
    assert_int_equal(told_so_far, 2); /* who was refused is not told */
    fixture_close(f);
}

static void test_forgotten(void **state)
{
    struct fixture *f = *state;
    struct one      o;

    fixture_open(f);
    gate_set(true);
    append_later(f, &o);
    gate_await();
    audit_forget_waiters(f->audit);
    gate_set(false);
    fixture_append(f, 1, true);
    fixture_close(f);
    assert_int_equal(told_so_far, 0);
}

#define WAITING(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING(test_many_share_a_sync),
        WAITING(test_a_sync_waits_for_more),
        WAITING(test_told_by_anothers_sync),
        WAITING(test_told_of_a_failed_sync),
        WAITING(test_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
