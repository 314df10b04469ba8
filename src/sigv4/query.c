/* sigv4/query.c - query parameters: splitting, decoding, and their canonical encoding and order.
 *
 * Parameters are compared and written from the text as sent, byte by decoded byte, so that sorting
 * needs no memory of its own. '+' is a plus sign, not a space, as SigV4 has it. */
#include "sigv4/inside.h"

#include "base/encode.h"

bool query_next(struct bytes *rest, struct query_param *ret)
{
    while (rest->len > 0) {
        struct bytes value = { NULL, 0 };

        if (!bytes_cut(rest, '&', &value)) {
            value = *rest;
            *rest = (struct bytes){ NULL, 0 };
        }
        if (value.len == 0)
            continue;
        if (!bytes_cut(&value, '=', &ret->name)) {
            ret->name = value;
            value = (struct bytes){ NULL, 0 };
        }
        ret->value = value;
        return true;
    }
    return false;
}

bool query_well_formed(struct bytes query)
{
    uint8_t c;

    for (size_t i = 0; i < query.len; i++) {
        if (query.ptr[i] != '%')
            continue;
        if (query.len - i < 3 || !hex_read(bytes_of(query.ptr + i + 1, 2), &c, 1))
            return false;
    }
    return true;
}

/* Takes one decoded byte off `rest`, which is not empty. A '%' that starts no escape stands for
 * itself; where that matters query_well_formed has refused it. */
static uint8_t next_decoded(struct bytes *rest)
{
    uint8_t c = rest->ptr[0];
    size_t  n = 1;

    if (c == '%' && rest->len >= 3 && hex_read(bytes_of(rest->ptr + 1, 2), &c, 1))
        n = 3;
    rest->ptr += n;
    rest->len -= n;
    return c;
}

bool query_is(struct bytes raw, const char *name)
{
    while (raw.len > 0 && *name != '\0') {
        if (next_decoded(&raw) != (uint8_t)*name++)
            return false;
    }
    return raw.len == 0 && *name == '\0';
}

bool uri_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* Where the encoding of a byte sorts: '%' is less than every unreserved character, and among
 * themselves escapes sort as the numbers that they are. */
static int rank(uint8_t c)
{
    return uri_unreserved(c) ? 256 + c : c;
}

static int encoded_order(struct bytes a, struct bytes b)
{
    while (a.len > 0 && b.len > 0) {
        int diff = rank(next_decoded(&a)) - rank(next_decoded(&b));

        if (diff != 0)
            return diff;
    }
    return (a.len > 0) - (b.len > 0);
}

int query_order(const struct query_param *a, const struct query_param *b)
{
    int diff = encoded_order(a->name, b->name);

    return diff != 0 ? diff : encoded_order(a->value, b->value);
}

void uri_add_escaped(struct buf *out, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t           text[3] = { '%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15] };

    buf_add(out, bytes_of(text, sizeof text));
}

void query_add_canonical(struct buf *out, struct bytes raw)
{
    while (raw.len > 0) {
        uint8_t c = next_decoded(&raw);

        if (uri_unreserved(c))
            buf_add_byte(out, c);
        else
            uri_add_escaped(out, c);
    }
}

struct bytes query_decode(struct buf *scratch, struct bytes raw)
{
    size_t start = scratch->len;

    while (raw.len > 0)
        buf_add_byte(scratch, next_decoded(&raw));
    if (!buf_ok(scratch))
        return (struct bytes){ NULL, 0 };
    return bytes_of(scratch->ptr + start, scratch->len - start);
}
