/* crypto/key_encrypt.c - RSAES-OAEP and SM2 encryption. */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

/* MGF1 with the same hash, empty label. */
bool key_set_oaep(EVP_PKEY_CTX *ctx, enum algorithm algorithm)
{
    const EVP_MD *md = crypto_alg.digest[algorithm_info(algorithm)->digest];

    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1;
}

/* SM3 is what OpenSSL uses if nothing is said. */
bool key_set_sm2(EVP_PKEY_CTX *ctx, enum algorithm algorithm)
{
    (void)ctx, (void)algorithm;
    return true;
}

/* OpenSSL would take a shorter one as a smaller number (RFC 8017 7.1.2, step 1b). */
bool key_plausible_rsa(const struct crypto_key *k, struct bytes cipher)
{
    return cipher.len == (size_t)EVP_PKEY_get_size(k->pkey);
}

/* One SEQUENCE in DER and nothing after it: OpenSSL would not look what follows. */
bool key_plausible_sm2(const struct crypto_key *k, struct bytes cipher)
{
    const uint8_t *at = cipher.ptr;
    long           len;
    int            tag, class;

    (void)k;
    return cipher.len > 0 &&
           ASN1_get_object(&at, &len, &tag, &class, (long)cipher.len) == V_ASN1_CONSTRUCTED &&
           tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL &&
           len == cipher.ptr + cipher.len - at;
}

static bool can(const struct crypto_key *k, enum algorithm algorithm)
{
    return spec_has_algorithm(k->spec, USAGE_ENCRYPT_DECRYPT, algorithm);
}

enum kms_status crypto_key_encrypt(const struct crypto_key *k, enum algorithm algorithm,
                                   struct bytes plain, struct buf *ret_cipher,
                                   struct kms_error *reterr)
{
    if (!can(k, algorithm) || plain.len > spec_plaintext_max(k->spec, algorithm))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s does not encrypt this",
                        algorithm_names[algorithm]);
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    size_t                               len = 0;
    if (plain.len == 0)
        plain.ptr = crypto_zero_key;
    if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
        !key_ops(k->spec)->set_encryption(ctx, algorithm) ||
        EVP_PKEY_encrypt(ctx, NULL, &len, plain.ptr, plain.len) != 1 ||
        !buf_reserve(ret_cipher, len) ||
        EVP_PKEY_encrypt(ctx, ret_cipher->ptr + ret_cipher->len, &len, plain.ptr, plain.len) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "encryption failed");
    ret_cipher->len += len;
    return KMS_OK;
}

static enum kms_status refuse(struct kms_error *reterr)
{
    if (crypto_was_short_of_memory())
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a decryption");
    return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "ciphertext does not open");
}

enum kms_status crypto_key_decrypt(const struct crypto_key *k, enum algorithm algorithm,
                                   struct bytes cipher, struct secret **ret_plain,
                                   struct kms_error *reterr)
{
    if (!can(k, algorithm))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s does not decrypt this",
                        algorithm_names[algorithm]);
    if (!key_ops(k->spec)->plausible(k, cipher))
        return refuse(reterr);
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    size_t                               len = cipher.len; /* no plaintext is longer */
    CLEANUP(secret_freep) struct secret *block = secret_new(len);
    if (block == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a decryption");
    if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1 ||
        !key_ops(k->spec)->set_encryption(ctx, algorithm))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a decryption");

    /* OpenSSL takes OAEP off without branches on its content; after that, whether it was good is no
     * secret any more: the caller's answer says so */
    if (EVP_PKEY_decrypt(ctx, secret_data(block), &len, cipher.ptr, cipher.len) != 1)
        return refuse(reterr);
    CLEANUP(secret_freep) struct secret *plain =
        len == 0 ? NULL : secret_copy(bytes_of(secret_data(block), len));
    if (plain == NULL && len > 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a decryption");
    *ret_plain = TAKE(plain);
    return KMS_OK;
}
