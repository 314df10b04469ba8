/* operation/shape_audit.c - requestParameters of the audit record: what of a request may be
 * recorded.
 *
 * Runs before the shape check, on a body that may hold anything: only members of the row are
 * written, only if they have the right JSON type, never those marked SHAPE_NO_AUDIT (trust-model
 * 5.2), and long texts are cut. Member names begin in lower case, as CloudTrail writes them; the
 * keys of an encryption context stay as they are.
 */
#include "operation/shape.h"

#include "base/cleanup.h"

/* The longest valid text is a description of 8,192 characters: those are recorded whole. */
enum { AUDIT_TEXT = 4 * 8192, AUDIT_ITEMS = LIMIT_LIST_ITEMS };

/* `text` as it goes into the record: whole, or its beginning with "..." behind it. */
static struct bytes shortened(struct bytes text, struct buf *room)
{
    size_t n = AUDIT_TEXT;

    if (text.len <= AUDIT_TEXT)
        return text;
    while (n > 0 && (text.ptr[n] & 0xc0) == 0x80) /* not inside a character */
        n--;
    buf_reset(room);
    buf_add(room, bytes_of(text.ptr, n));
    buf_add_str(room, "...");
    return buf_bytes(room);
}

static void put_text(struct json_writer *w, const char *name, struct json v)
{
    CLEANUP(buf_release) struct buf room = BUF_INIT(AUDIT_TEXT + 8);

    if (json_type(v) == JSON_STRING)
        json_put_string(w, name, shortened(json_string(v), &room));
}

static void put_pair(struct json_writer *w, struct bytes name, struct json v)
{
    CLEANUP(buf_release) struct buf name_room = BUF_INIT(AUDIT_TEXT + 8);
    CLEANUP(buf_release) struct buf value_room = BUF_INIT(AUDIT_TEXT + 8);

    if (json_type(v) == JSON_STRING)
        json_put_pair(w, shortened(name, &name_room), shortened(json_string(v), &value_room));
}

static void put_tags(struct json_writer *w, const char *name, struct json v)
{
    struct json item;
    size_t      n = 0;

    if (json_type(v) != JSON_ARRAY)
        return;
    json_open_array(w, name);
    for (struct json_iter it = json_iterate(v); n < AUDIT_ITEMS && json_next(&it, NULL, &item);
         n++) {
        if (json_type(item) != JSON_OBJECT)
            continue;
        json_open_object(w, NULL);
        put_text(w, "TagKey", json_member(item, "TagKey"));
        put_text(w, "TagValue", json_member(item, "TagValue"));
        json_close_object(w);
    }
    json_close_array(w);
}

static void put_strings(struct json_writer *w, const char *name, struct json v)
{
    struct json item;
    size_t      n = 0;

    if (json_type(v) != JSON_ARRAY)
        return;
    json_open_array(w, name);
    for (struct json_iter it = json_iterate(v); n < AUDIT_ITEMS && json_next(&it, NULL, &item); n++)
        put_text(w, NULL, item);
    json_close_array(w);
}

static void put_map(struct json_writer *w, const char *name, struct json v)
{
    struct json  item;
    struct bytes key;
    size_t       n = 0;

    if (json_type(v) != JSON_OBJECT)
        return;
    json_open_object(w, name);
    for (struct json_iter it = json_iterate(v); n < AUDIT_ITEMS && json_next(&it, &key, &item); n++)
        put_pair(w, key, item);
    json_close_object(w);
}

/* Seconds as they were sent, to the millisecond. */
static void put_time(struct json_writer *w, const char *name, struct json v)
{
    /* 2^53: beyond it a double has no milliseconds */
    static const double edge = 9007199254740992.0;

    if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
        return;
    double ms = json_number(v) * 1000.0;

    if (ms > -edge && ms < edge)
        json_put_time(w, name, (int64_t)ms);
}

/* One value, or a map. */
static void put_member(struct json_writer *w, const struct shape_member *m, struct json v)
{
    int64_t number = 0;

    switch (m->type) {
    case SHAPE_STRING:
    case SHAPE_KEY_ID:
    case SHAPE_ENUM:   put_text(w, m->name, v); return;
    case SHAPE_INT:
        if (json_type(v) == JSON_INT && json_int(v, &number))
            json_put_int(w, m->name, number);
        return;
    case SHAPE_BOOL:
        if (json_type(v) == JSON_BOOL)
            json_put_bool(w, m->name, json_bool(v));
        return;
    case SHAPE_TIME:    put_time(w, m->name, v); return;
    case SHAPE_TAGS:    put_tags(w, m->name, v); return;
    case SHAPE_STRINGS: put_strings(w, m->name, v); return;
    case SHAPE_MAP:     put_map(w, m->name, v); return;
    case SHAPE_BLOB:           /* never in a record, marked or not */
    case SHAPE_OBJECT:  return; /* a structure in a structure: there is none */
    }
}

static void put_object(struct json_writer *w, const struct shape_member *of, struct json v)
{
    if (json_type(v) != JSON_OBJECT)
        return;
    json_open_object(w, of->name);
    for (const struct shape_member *m = of->members; m->name != NULL; m++) {
        struct json inner = json_member(v, m->name);

        if (inner.node != NULL && (m->flags & SHAPE_NO_AUDIT) == 0)
            put_member(w, m, inner);
    }
    json_close_object(w);
}

void operation_audit_parameters(const struct operation *op, struct json root, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    w.lower_first = true;
    json_open_object(&w, NULL);
    for (const struct shape_member *m = op->shape; m != NULL && m->name != NULL; m++) {
        if ((m->flags & SHAPE_NO_AUDIT) != 0)
            continue; /* it is not even looked for */
        struct json v = json_member(root, m->name);
        if (v.node == NULL)
            continue;
        if (m->type == SHAPE_OBJECT)
            put_object(&w, m, v);
        else
            put_member(&w, m, v);
    }
    json_close_object(&w);
}
