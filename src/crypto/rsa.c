/* crypto/rsa.c - RSA wrapping keys for imports: generation and OAEP decryption.
 *
 * Private numbers live in OpenSSL's secure heap while a key is in use; outside a call the key is
 * PKCS#8 bytes in a struct secret. What OpenSSL leaves in ordinary memory, such as the encoded
 * message before its padding is taken off, is wiped by the memory hooks of crypto.c.
 */
#include "crypto/crypto_internal.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/cleanup.h"

static void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void pkey_ctx_freep(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

static void pkcs8_freep(PKCS8_PRIV_KEY_INFO **p)
{
    PKCS8_PRIV_KEY_INFO_free(*p);
}

/* OpenSSL asks between candidates whether to go on. */
static int may_go_on(EVP_PKEY_CTX *ctx)
{
    const _Atomic bool *stop = EVP_PKEY_CTX_get_app_data(ctx);

    return !atomic_load(stop);
}

static enum kms_status generate(unsigned bits, const _Atomic bool *stop, EVP_PKEY **ret,
                                struct kms_error *reterr)
{
    static const _Atomic bool             never = false;
    const _Atomic bool                   *asked = stop != NULL ? stop : &never;
    CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    union { /* the library takes a plain pointer for what it only hands back to us */
        const _Atomic bool *in;
        void               *out;
    } app = { .in = asked };

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up RSA key generation");
    EVP_PKEY_CTX_set_app_data(ctx, app.out);
    EVP_PKEY_CTX_set_cb(ctx, may_go_on);
    if (EVP_PKEY_generate(ctx, ret) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL,
                           atomic_load(asked) ? "RSA key generation was stopped"
                                              : "RSA key generation failed");
    return KMS_OK;
}

/* i2d functions write to where their second argument points, and move it. */
static enum kms_status private_der(EVP_PKEY *key, struct secret **ret, struct kms_error *reterr)
{
    CLEANUP(pkcs8_freep) PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
    int len = p8 == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(p8, NULL);

    if (len <= 0)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a private key");
    CLEANUP(secret_freep) struct secret *der = secret_new((size_t)len);
    if (der == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a private key");
    uint8_t *at = secret_data(der);
    if (i2d_PKCS8_PRIV_KEY_INFO(p8, &at) != len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a private key");
    *ret = TAKE(der);
    return KMS_OK;
}

static enum kms_status public_der(EVP_PKEY *key, struct buf *out, struct kms_error *reterr)
{
    int len = i2d_PUBKEY(key, NULL);

    if (len <= 0 || !buf_reserve(out, (size_t)len))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a public key");
    uint8_t *at = out->ptr + out->len;
    if (i2d_PUBKEY(key, &at) != len)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot encode a public key");
    out->len += (size_t)len;
    return KMS_OK;
}

enum kms_status crypto_rsa_generate(unsigned bits, const _Atomic bool *stop,
                                    struct secret **ret_pkcs8, struct buf *spki,
                                    struct kms_error *reterr)
{
    CLEANUP(pkey_freep) EVP_PKEY        *key = NULL;
    CLEANUP(secret_freep) struct secret *pkcs8 = NULL;

    TRY(generate(bits, stop, &key, reterr));
    TRY(private_der(key, &pkcs8, reterr));
    TRY(public_der(key, spki, reterr));
    *ret_pkcs8 = TAKE(pkcs8);
    return KMS_OK;
}

static EVP_PKEY *key_of(struct bytes pkcs8)
{
    const uint8_t *at = pkcs8.ptr;
    CLEANUP(pkcs8_freep)
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)pkcs8.len);
    EVP_PKEY            *key = p8 == NULL ? NULL : EVP_PKCS82PKEY(p8);

    if (key != NULL && EVP_PKEY_is_a(key, "RSA"))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool set_oaep(EVP_PKEY_CTX *ctx, enum crypto_oaep hash)
{
    const EVP_MD *md = hash == OAEP_SHA_1 ? EVP_sha1() : EVP_sha256();

    return EVP_PKEY_decrypt_init(ctx) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1;
}

enum kms_status crypto_rsa_oaep_decrypt(struct bytes pkcs8, enum crypto_oaep hash,
                                        struct bytes cipher, struct secret **ret_plain,
                                        struct kms_error *reterr)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = key_of(pkcs8);
    CLEANUP(pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

    if (ctx == NULL || !set_oaep(ctx, hash))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot use an RSA wrapping key");
    size_t                               len = (size_t)EVP_PKEY_get_size(key);
    CLEANUP(secret_freep) struct secret *block = secret_new(len);
    if (block == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a decryption");

    /* OpenSSL takes the padding off without branches on its content; after that, whether it was
     * good is no secret any more: the caller's answer says so */
    bool good = EVP_PKEY_decrypt(ctx, secret_data(block), &len, cipher.ptr, cipher.len) == 1;
    CLEANUP(secret_freep) struct secret *plain = NULL;
    if (good && len > 0) {
        plain = secret_copy(bytes_of(secret_data(block), len));
        if (plain == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a decryption");
    }
    ERR_clear_error();
    if (plain == NULL)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "RSAES-OAEP does not open");
    *ret_plain = TAKE(plain);
    return KMS_OK;
}
