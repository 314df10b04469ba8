/* sigv4/sigv4.h - Signature Version 4: who signed this, over exactly these bytes, and is it fresh?
 *
 * Pure but for the functions handed in: no keys, no policies, no storage. Errors and texts of
 * kms-behaviour section 2 and recorded-authz-multiregion section 2. The stages are exported for
 * the test vectors and for tools.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "http/http.h"

enum {
    /* Enough for any request whose head is within LIMIT_HEAD_BYTES: the canonical request is at
     * most three times the target (percent-encoding) plus the signed headers. */
    SIGV4_SCRATCH_MAX = 128 * 1024,
    /* Query parameters in one request: a presigned one has 7; sorting is quadratic. */
    SIGV4_QUERY_PARAMS_MAX = 64,
};

/* Parsed from the Authorization header or the query. Views into the request (or into `scratch`
 * of the caller for percent-decoded query values). */
struct sigv4_auth {
    bool         query_form;
    struct bytes access_key_id;
    struct bytes date;           /* yyyymmdd of the scope */
    struct bytes region;         /* of the scope */
    struct bytes service;        /* of the scope */
    struct bytes terminator;     /* "aws4_request" when valid */
    struct bytes credential;     /* the whole Credential value */
    struct bytes signed_headers; /* "host;x-amz-date" */
    struct bytes signature;      /* as sent; 64 lower-case hex digits when valid */
    struct bytes time_text;      /* X-Amz-Date, or Date, as sent */
    int64_t      time_ms;        /* the same */
    struct bytes session_token;  /* len 0: none */
    int64_t      expires_s;      /* query form: X-Amz-Expires */
};

/* The caller after a good signature. Views into the request's head, in both forms. */
struct sigv4_caller {
    struct bytes access_key_id;
    struct bytes region;
    struct bytes service;
    struct bytes target; /* X-Amz-Target, which is signed if it was sent; {NULL, 0} if not */
};

/* What the hook knows of the access key that a request names. All zero: there is no such key, or
 * it is not active. */
struct sigv4_key {
    bool    known;
    bool    temporary;      /* of a session: good only with its session token */
    bool    expired;        /* the session has ended */
    uint8_t token_hash[32]; /* SHA-256 of the session token, if `temporary` */
};

struct sigv4_hooks {
    void *ctx;
    /* Finds the access key and computes HMAC(signing key(date, region, service),
     * string_to_sign). For an unknown or inactive key it does the same work with a dummy and
     * leaves *ret_key zero. The session token is compared here, not there. */
    enum kms_status (*mac)(void *ctx, const struct sigv4_auth *auth, struct bytes string_to_sign,
                           uint8_t ret[32], struct sigv4_key *ret_key, struct kms_error *reterr);
    /* Is the Region one that this server answers for, for this service? */
    bool (*region_ok)(void *ctx, const struct sigv4_auth *auth);
};

/* Verifies a request. `services` is a NULL-terminated list of the services this server answers
 * for ("kms", later "iam", "sts"; the first is the one that error texts name); `now_ms` is the
 * wall clock. `scratch` holds temporaries: it is reset, should have the limit SIGV4_SCRATCH_MAX,
 * and when it is used again for the next request nothing is allocated. On success *ret names the
 * caller.
 *
 * Checks, in this order: KMS_E_MISSING_AUTH; KMS_E_INCOMPLETE_SIG (missing, repeated or
 * malformed parts, both forms at once); KMS_E_INVALID_SIG for terminator, service, Region and
 * date of the scope, then for the time (+-LIMIT_SKEW_S; query form: until X-Amz-Expires), then
 * for headers that had to be signed, the body's hash and the canonical request. Only then the
 * MAC, and from its result, always after the same work: KMS_E_UNKNOWN_CLIENT (access key unknown;
 * session token wrong, missing, or sent with a long-term key), KMS_E_EXPIRED_CLIENT,
 * KMS_E_INVALID_SIG. */
KMS_MUST_CHECK enum kms_status sigv4_verify(const struct http_request *rq,
                                            const char *const *services, int64_t now_ms,
                                            const struct sigv4_hooks *hooks, struct buf *scratch,
                                            struct sigv4_caller *ret, struct kms_error *reterr);

/* --- stages ----------------------------------------------------------------------------------- */

/* Finds and splits the Authorization header or the presigned query parameters. Query values are
 * decoded into `scratch`, which must not be touched while *ret is in use. KMS_E_MISSING_AUTH,
 * KMS_E_INCOMPLETE_SIG. */
KMS_MUST_CHECK enum kms_status sigv4_parse(const struct http_request *rq, struct buf *scratch,
                                           struct sigv4_auth *ret, struct kms_error *reterr);
struct sigv4_options {
    bool normalize_path; /* RFC 3986 dot segments and double slashes; every service but S3: true */
};
/* Appends the canonical request. KMS_E_INVALID_SIG when a signed header is missing from the
 * request, the list of signed headers is not lower-case and in order, or the query cannot be
 * decoded; then `out` is as it was. */
KMS_MUST_CHECK enum kms_status sigv4_canonical_request(const struct http_request  *rq,
                                                       const struct sigv4_auth    *auth,
                                                       const struct sigv4_options *options,
                                                       struct bytes                payload_hash_hex,
                                                       struct buf *out, struct kms_error *reterr);
/* Appends the string to sign for a canonical request. */
void sigv4_string_to_sign(const struct sigv4_auth *auth, struct bytes canonical_request,
                          struct buf *out);
/* The signing key derivation, for tests and for tools; the server's own lies in the vault. */
void sigv4_signing_key(struct bytes secret, struct bytes date, struct bytes region,
                       struct bytes service, uint8_t ret[32]);
