/* vault/blob.h - the ciphertext blob, byte by byte: pure functions over bytes and one key.
 *
 * Format: docs/storage-format.md. Blobs of every version we ever wrote stay readable.
 */
#pragma once

#include "crypto/crypto.h"
#include "vault/vault.h"

enum {
    BLOB_NONCE = 16,
    BLOB_HEAD = 136, /* everything before the ciphertext               */
    BLOB_FORMAT = 0x54,
    BLOB_CONTEXT = 32, /* SHA-256 of the canonical encryption context    */
};

/* What a blob is made under. Views, borrowed. */
struct blob_key {
    struct hmac_key           material; /* prepared: it only derives */
    const struct material_id *id;
    struct bytes              key_id;
    struct bytes              arn; /* binds single-Region keys; multi-Region: key_id does */
    bool                      multi_region;
};

static inline bool material_id_eq(const struct material_id *a, const struct material_id *b)
{
    return bytes_eq(bytes_of(a->b, sizeof a->b), bytes_of(b->b, sizeof b->b));
}

/* What makes two blobs of the same plaintext differ. */
struct blob_salt {
    uint8_t nonce[BLOB_NONCE];
    uint8_t iv[GCM_IV_LEN];
};

/* Writes plain.len + BLOB_OVERHEAD bytes. */
KMS_MUST_CHECK enum kms_status blob_seal(const struct blob_key *key, enum blob_kind kind,
                                         const struct blob_salt *salt, struct bytes context,
                                         struct bytes plain, uint8_t *ret,
                                         struct kms_error *reterr);
/* Writes blob.len - BLOB_OVERHEAD bytes (none for a shorter blob). KMS_E_CIPHERTEXT for anything that
 * blob_seal did not make under this key and context; then `ret` is wiped. */
KMS_MUST_CHECK enum kms_status blob_open(const struct blob_key *key, struct bytes context,
                                         struct bytes blob, uint8_t *ret, struct kms_error *reterr);
