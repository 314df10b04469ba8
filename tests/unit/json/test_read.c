/* Strict JSON reading: what is JSON, what is not, and that every value comes out as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "json/read.h"

enum { TEXT_MAX = 1024 * 1024 };

struct fixture {
    struct json_doc *doc;
    uint8_t         *text; /* of the last parse: exactly as long as the text and its padding */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->doc = json_doc_new();
    assert_non_null(f->doc);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    json_doc_freep(&f->doc);
    assert_null(f->doc);
    free(f->text);
    free(f);
    return 0;
}

static enum kms_status parse(struct fixture *f, const void *text, size_t len, struct json *ret)
{
    struct kms_error err = { 0 };

    free(f->text);
    f->text = malloc(len + JSON_PADDING);
    assert_non_null(f->text);
    memcpy(f->text, text, len);
    memcpy(f->text + len, "next", JSON_PADDING);
    enum kms_status status = json_parse(f->doc, f->text, len, ret, &err);
    assert_memory_equal(f->text + len, "next", JSON_PADDING);
    if (status != KMS_OK) {
        assert_int_equal(err.status, status);
        assert_int_equal(err.message_len, 0);
    }
    return status;
}

static struct json must(struct fixture *f, const char *text)
{
    struct json root = { 0 };

    if (parse(f, text, strlen(text), &root) != KMS_OK)
        fail_msg("not read: %s", text);
    return root;
}

static void strict_json_is_read(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "0",
        "-1",
        "true",
        "null",
        "\"\"",
        " { } ",
        "\t[\r\n]\n",
        "1.5e3",
        "[[],{}]",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "{\"a\":1,\"A\":2}",
        "\"\\u00e9\\ud83d\\ude00\"",
        "[1,[2,[3]]]",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        (void)must(*state, texts[i]);
}

static void anything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{1:1}",
        "[1 2]",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "0x10",
        "-",
        "--1",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e999",
        "tru",
        "TRUE",
        "nul",
        "// c\n1",
        "/* c */ 1",
        "[1] 2",
        "{} {}",
        "{}x",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\t\"",
        "\"\n\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xc3\"",
        "\xef\xbb\xbf{}",
        "undefined",
        "\"a\\u0000b\"",
        "{\"\\u0000\":1}",
        "[\"\\u0000\"]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":[],\"\\u0061\":2}",
        "[{\"x\":{\"y\":1,\"y\":1}}]",
        "{\"\":1,\"\":2}",
    };
    struct json root = { 0 };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (parse(*state, texts[i], strlen(texts[i]), &root) != KMS_E_SERIALIZATION)
            fail_msg("read although not strict: %s", texts[i]);
        assert_null(root.node);
    }
    assert_int_equal(parse(*state, "{\"a\0\":1}", 8, &root), KMS_E_SERIALIZATION);
    assert_int_equal(parse(*state, "1\0", 2, &root), KMS_E_SERIALIZATION);
}

/* {"k0":0,...,"kN":0}, and if `twice` then one name again at the end. */
static size_t big_object(char *out, size_t n, bool twice)
{
    size_t at = 0;

    out[at++] = '{';
    for (size_t i = 0; i < n; i++)
        at += (size_t)sprintf(out + at, "%s\"k%zu\":[0]", i == 0 ? "" : ",", i);
    if (twice)
        at += (size_t)sprintf(out + at, ",\"k%zu\":0", n / 2);
    out[at++] = '}';
    return at;
}

static void duplicates_are_found_in_objects_of_any_size(void **state)
{
    char       *text = malloc(TEXT_MAX);
    struct json root = { 0 };

    assert_non_null(text);
    for (size_t n = 1; n < 20; n++) {
        assert_int_equal(parse(*state, text, big_object(text, n, false), &root), KMS_OK);
        assert_int_equal(json_count(root), n);
        assert_int_equal(parse(*state, text, big_object(text, n, true), &root),
                         KMS_E_SERIALIZATION);
    }
    assert_int_equal(parse(*state, text, big_object(text, 20000, false), &root), KMS_OK);
    assert_int_equal(json_count(root), 20000);
    assert_int_equal(parse(*state, text, big_object(text, 20000, true), &root),
                     KMS_E_SERIALIZATION);
    free(text);
}

static void depth_has_a_limit(void **state)
{
    char        text[4 * LIMIT_JSON_DEPTH];
    struct json root = { 0 };

    for (size_t depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(parse(*state, text, 2 * depth, &root),
                         depth <= LIMIT_JSON_DEPTH ? KMS_OK : KMS_E_SERIALIZATION);
    }
    /* containers side by side are not depth */
    (void)must(*state, "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[[[]]]]");
}

static void number_of_values_has_a_limit(void **state)
{
    char       *text = malloc(TEXT_MAX);
    struct json root = { 0 };

    assert_non_null(text);
    for (size_t n = LIMIT_JSON_VALUES - 1; n <= LIMIT_JSON_VALUES + 1; n++) {
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) { /* with the array itself: n values */
            text[at++] = i == 0 ? '[' : ',';
            text[at++] = '7';
        }
        text[at++] = ']';
        assert_int_equal(parse(*state, text, at, &root),
                         n <= LIMIT_JSON_VALUES ? KMS_OK : KMS_E_SERIALIZATION);
    }
    free(text);
}

static void members_come_out_as_they_were(void **state)
{
    struct json root = must(*state,
                            "{\"s\":\"\\u00e9\\n\",\"i\":-42,\"r\":1.5,\"t\":true,\"f\":false,"
                            "\"n\":null,\"a\":[1,\"x\"],\"o\":{\"k\":\"v\"},\"e\":\"\"}");
    int64_t     i = 0;

    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 9);
    assert_true(bytes_eq_str(json_string(json_member(root, "s")), "\xc3\xa9\n"));
    assert_true(json_int(json_member(root, "i"), &i));
    assert_int_equal(i, -42);
    assert_int_equal(json_type(json_member(root, "r")), JSON_REAL);
    assert_true(json_number(json_member(root, "r")) > 1.49 &&
                json_number(json_member(root, "r")) < 1.51);
    assert_true(json_number(json_member(root, "i")) < -41.9);
    assert_true(json_bool(json_member(root, "t")));
    assert_false(json_bool(json_member(root, "f")));
    assert_int_equal(json_type(json_member(root, "f")), JSON_BOOL);
    assert_int_equal(json_type(json_member(root, "n")), JSON_NULL);
    assert_non_null(json_member(root, "n").node);
    assert_int_equal(json_count(json_member(root, "a")), 2);
    assert_true(bytes_eq_str(json_string(json_member(json_member(root, "o"), "k")), "v"));
    assert_int_equal(json_type(json_member(root, "e")), JSON_STRING);
    assert_int_equal(json_string(json_member(root, "e")).len, 0);
    assert_null(json_member(root, "S").node);
    assert_null(json_member(root, "missing").node);
    assert_null(json_member(json_member(root, "a"), "s").node);
}

/* The names that begin alike, those that are the beginning of another, and the empty one. */
static void members_are_found_by_all_of_their_name(void **state)
{
    static const char *const names[] = { "", "a", "ab", "abc", "b", "ba", "\xc3\xa9" };
    struct json              root = must(*state, "{\"abc\":3,\"ab\":2,\"\\u00e9\":6,\"a\":1,\"\":0,"
                                                              "\"b\":4,\"ba\":{\"c\":0}}");
    int64_t                  i = 0;

    for (int64_t k = 0; k < 7; k++) {
        struct json v = json_member(root, names[k]);
        if (k == 5) {
            assert_int_equal(json_count(v), 1);
            assert_null(json_member(v, "").node);
            continue;
        }
        assert_true(json_int(v, &i));
        assert_true(i == k);
    }
    assert_null(json_member(root, "abcd").node);
    assert_null(json_member(root, "c").node); /* of a member's value */
    assert_null(json_member(must(*state, "{}"), "").node);
}

/* Asking a value for what it is not is answered with nothing, never with a crash. */
static void wrong_types_give_nothing(void **state)
{
    struct json      root = must(*state, "[\"12\",12,true,null,{}]");
    struct json      none = { NULL };
    struct json      v;
    struct bytes     name;
    int64_t          i = 7;
    struct json_iter it = json_iterate(root);

    assert_true(json_next(&it, &name, &v));
    assert_null(name.ptr);
    assert_false(json_int(v, &i));
    assert_false(json_bool(v));
    assert_int_equal(json_count(v), 0);
    assert_true(json_next(&it, NULL, &v));
    assert_null(json_string(v).ptr);
    assert_true(json_next(&it, &name, &v) && json_next(&it, &name, &v) &&
                json_next(&it, &name, &v));
    assert_false(json_next(&it, &name, &v));
    assert_int_equal(json_type(none), JSON_NULL);
    assert_int_equal(json_count(none), 0);
    assert_null(json_string(none).ptr);
    assert_null(json_member(none, "x").node);
    assert_false(json_int(none, &i));
    assert_int_equal(i, 7);
    it = json_iterate(none);
    assert_false(json_next(&it, &name, &v));
}

static void objects_iterate_in_order(void **state)
{
    struct json      root = must(*state, "{\"b\":[1,2,[3]],\"a\":{\"x\":{}},\"c\":0}");
    struct json_iter it = json_iterate(root);
    struct bytes     name;
    struct json      v;
    char             seen[4] = { 0 };
    size_t           n = 0;

    while (json_next(&it, &name, &v) && n < 3)
        seen[n++] = (char)name.ptr[0];
    assert_string_equal(seen, "bac");
    assert_int_equal(json_type(v), JSON_INT);
}

static void integers_are_exact_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool        fits;
        int64_t     want;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "18446744073709551615", false, 0 },
        { "18446744073709551616", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999999999", false, 0 },
        { "1.0", false, 0 },
        { "1e3", false, 0 },
        { "\"1\"", false, 0 },
        { "true", false, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t got = 5;
        bool    fits = json_int(must(*state, cases[i].text), &got);
        if (fits != cases[i].fits || got != (fits ? cases[i].want : 5))
            fail_msg("%s: %s %lld", cases[i].text, fits ? "fits" : "does not fit", (long long)got);
    }
    assert_int_equal(json_type(must(*state, "18446744073709551615")), JSON_INT);
    assert_int_equal(json_type(must(*state, "18446744073709551616")), JSON_REAL);
}

/* Every truncation and every single bit flip of a text: never a crash, and what is still read has the
 * same shape as before only if the text is still JSON. Run with the address sanitizer in mind. */
static void damaged_texts_do_no_harm(void **state)
{
    static const char text[] =
        "{\"KeyId\":\"alias/x\",\"Tags\":[{\"TagKey\":\"\\u00e9\",\"V\":-1.5e3}],"
        "\"DryRun\":true}";
    size_t      len = sizeof text - 1;
    char        copy[sizeof text];
    struct json root;

    for (size_t n = 0; n < len; n++)
        assert_int_equal(parse(*state, text, n, &root), KMS_E_SERIALIZATION);
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(copy, text, sizeof text);
        copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
        enum kms_status status = parse(*state, copy, len, &root);
        assert_true(status == KMS_OK || status == KMS_E_SERIALIZATION);
    }
}

/* The memory of a large text is not kept, and the doc works as before afterwards. */
static void a_doc_is_reused(void **state)
{
    char       *text = malloc(TEXT_MAX);
    struct json root = { 0 };

    assert_non_null(text);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(parse(*state, text, big_object(text, 5000, false), &root), KMS_OK);
        assert_int_equal(parse(*state, "{\"a\":", 5, &root), KMS_E_SERIALIZATION);
        assert_int_equal(json_count(must(*state, "[1,2,3]")), 3);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strict_json_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(anything_else_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(duplicates_are_found_in_objects_of_any_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(depth_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(number_of_values_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(members_come_out_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(members_are_found_by_all_of_their_name, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_types_give_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_iterate_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_are_exact_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_texts_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_doc_is_reused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
