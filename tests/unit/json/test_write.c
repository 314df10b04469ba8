/* The JSON writer: exact bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "json/write.h"

static int setup(void **state)
{
    static struct {
        struct json_writer w;
        struct buf         out;
    } f;

    buf_init(&f.out, 4096);
    json_writer_init(&f.w, &f.out);
    *state = &f.w;
    return 0;
}

static int teardown(void **state)
{
    struct json_writer *w = *state;

    buf_release(w->out);
    return 0;
}

static void is(struct json_writer *w, const char *want)
{
    assert_true(buf_ok(w->out));
    if (!bytes_eq_str(buf_bytes(w->out), want))
        fail_msg("got %.*s, want %s", BYTES_FMT(buf_bytes(w->out)), want);
    buf_reset(w->out);
    json_writer_init(w, w->out);
}

static void structure_and_commas(void **state)
{
    struct json_writer *w = *state;

    json_open_object(w, NULL);
    json_close_object(w);
    is(w, "{}");

    json_open_object(w, NULL);
    json_put_str(w, "KeyId", "x");
    json_open_array(w, "Tags");
    json_open_object(w, NULL);
    json_put_bool(w, "A", true);
    json_put_bool(w, "B", false);
    json_close_object(w);
    json_open_object(w, NULL);
    json_close_object(w);
    json_put_null(w, NULL);
    json_open_array(w, NULL);
    json_close_array(w);
    json_close_array(w);
    json_put_raw(w, "Raw", BYTES_LIT("[1]"));
    json_put_int(w, "N", 0);
    json_close_object(w);
    is(w, "{\"KeyId\":\"x\",\"Tags\":[{\"A\":true,\"B\":false},{},null,[]],\"Raw\":[1],\"N\":0}");
}

static void strings_are_escaped(void **state)
{
    struct json_writer *w = *state;

    json_put_str(w, NULL, "a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f");
    is(w, "\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    json_put_string(w, NULL, bytes_of("a\0b", 3));
    is(w, "\"a\\u0000b\"");
    json_put_str(w, NULL, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xee\x80\x80");
    is(w, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xee\x80\x80\"");
    /* line ends of other readers, and what turns the direction of a terminal's line */
    json_put_str(w, NULL, "\xc2\x80\xc2\x85\xc2\x9f\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae");
    is(w, "\"\\u0080\\u0085\\u009f\\u2028\\u2029\\u202e\"");
    json_put_str(w, NULL, "\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa8\xe1\x80\xa8");
    is(w, "\"\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa8\xe1\x80\xa8\"");
    json_put_string(w, NULL, (struct bytes){ NULL, 0 });
    is(w, "\"\"");
}

#define BAD "\xef\xbf\xbd"

static void invalid_utf8_is_replaced(void **state)
{
    static const char *const cases[][2] = {
        { "\x80", BAD },
        { "\xff"
          "a",
          BAD "a" },
        { "\xc3", BAD },
        { "\xc3"
          "a",
          BAD "a" },
        { "\xc0\x80", BAD BAD },
        { "\xe0\x80\x80", BAD BAD BAD },
        { "\xed\xa0\x80", BAD BAD BAD },
        { "\xe2\x82", BAD BAD },
        { "\xf0\x80\x80\x80", BAD BAD BAD BAD },
        { "\xf4\x90\x80\x80", BAD BAD BAD BAD },
        { "\xf8\x80\x80\x80", BAD BAD BAD BAD },
        { "\xf0\x9f\x98", BAD BAD BAD },
    };
    struct json_writer *w = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_put_str(w, NULL, cases[i][0]);
        if (w->out->len < 2 ||
            !bytes_eq_str(bytes_of(w->out->ptr + 1, w->out->len - 2), cases[i][1]))
            fail_msg("case %zu: %.*s", i, BYTES_FMT(buf_bytes(w->out)));
        buf_reset(w->out);
        json_writer_init(w, w->out);
    }
}

/* How one byte stands in a string of plain ones. */
static void plain_escape(uint8_t c, char ret[8])
{
    static const char known[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof known; i += 2) {
        if (c == (uint8_t)known[i]) {
            (void)snprintf(ret, 8, "\\%c", known[i + 1]);
            return;
        }
    }
    if (c < ' ')
        (void)snprintf(ret, 8, "\\u%04x", c);
    else
        (void)snprintf(ret, 8, c < 0x80 ? "%c" : BAD, c);
}

/* Neither side has a byte to spare, so that a sanitizer sees what is read or written beyond. */
static void is_written_exactly(struct bytes text, const char *want)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(strlen(want));
    CLEANUP(freep) uint8_t         *exact = malloc(text.len);

    assert_non_null(exact);
    memcpy(exact, text.ptr, text.len);
    json_append_text(&out, bytes_of(exact, text.len));
    assert_true(buf_ok(&out));
    assert_true(out.cap == out.limit);
    if (!bytes_eq_str(buf_bytes(&out), want))
        fail_msg("got %.*s, want %s", BYTES_FMT(buf_bytes(&out)), want);
}

/* Strings are looked at in words and vectors: every byte at every place in and across them. */
static void every_byte_everywhere(void **state)
{
    enum { LONGEST = 50 }; /* three vectors and some more */

    (void)state;
    for (size_t len = 1; len <= LONGEST; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                char text[LONGEST];
                char escaped[8];
                char want[LONGEST + 16];
                memset(text, at % 2 == 0 ? ' ' : '~', sizeof text);
                text[at] = (char)c;
                plain_escape((uint8_t)c, escaped);
                (void)snprintf(want, sizeof want, "\"%.*s%s%.*s\"", (int)at, text, escaped,
                               (int)(len - at - 1), text + at + 1);
                is_written_exactly(bytes_of(text, len), want);
            }
        }
    }
}

/* Nothing is written beyond the limit, whatever would be the first that does not fit. */
static void limits(void **state)
{
    (void)state;
    for (size_t limit = 1; limit < 44; limit++) {
        CLEANUP(buf_release) struct buf out = BUF_INIT(limit);
        struct json_writer              w;
        json_writer_init(&w, &out);
        json_open_object(&w, NULL);
        json_put_str(&w, "A", "bcd");
        json_put_int(&w, "N", -12);
        json_put_hex(&w, "H", BYTES_LIT("\x1f"));
        json_put_bool(&w, "T", true);
        json_close_object(&w);
        assert_true(out.len <= limit);
        assert_int_equal(buf_ok(&out), limit >= 37);
    }
}

static void names_of_pairs_are_escaped(void **state)
{
    struct json_writer *w = *state;

    w->lower_first = true;
    json_open_object(w, NULL);
    json_put_pair(w, BYTES_LIT("A\"b"), BYTES_LIT("c\\d"));
    json_put_pair(w, BYTES_LIT(""), BYTES_LIT(""));
    json_close_object(w);
    is(w, "{\"A\\\"b\":\"c\\\\d\",\"\":\"\"}");
}

static void first_letter_in_lower_case(void **state)
{
    struct json_writer *w = *state;

    w->lower_first = true;
    json_open_object(w, NULL);
    json_put_str(w, "KeyId", "KeyId");
    json_put_str(w, "keyId", "x");
    json_put_int(w, "_X", 1);
    json_open_object(w, "ABC");
    json_close_object(w);
    json_close_object(w);
    is(w, "{\"keyId\":\"KeyId\",\"keyId\":\"x\",\"_X\":1,\"aBC\":{}}");
}

static void numbers_and_times(void **state)
{
    struct json_writer *w = *state;

    json_open_array(w, NULL);
    json_put_int(w, NULL, INT64_MAX);
    json_put_int(w, NULL, INT64_MIN);
    json_put_int(w, NULL, -1);
    json_put_time(w, NULL, 1499288695918);
    json_put_time(w, NULL, 1499288695000);
    json_put_time(w, NULL, 1499288695900);
    json_put_time(w, NULL, 1499288695010);
    json_put_time(w, NULL, 1499288695001);
    json_put_time(w, NULL, 0);
    json_put_time(w, NULL, -1500);
    json_put_date(w, NULL, 1795283101999);
    json_close_array(w);
    is(w, "[9223372036854775807,-9223372036854775808,-1,1499288695.918,1499288695.0,1499288695.9,"
          "1499288695.01,1499288695.001,0.0,-1.5,\"2026-11-21T17:45:01Z\"]");
}

static void binary_values(void **state)
{
    struct json_writer *w = *state;

    json_open_object(w, NULL);
    json_put_base64(w, "P", BYTES_LIT("\xff\x00\x01\x02"));
    json_put_hex(w, "H", BYTES_LIT("\xff\x00\x0a"));
    json_put_base64(w, "E", (struct bytes){ NULL, 0 });
    json_close_object(w);
    is(w, "{\"P\":\"/wABAg==\",\"H\":\"ff000a\",\"E\":\"\"}");
}

/* A buffer that is too small is marked, whatever is written afterwards. */
static void overflow_is_sticky(void **state)
{
    struct json_writer w;
    struct buf         out = BUF_INIT(24);

    (void)state;
    json_writer_init(&w, &out);
    json_open_object(&w, NULL);
    json_put_str(&w, "KeyId", "much too long for the buffer");
    json_put_int(&w, "N", 1);
    json_close_object(&w);
    assert_false(buf_ok(&out));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(structure_and_commas, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(invalid_utf8_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(every_byte_everywhere, setup, teardown),
        cmocka_unit_test(limits),
        cmocka_unit_test_setup_teardown(names_of_pairs_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(first_letter_in_lower_case, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_and_times, setup, teardown),
        cmocka_unit_test_setup_teardown(binary_values, setup, teardown),
        cmocka_unit_test(overflow_is_sticky),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
