/* authz/explain.c - the whole decision for people: what every document and grant said, and which
 * part of a statement did not match. See authz_explain.
 *
 * Nothing here decides: the final reason is authz_decide's, and every statement is evaluated by the
 * code that decides. docs/policies.md shows what is written.
 */
#include "authz/authz_internal.h"
#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum {
    EXPLAINED_STATEMENTS = 16, /* of each document, in an audit record */
    VALUES_SHOWN = 8,          /* of the document and of the request, per condition */
    TEXT_SHOWN = 256,          /* bytes of one value or name */
    NAME_ROOM = 300,           /* of a condition key, an operator */
};

/* --- texts ------------------------------------------------------------------------------------ */

/* The beginning of a long text, at the end of a character. */
static struct bytes shown(struct bytes text)
{
    if (text.len <= TEXT_SHOWN)
        return text;
    size_t end = TEXT_SHOWN;
    while (end > 0 && (text.ptr[end] & 0xC0) == 0x80)
        end--;
    return bytes_of(text.ptr, end);
}

static void put_text(struct json_writer *out, const char *name, struct bytes text)
{
    json_put_string(out, name, shown(text));
}

static const char *verdict_word(enum policy_verdict verdict)
{
    static const char *const words[] = {
        [POLICY_NOTHING] = "nothing",
        [POLICY_DELEGATES] = "allows the account",
        [POLICY_ALLOWS] = "allows",
        [POLICY_DENIES] = "denies",
    };

    return words[verdict];
}

/* --- conditions ------------------------------------------------------------------------------- */

/* "ForAnyValue:StringLikeIfExists" */
static void put_operator(struct json_writer *out, const struct condition *c)
{
    static const char *const quantifiers[] = {
        [ONE_VALUE] = "",
        [FOR_ALL_VALUES] = "ForAllValues:",
        [FOR_ANY_VALUE] = "ForAnyValue:",
    };
    char       room[NAME_ROOM];
    struct buf name = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };

    buf_addf(&name, "%s%s%s", quantifiers[c->quantifier], c->op->name,
             c->if_exists ? "IfExists" : "");
    json_put_string(out, "operator", buf_bytes(&name));
}

static void put_key(struct json_writer *out, const struct condition_key *key)
{
    char       room[2 * NAME_ROOM];
    struct buf name = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };

    buf_add(&name, condition_key_prefix(key->id));
    buf_add(&name, shown(key->name));
    json_put_string(out, "key", buf_bytes(&name));
}

static void put_request_values(struct json_writer *out, const struct policy_request *rq,
                               const struct condition_key *key)
{
    char                  room[CONDITION_ROOM];
    struct bytes          value;
    enum condition_answer answer = CONDITION_ABSENT;

    json_open_array(out, "request");
    for (size_t i = 0; i < VALUES_SHOWN && key->id != ASK_UNKNOWN && rq->values != NULL; i++) {
        answer = rq->values(rq->ctx, key, i, room, &value);
        if (answer != CONDITION_VALUE)
            break;
        put_text(out, NULL, value);
        if (!condition_key_many(key->id))
            break;
    }
    json_close_array(out);
    if (answer == CONDITION_UNSURE)
        json_put_bool(out, "unclear", true);
}

static void put_condition(struct json_writer *out, const struct policy_request *rq,
                          const struct condition *c)
{
    json_open_object(out, "condition");
    put_operator(out, c);
    put_key(out, &c->key);
    json_open_array(out, "policy");
    for (size_t i = 0; i < c->n_values && i < VALUES_SHOWN; i++)
        put_text(out, NULL, c->values[i].text);
    json_close_array(out);
    put_request_values(out, rq, &c->key);
    json_close_object(out);
}

/* --- documents -------------------------------------------------------------------------------- */

static void put_statement(struct json_writer *out, const struct policy *p, size_t number,
                          const struct policy_request *rq)
{
    static const char *const parts[] = {
        [PART_ACTION] = "action",
        [PART_PRINCIPAL] = "principal",
        [PART_RESOURCE] = "resource",
        [PART_CONDITION] = "condition",
    };
    const struct statement *s = &p->statements[number];
    struct statement_trace  trace = statement_trace(p, number, rq);

    json_open_object(out, NULL);
    json_put_int(out, "statement", (int64_t)number);
    if (s->sid.len > 0)
        put_text(out, "sid", s->sid);
    json_put_str(out, "effect", s->deny ? "Deny" : "Allow");
    json_put_bool(out, "applies", trace.applies);
    if (trace.unsure)
        json_put_bool(out, "unclear", true);
    if (trace.missed != PART_NONE)
        json_put_str(out, "differs", parts[trace.missed]);
    if (trace.condition != NULL)
        put_condition(out, rq, trace.condition);
    json_close_object(out);
}

/* Writes the statements as long as there are any `left`. */
static void put_document(struct json_writer *out, const struct authz_request *rq,
                         const struct policy *p, size_t *left)
{
    struct policy_request question = authz_question(rq);
    struct policy_result  said = authz_ask(rq, p);

    json_put_str(out, "says", verdict_word(said.verdict));
    if (said.unsure)
        json_put_bool(out, "unclear", true);
    if (p == NULL)
        return;
    json_open_array(out, "statements");
    size_t i = 0;
    for (; i < p->n_statements && *left > 0; i++, (*left)--)
        put_statement(out, p, i, &question);
    json_close_array(out);
    if (i < p->n_statements)
        json_put_int(out, "more", (int64_t)(p->n_statements - i));
}

static void put_documents(struct json_writer *out, const char *layer,
                          const struct authz_request *rq, const struct authz_policy *list, size_t n,
                          size_t max)
{
    size_t left = max;

    json_open_array(out, layer);
    for (size_t i = 0; i < n; i++) {
        json_open_object(out, NULL);
        put_text(out, "name", authz_name(&list[i]));
        put_document(out, rq, list[i].policy, &left);
        json_close_object(out);
    }
    json_close_array(out);
}

static void put_key_policy(struct json_writer *out, const struct authz_request *rq, size_t max)
{
    size_t left = max;

    json_open_object(out, "keyPolicy");
    put_document(out, rq, authz_key_policy(rq), &left);
    json_close_object(out);
}

/* --- grants ----------------------------------------------------------------------------------- */

static void put_grant(struct json_writer *out, const struct grant_record *g, const char *binding,
                      const char *why_not)
{
    json_open_object(out, NULL);
    put_text(out, "grantId", g->id);
    json_put_str(out, "to", binding);
    put_text(out, "issuingAccount", g->issuing_account);
    json_put_bool(out, "counts", why_not == NULL);
    if (why_not != NULL)
        json_put_str(out, "differs", why_not);
    json_close_object(out);
}

static const char *const bindings[AUTHZ_BINDINGS] = {
    [BOUND_EXACTLY] = "the caller",
    [BOUND_TO_ROLE] = "its role",
    [BOUND_TO_ACCOUNT] = "its account",
};

static void put_grants(struct json_writer *out, const struct authz_request *rq, size_t max)
{
    static const char *const flaws[] = {
        [GRANT_COUNTS] = NULL,
        [GRANT_LACKS_OPERATION] = "operation",
        [GRANT_HAS_OTHER_SOURCE] = "source",
        [GRANT_HAS_OTHER_CONTEXT] = "encryption context",
        [GRANT_IS_NARROWER] = "new grant is wider",
    };
    size_t left = max;
    size_t more = 0;

    json_open_array(out, "grants");
    for (unsigned how = 0; how < AUTHZ_BINDINGS; how++) {
        const struct grant_set *set = rq->grants[how];
        for (size_t i = 0; set != NULL && i < set->n; i++) {
            if (left == 0) {
                more += set->n - i;
                break;
            }
            put_grant(out, set->grants[i], bindings[how],
                      flaws[authz_grant_flaw(rq, set->grants[i])]);
            left--;
        }
    }
    json_close_array(out);
    if (more > 0)
        json_put_int(out, "moreGrants", (int64_t)more);
}

/* RetireGrant: only the grant that is to go matters. */
static void put_retiring(struct json_writer *out, const struct authz_request *rq)
{
    struct authz_granted granted;
    const char          *binding = "others";
    bool                 counts = false;

    if (rq->retiring == NULL)
        return;
    authz_look_at_grants(rq, &granted);
    for (unsigned how = 0; how < AUTHZ_BINDINGS && !counts; how++) {
        counts = granted.whole[how] != NULL || granted.half[how] != NULL;
        binding = counts ? bindings[how] : binding;
    }
    json_open_array(out, "grants");
    put_grant(out, rq->retiring, binding, counts ? NULL : "principal");
    json_close_array(out);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void put_decision(struct json_writer *out, const struct authz_request *rq)
{
    struct authz_decision d;
    enum kms_status       status = authz_decide(rq, &d, NULL);

    json_put_bool(out, "allowed", status == KMS_OK);
    json_put_str(out, "reason", authz_reason_word(d.reason));
    put_text(out, "caller", rq->caller->as.arn);
    put_text(out, "action", rq->action);
    put_text(out, "resource", rq->resource);
    if (d.unsure || d.statement != POLICY_NO_STATEMENT)
        put_text(out, "decidedBy", d.policy.len > 0 ? d.policy : BYTES_LIT("the key policy"));
    if (d.statement != POLICY_NO_STATEMENT)
        json_put_int(out, "decidingStatement", d.statement);
    if (d.grant != NULL)
        put_text(out, "grant", d.grant->id);
    if (d.unsure)
        json_put_bool(out, "unclear", true);
}

void authz_explain(const struct authz_request *rq, size_t max, struct json_writer *out)
{
    const struct authz_caller *c = rq->caller;

    put_decision(out, rq);
    if (rq->key != NULL) {
        json_put_bool(out, "sameAccount", authz_is_own(rq));
        if (!authz_is_own(rq))
            json_put_bool(out, "acrossAccounts", rq->cross_account);
        put_key_policy(out, rq, max);
    }
    put_documents(out, "identityPolicies", rq, c->identity, c->n_identity, max);
    if (c->limited)
        put_documents(out, "sessionPolicies", rq, c->session, c->n_session, max);
    if (c->bounded)
        put_documents(out, "boundary", rq, &c->boundary, 1, max);
    if (rq->key == NULL || rq->operation == GRANT_NO_OPERATION)
        return;
    if (rq->operation == GRANT_RETIRE_GRANT)
        put_retiring(out, rq);
    else
        put_grants(out, rq, max);
}

void authz_explanation_add(const struct authz_request *rq, const struct authz_decision *decision,
                           struct buf *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(AUTHZ_EXPLANATION_MAX);
    struct json_writer              w;

    json_writer_init(&w, &text);
    json_open_object(&w, NULL);
    json_open_object(&w, "decision");
    authz_explain(rq, EXPLAINED_STATEMENTS, &w);
    json_close_object(&w);
    json_close_object(&w);
    if (buf_ok(&text))
        buf_add(out, buf_bytes(&text));
    else
        buf_addf(out, "{\"decision\":{\"reason\":\"%s\",\"tooLong\":true}}",
                 authz_reason_word(decision->reason));
}
