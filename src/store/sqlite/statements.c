/* store/sqlite/statements.c - every statement the store runs on rows, prepared once, and how one is
 * run. */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"

/* The order of columns is that of the *_columns functions in row.c; parameters have the same
 * numbers (from 1). Materials and tags: key and position come first. */
#define META_COLUMNS                                                                               \
    "instance_id, commits, slot_generation_erasable, slot_generation_durable, clock_floor,"        \
    " last_key, last_alias, last_tombstone, last_outbox, last_identity, last_access_key,"           \
    " last_grant, mac"
#define KEY_BODY                                                                                   \
    "version, spec, usage, origin, multi_region, primary_region, created, state, deletion_date,"   \
    " pending_window_days, description, policy, rotation_enabled, rotation_period_days,"           \
    " next_rotation, on_demand_start, on_demand_count, principals, regions, settles, mac"
#define KEY_COLUMNS "serial, account, region, key_id, " KEY_BODY
#define KEY_BODY_VALUES                                                                            \
    "?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23," \
    " ?24, ?25"
#define MATERIAL_BODY                                                                              \
    "id, check_tag, role, present, expiration, valid_to, description, rotation_date,"              \
    " rotation_type, created, wrapped, domain_version, slot, slot_generation, slot_class, warned_days"
#define MATERIAL_BODY_VALUES                                                                       \
    "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18"
#define USAGE_BODY    "operation, at, event_id, request_id, since, mac"
#define ALIAS_BODY    "version, key_id, created, updated, mac"
#define ALIAS_COLUMNS "serial, account, region, name, " ALIAS_BODY
#define IMPORT_KEY_COLUMNS                                                                         \
    "id, account, region, key_id, wrapping_algorithm, wrapping_spec, fingerprint, valid_to,"       \
    " wrapped, domain_version, slot, slot_generation, slot_class, mac"
#define GRANT_COLUMNS                                                                              \
    "serial, account, region, key_id, id, name, created, grantee, grantee_is_service, retiring,"   \
    " retiring_is_service, issuing_account, operations, constraint_kind, pairs, source_arn, mac"
#define DOMAIN_COLUMNS "account, region, version, wrapped, mac"
#define ACCOUNT_BODY "name, organization, created, version, mac"
#define IDENTITY_BODY                                                                              \
    "version, path, description, created, updated, trust, trust_principals, max_session_s,"        \
    " boundary, last_version, mac"
#define IDENTITY_COLUMNS     "serial, account, kind, name, unique_id, " IDENTITY_BODY
#define IDENTITY_BODY_VALUES "?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16"
#define DOCUMENT_BODY        "name, text, created, is_default"
#define ACCESS_KEY_BODY                                                                            \
    "version, root, active, created, wrapped_secret, session, session_name, expires, token_hash,"  \
    " source_identity, provider, transitive_tags, mac"
#define ACCESS_KEY_COLUMNS     "serial, id, account, principal_id, " ACCESS_KEY_BODY
#define ACCESS_KEY_BODY_VALUES "?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17"
/* a part number of a record: put in its place, and those behind the last one taken away */
#define PART_PUT(table, owner, body, values)                                                       \
    "INSERT INTO " table " (" owner ", position, " body ") VALUES (?1, ?2, " values ")"            \
    " ON CONFLICT (" owner ", position) DO UPDATE SET (" body ") = (" values ")"                   \
    " WHERE (" body ") IS NOT (" values ")"
#define PARTS_TRIM(table, owner) "DELETE FROM " table " WHERE " owner " = ?1 AND position >= ?2"
#define TOMBSTONE_COLUMNS                                                                          \
    "serial, key_arn, material, slot, slot_generation, slot_class, at, reason, erased, mac"

const char *const statement_sql[STMT_COUNT] = {
    [STMT_CLEAR_MATERIALS] = "DELETE FROM materials",
    [STMT_CLEAR_TAGS] = "DELETE FROM tags",
    [STMT_CLEAR_KEY_USAGE] = "DELETE FROM key_usage",
    [STMT_CLEAR_GRANTS] = "DELETE FROM grants",
    [STMT_CLEAR_ALIASES] = "DELETE FROM aliases",
    [STMT_CLEAR_IMPORT_KEYS] = "DELETE FROM import_keys",
    [STMT_CLEAR_KEYS] = "DELETE FROM keys",
    [STMT_CLEAR_SESSION_POLICIES] = "DELETE FROM session_policies",
    [STMT_CLEAR_SESSION_TAGS] = "DELETE FROM session_tags",
    [STMT_CLEAR_ACCESS_KEY_USAGE] = "DELETE FROM access_key_usage",
    [STMT_CLEAR_ACCESS_KEYS] = "DELETE FROM access_keys",
    [STMT_CLEAR_DOCUMENTS] = "DELETE FROM documents",
    [STMT_CLEAR_ATTACHMENTS] = "DELETE FROM attachments",
    [STMT_CLEAR_IDENTITY_TAGS] = "DELETE FROM identity_tags",
    [STMT_CLEAR_IDENTITIES] = "DELETE FROM identities",
    [STMT_CLEAR_ACCOUNTS] = "DELETE FROM accounts",
    [STMT_CLEAR_DELIVERIES] = "DELETE FROM deliveries",
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_SAVEPOINT] = "SAVEPOINT one_change",
    [STMT_RELEASE] = "RELEASE one_change",
    [STMT_ROLLBACK_TO] = "ROLLBACK TO one_change",

    [STMT_META] = "SELECT " META_COLUMNS " FROM meta WHERE id = 1",
    [STMT_META_UPDATE] = "UPDATE meta SET (" META_COLUMNS ") ="
                         " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) WHERE id = 1",

    [STMT_KEYS] = "SELECT " KEY_COLUMNS " FROM keys ORDER BY serial",
    [STMT_KEY_INSERT] = "INSERT INTO keys (" KEY_COLUMNS ") VALUES"
                        " (?1, ?2, ?3, ?4, " KEY_BODY_VALUES ")",
    [STMT_KEY_UPDATE] = "UPDATE keys SET (" KEY_BODY ") = (" KEY_BODY_VALUES ")"
                        " WHERE serial = ?1 AND account = ?2 AND region = ?3 AND key_id = ?4"
                        " AND version = ?5 - 1",
    [STMT_KEY_DELETE] = "DELETE FROM keys WHERE account = ?1 AND region = ?2 AND key_id = ?3"
                        " AND version = ?4",

    [STMT_KEY_COUNT] = "SELECT count(*) FROM keys",
    [STMT_KEY_BY_NAME] = "SELECT serial FROM keys WHERE account = ?1 AND region = ?2"
                         " AND key_id = ?3",
    [STMT_KEY_BY_MATERIAL] = "SELECT serial FROM materials JOIN keys ON serial = key"
                             " WHERE id = ?1 AND region = ?2",
    [STMT_KEY_OF] = "SELECT " KEY_COLUMNS " FROM keys WHERE serial = ?1",
    [STMT_KEY_PAGE] = "SELECT serial, key_id, state, deletion_date FROM keys"
                      " WHERE account = ?1 AND region = ?2 AND serial > ?3"
                      " ORDER BY serial LIMIT ?4",
    [STMT_KEYS_NEXT] = "SELECT serial FROM keys WHERE serial > ?1 ORDER BY serial LIMIT ?2",
    /* the conditions repeat those of the partial indexes of schema_5.c */
    [STMT_KEYS_DELETING] = "SELECT account, region, key_id, deletion_date FROM keys"
                           " WHERE state = 3 AND deletion_date > ?1 AND deletion_date <= ?2",
    [STMT_KEYS_ROTATING] = "SELECT account, region, key_id, next_rotation FROM keys"
                           " WHERE rotation_enabled = 1 AND multi_region <> 2"
                           " AND state IN (0, 1, 7) AND next_rotation > ?1 AND next_rotation <= ?2",
    [STMT_KEYS_ON_DEMAND] = "SELECT account, region, key_id, on_demand_start FROM keys"
                            " WHERE on_demand_start <> 0 AND multi_region <> 2"
                            " AND on_demand_start > ?1 AND on_demand_start <= ?2",
    [STMT_KEYS_EXPIRING] = "SELECT account, region, key_id, valid_to FROM materials"
                           " JOIN keys ON serial = key WHERE expiration = 1 AND role IN (0, 1)"
                           " AND slot_generation <> 0 AND valid_to > ?1 AND valid_to <= ?2"
                           " AND (warned_days = 0 OR warned_days > ?3)",
    [STMT_MATERIALS_OF] = "SELECT key, position, " MATERIAL_BODY " FROM materials"
                          " WHERE key = ?1 ORDER BY position",
    [STMT_TAGS_OF] = "SELECT key, position, name, value FROM tags WHERE key = ?1"
                     " ORDER BY position",
    [STMT_USAGE_OF] = "SELECT key, " USAGE_BODY " FROM key_usage WHERE key = ?1",
    [STMT_SLOTS] = "SELECT key, slot_class, slot, slot_generation FROM materials"
                   " WHERE slot_generation <> 0",

    [STMT_MATERIALS] = "SELECT key, position, " MATERIAL_BODY " FROM materials"
                       " ORDER BY key, position",
    /* rows that are as they should be are not written */
    [STMT_MATERIAL_PUT] = "INSERT INTO materials (key, position, " MATERIAL_BODY ") VALUES"
                          " (?1, ?2, " MATERIAL_BODY_VALUES ") ON CONFLICT (key, position)"
                          " DO UPDATE SET (" MATERIAL_BODY ") = (" MATERIAL_BODY_VALUES ")"
                          " WHERE (" MATERIAL_BODY ") IS NOT (" MATERIAL_BODY_VALUES ")",
    [STMT_MATERIALS_TRIM] = "DELETE FROM materials WHERE key = ?1 AND position >= ?2",

    [STMT_TAGS] = "SELECT key, position, name, value FROM tags ORDER BY key, position",
    [STMT_TAG_PUT] = "INSERT INTO tags (key, position, name, value) VALUES (?1, ?2, ?3, ?4)"
                     " ON CONFLICT (key, position) DO UPDATE SET (name, value) = (?3, ?4)"
                     " WHERE (name, value) IS NOT (?3, ?4)",
    [STMT_TAGS_TRIM] = "DELETE FROM tags WHERE key = ?1 AND position >= ?2",

    /* with the names of the keys, which are NULL if there is none */
    [STMT_USAGES] =
        "SELECT account, region, key_id, key, operation, at, event_id, request_id, since,"
        " key_usage.mac FROM key_usage LEFT JOIN keys ON serial = key ORDER BY key",
    [STMT_USAGE_PUT] = "INSERT INTO key_usage (key, " USAGE_BODY ") VALUES"
                       " (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (key)"
                       " DO UPDATE SET (" USAGE_BODY ") = (?2, ?3, ?4, ?5, ?6, ?7)",

    [STMT_ALIASES] = "SELECT " ALIAS_COLUMNS " FROM aliases ORDER BY serial",
    [STMT_ALIAS_INSERT] = "INSERT INTO aliases (" ALIAS_COLUMNS ") VALUES"
                          " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [STMT_ALIAS_UPDATE] = "UPDATE aliases SET (" ALIAS_BODY ") = (?5, ?6, ?7, ?8, ?9)"
                          " WHERE serial = ?1 AND account = ?2 AND region = ?3 AND name = ?4"
                          " AND version = ?5 - 1",
    [STMT_ALIAS_DELETE] = "DELETE FROM aliases WHERE account = ?1 AND region = ?2 AND name = ?3"
                          " AND version = ?4",

    [STMT_IMPORT_KEYS] = "SELECT " IMPORT_KEY_COLUMNS " FROM import_keys ORDER BY id",
    [STMT_IMPORT_KEY_INSERT] = "INSERT INTO import_keys (" IMPORT_KEY_COLUMNS ") VALUES"
                               " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [STMT_IMPORT_KEY_DELETE] = "DELETE FROM import_keys WHERE id = ?1",

    [STMT_GRANTS] = "SELECT " GRANT_COLUMNS " FROM grants ORDER BY serial",
    [STMT_GRANT_INSERT] = "INSERT INTO grants (" GRANT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
                          " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    [STMT_GRANT_DELETE] = "DELETE FROM grants WHERE id = ?1",

    [STMT_DOMAINS] = "SELECT " DOMAIN_COLUMNS " FROM domain_keys ORDER BY account, region, version",
    [STMT_DOMAIN_INSERT] = "INSERT INTO domain_keys (" DOMAIN_COLUMNS ") VALUES"
                           " (?1, ?2, ?3, ?4, ?5)",

    [STMT_ACCOUNTS] = "SELECT id, " ACCOUNT_BODY " FROM accounts ORDER BY created, id",
    [STMT_ACCOUNT_INSERT] = "INSERT INTO accounts (id, " ACCOUNT_BODY ") VALUES"
                            " (?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_ACCOUNT_UPDATE] = "UPDATE accounts SET (" ACCOUNT_BODY ") = (?2, ?3, ?4, ?5, ?6)"
                            " WHERE id = ?1 AND version = ?5 - 1",

    [STMT_IDENTITIES] = "SELECT " IDENTITY_COLUMNS " FROM identities ORDER BY serial",
    [STMT_IDENTITY_INSERT] = "INSERT INTO identities (" IDENTITY_COLUMNS ") VALUES"
                             " (?1, ?2, ?3, ?4, ?5, " IDENTITY_BODY_VALUES ")",
    [STMT_IDENTITY_UPDATE] = "UPDATE identities SET (" IDENTITY_BODY ") = (" IDENTITY_BODY_VALUES
                             ") WHERE serial = ?1 AND account = ?2 AND kind = ?3 AND name = ?4"
                             " AND unique_id = ?5 AND version = ?6 - 1",
    [STMT_IDENTITY_DELETE] = "DELETE FROM identities WHERE unique_id = ?1 AND version = ?2",
    [STMT_DOCUMENTS] = "SELECT identity, position, " DOCUMENT_BODY " FROM documents"
                       " ORDER BY identity, position",
    [STMT_DOCUMENT_PUT] = PART_PUT("documents", "identity", DOCUMENT_BODY, "?3, ?4, ?5, ?6"),
    [STMT_DOCUMENTS_TRIM] = PARTS_TRIM("documents", "identity"),
    /* a list of one column is no row value */
    [STMT_ATTACHMENTS] = "SELECT identity, position, arn FROM attachments"
                         " ORDER BY identity, position",
    [STMT_ATTACHMENT_PUT] = "INSERT INTO attachments (identity, position, arn) VALUES (?1, ?2, ?3)"
                            " ON CONFLICT (identity, position) DO UPDATE SET arn = ?3"
                            " WHERE arn IS NOT ?3",
    [STMT_ATTACHMENTS_TRIM] = PARTS_TRIM("attachments", "identity"),
    [STMT_IDENTITY_TAGS] = "SELECT identity, position, name, value FROM identity_tags"
                           " ORDER BY identity, position",
    [STMT_IDENTITY_TAG_PUT] = PART_PUT("identity_tags", "identity", "name, value", "?3, ?4"),
    [STMT_IDENTITY_TAGS_TRIM] = PARTS_TRIM("identity_tags", "identity"),

    [STMT_ACCESS_KEYS] = "SELECT " ACCESS_KEY_COLUMNS " FROM access_keys ORDER BY serial",
    [STMT_ACCESS_KEY_INSERT] = "INSERT INTO access_keys (" ACCESS_KEY_COLUMNS ") VALUES"
                               " (?1, ?2, ?3, ?4, " ACCESS_KEY_BODY_VALUES ")",
    [STMT_ACCESS_KEY_UPDATE] = "UPDATE access_keys SET (" ACCESS_KEY_BODY
                               ") = (" ACCESS_KEY_BODY_VALUES ") WHERE serial = ?1 AND id = ?2"
                               " AND account = ?3 AND principal_id = ?4 AND version = ?5 - 1",
    [STMT_ACCESS_KEY_DELETE] = "DELETE FROM access_keys WHERE id = ?1 AND version = ?2",
    /* with the ids of the access keys, which are NULL if there is none */
    [STMT_ACCESS_KEY_USES] = "SELECT id, access_key, at, service, region, access_key_usage.mac"
                             " FROM access_key_usage LEFT JOIN access_keys ON serial = access_key"
                             " ORDER BY access_key",
    [STMT_ACCESS_KEY_USE_PUT] =
        "INSERT INTO access_key_usage (access_key, at, service, region, mac)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (access_key) DO UPDATE"
        " SET (at, service, region, mac) = (?2, ?3, ?4, ?5)",
    /* a session's never change */
    [STMT_SESSION_POLICIES] = "SELECT access_key, position, " DOCUMENT_BODY
                              " FROM session_policies ORDER BY access_key, position",
    [STMT_SESSION_POLICY_PUT] = PART_PUT("session_policies", "access_key", DOCUMENT_BODY,
                                         "?3, ?4, ?5, ?6"),
    [STMT_SESSION_TAGS] = "SELECT access_key, position, name, value FROM session_tags"
                          " ORDER BY access_key, position",
    [STMT_SESSION_TAG_PUT] = PART_PUT("session_tags", "access_key", "name, value", "?3, ?4"),

    /* two index walks; without UNION the whole table would be read */
    [STMT_TOMBSTONES] = "SELECT " TOMBSTONE_COLUMNS " FROM tombstones WHERE serial IN"
                        " (SELECT serial FROM tombstones WHERE erased = 0"
                        " UNION SELECT serial FROM tombstones WHERE serial >= ?1) ORDER BY serial",
    [STMT_TOMBSTONE] = "SELECT " TOMBSTONE_COLUMNS " FROM tombstones WHERE serial = ?1",
    [STMT_TOMBSTONE_INSERT] = "INSERT INTO tombstones (" TOMBSTONE_COLUMNS ") VALUES"
                              " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [STMT_TOMBSTONE_UPDATE] = "UPDATE tombstones SET (erased, mac) = (?9, ?10) WHERE serial = ?1",

    [STMT_OUTBOX] = "SELECT serial, event, mac FROM outbox ORDER BY serial",
    [STMT_OUTBOX_INSERT] = "INSERT INTO outbox (serial, event, mac) VALUES (?1, ?2, ?3)",
    [STMT_OUTBOX_TRIM] = "DELETE FROM outbox WHERE serial <= ?1",

    [STMT_DELIVERIES] = "SELECT serial, id, at, key_arn, body, mac FROM deliveries"
                        " WHERE serial > ?1 ORDER BY serial LIMIT ?2",
    [STMT_DELIVERY_INSERT] = "INSERT INTO deliveries (serial, id, at, key_arn, body, mac) VALUES"
                             " (?1, ?2, ?3, ?4, ?5, ?6)",
    [STMT_DELIVERY_DELETE] = "DELETE FROM deliveries WHERE serial = ?1",
};

enum kms_status database_fail(sqlite3 *db, const char *path, int rc, const char *doing,
                              struct kms_error *reterr)
{
    const char *why = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

    switch (rc & 0xff) { /* the primary code: extended ones say where in SQLite it was found */
    case SQLITE_BUSY:
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is in use by another process: stop the other trentd or "
                        "trent that works on this data directory",
                        path);
    case SQLITE_NOTADB:
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "'%.120s' is not a database: restore it from a backup", path);
    case SQLITE_CORRUPT:
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is damaged (%.60s): restore it from a backup", path,
                        why);
    case SQLITE_FULL:
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no space left for database '%.120s': free some",
                        path);
    case SQLITE_READONLY:
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is not writable: give its owner, folder and filesystem "
                        "write permission",
                        path);
    default:
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot %s database '%.120s': %.60s", doing, path,
                        why);
    }
}

void statement_resetp(sqlite3_stmt **stmt)
{
    if (*stmt == NULL)
        return;
    (void)sqlite3_reset(*stmt); /* repeats the failure of the last step, which was reported */
    (void)sqlite3_clear_bindings(*stmt);
}

void statement_finalizep(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* likewise */
    *stmt = NULL;
}

enum kms_status statements_prepare(struct sqlite_store *s, struct kms_error *reterr)
{
    for (size_t i = 0; i < STMT_COUNT; i++) {
        int rc = sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &s->statements[i], NULL);
        if (rc == SQLITE_ERROR) /* a table or column is missing */
            return KMS_FAIL(
                reterr, KMS_E_INTERNAL,
                "database '%.120s' has not the tables it should have (%.60s): restore it "
                "from a backup",
                s->path, sqlite3_errmsg(s->db));
        if (rc != SQLITE_OK)
            return database_fail(s->db, s->path, rc, "read", reterr);
    }
    return KMS_OK;
}

void statements_finalize(struct sqlite_store *s)
{
    for (size_t i = 0; i < STMT_COUNT; i++)
        statement_finalizep(&s->statements[i]);
}

/* What a failed statement means for the change it belongs to. */
static enum kms_status run_fail(struct sqlite_store *s, int rc, struct kms_error *reterr)
{
    s->last_failure = rc;
    switch (rc) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return KMS_FAIL(reterr, KMS_E_CHANGED, "%.120s", sqlite3_errmsg(s->db));
    default: break;
    }
    if ((rc & 0xff) != SQLITE_CONSTRAINT && rc != SQLITE_TOOBIG)
        s->batch_lost = true;
    return database_fail(s->db, s->path, rc, "write", reterr);
}

enum kms_status statement_run(struct sqlite_store *s, enum statement id, int *ret_changed,
                              struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[id];
    int                                     rc = sqlite3_step(stmt);

    if (rc != SQLITE_DONE)
        return run_fail(s, rc, reterr);
    if (ret_changed != NULL)
        *ret_changed = sqlite3_changes(s->db);
    return KMS_OK;
}

enum kms_status database_exec(sqlite3 *db, const char *path, const char *sql, const char *doing,
                              struct kms_error *reterr)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? KMS_OK : database_fail(db, path, rc, doing, reterr);
}

enum kms_status database_ask(sqlite3 *db, const char *path, const char *sql, char *ret, size_t size,
                             struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *stmt = NULL;
    int                                        rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return database_fail(db, path, rc, "read", reterr);
    const unsigned char *text = rc == SQLITE_ROW ? sqlite3_column_text(stmt, 0) : NULL;
    (void)sqlite3_snprintf((int)size, ret, "%s", text == NULL ? "" : (const char *)text);
    return KMS_OK;
}

enum kms_status database_check(sqlite3 *db, const char *path, const char *pragma,
                               struct kms_error *reterr)
{
    char found[100];

    TRY(database_ask(db, path, pragma, found, sizeof found, reterr));
    for (char *line = found; (line = strchr(line, '\n')) != NULL;)
        *line = ' '; /* a refusal is one line */
    if (!bytes_eq_str(bytes_str(found), "ok"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is damaged (%.60s): restore it from a backup", path,
                        found);
    return KMS_OK;
}
