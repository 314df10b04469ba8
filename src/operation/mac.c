/* operation/mac.c - GenerateMac and VerifyMac (kms-behaviour 6.4, 15.2; recorded-crypto 8.1). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_generate_mac_shape[] = {
    SHAPE_MESSAGE,
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_ALGORITHM("MacAlgorithm", algorithm, SHAPE_REQUIRED, mac),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_END,
};

const struct shape_member op_verify_mac_shape[] = {
    SHAPE_MESSAGE,
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_ALGORITHM("MacAlgorithm", algorithm, SHAPE_REQUIRED, mac),
    SHAPE_BYTES("Mac", mac, SHAPE_REQUIRED, LIMIT_CIPHERTEXT),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_END,
};
// clang-format on

enum kms_status op_generate_mac_begin(struct op_call *call, struct kms_error *reterr)
{
    return op_begin_use(call, VAULT_GENERATE_MAC, call->in.message, reterr);
}

enum kms_status op_generate_mac_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_base64(call->answer, "Mac", buf_bytes(&call->result.plain));
    json_put_str(call->answer, "MacAlgorithm", algorithm_names[call->command.algorithm]);
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    return KMS_OK;
}

enum kms_status op_verify_mac_begin(struct op_call *call, struct kms_error *reterr)
{
    call->command.proof = call->in.mac;
    return op_begin_use(call, VAULT_VERIFY_MAC, call->in.message, reterr);
}

/* Never MacValid false: that is KMSInvalidMacException. */
enum kms_status op_verify_mac_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_bool(call->answer, "MacValid", true);
    json_put_str(call->answer, "MacAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}
