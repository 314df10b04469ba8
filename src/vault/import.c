/* vault/import.c - import tokens and the unwrapping of a customer's material (trust-model 2.6).
 *
 * The token holds no key. The private wrapping key is sealed like a material, under a shred key in an
 * erasable slot, and token and record name each other by a random id, the public key's fingerprint
 * included in both. The same token may be used again until its 24 hours are over (recorded-imports R5).
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault/vault_internal.h"

enum {
    TOKEN_FORMAT = 1,
    TOKEN_ID = 16,
    TOKEN_MAX = 6144,
    TOKEN_CONTENT = 1024,
    TOKEN_LIFE_MS = 24 * 60 * 60 * 1000,
    BIND_FORMAT = 1,
    KWP_MIN = 16,  /* shortest wrapping of RFC 5649               */
    STAND_IN = 64, /* bytes that take the place of an encoded key */
};

/* --- what binds a wrapping key ------------------------------------------------------------------------- */

static void bind_wrapping(const struct vault *v, const void *what, const struct sealed *s,
                          struct buf *aad)
{
    const struct import_key_record *k = what;

    buf_add_field(aad, BYTES_LIT("import-key"));
    buf_add_u32(aad, BIND_FORMAT);
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_field(aad, k->key.arn);
    buf_add_field(aad, bytes_of(k->id, sizeof k->id));
    buf_add_u32(aad, k->wrapping_algorithm);
    buf_add_u32(aad, k->wrapping_spec);
    buf_add_field(aad, bytes_of(k->fingerprint, sizeof k->fingerprint));
    buf_add_u64(aad, (uint64_t)k->valid_to);
    buf_add_u32(aad, s->domain_version);
    buf_add_u32(aad, (uint32_t)s->slot_class);
    buf_add_u32(aad, s->slot);
    buf_add_u64(aad, s->slot_generation);
}

static struct seal_request wrapping_request(const struct import_key_record *k)
{
    return (struct seal_request){ .key = &k->key,
                                  .owner = bytes_of(k->id, sizeof k->id),
                                  .slot_class = SLOT_ERASABLE,
                                  .bind = bind_wrapping,
                                  .what = k };
}

/* --- tokens -------------------------------------------------------------------------------------------- */

static void token_aad(const struct vault *v, struct buf *aad)
{
    buf_add_field(aad, BYTES_LIT("import-token"));
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
}

static enum kms_status token_seal(struct vault *v, const struct key_record *key,
                                  const struct import_key_record *k, int64_t now, struct buf *out,
                                  struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf content = BUF_INIT(TOKEN_CONTENT);
    CLEANUP(buf_release) struct buf aad = BUF_INIT(TOKEN_CONTENT);

    buf_add_byte(&content, TOKEN_FORMAT);
    buf_add(&content, bytes_of(k->id, sizeof k->id));
    buf_add_field(&content, key->name.account);
    buf_add_field(&content, key->name.arn);
    buf_add_u32(&content, (uint32_t)key->spec);
    buf_add_u32(&content, k->wrapping_algorithm);
    buf_add_u32(&content, k->wrapping_spec);
    buf_add(&content, bytes_of(k->fingerprint, sizeof k->fingerprint));
    buf_add_u64(&content, (uint64_t)now);
    buf_add_u64(&content, (uint64_t)k->valid_to);
    token_aad(v, &aad);
    if (!buf_ok(&content) || !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for an import token");
    return envelope_seal(v->in.purpose[PURPOSE_TOKEN], "import-token", buf_bytes(&aad),
                         buf_bytes(&content), out, reterr);
}

static bool take_field(struct bytes *in, struct bytes *ret)
{
    uint32_t len;

    return bytes_take_u32(in, &len) && bytes_take(in, len, ret);
}

/* Reads what token_seal wrote: is it for this key, and until when? */
static bool token_fits(struct bytes content, const struct key_record *key, struct bytes *ret_id,
                       int64_t *ret_valid_to)
{
    struct bytes format, account, arn, rest;
    uint32_t     spec;
    uint64_t     valid_to;

    if (!bytes_take(&content, 1, &format) || format.ptr[0] != TOKEN_FORMAT ||
        !bytes_take(&content, TOKEN_ID, ret_id) || !take_field(&content, &account) ||
        !take_field(&content, &arn) || !bytes_take_u32(&content, &spec) ||
        !bytes_take(&content, 4 + 4 + SHA256_LEN + 8, &rest) ||
        !bytes_take_u64(&content, &valid_to) || content.len != 0)
        return false;
    *ret_valid_to = (int64_t)valid_to;
    return bytes_eq(account, key->name.account) && bytes_eq(arn, key->name.arn) &&
           spec == (uint32_t)key->spec;
}

enum kms_status vault_token_open(struct vault *v, const struct key_record *key, struct bytes token,
                                 int64_t now, uint8_t ret_id[16], struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(TOKEN_CONTENT);
    uint8_t                         content[TOKEN_CONTENT];
    struct bytes                    id;
    int64_t                         valid_to;

    token_aad(v, &aad);
    if (token.len < ENVELOPE_OVERHEAD || token.len > ENVELOPE_OVERHEAD + TOKEN_CONTENT ||
        !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_IMPORT_TOKEN, "not the length of a token");
    enum kms_status status = envelope_open(v->in.purpose[PURPOSE_TOKEN], "import-token",
                                           buf_bytes(&aad), token, content, reterr);
    if (status == KMS_E_CIPHERTEXT)
        return KMS_FAIL(reterr, KMS_E_IMPORT_TOKEN, "not a token of this instance");
    TRY(status);
    if (!token_fits(bytes_of(content, token.len - ENVELOPE_OVERHEAD), key, &id, &valid_to))
        return KMS_FAIL(reterr, KMS_E_IMPORT_TOKEN, "the token is another key's");
    if (now >= valid_to)
        return KMS_FAIL(reterr, KMS_E_EXPIRED_TOKEN, "the token is past its 24 hours");
    memcpy(ret_id, id.ptr, TOKEN_ID);
    return KMS_OK;
}

/* --- parameters ---------------------------------------------------------------------------------------- */

void vault_import_parameters_release(struct vault_import_parameters *p)
{
    import_key_record_free(TAKE(p->record));
    buf_release(&p->token);
    buf_release(&p->spki);
}

static void hand_over(struct vault_import_parameters *from, struct vault_import_parameters *to)
{
    *to = *from;
    *from = (struct vault_import_parameters){ 0 };
}

static struct import_key_record *new_record(const struct key_record *key,
                                            enum wrapping_algorithm  algorithm,
                                            enum key_spec wrapping_spec, int64_t now,
                                            struct bytes spki)
{
    struct import_key_record *k = import_key_record_new();

    if (k == NULL)
        return NULL;
    k->key = (struct key_name){
        .account = arena_copy(k->arena, key->name.account),
        .region = arena_copy(k->arena, key->name.region),
        .id = arena_copy(k->arena, key->name.id),
        .arn = arena_copy(k->arena, key->name.arn),
    };
    crypto_random(k->id, sizeof k->id);
    k->wrapping_algorithm = (uint8_t)algorithm;
    k->wrapping_spec = (uint8_t)wrapping_spec;
    k->valid_to = now + TOKEN_LIFE_MS;
    crypto_sha256(spki, k->fingerprint);
    return k;
}

enum kms_status vault_import_parameters(struct vault *v, const struct key_record *key,
                                        enum wrapping_algorithm algorithm,
                                        enum key_spec wrapping_spec, int64_t now,
                                        struct vault_import_parameters *ret,
                                        struct kms_error               *reterr)
{
    int kind = ready_kind(wrapping_spec);

    if (kind < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no wrapping keys of spec %d", (int)wrapping_spec);
    CLEANUP(ready_key_freep) struct ready_key *ready = ready_take(v, kind);
    if (ready == NULL)
        return KMS_FAIL(reterr, KMS_E_THROTTLED, "no wrapping key is ready");
    CLEANUP(vault_import_parameters_release) struct vault_import_parameters p = {
        .token = BUF_INIT(TOKEN_MAX),
        .spki = BUF_INIT(0),
    };
    p.record = new_record(key, algorithm, wrapping_spec, now, buf_bytes(&ready->spki));
    if (p.record == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an import key");
    TRY(token_seal(v, key, p.record, now, &p.token, reterr));

    struct seal_request r = wrapping_request(p.record);
    TRY(material_seal(v, &r, secret_view(ready->pkcs8), p.record->arena, &p.record->sealed,
                      reterr));
    p.spki = ready->spki;
    ready->spki = BUF_INIT(0);
    hand_over(&p, ret);
    return KMS_OK;
}

/* --- unwrapping ---------------------------------------------------------------------------------------- */

struct vault_import {
    struct secret     *material;
    struct material_id id;
    uint8_t            check[32];
};

static size_t modulus_bytes(const struct import_key_record *wrapping)
{
    enum key_spec spec = (enum key_spec)wrapping->wrapping_spec;

    return ready_kind(spec) < 0 ? 0 : spec_info(spec)->bits / 8;
}

static bool wraps_twice(const struct import_key_record *k)
{
    return k->wrapping_algorithm == WRAP_RSA_AES_KEY_WRAP_SHA_1 ||
           k->wrapping_algorithm == WRAP_RSA_AES_KEY_WRAP_SHA_256;
}

static enum algorithm oaep_of(const struct import_key_record *k)
{
    return k->wrapping_algorithm == WRAP_RSAES_OAEP_SHA_1 ||
                   k->wrapping_algorithm == WRAP_RSA_AES_KEY_WRAP_SHA_1
               ? ALGORITHM_RSAES_OAEP_SHA_1
               : ALGORITHM_RSAES_OAEP_SHA_256;
}

static bool size_fits(const struct import_key_record *k, struct bytes wrapped)
{
    size_t modulus = modulus_bytes(k);

    if (!wraps_twice(k))
        return wrapped.len == modulus;
    return wrapped.len >= modulus + KWP_MIN && wrapped.len <= LIMIT_CIPHERTEXT &&
           (wrapped.len - modulus) % 8 == 0;
}

/* How long unwrapped content may be, in bytes. */
struct lengths {
    size_t min, max;
};

static struct lengths content_lengths(enum key_spec spec)
{
    const struct key_spec_info *info = spec_info(spec);

    return (struct lengths){ info->material_min, info->material_max };
}

/* A secret of fitting length, whatever came in: on any fault a random one, so that what follows is the
 * same work. *ret_good says which. */
static enum kms_status right_length(struct secret *got, struct lengths want, struct secret **ret,
                                    bool *ret_good, struct kms_error *reterr)
{
    bool   fits = got != NULL && secret_len(got) >= want.min && secret_len(got) <= want.max;
    size_t len = fits ? secret_len(got) : want.min > 0 ? want.min : STAND_IN;
    CLEANUP(secret_freep) struct secret *s = secret_new(len);

    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for an import");
    crypto_random(secret_data(s), len);
    if (fits)
        memcpy(secret_data(s), secret_data(got), len);
    else
        *ret_good = false;
    *ret = TAKE(s);
    return KMS_OK;
}

/* The RSA part: decrypts `block` to a secret of a wanted length. */
static enum kms_status open_rsa(struct secret *pkcs8, const struct import_key_record *k,
                                struct bytes block, struct lengths want, struct secret **ret,
                                bool *ret_good, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *got = NULL;
    enum kms_status                      status = crypto_rsa_oaep_decrypt(
        (enum key_spec)k->wrapping_spec, secret_view(pkcs8), oaep_of(k), block, &got, reterr);

    if (status != KMS_OK && status != KMS_E_CIPHERTEXT)
        return status;
    return right_length(got, want, ret, ret_good, reterr);
}

/* The AES part of RSA_AES_KEY_WRAP: opens `block` under the key that the RSA part held. */
static enum kms_status open_aes(struct secret *kek, struct bytes block, struct lengths want,
                                struct secret **ret, bool *ret_good, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *room = secret_new(block.len);
    CLEANUP(secret_freep) struct secret *got = NULL;
    size_t                               len = 0;

    if (room == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for an import");
    enum kms_status status = crypto_kwp_unwrap(secret_view(kek), block, secret_data(room), &len,
                                               reterr);
    if (status != KMS_OK && status != KMS_E_CIPHERTEXT)
        return status;
    if (status == KMS_OK && len > 0)
        got = secret_copy(bytes_of(secret_data(room), len));
    return right_length(got, want, ret, ret_good, reterr);
}

static enum kms_status unwrap(struct secret *pkcs8, const struct import_key_record *k,
                              struct lengths want, struct bytes wrapped, struct secret **ret,
                              bool *ret_good, struct kms_error *reterr)
{
    static const struct lengths          kek_length = { AES256_KEY_LEN, AES256_KEY_LEN };
    CLEANUP(secret_freep) struct secret *kek = NULL;
    struct bytes                         first = bytes_of(wrapped.ptr, modulus_bytes(k));
    struct bytes second = bytes_of(wrapped.ptr + first.len, wrapped.len - first.len);

    if (!wraps_twice(k))
        return open_rsa(pkcs8, k, first, want, ret, ret_good, reterr);
    TRY(open_rsa(pkcs8, k, first, kek_length, &kek, ret_good, reterr));
    return open_aes(kek, second, want, ret, ret_good, reterr);
}

enum kms_status material_read(enum key_spec spec, struct secret **content, struct secret **ret,
                              struct kms_error *reterr)
{
    if (spec_is_asymmetric(spec))
        return crypto_key_import(spec, secret_view(*content), ret, reterr);
    *ret = TAKE(*content);
    return KMS_OK;
}

static enum kms_status open_wrapping(struct vault *v, const struct import_key_record *wrapping,
                                     struct secret **ret, struct kms_error *reterr)
{
    struct seal_request r = wrapping_request(wrapping);

    if (clock_now(v->clock) >= wrapping->valid_to)
        return KMS_FAIL(reterr, KMS_E_EXPIRED_TOKEN, "the wrapping key is past its 24 hours");
    enum kms_status status = material_open(v, &r, &wrapping->sealed, ret, reterr);
    if (status == KMS_E_KEY_STATE)
        return KMS_FAIL(reterr, KMS_E_EXPIRED_TOKEN, "the wrapping key has been erased");
    return status;
}

enum kms_status vault_import_open(struct vault *v, const struct key_record *key,
                                  const struct import_key_record *wrapping, struct bytes wrapped,
                                  struct vault_import **ret_handle, struct material_id *ret_id,
                                  struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret              *pkcs8 = NULL;
    CLEANUP(secret_freep) struct secret              *content = NULL;
    CLEANUP(vault_import_closep) struct vault_import *in = calloc(1, sizeof *in);
    bool                                              good = true;

    if (in == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an import");
    if (!bytes_eq(wrapping->key.arn, key->name.arn))
        return KMS_FAIL(reterr, KMS_E_IMPORT_TOKEN, "the wrapping key is another key's");
    TRY(open_wrapping(v, wrapping, &pkcs8, reterr));
    if (!size_fits(wrapping, wrapped))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Invalid encrypted key size.");
    TRY(unwrap(pkcs8, wrapping, content_lengths(key->spec), wrapped, &content, &good, reterr));
    TRY(material_read(key->spec, &content, &in->material, reterr));
    TRY(material_identify(v, key, secret_view(in->material), &in->id, in->check, reterr));
    if (!good)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "the wrapped material does not open"); /* R15 */
    *ret_id = in->id;
    *ret_handle = TAKE(in);
    return KMS_OK;
}

enum kms_status vault_import_check(struct vault_import *handle, const struct key_material *known,
                                   struct kms_error *reterr)
{
    if (ct_equal(bytes_of(handle->check, sizeof handle->check),
                 bytes_of(known->check, sizeof known->check)))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INCORRECT_MATERIAL,
                    "same material id, other check tag: the row of "
                    "this material was changed");
}

enum kms_status vault_import_seal(struct vault *v, struct vault_import *handle,
                                  const struct key_record *key, struct arena *arena,
                                  struct key_material *m, struct kms_error *reterr)
{
    struct key_material   fresh = *m;
    struct vault_material what = { key, &fresh };

    fresh.id = handle->id;
    memcpy(fresh.check, handle->check, sizeof fresh.check);
    struct seal_request r = material_request(&what);
    TRY(material_seal(v, &r, secret_view(handle->material), arena, &fresh.sealed, reterr));
    *m = fresh;
    return KMS_OK;
}

void vault_import_close(struct vault_import *handle)
{
    if (handle == NULL)
        return;
    secret_free(handle->material);
    explicit_bzero(handle, sizeof *handle);
    free(handle);
}

void vault_import_closep(struct vault_import **handle)
{
    vault_import_close(*handle);
    *handle = NULL;
}
