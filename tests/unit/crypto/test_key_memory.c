/* tests/unit/crypto/test_key_memory.c - what a key leaves behind, what many keys need, and threads. */
#include <openssl/crypto.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "instrumented.h"
#include "memory_scan.h"

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

/* --- uses that touch the private half ----------------------------------------------------------- */

static enum kms_status sign(const struct crypto_key *k, enum algorithm algorithm)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(8192);
    static const uint8_t            message[64];
    enum message_type type = (algorithm_info(algorithm)->messages & 1u << MESSAGE_RAW) != 0
                                 ? MESSAGE_RAW
                                 : MESSAGE_DIGEST;
    struct bytes      m = bytes_of(message, sizeof message);

    TRY(crypto_key_sign(k, algorithm, type, m, &out, NULL));
    return crypto_key_verify(k, algorithm, type, m, buf_bytes(&out), NULL);
}

static enum kms_status decrypt(const struct crypto_key *k, enum algorithm algorithm)
{
    CLEANUP(buf_release) struct buf      out = BUF_INIT(8192);
    CLEANUP(secret_freep) struct secret *plain = NULL;

    TRY(crypto_key_encrypt(k, algorithm, BYTES_LIT("plain"), &out, NULL));
    return crypto_key_decrypt(k, algorithm, buf_bytes(&out), &plain, NULL);
}

static enum kms_status derive(const struct crypto_key *k, enum algorithm algorithm)
{
    CLEANUP(secret_freep) struct secret *shared = NULL;

    (void)algorithm;
    return crypto_key_derive(k, k, &shared, NULL);
}

static enum kms_status decapsulate(const struct crypto_key *k, enum algorithm algorithm)
{
    CLEANUP(buf_release) struct buf      out = BUF_INIT(8192);
    CLEANUP(secret_freep) struct secret *one = NULL;
    CLEANUP(secret_freep) struct secret *two = NULL;

    (void)algorithm;
    TRY(crypto_key_encapsulate(k, &one, &out, NULL));
    return crypto_key_decapsulate(k, buf_bytes(&out), &two, NULL);
}

static enum kms_status use_all(const struct crypto_key *k)
{
    static enum kms_status (*const uses[USAGE_COUNT])(const struct crypto_key *k,
                                                      enum algorithm           algorithm) = {
        [USAGE_ENCRYPT_DECRYPT] = decrypt,
        [USAGE_SIGN_VERIFY] = sign,
        [USAGE_KEY_AGREEMENT] = derive,
        [USAGE_ENCAPSULATE_DECAPSULATE] = decapsulate,
    };
    const struct key_spec_info *info = spec_info(crypto_key_spec(k));

    for (enum key_usage u = 0; u < USAGE_COUNT; u++) {
        for (unsigned i = 0; i < info->usages[u].count; i++)
            TRY(uses[u](k, info->usages[u].list[i]));
    }
    return KMS_OK;
}

/* --- nothing is left ---------------------------------------------------------------------------- */

enum { NEEDLE = 24, PLACES = 4, MASK = 0x5a };

/* Pieces of the private numbers, masked, in the byte orders of an encoding and of OpenSSL's numbers. */
static uint8_t masked[2 * PLACES][NEEDLE];
static uint8_t needle[NEEDLE];
static size_t  pieces; /* of `masked` in use: every scan goes through all memory */

/* Where material has private bytes: in d, q, dq and qinv; in the scalar; in the seed. */
static void aim(enum key_spec spec, struct bytes m)
{
    enum { IN_SCALAR = 38 };
    const struct key_spec_info *info = spec_info(spec);
    size_t                      len = info->bits / 8;
    size_t                      last = m.len - NEEDLE;
    size_t                      places[PLACES] = { info->group != NULL ? IN_SCALAR : last };
    size_t                      n = 1;

    if (info->family == FAMILY_RSA) {
        places[0] = len + len / 2;
        places[1] = last - NEEDLE;
        places[2] = last - (len / 2 + 4) - NEEDLE;
        places[3] = last - 3 * (len / 2 + 4) - NEEDLE;
        n = PLACES;
    }
    pieces = 2 * n;
    for (size_t p = 0; p < n; p++) {
        for (size_t i = 0; i < NEEDLE; i++) {
            masked[2 * p][i] = m.ptr[places[p] + i] ^ MASK;
            masked[2 * p + 1][i] = m.ptr[places[p] + NEEDLE - 1 - i] ^ MASK;
        }
    }
}

/* A thread sanitizer's memory is too large to be looked through. */
static void skip_if_slow(void)
{
    if (INSTRUMENTED_THREADS)
        skip();
}

static unsigned copies(void)
{
    unsigned found = 0;

    for (size_t p = 0; p < pieces; p++) {
        for (size_t i = 0; i < NEEDLE; i++)
            needle[i] = masked[p][i] ^ MASK;
        found += memory_copies(needle, NEEDLE);
        explicit_bzero(needle, sizeof needle);
    }
    return found;
}

/* One spec per way of holding a key. Made, imported, opened, used and freed, the key is nowhere in memory; while it is open, the scan finds it. */
static void test_nothing_is_left(void **state)
{
    static const enum key_spec specs[] = { SPEC_RSA_2048,      SPEC_ECC_NIST_P256,
                                           SPEC_ECC_NIST_P521, SPEC_ECC_NIST_EDWARDS25519,
                                           SPEC_SM2,           SPEC_ML_DSA_44,
                                           SPEC_ML_KEM_512 };

    (void)state;
    skip_if_slow();
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        enum key_spec                                spec = specs[i];
        CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
        CLEANUP(secret_freep) struct secret         *material = NULL;
        CLEANUP(secret_freep) struct secret         *again = NULL;
        assert_int_equal(crypto_key_generate(spec, NULL, &material, NULL), KMS_OK);
        aim(spec, secret_view(material));
        assert_int_equal(crypto_key_import(spec, secret_view(material), &again, NULL), KMS_OK);
        assert_int_equal(crypto_key_open(spec, secret_view(again), &key, NULL), KMS_OK);
        secret_freep(&material);
        secret_freep(&again);
        assert_int_equal(use_all(key), KMS_OK);
        if (copies() == 0)
            fail_msg("%s: the scan does not find the key", key_spec_names[spec]);
        crypto_key_freep(&key);
        unsigned left = copies();
        if (left != 0)
            fail_msg("%s: %u pieces of the key are left", key_spec_names[spec], left);
    }
}

/* The MAC's key, copied by the context, too: of the shortest and of the longest key. */
static void test_mac_key_is_not_left(void **state)
{
    (void)state;
    skip_if_slow();
    for (enum algorithm a = ALGORITHM_HMAC_SHA_224; a <= ALGORITHM_HMAC_SHA_512; a++) {
        for (size_t len = 28; len <= 128; len += 100) {
            CLEANUP(secret_freep) struct secret *key = secret_new(len);
            uint8_t                              mac[DIGEST_MAX];
            size_t                               mac_len;
            crypto_random(secret_data(key), len);
            for (size_t i = 0; i < NEEDLE; i++)
                masked[0][i] = secret_data(key)[i] ^ MASK;
            pieces = 1;
            crypto_mac(secret_view(key), a, BYTES_LIT("message"), mac, &mac_len);
            assert_true(copies() >= 1);
            secret_freep(&key);
            assert_int_equal(copies(), 0);
        }
    }
}

/* --- many keys ---------------------------------------------------------------------------------- */

/* The vault keeps up to 512: the largest that there are, used, fit into OpenSSL's secure heap. */
static void test_many_keys(void **state)
{
    enum { MANY = 512 };
    static struct crypto_key            *keys[MANY];
    CLEANUP(secret_freep) struct secret *material = NULL;

    (void)state;
    assert_int_equal(crypto_key_generate(SPEC_RSA_4096, NULL, &material, NULL), KMS_OK);
    size_t before = CRYPTO_secure_used();
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(crypto_key_open(SPEC_RSA_4096, secret_view(material), &keys[i], NULL),
                         KMS_OK);
        if (i % 64 == 0)
            assert_int_equal(decrypt(keys[i], ALGORITHM_RSAES_OAEP_SHA_256), KMS_OK);
    }
    print_message("# %d keys of RSA_4096: %zu bytes of the secure heap\n", MANY,
                  CRYPTO_secure_used() - before);
    for (size_t i = 0; i < MANY; i++)
        crypto_key_free(keys[i]);
    assert_int_equal(CRYPTO_secure_used(), before);
}

/* When it is full, that is our fault and nobody else's: never "your key is bad". */
static void test_full_heap(void **state)
{
    enum { BLOCK = 64, BLOCKS = 1 << 18 };
    static void                                 *blocks[BLOCKS];
    CLEANUP(secret_freep) struct secret         *material = NULL;
    CLEANUP(secret_freep) struct secret         *out = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL, *other = NULL;
    CLEANUP(buf_release) struct buf              cipher = BUF_INIT(1024);
    size_t                                       n = 0;

    (void)state;
    assert_int_equal(crypto_key_generate(SPEC_RSA_2048, NULL, &material, NULL), KMS_OK);
    assert_int_equal(crypto_key_open(SPEC_RSA_2048, secret_view(material), &key, NULL), KMS_OK);
    assert_int_equal(
        crypto_key_encrypt(key, ALGORITHM_RSAES_OAEP_SHA_256, BYTES_LIT("p"), &cipher, NULL),
        KMS_OK);
    while (n < BLOCKS && (blocks[n] = OPENSSL_secure_malloc(BLOCK)) != NULL)
        n++;
    enum kms_status opened = crypto_key_open(SPEC_RSA_2048, secret_view(material), &other, NULL);
    enum kms_status imported = crypto_key_import(SPEC_RSA_2048, secret_view(material), &out, NULL);
    enum kms_status decrypted = crypto_key_decrypt(key, ALGORITHM_RSAES_OAEP_SHA_256,
                                                   buf_bytes(&cipher), &out, NULL);
    assert_true(n > 0 && n < BLOCKS);
    while (n > 0)
        OPENSSL_secure_free(blocks[--n]);
    assert_int_equal(opened, KMS_E_INTERNAL);
    assert_int_equal(imported, KMS_E_INTERNAL);
    assert_int_equal(decrypted, KMS_OK); /* what is open needs no more of it */
}

/* --- threads ------------------------------------------------------------------------------------ */

static const enum key_spec shared_specs[] = {
    SPEC_RSA_2048, SPEC_ECC_NIST_P256, SPEC_ECC_SECG_P256K1, SPEC_ECC_NIST_EDWARDS25519,
    SPEC_SM2,      SPEC_ML_DSA_44,     SPEC_ML_KEM_512
};
static struct crypto_key *shared[ARRAY_LEN(shared_specs)];

static void *use_shared(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
            if (use_all(shared[i]) != KMS_OK)
                abort();
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        CLEANUP(secret_freep) struct secret *material = NULL;
        assert_int_equal(crypto_key_generate(shared_specs[i], NULL, &material, NULL), KMS_OK);
        assert_int_equal(crypto_key_open(shared_specs[i], secret_view(material), &shared[i], NULL),
                         KMS_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, use_shared, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        crypto_key_free(shared[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_left), cmocka_unit_test(test_mac_key_is_not_left),
        cmocka_unit_test(test_many_keys),       cmocka_unit_test(test_full_heap),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
