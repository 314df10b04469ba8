/* store/sqlite/row.c - records as rows: one list of columns per record, used three ways.
 *
 * A *_columns function walks a record in the order of its table's columns. The same walk binds the
 * values to a statement, reads them from one, and writes the input of the row's MAC. So what is
 * stored, what is loaded and what the MAC covers cannot come apart.
 *
 * Reading trusts nothing: a value of another type, outside its field's range, or too long for it is
 * an error, since two rows must never read as the same record. Values of 64 bits without sign are
 * stored as the same bits with sign.
 */
#include "store/sqlite/internal.h"

#include "base/cleanup.h"
#include "base/secret.h"

enum row_mode { ROW_BIND, ROW_READ, ROW_ENCODE };

struct row_io {
    enum row_mode mode;
    sqlite3_stmt *stmt;
    int           at;    /* BIND: next parameter, from 1; READ: next column, from 0 */
    struct arena *arena; /* READ: where strings are copied to; NULL: they stay views */
    struct buf   *out;   /* ENCODE                                                  */
    int           rc;    /* BIND: the first failure                                 */
    int           bad;   /* READ: the first column that is not as we write it; -1   */
};

/* --- columns ---------------------------------------------------------------------------------- */

static void io_result(struct row_io *io, int rc)
{
    if (io->rc == SQLITE_OK)
        io->rc = rc;
    io->at++;
}

static void io_bad(struct row_io *io, int column)
{
    if (io->bad < 0)
        io->bad = column;
}

static uint64_t io_integer(struct row_io *io, uint64_t value, uint64_t max)
{
    if (io->mode == ROW_ENCODE) {
        buf_add_u64(io->out, value);
        return value;
    }
    if (io->mode == ROW_BIND) {
        io_result(io, sqlite3_bind_int64(io->stmt, io->at, (sqlite3_int64)value));
        return value;
    }
    value = (uint64_t)sqlite3_column_int64(io->stmt, io->at);
    if (sqlite3_column_type(io->stmt, io->at) != SQLITE_INTEGER || value > max) {
        io_bad(io, io->at);
        value = 0;
    }
    io->at++;
    return value;
}

static int bind_bytes(sqlite3_stmt *stmt, int at, int type, struct bytes value)
{
    const void *from = value.ptr;

    if (value.len == 0)
        from = ""; /* NULL would bind NULL */
    if (type == SQLITE_TEXT)
        return sqlite3_bind_text64(stmt, at, from, value.len, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(stmt, at, from, value.len, SQLITE_STATIC);
}

/* Text and blobs. Reading gives a view that lasts until the statement moves on. */
static void io_bytes(struct row_io *io, int type, struct bytes *value, size_t max)
{
    if (io->mode == ROW_ENCODE) {
        buf_add_field(io->out, *value);
        return;
    }
    if (io->mode == ROW_BIND) {
        io_result(io, bind_bytes(io->stmt, io->at, type, *value));
        return;
    }
    /* the type comes first: asking for the bytes may change it */
    bool        ok = sqlite3_column_type(io->stmt, io->at) == type;
    const void *from = sqlite3_column_blob(io->stmt, io->at);
    size_t      len = (size_t)sqlite3_column_bytes(io->stmt, io->at);
    if (!ok || len > max || (len > 0 && from == NULL)) {
        io_bad(io, io->at);
        len = 0;
    }
    *value = len == 0 ? (struct bytes){ NULL, 0 } : bytes_of(from, len);
    io->at++;
}

static void column_u64(struct row_io *io, uint64_t *value)
{
    *value = io_integer(io, *value, UINT64_MAX);
}

static void column_i64(struct row_io *io, int64_t *value)
{
    *value = (int64_t)io_integer(io, (uint64_t)*value, UINT64_MAX);
}

static void column_u32(struct row_io *io, uint32_t *value)
{
    *value = (uint32_t)io_integer(io, *value, UINT32_MAX);
}

static void column_u16(struct row_io *io, uint16_t *value)
{
    *value = (uint16_t)io_integer(io, *value, UINT16_MAX);
}

static void column_u8(struct row_io *io, uint8_t *value)
{
    *value = (uint8_t)io_integer(io, *value, UINT8_MAX);
}

static void column_bool(struct row_io *io, bool *value)
{
    *value = io_integer(io, *value, 1) != 0;
}

/* An enum whose highest value is `last`. */
#define column_enum(io, field, last)                                                               \
    ((field) = (__typeof__(field))io_integer((io), (uint64_t)(field), (uint64_t)(last)))

/* A part of a name: a view even when reading into an arena. */
static void column_name(struct row_io *io, struct bytes *value, size_t max)
{
    io_bytes(io, SQLITE_TEXT, value, max);
}

static void column_text(struct row_io *io, struct bytes *value)
{
    io_bytes(io, SQLITE_TEXT, value, SIZE_MAX);
    if (io->mode == ROW_READ && io->arena != NULL)
        *value = arena_copy(io->arena, *value);
}

static void column_blob(struct row_io *io, struct bytes *value)
{
    io_bytes(io, SQLITE_BLOB, value, SIZE_MAX);
    if (io->mode == ROW_READ && io->arena != NULL)
        *value = arena_copy(io->arena, *value);
}

/* Text that may be absent, which is NULL in the database and one zero byte for the MAC. */
static void column_optional(struct row_io *io, bool *has, struct bytes *value)
{
    if (io->mode == ROW_READ)
        *has = sqlite3_column_type(io->stmt, io->at) != SQLITE_NULL;
    if (io->mode == ROW_ENCODE)
        buf_add_byte(io->out, *has);
    if (*has)
        column_text(io, value);
    else if (io->mode == ROW_BIND)
        io_result(io, sqlite3_bind_null(io->stmt, io->at));
    else if (io->mode == ROW_READ)
        io->at++;
}

/* A string in an array of `size` characters. */
static void column_chars(struct row_io *io, char *text, size_t size)
{
    struct bytes value = bytes_of(text, strlen(text));
    int          column = io->at;

    io_bytes(io, SQLITE_TEXT, &value, size - 1);
    if (io->mode != ROW_READ)
        return;
    if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
        io_bad(io, column);
    if (value.len > 0)
        memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
}

/* Exactly `len` bytes. */
static void column_fixed(struct row_io *io, uint8_t *bytes, size_t len)
{
    struct bytes value = bytes_of(bytes, len);
    int          column = io->at;

    io_bytes(io, SQLITE_BLOB, &value, len);
    if (io->mode != ROW_READ)
        return;
    if (value.len == len)
        memcpy(bytes, value.ptr, len);
    else
        io_bad(io, column);
}

static void column_sealed(struct row_io *io, struct sealed *s)
{
    column_blob(io, &s->wrapped);
    column_u32(io, &s->domain_version);
    column_u32(io, &s->slot);
    column_u64(io, &s->slot_generation);
    column_enum(io, s->slot_class, SLOT_DURABLE);
}

/* Text of at most `max` bytes. */
static void column_short(struct row_io *io, struct bytes *value, size_t max)
{
    io_bytes(io, SQLITE_TEXT, value, max);
    if (io->mode == ROW_READ && io->arena != NULL)
        *value = arena_copy(io->arena, *value);
}

static void column_key_name(struct row_io *io, struct key_name *name)
{
    column_name(io, &name->account, ACCOUNT_LEN);
    column_name(io, &name->region, REGION_MAX);
    column_name(io, &name->id, KEY_ID_MAX);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void peek_columns(struct row_io *io, struct store_meta *m)
{
    column_fixed(io, m->instance_id, sizeof m->instance_id);
    column_u64(io, &m->commit);
    column_u64(io, &m->slot_generation[SLOT_ERASABLE]);
    column_u64(io, &m->slot_generation[SLOT_DURABLE]);
    column_i64(io, &m->clock_floor);
}

static void meta_columns_2(struct row_io *io, void *record)
{
    struct meta_row *m = record;

    peek_columns(io, &m->meta);
    column_u64(io, &m->serials.key);
    column_u64(io, &m->serials.alias);
    column_u64(io, &m->serials.tombstone);
    column_u64(io, &m->serials.outbox);
}

static void meta_columns(struct row_io *io, void *record)
{
    struct meta_row *m = record;

    meta_columns_2(io, record);
    column_u64(io, &m->serials.identity);
    column_u64(io, &m->serials.access_key);
    column_u64(io, &m->serials.grant);
}

/* What a key's row has had from the beginning. */
static void key_columns_1(struct row_io *io, struct key_record *k)
{
    column_u64(io, &k->serial);
    column_key_name(io, &k->name);
    column_u64(io, &k->version);
    column_enum(io, k->spec, SPEC_COUNT - 1);
    column_enum(io, k->usage, USAGE_COUNT - 1);
    column_enum(io, k->origin, ORIGIN_COUNT - 1);
    column_enum(io, k->multi_region, REGION_REPLICA);
    column_text(io, &k->primary_region);
    column_i64(io, &k->created);
    column_enum(io, k->state, KEY_STATE_COUNT - 1);
    column_i64(io, &k->deletion_date);
    column_u32(io, &k->pending_window_days);
    column_text(io, &k->description);
    column_text(io, &k->policy);
    column_bool(io, &k->rotation_enabled);
    column_u32(io, &k->rotation_period_days);
    column_i64(io, &k->next_rotation);
    column_i64(io, &k->on_demand_start);
    column_u32(io, &k->on_demand_count);
}

static void key_columns_3(struct row_io *io, void *record)
{
    struct key_record *k = record;

    key_columns_1(io, k);
    if (io->mode != ROW_ENCODE) /* key_parts_3 has it at the end of the MAC's input */
        column_text(io, &k->principals);
}

static void key_columns(struct row_io *io, void *record)
{
    struct key_record *k = record;

    key_columns_1(io, k);
    column_text(io, &k->principals);
    column_text(io, &k->regions);
    column_i64(io, &k->settles);
}

static void material_columns_3(struct row_io *io, void *record)
{
    struct key_material *m = record;

    column_fixed(io, m->id.b, sizeof m->id.b);
    column_fixed(io, m->check, sizeof m->check);
    column_enum(io, m->role, MATERIAL_ROLE_COUNT - 1);
    column_bool(io, &m->present);
    column_enum(io, m->expiration, DOES_NOT_EXPIRE);
    column_i64(io, &m->valid_to);
    column_optional(io, &m->has_description, &m->description);
    column_i64(io, &m->rotation_date);
    column_enum(io, m->rotation_type, ROTATION_AUTOMATIC);
    column_i64(io, &m->created);
    column_sealed(io, &m->sealed);
}

static void material_columns(struct row_io *io, void *record)
{
    struct key_material *m = record;

    material_columns_3(io, record);
    column_u16(io, &m->warned_days);
}

static void tag_columns(struct row_io *io, void *record)
{
    struct key_tag *t = record;

    column_text(io, &t->key);
    column_text(io, &t->value);
}

static void encode_parts(struct row_io *io, struct key_record *k,
                         void (*material)(struct row_io *io, void *record))
{
    buf_add_u64(io->out, k->n_materials);
    for (size_t i = 0; i < k->n_materials; i++)
        material(io, &k->materials[i]);
    buf_add_u64(io->out, k->n_tags);
    for (size_t i = 0; i < k->n_tags; i++)
        tag_columns(io, &k->tags[i]);
}

static void key_parts_3(struct row_io *io, void *record)
{
    struct key_record *k = record;

    encode_parts(io, k, material_columns_3);
    if (k->principals.len > 0) /* rows older than this column kept their MACs */
        buf_add_field(io->out, k->principals);
}

static void key_parts(struct row_io *io, void *record)
{
    encode_parts(io, record, material_columns);
}

static void usage_columns(struct row_io *io, void *record)
{
    struct key_usage_record *u = record;

    column_u64(io, &u->key);
    column_enum(io, u->last.operation, TRACKED_COUNT - 1);
    column_i64(io, &u->last.at);
    column_fixed(io, u->last.event_id, sizeof u->last.event_id);
    column_fixed(io, u->last.request_id, sizeof u->last.request_id);
    column_i64(io, &u->since);
}

static void alias_columns(struct row_io *io, void *record)
{
    struct alias_record *a = record;

    column_u64(io, &a->serial);
    column_name(io, &a->name.account, ACCOUNT_LEN);
    column_name(io, &a->name.region, REGION_MAX);
    column_name(io, &a->name.name, ALIAS_MAX);
    column_u64(io, &a->version);
    column_chars(io, a->key_id, sizeof a->key_id);
    column_i64(io, &a->created);
    column_i64(io, &a->updated);
}

static void import_key_columns(struct row_io *io, void *record)
{
    struct import_key_record *k = record;

    column_fixed(io, k->id, sizeof k->id);
    column_key_name(io, &k->key);
    column_u8(io, &k->wrapping_algorithm);
    column_u8(io, &k->wrapping_spec);
    column_fixed(io, k->fingerprint, sizeof k->fingerprint);
    column_i64(io, &k->valid_to);
    column_sealed(io, &k->sealed);
}

static void grant_columns(struct row_io *io, void *record)
{
    struct grant_row    *row = record;
    struct grant_record *g = row->grant;

    column_u64(io, &g->serial);
    column_key_name(io, &g->key);
    column_short(io, &g->id, GRANT_ID_LEN);
    column_text(io, &g->name);
    column_i64(io, &g->created);
    column_short(io, &g->grantee, GRANT_PRINCIPAL_MAX);
    column_bool(io, &g->grantee_is_service);
    column_short(io, &g->retiring, GRANT_PRINCIPAL_MAX);
    column_bool(io, &g->retiring_is_service);
    column_short(io, &g->issuing_account, ACCOUNT_LEN);
    column_u32(io, &g->operations);
    column_enum(io, g->constraint, GRANT_CONTEXT_SUBSET);
    io_bytes(io, SQLITE_BLOB, &row->pairs, GRANT_PAIRS_BYTES); /* a view */
    column_text(io, &g->source_arn);
}

static void domain_columns(struct row_io *io, void *record)
{
    struct domain_key_record *d = record;

    column_text(io, &d->account);
    column_text(io, &d->region);
    column_u32(io, &d->version);
    column_blob(io, &d->wrapped);
}

static void account_columns_2(struct row_io *io, void *record)
{
    struct account_record *a = record;

    column_chars(io, a->id, sizeof a->id);
    column_i64(io, &a->created);
}

static void account_columns(struct row_io *io, void *record)
{
    struct account_record *a = record;

    column_chars(io, a->id, sizeof a->id);
    column_chars(io, a->name, sizeof a->name);
    column_chars(io, a->organization, sizeof a->organization);
    column_i64(io, &a->created);
    column_u64(io, &a->version);
}

static void document_columns(struct row_io *io, void *record)
{
    struct identity_document *d = record;

    column_text(io, &d->name);
    column_text(io, &d->text);
    column_i64(io, &d->created);
    column_bool(io, &d->is_default);
}

static void attachment_columns(struct row_io *io, void *record)
{
    column_text(io, record);
}

static void identity_columns(struct row_io *io, void *record)
{
    struct identity_record *r = record;

    column_u64(io, &r->serial);
    column_text(io, &r->account);
    column_enum(io, r->kind, IDENTITY_KIND_COUNT - 1);
    column_text(io, &r->name);
    column_text(io, &r->unique_id);
    column_u64(io, &r->version);
    column_text(io, &r->path);
    column_text(io, &r->description);
    column_i64(io, &r->created);
    column_i64(io, &r->updated);
    column_text(io, &r->trust);
    column_text(io, &r->trust_principals);
    column_u32(io, &r->max_session_s);
    column_text(io, &r->boundary);
    column_u32(io, &r->last_version);
}

static void encode_documents(struct row_io *io, struct identity_document *list, size_t n)
{
    buf_add_u64(io->out, n);
    for (size_t i = 0; i < n; i++)
        document_columns(io, &list[i]);
}

static void encode_tags(struct row_io *io, struct key_tag *list, size_t n)
{
    buf_add_u64(io->out, n);
    for (size_t i = 0; i < n; i++)
        tag_columns(io, &list[i]);
}

static void identity_parts(struct row_io *io, void *record)
{
    struct identity_record *r = record;

    encode_documents(io, r->documents, r->n_documents);
    buf_add_u64(io->out, r->n_attached);
    for (size_t i = 0; i < r->n_attached; i++)
        attachment_columns(io, &r->attached[i]);
    encode_tags(io, r->tags, r->n_tags);
}

static void access_key_columns_2(struct row_io *io, void *record)
{
    struct access_key_2 *k = record;

    column_text(io, &k->id);
    column_text(io, &k->account);
    column_text(io, &k->principal_arn);
    column_text(io, &k->principal_id);
    column_bool(io, &k->active);
    column_i64(io, &k->created);
    column_u64(io, &k->version);
    column_blob(io, &k->wrapped_secret);
}

static void access_key_columns(struct row_io *io, void *record)
{
    struct access_key_record *k = record;
    struct session           *s = &k->session;

    column_u64(io, &k->serial);
    column_text(io, &k->id);
    column_text(io, &k->account);
    column_text(io, &k->principal_id);
    column_u64(io, &k->version);
    column_bool(io, &k->root);
    column_bool(io, &k->active);
    column_i64(io, &k->created);
    column_blob(io, &k->wrapped_secret);
    column_enum(io, s->kind, SESSION_ROOT);
    column_text(io, &s->name);
    column_i64(io, &s->expires);
    column_fixed(io, s->token_hash, sizeof s->token_hash);
    column_text(io, &s->source_identity);
    column_text(io, &s->provider);
    column_u32(io, &s->n_transitive);
}

static void access_key_parts(struct row_io *io, void *record)
{
    struct access_key_record *k = record;

    encode_documents(io, k->session.policies, k->session.n_policies);
    encode_tags(io, k->session.tags, k->session.n_tags);
}

static void access_key_use_columns(struct row_io *io, void *record)
{
    struct access_key_use *u = record;

    column_u64(io, &u->access_key);
    column_i64(io, &u->at);
    column_enum(io, u->service, USED_SERVICE_COUNT - 1);
    column_chars(io, u->region, sizeof u->region);
}

static void tombstone_columns(struct row_io *io, void *record)
{
    struct tombstone *t = record;

    column_u64(io, &t->serial);
    column_chars(io, t->key_arn, sizeof t->key_arn);
    column_fixed(io, t->material.b, sizeof t->material.b);
    column_u32(io, &t->slot);
    column_u64(io, &t->slot_generation);
    column_enum(io, t->slot_class, SLOT_DURABLE);
    column_i64(io, &t->at);
    column_u8(io, &t->reason);
    column_bool(io, &t->erased);
}

static void outbox_columns(struct row_io *io, void *record)
{
    struct outbox_row *o = record;

    column_u64(io, &o->serial);
    column_text(io, &o->event);
}

static void delivery_columns(struct row_io *io, void *record)
{
    struct delivery *d = record;

    column_u64(io, &d->serial);
    column_chars(io, d->id, sizeof d->id);
    column_i64(io, &d->at);
    column_text(io, &d->key_arn);
    column_text(io, &d->body);
}

const struct row_type row_meta = { "meta", 1, 1, meta_columns, NULL, 2 };
const struct row_type row_meta_2 = { "meta", 1, 1, meta_columns_2, NULL, 1 };
const struct row_type row_keys = { "keys", 0, 4, key_columns, key_parts, 2 };
const struct row_type row_keys_3 = { "keys", 0, 4, key_columns_3, key_parts_3, 1 };
const struct row_type row_materials = { "materials", 0, 2, material_columns, NULL, 1 };
const struct row_type row_materials_3 = { "materials", 0, 2, material_columns_3, NULL, 1 };
const struct row_type row_tags = { "tags", 0, 2, tag_columns, NULL, 1 };
/* read behind the three columns that name the key */
const struct row_type row_usages = { "key_usage", 3, 1, usage_columns, NULL, 1 };
const struct row_type row_aliases = { "aliases", 0, 4, alias_columns, NULL, 1 };
const struct row_type row_import_keys = { "import_keys", 1, 3, import_key_columns, NULL, 1 };
const struct row_type row_grants = { "grants", 0, 5, grant_columns, NULL, 1 };
const struct row_type row_domains = { "domain_keys", 0, 3, domain_columns, NULL, 1 };
const struct row_type row_accounts = { "accounts", 0, 1, account_columns, NULL, 2 };
const struct row_type row_accounts_2 = { "accounts", 0, 1, account_columns_2, NULL, 1 };
const struct row_type row_identities = { "identities", 0, 5, identity_columns, identity_parts, 1 };
const struct row_type row_documents = { "documents", 0, 2, document_columns, NULL, 1 };
const struct row_type row_attachments = { "attachments", 0, 2, attachment_columns, NULL, 1 };
const struct row_type row_access_keys = { "access_keys",    0, 2, access_key_columns,
                                          access_key_parts, 2 };
const struct row_type row_access_keys_2 = { "access_keys", 0, 1, access_key_columns_2, NULL, 1 };
/* read behind the id of the access key */
const struct row_type row_access_key_uses = { "access_key_usage",     1,    1,
                                              access_key_use_columns, NULL, 1 };
const struct row_type row_tombstones = { "tombstones", 0, 2, tombstone_columns, NULL, 1 };
const struct row_type row_outbox = { "outbox", 0, 1, outbox_columns, NULL, 1 };
const struct row_type row_deliveries = { "deliveries", 0, 1, delivery_columns, NULL, 1 };

/* --- what the other files call ---------------------------------------------------------------- */

enum kms_status row_mac(struct sqlite_store *s, const struct row_type *type, void *record,
                        uint8_t ret[ROW_MAC_LEN], struct kms_error *reterr)
{
    struct row_io io = { .mode = ROW_ENCODE, .out = &s->mac_input, .bad = -1 };

    buf_reset(&s->mac_input);
    buf_add_field(&s->mac_input, bytes_str(type->table));
    buf_add_u64(&s->mac_input, type->revision);
    type->columns(&io, record);
    if (type->parts != NULL)
        type->parts(&io, record);
    if (!buf_ok(&s->mac_input))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a row of table %s is too large or memory ran out",
                        type->table);
    s->mac(s->mac_ctx, buf_bytes(&s->mac_input), ret);
    return KMS_OK;
}

enum kms_status row_bind(struct sqlite_store *s, sqlite3_stmt *stmt, int first,
                         const struct row_type *type, void *record, struct kms_error *reterr)
{
    struct row_io io = { .mode = ROW_BIND, .stmt = stmt, .at = first, .bad = -1 };

    type->columns(&io, record);
    return io.rc == SQLITE_OK ? KMS_OK : database_fail(s->db, s->path, io.rc, "write", reterr);
}

enum kms_status row_put(struct sqlite_store *s, enum statement id, const struct row_type *type,
                        void *record, struct kms_error *reterr)
{
    sqlite3_stmt *stmt = s->statements[id];
    struct row_io io = { .mode = ROW_BIND, .stmt = stmt, .at = 1, .bad = -1 };
    uint8_t       mac[ROW_MAC_LEN];
    int           changed = 0;

    TRY(row_mac(s, type, record, mac, reterr));
    type->columns(&io, record);
    column_fixed(&io, mac, sizeof mac);
    if (io.rc != SQLITE_OK) {
        statement_resetp(&stmt);
        return database_fail(s->db, s->path, io.rc, "write", reterr);
    }
    TRY(statement_run(s, id, &changed, reterr));
    if (changed != 1)
        return KMS_FAIL(reterr, KMS_E_CHANGED, "table %s has not this version of the row",
                        type->table);
    return KMS_OK;
}

enum kms_status row_damaged(struct sqlite_store *s, sqlite3_stmt *stmt, const struct row_type *type,
                            const char *why, struct kms_error *reterr)
{
    char   name[96];
    size_t len = 0;

    for (int i = 0; i < type->name_n; i++) {
        const unsigned char *part = sqlite3_column_text(stmt, type->name_at + i);
        (void)sqlite3_snprintf((int)(sizeof name - len), name + len, "%s%s", i == 0 ? "" : " ",
                               part == NULL ? "-" : (const char *)part);
        len = strlen(name);
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "table %s, row %s: %s: restore database '%.80s' from a backup", type->table,
                    name, why, s->path);
}

enum kms_status row_read(struct sqlite_store *s, sqlite3_stmt *stmt, int first,
                         const struct row_type *type, void *record, struct arena *arena,
                         struct kms_error *reterr)
{
    struct row_io io = { .mode = ROW_READ, .stmt = stmt, .at = first, .arena = arena, .bad = -1 };
    char          why[64];

    type->columns(&io, record);
    if (io.bad < 0)
        return KMS_OK;
    (void)sqlite3_snprintf(sizeof why, why, "impossible value of %s",
                           sqlite3_column_name(stmt, io.bad));
    return row_damaged(s, stmt, type, why, reterr);
}

enum kms_status row_verify(struct sqlite_store *s, sqlite3_stmt *stmt, const struct row_type *type,
                           void *record, struct kms_error *reterr)
{
    struct row_io io = {
        .mode = ROW_READ, .stmt = stmt, .at = sqlite3_column_count(stmt) - 1, .bad = -1
    };
    uint8_t stored[ROW_MAC_LEN] = { 0 };
    uint8_t mac[ROW_MAC_LEN];

    column_fixed(&io, stored, sizeof stored);
    TRY(row_mac(s, type, record, mac, reterr));
    if (io.bad >= 0 || !ct_equal(bytes_of(stored, sizeof stored), bytes_of(mac, sizeof mac)))
        return row_damaged(s, stmt, type, "changed by others, its MAC does not verify", reterr);
    return KMS_OK;
}

enum kms_status row_step(struct sqlite_store *s, sqlite3_stmt *stmt, bool *ret_more,
                         struct kms_error *reterr)
{
    int rc = sqlite3_step(stmt);

    if ((rc & 0xff) == SQLITE_NOMEM)
        return KMS_FAIL(reterr, KMS_E_MEMORY, "no memory to read database '%.120s'", s->path);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return database_fail(s->db, s->path, rc, "read", reterr);
    *ret_more = rc == SQLITE_ROW;
    return KMS_OK;
}

enum kms_status row_next(struct sqlite_store *s, sqlite3_stmt *stmt, const struct row_type *type,
                         void *record, bool *ret_more, struct kms_error *reterr)
{
    bool more = false;

    TRY(row_step(s, stmt, &more, reterr));
    if (more) {
        TRY(row_read(s, stmt, 0, type, record, NULL, reterr));
        TRY(row_verify(s, stmt, type, record, reterr));
    }
    *ret_more = more;
    return KMS_OK;
}

enum kms_status row_read_peek(sqlite3_stmt *stmt, const char *path, struct store_meta *ret,
                              struct kms_error *reterr)
{
    struct row_io     io = { .mode = ROW_READ, .stmt = stmt, .bad = -1 };
    struct store_meta m = { 0 };

    peek_columns(&io, &m);
    if (io.bad >= 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is damaged (impossible value of meta.%.40s): restore it "
                        "from a backup",
                        path, sqlite3_column_name(stmt, io.bad));
    *ret = m;
    return KMS_OK;
}
