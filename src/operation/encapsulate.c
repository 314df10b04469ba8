/* operation/encapsulate.c - Encapsulate and Decapsulate: ML-KEM (newer-operations, FIPS 203). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_encapsulate_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_ALGORITHM("EncapsulationAlgorithm", algorithm, SHAPE_REQUIRED, encapsulation),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_END,
};

const struct shape_member op_decapsulate_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_BYTES("SharedSecretCiphertextBlob", shared_secret_ciphertext, SHAPE_REQUIRED,
                LIMIT_CIPHERTEXT),
    SHAPE_ALGORITHM("EncapsulationAlgorithm", algorithm, SHAPE_REQUIRED, encapsulation),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_END,
};
// clang-format on

enum kms_status op_encapsulate_begin(struct op_call *call, struct kms_error *reterr)
{
    return op_begin_use(call, VAULT_ENCAPSULATE, (struct bytes){ NULL, 0 }, reterr);
}

enum kms_status op_encapsulate_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_base64(call->answer, "SharedSecret", buf_bytes(&call->result.plain));
    json_put_base64(call->answer, "SharedSecretCiphertextBlob", buf_bytes(&call->result.blob));
    json_put_str(call->answer, "EncapsulationAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}

enum kms_status op_decapsulate_begin(struct op_call *call, struct kms_error *reterr)
{
    return op_begin_use(call, VAULT_DECAPSULATE, call->in.shared_secret_ciphertext, reterr);
}

enum kms_status op_decapsulate_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_base64(call->answer, "SharedSecret", buf_bytes(&call->result.plain));
    json_put_str(call->answer, "EncapsulationAlgorithm", algorithm_names[call->command.algorithm]);
    return KMS_OK;
}
