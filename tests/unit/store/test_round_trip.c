/* tests/unit/store/test_round_trip.c - what goes in comes out again, every field of every record,
 * also after closing and opening. */
#include "fixture.h"

enum { KEYS = 60 };

struct everything {
    struct key_record        *keys[KEYS];
    struct alias_record      *aliases[KEYS];
    struct import_key_record *import_keys[KEYS];
    struct domain_key_record *domains[KEYS];
    struct account_record    *accounts[KEYS];
    struct identity_record   *identities[KEYS];
    struct access_key_record *access_keys[KEYS];
    struct tombstone         *tombstones[KEYS];
};

/* The records stay ours. */
static void take_back(struct change *c)
{
    for (size_t i = 0; i < c->n_rows; i++)
        c->rows[i] = (struct row){ .kind = c->rows[i].kind };
}

static void fill(struct fixture *f, struct everything *e)
{
    for (size_t i = 0; i < KEYS; i++) {
        CLEANUP(change_release) struct change c = { .event = BUF_INIT(100) };
        e->keys[i] = random_key(f);
        e->aliases[i] = random_alias(f, e->keys[i]);
        e->import_keys[i] = random_import_key(f, e->keys[i]);
        e->domains[i] = random_domain(f);
        e->accounts[i] = random_account(f);
        e->access_keys[i] = random_access_key(f, e->accounts[i]);
        e->identities[i] = random_identity(f, e->accounts[i]);
        e->tombstones[i] = random_tombstone(f);
        change_add(&c, ROW_KEY_INSERT)->key = e->keys[i];
        change_add(&c, ROW_ALIAS_INSERT)->alias = e->aliases[i];
        change_add(&c, ROW_IMPORT_KEY_INSERT)->import_key = e->import_keys[i];
        change_add(&c, ROW_DOMAIN_INSERT)->domain = e->domains[i];
        change_add(&c, ROW_ACCOUNT_INSERT)->account = e->accounts[i];
        change_add(&c, ROW_IDENTITY_INSERT)->identity = e->identities[i];
        change_add(&c, ROW_ACCESS_KEY_INSERT)->access_key = e->access_keys[i];
        change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = e->tombstones[i];
        buf_addf(&c.event, "{\"n\":%zu", i);
        enum kms_status status = fixture_apply(f, &c);
        take_back(&c);
        assert_int_equal(status, KMS_OK);
        assert_true(e->keys[i]->serial == i + 1);
        assert_true(e->aliases[i]->serial == i + 1);
        assert_true(e->tombstones[i]->serial == i + 1);
        assert_true(e->identities[i]->serial == i + 1);
        assert_true(e->access_keys[i]->serial == i + 1);
    }
}

static void release(struct everything *e)
{
    for (size_t i = 0; i < KEYS; i++) {
        key_record_free(e->keys[i]);
        import_key_record_free(e->import_keys[i]);
        free(e->aliases[i]);
        free(e->domains[i]);
        free(e->accounts[i]);
        identity_record_free(e->identities[i]);
        access_key_record_free(e->access_keys[i]);
        free(e->tombstones[i]);
    }
}

static const struct import_key_record *import_key_with(const struct loaded *l, const uint8_t id[16])
{
    for (size_t i = 0; i < l->import_keys.n; i++) {
        const struct import_key_record *k = l->import_keys.at[i];
        if (memcmp(k->id, id, 16) == 0)
            return k;
    }
    fail_msg("an import key is missing");
    return NULL;
}

static const struct domain_key_record *domain_of(const struct loaded *l, struct bytes account)
{
    for (size_t i = 0; i < l->domains.n; i++) {
        const struct domain_key_record *d = l->domains.at[i];
        if (bytes_eq(d->account, account))
            return d;
    }
    fail_msg("a domain key is missing");
    return NULL;
}

static const struct account_record *account_with(const struct loaded *l, const char *id)
{
    for (size_t i = 0; i < l->accounts.n; i++) {
        const struct account_record *a = l->accounts.at[i];
        if (strcmp(a->id, id) == 0)
            return a;
    }
    fail_msg("an account is missing");
    return NULL;
}

static void compare(struct fixture *f, const struct everything *e)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(f, &l);
    assert_int_equal(l.keys.n, KEYS);
    assert_int_equal(l.aliases.n, KEYS);
    assert_int_equal(l.import_keys.n, KEYS);
    assert_int_equal(l.domains.n, KEYS);
    assert_int_equal(l.accounts.n, KEYS);
    assert_int_equal(l.identities.n, KEYS);
    assert_int_equal(l.access_keys.n, KEYS);
    assert_int_equal(l.tombstones.n, KEYS);
    assert_int_equal(l.events.n, KEYS);
    for (size_t i = 0; i < KEYS;
         i++) { /* keys, aliases, tombstones, events: in order of creation */
        char event[32];
        assert_keys_equal(l.keys.at[i], e->keys[i]);
        assert_aliases_equal(l.aliases.at[i], e->aliases[i]);
        assert_tombstones_equal(l.tombstones.at[i], e->tombstones[i]);
        assert_import_keys_equal(import_key_with(&l, e->import_keys[i]->id), e->import_keys[i]);
        assert_identities_equal(l.identities.at[i], e->identities[i]);
        assert_access_keys_equal(l.access_keys.at[i], e->access_keys[i]);
        assert_domains_equal(domain_of(&l, e->domains[i]->account), e->domains[i]);
        assert_accounts_equal(account_with(&l, e->accounts[i]->id), e->accounts[i]);
        (void)snprintf(event, sizeof event, "{\"n\":%zu", i);
        assert_string_equal(l.events.at[i], event);
    }
}

static void test_every_record(void **state)
{
    struct fixture   *f = *state;
    struct everything e;

    fill(f, &e);
    compare(f, &e);
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    fixture_reopen(f);
    compare(f, &e);
    assert_int_equal(f->store->meta.commit, KEYS);
    release(&e);
}

/* Updates in every direction: more, fewer, other materials and tags. */
static void test_updates(void **state)
{
    struct fixture    *f = *state;
    struct key_record *keys[8];

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        keys[i] = random_key(f);
        add_key(f, keys[i]);
    }
    for (size_t round = 0; round < 150; round++) {
        size_t i = random_below(f, ARRAY_LEN(keys));
        random_edit(f, keys[i]);
        assert_int_equal(put_key(f, ROW_KEY_UPDATE, keys[i]), KMS_OK);
        if (round % 25 == 0)
            fixture_reopen(f);
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.keys.n, ARRAY_LEN(keys));
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            assert_keys_equal(l.keys.at[k], keys[k]);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        key_record_free(keys[i]);
}

/* An update that concerns the key alone does not write its materials again. */
static void test_unchanged_parts_are_not_written(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    struct sqlite_store                         *s = (struct sqlite_store *)f->store;

    while (k->n_materials < 3 || k->n_tags < 2) {
        key_record_free(k);
        k = random_key(f);
    }
    add_key(f, k);
    int before = sqlite3_total_changes(s->db);
    k->version++;
    k->state = KEY_DISABLED;
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
    assert_int_equal(sqlite3_total_changes(s->db) - before, 2); /* keys, meta */
    before = sqlite3_total_changes(s->db);
    k->version++;
    k->materials[1].role = MATERIAL_PENDING_ROTATION;
    k->materials[1].present = !k->materials[1].present;
    k->tags[0].value = BYTES_LIT("other");
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
    assert_int_equal(sqlite3_total_changes(s->db) - before, 4); /* and one of each */
}

static void test_most_materials(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(loaded_release) struct loaded        l = { 0 };

    while (k->n_materials < KEY_MATERIALS_MAX) {
        struct key_material *m = key_record_add_material(k);
        uint8_t              wrapped[2400];
        random_fill(f, wrapped, sizeof wrapped);
        m->sealed.wrapped = arena_copy(k->arena, bytes_of(wrapped, sizeof wrapped));
    }
    add_key(f, k);
    loaded_from(f, &l);
    assert_keys_equal(l.keys.at[0], k);
}

/* Erased ones are loaded while they are among the newest; open ones always. */
static void test_tombstones(void **state)
{
    struct fixture *f = *state;
    enum { ALL = STORE_TOMBSTONES_KEPT + 50, OPEN = 7 };
    CLEANUP(change_release) struct change add = { 0 };
    CLEANUP(change_release) struct change mark = { 0 };

    for (uint64_t i = 1; i <= ALL; i++) {
        change_add(&add, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
        if (i == OPEN)
            continue;
        struct tombstone *t = calloc(1, sizeof *t); /* only its serial says which */
        assert_non_null(t);
        t->serial = i;
        change_add(&mark, ROW_TOMBSTONE_ERASED)->tombstone = t;
    }
    assert_int_equal(fixture_apply(f, &add), KMS_OK);
    assert_int_equal(fixture_apply(f, &mark), KMS_OK);
    assert_int_equal(fixture_apply(f, &mark), KMS_OK); /* again: nothing changes */

    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.tombstones.n, STORE_TOMBSTONES_KEPT + 1);
    const struct tombstone *first = l.tombstones.at[0];
    assert_true(first->serial == OPEN && !first->erased);
    for (size_t i = 1; i < l.tombstones.n; i++) {
        const struct tombstone *t = l.tombstones.at[i];
        assert_true(t->serial == ALL - STORE_TOMBSTONES_KEPT + i && t->erased);
        add.rows[t->serial - 1].tombstone->erased = true;
        assert_tombstones_equal(t, add.rows[t->serial - 1].tombstone);
    }
}

static enum kms_status count_event(void *ctx, uint64_t serial, struct bytes event,
                                   struct kms_error *reterr)
{
    (void)event;
    (void)reterr;
    *(uint64_t *)ctx = serial;
    return KMS_OK;
}

static void test_outbox(void **state)
{
    struct fixture      *f = *state;
    uint64_t             last = 0;
    struct store_visitor events = { .ctx = &last, .outbox = count_event };

    for (uint64_t i = 1; i <= 5; i++) {
        CLEANUP(change_release) struct change c = { .event = BUF_INIT(100) };
        struct change                        *list[] = { &c };
        enum kms_status                       result = KMS_E_INTERNAL;
        struct store_batch                    b = {
                               .changes = list, .results = &result, .n = 1, .outbox_done = i - 1
        };
        buf_add_str(&c.event, "{\"a\":1");
        assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
        assert_int_equal(result, KMS_OK);
        assert_true(b.ret_outbox == i && b.ret_commit == i && f->store->meta.commit == i);
    }
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l); /* the last batch dropped all but its own */
    assert_int_equal(l.events.n, 1);

    /* a batch of nothing drops that one too; the number of the last event stays known */
    struct store_batch b = { .outbox_done = 5, .slot_generation = { 7, 9 } };
    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    assert_true(b.ret_outbox == 5 && b.ret_commit == 6);
    /* a visitor may want one table only */
    assert_ok(f, f->store->ops->load(f->store, &events, &f->error));
    assert_int_equal(last, 0);
}

static void test_meta(void **state)
{
    struct fixture    *f = *state;
    struct store_batch b = { .slot_generation = { 7, 9 } };
    struct store_meta  m;

    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    b = (struct store_batch){ .slot_generation = { 8, 3 } }; /* never goes back */
    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    assert_ok(f, f->store->ops->set_clock_floor(f->store, 1234567, &f->error));
    assert_ok(f, f->store->ops->set_clock_floor(f->store, 1234566, &f->error));
    fixture_close(f);
    assert_ok(f, store_sqlite_peek(f->path, &m, &f->error));
    assert_memory_equal(m.instance_id, fixture_instance, 16);
    assert_true(m.slot_generation[0] == 8 && m.slot_generation[1] == 9);
    assert_true(m.commit == 2 && m.clock_floor == 1234567);
    assert_int_equal(m.schema_version, schema_newest);
    fixture_open(f);
    assert_true(f->store->meta.slot_generation[0] == 8 && f->store->meta.slot_generation[1] == 9);
    assert_true(f->store->meta.commit == 2 && f->store->meta.clock_floor == 1234567);
}

static enum kms_status stop(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    ++*(int *)ctx;
    key_record_free(key);
    return KMS_FAIL(reterr, KMS_E_LIMIT, "enough");
}

static void test_visitor_stops_loading(void **state)
{
    struct fixture      *f = *state;
    int                  called = 0;
    struct store_visitor v = { .ctx = &called, .key = stop };

    for (size_t i = 0; i < 3; i++) {
        CLEANUP(key_record_freep) struct key_record *k = random_key(f);
        add_key(f, k);
    }
    assert_int_equal(f->store->ops->load(f->store, &v, &f->error), KMS_E_LIMIT);
    assert_int_equal(called, 1);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l); /* and loading can begin again */
    assert_int_equal(l.keys.n, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_record),
        TEST(test_updates),
        TEST(test_unchanged_parts_are_not_written),
        TEST(test_most_materials),
        TEST(test_tombstones),
        TEST(test_outbox),
        TEST(test_meta),
        TEST(test_visitor_stops_loading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
