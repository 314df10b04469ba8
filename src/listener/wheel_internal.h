/* listener/wheel_internal.h - deadlines of many connections, looked at once per tick.
 *
 * A deadline that moves away, as it does with every request, costs one store: its entry stays where
 * it is and is put back when its slot comes. Only a deadline that comes nearer moves its entry.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A circular list; the head is a link too. */
struct link {
    struct link *prev;
    struct link *next;
};

static inline void link_init(struct link *l)
{
    l->prev = l;
    l->next = l;
}

static inline bool link_empty(const struct link *head)
{
    return head->next == head;
}

/* Fine for a link that is in no list. */
static inline void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}

static inline void link_append(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

/* Moves the whole list to `to`, which is initialised. */
static inline void link_take_all(struct link *head, struct link *to)
{
    link_init(to);
    if (link_empty(head))
        return;
    *to = *head;
    to->next->prev = to;
    to->prev->next = to;
    link_init(head);
}

#define LINK_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

enum { WHEEL_SLOTS = 256 };

struct wheel {
    struct link slots[WHEEL_SLOTS];
    int64_t     tick_ms;
    int64_t     done; /* the last tick that was looked at */
};

struct wheel_entry {
    struct link link;
    int64_t     deadline_ms;
    int64_t     tick; /* whose slot it is in */
};

void wheel_init(struct wheel *w, int64_t tick_ms, int64_t now_ms);
void wheel_entry_init(struct wheel_entry *e);
/* From now on `e` is due at deadline_ms; due at most a tick and a bit late, never early. */
void wheel_set(struct wheel *w, struct wheel_entry *e, int64_t deadline_ms);
void wheel_remove(struct wheel_entry *e);
/* Moves what is due at now_ms to the list `ret_due` (through e->link), which is initialised. */
void wheel_due(struct wheel *w, int64_t now_ms, struct link *ret_due);
