/* base/encode.h - hex, base64, UUIDs and dates. No tables indexed by secrets: base64 and hex are
 * done by arithmetic, so they are safe for key bytes (trust-model 4.6). */
#pragma once

#include "base/buf.h"

/* Lower-case hex of `in`. */
void hex_add(struct buf *out, struct bytes in);
/* Writes 2*in.len characters to `out`, no terminator. */
void hex_write(char *out, struct bytes in);
/* Decodes exactly 2*len lower-case or upper-case digits; false and nothing written otherwise. */
KMS_MUST_CHECK bool hex_read(struct bytes text, uint8_t *ret, size_t len);

/* Standard base64 with padding (RFC 4648 section 4). */
void base64_add(struct buf *out, struct bytes in);
/* Upper bound of the decoded size. */
static inline size_t base64_decoded_max(size_t text_len)
{
    return text_len / 4 * 3 + 3;
}
/* Strict decoder: canonical padding, no white space, no trailing bits. `ret` has room for
 * base64_decoded_max(text.len) bytes and may be the same memory as the text (decoding in place).
 * False if the text is not base64; then `ret` holds rubbish. */
KMS_MUST_CHECK bool base64_read(struct bytes text, uint8_t *ret, size_t *ret_len);
/* Likewise base64url without padding (RFC 4648 section 5; RFC 7515 section 2). */
KMS_MUST_CHECK bool base64url_read(struct bytes text, uint8_t *ret, size_t *ret_len);

/* 16 bytes <-> "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". uuid_write fills 36 characters, no NUL. */
enum { UUID_TEXT = 36 };
void uuid_write(char *out, const uint8_t uuid[16]);
/* Sets version 4 and variant bits of 16 random bytes. */
void uuid_make_v4(uint8_t uuid[16]);

/* "2026-11-21T17:45:01Z" (20 characters). */
void date_iso8601_add(struct buf *out, int64_t ms);
/* Parses exactly that form; false for anything else, impossible dates included. */
KMS_MUST_CHECK bool date_iso8601_read(struct bytes text, int64_t *ret_ms);
/* "20261121T174501Z" (16 characters, no NUL) as SigV4 writes it. */
void date_basic_write(char out[16], int64_t ms);
/* Parses "yyyymmddThhmmssZ"; false for anything else, impossible dates included. */
KMS_MUST_CHECK bool date_basic_read(struct bytes text, int64_t *ret_ms);
/* "Sat, 21 Nov 2026 17:45:01 GMT" (29 characters, no NUL), the HTTP Date form (RFC 9110 5.6.7). */
void date_http_write(char out[29], int64_t ms);
/* Parses the HTTP Date form (IMF-fixdate only). */
KMS_MUST_CHECK bool date_http_read(struct bytes text, int64_t *ret_ms);
