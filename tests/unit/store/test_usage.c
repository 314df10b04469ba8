/* tests/unit/store/test_usage.c - last uses of keys: what goes in comes out again, it goes with its
 * key, it is no commit, it fails as a whole or not at all, and keys of a database that is older than
 * the table are tracked from its making. */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "version_1.h"

enum { KEYS = 5 };

static struct key_usage_record random_usage(struct fixture *f, uint64_t key)
{
    struct key_usage_record u = {
        .key = key,
        .last = { .operation = (enum tracked_operation)random_below(f, TRACKED_COUNT),
                  .at = (int64_t)random_next(f) },
        .since = (int64_t)random_next(f),
    };

    random_fill(f, u.last.event_id, sizeof u.last.event_id);
    random_fill(f, u.last.request_id, sizeof u.last.request_id);
    return u;
}

static void assert_usages_equal(const struct key_usage_record *a, const struct key_usage_record *b)
{
    assert_true(a->key == b->key);
    assert_int_equal(a->last.operation, b->last.operation);
    assert_true(a->last.at == b->last.at);
    assert_memory_equal(a->last.event_id, b->last.event_id, 16);
    assert_memory_equal(a->last.request_id, b->last.request_id, 16);
    assert_true(a->since == b->since);
}

static enum kms_status put(struct fixture *f, struct key_usage_record *list, size_t n)
{
    return f->store->ops->put_usage(f->store, list, n, &f->error);
}

static void test_round_trip(void **state)
{
    struct fixture         *f = *state;
    struct key_record      *keys[KEYS];
    struct key_usage_record list[KEYS];
    uint64_t                commit;

    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = random_key(f);
        add_key(f, keys[i]);
        list[i] = random_usage(f, i + 1);
    }
    commit = f->store->meta.commit;
    for (size_t round = 0; round < 20; round++) {
        size_t at = random_below(f, KEYS);
        if (round > 0)
            list[at] = random_usage(f, at + 1);
        assert_ok(f, put(f, round == 0 ? list : &list[at], round == 0 ? KEYS : 1));
        if (round % 5 == 0)
            fixture_reopen(f);
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.usages.n, KEYS);
        for (size_t i = 0; i < KEYS; i++) {
            const struct loaded_usage *u = l.usages.at[i];
            assert_usages_equal(&u->record, &list[i]);
            assert_true(bytes_eq_str(keys[i]->name.arn, u->arn));
        }
    }
    assert_true(f->store->meta.commit == commit); /* the audit has no event for these */
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    for (size_t i = 0; i < KEYS; i++)
        key_record_free(keys[i]);
}

static size_t count(struct fixture *f)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(f, &l);
    return l.usages.n;
}

static void test_goes_with_its_key(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *a = random_key(f);
    CLEANUP(key_record_freep) struct key_record *b = random_key(f);
    struct key_usage_record list[] = { random_usage(f, 1), random_usage(f, 3), random_usage(f, 2) };

    add_key(f, a);
    add_key(f, b);
    assert_ok(f, put(f, list, ARRAY_LEN(list))); /* the one in the middle has no key */
    assert_int_equal(count(f), 2);
    random_edit(f, a);
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, a), KMS_OK);
    assert_int_equal(count(f), 2);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, a), KMS_OK);
    assert_int_equal(count(f), 1);
    assert_ok(f, put(f, list, 1));
    assert_int_equal(count(f), 1);
}

/* A row whose key somebody took out. */
static void test_belongs_to_no_key(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    struct key_usage_record                      u = random_usage(f, 1);

    k->n_materials = k->n_tags = 0; /* nothing else that would be noticed */
    add_key(f, k);
    assert_ok(f, put(f, &u, 1));
    fixture_close(f);
    fixture_sql(f, "DELETE FROM keys");
    fixture_open(f);
    assert_contains(fixture_load_refused(f), "table key_usage, row 1: belongs to no key");
}

/* --- a full disk -------------------------------------------------------------------------------- */

static struct {
    bool armed, fired;
    long left;
} fault;

static ssize_t failing_pwrite(int fd, const void *from, size_t len, off_t at)
{
    if (!fault.armed || fault.left-- > 0)
        return pwrite(fd, from, len, at);
    fault.fired = true;
    errno = ENOSPC;
    return -1;
}

/* At every write: nothing is recorded, and when there is space again everything is. */
static void test_full_disk(void **state)
{
    struct fixture          *f = *state;
    struct key_usage_record  list[KEYS];
    sqlite3_vfs             *vfs = sqlite3_vfs_find(NULL);
    long                     at = 0;
    static const char *const calls[] = { "pwrite", "pwrite64" };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        (void)vfs->xSetSystemCall(vfs, calls[i], (sqlite3_syscall_ptr)failing_pwrite);
    for (size_t i = 0; i < KEYS; i++) {
        CLEANUP(key_record_freep) struct key_record *k = random_key(f);
        add_key(f, k);
        list[i] = random_usage(f, i + 1);
    }
    for (;; at++) {
        fault.armed = true;
        fault.fired = false;
        fault.left = at;
        enum kms_status status = put(f, list, KEYS);
        fault.armed = false;
        if (!fault.fired) {
            assert_int_equal(status, KMS_OK);
            break;
        }
        assert_int_equal(status, KMS_E_INTERNAL);
        assert_contains(f->error.detail, "no space left");
        assert_int_equal(count(f), 0);
    }
    assert_true(at > 1);
    assert_int_equal(count(f), KEYS);
    fixture_reopen(f);
    assert_int_equal(count(f), KEYS);
    (void)vfs->xSetSystemCall(vfs, NULL, NULL);
}

/* --- a database of version 1 ---------------------------------------------------------------------- */

/* Its key may have been used before: TrackingStartDate is the day on which this version first opened
 * the database, for good. A key that is made then has no row. */
static void test_version_1_is_tracked_from_now(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);

    fixture_close(f);
    assert_int_equal(remove(f->path), 0);
    fixture_write(f->path, "", 0);
    for (size_t i = 0; i < ARRAY_LEN(version_1); i++)
        fixture_sql(f, version_1[i]);
    int64_t from = clock_wall_ms();
    fixture_open(f);
    int64_t to = clock_wall_ms();
    add_key(f, k);
    for (size_t round = 0; round < 2; round++) {
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.keys.n, 2);
        assert_int_equal(l.usages.n, 1);
        const struct loaded_usage *u = l.usages.at[0];
        assert_int_equal(u->record.key, 1);
        assert_int_equal(u->record.last.operation, TRACKED_NONE);
        assert_true(u->record.since >= from && u->record.since <= to);
        assert_ok(f, f->store->ops->check(f->store, &f->error));
        fixture_reopen(f); /* the next one finds it done */
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_goes_with_its_key),
        TEST(test_belongs_to_no_key),
        TEST(test_full_disk),
        TEST(test_version_1_is_tracked_from_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
