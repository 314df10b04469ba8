/* tests/unit/crypto/rsa_parts.c - see rsa_parts.h. */
#include "rsa_parts.h"

#include <stdlib.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void show(struct rsa_parts *r)
{
    for (size_t i = 0; i < DER_RSA_NUMBERS; i++) {
        int len = BN_bn2bin(r->n[i], r->room[i]);
        r->v[i] = bytes_of(r->room[i], (size_t)len);
    }
}

/* All numbers from e, p and q; d modulo lcm(p - 1, q - 1), or that much larger. False if e has no inverse. */
static bool complete(struct rsa_parts *r, bool large_d)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *p1 = BN_new(), *q1 = BN_new(), *gcd = BN_new(), *modulus = BN_new();

    must(BN_sub(p1, r->n[RSA_P], BN_value_one()) && BN_sub(q1, r->n[RSA_Q], BN_value_one()) &&
         BN_mul(r->n[RSA_N], r->n[RSA_P], r->n[RSA_Q], ctx) && BN_mul(modulus, p1, q1, ctx) &&
         BN_gcd(gcd, p1, q1, ctx));
    must(BN_div(modulus, NULL, modulus, gcd, ctx));
    bool ok = BN_mod_inverse(r->n[RSA_D], r->n[RSA_E], modulus, ctx) != NULL &&
              BN_mod_inverse(r->n[RSA_QINV], r->n[RSA_Q], r->n[RSA_P], ctx) != NULL;
    must(!ok || !large_d || BN_add(r->n[RSA_D], r->n[RSA_D], modulus));
    must(!ok || (BN_mod(r->n[RSA_DP], r->n[RSA_D], p1, ctx) &&
                 BN_mod(r->n[RSA_DQ], r->n[RSA_D], q1, ctx)));
    BN_free(p1);
    BN_free(q1);
    BN_free(gcd);
    BN_free(modulus);
    BN_CTX_free(ctx);
    show(r);
    return ok;
}

static struct rsa_parts *empty(uint64_t e)
{
    struct rsa_parts *r = calloc(1, sizeof *r);

    must(r != NULL);
    for (size_t i = 0; i < DER_RSA_NUMBERS; i++) {
        r->n[i] = BN_new();
        must(r->n[i] != NULL);
    }
    must(BN_set_word(r->n[RSA_E], e) == 1);
    return r;
}

static void prime(BIGNUM *ret, unsigned bits)
{
    must(BN_generate_prime_ex(ret, (int)bits, 0, NULL, NULL, NULL) == 1);
}

/* Two of half the length; the larger first. */
static void primes(struct rsa_parts *r, unsigned bits, bool composite)
{
    BN_CTX *ctx = BN_CTX_new();

    do {
        prime(r->n[RSA_Q], bits / 2);
        if (composite) {
            prime(r->n[RSA_P], bits / 4);
            prime(r->n[RSA_D], bits / 4);
            must(BN_mul(r->n[RSA_P], r->n[RSA_P], r->n[RSA_D], ctx) == 1);
        } else {
            prime(r->n[RSA_P], bits / 2);
        }
        if (!composite && BN_cmp(r->n[RSA_P], r->n[RSA_Q]) < 0)
            BN_swap(r->n[RSA_P], r->n[RSA_Q]);
    } while (!complete(r, false) || BN_num_bits(r->n[RSA_N]) != (int)bits);
    BN_CTX_free(ctx);
}

struct rsa_parts *rsa_parts_make(unsigned bits, uint64_t e)
{
    struct rsa_parts *r = empty(e);

    primes(r, bits, false);
    return r;
}

struct rsa_parts *rsa_parts_make_composite(unsigned bits)
{
    struct rsa_parts *r = empty(65537);

    primes(r, bits, true);
    return r;
}

struct rsa_parts *rsa_parts_make_uneven(unsigned bits, unsigned short_bits)
{
    struct rsa_parts *r = empty(65537);

    do {
        prime(r->n[RSA_P], bits - short_bits);
        prime(r->n[RSA_Q], short_bits);
    } while (!complete(r, false) || BN_num_bits(r->n[RSA_N]) != (int)bits);
    return r;
}

struct rsa_parts *rsa_parts_make_close(unsigned bits)
{
    struct rsa_parts *r = empty(65537);
    BN_CTX           *ctx = BN_CTX_new();

    do {
        prime(r->n[RSA_Q], bits / 2);
        must(BN_copy(r->n[RSA_P], r->n[RSA_Q]) != NULL);
        do
            must(BN_add_word(r->n[RSA_P], 2) == 1);
        while (BN_check_prime(r->n[RSA_P], ctx, NULL) != 1);
    } while (!complete(r, false) || BN_num_bits(r->n[RSA_N]) != (int)bits);
    BN_CTX_free(ctx);
    return r;
}

void rsa_parts_large_d(struct rsa_parts *r)
{
    must(complete(r, true));
}

void rsa_parts_swap(struct rsa_parts *r)
{
    BN_swap(r->n[RSA_P], r->n[RSA_Q]);
    must(complete(r, true));
}

void rsa_parts_release(struct rsa_parts **r)
{
    if (*r == NULL)
        return;
    for (size_t i = 0; i < DER_RSA_NUMBERS; i++)
        BN_clear_free((*r)->n[i]);
    free(*r);
    *r = NULL;
}
