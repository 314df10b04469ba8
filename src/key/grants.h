/* key/grants.h - every grant of this server, in memory; a part of the directory.
 *
 * As with the rest of the directory, readers are inside an epoch section and take no locks, the
 * committer is the only writer, and what is published here is what the next request sees. A grant
 * is found by its id, by key and grantee (what a decision asks), and in listings: of a key, and of
 * a retiring principal in a Region.
 */
#pragma once

#include "base/epoch.h"
#include "key/grant.h"

struct grant_book;
struct key_grants; /* of one key that has any */

/* --- readers ---------------------------------------------------------------------------------- */

/* NULL if the key has no grants. */
const struct key_grants *grants_on(const struct grant_book *b, const struct key_name *key);
/* Those of them to this grantee, in order of creation; NULL if there are none. */
const struct grant_set *grants_to(const struct grant_book *b, const struct key_grants *on,
                                  struct bytes grantee);
/* By id; NULL if there is none on this key. */
const struct grant_record *grants_find(const struct grant_book *b, const struct key_name *key,
                                       struct bytes id);
/* Up to `max` grants of a key in order of creation, those with serial > after; only those to
 * `grantee` unless that is empty. Returns how many were written to `ret`. Slow lane. */
size_t grants_list(const struct grant_book *b, const struct key_name *key, struct bytes grantee,
                   uint64_t after, const struct grant_record **ret, size_t max);
/* Likewise the grants in a Region, on keys of whatever account, that this principal may retire. */
size_t grants_list_retirable(const struct grant_book *b, struct bytes region, struct bytes retiring,
                             uint64_t after, const struct grant_record **ret, size_t max);
size_t grants_count_on(const struct grant_book *b, const struct key_name *key);
size_t grants_count(const struct grant_book *b);

/* --- the writer: the committer, and loading at start ------------------------------------------ */

/* NULL when out of memory. */
struct grant_book *grant_book_new(struct epoch *epoch, uint64_t seed);
void grant_book_free(struct grant_book *b); /* NULL is fine */

/* The writer must not be inside an epoch section; memory that runs out ends the process. What was
 * removed is freed by the next grants_reclaim, after a barrier, or earlier after a barrier of the
 * book's own.
 *
 * Takes ownership of n grants that are not there yet, in ascending order of their serials. The set
 * of a grantee is copied once per call, not once per grant: loading hands over all at once. */
void grants_put(struct grant_book *b, struct grant_record **list, size_t n);
void grants_remove(struct grant_book *b, struct bytes id); /* one that is not there is fine */
void grants_remove_key(struct grant_book *b, const struct key_name *key);
void grants_reclaim(struct grant_book *b); /* only after epoch_barrier() */
