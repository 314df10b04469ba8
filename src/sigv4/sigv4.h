/* sigv4/sigv4.h - AWS Signature Version 4: who signed this, over exactly these bytes, and is it fresh?
 *
 * Pure but for the functions handed in. Errors and texts of kms-behaviour section 2 and
 * recorded-authz-multiregion section 2. Stage functions are exported for the test vectors.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "http/http.h"

/* Parsed from the Authorization header or the query. Views into the request (or into `scratch` of the
 * caller for percent-decoded query values). */
struct sigv4_auth {
    bool         query_form;
    struct bytes access_key_id;
    struct bytes date;           /* yyyymmdd of the scope           */
    struct bytes region;
    struct bytes service;
    struct bytes credential;     /* the whole Credential value      */
    struct bytes signed_headers; /* "host;x-amz-date"               */
    struct bytes signature;      /* as sent; 64 hex when valid      */
    struct bytes time_text;      /* X-Amz-Date, or Date, as sent    */
    int64_t      time_ms;
    struct bytes session_token;  /* len 0: none                     */
    int64_t      expires_s;      /* query form: X-Amz-Expires       */
};

/* The caller after a good signature. Views into long-lived records or the request. */
struct sigv4_caller {
    struct bytes access_key_id;
    struct bytes region;
    struct bytes service;
};

struct sigv4_hooks {
    void *ctx;
    /* Finds the access key and computes HMAC(signing key(date, region, service), string_to_sign). For an
     * unknown or inactive key it does the same work with a dummy and sets *ret_known to false. */
    enum kms_status (*mac)(void *ctx, const struct sigv4_auth *auth, struct bytes string_to_sign,
                           uint8_t ret[32], bool *ret_known, struct kms_error *reterr);
    /* Is the Region one that this server answers for? */
    bool (*region_ok)(void *ctx, struct bytes region);
};

/* Verifies a request. `services` is a NULL-terminated list of the services this server answers for
 * ("kms", later "iam", "sts"); `now_ms` is the wall clock. `scratch` holds temporaries, it is reset.
 * On success *ret names the caller. */
KMS_MUST_CHECK enum kms_status sigv4_verify(const struct http_request *rq, const char *const *services,
                                            int64_t now_ms, const struct sigv4_hooks *hooks,
                                            struct buf *scratch, struct sigv4_caller *ret,
                                            struct kms_error *reterr);

/* --- stages -------------------------------------------------------------------------------------- */

/* Finds and splits the Authorization header or the presigned query parameters. */
KMS_MUST_CHECK enum kms_status sigv4_parse(const struct http_request *rq, struct buf *scratch,
                                           struct sigv4_auth *ret, struct kms_error *reterr);
struct sigv4_options {
    bool normalize_path; /* RFC 3986 dot segments and double slashes; every service but S3: true */
};
/* Appends the canonical request. KMS_E_INVALID_SIG when a signed header is missing from the request. */
KMS_MUST_CHECK enum kms_status sigv4_canonical_request(const struct http_request *rq,
                                                       const struct sigv4_auth *auth,
                                                       const struct sigv4_options *options,
                                                       struct bytes payload_hash_hex, struct buf *out,
                                                       struct kms_error *reterr);
/* Appends the string to sign for a canonical request. */
void sigv4_string_to_sign(const struct sigv4_auth *auth, struct bytes canonical_request, struct buf *out);
/* The signing key derivation, for tests and for tools; the server's own lies in the vault. */
void sigv4_signing_key(struct bytes secret, struct bytes date, struct bytes region, struct bytes service,
                       uint8_t ret[32]);
