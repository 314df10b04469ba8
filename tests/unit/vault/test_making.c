/* tests/unit/vault/test_making.c - new materials for keys that are there: for a rotation, for another
 * Region, out of a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fixture.h"
#include "vault/vault_internal.h"

#define PLAIN BYTES_LIT("plaintext of 22 bytes.")
#define CTX   BYTES_LIT("context")

enum { MANY = 128 };

static struct key_record *relative(const char *region, unsigned serial)
{
    struct key_record *k = fixture_key(region, serial, ORIGIN_AWS_KMS);

    k->multi_region = REGION_PRIMARY;
    return k;
}

static uint32_t used(struct fixture *f, enum slot_class slot_class)
{
    uint32_t n = 0;
    uint32_t total;
    uint64_t generation;

    slot_file_counts(f->v->slots[slot_class], &n, &total, &generation);
    return n;
}

static struct key_material *newest(struct key_record *k)
{
    return &k->materials[k->n_materials - 1];
}

static struct vault_material last_of(struct key_record *k)
{
    return (struct vault_material){ k, newest(k) };
}

/* What one has encrypted the other decrypts. */
static void assert_same_material(struct fixture *f, struct vault_material a,
                                 struct vault_material b)
{
    CLEANUP(buf_release) struct buf blob = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf plain = BUF_INIT(4096);

    assert_memory_equal(a.material->id.b, b.material->id.b, sizeof a.material->id.b);
    assert_memory_equal(a.material->check, b.material->check, sizeof a.material->check);
    assert_int_equal(fixture_encrypt(f, a, CTX, PLAIN, &blob), KMS_OK);
    assert_int_equal(fixture_decrypt(f, b, CTX, buf_bytes(&blob), &plain), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&plain), PLAIN));
}

/* A sealed form in the record of a relative does not open there. */
static void assert_bound(struct fixture *f, struct vault_material a, struct vault_material b)
{
    CLEANUP(buf_release) struct buf blob = BUF_INIT(4096);
    struct key_material             moved = *b.material;

    moved.sealed = a.material->sealed;
    fixture_reopen(f); /* what is opened already is not opened again */
    assert_int_equal(
        fixture_encrypt(f, (struct vault_material){ b.key, &moved }, CTX, PLAIN, &blob),
        KMS_E_KEY_UNAVAILABLE);
}

static void assert_pending(const struct key_material *m, const struct sealed *spare)
{
    assert_int_equal(m->role, MATERIAL_PENDING_ROTATION);
    assert_true(m->present && m->expiration == DOES_NOT_EXPIRE && m->valid_to == 0);
    assert_int_equal(m->created, 77);
    assert_int_equal(m->sealed.slot_class, SLOT_DURABLE);
    assert_true(m->sealed.slot == spare->slot &&
                m->sealed.slot_generation == spare->slot_generation &&
                bytes_eq(m->sealed.wrapped, spare->wrapped));
}

static void test_next_of_one_key(void **state)
{
    struct fixture f;
    struct sealed  spare;

    (void)state;
    fixture_open(&f);
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    struct material_id first = fixture_generate(&f, k)->id;
    assert_int_equal(vault_generate_next(f.v, &k, 1, 77, &spare, NULL), KMS_OK);
    assert_int_equal(k->n_materials, 2);
    assert_memory_equal(k->materials[0].id.b, first.b, sizeof first.b);
    assert_memory_not_equal(newest(k)->id.b, first.b, sizeof first.b);
    assert_pending(newest(k), &spare);
    assert_same_material(&f, last_of(k), last_of(k));
    assert_int_equal(used(&f, SLOT_DURABLE), 2);
    vault_release(f.v, &spare);
    assert_false(vault_slot_alive(f.v, &spare));
    key_record_free(k);
    fixture_close(&f);
}

static void test_next_in_all_regions(void **state)
{
    struct fixture f;
    struct sealed  spare[3];

    (void)state;
    fixture_open(&f);
    struct key_record *keys[3] = { relative("us-east-1", 1), relative("us-west-2", 1),
                                   relative("us-east-1", 2) };
    assert_int_equal(vault_generate_next(f.v, keys, 3, 77, spare, NULL), KMS_OK);
    for (size_t i = 0; i < 3; i++)
        assert_pending(newest(keys[i]), &spare[i]);
    assert_same_material(&f, last_of(keys[0]), last_of(keys[1]));
    assert_same_material(&f, last_of(keys[1]), last_of(keys[0]));
    assert_bound(&f, last_of(keys[0]), last_of(keys[1]));
    assert_bound(&f, last_of(keys[1]), last_of(keys[0]));
    assert_memory_not_equal(newest(keys[2])->id.b, newest(keys[0])->id.b, 32);
    assert_true(spare[0].slot != spare[1].slot && spare[1].slot != spare[2].slot);
    fixture_reopen(&f); /* nothing of it was in memory only */
    assert_same_material(&f, last_of(keys[0]), last_of(keys[1]));
    for (size_t i = 0; i < 3; i++)
        key_record_free(keys[i]);
    fixture_close(&f);
}

/* A Region without domain key, and a list that is full: nothing has changed. */
static void test_next_fails(void **state)
{
    struct fixture   f;
    struct kms_error err;
    struct sealed    spare[2];

    (void)state;
    fixture_open(&f);
    struct key_record *keys[2] = { relative("us-east-1", 1), relative("eu-west-1", 1) };
    assert_int_equal(vault_generate_next(f.v, keys, 2, 77, spare, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "no domain key for account 111122223333 in eu-west-1"));
    assert_true(keys[0]->n_materials == 0 && keys[1]->n_materials == 0);
    assert_int_equal(used(&f, SLOT_DURABLE), 0);

    struct key_record *full = relative("us-west-2", 1);
    while (full->n_materials < KEY_MATERIALS_MAX)
        (void)key_record_add_material(full);
    key_record_free(keys[1]);
    keys[1] = full;
    assert_int_equal(vault_generate_next(f.v, keys, 2, 77, spare, &err), KMS_E_LIMIT);
    assert_int_equal(keys[0]->n_materials, 0);
    assert_int_equal(used(&f, SLOT_DURABLE), 0);
    key_record_free(keys[0]);
    key_record_free(full);
    fixture_close(&f);
}

/* Many keys at once; says what one costs so, and alone. */
static void test_next_of_many(void **state)
{
    struct fixture     f;
    struct key_record *keys[MANY];
    struct sealed      spare[MANY];

    (void)state;
    fixture_open(&f);
    for (unsigned i = 0; i < MANY; i++)
        keys[i] = fixture_key("us-east-1", i, ORIGIN_AWS_KMS);
    uint64_t start = clock_monotonic_ns();
    assert_int_equal(vault_generate_next(f.v, keys, MANY, 77, spare, NULL), KMS_OK);
    uint64_t together = (clock_monotonic_ns() - start) / 1000;
    start = clock_monotonic_ns();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(vault_generate_next(f.v, &keys[i], 1, 77, &spare[i], NULL), KMS_OK);
    uint64_t alone = (clock_monotonic_ns() - start) / 1000;
    print_message("# a material: %llu us in a batch of %d, %llu us alone\n",
                  (unsigned long long)together / MANY, MANY, (unsigned long long)alone / MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(keys[i]->n_materials, 2);
        assert_same_material(&f, last_of(keys[i]), last_of(keys[i]));
        key_record_free(keys[i]);
    }
    assert_int_equal(used(&f, SLOT_DURABLE), 2 * MANY);
    fixture_close(&f);
}

static void test_copy(void **state)
{
    struct fixture   f;
    struct kms_error err;

    (void)state;
    fixture_open(&f);
    struct key_record *east = relative("us-east-1", 1);
    struct key_record *west = relative("us-west-2", 1);
    struct key_record *paris = relative("eu-west-3", 1);
    (void)fixture_generate(&f, east);
    struct key_material *copy = key_record_add_material(west);
    *copy = *newest(east);
    copy->sealed = (struct sealed){ .slot = 0 };
    copy->present = false;
    struct key_material nowhere = *copy;

    assert_int_equal(vault_copy_material(f.v, last_of(east), west, west->arena, copy, &err),
                     KMS_OK);
    assert_true(copy->present && copy->sealed.slot_class == SLOT_DURABLE);
    assert_true(copy->sealed.slot != newest(east)->sealed.slot);
    assert_same_material(&f, last_of(east), last_of(west));
    assert_same_material(&f, last_of(west), last_of(east));
    assert_bound(&f, last_of(east), last_of(west));
    assert_bound(&f, last_of(west), last_of(east));

    uint32_t before = used(&f, SLOT_DURABLE);
    assert_int_equal(vault_copy_material(f.v, last_of(east), paris, paris->arena, &nowhere, &err),
                     KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "no domain key for account 111122223333 in eu-west-3"));
    assert_false(nowhere.present);
    assert_int_equal(used(&f, SLOT_DURABLE), before);

    struct erase_proof proof;
    fixture_delete(&f, newest(east), &proof); /* one Region's slot goes, the other's stays */
    assert_same_material(&f, last_of(west), last_of(west));
    key_record_free(east);
    key_record_free(west);
    key_record_free(paris);
    fixture_close(&f);
}

/* What is gone or does not verify is not copied. */
static void test_copy_of_nothing(void **state)
{
    struct fixture   f;
    struct kms_error err;

    (void)state;
    fixture_open(&f);
    struct key_record  *east = relative("us-east-1", 1);
    struct key_record  *west = relative("us-west-2", 1);
    struct key_material copy = *fixture_generate(&f, east);
    struct key_material changed = *newest(east);

    changed.sealed.slot_generation++;
    assert_int_equal(vault_copy_material(f.v, (struct vault_material){ east, &changed }, west,
                                         west->arena, &copy, &err),
                     KMS_E_KEY_STATE);
    changed = *newest(east);
    changed.check[0] ^= 1;
    assert_int_equal(vault_copy_material(f.v, (struct vault_material){ east, &changed }, west,
                                         west->arena, &copy, &err),
                     KMS_E_KEY_UNAVAILABLE);
    assert_int_equal(used(&f, SLOT_DURABLE), 1);
    key_record_free(east);
    key_record_free(west);
    fixture_close(&f);
}

/* A key pair by way of the vault itself. */
static struct secret *pair_of(enum key_spec spec)
{
    struct secret *s = NULL;

    assert_int_equal(crypto_key_generate(spec, NULL, &s, NULL), KMS_OK);
    return s;
}

static void test_place(void **state)
{
    static const uint8_t raw[65] =
        "given in clear: 32 bytes of a seed, then some more for MAC keys.";
    struct fixture      f;
    struct key_material m = { .role = MATERIAL_CURRENT };

    (void)state;
    fixture_open(&f);
    struct key_record *a = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    struct key_record *b = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    assert_int_equal(vault_place_material(f.v, a, bytes_of(raw, 32), a->arena, &m, NULL), KMS_OK);
    assert_true(m.present && m.expiration == DOES_NOT_EXPIRE);
    assert_int_equal(m.sealed.slot_class, SLOT_DURABLE);
    *key_record_add_material(a) = m;

    /* the same bytes imported are the same material */
    struct key_material *imported = fixture_import(&f, b, bytes_of(raw, 32));
    assert_memory_equal(imported->id.b, m.id.b, sizeof m.id.b);
    struct key_material x = { .expiration = EXPIRES, .valid_to = 4102444800000 };
    assert_int_equal(vault_place_material(f.v, b, bytes_of(raw, 32), b->arena, &x, NULL), KMS_OK);
    assert_true(x.expiration == EXPIRES && x.valid_to == 4102444800000);
    assert_int_equal(x.sealed.slot_class, SLOT_ERASABLE);
    *key_record_add_material(b) = x;
    assert_same_material(&f, last_of(a), last_of(b));

    fixture_reopen(&f);
    assert_same_material(&f, last_of(b), last_of(a));
    key_record_free(a);
    key_record_free(b);
    fixture_close(&f);
}

static void test_place_of_every_kind(void **state)
{
    static const struct {
        enum key_spec spec, other;
    } kinds[] = {
        { SPEC_HMAC_256, SPEC_HMAC_512 },
        { SPEC_ECC_NIST_P256, SPEC_ECC_NIST_P384 },
        { SPEC_ML_DSA_44, SPEC_ML_DSA_65 },
    };
    struct fixture f;

    (void)state;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(secret_freep) struct secret *given = pair_of(kinds[i].spec);
        struct key_material                  m = { .role = MATERIAL_CURRENT };
        struct key_record *k = fixture_key("us-east-1", (unsigned)i, ORIGIN_AWS_KMS);
        uint32_t           before = used(&f, SLOT_DURABLE);
        k->spec = kinds[i].other;
        assert_int_equal(vault_place_material(f.v, k, secret_view(given), k->arena, &m, NULL),
                         KMS_E_CIPHERTEXT);
        k->spec = kinds[i].spec;
        struct bytes cut = secret_view(given);
        cut.len--;
        assert_int_equal(vault_place_material(f.v, k, cut, k->arena, &m, NULL), KMS_E_CIPHERTEXT);
        assert_int_equal(
            vault_place_material(f.v, k, (struct bytes){ NULL, 0 }, k->arena, &m, NULL),
            KMS_E_CIPHERTEXT);
        assert_false(m.present);
        assert_int_equal(used(&f, SLOT_DURABLE), before);
        assert_int_equal(vault_place_material(f.v, k, secret_view(given), k->arena, &m, NULL),
                         KMS_OK);
        assert_true(m.present && vault_slot_alive(f.v, &m.sealed));
        key_record_free(k);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_of_one_key),
        cmocka_unit_test(test_next_in_all_regions),
        cmocka_unit_test(test_next_fails),
        cmocka_unit_test(test_next_of_many),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_of_nothing),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_place_of_every_kind),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
