/* operation/generate_data_key.c - GenerateDataKey and GenerateDataKeyWithoutPlaintext
 * (kms-behaviour 15.2): a random key, sealed under a symmetric key, with or without itself in
 * clear. */
#include "operation/handlers.h"

// clang-format off
#define DATA_KEY_MEMBERS                                                                           \
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),                                                    \
    SHAPE_CONTEXT("EncryptionContext", encryption_context),                                        \
    { .name = "NumberOfBytes", .type = SHAPE_INT, .min = 1, .max = 1024,                           \
      SHAPE_AT(number_of_bytes) },                                                                 \
    { .name = "KeySpec", .type = SHAPE_ENUM, .values = shape_data_key_specs,                       \
      .enum_text = shape_data_key_spec_text, SHAPE_AT(data_key_spec) },                            \
    SHAPE_GRANT_TOKENS,                                                                            \
    SHAPE_DRY_RUN

const struct shape_member op_generate_data_key_shape[] = {
    DATA_KEY_MEMBERS,
    SHAPE_RECIPIENT,
    SHAPE_END,
};

const struct shape_member op_generate_data_key_without_plaintext_shape[] = {
    DATA_KEY_MEMBERS,
    SHAPE_END,
};
// clang-format on

enum { AES_256_BYTES = 32, AES_128_BYTES = 16 };

/* Before usage and state (kms-behaviour 1.5, step 5). */
enum kms_status op_generate_data_key_prepare(struct op_call *call, struct kms_error *reterr)
{
    if (call->in.number_of_bytes.set == call->in.data_key_spec.set)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Please specify either number of bytes or key spec.");
    return op_check_grant_tokens(call, reterr);
}

static enum kms_status begin(struct op_call *call, bool plain, struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    if (spec_is_asymmetric(call->key->spec))
        return KMS_REFUSE(reterr, KMS_E_KEY_USAGE,
                          "You cannot generate a data key with an asymmetric CMK");
    TRY(op_context(call, call->in.encryption_context, &c->context, reterr));
    c->kind = VAULT_GENERATE_DATA_KEY;
    c->from = op_current(call->key);
    c->recipient = call->attestation.public_key;
    c->want_plain = plain;
    if (call->in.number_of_bytes.set)
        c->length = (size_t)call->in.number_of_bytes.v;
    else
        c->length = call->in.data_key_spec.v == 0 ? AES_256_BYTES : AES_128_BYTES;
    return KMS_OK;
}

enum kms_status op_generate_data_key_begin(struct op_call *call, struct kms_error *reterr)
{
    return begin(call, true, reterr);
}

enum kms_status op_generate_data_key_without_plaintext_begin(struct op_call   *call,
                                                             struct kms_error *reterr)
{
    return begin(call, false, reterr);
}

enum kms_status op_generate_data_key_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_base64(call->answer, "CiphertextBlob", buf_bytes(&call->result.blob));
    if (call->command.want_plain)
        op_put_secret(call, "Plaintext");
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    if (call->in.recipient.node == NULL) /* kms-behaviour 7.6 */
        json_put_hex(call->answer, "KeyMaterialId",
                     bytes_of(call->command.from.material->id.b, 32));
    return KMS_OK;
}
