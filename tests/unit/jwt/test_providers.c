/* The list of OIDC providers: what is refused, and where; keys in files that change; who is believed. */
#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "jwt/providers.h"

#include "folder.h"

#define ISSUER "https://ci.example/path"
#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k1\"}"

static char folder[] = "/tmp/trent-providers-XXXXXX";
static char list_path[FILE_PATH_MAX];
static char keys_path[FILE_PATH_MAX];

struct noted {
    unsigned warnings, lines;
    char     last[512];
};

static void note(void *ctx, bool warning, const char *line)
{
    struct noted *n = ctx;

    n->warnings += warning;
    n->lines++;
    (void)snprintf(n->last, sizeof n->last, "%s", line);
}

static void write_text(const char *path, const char *text)
{
    struct kms_error err;

    if (file_write(path, bytes_str(text), 0600, true, &err) != KMS_OK)
        fail_msg("%s", err.detail);
}

/* A set with this key as k1. */
static void write_key(const struct crypto_key *key)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);

    buf_add_str(&text, "{\"keys\":[{\"kid\":\"k1\",");
    jwk_add(&text, key);
    buf_add_str(&text, "}]}");
    buf_add_byte(&text, '\0');
    write_text(keys_path, (const char *)text.ptr);
}

static void write_list(const char *audiences)
{
    char text[2048];

    (void)snprintf(text, sizeof text,
                   "[{\"issuer\":\"" ISSUER "\",\"jwks\":\"%s\",\"audiences\":[%s]}]", keys_path,
                   audiences);
    write_text(list_path, text);
}

static void wait_a_look(void)
{
    const struct timespec pause = { .tv_sec = 1, .tv_nsec = 50 * 1000 * 1000 };

    (void)nanosleep(&pause, NULL);
}

/* --- the list --------------------------------------------------------------------------------- */

static void check_refused(const char *text, const char *why)
{
    const struct oidc_config config = { .path = list_path };
    struct oidc_providers   *p = NULL;
    struct kms_error         err;
    char                     whole[1024];

    write_text(list_path, text);
    assert_int_equal(oidc_open(&config, &p, &err), KMS_E_VALIDATION);
    assert_null(p);
    (void)snprintf(whole, sizeof whole, "%s: %s", list_path, why);
    if (strncmp(err.detail, whole, strlen(whole)) != 0)
        fail_msg("%s\n'%s' instead of '%s'", text, err.detail, whole);
}

#define ENTRY(issuer, jwks, rest)                                                                  \
    "[{\"issuer\":\"" issuer "\",\"jwks\":\"" jwks "\",\"audiences\":[\"a\"]" rest "}]"
#define TEXT " is not a text of 1 to "

static void test_lists_refused(void **state)
{
    (void)state;
    check_refused("", "not strict JSON");
    check_refused("[", "not strict JSON");
    check_refused("{}", "not a list of at most 64 providers");
    check_refused("[7]", "[0]: not an object");
    check_refused("[{\"isuer\":\"x\"}]", "[0]: unknown member 'isuer'");
    check_refused("[{}]", "[0]: issuer" TEXT "255");
    check_refused(ENTRY("http://x.example", "/x", ""), "[0]: issuer 'http://x.example' is not an");
    check_refused(ENTRY("https://", "/x", ""), "[0]: issuer 'https://' is not an");
    check_refused(ENTRY("https://x?y", "/x", ""), "[0]: issuer 'https://x?y' is not an");
    check_refused(ENTRY("https://x#y", "/x", ""), "[0]: issuer 'https://x#y' is not an");
    check_refused(ENTRY("https://x y", "/x", ""), "[0]: issuer" TEXT);
    check_refused(ENTRY("https://x\\\"y", "/x", ""), "[0]: issuer" TEXT);
    check_refused(ENTRY("https://x", "keys.json", ""), "[0]: jwks 'keys.json' is neither");
    check_refused(ENTRY("https://x", "http://127.0.0.1/", ""), "[0]: jwks 'http://127.0.0.1/' is");
    check_refused(ENTRY("https://x", "file:///etc/passwd", ""), "[0]: jwks 'file:///etc/passwd'");
    check_refused(ENTRY("https://x", "https://u:p@x/", ""), "[0]: jwks 'https://u:p@x/' is");
    check_refused("[{\"issuer\":\"https://x\",\"jwks\":\"/x\"}]", "[0]: audiences is not a list");
    check_refused("[{\"issuer\":\"https://x\",\"jwks\":\"/x\",\"audiences\":[]}]",
                  "[0]: audiences is not a list");
    check_refused("[{\"issuer\":\"https://x\",\"jwks\":\"/x\",\"audiences\":\"a\"}]",
                  "[0]: audiences is not a list");
    check_refused("[{\"issuer\":\"https://x\",\"jwks\":\"/x\",\"audiences\":[1]}]",
                  "[0]: an audience" TEXT);
    check_refused(ENTRY("https://x", "/x", ",\"ca\":\"/etc/passwd\""), "[0]: ca is not");
    check_refused(ENTRY("https://x", "https://x/", ",\"ca\":\"/none/here\""), "[0]: ca is not");
    check_refused("[{\"issuer\":\"https://x\",\"jwks\":\"https://x/\",\"audiences\":[\"a\"]},"
                  "{\"issuer\":\"https://x\",\"jwks\":\"https://y/\",\"audiences\":[\"b\"]}]",
                  "[1]: issuer 'https://x' is there twice");
}

static void test_files_that_cannot_be_read(void **state)
{
    const struct oidc_config config = { .path = list_path };
    const struct oidc_config none = { .path = "/none/here.json" };
    struct oidc_providers   *p = NULL;
    struct kms_error         err;

    (void)state;
    assert_int_equal(oidc_open(&none, &p, &err), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, "/none/here.json"));
    write_list("\"a\"");
    (void)unlink(keys_path);
    assert_int_equal(oidc_open(&config, &p, &err), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, keys_path));
    write_text(keys_path, "{\"keys\":[{\"kty\":\"RSA\"}]}");
    assert_int_equal(oidc_open(&config, &p, &err), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, "keys[0]: n or e is not a number in base64url"));
}

static void test_http_in_development_only(void **state)
{
    const struct oidc_config config = { .path = list_path, .dev = true };
    struct oidc_providers   *p = NULL;
    struct kms_error         err;

    (void)state;
    write_text(list_path, ENTRY("https://x", "http://127.0.0.1:1/", ""));
    assert_int_equal(oidc_open(&config, &p, &err), KMS_OK);
    oidc_free(p);
    write_text(list_path, ENTRY("https://x", "http://192.0.2.1/", ""));
    assert_int_equal(oidc_open(&config, &p, &err), KMS_E_VALIDATION);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void check_token(struct oidc_providers *p, const char *claims, const struct crypto_key *key,
                        const char *message)
{
    CLEANUP(buf_release) struct buf                     token = BUF_INIT(8192);
    CLEANUP(oidc_identity_release) struct oidc_identity who = { 0 };
    struct kms_error                                    err;

    kms_error_clear(&err);
    token_add(&token, HEADER, claims, key);
    enum kms_status status = oidc_check(p, buf_bytes(&token), 1500 * 1000, &who, &err);
    if (strcmp(err.message, message) != 0)
        fail_msg("%s: %s, '%s'", claims, kms_status_word(status), err.message);
    assert_int_equal(status, message[0] == '\0' ? KMS_OK : KMS_E_WEB_TOKEN);
    if (status != KMS_OK) {
        assert_null(who.token);
        return;
    }
    assert_string_equal(who.provider, "ci.example/path");
    assert_true(bytes_eq_str(jwt_subject(who.token), "s"));
    assert_true(bytes_eq_str(who.audience, "two"));
}

#define CLAIMS "{\"iss\":\"" ISSUER "\",\"sub\":\"s\",\"aud\":[\"three\",\"two\"],\"exp\":2000}"
#define BAD_SIGNATURE "The ID Token has a signature that is invalid."

static void test_who_is_believed(void **state)
{
    struct noted             noted = { 0 };
    const struct oidc_config config = { .path = list_path, .note = note, .ctx = &noted };
    struct oidc_providers   *p = NULL;
    struct oidc_status       status;
    struct kms_error         err;

    (void)state;
    write_key(issuer_ec(0));
    write_list("\"one\",\"two\"");
    if (oidc_open(&config, &p, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    assert_string_equal(noted.last, "oidc: " ISSUER ": 1 usable keys read");
    check_token(p, CLAIMS, issuer_ec(0), "");
    check_token(p, CLAIMS, issuer_ec(1), BAD_SIGNATURE);
    check_token(p, "{\"iss\":\"" ISSUER "\",\"sub\":\"s\",\"aud\":\"three\",\"exp\":2000}",
                issuer_ec(0), "Incorrect token audience");
    check_token(p, "{\"iss\":\"" ISSUER "/\",\"sub\":\"s\",\"aud\":\"two\",\"exp\":2000}",
                issuer_ec(0), "No OpenIDConnect provider found in your account for " ISSUER "/");
    check_token(NULL, CLAIMS, issuer_ec(0),
                "No OpenIDConnect provider found in your account for " ISSUER);
    assert_true(oidc_status(p, 0, &status));
    assert_string_equal(status.issuer, ISSUER);
    assert_int_equal(status.keys, 1);
    assert_true(status.age_ms >= 0);
    assert_false(oidc_status(p, 1, &status));
    oidc_free(p);
}

/* A key that is taken out of the file is out a second later, and a broken file changes nothing. */
static void test_keys_are_looked_at_again(void **state)
{
    struct noted             noted = { 0 };
    const struct oidc_config config = { .path = list_path, .note = note, .ctx = &noted };
    struct oidc_providers   *p = NULL;
    struct oidc_status       status;

    (void)state;
    write_key(issuer_ec(0));
    write_list("\"two\"");
    assert_int_equal(oidc_open(&config, &p, NULL), KMS_OK);
    wait_a_look();
    write_key(issuer_ec(1));
    check_token(p, CLAIMS, issuer_ec(0), BAD_SIGNATURE);
    check_token(p, CLAIMS, issuer_ec(1), "");
    assert_int_equal(noted.lines, 2);

    wait_a_look();
    write_text(keys_path, "{\"keys\":");
    check_token(p, CLAIMS, issuer_ec(1), "");
    assert_int_equal(noted.warnings, 1);
    assert_non_null(strstr(noted.last, "no new keys, the old ones stay: "));
    wait_a_look();
    (void)unlink(keys_path);
    check_token(p, CLAIMS, issuer_ec(1), "");
    assert_int_equal(noted.warnings, 2);
    wait_a_look();
    check_token(p, CLAIMS, issuer_ec(1), "");
    assert_int_equal(noted.warnings, 2); /* said once */
    assert_true(oidc_status(p, 0, &status));
    assert_int_equal(status.failures, 2);
    assert_int_equal(status.reads, 2);

    wait_a_look();
    write_key(issuer_ec(0));
    check_token(p, CLAIMS, issuer_ec(0), "");
    oidc_free(p);
}

static void test_reload(void **state)
{
    const struct oidc_config config = { .path = list_path };
    struct oidc_providers   *p = NULL;
    struct kms_error         err;

    (void)state;
    write_key(issuer_ec(0));
    write_list("\"one\"");
    assert_int_equal(oidc_open(&config, &p, NULL), KMS_OK);
    check_token(p, CLAIMS, issuer_ec(0), "Incorrect token audience");
    write_list("\"two\"");
    assert_int_equal(oidc_reload(p, &err), KMS_OK);
    check_token(p, CLAIMS, issuer_ec(0), "");
    write_text(list_path, "[");
    assert_int_equal(oidc_reload(p, &err), KMS_E_VALIDATION);
    check_token(p, CLAIMS, issuer_ec(0), ""); /* all as it was */
    write_text(list_path, "[]");
    assert_int_equal(oidc_reload(p, &err), KMS_OK);
    check_token(p, CLAIMS, issuer_ec(0),
                "No OpenIDConnect provider found in your account for " ISSUER);
    oidc_free(p);
}

/* A URL whose keys have not come yet, and never will: nobody listens there. */
static void test_url_without_keys(void **state)
{
    struct noted             noted = { 0 };
    const struct oidc_config config = {
        .path = list_path, .dev = true, .note = note, .ctx = &noted
    };
    struct oidc_providers *p = NULL;
    struct oidc_status     status = { 0 };

    (void)state;
    write_text(list_path, ENTRY(ISSUER, "http://127.0.0.1:1/", ""));
    assert_int_equal(oidc_open(&config, &p, NULL), KMS_OK);
    check_token(p, CLAIMS, issuer_ec(0), JWT_NO_KEY);
    assert_int_equal(oidc_start(p, NULL), KMS_OK);
    for (unsigned i = 0; i < 1000 && status.failures == 0; i++) {
        const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

        (void)nanosleep(&pause, NULL);
        assert_true(oidc_status(p, 0, &status));
    }
    assert_int_equal(status.failures, 1);
    assert_int_equal(status.age_ms, -1);
    oidc_stop(p);
    assert_non_null(strstr(noted.last, "no new keys, there are none: "));
    oidc_free(p);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || !file_join(list_path, folder, "providers.json") ||
        !file_join(keys_path, folder, "keys.json"))
        return -1;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    issuer_free();
    return folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_refused),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_http_in_development_only),
        cmocka_unit_test(test_who_is_believed),
        cmocka_unit_test(test_keys_are_looked_at_again),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_url_without_keys),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
