/* tests/unit/crypto/test_wycheproof_keys.c - Project Wycheproof against keys and what is done with them.
 * The counts are asserted, so that a file that was not read fails. */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "der.h"

/* One file and what must come of it. `other`: tests of what is valid elsewhere but refused by KMS. */
struct file {
    const char    *name;
    enum key_spec  spec;
    enum algorithm algorithm;
    unsigned       valid, invalid, other;
};

struct tally {
    const struct file *file;
    unsigned           valid, invalid, other;
    struct crypto_key *key; /* of the ECDH test before: most have the same */
    uint8_t            scalar[VECTOR_MAX];
    size_t             scalar_len;
};

static int start(void **state)
{
    struct kms_error err;

    (void)state;
    return crypto_init(&err) == KMS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    crypto_cleanup();
    return 0;
}

static void run(const struct file *files, size_t n,
                void (*fn)(yyjson_val *group, yyjson_val *test, void *ctx))
{
    for (size_t i = 0; i < n; i++) {
        static struct tally t;
        memset(&t, 0, sizeof t);
        t.file = &files[i];
        vectors_each(files[i].name, fn, &t);
        crypto_key_free(t.key);
        if (t.valid != files[i].valid || t.invalid != files[i].invalid || t.other != files[i].other)
            fail_msg("%s: %u valid, %u invalid, %u other", files[i].name, t.valid, t.invalid,
                     t.other);
    }
}

/* --- signatures --------------------------------------------------------------------------------- */

static const struct file signatures[] = {
    { "ecdsa_secp256r1_sha256_test.json", SPEC_ECC_NIST_P256, ALGORITHM_ECDSA_SHA_256, 174, 310,
      0 },
    { "ecdsa_secp384r1_sha384_test.json", SPEC_ECC_NIST_P384, ALGORITHM_ECDSA_SHA_384, 194, 310,
      0 },
    { "ecdsa_secp521r1_sha512_test.json", SPEC_ECC_NIST_P521, ALGORITHM_ECDSA_SHA_512, 232, 310,
      0 },
    { "ecdsa_secp256k1_sha256_test.json", SPEC_ECC_SECG_P256K1, ALGORITHM_ECDSA_SHA_256, 168, 308,
      0 },
    { "ed25519_test.json", SPEC_ECC_NIST_EDWARDS25519, ALGORITHM_ED25519_SHA_512, 88, 63, 0 },
    { "rsa_signature_2048_sha256_test.json", SPEC_RSA_2048, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, 9,
      249, 1 },
    { "rsa_signature_2048_sha384_test.json", SPEC_RSA_2048, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_384, 7,
      250, 1 },
    { "rsa_signature_2048_sha512_test.json", SPEC_RSA_2048, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512, 8,
      250, 1 },
    { "rsa_signature_3072_sha256_test.json", SPEC_RSA_3072, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, 8,
      250, 1 },
    { "rsa_signature_4096_sha512_test.json", SPEC_RSA_4096, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512, 7,
      251, 1 },
    { "rsa_pss_2048_sha256_mgf1_32_test.json", SPEC_RSA_2048, ALGORITHM_RSASSA_PSS_SHA_256, 63, 45,
      0 },
    { "rsa_pss_2048_sha384_mgf1_48_test.json", SPEC_RSA_2048, ALGORITHM_RSASSA_PSS_SHA_384, 95, 46,
      0 },
    { "rsa_pss_3072_sha256_mgf1_32_test.json", SPEC_RSA_3072, ALGORITHM_RSASSA_PSS_SHA_256, 63, 45,
      0 },
    { "rsa_pss_4096_sha512_mgf1_64_test.json", SPEC_RSA_4096, ALGORITHM_RSASSA_PSS_SHA_512, 132, 47,
      0 },
    { "mldsa_44_verify_test.json", SPEC_ML_DSA_44, ALGORITHM_ML_DSA_SHAKE_256, 75, 103, 2 },
    { "mldsa_65_verify_test.json", SPEC_ML_DSA_65, ALGORITHM_ML_DSA_SHAKE_256, 77, 131, 2 },
    { "mldsa_87_verify_test.json", SPEC_ML_DSA_87, ALGORITHM_ML_DSA_SHAKE_256, 69, 170, 2 },
};

static enum kms_status verify(enum key_spec spec, enum algorithm algorithm, struct bytes spki,
                              struct bytes message, struct bytes signature)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    enum kms_status status = crypto_key_read_public(spec, spki, &key, NULL);

    if (status == KMS_OK)
        return crypto_key_verify(key, algorithm, MESSAGE_RAW, message, signature, NULL);
    assert_int_equal(status, KMS_E_VALIDATION);
    return KMS_E_SIGNATURE;
}

static void signature(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value spki, msg, sig;
    yyjson_val                *context = yyjson_obj_get(test, "ctx");

    enum kms_status status = verify(n->file->spec, n->file->algorithm,
                                    vector_hex(group, "publicKeyDer", &spki),
                                    vector_hex(test, "msg", &msg), vector_hex(test, "sig", &sig));
    /* KMS has no contexts; and "acceptable" are the encodings that some old libraries write */
    bool ours = context == NULL || yyjson_get_len(context) == 0;
    bool valid = vector_is(test, "result", "valid");
    if (valid && ours) {
        assert_int_equal(status, KMS_OK);
        n->valid++;
    } else {
        assert_int_equal(status, KMS_E_SIGNATURE);
        *(vector_is(test, "result", "invalid") ? &n->invalid : &n->other) += 1;
    }
}

static void test_signatures(void **state)
{
    (void)state;
    run(signatures, ARRAY_LEN(signatures), signature);
}

/* --- MACs --------------------------------------------------------------------------------------- */

static const struct file macs[] = {
    { "hmac_sha224_test.json", SPEC_HMAC_224, ALGORITHM_HMAC_SHA_224, 66, 106, 0 },
    { "hmac_sha256_test.json", SPEC_HMAC_256, ALGORITHM_HMAC_SHA_256, 66, 108, 0 },
    { "hmac_sha384_test.json", SPEC_HMAC_384, ALGORITHM_HMAC_SHA_384, 66, 108, 0 },
    { "hmac_sha512_test.json", SPEC_HMAC_512, ALGORITHM_HMAC_SHA_512, 66, 108, 0 },
};

static void mac(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value key, msg, tag;
    uint8_t                    got[DIGEST_MAX];
    size_t                     len = 0;
    size_t                     tag_len = vector_number(group, "tagSize") / 8;

    struct bytes k = vector_hex(test, "key", &key);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes t = vector_hex(test, "tag", &tag);
    bool         valid = vector_is(test, "result", "valid");
    crypto_mac(k, n->file->algorithm, m, got, &len);
    assert_int_equal(bytes_eq(bytes_of(got, tag_len), t), valid);
    /* truncated ones are not MACs of ours, whatever is in them */
    assert_int_equal(crypto_mac_verify(k, n->file->algorithm, m, t, NULL),
                     valid && tag_len == len ? KMS_OK : KMS_E_MAC);
    *(valid ? &n->valid : &n->invalid) += 1;
}

static void test_macs(void **state)
{
    (void)state;
    run(macs, ARRAY_LEN(macs), mac);
}

/* --- ECDH --------------------------------------------------------------------------------------- */

static const struct file agreements[] = {
    /* valid: also the one compressed point; other: explicit parameters and bad DER */
    { "ecdh_secp256r1_test.json", SPEC_ECC_NIST_P256, ALGORITHM_ECDH, 331, 52, 229 },
    { "ecdh_secp384r1_test.json", SPEC_ECC_NIST_P384, ALGORITHM_ECDH, 772, 46, 229 },
    { "ecdh_secp521r1_test.json", SPEC_ECC_NIST_P521, ALGORITHM_ECDH, 633, 56, 227 },
};

static const struct crypto_key *private_of(struct tally *n, struct bytes scalar)
{
    static struct der  d;
    const struct bytes curves[] = { DER_OID_P256, DER_OID_P384, DER_OID_P521 };
    enum key_spec      spec = n->file->spec;
    struct ec_parts    parts = { .curve = curves[spec - SPEC_ECC_NIST_P256], .scalar = scalar };
    CLEANUP(secret_freep) struct secret *material = NULL;

    if (n->key != NULL && bytes_eq(scalar, bytes_of(n->scalar, n->scalar_len)))
        return n->key;
    crypto_key_freep(&n->key);
    der_init(&d);
    der_ec(&d, &parts);
    assert_int_equal(crypto_key_import(spec, der_bytes(&d), &material, NULL), KMS_OK);
    assert_int_equal(crypto_key_open(spec, secret_view(material), &n->key, NULL), KMS_OK);
    memcpy(n->scalar, scalar.ptr, scalar.len);
    n->scalar_len = scalar.len;
    return n->key;
}

static bool has_flag(yyjson_val *test, const char *flag)
{
    yyjson_val *v;
    size_t      i, max;

    yyjson_arr_foreach(yyjson_obj_get(test, "flags"), i, max, v)
    {
        if (yyjson_equals_str(v, flag))
            return true;
    }
    return false;
}

static void agreement(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally                                *n = ctx;
    static struct vector_value                   scalar, spki, shared;
    CLEANUP(crypto_key_freep) struct crypto_key *peer = NULL;
    CLEANUP(secret_freep) struct secret         *got = NULL;

    (void)group;
    const struct crypto_key *key = private_of(n, vector_hex(test, "private", &scalar));
    struct bytes             want = vector_hex(test, "shared", &shared);
    struct bytes             in = vector_hex(test, "public", &spki);
    enum kms_status          status = crypto_key_read_public(n->file->spec, in, &peer, NULL);
    bool                     good = vector_is(test, "result", "valid") ||
                (vector_is(test, "result", "acceptable") && has_flag(test, "CompressedPoint"));
    if (!good) {
        assert_int_equal(status, KMS_E_VALIDATION);
        *(vector_is(test, "result", "invalid") ? &n->invalid : &n->other) += 1;
        return;
    }
    assert_int_equal(status, KMS_OK);
    assert_int_equal(crypto_key_derive(key, peer, &got, NULL), KMS_OK);
    assert_true(bytes_eq(secret_view(got), want));
    n->valid++;
}

static void test_agreements(void **state)
{
    (void)state;
    run(agreements, ARRAY_LEN(agreements), agreement);
}

/* --- ML-KEM ------------------------------------------------------------------------------------- */

static const struct file kems[] = {
    /* other: seeds of wrong length, which cannot be put into material */
    { "mlkem_512_test.json", SPEC_ML_KEM_512, ALGORITHM_ML_KEM, 153, 20, 20 },
    { "mlkem_768_test.json", SPEC_ML_KEM_768, ALGORITHM_ML_KEM, 153, 20, 20 },
    { "mlkem_1024_test.json", SPEC_ML_KEM_1024, ALGORITHM_ML_KEM, 153, 20, 20 },
};

/* Material ends with the seed. */
static struct crypto_key *key_of_seed(enum key_spec spec, struct bytes seed)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct crypto_key                   *key = NULL;

    assert_int_equal(crypto_key_generate(spec, NULL, &material, NULL), KMS_OK);
    memcpy(secret_data(material) + secret_len(material) - seed.len, seed.ptr, seed.len);
    assert_int_equal(crypto_key_open(spec, secret_view(material), &key, NULL), KMS_OK);
    return key;
}

static void kem(yyjson_val *group, yyjson_val *test, void *ctx)
{
    enum { SEED = 64 };
    struct tally                        *n = ctx;
    static struct vector_value           seed, ek, c, k;
    CLEANUP(secret_freep) struct secret *got = NULL;
    CLEANUP(buf_release) struct buf      spki = BUF_INIT(2048);

    (void)group;
    struct bytes s = vector_hex(test, "seed", &seed);
    if (s.len != SEED) {
        assert_true(vector_is(test, "result", "invalid"));
        n->other++;
        return;
    }
    CLEANUP(crypto_key_freep) struct crypto_key *key = key_of_seed(n->file->spec, s);
    struct bytes public = vector_hex(test, "ek", &ek);
    assert_int_equal(crypto_key_public(key, &spki, NULL), KMS_OK);
    assert_true(bytes_eq(bytes_of(spki.ptr + spki.len - public.len, public.len), public));
    enum kms_status status = crypto_key_decapsulate(key, vector_hex(test, "c", &c), &got, NULL);
    if (vector_is(test, "result", "valid")) {
        assert_int_equal(status, KMS_OK);
        assert_true(bytes_eq(secret_view(got), vector_hex(test, "K", &k)));
        n->valid++;
    } else {
        assert_int_equal(status, KMS_E_CIPHERTEXT);
        n->invalid++;
    }
}

static void test_kems(void **state)
{
    (void)state;
    run(kems, ARRAY_LEN(kems), kem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_agreements),
        cmocka_unit_test(test_kems),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
