/* operation/key_policy.c - GetKeyPolicy, PutKeyPolicy and ListKeyPolicies.
 *
 * A key has one policy, named "default" (kms-behaviour 12). Its text is kept as it was written.
 * Whether a new one may be put at all - its size, its form, its principals, the lockout check - is
 * a question of rights, and request.c asks it before any handler runs.
 */
#include "base/cleanup.h"
#include "identity/principals.h"
#include "operation/handlers.h"

#define POLICY_NAME "default"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, POLICY_SHOWN_BYTES = 1024 * 1024 };

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
    CLEANUP(buf_release) struct buf text = BUF_INIT(POLICY_SHOWN_BYTES);

    principals_show(call->env->identities, call->key->policy, call->key->principals, &text);
    if (!buf_ok(&text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a key policy");
    json_put_string(call->answer, "Policy", buf_bytes(&text));
    json_put_str(call->answer, "PolicyName", POLICY_NAME);
    return KMS_OK;
}

enum kms_status op_set_policy(const struct op_call *call, struct key_record *key, struct bytes text,
                              struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf lines = BUF_INIT(POLICY_SHOWN_BYTES);

    TRY(principals_of(call->env->identities, POLICY_KEY, text, &lines, reterr));
    key->policy = arena_copy(key->arena, text);
    key->principals = arena_copy(key->arena, buf_bytes(&lines));
    return KMS_OK;
}

enum kms_status op_put_key_policy_finish(struct op_call *call, struct kms_error *reterr)
{
    return op_set_policy(call, op_edit_key(call), call->in.policy, reterr);
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
