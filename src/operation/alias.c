/* operation/alias.c - what the operations on aliases share (kms-behaviour 13.1). */
#include "base/cleanup.h"
#include "operation/handlers.h"

enum kms_status op_check_alias_name(struct bytes name, struct kms_error *reterr)
{
    if (!bytes_starts(name, BYTES_LIT("alias/")))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Alias must start with the prefix \"alias/\". Please see "
                          "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
    /* only this spelling is reserved: alias names are case-sensitive */
    if (bytes_starts(name, BYTES_LIT("alias/aws/")))
        return KMS_FAIL(reterr, KMS_E_NOT_AUTHORIZED, "a reserved alias");
    if (name.len == sizeof "alias/" - 1)
        return KMS_FAIL(reterr, KMS_E_ALIAS_NAME, "an alias without a name");
    if (memchr(name.ptr, ':', name.len) != NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%.*s contains invalid characters for an alias",
                          BYTES_FMT(name));
    return KMS_OK;
}

const struct alias_record *op_live_alias(const struct op_call *call)
{
    const struct alias_record *alias = call->alias;
    const struct key_record   *key = NULL;

    if (alias != NULL)
        key = op_key(call, alias->name.account, alias->name.region, bytes_str(alias->key_id));
    return key == NULL || key_gone(key, call->now) ? NULL : alias;
}

enum kms_status op_alias_not_found(struct op_call *call, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Alias %.*s is not found.",
                      BYTES_FMT(op_alias_arn(call, call->in.alias_name)));
}

static size_t aliases_of(const struct op_call *call)
{
    return directory_alias_count(call->env->directory, call->account, call->region,
                                 call->key->name.id);
}

enum kms_status op_check_alias_quota(const struct op_call *call, struct kms_error *reterr)
{
    size_t used = aliases_of(call);

    if (used >= LIMIT_ALIASES_PER_KEY)
        return KMS_REFUSE(reterr, KMS_E_LIMIT,
                          "Aliases per key quota for this account in this region is %d, current "
                          "usage is %zu.",
                          LIMIT_ALIASES_PER_KEY, used);
    return KMS_OK;
}

/* With a new version of the key in the change, two requests for the last place cannot both be
 * right. Far from the quota that would only make requests run again that do not disturb each other;
 * and of those near it none loses more often than there are places. */
void op_hold_alias_quota(struct op_call *call)
{
    enum { NEAR = 16 };

    if (aliases_of(call) + NEAR >= LIMIT_ALIASES_PER_KEY)
        (void)op_edit_key(call);
}
