/* key/grant.c - see grant.h. */
#include "key/grant.h"

#include <assert.h>

/* A grant to a role session with a constraint of one pair fits. */
enum { GRANT_BLOCK = 1024 };

const char *const grant_operation_names[GRANT_OPERATION_COUNT + 1] = {
#define GRANT_NAME(id, name) [id] = name,
    GRANT_OPERATIONS(GRANT_NAME)
#undef GRANT_NAME
};

enum grant_operation grant_operation_of(struct bytes name)
{
    for (size_t i = 0; i < GRANT_OPERATION_COUNT; i++) {
        if (bytes_eq_str(name, grant_operation_names[i]))
            return (enum grant_operation)i;
    }
    return GRANT_NO_OPERATION;
}

struct grant_record *grant_record_new(void)
{
    struct arena *arena = arena_new(GRANT_BLOCK);

    if (arena == NULL)
        return NULL;
    struct grant_record *g = arena_alloc(arena, sizeof *g);

    g->arena = arena;
    return g;
}

void grant_record_free(struct grant_record *g)
{
    if (g != NULL)
        arena_free(g->arena); /* the record lies in it */
}

void grant_record_freep(struct grant_record **g)
{
    grant_record_free(*g);
    *g = NULL;
}

void grant_record_set_key(struct grant_record *g, struct bytes account, struct bytes region,
                          struct bytes key_id)
{
    char       text[KEY_ARN_MAX + 1];
    struct buf arn = { .ptr = (uint8_t *)text, .cap = sizeof text, .limit = sizeof text };
    const struct key_name like = { .account = account, .region = region, .id = key_id };

    assert(account.len <= ACCOUNT_LEN && region.len <= REGION_MAX && key_id.len <= KEY_ID_MAX);
    key_arn_add(&arn, account, region, key_id); /* fits, so `text` is never grown out of */
    assert(buf_ok(&arn));
    g->key = key_name_in(arena_copy(g->arena, buf_bytes(&arn)), &like);
}

static bool same_pairs(const struct grant_record *a, const struct grant_record *b)
{
    if (a->constraint != b->constraint || a->n_pairs != b->n_pairs)
        return false;
    for (size_t i = 0; i < a->n_pairs; i++) {
        if (!bytes_eq(a->pairs[i].key, b->pairs[i].key) ||
            !bytes_eq(a->pairs[i].value, b->pairs[i].value))
            return false;
    }
    return true;
}

bool grant_same(const struct grant_record *a, const struct grant_record *b)
{
    return bytes_eq(a->key.arn, b->key.arn) && bytes_eq(a->name, b->name) &&
           bytes_eq(a->grantee, b->grantee) && a->grantee_is_service == b->grantee_is_service &&
           bytes_eq(a->retiring, b->retiring) && a->retiring_is_service == b->retiring_is_service &&
           bytes_eq(a->issuing_account, b->issuing_account) && a->operations == b->operations &&
           same_pairs(a, b) && bytes_eq(a->source_arn, b->source_arn);
}

/* --- pairs as they are stored ----------------------------------------------------------------- */

void grant_pairs_add(struct buf *out, const struct grant_record *g)
{
    for (size_t i = 0; i < g->n_pairs; i++) {
        buf_add_field(out, g->pairs[i].key);
        buf_add_field(out, g->pairs[i].value);
    }
}

static bool take_field(struct bytes *in, struct bytes *ret)
{
    uint32_t len = 0;

    return bytes_take_u32(in, &len) && bytes_take(in, len, ret);
}

bool grant_pairs_read(struct grant_record *g, struct bytes stored)
{
    struct grant_pair pairs[GRANT_PAIRS_MAX];
    size_t            n = 0;

    g->pairs = NULL;
    g->n_pairs = 0;
    for (; stored.len > 0; n++) {
        if (n == GRANT_PAIRS_MAX || !take_field(&stored, &pairs[n].key) ||
            !take_field(&stored, &pairs[n].value) ||
            (n > 0 && bytes_cmp(pairs[n - 1].key, pairs[n].key) >= 0))
            return false;
    }
    if (n == 0)
        return true;
    g->pairs = arena_alloc(g->arena, n * sizeof pairs[0]);
    g->n_pairs = n;
    for (size_t i = 0; i < n; i++) {
        g->pairs[i].key = arena_copy(g->arena, pairs[i].key);
        g->pairs[i].value = arena_copy(g->arena, pairs[i].value);
    }
    return true;
}
