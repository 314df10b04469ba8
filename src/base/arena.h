/* base/arena.h - memory that dies together: the strings and lists of one immutable record.
 *
 * Not for secrets and not for request temporaries: nothing is wiped.
 */
#pragma once

#include "base/bytes.h"

struct arena;

struct arena *arena_new(size_t first_block); /* NULL when out of memory */
void arena_free(struct arena *a);
/* Zeroed, aligned for any object. Aborts when out of memory: records are small and bounded, and
 * a half-built record must not exist (the process restarts with its durable state). */
void *arena_alloc(struct arena *a, size_t size);
/* A NUL-terminated copy; {NULL, 0} for empty. */
struct bytes arena_copy(struct arena *a, struct bytes in);
size_t arena_size(const struct arena *a); /* bytes held, for metrics */
