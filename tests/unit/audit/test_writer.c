/* tests/unit/audit/test_writer.c - appending, reopening, rotating, and what a crash leaves behind. */
#include "fixture.h"

#include <pthread.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_ms(unsigned ms)
{
    (void)usleep(ms * 1000);
}

/* Waits (at most 30 s) until the housekeeping has written checkpoint number `seq` or a later one. */
static void wait_for_checkpoint(struct fixture *f, uint64_t seq)
{
    struct audit_counts c;

    for (int i = 0; i < 3000; i++) {
        audit_counts(f->audit, &c);
        if (c.checkpoint_seq >= seq)
            return;
        wait_ms(10);
    }
    fail_msg("no checkpoint %llu", (unsigned long long)seq);
}

static void test_what_is_appended_verifies(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(f->head.seq, 0);
    fixture_append(f, 25, false);
    fixture_append(f, 5, true);
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.records, 31); /* and the closing checkpoint */
    assert_int_equal(r.checkpoints, 1);
    assert_int_equal(r.checkpoint_seq, 31);
    assert_int_equal(r.tail, 0);
}

static void test_reopening_goes_on_where_it_stopped(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 1; i <= 4; i++) {
        fixture_open(f);
        assert_int_equal(f->head.seq, (i - 1) * 4);
        assert_int_equal(f->head.dropped, 0);
        fixture_append(f, 3, false);
        fixture_close(f);
        assert_verdict(fixture_verify(f), AUDIT_GOOD);
    }
    assert_int_equal(fixture_files(f), 1);
}

static void test_opening_without_writing_writes_nothing(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append(f, 1, false);
    fixture_close(f);
    fixture_open(f);
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_int_equal(r.records, 2);
}

static void test_the_head_knows_time_and_commit(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    const uint64_t                  generations[2] = { 5, 6 };
    struct audit_head               head;
    struct kms_error                err;

    fixture_open(f);
    fixture_event(f, &text);
    audit_event_commit(&text, 17);
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append(f->audit, &event, 1, true, false, &err), KMS_OK);
    fixture_append(f, 1, false);
    int64_t now = clock_now(f->clock);
    /* beside the open writer: no checkpoint yet, so from the first record on */
    assert_int_equal(audit_peek(f->dir, &head, &err), KMS_OK);
    assert_int_equal(head.seq, 2);
    assert_int_equal(head.commit, 17);
    assert_true(head.time > 0 && head.time <= now);
    audit_note(f->audit, generations, 19);
    fixture_close(f);
    fixture_open(f); /* now from the checkpoint */
    assert_int_equal(f->head.seq, 3);
    assert_int_equal(f->head.commit, 19);
    assert_true(f->head.time >= now);
}

static void test_a_checkpoint_comes_after_so_many_records(void **state)
{
    struct fixture *f = *state;

    f->config.limits.checkpoint_records = 50;
    f->config.limits.tick_ms = 60000; /* only the writer's signal can bring it */
    fixture_open(f);
    fixture_append(f, 49, false);
    wait_ms(50);
    struct audit_counts c;
    audit_counts(f->audit, &c);
    assert_int_equal(c.checkpoint_seq, 0);
    fixture_append(f, 1, false);
    wait_for_checkpoint(f, 51);
}

static void test_a_checkpoint_comes_after_some_time(void **state)
{
    struct fixture *f = *state;

    f->config.limits.checkpoint_ms = 100;
    fixture_open(f);
    wait_ms(300);
    struct audit_counts c;
    audit_counts(f->audit, &c);
    assert_int_equal(c.seq, 0); /* not without records */
    fixture_append(f, 1, false);
    wait_for_checkpoint(f, 2);
    wait_ms(300);
    audit_counts(f->audit, &c);
    assert_int_equal(c.seq, 2);
}

static void test_what_is_written_is_synced_soon(void **state)
{
    struct fixture     *f = *state;
    struct audit_counts c = { .syncs = 0 };

    fixture_open(f);
    fixture_append(f, 3, false);
    for (int i = 0; i < 3000 && c.syncs == 0; i++) {
        wait_ms(10);
        audit_counts(f->audit, &c);
    }
    assert_true(c.syncs > 0);
}

/* How many pages of a file are in the page cache. */
static size_t cached_pages(const char *path)
{
    enum { PAGE = 4096, PAGES_MAX = 16384 };
    static unsigned char in[PAGES_MAX];
    struct stat          st;
    size_t               n = 0;
    CLEANUP(closep) int  fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < PAGES_MAX * PAGE);
    size_t len = (size_t)st.st_size;
    void  *at = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED && mincore(at, len, in) == 0);
    for (size_t i = 0; i < (len + PAGE - 1) / PAGE; i++)
        n += in[i] & 1;
    (void)munmap(at, len);
    return n;
}

static void test_what_is_synced_leaves_the_page_cache(void **state)
{
    struct fixture *f = *state;
    struct statfs   fs;
    char            path[FILE_PATH_MAX];

    assert_int_equal(statfs(f->home, &fs), 0);
    if (fs.f_type == TMPFS_MAGIC) /* it has nowhere else to keep a page */
        skip();
    f->config.limits.sync_ms = 1000 * 1000;
    fixture_open(f);
    fixture_file(f, 0, path);
    fixture_append(f, 500, false);
    assert_true(cached_pages(path) >= 20);
    fixture_append(f, 1, true);
    /* the last one; ext4 keeps several pages together */
    assert_in_range(cached_pages(path), 0, 16);
    fixture_append(f, 1, true);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

/* Appends ten megabytes as a load does it, in more than half a second. True if not half of it stays in memory. */
static bool leaves_memory(struct fixture *f, const char *path)
{
    size_t      before = cached_pages(path);
    struct stat from, to;

    assert_int_equal(stat(path, &from), 0);
    for (int i = 0; i < 30; i++) {
        fixture_append(f, 400, false);
        wait_ms(20);
    }
    assert_int_equal(stat(path, &to), 0);
    size_t pages = (size_t)(to.st_size - from.st_size) / 4096;
    assert_true(pages > 2000);
    return cached_pages(path) < before + pages / 2;
}

/* Long before a sync is due: no sync has megabytes to write at once. */
static void test_much_is_written_out_in_pieces(void **state)
{
    struct fixture     *f = *state;
    struct audit_counts c = { .syncs = 0 };
    struct statfs       fs;
    char                path[FILE_PATH_MAX];
    bool                left = false;

    assert_int_equal(statfs(f->home, &fs), 0);
    if (fs.f_type == TMPFS_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC)
        skip(); /* nowhere else to keep a page; passes nothing on that begins to write */
    f->config.limits.sync_ms = 1000 * 1000;
    fixture_open(f);
    fixture_append(f, 1, false);
    fixture_file(f, 0, path);
    audit_counts(f->audit, &c);
    uint64_t syncs = c.syncs;
    for (int tries = 0; tries < 4 && !left; tries++)
        left = leaves_memory(f, path); /* unless the disk is too busy to take it */
    assert_true(left);
    audit_counts(f->audit, &c);
    assert_int_equal(c.syncs, syncs);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_files_rotate_by_size(void **state)
{
    struct fixture *f = *state;

    f->config.limits.rotate_bytes = 8192;
    fixture_open(f);
    for (int round = 0; round < 3; round++) {
        size_t files = fixture_files(f);
        fixture_append(f, 40,
                       false); /* more than 8192 bytes; where it is slow, two files of them */
        for (int i = 0; i < 1000 && fixture_files(f) == files; i++)
            wait_ms(10);
        assert_true(fixture_files(f) > files);
    }
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
    /* every finished file ends with a checkpoint */
    for (size_t i = 0; i + 1 < fixture_files(f); i++) {
        CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
        char                            path[FILE_PATH_MAX];
        enum audit_kind                 kind;
        fixture_file(f, i, path);
        fixture_read(path, &text);
        const uint8_t *last = memrchr(text.ptr, '\n', text.len - 1);
        assert_true(audit_kind_of(bytes_of(last + 1, 200), &kind));
        assert_int_equal(kind, AUDIT_KIND_CHECKPOINT);
    }
    fixture_open(f);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_files_rotate_by_time(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append(f, 1, false);
    assert_true(clock_advance(f->clock, 2 * 3600 * 1000));
    for (int i = 0; i < 3000 && fixture_files(f) < 2; i++)
        wait_ms(10);
    assert_int_equal(fixture_files(f), 2);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_a_batch_is_one_unit(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    CLEANUP(buf_release) struct buf bad = BUF_INIT(65536);
    struct kms_error                err;

    fixture_open(f);
    fixture_event(f, &text);
    buf_add(&bad, buf_bytes(&text));
    buf_add_str(&bad, ",\"x\":\n1");
    const struct bytes events[3] = { buf_bytes(&text), buf_bytes(&text), buf_bytes(&bad) };
    assert_int_equal(audit_append(f->audit, events, 3, false, false, &err), KMS_E_INTERNAL);
    struct audit_counts c;
    audit_counts(f->audit, &c);
    assert_int_equal(c.seq, 0);
    assert_int_equal(audit_append(f->audit, events, 2, false, false, &err), KMS_OK);
    const struct bytes nothing = { NULL, 0 };
    assert_int_equal(audit_append(f->audit, &nothing, 1, false, false, &err), KMS_E_INTERNAL);
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.records, 3);
}

enum { WRITERS = 4, EACH = 400 };

/* Returns NULL, or what is wrong. */
static void *write_some(void *arg)
{
    static char                     failed[] = "append failed";
    struct fixture                  f = *(struct fixture *)arg; /* its own event counter */
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct kms_error                err;

    for (int i = 0; i < EACH; i++) {
        buf_reset(&text);
        fixture_event(&f, &text);
        struct bytes event = buf_bytes(&text);
        if (audit_append(f.audit, &event, 1, i % 10 == 0, false, &err) != KMS_OK)
            return failed;
    }
    return NULL;
}

static void test_many_threads_write_one_chain(void **state)
{
    struct fixture *f = *state;
    pthread_t       threads[WRITERS];

    f->config.limits.checkpoint_records = 100;
    f->config.limits.rotate_bytes = 300000;
    fixture_open(f);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, f), 0);
    for (int i = 0; i < WRITERS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.records - r.checkpoints, WRITERS * EACH);
}

static void test_events_are_found_by_id(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    char                            id[UUID_TEXT + 1] = { 0 };
    struct kms_error                err;

    f->config.limits.rotate_bytes = 20000;
    fixture_open(f);
    fixture_append(f, 5, false);
    fixture_event(f, &text);
    memcpy(id, audit_id_of(buf_bytes(&text)).ptr, UUID_TEXT);
    assert_false(audit_has_event(f->audit, id, 1000));
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append(f->audit, &event, 1, false, false, &err), KMS_OK);
    assert_true(audit_has_event(f->audit, id, 1));
    for (int i = 0; i < 10; i++) {
        fixture_append(f, 10, false);
        wait_ms(5);
    }
    for (int i = 0; i < 3000 && fixture_files(f) < 2; i++)
        wait_ms(10);
    assert_true(fixture_files(f) > 1);
    assert_true(audit_has_event(f->audit, id, 1000));
    assert_false(audit_has_event(f->audit, id, 50));
    assert_false(audit_has_event(f->audit, "00000000-0000-4000-8000-ffffffffffff", 1000));
}

/* --- crashes ------------------------------------------------------------------------------------------------ */

/* Leaves the fixture's log as a crash would: no closing checkpoint, `rest` behind the last line. */
static void crash_with(struct fixture *f, unsigned records, struct bytes rest)
{
    pid_t child = fork();
    char  path[FILE_PATH_MAX];

    assert_true(child >= 0);
    if (child == 0) {
        fixture_open(f);
        fixture_append(f, records, true);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    fixture_file(f, fixture_files(f) - 1, path);
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    assert_int_equal(fwrite(rest.ptr, 1, rest.len, file), rest.len);
    assert_int_equal(fclose(file), 0);
}

static void test_a_torn_line_is_cut(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append(f, 10, false);
    fixture_close(f);
    crash_with(f, 3, BYTES_LIT("{\"eventVersion\":\"1.11\",\"eve"));
    assert_int_equal(fixture_verify(f).verdict, AUDIT_INCOMPLETE);
    fixture_open(f);
    assert_int_equal(f->head.seq, 14);
    assert_int_equal(f->head.dropped, 27);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_zeros_of_a_power_cut_are_cut(void **state)
{
    struct fixture *f = *state;
    uint8_t         zeros[6000] = { 0 };

    fixture_open(f);
    fixture_append(f, 10, false);
    fixture_close(f);
    /* a later block made it to the disk, an earlier one did not */
    zeros[5000] = '\n';
    zeros[5999] = '\n';
    crash_with(f, 3, bytes_of(zeros, sizeof zeros));
    fixture_open(f);
    assert_int_equal(f->head.seq, 14);
    assert_int_equal(f->head.dropped, sizeof zeros);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_a_first_file_torn_from_the_start(void **state)
{
    struct fixture *f = *state;

    crash_with(f, 0, BYTES_LIT("{\"even"));
    fixture_open(f);
    assert_int_equal(f->head.seq, 0);
    assert_int_equal(f->head.dropped, 6);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

static void test_many_kills_lose_no_synced_record(void **state)
{
    struct fixture *f = *state;
    unsigned        kills = getenv("TRENT_TEST_LONG") != NULL ? 1000 : 25;
    int             acknowledged[2];
    uint64_t        before = 0;

    f->config.limits.checkpoint_records = 20;
    f->config.limits.rotate_bytes = 60000;
    f->config.limits.tick_ms = 1;
    for (unsigned i = 0; i < kills; i++) {
        uint64_t total = before;
        assert_int_equal(pipe(acknowledged), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fixture_open(f);
            for (;;) {
                fixture_append(f, 1, true);
                struct audit_counts c;
                audit_counts(f->audit, &c);
                if (write(acknowledged[1], &c.seq, sizeof c.seq) != sizeof c.seq)
                    _exit(1);
            }
        }
        (void)close(acknowledged[1]);
        wait_ms(2 + i * 7 % 40);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        uint64_t seq;
        while (read(acknowledged[0], &seq, sizeof seq) == sizeof seq)
            total = seq;
        (void)close(acknowledged[0]);
        struct audit_report r = fixture_verify(f);
        if (r.verdict == AUDIT_TAMPERED)
            fail_msg("false alarm: %s", r.why);
        assert_true(r.head_seq >= total);
        before = r.head_seq;
    }
    fixture_open(f);
    fixture_append(f, 1, false);
    fixture_close(f);
    assert_verdict(fixture_verify(f), AUDIT_GOOD);
}

/* --- what it refuses to open ------------------------------------------------------------------------------------ */

static void test_a_changed_tail_is_refused(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
    char                            path[FILE_PATH_MAX];

    fixture_open(f);
    fixture_append(f, 10, false);
    fixture_close(f);
    crash_with(f, 3, BYTES_LIT(""));
    fixture_file(f, 0, path);
    fixture_read(path, &text);
    /* the last record but one: its hash stands in the last */
    uint8_t *end = memrchr(text.ptr, '\n', text.len - 1);
    uint8_t *hit = memrchr(text.ptr, '\n', (size_t)(end - text.ptr));
    hit = memmem(hit, (size_t)(end - hit), "Encrypt", 7);
    assert_non_null(hit);
    hit[0] = 'e';
    fixture_write(path, buf_bytes(&text));
    const char *why = fixture_refused(f);
    assert_non_null(strstr(why, "after seq 13"));
    assert_non_null(strstr(why, "trent audit verify"));
}

static void test_a_changed_checkpoint_is_refused(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
    char                            path[FILE_PATH_MAX];

    fixture_open(f);
    fixture_append(f, 10, false);
    fixture_close(f);
    fixture_file(f, 0, path);
    fixture_read(path, &text);
    uint8_t *hit = memmem(text.ptr, text.len, "\"signature\":\"", 13);
    assert_non_null(hit);
    hit[20] = hit[20] == 'A' ? 'B' : 'A';
    fixture_write(path, buf_bytes(&text));
    assert_non_null(strstr(fixture_refused(f), "has not signed"));
}

static void test_another_instance_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t         other[16] = { 1 };
    uint8_t         key[32];

    fixture_open(f);
    fixture_append(f, 10, false);
    fixture_close(f);
    f->config.node = other;
    assert_non_null(strstr(fixture_refused(f), "another instance"));
    f->config.node = fixture_node;
    memcpy(key, fixture_public_key, sizeof key);
    f->config.public_key[0] ^= 1;
    assert_non_null(strstr(fixture_refused(f), "has not signed"));
    memcpy(f->config.public_key, key, sizeof key);
    fixture_open(f);
}

static void test_a_missing_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char            first[FILE_PATH_MAX];
    char            second[FILE_PATH_MAX];

    fixture_open(f);
    fixture_append(f, 3, false);
    assert_true(clock_advance(f->clock, 2 * 3600 * 1000));
    for (int i = 0; i < 3000 && fixture_files(f) < 2; i++)
        wait_ms(10);
    fixture_close(f); /* the second file is empty: its predecessor holds the last checkpoint */
    fixture_file(f, 0, first);
    fixture_file(f, 1, second);
    assert_int_equal(rename(first, "/tmp/trent-audit-away"), 0);
    (void)fixture_refused(f);
    assert_int_equal(rename("/tmp/trent-audit-away", first), 0);
    assert_int_equal(unlink(second), 0);
    fixture_open(f);
    assert_int_equal(f->head.seq, 4);
}

static void test_a_missing_folder_is_refused(void **state)
{
    struct fixture *f = *state;

    f->config.dir = "/nonexistent/audit";
    assert_non_null(strstr(fixture_refused(f), "/nonexistent/audit"));
    struct kms_error err;
    assert_int_equal(audit_create(&f->config, &err), KMS_E_INTERNAL);
    f->config.dir = f->dir; /* exists: nothing is overwritten */
    assert_int_equal(audit_create(&f->config, &err), KMS_E_INTERNAL);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_what_is_appended_verifies),
        WITH_FOLDER(test_reopening_goes_on_where_it_stopped),
        WITH_FOLDER(test_opening_without_writing_writes_nothing),
        WITH_FOLDER(test_the_head_knows_time_and_commit),
        WITH_FOLDER(test_a_checkpoint_comes_after_so_many_records),
        WITH_FOLDER(test_a_checkpoint_comes_after_some_time),
        WITH_FOLDER(test_what_is_written_is_synced_soon),
        WITH_FOLDER(test_what_is_synced_leaves_the_page_cache),
        WITH_FOLDER(test_much_is_written_out_in_pieces),
        WITH_FOLDER(test_files_rotate_by_size),
        WITH_FOLDER(test_files_rotate_by_time),
        WITH_FOLDER(test_a_batch_is_one_unit),
        WITH_FOLDER(test_many_threads_write_one_chain),
        WITH_FOLDER(test_events_are_found_by_id),
        WITH_FOLDER(test_a_torn_line_is_cut),
        WITH_FOLDER(test_zeros_of_a_power_cut_are_cut),
        WITH_FOLDER(test_a_first_file_torn_from_the_start),
        WITH_FOLDER(test_many_kills_lose_no_synced_record),
        WITH_FOLDER(test_a_changed_tail_is_refused),
        WITH_FOLDER(test_a_changed_checkpoint_is_refused),
        WITH_FOLDER(test_another_instance_is_refused),
        WITH_FOLDER(test_a_missing_file_is_refused),
        WITH_FOLDER(test_a_missing_folder_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
