/* operation/encrypt.c - Encrypt: up to 4,096 bytes under a symmetric key, less under an RSA or SM2 key
 * (kms-behaviour 15.2, 6.2). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_encrypt_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_BYTES("Plaintext", plaintext, SHAPE_REQUIRED | SHAPE_SENSITIVE, LIMIT_PLAINTEXT),
    SHAPE_CONTEXT("EncryptionContext", encryption_context),
    SHAPE_GRANT_TOKENS,
    SHAPE_ALGORITHM("EncryptionAlgorithm", encryption_algorithm, 0, encryption),
    SHAPE_DRY_RUN,
    SHAPE_END,
};
// clang-format on

enum kms_status op_encrypt_begin(struct op_call *call, struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    c->algorithm = op_algorithm(call->in.encryption_algorithm);
    TRY(op_check_algorithm(call->key, c->algorithm, reterr));
    TRY(op_key_context(call, call->key, call->in.encryption_context, &c->context, reterr));
    c->kind = VAULT_ENCRYPT;
    c->from = op_current(call->key);
    c->input = call->in.plaintext;
    return KMS_OK;
}

enum kms_status op_encrypt_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_base64(call->answer, "CiphertextBlob", buf_bytes(&call->result.blob));
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_str(call->answer, "EncryptionAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}
