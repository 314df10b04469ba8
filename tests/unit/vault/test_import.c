/* tests/unit/vault/test_import.c - GetParametersForImport and ImportKeyMaterial as the vault sees them:
 * tokens, wrapping keys, unwrapping, and everything that is refused. Rules Rnn: recorded-imports 3. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "memory_scan.h"
#include "vault/vault_internal.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static const uint8_t material[128] = "imported material, 32 bytes long and what is behind it";

struct scene {
    struct fixture                 f;
    struct key_record             *key;
    int64_t                        now;
    struct vault_import_parameters p;
};

static void scene_open(struct scene *s, enum wrapping_algorithm algorithm)
{
    *s = (struct scene){ .now = 0 };
    fixture_open(&s->f);
    s->key = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    s->now = clock_now(s->f.clock);
    fixture_parameters(&s->f, s->key, algorithm, s->now, &s->p);
}

static void scene_close(struct scene *s)
{
    vault_import_parameters_release(&s->p);
    key_record_free(s->key);
    fixture_close(&s->f);
}

static enum kms_status open_token(struct scene *s, const struct key_record *key, int64_t now)
{
    uint8_t         id[16] = { 0 };
    enum kms_status status = vault_token_open(s->f.v, key, buf_bytes(&s->p.token), now, id, NULL);

    if (status == KMS_OK)
        assert_memory_equal(id, s->p.record->id, 16);
    return status;
}

static enum kms_status import_wrapped(struct scene *s, struct bytes wrapped,
                                      struct material_id *ret_id, struct kms_error *reterr)
{
    struct vault_import *in = NULL;
    enum kms_status status = vault_import_open(s->f.v, s->key, s->p.record, wrapped, &in, ret_id,
                                               reterr);

    assert_int_equal(status == KMS_OK, in != NULL);
    vault_import_close(in);
    return status;
}

static enum kms_status import_bytes(struct scene *s, enum wrapping_algorithm algorithm,
                                    struct bytes what)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);
    struct material_id              id;

    fixture_wrap(buf_bytes(&s->p.spki), algorithm, what, &wrapped);
    return import_wrapped(s, buf_bytes(&wrapped), &id, NULL);
}

/* --- tokens ------------------------------------------------------------------------------------------ */

static void test_parameters(void **state)
{
    struct scene s;
    uint8_t      fingerprint[32];

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    assert_int_equal(s.p.spki.len, 294); /* recorded A12 */
    assert_true(s.p.token.len >= 1 && s.p.token.len <= 6144);
    assert_int_equal(s.p.record->valid_to, s.now + DAY_MS); /* R5 */
    crypto_sha256(buf_bytes(&s.p.spki), fingerprint);
    assert_memory_equal(fingerprint, s.p.record->fingerprint, 32);
    assert_int_equal(s.p.record->sealed.slot_class, SLOT_ERASABLE);
    assert_true(bytes_eq(s.p.record->key.arn, s.key->name.arn));
    assert_null(memmem(s.p.token.ptr, s.p.token.len, s.key->name.arn.ptr, s.key->name.arn.len));
    scene_close(&s);
}

static void test_token_is_for_its_key_and_day(void **state)
{
    struct scene       s;
    struct key_record *other = fixture_key("us-east-1", 2, ORIGIN_EXTERNAL);
    struct key_record *elsewhere = fixture_key("us-west-2", 1, ORIGIN_EXTERNAL);

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    assert_int_equal(open_token(&s, s.key, s.now), KMS_OK);
    assert_int_equal(open_token(&s, s.key, s.now), KMS_OK);             /* R5: not consumed */
    assert_int_equal(open_token(&s, other, s.now), KMS_E_IMPORT_TOKEN); /* R14 */
    assert_int_equal(open_token(&s, elsewhere, s.now), KMS_E_IMPORT_TOKEN);
    assert_int_equal(open_token(&s, s.key, s.now + DAY_MS - 1), KMS_OK);
    assert_int_equal(open_token(&s, s.key, s.now + DAY_MS), KMS_E_EXPIRED_TOKEN);
    struct key_record *spec = key_record_clone(s.key);
    spec->spec = SPEC_HMAC_256;
    assert_int_equal(open_token(&s, spec, s.now), KMS_E_IMPORT_TOKEN);
    fixture_reopen(&s.f);
    assert_int_equal(open_token(&s, s.key, s.now), KMS_OK); /* after a restart */
    key_record_free(spec);
    key_record_free(other);
    key_record_free(elsewhere);
    scene_close(&s);
}

static void test_token_tampering(void **state)
{
    struct scene   s;
    struct fixture other;
    uint8_t        id[16];

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    for (size_t bit = 0; bit < s.p.token.len * 8; bit++) {
        s.p.token.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_token(&s, s.key, s.now), KMS_E_IMPORT_TOKEN);
        s.p.token.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < s.p.token.len; len++)
        assert_int_equal(
            vault_token_open(s.f.v, s.key, bytes_of(s.p.token.ptr, len), s.now, id, NULL),
            KMS_E_IMPORT_TOKEN);
    fixture_open(&other); /* another instance's */
    assert_int_equal(vault_token_open(other.v, s.key, buf_bytes(&s.p.token), s.now, id, NULL),
                     KMS_E_IMPORT_TOKEN);
    fixture_close(&other);
    scene_close(&s);
}

/* --- unwrapping -------------------------------------------------------------------------------------- */

static void test_every_wrapping(void **state)
{
    static const enum wrapping_algorithm all[] = { WRAP_RSAES_OAEP_SHA_1, WRAP_RSAES_OAEP_SHA_256,
                                                   WRAP_RSA_AES_KEY_WRAP_SHA_1,
                                                   WRAP_RSA_AES_KEY_WRAP_SHA_256 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct scene s;
        scene_open(&s, all[i]);
        for (size_t j = 0; j < ARRAY_LEN(all); j++) {
            enum kms_status status = import_bytes(&s, all[j], bytes_of(material, 32));
            bool            same_form = (i < 2) == (j < 2);
            /* the wrong hash does not open; the wrong form does not even fit */
            assert_int_equal(status, i == j      ? KMS_OK
                                     : same_form ? KMS_E_CIPHERTEXT
                                                 : KMS_E_VALIDATION);
        }
        scene_close(&s);
    }
}

/* R15: InvalidCiphertextException without a message for every length but 32. */
static void test_material_length(void **state)
{
    struct scene s, t;

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    scene_open(&t, WRAP_RSA_AES_KEY_WRAP_SHA_256);
    for (size_t len = 1; len <= 128; len += len < 40 ? 1 : 11) {
        enum kms_status want = len == 32 ? KMS_OK : KMS_E_CIPHERTEXT;
        assert_int_equal(import_bytes(&s, WRAP_RSAES_OAEP_SHA_256, bytes_of(material, len)), want);
        assert_int_equal(import_bytes(&t, WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(material, len)),
                         want);
    }
    scene_close(&t);
    scene_close(&s);
}

static void test_wrapped_size(void **state)
{
    struct scene       s;
    struct kms_error   err;
    uint8_t            junk[6200] = { 0 };
    struct material_id id;

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    const size_t oaep[] = { 1, 255, 257, 384, 512, 6144 };
    for (size_t i = 0; i < ARRAY_LEN(oaep); i++) {
        assert_int_equal(import_wrapped(&s, bytes_of(junk, oaep[i]), &id, &err), KMS_E_VALIDATION);
        assert_string_equal(err.message, "Invalid encrypted key size.");
    }
    assert_int_equal(import_wrapped(&s, bytes_of(junk, 256), &id, &err), KMS_E_CIPHERTEXT);
    assert_int_equal(err.message_len, 0);
    scene_close(&s);

    scene_open(&s, WRAP_RSA_AES_KEY_WRAP_SHA_1);
    const size_t twice[] = { 1, 256, 264, 271, 273, 6144 + 8 };
    for (size_t i = 0; i < ARRAY_LEN(twice); i++)
        assert_int_equal(import_wrapped(&s, bytes_of(junk, twice[i]), &id, &err), KMS_E_VALIDATION);
    assert_int_equal(import_wrapped(&s, bytes_of(junk, 272), &id, &err), KMS_E_CIPHERTEXT);
    assert_int_equal(import_wrapped(&s, bytes_of(junk, 6144), &id, &err), KMS_E_CIPHERTEXT);
    scene_close(&s);
}

/* Damaged wrappings of both forms: one answer, whichever byte. */
static void test_wrapped_tampering(void **state)
{
    static const enum wrapping_algorithm both[] = { WRAP_RSAES_OAEP_SHA_256,
                                                    WRAP_RSA_AES_KEY_WRAP_SHA_256 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct scene                    s;
        struct material_id              id;
        CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);
        scene_open(&s, both[i]);
        fixture_wrap(buf_bytes(&s.p.spki), both[i], bytes_of(material, 32), &wrapped);
        for (size_t at = 0; at < wrapped.len; at += 5) {
            struct kms_error err;
            wrapped.ptr[at] ^= 0x20;
            assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, &err), KMS_E_CIPHERTEXT);
            assert_int_equal(err.message_len, 0);
            wrapped.ptr[at] ^= 0x20;
        }
        assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_OK);
        scene_close(&s);
    }
}

/* --- the wrapping key's record ------------------------------------------------------------------------- */

static void test_record_is_bound(void **state)
{
    struct scene                    s;
    struct material_id              id;
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    fixture_wrap(buf_bytes(&s.p.spki), WRAP_RSAES_OAEP_SHA_256, bytes_of(material, 32), &wrapped);
    struct import_key_record *r = s.p.record, keep = *r;
    for (int what = 0; what < 6; what++) {
        switch (what) {
        case 0:  r->id[0] ^= 1; break;
        case 1:  r->wrapping_algorithm = WRAP_RSAES_OAEP_SHA_1; break;
        case 2:  r->wrapping_spec = SPEC_RSA_4096; break;
        case 3:  r->fingerprint[31] ^= 1; break;
        case 4:  r->valid_to += 1000; break;
        default: r->sealed.domain_version++; break;
        }
        assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_E_KEY_UNAVAILABLE);
        *r = keep;
    }
    assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_OK);
    scene_close(&s);
}

static void test_record_of_another_key(void **state)
{
    struct scene         s;
    struct key_record   *other = fixture_key("us-east-1", 2, ORIGIN_EXTERNAL);
    struct material_id   id;
    struct vault_import *in = NULL;
    uint8_t              junk[256] = { 0 };

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    assert_int_equal(
        vault_import_open(s.f.v, other, s.p.record, bytes_of(junk, 256), &in, &id, NULL),
        KMS_E_IMPORT_TOKEN);
    assert_null(in);
    key_record_free(other);
    scene_close(&s);
}

/* After its 24 h, and after its slot was erased, a wrapping key opens nothing; the envelope of an import
 * is as dead as the material (trust-model 2.6). */
static void test_wrapping_key_ends(void **state)
{
    struct scene                    s;
    struct material_id              id;
    struct erase_proof              proof;
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    fixture_wrap(buf_bytes(&s.p.spki), WRAP_RSAES_OAEP_SHA_256, bytes_of(material, 32), &wrapped);
    assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_OK);
    assert_int_equal(vault_erase(s.f.v, &s.p.record->sealed, 1, &proof, NULL), KMS_OK);
    assert_false(proof.already_empty);
    assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_E_EXPIRED_TOKEN);
    scene_close(&s);

    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    clock_raise_floor(s.f.clock, s.now + DAY_MS);
    assert_int_equal(import_wrapped(&s, buf_bytes(&wrapped), &id, NULL), KMS_E_EXPIRED_TOKEN);
    scene_close(&s);
}

/* --- identity -------------------------------------------------------------------------------------------- */

/* R17: the id depends on key and material only; the check tag is independent of it. */
static void test_identity(void **state)
{
    struct scene         s;
    struct vault_import *in = NULL;
    struct material_id   id, id_again;

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    CLEANUP(buf_release) struct buf one = BUF_INIT(8192), two = BUF_INIT(8192);
    fixture_wrap(buf_bytes(&s.p.spki), WRAP_RSAES_OAEP_SHA_256, bytes_of(material, 32), &one);
    fixture_wrap(buf_bytes(&s.p.spki), WRAP_RSAES_OAEP_SHA_256, bytes_of(material + 1, 32), &two);
    assert_int_equal(import_wrapped(&s, buf_bytes(&one), &id, NULL), KMS_OK);
    assert_int_equal(import_wrapped(&s, buf_bytes(&two), &id_again, NULL), KMS_OK);
    assert_memory_not_equal(id.b, id_again.b, 32);
    assert_int_equal(
        vault_import_open(s.f.v, s.key, s.p.record, buf_bytes(&one), &in, &id_again, NULL), KMS_OK);
    assert_memory_equal(id.b, id_again.b, 32);

    struct key_material known = { .present = true, .expiration = DOES_NOT_EXPIRE };
    assert_int_equal(vault_import_seal(s.f.v, in, s.key, s.key->arena, &known, NULL), KMS_OK);
    assert_memory_equal(known.id.b, id.b, 32);
    assert_memory_not_equal(known.check, known.id.b, 32);
    assert_int_equal(vault_import_check(in, &known, NULL), KMS_OK);
    known.check[31] ^= 1; /* a forged id alone never passes */
    assert_int_equal(vault_import_check(in, &known, NULL), KMS_E_INCORRECT_MATERIAL);
    vault_import_close(in);
    vault_import_close(NULL);
    scene_close(&s);
}

/* Nothing of the material is left in memory once the import is closed, nor after one that failed. */
static void test_import_leaves_no_trace(void **state)
{
    static uint8_t                  needle[32];
    struct scene                    s;
    struct vault_import            *in = NULL;
    struct material_id              id;
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);

    (void)state;
    if (secret_memory_grade() == SECRET_MEMFD)
        skip();
    scene_open(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256);
    crypto_random(needle, sizeof needle);
    fixture_wrap(buf_bytes(&s.p.spki), WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(needle, 32),
                 &wrapped);
    assert_int_equal(
        vault_import_open(s.f.v, s.key, s.p.record, buf_bytes(&wrapped), &in, &id, NULL), KMS_OK);
    assert_int_equal(memory_copies(needle, sizeof needle), 1);
    vault_import_close(in);
    assert_int_equal(memory_copies(needle, sizeof needle), 0);
    uint8_t longer[33] = { 0 };
    memcpy(longer, needle, 32);
    assert_int_equal(
        import_bytes(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(longer, sizeof longer)),
        KMS_E_CIPHERTEXT);
    explicit_bzero(longer, sizeof longer);
    assert_int_equal(memory_copies(needle, sizeof needle), 0);
    scene_close(&s);
}

/* What was wrapped is read as material of the key's spec: 32 bytes are no RSA key, whatever else is right. */
static void test_read_as_the_spec_says(void **state)
{
    struct scene s;
    uint8_t      bytes[32] = { 7 };

    (void)state;
    scene_open(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256);
    s.key->spec = SPEC_RSA_2048;
    assert_int_equal(import_bytes(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(bytes, 32)),
                     KMS_E_CIPHERTEXT);
    s.key->spec = SPEC_HMAC_384; /* 48 bytes at least */
    assert_int_equal(import_bytes(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(bytes, 32)),
                     KMS_E_CIPHERTEXT);
    s.key->spec = SPEC_HMAC_256;
    assert_int_equal(import_bytes(&s, WRAP_RSA_AES_KEY_WRAP_SHA_256, bytes_of(bytes, 32)), KMS_OK);
    scene_close(&s);
}

/* No RSA key is ready, and the vault does not make one while a caller waits. */
static void test_no_ready_key(void **state)
{
    struct scene        s;
    struct key_material m = { .present = false };

    (void)state;
    scene_open(&s, WRAP_RSAES_OAEP_SHA_256);
    s.key->spec = SPEC_RSA_3072;
    assert_int_equal(vault_generate_material(s.f.v, s.key, s.key->arena, &m, NULL),
                     KMS_E_THROTTLED);
    assert_false(m.present);
    scene_close(&s);
}

/* --- ready keys ---------------------------------------------------------------------------------------- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t  cond;
    unsigned        calls;
};

static void called(void *arg)
{
    struct waiter *w = arg;

    (void)pthread_mutex_lock(&w->lock);
    w->calls++;
    (void)pthread_cond_signal(&w->cond);
    (void)pthread_mutex_unlock(&w->lock);
}

static void wait_for(struct waiter *w, unsigned calls)
{
    (void)pthread_mutex_lock(&w->lock);
    while (w->calls < calls)
        (void)pthread_cond_wait(&w->cond, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

static void test_ready_keys(void **state)
{
    struct fixture                 f;
    struct waiter                  w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    struct vault_import_parameters one = { 0 }, two = { 0 }, three = { 0 };
    struct vault_status            s;
    struct kms_error               err;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    assert_int_equal(
        vault_import_parameters(f.v, k, WRAP_RSAES_OAEP_SHA_1, SPEC_RSA_2048, 1, &one, &err),
        KMS_E_THROTTLED);
    assert_int_equal(err.message_len, 0);
    assert_int_equal(vault_import_parameters(f.v, k, WRAP_RSAES_OAEP_SHA_1, SPEC_SYMMETRIC_DEFAULT,
                                             1, &one, &err),
                     KMS_E_INTERNAL);

    /* waiters are served though no pool is to be filled */
    vault_when_ready(f.v, SPEC_RSA_2048, INT64_MAX, called, &w);
    vault_when_ready(f.v, SPEC_RSA_3072, INT64_MAX, called, &w);
    assert_int_equal(w.calls, 0);
    assert_int_equal(vault_start(f.v, &err), KMS_OK);
    wait_for(&w, 2);
    vault_status(f.v, &s);
    assert_int_equal(s.ready_keys[0], 1);
    assert_int_equal(s.ready_keys[1], 1);
    vault_when_ready(f.v, SPEC_RSA_2048, INT64_MAX, called, &w); /* one is there: at once */
    assert_int_equal(w.calls, 3);
    assert_int_equal(
        vault_import_parameters(f.v, k, WRAP_RSAES_OAEP_SHA_1, SPEC_RSA_2048, 1, &one, &err),
        KMS_OK);
    assert_int_equal(
        vault_import_parameters(f.v, k, WRAP_RSAES_OAEP_SHA_1, SPEC_RSA_3072, 1, &two, &err),
        KMS_OK);
    assert_int_equal(two.spki.len, 422); /* recorded A13 */
    assert_memory_not_equal(one.record->id, two.record->id, 16);
    assert_memory_not_equal(one.record->fingerprint, two.record->fingerprint, 32); /* R5 */

    /* the pool is filled up to its target, and again after one was taken */
    (void)pthread_mutex_lock(&f.v->ready_lock);
    f.v->ready[0].target = 2;
    (void)pthread_cond_signal(&f.v->ready_wake);
    (void)pthread_mutex_unlock(&f.v->ready_lock);
    for (unsigned i = 0; i < 2; i++) {
        do {
            (void)usleep(5000);
            vault_status(f.v, &s);
        } while (s.ready_keys[0] < 2);
        if (i == 0)
            assert_int_equal(vault_import_parameters(f.v, k, WRAP_RSAES_OAEP_SHA_1, SPEC_RSA_2048,
                                                     1, &three, &err),
                             KMS_OK);
    }
    vault_import_parameters_release(&one);
    vault_import_parameters_release(&two);
    vault_import_parameters_release(&three);
    key_record_free(k);
    fixture_close(&f); /* ends the thread */
}

/* Who has waited until then is called without a key, the others go on waiting. */
static void test_overdue(void **state)
{
    struct fixture      f;
    struct waiter       w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    struct vault_status s;
    int64_t             now = clock_monotonic_ms();

    (void)state;
    fixture_open(&f);
    for (unsigned i = 0; i < 6; i++)
        vault_when_ready(f.v, SPEC_RSA_2048 + i % 2, i == 1 || i == 4 ? INT64_MAX : now, called,
                         &w);
    vault_wake_overdue(f.v);
    assert_int_equal(w.calls, 4);
    vault_wake_overdue(f.v);
    assert_int_equal(w.calls, 4);
    vault_status(f.v, &s);
    assert_int_equal(s.ready_waiting[0], 1);
    assert_int_equal(s.ready_waiting[1], 1);
    vault_when_ready(f.v, SPEC_RSA_2048, now, called, &w); /* behind the one that is left */
    vault_wake_overdue(f.v);
    assert_int_equal(w.calls, 5);
    fixture_close(&f);
}

/* Closing does not wait for a long generation, nor call those who wait. */
static void test_close_while_generating(void **state)
{
    struct fixture   f;
    struct waiter    w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    struct kms_error err;

    (void)state;
    fixture_open(&f);
    for (unsigned i = 0; i < 50; i++)
        vault_when_ready(f.v, SPEC_RSA_4096, INT64_MAX, called, &w);
    assert_int_equal(vault_start(f.v, &err), KMS_OK);
    (void)usleep(30 * 1000);
    fixture_close(&f);
    assert_true(w.calls < 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_token_is_for_its_key_and_day),
        cmocka_unit_test(test_token_tampering),
        cmocka_unit_test(test_every_wrapping),
        cmocka_unit_test(test_material_length),
        cmocka_unit_test(test_wrapped_size),
        cmocka_unit_test(test_wrapped_tampering),
        cmocka_unit_test(test_record_is_bound),
        cmocka_unit_test(test_record_of_another_key),
        cmocka_unit_test(test_wrapping_key_ends),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_import_leaves_no_trace),
        cmocka_unit_test(test_read_as_the_spec_says),
        cmocka_unit_test(test_no_ready_key),
        cmocka_unit_test(test_ready_keys),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_close_while_generating),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
