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
    return op_refuse_replica(call, reterr);
}

/* A generated key gets its next material; an imported one has it pending already. */
static enum kms_status complete(struct op_call *call, struct key_family *family,
                                struct kms_error *reterr)
{
    struct sealed made[FAMILY_MAX];

    if (call->key->origin == ORIGIN_AWS_KMS) {
        TRY(vault_generate_next(call->env->vault, family->of, family->n, call->now, made, reterr));
        for (size_t i = 0; i < family->n; i++)
            op_spare(call, &made[i]);
    }
    (void)family_rotation_complete(family, call->now, ROTATION_ON_DEMAND);
    return KMS_OK;
}

enum kms_status op_rotate_key_on_demand_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_family family;

    TRY(op_edit_family(call, &family, reterr));
    TRY(family_rotation_request(&family, call->now, reterr));
    if (call->env->rotation_delay == 0)
        TRY(complete(call, &family, reterr));
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    return KMS_OK;
}
