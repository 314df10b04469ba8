/* crypto/crypto.h - primitives in our own words; the only folder that sees OpenSSL.
 *
 * Algorithms are fetched once by crypto_init; contexts are kept per thread and reused. Every
 * function is thread-safe after crypto_init. A failing primitive is KMS_E_INTERNAL with OpenSSL's
 * first error code in the detail, except where a result of "does not verify" is possible.
 * Keys come in as bytes that lie in struct secret; nothing here keeps a copy: contexts are given
 * a zero key after each use, and every block of memory OpenSSL gives back is wiped first. The one that
 * may be kept, a prepared key of HMAC, its owner keeps.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "crypto/spec.h"

#include <stdatomic.h>

enum {
    SHA256_LEN = 32,
    GCM_IV_LEN = 12,
    GCM_TAG_LEN = 16,
    AES256_KEY_LEN = 32,
    ED25519_SIG_LEN = 64,
    ED25519_PUB_LEN = 32,
    HMAC_KEY_LEN = 64,  /* of a prepared key                      */
    KDF_TEXT_MAX = 256, /* label and context of a derivation, + 9 */
};

/* Fetches algorithms, sets up OpenSSL's secure heap, runs a known-answer test of each primitive
 * used (trust-model 2.10). Call once, before threads, after secret_memory_init, and before anything
 * else in the process uses OpenSSL. */
KMS_MUST_CHECK enum kms_status crypto_init(struct kms_error *reterr);
/* Frees what crypto_init fetched and this thread's contexts (for leak checkers). */
void crypto_cleanup(void);
/* Frees this thread's contexts. A thread's end does the same. */
void crypto_thread_cleanup(void);

/* --- hashing and MACs (no failure: buffers are fixed, algorithms were tested at start) ---------- */

void crypto_sha256(struct bytes in, uint8_t ret[SHA256_LEN]);
/* SHA-256 over the concatenation of `n` pieces. */
void crypto_sha256_pieces(const struct bytes *pieces, size_t n, uint8_t ret[SHA256_LEN]);
void crypto_hmac_sha256(struct bytes key, struct bytes in, uint8_t ret[SHA256_LEN]);
/* HMAC over the concatenation of `n` pieces. */
void crypto_hmac_sha256_pieces(struct bytes key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN]);

/* The same under a key that is a secret, for who may not look at it. */
void crypto_hmac_sha256_secret(struct secret *key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN]);

/* SP 800-108 in counter mode over HMAC-SHA-256: 32-bit counter, label, zero byte, context, 32-bit
 * length in bits (trust-model 2.2). `out_len` at most 255 * 32; label and context are ours and fit
 * into KDF_TEXT_MAX. */
void crypto_kdf(struct bytes key, struct bytes label, struct bytes context, uint8_t *ret,
                size_t out_len);

/* A key for the functions above that is used often, prepared: with it a MAC of a short text costs
 * half. Lies in a secret of its own and is as secret as the key; copies of this struct are views.
 * {NULL}: none. */
struct hmac_key {
    struct secret *states;
};
KMS_MUST_CHECK enum kms_status crypto_hmac_key(struct bytes key, struct hmac_key *ret,
                                               struct kms_error *reterr);
void crypto_hmac_key_free(struct hmac_key *key); /* wipes; fine on {NULL}; for CLEANUP too */
void crypto_hmac_sha256_kept(struct hmac_key key, struct bytes in, uint8_t ret[SHA256_LEN]);
void crypto_kdf_kept(struct hmac_key key, struct bytes label, struct bytes context, uint8_t *ret,
                     size_t out_len);

/* --- randomness --------------------------------------------------------------------------------- */

/* From OpenSSL's DRBG. Small requests are served from a per-thread block that is wiped as it is
 * used; never across fork. Aborts if the random source fails: nothing safe can follow. */
void crypto_random(uint8_t *ret, size_t len);

/* --- AES ------------------------------------------------------------------------------------------ */

/* AES-256-GCM. `ret` gets plain.len bytes of ciphertext followed by the 16-byte tag. */
KMS_MUST_CHECK enum kms_status crypto_gcm_seal(struct bytes key, const uint8_t iv[GCM_IV_LEN],
                                               struct bytes aad, struct bytes plain, uint8_t *ret,
                                               struct kms_error *reterr);
/* `sealed` is ciphertext and tag; `ret` gets sealed.len - 16 bytes. KMS_E_CIPHERTEXT if the tag does
 * not verify (then `ret` is wiped). */
KMS_MUST_CHECK enum kms_status crypto_gcm_open(struct bytes key, const uint8_t iv[GCM_IV_LEN],
                                               struct bytes aad, struct bytes sealed, uint8_t *ret,
                                               struct kms_error *reterr);
/* AES-256 key wrap with padding (RFC 5649). Wrapped length: plain.len rounded up to 8, plus 8. */
KMS_MUST_CHECK enum kms_status crypto_kwp_wrap(struct bytes kek, struct bytes plain, uint8_t *ret,
                                               size_t *ret_len, struct kms_error *reterr);
/* `ret` has room for wrapped.len bytes. KMS_E_CIPHERTEXT if it does not unwrap (then `ret` is wiped). */
KMS_MUST_CHECK enum kms_status crypto_kwp_unwrap(struct bytes kek, struct bytes wrapped,
                                                 uint8_t *ret, size_t *ret_len,
                                                 struct kms_error *reterr);

/* --- RSA wrapping keys ------------------------------------------------------------------------------ */

/* Generates a key of an RSA spec with exponent 65537: PKCS#8 DER in a secret, SPKI DER appended to `spki`.
 * Takes up to seconds; fails soon after `*stop` has become true (NULL: goes on to the end). */
KMS_MUST_CHECK enum kms_status crypto_rsa_generate(enum key_spec spec, const _Atomic bool *stop,
                                                   struct secret **ret_pkcs8, struct buf *spki,
                                                   struct kms_error *reterr);
/* RSAES-OAEP decryption. *ret_plain is a secret with the message. KMS_E_CIPHERTEXT for every kind of
 * bad input, after the same work (no Manger or Bleichenbacher oracle: trust-model 2.6), and for an
 * empty message, which wraps nothing. KMS_E_INTERNAL if `pkcs8` is not a key of the RSA spec. */
KMS_MUST_CHECK enum kms_status crypto_rsa_oaep_decrypt(enum key_spec spec, struct bytes pkcs8,
                                                       enum algorithm oaep, struct bytes cipher,
                                                       struct secret   **ret_plain,
                                                       struct kms_error *reterr);

/* --- Ed25519, for audit checkpoints and receipts ------------------------------------------------------ */

KMS_MUST_CHECK enum kms_status crypto_ed25519_generate(struct secret **ret_seed,
                                                       uint8_t         ret_public[ED25519_PUB_LEN],
                                                       struct kms_error *reterr);
/* A key that is kept to sign more than once: deriving its public half takes longer than a signature. The
 * caller frees it (crypto_key_free); any number of threads may sign with it. */
struct crypto_key;
KMS_MUST_CHECK enum kms_status crypto_ed25519_open(struct bytes seed, struct crypto_key **ret,
                                                   struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status crypto_ed25519_sign_with(const struct crypto_key *key,
                                                        struct bytes             message,
                                                        uint8_t           ret[ED25519_SIG_LEN],
                                                        struct kms_error *reterr);
/* Both at once. */
KMS_MUST_CHECK enum kms_status crypto_ed25519_sign(struct bytes seed, struct bytes message,
                                                   uint8_t           ret[ED25519_SIG_LEN],
                                                   struct kms_error *reterr);
bool crypto_ed25519_verify(struct bytes public_key, struct bytes message, struct bytes signature);
