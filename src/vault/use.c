/* vault/use.c - the commands that encrypt and decrypt: encrypt, decrypt, re-encrypt, data keys, pairs. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "vault/blob.h"
#include "vault/vault_internal.h"

static struct blob_key blob_key_of(const struct vault_material *m, const struct material_use *use)
{
    return (struct blob_key){
        .material = use->prepared,
        .id = &m->material->id,
        .key_id = m->key->name.id,
        .arn = m->key->name.arn,
        .multi_region = m->key->multi_region != REGION_SINGLE,
    };
}

static enum kms_status seal(struct vault *v, const struct vault_material *m, enum blob_kind kind,
                            struct bytes context, struct bytes plain, struct buf *out,
                            struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    struct blob_salt                           salt;

    if (plain.len > LIMIT_CIPHERTEXT - BLOB_OVERHEAD ||
        !buf_reserve(out, plain.len + BLOB_OVERHEAD))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room to encrypt %zu bytes", plain.len);
    TRY(material_use(v, m, &use, reterr));
    crypto_random((uint8_t *)&salt, sizeof salt);
    struct blob_key key = blob_key_of(m, &use);
    TRY(blob_seal(&key, kind, &salt, context, plain, out->ptr + out->len, reterr));
    out->len += plain.len + BLOB_OVERHEAD;
    return KMS_OK;
}

/* `ret` has room for the blob's plaintext. */
static enum kms_status unseal(struct vault *v, const struct vault_material *m, struct bytes context,
                              struct bytes blob, uint8_t *ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    TRY(material_use(v, m, &use, reterr));
    struct blob_key key = blob_key_of(m, &use);
    return blob_open(&key, context, blob, ret, reterr);
}

static size_t plain_len(struct bytes blob)
{
    return blob.len < BLOB_OVERHEAD ? 0 : blob.len - BLOB_OVERHEAD;
}

enum kms_status vault_encrypt(struct vault *v, struct vault_material m, enum blob_kind kind,
                              struct bytes context, struct bytes plain, struct buf *ret_blob,
                              struct kms_error *reterr)
{
    return seal(v, &m, kind, context, plain, ret_blob, reterr);
}

enum kms_status vault_decrypt(struct vault *v, struct vault_material m, struct bytes context,
                              struct bytes blob, struct buf *ret_plain, struct kms_error *reterr)
{
    size_t len = plain_len(blob);

    if (!buf_reserve(ret_plain, len + 1)) /* a place to write to even when there is nothing */
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room to decrypt %zu bytes", len);
    TRY(unseal(v, &m, context, blob, ret_plain->ptr + ret_plain->len, reterr));
    ret_plain->len += len;
    return KMS_OK;
}

/* --- any encryption algorithm ----------------------------------------------------------------------------- */

static enum kms_status open_symmetric(struct vault *v, const struct vault_material *m,
                                      struct bytes context, struct bytes blob, struct secret **ret,
                                      struct kms_error *reterr)
{
    size_t len = plain_len(blob);

    if (len == 0 || len > LIMIT_CIPHERTEXT)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "not the length of a blob");
    CLEANUP(secret_freep) struct secret *plain = secret_new(len);
    if (plain == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory to decrypt");
    TRY(unseal(v, m, context, blob, secret_data(plain), reterr));
    *ret = TAKE(plain);
    return KMS_OK;
}

enum kms_status use_decrypt(struct vault *v, const struct vault_material *m,
                            enum algorithm algorithm, struct bytes context, struct bytes blob,
                            struct secret **ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    if (algorithm == ALGORITHM_SYMMETRIC_DEFAULT)
        return open_symmetric(v, m, context, blob, ret, reterr);
    TRY(material_use(v, m, &use, reterr));
    return crypto_key_decrypt(use.key, algorithm, blob, ret, reterr);
}

enum kms_status use_encrypt(struct vault *v, const struct vault_material *m,
                            enum algorithm algorithm, struct bytes context, struct bytes plain,
                            struct buf *ret_blob, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    size_t                                     max = spec_plaintext_max(m->key->spec, algorithm);

    if (plain.len > max)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Algorithm %s and key spec %s cannot encrypt data larger than %zu bytes.",
                          algorithm_names[algorithm], key_spec_names[m->key->spec], max);
    if (algorithm == ALGORITHM_SYMMETRIC_DEFAULT)
        return seal(v, m, BLOB_ENCRYPT, context, plain, ret_blob, reterr);
    TRY(material_use(v, m, &use, reterr));
    return crypto_key_encrypt(use.key, algorithm, plain, ret_blob, reterr);
}

/* --- data keys -------------------------------------------------------------------------------------------- */

enum kms_status vault_generate_data_key(struct vault *v, struct vault_material m,
                                        struct bytes context, size_t len, struct buf *ret_blob,
                                        struct buf *ret_plain, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *key = secret_new(len);

    if (key == NULL || (ret_plain != NULL && !buf_reserve(ret_plain, len)))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a data key of %zu bytes", len);
    crypto_random(secret_data(key), len);
    TRY(seal(v, &m, BLOB_DATA_KEY, context, secret_view(key), ret_blob, reterr));
    if (ret_plain != NULL)
        buf_add(ret_plain, secret_view(key));
    return KMS_OK;
}

enum kms_status use_generate_pair(struct vault *v, const struct vault_command *c,
                                  struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    CLEANUP(secret_freep) struct secret       *pair = NULL;

    if (c->dry_run)
        return material_use(v, &c->from, &use, reterr);
    TRY(fresh_material(v, c->pair_spec, &pair, reterr));
    TRY(crypto_key_public_of(c->pair_spec, secret_view(pair), &ret->public_key, reterr));
    TRY(seal(v, &c->from, BLOB_DATA_KEY, c->context, secret_view(pair), &ret->blob, reterr));
    if (c->want_plain)
        buf_add(&ret->plain, secret_view(pair));
    return KMS_OK;
}

enum kms_status vault_random(struct vault *v, size_t len, struct buf *ret, struct kms_error *reterr)
{
    (void)v; /* an HSM's generator one day */
    if (!buf_reserve(ret, len))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for %zu random bytes", len);
    crypto_random(ret->ptr + ret->len, len);
    ret->len += len;
    return KMS_OK;
}
