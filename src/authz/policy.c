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

/* Whether, and how, the statement applies. */
static enum cover apply(struct evaluation *ev, const struct policy *p, const struct statement *s,
                        struct bytes action)
{
    bool has_resource = p->kind != POLICY_TRUST;

    if (!spend(ev, NO_STATEMENT_COST + s->principals.n) || !listed(ev, &s->actions, action))
        return COVERS_NOT;
    enum cover cover = principals_cover(&s->principals, s->deny, &ev->rq->caller);
    if (cover == COVERS_NOT || (has_resource && !listed(ev, &s->resources, ev->rq->resource)) ||
        !conditions_hold(ev, s))
        return COVERS_NOT;
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
