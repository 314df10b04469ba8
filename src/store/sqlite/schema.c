/* store/sqlite/schema.c - the tables, and the way from each version to the next.
 *
 * docs/storage-database.md describes every table. A new version appends a step and leaves the old
 * ones as they are: databases of every age are brought up to date by the steps they lack.
 */
#include "store/sqlite/internal.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Rows refer to their key by its serial where there are many of them (materials, tags), by its name
 * where the name is part of the record anyway. */
static const char schema_1[] =
    "CREATE TABLE meta ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " instance_id BLOB NOT NULL,"
    " commits INTEGER NOT NULL,"
    " slot_generation_erasable INTEGER NOT NULL,"
    " slot_generation_durable INTEGER NOT NULL,"
    " clock_floor INTEGER NOT NULL,"
    " last_key INTEGER NOT NULL,"
    " last_alias INTEGER NOT NULL,"
    " last_tombstone INTEGER NOT NULL,"
    " last_outbox INTEGER NOT NULL,"
    " mac BLOB"
    ") STRICT;"

    "CREATE TABLE keys ("
    " serial INTEGER PRIMARY KEY,"
    " account TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " key_id TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " spec INTEGER NOT NULL,"
    " usage INTEGER NOT NULL,"
    " origin INTEGER NOT NULL,"
    " multi_region INTEGER NOT NULL,"
    " primary_region TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " deletion_date INTEGER NOT NULL,"
    " pending_window_days INTEGER NOT NULL,"
    " description TEXT NOT NULL,"
    " policy TEXT NOT NULL,"
    " rotation_enabled INTEGER NOT NULL,"
    " rotation_period_days INTEGER NOT NULL,"
    " next_rotation INTEGER NOT NULL,"
    " on_demand_start INTEGER NOT NULL,"
    " on_demand_count INTEGER NOT NULL,"
    " mac BLOB NOT NULL,"
    " UNIQUE (account, region, key_id)"
    ") STRICT;"

    "CREATE TABLE materials ("
    " key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " id BLOB NOT NULL,"
    " check_tag BLOB NOT NULL,"
    " role INTEGER NOT NULL,"
    " present INTEGER NOT NULL,"
    " expiration INTEGER NOT NULL,"
    " valid_to INTEGER NOT NULL,"
    " description TEXT,"
    " rotation_date INTEGER NOT NULL,"
    " rotation_type INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL,"
    " domain_version INTEGER NOT NULL,"
    " slot INTEGER NOT NULL,"
    " slot_generation INTEGER NOT NULL,"
    " slot_class INTEGER NOT NULL,"
    " PRIMARY KEY (key, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE tags ("
    " key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (key, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE aliases ("
    " serial INTEGER PRIMARY KEY,"
    " account TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " key_id TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL,"
    " mac BLOB NOT NULL,"
    " UNIQUE (account, region, name),"
    " FOREIGN KEY (account, region, key_id) REFERENCES keys (account, region, key_id)"
    "  ON DELETE CASCADE"
    ") STRICT;"
    "CREATE INDEX aliases_by_key ON aliases (account, region, key_id);"

    "CREATE TABLE import_keys ("
    " id BLOB PRIMARY KEY NOT NULL,"
    " account TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " key_id TEXT NOT NULL,"
    " wrapping_algorithm INTEGER NOT NULL,"
    " wrapping_spec INTEGER NOT NULL,"
    " fingerprint BLOB NOT NULL,"
    " valid_to INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL,"
    " domain_version INTEGER NOT NULL,"
    " slot INTEGER NOT NULL,"
    " slot_generation INTEGER NOT NULL,"
    " slot_class INTEGER NOT NULL,"
    " mac BLOB NOT NULL,"
    " FOREIGN KEY (account, region, key_id) REFERENCES keys (account, region, key_id)"
    "  ON DELETE CASCADE"
    ") STRICT;"
    "CREATE INDEX import_keys_by_key ON import_keys (account, region, key_id);"

    "CREATE TABLE domain_keys ("
    " account TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL,"
    " mac BLOB NOT NULL,"
    " PRIMARY KEY (account, region, version)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE accounts ("
    " id TEXT PRIMARY KEY NOT NULL,"
    " created INTEGER NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE access_keys ("
    " id TEXT PRIMARY KEY NOT NULL,"
    " account TEXT NOT NULL,"
    " principal_arn TEXT NOT NULL,"
    " principal_id TEXT NOT NULL,"
    " active INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " wrapped_secret BLOB NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE tombstones ("
    " serial INTEGER PRIMARY KEY,"
    " key_arn TEXT NOT NULL,"
    " material BLOB NOT NULL,"
    " slot INTEGER NOT NULL,"
    " slot_generation INTEGER NOT NULL,"
    " slot_class INTEGER NOT NULL,"
    " at INTEGER NOT NULL,"
    " reason INTEGER NOT NULL,"
    " erased INTEGER NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT;"
    "CREATE INDEX tombstones_open ON tombstones (serial) WHERE erased = 0;"

    "CREATE TABLE outbox ("
    " serial INTEGER PRIMARY KEY,"
    " event TEXT NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT;";

/* What keys were last used for. A key without a row was not used since it was made. */
static const char schema_2[] =
    "CREATE TABLE key_usage ("
    " key INTEGER PRIMARY KEY REFERENCES keys (serial) ON DELETE CASCADE,"
    " operation INTEGER NOT NULL,"
    " at INTEGER NOT NULL,"
    " event_id BLOB NOT NULL,"
    " request_id BLOB NOT NULL,"
    " since INTEGER NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT;";

static enum kms_status track_key(struct sqlite_store *s, sqlite3_stmt *put,
                                 struct key_usage_record *row, struct kms_error *reterr)
{
    uint8_t mac[ROW_MAC_LEN];
    int     mac_at = sqlite3_bind_parameter_count(put);

    TRY(row_mac(s, &row_usages, row, mac, reterr));
    TRY(row_bind(s, put, 1, &row_usages, row, reterr));
    int rc = sqlite3_bind_blob(put, mac_at, mac, sizeof mac, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(put);
    (void)sqlite3_reset(put); /* repeats the failure of the step */
    return rc == SQLITE_DONE ? KMS_OK : database_fail(s->db, s->path, rc, "migrate", reterr);
}

/* Nobody has written down what the keys that are there were used for until now. */
static enum kms_status track_from_now(struct sqlite_store *s, struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *keys = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *put = NULL;
    int64_t                                    now = clock_wall_ms();
    bool                                       more = true;

    int rc = sqlite3_prepare_v2(s->db, "SELECT serial FROM keys", -1, &keys, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(s->db, "INSERT INTO key_usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                -1, &put, NULL);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "migrate", reterr);
    while (more) {
        TRY(row_step(s, keys, &more, reterr));
        struct key_usage_record row = { .since = now };
        if (!more)
            continue;
        row.key = (uint64_t)sqlite3_column_int64(keys, 0);
        TRY(track_key(s, put, &row, reterr));
    }
    return KMS_OK;
}

const struct schema_step schema_steps[] = {
    { schema_1, NULL },
    { schema_2, track_from_now },
    { schema_3, schema_3_convert },
    { schema_4, schema_4_convert },
    { schema_5, NULL },
};
const unsigned schema_newest = ARRAY_LEN(schema_steps);

const char peek_sql[] = "SELECT instance_id, commits, slot_generation_erasable,"
                        " slot_generation_durable, clock_floor FROM meta WHERE id = 1";

enum kms_status schema_version(sqlite3 *db, const char *path, unsigned newest, unsigned *ret,
                               struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return database_fail(db, path, rc, "read", reterr);
    int64_t version = sqlite3_column_int64(stmt, 0);
    if (version < 0 || version > newest)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' has schema version %lld, this program knows up to %u: "
                        "run the newer program that wrote it",
                        path, (long long)version, newest);
    *ret = (unsigned)version;
    return KMS_OK;
}

static enum kms_status run_steps(struct sqlite_store *s, const struct schema_step *steps,
                                 unsigned version, unsigned newest, struct kms_error *reterr)
{
    char pragma[64];
    char broken[64];

    TRY(database_exec(s->db, s->path, "BEGIN EXCLUSIVE", "migrate", reterr));
    for (unsigned i = version; i < newest; i++) {
        TRY(database_exec(s->db, s->path, steps[i].sql, "migrate", reterr));
        if (steps[i].convert != NULL)
            TRY(steps[i].convert(s, reterr));
    }
    TRY(database_ask(s->db, s->path, "PRAGMA foreign_key_check", broken, sizeof broken, reterr));
    if (broken[0] != '\0')
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "cannot migrate database '%.120s': a row of table %s refers to nothing",
                        s->path, broken);
    (void)sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version=%u", newest);
    TRY(database_exec(s->db, s->path, pragma, "migrate", reterr));
    return database_exec(s->db, s->path, "COMMIT", "migrate", reterr);
}

enum kms_status schema_migrate(struct sqlite_store *s, const struct schema_step *steps,
                               unsigned newest, struct kms_error *reterr)
{
    unsigned version = 0;

    TRY(schema_version(s->db, s->path, newest, &version, reterr));
    if (version == newest)
        return KMS_OK;
    if (version > 0)
        TRY(database_check(s->db, s->path, "PRAGMA integrity_check(1)", reterr));

    /* A step that rebuilds a table drops the old one, which must not take the rows along that refer
     * to it; whether they still refer to something is checked at the end. */
    TRY(database_exec(s->db, s->path, "PRAGMA foreign_keys=OFF", "migrate", reterr));
    enum kms_status status = run_steps(s, steps, version, newest, reterr);
    if (sqlite3_get_autocommit(s->db) == 0)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL,
                           NULL); /* fails only if it is done already */
    if (status == KMS_OK)
        status = database_exec(s->db, s->path, "PRAGMA foreign_keys=ON", "migrate", reterr);
    return status;
}
