/* base/retired.c - see retired.h. */
#include "base/retired.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_ITEMS = 64 };

void retire(struct retired *r, const void *memory, void (*release)(void *memory))
{
    if (r->n == r->cap) {
        size_t               cap = r->cap == 0 ? FIRST_ITEMS : r->cap * 2;
        struct retired_item *more = realloc(r->items, cap * sizeof *more);
        if (more == NULL)
            abort();
        r->items = more;
        r->cap = cap;
    }
    /* the writer made it; only its readers may not change it */
    r->items[r->n++] = (struct retired_item){ (void *)(uintptr_t)memory, release };
}

void retired_release(struct retired *r)
{
    for (size_t i = 0; i < r->n; i++)
        r->items[i].release(r->items[i].memory);
    free(r->items);
    *r = (struct retired){ NULL, 0, 0 };
}
