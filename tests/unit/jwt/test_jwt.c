/* Tokens: what is accepted, what is refused, with which text, and at which second. */
#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

#define NOT_A_JWT                                                                                  \
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
#define NO_KEY                                                                                     \
    "Couldn't retrieve verification key from your identity provider,  please reference "           \
    "AssumeRoleWithWebIdentity documentation for requirements"
#define BAD_SIGNATURE "The ID Token has a signature that is invalid."
#define NOT_YET       "The ID Token is not valid yet."

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define CLAIMS                                                                                     \
    "{\"iss\":\"https://ci.example\",\"sub\":\"repo:app\",\"aud\":\"sts.amazonaws.com\","            \
    "\"exp\":2000,\"iat\":1000,\"nbf\":1000,\"amr\":[\"a\",\"b\"],\"ref\":\"main\"}"

static struct jwks *keys; /* k1: EC number 0, r1: RSA number 0 */

static enum kms_status judge(struct bytes token, int64_t now_s, struct kms_error *err)
{
    CLEANUP(jwt_freep) struct jwt *t = NULL;

    kms_error_clear(err);
    TRY(jwt_read(token, &t, err));
    return jwt_verify(t, keys, now_s * 1000, NULL, err);
}

static void check_at(const char *header, const char *claims, const struct crypto_key *key,
                     int64_t now_s, enum kms_status status, const char *message)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(64 * 1024);
    struct kms_error                err;

    token_add(&token, header, claims, key);
    enum kms_status got = judge(buf_bytes(&token), now_s, &err);
    if (got != status || strcmp(err.message, message) != 0)
        fail_msg("%s %s: %s, '%s'", header, claims, kms_status_word(got), err.message);
}

static void check(const char *header, const char *claims, const char *message)
{
    check_at(header, claims, issuer_ec(0), 1500, message[0] == '\0' ? KMS_OK : KMS_E_WEB_TOKEN,
             message);
}

static void test_accepted(void **state)
{
    (void)state;
    check(HEADER, CLAIMS, "");
    check("{\"alg\":\"ES256\"}", CLAIMS, "");
    check("{\"typ\":\"jwt\",\"alg\":\"ES256\",\"jku\":\"https://evil.example\"}", CLAIMS, "");
    check_at("{\"alg\":\"RS256\",\"kid\":\"r1\"}", CLAIMS, issuer_rsa(0), 1500, KMS_OK, "");
    check_at("{\"alg\":\"RS256\"}", CLAIMS, issuer_rsa(0), 1500, KMS_OK, "");
    /* times that nobody sent, and with a fraction */
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000}", "");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":1999.5,\"iat\":1.5e3}", "");
}

static void test_claims_that_it_has(void **state)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(8192);
    CLEANUP(jwt_freep) struct jwt  *t = NULL;
    struct bytes                    v;

    (void)state;
    token_add(&token, HEADER, CLAIMS, issuer_ec(0));
    assert_int_equal(jwt_read(buf_bytes(&token), &t, NULL), KMS_OK);
    buf_wipe(&token); /* the token has copies */
    assert_true(bytes_eq_str(jwt_issuer(t), "https://ci.example"));
    assert_true(bytes_eq_str(jwt_subject(t), "repo:app"));
    assert_true(bytes_eq_str(jwt_key_id(t), "k1"));
    assert_true(bytes_eq_str(jwt_audience(t, 0), "sts.amazonaws.com"));
    assert_int_equal(jwt_audience(t, 1).len, 0);
    assert_true(jwt_claim(t, "ref", 0, &v) && bytes_eq_str(v, "main"));
    assert_false(jwt_claim(t, "ref", 1, &v));
    assert_true(jwt_claim(t, "amr", 0, &v) && bytes_eq_str(v, "a"));
    assert_true(jwt_claim(t, "amr", 1, &v) && bytes_eq_str(v, "b"));
    assert_false(jwt_claim(t, "amr", 2, &v));
    assert_false(jwt_claim(t, "exp", 0, &v));
    assert_false(jwt_claim(t, "none", 0, &v));
    assert_int_equal(jwt_verify(t, keys, 1500 * 1000, NULL, NULL), KMS_OK);
}

static void test_several_audiences(void **state)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(8192);
    CLEANUP(jwt_freep) struct jwt  *t = NULL;

    (void)state;
    token_add(&token, HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"x\",\"y\"],\"exp\":2000}",
              issuer_ec(0));
    assert_int_equal(jwt_read(buf_bytes(&token), &t, NULL), KMS_OK);
    assert_true(bytes_eq_str(jwt_audience(t, 0), "x") && bytes_eq_str(jwt_audience(t, 1), "y"));
    assert_int_equal(jwt_audience(t, 2).len, 0);
    check(HEADER,
          "{\"iss\":\"i\",\"sub\":\"s\",\"exp\":2000,\"aud\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\","
          "\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]}",
          "Missing a required claim: aud");
}

static void test_header_refused(void **state)
{
    static const char algorithm[] = "The ID Token is not signed with RS256 or ES256.";
    static const char extensions[] = "The header of the ID Token has extensions.";

    (void)state;
    check("{\"alg\":\"none\"}", CLAIMS, algorithm);
    check("{\"alg\":\"None\"}", CLAIMS, algorithm);
    check("{\"alg\":\"HS256\",\"kid\":\"k1\"}", CLAIMS, algorithm);
    check("{\"alg\":\"es256\"}", CLAIMS, algorithm);
    check("{\"alg\":\"ES384\"}", CLAIMS, algorithm);
    check("{\"alg\":\"PS256\"}", CLAIMS, algorithm);
    check("{}", CLAIMS, algorithm);
    check("{\"alg\":7}", CLAIMS, NOT_A_JWT);
    check("{\"alg\":\"\"}", CLAIMS, NOT_A_JWT);
    check("{\"alg\":\"ES256\",\"alg\":\"ES256\"}", CLAIMS, NOT_A_JWT);
    check("{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"exp\":1}", CLAIMS, extensions);
    check("{\"alg\":\"ES256\",\"crit\":[]}", CLAIMS, extensions);
    check("{\"alg\":\"ES256\",\"b64\":true}", CLAIMS, extensions);
    check("{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", CLAIMS, NOT_A_JWT);
    check("{\"alg\":\"ES256\",\"kid\":5}", CLAIMS, NOT_A_JWT);
    check("[]", CLAIMS, NOT_A_JWT);
    check("x", CLAIMS, NOT_A_JWT);
    /* the key decides about the algorithm */
    check("{\"alg\":\"RS256\",\"kid\":\"k1\"}", CLAIMS, NO_KEY);
    check("{\"alg\":\"ES256\",\"kid\":\"r1\"}", CLAIMS, NO_KEY);
    check("{\"alg\":\"RS256\"}", CLAIMS, BAD_SIGNATURE);
    check("{\"alg\":\"ES256\",\"kid\":\"k2\"}", CLAIMS, NO_KEY);
}

static void test_claims_refused(void **state)
{
    (void)state;
    check(HEADER, "{\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000}", "Missing a required claim: iss");
    check(HEADER, "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":2000}", "Missing a required claim: sub");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"\",\"aud\":\"a\",\"exp\":2000}",
          "Missing a required claim: sub");
    check(HEADER, "{\"iss\":\"i\",\"sub\":7,\"aud\":\"a\",\"exp\":2000}",
          "Missing a required claim: sub");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"exp\":2000}", "Missing a required claim: aud");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[],\"exp\":2000}",
          "Missing a required claim: aud");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"a\",1],\"exp\":2000}",
          "Missing a required claim: aud");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\"}", "Missing a required claim: exp");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":\"2000\"}",
          "Missing a required claim: exp");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":1e300}",
          "Missing a required claim: exp");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":-1}",
          "Missing a required claim: exp");
    check(HEADER, "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000,\"nbf\":\"1\"}",
          "A time in the ID Token is not a number.");
    check(HEADER, "{\"iss\":\"i\",\"iss\":\"j\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000}",
          NOT_A_JWT);
    check(HEADER, "[]", NOT_A_JWT);
    check(HEADER, "not JSON", NOT_A_JWT);
}

/* Sixty seconds in favour of the client, to the second. */
static void test_times(void **state)
{
    static const char expired[] =
        "Token expired: current date/time 2060 must be before the expiration date/time 2000";
    static const char issued[] = "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000,"
                                 "\"iat\":1700}";
    static const char from[] = "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":2000,"
                               "\"nbf\":1700}";

    (void)state;
    check_at(HEADER, CLAIMS, issuer_ec(0), 2059, KMS_OK, "");
    check_at(HEADER, CLAIMS, issuer_ec(0), 2060, KMS_E_WEB_TOKEN_EXPIRED, expired);
    check_at(HEADER, CLAIMS, issuer_ec(0), 940, KMS_OK, "");
    check_at(HEADER, CLAIMS, issuer_ec(0), 939, KMS_E_WEB_TOKEN, NOT_YET);
    check_at(HEADER, issued, issuer_ec(0), 1640, KMS_OK, "");
    check_at(HEADER, issued, issuer_ec(0), 1639, KMS_E_WEB_TOKEN, NOT_YET);
    check_at(HEADER, from, issuer_ec(0), 1640, KMS_OK, "");
    check_at(HEADER, from, issuer_ec(0), 1639, KMS_E_WEB_TOKEN, NOT_YET);
    /* only the issuer can make us say when it ended */
    check_at(HEADER, CLAIMS, issuer_ec(1), 2060, KMS_E_WEB_TOKEN, BAD_SIGNATURE);
}

/* Every byte of a token, changed. */
static void test_every_changed_byte(void **state)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(8192);
    struct kms_error                err;

    (void)state;
    token_add(&token, HEADER, CLAIMS, issuer_ec(0));
    assert_int_equal(judge(buf_bytes(&token), 1500, &err), KMS_OK);
    for (size_t i = 0; i < token.len; i++) {
        uint8_t was = token.ptr[i];

        for (unsigned bit = 0; bit < 7; bit++) {
            token.ptr[i] = (uint8_t)(was ^ 1u << bit);
            if (judge(buf_bytes(&token), 1500, &err) == KMS_OK)
                fail_msg("byte %zu, bit %u: accepted", i, bit);
        }
        token.ptr[i] = was;
    }
    for (size_t len = 0; len < token.len; len++)
        assert_int_equal(judge(bytes_of(token.ptr, len), 1500, &err), KMS_E_WEB_TOKEN);
}

static void test_other_shapes(void **state)
{
    static const char *const bad[] = {
        "", ".", "..", "...", "a.b.c", "e30.e30", "e30..", "e30.e30."
    };
    CLEANUP(buf_release) struct buf token = BUF_INIT(2 * JWT_BYTES_MAX);
    struct kms_error                err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(judge(bytes_str(bad[i]), 1500, &err), KMS_E_WEB_TOKEN);
    token_add(&token, HEADER, CLAIMS, issuer_ec(0));
    size_t good = token.len;
    buf_add_byte(&token, '.');
    assert_int_equal(judge(buf_bytes(&token), 1500, &err), KMS_E_WEB_TOKEN);
    buf_truncate(&token, good);
    buf_add_byte(&token, '\n');
    assert_int_equal(judge(buf_bytes(&token), 1500, &err), KMS_E_WEB_TOKEN);
    buf_truncate(&token, good);
    buf_add_byte(&token, '=');
    assert_int_equal(judge(buf_bytes(&token), 1500, &err), KMS_E_WEB_TOKEN);
    while (token.len <= JWT_BYTES_MAX)
        buf_add_byte(&token, 'A');
    assert_int_equal(judge(buf_bytes(&token), 1500, &err), KMS_E_WEB_TOKEN);
    assert_string_equal(err.message, NOT_A_JWT);
}

static void test_unknown_key_is_told(void **state)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(8192);
    CLEANUP(jwt_freep) struct jwt  *t = NULL;
    bool                            known = true;

    (void)state;
    token_add(&token, "{\"alg\":\"ES256\",\"kid\":\"new\"}", CLAIMS, issuer_ec(1));
    assert_int_equal(jwt_read(buf_bytes(&token), &t, NULL), KMS_OK);
    assert_int_equal(jwt_verify(t, keys, 0, &known, NULL), KMS_E_WEB_TOKEN);
    assert_false(known);
    jwt_freep(&t);
    buf_reset(&token);
    token_add(&token, HEADER, CLAIMS, issuer_ec(1));
    assert_int_equal(jwt_read(buf_bytes(&token), &t, NULL), KMS_OK);
    assert_int_equal(jwt_verify(t, keys, 0, &known, NULL), KMS_E_WEB_TOKEN);
    assert_true(known);
}

static int set_up(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(8192);

    (void)state;
    if (crypto_init(NULL) != KMS_OK)
        return -1;
    buf_add_str(&text, "{\"keys\":[{\"kid\":\"k1\",");
    jwk_add(&text, issuer_ec(0));
    buf_add_str(&text, "},{\"kid\":\"r1\",");
    jwk_add(&text, issuer_rsa(0));
    buf_add_str(&text, "}]}");
    return jwks_read(buf_bytes(&text), &keys, NULL) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    jwks_release(keys);
    issuer_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_claims_that_it_has),
        cmocka_unit_test(test_several_audiences),
        cmocka_unit_test(test_header_refused),
        cmocka_unit_test(test_claims_refused),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_other_shapes),
        cmocka_unit_test(test_unknown_key_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
