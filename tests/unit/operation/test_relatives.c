/* Requests that change a key and its relatives while others do: what op_edit_family hands out is what
 * rights and states were judged by, or nothing. */
#include "base/cleanup.h"
#include "world.h"

static bool serves_all(const void *ctx, struct bytes region)
{
    (void)ctx;
    (void)region;
    return true;
}

static const struct key_record *record_in(struct world *w, const char *region, const char *id)
{
    return directory_key(w->directory, bytes_str(ACCOUNT), bytes_str(region), bytes_str(id));
}

/* A primary in us-east-1 and a replica in us-west-2. */
static void family_key(struct world *w, char ret_id[KEY_ID_MAX + 1])
{
    w->env.serves = serves_all;
    world_key(w, "\"MultiRegion\":true", ret_id);
    (void)world_ok(w, "ReplicateKey", "{\"KeyId\":\"%s\",\"ReplicaRegion\":\"us-west-2\"}", ret_id);
}

/* Edits, for a request that looked at these records. */
static enum kms_status edit(struct world *w, const struct key_record *key,
                            const struct key_record *key2, size_t *ret_rows)
{
    struct change  change = { .event = BUF_INIT(64) };
    struct op_call call = {
        .env = &w->env, .key = key, .key2 = key2, .now = clock_now(w->clock), .change = &change
    };
    struct key_family family;
    enum kms_status   status = op_edit_family(&call, &family, &w->err);

    *ret_rows = change.n_rows;
    change_release(&change);
    return status;
}

static void test_as_judged(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];
    size_t        rows = 0;

    family_key(w, id);
    assert_int_equal(edit(w, record_in(w, REGION, id), record_in(w, "us-west-2", id), &rows),
                     KMS_OK);
    assert_int_equal(rows, 2);
}

/* The replica that is to be the primary has been disabled, or given another policy, since it was judged. */
static void test_second_key_changes(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];
    size_t        rows = 0;

    family_key(w, id);
    CLEANUP(key_record_freep) struct key_record *judged = key_record_clone(
        record_in(w, "us-west-2", id));
    assert_non_null(judged);
    w->region = "us-west-2";
    (void)world_ok(w, "DisableKey", "{\"KeyId\":\"%s\"}", id);
    assert_int_equal(edit(w, record_in(w, REGION, id), judged, &rows), KMS_E_CHANGED);
    assert_int_equal(rows, 0);
}

/* Another Region has become the primary: it may be in any state by now, and cannot become a replica from all. */
static void test_primary_changes(void **state)
{
    struct world     *w = *state;
    char              id[KEY_ID_MAX + 1];
    struct key_family family;
    size_t            rows = 0;

    family_key(w, id);
    const struct key_record *judged = record_in(w, REGION, id);
    const struct key_record *list[] = { judged, record_in(w, "us-west-2", id) };
    assert_true(family_clone(list, 2, judged, clock_now(w->clock), &family));
    family_promote(&family, 1, clock_now(w->clock));
    directory_publish(w->directory, family.of, 2, NULL, 0);
    assert_int_equal(edit(w, judged, NULL, &rows), KMS_E_CHANGED);
    assert_int_equal(rows, 0);
}

/* Without a region-delay nobody sees Creating or Updating: a request that took its time a moment earlier than
 * the change, and then finds what that wrote, sees an Enabled key too. */
static void test_no_delay(void **state)
{
    const char   *regions[] = { REGION, "us-west-2" };
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];
    int64_t       earlier = clock_now(w->clock) - 1000;

    assert_int_equal(w->env.region_delay, 0);
    family_key(w, id);
    assert_int_equal(key_state_at(record_in(w, "us-west-2", id), earlier), KEY_ENABLED);
    (void)world_ok(w, "UpdatePrimaryRegion", "{\"KeyId\":\"%s\",\"PrimaryRegion\":\"us-west-2\"}",
                   id);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(key_state_at(record_in(w, regions[i], id), earlier), KEY_ENABLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_judged, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_second_key_changes, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_primary_changes, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_no_delay, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
