/* tests/unit/base/test_arena.c - memory that dies together: aligned, zeroed, never overlapping. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"

static void test_pieces_do_not_overlap(void **state)
{
    struct arena *a = arena_new(100);
    uint8_t      *piece[200];

    (void)state;
    assert_non_null(a);
    for (size_t i = 0; i < 200; i++) {
        size_t size = i % 40;
        piece[i] = arena_alloc(a, size);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(piece[i][k], 0);
        memset(piece[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i % 40; k++)
            assert_int_equal(piece[i][k], (uint8_t)i);
    }
    arena_free(a);
}

static void test_first_block_suffices_for_what_it_was_measured_for(void **state)
{
    struct arena *a = arena_new(64);

    (void)state;
    (void)arena_alloc(a, 48);
    (void)arena_alloc(a, 1); /* rounded up to 16 */
    assert_int_equal(arena_size(a), 64);
    (void)arena_alloc(a, 1);
    assert_true(arena_size(a) > 64);
    arena_free(a);
}

static void test_pieces_longer_than_a_block(void **state)
{
    struct arena *a = arena_new(16);
    uint8_t      *large = arena_alloc(a, 100000);

    (void)state;
    memset(large, 0xff, 100000);
    uint8_t *small = arena_alloc(a, 8);
    assert_int_equal(small[0], 0);
    assert_true(arena_size(a) >= 100008);
    arena_free(a);
}

static void test_copies(void **state)
{
    struct arena *a = arena_new(0);
    char          text[] = "hello";
    struct bytes  copy = arena_copy(a, bytes_str(text));
    struct bytes  empty = arena_copy(a, BYTES_LIT(""));

    (void)state;
    text[0] = 'X';
    assert_true(bytes_eq_str(copy, "hello"));
    assert_int_equal(copy.ptr[5], 0); /* ends with a NUL, for libraries */
    assert_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    arena_free(a);
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_do_not_overlap),
        cmocka_unit_test(test_first_block_suffices_for_what_it_was_measured_for),
        cmocka_unit_test(test_pieces_longer_than_a_block),
        cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
