/* base/arena.c - see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

/* Blocks after the first: a record that outgrows what it was measured for does so by little. */
enum { ARENA_GROWTH = 256 };

struct block {
    struct block *next;
    size_t        used;
    size_t        size;
    alignas(max_align_t) uint8_t data[];
};

struct arena {
    struct block *head;
    size_t        total;
};

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof *b + size);

    if (b != NULL)
        *b = (struct block){ .size = size };
    return b;
}

struct arena *arena_new(size_t first_block)
{
    struct arena *a = malloc(sizeof *a);
    struct block *b = block_new(first_block);

    if (a == NULL || b == NULL) {
        free(a);
        free(b);
        return NULL;
    }
    *a = (struct arena){ b, first_block };
    return a;
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    while (a->head != NULL) {
        struct block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    free(a);
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t align = alignof(max_align_t);

    if (size > SIZE_MAX / 2)
        abort();
    size = (size + align - 1) / align * align;
    if (a->head->size - a->head->used < size) {
        size_t        want = size > ARENA_GROWTH ? size : ARENA_GROWTH;
        struct block *b = block_new(want);
        if (b == NULL)
            abort();
        b->next = a->head;
        a->head = b;
        a->total += want;
    }
    void *p = a->head->data + a->head->used;
    a->head->used += size;
    memset(p, 0, size);
    return p;
}

struct bytes arena_copy(struct arena *a, struct bytes in)
{
    if (in.len == 0)
        return (struct bytes){ NULL, 0 };
    uint8_t *p = arena_alloc(a, in.len + 1);

    memcpy(p, in.ptr, in.len);
    return bytes_of(p, in.len);
}

size_t arena_size(const struct arena *a)
{
    return a->total;
}
