/* crypto/key_encode.c - the one encoding that each key has, private and public.
 *
 * Around a scalar, a seed or a public key stand bytes that depend on the spec only. They are written
 * here, not by OpenSSL's encoders, whose choice of optional parts changes between versions; and
 * a reader that compares them with what it got accepts DER and nothing else. RSA keys, whose numbers have
 * no fixed lengths, are OpenSSL's own encoding of numbers that key_check.c has put in order.
 *
 * Private: RFC 5958 around RFC 5915 for curves (with parameters and public key: recorded-crypto 9),
 * around RFC 8410 for Ed25519, around the seed of FIPS 203 and 204 (RFC 9881, RFC 9935).
 * Public: RFC 5280 with the identifiers of RFC 5480, RFC 8410 and the same two.
 */
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

enum {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    DER_CONTEXT_0 = 0x80, /* primitive */
    DER_CONSTRUCTED_0 = 0xa0,
    DER_CONSTRUCTED_1 = 0xa1,
};

#define RSA_ENCRYPTION    "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define NIST_SIGS         "\x60\x86\x48\x01\x65\x03\x04\x03"
#define NIST_KEMS         "\x60\x86\x48\x01\x65\x03\x04\x04"
#define OID(TEXT)         { (const uint8_t *)(TEXT), sizeof(TEXT) - 1 }
#define CURVE(OID_TEXT, BYTES)                                                                     \
    {                                                                                              \
        .oid = OID("\x2a\x86\x48\xce\x3d\x02\x01"), .curve = OID(OID_TEXT), .private_len = BYTES,  \
        .public_len = 1 + 2 * BYTES                                                                \
    }
#define SEED(OID_TEXT, TAG, PRIVATE, PUBLIC, CIPHER)                                               \
    {                                                                                              \
        .oid = OID(OID_TEXT), .private_len = PRIVATE, .public_len = PUBLIC, .cipher_len = CIPHER,  \
        .seed_tag = TAG                                                                            \
    }

// clang-format off
static const struct key_encoding encodings[SPEC_COUNT] = {
    [SPEC_RSA_2048] = { .oid = OID(RSA_ENCRYPTION) },
    [SPEC_RSA_3072] = { .oid = OID(RSA_ENCRYPTION) },
    [SPEC_RSA_4096] = { .oid = OID(RSA_ENCRYPTION) },
    [SPEC_ECC_NIST_P256]   = CURVE("\x2a\x86\x48\xce\x3d\x03\x01\x07", 32),
    [SPEC_ECC_NIST_P384]   = CURVE("\x2b\x81\x04\x00\x22", 48),
    [SPEC_ECC_NIST_P521]   = CURVE("\x2b\x81\x04\x00\x23", 66),
    [SPEC_ECC_SECG_P256K1] = CURVE("\x2b\x81\x04\x00\x0a", 32),
    [SPEC_SM2]             = CURVE("\x2a\x81\x1c\xcf\x55\x01\x82\x2d", 32),
    [SPEC_ECC_NIST_EDWARDS25519] = SEED("\x2b\x65\x70", DER_OCTET_STRING, 32, 32, 0),
    [SPEC_ML_DSA_44]   = SEED(NIST_SIGS "\x11", DER_CONTEXT_0, 32, 1312, 0),
    [SPEC_ML_DSA_65]   = SEED(NIST_SIGS "\x12", DER_CONTEXT_0, 32, 1952, 0),
    [SPEC_ML_DSA_87]   = SEED(NIST_SIGS "\x13", DER_CONTEXT_0, 32, 2592, 0),
    [SPEC_ML_KEM_512]  = SEED(NIST_KEMS "\x01", DER_CONTEXT_0, 64, 800, 768),
    [SPEC_ML_KEM_768]  = SEED(NIST_KEMS "\x02", DER_CONTEXT_0, 64, 1184, 1088),
    [SPEC_ML_KEM_1024] = SEED(NIST_KEMS "\x03", DER_CONTEXT_0, 64, 1568, 1568),
};
// clang-format on

const struct key_encoding *key_encoding(enum key_spec spec)
{
    return &encodings[spec];
}

/* --- DER ---------------------------------------------------------------------------------------- */

/* Length of an element with that much content, less than 64 KiB. */
static size_t element(size_t content)
{
    return content + (content < 0x80 ? 2 : content < 0x100 ? 3 : 4);
}

static uint8_t *put_head(uint8_t *at, uint8_t tag, size_t len)
{
    assert(len < 0x10000);
    *at++ = tag;
    if (len >= 0x100) {
        *at++ = 0x82;
        *at++ = (uint8_t)(len >> 8);
    } else if (len >= 0x80) {
        *at++ = 0x81;
    }
    *at++ = (uint8_t)len;
    return at;
}

static uint8_t *put_bytes(uint8_t *at, struct bytes in)
{
    memcpy(at, in.ptr, in.len);
    return at + in.len;
}

static uint8_t *put_oid(uint8_t *at, struct bytes oid)
{
    return put_bytes(put_head(at, DER_OID, oid.len), oid);
}

static uint8_t *put_small_integer(uint8_t *at, uint8_t value)
{
    at = put_head(at, DER_INTEGER, 1);
    *at++ = value;
    return at;
}

/* AlgorithmIdentifier: the content's length, and the whole. */
static size_t algorithm_len(const struct key_encoding *e)
{
    return element(e->oid.len) + (e->curve.len > 0 ? element(e->curve.len) : 0);
}

static uint8_t *put_algorithm(uint8_t *at, const struct key_encoding *e)
{
    at = put_oid(put_head(at, DER_SEQUENCE, algorithm_len(e)), e->oid);
    return e->curve.len > 0 ? put_oid(at, e->curve) : at;
}

/* --- public keys -------------------------------------------------------------------------------- */

size_t key_spki_head(enum key_spec spec, size_t key_len, uint8_t ret[KEY_HEAD_MAX])
{
    const struct key_encoding *e = &encodings[spec];
    uint8_t                   *at = ret;

    assert(e->oid.len <= KEY_OID_MAX && e->curve.len <= KEY_OID_MAX); /* so that it fits */
    at = put_head(at, DER_SEQUENCE, element(algorithm_len(e)) + element(1 + key_len));
    at = put_algorithm(at, e);
    at = put_head(at, DER_BIT_STRING, 1 + key_len);
    *at++ = 0; /* unused bits */
    return (size_t)(at - ret);
}

enum kms_status key_write_public(const struct crypto_key *k, struct buf *ret_spki,
                                 struct kms_error *reterr)
{
    size_t  len = encodings[k->spec].public_len, got = 0;
    uint8_t head[KEY_HEAD_MAX];
    size_t  head_len = key_spki_head(k->spec, len, head);

    if (!buf_reserve(ret_spki, head_len + len))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a public key");
    if (EVP_PKEY_get_octet_string_param(k->pkey, OSSL_PKEY_PARAM_PUB_KEY,
                                        ret_spki->ptr + ret_spki->len + head_len, len, &got) != 1 ||
        got != len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a public key");
    memcpy(ret_spki->ptr + ret_spki->len, head, head_len);
    ret_spki->len += head_len + len;
    return KMS_OK;
}

enum kms_status key_write_public_rsa(const struct crypto_key *k, struct buf *ret_spki,
                                     struct kms_error *reterr)
{
    int len = i2d_PUBKEY(k->pkey, NULL);

    if (len <= 0 || !buf_reserve(ret_spki, (size_t)len))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a public key");
    uint8_t *at = ret_spki->ptr + ret_spki->len; /* moved by the call */
    if (i2d_PUBKEY(k->pkey, &at) != len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a public key");
    ret_spki->len += (size_t)len;
    return KMS_OK;
}

/* --- private keys ------------------------------------------------------------------------------- */

/* Material with everything up to the `inner_len` bytes inside the PKCS#8's octet string. */
static enum kms_status begin_private(const struct key_encoding *e, size_t inner_len,
                                     struct secret **ret, uint8_t **ret_inner,
                                     struct kms_error *reterr)
{
    size_t         content = element(1) + element(algorithm_len(e)) + element(inner_len);
    struct secret *s = secret_new(element(content));

    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a private key");
    uint8_t *at = put_head(secret_data(s), DER_SEQUENCE, content);
    at = put_algorithm(put_small_integer(at, 0), e);
    *ret_inner = put_head(at, DER_OCTET_STRING, inner_len);
    *ret = s;
    return KMS_OK;
}

enum kms_status key_seed_material(enum key_spec spec, struct secret **ret, uint8_t **ret_seed,
                                  struct kms_error *reterr)
{
    const struct key_encoding *e = &encodings[spec];
    uint8_t                   *inner;

    TRY(begin_private(e, element(e->private_len), ret, &inner, reterr));
    *ret_seed = put_head(inner, e->seed_tag, e->private_len);
    return KMS_OK;
}

enum kms_status key_encode_seed(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                                struct kms_error *reterr)
{
    /* what OpenSSL calls it */
    const char *name = spec_info(spec)->family == FAMILY_EDWARDS ? OSSL_PKEY_PARAM_PRIV_KEY
                                                                 : OSSL_PKEY_PARAM_ML_DSA_SEED;
    size_t      want = encodings[spec].private_len, got = 0;
    uint8_t    *seed;
    CLEANUP(secret_freep) struct secret *material = NULL;

    TRY(key_seed_material(spec, &material, &seed, reterr));
    if (EVP_PKEY_get_octet_string_param(key, name, seed, want, &got) != 1 || got != want)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "a private key has no seed");
    *ret = TAKE(material);
    return KMS_OK;
}

/* The scalar in big-endian order; OpenSSL writes the machine's. */
static bool get_scalar(EVP_PKEY *key, uint8_t *ret, size_t len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, ret, len),
        OSSL_PARAM_construct_end(),
    };

    if (EVP_PKEY_get_params(key, params) != 1)
        return false;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t last = ret[len - 1 - i];
        ret[len - 1 - i] = ret[i];
        ret[i] = last;
    }
#endif
    return true;
}

enum kms_status key_encode_curve(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                                 struct kms_error *reterr)
{
    const struct key_encoding *e = &encodings[spec];
    size_t                     curve = element(e->curve.len);
    size_t                     point = element(1 + e->public_len);
    size_t   content = element(1) + element(e->private_len) + element(curve) + element(point);
    size_t   got = 0;
    uint8_t *at;
    CLEANUP(secret_freep) struct secret *material = NULL;

    TRY(begin_private(e, element(content), &material, &at, reterr));
    at = put_small_integer(put_head(at, DER_SEQUENCE, content), 1);
    at = put_head(at, DER_OCTET_STRING, e->private_len);
    bool ok = get_scalar(key, at, e->private_len);
    at = put_oid(put_head(at + e->private_len, DER_CONSTRUCTED_0, curve), e->curve);
    at = put_head(put_head(at, DER_CONSTRUCTED_1, point), DER_BIT_STRING, 1 + e->public_len);
    *at++ = 0; /* unused bits */
    if (!ok ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, at, e->public_len, &got) !=
            1 ||
        got != e->public_len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a private key");
    *ret = TAKE(material);
    return KMS_OK;
}

static void pkcs8_freep(PKCS8_PRIV_KEY_INFO **p)
{
    PKCS8_PRIV_KEY_INFO_free(*p);
}

enum kms_status key_encode_rsa(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                               struct kms_error *reterr)
{
    CLEANUP(pkcs8_freep) PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
    int len = p8 == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(p8, NULL);

    if (len <= 0 || EVP_PKEY_get_bits(key) != (int)spec_info(spec)->bits)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a private key");
    CLEANUP(secret_freep) struct secret *der = secret_new((size_t)len);
    if (der == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a private key");
    uint8_t *at = secret_data(der); /* moved by the call */
    if (i2d_PKCS8_PRIV_KEY_INFO(p8, &at) != len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a private key");
    *ret = TAKE(der);
    return KMS_OK;
}
