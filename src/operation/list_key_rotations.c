/* operation/list_key_rotations.c - ListKeyRotations: the materials of a key, oldest first
 * (recorded-imports R54, kms-behaviour 7.10). */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_list_key_rotations_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "IncludeKeyMaterial", .type = SHAPE_ENUM, .values = shape_include_key_material,
      SHAPE_AT(include_key_material) },
    SHAPE_LIMIT(1000),
    SHAPE_MARKER,
    SHAPE_END,
};
// clang-format on

enum { PAGE_USUAL = 100 };

static bool lists_all(const struct op_call *call)
{
    return call->in.include_key_material.set && call->in.include_key_material.v == 1;
}

enum kms_status op_list_key_rotations_begin(struct op_call *call, struct kms_error *reterr)
{
    if (lists_all(call) && !spec_info(call->key->spec)->rotates)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "Input parameter includeKeyMaterial can only be used with symmetric keys.");
    return KMS_OK;
}

/* What only imported materials have; a missing one has neither model nor date (R30, R37). */
static void write_import(struct json_writer *w, const struct key_material *m)
{
    json_put_str(w, "ImportState", m->present ? "IMPORTED" : "PENDING_IMPORT");
    if (m->expiration != EXPIRATION_NONE)
        json_put_str(w, "ExpirationModel",
                     m->expiration == EXPIRES ? "KEY_MATERIAL_EXPIRES"
                                              : "KEY_MATERIAL_DOES_NOT_EXPIRE");
    if (m->expiration == EXPIRES)
        json_put_time(w, "ValidTo", m->valid_to);
    if (m->has_description)
        json_put_string(w, "KeyMaterialDescription", m->description);
}

static void write_entry(struct json_writer *w, const struct key_record *key,
                        const struct key_material *m)
{
    json_open_object(w, NULL);
    json_put_string(w, "KeyId", key->name.arn);
    json_put_hex(w, "KeyMaterialId", bytes_of(m->id.b, sizeof m->id.b));
    json_put_str(w, "KeyMaterialState", material_role_name(m->role));
    if (key->origin == ORIGIN_EXTERNAL)
        write_import(w, m);
    if (m->rotation_type != ROTATION_NONE) {
        json_put_time(w, "RotationDate", m->rotation_date);
        json_put_str(w, "RotationType",
                     m->rotation_type == ROTATION_ON_DEMAND ? "ON_DEMAND" : "AUTOMATIC");
    }
    json_close_object(w);
}

/* The marker is the position in the key's list of materials, which only grows at its end. */
enum kms_status op_list_key_rotations_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    size_t                   limit = call->in.limit.set ? (size_t)call->in.limit.v : PAGE_USUAL;
    uint64_t                 start = 0;
    size_t                   written = 0;

    TRY(op_marker_read(call, &start, reterr));
    uint64_t at = start;
    bool     more = false;
    json_open_array(call->answer, "Rotations");
    for (; at < key->n_materials && spec_info(key->spec)->rotates; at++) {
        const struct key_material *m = &key->materials[at];
        if (!lists_all(call) && m->rotation_type == ROTATION_NONE)
            continue;
        more = written == limit;
        if (more)
            break;
        write_entry(call->answer, key, m);
        written++;
    }
    json_close_array(call->answer);
    return op_marker_write(call, more, at, reterr);
}
