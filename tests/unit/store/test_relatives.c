/* tests/unit/store/test_relatives.c - a key and its relatives in other Regions change together or not at
 * all: replicas come and go, and what is shared is edited in every row. */
#include "fixture.h"

struct relatives {
    struct fixture    *f;
    struct key_record *east; /* as the store has it; `regions` names both while there is a west */
    struct key_record *west;
};

static struct domain_key_record *west_domain(const struct relatives *r)
{
    struct domain_key_record *d = domain_key_new(r->east->name.account, BYTES_LIT("ap-south-1"), 1,
                                                 BYTES_LIT("wrapped"));

    assert_non_null(d);
    return d;
}

/* A change in which the replica comes: its Region's first domain key, the new row, the primary's edit. */
static void add_arrival(const struct relatives *r, struct change *c)
{
    change_add(c, ROW_DOMAIN_INSERT)->domain = west_domain(r);
    change_add(c, ROW_KEY_INSERT)->key = key_record_clone(r->west);
    change_add(c, ROW_KEY_UPDATE)->key = key_record_clone(r->east);
}

static void begin(struct relatives *r, struct fixture *f)
{
    *r = (struct relatives){ f, random_key(f), NULL };
    r->east->multi_region = REGION_PRIMARY;
    add_key(f, r->east);
    r->east->version++;
    r->east->regions = BYTES_LIT("ap-south-1 us-east-1");
    r->west = key_record_clone(r->east);
    assert_non_null(r->west);
    key_record_set_name(r->west, r->east->name.account, BYTES_LIT("ap-south-1"), r->east->name.id);
    r->west->multi_region = REGION_REPLICA;
    r->west->version = 1;
}

static void arrive(struct relatives *r)
{
    CLEANUP(change_release) struct change c = { 0 };

    add_arrival(r, &c);
    assert_int_equal(fixture_apply(r->f, &c), KMS_OK);
    r->west->serial = c.rows[1].key->serial;
    assert_true(r->west->serial > r->east->serial);
}

static void end(struct relatives *r)
{
    key_record_free(r->east);
    key_record_free(r->west);
}

static void assert_stored(struct fixture *f, const struct key_record *key)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(f, &l);
    const struct key_record *stored = loaded_key(&l, key);
    assert_non_null(stored);
    assert_keys_equal(stored, key);
}

static size_t stored_keys(struct fixture *f)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(f, &l);
    return l.keys.n;
}

static void test_one_comes(void **state)
{
    struct fixture  *f = *state;
    struct relatives r;

    begin(&r, f);
    arrive(&r);
    fixture_reopen(f);
    assert_stored(f, r.east);
    assert_stored(f, r.west);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.domains.n, 1);
    end(&r);
}

/* Somebody else has changed the primary, or made the same replica, meanwhile. */
static void test_one_comes_too_late(void **state)
{
    struct fixture  *f = *state;
    struct relatives r;

    begin(&r, f);
    CLEANUP(key_record_freep) struct key_record *edited = key_record_clone(r.east);
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, edited), KMS_OK);
    CLEANUP(change_release) struct change c = { 0 };
    add_arrival(&r, &c);
    assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED);
    assert_int_equal(c.rows[1].key->serial, 0);
    assert_int_equal(stored_keys(f), 1);
    assert_stored(f, edited);

    r.east->version++; /* made anew from what is there: now it works */
    arrive(&r);
    CLEANUP(change_release) struct change again = { 0 };
    r.east->version++;
    change_add(&again, ROW_KEY_UPDATE)->key = key_record_clone(r.east);
    change_add(&again, ROW_KEY_INSERT)->key = key_record_clone(r.west);
    assert_int_equal(fixture_apply(f, &again), KMS_E_CHANGED); /* the first row too */
    r.east->version--;
    assert_stored(f, r.east);
    end(&r);
}

/* Both edited, one of them from an old version: neither is. */
static void test_edits(void **state)
{
    struct fixture  *f = *state;
    struct relatives r;

    begin(&r, f);
    arrive(&r);
    for (int stale = 0; stale < 2; stale++) {
        CLEANUP(change_release) struct change c = { 0 };
        struct key_record *east = change_add(&c, ROW_KEY_UPDATE)->key = key_record_clone(r.east);
        struct key_record *west = change_add(&c, ROW_KEY_UPDATE)->key = key_record_clone(r.west);
        random_edit(f, east);
        random_edit(f, west);
        (stale == 0 ? east : west)->version++;
        assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED);
        assert_stored(f, r.east);
        assert_stored(f, r.west);
    }
    CLEANUP(change_release) struct change c = { 0 };
    random_edit(f, r.east);
    random_edit(f, r.west);
    change_add(&c, ROW_KEY_UPDATE)->key = key_record_clone(r.west);
    change_add(&c, ROW_KEY_UPDATE)->key = key_record_clone(r.east);
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
    fixture_reopen(f);
    assert_stored(f, r.east);
    assert_stored(f, r.west);
    end(&r);
}

/* One goes at the end of its window: with a tombstone, while the other is edited; or nothing happens. */
static void test_one_goes(void **state)
{
    struct fixture  *f = *state;
    struct relatives r;

    begin(&r, f);
    arrive(&r);
    for (int stale = 1; stale >= 0; stale--) {
        CLEANUP(change_release) struct change c = { 0 };
        struct row                           *row = change_add(&c, ROW_KEY_DELETE);
        row->key = key_record_clone(r.west);
        row->expected_version = r.west->version;
        change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
        struct key_record *east = change_add(&c, ROW_KEY_UPDATE)->key = key_record_clone(r.east);
        east->version += stale == 1 ? 2 : 1;
        east->regions = BYTES_LIT("us-east-1");
        assert_int_equal(fixture_apply(f, &c), stale == 1 ? KMS_E_CHANGED : KMS_OK);
        assert_int_equal(stored_keys(f), stale == 1 ? 2 : 1);
        assert_stored(f, stale == 1 ? r.east : east);
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.tombstones.n, stale == 1 ? 0 : 1);
    }
    end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_comes),
        TEST(test_one_comes_too_late),
        TEST(test_edits),
        TEST(test_one_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
