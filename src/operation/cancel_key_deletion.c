/* operation/cancel_key_deletion.c - CancelKeyDeletion: to Disabled, or to PendingImport where a
 * material is missing (R36). */
#include "operation/handlers.h"

const struct shape_member op_cancel_key_deletion_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};

enum kms_status op_cancel_key_deletion_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_record *edit = op_edit_key(call);

    (void)reterr;
    key_cancel_deletion(edit, call->now);
    json_put_string(call->answer, "KeyId", edit->name.arn);
    return KMS_OK;
}
