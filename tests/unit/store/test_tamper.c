/* tests/unit/store/test_tamper.c - a database that somebody else changed is refused: every column
 * of every table, and rows that were moved, added or taken out of a key. */
#include "fixture.h"

enum { KEYS = 3, COLUMNS_MAX = 28 };

static struct identity_record *full_identity(struct fixture              *f,
                                             const struct account_record *account)
{
    struct identity_record *r = random_identity(f, account);

    while (r->n_documents < 2 || r->n_attached < 2 || r->n_tags < 2)
        random_identity_edit(f, r);
    r->version = 1;
    return r;
}

static struct access_key_record *full_access_key(struct fixture              *f,
                                                 const struct account_record *account)
{
    struct access_key_record *k = random_access_key(f, account);

    while (k->session.n_policies < 2 || k->session.n_tags < 2) {
        access_key_record_free(k);
        k = random_access_key(f, account);
    }
    return k;
}

/* A few rows in every table; returns the closed file. */
static uint8_t *template_file(struct fixture *f, size_t *ret_len)
{
    for (size_t i = 0; i < KEYS; i++) {
        CLEANUP(change_release) struct change c = { .event = BUF_INIT(100) };
        struct key_record                    *k = random_key(f);
        while (k->n_materials < 2 || k->n_tags < 2) {
            key_record_free(k);
            k = random_key(f);
        }
        k->materials[0].has_description = false; /* NULL in one row, text in another */
        k->materials[0].description = (struct bytes){ NULL, 0 };
        k->materials[1].has_description = true;
        change_add(&c, ROW_KEY_INSERT)->key = k;
        change_add(&c, ROW_ALIAS_INSERT)->alias = random_alias(f, k);
        change_add(&c, ROW_IMPORT_KEY_INSERT)->import_key = random_import_key(f, k);
        change_add(&c, ROW_GRANT_INSERT)->grant = random_grant(f, k);
        change_add(&c, ROW_DOMAIN_INSERT)->domain = random_domain(f);
        struct account_record *account = random_account(f);
        change_add(&c, ROW_ACCOUNT_INSERT)->account = account;
        change_add(&c, ROW_IDENTITY_INSERT)->identity = full_identity(f, account);
        change_add(&c, ROW_ACCESS_KEY_INSERT)->access_key = full_access_key(f, account);
        change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
        buf_addf(&c.event, "{\"n\":%zu", i);
        fixture_add_caused(&c, 'a' + (char)i);
        assert_int_equal(fixture_apply(f, &c), KMS_OK);
        struct key_usage_record u = { .key = i + 1, .last = { TRACKED_SIGN, 7, { 8 }, { 9 } } };
        assert_ok(f, f->store->ops->put_usage(f->store, &u, 1, &f->error));
        struct access_key_use use = {
            .access_key = i + 1, .at = 5000, .service = USED_IAM, .region = "eu-west-3"
        };
        assert_ok(f, f->store->ops->put_access_key_uses(f->store, &use, 1, &f->error));
    }
    CLEANUP(change_release) struct change c = { 0 };
    change_add(&c, ROW_TOMBSTONE_ERASED)->tombstone = random_tombstone(f);
    c.rows[0].tombstone->serial = 1;
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
    assert_ok(f, f->store->ops->set_clock_floor(f->store, 1000, &f->error));
    fixture_close(f);
    return fixture_file(f->path, ret_len);
}

/* SQL function flip(value, mask): another value of the same type. */
static void flip(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    int64_t mask = sqlite3_value_int64(args[1]);
    int     type = sqlite3_value_type(args[0]);
    size_t  len = (size_t)sqlite3_value_bytes(args[0]);

    (void)n;
    if (type == SQLITE_INTEGER) {
        sqlite3_result_int64(ctx, sqlite3_value_int64(args[0]) ^ mask);
        return;
    }
    if (type == SQLITE_NULL || (len == 0 && type == SQLITE_TEXT)) {
        sqlite3_result_text(ctx, "x", 1, SQLITE_STATIC);
        return;
    }
    uint8_t *copy = calloc(1, len + 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, sqlite3_value_blob(args[0]), len);
    copy[len / 2] ^= (uint8_t)(mask | mask >> 16);
    len += len == 0;
    if (type == SQLITE_TEXT)
        sqlite3_result_text64(ctx, (char *)copy, len, free, SQLITE_UTF8);
    else
        sqlite3_result_blob64(ctx, copy, len, free);
}

static sqlite3 *raw_open(const struct fixture *f)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "flip", 2, SQLITE_UTF8, NULL, flip, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints=ON; PRAGMA synchronous=OFF",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

/* Names of the columns of a table; `pk` gets those of its primary key, comma separated. */
static size_t columns_of(sqlite3 *db, const char *table, char names[COLUMNS_MAX][32], char pk[1024])
{
    sqlite3_stmt *stmt = NULL;
    char          sql[128];
    size_t        n = 0;

    pk[0] = '\0';
    (void)snprintf(sql, sizeof sql, "PRAGMA table_info(%s)", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        assert_true(n < COLUMNS_MAX);
        (void)snprintf(names[n], sizeof names[n], "%s", (const char *)sqlite3_column_text(stmt, 1));
        if (sqlite3_column_int(stmt, 5) > 0) {
            size_t len = strlen(pk);
            (void)snprintf(pk + len, 1024 - len, "%s%s", len > 0 ? ", " : "", names[n]);
        }
        n++;
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    return n;
}

static void must_be_refused(struct fixture *f, const char *what)
{
    enum kms_status status = store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL,
                                               &f->store, &f->error);

    if (status == KMS_OK)
        status = fixture_load(f);
    if (status != KMS_E_INTERNAL || f->error.detail[0] == '\0')
        fail_msg("%s: was not refused", what);
    fixture_close(f);
}

/* False if the change violates a constraint (two rows with one key). */
static bool tamper(struct fixture *f, const char *table, const char *column, const char *pk,
                   int row, int mask)
{
    sqlite3 *db = raw_open(f);
    char     sql[4096];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE %s SET %s = flip(%s, %d) WHERE (%s) ="
                   " (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %d)",
                   table, column, column, mask, pk, pk, table, pk, row);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_CONSTRAINT)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    bool changed = rc == SQLITE_OK && sqlite3_changes(db) == 1;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    if (changed)
        must_be_refused(f, sql);
    return changed;
}

static void test_every_column_of_every_table(void **state)
{
    static const char *const tables[] = { "meta",         "keys",
                                          "materials",    "tags",
                                          "aliases",      "domain_keys",
                                          "import_keys",  "accounts",
                                          "identities",   "documents",
                                          "attachments",  "identity_tags",
                                          "access_keys",  "session_policies",
                                          "session_tags", "grants",
                                          "tombstones",   "outbox",
                                          "key_usage",    "access_key_usage",
                                          "deliveries" };
    static const int         masks[] = { 1, 1 << 20 }; /* the next value, and one that no row has */
    struct fixture          *f = *state;
    char                     count[24];
    size_t                   len;
    size_t                   flipped = 0;
    struct sqlite_store     *s = (struct sqlite_store *)f->store;

    assert_ok(f, database_ask(s->db, f->path,
                              "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", count,
                              sizeof count, &f->error));
    assert_int_equal(strtoul(count, NULL, 10), ARRAY_LEN(tables)); /* none is forgotten here */
    CLEANUP(freep) uint8_t *original = template_file(f, &len);

    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        char     names[COLUMNS_MAX][32];
        char     pk[1024];
        sqlite3 *db = raw_open(f);
        size_t   n = columns_of(db, tables[t], names, pk);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_true(n > 0 && pk[0] != '\0');
        for (size_t i = 0; i < n; i++) {
            for (int row = 0; row < (t == 0 ? 1 : 2); row++) {
                bool done = false;
                for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
                    fixture_write(f->path, original, len);
                    done |= tamper(f, tables[t], names[i], pk, row, masks[m]);
                }
                if (!done)
                    fail_msg("%s.%s of row %d could not be changed", tables[t], names[i], row);
                flipped++;
            }
        }
    }
    assert_true(flipped > 150);
    fixture_write(f->path, original, len);
    fixture_open(f); /* and untouched it is fine */
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.keys.n, KEYS);
}

/* What SQL does to the file makes loading fail, with this in the reason. */
static const struct {
    const char *sql, *reason;
} edits[] = {
    /* parts of a key taken away, added, reordered, given to another key */
    { "DELETE FROM materials WHERE key = 2 AND position ="
      " (SELECT max(position) FROM materials WHERE key = 2)",
      "table keys, row 2 " },
    { "DELETE FROM materials WHERE key = 2 AND position = 0", "materials, row 2 1: not the next" },
    { "DELETE FROM tags WHERE key = 3 AND position = (SELECT max(position) FROM tags WHERE key = "
      "3)",
      "table keys, row 3 " },
    { "UPDATE materials SET position = 77 WHERE key = 2 AND position = 0;"
      "UPDATE materials SET position = 0 WHERE key = 2 AND position = 1;"
      "UPDATE materials SET position = 1 WHERE key = 2 AND position = 77",
      "table keys, row 2 " },
    { "INSERT INTO tags SELECT key, max(position) + 1, 'more', '' FROM tags WHERE key = 1",
      "table keys, row 1 " },
    { "UPDATE tags SET key = 1000000 WHERE key = 3", "table keys, row 3 " },
    { "INSERT INTO tags VALUES (1000000, 0, 'more', '')",
      "tags, row 1000000 0: belongs to nothing" },
    { "UPDATE tags SET key = 0 WHERE key = 1", "belongs to nothing" },
    { "UPDATE materials SET wrapped = (SELECT wrapped FROM materials WHERE key = 1 AND position = "
      "0)"
      " WHERE key = 2 AND position = 0",
      "table keys, row 2 " },
    { "DELETE FROM keys WHERE serial = 2", "belongs to nothing" },
    { "DELETE FROM keys WHERE serial = 3", "belongs to nothing" },
    { "UPDATE keys SET mac = (SELECT mac FROM keys WHERE serial = 1) WHERE serial = 2",
      "changed by others, its MAC does not verify" },
    { "UPDATE keys SET mac = x''", "its MAC does not verify" },
    /* the same row under another table's label, or in another's place */
    { "UPDATE aliases SET key_id = (SELECT key_id FROM keys WHERE serial = 3) WHERE serial = 1",
      "table aliases, row 1 " },
    /* values that would read as something else */
    { "UPDATE keys SET rotation_enabled = 2 WHERE serial = 1",
      "impossible value of rotation_enabled" },
    { "UPDATE keys SET state = 8 WHERE serial = 1", "impossible value of state" },
    { "UPDATE keys SET state = -1 WHERE serial = 1", "impossible value of state" },
    { "UPDATE materials SET warned_days = 65536 WHERE key = 1", "impossible value of warned_days" },
    { "UPDATE materials SET slot = 4294967296 WHERE key = 1", "impossible value of slot" },
    { "UPDATE materials SET id = x'00' WHERE key = 1", "impossible value of id" },
    { "UPDATE keys SET account = '0000000000000' WHERE serial = 1", "impossible value of account" },
    { "UPDATE keys SET region = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' WHERE serial = 1",
      "impossible value of region" },
    { "UPDATE keys SET key_id = key_id || 'x' WHERE serial = 1", "impossible value of key_id" },
    { "UPDATE access_keys SET id = id || char(0) || 'x'", "table access_keys, row 1 " },
    { "UPDATE access_keys SET token_hash = x'00'", "impossible value of token_hash" },
    { "UPDATE access_keys SET session = 4", "impossible value of session" },
    { "UPDATE access_keys SET root = 2", "impossible value of root" },
    { "UPDATE identities SET kind = 3 WHERE serial = 1", "impossible value of kind" },
    /* rights that are moved, added or taken away */
    { "UPDATE attachments SET identity = 1, position = 100 WHERE identity = 2 AND position = 0",
      "attachments, row 1 100: not the next" },
    { "INSERT INTO documents SELECT 1, max(position) + 1, 'more', '{}', 0, 0 FROM documents"
      " WHERE identity = 1",
      "table identities, row 1 " },
    { "DELETE FROM documents WHERE identity = 3 AND position ="
      " (SELECT max(position) FROM documents WHERE identity = 3)",
      "table identities, row 3 " },
    { "INSERT INTO attachments VALUES (1000000, 0, 'arn')", "attachments, row 1000000 0: belongs" },
    { "DELETE FROM session_policies WHERE access_key = 2", "table access_keys, row 2 " },
    { "UPDATE identities SET mac = (SELECT mac FROM identities WHERE serial = 1) WHERE serial = 2",
      "changed by others, its MAC does not verify" },
    { "UPDATE keys SET principals = '' WHERE principals <> ''", "table keys, row " },
    { "UPDATE key_usage SET operation = 15", "impossible value of operation" },
    { "UPDATE access_key_usage SET service = 4", "impossible value of service" },
    { "UPDATE access_key_usage SET access_key = 1000000 WHERE access_key = 2",
      "table access_key_usage, row " },
    { "UPDATE key_usage SET event_id = request_id, request_id = event_id WHERE key = 2",
      "table key_usage, row 2: changed by others" },
    /* meta */
    { "UPDATE meta SET mac = NULL", "table meta, row " },
    { "UPDATE meta SET mac = NULL, commits = 0, slot_generation_erasable = 0, last_key = 0,"
      " slot_generation_durable = 0, clock_floor = 0, last_alias = 0, last_tombstone = 0,"
      " last_outbox = 0, last_identity = 0, last_access_key = 0, last_grant = 0",
      "older than what it counts" },
    { "DELETE FROM meta", "table meta" },
    /* values of another type that have the same bytes: only possible without STRICT */
    { "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')')"
      " WHERE name = 'keys'; PRAGMA writable_schema=RESET;"
      "UPDATE keys SET policy = CAST(policy AS BLOB)",
      "impossible value of policy" },
};

static void test_edits(void **state)
{
    struct fixture         *f = *state;
    size_t                  len;
    CLEANUP(freep) uint8_t *original = template_file(f, &len);

    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        fixture_write(f->path, original, len);
        fixture_sql(f, edits[i].sql);
        if (store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL, &f->store, &f->error) ==
            KMS_OK)
            assert_int_equal(fixture_load(f), KMS_E_INTERNAL);
        if (strstr(f->error.detail, edits[i].reason) == NULL)
            fail_msg("%s: %s", edits[i].sql, f->error.detail);
        fixture_close(f);
    }
}

/* The line names table and key. */
static void test_line_names_the_key(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    char                                         id[KEY_ID_MAX + 1] = { 0 };

    add_key(f, k);
    memcpy(id, k->name.id.ptr, k->name.id.len);
    fixture_close(f);
    fixture_sql(f, "UPDATE keys SET policy = policy || ' '");
    fixture_open(f);
    const char *detail = fixture_load_refused(f);
    assert_contains(detail, "table keys, row 1 ");
    assert_contains(detail, id);
    assert_contains(detail, f->path);
    assert_contains(detail, "restore");
}

/* Another MAC key (another instance key): nothing can be loaded. */
static void other_mac(void *ctx, struct bytes row, uint8_t ret[32])
{
    fixture_mac(ctx, row, ret);
    ret[31] ^= 1;
}

static void test_other_mac_key(void **state)
{
    struct fixture *f = *state;

    assert_ok(f, f->store->ops->set_clock_floor(f->store, 1, &f->error));
    fixture_close(f);
    assert_int_equal(
        store_sqlite_open(f->path, fixture_instance, other_mac, NULL, &f->store, &f->error),
        KMS_E_INTERNAL);
    assert_contains(f->error.detail, "table meta");
}

/* Tombstones that loading leaves out are checked by `check`, and when they are written. */
static void test_old_tombstones(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change c = { 0 };
    CLEANUP(change_release) struct change mark = { 0 };

    for (size_t i = 0; i < STORE_TOMBSTONES_KEPT + 2; i++)
        change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
    change_add(&mark, ROW_TOMBSTONE_ERASED)->tombstone = random_tombstone(f);
    mark.rows[0].tombstone->serial = 1;
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
    assert_int_equal(fixture_apply(f, &mark), KMS_OK);
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    fixture_close(f);
    fixture_sql(f, "UPDATE tombstones SET slot = slot + 1 WHERE serial = 1");
    fixture_open(f);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(f->store->ops->check(f->store, &f->error), KMS_E_INTERNAL);
    assert_contains(f->error.detail, "table tombstones, row 1 ");
    assert_int_equal(fixture_apply(f, &mark), KMS_E_INTERNAL);
}

/* A trigger or view that somebody put there is not run. */
static void test_triggers_are_off(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);

    fixture_close(f);
    fixture_sql(f, "CREATE TRIGGER evil AFTER INSERT ON keys BEGIN"
                   " UPDATE keys SET policy = 'allow all'; END");
    fixture_open(f);
    add_key(f, k);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_keys_equal(l.keys.at[0], k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_column_of_every_table),
        TEST(test_edits),
        TEST(test_line_names_the_key),
        TEST(test_other_mac_key),
        TEST(test_old_tombstones),
        TEST(test_triggers_are_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
