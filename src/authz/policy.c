/* authz/policy.c - what a compiled policy says of a request. See policy.h.
 *
 * Every statement is looked at until one denies. Nothing here allocates; the steps of the
 * evaluation bound its cost whatever the document and the request are, and where they run out, or
 * the request has no clear answer, the verdict is a denial.
 */
#include "authz/policy_internal.h"

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
        if (ev->rq->lasting && !s->deny && !condition_key_lasts(s->conditions[i].key.id))
            return false;
        if (!condition_holds(ev, &s->conditions[i]))
            return false;
    }
    return true;
}

/* NOTHING where the statement does not apply, DENIES or what its principals are allowed. */
static enum policy_verdict apply(struct evaluation *ev, const struct policy *p,
                                 const struct statement *s, struct bytes action)
{
    bool has_resource = p->kind != POLICY_TRUST;

    if (!spend(ev, NO_STATEMENT_COST + s->principals.n) || !listed(ev, &s->actions, action))
        return POLICY_NOTHING;
    enum policy_verdict cover = principals_cover(&s->principals, s->deny, &ev->rq->caller);
    if (cover == POLICY_NOTHING || (has_resource && !listed(ev, &s->resources, ev->rq->resource)) ||
        !conditions_hold(ev, s))
        return POLICY_NOTHING;
    return s->deny ? POLICY_DENIES : cover;
}

struct policy_result policy_evaluate(const struct policy *p, const struct policy_request *rq)
{
    struct policy_result best = { .statement = POLICY_NO_STATEMENT };
    struct evaluation    ev;
    uint8_t              lowered[ACTION_MAX];

    ev.rq = rq;
    ev.left = EVALUATION_STEPS;
    ev.unsure = rq->action.len > sizeof lowered;
    for (size_t i = 0; i < rq->action.len && !ev.unsure; i++) {
        uint8_t c = rq->action.ptr[i];
        lowered[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
    }
    struct bytes action = bytes_of(lowered, rq->action.len);
    for (size_t i = 0; i < p->n_statements && !ev.unsure && best.verdict != POLICY_DENIES; i++) {
        enum policy_verdict verdict = apply(&ev, p, &p->statements[i], action);
        if (verdict > best.verdict)
            best = (struct policy_result){ verdict, (int)i, p->statements[i].sid, false };
    }
    if (ev.unsure)
        best = (struct policy_result){ POLICY_DENIES, POLICY_NO_STATEMENT, { NULL, 0 }, true };
    return best;
}
