/* operation/sign.c - Sign and Verify (kms-behaviour 6.3, 15.2; recorded-crypto 4.3, 5, 7). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_sign_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_MESSAGE,
    { .name = "MessageType", .type = SHAPE_ENUM, .values = shape_message_types,
      SHAPE_AT(message_type) },
    SHAPE_GRANT_TOKENS,
    SHAPE_ALGORITHM("SigningAlgorithm", algorithm, SHAPE_REQUIRED, signing),
    SHAPE_DRY_RUN,
    SHAPE_END,
};

const struct shape_member op_verify_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_MESSAGE,
    { .name = "MessageType", .type = SHAPE_ENUM, .values = shape_message_types,
      SHAPE_AT(message_type) },
    SHAPE_BYTES("Signature", signature, SHAPE_REQUIRED, LIMIT_CIPHERTEXT),
    SHAPE_ALGORITHM("SigningAlgorithm", algorithm, SHAPE_REQUIRED, signing),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_END,
};
// clang-format on

static enum kms_status begin(struct op_call *call, enum vault_command_kind kind,
                             struct kms_error *reterr)
{
    TRY(op_begin_use(call, kind, call->in.message, reterr));
    call->command.proof = call->in.signature;
    return op_check_message(call, &call->command.message_type, reterr);
}

enum kms_status op_sign_begin(struct op_call *call, struct kms_error *reterr)
{
    return begin(call, VAULT_SIGN, reterr);
}

enum kms_status op_sign_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_base64(call->answer, "Signature", buf_bytes(&call->result.blob));
    json_put_str(call->answer, "SigningAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}

enum kms_status op_verify_begin(struct op_call *call, struct kms_error *reterr)
{
    return begin(call, VAULT_VERIFY, reterr);
}

/* Never SignatureValid false: that is KMSInvalidSignatureException. */
enum kms_status op_verify_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_bool(call->answer, "SignatureValid", true);
    json_put_str(call->answer, "SigningAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}
