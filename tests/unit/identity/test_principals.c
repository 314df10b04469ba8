/* tests/unit/identity/test_principals.c - names to identities and back (recorded-authz-multiregion
 * 4.2, 4.6, 4.10), and documents whose principals go away. */
#include "fixture.h"

#include "identity/principals.h"

#define IAM "arn:aws:iam::111122223333:"
#define STS "arn:aws:sts::111122223333:"

static int begin(void **state)
{
    (void)world_begin(state);
    struct world *w = *state;

    put_identity(w, IDENTITY_USER, ACCOUNT, "/", "ann", "AIDAANN");
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/team/", "ops", "AROAOPS");
    put_identity(w, IDENTITY_POLICY, ACCOUNT, "/", "p", "ANPAP");
    return 0;
}

static void test_resolve(void **state)
{
    static const struct {
        const char          *text;
        enum principal_found found;
        const char          *identity;
    } rows[] = {
        { IAM "root", FOUND, "111122223333" }, /* 4.2 row 9 */
        { "arn:aws:iam::444455556666:root", FOUND, "444455556666" },
        { "arn:aws:iam::123456789012:root", FOUND_UNKNOWN, "" },
        { IAM "user/ann", FOUND, "AIDAANN" },
        { IAM "user/bob", FOUND_UNKNOWN, "" },
        { IAM "user/Ann", FOUND_UNKNOWN, "" },
        { IAM "role/team/ops", FOUND, "AROAOPS" },
        { IAM "role/ops", FOUND_UNKNOWN, "" },
        { IAM "policy/p", FOUND_MALFORMED, "" },
        { IAM "group/g", FOUND_MALFORMED, "" },
        { IAM "user/", FOUND_MALFORMED, "" },
        { IAM "role/team/", FOUND_MALFORMED, "" },
        { IAM "user/a b", FOUND_MALFORMED, "" },
        { STS "assumed-role/ops/unissued", FOUND, "AROAOPS:unissued" },             /* row 1 */
        { STS "assumed-role/none/target", FOUND_UNKNOWN, "" },                      /* row 2 */
        { STS "assumed-role/team/ops/target", FOUND_MALFORMED, "" },                /* row 3 */
        { "AROAOPS:target", FOUND, "AROAOPS:target" },                              /* row 4 */
        { STS "federated-user/unissued", FOUND, "111122223333:unissued" },          /* row 5 */
        { "arn:aws:sts::123456789012:federated-user/unissued", FOUND_UNKNOWN, "" }, /* row 6 */
        { "AROAGONE:future", FOUND_UNKNOWN, "" },                                   /* row 8 */
        { STS "assumed-role/OPS/target", FOUND_UNKNOWN, "" },
        { STS "assumed-role/ops", FOUND_MALFORMED, "" },
        { STS "assumed-role/ops/", FOUND_MALFORMED, "" },
        { STS "assumed-role/ops/x", FOUND_MALFORMED, "" }, /* session names have two characters */
        { STS "assumed-role/ops/a:b", FOUND_MALFORMED, "" },
        { STS "user/ann", FOUND_MALFORMED, "" },
        { "AIDAANN", FOUND, "AIDAANN" },
        { "AROAOPS", FOUND, "AROAOPS" },
        { "AIDAANN:session", FOUND_MALFORMED, "" }, /* users have none */
        { "AIDANONE", FOUND_UNKNOWN, "" },
        { "ANPAP", FOUND_MALFORMED, "" },
        { "111122223333", FOUND_MALFORMED, "" },
        { "ann", FOUND_MALFORMED, "" },
        { "", FOUND_MALFORMED, "" },
        { "*", FOUND_MALFORMED, "" },
        { "arn:aws:iam::111122223333", FOUND_MALFORMED, "" },
        { "arn:aws:iam:us-east-1:111122223333:root", FOUND_MALFORMED, "" },
        { "arn:aws:iam::11112222333x:root", FOUND_MALFORMED, "" },
        { "arn:aws-cn:iam::111122223333:root", FOUND_UNKNOWN, "" },
        { "arn:x:iam::111122223333:root", FOUND_MALFORMED, "" },
        { "arn:aws:kms::111122223333:root", FOUND_MALFORMED, "" },
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_release) struct buf got = BUF_INIT(200);
        enum principal_found found = book_resolve_principal(w->b, bytes_str(rows[i].text), &got);
        if (found != rows[i].found || !bytes_eq_str(buf_bytes(&got), rows[i].identity))
            fail_msg("%s: %d %.*s", rows[i].text, found, BYTES_FMT(buf_bytes(&got)));
    }
}

static void text_is(struct world *w, const char *identity, const char *want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(200);

    book_principal_text(w->b, bytes_str(identity), &got);
    if (!bytes_eq_str(buf_bytes(&got), want))
        fail_msg("%s: %.*s", identity, BYTES_FMT(buf_bytes(&got)));
}

/* 4.6: from the deletion on the unique id, also when there is a role of the name again. */
static void test_text(void **state)
{
    struct world *w = *state;

    text_is(w, "111122223333", IAM "root");
    text_is(w, "AIDAANN", IAM "user/ann");
    text_is(w, "AROAOPS", IAM "role/team/ops");
    text_is(w, "AROAOPS:future", STS "assumed-role/ops/future");
    text_is(w, "111122223333:fed", STS "federated-user/fed");
    book_remove_identity(w->b, BYTES_LIT("AROAOPS"));
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/team/", "ops", "AROANEW");
    settle(w);
    text_is(w, "AROAOPS", "AROAOPS");
    text_is(w, "AROAOPS:future", "AROAOPS:future");
    text_is(w, "AROANEW:future", STS "assumed-role/ops/future");
}

#define STATEMENT(principal)                                                                       \
    "{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\",\"Principal\":" principal "}"

static struct policy *compiled(const char *text)
{
    struct policy   *p = NULL;
    struct kms_error err;

    if (policy_compile(POLICY_KEY, bytes_str(text), (struct bytes){ NULL, 0 }, &p, &err) != KMS_OK)
        fail_msg("%s: %s", text, err.message);
    return p;
}

static void test_known(void **state)
{
    static const struct {
        const char *principal;
        bool        known, known_to_trust;
    } rows[] = {
        { "\"*\"", true, true },
        { "{\"AWS\":\"111122223333\"}", true, true },
        { "{\"AWS\":\"123456789012\"}", false, false },
        { "{\"AWS\":\"" IAM "root\"}", true, true },
        { "{\"AWS\":\"" IAM "role/team/ops\"}", true, true },
        { "{\"AWS\":\"" IAM "role/none\"}", false, false },
        { "{\"AWS\":[\"" IAM "user/ann\",\"" IAM "user/bob\"]}", false, false },
        { "{\"AWS\":\"" STS "assumed-role/ops/me\"}", true, true },
        { "{\"Service\":\"sqs.amazonaws.com\"}", true, true },
        { "{\"Federated\":\"issuer.example\"}", false, true },
        { "{\"CanonicalUser\":\"0123\"}", false, false },
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"kms:*\","
                       "\"Resource\":\"*\",\"Principal\":%s}}",
                       rows[i].principal);
        CLEANUP(policy_freep) struct policy *p = compiled(text);
        assert_int_equal(policy_principals_known(p, principal_known, w->b), rows[i].known);
        assert_int_equal(policy_principals_known(p, principal_known_to_trust, w->b),
                         rows[i].known_to_trust);
    }
}

// clang-format off
static const char document[] = "{ \"Id\" : \"" IAM "role/team/ops\", \"Statement\":[" STATEMENT(
    "{\"AWS\":[\"" IAM "role/team/ops\", \"" IAM
    "user/ann\"]}") "," STATEMENT("{\"Service\":\"" IAM
                                  "role/team/ops\"}") ","
                                                      "{\"Condition\":{\"ArnLike\":{\"aws:"
                                                      "PrincipalArn\":\"" IAM "role/team/ops\"}},"
                                                      "\"Sid\":\"" IAM "role/team/"
                                                                       "ops\",\"Effect\":\"Deny\","
                                                                       "\"NotPrincipal\" : "
                                                      "{\"AWS\":\"arn:aws:iam:\\u003a111122223333:"
                                                      "role\\/team/ops\"},\"Action\":\"*\","
                                                      "\"Resource\":\"" IAM
                                                      "role/team/ops\"}," STATEMENT(
                                                          "{\"AWS\":\"" STS
                                                          "assumed-role/ops/me\"}") "]}";

static const char gone[] = "{ \"Id\" : \"" IAM "role/team/ops\", \"Statement\":[" STATEMENT(
    "{\"AWS\":[\"AROAOPS\", \"" IAM
    "user/ann\"]}") "," STATEMENT("{\"Service\":\"AROAOPS\"}") ","
                                                               "{\"Condition\":{\"ArnLike\":{\"aws:"
                                                               "PrincipalArn\":\"" IAM
                                                               "role/team/ops\"}},"
                                                               "\"Sid\":\"" IAM
                                                               "role/team/"
                                                               "ops\",\"Effect\":\"Deny\","
                                                               "\"NotPrincipal\" : "
                                                               "{\"AWS\":\"AROAOPS\"},\"Action\":"
                                                               "\"*\","
                                                               "\"Resource\":\"" IAM
                                                               "role/team/ops\"}," STATEMENT(
                                                                   "{\"AWS\":\"AROAOPS:me\"}") "]}";
// clang-format on

static void shows(struct world *w, struct bytes lines, const char *want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(4096);

    principals_show(w->b, bytes_str(document), lines, &got);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

static void test_bind_and_show(void **state)
{
    struct world                        *w = *state;
    CLEANUP(policy_freep) struct policy *p = compiled(document);
    CLEANUP(buf_release) struct buf      lines = BUF_INIT(4096);

    principals_bind(w->b, p, &lines);
    assert_true(bytes_eq_str(buf_bytes(&lines), IAM "role/team/ops AROAOPS\n" /* once */
                             IAM "user/ann AIDAANN\n" STS "assumed-role/ops/me AROAOPS:me\n"));
    shows(w, buf_bytes(&lines), document);
    book_remove_identity(w->b, BYTES_LIT("AROAOPS"));
    settle(w);
    shows(w, buf_bytes(&lines), gone);
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/team/", "ops", "AROANEW");
    shows(w, buf_bytes(&lines), gone); /* another role */
    shows(w, (struct bytes){ NULL, 0 }, document);

    /* and the other role has no right by it */
    CLEANUP(policy_freep) struct policy *bound = NULL;
    assert_int_equal(
        policy_compile(POLICY_KEY, bytes_str(document), buf_bytes(&lines), &bound, NULL), KMS_OK);
    struct policy_request rq = { .caller = { .kind = CALLER_SESSION,
                                             .account = ACCOUNT,
                                             .arn = BYTES_LIT(STS "assumed-role/ops/me"),
                                             .role_arn = BYTES_LIT(IAM "role/team/ops"),
                                             .unique_id = BYTES_LIT("AROANEW:me") },
                                 .action = BYTES_LIT("kms:Encrypt"),
                                 .resource = BYTES_LIT("arn:key") };
    assert_int_not_equal(policy_evaluate(bound, &rq).verdict, POLICY_ALLOWS);
    rq.caller.unique_id = BYTES_LIT("AROAOPS:me");
    assert_int_equal(policy_evaluate(bound, &rq).verdict, POLICY_ALLOWS);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_resolve),
        IN_WORLD(test_text),
        IN_WORLD(test_known),
        IN_WORLD(test_bind_and_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
