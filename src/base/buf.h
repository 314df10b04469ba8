/* base/buf.h - a growing byte buffer with a limit, wiped whenever memory goes back.
 *
 * Appending never fails halfway: either everything fits, or nothing is written and the buffer is
 * marked `overflow`. Callers append freely and check buf_ok() once at the end: a check after every
 * append would be forgotten somewhere. Growing wipes the old block, since any buffer may hold
 * plaintext for the length of a request.
 */
#pragma once

#include "base/bytes.h"

struct buf {
    uint8_t *ptr;
    size_t   len;
    size_t   cap;
    size_t   limit;
    bool     overflow; /* an append did not fit or memory ran out; sticky until buf_reset */
};

#define BUF_INIT(max) ((struct buf){ .limit = (max) })

void buf_init(struct buf *b, size_t limit);
void buf_release(struct buf *b); /* wipes and frees; fine on a zeroed buffer; for CLEANUP too */
void buf_reset(struct buf *b);   /* forgets the content, keeps the memory, clears overflow */
void buf_wipe(struct buf *b);    /* buf_reset, and the used bytes are zeroed */

__attribute__((cold)) bool buf_grow(struct buf *b, size_t extra);

/* Makes room for `extra` more bytes; false (and overflow) when over the limit or out of memory.
 * Almost always there is room, so that part is inline. */
static inline bool buf_reserve(struct buf *b, size_t extra)
{
    return (extra <= b->cap - b->len && !b->overflow) || buf_grow(b, extra);
}

static inline void buf_add(struct buf *b, struct bytes in)
{
    if (in.len == 0 || !buf_reserve(b, in.len))
        return;
    memcpy(b->ptr + b->len, in.ptr, in.len);
    b->len += in.len;
}

static inline void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, bytes_str(s));
}

static inline void buf_add_byte(struct buf *b, uint8_t c)
{
    if (buf_reserve(b, 1))
        b->ptr[b->len++] = c;
}

void buf_add_u32(struct buf *b, uint32_t v); /* big-endian */
void buf_add_u64(struct buf *b, uint64_t v); /* big-endian */
/* 32-bit big-endian length, then the bytes: the canonical encoding of AAD and MAC inputs. */
void buf_add_field(struct buf *b, struct bytes in);
void buf_add_decimal(struct buf *b, uint64_t v);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Cuts back to an earlier length (which must not exceed the present one). */
void buf_truncate(struct buf *b, size_t len);
/* Removes the first n bytes, moving the rest down. */
void buf_consume(struct buf *b, size_t n);

static inline bool buf_ok(const struct buf *b)
{
    return !b->overflow;
}

static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){ b->ptr, b->len };
}
