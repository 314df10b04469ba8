/* tests/unit/store/test_mac_input.c - the bytes that row MACs are made over, as
 * docs/storage-database.md lays them down. A database written today must verify for ever: if this
 * test fails, the format has changed and needs a new version and a schema step. */
#include "fixture.h"

#include "key/directory.h"
#include "version_1.h"
#include "version_3.h"

/* Keeps every input, one after the other, each as a field. */
static void record_mac(void *ctx, struct bytes row, uint8_t ret[32])
{
    buf_add_field(ctx, row);
    memset(ret, 0, 32);
}

static void field(struct buf *out, const char *text)
{
    buf_add_field(out, bytes_str(text));
}

static void same(struct buf *out, uint8_t byte, size_t len)
{
    uint8_t bytes[64];

    memset(bytes, byte, sizeof bytes);
    buf_add_field(out, bytes_of(bytes, len));
}

static void number(struct buf *out, uint64_t v)
{
    buf_add_u64(out, v);
}

/* Compares the next recorded input with what was put together, and starts anew. */
static void next_is(struct bytes *recorded, struct buf *want)
{
    struct bytes got;
    uint32_t     len;

    assert_true(bytes_take_u32(recorded, &len) && bytes_take(recorded, len, &got));
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.ptr, want->ptr, got.len);
    buf_reset(want);
}

static struct sealed sealed(uint8_t n)
{
    return (struct sealed){ .wrapped = BYTES_LIT("wrapped"),
                            .domain_version = n,
                            .slot = 77,
                            .slot_generation = UINT64_MAX,
                            .slot_class = SLOT_DURABLE };
}

static void want_sealed(struct buf *out, uint64_t n)
{
    field(out, "wrapped");
    number(out, n);
    number(out, 77);
    number(out, UINT64_MAX);
    number(out, 1);
}

static void want_name(struct buf *out)
{
    field(out, "111122223333");
    field(out, "eu-west-3");
    field(out, "the-key-id");
}

static struct key_record *key(void)
{
    struct key_record *k = key_record_new();

    assert_non_null(k);
    key_record_set_name(k, BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                        BYTES_LIT("the-key-id"));
    k->version = 5;
    k->spec = SPEC_ML_DSA_65;
    k->usage = USAGE_SIGN_VERIFY;
    k->origin = ORIGIN_EXTERNAL;
    k->multi_region = REGION_REPLICA;
    k->primary_region = BYTES_LIT("us-east-1");
    k->created = 1000;
    k->state = KEY_PENDING_DELETION;
    k->deletion_date = -1;
    k->pending_window_days = 30;
    k->description = BYTES_LIT("what for");
    k->policy = BYTES_LIT("{}");
    k->rotation_enabled = true;
    k->rotation_period_days = 365;
    k->next_rotation = 2000;
    k->on_demand_start = 3000;
    k->on_demand_count = 4;
    for (uint8_t i = 0; i < 2; i++) {
        struct key_material *m = key_record_add_material(k);
        memset(m->id.b, 0xa0 + i, sizeof m->id.b);
        memset(m->check, 0xb0 + i, sizeof m->check);
        m->role = MATERIAL_PENDING_ROTATION;
        m->present = true;
        m->expiration = EXPIRES;
        m->valid_to = 4000;
        m->has_description = i == 1;
        m->description = i == 1 ? BYTES_LIT("material") : (struct bytes){ NULL, 0 };
        m->rotation_date = 5000;
        m->rotation_type = ROTATION_AUTOMATIC;
        m->created = 6000;
        m->sealed = sealed(i);
    }
    k->n_tags = 1;
    k->tags = arena_alloc(k->arena, sizeof *k->tags);
    k->tags[0] = (struct key_tag){ BYTES_LIT("name"), BYTES_LIT("") };
    return k;
}

static void want_key(struct buf *out)
{
    field(out, "keys");
    number(out, 2); /* format */
    number(out, 1); /* serial */
    want_name(out);
    number(out, 5);
    number(out, 15); /* SPEC_ML_DSA_65 */
    number(out, 1);
    number(out, 1);
    number(out, 2);
    field(out, "us-east-1");
    number(out, 1000);
    number(out, 3); /* KEY_PENDING_DELETION */
    number(out, UINT64_MAX);
    number(out, 30);
    field(out, "what for");
    field(out, "{}");
    number(out, 1);
    number(out, 365);
    number(out, 2000);
    number(out, 3000);
    number(out, 4);
    field(out, "arn:role AROAX\n");
    field(out, "eu-west-3 us-east-1");
    number(out, 3500);
    number(out, 2); /* materials */
    for (uint8_t i = 0; i < 2; i++) {
        same(out, 0xa0 + i, 32);
        same(out, 0xb0 + i, 32);
        number(out, 2);
        number(out, 1);
        number(out, 1);
        number(out, 4000);
        buf_add_byte(out, i);
        if (i == 1)
            field(out, "material");
        number(out, 5000);
        number(out, 2);
        number(out, 6000);
        want_sealed(out, i);
        number(out, 30);
    }
    number(out, 1); /* tags */
    field(out, "name");
    field(out, "");
}

/* One row of each of the other tables, in this order. */
static void add_others(struct change *c)
{
    struct alias_record *a = alias_record_new(BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                                              BYTES_LIT("alias/x"));
    struct import_key_record *i = import_key_record_new();
    struct account_record    *account = calloc(1, sizeof *account);
    struct access_key_record *access = access_key_record_new();
    struct tombstone         *t = calloc(1, sizeof *t);

    assert_true(a != NULL && i != NULL && account != NULL && access != NULL && t != NULL);
    memcpy(a->key_id, "the-key-id", 11);
    a->created = 1;
    a->updated = 2;
    a->version = 3;
    memset(i->id, 0xc0, sizeof i->id);
    i->key = (struct key_name){ BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                                BYTES_LIT("the-key-id"), BYTES_LIT("not stored") };
    i->wrapping_algorithm = 4;
    i->wrapping_spec = 5;
    memset(i->fingerprint, 0xd0, sizeof i->fingerprint);
    i->valid_to = 6;
    i->sealed = sealed(9);
    memcpy(account->id, "111122223333", 13);
    account->created = 7;
    memcpy(account->name, "test", 5);
    memcpy(account->organization, "o-1", 4);
    account->version = 1;
    access->id = BYTES_LIT("AKIA");
    access->account = BYTES_LIT("111122223333");
    access->principal_id = BYTES_LIT("111122223333");
    access->wrapped_secret = BYTES_LIT("secret");
    access->root = true;
    access->active = true;
    access->created = 8;
    access->version = 9;
    memcpy(t->key_arn, "arn:key", 8);
    memset(t->material.b, 0xe0, sizeof t->material.b);
    t->slot = 10;
    t->slot_generation = 11;
    t->slot_class = SLOT_DURABLE;
    t->at = 12;
    t->reason = ERASE_EXPIRY;
    t->erased = true;
    change_add(c, ROW_ALIAS_INSERT)->alias = a;
    change_add(c, ROW_IMPORT_KEY_INSERT)->import_key = i;
    change_add(c, ROW_DOMAIN_INSERT)->domain = domain_key_new(
        BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"), 13, BYTES_LIT("domain"));
    change_add(c, ROW_ACCOUNT_INSERT)->account = account;
    change_add(c, ROW_ACCESS_KEY_INSERT)->access_key = access;
    change_add(c, ROW_TOMBSTONE_INSERT)->tombstone = t;
}

static void want_alias(struct buf *out)
{
    field(out, "aliases");
    number(out, 1);
    number(out, 1); /* serial */
    field(out, "111122223333");
    field(out, "eu-west-3");
    field(out, "alias/x");
    number(out, 3);
    field(out, "the-key-id");
    number(out, 1);
    number(out, 2);
}

static void want_import_key(struct buf *out)
{
    field(out, "import_keys");
    number(out, 1);
    same(out, 0xc0, 16);
    want_name(out);
    number(out, 4);
    number(out, 5);
    same(out, 0xd0, 32);
    number(out, 6);
    want_sealed(out, 9);
}

static void want_access_key(struct buf *out)
{
    field(out, "access_keys");
    number(out, 2); /* format */
    number(out, 1); /* serial */
    field(out, "AKIA");
    field(out, "111122223333");
    field(out, "111122223333");
    number(out, 9);
    number(out, 1); /* root */
    number(out, 1);
    number(out, 8);
    field(out, "secret");
    number(out, 0); /* SESSION_NONE */
    field(out, "");
    number(out, 0);
    same(out, 0, 32);
    field(out, "");
    field(out, "");
    number(out, 0); /* tags that go on */
    number(out, 0); /* policies */
    number(out, 0); /* tags */
}

/* A role, and a session of it. */
static void add_identities(struct change *c)
{
    static struct identity_document document = { .name = { (const uint8_t *)"v1", 2 },
                                                 .text = { (const uint8_t *)"{}", 2 },
                                                 .created = 20,
                                                 .is_default = true };
    static struct key_tag           tag = { { (const uint8_t *)"name", 4 }, { NULL, 0 } };
    static struct bytes             attached = { (const uint8_t *)"arn:policy", 10 };
    struct identity_record         *r = identity_record_new();
    struct access_key_record       *k = access_key_record_new();

    assert_true(r != NULL && k != NULL);
    r->kind = IDENTITY_ROLE;
    r->account = BYTES_LIT("111122223333");
    r->path = BYTES_LIT("/team/");
    r->name = BYTES_LIT("Ops");
    r->unique_id = BYTES_LIT("AROAX");
    r->description = BYTES_LIT("what for");
    r->created = 21;
    r->updated = 22;
    r->version = 1;
    r->trust = BYTES_LIT("{trust}");
    r->trust_principals = BYTES_LIT("a b\n");
    r->max_session_s = 3600;
    r->boundary = BYTES_LIT("arn:boundary");
    r->last_version = 23;
    r->documents = &document;
    r->n_documents = 1;
    r->attached = &attached;
    r->n_attached = 1;
    r->tags = &tag;
    r->n_tags = 1;
    k->id = BYTES_LIT("ASIA");
    k->account = r->account;
    k->principal_id = r->unique_id;
    k->active = true;
    k->created = 24;
    k->version = 1;
    k->wrapped_secret = BYTES_LIT("other");
    k->session = (struct session){ .kind = SESSION_ROLE,
                                   .name = BYTES_LIT("me"),
                                   .expires = 25,
                                   .source_identity = BYTES_LIT("source"),
                                   .provider = BYTES_LIT("issuer"),
                                   .policies = &document,
                                   .n_policies = 1,
                                   .tags = &tag,
                                   .n_tags = 1,
                                   .n_transitive = 26 };
    memset(k->session.token_hash, 0xf2, sizeof k->session.token_hash);
    change_add(c, ROW_IDENTITY_INSERT)->identity = r;
    change_add(c, ROW_ACCESS_KEY_INSERT)->access_key = k;
}

static void want_document(struct buf *out)
{
    number(out, 1); /* how many */
    field(out, "v1");
    field(out, "{}");
    number(out, 20);
    number(out, 1);
}

static void want_tag(struct buf *out)
{
    number(out, 1); /* how many */
    field(out, "name");
    field(out, "");
}

static void want_identity(struct buf *out)
{
    field(out, "identities");
    number(out, 1); /* format */
    number(out, 1); /* serial */
    field(out, "111122223333");
    number(out, 1); /* IDENTITY_ROLE */
    field(out, "Ops");
    field(out, "AROAX");
    number(out, 1);
    field(out, "/team/");
    field(out, "what for");
    number(out, 21);
    number(out, 22);
    field(out, "{trust}");
    field(out, "a b\n");
    number(out, 3600);
    field(out, "arn:boundary");
    number(out, 23);
    want_document(out);
    number(out, 1); /* attachments */
    field(out, "arn:policy");
    want_tag(out);
}

static void want_session(struct buf *out)
{
    field(out, "access_keys");
    number(out, 2); /* format */
    number(out, 2); /* serial */
    field(out, "ASIA");
    field(out, "111122223333");
    field(out, "AROAX");
    number(out, 1);
    number(out, 0);
    number(out, 1);
    number(out, 24);
    field(out, "other");
    number(out, 1); /* SESSION_ROLE */
    field(out, "me");
    number(out, 25);
    same(out, 0xf2, 32);
    field(out, "source");
    field(out, "issuer");
    number(out, 26);
    want_document(out);
    want_tag(out);
}

static void want_tombstone(struct buf *out)
{
    field(out, "tombstones");
    number(out, 1);
    number(out, 1); /* serial */
    field(out, "arn:key");
    same(out, 0xe0, 32);
    number(out, 10);
    number(out, 11);
    number(out, 1);
    number(out, 12);
    number(out, 1);
    number(out, 1);
}

static void want_usage(struct buf *out)
{
    field(out, "key_usage");
    number(out, 1);
    number(out, 1);  /* serial of the key */
    number(out, 10); /* TRACKED_SIGN */
    number(out, 14);
    same(out, 0xf0, 16);
    same(out, 0xf1, 16);
    number(out, 15);
}

static void want_meta(struct buf *out)
{
    field(out, "meta");
    number(out, 2); /* format */
    buf_add_field(out, bytes_of(fixture_instance, 16));
    number(out, 1); /* commits */
    number(out, 21);
    number(out, 22);
    number(out, 0); /* clock floor */
    number(out, 1); /* last serials: key, alias, tombstone, outbox, identity, access key, grant */
    number(out, 1);
    number(out, 1);
    number(out, 2);
    number(out, 1);
    number(out, 2);
    number(out, 0);
}

static void want_delivery(struct buf *out)
{
    field(out, "deliveries");
    number(out, 1);
    number(out, 2); /* serial of its event */
    field(out, "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
    number(out, 1122);
    field(out, "arn:z");
    field(out, "{\"body\":\"z\"}");
}

static void test_every_table(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(buf_release) struct buf       recorded = BUF_INIT(1 << 20);
    CLEANUP(buf_release) struct buf       want = BUF_INIT(1 << 16);
    CLEANUP(change_release) struct change c = { .event = BUF_INIT(100) };
    struct change                        *list[] = { &c };
    enum kms_status                       result = KMS_E_INTERNAL;
    struct store_batch                    b = {
                           .changes = list, .results = &result, .n = 1, .slot_generation = { 21, 22 }
    };

    fixture_close(f);
    assert_ok(f, store_sqlite_open(f->path, fixture_instance, record_mac, &recorded, &f->store,
                                   &f->error));
    change_add(&c, ROW_KEY_INSERT)->key = key();
    struct key_record *k = c.rows[0].key;
    k->principals = BYTES_LIT("arn:role AROAX\n");
    k->regions = BYTES_LIT("eu-west-3 us-east-1");
    k->settles = 3500;
    k->materials[0].warned_days = k->materials[1].warned_days = 30;
    add_others(&c);
    add_identities(&c);
    buf_add_str(&c.event, "{\"e\":1");
    fixture_add_caused(&c, 'z');
    buf_reset(&recorded);
    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    assert_int_equal(result, KMS_OK);

    struct bytes got = buf_bytes(&recorded);
    want_key(&want);
    next_is(&got, &want);
    want_alias(&want);
    next_is(&got, &want);
    want_import_key(&want);
    next_is(&got, &want);
    field(&want, "domain_keys");
    number(&want, 1);
    field(&want, "111122223333");
    field(&want, "eu-west-3");
    number(&want, 13);
    field(&want, "domain");
    next_is(&got, &want);
    field(&want, "accounts");
    number(&want, 2); /* format */
    field(&want, "111122223333");
    field(&want, "test");
    field(&want, "o-1");
    number(&want, 7);
    number(&want, 1);
    next_is(&got, &want);
    want_access_key(&want);
    next_is(&got, &want);
    want_tombstone(&want);
    next_is(&got, &want);
    want_identity(&want);
    next_is(&got, &want);
    want_session(&want);
    next_is(&got, &want);
    field(&want, "outbox");
    number(&want, 1);
    number(&want, 1); /* serial */
    field(&want, "{\"e\":1");
    next_is(&got, &want);
    field(&want, "outbox");
    number(&want, 1);
    number(&want, 2); /* serial */
    field(&want, "{\"caused\":\"z\"");
    next_is(&got, &want);
    want_delivery(&want);
    next_is(&got, &want);
    want_meta(&want);
    next_is(&got, &want);
    assert_int_equal(got.len, 0);

    struct key_usage_record u = { .key = 1,
                                  .last = { TRACKED_SIGN, 14, { 0 }, { 0 } },
                                  .since = 15 };
    memset(u.last.event_id, 0xf0, sizeof u.last.event_id);
    memset(u.last.request_id, 0xf1, sizeof u.last.request_id);
    buf_reset(&recorded);
    assert_ok(f, f->store->ops->put_usage(f->store, &u, 1, &f->error));
    got = buf_bytes(&recorded);
    want_usage(&want);
    next_is(&got, &want);
    assert_int_equal(got.len, 0);

    struct access_key_use use = { .access_key = 1, .at = 16, .service = USED_STS, .region = "r-1" };
    buf_reset(&recorded);
    assert_ok(f, f->store->ops->put_access_key_uses(f->store, &use, 1, &f->error));
    got = buf_bytes(&recorded);
    field(&want, "access_key_usage");
    number(&want, 1); /* format */
    number(&want, 1); /* serial of the access key */
    number(&want, 16);
    number(&want, 3);
    field(&want, "r-1");
    next_is(&got, &want);
    assert_int_equal(got.len, 0);
    assert_true(buf_ok(&recorded) && buf_ok(&want));
}

static void replace_database(struct fixture *f, const char *const *sql, size_t n)
{
    fixture_close(f);
    assert_int_equal(remove(f->path), 0);
    fixture_write(f->path, "", 0);
    for (size_t i = 0; i < n; i++)
        fixture_sql(f, sql[i]);
}

/* A database of the first schema version, with these records, is read as long as there are users
 * who may have one. */
static void test_version_1_is_read(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = key();
    CLEANUP(change_release) struct change        c = { 0 };
    CLEANUP(loaded_release) struct loaded        l = { 0 };

    replace_database(f, version_1, ARRAY_LEN(version_1));
    fixture_open(f);
    assert_true(f->store->meta.commit == 1 && f->store->meta.slot_generation[1] == 22);
    assert_int_equal(f->store->meta.schema_version, schema_newest);
    loaded_from(f, &l);
    add_others(&c);
    assert_true(l.keys.n == 1 && l.aliases.n == 1 && l.import_keys.n == 1 && l.domains.n == 1 &&
                l.accounts.n == 1 && l.access_keys.n == 1 && l.tombstones.n == 1);
    k->serial = c.rows[0].alias->serial = c.rows[5].tombstone->serial = 1;
    k->regions = k->name.region;
    assert_keys_equal(l.keys.at[0], k);
    assert_aliases_equal(l.aliases.at[0], c.rows[0].alias);
    c.rows[1].import_key->key.arn = k->name.arn;
    assert_import_keys_equal(l.import_keys.at[0], c.rows[1].import_key);
    assert_domains_equal(l.domains.at[0], c.rows[2].domain);
    c.rows[3].account->name[0] = c.rows[3].account->organization[0] = '\0';
    assert_accounts_equal(l.accounts.at[0], c.rows[3].account);
    c.rows[4].access_key->serial = 1;
    assert_access_keys_equal(l.access_keys.at[0], c.rows[4].access_key);
    assert_tombstones_equal(l.tombstones.at[0], c.rows[5].tombstone);
    assert_string_equal(l.events.at[0], "{\"e\":1");
    assert_ok(f, f->store->ops->check(f->store, &f->error));
}

/* A multi-Region key of that version had no relatives: it stands alone in `regions`. */
static void test_version_3_is_read(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = key();
    CLEANUP(key_record_freep) struct key_record *single = key();

    k->serial = 1;
    k->multi_region = REGION_PRIMARY;
    k->primary_region = k->regions = BYTES_LIT("eu-west-3");
    k->principals = BYTES_LIT("arn:role AROAX\n");
    key_record_set_name(single, k->name.account, k->name.region, BYTES_LIT("a-single-one"));
    single->serial = 2;
    single->multi_region = REGION_SINGLE;
    single->primary_region = (struct bytes){ NULL, 0 };
    single->n_materials = 1;
    single->n_tags = 0;

    replace_database(f, version_3, ARRAY_LEN(version_3));
    fixture_open(f);
    assert_int_equal(f->store->meta.schema_version, schema_newest);
    for (size_t round = 0; round < 2; round++) { /* the second opening finds it done */
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.keys.n, 2);
        assert_keys_equal(l.keys.at[0], k);
        assert_keys_equal(l.keys.at[1], single);
        assert_ok(f, f->store->ops->check(f->store, &f->error));
        fixture_reopen(f);
    }
}

/* A row that somebody changed before the migration does not get a MAC that says it is ours. */
static void test_version_3_is_verified(void **state)
{
    static const struct {
        const char *edit, *row;
    } edits[] = {
        { "UPDATE keys SET description = 'what else' WHERE serial = 2", "table keys, row 2" },
        { "UPDATE keys SET principals = '' WHERE serial = 1", "table keys, row 1" },
        { "UPDATE materials SET valid_to = 4001 WHERE position = 1", "table keys, row 1" },
        { "DELETE FROM tags", "table keys, row 1" },
        { "INSERT INTO tags VALUES (3, 0, 'a', 'b')", "table tags, row 3 0" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        replace_database(f, version_3, ARRAY_LEN(version_3));
        fixture_sql(f, edits[i].edit);
        assert_contains(fixture_refused(f), edits[i].row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_table, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_version_1_is_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_version_3_is_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_version_3_is_verified, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
