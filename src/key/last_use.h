/* key/last_use.h - what each key was used for last: GetKeyLastUsage (kms-behaviour 15.1).
 *
 * The directory has one slot per key. It is not part of the key's record, which is immutable and
 * replaced with every change: it comes and goes with the key. Loops mark slots after the audit has
 * the record of the use and before the answer leaves, without a lock, an allocation or a system
 * call; the committer moves what was marked to the store from time to time.
 *
 * A slot is a sequence lock. A writer that finds another one at work does nothing: a use of the same
 * instant is as good. Readers look again when a writer came between.
 */
#pragma once

#include <pthread.h>

#include "key/directory.h"

/* The operations that count as use: KeyLastUsageTrackingOperation. Stored; append only. */
enum tracked_operation {
    TRACKED_NONE, /* does not count; in a slot: never used */
    TRACKED_DECRYPT,
    TRACKED_DERIVE_SHARED_SECRET,
    TRACKED_ENCRYPT,
    TRACKED_GENERATE_DATA_KEY,
    TRACKED_GENERATE_DATA_KEY_PAIR,
    TRACKED_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
    TRACKED_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
    TRACKED_GENERATE_MAC,
    TRACKED_RE_ENCRYPT,
    TRACKED_SIGN,
    TRACKED_VERIFY,
    TRACKED_VERIFY_MAC,
    TRACKED_ENCAPSULATE,
    TRACKED_DECAPSULATE,
    TRACKED_COUNT
};
/* The name on the wire; not for TRACKED_NONE. */
const char *tracked_operation_name(enum tracked_operation operation);
/* TRACKED_NONE for operations that do not count. */
enum tracked_operation tracked_operation_of(const char *name);

struct key_usage_mark {
    enum tracked_operation operation;
    int64_t                at;             /* ms, eventTime of the audit record */
    uint8_t                event_id[16];   /* its eventID */
    uint8_t                request_id[16]; /* x-amzn-RequestId of the answer */
};

/* A row of the store, and what there is to know about one key. */
struct key_usage_record {
    uint64_t              key;   /* serial of its record */
    struct key_usage_mark last;  /* operation TRACKED_NONE: not since `since` */
    int64_t               since; /* uses before it were not recorded; 0: the key is younger */
    struct usage_slot    *slot;  /* where it was taken from; nothing to the store */
};

/* --- readers and loops, inside an epoch section ------------------------------------------------- */

/* Nothing happens if there is no such key (any more), or a later use is marked already. What is marked of a key
 * that has gone cold since it was used is kept for its next record, or for the store. */
void directory_mark_used(struct directory *d, const struct key_name *name,
                         const struct key_usage_mark *mark);
/* False if there is no such key. `ret->slot` is NULL. */
bool directory_last_usage(const struct directory *d, const struct key_name *name,
                          struct key_usage_record *ret);
/* True if there is something for directory_take_used. Needs no section. */
bool directory_has_used(struct directory *d);

/* --- the writer --------------------------------------------------------------------------------- */

/* What the store has of a key, while loading. */
void directory_load_usage(struct directory *d, const struct key_name *name,
                          const struct key_usage_record *record);
/* Takes the list of keys that were marked since the last call: *ret is released by free(), NULL if there
 * are none. KMS_E_INTERNAL: no memory, the list stays. */
KMS_MUST_CHECK enum kms_status directory_take_used(struct directory         *d,
                                                   struct key_usage_record **ret, size_t *ret_n,
                                                   struct kms_error *reterr);
/* They could not be stored: the next call takes them again. They are stored. One or the other, before any
 * key is loaded, removed or evicted. */
void directory_give_back_used(struct directory *d, const struct key_usage_record *list, size_t n);
void directory_stored_used(struct directory *d, const struct key_usage_record *list, size_t n);

/* A use of a key that was cold when it was marked. */
struct late_use {
    struct late_use      *next;
    struct key_want       key; /* WANT_KEY */
    struct key_usage_mark mark;
};
/* Takes them all, the latest first; each is released by free(). */
struct late_use *directory_take_late(struct directory *d);
/* They could not be stored. */
void directory_give_back_late(struct directory *d, struct late_use *list);
/* Marks it if the key is in memory now; false if it is not. The writer's. */
bool directory_mark_late(struct directory *d, const struct late_use *use);

/* --- for directory.c ---------------------------------------------------------------------------- */

struct usage_slot;

/* Slots that were marked and not taken since, in no order. */
struct usage_queue {
    struct usage_slot *_Atomic head;
    struct usage_slot
        *detached; /* the writer's: slots of cold keys that are in it, or taken from it */
    /* uses that found no slot */
    pthread_mutex_t  lock;
    struct late_use *late;
    _Atomic size_t   n_late;
};
void usage_queue_init(struct usage_queue *q);

/* The slot of a new key; NULL when out of memory. */
struct usage_slot *usage_slot_new(uint64_t key);
/* The key is gone, and no section can hold the slot any more: frees it now or, if it is queued, when the
 * queue is taken. NULL is fine. */
void usage_slot_release(void *slot);
/* As usage_slot_release, but the key is only cold: what is marked is stored first, and then the slot is
 * freed (directory_stored_used); unless the key comes back before. */
void usage_slot_detach(struct usage_queue *q, struct usage_slot *slot);
/* The slot of a key that comes back: what it has is later than what the store has. NULL if there is none. */
struct usage_slot *usage_slot_attach(struct usage_queue *q, uint64_t key);
/* A key is about to come back with this slot: uses that came while it was cold are marked. Then, once it is
 * there: those that came meanwhile. */
void usage_late_give(struct usage_queue *q, const struct key_name *name, struct usage_slot *slot);
void usage_late_settle(struct directory *d);
/* What the store has of it; before anybody sees it. */
void usage_slot_set(struct usage_slot *slot, const struct key_usage_record *record);
/* Is something marked that was not taken? */
bool usage_slot_queued(const struct usage_slot *slot);
/* Frees the slots of removed keys that are still in the queue, and what came late. */
void usage_queue_release(struct usage_queue *q);
