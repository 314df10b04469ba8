/* HTTP requests out of bytes: what is read, what is refused with which status, and that it does not
 * matter in which pieces the bytes come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http.h"
#include "json/read.h"

#define H "Host: a\r\n"

enum { INPUT_MAX = LIMIT_HEAD_BYTES + LIMIT_BODY_BYTES + 64 };

struct outcome {
    enum http_progress  progress;
    int                 status;
    size_t              used;
    size_t              given; /* bytes that had been delivered */
    bool                head_read;
    bool                wants_continue;
    struct http_request rq;
    struct buf          in;
    struct http_parser *parser;
};

static void outcome_done(struct outcome *o)
{
    buf_release(&o->in);
    http_parser_free(o->parser);
    free(o);
}

/* Delivers `text` in pieces of `piece` bytes until the parser has made up its mind. */
static struct outcome *deliver(struct bytes text, size_t piece)
{
    struct outcome *o = calloc(1, sizeof *o);

    assert_non_null(o);
    buf_init(&o->in, INPUT_MAX);
    o->parser = http_parser_new();
    assert_non_null(o->parser);
    while (o->given < text.len) {
        size_t n = text.len - o->given < piece ? text.len - o->given : piece;
        buf_add(&o->in, bytes_of(text.ptr + o->given, n));
        assert_true(buf_ok(&o->in));
        o->given += n;
        o->progress = http_parse(o->parser, &o->in, &o->rq, &o->used, &o->status);
        o->head_read |= o->progress == HTTP_HEAD_READ;
        o->wants_continue |= http_wants_continue(o->parser);
        if (o->progress == HTTP_COMPLETE || o->progress == HTTP_REFUSED)
            break;
    }
    return o;
}

static const size_t pieces[] = { SIZE_MAX, 1, 2, 3, 7, 61 };

static void refused_bytes(const char *what, struct bytes text, int status)
{
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct outcome *o = deliver(text, pieces[i]);
        if (o->progress != HTTP_REFUSED || o->status != status)
            fail_msg("'%s' in pieces of %zu: progress %u, status %d instead of %d", what, pieces[i],
                     o->progress, o->status, status);
        /* and it stays refused, whatever comes */
        buf_add_str(&o->in, "GET / HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(http_parse(o->parser, &o->in, &o->rq, &o->used, &o->status), HTTP_REFUSED);
        assert_int_equal(o->status, status);
        outcome_done(o);
    }
}

static void refused(const char *text, int status)
{
    refused_bytes(text, bytes_str(text), status);
}

static struct outcome *complete(struct bytes text, size_t piece, size_t used)
{
    struct outcome *o = deliver(text, piece);

    if (o->progress != HTTP_COMPLETE || o->used != used)
        fail_msg("'%.*s' in pieces of %zu: progress %u status %d used %zu, wanted %zu",
                 BYTES_FMT(text), piece, o->progress, o->status, o->used, used);
    assert_true(o->in.cap >= o->used + JSON_PADDING);
    return o;
}

/* --- what is read ------------------------------------------------------------------------------- */

static void a_request_is_read_in_any_pieces(void **state)
{
    static const char text[] =
        "POST /a/b?x=1&y HTTP/1.1\r\nHost: kms.example:8080\r\n"
        "X-Amz-Target: \t TrentService.Encrypt \t\r\nEmpty:\r\nBlank: \t \r\n"
        "content-LENGTH: 12\r\n\r\n{\"a\":\"\r\n\r\n\"}GET / HTTP/1.1\r\n";
    struct bytes all = bytes_of(text, sizeof text - 1);
    size_t       used = all.len - strlen("GET / HTTP/1.1\r\n");

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct outcome *o = complete(all, pieces[i], used);
        assert_int_equal(o->rq.method, HTTP_POST);
        assert_true(bytes_eq_str(o->rq.method_text, "POST"));
        assert_true(bytes_eq_str(o->rq.target, "/a/b?x=1&y"));
        assert_true(bytes_eq_str(o->rq.path, "/a/b"));
        assert_true(bytes_eq_str(o->rq.query, "x=1&y"));
        assert_int_equal(o->rq.n_headers, 5);
        assert_true(bytes_eq_str(http_header(&o->rq, "host"), "kms.example:8080"));
        assert_true(bytes_eq_str(http_header(&o->rq, "x-amz-target"), "TrentService.Encrypt"));
        assert_true(bytes_eq_str(o->rq.headers[1].name, "X-Amz-Target"));
        assert_int_equal(http_header(&o->rq, "empty").len, 0);
        assert_non_null(http_header(&o->rq, "empty").ptr);
        assert_int_equal(http_header(&o->rq, "blank").len, 0);
        assert_null(http_header(&o->rq, "absent").ptr);
        assert_int_equal(o->rq.body_len, 12);
        assert_memory_equal(o->rq.body, "{\"a\":\"\r\n\r\n\"}", 12);
        assert_true(o->rq.keep_alive);
        assert_true(http_head_complete(o->parser));
        outcome_done(o);
    }
}

static void methods_targets_and_persistence(void **state)
{
    static const struct {
        const char      *text;
        enum http_method method;
        const char      *path;
        const char      *query;
        bool             keep_alive;
    } cases[] = {
        { "GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", true },
        { "HEAD /x HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, "/x", "", true },
        { "OPTIONS /?a?b HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "/", "a?b", true },
        { "DELETE /?  HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, NULL, NULL, true },
        { "PUT /%20%zz//..|\"<> HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "/%20%zz//..|\"<>", "", true },
        { "PATCH / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "/", "", true },
        { "\r\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", true },
        { "GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", "", false },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HTTP_GET, "/", "", false },
        { "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", HTTP_GET, "/", "", false },
        { "GET / HTTP/1.1\r\n" H "Connection: x\r\nconnection: y, CLOSE\r\n\r\n", HTTP_GET, "/", "",
          false },
        { "GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\n\r\n", HTTP_GET, "/", "", true },
        { "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", HTTP_GET, "/", "",
          true },
        { "GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_GET, "/", "", true },
        { "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", HTTP_GET, "/", "", true },
        { "GET / HTTP/1.1\r\n" H "X: caf\xc3\xa9\r\n\r\n", HTTP_GET, "/", "", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].path == NULL) {
            refused(cases[i].text, 400);
            continue;
        }
        struct outcome *o = complete(bytes_str(cases[i].text), 1, strlen(cases[i].text));
        if (o->rq.method != cases[i].method || o->rq.keep_alive != cases[i].keep_alive ||
            !bytes_eq_str(o->rq.path, cases[i].path) || !bytes_eq_str(o->rq.query, cases[i].query))
            fail_msg("'%s' was read otherwise", cases[i].text);
        outcome_done(o);
    }
}

static void a_body_without_post_is_read_too(void **state)
{
    struct outcome *o = complete(BYTES_LIT("GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nabc"),
                                 1, strlen("GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab"));

    (void)state;
    assert_int_equal(o->rq.body_len, 2);
    outcome_done(o);
    o = complete(BYTES_LIT("POST / HTTP/1.1\r\n" H "Content-Length: 0002 \r\n\r\nab"), 1,
                 strlen("POST / HTTP/1.1\r\n" H "Content-Length: 0002 \r\n\r\nab"));
    outcome_done(o);
}

static void requests_follow_each_other(void **state)
{
    static const char   text[] = "POST /1 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
                                 "GET /2 HTTP/1.1\r\n" H "\r\n"
                                 "\r\nPOST /3 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"
                                 "BAD\r\n";
    struct http_parser *p = http_parser_new();
    struct buf          in = BUF_INIT(INPUT_MAX);
    struct http_request rq;
    size_t              used = 0;
    int                 status = 0;

    (void)state;
    assert_non_null(p);
    buf_add_str(&in, text);
    for (char n = '1'; n <= '3'; n++) {
        assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_COMPLETE);
        assert_int_equal(rq.path.ptr[1], n);
        assert_int_equal(rq.body_len, n == '1' ? 3 : 0);
        buf_consume(&in, used);
        http_parser_reset(p);
        assert_false(http_head_complete(p));
    }
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_REFUSED);
    assert_int_equal(status, 501);
    http_parser_reset(p);
    buf_reset(&in);
    buf_add_str(&in, "GET /4 HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_COMPLETE);
    buf_release(&in);
    http_parser_free(p);
}

static void the_head_is_reported_before_the_body(void **state)
{
    static const char   head[] = "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n"
                                 "Content-Length: 4\r\n\r\n";
    struct http_parser *p = http_parser_new();
    struct buf          in = BUF_INIT(INPUT_MAX);
    struct http_request rq = { 0 };
    size_t              used = 0;
    int                 status = 0;

    (void)state;
    assert_non_null(p);
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_MORE);
    assert_false(http_wants_continue(p));
    buf_add_str(&in, head);
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_HEAD_READ);
    assert_int_equal(rq.body_len, 4);
    assert_int_equal(http_head_len(p), sizeof head - 1);
    assert_true(http_wants_continue(p));
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_MORE);
    buf_add_str(&in, "abc");
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_MORE);
    buf_add_str(&in, "d");
    assert_int_equal(http_parse(p, &in, &rq, &used, &status), HTTP_COMPLETE);
    http_parser_reset(p);
    assert_false(http_wants_continue(p));
    buf_release(&in);
    http_parser_free(p);
}

/* --- what is refused ---------------------------------------------------------------------------- */

/* Shapes that two parsers read differently: RFC 9112 section 11, and what is known from attacks. */
static void smuggling_shapes_are_refused(void **state)
{
    static const struct {
        int         status;
        const char *text;
    } cases[] = {
        /* two lengths */
        { 400, "POST / HTTP/1.1\r\n" H
               "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H
               "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n" },
        { 501, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n" },
        { 501, "GET / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H
               "Transfer-Encoding: chunked, x\r\nTransfer-Encoding : chunked\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\ncontent-length: 4\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc" },
        /* lengths that are not digits */
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3.0\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: \"3\"\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nabc" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\nabc" },
        { 413, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\nabc" },
        /* line ends */
        { 400, "GET / HTTP/1.1\n" H "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n" },
        { 400, "GET / HTTP/1.1\rHost: a\r\n\r\n" },
        { 400, "\nGET / HTTP/1.1\r\n" H "\r\n" },
        { 400, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
        { 400, "\rGET / HTTP/1.1\r\n" H "\r\n" },
        /* obsolete folding, and white space where none may be */
        { 400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc" },
        { 400, "GET  / HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET /  HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET / HTTP/1.1 \r\n" H "\r\n" },
        { 400, "GET\t/ HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET / a HTTP/1.1\r\n" H "\r\n" },
        { 400, " GET / HTTP/1.1\r\n" H "\r\n" },
        /* names and values */
        { 400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X\xff: b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X(y): b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n" },
        /* the host */
        { 400, "GET / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H H "\r\n" },
        { 400, "GET / HTTP/1.1\r\n" H "HOST: b\r\n\r\n" },
        { 400, "GET / HTTP/1.0\r\n" H H "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
        /* the target */
        { 400, "GET http://a/ HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET a HTTP/1.1\r\n" H "\r\n" },
        { 400, "OPTIONS * HTTP/1.1\r\n" H "\r\n" },
        { 405, "CONNECT a:443 HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET /#a HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n" },
        { 400, "GET /\x7f HTTP/1.1\r\n" H "\r\n" },
        /* other protocols and versions */
        { 400, "GET /\r\n" },
        { 400, "GET /\n" },
        { 400, "GET /\r\n" H "\r\n" },
        { 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
        { 505, "GET / HTTP/2.0\r\n" H "\r\n" },
        { 505, "GET / HTTP/0.9\r\n" H "\r\n" },
        { 505, "GET / HTTP/1.2\r\n" H "\r\n" },
        { 505, "GET / HTTP/1\r\n" H "\r\n" },
        { 505, "GET / HTTP/3\r\n" H "\r\n" },
        { 505, "GET / HTTP/11.1\r\n" H "\r\n" },
        { 400, "GET / HTTP/\r\n" H "\r\n" },
        { 400, "GET / HTTP/1.1x\r\n" H "\r\n" },
        { 400, "GET / HTTP/x.1\r\n" H "\r\n" },
        { 400, "GET / http/1.1\r\n" H "\r\n" },
        { 400, "GET / XTTP/1.1\r\n" H "\r\n" },
        { 400, "SOURCE / ICE/1.0\r\n" H "\r\n" },
        { 400, "ANNOUNCE / RTSP/1.0\r\n" H "\r\n" },
        { 400, "\x16\x03\x01\x02" },
        { 501, "get / HTTP/1.1\r\n" H "\r\n" },
        { 501, "BREW / HTTP/1.1\r\n" H "\r\n" },
        { 400, "G\xff" },
        /* bodies */
        { 411, "POST / HTTP/1.1\r\n" H "\r\n" },
        { 417, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].text, cases[i].status);
    refused_bytes("NUL in a value", BYTES_LIT("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), 400);
    refused_bytes("NUL in a name", BYTES_LIT("GET / HTTP/1.1\r\n" H "X\0: b\r\n\r\n"), 400);
    refused_bytes("NUL in the target", BYTES_LIT("GET /\0 HTTP/1.1\r\n" H "\r\n"), 400);
    refused_bytes("NUL in the method", BYTES_LIT("GE\0T / HTTP/1.1\r\n" H "\r\n"), 400);
    refused_bytes("NUL first", BYTES_LIT("\0GET / HTTP/1.1\r\n" H "\r\n"), 400);
}

/* --- limits ------------------------------------------------------------------------------------- */

static void the_number_of_headers_has_a_limit(void **state)
{
    (void)state;
    for (size_t n = LIMIT_HEADERS - 1; n <= LIMIT_HEADERS + 1; n++) {
        struct buf text = BUF_INIT(INPUT_MAX);
        buf_add_str(&text, "GET / HTTP/1.1\r\n" H);
        for (size_t i = 1; i < n; i++)
            buf_addf(&text, "X-%zu: %zu\r\n", i, i);
        buf_add_str(&text, "\r\n");
        if (n > LIMIT_HEADERS) {
            refused_bytes("101 headers", buf_bytes(&text), 431);
        } else {
            struct outcome *o = complete(buf_bytes(&text), 5, text.len);
            assert_int_equal(o->rq.n_headers, n);
            assert_true(bytes_eq_str(http_header(&o->rq, "x-7"), "7"));
            outcome_done(o);
        }
        buf_release(&text);
    }
}

/* A head of exactly `len` bytes, padded in the target or in a header. */
static struct buf head_of(size_t len, bool in_target)
{
    struct buf  text = BUF_INIT(INPUT_MAX);
    const char *rest = in_target ? " HTTP/1.1\r\n" H "\r\n" : "\r\n\r\n";

    buf_add_str(&text, in_target ? "GET /" : "GET / HTTP/1.1\r\n" H "X: ");
    while (text.len < len - strlen(rest))
        buf_add_byte(&text, 'a');
    buf_add_str(&text, rest);
    assert_int_equal(text.len, len);
    return text;
}

static void the_head_has_a_limit(void **state)
{
    (void)state;
    for (size_t len = LIMIT_HEAD_BYTES - 1; len <= LIMIT_HEAD_BYTES + 1; len++) {
        for (int in_target = 0; in_target < 2; in_target++) {
            struct buf text = head_of(len, in_target);
            if (len <= LIMIT_HEAD_BYTES)
                outcome_done(complete(buf_bytes(&text), 1000, len));
            else
                refused_bytes("long head", buf_bytes(&text), 431);
            buf_release(&text);
        }
    }
    struct buf text = head_of(2 * LIMIT_HEAD_BYTES, true);
    refused_bytes("long target", buf_bytes(&text), 414);
    /* what is wrong behind the limit is not looked at: the outcome is the same in one piece */
    buf_truncate(&text, 0);
    buf_add_str(&text, "GET / HTTP/1.1\r\n" H "X: ");
    while (text.len < LIMIT_HEAD_BYTES)
        buf_add_byte(&text, 'a');
    buf_add_byte(&text, 1);
    refused_bytes("long head with an error behind the limit", buf_bytes(&text), 431);
    buf_release(&text);
}

static void the_body_has_a_limit(void **state)
{
    (void)state;
    for (size_t len = LIMIT_BODY_BYTES - 1; len <= LIMIT_BODY_BYTES + 1; len++) {
        struct buf text = BUF_INIT(INPUT_MAX);
        buf_addf(&text, "POST / HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", len);
        if (len > LIMIT_BODY_BYTES) {
            refused_bytes("long body", buf_bytes(&text), 413);
        } else {
            while (text.len < len)
                buf_add(&text, BYTES_LIT("0123456789abcdef"));
            struct outcome *o = deliver(buf_bytes(&text), 4096);
            assert_true(o->head_read);
            outcome_done(o);
        }
        buf_release(&text);
    }
}

/* OpenSSH's habit: every truncation and every bit flip of a good request. No flip may change where
 * the request ends without changing Content-Length: that would be a second reading. */
static void damaged_requests_do_no_harm(void **state)
{
    static const char text[] = "POST /?a HTTP/1.1\r\n" H
                               "X-Amz-Target: T.E\r\nContent-Length: 2\r\n\r\n{}";
    size_t len = sizeof text - 1;
    char   copy[sizeof text];

    (void)state;
    for (size_t n = 0; n < len; n++) {
        struct outcome *o = deliver(bytes_of(text, n), SIZE_MAX);
        assert_true(o->progress == HTTP_MORE || o->progress == HTTP_HEAD_READ);
        outcome_done(o);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(copy, text, sizeof text);
        copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
        struct outcome *o = deliver(bytes_of(copy, len), SIZE_MAX);
        struct outcome *p = deliver(bytes_of(copy, len), 1);
        assert_int_equal(o->status, p->status);
        assert_int_equal(o->used, p->used);
        if (o->progress == HTTP_COMPLETE)
            assert_int_equal(o->used, len - 2 + o->rq.body_len);
        outcome_done(o);
        outcome_done(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_in_any_pieces),
        cmocka_unit_test(methods_targets_and_persistence),
        cmocka_unit_test(a_body_without_post_is_read_too),
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(the_head_is_reported_before_the_body),
        cmocka_unit_test(smuggling_shapes_are_refused),
        cmocka_unit_test(the_number_of_headers_has_a_limit),
        cmocka_unit_test(the_head_has_a_limit),
        cmocka_unit_test(the_body_has_a_limit),
        cmocka_unit_test(damaged_requests_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
