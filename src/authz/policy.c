/* authz/policy.c - what a compiled policy says of a request. See policy.h.
 *
 * Every statement is looked at until one denies. Nothing here allocates; the steps of the
 * evaluation bound its cost whatever the document and the request are, and where they run out, or
 * the request has no clear answer, the verdict is a denial.
 */
#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum { ACTION_MAX = 128, NO_STATEMENT_COST = 1 };

/* An absent element: the statement has no effect, except where the kind of document says that the
 * element does not belong in it at all. */
static bool listed(struct evaluation *ev, const struct patterns *list, struct bytes text)
{
    bool hit = false;

    for (size_t i = 0; i < list->n && !hit && !ev->unsure; i++)
        hit = pattern_matches(ev, &list->list[i], text);
    return list->presence == ELEMENT_EXCLUDED ? !hit : hit;
}

static bool conditions_hold(struct evaluation *ev, const struct statement *s)
{
    for (size_t i = 0; i < s->n_conditions; i++) {
        ev->condition = &s->conditions[i];
        if (ev->rq->lasting && !s->deny && !condition_key_lasts(s->conditions[i].key.id))
            return false;
        if (!condition_holds(ev, &s->conditions[i]))
            return false;
    }
    return true;
}

/* Whether, and how, the statement applies. */
static enum cover apply(struct evaluation *ev, const struct policy *p, const struct statement *s,
                        struct bytes action)
{
    bool has_resource = p->kind != POLICY_TRUST;

    ev->missed = PART_ACTION;
    if (!spend(ev, NO_STATEMENT_COST + s->principals.n) || !listed(ev, &s->actions, action))
        return COVERS_NOT;
    ev->missed = PART_PRINCIPAL;
    enum cover cover = principals_cover(&s->principals, s->deny, &ev->rq->caller);
    if (cover == COVERS_NOT)
        return COVERS_NOT;
    ev->missed = PART_RESOURCE;
    if (has_resource && !listed(ev, &s->resources, ev->rq->resource))
        return COVERS_NOT;
    ev->missed = PART_CONDITION;
    if (!conditions_hold(ev, s))
        return COVERS_NOT;
    ev->missed = PART_NONE;
    return cover;
}

static struct policy_result result_of(const struct statement *s, size_t number, enum cover cover)
{
    static const enum policy_verdict allowed[] = {
        [COVERS_NOT] = POLICY_NOTHING,
        [COVERS_ACCOUNT] = POLICY_DELEGATES,
        [COVERS] = POLICY_ALLOWS,
        [COVERS_ITSELF] = POLICY_ALLOWS,
    };

    return (struct policy_result){
        .verdict = s->deny && cover != COVERS_NOT ? POLICY_DENIES : allowed[cover],
        .statement = (int)number,
        .sid = s->sid,
        .directly = !s->deny && cover == COVERS_ITSELF,
    };
}

static bool outweighs(const struct policy_result *a, const struct policy_result *b)
{
    return a->verdict > b->verdict || (a->verdict == b->verdict && a->directly && !b->directly);
}

/* Begins an evaluation, but for `expanded`, which the pattern fills that needs it; the action in lower
 * case lies in `room`. */
static struct bytes begin(struct evaluation *ev, const struct policy_request *rq,
                          uint8_t room[ACTION_MAX])
{
    ev->rq = rq;
    ev->left = EVALUATION_STEPS;
    ev->unsure = rq->action.len > ACTION_MAX;
    ev->missed = PART_NONE;
    ev->condition = NULL;
    for (size_t i = 0; i < rq->action.len && !ev->unsure; i++) {
        uint8_t c = rq->action.ptr[i];
        room[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
    }
    return bytes_of(room, rq->action.len);
}

struct policy_result policy_evaluate(const struct policy *p, const struct policy_request *rq)
{
    struct policy_result            best = { .statement = POLICY_NO_STATEMENT };
    UNINITIALIZED struct evaluation ev;
    UNINITIALIZED uint8_t           room[ACTION_MAX];
    struct bytes                    action = begin(&ev, rq, room);

    for (size_t i = 0; i < p->n_statements && !ev.unsure && best.verdict != POLICY_DENIES; i++) {
        const struct statement *s = &p->statements[i];
        struct policy_result    r = result_of(s, i, apply(&ev, p, s, action));
        if (outweighs(&r, &best))
            best = r;
    }
    if (ev.unsure)
        best = (struct policy_result){ .verdict = POLICY_DENIES,
                                       .statement = POLICY_NO_STATEMENT,
                                       .unsure = true };
    return best;
}

struct statement_trace statement_trace(const struct policy *p, size_t number,
                                       const struct policy_request *rq)
{
    UNINITIALIZED struct evaluation ev;
    UNINITIALIZED uint8_t           room[ACTION_MAX];
    struct bytes                    action = begin(&ev, rq, room);

    (void)apply(&ev, p, &p->statements[number], action);
    return (struct statement_trace){
        .applies = ev.missed == PART_NONE && !ev.unsure,
        .unsure = ev.unsure,
        .missed = ev.missed,
        .condition = ev.missed == PART_CONDITION ? ev.condition : NULL,
    };
}
