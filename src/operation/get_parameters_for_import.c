/* operation/get_parameters_for_import.c - GetParametersForImport: a wrapping key and a token, valid
 * 24 hours (recorded-imports R3 to R5). */
#include "operation/handlers.h"

#include "base/cleanup.h"

// clang-format off
const struct shape_member op_get_parameters_for_import_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "WrappingAlgorithm", .type = SHAPE_ENUM, .flags = SHAPE_REQUIRED,
      .values = shape_wrapping_algorithms, SHAPE_AT(wrapping_algorithm) },
    { .name = "WrappingKeySpec", .type = SHAPE_ENUM, .flags = SHAPE_REQUIRED,
      .values = shape_wrapping_specs, SHAPE_AT(wrapping_key_spec) },
    SHAPE_END,
};
// clang-format on

enum { FIRST_ALGORITHM = 1 /* after RSAES_PKCS1_V1_5 */, WRAPPING_SPECS = 3 /* before SM2 */ };

static const enum key_spec wrapping_specs[WRAPPING_SPECS] = { SPEC_RSA_2048, SPEC_RSA_3072,
                                                              SPEC_RSA_4096 };

/* R3: the rows of the specs say which wrappings a key takes. */
static bool wrapping_fits(const struct key_record *key, int64_t algorithm, int64_t spec)
{
    return algorithm >= FIRST_ALGORITHM && algorithm < FIRST_ALGORITHM + WRAP_COUNT &&
           spec < WRAPPING_SPECS &&
           spec_takes_wrapping(key->spec, (enum wrapping_algorithm)(algorithm - FIRST_ALGORITHM),
                               wrapping_specs[spec]);
}

/* Requests at the same time may each get one more: what is bounded is what they hold. */
static enum kms_status check_tokens(const struct op_call *call, struct kms_error *reterr)
{
    size_t used = directory_import_key_count(call->env->directory, &call->key->name);

    if (used < LIMIT_IMPORT_TOKENS)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_LIMIT,
                      "Unexpired import tokens per key quota is %d, current usage is %zu. Each is "
                      "valid for 24 hours.",
                      LIMIT_IMPORT_TOKENS, used);
}

enum kms_status op_get_parameters_for_import_begin(struct op_call *call, struct kms_error *reterr)
{
    int64_t algorithm = call->in.wrapping_algorithm.v;
    int64_t spec = call->in.wrapping_key_spec.v;

    if (wrapping_fits(call->key, algorithm, spec))
        return check_tokens(call, reterr);
    return KMS_REFUSE(
        reterr, KMS_E_VALIDATION,
        "Wrapping algorithm %s and wrapping key spec %s cannot be used to import a %s key.",
        shape_wrapping_algorithms[algorithm], shape_wrapping_specs[spec],
        key_spec_name(call->key->spec));
}

enum kms_status op_get_parameters_for_import_finish(struct op_call *call, struct kms_error *reterr)
{
    enum wrapping_algorithm algorithm = (enum wrapping_algorithm)(call->in.wrapping_algorithm.v -
                                                                  FIRST_ALGORITHM);
    CLEANUP(vault_import_parameters_release) struct vault_import_parameters p = { 0 };

    call->ready_spec = wrapping_specs[call->in.wrapping_key_spec.v];
    enum kms_status status = vault_import_parameters(call->env->vault, call->key, algorithm,
                                                     call->ready_spec, call->now, &p, reterr);
    call->retry_when_ready = status == KMS_E_THROTTLED;
    if (status != KMS_OK)
        return status;

    op_spare(call, &p.record->sealed);
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    json_put_base64(call->answer, "ImportToken", buf_bytes(&p.token));
    json_put_base64(call->answer, "PublicKey", buf_bytes(&p.spki));
    json_put_time(call->answer, "ParametersValidTo", p.record->valid_to);
    change_add(call->change, ROW_IMPORT_KEY_INSERT)->import_key = TAKE(p.record);
    return KMS_OK;
}
