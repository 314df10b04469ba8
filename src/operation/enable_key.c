/* operation/enable_key.c - EnableKey and DisableKey. Both are idempotent: where nothing changes
 * there is no change. */
#include "operation/handlers.h"

const struct shape_member op_enable_key_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};
const struct shape_member op_disable_key_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};

enum kms_status op_enable_key_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    if (key_state_at(call->key, call->now) != KEY_ENABLED)
        key_enable(op_edit_key(call));
    return KMS_OK;
}

enum kms_status op_disable_key_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    if (key_state_at(call->key, call->now) != KEY_DISABLED)
        key_disable(op_edit_key(call));
    return KMS_OK;
}
