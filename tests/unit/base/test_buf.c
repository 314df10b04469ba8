/* tests/unit/base/test_buf.c - growing buffers: all or nothing, the limit, and nothing left
 * behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"

static void assert_content(const struct buf *b, const char *want)
{
    assert_true(buf_ok(b));
    assert_int_equal(b->len, strlen(want));
    assert_memory_equal(b->ptr, want, b->len);
}

static void test_appending(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);

    (void)state;
    buf_add(&b, BYTES_LIT("ab"));
    buf_add(&b, (struct bytes){ NULL, 0 });
    buf_add_str(&b, "cd");
    buf_add_byte(&b, 'e');
    buf_add_decimal(&b, 0);
    buf_add_decimal(&b, UINT64_MAX);
    buf_addf(&b, "[%s %d]", "x", -7);
    assert_content(&b, "abcde018446744073709551615[x -7]");
}

static void test_numbers(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    static const uint8_t            want[] = { 1,  2, 3, 4, 5, 6,   7,   8, 9, 10, 11,
                                               12, 0, 0, 0, 2, 'h', 'i', 0, 0, 0,  0 };

    (void)state;
    buf_add_u32(&b, 0x01020304);
    buf_add_u64(&b, 0x05060708090a0b0c);
    buf_add_field(&b, BYTES_LIT("hi"));
    buf_add_field(&b, (struct bytes){ NULL, 0 });
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.ptr, want, sizeof want);
}

static void test_limit_is_all_or_nothing(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(10);

    (void)state;
    buf_add_str(&b, "12345678");
    buf_add_str(&b, "abc");
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 8);
    buf_add_byte(&b, 'x'); /* would fit, but the buffer is marked */
    assert_int_equal(b.len, 8);
    assert_false(buf_ok(&b));

    buf_reset(&b);
    assert_true(buf_ok(&b));
    buf_add_str(&b, "1234567890"); /* exactly the limit */
    assert_content(&b, "1234567890");

    buf_reset(&b);
    buf_add_str(&b, "1234");
    buf_add_u64(&b, 1);
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 4);
    buf_reset(&b);
    buf_add_str(&b, "1234567");
    buf_add_field(&b, BYTES_LIT("")); /* no half of a field either */
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 7);
}

static void test_huge_requests(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);

    (void)state;
    buf_add_str(&b, "x");
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_ok(&b));
    buf_reset(&b);
    assert_true(buf_reserve(&b, 100));
    assert_false(buf_reserve(&b, 101));
}

static void test_growing_keeps_the_content(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100000);

    (void)state;
    for (unsigned i = 0; i < 50000; i++)
        buf_add_byte(&b, (uint8_t)(i * 7));
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 50000);
    for (unsigned i = 0; i < 50000; i++)
        assert_int_equal(b.ptr[i], (uint8_t)(i * 7));
    assert_true(b.cap <= 100000);
}

static void test_cutting(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);

    (void)state;
    buf_add_str(&b, "abcdef");
    buf_truncate(&b, 4);
    assert_content(&b, "abcd");
    buf_consume(&b, 0);
    buf_consume(&b, 3);
    assert_content(&b, "d");
    buf_consume(&b, 1);
    assert_int_equal(b.len, 0);
}

static void test_wiping(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(100);
    uint8_t                         zero[6] = { 0 };

    (void)state;
    buf_add_str(&b, "secret");
    buf_wipe(&b);
    assert_int_equal(b.len, 0);
    assert_memory_equal(b.ptr, zero, sizeof zero);
}

static void test_released_can_be_used_again(void **state)
{
    struct buf b = BUF_INIT(100);

    (void)state;
    buf_release(&b);
    buf_add_str(&b, "abc");
    buf_release(&b);
    assert_null(b.ptr);
    assert_int_equal(b.limit, 100);
    buf_add_str(&b, "def");
    assert_content(&b, "def");
    buf_release(&b);
}

/* The formatter writes a NUL behind the text, so it needs room for one byte more. */
static void test_format_up_to_the_limit(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(11);

    (void)state;
    buf_addf(&b, "%s", "1234567890");
    assert_content(&b, "1234567890");
    buf_addf(&b, "%s", "12");
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_limit_is_all_or_nothing),
        cmocka_unit_test(test_huge_requests),
        cmocka_unit_test(test_growing_keeps_the_content),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_wiping),
        cmocka_unit_test(test_released_can_be_used_again),
        cmocka_unit_test(test_format_up_to_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
