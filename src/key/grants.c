/* key/grants.c - see grants.h.
 *
 * Hash tables lead from a key to its grants, from a key and a grantee to the set that decisions look
 * at, from an id to a grant, and from a Region and a retiring principal to a series. A set is
 * immutable: adding and taking out publish another one. What readers may still see waits in the
 * list of the retired.
 *
 * Invariants:
 *   I1  A key, a set or a retiring principal is in its table exactly as long as it has a grant.
 *   I2  The sets of a key are the writer's list `sets`; readers find them by the table alone.
 */
#include "key/grants.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "key/series.h"

enum {
    KEY_NAME_MAX = ACCOUNT_LEN + 1 + REGION_MAX + 1 + KEY_ID_MAX,
    LOOKUP_MAX = REGION_MAX + 1 + GRANT_PRINCIPAL_MAX, /* the longest of what is looked up */
    RETIRED_MAX = 16 * 1024 * 1024, /* bytes that may wait for the owner's next barrier */
};

/* Every entry begins with its index node; the text that is the node's key stands behind it. */
struct set_entry {
    struct index_node node; /* number of the key, grantee */
    const struct grant_set *_Atomic set;
    /* the writer's */
    struct set_entry *next, *prev; /* of the same key */
    struct grant_set *coming;      /* the next set while grants_put fills it */
    size_t            n_coming;
};

struct key_grants {
    struct index_node node;   /* "account:region:key-id" */
    uint64_t          number; /* never used again */
    struct series    *all;    /* of struct grant_record */
    struct set_entry *sets;   /* the writer's */
};

struct retiring_entry {
    struct index_node node; /* "region:identity" */
    struct series    *all;
};

struct grant_entry {
    struct index_node    node; /* the id, in the record */
    struct grant_record *record;
};

struct retired {
    const void *memory;
    void (*release)(void *memory);
};

struct grant_book {
    struct epoch       *epoch;
    struct index       *keys;
    struct index       *sets;
    struct index       *retirings;
    struct index       *ids;
    uint64_t            last_number; /* the writer's, as is what follows */
    struct retired     *retired;
    size_t              n_retired, retired_cap;
    size_t              retired_bytes;
    struct series_trash trash;
};

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* --- finding ---------------------------------------------------------------------------------- */

struct lookup {
    size_t  len; /* 0: longer than any name, so nothing has it */
    uint8_t text[LOOKUP_MAX];
};

static struct bytes lookup_bytes(const struct lookup *l)
{
    return bytes_of(l->text, l->len);
}

static void lookup_add(struct lookup *l, struct bytes part)
{
    if (part.len > 0)
        memcpy(l->text + l->len, part.ptr, part.len);
    l->len += part.len;
}

static void lookup_key(struct lookup *l, const struct key_name *key)
{
    static_assert(KEY_NAME_MAX <= LOOKUP_MAX, "the name of a key fits");

    l->len = 0;
    if (key->account.len > ACCOUNT_LEN || key->region.len > REGION_MAX || key->id.len > KEY_ID_MAX)
        return;
    lookup_add(l, key->account);
    lookup_add(l, BYTES_LIT(":"));
    lookup_add(l, key->region);
    lookup_add(l, BYTES_LIT(":"));
    lookup_add(l, key->id);
}

static void lookup_set(struct lookup *l, uint64_t number, struct bytes grantee)
{
    static_assert(sizeof number + GRANT_PRINCIPAL_MAX <= LOOKUP_MAX, "a grantee fits");

    l->len = 0;
    if (grantee.len > GRANT_PRINCIPAL_MAX)
        return;
    lookup_add(l, bytes_of(&number, sizeof number));
    lookup_add(l, grantee);
}

static void lookup_retiring(struct lookup *l, struct bytes region, struct bytes retiring)
{
    l->len = 0;
    if (region.len > REGION_MAX || retiring.len > GRANT_PRINCIPAL_MAX)
        return;
    lookup_add(l, region);
    lookup_add(l, BYTES_LIT(":"));
    lookup_add(l, retiring);
}

static struct key_grants *find_key(const struct grant_book *b, const struct key_name *key)
{
    struct lookup l;

    lookup_key(&l, key);
    return (void *)index_find(b->keys, lookup_bytes(&l));
}

static struct set_entry *find_set(const struct grant_book *b, const struct key_grants *on,
                                  struct bytes grantee)
{
    struct lookup l;

    lookup_set(&l, on->number, grantee);
    return (void *)index_find(b->sets, lookup_bytes(&l));
}

static struct retiring_entry *find_retiring(const struct grant_book *b, struct bytes region,
                                            struct bytes retiring)
{
    struct lookup l;

    lookup_retiring(&l, region, retiring);
    return (void *)index_find(b->retirings, lookup_bytes(&l));
}

const struct key_grants *grants_on(const struct grant_book *b, const struct key_name *key)
{
    if (index_count(b->ids) == 0) /* most servers have none: nobody pays for asking */
        return NULL;
    return find_key(b, key);
}

const struct grant_set *grants_to(const struct grant_book *b, const struct key_grants *on,
                                  struct bytes grantee)
{
    const struct set_entry *e = on == NULL || grantee.len == 0 ? NULL : find_set(b, on, grantee);

    return e == NULL ? NULL : atomic_load_explicit(&e->set, memory_order_acquire);
}

const struct grant_record *grants_find(const struct grant_book *b, const struct key_name *key,
                                       struct bytes id)
{
    const struct grant_entry *e = id.len == 0 ? NULL : (void *)index_find(b->ids, id);

    return e != NULL && bytes_eq(e->record->key.arn, key->arn) ? e->record : NULL;
}

/* --- listing ---------------------------------------------------------------------------------- */

struct page {
    const struct grant_record **ret;
    size_t                      n;
    size_t                      max;
};

static bool take_grant(void *item, void *ctx)
{
    struct page *page = ctx;

    if (page->n == page->max)
        return false;
    page->ret[page->n++] = item;
    return true;
}

static size_t list_set(const struct grant_set *set, uint64_t after, const struct grant_record **ret,
                       size_t max)
{
    size_t n = 0;

    for (size_t i = 0; set != NULL && i < set->n && n < max; i++) {
        if (set->grants[i]->serial > after)
            ret[n++] = set->grants[i];
    }
    return n;
}

size_t grants_list(const struct grant_book *b, const struct key_name *key, struct bytes grantee,
                   uint64_t after, const struct grant_record **ret, size_t max)
{
    const struct key_grants *on = grants_on(b, key);
    struct page              page = { .ret = ret, .max = max };

    if (on == NULL)
        return 0;
    if (grantee.len > 0)
        return list_set(grants_to(b, on, grantee), after, ret, max);
    series_each(on->all, after, take_grant, &page);
    return page.n;
}

size_t grants_list_retirable(const struct grant_book *b, struct bytes region, struct bytes retiring,
                             uint64_t after, const struct grant_record **ret, size_t max)
{
    const struct retiring_entry *e = find_retiring(b, region, retiring);
    struct page                  page = { .ret = ret, .max = max };

    if (e != NULL)
        series_each(e->all, after, take_grant, &page);
    return page.n;
}

size_t grants_count_on(const struct grant_book *b, const struct key_name *key)
{
    const struct key_grants *on = grants_on(b, key);

    return on == NULL ? 0 : series_count(on->all);
}

size_t grants_count(const struct grant_book *b)
{
    return index_count(b->ids);
}

/* --- the retired ------------------------------------------------------------------------------ */

void grants_reclaim(struct grant_book *b)
{
    for (size_t i = 0; i < b->n_retired; i++)
        b->retired[i].release((void *)(uintptr_t)b->retired[i].memory);
    free(b->retired);
    b->retired = NULL;
    b->n_retired = b->retired_cap = b->retired_bytes = 0;
    series_trash_empty(&b->trash);
}

/* What it waits for was unlinked before. */
static void retire(struct grant_book *b, const void *memory, size_t size,
                   void (*release)(void *memory))
{
    if (b->n_retired == b->retired_cap) {
        b->retired_cap = b->retired_cap == 0 ? 64 : b->retired_cap * 2;
        b->retired = must(realloc(b->retired, b->retired_cap * sizeof b->retired[0]));
    }
    b->retired[b->n_retired++] = (struct retired){ memory, release };
    b->retired_bytes += size;
    if (b->retired_bytes > RETIRED_MAX) {
        epoch_barrier(b->epoch);
        grants_reclaim(b);
    }
}

static void release_series(void *memory)
{
    series_free(memory);
}

static void release_grant(void *memory)
{
    grant_record_free(memory);
}

static size_t set_size(size_t n)
{
    return sizeof(struct grant_set) + n * sizeof(const struct grant_record *);
}

static void retire_set(struct grant_book *b, const struct grant_set *set)
{
    if (set != NULL)
        retire(b, set, set_size(set->n), free);
}

/* --- putting ---------------------------------------------------------------------------------- */

/* A zeroed entry of `size` bytes that begins with its node, and the node's key behind it. */
static void *entry_new(size_t size, struct bytes key)
{
    uint8_t           *memory = must(calloc(1, size + key.len));
    struct index_node *node = (void *)memory;

    assert(key.len > 0);
    memcpy(memory + size, key.ptr, key.len);
    node->key = bytes_of(memory + size, key.len);
    return memory;
}

static struct key_grants *key_for(struct grant_book *b, const struct key_name *key)
{
    struct key_grants *on = find_key(b, key);
    struct lookup      l;

    if (on != NULL)
        return on;
    lookup_key(&l, key);
    on = entry_new(sizeof *on, lookup_bytes(&l));
    on->number = ++b->last_number;
    on->all = series_new();
    index_insert(b->keys, &on->node, b->epoch);
    return on;
}

static struct set_entry *set_for(struct grant_book *b, struct key_grants *on, struct bytes grantee)
{
    struct set_entry *e = find_set(b, on, grantee);
    struct lookup     l;

    if (e != NULL)
        return e;
    lookup_set(&l, on->number, grantee);
    e = entry_new(sizeof *e, lookup_bytes(&l));
    e->next = on->sets;
    if (e->next != NULL)
        e->next->prev = e;
    on->sets = e;
    index_insert(b->sets, &e->node, b->epoch);
    return e;
}

static struct retiring_entry *retiring_for(struct grant_book *b, const struct grant_record *g)
{
    struct retiring_entry *e = find_retiring(b, g->key.region, g->retiring);
    struct lookup          l;

    if (e != NULL)
        return e;
    lookup_retiring(&l, g->key.region, g->retiring);
    e = entry_new(sizeof *e, lookup_bytes(&l));
    e->all = series_new();
    index_insert(b->retirings, &e->node, b->epoch);
    return e;
}

static bool in_retirable_lists(const struct grant_record *g)
{
    return g->retiring.len > 0 && !g->retiring_is_service;
}

/* Everywhere but in its set, whose entry is returned. */
static struct set_entry *link_grant(struct grant_book *b, struct grant_record *g)
{
    struct key_grants  *on = key_for(b, &g->key);
    struct set_entry   *set = set_for(b, on, g->grantee);
    struct grant_entry *e = must(calloc(1, sizeof *e));

    e->record = g;
    e->node.key = g->id;
    index_insert(b->ids, &e->node, b->epoch);
    series_add(on->all, g->serial, g, &b->trash);
    if (in_retirable_lists(g))
        series_add(retiring_for(b, g)->all, g->serial, g, &b->trash);
    set->n_coming++;
    return set;
}

/* The grants that are there, and room for those that are coming. */
static struct grant_set *set_with_room(const struct set_entry *e)
{
    const struct grant_set *old = atomic_load_explicit(&e->set, memory_order_relaxed);
    size_t                  n = old == NULL ? 0 : old->n;
    struct grant_set       *fresh = must(malloc(set_size(n + e->n_coming)));

    fresh->n = n;
    if (n > 0)
        memcpy(fresh->grants, old->grants, n * sizeof old->grants[0]);
    return fresh;
}

void grants_put(struct grant_book *b, struct grant_record **list, size_t n)
{
    if (n == 0)
        return;
    CLEANUP(freep) struct set_entry **sets = must(malloc(n * sizeof(struct set_entry *)));

    for (size_t i = 0; i < n; i++)
        sets[i] = link_grant(b, list[i]);
    for (size_t i = 0; i < n; i++) {
        if (sets[i]->coming == NULL)
            sets[i]->coming = set_with_room(sets[i]);
        sets[i]->coming->grants[sets[i]->coming->n++] = list[i];
    }
    for (size_t i = 0; i < n; i++) {
        struct set_entry *e = sets[i];
        if (e->coming == NULL) /* published for an earlier grant of the list */
            continue;
        const struct grant_set *old = atomic_exchange(&e->set, TAKE(e->coming));
        e->n_coming = 0;
        retire_set(b, old);
    }
}

/* --- removing --------------------------------------------------------------------------------- */

static void remove_set(struct grant_book *b, struct key_grants *on, struct set_entry *e)
{
    if (e->prev != NULL)
        e->prev->next = e->next;
    else
        on->sets = e->next;
    if (e->next != NULL)
        e->next->prev = e->prev;
    index_remove(b->sets, &e->node);
    retire_set(b, atomic_load_explicit(&e->set, memory_order_relaxed));
    retire(b, e, sizeof *e, free);
}

static void remove_from_set(struct grant_book *b, struct key_grants *on,
                            const struct grant_record *g)
{
    struct set_entry       *e = find_set(b, on, g->grantee);
    const struct grant_set *old = atomic_load_explicit(&e->set, memory_order_relaxed);

    if (old->n == 1) {
        remove_set(b, on, e);
        return;
    }
    struct grant_set *fresh = must(malloc(set_size(old->n - 1)));

    fresh->n = 0;
    for (size_t i = 0; i < old->n; i++) {
        if (old->grants[i] != g)
            fresh->grants[fresh->n++] = old->grants[i];
    }
    atomic_store_explicit(&e->set, fresh, memory_order_release);
    retire_set(b, old);
}

static void remove_from_retiring(struct grant_book *b, const struct grant_record *g)
{
    struct retiring_entry *e = find_retiring(b, g->key.region, g->retiring);

    series_remove(e->all, g->serial, &b->trash);
    if (series_count(e->all) > 0)
        return;
    index_remove(b->retirings, &e->node);
    retire(b, e->all, 0, release_series);
    retire(b, e, sizeof *e, free);
}

/* What leads to it by its id or its retiring principal, and then the record itself. */
static void remove_record(struct grant_book *b, struct grant_entry *e)
{
    const struct grant_record *g = e->record;

    index_remove(b->ids, &e->node);
    if (in_retirable_lists(g))
        remove_from_retiring(b, g);
    size_t size = arena_size(g->arena);
    retire(b, e, sizeof *e, free);
    retire(b, g, size, release_grant);
}

static bool remove_listed(void *item, void *ctx)
{
    const struct grant_record *g = item;
    struct grant_book         *b = ctx;

    remove_record(b, (void *)index_find(b->ids, g->id));
    return true;
}

/* With all that it still has. */
static void remove_key(struct grant_book *b, struct key_grants *on)
{
    index_remove(b->keys, &on->node); /* first: nobody finds a part of it */
    while (on->sets != NULL)
        remove_set(b, on, on->sets);
    series_each(on->all, 0, remove_listed, b);
    retire(b, on->all, 0, release_series);
    retire(b, on, sizeof *on, free);
}

void grants_remove(struct grant_book *b, struct bytes id)
{
    struct grant_entry *e = (void *)index_find(b->ids, id);

    if (e == NULL)
        return;
    const struct grant_record *g = e->record;
    struct key_grants         *on = find_key(b, &g->key);

    remove_from_set(b, on, g);
    series_remove(on->all, g->serial, &b->trash);
    if (series_count(on->all) == 0)
        remove_key(b, on);
    remove_record(b, e);
}

void grants_remove_key(struct grant_book *b, const struct key_name *key)
{
    struct key_grants *on = find_key(b, key);

    if (on != NULL)
        remove_key(b, on);
}

/* --- everything ------------------------------------------------------------------------------- */

static void clear_key(struct index_node *node, void *ctx)
{
    remove_key(ctx, (void *)node);
}

struct grant_book *grant_book_new(struct epoch *epoch, uint64_t seed)
{
    struct grant_book *b = calloc(1, sizeof *b);

    if (b == NULL)
        return NULL;
    struct index **tables[] = { &b->keys, &b->sets, &b->retirings, &b->ids };

    b->epoch = epoch;
    b->trash.epoch = epoch;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        *tables[i] = index_new(seed + i);
        if (*tables[i] == NULL) {
            grant_book_free(b);
            return NULL;
        }
    }
    return b;
}

void grant_book_free(struct grant_book *b)
{
    if (b == NULL)
        return;
    if (b->ids != NULL) { /* the last one made */
        index_each(b->keys, clear_key, b);
        grants_reclaim(b);
    }
    index_free(b->keys);
    index_free(b->sets);
    index_free(b->retirings);
    index_free(b->ids);
    free(b);
}
