/* crypto/key_internal.h - what the files about keys share. */
#pragma once

#include <openssl/evp.h>

#include "crypto/crypto_internal.h"
#include "crypto/key.h"

struct crypto_key {
    enum key_spec spec;
    EVP_PKEY     *pkey; /* immutable from here on: threads share it without locks */
    /* Begun with EVP_PKEY_sign_init and only copied from here on, which takes a quarter of what beginning
     * does. Only of opened private keys that sign digests; NULL of others. */
    EVP_PKEY_CTX *signing;
};

/* --- for CLEANUP() ---------------------------------------------------------------------------- */

void key_pkey_freep(EVP_PKEY **p);
void key_ctx_freep(EVP_PKEY_CTX **p);

/* --- what families of specs do differently ------------------------------------------------------ */

struct signing {
    const struct crypto_key *key;
    enum algorithm           algorithm;
    enum message_type        type;
    struct bytes             message;
};

/* One row per enum spec_family (key.c). What a family does not do is NULL. */
struct key_family_ops {
    /* New canonical material. */
    enum kms_status (*generate)(enum key_spec spec, const _Atomic bool *stop, struct secret **ret,
                                struct kms_error *reterr);
    /* Canonical material of a parsed key. */
    enum kms_status (*encode)(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                              struct kms_error *reterr);
    /* Is the material, one of ours, what `encode` would make of it? NULL: it is encoded and compared. */
    bool (*canonical)(enum key_spec spec, struct bytes material);
    /* Is the key, parsed from somebody's PKCS#8, one we take? May put a normalised one in its place. */
    bool (*check)(enum key_spec spec, EVP_PKEY **key);
    /* The public half: NULL if `spki` is not exactly what it must be. */
    EVP_PKEY *(*read_public)(enum key_spec spec, struct bytes spki);
    enum kms_status (*write_public)(const struct crypto_key *k, struct buf *ret_spki,
                                    struct kms_error *reterr);
    /* The message has been looked at: it fits the algorithm. */
    enum kms_status (*sign)(const struct signing *s, struct buf *ret_signature,
                            struct kms_error *reterr);
    enum kms_status (*verify)(const struct signing *s, struct bytes signature,
                              struct kms_error *reterr);
    /* Sets a context up that EVP_PKEY_encrypt_init or EVP_PKEY_decrypt_init has begun. */
    bool (*set_encryption)(EVP_PKEY_CTX *ctx, enum algorithm algorithm);
    /* Can this be a ciphertext at all, by what anybody sees of it? */
    bool (*plausible)(const struct crypto_key *k, struct bytes cipher);
    /* The x coordinate of the shared point: `len` bytes. */
    enum kms_status (*derive)(const struct crypto_key *k, const struct crypto_key *peer,
                              uint8_t *ret, size_t len, struct kms_error *reterr);
};
const struct key_family_ops *key_ops(enum key_spec spec);

/* A new handle, which owns `key` from then on. */
KMS_MUST_CHECK enum kms_status key_handle(enum key_spec spec, EVP_PKEY **key,
                                          struct crypto_key **ret, struct kms_error *reterr);

/* --- encodings (key_encode.c) ------------------------------------------------------------------- */

enum { KEY_OID_MAX = 16, KEY_HEAD_MAX = 64, KEY_POINT_MAX = 133, KEY_SCALAR_MAX = 66 };

/* What stands where in the encodings of a spec. */
struct key_encoding {
    struct bytes oid;         /* of the algorithm, without tag and length; empty: raw bytes */
    struct bytes curve;       /* its parameter, for curves; else empty */
    size_t       private_len; /* of the scalar or seed; 0 for RSA */
    size_t       public_len;  /* of the public key, points uncompressed; 0 for RSA */
    size_t       cipher_len;  /* of a secret encapsulated with it (FIPS 203, table 3); else 0 */
    uint8_t      seed_tag;    /* around a seed: OCTET STRING, or the [0] of ML-DSA and ML-KEM */
};
const struct key_encoding *key_encoding(enum key_spec spec);

/* All bytes of a SubjectPublicKeyInfo before a public key of `key_len` bytes. Returns their number. */
size_t key_spki_head(enum key_spec spec, size_t key_len, uint8_t ret[KEY_HEAD_MAX]);

enum kms_status key_encode_curve(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                                 struct kms_error *reterr);
enum kms_status key_encode_seed(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                                struct kms_error *reterr);
enum kms_status key_encode_rsa(enum key_spec spec, EVP_PKEY *key, struct secret **ret,
                               struct kms_error *reterr);
/* Material of a spec that has seeds, still without one: *ret_seed points to where it goes. */
KMS_MUST_CHECK enum kms_status key_seed_material(enum key_spec spec, struct secret **ret,
                                                 uint8_t **ret_seed, struct kms_error *reterr);
enum kms_status key_write_public(const struct crypto_key *k, struct buf *ret_spki,
                                 struct kms_error *reterr);
enum kms_status key_write_public_rsa(const struct crypto_key *k, struct buf *ret_spki,
                                     struct kms_error *reterr);

/* --- reading (key_read.c, key_check.c, key_canonical.c) ----------------------------------------- */

/* PKCS#8 and RSAPrivateKey in DER: versions 0, NULL as parameters, two primes, numbers above zero, the modulus
 * as long as the spec says. Whether the numbers fit each other is not looked at. */
bool key_canonical_rsa(enum key_spec spec, struct bytes material);

/* From here on OpenSSL writes the key's point uncompressed. */
bool key_uncompressed(EVP_PKEY *key);
bool key_rsa_exponent_is_odd(EVP_PKEY *key); /* and not one */
bool key_check_curve(enum key_spec spec, EVP_PKEY **key);
bool key_check_seed(enum key_spec spec, EVP_PKEY **key);
bool key_check_rsa(enum key_spec spec, EVP_PKEY **key);
EVP_PKEY *key_read_public_curve(enum key_spec spec, struct bytes spki);
EVP_PKEY *key_read_public_plain(enum key_spec spec, struct bytes spki);
EVP_PKEY *key_read_public_rsa(enum key_spec spec, struct bytes spki);

/* --- making (key_generate.c) -------------------------------------------------------------------- */

enum kms_status key_generate_secret(enum key_spec spec, const _Atomic bool *stop,
                                    struct secret **ret, struct kms_error *reterr);
enum kms_status key_generate_seed(enum key_spec spec, const _Atomic bool *stop, struct secret **ret,
                                  struct kms_error *reterr);
enum kms_status key_generate_curve(enum key_spec spec, const _Atomic bool *stop,
                                   struct secret **ret, struct kms_error *reterr);
enum kms_status key_generate_rsa(enum key_spec spec, const _Atomic bool *stop, struct secret **ret,
                                 struct kms_error *reterr);

/* --- using (key_sign.c, key_encrypt.c, key_agree.c) --------------------------------------------- */

/* Sets k->signing if the key is of a family that signs digests. */
enum kms_status key_prepare_signing(struct crypto_key *k, struct kms_error *reterr);
enum kms_status key_sign_hashed(const struct signing *s, struct buf *ret_signature,
                                struct kms_error *reterr);
enum kms_status key_verify_hashed(const struct signing *s, struct bytes signature,
                                  struct kms_error *reterr);
enum kms_status key_sign_whole(const struct signing *s, struct buf *ret_signature,
                               struct kms_error *reterr);
enum kms_status key_verify_whole(const struct signing *s, struct bytes signature,
                                 struct kms_error *reterr);
enum kms_status key_sign_sm2(const struct signing *s, struct buf *ret_signature,
                             struct kms_error *reterr);
enum kms_status key_verify_sm2(const struct signing *s, struct bytes signature,
                               struct kms_error *reterr);

bool key_set_oaep(EVP_PKEY_CTX *ctx, enum algorithm algorithm);
bool key_set_sm2(EVP_PKEY_CTX *ctx, enum algorithm algorithm);
bool key_plausible_rsa(const struct crypto_key *k, struct bytes cipher);
bool key_plausible_sm2(const struct crypto_key *k, struct bytes cipher);

enum kms_status key_derive_ec(const struct crypto_key *k, const struct crypto_key *peer,
                              uint8_t *ret, size_t len, struct kms_error *reterr);
enum kms_status key_derive_sm2(const struct crypto_key *k, const struct crypto_key *peer,
                               uint8_t *ret, size_t len, struct kms_error *reterr);
