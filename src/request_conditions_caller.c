/* request_conditions_caller.c - what the conditions of policies may ask about the caller and its
 * connection. Nobody acts for a service.
 */
#include "request_conditions.h"

/* NULL: the request is not signed. */
static const struct caller *caller_of(const struct question *q)
{
    return question_call(q)->caller;
}

enum condition_answer asked_caller_account(const struct question *q)
{
    return caller_of(q) != NULL ? answer_word(q, caller_of(q)->authz.as.account) : answer_absent(q);
}

/* Of a session its role: "arn:aws:iam::...:role/path/name", as IAM answers this key. */
enum condition_answer asked_caller_arn(const struct question *q)
{
    const struct caller *c = caller_of(q);

    if (c == NULL)
        return answer_absent(q);
    return answer_word(q, c->authz.as.role_arn.len > 0 ? c->authz.as.role_arn : c->arn_view);
}

enum condition_answer asked_caller_type_word(const struct question *q)
{
    static const char *const types[] = {
        [CALLER_ROOT] = "Account",        [CALLER_USER] = "User",
        [CALLER_SESSION] = "AssumedRole", [CALLER_FEDERATED] = "FederatedUser",
        [CALLER_SERVICE] = "Service",
    };

    return caller_of(q) != NULL ? answer_word(q, bytes_str(types[caller_of(q)->authz.as.kind]))
                                : answer_word(q, BYTES_LIT("Anonymous"));
}

enum condition_answer asked_caller_id(const struct question *q)
{
    return caller_of(q) != NULL ? answer_word(q, caller_of(q)->unique_id_view) : answer_absent(q);
}

enum condition_answer asked_caller_organization(const struct question *q)
{
    const struct caller *c = caller_of(q);

    return c != NULL && c->account->organization[0] != '\0'
               ? answer_word(q, bytes_str(c->account->organization))
               : answer_absent(q);
}

enum condition_answer asked_caller_user_name(const struct question *q)
{
    const struct caller *c = caller_of(q);

    return c != NULL && c->authz.as.kind == CALLER_USER ? answer_word(q, c->identity->name)
                                                        : answer_absent(q);
}

/* The session that signed; NULL for long-term credentials. */
static const struct session *session_of(const struct question *q)
{
    const struct caller *c = caller_of(q);

    return c != NULL && c->key->session.kind != SESSION_NONE ? &c->key->session : NULL;
}

enum condition_answer asked_token_issued(const struct question *q)
{
    return session_of(q) != NULL ? answer_date(q, caller_of(q)->key->created) : answer_absent(q);
}

/* Only temporary credentials tell, and none was made with a second factor. */
enum condition_answer asked_second_factor(const struct question *q)
{
    return session_of(q) != NULL ? answer_truth(q, false) : answer_absent(q);
}

enum condition_answer asked_provider(const struct question *q)
{
    return session_of(q) != NULL && session_of(q)->provider.len > 0
               ? answer_word(q, session_of(q)->provider)
               : answer_absent(q);
}

enum condition_answer asked_source_identity(const struct question *q)
{
    return session_of(q) != NULL && session_of(q)->source_identity.len > 0
               ? answer_word(q, session_of(q)->source_identity)
               : answer_absent(q);
}

/* A tag of the caller: those of its session hide those of its user or role. */
enum condition_answer asked_caller_tag(const struct question *q)
{
    const struct session         *s = session_of(q);
    const struct identity_record *r = caller_of(q) != NULL ? caller_of(q)->identity : NULL;

    if (s != NULL && tags_have(s->tags, s->n_tags, q->name))
        return answer_tag(q, s->tags, s->n_tags);
    return r != NULL ? answer_tag(q, r->tags, r->n_tags) : answer_absent(q);
}

enum condition_answer asked_no_service(const struct question *q)
{
    return answer_truth(q, false);
}

enum condition_answer asked_source_ip(const struct question *q)
{
    const struct exchange *ex = q->a->rq->ex;

    return ex->local ? CONDITION_ABSENT : answer_word(q, bytes_str(ex->source));
}

enum condition_answer asked_secure_transport(const struct question *q)
{
    return answer_truth(q, q->a->rq->ex->secure);
}

enum condition_answer asked_requested_region(const struct question *q)
{
    const struct op_input *in = &question_call(q)->in;
    struct bytes there = in->replica_region.ptr != NULL ? in->replica_region : in->primary_region;

    return answer_word(q, q->a->destination && there.ptr != NULL ? there : q->a->rq->region);
}

enum condition_answer asked_current_time(const struct question *q)
{
    return answer_date(q, question_call(q)->now);
}

enum condition_answer asked_epoch_time(const struct question *q)
{
    return answer_number(q, question_call(q)->now / 1000);
}

enum condition_answer asked_user_agent(const struct question *q)
{
    const struct http_request *in = &q->a->rq->ex->in;

    for (size_t i = 0; i < in->n_headers; i++) {
        if (http_name_is(in->headers[i].name, "user-agent"))
            return answer_word(q, in->headers[i].value);
    }
    return CONDITION_ABSENT;
}
