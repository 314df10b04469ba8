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

enum {
    LIMIT = 8,
    KEYS = 32,
    STROKES = 20,
    ROUNDS = 640,
    READERS = 2,
    USES = INSTRUMENTED ? 20000 : 200000
};
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
    assert_false(directory_lists_all(w->d));
    assert_null(look(w, 1));
    assert_true(unsure(w, 1) && unsure(w, 2)); /* nobody can tell them apart */
    assert_true(directory_unsure_material(w->d, REGION, &one, &want));
    assert_int_equal(want.kind, WANT_MATERIAL);
    load(w, 1);
    assert_non_null(look(w, 1));
    assert_ptr_equal(directory_key_by_material(w->d, REGION, &one), look(w, 1));
    assert_false(directory_lists_all(w->d)); /* that was not listed while it was cold */
    assert_true(unsure(w, 2) &&
                directory_unsure_material(w->d, REGION, &two, &want)); /* for good */
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
    assert_true(directory_lists_all(w->d));
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
    struct key_usage_record *list = NULL;
    struct key_usage_mark    mark = { .operation = TRACKED_ENCRYPT, .at = 9 };
    struct kms_error         err;
    size_t                   n = 0;
    char                     id[KEY_ID_MAX + 1];
    struct key_usage_record  use;

    directory_keep(w->d, 1, 0);
    for (uint64_t i = 1; i <= 5; i++)
        directory_put_key(w->d, new_key("us-east-1", i));
    directory_mark_used(w->d, &look(w, 3)->name, &mark);
    directory_mark_used(w->d, &look(w, 4)->name, &mark);
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), 2);
    assert_true(look(w, 3) != NULL && look(w, 4) != NULL);
    assert_int_equal(directory_take_used(w->d, &list, &n, &err), KMS_OK);
    assert_int_equal(n, 2);
    directory_stored_used(w->d, list, n);
    free(list);
    directory_mark_used(w->d, &look(w, 4)->name, &mark);
    evict_all_it_can(w);
    assert_int_equal(in_memory(w), 1);
    assert_true(look(w, 4) != NULL && look(w, 3) == NULL);
    assert_true(directory_has_used(w->d)); /* of the one that stays */
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

/* --- those that wait for their deletion --------------------------------------------------------- */

static bool lives(struct world *w, uint64_t serial, int64_t now)
{
    char id[KEY_ID_MAX + 1];

    return directory_lives(w->d, ACCOUNT, REGION, id_of(id, serial), now);
}

static void load_deleting(struct world *w, uint64_t serial, int64_t date)
{
    struct key_record      *k = new_key("us-east-1", serial);
    struct key_usage_record use = { .key = serial };

    k->state = date == 0 ? KEY_ENABLED : KEY_PENDING_DELETION;
    k->deletion_date = date;
    directory_load(w->d, &k, &use, 1);
}

static void put_grant(struct world *w, const char *id, uint64_t key)
{
    struct grant_record *g = grant_record_new();
    char                 key_id[KEY_ID_MAX + 1];

    assert_non_null(g);
    grant_record_set_key(g, ACCOUNT, REGION, id_of(key_id, key));
    g->id = arena_copy(g->arena, bytes_str(id));
    g->grantee = arena_copy(g->arena, BYTES_LIT("AIDA1"));
    g->serial = key;
    grants_put(directory_grants(w->d), &g, 1);
}

/* They go like others, and listings of what belongs to them know when it ends. */
static void test_the_end_of_a_cold_key(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, 1, KEYS);
    put_alias(w, "alias/a", 1, 1);
    put_grant(w, "g2", 2);
    load_deleting(w, 1, 100);
    load_deleting(w, 2, 100);
    load_deleting(w, 3, 100); /* nothing belongs to it */
    load(w, 9);
    evict_all_it_can(w);
    assert_true(look(w, 1) == NULL && look(w, 2) == NULL && look(w, 3) == NULL);
    for (uint64_t i = 1; i <= 2; i++)
        assert_true(lives(w, i, 99) && !lives(w, i, 100));
    assert_true(lives(w, 4, 100)); /* as far as is known */

    /* it is cancelled, and goes again */
    directory_put_key(w->d, new_key("us-east-1", 9));
    load_deleting(w, 1, 100);
    assert_true(lives(w, 1, 99) && !lives(w, 1, 100));
    directory_put_key(w->d, new_key("us-east-1", 1));
    assert_true(lives(w, 1, 100));
    load(w, 8);
    evict_all_it_can(w);
    evict_all_it_can(w);
    assert_null(look(w, 1));
    assert_true(lives(w, 1, 100));

    /* loaded to be removed */
    load_deleting(w, 2, 100);
    directory_remove_key(w->d, ACCOUNT, REGION, look(w, 2)->name.id);
    assert_int_equal(grants_count(directory_grants(w->d)), 0);
}

/* As the indexes say at start, before any of them was loaded. */
static void test_ends_are_told(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    directory_keep(w->d, 1, KEYS);
    put_alias(w, "alias/a", 1, 1);
    put_grant(w, "g2", 2);
    for (uint64_t i = 1; i <= 3; i++)
        directory_note_end(w->d, ACCOUNT, REGION, id_of(id, i), 100);
    for (uint64_t i = 1; i <= 2; i++)
        assert_true(lives(w, i, 99) && !lives(w, i, 100));
    assert_true(lives(w, 3, 100)); /* it has nothing that could be listed */
    load_deleting(w, 1, 0);        /* its row is what counts */
    assert_true(lives(w, 1, 100));
}

/* The store has more keys than its index counts. */
static void test_more_come_than_were_counted(void **state)
{
    struct world *w = *state;

    directory_keep(w->d, LIMIT, 2);
    for (uint64_t i = 1; i <= 5; i++)
        load(w, i);
    assert_true(directory_counts(w->d).keys == 5 && directory_counts(w->d).cold == 0);
    assert_true(unsure(w, 6));
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

/* --- last uses -------------------------------------------------------------------------------- */

struct use_race {
    struct world           *w;
    int64_t                 last[KEYS + 1]; /* the marker's: the last use of each key */
    struct key_usage_record stored[KEYS + 1];
    _Atomic bool            done;
};

/* Uses every key in turn, whether it is in memory or not. */
static void *use_on(void *arg)
{
    struct use_race *race = arg;
    int              reader = epoch_register(race->w->epoch);

    for (int64_t at = 1; at <= USES; at++) {
        uint64_t                    serial = (uint64_t)at % KEYS + 1;
        const struct key_usage_mark mark = { .operation = TRACKED_ENCRYPT, .at = at };
        char                        id[KEY_ID_MAX + 1];
        const struct key_name       name = { .account = ACCOUNT,
                                             .region = REGION,
                                             .id = id_of(id, serial) };
        epoch_enter(race->w->epoch, reader);
        directory_mark_used(race->w->d, &name, &mark);
        epoch_leave(race->w->epoch, reader);
        race->last[serial] = at;
    }
    atomic_store(&race->done, true);
    return NULL;
}

static void store_use(struct use_race *race, uint64_t serial, const struct key_usage_mark *mark)
{
    if (mark->at > race->stored[serial].last.at)
        race->stored[serial] = (struct key_usage_record){ .key = serial, .last = *mark };
}

static void store_late(struct use_race *race)
{
    struct late_use *list = directory_take_late(race->w->d);

    while (list != NULL) {
        struct late_use *next = list->next;
        if (!directory_mark_late(race->w->d, list))
            store_use(race, strtoull(list->key.key_id + 24, NULL, 10), &list->mark);
        free(list);
        list = next;
    }
}

/* As the committer does; if it fails nothing is stored. */
static void flush(struct use_race *race, bool fails)
{
    struct key_usage_record *list = NULL;
    struct kms_error         err;
    size_t                   n = 0;

    assert_int_equal(directory_take_used(race->w->d, &list, &n, &err), KMS_OK);
    for (size_t i = 0; i < n && !fails; i++)
        store_use(race, list[i].key, &list[i].last);
    if (fails)
        directory_give_back_used(race->w->d, list, n);
    else
        directory_stored_used(race->w->d, list, n);
    free(list);
    if (fails)
        directory_give_back_late(race->w->d, directory_take_late(race->w->d));
    else
        store_late(race);
}

static void load_used(struct use_race *race, uint64_t serial)
{
    struct key_record *k = new_key("us-east-1", serial);

    directory_load(race->w->d, &k, &race->stored[serial], 1);
}

/* It was used while it went: the slot goes on without a key, and comes back with it, stored or not. */
static void test_a_slot_comes_back(void **state)
{
    struct world               *w = *state;
    struct usage_queue         *q = directory_used(w->d);
    const struct key_usage_mark mark = { .operation = TRACKED_ENCRYPT, .at = 50 };
    char                        id[KEY_ID_MAX + 1];
    const struct key_name       name = { .account = ACCOUNT, .region = REGION, .id = id_of(id, 1) };
    struct usage_slot          *slot = usage_slot_new(1);
    struct key_usage_record     use;

    directory_keep(w->d, LIMIT, 1);
    directory_mark_used(w->d, &name, &mark);
    usage_late_give(q, &name, slot);
    assert_true(usage_slot_queued(slot));
    usage_slot_detach(q, slot);
    load(w, 1); /* the store says 1 */
    assert_true(directory_last_usage(w->d, &look(w, 1)->name, &use));
    assert_int_equal(use.last.at, 50);
    assert_ptr_equal(directory_usage_slot(w->d, &name), slot);
    assert_null(usage_slot_attach(q, 1));
}

/* Whatever comes between a use and its mark, and between the mark and the store. */
static void test_no_use_is_lost(void **state)
{
    struct use_race race = { .w = *state };
    pthread_t       thread;
    size_t          round = 0;

    directory_keep(race.w->d, LIMIT, KEYS);
    assert_int_equal(pthread_create(&thread, NULL, use_on, &race), 0);
    for (; !atomic_load(&race.done); round++) {
        uint64_t serial = round % KEYS + 1;
        if (look(race.w, serial) == NULL)
            load_used(&race, serial);
        (void)directory_evict(race.w->d);
        if (round % 16 == 0)
            flush(&race, round % 64 == 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (uint64_t i = 1; i <= KEYS; i++) {
        struct key_usage_record use;
        if (look(race.w, i) == NULL)
            load_used(&race, i);
        assert_true(directory_last_usage(race.w->d, &look(race.w, i)->name, &use));
        assert_int_equal(use.last.at, race.last[i]);
    }
    flush(&race, false);
    flush(&race, false);
    assert_false(directory_has_used(race.w->d));
    for (uint64_t i = 1; i <= KEYS; i++)
        assert_int_equal(race.stored[i].last.at, race.last[i]);
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
        TEST(test_the_end_of_a_cold_key),
        TEST(test_ends_are_told),
        TEST(test_more_come_than_were_counted),
        TEST(test_relatives_go_together),
        TEST(test_readers_are_never_told_wrong),
        TEST(test_a_slot_comes_back),
        TEST(test_no_use_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
