/* operation/rotate_key_on_demand.c - RotateKeyOnDemand (recorded-imports R40 to R42).
 *
 * The call records a request; by default it completes in the same change. With a rotation delay the
 * jobs complete it later, as the real service does. */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_rotate_key_on_demand_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};
// clang-format on

enum kms_status op_rotate_key_on_demand_begin(struct op_call *call, struct kms_error *reterr)
{
    if (!spec_info(call->key->spec)->rotates)
        return KMS_FAIL(reterr, KMS_E_UNSUPPORTED, "only symmetric keys rotate");
    return KMS_OK;
}

/* A generated key gets its next material; an imported one has it pending already. */
static enum kms_status complete(struct op_call *call, struct key_record *edit,
                                struct kms_error *reterr)
{
    if (edit->origin == ORIGIN_AWS_KMS) {
        struct key_material fresh = { .created = call->now };
        TRY(vault_generate_material(call->env->vault, edit, edit->arena, &fresh, reterr));
        op_spare(call, &fresh.sealed);
        fresh.role = MATERIAL_PENDING_ROTATION;
        *key_record_add_material(edit) = fresh;
    }
    (void)key_rotation_complete(edit, call->now, ROTATION_ON_DEMAND);
    return KMS_OK;
}

enum kms_status op_rotate_key_on_demand_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_record *edit = op_edit_key(call);

    TRY(key_rotation_request(edit, call->now, reterr));
    if (call->env->rotation_delay == 0)
        TRY(complete(call, edit, reterr));
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    return KMS_OK;
}
