/* operation/list_keys.c - ListKeys: the keys of the account in the Region, oldest first. */
#include "base/cleanup.h"
#include "operation/handlers.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, CHUNK = 128 };

const struct shape_member op_list_keys_shape[] = {
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_END,
};

static void put_key(struct json_writer *w, struct bytes id, struct bytes arn)
{
    json_open_object(w, NULL);
    json_put_string(w, "KeyId", id);
    json_put_string(w, "KeyArn", arn);
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
            put_key(call->answer, chunk[i]->name.id, chunk[i]->name.arn);
            *position = chunk[i]->serial;
            written++;
        }
        if (n < CHUNK)
            return false;
        after = chunk[n - 1]->serial;
    }
}

/* The same out of a page of the store. Few may be left of it: then there are more, and fewer than asked for
 * are in the answer. */
static bool put_page(struct op_call *call, const struct key_page *page, uint64_t *position,
                     size_t limit)
{
    size_t written = 0;

    for (size_t i = 0; i < page->n; i++) {
        char       text[KEY_ARN_MAX];
        struct buf arn = { .ptr = (uint8_t *)text, .cap = sizeof text, .limit = sizeof text };
        bool       gone = page->list[i].deleting && call->now >= page->list[i].deletion_date;

        if (!gone && written == limit)
            return true;
        *position = page->list[i].serial;
        if (gone)
            continue;
        key_arn_add(&arn, call->account, call->region, bytes_str(page->list[i].key_id));
        put_key(call->answer, bytes_str(page->list[i].key_id), buf_bytes(&arn));
        written++;
    }
    return page->n == KEY_PAGE;
}

/* Keys that are cold are in no list of the directory. */
static void want_page(const struct op_call *call, uint64_t after)
{
    struct key_want want;

    if (!key_want_named(&want, call->account, call->region, BYTES_LIT("-")))
        return; /* no key has such an account or Region */
    want.kind = WANT_PAGE;
    want.serial = after;
    key_wants_add(call->wants, &want);
}

static bool page_is_for(const struct key_page *page, uint64_t after)
{
    return page != NULL && page->after == after;
}

enum kms_status op_list_keys_finish(struct op_call *call, struct kms_error *reterr)
{
    size_t   limit = call->in.limit.set ? (size_t)call->in.limit.v : LIST_DEFAULT;
    uint64_t position = 0;

    TRY(op_marker_read(call, &position, reterr));
    bool whole = directory_lists_all(call->env->directory);
    if (!whole && !page_is_for(call->page, position)) {
        want_page(call, position);
        return KMS_OK; /* this time it does not count */
    }
    json_open_array(call->answer, "Keys");
    bool more = whole ? put_keys(call, &position, limit)
                      : put_page(call, call->page, &position, limit);

    json_close_array(call->answer);
    if (whole && !directory_lists_all(call->env->directory))
        return KMS_FAIL(reterr, KMS_E_CHANGED, "keys became cold while they were listed");
    return op_marker_write(call, more, position, reterr);
}
