/* tests/unit/key/test_warning.c - when owners are told that material is about to expire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"
#include "key/state.h"
#include "key/warning.h"

static const int64_t                DAY = INT64_C(86400) * 1000;
static const int64_t                NOW = INT64_C(1795286677000);
static const struct expiry_warnings usual = { { 7, 30, 1 }, 3 };
static const struct expiry_warnings none = { { 0 }, 0 };

/* A key with one present material that expires in so many ms. */
static struct key_record *expiring(int64_t in, uint16_t warned)
{
    struct key_record   *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    struct key_material *m = key_record_add_material(k);

    m->id = fixture_material_id('A');
    m->role = MATERIAL_CURRENT;
    m->present = true;
    m->expiration = EXPIRES;
    m->valid_to = NOW + in;
    m->warned_days = warned;
    m->sealed = fixture_sealed(k->arena, 1);
    return k;
}

/* What is due for it, and when the next is, in ms from now (-1: never). */
static void check(int64_t in, uint16_t warned, uint16_t due, int64_t next)
{
    struct key_record *k = expiring(in, warned);
    int64_t            at = key_next_warning(k, &usual);

    assert_int_equal(key_warning_due(&k->materials[0], &usual, NOW), due);
    assert_int_equal(at == INT64_MAX ? -1 : at - NOW, next);
    key_record_free(k);
}

static void each_threshold_once(void **state)
{
    (void)state;
    check(40 * DAY, 0, 0, 10 * DAY);
    check(30 * DAY + 1, 0, 0, 1);
    check(30 * DAY, 0, 30, 0);
    check(30 * DAY, 30, 0, 23 * DAY);
    check(7 * DAY, 30, 7, 0);
    check(7 * DAY, 7, 0, 6 * DAY);
    check(DAY, 7, 1, 0);
    check(DAY, 1, 0, -1);
    check(1, 1, 0, -1);
}

static void who_is_late_says_it_once(void **state)
{
    struct key_record *k = expiring(DAY / 2, 0);

    (void)state;
    assert_int_equal(key_warning_due(&k->materials[0], &usual, NOW), 1);
    assert_int_equal(key_warn(k, &usual, NOW), 1);
    assert_int_equal(k->materials[0].warned_days, 1);
    assert_int_equal(key_warn(k, &usual, NOW), 0);
    assert_int_equal(key_next_warning(k, &usual), INT64_MAX);
    key_record_free(k);
}

static void what_does_not_expire_is_not_warned_of(void **state)
{
    struct key_record   *k = expiring(DAY, 0);
    struct key_material *m = &k->materials[0];

    (void)state;
    assert_int_equal(key_warning_due(m, &none, NOW), 0);
    assert_int_equal(key_next_warning(k, &none), INT64_MAX);
    assert_int_equal(key_warning_due(m, &usual, m->valid_to), 0); /* it has expired */
    m->role = MATERIAL_PENDING_ROTATION;                          /* R38 */
    assert_int_equal(key_next_warning(k, &usual), INT64_MAX);
    m->role = MATERIAL_NON_CURRENT;
    assert_int_equal(key_warning_due(m, &usual, NOW), 1);
    m->sealed.wrapped.len = 0; /* deleted */
    assert_int_equal(key_warning_due(m, &usual, NOW), 0);
    m->sealed.wrapped.len = 1;
    m->expiration = DOES_NOT_EXPIRE;
    assert_int_equal(key_next_warning(k, &usual), INT64_MAX);
    key_record_free(k);
}

/* Who imports says when it ends, and needs no telling what was near already. */
static void an_import_counts(void **state)
{
    struct key_record    *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    struct import_request rq = { .id = fixture_material_id('A'),
                                 .expiration = EXPIRES,
                                 .valid_to = NOW + 7 * DAY };
    struct key_material  *m = NULL;
    struct kms_error      err;

    (void)state;
    k->state = KEY_PENDING_IMPORT;
    assert_int_equal(key_import(k, &rq, NOW, &m, &err), KMS_OK);
    m->sealed = fixture_sealed(k->arena, 1);
    assert_int_equal(m->warned_days, 7);
    assert_int_equal(key_warning_due(m, &usual, NOW), 0);
    assert_int_equal(key_next_warning(k, &usual), NOW + 6 * DAY);
    assert_int_equal(key_warn(k, &usual, NOW + 6 * DAY), 1);

    rq.valid_to = NOW + 100 * DAY; /* imported anew: everything is to be said again */
    assert_int_equal(key_import(k, &rq, NOW + 6 * DAY, &m, &err), KMS_OK);
    assert_int_equal(key_next_warning(k, &usual), NOW + 70 * DAY);
    key_record_free(k);
}

static void days_left_are_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(key_days_left(NOW + 1, NOW), 1);
    assert_int_equal(key_days_left(NOW + DAY, NOW), 1);
    assert_int_equal(key_days_left(NOW + DAY + 1, NOW), 2);
    assert_int_equal(key_days_left(NOW - 5 * DAY, NOW), 1);
    assert_int_equal(key_days_left(NOW + 100000 * DAY, NOW), UINT16_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_threshold_once),
        cmocka_unit_test(who_is_late_says_it_once),
        cmocka_unit_test(what_does_not_expire_is_not_warned_of),
        cmocka_unit_test(an_import_counts),
        cmocka_unit_test(days_left_are_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
