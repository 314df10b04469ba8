/* vault/principal.c - secret access keys: wrapped for the store, used for SigV4 (kms-behaviour 2).
 *
 * A signing key is good for one access key, day, Region and service; deriving it costs ten times as much
 * as using it. Each thread keeps the last ones it derived, prepared, in secret memory, under a lock that only
 * vault_forget_access_key ever contends for.
 *
 * Invariants:
 *   I1  An entry is used only with the very wrapped secret it was derived from: a key id that was
 *       deleted and made again never meets the old secret.
 *   I2  An unknown access key costs what a known one costs: a secret of nobody stands in for it, is
 *       unwrapped, derived from and cached the same way.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum {
    SETS = 32,
    WAYS = 4,           /* 128 signing keys in each thread                  */
    NAME_MAX_LEN = 256, /* longer names are nobody's in earnest: not cached */
    AAD_MAX = 512,
    SECRET_MAX = 256,
};

struct signing_entry {
    struct hmac_key key; /* {NULL}: free */
    size_t          name_len;
    uint8_t         name[NAME_MAX_LEN];
    size_t          id_len;               /* the access key id is the first field of the name */
    uint8_t         wrapped[GCM_TAG_LEN]; /* tag of the wrapped secret: I1                */
};

struct signing_cache {
    struct signing_cache *next; /* under the vault's signing_lock */
    struct vault         *vault;
    pthread_mutex_t       lock;
    unsigned              turn; /* which way is evicted next */
    struct signing_entry  entry[SETS][WAYS];
};

/* --- wrapping ------------------------------------------------------------------------------------------ */

static void principal_aad(const struct vault *v, struct bytes access_key_id, struct buf *aad)
{
    buf_add_field(aad, BYTES_LIT("secret-key"));
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_field(aad, access_key_id);
}

enum kms_status vault_wrap_secret_key(struct vault *v, struct bytes access_key_id,
                                      struct bytes secret, struct buf *ret_wrapped,
                                      struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(AAD_MAX);

    principal_aad(v, access_key_id, &aad);
    if (!buf_ok(&aad) || secret.len == 0 || secret.len > SECRET_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "not an access key id and secret");
    return envelope_seal(v->in.purpose[PURPOSE_PRINCIPAL], "secret-key", buf_bytes(&aad), secret,
                         ret_wrapped, reterr);
}

enum kms_status vault_new_secret_key(struct vault *v, struct bytes access_key_id,
                                     struct buf *ret_secret, struct buf *ret_wrapped,
                                     struct kms_error *reterr)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    CLEANUP(secret_freep) struct secret *secret = secret_new(SECRET_KEY_LEN);

    if (secret == NULL || !buf_reserve(ret_secret, SECRET_KEY_LEN))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a secret access key");
    crypto_random(secret_data(secret), SECRET_KEY_LEN);
    for (size_t i = 0; i < SECRET_KEY_LEN; i++)
        secret_data(secret)[i] = (uint8_t)alphabet[secret_data(secret)[i] % 64];
    TRY(vault_wrap_secret_key(v, access_key_id, secret_view(secret), ret_wrapped, reterr));
    buf_add(ret_secret, secret_view(secret));
    return KMS_OK;
}

/* "AWS4" and the secret access key: the first key of the chain. */
static enum kms_status unwrap(struct vault *v, struct bytes id, struct bytes wrapped,
                              struct secret **ret, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(AAD_MAX);

    principal_aad(v, id, &aad);
    if (!buf_ok(&aad) || wrapped.len <= ENVELOPE_OVERHEAD ||
        wrapped.len > ENVELOPE_OVERHEAD + SECRET_MAX)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE, "a secret access key is not in order");
    CLEANUP(secret_freep) struct secret *key = secret_new(4 + wrapped.len - ENVELOPE_OVERHEAD);
    if (key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a signature");
    memcpy(secret_data(key), "AWS4", 4);
    enum kms_status status = envelope_open(v->in.purpose[PURPOSE_PRINCIPAL], "secret-key",
                                           buf_bytes(&aad), wrapped, secret_data(key) + 4, reterr);
    if (status == KMS_E_CIPHERTEXT)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "the secret of access key %.*s was tampered with", BYTES_FMT(id));
    TRY(status);
    *ret = TAKE(key);
    return KMS_OK;
}

static enum kms_status derive(struct vault *v, struct bytes id, struct bytes wrapped,
                              const struct sigv4_scope_text *scope, struct hmac_key *ret,
                              struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *first = NULL;
    CLEANUP(secret_freep) struct secret *key = secret_new(SHA256_LEN);
    const struct bytes steps[] = { scope->region, scope->service, BYTES_LIT("aws4_request") };

    TRY(unwrap(v, id, wrapped, &first, reterr));
    if (key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a signature");
    crypto_hmac_sha256(secret_view(first), scope->date, secret_data(key));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        crypto_hmac_sha256(secret_view(key), steps[i], secret_data(key));
    return crypto_hmac_key(secret_view(key), ret, reterr);
}

/* --- the caches ---------------------------------------------------------------------------------------- */

static void entry_clear(struct signing_entry *e)
{
    crypto_hmac_key_free(&e->key);
    e->name_len = 0;
}

static void signing_cache_free(struct signing_cache *c)
{
    for (unsigned set = 0; set < SETS; set++) {
        for (unsigned way = 0; way < WAYS; way++)
            entry_clear(&c->entry[set][way]);
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static void at_thread_end(void *arg)
{
    struct signing_cache *c = arg;
    struct vault         *v = c->vault;

    (void)pthread_mutex_lock(&v->signing_lock);
    struct signing_cache **link = &v->signing;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    (void)pthread_mutex_unlock(&v->signing_lock);
    signing_cache_free(c);
}

/* This thread's cache; NULL when there is no memory for one. */
static struct signing_cache *my_cache(struct vault *v)
{
    struct signing_cache *c = pthread_getspecific(v->signing_key);

    if (c != NULL)
        return c;
    c = calloc(1, sizeof *c);
    if (c == NULL || pthread_setspecific(v->signing_key, c) != 0) {
        free(c);
        return NULL;
    }
    c->vault = v;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_mutex_lock(&v->signing_lock);
    c->next = v->signing;
    v->signing = c;
    (void)pthread_mutex_unlock(&v->signing_lock);
    return c;
}

enum kms_status signing_init(struct vault *v, struct kms_error *reterr)
{
    uint8_t nobody[40]; /* as long as the secrets that are given out */

    crypto_random((uint8_t *)&v->signing_seed, sizeof v->signing_seed);
    crypto_random(nobody, sizeof nobody);
    buf_init(&v->dummy_secret, ENVELOPE_OVERHEAD + sizeof nobody);
    if (pthread_key_create(&v->signing_key, at_thread_end) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no thread key left");
    v->signing_key_made = true;
    return vault_wrap_secret_key(v, BYTES_LIT(""), bytes_of(nobody, sizeof nobody),
                                 &v->dummy_secret, reterr);
}

void signing_free(struct vault *v)
{
    if (v->signing_key_made)
        (void)pthread_key_delete(
            v->signing_key); /* threads that end later have nothing to do here */
    while (v->signing != NULL) {
        struct signing_cache *c = v->signing;
        v->signing = c->next;
        signing_cache_free(c);
    }
    buf_release(&v->dummy_secret);
}

void vault_forget_access_key(struct vault *v, struct bytes access_key_id)
{
    (void)pthread_mutex_lock(&v->signing_lock);
    for (struct signing_cache *c = v->signing; c != NULL; c = c->next) {
        (void)pthread_mutex_lock(&c->lock);
        for (unsigned i = 0; i < SETS * WAYS; i++) {
            struct signing_entry *e = &c->entry[i / WAYS][i % WAYS];
            if (e->key.states != NULL && bytes_eq(bytes_of(e->name, e->id_len), access_key_id))
                entry_clear(e);
        }
        (void)pthread_mutex_unlock(&c->lock);
    }
    (void)pthread_mutex_unlock(&v->signing_lock);
}

/* --- signing ------------------------------------------------------------------------------------------- */

/* What a signing key is for: the id, then the scope's fields, each but the id with its length in front
 * (the entry keeps the id's). Empty when too long to be cached. */
static struct bytes name_of(struct bytes id, const struct sigv4_scope_text *scope,
                            uint8_t room[NAME_MAX_LEN])
{
    struct buf name = { .ptr = room, .cap = NAME_MAX_LEN, .limit = NAME_MAX_LEN }; /* borrows */

    buf_add(&name, id);
    buf_add_field(&name, scope->date);
    buf_add_field(&name, scope->region);
    buf_add_field(&name, scope->service);
    return buf_ok(&name) ? buf_bytes(&name) : (struct bytes){ NULL, 0 };
}

/* Spreads names over the sets, from a secret start, so that nobody can aim at one. */
static unsigned set_of(const struct vault *v, struct bytes name)
{
    return (unsigned)index_hash_seeded(v->signing_seed, name) % SETS;
}

struct wanted {
    struct bytes id;
    struct bytes name;
    struct bytes wrapped_tag;
    unsigned     set;
};

static struct signing_entry *find(struct signing_cache *c, const struct wanted *w)
{
    for (unsigned way = 0; way < WAYS; way++) {
        struct signing_entry *e = &c->entry[w->set][way];
        if (e->key.states != NULL && e->id_len == w->id.len &&
            bytes_eq(bytes_of(e->name, e->name_len), w->name) &&
            bytes_eq(bytes_of(e->wrapped, GCM_TAG_LEN), w->wrapped_tag)) /* I1 */
            return e;
    }
    return NULL;
}

static void put(struct signing_cache *c, const struct wanted *w, struct hmac_key *key)
{
    struct signing_entry *e = &c->entry[w->set][c->turn++ % WAYS];

    entry_clear(e);
    e->key = *key;
    *key = (struct hmac_key){ NULL };
    e->id_len = w->id.len;
    e->name_len = w->name.len;
    memcpy(e->name, w->name.ptr, w->name.len);
    memcpy(e->wrapped, w->wrapped_tag.ptr, GCM_TAG_LEN);
}

static bool mac_from_cache(struct signing_cache *c, const struct wanted *w, struct bytes text,
                           uint8_t ret[32])
{
    (void)pthread_mutex_lock(&c->lock);
    struct signing_entry *e = find(c, w);
    if (e != NULL)
        crypto_hmac_sha256_kept(e->key, text, ret);
    (void)pthread_mutex_unlock(&c->lock);
    return e != NULL;
}

enum kms_status vault_sigv4_mac(struct vault *v, struct bytes access_key_id,
                                struct bytes wrapped_secret, const struct sigv4_scope_text *scope,
                                struct bytes string_to_sign, uint8_t ret[32],
                                struct kms_error *reterr)
{
    CLEANUP(crypto_hmac_key_free) struct hmac_key signing = { NULL };
    UNINITIALIZED uint8_t                         room[NAME_MAX_LEN];
    bool                                          nobody = access_key_id.len == 0; /* I2 */
    struct bytes                                  id = nobody ? BYTES_LIT("") : access_key_id;
    struct bytes          wrapped = nobody ? buf_bytes(&v->dummy_secret) : wrapped_secret;
    struct signing_cache *c = my_cache(v);
    struct wanted         w = { .id = id, .name = name_of(id, scope, room) };

    if (wrapped.len <= ENVELOPE_OVERHEAD)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE, "a secret access key is not in order");
    w.wrapped_tag = bytes_of(wrapped.ptr + wrapped.len - GCM_TAG_LEN, GCM_TAG_LEN);
    w.set = set_of(v, w.name);
    bool cacheable = c != NULL && w.name.len > 0;
    if (cacheable && mac_from_cache(c, &w, string_to_sign, ret))
        return KMS_OK;

    TRY(derive(v, id, wrapped, scope, &signing, reterr));
    crypto_hmac_sha256_kept(signing, string_to_sign, ret);
    if (cacheable) {
        (void)pthread_mutex_lock(&c->lock);
        put(c, &w, &signing);
        (void)pthread_mutex_unlock(&c->lock);
    }
    return KMS_OK;
}
