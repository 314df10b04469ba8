/* jwt/jwt.h - signed tokens of OIDC issuers: compact JWS (RFC 7515) with JWT claims (RFC 7519).
 *
 * Two algorithms, RS256 and ES256, and the key decides which of them: "none", HMACs with a public
 * key as secret and all other tricks of RFC 8725 end at the list. Whatever could be read two ways
 * is refused: a member sent twice, `crit`, padding, white space. Reading believes nothing;
 * only what jwt_verify accepts may be looked at for a decision.
 */
#pragma once

#include "base/error.h"
#include "json/read.h"
#include "jwt/jwks.h"

enum {
    JWT_BYTES_MAX = 20000,  /* of a token, as STS takes them */
    JWT_CLAIM_MAX = 255,    /* of `iss` and `sub`: OIDC Core 2 */
    JWT_AUDIENCES_MAX = 16, /* of one token */
    JWT_LEEWAY_S = 60,      /* by which the issuer's clock may differ */
};

/* What there is to say when nobody knows the key that a token names. */
#define JWT_NO_KEY                                                                                 \
    "Couldn't retrieve verification key from your identity provider,  please reference "           \
    "AssumeRoleWithWebIdentity documentation for requirements"

struct jwt;

/* Takes a token apart. KMS_E_WEB_TOKEN with what is wrong with it. The result has copies. */
KMS_MUST_CHECK enum kms_status jwt_read(struct bytes token, struct jwt **ret,
                                        struct kms_error *reterr);
void jwt_free(struct jwt *t); /* NULL is fine */
void jwt_freep(struct jwt **t);

/* What it claims; views into the token's own memory. */
struct bytes jwt_issuer(const struct jwt *t);
struct bytes jwt_subject(const struct jwt *t);
struct bytes jwt_key_id(const struct jwt *t); /* empty: none */
/* Audience number `i`; empty behind the last. */
struct bytes jwt_audience(const struct jwt *t, size_t i);
/* Any other claim that is a string, or element `i` of one that is a list of strings (i = 0 for a
 * string). False if there is none. */
bool jwt_claim(const struct jwt *t, const char *name, size_t i, struct bytes *ret);

/* Is it signed by one of these keys, and is now within its time? KMS_E_WEB_TOKEN; KMS_E_WEB_TOKEN_EXPIRED
 * (only of a token with a good signature). *ret_key_known (may be NULL) is false if the set has no
 * key that could have signed it: a newer set may have. `now_ms` since the epoch. */
KMS_MUST_CHECK enum kms_status jwt_verify(const struct jwt *t, const struct jwks *keys,
                                          int64_t now_ms, bool *ret_key_known,
                                          struct kms_error *reterr);
