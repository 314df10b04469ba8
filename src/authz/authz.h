/* authz/authz.h - may this caller do this? Pure: no I/O, no clock, no globals.
 *
 * The key policy is the root of authority. It allows by itself, or hands over to the identity
 * policies of an account, or grants allow beside it; session policies and permissions boundaries
 * only take away, and an explicit deny anywhere wins. The rules are those of
 * recorded-authz-multiregion, sections 3, 4.10 and 5; docs/policies.md is the page for users.
 * Everything that a decision depends on is handed in.
 */
#pragma once

#include "authz/policy.h"
#include "base/bytes.h"
#include "base/error.h"
#include "json/write.h"
#include "key/grant.h"
#include "key/record.h"

/* A document with its name, for explanations: an inline policy's, or an ARN. `policy` NULL: it
 * cannot be found or compiled. Then nobody knows what it says: it denies. */
struct authz_policy {
    const struct policy *policy;
    struct bytes         name;
};

/* The caller, with everything that its own side says. */
struct authz_caller {
    struct policy_caller       as;
    const struct authz_policy *identity; /* of the user or role; a root user needs none */
    size_t                     n_identity;
    bool                       bounded; /* has a permissions boundary */
    struct authz_policy        boundary;
    bool                       limited; /* has session policies */
    const struct authz_policy *session;
    size_t                     n_session;
};

/* Where a grant of the caller's comes from: to the caller as it signs (user, session, federated
 * user, root user), to the role of its session, or to the root user of its account. */
enum authz_binding { BOUND_EXACTLY, BOUND_TO_ROLE, BOUND_TO_ACCOUNT, AUTHZ_BINDINGS };

struct authz_request {
    const struct authz_caller *caller;
    struct bytes               action;   /* "kms:Encrypt", "iam:CreateUser" */
    struct bytes               resource; /* ARN or "*"; of the key where there is one */
    const struct key_record   *key;      /* NULL: identity policies alone decide */
    bool cross_account;                  /* the operation may be called for other accounts' keys */

    enum grant_operation       operation; /* GRANT_NO_OPERATION: grants do not matter */
    const struct grant_set    *grants[AUTHZ_BINDINGS]; /* of this key to this caller; may be NULL */
    const struct grant_record *child;    /* CreateGrant: the grant that is to be made */
    const struct grant_record *retiring; /* RetireGrant: the grant that is to go */

    condition_source *values; /* what conditions ask; NULL: every condition key is absent */
    void             *ctx;    /* for `values` */
};

/* Why a request was denied, in the order in which one reason hides another; texts are recorded in
 * section 3. */
enum authz_reason {
    AUTHZ_ALLOWED,
    AUTHZ_DENIED_BY_IDENTITY_POLICY,
    AUTHZ_DENIED_BY_RESOURCE_POLICY,
    AUTHZ_DENIED_BY_SESSION_POLICY,
    AUTHZ_DENIED_BY_BOUNDARY,
    AUTHZ_NO_RESOURCE_POLICY,
    AUTHZ_NO_IDENTITY_POLICY,
    AUTHZ_NO_SESSION_POLICY,
    AUTHZ_NO_BOUNDARY,
    AUTHZ_REASON_COUNT
};
/* "no-identity-policy", ...: for audit records, metrics and explanations. */
const char *authz_reason_word(enum authz_reason reason);

struct authz_decision {
    enum authz_reason          reason;
    struct bytes               policy;    /* name of the document that decided; empty: the key's */
    int                        statement; /* in it; POLICY_NO_STATEMENT */
    struct bytes               sid;
    bool                       unsure; /* denied since a document had no clear answer */
    const struct grant_record *grant;  /* that allowed, or would have; NULL */
};

/* KMS_OK, or KMS_E_ACCESS_DENIED with the recorded text. *ret_decision (may be NULL) is filled in
 * both cases; its views lie in what was handed in. */
KMS_MUST_CHECK enum kms_status authz_decide(const struct authz_request *rq,
                                            struct authz_decision      *ret_decision,
                                            struct kms_error           *reterr);

/* The whole decision as members of the open JSON object: every layer with what it said, every
 * statement of it with the first of its parts that did not match, every grant with why it does not
 * count. For people, not fast: evaluates everything again. Bounded: at most `max` statements of a
 * layer are written. */
void authz_explain(const struct authz_request *rq, size_t max, struct json_writer *out);
/* Appends {"decision": ...} for an audit record: the whole of it, or the reason alone where that would
 * be more than AUTHZ_EXPLANATION_MAX bytes. */
enum { AUTHZ_EXPLANATION_MAX = 12 * 1024 };
void authz_explanation_add(const struct authz_request *rq, const struct authz_decision *decision,
                           struct buf *out);

/* May this document become the key policy of rq->key, or of the key that the request creates
 * (rq->key is NULL)? Asked when the caller may put one at all; `rq->action` does not matter.
 *
 * KMS_E_LIMIT over LIMIT_POLICY_BYTES, the errors of policy_compile, KMS_E_POLICY if one of its
 * principals is not `known` (ctx: for it), and unless `bypass` for a policy under which the caller
 * could not call PutKeyPolicy any more (kms-behaviour 12): an allowance that depends on the
 * circumstances of a request proves nothing. `resource` is the ARN of the key, or what one of this
 * Region looks like. */
KMS_MUST_CHECK enum kms_status authz_check_key_policy(
    const struct authz_request *rq, struct bytes text, struct bytes resource, bool bypass,
    bool (*known)(const struct policy_principal *, const void *ctx), const void *ctx,
    struct kms_error *reterr);

/* Does a grant's constraint on the encryption context hold for this request? Asks `values` for
 * ASK_ENCRYPTION_CONTEXT and its keys. */
bool authz_grant_context_holds(const struct grant_record *g, condition_source *values, void *ctx);

/* How the directory compiles key policies, and the identity book its documents (key/rights.h). */
extern const struct rights_compiler authz_rights_compiler;
extern const struct rights_compiler authz_identity_compiler;
extern const struct rights_compiler authz_trust_compiler;
