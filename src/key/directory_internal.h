/* key/directory_internal.h - shared by directory.c and cold.c.
 *
 * Invariants:
 *   I1  A key that is not in memory has an entry if something in memory refers to it by that entry, an alias or
 *       an import key; or if it waits for its deletion and has grants, which have to know when they end.
 *   I2  `unlisted` is set, and evictions rise, before a record goes. So who finds nothing, and finds `unlisted`
 *       false before and evictions unchanged after, knows that there is no such key. n_cold is for show: it was
 *       counted by an index of a file that others may have changed.
 */
#pragma once

#include <stdatomic.h>

#include "base/index.h"
#include "base/retired.h"
#include "key/directory.h"
#include "key/gate.h"
#include "key/last_use.h"
#include "key/series.h"

/* Every entry begins with its index node, and ends with the text that the node's key is. */
struct realm {
    struct index_node node; /* "account:region" */
    struct series    *keys;
    struct series    *aliases;
};

struct material_entry {
    struct index_node      node; /* material id, Region */
    struct key_entry      *key;
    struct material_entry *next; /* of the same key; the writer's, as is `listed` */
    bool                   listed;
};

struct key_entry {
    struct index_node node;                  /* "account:region:key-id" */
    const struct key_record *_Atomic record; /* NULL: only the store has it (I1) */
    struct realm *realm;
    struct series *_Atomic aliases; /* NULL until it has one */
    struct material_entry *materials;
    _Atomic int64_t ends; /* without a record: when its deletion window does; 0: it has none */
    struct usage_slot *_Atomic usage;  /* there as long as a record is, whichever it is */
    struct key_entry *before, *behind; /* in the ring; the writer's */
    _Atomic uint32_t  n_import_keys;
    _Atomic uint8_t   chances; /* so often the hand passes it by; 0: it goes */
};

struct alias_entry {
    struct index_node node; /* "account:region:alias/..." */
    const struct alias_record *_Atomic record;
    struct realm *realm;
};

struct import_key_entry {
    struct index_node node; /* the 16 bytes of the id */
    const struct import_key_record *_Atomic record;
};

struct directory {
    struct epoch       *epoch;
    struct index       *realms;
    struct index       *keys;
    struct index       *materials;
    struct index       *aliases;
    struct index       *import_keys;
    struct retired      retired; /* the writer's, as are the next two */
    struct series_trash trash;
    struct usage_queue  used;
    struct gate         gate;   /* shut while several keys change as one */
    struct rights_book *rights; /* may be NULL */
    struct grant_book  *grants;
    /* cold.c */
    size_t            limit; /* records in memory; 0: as many as there are */
    _Atomic size_t    n_records, n_cold;
    _Atomic uint64_t  evictions; /* entries whose record went; before it goes (I2) */
    _Atomic bool      unlisted;  /* series of keys do not have all: from the first cold key on */
    struct key_entry *hand;      /* in the ring of those with a record; NULL: there are none */
};

enum { CHANCES_NEW = 4, CHANCES_SEEN = 1 }; /* who has it loaded needs time to look */

/* Between the two, readers wait at the gate inside their sections, so that nothing may wait for readers: a table
 * that is to grow does so afterwards (directory_grow), and what takes long is done before. directory_shut returns
 * what directory_open takes. */
static inline struct epoch *directory_shut(struct directory *d)
{
    struct epoch *epoch = d->epoch;

    d->epoch = d->trash.epoch = NULL;
    gate_shut(&d->gate);
    return epoch;
}
static inline void directory_open(struct directory *d, struct epoch *epoch)
{
    gate_open(&d->gate);
    d->epoch = d->trash.epoch = epoch;
}
void directory_grow(struct directory *d);

/* directory.c; NULL if there is none. */
struct key_entry *directory_entry(const struct directory *d, struct bytes account,
                                  struct bytes region, struct bytes key_id);
/* Likewise, and makes one without a record if there is none; the writer's. */
struct key_entry *directory_entry_for(struct directory *d, struct bytes account,
                                      struct bytes region, struct bytes key_id);
/* The writer's. Puts a record that is not there yet, with its slot, which the directory takes over. */
void directory_insert(struct directory *d, struct key_record *key, struct usage_slot *usage);
/* Takes the record out again, and its slot, which is the caller's to detach after a barrier. The entry stays
 * where it has to (I1). */
struct usage_slot *directory_evict_entry(struct directory *d, struct key_entry *e);
/* cold.c: into the ring, at the place where the hand comes last; and out of it. */
void ring_add(struct directory *d, struct key_entry *e);
void ring_remove(struct directory *d, struct key_entry *e);
