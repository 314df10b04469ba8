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

/* A table whose rows belong to a key, read along with the keys. */
struct parts {
    sqlite3_stmt          *stmt;
    const struct row_type *type;
    bool                   more; /* the statement stands on a row that is not used yet */
};

static enum kms_status no_memory(struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to load the database");
}

/* --- keys ------------------------------------------------------------------------------------- */

/* True if the next row belongs to the key; it must then be the part number `position`. */
static enum kms_status parts_next(struct loading *l, struct parts *p, uint64_t key, size_t position,
                                  bool *ret_mine, struct kms_error *reterr)
{
    uint64_t owner = p->more ? (uint64_t)sqlite3_column_int64(p->stmt, 0) : 0;

    *ret_mine = p->more && owner == key;
    if (p->more && (int64_t)owner < (int64_t)key)
        return row_damaged(l->s, p->stmt, p->type, "belongs to no key", reterr);
    if (*ret_mine && (sqlite3_column_type(p->stmt, 0) != SQLITE_INTEGER ||
                      sqlite3_column_type(p->stmt, 1) != SQLITE_INTEGER ||
                      (uint64_t)sqlite3_column_int64(p->stmt, 1) != position))
        return row_damaged(l->s, p->stmt, p->type, "not the next of its key", reterr);
    return KMS_OK;
}

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

static enum kms_status read_tags(struct loading *l, struct parts *p, struct key_record *k,
                                 struct kms_error *reterr)
{
    size_t room = 0;

    for (;;) {
        bool mine = false;
        TRY(parts_next(l, p, k->serial, k->n_tags, &mine, reterr));
        if (!mine)
            return KMS_OK;
        if (k->n_tags == room) {
            room = room == 0 ? 4 : room * 2;
            struct key_tag *more = arena_alloc(k->arena, room * sizeof *more);
            if (k->n_tags > 0)
                memcpy(more, k->tags, k->n_tags * sizeof *more);
            k->tags = more;
        }
        TRY(row_read(l->s, p->stmt, 2, p->type, &k->tags[k->n_tags], k->arena, reterr));
        k->n_tags++;
        TRY(row_step(l->s, p->stmt, &p->more, reterr));
    }
}

static enum kms_status load_keys(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_KEYS];
    CLEANUP(statement_resetp) sqlite3_stmt *of_materials = l->s->statements[STMT_MATERIALS];
    CLEANUP(statement_resetp) sqlite3_stmt *of_tags = l->s->statements[STMT_TAGS];
    struct parts                            materials = { of_materials, &row_materials, false };
    struct parts                            tags = { of_tags, &row_tags, false };

    if (l->visitor->key == NULL && !l->verify)
        return KMS_OK;
    TRY(row_step(l->s, materials.stmt, &materials.more, reterr));
    TRY(row_step(l->s, tags.stmt, &tags.more, reterr));
    for (;;) {
        bool more = false;
        TRY(row_step(l->s, stmt, &more, reterr));
        if (!more)
            break;
        CLEANUP(key_record_freep) struct key_record *k = key_record_new();
        if (k == NULL)
            return no_memory(reterr);
        TRY(row_read(l->s, stmt, 0, &row_keys, k, k->arena, reterr));
        TRY(read_materials(l, &materials, k, reterr));
        TRY(read_tags(l, &tags, k, reterr));
        TRY(row_verify(l->s, stmt, &row_keys, k, reterr));
        key_record_set_name(k, k->name.account, k->name.region, k->name.id);
        if (l->visitor->key != NULL)
            TRY(l->visitor->key(l->visitor->ctx, TAKE(k), reterr));
    }
    if (materials.more)
        return row_damaged(l->s, materials.stmt, materials.type, "belongs to no key", reterr);
    if (tags.more)
        return row_damaged(l->s, tags.stmt, tags.type, "belongs to no key", reterr);
    return KMS_OK;
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

static enum kms_status load_access_keys(struct loading *l, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = l->s->statements[STMT_ACCESS_KEYS];

    for (bool more = l->visitor->access_key != NULL || l->verify; more;) {
        struct access_key_record row = { 0 };
        TRY(row_next(l->s, stmt, &row_access_keys, &row, &more, reterr));
        if (!more || l->visitor->access_key == NULL)
            continue;
        struct access_key_record *k = access_key_new(row.wrapped_secret);
        if (k == NULL)
            return no_memory(reterr);
        row.wrapped_secret = k->wrapped_secret;
        *k = row;
        TRY(l->visitor->access_key(l->visitor->ctx, k, reterr));
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

static enum kms_status load_all(struct loading *l, struct kms_error *reterr)
{
    TRY(load_domains(l, reterr));
    TRY(load_accounts(l, reterr));
    TRY(load_access_keys(l, reterr));
    TRY(load_keys(l, reterr));
    TRY(load_usages(l, reterr));
    TRY(load_aliases(l, reterr));
    TRY(load_import_keys(l, reterr));
    TRY(load_grants(l, reterr));
    TRY(load_tombstones(l, reterr));
    return load_outbox(l, reterr);
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
