/* jwt/jwks.h - the keys of an issuer: a JWK set (RFC 7517), read once, immutable, counted.
 *
 * Taken are RSA keys of 2048, 3072 and 4096 bits and keys on P-256 that are for signatures. Other
 * entries are passed over, as the RFC asks: issuers publish what is for others, too.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

enum {
    JWKS_BYTES_MAX = 256 * 1024, /* of a document */
    JWKS_KEYS_MAX = 64,          /* used ones of a set: issuers have two or three */
    JWKS_KID_MAX = 255,
};

enum jws_algorithm { JWS_RS256, JWS_ES256, JWS_ALGORITHM_COUNT };
/* "RS256", "ES256" */
const char *jws_algorithm_name(enum jws_algorithm a);

struct jwks;

/* Reads a document. KMS_E_VALIDATION with a detail that names the fault and its place: not JSON,
 * no list of keys, a key that says it is ours and is broken, more than JWKS_KEYS_MAX. A set may
 * have no usable key at all. */
KMS_MUST_CHECK enum kms_status jwks_read(struct bytes text, struct jwks **ret,
                                         struct kms_error *reterr);
/* Sets are shared between threads: one more user, one less. NULL is fine. */
struct jwks *jwks_share(struct jwks *set);
void jwks_release(struct jwks *set);
void jwks_releasep(struct jwks **set);

size_t jwks_count(const struct jwks *set);
/* Is there a key for the algorithm with this id? An empty id: any key for the algorithm. */
bool jwks_has(const struct jwks *set, enum jws_algorithm algorithm, struct bytes kid);
/* Has one of those keys made this signature, in the form of RFC 7518 3.3 and 3.4? */
bool jwks_verify(const struct jwks *set, enum jws_algorithm algorithm, struct bytes kid,
                 struct bytes signed_text, struct bytes signature);
