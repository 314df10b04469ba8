/* crypto/ed25519.c - signatures of audit checkpoints and receipts (RFC 8032). */
#include "crypto/crypto_internal.h"

#include <openssl/err.h>

#include "base/cleanup.h"

enum { SEED_LEN = 32 };

static void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void md_ctx_freep(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

static EVP_PKEY *private_key(struct bytes seed)
{
    return EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed.ptr, seed.len);
}

enum kms_status crypto_ed25519_generate(struct secret   **ret_seed,
                                        uint8_t           ret_public[ED25519_PUB_LEN],
                                        struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *seed = secret_new(SEED_LEN);
    size_t                               len = ED25519_PUB_LEN;

    if (seed == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a signing key");
    crypto_random(secret_data(seed), SEED_LEN);
    CLEANUP(pkey_freep) EVP_PKEY *key = private_key(secret_view(seed));
    if (key == NULL || EVP_PKEY_get_raw_public_key(key, ret_public, &len) != 1 ||
        len != ED25519_PUB_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot make an Ed25519 key");
    *ret_seed = TAKE(seed);
    return KMS_OK;
}

enum kms_status crypto_ed25519_sign(struct bytes seed, struct bytes message,
                                    uint8_t ret[ED25519_SIG_LEN], struct kms_error *reterr)
{
    CLEANUP(pkey_freep) EVP_PKEY     *key = private_key(seed);
    CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t                            len = ED25519_SIG_LEN;

    if (key == NULL || ctx == NULL ||
        EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) != 1 ||
        EVP_DigestSign(ctx, ret, &len, message.ptr, message.len) != 1 || len != ED25519_SIG_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "Ed25519 signature failed");
    return KMS_OK;
}

bool crypto_ed25519_verify(struct bytes public_key, struct bytes message, struct bytes signature)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(
        NULL, "ED25519", NULL, public_key.ptr, public_key.len);
    CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    bool good = key != NULL && ctx != NULL &&
                EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
                EVP_DigestVerify(ctx, signature.ptr, signature.len, message.ptr, message.len) == 1;
    ERR_clear_error();
    return good;
}
