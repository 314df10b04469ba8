/* crypto/key_read.c - keys out of bytes: what customers import, our own material, public keys. */
#include <assert.h>
#include <stdio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

static void pkcs8_freep(PKCS8_PRIV_KEY_INFO **p)
{
    PKCS8_PRIV_KEY_INFO_free(*p);
}

static void type_freep(ASN1_TYPE **p)
{
    ASN1_TYPE_free(*p);
}

static void openssl_freep(uint8_t **p)
{
    OPENSSL_free(*p); /* wipes: crypto.c */
}

/* --- PKCS#8 ------------------------------------------------------------------------------------- */

static bool is_oid(const ASN1_OBJECT *object, struct bytes want)
{
    return bytes_eq(bytes_of(OBJ_get0_data(object), OBJ_length(object)), want);
}

/* Algorithm and parameters of exactly this spec: a curve by its name only. */
static bool right_algorithm(enum key_spec spec, const X509_ALGOR *algorithm)
{
    const struct key_encoding *e = key_encoding(spec);
    const ASN1_OBJECT         *oid;
    int                        type;
    const void                *parameter;

    X509_ALGOR_get0(&oid, &type, &parameter, algorithm);
    if (!is_oid(oid, e->oid))
        return false;
    if (e->curve.len > 0)
        return type == V_ASN1_OBJECT && is_oid(parameter, e->curve);
    return type == V_ASN1_UNDEF || (type == V_ASN1_NULL && spec_info(spec)->family == FAMILY_RSA);
}

/* The key inside is one ASN.1 element and nothing else; unless BER will do, an element in DER. */
static bool right_inside(struct bytes in, bool ber)
{
    const uint8_t                  *at = in.ptr;
    CLEANUP(type_freep) ASN1_TYPE  *element = d2i_ASN1_TYPE(NULL, &at, (long)in.len);
    CLEANUP(openssl_freep) uint8_t *der = NULL;

    if (element == NULL || at != in.ptr + in.len)
        return false;
    if (ber)
        return true;
    int len = i2d_ASN1_TYPE(element, &der);
    return len > 0 && bytes_eq(bytes_of(der, (size_t)len), in);
}

/* NULL if it is not PKCS#8 of the spec, or goes on after its end. *ret_der, if it is wanted: the same
 * PKCS#8 in DER, with what EVP_PKCS82PKEY does not look at. */
static EVP_PKEY *parse(enum key_spec spec, struct bytes in, uint8_t **ret_der, size_t *ret_der_len)
{
    const struct key_spec_info *info = spec_info(spec);
    const uint8_t              *at = in.ptr;
    const uint8_t              *inside;
    int                         inside_len;
    const X509_ALGOR           *algorithm;

    if (in.len == 0 || in.len > info->material_max)
        return NULL;
    CLEANUP(pkcs8_freep) PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)in.len);
    if (p8 == NULL || at != in.ptr + in.len ||
        PKCS8_pkey_get0(NULL, &inside, &inside_len, &algorithm, p8) != 1 || inside_len <= 0 ||
        !right_algorithm(spec, algorithm) ||
        !right_inside(bytes_of(inside, (size_t)inside_len), info->ber))
        return NULL;
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    int                             len = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
    if (len <= 0 || (!info->ber && !bytes_eq(bytes_of(der, (size_t)len), in)))
        return NULL;
    CLEANUP(key_pkey_freep) EVP_PKEY *key = EVP_PKCS82PKEY(p8);
    if (key == NULL || !EVP_PKEY_is_a(key, info->openssl))
        return NULL;
    if (ret_der != NULL) {
        *ret_der = TAKE(der);
        *ret_der_len = (size_t)len;
    }
    return TAKE(key);
}

/* --- a public key beside the private one -------------------------------------------------------- */

struct element {
    int          tag, class;
    struct bytes content;
};

/* One element of DER off the front. */
static bool take_element(struct bytes *in, struct element *ret)
{
    enum { WRONG = 0x80, INDEFINITE = 0x01 };
    const uint8_t *at = in->ptr;
    long           len;

    if (in->len == 0 || (ASN1_get_object(&at, &len, &ret->tag, &ret->class, (long)in->len) &
                         (WRONG | INDEFINITE)) != 0)
        return false;
    ret->content = bytes_of(at, (size_t)len);
    size_t whole = (size_t)(at - in->ptr) + (size_t)len;
    *in = bytes_of(in->ptr + whole, in->len - whole);
    return true;
}

/* The bits of the SubjectPublicKeyInfo, with the octet before them. */
static bool public_bits(struct bytes spki, struct bytes *ret)
{
    struct element all, algorithm, bits;

    if (!take_element(&spki, &all) || !take_element(&all.content, &algorithm) ||
        !take_element(&all.content, &bits))
        return false;
    *ret = bits.content;
    return true;
}

/* Version 2 of PKCS#8 (RFC 5958) may have the public key as [1], which OpenSSL does not look at: it has
 * to be the one we have computed, points uncompressed. */
static bool right_public(enum key_spec spec, EVP_PKEY *key, struct bytes pkcs8)
{
    enum { SPKI_MAX = 4096, PUBLIC_KEY = 1 };
    CLEANUP(buf_release) struct buf spki = BUF_INIT(SPKI_MAX);
    struct crypto_key               k = { .spec = spec, .pkey = key };
    struct element                  all, e;
    struct bytes                    bits;

    if (!take_element(&pkcs8, &all))
        return false;
    while (take_element(&all.content, &e)) {
        if (e.class != V_ASN1_CONTEXT_SPECIFIC || e.tag != PUBLIC_KEY)
            continue;
        if (crypto_key_public(&k, &spki, NULL) != KMS_OK || !public_bits(buf_bytes(&spki), &bits) ||
            !bytes_eq(bits, e.content))
            return false;
    }
    return all.content.len == 0;
}

/* --- import and open ---------------------------------------------------------------------------- */

static enum kms_status refuse_import(struct kms_error *reterr)
{
    if (crypto_was_short_of_memory())
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to check an imported key");
    return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "imported material is not a good key of its spec");
}

static enum kms_status import_secret(const struct key_spec_info *info, struct bytes content,
                                     struct secret **ret, struct kms_error *reterr)
{
    if (content.len < info->material_min || content.len > info->material_max)
        return refuse_import(reterr);
    struct secret *s = secret_copy(content);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a key");
    *ret = s;
    return KMS_OK;
}

enum kms_status crypto_key_import(enum key_spec spec, struct bytes content,
                                  struct secret **ret_material, struct kms_error *reterr)
{
    if (!spec_is_asymmetric(spec))
        return import_secret(spec_info(spec), content, ret_material, reterr);
    CLEANUP(openssl_freep) uint8_t   *der = NULL;
    size_t                            len = 0;
    CLEANUP(key_pkey_freep) EVP_PKEY *key = parse(spec, content, &der, &len);
    if (key == NULL || !key_ops(spec)->check(spec, &key) ||
        !right_public(spec, key, bytes_of(der, len)))
        return refuse_import(reterr);
    return key_ops(spec)->encode(spec, key, ret_material, reterr);
}

static enum kms_status not_canonical(struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "key material is not in its canonical form");
}

/* Its bytes have been looked at. */
static enum kms_status read_canonical(enum key_spec spec, struct bytes material, EVP_PKEY **ret,
                                      struct kms_error *reterr)
{
    const uint8_t *at = material.ptr;

    if (!key_ops(spec)->canonical(spec, material))
        return not_canonical(reterr);
    CLEANUP(pkcs8_freep)
    PKCS8_PRIV_KEY_INFO              *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)material.len);
    CLEANUP(key_pkey_freep) EVP_PKEY *key = p8 == NULL ? NULL : EVP_PKCS82PKEY(p8);
    if (key == NULL || !EVP_PKEY_is_a(key, spec_info(spec)->openssl))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot open a key");
    *ret = TAKE(key);
    return KMS_OK;
}

static enum kms_status read_and_compare(enum key_spec spec, struct bytes material, EVP_PKEY **ret,
                                        struct kms_error *reterr)
{
    CLEANUP(key_pkey_freep) EVP_PKEY    *key = parse(spec, material, NULL, NULL);
    CLEANUP(secret_freep) struct secret *canonical = NULL;

    if (key == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot open a key");
    TRY(key_ops(spec)->encode(spec, key, &canonical, reterr));
    if (!ct_equal(secret_view(canonical), material))
        return not_canonical(reterr);
    *ret = TAKE(key);
    return KMS_OK;
}

enum kms_status crypto_key_open(enum key_spec spec, struct bytes material, struct crypto_key **ret,
                                struct kms_error *reterr)
{
    assert(spec_is_asymmetric(spec));
    CLEANUP(key_pkey_freep) EVP_PKEY            *key = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *k = NULL;

    TRY(key_ops(spec)->canonical != NULL ? read_canonical(spec, material, &key, reterr)
                                         : read_and_compare(spec, material, &key, reterr));
    TRY(key_handle(spec, &key, &k, reterr));
    TRY(key_prepare_signing(k, reterr));
    *ret = TAKE(k);
    return KMS_OK;
}

/* --- public keys -------------------------------------------------------------------------------- */

/* The key inside, if all around it is what belongs there. */
static bool inside_spki(enum key_spec spec, struct bytes spki, size_t key_len, struct bytes *ret)
{
    uint8_t head[KEY_HEAD_MAX];
    size_t  head_len = key_spki_head(spec, key_len, head);

    if (spki.len != head_len + key_len || !bytes_starts(spki, bytes_of(head, head_len)))
        return false;
    *ret = bytes_of(spki.ptr + head_len, key_len);
    return true;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY                            *key = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return key;
}

/* RFC 5480 2.2: any other first octet is to be rejected, so that of the hybrid form, which OpenSSL reads. */
static bool point_form_is_known(struct bytes point, size_t whole)
{
    enum { COMPRESSED_EVEN = 2, COMPRESSED_ODD = 3, UNCOMPRESSED = 4 };
    uint8_t form = point.ptr[0];

    return point.len == whole ? form == UNCOMPRESSED
                              : form == COMPRESSED_EVEN || form == COMPRESSED_ODD;
}

EVP_PKEY *key_read_public_curve(enum key_spec spec, struct bytes spki)
{
    const struct key_spec_info *info = spec_info(spec);
    size_t                      whole = key_encoding(spec)->public_len;
    size_t                      compressed = 1 + key_encoding(spec)->private_len;
    struct bytes                point;
    uint8_t                     copy[KEY_POINT_MAX];
    char                        group[16];

    if (!inside_spki(spec, spki, whole, &point) && !inside_spki(spec, spki, compressed, &point))
        return NULL;
    if (!point_form_is_known(point, whole))
        return NULL;
    memcpy(copy, point.ptr, point.len); /* parameters are not const */
    (void)snprintf(group, sizeof group, "%s", info->group);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, point.len),
        OSSL_PARAM_construct_end(),
    };
    CLEANUP(key_pkey_freep) EVP_PKEY *key = from_params(info->openssl, params);
    return key != NULL && key_uncompressed(key) ? TAKE(key) : NULL;
}

/* Any 32 bytes are an Ed25519 public key to OpenSSL until it uses them; so they are checked here. */
EVP_PKEY *key_read_public_plain(enum key_spec spec, struct bytes spki)
{
    const struct key_spec_info *info = spec_info(spec);
    struct bytes                in;

    if (!inside_spki(spec, spki, key_encoding(spec)->public_len, &in))
        return NULL;
    CLEANUP(key_pkey_freep)
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, info->openssl, NULL, in.ptr, in.len);
    CLEANUP(key_ctx_freep)
    EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    return ctx != NULL && EVP_PKEY_public_check(ctx) == 1 ? TAKE(key) : NULL;
}

EVP_PKEY *key_read_public_rsa(enum key_spec spec, struct bytes spki)
{
    const uint8_t                    *at = spki.ptr;
    CLEANUP(key_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    CLEANUP(openssl_freep) uint8_t   *der = NULL;

    if (key == NULL || at != spki.ptr + spki.len || !EVP_PKEY_is_a(key, "RSA") ||
        EVP_PKEY_get_bits(key) != (int)spec_info(spec)->bits || !key_rsa_exponent_is_odd(key))
        return NULL;
    int len = i2d_PUBKEY(key, &der);
    return len > 0 && bytes_eq(bytes_of(der, (size_t)len), spki) ? TAKE(key) : NULL;
}

enum kms_status crypto_key_read_public(enum key_spec spec, struct bytes spki,
                                       struct crypto_key **ret, struct kms_error *reterr)
{
    enum { SPKI_MAX = 8192 };

    assert(spec_is_asymmetric(spec));
    CLEANUP(key_pkey_freep) EVP_PKEY *key = spki.len == 0 || spki.len > SPKI_MAX
                                                ? NULL
                                                : key_ops(spec)->read_public(spec, spki);
    if (key != NULL)
        return key_handle(spec, &key, ret, reterr);
    if (crypto_was_short_of_memory())
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a public key");
    return KMS_FAIL(reterr, KMS_E_VALIDATION, "not a public key of spec %s", key_spec_names[spec]);
}
