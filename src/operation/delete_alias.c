/* operation/delete_alias.c - DeleteAlias. The key is not touched, whatever its state. */
#include <stdlib.h>

#include "operation/handlers.h"

const struct shape_member op_delete_alias_shape[] = {
    SHAPE_ALIAS_NAME,
    SHAPE_END,
};

enum kms_status op_delete_alias_prepare(struct op_call *call, struct kms_error *reterr)
{
    return op_check_alias_name(call->in.alias_name, reterr);
}

enum kms_status op_delete_alias_begin(struct op_call *call, struct kms_error *reterr)
{
    return op_live_alias(call) == NULL ? op_alias_not_found(call, reterr) : KMS_OK;
}

enum kms_status op_delete_alias_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct alias_record *old = call->alias;
    struct row                *row = change_add(call->change, ROW_ALIAS_DELETE);

    (void)reterr;
    row->alias = alias_record_new(old->name.account, old->name.region, old->name.name);
    if (row->alias == NULL) /* as arenas do: half a change must not exist */
        abort();
    row->expected_version = old->version;
    return KMS_OK;
}
