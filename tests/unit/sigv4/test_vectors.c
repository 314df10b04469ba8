/* The public test suite for signers, read from the verifier's side: every case, stage by stage,
 * in header form and in query form, so that a failure names the stage; then the whole
 * verification, and for every case that verifies, mechanical changes that must all be refused. */
#include "raw_request.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"

enum {
    CASES_AT_LEAST = 35,       /* the suite has 38; fewer means that it was not read */
    SUITE_TIME_S = 1440938160, /* 2015-08-30T12:36:00Z, the time of every case */
};

static const char *const services[] = { "service", NULL };

/* One form of one case, read from its files. */
struct form {
    const char         *name; /* "header" or "query" */
    struct buf          request;
    struct buf          canonical;
    struct buf          string_to_sign;
    struct buf          signature;
    bool                normalize;
    bool                has_token;   /* the credentials have one */
    bool                token_after; /* it was added to the request after signing */
    struct http_request rq;
};

static const char *vectors_dir(void)
{
    static char path[4096];
    const char *root = getenv("TRENT_VECTORS");
    struct stat st;

    /* beside the project: from its root, or from the root where Meson built it */
    const char *const places[] = { root != NULL ? root : "../shared/vectors", "../shared/vectors",
                                   "../../../shared/vectors" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        (void)snprintf(path, sizeof path, "%s/sigv4", places[i]);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return path;
    }
    return NULL;
}

static void read_file(const char *dir, const char *form, const char *name, struct buf *ret)
{
    char   path[8192];
    char   block[4096];
    size_t n;

    (void)snprintf(path, sizeof path, "%s/%s%s", dir, form, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot open %s", path);
    buf_init(ret, 64 * 1024);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(ret, bytes_of(block, n));
    (void)fclose(f);
    assert_true(buf_ok(ret));
}

static void read_context(const char *dir, struct form *f)
{
    struct buf context;

    read_file(dir, "", "context.json", &context);
    buf_add_byte(&context, '\0');
    const char *text = (const char *)context.ptr;
    f->normalize = strstr(text, "\"normalize\": true") != NULL;
    f->has_token = strstr(text, "\"token\":") != NULL;
    f->token_after = strstr(text, "\"omit_session_token\": true") != NULL;
    /* what this file takes for granted about every case */
    assert_non_null(strstr(text, "\"timestamp\": \"2015-08-30T12:36:00Z\""));
    assert_non_null(strstr(text, "\"secret_access_key\": \"" TEST_SECRET "\""));
    assert_non_null(strstr(text, "\"access_key_id\": \"" TEST_KEY_ID "\""));
    assert_non_null(strstr(text, "\"region\": \"us-east-1\""));
    buf_release(&context);
}

static void form_read(const char *dir, const char *name, struct form *f)
{
    *f = (struct form){ .name = name };
    read_context(dir, f);
    read_file(dir, name, "-signed-request.txt", &f->request);
    read_file(dir, name, "-canonical-request.txt", &f->canonical);
    read_file(dir, name, "-string-to-sign.txt", &f->string_to_sign);
    read_file(dir, name, "-signature.txt", &f->signature);
    raw_request_split((const char *)f->request.ptr, f->request.len, &f->rq);
}

static void form_release(struct form *f)
{
    buf_release(&f->request);
    buf_release(&f->canonical);
    buf_release(&f->string_to_sign);
    buf_release(&f->signature);
}

static void check_same(const char *dir, const char *form, const char *stage, struct bytes got,
                       struct bytes want)
{
    if (!bytes_eq(got, want))
        fail_msg("%s, %s form, %s:\n%.*s\n--- instead of\n%.*s", dir, form, stage, BYTES_FMT(got),
                 BYTES_FMT(want));
}

/* The request as it was when it was signed, without a token that was added afterwards. */
static struct http_request as_signed(const struct form *f, struct buf *query)
{
    static const char   token[] = "&X-Amz-Security-Token=";
    struct http_request rq = f->rq;

    if (!f->token_after || rq.query.len == 0)
        return rq;
    buf_add(query, rq.query);
    buf_add_byte(query, '\0');
    char *start = strstr((char *)query->ptr, token);
    assert_non_null(start);
    const char *rest = strchr(start + 1, '&');
    assert_non_null(rest);
    memmove(start, rest, strlen(rest) + 1);
    rq.query = bytes_str((const char *)query->ptr);
    return rq;
}

static void check_stages(const char *dir, const struct form *f)
{
    struct sigv4_options options = { .normalize_path = f->normalize };
    struct buf           query = BUF_INIT(8192);
    struct buf           scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct buf           out = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct http_request  rq = as_signed(f, &query);
    struct sigv4_auth    auth;
    struct kms_error     err;
    uint8_t              digest[32];
    char                 hex[64];

    assert_true(buf_reserve(&scratch, rq.query.len + 1));
    assert_int_equal(sigv4_parse(&rq, &scratch, &auth, &err), KMS_OK);
    assert_int_equal(auth.query_form, strcmp(f->name, "query") == 0);
    assert_true(bytes_eq_str(auth.access_key_id, TEST_KEY_ID));
    assert_int_equal(auth.time_ms, (int64_t)SUITE_TIME_S * 1000);
    assert_int_equal(auth.expires_s, auth.query_form ? 3600 : 0);

    crypto_sha256(bytes_of(rq.body, rq.body_len), digest);
    hex_write(hex, bytes_of(digest, sizeof digest));
    assert_int_equal(
        sigv4_canonical_request(&rq, &auth, &options, bytes_of(hex, sizeof hex), &out, &err),
        KMS_OK);
    check_same(dir, f->name, "canonical request", buf_bytes(&out), buf_bytes(&f->canonical));

    size_t middle = out.len;
    sigv4_string_to_sign(&auth, bytes_of(out.ptr, middle), &out);
    struct bytes to_sign = bytes_of(out.ptr + middle, out.len - middle);
    check_same(dir, f->name, "string to sign", to_sign, buf_bytes(&f->string_to_sign));

    raw_request_mac(&auth, to_sign, digest);
    hex_write(hex, bytes_of(digest, sizeof digest));
    check_same(dir, f->name, "signature", bytes_of(hex, sizeof hex), buf_bytes(&f->signature));
    check_same(dir, f->name, "signature as sent", auth.signature, buf_bytes(&f->signature));
    buf_release(&query);
    buf_release(&scratch);
    buf_release(&out);
}

static enum kms_status verify(const struct http_request *rq, struct kms_error *err)
{
    struct raw_server   server = { 0 };
    struct sigv4_hooks  hooks = raw_server_hooks(&server);
    struct buf          scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct sigv4_caller caller;

    kms_error_clear(err);
    enum kms_status status = sigv4_verify(rq, services, (int64_t)SUITE_TIME_S * 1000, &hooks,
                                          &scratch, &caller, err);
    buf_release(&scratch);
    return status;
}

static void check_refused(const char *dir, const struct form *f, const char *change,
                          const struct http_request *rq)
{
    struct kms_error err;
    enum kms_status  status = verify(rq, &err);

    if (status != KMS_E_INVALID_SIG || strcmp(err.message, MISMATCH) != 0)
        fail_msg("%s, %s form, %s: %s, '%s'", dir, f->name, change, kms_status_word(status),
                 err.message);
}

/* What this server makes of the case: it normalizes paths, and it knows no session tokens. */
static bool check_outcome(const char *dir, const struct form *f)
{
    struct kms_error err;
    enum kms_status  want = KMS_OK;
    const char      *text = "";
    struct bytes     canonical = buf_bytes(&f->canonical);
    struct bytes     line = { NULL, 0 };

    assert_true(bytes_cut(&canonical, '\n', &line) && bytes_cut(&canonical, '\n', &line));
    bool walks = memmem(line.ptr, line.len, "//", 2) != NULL ||
                 memmem(line.ptr, line.len, "/.", 2) != NULL;
    if (f->token_after && strcmp(f->name, "header") == 0) {
        want = KMS_E_INVALID_SIG; /* the token decides something, so it must be signed */
        text = MISMATCH;
    } else if (f->has_token) {
        want = KMS_E_UNKNOWN_CLIENT;
        text = BAD_TOKEN;
    } else if (walks) {
        want = KMS_E_INVALID_SIG;
        text = MISMATCH;
    }
    enum kms_status status = verify(&f->rq, &err);
    if (status != want || strcmp(err.message, text) != 0)
        fail_msg("%s, %s form: %s, '%s' (%s)", dir, f->name, kms_status_word(status), err.message,
                 err.detail);
    return want == KMS_OK;
}

static void change_headers(const char *dir, const struct form *f)
{
    for (size_t i = 0; i < f->rq.n_headers; i++) {
        struct http_request rq = f->rq;
        uint8_t             value[1024];

        if (bytes_eq_str(rq.headers[i].name, "Authorization") ||
            bytes_eq_str(rq.headers[i].name, "X-Amz-Date"))
            continue; /* what they say has texts of its own */
        struct bytes v = rq.headers[i].value;
        assert_true(v.len > 0 && v.len < sizeof value);
        memcpy(value, v.ptr, v.len);
        value[v.len / 2] ^= 1;
        rq.headers[i].value = bytes_of(value, v.len);
        check_refused(dir, f, "a changed header", &rq);

        rq = f->rq;
        rq.headers[i] = rq.headers[--rq.n_headers];
        check_refused(dir, f, "a dropped header", &rq);
    }
}

static void change_rest(const char *dir, const struct form *f)
{
    struct http_request rq = f->rq;
    struct buf          query = BUF_INIT(8192);
    uint8_t             body[] = "x";

    rq.method_text = BYTES_LIT("PUT");
    check_refused(dir, f, "another method", &rq);
    rq = f->rq;
    rq.path = BYTES_LIT("/elsewhere");
    check_refused(dir, f, "another path", &rq);
    rq = f->rq;
    rq.body = body;
    rq.body_len = 1;
    check_refused(dir, f, "another body", &rq);
    rq = f->rq;
    buf_add(&query, rq.query);
    buf_add_str(&query, "&more=1");
    rq.query = buf_bytes(&query);
    check_refused(dir, f, "another query", &rq);
    buf_release(&query);
}

/* Every nibble of the signature as sent, each with another digit. */
static void change_signature(const char *dir, const struct form *f)
{
    struct buf   copy = BUF_INIT(64 * 1024);
    struct bytes signature = buf_bytes(&f->signature);

    buf_add(&copy, buf_bytes(&f->request));
    uint8_t *at = memmem(copy.ptr, copy.len, signature.ptr, signature.len);
    assert_non_null(at);
    for (size_t i = 0; i < signature.len; i++) {
        struct http_request rq;
        uint8_t             before = at[i];

        at[i] = before == 'f' ? '0' : before == '9' ? 'a' : (uint8_t)(before + 1);
        raw_request_split((const char *)copy.ptr, copy.len, &rq);
        check_refused(dir, f, "another signature", &rq);
        at[i] = before;
    }
    buf_release(&copy);
}

static unsigned check_case(const char *dir, const char *form)
{
    struct form f;

    form_read(dir, form, &f);
    check_stages(dir, &f);
    bool verifies = check_outcome(dir, &f);
    if (verifies) {
        change_headers(dir, &f);
        change_rest(dir, &f);
        change_signature(dir, &f);
    }
    form_release(&f);
    return verifies ? 1 : 0;
}

static void test_suite(void **state)
{
    const char *root = vectors_dir();
    unsigned    cases = 0;
    unsigned    verified = 0;

    (void)state;
    if (root == NULL) {
        print_message("no test vectors here\n");
        skip();
    }
    DIR *dir = opendir(root);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[4096];

        if (e->d_name[0] == '.' || strcmp(e->d_name, "LICENSE") == 0)
            continue;
        assert_true((size_t)snprintf(path, sizeof path, "%s/%s/", root, e->d_name) < sizeof path);
        verified += check_case(path, "header");
        verified += check_case(path, "query");
        cases++;
    }
    (void)closedir(dir);
    print_message("%u cases in two forms, %u of them verified\n", cases, verified);
    assert_true(cases >= CASES_AT_LEAST);
    assert_true(verified >= CASES_AT_LEAST); /* of two for each case */
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == KMS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
