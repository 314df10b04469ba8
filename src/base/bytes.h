/* base/bytes.h - bytes that somebody else owns.
 *
 * A view is two words, passed by value; it borrows. Parsing means consuming a view with calls that
 * can fail; nobody indexes into input without having looked at `len`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

struct bytes {
    const uint8_t *ptr;
    size_t         len;
};

#define BYTES_LIT(s) ((struct bytes){ (const uint8_t *)("" s), sizeof(s) - 1 })
/* For printf("%.*s", BYTES_FMT(b)). */
#define BYTES_FMT(b) (int)(b).len, (const char *)(b).ptr

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){ (const uint8_t *)ptr, len };
}

static inline struct bytes bytes_str(const char *s)
{
    return s == NULL ? (struct bytes){ NULL, 0 } : bytes_of(s, strlen(s));
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool bytes_eq_str(struct bytes a, const char *s)
{
    return bytes_eq(a, bytes_str(s));
}

/* Byte order comparison as memcmp does it, shorter first on a common prefix: -1, 0 or 1. */
static inline int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

    if (c != 0)
        return c < 0 ? -1 : 1;
    return a.len == b.len ? 0 : (a.len < b.len ? -1 : 1);
}

static inline bool bytes_starts(struct bytes in, struct bytes prefix)
{
    return in.len >= prefix.len && (prefix.len == 0 || memcmp(in.ptr, prefix.ptr, prefix.len) == 0);
}

/* Splits `in` at the first `sep`: the head is returned, `in` becomes what follows the separator.
 * Fails, changing nothing, if there is no separator. */
KMS_MUST_CHECK static inline bool bytes_cut(struct bytes *in, uint8_t sep, struct bytes *ret_head)
{
    const uint8_t *hit = in->len > 0 ? (const uint8_t *)memchr(in->ptr, sep, in->len) : NULL;

    if (hit == NULL)
        return false;
    *ret_head = (struct bytes){ in->ptr, (size_t)(hit - in->ptr) };
    in->len -= ret_head->len + 1;
    in->ptr = hit + 1;
    return true;
}

/* Takes the first `n` bytes off `in`. Fails, changing nothing, if there are fewer. */
KMS_MUST_CHECK static inline bool bytes_take(struct bytes *in, size_t n, struct bytes *ret_head)
{
    if (in->len < n)
        return false;
    *ret_head = (struct bytes){ in->ptr, n };
    in->ptr += n;
    in->len -= n;
    return true;
}

/* Big-endian integers off the front of a view. */
KMS_MUST_CHECK static inline bool bytes_take_u32(struct bytes *in, uint32_t *ret)
{
    struct bytes b;

    if (!bytes_take(in, 4, &b))
        return false;
    *ret = (uint32_t)b.ptr[0] << 24 | (uint32_t)b.ptr[1] << 16 | (uint32_t)b.ptr[2] << 8 | b.ptr[3];
    return true;
}

KMS_MUST_CHECK static inline bool bytes_take_u64(struct bytes *in, uint64_t *ret)
{
    uint32_t hi = 0;
    uint32_t lo = 0;

    if (in->len < 8 || !bytes_take_u32(in, &hi) || !bytes_take_u32(in, &lo))
        return false;
    *ret = (uint64_t)hi << 32 | lo;
    return true;
}
