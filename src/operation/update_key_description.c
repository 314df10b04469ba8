/* operation/update_key_description.c - UpdateKeyDescription. */
#include "operation/handlers.h"

const struct shape_member op_update_key_description_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "Description",
      .type = SHAPE_STRING,
      .flags = SHAPE_REQUIRED,
      .max = 8192,
      SHAPE_AT(description) },
    SHAPE_END,
};

enum kms_status op_update_key_description_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_record *edit = op_edit_key(call);

    (void)reterr;
    edit->description = arena_copy(edit->arena, call->in.description);
    return KMS_OK;
}
