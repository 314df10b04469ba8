/* base/retired.h - memory that readers may still see: released after the next epoch_barrier().
 *
 * One list per writer, and only that writer touches it. Memory that runs out ends the process: what
 * is published already cannot be taken back.
 */
#pragma once

#include <stddef.h>

struct retired_item {
    void *memory;
    void (*release)(void *memory);
};

/* Zeroed: empty. */
struct retired {
    struct retired_item *items;
    size_t               n, cap;
};

/* `memory` goes with the next retired_release; NULL is fine if `release` takes it. */
void retire(struct retired *r, const void *memory, void (*release)(void *memory));
/* Only after epoch_barrier(). */
void retired_release(struct retired *r);
