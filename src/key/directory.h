/* key/directory.h - the keys and aliases of this server, in memory; readers take no locks.
 *
 * Aliases, import keys and grants are all here. Of the keys those that were used lately are, when there are
 * more than the directory may keep; the others are cold: in the store alone (decision 0011).
 *
 * Readers are inside an epoch section (base/epoch.h) and get pointers to immutable records, valid
 * until they leave the section. The committer is the only writer. What is published here is what
 * the next request sees: publishing, then the barrier, is what makes "deleted right away" true.
 */
#pragma once

#include "base/epoch.h"
#include "key/record.h"
#include "key/want.h"

struct key_usage_record;
struct directory;
struct usage_slot;
struct usage_queue;
struct grant_book;

struct directory *directory_new(struct epoch *epoch, uint64_t seed);
void directory_free(struct directory *d);
/* From now on keys that are put here get their rights from this compiler; before the first key.
 * Without it no record has rights, and nobody may use a key. False when out of memory. */
KMS_MUST_CHECK bool directory_use_rights(struct directory *d, uint64_t seed,
                                         struct rights_compiler with);

/* --- readers ---------------------------------------------------------------------------------- */

const struct key_record *directory_key(const struct directory *d, struct bytes account,
                                       struct bytes region, struct bytes key_id);
/* The key and its relatives in other Regions, as they stand in its `regions`; the key alone if it is a
 * single-Region key. Returns how many, at most FAMILY_MAX (key/family.h). Found one by one: a change may
 * come between, whose versions then make the store refuse what was made of them. */
size_t directory_family(const struct directory *d, const struct key_record *key,
                        const struct key_record **ret);
const struct alias_record *directory_alias(const struct directory *d, struct bytes account,
                                           struct bytes region, struct bytes alias);
/* The key that holds this material in this Region (any account), by the id inside a ciphertext. */
const struct key_record *directory_key_by_material(const struct directory *d, struct bytes region,
                                                   const struct material_id *id);
const struct import_key_record *directory_import_key(const struct directory *d,
                                                     const uint8_t           id[16]);

/* Up to `max` records of one account and Region in order of creation, those with serial > after.
 * Returns how many were written to `ret`. Slow lane. */
size_t directory_list_keys(const struct directory *d, struct bytes account, struct bytes region,
                           uint64_t after, const struct key_record **ret, size_t max);
/* Likewise aliases; `key_id` of length 0 means all, else only those of that key. */
size_t directory_list_aliases(const struct directory *d, struct bytes account, struct bytes region,
                              struct bytes key_id, uint64_t after, const struct alias_record **ret,
                              size_t max);
size_t directory_alias_count(const struct directory *d, struct bytes account, struct bytes region,
                             struct bytes key_id);
/* Import keys (tokens) of a key that is there, those just expired among them. */
size_t directory_import_key_count(const struct directory *d, const struct key_name *key);
/* The slot of key/last_use.h that belongs to the key; NULL if there is no such key. */
struct usage_slot *directory_usage_slot(const struct directory *d, const struct key_name *name);
/* The grants on its keys (key/grants.h), which go with their keys. Its readers are inside a section of
 * the directory's, its writer is the directory's; it is reclaimed with the directory. */
struct grant_book *directory_grants(const struct directory *d);
struct directory_counts {
    size_t keys, aliases, import_keys;
    size_t cold; /* of the keys, those that are not in memory */
};
struct directory_counts directory_counts(const struct directory *d);

/* --- readers, when keys are cold (key/cold.c) --------------------------------------------------- */

/* After a lookup that has found nothing: true if the key may be cold. Then *ret is what is to be loaded
 * before the lookup is made again. False: there is no such key. */
bool directory_unsure(const struct directory *d, struct bytes account, struct bytes region,
                      struct bytes key_id, struct key_want *ret);
bool directory_unsure_material(const struct directory *d, struct bytes region,
                               const struct material_id *id, struct key_want *ret);
/* True if no key has ever been cold: asked after directory_list_keys, it says that this was the whole
 * page. */
bool directory_lists_all(const struct directory *d);
/* Is there such a key at that time, cold or not: its deletion window has not ended? For listings of what
 * belongs to keys (aliases and grants), which load none. Until a key has been loaded this says of it what
 * directory_note_end was told. */
bool directory_lives(const struct directory *d, struct bytes account, struct bytes region,
                     struct bytes key_id, int64_t now);

/* --- the writer: the committer, and loading at start ------------------------------------------ */

/* Before the first key: so many keys are in the store and not here, and at most `limit` are to be in memory
 * (0: all, and none is cold). */
void directory_keep(struct directory *d, size_t limit, size_t cold);
/* Puts cold keys, with what they were last used for (`key` 0: nothing is known). Takes over the records.
 * Relatives come together, and are visible at once as in directory_publish. */
void directory_load(struct directory *d, struct key_record *const *keys,
                    const struct key_usage_record *usages, size_t n);
/* At start, after aliases and grants: a key that is cold waits for its deletion until then. */
void directory_note_end(struct directory *d, struct bytes account, struct bytes region,
                        struct bytes key_id, int64_t when);
/* Makes keys cold until there are no more in memory than it may keep: those that nobody has looked up for
 * longest, roughly. Relatives go together; none that has a use that is not stored yet. Returns how many went. When any did it has waited for a barrier and reclaimed. */
size_t directory_evict(struct directory *d);
/* True if there are clearly too many although directory_evict was called: storing uses (directory_take_used)
 * may help. */
bool directory_crowded(const struct directory *d);
/* The writer must not be inside an epoch section: a table that grows is freed after a barrier.
 * Memory that runs out ends the process: half a change must not be visible.
 *
 * Each takes ownership of the record. A record with the same name is replaced; the old one is freed
 * by the next directory_reclaim, so it may still be read until then. Serials are unique within one
 * account and Region and belong to the record for its life; put in ascending order they cost least.
 * A key is put before its aliases and import keys: listings and counts by key know only those put
 * after it. */
void directory_put_key(struct directory *d, struct key_record *key);
void directory_remove_key(struct directory *d, struct bytes account, struct bytes region,
                          struct bytes key_id); /* its aliases go with it */
void directory_put_alias(struct directory *d, struct alias_record *alias);
void directory_remove_alias(struct directory *d, struct bytes account, struct bytes region,
                            struct bytes alias);
void directory_put_import_key(struct directory *d, struct import_key_record *key);
void directory_remove_import_key(struct directory *d, const uint8_t id[16]);
/* Puts and removes several keys, of which relatives (key/family.h) become visible at once: once anybody
 * has seen one of them as it is now, in directory_key, directory_key_by_material or
 * directory_list_keys, no later look of anybody shows another as it was. Who finds a multi-Region key
 * meanwhile waits until it is done (microseconds; it waits for nobody). Takes over the records;
 * `removed` are views that last as long as the call. */
void directory_publish(struct directory *d, struct key_record *const *put, size_t n_put,
                       const struct key_name *removed, size_t n_removed);
/* Visits every key (writer side; no section needed). */
void directory_each_key(struct directory *d, void (*visit)(const struct key_record *, void *),
                        void             *ctx);
void directory_each_import_key(struct directory *d,
                               void (*visit)(const struct import_key_record *, void *), void *ctx);
/* The slots that were marked: key/last_use.h. */
struct usage_queue *directory_used(struct directory *d);
/* Frees what was replaced or removed. Only after epoch_barrier(). */
void directory_reclaim(struct directory *d);
/* Removes everything (development reset). */
void directory_clear(struct directory *d);
