/* tests/unit/vault/test_hot_path.c - what one use of an opened material costs: no allocation, and
 * figures to look at (not asserted: they are the machine's). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocations.h"
#include "base/cleanup.h"
#include "fixture.h"

enum { ROUNDS = 2000, BATCHES = 20 };

struct work {
    struct fixture      f;
    struct key_record  *key;
    struct key_record  *other;
    struct buf          blob, plain, out;
    struct vault_result result;
    struct buf          access; /* a wrapped secret */
};

static const uint8_t                 data[4096] = "thirty-two bytes of plain text.";
static const struct sigv4_scope_text scope = { { (const uint8_t *)"20261121", 8 },
                                               { (const uint8_t *)"us-east-1", 9 },
                                               { (const uint8_t *)"kms", 3 } };

static enum kms_status encrypt(struct work *w, size_t len)
{
    return vault_encrypt(w->f.v, fixture_current(w->key), BLOB_ENCRYPT, BYTES_LIT("context"),
                         bytes_of(data, len), &w->out, NULL);
}

static enum kms_status encrypt_32(struct work *w)
{
    return encrypt(w, 32);
}

static enum kms_status encrypt_4096(struct work *w)
{
    return encrypt(w, 4096);
}

static enum kms_status decrypt_32(struct work *w)
{
    return vault_decrypt(w->f.v, fixture_current(w->key), BYTES_LIT("context"), buf_bytes(&w->blob),
                         &w->plain, NULL);
}

static enum kms_status decrypt_other_context(struct work *w)
{
    enum kms_status status = vault_decrypt(w->f.v, fixture_current(w->key), BYTES_LIT("other"),
                                           buf_bytes(&w->blob), &w->plain, NULL);
    return status == KMS_E_CIPHERTEXT ? KMS_OK : KMS_E_INTERNAL;
}

static enum kms_status reencrypt_32(struct work *w)
{
    const struct vault_command command = {
        .kind = VAULT_REENCRYPT,
        .from = fixture_current(w->key),
        .to = fixture_current(w->other),
        .context = BYTES_LIT("context"),
        .to_context = BYTES_LIT("context"),
        .input = buf_bytes(&w->blob),
    };

    return vault_run(w->f.v, &command, &w->result, NULL);
}

static enum kms_status data_key_32(struct work *w)
{
    return vault_generate_data_key(w->f.v, fixture_current(w->key), BYTES_LIT("context"), 32,
                                   &w->out, &w->plain, NULL);
}

static enum kms_status sigv4(struct work *w)
{
    uint8_t mac[32];

    return vault_sigv4_mac(w->f.v, BYTES_LIT("AKIAEXAMPLE"), buf_bytes(&w->access), &scope,
                           bytes_of(data, 130), mac, NULL);
}

static enum kms_status sigv4_unknown(struct work *w)
{
    uint8_t mac[32];

    return vault_sigv4_mac(w->f.v, (struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }, &scope,
                           bytes_of(data, 130), mac, NULL);
}

/* The best batch: what it costs when nobody is in the way. */
static void measure(struct work *w, const char *name, enum kms_status (*fn)(struct work *w))
{
    uint64_t best = UINT64_MAX;

    epoch_enter(w->f.epoch, w->f.reader);
    assert_int_equal(fn(w), KMS_OK); /* opens the material, makes the thread's contexts */
    size_t before = allocations;
    for (unsigned b = 0; b < BATCHES; b++) {
        uint64_t start = clock_monotonic_ns();
        for (unsigned i = 0; i < ROUNDS / BATCHES; i++) {
            buf_reset(&w->out);
            buf_reset(&w->plain);
            if (fn(w) != KMS_OK)
                fail();
        }
        uint64_t took = (clock_monotonic_ns() - start) / (ROUNDS / BATCHES);
        best = took < best ? took : best;
    }
    assert_int_equal(allocations, before);
    epoch_leave(w->f.epoch, w->f.reader);
    print_message("# %-28s %6llu ns\n", name, (unsigned long long)best);
}

static void test_cost(void **state)
{
    struct work                     w = { .access = BUF_INIT(256),
                                          .blob = BUF_INIT(8192),
                                          .plain = BUF_INIT(8192),
                                          .out = BUF_INIT(8192) };
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(256);

    (void)state;
    fixture_open(&w.f);
    w.key = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    w.other = fixture_key("us-east-1", 2, ORIGIN_AWS_KMS);
    (void)fixture_generate(&w.f, w.key);
    (void)fixture_generate(&w.f, w.other);
    assert_int_equal(
        vault_wrap_secret_key(w.f.v, BYTES_LIT("AKIAEXAMPLE"), bytes_of(data, 40), &wrapped, NULL),
        KMS_OK);
    buf_add(&w.access, buf_bytes(&wrapped));
    assert_int_equal(fixture_encrypt(&w.f, fixture_current(w.key), BYTES_LIT("context"),
                                     bytes_of(data, 32), &w.blob),
                     KMS_OK);
    (void)buf_reserve(&w.out, 8192);
    vault_result_init(&w.result);
    (void)buf_reserve(&w.result.blob, 4096);
    (void)buf_reserve(&w.plain, 8192);

    measure(&w, "encrypt 32 bytes", encrypt_32);
    measure(&w, "encrypt 4096 bytes", encrypt_4096);
    measure(&w, "decrypt 32 bytes", decrypt_32);
    measure(&w, "decrypt, other context", decrypt_other_context);
    measure(&w, "re-encrypt 32 bytes", reencrypt_32);
    measure(&w, "data key of 32 bytes", data_key_32);
    measure(&w, "sigv4", sigv4);
    measure(&w, "sigv4, unknown access key", sigv4_unknown);

    buf_release(&w.access);
    key_record_free(w.key);
    key_record_free(w.other);
    buf_release(&w.blob);
    buf_release(&w.plain);
    buf_release(&w.out);
    vault_result_release(&w.result);
    fixture_close(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
