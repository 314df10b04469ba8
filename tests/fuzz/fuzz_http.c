/* One reading: the same bytes give the same requests and the same refusal whether they come at
 * once, one by one or in pieces of any size, with a parser that has read requests before or with a
 * new one for each; and every request is what splitting its head into lines gives. Were any of this
 * not so, a request could be smuggled past one of the readers.
 *
 * The first byte of the input chooses the pieces. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"
#include "json/read.h"

enum { STREAM_MAX = 512 * 1024, PLACE_MAX = 1024 * 1024 };

static void broken(const char *what)
{
    fprintf(stderr, "fuzz_http: %s\n", what);
    abort();
}

/* --- an independent, simple reading of a head ------------------------------------------------- */

static struct bytes without_blanks(struct bytes v)
{
    while (v.len > 0 && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = bytes_of(v.ptr + 1, v.len - 1);
    while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

static struct bytes line_of(struct bytes *in)
{
    struct bytes line;
    struct bytes lf;

    if (!bytes_cut(in, '\r', &line) || !bytes_take(in, 1, &lf) || lf.ptr[0] != '\n')
        broken("a line that does not end in CRLF");
    if (line.len > 0 && (memchr(line.ptr, '\n', line.len) != NULL || memchr(line.ptr, 0, line.len)))
        broken("a bare LF or NUL in a head");
    return line;
}

static void check_first_line(struct bytes line, const struct http_request *rq)
{
    struct bytes method;
    struct bytes target;

    if (!bytes_cut(&line, ' ', &method) || !bytes_cut(&line, ' ', &target))
        broken("a request line of less than three words");
    if (!bytes_eq(method, rq->method_text) || !bytes_eq(target, rq->target))
        broken("another method or target");
    if (!bytes_eq_str(line, "HTTP/1.1") && !bytes_eq_str(line, "HTTP/1.0"))
        broken("another version");
    if (rq->keep_alive && bytes_eq_str(line, "HTTP/1.0"))
        broken("HTTP/1.0 kept alive");
    if (rq->path.len + rq->query.len > rq->target.len || rq->path.ptr[0] != '/')
        broken("path and query");
}

static void check_length(struct bytes value, const struct http_request *rq)
{
    uint64_t length = 0;

    if (value.len == 0)
        broken("a Content-Length without digits");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9' || length > UINT32_MAX)
            broken("a Content-Length that is no number");
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    if (length != rq->body_len)
        broken("another length");
}

static void check_request(struct bytes raw, const struct http_request *rq)
{
    size_t lengths = 0;
    size_t hosts = 0;
    size_t n = 0;

    if (raw.len >= 2 && raw.ptr[0] == '\r' && raw.ptr[1] == '\n')
        raw = bytes_of(raw.ptr + 2, raw.len - 2);
    check_first_line(line_of(&raw), rq);
    for (struct bytes line = line_of(&raw); line.len > 0; line = line_of(&raw), n++) {
        struct bytes name;
        if (!bytes_cut(&line, ':', &name) || name.len == 0 || n == rq->n_headers)
            broken("a header that is none");
        struct bytes value = without_blanks(line);
        if (!bytes_eq(name, rq->headers[n].name) || !bytes_eq(value, rq->headers[n].value))
            broken("another header");
        if (http_name_is(name, "transfer-encoding"))
            broken("a Transfer-Encoding");
        hosts += http_name_is(name, "host");
        if (http_name_is(name, "content-length")) {
            lengths++;
            check_length(value, rq);
        }
    }
    if (n != rq->n_headers || lengths > 1 || hosts > 1 || (lengths == 0 && rq->body_len > 0))
        broken("another number of headers");
    if (rq->method == HTTP_POST && lengths == 0)
        broken("a POST without a length");
    if (raw.len != rq->body_len || (raw.len > 0 && raw.ptr != rq->body))
        broken("another body");
}

/* --- delivering ------------------------------------------------------------------------------- */

enum pieces { AT_ONCE, ONE_BY_ONE, ANY };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static size_t piece_len(enum pieces pieces, uint32_t *random)
{
    if (pieces == AT_ONCE)
        return SIZE_MAX;
    return pieces == ONE_BY_ONE ? 1 : 1 + next_random(random) % 40;
}

static void log_request(struct buf *log, const struct http_request *rq, size_t used)
{
    buf_addf(log, "used %zu keep %d method %d body %zu\n", used, rq->keep_alive, (int)rq->method,
             rq->body_len);
    buf_add_field(log, rq->target);
    for (size_t i = 0; i < rq->n_headers; i++) {
        buf_add_field(log, rq->headers[i].name);
        buf_add_field(log, rq->headers[i].value);
    }
    buf_add_field(log, bytes_of(rq->body, rq->body_len));
}

/* All requests that can be read out of `in` now; false when nothing may be read any more. */
static bool read_all(struct http_parser **p, struct buf *in, bool fresh, struct buf *log)
{
    static struct http_request rq;

    for (;;) {
        size_t             used = 0;
        int                status = 0;
        enum http_progress progress = http_parse(*p, in, &rq, &used, &status);
        if (progress == HTTP_MORE)
            return true;
        if (progress == HTTP_HEAD_READ) {
            if (!http_head_complete(*p))
                broken("a head that is complete and is not");
            continue;
        }
        if (progress == HTTP_REFUSED) {
            buf_addf(log, "refused %d\n", status);
            return false;
        }
        if (in->cap < used + JSON_PADDING)
            broken("no room for the padding");
        check_request(bytes_of(in->ptr, used), &rq);
        log_request(log, &rq, used);
        buf_consume(in, used);
        if (!rq.keep_alive)
            return false;
        if (fresh) {
            http_parser_free(*p);
            *p = http_parser_new();
        } else {
            http_parser_reset(*p);
        }
    }
}

static void deliver(struct bytes stream, enum pieces pieces, uint32_t random, bool fresh,
                    struct buf *log)
{
    struct http_parser *p = http_parser_new();
    struct buf          in = BUF_INIT(STREAM_MAX);
    bool                open = true;

    while (open && stream.len > 0) {
        size_t       n = piece_len(pieces, &random);
        struct bytes piece;
        if (!bytes_take(&stream, n < stream.len ? n : stream.len, &piece))
            broken("a piece");
        buf_add(&in, piece);
        open = read_all(&p, &in, fresh, log);
    }
    if (open)
        buf_addf(log, "%zu bytes left\n", in.len);
    if (!buf_ok(log))
        broken("the log of the outcomes is too small");
    buf_release(&in);
    http_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > STREAM_MAX / 2)
        return 0;
    struct bytes stream = bytes_of(data + 1, size - 1);
    struct buf   want = BUF_INIT(PLACE_MAX);
    struct buf   got = BUF_INIT(PLACE_MAX);

    deliver(stream, AT_ONCE, 0, false, &want);
    for (int fresh = 0; fresh < 2; fresh++) {
        for (enum pieces pieces = AT_ONCE; pieces <= ANY; pieces++) {
            buf_reset(&got);
            deliver(stream, pieces, data[0], fresh, &got);
            if (!bytes_eq(buf_bytes(&got), buf_bytes(&want)))
                broken("pieces of another size are read otherwise");
        }
    }
    buf_release(&want);
    buf_release(&got);
    return 0;
}
