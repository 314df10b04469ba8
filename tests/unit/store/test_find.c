/* tests/unit/store/test_find.c - single keys out of the store, and what its indexes say about all of them:
 * the same as loading everything says, after random changes. */
#include "fixture.h"

#include "base/clock.h"
#include "key/state.h"

enum { KEYS = 40, EDITS = 200, DAYS = 7, DAY = 24 * 60 * 60 * 1000 };

static struct stored_key find(struct fixture *f, const struct key_want *want)
{
    struct stored_key got = { .key = NULL };

    assert_ok(f, f->store->ops->find_key(f->store, want, &got, &f->error));
    return got;
}

static struct key_want named(const struct key_record *k)
{
    struct key_want want;

    assert_true(key_want_named(&want, k->name.account, k->name.region, k->name.id));
    return want;
}

/* Every loaded key is found by its name, its serial and its materials, as it was loaded. */
static void assert_all_found(struct fixture *f)
{
    CLEANUP(loaded_release) struct loaded l;
    size_t                                n = 0;

    loaded_from(f, &l);
    for (size_t i = 0; i < l.keys.n; i++) {
        const struct key_record *k = l.keys.at[i];
        struct key_want          wants[2] = { named(k), { WANT_SERIAL, .serial = k->serial } };
        for (size_t w = 0; w < 2; w++) {
            struct stored_key got = find(f, &wants[w]);
            assert_non_null(got.key);
            assert_keys_equal(got.key, k);
            key_record_free(got.key);
        }
        for (size_t m = 0; m < k->n_materials; m++) {
            struct key_want want;
            assert_true(key_want_material(&want, k->name.region, &k->materials[m].id));
            struct stored_key got = find(f, &want);
            assert_non_null(got.key);
            assert_keys_equal(got.key, k);
            key_record_free(got.key);
        }
    }
    assert_ok(f, f->store->ops->count_keys(f->store, &n, &f->error));
    assert_int_equal(n, l.keys.n);
}

static struct key_record **fill(struct fixture *f)
{
    struct key_record **keys = calloc(KEYS, sizeof *keys);

    assert_non_null(keys);
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = random_key(f);
        add_key(f, keys[i]);
    }
    return keys;
}

static void empty(struct key_record **keys)
{
    for (size_t i = 0; i < KEYS; i++)
        key_record_free(keys[i]);
    free(keys);
}

static void test_finds_what_loading_loads(void **state)
{
    struct fixture     *f = *state;
    struct key_record **keys = fill(f);

    assert_all_found(f);
    for (size_t i = 0; i < EDITS; i++) {
        struct key_record *k = keys[random_below(f, KEYS)];
        random_edit(f, k);
        assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
    }
    assert_all_found(f);
    fixture_reopen(f);
    assert_all_found(f);
    empty(keys);
}

static void test_what_is_not_there(void **state)
{
    struct fixture         *f = *state;
    struct key_record      *k = random_key(f);
    struct key_want         want = named(k);
    struct key_want         other = { WANT_SERIAL, .serial = 1 };
    struct key_usage_record use = { .key = 1, .last = { .operation = TRACKED_SIGN, .at = 5 } };

    assert_null(find(f, &want).key);
    assert_null(find(f, &other).key);
    add_key(f, k);
    other.serial = 2;
    assert_null(find(f, &other).key);
    struct stored_key got = find(f, &want);
    assert_non_null(got.key);
    assert_true(got.usage.key == 0); /* nothing is noted */
    key_record_free(got.key);
    assert_ok(f, f->store->ops->put_usage(f->store, &use, 1, &f->error));
    got = find(f, &want);
    assert_true(got.usage.key == 1 && got.usage.last.at == 5);
    key_record_free(got.key);
    want.region[0] ^= 1;
    assert_null(find(f, &want).key);
    key_record_free(k);
}

/* Names that no key can have are not looked for. */
static void test_names(void **state)
{
    struct key_want want = { .kind = WANT_NOTHING };
    char            long_id[KEY_ID_MAX + 1];

    (void)state;
    memset(long_id, 'x', sizeof long_id);
    assert_false(
        key_want_named(&want, BYTES_LIT("1"), BYTES_LIT("r"), bytes_of(long_id, sizeof long_id)));
    assert_false(key_want_named(&want, BYTES_LIT("1"), BYTES_LIT("r"), BYTES_LIT("a\0b")));
    assert_false(key_want_named(&want, BYTES_LIT("1"), BYTES_LIT("r"), BYTES_LIT("")));
    assert_int_equal(want.kind, WANT_NOTHING);
    assert_true(
        key_want_named(&want, BYTES_LIT("1"), BYTES_LIT("r"), bytes_of(long_id, KEY_ID_MAX)));
}

/* A changed row is not handed out, any other is. */
static void test_changed_by_others(void **state)
{
    struct fixture    *f = *state;
    struct key_record *keys[2] = { random_key(f), random_key(f) };
    struct key_want    want;
    struct stored_key  got = { .key = NULL };

    add_key(f, keys[0]);
    add_key(f, keys[1]);
    want = named(keys[0]);
    fixture_close(f);
    fixture_sql(f, "UPDATE keys SET description = description || 'x' WHERE serial = 1");
    fixture_open(f);
    assert_int_equal(f->store->ops->find_key(f->store, &want, &got, &f->error), KMS_E_INTERNAL);
    assert_contains(f->error.detail, "its MAC does not verify");
    assert_null(got.key);
    want = named(keys[1]);
    got = find(f, &want);
    assert_keys_equal(got.key, keys[1]);
    key_record_free(got.key);
    for (size_t i = 0; i < 2; i++)
        key_record_free(keys[i]);
}

/* Every row verifies, but the index of material ids has other bytes in it. */
static void test_index_changed_by_others(void **state)
{
    struct fixture    *f = *state;
    struct key_record *k = key_record_new();
    struct stored_key  got = { .key = NULL };
    struct key_want    want;

    key_record_set_name(k, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"), BYTES_LIT("a"));
    k->version = 1;
    struct key_material *m = key_record_add_material(k);
    memset(m->check, 7, sizeof m->check);
    add_key(f, k);
    assert_true(key_want_material(&want, k->name.region, &m->id));
    got = find(f, &want);
    assert_non_null(got.key);
    key_record_free(got.key);
    got.key = NULL;
    memcpy(want.material.b, m->check, sizeof m->check);
    assert_null(find(f, &want).key);
    fixture_close(f);
    fixture_sql(f, "CREATE INDEX evil ON materials (check_tag); PRAGMA writable_schema=ON;"
                   "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema"
                   " WHERE name IN ('evil', 'materials_by_id')) - rootpage"
                   " WHERE name IN ('evil', 'materials_by_id')");
    fixture_open(f);
    assert_int_equal(f->store->ops->find_key(f->store, &want, &got, &f->error), KMS_E_INTERNAL);
    assert_contains(f->error.detail, "leads to another key than it says");
    assert_null(got.key);
    key_record_free(k);
}

/* --- listings --------------------------------------------------------------------------------- */

struct seen {
    uint64_t serials[4 * KEYS];
    int64_t  times[4 * KEYS];
    size_t   n;
};

static void see(void *ctx, uint64_t serial)
{
    struct seen *s = ctx;

    s->serials[s->n++] = serial;
}

static void see_listed(void *ctx, const struct listed_key *key)
{
    see(ctx, key->serial);
    assert_true(key->key_id.len > 0);
}

static void test_pages(void **state)
{
    struct fixture     *f = *state;
    struct key_record **keys = fill(f);

    for (size_t i = 0; i < KEYS; i++) {
        struct key_want want = named(keys[i]);
        struct seen     page = { .n = 0 }, all = { .n = 0 };
        want.kind = WANT_PAGE;
        want.serial = random_below(f, KEYS);
        for (size_t k = 0; k < KEYS && all.n < 5; k++) {
            if (keys[k]->serial > want.serial &&
                bytes_eq(keys[k]->name.account, keys[i]->name.account) &&
                bytes_eq(keys[k]->name.region, keys[i]->name.region))
                see(&all, keys[k]->serial);
        }
        assert_ok(f, f->store->ops->list_keys(f->store, &want, 5, see_listed, &page, &f->error));
        assert_int_equal(page.n, all.n);
        assert_memory_equal(page.serials, all.serials, all.n * sizeof(uint64_t));
    }
    empty(keys);
}

static void test_serials(void **state)
{
    struct fixture     *f = *state;
    struct key_record **keys = fill(f);
    struct seen         next = { .n = 0 };

    assert_ok(f, f->store->ops->next_keys(f->store, 10, 7, see, &next, &f->error));
    assert_int_equal(next.n, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(next.serials[i], 11 + i);
    empty(keys);
}

struct slots_seen {
    struct key_record **keys;
    size_t              n;
};

static void see_slot(void *ctx, const struct used_slot *slot)
{
    struct slots_seen       *s = ctx;
    const struct key_record *k = s->keys[slot->key - 1];
    bool                     found = false;

    for (size_t i = 0; i < k->n_materials; i++)
        found = found || (k->materials[i].sealed.slot == slot->at.slot &&
                          k->materials[i].sealed.slot_generation == slot->at.slot_generation &&
                          k->materials[i].sealed.slot_class == slot->at.slot_class);
    assert_true(found);
    s->n++;
}

static void test_slots(void **state)
{
    struct fixture     *f = *state;
    struct key_record **keys = fill(f);
    struct slots_seen   seen = { .keys = keys };
    size_t              n = 0;

    for (size_t i = 0; i < KEYS; i++) {
        for (size_t m = 0; m < keys[i]->n_materials; m++)
            n += keys[i]->materials[m].sealed.slot_generation != 0;
    }
    assert_ok(f, f->store->ops->each_slot(f->store, see_slot, &seen, &f->error));
    assert_true(n > 0);
    assert_int_equal(seen.n, n);
    empty(keys);
}

/* --- what falls due --------------------------------------------------------------------------- */

static void see_due(void *ctx, const struct due_key *key)
{
    struct seen *s = ctx;

    s->serials[s->n] = (uint64_t)(key->key_id.ptr[0] - 'a');
    s->times[s->n++] = key->when;
}

static struct key_record *new_due(uint64_t i)
{
    struct key_record *k = key_record_new();
    char               id[2] = { (char)('a' + i), '\0' };

    key_record_set_name(k, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"), bytes_str(id));
    k->version = 1;
    k->state = KEY_ENABLED;
    return k;
}

/* Key 'a' + i, due in whatever way is set. */
static void add_due(struct fixture *f, uint64_t i, int64_t rotation, int64_t on_demand,
                    int64_t valid_to, uint16_t warned)
{
    struct key_record *k = new_due(i);

    k->rotation_enabled = rotation != 0;
    k->next_rotation = rotation;
    k->on_demand_start = on_demand;
    struct key_material *m = key_record_add_material(k);
    m->expiration = valid_to != 0 ? EXPIRES : DOES_NOT_EXPIRE;
    m->valid_to = valid_to;
    m->warned_days = warned;
    m->sealed.slot_generation = 1;
    add_key(f, k);
    key_record_free(k);
}

static void assert_due(struct fixture *f, int64_t after, int64_t until, const char *want)
{
    static const uint16_t  warnings[] = { DAYS };
    const struct due_range range = { after, until, 1000, warnings, 1 };
    struct seen            seen = { .n = 0 };
    char                   got[64] = "";

    assert_ok(f, f->store->ops->each_due(f->store, &range, see_due, &seen, &f->error));
    for (size_t i = 0; i < seen.n; i++) {
        size_t len = strlen(got);
        (void)snprintf(got + len, sizeof got - len, "%c%lld ", (char)('a' + seen.serials[i]),
                       (long long)seen.times[i]);
    }
    assert_string_equal(got, want);
}

static void test_due(void **state)
{
    struct fixture *f = *state;

    add_due(f, 0, 5000, 0, 0, 0);                          /* rotates */
    add_due(f, 1, 0, 5000, 0, 0);                          /* a second after it was asked for */
    add_due(f, 2, 0, 0, 7000, 1);                          /* expires; was warned a day before */
    add_due(f, 3, 0, 0, 8000 + DAYS * (int64_t)DAY, 0);    /* to be warned */
    add_due(f, 4, 0, 0, 8000 + DAYS * (int64_t)DAY, DAYS); /* was */
    add_due(f, 5, 0, 0, 8000 + DAYS * (int64_t)DAY, 30);   /* was of an earlier one */
    add_due(f, 6, 0, 0, 0, 0);
    assert_due(f, 0, 4999, "");
    assert_due(f, 0, 5000, "a5000 ");
    assert_due(f, 5000, 6000, "b6000 ");
    assert_due(f, 6000, 8000, "c7000 d8000 f8000 ");
    assert_due(f, 8000, DAYS * (int64_t)DAY, "");
    assert_due(f, 8000, 8000 + DAYS * (int64_t)DAY, "d604808000 e604808000 f604808000 ");
}

/* What its record will never say is due (key_next_event, key_next_warning) is not in the indexes either. */
static void test_not_due(void **state)
{
    struct fixture               *f = *state;
    static const struct due_range all = { 0, INT64_MAX / 2, 0, NULL, 0 };
    struct seen                   seen = { .n = 0 };
    size_t                        n = 0;

    for (unsigned i = 0; i < KEY_STATE_COUNT * 3 * 2; i++) {
        struct key_record *k = new_due(i);
        k->state = (enum key_state)(i % KEY_STATE_COUNT);
        k->multi_region = (enum multi_region)(i / KEY_STATE_COUNT % 3);
        k->rotation_enabled = i / KEY_STATE_COUNT / 3 == 0;
        k->next_rotation = 5;
        k->on_demand_start = k->rotation_enabled ? 0 : 5;
        k->deletion_date = k->state == KEY_PENDING_DELETION ? 6 : 0;
        n += key_next_event(k, 0) != INT64_MAX;
        n += k->state == KEY_PENDING_DELETION && !k->rotation_enabled &&
             k->multi_region != REGION_REPLICA; /* both are due */
        add_key(f, k);
        key_record_free(k);
    }
    for (unsigned i = 0; i < MATERIAL_ROLE_COUNT * 2 * 3; i++) {
        struct key_record   *k = new_due(100 + i);
        struct key_material *m = key_record_add_material(k);
        m->role = (enum material_role)(i % MATERIAL_ROLE_COUNT);
        m->present = i / MATERIAL_ROLE_COUNT % 2 == 0;
        m->expiration = (enum expiration_model)(i / MATERIAL_ROLE_COUNT / 2);
        m->valid_to = 7;
        if (m->present) {
            m->sealed.wrapped = arena_copy(k->arena, BYTES_LIT("sealed"));
            m->sealed.slot_generation = 1;
        }
        n += key_next_event(k, 0) != INT64_MAX;
        add_key(f, k);
        key_record_free(k);
    }
    assert_ok(f, f->store->ops->each_due(f->store, &all, see_due, &seen, &f->error));
    assert_true(n > 10);
    assert_int_equal(seen.n, n);
}

static void see_deleting(void *ctx, const struct due_key *key)
{
    struct seen *s = ctx;

    s->times[s->n++] = key->when;
}

static void test_deleting(void **state)
{
    struct fixture     *f = *state;
    struct key_record **keys = fill(f);
    struct seen         seen = { .n = 0 };
    size_t              n = 0;
    int64_t             sum = 0;

    assert_ok(f, f->store->ops->each_deleting(f->store, see_deleting, &seen, &f->error));
    for (size_t i = 0; i < KEYS; i++) {
        bool waits = keys[i]->state == KEY_PENDING_DELETION && keys[i]->deletion_date > 0;
        n += waits;
        sum += waits ? keys[i]->deletion_date : 0;
    }
    assert_true(n > 0);
    assert_int_equal(seen.n, n);
    for (size_t i = 0; i < n; i++)
        sum -= seen.times[i];
    assert_int_equal(sum, 0);
    empty(keys);
}

/* Somebody has emptied an index: SQLite cannot change the row of which it should have an entry, until the index is
 * made anew. */
static void test_an_entry_is_missing(void **state)
{
    struct fixture    *f = *state;
    struct key_record *k = new_due(0);

    k->state = KEY_PENDING_DELETION;
    k->deletion_date = 5000;
    add_key(f, k);
    fixture_close(f);
    fixture_sql(f, "CREATE INDEX evil ON keys (deletion_date, account, region, key_id)"
                   " WHERE state = 99; PRAGMA writable_schema=ON;"
                   "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema"
                   " WHERE name IN ('evil', 'keys_deleting')) - rootpage"
                   " WHERE name IN ('evil', 'keys_deleting')");
    fixture_sql(f, "DROP INDEX evil");
    fixture_open(f);
    assert_due(f, 0, 9000, "");
    k->version = 2;
    k->deletion_date = 6000;
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
    assert_due(f, 0, 9000, "a6000 ");
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    key_record_free(k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_finds_what_loading_loads),
        TEST(test_what_is_not_there),
        TEST(test_names),
        TEST(test_changed_by_others),
        TEST(test_index_changed_by_others),
        TEST(test_pages),
        TEST(test_serials),
        TEST(test_slots),
        TEST(test_due),
        TEST(test_not_due),
        TEST(test_deleting),
        TEST(test_an_entry_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
