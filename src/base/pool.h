/* base/pool.h - a bounded pool of threads for the slow lane.
 *
 * Work is a task embedded in what it works on, so handing it over cannot fail. Every worker has a
 * number, for per-thread state such as its epoch reader.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct pool;

struct pool_task {
    struct pool_task *next;
    void (*run)(struct pool_task *task, unsigned worker);
    bool takes_long; /* a core for about a millisecond or more */
};

/* `workers` threads for tasks that are soon done, and `long_workers` (1 or more) for those that take
 * long: these never make the others wait, and have a lower priority than everybody, so that a core they
 * work on is given up at once. Workers are numbered from 0, the long ones last. `worker_end` runs at the
 * end of each worker thread (may be NULL). */
KMS_MUST_CHECK enum kms_status pool_new(unsigned workers, unsigned              long_workers,
                                        void (*worker_end)(void), struct pool **ret,
                                        struct kms_error *reterr);
void pool_submit(struct pool *p, struct pool_task *task); /* any thread */
unsigned pool_workers(const struct pool *p);              /* of both kinds */
size_t pool_waiting(struct pool *p);
void pool_stop(struct pool *p); /* finishes what is queued, joins, frees; NULL is fine */
