/* base/buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 256 }; /* first allocation: most answers and records fit after one doubling */

void buf_init(struct buf *b, size_t limit)
{
    *b = BUF_INIT(limit);
}

void buf_release(struct buf *b)
{
    if (b->ptr != NULL) {
        explicit_bzero(b->ptr, b->cap);
        free(b->ptr);
    }
    *b = BUF_INIT(b->limit);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

void buf_wipe(struct buf *b)
{
    if (b->ptr != NULL)
        explicit_bzero(b->ptr, b->len);
    buf_reset(b);
}

bool buf_grow(struct buf *b, size_t extra)
{
    if (b->overflow || extra > b->limit || b->len > b->limit - extra) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + extra;
    if (need <= b->cap)
        return true;

    size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
    while (cap < need)
        cap *= 2;
    if (cap > b->limit)
        cap = b->limit;

    /* not realloc: it may leave a copy of the content behind */
    uint8_t *fresh = malloc(cap);
    if (fresh == NULL) {
        b->overflow = true;
        return false;
    }
    if (b->ptr != NULL) {
        memcpy(fresh, b->ptr, b->len);
        explicit_bzero(b->ptr, b->cap);
        free(b->ptr);
    }
    b->ptr = fresh;
    b->cap = cap;
    return true;
}

void buf_add_u32(struct buf *b, uint32_t v)
{
    uint32_t be = htobe32(v);

    buf_add(b, bytes_of(&be, sizeof be));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    if (!buf_reserve(b, 8))
        return;
    uint64_t be = htobe64(v);

    buf_add(b, bytes_of(&be, sizeof be));
}

void buf_add_field(struct buf *b, struct bytes in)
{
    if (in.len > UINT32_MAX || !buf_reserve(b, in.len + 4)) {
        b->overflow = true;
        return;
    }
    buf_add_u32(b, (uint32_t)in.len);
    buf_add(b, in);
}

void buf_add_decimal(struct buf *b, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char              text[20];
    size_t            at = sizeof text;

    for (; v >= 10; v /= 100) { /* two digits for each division: they wait for each other */
        text[--at] = pairs[2 * (v % 100) + 1];
        text[--at] = pairs[2 * (v % 100)];
    }
    if (v > 0 || at == sizeof text)
        text[--at] = (char)('0' + v);
    buf_add(b, bytes_of(text + at, sizeof text - at));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0 || !buf_reserve(b, (size_t)len + 1)) {
        b->overflow = true;
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf((char *)b->ptr + b->len, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}
