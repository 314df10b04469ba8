/* What cannot be taken apart, and with what code and text it is refused: kms-behaviour 2.1.
 * Requests are written out; '@' stands for the right signature. */
#include "raw_request.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "sigv4/inside.h"

static void test_missing(void **state)
{
    (void)state;
    check_verdict("POST / HTTP/1.1\n" HOST DATE BODY, KMS_E_MISSING_AUTH,
                  "Missing Authentication Token");
    check_verdict(
        "POST /?X-Amz-Date=1&X-Amz-Expires=1&X-Amz-SignedHeaders=host HTTP/1.1\n" HOST BODY,
        KMS_E_MISSING_AUTH, "Missing Authentication Token");
    check_verdict("POST /?x-amz-signature=1 HTTP/1.1\n" HOST DATE DATE BODY, KMS_E_MISSING_AUTH,
                  "Missing Authentication Token");
}

#define NO_CRED   "Authorization header requires 'Credential' parameter. "
#define NO_SIG    "Authorization header requires 'Signature' parameter. "
#define NO_SIGNED "Authorization header requires 'SignedHeaders' parameter. "
#define NO_DATE                                                                                    \
    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "

static void test_incomplete_header(void **state)
{
    static const struct {
        const char *head, *authorization, *message;
    } cases[] = {
        { DATE, "AWS4-HMAC-SHA256", NO_CRED NO_SIG NO_SIGNED "Authorization=AWS4-HMAC-SHA256" },
        { "", "Basic", NO_CRED NO_SIG NO_SIGNED NO_DATE "Authorization=Basic" },
        { "", "", NO_CRED NO_SIG NO_SIGNED NO_DATE "Authorization=" },
        { DATE, "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0",
          NO_CRED "Authorization=AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0" },
        { DATE, "AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host",
          NO_SIG "Authorization=AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host" },
        { DATE, "AWS4-HMAC-SHA256 Credential=" CRED ", Signature=0",
          NO_SIGNED "Authorization=AWS4-HMAC-SHA256 Credential=" CRED ", Signature=0" },
        { "", "AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host, Signature=0",
          NO_DATE "Authorization=AWS4-HMAC-SHA256 Credential=" CRED
                  ", SignedHeaders=host, Signature=0" },
        { DATE, "AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=",
          NO_CRED NO_SIG
          "Authorization=AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=" },
        /* a missing part is told before a wrong one */
        { "", "AWS4-X Credential=a/b, SignedHeaders=host, Signature=0",
          NO_DATE "Authorization=AWS4-X Credential=a/b, SignedHeaders=host, Signature=0" },
        { DATE, "Bearer abc",
          "'abc' not a valid key=value pair (missing equal-sign) in Authorization header: "
          "'Bearer abc'." },
        { DATE, "AWS4-HMAC-SHA256 Credential=a, Credential=b",
          "Authorization header has an unknown or repeated parameter 'Credential'. "
          "Authorization=AWS4-HMAC-SHA256 Credential=a, Credential=b" },
        { DATE, "AWS4-HMAC-SHA256 Credential=,Credential=b",
          "Authorization header has an unknown or repeated parameter 'Credential'. "
          "Authorization=AWS4-HMAC-SHA256 Credential=,Credential=b" },
        { DATE, "AWS4-HMAC-SHA256 credential=a",
          "Authorization header has an unknown or repeated parameter 'credential'. "
          "Authorization=AWS4-HMAC-SHA256 credential=a" },
        { DATE, "AWS4-HMAC-SHA512 Credential=" CRED ", SignedHeaders=host, Signature=0",
          "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'." },
        { DATE, "aws4-hmac-sha256 Credential=" CRED ", SignedHeaders=host, Signature=0",
          "Unsupported AWS 'algorithm': 'aws4-hmac-sha256'." },
        { "X-Amz-Date: 2026-09-21T17:45:01Z\n",
          "AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host, Signature=0",
          "Date must be in ISO-8601 'basic format'. Got '2026-09-21T17:45:01Z'. See "
          "http://en.wikipedia.org/wiki/ISO_8601" },
        { "X-Amz-Date: Mon, 21 Sep 2026 17:45:01 GMT\nDate: 20260921T174501Z\n",
          "AWS4-HMAC-SHA256 Credential=" CRED ", SignedHeaders=host, Signature=0",
          "Date must be in ISO-8601 'basic format'. Got 'Mon, 21 Sep 2026 17:45:01 GMT'. See "
          "http://en.wikipedia.org/wiki/ISO_8601" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = BUF_INIT(8192);

        buf_addf(&text, "POST / HTTP/1.1\n" HOST "%sAuthorization: %s\n" BODY "%c", cases[i].head,
                 cases[i].authorization, 0);
        check_verdict((const char *)text.ptr, KMS_E_INCOMPLETE_SIG, cases[i].message);
        buf_release(&text);
    }
}

static void test_credential_has_five_parts(void **state)
{
    static const char *const credentials[] = { "a", "a/b/c/d", "a/b/c/d/e/f", "//////", "/" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(credentials); i++) {
        struct buf text = BUF_INIT(8192);
        struct buf want = BUF_INIT(8192);

        buf_addf(&text,
                 "POST / HTTP/1.1\n" HOST DATE "Authorization: AWS4-HMAC-SHA256 Credential=%s, "
                 "SignedHeaders=host;x-amz-date, Signature=0\n" BODY "%c",
                 credentials[i], 0);
        buf_addf(&want,
                 "Credential must have exactly 5 slash-delimited elements, e.g. "
                 "keyid/date/region/service/term, got '%s'%c",
                 credentials[i], 0);
        check_verdict((const char *)text.ptr, KMS_E_INCOMPLETE_SIG, (const char *)want.ptr);
        buf_release(&text);
        buf_release(&want);
    }
}

/* An escape cut off by the end of the query stands for itself; nothing behind it is looked at. */
static void test_escape_cut_off_by_the_end(void **state)
{
    static const char text[] = "GET /?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c"
                               "&X-Amz-Date=d&X-Amz-Expires=1&X-Amz-Algorithm=%41 HTTP/1.1\n" HOST
                               "\n";
    struct http_request rq;
    struct sigv4_auth   auth;
    struct kms_error    err;
    struct buf          scratch = BUF_INIT(1024);

    (void)state;
    raw_request_split(text, strlen(text), &rq);
    rq.query.len--;
    assert_int_equal(sigv4_parse(&rq, &scratch, &auth, &err), KMS_E_INCOMPLETE_SIG);
    assert_string_equal(err.message, "Unsupported AWS 'algorithm': '%4'.");
    buf_release(&scratch);
}

#define MUST(name) "AWS query-string parameters must include '" name "'. "
#define REEXAMINE  "Re-examine the query-string parameters."

static void test_incomplete_query(void **state)
{
    static const struct {
        const char *query, *message;
    } cases[] = {
        { "X-Amz-Algorithm=AWS4-HMAC-SHA256",
          MUST("X-Amz-Credential") MUST("X-Amz-Signature") MUST("X-Amz-SignedHeaders")
              MUST("X-Amz-Date") MUST("X-Amz-Expires") REEXAMINE },
        { "X-Amz-Signature=",
          MUST("X-Amz-Algorithm") MUST("X-Amz-Credential") MUST("X-Amz-Signature")
              MUST("X-Amz-SignedHeaders") MUST("X-Amz-Date") MUST("X-Amz-Expires") REEXAMINE },
        { QUERY("a", "b", "", "host"), MUST("X-Amz-Expires") REEXAMINE },
        { QUERY("a", "b", "1", "host") "&X-Amz-Date=c",
          "AWS query-string parameter 'X-Amz-Date' must be present only once. " REEXAMINE },
        { "X-Amz-Signature=1&X%2DAmz-Signature=1",
          "AWS query-string parameter 'X-Amz-Signature' must be present only once. " REEXAMINE },
        { "X-Amz-Algorithm=a&X-Amz-Security-Token=1&X-Amz-Security-Token=",
          "AWS query-string parameter 'X-Amz-Security-Token' must be present only "
          "once. " REEXAMINE },
        { "X-Amz-Algorithm=AWS4-X&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Expires=1"
          "&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
          "Unsupported AWS 'algorithm': 'AWS4-X'." },
        { "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Date=b&X-Amz-Expires=1"
          "&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
          "Credential must have exactly 5 slash-delimited elements, e.g. "
          "keyid/date/region/service/term, got 'a/b'" },
        { "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/e&X-Amz-Date=2026%20"
          "&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
          "Date must be in ISO-8601 'basic format'. Got '2026 '. See "
          "http://en.wikipedia.org/wiki/ISO_8601" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = BUF_INIT(8192);

        buf_addf(&text, "POST /?%s HTTP/1.1\n" HOST BODY "%c", cases[i].query, 0);
        for (char *at = strchr((char *)text.ptr, '@'); at != NULL; at = strchr(at, '@'))
            *at = '0'; /* nothing to sign here */
        check_verdict((const char *)text.ptr, KMS_E_INCOMPLETE_SIG, cases[i].message);
        buf_release(&text);
    }
}

static void test_expires_is_a_number_in_range(void **state)
{
    static const char *const bad[] = { "0",
                                       "604801",
                                       "1000000",
                                       "-1",
                                       "+1",
                                       "1.0",
                                       "01",
                                       "x",
                                       "60%20",
                                       "6%30%300000",
                                       "18446744073709551676" /* 60, were it to wrap */ };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(verdict_release) struct verdict v;
        struct buf                              text = BUF_INIT(8192);

        buf_addf(&text,
                 "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" CRED
                 "&X-Amz-Date=20260921T174501Z&X-Amz-Expires=%s&X-Amz-SignedHeaders=host"
                 "&X-Amz-Signature=0 HTTP/1.1\n" HOST "\n%c",
                 bad[i], 0);
        judge_at(&v, (const char *)text.ptr, kms_only, (int64_t)SIGNED_AT_S * 1000);
        assert_int_equal(v.status, KMS_E_INCOMPLETE_SIG);
        assert_non_null(strstr(v.err.message,
                               "X-Amz-Expires must be a number of seconds from 1 to 604800, got "));
        buf_release(&text);
    }
}

static void test_what_can_be_read_two_ways_is_refused(void **state)
{
    (void)state;
    check_verdict("POST / HTTP/1.1\n" HOST DATE "Authorization: AWS4-HMAC-SHA256 Credential=" CRED
                  ", SignedHeaders=host, Signature=0\nauthorization: other\n" BODY,
                  KMS_E_INCOMPLETE_SIG, "Header 'authorization' must be sent only once.");
    check_verdict(
        "POST /?X-Amz-Signature=0 HTTP/1.1\n" HOST DATE
        "Authorization: AWS4-HMAC-SHA256 Credential=" CRED
        ", SignedHeaders=host, Signature=0\n" BODY,
        KMS_E_INCOMPLETE_SIG,
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the "
        "Authorization header should be specified");

    static const char *const once[] = {
        "host", "date", "x-amz-date", "x-amz-target", "x-amz-security-token", "x-amz-content-sha256"
    };
    for (size_t i = 0; i < ARRAY_LEN(once); i++) {
        struct buf text = BUF_INIT(8192);
        struct buf want = BUF_INIT(8192);

        buf_addf(&text,
                 "POST / HTTP/1.1\n%s: 1\n%s: 1\nAuthorization: AWS4-HMAC-SHA256 Credential=" CRED
                 ", SignedHeaders=host, Signature=0\n" BODY "%c",
                 once[i], once[i], 0);
        buf_addf(&want, "Header '%s' must be sent only once.%c", once[i], 0);
        check_verdict((const char *)text.ptr, KMS_E_INCOMPLETE_SIG, (const char *)want.ptr);
        buf_release(&text);
        buf_release(&want);
    }
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

/* Every header that decides something is known by its name in any case, and by no other. */
static void test_notable_names(void **state)
{
    (void)state;
    for (unsigned k = 0; k < NOTABLE_COUNT; k++) {
        struct bytes name = sigv4_notable_name((enum notable)k);
        uint8_t      other[32] = { 0 };
        assert_int_equal(sigv4_notable_named(name), k);
        memcpy(other, name.ptr, name.len);
        other[0] = (uint8_t)(other[0] - 'a' + 'A');
        assert_int_equal(sigv4_notable_named(bytes_of(other, name.len)), k);
        assert_int_equal(sigv4_notable_named(bytes_of(other, name.len - 1)), NOTABLE_COUNT);
        assert_int_equal(sigv4_notable_named(bytes_of(other, name.len + 1)), NOTABLE_COUNT);
        other[name.len - 1] ^= 1;
        assert_int_equal(sigv4_notable_named(bytes_of(other, name.len)), NOTABLE_COUNT);
    }
    assert_int_equal(sigv4_notable_named((struct bytes){ NULL, 0 }), NOTABLE_COUNT);
}

static enum kms_status split(const char *list, struct sigv4_signed *ret)
{
    return sigv4_signed_split(bytes_str(list), ret, NULL);
}

/* In ascending order, each name once; notable ones are known, though not in capitals, which are no name that
 * may be signed. */
static void test_signed_list(void **state)
{
    static const char *const bad[] = { "",   "b;a",       "a;a",        ";a",
                                       "a;", "a;;b",      "ab;a",       "host;a;host",
                                       ";",  "host;Host", "x-amz-date;" };
    struct sigv4_signed      names;

    (void)state;
    assert_int_equal(split("content-type;host;x-amz-date;x-amz-target", &names), KMS_OK);
    assert_int_equal(names.n, 4);
    assert_true(bytes_eq_str(names.at[0].name, "content-type"));
    assert_int_equal(names.at[0].which, NOTABLE_COUNT);
    assert_int_equal(names.at[1].which, NOTABLE_HOST);
    assert_int_equal(names.at[2].which, NOTABLE_AMZ_DATE);
    assert_true(bytes_eq_str(names.at[3].name, "x-amz-target"));
    assert_int_equal(names.at[3].which, NOTABLE_AMZ_TARGET);
    assert_int_equal(split("Host;date", &names), KMS_OK);
    assert_int_equal(names.at[0].which, NOTABLE_COUNT);
    assert_int_equal(names.at[1].which, NOTABLE_DATE);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(split(bad[i], &names), KMS_E_INVALID_SIG);
}

/* As many names as a request can have headers, and not one more. */
static void test_signed_list_is_bounded(void **state)
{
    struct sigv4_signed             names;
    CLEANUP(buf_release) struct buf list = BUF_INIT(4096);

    (void)state;
    for (unsigned i = 0; i < LIMIT_HEADERS; i++)
        buf_addf(&list, "%sh%04u", i > 0 ? ";" : "", i);
    assert_int_equal(sigv4_signed_split(buf_bytes(&list), &names, NULL), KMS_OK);
    assert_int_equal(names.n, LIMIT_HEADERS);
    buf_add_str(&list, ";x");
    assert_true(buf_ok(&list));
    assert_int_equal(sigv4_signed_split(buf_bytes(&list), &names, NULL), KMS_E_INVALID_SIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_notable_names),
        cmocka_unit_test(test_signed_list),
        cmocka_unit_test(test_signed_list_is_bounded),
        cmocka_unit_test(test_incomplete_header),
        cmocka_unit_test(test_credential_has_five_parts),
        cmocka_unit_test(test_incomplete_query),
        cmocka_unit_test(test_escape_cut_off_by_the_end),
        cmocka_unit_test(test_expires_is_a_number_in_range),
        cmocka_unit_test(test_what_can_be_read_two_ways_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
