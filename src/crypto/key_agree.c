/* crypto/key_agree.c - shared secrets: ECDH and ML-KEM. */
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

/* --- ECDH --------------------------------------------------------------------------------------- */

static enum kms_status no_secret(struct kms_error *reterr)
{
    if (crypto_was_short_of_memory())
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a shared secret");
    return KMS_FAIL(reterr, KMS_E_VALIDATION, "the two keys share no secret");
}

/* The peer's point was found valid when it was read; cofactors are 1. */
enum kms_status key_derive_ec(const struct crypto_key *k, const struct crypto_key *peer,
                              uint8_t *ret, size_t len, struct kms_error *reterr)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    size_t                               got = len;

    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
        EVP_PKEY_derive_set_peer_ex(ctx, peer->pkey, 0) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a key agreement");
    return EVP_PKEY_derive(ctx, ret, &got) == 1 && got == len ? KMS_OK : no_secret(reterr);
}

struct sm2 {
    EC_GROUP *group;
    EC_POINT *theirs, *shared;
    BIGNUM   *scalar, *x;
    BN_CTX   *ctx;
};

static void sm2_release(struct sm2 *s)
{
    BN_clear_free(s->scalar);
    BN_clear_free(s->x);
    EC_POINT_free(s->theirs);
    EC_POINT_clear_free(s->shared);
    EC_GROUP_free(s->group);
    BN_CTX_free(s->ctx);
}

static bool sm2_set_up(struct sm2 *s)
{
    s->ctx = BN_CTX_secure_new();
    s->scalar = BN_secure_new();
    s->x = BN_secure_new();
    s->group = EC_GROUP_new_by_curve_name(NID_sm2);
    if (s->ctx == NULL || s->scalar == NULL || s->x == NULL || s->group == NULL)
        return false;
    s->theirs = EC_POINT_new(s->group);
    s->shared = EC_POINT_new(s->group);
    return s->theirs != NULL && s->shared != NULL;
}

/* OpenSSL has no key agreement for keys of type SM2, so this multiplies by itself: with one point and no
 * scalar for the generator EC_POINT_mul takes its ladder, whose time does not depend on the scalar. */
enum kms_status key_derive_sm2(const struct crypto_key *k, const struct crypto_key *peer,
                               uint8_t *ret, size_t len, struct kms_error *reterr)
{
    CLEANUP(sm2_release) struct sm2 s = { 0 };
    uint8_t                         point[KEY_POINT_MAX];
    size_t                          point_len = 0;

    if (!sm2_set_up(&s) ||
        EVP_PKEY_get_octet_string_param(peer->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                        &point_len) != 1 ||
        EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &s.scalar) != 1 ||
        EC_POINT_oct2point(s.group, s.theirs, point, point_len, s.ctx) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a key agreement");
    BN_set_flags(s.scalar, BN_FLG_CONSTTIME);
    if (EC_POINT_mul(s.group, s.shared, NULL, s.theirs, s.scalar, s.ctx) != 1 ||
        EC_POINT_get_affine_coordinates(s.group, s.shared, s.x, NULL, s.ctx) != 1 ||
        BN_bn2binpad(s.x, ret, (int)len) != (int)len)
        return no_secret(reterr);
    return KMS_OK;
}

enum kms_status crypto_key_derive(const struct crypto_key *k, const struct crypto_key *peer,
                                  struct secret **ret_secret, struct kms_error *reterr)
{
    const struct key_family_ops *ops = key_ops(k->spec);

    if (k->spec != peer->spec || ops->derive == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "keys of %s and %s make no secret",
                        key_spec_names[k->spec], key_spec_names[peer->spec]);
    size_t                               len = key_encoding(k->spec)->private_len;
    CLEANUP(secret_freep) struct secret *s = secret_new(len);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a shared secret");
    TRY(ops->derive(k, peer, secret_data(s), len, reterr));
    *ret_secret = TAKE(s);
    return KMS_OK;
}

/* --- ML-KEM ------------------------------------------------------------------------------------- */

enum kms_status crypto_key_encapsulate(const struct crypto_key *k, struct secret **ret_secret,
                                       struct buf *ret_cipher, struct kms_error *reterr)
{
    size_t len = SHARED_SECRET_LEN, out_len = key_encoding(k->spec)->cipher_len;
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    CLEANUP(secret_freep) struct secret *s = secret_new(len);

    if (out_len == 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a key of %s does not encapsulate",
                        key_spec_names[k->spec]);
    if (s == NULL || !buf_reserve(ret_cipher, out_len))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a shared secret");
    size_t want = out_len;
    if (ctx == NULL || EVP_PKEY_encapsulate_init(ctx, NULL) != 1 ||
        EVP_PKEY_encapsulate(ctx, ret_cipher->ptr + ret_cipher->len, &out_len, secret_data(s),
                             &len) != 1 ||
        out_len != want || len != SHARED_SECRET_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "encapsulation failed");
    ret_cipher->len += out_len;
    *ret_secret = TAKE(s);
    return KMS_OK;
}

enum kms_status crypto_key_decapsulate(const struct crypto_key *k, struct bytes cipher,
                                       struct secret **ret_secret, struct kms_error *reterr)
{
    size_t len = SHARED_SECRET_LEN, want = key_encoding(k->spec)->cipher_len;

    if (want == 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a key of %s does not decapsulate",
                        key_spec_names[k->spec]);
    if (cipher.len != want)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "ciphertext of another length");
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    CLEANUP(secret_freep) struct secret *s = secret_new(len);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a shared secret");
    if (ctx == NULL || EVP_PKEY_decapsulate_init(ctx, NULL) != 1 ||
        EVP_PKEY_decapsulate(ctx, secret_data(s), &len, cipher.ptr, cipher.len) != 1 ||
        len != SHARED_SECRET_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "decapsulation failed");
    *ret_secret = TAKE(s);
    return KMS_OK;
}
