/* operation/re_encrypt.c - ReEncrypt: out of one key and into another without the plaintext leaving
 * the vault (kms-behaviour 15.2). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_re_encrypt_shape[] = {
    SHAPE_BYTES("CiphertextBlob", ciphertext_blob, 0, LIMIT_CIPHERTEXT),
    SHAPE_CONTEXT("SourceEncryptionContext", source_context),
    SHAPE_KEY("SourceKeyId", source_key_id, 0),
    SHAPE_KEY("DestinationKeyId", destination_key_id, SHAPE_REQUIRED),
    SHAPE_CONTEXT("DestinationEncryptionContext", destination_context),
    SHAPE_ALGORITHM("SourceEncryptionAlgorithm", source_algorithm, 0, encryption),
    SHAPE_ALGORITHM("DestinationEncryptionAlgorithm", destination_algorithm, 0, encryption),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_DRY_RUN_MODIFIERS,
    SHAPE_END,
};
// clang-format on

enum kms_status op_re_encrypt_prepare(struct op_call *call, struct kms_error *reterr)
{
    TRY(op_check_grant_tokens(call, reterr));
    return op_read_blob(call, call->in.source_key_id, "SourceKeyId", call->in.source_algorithm,
                        reterr);
}

enum kms_status op_re_encrypt_begin(struct op_call *call, struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    c->algorithm = op_algorithm(call->in.source_algorithm);
    c->to_algorithm = op_algorithm(call->in.destination_algorithm);
    TRY(op_check_algorithm(call->key, c->algorithm, reterr));
    TRY(op_check_algorithm(call->key2, c->to_algorithm, reterr));
    TRY(op_key_context(call, call->key, call->in.source_context, &c->context, reterr));
    TRY(op_key_context(call, call->key2, call->in.destination_context, &c->to_context, reterr));
    if (!call->has_ciphertext)
        return KMS_OK;
    c->kind = VAULT_REENCRYPT;
    c->from = op_blob_material(call);
    c->to = op_current(call->key2);
    c->input = call->in.ciphertext_blob;
    return KMS_OK;
}

enum kms_status op_re_encrypt_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct vault_command *c = &call->command;
    struct json_writer         *w = call->answer;

    (void)reterr;
    json_put_base64(w, "CiphertextBlob", buf_bytes(&call->result.blob));
    json_put_string(w, "SourceKeyId", call->key->name.arn);
    json_put_string(w, "KeyId", call->key2->name.arn);
    json_put_str(w, "SourceEncryptionAlgorithm", algorithm_names[c->algorithm]);
    json_put_str(w, "DestinationEncryptionAlgorithm", algorithm_names[c->to_algorithm]);
    /* each only if that side is symmetric (recorded-crypto 4.2) */
    if (!spec_is_asymmetric(call->key->spec))
        json_put_hex(w, "SourceKeyMaterialId", bytes_of(c->from.material->id.b, 32));
    if (!spec_is_asymmetric(call->key2->spec))
        json_put_hex(w, "DestinationKeyMaterialId", bytes_of(c->to.material->id.b, 32));
    return KMS_OK;
}
