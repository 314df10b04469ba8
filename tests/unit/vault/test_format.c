/* tests/unit/vault/test_format.c - stored formats of version one, made by another program from
 * docs/storage-format.md. What is here must open for ever; a later version adds, it does not change. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "fixture.h"
#include "vault/vault_internal.h"

#define ACCOUNT "111122223333"
#define KEY_ID  "1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN     "arn:aws:kms:us-east-1:" ACCOUNT ":key/" KEY_ID

static const char header_hex[] =
    "5452454e54534c5400000001000000017468697320697320696e7374616e63650000000000000007"
    "d31e566756475f339f7dc1b55eaa3cd0deffe07f7d5a3bd8105a62e30af8e801";
static const char slot_hex[] =
    "534c4f5400000001000000000000000594916c7b76fd0c6bf9107ebc2be522eee78f0f5786260056"
    "af8dd1bbcc6a0695f10f2017e2c6522923a38f45beeaf7038930c7b8a86d322b16df385d15ccf953"
    "c34df04ca87f3219"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000";
static const char envelope_hex[] =
    "01000102030405060708090a0b0c0d0e0ff23271e4c5e0a46a643b47021e179844104d65d366d5f9";
static const char id_hex[] = "073e3a8c63807ef24fc3bb52c0ab12e751af91c5443aab6d5b2b179955544820";
static const char check_hex[] = "d1dbdd7da2719e5e4d1d8d36453f7fed9d41a79a72ea7ece53ccb1862ba9b9f7";
static const char sealed_hex[] = "dc43407ba7c4dbe540939bb03203f911b79e1e085b002848d47fc3245d5358b9"
                                 "6ca36dce927ba5267afc6babb7ad43c5";
static const char sealed_multi_hex[] =
    "dc43407ba7c4dbe540939bb03203f911b79e1e085b002848d47fc3245d5358b9"
    "988890de83fe01660be3f2326d8fb5cf";

enum { SLOT_NUMBER = 33, SLOT_GENERATION = 5 };

static struct bytes unhex(const char *hex, uint8_t *room)
{
    size_t len = strlen(hex) / 2;

    assert_true(hex_read(bytes_str(hex), room, len));
    return bytes_of(room, len);
}

static void count_up(uint8_t *to, uint8_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(from + i);
}

static struct secret *key_one(void)
{
    return secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"));
}

static struct secret *key_two(void)
{
    return secret_copy(BYTES_LIT("fedcba9876543210fedcba9876543210"));
}

static struct slot_keys slot_keys(void)
{
    struct slot_keys keys = { .wrap = key_one(), .mac = key_two() };

    memcpy(keys.instance, "this is instance", 16);
    return keys;
}

static void test_slot_file(void **state)
{
    struct slot_keys    keys = slot_keys();
    uint8_t             room[SLOT_BYTES], again[SLOT_BYTES], id[32], owner[SLOT_OWNER];
    uint64_t            generation = 0;
    struct slot_content content;

    (void)state;
    struct bytes header = unhex(header_hex, room);
    assert_int_equal(header.len, SLOT_HEADER);
    assert_int_equal(slot_header_decode(&keys, SLOT_DURABLE, room, &generation), SLOT_HEADER_GOOD);
    assert_int_equal(generation, 7);
    slot_header_encode(&keys, SLOT_DURABLE, 7, again);
    assert_memory_equal(again, room, SLOT_HEADER);

    assert_int_equal(unhex(slot_hex, room).len, SLOT_BYTES);
    slot_decode(&keys, SLOT_ERASABLE, SLOT_NUMBER, room, &content);
    assert_int_equal(content.state, SLOT_USED);
    assert_int_equal(content.generation, SLOT_GENERATION);
    count_up(id, 0x80, 32);
    slot_owner(&keys, BYTES_LIT(KEY_ID), bytes_of(id, 32), owner);
    assert_memory_equal(content.owner, owner, SLOT_OWNER);
    slot_encode(&keys, SLOT_ERASABLE, SLOT_NUMBER, &content, again);
    assert_memory_equal(again, room, SLOT_BYTES);
    secret_free(keys.wrap);
    secret_free(keys.mac);
}

static void test_envelope(void **state)
{
    CLEANUP(secret_freep) struct secret *key = key_one();
    uint8_t                              room[64], content[64];

    (void)state;
    struct bytes sealed = unhex(envelope_hex, room);
    assert_int_equal(sealed.len, 7 + ENVELOPE_OVERHEAD);
    assert_int_equal(
        envelope_open(key, "import-token", BYTES_LIT("belongs to this"), sealed, content, NULL),
        KMS_OK);
    assert_memory_equal(content, "content", 7);
    assert_int_equal(
        envelope_open(key, "import-tokem", BYTES_LIT("belongs to this"), sealed, content, NULL),
        KMS_E_CIPHERTEXT);
    assert_int_equal(
        envelope_open(key, "import-token", BYTES_LIT("belongs to that"), sealed, content, NULL),
        KMS_E_CIPHERTEXT);
}

static struct key_record *the_key(void)
{
    struct key_record *k = key_record_new();

    assert_non_null(k);
    k->name = (struct key_name){ BYTES_LIT(ACCOUNT), BYTES_LIT("us-east-1"), BYTES_LIT(KEY_ID),
                                 BYTES_LIT(ARN) };
    k->origin = ORIGIN_EXTERNAL;
    return k;
}

static void test_material_id(void **state)
{
    struct vault      *v = calloc(1, sizeof *v);
    struct key_record *k = the_key();
    struct material_id id;
    uint8_t            check[32], material[32], want[32];

    (void)state;
    assert_non_null(v);
    v->in.digest = key_one();
    count_up(material, 0, 32);
    assert_int_equal(material_identify(v, k, bytes_of(material, 32), &id, check, NULL), KMS_OK);
    (void)unhex(id_hex, want);
    assert_memory_equal(id.b, want, 32);
    (void)unhex(check_hex, want);
    assert_memory_equal(check, want, 32);
    k->name.arn = BYTES_LIT("arn:aws:kms:us-west-2:" ACCOUNT ":key/" KEY_ID);
    k->name.region = BYTES_LIT("us-west-2"); /* R17: the same in every Region */
    assert_int_equal(material_identify(v, k, bytes_of(material, 32), &id, check, NULL), KMS_OK);
    assert_memory_equal(check, want, 32);
    secret_free(v->in.digest);
    free(v);
    key_record_free(k);
}

/* --- a sealed material, with the slot file that its shred key lies in -------------------------------- */

struct old {
    struct fixture   f;
    struct slot_keys keys;
};

/* Gives the vault the old instance's id, slot file and domain key. */
static void old_open(struct old *o)
{
    char                                 room[128];
    uint8_t                              slot[SLOT_BYTES];
    CLEANUP(buf_release) struct buf      wrapped = BUF_INIT(256), aad = BUF_INIT(256);
    CLEANUP(secret_freep) struct secret *domain = key_two();

    fixture_open(&o->f);
    struct vault *v = o->f.v;
    o->keys = slot_keys();
    slot_file_close(v->slots[SLOT_ERASABLE]);
    (void)unlink(fixture_path(&o->f, "erasable.slots", room));
    assert_int_equal(slot_file_create(o->f.dir, SLOT_ERASABLE, &o->keys, 1, NULL), KMS_OK);
    int fd = open(room, O_WRONLY | O_CLOEXEC);
    assert_int_equal(file_pwrite_all(fd, unhex(slot_hex, slot), slot_offset(SLOT_NUMBER), NULL),
                     KMS_OK);
    (void)close(fd);
    assert_int_equal(
        slot_file_open(o->f.dir, SLOT_ERASABLE, &o->keys, 0, &v->slots[SLOT_ERASABLE], NULL),
        KMS_OK);
    memcpy(v->in.id, "this is instance", 16);
    domains_free(v);
    v->domains = index_new(1);
    buf_add_field(&aad, bytes_of(v->in.id, 16));
    buf_add_field(&aad, BYTES_LIT(ACCOUNT));
    buf_add_field(&aad, BYTES_LIT("us-east-1"));
    buf_add_u32(&aad, 1);
    assert_int_equal(envelope_seal(v->in.purpose[PURPOSE_DOMAIN], "domain-key", buf_bytes(&aad),
                                   secret_view(domain), &wrapped, NULL),
                     KMS_OK);
    struct domain_key_record r = { BYTES_LIT(ACCOUNT), BYTES_LIT("us-east-1"), 1,
                                   buf_bytes(&wrapped) };
    assert_int_equal(vault_add_domain(v, &r, NULL), KMS_OK);
}

static void test_sealed_material(void **state)
{
    struct old          o;
    struct key_record  *k = the_key();
    uint8_t             room[64];
    struct key_material m = {
        .present = true,
        .expiration = EXPIRES,
        .valid_to = 1700000000000,
        .sealed = { .domain_version = 1, .slot = SLOT_NUMBER, .slot_generation = SLOT_GENERATION },
    };

    (void)state;
    old_open(&o);
    count_up(m.id.b, 0x80, 32);
    count_up(m.check, 0xa0, 32);
    for (int multi = 0; multi < 2; multi++) {
        struct secret *opened = NULL;
        k->multi_region = multi ? REGION_REPLICA : REGION_SINGLE;
        m.sealed.wrapped = unhex(multi ? sealed_multi_hex : sealed_hex, room);
        struct vault_material what = { k, &m };
        struct seal_request   r = material_request(&what);
        assert_int_equal(material_open(o.f.v, &r, &m.sealed, &opened, NULL), KMS_OK);
        assert_true(bytes_eq(secret_view(opened), BYTES_LIT("imported material, 32 bytes long")));
        secret_free(opened);
    }
    key_record_free(k);
    fixture_close(&o.f);
    secret_free(o.keys.wrap);
    secret_free(o.keys.mac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_file),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_material_id),
        cmocka_unit_test(test_sealed_material),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
