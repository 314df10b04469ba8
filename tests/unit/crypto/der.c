/* tests/unit/crypto/der.c - see der.h. */
#include "der.h"

#include <stdlib.h>

enum { CONSTRUCTED = 0x20, PIECE = 7 };

void der_init(struct der *d)
{
    d->at = DER_ROOM;
    d->indefinite = false;
}

struct bytes der_bytes(const struct der *d)
{
    return bytes_of(d->b + d->at, DER_ROOM - d->at);
}

void der_put(struct der *d, struct bytes in)
{
    if (in.len > d->at)
        abort();
    d->at -= in.len;
    if (in.len > 0)
        memcpy(d->b + d->at, in.ptr, in.len);
}

static void put_byte(struct der *d, unsigned v)
{
    uint8_t c = (uint8_t)v;

    der_put(d, bytes_of(&c, 1));
}

static void put_head(struct der *d, uint8_t tag, size_t len)
{
    put_byte(d, len & 0xff);
    if (len >= 0x100)
        put_byte(d, len >> 8 & 0xff);
    if (len >= 0x80)
        put_byte(d, len >= 0x100 ? 0x82 : 0x81);
    put_byte(d, tag);
}

void der_element(struct der *d, uint8_t tag, struct bytes content)
{
    der_put(d, content);
    put_head(d, tag, content.len);
}

size_t der_begin(struct der *d, uint8_t tag)
{
    size_t end = d->at;

    if (d->indefinite && (tag & CONSTRUCTED) != 0)
        der_put(d, BYTES_LIT("\0\0"));
    return end;
}

/* An octet string of pieces: the content is taken away and put again. */
static void wrap_in_pieces(struct der *d, size_t end)
{
    uint8_t copy[DER_ROOM];
    size_t  len = end - d->at;

    memcpy(copy, d->b + d->at, len);
    d->at = end;
    der_put(d, BYTES_LIT("\0\0"));
    while (len > 0) {
        size_t n = len > PIECE ? PIECE : len;
        len -= n;
        der_element(d, DER_OCTET_STRING, bytes_of(copy + len, n));
    }
    put_byte(d, 0x80);
    put_byte(d, DER_OCTET_STRING | CONSTRUCTED);
}

void der_wrap(struct der *d, uint8_t tag, size_t end)
{
    if (d->indefinite && tag == DER_OCTET_STRING) {
        wrap_in_pieces(d, end);
    } else if (d->indefinite && (tag & CONSTRUCTED) != 0) {
        put_byte(d, 0x80);
        put_byte(d, tag);
    } else {
        put_head(d, tag, end - d->at);
    }
}

static void wrap_pkcs8(struct der *d, struct bytes oid, struct bytes parameters, size_t inside,
                       size_t end)
{
    der_wrap(d, DER_OCTET_STRING, inside);
    size_t algorithm = der_begin(d, DER_SEQUENCE);
    der_put(d, parameters);
    der_element(d, DER_OID, oid);
    der_wrap(d, DER_SEQUENCE, algorithm);
    der_element(d, DER_INTEGER, BYTES_LIT("\0"));
    der_wrap(d, DER_SEQUENCE, end);
}

void der_ec(struct der *d, const struct ec_parts *p)
{
    size_t     end = der_begin(d, DER_SEQUENCE);
    size_t     inside = d->at;
    size_t     key = der_begin(d, DER_SEQUENCE);
    struct der oid;

    if (p->point.len > 0) {
        size_t point = der_begin(d, DER_IN_1);
        size_t bits = d->at;
        der_put(d, p->point);
        put_byte(d, 0);
        der_wrap(d, DER_BIT_STRING, bits);
        der_wrap(d, DER_IN_1, point);
    }
    if (p->inner.len > 0) {
        size_t inner = der_begin(d, DER_IN_0);
        der_put(d, p->inner);
        der_wrap(d, DER_IN_0, inner);
    }
    der_element(d, DER_OCTET_STRING, p->scalar);
    der_element(d, DER_INTEGER, BYTES_LIT("\1"));
    der_wrap(d, DER_SEQUENCE, key);
    der_init(&oid);
    der_element(&oid, DER_OID, p->curve);
    wrap_pkcs8(d, DER_OID_EC, p->parameters.len > 0 ? p->parameters : der_bytes(&oid), inside, end);
}

static void put_integer(struct der *d, struct bytes n)
{
    size_t end = d->at;

    der_put(d, n);
    if (n.len == 0 || (n.ptr[0] & 0x80) != 0)
        put_byte(d, 0);
    der_wrap(d, DER_INTEGER, end);
}

void der_rsa(struct der *d, uint8_t version, const struct bytes numbers[DER_RSA_NUMBERS],
             struct bytes more)
{
    size_t end = der_begin(d, DER_SEQUENCE);
    size_t inside = d->at;
    size_t key = der_begin(d, DER_SEQUENCE);

    der_put(d, more);
    for (size_t i = DER_RSA_NUMBERS; i-- > 0;)
        put_integer(d, numbers[i]);
    der_element(d, DER_INTEGER, bytes_of(&version, 1));
    der_wrap(d, DER_SEQUENCE, key);
    wrap_pkcs8(d, DER_OID_RSA, BYTES_LIT("\5\0"), inside, end);
}
