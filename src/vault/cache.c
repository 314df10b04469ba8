/* vault/cache.c - opened materials, so that a request does not have to unwrap.
 *
 * An entry belongs to one sealed form: class, slot and slot generation, which no two sealed forms ever
 * share. Replicas of a multi-Region key have the same material id but each its own slot, so a copy
 * deleted in one Region is never found through another's. What is kept is what uses need: of a
 * symmetric key the prepared key of HMAC, of one for MACs the bytes, both in a struct secret; of a key pair
 * the parsed key, whose numbers OpenSSL holds and wipes (crypto/key.h).
 *
 * Readers find entries without a lock, inside an epoch section. Whoever misses opens the material and
 * inserts it under the lock. vault_forget unlinks; vault_reclaim wipes what was unlinked once every
 * section that was open has been left.
 *
 * Invariants:
 *   I1  A reader may put an entry in only inside the section in which it read the record. So when the
 *       new record is published and a barrier has passed, nobody can put a deleted material back.
 *   I2  No lock is held across a barrier: a reader may wait for the lock inside its section.
 *   I3  ValidTo is checked at every use, with the value the sealed form was bound to.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "vault/blob.h"
#include "vault/vault_internal.h"

enum {
    ENTRIES_MAX = 16 * 1024, /* 2 MiB of secret memory; beyond, materials are opened for each use */
    PARSED_MAX = 512,        /* key pairs among them: what OpenSSL's secure heap has room for */
    SLOT_NAME = 13,          /* class, slot, slot generation */
};

struct opened {
    struct index_node     node; /* first: the index hands out this address */
    uint8_t               name[SLOT_NAME];
    struct material_id    id;
    enum expiration_model expiration;
    int64_t               valid_to;
    struct material_use   what;
    _Atomic bool          touched;    /* used since the last look for idle ones */
    int64_t               idle_since; /* under the lock, like all below         */
    struct opened        *next;       /* in its bucket, then in `retired`       */
    struct opened       **link;
};

static struct bytes slot_name(const struct sealed *s, uint8_t room[SLOT_NAME])
{
    struct buf name = { .ptr = room, .cap = SLOT_NAME, .limit = SLOT_NAME }; /* borrows */

    buf_add_byte(&name, (uint8_t)s->slot_class);
    buf_add_u32(&name, s->slot);
    buf_add_u64(&name, s->slot_generation);
    return buf_bytes(&name);
}

enum kms_status cache_init(struct cache *c, struct kms_error *reterr)
{
    uint64_t seed;

    crypto_random((uint8_t *)&seed, sizeof seed);
    (void)pthread_mutex_init(&c->lock, NULL);
    c->index = index_new(seed);
    if (c->index == NULL || !index_reserve(c->index, ENTRIES_MAX))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the cache of materials");
    return KMS_OK;
}

static void free_what(struct material_use *what)
{
    crypto_hmac_key_free(&what->prepared);
    secret_free(what->secret);
    crypto_key_free(what->key);
}

static void opened_free(struct opened *o)
{
    free_what(&o->what);
    free(o);
}

static void free_list(struct opened *o)
{
    while (o != NULL) {
        struct opened *next = o->next;
        opened_free(o);
        o = next;
    }
}

void cache_free(struct cache *c)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++)
        free_list(TAKE(c->bucket[i]));
    free_list(TAKE(c->retired));
    index_free(TAKE(c->index));
    (void)pthread_mutex_destroy(&c->lock);
}

/* --- the lists; with the lock held ------------------------------------------------------------------------- */

static struct opened **bucket_of(struct cache *c, const struct material_id *id)
{
    /* ids are MACs: any bytes of them are evenly spread */
    return &c->bucket[((size_t)id->b[0] << 8 | id->b[1]) % CACHE_BUCKETS];
}

static void link_in(struct cache *c, struct opened *o)
{
    struct opened **head = bucket_of(c, &o->id);

    o->next = *head;
    o->link = head;
    if (o->next != NULL)
        o->next->link = &o->next;
    *head = o;
    c->n_parsed += o->what.key != NULL;
    index_insert(c->index, &o->node, NULL);
}

static void retire(struct cache *c, struct opened *o)
{
    *o->link = o->next;
    if (o->next != NULL)
        o->next->link = o->link;
    index_remove(c->index, &o->node);
    c->n_parsed -= o->what.key != NULL;
    o->next = c->retired;
    c->retired = o;
}

/* --- use --------------------------------------------------------------------------------------------------------- */

static struct opened *find(struct cache *c, struct bytes name)
{
    return (struct opened *)(void *)index_find(c->index, name);
}

static bool same_material(const struct opened *o, const struct key_material *m)
{
    return o->expiration == m->expiration && o->valid_to == m->valid_to &&
           material_id_eq(&o->id, &m->id);
}

/* Puts the opened material in; if another thread was quicker its entry is used. When there is no room
 * the material is used once and wiped. */
static void insert(struct cache *c, const struct key_material *m, struct material_use *use)
{
    struct opened *o = calloc(1, sizeof *o);

    if (o == NULL)
        return;
    o->node.key = slot_name(&m->sealed, o->name);
    o->id = m->id;
    o->expiration = m->expiration;
    o->valid_to = m->valid_to;
    o->what = *use;
    o->what.own = false;
    o->idle_since = clock_monotonic_ms();
    (void)pthread_mutex_lock(&c->lock);
    bool room = index_count(c->index) < ENTRIES_MAX &&
                (o->what.key == NULL || c->n_parsed < PARSED_MAX) && find(c, o->node.key) == NULL;
    if (room)
        link_in(c, o);
    (void)pthread_mutex_unlock(&c->lock);
    use->own = !room;
    if (!room)
        free(o); /* what it held stays in `use` and is wiped after this use */
}

static enum kms_status check_usable(struct vault *v, const struct key_material *m,
                                    struct kms_error *reterr)
{
    if (m == NULL || m->sealed.wrapped.len == 0 || !m->present)
        return VAULT_GONE(reterr, "the material is not there");
    if (m->expiration == EXPIRES && clock_now(v->clock) >= m->valid_to) /* I3 */
        return VAULT_GONE(reterr, "the material is past its ValidTo");
    return KMS_OK;
}

static enum kms_status open_once(struct vault *v, const struct vault_material *m,
                                 struct material_use *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;
    struct seal_request                  r = material_request(m);
    struct material_use                  use = { .own = true };

    TRY(material_open(v, &r, &m->material->sealed, &secret, reterr));
    if (m->key->spec == SPEC_SYMMETRIC_DEFAULT)
        TRY(crypto_hmac_key(secret_view(secret), &use.prepared, reterr));
    else if (spec_is_asymmetric(m->key->spec))
        TRY(crypto_key_open(m->key->spec, secret_view(secret), &use.key, reterr));
    else
        use.secret = TAKE(secret);
    *ret = use;
    return KMS_OK;
}

enum kms_status material_use(struct vault *v, const struct vault_material *m,
                             struct material_use *ret, struct kms_error *reterr)
{
    uint8_t room[SLOT_NAME];

    TRY(check_usable(v, m->material, reterr));
    struct opened *o = find(&v->cache, slot_name(&m->material->sealed, room));
    if (o != NULL && same_material(o, m->material)) {
        if (!atomic_load_explicit(&o->touched, memory_order_relaxed))
            atomic_store_explicit(&o->touched, true, memory_order_relaxed);
        *ret = o->what;
        return KMS_OK;
    }
    TRY(open_once(v, m, ret, reterr));
    if (o == NULL)
        insert(&v->cache, m->material, ret);
    return KMS_OK;
}

void material_done(struct material_use *use)
{
    if (use->own)
        free_what(use);
}

/* --- forgetting --------------------------------------------------------------------------------------------------- */

void vault_forget(struct vault *v, const struct material_id *id)
{
    struct cache *c = &v->cache;

    (void)pthread_mutex_lock(&c->lock);
    struct opened *o = *bucket_of(c, id);
    while (o != NULL) {
        struct opened *next = o->next;
        if (material_id_eq(&o->id, id))
            retire(c, o);
        o = next;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

size_t vault_forget_idle(struct vault *v)
{
    struct cache *c = &v->cache;
    int64_t       now = clock_monotonic_ms();
    size_t        count = 0;

    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CACHE_BUCKETS; i++) {
        struct opened *o = c->bucket[i];
        while (o != NULL) {
            struct opened *next = o->next;
            if (atomic_exchange_explicit(&o->touched, false, memory_order_relaxed)) {
                o->idle_since = now;
            } else if (now - o->idle_since >= v->cache_idle_ms) {
                retire(c, o);
                count++;
            }
            o = next;
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return count;
}

void vault_reclaim(struct vault *v)
{
    struct cache *c = &v->cache;

    (void)pthread_mutex_lock(&c->lock);
    struct opened *list = TAKE(c->retired);
    (void)pthread_mutex_unlock(&c->lock);
    if (list == NULL)
        return;
    /* the caller's barrier covers what it unlinked; another thread may have unlinked more since */
    epoch_barrier(v->epoch); /* I2 */
    free_list(list);
}
