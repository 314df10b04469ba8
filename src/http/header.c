/* http/header.c - finding headers; see http.h. */
#include "http/http.h"

enum { WORD = sizeof(uint64_t) };

static uint64_t word_at(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof v);
    return v;
}

/* Eight bytes with the letters among them in lower case: each without its highest bit, so that adding
 * does not carry into the next; where it reaches 0x80 from 'A' on but not yet from 'Z' + 1 on, and
 * the byte had no highest bit, a letter in upper case stands there. */
static uint64_t lower_word(uint64_t v)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t       low = v & each * 0x7f;
    uint64_t       upper = (low + each * (0x80 - 'A')) ^ (low + each * (0x80 - 'Z' - 1));

    return v | (upper & ~v & each * 0x80) >> 2;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

bool http_name_same(struct bytes name, struct bytes want)
{
    size_t at = 0;

    if (want.len < WORD) {
        while (at < want.len && lower(name.ptr[at]) == want.ptr[at])
            at++;
        return at == want.len;
    }
    /* the last word begins inside the one before, unless they divide the length */
    for (; at + WORD < want.len; at += WORD) {
        if (lower_word(word_at(name.ptr + at)) != word_at(want.ptr + at))
            return false;
    }
    at = want.len - WORD;
    return lower_word(word_at(name.ptr + at)) == word_at(want.ptr + at);
}

struct bytes http_header_named(const struct http_request *rq, struct bytes name)
{
    for (size_t i = 0; i < rq->n_headers; i++) {
        if (http_name_equals(rq->headers[i].name, name))
            return rq->headers[i].value;
    }
    return (struct bytes){ NULL, 0 };
}
