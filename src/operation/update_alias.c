/* operation/update_alias.c - UpdateAlias: the name of an alias for another key of the same kind. */
#include <stdio.h>
#include <stdlib.h>

#include "operation/handlers.h"

const struct shape_member op_update_alias_shape[] = {
    SHAPE_ALIAS_NAME,
    SHAPE_KEY("TargetKeyId", target_key_id, SHAPE_REQUIRED),
    SHAPE_END,
};

enum kms_status op_update_alias_prepare(struct op_call *call, struct kms_error *reterr)
{
    return op_check_alias_name(call->in.alias_name, reterr);
}

/* Symmetric, asymmetric and HMAC keys are the three classes (kms-behaviour 13.1). */
static const char *class_of(enum key_spec spec)
{
    if (spec_is_asymmetric(spec))
        return "ASYMMETRIC";
    return spec_info(spec)->family == FAMILY_HMAC ? "HMAC" : "SYMMETRIC";
}

static enum kms_status check_same(struct bytes name, const char *what, const char *from,
                                  const char *to, struct kms_error *reterr)
{
    if (strcmp(from, to) == 0)
        return KMS_OK;
    return KMS_REFUSE(
        reterr, KMS_E_VALIDATION,
        "Alias %.*s cannot be changed from a CMK with %s %s to a CMK with %s %s. The %s "
        "of the current CMK and the new CMK must be the same.",
        BYTES_FMT(name), what, from, what, to, what);
}

enum kms_status op_update_alias_begin(struct op_call *call, struct kms_error *reterr)
{
    const struct alias_record *alias = op_live_alias(call);

    if (alias == NULL)
        return op_alias_not_found(call, reterr);
    const struct key_record *current = op_key(call, call->account, call->region,
                                              bytes_str(alias->key_id));

    if (current == NULL) /* it has just become cold: the alias is live */
        return KMS_FAIL(reterr, KMS_E_CHANGED, "the key of the alias is not in memory any more");
    TRY(check_same(call->in.alias_name, "key type", class_of(current->spec),
                   class_of(call->key->spec), reterr));
    TRY(check_same(call->in.alias_name, "key usage", key_usage_name(current->usage),
                   key_usage_name(call->key->usage), reterr));
    if (bytes_eq_str(call->key->name.id, alias->key_id))
        return KMS_OK;
    return op_check_alias_quota(call, reterr);
}

enum kms_status op_update_alias_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct alias_record *old = call->alias;
    struct alias_record       *alias = alias_record_new(old->name.account, old->name.region,
                                                        old->name.name);

    (void)reterr;
    if (alias == NULL) /* as arenas do: half a change must not exist */
        abort();
    (void)snprintf(alias->key_id, sizeof alias->key_id, "%.*s", BYTES_FMT(call->key->name.id));
    alias->created = old->created;
    alias->updated = call->now;
    alias->serial = old->serial;
    alias->version = old->version + 1;
    if (!bytes_eq_str(call->key->name.id, old->key_id))
        op_hold_alias_quota(call);
    change_add(call->change, ROW_ALIAS_UPDATE)->alias = alias;
    return KMS_OK;
}
