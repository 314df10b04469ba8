/* Unit tests of authz/: key policies and their texts (recorded-authz-multiregion section 3), and what may
 * become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"

#define MINE   "000000000000"
#define THEIRS "111111111111"
#define KEY(ACCOUNT) "arn:aws:kms:us-east-1:" ACCOUNT ":key/k"
#define ROOT(ACCOUNT) "arn:aws:iam::" ACCOUNT ":root"
#define STATEMENT(EFFECT, PRINCIPAL, ACTION)                                                       \
    "{\"Effect\":\"" EFFECT "\",\"Principal\":{\"AWS\":\"" PRINCIPAL "\"},\"Action\":\"" ACTION    \
    "\",\"Resource\":\"*\"}"
#define POLICY(STATEMENTS) "{\"Version\":\"2012-10-17\",\"Statement\":[" STATEMENTS "]}"
#define DEFAULT_POLICY POLICY(STATEMENT("Allow", ROOT(MINE), "kms:*"))

struct fixture {
    struct key_record key;
    struct key_rights rights;
};

static void fixture_release(struct fixture *f)
{
    if (f->rights.policy != NULL)
        authz_rights_compiler.release(f->rights.policy);
}

/* A key of this account under this policy; NULL: one that cannot be read. */
static void fixture_init(struct fixture *f, const char *policy)
{
    *f = (struct fixture){ 0 };
    f->key.name.account = BYTES_LIT(MINE);
    f->key.name.arn = BYTES_LIT(KEY(MINE));
    f->key.rights = &f->rights;
    f->rights.policy = authz_rights_compiler.compile(bytes_str(policy), (struct bytes){ NULL, 0 });
}

static enum kms_status decide(const struct fixture *f, const struct policy_caller *caller,
                              bool cross_account, struct kms_error *err)
{
    const struct authz_caller  who = { .as = *caller };
    const struct authz_request rq = { .caller = &who,
                                      .action = BYTES_LIT("kms:Encrypt"),
                                      .resource = f == NULL ? BYTES_LIT("*") : f->key.name.arn,
                                      .key = f == NULL ? NULL : &f->key,
                                      .operation = GRANT_NO_OPERATION,
                                      .cross_account = cross_account };

    kms_error_clear(err);
    return authz_decide(&rq, NULL, err);
}

#define TEXT(S) { (const uint8_t *)(S), sizeof(S) - 1 }
static const struct policy_caller root = {
    CALLER_ROOT, TEXT(MINE), TEXT(ROOT(MINE)), { 0 }, { 0 }
};
static const struct policy_caller root_cn = {
    CALLER_ROOT, TEXT(MINE), TEXT("arn:aws-cn:iam::" MINE ":root"), { 0 }, { 0 }
};
static const struct policy_caller alice = {
    CALLER_USER, TEXT(MINE), TEXT("arn:aws:iam::" MINE ":user/alice"), { 0 }, { 0 }
};
static const struct policy_caller their_root = {
    CALLER_ROOT, TEXT(THEIRS), TEXT(ROOT(THEIRS)), { 0 }, { 0 }
};
static const struct policy_caller their_user = {
    CALLER_USER, TEXT(THEIRS), TEXT("arn:aws:iam::" THEIRS ":user/u"), { 0 }, { 0 }
};

#define U(ARN) "User: " ARN " is not authorized to perform: kms:Encrypt"
#define ON_KEY " on resource: " KEY(MINE)
#define ON_THIS " on this resource"
#define NO_IDENTITY " because no identity-based policy allows the kms:Encrypt action"
#define NO_RESOURCE " because no resource-based policy allows the kms:Encrypt action"
#define DENY " with an explicit deny in a resource-based policy"
#define ALICE "arn:aws:iam::" MINE ":user/alice"

static const struct {
    const char *row;
    const char *policy;

    const struct policy_caller *caller;

    bool        cross_account;
    const char *text; /* NULL: allowed */
} rows[] = {
    { "5.1 rule 7", DEFAULT_POLICY, &root, false, NULL },
    { "partition", DEFAULT_POLICY, &root_cn, false, NULL },
    { "5.1.12", POLICY(STATEMENT("Allow", MINE, "kms:Decrypt")), &root, false,
      U(ROOT(MINE)) ON_KEY NO_RESOURCE },
    { "5.1.4", POLICY(STATEMENT("Allow", MINE, "kms:*") "," STATEMENT("Deny", "*", "kms:Encrypt")),
      &root, false, U(ROOT(MINE)) ON_KEY DENY },
    { "5.1.10", DEFAULT_POLICY, &alice, false, U(ALICE) ON_KEY NO_IDENTITY },
    { "5.1.12", POLICY(STATEMENT("Allow", MINE, "kms:Decrypt")), &alice, false,
      U(ALICE) ON_KEY NO_RESOURCE },
    { "12: allowed by name, no identity policy needed", POLICY(STATEMENT("Allow", ALICE, "kms:*")),
      &alice, false, NULL },
    { "the root user is not above the key policy", POLICY(STATEMENT("Allow", ALICE, "kms:*")),
      &root, false, U(ROOT(MINE)) ON_KEY NO_RESOURCE },
    { "a policy that cannot be read", "{", &root, false, U(ROOT(MINE)) ON_KEY DENY },
    { "4.7 texts", DEFAULT_POLICY, &their_root, true, U(ROOT(THEIRS)) ON_THIS NO_RESOURCE },
    { "4.7", POLICY(STATEMENT("Allow", THEIRS, "kms:*")), &their_root, true, NULL },
    { "4.3: not across accounts", POLICY(STATEMENT("Allow", THEIRS, "kms:*")), &their_root, false,
      U(ROOT(THEIRS)) ON_THIS NO_RESOURCE },
    { "4.7", POLICY(STATEMENT("Allow", THEIRS, "kms:*")), &their_user, true,
      U("arn:aws:iam::" THEIRS ":user/u") ON_THIS NO_IDENTITY },
    { "both sides", POLICY(STATEMENT("Allow", "*", "kms:*")), &their_user, true,
      U("arn:aws:iam::" THEIRS ":user/u") ON_THIS NO_IDENTITY },
    { "deny", POLICY(STATEMENT("Deny", "*", "kms:*")), &their_root, true,
      U(ROOT(THEIRS)) ON_THIS DENY },
};

static void decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(fixture_release) struct fixture f;
        struct kms_error                        err;
        fixture_init(&f, rows[i].policy);
        enum kms_status status = decide(&f, rows[i].caller, rows[i].cross_account, &err);
        if (status != (rows[i].text == NULL ? KMS_OK : KMS_E_ACCESS_DENIED) ||
            strcmp(err.message, rows[i].text == NULL ? "" : rows[i].text) != 0)
            fail_msg("row %zu (%s): %d '%s'", i, rows[i].row, (int)status, err.message);
    }
}

static void without_a_key(void **state)
{
    struct kms_error err;

    (void)state;
    assert_int_equal(decide(NULL, &root, false, &err), KMS_OK);
    assert_int_equal(decide(NULL, &alice, false, &err), KMS_E_ACCESS_DENIED);
    assert_string_equal(err.message, U(ALICE) NO_IDENTITY);
}

/* A record that no directory has published gives no rights. */
static void unpublished_key(void **state)
{
    CLEANUP(fixture_release) struct fixture f;
    struct kms_error                        err;

    (void)state;
    fixture_init(&f, DEFAULT_POLICY);
    f.key.rights = NULL;
    assert_int_equal(decide(&f, &root, false, &err), KMS_E_ACCESS_DENIED);
}

/* The operator reads which statement it was. */
static void operator_is_told(void **state)
{
    CLEANUP(fixture_release) struct fixture f;
    struct kms_error                        err;

    (void)state;
    fixture_init(&f,
                 "{\"Statement\":[" STATEMENT(
                     "Allow", MINE,
                     "kms:*") ","
                              "{\"Sid\":\"No\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
                              "\"kms:Encrypt\",\"Resource\":\"*\"}]}");
    assert_int_equal(decide(&f, &root, false, &err), KMS_E_ACCESS_DENIED);
    assert_string_equal(err.detail, "statement 1 'No' of the key policy decided");
}

/* kms-behaviour 12 and 3.2: what may become a key policy. */
#define LOCKOUT "The new key policy will not allow you to update the key policy in the future."
#define UNKNOWN "Policy contains a statement with one or more invalid principals."
#define WITH(EFFECT, CONDITION)                                                                    \
    "{\"Effect\":\"" EFFECT "\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\","          \
    "\"Condition\":" CONDITION "}"
#define OWNER STATEMENT("Allow", ROOT(MINE), "kms:*")

static enum condition_answer user_is_u(void *ctx, const struct condition_key *key, size_t i,
                                       char room[CONDITION_ROOM], struct bytes *ret)
{
    (void)ctx;
    (void)room;
    *ret = key->id == ASK_CALLER_ACCOUNT ? BYTES_LIT(MINE) : BYTES_LIT("u");
    return i == 0 ? CONDITION_VALUE : CONDITION_ABSENT;
}

static const struct {
    const char *policy;

    const struct policy_caller *caller;

    bool            bypass;
    enum kms_status status;
    const char     *text;
} checks[] = {
    { POLICY(OWNER), &root, false, KMS_OK, "" },
    { POLICY(OWNER), &alice, false, KMS_OK, "" }, /* recorded 5.1.9: the root statement is enough */
    { POLICY(STATEMENT("Allow", MINE, "kms:Put*")), &root, false, KMS_OK, "" },
    { POLICY(STATEMENT("Allow", MINE, "kms:Get*")), &root, false, KMS_E_POLICY, LOCKOUT },
    { POLICY(STATEMENT("Allow", MINE, "kms:Get*")), &root, true, KMS_OK, "" },
    { POLICY(OWNER "," STATEMENT("Deny", "*", "kms:PutKeyPolicy")), &root, false, KMS_E_POLICY,
      LOCKOUT },
    { POLICY(OWNER "," STATEMENT("Allow", THEIRS, "kms:*")), &root, false, KMS_E_POLICY, UNKNOWN },
    { POLICY(OWNER "," STATEMENT("Allow", ALICE, "kms:*")), &root, true, KMS_E_POLICY, UNKNOWN },
    /* an allowance that depends on the request proves nothing, a denial counts */
    { POLICY(WITH("Allow", "{\"StringEquals\":{\"aws:UserAgent\":\"u\"}}")), &root, false,
      KMS_E_POLICY, LOCKOUT },
    { POLICY(WITH("Allow", "{\"StringNotEquals\":{\"own:key\":\"u\"}}")), &root, false,
      KMS_E_POLICY, LOCKOUT },
    { POLICY(WITH("Allow", "{\"StringEquals\":{\"kms:CallerAccount\":\"" MINE "\"}}")), &root,
      false, KMS_OK, "" },
    { POLICY(WITH("Allow", "{\"StringEquals\":{\"kms:CallerAccount\":\"" THEIRS "\"}}")), &root,
      false, KMS_E_POLICY, LOCKOUT },
    { POLICY(OWNER "," WITH("Deny", "{\"StringEquals\":{\"aws:UserAgent\":\"u\"}}")), &root, false,
      KMS_E_POLICY, LOCKOUT },
    { POLICY(OWNER "," WITH("Deny", "{\"StringEquals\":{\"aws:UserAgent\":\"w\"}}")), &root, false,
      KMS_OK, "" },
    { "{", &root, true, KMS_E_POLICY, "" },
};

static bool known(const struct policy_principal *p, const void *ctx)
{
    return p->kind == PRINCIPAL_ACCOUNT && bytes_eq_str(p->text, ctx);
}

static void new_policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const struct authz_caller  who = { .as = *checks[i].caller };
        const struct authz_request rq = { .caller = &who, .values = user_is_u };
        struct kms_error           err;
        kms_error_clear(&err);
        enum kms_status status = authz_check_key_policy(&rq, bytes_str(checks[i].policy),
                                                        BYTES_LIT(KEY(MINE)), checks[i].bypass,
                                                        known, MINE, &err);
        if (status != checks[i].status || strcmp(err.message, checks[i].text) != 0)
            fail_msg("row %zu: %s: %d '%s'", i, checks[i].policy, (int)status, err.message);
    }
}

static void size_of_policies(void **state)
{
    static char                text[LIMIT_POLICY_BYTES + 2];
    const struct authz_caller  who = { .as = root };
    const struct authz_request rq = { .caller = &who };
    struct kms_error           err;

    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, POLICY(OWNER), sizeof POLICY(OWNER) - 1);
    assert_int_equal(authz_check_key_policy(&rq, bytes_of(text, LIMIT_POLICY_BYTES),
                                            BYTES_LIT(KEY(MINE)), false, known, MINE, &err),
                     KMS_OK);
    assert_int_equal(authz_check_key_policy(&rq, bytes_of(text, LIMIT_POLICY_BYTES + 1),
                                            BYTES_LIT(KEY(MINE)), true, known, MINE, &err),
                     KMS_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),       cmocka_unit_test(without_a_key),
        cmocka_unit_test(unpublished_key), cmocka_unit_test(operator_is_told),
        cmocka_unit_test(new_policies),    cmocka_unit_test(size_of_policies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
