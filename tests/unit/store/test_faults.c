/* tests/unit/store/test_faults.c - full disk, failing disk, memory that runs out, a crash: at every
 * point of a batch, either all of it happens or nothing, and what was reported is what is there. */
#include "fixture.h"
#include "alarm.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- faults ----------------------------------------------------------------------------------- */

/* Counts calls down; fails the one at which it is zero, and all after it if `stays`. */
struct fault {
    bool armed, stays, fired;
    long left;
    int  error;
};
static struct fault writes, syncs, allocations;

static bool hit(struct fault *f)
{
    if (!f->armed || (f->left-- > 0))
        return false;
    if (!f->stays)
        f->armed = false;
    f->fired = true;
    errno = f->error;
    return true;
}

static void arm(struct fault *f, long at, bool stays, int error)
{
    *f = (struct fault){ .armed = true, .stays = stays, .left = at, .error = error };
}

static bool disarm(struct fault *f)
{
    f->armed = false;
    return f->fired;
}

static ssize_t failing_pwrite(int fd, const void *from, size_t len, off_t at)
{
    return hit(&writes) ? -1 : pwrite(fd, from, len, at);
}

static ssize_t failing_write(int fd, const void *from, size_t len)
{
    return hit(&writes) ? -1 : write(fd, from, len);
}

/* SQLite's library calls these instead of libc's. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return hit(&syncs) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return hit(&syncs) ? -1 : (int)syscall(SYS_fsync, fd);
}

static sqlite3_mem_methods memory;

static void *failing_malloc(int len)
{
    return hit(&allocations) ? NULL : memory.xMalloc(len);
}

static void *failing_realloc(void *p, int len)
{
    return hit(&allocations) ? NULL : memory.xRealloc(p, len);
}

/* Puts the three in place, before SQLite is first used. */
static void install(void)
{
    sqlite3_mem_methods mine;
    sqlite3_vfs        *vfs;

    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
    mine = memory;
    mine.xMalloc = failing_malloc;
    mine.xRealloc = failing_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
    vfs = sqlite3_vfs_find(NULL);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)failing_pwrite),
                     SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)failing_write),
                     SQLITE_OK);
    (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
}

static struct rung rung; /* of the store of the present scenario */

/* --- the scenario ----------------------------------------------------------------------------- */

/* A key is there; the batch changes it and makes another with alias, tombstone and event. */
struct scenario {
    struct fixture    *f;
    struct key_record *old;
    struct change      update, insert;
    enum kms_status    results[2];
};

/* The database with that key, made once: there are some two thousand points to fail at. */
static struct {
    uint8_t           *content;
    size_t             len;
    struct key_record *key;
    uint64_t           random;
} made;

static struct fixture *fixture_with_key(void)
{
    void *state = NULL;

    assert_int_equal(made.content == NULL ? fixture_setup(&state) : fixture_setup_closed(&state),
                     0);
    struct fixture *f = state;
    if (made.content == NULL) {
        made.key = random_key(f);
        add_key(f, made.key);
        made.random = f->random;
        fixture_close(f);
        made.content = fixture_file(f->path, &made.len);
    }
    fixture_write(f->path, made.content, made.len);
    f->random = made.random;
    fixture_open(f);
    return f;
}

static void begin(struct scenario *sc)
{
    *sc = (struct scenario){ .f = fixture_with_key() };
    rung = (struct rung){ 0 };
    sc->f->store->alarm = rung_alarm(&rung);
    sc->old = key_record_clone(made.key);
    change_add(&sc->update, ROW_KEY_UPDATE)->key = key_record_clone(sc->old);
    random_edit(sc->f, sc->update.rows[0].key);
    change_add(&sc->insert, ROW_KEY_INSERT)->key = random_key(sc->f);
    change_add(&sc->insert, ROW_ALIAS_INSERT)->alias = random_alias(sc->f, sc->insert.rows[0].key);
    change_add(&sc->insert, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(sc->f);
    sc->insert.event = BUF_INIT(100);
    buf_add_str(&sc->insert.event, "{\"event\":1");
}

static void end(struct scenario *sc)
{
    void *state = sc->f;

    change_release(&sc->update);
    change_release(&sc->insert);
    key_record_free(sc->old);
    assert_int_equal(fixture_teardown(&state), 0);
}

static enum kms_status run(struct scenario *sc)
{
    struct change     *list[] = { &sc->update, &sc->insert };
    struct store_batch b = { .changes = list, .results = sc->results, .n = 2 };

    return sc->f->store->ops->apply(sc->f->store, &b, &sc->f->error);
}

static void assert_all_failed(const struct scenario *sc)
{
    assert_int_equal(sc->results[0], KMS_E_INTERNAL);
    assert_int_equal(sc->results[1], KMS_E_INTERNAL);
    assert_true(sc->insert.rows[0].key->serial == 0 && sc->insert.rows[1].alias->serial == 0);
    assert_true(sc->insert.rows[2].tombstone->serial == 0);
}

/* What is in the database: true for all of the batch, false for nothing; else the test fails. */
static bool batch_is_there(struct scenario *sc)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(sc->f, &l);
    bool there = l.keys.n == 2;
    assert_int_equal(l.keys.n, there ? 2 : 1);
    assert_int_equal(l.aliases.n, there);
    assert_int_equal(l.tombstones.n, there);
    assert_int_equal(l.events.n, there);
    if (there) {
        uint64_t serial =
            sc->insert.rows[0].key->serial; /* 0 if the batch was reported as failed */
        sc->insert.rows[0].key->serial = 2;
        assert_keys_equal(loaded_key(&l, sc->insert.rows[0].key), sc->insert.rows[0].key);
        sc->insert.rows[0].key->serial = serial;
    }
    assert_keys_equal(loaded_key(&l, sc->old), there ? sc->update.rows[0].key : sc->old);
    assert_ok(sc->f, sc->f->store->ops->check(sc->f->store, &sc->f->error));
    return there;
}

/* --- full disk -------------------------------------------------------------------------------- */

static void full_disk(bool stays)
{
    for (long at = 0;; at++) {
        struct scenario sc;
        begin(&sc);
        arm(&writes, at, stays, ENOSPC);
        enum kms_status status = run(&sc);
        bool            fired = disarm(&writes);
        if (!fired) {
            assert_int_equal(status, KMS_OK);
            end(&sc);
            assert_true(at > 3); /* there was something to fail */
            return;
        }
        assert_int_equal(status, KMS_E_INTERNAL);
        assert_contains(sc.f->error.detail, "no space left for database");
        assert_all_failed(&sc);
        assert_false(batch_is_there(&sc));
        if (at % 2 == 0) { /* there is space again: at once, or after a restart */
            fixture_reopen(sc.f);
            assert_false(batch_is_there(&sc));
        }
        assert_int_equal(run(&sc), KMS_OK);
        assert_true(sc.results[0] == KMS_OK && sc.results[1] == KMS_OK);
        assert_true(sc.insert.rows[0].key->serial == 2);
        assert_true(batch_is_there(&sc));
        fixture_reopen(sc.f);
        assert_true(batch_is_there(&sc));
        assert_int_equal(rung.times, 0);
        end(&sc);
    }
}

static void test_full_disk(void **state)
{
    (void)state;
    full_disk(false);
    full_disk(true);
}

/* The clock's floor and scrub meet a full disk, too. */
static void test_full_disk_elsewhere(void **state)
{
    struct scenario sc;
    bool            clean = false;

    (void)state;
    begin(&sc);
    struct store *s = sc.f->store;
    assert_ok(sc.f, s->ops->set_clock_floor(s, 1, &sc.f->error)); /* something to scrub */
    arm(&writes, 0, true, ENOSPC);
    assert_int_equal(s->ops->set_clock_floor(s, 5, &sc.f->error), KMS_E_INTERNAL);
    assert_true(s->meta.clock_floor == 1);
    assert_int_equal(s->ops->scrub(s, &clean, &sc.f->error), KMS_E_INTERNAL);
    assert_false(clean);
    assert_true(disarm(&writes));
    assert_ok(sc.f, s->ops->set_clock_floor(s, 5, &sc.f->error));
    assert_ok(sc.f, s->ops->scrub(s, &clean, &sc.f->error));
    assert_true(clean && s->meta.clock_floor == 5);
    assert_int_equal(rung.times, 0);
    end(&sc);
}

/* --- failing disk ----------------------------------------------------------------------------- */

/* A write or sync that fails in the commit leaves its outcome open: nothing is done any more until
 * the next start, which shows all or nothing. */
static void failing_disk(struct fault *fault, bool stays)
{
    size_t failures = 0;

    for (long at = 0;; at++) {
        struct scenario sc;
        bool            clean = false;
        begin(&sc);
        arm(fault, at, stays, EIO);
        enum kms_status status = run(&sc);
        bool            fired = disarm(fault);
        if (!fired) {
            assert_int_equal(status, KMS_OK);
            end(&sc);
            assert_true(failures > 0);
            return;
        }
        if (status == KMS_OK) { /* SQLite's sync of the folder, which open has done before */
            fixture_reopen(sc.f);
            assert_true(batch_is_there(&sc));
            end(&sc);
            continue;
        }
        assert_int_equal(status, KMS_E_INTERNAL);
        assert_all_failed(&sc);
        assert_int_equal(rung.times, 1);
        assert_contains(rung.what, "cannot write database '");
        failures++;
        assert_int_equal(run(&sc), KMS_E_INTERNAL);
        assert_contains(sc.f->error.detail, "check the disk and restart");
        assert_all_failed(&sc);
        assert_int_equal(fixture_load(sc.f), KMS_E_INTERNAL);
        assert_int_equal(sc.f->store->ops->scrub(sc.f->store, &clean, &sc.f->error),
                         KMS_E_INTERNAL);
        assert_int_equal(sc.f->store->ops->set_clock_floor(sc.f->store, 9, &sc.f->error),
                         KMS_E_INTERNAL);
        assert_int_equal(rung.times, 1);
        fixture_reopen(sc.f);
        if (!batch_is_there(&sc)) {
            assert_int_equal(run(&sc), KMS_OK);
            assert_true(sc.results[0] == KMS_OK && sc.results[1] == KMS_OK);
            assert_true(batch_is_there(&sc));
        }
        end(&sc);
    }
}

static void test_failing_write(void **state)
{
    (void)state;
    failing_disk(&writes, false);
    failing_disk(&writes, true);
}

static void test_failing_sync(void **state)
{
    (void)state;
    failing_disk(&syncs, false);
    failing_disk(&syncs, true);
}

/* The same for what a scrub writes and syncs, after which the commits before it are still there. */
static void failing_scrub(struct fault *fault)
{
    for (long at = 0;; at++) {
        struct scenario sc;
        bool            clean = false;
        begin(&sc);
        assert_int_equal(run(&sc), KMS_OK);
        arm(fault, at, false, EIO);
        enum kms_status status = sc.f->store->ops->scrub(sc.f->store, &clean, &sc.f->error);
        bool            fired = disarm(fault);
        assert_int_equal(status, fired ? KMS_E_INTERNAL : KMS_OK);
        assert_int_equal(rung.times, fired);
        assert_int_equal(clean, !fired);
        if (fired) {
            assert_int_equal(sc.f->store->ops->scrub(sc.f->store, &clean, &sc.f->error),
                             KMS_E_INTERNAL);
            assert_contains(sc.f->error.detail, "check the disk and restart");
        }
        fixture_reopen(sc.f);
        assert_true(batch_is_there(&sc));
        end(&sc);
        if (!fired) {
            assert_true(at > 0);
            return;
        }
    }
}

static void test_failing_scrub(void **state)
{
    (void)state;
    failing_scrub(&writes);
    failing_scrub(&syncs);
}

/* The WAL is copied into the file after every so many commits, which SQLite would keep to itself when
 * it fails: the commit is there, but nothing more is done. */
static void test_failing_copy_of_the_wal(void **state)
{
    struct scenario sc;
    struct store   *s;
    long            writes_of_one;
    int64_t         now = 1;

    (void)state;
    begin(&sc);
    s = sc.f->store;
    assert_ok(sc.f, s->ops->set_clock_floor(s, now, &sc.f->error)); /* begins the WAL */
    arm(&writes, 1000000, false, EIO);
    assert_ok(sc.f, s->ops->set_clock_floor(s, ++now, &sc.f->error));
    writes_of_one = 1000000 - writes.left;
    for (bool failed = false; !failed;) { /* the first write of the copy */
        assert_true(now < 2000);
        arm(&writes, writes_of_one, false, EIO);
        assert_ok(sc.f, s->ops->set_clock_floor(s, ++now, &sc.f->error));
        failed = disarm(&writes);
    }
    assert_int_equal(rung.times, 1);
    assert_int_equal(s->ops->set_clock_floor(s, now + 1, &sc.f->error), KMS_E_INTERNAL);
    assert_int_equal(rung.times, 1);
    fixture_reopen(sc.f);
    assert_true(sc.f->store->meta.clock_floor == now);
    end(&sc);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Whatever is reported is so, and the store goes on when there is memory. Returns the runs. */
static long no_memory_to_apply(bool stays)
{
    bool fired = true;
    long at = 0;

    while (fired) { /* a store of its own for each time that it succeeds */
        struct scenario sc;
        enum kms_status status = KMS_E_INTERNAL;
        begin(&sc);
        for (; status != KMS_OK; at++) {
            arm(&allocations, at, stays, ENOMEM);
            status = run(&sc);
            fired = disarm(&allocations);
            if (status != KMS_OK)
                assert_all_failed(&sc);
            if (at % 20 == 0)
                fixture_reopen(sc.f);
            assert_int_equal(batch_is_there(&sc), status == KMS_OK);
        }
        assert_true(sc.results[0] == KMS_OK && sc.results[1] == KMS_OK);
        fixture_reopen(sc.f);
        assert_true(batch_is_there(&sc));
        end(&sc);
    }
    return at;
}

static void test_no_memory_to_apply(void **state)
{
    (void)state;
    assert_true(no_memory_to_apply(false) > 10);
    assert_true(no_memory_to_apply(true) > 10);
}

static void test_no_memory_to_open(void **state)
{
    struct scenario sc;
    long            at = 0;

    (void)state;
    begin(&sc);
    assert_int_equal(run(&sc), KMS_OK);
    fixture_close(sc.f);
    for (bool fired = true; fired; at++) {
        arm(&allocations, at, true, ENOMEM);
        enum kms_status status = store_sqlite_open(sc.f->path, fixture_instance, fixture_mac, NULL,
                                                   &sc.f->store, &sc.f->error);
        fired = disarm(&allocations);
        if (status == KMS_OK)
            fixture_close(sc.f);
        else
            assert_true(fired && sc.f->store == NULL && sc.f->error.detail[0] != '\0');
    }
    assert_true(at > 50);
    fixture_open(sc.f);
    assert_true(batch_is_there(&sc));
    end(&sc);
}

static void test_no_memory_to_load(void **state)
{
    struct scenario sc;
    long            at = 0;

    (void)state;
    begin(&sc);
    assert_int_equal(run(&sc), KMS_OK);
    for (bool fired = true; fired; at++) {
        fixture_reopen(sc.f);
        arm(&allocations, at, true, ENOMEM);
        enum kms_status status = fixture_load(sc.f);
        fired = disarm(&allocations);
        assert_true(status == KMS_OK || (fired && status == KMS_E_MEMORY));
        assert_true(batch_is_there(&sc));
    }
    assert_true(at > 3);
    end(&sc);
}

/* Neither gone nor damaged: whoever asked has to be able to tell. */
static void test_no_memory_to_find(void **state)
{
    const struct key_want want = { .kind = WANT_SERIAL, .serial = 1 };
    struct scenario       sc;
    long                  at = 0;

    (void)state;
    begin(&sc);
    for (bool fired = true; fired; at++) {
        struct stored_key got;
        fixture_reopen(sc.f);
        arm(&allocations, at, true, ENOMEM);
        enum kms_status status = sc.f->store->ops->find_key(sc.f->store, &want, &got, &sc.f->error);
        fired = disarm(&allocations);
        assert_true(status == KMS_OK ? got.key != NULL : fired && status == KMS_E_MEMORY);
        key_record_free(got.key);
    }
    assert_true(at > 3);
    end(&sc);
}

/* --- crash ------------------------------------------------------------------------------------ */

/* Killed between the last row and the commit: nothing of it is there. */
static void test_killed_before_commit(void **state)
{
    struct scenario sc;
    int             status = 0;

    (void)state;
    begin(&sc);
    fixture_close(sc.f);
    pid_t child = fork();
    if (child == 0) {
        fixture_open(sc.f);
#ifdef KMS_CRASH_POINTS
        (void)setenv("TRENT_CRASH_POINT", "store-before-commit", 1);
        (void)run(&sc);
#else
        struct sqlite_store *s = (struct sqlite_store *)sc.f->store;
        if (statement_run(s, STMT_BEGIN, NULL, NULL) == KMS_OK &&
            row_put(s, STMT_KEY_UPDATE, &row_keys, sc.update.rows[0].key, NULL) == KMS_OK)
            (void)kill(getpid(), SIGKILL);
#endif
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture_open(sc.f);
    assert_false(batch_is_there(&sc));
    assert_int_equal(run(&sc), KMS_OK);
    assert_true(batch_is_there(&sc));
    end(&sc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_full_disk_elsewhere),
        cmocka_unit_test(test_failing_write),
        cmocka_unit_test(test_failing_sync),
        cmocka_unit_test(test_failing_scrub),
        cmocka_unit_test(test_failing_copy_of_the_wal),
        cmocka_unit_test(test_no_memory_to_apply),
        cmocka_unit_test(test_no_memory_to_open),
        cmocka_unit_test(test_no_memory_to_load),
        cmocka_unit_test(test_no_memory_to_find),
        cmocka_unit_test(test_killed_before_commit),
    };

    install();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    key_record_free(made.key);
    free(made.content);
    return failed;
}
