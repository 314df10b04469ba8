/* tests/unit/key/test_expiring.c - the keys that expire soonest, out of many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "fixture.h"
#include "key/expiring.h"

enum { MAX = 2000 }; /* as many as a scrape asks for */

static struct key_record *expiring(uint64_t serial, int64_t valid_to)
{
    struct key_record   *k = fixture_key("us-east-1", serial, ORIGIN_EXTERNAL);
    struct key_material *m = key_record_add_material(k);

    m->role = MATERIAL_CURRENT;
    m->present = true;
    m->expiration = valid_to != 0 ? EXPIRES : DOES_NOT_EXPIRE;
    m->valid_to = valid_to;
    return k;
}

static void note(struct expiring *e, uint64_t serial, int64_t valid_to)
{
    struct key_record *k = expiring(serial, valid_to);

    expiring_note(e, k);
    key_record_free(k);
}

static void in_order_and_none_twice(void **state)
{
    struct expiring    *e = expiring_new();
    struct expiring_key got[8];
    char                id[KEY_ID_MAX + 1];

    (void)state;
    assert_non_null(e);
    assert_int_equal(expiring_soonest(e, 0, got, 8), 0);
    note(e, 3, 3000);
    note(e, 1, 1000);
    note(e, 2, 2000);
    note(e, 9, 0); /* does not expire */
    for (int i = 0; i < 5; i++)
        note(e, 2, 2000);
    note(e, 4, 2000);
    for (int again = 0; again < 2; again++) { /* asking takes nothing away */
        assert_int_equal(expiring_soonest(e, 0, got, 8), 4);
        const uint64_t order[] = { 1, 2, 4, 3 };
        for (size_t i = 0; i < 4; i++) {
            fixture_key_id(id, order[i]);
            assert_string_equal(got[i].key_id, id);
        }
    }
    assert_int_equal(expiring_soonest(e, 0, got, 2), 2);
    assert_int_equal(expiring_soonest(e, 1000, got, 8), 3);
    assert_int_equal(got[0].valid_to, 2000);
    assert_string_equal(got[0].account, "111122223333");
    assert_string_equal(got[0].region, "us-east-1");
    assert_int_equal(expiring_soonest(e, 9000, got, 8), 0);
    expiring_free(e);
}

static void crowded_when_most_are_out_of_date(void **state)
{
    struct expiring *e = expiring_new();
    unsigned         changes = 0;

    (void)state;
    for (; !expiring_crowded(e) && changes < 100000; changes++)
        note(e, 1, 1000 + changes);
    assert_true(changes > 1000 && changes < 100000);
    expiring_clear(e);
    for (uint64_t i = 0; i < 10000; i++)
        note(e, i, 5);
    expiring_filled(e);
    assert_false(expiring_crowded(e));
    expiring_free(e);
}

/* What a scrape costs; printed, and held to a bound that only walking all of them would break. */
static void a_million_keys(void **state)
{
    struct expiring     *e = expiring_new();
    struct expiring_key *got = calloc(MAX, sizeof *got);
    struct key_record   *k = expiring(1, 1);
    char                 arn[128];

    (void)state;
    assert_true(e != NULL && got != NULL);
    for (uint64_t i = 0; i < 1000000; i++) {
        (void)snprintf(arn, sizeof arn, "%036llu", (unsigned long long)i);
        k->name.id = bytes_of(arn, KEY_ID_MAX);
        k->materials[0].valid_to = (int64_t)(i * 2654435761U % 1000003) + 1;
        expiring_note(e, k);
    }
    int64_t least = INT64_MAX;
    for (int i = 0; i < 10; i++) {
        uint64_t start = clock_monotonic_ns();
        assert_int_equal(expiring_soonest(e, 0, got, MAX), MAX);
        int64_t took = (int64_t)(clock_monotonic_ns() - start) / 1000;
        least = took < least ? took : least;
    }
    for (size_t i = 1; i < MAX; i++)
        assert_true(got[i - 1].valid_to <= got[i].valid_to);
    print_message("the soonest 2,000 of 1,000,000: %lld us\n", (long long)least);
    assert_true(least < 20000);
    key_record_free(k);
    free(got);
    expiring_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_none_twice),
        cmocka_unit_test(crowded_when_most_are_out_of_date),
        cmocka_unit_test(a_million_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
