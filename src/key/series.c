/* key/series.c - see series.h.
 *
 * A list of chunks of slots. Both only ever grow at their end; every other change builds new ones
 * beside the old, publishes the new list, and throws away the old when no reader can see it any
 * more.
 *
 * Invariants:
 *   I1  Serials ascend strictly through all chunks, holes included; no linked chunk is empty.
 *   I2  What a reader can reach by `n` and `used` never changes, except that a slot's item comes
 *       and goes.
 */
#include "key/series.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CHUNK_FIRST = 4, /* slots: most keys have an alias or two */
    CHUNK_MAX = 256, /* 4 KiB: what putting one out of order copies */
    LIST_FIRST = 4,
    HOLES_MIN = 64,          /* fewer holes are not worth a rebuild */
    TRASH_MAX = 1024 * 1024, /* bytes that may wait for the owner's next barrier */
};

struct slot {
    uint64_t serial;
    void *_Atomic item; /* NULL: a hole */
};

struct chunk {
    uint32_t         cap;
    _Atomic uint32_t used;
    struct slot      slot[];
};

struct list {
    size_t         cap;
    _Atomic size_t n;
    struct chunk  *chunk[];
};

struct series {
    struct list *_Atomic list;
    _Atomic size_t live;
    size_t         holes; /* the writer's */
};

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static struct chunk *chunk_new(size_t cap)
{
    struct chunk *c = must(malloc(sizeof *c + cap * sizeof c->slot[0]));

    c->cap = (uint32_t)cap;
    atomic_init(&c->used, 0);
    return c;
}

static struct list *list_new(size_t cap)
{
    struct list *l = must(malloc(sizeof *l + cap * sizeof(struct chunk *)));

    l->cap = cap;
    atomic_init(&l->n, 0);
    return l;
}

struct series *series_new(void)
{
    struct series *s = must(calloc(1, sizeof *s));

    atomic_init(&s->list, list_new(LIST_FIRST));
    return s;
}

static size_t list_n(const struct list *l)
{
    return atomic_load_explicit(&l->n, memory_order_acquire);
}

static size_t chunk_used(const struct chunk *c)
{
    return atomic_load_explicit(&c->used, memory_order_acquire);
}

static struct list *list_of(const struct series *s)
{
    return atomic_load_explicit(&s->list, memory_order_acquire);
}

void series_free(struct series *s)
{
    if (s == NULL)
        return;
    struct list *l = list_of(s);

    for (size_t i = 0; i < list_n(l); i++)
        free(l->chunk[i]);
    free(l);
    free(s);
}

/* --- what waits for the readers --------------------------------------------------------------- */

void series_trash_empty(struct series_trash *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->blocks[i]);
    free(t->blocks);
    t->blocks = NULL;
    t->n = t->cap = t->bytes = 0;
}

static void throw_away(struct series_trash *t, void *block, size_t size)
{
    if (t->bytes + size > TRASH_MAX && t->epoch != NULL) {
        epoch_barrier(t->epoch);
        series_trash_empty(t);
        free(block); /* unlinked before the barrier, too */
        return;
    }
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 16 : t->cap * 2;
        t->blocks = must(realloc(t->blocks, t->cap * sizeof t->blocks[0]));
    }
    t->blocks[t->n++] = block;
    t->bytes += size;
}

static void throw_chunk(struct series_trash *t, struct chunk *c)
{
    throw_away(t, c, sizeof *c + c->cap * sizeof c->slot[0]);
}

/* The list alone; last, since it names the chunks that are thrown away with it. */
static void throw_list(struct series_trash *t, struct list *l)
{
    throw_away(t, l, sizeof *l + l->cap * sizeof l->chunk[0]);
}

static void publish(struct series *s, struct list *fresh)
{
    atomic_store_explicit(&s->list, fresh, memory_order_release);
}

size_t series_count(const struct series *s)
{
    return atomic_load_explicit(&s->live, memory_order_relaxed);
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The number of chunks that begin at or below `serial`. */
static size_t chunks_until(const struct list *l, size_t n, uint64_t serial)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (l->chunk[middle]->slot[0].serial <= serial)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/* The number of slots at or below `serial`. */
static size_t slots_until(const struct chunk *c, uint64_t serial)
{
    size_t low = 0;
    size_t high = chunk_used(c);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->slot[middle].serial <= serial)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct slot *slot_of(const struct list *l, uint64_t serial)
{
    size_t chunks = chunks_until(l, list_n(l), serial);

    if (chunks == 0)
        return NULL;
    struct chunk *c = l->chunk[chunks - 1];
    struct slot  *s = &c->slot[slots_until(c, serial) - 1]; /* the chunk begins at or below it */

    return s->serial == serial ? s : NULL;
}

bool series_has(const struct series *s, uint64_t serial)
{
    const struct slot *slot = slot_of(list_of(s), serial);

    return slot != NULL && atomic_load_explicit(&slot->item, memory_order_relaxed) != NULL;
}

void series_each(const struct series *s, uint64_t after, bool (*visit)(void *item, void *ctx),
                 void *ctx)
{
    const struct list *l = list_of(s);
    size_t             n = list_n(l);
    size_t             at = chunks_until(l, n, after);

    for (size_t i = at == 0 ? 0 : at - 1; i < n; i++) {
        const struct chunk *c = l->chunk[i];
        size_t              used = chunk_used(c);
        for (size_t k = slots_until(c, after); k < used; k++) {
            void *item = atomic_load_explicit(&c->slot[k].item, memory_order_acquire);
            if (item != NULL && !visit(item, ctx))
                return;
        }
    }
}

/* --- changing --------------------------------------------------------------------------------- */

static void chunk_append(struct chunk *c, uint64_t serial, void *item)
{
    size_t used = chunk_used(c);

    c->slot[used].serial = serial;
    atomic_init(&c->slot[used].item, item);
    atomic_store_explicit(&c->used, (uint32_t)used + 1, memory_order_release);
}

static void list_append(struct list *l, struct chunk *c)
{
    size_t n = list_n(l);

    l->chunk[n] = c;
    atomic_store_explicit(&l->n, n + 1, memory_order_release);
}

static void append(struct series *s, uint64_t serial, void *item, struct series_trash *trash)
{
    struct list *l = list_of(s);
    size_t       n = list_n(l);
    size_t       cap = n == 0 ? CHUNK_FIRST : l->chunk[n - 1]->cap;

    if (n > 0 && chunk_used(l->chunk[n - 1]) < cap) {
        chunk_append(l->chunk[n - 1], serial, item);
        return;
    }
    struct chunk *c = chunk_new(n == 0 ? cap : cap < CHUNK_MAX / 2 ? cap * 2 : CHUNK_MAX);

    chunk_append(c, serial, item);
    if (n < l->cap) {
        list_append(l, c);
        return;
    }
    struct list *fresh = list_new(l->cap * 2);
    for (size_t i = 0; i < n; i++)
        list_append(fresh, l->chunk[i]);
    list_append(fresh, c);
    publish(s, fresh);
    throw_list(trash, l);
}

/* Copies slots from `first` to before `end`, without the holes. */
static void copy_items(struct chunk *to, const struct chunk *from, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        void *item = atomic_load_explicit(&from->slot[i].item, memory_order_relaxed);
        if (item != NULL)
            chunk_append(to, from->slot[i].serial, item);
    }
}

/* Appends a chunk to a list that nobody reads yet, as two if it is too long. */
static void list_append_split(struct list *l, struct chunk *c)
{
    size_t used = chunk_used(c);

    if (used <= CHUNK_MAX) {
        list_append(l, c);
        return;
    }
    struct chunk *head = chunk_new(CHUNK_MAX);
    struct chunk *tail = chunk_new(CHUNK_MAX);

    copy_items(head, c, 0, used / 2);
    copy_items(tail, c, used / 2, used);
    list_append(l, head);
    list_append(l, tail);
    free(c);
}

/* Somebody committed in another order than that of the serials: builds the chunk that this one
 * belongs into anew, with it and without holes. */
static void insert(struct series *s, uint64_t serial, void *item, struct series_trash *trash)
{
    struct list  *l = list_of(s);
    size_t        n = list_n(l);
    size_t        chunks = chunks_until(l, n, serial);
    size_t        at = chunks == 0 ? 0 : chunks - 1;
    struct chunk *old = l->chunk[at];
    size_t        used = chunk_used(old);
    size_t        before = slots_until(old, serial);
    struct chunk *c = chunk_new(used + 1);
    struct list  *fresh = list_new(n + LIST_FIRST);

    copy_items(c, old, 0, before);
    chunk_append(c, serial, item);
    copy_items(c, old, before, used);
    s->holes -= used + 1 - chunk_used(c);

    for (size_t i = 0; i < at; i++)
        list_append(fresh, l->chunk[i]);
    list_append_split(fresh, c);
    for (size_t i = at + 1; i < n; i++)
        list_append(fresh, l->chunk[i]);
    publish(s, fresh);
    throw_chunk(trash, old);
    throw_list(trash, l);
}

/* Builds the whole series anew without its holes. */
static void rebuild(struct series *s, struct series_trash *trash)
{
    struct list *l = list_of(s);
    size_t       n = list_n(l);
    size_t       left = series_count(s);
    struct list *fresh = list_new(left / CHUNK_MAX + LIST_FIRST);

    struct chunk *c = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t used = chunk_used(l->chunk[i]);
        for (size_t k = 0; k < used; k++) {
            void *item = atomic_load_explicit(&l->chunk[i]->slot[k].item, memory_order_relaxed);
            if (item == NULL)
                continue;
            if (c == NULL || chunk_used(c) == c->cap) {
                c = chunk_new(left < CHUNK_MAX ? left : CHUNK_MAX);
                list_append(fresh, c);
            }
            chunk_append(c, l->chunk[i]->slot[k].serial, item);
            left--;
        }
    }
    s->holes = 0;
    publish(s, fresh);
    for (size_t i = 0; i < n; i++)
        throw_chunk(trash, l->chunk[i]);
    throw_list(trash, l);
}

void series_add(struct series *s, uint64_t serial, void *item, struct series_trash *trash)
{
    struct list *l = list_of(s);
    size_t       n = list_n(l);
    struct slot *known = slot_of(l, serial);

    assert(serial > 0);
    atomic_fetch_add_explicit(&s->live, 1, memory_order_relaxed);
    if (known != NULL) { /* it was here before: an alias that comes back to a key */
        assert(atomic_load_explicit(&known->item, memory_order_relaxed) == NULL);
        atomic_store_explicit(&known->item, item, memory_order_release);
        s->holes--;
        return;
    }
    if (n == 0) {
        append(s, serial, item, trash);
        return;
    }
    const struct chunk *last = l->chunk[n - 1];
    if (serial > last->slot[chunk_used(last) - 1].serial)
        append(s, serial, item, trash);
    else
        insert(s, serial, item, trash);
}

void series_remove(struct series *s, uint64_t serial, struct series_trash *trash)
{
    struct slot *slot = slot_of(list_of(s), serial);

    assert(slot != NULL && atomic_load_explicit(&slot->item, memory_order_relaxed) != NULL);
    atomic_store_explicit(&slot->item, NULL, memory_order_release);
    atomic_fetch_sub_explicit(&s->live, 1, memory_order_relaxed);
    s->holes++;
    if (s->holes > HOLES_MIN && s->holes > series_count(s))
        rebuild(s, trash);
}
