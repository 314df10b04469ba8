/* crypto/crypto_internal.h - what the files of this folder share. */
#pragma once

#include <openssl/evp.h>

#include "crypto/crypto.h"

/* Algorithms, fetched once by crypto_init and unchanged until crypto_cleanup. */
struct crypto_algorithms {
    EVP_MD     *sha256;
    EVP_MAC    *hmac;
    EVP_CIPHER *gcm;
    EVP_CIPHER *wrap;
};
extern struct crypto_algorithms crypto_alg;

/* The contexts of one thread, each set up for its algorithm; only keys and IVs change. */
struct random_block;
struct crypto_thread {
    EVP_MD_CTX          *sha256;
    EVP_MAC_CTX         *hmac;
    EVP_CIPHER_CTX      *seal;
    EVP_CIPHER_CTX      *open;
    EVP_CIPHER_CTX      *wrap;
    EVP_CIPHER_CTX      *unwrap;
    struct random_block *random;  /* made by crypto_random */
    struct secret       *mac_key; /* where OpenSSL puts the key of `hmac` */
};

/* This thread's contexts, made at its first call; NULL when out of memory. */
struct crypto_thread *crypto_thread(void);
/* The same for functions that have no way to fail: aborts. */
struct crypto_thread *crypto_thread_or_abort(void);

/* While on, the next allocation OpenSSL makes in this thread comes from secret memory. */
void crypto_offer_room(bool on);

void crypto_random_block_free(struct random_block *b);

/* What contexts hold between uses instead of the last key. */
extern const uint8_t crypto_zero_key[AES256_KEY_LEN];

/* Fails with what was tried and OpenSSL's first error; empties its error queue. */
#define CRYPTO_FAIL(reterr, status, what) crypto_fail((reterr), (status), KMS_SITE, (what))
enum kms_status crypto_fail(struct kms_error *reterr, enum kms_status status, const char *site,
                            const char *what);

/* Runs every known-answer test. */
KMS_MUST_CHECK enum kms_status crypto_self_test(struct kms_error *reterr);
