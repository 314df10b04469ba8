/* operation/generate_data_key_pair.c - GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext
 * (kms-behaviour 15.2, recorded-crypto 9): a key pair whose private half is sealed under a symmetric
 * key, with or without itself in clear. RSA pairs come from the vault's pools of ready keys. */
#include "operation/handlers.h"

// clang-format off
#define PAIR_MEMBERS                                                                               \
    SHAPE_CONTEXT("EncryptionContext", encryption_context),                                        \
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),                                                    \
    { .name = "KeyPairSpec", .type = SHAPE_ENUM, .flags = SHAPE_REQUIRED,                          \
      .values = key_spec_names, .enum_text = shape_data_key_pair_spec_text,                        \
      .matches = shape_is_data_key_pair_spec, SHAPE_AT(key_pair_spec) },                           \
    SHAPE_GRANT_TOKENS,                                                                            \
    SHAPE_DRY_RUN

const struct shape_member op_generate_data_key_pair_shape[] = {
    PAIR_MEMBERS,
    SHAPE_RECIPIENT,
    SHAPE_END,
};

const struct shape_member op_generate_data_key_pair_without_plaintext_shape[] = {
    PAIR_MEMBERS,
    SHAPE_END,
};
// clang-format on

enum kms_status op_generate_data_key_pair_prepare(struct op_call *call, struct kms_error *reterr)
{
    TRY(op_check_spec_region(call->region, (enum key_spec)call->in.key_pair_spec.v, reterr));
    return op_check_grant_tokens(call, reterr);
}

static enum kms_status begin(struct op_call *call, bool plain, struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    if (spec_is_asymmetric(call->key->spec))
        return KMS_REFUSE(reterr, KMS_E_KEY_USAGE,
                          "You cannot generate a data key pair with an asymmetric CMK");
    TRY(op_context(call, call->in.encryption_context, &c->context, reterr));
    c->kind = VAULT_GENERATE_DATA_KEY_PAIR;
    c->from = op_current(call->key);
    c->pair_spec = (enum key_spec)call->in.key_pair_spec.v;
    c->want_plain = plain;
    c->dry_run = op_is_dry_run(call);
    if (!c->dry_run)
        c->recipient = call->attestation.public_key;
    return KMS_OK;
}

enum kms_status op_generate_data_key_pair_begin(struct op_call *call, struct kms_error *reterr)
{
    return begin(call, true, reterr);
}

enum kms_status op_generate_data_key_pair_without_plaintext_begin(struct op_call   *call,
                                                                  struct kms_error *reterr)
{
    return begin(call, false, reterr);
}

enum kms_status op_generate_data_key_pair_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_base64(call->answer, "PrivateKeyCiphertextBlob", buf_bytes(&call->result.blob));
    if (call->command.want_plain)
        op_put_secret(call, "PrivateKeyPlaintext");
    json_put_base64(call->answer, "PublicKey", buf_bytes(&call->result.public_key));
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_str(call->answer, "KeyPairSpec", key_spec_name(call->command.pair_spec));
    json_put_hex(call->answer, "KeyMaterialId", bytes_of(call->command.from.material->id.b, 32));
    return KMS_OK;
}
