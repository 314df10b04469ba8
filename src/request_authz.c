/* request_authz.c - the step `authz`: puts together what authz/ decides about, asks, and keeps the
 * explanation of a denial.
 */
#include "request_internal.h"

#include <assert.h>

#include "base/cleanup.h"
#include "identity/principals.h"
#include "key/grants.h"

/* --- the question ----------------------------------------------------------------------------- */

static struct bytes service_of(const struct request *rq)
{
    return rq->service == NULL ? BYTES_LIT("kms") : bytes_str(rq->service->name);
}

/* "AROA..." of "AROA...:session"; empty for who is no session of a role. */
static struct bytes role_of(const struct authz_caller *c)
{
    struct bytes rest = c->as.unique_id;
    struct bytes role;

    return c->as.kind == CALLER_SESSION && bytes_cut(&rest, ':', &role) ? role
                                                                        : (struct bytes){ NULL, 0 };
}

static void find_grants(const struct asked *asked, const char *action, struct authz_request *a)
{
    const struct directory  *d = asked->rq->server->parts.directory;
    const struct grant_book *book = directory_grants(d);
    const struct key_grants *on = grants_on(book, &asked->key->name);

    if (on == NULL)
        return;
    struct bytes role = role_of(a->caller);
    a->operation = grant_operation_of(bytes_str(action));
    a->grants[BOUND_EXACTLY] = grants_to(book, on, a->caller->as.unique_id);
    if (role.len > 0)
        a->grants[BOUND_TO_ROLE] = grants_to(book, on, role);
    if (a->caller->as.kind != CALLER_ROOT) /* who is the account itself */
        a->grants[BOUND_TO_ACCOUNT] = grants_to(book, on, a->caller->as.account);
}

/* `action` without its service; `resource` empty: the key, or "*". */
static struct authz_request question(struct asked *asked, const char *action, struct bytes resource)
{
    struct request *rq = asked->rq;
    struct buf      full = { .ptr = (uint8_t *)asked->action,
                             .cap = sizeof asked->action,
                             .limit = sizeof asked->action };

    buf_add(&full, service_of(rq));
    buf_add_byte(&full, ':');
    buf_add_str(&full, action);
    assert(buf_ok(&full));
    struct authz_request a = {
        .caller = request_rights(rq),
        .action = buf_bytes(&full),
        .resource = resource.len > 0     ? resource
                    : asked->key != NULL ? asked->key->name.arn
                                         : BYTES_LIT("*"),
        .key = asked->key,
        .cross_account = (rq->op->flags & OP_CROSS_ACCOUNT) != 0,
        .operation = GRANT_NO_OPERATION,
        .child = rq->call.child,
        .retiring = rq->call.retiring,
        .values = request_condition,
        .ctx = asked,
    };
    if (asked->key != NULL)
        find_grants(asked, action, &a);
    return a;
}

/* --- explanations ----------------------------------------------------------------------------- */

static void explain(struct request *rq, const struct authz_request *a,
                    const struct authz_decision *decision)
{
    buf_release(&rq->explanation);
    buf_init(&rq->explanation, AUTHZ_EXPLANATION_MAX);
    authz_explanation_add(a, decision, &rq->explanation);
    rq->call.audit_extra = buf_bytes(&rq->explanation);
}

/* Who asks for it is told all of this if it could read the key's policy anyway. */
static bool may_be_told(struct asked *asked)
{
    struct request *rq = asked->rq;

    if (asked->key == NULL || request_header(&rq->ex->in, BYTES_LIT(EXPLAIN_HEADER)).len == 0)
        return false;
    struct authz_request a = question(asked, "GetKeyPolicy", (struct bytes){ NULL, 0 });
    a.cross_account = false;
    return authz_decide(&a, NULL, NULL) == KMS_OK;
}

/* --- deciding --------------------------------------------------------------------------------- */

static enum kms_status decide(struct request *rq, const char *action, const struct key_record *key,
                              struct bytes resource, bool destination)
{
    UNINITIALIZED struct asked asked;
    struct authz_decision      decision;

    asked_init(&asked, rq, key, destination);
    struct authz_request a = question(&asked, action, resource);
    enum kms_status      status = authz_decide(&a, &decision, &rq->error);
    if (status == KMS_E_ACCESS_DENIED) {
        explain(rq, &a, &decision);
        rq->tells_why = may_be_told(&asked);
    }
    return status;
}

/* A key policy that the request brings. */
static enum kms_status check_new_policy(struct request *rq)
{
    static const char any_key[] = "00000000-0000-0000-0000-000000000000";
    char              room[KEY_ARN_MAX + 1];
    struct buf        arn = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };
    UNINITIALIZED struct asked asked;
    bool                       replica = rq->call.in.replica_region.ptr != NULL;
    const struct op_int       *bypass = &rq->call.in.bypass_lockout;

    asked_init(&asked, rq, replica ? NULL : rq->call.key, replica);
    struct authz_request a = question(&asked, rq->op->name, (struct bytes){ NULL, 0 });
    if (a.key != NULL)
        buf_add(&arn, a.key->name.arn);
    else if (replica)
        key_arn_add(&arn, rq->call.account, rq->call.in.replica_region, rq->call.key->name.id);
    else
        key_arn_add(&arn, rq->call.account, rq->region, bytes_str(any_key));
    return authz_check_key_policy(&a, rq->call.in.policy, buf_bytes(&arn),
                                  bypass->set && bypass->v != 0, principal_known,
                                  rq->server->parts.identities, &rq->error);
}

/* --- which questions an operation asks ---------------------------------------------------------- */

/* The key that an alias points to so far: who takes an alias away from a key needs rights on it
 * (kms-behaviour 12). */
static const struct key_record *key_of_alias(const struct request *rq)
{
    const struct alias_record *alias = rq->call.alias;

    if (alias == NULL || strcmp(rq->op->name, "CreateAlias") == 0) /* which takes none away */
        return NULL;
    return op_key(&rq->call, alias->name.account, alias->name.region, bytes_str(alias->key_id));
}

/* Aliases are resources of their own, beside the keys that they name or named. */
static enum kms_status may_change_alias(struct request *rq)
{
    const struct key_record *key = rq->call.key;
    const struct key_record *former = key_of_alias(rq);
    const struct bytes       of_key = { NULL, 0 };
    char                     room[ALIAS_ARN_MAX + 1];
    struct buf arn = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };

    alias_arn_add(&arn, rq->call.account, rq->region, rq->call.in.alias_name);
    TRY(decide(rq, rq->op->name, NULL, buf_bytes(&arn), false));
    if (key != NULL)
        TRY(decide(rq, rq->op->name, key, of_key, false));
    return former == NULL || former == key ? KMS_OK
                                           : decide(rq, rq->op->name, former, of_key, false);
}

/* A replica is a new key in the other Region: of the account's own, so that identity policies decide. */
static enum kms_status may_replicate(struct request *rq)
{
    const struct op_call *call = &rq->call;
    const struct bytes    of_key = { NULL, 0 };
    char                  room[KEY_ARN_MAX + 1];
    struct buf arn = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };

    TRY(decide(rq, rq->op->name, call->key, of_key, false));
    TRY(decide(rq, "CreateKey", NULL, of_key, true));
    if (call->in.tags.node == NULL || json_count(call->in.tags) == 0)
        return KMS_OK;
    key_arn_add(&arn, call->account, call->in.replica_region, call->key->name.id);
    return decide(rq, "TagResource", NULL, buf_bytes(&arn), true);
}

static enum kms_status may(struct request *rq)
{
    const struct op_call    *call = &rq->call;
    const char              *name = rq->op->name;
    const struct key_record *key = call->key;
    bool                     own = key == NULL || bytes_eq(key->name.account, call->account);

    if ((rq->op->flags & OP_ALIAS_NAME) != 0)
        return may_change_alias(rq);
    if (call->in.replica_region.ptr != NULL)
        return may_replicate(rq);
    switch (rq->op->key) {
    case OP_KEY_BLOB_AND_DESTINATION:
        TRY(decide(rq, "ReEncryptFrom", key, call->resource, false));
        return decide(rq, "ReEncryptTo", call->key2, call->resource, true);
    case OP_KEY_OPTIONAL: /* the key only narrows the list: identity policies alone decide */
        return decide(rq, name, own ? NULL : key, call->resource, false);
    case OP_KEY_NONE:
    case OP_KEY_ID:
    case OP_KEY_ANY:
    case OP_KEY_TARGET:
    case OP_KEY_BLOB:   break;
    }
    TRY(decide(rq, name, key, call->resource, false));
    /* UpdatePrimaryRegion: the replica that is to be the primary */
    return call->key2 == NULL ? KMS_OK : decide(rq, name, call->key2, call->resource, true);
}

static enum kms_status ask_row(struct request *rq)
{
    UNINITIALIZED struct asked asked;

    asked_init(&asked, rq, NULL, false);
    if (rq->call.caller != NULL)
        (void)request_rights(rq);
    TRY(rq->op->authorize(&rq->call, request_condition, &asked, &rq->error));
    return request_rate_unsigned(rq);
}

enum kms_status request_authorize(struct request *rq)
{
    if (rq->op->authorize != NULL)
        return ask_row(rq);
    if ((rq->op->flags & OP_NO_AUTHZ) != 0)
        return KMS_OK;
    TRY(may(rq));
    return rq->call.in.policy.ptr == NULL ? KMS_OK : check_new_policy(rq);
}

enum kms_status request_begin(struct request *rq)
{
    UNINITIALIZED struct asked asked;
    struct op_call            *call = &rq->call;

    if (rq->op->begin == NULL)
        return KMS_OK;
    if ((rq->op->flags & OP_NO_AUTHZ) != 0) {
        asked_init(&asked, rq, NULL, false);
        call->rights = call->caller != NULL ? request_rights(rq) : NULL;
        call->values = request_condition;
        call->values_ctx = &asked;
    }
    enum kms_status status = rq->op->begin(call, &rq->error);
    call->rights = NULL;
    call->values = NULL;
    call->values_ctx = NULL;
    return status;
}
