/* jwt/jwt.c - see jwt.h. */
#include "jwt/jwt.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"

struct jwt {
    enum jws_algorithm algorithm;
    struct buf         signed_text; /* header.payload, as sent */
    struct buf         signature;
    struct buf         header, payload; /* decoded: the JSON values are views into them */
    struct json_doc   *header_doc, *payload_doc;
    struct json        claims;
    struct bytes       kid;
    struct bytes       issuer, subject;
    struct bytes       audiences[JWT_AUDIENCES_MAX];
    size_t             n_audiences;
    int64_t            expires, not_before, issued; /* seconds since the epoch */
};

static const char not_a_jwt[] =
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access "
    "Token)";

void jwt_free(struct jwt *t)
{
    if (t == NULL)
        return;
    json_doc_free(t->header_doc);
    json_doc_free(t->payload_doc);
    buf_release(&t->signed_text);
    buf_release(&t->signature);
    buf_release(&t->header);
    buf_release(&t->payload);
    free(t);
}

void jwt_freep(struct jwt **t)
{
    jwt_free(*t);
    *t = NULL;
}

static struct jwt *jwt_new(void)
{
    struct jwt *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->header_doc = json_doc_new();
    t->payload_doc = json_doc_new();
    t->signed_text = t->signature = t->header = t->payload = BUF_INIT(JWT_BYTES_MAX + JSON_PADDING);
    if (t->header_doc == NULL || t->payload_doc == NULL) {
        jwt_free(t);
        return NULL;
    }
    return t;
}

/* --- the three parts -------------------------------------------------------------------------- */

static enum kms_status decode(struct bytes text, struct buf *out, struct kms_error *reterr)
{
    if (!buf_reserve(out, base64_decoded_max(text.len) + JSON_PADDING))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a token");
    if (text.len == 0 || !base64url_read(text, out->ptr, &out->len))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, not_a_jwt);
    return KMS_OK;
}

static enum kms_status decode_object(struct bytes text, struct buf *out, struct json_doc *doc,
                                     struct json *ret, struct kms_error *reterr)
{
    TRY(decode(text, out, reterr));
    if (json_parse(doc, out->ptr, out->len, ret, reterr) != KMS_OK ||
        json_type(*ret) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, not_a_jwt);
    return KMS_OK;
}

/* A member that is a text of 1 to `max` bytes, or absent. */
static bool text_member(struct json object, const char *name, size_t max, struct bytes *ret)
{
    struct json v = json_member(object, name);

    *ret = (struct bytes){ NULL, 0 };
    if (v.node == NULL)
        return true;
    if (json_type(v) != JSON_STRING)
        return false;
    *ret = json_string(v);
    return ret->len > 0 && ret->len <= max;
}

static enum kms_status read_header(struct jwt *t, struct json header, struct kms_error *reterr)
{
    struct bytes alg;
    struct bytes type;

    if (json_member(header, "crit").node != NULL || json_member(header, "b64").node != NULL)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "The header of the ID Token has extensions.");
    if (!text_member(header, "alg", 16, &alg) || !text_member(header, "typ", 64, &type) ||
        !text_member(header, "kid", JWKS_KID_MAX, &t->kid))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, not_a_jwt);
    /* RFC 8725 3.11: an access token (at+jwt) is not an identity */
    if (type.len > 0 && !bytes_eq_str(type, "JWT") && !bytes_eq_str(type, "jwt"))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, not_a_jwt);
    for (int a = 0; a < JWS_ALGORITHM_COUNT; a++) {
        if (bytes_eq_str(alg, jws_algorithm_name((enum jws_algorithm)a))) {
            t->algorithm = (enum jws_algorithm)a;
            return KMS_OK;
        }
    }
    return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "The ID Token is not signed with RS256 or ES256.");
}

/* --- claims ----------------------------------------------------------------------------------- */

/* NumericDate (RFC 7519 2): seconds, perhaps with a fraction; absent: `otherwise`. */
static bool read_time(struct json claims, const char *name, int64_t otherwise, int64_t *ret)
{
    const double far = 253402300800.0; /* the year 10000 */
    struct json  v = json_member(claims, name);

    *ret = otherwise;
    if (v.node == NULL)
        return true;
    if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
        return false;
    double seconds = json_number(v);
    if (!(seconds >= 0 && seconds < far))
        return false;
    *ret = (int64_t)seconds;
    return true;
}

static bool read_audiences(struct jwt *t)
{
    struct json aud = json_member(t->claims, "aud");
    struct json one;

    if (aud.node != NULL && json_type(aud) == JSON_STRING) {
        t->audiences[t->n_audiences++] = json_string(aud);
        return t->audiences[0].len > 0;
    }
    if (aud.node == NULL || json_type(aud) != JSON_ARRAY || json_count(aud) > JWT_AUDIENCES_MAX)
        return false;
    struct json_iter it = json_iterate(aud);
    while (json_next(&it, NULL, &one)) {
        if (json_type(one) != JSON_STRING || json_string(one).len == 0)
            return false;
        t->audiences[t->n_audiences++] = json_string(one);
    }
    return t->n_audiences > 0;
}

static enum kms_status read_claims(struct jwt *t, struct kms_error *reterr)
{
    if (!text_member(t->claims, "iss", JWT_CLAIM_MAX, &t->issuer) || t->issuer.len == 0)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "Missing a required claim: iss");
    if (!text_member(t->claims, "sub", JWT_CLAIM_MAX, &t->subject) || t->subject.len == 0)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "Missing a required claim: sub");
    if (!read_audiences(t))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "Missing a required claim: aud");
    if (!read_time(t->claims, "exp", -1, &t->expires) || t->expires < 0)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "Missing a required claim: exp");
    if (!read_time(t->claims, "nbf", 0, &t->not_before) ||
        !read_time(t->claims, "iat", 0, &t->issued))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "A time in the ID Token is not a number.");
    return KMS_OK;
}

enum kms_status jwt_read(struct bytes token, struct jwt **ret, struct kms_error *reterr)
{
    CLEANUP(jwt_freep) struct jwt *t = jwt_new();
    struct bytes                   rest = token;
    struct bytes                   header;
    struct bytes                   payload;
    struct json                    object;

    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a token");
    if (token.len > JWT_BYTES_MAX || !bytes_cut(&rest, '.', &header) ||
        !bytes_cut(&rest, '.', &payload)) /* more dots are not in the alphabet of the signature */
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, not_a_jwt);
    TRY(decode_object(header, &t->header, t->header_doc, &object, reterr));
    TRY(read_header(t, object, reterr));
    TRY(decode_object(payload, &t->payload, t->payload_doc, &t->claims, reterr));
    TRY(decode(rest, &t->signature, reterr));
    TRY(read_claims(t, reterr));
    buf_add(&t->signed_text, bytes_of(token.ptr, header.len + 1 + payload.len));
    if (!buf_ok(&t->signed_text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a token");
    *ret = TAKE(t);
    return KMS_OK;
}

/* --- what it says ----------------------------------------------------------------------------- */

struct bytes jwt_issuer(const struct jwt *t)
{
    return t->issuer;
}

struct bytes jwt_subject(const struct jwt *t)
{
    return t->subject;
}

struct bytes jwt_key_id(const struct jwt *t)
{
    return t->kid;
}

struct bytes jwt_audience(const struct jwt *t, size_t i)
{
    return i < t->n_audiences ? t->audiences[i] : (struct bytes){ NULL, 0 };
}

/* Element `i` of a list; a value that is no list is its own element 0. */
static struct json element(struct json v, size_t i)
{
    struct json_iter it = json_iterate(v);

    if (v.node == NULL || json_type(v) != JSON_ARRAY)
        return i == 0 ? v : (struct json){ NULL };
    while (json_next(&it, NULL, &v)) {
        if (i-- == 0)
            return v;
    }
    return (struct json){ NULL };
}

bool jwt_claim(const struct jwt *t, const char *name, size_t i, struct bytes *ret)
{
    struct json v = element(json_member(t->claims, name), i);

    if (v.node == NULL || json_type(v) != JSON_STRING)
        return false;
    *ret = json_string(v);
    return true;
}

/* --- is it good ------------------------------------------------------------------------------- */

enum kms_status jwt_verify(const struct jwt *t, const struct jwks *keys, int64_t now_ms,
                           bool *ret_key_known, struct kms_error *reterr)
{
    int64_t now = now_ms / 1000;
    bool    known = jwks_has(keys, t->algorithm, t->kid);

    if (ret_key_known != NULL)
        *ret_key_known = known;
    if (!known)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, JWT_NO_KEY);
    if (!jwks_verify(keys, t->algorithm, t->kid, buf_bytes(&t->signed_text),
                     buf_bytes(&t->signature)))
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "The ID Token has a signature that is invalid.");
    if (now >= t->expires + JWT_LEEWAY_S)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN_EXPIRED,
                          "Token expired: current date/time %lld must be before the expiration "
                          "date/time %lld",
                          (long long)now, (long long)t->expires);
    if (now < t->not_before - JWT_LEEWAY_S || now < t->issued - JWT_LEEWAY_S)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "The ID Token is not valid yet.");
    return KMS_OK;
}
