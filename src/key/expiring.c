/* key/expiring.c - see expiring.h. */
#include "key/expiring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "key/state.h"

enum { SLACK = 4096 }; /* hints beyond twice the needed ones */

struct expiring {
    pthread_mutex_t      lock;
    struct expiring_key *heap; /* the soonest first; doubles are neighbours in its order */
    size_t               n, cap;
    size_t               crowded_at;
};

struct expiring *expiring_new(void)
{
    struct expiring *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    (void)pthread_mutex_init(&e->lock, NULL);
    e->crowded_at = SLACK;
    return e;
}

void expiring_free(struct expiring *e)
{
    if (e == NULL)
        return;
    (void)pthread_mutex_destroy(&e->lock);
    free(e->heap);
    free(e);
}

static int compare(const struct expiring_key *a, const struct expiring_key *b)
{
    if (a->valid_to != b->valid_to)
        return a->valid_to < b->valid_to ? -1 : 1;
    int by_id = strcmp(a->key_id, b->key_id);
    if (by_id == 0)
        by_id = strcmp(a->region, b->region);
    return by_id != 0 ? by_id : strcmp(a->account, b->account);
}

static void swap(struct expiring_key *a, struct expiring_key *b)
{
    struct expiring_key t = *a;

    *a = *b;
    *b = t;
}

static void push(struct expiring *e, const struct expiring_key *key)
{
    if (e->n == e->cap) {
        size_t               cap = e->cap == 0 ? 256 : e->cap * 2;
        struct expiring_key *more = realloc(e->heap, cap * sizeof *more);
        if (more == NULL)
            return; /* a metric less */
        e->heap = more;
        e->cap = cap;
    }
    size_t at = e->n++;
    e->heap[at] = *key;
    while (at > 0 && compare(&e->heap[at], &e->heap[(at - 1) / 2]) < 0) {
        swap(&e->heap[at], &e->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct expiring_key pop(struct expiring *e)
{
    struct expiring_key top = e->heap[0];

    e->heap[0] = e->heap[--e->n];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < e->n && compare(&e->heap[child], &e->heap[least]) < 0)
                least = child;
        }
        if (least == at)
            return top;
        swap(&e->heap[at], &e->heap[least]);
        at = least;
    }
}

static void copy(char *to, size_t size, struct bytes from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;

    memcpy(to, from.ptr, n);
    to[n] = '\0';
}

void expiring_note(struct expiring *e, const struct key_record *key)
{
    struct expiring_key hint = { .valid_to = key_valid_to(key) };

    if (hint.valid_to == 0)
        return;
    copy(hint.account, sizeof hint.account, key->name.account);
    copy(hint.region, sizeof hint.region, key->name.region);
    copy(hint.key_id, sizeof hint.key_id, key->name.id);
    pthread_mutex_lock(&e->lock);
    push(e, &hint);
    pthread_mutex_unlock(&e->lock);
}

bool expiring_crowded(struct expiring *e)
{
    pthread_mutex_lock(&e->lock);
    bool crowded = e->n > e->crowded_at;
    pthread_mutex_unlock(&e->lock);
    return crowded;
}

void expiring_clear(struct expiring *e)
{
    pthread_mutex_lock(&e->lock);
    e->n = 0;
    pthread_mutex_unlock(&e->lock);
}

void expiring_filled(struct expiring *e)
{
    pthread_mutex_lock(&e->lock);
    e->crowded_at = 2 * e->n + SLACK;
    pthread_mutex_unlock(&e->lock);
}

/* What is taken out goes back in, without its doubles: 1,000 of a million are 20,000 steps each way. */
size_t expiring_soonest(struct expiring *e, int64_t now, struct expiring_key *ret, size_t max)
{
    size_t n = 0;

    pthread_mutex_lock(&e->lock);
    while (e->n > 0 && n < max) {
        struct expiring_key top = pop(e);
        bool                twice = n > 0 && compare(&ret[n - 1], &top) == 0;
        if (top.valid_to > now && !twice)
            ret[n++] = top;
    }
    for (size_t i = 0; i < n; i++)
        push(e, &ret[i]);
    pthread_mutex_unlock(&e->lock);
    return n;
}
