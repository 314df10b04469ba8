/* tests/unit/audit/test_event.c - events: CloudTrail's shape, nothing a client sends breaks it. */
#include "fixture.h"

#include "json/read.h"

/* The event as a JSON document: closed, parsed, with the memory it lives in. */
struct parsed {
    struct buf       text;
    struct json_doc *doc;
    struct json      root;
};

static void parsed_release(struct parsed *p)
{
    json_doc_free(p->doc);
    buf_release(&p->text);
}

static struct parsed parse(const struct audit_event *e)
{
    struct parsed    p = { .text = BUF_INIT(65536), .doc = json_doc_new() };
    struct kms_error err;

    audit_event_write(&p.text, e);
    buf_add_byte(&p.text, '}');
    assert_true(buf_ok(&p.text) && buf_reserve(&p.text, JSON_PADDING));
    if (json_parse(p.doc, p.text.ptr, p.text.len, &p.root, &err) != KMS_OK)
        fail_msg("not JSON: %s", err.detail);
    return p;
}

static void assert_member(struct json object, const char *name, const char *want)
{
    struct bytes got = json_string(json_member(object, name));

    if (!bytes_eq_str(got, want))
        fail_msg("%s is '%.*s', not '%s'", name, BYTES_FMT(got), want);
}

static struct audit_event api_call(void)
{
    return (struct audit_event){
        .time = INT64_C(1763747101918),
        .event_id = "89b06cbe-1a4b-4d0c-9b3c-35d9b5b0ca5b",
        .request_id = "ac81bb20-2ca4-4ac2-80cf-b1b0e6e4ef44",
        .event_type = "AwsApiCall",
        .event_name = "Encrypt",
        .region = BYTES_LIT("eu-central-1"),
        .account = BYTES_LIT("111122223333"),
        .principal_type = BYTES_LIT("IAMUser"),
        .principal_arn = BYTES_LIT("arn:aws:iam::111122223333:user/alice"),
        .principal_id = BYTES_LIT("AIDAEXAMPLE"),
        .access_key_id = BYTES_LIT("AKIAEXAMPLE"),
        .source_ip = "192.0.2.7",
        .user_agent = BYTES_LIT("aws-cli/2"),
        .request_parameters = BYTES_LIT("{\"encryptionContext\":{\"a\":\"b\"}}"),
        .additional = BYTES_LIT("{\"grantId\":\"g\"}"),
        .read_only = true,
        .key_arns = { BYTES_LIT("arn:aws:kms:eu-central-1:444455556666:key/k") },
        .tls_version = "TLSv1.3",
        .tls_cipher = "TLS_AES_128_GCM_SHA256",
    };
}

static void test_an_api_call_has_the_shape_of_cloudtrail(void **state)
{
    struct audit_event                    e = api_call();
    CLEANUP(parsed_release) struct parsed p = parse(&e);
    int64_t                               ms = 0;

    (void)state;
    assert_member(p.root, "eventVersion", "1.11");
    assert_member(p.root, "eventTime", "2025-11-21T17:45:01Z");
    assert_member(p.root, "eventSource", "kms.amazonaws.com");
    assert_member(p.root, "eventName", "Encrypt");
    assert_member(p.root, "awsRegion", "eu-central-1");
    assert_member(p.root, "sourceIPAddress", "192.0.2.7");
    assert_member(p.root, "userAgent", "aws-cli/2");
    assert_member(p.root, "requestID", "ac81bb20-2ca4-4ac2-80cf-b1b0e6e4ef44");
    assert_member(p.root, "eventID", "89b06cbe-1a4b-4d0c-9b3c-35d9b5b0ca5b");
    assert_member(p.root, "eventType", "AwsApiCall");
    assert_member(p.root, "recipientAccountId", "111122223333");
    assert_true(json_bool(json_member(p.root, "readOnly")));
    assert_true(json_bool(json_member(p.root, "managementEvent")));
    assert_int_equal(json_type(json_member(p.root, "responseElements")), JSON_NULL);
    assert_null(json_member(p.root, "errorCode").node);

    struct json who = json_member(p.root, "userIdentity");
    assert_member(who, "type", "IAMUser");
    assert_member(who, "principalId", "AIDAEXAMPLE");
    assert_member(who, "arn", "arn:aws:iam::111122223333:user/alice");
    assert_member(who, "accountId", "111122223333");
    assert_member(who, "accessKeyId", "AKIAEXAMPLE");
    assert_member(json_member(json_member(p.root, "requestParameters"), "encryptionContext"), "a",
                  "b");
    assert_member(json_member(p.root, "additionalEventData"), "grantId", "g");
    assert_member(json_member(p.root, "tlsDetails"), "tlsVersion", "TLSv1.3");
    assert_true(json_int(json_member(p.root, "eventTimeMs"), &ms) && ms == e.time);

    struct json_iter it = json_iterate(json_member(p.root, "resources"));
    struct json      resource;
    assert_true(json_next(&it, NULL, &resource));
    assert_member(resource, "accountId", "444455556666"); /* the key's, not the caller's */
    assert_member(resource, "type", "AWS::KMS::Key");
    assert_member(resource, "ARN", "arn:aws:kms:eu-central-1:444455556666:key/k");
}

static void test_a_service_event_has_no_caller(void **state)
{
    struct audit_event e = {
        .time = 1,
        .event_id = "89b06cbe-1a4b-4d0c-9b3c-35d9b5b0ca5b",
        .event_type = "AwsServiceEvent",
        .event_name = "DeleteExpiredKeyMaterial",
        .account = BYTES_LIT("111122223333"),
        .additional = BYTES_LIT("{\"keyId\":\"k\"}"),
    };
    CLEANUP(parsed_release) struct parsed p = parse(&e);

    (void)state;
    assert_member(json_member(p.root, "userIdentity"), "invokedBy", "AWS Internal");
    assert_member(json_member(p.root, "userIdentity"), "accountId", "111122223333");
    assert_null(json_member(json_member(p.root, "userIdentity"), "arn").node);
    assert_member(p.root, "sourceIPAddress", "AWS Internal");
    assert_member(p.root, "eventType", "AwsServiceEvent");
    assert_member(json_member(p.root, "serviceEventDetails"), "keyId", "k");
    assert_null(json_member(p.root, "additionalEventData").node);
    assert_null(json_member(p.root, "requestID").node);
    assert_null(json_member(p.root, "resources").node);
}

static void test_a_refusal_says_why(void **state)
{
    struct audit_event e = api_call();

    (void)state;
    e.error_code = "AccessDenied";
    e.error_message = BYTES_LIT("User: \"x\" is not authorized\n");
    CLEANUP(parsed_release) struct parsed p = parse(&e);
    assert_member(p.root, "errorCode", "AccessDenied");
    assert_member(p.root, "errorMessage", "User: \"x\" is not authorized\n");
}

static void test_a_user_agent_is_cut_and_escaped(void **state)
{
    struct audit_event e = api_call();
    char               agent[600];

    (void)state;
    /* a two-byte letter straddles the cut; quotes and newlines would break the line */
    memset(agent, 'a', sizeof agent);
    agent[0] = '"';
    agent[1] = '\n';
    agent[255] = (char)0xc3;
    agent[256] = (char)0xa9;
    e.user_agent = bytes_of(agent, sizeof agent);
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    audit_event_write(&text, &e);
    assert_null(memchr(text.ptr, '\n', text.len));
    CLEANUP(parsed_release) struct parsed p = parse(&e);
    struct bytes                          got = json_string(json_member(p.root, "userAgent"));
    assert_int_equal(got.len, 255);
    assert_memory_equal(got.ptr, agent, 255);
}

static void test_an_event_ends_with_time_and_commit(void **state)
{
    struct audit_event              e = api_call();
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    int64_t                         time = 0;
    uint64_t                        commit = 1;

    (void)state;
    /* what a client sends may look like our members: only the very end counts */
    e.request_parameters = BYTES_LIT("{\"x\":{\"eventTimeMs\":1,\"commit\":99}}");
    audit_event_write(&text, &e);
    audit_ending(buf_bytes(&text), &time, &commit);
    assert_int_equal(time, e.time);
    assert_int_equal(commit, 0);
    audit_event_commit(&text, 4711);
    audit_ending(buf_bytes(&text), &time, &commit);
    assert_int_equal(time, e.time);
    assert_int_equal(commit, 4711);
    audit_ending(BYTES_LIT("{\"x\":{\"commit\":99}"), &time, &commit);
    assert_int_equal(time, 0);
    assert_int_equal(commit, 0);
    /* a number that does not fit is none */
    audit_ending(BYTES_LIT("{\"a\":1,\"eventTimeMs\":5,\"commit\":99999999999999999999999"), &time,
                 &commit);
    assert_int_equal(commit, 0);
}

static void test_no_client_text_makes_a_line_of_ours(void **state)
{
    static const char *names[] = { "TrentCheckpoint", "TrentReceipt" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct audit_event              e = api_call();
        CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
        enum audit_kind                 kind;
        e.event_name = names[i];
        e.principal_type = bytes_of(NULL, 0);
        e.additional = BYTES_LIT("{\"version\":1,\"node\":\"00\"}");
        audit_event_write(&text, &e);
        assert_true(audit_kind_of(buf_bytes(&text), &kind));
        assert_int_equal(kind, AUDIT_KIND_EVENT);
        assert_true(bytes_eq_str(audit_id_of(buf_bytes(&text)), e.event_id));
    }
}

static void test_a_full_buffer_is_noticed(void **state)
{
    struct audit_event              e = api_call();
    CLEANUP(buf_release) struct buf text = BUF_INIT(300);

    (void)state;
    audit_event_write(&text, &e);
    assert_false(buf_ok(&text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_api_call_has_the_shape_of_cloudtrail),
        cmocka_unit_test(test_a_service_event_has_no_caller),
        cmocka_unit_test(test_a_refusal_says_why),
        cmocka_unit_test(test_a_user_agent_is_cut_and_escaped),
        cmocka_unit_test(test_an_event_ends_with_time_and_commit),
        cmocka_unit_test(test_no_client_text_makes_a_line_of_ours),
        cmocka_unit_test(test_a_full_buffer_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
