/* authz/authz.c - see authz.h. */
#include "authz/authz.h"

static bool is_root_of(struct bytes arn, struct bytes account)
{
    static const char prefix[] = "arn:";
    static const char middle[] = ":iam::";
    struct bytes      rest = arn;
    struct bytes      partition;

    if (!bytes_starts(rest, bytes_str(prefix)) ||
        !bytes_take(&rest, sizeof prefix - 1, &partition) || !bytes_cut(&rest, ':', &partition))
        return false;
    struct bytes tail = BYTES_LIT(":root");
    struct bytes head = bytes_str(middle + 1);
    struct bytes got;
    return bytes_take(&rest, head.len, &got) && bytes_eq(got, head) &&
           bytes_take(&rest, account.len, &got) && bytes_eq(got, account) && bytes_eq(rest, tail);
}

enum kms_status authz_decide(const struct authz_request *rq, struct kms_error *reterr)
{
    bool root = is_root_of(rq->caller_arn, rq->caller_account);
    bool own = rq->key == NULL || bytes_eq(rq->key->name.account, rq->caller_account);

    if (root && own)
        return KMS_OK;
    if (rq->key == NULL)
        return KMS_REFUSE(
            reterr, KMS_E_ACCESS_DENIED,
            "User: %.*s is not authorized to perform: kms:%s because no identity-based "
            "policy allows the kms:%s action",
            BYTES_FMT(rq->caller_arn), rq->operation, rq->operation);
    if (own)
        return KMS_REFUSE(
            reterr, KMS_E_ACCESS_DENIED,
            "User: %.*s is not authorized to perform: kms:%s on resource: %.*s because no "
            "identity-based policy allows the kms:%s action",
            BYTES_FMT(rq->caller_arn), rq->operation, BYTES_FMT(rq->key->name.arn), rq->operation);
    /* another account's key: no ARN, so that nothing is learnt about it */
    return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                      "User: %.*s is not authorized to perform: kms:%s on this resource because no "
                      "resource-based policy allows the kms:%s action",
                      BYTES_FMT(rq->caller_arn), rq->operation, rq->operation);
}
