/* operation/decrypt.c - Decrypt: a symmetric blob names its key; for the others KeyId does
 * (kms-behaviour 10, 15.2). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_decrypt_shape[] = {
    SHAPE_BYTES("CiphertextBlob", ciphertext_blob, 0, LIMIT_CIPHERTEXT),
    SHAPE_CONTEXT("EncryptionContext", encryption_context),
    SHAPE_GRANT_TOKENS,
    SHAPE_KEY("KeyId", key_id, 0),
    SHAPE_ALGORITHM("EncryptionAlgorithm", encryption_algorithm, 0, encryption),
    SHAPE_RECIPIENT,
    SHAPE_DRY_RUN,
    SHAPE_DRY_RUN_MODIFIERS,
    SHAPE_END,
};
// clang-format on

enum kms_status op_decrypt_prepare(struct op_call *call, struct kms_error *reterr)
{
    TRY(op_check_grant_tokens(call, reterr));
    return op_read_blob(call, call->in.key_id, "KeyId", call->in.encryption_algorithm, reterr);
}

enum kms_status op_decrypt_begin(struct op_call *call, struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    c->algorithm = op_algorithm(call->in.encryption_algorithm);
    TRY(op_check_algorithm(call->key, c->algorithm, reterr));
    TRY(op_key_context(call, call->key, call->in.encryption_context, &c->context, reterr));
    if (!call->has_ciphertext)
        return KMS_OK; /* DryRun with IGNORE_CIPHERTEXT: rights and state are all there is to check */
    c->kind = VAULT_DECRYPT;
    c->from = op_blob_material(call);
    c->input = call->in.ciphertext_blob;
    c->recipient = call->attestation.public_key;
    return KMS_OK;
}

enum kms_status op_decrypt_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    op_put_secret(call, "Plaintext");
    json_put_str(call->answer, "EncryptionAlgorithm", algorithm_names[call->command.algorithm]);
    /* only symmetric keys show it, and not to recipients (kms-behaviour 7.6) */
    if (call->has_blob && call->in.recipient.node == NULL)
        json_put_hex(call->answer, "KeyMaterialId", bytes_of(call->blob.material.b, 32));
    return KMS_OK;
}
