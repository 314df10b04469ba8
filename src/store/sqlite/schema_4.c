/* store/sqlite/schema_4.c - the step from version 3 to 4: relatives in other Regions, and what the
 * webhook is to be told.
 *
 * Keys and materials get columns that the MAC of their key covers, so every key is read as it was,
 * verified, and gets its new MAC. Until version 3 no key had a replica.
 */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"

const char schema_4[] = "ALTER TABLE keys ADD COLUMN regions TEXT NOT NULL DEFAULT '';"
                        "ALTER TABLE keys ADD COLUMN settles INTEGER NOT NULL DEFAULT 0;"
                        "ALTER TABLE materials ADD COLUMN warned_days INTEGER NOT NULL DEFAULT 0;"

                        "CREATE TABLE deliveries ("
                        " serial INTEGER PRIMARY KEY,"
                        " id TEXT NOT NULL,"
                        " at INTEGER NOT NULL,"
                        " key_arn TEXT NOT NULL,"
                        " body TEXT NOT NULL,"
                        " mac BLOB NOT NULL"
                        ") STRICT;";

struct conversion {
    struct sqlite_store *s;
    sqlite3_stmt        *put; /* serial, regions, mac */
};

static enum kms_status write_key(struct conversion *c, struct key_record *k,
                                 struct kms_error *reterr)
{
    uint8_t mac[ROW_MAC_LEN];

    TRY(row_mac(c->s, &row_keys, k, mac, reterr));
    int rc = sqlite3_bind_int64(c->put, 1, (sqlite3_int64)k->serial);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text64(c->put, 2, k->regions.len == 0 ? "" : (const char *)k->regions.ptr,
                                 k->regions.len, SQLITE_STATIC, SQLITE_UTF8);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(c->put, 3, mac, sizeof mac, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(c->put);
    (void)sqlite3_reset(c->put); /* repeats the failure of the step */
    return rc == SQLITE_DONE ? KMS_OK : database_fail(c->s->db, c->s->path, rc, "migrate", reterr);
}

static enum kms_status convert_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *k = key;

    if (k->multi_region != REGION_SINGLE)
        key_record_add_region(k, k->name.region);
    return write_key(ctx, k, reterr);
}

static enum kms_status prepare(struct sqlite_store *s, const char *sql, sqlite3_stmt **ret,
                               struct kms_error *reterr)
{
    int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

    return rc == SQLITE_OK ? KMS_OK : database_fail(s->db, s->path, rc, "migrate", reterr);
}

enum kms_status schema_4_convert(struct sqlite_store *s, struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *keys = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *materials = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *tags = NULL;
    CLEANUP(statement_finalizep) sqlite3_stmt *put = NULL;

    TRY(prepare(s,
                "SELECT serial, account, region, key_id, version, spec, usage, origin,"
                " multi_region, primary_region, created, state, deletion_date,"
                " pending_window_days, description, policy, rotation_enabled,"
                " rotation_period_days, next_rotation, on_demand_start, on_demand_count,"
                " principals, mac FROM keys ORDER BY serial",
                &keys, reterr));
    TRY(prepare(s,
                "SELECT key, position, id, check_tag, role, present, expiration, valid_to,"
                " description, rotation_date, rotation_type, created, wrapped, domain_version,"
                " slot, slot_generation, slot_class FROM materials ORDER BY key, position",
                &materials, reterr));
    TRY(prepare(s, "SELECT key, position, name, value FROM tags ORDER BY key, position", &tags,
                reterr));
    TRY(prepare(s, "UPDATE keys SET (regions, mac) = (?2, ?3) WHERE serial = ?1", &put, reterr));

    struct conversion       c = { s, put };
    const struct key_tables of_version_3 = { keys, materials, tags, &row_keys_3, &row_materials_3 };

    return sqlite_read_keys(s, &of_version_3, convert_key, &c, reterr);
}
