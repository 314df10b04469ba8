/* tests/unit/commit/test_buried.c - a change that drops what is sealed and buries it not is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "commit/internal.h"

enum { MATERIALS = 3 };

struct world {
    struct epoch     *epoch;
    struct directory *d;
};

/* Material i of it lies in slot 10 * serial + i; the last one is missing. */
static struct key_record *make_key(const char *region, uint64_t serial)
{
    struct key_record *k = key_record_new();

    assert_non_null(k);
    key_record_set_name(k, BYTES_LIT("111122223333"), bytes_str(region), BYTES_LIT("mrk-1"));
    k->serial = serial;
    k->version = 7;
    for (unsigned i = 0; i < MATERIALS; i++) {
        struct key_material *m = key_record_add_material(k);
        m->id.b[0] = (uint8_t)i;
        if (i < MATERIALS - 1)
            m->sealed = (struct sealed){ .wrapped = BYTES_LIT("sealed"),
                                         .slot = (uint32_t)serial * 10 + i,
                                         .slot_generation = 5,
                                         .slot_class = SLOT_ERASABLE };
    }
    return k;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    w->d = directory_new(w->epoch, 1);
    assert_true(w->epoch != NULL && w->d != NULL);
    directory_put_key(w->d, make_key("us-east-1", 1));
    directory_put_key(w->d, make_key("us-west-2", 2));
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

/* An edit of one of the two, in the change. */
static struct key_record *edit(struct change *c, const char *region, uint64_t serial)
{
    struct key_record *k = make_key(region, serial);

    k->version++;
    change_add(c, ROW_KEY_UPDATE)->key = k;
    return k;
}

static void bury(struct change *c, const struct sealed *s)
{
    static const struct material_id id = { { 0 } };

    change_bury(c, BYTES_LIT("arn"), &id, s, ERASE_API, 1);
}

static const struct sealed second = { .wrapped = { (const uint8_t *)"sealed", 6 },
                                      .slot = 11,
                                      .slot_generation = 5,
                                      .slot_class = SLOT_ERASABLE };

static void assert_unburied(struct world *w, const struct change *c, uint32_t slot)
{
    const struct key_material *m = commit_unburied(w->d, c);

    assert_non_null(m);
    assert_int_equal(m->sealed.slot, slot);
}

static void test_kept(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change c = { 0 };
    struct key_record                    *k = edit(&c, "us-east-1", 1);

    assert_null(commit_unburied(w->d, &c));
    k->materials[2].sealed = (struct sealed){ .wrapped = BYTES_LIT("new"), .slot = 90 };
    assert_null(commit_unburied(w->d, &c)); /* one was imported */
    struct key_material first = k->materials[0];
    k->materials[0] = k->materials[1]; /* in another order */
    k->materials[1] = first;
    assert_null(commit_unburied(w->d, &c));
}

static void test_dropped(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change c = { 0 };
    struct key_record                    *k = edit(&c, "us-east-1", 1);

    k->materials[1].sealed.wrapped.len = 0; /* as deletion leaves it */
    assert_unburied(w, &c, 11);
    k->materials[1].sealed = (struct sealed){ .wrapped = BYTES_LIT("new"), .slot = 90 };
    assert_unburied(w, &c, 11); /* imported again, the old form forgotten */
    key_record_remove_material(k, 1);
    assert_unburied(w, &c, 11);
    key_record_remove_material(k, 0);
    assert_unburied(w, &c, 10);
}

static void test_buried(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change c = { 0 };
    struct sealed                         other = second;

    edit(&c, "us-east-1", 1)->materials[1].sealed.wrapped.len = 0;
    other.slot_generation++;
    bury(&c, &other);
    other = second;
    other.slot_class = SLOT_DURABLE;
    bury(&c, &other);
    other = second;
    other.slot++;
    bury(&c, &other);
    assert_unburied(w, &c, 11); /* those were others */
    bury(&c, &second);
    assert_null(commit_unburied(w->d, &c));
}

/* Every row of a change that edits relatives is looked at, and deleted keys too. */
static void test_of_several_keys(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change c = { 0 };
    struct key_record                    *east = make_key("us-east-1", 1);
    struct row                           *row = change_add(&c, ROW_KEY_DELETE);

    row->key = east;
    row->expected_version = 7;
    edit(&c, "us-west-2", 2)->materials[1].sealed.wrapped.len = 0;
    assert_unburied(w, &c, 10);
    bury(&c, &east->materials[0].sealed);
    assert_unburied(w, &c, 11);
    bury(&c, &east->materials[1].sealed);
    assert_unburied(w, &c, 21);
    struct sealed west = second;
    west.slot = 21;
    bury(&c, &west);
    assert_null(commit_unburied(w->d, &c));
}

/* What the store refuses anyway is not compared with a record that it was not made from. */
static void test_other_version(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change c = { 0 };
    struct key_record                    *k = edit(&c, "us-east-1", 1);

    k->n_materials = 0;
    k->version = 7;
    assert_null(commit_unburied(w->d, &c));
    k->version = 8;
    assert_non_null(commit_unburied(w->d, &c));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kept),          TEST(test_dropped), TEST(test_buried), TEST(test_of_several_keys),
        TEST(test_other_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
