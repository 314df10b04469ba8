/* tests/unit/memory_scan.h - looks for bytes in this process's own memory, as a debugger would. */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SCAN_BLOCK = 1 << 20, SCAN_REGIONS = 4096, SCAN_REGION_MAX = 1 << 28 };

/* Hits in one block of memory, not counting the needle itself. */
static inline unsigned memory_scan_block(const uint8_t *copy, size_t len, uintptr_t from,
                                         const uint8_t *needle, size_t needle_len)
{
    unsigned       found = 0;
    const uint8_t *at = copy;

    while ((at = memmem(at, len - (size_t)(at - copy), needle, needle_len)) != NULL) {
        found += from + (size_t)(at - copy) != (uintptr_t)needle;
        at++;
    }
    return found;
}

/* Copies of `needle` in the writable memory of this process, but for the needle itself. The scan reads
 * through a mapping of its own, which it skips; memfd_secret cannot be read this way at all. Aborts
 * when it cannot look. */
static inline unsigned memory_copies(const uint8_t *needle, size_t needle_len)
{
    static struct {
        unsigned long from, to;
    } region[SCAN_REGIONS];
    char     line[512];
    size_t   n = 0;
    unsigned found = 0;
    /* shared, so that it is a region of its own */
    uint8_t *block = mmap(NULL, SCAN_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                          0);
    FILE    *maps = fopen("/proc/self/maps", "re");
    int      mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

    if (block == MAP_FAILED || maps == NULL || mem < 0)
        abort();
    while (n < SCAN_REGIONS && fgets(line, sizeof line, maps) != NULL) {
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &region[n].from, &region[n].to, mode) != 3 ||
            mode[0] != 'r' || mode[1] != 'w' || region[n].from == (uintptr_t)block ||
            region[n].to - region[n].from > SCAN_REGION_MAX)
            continue; /* a sanitizer's shadow is longer */
        n++;
    }
    (void)fclose(maps);
    for (size_t i = 0; i < n; i++) {
        unsigned long at = region[i].from;
        while (at < region[i].to) {
            size_t  want = region[i].to - at < SCAN_BLOCK ? region[i].to - at : SCAN_BLOCK;
            ssize_t got = pread(mem, block, want, (off_t)at);
            if (got > 0)
                found += memory_scan_block(block, (size_t)got, at, needle, needle_len);
            /* blocks overlap, so that nothing lies across two */
            at += want == SCAN_BLOCK ? want - (needle_len - 1) : want;
        }
    }
    explicit_bzero(block, SCAN_BLOCK);
    (void)munmap(block, SCAN_BLOCK);
    (void)close(mem);
    return found;
}
