/* tests/unit/store/test_schema.c - from an older version to the newest, in one transaction or not
 * at all. */
#include "fixture.h"

/* A history of its own: three versions. */
static enum kms_status sum_up(struct sqlite_store *s, struct kms_error *reterr)
{
    return database_exec(s->db, s->path, "UPDATE b SET total = (SELECT sum(n) FROM a)", "migrate",
                         reterr);
}

static enum kms_status cannot(struct sqlite_store *s, struct kms_error *reterr)
{
    TRY(database_exec(s->db, s->path, "DELETE FROM a", "migrate", reterr));
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "this step cannot be done");
}

#define STEP_1 "CREATE TABLE a (n INTEGER PRIMARY KEY) STRICT; INSERT INTO a VALUES (1), (2);"
#define STEP_2 "ALTER TABLE a ADD COLUMN m INTEGER NOT NULL DEFAULT 7;"
#define STEP_3 "CREATE TABLE b (total INTEGER) STRICT; INSERT INTO b VALUES (NULL);"

static const struct schema_step good[] = { { STEP_1, NULL }, { STEP_2, NULL }, { STEP_3, sum_up } };
static const struct schema_step bad_sql[] = { { STEP_1, NULL },
                                              { STEP_2, NULL },
                                              { STEP_3 "INSERT INTO nowhere VALUES (1)", NULL } };
static const struct schema_step bad_code[] = { { STEP_1, NULL },
                                               { STEP_2, NULL },
                                               { STEP_3, cannot } };
static const struct schema_step dangling[] = {
    { STEP_1, NULL },
    { STEP_2, NULL },
    { "CREATE TABLE c (n INTEGER REFERENCES a (n)) STRICT; INSERT INTO c VALUES (1), (5)", NULL },
};

struct history {
    struct fixture      f; /* only dir and path */
    struct sqlite_store s; /* only db and path */
};

static int setup(void **state)
{
    struct history *h = calloc(1, sizeof *h);

    assert_non_null(h);
    (void)snprintf(h->f.dir, sizeof h->f.dir, "/tmp/trent-schema-XXXXXX");
    assert_non_null(mkdtemp(h->f.dir));
    (void)snprintf(h->f.path, sizeof h->f.path, "%s/history.db", h->f.dir);
    h->s.path = h->f.path;
    assert_int_equal(sqlite3_open(h->f.path, &h->s.db), SQLITE_OK);
    assert_ok(&h->f,
              database_exec(h->s.db, h->f.path, "PRAGMA foreign_keys=ON", "set up", &h->f.error));
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct history *h = *state;

    assert_int_equal(sqlite3_close(h->s.db), SQLITE_OK);
    (void)remove(h->f.path);
    (void)remove(h->f.dir);
    free(h);
    return 0;
}

static const char *ask(struct history *h, const char *sql)
{
    static char answer[64];

    assert_ok(&h->f, database_ask(h->s.db, h->f.path, sql, answer, sizeof answer, &h->f.error));
    return answer;
}

static void migrate_to(struct history *h, const struct schema_step *steps, unsigned newest)
{
    assert_ok(&h->f, schema_migrate(&h->s, steps, newest, &h->f.error));
}

static void test_from_every_version(void **state)
{
    struct history *h = *state;

    for (unsigned from = 0; from <= 3; from++) {
        migrate_to(h, good, from);
        if (from > 0)
            assert_ok(&h->f, database_exec(h->s.db, h->f.path, "INSERT INTO a (n) VALUES (10)",
                                           "write", &h->f.error));
        migrate_to(h, good, 3);
        migrate_to(h, good, 3); /* nothing left to do */
        assert_string_equal(ask(h, "PRAGMA user_version"), "3");
        assert_string_equal(ask(h, "PRAGMA foreign_keys"), "1");
        assert_string_equal(ask(h, "SELECT sum(m) FROM a"), from == 0 ? "14" : "21");
        assert_string_equal(ask(h, "SELECT total FROM b"), from == 0 || from == 3 ? "3" : "13");
        assert_int_equal(sqlite3_close(h->s.db), SQLITE_OK);
        (void)remove(h->f.path);
        assert_int_equal(sqlite3_open(h->f.path, &h->s.db), SQLITE_OK);
    }
}

static void refused(struct history *h, const struct schema_step *steps, const char *reason)
{
    assert_int_equal(schema_migrate(&h->s, steps, 3, &h->f.error), KMS_E_INTERNAL);
    assert_contains(h->f.error.detail, reason);
    assert_string_equal(ask(h, "PRAGMA user_version"), "1");
    assert_string_equal(ask(h, "SELECT count(*) FROM pragma_table_info('a')"),
                        "1"); /* not step 2's */
    assert_string_equal(ask(h, "SELECT sum(n) FROM a"), "3");
    assert_string_equal(ask(h, "SELECT count(*) FROM sqlite_schema"), "1");
    assert_int_equal(sqlite3_get_autocommit(h->s.db), 1);
}

static void test_a_failed_step_takes_all_back(void **state)
{
    struct history *h = *state;

    migrate_to(h, good, 1);
    refused(h, bad_sql, "no such table: nowhere");
    refused(h, bad_code, "this step cannot be done");
    refused(h, dangling, "a row of table c refers to nothing");
    migrate_to(h, good, 3);
}

static void test_newer_is_refused(void **state)
{
    struct history *h = *state;

    migrate_to(h, good, 3);
    assert_int_equal(schema_migrate(&h->s, good, 2, &h->f.error), KMS_E_INTERNAL);
    assert_contains(h->f.error.detail, "has schema version 3, this program knows up to 2");
    assert_string_equal(ask(h, "PRAGMA user_version"), "3");
}

/* What quick_check would not see: an index that lacks a row. */
static void test_damaged_is_refused(void **state)
{
    struct history *h = *state;

    migrate_to(h, good, 1);
    assert_ok(&h->f, database_exec(h->s.db, h->f.path,
                                   "CREATE INDEX all_n ON a (n) WHERE n > 1;"
                                   "PRAGMA writable_schema=ON;"
                                   "UPDATE sqlite_schema SET sql = 'CREATE INDEX all_n ON a (n)'"
                                   " WHERE name = 'all_n';"
                                   "PRAGMA writable_schema=RESET;",
                                   "write", &h->f.error));
    assert_int_equal(schema_migrate(&h->s, good, 3, &h->f.error), KMS_E_INTERNAL);
    assert_contains(h->f.error.detail, "is damaged");
    assert_string_equal(ask(h, "PRAGMA user_version"), "1");
}

/* A step on top of today's schema, over a database with records: it survives, and this program then
 * refuses it as newer. */
static void test_real_database(void **state)
{
    CLEANUP(freep) struct schema_step           *steps = calloc(schema_newest + 1, sizeof *steps);
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    struct sqlite_store                          s = { .path = f->path };
    char                                         undo[128];

    assert_non_null(steps);
    memcpy(steps, schema_steps, schema_newest * sizeof *steps);
    steps[schema_newest] =
        (struct schema_step){ "ALTER TABLE keys ADD COLUMN note TEXT NOT NULL DEFAULT ''", NULL };
    add_key(f, k);
    fixture_close(f);
    assert_int_equal(sqlite3_open(f->path, &s.db), SQLITE_OK);
    assert_ok(f, schema_migrate(&s, steps, schema_newest + 1, &f->error));
    assert_int_equal(sqlite3_close(s.db), SQLITE_OK);
    assert_contains(fixture_refused(f), "run the newer program");

    (void)snprintf(undo, sizeof undo, "ALTER TABLE keys DROP COLUMN note; PRAGMA user_version=%u",
                   schema_newest);
    fixture_sql(f, undo);
    fixture_open(f);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_keys_equal(l.keys.at[0], k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_every_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_step_takes_all_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_real_database, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
