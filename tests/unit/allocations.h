/* tests/unit/allocations.h - counts the allocations of this program, in which one file includes it.
 *
 * Sanitizers bring an allocator of their own: with them nothing is counted.
 */
#pragma once

#include <stddef.h>

#include "instrumented.h"

static size_t allocations; /* so far */

#if !INSTRUMENTED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    allocations++;
    return __libc_realloc(p, size);
}
#endif
