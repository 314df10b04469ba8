/* crypto/ed25519.c - signatures of audit checkpoints and receipts (RFC 8032), with raw keys. */
#include <openssl/err.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

enum { SEED_LEN = 32 };

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
    CLEANUP(key_pkey_freep) EVP_PKEY *key = private_key(secret_view(seed));
    if (key == NULL || EVP_PKEY_get_raw_public_key(key, ret_public, &len) != 1 ||
        len != ED25519_PUB_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot make an Ed25519 key");
    *ret_seed = TAKE(seed);
    return KMS_OK;
}

enum kms_status crypto_ed25519_open(struct bytes seed, struct crypto_key **ret,
                                    struct kms_error *reterr)
{
    CLEANUP(key_pkey_freep) EVP_PKEY *key = private_key(seed);

    if (key == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot use an Ed25519 key");
    return key_handle(SPEC_ECC_NIST_EDWARDS25519, &key, ret, reterr);
}

enum kms_status crypto_ed25519_sign_with(const struct crypto_key *key, struct bytes message,
                                         uint8_t ret[ED25519_SIG_LEN], struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf signature = BUF_INIT(ED25519_SIG_LEN);

    TRY(crypto_key_sign(key, ALGORITHM_ED25519_SHA_512, MESSAGE_RAW, message, &signature, reterr));
    memcpy(ret, signature.ptr, ED25519_SIG_LEN);
    return KMS_OK;
}

enum kms_status crypto_ed25519_sign(struct bytes seed, struct bytes message,
                                    uint8_t ret[ED25519_SIG_LEN], struct kms_error *reterr)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;

    TRY(crypto_ed25519_open(seed, &key, reterr));
    return crypto_ed25519_sign_with(key, message, ret, reterr);
}

bool crypto_ed25519_verify(struct bytes public_key, struct bytes message, struct bytes signature)
{
    CLEANUP(key_pkey_freep) EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(
        NULL, "ED25519", NULL, public_key.ptr, public_key.len);
    struct crypto_key k = { .spec = SPEC_ECC_NIST_EDWARDS25519, .pkey = key };

    if (key != NULL)
        return crypto_key_verify(&k, ALGORITHM_ED25519_SHA_512, MESSAGE_RAW, message, signature,
                                 NULL) == KMS_OK;
    ERR_clear_error();
    return false;
}
