/* operation/describe_key.c - DescribeKey: KeyMetadata, in every state. */
#include "operation/handlers.h"

const struct shape_member op_describe_key_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_GRANT_TOKENS,
    SHAPE_END,
};

enum kms_status op_describe_key_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    op_write_metadata(call->answer, "KeyMetadata", call->key, call->now);
    return KMS_OK;
}
