/* tests/unit/commit/test_publish.c - what a committed change makes visible: keys, relatives together, and
 * whoever wants to know is told of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "commit/internal.h"

#define ACCOUNT BYTES_LIT("111122223333")
#define ID      BYTES_LIT("mrk-1")

enum { TOLD_MAX = 8 };

struct world {
    struct committer         c;
    const struct key_record *told[TOLD_MAX];
    bool                     visible[TOLD_MAX]; /* was it what the directory showed then? */
    size_t                   n_told;
};

static const struct key_record *shown(struct world *w, const char *region)
{
    return directory_key(w->c.parts.directory, ACCOUNT, bytes_str(region), ID);
}

static void note(void *ctx, const struct key_record *key)
{
    struct world *w = ctx;

    assert_true(w->n_told < TOLD_MAX);
    w->visible[w->n_told] = directory_key(w->c.parts.directory, key->name.account, key->name.region,
                                          key->name.id) == key;
    w->told[w->n_told++] = key;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->c.parts.epoch = epoch_new();
    w->c.parts.directory = directory_new(w->c.parts.epoch, 1);
    w->c.parts.changed = note;
    w->c.parts.changed_ctx = w;
    assert_true(w->c.parts.epoch != NULL && w->c.parts.directory != NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    directory_free(w->c.parts.directory);
    epoch_free(w->c.parts.epoch);
    free(w);
    return 0;
}

static struct key_record *relative(const char *region, uint64_t version)
{
    struct key_record *k = key_record_new();

    assert_non_null(k);
    key_record_set_name(k, ACCOUNT, bytes_str(region), ID);
    k->multi_region = REGION_REPLICA;
    k->serial = region[0] == 'e' ? 1 : 2;
    k->version = version;
    return k;
}

static void test_a_replica_comes_and_goes(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change first = { 0 };
    CLEANUP(change_release) struct change comes = { 0 };
    CLEANUP(change_release) struct change goes = { 0 };
    struct alias_record *alias = alias_record_new(ACCOUNT, BYTES_LIT("us"), BYTES_LIT("alias/x"));

    change_add(&first, ROW_KEY_INSERT)->key = relative("eu", 1);
    commit_publish(&w->c, &first);
    assert_true(w->n_told == 1 && w->told[0] == shown(w, "eu") && w->visible[0]);
    assert_null(first.rows[0].key);

    /* its alias in the same change, whatever the order of rows */
    assert_non_null(alias);
    memcpy(alias->key_id, "mrk-1", 6);
    alias->serial = 1;
    change_add(&comes, ROW_ALIAS_INSERT)->alias = alias;
    change_add(&comes, ROW_KEY_UPDATE)->key = relative("eu", 2);
    change_add(&comes, ROW_KEY_INSERT)->key = relative("us", 1);
    commit_publish(&w->c, &comes);
    assert_int_equal(w->n_told, 3);
    assert_true(w->visible[1] && w->told[1] == shown(w, "eu") && w->told[1]->version == 2);
    assert_true(w->visible[2] && w->told[2] == shown(w, "us"));
    assert_true(comes.rows[1].key == NULL && comes.rows[2].key == NULL);
    assert_int_equal(directory_alias_count(w->c.parts.directory, ACCOUNT, BYTES_LIT("us"), ID), 1);

    change_add(&goes, ROW_KEY_DELETE)->key = relative("us", 1);
    change_add(&goes, ROW_KEY_UPDATE)->key = relative("eu", 3);
    commit_publish(&w->c, &goes);
    assert_null(shown(w, "us"));
    assert_int_equal(shown(w, "eu")->version, 3);
    assert_int_equal(w->n_told, 4);
    assert_int_equal(directory_counts(w->c.parts.directory).aliases, 0);
    directory_reclaim(w->c.parts.directory);
}

/* A change to one key alone, and to none. */
static void test_one_key(void **state)
{
    struct world                         *w = *state;
    CLEANUP(change_release) struct change put = { 0 };
    CLEANUP(change_release) struct change removed = { 0 };
    CLEANUP(change_release) struct change empty = { 0 };

    change_add(&put, ROW_KEY_INSERT)->key = relative("eu", 1);
    commit_publish(&w->c, &put);
    assert_non_null(shown(w, "eu"));
    change_add(&removed, ROW_KEY_DELETE)->key = relative("eu", 1);
    commit_publish(&w->c, &removed);
    assert_null(shown(w, "eu"));
    commit_publish(&w->c, &empty);
    assert_int_equal(w->n_told, 1);
    directory_reclaim(w->c.parts.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_replica_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_key, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
