/* tests/unit/commit/test_load.c - keys come out of a store that does not always do what it is asked for: uses that
 * cannot be stored wait and keep nobody waiting, rows that cannot be read are remembered until they can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "commit/internal.h"
#include "key/last_use.h"

#define ACCOUNT BYTES_LIT("111122223333")
#define REGION  BYTES_LIT("us-east-1")

enum { KEYS = 100, STROKES = 20, STORED_AT = 5 };

/* Keys with the serials 1 to KEYS, each used at STORED_AT or as was stored last. */
struct fake_store {
    struct store            base; /* first */
    struct store_ops        ops;
    enum kms_status         fails; /* so does every key from `fails_from` on */
    uint64_t                fails_from;
    bool                    full; /* nothing can be stored */
    struct key_usage_record uses[KEYS + 1];
};

struct world {
    struct committer  c;
    struct fake_store store;
};

static void id_of(char out[16], uint64_t serial)
{
    (void)snprintf(out, 16, "key-%llu", (unsigned long long)serial);
}

static uint64_t serial_of(const struct key_want *want)
{
    return want->kind == WANT_SERIAL ? want->serial : strtoull(want->key_id + 4, NULL, 10);
}

static enum kms_status find_key(struct store *store, const struct key_want *want,
                                struct stored_key *ret, struct kms_error *reterr)
{
    struct fake_store *s = (struct fake_store *)store;
    uint64_t           serial = serial_of(want);
    char               id[16];

    *ret = (struct stored_key){ .row = serial };
    if (s->fails != KMS_OK && serial >= s->fails_from)
        return KMS_FAIL(reterr, s->fails, "row %llu", (unsigned long long)serial);
    if (serial > KEYS)
        return KMS_OK;
    id_of(id, serial);
    ret->key = key_record_new();
    assert_non_null(ret->key);
    key_record_set_name(ret->key, ACCOUNT, REGION, bytes_str(id));
    ret->key->serial = serial;
    ret->key->version = 1;
    ret->usage = s->uses[serial];
    return KMS_OK;
}

static enum kms_status put_usage(struct store *store, struct key_usage_record *list, size_t n,
                                 struct kms_error *reterr)
{
    struct fake_store *s = (struct fake_store *)store;

    if (s->full)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no space left");
    for (size_t i = 0; i < n; i++)
        s->uses[list[i].key] = list[i];
    return KMS_OK;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->store.ops = (struct store_ops){ .find_key = find_key, .put_usage = put_usage };
    w->store.base.ops = &w->store.ops;
    for (uint64_t i = 1; i <= KEYS; i++)
        w->store.uses[i] = (struct key_usage_record){
            .key = i, .last = { .operation = TRACKED_SIGN, .at = STORED_AT }
        };
    w->c.parts.store = &w->store.base;
    w->c.parts.epoch = epoch_new();
    w->c.parts.directory = directory_new(w->c.parts.epoch, 1);
    assert_true(w->c.parts.epoch != NULL && w->c.parts.directory != NULL);
    directory_keep(w->c.parts.directory, 1, KEYS);
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

static const struct key_record *look(struct world *w, uint64_t serial)
{
    char id[16];

    id_of(id, serial);
    return directory_key(w->c.parts.directory, ACCOUNT, REGION, bytes_str(id));
}

static enum kms_status load(struct world *w, uint64_t serial)
{
    struct key_load  load = { .want = { .kind = WANT_NOTHING } };
    struct kms_error err;
    char             id[16];

    id_of(id, serial);
    assert_true(key_want_named(&load.want, ACCOUNT, REGION, bytes_str(id)));
    enum kms_status status = commit_load(&w->c, &load, &err);
    assert_true(status != KMS_OK || load.found == (serial <= KEYS));
    return status;
}

/* Makes all keys cold but one. */
static void evict(struct world *w, uint64_t but)
{
    assert_int_equal(load(w, but), KMS_OK);
    for (size_t i = 0; i < STROKES; i++) {
        (void)look(w, but);
        (void)directory_evict(w->c.parts.directory);
    }
}

static void mark(struct world *w, uint64_t serial, int64_t at)
{
    const struct key_usage_mark use = { .operation = TRACKED_ENCRYPT, .at = at };
    char                        id[16];

    id_of(id, serial);
    const struct key_name name = { .account = ACCOUNT, .region = REGION, .id = bytes_str(id) };
    directory_mark_used(w->c.parts.directory, &name, &use);
}

static int64_t used_at(struct world *w, uint64_t serial)
{
    struct key_usage_record use;

    assert_true(directory_last_usage(w->c.parts.directory, &look(w, serial)->name, &use));
    return use.last.at;
}

static size_t unreadable(struct world *w)
{
    struct commit_counts n;

    commit_counts(&w->c, &n);
    return n.unreadable;
}

/* --- last uses -------------------------------------------------------------------------------- */

/* The key has gone between the use and the mark. It comes back with it, stored or not. */
static void test_marked_while_it_is_cold(void **state)
{
    struct world    *w = *state;
    struct kms_error err;

    assert_int_equal(load(w, 1), KMS_OK);
    evict(w, 2);
    assert_null(look(w, 1));
    mark(w, 1, 70);
    mark(w, 1, 60);
    assert_true(directory_has_used(w->c.parts.directory));
    assert_int_equal(load(w, 1), KMS_OK);
    assert_int_equal(used_at(w, 1), 70);
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_OK);
    assert_int_equal(w->store.uses[1].last.at, 70);
    assert_false(directory_has_used(w->c.parts.directory));

    evict(w, 2);
    mark(w, 1, 90);
    mark(w, 3, STORED_AT - 1); /* the store has a later one */
    mark(w, KEYS + 1, 90);     /* no such key */
    mark(w, 1, 80);
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_OK);
    assert_int_equal(w->store.uses[1].last.at, 90);
    assert_int_equal(w->store.uses[3].last.at, STORED_AT);
    assert_false(directory_has_used(w->c.parts.directory));
    assert_int_equal(load(w, 1), KMS_OK);
    assert_int_equal(used_at(w, 1), 90);
}

/* More of them than one transaction takes. */
static void test_many_late_marks(void **state)
{
    struct world    *w = *state;
    struct kms_error err;

    evict(w, KEYS);
    for (uint64_t i = 1; i < KEYS; i++)
        mark(w, i, 100 + (int64_t)i);
    w->store.full = true;
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_E_INTERNAL);
    w->store.full = false;
    w->store.fails = KMS_E_MEMORY;
    w->store.fails_from = 30;
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_E_MEMORY);
    w->store.fails = KMS_OK;
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_OK);
    for (uint64_t i = 1; i < KEYS; i++)
        assert_int_equal(w->store.uses[i].last.at, 100 + (int64_t)i);
    assert_false(directory_has_used(w->c.parts.directory));
}

/* Keys are loaded all the same, with what is known of them. */
static void test_uses_cannot_be_stored(void **state)
{
    struct world    *w = *state;
    struct kms_error err;

    w->store.full = true;
    evict(w, 1);
    for (uint64_t i = 2; i <= 10; i++)
        mark(w, i, 50);
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_E_INTERNAL);
    for (uint64_t i = 2; i <= 11; i++) {
        assert_int_equal(load(w, i), KMS_OK);
        assert_int_equal(used_at(w, i), i <= 10 ? 50 : STORED_AT);
    }
    for (size_t i = 0; i < STROKES; i++)
        commit_evict(&w->c);
    for (uint64_t i = 2; i <= 10; i++) /* nobody but memory knows of these */
        assert_non_null(look(w, i));
    w->store.full = false;
    assert_int_equal(commit_flush_usage(&w->c, &err), KMS_OK);
    evict(w, 11);
    for (uint64_t i = 2; i <= 10; i++) {
        assert_null(look(w, i));
        assert_int_equal(w->store.uses[i].last.at, 50);
    }
}

/* --- what cannot be read ---------------------------------------------------------------------- */

static void test_remembered_until_it_can_be_read(void **state)
{
    struct world        *w = *state;
    struct commit_counts n;

    w->store.fails = KMS_E_INTERNAL;
    w->store.fails_from = KEYS;
    assert_int_equal(load(w, 1), KMS_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(load(w, KEYS), KMS_E_INTERNAL);
    assert_int_equal(load(w, KEYS + 1), KMS_E_INTERNAL);
    assert_int_equal(unreadable(w), 2);
    commit_counts(&w->c, &n);
    assert_int_equal(n.load_failures, 4);
    commit_read_again(&w->c);
    assert_int_equal(unreadable(w), 2);
    w->store.fails_from = KEYS + 1; /* one reads well */
    commit_read_again(&w->c);
    assert_int_equal(unreadable(w), 1);
    w->store.fails = KMS_OK; /* the other is gone */
    commit_read_again(&w->c);
    assert_int_equal(unreadable(w), 0);
    assert_int_equal(load(w, KEYS), KMS_OK);
}

static void test_very_many(void **state)
{
    struct world *w = *state;

    w->store.fails = KMS_E_INTERNAL;
    for (uint64_t i = 1; i <= KEYS; i++)
        assert_int_equal(load(w, i), KMS_E_INTERNAL);
    assert_int_equal(unreadable(w), UNREADABLE_MAX);
    w->store.fails = KMS_OK;
    commit_read_again(&w->c);
    assert_int_equal(unreadable(w), 0);
}

/* Nothing is wrong with the row. */
static void test_no_memory_is_no_damage(void **state)
{
    struct world *w = *state;

    w->store.fails = KMS_E_MEMORY;
    assert_int_equal(load(w, 1), KMS_E_MEMORY);
    assert_int_equal(unreadable(w), 0);
    w->store.fails = KMS_OK;
    assert_int_equal(load(w, 1), KMS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_marked_while_it_is_cold),
        TEST(test_many_late_marks),
        TEST(test_uses_cannot_be_stored),
        TEST(test_remembered_until_it_can_be_read),
        TEST(test_very_many),
        TEST(test_no_memory_is_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
