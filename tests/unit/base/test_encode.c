/* tests/unit/base/test_encode.c - hex, base64, UUIDs and dates against known answers, and every
 * near miss refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"

static void test_hex(void **state)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    uint8_t                         all[256];
    uint8_t                         back[256];

    (void)state;
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    hex_add(&b, (struct bytes){ NULL, 0 });
    assert_int_equal(b.len, 0);
    hex_add(&b, bytes_of(all, sizeof all));
    assert_int_equal(b.len, 512);
    for (unsigned i = 0; i < 256; i++) {
        char want[3];
        (void)snprintf(want, sizeof want, "%02x", i);
        assert_memory_equal(b.ptr + 2 * i, want, 2);
    }
    assert_true(hex_read(buf_bytes(&b), back, sizeof back));
    assert_memory_equal(back, all, sizeof all);
    assert_true(hex_read(BYTES_LIT("aBcD"), back, 2));
    assert_int_equal(back[0], 0xab);
    assert_int_equal(back[1], 0xcd);
}

static void test_hex_refuses(void **state)
{
    uint8_t out[2] = { 7, 7 };

    (void)state;
    assert_false(hex_read(BYTES_LIT("abc"), out, 2));
    assert_false(hex_read(BYTES_LIT("abcde"), out, 2));
    assert_false(hex_read(BYTES_LIT(""), out, 2));
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[4] = { '0', '0', '0', (uint8_t)c };
        bool    digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        out[0] = out[1] = 7;
        assert_int_equal(hex_read(bytes_of(text, 4), out, 2), digit);
        assert_int_equal(out[0], digit ? 0 : 7); /* written only on success */
    }
}

/* RFC 4648, section 10. */
static const char *const base64_known[][2] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
};

static void test_base64(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base64_known); i++) {
        CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
        uint8_t                         back[32];
        size_t                          len = 99;
        base64_add(&b, bytes_str(base64_known[i][0]));
        assert_true(bytes_eq_str(buf_bytes(&b), base64_known[i][1]));
        assert_true(base64_read(bytes_str(base64_known[i][1]), back, &len));
        assert_true(bytes_eq_str(bytes_of(back, len), base64_known[i][0]));
    }
}

static void test_base64_all_bytes_and_in_place(void **state)
{
    (void)state;
    for (size_t len = 0; len < 300; len++) {
        CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
        uint8_t                         raw[300];
        size_t                          got = 0;
        for (size_t i = 0; i < len; i++)
            raw[i] = (uint8_t)(i * 151 + len);
        base64_add(&b, bytes_of(raw, len));
        assert_int_equal(b.len, (len + 2) / 3 * 4);
        assert_true(base64_read(buf_bytes(&b), b.ptr, &got));
        assert_int_equal(got, len);
        if (len > 0)
            assert_memory_equal(b.ptr, raw, len);
    }
}

static void test_base64_refuses(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",        "Zm9",   "Zg===",    "====",   "=m9v",
        "Z=9v", "Zm=v", "Zh==",       "Zm9=",  "Zg==Zg==", "Zm9v\n", "Zm 9",
        "Zm-v", "Zm_v", "Zg==\n\n\n", "Zm\0v", "Z===",     "Zm9v=",  "Zm9v====",
    };
    uint8_t out[64];
    size_t  len = 99;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(base64_read(bytes_str(bad[i]), out, &len));
        assert_int_equal(len, 99);
    }
    for (unsigned c = 0; c < 256; c++) { /* every byte that is not of the alphabet */
        uint8_t text[4] = { 'A', (uint8_t)c, 'A', 'A' };
        bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';
        assert_int_equal(base64_read(bytes_of(text, 4), out, &len), known);
    }
}

static void test_base64url(void **state)
{
    static const char *const bad[] = { "Z",    "Zg==",  "Zm9=", "Zh",    "Zm9v=", "Zm+v",
                                       "Zm/v", "Zm9vY", "Zm 9", "Zm9\n", "=" };
    uint8_t                  out[64];
    size_t                   len = 99;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(base64_known); i++) {
        struct bytes text = bytes_str(base64_known[i][1]);
        while (text.len > 0 && text.ptr[text.len - 1] == '=')
            text.len--;
        assert_true(base64url_read(text, out, &len));
        assert_true(bytes_eq_str(bytes_of(out, len), base64_known[i][0]));
    }
    /* RFC 7515, appendix C */
    assert_true(base64url_read(BYTES_LIT("A-z_4ME"), out, &len));
    assert_true(bytes_eq(bytes_of(out, len), BYTES_LIT("\x03\xec\xff\xe0\xc1")));
    len = 99;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (base64url_read(bytes_str(bad[i]), out, &len))
            fail_msg("'%s' is read", bad[i]);
        assert_int_equal(len, 99);
    }
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[4] = { 'A', (uint8_t)c, 'A', 'A' };
        bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        assert_int_equal(base64url_read(bytes_of(text, 4), out, &len), known);
    }
}

/* --- against the plain way, one byte after the other ------------------------------------------------ */

enum { LENGTHS = 101, GUARD = 0xa5, GUARDED = 200 };

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void draw_bytes(uint64_t *seed, uint8_t *ret, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)draw(seed);
}

static void plain_base64(struct bytes in, char *ret)
{
    for (size_t i = 0; i < in.len; i += 3) {
        unsigned v = (unsigned)in.ptr[i] << 16;
        v |= i + 1 < in.len ? (unsigned)in.ptr[i + 1] << 8 : 0;
        v |= i + 2 < in.len ? in.ptr[i + 2] : 0;
        *ret++ = standard[v >> 18];
        *ret++ = standard[v >> 12 & 63];
        *ret++ = '=';
        *ret++ = '=';
        if (i + 1 < in.len)
            ret[-2] = standard[v >> 6 & 63];
        if (i + 2 < in.len)
            ret[-1] = standard[v & 63];
    }
}

/* Text without padding, bit by bit: SIZE_MAX if it is none. */
static size_t plain_read(const char *alphabet, struct bytes text, uint8_t *ret)
{
    unsigned bits = 0;
    unsigned n = 0;
    size_t   len = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.ptr[i], 64);
        if (at == NULL)
            return SIZE_MAX;
        bits = (bits << 6 | (unsigned)(at - alphabet)) & 0xffff;
        n += 6;
        if (n >= 8) {
            n -= 8;
            ret[len++] = (uint8_t)(bits >> n);
        }
    }
    return n >= 6 || (bits & ((1u << n) - 1)) != 0 ? SIZE_MAX : len;
}

static void check_guard(const uint8_t *at, const uint8_t *end)
{
    for (; at < end; at++)
        assert_int_equal(*at, GUARD);
}

static void test_writes_as_the_plain_way(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (size_t n = 0; n < 20 * LENGTHS; n++) {
        CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
        uint8_t                         in[LENGTHS];
        char                            want[2 * LENGTHS + 4];
        uint8_t                         got[2 * LENGTHS + 4];
        size_t                          len = n % LENGTHS;
        draw_bytes(&seed, in, len);
        plain_base64(bytes_of(in, len), want);
        base64_add(&b, bytes_of(in, len));
        assert_int_equal(b.len, (len + 2) / 3 * 4);
        if (len > 0)
            assert_memory_equal(b.ptr, want, b.len);

        memset(got, GUARD, sizeof got);
        hex_write((char *)got, bytes_of(in, len));
        for (size_t i = 0; i < len; i++)
            (void)snprintf(want + 2 * i, 3, "%02x", in[i]);
        assert_memory_equal(got, want, 2 * len);
        check_guard(got + 2 * len, got + sizeof got);
    }
}

/* One text of characters of the alphabet, read into memory of its own and in place. */
static void check_url_text(uint8_t *text, size_t len)
{
    uint8_t want[GUARDED];
    uint8_t got[GUARDED];
    size_t  want_len = plain_read(url, bytes_of(text, len), want);
    size_t  got_len = SIZE_MAX;

    memset(got, GUARD, sizeof got);
    assert_int_equal(base64url_read(bytes_of(text, len), got, &got_len), want_len != SIZE_MAX);
    assert_true(got_len == want_len);
    check_guard(got + base64_decoded_max(len), got + sizeof got);
    if (want_len == SIZE_MAX)
        return;
    assert_memory_equal(got, want, want_len);
    check_guard(got + want_len, got + sizeof got);
    assert_true(base64url_read(bytes_of(text, len), text, &got_len));
    assert_memory_equal(text, want, want_len);
}

static void test_reads_as_the_plain_way(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (size_t n = 0; n < 100 * LENGTHS; n++) {
        uint8_t text[LENGTHS];
        size_t  len = n % LENGTHS;
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)url[draw(&seed) % 64];
        if (len % 4 >= 2 && draw(&seed) % 2 == 0) /* mostly the last one has bits too many */
            text[len - 1] = (uint8_t)(draw(&seed) % 2 == 0 ? 'A' : 'Q');
        check_url_text(text, len);
    }
}

/* A length that ends in the middle of a vector. */
static void test_every_byte_everywhere(void **state)
{
    (void)state;
    for (size_t at = 0; at < 44; at++) {
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[45];
            uint8_t want[45];
            uint8_t got[45];
            size_t  len = SIZE_MAX;
            memset(text, 'Z', sizeof text);
            text[at] = (uint8_t)c;
            size_t want_len = plain_read(standard, bytes_of(text, 44), want);
            if (at == 43 && c == '=') /* the padding of this one */
                continue;
            assert_int_equal(base64_read(bytes_of(text, 44), got, &len), want_len != SIZE_MAX);
            assert_true(len == want_len);
            if (len != SIZE_MAX)
                assert_memory_equal(got, want, len);

            char     word[2] = { (char)c, '\0' };
            unsigned value = 0;
            bool     digit = c != 0 && strchr("0123456789abcdefABCDEF", (int)c) != NULL;
            memset(text, '7', sizeof text);
            memset(got, GUARD, sizeof got);
            text[at] = (uint8_t)c;
            assert_int_equal(hex_read(bytes_of(text, 44), got, 22), digit);
            check_guard(got + (digit ? 22 : 0), got + sizeof got);
            if (!digit)
                continue;
            assert_int_equal(sscanf(word, "%x", &value), 1);
            assert_int_equal(got[at / 2], at % 2 == 0 ? value << 4 | 7 : 0x70 | value);
        }
    }
}

static void test_uuid(void **state)
{
    uint8_t u[16] = { 0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef,
                      0xff, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77 };
    char    text[UUID_TEXT];

    (void)state;
    uuid_make_v4(u);
    uuid_write(text, u);
    assert_memory_equal(text, "12345678-90ab-4def-bf11-223344556677", UUID_TEXT);
}

/* Against the C library, over years that matter and the corners of the calendar. */
static void test_dates_agree_with_the_library(void **state)
{
    (void)state;
    for (int64_t s = 0; s < 253402300800; s += 86400 * 13 + 3671) {
        CLEANUP(buf_release) struct buf iso = BUF_INIT(100);
        char                            want[40];
        char                            got[40] = { 0 };
        int64_t                         back = -1;
        time_t                          t = (time_t)s;
        struct tm                       tm;
        assert_non_null(gmtime_r(&t, &tm));

        date_iso8601_add(&iso, s * 1000 + 999);
        (void)strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_true(bytes_eq_str(buf_bytes(&iso), want));

        date_basic_write(got, s * 1000);
        (void)strftime(want, sizeof want, "%Y%m%dT%H%M%SZ", &tm);
        assert_string_equal(got, want);
        assert_true(date_basic_read(bytes_of(got, 16), &back));
        assert_true(back == s * 1000);
        assert_true(date_iso8601_read(buf_bytes(&iso), &back));
        assert_true(back == s * 1000);

        date_http_write(got, s * 1000);
        (void)strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_memory_equal(got, want, 29);
        assert_true(date_http_read(bytes_of(got, 29), &back));
        assert_true(back == s * 1000);
    }
}

static void test_leap_days(void **state)
{
    static const struct {
        const char *text;
        bool        exists;
    } days[] = {
        { "20240229T000000Z", true },  { "20230229T000000Z", false }, { "20000229T000000Z", true },
        { "21000229T000000Z", false }, { "20240230T000000Z", false }, { "20240431T000000Z", false },
        { "20241231T235959Z", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(days); i++) {
        int64_t ms = 5;
        assert_int_equal(date_basic_read(bytes_str(days[i].text), &ms), days[i].exists);
        assert_int_equal(ms != 5, days[i].exists);
    }
}

static void test_dates_refused(void **state)
{
    static const char *const basic[] = {
        "",
        "20261121T174501",
        "20261121T174501z",
        "20261121 174501Z",
        "20261321T174501Z",
        "20260021T174501Z",
        "20261100T174501Z",
        "20261121T244501Z",
        "20261121T176001Z",
        "20261121T174560Z",
        "2026112-T174501Z",
        "19691231T235959Z",
        "20261121T174501Z ",
        " 0261121T174501Z",
    };
    static const char *const http[] = {
        "",
        "Sat, 21 Nov 2026 17:45:01 UTC",
        "Sat, 21 nov 2026 17:45:01 GMT",
        "Sat, 32 Nov 2026 17:45:01 GMT",
        "Sat, 21 Nov 2026 17.45:01 GMT",
        "Sat, 21 Nov 2026 24:45:01 GMT",
        "Sat, 21-Nov-2026 17:45:01 GMT",
        "Xxx, 21 Nov 2026 17:45:01 GMT",
        "Fri, 21 Nov 2026 17:45:01 GMT", /* it was a Saturday */
        "Sat  21 Nov 2026 17:45:01 GMT",
        "Saturday, 21-Nov-26 17:45:01 GMT",
        "Sat Nov 21 17:45:01 2026",
    };
    static const char *const iso[] = {
        "",
        "2026-11-21T17:45:01",
        "2026-11-21T17:45:01.000Z",
        "2026-11-21 17:45:01Z",
        "2026-11-21t17:45:01Z",
        "2026-11-21T17:45:01+00:00",
        "2026-02-29T17:45:01Z",
        "2026-13-01T17:45:01Z",
        "2026-11-21T24:00:00Z",
        "1969-12-31T23:59:59Z",
        "+026-11-21T17:45:01Z",
    };
    int64_t ms = 5;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(basic); i++)
        assert_false(date_basic_read(bytes_str(basic[i]), &ms));
    for (size_t i = 0; i < ARRAY_LEN(iso); i++)
        assert_false(date_iso8601_read(bytes_str(iso[i]), &ms));
    for (size_t i = 0; i < ARRAY_LEN(http); i++)
        assert_false(date_http_read(bytes_str(http[i]), &ms));
    assert_true(ms == 5);
    assert_true(date_http_read(BYTES_LIT("Sat, 21 Nov 2026 17:45:01 GMT"), &ms));
    assert_true(ms == 1795283101000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_hex_refuses),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_all_bytes_and_in_place),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_writes_as_the_plain_way),
        cmocka_unit_test(test_reads_as_the_plain_way),
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_dates_agree_with_the_library),
        cmocka_unit_test(test_leap_days),
        cmocka_unit_test(test_dates_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
