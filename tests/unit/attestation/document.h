/* tests/unit/attestation/document.h - makes attestation documents, good ones and ones with a fault. Values
 * are raw CBOR, in hex where the tests write them. Whatever fails here ends the test program. */
#pragma once

#include "base/buf.h"
#include "crypto/certificates.h"

struct document {
    struct {
        const char *name;
        struct buf  value;
    } member[12];
    size_t      n;
    struct buf  payload_head; /* empty: a map of `n` pairs               */
    const char *before;       /* hex: what stands before the four parts  */
    const char *protected_header, *unprotected_header;
    const char *after; /* hex: what follows the signature         */
};

/* A document as the security module makes it: the certificate of `leaf`; `bundle` in this order. */
void document_init(struct document *d, const struct party *leaf, const struct party *const *bundle,
                   size_t n, int64_t timestamp, struct bytes public_key);
void document_release(struct document *d);
/* The member's value, to be replaced or added to; made last if it is not there. */
struct buf *document_member(struct document *d, const char *name);
void document_set(struct document *d, const char *name, const char *hex);
void document_drop(struct document *d, const char *name);
/* The whole document, signed by `signer`. */
void document_write(const struct document *d, const struct party *signer, struct buf *out);

/* CBOR heads in their shortest form: major type in the upper three bits. */
void cbor_head(struct buf *out, unsigned major, uint64_t value);
void cbor_bytes(struct buf *out, struct bytes content);
void cbor_text(struct buf *out, const char *text);
void add_hex(struct buf *out, const char *hex);
