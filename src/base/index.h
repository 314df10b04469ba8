/* base/index.h - a hash table that is read without locks.
 *
 * Nodes are embedded in what they index. One writer at a time (the caller sees to that); any
 * number of readers inside an epoch section. A removed node may still be seen by readers until
 * epoch_barrier() has returned, so its memory must stay until then.
 */
#pragma once

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/epoch.h"

struct index_node {
    struct index_node *_Atomic next;
    uint64_t     hash;
    struct bytes key; /* borrowed from the embedding object, unchanged while linked */
};

struct index;

/* `seed` makes the hash unpredictable to those who choose keys. NULL when out of memory. */
struct index *index_new(uint64_t seed);
void index_free(struct index *ix); /* does not touch the nodes */
/* Makes the still empty table large enough for n nodes: for writers that are readers themselves,
 * which cannot let it grow. Before anybody else uses it. False when out of memory. */
KMS_MUST_CHECK bool index_reserve(struct index *ix, size_t n);

/* The seeded hash of a key, for tables beside this one. */
uint64_t index_hash(const struct index *ix, struct bytes key);
/* The same for tables with a seed of their own. */
uint64_t index_hash_seeded(uint64_t seed, struct bytes key);

/* Reader side: the node with this key, or NULL. */
struct index_node *index_find(const struct index *ix, struct bytes key);

/* Writer side. The key must not be there yet; nothing is allocated unless the table grows. `epoch`
 * is used when the table grows: the old table is freed after a barrier, so a writer that is itself
 * a reader must not insert inside a section - pass NULL then, and the table does not grow. */
void index_insert(struct index *ix, struct index_node *node, struct epoch *epoch);
/* Makes up for a growth that insertions without `epoch` have left out, if one is due. */
void index_grow(struct index *ix, struct epoch *epoch);
void index_remove(struct index *ix, struct index_node *node);
size_t index_count(const struct index *ix);

/* Writer side: visits every node; the visitor may remove the node it is given. */
void index_each(struct index *ix, void (*visit)(struct index_node *node, void *ctx), void *ctx);
