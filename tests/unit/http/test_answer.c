/* HTTP answers into bytes: exact texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http.h"

#define DATE "Sat, 21 Nov 2026 17:45:01 GMT"
#define CORS                                                                                       \
    "Access-Control-Allow-Origin: *\r\n"                                                           \
    "Access-Control-Expose-Headers: x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage\r\n"
#define NO_CACHE                                                                                   \
    "Cache-Control: no-cache, no-store, must-revalidate, private\r\nExpires: 0\r\nPragma: no-cache\r\n"

static void is(struct buf *out, const char *want)
{
    assert_true(buf_ok(out));
    if (!bytes_eq_str(buf_bytes(out), want))
        fail_msg("got\n%.*s\nwant\n%s", BYTES_FMT(buf_bytes(out)), want);
    buf_reset(out);
}

static int setup(void **state)
{
    static struct buf out;

    buf_init(&out, 8192);
    *state = &out;
    return 0;
}

static int teardown(void **state)
{
    buf_release(*state);
    return 0;
}

static void an_answer_with_everything(void **state)
{
    struct http_answer a = {
        .status = 400,
        .content_type = "application/x-amz-json-1.1",
        .request_id = "0f7a3b2c-1111-4222-8333-444455556666",
        .close = true,
        .cors = true,
        .extra = "X-One: 1\r\nX-Two: 2\r\n",
        .body = BYTES_LIT("{\"a\":1}"),
    };

    http_answer_add(*state, &a, DATE);
    is(*state, "HTTP/1.1 400 Bad Request\r\nDate: " DATE "\r\n"
               "Content-Type: application/x-amz-json-1.1\r\n"
               "x-amzn-RequestId: 0f7a3b2c-1111-4222-8333-444455556666\r\n" NO_CACHE CORS
               "X-One: 1\r\nX-Two: 2\r\nConnection: close\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
}

static void an_answer_with_nothing(void **state)
{
    struct http_answer a = { .status = 200 };

    http_answer_add(*state, &a, DATE);
    is(*state, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 0\r\n\r\n");
}

static void the_answer_to_head_has_the_length_but_no_body(void **state)
{
    struct http_answer a = { .status = 200, .head = true, .body = BYTES_LIT("body") };

    http_answer_add(*state, &a, DATE);
    is(*state, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 4\r\n\r\n");
}

static void refusals_have_their_reason_and_no_body(void **state)
{
    static const struct {
        int         status;
        const char *line;
    } cases[] = {
        { 400, "400 Bad Request" },
        { 405, "405 Method Not Allowed" },
        { 408, "408 Request Timeout" },
        { 411, "411 Length Required" },
        { 413, "413 Content Too Large" },
        { 414, "414 URI Too Long" },
        { 417, "417 Expectation Failed" },
        { 431, "431 Request Header Fields Too Large" },
        { 500, "500 Internal Server Error" },
        { 501, "501 Not Implemented" },
        { 503, "503 Service Unavailable" },
        { 505, "505 HTTP Version Not Supported" },
        { 599, "599 Unknown" },
    };
    char want[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf text = { .ptr = (uint8_t *)want, .cap = sizeof want, .limit = sizeof want };
        buf_addf(&text,
                 "HTTP/1.1 %s\r\nDate: " DATE "\r\nConnection: close\r\n"
                 "Content-Length: 0\r\n\r\n",
                 cases[i].line);
        http_refusal_add(*state, cases[i].status, DATE);
        is(*state, want);
    }
}

#define PREFLIGHT(headers, more)                                                                   \
    "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nAccess-Control-Allow-Origin: *\r\n"                      \
    "Access-Control-Allow-Methods: POST\r\nAccess-Control-Allow-Headers: " headers "\r\n"          \
    "Access-Control-Max-Age: 172800\r\n" more "Content-Length: 0\r\n\r\n"
#define USUAL                                                                                      \
    "authorization,content-type,x-amz-date,x-amz-target,x-amz-security-token,x-amz-user-agent,"    \
    "x-amz-content-sha256,amz-sdk-invocation-id,amz-sdk-request"

/* The echo must not let a client write header lines into the answer. */
static void preflight_echoes_names_only(void **state)
{
    struct http_request rq = {
        .keep_alive = true,
        .n_headers = 1,
        .headers = { { BYTES_LIT("access-control-request-HEADERS"), { NULL, 0 } } },
    };
    static const char *const bad[] = {
        "", "a\r\nX: 1", "a:b", "a\tb", "caf\xc3\xa9", "<x>", "a\""
    };

    rq.headers[0].value = BYTES_LIT("X-Amz-Date, x-custom_1,authorization");
    http_preflight_add(*state, &rq, DATE);
    is(*state, PREFLIGHT("X-Amz-Date, x-custom_1,authorization", ""));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rq.headers[0].value = bytes_str(bad[i]);
        http_preflight_add(*state, &rq, DATE);
        is(*state, PREFLIGHT(USUAL, ""));
    }
    rq.headers[0].value = bytes_of("a\0b", 3);
    http_preflight_add(*state, &rq, DATE);
    is(*state, PREFLIGHT(USUAL, ""));
    rq.n_headers = 0;
    rq.keep_alive = false;
    http_preflight_add(*state, &rq, DATE);
    is(*state, PREFLIGHT(USUAL, "Connection: close\r\n"));
}

static void error_bodies_spell_their_member(void **state)
{
    struct kms_error err;

    (void)KMS_REFUSE(&err, KMS_E_NOT_FOUND, "Key '%s' does not exist", "a\"b");
    http_error_body(*state, &err);
    is(*state, "{\"__type\":\"NotFoundException\",\"message\":\"Key 'a\\\"b' does not exist\"}");
    (void)KMS_REFUSE(&err, KMS_E_ACCESS_DENIED, "no");
    http_error_body(*state, &err);
    is(*state, "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}");
    (void)KMS_FAIL(&err, KMS_E_CIPHERTEXT, "detail for the operator");
    http_error_body(*state, &err);
    is(*state, "{\"__type\":\"InvalidCiphertextException\"}");
}

/* Names are compared in words: every byte at every place in and across them, against the plain way. */
static void names_in_any_case(void **state)
{
    static const char name[] = "x-amz-content-sha256@[`{z9";

    (void)state;
    for (size_t len = 1; len < sizeof name; len++) {
        struct bytes want = bytes_of(name, len);
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                uint8_t text[sizeof name];
                bool    upper = c >= 'A' && c <= 'Z';
                for (size_t i = 0; i < len; i++) /* every other one in upper case */
                    text[i] = (uint8_t)(i % 2 == at % 2 && name[i] >= 'a' && name[i] <= 'z'
                                            ? name[i] - 'a' + 'A'
                                            : name[i]);
                text[at] = (uint8_t)c;
                assert_int_equal(http_name_equals(bytes_of(text, len), want),
                                 (upper ? c - 'A' + 'a' : c) == (uint8_t)name[at]);
            }
        }
        assert_false(http_name_equals(bytes_of(name, len - 1), want));
        assert_false(http_name_equals(bytes_of(name, len + 1), want));
    }
    assert_true(http_name_is(BYTES_LIT("HOST"), "host"));
    assert_false(http_name_is(BYTES_LIT("HOST"), "HOST")); /* what is looked for is in lower case */
    assert_true(http_name_equals(BYTES_LIT(""), BYTES_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_with_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_with_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_answer_to_head_has_the_length_but_no_body, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refusals_have_their_reason_and_no_body, setup, teardown),
        cmocka_unit_test_setup_teardown(preflight_echoes_names_only, setup, teardown),
        cmocka_unit_test_setup_teardown(error_bodies_spell_their_member, setup, teardown),
        cmocka_unit_test(names_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
