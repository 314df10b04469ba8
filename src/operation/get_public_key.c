/* operation/get_public_key.c - GetPublicKey (kms-behaviour 15.2, recorded-crypto 2): also of a disabled
 * key, but not without its material. */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_get_public_key_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_GRANT_TOKENS,
    SHAPE_END,
};
// clang-format on

/* State comes before "not an asymmetric key" (kms-behaviour 5.1, note 6). */
enum kms_status op_get_public_key_begin(struct op_call *call, struct kms_error *reterr)
{
    if (!spec_is_asymmetric(call->key->spec))
        return KMS_FAIL(reterr, KMS_E_UNSUPPORTED, "the key has no public half");
    call->command.kind = VAULT_PUBLIC_KEY;
    call->command.from = op_current(call->key);
    return KMS_OK;
}

enum kms_status op_get_public_key_finish(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_base64(call->answer, "PublicKey", buf_bytes(&call->result.public_key));
    json_put_str(call->answer, "CustomerMasterKeySpec", key_spec_name(call->key->spec));
    json_put_str(call->answer, "KeySpec", key_spec_name(call->key->spec));
    json_put_str(call->answer, "KeyUsage", key_usage_name(call->key->usage));
    op_put_algorithms(call->answer, call->key);
    return KMS_OK;
}
