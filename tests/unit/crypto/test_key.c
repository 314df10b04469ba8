/* tests/unit/crypto/test_key.c - keys of every spec: made, opened, used, imported again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

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

/* Material of a spec, its handle, and a handle of the public half as somebody else reads it. */
struct pair {
    struct secret     *material;
    struct crypto_key *key, *public;
    struct buf         spki;
};

static void pair_release(struct pair *p)
{
    secret_free(p->material);
    crypto_key_free(p->key);
    crypto_key_free(p->public);
    buf_release(&p->spki);
}

static void make(enum key_spec spec, struct pair *ret)
{
    struct kms_error err;

    memset(ret, 0, sizeof *ret);
    buf_init(&ret->spki, 8192);
    assert_int_equal(crypto_key_generate(spec, NULL, &ret->material, &err), KMS_OK);
    assert_int_equal(crypto_key_open(spec, secret_view(ret->material), &ret->key, &err), KMS_OK);
    assert_int_equal(crypto_key_spec(ret->key), spec);
    assert_int_equal(crypto_key_public(ret->key, &ret->spki, &err), KMS_OK);
    assert_int_equal(crypto_key_read_public(spec, buf_bytes(&ret->spki), &ret->public, &err),
                     KMS_OK);
}

/* --- lengths as recorded (recorded-crypto 2, 9, 13) ------------------------------------------- */

static const struct {
    size_t material, spki, signature; /* 0: varies, or there is none */
} lengths[SPEC_COUNT] = {
    [SPEC_SYMMETRIC_DEFAULT] = { 32, 0, 0 },
    [SPEC_HMAC_224] = { 28, 0, 0 },
    [SPEC_HMAC_256] = { 32, 0, 0 },
    [SPEC_HMAC_384] = { 48, 0, 0 },
    [SPEC_HMAC_512] = { 64, 0, 0 },
    [SPEC_RSA_2048] = { 0, 294, 256 },
    [SPEC_RSA_3072] = { 0, 422, 384 },
    [SPEC_RSA_4096] = { 0, 550, 512 },
    [SPEC_ECC_NIST_P256] = { 150, 91, 0 },
    [SPEC_ECC_NIST_P384] = { 194, 120, 0 },
    [SPEC_ECC_NIST_P521] = { 250, 158, 0 },
    [SPEC_ECC_SECG_P256K1] = { 144, 88, 0 },
    [SPEC_ECC_NIST_EDWARDS25519] = { 48, 44, 64 },
    [SPEC_SM2] = { 150, 91, 0 },
    [SPEC_ML_DSA_44] = { 54, 1334, 2420 },
    [SPEC_ML_DSA_65] = { 54, 1974, 3309 },
    [SPEC_ML_DSA_87] = { 54, 2614, 4627 },
    [SPEC_ML_KEM_512] = { 86, 822, 0 },
    [SPEC_ML_KEM_768] = { 86, 1206, 0 },
    [SPEC_ML_KEM_1024] = { 86, 1590, 0 },
};

/* --- every algorithm of a spec ---------------------------------------------------------------- */

static size_t message_len(enum algorithm algorithm, enum message_type type)
{
    static const size_t len[MESSAGE_TYPE_COUNT] = {
        [MESSAGE_RAW] = 100, [MESSAGE_EXTERNAL_MU] = 64
    };

    return type == MESSAGE_DIGEST ? algorithm_info(algorithm)->digest_len : len[type];
}

static void refused(const struct pair *p, enum algorithm algorithm, enum message_type type,
                    struct bytes message, struct bytes signature)
{
    assert_int_equal(crypto_key_verify(p->public, algorithm, type, message, signature, NULL),
                     KMS_E_SIGNATURE);
}

static void sign_once(const struct pair *p, enum algorithm algorithm, enum message_type type)
{
    CLEANUP(buf_release) struct buf signature = BUF_INIT(8192);
    uint8_t                         message[100];
    struct bytes                    m = bytes_of(message, message_len(algorithm, type));
    size_t                          want = lengths[crypto_key_spec(p->key)].signature;

    crypto_random(message, sizeof message);
    assert_int_equal(crypto_key_sign(p->key, algorithm, type, m, &signature, NULL), KMS_OK);
    struct bytes sig = buf_bytes(&signature);
    if (want > 0)
        assert_int_equal(sig.len, want);
    assert_int_equal(crypto_key_verify(p->public, algorithm, type, m, sig, NULL), KMS_OK);
    assert_int_equal(crypto_key_verify(p->key, algorithm, type, m, sig, NULL), KMS_OK);

    message[m.len - 1] ^= 1;
    refused(p, algorithm, type, m, sig);
    message[m.len - 1] ^= 1;
    for (size_t i = 0; i < 3; i++) { /* a bit at the start, in the middle, at the end */
        uint8_t *at = signature.ptr + i * (sig.len - 1) / 2;
        *at ^= 1;
        refused(p, algorithm, type, m, sig);
        *at ^= 1;
    }
    refused(p, algorithm, type, m, bytes_of(sig.ptr, sig.len - 1));
    refused(p, algorithm, type, m, bytes_of(NULL, 0));
    buf_add_byte(&signature, 0);
    refused(p, algorithm, type, m, buf_bytes(&signature));
}

static unsigned sign_all(const struct pair *p, enum algorithm algorithm)
{
    unsigned done = 0;

    for (enum message_type type = 0; type < MESSAGE_TYPE_COUNT; type++) {
        if ((algorithm_info(algorithm)->messages & 1u << type) == 0)
            continue;
        sign_once(p, algorithm, type);
        done++;
    }
    return done;
}

static unsigned encrypt(const struct pair *p, enum algorithm algorithm)
{
    CLEANUP(buf_release) struct buf      cipher = BUF_INIT(8192);
    CLEANUP(secret_freep) struct secret *plain = NULL;
    uint8_t                              message[1024];
    size_t       max = spec_plaintext_max(crypto_key_spec(p->key), algorithm);
    struct bytes m = bytes_of(message, max);

    assert_true(max <= sizeof message);
    crypto_random(message, sizeof message);
    assert_int_equal(crypto_key_encrypt(p->public, algorithm, m, &cipher, NULL), KMS_OK);
    assert_int_equal(crypto_key_decrypt(p->key, algorithm, buf_bytes(&cipher), &plain, NULL),
                     KMS_OK);
    assert_true(bytes_eq(secret_view(plain), m));
    secret_freep(&plain);

    struct bytes c = buf_bytes(&cipher);
    cipher.ptr[c.len - 1] ^= 1;
    assert_int_equal(crypto_key_decrypt(p->key, algorithm, c, &plain, NULL), KMS_E_CIPHERTEXT);
    cipher.ptr[c.len - 1] ^= 1;
    c.len--;
    assert_int_equal(crypto_key_decrypt(p->key, algorithm, c, &plain, NULL), KMS_E_CIPHERTEXT);
    c = bytes_of(NULL, 0);
    assert_int_equal(crypto_key_decrypt(p->key, algorithm, c, &plain, NULL), KMS_E_CIPHERTEXT);
    buf_add_byte(&cipher, 0);
    assert_int_equal(crypto_key_decrypt(p->key, algorithm, buf_bytes(&cipher), &plain, NULL),
                     KMS_E_CIPHERTEXT);
    assert_null(plain);
    return 1;
}

static unsigned agree(const struct pair *p, enum algorithm algorithm)
{
    CLEANUP(pair_release) struct pair    other;
    CLEANUP(secret_freep) struct secret *here = NULL;
    CLEANUP(secret_freep) struct secret *there = NULL;
    CLEANUP(secret_freep) struct secret *own = NULL;

    (void)algorithm;
    make(crypto_key_spec(p->key), &other);
    assert_int_equal(crypto_key_derive(p->key, other.public, &here, NULL), KMS_OK);
    assert_int_equal(crypto_key_derive(other.key, p->public, &there, NULL), KMS_OK);
    assert_true(bytes_eq(secret_view(here), secret_view(there)));
    assert_int_equal(secret_len(here), (spec_info(crypto_key_spec(p->key))->bits + 7) / 8);
    assert_int_equal(crypto_key_derive(p->key, p->public, &own, NULL), KMS_OK);
    assert_false(bytes_eq(secret_view(own), secret_view(here)));
    return 1;
}

static unsigned encapsulate(const struct pair *p, enum algorithm algorithm)
{
    CLEANUP(buf_release) struct buf      cipher = BUF_INIT(2048);
    CLEANUP(secret_freep) struct secret *here = NULL;
    CLEANUP(secret_freep) struct secret *there = NULL;
    CLEANUP(secret_freep) struct secret *other = NULL;

    (void)algorithm;
    assert_int_equal(crypto_key_encapsulate(p->public, &here, &cipher, NULL), KMS_OK);
    assert_int_equal(crypto_key_decapsulate(p->key, buf_bytes(&cipher), &there, NULL), KMS_OK);
    assert_int_equal(secret_len(here), SHARED_SECRET_LEN);
    assert_true(bytes_eq(secret_view(here), secret_view(there)));
    secret_freep(&there);

    cipher.ptr[0] ^= 1; /* implicit rejection: another secret, and always the same one */
    assert_int_equal(crypto_key_decapsulate(p->key, buf_bytes(&cipher), &there, NULL), KMS_OK);
    assert_int_equal(crypto_key_decapsulate(p->key, buf_bytes(&cipher), &other, NULL), KMS_OK);
    assert_false(bytes_eq(secret_view(here), secret_view(there)));
    assert_true(bytes_eq(secret_view(other), secret_view(there)));
    secret_freep(&there);
    buf_truncate(&cipher, cipher.len - 1);
    assert_int_equal(crypto_key_decapsulate(p->key, buf_bytes(&cipher), &there, NULL),
                     KMS_E_CIPHERTEXT);
    return 1;
}

/* Everything that the spec can do; how many (algorithm, message type) pairs there were. */
static unsigned use(const struct pair *p, enum key_spec spec)
{
    static unsigned (*const uses[USAGE_COUNT])(const struct pair *p, enum algorithm algorithm) = {
        [USAGE_ENCRYPT_DECRYPT] = encrypt,
        [USAGE_SIGN_VERIFY] = sign_all,
        [USAGE_KEY_AGREEMENT] = agree,
        [USAGE_ENCAPSULATE_DECAPSULATE] = encapsulate,
    };
    unsigned done = 0;

    for (enum key_usage u = 0; u < USAGE_COUNT; u++) {
        for (unsigned i = 0; i < spec_info(spec)->usages[u].count; i++)
            done += uses[u](p, spec_info(spec)->usages[u].list[i]);
    }
    return done;
}

/* --- the life of a key of each spec ----------------------------------------------------------- */

static void test_asymmetric(void **state)
{
    unsigned uses = 0;

    (void)state;
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        CLEANUP(secret_freep) struct secret *again = NULL;
        CLEANUP(buf_release) struct buf      spki = BUF_INIT(8192);
        if (!spec_is_asymmetric(spec))
            continue;
        CLEANUP(pair_release) struct pair p;
        make(spec, &p);
        if (lengths[spec].material > 0)
            assert_int_equal(secret_len(p.material), lengths[spec].material);
        assert_int_equal(p.spki.len, lengths[spec].spki);
        assert_int_equal(crypto_key_public(p.public, &spki, NULL), KMS_OK);
        assert_true(bytes_eq(buf_bytes(&spki), buf_bytes(&p.spki)));
        uses += use(&p, spec);
        assert_int_equal(crypto_key_import(spec, secret_view(p.material), &again, NULL), KMS_OK);
        assert_true(bytes_eq(secret_view(again), secret_view(p.material)));
    }
    /* RSA 3 * (2 + 12), 4 curves * 2 and 3 ECDH, Ed25519 2, SM2 1 + 2 + 1, ML-DSA 3 * 2, ML-KEM 3 */
    assert_int_equal(uses, 42 + 11 + 2 + 4 + 6 + 3);
}

static void test_secrets(void **state)
{
    (void)state;
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        CLEANUP(secret_freep) struct secret *one = NULL;
        CLEANUP(secret_freep) struct secret *two = NULL;
        if (spec_is_asymmetric(spec))
            continue;
        assert_int_equal(crypto_key_generate(spec, NULL, &one, NULL), KMS_OK);
        assert_int_equal(crypto_key_generate(spec, NULL, &two, NULL), KMS_OK);
        assert_int_equal(secret_len(one), lengths[spec].material);
        assert_false(bytes_eq(secret_view(one), secret_view(two)));
        secret_freep(&two);
        assert_int_equal(crypto_key_import(spec, secret_view(one), &two, NULL), KMS_OK);
        assert_true(bytes_eq(secret_view(one), secret_view(two)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asymmetric),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
