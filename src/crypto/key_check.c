/* crypto/key_check.c - is an imported key good, and what is its canonical form?
 *
 * Parsing has settled the spec. Here numbers are checked against each other (FIPS 186-5,
 * SP 800-56B 6.4.1.2.3), which OpenSSL does, and brought into the one form that this key has.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

static bool runs(EVP_PKEY *key, int (*check)(EVP_PKEY_CTX *ctx))
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

    return ctx != NULL && check(ctx) == 1;
}

bool key_check_seed(enum key_spec spec, EVP_PKEY **key)
{
    bool   edwards = spec_info(spec)->family == FAMILY_EDWARDS;
    size_t len = 0;

    return EVP_PKEY_get_octet_string_param(
               *key, edwards ? OSSL_PKEY_PARAM_PRIV_KEY : OSSL_PKEY_PARAM_ML_DSA_SEED, NULL, 0,
               &len) == 1 &&
           len == key_encoding(spec)->private_len && runs(*key, EVP_PKEY_pairwise_check);
}

/* --- curves ------------------------------------------------------------------------------------- */

bool key_uncompressed(EVP_PKEY *key)
{
    return EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                          OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) == 1;
}

/* The parameters inside the ECPrivateKey win in OpenSSL: they must be the same curve by name. */
static bool right_group(enum key_spec spec, EVP_PKEY *key)
{
    struct bytes want = key_encoding(spec)->curve;
    char         name[32], encoding[32];
    size_t       len;

    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof name, &len) !=
            1 ||
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding, sizeof encoding,
                                       &len) != 1)
        return false;
    const ASN1_OBJECT *object = OBJ_nid2obj(OBJ_sn2nid(name));
    return object != NULL && bytes_eq(bytes_of(OBJ_get0_data(object), OBJ_length(object)), want) &&
           strcmp(encoding, OSSL_PKEY_EC_ENCODING_GROUP) == 0;
}

bool key_check_curve(enum key_spec spec, EVP_PKEY **key)
{
    return right_group(spec, *key) && runs(*key, EVP_PKEY_private_check) &&
           runs(*key, EVP_PKEY_pairwise_check) && key_uncompressed(*key);
}

/* --- RSA ---------------------------------------------------------------------------------------- */

enum { N, E, D, P, Q, DP, DQ, QINV, RSA_NUMBERS };
enum {
    E_BITS_MAX = 256,
    E_MIN = 65537,
    PRIME_SLACK = 32, /* bits: not every generator makes both halves of equal length */
    CLOSE_BITS = 100,
};

static const char *const names[RSA_NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

struct rsa {
    BIGNUM *v[RSA_NUMBERS]; /* in the secure heap */
    BN_CTX *ctx;
};

static void rsa_release(struct rsa *r)
{
    for (size_t i = 0; i < RSA_NUMBERS; i++)
        BN_clear_free(r->v[i]);
    BN_CTX_free(r->ctx);
}

static bool rsa_read(EVP_PKEY *key, struct rsa *r)
{
    r->ctx = BN_CTX_secure_new();
    for (size_t i = 0; i < RSA_NUMBERS; i++) {
        r->v[i] = BN_secure_new();
        if (r->v[i] == NULL || EVP_PKEY_get_bn_param(key, names[i], &r->v[i]) != 1)
            return false;
    }
    return r->ctx != NULL;
}

static bool has_more_primes(EVP_PKEY *key)
{
    BIGNUM *third = NULL;
    bool    has = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1;

    BN_clear_free(third);
    return has;
}

bool key_rsa_exponent_is_odd(EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool    ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
              !BN_is_one(e);

    BN_free(e);
    return ok;
}

static bool is_about_half(const BIGNUM *prime, int bits)
{
    return BN_num_bits(prime) >= bits / 2 - PRIME_SLACK &&
           BN_num_bits(prime) <= bits / 2 + PRIME_SLACK;
}

/* What costs little and bounds what the rest may cost: sizes, n = p * q, and primes so far apart that
 * Fermat's method does not find them (FIPS 186-5 A.1.3, step 5.4). A short prime would be found by trial,
 * and the long one beside it takes 16 times the work to test. */
static bool rsa_plausible(const struct rsa *r, int bits)
{
    BIGNUM *const *v = r->v;
    BIGNUM        *product = BN_secure_new();
    BIGNUM        *distance = BN_secure_new();
    bool ok = BN_num_bits(v[N]) == bits && BN_is_odd(v[E]) && BN_num_bits(v[E]) <= E_BITS_MAX &&
              BN_get_word(v[E]) >= E_MIN && product != NULL && distance != NULL &&
              is_about_half(v[P], bits) && is_about_half(v[Q], bits) &&
              BN_sub(distance, v[P], v[Q]) == 1 && BN_num_bits(distance) > bits / 2 - CLOSE_BITS &&
              BN_mul(product, v[P], v[Q], r->ctx) == 1 && BN_cmp(product, v[N]) == 0;

    BN_clear_free(product);
    BN_clear_free(distance);
    return ok;
}

/* From e, p and q: the larger prime first, and d = e^-1 mod lcm(p - 1, q - 1), the smallest there is
 * (FIPS 186-5 A.1.1). A private exponent modulo (p - 1)(q - 1) is as good but makes other bytes. */
static bool rsa_normalise(struct rsa *r)
{
    BIGNUM **v = r->v;

    if (BN_cmp(v[P], v[Q]) < 0)
        BN_swap(v[P], v[Q]);
    BN_CTX_start(r->ctx);
    BIGNUM *p1 = BN_CTX_get(r->ctx);
    BIGNUM *q1 = BN_CTX_get(r->ctx);
    BIGNUM *gcd = BN_CTX_get(r->ctx);
    BIGNUM *lcm = BN_CTX_get(r->ctx);
    bool    ok = lcm != NULL && BN_sub(p1, v[P], BN_value_one()) == 1 &&
              BN_sub(q1, v[Q], BN_value_one()) == 1 && BN_gcd(gcd, p1, q1, r->ctx) == 1 &&
              BN_mul(lcm, p1, q1, r->ctx) == 1 && BN_div(lcm, NULL, lcm, gcd, r->ctx) == 1 &&
              BN_mod_inverse(v[D], v[E], lcm, r->ctx) != NULL &&
              BN_mod(v[DP], v[D], p1, r->ctx) == 1 && BN_mod(v[DQ], v[D], q1, r->ctx) == 1 &&
              BN_mod_inverse(v[QINV], v[Q], v[P], r->ctx) != NULL;
    BN_CTX_end(r->ctx);
    return ok;
}

static EVP_PKEY *rsa_build(const struct rsa *r)
{
    CLEANUP(key_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD                      *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY                            *key = NULL;
    bool                                 ok = builder != NULL && ctx != NULL;

    for (size_t i = 0; ok && i < RSA_NUMBERS; i++)
        ok = OSSL_PARAM_BLD_push_BN(builder, names[i], r->v[i]) == 1;
    OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params); /* numbers of the secure heap went to it and are wiped there */
    OSSL_PARAM_BLD_free(builder);
    return key;
}

/* What the private half signs, the public half verifies. OpenSSL refuses to use some public exponents
 * that nothing is wrong with: above 64 bits with a modulus above 3072. */
static bool rsa_works(enum key_spec spec, EVP_PKEY *key)
{
    CLEANUP(buf_release) struct buf signature = BUF_INIT(512);
    struct crypto_key               k = { .spec = spec, .pkey = key };
    static const uint8_t            digest[SHA256_LEN] = { 1 };
    const struct signing            s = { &k, ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, MESSAGE_DIGEST,
                                          bytes_of(digest, sizeof digest) };

    return key_sign_hashed(&s, &signature, NULL) == KMS_OK &&
           key_verify_hashed(&s, buf_bytes(&signature), NULL) == KMS_OK;
}

bool key_check_rsa(enum key_spec spec, EVP_PKEY **key)
{
    CLEANUP(rsa_release) struct rsa r = { 0 };

    if (has_more_primes(*key) || !rsa_read(*key, &r) ||
        !rsa_plausible(&r, (int)spec_info(spec)->bits) || !runs(*key, EVP_PKEY_check) ||
        !rsa_normalise(&r))
        return false;
    CLEANUP(key_pkey_freep) EVP_PKEY *normal = rsa_build(&r);
    if (normal == NULL || !rsa_works(spec, normal))
        return false;
    EVP_PKEY_free(*key);
    *key = TAKE(normal);
    return true;
}
