/* operation/import_key_material.c - ImportKeyMaterial: the customer's own key material comes in
 * (recorded-imports R6 to R26).
 *
 * Order of refusals: parameters, then the key's origin and state (request.c), then token,
 * unwrapping, identity. A refused import changes nothing (R6).
 */
#include "operation/handlers.h"

#include "base/cleanup.h"
#include "base/encode.h"

// clang-format off
const struct shape_member op_import_key_material_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_BYTES("ImportToken", import_token, SHAPE_REQUIRED, LIMIT_CIPHERTEXT),
    SHAPE_BYTES("EncryptedKeyMaterial", encrypted_key_material, SHAPE_REQUIRED, LIMIT_CIPHERTEXT),
    { .name = "ValidTo", .type = SHAPE_TIME, SHAPE_AT(valid_to) },
    { .name = "ExpirationModel", .type = SHAPE_ENUM, .values = shape_expiration_models,
      SHAPE_AT(expiration_model) },
    { .name = "ImportType", .type = SHAPE_ENUM, .values = shape_import_types, SHAPE_AT(import_type) },
    { .name = "KeyMaterialDescription", .type = SHAPE_STRING, .min = 0, .max = 256,
      .pattern = "^[a-zA-Z0-9:/_\\s.-]+$", .matches = shape_is_material_description,
      SHAPE_AT(key_material_description) },
    { .name = "KeyMaterialId", .type = SHAPE_STRING, .min = 64, .max = 64, .pattern = "^[a-f0-9]+$",
      .matches = shape_is_hex, SHAPE_AT(key_material_id) },
    SHAPE_END,
};
// clang-format on

enum { MODEL_EXPIRES, MODEL_DOES_NOT_EXPIRE }; /* indices into shape_expiration_models */
enum { TYPE_NEW, TYPE_EXISTING };              /* indices into shape_import_types */

static const int64_t MAX_VALIDITY_MS = (int64_t)365 * 24 * 3600 * 1000;

/* R11, R12. The edge at exactly 365 days was not recorded: the text says "less than". */
static enum kms_status check_valid_to(const struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;

    if (in->expiration_model.set && in->expiration_model.v == MODEL_DOES_NOT_EXPIRE) {
        if (in->valid_to.set)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "A validTo date cannot be set if the ExpirationModel is "
                              "KEY_MATERIAL_DOES_NOT_EXPIRE");
        return KMS_OK;
    }
    if (!in->valid_to.set)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES");
    if (in->valid_to.v <= call->now)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "ValidTo must be in the future");
    if (in->valid_to.v - call->now >= MAX_VALIDITY_MS)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "ValidTo must be less than 365 days in the future");
    return KMS_OK;
}

enum kms_status op_import_key_material_prepare(struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;

    TRY(check_valid_to(call, reterr));
    if (in->import_type.set && in->import_type.v == TYPE_NEW && in->has_key_material_id) /* R8 */
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "Input parameter keyMaterialId cannot be used with NEW_KEY_MATERIAL importType.");
    return KMS_OK;
}

/* R7, R9, R10: what this kind of key does not take. */
enum kms_status op_import_key_material_begin(struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;
    const char            *unfit = in->import_type.set       ? "importType"
                                   : in->has_key_material_id ? "keyMaterialId"
                                   : in->key_material_description.ptr != NULL ? "keyMaterialDescription"
                                                                              : NULL;

    if (unfit != NULL && !spec_info(call->key->spec)->rotates)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Input parameter %s cannot be used with %s imported keys.", unfit,
                          key_spec_name(call->key->spec));
    if (call->key->multi_region != REGION_REPLICA)
        return KMS_OK;
    if (in->import_type.set && in->import_type.v == TYPE_NEW)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Input parameter ImportType NEW_KEY_MATERIAL cannot be used on replica "
                          "Multi-Region keys");
    if (in->key_material_description.ptr != NULL)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "Key material description can only be specified on primary Multi-Region keys");
    return KMS_OK;
}

/* The wrapping key that the token belongs to (R14). */
static enum kms_status wrapping_key(struct op_call *call, const struct import_key_record **ret,
                                    struct kms_error *reterr)
{
    uint8_t id[16];

    TRY(vault_token_open(call->env->vault, call->key, call->in.import_token, call->now, id,
                         reterr));
    const struct import_key_record *k = directory_import_key(call->env->directory, id);
    if (k == NULL || !bytes_eq(k->key.arn, call->key->name.arn))
        return KMS_FAIL(reterr, KMS_E_IMPORT_TOKEN, "the wrapping key of this token is gone");
    if (call->now >= k->valid_to)
        return KMS_FAIL(reterr, KMS_E_EXPIRED_TOKEN, "the token is past its 24 hours");
    *ret = k;
    return KMS_OK;
}

static enum kms_status import_request(const struct op_call *call, const struct material_id *id,
                                      struct import_request *ret, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;

    *ret = (struct import_request){
        .id = *id,
        .new_type = in->import_type.set && in->import_type.v == TYPE_NEW,
        .existing_type = in->import_type.set && in->import_type.v == TYPE_EXISTING,
        .has_expected_id = in->has_key_material_id,
        .expiration = in->valid_to.set ? EXPIRES : DOES_NOT_EXPIRE,
        .valid_to = in->valid_to.set ? in->valid_to.v : 0,
        .has_description = in->key_material_description.ptr != NULL,
        .description = in->key_material_description,
    };
    if (in->has_key_material_id && !hex_read(in->key_material_id, ret->expected_id.b, 32))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the shape let a bad material id pass");
    return KMS_OK;
}

/* Identity, state machine, sealing: from here on the records of `family` are what will be committed. */
static enum kms_status take_in(struct op_call *call, struct vault_import *opened,
                               const struct material_id *id, struct kms_error *reterr)
{
    const struct key_material *known = key_record_material(call->key, id);
    struct key_material       *material = NULL;
    struct key_family          family;
    struct import_request      rq;

    TRY(import_request(call, id, &rq, reterr));
    TRY(op_edit_family(call, &family, reterr));
    struct key_record *edit = family.of[family.named];
    TRY(family_import(&family, &rq, call->now, &material, reterr));
    if (known != NULL) {
        TRY(vault_import_check(opened, known, reterr));
        op_bury(call, call->key, id, &known->sealed, ERASE_REPLACED);
    }
    TRY(vault_import_seal(call->env->vault, opened, edit, edit->arena, material, reterr));
    op_spare(call, &material->sealed);
    family_sealed(&family, material);
    return KMS_OK;
}

enum kms_status op_import_key_material_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(vault_import_closep) struct vault_import *opened = NULL;
    const struct import_key_record                   *wrapping = NULL;
    struct material_id                                id;

    TRY(wrapping_key(call, &wrapping, reterr));
    TRY(vault_import_open(call->env->vault, call->key, wrapping, call->in.encrypted_key_material,
                          &opened, &id, reterr));
    TRY(take_in(call, opened, &id, reterr));
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    if (spec_info(call->key->spec)->rotates) /* R26 */
        json_put_hex(call->answer, "KeyMaterialId", bytes_of(id.b, sizeof id.b));
    return KMS_OK;
}
