/* crypto/crypto.c - start and end, threads, OpenSSL's memory and its errors; see crypto.h.
 *
 * The fetched algorithms and the memory hooks belong to the process: OpenSSL itself is global.
 */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/cryptoerr.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum {
    SECURE_HEAP_MIB =
        2,             /* 512 open RSA_4096 keys take 0.9 MiB (measured), work on others a little */
    MAC_KEY_MAX = 320, /* "AWS4" and the longest secret access key; longer keys are copied
                                  to the heap                                                     */
    MAC_FIRST = DIGEST_SHA_224,
    MAC_ROOMS = DIGEST_SHA_512 - DIGEST_SHA_224 + 1,
    SECURE_HEAP_MIN = 32, /* its smallest block: an AES-256 or HMAC key                    */
};

struct crypto_algorithms crypto_alg;
const uint8_t            crypto_zero_key[AES256_KEY_LEN];

static pthread_key_t                thread_end;
static bool                         hooked; /* OpenSSL takes hooks once in a process */
_Thread_local struct crypto_thread *crypto_mine;

/* --- memory ---------------------------------------------------------------------------------------
 * Nothing OpenSSL frees keeps its content: a decrypted OAEP block, for one, is freed as it is. And the
 * one key it copies on every use, that of a MAC, it gets to copy into a struct secret: each context of a
 * thread into a room of its own, since a context that rests still has one, with a zero key. */

static _Thread_local struct {
    uint8_t    *base;    /* one room for each digest that has a MAC */
    enum digest offered; /* whose room is for what is allocated next; DIGEST_NONE: none is */
    bool        taken[MAC_ROOMS];
} rooms;

/* The room that `p` is the start of, else -1. */
static int room_at(const void *p)
{
    uintptr_t offset = (uintptr_t)p - (uintptr_t)rooms.base;

    return rooms.base != NULL && offset < MAC_ROOMS * MAC_KEY_MAX ? (int)(offset / MAC_KEY_MAX)
                                                                  : -1;
}

static void *hook_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    if (rooms.offered != DIGEST_NONE && n <= MAC_KEY_MAX) {
        unsigned i = rooms.offered - MAC_FIRST;
        if (!rooms.taken[i]) {
            rooms.taken[i] = true;
            return rooms.base + (size_t)i * MAC_KEY_MAX;
        }
    }
    return malloc(n);
}

static void hook_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (p == NULL)
        return;
    int i = room_at(p);
    if (i >= 0) {
        explicit_bzero(p, MAC_KEY_MAX);
        rooms.taken[i] = false;
        return;
    }
    explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

/* Not realloc: it may leave a copy of the content behind. */
static void *hook_realloc(void *p, size_t n, const char *file, int line)
{
    if (n == 0) {
        hook_free(p, file, line);
        return NULL;
    }
    void *fresh = malloc(n);
    if (fresh == NULL || p == NULL)
        return fresh;
    size_t old = room_at(p) >= 0 ? MAC_KEY_MAX : malloc_usable_size(p);
    memcpy(fresh, p, old < n ? old : n);
    hook_free(p, file, line);
    return fresh;
}

void crypto_offer_room(enum digest digest)
{
    rooms.offered = rooms.base != NULL ? digest : DIGEST_NONE;
}

static void at_thread_end(void *thread)
{
    (void)thread; /* is crypto_mine */
    crypto_thread_cleanup();
}

static enum kms_status memory_init(struct kms_error *reterr)
{
    if (!hooked) {
        if (CRYPTO_set_mem_functions(hook_malloc, hook_realloc, hook_free) != 1)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "OpenSSL was in use before crypto_init");
        if (pthread_key_create(&thread_end, at_thread_end) != 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no thread key left");
        hooked = true;
    }
    if (CRYPTO_secure_malloc_initialized())
        return KMS_OK;
    int got = CRYPTO_secure_malloc_init(SECURE_HEAP_MIB << 20,
                                        SECURE_HEAP_MIN); /* 2: could not be locked */
    if (got == 0 || (got == 2 && secret_memory_grade() != SECRET_UNLOCKED))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL,
                           "cannot lock 2 MiB for OpenSSL's secure heap (raise LimitMEMLOCK)");
    return KMS_OK;
}

/* --- start and end --------------------------------------------------------------------------------- */

/* As OpenSSL calls them. */
static const char *const digest_names[DIGEST_COUNT] = {
    [DIGEST_SHA_1] = "SHA1",       [DIGEST_SHA_224] = "SHA2-224", [DIGEST_SHA_256] = "SHA2-256",
    [DIGEST_SHA_384] = "SHA2-384", [DIGEST_SHA_512] = "SHA2-512", [DIGEST_SM3] = "SM3",
};

static bool fetch_signatures(void)
{
    static const char *const ml_dsa[] = { "ML-DSA-44", "ML-DSA-65", "ML-DSA-87" };
    bool                     all = true;

    crypto_alg.ed25519 = EVP_SIGNATURE_fetch(NULL, "ED25519", NULL);
    crypto_alg.ed25519ph = EVP_SIGNATURE_fetch(NULL, "ED25519ph", NULL);
    for (size_t i = 0; i < ARRAY_LEN(ml_dsa); i++) {
        crypto_alg.ml_dsa[i] = EVP_SIGNATURE_fetch(NULL, ml_dsa[i], NULL);
        all = all && crypto_alg.ml_dsa[i] != NULL;
    }
    return all && crypto_alg.ed25519 != NULL && crypto_alg.ed25519ph != NULL;
}

static bool fetch_all(void)
{
    bool all = true;

    for (size_t i = DIGEST_NONE + 1; i < DIGEST_COUNT; i++) {
        crypto_alg.digest[i] = EVP_MD_fetch(NULL, digest_names[i], NULL);
        all = all && crypto_alg.digest[i] != NULL;
    }
    crypto_alg.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    crypto_alg.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    crypto_alg.wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    return fetch_signatures() && all && crypto_alg.hmac != NULL && crypto_alg.gcm != NULL &&
           crypto_alg.wrap != NULL;
}

enum kms_status crypto_init(struct kms_error *reterr)
{
    TRY(memory_init(reterr));
    if (!fetch_all())
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "an algorithm is missing in this OpenSSL");
    return crypto_self_test(reterr);
}

void crypto_cleanup(void)
{
    crypto_thread_cleanup();
    for (size_t i = 0; i < DIGEST_COUNT; i++)
        EVP_MD_free(crypto_alg.digest[i]);
    EVP_MAC_free(crypto_alg.hmac);
    EVP_CIPHER_free(crypto_alg.gcm);
    EVP_CIPHER_free(crypto_alg.wrap);
    EVP_SIGNATURE_free(crypto_alg.ed25519);
    EVP_SIGNATURE_free(crypto_alg.ed25519ph);
    for (size_t i = 0; i < ARRAY_LEN(crypto_alg.ml_dsa); i++)
        EVP_SIGNATURE_free(crypto_alg.ml_dsa[i]);
    crypto_alg = (struct crypto_algorithms){ 0 };
    (void)CRYPTO_secure_malloc_done(); /* refuses while something of OpenSSL's lives in it */
}

/* --- threads ------------------------------------------------------------------------------------------- */

/* In its own thread: the room is found by the thread. */
static void thread_free(struct crypto_thread *t)
{
    for (size_t i = 0; i < DIGEST_COUNT; i++) {
        EVP_MD_CTX_free(t->digest[i]);
        EVP_MAC_CTX_free(t->mac[i]);
    }
    EVP_CIPHER_CTX_free(t->seal);
    EVP_CIPHER_CTX_free(t->open);
    EVP_CIPHER_CTX_free(t->wrap);
    EVP_CIPHER_CTX_free(t->unwrap);
    crypto_random_block_free(t->random);
    rooms.base = NULL;
    secret_free(t->mac_key);
    secret_free(t->sha256);
    free(t);
}

void crypto_thread_cleanup(void)
{
    if (crypto_mine == NULL)
        return;
    thread_free(TAKE(crypto_mine));
    (void)pthread_setspecific(thread_end, NULL);
}

bool crypto_has_mac(enum digest digest)
{
    return (int)digest >= MAC_FIRST && (int)digest < MAC_FIRST + MAC_ROOMS;
}

static EVP_MAC_CTX *new_mac(enum digest digest)
{
    char         name[16];
    OSSL_PARAM   params[] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(crypto_alg.hmac);

    (void)snprintf(name, sizeof name, "%s", digest_names[digest]); /* parameters are not const */
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
    if (ctx != NULL && EVP_MAC_init(ctx, crypto_zero_key, sizeof crypto_zero_key, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static bool set_up_digests(struct crypto_thread *t)
{
    for (enum digest i = DIGEST_NONE + 1; i < DIGEST_COUNT; i++) {
        t->digest[i] = EVP_MD_CTX_new();
        if (t->digest[i] == NULL ||
            EVP_DigestInit_ex2(t->digest[i], crypto_alg.digest[i], NULL) != 1)
            return false;
        if (!crypto_has_mac(i))
            continue;
        t->mac[i] = new_mac(i);
        if (t->mac[i] == NULL)
            return false;
    }
    return true;
}

static bool set_up(struct crypto_thread *t)
{
    static const uint8_t no_iv[16];

    t->seal = EVP_CIPHER_CTX_new();
    t->open = EVP_CIPHER_CTX_new();
    t->wrap = EVP_CIPHER_CTX_new();
    t->unwrap = EVP_CIPHER_CTX_new();
    t->mac_key = secret_new(MAC_ROOMS * MAC_KEY_MAX);
    t->sha256 = crypto_sha256_room_new();
    if (t->mac_key == NULL || t->sha256 == NULL || t->seal == NULL || t->open == NULL ||
        t->wrap == NULL || t->unwrap == NULL || !set_up_digests(t))
        return false;
    rooms.base = secret_data(t->mac_key);
    memset(rooms.taken, 0, sizeof rooms.taken);
    EVP_CIPHER_CTX_set_flags(t->wrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    EVP_CIPHER_CTX_set_flags(t->unwrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    return EVP_EncryptInit_ex2(t->seal, crypto_alg.gcm, crypto_zero_key, no_iv, NULL) == 1 &&
           EVP_DecryptInit_ex2(t->open, crypto_alg.gcm, crypto_zero_key, no_iv, NULL) == 1 &&
           EVP_EncryptInit_ex2(t->wrap, crypto_alg.wrap, crypto_zero_key, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex2(t->unwrap, crypto_alg.wrap, crypto_zero_key, NULL, NULL) == 1;
}

struct crypto_thread *crypto_thread_make(void)
{
    assert(crypto_alg.gcm != NULL); /* crypto_init comes first */
    struct crypto_thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    if (!set_up(t) || pthread_setspecific(thread_end, t) != 0) {
        thread_free(t);
        return NULL;
    }
    crypto_mine = t;
    return t;
}

/* --- errors ---------------------------------------------------------------------------------------------- */

bool crypto_was_short_of_memory(void)
{
    bool          short_of = false;
    unsigned long code;

    while ((code = ERR_get_error()) != 0)
        short_of = short_of || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE ||
                   (ERR_GET_LIB(code) == ERR_LIB_CRYPTO &&
                    ERR_GET_REASON(code) == CRYPTO_R_SECURE_MALLOC_FAILURE);
    return short_of;
}

enum kms_status crypto_fail(struct kms_error *reterr, enum kms_status status, const char *site,
                            const char *what)
{
    char          text[160] = "no further reason";
    unsigned long code = ERR_peek_error();

    if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return kms_fail(reterr, status, site, "%s: %s", what, text);
}
