/* operation/list_keys.c - ListKeys: the keys of the account in the Region, oldest first. */
#include "base/cleanup.h"
#include "operation/handlers.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, CHUNK = 128 };

const struct shape_member op_list_keys_shape[] = {
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_END,
};

static void put_key(struct json_writer *w, const struct key_record *key)
{
    json_open_object(w, NULL);
    json_put_string(w, "KeyId", key->name.id);
    json_put_string(w, "KeyArn", key->name.arn);
    json_close_object(w);
}

/* Writes up to `limit` keys after `*position` and moves it to the last one; true if there are more.
 * Keys whose window has ended are no longer there, although the job may not have removed them
 * yet. */
static bool put_keys(struct op_call *call, uint64_t *position, size_t limit)
{
    const struct key_record *chunk[CHUNK];
    uint64_t                 after = *position;
    size_t                   written = 0;

    for (;;) {
        size_t n = directory_list_keys(call->env->directory, call->account, call->region, after,
                                       chunk, CHUNK);
        for (size_t i = 0; i < n; i++) {
            if (key_gone(chunk[i], call->now))
                continue;
            if (written == limit)
                return true;
            put_key(call->answer, chunk[i]);
            *position = chunk[i]->serial;
            written++;
        }
        if (n < CHUNK)
            return false;
        after = chunk[n - 1]->serial;
    }
}

enum kms_status op_list_keys_finish(struct op_call *call, struct kms_error *reterr)
{
    size_t   limit = call->in.limit.set ? (size_t)call->in.limit.v : LIST_DEFAULT;
    uint64_t position = 0;

    TRY(op_marker_read(call, &position, reterr));
    json_open_array(call->answer, "Keys");
    bool more = put_keys(call, &position, limit);

    json_close_array(call->answer);
    return op_marker_write(call, more, position, reterr);
}
