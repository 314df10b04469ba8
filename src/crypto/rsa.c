/* crypto/rsa.c - RSA wrapping keys for imports. */
#include "base/cleanup.h"
#include "crypto/key_internal.h"

enum kms_status crypto_rsa_generate(enum key_spec spec, const _Atomic bool *stop,
                                    struct secret **ret_pkcs8, struct buf *spki,
                                    struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *pkcs8 = NULL;

    TRY(crypto_key_generate(spec, stop, &pkcs8, reterr));
    TRY(crypto_key_public_of(spec, secret_view(pkcs8), spki, reterr));
    *ret_pkcs8 = TAKE(pkcs8);
    return KMS_OK;
}

enum kms_status crypto_rsa_oaep_decrypt(enum key_spec spec, struct bytes pkcs8, enum algorithm oaep,
                                        struct bytes cipher, struct secret **ret_plain,
                                        struct kms_error *reterr)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    CLEANUP(secret_freep) struct secret         *plain = NULL;

    TRY(crypto_key_open(spec, pkcs8, &key, reterr));
    TRY(crypto_key_decrypt(key, oaep, cipher, &plain, reterr));
    if (plain == NULL)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "an empty message wraps nothing");
    *ret_plain = TAKE(plain);
    return KMS_OK;
}
