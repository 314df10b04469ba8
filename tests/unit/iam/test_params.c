/* Parameters of IAM: patterns, the texts of refusals, and what goes into the audit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iam/internal.h"

/* --- patterns --------------------------------------------------------------------------------- */

struct sample {
    bool (*matches)(struct bytes text);
    const char *text;
    bool        want;
};

static void patterns(void **state)
{
    static const struct sample samples[] = {
        { iam_is_name, "aZ09_+=,.@-", true },
        { iam_is_name, "", false },
        { iam_is_name, "a b", false },
        { iam_is_name, "a/b", false },
        { iam_is_name, "\xc3\xbc", false },
        { iam_is_word, "AKIA_09az", true },
        { iam_is_word, "a-b", false },
        { iam_is_path, "/", true },
        { iam_is_path, "/a/", true },
        { iam_is_path, "/a/b!~/", true },
        { iam_is_path, "//", false }, /* something has to be between */
        { iam_is_path, "/a", false },
        { iam_is_path, "a/", false },
        { iam_is_path, "/a b/", false },
        { iam_is_path, "/\x7f/", false },
        { iam_is_path_prefix, "/", true },
        { iam_is_path_prefix, "/a", true },
        { iam_is_path_prefix, "a", false },
        { iam_is_path_prefix, "/a b", false },
        { iam_is_policy_path, "/", true },
        { iam_is_policy_path, "/a.,+@=_-/B9/", true },
        { iam_is_policy_path, "/a", false },
        { iam_is_policy_path, "//", false },
        { iam_is_policy_path, "/a//", false },
        { iam_is_policy_path, "/a!/", false },
        { iam_is_policy_path, "", false },
        { iam_is_latin, " ~\xc2\x80\xc3\xbf", true },
        { iam_is_latin, "\n", false },
        { iam_is_latin, "\x7f", false },
        { iam_is_latin, "\xc4\x80", false },
        { iam_is_document, "{\t\n\r \xc3\xbf}", true },
        { iam_is_document, "\xe2\x82\xac", false },
        { iam_is_document, "\x0b", false },
        { iam_is_version, "v1", true },
        { iam_is_version, "v10.a-B9", true },
        { iam_is_version, "v1.", true },
        { iam_is_version, "v0", false },
        { iam_is_version, "v", false },
        { iam_is_version, "1", false },
        { iam_is_version, "v1a", false },
        { iam_is_version, "v1.a_", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        if (samples[i].matches(bytes_str(samples[i].text)) != samples[i].want)
            fail_msg("pattern %zu of '%s'", i, samples[i].text);
    }
}

static void sizes_leave_out_white_space(void **state)
{
    (void)state;
    assert_int_equal(iam_document_size(BYTES_LIT(" {\t\"\xc3\xbc\" :\r\n1 } ")), 7);
    assert_int_equal(iam_characters(BYTES_LIT("a\xc3\xbc\xf0\x9f\x94\x91")), 3);
}

/* --- requests --------------------------------------------------------------------------------- */

static enum kms_status prepare(const char *action, const char *text, struct kms_error *err)
{
    CLEANUP(buf_release) struct buf   body = BUF_INIT(64 * 1024);
    CLEANUP(form_release) struct form form = { .n = 0 };
    struct op_call                    call = { .form = &form };

    buf_add_str(&body, text);
    assert_int_equal(form_parse(body.ptr, body.len, &form, err), KMS_OK);
    call.op = iam_find(BYTES_LIT("iam"), bytes_str(action));
    assert_non_null(call.op);
    return iam_prepare(&call, err);
}

static void is_fine(const char *action, const char *text)
{
    struct kms_error err;

    if (prepare(action, text, &err) != KMS_OK)
        fail_msg("%s: %s", text, err.message);
}

static void is_refused(const char *action, const char *text, const char *message)
{
    struct kms_error err;

    assert_int_equal(prepare(action, text, &err), KMS_E_VALIDATION);
    assert_string_equal(err.message, message);
}

#define ONE     "1 validation error detected: "
#define AT(x)   "at '" x "' failed to satisfy constraint: Member must "
#define PATTERN "satisfy regular expression pattern: "

static void good_requests(void **state)
{
    (void)state;
    is_fine("CreateUser", "UserName=a&Path=%2F&Tags.member.1.Key=k&Tags.member.1.Value=");
    is_fine("CreateUser", "UserName=a&Tags=");
    is_fine("CreateUser", "UserName=a&Unknown=x"); /* as with the service */
    is_fine("ListUsers", "");
    is_fine("ListUsers", "MaxItems=1000");
    is_fine("GetUser", "");
    is_fine("UpdateAccessKey", "AccessKeyId=AKIAAAAAAAAAAAAAAAAA&Status=Inactive");
    is_fine("CreatePolicyVersion",
            "PolicyArn=arn:aws:iam::123456789012:policy/p&PolicyDocument=x&SetAsDefault=true");
    is_fine("UntagUser", "UserName=a&TagKeys.member.1=k");
    is_fine("UntagUser", "UserName=a&TagKeys=");
    is_fine("GetAccountSummary", "");
}

static void bad_requests(void **state)
{
    (void)state;
    is_refused("CreateUser", "", ONE "Value null " AT("userName") "not be null");
    is_refused("CreateUser", "UserName=",
               ONE "Value '' " AT("userName") "have length greater than or equal to 1");
    is_refused("CreateUser", "UserName=a%20b",
               ONE "Value 'a b' " AT("userName") PATTERN "[\\w+=,.@-]+");
    is_refused("ListUsers", "MaxItems=0",
               ONE "Value '0' " AT("maxItems") "have value greater than or equal to 1");
    is_refused("ListUsers", "MaxItems=1001",
               ONE "Value '1001' " AT("maxItems") "have value less than or equal to 1000");
    is_refused("ListUsers", "MaxItems=-1", ONE "Value '-1' " AT("maxItems") "be an integer");
    is_refused("ListUsers", "MaxItems=9999999999",
               ONE "Value '9999999999' " AT("maxItems") "be an integer");
    is_refused("ListPolicies", "OnlyAttached=yes",
               ONE "Value 'yes' " AT("onlyAttached") "be a boolean");
    is_refused("ListPolicies", "Scope=all",
               ONE "Value 'all' " AT("scope") "satisfy enum value set: [All, AWS, Local]");
    is_refused("TagUser", "UserName=a", ONE "Value null " AT("tags") "not be null");
    is_refused("TagUser", "UserName=a&Tags.member.1.Key=k",
               ONE "Value null " AT("tags.1.member.value") "not be null");
    is_refused("UntagUser", "UserName=a&TagKeys.member.1=",
               ONE "Value '' " AT("tagKeys.1.member") "have length greater than or equal to 1");
    is_refused("CreateUser", "UserName=a+b&Path=x",
               "2 validation errors detected: Value 'x' " AT("path") PATTERN
               "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F); Value 'a b' " AT("userName") PATTERN
               "[\\w+=,.@-]+");
}

/* What is not audited is not quoted either. */
static void documents_are_not_quoted(void **state)
{
    (void)state;
    is_refused("PutUserPolicy", "UserName=a&PolicyName=p&PolicyDocument=%E2%82%AC",
               ONE "Value " AT("policyDocument") PATTERN "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
}

static void lists_that_are_none(void **state)
{
    struct kms_error err;

    (void)state;
    assert_int_equal(prepare("TagUser", "UserName=a&Tags.member.2.Key=k", &err), KMS_E_VALIDATION);
    assert_int_equal(prepare("TagUser", "UserName=a&Tags=x", &err), KMS_E_VALIDATION);
}

/* 51 tags: one more than the list may have. */
static void lists_that_are_too_long(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(16 * 1024);

    (void)state;
    buf_add_str(&text, "UserName=a");
    for (int i = 1; i <= LIMIT_TAGS + 1; i++)
        buf_addf(&text, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=v", i, i, i);
    buf_add_byte(&text, '\0');
    assert_true(buf_ok(&text));
    is_refused("TagUser", (const char *)text.ptr,
               ONE "Value null " AT("tags") "have length less than or equal to 50");
}

/* Failures beyond what a message holds are counted; the text stays whole. */
static void many_failures(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(64 * 1024);
    struct kms_error                err;

    (void)state;
    buf_add_str(&text, "UserName=a");
    for (int i = 1; i <= LIMIT_TAGS; i++)
        buf_addf(&text, "&Tags.member.%d.Key=%0200d!&Tags.member.%d.Value=%0300d!", i, i, i, i);
    buf_add_byte(&text, '\0');
    assert_true(buf_ok(&text));
    assert_int_equal(prepare("TagUser", (const char *)text.ptr, &err), KMS_E_VALIDATION);
    assert_true(bytes_starts(bytes_str(err.message),
                             BYTES_LIT("200 validation errors detected: Value '0000")));
    assert_true(err.message_len < KMS_MESSAGE_MAX - 1);
}

/* --- audit ------------------------------------------------------------------------------------ */

static void is_audited(const char *action, const char *text, const char *want)
{
    CLEANUP(buf_release) struct buf   body = BUF_INIT(64 * 1024);
    CLEANUP(buf_release) struct buf   out = BUF_INIT(64 * 1024);
    CLEANUP(form_release) struct form form = { .n = 0 };
    struct kms_error                  err;

    buf_add_str(&body, text);
    assert_int_equal(form_parse(body.ptr, body.len, &form, &err), KMS_OK);
    iam_audit_parameters(iam_find(BYTES_LIT("iam"), bytes_str(action)), &form, &out);
    if (!bytes_eq_str(buf_bytes(&out), want))
        fail_msg("got %.*s, want %s", BYTES_FMT(buf_bytes(&out)), want);
}

static void parameters_in_the_audit(void **state)
{
    (void)state;
    is_audited("CreateUser",
               "Action=CreateUser&Version=1&UserName=a&Other=b&Tags.member.1.Key=k&"
               "Tags.member.1.Value=v",
               "{\"userName\":\"a\",\"tags\":[{\"key\":\"k\",\"value\":\"v\"}]}");
    is_audited("PutUserPolicy", "UserName=a&PolicyName=p&PolicyDocument=secret",
               "{\"userName\":\"a\",\"policyName\":\"p\"}");
    is_audited("ListUsers", "MaxItems=5&Marker=opaque", "{\"maxItems\":5}");
    is_audited("ListUsers", "MaxItems=x", "{\"maxItems\":\"x\"}");
    is_audited("CreatePolicyVersion", "SetAsDefault=true", "{\"setAsDefault\":true}");
    is_audited("UntagUser", "TagKeys.member.1=a&TagKeys.member.2=b", "{\"tagKeys\":[\"a\",\"b\"]}");
    is_audited("GetAccountSummary", "UserName=a", "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(sizes_leave_out_white_space),
        cmocka_unit_test(good_requests),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(documents_are_not_quoted),
        cmocka_unit_test(lists_that_are_none),
        cmocka_unit_test(lists_that_are_too_long),
        cmocka_unit_test(many_failures),
        cmocka_unit_test(parameters_in_the_audit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
