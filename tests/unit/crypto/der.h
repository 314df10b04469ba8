/* tests/unit/crypto/der.h - writes ASN.1 for tests, right or wrong, from the end to the start: an element's
 * length is known when its content is there. */
#pragma once

#include "base/bytes.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_0 = 0x80, /* context-specific, primitive */
    DER_1 = 0x81,
    DER_IN_0 = 0xa0, /* and constructed */
    DER_IN_1 = 0xa1,
    DER_ROOM = 8192,
};

/* Elements end where `b` ends and start at `at`. */
struct der {
    uint8_t b[DER_ROOM];
    size_t  at;
    bool
        indefinite; /* BER: constructed elements get no length but an end, and octet strings are in pieces */
};

void der_init(struct der *d);
struct bytes der_bytes(const struct der *d);
/* Puts bytes before what is there. */
void der_put(struct der *d, struct bytes in);
/* Puts a whole element. */
void der_element(struct der *d, uint8_t tag, struct bytes content);
/* Around all that was put since: size_t end = der_begin(d); ...; der_wrap(d, tag, end). */
size_t der_begin(struct der *d, uint8_t tag);
void der_wrap(struct der *d, uint8_t tag, size_t end);

/* PKCS#8 with an ECPrivateKey inside; what is empty is left out. */
struct ec_parts {
    struct bytes curve;      /* OID in the AlgorithmIdentifier */
    struct bytes parameters; /* a whole element instead of it */
    struct bytes scalar;
    struct bytes inner; /* a whole element for the [0] inside */
    struct bytes point; /* public key, without the octet of unused bits */
};
void der_ec(struct der *d, const struct ec_parts *p);

/* PKCS#8 with an RSAPrivateKey inside: n e d p q dp dq qinv, as non-negative big-endian numbers. */
enum { DER_RSA_NUMBERS = 8 };
void der_rsa(struct der *d, uint8_t version, const struct bytes numbers[DER_RSA_NUMBERS],
             struct bytes more); /* a whole element at the end: other primes */

#define DER_OID_EC   BYTES_LIT("\x2a\x86\x48\xce\x3d\x02\x01")
#define DER_OID_RSA  BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define DER_OID_P256 BYTES_LIT("\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define DER_OID_P384 BYTES_LIT("\x2b\x81\x04\x00\x22")
#define DER_OID_P521 BYTES_LIT("\x2b\x81\x04\x00\x23")
