/* webhook/backoff.c - what waits, and how long; see internal.h. Pure. */
#include <string.h>

#include "webhook/internal.h"

int64_t retry_after_ms(unsigned failures, uint64_t chance)
{
    int64_t wait = RETRY_FIRST_MS;

    while (--failures > 0 && wait < RETRY_LONGEST_MS)
        wait *= 2;
    if (wait > RETRY_LONGEST_MS)
        wait = RETRY_LONGEST_MS;
    return wait - (int64_t)(chance % (uint64_t)(wait / 2 + 1));
}

struct hold *hold_of(struct holds *h, struct bytes key_arn)
{
    for (size_t i = 0; i < h->n; i++) {
        if (bytes_eq_str(key_arn, h->list[i].key_arn))
            return &h->list[i];
    }
    return NULL;
}

struct hold *hold_key(struct holds *h, const struct delivery *d, int64_t now, uint64_t chance)
{
    struct hold *at = hold_of(h, d->key_arn);

    if (at == NULL) {
        if (h->n == HOLDS_MAX || d->key_arn.len > KEY_ARN_MAX)
            return NULL;
        at = &h->list[h->n++];
        *at = (struct hold){ .at = d->at };
        memcpy(at->key_arn, d->key_arn.ptr, d->key_arn.len);
    }
    at->failures++;
    at->seen = true;
    at->next_try = now + retry_after_ms(at->failures, chance);
    return at;
}

void hold_end(struct holds *h, struct bytes key_arn)
{
    struct hold *at = hold_of(h, key_arn);

    if (at != NULL)
        *at = h->list[--h->n];
}

int64_t holds_next(const struct holds *h)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < h->n; i++) {
        if (h->list[i].next_try < next)
            next = h->list[i].next_try;
    }
    return next;
}

void holds_hurry(struct holds *h, int64_t now)
{
    for (size_t i = 0; i < h->n; i++)
        h->list[i].next_try = now;
}

void holds_unsee(struct holds *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->list[i].seen = false;
}

void holds_drop_unseen(struct holds *h)
{
    for (size_t i = h->n; i > 0; i--) {
        if (!h->list[i - 1].seen)
            h->list[i - 1] = h->list[--h->n];
    }
}

/* Of 4xx those are about the receiver that say "not you", "not here" or "not now". */
enum verdict verdict_of(long status)
{
    switch (status) {
    case 401:
    case 403:
    case 404:
    case 405:
    case 407:
    case 408:
    case 410:
    case 421:
    case 425:
    case 429: return VERDICT_DOWN;
    default:  break;
    }
    if (status >= 200 && status < 300)
        return VERDICT_TAKEN;
    return status >= 400 && status < 500 ? VERDICT_REFUSED : VERDICT_DOWN;
}
