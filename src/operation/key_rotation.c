/* operation/key_rotation.c - EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus
 * (recorded-imports R50 to R53). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_enable_key_rotation_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "RotationPeriodInDays", .type = SHAPE_INT, .min = 90, .max = 2560,
      SHAPE_AT(rotation_period_days) },
    SHAPE_END,
};

const struct shape_member op_disable_key_rotation_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};

const struct shape_member op_get_key_rotation_status_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};
// clang-format on

/* Asymmetric and HMAC keys: no message (J48). */
enum kms_status op_enable_key_rotation_begin(struct op_call *call, struct kms_error *reterr)
{
    if (!spec_info(call->key->spec)->rotates)
        return KMS_FAIL(reterr, KMS_E_UNSUPPORTED, "only symmetric keys rotate");
    return KMS_OK;
}

enum kms_status op_enable_key_rotation_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    struct op_int            days = call->in.rotation_period_days;

    (void)reterr;
    if (key->rotation_enabled && (!days.set || days.v == key->rotation_period_days))
        return KMS_OK; /* R51: neither period nor date change */
    key_rotation_enable(op_edit_key(call), call->now, days.set, (uint32_t)days.v);
    return KMS_OK;
}

enum kms_status op_disable_key_rotation_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    if (call->key->rotation_enabled) /* R52: idempotent, on every kind of key */
        key_rotation_disable(op_edit_key(call));
    return KMS_OK;
}

enum kms_status op_get_key_rotation_status_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    enum key_state           state = key_state_at(key, call->now);
    bool deleting = state == KEY_PENDING_DELETION || state == KEY_PENDING_REPLICA_DELETION;
    bool on = key->rotation_enabled && !deleting; /* R53 */

    (void)reterr;
    json_put_bool(call->answer, "KeyRotationEnabled", on);
    json_put_string(call->answer, "KeyId", key->name.arn);
    if (on) {
        json_put_int(call->answer, "RotationPeriodInDays", key->rotation_period_days);
        json_put_time(call->answer, "NextRotationDate", key->next_rotation);
    }
    if (key->on_demand_start != 0)
        json_put_time(call->answer, "OnDemandRotationStartDate", key->on_demand_start);
    return KMS_OK;
}
