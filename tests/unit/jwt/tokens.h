/* jwt/tokens.h - an issuer for the tests: keys, their JWK sets, signed tokens. */
#pragma once

#include "base/buf.h"
#include "jwt/jwt.h"

struct crypto_key;

/* Key pairs that last as long as the program; `which` from 0. */
const struct crypto_key *issuer_rsa(unsigned which); /* RSA_2048 */
const struct crypto_key *issuer_ec(unsigned which);  /* ECC_NIST_P256 */
void issuer_free(void);

/* base64url without padding. */
void base64url_add(struct buf *out, struct bytes in);
/* Appends the members of a JWK, without the braces: "kty":"RSA","n":... */
void jwk_add(struct buf *out, const struct crypto_key *key);
/* Appends header.payload.signature; both are JSON texts. The signature is the key's. */
void token_add(struct buf *out, const char *header, const char *payload,
               const struct crypto_key *key);
/* Appends the JWS signature of the text. */
void token_sign(struct buf *out, struct bytes text, const struct crypto_key *key);
