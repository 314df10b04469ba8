/* jwt/jwks.c - see jwks.h.
 *
 * The numbers of a JWK are written as the DER that crypto/ reads, so that there is one reader of
 * public keys, with one set of checks, for everything that comes from outside.
 */
#include "jwt/jwks.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/key.h"
#include "json/read.h"

enum { COORDINATE = 32, NUMBER_MAX = 1024, SPKI_MAX = 2 * NUMBER_MAX };

struct jwk {
    enum jws_algorithm algorithm;
    struct bytes       kid; /* allocated with the set; may be empty */
    struct crypto_key *key;
};

struct jwks {
    _Atomic unsigned users;
    size_t           n;
    struct jwk       keys[JWKS_KEYS_MAX];
    struct buf       kids;
};

const char *jws_algorithm_name(enum jws_algorithm a)
{
    return a == JWS_RS256 ? "RS256" : "ES256";
}

/* --- sharing ---------------------------------------------------------------------------------- */

struct jwks *jwks_share(struct jwks *set)
{
    if (set != NULL)
        (void)atomic_fetch_add(&set->users, 1);
    return set;
}

void jwks_release(struct jwks *set)
{
    if (set == NULL || atomic_fetch_sub(&set->users, 1) > 1)
        return;
    for (size_t i = 0; i < set->n; i++)
        crypto_key_free(set->keys[i].key);
    buf_release(&set->kids);
    free(set);
}

void jwks_releasep(struct jwks **set)
{
    jwks_release(*set);
    *set = NULL;
}

/* --- numbers to DER --------------------------------------------------------------------------- */

static void put_head(struct buf *out, uint8_t tag, size_t len)
{
    buf_add_byte(out, tag);
    if (len >= 0x80)
        buf_add_byte(out, len > 0xff ? 0x82 : 0x81);
    if (len > 0xff)
        buf_add_byte(out, (uint8_t)(len >> 8));
    buf_add_byte(out, (uint8_t)len);
}

/* A positive INTEGER out of big-endian bytes. */
static void put_integer(struct buf *out, struct bytes n)
{
    while (n.len > 0 && n.ptr[0] == 0) {
        n.ptr++;
        n.len--;
    }
    bool zero_first = n.len == 0 || n.ptr[0] >= 0x80;
    put_head(out, 0x02, n.len + zero_first);
    if (zero_first)
        buf_add_byte(out, 0);
    buf_add(out, n);
}

static struct bytes rsa_spki(struct bytes modulus, struct bytes exponent, struct buf *out)
{
    static const uint8_t            algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                    0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
    CLEANUP(buf_release) struct buf numbers = BUF_INIT(SPKI_MAX);
    CLEANUP(buf_release) struct buf key = BUF_INIT(SPKI_MAX);

    put_integer(&numbers, modulus);
    put_integer(&numbers, exponent);
    put_head(&key, 0x30, numbers.len);
    buf_add(&key, buf_bytes(&numbers));
    put_head(out, 0x30, sizeof algorithm + (key.len + 1 > 0xff ? 4 : 3) + key.len + 1);
    buf_add(out, bytes_of(algorithm, sizeof algorithm));
    put_head(out, 0x03, key.len + 1);
    buf_add_byte(out, 0); /* unused bits */
    buf_add(out, buf_bytes(&key));
    return buf_ok(&numbers) && buf_ok(&key) ? buf_bytes(out) : (struct bytes){ NULL, 0 };
}

static struct bytes p256_spki(struct bytes x, struct bytes y, struct buf *out)
{
    static const uint8_t head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };

    if (x.len != COORDINATE || y.len != COORDINATE)
        return (struct bytes){ NULL, 0 };
    buf_add(out, bytes_of(head, sizeof head));
    buf_add(out, x);
    buf_add(out, y);
    return buf_bytes(out);
}

/* --- one key ---------------------------------------------------------------------------------- */

static struct bytes text_member(struct json key, const char *name)
{
    struct json v = json_member(key, name);

    return v.node != NULL && json_type(v) == JSON_STRING ? json_string(v)
                                                         : (struct bytes){ NULL, 0 };
}

/* A member in base64url, decoded into `room`; empty if it is not there or is not that. */
static struct bytes number_member(struct json key, const char *name, uint8_t room[NUMBER_MAX])
{
    struct bytes text = text_member(key, name);
    size_t       len = 0;

    if (text.len == 0 || base64_decoded_max(text.len) > NUMBER_MAX ||
        !base64url_read(text, room, &len))
        return (struct bytes){ NULL, 0 };
    return bytes_of(room, len);
}

/* Is there nothing that says it is for something else (RFC 7517 4.2 to 4.4)? */
static bool for_signatures(struct json key, enum jws_algorithm algorithm)
{
    struct json use = json_member(key, "use");
    struct json alg = json_member(key, "alg");
    struct json ops = json_member(key, "key_ops");
    struct json op;

    if (use.node != NULL && !bytes_eq_str(text_member(key, "use"), "sig"))
        return false;
    if (alg.node != NULL && !bytes_eq_str(text_member(key, "alg"), jws_algorithm_name(algorithm)))
        return false;
    if (ops.node == NULL)
        return true;
    struct json_iter it = json_iterate(ops);
    while (json_next(&it, NULL, &op)) {
        if (json_type(op) == JSON_STRING && bytes_eq_str(json_string(op), "verify"))
            return true;
    }
    return false;
}

static enum kms_status open_rsa(struct json key, struct crypto_key **ret, struct kms_error *reterr)
{
    static const enum key_spec      specs[] = { SPEC_RSA_2048, SPEC_RSA_3072, SPEC_RSA_4096 };
    CLEANUP(buf_release) struct buf out = BUF_INIT(SPKI_MAX);
    uint8_t                         n[NUMBER_MAX];
    uint8_t                         e[NUMBER_MAX];
    struct bytes                    modulus = number_member(key, "n", n);
    struct bytes                    exponent = number_member(key, "e", e);
    struct bytes                    spki = rsa_spki(modulus, exponent, &out);

    if (modulus.len == 0 || exponent.len == 0 || spki.len == 0)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "n or e is not a number in base64url");
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        enum kms_status status = crypto_key_read_public(specs[i], spki, ret, reterr);
        if (status != KMS_E_VALIDATION)
            return status;
    }
    return KMS_FAIL(reterr, KMS_E_VALIDATION,
                    "not an RSA key of 2048, 3072 or 4096 bits with an odd exponent");
}

static enum kms_status open_p256(struct json key, struct crypto_key **ret, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(SPKI_MAX);
    uint8_t                         x[NUMBER_MAX];
    uint8_t                         y[NUMBER_MAX];
    struct bytes spki = p256_spki(number_member(key, "x", x), number_member(key, "y", y), &out);

    if (spki.len == 0)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "x or y is not 32 bytes in base64url");
    enum kms_status status = crypto_key_read_public(SPEC_ECC_NIST_P256, spki, ret, reterr);
    if (status == KMS_E_VALIDATION)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "not a point on P-256");
    return status;
}

/* --- the set ---------------------------------------------------------------------------------- */

/* Which algorithm a key is for; false: none of ours, passed over. */
static bool kind_of(struct json key, enum jws_algorithm *ret)
{
    struct bytes kty = text_member(key, "kty");

    if (bytes_eq_str(kty, "RSA"))
        *ret = JWS_RS256;
    else if (bytes_eq_str(kty, "EC") && bytes_eq_str(text_member(key, "crv"), "P-256"))
        *ret = JWS_ES256;
    else
        return false;
    return for_signatures(key, *ret);
}

static enum kms_status add_key(struct jwks *set, struct json key, struct kms_error *reterr)
{
    struct jwk   add = { 0 };
    struct json  kid = json_member(key, "kid");
    struct bytes id = text_member(key, "kid");

    if (json_type(key) != JSON_OBJECT)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "not an object");
    if (!kind_of(key, &add.algorithm))
        return KMS_OK;
    if (kid.node != NULL && (id.len == 0 || id.len > JWKS_KID_MAX))
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "kid is not a text of 1 to %d bytes",
                        JWKS_KID_MAX);
    if (set->n == JWKS_KEYS_MAX)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "more than %d usable keys", JWKS_KEYS_MAX);
    TRY(add.algorithm == JWS_RS256 ? open_rsa(key, &add.key, reterr)
                                   : open_p256(key, &add.key, reterr));
    add.kid = bytes_of(set->kids.ptr + set->kids.len, id.len);
    buf_add(&set->kids, id);
    set->keys[set->n++] = add;
    return KMS_OK;
}

static enum kms_status add_keys(struct jwks *set, struct json root, struct kms_error *reterr)
{
    struct json      keys = json_member(root, "keys");
    struct json_iter it = json_iterate(keys);
    struct json      key;
    struct kms_error why;

    if (keys.node == NULL || json_type(keys) != JSON_ARRAY)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "no list 'keys'");
    for (size_t i = 0; json_next(&it, NULL, &key); i++) {
        enum kms_status status = add_key(set, key, &why);
        if (status != KMS_OK)
            return KMS_FAIL(reterr, status, "keys[%zu]: %s", i, why.detail);
    }
    return KMS_OK;
}

enum kms_status jwks_read(struct bytes text, struct jwks **ret, struct kms_error *reterr)
{
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    CLEANUP(buf_release) struct buf          copy = BUF_INIT(JWKS_BYTES_MAX + JSON_PADDING);
    CLEANUP(jwks_releasep) struct jwks      *set = calloc(1, sizeof *set);
    struct json                              root;

    if (text.len > JWKS_BYTES_MAX)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "longer than %d bytes", JWKS_BYTES_MAX);
    if (doc == NULL || set == NULL || !buf_reserve(&copy, text.len + JSON_PADDING))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a key set");
    set->users = 1;
    set->kids = BUF_INIT(JWKS_KEYS_MAX * JWKS_KID_MAX);
    if (!buf_reserve(&set->kids, JWKS_KEYS_MAX * JWKS_KID_MAX)) /* so that it does not move */
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a key set");
    buf_add(&copy, text);
    if (json_parse(doc, copy.ptr, copy.len, &root, reterr) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "not strict JSON");
    TRY(add_keys(set, root, reterr));
    *ret = TAKE(set);
    return KMS_OK;
}

/* --- using ------------------------------------------------------------------------------------ */

size_t jwks_count(const struct jwks *set)
{
    return set->n;
}

static bool candidate(const struct jwk *k, enum jws_algorithm algorithm, struct bytes kid)
{
    return k->algorithm == algorithm && (kid.len == 0 || bytes_eq(k->kid, kid));
}

bool jwks_has(const struct jwks *set, enum jws_algorithm algorithm, struct bytes kid)
{
    for (size_t i = 0; i < set->n; i++) {
        if (candidate(&set->keys[i], algorithm, kid))
            return true;
    }
    return false;
}

/* r || s as the DER that crypto/ takes; empty if it has another length. */
static struct bytes ecdsa_der(struct bytes raw, struct buf *out)
{
    CLEANUP(buf_release) struct buf numbers = BUF_INIT(128);

    if (raw.len != 2 * COORDINATE)
        return (struct bytes){ NULL, 0 };
    put_integer(&numbers, bytes_of(raw.ptr, COORDINATE));
    put_integer(&numbers, bytes_of(raw.ptr + COORDINATE, COORDINATE));
    put_head(out, 0x30, numbers.len);
    buf_add(out, buf_bytes(&numbers));
    return buf_ok(out) ? buf_bytes(out) : (struct bytes){ NULL, 0 };
}

bool jwks_verify(const struct jwks *set, enum jws_algorithm algorithm, struct bytes kid,
                 struct bytes signed_text, struct bytes signature)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(128);
    bool                            rsa = algorithm == JWS_RS256;
    enum algorithm with = rsa ? ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256 : ALGORITHM_ECDSA_SHA_256;

    if (!rsa)
        signature = ecdsa_der(signature, &der);
    if (signature.len == 0)
        return false;
    for (size_t i = 0; i < set->n; i++) {
        if (candidate(&set->keys[i], algorithm, kid) &&
            crypto_key_verify(set->keys[i].key, with, MESSAGE_RAW, signed_text, signature, NULL) ==
                KMS_OK)
            return true;
    }
    return false;
}
