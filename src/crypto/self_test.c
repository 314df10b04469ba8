/* crypto/self_test.c - a known-answer test of each primitive we use, run before any key is read
 * (trust-model 2.10). An answer that differs means a broken library or processor: nothing starts. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <openssl/rand.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/key_internal.h"
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

    crypto_kdf(read_hex(TEST_KEY, &key), BYTES_LIT("label"), BYTES_LIT("context"), out, sizeof out);
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

    return crypto_rsa_oaep_decrypt(SPEC_RSA_2048, k, ALGORITHM_RSAES_OAEP_SHA_1,
                                   read_hex(SELF_TEST_OAEP_SHA_1, &cipher), &one, NULL) == KMS_OK &&
           crypto_rsa_oaep_decrypt(SPEC_RSA_2048, k, ALGORITHM_RSAES_OAEP_SHA_256,
                                   read_hex(SELF_TEST_OAEP_SHA_256, &cipher), &two,
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

/* --- what is done with keys --------------------------------------------------------------------- */

/* Of "abc" (FIPS 180-4, GB/T 32905), and RFC 4231, test case 1. */
static bool digests(void)
{
    static const struct {
        enum digest digest;
        const char *hash;
    } hash[] = {
        { DIGEST_SHA_1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { DIGEST_SHA_224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
        { DIGEST_SHA_384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
                          "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
        { DIGEST_SHA_512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
        { DIGEST_SM3, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" },
    };
    uint8_t out[DIGEST_MAX];

    for (size_t i = 0; i < ARRAY_LEN(hash); i++) {
        crypto_digest(hash[i].digest, BYTES_LIT("abc"), out);
        if (!is(bytes_of(out, strlen(hash[i].hash) / 2), hash[i].hash))
            return false;
    }
    return true;
}

static bool macs(void)
{
    static const struct {
        enum algorithm algorithm;
        const char    *mac;
    } mac[] = {
        { ALGORITHM_HMAC_SHA_224, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22" },
        { ALGORITHM_HMAC_SHA_384, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6"
                                  "82aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6" },
        { ALGORITHM_HMAC_SHA_512,
          "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
          "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
    };
    uint8_t      out[DIGEST_MAX];
    size_t       len;
    struct value key;
    struct bytes k = read_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", &key);

    for (size_t i = 0; i < ARRAY_LEN(mac); i++) {
        crypto_mac(k, mac[i].algorithm, BYTES_LIT("Hi There"), out, &len);
        if (!is(bytes_of(out, len), mac[i].mac))
            return false;
    }
    return true;
}

static struct crypto_key *open_hex(enum key_spec spec, const char *hex)
{
    struct value       der;
    struct crypto_key *key = NULL;

    return crypto_key_open(spec, read_hex(hex, &der), &key, NULL) == KMS_OK ? key : NULL;
}

/* The answer verifies, for this message only; and so does what we sign. `same`: which is the answer. */
static bool signature(const struct signing *s, const char *answer, bool same)
{
    CLEANUP(buf_release) struct buf mine = BUF_INIT(8192);
    const struct key_family_ops    *ops = key_ops(s->key->spec);
    struct value                    room;
    struct signing                  other = *s;

    other.message = BYTES_LIT("simple");
    if (ops->sign(s, &mine, NULL) != KMS_OK || ops->verify(s, buf_bytes(&mine), NULL) != KMS_OK ||
        ops->verify(&other, buf_bytes(&mine), NULL) != KMS_E_SIGNATURE)
        return false;
    if (answer == NULL)
        return true;
    struct bytes a = read_hex(answer, &room);
    return ops->verify(s, a, NULL) == KMS_OK && ops->verify(&other, a, NULL) == KMS_E_SIGNATURE &&
           (!same || bytes_eq(a, buf_bytes(&mine)));
}

static bool signs(const struct crypto_key *key, enum algorithm algorithm, const char *answer,
                  bool same)
{
    struct signing s = { key, algorithm, MESSAGE_RAW, BYTES_LIT("sample") };

    return key != NULL && signature(&s, answer, same);
}

static bool rsa_signatures(void)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = open_hex(SPEC_RSA_2048, SELF_TEST_RSA_PKCS8);

    return signs(key, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, SELF_TEST_PKCS1, true) &&
           signs(key, ALGORITHM_RSASSA_PSS_SHA_256, SELF_TEST_PSS, false);
}

static bool agrees(const struct crypto_key *key, const char *answer)
{
    CLEANUP(secret_freep) struct secret *shared = NULL;

    return crypto_key_derive(key, key, &shared, NULL) == KMS_OK && is(secret_view(shared), answer);
}

static bool ecdsa_ecdh(void)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = open_hex(SPEC_ECC_NIST_P256,
                                                                SELF_TEST_P256_PKCS8);

    return signs(key, ALGORITHM_ECDSA_SHA_256, SELF_TEST_ECDSA, false) &&
           agrees(key, SELF_TEST_ECDH);
}

static bool sm2(void)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = open_hex(SPEC_SM2, SELF_TEST_SM2_PKCS8);
    CLEANUP(secret_freep) struct secret         *plain = NULL;
    struct value                                 cipher;

    return signs(key, ALGORITHM_SM2DSA, SELF_TEST_SM2DSA, false) &&
           agrees(key, SELF_TEST_SM2_ECDH) &&
           crypto_key_decrypt(key, ALGORITHM_SM2PKE, read_hex(SELF_TEST_SM2PKE, &cipher), &plain,
                              NULL) == KMS_OK &&
           bytes_eq(secret_view(plain), BYTES_LIT("known answer of SM2 encryption"));
}

/* A key of a spec with seeds, from its seed. */
static struct crypto_key *key_of_seed(enum key_spec spec, const char *seed)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct crypto_key                   *key = NULL;
    uint8_t                             *at;
    struct value                         room;
    struct bytes                         s = read_hex(seed, &room);

    if (key_seed_material(spec, &material, &at, NULL) != KMS_OK)
        return NULL;
    memcpy(at, s.ptr, s.len);
    return crypto_key_open(spec, secret_view(material), &key, NULL) == KMS_OK ? key : NULL;
}

/* RFC 8032 section 7.3: the message is "abc", which the API would take as a digest only. */
static bool ed25519ph(void)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = key_of_seed(
        SPEC_ECC_NIST_EDWARDS25519,
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    struct signing s = { key, ALGORITHM_ED25519_PH_SHA_512, MESSAGE_DIGEST, BYTES_LIT("abc") };

    return key != NULL &&
           signature(&s,
                     "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
                     "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
                     true);
}

#define ONES "0101010101010101010101010101010101010101010101010101010101010101"

/* The key made from a seed is known by the hash of its public half; signatures are random. */
static bool ml_dsa(void)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    CLEANUP(crypto_key_freep) struct crypto_key *key = key_of_seed(SPEC_ML_DSA_44, zeros);
    CLEANUP(buf_release) struct buf              spki = BUF_INIT(2048);
    uint8_t                                      hash[SHA256_LEN];

    if (key == NULL || crypto_key_public(key, &spki, NULL) != KMS_OK)
        return false;
    crypto_sha256(buf_bytes(&spki), hash);
    return is(bytes_of(hash, sizeof hash),
              "7de1bacd9f9f9a3688803d8b12af4e3536fe21768190db594b0d96c99383c548") &&
           signs(key, ALGORITHM_ML_DSA_SHAKE_256, NULL, false);
}

/* Both ways; and a ciphertext that nobody made gives SHAKE256(z || ciphertext) (FIPS 203, algorithm 18). */
static bool ml_kem(void)
{
    static const uint8_t                         nobody[768];
    CLEANUP(crypto_key_freep) struct crypto_key *key = key_of_seed(SPEC_ML_KEM_512, ONES ONES);
    CLEANUP(buf_release) struct buf              cipher = BUF_INIT(1024);
    CLEANUP(secret_freep) struct secret         *mine = NULL;
    CLEANUP(secret_freep) struct secret         *theirs = NULL;
    CLEANUP(secret_freep) struct secret         *rejected = NULL;

    return key != NULL && crypto_key_encapsulate(key, &mine, &cipher, NULL) == KMS_OK &&
           crypto_key_decapsulate(key, buf_bytes(&cipher), &theirs, NULL) == KMS_OK &&
           ct_equal(secret_view(mine), secret_view(theirs)) &&
           crypto_key_decapsulate(key, bytes_of(nobody, sizeof nobody), &rejected, NULL) ==
               KMS_OK &&
           is(secret_view(rejected),
              "0be2f720b80cc188f29ea3e2f140a0202ad842b7af9a25e4a6547d8b1293c7bf");
}

/* --- all ---------------------------------------------------------------------------------------- */

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
        { "SHA-256 and HMAC", hashes },
        { "digests", digests },
        { "MACs", macs },
        { "key derivation", kdf },
        { "AES-GCM", gcm },
        { "AES key wrap", key_wrap },
        { "RSAES-OAEP", oaep },
        { "RSA signatures", rsa_signatures },
        { "ECDSA and ECDH", ecdsa_ecdh },
        { "Ed25519", ed25519 },
        { "Ed25519ph", ed25519ph },
        { "SM2", sm2 },
        { "ML-DSA", ml_dsa },
        { "ML-KEM", ml_kem },
        { "random source", randomness },
    };

    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (!tests[i].run())
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "self test failed: %s", tests[i].name);
    }
    return KMS_OK;
}
