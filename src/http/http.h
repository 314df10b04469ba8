/* http/http.h - strict HTTP/1.1: one request out of bytes, one answer into bytes (llhttp inside).
 *
 * One request, one reading: Content-Length bodies only, no Transfer-Encoding, no obsolete folding, no
 * bare CR or LF, no space before the colon, one Host, no second Content-Length, HTTP/1.0 and 1.1 only.
 * Whatever could be read two ways is refused and the connection closed (RFC 9112 sections 6, 11.2).
 * No I/O here: listener/ feeds bytes.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

struct http_header {
    struct bytes name;  /* as sent; compare with http_name_is or http_name_equals */
    struct bytes value; /* without surrounding white space    */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

/* A complete request. Views into the connection's input buffer: valid until it is consumed. */
struct http_request {
    enum http_method   method;
    struct bytes       method_text;
    struct bytes       target; /* as sent: path and query */
    struct bytes       path;
    struct bytes       query; /* without '?'; len 0 if none */
    struct http_header headers[LIMIT_HEADERS];
    size_t             n_headers;
    uint8_t           *body; /* followed by JSON_PADDING writable bytes (json/read.h) */
    size_t             body_len;
    bool               keep_alive; /* false: say so in the answer (http_answer.close)       */
};

/* Is `name`, the letters of ASCII in either case, `want`, which is in lower case and as long? */
bool http_name_same(struct bytes name, struct bytes want);
/* Likewise with any lengths. Asked a hundred times for each request, and mostly answered by them. */
static inline bool http_name_equals(struct bytes name, struct bytes want)
{
    return name.len == want.len && http_name_same(name, want);
}
static inline bool http_name_is(struct bytes name, const char *want)
{
    return http_name_equals(name, bytes_str(want));
}

/* First header of this name, which is given in lower case; {NULL, 0} if absent. */
struct bytes http_header_named(const struct http_request *rq, struct bytes name);
static inline struct bytes http_header(const struct http_request *rq, const char *name)
{
    return http_header_named(rq, bytes_str(name));
}

struct http_parser;
struct http_parser *http_parser_new(void);
void http_parser_free(struct http_parser *p);

enum http_progress {
    HTTP_MORE,      /* needs more bytes                                            */
    HTTP_HEAD_READ, /* head complete, body still coming (reported once): ret->body_len is set */
    HTTP_COMPLETE,  /* one request read; *ret_used bytes belong to it               */
    HTTP_REFUSED,   /* answer with *ret_status (400, 405, 411, 413, 414, 417, 431, 501, 503, 505)
                    * and close                                                            */
};
/* Looks at the input buffer from its start; called again with the same buffer grown. `in` must keep
 * JSON_PADDING bytes of room after the body (the parser reserves it). On HTTP_COMPLETE *ret is filled
 * with views into `in`; the caller consumes *ret_used bytes when it has answered, then calls
 * http_parser_reset. */
enum http_progress http_parse(struct http_parser *p, struct buf *in, struct http_request *ret,
                              size_t *ret_used, int *ret_status);
void http_parser_reset(struct http_parser *p);
bool http_head_complete(const struct http_parser *p);
size_t http_head_len(const struct http_parser *p); /* with its empty line; 0 until it is complete */
/* The head is complete and says "Expect: 100-continue": the client waits for HTTP_CONTINUE before it
 * sends the body. */
bool http_wants_continue(const struct http_parser *p);
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* --- answers ------------------------------------------------------------------------------------- */

struct http_answer {
    int          status;
    const char  *content_type;   /* NULL: none                                            */
    char         request_id[37]; /* x-amzn-RequestId, and nothing may cache; empty: none   */
    bool         close;          /* Connection: close                                     */
    bool         head;           /* answer to HEAD: as with the body, without it          */
    bool         cors;           /* Access-Control-Allow-Origin: * and the exposed headers */
    const char  *extra;          /* further header lines, each ending in CRLF; NULL: none  */
    struct bytes body;
};
/* Appends head and body. `date` is 29 characters (date_http_write), kept by the caller per second. */
void http_answer_add(struct buf *out, const struct http_answer *a, const char date[29]);
/* The preflight answer of kms-behaviour 1.7 for OPTIONS; echoes Access-Control-Request-Headers if it
 * consists of token characters, commas and spaces only. */
void http_preflight_add(struct buf *out, const struct http_request *rq, const char date[29]);
/* A bare refusal without body: status line, Date, Content-Length: 0, Connection: close. */
void http_refusal_add(struct buf *out, int status, const char date[29]);
/* {"__type":"...","message":"..."}: body of a KMS error. */
void http_error_body(struct buf *out, const struct kms_error *err);
