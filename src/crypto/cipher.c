/* crypto/cipher.c - AES-256-GCM and AES-256 key wrap with padding. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>

/* Feeds `in`; with `out` NULL it is associated data. */
static bool feed(EVP_CIPHER_CTX *ctx, uint8_t *out, struct bytes in)
{
    int n;

    return in.len == 0 || EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1;
}

/* Takes the key out of the context: key schedule, hash table and key stream are overwritten. */
static bool forget(EVP_CIPHER_CTX *ctx)
{
    return EVP_CipherInit_ex2(ctx, NULL, crypto_zero_key, NULL, -1, NULL) == 1;
}

enum kms_status crypto_gcm_seal(struct bytes key, const uint8_t iv[GCM_IV_LEN], struct bytes aad,
                                struct bytes plain, uint8_t *ret, struct kms_error *reterr)
{
    struct crypto_thread *t = crypto_thread();
    uint8_t               none[16];
    int                   n;

    assert(key.len == AES256_KEY_LEN && aad.len < INT_MAX && plain.len < INT_MAX);
    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for this thread's contexts");
    bool ok = EVP_EncryptInit_ex2(t->seal, NULL, key.ptr, iv, NULL) == 1 &&
              feed(t->seal, NULL, aad) && feed(t->seal, ret, plain) &&
              EVP_EncryptFinal_ex(t->seal, none, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(t->seal, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, ret + plain.len) ==
                  1;
    if (forget(t->seal) && ok)
        return KMS_OK;
    explicit_bzero(ret, plain.len + GCM_TAG_LEN);
    return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "AES-GCM encryption failed");
}

enum kms_status crypto_gcm_open(struct bytes key, const uint8_t iv[GCM_IV_LEN], struct bytes aad,
                                struct bytes sealed, uint8_t *ret, struct kms_error *reterr)
{
    struct crypto_thread *t = crypto_thread();
    uint8_t               tag[GCM_TAG_LEN];
    uint8_t               none[16];
    int                   n;

    assert(key.len == AES256_KEY_LEN && aad.len < INT_MAX && sealed.len < INT_MAX);
    if (sealed.len < GCM_TAG_LEN)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "sealed bytes are shorter than a tag");
    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for this thread's contexts");
    sealed.len -= GCM_TAG_LEN;
    memcpy(tag, sealed.ptr + sealed.len, sizeof tag);

    bool fed = EVP_DecryptInit_ex2(t->open, NULL, key.ptr, iv, NULL) == 1 &&
               feed(t->open, NULL, aad) && feed(t->open, ret, sealed) &&
               EVP_CIPHER_CTX_ctrl(t->open, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) == 1;
    bool genuine = fed && EVP_DecryptFinal_ex(t->open, none, &n) == 1;
    bool clean = forget(t->open);
    if (genuine && clean)
        return KMS_OK;
    explicit_bzero(ret, sealed.len);
    if (!fed || !clean)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "AES-GCM decryption failed");
    ERR_clear_error();
    return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "AES-GCM tag does not verify");
}

static bool wrap_run(EVP_CIPHER_CTX *ctx, struct bytes kek, struct bytes in, uint8_t *ret,
                     size_t *ret_len)
{
    int n = 0;

    assert(kek.len == AES256_KEY_LEN && in.len < INT_MAX);
    bool ok = EVP_CipherInit_ex2(ctx, NULL, kek.ptr, NULL, -1, NULL) == 1 && in.len > 0 &&
              EVP_CipherUpdate(ctx, ret, &n, in.ptr, (int)in.len) == 1 && n > 0;
    if (!forget(ctx) || !ok)
        return false;
    *ret_len = (size_t)n;
    return true;
}

enum kms_status crypto_kwp_wrap(struct bytes kek, struct bytes plain, uint8_t *ret, size_t *ret_len,
                                struct kms_error *reterr)
{
    struct crypto_thread *t = crypto_thread();

    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for this thread's contexts");
    if (!wrap_run(t->wrap, kek, plain, ret, ret_len))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "AES key wrap failed");
    return KMS_OK;
}

enum kms_status crypto_kwp_unwrap(struct bytes kek, struct bytes wrapped, uint8_t *ret,
                                  size_t *ret_len, struct kms_error *reterr)
{
    struct crypto_thread *t = crypto_thread();

    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for this thread's contexts");
    if (wrap_run(t->unwrap, kek, wrapped, ret, ret_len))
        return KMS_OK;
    explicit_bzero(ret, wrapped.len);
    ERR_clear_error();
    return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "AES key wrap does not open");
}
