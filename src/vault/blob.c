/* vault/blob.c - see blob.h (trust-model 2.5, laid out as recorded-imports 4.4 saw it).
 *
 * Invariants:
 *   I1  Key and commitment are derived from the material and a fresh nonce: the material itself never
 *       enciphers, and each derived key enciphers one message.
 *   I2  Every byte of the blob is either authenticated (the head is AAD), the ciphertext, or its tag.
 *   I3  Opening fails in one way, after the same derivation, whatever was wrong.
 */
#include <assert.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault/blob.h"

enum {
    AT_KIND = 2,
    AT_MATERIAL = 5,
    AT_FORMAT = 37,
    AT_NONCE = 38,
    AT_REST_LEN = 54,
    AT_SUITE = 58,
    AT_FLAGS = 59,
    AT_IV = 60,
    AT_COMMITMENT = 72,
    AT_RESERVED = 104,

    SUITE = 1, /* SP 800-108 with HMAC-SHA-256, AES-256-GCM, key commitment */
    FLAG_MULTI = 1,
    COMMITMENT = 32,
    RESERVED = 32,
    DERIVED = AES256_KEY_LEN + COMMITMENT,
    NAME_MAX_LEN = KEY_ARN_MAX,
    AAD_MAX = BLOB_HEAD + 4 + NAME_MAX_LEN + BLOB_CONTEXT,
};

_Static_assert(BLOB_HEAD + GCM_TAG_LEN == BLOB_OVERHEAD, "the recorded length");
_Static_assert(AT_RESERVED + RESERVED == BLOB_HEAD, "the head is whole");
_Static_assert(AT_FORMAT == (int)BLOB_PREFIX, "prefix and material id");

static void put_u32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* --- header -------------------------------------------------------------------------------------------- */

static bool known_kind(uint8_t kind)
{
    return kind == BLOB_ENCRYPT || kind == BLOB_DATA_KEY;
}

bool vault_blob_inspect(struct bytes blob, struct blob_header *ret)
{
    uint8_t len[4];

    if (blob.len < BLOB_OVERHEAD || blob.len > LIMIT_CIPHERTEXT)
        return false;
    put_u32(len, (uint32_t)(blob.len - AT_SUITE));
    if (blob.ptr[0] != 1 || blob.ptr[1] != 2 || !known_kind(blob.ptr[AT_KIND]) ||
        blob.ptr[3] != 0 || blob.ptr[4] != 0x78 || blob.ptr[AT_FORMAT] != BLOB_FORMAT ||
        !bytes_eq(bytes_of(blob.ptr + AT_REST_LEN, sizeof len), bytes_of(len, sizeof len)) ||
        blob.ptr[AT_SUITE] != SUITE || (blob.ptr[AT_FLAGS] & ~FLAG_MULTI) != 0)
        return false;
    *ret = (struct blob_header){ .kind = (enum blob_kind)blob.ptr[AT_KIND],
                                 .format = blob.ptr[AT_FORMAT],
                                 .plaintext_len = blob.len - BLOB_OVERHEAD };
    memcpy(ret->material.b, blob.ptr + AT_MATERIAL, sizeof ret->material.b);
    return true;
}

static uint8_t flags_of(const struct blob_key *key)
{
    return key->multi_region ? FLAG_MULTI : 0;
}

static void put_head(const struct blob_key *key, enum blob_kind kind, const struct blob_salt *salt,
                     const uint8_t *commitment, size_t plain_len, uint8_t *head)
{
    memset(head, 0, BLOB_HEAD);
    head[0] = 1;
    head[1] = 2;
    head[AT_KIND] = (uint8_t)kind;
    head[4] = 0x78;
    memcpy(head + AT_MATERIAL, key->id->b, sizeof key->id->b);
    head[AT_FORMAT] = BLOB_FORMAT;
    memcpy(head + AT_NONCE, salt->nonce, BLOB_NONCE);
    put_u32(head + AT_REST_LEN, (uint32_t)(plain_len + BLOB_OVERHEAD - AT_SUITE));
    head[AT_SUITE] = SUITE;
    head[AT_FLAGS] = flags_of(key);
    memcpy(head + AT_IV, salt->iv, GCM_IV_LEN);
    memcpy(head + AT_COMMITMENT, commitment, COMMITMENT);
}

/* --- keys ---------------------------------------------------------------------------------------------- */

/* I1: the message key, and behind it the commitment to it. */
static enum kms_status derive(const struct blob_key *key, const uint8_t *nonce, struct secret **ret,
                              struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *derived = secret_new(DERIVED);
    uint8_t                              room[2 + 32 + BLOB_NONCE + KEY_ID_MAX];
    struct buf context = { .ptr = room, .cap = sizeof room, .limit = sizeof room }; /* borrows */

    if (derived == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a message key");
    buf_add_byte(&context, SUITE);
    buf_add_byte(&context, flags_of(key));
    buf_add(&context, bytes_of(key->id->b, sizeof key->id->b));
    buf_add(&context, bytes_of(nonce, BLOB_NONCE));
    buf_add(&context, key->key_id); /* last, so that its length needs no field */
    if (!buf_ok(&context))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a key id is too long");
    crypto_kdf_kept(key->material, BYTES_LIT("blob"), buf_bytes(&context), secret_data(derived),
                    DERIVED);
    *ret = TAKE(derived);
    return KMS_OK;
}

static struct bytes message_key(struct secret *derived)
{
    return bytes_of(secret_data(derived), AES256_KEY_LEN);
}

static struct bytes commitment_of(struct secret *derived)
{
    return bytes_of(secret_data(derived) + AES256_KEY_LEN, COMMITMENT);
}

/* I2: the head, the key's name with its length, the hash of the encryption context. */
static struct bytes aad_of(const struct blob_key *key, const uint8_t *head, struct bytes context,
                           uint8_t room[AAD_MAX])
{
    struct bytes name = key->multi_region ? key->key_id : key->arn;
    struct buf   aad = { .ptr = room, .cap = AAD_MAX, .limit = AAD_MAX }; /* borrows */
    uint8_t      hash[BLOB_CONTEXT];

    crypto_sha256(context, hash);
    buf_add(&aad, bytes_of(head, BLOB_HEAD));
    buf_add_field(&aad, name);
    buf_add(&aad, bytes_of(hash, sizeof hash));
    assert(buf_ok(&aad)); /* a record's names fit KEY_ARN_MAX */
    return buf_bytes(&aad);
}

/* --- sealing and opening ------------------------------------------------------------------------------- */

enum kms_status blob_seal(const struct blob_key *key, enum blob_kind kind,
                          const struct blob_salt *salt, struct bytes context, struct bytes plain,
                          uint8_t *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *derived = NULL;
    UNINITIALIZED uint8_t                room[AAD_MAX];

    TRY(derive(key, salt->nonce, &derived, reterr));
    put_head(key, kind, salt, commitment_of(derived).ptr, plain.len, ret);
    return crypto_gcm_seal(message_key(derived), salt->iv, aad_of(key, ret, context, room), plain,
                           ret + BLOB_HEAD, reterr);
}

static bool fits_key(const struct blob_key *key, struct bytes blob)
{
    struct blob_header header;

    return vault_blob_inspect(blob, &header) && material_id_eq(&header.material, key->id) &&
           blob.ptr[AT_FLAGS] == flags_of(key);
}

static bool reserved_zero(const uint8_t *head)
{
    uint8_t any = 0;

    for (size_t i = 0; i < RESERVED; i++)
        any |= head[AT_RESERVED + i];
    return any == 0;
}

enum kms_status blob_open(const struct blob_key *key, struct bytes context, struct bytes blob,
                          uint8_t *ret, struct kms_error *reterr)
{
    static const uint8_t                 blank[BLOB_OVERHEAD];
    CLEANUP(secret_freep) struct secret *derived = NULL;
    UNINITIALIZED uint8_t                room[AAD_MAX];
    bool                                 whole = blob.len >= BLOB_OVERHEAD;
    /* I3: what is no blob at all is taken through the same steps with an empty one */
    struct bytes b = whole ? blob : bytes_of(blank, sizeof blank);
    bool         good = whole && fits_key(key, b) && reserved_zero(b.ptr);

    TRY(derive(key, b.ptr + AT_NONCE, &derived, reterr));
    good &= ct_equal(commitment_of(derived), bytes_of(b.ptr + AT_COMMITMENT, COMMITMENT));
    enum kms_status status = crypto_gcm_open(
        message_key(derived), b.ptr + AT_IV, aad_of(key, b.ptr, context, room),
        bytes_of(b.ptr + BLOB_HEAD, b.len - BLOB_HEAD), ret, reterr);
    if (status == KMS_OK && good)
        return KMS_OK;
    if (status != KMS_OK && status != KMS_E_CIPHERTEXT)
        return status;
    explicit_bzero(ret, b.len - BLOB_OVERHEAD);
    return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "not a blob of this material and context");
}
