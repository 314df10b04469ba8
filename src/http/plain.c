/* http/plain.c - the head that nearly every request has, without llhttp; see inside.h.
 *
 * llhttp looks at every byte through a table of states, which costs more than anything else before the
 * signature. What is read here is a small part of the heads that it takes, and read as it reads them:
 *
 *   - "POST / HTTP/1.1" first,
 *   - names of letters, digits, '-' and '_', at once followed by a colon,
 *   - values of printable ASCII, no tabs, no folding, at most LIMIT_HEADERS of them,
 *   - CRLF at the end of every line and no CR or LF anywhere else,
 *   - no header that changes how the message is read but Content-Length, of at most seven digits, and
 *     Connection, which may only say "keep-alive".
 *
 * All else is left to llhttp, from the first byte on. A head that comes in pieces is, too, so that the
 * tests of parse.c's P1 and fuzz_http compare the two readings of every head.
 */
#include <endian.h>

#include "http/inside.h"

enum { WORD = sizeof(uint64_t) };

static bool name_char(uint8_t c)
{
    uint8_t lower = c | ('a' - 'A');

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* The first place from `at` on where no printable ASCII stands: eight bytes at a time. A byte below ' '
 * borrows, one from 0x7f on reaches 0x80 or, less ' ', still has that bit; the lowest byte with it is
 * right, since borrow and carry go upwards. */
static size_t printable_end(const uint8_t *text, size_t at, size_t end)
{
    const uint64_t each = 0x0101010101010101;

    while (end - at >= WORD) {
        uint64_t v;
        memcpy(&v, text + at, sizeof v);
        v = le64toh(v);
        uint64_t other = ((v - each * ' ') | (v + each)) & each * 0x80;
        if (other != 0)
            return at + (size_t)__builtin_ctzll(other) / 8;
        at += WORD;
    }
    while (at < end && text[at] >= ' ' && text[at] <= '~')
        at++;
    return at;
}

/* One to seven digits, perhaps with blanks behind them. */
static bool read_length(struct bytes value, uint64_t *ret)
{
    uint64_t v = 0;

    while (value.len > 0 && value.ptr[value.len - 1] == ' ')
        value.len--;
    if (value.len == 0 || value.len > 7)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

/* Headers that say how the message is read. */
static bool take_meaning(struct bytes name, struct bytes value, struct http_head *head)
{
    if (http_name_is(name, "content-length"))
        return read_length(value, &head->content_length);
    if (http_name_is(name, "connection"))
        return http_name_is(value, "keep-alive");
    return !http_name_is(name, "transfer-encoding") && !http_name_is(name, "upgrade") &&
           !http_name_is(name, "proxy-connection");
}

/* One line with a header: where the next one begins, or 0. */
static size_t read_line(const uint8_t *text, size_t at, size_t end, struct http_head *head)
{
    size_t name = at;

    while (at < end && name_char(text[at]))
        at++;
    size_t name_end = at;
    if (at == name || at == end || text[at] != ':' || head->n_headers == LIMIT_HEADERS)
        return 0;
    do
        at++;
    while (at < end && text[at] == ' ');
    size_t value = at;
    at = printable_end(text, at, end);
    if (end - at < 2 || text[at] != '\r' || text[at + 1] != '\n')
        return 0;
    if (!take_meaning(bytes_of(text + name, name_end - name), bytes_of(text + value, at - value),
                      head))
        return 0;
    head->headers[head->n_headers].name = (struct span){ (uint32_t)name,
                                                         (uint32_t)(name_end - name) };
    head->headers[head->n_headers].value = (struct span){ (uint32_t)value, (uint32_t)(at - value) };
    head->n_headers++;
    return at + 2;
}

size_t http_plain_head(const uint8_t *text, size_t at, size_t end, struct http_head *ret)
{
    const struct bytes start = BYTES_LIT("POST / HTTP/1.1\r\n");
    size_t             line = at + start.len;

    ret->n_headers = 0;
    if (!bytes_starts(bytes_of(text + at, end - at), start))
        return 0;
    ret->content_length = 0;
    while (line != 0 && line < end && text[line] != '\r')
        line = read_line(text, line, end, ret);
    if (line == 0 || end - line < 2 || text[line + 1] != '\n') {
        ret->n_headers = 0;
        return 0;
    }
    ret->method = (struct span){ (uint32_t)at, sizeof "POST" - 1 };
    ret->target = (struct span){ (uint32_t)at + sizeof "POST " - 1, sizeof "/" - 1 };
    ret->version = (struct span){ (uint32_t)at + sizeof "POST / HTTP/" - 1, sizeof "1.1" - 1 };
    ret->keep_alive = true;
    return line + 2;
}
