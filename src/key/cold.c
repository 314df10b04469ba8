/* key/cold.c - the directory as a cache: keys that only the store has come and go (decision 0011).
 *
 * The entries that have a record are in a ring. A hand goes round it: a key that was looked up since the hand
 * came by stays for another round, any other goes. Readers give it the chance to stay, and do nothing else.
 */
#include <assert.h>
#include <stdlib.h>

#include "key/directory_internal.h"
#include "key/family.h"
#include "key/grants.h"
#include "key/state.h"

/* Evictions come in strokes, as each waits for a barrier: a part of the limit. */
enum {
    STROKE_PART = 32,
    LOOKS_EACH = 16,  /* at so many keys the hand looks in one stroke, for each that is too much, */
    LOOKS_MAX = 8192, /* and no more: what may not go now goes in one of the next strokes */
    CROWD_MIN = 64,
    LATE_MAX =
        1024, /* uses of cold keys that wait to be stored: no more keys go that would add to them */
};

void directory_keep(struct directory *d, size_t limit, size_t cold)
{
    assert(atomic_load(&d->n_records) == 0 && (limit != 0 || cold == 0));
    d->limit = limit;
    atomic_store(&d->n_cold, cold);
    atomic_store(&d->unlisted, cold > 0);
}

bool directory_lists_all(const struct directory *d)
{
    atomic_thread_fence(memory_order_acquire); /* what was listed was read before */
    return !atomic_load_explicit(&d->unlisted, memory_order_acquire);
}

/* --- readers ---------------------------------------------------------------------------------- */

static bool is_here(const struct directory *d, const struct key_want *want)
{
    struct bytes region = bytes_str(want->region);

    if (want->kind == WANT_MATERIAL)
        return directory_key_by_material(d, region, &want->material) != NULL;
    return directory_key(d, bytes_str(want->account), region, bytes_str(want->key_id)) != NULL;
}

/* I2. A key that is here now was not when it was looked for: that may have changed because it was cold. */
static bool may_be_cold(const struct directory *d, const struct key_want *want)
{
    uint64_t evictions = atomic_load(&d->evictions);
    bool     all = directory_lists_all(d);

    if (!all || is_here(d, want))
        return true;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load(&d->evictions) != evictions;
}

bool directory_unsure(const struct directory *d, struct bytes account, struct bytes region,
                      struct bytes key_id, struct key_want *ret)
{
    struct key_want want;

    if (d->limit == 0 || !key_want_named(&want, account, region, key_id) || !may_be_cold(d, &want))
        return false;
    *ret = want;
    return true;
}

bool directory_unsure_material(const struct directory *d, struct bytes region,
                               const struct material_id *id, struct key_want *ret)
{
    struct key_want want;

    if (d->limit == 0 || !key_want_material(&want, region, id) || !may_be_cold(d, &want))
        return false;
    *ret = want;
    return true;
}

bool directory_lives(const struct directory *d, struct bytes account, struct bytes region,
                     struct bytes key_id, int64_t now)
{
    const struct key_record *key = directory_key(d, account, region, key_id);
    struct key_want          cold;

    if (key != NULL)
        return !key_gone(key, now);
    if (!directory_unsure(d, account, region, key_id, &cold))
        return false;
    const struct key_entry *e = directory_entry(d, account, region, key_id);
    int64_t                 ends = e == NULL ? 0 : atomic_load(&e->ends);
    return ends == 0 || now < ends;
}

/* --- the ring --------------------------------------------------------------------------------- */

void ring_add(struct directory *d, struct key_entry *e)
{
    struct key_entry *hand = d->hand;

    if (hand == NULL) {
        d->hand = e->before = e->behind = e;
        return;
    }
    e->behind = hand;
    e->before = hand->before;
    hand->before->behind = e;
    hand->before = e;
}

void ring_remove(struct directory *d, struct key_entry *e)
{
    if (d->hand == e)
        d->hand = e->behind == e ? NULL : e->behind;
    e->before->behind = e->behind;
    e->behind->before = e->before;
    e->before = e->behind = NULL;
}

/* --- coming ----------------------------------------------------------------------------------- */

static struct usage_slot *slot_for(struct directory *d, const struct key_record *key,
                                   const struct key_usage_record *use)
{
    struct usage_slot *slot = usage_slot_attach(&d->used, key->serial);
    bool               comes_back = slot != NULL;

    if (!comes_back)
        slot = usage_slot_new(key->serial);
    if (slot == NULL)
        abort(); /* as everywhere in the directory */
    if (!comes_back && use->key != 0)
        usage_slot_set(slot, use);
    usage_late_give(&d->used, &key->name, slot);
    return slot;
}

void directory_load(struct directory *d, struct key_record *const *keys,
                    const struct key_usage_record *usages, size_t n)
{
    struct epoch *epoch = n > 1 ? directory_shut(d) : NULL;

    for (size_t i = 0; i < n; i++)
        directory_insert(d, keys[i], slot_for(d, keys[i], &usages[i]));
    if (n > 1) {
        directory_open(d, epoch);
        directory_grow(d);
    }
    usage_late_settle(d);
    size_t cold = atomic_load(&d->n_cold);
    atomic_store(&d->n_cold, cold < n ? 0 : cold - n);
}

void directory_note_end(struct directory *d, struct bytes account, struct bytes region,
                        struct bytes key_id, int64_t when)
{
    const struct key_name name = { .account = account, .region = region, .id = key_id };
    struct key_entry     *e = directory_entry(d, account, region, key_id);

    if (e == NULL && grants_on(d->grants, &name) != NULL)
        e = directory_entry_for(d, account, region, key_id);
    if (e != NULL)
        atomic_store(&e->ends, when);
}

/* --- going ------------------------------------------------------------------------------------ */

struct stroke {
    struct directory   *d;
    struct usage_slot **slots; /* of the keys that went */
    size_t              n;
};

static const struct key_record *record_of(const struct key_entry *e)
{
    return atomic_load_explicit(&e->record, memory_order_relaxed);
}

/* Takes one of its chances. */
static bool stays(struct key_entry *e)
{
    uint8_t left = atomic_load_explicit(&e->chances, memory_order_relaxed);

    if (left > 0)
        atomic_store_explicit(&e->chances, (uint8_t)(left - 1), memory_order_relaxed);
    return left > 0 || usage_slot_queued(atomic_load(&e->usage));
}

/* The key and its relatives. They come and go together, so all of them are here. */
static size_t family_of(struct directory *d, struct key_entry *e, struct key_entry *ret[FAMILY_MAX])
{
    const struct key_record *key = record_of(e);
    struct bytes             rest = key->regions;
    struct bytes             region;
    size_t                   n = 0;

    if (key->multi_region == REGION_SINGLE) {
        ret[0] = e;
        return 1;
    }
    while (n < FAMILY_MAX && key_regions_next(&rest, &region)) {
        struct key_entry *one = directory_entry(d, key->name.account, region, key->name.id);
        if (one != NULL && record_of(one) != NULL)
            ret[n++] = one;
    }
    return n;
}

static void evict_family(struct stroke *s, struct key_entry *const *list, size_t n)
{
    struct directory *d = s->d;

    atomic_store(&d->unlisted, true);
    atomic_fetch_add(&d->n_cold, n);
    atomic_fetch_add(&d->evictions, n);
    struct epoch *epoch = directory_shut(d);
    for (size_t i = 0; i < n; i++)
        s->slots[s->n++] = directory_evict_entry(d, list[i]);
    directory_open(d, epoch);
}

/* Looks at the key under the hand and moves the hand on. */
static void look_at_hand(struct stroke *s)
{
    struct key_entry *list[FAMILY_MAX];
    struct key_entry *e = s->d->hand;
    size_t            n = family_of(s->d, e, list);
    bool              any_stays = false;

    s->d->hand = e->behind;
    if (n == 0 || list[0] != e)
        return; /* its family is looked at once in a round */
    for (size_t i = 0; i < n; i++)
        any_stays = stays(list[i]) || any_stays;
    if (!any_stays)
        evict_family(s, list, n);
}

/* Once round at most, so that who has had a key loaded has several strokes' time to look it up. */
static size_t looks_of_stroke(size_t have, size_t too_many)
{
    size_t looks = too_many < LOOKS_MAX / LOOKS_EACH ? LOOKS_EACH * too_many : LOOKS_MAX;

    return looks < have ? looks : have;
}

size_t directory_evict(struct directory *d)
{
    size_t        have = atomic_load(&d->n_records);
    struct stroke s = { .d = d };

    if (d->limit == 0 || have <= d->limit || atomic_load(&d->used.n_late) > LATE_MAX)
        return 0;
    size_t target = d->limit - d->limit / STROKE_PART;
    s.slots = malloc((have - target + FAMILY_MAX) * sizeof(struct usage_slot *));
    if (s.slots == NULL)
        abort();
    size_t looks = looks_of_stroke(have, have - target);
    for (size_t i = 0; i < looks && atomic_load(&d->n_records) > target; i++)
        look_at_hand(&s);
    if (s.n > 0) {
        epoch_barrier(d->epoch);
        for (size_t i = 0; i < s.n; i++)
            usage_slot_detach(&d->used, s.slots[i]);
        directory_reclaim(d);
    }
    free(s.slots);
    return s.n;
}

bool directory_crowded(const struct directory *d)
{
    size_t many = d->limit + d->limit / STROKE_PART + CROWD_MIN;

    return d->limit != 0 && atomic_load(&d->n_records) > many;
}
