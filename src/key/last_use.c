/* key/last_use.c - see last_use.h.
 *
 * I1  `sequence` is odd while a writer is at work. The words are stored with release and loaded with
 *     acquire order, so a reader that has seen a new word also sees that the sequence is not the one it
 *     began with. That needs no fences, which ThreadSanitizer does not understand.
 * I2  A marked slot is in the queue, or is about to be taken from it after the mark: a mark ends with
 *     an exchange of `queued`, taking begins with one. Whichever is second sees what the other did.
 * I3  Slots are taken and released by one thread only, the directory's writer.
 * I4  A key may go cold between its use and the mark. Who finds no slot leaves a note under a lock, and looks
 *     for the slot again; the writer looks at the notes after a load. Whoever is second sees what the other did.
 */
#include "key/last_use.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD_OPERATION = 0,
    WORD_AT = 1,
    WORD_EVENT = 2, /* two words */
    WORD_REQUEST = 4,
    WORDS = 6
};
enum { SPINS = 64 };

/* Apart from the directory's entry, whose cache line readers of other cores need. */
struct usage_slot {
    _Atomic uint32_t   sequence;
    _Atomic bool       queued;
    bool               dead;     /* the writer's: its key is gone, the queue frees it */
    bool               detached; /* likewise, once it is stored: its key is cold */
    _Atomic uint64_t   words[WORDS];
    struct usage_slot *next;          /* of the queue; belongs to who has set `queued` */
    struct usage_slot *next_detached; /* the writer's */
    /* what is set before anybody looks */
    uint64_t key;
    int64_t  since;
};

static const char *const names[TRACKED_COUNT] = {
    [TRACKED_DECRYPT] = "Decrypt",
    [TRACKED_DERIVE_SHARED_SECRET] = "DeriveSharedSecret",
    [TRACKED_ENCRYPT] = "Encrypt",
    [TRACKED_GENERATE_DATA_KEY] = "GenerateDataKey",
    [TRACKED_GENERATE_DATA_KEY_PAIR] = "GenerateDataKeyPair",
    [TRACKED_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT] = "GenerateDataKeyPairWithoutPlaintext",
    [TRACKED_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT] = "GenerateDataKeyWithoutPlaintext",
    [TRACKED_GENERATE_MAC] = "GenerateMac",
    [TRACKED_RE_ENCRYPT] = "ReEncrypt",
    [TRACKED_SIGN] = "Sign",
    [TRACKED_VERIFY] = "Verify",
    [TRACKED_VERIFY_MAC] = "VerifyMac",
    [TRACKED_ENCAPSULATE] = "Encapsulate",
    [TRACKED_DECAPSULATE] = "Decapsulate",
};

const char *tracked_operation_name(enum tracked_operation operation)
{
    return names[operation];
}

enum tracked_operation tracked_operation_of(const char *name)
{
    for (size_t i = TRACKED_NONE + 1; i < TRACKED_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            return (enum tracked_operation)i;
    }
    return TRACKED_NONE;
}

/* --- a slot ------------------------------------------------------------------------------------- */

struct usage_slot *usage_slot_new(uint64_t key)
{
    struct usage_slot *slot = calloc(1, sizeof *slot);

    if (slot != NULL)
        slot->key = key;
    return slot;
}

static void word_put(struct usage_slot *slot, size_t at, uint64_t word)
{
    atomic_store_explicit(&slot->words[at], word, memory_order_release);
}

static uint64_t word_get(const struct usage_slot *slot, size_t at)
{
    return atomic_load_explicit(&slot->words[at], memory_order_acquire);
}

static void id_put(struct usage_slot *slot, size_t at, const uint8_t id[16])
{
    uint64_t words[2];

    memcpy(words, id, sizeof words);
    word_put(slot, at, words[0]);
    word_put(slot, at + 1, words[1]);
}

static void id_get(const struct usage_slot *slot, size_t at, uint8_t ret[16])
{
    const uint64_t words[2] = { word_get(slot, at), word_get(slot, at + 1) };

    memcpy(ret, words, sizeof words);
}

/* Between two even values of the sequence, or before anybody looks. */
static void slot_fill(struct usage_slot *slot, const struct key_usage_mark *mark)
{
    word_put(slot, WORD_OPERATION, mark->operation);
    word_put(slot, WORD_AT, (uint64_t)mark->at);
    id_put(slot, WORD_EVENT, mark->event_id);
    id_put(slot, WORD_REQUEST, mark->request_id);
}

/* False if it was left alone. */
static bool slot_mark(struct usage_slot *slot, const struct key_usage_mark *mark)
{
    uint32_t even = atomic_load_explicit(&slot->sequence, memory_order_relaxed);

    if ((even & 1) != 0 ||
        !atomic_compare_exchange_strong_explicit(&slot->sequence, &even, even + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    bool later = word_get(slot, WORD_OPERATION) != TRACKED_NONE &&
                 (int64_t)word_get(slot, WORD_AT) > mark->at;
    if (!later)
        slot_fill(slot, mark);
    atomic_store_explicit(&slot->sequence, even + 2, memory_order_release);
    return !later;
}

static void slot_read(const struct usage_slot *slot, struct key_usage_record *ret)
{
    struct key_usage_record r = { .key = slot->key, .since = slot->since };
    uint32_t                before;
    uint32_t                after;

    for (unsigned spins = 0;; spins++) {
        before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        r.last.operation = (enum tracked_operation)word_get(slot, WORD_OPERATION);
        r.last.at = (int64_t)word_get(slot, WORD_AT);
        id_get(slot, WORD_EVENT, r.last.event_id);
        id_get(slot, WORD_REQUEST, r.last.request_id);
        after = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
        if (before == after && (before & 1) == 0)
            break;
        if (spins >= SPINS) /* the writer may wait for this core */
            (void)sched_yield();
    }
    *ret = r;
}

/* --- the queue ---------------------------------------------------------------------------------- */

static void enqueue(struct usage_queue *q, struct usage_slot *slot)
{
    if (atomic_exchange_explicit(&slot->queued, true, memory_order_acq_rel))
        return;
    slot->next = atomic_load_explicit(&q->head, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&q->head, &slot->next, slot, memory_order_release,
                                                  memory_order_relaxed))
        continue;
}

void usage_slot_release(void *memory)
{
    struct usage_slot *slot = memory;

    if (slot != NULL && atomic_load_explicit(&slot->queued, memory_order_acquire))
        slot->dead = true;
    else
        free(slot);
}

void usage_slot_detach(struct usage_queue *q, struct usage_slot *slot)
{
    if (!atomic_load_explicit(&slot->queued, memory_order_acquire)) {
        free(slot);
        return;
    }
    slot->detached = true;
    slot->next_detached = q->detached;
    q->detached = slot;
}

struct usage_slot *usage_slot_attach(struct usage_queue *q, uint64_t key)
{
    struct usage_slot **at = &q->detached;

    while (*at != NULL && (*at)->key != key)
        at = &(*at)->next_detached;
    struct usage_slot *slot = *at;
    if (slot != NULL) {
        *at = slot->next_detached;
        slot->detached = false;
    }
    return slot;
}

bool usage_slot_queued(const struct usage_slot *slot)
{
    return atomic_load_explicit(&slot->queued, memory_order_acquire);
}

void usage_slot_set(struct usage_slot *slot, const struct key_usage_record *record)
{
    slot->since = record->since;
    slot_fill(slot, &record->last);
}

void usage_queue_init(struct usage_queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
}

static void release_late(struct late_use *list)
{
    while (list != NULL) {
        struct late_use *next = list->next;
        free(list);
        list = next;
    }
}

void usage_queue_release(struct usage_queue *q)
{
    struct usage_slot *slot = atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);

    while (slot != NULL) {
        struct usage_slot *next = slot->next;
        if (slot->dead || slot->detached)
            free(slot);
        slot = next;
    }
    release_late(q->late);
    pthread_mutex_destroy(&q->lock);
}

enum kms_status directory_take_used(struct directory *d, struct key_usage_record **ret,
                                    size_t *ret_n, struct kms_error *reterr)
{
    struct usage_queue *q = directory_used(d);
    struct usage_slot  *first = atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);
    size_t              n = 0;

    for (const struct usage_slot *slot = first; slot != NULL; slot = slot->next)
        n++;
    struct key_usage_record *list = n == 0 ? NULL : calloc(n, sizeof *list);

    /* from the exchange on `next` belongs to whoever marks it again */
    n = 0;
    for (struct usage_slot *slot = first, *next; slot != NULL; slot = next) {
        next = slot->next;
        (void)atomic_exchange_explicit(&slot->queued, false, memory_order_acq_rel);
        if (slot->dead) {
            free(slot);
        } else if (list != NULL) {
            slot_read(slot, &list[n]);
            list[n++].slot = slot;
        } else {
            enqueue(q, slot);
        }
    }
    if (first != NULL && list == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the last uses of keys");
    *ret = list;
    *ret_n = n;
    return KMS_OK;
}

void directory_give_back_used(struct directory *d, const struct key_usage_record *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        enqueue(directory_used(d), list[i].slot);
}

void directory_stored_used(struct directory *d, const struct key_usage_record *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].slot->detached)
            free(usage_slot_attach(directory_used(d), list[i].slot->key));
    }
}

bool directory_has_used(struct directory *d)
{
    struct usage_queue *q = directory_used(d);

    return atomic_load_explicit(&q->head, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&q->n_late, memory_order_relaxed) > 0;
}

/* --- by name ------------------------------------------------------------------------------------ */

/* False if its key is not in memory. */
static bool mark_now(struct directory *d, const struct key_name *name,
                     const struct key_usage_mark *mark)
{
    struct usage_slot *slot = directory_usage_slot(d, name);

    if (slot != NULL && slot_mark(slot, mark))
        enqueue(directory_used(d), slot);
    return slot != NULL;
}

/* I4. Without memory for the note the use is forgotten: it has its audit record all the same. */
static void mark_late(struct directory *d, const struct key_name *name,
                      const struct key_usage_mark *mark)
{
    struct usage_queue *q = directory_used(d);
    struct late_use    *use = calloc(1, sizeof *use);

    if (use == NULL || !key_want_named(&use->key, name->account, name->region, name->id)) {
        free(use);
        return;
    }
    use->mark = *mark;
    pthread_mutex_lock(&q->lock);
    use->next = q->late;
    q->late = use;
    q->n_late++;
    pthread_mutex_unlock(&q->lock);
    (void)mark_now(d, name, mark); /* twice does no harm */
}

void directory_mark_used(struct directory *d, const struct key_name *name,
                         const struct key_usage_mark *mark)
{
    if (!mark_now(d, name, mark) && !directory_lists_all(d))
        mark_late(d, name, mark);
}

/* --- late ones ---------------------------------------------------------------------------------- */

struct late_use *directory_take_late(struct directory *d)
{
    struct usage_queue *q = directory_used(d);

    pthread_mutex_lock(&q->lock);
    struct late_use *list = q->late;
    q->late = NULL;
    q->n_late = 0;
    pthread_mutex_unlock(&q->lock);
    return list;
}

void directory_give_back_late(struct directory *d, struct late_use *list)
{
    struct usage_queue *q = directory_used(d);

    pthread_mutex_lock(&q->lock);
    while (list != NULL) {
        struct late_use *next = list->next;
        list->next = q->late;
        q->late = list;
        q->n_late++;
        list = next;
    }
    pthread_mutex_unlock(&q->lock);
}

/* A note is old: it must not be in the way of a loop that marks a later use, and would do nothing then. */
static void mark_old(struct usage_queue *q, struct usage_slot *slot,
                     const struct key_usage_mark *mark)
{
    struct key_usage_record now;

    slot_read(slot, &now);
    bool later = now.last.operation != TRACKED_NONE && now.last.at >= mark->at;
    if (!later && slot_mark(slot, mark))
        enqueue(q, slot);
}

static struct key_name name_of(const struct late_use *use)
{
    return (struct key_name){ .account = bytes_str(use->key.account),
                              .region = bytes_str(use->key.region),
                              .id = bytes_str(use->key.key_id) };
}

bool directory_mark_late(struct directory *d, const struct late_use *use)
{
    const struct key_name name = name_of(use);
    struct usage_slot    *slot = directory_usage_slot(d, &name);

    if (slot != NULL)
        mark_old(directory_used(d), slot, &use->mark);
    return slot != NULL;
}

/* Takes one out of the list. */
static void late_done(struct usage_queue *q, struct late_use **at)
{
    struct late_use *use = *at;

    *at = use->next;
    q->n_late--;
    free(use);
}

void usage_late_give(struct usage_queue *q, const struct key_name *name, struct usage_slot *slot)
{
    pthread_mutex_lock(&q->lock);
    for (struct late_use **at = &q->late; *at != NULL;) {
        struct key_name of = name_of(*at);
        if (!bytes_eq(of.id, name->id) || !bytes_eq(of.region, name->region) ||
            !bytes_eq(of.account, name->account)) {
            at = &(*at)->next;
            continue;
        }
        mark_old(q, slot, &(*at)->mark);
        late_done(q, at);
    }
    pthread_mutex_unlock(&q->lock);
}

void usage_late_settle(struct directory *d)
{
    struct usage_queue *q = directory_used(d);

    pthread_mutex_lock(&q->lock);
    for (struct late_use **at = &q->late; *at != NULL;) {
        if (directory_mark_late(d, *at))
            late_done(q, at);
        else
            at = &(*at)->next;
    }
    pthread_mutex_unlock(&q->lock);
}

bool directory_last_usage(const struct directory *d, const struct key_name *name,
                          struct key_usage_record *ret)
{
    const struct usage_slot *slot = directory_usage_slot(d, name);

    if (slot == NULL)
        return false;
    slot_read(slot, ret);
    return true;
}

void directory_load_usage(struct directory *d, const struct key_name *name,
                          const struct key_usage_record *record)
{
    struct usage_slot *slot = directory_usage_slot(d, name);

    if (slot == NULL)
        return;
    usage_slot_set(slot, record);
}
