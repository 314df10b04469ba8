/* unit/throttle/test_throttle.c - buckets: what fits a second, not one more, and how they fill. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "throttle/throttle.h"

static const int64_t SECOND = 1000 * 1000 * 1000;

static const struct throttle_rates rates = { .principal = 5, .account = 8, .failures = 3 };

static unsigned taken(struct throttle *t, const char *account, const char *principal, int64_t now,
                      unsigned tries)
{
    unsigned n = 0;

    for (unsigned i = 0; i < tries; i++)
        n += throttle_request(t, bytes_str(account), bytes_str(principal), now);
    return n;
}

/* trust-model 4.7: limit, and limit + 1 */
static void test_principal_limit(void **state)
{
    struct throttle *t = throttle_new(&rates, 1);

    (void)state;
    assert_int_equal(taken(t, "111111111111", "AIDAONE", SECOND, 5), 5);
    assert_false(throttle_request(t, bytes_str("111111111111"), bytes_str("AIDAONE"), SECOND));
    assert_int_equal(throttle_counts(t).requests, 1);
    /* a fifth of a second brings one back, not two */
    assert_int_equal(taken(t, "111111111111", "AIDAONE", SECOND + SECOND / 5, 3), 1);
    /* an hour brings back a second's worth, not more */
    assert_int_equal(taken(t, "111111111111", "AIDAONE", 3600 * SECOND, 20), 5);
    throttle_free(t);
}

static void test_account_limit_holds_over_principals(void **state)
{
    struct throttle *t = throttle_new(&rates, 1);

    (void)state;
    assert_int_equal(taken(t, "111111111111", "AIDAONE", SECOND, 5), 5);
    assert_int_equal(taken(t, "111111111111", "AIDATWO", SECOND, 5), 3);
    assert_int_equal(taken(t, "222222222222", "AIDATHREE", SECOND, 5), 5);
    throttle_free(t);
}

/* its unique id is the account's */
static void test_root_user_leaves_its_account_what_is_left(void **state)
{
    struct throttle_rates more = { .principal = 5, .account = 50 };
    struct throttle      *t = throttle_new(&more, 1);

    (void)state;
    assert_int_equal(taken(t, "111111111111", "111111111111", SECOND, 9), 5);
    for (unsigned i = 0; i < 9; i++) {
        char name[] = { 'A', 'I', 'D', 'A', (char)('0' + i), '\0' };
        assert_int_equal(taken(t, "111111111111", name, SECOND, 5), 5);
    }
    assert_int_equal(taken(t, "111111111111", "AIDA9", SECOND, 5), 0);
    throttle_free(t);
}

/* more principals than there is room for, from one account */
static void test_no_room_for_more_principals(void **state)
{
    struct throttle *t = throttle_new(&rates, 1);
    char             name[32];

    (void)state;
    assert_int_equal(taken(t, "222222222222", "AIDATWO", SECOND, 1), 1);
    for (unsigned i = 0; i < 1 << 18; i++) {
        (void)snprintf(name, sizeof name, "AROA%u", i);
        (void)throttle_request(t, bytes_str("111111111111"), bytes_str(name), SECOND);
    }
    for (unsigned i = 0; i < 7; i++) { /* none of which has come before */
        (void)snprintf(name, sizeof name, "AIDAX%u", i);
        assert_int_equal(taken(t, "222222222222", name, SECOND, 1), 1);
    }
    assert_int_equal(taken(t, "222222222222", "AIDAXX", SECOND, 5),
                     0); /* eight are the account's */
    throttle_free(t);
}

static const struct bytes source_1 = { (const uint8_t[]){ 192, 0, 2, 1 }, 4 };
static const struct bytes source_2 = { (const uint8_t[]){ 192, 0, 2, 2 }, 4 };

static void test_no_rate_is_no_limit(void **state)
{
    struct throttle_rates none = { 0, 0, 0 };
    struct throttle      *t = throttle_new(&none, 1);

    (void)state;
    assert_int_equal(taken(t, "111111111111", "AIDAONE", SECOND, 100000), 100000);
    for (unsigned i = 0; i < 1000; i++)
        throttle_failure(t, source_1, SECOND);
    assert_false(throttle_source_blocked(t, source_1, SECOND));
    throttle_free(t);
}

static void test_sources(void **state)
{
    struct throttle *t = throttle_new(&rates, 1);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_false(throttle_source_blocked(t, source_1, SECOND));
        throttle_failure(t, source_1, SECOND);
    }
    assert_true(throttle_source_blocked(t, source_1, SECOND));
    assert_false(throttle_source_blocked(t, source_2, SECOND));
    assert_int_equal(throttle_counts(t).sources, 1);
    assert_false(throttle_source_blocked(t, source_1, SECOND + SECOND / 2));
    throttle_free(t);
}

enum { THREADS = 4, EACH = 20000, RATE = 1000 };

struct worker {
    struct throttle *t;
    unsigned         taken;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    char           name[32];

    for (unsigned i = 0; i < EACH; i++) {
        (void)snprintf(name, sizeof name, "AIDA%u", i % 10);
        w->taken += throttle_request(w->t, bytes_str("111111111111"), bytes_str(name), SECOND);
    }
    return NULL;
}

static void test_threads_share_the_buckets(void **state)
{
    struct throttle_rates many = { .principal = RATE };
    struct throttle      *t = throttle_new(&many, 1);
    pthread_t             threads[THREADS];
    struct worker         workers[THREADS];
    unsigned              sum = 0;

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ t, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += workers[i].taken;
    }
    assert_int_equal(sum, 10 * RATE);
    throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_principal_limit),
        cmocka_unit_test(test_account_limit_holds_over_principals),
        cmocka_unit_test(test_root_user_leaves_its_account_what_is_left),
        cmocka_unit_test(test_no_room_for_more_principals),
        cmocka_unit_test(test_no_rate_is_no_limit),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_threads_share_the_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
