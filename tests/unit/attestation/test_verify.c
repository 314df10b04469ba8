/* tests/unit/attestation/test_verify.c - which documents are believed: a chain as the security module has it
 * (root, Region, zone, instance, module), and each thing that makes it unbelievable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "attestation/attestation.h"
#include "attestation/document.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "crypto/crypto.h"

enum { DOCUMENT_MAX = 256 * 1024 };

#define NOW     (VALID_NOW * 1000LL)
#define INVALID "Attestation document is invalid."

static struct {
    struct party              root, region, zone, instance, leaf;
    struct party              rsa;
    struct buf                spki;
    struct attestation_roots *roots;
} s;

static void write_root(char path[64], const struct party *p)
{
    CLEANUP(buf_release) struct buf pem = BUF_INIT(8192);

    party_pem(p, &pem);
    (void)snprintf(path, 64, "/tmp/trent-root-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem.ptr, pem.len), (ssize_t)pem.len);
    assert_int_equal(close(fd), 0);
}

static struct attestation_roots *roots_of(const struct party *p)
{
    struct attestation_roots *roots = NULL;
    struct kms_error          err;
    char                      path[64];

    write_root(path, p);
    enum kms_status status = attestation_roots_read(path, &roots, &err);
    (void)unlink(path);
    if (status != KMS_OK)
        fail_msg("%s", err.detail);
    return roots;
}

static int start(void **state)
{
    struct kms_error err;

    (void)state;
    if (crypto_init(&err) != KMS_OK)
        return -1;
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &s.root);
    party_make(&(struct certificate){ .name = "region", .issuer = &s.root, ROOT_CA }, &s.region);
    party_make(&(struct certificate){ .name = "zone", .issuer = &s.region, ROOT_CA }, &s.zone);
    party_make(&(struct certificate){ .name = "instance", .issuer = &s.zone, ROOT_CA },
               &s.instance);
    party_make(&(struct certificate){ .name = "module", .issuer = &s.instance, LEAF }, &s.leaf);
    party_make(&(struct certificate){ .name = "enclave", .rsa = 2048 }, &s.rsa);
    buf_init(&s.spki, 4096);
    party_spki(&s.rsa, &s.spki);
    s.roots = roots_of(&s.root);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    attestation_roots_free(s.roots);
    struct party *all[] = { &s.root, &s.region, &s.zone, &s.instance, &s.leaf, &s.rsa };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        party_release(all[i]);
    buf_release(&s.spki);
    crypto_cleanup();
    return 0;
}

static void init(struct document *d)
{
    const struct party *bundle[] = { &s.root, &s.region, &s.zone, &s.instance };

    document_init(d, &s.leaf, bundle, ARRAY_LEN(bundle), NOW - 1000, buf_bytes(&s.spki));
}

/* One answer for every fault; `why` is only in the operator's detail. */
static void expect_refused(const struct attestation_roots *roots, struct bytes document,
                           int64_t now, const char *why)
{
    struct attestation a = { .timestamp = -1 };
    struct kms_error   err;

    if (attestation_verify(roots, document, now, &a, &err) != KMS_E_VALIDATION)
        fail_msg("believed, although: %s", why);
    assert_string_equal(err.message, INVALID);
    assert_int_equal(err.message_len, strlen(INVALID));
    if (strstr(err.detail, why) == NULL)
        fail_msg("'%s' instead of '%s'", err.detail, why);
    assert_int_equal(a.timestamp, -1);
    assert_int_equal(attestation_verify(roots, document, now, &a, NULL), KMS_E_VALIDATION);
}

static void expect_document_refused(const struct document *d, const char *why)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(DOCUMENT_MAX);

    document_write(d, &s.leaf, &out);
    expect_refused(s.roots, buf_bytes(&out), NOW, why);
}

static enum kms_status verify_at(struct bytes document, int64_t now)
{
    struct attestation a;

    return attestation_verify(s.roots, document, now, &a, NULL);
}

static void test_believed(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    struct attestation                        a;
    struct kms_error                          err;

    (void)state;
    init(&d);
    for (int tagged = 0; tagged < 2; tagged++) {
        buf_reset(&out);
        d.before = tagged ? "d284" : "84";
        document_write(&d, &s.leaf, &out);
        if (attestation_verify(s.roots, buf_bytes(&out), NOW, &a, &err) != KMS_OK)
            fail_msg("%s", err.detail);
        assert_true(bytes_eq(a.public_key, buf_bytes(&s.spki)));
        assert_true(bytes_eq_str(a.module_id, "i-0123456789abcdef0-enc0123456789abcdef"));
        assert_int_equal(a.timestamp, NOW - 1000);
        assert_int_equal(a.pcr[0].len, 48);
        assert_int_equal(a.pcr[0].ptr[47], 47);
        assert_int_equal(a.pcr[16].len, 0);
    }
}

static void test_freshness(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    const int64_t                             made = NOW - 1000;

    (void)state;
    init(&d);
    document_write(&d, &s.leaf, &out);
    assert_int_equal(verify_at(buf_bytes(&out), made + 300000), KMS_OK);
    assert_int_equal(verify_at(buf_bytes(&out), made - 300000), KMS_OK);
    expect_refused(s.roots, buf_bytes(&out), made + 300001, "timestamp");
    expect_refused(s.roots, buf_bytes(&out), made - 300001, "timestamp");
    expect_refused(s.roots, buf_bytes(&out), 0, "timestamp");
    expect_refused(s.roots, buf_bytes(&out), INT64_MAX, "timestamp");
    expect_refused(s.roots, buf_bytes(&out), INT64_MIN, "timestamp");
    document_set(&d, "timestamp", "1b7fffffffffffffff");
    expect_document_refused(&d, "timestamp");
}

static void test_no_root(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    struct attestation                        a;
    struct kms_error                          err;

    (void)state;
    init(&d);
    document_write(&d, &s.leaf, &out);
    assert_int_equal(attestation_verify(NULL, buf_bytes(&out), NOW, &a, &err), KMS_E_VALIDATION);
    assert_string_equal(err.message, "Recipient cannot be used: no attestation root is configured "
                                     "(setting attestation-root).");
}

static void test_wrong_root(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    struct party                              other;

    (void)state;
    init(&d);
    document_write(&d, &s.leaf, &out);
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &other);
    struct attestation_roots *roots = roots_of(&other);
    expect_refused(roots, buf_bytes(&out), NOW, "certificate");
    attestation_roots_free(roots);
    party_release(&other);
}

/* A whole document by somebody who has a chain of their own, with the right names. */
static void test_own_chain(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    struct party                              root, leaf;

    (void)state;
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &root);
    party_make(&(struct certificate){ .name = "module", .issuer = &root, LEAF }, &leaf);
    const struct party *bundle[] = { &root };
    document_init(&d, &leaf, bundle, 1, NOW, buf_bytes(&s.spki));
    document_write(&d, &leaf, &out);
    expect_refused(s.roots, buf_bytes(&out), NOW, "certificate");
    party_release(&leaf);
    party_release(&root);
}

static void test_expired_certificate(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    struct party                              leaf;

    (void)state;
    party_make(
        &(struct certificate){ .name = "module", .issuer = &s.root, LEAF, .to = VALID_NOW - 1 },
        &leaf);
    const struct party *bundle[] = { &s.root };
    document_init(&d, &leaf, bundle, 1, NOW, buf_bytes(&s.spki));
    document_write(&d, &leaf, &out);
    expect_refused(s.roots, buf_bytes(&out), NOW, "expired");
    assert_int_equal(verify_at(buf_bytes(&out), NOW - 2000), KMS_OK);
    party_release(&leaf);
}

static void test_signer(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);

    (void)state;
    init(&d);
    document_write(&d, &s.instance, &out); /* a key of the chain, but not the leaf's */
    expect_refused(s.roots, buf_bytes(&out), NOW, "signature does not verify");
}

/* Any bit of payload or signature, changed afterwards. */
static void test_tampering(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);

    (void)state;
    init(&d);
    document_write(&d, &s.leaf, &out);
    assert_int_equal(verify_at(buf_bytes(&out), NOW), KMS_OK);
    for (size_t i = 0; i < out.len; i += 1 + i % 7) {
        out.ptr[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(verify_at(buf_bytes(&out), NOW), KMS_E_VALIDATION);
        out.ptr[i] ^= (uint8_t)(1u << i % 8);
    }
    /* a value of the same form: PCR0 with another last byte */
    uint8_t *last = memmem(out.ptr, out.len, "\x2c\x2d\x2e\x2f", 4);
    assert_non_null(last);
    last[3] = 0;
    expect_refused(s.roots, buf_bytes(&out), NOW, "signature does not verify");
}

static void test_malformed(void **state)
{
    CLEANUP(document_release) struct document d;

    (void)state;
    expect_refused(s.roots, (struct bytes){ 0 }, NOW, "malformed");
    expect_refused(s.roots, BYTES_LIT("{}"), NOW, "malformed");
    init(&d);
    d.after = "00";
    expect_document_refused(&d, "malformed");
    d.after = "";
    d.protected_header = "43a10126";
    expect_document_refused(&d, "malformed");
}

static void test_public_key(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           ec = BUF_INIT(4096);

    (void)state;
    init(&d);
    document_set(&d, "public_key", "f6");
    expect_document_refused(&d, "public key");
    document_drop(&d, "public_key");
    expect_document_refused(&d, "public key");
    party_spki(&s.leaf, &ec);
    cbor_bytes(document_member(&d, "public_key"), buf_bytes(&ec));
    expect_document_refused(&d, "public key");
}

static void test_roots_file(void **state)
{
    struct attestation_roots *roots = NULL;
    struct kms_error          err;
    char                      path[64];

    (void)state;
    assert_int_equal(attestation_roots_read("/nonexistent/root.pem", &roots, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "/nonexistent/root.pem"));
    write_root(path, &s.leaf);
    assert_int_equal(attestation_roots_read(path, &roots, &err), KMS_E_INTERNAL);
    (void)unlink(path);
    assert_non_null(strstr(err.detail, path));
    assert_non_null(strstr(err.detail, "not a CA"));
    assert_null(roots);
    attestation_roots_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_believed),   cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_no_root),    cmocka_unit_test(test_wrong_root),
        cmocka_unit_test(test_own_chain),  cmocka_unit_test(test_expired_certificate),
        cmocka_unit_test(test_signer),     cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_public_key),
        cmocka_unit_test(test_roots_file),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
