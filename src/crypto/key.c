/* crypto/key.c - handles of keys, and who does what for which family of specs; see key.h. */
#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

static const struct key_family_ops families[] = {
    [FAMILY_SYMMETRIC] = { .generate = key_generate_secret },
    [FAMILY_HMAC] = { .generate = key_generate_secret },
    [FAMILY_RSA] = { .generate = key_generate_rsa,
                     .encode = key_encode_rsa,
                     .canonical = key_canonical_rsa,
                     .check = key_check_rsa,
                     .read_public = key_read_public_rsa,
                     .write_public = key_write_public_rsa,
                     .sign = key_sign_hashed,
                     .verify = key_verify_hashed,
                     .set_encryption = key_set_oaep,
                     .plausible = key_plausible_rsa },
    [FAMILY_EC] = { .generate = key_generate_curve,
                    .encode = key_encode_curve,
                    .check = key_check_curve,
                    .read_public = key_read_public_curve,
                    .write_public = key_write_public,
                    .sign = key_sign_hashed,
                    .verify = key_verify_hashed,
                    .derive = key_derive_ec },
    [FAMILY_EDWARDS] = { .generate = key_generate_seed,
                         .encode = key_encode_seed,
                         .check = key_check_seed,
                         .read_public = key_read_public_plain,
                         .write_public = key_write_public,
                         .sign = key_sign_whole,
                         .verify = key_verify_whole },
    [FAMILY_SM2] = { .generate = key_generate_curve,
                     .encode = key_encode_curve,
                     .check = key_check_curve,
                     .read_public = key_read_public_curve,
                     .write_public = key_write_public,
                     .sign = key_sign_sm2,
                     .verify = key_verify_sm2,
                     .set_encryption = key_set_sm2,
                     .plausible = key_plausible_sm2,
                     .derive = key_derive_sm2 },
    [FAMILY_ML_DSA] = { .generate = key_generate_seed,
                        .encode = key_encode_seed,
                        .check = key_check_seed,
                        .read_public = key_read_public_plain,
                        .write_public = key_write_public,
                        .sign = key_sign_whole,
                        .verify = key_verify_whole },
    [FAMILY_ML_KEM] = { .generate = key_generate_seed,
                        .encode = key_encode_seed,
                        .check = key_check_seed,
                        .read_public = key_read_public_plain,
                        .write_public = key_write_public },
};

const struct key_family_ops *key_ops(enum key_spec spec)
{
    return &families[spec_info(spec)->family];
}

/* --- handles ---------------------------------------------------------------------------------- */

void key_pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

void key_ctx_freep(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

enum kms_status key_handle(enum key_spec spec, EVP_PKEY **key, struct crypto_key **ret,
                           struct kms_error *reterr)
{
    struct crypto_key *k = calloc(1, sizeof *k);

    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a key");
    k->spec = spec;
    k->pkey = TAKE(*key);
    *ret = k;
    return KMS_OK;
}

void crypto_key_free(struct crypto_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_CTX_free(k->signing);
    EVP_PKEY_free(k->pkey);
    free(k);
}

void crypto_key_freep(struct crypto_key **k)
{
    crypto_key_free(TAKE(*k));
}

enum key_spec crypto_key_spec(const struct crypto_key *k)
{
    return k->spec;
}

/* --- dispatch --------------------------------------------------------------------------------- */

enum kms_status crypto_key_generate(enum key_spec spec, const _Atomic bool *stop,
                                    struct secret **ret_material, struct kms_error *reterr)
{
    return key_ops(spec)->generate(spec, stop, ret_material, reterr);
}

enum kms_status crypto_key_public(const struct crypto_key *k, struct buf *ret_spki,
                                  struct kms_error *reterr)
{
    return key_ops(k->spec)->write_public(k, ret_spki, reterr);
}

/* Has the message the form that the algorithm takes? Callers look first; this is against mistakes. */
static bool fits(const struct signing *s)
{
    enum { MU_LEN = 64 };
    const struct algorithm_info *a = algorithm_info(s->algorithm);

    if (!spec_has_algorithm(s->key->spec, USAGE_SIGN_VERIFY, s->algorithm) ||
        (a->messages & 1u << s->type) == 0)
        return false;
    return s->type == MESSAGE_RAW ||
           s->message.len == (s->type == MESSAGE_DIGEST ? a->digest_len : MU_LEN);
}

enum kms_status crypto_key_sign(const struct crypto_key *k, enum algorithm algorithm,
                                enum message_type type, struct bytes message,
                                struct buf *ret_signature, struct kms_error *reterr)
{
    struct signing s = { k, algorithm, type, message };

    if (!fits(&s))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s does not sign this",
                        algorithm_names[algorithm]);
    return key_ops(k->spec)->sign(&s, ret_signature, reterr);
}

enum kms_status crypto_key_verify(const struct crypto_key *k, enum algorithm algorithm,
                                  enum message_type type, struct bytes message,
                                  struct bytes signature, struct kms_error *reterr)
{
    struct signing s = { k, algorithm, type, message };

    if (!fits(&s))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s does not verify this",
                        algorithm_names[algorithm]);
    if (signature.len == 0)
        return KMS_FAIL(reterr, KMS_E_SIGNATURE, "no signature");
    return key_ops(k->spec)->verify(&s, signature, reterr);
}

enum kms_status crypto_key_public_of(enum key_spec spec, struct bytes material,
                                     struct buf *ret_spki, struct kms_error *reterr)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;

    TRY(crypto_key_open(spec, material, &key, reterr));
    return crypto_key_public(key, ret_spki, reterr);
}
