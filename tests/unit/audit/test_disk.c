/* tests/unit/audit/test_disk.c - a full and a failing disk (trust-model 5.6, 6.2): clean errors, a chain
 * that stays whole, rights that can still be taken away, and recovery without a restart. */
#include "fixture.h"
#include "alarm.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The disk of these tests: what happens at the next calls (some by the housekeeping thread). */
static struct {
    _Atomic int      write_error; /* errno of the next writes; 0: they work */
    _Atomic long     write_part;  /* >= 0: the next write takes so many bytes and no more */
    _Atomic unsigned fail_write;  /* counts down to the one write that fails */
    _Atomic int      fail_with;
    _Atomic int      sync_error;
    _Atomic int      truncate_error;
    _Atomic uint64_t room;       /* bytes that fit before ENOSPC; UINT64_MAX: any number */
    _Atomic uint64_t free_bytes; /* as statvfs tells; 0: half of the disk */
} disk;

static ssize_t disk_write(int fd, const void *from, size_t len)
{
    size_t n = len;

    if (disk.fail_write > 0 && --disk.fail_write == 0) {
        errno = disk.fail_with;
        return -1;
    }
    if (disk.write_error != 0) {
        errno = disk.write_error;
        return -1;
    }
    if (disk.write_part >= 0 && (size_t)disk.write_part < n)
        n = (size_t)disk.write_part;
    disk.write_part = -1;
    if (n > disk.room)
        n = (size_t)disk.room; /* what a filesystem does: part of it goes in */
    if (n == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (disk.room != UINT64_MAX)
        disk.room -= n;
    return write(fd, from, n);
}

static int disk_ftruncate(int fd, off_t len)
{
    if (disk.truncate_error != 0) {
        errno = disk.truncate_error;
        return -1;
    }
    return ftruncate(fd, len);
}

static int disk_fdatasync(int fd)
{
    if (disk.sync_error != 0) {
        errno = disk.sync_error;
        return -1;
    }
    return fdatasync(fd);
}

static int disk_fallocate(int fd, off_t at, off_t len)
{
    if (disk.room != UINT64_MAX) {
        if (disk.room < (uint64_t)len)
            return ENOSPC;
        disk.room -= (uint64_t)len;
    }
    return posix_fallocate(fd, at, len);
}

static int disk_statvfs(const char *path, struct statvfs *ret)
{
    (void)path;
    *ret = (struct statvfs){ .f_frsize = 4096, .f_blocks = 100000, .f_bavail = 50000 };
    if (disk.room != UINT64_MAX)
        ret->f_bavail = disk.room / 4096;
    else if (disk.free_bytes != 0)
        ret->f_bavail = disk.free_bytes / 4096;
    return 0;
}

static const struct audit_io disk_io = { .write = disk_write,
                                         .ftruncate = disk_ftruncate,
                                         .fdatasync = disk_fdatasync,
                                         .posix_fallocate = disk_fallocate,
                                         .statvfs = disk_statvfs };

static int setup(void **state)
{
    disk.write_error = disk.sync_error = disk.truncate_error = 0;
    disk.fail_write = 0;
    disk.free_bytes = 0;
    disk.write_part = -1;
    disk.room = UINT64_MAX;
    int failed = fixture_setup(state);
    ((struct fixture *)*state)->config.io = &disk_io;
    return failed;
}

static enum kms_status try_append(struct fixture *f, bool sync, bool reserve)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct kms_error                err;

    fixture_event(f, &text);
    struct bytes event = buf_bytes(&text);
    return audit_append(f->audit, &event, 1, sync, reserve, &err);
}

static void wait_until_healthy(struct fixture *f)
{
    for (int i = 0; i < 3000 && !audit_healthy(f->audit); i++)
        (void)usleep(10000);
    assert_true(audit_healthy(f->audit));
}

static void assert_records(struct fixture *f, uint64_t events)
{
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.records - r.checkpoints, events);
}

static void open_with_alarm(struct fixture *f, struct rung *rung)
{
    f->config.alarm = rung_alarm(rung);
    fixture_open(f);
}

static void test_a_full_disk_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    struct rung     rung = { 0 };

    open_with_alarm(f, &rung);
    fixture_append(f, 5, false);
    disk.write_error = EDQUOT;
    disk.free_bytes = 8192; /* keeps it from being found healthy in between */
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    assert_int_equal(try_append(f, true, true), KMS_E_INTERNAL);
    assert_false(audit_healthy(f->audit));
    assert_false(audit_failed(f->audit));
    disk.write_error = 0;
    disk.free_bytes = 0;
    wait_until_healthy(f);
    fixture_append(f, 2, true);
    assert_records(f, 7);
    assert_int_equal(rung.times, 0);
}

static void test_a_failed_write_ends_it(void **state)
{
    struct fixture *f = *state;
    struct rung     rung = { 0 };

    open_with_alarm(f, &rung);
    fixture_append(f, 5, false);
    disk.write_error = EIO;
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    assert_true(audit_failed(f->audit));
    disk.write_error = 0;
    assert_int_equal(try_append(f, true, true), KMS_E_INTERNAL);
    assert_false(audit_healthy(f->audit));
    assert_int_equal(rung.times, 1);
    assert_non_null(strstr(rung.what, "audit: cannot write '"));
    assert_non_null(strstr(rung.what, f->dir));
    fixture_close(f);
    fixture_open(f); /* the next start signs what is there */
    assert_records(f, 5);
}

static void test_health_returns_without_traffic(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append(f, 1, false);
    disk.write_error = ENOSPC;
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    (void)usleep(100000);
    assert_false(audit_healthy(f->audit));
    disk.write_error = 0;
    wait_until_healthy(f);
    assert_records(f, 1);
}

static void test_a_short_write_is_cut_back(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append(f, 5, false);
    for (long part = 1; part < 900; part += 50) {
        disk.write_part = part;
        disk.free_bytes = 8192; /* keeps it from being found healthy in between */
        assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
        disk.free_bytes = 0;
        wait_until_healthy(f);
        assert_int_equal(try_append(f, false, false), KMS_OK);
    }
    assert_records(f, 5 + 18);
}

static void test_a_failed_cut_back_ends_it(void **state)
{
    struct fixture *f = *state;

    struct rung rung = { 0 };

    open_with_alarm(f, &rung);
    fixture_append(f, 5, false);
    disk.write_part = 100;
    disk.truncate_error = ENOSPC; /* whatever the reason */
    assert_int_equal(try_append(f, false, true), KMS_E_INTERNAL);
    assert_true(audit_failed(f->audit));
    assert_int_equal(rung.times, 1);
    assert_false(audit_healthy(f->audit));
    disk.truncate_error = 0;
    assert_int_equal(try_append(f, false, true), KMS_E_INTERNAL);
    fixture_close(f);
    /* the next start cuts the half record off */
    fixture_open(f);
    assert_int_equal(f->head.seq, 5);
    assert_int_equal(f->head.dropped, 100);
    assert_records(f, 5);
}

static void test_a_failed_sync_ends_it(void **state)
{
    struct fixture *f = *state;

    struct rung rung = { 0 };

    open_with_alarm(f, &rung);
    fixture_append(f, 5, false);
    disk.sync_error = EIO;
    assert_int_equal(try_append(f, true, true), KMS_E_INTERNAL);
    assert_int_equal(rung.times, 1);
    assert_non_null(strstr(rung.what, "audit: cannot sync '"));
    disk.sync_error = 0; /* the kernel would report success from now on: it must not be believed */
    assert_int_equal(try_append(f, true, true), KMS_E_INTERNAL);
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    assert_true(audit_failed(f->audit));
    assert_false(audit_healthy(f->audit));
    assert_int_equal(rung.times, 1);
    fixture_close(f);
    fixture_open(f);
    assert_true(audit_healthy(f->audit));
    assert_records(f, 6);
}

static void test_a_failed_background_sync_ends_it(void **state)
{
    struct fixture *f = *state;

    struct rung rung = { 0 };

    f->config.limits.sync_ms = 20;
    open_with_alarm(f, &rung);
    disk.sync_error = ENOSPC; /* for a sync that is no excuse */
    fixture_append(f, 1, false);
    for (int i = 0; i < 3000 && !audit_failed(f->audit); i++)
        (void)usleep(10000);
    assert_true(audit_failed(f->audit));
    fixture_close(f);
    assert_int_equal(rung.times, 1);
}

static void test_always_means_before_the_answer(void **state)
{
    struct fixture *f = *state;

    f->config.sync_always = true;
    fixture_open(f);
    disk.sync_error = EIO;
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
}

static void test_a_full_disk_still_takes_rights_away(void **state)
{
    struct fixture *f = *state;
    unsigned        taken = 0;

    fixture_open(f);
    fixture_append(f, 5, false);
    disk.room = 1000; /* one record and a bit */
    /* the keeper might find it low first; either way reads are refused before the reserve is touched */
    while (try_append(f, false, false) == KMS_OK)
        taken++;
    assert_true(taken <= 1);
    assert_false(audit_healthy(f->audit));
    assert_false(audit_failed(f->audit));

    char path[FILE_PATH_MAX];
    assert_true(file_join(path, f->dir, "reserve"));
    disk.room = 0;
    /* giving up the reserve makes room: the disk of this test learns it by the size of the file */
    assert_int_equal(try_append(f, true, true), KMS_E_INTERNAL);
    CLEANUP(buf_release) struct buf reserve = BUF_INIT(1 << 20);
    fixture_read(path, &reserve);
    assert_int_equal(reserve.len, 0);
    disk.room = 65536;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(try_append(f, true, true), KMS_OK);
        assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL); /* not for reads */
    }
    assert_false(audit_healthy(f->audit));

    disk.room = 40000ull * 4096; /* somebody has tidied up */
    wait_until_healthy(f);
    assert_int_equal(try_append(f, false, false), KMS_OK);
    fixture_read(path, &reserve);
    assert_int_equal(reserve.len, 65536);
    assert_records(f, 5 + taken + 20 + 1);
}

static void test_little_space_refuses_before_there_is_none(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    disk.free_bytes = 100000ull * 4096 / 100 - 8192; /* just under 1 % */
    for (int i = 0; i < 3000 && audit_healthy(f->audit); i++)
        (void)usleep(10000);
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    assert_int_equal(try_append(f, false, true), KMS_OK);
    disk.free_bytes = 100000ull * 4096 / 100 + 8192;
    wait_until_healthy(f);
    assert_int_equal(try_append(f, false, false), KMS_OK);
    assert_records(f, 2);
}

static void test_opening_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    char            path[FILE_PATH_MAX];

    fixture_open(f);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_true(file_join(path, f->dir, "reserve"));
    fixture_write(path, BYTES_LIT("")); /* given up before the last stop */
    disk.room = 4096;
    fixture_open(f);
    assert_false(audit_healthy(f->audit));
    assert_int_equal(try_append(f, false, false), KMS_E_INTERNAL);
    assert_int_equal(try_append(f, false, true), KMS_OK);
    disk.room = 40000ull * 4096;
    wait_until_healthy(f);
    assert_records(f, 2);
}

/* The n-th write fails, for every n until none does: what was acknowledged is there, nothing else. By
 * turns the disk is full, which passes, and broken, which the next start gets over. */
static void test_each_write_in_turn_fails(void **state)
{
    struct fixture *f = *state;
    unsigned        acknowledged = 1;

    f->config.limits.checkpoint_records = 7;
    f->config.limits.rotate_bytes = 5000;
    f->config.limits.tick_ms = 1;
    fixture_open(f);
    fixture_append(f, 1, true);
    fixture_close(f);
    for (unsigned n = 2; n <= 80; n++) {
        fixture_open(f);
        disk.fail_with = n % 2 == 0 ? ENOSPC : EIO;
        disk.fail_write = n / 2;
        for (int i = 0; i < 25; i++) {
            acknowledged += try_append(f, i % 8 == 0, false) == KMS_OK;
            if (i % 8 == 0)
                (void)usleep(1500);
        }
        disk.fail_write = 0;
        fixture_close(f);
        fixture_open(f);
        fixture_close(f);
        struct audit_report r = fixture_verify(f);
        if (r.verdict != AUDIT_GOOD)
            fail_msg("write %u: %s", n, r.why);
        /* one may have waited for its sync when the keeper found the disk broken: it is there */
        unsigned waited = disk.fail_with == EIO && r.records - r.checkpoints == acknowledged + 1;
        acknowledged += waited;
        assert_int_equal(r.records - r.checkpoints, acknowledged);
    }
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(test_a_full_disk_leaves_no_trace),
        ON_DISK(test_a_failed_write_ends_it),
        ON_DISK(test_health_returns_without_traffic),
        ON_DISK(test_a_short_write_is_cut_back),
        ON_DISK(test_a_failed_cut_back_ends_it),
        ON_DISK(test_a_failed_sync_ends_it),
        ON_DISK(test_a_failed_background_sync_ends_it),
        ON_DISK(test_always_means_before_the_answer),
        ON_DISK(test_a_full_disk_still_takes_rights_away),
        ON_DISK(test_little_space_refuses_before_there_is_none),
        ON_DISK(test_opening_on_a_full_disk),
        ON_DISK(test_each_write_in_turn_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
