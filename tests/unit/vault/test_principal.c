/* tests/unit/vault/test_principal.c - secret access keys and the cache of SigV4 signing keys. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "fixture.h"
#include "hmac_states.h"
#include "identity/record.h"
#include "instrumented.h"
#include "memory_scan.h"
#include "vault/vault_internal.h"

static const char example_secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static struct access_key_record *access_key_of(const char *id, struct bytes wrapped)
{
    struct access_key_record *k = access_key_record_new();

    assert_non_null(k);
    k->id = arena_copy(k->arena, bytes_str(id));
    k->wrapped_secret = arena_copy(k->arena, wrapped);
    return k;
}

static struct access_key_record *access_key(struct fixture *f, const char *id, const char *secret)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(512);

    assert_int_equal(vault_wrap_secret_key(f->v, bytes_str(id), bytes_str(secret), &wrapped, NULL),
                     KMS_OK);
    return access_key_of(id, buf_bytes(&wrapped));
}

/* NULL: nobody's. */
static enum kms_status sign(struct vault *v, const struct access_key_record *k,
                            const struct sigv4_scope_text *s, struct bytes text, uint8_t ret[32])
{
    static const struct access_key_record nobody = { .active = false };

    if (k == NULL)
        k = &nobody;
    return vault_sigv4_mac(v, k->id, k->wrapped_secret, s, text, ret, NULL);
}

static struct sigv4_scope_text scope_of(const char *date, const char *region, const char *service)
{
    return (struct sigv4_scope_text){ bytes_str(date), bytes_str(region), bytes_str(service) };
}

/* What vault_sigv4_mac must give, step by step. */
static void reference(const char *secret, const struct sigv4_scope_text *s, struct bytes text,
                      uint8_t ret[32])
{
    char    first[128];
    uint8_t k[32];

    (void)snprintf(first, sizeof first, "AWS4%s", secret);
    crypto_hmac_sha256(bytes_str(first), s->date, k);
    crypto_hmac_sha256(bytes_of(k, 32), s->region, k);
    crypto_hmac_sha256(bytes_of(k, 32), s->service, k);
    crypto_hmac_sha256(bytes_of(k, 32), BYTES_LIT("aws4_request"), k);
    crypto_hmac_sha256(bytes_of(k, 32), text, ret);
}

static unsigned cached(struct fixture *f)
{
    size_t before = secret_count();

    vault_forget_access_key(f->v, BYTES_LIT("AKIDEXAMPLE"));
    return (unsigned)(before - secret_count());
}

/* The example of the Signature Version 4 documentation, published with its signature. */
static void test_published_signature(void **state)
{
    struct fixture          f;
    uint8_t                 mac[32], want[32];
    struct sigv4_scope_text scope = scope_of("20150830", "us-east-1", "iam");
    struct bytes            text = BYTES_LIT(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n"
                   "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");

    (void)state;
    fixture_open(&f);
    struct access_key_record *k = access_key(&f, "AKIDEXAMPLE", example_secret);
    assert_true(hex_read(
        BYTES_LIT("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"), want, 32));
    for (unsigned i = 0; i < 3; i++) { /* derived, then from the cache */
        assert_int_equal(sign(f.v, k, &scope, text, mac), KMS_OK);
        assert_memory_equal(mac, want, 32);
    }
    access_key_record_free(k);
    fixture_close(&f);
}

static void test_every_part_of_the_scope_counts(void **state)
{
    static const char *const parts[][3] = {
        { "20261121", "us-east-1", "kms" },
        { "20261122", "us-east-1", "kms" },
        { "20261121", "us-east-2", "kms" },
        { "20261121", "us-east-1", "iam" },
        { "2026112", "1us-east-1", "kms" },
        { "20261121", "us-east-1k", "ms" },
        { "", "", "" },
    };
    struct fixture f;
    uint8_t        mac[ARRAY_LEN(parts)][32], want[32];

    (void)state;
    fixture_open(&f);
    struct access_key_record *k = access_key(&f, "AKIDEXAMPLE", example_secret);
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            struct sigv4_scope_text s = scope_of(parts[i][0], parts[i][1], parts[i][2]);
            assert_int_equal(sign(f.v, k, &s, BYTES_LIT("text"), mac[i]), KMS_OK);
            reference(example_secret, &s, BYTES_LIT("text"), want);
            assert_memory_equal(mac[i], want, 32);
            for (size_t j = 0; j < i; j++)
                assert_memory_not_equal(mac[i], mac[j], 32);
        }
    }
    assert_int_equal(cached(&f), ARRAY_LEN(parts));
    access_key_record_free(k);
    fixture_close(&f);
}

/* More scopes than there is room for: right answers, and a bounded number of keys kept. */
static void test_cache_is_bounded(void **state)
{
    struct fixture f;
    uint8_t        mac[32], want[32];
    char           region[16], long_region[300];

    (void)state;
    fixture_open(&f);
    struct access_key_record *k = access_key(&f, "AKIDEXAMPLE", example_secret);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(region, sizeof region, "region-%u", i);
        struct sigv4_scope_text s = scope_of("20261121", region, "kms");
        assert_int_equal(sign(f.v, k, &s, BYTES_LIT("text"), mac), KMS_OK);
        reference(example_secret, &s, BYTES_LIT("text"), want);
        assert_memory_equal(mac, want, 32);
    }
    unsigned n = cached(&f);
    assert_true(n > 64 && n <= 128);
    memset(long_region, 'x', sizeof long_region - 1);
    long_region[sizeof long_region - 1] = '\0';
    struct sigv4_scope_text s = scope_of("20261121", long_region, "kms");
    assert_int_equal(sign(f.v, k, &s, BYTES_LIT("text"), mac), KMS_OK);
    reference(example_secret, &s, BYTES_LIT("text"), want);
    assert_memory_equal(mac, want, 32);
    assert_int_equal(cached(&f), 0);
    access_key_record_free(k);
    fixture_close(&f);
}

/* I1: a key id that is made again does not meet the signing key of the old secret. */
static void test_new_secret_of_the_same_id(void **state)
{
    struct fixture          f;
    uint8_t                 mac[32], want[32];
    struct sigv4_scope_text s = scope_of("20261121", "us-east-1", "kms");

    (void)state;
    fixture_open(&f);
    struct access_key_record *old = access_key(&f, "AKIDEXAMPLE", example_secret);
    struct access_key_record *new = access_key(&f, "AKIDEXAMPLE", "another secret");
    assert_int_equal(sign(f.v, old, &s, BYTES_LIT("text"), mac), KMS_OK);
    assert_int_equal(sign(f.v, new, &s, BYTES_LIT("text"), mac), KMS_OK);
    reference("another secret", &s, BYTES_LIT("text"), want);
    assert_memory_equal(mac, want, 32);
    access_key_record_free(old);
    access_key_record_free(new);
    fixture_close(&f);
}

/* A secret that the vault makes: 40 characters, another each time, and it signs. */
static void test_a_secret_that_is_made_signs(void **state)
{
    CLEANUP(buf_release) struct buf secret = BUF_INIT(2 * SECRET_KEY_LEN + 1);
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(512);
    struct fixture                  f;
    uint8_t                         mac[32], want[32];
    struct sigv4_scope_text         s = scope_of("20261121", "us-east-1", "kms");

    (void)state;
    fixture_open(&f);
    for (int i = 0; i < 2; i++) {
        buf_reset(&wrapped);
        assert_int_equal(vault_new_secret_key(f.v, BYTES_LIT("AKIDMADE"), &secret, &wrapped, NULL),
                         KMS_OK);
    }
    assert_int_equal(secret.len, 2 * SECRET_KEY_LEN);
    assert_memory_not_equal(secret.ptr, secret.ptr + SECRET_KEY_LEN, SECRET_KEY_LEN);
    for (size_t i = 0; i < secret.len; i++)
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                               secret.ptr[i]));
    struct access_key_record *k = access_key_of("AKIDMADE", buf_bytes(&wrapped));
    buf_add_byte(&secret, '\0');
    assert_true(buf_ok(&secret));
    assert_int_equal(sign(f.v, k, &s, BYTES_LIT("text"), mac), KMS_OK);
    reference((const char *)secret.ptr + SECRET_KEY_LEN, &s, BYTES_LIT("text"), want);
    assert_memory_equal(mac, want, 32);

    CLEANUP(buf_release) struct buf small = BUF_INIT(SECRET_KEY_LEN - 1);
    assert_int_equal(vault_new_secret_key(f.v, k->id, &small, &wrapped, NULL), KMS_E_INTERNAL);
    assert_int_equal(small.len, 0);
    access_key_record_free(k);
    fixture_close(&f);
}

static void test_wrapping_is_bound(void **state)
{
    struct fixture            f, g;
    uint8_t                   mac[32];
    struct sigv4_scope_text   s = scope_of("20261121", "us-east-1", "kms");
    struct access_key_record *k, *copy;

    (void)state;
    fixture_open(&f);
    fixture_open(&g);
    k = access_key(&f, "AKIDEXAMPLE", example_secret);
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(512);
    buf_add(&wrapped, k->wrapped_secret);
    assert_null(memmem(wrapped.ptr, wrapped.len, example_secret, 8));
    for (size_t bit = 0; bit < wrapped.len * 8; bit += 3) {
        wrapped.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        copy = access_key_of("AKIDEXAMPLE", buf_bytes(&wrapped));
        assert_int_equal(sign(f.v, copy, &s, BYTES_LIT("t"), mac), KMS_E_KEY_UNAVAILABLE);
        access_key_record_free(copy);
        wrapped.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(sign(g.v, k, &s, BYTES_LIT("t"), mac), KMS_E_KEY_UNAVAILABLE);
    copy = access_key_of("AKIDOTHER", k->wrapped_secret); /* another id's */
    assert_int_equal(sign(f.v, copy, &s, BYTES_LIT("t"), mac), KMS_E_KEY_UNAVAILABLE);
    access_key_record_free(copy);
    copy = access_key_of("AKIDEXAMPLE", (struct bytes){ NULL, 0 });
    assert_int_equal(sign(f.v, copy, &s, BYTES_LIT("t"), mac), KMS_E_KEY_UNAVAILABLE);
    access_key_record_free(copy);
    access_key_record_free(k);
    fixture_close(&g);
    fixture_close(&f);
}

/* I2: no access key: an answer all the same, which nobody can know, and which is cached like others. */
static void test_unknown_access_key(void **state)
{
    struct fixture          f;
    uint8_t                 mac[32], again[32], empty[32];
    struct sigv4_scope_text s = scope_of("20261121", "us-east-1", "kms");

    (void)state;
    fixture_open(&f);
    assert_int_equal(sign(f.v, NULL, &s, BYTES_LIT("text"), mac), KMS_OK);
    size_t secrets = secret_count();
    assert_int_equal(sign(f.v, NULL, &s, BYTES_LIT("text"), again), KMS_OK);
    assert_int_equal(secret_count(), secrets);
    assert_memory_equal(mac, again, 32);
    reference("", &s, BYTES_LIT("text"), empty);
    assert_memory_not_equal(mac, empty, 32);
    fixture_reopen(&f);
    assert_int_equal(sign(f.v, NULL, &s, BYTES_LIT("text"), again), KMS_OK);
    assert_memory_not_equal(mac, again, 32); /* another nobody each time */
    fixture_close(&f);
}

/* Forgetting wipes signing keys in every thread's cache. */
struct other_thread {
    struct fixture           *f;
    struct access_key_record *k;
    pthread_barrier_t         cached, forgotten;
};

static void *in_other_thread(void *arg)
{
    struct other_thread    *o = arg;
    struct sigv4_scope_text s = scope_of("20261121", "us-east-1", "kms");
    uint8_t                 mac[32];

    if (sign(o->f->v, o->k, &s, BYTES_LIT("text"), mac) != KMS_OK)
        abort();
    (void)pthread_barrier_wait(&o->cached);
    (void)pthread_barrier_wait(&o->forgotten);
    return NULL;
}

static void test_forget_reaches_all_threads(void **state)
{
    static uint8_t      needle[64]; /* the prepared signing key */
    uint8_t             key[32];
    struct fixture      f;
    struct other_thread o = { .f = &f };
    pthread_t           thread;

    (void)state;
    if (secret_memory_grade() == SECRET_MEMFD || INSTRUMENTED) /* the scan would find its copies */
        skip();
    fixture_open(&f);
    o.k = access_key(&f, "AKIDEXAMPLE", example_secret);
    crypto_hmac_sha256(BYTES_LIT("AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                       BYTES_LIT("20261121"), key);
    crypto_hmac_sha256(bytes_of(key, 32), BYTES_LIT("us-east-1"), key);
    crypto_hmac_sha256(bytes_of(key, 32), BYTES_LIT("kms"), key);
    crypto_hmac_sha256(bytes_of(key, 32), BYTES_LIT("aws4_request"), key);
    hmac_states(key, 32, needle);
    (void)pthread_barrier_init(&o.cached, NULL, 2);
    (void)pthread_barrier_init(&o.forgotten, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, in_other_thread, &o), 0);
    (void)pthread_barrier_wait(&o.cached);
    assert_int_equal(memory_copies(needle, 64), 1);
    vault_forget_access_key(f.v, BYTES_LIT("AKIDOTHER"));
    assert_int_equal(memory_copies(needle, 64), 1);
    vault_forget_access_key(f.v, BYTES_LIT("AKIDEXAMPLE"));
    assert_int_equal(memory_copies(needle, 64), 0);
    (void)pthread_barrier_wait(&o.forgotten);
    assert_int_equal(pthread_join(thread, NULL), 0); /* its cache goes with it */
    assert_null(f.v->signing);
    access_key_record_free(o.k);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_signature),
        cmocka_unit_test(test_every_part_of_the_scope_counts),
        cmocka_unit_test(test_cache_is_bounded),
        cmocka_unit_test(test_new_secret_of_the_same_id),
        cmocka_unit_test(test_a_secret_that_is_made_signs),
        cmocka_unit_test(test_wrapping_is_bound),
        cmocka_unit_test(test_unknown_access_key),
        cmocka_unit_test(test_forget_reaches_all_threads),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
