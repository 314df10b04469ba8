/* tests/unit/key/test_directory.c - what is put is found, listed and counted; what is removed is
 * not; and what that costs in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "instrumented.h"
#include "key/directory.h"

#define ACCOUNT BYTES_LIT("111122223333")
#define EAST    BYTES_LIT("us-east-1")
#define WEST    BYTES_LIT("us-west-2")

static const struct bytes none = { NULL, 0 };

struct world {
    struct epoch     *epoch;
    struct directory *d;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    w->d = directory_new(w->epoch, 42);
    assert_non_null(w->d);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;

    directory_free(w->d);
    epoch_free(w->epoch);
    free(w);
    return 0;
}

/* As the committer does after every batch. */
static void settle(struct world *w)
{
    epoch_barrier(w->epoch);
    directory_reclaim(w->d);
}

static struct bytes id_of(char out[KEY_ID_MAX + 1], uint64_t serial)
{
    fixture_key_id(out, serial);
    return bytes_str(out);
}

static const struct key_record *find(struct world *w, struct bytes region, uint64_t serial)
{
    char id[KEY_ID_MAX + 1];

    return directory_key(w->d, ACCOUNT, region, id_of(id, serial));
}

static void put(struct world *w, const char *region, uint64_t serial)
{
    directory_put_key(w->d, fixture_key(region, serial, ORIGIN_EXTERNAL));
}

static void put_alias(struct world *w, const char *name, uint64_t key, uint64_t serial)
{
    struct alias_record *a = alias_record_new(ACCOUNT, EAST, bytes_str(name));

    assert_non_null(a);
    fixture_key_id(a->key_id, key);
    a->serial = serial;
    directory_put_alias(w->d, a);
}

static void test_keys(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    assert_null(find(w, EAST, 1));
    put(w, "us-east-1", 1);
    put(w, "us-east-1", 2);
    put(w, "us-west-2", 1); /* the same id in another Region: multi-Region keys */
    settle(w);
    assert_int_equal(find(w, EAST, 1)->serial, 1);
    assert_int_equal(find(w, EAST, 2)->serial, 2);
    assert_true(bytes_eq(find(w, WEST, 1)->name.region, WEST));
    assert_null(find(w, WEST, 2));
    assert_null(directory_key(w->d, BYTES_LIT("999999999999"), EAST, id_of(id, 1)));
    assert_int_equal(directory_counts(w->d).keys, 3);

    directory_remove_key(w->d, ACCOUNT, EAST, id_of(id, 1));
    settle(w);
    assert_null(find(w, EAST, 1));
    assert_non_null(find(w, WEST, 1));
    assert_int_equal(directory_counts(w->d).keys, 2);
    directory_remove_key(w->d, ACCOUNT, EAST, id_of(id, 1)); /* nothing to remove */
    put(w, "us-east-1", 1);
    assert_non_null(find(w, EAST, 1));
}

static void test_names_that_nothing_has(void **state)
{
    struct world *w = *state;
    char          longest[3000];
    struct bytes  too_long = bytes_of(longest, sizeof longest);

    memset(longest, 'x', sizeof longest);
    put(w, "us-east-1", 1);
    assert_null(directory_key(w->d, ACCOUNT, EAST, none));
    assert_null(directory_key(w->d, none, none, none));
    assert_null(directory_key(w->d, ACCOUNT, EAST, too_long));
    assert_null(directory_key(w->d, ACCOUNT, too_long, BYTES_LIT("x")));
    assert_null(directory_key(w->d, too_long, EAST, BYTES_LIT("x")));
    assert_null(directory_alias(w->d, ACCOUNT, EAST, too_long));
    assert_null(directory_alias(w->d, ACCOUNT, EAST, none));
    assert_int_equal(directory_list_keys(w->d, ACCOUNT, too_long, 0, NULL, 0), 0);
    assert_int_equal(directory_alias_count(w->d, none, none, none), 0);
}

static void test_replacing_a_key(void **state)
{
    struct world *w = *state;

    put(w, "us-east-1", 1);
    const struct key_record *old = find(w, EAST, 1);
    struct key_record       *edit = key_record_clone(old);
    edit->version = 2;
    directory_put_key(w->d, edit);
    assert_ptr_equal(find(w, EAST, 1), edit);
    assert_int_equal(old->version, 1); /* may still be read until directory_reclaim */
    settle(w);
    assert_int_equal(directory_counts(w->d).keys, 1);
}

static void test_listing_keys(void **state)
{
    enum { N = 1000, PAGE = 7 };
    struct world            *w = *state;
    const struct key_record *page[PAGE];
    char                     id[KEY_ID_MAX + 1];
    uint64_t                 after = 0;
    size_t                   seen = 0;

    for (uint64_t i = 1; i <= N; i++)
        put(w, i % 10 == 0 ? "us-west-2" : "us-east-1", i);
    for (uint64_t i = 5; i <= N; i += 7)
        directory_remove_key(w->d, ACCOUNT, EAST, id_of(id, i)); /* those in the West stay */
    settle(w);
    for (;;) {
        size_t n = directory_list_keys(w->d, ACCOUNT, EAST, after, page, PAGE);
        for (size_t i = 0; i < n; i++) {
            assert_true(page[i]->serial > after);
            for (uint64_t s = after + 1; s < page[i]->serial; s++)
                assert_true(s % 10 == 0 || s % 7 == 5);
            after = page[i]->serial;
        }
        seen += n;
        if (n < PAGE)
            break;
    }
    assert_int_equal(seen, directory_counts(w->d).keys - N / 10);

    /* the marker may name a key that is gone by now */
    assert_int_equal(directory_list_keys(w->d, ACCOUNT, EAST, 5, page, 1), 1);
    assert_int_equal(page[0]->serial, 6);
    assert_int_equal(directory_list_keys(w->d, ACCOUNT, EAST, N, page, PAGE), 0);
    assert_int_equal(directory_list_keys(w->d, ACCOUNT, EAST, UINT64_MAX, page, PAGE), 0);
    assert_int_equal(directory_list_keys(w->d, ACCOUNT, BYTES_LIT("eu-west-1"), 0, page, PAGE), 0);
}

static void test_aliases(void **state)
{
    struct world              *w = *state;
    const struct alias_record *page[10];
    char                       one[KEY_ID_MAX + 1];
    char                       two[KEY_ID_MAX + 1];

    put(w, "us-east-1", 1);
    put(w, "us-east-1", 2);
    (void)id_of(one, 1);
    (void)id_of(two, 2);
    put_alias(w, "alias/c", 1, 1);
    put_alias(w, "alias/a", 1, 2);
    put_alias(w, "alias/b", 2, 3);
    settle(w);
    assert_string_equal(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/b"))->key_id, two);
    assert_null(directory_alias(w->d, ACCOUNT, WEST, BYTES_LIT("alias/b")));
    assert_null(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/B")));
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, none), 3);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, bytes_str(one)), 2);
    assert_int_equal(directory_list_aliases(w->d, ACCOUNT, EAST, none, 0, page, 10), 3);
    assert_true(bytes_eq_str(page[0]->name.name, "alias/c")); /* order of creation */
    assert_true(bytes_eq_str(page[2]->name.name, "alias/b"));
    assert_int_equal(directory_list_aliases(w->d, ACCOUNT, EAST, bytes_str(one), 1, page, 10), 1);
    assert_true(bytes_eq_str(page[0]->name.name, "alias/a"));

    put_alias(w, "alias/c", 2, 1); /* UpdateAlias: to another key, in its old place */
    settle(w);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, none), 3);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, bytes_str(one)), 1);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, bytes_str(two)), 2);
    assert_int_equal(directory_list_aliases(w->d, ACCOUNT, EAST, bytes_str(two), 0, page, 10), 2);
    assert_true(bytes_eq_str(page[0]->name.name, "alias/c"));
    put_alias(w, "alias/c", 1, 1); /* and back */
    put_alias(w, "alias/c", 1, 1); /* and once more, to where it is */
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, bytes_str(one)), 2);

    directory_remove_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/a"));
    directory_remove_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/a"));
    settle(w);
    assert_null(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/a")));
    put_alias(w, "alias/c", 1, 9); /* deleted and created again in one change */
    settle(w);
    assert_int_equal(directory_list_aliases(w->d, ACCOUNT, EAST, none, 0, page, 10), 2);
    assert_true(bytes_eq_str(page[1]->name.name, "alias/c"));
}

static void test_aliases_go_with_their_key(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    put(w, "us-east-1", 1);
    put(w, "us-east-1", 2);
    for (uint64_t i = 1; i <= 50; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)i);
        put_alias(w, name, 1 + i % 2, i);
    }
    directory_remove_key(w->d, ACCOUNT, EAST, id_of(id, 1));
    settle(w);
    assert_int_equal(directory_counts(w->d).aliases, 25);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, none), 25);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, id_of(id, 1)), 0);
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, id_of(id, 2)), 25);
    assert_null(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/2")));
    assert_non_null(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/3")));
}

static void test_alias_of_no_key(void **state)
{
    struct world *w = *state;

    put_alias(w, "alias/x", 1, 1); /* a damaged database must not end the process */
    put_alias(w, "alias/x", 2, 1);
    put(w, "us-east-1", 2);
    put_alias(w, "alias/x", 1, 1);
    assert_non_null(directory_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/x")));
    directory_remove_alias(w->d, ACCOUNT, EAST, BYTES_LIT("alias/x"));
    assert_int_equal(directory_counts(w->d).aliases, 0);
}

static struct key_record *with_materials(const char *region, uint64_t serial, const char *names)
{
    struct key_record *k = fixture_key(region, serial, ORIGIN_EXTERNAL);

    for (; *names != '\0'; names++)
        key_record_add_material(k)->id = fixture_material_id(*names);
    return k;
}

static uint64_t owner(struct world *w, struct bytes region, char material)
{
    struct material_id       id = fixture_material_id(material);
    const struct key_record *k = directory_key_by_material(w->d, region, &id);

    return k == NULL ? 0 : k->serial;
}

static void test_materials(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    directory_put_key(w->d, with_materials("us-east-1", 1, "ABC"));
    directory_put_key(w->d, with_materials("us-west-2", 2, "AD"));
    settle(w);
    assert_int_equal(owner(w, EAST, 'A'), 1);
    assert_int_equal(owner(w, EAST, 'C'), 1);
    assert_int_equal(owner(w, WEST, 'A'), 2); /* the replica holds the same material */
    assert_int_equal(owner(w, EAST, 'D'), 0);

    directory_put_key(w->d, with_materials("us-east-1", 1, "ACEE")); /* B gone, E new, E twice */
    settle(w);
    assert_int_equal(owner(w, EAST, 'B'), 0);
    assert_int_equal(owner(w, EAST, 'A'), 1);
    assert_int_equal(owner(w, EAST, 'E'), 1);
    directory_put_key(w->d,
                      with_materials("us-east-1", 3, "A")); /* of another: the first keeps it */
    assert_int_equal(owner(w, EAST, 'A'), 1);

    directory_remove_key(w->d, ACCOUNT, EAST, id_of(id, 1));
    settle(w);
    assert_int_equal(owner(w, EAST, 'C'), 0);
    assert_int_equal(owner(w, EAST, 'E'), 0);
    assert_int_equal(owner(w, WEST, 'D'), 2);
}

static void count_import_key(const struct import_key_record *k, void *ctx)
{
    (void)k;
    (*(size_t *)ctx)++;
}

static void test_import_keys(void **state)
{
    struct world *w = *state;
    uint8_t       id[16] = { 7 };
    size_t        seen = 0;

    for (uint8_t i = 0; i < 20; i++) {
        struct import_key_record *k = import_key_record_new();
        k->id[0] = i % 10;
        k->valid_to = i;
        directory_put_import_key(w->d, k); /* the second ten replace the first */
    }
    settle(w);
    assert_int_equal(directory_import_key(w->d, id)->valid_to, 17);
    directory_each_import_key(w->d, count_import_key, &seen);
    assert_int_equal(seen, 10);
    directory_remove_import_key(w->d, id);
    directory_remove_import_key(w->d, id);
    settle(w);
    assert_null(directory_import_key(w->d, id));
    assert_int_equal(directory_counts(w->d).import_keys, 9);
}

/* Counted by key: with the key, but for those put before it. */
static void test_import_keys_of_a_key(void **state)
{
    struct world         *w = *state;
    const struct key_name name = { .account = BYTES_LIT("111122223333"),
                                   .region = BYTES_LIT("us-east-1"),
                                   .id = BYTES_LIT("one") };

    assert_int_equal(directory_import_key_count(w->d, &name), 0);
    for (int keys = 0; keys < 2; keys++) { /* a key of this name, and again when it is gone */
        struct key_record *key = key_record_new();
        key->name = name;
        key->serial = 1;
        directory_put_key(w->d, key);
        for (uint8_t i = 0; i < 9; i++) {
            struct import_key_record *k = import_key_record_new();
            k->id[0] = i % 7; /* two replace others */
            k->key = name;
            directory_put_import_key(w->d, k);
        }
        assert_int_equal(directory_import_key_count(w->d, &name), 7);
        const uint8_t id[16] = { 3 };
        directory_remove_import_key(w->d, id);
        directory_remove_import_key(w->d, id);
        settle(w);
        assert_int_equal(directory_import_key_count(w->d, &name), 6);
        directory_remove_key(w->d, name.account, name.region, name.id);
        assert_int_equal(directory_import_key_count(w->d, &name), 0);
        for (uint8_t i = 0; i < 7; i++)
            directory_remove_import_key(w->d, (uint8_t[16]){ i });
        settle(w);
    }
}

static void add_serial(const struct key_record *k, void *ctx)
{
    *(uint64_t *)ctx += k->serial;
}

static void test_everything(void **state)
{
    struct world *w = *state;
    uint64_t      sum = 0;

    for (uint64_t i = 1; i <= 300; i++)
        directory_put_key(w->d, with_materials("us-east-1", i, i == 1 ? "ABC" : ""));
    for (uint64_t i = 1; i <= 100; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)i);
        put_alias(w, name, i * 4, i); /* the last ones of no key */
    }
    directory_put_import_key(w->d, import_key_record_new());
    directory_each_key(w->d, add_serial, &sum);
    assert_true(sum == 300 * 301 / 2);

    directory_clear(w->d);
    settle(w);
    struct directory_counts counts = directory_counts(w->d);
    assert_int_equal(counts.keys + counts.aliases + counts.import_keys, 0);
    assert_int_equal(owner(w, EAST, 'B'), 0);
    assert_null(find(w, EAST, 3));
    assert_int_equal(directory_alias_count(w->d, ACCOUNT, EAST, none), 0);
    put(w, "us-east-1", 3);
    assert_non_null(find(w, EAST, 3));
}

/* --- memory ----------------------------------------------------------------------------------- */

/* A key as most are: the default policy, a short description, and soon one material. */
static struct key_record *typical(uint64_t serial)
{
    struct key_record *k = fixture_key("us-east-1", serial, ORIGIN_EXTERNAL);

    k->policy = arena_copy(k->arena, bytes_str(fixture_policy));
    k->description = arena_copy(k->arena, BYTES_LIT("orders database"));
    return k;
}

static void add_material(struct key_record *k, uint64_t serial)
{
    struct key_material *m = key_record_add_material(k);

    memcpy(m->id.b, &serial, sizeof serial);
    m->sealed = fixture_sealed(k->arena, (uint32_t)serial);
}

/* Puts n keys, each as `next` makes it from the present one; returns the bytes that each takes. */
static size_t bytes_per_key(struct world *w, size_t before, uint64_t n,
                            struct key_record *(*next)(const struct key_record *, uint64_t serial))
{
    for (uint64_t i = 1; i <= n; i++)
        directory_put_key(w->d, next(find(w, EAST, i), i));
    settle(w);
    return (fixture_held() - before) / n;
}

static struct key_record *generated(const struct key_record *k, uint64_t serial)
{
    struct key_record *fresh = typical(serial);

    (void)k;
    add_material(fresh, serial);
    return fresh;
}

static struct key_record *empty(const struct key_record *k, uint64_t serial)
{
    (void)k;
    return typical(serial);
}

static struct key_record *imported(const struct key_record *k, uint64_t serial)
{
    struct key_record *edit = key_record_clone(k);

    add_material(edit, serial);
    return edit;
}

static struct key_record *changed(const struct key_record *k, uint64_t serial)
{
    (void)serial;
    return key_record_clone(k);
}

static void test_memory_per_key(void **state)
{
    enum { N = 20000, BYTES_MAX = 1536 };
    static struct {
        const char *name;
        struct key_record *(*next)(const struct key_record *, uint64_t serial);
    } const lives[] = {
        { "generated", generated },    { "then changed", changed }, { "created empty", empty },
        { "then imported", imported }, { "then changed", changed },
    };
    struct world *w = *state;
    size_t        before = fixture_held();

    for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
        size_t bytes = bytes_per_key(w, before, N, lives[i].next);
        print_message("# bytes per key, %s: %zu, of which its record %zu\n", lives[i].name, bytes,
                      arena_size(find(w, EAST, 1)->arena));
        assert_cost(bytes, BYTES_MAX + 1);
    }
    directory_clear(w->d);
    settle(w);
    size_t left = fixture_held() - before;
    assert_cost(left, 2 * 1024 * 1024); /* the tables keep their size */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys, begin, end),
        cmocka_unit_test_setup_teardown(test_names_that_nothing_has, begin, end),
        cmocka_unit_test_setup_teardown(test_replacing_a_key, begin, end),
        cmocka_unit_test_setup_teardown(test_listing_keys, begin, end),
        cmocka_unit_test_setup_teardown(test_aliases, begin, end),
        cmocka_unit_test_setup_teardown(test_aliases_go_with_their_key, begin, end),
        cmocka_unit_test_setup_teardown(test_alias_of_no_key, begin, end),
        cmocka_unit_test_setup_teardown(test_materials, begin, end),
        cmocka_unit_test_setup_teardown(test_import_keys, begin, end),
        cmocka_unit_test_setup_teardown(test_import_keys_of_a_key, begin, end),
        cmocka_unit_test_setup_teardown(test_everything, begin, end),
        cmocka_unit_test_setup_teardown(test_memory_per_key, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
