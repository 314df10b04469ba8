/* crypto/spec.c - see spec.h. Rows in the order of the enums. */
#include "crypto/spec.h"

/* --- algorithms ------------------------------------------------------------------------------- */

#define RAW       (1u << MESSAGE_RAW)
#define HASHED    (1u << MESSAGE_DIGEST)
#define MU        (1u << MESSAGE_EXTERNAL_MU)
#define ENCRYPT   USAGE_ENCRYPT_DECRYPT
#define SIGN      USAGE_SIGN_VERIFY
#define MAC       USAGE_GENERATE_VERIFY_MAC
#define AGREE     USAGE_KEY_AGREEMENT
#define ENCAPS    USAGE_ENCAPSULATE_DECAPSULATE
#define A(NAME)   [ALGORITHM_##NAME] = {
#define S(NAME)   [SPEC_##NAME] = {

// clang-format off
static const struct algorithm_info algorithms[ALGORITHM_COUNT] = {
    A(SYMMETRIC_DEFAULT)         ENCRYPT, DIGEST_NONE,     0, 0 },
    A(RSAES_OAEP_SHA_1)          ENCRYPT, DIGEST_SHA_1,    0, 0 },
    A(RSAES_OAEP_SHA_256)        ENCRYPT, DIGEST_SHA_256,  0, 0 },
    A(SM2PKE)                    ENCRYPT, DIGEST_SM3,      0, 0 },
    A(RSASSA_PKCS1_V1_5_SHA_256) SIGN,    DIGEST_SHA_256, 32, RAW | HASHED },
    A(RSASSA_PKCS1_V1_5_SHA_384) SIGN,    DIGEST_SHA_384, 48, RAW | HASHED },
    A(RSASSA_PKCS1_V1_5_SHA_512) SIGN,    DIGEST_SHA_512, 64, RAW | HASHED },
    A(RSASSA_PSS_SHA_256)        SIGN,    DIGEST_SHA_256, 32, RAW | HASHED },
    A(RSASSA_PSS_SHA_384)        SIGN,    DIGEST_SHA_384, 48, RAW | HASHED },
    A(RSASSA_PSS_SHA_512)        SIGN,    DIGEST_SHA_512, 64, RAW | HASHED },
    A(ECDSA_SHA_256)             SIGN,    DIGEST_SHA_256, 32, RAW | HASHED },
    A(ECDSA_SHA_384)             SIGN,    DIGEST_SHA_384, 48, RAW | HASHED },
    A(ECDSA_SHA_512)             SIGN,    DIGEST_SHA_512, 64, RAW | HASHED },
    A(SM2DSA)                    SIGN,    DIGEST_SM3,     32, RAW | HASHED },
    /* the DIGEST of this one is hashed once more (kms-behaviour 6.3) */
    A(ED25519_PH_SHA_512)        SIGN,    DIGEST_SHA_512, 64, HASHED },
    A(ED25519_SHA_512)           SIGN,    DIGEST_NONE,     0, RAW },
    A(ML_DSA_SHAKE_256)          SIGN,    DIGEST_NONE,     0, RAW | MU },
    A(HMAC_SHA_224)              MAC,     DIGEST_SHA_224,  0, 0 },
    A(HMAC_SHA_256)              MAC,     DIGEST_SHA_256,  0, 0 },
    A(HMAC_SHA_384)              MAC,     DIGEST_SHA_384,  0, 0 },
    A(HMAC_SHA_512)              MAC,     DIGEST_SHA_512,  0, 0 },
    A(ECDH)                      AGREE,   DIGEST_NONE,     0, 0 },
    A(ML_KEM)                    ENCAPS,  DIGEST_NONE,     0, 0 },
};

/* --- specs ------------------------------------------------------------------------------------ */

#define OAEP_ENCRYPT                                                                               \
    [ENCRYPT] = { 2, { ALGORITHM_RSAES_OAEP_SHA_1, ALGORITHM_RSAES_OAEP_SHA_256 } }
#define RSA_SIGN                                                                                   \
    [SIGN] = { 6, { ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_384,      \
                    ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512, ALGORITHM_RSASSA_PSS_SHA_256,             \
                    ALGORITHM_RSASSA_PSS_SHA_384, ALGORITHM_RSASSA_PSS_SHA_512 } }
#define ONLY(USAGE, ALGORITHM) [USAGE] = { 1, { ALGORITHM_##ALGORITHM } }

/* Wrapping keys: bits of RSA_2048, RSA_3072, RSA_4096 (kms-behaviour 7.2, recorded-imports R3). */
#define ANY_RSA   7
#define LARGE_RSA 6
#define BY_OAEP(KEYS)                                                                              \
    [WRAP_RSAES_OAEP_SHA_1] = (KEYS), [WRAP_RSAES_OAEP_SHA_256] = (KEYS)
#define BY_KEY_WRAP                                                                                \
    [WRAP_RSA_AES_KEY_WRAP_SHA_1] = ANY_RSA, [WRAP_RSA_AES_KEY_WRAP_SHA_256] = ANY_RSA

#define RSA(BITS)                                                                                  \
    S(RSA_##BITS) .family = FAMILY_RSA, .bits = BITS, .openssl = "RSA",                            \
      .usages = { OAEP_ENCRYPT, RSA_SIGN }, .wrappings = { BY_KEY_WRAP }, .material_max = 4096,    \
      .ber = true, .data_key_pair = true, .fast_public = true }
#define HMAC(BITS)                                                                                 \
    S(HMAC_##BITS) .family = FAMILY_HMAC, .bits = BITS, .usages = { ONLY(MAC, HMAC_SHA_##BITS) },  \
      .material_min = BITS / 8, .material_max = 128, .wrappings = { BY_OAEP(ANY_RSA) },            \
      .fast_private = true, .fast_public = true }
#define ML_DSA(SIZE, FAST_PUBLIC)                                                                  \
    S(ML_DSA_##SIZE) .family = FAMILY_ML_DSA, .openssl = "ML-DSA-" #SIZE,                          \
      .usages = { ONLY(SIGN, ML_DSA_SHAKE_256) }, .material_max = 8192,             \
      .fast_public = FAST_PUBLIC }
#define ML_KEM(SIZE)                                                                               \
    S(ML_KEM_##SIZE) .family = FAMILY_ML_KEM, .bits = SIZE, .openssl = "ML-KEM-" #SIZE,            \
      .usages = { ONLY(ENCAPS, ML_KEM) }, .material_max = 8192, .not_china = true,                 \
      .fast_private = true, .fast_public = true }

static const struct key_spec_info specs[SPEC_COUNT] = {
    S(SYMMETRIC_DEFAULT) .family = FAMILY_SYMMETRIC, .bits = 256,
      .usages = { ONLY(ENCRYPT, SYMMETRIC_DEFAULT) }, .material_min = 32, .material_max = 32,
      .rotates = true, .wrappings = { BY_OAEP(ANY_RSA) }, .fast_private = true, .fast_public = true },
    RSA(2048),
    RSA(3072),
    RSA(4096),
    S(ECC_NIST_P256) .family = FAMILY_EC, .bits = 256, .openssl = "EC", .group = "P-256",
      .usages = { ONLY(SIGN, ECDSA_SHA_256), ONLY(AGREE, ECDH) },
      .wrappings = { BY_OAEP(ANY_RSA), BY_KEY_WRAP }, .material_max = 1024, .ber = true,
      .data_key_pair = true, .fast_private = true, .fast_public = true },
    S(ECC_NIST_P384) .family = FAMILY_EC, .bits = 384, .openssl = "EC", .group = "P-384",
      .usages = { ONLY(SIGN, ECDSA_SHA_384), ONLY(AGREE, ECDH) },
      .wrappings = { BY_OAEP(ANY_RSA), BY_KEY_WRAP }, .material_max = 1024, .ber = true,
      .data_key_pair = true },
    S(ECC_NIST_P521) .family = FAMILY_EC, .bits = 521, .openssl = "EC", .group = "P-521",
      .usages = { ONLY(SIGN, ECDSA_SHA_512), ONLY(AGREE, ECDH) },
      .wrappings = { BY_OAEP(LARGE_RSA), BY_KEY_WRAP }, .material_max = 1024, .ber = true,
      .data_key_pair = true },
    S(ECC_SECG_P256K1) .family = FAMILY_EC, .bits = 256, .openssl = "EC", .group = "secp256k1",
      .usages = { ONLY(SIGN, ECDSA_SHA_256) },
      .wrappings = { BY_OAEP(ANY_RSA), BY_KEY_WRAP }, .material_max = 1024, .ber = true,
      .data_key_pair = true },
    /* RSA_2048 is refused for OAEP although 48 bytes would fit: as recorded */
    S(ECC_NIST_EDWARDS25519) .family = FAMILY_EDWARDS, .bits = 256, .openssl = "ED25519",
      .usages = { [SIGN] = { 2, { ALGORITHM_ED25519_PH_SHA_512, ALGORITHM_ED25519_SHA_512 } } },
      .wrappings = { BY_OAEP(LARGE_RSA), BY_KEY_WRAP }, .material_max = 1024,
      .data_key_pair = true, .fast_private = true, .fast_public = true },
    HMAC(224),
    HMAC(256),
    HMAC(384),
    HMAC(512),
    S(SM2) .family = FAMILY_SM2, .bits = 256, .openssl = "SM2", .group = "SM2",
      .usages = { ONLY(ENCRYPT, SM2PKE), ONLY(SIGN, SM2DSA), ONLY(AGREE, ECDH) },
      .wrappings = { BY_OAEP(ANY_RSA) }, .material_max = 1024, .ber = true,
      .data_key_pair = true, .only_china = true },
    ML_DSA(44, true),
    ML_DSA(65, true),
    ML_DSA(87, false),
    ML_KEM(512),
    ML_KEM(768),
    ML_KEM(1024),
};

const char *const key_spec_names[SPEC_COUNT + 1] = {
#define N(NAME) [SPEC_##NAME] = #NAME
    N(SYMMETRIC_DEFAULT), N(RSA_2048), N(RSA_3072), N(RSA_4096), N(ECC_NIST_P256),
    N(ECC_NIST_P384), N(ECC_NIST_P521), N(ECC_SECG_P256K1), N(ECC_NIST_EDWARDS25519),
    N(HMAC_224), N(HMAC_256), N(HMAC_384), N(HMAC_512), N(SM2), N(ML_DSA_44), N(ML_DSA_65),
    N(ML_DSA_87), N(ML_KEM_512), N(ML_KEM_768), N(ML_KEM_1024),
#undef N
};

const char *const key_usage_names[USAGE_COUNT + 1] = {
    [ENCRYPT] = "ENCRYPT_DECRYPT",
    [SIGN] = "SIGN_VERIFY",
    [MAC] = "GENERATE_VERIFY_MAC",
    [AGREE] = "KEY_AGREEMENT",
    [ENCAPS] = "ENCAPSULATE_DECAPSULATE",
};

const char *const algorithm_names[ALGORITHM_COUNT + 1] = {
#define N(NAME) [ALGORITHM_##NAME] = #NAME
    N(SYMMETRIC_DEFAULT), N(RSAES_OAEP_SHA_1), N(RSAES_OAEP_SHA_256), N(SM2PKE),
    N(RSASSA_PKCS1_V1_5_SHA_256), N(RSASSA_PKCS1_V1_5_SHA_384), N(RSASSA_PKCS1_V1_5_SHA_512),
    N(RSASSA_PSS_SHA_256), N(RSASSA_PSS_SHA_384), N(RSASSA_PSS_SHA_512), N(ECDSA_SHA_256),
    N(ECDSA_SHA_384), N(ECDSA_SHA_512), N(SM2DSA), N(ED25519_PH_SHA_512), N(ED25519_SHA_512),
    N(ML_DSA_SHAKE_256), N(HMAC_SHA_224), N(HMAC_SHA_256), N(HMAC_SHA_384), N(HMAC_SHA_512),
    N(ECDH), N(ML_KEM),
#undef N
};
// clang-format on

/* --- questions -------------------------------------------------------------------------------- */

const struct key_spec_info *spec_info(enum key_spec spec)
{
    return &specs[spec];
}

const struct algorithm_info *algorithm_info(enum algorithm algorithm)
{
    return &algorithms[algorithm];
}

bool spec_has_usage(enum key_spec spec, enum key_usage usage)
{
    return specs[spec].usages[usage].count > 0;
}

bool spec_has_algorithm(enum key_spec spec, enum key_usage usage, enum algorithm algorithm)
{
    for (unsigned i = 0; i < specs[spec].usages[usage].count; i++) {
        if (specs[spec].usages[usage].list[i] == algorithm)
            return true;
    }
    return false;
}

bool spec_importable(enum key_spec spec)
{
    for (unsigned i = 0; i < WRAP_COUNT; i++) {
        if (specs[spec].wrappings[i] != 0)
            return true;
    }
    return false;
}

bool spec_takes_wrapping(enum key_spec spec, enum wrapping_algorithm algorithm,
                         enum key_spec wrapping_spec)
{
    return wrapping_spec >= SPEC_RSA_2048 && wrapping_spec <= SPEC_RSA_4096 &&
           (specs[spec].wrappings[algorithm] & 1u << (wrapping_spec - SPEC_RSA_2048)) != 0;
}

bool spec_is_asymmetric(enum key_spec spec)
{
    return specs[spec].openssl != NULL;
}

size_t spec_plaintext_max(enum key_spec spec, enum algorithm algorithm)
{
    enum { SYMMETRIC_MAX = 4096, SM2_MAX = 1024, SHA_1 = 20, SHA_256 = 32 };
    size_t modulus = specs[spec].bits / 8;

    switch (specs[spec].family) {
    case FAMILY_SYMMETRIC: return SYMMETRIC_MAX;
    case FAMILY_SM2:       return SM2_MAX;
    case FAMILY_RSA: /* RFC 8017 7.1.1 */
        return modulus - 2 -
               2 * (size_t)(algorithm == ALGORITHM_RSAES_OAEP_SHA_1 ? SHA_1 : SHA_256);
    case FAMILY_HMAC:
    case FAMILY_EC:
    case FAMILY_EDWARDS:
    case FAMILY_ML_DSA:
    case FAMILY_ML_KEM:  break;
    }
    return 0;
}
