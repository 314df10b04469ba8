/* iam/uses.c - which users and roles have which managed policies, attached or as boundary. */
#include "iam/internal.h"

#include <stdlib.h>

enum { CHUNK = 128, ROOM_FIRST = 256 };

struct iam_use {
    struct bytes arn;
    bool         boundary;
};

/* Calls `visit` for every user and role of the account, until it returns false. */
static bool each_identity(const struct op_call *call,
                          bool (*visit)(const struct identity_record *r, void *ctx), void *ctx)
{
    const struct identity_record *chunk[CHUNK];

    for (enum identity_kind kind = IDENTITY_USER; kind <= IDENTITY_ROLE; kind++) {
        uint64_t after = 0;
        size_t   n = CHUNK;
        while (n == CHUNK) {
            n = book_list_identities(call->env->identities, call->account, kind, after, chunk,
                                     CHUNK);
            for (size_t i = 0; i < n; i++) {
                after = chunk[i]->serial;
                if (!visit(chunk[i], ctx))
                    return false;
            }
        }
    }
    return true;
}

/* --- of one policy ---------------------------------------------------------------------------- */

struct tally {
    struct bytes    arn;
    struct iam_uses uses;
};

static bool count(const struct identity_record *r, void *ctx)
{
    struct tally *t = ctx;

    t->uses.attached += iam_attached_at(r, t->arn) < r->n_attached;
    t->uses.boundaries += bytes_eq(r->boundary, t->arn);
    return true;
}

struct iam_uses iam_uses(const struct op_call *call, struct bytes policy_arn)
{
    struct tally t = { .arn = policy_arn };

    (void)each_identity(call, count, &t);
    return t.uses;
}

/* --- of all ----------------------------------------------------------------------------------- */

static bool add(struct iam_use_table *t, struct bytes arn, bool boundary)
{
    if (t->n == t->room) {
        size_t          room = t->room == 0 ? ROOM_FIRST : 2 * t->room;
        struct iam_use *more = reallocarray(t->uses, room, sizeof *more);
        if (more == NULL)
            return false;
        t->uses = more;
        t->room = room;
    }
    t->uses[t->n++] = (struct iam_use){ arn, boundary };
    return true;
}

static bool add_all(const struct identity_record *r, void *ctx)
{
    for (size_t i = 0; i < r->n_attached; i++) {
        if (!add(ctx, r->attached[i], false))
            return false;
    }
    return r->boundary.len == 0 || add(ctx, r->boundary, true);
}

static int by_arn(const void *a, const void *b)
{
    const struct iam_use *x = a;
    const struct iam_use *y = b;

    return bytes_cmp(x->arn, y->arn);
}

enum kms_status iam_use_table(const struct op_call *call, struct iam_use_table *ret,
                              struct kms_error *reterr)
{
    CLEANUP(iam_use_table_release) struct iam_use_table t = { .n = 0 };

    if (!each_identity(call, add_all, &t))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the uses of policies");
    if (t.n > 0)
        qsort(t.uses, t.n, sizeof t.uses[0], by_arn);
    *ret = t;
    t = (struct iam_use_table){ .n = 0 };
    return KMS_OK;
}

void iam_use_table_release(struct iam_use_table *t)
{
    free(t->uses);
    *t = (struct iam_use_table){ .n = 0 };
}

struct iam_uses iam_use_table_find(const struct iam_use_table *t, struct bytes policy_arn)
{
    struct iam_uses uses = { 0, 0 };
    size_t          low = 0;
    size_t          high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_cmp(t->uses[middle].arn, policy_arn) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < t->n && bytes_eq(t->uses[low].arn, policy_arn); low++) {
        uses.attached += !t->uses[low].boundary;
        uses.boundaries += t->uses[low].boundary;
    }
    return uses;
}
