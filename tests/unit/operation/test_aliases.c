/* Aliases (kms-behaviour 3.2, 13.1). */
#include "world.h"

static const int64_t DAY = 24 * 60 * 60 * INT64_C(1000);

static void create(struct world *w, const char *alias, const char *id)
{
    assert_string_equal(
        world_ok(w, "CreateAlias", "{\"AliasName\":\"%s\",\"TargetKeyId\":\"%s\"}", alias, id), "");
}

static void refused(struct world *w, const char *operation, const char *alias, const char *target,
                    enum kms_status status, const char *message)
{
    char *body = target == NULL
                     ? textf("{\"AliasName\":\"%s\"}", alias)
                     : textf("{\"AliasName\":\"%s\",\"TargetKeyId\":\"%s\"}", alias, target);

    world_refused(w, operation, body, status, message);
    free(body);
}

static const struct alias_record *alias_of(struct world *w, const char *name)
{
    return directory_alias(w->directory, bytes_str(w->account), bytes_str(w->region),
                           bytes_str(name));
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

static void test_create(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    create(w, "alias/one", id);
    char *arn = textf("arn:aws:kms:us-east-1:111122223333:key/%s", id);
    create(w, "alias/Two/x_-9", arn);
    free(arn);
    world_reopen(w);
    const struct alias_record *one = alias_of(w, "alias/one");
    assert_non_null(one);
    assert_string_equal(one->key_id, id);
    assert_int_equal(one->created, one->updated);
    assert_int_equal(one->version, 1);
    assert_non_null(alias_of(w, "alias/Two/x_-9"));
    assert_null(alias_of(w, "alias/two/x_-9")); /* case-sensitive */
    create(w, "alias/ONE", id);
}

static void test_names(void **state)
{
    struct world            *w = *state;
    static const char *const operations[] = { "CreateAlias", "UpdateAlias", "DeleteAlias" };
    char                     id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    for (size_t i = 0; i < 3; i++) {
        const char *target = i == 2 ? NULL : id;
        refused(w, operations[i], "one", target, KMS_E_VALIDATION,
                "Alias must start with the prefix \"alias/\". Please see "
                "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
        refused(w, operations[i], "alias", target, KMS_E_VALIDATION,
                "Alias must start with the prefix \"alias/\". Please see "
                "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
        refused(w, operations[i], "alias/a:b", target, KMS_E_VALIDATION,
                "alias/a:b contains invalid characters for an alias");
        refused(w, operations[i], "alias/aws/kms", target, KMS_E_NOT_AUTHORIZED, "");
        refused(w, operations[i], "alias/aws/", target, KMS_E_NOT_AUTHORIZED, "");
        refused(w, operations[i], "alias/", target, KMS_E_ALIAS_NAME, "");
    }
    create(w, "alias/awsome", id);
    create(w, "alias/AWS/kms", id);
}

static void test_exists(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    create(w, "alias/one", id);
    refused(w, "CreateAlias", "alias/one", id, KMS_E_ALREADY_EXISTS,
            "An alias with the name arn:aws:kms:us-east-1:111122223333:alias/one already exists");
    w->region = "us-west-2"; /* each Region has its own */
    world_key(w, "", id);
    create(w, "alias/one", id);
}

/* Two requests for one name at the same time: the second finds it taken. */
static void test_exists_race(void **state)
{
    struct world *w = *state;
    struct run    a;
    struct run    b;
    char          id[2][KEY_ID_MAX + 1];

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    char *first = textf("{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", id[0]);
    char *second = textf("{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", id[1]);
    assert_int_equal(run_start(w, &a, "CreateAlias", first), KMS_OK);
    assert_int_equal(run_start(w, &b, "CreateAlias", second), KMS_OK);
    assert_int_equal(run_commit(w, &a), KMS_OK);
    assert_int_equal(run_commit(w, &b), KMS_E_CHANGED);
    run_release(&a);
    run_release(&b);
    assert_int_equal(world_call(w, "CreateAlias", second), KMS_E_ALREADY_EXISTS);
    assert_string_equal(alias_of(w, "alias/one")->key_id, id[0]);
    assert_int_equal(world_record(w, id[1])->version, 1); /* nothing of the refused one is left */
    free(first);
    free(second);
}

/* see create_alias.c: the quoted text for CreateAlias, the rule for UpdateAlias */
static void test_target_is_alias(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    create(w, "alias/one", id);
    refused(w, "CreateAlias", "alias/two", "alias/one", KMS_E_VALIDATION,
            "Aliases must refer to keys. Not aliases");
    refused(w, "CreateAlias", "alias/two", "arn:aws:kms:us-east-1:111122223333:alias/none",
            KMS_E_VALIDATION, "Aliases must refer to keys. Not aliases");
    refused(w, "UpdateAlias", "alias/one", "alias/one", KMS_E_ARN,
            "Key Aliases are not supported for this operation.");
}

static void test_target(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    refused(w, "CreateAlias", "alias/one", "nonsense", KMS_E_NOT_FOUND, "Invalid keyId 'nonsense'");
    refused(
        w, "CreateAlias", "alias/one", "1234abcd-12ab-34cd-56ef-1234567890ab", KMS_E_NOT_FOUND,
        "Key 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' does "
        "not exist");
    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    create(w, "alias/one", id); /* PendingImport does not matter */
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    char *want = textf("arn:aws:kms:us-east-1:111122223333:key/%s is pending deletion.", id);
    refused(w, "CreateAlias", "alias/two", id, KMS_E_KEY_STATE, want);
    refused(w, "UpdateAlias", "alias/one", id, KMS_E_KEY_STATE, want);
    free(want);
}

/* --- quota ------------------------------------------------------------------------------------ */

static void test_quota(void **state)
{
    struct world     *w = *state;
    struct run        a;
    struct run        b;
    char              id[2][KEY_ID_MAX + 1];
    static const char full[] =
        "Aliases per key quota for this account in this region is 50, current "
        "usage is 50.";

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    for (int i = 1; i < LIMIT_ALIASES_PER_KEY; i++) {
        char *name = textf("alias/%d", i);
        create(w, name, id[0]);
        free(name);
    }
    /* two at once for the last place */
    char *first = textf("{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"%s\"}", id[0]);
    char *second = textf("{\"AliasName\":\"alias/b\",\"TargetKeyId\":\"%s\"}", id[0]);
    assert_int_equal(run_start(w, &a, "CreateAlias", first), KMS_OK);
    assert_int_equal(run_start(w, &b, "CreateAlias", second), KMS_OK);
    assert_int_equal(run_commit(w, &b), KMS_OK);
    assert_int_equal(run_commit(w, &a), KMS_E_CHANGED);
    run_release(&a);
    run_release(&b);
    world_refused(w, "CreateAlias", first, KMS_E_LIMIT, full);
    free(first);
    free(second);

    create(w, "alias/other", id[1]);
    refused(w, "UpdateAlias", "alias/other", id[0], KMS_E_LIMIT, full);
    (void)world_ok(w, "UpdateAlias", "{\"AliasName\":\"alias/b\",\"TargetKeyId\":\"%s\"}", id[0]);
    (void)world_ok(w, "DeleteAlias", "{\"AliasName\":\"alias/b\"}");
    (void)world_ok(w, "UpdateAlias", "{\"AliasName\":\"alias/other\",\"TargetKeyId\":\"%s\"}",
                   id[0]);
    assert_int_equal(directory_alias_count(w->directory, bytes_str(ACCOUNT), bytes_str(REGION),
                                           bytes_str(id[0])),
                     50);
}

/* Far from the quota, aliases of one key do not get into each other's way. */
static void test_no_quota_conflict(void **state)
{
    struct world *w = *state;
    struct run    a;
    struct run    b;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    char *first = textf("{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"%s\"}", id);
    char *second = textf("{\"AliasName\":\"alias/b\",\"TargetKeyId\":\"%s\"}", id);
    assert_int_equal(run_start(w, &a, "CreateAlias", first), KMS_OK);
    assert_int_equal(run_start(w, &b, "CreateAlias", second), KMS_OK);
    assert_int_equal(run_commit(w, &b), KMS_OK);
    assert_int_equal(run_commit(w, &a), KMS_OK);
    run_release(&a);
    run_release(&b);
    free(first);
    free(second);
}

/* --- UpdateAlias ------------------------------------------------------------------------------ */

static void test_update(void **state)
{
    struct world *w = *state;
    char          id[2][KEY_ID_MAX + 1];

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    create(w, "alias/one", id[0]);
    int64_t  created = alias_of(w, "alias/one")->created;
    uint64_t serial = alias_of(w, "alias/one")->serial;

    world_wait(w, 5000);
    assert_string_equal(
        world_ok(w, "UpdateAlias", "{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", id[1]),
        "");
    world_reopen(w);
    const struct alias_record *one = alias_of(w, "alias/one");
    assert_string_equal(one->key_id, id[1]);
    assert_int_equal(one->created, created);
    assert_true(one->updated >= created + 5000);
    assert_int_equal(one->serial, serial);
    assert_int_equal(one->version, 2);
    /* the old target may be pending deletion (5.1, note 5) */
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id[1]);
    (void)world_ok(w, "UpdateAlias", "{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", id[0]);
    refused(w, "UpdateAlias", "alias/none", id[0], KMS_E_NOT_FOUND,
            "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.");
}

/* A key that no operation makes yet, as the directory would have it. */
static void put_key(struct world *w, uint64_t serial, enum key_spec spec, enum key_usage usage,
                    const char *id)
{
    struct key_record *key = key_record_new();

    assert_non_null(key);
    key_record_set_name(key, bytes_str(ACCOUNT), bytes_str(REGION), bytes_str(id));
    key->spec = spec;
    key->usage = usage;
    key->state = KEY_ENABLED;
    key->version = 1;
    key->serial = serial;
    directory_put_key(w->directory, key);
}

static void test_update_across(void **state)
{
    struct world     *w = *state;
    char              id[KEY_ID_MAX + 1];
    static const char rsa[] = "1234abcd-12ab-34cd-56ef-000000000001";
    static const char mac[] = "1234abcd-12ab-34cd-56ef-000000000002";
    static const char sign[] = "1234abcd-12ab-34cd-56ef-000000000003";
    static const char ecc[] = "1234abcd-12ab-34cd-56ef-000000000004";

    world_key(w, "", id);
    put_key(w, 1001, SPEC_RSA_2048, USAGE_ENCRYPT_DECRYPT, rsa);
    put_key(w, 1002, SPEC_HMAC_256, USAGE_GENERATE_VERIFY_MAC, mac);
    put_key(w, 1003, SPEC_RSA_2048, USAGE_SIGN_VERIFY, sign);
    put_key(w, 1004, SPEC_ECC_NIST_P256, USAGE_SIGN_VERIFY, ecc);
    create(w, "alias/one", id);
    refused(w, "UpdateAlias", "alias/one", rsa, KMS_E_VALIDATION,
            "Alias alias/one cannot be changed from a CMK with key type SYMMETRIC to a CMK with "
            "key type "
            "ASYMMETRIC. The key type of the current CMK and the new CMK must be the same.");
    refused(w, "UpdateAlias", "alias/one", mac, KMS_E_VALIDATION,
            "Alias alias/one cannot be changed from a CMK with key type SYMMETRIC to a CMK with "
            "key type "
            "HMAC. The key type of the current CMK and the new CMK must be the same.");

    struct alias_record *alias = alias_record_new(bytes_str(ACCOUNT), bytes_str(REGION),
                                                  BYTES_LIT("alias/sign"));
    assert_non_null(alias);
    (void)snprintf(alias->key_id, sizeof alias->key_id, "%s", sign);
    alias->serial = 1001;
    directory_put_alias(w->directory, alias);
    refused(w, "UpdateAlias", "alias/sign", rsa, KMS_E_VALIDATION,
            "Alias alias/sign cannot be changed from a CMK with key usage SIGN_VERIFY to a CMK "
            "with key "
            "usage ENCRYPT_DECRYPT. The key usage of the current CMK and the new CMK must be the "
            "same.");
    struct run r; /* same class and usage: other specs are fine */
    char      *body = textf("{\"AliasName\":\"alias/sign\",\"TargetKeyId\":\"%s\"}", ecc);
    assert_int_equal(run_start(w, &r, "UpdateAlias", body), KMS_OK);
    run_release(&r);
    free(body);
}

/* --- DeleteAlias ------------------------------------------------------------------------------ */

static void test_delete(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    create(w, "alias/one", id);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id); /* no state matters */
    assert_string_equal(world_ok(w, "DeleteAlias", "{\"AliasName\":\"alias/one\"}"), "");
    assert_null(alias_of(w, "alias/one"));
    refused(w, "DeleteAlias", "alias/one", NULL, KMS_E_NOT_FOUND,
            "Alias arn:aws:kms:us-east-1:111122223333:alias/one is not found.");
    world_reopen(w);
    assert_null(alias_of(w, "alias/one"));
    assert_int_equal(world_record(w, id)->version, 2); /* created, scheduled */
}

static void test_delete_race(void **state)
{
    struct world *w = *state;
    struct run    a;
    char          id[2][KEY_ID_MAX + 1];

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    create(w, "alias/one", id[0]);
    assert_int_equal(run_start(w, &a, "DeleteAlias", "{\"AliasName\":\"alias/one\"}"), KMS_OK);
    (void)world_ok(w, "UpdateAlias", "{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", id[1]);
    assert_int_equal(run_commit(w, &a), KMS_E_CHANGED);
    run_release(&a);
    assert_non_null(alias_of(w, "alias/one"));
}

/* --- ListAliases ------------------------------------------------------------------------------ */

static void test_list(void **state)
{
    struct world *w = *state;
    char          id[2][KEY_ID_MAX + 1];

    assert_string_equal(world_ok(w, "ListAliases", "{}"), "{\"Aliases\":[],\"Truncated\":false}");
    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    create(w, "alias/z", id[0]);
    create(w, "alias/a", id[1]);
    const char *answer = world_ok(w, "ListAliases", "{}");
    char       *want = textf(
        "{\"Aliases\":[{\"AliasName\":\"alias/z\",\"AliasArn\":\"arn:aws:kms:us-east-1:"
              "111122223333:alias/z\",\"TargetKeyId\":\"%s\",\"CreationDate\":",
        id[0]);
    assert_memory_equal(answer, want, strlen(want));
    assert_true(strstr(answer, "alias/z") < strstr(answer, "alias/a\""));
    assert_int_equal(count(answer, "LastUpdatedDate"), 2);
    free(want);
    answer = world_ok(w, "ListAliases", "{\"KeyId\":\"%s\"}", id[1]);
    assert_int_equal(count(answer, "AliasName"), 1);
    assert_non_null(strstr(answer, "alias/a\""));
    world_refused(w, "ListAliases", "{\"KeyId\":\"alias/a\"}", KMS_E_ARN,
                  "Key Aliases are not supported for this operation.");
    w->account = "444455556666";
    assert_string_equal(world_ok(w, "ListAliases", "{}"), "{\"Aliases\":[],\"Truncated\":false}");
}

static void test_pages(void **state)
{
    struct world *w = *state;
    char          id[2][KEY_ID_MAX + 1];

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    for (int i = 0; i < 60; i++) {
        char *name = textf("alias/n%d", i);
        create(w, name, id[i % 2]);
        free(name);
    }
    const char *answer = world_ok(w, "ListAliases", "{}"); /* default 50 */
    assert_int_equal(count(answer, "AliasName"), 50);
    char *marker = textf("%s", world_text(w, "NextMarker"));
    answer = world_ok(w, "ListAliases", "{\"Marker\":\"%s\"}", marker);
    assert_int_equal(count(answer, "AliasName"), 10);
    assert_non_null(strstr(answer, "\"alias/n50\""));
    assert_non_null(strstr(answer, "\"Truncated\":false"));
    /* a marker of the whole list is none of one key's */
    char *body = textf("{\"KeyId\":\"%s\",\"Marker\":\"%s\"}", id[0], marker);
    world_refused(w, "ListAliases", body, KMS_E_MARKER, "");
    free(body);
    free(marker);

    answer = world_ok(w, "ListAliases", "{\"KeyId\":\"%s\",\"Limit\":29}", id[0]);
    assert_int_equal(count(answer, "AliasName"), 29);
    marker = textf("%s", world_text(w, "NextMarker"));
    answer = world_ok(w, "ListAliases", "{\"KeyId\":\"%s\",\"Limit\":29,\"Marker\":\"%s\"}", id[0],
                      marker);
    assert_int_equal(count(answer, "AliasName"), 1);
    assert_non_null(strstr(answer, "\"alias/n58\""));
    free(marker);
}

/* --- after the key's window has ended, before the job has run --------------------------------- */

static void test_gone(void **state)
{
    struct world *w = *state;
    char          id[2][KEY_ID_MAX + 1];

    world_key(w, "", id[0]);
    world_key(w, "", id[1]);
    create(w, "alias/one", id[0]);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id[0]);
    assert_int_equal(count(world_ok(w, "ListAliases", "{}"), "AliasName"), 1);
    world_wait(w, 8 * DAY);
    assert_string_equal(world_ok(w, "ListAliases", "{}"), "{\"Aliases\":[],\"Truncated\":false}");
    refused(w, "DeleteAlias", "alias/one", NULL, KMS_E_NOT_FOUND,
            "Alias arn:aws:kms:us-east-1:111122223333:alias/one is not found.");
    refused(w, "UpdateAlias", "alias/one", id[1], KMS_E_NOT_FOUND,
            "Alias arn:aws:kms:us-east-1:111122223333:alias/one is not found.");
    /* its name is free again */
    create(w, "alias/one", id[1]);
    assert_string_equal(alias_of(w, "alias/one")->key_id, id[1]);
    assert_int_equal(alias_of(w, "alias/one")->version, 1);
    world_reopen(w);
    assert_string_equal(alias_of(w, "alias/one")->key_id, id[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_create),
        CASE(test_names),
        CASE(test_exists),
        CASE(test_exists_race),
        CASE(test_target_is_alias),
        CASE(test_target),
        CASE(test_quota),
        CASE(test_no_quota_conflict),
        CASE(test_update),
        CASE(test_update_across),
        CASE(test_delete),
        CASE(test_delete_race),
        CASE(test_list),
        CASE(test_pages),
        CASE(test_gone),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
