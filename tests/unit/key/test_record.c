/* tests/unit/key/test_record.c - records: deep copies, the material list, names, and their size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "key/record.h"
#include "fixture.h"

static struct key_record *full_record(void)
{
    struct key_record *k = fixture_key("us-east-1", 7, ORIGIN_EXTERNAL);

    k->description = arena_copy(k->arena, BYTES_LIT("a description"));
    k->policy = arena_copy(k->arena, bytes_str(fixture_policy));
    k->primary_region = arena_copy(k->arena, BYTES_LIT("eu-west-1"));
    key_record_add_region(k, BYTES_LIT("us-east-1"));
    key_record_add_region(k, BYTES_LIT("eu-west-1"));
    for (uint8_t i = 0; i < 5; i++) {
        struct key_material *m = key_record_add_material(k);
        m->id.b[0] = i;
        m->role = i == 0 ? MATERIAL_CURRENT : MATERIAL_NON_CURRENT;
        m->has_description = true;
        m->description = arena_copy(k->arena, BYTES_LIT("material"));
        m->sealed.wrapped = arena_copy(k->arena, BYTES_LIT("0123456789abcdef0123456789abcdef+tag"));
        m->sealed.slot = i;
    }
    k->n_tags = 2;
    k->tags = arena_alloc(k->arena, 2 * sizeof k->tags[0]);
    for (size_t i = 0; i < 2; i++) {
        k->tags[i].key = arena_copy(k->arena, BYTES_LIT("key"));
        k->tags[i].value = arena_copy(k->arena, BYTES_LIT("value"));
    }
    return k;
}

static void assert_full(const struct key_record *k)
{
    assert_true(bytes_eq_str(k->name.arn, "arn:aws:kms:us-east-1:111122223333:key/"
                                          "00000000-0000-4000-8000-000000000007"));
    assert_true(bytes_eq_str(k->name.account, "111122223333"));
    assert_true(bytes_eq_str(k->name.region, "us-east-1"));
    assert_true(bytes_eq_str(k->name.id, "00000000-0000-4000-8000-000000000007"));
    assert_true(bytes_eq_str(k->description, "a description"));
    assert_true(bytes_eq_str(k->policy, fixture_policy));
    assert_true(bytes_eq_str(k->primary_region, "eu-west-1"));
    assert_true(bytes_eq_str(k->regions, "eu-west-1 us-east-1"));
    assert_int_equal(k->serial, 7);
    assert_int_equal(k->n_materials, 5);
    for (uint8_t i = 0; i < 5; i++) {
        assert_int_equal(k->materials[i].id.b[0], i);
        assert_true(bytes_eq_str(k->materials[i].description, "material"));
        assert_true(
            bytes_eq_str(k->materials[i].sealed.wrapped, "0123456789abcdef0123456789abcdef+tag"));
        assert_int_equal(k->materials[i].sealed.slot, i);
    }
    assert_int_equal(k->n_tags, 2);
    assert_true(bytes_eq_str(k->tags[1].key, "key"));
    assert_true(bytes_eq_str(k->tags[1].value, "value"));
}

static void test_clone_stands_alone(void **state)
{
    struct key_record                           *k = full_record();
    CLEANUP(key_record_freep) struct key_record *copy = key_record_clone(k);

    (void)state;
    assert_full(copy);
    k->materials[0].id.b[0] = 99;
    k->n_materials = 1;
    key_record_free(k); /* a sanitizer sees any view that was left into it */
    assert_full(copy);

    CLEANUP(key_record_freep) struct key_record *again = key_record_clone(copy);
    assert_full(again);
}

static void test_clone_fits_exactly(void **state)
{
    CLEANUP(key_record_freep) struct key_record *k = full_record();
    CLEANUP(key_record_freep) struct key_record *copy = key_record_clone(k);
    size_t                                       before = arena_size(copy->arena);

    (void)state;
    /* any allocation more opens a second block, so there was no room left and none was missing */
    (void)arena_alloc(copy->arena, 1);
    assert_true(arena_size(copy->arena) > before);
    assert_true(before < arena_size(k->arena));
}

static void test_clone_of_a_name_set_by_hand(void **state)
{
    struct key_record *k = key_record_new();

    (void)state;
    k->name.account = arena_copy(k->arena, BYTES_LIT("111122223333"));
    k->name.region = arena_copy(k->arena, BYTES_LIT("us-east-1"));
    k->name.id = arena_copy(k->arena, BYTES_LIT("id"));
    k->name.arn = arena_copy(k->arena, BYTES_LIT("arn"));
    CLEANUP(key_record_freep) struct key_record *copy = key_record_clone(k);
    key_record_free(k);
    assert_true(bytes_eq_str(copy->name.account, "111122223333"));
    assert_true(bytes_eq_str(copy->name.region, "us-east-1"));
    assert_true(bytes_eq_str(copy->name.id, "id"));
    assert_true(bytes_eq_str(copy->name.arn, "arn"));
}

static void test_empty_records(void **state)
{
    CLEANUP(key_record_freep) struct key_record *k = key_record_new();
    CLEANUP(key_record_freep) struct key_record *copy = key_record_clone(k);

    (void)state;
    assert_int_equal(k->state, KEY_CREATING);
    assert_int_equal(copy->n_materials + copy->n_tags + copy->name.arn.len, 0);
    assert_null(key_record_with_role(copy, MATERIAL_CURRENT));
    key_record_free(NULL);
    import_key_record_free(NULL);
}

static void test_material_list(void **state)
{
    CLEANUP(key_record_freep) struct key_record *k = key_record_new();
    struct material_id                           id = { { 0 } };

    (void)state;
    for (uint16_t i = 0; i < KEY_MATERIALS_MAX; i++) {
        struct key_material *m = key_record_add_material(k);
        assert_int_equal(m->sealed.wrapped.len, 0);
        assert_int_equal(m->id.b[1], 0);
        m->id.b[0] = (uint8_t)i;
        m->id.b[1] = (uint8_t)(i >> 8);
    }
    /* old arrays take no more than the present one */
    assert_true(arena_size(k->arena) < 3 * KEY_MATERIALS_MAX * sizeof(struct key_material));
    id.b[0] = 3;
    assert_ptr_equal(key_record_material(k, &id), &k->materials[3]);
    key_record_remove_material(k, 3);
    assert_null(key_record_material(k, &id));
    assert_int_equal(k->n_materials, KEY_MATERIALS_MAX - 1);
    for (size_t i = 0; i < k->n_materials; i++)
        assert_int_equal(k->materials[i].id.b[0], (uint8_t)(i < 3 ? i : i + 1)); /* order is kept */
    key_record_remove_material(k, k->n_materials - 1);
    (void)key_record_add_material(k);
    assert_int_equal(k->n_materials, KEY_MATERIALS_MAX - 1);
}

static void test_array_of_a_loader_may_be_appended_to(void **state)
{
    CLEANUP(key_record_freep) struct key_record *k = key_record_new();

    (void)state;
    k->materials = arena_alloc(k->arena, 3 * sizeof k->materials[0]); /* without materials_cap */
    k->n_materials = 3;
    k->materials[2].id.b[0] = 9;
    key_record_add_material(k)->id.b[0] = 10;
    assert_int_equal(k->materials[2].id.b[0], 9);
    assert_int_equal(k->materials[3].id.b[0], 10);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < KEY_STATE_COUNT; i++)
        assert_non_null(key_state_name((enum key_state)i));
    for (int i = 0; i < MATERIAL_ROLE_COUNT; i++)
        assert_non_null(material_role_name((enum material_role)i));
    for (int i = 0; i < ERASE_REASON_COUNT; i++)
        assert_non_null(erase_reason_name((enum erase_reason)i));
    for (int i = 0; i < SPEC_COUNT; i++)
        assert_non_null(key_spec_name((enum key_spec)i));
    for (int i = 0; i < USAGE_COUNT; i++)
        assert_non_null(key_usage_name((enum key_usage)i));
    for (int i = 0; i < ORIGIN_COUNT; i++)
        assert_non_null(key_origin_name((enum key_origin)i));
    assert_null(key_spec_names[SPEC_COUNT]);
    assert_null(key_usage_names[USAGE_COUNT]);
    assert_null(key_origin_names[ORIGIN_COUNT]);
}

/* Databases hold these numbers: a change here needs a migration, not a new expectation. */
static void test_stored_numbers(void **state)
{
    (void)state;
    assert_int_equal(KEY_UPDATING, 7);
    assert_int_equal(SPEC_ECC_NIST_EDWARDS25519, 8);
    assert_int_equal(SPEC_ML_KEM_1024, 19);
    assert_int_equal(USAGE_ENCAPSULATE_DECAPSULATE, 4);
    assert_int_equal(ORIGIN_EXTERNAL_KEY_STORE, 3);
    assert_int_equal(MATERIAL_PENDING_MULTI_REGION, 3);
}

static void test_other_records(void **state)
{
    struct import_key_record *k = import_key_record_new();

    (void)state;
    assert_non_null(k);
    k->sealed.wrapped = arena_copy(k->arena, BYTES_LIT("x"));
    import_key_record_free(k);
}

/* recorded-authz-multiregion 6.4 steps 6 and 7: in the order of their names */
static void regions_are_sorted(void **state)
{
    static const char *const names[] = { "us-west-2", "ap-east-1", "us-east-1", "us-east-2" };
    CLEANUP(key_record_freep) struct key_record *k = key_record_new();
    struct bytes                                 one;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        key_record_add_region(k, bytes_str(names[i]));
    assert_true(bytes_eq_str(k->regions, "ap-east-1 us-east-1 us-east-2 us-west-2"));
    assert_true(key_regions_have(k->regions, BYTES_LIT("us-east-2")));
    assert_false(key_regions_have(k->regions, BYTES_LIT("us-east")));

    key_record_remove_region(k, BYTES_LIT("us-east-1"));
    key_record_remove_region(k, BYTES_LIT("us-west-2"));
    assert_true(bytes_eq_str(k->regions, "ap-east-1 us-east-2"));
    key_record_remove_region(k, BYTES_LIT("ap-east-1"));
    key_record_remove_region(k, BYTES_LIT("us-east-2"));
    struct bytes none = k->regions;
    assert_false(key_regions_next(&none, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_sorted),
        cmocka_unit_test(test_clone_stands_alone),
        cmocka_unit_test(test_clone_fits_exactly),
        cmocka_unit_test(test_clone_of_a_name_set_by_hand),
        cmocka_unit_test(test_empty_records),
        cmocka_unit_test(test_material_list),
        cmocka_unit_test(test_array_of_a_loader_may_be_appended_to),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_stored_numbers),
        cmocka_unit_test(test_other_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
