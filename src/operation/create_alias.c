/* operation/create_alias.c - CreateAlias. */
#include <stdio.h>
#include <stdlib.h>

#include "operation/handlers.h"

const struct shape_member op_create_alias_shape[] = {
    SHAPE_ALIAS_NAME,
    SHAPE_KEY("TargetKeyId", target_key_id, SHAPE_REQUIRED),
    SHAPE_END,
};

/* An alias as target: kms-behaviour 3.2 quotes the service's own text for just this case, 4.2
 * counts CreateAlias among the operations that answer InvalidArnException for any alias. The text
 * is older, but it is about this operation and the other is a rule about many: we follow the text
 * here. UpdateAlias, for which nothing was quoted, follows the rule. */
enum kms_status op_create_alias_prepare(struct op_call *call, struct kms_error *reterr)
{
    enum key_ref_kind target = key_ref_parse(call->in.target_key_id).kind;

    TRY(op_check_alias_name(call->in.alias_name, reterr));
    if (target == REF_ALIAS || target == REF_ALIAS_ARN)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Aliases must refer to keys. Not aliases");
    return KMS_OK;
}

enum kms_status op_create_alias_begin(struct op_call *call, struct kms_error *reterr)
{
    if (op_live_alias(call) != NULL)
        return KMS_REFUSE(reterr, KMS_E_ALREADY_EXISTS,
                          "An alias with the name %.*s already exists",
                          BYTES_FMT(op_alias_arn(call, call->in.alias_name)));
    return op_check_alias_quota(call, reterr);
}

static struct alias_record *new_alias(struct bytes account, struct bytes region, struct bytes name)
{
    struct alias_record *alias = alias_record_new(account, region, name);

    if (alias == NULL) /* as arenas do: half a change must not exist */
        abort();
    return alias;
}

/* The alias of a key that is gone goes first. */
static void drop_stale_alias(struct op_call *call)
{
    const struct alias_record *stale = call->alias;

    if (stale == NULL)
        return;
    struct row *row = change_add(call->change, ROW_ALIAS_DELETE);

    row->alias = new_alias(stale->name.account, stale->name.region, stale->name.name);
    row->expected_version = stale->version;
}

enum kms_status op_create_alias_finish(struct op_call *call, struct kms_error *reterr)
{
    struct alias_record *alias = new_alias(call->account, call->region, call->in.alias_name);

    (void)reterr;
    (void)snprintf(alias->key_id, sizeof alias->key_id, "%.*s", BYTES_FMT(call->key->name.id));
    alias->created = call->now;
    alias->updated = call->now;
    alias->version = 1;
    op_hold_alias_quota(call);
    drop_stale_alias(call);
    change_add(call->change, ROW_ALIAS_INSERT)->alias = alias;
    return KMS_OK;
}
