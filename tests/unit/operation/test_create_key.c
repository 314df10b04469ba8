/* CreateKey: what a new key is, which requests are refused with which text, and the domain key that
 * the first one brings. */
#include "world.h"

static const char default_policy[] = "{\n"
                                     "  \"Version\" : \"2012-10-17\",\n"
                                     "  \"Id\" : \"key-default-1\",\n"
                                     "  \"Statement\" : [ {\n"
                                     "    \"Sid\" : \"Enable IAM User Permissions\",\n"
                                     "    \"Effect\" : \"Allow\",\n"
                                     "    \"Principal\" : {\n"
                                     "      \"AWS\" : \"arn:aws:iam::111122223333:root\"\n"
                                     "    },\n"
                                     "    \"Action\" : \"kms:*\",\n"
                                     "    \"Resource\" : \"*\"\n"
                                     "  } ]\n"
                                     "}";

static void has(struct world *w, const char *text)
{
    if (strstr((const char *)w->answer.ptr, text) == NULL)
        fail_msg("no %s in %s", text, (const char *)w->answer.ptr);
}

static void has_not(struct world *w, const char *text)
{
    if (strstr((const char *)w->answer.ptr, text) != NULL)
        fail_msg("%s in %s", text, (const char *)w->answer.ptr);
}

/* Encrypts and decrypts with the key's material, as it is now. */
static void works(struct world *w, const char *id)
{
    struct buf       blob = BUF_INIT(4096);
    struct buf       plain = BUF_INIT(4096);
    struct kms_error err;

    epoch_enter(w->epoch, w->reader);
    struct vault_material m = op_current(world_record(w, id));
    assert_non_null(m.material);
    assert_int_equal(vault_encrypt(w->vault, m, BLOB_ENCRYPT, (struct bytes){ NULL, 0 },
                                   BYTES_LIT("plain"), &blob, &err),
                     KMS_OK);
    assert_int_equal(
        vault_decrypt(w->vault, m, (struct bytes){ NULL, 0 }, buf_bytes(&blob), &plain, &err),
        KMS_OK);
    assert_true(bytes_eq(buf_bytes(&plain), BYTES_LIT("plain")));
    epoch_leave(w->epoch, w->reader);
    buf_release(&blob);
    buf_release(&plain);
}

static uint32_t slots_used(struct world *w)
{
    struct vault_status status;

    vault_status(w->vault, &status);
    return status.slots_used[SLOT_DURABLE];
}

/* recorded-imports B3: no parameters */
static void test_defaults(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    assert_int_equal(strlen(id), 36);
    assert_true(key_id_well_formed(bytes_str(id)));
    assert_int_equal(id[14], '4'); /* a random UUID */
    has(w, "{\"KeyMetadata\":{\"AWSAccountId\":\"111122223333\",");
    has(w, "\"Enabled\":true,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeyState\":"
           "\"Enabled\",\"Origin\":\"AWS_KMS\",\"KeyManager\":\"CUSTOMER\",");
    has(w, "\"MultiRegion\":false,\"CurrentKeyMaterialId\":\"");
    has_not(w, "MultiRegionConfiguration");
    has_not(w, "ExpirationModel");

    const struct key_record *key = world_record(w, id);
    assert_int_equal(key->version, 1);
    assert_int_equal(key->state, KEY_ENABLED);
    assert_int_equal(key->n_materials, 1);
    assert_int_equal(key->materials[0].role, MATERIAL_CURRENT);
    assert_int_equal(key->materials[0].sealed.slot_class, SLOT_DURABLE);
    assert_int_equal(key->materials[0].rotation_type, ROTATION_NONE);
    assert_true(bytes_eq_str(key->policy, default_policy));
    works(w, id);
}

/* What was answered is there after a restart: key, domain key and all. */
static void test_survives_restart(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Description\":\"mine\"", id);
    world_reopen(w);
    works(w, id);
    assert_true(bytes_eq_str(world_record(w, id)->description, "mine"));
    (void)world_ok(w, "DescribeKey", "{\"KeyId\":\"%s\"}", id);
    has(w, "\"Description\":\"mine\"");
}

/* recorded-imports A1, R1 */
static void test_external(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    has(w, "\"Enabled\":false,\"Description\":\"\",\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeyState\":"
           "\"PendingImport\",\"Origin\":\"EXTERNAL\"");
    has_not(w, "ExpirationModel");
    has_not(w, "CurrentKeyMaterialId");
    assert_int_equal(world_record(w, id)->n_materials, 0);
    assert_int_equal(slots_used(w), 0);
    /* imports need the domain key that came with it */
    assert_int_equal(vault_domain_version(w->vault, bytes_str(ACCOUNT), bytes_str(REGION)), 1);
}

/* recorded-imports G1, recorded-authz-multiregion 6.1 */
static void test_multi_region(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"MultiRegion\":true", id);
    assert_memory_equal(id, "mrk-", 4);
    assert_int_equal(strspn(id + 4, "0123456789abcdef"), 32);
    assert_int_equal(strlen(id), 36);
    has(w, "\"MultiRegion\":true,\"MultiRegionConfiguration\":{\"MultiRegionKeyType\":\"PRIMARY\","
           "\"PrimaryKey\":{\"Arn\":\"arn:aws:kms:us-east-1:111122223333:key/mrk-");
    has(w, "\"Region\":\"us-east-1\"},\"ReplicaKeys\":[]}");
    works(w, id);
    world_key(w, "\"MultiRegion\":false", id);
    assert_memory_not_equal(id, "mrk-", 4);
}

static void test_ids_differ(void **state)
{
    struct world *w = *state;
    char          a[KEY_ID_MAX + 1];
    char          b[KEY_ID_MAX + 1];

    world_key(w, "", a);
    world_key(w, "", b);
    assert_string_not_equal(a, b);
}

/* --- the first key of an account and Region --------------------------------------------------- */

/* Two first keys at once: one is run again, and both are readable after a restart. */
static void test_first_keys_race(void **state)
{
    struct world *w = *state;
    struct run    a;
    struct run    b;
    char          id[2][KEY_ID_MAX + 1];

    assert_int_equal(run_start(w, &a, "CreateKey", "{\"Description\":\"a\"}"), KMS_OK);
    assert_int_equal(run_start(w, &b, "CreateKey", "{\"Description\":\"b\"}"), KMS_OK);
    (void)snprintf(id[0], sizeof id[0], "%.*s", BYTES_FMT(b.change.rows[1].key->name.id));
    assert_int_equal(run_commit(w, &b), KMS_OK);
    assert_int_equal(run_commit(w, &a), KMS_E_CHANGED);
    run_release(&a);
    run_release(&b);
    world_key(w, "\"Description\":\"a\"", id[1]);
    assert_int_equal(slots_used(w), 2); /* that of the refused one was given back */
    works(w, id[0]);
    works(w, id[1]);
    world_reopen(w);
    works(w, id[0]);
    works(w, id[1]);
}

/* A first key that is never committed must not leave later ones under a domain key that is not
 * stored. */
static void test_first_key_lost(void **state)
{
    struct world *w = *state;
    struct run    lost;
    char          id[KEY_ID_MAX + 1];

    assert_int_equal(run_start(w, &lost, "CreateKey", "{}"), KMS_OK);
    assert_int_equal(lost.change.rows[0].kind, ROW_DOMAIN_INSERT);
    vault_release(w->vault, &lost.call.spare[0]);
    run_release(&lost);
    world_key(w, "", id);
    world_reopen(w);
    works(w, id);
}

static void test_second_key_has_no_domain(void **state)
{
    struct world *w = *state;
    struct run    r;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    assert_int_equal(run_start(w, &r, "CreateKey", "{}"), KMS_OK);
    assert_int_equal(r.change.n_rows, 1);
    assert_int_equal(r.change.rows[0].kind, ROW_KEY_INSERT);
    assert_int_equal(run_commit(w, &r), KMS_OK);
    run_release(&r);
    w->region = "us-west-2"; /* another Region has its own */
    assert_int_equal(run_start(w, &r, "CreateKey", "{}"), KMS_OK);
    assert_int_equal(r.change.n_rows, 2);
    assert_int_equal(run_commit(w, &r), KMS_OK);
    run_release(&r);
}

/* --- refusals --------------------------------------------------------------------------------- */

/* kms-behaviour 3.2, recorded-crypto 3, recorded-imports R2 */
static void test_spec_texts(void **state)
{
    struct world *w = *state;
    static const struct {
        const char     *members;
        enum kms_status status;
        const char     *message;
    } rows[] = {
        { "\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\"",
          KMS_E_VALIDATION,
          "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
          "CustomerMasterKeySpec is deprecated." },
        { "\"KeySpec\":\"HMAC_256\"", KMS_E_VALIDATION,
          "You must specify a KeyUsage value for all KMS keys except for symmetric encryption "
          "keys." },
        { "\"CustomerMasterKeySpec\":\"RSA_2048\"", KMS_E_VALIDATION,
          "You must specify a KeyUsage value for all KMS keys except for symmetric encryption "
          "keys." },
        { "\"KeySpec\":\"ML_DSA_44\"", KMS_E_VALIDATION,
          "You must specify a KeyUsage value for all KMS keys except for symmetric encryption "
          "keys." },
        { "\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"KEY_AGREEMENT\"", KMS_E_VALIDATION,
          "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048" },
        { "\"KeySpec\":\"HMAC_384\",\"KeyUsage\":\"ENCRYPT_DECRYPT\"", KMS_E_VALIDATION,
          "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_384" },
        { "\"KeySpec\":\"ECC_SECG_P256K1\",\"KeyUsage\":\"KEY_AGREEMENT\"", KMS_E_VALIDATION,
          "KeyUsage KEY_AGREEMENT is not compatible with KeySpec ECC_SECG_P256K1" },
        { "\"KeyUsage\":\"SIGN_VERIFY\"", KMS_E_VALIDATION,
          "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT" },
        { "\"KeySpec\":\"ML_DSA_65\",\"KeyUsage\":\"SIGN_VERIFY\",\"Origin\":\"EXTERNAL\"",
          KMS_E_VALIDATION, "KeySpec ML_DSA_65 is not supported for Origin EXTERNAL" },
        { "\"KeySpec\":\"ML_KEM_512\",\"KeyUsage\":\"ENCAPSULATE_DECAPSULATE\",\"Origin\":"
          "\"EXTERNAL\"",
          KMS_E_VALIDATION, "KeySpec ML_KEM_512 is not supported for Origin EXTERNAL" },
        { "\"KeySpec\":\"SM2\",\"KeyUsage\":\"SIGN_VERIFY\"", KMS_E_UNSUPPORTED,
          "KeySpec SM2 is not supported in this Region" },
        /* well-formed, but of a later release */
        { "\"Origin\":\"AWS_CLOUDHSM\"", KMS_E_UNSUPPORTED,
          "Trent does not implement custom key stores yet." },
        { "\"Origin\":\"EXTERNAL_KEY_STORE\",\"XksKeyId\":\"x\"", KMS_E_UNSUPPORTED,
          "Trent does not implement custom key stores yet." },
        { "\"CustomKeyStoreId\":\"cks-1\"", KMS_E_UNSUPPORTED,
          "Trent does not implement custom key stores yet." },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *body = textf("{%s}", rows[i].members);
        world_refused(w, "CreateKey", body, rows[i].status, rows[i].message);
        free(body);
    }
    assert_int_equal(directory_counts(w->directory).keys, 0);
}

static void test_named_defaults(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w,
              "\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"Origin\":"
              "\"AWS_KMS\",\"BypassPolicyLockoutSafetyCheck\":true",
              id);
    works(w, id);
    world_key(w, "\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\"", id);
    works(w, id);
}

/* --- policies --------------------------------------------------------------------------------- */

static struct identity_record *ops_role(const char *unique_id, uint64_t serial)
{
    struct identity_record *r = identity_record_new();

    assert_non_null(r);
    r->kind = IDENTITY_ROLE;
    r->account = bytes_str(ACCOUNT);
    r->path = BYTES_LIT("/");
    r->name = BYTES_LIT("ops");
    r->arn = BYTES_LIT("arn:aws:iam::" ACCOUNT ":role/ops");
    r->unique_id = bytes_str(unique_id);
    r->serial = serial;
    return r;
}

#define POLICY_OF(who)                                                                             \
    "{\"Statement\" : {\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\","                   \
    "\"Principal\":{\"AWS\":\"" who "\"}}}\n"
#define POLICY_IN_JSON(who)                                                                        \
    "{\\\"Statement\\\" : {\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":\\\"kms:*\\\","              \
    "\\\"Resource\\\":\\\"*\\\",\\\"Principal\\\":{\\\"AWS\\\":\\\"" who "\\\"}}}\\n"

/* Kept as it was written, for the role that has the name today; whether it may be the policy is
 * request.c's question. */
static void test_policy_kept(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];
    char          request[96];

    book_put_identity(w->identities, ops_role("AROAOLD", 1));
    world_key(w, "\"Policy\":\"" POLICY_IN_JSON("arn:aws:iam::" ACCOUNT ":role/ops") "\"", id);
    assert_true(
        bytes_eq_str(world_record(w, id)->policy, POLICY_OF("arn:aws:iam::" ACCOUNT ":role/ops")));
    assert_true(bytes_eq_str(world_record(w, id)->principals,
                             "arn:aws:iam::" ACCOUNT ":role/ops AROAOLD\n"));
    (void)snprintf(request, sizeof request, "{\"KeyId\":\"%s\"}", id);
    assert_int_equal(world_call(w, "GetKeyPolicy", request), KMS_OK);
    has(w, POLICY_IN_JSON("arn:aws:iam::" ACCOUNT ":role/ops"));
    /* the name passes to another role: the policy still means, and shows, the old one */
    book_put_identity(w->identities, ops_role("AROANEW", 2));
    assert_int_equal(world_call(w, "GetKeyPolicy", request), KMS_OK);
    has(w, POLICY_IN_JSON("AROAOLD"));
}

static void test_default_policy(void **state)
{
    struct buf text = BUF_INIT(1024);

    (void)state;
    op_default_policy(bytes_str(ACCOUNT), bytes_str(REGION), &text);
    assert_true(bytes_eq_str(buf_bytes(&text), default_policy));
    buf_reset(&text);
    op_default_policy(bytes_str(ACCOUNT), bytes_str("cn-north-1"), &text);
    buf_add_byte(&text, 0);
    assert_non_null(strstr((const char *)text.ptr, "\"arn:aws-cn:iam::111122223333:root\""));
    buf_release(&text);
}

/* --- tags ------------------------------------------------------------------------------------- */

static void test_tags(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(
        w, "\"Tags\":[{\"TagKey\":\"b\",\"TagValue\":\"1\"},{\"TagKey\":\"a\",\"TagValue\":\"\"}]",
        id);
    assert_string_equal(world_ok(w, "ListResourceTags", "{\"KeyId\":\"%s\"}", id),
                        "{\"Tags\":[{\"TagKey\":\"b\",\"TagValue\":\"1\"},{\"TagKey\":\"a\","
                        "\"TagValue\":\"\"}],\"Truncated\":false}");
    world_refused(w, "CreateKey", "{\"Tags\":[{\"TagKey\":\"AWS:x\",\"TagValue\":\"\"}]}",
                  KMS_E_TAG, "Tags beginning with aws: are reserved");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_defaults),       CASE(test_survives_restart),
        CASE(test_external),       CASE(test_multi_region),
        CASE(test_ids_differ),     CASE(test_first_keys_race),
        CASE(test_first_key_lost), CASE(test_second_key_has_no_domain),
        CASE(test_spec_texts),     CASE(test_named_defaults),
        CASE(test_policy_kept),    cmocka_unit_test(test_default_policy),
        CASE(test_tags),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
