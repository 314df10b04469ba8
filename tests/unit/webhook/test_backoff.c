/* tests/unit/webhook/test_backoff.c - how long the webhook waits, for what, and which answers mean what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "webhook/internal.h"

static void waits_grow_and_end(void **state)
{
    static const int64_t longest[] = { 1000,  2000,   4000,   8000,   16000, 32000,
                                       64000, 128000, 256000, 300000, 300000 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(longest); i++) {
        assert_int_equal(retry_after_ms(i + 1, 0), longest[i]);
        for (uint64_t chance = 1; chance < 1000000007; chance = chance * 7 + 3) {
            int64_t wait = retry_after_ms(i + 1, chance);
            assert_true(wait >= longest[i] / 2 && wait <= longest[i]);
        }
    }
    assert_int_equal(retry_after_ms(UINT32_MAX, 0), 300000);
    assert_int_equal(retry_after_ms(10, 150000), 150000); /* chance takes half of it at most */
    assert_int_equal(retry_after_ms(10, 150001), 300000);
}

static struct delivery event(char arn[40], unsigned key, int64_t at)
{
    (void)snprintf(arn, 40, "arn:aws:kms:eu-west-1:1:key/%u", key);
    return (struct delivery){ .serial = key, .at = at, .key_arn = bytes_str(arn) };
}

static void keys_wait_alone(void **state)
{
    struct holds   *h = calloc(1, sizeof *h);
    char            a[40];
    char            b[40];
    struct delivery first = event(a, 1, 77);
    struct delivery second = event(b, 2, 78);

    (void)state;
    assert_non_null(h);
    assert_int_equal(holds_next(h), INT64_MAX);
    assert_null(hold_of(h, first.key_arn));
    assert_int_equal(hold_key(h, &first, 100, 0)->next_try, 1100);
    assert_int_equal(hold_key(h, &second, 500, 0)->next_try, 1500);
    assert_int_equal(hold_key(h, &first, 1100, 0)->next_try, 3100);
    assert_int_equal(h->n, 2);
    assert_int_equal(holds_next(h), 1500);
    assert_int_equal(hold_of(h, first.key_arn)->at, 77);
    holds_hurry(h, 1200);
    assert_int_equal(holds_next(h), 1200);
    assert_int_equal(hold_key(h, &first, 1200, 0)->failures, 3); /* that is not forgotten */
    hold_end(h, first.key_arn);
    hold_end(h, first.key_arn);
    assert_true(h->n == 1 && hold_of(h, first.key_arn) == NULL);
    assert_int_equal(hold_of(h, second.key_arn)->at, 78);
    free(h);
}

static void there_is_an_end_to_them(void **state)
{
    struct holds *h = calloc(1, sizeof *h);
    char          arn[40];

    (void)state;
    assert_non_null(h);
    for (unsigned i = 0; i < HOLDS_MAX; i++) {
        struct delivery d = event(arn, i, 1);
        assert_non_null(hold_key(h, &d, 0, 0));
    }
    struct delivery more = event(arn, HOLDS_MAX, 1);
    assert_null(hold_key(h, &more, 0, 0));
    struct delivery known = event(arn, 3, 1);
    assert_non_null(hold_key(h, &known, 0, 0));

    holds_unsee(h);
    hold_of(h, known.key_arn)->seen = true;
    holds_drop_unseen(h);
    assert_true(h->n == 1 && hold_of(h, known.key_arn) != NULL);
    free(h);
}

static void what_answers_mean(void **state)
{
    static const long taken[] = { 200, 201, 202, 204, 299 };
    static const long refused[] = { 400, 402, 406, 409, 411, 413, 415, 422, 451, 499 };
    static const long down[] = { 0,   100, 301, 302, 304, 307, 401, 403, 404, 405, 407,
                                 408, 410, 421, 425, 429, 500, 502, 503, 504, 999 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        assert_int_equal(verdict_of(taken[i]), VERDICT_TAKEN);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(verdict_of(refused[i]), VERDICT_REFUSED);
    for (size_t i = 0; i < ARRAY_LEN(down); i++)
        assert_int_equal(verdict_of(down[i]), VERDICT_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_and_end),
        cmocka_unit_test(keys_wait_alone),
        cmocka_unit_test(there_is_an_end_to_them),
        cmocka_unit_test(what_answers_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
