/* query/answer.h - the frames of answers and errors of the Query protocol, and how it spells each
 * outcome.
 *
 * Codes and HTTP statuses are those of the services' API models and of the errors that all their
 * operations share; where the published list and what the services send differ, the latter.
 */
#pragma once

#include "base/error.h"
#include "query/xml.h"

/* A service that speaks this protocol. */
struct query_service {
    const char *name;    /* as in credential scopes: "iam" */
    const char *version; /* of the API: the only one there is */
    const char *xmlns;
};
/* "iam", "sts"; NULL for any other name. */
const struct query_service *query_service(struct bytes name);

#define QUERY_CONTENT_TYPE "text/xml"

/* The beginning of a good answer: <GetUserResponse xmlns="..."><GetUserResult>, the second only if
 * the action has a result at all; then the members of the result are written, then the end. `action`
 * is the name of a row. */
void query_answer_begin(struct xml *w, const struct query_service *service, const char *action,
                        bool has_result);
void query_answer_end(struct xml *w, const char *request_id);

/* The body of an error; `err->status` is not KMS_OK. */
void query_error_body(struct buf *out, const struct query_service *service,
                      const struct kms_error *err, const char *request_id);
/* The HTTP status and the Code of an outcome in this protocol: 200 and "" for KMS_OK. */
int query_status_http(enum kms_status status);
const char *query_status_code(enum kms_status status);

/* The texts of what can be wrong with Action and Version, for whoever looks them up:
 * KMS_E_UNKNOWN_OPERATION, KMS_E_NO_VERSION. `action` or `version` ptr NULL: absent. */
KMS_MUST_CHECK enum kms_status query_check_version(const struct query_service *service,
                                                   struct bytes action, struct bytes version,
                                                   struct kms_error *reterr);
enum kms_status query_unknown_action(struct bytes action, struct bytes version,
                                     struct kms_error *reterr);
