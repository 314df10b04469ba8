/* key/directory.c - see directory.h.
 *
 * Hash tables find entries by name; an entry points to the present record. Replacing a record swaps
 * that pointer, so readers see the old one or the new one and nothing in between. What readers may
 * still see goes to the list of the retired and is freed by directory_reclaim.
 *
 * A realm is one account in one Region. It has its keys and its aliases in order of their serials
 * (series.h), and so does each key its aliases, from the first one on. Realms stay for good: there
 * are few, and none comes without a key or an alias.
 */
#include "key/directory.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "key/directory_internal.h"
#include "key/grants.h"
#include "key/lookup.h"

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

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

/* --- finding ---------------------------------------------------------------------------------- */

static struct realm *find_realm(const struct directory *d, struct bytes account,
                                struct bytes region)
{
    struct lookup l;

    lookup_set(&l, account, region, (struct bytes){ NULL, 0 });
    return (void *)index_find(d->realms, lookup_bytes(&l));
}

struct key_entry *directory_entry(const struct directory *d, struct bytes account,
                                  struct bytes region, struct bytes key_id)
{
    UNINITIALIZED struct lookup l;

    if (key_id.len == 0)
        return NULL;
    lookup_set(&l, account, region, key_id);
    return (void *)index_find(d->keys, lookup_bytes(&l));
}

static struct alias_entry *find_alias(const struct directory *d, struct bytes account,
                                      struct bytes region, struct bytes alias)
{
    UNINITIALIZED struct lookup l;

    if (alias.len == 0)
        return NULL;
    lookup_set(&l, account, region, alias);
    return (void *)index_find(d->aliases, lookup_bytes(&l));
}

static const struct key_record *key_of(const struct key_entry *e)
{
    return atomic_load_explicit(&e->record, memory_order_acquire);
}

/* What a reader finds of it, who thereby keeps it in memory. */
static const struct key_record *look_at(struct key_entry *e)
{
    if (atomic_load_explicit(&e->chances, memory_order_relaxed) == 0)
        atomic_store_explicit(&e->chances, CHANCES_SEEN, memory_order_relaxed);
    return key_of(e);
}

static const struct alias_record *alias_of(const struct alias_entry *e)
{
    return atomic_load_explicit(&e->record, memory_order_acquire);
}

static struct series *aliases_of(const struct key_entry *e)
{
    return atomic_load_explicit(&e->aliases, memory_order_acquire);
}

/* Could it be one of several keys that are changing as one? Who finds none that has gone already may go
 * on: it would have to wait for any relative that it finds then. */
static bool concerned(const struct key_record *key)
{
    return key != NULL && key->multi_region != REGION_SINGLE;
}

const struct key_record *directory_key(const struct directory *d, struct bytes account,
                                       struct bytes region, struct bytes key_id)
{
    const struct key_record *key;

    do {
        struct key_entry *e = directory_entry(d, account, region, key_id);
        key = e == NULL ? NULL : look_at(e);
    } while (concerned(key) && gate_was_shut(&d->gate));
    return key;
}

struct usage_slot *directory_usage_slot(const struct directory *d, const struct key_name *name)
{
    const struct key_entry *e = directory_entry(d, name->account, name->region, name->id);

    return e == NULL ? NULL : atomic_load_explicit(&e->usage, memory_order_acquire);
}

struct grant_book *directory_grants(const struct directory *d)
{
    return d->grants;
}

struct usage_queue *directory_used(struct directory *d)
{
    return &d->used;
}

const struct alias_record *directory_alias(const struct directory *d, struct bytes account,
                                           struct bytes region, struct bytes alias)
{
    const struct alias_entry *e = find_alias(d, account, region, alias);

    return e == NULL ? NULL : alias_of(e);
}

const struct key_record *directory_key_by_material(const struct directory *d, struct bytes region,
                                                   const struct material_id *id)
{
    const struct key_record    *key;
    UNINITIALIZED struct lookup l;

    lookup_set_material(&l, id, region);
    do {
        const struct material_entry *e = (void *)index_find(d->materials, lookup_bytes(&l));
        key = e == NULL ? NULL : look_at(e->key);
    } while (concerned(key) && gate_was_shut(&d->gate));
    return key;
}

const struct import_key_record *directory_import_key(const struct directory *d,
                                                     const uint8_t           id[16])
{
    const struct import_key_entry *e = (void *)index_find(d->import_keys, bytes_of(id, 16));

    return e == NULL ? NULL : atomic_load_explicit(&e->record, memory_order_acquire);
}

/* --- listing ---------------------------------------------------------------------------------- */

struct key_chunk {
    const struct key_record **ret;
    size_t                    n;
    size_t                    max;
};

static bool take_key(void *item, void *ctx)
{
    struct key_chunk        *page = ctx;
    const struct key_record *key = key_of(item);

    if (page->n == page->max)
        return false;
    if (key != NULL)
        page->ret[page->n++] = key;
    return true;
}

size_t directory_list_keys(const struct directory *d, struct bytes account, struct bytes region,
                           uint64_t after, const struct key_record **ret, size_t max)
{
    const struct realm *realm = find_realm(d, account, region);
    struct key_chunk    page = { .ret = ret, .max = max };

    if (realm == NULL)
        return 0;
    do {
        page.n = 0;
        series_each(realm->keys, after, take_key, &page);
    } while (gate_was_shut(&d->gate));
    return page.n;
}

struct alias_page {
    const struct alias_record **ret;
    size_t                      n;
    size_t                      max;
    struct bytes                key_id; /* empty: of any key */
};

static bool take_alias(void *item, void *ctx)
{
    struct alias_page         *page = ctx;
    const struct alias_record *alias = alias_of(item);

    if (page->n == page->max)
        return false;
    /* while an alias moves it is in the lists of both keys: what counts is what it says */
    if (page->key_id.len == 0 || bytes_eq_str(page->key_id, alias->key_id))
        page->ret[page->n++] = alias;
    return true;
}

/* The aliases of a key, or all of the account and Region; NULL if there cannot be any. */
static const struct series *find_aliases(const struct directory *d, struct bytes account,
                                         struct bytes region, struct bytes key_id)
{
    if (key_id.len == 0) {
        const struct realm *realm = find_realm(d, account, region);
        return realm == NULL ? NULL : realm->aliases;
    }
    const struct key_entry *key = directory_entry(d, account, region, key_id);
    return key == NULL ? NULL : aliases_of(key);
}

size_t directory_list_aliases(const struct directory *d, struct bytes account, struct bytes region,
                              struct bytes key_id, uint64_t after, const struct alias_record **ret,
                              size_t max)
{
    const struct series *aliases = find_aliases(d, account, region, key_id);
    struct alias_page    page = { .ret = ret, .max = max, .key_id = key_id };

    if (aliases != NULL)
        series_each(aliases, after, take_alias, &page);
    return page.n;
}

size_t directory_alias_count(const struct directory *d, struct bytes account, struct bytes region,
                             struct bytes key_id)
{
    const struct series *aliases = find_aliases(d, account, region, key_id);

    return aliases == NULL ? 0 : series_count(aliases);
}

size_t directory_import_key_count(const struct directory *d, const struct key_name *key)
{
    const struct key_entry *e = directory_entry(d, key->account, key->region, key->id);

    return e == NULL ? 0 : atomic_load_explicit(&e->n_import_keys, memory_order_relaxed);
}

struct directory_counts directory_counts(const struct directory *d)
{
    return (struct directory_counts){
        .keys = atomic_load_explicit(&d->n_records, memory_order_relaxed) +
                atomic_load_explicit(&d->n_cold, memory_order_relaxed),
        .cold = atomic_load_explicit(&d->n_cold, memory_order_relaxed),
        .aliases = index_count(d->aliases),
        .import_keys = index_count(d->import_keys),
    };
}

/* --- the retired ------------------------------------------------------------------------------ */

static void release_key(void *memory)
{
    struct key_record *key = memory;

    rights_give_back(key->rights);
    key_record_free(key);
}

static void release_import_key(void *memory)
{
    import_key_record_free(memory);
}

static void release_series(void *memory)
{
    series_free(memory);
}

void directory_reclaim(struct directory *d)
{
    retired_release(&d->retired);
    series_trash_empty(&d->trash);
    grants_reclaim(d->grants);
}

/* --- keys and their materials ----------------------------------------------------------------- */

static struct realm *realm_for(struct directory *d, struct bytes account, struct bytes region)
{
    struct realm *realm = find_realm(d, account, region);
    struct lookup l;

    if (realm != NULL)
        return realm;
    lookup_set(&l, account, region, (struct bytes){ NULL, 0 });
    realm = entry_new(sizeof *realm, lookup_bytes(&l));
    realm->keys = series_new();
    realm->aliases = series_new();
    index_insert(d->realms, &realm->node, d->epoch);
    return realm;
}

static void list_material(struct directory *d, struct key_entry *key, const struct material_id *id,
                          struct bytes region)
{
    struct lookup l;

    lookup_set_material(&l, id, region);
    struct material_entry *m = (void *)index_find(d->materials, lookup_bytes(&l));
    if (m != NULL) { /* if it were another key's, which cannot be, that one would keep it */
        m->listed = true;
        return;
    }
    m = entry_new(sizeof *m, lookup_bytes(&l));
    m->key = key;
    m->listed = true;
    m->next = key->materials;
    key->materials = m;
    index_insert(d->materials, &m->node, d->epoch);
}

/* Makes the index name exactly the materials of `record` (none if NULL) for this key. */
static void list_materials(struct directory *d, struct key_entry *key,
                           const struct key_record *record)
{
    for (struct material_entry *m = key->materials; m != NULL; m = m->next)
        m->listed = false;
    for (size_t i = 0; record != NULL && i < record->n_materials; i++)
        list_material(d, key, &record->materials[i].id, record->name.region);

    struct material_entry **link = &key->materials;
    while (*link != NULL) {
        struct material_entry *m = *link;
        if (m->listed) {
            link = &m->next;
            continue;
        }
        *link = m->next;
        index_remove(d->materials, &m->node);
        retire(&d->retired, m, free);
    }
}

static void give_rights(struct directory *d, struct key_record *key)
{
    if (d->rights != NULL && key->rights == NULL)
        key->rights = rights_take(d->rights, key->policy, key->principals);
}

void directory_put_key(struct directory *d, struct key_record *key)
{
    struct key_entry *e = directory_entry(d, key->name.account, key->name.region, key->name.id);

    if (e == NULL || key_of(e) == NULL) {
        directory_insert(d, key, must(usage_slot_new(key->serial)));
        return;
    }
    give_rights(d, key);
    const struct key_record *old = atomic_exchange(&e->record, key);
    assert(old->serial == key->serial);
    list_materials(d, e, key);
    retire(&d->retired, old, release_key);
}

struct key_entry *directory_entry_for(struct directory *d, struct bytes account,
                                      struct bytes region, struct bytes key_id)
{
    struct key_entry *e = directory_entry(d, account, region, key_id);
    struct lookup     l;

    if (e != NULL)
        return e;
    lookup_set(&l, account, region, key_id);
    e = entry_new(sizeof *e, lookup_bytes(&l));
    e->realm = realm_for(d, account, region);
    index_insert(d->keys, &e->node, d->epoch);
    return e;
}

void directory_insert(struct directory *d, struct key_record *key, struct usage_slot *usage)
{
    struct key_entry *e = directory_entry_for(d, key->name.account, key->name.region, key->name.id);

    give_rights(d, key);
    atomic_store_explicit(&e->chances, CHANCES_NEW, memory_order_relaxed);
    atomic_store_explicit(&e->usage, usage, memory_order_release);
    atomic_store_explicit(&e->record, key, memory_order_release);
    atomic_fetch_add_explicit(&d->n_records, 1, memory_order_relaxed);
    ring_add(d, e);
    if (!atomic_load_explicit(&d->unlisted, memory_order_relaxed))
        series_add(e->realm->keys, key->serial, e, &d->trash);
    list_materials(d, e, key);
}

static void remove_alias(struct directory *d, struct alias_entry *e);

static bool take_first(void *item, void *ctx)
{
    struct alias_entry **first = ctx;

    *first = item;
    return false;
}

static void remove_aliases_of(struct directory *d, struct key_entry *e)
{
    struct series *aliases = aliases_of(e);

    while (aliases != NULL && series_count(aliases) > 0) {
        struct alias_entry *first = NULL;
        series_each(aliases, 0, take_first, &first);
        remove_alias(d, first);
    }
}

/* Takes away what refers to it. */
static void strip_key(struct directory *d, struct key_entry *e)
{
    remove_aliases_of(d, e);
    grants_remove_key(d->grants, &key_of(e)->name);
}

/* Whatever the entry says that is the record's; it has one. */
static const struct key_record *take_record(struct directory *d, struct key_entry *e)
{
    const struct key_record *record = key_of(e);

    ring_remove(d, e);
    if (series_has(e->realm->keys, record->serial))
        series_remove(e->realm->keys, record->serial, &d->trash);
    list_materials(d, e, NULL);
    atomic_fetch_sub_explicit(&d->n_records, 1, memory_order_relaxed);
    return record;
}

static void drop_entry(struct directory *d, struct key_entry *e)
{
    index_remove(d->keys, &e->node);
    retire(&d->retired, aliases_of(e), release_series);
    retire(&d->retired, e, free);
}

static void remove_key(struct directory *d, struct key_entry *e)
{
    if (key_of(e) == NULL) {                    /* only when everything goes */
        atomic_fetch_add(&e->n_import_keys, 1); /* else it would go with its last alias */
        remove_aliases_of(d, e);
        drop_entry(d, e);
        return;
    }
    strip_key(d, e);
    retire(&d->retired, take_record(d, e), release_key);
    retire(&d->retired, atomic_load(&e->usage), usage_slot_release);
    drop_entry(d, e);
}

static bool is_referred_to(const struct key_entry *e)
{
    const struct series *aliases = aliases_of(e);

    return atomic_load(&e->n_import_keys) > 0 || (aliases != NULL && series_count(aliases) > 0);
}

struct usage_slot *directory_evict_entry(struct directory *d, struct key_entry *e)
{
    struct usage_slot       *usage = atomic_load(&e->usage);
    const struct key_record *key = take_record(d, e);
    bool                     ends = key->state == KEY_PENDING_DELETION;
    bool                     has_grants = ends && grants_on(d->grants, &key->name) != NULL;

    retire(&d->retired, key, release_key);
    if (has_grants || is_referred_to(e)) {
        atomic_store(&e->ends, ends ? key->deletion_date : 0);
        atomic_store_explicit(&e->record, NULL, memory_order_release);
        atomic_store_explicit(&e->usage, NULL, memory_order_release);
    } else {
        drop_entry(d, e);
    }
    return usage;
}

void directory_remove_key(struct directory *d, struct bytes account, struct bytes region,
                          struct bytes key_id)
{
    struct key_entry *e = directory_entry(d, account, region, key_id);

    if (e != NULL)
        remove_key(d, e);
}

/* --- several keys as one ---------------------------------------------------------------------- */

void directory_grow(struct directory *d)
{
    struct index *tables[] = { d->realms, d->keys, d->materials };

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        index_grow(tables[i], d->epoch);
}

void directory_publish(struct directory *d, struct key_record *const *put, size_t n_put,
                       const struct key_name *removed, size_t n_removed)
{
    for (size_t i = 0; i < n_put; i++)
        give_rights(d, put[i]);
    for (size_t i = 0; i < n_removed; i++) {
        struct key_entry *e = directory_entry(d, removed[i].account, removed[i].region,
                                              removed[i].id);
        if (e != NULL)
            strip_key(d, e);
    }
    struct epoch *epoch = directory_shut(d);
    for (size_t i = 0; i < n_put; i++)
        directory_put_key(d, put[i]);
    for (size_t i = 0; i < n_removed; i++)
        directory_remove_key(d, removed[i].account, removed[i].region, removed[i].id);
    directory_open(d, epoch);
    directory_grow(d);
}

/* Nothing refers to it any more (I1). One that may have grants goes with its key. */
static void drop_if_idle(struct directory *d, struct key_entry *e)
{
    if (key_of(e) == NULL && atomic_load(&e->ends) == 0 && !is_referred_to(e))
        drop_entry(d, e);
}

/* --- aliases ---------------------------------------------------------------------------------- */

/* The entry of its key, which may be one without a record. */
static struct key_entry *target_of(const struct directory *d, const struct alias_record *alias)
{
    return directory_entry(d, alias->name.account, alias->name.region, bytes_str(alias->key_id));
}

static void attach(struct directory *d, struct alias_entry *e, const struct alias_record *alias)
{
    struct key_entry *key = target_of(d, alias);

    if (key == NULL && directory_lists_all(d))
        return;
    if (key == NULL)
        key = directory_entry_for(d, alias->name.account, alias->name.region,
                                  bytes_str(alias->key_id));
    if (aliases_of(key) == NULL)
        atomic_store_explicit(&key->aliases, series_new(), memory_order_release);
    series_add(aliases_of(key), alias->serial, e, &d->trash);
}

static void detach(struct directory *d, const struct alias_record *alias)
{
    struct key_entry *key = target_of(d, alias);
    struct series    *aliases = key == NULL ? NULL : aliases_of(key);

    if (aliases != NULL && series_has(aliases, alias->serial))
        series_remove(aliases, alias->serial, &d->trash);
    if (key != NULL)
        drop_if_idle(d, key);
}

static void remove_alias(struct directory *d, struct alias_entry *e)
{
    const struct alias_record *record = alias_of(e);

    index_remove(d->aliases, &e->node);
    series_remove(e->realm->aliases, record->serial, &d->trash);
    detach(d, record);
    retire(&d->retired, record, free);
    retire(&d->retired, e, free);
}

static void replace_alias(struct directory *d, struct alias_entry *e, struct alias_record *alias)
{
    const struct alias_record *old = alias_of(e);
    bool                       moves = !bytes_eq_str(bytes_str(old->key_id), alias->key_id);

    if (moves)
        attach(d, e, alias);
    atomic_store_explicit(&e->record, alias, memory_order_release);
    if (moves)
        detach(d, old);
    retire(&d->retired, old, free);
}

void directory_put_alias(struct directory *d, struct alias_record *alias)
{
    const struct alias_name *name = &alias->name;
    struct alias_entry      *e = find_alias(d, name->account, name->region, name->name);
    struct lookup            l;

    if (e != NULL && alias_of(e)->serial == alias->serial) {
        replace_alias(d, e, alias);
        return;
    }
    if (e != NULL) /* deleted and created again in one change */
        remove_alias(d, e);
    lookup_set(&l, name->account, name->region, name->name);
    e = entry_new(sizeof *e, lookup_bytes(&l));
    e->realm = realm_for(d, name->account, name->region);
    atomic_init(&e->record, alias);
    index_insert(d->aliases, &e->node, d->epoch);
    series_add(e->realm->aliases, alias->serial, e, &d->trash);
    attach(d, e, alias);
}

void directory_remove_alias(struct directory *d, struct bytes account, struct bytes region,
                            struct bytes alias)
{
    struct alias_entry *e = find_alias(d, account, region, alias);

    if (e != NULL)
        remove_alias(d, e);
}

/* --- import keys ------------------------------------------------------------------------------ */

static struct key_entry *key_of_import_key(const struct directory         *d,
                                           const struct import_key_record *k)
{
    return directory_entry(d, k->key.account, k->key.region, k->key.id);
}

void directory_put_import_key(struct directory *d, struct import_key_record *key)
{
    struct key_entry        *of = key_of_import_key(d, key);
    struct bytes             id = bytes_of(key->id, sizeof key->id);
    struct import_key_entry *e = (void *)index_find(d->import_keys, id);

    if (e != NULL) {
        retire(&d->retired, atomic_exchange(&e->record, key), release_import_key);
        return;
    }
    e = entry_new(sizeof *e, id);
    atomic_init(&e->record, key);
    index_insert(d->import_keys, &e->node, d->epoch);
    if (of == NULL && !directory_lists_all(d))
        of = directory_entry_for(d, key->key.account, key->key.region, key->key.id);
    if (of != NULL)
        atomic_fetch_add_explicit(&of->n_import_keys, 1, memory_order_relaxed);
}

void directory_remove_import_key(struct directory *d, const uint8_t id[16])
{
    struct import_key_entry *e = (void *)index_find(d->import_keys, bytes_of(id, 16));

    if (e == NULL)
        return;
    struct key_entry *of = key_of_import_key(d, atomic_load(&e->record));
    if (of != NULL) {
        atomic_fetch_sub_explicit(&of->n_import_keys, 1, memory_order_relaxed);
        drop_if_idle(d, of);
    }
    index_remove(d->import_keys, &e->node);
    retire(&d->retired, atomic_load(&e->record), release_import_key);
    retire(&d->retired, e, free);
}

/* --- everything ------------------------------------------------------------------------------- */

struct key_visit {
    void (*visit)(const struct key_record *key, void *ctx);
    void *ctx;
};

static void visit_key(struct index_node *node, void *ctx)
{
    const struct key_visit  *v = ctx;
    const struct key_record *key = key_of((void *)node);

    if (key != NULL)
        v->visit(key, v->ctx);
}

void directory_each_key(struct directory *d, void (*visit)(const struct key_record *, void *),
                        void             *ctx)
{
    struct key_visit v = { visit, ctx };

    index_each(d->keys, visit_key, &v);
}

struct import_key_visit {
    void (*visit)(const struct import_key_record *key, void *ctx);
    void *ctx;
};

static void visit_import_key(struct index_node *node, void *ctx)
{
    const struct import_key_visit *v = ctx;
    const struct import_key_entry *e = (void *)node;

    v->visit(atomic_load_explicit(&e->record, memory_order_relaxed), v->ctx);
}

void directory_each_import_key(struct directory *d,
                               void (*visit)(const struct import_key_record *, void *), void *ctx)
{
    struct import_key_visit v = { visit, ctx };

    index_each(d->import_keys, visit_import_key, &v);
}

static void clear_key(struct index_node *node, void *ctx)
{
    remove_key(ctx, (void *)node);
}

static void clear_alias(struct index_node *node, void *ctx)
{
    remove_alias(ctx, (void *)node);
}

static void clear_import_key(struct index_node *node, void *ctx)
{
    const struct import_key_entry *e = (void *)node;

    directory_remove_import_key(ctx, atomic_load(&e->record)->id);
}

void directory_clear(struct directory *d)
{
    index_each(d->keys, clear_key, d);
    index_each(d->aliases, clear_alias, d); /* those without a key */
    index_each(d->import_keys, clear_import_key, d);
    atomic_store(&d->n_cold, 0);
    atomic_store(&d->unlisted, false);
}

static void free_realm(struct index_node *node, void *ctx)
{
    struct directory *d = ctx;
    struct realm     *realm = (void *)node;

    index_remove(d->realms, node);
    series_free(realm->keys);
    series_free(realm->aliases);
    free(realm);
}

bool directory_use_rights(struct directory *d, uint64_t seed, struct rights_compiler with)
{
    assert(d->rights == NULL && index_count(d->keys) == 0);
    d->rights = rights_book_new(d->epoch, seed, with);
    return d->rights != NULL;
}

struct directory *directory_new(struct epoch *epoch, uint64_t seed)
{
    struct directory *d = calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    struct index **tables[] = { &d->realms, &d->keys, &d->materials, &d->aliases, &d->import_keys };

    d->epoch = epoch;
    d->trash.epoch = epoch;
    usage_queue_init(&d->used);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        *tables[i] = index_new(seed + i);
        if (*tables[i] == NULL) {
            directory_free(d);
            return NULL;
        }
    }
    d->grants = grant_book_new(epoch, seed + sizeof tables / sizeof tables[0]);
    if (d->grants == NULL) {
        directory_free(d);
        return NULL;
    }
    return d;
}

void directory_free(struct directory *d)
{
    if (d == NULL)
        return;
    if (d->grants != NULL) { /* the last one made */
        directory_clear(d);
        directory_reclaim(d);
        index_each(d->realms, free_realm, d);
    }
    index_free(d->realms);
    index_free(d->keys);
    index_free(d->materials);
    index_free(d->aliases);
    index_free(d->import_keys);
    usage_queue_release(&d->used);
    grant_book_free(d->grants);
    rights_book_free(d->rights);
    free(d);
}
