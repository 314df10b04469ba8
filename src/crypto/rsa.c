/* crypto/rsa.c - RSA wrapping keys for imports, whose size says which spec they have. */
#include "base/cleanup.h"
#include "crypto/key_internal.h"

enum kms_status crypto_rsa_generate(unsigned bits, const _Atomic bool *stop,
                                    struct secret **ret_pkcs8, struct buf *spki,
                                    struct kms_error *reterr)
{
    enum key_spec                                spec = SPEC_RSA_2048 + (bits - 2048) / 1024;
    CLEANUP(secret_freep) struct secret         *pkcs8 = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;

    TRY(crypto_key_generate(spec, stop, &pkcs8, reterr));
    TRY(crypto_key_open(spec, secret_view(pkcs8), &key, reterr));
    TRY(crypto_key_public(key, spki, reterr));
    *ret_pkcs8 = TAKE(pkcs8);
    return KMS_OK;
}

static enum kms_status open_any(struct bytes pkcs8, struct crypto_key **ret,
                                struct kms_error *reterr)
{
    static const enum key_spec specs[] = { SPEC_RSA_4096, SPEC_RSA_3072, SPEC_RSA_2048 };
    enum kms_status            status = KMS_E_INTERNAL;

    for (size_t i = 0; i < ARRAY_LEN(specs) && status != KMS_OK; i++)
        status = crypto_key_open(specs[i], pkcs8, ret, reterr);
    return status;
}

enum kms_status crypto_rsa_oaep_decrypt(struct bytes pkcs8, enum crypto_oaep hash,
                                        struct bytes cipher, struct secret **ret_plain,
                                        struct kms_error *reterr)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    CLEANUP(secret_freep) struct secret         *plain = NULL;

    TRY(open_any(pkcs8, &key, reterr));
    TRY(crypto_key_decrypt(
        key, hash == OAEP_SHA_1 ? ALGORITHM_RSAES_OAEP_SHA_1 : ALGORITHM_RSAES_OAEP_SHA_256, cipher,
        &plain, reterr));
    if (plain == NULL)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "an empty message wraps nothing");
    *ret_plain = TAKE(plain);
    return KMS_OK;
}
