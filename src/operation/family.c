/* operation/family.c - a key and its relatives, edited by an operation (key/family.h). */
#include "operation/handlers.h"

#include <stdlib.h>

void op_edit_family(struct op_call *call, struct key_family *ret)
{
    const struct key_record *list[FAMILY_MAX];
    size_t                   n = directory_family(call->env->directory, call->key, list);

    if (!family_clone(list, n, call->key, call->now, ret))
        abort(); /* as op_edit_key: half a change must not exist */
    for (size_t i = 0; i < ret->n; i++)
        change_add(call->change, ROW_KEY_UPDATE)->key = ret->of[i];
}

enum kms_status op_refuse_replica(const struct op_call *call, struct kms_error *reterr)
{
    if (call->key->multi_region != REGION_REPLICA)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED,
                      "%.*s is a multi-region replica key which is not valid for %s.",
                      BYTES_FMT(call->key->name.arn), call->op->name);
}
