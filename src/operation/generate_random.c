/* operation/generate_random.c - GenerateRandom (kms-behaviour 15.2). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_generate_random_shape[] = {
    { .name = "NumberOfBytes", .type = SHAPE_INT, .min = 1, .max = 1024, SHAPE_AT(number_of_bytes) },
    { .name = "CustomKeyStoreId", .type = SHAPE_STRING, .min = 1, .max = 64,
      SHAPE_AT(custom_key_store_id) },
    SHAPE_RECIPIENT,
    SHAPE_END,
};
// clang-format on

enum kms_status op_generate_random_prepare(struct op_call *call, struct kms_error *reterr)
{
    if (!call->in.number_of_bytes.set)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "NumberOfBytes is required.");
    if (call->in.custom_key_store_id.ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED,
                          "Trent does not implement custom key stores yet.");
    return KMS_OK;
}

enum kms_status op_generate_random_begin(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    call->command.kind = VAULT_GENERATE_RANDOM;
    call->command.length = (size_t)call->in.number_of_bytes.v;
    call->command.recipient = call->attestation.public_key;
    return KMS_OK;
}

enum kms_status op_generate_random_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    op_put_secret(call, "Plaintext");
    return KMS_OK;
}
