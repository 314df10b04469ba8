/* tests/unit/store/test_refuse.c - every reason not to open or create a database, each with one
 * clear line, and nothing is written when opening is refused. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The bytes of the database and of its WAL. */
struct snapshot {
    uint8_t *bytes[2];
    size_t   len[2];
};

static void wal_path(const struct fixture *f, char out[128])
{
    (void)snprintf(out, 128, "%s-wal", f->path);
}

static struct snapshot take(const struct fixture *f)
{
    struct snapshot s;
    char            wal[128];

    wal_path(f, wal);
    s.bytes[0] = fixture_file(f->path, &s.len[0]);
    s.bytes[1] = fixture_file(wal, &s.len[1]);
    return s;
}

static void assert_unchanged(const struct fixture *f, struct snapshot *before)
{
    struct snapshot now = take(f);

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(now.len[i], before->len[i]);
        assert_true(now.len[i] == 0 || memcmp(now.bytes[i], before->bytes[i], now.len[i]) == 0);
        free(now.bytes[i]);
        free(before->bytes[i]);
    }
}

/* Opening and peeking are refused with this, and leave the files alone. */
static void assert_refused(struct fixture *f, const char *reason, bool peek_too)
{
    struct snapshot   before = take(f);
    struct store_meta m;

    const char *detail = fixture_refused(f);
    assert_contains(detail, reason);
    assert_contains(detail, f->path);
    if (peek_too) {
        assert_int_equal(store_sqlite_peek(f->path, &m, &f->error), KMS_E_INTERNAL);
        assert_contains(f->error.detail, reason);
    }
    assert_unchanged(f, &before);
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    struct stat     st;

    fixture_close(f);
    assert_int_equal(unlink(f->path), 0);
    assert_refused(f, "is missing: restore it from a backup, or initialise", true);
    assert_int_equal(stat(f->path, &st), -1); /* and was not made */
    (void)snprintf(f->path, sizeof f->path, "%s/none/trent.db", f->dir);
    assert_refused(f, "is missing", true);
    (void)snprintf(f->path, sizeof f->path, "%s", f->dir);
    assert_refused(f, "is not a regular file", true);
}

static void test_not_a_database(void **state)
{
    struct fixture *f = *state;
    char            text[5000];

    fixture_close(f);
    memset(text, 'x', sizeof text);
    fixture_write(f->path, "", 0);
    assert_refused(f, "is not a database: restore it", true);
    fixture_write(f->path, text, 50);
    assert_refused(f, "is not a database", true);
    fixture_write(f->path, text, sizeof text);
    assert_refused(f, "is not a database", true);
}

static void test_of_another_program(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    assert_int_equal(unlink(f->path), 0);
    fixture_write(f->path, "", 0);
    fixture_sql(f,
                "PRAGMA journal_mode=WAL; CREATE TABLE bookmarks (url); PRAGMA application_id=7");
    assert_refused(f, "belongs to another program (application_id 0x7): choose another data", true);
    fixture_sql(f, "PRAGMA application_id=0");
    assert_refused(f, "belongs to another program", true);
}

static void test_newer(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    fixture_sql(f, "PRAGMA user_version=99");
    assert_refused(f, "has schema version 99, this program knows up to 5: run the newer", true);
    fixture_sql(f, "PRAGMA user_version=-1");
    assert_refused(f, "has schema version -1", true);
}

static void test_of_another_instance(void **state)
{
    struct fixture *f = *state;
    uint8_t         other[16];
    struct store   *store = NULL;

    fixture_close(f);
    struct snapshot before = take(f);
    memcpy(other, fixture_instance, sizeof other);
    other[15]++;
    assert_int_equal(store_sqlite_open(f->path, other, fixture_mac, NULL, &store, &f->error),
                     KMS_E_INTERNAL);
    assert_contains(f->error.detail,
                    "belongs to another instance than the files beside it: put back");
    assert_unchanged(f, &before);
}

static void test_tables_missing(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    fixture_sql(f, "DROP TABLE aliases");
    assert_contains(fixture_refused(f), "has not the tables it should have");
    fixture_sql(f, "DROP TABLE meta");
    assert_refused(f, "is damaged (table meta)", true);
}

/* Layouts that page.c does not expect. */
static void test_other_layout(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    fixture_sql(f, "PRAGMA journal_mode=DELETE");
    fixture_open(f); /* and is set to WAL again */
    struct sqlite_store *s = (struct sqlite_store *)f->store;
    char                 mode[16];
    assert_ok(f, database_ask(s->db, f->path, "PRAGMA journal_mode", mode, sizeof mode, &f->error));
    assert_string_equal(mode, "wal");
    fixture_close(f);
    fixture_sql(f, "PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM");
    assert_refused(f, "'PRAGMA page_size' answers '8192' and must answer '4096'", false);
    fixture_sql(f, "PRAGMA page_size=4096; PRAGMA auto_vacuum=FULL; VACUUM");
    assert_refused(f, "'PRAGMA auto_vacuum' answers '1' and must answer '0'", false);
}

static void test_settings(void **state)
{
    static const struct {
        const char *pragma, *want;
    } settings[] = {
        { "journal_mode", "wal" },
        { "locking_mode", "exclusive" },
        { "synchronous", "2" },
        { "secure_delete", "1" },
        { "temp_store", "2" },
        { "mmap_size", "0" },
        { "trusted_schema", "0" },
        { "cell_size_check", "1" },
        { "foreign_keys", "1" },
        { "user_version", "5" },
        { "application_id", "1414680148" },
        { "max_page_count", "33554431" },
    };
    struct fixture      *f = *state;
    struct sqlite_store *s = (struct sqlite_store *)f->store;
    struct stat          st;

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        char sql[64];
        char got[32];
        (void)snprintf(sql, sizeof sql, "PRAGMA %s", settings[i].pragma);
        assert_ok(f, database_ask(s->db, f->path, sql, got, sizeof got, &f->error));
        assert_string_equal(got, settings[i].want);
    }
    int on = 0;
    assert_int_equal(sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, -1, &on), SQLITE_OK);
    assert_int_equal(on, 1);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    for (size_t i = 0; i < STMT_COUNT; i++)
        assert_true(statement_sql[i] != NULL && s->statements[i] != NULL);
}

/* --- in use ----------------------------------------------------------------------------------- */

/* A child that opens the database, commits an account, and waits to be killed. */
static pid_t child_in_use(struct fixture *f)
{
    int  ready[2];
    char byte = 0;

    fixture_close(f);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct change c = { 0 };
        fixture_open(f);
        change_add(&c, ROW_ACCOUNT_INSERT)->account = random_account(f);
        if (fixture_apply(f, &c) != KMS_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return child;
}

static void test_in_use(void **state)
{
    struct fixture *f = *state;
    pid_t           child = child_in_use(f);

    assert_refused(f, "is in use by another process: stop the other trentd or trent", true);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);

    /* looking leaves the WAL that a crash left; opening takes it in */
    struct snapshot   before = take(f);
    struct store_meta m;
    assert_true(before.len[1] > 0);
    assert_ok(f, store_sqlite_peek(f->path, &m, &f->error));
    assert_true(m.commit == 1);
    assert_unchanged(f, &before);
    fixture_open(f);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.accounts.n, 1);
}

/* Refused after a crash of the owner, the WAL stays for the right program to open. */
static void test_refusal_leaves_the_wal(void **state)
{
    struct fixture *f = *state;
    pid_t           child = child_in_use(f);
    struct store   *store = NULL;
    uint8_t         other[16] = { 0 };

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct snapshot before = take(f);
    assert_true(before.len[1] > 0);
    assert_int_equal(store_sqlite_open(f->path, other, fixture_mac, NULL, &store, &f->error),
                     KMS_E_INTERNAL);
    assert_unchanged(f, &before);
}

static void test_open_twice_in_one_process(void **state)
{
    struct fixture *f = *state;
    struct store   *first = f->store;

    assert_contains(fixture_refused(f), "is in use");
    /* and the first one's lock against other processes is still there: closing any descriptor of
     * the file would have dropped it */
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int          fd = open(f->path, O_RDWR | O_CLOEXEC);
        _exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ptr_equal(f->store, first);
}

static void test_not_writable(void **state)
{
    struct fixture *f = *state;
    int             status = -1;

    fixture_close(f);
    assert_int_equal(chmod(f->path, 0444), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    pid_t child = fork();
    if (child == 0) { /* root may write all the same */
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        struct store   *store = NULL;
        enum kms_status got = store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL,
                                                &store, &f->error);
        _exit(got == KMS_E_INTERNAL && strstr(f->error.detail, "is not writable") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void fill(struct fixture *f, struct key_record **keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        keys[i] = random_key(f);
        add_key(f, keys[i]);
    }
    fixture_close(f);
}

static void test_truncated(void **state)
{
    struct fixture    *f = *state;
    struct key_record *keys[20];
    size_t             len;

    fill(f, keys, ARRAY_LEN(keys));
    CLEANUP(freep) uint8_t *content = fixture_file(f->path, &len);
    for (size_t cut = 1; cut < 16; cut++) {
        fixture_write(f->path, content, len * cut / 16 / 4096 * 4096);
        const char *detail = fixture_refused(f);
        if (strstr(detail, "is damaged") == NULL && strstr(detail, "is not a database") == NULL)
            fail_msg("%s", detail);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        key_record_free(keys[i]);
}

/* Random damage is refused, or it does not matter: what loads is what was stored. */
static void test_random_damage(void **state)
{
    struct fixture    *f = *state;
    struct key_record *keys[20];
    size_t             len;
    size_t             refused = 0;
    size_t             unloadable = 0;

    fill(f, keys, ARRAY_LEN(keys));
    CLEANUP(freep) uint8_t *content = fixture_file(f->path, &len);
    for (size_t round = 0; round < 400; round++) {
        CLEANUP(freep) uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, content, len);
        random_fill(f, copy + random_below(f, len - 8), 1 + random_below(f, 8));
        fixture_write(f->path, copy, len);
        if (store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL, &f->store, &f->error) !=
            KMS_OK) {
            assert_null(strchr(f->error.detail, '\n'));
            refused++;
            continue;
        }
        if (fixture_load(f) == KMS_OK) {
            CLEANUP(loaded_release) struct loaded l;
            loaded_from(f, &l);
            assert_int_equal(l.keys.n, ARRAY_LEN(keys));
            for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                assert_keys_equal(l.keys.at[i], keys[i]);
        } else {
            unloadable++;
        }
        fixture_close(f);
    }
    assert_true(refused > 10 && unloadable > 10);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        key_record_free(keys[i]);
    fixture_write(f->path, content, len);
}

/* --- creating --------------------------------------------------------------------------------- */

static const char *create_refused(struct fixture *f)
{
    assert_int_equal(store_sqlite_create(f->path, fixture_instance, &f->error), KMS_E_INTERNAL);
    return f->error.detail;
}

static bool exists(const struct fixture *f, const char *suffix)
{
    char        path[128];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s%s", f->path, suffix);
    return lstat(path, &st) == 0;
}

static void test_create_overwrites_nothing(void **state)
{
    static const char *const leftovers[] = { "", "-wal", "-journal" };
    struct fixture          *f = *state;

    fixture_close(f);
    struct snapshot before = take(f);
    assert_contains(create_refused(f), "exists already");
    assert_unchanged(f, &before);
    for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
        char path[128];
        (void)snprintf(f->path, sizeof f->path, "%s/other%zu.db", f->dir, i);
        (void)snprintf(path, sizeof path, "%s%s", f->path, leftovers[i]);
        fixture_write(path, "old", 3);
        assert_contains(create_refused(f), path);
    }
    (void)snprintf(f->path, sizeof f->path, "%s/link.db", f->dir);
    assert_int_equal(symlink("/nowhere/at/all", f->path), 0);
    assert_contains(create_refused(f), "exists already");
}

static void test_create(void **state)
{
    struct fixture *f = *state;
    char            path[128];

    fixture_close(f);
    (void)snprintf(f->path, sizeof f->path, "%s/fresh.db", f->dir);
    (void)snprintf(path, sizeof path, "%s.new", f->path);
    fixture_write(path, "unfinished", 10); /* of a creation that was interrupted */
    assert_ok(f, store_sqlite_create(f->path, fixture_instance, &f->error));
    assert_true(exists(f, ""));
    assert_false(exists(f, "-wal") || exists(f, "-shm") || exists(f, "-journal") ||
                 exists(f, ".new"));
    fixture_open(f);
    assert_true(exists(f, "-wal")); /* so that opening can sync its name */
    assert_true(f->store->meta.commit == 0 && f->store->meta.clock_floor == 0);
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    fixture_close(f);
    assert_false(exists(f, "-wal") || exists(f, "-shm"));

    (void)snprintf(f->path, sizeof f->path, "%s/none/fresh.db", f->dir);
    assert_contains(create_refused(f), "cannot create database");
}

static void test_long_path(void **state)
{
    struct fixture      *f = *state;
    CLEANUP(freep) char *path = calloc(1, 5001);
    struct store        *store = NULL;

    assert_non_null(path);
    memset(path, 'x', 5000);
    assert_int_equal(store_sqlite_create(path, fixture_instance, &f->error), KMS_E_INTERNAL);
    assert_contains(f->error.detail, "is too long");
    assert_int_equal(
        store_sqlite_open(path, fixture_instance, fixture_mac, NULL, &store, &f->error),
        KMS_E_INTERNAL);
    assert_contains(f->error.detail, "cannot open database");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_missing),
        TEST(test_not_a_database),
        TEST(test_of_another_program),
        TEST(test_newer),
        TEST(test_of_another_instance),
        TEST(test_tables_missing),
        TEST(test_other_layout),
        TEST(test_settings),
        TEST(test_in_use),
        TEST(test_refusal_leaves_the_wal),
        TEST(test_open_twice_in_one_process),
        TEST(test_not_writable),
        TEST(test_truncated),
        TEST(test_random_damage),
        TEST(test_create_overwrites_nothing),
        TEST(test_create),
        TEST(test_long_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
