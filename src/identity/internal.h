/* identity/internal.h - shared by the files of this folder. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "identity/book.h"

/* The unique id that the lines have for this ARN; empty if it is not there. */
struct bytes principal_line(struct bytes lines, struct bytes arn);

/* --- what access keys were used for last (used.c) ------------------------------------------------ */

enum { REGION_NAMES_MAX = 1024, USED_SERVICES_MAX = 16 };

/* Numbers for the Regions of uses; a name is never taken away. */
struct region_names {
    pthread_mutex_t lock; /* for adding one */
    _Atomic size_t  n;
    char            name[REGION_NAMES_MAX][REGION_MAX + 1];
};
void region_names_init(struct region_names *r);
void region_names_release(struct region_names *r);

struct use_slot {
    _Atomic uint64_t word;    /* seconds, service, number of the Region; 0: never used */
    _Atomic bool     changed; /* since it was stored */
};
/* Any thread. True if this is a later use than the one that was marked. */
bool use_slot_mark(struct use_slot *slot, struct region_names *names,
                   const struct access_key_use *use);
/* False if never used; fills in at, service, region. */
bool use_slot_read(const struct use_slot *slot, const struct region_names *names,
                   struct access_key_use *ret);
