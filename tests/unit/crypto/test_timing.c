/* tests/unit/crypto/test_timing.c - does the time of a refusal tell why it was refused? (trust-model 6.12)
 *
 * Two classes of input, drawn at random and timed in turn; the slow tail, which is the machine's, is cut off;
 * Welch's t tells whether the means differ. A leak grows with the number of samples and a bad moment of the
 * machine does not come back, so a class pair fails only if it does so in every one of some tries.
 * TRENT_TIMING_SAMPLES sets the number of samples per class (a million for the long run). The comparison that
 * stops at the first difference, which must be found out, shows that the test works.
 */
#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "crypto/self_test_data.h"
#include "instrumented.h"

enum { TRIES = 8, CROP_PERCENT = 80, QUICK_SAMPLES = 20000, SLOW_DIVISOR = 20 };
static const double LEAK = 4.5;     /* |t| from which on the classes differ */
static const double LEAK_SURE = 50; /* of the comparison that leaks          */

/* One timed call: `class` 0 or 1. */
struct experiment {
    const char *name;
    void (*call)(struct experiment *e);
    size_t       divisor; /* of the number of samples, for calls that take long */
    uint8_t      key[64];
    uint8_t      input[2][1024];
    size_t       len;       /* of both */
    uint8_t      now[1024]; /* the input of a call */
    struct bytes pkcs8;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct moments {
    double mean, variance;
    size_t n;
};

static struct moments moments_below(const uint64_t *times, size_t n, uint64_t limit)
{
    struct moments m = { 0 };

    for (size_t i = 0; i < n; i++) {
        if (times[i] > limit)
            continue;
        double delta = (double)times[i] - m.mean;
        m.n++;
        m.mean += delta / (double)m.n;
        m.variance += delta * ((double)times[i] - m.mean);
    }
    m.variance /= (double)(m.n - 1);
    return m;
}

/* Welch's t of the two classes, without the slowest of both together. */
static double welch(uint64_t *times[2], size_t n)
{
    uint64_t *all = malloc(2 * n * sizeof *all);

    assert_non_null(all);
    memcpy(all, times[0], n * sizeof *all);
    memcpy(all + n, times[1], n * sizeof *all);
    qsort(all, 2 * n, sizeof *all, by_size);
    uint64_t limit = all[2 * n * CROP_PERCENT / 100];
    free(all);
    struct moments a = moments_below(times[0], n, limit);
    struct moments b = moments_below(times[1], n, limit);
    double         spread = a.variance / (double)a.n + b.variance / (double)b.n;

    return spread == 0 ? 0 : (a.mean - b.mean) / sqrt(spread);
}

/* Reads both inputs and writes one: nothing before the call differs between the classes but bytes. */
static void choose(struct experiment *e, int class)
{
    uint8_t second = (uint8_t)-class;

    for (size_t i = 0; i < sizeof e->now; i++)
        e->now[i] = (uint8_t)((e->input[0][i] & ~second) | (e->input[1][i] & second));
    atomic_thread_fence(memory_order_seq_cst);
}

static void set_input(struct experiment *e, int class, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        e->input[class][i] = bytes[i];
    e->len = len;
}

static double try_once(struct experiment *e, size_t n)
{
    uint64_t *times[2] = { malloc(n * sizeof(uint64_t)), malloc(n * sizeof(uint64_t)) };
    size_t    done[2] = { 0, 0 };

    assert_true(times[0] != NULL && times[1] != NULL);
    while (done[0] < n || done[1] < n) {
        uint8_t coin;
        crypto_random(&coin, 1);
        int class = coin & 1;
        if (done[class] == n)
            class = 1 - class;
        choose(e, class);
        uint64_t start = now_ns();
        e->call(e);
        times[class][done[class]++] = now_ns() - start;
    }
    double t = fabs(welch(times, n));
    free(times[0]);
    free(times[1]);
    return t;
}

static size_t samples(const struct experiment *e)
{
    const char *wanted = getenv("TRENT_TIMING_SAMPLES");
    size_t      n = wanted != NULL ? strtoul(wanted, NULL, 10) : QUICK_SAMPLES;

    if (INSTRUMENTED) /* takes another time than what users run */
        skip();
    return n / e->divisor + 100;
}

/* The smallest |t| of some tries: what is there is there every time. */
static double least_t(struct experiment *e)
{
    double least = INFINITY;

    for (int i = 0; i < TRIES && least >= LEAK; i++) {
        double t = try_once(e, samples(e));
        least = t < least ? t : least;
    }
    print_message("# %s: |t| %.2f of %zu samples a class\n", e->name, least, samples(e));
    return least;
}

/* --- what is timed ---------------------------------------------------------------------------- */

static void call_mac(struct experiment *e)
{
    enum kms_status status = crypto_mac_verify(bytes_of(e->key, 32), ALGORITHM_HMAC_SHA_256,
                                               BYTES_LIT("message"), bytes_of(e->now, e->len),
                                               NULL);
    assert_int_equal(status, KMS_E_MAC);
}

/* First byte wrong, last byte wrong. */
static void test_mac(void **state)
{
    struct experiment e = { .name = "VerifyMac", .call = call_mac, .divisor = 1 };
    size_t            len;

    (void)state;
    uint8_t mac[DIGEST_MAX];
    crypto_mac(bytes_of(e.key, 32), ALGORITHM_HMAC_SHA_256, BYTES_LIT("message"), mac, &len);
    set_input(&e, 0, mac, len);
    set_input(&e, 1, mac, len);
    e.input[0][0] ^= 1;
    e.input[1][len - 1] ^= 1;
    assert_true(least_t(&e) < LEAK);
}

static void call_leaky(struct experiment *e)
{
    volatile uint8_t found = 0;

    for (size_t i = 0; i < e->len; i++) {
        if (e->now[i] != 0) /* stops at the first difference */
            break;
        found = (uint8_t)(found + 1);
    }
}

static void test_a_leak_is_found(void **state)
{
    struct experiment e = { .name = "a comparison that stops early",
                            .call = call_leaky,
                            .divisor = 1 };

    (void)state;
    e.len = sizeof e.now;
    e.input[0][0] = 1;
    e.input[1][sizeof e.now - 1] = 1;
    double most = 0; /* a busy machine hides it in some tries */
    for (int i = 0; i < TRIES && most <= LEAK_SURE; i++) {
        double t = try_once(&e, samples(&e));
        most = t > most ? t : most;
    }
    assert_true(most > LEAK_SURE);
}

static void call_kwp(struct experiment *e)
{
    uint8_t         out[1024];
    size_t          len;
    enum kms_status status = crypto_kwp_unwrap(bytes_of(e->key, 32), bytes_of(e->now, e->len), out,
                                               &len, NULL);
    assert_int_equal(status, KMS_E_CIPHERTEXT);
}

/* The first half of the integrity value wrong, or what was wrapped: nothing of either is readable. */
static void test_key_wrap(void **state)
{
    struct experiment e = { .name = "AES key wrap", .call = call_kwp, .divisor = 1 };

    (void)state;
    uint8_t wrapped[64];
    size_t  len;
    assert_int_equal(crypto_kwp_wrap(bytes_of(e.key, 32), bytes_of(e.key, 32), wrapped, &len, NULL),
                     KMS_OK);
    set_input(&e, 0, wrapped, len);
    set_input(&e, 1, wrapped, len);
    e.input[0][0] ^= 1;
    e.input[1][len - 1] ^= 1;
    assert_true(least_t(&e) < LEAK);
}

static void call_oaep(struct experiment *e)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;
    enum kms_status                      status = crypto_rsa_oaep_decrypt(SPEC_RSA_2048, e->pkcs8,
                                                                          ALGORITHM_RSAES_OAEP_SHA_256,
                                                                          bytes_of(e->now, e->len), &plain, NULL);

    assert_int_equal(status, KMS_E_CIPHERTEXT);
}

/* Textbook RSA of one encoded message with a fault at `at`; OAEP's masks spread what lies behind the first
 * byte, so that a fault there is a wrong label hash, and one in the first byte is Manger's. */
static void encrypt_raw(struct experiment *e, int class, size_t at)
{
    const uint8_t *p = e->pkcs8.ptr;
    EVP_PKEY      *key = d2i_AutoPrivateKey(NULL, &p, (long)e->pkcs8.len);
    EVP_PKEY_CTX  *ctx = EVP_PKEY_CTX_new(key, NULL);
    uint8_t        block[256] = { 0 };

    assert_non_null(ctx);
    crypto_random(block + 1, sizeof block - 1);
    block[at] ^= 0x40; /* below the modulus all the same */
    uint8_t cipher[sizeof block];
    size_t  len = sizeof cipher;
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
    assert_int_equal(EVP_PKEY_encrypt(ctx, cipher, &len, block, sizeof block), 1);
    set_input(e, class, cipher, len);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void test_oaep(void **state)
{
    static uint8_t    der[2048];
    const char       *hex = SELF_TEST_RSA_PKCS8;
    struct experiment e = { .name = "RSAES-OAEP", .call = call_oaep, .divisor = SLOW_DIVISOR };

    (void)state;
    size_t len = strlen(hex) / 2;
    assert_true(hex_read(bytes_str(hex), der, len));
    e.pkcs8 = bytes_of(der, len);
    encrypt_raw(&e, 0, 0);
    encrypt_raw(&e, 1, 100);
    assert_true(least_t(&e) < LEAK);
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leak_is_found),
        cmocka_unit_test(test_mac),
        cmocka_unit_test(test_key_wrap),
        cmocka_unit_test(test_oaep),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
