/* tests/unit/crypto/test_recipient.c - chains that are believed and chains that are not, the keys that
 * recipients may have, and the envelope that only their key opens. */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/certificates.h"
#include "crypto/crypto.h"
#include "crypto/recipient.h"
#include "memory_scan.h"

static struct {
    struct party root, middle, leaf; /* a good chain */
    struct party rsa;                /* a recipient  */
} s;

static int start(void **state)
{
    struct kms_error err;

    (void)state;
    if (crypto_init(&err) != KMS_OK)
        return -1;
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &s.root);
    party_make(&(struct certificate){ .name = "middle", .issuer = &s.root, ROOT_CA }, &s.middle);
    party_make(&(struct certificate){ .name = "leaf", .issuer = &s.middle, LEAF }, &s.leaf);
    party_make(&(struct certificate){ .name = "enclave", .rsa = 2048 }, &s.rsa);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    party_release(&s.root);
    party_release(&s.middle);
    party_release(&s.leaf);
    party_release(&s.rsa);
    crypto_cleanup();
    return 0;
}

/* --- roots ------------------------------------------------------------------------------------ */

static struct crypto_roots *roots_of(const struct party *p)
{
    CLEANUP(buf_release) struct buf pem = BUF_INIT(8192);
    struct crypto_roots            *roots = NULL;
    struct kms_error                err;

    party_pem(p, &pem);
    if (crypto_roots_read(buf_bytes(&pem), &roots, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    return roots;
}

static void expect_no_root(struct bytes pem, const char *why)
{
    struct crypto_roots *roots = NULL;
    struct kms_error     err;

    assert_int_equal(crypto_roots_read(pem, &roots, &err), KMS_E_INTERNAL);
    assert_null(roots);
    if (strstr(err.detail, why) == NULL)
        fail_msg("'%s' instead of '%s'", err.detail, why);
}

static void expect_no_root_of(const struct certificate *c, const char *why)
{
    CLEANUP(buf_release) struct buf pem = BUF_INIT(8192);
    struct party                    p;

    party_make(c, &p);
    party_pem(&p, &pem);
    expect_no_root(buf_bytes(&pem), why);
    party_release(&p);
}

static void test_roots_that_are_none(void **state)
{
    CLEANUP(buf_release) struct buf pem = BUF_INIT(8192);
    static const char key[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    (void)state;
    expect_no_root((struct bytes){ 0 }, "not a PEM file");
    expect_no_root(BYTES_LIT("no certificate"), "not a PEM file");
    expect_no_root(bytes_str(key), "not a certificate but a PEM block 'PRIVATE KEY'");
    expect_no_root(BYTES_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                   "not a certificate");
    party_pem(&s.root, &pem);
    size_t one = pem.len;
    buf_add_str(&pem, key);
    expect_no_root(buf_bytes(&pem), "more than one PEM block");
    buf_truncate(&pem, one);
    buf_add_str(&pem, "-----BEGIN CERTIFICATE-----\nAAAA\n");
    expect_no_root(buf_bytes(&pem), "damaged PEM after the certificate");
    buf_truncate(&pem, one);
    party_pem(&s.root, &pem);
    expect_no_root(buf_bytes(&pem), "more than one PEM block");

    expect_no_root_of(&(struct certificate){ .name = "x", LEAF }, "not a CA");
    expect_no_root_of(&(struct certificate){ .name = "x", .usage = "keyCertSign" }, "not a CA");
    expect_no_root_of(
        &(struct certificate){ .name = "x", .basic = "CA:TRUE", .usage = "digitalSignature" },
        "not a CA");
    expect_no_root_of(&(struct certificate){ .name = "x", .issuer = &s.root, ROOT_CA },
                      "not a root");
}

/* --- chains ----------------------------------------------------------------------------------- */

static struct bytes message(void)
{
    return BYTES_LIT("what the security module signs");
}

/* Would `leaf`, through `between`, be believed under `root`? The reason goes to `why`. */
static bool believed_at(const struct party *root, const struct party *leaf,
                        const struct party *between, int64_t at_s, struct kms_error *why)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf bundle = BUF_INIT(8192);
    struct crypto_roots            *roots = roots_of(root);
    struct bytes                    chain[2];
    uint8_t                         signature[96];

    party_sign(leaf, message(), signature);
    party_der(leaf, &der);
    party_der(root, &bundle);
    size_t first = bundle.len;
    if (between != NULL)
        party_der(between, &bundle);
    chain[0] = bytes_of(bundle.ptr, first);
    chain[1] = bytes_of(bundle.ptr + first, bundle.len - first);
    enum kms_status status = crypto_attested(roots, buf_bytes(&der), chain, between != NULL ? 2 : 1,
                                             at_s * 1000, message(),
                                             bytes_of(signature, sizeof signature), why);
    crypto_roots_free(roots);
    assert_true(status == KMS_OK || status == KMS_E_VALIDATION);
    assert_true(status == KMS_OK || (why->message_len == 0 && why->detail[0] != '\0'));
    assert_int_equal(ERR_peek_error(), 0);
    return status == KMS_OK;
}

static void expect_doubt(const struct party *root, const struct party *leaf,
                         const struct party *between, const char *why)
{
    struct kms_error err;

    if (believed_at(root, leaf, between, VALID_NOW, &err))
        fail_msg("believed, although: %s", why);
    if (strstr(err.detail, why) == NULL)
        fail_msg("'%s' instead of '%s'", err.detail, why);
}

/* The good chain with another certificate in the middle. */
static void expect_bad_middle(const struct certificate *c, const char *why)
{
    struct party middle, leaf;

    party_make(c, &middle);
    party_make(&(struct certificate){ .name = "leaf", .issuer = &middle, LEAF }, &leaf);
    expect_doubt(&s.root, &leaf, &middle, why);
    party_release(&leaf);
    party_release(&middle);
}

static void expect_bad_leaf(const struct certificate *c, const char *why)
{
    struct party leaf;

    party_make(c, &leaf);
    expect_doubt(&s.root, &leaf, &s.middle, why);
    party_release(&leaf);
}

static void test_good_chains(void **state)
{
    struct kms_error err;
    struct party     leaf, other_root;

    (void)state;
    assert_true(believed_at(&s.root, &s.leaf, &s.middle, VALID_NOW, &err));
    assert_true(believed_at(&s.root, &s.leaf, &s.middle, VALID_FROM, &err));
    assert_true(believed_at(&s.root, &s.leaf, &s.middle, VALID_TO - 1, &err));
    assert_false(believed_at(&s.root, &s.leaf, &s.middle, VALID_FROM - 1, &err));
    assert_non_null(strstr(err.detail, "not yet valid"));
    assert_false(believed_at(&s.root, &s.leaf, &s.middle, VALID_TO + 1, &err));
    assert_non_null(strstr(err.detail, "expired"));

    party_make(&(struct certificate){ .name = "leaf", .issuer = &s.root, LEAF }, &leaf);
    assert_true(believed_at(&s.root, &leaf, NULL, VALID_NOW, &err));
    party_release(&leaf);
    /* same name, another key */
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &other_root);
    assert_false(believed_at(&other_root, &s.leaf, &s.middle, VALID_NOW, &err));
    party_release(&other_root);
    expect_doubt(&s.root, &s.leaf, NULL, "unable to get local issuer certificate");
}

static void test_bad_middles(void **state)
{
    const EVP_MD *sha1 = EVP_sha1();

    (void)state;
#define MIDDLE .name = "middle", .issuer = &s.root
    expect_bad_middle(&(struct certificate){ MIDDLE, LEAF }, "invalid CA certificate");
    expect_bad_middle(
        &(struct certificate){ MIDDLE, .basic = "CA:TRUE", .usage = "digitalSignature" },
        "invalid CA certificate");
    expect_bad_middle(&(struct certificate){ MIDDLE, .usage = "keyCertSign" },
                      "invalid CA certificate");
    expect_bad_middle(&(struct certificate){ MIDDLE }, "invalid CA certificate");
    expect_bad_middle(&(struct certificate){ MIDDLE, ROOT_CA, .from = VALID_NOW + 1 },
                      "not yet valid");
    expect_bad_middle(&(struct certificate){ MIDDLE, ROOT_CA, .to = VALID_NOW - 1 }, "expired");
    expect_bad_middle(&(struct certificate){ MIDDLE, ROOT_CA, .digest = sha1 },
                      "signature digest algorithm too weak");
    expect_bad_middle(&(struct certificate){ MIDDLE, ROOT_CA, .rsa = 1024 }, "key too weak");
    expect_bad_middle(
        &(struct certificate){ MIDDLE, ROOT_CA, .other = "1.2.3.4=critical,DER:0500" },
        "unhandled critical extension");
}

static void test_path_length(void **state)
{
    struct kms_error err;
    struct party     root, middle, leaf;

    (void)state;
    for (int length = 0; length < 2; length++) {
        party_make(&(struct certificate){ .name = "root",
                                          .basic = length == 0 ? "critical,CA:TRUE,pathlen:0"
                                                               : "critical,CA:TRUE,pathlen:1",
                                          .usage = "critical,keyCertSign" },
                   &root);
        party_make(&(struct certificate){ .name = "middle", .issuer = &root, ROOT_CA }, &middle);
        party_make(&(struct certificate){ .name = "leaf", .issuer = &middle, LEAF }, &leaf);
        assert_int_equal(believed_at(&root, &leaf, &middle, VALID_NOW, &err), length == 1);
        assert_true(length == 1 || strstr(err.detail, "path length constraint exceeded") != NULL);
        party_release(&leaf);
        party_release(&middle);
        party_release(&root);
    }
}

static void test_bad_leaves(void **state)
{
    (void)state;
#define OF_MIDDLE .name = "leaf", .issuer = &s.middle
    expect_bad_leaf(&(struct certificate){ OF_MIDDLE, .usage = "keyAgreement" }, "may not sign");
    expect_bad_leaf(&(struct certificate){ OF_MIDDLE, LEAF, .to = VALID_NOW - 1 }, "expired");
}

/* Signatures that are not ES384 by the leaf's key. */
static void test_signatures(void **state)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(4096);
    struct crypto_roots            *roots = roots_of(&s.root);
    struct party                    p256, rsa;
    uint8_t                         good[96 + 1] = { 0 };
    struct kms_error                err;

    (void)state;
    party_make(&(struct certificate){ .name = "l", .issuer = &s.root, LEAF, .curve = "P-256" },
               &p256);
    party_make(&(struct certificate){ .name = "l", .issuer = &s.root, LEAF, .rsa = 2048 }, &rsa);
    struct party *wrong[] = { &p256, &rsa };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_reset(&der);
        party_der(wrong[i], &der);
        memset(good, 1, sizeof good);
        assert_int_equal(crypto_attested(roots, buf_bytes(&der), NULL, 0, VALID_NOW * 1000LL,
                                         message(), bytes_of(good, 96), &err),
                         KMS_E_VALIDATION);
        assert_non_null(strstr(err.detail, "not a signature by a P-384 key"));
        party_release(wrong[i]);
    }

    buf_reset(&der);
    party_der(&s.middle, &der); /* may sign, and is certified by the root itself */
    party_sign(&s.middle, message(), good);
#define ATTESTED(text, len)                                                                        \
    crypto_attested(roots, buf_bytes(&der), NULL, 0, VALID_NOW * 1000LL, text, bytes_of(good, len), \
                    &err)
    assert_int_equal(ATTESTED(message(), 96), KMS_OK);
    assert_int_equal(ATTESTED(BYTES_LIT("something else"), 96), KMS_E_VALIDATION);
    assert_int_equal(ATTESTED(message(), 95), KMS_E_VALIDATION);
    assert_int_equal(ATTESTED(message(), 97), KMS_E_VALIDATION);
    for (size_t i = 0; i < 96; i += 5) {
        good[i] ^= 1;
        assert_int_equal(ATTESTED(message(), 96), KMS_E_VALIDATION);
        good[i] ^= 1;
    }
    memset(good, 0, sizeof good);
    assert_int_equal(ATTESTED(message(), 96), KMS_E_VALIDATION);
    crypto_roots_free(roots);
}

static void test_certificates_that_are_none(void **state)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf root = BUF_INIT(4096);
    struct crypto_roots            *roots = roots_of(&s.root);
    struct bytes                    bundle[CERTIFICATES_MAX + 1];
    uint8_t                         signature[96];

    (void)state;
    party_sign(&s.middle, message(), signature);
    party_der(&s.middle, &der);
    party_der(&s.root, &root);
    for (size_t i = 0; i < ARRAY_LEN(bundle); i++)
        bundle[i] = buf_bytes(&root);
    struct bytes good = buf_bytes(&der);
#define ASK(leaf, n)                                                                               \
    crypto_attested(roots, leaf, bundle, n, VALID_NOW * 1000LL, message(),                          \
                    bytes_of(signature, sizeof signature), NULL)
    assert_int_equal(ASK(good, CERTIFICATES_MAX), KMS_OK);
    assert_int_equal(ASK(good, CERTIFICATES_MAX + 1), KMS_E_VALIDATION);
    assert_int_equal(ASK(((struct bytes){ 0 }), 1), KMS_E_VALIDATION);
    assert_int_equal(ASK(bytes_of(good.ptr, good.len - 1), 1), KMS_E_VALIDATION);
    bundle[1] = BYTES_LIT("\x30");
    assert_int_equal(ASK(good, 2), KMS_E_VALIDATION);
    buf_add_byte(&root, 0);
    bundle[1] = buf_bytes(&root);
    assert_int_equal(ASK(good, 2), KMS_E_VALIDATION);
    buf_add_byte(&der, 0);
    assert_int_equal(ASK(buf_bytes(&der), 1), KMS_E_VALIDATION);
    crypto_roots_free(roots);
}

/* --- keys of recipients ----------------------------------------------------------------------- */

/* Appends the SubjectPublicKeyInfo of an RSA key with a modulus of so many bits, its highest and lowest bit
 * set (the lowest only if `odd`), and this exponent. */
static void rsa_spki(struct buf *out, int bits, bool odd, const char *e_hex)
{
    BIGNUM       *n = BN_new();
    BIGNUM       *e = NULL;
    uint8_t       n_raw[1024], e_raw[64];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    struct party  p = { 0 };

    assert_true(BN_set_bit(n, bits - 1) && (!odd || BN_set_bit(n, 0)));
    assert_true(BN_hex2bn(&e, e_hex) > 0);
    int        n_len = BN_bn2nativepad(n, n_raw, BN_num_bytes(n));
    int        e_len = BN_bn2nativepad(e, e_raw, BN_num_bytes(e));
    OSSL_PARAM params[] = { OSSL_PARAM_construct_BN("n", n_raw, (size_t)n_len),
                            OSSL_PARAM_construct_BN("e", e_raw, (size_t)e_len),
                            OSSL_PARAM_construct_end() };
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &p.key, EVP_PKEY_PUBLIC_KEY, params), 1);
    party_spki(&p, out);
    party_release(&p);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
}

static void test_rsa_keys_of_recipients(void **state)
{
    static const struct {
        int         bits;
        bool        odd;
        const char *exponent;
        bool        good;
    } cases[] = {
        { 2048, true, "10001", true },
        { 3072, true, "10001", true },
        { 4096, true, "10001", true },
        { 2049, true, "3", true },
        { 2048, true, "8000000000000001", true },
        { 2047, true, "10001", false },
        { 1024, true, "10001", false },
        { 4097, true, "10001", false },
        { 2048, false, "10001", false },
        { 2048, true, "1", false },
        { 2048, true, "10000", false },
        { 2048, true, "10000000000000001", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
        rsa_spki(&spki, cases[i].bits, cases[i].odd, cases[i].exponent);
        if (crypto_recipient_key_ok(buf_bytes(&spki)) != cases[i].good)
            fail_msg("%d bits, exponent %s", cases[i].bits, cases[i].exponent);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void test_other_keys_of_recipients(void **state)
{
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf ber = BUF_INIT(4096);
    struct party                    pss = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };

    (void)state;
    assert_false(crypto_recipient_key_ok((struct bytes){ 0 }));
    assert_false(crypto_recipient_key_ok(BYTES_LIT("\x30\x03\x02\x01\x01")));
    party_spki(&s.leaf, &spki);
    assert_false(crypto_recipient_key_ok(buf_bytes(&spki))); /* P-384 */
    buf_reset(&spki);
    party_spki(&pss, &spki);
    assert_false(crypto_recipient_key_ok(buf_bytes(&spki)));
    party_release(&pss);

    buf_reset(&spki);
    party_spki(&s.rsa, &spki);
    struct bytes good = buf_bytes(&spki);
    assert_true(crypto_recipient_key_ok(good));
    assert_false(crypto_recipient_key_ok(bytes_of(good.ptr, good.len - 1)));
    /* the outer length in three bytes instead of two: BER, but not DER */
    assert_int_equal(good.ptr[1], 0x82);
    buf_add(&ber, bytes_of("\x30\x83\x00", 3));
    buf_add(&ber, bytes_of(good.ptr + 2, good.len - 2));
    assert_false(crypto_recipient_key_ok(buf_bytes(&ber)));
    buf_add_byte(&spki, 0);
    assert_false(crypto_recipient_key_ok(buf_bytes(&spki)));
}

/* RSA-PSS keys are for signatures. */
static void test_pss_key(void **state)
{
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
    EVP_PKEY_CTX                   *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    struct party                    p = { 0 };

    (void)state;
    assert_true(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &p.key), 1);
    party_spki(&p, &spki);
    assert_false(crypto_recipient_key_ok(buf_bytes(&spki)));
    party_release(&p);
    EVP_PKEY_CTX_free(ctx);
}

/* --- the envelope ----------------------------------------------------------------------------- */

static void make_envelope(struct bytes plain, struct buf *out)
{
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
    struct kms_error                err;

    party_spki(&s.rsa, &spki);
    if (crypto_envelope(buf_bytes(&spki), plain, out, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    assert_int_equal(ERR_peek_error(), 0);
}

/* Opens it with OpenSSL's reader, which knows nothing but the private key. */
static void open_envelope(struct bytes cms_der, struct buf *out)
{
    BIO             *in = BIO_new_mem_buf(cms_der.ptr, (int)cms_der.len);
    BIO             *to = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = d2i_CMS_bio(in, NULL);
    uint8_t         *at = NULL;

    assert_non_null(cms);
    assert_int_equal(BIO_pending(in), 0);
    assert_int_equal(CMS_decrypt_set1_pkey(cms, s.rsa.key, NULL), 1);
    assert_int_equal(CMS_decrypt(cms, NULL, NULL, NULL, to, CMS_BINARY), 1);
    long len = BIO_get_mem_data(to, &at);
    buf_add(out, bytes_of(at, (size_t)len));
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    BIO_free(to);
}

static void test_envelopes_open(void **state)
{
    static const size_t lens[] = { 0, 1, 15, 16, 17, 32, 1024, 4096, 12000 };
    static uint8_t      plain[12000];

    (void)state;
    crypto_random(plain, sizeof plain);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        CLEANUP(buf_release) struct buf cms = BUF_INIT(32768);
        CLEANUP(buf_release) struct buf opened = BUF_INIT(32768);
        buf_add_str(&cms, "kept");
        make_envelope(bytes_of(plain, lens[i]), &cms);
        assert_memory_equal(cms.ptr, "kept", 4);
        open_envelope(bytes_of(cms.ptr + 4, cms.len - 4), &opened);
        assert_true(bytes_eq(buf_bytes(&opened), bytes_of(plain, lens[i])));
        assert_null(memmem(cms.ptr, cms.len, plain, lens[i] < 15 ? 15 : lens[i]));
    }
}

static void expect_bytes(struct bytes *at, const void *want, size_t len)
{
    struct bytes head;

    assert_true(bytes_take(at, len, &head));
    assert_memory_equal(head.ptr, want, len);
}
#define EXPECT(literal) expect_bytes(&at, literal, sizeof(literal) - 1)

#define OID_OAEP   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"
#define OID_MGF1   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
#define OID_SHA256 "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
#define OID_CBC    "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a"
#define OID_DATA   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define OID_ENV    "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"

/* Byte by byte (RFC 5652, RFC 4055): what a reader for the service's envelopes finds in ours. */
static void test_envelope_structure(void **state)
{
    CLEANUP(buf_release) struct buf cms = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
    uint8_t                         id[SHA256_LEN];
    struct bytes                    skipped;

    (void)state;
    make_envelope(BYTES_LIT("0123456789abcdef0123456789abcdef"), &cms);
    party_spki(&s.rsa, &spki);
    crypto_sha256(buf_bytes(&spki), id);
    struct bytes at = buf_bytes(&cms);
    EXPECT("\x30\x80" OID_ENV "\xa0\x80\x30\x80\x02\x01\x02"); /* EnvelopedData, version 2 */
    EXPECT("\x31\x82\x01\x67\x30\x82\x01\x63\x02\x01\x02");    /* one recipient, version 2 */
    EXPECT("\x80\x20");                                        /* its subject key identifier */
    expect_bytes(&at, id, sizeof id);
    EXPECT("\x30\x38" OID_OAEP "\x30\x2b");
    EXPECT("\xa0\x0d\x30\x0b" OID_SHA256);
    EXPECT("\xa1\x1a\x30\x18" OID_MGF1 "\x30\x0b" OID_SHA256);
    EXPECT("\x04\x82\x01\x00");
    assert_true(bytes_take(&at, 256, &skipped)); /* the content key */
    EXPECT("\x30\x80" OID_DATA "\x30\x1d" OID_CBC "\x04\x10");
    assert_true(bytes_take(&at, 16, &skipped)); /* IV */
    EXPECT("\xa0\x80");
    for (size_t left = 48; left > 0; left -= skipped.len) { /* in as many parts as it likes */
        EXPECT("\x04");
        assert_true(at.len > 0 && at.ptr[0] > 0 && at.ptr[0] <= left);
        size_t len = at.ptr[0];
        assert_true(bytes_take(&at, 1, &skipped) && bytes_take(&at, len, &skipped));
    }
    EXPECT("\0\0\0\0\0\0\0\0\0\0");
    assert_int_equal(at.len, 0);
}

static void test_envelopes_differ(void **state)
{
    CLEANUP(buf_release) struct buf one = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf two = BUF_INIT(4096);

    (void)state;
    make_envelope(BYTES_LIT("the same"), &one);
    make_envelope(BYTES_LIT("the same"), &two);
    assert_int_equal(one.len, two.len);
    size_t same = 0;
    for (size_t i = 0; i < one.len; i++)
        same += one.ptr[i] == two.ptr[i];
    assert_true(same < one.len - 200); /* content key, IV and content are fresh */
}

static void test_envelope_failures(void **state)
{
    CLEANUP(buf_release) struct buf cms = BUF_INIT(300);
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);
    struct kms_error                err;

    (void)state;
    buf_add_str(&cms, "kept");
    party_spki(&s.leaf, &spki);
    assert_int_equal(crypto_envelope(buf_bytes(&spki), BYTES_LIT("x"), &cms, &err), KMS_E_INTERNAL);
    buf_reset(&spki);
    party_spki(&s.rsa, &spki);
    assert_int_equal(crypto_envelope(buf_bytes(&spki), BYTES_LIT("x"), &cms, &err), KMS_E_INTERNAL);
    assert_true(bytes_eq_str(buf_bytes(&cms), "kept"));
    assert_int_equal(ERR_peek_error(), 0);
}

/* --- no traces -------------------------------------------------------------------------------- */

/* The content key of an envelope that s.rsa opens. */
static void content_key(struct bytes cms, uint8_t ret[AES256_KEY_LEN])
{
    static const char head[] = "\x04\x82\x01\x00";
    const uint8_t    *at = memmem(cms.ptr, cms.len, head, sizeof head - 1);
    EVP_PKEY_CTX     *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s.rsa.key, NULL);
    uint8_t          *block = OPENSSL_malloc(256);
    size_t            len = 256;

    assert_non_null(at);
    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_decrypt(ctx, block, &len, at + sizeof head - 1, 256), 1);
    assert_int_equal(len, AES256_KEY_LEN);
    memcpy(ret, block, len);
    OPENSSL_free(block); /* wipes */
    EVP_PKEY_CTX_free(ctx);
}

static void test_envelopes_leave_nothing(void **state)
{
    CLEANUP(buf_release) struct buf cms = BUF_INIT(8192);
    static uint8_t                  plain[1000], key[AES256_KEY_LEN];

    (void)state;
    crypto_random(plain, sizeof plain);
    for (size_t i = 0; i < sizeof plain;
         i++) /* the generator keeps the rest of a block it gave out */
        plain[i] ^= 0x5a;
    make_envelope(bytes_of(plain, sizeof plain), &cms);
    /* the start, and the end, which has gone through the cipher's own buffer */
    assert_int_equal(memory_copies(plain, 32), 0);
    static uint8_t end[8];
    memcpy(end, plain + sizeof plain - sizeof end, sizeof end);
    explicit_bzero(plain, sizeof plain);
    assert_int_equal(memory_copies(end, sizeof end), 0);

    content_key(buf_bytes(&cms), key);
    assert_int_equal(memory_copies(key, sizeof key), 0);
    uint8_t *seen = malloc(sizeof key); /* the scan finds what is there */
    assert_non_null(seen);
    memcpy(seen, key, sizeof key);
    assert_int_equal(memory_copies(key, sizeof key), 1);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots_that_are_none),
        cmocka_unit_test(test_good_chains),
        cmocka_unit_test(test_bad_middles),
        cmocka_unit_test(test_path_length),
        cmocka_unit_test(test_bad_leaves),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_certificates_that_are_none),
        cmocka_unit_test(test_rsa_keys_of_recipients),
        cmocka_unit_test(test_other_keys_of_recipients),
        cmocka_unit_test(test_pss_key),
        cmocka_unit_test(test_envelopes_open),
        cmocka_unit_test(test_envelope_structure),
        cmocka_unit_test(test_envelopes_differ),
        cmocka_unit_test(test_envelope_failures),
        cmocka_unit_test(test_envelopes_leave_nothing),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
