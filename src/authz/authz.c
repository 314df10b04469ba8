/* authz/authz.c - the decision. See authz.h.
 *
 * First every document is asked whether it denies; then what the resource's side gives (its policy,
 * grants) is held against what the caller's side has to give besides. Section numbers are those of
 * recorded-authz-multiregion.
 */
#include "authz/authz_internal.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"

/* --- compiling -------------------------------------------------------------------------------- */

static struct policy *compile(enum policy_kind kind, struct bytes text, struct bytes principals)
{
    struct policy *p = NULL;

    if (policy_compile(kind, text, principals, &p, NULL) != KMS_OK)
        return NULL; /* checked before it was stored: this one was tampered with */
    return p;
}

static struct policy *compile_key_policy(struct bytes text, struct bytes principals)
{
    return compile(POLICY_KEY, text, principals);
}

static struct policy *compile_identity_policy(struct bytes text, struct bytes principals)
{
    return compile(POLICY_IDENTITY, text, principals);
}

static struct policy *compile_trust_policy(struct bytes text, struct bytes principals)
{
    return compile(POLICY_TRUST, text, principals);
}

const struct rights_compiler authz_rights_compiler = { compile_key_policy, policy_free };
const struct rights_compiler authz_identity_compiler = { compile_identity_policy, policy_free };
const struct rights_compiler authz_trust_compiler = { compile_trust_policy, policy_free };

/* --- refusing --------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    const char *why;       /* as section 3 has it */
    bool        of_action; /* ... and then "allows the <action> action" */
} reasons[AUTHZ_REASON_COUNT] = {
    [AUTHZ_ALLOWED] = { "allowed", "", false },
    [AUTHZ_DENIED_BY_IDENTITY_POLICY] = { "denied-by-identity-policy",
                                          "with an explicit deny in an identity-based policy",
                                          false },
    [AUTHZ_DENIED_BY_RESOURCE_POLICY] = { "denied-by-resource-policy",
                                          "with an explicit deny in a resource-based policy",
                                          false },
    [AUTHZ_DENIED_BY_SESSION_POLICY] = { "denied-by-session-policy",
                                         "with an explicit deny in a session policy", false },
    [AUTHZ_DENIED_BY_BOUNDARY] = { "denied-by-permissions-boundary",
                                   "with an explicit deny in a permissions boundary", false },
    [AUTHZ_NO_RESOURCE_POLICY] = { "no-resource-policy", "because no resource-based policy", true },
    [AUTHZ_NO_IDENTITY_POLICY] = { "no-identity-policy", "because no identity-based policy", true },
    [AUTHZ_NO_SESSION_POLICY] = { "no-session-policy", "because no session policy", true },
    [AUTHZ_NO_BOUNDARY] = { "no-permissions-boundary", "because no permissions boundary", true },
};

const char *authz_reason_word(enum authz_reason reason)
{
    return reasons[reason].word;
}

/* What decided: for the operator, never for the client. */
static void detail(const struct authz_decision *d, struct kms_error *reterr)
{
    struct bytes name = d->policy.len > 0 ? d->policy : BYTES_LIT("the key policy");

    if (reterr == NULL)
        return;
    if (d->unsure)
        (void)snprintf(reterr->detail, sizeof reterr->detail,
                       "%.*s has no clear answer for this request", BYTES_FMT(name));
    else if (d->statement != POLICY_NO_STATEMENT)
        (void)snprintf(reterr->detail, sizeof reterr->detail, "statement %d '%.*s' of %.*s decided",
                       d->statement, BYTES_FMT(d->sid), BYTES_FMT(name));
}

/* The texts of section 3. Callers of another account are not told the ARN. */
static enum kms_status refuse(const struct authz_request *rq, const struct authz_decision *d,
                              struct kms_error *reterr)
{
    bool         own = rq->key == NULL || authz_is_own(rq);
    bool         named = own && rq->resource.len > 0 && !bytes_eq(rq->resource, BYTES_LIT("*"));
    struct bytes resource = named ? rq->resource : (struct bytes){ NULL, 0 };
    const char  *on = named ? " on resource: " : (own ? "" : " on this resource");
    bool         of_action = reasons[d->reason].of_action;
    struct bytes action = of_action ? rq->action : (struct bytes){ NULL, 0 };

    (void)KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                     "User: %.*s is not authorized to perform: %.*s%s%.*s %s%s%.*s%s",
                     BYTES_FMT(rq->caller->as.arn), BYTES_FMT(rq->action), on, BYTES_FMT(resource),
                     reasons[d->reason].why, of_action ? " allows the " : "", BYTES_FMT(action),
                     of_action ? " action" : "");
    detail(d, reterr);
    return KMS_E_ACCESS_DENIED;
}

/* --- asking documents ------------------------------------------------------------------------- */

bool authz_is_own(const struct authz_request *rq)
{
    return bytes_eq(rq->key->name.account, rq->caller->as.account);
}

const struct policy *authz_key_policy(const struct authz_request *rq)
{
    return rq->key->rights == NULL ? NULL : rq->key->rights->policy;
}

struct policy_request authz_question(const struct authz_request *rq)
{
    return (struct policy_request){
        .caller = rq->caller->as,
        .action = rq->action,
        .resource = rq->resource,
        .values = rq->values,
        .ctx = rq->ctx,
    };
}

struct policy_result authz_ask(const struct authz_request *rq, const struct policy *p)
{
    struct policy_request question = authz_question(rq);

    if (p == NULL) /* nobody knows what it says */
        return (struct policy_result){ .verdict = POLICY_DENIES,
                                       .statement = POLICY_NO_STATEMENT,
                                       .unsure = true };
    return policy_evaluate(p, &question);
}

struct bytes authz_name(const struct authz_policy *p)
{
    return p->name.len > 0 ? p->name : BYTES_LIT("the inline policy");
}

/* What several documents of one layer say together: the weightiest. */
struct said {
    struct policy_result result;
    struct bytes         name; /* of the document */
};

static struct said ask_all(const struct authz_request *rq, const struct authz_policy *list,
                           size_t n)
{
    struct said best = { .result.statement = POLICY_NO_STATEMENT };

    for (size_t i = 0; i < n && best.result.verdict != POLICY_DENIES; i++) {
        struct policy_result r = authz_ask(rq, list[i].policy);
        if (r.verdict > best.result.verdict)
            best = (struct said){ r, authz_name(&list[i]) };
    }
    return best;
}

static struct said ask_key_policy(const struct authz_request *rq)
{
    struct said said = { .result.statement = POLICY_NO_STATEMENT };

    if (rq->key != NULL)
        said.result = authz_ask(rq, authz_key_policy(rq));
    return said;
}

enum layer { LAYER_IDENTITY, LAYER_RESOURCE, LAYER_SESSION, LAYER_BOUNDARY, LAYERS };

/* --- deciding --------------------------------------------------------------------------------- */

/* `by` NULL: no statement decided. */
static enum authz_reason decided(struct authz_decision *d, enum authz_reason reason,
                                 const struct said *by)
{
    static const struct said none = { .result.statement = POLICY_NO_STATEMENT };

    if (by == NULL)
        by = &none;
    d->reason = reason;
    d->policy = by->name;
    d->statement = by->result.statement;
    d->sid = by->result.sid;
    d->unsure = by->result.unsure;
    return reason;
}

/* An explicit deny wins over everything (3, rule 1; 4.10, rule 8). */
static enum authz_reason look_for_denial(const struct said said[LAYERS], struct authz_decision *d)
{
    static const enum authz_reason denied[LAYERS] = {
        [LAYER_IDENTITY] = AUTHZ_DENIED_BY_IDENTITY_POLICY,
        [LAYER_RESOURCE] = AUTHZ_DENIED_BY_RESOURCE_POLICY,
        [LAYER_SESSION] = AUTHZ_DENIED_BY_SESSION_POLICY,
        [LAYER_BOUNDARY] = AUTHZ_DENIED_BY_BOUNDARY,
    };

    for (size_t i = 0; i < LAYERS; i++) {
        if (said[i].result.verdict == POLICY_DENIES)
            return decided(d, denied[i], &said[i]);
    }
    return AUTHZ_ALLOWED;
}

/* What the resource's side gives: its policy and the grants that count. */
struct given {
    bool anything;
    bool directly;  /* no document of the caller's need allow it */
    bool by_itself; /* no identity policy need allow it */
    /* a grant to the role of another account: not enough, but as good as an identity policy when
     * the reason is chosen (3, rule 2) */
    bool                       stands_in;
    const struct grant_record *grant; /* the most that one gives */
};

/* A key policy that allows the user, the session itself or everybody is not limited by what the
 * caller's other documents lack; one that allows its role is limited by boundary and session policies
 * (IAM User Guide, "Policy evaluation for requests within a single account" and, for everybody, "IAM
 * role principals"). Across accounts both sides are needed. No key policy allows RetireGrant (KMS
 * Developer Guide, "KMS permissions"): the grant does. */
static void add_key_policy(const struct authz_request *rq, const struct policy_result *said,
                           struct given *to)
{
    bool allows = said->verdict == POLICY_ALLOWS;
    bool own = authz_is_own(rq) || rq->caller->as.kind == CALLER_SERVICE;

    if (rq->operation == GRANT_RETIRE_GRANT)
        return;
    to->anything = allows || said->verdict == POLICY_DELEGATES;
    to->by_itself = allows && own;
    to->directly = to->by_itself && said->directly && rq->caller->as.kind != CALLER_ROOT;
}

/* 4.10, rules 9 to 12. A grant to the account needs an identity policy, as its root statement
 * would. */
static void add_grants(const struct authz_granted *granted, struct given *to)
{
    for (unsigned how = 0; how < AUTHZ_BINDINGS && to->grant == NULL; how++)
        to->grant = granted->whole[how];
    for (unsigned how = 0; how < AUTHZ_BINDINGS && to->grant == NULL; how++)
        to->grant = granted->half[how];
    to->anything = to->anything || to->grant != NULL;
    to->directly = to->directly || granted->whole[BOUND_EXACTLY] != NULL;
    to->by_itself = to->by_itself || granted->whole[BOUND_TO_ROLE] != NULL;
    to->stands_in = granted->half[BOUND_TO_ROLE] != NULL;
}

/* What lacks first; the order of the lines is the order in which one reason hides another. */
static enum authz_reason weigh(const struct authz_request *rq, const struct said said[LAYERS],
                               const struct given *given, struct authz_decision *d)
{
    const struct authz_caller *c = rq->caller;
    const struct said         *resource = given->grant == NULL ? &said[LAYER_RESOURCE] : NULL;
    const struct said         *identity = &said[LAYER_IDENTITY];
    bool                       needs_identity = !given->by_itself && c->as.kind != CALLER_ROOT;
    bool lacks_identity = needs_identity && identity->result.verdict != POLICY_ALLOWS;

    d->grant = given->grant;
    if (!given->anything)
        return decided(d, AUTHZ_NO_RESOURCE_POLICY, NULL);
    if (given->directly)
        return decided(d, AUTHZ_ALLOWED, resource);
    if (lacks_identity && !given->stands_in)
        return decided(d, AUTHZ_NO_IDENTITY_POLICY, resource);
    if (c->limited && said[LAYER_SESSION].result.verdict != POLICY_ALLOWS)
        return decided(d, AUTHZ_NO_SESSION_POLICY, NULL);
    if (c->bounded && said[LAYER_BOUNDARY].result.verdict != POLICY_ALLOWS)
        return decided(d, AUTHZ_NO_BOUNDARY, NULL);
    if (lacks_identity)
        return decided(d, AUTHZ_NO_IDENTITY_POLICY, resource);
    return decided(d, AUTHZ_ALLOWED, needs_identity ? identity : resource);
}

static enum authz_reason weigh_key(const struct authz_request *rq, const struct said said[LAYERS],
                                   struct authz_decision *d)
{
    struct given         given = { 0 };
    struct authz_granted granted;

    if (!authz_is_own(rq) && !rq->cross_account)
        return decided(d, AUTHZ_NO_RESOURCE_POLICY, NULL);
    add_key_policy(rq, &said[LAYER_RESOURCE].result, &given);
    if (weigh(rq, said, &given, d) == AUTHZ_ALLOWED || rq->operation == GRANT_NO_OPERATION)
        return d->reason;
    authz_look_at_grants(rq, &granted);
    add_grants(&granted, &given);
    return weigh(rq, said, &given, d);
}

enum kms_status authz_decide(const struct authz_request *rq, struct authz_decision *ret_decision,
                             struct kms_error *reterr)
{
    static const struct given  no_key = { .anything = true };
    const struct authz_caller *c = rq->caller;
    struct authz_decision      d = { .statement = POLICY_NO_STATEMENT };
    struct said                said[LAYERS];

    said[LAYER_IDENTITY] = ask_all(rq, c->identity, c->n_identity);
    said[LAYER_RESOURCE] = ask_key_policy(rq);
    said[LAYER_SESSION] = ask_all(rq, c->session, c->limited ? c->n_session : 0);
    said[LAYER_BOUNDARY] = ask_all(rq, &c->boundary, c->bounded ? 1 : 0);
    if (look_for_denial(said, &d) == AUTHZ_ALLOWED) {
        if (rq->key != NULL)
            (void)weigh_key(rq, said, &d);
        else
            (void)weigh(rq, said, &no_key, &d);
    }
    if (ret_decision != NULL)
        *ret_decision = d;
    return d.reason == AUTHZ_ALLOWED ? KMS_OK : refuse(rq, &d, reterr);
}

/* --- new key policies ------------------------------------------------------------------------- */

enum kms_status authz_check_key_policy(const struct authz_request *rq, struct bytes text,
                                       struct bytes resource, bool bypass,
                                       bool (*known)(const struct policy_principal *,
                                                     const void *ctx),
                                       const void *ctx, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;
    struct policy_request                question = authz_question(rq);

    if (text.len > LIMIT_POLICY_BYTES)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "A key policy has at most %d bytes.",
                          LIMIT_POLICY_BYTES);
    TRY(policy_compile(POLICY_KEY, text, (struct bytes){ NULL, 0 }, &p, reterr));
    if (!policy_principals_known(p, known, ctx))
        return KMS_REFUSE(reterr, KMS_E_POLICY,
                          "Policy contains a statement with one or more invalid principals.");
    if (bypass)
        return KMS_OK;
    question.action = BYTES_LIT("kms:PutKeyPolicy");
    question.resource = resource;
    question.lasting = true;
    enum policy_verdict verdict = policy_evaluate(p, &question).verdict;
    if (verdict != POLICY_ALLOWS && verdict != POLICY_DELEGATES)
        return KMS_REFUSE(
            reterr, KMS_E_POLICY,
            "The new key policy will not allow you to update the key policy in the future.");
    return KMS_OK;
}
