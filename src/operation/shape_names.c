/* operation/shape_names.c - names of enum members, the lists that validation texts print, and the
 * patterns of kms-behaviour 16.1.
 *
 * The order of `values` is that of our enums (the index is the result); the order of a printed list
 * is the service's own (kms-behaviour 1.6) and stands in the *_text strings.
 */
#include "operation/shape.h"

#define RECORDED_SPECS                                                                             \
    "RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, "                  \
    "ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, "    \
    "HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87"

/* The recorded list is of GenerateDataKey; for CreateKey the newer specs are added at its end. */
const char shape_key_spec_text[] = "[" RECORDED_SPECS ", ML_KEM_512, ML_KEM_768, ML_KEM_1024]";
const char shape_data_key_spec_text[] = "[" RECORDED_SPECS "]";
/* Order of the API model (kms-behaviour 16.2); none was recorded. */
const char shape_deprecated_spec_text[] =
    "[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, "
    "SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2]";

/* As above. */
const char shape_key_usage_text[] =
    "[SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, KEY_AGREEMENT, ENCAPSULATE_DECAPSULATE]";

/* The recorded orders (kms-behaviour 1.6). */
const char shape_encryption_algorithm_text[] =
    "[RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]";
const char shape_signing_algorithm_text[] =
    "[RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, RSASSA_PSS_SHA_512, RSASSA_PKCS1_V1_5_SHA_256, "
    "RSASSA_PKCS1_V1_5_SHA_384, RSASSA_PKCS1_V1_5_SHA_512, ECDSA_SHA_256, ECDSA_SHA_384, "
    "ECDSA_SHA_512, ED25519_SHA_512, ED25519_PH_SHA_512, SM2DSA, ML_DSA_SHAKE_256]";
const char shape_mac_algorithm_text[] = "[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]";
const char shape_key_agreement_algorithm_text[] = "[ECDH]";
const char shape_encapsulation_algorithm_text[] = "[ML_KEM]";
/* The order of the API model (kms-behaviour 16.2). */
const char shape_data_key_pair_spec_text[] =
    "[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, "
    "SM2, ECC_NIST_EDWARDS25519]";

static bool serves(struct bytes name, enum key_usage usage)
{
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++) {
        if (bytes_eq_str(name, algorithm_names[i]))
            return algorithm_info((enum algorithm)i)->usage == usage;
    }
    return false;
}

bool shape_is_encryption_algorithm(struct bytes name)
{
    return serves(name, USAGE_ENCRYPT_DECRYPT);
}

/* SYMMETRIC_DEFAULT passes here and does not fit any key later (kms-behaviour 1.6). */
bool shape_is_signing_algorithm(struct bytes name)
{
    return serves(name, USAGE_SIGN_VERIFY) ||
           bytes_eq_str(name, algorithm_names[ALGORITHM_SYMMETRIC_DEFAULT]);
}

bool shape_is_mac_algorithm(struct bytes name)
{
    return serves(name, USAGE_GENERATE_VERIFY_MAC);
}

bool shape_is_key_agreement_algorithm(struct bytes name)
{
    return serves(name, USAGE_KEY_AGREEMENT);
}

bool shape_is_encapsulation_algorithm(struct bytes name)
{
    return serves(name, USAGE_ENCAPSULATE_DECAPSULATE);
}

bool shape_is_data_key_pair_spec(struct bytes name)
{
    for (unsigned i = 0; i < SPEC_COUNT; i++) {
        if (bytes_eq_str(name, key_spec_names[i]))
            return spec_info((enum key_spec)i)->data_key_pair;
    }
    return false;
}

const char *const shape_message_types[] = {
    [MESSAGE_RAW] = "RAW",
    [MESSAGE_DIGEST] = "DIGEST",
    [MESSAGE_EXTERNAL_MU] = "EXTERNAL_MU",
    [MESSAGE_TYPE_COUNT] = NULL,
};

/* Order of the API model. The first and the last are refused for every key (recorded-imports A10;
 * SM2 is not in our Regions); index - 1 of the four between is enum wrapping_algorithm of
 * vault/vault.h. */
const char *const shape_wrapping_algorithms[] = {
    "RSAES_PKCS1_V1_5",
    [1 + WRAP_RSAES_OAEP_SHA_1] = "RSAES_OAEP_SHA_1",
    [1 + WRAP_RSAES_OAEP_SHA_256] = "RSAES_OAEP_SHA_256",
    [1 + WRAP_RSA_AES_KEY_WRAP_SHA_1] = "RSA_AES_KEY_WRAP_SHA_1",
    [1 + WRAP_RSA_AES_KEY_WRAP_SHA_256] = "RSA_AES_KEY_WRAP_SHA_256",
    "SM2PKE",
    NULL,
};

const char *const shape_wrapping_specs[] = { "RSA_2048", "RSA_3072", "RSA_4096", "SM2", NULL };
const char *const shape_data_key_specs[] = { "AES_256", "AES_128", NULL };
const char *const shape_expiration_models[] = {
    "KEY_MATERIAL_EXPIRES",
    "KEY_MATERIAL_DOES_NOT_EXPIRE",
    NULL,
};
const char *const shape_import_types[] = { "NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL", NULL };
const char *const shape_include_key_material[] = { "ROTATIONS_ONLY", "ALL_KEY_MATERIAL", NULL };
const char *const shape_dry_run_modifiers[] = { "IGNORE_CIPHERTEXT", NULL };

/* --- structures ------------------------------------------------------------------------------- */

static const char *const key_encryption_algorithms[] = { "RSAES_OAEP_SHA_256", NULL };

// clang-format off
const struct shape_member shape_recipient_members[] = {
    { .name = "KeyEncryptionAlgorithm", .type = SHAPE_ENUM, .values = key_encryption_algorithms,
      SHAPE_AT(key_encryption_algorithm) },
    SHAPE_BYTES("AttestationDocument", attestation_document, 0, LIMIT_ATTESTATION),
    SHAPE_END,
};
// clang-format on

/* --- patterns --------------------------------------------------------------------------------- */

/* `allowed` besides ASCII letters and digits. An empty text does not match, as the patterns say. */
static bool only_letters_digits_and(struct bytes text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool    letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || strchr(allowed, c) == NULL))
            return false;
    }
    return text.len > 0;
}

/* Every code point at most U+00FF and not a control character that is not in `controls`. The text
 * is valid UTF-8, so U+0080..U+00FF are the two-byte sequences that begin with C2 or C3. */
static bool latin_with(struct bytes text, const char *controls)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == 0xc2 || c == 0xc3)
            i++;
        else if (c >= 0x80 || (c < 0x20 && (c == '\0' || strchr(controls, c) == NULL)))
            return false;
    }
    return true;
}

/* Eight bytes at a time: every text of a request comes by here. */
static bool all_ascii(struct bytes text)
{
    const uint64_t high = 0x8080808080808080;
    uint64_t       seen = 0;
    uint64_t       word = 0;
    struct bytes   head;

    while (bytes_take(&text, sizeof word, &head)) {
        memcpy(&word, head.ptr, sizeof word);
        seen |= word;
    }
    word = 0;
    if (text.len > 0)
        memcpy(&word, text.ptr, text.len);
    return ((seen | word) & high) == 0;
}

bool shape_is_ascii(struct bytes text)
{
    return text.len > 0 && all_ascii(text);
}

bool shape_is_alias(struct bytes text)
{
    return only_letters_digits_and(text, ":/_-");
}

bool shape_is_hex(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return text.len > 0;
}

bool shape_is_word(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            c != '_')
            return false;
    }
    return text.len > 0;
}

bool shape_is_material_description(struct bytes text)
{
    return only_letters_digits_and(text, ":/_ \t\n\v\f\r.-");
}

bool shape_is_latin(struct bytes text)
{
    return latin_with(text, "");
}

bool shape_is_policy(struct bytes text)
{
    return text.len > 0 && latin_with(text, "\t\n\r");
}

bool shape_is_xks_key_id(struct bytes text)
{
    return only_letters_digits_and(text, "-_.");
}

bool shape_is_principal(struct bytes text)
{
    return only_letters_digits_and(text, "_+=,.@:/-");
}

bool shape_is_service(struct bytes text)
{
    struct bytes label;
    size_t       n = 1;

    for (; bytes_cut(&text, '.', &label); n++) {
        if (!only_letters_digits_and(label, "-"))
            return false;
    }
    return n >= 3 && only_letters_digits_and(text, "-");
}

size_t shape_characters(struct bytes text)
{
    size_t n = 0;

    if (all_ascii(text))
        return text.len;
    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] & 0xc0) != 0x80; /* all but continuation bytes */
    return n;
}
