/* key/series.h - things in the order of their serial, listed without locks; a part of directory.c.
 *
 * One writer; readers inside an epoch section. Adding at the end touches one slot. Taking out
 * leaves a hole that keeps its serial, so that a marker always finds its place by binary search;
 * when most of a series is holes it is rebuilt. Memory that runs out ends the process.
 */
#pragma once

#include "base/bytes.h"
#include "base/epoch.h"

struct series;

/* What readers may still see of blocks that were replaced; one for all series of a directory. It is
 * emptied by the owner after a barrier, or by itself, with a barrier, when it has grown too large:
 * the writer must not be inside a section. While `epoch` is NULL it waits for nobody, and grows. */
struct series_trash {
    struct epoch *epoch;
    void        **blocks;
    size_t        n;
    size_t        cap;
    size_t        bytes;
};
void series_trash_empty(struct series_trash *t);

struct series *series_new(void);
void series_free(struct series *s); /* not the items; NULL is fine */

/* `serial` is at least 1 and not in the series. Cheap in ascending order. */
void series_add(struct series *s, uint64_t serial, void *item, struct series_trash *trash);
bool series_has(const struct series *s, uint64_t serial);
/* The item of this serial, which must be there. */
void series_remove(struct series *s, uint64_t serial, struct series_trash *trash);

/* Reader side (the writer may call them too). Visits the items with a serial above `after`, in
 * order, until `visit` says false; it must not change the series. */
void series_each(const struct series *s, uint64_t after, bool (*visit)(void *item, void *ctx),
                 void *ctx);
size_t series_count(const struct series *s); /* items, without holes */
