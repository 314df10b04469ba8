/* operation/derive_shared_secret.c - DeriveSharedSecret: ECDH with somebody's public key (kms-behaviour
 * 6.4, 15.2; recorded-crypto 6). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_derive_shared_secret_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_ALGORITHM("KeyAgreementAlgorithm", algorithm, SHAPE_REQUIRED, key_agreement),
    SHAPE_BYTES("PublicKey", public_key, SHAPE_REQUIRED, LIMIT_PUBLIC_KEY),
    SHAPE_GRANT_TOKENS,
    SHAPE_DRY_RUN,
    SHAPE_RECIPIENT,
    SHAPE_END,
};
// clang-format on

enum kms_status op_derive_shared_secret_begin(struct op_call *call, struct kms_error *reterr)
{
    call->command.recipient = call->attestation.public_key;
    return op_begin_use(call, VAULT_DERIVE_SHARED_SECRET, call->in.public_key, reterr);
}

enum kms_status op_derive_shared_secret_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    op_put_secret(call, "SharedSecret");
    json_put_str(call->answer, "KeyAgreementAlgorithm", algorithm_names[call->command.algorithm]);
    json_put_str(call->answer, "KeyOrigin", key_origin_name(call->key->origin));
    return KMS_OK;
}
