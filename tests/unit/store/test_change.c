/* tests/unit/store/test_change.c - building changes, and that nothing of them is leaked (leak
 * checker). */
#include "fixture.h"

#include "key/directory.h"

static void test_rows_start_empty(void **state)
{
    struct change c = { 0 };

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        const struct row *row = change_add(&c, (enum row_kind)(i % (ROW_TOMBSTONE_ERASED + 1)));
        assert_ptr_equal(row, &c.rows[i]);
        assert_int_equal(row->kind, i % (ROW_TOMBSTONE_ERASED + 1));
        assert_true(row->key == NULL && row->alias == NULL && row->import_key == NULL);
        assert_true(row->tombstone == NULL && row->domain == NULL && row->account == NULL);
        assert_true(row->identity == NULL && row->access_key == NULL && row->expected_version == 0);
    }
    assert_int_equal(c.n_rows, 100);
    change_release(&c);
    assert_true(c.rows == NULL && c.n_rows == 0);
    change_release(&c); /* twice is fine */
}

static void test_release_frees_what_rows_own(void **state)
{
    struct change c = { .event = BUF_INIT(10) };

    (void)state;
    change_add(&c, ROW_KEY_INSERT)->key = key_record_new();
    change_add(&c, ROW_ALIAS_INSERT)->alias = alias_record_new(BYTES_LIT("1"), BYTES_LIT("2"),
                                                               BYTES_LIT("3"));
    change_add(&c, ROW_IMPORT_KEY_INSERT)->import_key = import_key_record_new();
    change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = calloc(1, sizeof(struct tombstone));
    change_add(&c, ROW_DOMAIN_INSERT)->domain = domain_key_new(BYTES_LIT("1"), BYTES_LIT("2"), 3,
                                                               BYTES_LIT("4"));
    change_add(&c, ROW_ACCOUNT_INSERT)->account = calloc(1, sizeof(struct account_record));
    change_add(&c, ROW_ACCESS_KEY_INSERT)->access_key = access_key_record_new();
    change_add(&c, ROW_IDENTITY_INSERT)->identity = identity_record_new();
    buf_add_str(&c.event, "event");
    change_release(&c);
    assert_null(c.event.ptr);
}

static void test_records_copy_their_strings(void **state)
{
    char                      text[] = "account region wrapped";
    struct domain_key_record *d = domain_key_new(bytes_of(text, 7), bytes_of(text + 8, 6), 12,
                                                 bytes_of(text + 15, 7));
    struct domain_key_record *none = domain_key_new(bytes_of(NULL, 0), bytes_of(NULL, 0), 1,
                                                    bytes_of(NULL, 0));

    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(bytes_eq_str(d->account, "account") && bytes_eq_str(d->region, "region"));
    assert_true(bytes_eq_str(d->wrapped, "wrapped") && d->version == 12);
    assert_true(none->account.len == 0 && none->wrapped.len == 0);
    free(d);
    free(none);
}

static void test_bury(void **state)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct material_id                    id = { .b = { 1, 2, 3 } };
    struct sealed                         s = {
                                .wrapped = BYTES_LIT("w"), .slot = 4, .slot_generation = 5, .slot_class = SLOT_DURABLE
    };
    char arn[KEY_ARN_MAX + 10];

    (void)state;
    memset(arn, 'a', sizeof arn);
    change_bury(&c, BYTES_LIT("arn"), &id, &s, ERASE_EXPIRY, 6);
    change_bury(&c, bytes_of(arn, sizeof arn), NULL, &s, ERASE_IMPORT_KEY, 7);
    s.wrapped.len = 0; /* there is nothing to bury */
    change_bury(&c, BYTES_LIT("arn"), &id, &s, ERASE_API, 8);
    assert_int_equal(c.n_rows, 2);
    const struct tombstone *t = c.rows[0].tombstone;
    assert_int_equal(c.rows[0].kind, ROW_TOMBSTONE_INSERT);
    assert_string_equal(t->key_arn, "arn");
    assert_memory_equal(t->material.b, id.b, sizeof id.b);
    assert_true(t->slot == 4 && t->slot_generation == 5 && t->slot_class == SLOT_DURABLE);
    assert_true(t->at == 6 && t->reason == ERASE_EXPIRY && !t->erased && t->serial == 0);
    t = c.rows[1].tombstone;
    assert_int_equal(strlen(t->key_arn), KEY_ARN_MAX);
    assert_true(t->material.b[0] == 0 && t->at == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_start_empty),
        cmocka_unit_test(test_release_frees_what_rows_own),
        cmocka_unit_test(test_records_copy_their_strings),
        cmocka_unit_test(test_bury),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
