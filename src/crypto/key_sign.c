/* crypto/key_sign.c - signatures of every family.
 *
 * RSA and ECDSA sign a digest: a RAW message is hashed here, so that both types of message take one
 * path. Ed25519 and ML-DSA take the message as it is. Every call has a context of its own, a copy of the
 * key's or a new one: measured, that costs less than a microsecond, and threads share the key and nothing
 * that changes.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

/* --- what all have in common -------------------------------------------------------------------- */

/* Asks `ctx`, which is set up, for a signature of `in`. */
static enum kms_status append(const struct crypto_key *k, EVP_PKEY_CTX *ctx, struct bytes in,
                              struct buf *ret_signature, struct kms_error *reterr)
{
    int    max = EVP_PKEY_get_size(k->pkey);
    size_t len = max <= 0 ? 0 : (size_t)max;

    if (len == 0 || !buf_reserve(ret_signature, len) ||
        EVP_PKEY_sign(ctx, ret_signature->ptr + ret_signature->len, &len, in.ptr, in.len) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "signing failed");
    ret_signature->len += len;
    return KMS_OK;
}

/* A signature that does not verify, or that could not be looked at. */
static enum kms_status verdict(bool good, struct kms_error *reterr)
{
    if (good)
        return KMS_OK;
    if (crypto_was_short_of_memory())
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to verify a signature");
    return KMS_FAIL(reterr, KMS_E_SIGNATURE, "signature does not verify");
}

static struct bytes digest_of(const struct signing *s, uint8_t room[DIGEST_MAX])
{
    const struct algorithm_info *a = algorithm_info(s->algorithm);

    if (s->type == MESSAGE_DIGEST)
        return s->message;
    crypto_digest(a->digest, s->message, room);
    return bytes_of(room, a->digest_len);
}

/* --- RSA and ECDSA ------------------------------------------------------------------------------ */

/* MGF1 has the digest of the signature unless it is told otherwise. The length of the salt is demanded
 * when verifying, too. */
static bool set_rsa(EVP_PKEY_CTX *ctx, enum algorithm algorithm)
{
    bool pss = algorithm >= ALGORITHM_RSASSA_PSS_SHA_256;

    return EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) ==
               1 &&
           EVP_PKEY_CTX_set_signature_md(
               ctx, crypto_alg.digest[algorithm_info(algorithm)->digest]) == 1 &&
           (!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool set_up(EVP_PKEY_CTX *ctx, const struct signing *s)
{
    return spec_info(s->key->spec)->family != FAMILY_RSA || set_rsa(ctx, s->algorithm);
}

/* NULL if OpenSSL cannot. */
static EVP_PKEY_CTX *begin_signing(EVP_PKEY *pkey)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    return ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 ? TAKE(ctx) : NULL;
}

enum kms_status key_prepare_signing(struct crypto_key *k, struct kms_error *reterr)
{
    enum spec_family family = spec_info(k->spec)->family;

    if (family != FAMILY_RSA && family != FAMILY_EC && family != FAMILY_SM2)
        return KMS_OK;
    k->signing = begin_signing(k->pkey);
    if (k->signing == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot begin to sign");
    return KMS_OK;
}

enum kms_status key_sign_hashed(const struct signing *s, struct buf *ret_signature,
                                struct kms_error *reterr)
{
    const struct crypto_key             *k = s->key;
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = k->signing != NULL ? EVP_PKEY_CTX_dup(k->signing)
                                                                  : begin_signing(k->pkey);
    uint8_t                              room[DIGEST_MAX];

    if (ctx == NULL || !set_up(ctx, s))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a signature");
    return append(s->key, ctx, digest_of(s, room), ret_signature, reterr);
}

enum kms_status key_verify_hashed(const struct signing *s, struct bytes signature,
                                  struct kms_error *reterr)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s->key->pkey, NULL);
    uint8_t                              room[DIGEST_MAX];

    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 || !set_up(ctx, s))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a verification");
    struct bytes digest = digest_of(s, room);
    return verdict(EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest.ptr, digest.len) == 1,
                   reterr);
}

/* --- Ed25519 and ML-DSA ------------------------------------------------------------------------- */

static EVP_SIGNATURE *variant(const struct signing *s)
{
    if (s->algorithm == ALGORITHM_ED25519_PH_SHA_512)
        return crypto_alg
            .ed25519ph; /* hashes what it is given, also when that is a digest already */
    return s->algorithm == ALGORITHM_ED25519_SHA_512
               ? crypto_alg.ed25519
               : crypto_alg.ml_dsa[s->key->spec - SPEC_ML_DSA_44];
}

/* Begins with `init`. ML-DSA is randomised and has an empty context unless told otherwise. */
static bool begin(const struct signing *s, EVP_PKEY_CTX *ctx,
                  int (*init)(EVP_PKEY_CTX *ctx, EVP_SIGNATURE *algorithm,
                              const OSSL_PARAM *params))
{
    int        is_mu = 1;
    OSSL_PARAM mu[] = {
        OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_MU, &is_mu),
        OSSL_PARAM_construct_end(),
    };

    return ctx != NULL && init(ctx, variant(s), s->type == MESSAGE_EXTERNAL_MU ? mu : NULL) == 1;
}

/* Never a null pointer, which would ask for something else. */
static struct bytes whole(const struct signing *s)
{
    return s->message.len > 0 ? s->message : bytes_of(crypto_zero_key, 0);
}

enum kms_status key_sign_whole(const struct signing *s, struct buf *ret_signature,
                               struct kms_error *reterr)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s->key->pkey, NULL);

    if (!begin(s, ctx, EVP_PKEY_sign_message_init))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a signature");
    return append(s->key, ctx, whole(s), ret_signature, reterr);
}

enum kms_status key_verify_whole(const struct signing *s, struct bytes signature,
                                 struct kms_error *reterr)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s->key->pkey, NULL);
    struct bytes                         message = whole(s);

    if (!begin(s, ctx, EVP_PKEY_verify_message_init))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a verification");
    return verdict(
        EVP_PKEY_verify(ctx, signature.ptr, signature.len, message.ptr, message.len) == 1, reterr);
}

/* --- SM2DSA ------------------------------------------------------------------------------------- */

/* e = SM3(Z || M), Z = SM3(ENTL || ID || a || b || G || public key): GB/T 32918.2, 5.5 and 6.1. OpenSSL
 * computes it only while it hashes the message itself, so RAW has a path of its own. */
static char default_id[] = "1234567812345678";

static void md_ctx_freep(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

static bool begin_sm2(const struct signing *s, EVP_MD_CTX *ctx,
                      int (*init)(EVP_MD_CTX *ctx, EVP_PKEY_CTX **pctx, const char *digest,
                                  OSSL_LIB_CTX *lib, const char *properties, EVP_PKEY *key,
                                  const OSSL_PARAM *params))
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_DIST_ID, default_id,
                                          sizeof default_id - 1),
        OSSL_PARAM_construct_end(),
    };

    return ctx != NULL && init(ctx, NULL, "SM3", NULL, NULL, s->key->pkey, params) == 1;
}

enum kms_status key_sign_sm2(const struct signing *s, struct buf *ret_signature,
                             struct kms_error *reterr)
{
    if (s->type == MESSAGE_DIGEST)
        return key_sign_hashed(s, ret_signature, reterr);
    CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t                            len = (size_t)EVP_PKEY_get_size(s->key->pkey);
    struct bytes                      message = whole(s);
    if (!begin_sm2(s, ctx, EVP_DigestSignInit_ex) || !buf_reserve(ret_signature, len) ||
        EVP_DigestSign(ctx, ret_signature->ptr + ret_signature->len, &len, message.ptr,
                       message.len) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "signing failed");
    ret_signature->len += len;
    return KMS_OK;
}

enum kms_status key_verify_sm2(const struct signing *s, struct bytes signature,
                               struct kms_error *reterr)
{
    if (s->type == MESSAGE_DIGEST)
        return key_verify_hashed(s, signature, reterr);
    CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct bytes                      message = whole(s);
    if (!begin_sm2(s, ctx, EVP_DigestVerifyInit_ex))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up a verification");
    return verdict(
        EVP_DigestVerify(ctx, signature.ptr, signature.len, message.ptr, message.len) == 1, reterr);
}
