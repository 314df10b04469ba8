/* server_waiting.c - finished requests whose audit records have to be on disk before their answers leave:
 * all with audit-sync=always, failed changes otherwise.
 *
 * A loop does not wait for the disk: it hands such requests of a turn over as a group and goes on with
 * others. When the audit has synced their records, one task brings the group back to its loop, which
 * answers.
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "request_internal.h"

struct waiting {
    struct audit_waiter  waiter;
    struct listener_task task;
    struct waiting      *next_free;
    struct waiting      *next; /* all of the loop */
    struct server       *server;
    unsigned             loop;
    enum kms_status      status;
    size_t               n, cap;
    struct request     **list;
};

void waiting_put(struct waiting *g)
{
    if (g == NULL)
        return;
    struct loop *l = &g->server->loops[g->loop];
    g->n = 0;
    g->next_free = l->waiting_free;
    l->waiting_free = g;
}

static void answer_group(void *arg)
{
    struct waiting *g = arg;
    struct server  *s = g->server;

    if (g->status != KMS_OK) {
        struct kms_error err;
        (void)KMS_FAIL(&err, g->status, "the audit could not be synced");
        server_refuse(g->list, g->n, &err);
    }
    server_answer(s, &s->loops[g->loop], g->list, g->n);
    waiting_put(g);
}

/* On the audit's thread. */
static void told(struct audit_waiter *w, enum kms_status status)
{
    struct waiting *g = (void *)((char *)w - offsetof(struct waiting, waiter));

    g->status = status;
    listener_post(g->server->listener, g->loop, &g->task);
}

static struct waiting *waiting_new(struct server *s, unsigned loop)
{
    struct loop    *l = &s->loops[loop];
    struct waiting *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->server = s;
    g->loop = loop;
    g->waiter.told = told;
    g->task = (struct listener_task){ .fn = answer_group, .arg = g };
    g->next = l->waiting_all;
    l->waiting_all = g;
    return g;
}

struct waiting *waiting_take(struct server *s, unsigned loop, size_t n)
{
    struct loop    *l = &s->loops[loop];
    struct waiting *g = l->waiting_free;

    if (g != NULL)
        l->waiting_free = g->next_free;
    else
        g = waiting_new(s, loop);
    if (g == NULL || n <= g->cap)
        return g;
    struct request **list = reallocarray(g->list, n, sizeof(struct request *));
    if (list == NULL) {
        waiting_put(g);
        return NULL;
    }
    g->list = list;
    g->cap = n;
    return g;
}

void waiting_add(struct waiting *g, struct request *rq)
{
    assert(g->n < g->cap);
    g->list[g->n++] = rq;
}

struct audit_waiter *waiting_waiter(struct waiting *g)
{
    return &g->waiter;
}

void waiting_free_all(struct loop *l)
{
    while (l->waiting_all != NULL) {
        struct waiting *g = l->waiting_all;
        l->waiting_all = g->next;
        free(g->list);
        free(g);
    }
}
