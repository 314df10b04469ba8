/* KeyMetadata: the recorded field sets (kms-behaviour 7.7, 15.7; recorded-crypto 2). */
#include "body.h"

enum { NOW = 1789209580 };

static const int64_t now = NOW * INT64_C(1000) + 500;

static struct key_record *new_key(enum key_spec spec, enum key_usage usage, enum key_origin origin)
{
    struct key_record *key = key_record_new();

    assert_non_null(key);
    key_record_set_name(key, bytes_str("111122223333"), bytes_str("us-east-1"),
                        bytes_str("1234abcd-12ab-34cd-56ef-1234567890ab"));
    key->spec = spec;
    key->usage = usage;
    key->origin = origin;
    key->created = now - 1000;
    return key;
}

static struct key_material *add_material(struct key_record *key, enum material_role role)
{
    struct key_material *m = key_record_add_material(key);

    m->role = role;
    m->present = true;
    m->expiration = DOES_NOT_EXPIRE;
    m->sealed.wrapped = bytes_str("sealed");
    memset(m->id.b, 0xab, sizeof m->id.b);
    return m;
}

static void gives(struct key_record *key, const char *want)
{
    struct buf         out = BUF_INIT(4096);
    struct json_writer w;

    json_writer_init(&w, &out);
    json_open_object(&w, NULL);
    op_write_metadata(&w, "KeyMetadata", key, now);
    json_close_object(&w);
    buf_add_byte(&out, 0);
    assert_string_equal((const char *)out.ptr, want);
    buf_release(&out);
    key_record_free(key);
}

#define HEAD                                                                                       \
    "{\"KeyMetadata\":{\"AWSAccountId\":\"111122223333\",\"KeyId\":\"1234abcd-12ab-34cd-56ef-"    \
    "1234567890ab\",\"Arn\":\"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-"   \
    "1234567890ab\",\"CreationDate\":1789209579.5,"
#define SYMMETRIC                                                                                  \
    "\"KeyManager\":\"CUSTOMER\",\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\",\"KeySpec\":"   \
    "\"SYMMETRIC_DEFAULT\",\"EncryptionAlgorithms\":[\"SYMMETRIC_DEFAULT\"],"
#define ID                                                                                         \
    "\"CurrentKeyMaterialId\":\"abababababababababababababababababababababababababababababababab\""

/* recorded-imports B3 */
static void test_generated(void **state)
{
    struct key_record *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT, ORIGIN_AWS_KMS);

    (void)state;
    add_material(key, MATERIAL_CURRENT);
    key_created(key);
    gives(key, HEAD "\"Enabled\":true,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"Enabled\",\"Origin\":\"AWS_KMS\"," SYMMETRIC
                    "\"MultiRegion\":false," ID "}}");
}

/* recorded-imports A1, R1 */
static void test_external_empty(void **state)
{
    struct key_record *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                     ORIGIN_EXTERNAL);

    (void)state;
    key_created(key);
    gives(key, HEAD "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"PendingImport\",\"Origin\":\"EXTERNAL\"," SYMMETRIC
                    "\"MultiRegion\":false}}");
}

/* A19: imported for good; A37: a pending one, even an expired one, does not show (R38) */
static void test_external_imported(void **state)
{
    struct key_record   *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                       ORIGIN_EXTERNAL);
    struct key_material *pending;

    (void)state;
    key->description = bytes_str("mine");
    add_material(key, MATERIAL_CURRENT);
    pending = add_material(key, MATERIAL_PENDING_ROTATION);
    pending->expiration = EXPIRES;
    pending->valid_to = now - 1000;
    key->state = KEY_ENABLED; /* as an import leaves it */
    gives(key, HEAD "\"Enabled\":true,\"Description\":\"mine\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"Enabled\",\"Origin\":\"EXTERNAL\",\"ExpirationModel\":"
                    "\"KEY_MATERIAL_DOES_NOT_EXPIRE\"," SYMMETRIC "\"MultiRegion\":false," ID "}}");
}

/* 7.7: the earliest ValidTo among the lasting ones */
static void test_external_expiring(void **state)
{
    struct key_record   *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                       ORIGIN_EXTERNAL);
    struct key_material *m;

    (void)state;
    m = add_material(key, MATERIAL_NON_CURRENT);
    m->expiration = EXPIRES;
    m->valid_to = (NOW + 5) * INT64_C(1000);
    m = add_material(key, MATERIAL_CURRENT);
    m->expiration = EXPIRES;
    m->valid_to = (NOW + 9) * INT64_C(1000);
    key->state = KEY_ENABLED; /* as an import leaves it */
    gives(key, HEAD "\"Enabled\":true,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"Enabled\",\"ValidTo\":1789209585.0,\"Origin\":\"EXTERNAL\","
                    "\"ExpirationModel\":\"KEY_MATERIAL_EXPIRES\"," SYMMETRIC
                    "\"MultiRegion\":false," ID "}}");
}

/* A55: past its ValidTo, before any job has run (R34, R37) */
static void test_external_expired(void **state)
{
    struct key_record   *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                       ORIGIN_EXTERNAL);
    struct key_material *m = add_material(key, MATERIAL_CURRENT);

    (void)state;
    key->state = KEY_ENABLED; /* as an import leaves it */
    m->expiration = EXPIRES;
    m->valid_to = NOW * INT64_C(1000);
    gives(key, HEAD "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"PendingImport\",\"Origin\":\"EXTERNAL\"," SYMMETRIC
                    "\"MultiRegion\":false," ID "}}");
}

/* H12, R34: PendingImport shows no expiration, whatever is there */
static void test_pending_import(void **state)
{
    struct key_record *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                     ORIGIN_EXTERNAL);

    (void)state;
    add_material(key, MATERIAL_CURRENT);
    key->state = KEY_PENDING_IMPORT;
    gives(key, HEAD "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"PendingImport\",\"Origin\":\"EXTERNAL\"," SYMMETRIC
                    "\"MultiRegion\":false," ID "}}");
}

/* recorded-imports 4.3: DeletionDate only in PendingDeletion */
static void test_pending_deletion(void **state)
{
    struct key_record *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT, ORIGIN_AWS_KMS);

    (void)state;
    add_material(key, MATERIAL_CURRENT);
    key_created(key);
    key_schedule_deletion(key, now, 7);
    gives(key, HEAD "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"PendingDeletion\",\"DeletionDate\":1789814380.5,\"Origin\":"
                    "\"AWS_KMS\"," SYMMETRIC "\"MultiRegion\":false," ID "}}");
}

/* A61: scheduled while its material is missing; R30: then there is no expiration to show */
static void test_pending_deletion_missing(void **state)
{
    struct key_record   *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT,
                                       ORIGIN_EXTERNAL);
    struct key_material *m = add_material(key, MATERIAL_CURRENT);

    (void)state;
    key_created(key);
    m->present = false;
    m->expiration = EXPIRATION_NONE;
    m->sealed.wrapped = (struct bytes){ NULL, 0 };
    key_schedule_deletion(key, now, 7);
    gives(key, HEAD "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
                    "\"KeyState\":\"PendingDeletion\",\"DeletionDate\":1789814380.5,\"Origin\":"
                    "\"EXTERNAL\"," SYMMETRIC "\"MultiRegion\":false," ID "}}");
}

/* recorded-imports G1, recorded-authz-multiregion 6.1 */
static void test_primary(void **state)
{
    struct key_record *key = new_key(SPEC_SYMMETRIC_DEFAULT, USAGE_ENCRYPT_DECRYPT, ORIGIN_AWS_KMS);

    (void)state;
    key->multi_region = REGION_PRIMARY;
    key->primary_region = bytes_str("us-east-1");
    add_material(key, MATERIAL_CURRENT);
    key_created(key);
    gives(key,
          HEAD "\"Enabled\":true,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
               "\"KeyState\":\"Enabled\",\"Origin\":\"AWS_KMS\"," SYMMETRIC "\"MultiRegion\":true,"
               "\"MultiRegionConfiguration\":{\"MultiRegionKeyType\":\"PRIMARY\",\"PrimaryKey\":{"
               "\"Arn\":\"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-"
               "1234567890ab\",\"Region\":\"us-east-1\"},\"ReplicaKeys\":[]}," ID "}}");
}

/* recorded-crypto 2: no other spec shows a material id; the deprecated member echoes the spec */
static void test_hmac(void **state)
{
    struct key_record *key = new_key(SPEC_HMAC_256, USAGE_GENERATE_VERIFY_MAC, ORIGIN_AWS_KMS);

    (void)state;
    add_material(key, MATERIAL_CURRENT);
    key_created(key);
    gives(key,
          HEAD "\"Enabled\":true,\"Description\":\"\",\"KeyUsage\":\"GENERATE_VERIFY_MAC\","
               "\"KeyState\":\"Enabled\",\"Origin\":\"AWS_KMS\",\"KeyManager\":\"CUSTOMER\","
               "\"CustomerMasterKeySpec\":\"HMAC_256\",\"KeySpec\":\"HMAC_256\",\"MacAlgorithms\":"
               "[\"HMAC_SHA_256\"],\"MultiRegion\":false}}");
}

/* kms-behaviour 6.1: which usages a spec has; recorded order of the lists */
static void test_algorithms(void **state)
{
    static const struct {
        enum key_spec spec;
        const char   *lists[USAGE_COUNT];
    } rows[] = {
        { SPEC_SYMMETRIC_DEFAULT, { "SYMMETRIC_DEFAULT", NULL, NULL, NULL, NULL } },
        { SPEC_RSA_2048,
          { "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256",
            "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 "
            "RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512",
            NULL, NULL, NULL } },
        { SPEC_ECC_NIST_P256, { NULL, "ECDSA_SHA_256", NULL, "ECDH", NULL } },
        { SPEC_ECC_NIST_P384, { NULL, "ECDSA_SHA_384", NULL, "ECDH", NULL } },
        { SPEC_ECC_NIST_P521, { NULL, "ECDSA_SHA_512", NULL, "ECDH", NULL } },
        { SPEC_ECC_SECG_P256K1, { NULL, "ECDSA_SHA_256", NULL, NULL, NULL } },
        { SPEC_ECC_NIST_EDWARDS25519,
          { NULL, "ED25519_PH_SHA_512 ED25519_SHA_512", NULL, NULL, NULL } },
        { SPEC_HMAC_224, { NULL, NULL, "HMAC_SHA_224", NULL, NULL } },
        { SPEC_HMAC_512, { NULL, NULL, "HMAC_SHA_512", NULL, NULL } },
        { SPEC_SM2, { "SM2PKE", "SM2DSA", NULL, "ECDH", NULL } },
        { SPEC_ML_DSA_87, { NULL, "ML_DSA_SHAKE_256", NULL, NULL, NULL } },
        { SPEC_ML_KEM_1024, { NULL, NULL, NULL, NULL, "ML_KEM" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t usage = 0; usage < USAGE_COUNT; usage++) {
            const struct key_spec_info *info = spec_info(rows[i].spec);
            struct buf                  got = BUF_INIT(512);

            assert_int_equal(spec_has_usage(rows[i].spec, (enum key_usage)usage),
                             rows[i].lists[usage] != NULL);
            if (rows[i].lists[usage] == NULL)
                continue;
            for (unsigned n = 0; n < info->usages[usage].count; n++)
                buf_addf(&got, "%s%s", n == 0 ? "" : " ",
                         algorithm_names[info->usages[usage].list[n]]);
            buf_add_byte(&got, 0);
            assert_string_equal((const char *)got.ptr, rows[i].lists[usage]);
            buf_release(&got);
        }
    }
    for (size_t spec = 0; spec < SPEC_COUNT; spec++) { /* every spec has a use */
        bool any = false;
        for (size_t usage = 0; usage < USAGE_COUNT; usage++)
            any = any || spec_has_usage((enum key_spec)spec, (enum key_usage)usage);
        assert_true(any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generated),
        cmocka_unit_test(test_external_empty),
        cmocka_unit_test(test_external_imported),
        cmocka_unit_test(test_external_expiring),
        cmocka_unit_test(test_external_expired),
        cmocka_unit_test(test_pending_deletion),
        cmocka_unit_test(test_primary),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_pending_deletion_missing),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_pending_import),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
