/* tests/unit/crypto/test_key_import.c - what customers may import: forms that are the same key, and faults
 * that all end in the same refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "der.h"
#include "rsa_parts.h"

enum { SCALAR = 32, POINT = 65, HYBRID_EVEN = 6, COMPRESSED_EVEN = 2, UNCOMPRESSED = 4 };

static int start(void **state)
{
    struct kms_error err;

    (void)state;
    return crypto_init(&err) == KMS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    crypto_cleanup();
    return 0;
}

static void refused(enum key_spec spec, struct bytes content)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct kms_error                     err = { 0 };

    assert_int_equal(crypto_key_import(spec, content, &material, &err), KMS_E_CIPHERTEXT);
    assert_int_equal(err.message_len, 0);
    assert_null(material);
}

static void same(enum key_spec spec, struct bytes content, struct bytes want)
{
    CLEANUP(secret_freep) struct secret *material = NULL;

    assert_int_equal(crypto_key_import(spec, content, &material, NULL), KMS_OK);
    assert_true(bytes_eq(secret_view(material), want));
}

/* --- curves ------------------------------------------------------------------------------------- */

/* A P-256 key and its parts; its canonical form ends with the point. */
struct curve_key {
    struct secret *material;
    uint8_t        scalar[SCALAR], point[POINT], compressed[1 + SCALAR], hybrid[POINT];
};

static void curve_release(struct curve_key *k)
{
    secret_free(k->material);
}

static void curve_make(struct curve_key *k)
{
    enum { SCALAR_AT = 36 }; /* see test_canonical_curve */

    assert_int_equal(crypto_key_generate(SPEC_ECC_NIST_P256, NULL, &k->material, NULL), KMS_OK);
    struct bytes m = secret_view(k->material);
    memcpy(k->scalar, m.ptr + SCALAR_AT, SCALAR);
    memcpy(k->point, m.ptr + m.len - POINT, POINT);
    memcpy(k->compressed, k->point, sizeof k->compressed);
    k->compressed[0] = (uint8_t)(COMPRESSED_EVEN + (k->point[POINT - 1] & 1));
    memcpy(k->hybrid, k->point, POINT);
    k->hybrid[0] = (uint8_t)(HYBRID_EVEN + (k->point[POINT - 1] & 1));
}

static struct ec_parts parts_of(const struct curve_key *k)
{
    return (struct ec_parts){ .curve = DER_OID_P256,
                              .scalar = bytes_of(k->scalar, SCALAR),
                              .inner = BYTES_LIT("\6\x8\x2a\x86\x48\xce\x3d\x03\x01\x07"),
                              .point = bytes_of(k->point, POINT) };
}

static struct bytes write_ec(struct der *d, const struct ec_parts *p, bool indefinite)
{
    der_init(d);
    d->indefinite = indefinite;
    der_ec(d, p);
    return der_bytes(d);
}

/* What we write is what another writer of ASN.1 makes of the same parts. */
static void test_canonical_curve(void **state)
{
    CLEANUP(curve_release) struct curve_key k;
    static struct der                       d;

    (void)state;
    curve_make(&k);
    struct ec_parts p = parts_of(&k);
    assert_true(bytes_eq(write_ec(&d, &p, false), secret_view(k.material)));
}

static void test_curve_forms(void **state)
{
    CLEANUP(curve_release) struct curve_key k;
    static struct der                       d;

    (void)state;
    curve_make(&k);
    struct bytes       want = secret_view(k.material);
    uint8_t            padded[1 + SCALAR] = { 0 };
    const struct bytes points[] = {
        { k.point, POINT }, { k.compressed, sizeof k.compressed }, { k.hybrid, POINT }, { NULL, 0 }
    };
    memcpy(padded + 1, k.scalar, SCALAR);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        for (unsigned bits = 0; bits < 8; bits++) {
            struct ec_parts p = parts_of(&k);
            p.point = points[i];
            if ((bits & 1) != 0)
                p.inner = bytes_of(NULL, 0);
            if ((bits & 2) != 0)
                p.scalar = bytes_of(padded, sizeof padded);
            same(SPEC_ECC_NIST_P256, write_ec(&d, &p, (bits & 4) != 0), want);
        }
    }
}

/* RFC 5480 2.2: in a SubjectPublicKeyInfo the hybrid form is refused. */
static void test_public_forms(void **state)
{
    enum { HEAD_MAX = 64 };
    CLEANUP(curve_release) struct curve_key      k;
    CLEANUP(buf_release) struct buf              spki = BUF_INIT(256);
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *read = NULL;
    uint8_t                                      copy[HEAD_MAX + POINT];

    (void)state;
    curve_make(&k);
    assert_int_equal(crypto_key_open(SPEC_ECC_NIST_P256, secret_view(k.material), &key, NULL),
                     KMS_OK);
    assert_int_equal(crypto_key_public(key, &spki, NULL), KMS_OK);
    assert_true(spki.len > POINT && spki.len <= sizeof copy);
    memcpy(copy, spki.ptr, spki.len);
    struct bytes in = bytes_of(copy, spki.len);
    uint8_t     *form = copy + spki.len - POINT;
    for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
        *form = (uint8_t)octet;
        if (octet == k.point[0])
            continue;
        assert_int_equal(crypto_key_read_public(SPEC_ECC_NIST_P256, in, &read, NULL),
                         KMS_E_VALIDATION);
        assert_null(read);
    }
    *form = k.point[0];
    assert_int_equal(crypto_key_read_public(SPEC_ECC_NIST_P256, in, &read, NULL), KMS_OK);
}

#define GENERATOR_X "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
#define GENERATOR_Y "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"

/* P-256 written out: prime, a, b, generator, order, cofactor (SEC 1 C.2). */
static struct bytes explicit_p256(struct der *d)
{
    static const char *const numbers[] = {
        "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
        GENERATOR_X GENERATOR_Y,
        "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "00ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    };
    uint8_t      v[6][POINT];
    struct bytes n[6];

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        n[i] = bytes_of(v[i], strlen(numbers[i]) / 2);
        assert_true(hex_read(bytes_str(numbers[i]), v[i], n[i].len));
    }
    der_init(d);
    size_t end = der_begin(d, DER_SEQUENCE);
    der_element(d, DER_INTEGER, BYTES_LIT("\1"));
    der_element(d, DER_INTEGER, n[4]);
    der_element(d, DER_OCTET_STRING, n[3]);
    size_t curve = der_begin(d, DER_SEQUENCE);
    der_element(d, DER_OCTET_STRING, n[2]);
    der_element(d, DER_OCTET_STRING, n[1]);
    der_wrap(d, DER_SEQUENCE, curve);
    size_t field = der_begin(d, DER_SEQUENCE);
    der_element(d, DER_INTEGER, n[5]);
    der_element(d, DER_OID, BYTES_LIT("\x2a\x86\x48\xce\x3d\x01\x01"));
    der_wrap(d, DER_SEQUENCE, field);
    der_element(d, DER_INTEGER, BYTES_LIT("\1"));
    der_wrap(d, DER_SEQUENCE, end);
    return der_bytes(d);
}

static void test_curve_faults(void **state)
{
    CLEANUP(curve_release) struct curve_key k;
    CLEANUP(curve_release) struct curve_key other;
    static struct der                       d, written_out, other_name;
    static const uint8_t                    zero[SCALAR], infinity[1];
    uint8_t                                 order[SCALAR], off_curve[POINT], bad_hybrid[POINT];

    (void)state;
    curve_make(&k);
    curve_make(&other);
    assert_true(
        hex_read(BYTES_LIT("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
                 order, SCALAR));
    memcpy(off_curve, k.point, POINT);
    off_curve[POINT - 1] ^= 1;
    memcpy(bad_hybrid, k.hybrid, POINT);
    bad_hybrid[0] ^= 1;
    der_init(&other_name);
    der_element(&other_name, DER_OID, DER_OID_P384);
    struct bytes explicit = explicit_p256(&written_out);
    struct ec_parts good = parts_of(&k);
    struct ec_parts faults[12];
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        faults[i] = good;
    faults[0].scalar = bytes_of(zero, SCALAR);
    faults[1].scalar = bytes_of(order, SCALAR);
    faults[2].scalar = bytes_of(NULL, 0);
    faults[3].point = bytes_of(other.point, POINT);
    faults[4].point = bytes_of(other.compressed, sizeof other.compressed);
    faults[5].point = bytes_of(off_curve, POINT);
    faults[6].point = bytes_of(bad_hybrid, POINT);
    faults[7].point = bytes_of(infinity, 1);
    faults[8].curve = DER_OID_P384;
    faults[9].inner = der_bytes(&other_name);
    faults[10].parameters = explicit;
    faults[11].inner = explicit;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        refused(SPEC_ECC_NIST_P256, write_ec(&d, &faults[i], false));
        refused(SPEC_ECC_NIST_P256, write_ec(&d, &faults[i], true));
        faults[i].point = i >= 3 && i <= 7 ? faults[i].point : bytes_of(NULL, 0);
        refused(SPEC_ECC_NIST_P256, write_ec(&d, &faults[i], false));
    }
    same(SPEC_ECC_NIST_P256, write_ec(&d, &good, false), secret_view(k.material));
}

/* --- any PKCS#8 --------------------------------------------------------------------------------- */

/* Whatever the spec: nothing, a part of it, more than it, another spec's key, one octet of the frame wrong. */
static void test_frames(void **state)
{
    static uint8_t copy[DER_ROOM];

    (void)state;
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        CLEANUP(secret_freep) struct secret *material = NULL;
        if (!spec_is_asymmetric(spec))
            continue;
        assert_int_equal(crypto_key_generate(spec, NULL, &material, NULL), KMS_OK);
        struct bytes m = secret_view(material);
        memcpy(copy, m.ptr, m.len);
        copy[m.len] = 0;
        refused(spec, bytes_of(NULL, 0));
        refused(spec, bytes_of(copy, 0));
        refused(spec, bytes_of(copy, m.len + 1));
        for (size_t len = 1; len < m.len; len += 1 + len / 16)
            refused(spec, bytes_of(copy, len));
        for (size_t i = 7; i < 12; i++) { /* in the algorithm's head and identifier */
            copy[i] ^= 0x20;
            refused(spec, bytes_of(copy, m.len));
            copy[i] ^= 0x20;
        }
        for (enum key_spec other = 0; other < SPEC_COUNT; other++) {
            if (other != spec && spec_is_asymmetric(other))
                refused(other, m);
        }
        memset(copy + m.len, 0, sizeof copy - m.len);
        refused(spec, bytes_of(copy, spec_info(spec)->material_max + 1));
        explicit_bzero(copy, sizeof copy);
    }
}

/* EncryptedPrivateKeyInfo (RFC 5958 3): an algorithm, then an octet string. */
static void test_encrypted(void **state)
{
    static struct der d;
    static uint8_t    data[160];

    (void)state;
    der_init(&d);
    size_t end = der_begin(&d, DER_SEQUENCE);
    der_element(&d, DER_OCTET_STRING, bytes_of(data, sizeof data));
    size_t algorithm = der_begin(&d, DER_SEQUENCE);
    der_element(&d, DER_OID, BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"));
    der_wrap(&d, DER_SEQUENCE, algorithm);
    der_wrap(&d, DER_SEQUENCE, end);
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        if (spec_is_asymmetric(spec))
            refused(spec, der_bytes(&d));
    }
}

/* --- Ed25519 ------------------------------------------------------------------------------------ */

static struct bytes write_edwards(struct der *d, struct bytes inside, struct bytes after,
                                  const char *version)
{
    size_t end = der_begin(d, DER_SEQUENCE);

    der_put(d, after);
    size_t octets = d->at;
    der_put(d, inside);
    der_wrap(d, DER_OCTET_STRING, octets);
    size_t algorithm = der_begin(d, DER_SEQUENCE);
    der_element(d, DER_OID, BYTES_LIT("\x2b\x65\x70"));
    der_wrap(d, DER_SEQUENCE, algorithm);
    der_element(d, DER_INTEGER, bytes_of(version, 1));
    der_wrap(d, DER_SEQUENCE, end);
    return der_bytes(d);
}

static void test_edwards(void **state)
{
    enum { SEED = 32, INSIDE = 2 + SEED };
    CLEANUP(secret_freep) struct secret *material = NULL;
    static struct der                    d;
    uint8_t                              inside[INSIDE + 1] = { 0 };
    struct bytes                         none = bytes_of(NULL, 0);

    (void)state;
    assert_int_equal(crypto_key_generate(SPEC_ECC_NIST_EDWARDS25519, NULL, &material, NULL),
                     KMS_OK);
    struct bytes m = secret_view(material);
    memcpy(inside, m.ptr + m.len - INSIDE, INSIDE);
    der_init(&d);
    same(SPEC_ECC_NIST_EDWARDS25519, write_edwards(&d, bytes_of(inside, INSIDE), none, "\0"), m);
    der_init(&d);
    d.indefinite = true; /* BER: recorded-imports E, step 8 */
    refused(SPEC_ECC_NIST_EDWARDS25519, write_edwards(&d, bytes_of(inside, INSIDE), none, "\0"));
    der_init(&d); /* an octet behind the seed, in the octet string */
    refused(SPEC_ECC_NIST_EDWARDS25519,
            write_edwards(&d, bytes_of(inside, INSIDE + 1), none, "\0"));
    inside[1]--; /* a seed of 31 bytes */
    der_init(&d);
    refused(SPEC_ECC_NIST_EDWARDS25519,
            write_edwards(&d, bytes_of(inside, INSIDE - 1), none, "\0"));
    inside[1]++;
    der_init(&d); /* a length in two octets where one does */
    uint8_t longer[INSIDE + 1] = { DER_OCTET_STRING, 0x81, SEED };
    memcpy(longer + 3, inside + 2, SEED);
    refused(SPEC_ECC_NIST_EDWARDS25519,
            write_edwards(&d, bytes_of(longer, sizeof longer), none, "\0"));
}

/* RFC 5958, version 2, with the public key: the right one and a wrong one. */
static void test_edwards_with_public(void **state)
{
    enum { INSIDE = 34, PUBLIC = 32 };
    CLEANUP(secret_freep) struct secret         *material = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    CLEANUP(buf_release) struct buf              spki = BUF_INIT(64);
    static struct der                            d;
    uint8_t                                      after[3 + PUBLIC] = { DER_1, 1 + PUBLIC, 0 };
    struct bytes                                 a = bytes_of(after, sizeof after);

    (void)state;
    assert_int_equal(crypto_key_generate(SPEC_ECC_NIST_EDWARDS25519, NULL, &material, NULL),
                     KMS_OK);
    struct bytes m = secret_view(material);
    struct bytes inside = bytes_of(m.ptr + m.len - INSIDE, INSIDE);
    assert_int_equal(crypto_key_open(SPEC_ECC_NIST_EDWARDS25519, m, &key, NULL), KMS_OK);
    assert_int_equal(crypto_key_public(key, &spki, NULL), KMS_OK);
    memcpy(after + 3, spki.ptr + spki.len - PUBLIC, PUBLIC);
    der_init(&d);
    same(SPEC_ECC_NIST_EDWARDS25519, write_edwards(&d, inside, a, "\1"), m);
    after[3] ^= 1;
    der_init(&d);
    refused(SPEC_ECC_NIST_EDWARDS25519, write_edwards(&d, inside, a, "\1"));
}

/* --- RSA ---------------------------------------------------------------------------------------- */

static struct bytes write_rsa(struct der *d, const struct rsa_parts *r, bool indefinite)
{
    der_init(d);
    d->indefinite = indefinite;
    der_rsa(d, 0, r->v, bytes_of(NULL, 0));
    return der_bytes(d);
}

static void test_rsa_forms(void **state)
{
    CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make(2048, 65537);
    static struct der                            canonical, d;
    struct bytes                                 want = write_rsa(&canonical, r, false);

    (void)state;
    same(SPEC_RSA_2048, want, want);
    same(SPEC_RSA_2048, write_rsa(&d, r, true), want);
    rsa_parts_large_d(r);
    assert_false(bytes_eq(write_rsa(&d, r, false), want));
    same(SPEC_RSA_2048, write_rsa(&d, r, false), want);
    rsa_parts_swap(r); /* q before p */
    same(SPEC_RSA_2048, write_rsa(&d, r, false), want);
    same(SPEC_RSA_2048, write_rsa(&d, r, true), want);
}

static void opens(bool good, const struct der *d)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;

    assert_int_equal(crypto_key_open(SPEC_RSA_2048, der_bytes(d), &key, NULL),
                     good ? KMS_OK : KMS_E_INTERNAL);
    assert_int_equal(key != NULL, good);
}

/* Around numbers of an RSAPrivateKey: PKCS#8 whose every part may be another. */
struct around {
    struct bytes version, algorithm, before, after, behind;
};

static void write_around(struct der *d, const struct rsa_parts *r, const struct around *a)
{
    der_init(d);
    size_t all = der_begin(d, DER_SEQUENCE);
    der_put(d, a->behind);
    size_t octets = der_begin(d, DER_OCTET_STRING);
    size_t inside = der_begin(d, DER_SEQUENCE);
    der_put(d, a->after);
    for (size_t i = DER_RSA_NUMBERS; i-- > 0;) {
        static const uint8_t zero[1];
        size_t               number = der_begin(d, DER_INTEGER);
        der_put(d, r->v[i]);
        if (r->v[i].len > 0 && r->v[i].ptr[0] >= 0x80)
            der_put(d, bytes_of(zero, 1));
        der_wrap(d, DER_INTEGER, number);
    }
    der_put(d, a->before);
    der_wrap(d, DER_SEQUENCE, inside);
    der_wrap(d, DER_OCTET_STRING, octets);
    der_put(d, a->algorithm);
    der_put(d, a->version);
    der_wrap(d, DER_SEQUENCE, all);
}

#define RSA_OID     "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define RSA_ALG     BYTES_LIT("\x30\x0d" RSA_OID "\x05\x00")
#define VERSION(V)  BYTES_LIT("\x02\x01" V)

/* Our own material is opened only in the form that encoding gives it, whatever OpenSSL would read. */
static void test_rsa_opens_canonical_only(void **state)
{
    static const struct bytes nothing = { 0 };
    const struct around       good = { VERSION("\0"), RSA_ALG, VERSION("\0"), nothing, nothing };
    const struct around       bad[] = {
        { VERSION("\1"), RSA_ALG, VERSION("\0"), nothing, nothing },
        { BYTES_LIT("\x02\x02\0\0"), RSA_ALG, VERSION("\0"), nothing, nothing },
        { BYTES_LIT("\x02\x81\x01\0"), RSA_ALG, VERSION("\0"), nothing, nothing },
        { VERSION("\0"), BYTES_LIT("\x30\x0b" RSA_OID), VERSION("\0"), nothing, nothing },
        { VERSION("\0"), BYTES_LIT("\x30\x80" RSA_OID "\5\0\0\0"), VERSION("\0"), nothing,
                nothing },
        { VERSION("\0"), BYTES_LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x05\x00"),
                VERSION("\0"), nothing, nothing }, /* RSA-PSS */
        { VERSION("\0"), RSA_ALG, VERSION("\1"), nothing, nothing },
        { VERSION("\0"), RSA_ALG, VERSION("\0"), BYTES_LIT("\x02\x01\x05"), nothing },
        { VERSION("\0"), RSA_ALG, VERSION("\0"), BYTES_LIT("\x05\0"), nothing },
        { VERSION("\0"), RSA_ALG, VERSION("\0"), nothing, BYTES_LIT("\xa0\x00") },
        { VERSION("\0"), RSA_ALG, nothing, nothing, nothing },
    };
    CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make(2048, 65537);
    static struct der                            want, d;

    (void)state;
    write_around(&d, r, &good);
    assert_true(bytes_eq(write_rsa(&want, r, false), der_bytes(&d)));
    opens(true, &d);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_around(&d, r, &bad[i]);
        opens(false, &d);
    }
    write_rsa(&d, r, true); /* BER */
    opens(false, &d);
    for (size_t i = 0; i < DER_RSA_NUMBERS; i++) {
        struct bytes was = r->v[i];
        uint8_t      longer[257] = { 0 };
        memcpy(longer + 1, was.ptr, was.len);
        if (was.ptr[0] < 0x80) { /* a zero too many */
            r->v[i] = bytes_of(longer, was.len + 1);
            write_around(&d, r, &good);
            opens(false, &d);
        }
        longer[0] = 1;
        r->v[i] = nothing;
        write_around(&d, r, &good);
        opens(false, &d);
        r->v[i] = BYTES_LIT("\0");
        write_around(&d, r, &good);
        opens(false, &d);
        if (i == 0) { /* another size */
            r->v[i] = bytes_of(longer, was.len + 1);
            write_around(&d, r, &good);
            opens(false, &d);
        }
        r->v[i] = was;
    }
}

/* Each byte cut off, and each bit of what is not a number's content, makes it another form. */
static void test_rsa_opens_nothing_cut(void **state)
{
    CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make(2048, 65537);
    static struct der                            d;
    struct bytes                                 m = write_rsa(&d, r, false);

    (void)state;
    for (size_t len = 0; len < m.len; len++) {
        CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
        assert_int_equal(crypto_key_open(SPEC_RSA_2048, bytes_of(m.ptr, len), &key, NULL),
                         KMS_E_INTERNAL);
    }
    for (size_t bit = 0; bit < 38 * 8; bit++) { /* all before the modulus, with its sign */
        d.b[d.at + bit / 8] ^= (uint8_t)(1 << bit % 8);
        opens(false, &d);
        d.b[d.at + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    opens(true, &d);
}

static void test_rsa_faults(void **state)
{
    CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make(2048, 65537);
    static struct der                            d, more;
    static const uint8_t                         big_e[33] = { 1, [32] = 1 };

    (void)state;
    for (size_t i = 0; i < DER_RSA_NUMBERS; i++) { /* each number: another one, zero, none */
        struct bytes was = r->v[i];
        uint8_t      changed[256];
        memcpy(changed, was.ptr, was.len);
        changed[was.len - 1] ^= 2;
        r->v[i] = bytes_of(changed, was.len);
        refused(SPEC_RSA_2048, write_rsa(&d, r, false));
        r->v[i] = bytes_of(changed, 0);
        refused(SPEC_RSA_2048, write_rsa(&d, r, false));
        r->v[i] = BYTES_LIT("\1");
        refused(SPEC_RSA_2048, write_rsa(&d, r, false));
        r->v[i] = was;
    }
    struct bytes e = r->v[1];
    r->v[1] = bytes_of(big_e, sizeof big_e);
    refused(SPEC_RSA_2048, write_rsa(&d, r, false));
    r->v[1] = e;

    der_init(&more); /* a third prime, RFC 8017 A.1.2 */
    size_t all = der_begin(&more, DER_SEQUENCE);
    size_t one = der_begin(&more, DER_SEQUENCE);
    for (unsigned i = 0; i < 3; i++)
        der_element(&more, DER_INTEGER, BYTES_LIT("\5"));
    der_wrap(&more, DER_SEQUENCE, one);
    der_wrap(&more, DER_SEQUENCE, all);
    der_init(&d);
    der_rsa(&d, 1, r->v, der_bytes(&more));
    refused(SPEC_RSA_2048, der_bytes(&d));
    der_init(&d);
    der_rsa(&d, 0, r->v, der_bytes(&more));
    refused(SPEC_RSA_2048, der_bytes(&d));
    der_init(&d); /* something behind the last number, inside */
    der_rsa(&d, 0, r->v, BYTES_LIT("\5\0"));
    refused(SPEC_RSA_2048, der_bytes(&d));
}

static void test_rsa_exponents(void **state)
{
    static const struct {
        uint64_t e;
        bool     good;
    } cases[] = { { 3, false },
                  { 17, false },
                  { 65535, false },
                  { 65537, true },
                  { 65539, true },
                  { 4294967311, true },
                  { UINT64_C(0xffffffffffffffc5), true } };
    static struct der d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make(2048, cases[i].e);
        struct bytes                                 der = write_rsa(&d, r, false);
        if (cases[i].good)
            same(SPEC_RSA_2048, der, der);
        else
            refused(SPEC_RSA_2048, der);
    }
}

/* All numbers fit each other, but p is no prime. */
static void test_rsa_composite(void **state)
{
    CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make_composite(2048);
    static struct der                            d;

    (void)state;
    refused(SPEC_RSA_2048, write_rsa(&d, r, false));
}

/* All numbers fit each other and the primes are primes, but n is easily factored. A few bits of difference
 * between the primes' lengths are nothing. */
static void test_rsa_weak(void **state)
{
    static const struct {
        unsigned short_bits;
        bool     good;
    } cases[] = { { 16, false },  { 64, false }, { 512, false },
                  { 991, false }, { 992, true }, { 1020, true } };
    static struct der d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(rsa_parts_release) struct rsa_parts *r = rsa_parts_make_uneven(2048,
                                                                               cases[i].short_bits);
        struct bytes                                 der = write_rsa(&d, r, false);
        if (cases[i].good)
            same(SPEC_RSA_2048, der, der);
        else
            refused(SPEC_RSA_2048, der);
    }
    CLEANUP(rsa_parts_release) struct rsa_parts *close = rsa_parts_make_close(2048);
    refused(SPEC_RSA_2048, write_rsa(&d, close, false));
}

/* --- secrets ------------------------------------------------------------------------------------ */

static void test_secret_lengths(void **state)
{
    static const uint8_t raw[200] = { 1 };
    unsigned             accepted = 0;

    (void)state;
    for (enum key_spec spec = 0; spec < SPEC_COUNT; spec++) {
        const struct key_spec_info *info = spec_info(spec);
        for (size_t len = 0; !spec_is_asymmetric(spec) && len <= sizeof raw; len++) {
            struct bytes in = bytes_of(len == 0 ? NULL : raw, len);
            if (len < info->material_min || len > info->material_max) {
                refused(spec, in);
                continue;
            }
            same(spec, in, in);
            accepted++;
        }
    }
    assert_int_equal(accepted,
                     1 + (128 - 28 + 1) + (128 - 32 + 1) + (128 - 48 + 1) + (128 - 64 + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_curve),
        cmocka_unit_test(test_curve_forms),
        cmocka_unit_test(test_curve_faults),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_encrypted),
        cmocka_unit_test(test_edwards),
        cmocka_unit_test(test_edwards_with_public),
        cmocka_unit_test(test_rsa_forms),
        cmocka_unit_test(test_rsa_faults),
        cmocka_unit_test(test_rsa_opens_canonical_only),
        cmocka_unit_test(test_rsa_opens_nothing_cut),
        cmocka_unit_test(test_rsa_exponents),
        cmocka_unit_test(test_rsa_composite),
        cmocka_unit_test(test_rsa_weak),
        cmocka_unit_test(test_secret_lengths),
        cmocka_unit_test(test_public_forms),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
