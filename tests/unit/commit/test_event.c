/* Unit tests of commit/event.h: service events, parts of ARNs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "commit/event.h"
#include "crypto/crypto.h"
#include "json/read.h"

#define ARN "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"

static void parts_of_an_arn(void **state)
{
    (void)state;
    assert_true(bytes_eq_str(arn_part(bytes_str(ARN), 0), "arn"));
    assert_true(bytes_eq_str(arn_part(bytes_str(ARN), 3), "eu-central-1"));
    assert_true(bytes_eq_str(arn_part(bytes_str(ARN), 4), "123456789012"));
    assert_int_equal(arn_part(bytes_str(ARN), 5).len, 0); /* the last part has no colon after it */
    assert_int_equal(arn_part(bytes_str("nothing"), 0).len, 0);
}

static void uuids_differ(void **state)
{
    char a[UUID_TEXT + 1];
    char b[UUID_TEXT + 1];

    (void)state;
    uuid_text_new(a);
    uuid_text_new(b);
    assert_int_equal(strlen(a), UUID_TEXT);
    assert_int_equal(a[14], '4');
    assert_string_not_equal(a, b);
}

/* The text lacks its closing brace (the audit adds its own member); closed, it is strict JSON. */
static void event_with_details(void **state)
{
    CLEANUP(buf_release) struct buf          text = BUF_INIT(65536);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct kms_error                         err;
    struct json                              root;

    (void)state;
    service_event_with_id(&text, "01234567-89ab-4def-8123-456789abcdef", 1795286677000,
                          "DeleteExpiredKeyMaterial", bytes_str(ARN),
                          BYTES_LIT("{\"keyMaterialId\":\"ab00\"}"));
    buf_add_str(&text, "}");
    assert_true(buf_ok(&text) && buf_reserve(&text, JSON_PADDING));
    assert_int_equal(json_parse(doc, text.ptr, text.len, &root, &err), KMS_OK);
    assert_true(
        bytes_eq_str(json_string(json_member(root, "eventName")), "DeleteExpiredKeyMaterial"));
    assert_true(bytes_eq_str(json_string(json_member(root, "eventID")),
                             "01234567-89ab-4def-8123-456789abcdef"));
    assert_true(bytes_eq_str(json_string(json_member(root, "eventType")), "AwsServiceEvent"));
    assert_true(bytes_eq_str(json_string(json_member(root, "awsRegion")), "eu-central-1"));
    assert_true(bytes_eq_str(json_string(json_member(root, "recipientAccountId")), "123456789012"));
    assert_true(bytes_eq_str(json_string(json_member(root, "eventTime")), "2026-11-21T18:44:37Z"));
    struct json details = json_member(root, "serviceEventDetails");
    assert_true(bytes_eq_str(json_string(json_member(details, "keyMaterialId")), "ab00"));
}

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_an_arn),
        cmocka_unit_test(uuids_differ),
        cmocka_unit_test(event_with_details),
    };

    if (crypto_init(&err) != KMS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crypto_cleanup();
    return failed;
}
