/* authz/authz.c - see authz.h. */
#include "authz/authz.h"

#include <stdio.h>

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

/* A key without rights is one whose policy could not be compiled: it allows nothing. */
static struct policy_result ask_key_policy(const struct authz_request *rq, bool root)
{
    const struct key_rights *rights = rq->key->rights;
    char                     action[ACTION_ROOM] = SERVICE;
    struct bytes             name = bytes_str(rq->operation);
    struct policy_request    ask = {
           .caller = { .kind = root ? CALLER_ROOT : CALLER_USER,
                       .account = rq->caller_account,
                       .arn = rq->caller_arn },
           .action = bytes_of(action, sizeof SERVICE - 1 + name.len),
           .resource = rq->key->name.arn,
           .values = rq->values,
           .ctx = rq->ctx,
    };

    if (rights == NULL || rights->policy == NULL || ask.action.len > sizeof action)
        return (struct policy_result){ .statement = POLICY_NO_STATEMENT };
    memcpy(action + sizeof SERVICE - 1, name.ptr, name.len);
    return policy_evaluate(rights->policy, &ask);
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

    result = ask_key_policy(rq, root);
    switch (result.verdict) {
    case POLICY_DENIES:    return refuse(rq, DENIED_BY_RESOURCE_POLICY, &result, reterr);
    case POLICY_NOTHING:   return refuse(rq, NO_RESOURCE_POLICY, &result, reterr);
    case POLICY_DELEGATES: return refuse(rq, NO_IDENTITY_POLICY, &result, reterr);
    case POLICY_ALLOWS:    break;
    }
    /* across accounts the caller's own side has to allow it too: a root user's always does */
    return own || root ? KMS_OK : refuse(rq, NO_IDENTITY_POLICY, &result, reterr);
}
