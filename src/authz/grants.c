/* authz/grants.c - which grants count for a request. Section numbers are those of
 * recorded-authz-multiregion.
 *
 * A grant counts if it is to the caller, has the operation and its constraints hold. How much it
 * gives then depends on how it is bound to the caller and on who issued it (4.10, rules 9 to 13).
 */
#include "authz/authz_internal.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"

/* --- constraints ------------------------------------------------------------------------------ */

/* The encryption context of the request, sorted by its keys: read when it is first needed. */
struct context {
    bool         read;
    bool         clear; /* false: it has no clear answer, no constraint holds */
    size_t       n;
    struct bytes keys[LIMIT_LIST_ITEMS], values[LIMIT_LIST_ITEMS];
    uint8_t      order[LIMIT_LIST_ITEMS];
};

_Static_assert(LIMIT_LIST_ITEMS <= UINT8_MAX + 1, "context.order holds every pair");

static int compare_keys(const void *a, const void *b, void *ctx)
{
    const struct context *context = ctx;

    return bytes_cmp(context->keys[*(const uint8_t *)a], context->keys[*(const uint8_t *)b]);
}

static void read_context(struct context *to, condition_source *values, void *ctx)
{
    struct condition_key  listing = { .id = ASK_ENCRYPTION_CONTEXT_KEYS };
    struct bytes          key = { NULL, 0 };
    char                  room[CONDITION_ROOM];
    enum condition_answer answer = CONDITION_ABSENT;

    to->read = true;
    to->n = 0;
    while (values != NULL && to->n < LIMIT_LIST_ITEMS) {
        answer = values(ctx, &listing, to->n, room, &key);
        if (answer != CONDITION_VALUE)
            break;
        struct condition_key one = { .id = ASK_ENCRYPTION_CONTEXT, .name = key };
        answer = values(ctx, &one, 0, room, &to->values[to->n]);
        if (answer != CONDITION_VALUE) { /* two keys that differ in case only */
            answer = CONDITION_UNSURE;
            break;
        }
        to->order[to->n] = (uint8_t)to->n;
        to->keys[to->n++] = key;
    }
    to->clear = answer == CONDITION_ABSENT ||
                (answer == CONDITION_VALUE &&
                 values(ctx, &listing, to->n, room, &key) == CONDITION_ABSENT);
    qsort_r(to->order, to->n, 1, compare_keys, to); /* so few need no memory */
}

static bool context_has(const struct context *context, const struct grant_pair *pair)
{
    size_t low = 0;
    size_t high = context->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t at = context->order[middle];
        int    difference = bytes_cmp(context->keys[at], pair->key);
        if (difference == 0)
            return bytes_eq(context->values[at], pair->value);
        if (difference < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Keys and values are compared byte for byte: other than condition keys these have a case. */
static bool context_holds(const struct grant_record *g, struct context *context,
                          condition_source *values, void *ctx)
{
    if (g->constraint == GRANT_UNCONSTRAINED)
        return true;
    if (!context->read)
        read_context(context, values, ctx);
    if (!context->clear ||
        (g->constraint == GRANT_CONTEXT_EQUALS ? context->n != g->n_pairs
                                               : g->constraint != GRANT_CONTEXT_SUBSET))
        return false;
    for (size_t i = 0; i < g->n_pairs; i++) {
        if (!context_has(context, &g->pairs[i]))
            return false;
    }
    return true;
}

bool authz_grant_context_holds(const struct grant_record *g, condition_source *values, void *ctx)
{
    struct context context;

    context.read = false;
    return context_holds(g, &context, values, ctx);
}

/* A request that says nothing of a source is not on behalf of this one. */
static bool source_holds(const struct grant_record *g, const struct authz_request *rq)
{
    struct condition_key key = { .id = ASK_SOURCE_ARN };
    char                 room[CONDITION_ROOM];
    struct bytes         source;

    if (g->source_arn.len == 0)
        return true;
    return rq->values != NULL && rq->values(rq->ctx, &key, 0, room, &source) == CONDITION_VALUE &&
           bytes_eq(source, g->source_arn);
}

/* --- delegation (4.10, rule 14) --------------------------------------------------------------- */

static bool pairs_within(const struct grant_record *parent, const struct grant_record *child)
{
    for (size_t i = 0; i < parent->n_pairs; i++) {
        bool found = false;
        for (size_t k = 0; k < child->n_pairs && !found; k++)
            found = bytes_eq(parent->pairs[i].key, child->pairs[k].key) &&
                    bytes_eq(parent->pairs[i].value, child->pairs[k].value);
        if (!found)
            return false;
    }
    return true;
}

static bool at_least_as_narrow(const struct grant_record *parent, const struct grant_record *child)
{
    switch (parent->constraint) {
    case GRANT_UNCONSTRAINED: return true;
    case GRANT_CONTEXT_SUBSET:
        return child->constraint != GRANT_UNCONSTRAINED && pairs_within(parent, child);
    case GRANT_CONTEXT_EQUALS:
        return child->constraint == GRANT_CONTEXT_EQUALS && child->n_pairs == parent->n_pairs &&
               pairs_within(parent, child);
    }
    return false;
}

/* May the parent, all by itself, make this child? */
static bool delegates(const struct grant_record *parent, const struct grant_record *child)
{
    return child != NULL && (child->operations & ~parent->operations) == 0 &&
           (parent->source_arn.len == 0 || bytes_eq(parent->source_arn, child->source_arn)) &&
           at_least_as_narrow(parent, child);
}

/* --- which ones count ------------------------------------------------------------------------- */

static enum authz_grant_flaw flaw_of(const struct authz_request *rq, const struct grant_record *g,
                                     struct context *context)
{
    if ((g->operations & 1u << rq->operation) == 0)
        return GRANT_LACKS_OPERATION;
    if (!source_holds(g, rq))
        return GRANT_HAS_OTHER_SOURCE;
    if (rq->operation == GRANT_CREATE_GRANT)
        return delegates(g, rq->child) ? GRANT_COUNTS : GRANT_IS_NARROWER;
    if (rq->operation == GRANT_DESCRIBE_KEY) /* has no encryption context (kms-behaviour 11) */
        return GRANT_COUNTS;
    return context_holds(g, context, rq->values, rq->ctx) ? GRANT_COUNTS : GRANT_HAS_OTHER_CONTEXT;
}

enum authz_grant_flaw authz_grant_flaw(const struct authz_request *rq, const struct grant_record *g)
{
    struct context context;

    context.read = false;
    return flaw_of(rq, g, &context);
}

/* Rules 11 to 13: a grant that the owner of the key gave to another account is half of what it
 * needs; one that the caller's own account gave is a grant like any other. */
static bool is_whole(const struct authz_request *rq, const struct grant_record *g)
{
    return authz_is_own(rq) || rq->caller->as.kind == CALLER_SERVICE ||
           bytes_eq(g->issuing_account, rq->caller->as.account);
}

static void note(const struct authz_request *rq, const struct grant_record *g,
                 enum authz_binding how, struct authz_granted *to)
{
    const struct grant_record **at = is_whole(rq, g) ? &to->whole[how] : &to->half[how];

    if (*at == NULL)
        *at = g;
}

/* How an identity that a grant names is the caller's; AUTHZ_BINDINGS: it is not. */
static enum authz_binding binding_of(const struct policy_caller *c, struct bytes identity,
                                     bool is_service)
{
    bool session = c->kind == CALLER_SESSION;

    if (is_service != (c->kind == CALLER_SERVICE) || identity.len == 0)
        return AUTHZ_BINDINGS;
    if (is_service)
        return bytes_eq(identity, c->arn) ? BOUND_EXACTLY : AUTHZ_BINDINGS;
    if (bytes_eq(identity, c->account))
        return c->kind == CALLER_ROOT ? BOUND_EXACTLY : BOUND_TO_ACCOUNT;
    if (bytes_eq(identity, c->unique_id))
        return BOUND_EXACTLY;
    if (session && bytes_starts(c->unique_id, identity) && c->unique_id.ptr[identity.len] == ':')
        return BOUND_TO_ROLE;
    return AUTHZ_BINDINGS;
}

/* RetireGrant is decided by the grant that is to go, and no constraint matters: its retiring
 * principal may, its grantee if it has the operation (rule 15), and the account that made it
 * (kms-behaviour 11). */
static void look_at_retiring(const struct authz_request *rq, struct authz_granted *ret)
{
    const struct policy_caller *c = &rq->caller->as;
    const struct grant_record  *g = rq->retiring;
    enum authz_binding          retires = binding_of(c, g->retiring, g->retiring_is_service);
    enum authz_binding          uses = binding_of(c, g->grantee, g->grantee_is_service);

    if (retires != AUTHZ_BINDINGS)
        note(rq, g, retires, ret);
    if (uses != AUTHZ_BINDINGS && (g->operations & 1u << GRANT_RETIRE_GRANT) != 0)
        note(rq, g, uses, ret);
    if (c->kind != CALLER_SERVICE && bytes_eq(c->account, g->issuing_account))
        note(rq, g, BOUND_TO_ACCOUNT, ret);
}

void authz_look_at_grants(const struct authz_request *rq, struct authz_granted *ret)
{
    struct context context;

    *ret = (struct authz_granted){ 0 };
    context.read = false;
    if (rq->operation == GRANT_RETIRE_GRANT) {
        if (rq->retiring != NULL)
            look_at_retiring(rq, ret);
        return;
    }
    for (unsigned how = 0; how < AUTHZ_BINDINGS; how++) {
        const struct grant_set *set = rq->grants[how];
        for (size_t i = 0; set != NULL && i < set->n && ret->whole[how] == NULL; i++) {
            if (flaw_of(rq, set->grants[i], &context) == GRANT_COUNTS)
                note(rq, set->grants[i], (enum authz_binding)how, ret);
        }
        if (ret->whole[how] != NULL && how == BOUND_EXACTLY)
            return; /* which gives more than any other */
    }
}
