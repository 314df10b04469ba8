/* crypto/spec.h - every key spec and every algorithm of the API, as data.
 *
 * One row per spec says what such a key may be used for, with which algorithms, how OpenSSL names
 * it and what its material looks like. Operations, vault and crypto read the row; none of them
 * switches on the spec itself. docs/key-specs.md is generated from this table.
 *
 * Sources: kms-behaviour 6, recorded-crypto 2, recorded-imports E and R3, newer-operations.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

/* Stored; append only. */
enum key_spec {
    SPEC_SYMMETRIC_DEFAULT,
    SPEC_RSA_2048,
    SPEC_RSA_3072,
    SPEC_RSA_4096,
    SPEC_ECC_NIST_P256,
    SPEC_ECC_NIST_P384,
    SPEC_ECC_NIST_P521,
    SPEC_ECC_SECG_P256K1,
    SPEC_ECC_NIST_EDWARDS25519,
    SPEC_HMAC_224,
    SPEC_HMAC_256,
    SPEC_HMAC_384,
    SPEC_HMAC_512,
    SPEC_SM2,
    SPEC_ML_DSA_44,
    SPEC_ML_DSA_65,
    SPEC_ML_DSA_87,
    SPEC_ML_KEM_512,
    SPEC_ML_KEM_768,
    SPEC_ML_KEM_1024,
    SPEC_COUNT
};

/* Stored; append only. */
enum key_usage {
    USAGE_ENCRYPT_DECRYPT,
    USAGE_SIGN_VERIFY,
    USAGE_GENERATE_VERIFY_MAC,
    USAGE_KEY_AGREEMENT,
    USAGE_ENCAPSULATE_DECAPSULATE,
    USAGE_COUNT
};

enum spec_family {
    FAMILY_SYMMETRIC,
    FAMILY_HMAC,
    FAMILY_RSA,
    FAMILY_EC,      /* NIST curves and secp256k1 */
    FAMILY_EDWARDS, /* Ed25519 */
    FAMILY_SM2,
    FAMILY_ML_DSA,
    FAMILY_ML_KEM,
};

/* All algorithms that a request names, of all usages. Not stored: order is free. */
enum algorithm {
    ALGORITHM_SYMMETRIC_DEFAULT,
    ALGORITHM_RSAES_OAEP_SHA_1,
    ALGORITHM_RSAES_OAEP_SHA_256,
    ALGORITHM_SM2PKE,
    ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256,
    ALGORITHM_RSASSA_PKCS1_V1_5_SHA_384,
    ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512,
    ALGORITHM_RSASSA_PSS_SHA_256,
    ALGORITHM_RSASSA_PSS_SHA_384,
    ALGORITHM_RSASSA_PSS_SHA_512,
    ALGORITHM_ECDSA_SHA_256,
    ALGORITHM_ECDSA_SHA_384,
    ALGORITHM_ECDSA_SHA_512,
    ALGORITHM_SM2DSA,
    ALGORITHM_ED25519_PH_SHA_512,
    ALGORITHM_ED25519_SHA_512,
    ALGORITHM_ML_DSA_SHAKE_256,
    ALGORITHM_HMAC_SHA_224,
    ALGORITHM_HMAC_SHA_256,
    ALGORITHM_HMAC_SHA_384,
    ALGORITHM_HMAC_SHA_512,
    ALGORITHM_ECDH,
    ALGORITHM_ML_KEM,
    ALGORITHM_COUNT
};

enum digest {
    DIGEST_NONE,
    DIGEST_SHA_1,
    DIGEST_SHA_224,
    DIGEST_SHA_256,
    DIGEST_SHA_384,
    DIGEST_SHA_512,
    DIGEST_SM3,
    DIGEST_COUNT
};
enum { DIGEST_MAX = 64 };

/* How an algorithm takes its message: bits of algorithm_info.messages. */
enum message_type { MESSAGE_RAW, MESSAGE_DIGEST, MESSAGE_EXTERNAL_MU, MESSAGE_TYPE_COUNT };

struct algorithm_info {
    enum key_usage usage;      /* whose list of algorithms it stands in */
    enum digest    digest;     /* of the message; of OAEP and MGF1; of the MAC */
    unsigned       digest_len; /* bytes a DIGEST message must have; 0: it has no fixed length */
    uint32_t       messages;   /* 1u << enum message_type, of signing algorithms */
};

/* What a caller may wrap material of a spec in. Stored with import keys; append only. */
enum wrapping_algorithm {
    WRAP_RSAES_OAEP_SHA_1,
    WRAP_RSAES_OAEP_SHA_256,
    WRAP_RSA_AES_KEY_WRAP_SHA_1,
    WRAP_RSA_AES_KEY_WRAP_SHA_256,
    WRAP_COUNT
};

enum { SPEC_ALGORITHMS_MAX = 6 };

struct key_spec_info {
    enum spec_family family;
    unsigned         bits;    /* RSA: modulus; curves: field; secrets: key length */
    const char      *openssl; /* name of OpenSSL's key type; NULL: the material is raw bytes */
    const char      *group;   /* name of OpenSSL's group, of curves that share a key type */
    /* per usage the algorithms in recorded order; count 0: the spec does not have the usage */
    struct {
        uint8_t        count;
        enum algorithm list[SPEC_ALGORITHMS_MAX];
    } usages[USAGE_COUNT];
    /* Raw materials: accepted lengths in bytes at import; generated ones have material_min.
     * Encoded ones (PKCS#8): longest encoding accepted at import in material_max. */
    unsigned material_min, material_max;
    /* per wrapping algorithm: 1 << 0, 1, 2 for a wrapping key of RSA_2048, 3072, 4096; all zero:
     * such keys cannot be imported */
    uint8_t wrappings[WRAP_COUNT];
    bool    ber;           /* material may be BER; else only DER (recorded-imports E, step 8) */
    bool    data_key_pair; /* GenerateDataKeyPair makes pairs of this spec */
    /* Keys have several materials in time, which rotation brings and answers name: the symmetric
     * encryption key. Others have one, whose id is never shown (kms-behaviour 7.6). */
    bool rotates;
    /* In Regions of the partition aws-cn only; nowhere else than there. */
    bool only_china, not_china;
    /* Takes less than about 0.2 ms (design 3): may run on a loop thread. Else in the pool. */
    bool fast_private, fast_public;
};

const struct key_spec_info *spec_info(enum key_spec spec);
const struct algorithm_info *algorithm_info(enum algorithm algorithm);

/* Names as on the wire, in the order of the enums above, NULL at the end: for shapes too. */
extern const char *const key_spec_names[SPEC_COUNT + 1];
extern const char *const key_usage_names[USAGE_COUNT + 1];
extern const char *const algorithm_names[ALGORITHM_COUNT + 1];

/* Does a key of this spec and usage serve this algorithm? */
bool spec_has_algorithm(enum key_spec spec, enum key_usage usage, enum algorithm algorithm);
/* Does it have the usage at all? */
bool spec_has_usage(enum key_spec spec, enum key_usage usage);
/* Can keys of the spec be imported; with this wrapping? `wrapping_spec` is an RSA spec. */
bool spec_importable(enum key_spec spec);
bool spec_takes_wrapping(enum key_spec spec, enum wrapping_algorithm algorithm,
                         enum key_spec wrapping_spec);
/* Material is PKCS#8 and has a public half. */
bool spec_is_asymmetric(enum key_spec spec);
/* Longest plaintext in bytes of an encryption algorithm under a key of the spec
 * (kms-behaviour 6.2). */
size_t spec_plaintext_max(enum key_spec spec, enum algorithm algorithm);
