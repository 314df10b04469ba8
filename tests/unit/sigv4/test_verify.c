/* Which requests are accepted, and why those that can be taken apart are refused all the same:
 * kms-behaviour 2, recorded-authz-multiregion 2 (RAM2). Requests are written out; '@' stands for
 * the right signature. */
#include "raw_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"

static const char *const three[] = { "kms", "iam", "sts", NULL };

/* --- what is accepted ------------------------------------------------------------------------- */

/* Signed by botocore 1.44, not by us. */
static const char botocore_request[] =
    "POST / HTTP/1.1\n"
    "Host: 127.0.0.1:8080\n"
    "Accept-Encoding: identity\n"
    "X-Amz-Target: TrentService.Encrypt\n"
    "Content-Type: application/x-amz-json-1.1\n"
    "User-Agent: Boto3/1.34 md/Botocore#1.34\n"
    "X-Amz-Date: 20260921T174501Z\n"
    "amz-sdk-invocation-id: 7f3c0c8e-7d2f-4c55-9d1f-3d3f6c1b2a00\n"
    "amz-sdk-request: attempt=1\n"
    "Authorization: AWS4-HMAC-SHA256 "
    "Credential=AKIDEXAMPLE/20260921/eu-central-1/kms/aws4_request, "
    "SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-type;host;x-amz-date;x-amz-target,"
    " "
    "Signature=271c03e413e31324c714bb52162247299bc28e918bb922bc6aa2f497703ed4fd\n"
    "Content-Length: 47\n"
    "\n"
    "{\"KeyId\": \"alias/app\", \"Plaintext\": \"aGVsbG8=\"}";

static void test_request_of_a_real_client(void **state)
{
    CLEANUP(verdict_release) struct verdict v;

    (void)state;
    judge_at(&v, botocore_request, three, (int64_t)SIGNED_AT_S * 1000);
    assert_int_equal(v.status, KMS_OK);
    assert_true(bytes_eq_str(v.caller.access_key_id, TEST_KEY_ID));
    assert_true(bytes_eq_str(v.caller.region, "eu-central-1"));
    assert_true(bytes_eq_str(v.caller.service, "kms"));
    assert_int_equal(v.mac_calls, 1);
}

static void test_presigned_request_of_a_real_client_for_another_service(void **state)
{
    static const char text[] =
        "GET /?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20260921%2Feu-central-1%2Fsts%2Faws4_request"
        "&X-Amz-Date=20260921T174501Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "b46c1758c4fbd2ec11f509565957e3dc22d570d08d0645d7392c08412f6dfafc HTTP/1.1\n" HOST "\n";

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(verdict_release) struct verdict v;

        judge_at(&v, text, i == 0 ? three : kms_only, (int64_t)SIGNED_AT_S * 1000);
        assert_int_equal(v.status, i == 0 ? KMS_OK : KMS_E_INVALID_SIG);
        if (i == 0)
            assert_true(bytes_eq_str(v.caller.service, "sts"));
        else
            assert_string_equal(v.err.message,
                                "Credential should be scoped to correct service: 'kms'. ");
    }
}

static void test_accepted(void **state)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\n" HOST DATE TARGET AUTH(CRED, "host;x-amz-date;x-amz-target") BODY,
        /* no spaces after the commas, spaces before them, another order */
        "POST / HTTP/1.1\n" HOST DATE "authorization: AWS4-HMAC-SHA256 Signature=@,SignedHeaders="
        "host;x-amz-date , Credential=" CRED "\n" BODY,
        /* the Date header in either form; with X-Amz-Date it is not looked at */
        "POST / HTTP/1.1\n" HOST
        "Date: Mon, 21 Sep 2026 17:45:01 GMT\n" AUTH(CRED, "date;host") "\n",
        "POST / HTTP/1.1\n" HOST "Date: 20260921T174501Z\n" AUTH(CRED, "date;host") "\n",
        "POST / HTTP/1.1\n" HOST "Date: yesterday\n" DATE AUTH(CRED, "host;x-amz-date") "\n",
        /* RAM2 rule 3: other x-amz-* headers may be left unsigned */
        "POST / HTTP/1.1\n" HOST DATE "X-Amz-Meta: 1\n" AUTH(CRED, "host;x-amz-date") "\n",
        "POST / HTTP/1.1\n" HOST DATE
        "X-Amz-Meta: 1\nx-amz-meta: 2\n" AUTH(CRED, "host;x-amz-date") "\n",
        /* the body's hash, said by the client */
        "POST / HTTP/1.1\n" HOST DATE "x-amz-content-sha256: "
        "c07622d4edea25a236452b31d100610797f98a4e0790b2c80301a77d4a48c24c\n" AUTH(
            CRED, "host;x-amz-content-sha256;x-amz-date") BODY,
        /* a token of length 0 is none */
        "POST / HTTP/1.1\n" HOST DATE
        "X-Amz-Security-Token:\n" AUTH(CRED, "host;x-amz-date;x-amz-security-token") "\n",
        /* presigned */
        PRESIGNED HOST "\n",
        PRESIGNED HOST "X-Amz-Date: not looked at\n\n",
        "POST /?" QUERY(QCRED("kms"), "20260921T174501Z", "1",
                        "host%3bx-amz-target") " HTTP/1.1\n" HOST TARGET BODY,
        "POST /?b=2&" QUERY(QCRED("kms"), "20260921T174501Z", "604800",
                            "host") "&a=1 HTTP/1.1\n" HOST               BODY,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        check_verdict(requests[i], KMS_OK, "");
}

/* What names the caller must outlive scratch, which is used for other things afterwards. */
static void test_caller_lies_in_the_request(void **state)
{
    static const char *const requests[] = { botocore_request, PRESIGNED HOST "\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        CLEANUP(verdict_release) struct verdict v;

        judge_at(&v, requests[i], kms_only, (int64_t)SIGNED_AT_S * 1000);
        assert_int_equal(v.status, KMS_OK);
        memset(v.scratch.ptr, 'x', v.scratch.cap);
        assert_true(bytes_eq_str(v.caller.access_key_id, TEST_KEY_ID));
        assert_true(bytes_eq_str(v.caller.region, "eu-central-1"));
        assert_true(bytes_eq_str(v.caller.service, "kms"));
    }
    check_verdict("GET /?" QUERY(TEST_KEY_ID "/20260921/eu%2Dcentral-1/kms/aws4_request",
                                 "20260921T174501Z", "60", "host") " HTTP/1.1\n" HOST "\n",
                  KMS_E_INVALID_SIG, MISMATCH);
}

/* --- scope ------------------------------------------------------------------------------------ */

static void test_scope(void **state)
{
    static const struct {
        const char *credential, *message;
    } cases[] = {
        { "k/20260921/eu-central-1/kms/aws5_request",
          "Credential should be scoped with a valid terminator: 'aws4_request', not "
          "'aws5_request'." },
        { "k/20260921/eu-central-1/kms/",
          "Credential should be scoped with a valid terminator: 'aws4_request', not ''." },
        { "k/20260921/eu-central-1/s3/aws4_request",
          "Credential should be scoped to correct service: 'kms'. " },
        { "k/20260921/eu-central-1/KMS/aws4_request",
          "Credential should be scoped to correct service: 'kms'. " },
        { "k/20260921/nowhere-1/kms/aws4_request",
          "Credential should be scoped to a valid region. " },
        { "k/20260921//kms/aws4_request", "Credential should be scoped to a valid region. " },
        { "k/20260920/eu-central-1/kms/aws4_request",
          "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
          "HTTP: "
          "'20260920' != '20260921', from '20260921T174501Z'." },
        { "k//eu-central-1/kms/aws4_request", "Date in Credential scope does not match YYYYMMDD "
                                              "from ISO-8601 version of date from HTTP: "
                                              "'' != '20260921', from '20260921T174501Z'." },
        /* the first of several */
        { "k/1/nowhere-1/s3/x",
          "Credential should be scoped with a valid terminator: 'aws4_request', not 'x'." },
        { "k/1/nowhere-1/s3/aws4_request",
          "Credential should be scoped to correct service: 'kms'. " },
        { "k/1/nowhere-1/kms/aws4_request", "Credential should be scoped to a valid region. " },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = BUF_INIT(8192);

        buf_addf(&text,
                 "POST / HTTP/1.1\n" HOST DATE "Authorization: AWS4-HMAC-SHA256 Credential=%s, "
                 "SignedHeaders=host;x-amz-date, Signature=0\n" BODY "%c",
                 cases[i].credential, 0);
        check_verdict((const char *)text.ptr, KMS_E_INVALID_SIG, cases[i].message);
        buf_release(&text);
    }
    check_verdict(
        "POST / HTTP/1.1\n" HOST "Date: Mon, 21 Sep 2026 17:45:01 GMT\nAuthorization: "
        "AWS4-HMAC-SHA256 Credential=k/20260922/eu-central-1/kms/aws4_request, "
        "SignedHeaders=date;host, Signature=0\n" BODY,
        KMS_E_INVALID_SIG,
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20260922' != '20260921', from 'Mon, 21 Sep 2026 17:45:01 GMT'.");
}

/* --- time ------------------------------------------------------------------------------------- */

static void check_time(const char *text, int64_t now_ms, const char *message)
{
    CLEANUP(verdict_release) struct verdict v;

    judge_at(&v, text, kms_only, now_ms);
    if (strcmp(v.err.message, message) != 0)
        fail_msg("at %lld: '%s' instead of '%s'", (long long)now_ms, v.err.message, message);
    assert_int_equal(v.status, message[0] == '\0' ? KMS_OK : KMS_E_INVALID_SIG);
    assert_int_equal(v.mac_calls, message[0] == '\0' ? 1 : 0); /* no work for an old capture */
}

static void test_time_within_five_minutes_both_ends_included(void **state)
{
    static const char text[] = "POST / HTTP/1.1\n" HOST DATE AUTH(CRED, "host;x-amz-date") BODY;
    static const char expired[] = "Signature expired: 20260921T174501Z is now earlier than "
                                  "20260921T174502Z (20260921T175002Z - 5 min.)";
    static const char early[] = "Signature not yet current: 20260921T174501Z is still later than "
                                "20260921T174500Z (20260921T174000Z + 5 min.)";
    const int64_t     at = (int64_t)SIGNED_AT_S * 1000;
    const struct {
        int64_t     now_ms;
        const char *message;
    } cases[] = {
        { at, "" },
        { at + 300 * 1000, "" },
        { at + 300 * 1000 + 999, "" }, /* seconds are whole, as in the text */
        { at + 301 * 1000, expired },
        { at - 300 * 1000, "" },
        { at - 300 * 1000 - 1, early },
        { at - 301 * 1000, early },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_time(text, cases[i].now_ms, cases[i].message);
}

static void test_presigned_until_it_expires(void **state)
{
    static const char one_hour[] = PRESIGNED HOST "\n";
    static const char ninety_s[] = "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "90",
                                                  "host") " HTTP/1.1\n" HOST "\n";
    const int64_t     at = (int64_t)SIGNED_AT_S * 1000;

    (void)state;
    check_time(one_hour, at + 3600 * 1000, "");
    check_time(one_hour, at + 3601 * 1000,
               "Signature expired: 20260921T174501Z is now earlier than 20260921T174502Z "
               "(20260921T184502Z - 60 min.)");
    check_time(ninety_s, at + 90 * 1000, "");
    check_time(ninety_s, at + 91 * 1000,
               "Signature expired: 20260921T174501Z is now earlier than 20260921T174502Z "
               "(20260921T174632Z - 90 sec.)");
    check_time(one_hour, at - 300 * 1000, "");
    check_time(one_hour, at - 301 * 1000,
               "Signature not yet current: 20260921T174501Z is still later than 20260921T174500Z "
               "(20260921T174000Z + 5 min.)");
}

/* --- what must be signed ---------------------------------------------------------------------- */

static void test_headers_that_decide_must_be_signed(void **state)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\n" HOST DATE AUTH(CRED, "x-amz-date") BODY,
        "POST / HTTP/1.1\n" HOST DATE AUTH(CRED, "host") BODY,
        "POST / HTTP/1.1\n" HOST "Date: 20260921T174501Z\n" AUTH(CRED, "host") BODY,
        "POST / HTTP/1.1\n" HOST "Date: 20260921T174501Z\n" DATE AUTH(CRED, "date;host") BODY,
        "POST / HTTP/1.1\n" HOST DATE TARGET                     AUTH(CRED, "host;x-amz-date") BODY,
        "POST / HTTP/1.1\n" HOST DATE "X-Amz-Security-Token: t\n" AUTH(CRED, "host;x-amz-date")
            BODY,
        "POST / HTTP/1.1\n" HOST DATE "X-Amz-Content-Sha256: "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n" AUTH(
            CRED, "host;x-amz-date") "\n",
        "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "60", "host") " HTTP/1.1\n" HOST TARGET
                                                                       "\n",
        "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "60",
                       "x-amz-target") " HTTP/1.1\n" HOST TARGET "\n",
        "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "60",
                       "host") " HTTP/1.1\n" HOST "X-Amz-Security-Token: t\n\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        check_verdict(requests[i], KMS_E_INVALID_SIG, MISMATCH);
    /* listed, and not sent */
    check_verdict("POST / HTTP/1.1\n" DATE "Authorization: AWS4-HMAC-SHA256 Credential=" CRED
                  ", SignedHeaders=host;x-amz-date, Signature=0\n" BODY,
                  KMS_E_INVALID_SIG, MISMATCH);
    check_verdict("POST / HTTP/1.1\n" HOST DATE "Authorization: AWS4-HMAC-SHA256 Credential=" CRED
                  ", SignedHeaders=host;x-amz-date;x-amz-target, Signature=0\n" BODY,
                  KMS_E_INVALID_SIG, MISMATCH);
}

static void test_claimed_body_hash_must_be_the_real_one(void **state)
{
    static const char *const claims[] = {
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "",
        /* of the empty string, while there is a body */
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
        struct buf text = BUF_INIT(8192);

        buf_addf(&text,
                 "POST / HTTP/1.1\n" HOST DATE
                 "x-amz-content-sha256: %s\n" AUTH(CRED, "host;x-amz-content-sha256;x-amz-date")
                     BODY "%c",
                 claims[i], 0);
        check_verdict((const char *)text.ptr, KMS_E_INVALID_SIG, MISMATCH);
        buf_release(&text);
    }
    check_verdict("POST / HTTP/1.1\n" HOST DATE "x-amz-content-sha256: "
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n" AUTH(
                      CRED, "host;x-amz-content-sha256;x-amz-date") "\n",
                  KMS_OK, "");
}

/* --- the signature ---------------------------------------------------------------------------- */

static void judge_signature(const char *credential, const char *extra, const char *signed_headers,
                            const char *signature, enum kms_status status, const char *message)
{
    CLEANUP(verdict_release) struct verdict v;
    struct buf                              text = BUF_INIT(8192);

    buf_addf(&text,
             "POST / HTTP/1.1\n" HOST DATE "%sAuthorization: AWS4-HMAC-SHA256 Credential=%s/" SCOPE
             ", SignedHeaders=%s, Signature=%s\n" BODY "%c",
             extra, credential, signed_headers, signature, 0);
    judge_at(&v, (const char *)text.ptr, kms_only, (int64_t)SIGNED_AT_S * 1000);
    if (v.status != status || strcmp(v.err.message, message) != 0)
        fail_msg("%s, '%s': %s, '%s'", credential, signature, kms_status_word(v.status),
                 v.err.message);
    assert_int_equal(v.mac_calls, 1); /* I1: the same work, whatever comes of it */
    buf_release(&text);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void test_unknown_key_and_wrong_signature(void **state)
{
    static const char headers[] = "host;x-amz-date";
    static const char with_token[] = "host;x-amz-date;x-amz-security-token";
    static const char token[] = "X-Amz-Security-Token: invalid\n";

    (void)state;
    judge_signature(TEST_KEY_ID, "", headers, "@", KMS_OK, "");
    judge_signature(TEST_KEY_ID, "", headers, ZEROS, KMS_E_INVALID_SIG, MISMATCH);
    /* RAM2 rule 1: with a full stop for an unknown key, whatever the signature */
    judge_signature("AKIDOTHER", "", headers, "@", KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    judge_signature("AKIDOTHER", "", headers, ZEROS, KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    judge_signature("", "", headers, "@", KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    judge_signature("AKIDOTHER", "", headers, "no hex", KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    judge_signature("AKIDOTHER", token, with_token, "@", KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    /* and without one for a bad token of a known key */
    judge_signature(TEST_KEY_ID, token, with_token, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    judge_signature(TEST_KEY_ID, token, with_token, ZEROS, KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    /* presigned, the token in the query */
    check_verdict("GET /?X-Amz-Security-Token=t&" QUERY(QCRED("kms"), "20260921T174501Z", "60",
                                                        "host") " HTTP/1.1\n" HOST "\n",
                  KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
}

/* RAM2 rule 1: which of the texts a key and a token get. */
static void test_session_tokens(void **state)
{
    static const char        without[] = "host;x-amz-date";
    static const char        with[] = "host;x-amz-date;x-amz-security-token";
    static const char        good[] = "X-Amz-Security-Token: " TEST_TOKEN "\n";
    static const char *const bad[] = {
        "X-Amz-Security-Token: invalid\n",
        "X-Amz-Security-Token: " TEST_TOKEN "=\n",
        "X-Amz-Security-Token: " TEST_TOKEN " x\n",
        "X-Amz-Security-Token: IQoJb3JpZ2luX2VjE/+\n",
        "X-Amz-Security-Token: iQoJb3JpZ2luX2VjE/+=\n",
        "X-Amz-Security-Token:\n",
    };

    (void)state;
    judge_signature(TEST_SESSION_ID, good, with, "@", KMS_OK, "");
    judge_signature(TEST_SESSION_ID, good, with, ZEROS, KMS_E_INVALID_SIG, MISMATCH);
    judge_signature(TEST_SESSION_ID, "", without, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    judge_signature(TEST_SESSION_ID, "", without, ZEROS, KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        judge_signature(TEST_SESSION_ID, bad[i], with, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
        judge_signature(TEST_ENDED_ID, bad[i], with, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    }
    /* the right token of somebody else's session */
    judge_signature(TEST_KEY_ID, good, with, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    judge_signature("AKIDOTHER", good, with, "@", KMS_E_UNKNOWN_CLIENT, UNKNOWN_KEY);
    /* an ended session says so to whoever has the token */
    judge_signature(TEST_ENDED_ID, good, with, "@", KMS_E_EXPIRED_CLIENT, ENDED);
    judge_signature(TEST_ENDED_ID, good, with, ZEROS, KMS_E_EXPIRED_CLIENT, ENDED);
    judge_signature(TEST_ENDED_ID, "", without, "@", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    /* a token that was not signed could be anybody's */
    check_verdict("POST / HTTP/1.1\n" HOST DATE "X-Amz-Security-Token: " TEST_TOKEN
                  "\n" AUTH(TEST_SESSION_ID "/" SCOPE, "host;x-amz-date") BODY,
                  KMS_E_INVALID_SIG, MISMATCH);
}

static void test_session_tokens_in_the_query(void **state)
{
#define SESSION_CRED TEST_SESSION_ID "%2F20260921%2Feu-central-1%2Fkms%2Faws4_request"
#define SESSION_QUERY QUERY(SESSION_CRED, "20260921T174501Z", "60", "host") " HTTP/1.1\n" HOST
    (void)state;
    check_verdict("GET /?X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2F%2B%3D&" SESSION_QUERY "\n",
                  KMS_OK, "");
    check_verdict("GET /?X-Amz-Security-Token=other&" SESSION_QUERY "\n", KMS_E_UNKNOWN_CLIENT,
                  BAD_TOKEN);
    check_verdict("GET /?" SESSION_QUERY "\n", KMS_E_UNKNOWN_CLIENT, BAD_TOKEN);
    /* or in a signed header beside the query */
    check_verdict("GET /?" QUERY(SESSION_CRED, "20260921T174501Z", "60",
                                 "host%3bx-amz-security-token") " HTTP/1.1\n" HOST
                                                                "X-Amz-Security-Token: " TEST_TOKEN
                                                                "\n\n",
                  KMS_OK, "");
}

/* The text of the good signature, and what is made of it. */
static void test_signature_is_64_lower_case_hex_digits(void **state)
{
    struct buf          text = BUF_INIT(8192);
    struct http_request rq;
    char                good[65] = "";
    char                bad[80];

    (void)state;
    raw_request_sign("POST / HTTP/1.1\n" HOST DATE AUTH(CRED, "host;x-amz-date") BODY, &text, &rq);
    struct bytes header = rq.headers[2].value;
    memcpy(good, header.ptr + header.len - 64, 64);
    judge_signature(TEST_KEY_ID, "", "host;x-amz-date", good, KMS_OK, "");

    (void)snprintf(bad, sizeof bad, "%s0", good);
    judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
    (void)snprintf(bad, sizeof bad, "%.63s", good);
    judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
    (void)snprintf(bad, sizeof bad, "%.63sg", good);
    judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
    (void)snprintf(bad, sizeof bad, "0x%.62s", good);
    judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
    unsigned letters = 0;
    for (size_t i = 0; i < 64; i++) {
        (void)snprintf(bad, sizeof bad, "%s", good);
        bad[i] = (char)(bad[i] ^ 1); /* another digit, or no digit at all */
        judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
        if (good[i] < 'a')
            continue;
        bad[i] = (char)(good[i] - 'a' + 'A'); /* the same number */
        judge_signature(TEST_KEY_ID, "", "host;x-amz-date", bad, KMS_E_INVALID_SIG, MISMATCH);
        letters++;
    }
    assert_true(letters > 0);
    buf_release(&text);
}

static enum kms_status zero_mac(void *ctx, const struct sigv4_auth *auth,
                                struct bytes string_to_sign, uint8_t ret[32],
                                struct sigv4_key *ret_key, struct kms_error *reterr)
{
    (void)ctx;
    (void)auth;
    (void)string_to_sign;
    (void)reterr;
    memset(ret, 0, 32);
    ret_key->known = true;
    return KMS_OK;
}

/* What cannot be decoded equals nothing, not even a MAC of zeros. */
static void test_signature_that_is_no_hex_equals_nothing(void **state)
{
    static const char *const signatures[] = { "@", "no hex", ZEROS "0" };
    struct raw_server        server = { 0 };
    struct sigv4_hooks       hooks = raw_server_hooks(&server);
    struct buf               scratch = BUF_INIT(SIGV4_SCRATCH_MAX);

    (void)state;
    hooks.mac = zero_mac;
    for (size_t i = 0; i <= ARRAY_LEN(signatures); i++) {
        struct buf          text = BUF_INIT(8192);
        struct http_request rq;
        struct sigv4_caller caller;

        buf_addf(&text,
                 "POST / HTTP/1.1\n" HOST DATE "Authorization: AWS4-HMAC-SHA256 Credential=" CRED
                 ", SignedHeaders=host;x-amz-date, Signature=%s\n" BODY,
                 i < ARRAY_LEN(signatures) ? signatures[i] : ZEROS);
        raw_request_split((const char *)text.ptr, text.len, &rq);
        assert_int_equal(sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks, &scratch,
                                      &caller, NULL),
                         i < ARRAY_LEN(signatures) ? KMS_E_INVALID_SIG : KMS_OK);
        buf_release(&text);
    }
    buf_release(&scratch);
}

/* Every byte of what a real client sent, changed: only in what it did not sign is that accepted. */
static void test_every_changed_byte_of_a_real_request(void **state)
{
    struct raw_server  server = { 0 };
    struct sigv4_hooks hooks = raw_server_hooks(&server);
    struct buf         scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    char               copy[sizeof botocore_request];
    unsigned           accepted = 0;

    (void)state;
    for (size_t i = 0; i < sizeof botocore_request - 1; i++) {
        struct http_request rq;
        struct sigv4_caller caller;

        memcpy(copy, botocore_request, sizeof copy);
        copy[i] = (char)(copy[i] ^ 0x15); /* no letter becomes the same letter, no LF appears */
        if (copy[i] == '\n' || botocore_request[i] == '\n' || botocore_request[i] == ':' ||
            i < strlen("POST / HTTP/1.1\n"))
            continue; /* would be another request altogether */
        raw_request_split(copy, sizeof copy - 1, &rq);
        enum kms_status status = sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks,
                                              &scratch, &caller, NULL);
        const char     *line = botocore_request + i;
        while (line > botocore_request && line[-1] != '\n')
            line--;
        bool is_unsigned = strncmp(line, "Accept-E", 8) == 0 || strncmp(line, "User-A", 6) == 0 ||
                           strncmp(line, "Content-L", 9) == 0;
        if ((status == KMS_OK) != is_unsigned)
            fail_msg("byte %zu: %s\n%s", i, kms_status_word(status), copy);
        accepted += status == KMS_OK;
    }
    assert_true(accepted > 0);
    buf_release(&scratch);
}

/* --- the seams -------------------------------------------------------------------------------- */

static void test_failures_that_are_ours(void **state)
{
    struct raw_server   server = { .mac_status = KMS_E_INTERNAL };
    struct sigv4_hooks  hooks = raw_server_hooks(&server);
    struct buf          text = BUF_INIT(8192);
    struct buf          scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct buf          small = BUF_INIT(512);
    struct sigv4_caller caller = { .region = BYTES_LIT("before") };
    struct http_request rq;
    struct kms_error    err;

    (void)state;
    raw_request_sign(botocore_request, &text, &rq);
    assert_int_equal(
        sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks, &scratch, &caller, &err),
        KMS_E_INTERNAL);
    server.mac_status = KMS_OK;
    assert_int_equal(
        sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks, &small, &caller, &err),
        KMS_E_INTERNAL);
    assert_string_equal(err.message, "");
    assert_true(bytes_eq_str(caller.region, "before")); /* untouched by failures */
    assert_int_equal(
        sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks, &scratch, &caller, &err),
        KMS_OK);
    buf_release(&text);
    buf_release(&scratch);
    buf_release(&small);
}

/* The largest head that http/ lets through fits into SIGV4_SCRATCH_MAX, all of it escaped. */
static void test_largest_request_has_room(void **state)
{
    struct raw_server   server = { 0 };
    struct sigv4_hooks  hooks = raw_server_hooks(&server);
    struct buf          text = BUF_INIT(64 * 1024);
    struct buf          scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct http_request rq;
    struct sigv4_caller caller;

    (void)state;
    buf_add_str(&text, "GET /?" QUERY(QCRED("kms"), "20260921T174501Z", "60", "host") "&a=");
    while (text.len < LIMIT_HEAD_BYTES - 100)
        buf_add_byte(&text, '/');
    buf_add_str(&text, " HTTP/1.1\n" HOST "\n");
    buf_add_byte(&text, '\0');
    struct buf signed_text = BUF_INIT(64 * 1024);
    raw_request_sign((const char *)text.ptr, &signed_text, &rq);
    assert_int_equal(
        sigv4_verify(&rq, kms_only, (int64_t)SIGNED_AT_S * 1000, &hooks, &scratch, &caller, NULL),
        KMS_OK);
    buf_release(&text);
    buf_release(&signed_text);
    buf_release(&scratch);
}

/* The operator sees the hash that the client's debug output shows too. */
static void test_mismatch_tells_the_operator_the_hash(void **state)
{
    CLEANUP(verdict_release) struct verdict v;
    struct buf                              text = BUF_INIT(8192);

    (void)state;
    buf_add_str(&text, botocore_request);
    buf_add_byte(&text, '\0');
    *strchr(strstr((char *)text.ptr, "Signature="), '2') = '3';
    judge_at(&v, (const char *)text.ptr, kms_only, (int64_t)SIGNED_AT_S * 1000);
    assert_int_equal(v.status, KMS_E_INVALID_SIG);
    assert_string_equal(v.err.detail,
                        "the canonical request here has the hash "
                        "e085c3886889b3e2b94df3c946956140f372721df07d379752f088fd952f8779");
    buf_release(&text);
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_of_a_real_client),
        cmocka_unit_test(test_presigned_request_of_a_real_client_for_another_service),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_caller_lies_in_the_request),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_time_within_five_minutes_both_ends_included),
        cmocka_unit_test(test_presigned_until_it_expires),
        cmocka_unit_test(test_headers_that_decide_must_be_signed),
        cmocka_unit_test(test_claimed_body_hash_must_be_the_real_one),
        cmocka_unit_test(test_unknown_key_and_wrong_signature),
        cmocka_unit_test(test_session_tokens),
        cmocka_unit_test(test_session_tokens_in_the_query),
        cmocka_unit_test(test_signature_is_64_lower_case_hex_digits),
        cmocka_unit_test(test_signature_that_is_no_hex_equals_nothing),
        cmocka_unit_test(test_every_changed_byte_of_a_real_request),
        cmocka_unit_test(test_failures_that_are_ours),
        cmocka_unit_test(test_largest_request_has_room),
        cmocka_unit_test(test_mismatch_tells_the_operator_the_hash),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
