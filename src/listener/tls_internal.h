/* listener/tls_internal.h - TLS of one connection, directly on its descriptor. tls.c is the only file
 * here that sees OpenSSL. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

/* What reading and writing a connection can come to, with TLS or without. */
enum io {
    IO_OK,
    IO_WANT_READ,  /* nothing now: wait until the descriptor is readable  */
    IO_WANT_WRITE, /* nothing now: wait until the descriptor is writable  */
    IO_END,        /* the other side will send no more                    */
    IO_FAILED,     /* the connection is of no use any more                */
    IO_PLAIN_HTTP, /* tls_handshake only: the client does not speak TLS   */
};

struct tls_context; /* certificate, key and rules, shared by connections */
struct tls;

/* TLS 1.2 with AEAD suites and forward secrecy, and 1.3; no renegotiation, no compression, no early
 * data (trust-model 4.7). Says in detail which file cannot be used and why. */
KMS_MUST_CHECK enum kms_status tls_context_new(const char *cert, const char *key,
                                               struct tls_context **ret, struct kms_error *reterr);
void tls_context_free(struct tls_context *c); /* connections that use it go on; NULL is fine */

/* Server side on a non-blocking descriptor, which stays the caller's. NULL: no memory. */
struct tls *tls_new(struct tls_context *c, int fd);
void tls_free(struct tls *t); /* NULL is fine */

enum io tls_handshake(struct tls *t);
enum io tls_read(struct tls *t, uint8_t *out, size_t room, size_t *ret_n);
enum io tls_write(struct tls *t, struct bytes in, size_t *ret_n);
/* Says goodbye (close_notify) if there is room for it. */
void tls_shutdown(struct tls *t);
/* Something was read from the descriptor already: do not wait for it before the next tls_read. */
bool tls_pending(struct tls *t);

/* Gives back buffers that hold nothing; they come again with the next byte. */
void tls_trim(struct tls *t);

const char *tls_version(struct tls *t); /* "TLSv1.3"                */
const char *tls_cipher(struct tls *t);  /* "TLS_AES_128_GCM_SHA256" */
