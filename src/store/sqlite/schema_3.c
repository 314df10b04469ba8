/* store/sqlite/schema_3.c - the step from version 2 to 3: identities and grants.
 *
 * Grants refer to their key by its name, as aliases do. Their index `grants_named` is what refuses a
 * second grant with the same name and all the rest alike: two requests at once cannot both make one.
 *
 * Accounts and access keys get more columns, which their MACs cover, so their rows are read as they
 * were, verified, and written anew. Until version 2 there were root users only.
 */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"

const char schema_3[] =
    "ALTER TABLE meta ADD COLUMN last_identity INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE meta ADD COLUMN last_access_key INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE meta ADD COLUMN last_grant INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE keys ADD COLUMN principals TEXT NOT NULL DEFAULT '';"

    "ALTER TABLE accounts RENAME TO accounts_2;"
    "CREATE TABLE accounts ("
    " id TEXT PRIMARY KEY NOT NULL,"
    " name TEXT NOT NULL,"
    " organization TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE identities ("
    " serial INTEGER PRIMARY KEY,"
    " account TEXT NOT NULL REFERENCES accounts (id),"
    " kind INTEGER NOT NULL,"
    " name TEXT NOT NULL COLLATE NOCASE,"
    " unique_id TEXT NOT NULL UNIQUE,"
    " version INTEGER NOT NULL,"
    " path TEXT NOT NULL,"
    " description TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL,"
    " trust TEXT NOT NULL,"
    " trust_principals TEXT NOT NULL,"
    " max_session_s INTEGER NOT NULL,"
    " boundary TEXT NOT NULL,"
    " last_version INTEGER NOT NULL,"
    " mac BLOB NOT NULL,"
    " UNIQUE (account, kind, name)"
    ") STRICT;"

    "CREATE TABLE documents ("
    " identity INTEGER NOT NULL REFERENCES identities (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " is_default INTEGER NOT NULL,"
    " PRIMARY KEY (identity, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE attachments ("
    " identity INTEGER NOT NULL REFERENCES identities (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " arn TEXT NOT NULL,"
    " PRIMARY KEY (identity, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE identity_tags ("
    " identity INTEGER NOT NULL REFERENCES identities (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (identity, position)"
    ") STRICT, WITHOUT ROWID;"

    "ALTER TABLE access_keys RENAME TO access_keys_2;"
    "CREATE TABLE access_keys ("
    " serial INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " account TEXT NOT NULL REFERENCES accounts (id),"
    " principal_id TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " root INTEGER NOT NULL,"
    " active INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " wrapped_secret BLOB NOT NULL,"
    " session INTEGER NOT NULL,"
    " session_name TEXT NOT NULL,"
    " expires INTEGER NOT NULL,"
    " token_hash BLOB NOT NULL,"
    " source_identity TEXT NOT NULL,"
    " provider TEXT NOT NULL,"
    " transitive_tags INTEGER NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT;"

    "CREATE TABLE access_key_usage ("
    " access_key INTEGER PRIMARY KEY REFERENCES access_keys (serial) ON DELETE CASCADE,"
    " at INTEGER NOT NULL,"
    " service INTEGER NOT NULL,"
    " region TEXT NOT NULL,"
    " mac BLOB NOT NULL"
    ") STRICT;"

    "CREATE TABLE session_policies ("
    " access_key INTEGER NOT NULL REFERENCES access_keys (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " is_default INTEGER NOT NULL,"
    " PRIMARY KEY (access_key, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE session_tags ("
    " access_key INTEGER NOT NULL REFERENCES access_keys (serial) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (access_key, position)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE grants ("
    " serial INTEGER PRIMARY KEY,"
    " account TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " key_id TEXT NOT NULL,"
    " id TEXT NOT NULL UNIQUE,"
    " name TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " grantee TEXT NOT NULL,"
    " grantee_is_service INTEGER NOT NULL,"
    " retiring TEXT NOT NULL,"
    " retiring_is_service INTEGER NOT NULL,"
    " issuing_account TEXT NOT NULL,"
    " operations INTEGER NOT NULL,"
    " constraint_kind INTEGER NOT NULL,"
    " pairs BLOB NOT NULL,"
    " source_arn TEXT NOT NULL,"
    " mac BLOB NOT NULL,"
    " FOREIGN KEY (account, region, key_id) REFERENCES keys (account, region, key_id)"
    "  ON DELETE CASCADE"
    ") STRICT;"
    "CREATE INDEX grants_by_key ON grants (account, region, key_id);"
    "CREATE UNIQUE INDEX grants_named ON grants (name, account, region, key_id, grantee,"
    " grantee_is_service, retiring, retiring_is_service, issuing_account, operations,"
    " constraint_kind, pairs, source_arn) WHERE name <> '';";

static enum kms_status prepare(struct sqlite_store *s, const char *sql, sqlite3_stmt **ret,
                               struct kms_error *reterr)
{
    int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

    return rc == SQLITE_OK ? KMS_OK : database_fail(s->db, s->path, rc, "migrate", reterr);
}

/* Writes a row with its new MAC in the last parameter. */
static enum kms_status write_row(struct sqlite_store *s, sqlite3_stmt *put,
                                 const struct row_type *type, void *record,
                                 struct kms_error *reterr)
{
    uint8_t mac[ROW_MAC_LEN];
    int     mac_at = sqlite3_bind_parameter_count(put);

    TRY(row_mac(s, type, record, mac, reterr));
    TRY(row_bind(s, put, 1, type, record, reterr));
    int rc = sqlite3_bind_blob(put, mac_at, mac, sizeof mac, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(put);
    (void)sqlite3_reset(put); /* repeats the failure of the step */
    return rc == SQLITE_DONE ? KMS_OK : database_fail(s->db, s->path, rc, "migrate", reterr);
}

static enum kms_status convert_accounts(struct sqlite_store *s, struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *get = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *put = NULL;

    TRY(prepare(s, "SELECT id, created, mac FROM accounts_2", &get, reterr));
    TRY(prepare(s, statement_sql[STMT_ACCOUNT_INSERT], &put, reterr));
    for (bool more = true; more;) {
        struct account_record row = { .version = 1 };
        TRY(row_next(s, get, &row_accounts_2, &row, &more, reterr));
        if (more)
            TRY(write_row(s, put, &row_accounts, &row, reterr));
    }
    return KMS_OK;
}

static enum kms_status convert_access_keys(struct sqlite_store *s, uint64_t *ret_n,
                                           struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *get = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *put = NULL;
    uint64_t                                   n = 0;

    TRY(prepare(s,
                "SELECT id, account, principal_arn, principal_id, active, created, version,"
                " wrapped_secret, mac FROM access_keys_2 ORDER BY created, id",
                &get, reterr));
    TRY(prepare(s, statement_sql[STMT_ACCESS_KEY_INSERT], &put, reterr));
    for (bool more = true; more;) {
        struct access_key_2 old = { .active = false };
        TRY(row_next(s, get, &row_access_keys_2, &old, &more, reterr));
        if (!more)
            continue;
        struct access_key_record row = { .serial = ++n,
                                         .id = old.id,
                                         .account = old.account,
                                         .principal_id = old.account,
                                         .version = old.version,
                                         .root = true,
                                         .active = old.active,
                                         .created = old.created,
                                         .wrapped_secret = old.wrapped_secret };
        TRY(write_row(s, put, &row_access_keys, &row, reterr));
    }
    *ret_n = n;
    return KMS_OK;
}

/* A database that has not seen a commit yet has no row, or one without MAC. */
static enum kms_status convert_meta(struct sqlite_store *s, uint64_t access_keys,
                                    struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *get = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *put = NULL;
    struct meta_row                            m = { 0 };
    bool                                       more = false;

    TRY(prepare(s,
                "SELECT instance_id, commits, slot_generation_erasable, slot_generation_durable,"
                " clock_floor, last_key, last_alias, last_tombstone, last_outbox, mac FROM meta"
                " WHERE id = 1 AND mac IS NOT NULL",
                &get, reterr));
    TRY(row_next(s, get, &row_meta_2, &m, &more, reterr));
    if (!more)
        return KMS_OK;
    statement_resetp(&get); /* before its row is written */
    m.serials.access_key = access_keys;
    TRY(prepare(s, statement_sql[STMT_META_UPDATE], &put, reterr));
    return write_row(s, put, &row_meta, &m, reterr);
}

enum kms_status schema_3_convert(struct sqlite_store *s, struct kms_error *reterr)
{
    uint64_t access_keys = 0;

    TRY(convert_accounts(s, reterr));
    TRY(convert_access_keys(s, &access_keys, reterr));
    TRY(convert_meta(s, access_keys, reterr));
    return database_exec(s->db, s->path, "DROP TABLE access_keys_2; DROP TABLE accounts_2",
                         "migrate", reterr);
}
