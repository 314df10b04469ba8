/* http/inside.h - what the files of this folder share; nobody else includes it. */
#pragma once

#include "http/http.h"

/* A part of the input buffer, which may move while it grows. */
struct span {
    uint32_t at;
    uint32_t len;
};

static inline size_t span_end(struct span s)
{
    return (size_t)s.at + s.len;
}

/* A head taken apart, not yet judged. */
struct http_head {
    struct span method;
    struct span target;
    struct span version; /* "1.1" */
    size_t      n_headers;
    uint64_t    content_length; /* 0 without that header */
    bool        keep_alive;     /* says the head, of a request in HTTP/1.1 */
    struct {
        struct span name, value;
    } headers[LIMIT_HEADERS + 1]; /* the name of one too many is read and then refused */
};

/* Reads the head that begins at text[at], before text[end], if it is of the plainest form: the one that
 * SDKs send, in which nothing can be read in two ways. Returns where it ends, behind its empty line, and
 * fills *ret as llhttp's reading of it would; 0, and no headers in *ret, if it is of any other form or
 * not complete, which decides nothing about it. */
size_t http_plain_head(const uint8_t *text, size_t at, size_t end, struct http_head *ret);
