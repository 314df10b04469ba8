/* tests/fuzz/fuzz_blob.c - ciphertext blobs: nothing opens but what we would have made.
 *
 * The first byte of an input says what is done with the rest:
 *   bit 0 clear  the rest is a blob. If bit 1 is set, the commitment and the tag are made right first, as
 *                somebody who has the material could: then only the checks of the head stand in the way.
 *   bit 0 set    the rest is a plaintext, to be sealed, opened, and opened again with one bit changed.
 */
#include <stdlib.h>

#include "crypto_start.h"
#include "base/limits.h"
#include "crypto/crypto.h"
#include "vault/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPAIR = 2, SEAL = 1, MULTI = 4, AT_NONCE = 38, AT_IV = 60, AT_COMMITMENT = 72 };

static const uint8_t material[32] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static struct hmac_key prepared; /* the material */

static struct blob_key the_key(bool multi_region)
{
    static struct material_id id;

    for (unsigned i = 0; i < 32; i++)
        id.b[i] = (uint8_t)(0x80 + i);
    return (struct blob_key){
        .material = prepared,
        .id = &id,
        .key_id = multi_region ? BYTES_LIT("mrk-1234abcd12ab34cd56ef1234567890ab")
                               : BYTES_LIT("1234abcd-12ab-34cd-56ef-1234567890ab"),
        .arn = BYTES_LIT("arn:aws:kms:us-east-1:111122223333:key/"
                         "1234abcd-12ab-34cd-56ef-1234567890ab"),
        .multi_region = multi_region,
    };
}

/* Makes commitment and tag fit the blob's own nonce and head, whatever else the head says. */
static void repair(const struct blob_key *key, struct bytes context, uint8_t *blob, size_t len)
{
    uint8_t    room[512], derived[64], hash[32];
    uint8_t    plain[LIMIT_CIPHERTEXT] = { 0 };
    struct buf b = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    if (len < BLOB_OVERHEAD || len > LIMIT_CIPHERTEXT)
        return;
    buf_add_byte(&b, 1);
    buf_add_byte(&b, key->multi_region ? 1 : 0);
    buf_add(&b, bytes_of(key->id->b, 32));
    buf_add(&b, bytes_of(blob + AT_NONCE, BLOB_NONCE));
    buf_add(&b, key->key_id);
    crypto_kdf(bytes_of(material, 32), BYTES_LIT("blob"), buf_bytes(&b), derived, 64);
    memcpy(blob + AT_COMMITMENT, derived + 32, 32);
    buf_reset(&b);
    crypto_sha256(context, hash);
    buf_add(&b, bytes_of(blob, BLOB_HEAD));
    buf_add_field(&b, key->multi_region ? key->key_id : key->arn);
    buf_add(&b, bytes_of(hash, 32));
    if (crypto_gcm_seal(bytes_of(derived, 32), blob + AT_IV, buf_bytes(&b),
                        bytes_of(plain, len - BLOB_OVERHEAD), blob + BLOB_HEAD, NULL) != KMS_OK)
        abort();
}

/* What opens is exactly what blob_seal makes of the same nonce, IV, kind and plaintext. */
static void must_be_ours(const struct blob_key *key, struct bytes context, struct bytes blob,
                         const uint8_t *plain)
{
    static uint8_t     again[LIMIT_CIPHERTEXT];
    struct blob_header header;
    struct blob_salt   salt;

    if (!vault_blob_inspect(blob, &header))
        abort();
    memcpy(salt.nonce, blob.ptr + AT_NONCE, BLOB_NONCE);
    memcpy(salt.iv, blob.ptr + AT_IV, GCM_IV_LEN);
    if (blob_seal(key, header.kind, &salt, context, bytes_of(plain, header.plaintext_len), again,
                  NULL) != KMS_OK ||
        !bytes_eq(bytes_of(again, blob.len), blob))
        abort();
}

static void open_blob(const struct blob_key *key, bool repaired, struct bytes in)
{
    static uint8_t blob[2 * LIMIT_CIPHERTEXT], plain[2 * LIMIT_CIPHERTEXT];
    struct bytes   context = BYTES_LIT("\0\0\0\1\0\0\0\4team\0\0\0\5trent");

    if (in.len > sizeof blob)
        return;
    if (in.len > 0)
        memcpy(blob, in.ptr, in.len);
    if (repaired)
        repair(key, context, blob, in.len);
    struct bytes    b = bytes_of(blob, in.len);
    enum kms_status status = blob_open(key, context, b, plain, NULL);
    if (status == KMS_OK)
        must_be_ours(key, context, b, plain);
    else if (status != KMS_E_CIPHERTEXT)
        abort();
}

static void seal_and_open(const struct blob_key *key, struct bytes in)
{
    static uint8_t   blob[LIMIT_CIPHERTEXT], plain[LIMIT_CIPHERTEXT];
    struct blob_salt salt = { .nonce = { 1 } };
    struct bytes     context = bytes_of(in.ptr, in.len / 2);
    size_t           flip = in.len > 0 ? in.ptr[0] * 7919u + in.len : 0;

    if (in.len > LIMIT_PLAINTEXT)
        return;
    struct bytes b = bytes_of(blob, in.len + BLOB_OVERHEAD);
    if (blob_seal(key, BLOB_ENCRYPT, &salt, context, in, blob, NULL) != KMS_OK ||
        blob_open(key, context, b, plain, NULL) != KMS_OK || !bytes_eq(bytes_of(plain, in.len), in))
        abort();
    flip %= b.len * 8;
    blob[flip / 8] ^= (uint8_t)(1u << flip % 8);
    if (blob_open(key, context, b, plain, NULL) != KMS_E_CIPHERTEXT)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;

    if (!ready && (start_crypto() != KMS_OK ||
                   crypto_hmac_key(bytes_of(material, sizeof material), &prepared, NULL) != KMS_OK))
        abort();
    ready = true;
    if (size == 0)
        return 0;
    struct blob_key key = the_key((data[0] & MULTI) != 0);
    struct bytes    rest = bytes_of(data + 1, size - 1);
    if ((data[0] & SEAL) != 0)
        seal_and_open(&key, rest);
    else
        open_blob(&key, (data[0] & REPAIR) != 0, rest);
    return 0;
}
