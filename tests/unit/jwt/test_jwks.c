/* Sets of keys: which entries are taken, which are passed over, which are refused; and the examples of
 * RFC 7515, appendixes A.2 and A.3. */
#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

/* --- RFC 7515 --------------------------------------------------------------------------------- */

#define A2_KEY                                                                                     \
    "\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddx"            \
    "HmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs"                                   \
    "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSH"                                   \
    "SXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV"                                   \
    "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8"                                   \
    "NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\""
#define CLAIMS                                                                                     \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"                             \
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
static const char a2_signature[] =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
    "p0igcN_IoypGlUPQGe77Rw";

#define A3_KEY                                                                                     \
    "\"kty\":\"EC\",\"crv\":\"P-256\","                                                            \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                       \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
static const char a3_signature[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
    "pmWQxfKTUJqPP3-Kg6NU1Q";

static struct jwks *set_of(const char *text)
{
    struct jwks     *set = NULL;
    struct kms_error err;

    if (jwks_read(bytes_str(text), &set, &err) != KMS_OK)
        fail_msg("%s: %s", text, err.detail);
    return set;
}

static bool verifies(const struct jwks *set, enum jws_algorithm algorithm, const char *text,
                     const char *signature, const char *kid)
{
    uint8_t raw[1024];
    size_t  len = 0;

    assert_true(base64url_read(bytes_str(signature), raw, &len));
    return jwks_verify(set, algorithm, bytes_str(kid), bytes_str(text), bytes_of(raw, len));
}

static void test_rfc_7515_a_2(void **state)
{
    struct jwks *set = set_of("{\"keys\":[{" A2_KEY "}]}");

    (void)state;
    assert_int_equal(jwks_count(set), 1);
    assert_true(verifies(set, JWS_RS256, "eyJhbGciOiJSUzI1NiJ9." CLAIMS, a2_signature, ""));
    assert_false(verifies(set, JWS_RS256, "eyJhbGciOiJSUzI1NiJ9." CLAIMS "x", a2_signature, ""));
    assert_false(verifies(set, JWS_ES256, "eyJhbGciOiJSUzI1NiJ9." CLAIMS, a2_signature, ""));
    assert_false(verifies(set, JWS_RS256, "eyJhbGciOiJSUzI1NiJ9." CLAIMS, a2_signature, "other"));
    jwks_release(set);
}

static void test_rfc_7515_a_3(void **state)
{
    struct jwks *set = set_of("{\"keys\":[{" A3_KEY "}]}");
    char         bad[sizeof a3_signature];

    (void)state;
    assert_true(verifies(set, JWS_ES256, "eyJhbGciOiJFUzI1NiJ9." CLAIMS, a3_signature, ""));
    assert_false(verifies(set, JWS_RS256, "eyJhbGciOiJFUzI1NiJ9." CLAIMS, a3_signature, ""));
    for (size_t i = 0; i + 2 < sizeof bad; i++) { /* the last digit has bits of no byte */
        memcpy(bad, a3_signature, sizeof bad);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_false(verifies(set, JWS_ES256, "eyJhbGciOiJFUzI1NiJ9." CLAIMS, bad, ""));
    }
    /* a signature has 64 bytes and no other form */
    uint8_t raw[128] = { 0 };
    size_t  len = 0;
    assert_true(base64url_read(bytes_str(a3_signature), raw, &len));
    for (size_t n = len - 2; n <= len + 2; n++)
        assert_int_equal(jwks_verify(set, JWS_ES256, BYTES_LIT(""),
                                     BYTES_LIT("eyJhbGciOiJFUzI1NiJ9." CLAIMS), bytes_of(raw, n)),
                         n == len);
    assert_false(verifies(set, JWS_ES256, "eyJhbGciOiJFUzI1NiJ9." CLAIMS, "", ""));
    assert_false(verifies(set, JWS_ES256, "eyJhbGciOiJFUzI1NiJ9." CLAIMS, "AAAA", ""));
    jwks_release(set);
}

/* --- which entries ---------------------------------------------------------------------------- */

static void test_entries_for_others_are_passed_over(void **state)
{
    static const char *const others[] = {
        "{\"keys\":[]}",
        "{\"keys\":[{}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
        "{\"keys\":[{\"use\":\"enc\"," A2_KEY "}]}",
        "{\"keys\":[{\"use\":1," A2_KEY "}]}",
        "{\"keys\":[{\"alg\":\"PS256\"," A2_KEY "}]}",
        "{\"keys\":[{\"alg\":\"ES256\"," A2_KEY "}]}",
        "{\"keys\":[{\"alg\":\"RS256\"," A3_KEY "}]}",
        "{\"keys\":[{\"key_ops\":[\"sign\"]," A3_KEY "}]}",
        "{\"keys\":[{\"key_ops\":[]," A3_KEY "}]}",
        "{\"keys\":[],\"more\":{}}",
    };
    static const char *const ours[] = {
        "{\"keys\":[{\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"a\"," A2_KEY "}]}",
        "{\"keys\":[{\"key_ops\":[\"verify\"]," A3_KEY "}]}",
        "{\"keys\":[{\"x5c\":[\"AAAA\"],\"x5t\":\"A\"," A3_KEY "}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},{" A3_KEY "}],\"extra\":1}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct jwks *set = set_of(others[i]);
        assert_int_equal(jwks_count(set), 0);
        jwks_release(set);
    }
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        struct jwks *set = set_of(ours[i]);
        assert_int_equal(jwks_count(set), 1);
        jwks_release(set);
    }
}

static void check_refused(const char *text, const char *why)
{
    struct jwks     *set = NULL;
    struct kms_error err;

    assert_int_equal(jwks_read(bytes_str(text), &set, &err), KMS_E_VALIDATION);
    if (strcmp(err.detail, why) != 0)
        fail_msg("%s: '%s' instead of '%s'", text, err.detail, why);
    assert_null(set);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("", "not strict JSON");
    check_refused("{\"keys\":[{}]", "not strict JSON");
    check_refused("{\"keys\":[],\"keys\":[]}", "not strict JSON");
    check_refused("[]", "no list 'keys'");
    check_refused("{\"keys\":{}}", "no list 'keys'");
    check_refused("{\"keys\":[1]}", "keys[0]: not an object");
    check_refused("{\"keys\":[{\"kid\":\"\"," A3_KEY "}]}",
                  "keys[0]: kid is not a text of 1 to 255 bytes");
    check_refused("{\"keys\":[{\"kid\":7," A3_KEY "}]}",
                  "keys[0]: kid is not a text of 1 to 255 bytes");
    check_refused("{\"keys\":[{},{\"kty\":\"RSA\",\"n\":\"AQAB\"}]}",
                  "keys[1]: n or e is not a number in base64url");
    check_refused("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB=\",\"e\":\"AQAB\"}]}",
                  "keys[0]: n or e is not a number in base64url");
    check_refused(
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTaV\","
        "\"e\":\"AQAB\"}]}",
        "keys[0]: not an RSA key of 2048, 3072 or 4096 bits with an odd exponent");
    check_refused("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
                  "keys[0]: x or y is not 32 bytes in base64url");
    check_refused("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}]}",
                  "keys[0]: x or y is not 32 bytes in base64url");
    check_refused("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw\"}]}",
                  "keys[0]: not a point on P-256");
}

static void test_bounds(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(2 * JWKS_BYTES_MAX);
    struct jwks                    *set = NULL;
    struct kms_error                err;

    (void)state;
    buf_add_str(&text, "{\"keys\":[{" A3_KEY "}");
    for (unsigned i = 1; i < JWKS_KEYS_MAX; i++)
        buf_add_str(&text, ",{" A3_KEY "}");
    size_t full = text.len;
    buf_add_str(&text, "]}");
    assert_int_equal(jwks_read(buf_bytes(&text), &set, &err), KMS_OK);
    assert_int_equal(jwks_count(set), JWKS_KEYS_MAX);
    jwks_release(TAKE(set));

    buf_truncate(&text, full);
    buf_add_str(&text, ",{" A3_KEY "}]}");
    assert_int_equal(jwks_read(buf_bytes(&text), &set, &err), KMS_E_VALIDATION);
    assert_string_equal(err.detail, "keys[64]: more than 64 usable keys");

    buf_reset(&text);
    buf_add_str(&text, "{\"keys\":[]}");
    while (text.len < JWKS_BYTES_MAX)
        buf_add_byte(&text, ' ');
    assert_int_equal(jwks_read(buf_bytes(&text), &set, &err), KMS_OK);
    jwks_release(TAKE(set));
    buf_add_byte(&text, ' ');
    assert_int_equal(jwks_read(buf_bytes(&text), &set, &err), KMS_E_VALIDATION);
    assert_string_equal(err.detail, "longer than 262144 bytes");
}

/* With an id: keys of this id. Without: any that fits. */
static void test_key_ids(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(16384);
    CLEANUP(buf_release) struct buf signature = BUF_INIT(1024);

    (void)state;
    buf_add_str(&text, "{\"keys\":[{\"kid\":\"a\",");
    jwk_add(&text, issuer_ec(0));
    buf_add_str(&text, "},{\"kid\":\"b\",");
    jwk_add(&text, issuer_ec(1));
    buf_add_str(&text, "},{\"kid\":\"b\",");
    jwk_add(&text, issuer_rsa(0));
    buf_add_str(&text, "},{");
    jwk_add(&text, issuer_rsa(1));
    buf_add_str(&text, "}]}");
    buf_add_byte(&text, '\0');
    struct jwks *set = set_of((const char *)text.ptr);
    assert_int_equal(jwks_count(set), 4);
    assert_true(jwks_has(set, JWS_ES256, BYTES_LIT("a")));
    assert_false(jwks_has(set, JWS_RS256, BYTES_LIT("a")));
    assert_true(jwks_has(set, JWS_RS256, BYTES_LIT("b")));
    assert_false(jwks_has(set, JWS_RS256, BYTES_LIT("c")));
    assert_true(jwks_has(set, JWS_RS256, BYTES_LIT("")));

    token_sign(&signature, BYTES_LIT("text"), issuer_ec(1));
    buf_add_byte(&signature, '\0');
    assert_true(verifies(set, JWS_ES256, "text", (char *)signature.ptr, "b"));
    assert_true(verifies(set, JWS_ES256, "text", (char *)signature.ptr, ""));
    assert_false(verifies(set, JWS_ES256, "text", (char *)signature.ptr, "a"));
    buf_reset(&signature);
    token_sign(&signature, BYTES_LIT("text"), issuer_rsa(1));
    buf_add_byte(&signature, '\0');
    assert_true(verifies(set, JWS_RS256, "text", (char *)signature.ptr, ""));
    assert_false(verifies(set, JWS_RS256, "text", (char *)signature.ptr, "b"));
    assert_ptr_equal(jwks_share(set), set);
    jwks_release(set);
    assert_int_equal(jwks_count(set), 4); /* one user is left */
    jwks_release(set);
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    issuer_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_7515_a_2),
        cmocka_unit_test(test_rfc_7515_a_3),
        cmocka_unit_test(test_entries_for_others_are_passed_over),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_key_ids),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
