/* operation/list_aliases.c - ListAliases: of the account in the Region or of one key, oldest first.
 *
 * Only aliases that somebody made: there are no keys that services manage here, so there are no
 * alias/aws/ names either.
 */
#include "operation/handlers.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 100, CHUNK = 128 };

const struct shape_member op_list_aliases_shape[] = {
    SHAPE_KEY("KeyId", key_id, 0),
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_END,
};

static void put_alias(struct json_writer *w, const struct alias_record *alias)
{
    uint8_t    text[ALIAS_ARN_MAX];
    struct buf arn = { .ptr = text, .cap = sizeof text, .limit = sizeof text };

    alias_arn_add(&arn, alias->name.account, alias->name.region, alias->name.name);
    json_open_object(w, NULL);
    json_put_string(w, "AliasName", alias->name.name);
    json_put_string(w, "AliasArn", buf_bytes(&arn));
    json_put_str(w, "TargetKeyId", alias->key_id);
    json_put_time(w, "CreationDate", alias->created);
    json_put_time(w, "LastUpdatedDate", alias->updated);
    json_close_object(w);
}

/* The aliases of a key end with its window, although the job may not have removed them yet. */
static bool is_live(const struct op_call *call, const struct alias_record *alias)
{
    return directory_lives(call->env->directory, call->account, call->region,
                           bytes_str(alias->key_id), call->now);
}

/* Writes up to `limit` aliases after `*position` and moves it to the last one; true if there are
 * more. */
static bool put_aliases(struct op_call *call, uint64_t *position, size_t limit)
{
    const struct alias_record *chunk[CHUNK];
    struct bytes               key_id = { NULL, 0 };
    uint64_t                   after = *position;
    size_t                     written = 0;

    if (call->key != NULL)
        key_id = call->key->name.id;
    for (;;) {
        size_t n = directory_list_aliases(call->env->directory, call->account, call->region, key_id,
                                          after, chunk, CHUNK);
        for (size_t i = 0; i < n; i++) {
            if (!is_live(call, chunk[i]))
                continue;
            if (written == limit)
                return true;
            put_alias(call->answer, chunk[i]);
            *position = chunk[i]->serial;
            written++;
        }
        if (n < CHUNK)
            return false;
        after = chunk[n - 1]->serial;
    }
}

enum kms_status op_list_aliases_finish(struct op_call *call, struct kms_error *reterr)
{
    size_t   limit = call->in.limit.set ? (size_t)call->in.limit.v : LIST_DEFAULT;
    uint64_t position = 0;

    TRY(op_marker_read(call, &position, reterr));
    json_open_array(call->answer, "Aliases");
    bool more = put_aliases(call, &position, limit);

    json_close_array(call->answer);
    return op_marker_write(call, more, position, reterr);
}
