/* operation/delete_imported_key_material.c - DeleteImportedKeyMaterial: right away
 * (recorded-imports R27 to R32). The change carries a tombstone; the committer erases before the
 * answer leaves (commit/commit.h). */
#include "operation/handlers.h"

#include "base/encode.h"

// clang-format off
const struct shape_member op_delete_imported_key_material_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "KeyMaterialId", .type = SHAPE_STRING, .min = 64, .max = 64, .pattern = "^[a-f0-9]+$",
      .matches = shape_is_hex, SHAPE_AT(key_material_id) },
    SHAPE_END,
};
// clang-format on

enum kms_status op_delete_imported_key_material_finish(struct op_call   *call,
                                                       struct kms_error *reterr)
{
    struct material_id    wanted;
    struct key_family     family;
    struct family_deleted gone;

    if (call->in.has_key_material_id &&
        !hex_read(call->in.key_material_id, wanted.b, sizeof wanted.b))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the shape let a bad material id pass");
    TRY(op_edit_family(call, &family, reterr));
    TRY(family_delete_material(&family, call->in.has_key_material_id ? &wanted : NULL, call->now,
                               &gone, reterr));
    for (size_t i = 0; i < family.n; i++) /* R47: copies in other Regions, too */
        op_bury(call, family.of[i], &gone.id, &gone.sealed[i], ERASE_API);
    json_put_string(call->answer, "KeyId", call->key->name.arn);
    if (gone.had && spec_info(call->key->spec)->rotates)
        json_put_hex(call->answer, "KeyMaterialId", bytes_of(gone.id.b, sizeof gone.id.b));
    return KMS_OK;
}
