/* sigv4/verify.c - decides whether a request was signed by the access key that it names.
 *
 * Reads only the parsed request; the credential table and the Regions are asked through hooks.
 * Never touches keys, policies or storage.
 *
 * Invariants:
 *   I1  The MAC is computed for unknown access keys too (the hook's dummy), and the signature and the
 *       hash of the session token are compared in constant time before anything is decided: timing
 *       says no more than the error code.
 *   I2  The headers that decide what is done, by whom and when are signed: host, the date,
 *       x-amz-target, x-amz-security-token, x-amz-content-sha256.
 *   I3  The time is checked before the body is hashed, so that an old capture costs us little.
 *   I4  The body's hash is always the real one; what a header says about it can only make us
 *       refuse.
 *   I5  `scratch` does not move while views into it are in use: its size is reserved beforehand.
 */
#include "sigv4/inside.h"

#include <assert.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/secret.h"
#include "crypto/crypto.h"

/* More than everything that is written to scratch: the decoded query values, the canonical request
 * (at most three bytes for one of the target, each signed header once) and the string to sign. */
static size_t scratch_bound(const struct http_request *rq)
{
    size_t headers = 0;

    for (size_t i = 0; i < rq->n_headers; i++)
        headers += rq->headers[i].name.len + rq->headers[i].value.len + 2;
    return 512 + rq->method_text.len + 3 * rq->path.len + 6 * rq->query.len + 2 * headers;
}

/* --- scope ------------------------------------------------------------------------------------ */

static bool service_offered(struct bytes service, const char *const *services)
{
    for (; *services != NULL; services++) {
        if (bytes_eq_str(service, *services))
            return true;
    }
    return false;
}

static enum kms_status check_scope(const struct sigv4_auth *auth, const char *const *services,
                                   const struct sigv4_hooks *hooks, struct kms_error *reterr)
{
    char         room[16];
    struct bytes time = sigv4_basic_time(auth, room);

    if (!bytes_eq_str(auth->terminator, SIGV4_TERMINATOR))
        return KMS_REFUSE(reterr, KMS_E_INVALID_SIG,
                          "Credential should be scoped with a valid terminator: '%s', not '%.*s'.",
                          SIGV4_TERMINATOR, BYTES_FMT(auth->terminator));
    if (!service_offered(auth->service, services)) /* the space at the end is AWS's, so below */
        return KMS_REFUSE(reterr, KMS_E_INVALID_SIG,
                          "Credential should be scoped to correct service: '%s'. ", services[0]);
    if (!hooks->region_ok(hooks->ctx, auth))
        return KMS_REFUSE(reterr, KMS_E_INVALID_SIG,
                          "Credential should be scoped to a valid region. ");
    if (!bytes_eq(auth->date, bytes_of(time.ptr, 8)))
        return KMS_REFUSE(reterr, KMS_E_INVALID_SIG,
                          "Date in Credential scope does not match YYYYMMDD from ISO-8601 version "
                          "of date from HTTP: '%.*s' != '%.8s', from '%.*s'.",
                          BYTES_FMT(auth->date), (const char *)time.ptr,
                          BYTES_FMT(auth->time_text));
    return KMS_OK;
}

/* --- freshness -------------------------------------------------------------------------------- */

/* "Too old" by the texts of kms-behaviour 2.1: "<signed> is now earlier than <now - window>".
 * The ends of the window are still good, and seconds are whole, as the texts show them. */
static bool too_old(int64_t signed_s, int64_t now_s, int64_t window_s)
{
    return signed_s < now_s - window_s;
}

/* "<signed> is still later than <now + 5 min.>". */
static bool too_new(int64_t signed_s, int64_t now_s)
{
    return signed_s > now_s + LIMIT_SKEW_S;
}

/* A presigned request is good until X-Amz-Expires has passed, without further tolerance; until its
 * time has come it has the tolerance of any other. */
static enum kms_status check_time(const struct sigv4_auth *auth, int64_t now_ms,
                                  struct kms_error *reterr)
{
    int64_t signed_s = auth->time_ms / 1000;
    int64_t now_s = now_ms / 1000;
    int64_t window_s = auth->query_form ? auth->expires_s : LIMIT_SKEW_S;
    bool    old = too_old(signed_s, now_s, window_s);
    bool    minutes = window_s % 60 == 0;
    char    time[16];
    char    bound[16];
    char    now[16];

    if (!old && !too_new(signed_s, now_s))
        return KMS_OK;
    date_basic_write(time, signed_s * 1000);
    date_basic_write(bound, (old ? now_s - window_s : now_s + LIMIT_SKEW_S) * 1000);
    date_basic_write(now, now_s * 1000);
    if (old)
        return KMS_REFUSE(reterr, KMS_E_INVALID_SIG,
                          "Signature expired: %.16s is now earlier than %.16s (%.16s - %d %s.)",
                          time, bound, now, (int)(minutes ? window_s / 60 : window_s),
                          minutes ? "min" : "sec");
    return KMS_REFUSE(
        reterr, KMS_E_INVALID_SIG,
        "Signature not yet current: %.16s is still later than %.16s (%.16s + %d min.)", time, bound,
        now, LIMIT_SKEW_S / 60);
}

/* --- what has to be signed -------------------------------------------------------------------- */

/* I2. The real service was seen to accept other x-amz-* headers that are sent and not signed
 * (recorded-authz-multiregion 2, rule 3); whether it does so for x-amz-target was not recorded. We
 * chose not to: whoever can add that header could turn a signed Encrypt into a Decrypt. */
static enum kms_status check_signed(const struct sigv4_auth     *auth,
                                    const struct sigv4_notables *found,
                                    const struct sigv4_signed *names, struct kms_error *reterr)
{
    bool by_amz_date = !auth->query_form && found->count[NOTABLE_AMZ_DATE] > 0;
    bool required[NOTABLE_COUNT] = {
        [NOTABLE_HOST] = true, /* also when it was not sent: then it is refused later */
        [NOTABLE_AMZ_DATE] = by_amz_date,
        [NOTABLE_DATE] = !auth->query_form && !by_amz_date,
        [NOTABLE_AMZ_TARGET] = found->count[NOTABLE_AMZ_TARGET] > 0,
        [NOTABLE_AMZ_TOKEN] = found->count[NOTABLE_AMZ_TOKEN] > 0,
        [NOTABLE_AMZ_SHA256] = found->count[NOTABLE_AMZ_SHA256] > 0,
    };

    bool listed[NOTABLE_COUNT + 1] = { false };

    for (size_t i = 0; i < names->n; i++)
        listed[names->at[i].which] = true;
    for (size_t k = 0; k < NOTABLE_COUNT; k++) {
        if (required[k] && !listed[k])
            return SIGV4_MISMATCH(reterr, "the header '%.*s' is not signed",
                                  BYTES_FMT(sigv4_notable_name((enum notable)k)));
    }
    return KMS_OK;
}

/* I4. So UNSIGNED-PAYLOAD and the STREAMING-... values of S3 are refused too. */
static enum kms_status check_claimed_hash(const struct sigv4_notables *found,
                                          struct bytes payload_hash_hex, struct kms_error *reterr)
{
    if (found->count[NOTABLE_AMZ_SHA256] == 0 ||
        bytes_eq(found->value[NOTABLE_AMZ_SHA256], payload_hash_hex))
        return KMS_OK;
    return SIGV4_MISMATCH(reterr, "x-amz-content-sha256 is not the body's hash %.*s",
                          BYTES_FMT(payload_hash_hex));
}

/* --- the signature ---------------------------------------------------------------------------- */

/* Does the token that was sent, or the lack of one, go with the access key? What this costs
 * depends on the request alone. */
static bool token_fits(const struct sigv4_key *key, struct bytes token)
{
    uint8_t sent[SHA256_LEN] = { 0 };

    if (token.len > 0)
        crypto_sha256(token, sent);
    bool same = ct_equal(bytes_of(sent, sizeof sent),
                         bytes_of(key->token_hash, sizeof key->token_hash));
    return key->temporary ? same && token.len > 0 : token.len == 0;
}

/* I1: nothing before the comparisons depends on whether the access key is known. */
static enum kms_status check_mac(const struct sigv4_auth *auth, const struct sigv4_hooks *hooks,
                                 struct bytes string_to_sign, struct kms_error *reterr)
{
    uint8_t          mac[SHA256_LEN];
    char             ours[2 * SHA256_LEN];
    struct sigv4_key key = { 0 };

    TRY(hooks->mac(hooks->ctx, auth, string_to_sign, mac, &key, reterr));
    hex_write(ours, bytes_of(mac, sizeof mac)); /* lower case: the only form that counts */
    bool same = ct_equal(auth->signature, bytes_of(ours, sizeof ours));
    bool fits = token_fits(&key, auth->session_token);
    explicit_bzero(mac, sizeof mac);
    explicit_bzero(ours, sizeof ours);

    if (!key.known)
        return KMS_REFUSE(reterr, KMS_E_UNKNOWN_CLIENT,
                          "The security token included in the request is invalid.");
    /* Without the full stop: recorded (recorded-authz-multiregion 2, rule 1). It comes before a
     * mismatch because the real service learns the secret of temporary credentials from their
     * token. */
    if (!fits)
        return KMS_REFUSE(reterr, KMS_E_UNKNOWN_CLIENT,
                          "The security token included in the request is invalid");
    if (key.expired)
        return KMS_REFUSE(reterr, KMS_E_EXPIRED_CLIENT,
                          "The security token included in the request is expired");
    if (same)
        return KMS_OK;
    /* The last line of the string to sign, for comparison with the client's own debug output. */
    return SIGV4_MISMATCH(reterr, "the canonical request here has the hash %.64s",
                          (const char *)string_to_sign.ptr + string_to_sign.len - 64);
}

/* Moves a view of decoded text in scratch to the same text in the query. False if it is not there,
 * because the client escaped what needs no escape; none does. */
static bool view_in_query(struct bytes query, struct bytes *text)
{
    const uint8_t *at = memmem(query.ptr, query.len, text->ptr, text->len);

    if (at == NULL)
        return false;
    text->ptr = at;
    return true;
}

/* The caller is looked at long after scratch has been used for something else. */
static enum kms_status name_caller(const struct http_request *rq, const struct sigv4_auth *auth,
                                   struct bytes target, struct sigv4_caller *ret,
                                   struct kms_error *reterr)
{
    struct sigv4_caller caller = {
        .access_key_id = auth->access_key_id,
        .region = auth->region,
        .service = auth->service,
        .target = target,
    };

    if (auth->query_form &&
        !(view_in_query(rq->query, &caller.access_key_id) &&
          view_in_query(rq->query, &caller.region) && view_in_query(rq->query, &caller.service)))
        return SIGV4_MISMATCH(reterr, "X-Amz-Credential has needless escapes");
    *ret = caller;
    return KMS_OK;
}

enum kms_status sigv4_verify(const struct http_request *rq, const char *const *services,
                             int64_t now_ms, const struct sigv4_hooks *hooks, struct buf *scratch,
                             struct sigv4_caller *ret, struct kms_error *reterr)
{
    static const struct sigv4_options options = { .normalize_path = true };
    struct sigv4_auth                 auth;
    UNINITIALIZED struct sigv4_signed names; /* large */
    struct sigv4_notables             found;
    uint8_t                           digest[SHA256_LEN];
    char                              hash_hex[2 * SHA256_LEN];
    struct bytes                      hash = bytes_of(hash_hex, sizeof hash_hex);

    buf_reset(scratch);
    if (!buf_reserve(scratch, scratch_bound(rq)))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room to verify a signature");
    const uint8_t *fixed = scratch->ptr;

    sigv4_notables_find(rq, &found);
    TRY(sigv4_parse_found(rq, &found, scratch, &auth, reterr));
    TRY(check_scope(&auth, services, hooks, reterr));
    TRY(check_time(&auth, now_ms, reterr));
    TRY(sigv4_signed_split(auth.signed_headers, &names, reterr));
    TRY(check_signed(&auth, &found, &names, reterr));

    crypto_sha256(bytes_of(rq->body, rq->body_len), digest);
    hex_write(hash_hex, bytes_of(digest, sizeof digest));
    TRY(check_claimed_hash(&found, hash, reterr));
    size_t start = scratch->len;
    TRY(sigv4_canonical_found(rq, &found, &names, &auth, &options, hash, scratch, reterr));
    size_t middle = scratch->len;
    sigv4_string_to_sign(&auth, bytes_of(scratch->ptr + start, middle - start), scratch);
    assert(buf_ok(scratch) && scratch->ptr == fixed); /* I5 */

    struct bytes string_to_sign = bytes_of(scratch->ptr + middle, scratch->len - middle);
    TRY(check_mac(&auth, hooks, string_to_sign, reterr));
    return name_caller(rq, &auth, found.value[NOTABLE_AMZ_TARGET], ret, reterr);
}
