/* http/parse.c - one request out of bytes; see http.h. The only user of llhttp.
 *
 * llhttp reads the head; the body is a length and needs no parser. llhttp is strict about most of
 * what makes two parsers disagree (RFC 9112 section 11), and what it tolerates is refused here:
 * several spaces in the request line, HTTP/0.9, other protocols, bare line ends before the request.
 *
 * Invariants:
 *   P1  The outcome depends on the bytes alone, never on the pieces they came in. llhttp reports a
 *       word when it is complete or the piece ends, and not at all when it is bad: so what is refused
 *       with a status of its own is looked at when a word is complete, and llhttp never sees a byte
 *       beyond LIMIT_HEAD_BYTES.
 *   P2  Positions are offsets into the input buffer, which may move while it grows; views are made
 *       when the request is complete.
 *   P3  A length is decided once, by Content-Length; a request with any Transfer-Encoding is refused.
 */
#include "http/http.h"

#include <assert.h>
#include <stdlib.h>

/* llhttp has names of its own for four that http.h defines. */
#define HTTP_GET     LLHTTP_GET
#define HTTP_HEAD    LLHTTP_HEAD
#define HTTP_POST    LLHTTP_POST
#define HTTP_OPTIONS LLHTTP_OPTIONS
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_OPTIONS

#include "json/read.h"

struct span {
    uint32_t at;
    uint32_t len;
};

struct http_parser {
    llhttp_t       ll;
    const uint8_t *base;     /* the input buffer during one call of llhttp               */
    size_t         fed;      /* bytes of it that llhttp has seen, or that were skipped   */
    size_t         head_len; /* 0 until the head is complete                             */
    size_t         body_len;
    struct span    method;
    struct span    target;
    struct span    version;
    size_t         n_headers;
    bool           version_ok;
    bool           in_header; /* a name has begun whose value is not complete             */
    bool           keep_alive;
    bool           wants_continue;
    int            refusal; /* status to answer with, once something was wrong          */
    struct {
        struct span name, value;
    } headers[LIMIT_HEADERS + 1]; /* the name of one too many is read and then refused       */
};

/* --- what llhttp reports ---------------------------------------------------------------------- */

static int refuse(struct http_parser *p, int status)
{
    p->refusal = status;
    return HPE_USER;
}

/* A span may come in pieces, which follow each other in the buffer. */
static void span_add(const struct http_parser *p, struct span *s, const char *at, size_t len)
{
    if (s->len == 0)
        s->at = (uint32_t)((const uint8_t *)at - p->base);
    s->len += (uint32_t)len;
}

static bool span_is(const struct http_parser *p, struct span s, const char *want)
{
    return bytes_eq_str(bytes_of(p->base + s.at, s.len), want);
}

static size_t span_end(struct span s)
{
    return (size_t)s.at + s.len;
}

static int on_method(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parser *p = ll->data;

    span_add(p, &p->method, at, len);
    return 0;
}

static int on_method_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    if (span_is(p, p->method, "PRI")) /* the preface of HTTP/2 */
        return refuse(p, 505);
    if (span_is(p, p->method, "CONNECT"))
        return refuse(p, 405);
    return 0;
}

static int on_target(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parser *p = ll->data;

    span_add(p, &p->target, at, len);
    if (p->target.at != span_end(p->method) + 1) /* one space, no more */
        return refuse(p, 400);
    return 0;
}

static int on_version(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parser *p = ll->data;

    span_add(p, &p->version, at, len);
    return 0;
}

/* One space, and the protocol that we speak: llhttp reads RTSP and ICE too. */
static bool before_version_ok(const struct http_parser *p, size_t version)
{
    static const char want[] = " HTTP/";
    const size_t      n = sizeof want - 1;

    return version == span_end(p->target) + n &&
           memcmp(p->base + span_end(p->target), want, n) == 0;
}

static int on_version_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    if (!before_version_ok(p, p->version.at))
        return refuse(p, 400);
    if (!span_is(p, p->version, "1.1") && !span_is(p, p->version, "1.0"))
        return refuse(p, 505);
    p->version_ok = true;
    return 0;
}

static int on_header_field(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parser *p = ll->data;

    if (p->version.len == 0) /* HTTP/0.9 has none */
        return refuse(p, 400);
    if (!p->in_header) {
        p->in_header = true;
        p->headers[p->n_headers].name = (struct span){ 0 };
        p->headers[p->n_headers].value = (struct span){ 0 };
    }
    span_add(p, &p->headers[p->n_headers].name, at, len);
    return 0;
}

static int on_header_field_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    return p->n_headers == LIMIT_HEADERS ? refuse(p, 431) : 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parser *p = ll->data;

    span_add(p, &p->headers[p->n_headers].value, at, len);
    return 0;
}

static int on_header_value_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    p->n_headers++;
    p->in_header = false;
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    if (p->version.len == 0)
        return refuse(p, 400);
    return HPE_PAUSED; /* the body is ours */
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_method_complete = on_method_complete,
    .on_url = on_target,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
};

/* --- making and clearing ---------------------------------------------------------------------- */

struct http_parser *http_parser_new(void)
{
    struct http_parser *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    llhttp_init(&p->ll, HTTP_REQUEST, &settings);
    p->ll.data = p;
    return p;
}

void http_parser_free(struct http_parser *p)
{
    free(p);
}

void http_parser_reset(struct http_parser *p)
{
    llhttp_reset(&p->ll);
    p->fed = 0;
    p->head_len = 0;
    p->body_len = 0;
    p->method = (struct span){ 0 };
    p->target = (struct span){ 0 };
    p->version = (struct span){ 0 };
    p->version_ok = false;
    p->n_headers = 0;
    p->in_header = false;
    p->refusal = 0;
}

bool http_head_complete(const struct http_parser *p)
{
    return p->head_len > 0;
}

size_t http_head_len(const struct http_parser *p)
{
    return p->head_len;
}

bool http_wants_continue(const struct http_parser *p)
{
    return p->head_len > 0 && p->wants_continue;
}

/* --- checks of a complete head ---------------------------------------------------------------- */

static struct bytes trimmed(const uint8_t *base, struct span s)
{
    struct bytes v = bytes_of(base + s.at, s.len);

    while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

/* The headers that say how a request is to be read: how many there are, and what the last one says. */
struct framing {
    size_t       hosts, lengths, codings, expectations;
    struct bytes host, expectation;
};

static void framing_find(const struct http_parser *p, struct framing *ret)
{
    for (size_t i = 0; i < p->n_headers; i++) {
        struct span  s = p->headers[i].name;
        struct bytes name = bytes_of(p->base + s.at, s.len);
        if (http_name_equals(name, BYTES_LIT("host"))) {
            ret->host = trimmed(p->base, p->headers[i].value);
            ret->hosts++;
        } else if (http_name_equals(name, BYTES_LIT("expect"))) {
            ret->expectation = trimmed(p->base, p->headers[i].value);
            ret->expectations++;
        }
        ret->lengths += http_name_equals(name, BYTES_LIT("content-length"));
        ret->codings += http_name_equals(name, BYTES_LIT("transfer-encoding"));
    }
}

/* uri-host [":" port], by its characters (RFC 9110 section 7.2, RFC 3986 section 3.2.2). */
static bool host_ok(struct bytes host)
{
    static const char others[] = "-._~!$&'()*+,;=:[]%";

    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        bool    usual = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= ':');
        if ((!usual || c == '/') && (c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

/* Origin form only: absolute and authority form are for proxies, and a path that some other server
 * reads from an absolute target would be a second reading. */
static bool target_ok(struct bytes target)
{
    if (target.len == 0 || target.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    }
    return true;
}

/* 0, or the status to refuse with. */
static int check_length(struct http_parser *p, const struct framing *found)
{
    if (found->codings > 0) /* P3 */
        return found->lengths > 0 ? 400 : 501;
    if (found->lengths > 1)
        return 400;
    if (found->lengths == 0)
        return span_is(p, p->method, "POST") ? 411 : 0;
    if (p->ll.content_length > LIMIT_BODY_BYTES)
        return 413;
    p->body_len = (size_t)p->ll.content_length;
    return 0;
}

static int check_head(struct http_parser *p)
{
    struct framing found = { 0 };
    bool           http11 = span_is(p, p->version, "1.1");

    framing_find(p, &found);
    if (found.hosts > 1 || (found.hosts == 0 && http11) || !host_ok(found.host))
        return 400;
    if (!target_ok(bytes_of(p->base + p->target.at, p->target.len)))
        return 400;
    int status = check_length(p, &found);
    if (status != 0)
        return status;

    p->keep_alive = http11 && llhttp_should_keep_alive(&p->ll) != 0;
    p->wants_continue = false;
    if (http11 && found.expectations > 0) {
        if (!http_name_is(found.expectation, "100-continue"))
            return 417;
        p->wants_continue = true;
    }
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Which refusal an error of llhttp at in[bad] is. A word that could be a method but is none is "not
 * implemented" (RFC 9110 section 9.1), other numbers than 1.0 and 1.1 are other versions, and what is
 * left is not HTTP. */
static int status_of_error(const struct http_parser *p, enum llhttp_errno err, size_t bad,
                           size_t end)
{
    uint8_t before = bad > 0 ? p->base[bad - 1] : 0;

    if (err == HPE_INVALID_METHOD && bad < end && token_char(p->base[bad]))
        return 501;
    if (err == HPE_INVALID_VERSION && !p->version_ok && before >= '0' && before <= '9' &&
        before_version_ok(p, span_end(p->target) + strlen(" HTTP/")))
        return 505;
    return 400;
}

/* One empty line before a request is allowed (RFC 9112 section 2.2); llhttp would take any number and
 * bare line ends. Sets `fed` to where the request begins. */
static enum http_progress skip_empty_line(struct http_parser *p, const struct buf *in)
{
    if (in->len == 0)
        return HTTP_MORE;
    size_t at = 0;
    if (in->ptr[0] == '\r') {
        if (in->len < 2)
            return HTTP_MORE;
        at = 2;
    }
    if ((at == 2 && in->ptr[1] != '\n') ||
        (at < in->len && (in->ptr[at] == '\r' || in->ptr[at] == '\n'))) {
        p->refusal = 400;
        return HTTP_REFUSED;
    }
    if (at == in->len)
        return HTTP_MORE;
    p->fed = at;
    return HTTP_COMPLETE;
}

/* llhttp has seen in[0..end) and wants more: is there a reason not to wait for it? */
static enum http_progress head_goes_on(struct http_parser *p, const struct buf *in, size_t end)
{
    size_t after = span_end(p->target);

    p->fed = end;
    if (p->target.len > 0 && after < end && in->ptr[after] != ' ')
        p->refusal = 400; /* HTTP/0.9: the line ends after the target */
    else if (end == LIMIT_HEAD_BYTES)
        p->refusal = p->version.len == 0 ? 414 : 431;
    return p->refusal == 0 ? HTTP_MORE : HTTP_REFUSED;
}

/* Reads on in the head: HTTP_COMPLETE when it is complete and good. */
static enum http_progress read_head(struct http_parser *p, const struct buf *in)
{
    if (p->fed == 0) {
        enum http_progress progress = skip_empty_line(p, in);
        if (progress != HTTP_COMPLETE)
            return progress;
    }
    size_t end = in->len < LIMIT_HEAD_BYTES ? in->len : LIMIT_HEAD_BYTES; /* P1 */
    p->base = in->ptr;
    enum llhttp_errno err = llhttp_execute(&p->ll, (const char *)in->ptr + p->fed, end - p->fed);
    if (err == HPE_OK)
        return head_goes_on(p, in, end);

    const uint8_t *stop = (const uint8_t *)llhttp_get_error_pos(&p->ll);
    if (p->refusal == 0 && err != HPE_PAUSED)
        p->refusal = status_of_error(p, err, (size_t)(stop - in->ptr), end);
    if (p->refusal == 0)
        p->refusal = check_head(p);
    if (p->refusal != 0)
        return HTTP_REFUSED;
    p->head_len = (size_t)(stop - in->ptr);
    p->fed = p->head_len;
    assert(p->head_len >= 4 && memcmp(stop - 4, "\r\n\r\n", 4) == 0);
    return HTTP_COMPLETE;
}

static enum http_method method_of(struct bytes name)
{
    static const struct {
        const char      *name;
        enum http_method method;
    } methods[] = {
        { "POST", HTTP_POST },
        { "GET", HTTP_GET },
        { "HEAD", HTTP_HEAD },
        { "OPTIONS", HTTP_OPTIONS },
    };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (bytes_eq_str(name, methods[i].name))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

static void fill(const struct http_parser *p, const struct buf *in, struct http_request *rq)
{
    rq->method_text = bytes_of(in->ptr + p->method.at, p->method.len);
    rq->method = method_of(rq->method_text);
    rq->target = bytes_of(in->ptr + p->target.at, p->target.len);
    rq->query = rq->target;
    if (!bytes_cut(&rq->query, '?', &rq->path)) {
        rq->path = rq->target;
        rq->query = (struct bytes){ NULL, 0 };
    }
    rq->n_headers = p->n_headers;
    for (size_t i = 0; i < p->n_headers; i++) {
        struct span name = p->headers[i].name;
        rq->headers[i].name = bytes_of(in->ptr + name.at, name.len);
        rq->headers[i].value = trimmed(in->ptr, p->headers[i].value);
    }
    rq->body = in->ptr + p->head_len;
    rq->body_len = p->body_len;
    rq->keep_alive = p->keep_alive;
}

static enum http_progress read_request(struct http_parser *p, struct buf *in)
{
    bool head_now = p->head_len == 0;

    if (p->refusal != 0)
        return HTTP_REFUSED;
    if (head_now) {
        enum http_progress progress = read_head(p, in);
        if (progress != HTTP_COMPLETE)
            return progress;
    }
    if (in->len - p->head_len < p->body_len)
        return head_now ? HTTP_HEAD_READ : HTTP_MORE;
    if (!buf_reserve(in, JSON_PADDING)) {
        p->refusal = 503; /* out of memory */
        return HTTP_REFUSED;
    }
    return HTTP_COMPLETE;
}

enum http_progress http_parse(struct http_parser *p, struct buf *in, struct http_request *ret,
                              size_t *ret_used, int *ret_status)
{
    enum http_progress progress = read_request(p, in);

    if (progress == HTTP_COMPLETE) {
        fill(p, in, ret);
        *ret_used = p->head_len + p->body_len;
    } else if (progress == HTTP_REFUSED) {
        *ret_status = p->refusal;
    } else if (progress == HTTP_HEAD_READ) {
        ret->body_len = p->body_len;
    }
    return progress;
}
