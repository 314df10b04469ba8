/* The canonical request: path, query and headers, where the test vectors leave off. */
#include "raw_request.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"

#define HASH "HASH"

static struct http_request request(const char *path, const char *query)
{
    struct http_request rq = {
        .method_text = BYTES_LIT("POST"),
        .path = bytes_str(path),
        .query = bytes_str(query),
        .headers = { { BYTES_LIT("Host"), BYTES_LIT("h") } },
        .n_headers = 1,
    };
    return rq;
}

static enum kms_status canonical(const struct http_request *rq, const char *signed_headers,
                                 bool query_form, bool normalize, struct buf *out)
{
    struct sigv4_auth    auth = { .query_form = query_form,
                                  .signed_headers = bytes_str(signed_headers) };
    struct sigv4_options options = { .normalize_path = normalize };

    return sigv4_canonical_request(rq, &auth, &options, BYTES_LIT(HASH), out, NULL);
}

static void check_text(const struct buf *out, const char *want)
{
    if (!bytes_eq_str(buf_bytes(out), want))
        fail_msg("got:\n%.*s\nwant:\n%s", BYTES_FMT(buf_bytes(out)), want);
}

static void test_path(void **state)
{
    static const struct {
        const char *path, *normalized, *plain;
    } cases[] = {
        { "", "/", "/" },
        { "/", "/", "/" },
        { "//", "/", "//" },
        { "/a", "/a", "/a" },
        { "/a/", "/a/", "/a/" },
        { "a", "/a", "a" },
        { "/a//b", "/a/b", "/a//b" },
        { "/./a/./b/.", "/a/b", "/./a/./b/." },
        { "/a/b/..", "/a", "/a/b/.." },
        { "/a/b/../", "/a/", "/a/b/../" },
        { "/../../a", "/a", "/../../a" },
        { "/a/../../..", "/", "/a/../../.." },
        { "/a/../", "/", "/a/../" },
        { "/...", "/...", "/..." },
        { "/.a/..b", "/.a/..b", "/.a/..b" },
        { "/%2e%2E/a", "/%252e%252E/a", "/%252e%252E/a" }, /* as sent, so not a dot segment */
        { "/a%20b", "/a%2520b", "/a%2520b" },
        { "/a b+c", "/a%20b%2Bc", "/a%20b%2Bc" },
        { "/*", "/%2A", "/%2A" },
        { "/\xc3\xa4", "/%C3%A4", "/%C3%A4" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
        struct http_request rq = request(cases[i / 2].path, NULL);
        struct buf          out = BUF_INIT(1024);
        struct buf          want = BUF_INIT(1024);
        bool                normalize = i % 2 == 0;

        buf_addf(&want, "POST\n%s\n\nhost:h\n\nhost\n" HASH "%c",
                 normalize ? cases[i / 2].normalized : cases[i / 2].plain, 0);
        assert_int_equal(canonical(&rq, "host", false, normalize, &out), KMS_OK);
        check_text(&out, (const char *)want.ptr);
        buf_release(&out);
        buf_release(&want);
    }
}

static void test_query(void **state)
{
    static const struct {
        const char *query, *want;
    } cases[] = {
        { "b=2&a=1", "a=1&b=2" },
        { "a=2&a=1&a=10", "a=1&a=10&a=2" },
        { "a", "a=" },
        { "a=&a", "a=&a=" },
        { "&&a=1&&", "a=1" },
        { "&", "" },
        { "=v", "=v" },
        { "a=b=c", "a=b%3Dc" },
        { "a=+", "a=%2B" },
        { "a=%2b%7e%41", "a=%2B~A" },
        { "%61=1", "a=1" },
        { "a=/?:@", "a=%2F%3F%3A%40" },
        { "a=\xc3\xa4&%C3%A4=1", "%C3%A4=1&a=%C3%A4" }, /* '%' sorts before letters */
        { "Param-3=1&Param=2", "Param=2&Param-3=1" },   /* names first, then values */
        { "a-b=1&a%20b=2", "a%20b=2&a-b=1" },
        { "a=%26&b=%3d", "a=%26&b=%3D" },
        { "B=1&a=2&_=3&~=4&.=5&0=6", ".=5&0=6&B=1&_=3&a=2&~=4" },
        { "a=%00&a=%ff", "a=%00&a=%FF" },
        { "X-Amz-Signature=0&a=1", "X-Amz-Signature=0&a=1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request rq = request("/", cases[i].query);
        struct buf          out = BUF_INIT(1024);
        struct buf          want = BUF_INIT(1024);

        buf_addf(&want, "POST\n/\n%s\nhost:h\n\nhost\n" HASH "%c", cases[i].want, 0);
        assert_int_equal(canonical(&rq, "host", false, true, &out), KMS_OK);
        check_text(&out, (const char *)want.ptr);
        buf_release(&out);
        buf_release(&want);
    }
}

static void test_signature_parameter_is_left_out_of_the_query_form(void **state)
{
    static const char *const queries[] = { "a=1&X-Amz-Signature=0", "X-Amz-Signature=0&a=1",
                                           "X%2dAmz-Signature=0&a=1" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct http_request rq = request("/", queries[i]);
        struct buf          out = BUF_INIT(1024);

        assert_int_equal(canonical(&rq, "host", true, true, &out), KMS_OK);
        check_text(&out, "POST\n/\na=1\nhost:h\n\nhost\n" HASH);
        buf_release(&out);
    }
}

static void test_query_that_can_be_read_two_ways_is_refused(void **state)
{
    static const char *const queries[] = { "a=%", "a=%4", "a=%4g", "%zz=1", "a=%%41", "a=1&b=%-1" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct http_request rq = request("/", queries[i]);
        struct buf          out = BUF_INIT(1024);

        buf_add_str(&out, "before");
        assert_int_equal(canonical(&rq, "host", false, true, &out), KMS_E_INVALID_SIG);
        check_text(&out, "before");
        buf_release(&out);
    }

    /* the second digit is there, but it is no part of the query */
    struct http_request rq = request("/", "a=%41");
    struct buf          out = BUF_INIT(1024);
    rq.query.len--;
    assert_int_equal(canonical(&rq, "host", false, true, &out), KMS_E_INVALID_SIG);
    buf_release(&out);
}

static void test_number_of_query_parameters_is_limited(void **state)
{
    (void)state;
    for (unsigned n = SIGV4_QUERY_PARAMS_MAX; n <= SIGV4_QUERY_PARAMS_MAX + 1; n++) {
        struct buf query = BUF_INIT(4096);
        struct buf out = BUF_INIT(4096);

        for (unsigned i = 0; i < n; i++) /* in the worst order for sorting */
            buf_addf(&query, "p%03u=&", 999 - i);
        buf_add_byte(&query, '\0');
        struct http_request rq = request("/", (const char *)query.ptr);
        assert_int_equal(canonical(&rq, "host", false, true, &out),
                         n == SIGV4_QUERY_PARAMS_MAX ? KMS_OK : KMS_E_INVALID_SIG);
        if (n == SIGV4_QUERY_PARAMS_MAX)
            assert_memory_equal(out.ptr, "POST\n/\np936=&p937=&", 19);
        buf_release(&query);
        buf_release(&out);
    }
}

static void test_header_values(void **state)
{
    static const struct {
        const char *value, *want;
    } cases[] = {
        { "", "" },
        { "v", "v" },
        { "  a   b  ", "a b" },
        { "a\t\tb", "a b" },
        { "\"a   b\"", "\"a b\"" },
        { "a\r\n  b", "a b" },
        { "a,b", "a,b" },
        { "UPPER \xc3\xa4", "UPPER \xc3\xa4" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request rq = request("/", NULL);
        struct buf          out = BUF_INIT(1024);
        struct buf          want = BUF_INIT(1024);

        rq.headers[rq.n_headers++] = (struct http_header){ BYTES_LIT("X-Thing"),
                                                           bytes_str(cases[i].value) };
        buf_addf(&want, "POST\n/\n\nhost:h\nx-thing:%s\n\nhost;x-thing\n" HASH "%c", cases[i].want,
                 0);
        assert_int_equal(canonical(&rq, "host;x-thing", false, true, &out), KMS_OK);
        check_text(&out, (const char *)want.ptr);
        buf_release(&out);
        buf_release(&want);
    }
}

/* Wherever a byte stands in a value of whatever length: it stays, or it is white space. Values are looked at
 * in words, so what surrounds it matters. */
static void test_every_byte_in_every_place(void **state)
{
    static const char before[] = "POST\n/\n\nhost:h\nx-thing:";
    char              value[24];

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        for (size_t len = 1; len <= sizeof value; len++) {
            for (size_t at = 0; at < len; at++) {
                struct http_request rq = request("/", NULL);
                struct buf          out = BUF_INIT(1024);
                struct buf          want = BUF_INIT(1024);
                memset(value, c % 2 == 0 ? 0xff : '!', sizeof value); /* beside the white space */
                value[at] = (char)c;
                rq.headers[rq.n_headers++] = (struct http_header){ BYTES_LIT("X-Thing"),
                                                                   bytes_of(value, len) };
                value[at] = (char)(blank ? ' ' : c);
                bool edge = blank && (at == 0 || at == len - 1);
                buf_add_str(&want, before);
                buf_add(&want, bytes_of(value + (edge && at == 0), len - edge));
                buf_add_str(&want, "\n\nhost;x-thing\n" HASH);
                value[at] = (char)c;
                assert_int_equal(canonical(&rq, "host;x-thing", false, true, &out), KMS_OK);
                if (!bytes_eq(buf_bytes(&out), buf_bytes(&want)))
                    fail_msg("byte %u at %zu of %zu", c, at, len);
                buf_release(&out);
                buf_release(&want);
            }
        }
    }
}

static void test_repeated_header_is_joined_in_the_order_sent(void **state)
{
    struct http_request rq = request("/", NULL);
    struct buf          out = BUF_INIT(1024);

    (void)state;
    rq.headers[0] = (struct http_header){ BYTES_LIT("x-b"), BYTES_LIT(" 2 ") };
    rq.headers[1] = (struct http_header){ BYTES_LIT("x-a"), BYTES_LIT("0") };
    rq.headers[2] = (struct http_header){ BYTES_LIT("X-B"), BYTES_LIT("") };
    rq.headers[3] = (struct http_header){ BYTES_LIT("x-B"), BYTES_LIT("1") };
    rq.n_headers = 4;
    assert_int_equal(canonical(&rq, "x-a;x-b", false, true, &out), KMS_OK);
    check_text(&out, "POST\n/\n\nx-a:0\nx-b:2,,1\n\nx-a;x-b\n" HASH);

    /* one that is looked for beforehand is no exception */
    buf_reset(&out);
    rq.headers[0].name = rq.headers[3].name = BYTES_LIT("Host");
    assert_int_equal(canonical(&rq, "host;x-a", false, true, &out), KMS_OK);
    check_text(&out, "POST\n/\n\nhost:2,1\nx-a:0\n\nhost;x-a\n" HASH);
    buf_release(&out);
}

static void test_list_of_signed_headers(void **state)
{
    static const struct {
        const char     *list;
        enum kms_status want;
    } cases[] = {
        { "host", KMS_OK },
        { "host;x-a", KMS_OK },
        { "x-a", KMS_OK },                  /* that host must be there: verify.c */
        { "x-a;host", KMS_E_INVALID_SIG },  /* not in order */
        { "host;host", KMS_E_INVALID_SIG }, /* twice */
        { "Host", KMS_E_INVALID_SIG },      /* not in lower case */
        { "host;X-A", KMS_E_INVALID_SIG },
        { "", KMS_E_INVALID_SIG },
        { ";host", KMS_E_INVALID_SIG },
        { "host;", KMS_E_INVALID_SIG },
        { "host;;x-a", KMS_E_INVALID_SIG },
        { "host; x-a", KMS_E_INVALID_SIG },
        { "host,x-a", KMS_E_INVALID_SIG },
        { "host;x-missing", KMS_E_INVALID_SIG }, /* not sent */
        { "host\nx-a:v\n", KMS_E_INVALID_SIG },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request rq = request("/", NULL);
        struct buf          out = BUF_INIT(1024);

        rq.headers[rq.n_headers++] = (struct http_header){ BYTES_LIT("X-A"), BYTES_LIT("v") };
        buf_add_str(&out, "before");
        if (canonical(&rq, cases[i].list, false, true, &out) != cases[i].want)
            fail_msg("'%s'", cases[i].list);
        if (cases[i].want != KMS_OK)
            check_text(&out, "before");
        buf_release(&out);
    }
}

static void test_no_room_is_our_failure(void **state)
{
    struct http_request rq = request("/", NULL);

    (void)state;
    for (size_t limit = 0; limit < 60; limit++) {
        struct buf      out = BUF_INIT(limit);
        enum kms_status status = canonical(&rq, "host", false, true, &out);

        assert_int_equal(status, limit < strlen("POST\n/\n\nhost:h\n\nhost\n" HASH) ? KMS_E_INTERNAL
                                                                                    : KMS_OK);
        if (status != KMS_OK)
            assert_int_equal(out.len, 0);
        buf_release(&out);
    }
}

/* The example of the documentation of SigV4, and secrets around the block size of HMAC, where the
 * prefix makes the key longer than a block. */
static void test_signing_key(void **state)
{
    static const char want[] = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
    char              hex[64];
    uint8_t           key[32];
    uint8_t           text[132];

    (void)state;
    sigv4_signing_key(BYTES_LIT(TEST_SECRET), BYTES_LIT("20150830"), BYTES_LIT("us-east-1"),
                      BYTES_LIT("iam"), key);
    hex_write(hex, bytes_of(key, sizeof key));
    assert_memory_equal(hex, want, sizeof hex);

    memset(text, 's', sizeof text);
    memcpy(text, "AWS4", 4);
    for (size_t len = 0; len <= 128; len++) {
        uint8_t slow[32];

        crypto_hmac_sha256(bytes_of(text, 4 + len), BYTES_LIT("20150830"), slow);
        const char *const steps[] = { "r", "s", "aws4_request" };
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            uint8_t last[32];

            memcpy(last, slow, sizeof last);
            crypto_hmac_sha256(bytes_of(last, sizeof last), bytes_str(steps[i]), slow);
        }
        sigv4_signing_key(bytes_of(text + 4, len), BYTES_LIT("20150830"), BYTES_LIT("r"),
                          BYTES_LIT("s"), key);
        assert_memory_equal(key, slow, sizeof key);
    }
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_signature_parameter_is_left_out_of_the_query_form),
        cmocka_unit_test(test_query_that_can_be_read_two_ways_is_refused),
        cmocka_unit_test(test_number_of_query_parameters_is_limited),
        cmocka_unit_test(test_header_values),
        cmocka_unit_test(test_every_byte_in_every_place),
        cmocka_unit_test(test_repeated_header_is_joined_in_the_order_sent),
        cmocka_unit_test(test_list_of_signed_headers),
        cmocka_unit_test(test_no_room_is_our_failure),
        cmocka_unit_test(test_signing_key),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
