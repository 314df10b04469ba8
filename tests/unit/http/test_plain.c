/* The plain reading of heads (http/plain.c): the heads of SDKs are read by it, and it reads none otherwise
 * than llhttp, which reads those that come in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "http/inside.h"

#define START     "POST / HTTP/1.1\r\n"
#define SIGNATURE "Credential=AKIDEXAMPLE/20261122/us-east-1/kms/aws4_request, "                   \
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=0123456789abcdef"

static const char *const plain[] = {
    START
    "Host: localhost:8080\r\nAccept-Encoding: identity\r\nX-Amz-Target: TrentService.Encrypt\r\n"
    "Content-Type: application/x-amz-json-1.1\r\nUser-Agent: Boto3/1.35.0 md/Botocore#1.35.0 "
    "ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.11 cfg/retry-mode#legacy\r\n"
    "X-Amz-Date: 20261122T080000Z\r\nAuthorization: AWS4-HMAC-SHA256 " SIGNATURE "\r\n"
    "amz-sdk-invocation-id: 01234567-89ab-cdef-0123-456789abcdef\r\n"
    "amz-sdk-request: attempt=1\r\nContent-Length: 81\r\n\r\n",
    START
    "content-type: application/x-amz-json-1.1\r\nx-amz-target: TrentService.Decrypt\r\n"
    "x-amz-user-agent: aws-sdk-js/3.600.0\r\nuser-agent: aws-sdk-js/3.600.0 ua/2.1 os/linux "
    "lang/js md/nodejs#20 api/kms#3.600.0\r\nhost: kms.example\r\nx-amz-date: 20261122T080000Z\r\n"
    "content-length: 0\r\nauthorization: AWS4-HMAC-SHA256 " SIGNATURE "\r\n"
    "Connection: keep-alive\r\n\r\n",
    START "Host:a\r\nEmpty:\r\nBlank:  \r\nX_y:  z \r\nContent-Length: 0000007 \r\n\r\n",
    START "\r\n", /* no Host: refused later */
};

static const char *const not_plain[] = {
    "",
    "POST / HTTP/1.1\r",
    "POST / HTTP/1.0\r\nHost: a\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
    START "Host: a\r\n",
    START "Host: a\r\n\r",
    START "Host: a\r\n\rx",
    START "Host: a\n\r\n",
    START "Host: a\r\r\n\r\n",
    START "Host : a\r\n\r\n",
    START ": a\r\n\r\n",
    START "Host\r\n\r\n",
    START "Host: a\r\n b\r\n\r\n",
    START "Host: a\tb\r\n\r\n",
    START "Host: \ta\r\n\r\n",
    START "Host: a\x7f\r\n\r\n",
    START "Host: \xc3\xa9\r\n\r\n",
    START "Ho$t: a\r\n\r\n",
    START "Transfer-Encoding: identity\r\n\r\n",
    START "UPGRADE: h2c\r\n\r\n",
    START "Proxy-Connection: close\r\n\r\n",
    START "Connection: close\r\n\r\n",
    START "Connection: keep-alive, x\r\n\r\n",
    START "Content-Length:\r\n\r\n",
    START "Content-Length: +1\r\n\r\n",
    START "Content-Length: 1 2\r\n\r\n",
    START "Content-Length: 00000001\r\n\r\n",
};

static void heads_of_sdks_are_plain(void **state)
{
    struct http_head head;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        struct bytes text = bytes_str(plain[i]);
        assert_int_equal(http_plain_head(text.ptr, 0, text.len, &head), text.len);
        for (size_t end = 0; end < text.len; end++) { /* not without its end */
            assert_int_equal(http_plain_head(text.ptr, 0, end, &head), 0);
            assert_int_equal(head.n_headers, 0);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(not_plain); i++) {
        struct bytes text = bytes_str(not_plain[i]);
        head.n_headers = 7;
        if (http_plain_head(text.ptr, 0, text.len, &head) != 0)
            fail_msg("this is read: %s", not_plain[i]);
        assert_int_equal(head.n_headers, 0);
    }
}

static void too_many_headers_are_not_plain(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(100000);
    struct http_head                head;

    (void)state;
    buf_add_str(&text, START);
    for (size_t n = 0; n <= LIMIT_HEADERS + 1; n++) {
        buf_add_str(&text, "\r\n");
        assert_int_equal(http_plain_head(text.ptr, 0, text.len, &head),
                         n <= LIMIT_HEADERS ? text.len : 0);
        assert_int_equal(head.n_headers, n <= LIMIT_HEADERS ? n : 0);
        buf_truncate(&text, text.len - 2);
        buf_add_str(&text, "A: b\r\n");
    }
}

/* --- against llhttp ----------------------------------------------------------------------------- */

struct reading {
    struct http_parser *parser;
    struct buf          in;
    struct http_request rq;
    enum http_progress  progress;
    int                 status;
    size_t              used;
};

static struct reading whole, pieces;

/* `first` bytes, then the rest, unless they were enough. */
static void read_text(struct reading *r, struct bytes text, size_t first)
{
    r->status = 0;
    r->used = 0;
    buf_reset(&r->in);
    http_parser_reset(r->parser);
    buf_add(&r->in, bytes_of(text.ptr, first));
    r->progress = http_parse(r->parser, &r->in, &r->rq, &r->used, &r->status);
    if (first == text.len || r->progress == HTTP_REFUSED || r->progress == HTTP_COMPLETE)
        return;
    buf_add(&r->in, bytes_of(text.ptr + first, text.len - first));
    r->progress = http_parse(r->parser, &r->in, &r->rq, &r->used, &r->status);
}

static bool same_requests(const struct http_request *a, const struct http_request *b)
{
    bool same = a->method == b->method && bytes_eq(a->method_text, b->method_text) &&
                bytes_eq(a->target, b->target) && bytes_eq(a->path, b->path) &&
                bytes_eq(a->query, b->query) && a->n_headers == b->n_headers &&
                a->body_len == b->body_len && a->keep_alive == b->keep_alive;

    for (size_t i = 0; same && i < a->n_headers; i++)
        same = bytes_eq(a->headers[i].name, b->headers[i].name) &&
               bytes_eq(a->headers[i].value, b->headers[i].value) &&
               a->headers[i].value.ptr != NULL && b->headers[i].value.ptr != NULL;
    return same;
}

/* Is the text read alike in one piece and in two? Whether it is plain. */
static bool check_text(struct bytes text)
{
    struct http_head head;

    if (text.len < 2)
        return false;
    read_text(&whole, text, text.len);
    read_text(&pieces, text, 1);
    if (whole.progress != pieces.progress || whole.status != pieces.status ||
        whole.used != pieces.used ||
        http_wants_continue(whole.parser) != http_wants_continue(pieces.parser) ||
        http_head_len(whole.parser) != http_head_len(pieces.parser))
        fail_msg("in one piece %u %d, in two %u %d: %.*s", whole.progress, whole.status,
                 pieces.progress, pieces.status, BYTES_FMT(text));
    if (whole.progress == HTTP_COMPLETE && !same_requests(&whole.rq, &pieces.rq))
        fail_msg("read as two different requests: %.*s", BYTES_FMT(text));
    return http_plain_head(text.ptr, 0, text.len, &head) > 0;
}

static int setup(void **state)
{
    (void)state;
    whole.parser = http_parser_new();
    pieces.parser = http_parser_new();
    buf_init(&whole.in, 100000);
    buf_init(&pieces.in, 100000);
    return whole.parser == NULL || pieces.parser == NULL;
}

static int teardown(void **state)
{
    (void)state;
    http_parser_free(whole.parser);
    http_parser_free(pieces.parser);
    buf_release(&whole.in);
    buf_release(&pieces.in);
    return 0;
}

/* Every byte of a head becomes every other one, goes away, and gets every other one before it. */
static void no_head_is_read_otherwise(void **state)
{
    static const char base[] = START "Host: a:1\r\nContent-Length: 12\r\nConnection: keep-alive\r\n"
                                     "Expect: 100-continue\r\nX-B_1:  c d \r\nE:\r\n\r\n"
                                     "{\"a\":\"bcde\"}";
    const size_t      len = sizeof base - 1;
    uint8_t           text[sizeof base + 1];
    size_t            plain_ones = 0;

    (void)state;
    assert_true(check_text(bytes_of(base, len)));
    for (size_t at = 0; at <= len; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(text, base, at);
            text[at] = (uint8_t)c;
            memcpy(text + at + 1, base + at, len - at);
            plain_ones += check_text(bytes_of(text, len + 1));
            if (at == len)
                continue;
            memcpy(text + at + 1, base + at + 1, len - at - 1);
            plain_ones += check_text(bytes_of(text, len));
        }
        if (at < len) {
            memcpy(text + at, base + at + 1, len - at - 1);
            plain_ones += check_text(bytes_of(text, len - 1));
        }
    }
    assert_true(plain_ones > 10000); /* of some 70,000 */
}

static void the_lists_are_read_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        assert_true(check_text(bytes_str(plain[i])));
    for (size_t i = 0; i < ARRAY_LEN(not_plain); i++)
        assert_false(check_text(bytes_str(not_plain[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_of_sdks_are_plain),
        cmocka_unit_test(too_many_headers_are_not_plain),
        cmocka_unit_test_setup_teardown(no_head_is_read_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(the_lists_are_read_alike, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
