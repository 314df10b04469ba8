/* tests/unit/key/test_cold.c - the directory as a cache: what is not there is told from what may be cold, keys
 * come with what belongs to them and go with their relatives, what refers to them stays; and readers that look
 * while they come and go are never told that a key does not exist. The races are for ThreadSanitizer and
 * AddressSanitizer too: make check runs this under both. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "instrumented.h"
#include "key/directory.h"
#include "key/family.h"
#include "key/grants.h"
#include "key/last_use.h"

enum { LIMIT = 8, KEYS = 32, STROKES = 20, ROUNDS = 640, READERS = 2 };
#define REGION  BYTES_LIT("us-east-1")
#define ACCOUNT BYTES_LIT("111122223333")

struct world {
    struct epoch     *epoch;
    struct directory *d;
    int               reader;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    w->d = directory_new(w->epoch, 1);
    assert_non_null(w->d);
    w->reader = epoch_register(w->epoch);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    directory_free(w->d);
    epoch_free(w->epoch);
    free(w);
    return 0;
}

static struct bytes id_of(char out[KEY_ID_MAX + 1], uint64_t serial)
{
    fixture_key_id(out, serial);
    return bytes_str(out);
}

/* With a material of its own. */
static struct key_record *new_key(const char *region, uint64_t serial)
{
    struct key_record *k = fixture_key(region, serial, ORIGIN_AWS_KMS);

    key_record_add_material(k)->id = fixture_material_id((char)serial);
    return k;
}

static void load(struct world *w, uint64_t serial)
{
    struct key_record      *k = new_key("us-east-1", serial);
    struct key_usage_record use = { .key = serial,
                                    .last = { .operation = TRACKED_SIGN, .at = (int64_t)serial } };

    directory_load(w->d, &k, &use, 1);
}

static const struct key_record *look(struct world *w, uint64_t serial)
{
    char id[KEY_ID_MAX + 1];

    return directory_key(w->d, ACCOUNT, REGION, id_of(id, serial));
}

static bool unsure(struct world *w, uint64_t serial)
{
    struct key_want want;
    char            id[KEY_ID_MAX + 1];

    return directory_unsure(w->d, ACCOUNT, REGION, id_of(id, serial), &want);
}

static size_t in_memory(struct world *w)
{
    struct directory_counts n = directory_counts(w->d);

    return n.keys - n.cold;
}

static void evict_all_it_can(struct world *w)
{
    for (size_t i = 0; i < STROKES; i++)
        (void)directory_evict(w->d);
}

/* --- what is there ---------------------------------------------------------------------------- */

static void test_unsure(void **state)
{
    struct world           *w = *state;
    struct material_id      one = fixture_material_id(1), two = fixture_material_id(2);
    struct key_want         want;
    struct directory_counts n;

    directory_keep(w->d, LIMIT, 1);
    assert_false(directory_whole(w->d) || directory_lists_all(w->d));
    assert_null(look(w, 1));
    assert_true(unsure(w, 1) && unsure(w, 2)); /* nobody can tell them apart */
    assert_true(directory_unsure_material(w->d, REGION, &one, &want));
    assert_int_equal(want.kind, WANT_MATERIAL);
    load(w, 1);
    assert_non_null(look(w, 1));
    assert_ptr_equal(directory_key_by_material(w->d, REGION, &one), look(w, 1));
    assert_true(directory_whole(w->d));
    assert_false(unsure(w, 2) || directory_unsure_material(w->d, REGION, &two, &want));
    assert_false(directory_lists_all(w->d)); /* that was not listed while it was cold */
    n = directory_counts(w->d);
    assert_true(n.keys == 1 && n.cold == 0);
}

static void test_all_in_memory(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, 0, 0);
    for (uint64_t i = 1; i <= KEYS; i++)
        directory_put_key(w->d, new_key("us-east-1", i));
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), KEYS);
    assert_true(directory_whole(w->d) && directory_lists_all(w->d));
    assert_false(unsure(w, KEYS + 1));
}

/* --- going ------------------------------------------------------------------------------------ */

static void test_those_in_use_stay(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, LIMIT, 0);
    for (uint64_t i = 1; i <= KEYS; i++)
        directory_put_key(w->d, new_key("us-east-1", i));
    assert_true(directory_lists_all(w->d));
    for (size_t i = 0; i < STROKES && in_memory(w) > LIMIT; i++) {
        for (uint64_t k = 1; k <= LIMIT / 2; k++)
            assert_non_null(look(w, k));
        (void)directory_evict(w->d);
    }
    assert_int_equal(in_memory(w), LIMIT);
    assert_int_equal(directory_counts(w->d).keys, KEYS);
    assert_false(directory_lists_all(w->d));
    for (uint64_t k = 1; k <= LIMIT / 2; k++)
        assert_non_null(look(w, k));
    for (uint64_t k = 1; k <= KEYS; k++)
        assert_true(look(w, k) != NULL || unsure(w, k));
}

/* Whoever has one loaded has the time of some strokes to look it up. */
static void test_what_was_just_loaded_stays(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, 1, KEYS);
    for (uint64_t i = 1; i <= KEYS; i++) {
        load(w, i);
        (void)directory_evict(w->d);
        (void)directory_evict(w->d);
        assert_non_null(look(w, i));
    }
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), 1);
}

static void test_what_may_not_go(void **state)
{
    struct world            *w = *state;
    struct key_record       *k = new_key("us-east-1", 1);
    struct key_usage_record *list = NULL;
    struct key_usage_mark    mark = { .operation = TRACKED_ENCRYPT, .at = 9 };
    struct kms_error         err;
    size_t                   n = 0;
    char                     id[KEY_ID_MAX + 1];
    struct key_usage_record  use;

    directory_keep(w->d, 1, 0);
    k->state = KEY_PENDING_DELETION;
    directory_put_key(w->d, k);
    for (uint64_t i = 2; i <= 5; i++)
        directory_put_key(w->d, new_key("us-east-1", i));
    directory_mark_used(w->d, &look(w, 3)->name, &mark);
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), 2);
    assert_true(look(w, 1) != NULL && look(w, 3) != NULL);
    assert_int_equal(directory_take_used(w->d, &list, &n, &err), KMS_OK);
    assert_int_equal(n, 1);
    directory_stored_used(w->d, list, n);
    free(list);
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), 1);
    assert_true(look(w, 1) != NULL && look(w, 3) == NULL);
    assert_false(directory_uses_of_cold(w->d));
    /* it comes back with what the store says of it */
    load(w, 3);
    assert_true(directory_last_usage(w->d, &look(w, 3)->name, &use));
    assert_true(use.last.operation == TRACKED_SIGN && use.last.at == 3);
    (void)id_of(id, 3);
}

/* --- what refers to it ------------------------------------------------------------------------ */

static void put_alias(struct world *w, const char *name, uint64_t serial, uint64_t key)
{
    struct alias_record *a = alias_record_new(ACCOUNT, REGION, bytes_str(name));

    assert_non_null(a);
    a->serial = serial;
    a->version = 1;
    fixture_key_id(a->key_id, key);
    directory_put_alias(w->d, a);
}

static size_t aliases_of(struct world *w, uint64_t key)
{
    char id[KEY_ID_MAX + 1];

    return directory_alias_count(w->d, ACCOUNT, REGION, id_of(id, key));
}

static void test_aliases_stay(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, 1, KEYS);
    put_alias(w, "alias/a", 1, 1); /* before its key, as at start */
    put_alias(w, "alias/b", 2, 1);
    put_alias(w, "alias/c", 3, 2);
    assert_null(look(w, 1));
    assert_true(unsure(w, 1));
    assert_int_equal(aliases_of(w, 1), 2);
    load(w, 1);
    load(w, 3);
    assert_int_equal(aliases_of(w, 1), 2);
    evict_all_it_can(w);
    load(w, 4);
    evict_all_it_can(w);
    assert_null(look(w, 1));
    assert_int_equal(aliases_of(w, 1), 2);
    put_alias(w, "alias/a", 1, 2); /* moves from one cold key to another */
    assert_int_equal(aliases_of(w, 1), 1);
    assert_int_equal(aliases_of(w, 2), 2);
    directory_remove_alias(w->d, ACCOUNT, REGION, BYTES_LIT("alias/b"));
    assert_int_equal(aliases_of(w, 1), 0);
    load(w, 1);
    load(w, 2);
    directory_remove_key(w->d, ACCOUNT, REGION, look(w, 2)->name.id);
    assert_null(directory_alias(w->d, ACCOUNT, REGION, BYTES_LIT("alias/a")));
    assert_null(directory_alias(w->d, ACCOUNT, REGION, BYTES_LIT("alias/c")));
    assert_int_equal(directory_counts(w->d).aliases, 0);
    assert_int_equal(directory_counts(w->d).keys, KEYS - 1);
}

/* --- relatives -------------------------------------------------------------------------------- */

static struct key_record *relative(const char *region, uint64_t serial)
{
    struct key_record *k = fixture_key(region, serial, ORIGIN_AWS_KMS);
    char               id[KEY_ID_MAX + 1];

    key_record_set_name(k, ACCOUNT, bytes_str(region), id_of(id, 1));
    k->multi_region = strcmp(region, "us-east-1") == 0 ? REGION_PRIMARY : REGION_REPLICA;
    k->primary_region = BYTES_LIT("us-east-1");
    k->regions = BYTES_LIT("eu-west-1 us-east-1");
    return k;
}

static void load_family(struct world *w)
{
    struct key_record            *keys[2] = { relative("us-east-1", 1), relative("eu-west-1", 2) };
    const struct key_usage_record uses[2] = { { .key = 0 }, { .key = 0 } };

    directory_load(w->d, keys, uses, 2);
}

static const struct key_record *in(struct world *w, const char *region)
{
    char id[KEY_ID_MAX + 1];

    return directory_key(w->d, ACCOUNT, bytes_str(region), id_of(id, 1));
}

static void test_relatives_go_together(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, 1, 3);
    load_family(w);
    load(w, 9);
    for (size_t i = 0; i < STROKES; i++) { /* who looks at one keeps the other */
        assert_non_null(in(w, "eu-west-1"));
        (void)directory_evict(w->d);
    }
    assert_true(in(w, "us-east-1") != NULL && in(w, "eu-west-1") != NULL);
    assert_null(look(w, 9));
    evict_all_it_can(w);
    assert_true(in(w, "us-east-1") == NULL && in(w, "eu-west-1") == NULL);
    assert_int_equal(in_memory(w), 0);
    load_family(w);
    assert_true(in(w, "us-east-1") != NULL && in(w, "eu-west-1") != NULL);
}

/* --- readers ---------------------------------------------------------------------------------- */

struct race {
    struct world *w;
    _Atomic bool  stop;
    _Atomic bool  wrong;
};

/* Keys 1 to KEYS exist, KEYS + 1 does not. */
static void *read_on(void *arg)
{
    struct race  *race = arg;
    struct world *w = race->w;
    int           reader = epoch_register(w->epoch);
    uint64_t      i = 1;

    while (!atomic_load(&race->stop)) {
        i = i % KEYS + 1;
        epoch_enter(w->epoch, reader);
        const struct key_record *k = look(w, i);
        if (k == NULL ? !unsure(w, i) : k->serial != i)
            atomic_store(&race->wrong, true);
        if (look(w, KEYS + 1) != NULL)
            atomic_store(&race->wrong, true);
        epoch_leave(w->epoch, reader);
    }
    return NULL;
}

/* Keys go and come back; sometimes all of them are there. */
static void come_and_go(struct world *w)
{
    for (size_t round = 0; round < ROUNDS / KEYS; round++) {
        for (uint64_t i = 1; i <= KEYS; i++) {
            if (look(w, i) == NULL)
                load(w, i);
            if (round % 4 != 0)
                (void)directory_evict(w->d);
        }
    }
}

static void test_readers_are_never_told_wrong(void **state)
{
    struct world *w = *state;
    struct race   race = { .w = w };
    pthread_t     threads[READERS];

    directory_keep(w->d, LIMIT, KEYS);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &race), 0);
    come_and_go(w);
    atomic_store(&race.stop, true);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(atomic_load(&race.wrong));
    assert_int_equal(directory_counts(w->d).keys, KEYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unsure),
        TEST(test_all_in_memory),
        TEST(test_those_in_use_stay),
        TEST(test_what_was_just_loaded_stays),
        TEST(test_what_may_not_go),
        TEST(test_aliases_stay),
        TEST(test_relatives_go_together),
        TEST(test_readers_are_never_told_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
