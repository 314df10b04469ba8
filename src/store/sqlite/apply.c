/* store/sqlite/apply.c - a batch of changes in one transaction, each in a savepoint of its own.
 *
 * A change that meets another version of a row, or a row that is there already, is taken back alone
 * and reported as KMS_E_CHANGED. Anything else that goes wrong (disk full, I/O) takes back the
 * whole batch.
 *
 * I1  Serial numbers are given out here and written into the records. What is taken back gives its
 *     serials back, in the counters and (as 0) in the records.
 */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"
#include "base/crash_point.h"

/* --- parts of a key --------------------------------------------------------------------------- */

static enum kms_status put_part(struct sqlite_store *s, enum statement id,
                                const struct row_type *type, uint64_t key, size_t position,
                                void *part, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[id];
    int                                     rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)key);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)position);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    TRY(row_bind(s, stmt, 3, type, part, reterr));
    return statement_run(s, id, NULL, reterr);
}

static enum kms_status trim_parts(struct sqlite_store *s, enum statement id, uint64_t key,
                                  size_t from, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[id];
    int                                     rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)key);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)from);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return statement_run(s, id, NULL, reterr);
}

/* Makes materials and tags those of the record; rows that are so already are not written. */
static enum kms_status put_parts(struct sqlite_store *s, struct key_record *k,
                                 struct kms_error *reterr)
{
    for (size_t i = 0; i < k->n_materials; i++)
        TRY(put_part(s, STMT_MATERIAL_PUT, &row_materials, k->serial, i, &k->materials[i], reterr));
    TRY(trim_parts(s, STMT_MATERIALS_TRIM, k->serial, k->n_materials, reterr));
    for (size_t i = 0; i < k->n_tags; i++)
        TRY(put_part(s, STMT_TAG_PUT, &row_tags, k->serial, i, &k->tags[i], reterr));
    return trim_parts(s, STMT_TAGS_TRIM, k->serial, k->n_tags, reterr);
}

static enum kms_status put_tags(struct sqlite_store *s, enum statement id, uint64_t serial,
                                struct key_tag *list, size_t n, struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++)
        TRY(put_part(s, id, &row_tags, serial, i, &list[i], reterr));
    return KMS_OK;
}

static enum kms_status put_documents(struct sqlite_store *s, enum statement id, uint64_t serial,
                                     struct identity_document *list, size_t n,
                                     struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++)
        TRY(put_part(s, id, &row_documents, serial, i, &list[i], reterr));
    return KMS_OK;
}

static enum kms_status put_identity(struct sqlite_store *s, enum statement id,
                                    struct identity_record *r, struct kms_error *reterr)
{
    if (r->n_documents > INLINE_MAX || r->n_attached > ATTACHED_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%.*s has more policies than can be loaded",
                        BYTES_FMT(r->arn));
    TRY(row_put(s, id, &row_identities, r, reterr));
    TRY(put_documents(s, STMT_DOCUMENT_PUT, r->serial, r->documents, r->n_documents, reterr));
    TRY(trim_parts(s, STMT_DOCUMENTS_TRIM, r->serial, r->n_documents, reterr));
    for (size_t i = 0; i < r->n_attached; i++)
        TRY(put_part(s, STMT_ATTACHMENT_PUT, &row_attachments, r->serial, i, &r->attached[i],
                     reterr));
    TRY(trim_parts(s, STMT_ATTACHMENTS_TRIM, r->serial, r->n_attached, reterr));
    TRY(put_tags(s, STMT_IDENTITY_TAG_PUT, r->serial, r->tags, r->n_tags, reterr));
    return trim_parts(s, STMT_IDENTITY_TAGS_TRIM, r->serial, r->n_tags, reterr);
}

/* Policies and tags of a session are there from its beginning and never change. */
static enum kms_status put_access_key(struct sqlite_store *s, enum statement id,
                                      struct access_key_record *k, struct kms_error *reterr)
{
    struct session *x = &k->session;

    if (x->n_policies > SESSION_POLICIES_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a session has more policies than can be loaded");
    TRY(row_put(s, id, &row_access_keys, k, reterr));
    TRY(put_documents(s, STMT_SESSION_POLICY_PUT, k->serial, x->policies, x->n_policies, reterr));
    return put_tags(s, STMT_SESSION_TAG_PUT, k->serial, x->tags, x->n_tags, reterr);
}

static enum kms_status put_key(struct sqlite_store *s, enum statement id, struct key_record *k,
                               struct kms_error *reterr)
{
    if (k->n_materials > KEY_MATERIALS_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "key %.*s has %zu materials, more than can be loaded",
                        BYTES_FMT(k->name.arn), k->n_materials);
    TRY(row_put(s, id, &row_keys, k, reterr));
    return put_parts(s, k, reterr);
}

/* --- deletions -------------------------------------------------------------------------------- */

/* Runs a deletion that must hit exactly one row. */
static enum kms_status delete_one(struct sqlite_store *s, enum statement id,
                                  struct kms_error *reterr)
{
    int changed = 0;

    TRY(statement_run(s, id, &changed, reterr));
    if (changed != 1)
        return KMS_FAIL(reterr, KMS_E_CHANGED, "the row to delete is gone or has another version");
    return KMS_OK;
}

static int bind_text(sqlite3_stmt *stmt, int at, struct bytes text)
{
    return sqlite3_bind_text64(stmt, at, text.len == 0 ? "" : (const char *)text.ptr, text.len,
                               SQLITE_STATIC, SQLITE_UTF8);
}

/* Aliases, import keys, grants, materials and tags go with a key by ON DELETE CASCADE. */
static enum kms_status delete_named(struct sqlite_store *s, enum statement id, struct bytes account,
                                    struct bytes region, struct bytes name, uint64_t version,
                                    struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[id];
    int                                     rc = bind_text(stmt, 1, account);

    if (rc == SQLITE_OK)
        rc = bind_text(stmt, 2, region);
    if (rc == SQLITE_OK)
        rc = bind_text(stmt, 3, name);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 4, (sqlite3_int64)version);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return delete_one(s, id, reterr);
}

/* Documents, attachments and tags go along by ON DELETE CASCADE. */
static enum kms_status delete_by_id(struct sqlite_store *s, enum statement id, struct bytes name,
                                    uint64_t version, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[id];
    int                                     rc = bind_text(stmt, 1, name);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, (sqlite3_int64)version);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return delete_one(s, id, reterr);
}

static enum kms_status delete_import_key(struct sqlite_store *s, const uint8_t id[16],
                                         struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_IMPORT_KEY_DELETE];
    int                                     rc = sqlite3_bind_blob(stmt, 1, id, 16, SQLITE_STATIC);

    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return delete_one(s, STMT_IMPORT_KEY_DELETE, reterr);
}

static enum kms_status delete_grant(struct sqlite_store *s, const char *id,
                                    struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_GRANT_DELETE];
    int                                     rc = bind_text(stmt, 1, bytes_str(id));

    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return delete_one(s, STMT_GRANT_DELETE, reterr);
}

static enum kms_status delete_delivery(struct sqlite_store *s, uint64_t serial,
                                       struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_DELIVERY_DELETE];
    int                                     rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)serial);

    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return statement_run(s, STMT_DELIVERY_DELETE, NULL, reterr);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Only the serial is given, but the MAC covers the rest too: the row is read, checked, written. */
static enum kms_status mark_erased(struct sqlite_store *s, uint64_t serial,
                                   struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_TOMBSTONE];
    struct tombstone                        t = { 0 };
    bool                                    found = false;

    int rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)serial);
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "read", reterr);
    TRY(row_next(s, stmt, &row_tombstones, &t, &found, reterr));
    if (!found)
        return KMS_FAIL(reterr, KMS_E_CHANGED, "there is no tombstone %llu",
                        (unsigned long long)serial);
    statement_resetp(&stmt); /* before its row is written */
    t.erased = true;
    return row_put(s, STMT_TOMBSTONE_UPDATE, &row_tombstones, &t, reterr);
}

static enum kms_status put_grant(struct sqlite_store *s, struct grant_record *g,
                                 struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf pairs = BUF_INIT(GRANT_PAIRS_BYTES);

    grant_pairs_add(&pairs, g);
    if (!buf_ok(&pairs))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the constraint of a grant is too long");
    g->serial = ++s->serials.grant;
    struct grant_row row = { g, buf_bytes(&pairs) };
    return row_put(s, STMT_GRANT_INSERT, &row_grants, &row, reterr);
}

/* What refers to others goes before them, so that nothing has to be looked for. */
static const enum statement clearing[] = {
    STMT_CLEAR_MATERIALS,    STMT_CLEAR_TAGS,
    STMT_CLEAR_KEY_USAGE,    STMT_CLEAR_GRANTS,
    STMT_CLEAR_ALIASES,      STMT_CLEAR_IMPORT_KEYS,
    STMT_CLEAR_KEYS,         STMT_CLEAR_SESSION_POLICIES,
    STMT_CLEAR_SESSION_TAGS, STMT_CLEAR_ACCESS_KEY_USAGE,
    STMT_CLEAR_ACCESS_KEYS,  STMT_CLEAR_DOCUMENTS,
    STMT_CLEAR_ATTACHMENTS,  STMT_CLEAR_IDENTITY_TAGS,
    STMT_CLEAR_IDENTITIES,   STMT_CLEAR_ACCOUNTS,
    STMT_CLEAR_DELIVERIES,
};

static enum kms_status clear(struct sqlite_store *s, struct kms_error *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(clearing); i++)
        TRY(statement_run(s, clearing[i], NULL, reterr));
    s->cleared = true;
    return KMS_OK;
}

static enum kms_status apply_row(struct sqlite_store *s, struct row *row, struct kms_error *reterr)
{
    switch (row->kind) {
    case ROW_KEY_INSERT:
        row->key->serial = ++s->serials.key;
        return put_key(s, STMT_KEY_INSERT, row->key, reterr);
    case ROW_KEY_UPDATE: return put_key(s, STMT_KEY_UPDATE, row->key, reterr);
    case ROW_KEY_DELETE:
        return delete_named(s, STMT_KEY_DELETE, row->key->name.account, row->key->name.region,
                            row->key->name.id, row->expected_version, reterr);
    case ROW_ALIAS_INSERT:
        row->alias->serial = ++s->serials.alias;
        return row_put(s, STMT_ALIAS_INSERT, &row_aliases, row->alias, reterr);
    case ROW_ALIAS_UPDATE: return row_put(s, STMT_ALIAS_UPDATE, &row_aliases, row->alias, reterr);
    case ROW_ALIAS_DELETE:
        return delete_named(s, STMT_ALIAS_DELETE, row->alias->name.account, row->alias->name.region,
                            row->alias->name.name, row->expected_version, reterr);
    case ROW_IMPORT_KEY_INSERT:
        return row_put(s, STMT_IMPORT_KEY_INSERT, &row_import_keys, row->import_key, reterr);
    case ROW_IMPORT_KEY_DELETE: return delete_import_key(s, row->import_key_id, reterr);
    case ROW_GRANT_INSERT:      return put_grant(s, row->grant, reterr);
    case ROW_GRANT_DELETE:      return delete_grant(s, row->grant_id, reterr);
    case ROW_DOMAIN_INSERT:
        return row_put(s, STMT_DOMAIN_INSERT, &row_domains, row->domain, reterr);
    case ROW_ACCOUNT_INSERT:
        return row_put(s, STMT_ACCOUNT_INSERT, &row_accounts, row->account, reterr);
    case ROW_ACCOUNT_UPDATE:
        return row_put(s, STMT_ACCOUNT_UPDATE, &row_accounts, row->account, reterr);
    case ROW_IDENTITY_INSERT:
        row->identity->serial = ++s->serials.identity;
        return put_identity(s, STMT_IDENTITY_INSERT, row->identity, reterr);
    case ROW_IDENTITY_UPDATE: return put_identity(s, STMT_IDENTITY_UPDATE, row->identity, reterr);
    case ROW_IDENTITY_DELETE:
        return delete_by_id(s, STMT_IDENTITY_DELETE, row->identity->unique_id,
                            row->expected_version, reterr);
    case ROW_ACCESS_KEY_INSERT:
        row->access_key->serial = ++s->serials.access_key;
        return put_access_key(s, STMT_ACCESS_KEY_INSERT, row->access_key, reterr);
    case ROW_ACCESS_KEY_UPDATE:
        return put_access_key(s, STMT_ACCESS_KEY_UPDATE, row->access_key, reterr);
    case ROW_ACCESS_KEY_DELETE:
        return delete_by_id(s, STMT_ACCESS_KEY_DELETE, row->access_key->id, row->expected_version,
                            reterr);
    case ROW_TOMBSTONE_INSERT:
        row->tombstone->serial = ++s->serials.tombstone;
        return row_put(s, STMT_TOMBSTONE_INSERT, &row_tombstones, row->tombstone, reterr);
    case ROW_TOMBSTONE_ERASED: return mark_erased(s, row->tombstone->serial, reterr);
    case ROW_DELIVERY_DELETE:  return delete_delivery(s, row->delivery, reterr);
    case ROW_CLEAR:            return clear(s, reterr);
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "row kind %d is unknown", (int)row->kind);
}

/* --- changes ---------------------------------------------------------------------------------- */

static enum kms_status put_event(struct sqlite_store *s, const struct buf *event,
                                 struct kms_error *reterr)
{
    if (!buf_ok(event))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the audit event of a change is incomplete");
    if (event->len == 0)
        return KMS_OK;
    struct outbox_row row = { ++s->serials.outbox, buf_bytes(event) };
    return row_put(s, STMT_OUTBOX_INSERT, &row_outbox, &row, reterr);
}

/* Its event has just gone to the outbox: they share a serial. */
static enum kms_status put_delivery(struct sqlite_store *s, const struct caused_event *e,
                                    struct kms_error *reterr)
{
    struct delivery d = { .serial = s->serials.outbox,
                          .at = e->at,
                          .key_arn = bytes_str(e->key_arn),
                          .body = buf_bytes(&e->body) };

    if (!buf_ok(&e->body) || d.body.len == 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "what the webhook is to be told is incomplete");
    memcpy(d.id, e->id, sizeof d.id);
    return row_put(s, STMT_DELIVERY_INSERT, &row_deliveries, &d, reterr);
}

static enum kms_status apply_rows(struct sqlite_store *s, struct change *change,
                                  struct kms_error *reterr)
{
    for (size_t i = 0; i < change->n_rows; i++)
        TRY(apply_row(s, &change->rows[i], reterr));
    TRY(put_event(s, &change->event, reterr));
    for (size_t i = 0; i < change->n_caused; i++) {
        TRY(put_event(s, &change->caused[i].event, reterr));
        if (change->caused[i].tell)
            TRY(put_delivery(s, &change->caused[i], reterr));
    }
    return KMS_OK;
}

static void forget_serials(const struct change *change)
{
    for (size_t i = 0; i < change->n_rows; i++) {
        const struct row *row = &change->rows[i];
        if (row->kind == ROW_KEY_INSERT)
            row->key->serial = 0;
        if (row->kind == ROW_ALIAS_INSERT)
            row->alias->serial = 0;
        if (row->kind == ROW_GRANT_INSERT)
            row->grant->serial = 0;
        if (row->kind == ROW_IDENTITY_INSERT)
            row->identity->serial = 0;
        if (row->kind == ROW_ACCESS_KEY_INSERT)
            row->access_key->serial = 0;
        if (row->kind == ROW_TOMBSTONE_INSERT)
            row->tombstone->serial = 0;
    }
}

/* The returned status is about the batch; the change's own goes to *ret_result. */
static enum kms_status apply_change(struct sqlite_store *s, struct change *change,
                                    enum kms_status *ret_result, struct kms_error *reterr)
{
    struct serials before = s->serials;

    TRY(statement_run(s, STMT_SAVEPOINT, NULL, reterr));
    enum kms_status status = apply_rows(s, change, reterr);
    if (status != KMS_OK) {
        s->serials = before;
        s->cleared = false; /* such a change is alone in its batch */
        forget_serials(change);
        if (s->batch_lost)
            return status;
        TRY(statement_run(s, STMT_ROLLBACK_TO, NULL, reterr));
    }
    TRY(statement_run(s, STMT_RELEASE, NULL, reterr));
    *ret_result = status;
    return KMS_OK;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static enum kms_status trim_outbox(struct sqlite_store *s, uint64_t done, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_OUTBOX_TRIM];
    int                                     rc = sqlite3_bind_int64(stmt, 1, (sqlite3_int64)done);

    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return statement_run(s, STMT_OUTBOX_TRIM, NULL, reterr);
}

static enum kms_status commit(struct sqlite_store *s, struct kms_error *reterr)
{
    enum kms_status status = statement_run(s, STMT_COMMIT, NULL, reterr);

    if (status != KMS_OK)
        sqlite_commit_failed(s);
    return status;
}

static enum kms_status run_batch(struct sqlite_store *s, struct store_batch *batch,
                                 struct kms_error *reterr)
{
    struct meta_row m = { .meta = s->base.meta };

    s->batch_lost = false;
    s->cleared = false;
    TRY(statement_run(s, STMT_BEGIN, NULL, reterr));
    for (size_t i = 0; i < batch->n; i++)
        TRY(apply_change(s, batch->changes[i], &batch->results[i], reterr));
    TRY(trim_outbox(s, batch->outbox_done, reterr));

    m.meta.commit++;
    for (size_t i = 0; i < ARRAY_LEN(m.meta.slot_generation); i++)
        m.meta.slot_generation[i] = higher(m.meta.slot_generation[i], batch->slot_generation[i]);
    if (s->cleared)
        m.meta.clock_floor = 0;
    m.serials = s->serials;
    TRY(row_put(s, STMT_META_UPDATE, &row_meta, &m, reterr));
    if (batch->ready != NULL)
        TRY(batch->ready(batch->ready_ctx, reterr));
    CRASH_POINT("store-before-commit");

    TRY(commit(s, reterr));
    s->base.meta = m.meta;
    batch->ret_commit = m.meta.commit;
    batch->ret_outbox = m.serials.outbox;
    return KMS_OK;
}

static void roll_back(struct sqlite_store *s)
{
    if (sqlite3_get_autocommit(s->db) != 0)
        return; /* SQLite has done so by itself, as after many failures */
    if (statement_run(s, STMT_ROLLBACK, NULL, NULL) != KMS_OK)
        s->unsettled = true; /* or the next batch would be part of this one */
}

/* Nothing has happened if it fails. */
static enum kms_status try_batch(struct sqlite_store *s, struct store_batch *batch,
                                 struct kms_error *reterr)
{
    struct serials before = s->serials;

    for (size_t i = 0; i < batch->n; i++)
        batch->results[i] = KMS_OK;
    s->last_failure = SQLITE_OK;
    enum kms_status status = run_batch(s, batch, reterr);
    if (status == KMS_OK)
        return KMS_OK;
    roll_back(s);
    s->serials = before;
    for (size_t i = 0; i < batch->n; i++) {
        batch->results[i] = KMS_E_INTERNAL;
        forget_serials(batch->changes[i]);
    }
    return status;
}

/* Whoever takes an entry out of an index keeps SQLite from changing the row: it looks for the entry, and calls
 * the file malformed. An index says nothing that the rows do not say, and those have their MACs. */
static bool make_indexes(struct sqlite_store *s)
{
    if (s->last_failure != SQLITE_CORRUPT_INDEX)
        return false;
    int rc = sqlite3_exec(s->db, "REINDEX", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        s->last_failure = rc;
        sqlite_commit_failed(s);
    }
    return rc == SQLITE_OK;
}

enum kms_status sqlite_apply(struct store *store, struct store_batch *batch,
                             struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;

    batch->ret_reindexed = false;
    s->last_failure = SQLITE_OK;
    enum kms_status status = sqlite_usable(s, reterr);
    if (status == KMS_OK)
        status = try_batch(s, batch, reterr);
    if (status != KMS_OK && make_indexes(s)) {
        batch->ret_reindexed = true;
        status = try_batch(s, batch, reterr);
    }
    for (size_t i = 0; i < batch->n && status != KMS_OK; i++)
        batch->results[i] = KMS_E_INTERNAL;
    return status == KMS_OK ? KMS_OK : KMS_E_INTERNAL;
}

/* --- last uses -------------------------------------------------------------------------------- */

static enum kms_status put_usages(struct sqlite_store *s, struct key_usage_record *list, size_t n,
                                  struct kms_error *reterr)
{
    TRY(statement_run(s, STMT_BEGIN, NULL, reterr));
    for (size_t i = 0; i < n; i++) {
        enum kms_status status = row_put(s, STMT_USAGE_PUT, &row_usages, &list[i], reterr);
        if (status != KMS_OK && status != KMS_E_CHANGED) /* there is no such key: left out */
            return status;
    }
    return commit(s, reterr);
}

enum kms_status sqlite_put_usage(struct store *store, struct key_usage_record *list, size_t n,
                                 struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;

    TRY(sqlite_usable(s, reterr));
    enum kms_status status = put_usages(s, list, n, reterr);
    if (status != KMS_OK)
        roll_back(s);
    return status;
}

static enum kms_status put_access_key_uses(struct sqlite_store *s, struct access_key_use *list,
                                           size_t n, struct kms_error *reterr)
{
    TRY(statement_run(s, STMT_BEGIN, NULL, reterr));
    for (size_t i = 0; i < n; i++) {
        enum kms_status status = row_put(s, STMT_ACCESS_KEY_USE_PUT, &row_access_key_uses, &list[i],
                                         reterr);
        if (status != KMS_OK && status != KMS_E_CHANGED) /* there is no such key: left out */
            return status;
    }
    return commit(s, reterr);
}

enum kms_status sqlite_put_access_key_uses(struct store *store, struct access_key_use *list,
                                           size_t n, struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;

    TRY(sqlite_usable(s, reterr));
    enum kms_status status = put_access_key_uses(s, list, n, reterr);
    if (status != KMS_OK)
        roll_back(s);
    return status;
}
