/* operation/list_resource_tags.c - ListResourceTags: in the order in which they were added. */
#include "operation/handlers.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 50 };

const struct shape_member op_list_resource_tags_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_END,
};

/* A marker holds how many tags came before. */
enum kms_status op_list_resource_tags_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    struct json_writer      *w = call->answer;
    size_t                   limit = call->in.limit.set ? (size_t)call->in.limit.v : LIST_DEFAULT;
    uint64_t                 position = 0;

    TRY(op_marker_read(call, &position, reterr));
    json_open_array(w, "Tags");
    for (size_t n = 0; n < limit && position < key->n_tags; n++, position++)
        op_put_tag(w, &key->tags[position]);
    json_close_array(w);
    return op_marker_write(call, position < key->n_tags, position, reterr);
}
