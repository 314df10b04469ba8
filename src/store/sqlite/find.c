/* store/sqlite/find.c - single keys out of the database, and what its indexes say about all of them.
 *
 * A key is found by an index, which has no MAC, and then read and verified as in load.c. A row that
 * verifies but is not what was asked for says that the index is not as we wrote it.
 */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"

_Static_assert(KEY_CREATING == 0 && KEY_ENABLED == 1 && KEY_PENDING_DELETION == 3 &&
                   KEY_UPDATING == 7 && REGION_REPLICA == 2 && EXPIRES == 1 &&
                   MATERIAL_CURRENT == 0 && MATERIAL_NON_CURRENT == 1,
               "statements.c and schema_5.c say so");

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static struct sqlite_store *opened(struct store *store)
{
    return (struct sqlite_store *)store;
}

static enum kms_status bind_fail(struct sqlite_store *s, int rc, struct kms_error *reterr)
{
    if (rc == SQLITE_NOMEM)
        return KMS_FAIL(reterr, KMS_E_MEMORY, "no memory to read database '%.120s'", s->path);
    return database_fail(s->db, s->path, rc, "read", reterr);
}

/* Views of the parameter last as long as the statement is bound. */
static int bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    return sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static struct bytes text_view(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return bytes_of(text, (size_t)sqlite3_column_bytes(stmt, column));
}

/* --- one key ---------------------------------------------------------------------------------- */

static enum kms_status find_serial(struct sqlite_store *s, const struct key_want *want,
                                   uint64_t *ret, struct kms_error *reterr)
{
    bool by_name = want->kind == WANT_KEY;
    CLEANUP(statement_resetp)
    sqlite3_stmt *stmt = s->statements[by_name ? STMT_KEY_BY_NAME : STMT_KEY_BY_MATERIAL];
    bool          more = false;
    int           rc = by_name ? bind_text(stmt, 1, want->account)
                               : sqlite3_bind_blob(stmt, 1, want->material.b, sizeof want->material.b,
                                                   SQLITE_STATIC);

    if (rc == SQLITE_OK)
        rc = bind_text(stmt, 2, want->region);
    if (rc == SQLITE_OK && by_name)
        rc = bind_text(stmt, 3, want->key_id);
    if (rc != SQLITE_OK)
        return bind_fail(s, rc, reterr);
    TRY(row_step(s, stmt, &more, reterr));
    *ret = more ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    return KMS_OK;
}

static enum kms_status take_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    struct key_record **ret = ctx;

    (void)reterr;
    key_record_free(*ret); /* there is one of a serial */
    *ret = key;
    return KMS_OK;
}

static enum kms_status read_key(struct sqlite_store *s, uint64_t serial, struct key_record **ret,
                                struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *key = s->statements[STMT_KEY_OF];
    CLEANUP(statement_resetp) sqlite3_stmt *materials = s->statements[STMT_MATERIALS_OF];
    CLEANUP(statement_resetp) sqlite3_stmt *tags = s->statements[STMT_TAGS_OF];
    const struct key_tables from = { key, materials, tags, &row_keys, &row_materials };
    sqlite3_int64           number = (sqlite3_int64)serial;

    if (sqlite3_bind_int64(key, 1, number) != SQLITE_OK ||
        sqlite3_bind_int64(materials, 1, number) != SQLITE_OK ||
        sqlite3_bind_int64(tags, 1, number) != SQLITE_OK)
        return bind_fail(s, SQLITE_NOMEM, reterr);
    return sqlite_read_keys(s, &from, take_key, ret, reterr);
}

static enum kms_status read_usage(struct sqlite_store *s, uint64_t serial,
                                  struct key_usage_record *ret, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_USAGE_OF];
    struct key_usage_record                 row = { 0 };
    bool                                    more = false;

    if (sqlite3_bind_int64(stmt, 1, (sqlite3_int64)serial) != SQLITE_OK)
        return bind_fail(s, SQLITE_NOMEM, reterr);
    TRY(row_step(s, stmt, &more, reterr));
    if (more) {
        TRY(row_read(s, stmt, 0, &row_usages, &row, NULL, reterr));
        TRY(row_verify(s, stmt, &row_usages, &row, reterr));
    }
    *ret = row;
    return KMS_OK;
}

/* Is this the key that was asked for? */
static bool is_wanted(const struct key_record *key, const struct key_want *want)
{
    switch (want->kind) {
    case WANT_KEY:
        return bytes_eq_str(key->name.account, want->account) &&
               bytes_eq_str(key->name.region, want->region) &&
               bytes_eq_str(key->name.id, want->key_id);
    case WANT_MATERIAL:
        return bytes_eq_str(key->name.region, want->region) &&
               key_record_material(key, &want->material) != NULL;
    case WANT_SERIAL:  return key->serial == want->serial;
    case WANT_NOTHING:
    case WANT_PAGE:
    case WANT_CHECK:   break;
    }
    return false;
}

enum kms_status sqlite_find_key(struct store *store, const struct key_want *want,
                                struct stored_key *ret, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *key = NULL;
    struct sqlite_store                         *s = opened(store);
    uint64_t                                     serial = want->serial;

    *ret = (struct stored_key){ .key = NULL };
    TRY(sqlite_usable(s, reterr));
    if (want->kind != WANT_SERIAL)
        TRY(find_serial(s, want, &serial, reterr));
    if (serial == 0)
        return KMS_OK;
    ret->row = serial;
    TRY(read_key(s, serial, &key, reterr));
    if (key != NULL && !is_wanted(key, want)) {
        ret->row = 0;
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "an index of database '%.100s' leads to another key than it says (row %llu): "
            "restore it from a backup",
            s->path, (unsigned long long)serial);
    }
    if (key != NULL)
        TRY(read_usage(s, serial, &ret->usage, reterr));
    ret->key = TAKE(key);
    return KMS_OK;
}

/* --- many, by indexes alone ------------------------------------------------------------------- */

enum kms_status sqlite_count_keys(struct store *store, size_t *ret, struct kms_error *reterr)
{
    struct sqlite_store                    *s = opened(store);
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_KEY_COUNT];
    bool                                    more = false;

    TRY(sqlite_usable(s, reterr));
    TRY(row_step(s, stmt, &more, reterr));
    *ret = more ? (size_t)sqlite3_column_int64(stmt, 0) : 0;
    return KMS_OK;
}

enum kms_status sqlite_list_keys(struct store *store, const struct key_want *want, size_t max,
                                 void (*visit)(void *ctx, const struct listed_key *key), void *ctx,
                                 struct kms_error *reterr)
{
    struct sqlite_store                    *s = opened(store);
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_KEY_PAGE];

    TRY(sqlite_usable(s, reterr));
    int rc = bind_text(stmt, 1, want->account);
    if (rc == SQLITE_OK)
        rc = bind_text(stmt, 2, want->region);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, (sqlite3_int64)want->serial);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 4, (sqlite3_int64)max);
    if (rc != SQLITE_OK)
        return bind_fail(s, rc, reterr);
    for (bool more = true; more;) {
        TRY(row_step(s, stmt, &more, reterr));
        if (!more)
            continue;
        const struct listed_key key = {
            .serial = (uint64_t)sqlite3_column_int64(stmt, 0),
            .key_id = text_view(stmt, 1),
            .deleting = sqlite3_column_int64(stmt, 2) == KEY_PENDING_DELETION,
            .deletion_date = sqlite3_column_int64(stmt, 3),
        };
        visit(ctx, &key);
    }
    return KMS_OK;
}

enum kms_status sqlite_next_keys(struct store *store, uint64_t after, size_t max,
                                 void (*visit)(void *ctx, uint64_t serial), void *ctx,
                                 struct kms_error *reterr)
{
    struct sqlite_store                    *s = opened(store);
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_KEYS_NEXT];

    TRY(sqlite_usable(s, reterr));
    if (sqlite3_bind_int64(stmt, 1, (sqlite3_int64)after) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)max) != SQLITE_OK)
        return bind_fail(s, SQLITE_NOMEM, reterr);
    for (bool more = true; more;) {
        TRY(row_step(s, stmt, &more, reterr));
        if (more)
            visit(ctx, (uint64_t)sqlite3_column_int64(stmt, 0));
    }
    return KMS_OK;
}

enum kms_status sqlite_each_slot(struct store *store,
                                 void (*visit)(void *ctx, const struct used_slot *slot), void *ctx,
                                 struct kms_error *reterr)
{
    struct sqlite_store                    *s = opened(store);
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_SLOTS];

    TRY(sqlite_usable(s, reterr));
    for (bool more = true; more;) {
        TRY(row_step(s, stmt, &more, reterr));
        if (!more)
            continue;
        int64_t                slot_class = sqlite3_column_int64(stmt, 1);
        const struct used_slot slot = {
            .key = (uint64_t)sqlite3_column_int64(stmt, 0),
            .at = { .slot = (uint32_t)sqlite3_column_int64(stmt, 2),
                    .slot_generation = (uint64_t)sqlite3_column_int64(stmt, 3),
                    .slot_class = slot_class == SLOT_ERASABLE ? SLOT_ERASABLE : SLOT_DURABLE },
        };
        visit(ctx, &slot);
    }
    return KMS_OK;
}

/* --- what falls due --------------------------------------------------------------------------- */

struct due_scan {
    struct sqlite_store *s;
    void (*visit)(void *ctx, const struct due_key *key);
    void *ctx;
};

/* Runs one of the four statements for times from `after` + 1 to `until`, which are `lead` before (or,
 * negative, after) those that it compares. */
static enum kms_status each_in(const struct due_scan *scan, sqlite3_stmt *stmt, int64_t after,
                               int64_t until, int64_t lead, struct kms_error *reterr)
{
    int rc = sqlite3_bind_int64(stmt, 1, after + lead);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, until + lead);
    if (rc != SQLITE_OK)
        return bind_fail(scan->s, rc, reterr);
    for (bool more = true; more;) {
        TRY(row_step(scan->s, stmt, &more, reterr));
        if (!more)
            continue;
        const struct due_key key = { sqlite3_column_int64(stmt, 3) - lead, text_view(stmt, 0),
                                     text_view(stmt, 1), text_view(stmt, 2) };
        scan->visit(scan->ctx, &key);
    }
    return KMS_OK;
}

/* Warnings so many days ahead that were not told yet; 0: expiries. */
static enum kms_status each_expiring(const struct due_scan *scan, const struct due_range *range,
                                     uint16_t days, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = scan->s->statements[STMT_KEYS_EXPIRING];

    if (sqlite3_bind_int64(stmt, 3, days == 0 ? -1 : days) != SQLITE_OK)
        return bind_fail(scan->s, SQLITE_NOMEM, reterr);
    return each_in(scan, stmt, range->after, range->until, (int64_t)days * DAY_MS, reterr);
}

enum kms_status sqlite_each_due(struct store *store, const struct due_range               *range,
                                void (*visit)(void *ctx, const struct due_key *key), void *ctx,
                                struct kms_error *reterr)
{
    const struct due_scan                   scan = { opened(store), visit, ctx };
    CLEANUP(statement_resetp) sqlite3_stmt *rotating = scan.s->statements[STMT_KEYS_ROTATING];
    CLEANUP(statement_resetp) sqlite3_stmt *on_demand = scan.s->statements[STMT_KEYS_ON_DEMAND];
    CLEANUP(statement_resetp) sqlite3_stmt *deleting = scan.s->statements[STMT_KEYS_DELETING];

    TRY(sqlite_usable(scan.s, reterr));
    TRY(each_in(&scan, deleting, range->after, range->until, 0, reterr));
    TRY(each_in(&scan, rotating, range->after, range->until, 0, reterr));
    TRY(each_in(&scan, on_demand, range->after, range->until, -range->rotation_delay, reterr));
    TRY(each_expiring(&scan, range, 0, reterr));
    for (size_t i = 0; i < range->n_warning_days; i++)
        TRY(each_expiring(&scan, range, range->warning_days[i], reterr));
    return KMS_OK;
}

enum kms_status sqlite_each_deleting(struct store *store,
                                     void (*visit)(void *ctx, const struct due_key *key), void *ctx,
                                     struct kms_error *reterr)
{
    const struct due_scan                   scan = { opened(store), visit, ctx };
    CLEANUP(statement_resetp) sqlite3_stmt *deleting = scan.s->statements[STMT_KEYS_DELETING];

    TRY(sqlite_usable(scan.s, reterr));
    return each_in(&scan, deleting, 0, INT64_MAX, 0, reterr);
}
