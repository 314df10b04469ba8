/* authz/authz.c - see authz.h. */
#include "authz/authz.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define SERVICE "kms:"

enum { ACTION_ROOM = 96 };

static struct policy *compile(struct bytes text)
{
    struct policy *p = NULL;

    if (policy_compile(POLICY_KEY, text, &p, NULL) != KMS_OK)
        return NULL; /* checked before it was stored: this one was tampered with */
    return p;
}

const struct rights_compiler authz_rights_compiler = { compile, policy_free };

static bool is_root_of(struct bytes arn, struct bytes account)
{
    struct bytes part[5];
    struct bytes rest = arn;

    for (size_t i = 0; i < 5; i++) {
        if (!bytes_cut(&rest, ':', &part[i]))
            return false;
    }
    return bytes_eq(part[0], BYTES_LIT("arn")) && bytes_eq(part[2], BYTES_LIT("iam")) &&
           part[3].len == 0 && bytes_eq(part[4], account) && bytes_eq(rest, BYTES_LIT("root"));
}

/* --- refusing --------------------------------------------------------------------------------- */

enum reason { NO_IDENTITY_POLICY, NO_RESOURCE_POLICY, DENIED_BY_RESOURCE_POLICY };

/* Which statement decided: for the operator, never for the client. */
static void explain(const struct policy_result *result, struct kms_error *reterr)
{
    if (reterr == NULL)
        return;
    if (result->unsure)
        (void)snprintf(reterr->detail, sizeof reterr->detail,
                       "the key policy has no clear answer for this request");
    else if (result->statement != POLICY_NO_STATEMENT)
        (void)snprintf(reterr->detail, sizeof reterr->detail, "statement %d '%.*s' decided",
                       result->statement, BYTES_FMT(result->sid));
}

/* The texts of recorded-authz-multiregion section 3. Callers of another account are not told the
 * ARN. */
static enum kms_status refuse(const struct authz_request *rq, enum reason reason,
                              const struct policy_result *result, struct kms_error *reterr)
{
    bool         own = rq->key != NULL && bytes_eq(rq->key->name.account, rq->caller_account);
    struct bytes arn = own ? rq->key->name.arn : (struct bytes){ NULL, 0 };
    const char  *what = rq->key == NULL ? "" : (own ? " on resource: " : " on this resource");

    if (reason == DENIED_BY_RESOURCE_POLICY)
        (void)KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                         "User: %.*s is not authorized to perform: kms:%s%s%.*s with an explicit "
                         "deny in a resource-based policy",
                         BYTES_FMT(rq->caller_arn), rq->operation, what, BYTES_FMT(arn));
    else
        (void)KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                         "User: %.*s is not authorized to perform: kms:%s%s%.*s because no "
                         "%s-based policy allows the kms:%s action",
                         BYTES_FMT(rq->caller_arn), rq->operation, what, BYTES_FMT(arn),
                         reason == NO_RESOURCE_POLICY ? "resource" : "identity", rq->operation);
    explain(result, reterr);
    return KMS_E_ACCESS_DENIED;
}

/* --- deciding --------------------------------------------------------------------------------- */

static struct policy_result ask(const struct authz_request *rq, const struct policy *p,
                                const char *operation, struct bytes resource, bool lasting)
{
    bool                  root = is_root_of(rq->caller_arn, rq->caller_account);
    char                  action[ACTION_ROOM] = SERVICE;
    struct bytes          name = bytes_str(operation);
    struct policy_request request = {
        .caller = { .kind = root ? CALLER_ROOT : CALLER_USER,
                    .account = rq->caller_account,
                    .arn = rq->caller_arn },
        .action = bytes_of(action, sizeof SERVICE - 1 + name.len),
        .resource = resource,
        .values = rq->values,
        .ctx = rq->ctx,
        .lasting = lasting,
    };

    if (request.action.len > sizeof action)
        return (struct policy_result){ .statement = POLICY_NO_STATEMENT };
    memcpy(action + sizeof SERVICE - 1, operation, name.len);
    return policy_evaluate(p, &request);
}

enum kms_status authz_decide(const struct authz_request *rq, struct kms_error *reterr)
{
    struct policy_result result = { .statement = POLICY_NO_STATEMENT };
    bool                 root = is_root_of(rq->caller_arn, rq->caller_account);

    if (rq->key == NULL) /* identity policies alone decide, and the root user needs none */
        return root ? KMS_OK : refuse(rq, NO_IDENTITY_POLICY, &result, reterr);
    bool own = bytes_eq(rq->key->name.account, rq->caller_account);
    if (!own && !rq->cross_account)
        return refuse(rq, NO_RESOURCE_POLICY, &result, reterr);

    /* a key without rights is one whose policy could not be compiled: it allows nothing */
    if (rq->key->rights != NULL && rq->key->rights->policy != NULL)
        result = ask(rq, rq->key->rights->policy, rq->operation, rq->key->name.arn, false);
    switch (result.verdict) {
    case POLICY_DENIES:    return refuse(rq, DENIED_BY_RESOURCE_POLICY, &result, reterr);
    case POLICY_NOTHING:   return refuse(rq, NO_RESOURCE_POLICY, &result, reterr);
    case POLICY_DELEGATES: return refuse(rq, NO_IDENTITY_POLICY, &result, reterr);
    case POLICY_ALLOWS:    break;
    }
    /* across accounts the caller's own side has to allow it too: a root user's always does */
    return own || root ? KMS_OK : refuse(rq, NO_IDENTITY_POLICY, &result, reterr);
}

/* --- new key policies ------------------------------------------------------------------------- */

/* Accounts besides the caller's, users and roles do not exist in this release. */
static bool exists(const struct policy_principal *p, const void *ctx)
{
    const struct authz_request *rq = ctx;

    return p->kind == PRINCIPAL_SERVICE ||
           (p->kind == PRINCIPAL_ACCOUNT && bytes_eq(p->text, rq->caller_account));
}

enum kms_status authz_check_key_policy(const struct authz_request *rq, struct bytes text,
                                       struct bytes resource, bool bypass, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;

    if (text.len > LIMIT_POLICY_BYTES)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "A key policy has at most %d bytes.",
                          LIMIT_POLICY_BYTES);
    TRY(policy_compile(POLICY_KEY, text, &p, reterr));
    if (!policy_principals_known(p, exists, rq))
        return KMS_REFUSE(reterr, KMS_E_POLICY,
                          "Policy contains a statement with one or more invalid principals.");
    if (bypass)
        return KMS_OK;
    enum policy_verdict verdict = ask(rq, p, "PutKeyPolicy", resource, true).verdict;
    if (verdict != POLICY_ALLOWS && verdict != POLICY_DELEGATES)
        return KMS_REFUSE(
            reterr, KMS_E_POLICY,
            "The new key policy will not allow you to update the key policy in the future.");
    return KMS_OK;
}
