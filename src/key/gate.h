/* key/gate.h - several records change, and nobody sees some of them new and others old.
 *
 * One writer shuts the gate, publishes, and opens it again, without waiting for anybody between. A
 * reader looks first and asks the gate afterwards. If it is shut, what it saw may be new: it waits until
 * the gate has been opened and looks again. So whoever goes on with something new knows that all of it
 * is there, and everybody whom he tells. Readers who saw something old came before.
 *
 * What the reader looks at must be read with acquire and written with release: then a reader who saw
 * something new sees the gate as it was shut for it, or as it was left later.
 */
#pragma once

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    _Atomic uint64_t turn; /* odd: shut. Zeroed: open */
};

static inline void gate_shut(struct gate *g)
{
    atomic_fetch_add(&g->turn, 1);
}

static inline void gate_open(struct gate *g)
{
    atomic_fetch_add(&g->turn, 1);
}

/* After looking: true if it was shut, once it has been opened; what was seen does not count then. */
static inline bool gate_was_shut(const struct gate *g)
{
    uint64_t turn = atomic_load_explicit(&g->turn, memory_order_acquire);

    if ((turn & 1) == 0)
        return false;
    while (atomic_load_explicit(&g->turn, memory_order_acquire) == turn)
        (void)sched_yield();
    return true;
}
