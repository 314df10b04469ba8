/* crypto/key_generate.c - new keys of every spec, as material. */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

enum kms_status key_generate_secret(enum key_spec spec, const _Atomic bool *stop,
                                    struct secret **ret, struct kms_error *reterr)
{
    struct secret *s = secret_new(spec_info(spec)->material_min);

    (void)stop;
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a key");
    crypto_random(secret_data(s), secret_len(s));
    *ret = s;
    return KMS_OK;
}

/* Keys that are derived from a seed (RFC 8032 5.1.5, FIPS 203 7.1, FIPS 204 5.1): any will do. */
enum kms_status key_generate_seed(enum key_spec spec, const _Atomic bool *stop, struct secret **ret,
                                  struct kms_error *reterr)
{
    uint8_t *seed;

    (void)stop;
    TRY(key_seed_material(spec, ret, &seed, reterr));
    crypto_random(seed, key_encoding(spec)->private_len);
    return KMS_OK;
}

enum kms_status key_generate_curve(enum key_spec spec, const _Atomic bool *stop,
                                   struct secret **ret, struct kms_error *reterr)
{
    const struct key_spec_info *info = spec_info(spec);
    CLEANUP(key_ctx_freep)
    EVP_PKEY_CTX                     *ctx = EVP_PKEY_CTX_new_from_name(NULL, info->openssl, NULL);
    CLEANUP(key_pkey_freep) EVP_PKEY *key = NULL;

    (void)stop;
    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_group_name(ctx, info->group) != 1 || EVP_PKEY_generate(ctx, &key) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot generate a key");
    return key_encode_curve(spec, key, ret, reterr);
}

/* --- RSA ---------------------------------------------------------------------------------------- */

/* OpenSSL asks between candidates whether to go on. */
static int may_go_on(EVP_PKEY_CTX *ctx)
{
    const _Atomic bool *stop = EVP_PKEY_CTX_get_app_data(ctx);

    return !atomic_load(stop);
}

enum kms_status key_generate_rsa(enum key_spec spec, const _Atomic bool *stop, struct secret **ret,
                                 struct kms_error *reterr)
{
    static const _Atomic bool            never = false;
    const _Atomic bool                  *asked = stop != NULL ? stop : &never;
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CLEANUP(key_pkey_freep) EVP_PKEY    *key = NULL;
    union { /* the library takes a plain pointer for what it only hands back to us */
        const _Atomic bool *in;
        void               *out;
    } app = { .in = asked };

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)spec_info(spec)->bits) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up RSA key generation");
    EVP_PKEY_CTX_set_app_data(ctx, app.out);
    EVP_PKEY_CTX_set_cb(ctx, may_go_on);
    if (EVP_PKEY_generate(ctx, &key) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL,
                           atomic_load(asked) ? "RSA key generation was stopped"
                                              : "RSA key generation failed");
    return key_encode_rsa(spec, key, ret, reterr);
}
