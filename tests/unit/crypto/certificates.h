/* tests/unit/crypto/certificates.h - parties with keys and certificates, as the tests want them: good ones
 * and bad ones. Whatever fails here ends the test program. */
#pragma once

#include <openssl/x509.h>

#include "base/buf.h"

struct party {
    EVP_PKEY *key;
    X509     *cert;
};

/* Seconds since the epoch. */
enum { VALID_FROM = 1700000000, VALID_TO = 1900000000, VALID_NOW = 1800000000 };

struct certificate {
    const char         *name;     /* common name                                                  */
    const struct party *issuer;   /* NULL: signs itself                                           */
    const char         *curve;    /* NULL: P-384                                                  */
    unsigned            rsa;      /* bits of an RSA key instead; 0: none                          */
    const char         *basic;    /* basicConstraints as in openssl.cnf; NULL: none               */
    const char         *usage;    /* keyUsage; NULL: none                                         */
    const char         *other;    /* one more extension: "name=value"                             */
    const EVP_MD       *digest;   /* of the signature; NULL: SHA-384                              */
    int64_t             from, to; /* 0: VALID_FROM, VALID_TO                                    */
};

#define ROOT_CA  .basic = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign,digitalSignature"
#define LEAF     .basic = "critical,CA:FALSE", .usage = "critical,digitalSignature"

void party_make(const struct certificate *c, struct party *ret);
void party_release(struct party *p);
/* Appends. */
void party_der(const struct party *p, struct buf *out);
void party_pem(const struct party *p, struct buf *out);
void party_spki(const struct party *p, struct buf *out);
/* ES384 as COSE has it: r and s, 48 bytes each. */
void party_sign(const struct party *p, struct bytes message, uint8_t ret[96]);
