/* request_query.c - requests of the Query protocol (IAM, STS) on the path of request.c: the form that
 * comes in, the XML that goes out.
 */
#include "request_internal.h"

#include "iam/iam.h"
#include "query/answer.h"

/* What GetSessionToken gives is not for administration: without a second factor, which nobody has here, IAM
 * refuses it (STS API reference, GetSessionToken). It would outlive itself: with an hour of it, a permanent
 * access key could be made. */
static bool is_passing(const struct caller *c)
{
    return c != NULL &&
           (c->key->session.kind == SESSION_USER || c->key->session.kind == SESSION_ROOT);
}

/* The form is decoded where it lies: the body is not the same afterwards. */
enum kms_status request_query_read(struct request *rq)
{
    struct exchange *ex = rq->ex;

    if (!form_content_type(request_header(&ex->in, BYTES_LIT("content-type"))))
        return query_unknown_action((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 },
                                    &rq->error);
    form_release(&rq->form);
    TRY(form_parse(ex->in.body, ex->in.body_len, &rq->form, &rq->error));
    rq->op = iam_find(bytes_str(rq->service->name), rq->form.action);
    if (rq->call.caller == NULL && (rq->op == NULL || (rq->op->flags & OP_UNSIGNED) == 0))
        return KMS_REFUSE(&rq->error, KMS_E_MISSING_AUTH, "Missing Authentication Token");
    TRY(query_check_version(rq->service, rq->form.action, rq->form.version, &rq->error));
    if (rq->op == NULL)
        return query_unknown_action(rq->form.action, rq->form.version, &rq->error);
    iam_audit_parameters(rq->op, &rq->form, &rq->parameters);
    if (strcmp(rq->service->name, "iam") == 0 && is_passing(rq->call.caller))
        return KMS_REFUSE(&rq->error, KMS_E_UNKNOWN_CLIENT,
                          "The security token included in the request is invalid");
    rq->call.form = &rq->form;
    rq->call.xml = &rq->xml;
    return KMS_OK;
}

enum kms_status request_query_finish(struct request *rq)
{
    bool has_result = (rq->op->flags & OP_EMPTY_ANSWER) == 0;

    xml_writer_init(&rq->xml, &rq->body);
    query_answer_begin(&rq->xml, rq->service, rq->op->name, has_result);
    TRY(rq->op->finish(&rq->call, &rq->error));
    query_answer_end(&rq->xml, rq->id);
    return KMS_OK;
}
