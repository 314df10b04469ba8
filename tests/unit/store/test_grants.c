/* tests/unit/store/test_grants.c - grants in the database: every field back, the bytes under their
 * MAC, no two alike under one name, gone with their key. */
#include "fixture.h"

enum { GRANTS = 80 };

static enum kms_status put_grant(struct fixture *f, struct grant_record *g)
{
    CLEANUP(change_release) struct change c = { 0 };

    change_add(&c, ROW_GRANT_INSERT)->grant = g;
    enum kms_status status = fixture_apply(f, &c);
    c.rows[0].grant = NULL; /* stays the caller's */
    return status;
}

static enum kms_status delete_grant(struct fixture *f, const struct grant_record *g)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, ROW_GRANT_DELETE);

    (void)snprintf(row->grant_id, sizeof row->grant_id, "%.*s", BYTES_FMT(g->id));
    return fixture_apply(f, &c);
}

static void test_round_trip(void **state)
{
    struct fixture      *f = *state;
    struct key_record   *keys[2] = { random_key(f), random_key(f) };
    struct grant_record *grants[GRANTS];

    add_key(f, keys[0]);
    add_key(f, keys[1]);
    for (size_t i = 0; i < GRANTS; i++) {
        grants[i] = random_grant(f, keys[i % 2]);
        assert_int_equal(put_grant(f, grants[i]), KMS_OK);
        assert_true(grants[i]->serial == i + 1);
    }
    for (size_t run = 0; run < 2; run++) {
        CLEANUP(loaded_release) struct loaded l;
        loaded_from(f, &l);
        assert_int_equal(l.grants.n, GRANTS);
        for (size_t i = 0; i < GRANTS; i++) /* in order of creation */
            assert_grants_equal(l.grants.at[i], grants[i]);
        fixture_reopen(f);
    }
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    for (size_t i = 0; i < GRANTS; i++)
        grant_record_free(grants[i]);
    key_record_free(keys[0]);
    key_record_free(keys[1]);
}

static size_t count(struct fixture *f)
{
    CLEANUP(loaded_release) struct loaded l;

    loaded_from(f, &l);
    return l.grants.n;
}

static void test_deleting(void **state)
{
    struct fixture                                  *f = *state;
    CLEANUP(key_record_freep) struct key_record     *k = random_key(f);
    CLEANUP(key_record_freep) struct key_record     *other = random_key(f);
    CLEANUP(grant_record_freep) struct grant_record *g = random_grant(f, k);
    CLEANUP(grant_record_freep) struct grant_record *of_other = random_grant(f, other);

    assert_int_equal(put_grant(f, g), KMS_E_CHANGED); /* there is no such key */
    assert_true(g->serial == 0);
    add_key(f, k);
    add_key(f, other);
    assert_int_equal(put_grant(f, g), KMS_OK);
    assert_int_equal(put_grant(f, of_other), KMS_OK);
    assert_int_equal(delete_grant(f, g), KMS_OK);
    assert_int_equal(delete_grant(f, g), KMS_E_CHANGED); /* who comes second */
    assert_int_equal(count(f), 1);
    assert_int_equal(put_grant(f, g), KMS_OK);
    assert_true(g->serial == 3); /* serials are never given out twice */

    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, ROW_KEY_DELETE);
    row->key = key_record_clone(k);
    row->expected_version = k->version;
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.grants.n, 1);
    assert_grants_equal(l.grants.at[0], of_other);
    fixture_reopen(f);
    assert_int_equal(put_grant(f, g), KMS_E_CHANGED);
}

/* A grant without a name may be made twice, one with a name only if something differs. */
static void test_no_two_alike(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    struct grant_record                         *g = random_grant(f, k);
    struct grant_pair                            pair = { BYTES_LIT("k"), BYTES_LIT("v") };

    add_key(f, k);
    g->name = (struct bytes){ NULL, 0 };
    assert_int_equal(put_grant(f, g), KMS_OK);
    g->id = BYTES_LIT("2");
    assert_int_equal(put_grant(f, g), KMS_OK);
    g->name = BYTES_LIT("name");
    g->id = BYTES_LIT("3");
    assert_int_equal(put_grant(f, g), KMS_OK);

    g->id = BYTES_LIT("4");
    g->created++;
    assert_int_equal(put_grant(f, g), KMS_E_CHANGED);
    struct grant_record other[10];
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        other[i] = *g;
    other[0].name = BYTES_LIT("another");
    other[1].grantee = BYTES_LIT("another");
    other[2].grantee_is_service = !g->grantee_is_service;
    other[3].retiring = BYTES_LIT("another");
    other[4].retiring_is_service = !g->retiring_is_service;
    other[5].issuing_account = BYTES_LIT("000000000000");
    other[6].operations = ~g->operations;
    other[7].constraint = g->constraint == GRANT_CONTEXT_EQUALS ? GRANT_CONTEXT_SUBSET
                                                                : GRANT_CONTEXT_EQUALS;
    other[8].pairs = &pair;
    other[8].n_pairs = 1;
    other[9].source_arn = BYTES_LIT("another");
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "other%zu", i);
        other[i].id = bytes_str(id);
        assert_int_equal(put_grant(f, &other[i]), KMS_OK);
        assert_int_equal(put_grant(f, &other[i]), KMS_E_CHANGED);
    }
    g->id = BYTES_LIT("2"); /* an id there is already */
    g->name = (struct bytes){ NULL, 0 };
    assert_int_equal(put_grant(f, g), KMS_E_CHANGED);
    grant_record_free(g);
}

/* --- the bytes under the MAC (docs/storage-database.md) ---------------------------------------- */

static void record_mac(void *ctx, struct bytes row, uint8_t ret[32])
{
    buf_add_field(ctx, row);
    memset(ret, 0, 32);
}

static void field(struct buf *out, const char *text)
{
    buf_add_field(out, bytes_str(text));
}

static void want_grant(struct buf *out)
{
    field(out, "grants");
    buf_add_u64(out, 1); /* format */
    buf_add_u64(out, 1); /* serial */
    field(out, "111122223333");
    field(out, "eu-west-3");
    field(out, "the-key-id");
    field(out, "the-grant-id");
    field(out, "name");
    buf_add_u64(out, 1000);
    field(out, "AROAEXAMPLE:session");
    buf_add_u64(out, 0);
    field(out, "sqs.amazonaws.com");
    buf_add_u64(out, 1);
    field(out, "444455556666");
    buf_add_u64(out, 1u << 9 | 1); /* CreateGrant, Decrypt */
    buf_add_u64(out, 2);           /* EncryptionContextSubset */
    buf_add_field(out, BYTES_LIT("\0\0\0\1k\0\0\0\2vw"));
    field(out, "arn:source");
}

static struct grant_record *known_grant(void)
{
    struct grant_record *g = grant_record_new();

    assert_non_null(g);
    grant_record_set_key(g, BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                         BYTES_LIT("the-key-id"));
    g->id = BYTES_LIT("the-grant-id");
    g->name = BYTES_LIT("name");
    g->created = 1000;
    g->grantee = BYTES_LIT("AROAEXAMPLE:session");
    g->retiring = BYTES_LIT("sqs.amazonaws.com");
    g->retiring_is_service = true;
    g->issuing_account = BYTES_LIT("444455556666");
    g->operations = 1u << GRANT_CREATE_GRANT | 1u << GRANT_DECRYPT;
    g->constraint = GRANT_CONTEXT_SUBSET;
    g->pairs = arena_alloc(g->arena, sizeof *g->pairs);
    g->pairs[0] = (struct grant_pair){ BYTES_LIT("k"), BYTES_LIT("vw") };
    g->n_pairs = 1;
    g->source_arn = BYTES_LIT("arn:source");
    return g;
}

static void test_mac_input(void **state)
{
    struct fixture                                  *f = *state;
    CLEANUP(buf_release) struct buf                  recorded = BUF_INIT(1 << 20);
    CLEANUP(buf_release) struct buf                  want = BUF_INIT(1 << 16);
    CLEANUP(grant_record_freep) struct grant_record *g = known_grant();
    CLEANUP(key_record_freep) struct key_record     *k = random_key(f);
    struct bytes                                     got;
    uint32_t                                         len = 0;

    key_record_set_name(k, g->key.account, g->key.region, g->key.id);
    fixture_close(f);
    assert_ok(f, store_sqlite_open(f->path, fixture_instance, record_mac, &recorded, &f->store,
                                   &f->error));
    add_key(f, k);
    buf_reset(&recorded);
    assert_int_equal(put_grant(f, g), KMS_OK);
    struct bytes all = buf_bytes(&recorded);
    assert_true(bytes_take_u32(&all, &len) && bytes_take(&all, len, &got));
    want_grant(&want);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, want.len);
}

/* What our own code would not write, with a MAC that is good: a key that has been stolen is not a
 * reason to read past the end of something. */
static void test_pairs_of_another_form(void **state)
{
    struct fixture                                  *f = *state;
    CLEANUP(key_record_freep) struct key_record     *k = random_key(f);
    CLEANUP(grant_record_freep) struct grant_record *g = random_grant(f, k);

    add_key(f, k);
    assert_int_equal(put_grant(f, g), KMS_OK);
    fixture_close(f);
    fixture_sql(f, "UPDATE grants SET pairs = X'00000001'");
    fixture_open(f);
    assert_contains(fixture_load_refused(f), "table grants");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_deleting, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_two_alike, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_mac_input, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_pairs_of_another_form, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
