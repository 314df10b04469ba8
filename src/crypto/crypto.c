/* crypto/crypto.c - start and end, threads, OpenSSL's memory and its errors; see crypto.h.
 *
 * The fetched algorithms and the memory hooks belong to the process: OpenSSL itself is global.
 */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum {
    SECURE_HEAP = 1 << 20, /* RSA keys of a few imports at a time                         */
    MAC_KEY_MAX = 320,     /* "AWS4" and the longest secret access key; longer keys are copied
                                  to the heap                                                     */
    SECURE_HEAP_MIN = 32,  /* its smallest block: an AES-256 or HMAC key                    */
};

struct crypto_algorithms crypto_alg;
const uint8_t            crypto_zero_key[AES256_KEY_LEN];

static pthread_key_t                       thread_end;
static bool                                hooked; /* OpenSSL takes hooks once in a process */
static _Thread_local struct crypto_thread *mine;

/* --- memory ---------------------------------------------------------------------------------------
 * Nothing OpenSSL frees keeps its content: a decrypted OAEP block, for one, is freed as it is. And the
 * one key it copies on every use, that of a MAC, it gets to copy into a struct secret. */

static _Thread_local struct {
    uint8_t *ptr;
    size_t   len;
    bool     offered; /* for what is allocated next */
    bool     taken;
} room;

static void *hook_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    if (room.offered && !room.taken && n <= room.len) {
        room.taken = true;
        return room.ptr;
    }
    return malloc(n);
}

static void hook_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (p == NULL)
        return;
    if (p == room.ptr) {
        explicit_bzero(p, room.len);
        room.taken = false;
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
    size_t old = p == room.ptr ? room.len : malloc_usable_size(p);
    memcpy(fresh, p, old < n ? old : n);
    hook_free(p, file, line);
    return fresh;
}

void crypto_offer_room(bool on)
{
    room.offered = on && room.ptr != NULL;
}

static void at_thread_end(void *thread)
{
    (void)thread; /* is `mine` */
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
    int got = CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_HEAP_MIN); /* 2: could not be locked */
    if (got == 0 || (got == 2 && secret_memory_grade() != SECRET_UNLOCKED))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL,
                           "cannot lock 1 MiB for OpenSSL's secure heap (raise LimitMEMLOCK)");
    return KMS_OK;
}

/* --- start and end --------------------------------------------------------------------------------- */

enum kms_status crypto_init(struct kms_error *reterr)
{
    TRY(memory_init(reterr));
    crypto_alg.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    crypto_alg.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    crypto_alg.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    crypto_alg.wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    if (crypto_alg.sha256 == NULL || crypto_alg.hmac == NULL || crypto_alg.gcm == NULL ||
        crypto_alg.wrap == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "an algorithm is missing in this OpenSSL");
    return crypto_self_test(reterr);
}

void crypto_cleanup(void)
{
    crypto_thread_cleanup();
    EVP_MD_free(crypto_alg.sha256);
    EVP_MAC_free(crypto_alg.hmac);
    EVP_CIPHER_free(crypto_alg.gcm);
    EVP_CIPHER_free(crypto_alg.wrap);
    crypto_alg = (struct crypto_algorithms){ 0 };
    (void)CRYPTO_secure_malloc_done(); /* refuses while something of OpenSSL's lives in it */
}

/* --- threads ------------------------------------------------------------------------------------------- */

/* In its own thread: the room is found by the thread. */
static void thread_free(struct crypto_thread *t)
{
    EVP_MD_CTX_free(t->sha256);
    EVP_MAC_CTX_free(t->hmac);
    EVP_CIPHER_CTX_free(t->seal);
    EVP_CIPHER_CTX_free(t->open);
    EVP_CIPHER_CTX_free(t->wrap);
    EVP_CIPHER_CTX_free(t->unwrap);
    crypto_random_block_free(t->random);
    room.ptr = NULL;
    secret_free(t->mac_key);
    free(t);
}

void crypto_thread_cleanup(void)
{
    if (mine == NULL)
        return;
    thread_free(TAKE(mine));
    (void)pthread_setspecific(thread_end, NULL);
}

static bool set_up_mac(struct crypto_thread *t)
{
    char       digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_init(t->hmac, crypto_zero_key, sizeof crypto_zero_key, params) == 1;
}

static bool set_up(struct crypto_thread *t)
{
    static const uint8_t no_iv[16];

    t->sha256 = EVP_MD_CTX_new();
    t->hmac = EVP_MAC_CTX_new(crypto_alg.hmac);
    t->seal = EVP_CIPHER_CTX_new();
    t->open = EVP_CIPHER_CTX_new();
    t->wrap = EVP_CIPHER_CTX_new();
    t->unwrap = EVP_CIPHER_CTX_new();
    t->mac_key = secret_new(MAC_KEY_MAX);
    if (t->mac_key == NULL || t->sha256 == NULL || t->hmac == NULL || t->seal == NULL ||
        t->open == NULL || t->wrap == NULL || t->unwrap == NULL)
        return false;
    room.ptr = secret_data(t->mac_key);
    room.len = MAC_KEY_MAX;
    room.taken = false;
    EVP_CIPHER_CTX_set_flags(t->wrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    EVP_CIPHER_CTX_set_flags(t->unwrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    return EVP_DigestInit_ex2(t->sha256, crypto_alg.sha256, NULL) == 1 && set_up_mac(t) &&
           EVP_EncryptInit_ex2(t->seal, crypto_alg.gcm, crypto_zero_key, no_iv, NULL) == 1 &&
           EVP_DecryptInit_ex2(t->open, crypto_alg.gcm, crypto_zero_key, no_iv, NULL) == 1 &&
           EVP_EncryptInit_ex2(t->wrap, crypto_alg.wrap, crypto_zero_key, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex2(t->unwrap, crypto_alg.wrap, crypto_zero_key, NULL, NULL) == 1;
}

struct crypto_thread *crypto_thread(void)
{
    if (mine != NULL)
        return mine;
    assert(crypto_alg.gcm != NULL); /* crypto_init comes first */
    struct crypto_thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    if (!set_up(t) || pthread_setspecific(thread_end, t) != 0) {
        thread_free(t);
        return NULL;
    }
    mine = t;
    return t;
}

struct crypto_thread *crypto_thread_or_abort(void)
{
    struct crypto_thread *t = crypto_thread();

    if (t == NULL)
        abort();
    return t;
}

/* --- errors ---------------------------------------------------------------------------------------------- */

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
