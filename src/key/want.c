/* key/want.c - see want.h. */
#include "key/want.h"

#include <string.h>

/* False if `text` is not as any key has it. */
static bool put(char *to, size_t size, struct bytes text)
{
    if (text.len >= size || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL))
        return false;
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return true;
}

bool key_want_named(struct key_want *ret, struct bytes account, struct bytes region,
                    struct bytes key_id)
{
    struct key_want want = { .kind = WANT_KEY };

    if (key_id.len == 0 || !put(want.account, sizeof want.account, account) ||
        !put(want.region, sizeof want.region, region) ||
        !put(want.key_id, sizeof want.key_id, key_id))
        return false;
    *ret = want;
    return true;
}

bool key_want_material(struct key_want *ret, struct bytes region, const struct material_id *id)
{
    struct key_want want = { .kind = WANT_MATERIAL, .material = *id };

    if (!put(want.region, sizeof want.region, region))
        return false;
    *ret = want;
    return true;
}

bool key_want_same(const struct key_want *a, const struct key_want *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case WANT_KEY:
        return strcmp(a->key_id, b->key_id) == 0 && strcmp(a->region, b->region) == 0 &&
               strcmp(a->account, b->account) == 0;
    case WANT_MATERIAL:
        return strcmp(a->region, b->region) == 0 &&
               memcmp(a->material.b, b->material.b, sizeof a->material.b) == 0;
    case WANT_SERIAL: return a->serial == b->serial;
    case WANT_PAGE:
        return a->serial == b->serial && strcmp(a->region, b->region) == 0 &&
               strcmp(a->account, b->account) == 0;
    case WANT_CHECK:   return true;
    case WANT_NOTHING: break;
    }
    return false;
}

void key_wants_add(struct key_wants *w, const struct key_want *want)
{
    for (size_t i = 0; i < w->n_absent; i++) {
        if (key_want_same(&w->absent[i], want))
            return;
    }
    if (w->next.kind == WANT_NOTHING)
        w->next = *want;
}

void key_wants_served(struct key_wants *w, bool found)
{
    if (!found && w->next.kind != WANT_PAGE && w->n_absent < KEY_ABSENT_MAX)
        w->absent[w->n_absent++] = w->next;
    w->next = (struct key_want){ .kind = WANT_NOTHING };
}
