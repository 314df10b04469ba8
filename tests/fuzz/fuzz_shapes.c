/* The input of every operation: the first line names it, the rest is the body.
 *
 * Whatever the body holds: reading ends with success or one of the two refusals of the model, the
 * same way both times; what was read keeps the constraints of its members, counted independently;
 * and the audit parameters are a JSON object of members that may be in a record. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "operation/shape.h"

enum { TEXT_MAX = 4 * 1024 * 1024 };

static void broken(const char *what, const char *where)
{
    fprintf(stderr, "fuzz_shapes: %s (%s)\n", what, where);
    abort();
}

static bool parse(struct json_doc *doc, struct buf *text, struct bytes in, struct json *ret)
{
    buf_reset(text);
    buf_add(text, in);
    if (!buf_reserve(text, JSON_PADDING))
        broken("a text that is too long for the test", "");
    memset(text->ptr + text->len, 0, JSON_PADDING);
    return json_parse(doc, text->ptr, text->len, ret, NULL) == KMS_OK;
}

/* --- what was read keeps what the row says ---------------------------------------------------- */

static const void *field_of(const struct op_input *in, const struct shape_member *m)
{
    return (const uint8_t *)in + m->offset;
}

static size_t code_points(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; n++) {
        uint8_t c = text.ptr[i];
        i += c < 0x80 ? 1 : (c < 0xe0 ? 2 : (c < 0xf0 ? 3 : 4));
    }
    return n;
}

static void check_bytes(const struct shape_member *m, struct bytes v)
{
    size_t length = m->type == SHAPE_BLOB ? v.len : code_points(v);

    if (v.ptr == NULL) {
        if ((m->flags & SHAPE_REQUIRED) != 0)
            broken("a required member is missing", m->name);
        return;
    }
    if (length < (size_t)m->min || (m->max != 0 && length > (size_t)m->max))
        broken("a length out of range", m->name);
}

static void check_int(const struct shape_member *m, struct op_int v)
{
    if (!v.set) {
        if ((m->flags & SHAPE_REQUIRED) != 0)
            broken("a required member is missing", m->name);
        return;
    }
    if ((m->min != 0 || m->max != 0) && (v.v < m->min || v.v > m->max))
        broken("a number out of range", m->name);
    if (m->type == SHAPE_BOOL && v.v != 0 && v.v != 1)
        broken("a boolean that is neither", m->name);
    if (m->type != SHAPE_ENUM)
        return;
    for (int64_t i = 0; i <= v.v; i++) {
        if (m->values[i] == NULL)
            broken("an index beyond the list", m->name);
    }
}

static void check_node(const struct shape_member *m, struct json v)
{
    bool list = m->type == SHAPE_TAGS || m->type == SHAPE_STRINGS;

    if (v.node == NULL) {
        if ((m->flags & SHAPE_REQUIRED) != 0)
            broken("a required member is missing", m->name);
        return;
    }
    if (json_type(v) != (list ? JSON_ARRAY : JSON_OBJECT))
        broken("a list or map of another type", m->name);
    if (m->max_items != 0 && json_count(v) > m->max_items)
        broken("too many items", m->name);
}

static void check_input(const struct operation *op, const struct op_input *in)
{
    for (const struct shape_member *m = op->shape; m->name != NULL; m++) {
        switch (m->type) {
        case SHAPE_STRING:
        case SHAPE_KEY_ID:
        case SHAPE_BLOB:    check_bytes(m, *(const struct bytes *)field_of(in, m)); break;
        case SHAPE_INT:
        case SHAPE_BOOL:
        case SHAPE_TIME:
        case SHAPE_ENUM:    check_int(m, *(const struct op_int *)field_of(in, m)); break;
        case SHAPE_TAGS:
        case SHAPE_STRINGS:
        case SHAPE_MAP:
        case SHAPE_OBJECT:  check_node(m, *(const struct json *)field_of(in, m)); break;
        }
    }
}

/* --- twice the same --------------------------------------------------------------------------- */

/* Views and nodes point into two documents: what they show is compared. */
static bool same_field(const struct shape_member *m, const struct op_input *a,
                       const struct op_input *b)
{
    switch (m->type) {
    case SHAPE_STRING:
    case SHAPE_KEY_ID:
    case SHAPE_BLOB:
        return bytes_eq(*(const struct bytes *)field_of(a, m),
                        *(const struct bytes *)field_of(b, m));
    case SHAPE_INT:
    case SHAPE_BOOL:
    case SHAPE_TIME:
    case SHAPE_ENUM: {
        const struct op_int *x = field_of(a, m);
        const struct op_int *y = field_of(b, m);
        return x->set == y->set && x->v == y->v;
    }
    case SHAPE_TAGS:
    case SHAPE_STRINGS:
    case SHAPE_MAP:
    case SHAPE_OBJECT:
        return json_count(*(const struct json *)field_of(a, m)) ==
               json_count(*(const struct json *)field_of(b, m));
    }
    return false;
}

static void check_same(const struct operation *op, const struct op_input *a,
                       const struct op_input *b)
{
    for (const struct shape_member *m = op->shape; m->name != NULL; m++) {
        if (!same_field(m, a, b))
            broken("read otherwise the second time", m->name);
    }
}

static void check_refusal(enum kms_status status, const struct kms_error *err)
{
    static const char tail[] = "Member must ";

    if (status != KMS_E_VALIDATION && status != KMS_E_SERIALIZATION)
        broken("a status that is not of the model", kms_status_word(status));
    if (err->status != status || err->message_len != strlen(err->message))
        broken("an error that contradicts itself", err->message);
    if (status == KMS_E_VALIDATION &&
        (err->message[0] < '1' || err->message[0] > '9' || strstr(err->message, tail) == NULL ||
         strstr(err->message, " detected: ") == NULL))
        broken("a validation text of another form", err->message);
}

/* --- the audit record ------------------------------------------------------------------------- */

/* The member of the row that CloudTrail's name means. */
static const struct shape_member *member_of(const struct operation *op, struct bytes name)
{
    for (const struct shape_member *m = op->shape; m->name != NULL; m++) {
        struct bytes own = bytes_str(m->name);
        if (own.len == name.len && (own.ptr[0] | 0x20) == name.ptr[0] &&
            memcmp(own.ptr + 1, name.ptr + 1, own.len - 1) == 0)
            return m;
    }
    return NULL;
}

static void check_record(const struct operation *op, struct json record)
{
    struct bytes name;
    struct json  value;

    if (json_type(record) != JSON_OBJECT)
        broken("audit parameters that are no object", op->name);
    for (struct json_iter it = json_iterate(record); json_next(&it, &name, &value);) {
        const struct shape_member *m = member_of(op, name);
        if (m == NULL)
            broken("a name in the record that the row does not have", op->name);
        else if ((m->flags & SHAPE_NO_AUDIT) != 0 || m->type == SHAPE_BLOB ||
                 m->type == SHAPE_OBJECT)
            broken("a member in the record that must not be there", m->name);
    }
}

static void check_audit(const struct operation *op, struct json root, struct json_doc *doc,
                        struct buf *record, struct buf *again)
{
    struct json parsed;

    buf_reset(record);
    operation_audit_parameters(op, root, record);
    buf_reset(again);
    operation_audit_parameters(op, root, again);
    if (!buf_ok(record) || !bytes_eq(buf_bytes(record), buf_bytes(again)))
        broken("another record the second time", op->name);
    if (!parse(doc, again, buf_bytes(record), &parsed))
        broken("a record that is no JSON", op->name);
    check_record(op, parsed);
}

/* --- one input -------------------------------------------------------------------------------- */

struct room {
    struct json_doc *doc[3];
    struct buf       text[2];
    struct buf       record;
    struct buf       again;
};

static void run(const struct operation *op, struct bytes body, struct room *r)
{
    struct json      root[2];
    struct op_input  in[2];
    struct kms_error err[2];
    enum kms_status  status[2];

    for (int i = 0; i < 2; i++) {
        if (!parse(r->doc[i], &r->text[i], body, &root[i]))
            return;
        check_audit(op, root[i], r->doc[2], &r->record, &r->again);
        kms_error_clear(&err[i]);
        status[i] = operation_read(op, root[i], &in[i], &err[i]);
        if (status[i] == KMS_OK)
            check_input(op, &in[i]);
        else
            check_refusal(status[i], &err[i]);
    }
    if (status[0] != status[1] || strcmp(err[0].message, err[1].message) != 0)
        broken("refused otherwise the second time", op->name);
    if (status[0] == KMS_OK)
        check_same(op, &in[0], &in[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = bytes_of(data, size);
    struct bytes name;
    struct buf   target = BUF_INIT(128);

    if (size > TEXT_MAX / 8 || !bytes_cut(&body, '\n', &name) || name.len > 64 || body.len == 0)
        return 0;
    buf_add_str(&target, "TrentService.");
    buf_add(&target, name);
    const struct operation *op = operation_find(buf_bytes(&target));

    buf_release(&target);
    if (op == NULL || op->shape == NULL)
        return 0;
    struct room r = { .text = { BUF_INIT(TEXT_MAX), BUF_INIT(TEXT_MAX) },
                      .record = BUF_INIT(TEXT_MAX),
                      .again = BUF_INIT(TEXT_MAX) };

    for (int i = 0; i < 3; i++)
        r.doc[i] = json_doc_new();
    run(op, body, &r);
    for (int i = 0; i < 3; i++)
        json_doc_free(r.doc[i]);
    buf_release(&r.text[0]);
    buf_release(&r.text[1]);
    buf_release(&r.record);
    buf_release(&r.again);
    return 0;
}
