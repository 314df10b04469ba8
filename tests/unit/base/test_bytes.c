/* tests/unit/base/test_bytes.c - views: comparing, cutting, taking; what fails changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"

static void test_equality(void **state)
{
    (void)state;
    struct bytes none = { NULL, 0 };

    assert_true(bytes_eq(BYTES_LIT("ab"), BYTES_LIT("ab")));
    assert_false(bytes_eq(BYTES_LIT("ab"), BYTES_LIT("ac")));
    assert_false(bytes_eq(BYTES_LIT("ab"), BYTES_LIT("abc")));
    assert_true(bytes_eq(none, BYTES_LIT("")));
    assert_true(bytes_eq_str(BYTES_LIT("ab"), "ab"));
    assert_true(bytes_eq_str(none, ""));
    assert_true(bytes_eq(bytes_str(NULL), none));
    assert_false(bytes_eq(BYTES_LIT("a\0b"), BYTES_LIT("a\0c"))); /* NUL is a byte like any other */
}

static void test_order(void **state)
{
    static const char *const ascending[] = { "", "a", "ab", "abc", "b", "\xff" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++) {
        for (size_t k = 0; k < ARRAY_LEN(ascending); k++) {
            int want = i < k ? -1 : i > k;
            assert_int_equal(bytes_cmp(bytes_str(ascending[i]), bytes_str(ascending[k])), want);
        }
    }
}

static void test_starts(void **state)
{
    (void)state;
    assert_true(bytes_starts(BYTES_LIT("alias/x"), BYTES_LIT("alias/")));
    assert_true(bytes_starts(BYTES_LIT("alias/"), BYTES_LIT("alias/")));
    assert_false(bytes_starts(BYTES_LIT("alias"), BYTES_LIT("alias/")));
    assert_true(bytes_starts((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }));
}

static void test_cut(void **state)
{
    (void)state;
    struct bytes rest = BYTES_LIT("a::b");
    struct bytes head = BYTES_LIT("before");

    assert_true(bytes_cut(&rest, ':', &head));
    assert_true(bytes_eq_str(head, "a"));
    assert_true(bytes_cut(&rest, ':', &head));
    assert_int_equal(head.len, 0);
    assert_true(bytes_eq_str(rest, "b"));

    head = BYTES_LIT("before");
    assert_false(bytes_cut(&rest, ':', &head));
    assert_true(bytes_eq_str(rest, "b"));
    assert_true(bytes_eq_str(head, "before"));

    rest = (struct bytes){ NULL, 0 };
    assert_false(bytes_cut(&rest, ':', &head));
    rest = BYTES_LIT("a:");
    assert_true(bytes_cut(&rest, ':', &head));
    assert_int_equal(rest.len, 0);
}

static void test_take(void **state)
{
    (void)state;
    struct bytes rest = BYTES_LIT("abc");
    struct bytes head = BYTES_LIT("before");

    assert_false(bytes_take(&rest, 4, &head));
    assert_int_equal(rest.len, 3);
    assert_true(bytes_eq_str(head, "before"));
    assert_true(bytes_take(&rest, 2, &head));
    assert_true(bytes_eq_str(head, "ab"));
    assert_true(bytes_take(&rest, 1, &head));
    assert_true(bytes_take(&rest, 0, &head));
    assert_false(bytes_take(&rest, 1, &head));
}

static void test_take_numbers(void **state)
{
    static const uint8_t text[] = { 0x01, 0x02, 0x03, 0x04, 0xff, 0xfe, 0xfd, 0xfc,
                                    0x80, 0,    0,    0,    0,    0,    0,    1 };
    struct bytes         rest = bytes_of(text, sizeof text);
    uint32_t             small = 0;
    uint64_t             large = 0;

    (void)state;
    assert_true(bytes_take_u32(&rest, &small));
    assert_int_equal(small, 0x01020304);
    assert_true(bytes_take_u32(&rest, &small));
    assert_int_equal(small, 0xfffefdfc);
    assert_true(bytes_take_u64(&rest, &large));
    assert_true(large == 0x8000000000000001u);

    rest = bytes_of(text, 7); /* one too few: nothing is taken */
    large = 5;
    assert_false(bytes_take_u64(&rest, &large));
    assert_int_equal(rest.len, 7);
    assert_true(large == 5);
    rest.len = 3;
    assert_false(bytes_take_u32(&rest, &small));
    assert_int_equal(rest.len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality), cmocka_unit_test(test_order),
        cmocka_unit_test(test_starts),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_take),     cmocka_unit_test(test_take_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
