/* query/answer.c - see answer.h. */
#include "query/answer.h"

#include <assert.h>
#include <stdio.h>

static const struct query_service services[] = {
    { "iam", "2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/" },
    { "sts", "2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/" },
};

const struct query_service *query_service(struct bytes name)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (bytes_eq_str(name, services[i].name))
            return &services[i];
    }
    return NULL;
}

/* --- good answers ----------------------------------------------------------------------------- */

/* Element names are written straight away: the writer's list of open elements wants constants. */
static void frame(struct buf *out, const char *open, const char *action, const char *suffix)
{
    buf_add_str(out, open);
    buf_add_str(out, action);
    buf_add_str(out, suffix);
}

void query_answer_begin(struct xml *w, const struct query_service *service, const char *action,
                        bool has_result)
{
    assert(w->depth == 0);
    w->action = action;
    w->has_result = has_result;
    frame(w->out, "<", action, "Response xmlns=\"");
    frame(w->out, service->xmlns, "\">", "");
    if (has_result)
        frame(w->out, "<", action, "Result>");
}

static void put_metadata(struct xml *w, const char *request_id)
{
    xml_open(w, "ResponseMetadata");
    xml_put_str(w, "RequestId", request_id);
    xml_close(w);
}

void query_answer_end(struct xml *w, const char *request_id)
{
    assert(w->depth == 0);
    if (w->has_result)
        frame(w->out, "</", w->action, "Result>");
    put_metadata(w, request_id);
    frame(w->out, "</", w->action, "Response>");
}

/* --- errors ----------------------------------------------------------------------------------- */

struct spelling {
    int         http;
    const char *code;
};

/* What an operation of IAM or STS never meets is a fault of ours: no row. */
static const struct spelling spellings[KMS_STATUS_COUNT] = {
    [KMS_OK] = { 200, "" },
    [KMS_E_VALIDATION] = { 400, "ValidationError" },
    [KMS_E_SERIALIZATION] = { 400, "MalformedQueryString" },
    [KMS_E_UNKNOWN_OPERATION] = { 400, "InvalidAction" },
    [KMS_E_NO_VERSION] = { 400, "NoSuchVersion" },
    [KMS_E_MISSING_AUTH] = { 403, "MissingAuthenticationToken" },
    [KMS_E_INCOMPLETE_SIG] = { 400, "IncompleteSignature" },
    [KMS_E_INVALID_SIG] = { 403, "SignatureDoesNotMatch" },
    [KMS_E_UNKNOWN_CLIENT] = { 403, "InvalidClientTokenId" },
    [KMS_E_EXPIRED_CLIENT] = { 403, "ExpiredToken" },
    [KMS_E_ACCESS_DENIED] = { 403, "AccessDenied" },
    [KMS_E_NOT_AUTHORIZED] = { 403, "AccessDenied" },
    [KMS_E_THROTTLED] = { 400, "Throttling" },
    [KMS_E_NOT_FOUND] = { 404, "NoSuchEntity" },
    [KMS_E_ALREADY_EXISTS] = { 409, "EntityAlreadyExists" },
    [KMS_E_CONFLICT] = { 409, "DeleteConflict" },
    [KMS_E_LIMIT] = { 409, "LimitExceeded" },
    [KMS_E_POLICY] = { 400, "MalformedPolicyDocument" },
    [KMS_E_MARKER] = { 400, "ValidationError" },
    [KMS_E_ARN] = { 400, "ValidationError" },
    [KMS_E_TAG] = { 400, "InvalidInput" },
    [KMS_E_INPUT] = { 400, "InvalidInput" },
    [KMS_E_UNMODIFIABLE] = { 400, "UnmodifiableEntity" },
    [KMS_E_WEB_TOKEN] = { 400, "InvalidIdentityToken" },
    [KMS_E_WEB_TOKEN_EXPIRED] = { 400, "ExpiredTokenException" },
    [KMS_E_WEB_CLAIM] = { 403, "IDPRejectedClaim" },
    [KMS_E_PACKED_POLICY] = { 400, "PackedPolicyTooLarge" },
    /* another request was faster, again and again */
    [KMS_E_CHANGED] = { 409, "ConcurrentModification" },
    [KMS_E_INTERNAL] = { 500, "ServiceFailure" },
};

static const struct spelling *spelling_of(enum kms_status status)
{
    assert(status < KMS_STATUS_COUNT);
    return spellings[status].code != NULL ? &spellings[status] : &spellings[KMS_E_INTERNAL];
}

int query_status_http(enum kms_status status)
{
    return spelling_of(status)->http;
}

const char *query_status_code(enum kms_status status)
{
    return spelling_of(status)->code;
}

void query_error_body(struct buf *out, const struct query_service *service,
                      const struct kms_error *err, const char *request_id)
{
    const struct spelling *s = spelling_of(err->status);
    struct xml             w;

    xml_writer_init(&w, out);
    xml_open_root(&w, "ErrorResponse", service->xmlns);
    xml_open(&w, "Error");
    xml_put_str(&w, "Type", s->http >= 500 ? "Receiver" : "Sender");
    xml_put_str(&w, "Code", s->code);
    if (err->message_len > 0 && s->http < 500)
        xml_put(&w, "Message", bytes_of(err->message, err->message_len));
    xml_close(&w);
    xml_put_str(&w, "RequestId", request_id);
    xml_close(&w);
}

/* --- Action and Version ----------------------------------------------------------------------- */

enum kms_status query_unknown_action(struct bytes action, struct bytes version,
                                     struct kms_error *reterr)
{
    if (action.ptr == NULL || action.len == 0)
        return KMS_REFUSE(reterr, KMS_E_UNKNOWN_OPERATION, "The request has no Action parameter.");
    return KMS_REFUSE(reterr, KMS_E_UNKNOWN_OPERATION,
                      "Could not find operation %.*s for version %.*s", BYTES_FMT(action),
                      version.ptr == NULL ? (int)sizeof "NO_VERSION_SPECIFIED" - 1
                                          : (int)version.len,
                      version.ptr == NULL ? "NO_VERSION_SPECIFIED" : (const char *)version.ptr);
}

enum kms_status query_check_version(const struct query_service *service, struct bytes action,
                                    struct bytes version, struct kms_error *reterr)
{
    if (version.ptr == NULL)
        return query_unknown_action(action, version, reterr);
    if (!bytes_eq_str(version, service->version))
        return KMS_REFUSE(reterr, KMS_E_NO_VERSION,
                          "The requested version (%.*s) of service %s does not exist.",
                          BYTES_FMT(version), service->name);
    return KMS_OK;
}
