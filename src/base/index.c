/* base/index.c - see index.h. Chained hashing; growing relinks nodes into a new table, so readers
 * that walk a chain while it happens could miss a node: they retry when the table has changed. */
#include "base/index.h"

#include <assert.h>
#include <stdlib.h>

enum { INDEX_FIRST = 256 };

struct table {
    size_t mask;
    struct index_node *_Atomic slot[];
};

struct index {
    struct table *_Atomic table;
    _Atomic uint64_t generation; /* odd while a growth is relinking */
    _Atomic size_t   count;
    uint64_t         seed;
};

/* 64-bit mixing (multiply and fold). Not cryptographic: the seed keeps outsiders from aiming at one chain. It
 * is in both factors, so that nobody who chooses the key can make one of them zero. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return w;
}

uint64_t index_hash_seeded(uint64_t seed, struct bytes key)
{
    const uint64_t second = seed ^ 0xa0761d6478bd642fu;
    const uint8_t *p = key.ptr;
    size_t         left = key.len;
    uint64_t       h = seed ^ 0x9e3779b97f4a7c15u;
    uint64_t       a = 0;
    uint64_t       b = 0;

    for (; left > 16; left -= 16, p += 16)
        h = mix(word_at(p) ^ second, word_at(p + 8) ^ h);
    if (left >= 8) { /* two words that may overlap: with the length they are the rest */
        a = word_at(p);
        b = word_at(p + left - 8);
    } else {
        for (size_t i = 0; i < left; i++)
            a = a << 8 | p[i];
    }
    return mix(mix(a ^ second, b ^ h), (uint64_t)key.len ^ seed ^ 0xe7037ed1a0b428dbu);
}

uint64_t index_hash(const struct index *ix, struct bytes key)
{
    return index_hash_seeded(ix->seed, key);
}

static struct table *table_new(size_t slots)
{
    struct table *t = malloc(sizeof *t + slots * sizeof t->slot[0]);

    if (t == NULL)
        return NULL;
    t->mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        atomic_init(&t->slot[i], NULL);
    return t;
}

struct index *index_new(uint64_t seed)
{
    struct index *ix = calloc(1, sizeof *ix);
    struct table *t = table_new(INDEX_FIRST);

    if (ix == NULL || t == NULL) {
        free(ix);
        free(t);
        return NULL;
    }
    atomic_init(&ix->table, t);
    ix->seed = seed;
    return ix;
}

void index_free(struct index *ix)
{
    if (ix == NULL)
        return;
    free(atomic_load(&ix->table));
    free(ix);
}

bool index_reserve(struct index *ix, size_t n)
{
    size_t        slots = INDEX_FIRST;
    struct table *old = atomic_load(&ix->table);

    assert(atomic_load(&ix->count) == 0);
    while (slots < n)
        slots *= 2;
    struct table *fresh = table_new(slots);
    if (fresh == NULL)
        return false;
    atomic_store(&ix->table, fresh);
    free(old);
    return true;
}

static struct index_node *find_once(const struct index *ix, struct bytes key, uint64_t hash)
{
    const struct table *t = atomic_load_explicit(&ix->table, memory_order_acquire);
    struct index_node  *n = atomic_load_explicit(&t->slot[hash & t->mask], memory_order_acquire);

    while (n != NULL && !(n->hash == hash && bytes_eq(n->key, key)))
        n = atomic_load_explicit(&n->next, memory_order_acquire);
    return n;
}

struct index_node *index_find(const struct index *ix, struct bytes key)
{
    uint64_t hash = index_hash(ix, key);

    for (;;) {
        uint64_t           before = atomic_load(&ix->generation);
        struct index_node *hit = find_once(ix, key, hash);
        if (hit != NULL)
            return hit;
        if ((before & 1) == 0 && atomic_load(&ix->generation) == before)
            return NULL;
    }
}

static void link_node(struct table *t, struct index_node *node)
{
    struct index_node *_Atomic *slot = &t->slot[node->hash & t->mask];

    atomic_store_explicit(&node->next, atomic_load_explicit(slot, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(slot, node, memory_order_release);
}

/* False when out of memory: longer chains, still correct. */
static bool grow(struct index *ix, struct epoch *epoch)
{
    struct table *old = atomic_load_explicit(&ix->table, memory_order_relaxed);
    struct table *fresh = table_new((old->mask + 1) * 2);

    if (fresh == NULL)
        return false;
    atomic_fetch_add(&ix->generation, 1);
    for (size_t i = 0; i <= old->mask; i++) {
        struct index_node *n = atomic_load_explicit(&old->slot[i], memory_order_relaxed);
        while (n != NULL) {
            struct index_node *next = atomic_load_explicit(&n->next, memory_order_relaxed);
            link_node(fresh, n);
            n = next;
        }
    }
    atomic_store_explicit(&ix->table, fresh, memory_order_release);
    atomic_fetch_add(&ix->generation, 1);
    epoch_barrier(epoch);
    free(old);
    return true;
}

void index_insert(struct index *ix, struct index_node *node, struct epoch *epoch)
{
    node->hash = index_hash(ix, node->key);
    assert(find_once(ix, node->key, node->hash) == NULL);
    struct table *t = atomic_load_explicit(&ix->table, memory_order_relaxed);

    link_node(t, node);
    size_t count = atomic_fetch_add(&ix->count, 1) + 1;
    if (epoch != NULL && count > t->mask)
        (void)grow(ix, epoch);
}

void index_grow(struct index *ix, struct epoch *epoch)
{
    for (;;) {
        const struct table *t = atomic_load_explicit(&ix->table, memory_order_relaxed);
        if (atomic_load(&ix->count) <= t->mask || !grow(ix, epoch))
            return;
    }
}

void index_remove(struct index *ix, struct index_node *node)
{
    struct table               *t = atomic_load_explicit(&ix->table, memory_order_relaxed);
    struct index_node *_Atomic *link = &t->slot[node->hash & t->mask];

    for (;;) {
        struct index_node *n = atomic_load_explicit(link, memory_order_relaxed);
        assert(n != NULL); /* removing what is not there is our own mistake */
        if (n == node)
            break;
        link = &n->next;
    }
    /* the node keeps its own `next`: a reader standing on it walks on */
    atomic_store_explicit(link, atomic_load_explicit(&node->next, memory_order_relaxed),
                          memory_order_release);
    atomic_fetch_sub(&ix->count, 1);
}

size_t index_count(const struct index *ix)
{
    return atomic_load_explicit(&ix->count, memory_order_relaxed);
}

void index_each(struct index *ix, void (*visit)(struct index_node *node, void *ctx), void *ctx)
{
    struct table *t = atomic_load_explicit(&ix->table, memory_order_relaxed);

    for (size_t i = 0; i <= t->mask; i++) {
        struct index_node *n = atomic_load_explicit(&t->slot[i], memory_order_relaxed);
        while (n != NULL) {
            struct index_node *next = atomic_load_explicit(&n->next, memory_order_relaxed);
            visit(n, ctx);
            n = next;
        }
    }
}
