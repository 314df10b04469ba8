/* crypto/self_test.c - a known-answer test of each primitive we use, run before any key is read
 * (trust-model 2.10). An answer that differs means a broken library or processor: nothing starts. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <openssl/rand.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/self_test_data.h"

enum { MAX = 1280 }; /* the longest value: the RSA key */

/* A value written in hex. */
struct value {
    uint8_t b[MAX];
    size_t  len;
};

static struct bytes read_hex(const char *text, struct value *v)
{
    v->len = strlen(text) / 2;
    bool ok = v->len <= MAX && hex_read(bytes_str(text), v->b, v->len);
    assert(ok); /* the constants of this file */
    return bytes_of(v->b, v->len);
}

static bool is(struct bytes got, const char *hex)
{
    struct value want;

    return bytes_eq(got, read_hex(hex, &want));
}

static bool hashes(void)
{
    uint8_t      out[SHA256_LEN];
    struct value key;

    crypto_sha256(BYTES_LIT("abc"), out); /* FIPS 180-4, example */
    if (!is(bytes_of(out, sizeof out),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        return false;
    struct bytes k = read_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", &key);
    crypto_hmac_sha256(k, BYTES_LIT("Hi There"), out); /* RFC 4231, test case 1 */
    return is(bytes_of(out, sizeof out),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

#define TEST_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static bool kdf(void)
{
    uint8_t      out[64];
    struct value key;

    if (crypto_kdf(read_hex(TEST_KEY, &key), BYTES_LIT("label"), BYTES_LIT("context"), out,
                   sizeof out, NULL) != KMS_OK)
        return false;
    return is(bytes_of(out, sizeof out), /* two other implementations agree on it */
              "a96742dab629385c2fda3ab31ff80ae5ab8f18d61a903f75d4cb97422e3b9586"
              "4f650329d558a492707fde746725067868d9647d1a5d07f510bb09aa8d05efaa");
}

/* Test case 16 of the GCM specification by McGrew and Viega; and a tag with one bit changed. */
static bool gcm(void)
{
    static const char sealed_hex[] =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1"
        "aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b";
    struct value key, iv, aad, plain;
    uint8_t      out[96];
    uint8_t      back[96];

    struct bytes k = read_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                              &key);
    struct bytes a = read_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2", &aad);
    struct bytes p = read_hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                              "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                              &plain);
    (void)read_hex("cafebabefacedbaddecaf888", &iv);

    struct bytes sealed = bytes_of(out, p.len + GCM_TAG_LEN);
    if (crypto_gcm_seal(k, iv.b, a, p, out, NULL) != KMS_OK || !is(sealed, sealed_hex))
        return false;
    if (crypto_gcm_open(k, iv.b, a, sealed, back, NULL) != KMS_OK ||
        !bytes_eq(bytes_of(back, p.len), p))
        return false;
    out[sealed.len - 1] ^= 1;
    return crypto_gcm_open(k, iv.b, a, sealed, back, NULL) == KMS_E_CIPHERTEXT;
}

static bool key_wrap(void)
{
    struct value key, plain;
    uint8_t      out[40];
    uint8_t      back[40];
    size_t       len;

    struct bytes k = read_hex(TEST_KEY, &key);
    struct bytes p = read_hex("404142434445464748494a4b4c4d4e4f50515253", &plain);
    if (crypto_kwp_wrap(k, p, out, &len, NULL) != KMS_OK ||
        !is(bytes_of(out, len), "7bfef0b87c224051560df29c7bb1da8293033222efb454d7adf63ba23d35e766"))
        return false;
    if (crypto_kwp_unwrap(k, bytes_of(out, len), back, &len, NULL) != KMS_OK ||
        !bytes_eq(bytes_of(back, len), p))
        return false;
    out[0] ^= 1;
    return crypto_kwp_unwrap(k, bytes_of(out, 32), back, &len, NULL) == KMS_E_CIPHERTEXT;
}

static bool oaep(void)
{
    struct value                         key, cipher;
    struct bytes                         k = read_hex(SELF_TEST_RSA_PKCS8, &key);
    CLEANUP(secret_freep) struct secret *one = NULL;
    CLEANUP(secret_freep) struct secret *two = NULL;
    struct bytes                         want = BYTES_LIT("known answer of RSAES-OAEP 32 by");

    return crypto_rsa_oaep_decrypt(k, OAEP_SHA_1, read_hex(SELF_TEST_OAEP_SHA_1, &cipher), &one,
                                   NULL) == KMS_OK &&
           crypto_rsa_oaep_decrypt(k, OAEP_SHA_256, read_hex(SELF_TEST_OAEP_SHA_256, &cipher), &two,
                                   NULL) == KMS_OK &&
           bytes_eq(secret_view(one), want) && bytes_eq(secret_view(two), want);
}

/* RFC 8032 section 7.1, test 2. */
static bool ed25519(void)
{
    struct value seed, public;
    uint8_t      sig[ED25519_SIG_LEN];
    struct bytes message = BYTES_LIT("\x72");
    struct bytes s = read_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                              &seed);
    struct bytes p = read_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                              &public);

    return crypto_ed25519_sign(s, message, sig, NULL) == KMS_OK &&
           is(bytes_of(sig, sizeof sig),
              "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00") &&
           crypto_ed25519_verify(p, message, bytes_of(sig, sizeof sig)) &&
           !crypto_ed25519_verify(p, BYTES_LIT("\x73"), bytes_of(sig, sizeof sig));
}

/* Not a statistical test: finds a generator that is not seeded or stuck. */
static bool randomness(void)
{
    uint8_t a[128] = { 0 };
    uint8_t b[128] = { 0 };

    if (RAND_status() != 1)
        return false;
    crypto_random(a, sizeof a);
    crypto_random(b, sizeof b);
    return !bytes_eq(bytes_of(a, 64), bytes_of(b, 64)) &&
           !bytes_eq(bytes_of(a, 64), bytes_of(a + 64, 64));
}

enum kms_status crypto_self_test(struct kms_error *reterr)
{
    static const struct {
        const char *name;
        bool (*run)(void);
    } tests[] = {
        { "SHA-256 and HMAC", hashes },  { "key derivation", kdf }, { "AES-GCM", gcm },
        { "AES key wrap", key_wrap },    { "RSAES-OAEP", oaep },    { "Ed25519", ed25519 },
        { "random source", randomness },
    };

    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (!tests[i].run())
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "self test failed: %s", tests[i].name);
    }
    return KMS_OK;
}
