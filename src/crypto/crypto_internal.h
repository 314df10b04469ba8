/* crypto/crypto_internal.h - what the files of this folder share. */
#pragma once

#include <openssl/evp.h>
#include <stdlib.h>

#include "crypto/crypto.h"
#include "crypto/spec.h"

/* Algorithms, fetched once by crypto_init and unchanged until crypto_cleanup. */
struct crypto_algorithms {
    EVP_MD        *digest[DIGEST_COUNT]; /* none for DIGEST_NONE */
    EVP_MAC       *hmac;
    EVP_CIPHER    *gcm;
    EVP_CIPHER    *wrap;
    EVP_SIGNATURE *ed25519;
    EVP_SIGNATURE *ed25519ph;
    EVP_SIGNATURE *ml_dsa[3]; /* 44, 65, 87 */
};
extern struct crypto_algorithms crypto_alg;

/* The contexts of one thread, each set up for its algorithm; only keys and IVs change. */
struct random_block;
struct crypto_thread {
    EVP_MD_CTX          *digest[DIGEST_COUNT];
    EVP_MAC_CTX         *mac[DIGEST_COUNT]; /* HMAC, of the digests that crypto_has_mac names */
    EVP_CIPHER_CTX      *seal;
    EVP_CIPHER_CTX      *open;
    EVP_CIPHER_CTX      *wrap;
    EVP_CIPHER_CTX      *unwrap;
    struct random_block *random;  /* made by crypto_random */
    struct secret       *mac_key; /* where OpenSSL puts the keys of `mac` */
    struct secret       *sha256;  /* what sha256.c works in               */
};

/* This thread's contexts, made at its first call; NULL when out of memory. */
extern _Thread_local struct crypto_thread *crypto_mine; /* NULL: not made yet */
struct crypto_thread *crypto_thread_make(void);
static inline struct crypto_thread *crypto_thread(void)
{
    return crypto_mine != NULL ? crypto_mine : crypto_thread_make();
}
/* The same for functions that have no way to fail: aborts. */
static inline struct crypto_thread *crypto_thread_or_abort(void)
{
    struct crypto_thread *t = crypto_thread();

    if (t == NULL)
        abort();
    return t;
}

/* The next allocation OpenSSL makes in this thread is the room, in secret memory, for the key of the MAC
 * with this digest. DIGEST_NONE: no longer. */
void crypto_offer_room(enum digest digest);

/* Is there an HMAC with this digest in the API or in ours? */
bool crypto_has_mac(enum digest digest);

/* Any digest but DIGEST_NONE: fills as many bytes of `ret` as it has. */
void crypto_digest(enum digest digest, struct bytes in, uint8_t ret[DIGEST_MAX]);

/* The room of a thread for sha256.c; NULL when out of memory. */
struct secret *crypto_sha256_room_new(void);

void crypto_random_block_free(struct random_block *b);

/* What contexts hold between uses instead of the last key. */
extern const uint8_t crypto_zero_key[AES256_KEY_LEN];

/* Fails with what was tried and OpenSSL's first error; empties its error queue. */
#define CRYPTO_FAIL(reterr, status, what) crypto_fail((reterr), (status), KMS_SITE, (what))
enum kms_status crypto_fail(struct kms_error *reterr, enum kms_status status, const char *site,
                            const char *what);

/* Did OpenSSL's last call fail for want of memory, its secure heap for one? Empties its error queue. */
bool crypto_was_short_of_memory(void);

/* Runs every known-answer test. */
KMS_MUST_CHECK enum kms_status crypto_self_test(struct kms_error *reterr);
