/* store/sqlite/load.c - every row out, in the order that the visitor needs, MACs checked.
 *
 * Keys, materials and tags are three tables in the same order, read side by side: one pass over
 * each, no search per key. A material or tag that no key claims, or that is missing from its key's
 * row of positions, stops loading like a bad MAC does.
 */
#include "store/sqlite/internal.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "key/directory.h"

struct loading {
    struct sqlite_store *s;
    const struct store_visitor
        *visitor; /* a member that is NULL: that table is skipped, unless ... */
    bool verify;  /* ... all rows are to be verified                          */
};

/* A table whose rows belong to those of another, read along with them. */
struct parts {
    sqlite3_stmt          *stmt;
    const struct row_type *type;
    bool                   more; /* the statement stands on a row that is not used yet */
};

static enum kms_status no_memory(struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_MEMORY, "no memory to load the database");
}

/* --- parts ------------------------------------------------------------------------------------ */

/* True if the next row belongs to this serial; it must then be the part number `position`. */
static enum kms_status parts_next(struct loading *l, struct parts *p, uint64_t serial,
                                  size_t position, bool *ret_mine, struct kms_error *reterr)
{
    uint64_t owner = p->more ? (uint64_t)sqlite3_column_int64(p->stmt, 0) : 0;

    *ret_mine = p->more && owner == serial;
    if (p->more && (int64_t)owner < (int64_t)serial)
        return row_damaged(l->s, p->stmt, p->type, "belongs to nothing", reterr);
    if (*ret_mine && (sqlite3_column_type(p->stmt, 0) != SQLITE_INTEGER ||
                      sqlite3_column_type(p->stmt, 1) != SQLITE_INTEGER ||
                      (uint64_t)sqlite3_column_int64(p->stmt, 1) != position))
        return row_damaged(l->s, p->stmt, p->type, "not the next of its owner", reterr);
    return KMS_OK;
}

static enum kms_status parts_begin(struct loading *l, struct parts *p, struct kms_error *reterr)
{
    return row_step(l->s, p->stmt, &p->more, reterr);
}

static enum kms_status parts_end(struct loading *l, const struct parts *p, struct kms_error *reterr)
{
    return p->more ? row_damaged(l->s, p->stmt, p->type, "belongs to nothing", reterr) : KMS_OK;
}

/* The list of a record: `*ret_n` elements of `size` bytes in the arena. */
static enum kms_status read_list(struct loading *l, struct parts *p, uint64_t serial, size_t size,
                                 struct arena *arena, void **ret, size_t *ret_n,
                                 struct kms_error *reterr)
{
    uint8_t *list = NULL;
    size_t   room = 0;

    for (size_t n = 0;; n++) {
        bool mine = false;
        TRY(parts_next(l, p, serial, n, &mine, reterr));
        *ret = list;
        *ret_n = n;
        if (!mine)
            return KMS_OK;
        if (n == room) {
            room = room == 0 ? 4 : room * 2;
            uint8_t *more = arena_alloc(arena, room * size);
            if (n > 0)
                memcpy(more, list, n * size);
            list = more;
        }
        TRY(row_read(l->s, p->stmt, 2, p->type, list + n * size, arena, reterr));
        TRY(row_step(l->s, p->stmt, &p->more, reterr));
    }
}

static enum kms_status read_tags(struct loading *l, struct parts *p, uint64_t serial,
                                 struct arena *arena, struct key_tag **ret, size_t *ret_n,
                                 struct kms_error *reterr)
{
    void *list = NULL;

    TRY(read_list(l, p, serial, sizeof **ret, arena, &list, ret_n, reterr));
    *ret = list;
    return KMS_OK;
}

static enum kms_status read_documents(struct loading *l, struct parts *p, uint64_t serial,
                                      struct arena *arena, struct identity_document **ret,
                                      size_t *ret_n, struct kms_error *reterr)
{
    void *list = NULL;

    TRY(read_list(l, p, serial, sizeof **ret, arena, &list, ret_n, reterr));
    *ret = list;
    return KMS_OK;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum kms_status read_materials(struct loading *l, struct parts *p, struct key_record *k,
                                      struct kms_error *reterr)
{
    for (;;) {
        bool mine = false;
        TRY(parts_next(l, p, k->serial, k->n_materials, &mine, reterr));
        if (!mine)
            return KMS_OK;
        if (k->n_materials == KEY_MATERIALS_MAX)
            return row_damaged(l->s, p->stmt, p->type, "too many of one key", reterr);
        TRY(row_read(l->s, p->stmt, 2, p->type, key_record_add_material(k), k->arena, reterr));
        TRY(row_step(l->s, p->stmt, &p->more, reterr));
    }
}

enum kms_status sqlite_read_keys(struct sqlite_store *s, const struct key_tables *from,
                                 enum kms_status (*visit)(void *ctx, struct key_record *key,
                                                          struct kms_error *reterr),
                                 void *ctx, struct kms_error *reterr)
{
    struct loading l = { .s = s };
    struct parts   materials = { from->materials, from->material, false };
    struct parts   tags = { from->tags, &row_tags, false };

    TRY(parts_begin(&l, &materials, reterr));
    TRY(parts_begin(&l, &tags, reterr));
    for (;;) {
        bool more = false;
        TRY(row_step(s, from->keys, &more, reterr));
        if (!more)
            break;
        CLEANUP(key_record_freep) struct key_record *k = key_record_new();
        if (k == NULL)
            return no_memory(reterr);
        TRY(row_read(s, from->keys, 0, from->key, k, k->arena, reterr));
        TRY(read_materials(&l, &materials, k, reterr));
        TRY(read_tags(&l, &tags, k->serial, k->arena, &k->tags, &k->n_tags, reterr));
        TRY(row_verify(s, from->keys, from->key, k, reterr));
        key_record_set_name(k, k->name.account, k->name.region, k->name.id);
        TRY(visit(ctx, TAKE(k), reterr));
    }
    TRY(parts_end(&l, &materials, reterr));
    return parts_end(&l, &tags, reterr);
}

static enum kms_status drop_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    (void)ctx;
    (void)reterr;
    key_record_free(key);
    return KMS_OK;
}

static enum kms_status load_keys(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *keys = l->s->statements[STMT_KEYS];
    CLEANUP(statement_resetp) sqlite3_stmt *materials = l->s->statements[STMT_MATERIALS];
    CLEANUP(statement_resetp) sqlite3_stmt *tags = l->s->statements[STMT_TAGS];
    const struct key_tables from = { keys, materials, tags, &row_keys, &row_materials };

    if (l->visitor->key != NULL)
        return sqlite_read_keys(l->s, &from, l->visitor->key, l->visitor->ctx, reterr);
    return l->verify ? sqlite_read_keys(l->s, &from, drop_key, NULL, reterr) : KMS_OK;
}

static struct bytes text_view(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return bytes_of(text, (size_t)sqlite3_column_bytes(stmt, column));
}

static enum kms_status load_usages(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_USAGES];

    for (bool more = l->visitor->usage != NULL || l->verify; more;) {
        struct key_usage_record row = { 0 };
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        TRY(row_read(l->s, stmt, 3, &row_usages, &row, NULL, reterr));
        TRY(row_verify(l->s, stmt, &row_usages, &row, reterr));
        if (sqlite3_column_type(stmt, 2) == SQLITE_NULL)
            return row_damaged(l->s, stmt, &row_usages, "belongs to no key", reterr);
        struct key_name name = { .account = text_view(stmt, 0),
                                 .region = text_view(stmt, 1),
                                 .id = text_view(stmt, 2) };
        if (l->visitor->usage != NULL)
            TRY(l->visitor->usage(l->visitor->ctx, &name, &row, reterr));
    }
    return KMS_OK;
}

/* --- the other tables ------------------------------------------------------------------------- */

static enum kms_status load_domains(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_DOMAINS];

    for (bool more = l->visitor->domain != NULL || l->verify; more;) {
        struct domain_key_record row = { 0 };
        TRY(row_next(l->s, stmt, &row_domains, &row, &more, reterr));
        if (!more || l->visitor->domain == NULL)
            continue;
        struct domain_key_record *d = domain_key_new(row.account, row.region, row.version,
                                                     row.wrapped);
        if (d == NULL)
            return no_memory(reterr);
        TRY(l->visitor->domain(l->visitor->ctx, d, reterr));
    }
    return KMS_OK;
}

static enum kms_status load_accounts(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_ACCOUNTS];

    for (bool more = l->visitor->account != NULL || l->verify; more;) {
        struct account_record row = { 0 };
        TRY(row_next(l->s, stmt, &row_accounts, &row, &more, reterr));
        if (!more || l->visitor->account == NULL)
            continue;
        struct account_record *a = malloc(sizeof *a);
        if (a == NULL)
            return no_memory(reterr);
        *a = row;
        TRY(l->visitor->account(l->visitor->ctx, a, reterr));
    }
    return KMS_OK;
}

/* The ARN is not stored: it follows from the rest. */
static void settle_arn(struct identity_record *r)
{
    uint8_t    room[IDENTITY_ARN_MAX];
    struct buf arn = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    identity_arn_add(&arn, r->kind, r->account, r->path, r->name);
    r->arn = arena_copy(r->arena, buf_bytes(&arn));
}

struct identity_parts {
    struct parts documents, attachments, tags;
};

static enum kms_status read_identity(struct loading *l, sqlite3_stmt *stmt,
                                     struct identity_parts *p, struct identity_record *r,
                                     struct kms_error *reterr)
{
    void *attached = NULL;

    TRY(row_read(l->s, stmt, 0, &row_identities, r, r->arena, reterr));
    TRY(read_documents(l, &p->documents, r->serial, r->arena, &r->documents, &r->n_documents,
                       reterr));
    TRY(read_list(l, &p->attachments, r->serial, sizeof r->attached[0], r->arena, &attached,
                  &r->n_attached, reterr));
    r->attached = attached;
    TRY(read_tags(l, &p->tags, r->serial, r->arena, &r->tags, &r->n_tags, reterr));
    if (r->n_documents > INLINE_MAX || r->n_attached > ATTACHED_MAX)
        return row_damaged(l->s, stmt, &row_identities, "has too many policies", reterr);
    TRY(row_verify(l->s, stmt, &row_identities, r, reterr));
    settle_arn(r);
    return KMS_OK;
}

static enum kms_status load_identities(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_IDENTITIES];
    CLEANUP(statement_resetp) sqlite3_stmt *documents = l->s->statements[STMT_DOCUMENTS];
    CLEANUP(statement_resetp) sqlite3_stmt *attachments = l->s->statements[STMT_ATTACHMENTS];
    CLEANUP(statement_resetp) sqlite3_stmt *tags = l->s->statements[STMT_IDENTITY_TAGS];
    struct identity_parts                   p = { { documents, &row_documents, false },
                                                  { attachments, &row_attachments, false },
                                                  { tags, &row_tags, false } };

    if (l->visitor->identity == NULL && !l->verify)
        return KMS_OK;
    TRY(parts_begin(l, &p.documents, reterr));
    TRY(parts_begin(l, &p.attachments, reterr));
    TRY(parts_begin(l, &p.tags, reterr));
    for (bool more = true; more;) {
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        CLEANUP(identity_record_freep) struct identity_record *r = identity_record_new();
        if (r == NULL)
            return no_memory(reterr);
        TRY(read_identity(l, stmt, &p, r, reterr));
        if (l->visitor->identity != NULL)
            TRY(l->visitor->identity(l->visitor->ctx, TAKE(r), reterr));
    }
    TRY(parts_end(l, &p.documents, reterr));
    TRY(parts_end(l, &p.attachments, reterr));
    return parts_end(l, &p.tags, reterr);
}

static enum kms_status read_access_key(struct loading *l, sqlite3_stmt *stmt,
                                       struct parts *policies, struct parts *tags,
                                       struct access_key_record *k, struct kms_error *reterr)
{
    struct session *s = &k->session;

    TRY(row_read(l->s, stmt, 0, &row_access_keys, k, k->arena, reterr));
    TRY(read_documents(l, policies, k->serial, k->arena, &s->policies, &s->n_policies, reterr));
    TRY(read_tags(l, tags, k->serial, k->arena, &s->tags, &s->n_tags, reterr));
    if (s->n_policies > SESSION_POLICIES_MAX)
        return row_damaged(l->s, stmt, &row_access_keys, "has too many policies", reterr);
    return row_verify(l->s, stmt, &row_access_keys, k, reterr);
}

static enum kms_status load_access_keys(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_ACCESS_KEYS];
    CLEANUP(statement_resetp) sqlite3_stmt *of_policies = l->s->statements[STMT_SESSION_POLICIES];
    CLEANUP(statement_resetp) sqlite3_stmt *of_tags = l->s->statements[STMT_SESSION_TAGS];
    struct parts                            policies = { of_policies, &row_documents, false };
    struct parts                            tags = { of_tags, &row_tags, false };

    if (l->visitor->access_key == NULL && !l->verify)
        return KMS_OK;
    TRY(parts_begin(l, &policies, reterr));
    TRY(parts_begin(l, &tags, reterr));
    for (bool more = true; more;) {
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        CLEANUP(access_key_record_freep) struct access_key_record *k = access_key_record_new();
        if (k == NULL)
            return no_memory(reterr);
        TRY(read_access_key(l, stmt, &policies, &tags, k, reterr));
        if (l->visitor->access_key != NULL)
            TRY(l->visitor->access_key(l->visitor->ctx, TAKE(k), reterr));
    }
    TRY(parts_end(l, &policies, reterr));
    return parts_end(l, &tags, reterr);
}

static enum kms_status load_access_key_uses(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_ACCESS_KEY_USES];

    for (bool more = l->visitor->access_key_use != NULL || l->verify; more;) {
        struct access_key_use row = { 0 };
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        TRY(row_read(l->s, stmt, 1, &row_access_key_uses, &row, NULL, reterr));
        TRY(row_verify(l->s, stmt, &row_access_key_uses, &row, reterr));
        if (sqlite3_column_type(stmt, 0) == SQLITE_NULL)
            return row_damaged(l->s, stmt, &row_access_key_uses, "belongs to no key", reterr);
        if (l->visitor->access_key_use != NULL)
            TRY(l->visitor->access_key_use(l->visitor->ctx, text_view(stmt, 0), &row, reterr));
    }
    return KMS_OK;
}

static enum kms_status load_aliases(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_ALIASES];

    for (bool more = l->visitor->alias != NULL || l->verify; more;) {
        struct alias_record row = { 0 };
        TRY(row_next(l->s, stmt, &row_aliases, &row, &more, reterr));
        if (!more || l->visitor->alias == NULL)
            continue;
        struct alias_record *a = alias_record_new(row.name.account, row.name.region, row.name.name);
        if (a == NULL)
            return no_memory(reterr);
        row.name = a->name;
        *a = row;
        TRY(l->visitor->alias(l->visitor->ctx, a, reterr));
    }
    return KMS_OK;
}

/* The name was read as views; its parts become views of an ARN in the record's arena. */
static void settle_name(struct import_key_record *k)
{
    char       text[KEY_ARN_MAX];
    struct buf arn = { .ptr = (uint8_t *)text, .cap = sizeof text, .limit = sizeof text };

    key_arn_add(&arn, k->key.account, k->key.region,
                k->key.id); /* fits: never grown out of `text` */
    k->key.arn = arena_copy(k->arena, buf_bytes(&arn));
    k->key.account = arena_copy(k->arena, k->key.account);
    k->key.region = arena_copy(k->arena, k->key.region);
    k->key.id = arena_copy(k->arena, k->key.id);
}

static enum kms_status load_import_keys(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_IMPORT_KEYS];

    for (bool more = l->visitor->import_key != NULL || l->verify; more;) {
        CLEANUP(import_key_record_freep) struct import_key_record *k = import_key_record_new();
        if (k == NULL)
            return no_memory(reterr);
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        TRY(row_read(l->s, stmt, 0, &row_import_keys, k, k->arena, reterr));
        TRY(row_verify(l->s, stmt, &row_import_keys, k, reterr));
        if (l->visitor->import_key == NULL)
            continue;
        settle_name(k);
        TRY(l->visitor->import_key(l->visitor->ctx, TAKE(k), reterr));
    }
    return KMS_OK;
}

static enum kms_status load_grants(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_GRANTS];

    for (bool more = l->visitor->grant != NULL || l->verify; more;) {
        CLEANUP(grant_record_freep) struct grant_record *g = grant_record_new();
        if (g == NULL)
            return no_memory(reterr);
        struct grant_row row = { .grant = g };
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            continue;
        TRY(row_read(l->s, stmt, 0, &row_grants, &row, g->arena, reterr));
        if (!grant_pairs_read(g, row.pairs))
            return row_damaged(l->s, stmt, &row_grants, "its pairs are not as we write them",
                               reterr);
        TRY(row_verify(l->s, stmt, &row_grants, &row, reterr));
        grant_record_set_key(g, g->key.account, g->key.region, g->key.id);
        if (l->visitor->grant != NULL)
            TRY(l->visitor->grant(l->visitor->ctx, TAKE(g), reterr));
    }
    return KMS_OK;
}

/* The first serial whose tombstone is loaded although it is erased. */
static uint64_t tombstones_from(const struct loading *l)
{
    uint64_t last = l->s->serials.tombstone;

    if (l->verify || last < STORE_TOMBSTONES_KEPT)
        return 0;
    return last - STORE_TOMBSTONES_KEPT + 1;
}

static enum kms_status load_tombstones(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_TOMBSTONES];

    if (sqlite3_bind_int64(stmt, 1, (sqlite3_int64)tombstones_from(l)) != SQLITE_OK)
        return no_memory(reterr);
    for (bool more = l->visitor->tombstone != NULL || l->verify; more;) {
        struct tombstone row = { 0 };
        TRY(row_next(l->s, stmt, &row_tombstones, &row, &more, reterr));
        if (more && l->visitor->tombstone != NULL)
            TRY(l->visitor->tombstone(l->visitor->ctx, &row, reterr));
    }
    return KMS_OK;
}

static enum kms_status load_outbox(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_OUTBOX];

    for (bool more = l->visitor->outbox != NULL || l->verify; more;) {
        struct outbox_row row = { 0 };
        TRY(row_next(l->s, stmt, &row_outbox, &row, &more, reterr));
        if (more && l->visitor->outbox != NULL)
            TRY(l->visitor->outbox(l->visitor->ctx, row.serial, row.event, reterr));
    }
    return KMS_OK;
}

static enum kms_status visit_deliveries(struct loading *l, uint64_t after, int64_t max,
                                        struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_DELIVERIES];

    if (sqlite3_bind_int64(stmt, 1, (sqlite3_int64)after) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, max) != SQLITE_OK)
        return no_memory(reterr);
    for (bool more = l->visitor->delivery != NULL || l->verify; more;) {
        struct delivery row = { 0 };
        TRY(row_next(l->s, stmt, &row_deliveries, &row, &more, reterr));
        if (more && l->visitor->delivery != NULL)
            TRY(l->visitor->delivery(l->visitor->ctx, &row, reterr));
    }
    return KMS_OK;
}

enum kms_status sqlite_read_deliveries(struct store *store, uint64_t after, size_t max,
                                       const struct store_visitor *v, struct kms_error *reterr)
{
    struct loading l = { .s = (struct sqlite_store *)store, .visitor = v };

    TRY(sqlite_usable(l.s, reterr));
    return visit_deliveries(&l, after, (int64_t)max, reterr);
}

static enum kms_status load_all(struct loading *l, struct kms_error *reterr)
{
    TRY(load_domains(l, reterr));
    TRY(load_accounts(l, reterr));
    TRY(load_identities(l, reterr));
    TRY(load_access_keys(l, reterr));
    TRY(load_access_key_uses(l, reterr));
    TRY(load_keys(l, reterr));
    TRY(load_usages(l, reterr));
    TRY(load_aliases(l, reterr));
    TRY(load_import_keys(l, reterr));
    TRY(load_grants(l, reterr));
    TRY(load_tombstones(l, reterr));
    TRY(load_outbox(l, reterr));
    return visit_deliveries(l, 0, INT64_MAX, reterr);
}

enum kms_status sqlite_load(struct store *store, const struct store_visitor *v,
                            struct kms_error *reterr)
{
    struct loading l = { .s = (struct sqlite_store *)store, .visitor = v };

    TRY(sqlite_usable(l.s, reterr));
    return load_all(&l, reterr);
}

enum kms_status sqlite_verify_rows(struct sqlite_store *s, struct kms_error *reterr)
{
    static const struct store_visitor nobody = { 0 };
    struct loading                    l = { .s = s, .visitor = &nobody, .verify = true };

    return load_all(&l, reterr);
}
