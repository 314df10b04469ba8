/* Frames of answers, errors and their spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "query/answer.h"

#define ID "0f7a3b2c-1111-4222-8333-444455556666"

static void is(const struct buf *out, const char *want)
{
    assert_true(buf_ok(out));
    if (!bytes_eq_str(buf_bytes(out), want))
        fail_msg("got\n%.*s\nwant\n%s", BYTES_FMT(buf_bytes(out)), want);
}

static void services(void **state)
{
    (void)state;
    assert_string_equal(query_service(BYTES_LIT("iam"))->version, "2010-05-08");
    assert_string_equal(query_service(BYTES_LIT("sts"))->version, "2011-06-15");
    assert_null(query_service(BYTES_LIT("kms")));
    assert_null(query_service(BYTES_LIT("")));
}

static void answers(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct xml                      w;

    (void)state;
    xml_writer_init(&w, &out);
    query_answer_begin(&w, query_service(BYTES_LIT("iam")), "GetUser", true);
    xml_put_str(&w, "UserName", "bob");
    query_answer_end(&w, ID);
    is(&out, "<GetUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetUserResult>"
             "<UserName>bob</UserName></GetUserResult><ResponseMetadata><RequestId>" ID
             "</RequestId></ResponseMetadata></GetUserResponse>");

    buf_reset(&out);
    xml_writer_init(&w, &out);
    query_answer_begin(&w, query_service(BYTES_LIT("sts")), "Nothing", false);
    query_answer_end(&w, ID);
    is(&out,
       "<NothingResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
       "<ResponseMetadata><RequestId>" ID "</RequestId></ResponseMetadata></NothingResponse>");
}

static void errors(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct kms_error                err;

    (void)state;
    (void)KMS_REFUSE(&err, KMS_E_NOT_FOUND, "The user with name <%s> cannot be found.", "bob");
    query_error_body(&out, query_service(BYTES_LIT("iam")), &err, ID);
    is(&out, "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error>"
             "<Type>Sender</Type><Code>NoSuchEntity</Code>"
             "<Message>The user with name &lt;bob&gt; cannot be found.</Message></Error>"
             "<RequestId>" ID "</RequestId></ErrorResponse>");

    buf_reset(&out);
    (void)KMS_FAIL(&err, KMS_E_INTERNAL, "the disk is on fire");
    query_error_body(&out, query_service(BYTES_LIT("sts")), &err, ID);
    is(&out, "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
             "<Type>Receiver</Type><Code>ServiceFailure</Code></Error>"
             "<RequestId>" ID "</RequestId></ErrorResponse>");
}

static void spelling(void **state)
{
    static const struct {
        enum kms_status status;
        int             http;
        const char     *code;
    } rows[] = {
        { KMS_OK, 200, "" },
        { KMS_E_VALIDATION, 400, "ValidationError" },
        { KMS_E_UNKNOWN_OPERATION, 400, "InvalidAction" },
        { KMS_E_MISSING_AUTH, 403, "MissingAuthenticationToken" },
        { KMS_E_INCOMPLETE_SIG, 400, "IncompleteSignature" },
        { KMS_E_INVALID_SIG, 403, "SignatureDoesNotMatch" },
        { KMS_E_UNKNOWN_CLIENT, 403, "InvalidClientTokenId" },
        { KMS_E_EXPIRED_CLIENT, 403, "ExpiredToken" },
        { KMS_E_ACCESS_DENIED, 403, "AccessDenied" },
        { KMS_E_THROTTLED, 400, "Throttling" },
        { KMS_E_NOT_FOUND, 404, "NoSuchEntity" },
        { KMS_E_ALREADY_EXISTS, 409, "EntityAlreadyExists" },
        { KMS_E_CONFLICT, 409, "DeleteConflict" },
        { KMS_E_LIMIT, 409, "LimitExceeded" },
        { KMS_E_POLICY, 400, "MalformedPolicyDocument" },
        { KMS_E_INPUT, 400, "InvalidInput" },
        { KMS_E_CHANGED, 409, "ConcurrentModification" },
        { KMS_E_INTERNAL, 500, "ServiceFailure" },
        { KMS_E_MAC, 500, "ServiceFailure" }, /* of KMS alone */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(query_status_http(rows[i].status), rows[i].http);
        assert_string_equal(query_status_code(rows[i].status), rows[i].code);
    }
}

static void is_refused(enum kms_status got, enum kms_status want, const struct kms_error *err,
                       const char *message)
{
    assert_int_equal(got, want);
    assert_string_equal(err->message, message);
}

static void actions_and_versions(void **state)
{
    const struct query_service *iam = query_service(BYTES_LIT("iam"));
    struct bytes                none = { NULL, 0 };
    struct bytes                action = BYTES_LIT("GetUser");
    struct kms_error            err;

    (void)state;
    assert_int_equal(query_check_version(iam, action, BYTES_LIT("2010-05-08"), &err), KMS_OK);
    is_refused(query_check_version(iam, action, BYTES_LIT("2011-06-15"), &err), KMS_E_NO_VERSION,
               &err, "The requested version (2011-06-15) of service iam does not exist.");
    is_refused(query_check_version(iam, action, none, &err), KMS_E_UNKNOWN_OPERATION, &err,
               "Could not find operation GetUser for version NO_VERSION_SPECIFIED");
    is_refused(query_unknown_action(BYTES_LIT("Fly"), BYTES_LIT("2010-05-08"), &err),
               KMS_E_UNKNOWN_OPERATION, &err,
               "Could not find operation Fly for version 2010-05-08");
    is_refused(query_unknown_action(none, BYTES_LIT("2010-05-08"), &err), KMS_E_UNKNOWN_OPERATION,
               &err, "The request has no Action parameter.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(answers),
        cmocka_unit_test(errors),
        cmocka_unit_test(spelling),
        cmocka_unit_test(actions_and_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
