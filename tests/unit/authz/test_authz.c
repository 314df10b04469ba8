/* Unit tests of authz/: the root user of the key's account, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"

#define MINE "000000000000"
#define THEIRS "111111111111"

static struct key_record key_of(const char *account)
{
    struct key_record k = { 0 };

    k.name.account = bytes_str(account);
    k.name.arn = BYTES_LIT("arn:aws:kms:us-east-1:000000000000:key/k");
    return k;
}

static enum kms_status decide(const char *arn, const struct key_record *key, struct kms_error *err)
{
    const struct authz_request rq = { .caller_account = BYTES_LIT(MINE),
                                      .caller_arn = bytes_str(arn),
                                      .operation = "Encrypt",
                                      .key = key };

    return authz_decide(&rq, err);
}

static void root_may(void **state)
{
    struct key_record key = key_of(MINE);
    struct kms_error  err;

    (void)state;
    assert_int_equal(decide("arn:aws:iam::" MINE ":root", &key, &err), KMS_OK);
    assert_int_equal(decide("arn:aws-cn:iam::" MINE ":root", &key, &err), KMS_OK);
    assert_int_equal(decide("arn:aws:iam::" MINE ":root", NULL, &err), KMS_OK);
}

/* recorded-authz-multiregion section 3. */
static void others_may_not(void **state)
{
    static const char *const callers[] = {
        "arn:aws:iam::" MINE ":user/root",
        "arn:aws:iam::" MINE ":rootx",
        "arn:aws:iam::" THEIRS ":root",
        "arn:aws:iam::" MINE ":role/x:root",
        "arn:aws:sts::" MINE ":root",
        "root",
        "",
        "arn:aws:iam::" MINE,
        "xarn:aws:iam::" MINE ":root",
    };
    struct key_record key = key_of(MINE);
    struct kms_error  err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        assert_int_equal(decide(callers[i], &key, &err), KMS_E_ACCESS_DENIED);
    assert_int_equal(decide("arn:aws:iam::" MINE ":user/U", &key, &err), KMS_E_ACCESS_DENIED);
    assert_string_equal(
        err.message,
        "User: arn:aws:iam::" MINE ":user/U is not authorized to perform: kms:Encrypt on resource: "
        "arn:aws:kms:us-east-1:" MINE ":key/k because no identity-based policy allows the "
        "kms:Encrypt action");
}

/* A key of another account: refused, and its ARN is not told. */
static void other_accounts(void **state)
{
    struct key_record key = key_of(THEIRS);
    struct kms_error  err;

    (void)state;
    assert_int_equal(decide("arn:aws:iam::" MINE ":root", &key, &err), KMS_E_ACCESS_DENIED);
    assert_string_equal(err.message,
                        "User: arn:aws:iam::" MINE
                        ":root is not authorized to perform: kms:Encrypt on this resource "
                        "because no resource-based policy allows the kms:Encrypt action");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_may),
        cmocka_unit_test(others_may_not),
        cmocka_unit_test(other_accounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
