/* tests/unit/crypto/test_crypto.c - our wrappers: derivation, randomness, keys that leave no trace. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "hmac_states.h"
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

/* --- derivation -------------------------------------------------------------------------------------- */

/* OpenSSL's own SP 800-108, which our function does not use. */
static void reference_kdf(struct bytes key, struct bytes label, struct bytes context, uint8_t *ret,
                          size_t len)
{
    EVP_KDF     *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char         mac[] = "HMAC";
    char         digest[] = "SHA256";
    uint8_t      k[256], l[256], c[256];

    memcpy(k, key.ptr, key.len);
    memcpy(l, label.ptr, label.len);
    memcpy(c, context.ptr, context.len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, k, key.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, l, label.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, c, context.len),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(ctx, ret, len, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void test_kdf_is_sp_800_108(void **state)
{
    uint8_t in[256], want[1024], got[1024];
    size_t  lens[] = { 1, 16, 31, 32, 33, 64, 100, 1000 };

    (void)state;
    crypto_random(in, sizeof in);
    for (size_t i = 0; i < 200; i++) {
        struct bytes key = bytes_of(in, 1 + i % 100);
        struct bytes label = bytes_of(in + 100, 1 + i % 20);
        struct bytes context = bytes_of(in + 120, 1 + i % 130);
        size_t       len = lens[i % ARRAY_LEN(lens)];
        reference_kdf(key, label, context, want, len);
        memset(got, 0xee, sizeof got);
        crypto_kdf(key, label, context, got, len);
        assert_memory_equal(got, want, len);
        assert_int_equal(got[len], 0xee);
    }
}

/* Of every length around the ends of blocks, with a key that is kept and one that is not, the same as by
 * OpenSSL's own HMAC, which works another way. */
static void test_hmac_is_openssls(void **state)
{
    uint8_t  in[300], want[SHA256_LEN], got[SHA256_LEN];
    unsigned len;

    (void)state;
    crypto_random(in, sizeof in);
    for (size_t key_len = 0; key_len <= 130; key_len += key_len % 64 < 2 ? 1 : 31) {
        CLEANUP(crypto_hmac_key_free) struct hmac_key kept = { NULL };
        struct bytes                                  key = bytes_of(in + 150, key_len);
        assert_int_equal(crypto_hmac_key(key, &kept, NULL), KMS_OK);
        for (size_t n = 0; n <= 150; n++) {
            const struct bytes pieces[] = { { in, n / 3 }, { in + n / 3, n - n / 3 } };
            assert_non_null(HMAC(EVP_sha256(), key.ptr, (int)key_len, in, n, want, &len));
            crypto_hmac_sha256_pieces(key, pieces, ARRAY_LEN(pieces), got);
            assert_memory_equal(got, want, SHA256_LEN);
            crypto_hmac_sha256_kept(kept, bytes_of(in, n), got);
            assert_memory_equal(got, want, SHA256_LEN);
        }
    }
}

/* A derivation with a kept key says the same. */
static void test_kept_key_derives_the_same(void **state)
{
    uint8_t key[32], want[100], got[100];

    (void)state;
    crypto_random(key, sizeof key);
    for (size_t len = 1; len <= sizeof want; len++) {
        CLEANUP(crypto_hmac_key_free) struct hmac_key kept = { NULL };
        struct bytes                                  k = bytes_of(key, 1 + len % 32);
        assert_int_equal(crypto_hmac_key(k, &kept, NULL), KMS_OK);
        crypto_kdf(k, BYTES_LIT("blob"), bytes_of(key, len % 32), want, len);
        crypto_kdf_kept(kept, BYTES_LIT("blob"), bytes_of(key, len % 32), got, len);
        assert_memory_equal(got, want, len);
    }
}

static void test_sha256_of_pieces(void **state)
{
    uint8_t      in[300], whole[SHA256_LEN], parts[SHA256_LEN];
    struct bytes pieces[] = { { in, 7 }, { NULL, 0 }, { in + 7, 200 }, { in + 207, 93 } };

    (void)state;
    crypto_random(in, sizeof in);
    crypto_sha256(bytes_of(in, sizeof in), whole);
    crypto_sha256_pieces(pieces, ARRAY_LEN(pieces), parts);
    assert_memory_equal(whole, parts, SHA256_LEN);
    crypto_sha256((struct bytes){ NULL, 0 }, whole);
    assert_int_equal(whole[0], 0xe3); /* of nothing: e3b0c442... */
    assert_int_equal(whole[1], 0xb0);
}

/* --- randomness -------------------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void test_random_never_repeats(void **state)
{
    enum { N = 20000 };
    uint8_t (*v)[16] = calloc(N, sizeof *v);

    (void)state;
    assert_non_null(v);
    for (size_t i = 0; i < N; i++)
        crypto_random(v[i], 16);
    qsort(v, N, sizeof *v, order);
    for (size_t i = 1; i < N; i++)
        assert_memory_not_equal(v[i - 1], v[i], 16);
    free(v);
}

static void test_random_lengths(void **state)
{
    static uint8_t out[70000];

    (void)state;
    for (size_t len = 0; len < sizeof out; len = len * 2 + 1) {
        memset(out, 0, sizeof out);
        crypto_random(out, len);
        for (size_t i = len; i < sizeof out && i < len + 64; i++)
            assert_int_equal(out[i], 0);
        if (len < 16)
            continue;
        unsigned zeros = 0;
        for (size_t i = len - 16; i < len; i++)
            zeros += out[i] == 0;
        assert_true(zeros < 8); /* 10^-15: the end was reached */
    }
}

/* The block that is waiting in the parent is not served in the child. */
static void test_random_differs_after_fork(void **state)
{
    uint8_t here[16], there[16];
    int     fds[2];

    (void)state;
    crypto_random(here, sizeof here); /* a block is there now */
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        crypto_random(there, sizeof there);
        _exit(write(fds[1], there, sizeof there) == (ssize_t)sizeof there ? 0 : 1);
    }
    crypto_random(here, sizeof here);
    assert_int_equal(read(fds[0], there, sizeof there), sizeof there);
    assert_memory_not_equal(here, there, sizeof here);
    (void)waitpid(pid, NULL, 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* --- no traces --------------------------------------------------------------------------------------- */

/* A key is nowhere in memory after it was used and its own copy was wiped; the scan is shown to work
 * by finding it before. */
static void test_contexts_keep_no_key(void **state)
{
    static uint8_t key[AES256_KEY_LEN];
    uint8_t        copy[AES256_KEY_LEN], out[64], iv[GCM_IV_LEN] = { 0 };
    size_t         len;

    (void)state;
    crypto_random(key, sizeof key);
    memcpy(copy, key, sizeof key);
    assert_true(memory_copies(key, sizeof key) >= 1);
    explicit_bzero(copy, sizeof copy);
    struct bytes k = bytes_of(key, sizeof key);
    crypto_hmac_sha256(k, BYTES_LIT("message"), out);
    crypto_kdf(k, BYTES_LIT("l"), BYTES_LIT("c"), out, 64);
    assert_int_equal(crypto_gcm_seal(k, iv, BYTES_LIT("a"), BYTES_LIT("p"), out, NULL), KMS_OK);
    assert_int_equal(crypto_gcm_open(k, iv, BYTES_LIT("a"), bytes_of(out, 17), out, NULL), KMS_OK);
    assert_int_equal(crypto_kwp_wrap(k, BYTES_LIT("plaintext"), out, &len, NULL), KMS_OK);
    assert_int_equal(crypto_kwp_unwrap(k, bytes_of(out, len), out, &len, NULL), KMS_OK);
    assert_int_equal(memory_copies(key, sizeof key), 0);
}

/* Nor is a prepared key, unless it is kept: then once, until it is freed. */
static void test_prepared_keys_are_wiped(void **state)
{
    static uint8_t  needle[HMAC_KEY_LEN];
    uint8_t         key[AES256_KEY_LEN], out[64];
    struct hmac_key kept = { NULL };

    (void)state;
    if (secret_memory_grade() == SECRET_MEMFD)
        skip();
    crypto_random(key, sizeof key);
    hmac_states(key, sizeof key, needle);
    struct bytes k = bytes_of(key, sizeof key);
    crypto_hmac_sha256(k, BYTES_LIT("message"), out);
    crypto_kdf(k, BYTES_LIT("l"), BYTES_LIT("c"), out, 64);
    assert_int_equal(memory_copies(needle, 32), 0);
    assert_int_equal(memory_copies(needle + 32, 32), 0);
    assert_int_equal(crypto_hmac_key(k, &kept, NULL), KMS_OK);
    crypto_hmac_sha256_kept(kept, BYTES_LIT("message"), out);
    crypto_kdf_kept(kept, BYTES_LIT("l"), BYTES_LIT("c"), out, 64);
    assert_int_equal(memory_copies(needle, sizeof needle), 1);
    crypto_hmac_key_free(&kept);
    assert_null(kept.states);
    assert_int_equal(memory_copies(needle, 32), 0);
    assert_int_equal(memory_copies(needle + 32, 32), 0);
}

/* What OpenSSL frees is wiped: our hook is in place. */
static void test_openssl_frees_wipe(void **state)
{
    uint8_t *p = OPENSSL_malloc(4096);

    (void)state;
    assert_non_null(p);
    memset(p, 0xa5, 4096);
    uint8_t *bigger = OPENSSL_realloc(p, 1 << 20);
    assert_non_null(bigger);
    assert_int_equal(bigger[4095], 0xa5);
    static uint8_t pattern[256];
    memset(pattern, 0xa5, sizeof pattern);
    OPENSSL_free(bigger);
    assert_int_equal(memory_copies(pattern, sizeof pattern), 0);
}

/* --- RSA and Ed25519 --------------------------------------------------------------------------------- */

static void test_rsa_generate(void **state)
{
    CLEANUP(secret_freep) struct secret *pkcs8 = NULL;
    CLEANUP(buf_release) struct buf      spki = BUF_INIT(1024);
    CLEANUP(secret_freep) struct secret *plain = NULL;
    uint8_t                              zeros[256] = { 0 };

    (void)state;
    assert_int_equal(crypto_rsa_generate(SPEC_RSA_2048, NULL, &pkcs8, &spki, NULL), KMS_OK);
    assert_int_equal(spki.len, 294); /* recorded-imports A12 */
    assert_int_equal(crypto_rsa_oaep_decrypt(SPEC_RSA_2048, secret_view(pkcs8),
                                             ALGORITHM_RSAES_OAEP_SHA_256,
                                             bytes_of(zeros, sizeof zeros), &plain, NULL),
                     KMS_E_CIPHERTEXT);
    assert_int_equal(crypto_rsa_oaep_decrypt(SPEC_RSA_2048, secret_view(pkcs8),
                                             ALGORITHM_RSAES_OAEP_SHA_256, bytes_of(zeros, 100),
                                             &plain, NULL),
                     KMS_E_CIPHERTEXT);
    assert_int_equal(crypto_rsa_oaep_decrypt(SPEC_RSA_2048, bytes_of(zeros, 100),
                                             ALGORITHM_RSAES_OAEP_SHA_256,
                                             bytes_of(zeros, sizeof zeros), &plain, NULL),
                     KMS_E_INTERNAL);
    assert_null(plain);
}

static _Atomic bool stop_now;

static void *stop_soon(void *arg)
{
    (void)arg;
    (void)usleep(20 * 1000);
    atomic_store(&stop_now, true);
    return NULL;
}

static void test_rsa_generate_stops(void **state)
{
    CLEANUP(secret_freep) struct secret *pkcs8 = NULL;
    CLEANUP(buf_release) struct buf      spki = BUF_INIT(8192);
    struct kms_error                     err;
    pthread_t                            thread;
    enum kms_status                      status = KMS_OK;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    while (status == KMS_OK) { /* until the flag meets one in the making */
        secret_freep(&pkcs8);
        buf_reset(&spki);
        status = crypto_rsa_generate(SPEC_RSA_4096, &stop_now, &pkcs8, &spki, &err);
    }
    assert_int_equal(status, KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "was stopped"));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_ed25519_round_trip(void **state)
{
    CLEANUP(secret_freep) struct secret *seed = NULL;
    uint8_t public[ED25519_PUB_LEN], sig[ED25519_SIG_LEN];

    (void)state;
    assert_int_equal(crypto_ed25519_generate(&seed, public, NULL), KMS_OK);
    assert_int_equal(crypto_ed25519_sign(secret_view(seed), BYTES_LIT("receipt"), sig, NULL),
                     KMS_OK);
    struct bytes p = bytes_of(public, sizeof public);
    struct bytes s = bytes_of(sig, sizeof sig);
    assert_true(crypto_ed25519_verify(p, BYTES_LIT("receipt"), s));
    assert_false(crypto_ed25519_verify(p, BYTES_LIT("receipu"), s));
    assert_false(crypto_ed25519_verify(p, BYTES_LIT("receipt"), bytes_of(sig, 63)));
    assert_false(crypto_ed25519_verify(bytes_of(public, 31), BYTES_LIT("receipt"), s));
}

/* --- threads ----------------------------------------------------------------------------------------- */

static void *use_all(void *arg)
{
    uint8_t key[32], out[64], iv[GCM_IV_LEN] = { 0 };

    (void)arg;
    for (unsigned i = 0; i < 2000; i++) {
        crypto_random(key, sizeof key);
        struct bytes k = bytes_of(key, sizeof key);
        if (crypto_gcm_seal(k, iv, BYTES_LIT("a"), k, out, NULL) != KMS_OK ||
            crypto_gcm_open(k, iv, BYTES_LIT("a"), bytes_of(out, 48), out, NULL) != KMS_OK ||
            !bytes_eq(bytes_of(out, 32), k))
            abort();
        crypto_hmac_sha256(k, k, out);
    }
    return NULL; /* the thread's contexts go with it: leak checkers see if not */
}

static void test_threads(void **state)
{
    pthread_t thread[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, use_all, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void test_init_again(void **state)
{
    struct kms_error err;

    (void)state;
    crypto_cleanup();
    assert_int_equal(crypto_init(&err), KMS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kdf_is_sp_800_108),
        cmocka_unit_test(test_hmac_is_openssls),
        cmocka_unit_test(test_kept_key_derives_the_same),
        cmocka_unit_test(test_sha256_of_pieces),
        cmocka_unit_test(test_random_never_repeats),
        cmocka_unit_test(test_random_lengths),
        cmocka_unit_test(test_random_differs_after_fork),
        cmocka_unit_test(test_contexts_keep_no_key),
        cmocka_unit_test(test_prepared_keys_are_wiped),
        cmocka_unit_test(test_openssl_frees_wipe),
        cmocka_unit_test(test_rsa_generate),
        cmocka_unit_test(test_rsa_generate_stops),
        cmocka_unit_test(test_ed25519_round_trip),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_init_again),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
