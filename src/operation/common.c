/* operation/common.c - what handlers share: encryption contexts, edits, tombstones, listings. */
#include "key/resolve.h"
#include "operation/handlers.h"

#include <stdlib.h>

#include "base/limits.h"

void op_call_clear(struct op_call *call)
{
    op_spares_forget(call);
    vault_result_wipe(&call->result);
    /* without a Recipient nobody wrote to it (operation_read_recipient) */
    if (call->in.recipient.node != NULL)
        call->attestation = (struct attestation){ .public_key = { NULL, 0 } };
    memset(call, 0, offsetof(struct op_call, attestation));
}

/* --- call->scratch ---------------------------------------------------------------------------- */

struct buf *op_scratch(struct op_call *call)
{
    struct buf *s = call->scratch;
    size_t      room = s->limit < OP_SCRATCH_BYTES ? s->limit : OP_SCRATCH_BYTES;

    if (s->cap < room)
        (void)buf_reserve(s, room - s->len); /* if memory ran out the appends fail too */
    return s;
}

enum kms_status op_scratch_since(const struct op_call *call, size_t start, struct bytes *ret,
                                 struct kms_error *reterr)
{
    const struct buf *s = call->scratch;

    if (!buf_ok(s))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the scratch buffer of a call is full");
    *ret = bytes_of(s->ptr + start, s->len - start);
    return KMS_OK;
}

struct bytes op_alias_arn(struct op_call *call, struct bytes alias)
{
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    alias_arn_add(s, call->account, call->region, alias);
    return buf_ok(s) ? bytes_of(s->ptr + start, s->len - start) : alias;
}

void op_note_grant(struct op_call *call, struct bytes id)
{
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    if (call->audit_extra.len > 0 && call->audit_extra.len <= start &&
        call->audit_extra.ptr == s->ptr + start - call->audit_extra.len) {
        start -= call->audit_extra.len; /* of an earlier try */
        buf_truncate(s, start);
    }
    buf_add_str(s, "{\"grantId\":\"");
    buf_add(s, id);
    buf_add_str(s, "\"}");
    if (buf_ok(s))
        call->audit_extra = bytes_of(s->ptr + start, s->len - start);
}

/* --- encryption context ----------------------------------------------------------------------- */

struct pair {
    struct bytes key;
    struct bytes value;
};

enum { PAIRS_USUAL = 16 };

static int pair_order(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;

    return bytes_cmp(x->key, y->key);
}

/* `pairs` has room for json_count(context) of them. */
static enum kms_status add_context(struct buf *out, struct json context, struct pair *pairs,
                                   struct kms_error *reterr)
{
    struct json value;
    size_t      n = 0;
    size_t      size = sizeof(uint32_t);

    for (struct json_iter it = json_iterate(context); json_next(&it, &pairs[n].key, &value); n++) {
        /* an unusable context has this text (kms-behaviour 3.2); we take it to mean a null value */
        if (json_type(value) != JSON_STRING)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Invalid EncryptionContext");
        pairs[n].value = json_string(value);
        size += 2 * sizeof(uint32_t) + pairs[n].key.len + pairs[n].value.len;
    }
    if (size > LIMIT_CONTEXT_BYTES)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "EncryptionContext must not be larger than %d bytes",
                          LIMIT_CONTEXT_BYTES);
    qsort(pairs, n, sizeof pairs[0], pair_order);

    buf_add_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_add_field(out, pairs[i].key);
        buf_add_field(out, pairs[i].value);
    }
    return KMS_OK;
}

static enum kms_status add_large_context(struct buf *out, struct json context,
                                         struct kms_error *reterr)
{
    struct pair pairs[LIMIT_CONTEXT_PAIRS];

    if (json_count(context) > LIMIT_CONTEXT_PAIRS)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "EncryptionContext must not have more than %d pairs",
                          LIMIT_CONTEXT_PAIRS);
    return add_context(out, context, pairs, reterr);
}

enum kms_status op_context(struct op_call *call, struct json context, struct bytes *ret,
                           struct kms_error *reterr)
{
    size_t n = context.node == NULL ? 0 : json_count(context);

    if (n == 0) { /* absent and empty are the same (kms-behaviour 10) */
        *ret = (struct bytes){ NULL, 0 };
        return KMS_OK;
    }
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    if (n <= PAIRS_USUAL) {
        struct pair pairs[PAIRS_USUAL];
        TRY(add_context(s, context, pairs, reterr));
    } else {
        TRY(add_large_context(s, context, reterr));
    }
    return op_scratch_since(call, start, ret, reterr);
}

/* --- changes ---------------------------------------------------------------------------------- */

const struct key_record *op_key(const struct op_call *call, struct bytes account,
                                struct bytes region, struct bytes key_id)
{
    return resolve_name(call->env->directory, account, region, key_id, call->wants);
}

struct key_record *op_edit_key(struct op_call *call)
{
    struct key_record *edit = key_record_clone(call->key);

    if (edit == NULL) /* as arenas do: half a change must not exist */
        abort();
    edit->version = call->key->version + 1;
    key_settle(edit, call->now);
    change_add(call->change, ROW_KEY_UPDATE)->key = edit;
    return edit;
}

int64_t op_settles(const struct op_call *call)
{
    return call->env->region_delay == 0 ? 0 : call->now + call->env->region_delay;
}

void op_spare(struct op_call *call, const struct sealed *sealed)
{
    struct sealed *spare = realloc(call->spare, (call->n_spare + 1) * sizeof *spare);

    if (spare == NULL)
        abort();
    spare[call->n_spare++] = *sealed;
    call->spare = spare;
}

void op_spares_give_back(struct op_call *call)
{
    for (size_t i = 0; i < call->n_spare; i++)
        vault_release(call->env->vault, &call->spare[i]);
    op_spares_forget(call);
}

void op_spares_forget(struct op_call *call)
{
    free(call->spare);
    call->spare = NULL;
    call->n_spare = 0;
}

void op_bury(struct op_call *call, const struct key_record *key, const struct material_id *id,
             const struct sealed *sealed, enum erase_reason reason)
{
    change_bury(call->change, key->name.arn, id, sealed, reason, call->now);
}

struct vault_material op_current(const struct key_record *key)
{
    return (struct vault_material){ key, key_record_with_role(key, MATERIAL_CURRENT) };
}

/* --- listings --------------------------------------------------------------------------------- */

/* What a marker is bound to: one made by another account, Region, operation or for another key is
 * none. */
static enum kms_status marker_purpose(struct op_call *call, struct bytes *ret,
                                      struct kms_error *reterr)
{
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    buf_add_field(s, call->account);
    buf_add_field(s, call->region);
    buf_add_field(s, bytes_str(call->op->name));
    buf_add_field(s, call->key != NULL ? call->key->name.arn : (struct bytes){ NULL, 0 });
    return op_scratch_since(call, start, ret, reterr);
}

enum kms_status op_position_open(struct op_call *call, struct bytes purpose, struct bytes marker,
                                 uint64_t *ret, struct kms_error *reterr)
{
    uint8_t    content[64];
    struct buf out = { .ptr = content, .cap = sizeof content, .limit = sizeof content };

    TRY(vault_marker_open(call->env->vault, purpose, marker, &out, reterr));
    struct bytes in = buf_bytes(&out);
    uint64_t     position = 0;

    if (!buf_ok(&out) || !bytes_take_u64(&in, &position) || in.len != 0)
        return KMS_FAIL(reterr, KMS_E_MARKER, "a marker of another form");
    *ret = position;
    return KMS_OK;
}

enum kms_status op_position_seal(struct op_call *call, struct bytes purpose, uint64_t position,
                                 struct bytes *ret, struct kms_error *reterr)
{
    uint8_t     bytes[sizeof position];
    struct buf  content = { .ptr = bytes, .cap = sizeof bytes, .limit = sizeof bytes };
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    buf_add_u64(&content, position);
    TRY(vault_marker_seal(call->env->vault, purpose, buf_bytes(&content), s, reterr));
    return op_scratch_since(call, start, ret, reterr);
}

enum kms_status op_marker_read(struct op_call *call, uint64_t *ret, struct kms_error *reterr)
{
    struct bytes purpose;

    if (call->in.marker.ptr == NULL) {
        *ret = 0;
        return KMS_OK;
    }
    TRY(marker_purpose(call, &purpose, reterr));
    return op_position_open(call, purpose, call->in.marker, ret, reterr);
}

enum kms_status op_marker_write(struct op_call *call, bool more, uint64_t position,
                                struct kms_error *reterr)
{
    struct bytes purpose;
    struct bytes text;

    if (more) {
        TRY(marker_purpose(call, &purpose, reterr));
        TRY(op_position_seal(call, purpose, position, &text, reterr));
        json_put_string(call->answer, "NextMarker", text);
    }
    json_put_bool(call->answer, "Truncated", more);
    return KMS_OK;
}
