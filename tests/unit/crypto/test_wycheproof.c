/* tests/unit/crypto/test_wycheproof.c - known answers and attacks from Project Wycheproof, through our
 * own functions. The counts are asserted, so that a file that was not read fails. */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"

struct tally {
    unsigned valid;
    unsigned invalid;
    unsigned other; /* valid, but asks for what we refuse: see the test */
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

/* --- AES-256-GCM, 96-bit IV, 128-bit tag ------------------------------------------------------------ */

static void gcm(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value key, iv, aad, msg, ct, tag;
    static uint8_t             out[VECTOR_MAX];

    if (vector_number(group, "keySize") != 256 || vector_number(group, "ivSize") != 96 ||
        vector_number(group, "tagSize") != 128)
        return;
    struct bytes k = vector_hex(test, "key", &key);
    struct bytes a = vector_hex(test, "aad", &aad);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes c = vector_hex(test, "ct", &ct);
    (void)vector_hex(test, "iv", &iv);
    (void)vector_hex(test, "tag", &tag);
    memcpy(ct.b + c.len, tag.b, GCM_TAG_LEN);
    c.len += GCM_TAG_LEN;

    if (vector_is(test, "result", "valid")) {
        assert_int_equal(crypto_gcm_seal(k, iv.b, a, m, out, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(out, c.len), c));
        assert_int_equal(crypto_gcm_open(k, iv.b, a, c, out, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(out, m.len), m));
        n->valid++;
    } else {
        memset(out, 0x77, sizeof out);
        assert_int_equal(crypto_gcm_open(k, iv.b, a, c, out, NULL), KMS_E_CIPHERTEXT);
        for (size_t i = 0; i < m.len; i++)
            assert_int_equal(out[i], 0); /* nothing unverified is left */
        n->invalid++;
    }
}

static void test_gcm(void **state)
{
    struct tally n = { 0 };

    (void)state;
    vectors_each("aes_gcm_test.json", gcm, &n);
    assert_int_equal(n.valid, 39);
    assert_int_equal(n.invalid, 27);
}

/* --- AES-256 key wrap with padding --------------------------------------------------------------------- */

static void kwp(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value key, msg, ct;
    static uint8_t             out[VECTOR_MAX];
    size_t                     len = 0;

    if (vector_number(group, "keySize") != 256)
        return;
    struct bytes k = vector_hex(test, "key", &key);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes c = vector_hex(test, "ct", &ct);
    /* exactly as long as promised, so that a sanitizer sees one byte more */
    CLEANUP(freep) uint8_t *room = malloc(c.len + 1);

    assert_non_null(room);
    if (vector_is(test, "result", "valid")) {
        assert_int_equal(crypto_kwp_wrap(k, m, out, &len, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(out, len), c));
        assert_int_equal(crypto_kwp_unwrap(k, c, room, &len, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(room, len), m));
        n->valid++;
    } else {
        assert_int_equal(crypto_kwp_unwrap(k, c, room, &len, NULL), KMS_E_CIPHERTEXT);
        n->invalid++;
    }
}

static void test_kwp(void **state)
{
    struct tally n = { 0 };

    (void)state;
    vectors_each("aes_kwp_test.json", kwp, &n);
    assert_int_equal(n.valid, 25);
    assert_int_equal(n.invalid, 69);
}

/* --- HMAC-SHA-256 ---------------------------------------------------------------------------------------- */

static void hmac(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value key, msg, tag;
    uint8_t                    whole[SHA256_LEN], parts[SHA256_LEN];
    size_t                     tag_len = vector_number(group, "tagSize") / 8;

    struct bytes k = vector_hex(test, "key", &key);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes t = vector_hex(test, "tag", &tag);
    size_t       half = m.len / 2;
    struct bytes pieces[] = { { m.ptr, half }, { NULL, 0 }, { m.ptr + half, m.len - half } };

    crypto_hmac_sha256(k, m, whole);
    crypto_hmac_sha256_pieces(k, pieces, ARRAY_LEN(pieces), parts);
    assert_memory_equal(whole, parts, SHA256_LEN);
    bool same = ct_equal(bytes_of(whole, tag_len), t);
    if (vector_is(test, "result", "valid")) {
        assert_true(same);
        n->valid++;
    } else {
        assert_false(same);
        n->invalid++;
    }
}

static void test_hmac(void **state)
{
    struct tally n = { 0 };

    (void)state;
    vectors_each("hmac_sha256_test.json", hmac, &n);
    assert_int_equal(n.valid, 66);
    assert_int_equal(n.invalid, 108);
}

/* --- RSAES-OAEP ------------------------------------------------------------------------------------------ */

struct oaep {
    struct tally   n;
    enum key_spec  spec;
    enum algorithm algorithm;
};

static void oaep(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct oaep                         *o = ctx;
    static struct vector_value           key, msg, ct, label;
    CLEANUP(secret_freep) struct secret *plain = NULL;

    struct bytes k = vector_hex(group, "privateKeyPkcs8", &key);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes c = vector_hex(test, "ct", &ct);
    struct bytes l = vector_hex(test, "label", &label);
    /* labels are not part of KMS, and an empty message wraps no key: both are refused */
    bool ours = l.len == 0 && m.len > 0;
    bool valid = vector_is(test, "result", "valid");

    enum kms_status status = crypto_rsa_oaep_decrypt(o->spec, k, o->algorithm, c, &plain, NULL);
    if (valid && ours) {
        assert_int_equal(status, KMS_OK);
        assert_true(bytes_eq(secret_view(plain), m));
        o->n.valid++;
    } else {
        assert_int_equal(status, KMS_E_CIPHERTEXT);
        assert_null(plain);
        *(valid ? &o->n.other : &o->n.invalid) += 1;
    }
}

static void oaep_file(const char *file, enum key_spec spec, enum algorithm algorithm,
                      unsigned other)
{
    struct oaep o = { .spec = spec, .algorithm = algorithm };

    vectors_each(file, oaep, &o);
    assert_int_equal(o.n.valid, 9);
    assert_int_equal(o.n.invalid, 19);
    assert_int_equal(o.n.other, other);
}

static void test_oaep_2048_sha1(void **state)
{
    (void)state;
    oaep_file("rsa_oaep_2048_sha1_mgf1sha1_test.json", SPEC_RSA_2048, ALGORITHM_RSAES_OAEP_SHA_1,
              8);
}

static void test_oaep_2048_sha256(void **state)
{
    (void)state;
    oaep_file("rsa_oaep_2048_sha256_mgf1sha256_test.json", SPEC_RSA_2048,
              ALGORITHM_RSAES_OAEP_SHA_256, 9);
}

static void test_oaep_3072_sha256(void **state)
{
    (void)state;
    oaep_file("rsa_oaep_3072_sha256_mgf1sha256_test.json", SPEC_RSA_3072,
              ALGORITHM_RSAES_OAEP_SHA_256, 9);
}

static void test_oaep_4096_sha256(void **state)
{
    (void)state;
    oaep_file("rsa_oaep_4096_sha256_mgf1sha256_test.json", SPEC_RSA_4096,
              ALGORITHM_RSAES_OAEP_SHA_256, 9);
}

/* --- Ed25519 --------------------------------------------------------------------------------------------- */

static void ed25519(yyjson_val *group, yyjson_val *test, void *ctx)
{
    struct tally              *n = ctx;
    static struct vector_value key, msg, sig;

    struct bytes k = vector_hex(yyjson_obj_get(group, "publicKey"), "pk", &key);
    struct bytes m = vector_hex(test, "msg", &msg);
    struct bytes s = vector_hex(test, "sig", &sig);
    bool         valid = vector_is(test, "result", "valid");

    assert_int_equal(crypto_ed25519_verify(k, m, s), valid);
    *(valid ? &n->valid : &n->invalid) += 1;
}

static void test_ed25519(void **state)
{
    struct tally n = { 0 };

    (void)state;
    vectors_each("ed25519_test.json", ed25519, &n);
    assert_int_equal(n.valid, 88);
    assert_int_equal(n.invalid, 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcm),
        cmocka_unit_test(test_kwp),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_oaep_2048_sha1),
        cmocka_unit_test(test_oaep_2048_sha256),
        cmocka_unit_test(test_oaep_3072_sha256),
        cmocka_unit_test(test_oaep_4096_sha256),
        cmocka_unit_test(test_ed25519),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
