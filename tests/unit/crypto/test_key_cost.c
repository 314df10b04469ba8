/* tests/unit/crypto/test_key_cost.c - what one use of a key takes: figures to look at, from which fast_private
 * and fast_public of crypto/spec.c come (not asserted: they are the machine's). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "instrumented.h"

enum { BATCHES = INSTRUMENTED ? 1 : 5, BATCH_NS = INSTRUMENTED ? 1 : 2000000 };

struct work {
    struct crypto_key *key;
    enum algorithm     algorithm;
    enum message_type  type;
    struct bytes       message;
    struct buf         out, again;
};

static const uint8_t data[64];

static enum kms_status sign(struct work *w)
{
    return crypto_key_sign(w->key, w->algorithm, w->type, w->message, &w->out, NULL);
}

static enum kms_status verify(struct work *w)
{
    return crypto_key_verify(w->key, w->algorithm, w->type, w->message, buf_bytes(&w->again), NULL);
}

static enum kms_status encrypt(struct work *w)
{
    return crypto_key_encrypt(w->key, w->algorithm, bytes_of(data, 32), &w->out, NULL);
}

static enum kms_status decrypt(struct work *w)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;

    return crypto_key_decrypt(w->key, w->algorithm, buf_bytes(&w->again), &plain, NULL);
}

static enum kms_status derive(struct work *w)
{
    CLEANUP(secret_freep) struct secret *shared = NULL;

    return crypto_key_derive(w->key, w->key, &shared, NULL);
}

static enum kms_status encapsulate(struct work *w)
{
    CLEANUP(secret_freep) struct secret *shared = NULL;

    return crypto_key_encapsulate(w->key, &shared, &w->out, NULL);
}

static enum kms_status decapsulate(struct work *w)
{
    CLEANUP(secret_freep) struct secret *shared = NULL;

    return crypto_key_decapsulate(w->key, buf_bytes(&w->again), &shared, NULL);
}

/* The best batch: what it costs when nobody is in the way. */
static uint64_t measure(struct work *w, enum kms_status (*fn)(struct work *w))
{
    uint64_t best = UINT64_MAX;

    for (unsigned b = 0; b < BATCHES; b++) {
        uint64_t start = clock_monotonic_ns(), took;
        unsigned n = 0;
        do {
            buf_reset(&w->out);
            assert_int_equal(fn(w), KMS_OK);
            n++;
            took = clock_monotonic_ns() - start;
        } while (took < BATCH_NS);
        best = took / n < best ? took / n : best;
    }
    return best;
}

static const struct {
    enum kms_status (*private)(struct work *w);
    enum kms_status (*public)(struct work *w);
    bool
        private_first; /* the public operation takes what the private one made; else the other way */
} uses[USAGE_COUNT] = {
    [USAGE_ENCRYPT_DECRYPT] = { decrypt, encrypt, false },
    [USAGE_SIGN_VERIFY] = { sign, verify, true },
    [USAGE_KEY_AGREEMENT] = { derive, NULL, true },
    [USAGE_ENCAPSULATE_DECAPSULATE] = { decapsulate, encapsulate, false },
};

static void one(struct crypto_key *key, enum key_usage usage, enum algorithm algorithm)
{
    uint64_t private, public = 0;
    struct work w = {
        .key = key, .algorithm = algorithm, .out = BUF_INIT(8192), .again = BUF_INIT(8192)
    };
    const struct algorithm_info *info = algorithm_info(algorithm);

    w.type = info->messages == 1u << MESSAGE_DIGEST ? MESSAGE_DIGEST : MESSAGE_RAW;
    w.message = bytes_of(data, sizeof data);
    assert_int_equal((uses[usage].private_first ? uses[usage].private : uses[usage].public)(&w),
                     KMS_OK);
    buf_add(&w.again, buf_bytes(&w.out));
  private
    = measure(&w, uses[usage].private);
    if (uses[usage].public != NULL)
      public
    = measure(&w, uses[usage].public);
    print_message("# %-22s %-26s private %8llu ns  public %7llu ns\n",
                  key_spec_names[crypto_key_spec(key)], algorithm_names[algorithm],
                  (unsigned long long)private, (unsigned long long)public);
    buf_release(&w.out);
    buf_release(&w.again);
}

static void test_cost(void **state)
{
    (void)state;
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        const struct key_spec_info                  *info = spec_info(spec);
        CLEANUP(secret_freep) struct secret         *material = NULL;
        CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
        if (!spec_is_asymmetric(spec))
            continue;
        assert_int_equal(crypto_key_generate(spec, NULL, &material, NULL), KMS_OK);
        uint64_t start = clock_monotonic_ns();
        assert_int_equal(crypto_key_open(spec, secret_view(material), &key, NULL), KMS_OK);
        print_message("# %-22s opened in %llu ns\n", key_spec_names[spec],
                      (unsigned long long)(clock_monotonic_ns() - start));
        for (enum key_usage u = 0; u < USAGE_COUNT; u++) {
            for (unsigned i = 0; i < info->usages[u].count; i++)
                one(key, u, info->usages[u].list[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),
    };
    uint64_t start = clock_monotonic_ns();

    if (crypto_init(NULL) != KMS_OK)
        return 1;
    print_message("# crypto_init with its self tests: %llu us\n",
                  (unsigned long long)(clock_monotonic_ns() - start) / 1000);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crypto_cleanup();
    return failed;
}
