/* identity/used.c - what an access key was used for last, in one word; see internal.h.
 *
 * Loops write it without a lock. The seconds come first in the word, so that a later use is a larger
 * number, and an earlier one never replaces it.
 */
#include <stdlib.h>

#include "identity/internal.h"

enum { SERVICE_SHIFT = 12, TIME_SHIFT = 16, REGION_MASK = (1 << SERVICE_SHIFT) - 1 };

void region_names_init(struct region_names *r)
{
    (void)pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->n, 1); /* number 0 has no name: for Regions beyond REGION_NAMES_MAX */
}

void region_names_release(struct region_names *r)
{
    (void)pthread_mutex_destroy(&r->lock);
}

static size_t find(const struct region_names *r, struct bytes region)
{
    size_t n = atomic_load_explicit(&r->n, memory_order_acquire);

    for (size_t i = 1; i < n; i++) {
        if (bytes_eq_str(region, r->name[i]))
            return i;
    }
    return 0;
}

/* The number of a Region, which gets one if it has none: a server answers for few of them. */
static size_t number_of(struct region_names *r, struct bytes region)
{
    size_t at = find(r, region);

    if (at > 0 || region.len == 0 || region.len > REGION_MAX)
        return at;
    (void)pthread_mutex_lock(&r->lock);
    at = find(r, region);
    size_t n = atomic_load_explicit(&r->n, memory_order_relaxed);
    if (at == 0 && n < REGION_NAMES_MAX) {
        at = n;
        memcpy(r->name[n], region.ptr, region.len);
        atomic_store_explicit(&r->n, n + 1, memory_order_release);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return at;
}

bool use_slot_mark(struct use_slot *slot, struct region_names *names,
                   const struct access_key_use *use)
{
    uint64_t seconds = use->at > 0 ? (uint64_t)use->at / 1000 : 0;
    uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);

    if (seconds <= old >> TIME_SHIFT) /* most often: used in this second already */
        return false;
    uint64_t word = seconds << TIME_SHIFT | (uint64_t)use->service << SERVICE_SHIFT |
                    number_of(names, bytes_str(use->region));
    while (word > old) {
        if (atomic_compare_exchange_weak_explicit(&slot->word, &old, word, memory_order_release,
                                                  memory_order_relaxed)) {
            atomic_store_explicit(&slot->changed, true, memory_order_release);
            return true;
        }
    }
    return false;
}

bool use_slot_read(const struct use_slot *slot, const struct region_names *names,
                   struct access_key_use *ret)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);

    ret->at = (int64_t)(word >> TIME_SHIFT) * 1000;
    ret->service = (enum used_service)(word >> SERVICE_SHIFT & (USED_SERVICES_MAX - 1));
    memcpy(ret->region, names->name[word & REGION_MASK], sizeof ret->region);
    return word != 0;
}
