/* tests/unit/vault/test_material.c - materials at rest and in use: what binds them, when they end, and
 * that nothing of them is left. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "fixture.h"
#include "hmac_states.h"
#include "memory_scan.h"
#include "vault/vault_internal.h"

#define PLAIN BYTES_LIT("plaintext of 22 bytes.")
#define CTX   BYTES_LIT("context")

static const uint8_t imported[32] = "imported material, 32 bytes long";

static struct bytes imported_bytes(void)
{
    return bytes_of(imported, sizeof imported);
}

/* Encrypts something; what comes of it. */
static enum kms_status try_out(struct fixture *f, struct vault_material m)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(8192);

    return fixture_encrypt(f, m, CTX, PLAIN, &out);
}

/* --- use -------------------------------------------------------------------------------------------- */

static void test_commands(void **state)
{
    struct fixture                  f;
    CLEANUP(buf_release) struct buf blob = BUF_INIT(8192), plain = BUF_INIT(8192),
                                    other = BUF_INIT(8192);

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    struct key_record *b = fixture_key("us-east-1", 2, ORIGIN_EXTERNAL);
    (void)fixture_generate(&f, a);
    (void)fixture_import(&f, b, imported_bytes());
    struct vault_material ma = fixture_current(a), mb = fixture_current(b);

    buf_add_str(&blob, "before"); /* outputs are appended */
    assert_int_equal(fixture_encrypt(&f, ma, CTX, PLAIN, &blob), KMS_OK);
    assert_int_equal(blob.len, 6 + PLAIN.len + 152);
    buf_consume(&blob, 6);
    assert_int_equal(fixture_decrypt(&f, ma, CTX, buf_bytes(&blob), &plain), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&plain), PLAIN));
    assert_int_equal(fixture_decrypt(&f, ma, BYTES_LIT(""), buf_bytes(&blob), &plain),
                     KMS_E_CIPHERTEXT);
    assert_int_equal(fixture_decrypt(&f, mb, CTX, buf_bytes(&blob), &plain), KMS_E_CIPHERTEXT);
    assert_int_equal(plain.len, PLAIN.len); /* nothing was appended */

    epoch_enter(f.epoch, f.reader);
    const struct fixture_reencryption there = { ma, mb, CTX, BYTES_LIT("new"), buf_bytes(&blob) };
    const struct fixture_reencryption wrong = { mb, ma, CTX, CTX, buf_bytes(&blob) };
    assert_int_equal(fixture_reencrypt(f.v, &there, &other), KMS_OK);
    assert_int_equal(fixture_reencrypt(f.v, &wrong, &other), KMS_E_CIPHERTEXT);
    epoch_leave(f.epoch, f.reader);
    assert_int_equal(other.ptr[2], BLOB_ENCRYPT);
    buf_reset(&plain);
    assert_int_equal(fixture_decrypt(&f, mb, BYTES_LIT("new"), buf_bytes(&other), &plain), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&plain), PLAIN));

    for (size_t len = 1; len <= 1024; len *= 4) {
        buf_reset(&blob);
        buf_reset(&plain);
        buf_reset(&other);
        epoch_enter(f.epoch, f.reader);
        assert_int_equal(vault_generate_data_key(f.v, mb, CTX, len, &blob, &plain, NULL), KMS_OK);
        assert_int_equal(vault_generate_data_key(f.v, mb, CTX, len, &other, NULL, NULL), KMS_OK);
        epoch_leave(f.epoch, f.reader);
        assert_int_equal(blob.ptr[2], BLOB_DATA_KEY);
        assert_int_equal(plain.len, len);
        struct buf back = BUF_INIT(8192);
        assert_int_equal(fixture_decrypt(&f, mb, CTX, buf_bytes(&blob), &back), KMS_OK);
        assert_true(bytes_eq(buf_bytes(&plain), buf_bytes(&back)));
        buf_release(&back);
    }
    buf_reset(&plain);
    assert_int_equal(vault_random(f.v, 1000, &plain, NULL), KMS_OK);
    assert_int_equal(plain.len, 1000);
    key_record_free(a);
    key_record_free(b);
    fixture_close(&f);
    assert_int_equal(secret_count(), fixture_own_secrets());
}

/* The same plaintext never gives the same blob. */
static void test_blobs_differ(void **state)
{
    struct fixture                  f;
    CLEANUP(buf_release) struct buf one = BUF_INIT(8192), two = BUF_INIT(8192);

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, a);
    assert_int_equal(fixture_encrypt(&f, fixture_current(a), CTX, PLAIN, &one), KMS_OK);
    assert_int_equal(fixture_encrypt(&f, fixture_current(a), CTX, PLAIN, &two), KMS_OK);
    assert_memory_not_equal(one.ptr + 38, two.ptr + 38, 16); /* nonce      */
    assert_memory_not_equal(one.ptr + 60, two.ptr + 60, 12); /* IV         */
    assert_memory_not_equal(one.ptr + 72, two.ptr + 72, 32); /* commitment */
    assert_memory_not_equal(one.ptr + 136, two.ptr + 136, 22);
    key_record_free(a);
    fixture_close(&f);
}

static void test_survives_a_restart(void **state)
{
    struct fixture                  f;
    CLEANUP(buf_release) struct buf blob = BUF_INIT(8192), plain = BUF_INIT(8192);

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, a);
    assert_int_equal(fixture_encrypt(&f, fixture_current(a), CTX, PLAIN, &blob), KMS_OK);
    fixture_reopen(&f);
    assert_int_equal(fixture_decrypt(&f, fixture_current(a), CTX, buf_bytes(&blob), &plain),
                     KMS_OK);
    assert_true(bytes_eq(buf_bytes(&plain), PLAIN));
    key_record_free(a);
    fixture_close(&f);
}

/* --- what binds a sealed material (trust-model 2.4) ------------------------------------------------------ */

enum change {
    C_ARN,
    C_KEY_ID,
    C_SPEC,
    C_USAGE,
    C_ORIGIN,
    C_MULTI_REGION,
    C_MATERIAL_ID,
    C_CHECK,
    C_EXPIRATION,
    C_VALID_TO,
    C_DOMAIN_VERSION,
    C_SLOT_CLASS,
    C_WRAPPED_FIRST,
    C_WRAPPED_LAST,
    C_WRAPPED_SHORT,
    C_REGION,
    CHANGES
};

/* Changes one field of the row; what the vault must say. */
static enum kms_status apply(enum change c, struct key_record *k, struct key_material *m)
{
    uint8_t *wrapped = arena_alloc(k->arena, m->sealed.wrapped.len);

    memcpy(wrapped, m->sealed.wrapped.ptr, m->sealed.wrapped.len);
    switch (c) {
    case C_ARN:    k->name.arn = BYTES_LIT("arn:aws:kms:us-east-1:111122223333:key/other"); break;
    case C_KEY_ID: k->name.id = BYTES_LIT("1234abcd-12ab-34cd-56ef-999999999999"); break;
    case C_SPEC:   k->spec = SPEC_HMAC_256; break;
    case C_USAGE:  k->usage = USAGE_SIGN_VERIFY; break;
    case C_ORIGIN:
        k->origin = k->origin == ORIGIN_EXTERNAL ? ORIGIN_AWS_KMS : ORIGIN_EXTERNAL;
        break;
    case C_MULTI_REGION: k->multi_region = REGION_PRIMARY; break;
    case C_MATERIAL_ID:  m->id.b[31] ^= 1; break;
    case C_CHECK:        m->check[0] ^= 1; break;
    case C_EXPIRATION:   m->expiration = m->expiration == EXPIRES ? DOES_NOT_EXPIRE : EXPIRES; break;
    case C_VALID_TO:
        m->valid_to += 1000; /* a second longer */
        break;
    case C_DOMAIN_VERSION: m->sealed.domain_version = 2; break;
    case C_SLOT_CLASS:
        m->sealed.slot_class = m->sealed.slot_class == SLOT_ERASABLE ? SLOT_DURABLE : SLOT_ERASABLE;
        break;
    case C_WRAPPED_FIRST:
        wrapped[0] ^= 1;
        m->sealed.wrapped.ptr = wrapped;
        break;
    case C_WRAPPED_LAST:
        wrapped[m->sealed.wrapped.len - 1] ^= 1;
        m->sealed.wrapped.ptr = wrapped;
        break;
    case C_WRAPPED_SHORT: m->sealed.wrapped.len--; break;
    case C_REGION:
        k->name.region = BYTES_LIT("us-west-2"); /* another domain key */
        break;
    case CHANGES: break;
    }
    return KMS_E_KEY_UNAVAILABLE;
}

/* Each on a cold cache, and each with the material opened before: a changed row is a security event, not
 * "not found" and not a success. */
static void test_every_field_is_bound(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    for (int c = 0; c < CHANGES; c++) {
        struct key_record *k = fixture_key("us-east-1", 10u + (unsigned)c, ORIGIN_EXTERNAL);
        (void)fixture_import_until(&f, k, imported_bytes(), clock_now(f.clock) + 3600 * 1000);
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
        struct key_record *changed = key_record_clone(k);
        enum kms_status    want = apply((enum change)c, changed, &changed->materials[0]);
        vault_forget(f.v, &k->materials[0].id);
        vault_reclaim(f.v);
        assert_int_equal(try_out(&f, fixture_current(changed)), want);
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK); /* the row as it was opens */
        key_record_free(changed);
        key_record_free(k);
    }
    fixture_close(&f);
}

/* The origin counts for itself, also where it does not change the slot class. */
static void test_origin_is_bound(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, k);
    k->origin = ORIGIN_AWS_CLOUDHSM;
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_E_KEY_UNAVAILABLE);
    k->origin = ORIGIN_AWS_KMS;
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    key_record_free(k);
    fixture_close(&f);
}

/* A stretched ValidTo does not ride on a material that is opened already. */
static void test_changed_row_and_warm_cache(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    (void)fixture_import_until(&f, k, imported_bytes(), clock_now(f.clock) + 3600 * 1000);
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    struct key_record *changed = key_record_clone(k);
    changed->materials[0].valid_to += 1000;
    assert_int_equal(try_out(&f, fixture_current(changed)), KMS_E_KEY_UNAVAILABLE);
    changed->materials[0].valid_to -= 1000;
    changed->materials[0].id.b[0] ^= 1;
    assert_int_equal(try_out(&f, fixture_current(changed)), KMS_E_KEY_UNAVAILABLE);
    key_record_free(changed);
    key_record_free(k);
    fixture_close(&f);
}

/* The row of one key moved to another: sealed form and slot are real, but not that key's. */
static void test_moved_rows(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    struct key_record *b = fixture_key("us-east-1", 2, ORIGIN_EXTERNAL);
    (void)fixture_import(&f, a, imported_bytes());
    (void)fixture_import(&f, b, imported_bytes());
    assert_memory_not_equal(a->materials[0].id.b, b->materials[0].id.b, 32); /* kms-behaviour 7.6 */
    struct sealed keep = a->materials[0].sealed;
    a->materials[0].sealed = b->materials[0].sealed;
    assert_int_equal(try_out(&f, fixture_current(a)), KMS_E_KEY_UNAVAILABLE);
    a->materials[0].sealed = keep;
    assert_int_equal(try_out(&f, fixture_current(a)), KMS_OK);
    key_record_free(a);
    key_record_free(b);
    fixture_close(&f);
}

/* --- the end of a material --------------------------------------------------------------------------------- */

static void test_expiry_to_the_millisecond(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    for (int warm = 0; warm < 2; warm++) {
        struct key_record *k = fixture_key("us-east-1", 1u + (unsigned)warm, ORIGIN_EXTERNAL);
        int64_t            valid_to = clock_now(f.clock) + 60 * 1000;
        (void)fixture_import_until(&f, k, imported_bytes(), valid_to);
        if (warm)
            assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
        clock_raise_floor(f.clock, valid_to - 2000);
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
        clock_raise_floor(f.clock, valid_to);
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_E_KEY_STATE);
        key_record_free(k);
    }
    fixture_close(&f);
}

/* "Deleted means deleted": by no record, cached or not, and not after a restart. */
static void test_deleted_is_gone(void **state)
{
    struct fixture     f;
    struct erase_proof proof;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    (void)fixture_import(&f, k, imported_bytes());
    assert_true(vault_slot_alive(f.v, &k->materials[0].sealed));
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    fixture_delete(&f, &k->materials[0], &proof);
    assert_false(proof.already_empty);
    assert_false(vault_slot_alive(f.v, &k->materials[0].sealed));
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_E_KEY_STATE); /* an old database row */
    fixture_reopen(&f);
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_E_KEY_STATE);

    /* the same material again: same id, new slot generation; the old row stays dead */
    struct key_record *again = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    (void)fixture_import(&f, again, imported_bytes());
    assert_memory_equal(again->materials[0].id.b, k->materials[0].id.b, 32); /* R17 */
    assert_int_equal(try_out(&f, fixture_current(again)), KMS_OK);
    assert_int_not_equal(try_out(&f, fixture_current(k)), KMS_OK);
    again->materials[0].present = false;
    assert_int_equal(try_out(&f, fixture_current(again)), KMS_E_KEY_STATE);
    assert_int_equal(try_out(&f, (struct vault_material){ again, NULL }), KMS_E_KEY_STATE);
    key_record_free(again);
    key_record_free(k);
    fixture_close(&f);
}

/* R17, R49: replicas have the same id; what one Region deletes the other keeps. */
static void test_regions_are_independent(void **state)
{
    struct fixture           f;
    struct erase_proof       proof;
    static const char *const regions[] = { "us-east-1", "us-west-2" };
    struct key_record       *k[2];

    (void)state;
    fixture_open(&f);
    for (size_t i = 0; i < 2; i++) {
        k[i] = fixture_key(regions[i], 1, ORIGIN_EXTERNAL);
        k[i]->multi_region = i == 0 ? REGION_PRIMARY : REGION_REPLICA;
        (void)fixture_import(&f, k[i], imported_bytes());
        assert_int_equal(try_out(&f, fixture_current(k[i])), KMS_OK);
    }
    assert_memory_equal(k[0]->materials[0].id.b, k[1]->materials[0].id.b, 32);
    CLEANUP(buf_release) struct buf blob = BUF_INIT(8192), plain = BUF_INIT(8192);
    assert_int_equal(fixture_encrypt(&f, fixture_current(k[0]), CTX, PLAIN, &blob), KMS_OK);
    assert_int_equal(fixture_decrypt(&f, fixture_current(k[1]), CTX, buf_bytes(&blob), &plain),
                     KMS_OK);
    fixture_delete(&f, &k[0]->materials[0], &proof);
    assert_int_equal(try_out(&f, fixture_current(k[0])), KMS_E_KEY_STATE);
    assert_int_equal(try_out(&f, fixture_current(k[1])), KMS_OK);
    assert_int_equal(try_out(&f, fixture_current(k[0])), KMS_E_KEY_STATE); /* the cache is warm */
    key_record_free(k[0]);
    key_record_free(k[1]);
    fixture_close(&f);
}

static void test_release_gives_the_slot_back(void **state)
{
    struct fixture      f;
    struct vault_status s;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, k);
    vault_status(f.v, &s);
    assert_int_equal(s.slots_used[SLOT_DURABLE], 1);
    vault_release(f.v, &k->materials[0].sealed);
    vault_status(f.v, &s);
    assert_int_equal(s.slots_used[SLOT_DURABLE], 0);
    key_record_free(k);
    fixture_close(&f);
}

static void test_erases_both_classes_in_one_call(void **state)
{
    struct fixture      f;
    struct erase_proof  proofs[3];
    struct vault_status s;

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    struct key_record *b = fixture_key("us-east-1", 2, ORIGIN_EXTERNAL);
    (void)fixture_generate(&f, a);
    (void)fixture_import(&f, b, imported_bytes());
    struct sealed list[] = { b->materials[0].sealed, a->materials[0].sealed,
                             b->materials[0].sealed };
    list[2].slot_generation += 5;
    assert_int_equal(vault_erase(f.v, list, 3, proofs, NULL), KMS_OK);
    vault_status(f.v, &s);
    assert_int_equal(proofs[0].file_generation, s.generation[SLOT_ERASABLE]);
    assert_int_equal(proofs[1].file_generation, s.generation[SLOT_DURABLE]);
    assert_int_not_equal(proofs[0].file_generation, proofs[1].file_generation);
    assert_false(proofs[0].already_empty || proofs[1].already_empty);
    assert_true(proofs[2].already_empty);
    assert_int_equal(s.slots_used[0] + s.slots_used[1], 0);
    key_record_free(a);
    key_record_free(b);
    fixture_close(&f);
}

/* --- traces ------------------------------------------------------------------------------------------------ */

static size_t cached(struct fixture *f)
{
    struct vault_status s;

    vault_status(f->v, &s);
    return s.cached_materials;
}

/* trust-model 6.8: before the deletion exactly one copy, prepared, in the cache; afterwards none. */
static void test_memory_after_deletion(void **state)
{
    static uint8_t     raw[32], needle[64];
    struct fixture     f;
    struct erase_proof proof;

    (void)state;
    if (secret_memory_grade() == SECRET_MEMFD)
        skip(); /* nobody can look */
    fixture_open(&f);
    for (unsigned round = 0; round < 5; round++) {
        struct key_record *k = fixture_key("us-east-1", round, ORIGIN_EXTERNAL);
        uint8_t            material[32];
        crypto_random(raw, sizeof raw);
        memcpy(material, raw, sizeof material);
        hmac_states(raw, sizeof raw, needle);
        (void)fixture_import(&f, k, bytes_of(material, sizeof material));
        explicit_bzero(material, sizeof material);
        assert_int_equal(memory_copies(raw, sizeof raw), 0); /* imported and wiped */
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
        assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
        assert_int_equal(memory_copies(raw, sizeof raw), 0);
        assert_int_equal(memory_copies(needle, sizeof needle), 1); /* opened, in the cache */
        if (round % 2 == 0) {
            fixture_delete(&f, &k->materials[0], &proof);
        } else { /* only forgotten: the last step of an idle material's life in memory */
            vault_forget(f.v, &k->materials[0].id);
            assert_int_equal(memory_copies(needle, sizeof needle), 1); /* readers may still look */
            vault_reclaim(f.v);
        }
        assert_int_equal(memory_copies(needle, 32) + memory_copies(needle + 32, 32), 0);
        key_record_free(k);
    }
    fixture_close(&f);
}

static void test_memory_after_generation(void **state)
{
    static uint8_t needle[32];
    struct fixture f;

    (void)state;
    if (secret_memory_grade() == SECRET_MEMFD)
        skip();
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, k);
    struct vault_material m = fixture_current(k);
    struct seal_request   r = material_request(&m);
    struct secret        *opened = NULL;
    assert_int_equal(material_open(f.v, &r, &m.material->sealed, &opened, NULL), KMS_OK);
    memcpy(needle, secret_data(opened), 32);
    assert_int_equal(memory_copies(needle, sizeof needle), 1);
    secret_free(opened);
    assert_int_equal(memory_copies(needle, sizeof needle), 0); /* nor where it was made */
    key_record_free(k);
    fixture_close(&f);
}

/* No file of the instance has the material, before or after. */
static void test_disk_never_has_the_material(void **state)
{
    struct fixture f;
    unsigned       files = 0;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    (void)fixture_import(&f, k, imported_bytes());
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    DIR *d = opendir(f.dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        CLEANUP(buf_release) struct buf all = BUF_INIT(8 << 20);
        char                            path[512];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", f.dir, e->d_name);
        assert_int_equal(file_read(path, &all, NULL), KMS_OK);
        assert_null(memmem(all.ptr, all.len, imported, sizeof imported));
        files++;
    }
    (void)closedir(d);
    assert_int_equal(files, 4);
    key_record_free(k);
    fixture_close(&f);
}

/* --- the cache ----------------------------------------------------------------------------------------------- */

static void test_idle_materials_leave(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    f.v->cache_idle_ms = 0;
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    struct key_record *l = fixture_key("us-east-1", 2, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, k);
    (void)fixture_generate(&f, l);
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    assert_int_equal(try_out(&f, fixture_current(l)), KMS_OK);
    assert_int_equal(cached(&f), 2);
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK); /* used since it was opened */
    assert_int_equal(vault_forget_idle(f.v), 1);
    assert_int_equal(cached(&f), 1);
    assert_int_equal(vault_forget_idle(f.v), 1);
    assert_int_equal(vault_forget_idle(f.v), 0);
    vault_reclaim(f.v);
    f.v->cache_idle_ms = 60 * 1000;
    assert_int_equal(try_out(&f, fixture_current(k)), KMS_OK);
    assert_int_equal(vault_forget_idle(f.v), 0); /* not yet */
    assert_int_equal(cached(&f), 1);
    key_record_free(k);
    key_record_free(l);
    fixture_close(&f);
}

/* What a use takes of secret memory it gives back. */
static void test_use_leaves_no_secrets(void **state)
{
    struct fixture                  f;
    CLEANUP(buf_release) struct buf out = BUF_INIT(8192);

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, k);
    assert_int_equal(fixture_encrypt(&f, fixture_current(k), CTX, PLAIN, &out), KMS_OK);
    size_t before = secret_count();
    for (unsigned i = 0; i < 100; i++) {
        buf_reset(&out);
        assert_int_equal(fixture_encrypt(&f, fixture_current(k), CTX, PLAIN, &out), KMS_OK);
    }
    assert_int_equal(secret_count(), before);
    key_record_free(k);
    fixture_close(&f);
}

/* --- domain keys ------------------------------------------------------------------------------------------- */

static void test_domain_keys(void **state)
{
    struct fixture                  f;
    CLEANUP(buf_release) struct buf one = BUF_INIT(256), two = BUF_INIT(256), next = BUF_INIT(256);
    struct bytes                    account = BYTES_LIT("444455556666");
    struct bytes                    region = BYTES_LIT("eu-central-1");

    (void)state;
    fixture_open(&f);
    assert_int_equal(vault_domain_version(f.v, account, region), 0);
    /* first keys that race get the same domain key, and it counts only once it is stored */
    assert_int_equal(vault_new_domain(f.v, account, region, 1, &one, NULL), KMS_OK);
    assert_int_equal(vault_new_domain(f.v, account, region, 1, &two, NULL), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
    assert_int_equal(vault_domain_version(f.v, account, region), 0);
    uint32_t version = 0;
    assert_non_null(domain_key(f.v, account, region, 0, &version)); /* usable by that first key */
    assert_int_equal(version, 1);

    struct domain_key_record r = { account, region, 1, buf_bytes(&one) };
    assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_OK);
    assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_OK); /* idempotent */
    assert_int_equal(vault_domain_version(f.v, account, region), 1);
    assert_int_equal(vault_domain_version(f.v, account, BYTES_LIT("eu-central-2")), 0);

    /* a second version is not used before it is stored */
    assert_int_equal(vault_new_domain(f.v, account, region, 2, &next, NULL), KMS_OK);
    assert_int_equal(vault_domain_version(f.v, account, region), 1);
    struct secret *current = domain_key(f.v, account, region, 0, &version);
    assert_int_equal(version, 1);
    struct domain_key_record r2 = { account, region, 2, buf_bytes(&next) };
    assert_int_equal(vault_add_domain(f.v, &r2, NULL), KMS_OK);
    assert_int_equal(vault_domain_version(f.v, account, region), 2);
    assert_ptr_equal(domain_key(f.v, account, region, 1, NULL), current);

    /* stored rows are bound to account, Region, version and instance */
    fixture_reopen(&f);
    r.region = BYTES_LIT("eu-central-2");
    assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_E_KEY_UNAVAILABLE);
    r = (struct domain_key_record){ account, region, 2, buf_bytes(&one) };
    assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_E_KEY_UNAVAILABLE);
    r.version = 1;
    for (size_t bit = 0; bit < one.len * 8; bit += 7) {
        one.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_E_KEY_UNAVAILABLE);
        one.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(vault_add_domain(f.v, &r, NULL), KMS_OK);
    r.wrapped = buf_bytes(&next);
    assert_int_equal(vault_add_domain(f.v, &r, NULL),
                     KMS_E_KEY_UNAVAILABLE); /* two of one version */
    fixture_close(&f);
}

/* --- markers ------------------------------------------------------------------------------------------------- */

static void test_markers(void **state)
{
    struct fixture                  f, g;
    CLEANUP(buf_release) struct buf text = BUF_INIT(1024), back = BUF_INIT(1024);
    struct bytes                    purpose = BYTES_LIT("111122223333 us-east-1 ListKeys");

    (void)state;
    fixture_open(&f);
    fixture_open(&g);
    for (size_t len = 0; len < 60; len++) {
        uint8_t content[60];
        crypto_random(content, sizeof content);
        buf_reset(&text);
        buf_reset(&back);
        assert_int_equal(vault_marker_seal(f.v, purpose, bytes_of(content, len), &text, NULL),
                         KMS_OK);
        for (size_t i = 0; i < text.len; i++)
            assert_non_null(
                memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                       text.ptr[i], 64));
        assert_int_equal(vault_marker_open(f.v, purpose, buf_bytes(&text), &back, NULL), KMS_OK);
        assert_true(bytes_eq(buf_bytes(&back), bytes_of(content, len)));
        assert_int_equal(vault_marker_open(f.v, BYTES_LIT("111122223333 us-east-1 ListAliases"),
                                           buf_bytes(&text), &back, NULL),
                         KMS_E_MARKER);
        assert_int_equal(vault_marker_open(g.v, purpose, buf_bytes(&text), &back, NULL),
                         KMS_E_MARKER);
    }
    size_t have = back.len;
    for (size_t i = 0; i < text.len; i++) { /* any other character in any place */
        uint8_t keep = text.ptr[i];
        for (unsigned c = 0; c < 256; c++) {
            text.ptr[i] = (uint8_t)c;
            if (c != keep)
                assert_int_equal(vault_marker_open(f.v, purpose, buf_bytes(&text), &back, NULL),
                                 KMS_E_MARKER);
        }
        text.ptr[i] = keep;
        assert_int_equal(vault_marker_open(f.v, purpose, bytes_of(text.ptr, i), &back, NULL),
                         KMS_E_MARKER);
    }
    assert_int_equal(back.len, have);
    fixture_close(&g);
    fixture_close(&f);
}

/* --- grant tokens -------------------------------------------------------------------------------------------- */

static const char grant_id[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static struct grant_record *a_grant(void)
{
    struct grant_record *g = grant_record_new();

    assert_non_null(g);
    grant_record_set_key(g, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"),
                         BYTES_LIT("1234abcd-12ab-34cd-56ef-1234567890ab"));
    g->id = bytes_str(grant_id);
    return g;
}

static void test_grant_tokens(void **state)
{
    struct fixture                                   f, other;
    CLEANUP(buf_release) struct buf                  text = BUF_INIT(GRANT_TOKEN_MAX);
    CLEANUP(buf_release) struct buf                  again = BUF_INIT(GRANT_TOKEN_MAX);
    CLEANUP(grant_record_freep) struct grant_record *g = a_grant();
    struct grant_token                               t = { .grant_id = "untouched" };

    (void)state;
    fixture_open(&f);
    assert_int_equal(vault_grant_token_seal(f.v, g, &text, NULL), KMS_OK);
    fixture_reopen(&f); /* it holds as long as the instance */
    fixture_open(&other);
    assert_int_equal(vault_grant_token_seal(f.v, g, &again, NULL), KMS_OK);
    assert_false(bytes_eq(buf_bytes(&text), buf_bytes(&again)));
    assert_int_equal(vault_grant_token_open(other.v, buf_bytes(&text), &t, NULL),
                     KMS_E_GRANT_TOKEN);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t keep = text.ptr[i];
        for (unsigned c = 1; c < 256; c <<= 1) {
            text.ptr[i] = keep ^ (uint8_t)c;
            assert_int_equal(vault_grant_token_open(f.v, buf_bytes(&text), &t, NULL),
                             KMS_E_GRANT_TOKEN);
        }
        text.ptr[i] = keep;
        assert_int_equal(vault_grant_token_open(f.v, bytes_of(text.ptr, i), &t, NULL),
                         KMS_E_GRANT_TOKEN);
    }
    assert_string_equal(t.grant_id, "untouched");
    assert_int_equal(vault_grant_token_open(f.v, buf_bytes(&text), &t, NULL), KMS_OK);
    assert_string_equal(t.account, "111122223333");
    assert_string_equal(t.region, "us-east-1");
    assert_string_equal(t.key_id, "1234abcd-12ab-34cd-56ef-1234567890ab");
    assert_string_equal(t.grant_id, grant_id);
    fixture_close(&other);
    fixture_close(&f);
}

/* Neither opens as the other, although both are text of the same form. */
static void test_tokens_are_no_markers(void **state)
{
    struct fixture                                   f;
    CLEANUP(buf_release) struct buf                  text = BUF_INIT(GRANT_TOKEN_MAX);
    CLEANUP(buf_release) struct buf                  back = BUF_INIT(GRANT_TOKEN_MAX);
    CLEANUP(grant_record_freep) struct grant_record *g = a_grant();
    struct bytes                                     none = { NULL, 0 };
    struct grant_token                               t;

    (void)state;
    fixture_open(&f);
    assert_int_equal(vault_grant_token_seal(f.v, g, &text, NULL), KMS_OK);
    assert_int_equal(vault_marker_open(f.v, none, buf_bytes(&text), &back, NULL), KMS_E_MARKER);
    buf_reset(&text);
    assert_int_equal(vault_marker_seal(f.v, none, BYTES_LIT("\1"), &text, NULL), KMS_OK);
    assert_int_equal(vault_grant_token_open(f.v, buf_bytes(&text), &t, NULL), KMS_E_GRANT_TOKEN);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_blobs_differ),
        cmocka_unit_test(test_survives_a_restart),
        cmocka_unit_test(test_every_field_is_bound),
        cmocka_unit_test(test_origin_is_bound),
        cmocka_unit_test(test_changed_row_and_warm_cache),
        cmocka_unit_test(test_moved_rows),
        cmocka_unit_test(test_expiry_to_the_millisecond),
        cmocka_unit_test(test_deleted_is_gone),
        cmocka_unit_test(test_regions_are_independent),
        cmocka_unit_test(test_release_gives_the_slot_back),
        cmocka_unit_test(test_erases_both_classes_in_one_call),
        cmocka_unit_test(test_memory_after_deletion),
        cmocka_unit_test(test_memory_after_generation),
        cmocka_unit_test(test_disk_never_has_the_material),
        cmocka_unit_test(test_idle_materials_leave),
        cmocka_unit_test(test_use_leaves_no_secrets),
        cmocka_unit_test(test_domain_keys),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_grant_tokens),
        cmocka_unit_test(test_tokens_are_no_markers),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
