/* tests/unit/vault/test_blob.c - the ciphertext blob: its bytes, what opens it, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "fixture.h"
#include "vault/blob.h"

#define KEY_ID "1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN    "arn:aws:kms:us-east-1:111122223333:key/" KEY_ID

enum { ROOM = LIMIT_CIPHERTEXT, SMALL = 256 };

static const uint8_t material[32] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static struct hmac_key prepared[2]; /* the material, and one that differs in a bit */

static int set_up(void **state)
{
    uint8_t other[32];

    assert_int_equal(fixture_start(state), 0);

    memcpy(other, material, sizeof other);
    other[31] ^= 1;
    assert_int_equal(crypto_hmac_key(bytes_of(material, 32), &prepared[0], NULL), KMS_OK);
    assert_int_equal(crypto_hmac_key(bytes_of(other, 32), &prepared[1], NULL), KMS_OK);
    return 0;
}

static int tear_down(void **state)
{
    crypto_hmac_key_free(&prepared[0]);
    crypto_hmac_key_free(&prepared[1]);
    return fixture_stop(state);
}

static struct material_id id_from(uint8_t first)
{
    struct material_id id;

    for (unsigned i = 0; i < 32; i++)
        id.b[i] = (uint8_t)(first + i);
    return id;
}

static const struct material_id *the_id(void)
{
    static struct material_id id;

    id = id_from(0x80);
    return &id;
}

static struct blob_key the_key(void)
{
    return (struct blob_key){
        .material = prepared[0], .id = the_id(), .key_id = BYTES_LIT(KEY_ID), .arn = BYTES_LIT(ARN)
    };
}

static struct blob_key multi_region_key(void)
{
    struct blob_key k = the_key();

    k.key_id = BYTES_LIT("mrk-1234abcd12ab34cd56ef1234567890ab");
    k.multi_region = true;
    return k;
}

static struct blob_salt the_salt(void)
{
    struct blob_salt s;

    for (unsigned i = 0; i < BLOB_NONCE; i++)
        s.nonce[i] = (uint8_t)(0x20 + i);
    for (unsigned i = 0; i < GCM_IV_LEN; i++)
        s.iv[i] = (uint8_t)(0x30 + i);
    return s;
}

#define CONTEXT "\0\0\0\1\0\0\0\4team\0\0\0\5trent"

/* --- blobs of the first version: they open for ever ------------------------------------------------ */

static const struct {
    const char *hex; /* made by another program, from docs/storage-format.md */
    bool        multi_region;
    const char *plain;
    size_t      plain_len;
    bool        context;
} forever[] = {
    { "0102020078808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f542021"
      "22232425262728292a2b2c2d2e2f000000700100303132333435363738393a3b1a7a656cf98427f9"
      "0a97e1ea25ba50e65e44af518a8e66184e13b1d4b06e476800000000000000000000000000000000"
      "000000000000000000000000000000002efe7fd260191b5c1ce34543b38f838bc8efdcefd26a8ad7"
      "6ff90056f3988f8aece7",
      false, "keep this for ever", 18, true },
    { "0102030078808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f542021"
      "22232425262728292a2b2c2d2e2f0000007e0101303132333435363738393a3bef7ce2ef215a72df"
      "079dbf48d2f311af8763fcd7dbc25bfe1d2fca7c19a42bca00000000000000000000000000000000"
      "000000000000000000000000000000001cdfc5ea27853a798c31bdd193c8f0d89a4d3f2e7637603b"
      "eca1ebfd03d6787e22b699db5920cf218c3099a0b667a349",
      true, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, false },
};

static void test_version_one_opens_for_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forever); i++) {
        uint8_t         blob[SMALL], plain[SMALL], again[SMALL];
        size_t          len = strlen(forever[i].hex) / 2;
        struct blob_key key = forever[i].multi_region ? multi_region_key() : the_key();
        struct bytes    context = forever[i].context ? BYTES_LIT(CONTEXT) : BYTES_LIT("");
        struct bytes    want = bytes_of(forever[i].plain, forever[i].plain_len);
        assert_true(hex_read(bytes_str(forever[i].hex), blob, len));
        assert_int_equal(len, want.len + BLOB_OVERHEAD);
        assert_int_equal(blob_open(&key, context, bytes_of(blob, len), plain, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(plain, want.len), want));

        /* and we make the same bytes from the same nonce */
        struct blob_salt salt = the_salt();
        assert_int_equal(
            blob_seal(&key, (enum blob_kind)blob[2], &salt, context, want, again, NULL), KMS_OK);
        assert_memory_equal(again, blob, len);
    }
}

/* --- form ------------------------------------------------------------------------------------------- */

/* recorded-imports 4.4: five fixed bytes, the material id, plaintext + 152. */
static void test_form_is_as_recorded(void **state)
{
    static const size_t lens[] = { 0, 1, 12, 14, 16, 17, 27, 32, 64, 1024, 4095, 4096 };
    struct blob_key     key = the_key();
    struct blob_salt    salt = the_salt();
    static uint8_t      plain[4096], blob[ROOM], back[ROOM];
    struct blob_header  header;

    (void)state;
    crypto_random(plain, sizeof plain);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        enum blob_kind kind = i % 2 == 0 ? BLOB_ENCRYPT : BLOB_DATA_KEY;
        struct bytes   p = bytes_of(plain, lens[i]);
        struct bytes   b = bytes_of(blob, lens[i] + 152);
        assert_int_equal(blob_seal(&key, kind, &salt, BYTES_LIT("c"), p, blob, NULL), KMS_OK);
        const uint8_t start[] = { 1, 2, (uint8_t)kind, 0, 0x78 };
        assert_memory_equal(blob, start, sizeof start);
        assert_memory_equal(blob + 5, key.id->b, 32);
        assert_int_equal(blob[37], BLOB_FORMAT);
        assert_int_not_equal(blob[37], 1); /* the real service's */
        assert_int_equal(blob[54] << 24 | blob[55] << 16 | blob[56] << 8 | blob[57], b.len - 58);
        assert_true(vault_blob_inspect(b, &header));
        assert_int_equal(header.kind, kind);
        assert_int_equal(header.format, BLOB_FORMAT);
        assert_int_equal(header.plaintext_len, lens[i]);
        assert_memory_equal(header.material.b, key.id->b, 32);
        assert_int_equal(blob_open(&key, BYTES_LIT("c"), b, back, NULL), KMS_OK);
        assert_true(bytes_eq(bytes_of(back, lens[i]), p));
    }
}

static void test_inspect_refuses_other_forms(void **state)
{
    struct blob_key    key = the_key();
    struct blob_salt   salt = the_salt();
    uint8_t            blob[ROOM + 1] = { 0 };
    struct blob_header header;
    const size_t       fixed[] = { 0, 1, 2, 3, 4, 37, 54, 55, 56, 57, 58, 59 };

    (void)state;
    assert_int_equal(
        blob_seal(&key, BLOB_ENCRYPT, &salt, BYTES_LIT(""), BYTES_LIT("p"), blob, NULL), KMS_OK);
    assert_true(vault_blob_inspect(bytes_of(blob, 153), &header));
    for (size_t len = 0; len < 160; len++) {
        if (len != 153)
            assert_false(vault_blob_inspect(bytes_of(blob, len), &header));
    }
    assert_false(vault_blob_inspect(bytes_of(blob, sizeof blob), &header));
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        blob[fixed[i]] ^= 0x10;
        assert_false(vault_blob_inspect(bytes_of(blob, 153), &header));
        blob[fixed[i]] ^= 0x10;
    }
    blob[37] = 1; /* a blob of the real service is none of ours */
    assert_false(vault_blob_inspect(bytes_of(blob, 153), &header));
}

/* --- what does not open ----------------------------------------------------------------------------- */

static void assert_closed(const struct blob_key *key, struct bytes context, struct bytes blob)
{
    uint8_t out[ROOM];
    size_t  len = blob.len < BLOB_OVERHEAD ? 0 : blob.len - BLOB_OVERHEAD;

    memset(out, 0x77, sizeof out);
    assert_int_equal(blob_open(key, context, blob, out, NULL), KMS_E_CIPHERTEXT);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(out[i], 0); /* no byte of what did not verify */
    assert_int_equal(out[len], 0x77);
}

static void test_every_bit_counts(void **state)
{
    struct blob_key  keys[] = { the_key(), multi_region_key() };
    struct blob_salt salt = the_salt();
    uint8_t          blob[ROOM];
    struct bytes     b = bytes_of(blob, 32 + BLOB_OVERHEAD);
    unsigned         flips = 0;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        assert_int_equal(blob_seal(&keys[k], BLOB_ENCRYPT, &salt, BYTES_LIT(CONTEXT),
                                   bytes_of(material, 32), blob, NULL),
                         KMS_OK);
        for (size_t bit = 0; bit < b.len * 8; bit++) {
            blob[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_closed(&keys[k], BYTES_LIT(CONTEXT), b);
            blob[bit / 8] ^= (uint8_t)(1u << bit % 8);
            flips++;
        }
    }
    assert_int_equal(flips, 2 * 184 * 8);
}

static void test_every_length_but_one_is_refused(void **state)
{
    struct blob_key  key = the_key();
    struct blob_salt salt = the_salt();
    uint8_t          blob[ROOM] = { 0 };

    (void)state;
    assert_int_equal(blob_seal(&key, BLOB_ENCRYPT, &salt, BYTES_LIT(CONTEXT),
                               bytes_of(material, 32), blob, NULL),
                     KMS_OK);
    for (size_t len = 0; len < 250; len++) {
        if (len != 184)
            assert_closed(&key, BYTES_LIT(CONTEXT), bytes_of(blob, len));
    }
}

/* Two materials, keys, Regions or contexts never open each other's. */
static void test_only_its_own_key_and_context(void **state)
{
    struct material_id other_id = id_from(0x81);
    struct blob_key    keys[6];
    struct bytes       contexts[] = { BYTES_LIT(""), BYTES_LIT(CONTEXT), BYTES_LIT(CONTEXT "\0"),
                                      BYTES_LIT("\0\0\0\0") };
    struct blob_salt   salt = the_salt();
    uint8_t            blob[ROOM], plain[ROOM];
    unsigned           opened = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        keys[i] = the_key();
    keys[1].material = prepared[1];
    keys[2].id = &other_id;
    keys[3].key_id = BYTES_LIT("1234abcd-12ab-34cd-56ef-1234567890ac");
    keys[4].arn = BYTES_LIT("arn:aws:kms:us-west-2:111122223333:key/" KEY_ID);
    keys[5] = multi_region_key();
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        for (size_t c = 0; c < ARRAY_LEN(contexts); c++) {
            assert_int_equal(blob_seal(&keys[k], BLOB_ENCRYPT, &salt, contexts[c],
                                       BYTES_LIT("secret"), blob, NULL),
                             KMS_OK);
            for (size_t k2 = 0; k2 < ARRAY_LEN(keys); k2++) {
                for (size_t c2 = 0; c2 < ARRAY_LEN(contexts); c2++)
                    opened += blob_open(&keys[k2], contexts[c2], bytes_of(blob, 158), plain,
                                        NULL) == KMS_OK;
            }
        }
    }
    assert_int_equal(opened, ARRAY_LEN(keys) * ARRAY_LEN(contexts)); /* each its own only */
}

/* A multi-Region key is bound by its id, not by an ARN that names a Region (trust-model 2.5). */
static void test_multi_region_opens_in_every_region(void **state)
{
    struct blob_key  here = multi_region_key();
    struct blob_key  there = multi_region_key();
    struct blob_salt salt = the_salt();
    uint8_t          blob[ROOM], plain[ROOM];

    (void)state;
    here.arn = BYTES_LIT("arn:aws:kms:us-east-1:111122223333:key/mrk-1");
    there.arn = BYTES_LIT("arn:aws:kms:eu-west-1:111122223333:key/mrk-1");
    assert_int_equal(
        blob_seal(&here, BLOB_ENCRYPT, &salt, BYTES_LIT(""), BYTES_LIT("x"), blob, NULL), KMS_OK);
    assert_int_equal(blob_open(&there, BYTES_LIT(""), bytes_of(blob, 153), plain, NULL), KMS_OK);
}

/* --- blobs made by somebody who has the material (BYOK: the customer has) ------------------------------ */

static void put(uint8_t *at, const void *from, size_t len)
{
    memcpy(at, from, len);
}

/* Builds a blob by hand, with whatever is asked for in the reserved bytes and the commitment. */
static void craft(const struct blob_key *key, uint8_t reserved, uint8_t commitment_flip,
                  uint8_t *blob)
{
    struct blob_salt salt = the_salt();
    uint8_t          derived[64], context[128], aad[512], hash[32];
    size_t           n = 0;

    context[n++] = 1;
    context[n++] = 0;
    put(context + n, key->id->b, 32);
    put(context + n + 32, salt.nonce, 16);
    put(context + n + 48, key->key_id.ptr, key->key_id.len);
    n += 48 + key->key_id.len;
    crypto_kdf(bytes_of(material, 32), BYTES_LIT("blob"), bytes_of(context, n), derived, 64);
    const uint8_t start[] = { 1, 2, 2, 0, 0x78 };
    const uint8_t rest[] = { 0, 0, 0, 100, 1, 0 };
    memset(blob, 0, 158);
    put(blob, start, 5);
    put(blob + 5, key->id->b, 32);
    blob[37] = BLOB_FORMAT;
    put(blob + 38, salt.nonce, 16);
    put(blob + 54, rest, 6);
    put(blob + 60, salt.iv, 12);
    put(blob + 72, derived + 32, 32);
    blob[72] ^= commitment_flip;
    blob[135] = reserved;
    put(aad, blob, 136);
    const uint8_t arn_len[] = { 0, 0, 0, (uint8_t)key->arn.len };
    put(aad + 136, arn_len, 4);
    put(aad + 140, key->arn.ptr, key->arn.len);
    crypto_sha256(BYTES_LIT(""), hash);
    put(aad + 140 + key->arn.len, hash, 32);
    assert_int_equal(crypto_gcm_seal(bytes_of(derived, 32), salt.iv,
                                     bytes_of(aad, 172 + key->arn.len), BYTES_LIT("secret"),
                                     blob + 136, NULL),
                     KMS_OK);
}

static void test_crafted_blobs(void **state)
{
    struct blob_key key = the_key();
    uint8_t         blob[158], plain[ROOM];
    struct bytes    b = bytes_of(blob, sizeof blob);

    (void)state;
    craft(&key, 0, 0, blob); /* by hand as by blob_seal: the format is what we say it is */
    assert_int_equal(blob_open(&key, BYTES_LIT(""), b, plain, NULL), KMS_OK);
    assert_memory_equal(plain, "secret", 6);
    craft(&key, 1, 0, blob); /* reserved bytes are zero, even when they are authentic */
    assert_closed(&key, BYTES_LIT(""), b);
    craft(&key, 0, 1, blob); /* GCM alone would open this: the commitment does not fit the key */
    assert_closed(&key, BYTES_LIT(""), b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_one_opens_for_ever),
        cmocka_unit_test(test_form_is_as_recorded),
        cmocka_unit_test(test_inspect_refuses_other_forms),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_every_length_but_one_is_refused),
        cmocka_unit_test(test_only_its_own_key_and_context),
        cmocka_unit_test(test_multi_region_opens_in_every_region),
        cmocka_unit_test(test_crafted_blobs),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
