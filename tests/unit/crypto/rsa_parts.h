/* tests/unit/crypto/rsa_parts.h - RSA keys made from primes by the tests themselves, good and bad. */
#pragma once

#include <openssl/bn.h>

#include "der.h"

enum { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV };

/* The numbers in the order of RSAPrivateKey. v[i] are views of what belongs to the struct. */
struct rsa_parts {
    BIGNUM      *n[DER_RSA_NUMBERS];
    uint8_t      room[DER_RSA_NUMBERS][512];
    struct bytes v[DER_RSA_NUMBERS];
};

/* `bits` long, p > q, d modulo lcm(p - 1, q - 1). */
struct rsa_parts *rsa_parts_make(unsigned bits, uint64_t e);
/* The same with one prime of `short_bits`, and with primes next to each other: keys that anybody can factor. */
struct rsa_parts *rsa_parts_make_uneven(unsigned bits, unsigned short_bits);
struct rsa_parts *rsa_parts_make_close(unsigned bits);
/* The same, but p is a product of two primes. */
struct rsa_parts *rsa_parts_make_composite(unsigned bits);
/* The d that other libraries write, modulo (p - 1)(q - 1): larger, and as good. */
void rsa_parts_large_d(struct rsa_parts *r);
void rsa_parts_swap(struct rsa_parts *r); /* the same, with q before p */
void rsa_parts_release(struct rsa_parts **r);
