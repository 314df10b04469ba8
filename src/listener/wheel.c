/* listener/wheel.c - see wheel_internal.h. */
#include "listener/wheel_internal.h"

#include <stddef.h>

void wheel_init(struct wheel *w, int64_t tick_ms, int64_t now_ms)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        link_init(&w->slots[i]);
    w->tick_ms = tick_ms;
    w->done = now_ms / tick_ms;
}

void wheel_entry_init(struct wheel_entry *e)
{
    link_init(&e->link);
    e->deadline_ms = 0;
    e->tick = 0;
}

/* Into the slot of the first tick that is not before the deadline; a deadline beyond the wheel waits
 * in the last slot and is put back from there. */
static void put(struct wheel *w, struct wheel_entry *e)
{
    int64_t tick = e->deadline_ms / w->tick_ms + 1;

    if (tick <= w->done)
        tick = w->done + 1;
    if (tick >= w->done + WHEEL_SLOTS)
        tick = w->done + WHEEL_SLOTS - 1;
    e->tick = tick;
    link_append(&w->slots[tick % WHEEL_SLOTS], &e->link);
}

void wheel_set(struct wheel *w, struct wheel_entry *e, int64_t deadline_ms)
{
    bool waiting = !link_empty(&e->link);

    e->deadline_ms = deadline_ms;
    if (waiting && e->tick <= deadline_ms / w->tick_ms + 1)
        return;
    link_remove(&e->link);
    put(w, e);
}

void wheel_remove(struct wheel_entry *e)
{
    link_remove(&e->link);
}

void wheel_due(struct wheel *w, int64_t now_ms, struct link *ret_due)
{
    int64_t     now = now_ms / w->tick_ms;
    int64_t     from = w->done + 1;
    struct link later;

    link_init(ret_due);
    if (now - w->done > WHEEL_SLOTS) /* asleep for a whole turn of the wheel: every slot once */
        from = now - WHEEL_SLOTS + 1;
    w->done = now > w->done ? now : w->done;
    for (int64_t tick = from; tick <= now; tick++) {
        link_take_all(&w->slots[tick % WHEEL_SLOTS], &later);
        while (!link_empty(&later)) {
            struct wheel_entry *e = LINK_OWNER(later.next, struct wheel_entry, link);
            link_remove(&e->link);
            if (e->deadline_ms <= now_ms)
                link_append(ret_due, &e->link);
            else
                put(w, e);
        }
    }
}
