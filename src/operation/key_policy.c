/* operation/key_policy.c - GetKeyPolicy, PutKeyPolicy and ListKeyPolicies.
 *
 * A key has one policy, named "default" (kms-behaviour 12). Its text is kept as it was written.
 * Whether a new one may be put at all - its size, its form, its principals, the lockout check - is
 * a question of rights, and request.c asks it before any handler runs.
 */
#include "operation/handlers.h"

#define POLICY_NAME "default"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000 };

// clang-format off
#define SHAPE_POLICY_NAME                                                                          \
    { .name = "PolicyName", .type = SHAPE_STRING, .min = 1, .max = 128, .pattern = "[\\w]+",       \
      .matches = shape_is_word, SHAPE_AT(policy_name) }

const struct shape_member op_get_key_policy_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_POLICY_NAME,
    SHAPE_END,
};
const struct shape_member op_put_key_policy_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_POLICY_NAME,
    SHAPE_POLICY(SHAPE_REQUIRED),
    SHAPE_FLAG("BypassPolicyLockoutSafetyCheck", bypass_lockout),
    SHAPE_END,
};
const struct shape_member op_list_key_policies_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_END,
};
// clang-format on

enum kms_status op_key_policy_begin(struct op_call *call, struct kms_error *reterr)
{
    struct bytes name = call->in.policy_name;

    if (name.ptr != NULL && !bytes_eq(name, BYTES_LIT(POLICY_NAME)))
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "No such policy exists");
    return KMS_OK;
}

enum kms_status op_get_key_policy_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "Policy", call->key->policy);
    json_put_str(call->answer, "PolicyName", POLICY_NAME);
    return KMS_OK;
}

enum kms_status op_put_key_policy_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_record *edit = op_edit_key(call);

    (void)reterr;
    edit->policy = arena_copy(edit->arena, call->in.policy);
    return KMS_OK;
}

/* One name: a marker could only stand behind it. */
enum kms_status op_list_key_policies_finish(struct op_call *call, struct kms_error *reterr)
{
    uint64_t position = 0;

    TRY(op_marker_read(call, &position, reterr));
    json_open_array(call->answer, "PolicyNames");
    if (position == 0)
        json_put_str(call->answer, NULL, POLICY_NAME);
    json_close_array(call->answer);
    return op_marker_write(call, false, 1, reterr);
}
