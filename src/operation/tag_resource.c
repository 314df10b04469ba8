/* operation/tag_resource.c - TagResource and UntagResource. */
#include "operation/handlers.h"

const struct shape_member op_tag_resource_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_TAG_LIST(SHAPE_REQUIRED),
    SHAPE_END,
};

const struct shape_member op_untag_resource_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "TagKeys",
      .type = SHAPE_STRINGS,
      .flags = SHAPE_REQUIRED,
      .min = 1,
      .max = 128,
      .max_items = LIMIT_LIST_ITEMS,
      SHAPE_AT(tag_keys) },
    SHAPE_END,
};

enum kms_status op_tag_resource_prepare(struct op_call *call, struct kms_error *reterr)
{
    return op_check_tags(call->in.tags, reterr);
}

enum kms_status op_tag_resource_finish(struct op_call *call, struct kms_error *reterr)
{
    return op_apply_tags(op_edit_key(call), call->in.tags, reterr);
}

static bool is_named(struct json names, struct bytes key)
{
    struct json name;

    for (struct json_iter it = json_iterate(names); json_next(&it, NULL, &name);) {
        if (bytes_eq(json_string(name), key))
            return true;
    }
    return false;
}

/* Names that the key does not have are ignored (kms-behaviour 13.2). */
enum kms_status op_untag_resource_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_record *edit = op_edit_key(call);
    size_t             kept = 0;

    (void)reterr;
    for (size_t i = 0; i < edit->n_tags; i++) {
        if (!is_named(call->in.tag_keys, edit->tags[i].key))
            edit->tags[kept++] = edit->tags[i];
    }
    edit->n_tags = kept;
    return KMS_OK;
}
