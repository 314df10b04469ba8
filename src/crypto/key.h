/* crypto/key.h - keys of every spec: making, reading, checking and using them.
 *
 * A key at rest is its material: raw bytes for secrets, PKCS#8 DER for key pairs, in one canonical
 * form per spec, so that the same key always has the same bytes. A key in use is a struct
 * crypto_key: parsed once, immutable, used by any number of threads at a time. OpenSSL holds its
 * numbers in memory of its own (its secure heap where it does so itself), which the hooks of
 * crypto.c wipe when the key is freed.
 *
 * Sources: FIPS 186-5, FIPS 203, FIPS 204, RFC 8017, RFC 8032, RFC 5958, RFC 5915, GB/T 32918.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "crypto/spec.h"

#include <stdatomic.h>

struct crypto_key;

/* --- making and reading ----------------------------------------------------------------------- */

/* Makes new material of any spec: *ret_material is canonical. RSA takes up to seconds and fails soon
 * after `*stop` has become true (NULL: goes on to the end); callers take RSA keys from the vault's
 * pools instead. */
KMS_MUST_CHECK enum kms_status crypto_key_generate(enum key_spec spec, const _Atomic bool *stop,
                                                   struct secret   **ret_material,
                                                   struct kms_error *reterr);
/* Reads what a customer wraps for a key of this spec and checks all of it: raw length, or PKCS#8
 * (DER, and BER for specs that take it) of exactly this spec, unencrypted, nothing after it; named
 * curves only; RSA with two primes of about equal length that are not close to each other, exact modulus
 * length and an odd exponent of 65537..2^256-1, its numbers consistent; the public half recomputed, compared
 * with the one inside if there is one, and proved by a pairwise test. *ret_material is the canonical form of the parsed key, however it was encoded.
 * Exponents above 64 bits with RSA_4096 are a fault too: OpenSSL does not use such a public key.
 * KMS_E_CIPHERTEXT (no message) for every fault (recorded-imports R15). */
KMS_MUST_CHECK enum kms_status crypto_key_import(enum key_spec spec, struct bytes content,
                                                 struct secret   **ret_material,
                                                 struct kms_error *reterr);
/* Reads one private key in PEM (RFC 7468; PKCS#8, PKCS#1, SEC1), RSA or on a named curve, and checks it as
 * crypto_key_import does: *ret_material is its canonical PKCS#8 in DER. KMS_E_CIPHERTEXT (no message) for every
 * fault: a passphrase, a second key, another kind, a size or curve that is no spec. For `trent` only. */
KMS_MUST_CHECK enum kms_status crypto_pem_to_pkcs8(struct bytes pem, enum key_spec *ret_spec,
                                                   struct secret   **ret_material,
                                                   struct kms_error *reterr);
/* Opens canonical material of an asymmetric spec (spec_is_asymmetric). KMS_E_INTERNAL if it is none. */
KMS_MUST_CHECK enum kms_status crypto_key_open(enum key_spec spec, struct bytes material,
                                               struct crypto_key **ret, struct kms_error *reterr);
/* Reads somebody else's public key: DER SubjectPublicKeyInfo of exactly this spec, nothing after it, a
 * valid point that is not at infinity. KMS_E_VALIDATION (no message) otherwise (recorded-crypto 6).
 * For SPEC_RSA_*: any modulus of exactly that length and an odd exponent above 1. */
KMS_MUST_CHECK enum kms_status crypto_key_read_public(enum key_spec spec, struct bytes spki,
                                                      struct crypto_key **ret,
                                                      struct kms_error   *reterr);
void crypto_key_free(struct crypto_key *k);   /* NULL is fine */
void crypto_key_freep(struct crypto_key **k); /* for CLEANUP() */
enum key_spec crypto_key_spec(const struct crypto_key *k);

/* Appends the DER SubjectPublicKeyInfo as GetPublicKey shows it (recorded-crypto 2): the same octets for
 * the same key, always. */
KMS_MUST_CHECK enum kms_status crypto_key_public(const struct crypto_key *k, struct buf *ret_spki,
                                                 struct kms_error *reterr);

/* The same of canonical material of an asymmetric spec: opened for this only. */
KMS_MUST_CHECK enum kms_status crypto_key_public_of(enum key_spec spec, struct bytes material,
                                                    struct buf *ret_spki, struct kms_error *reterr);

/* --- using: asymmetric ------------------------------------------------------------------------ *
 * `algorithm` is one of the spec's (spec_has_algorithm): the caller has checked that, and the lengths of
 * messages too; a wrong one is KMS_E_INTERNAL. */

/* RSAES-OAEP, SM2PKE (its ASN.1 form). Appends the ciphertext. */
KMS_MUST_CHECK enum kms_status crypto_key_encrypt(const struct crypto_key *k,
                                                  enum algorithm algorithm, struct bytes plain,
                                                  struct buf *ret_cipher, struct kms_error *reterr);
/* KMS_E_CIPHERTEXT (no message) for whatever does not decrypt, after the same work. *ret_plain NULL: the
 * plaintext is empty. */
KMS_MUST_CHECK enum kms_status crypto_key_decrypt(const struct crypto_key *k,
                                                  enum algorithm algorithm, struct bytes cipher,
                                                  struct secret   **ret_plain,
                                                  struct kms_error *reterr);
/* `message` as `type` says (kms-behaviour 6.3): RAW is hashed here; a DIGEST has the algorithm's
 * digest_len; EXTERNAL_MU has 64 bytes. Signatures in the encodings of recorded-crypto 13: DER for ECDSA
 * and SM2DSA, PSS with a salt of the hash's length, ML-DSA randomised with empty context. Appends it. */
KMS_MUST_CHECK enum kms_status crypto_key_sign(const struct crypto_key *k, enum algorithm algorithm,
                                               enum message_type type, struct bytes message,
                                               struct buf *ret_signature, struct kms_error *reterr);
/* KMS_E_SIGNATURE (no message) for every signature that does not verify, of whatever length. */
KMS_MUST_CHECK enum kms_status crypto_key_verify(const struct crypto_key *k,
                                                 enum algorithm algorithm, enum message_type type,
                                                 struct bytes message, struct bytes signature,
                                                 struct kms_error *reterr);
/* ECDH with cofactor 1: the raw x coordinate, 32, 48 or 66 bytes. Both of one spec. KMS_E_VALIDATION (no
 * message) when the shared point is at infinity. */
KMS_MUST_CHECK enum kms_status crypto_key_derive(const struct crypto_key *k,
                                                 const struct crypto_key *peer,
                                                 struct secret          **ret_secret,
                                                 struct kms_error        *reterr);
enum { SHARED_SECRET_LEN = 32 }; /* of ML-KEM */
/* FIPS 203 ML-KEM.Encaps; appends the 768, 1088 or 1568 bytes. */
KMS_MUST_CHECK enum kms_status crypto_key_encapsulate(const struct crypto_key *k,
                                                      struct secret          **ret_secret,
                                                      struct buf              *ret_cipher,
                                                      struct kms_error        *reterr);
/* FIPS 203 ML-KEM.Decaps: an altered ciphertext of right length gives a pseudo-random secret, never an
 * error; KMS_E_CIPHERTEXT (no message) for another length. */
KMS_MUST_CHECK enum kms_status crypto_key_decapsulate(const struct crypto_key *k,
                                                      struct bytes             cipher,
                                                      struct secret          **ret_secret,
                                                      struct kms_error        *reterr);

/* --- using: MACs ------------------------------------------------------------------------------ */

/* HMAC (RFC 2104) with the digest of `algorithm`: 28, 32, 48 or 64 bytes to `ret`. */
void crypto_mac(struct bytes key, enum algorithm algorithm, struct bytes message,
                uint8_t ret[DIGEST_MAX], size_t *ret_len);
/* KMS_E_MAC (no message) if it is not exactly the MAC of the message; in constant time. */
KMS_MUST_CHECK enum kms_status crypto_mac_verify(struct bytes key, enum algorithm algorithm,
                                                 struct bytes message, struct bytes mac,
                                                 struct kms_error *reterr);
