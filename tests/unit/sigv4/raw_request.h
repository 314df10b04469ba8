/* sigv4/raw_request.h - requests as plain text for the tests of sigv4/.
 *
 * The test vectors hold requests that the strict parser of http/ refuses on purpose (folded
 * header values, spaces in the path), so they are split here, as loosely as it can be done.
 * Lines end in LF. */
#pragma once

#include "sigv4/sigv4.h"

#define TEST_KEY_ID "AKIDEXAMPLE"
#define TEST_SESSION_ID "ASIDEXAMPLE"          /* temporary credentials ... */
#define TEST_ENDED_ID   TEST_SESSION_ID "ENDED" /* ... whose session has ended ... */
#define TEST_TOKEN      "IQoJb3JpZ2luX2VjE/+="  /* ... and the session token of both */
#define TEST_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/* Splits `text` into *ret; views into `text`. A header value keeps its folds. Fails the test if
 * it has no request line. */
void raw_request_split(const char *text, size_t len, struct http_request *ret);

/* Copies a request to `out`, a '@' where the signature belongs replaced by the right one for
 * TEST_SECRET and the scope that the request names, and splits it into *ret. */
void raw_request_sign(const char *text, struct buf *out, struct http_request *ret);

/* HMAC(signing key of TEST_SECRET for the scope, string_to_sign). */
void raw_request_mac(const struct sigv4_auth *auth, struct bytes string_to_sign, uint8_t ret[32]);

/* The hooks of a server that knows these access keys and every Region but "nowhere-1". */
struct raw_server {
    unsigned        mac_calls;
    enum kms_status mac_status; /* what the hook answers; KMS_OK: it works */
};
struct sigv4_hooks raw_server_hooks(struct raw_server *s);

/* --- the texts of kms-behaviour 2.1 and recorded-authz-multiregion 2 -------------------------- */

#define MISMATCH                                                                                   \
    "The request signature we calculated does not match the signature you provided. Check your "   \
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
#define UNKNOWN_KEY "The security token included in the request is invalid."
#define BAD_TOKEN   "The security token included in the request is invalid"
#define ENDED       "The security token included in the request is expired"

/* --- pieces of requests ----------------------------------------------------------------------- */

#define SCOPE  "20260921/eu-central-1/kms/aws4_request"
#define CRED   TEST_KEY_ID "/" SCOPE
#define DATE   "X-Amz-Date: 20260921T174501Z\n"
#define HOST   "Host: 127.0.0.1:8080\n"
#define TARGET "X-Amz-Target: TrentService.Encrypt\n"
#define AUTH(cred, signed) \
    "Authorization: AWS4-HMAC-SHA256 Credential=" cred ", SignedHeaders=" signed ", Signature=@\n"
#define BODY "\n{\"KeyId\":\"alias/app\"}"

/* A presigned request: credential, date, expiry and signed headers as they stand in a query. */
#define QCRED(service) TEST_KEY_ID "%2F20260921%2Feu-central-1%2F" service "%2Faws4_request"
#define QUERY(cred, date, expires, signed)                                                         \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" cred "&X-Amz-Date=" date                  \
    "&X-Amz-Expires=" expires "&X-Amz-SignedHeaders=" signed "&X-Amz-Signature=@"
#define PRESIGNED "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "3600", "host") " HTTP/1.1\n"

enum { SIGNED_AT_S = 1790012701 }; /* 2026-09-21T17:45:01Z, the time of DATE */

/* --- judging ---------------------------------------------------------------------------------- */

extern const char *const kms_only[]; /* a list of services */

struct verdict {
    enum kms_status     status;
    struct kms_error    err;
    struct sigv4_caller caller;
    unsigned            mac_calls;
    struct buf          text; /* the request, which caller shows into */
    struct buf          scratch;
};
void verdict_release(struct verdict *v);

/* Signs `text` where it has a '@', and has it verified. */
void judge_at(struct verdict *v, const char *text, const char *const *services, int64_t now_ms);
/* Fails the test unless the request, sent at SIGNED_AT_S, gets this status and text. */
void check_verdict(const char *text, enum kms_status status, const char *message);
