/* operation/shape.c - reads the body of a request as its row says, and words what is wrong with it.
 *
 * Two kinds of refusal, in the order of kms-behaviour 1.5: a member of the wrong JSON type is
 * SerializationException, whichever else is wrong; then all broken constraints of all members
 * together are one ValidationException (1.6), in the order of the row's members. Unknown members
 * are ignored, null is the same as absent (1.1).
 */
#include "operation/shape.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/encode.h"

/* --- the text of a ValidationException -------------------------------------------------------- */

/* Room for a path and a constraint (the longest list of names has 300 characters), what is shown of
 * a value that does not fit whole, and a limit that leaves room for "N validation errors detected:
 * ". */
enum { CLAUSE_ROOM = 1024, CLAUSE_VALUE = 256, TEXT_MAX = KMS_MESSAGE_MAX - 64 };

struct clauses {
    size_t     n;    /* all of them, also those that had no room any more */
    struct buf text; /* joined by "; " */
};

static void clauses_release(struct clauses *c)
{
    buf_release(&c->text);
}

/* Where in the request: "keyId", "tagKeys.1.member", "tags.1.member.tagKey",
 * "recipient.attestationDocument". */
struct place {
    const struct shape_member *parent; /* the structure that the member is in; NULL: none */
    const struct shape_member *member;
    size_t                     item;  /* 1-based; 0: the member itself */
    const char                *field; /* of a structure in a list */
};

enum shown { SHOW_VALUE, SHOW_NULL, SHOW_NOTHING };

static void add_lower_first(struct buf *out, const char *name)
{
    char first = name[0];

    buf_add_byte(out, (uint8_t)(first >= 'A' && first <= 'Z' ? first - 'A' + 'a' : first));
    buf_add_str(out, name + 1);
}

static void add_path(struct buf *out, const struct place *at)
{
    if (at->parent != NULL) {
        add_lower_first(out, at->parent->name);
        buf_add_str(out, ".");
    }
    add_lower_first(out, at->member->name);
    if (at->item == 0)
        return;
    buf_add_str(out, ".");
    buf_add_decimal(out, at->item);
    buf_add_str(out, ".member");
    if (at->field != NULL) {
        buf_add_str(out, ".");
        add_lower_first(out, at->field);
    }
}

/* The longest part of `text` that has at most `max` bytes and does not end inside a character. */
static struct bytes cut_text(struct bytes text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && (text.ptr[max] & 0xc0) == 0x80)
        max--;
    return (struct bytes){ text.ptr, max };
}

/* Starts "Value 'x' at 'path' failed to satisfy constraint: "; the caller appends the constraint.
 * False: the text is full, and the clause is only counted. */
static bool open_clause(struct clauses *c, const struct place *at, enum shown shown,
                        struct bytes value)
{
    size_t room = TEXT_MAX - c->text.len;

    c->n++;
    if (room < CLAUSE_ROOM + CLAUSE_VALUE)
        return false;
    if (c->text.len > 0)
        buf_add_str(&c->text, "; ");
    buf_add_str(&c->text, shown == SHOW_NULL ? "Value null" : "Value");
    if (shown == SHOW_VALUE) {
        bool         whole = value.len <= room - CLAUSE_ROOM;
        struct bytes part = whole ? value : cut_text(value, CLAUSE_VALUE);

        buf_add_str(&c->text, " '");
        buf_add(&c->text, part);
        buf_add_str(&c->text, whole ? "'" : "...'");
    }
    buf_add_str(&c->text, " at '");
    add_path(&c->text, at);
    buf_add_str(&c->text, "' failed to satisfy constraint: Member must ");
    return true;
}

static enum shown shown_of(const struct shape_member *m)
{
    return m->type == SHAPE_BLOB || (m->flags & SHAPE_SENSITIVE) != 0 ? SHOW_NOTHING : SHOW_VALUE;
}

static void missing(struct clauses *c, const struct place *at)
{
    /* plaintext, message: not even "null" (kms-behaviour 1.6) */
    enum shown shown = (at->member->flags & SHAPE_SENSITIVE) != 0 ? SHOW_NOTHING : SHOW_NULL;

    if (open_clause(c, at, shown, (struct bytes){ NULL, 0 }))
        buf_add_str(&c->text, "not be null");
}

static void check_length(struct clauses *c, const struct place *at, enum shown shown,
                         struct bytes value, size_t length, int64_t min, int64_t max)
{
    if (length < (size_t)min && open_clause(c, at, shown, value))
        buf_addf(&c->text, "have length greater than or equal to %" PRId64, min);
    if (max != 0 && length > (size_t)max && open_clause(c, at, shown, value))
        buf_addf(&c->text, "have length less than or equal to %" PRId64, max);
}

static void check_int(struct clauses *c, const struct place *at, int64_t v)
{
    const struct shape_member *m = at->member;
    char                       digits[24];

    if (m->min == 0 && m->max == 0)
        return;
    int          len = snprintf(digits, sizeof digits, "%" PRId64, v);
    struct bytes value = bytes_of(digits, (size_t)len);

    if (v < m->min && open_clause(c, at, SHOW_VALUE, value))
        buf_addf(&c->text, "have value greater than or equal to %" PRId64, m->min);
    if (v > m->max && open_clause(c, at, SHOW_VALUE, value))
        buf_addf(&c->text, "have value less than or equal to %" PRId64, m->max);
}

/* Does the member take the name at this index of its list? */
static bool takes_name(const struct shape_member *m, size_t i)
{
    return m->type != SHAPE_ENUM || m->matches == NULL || m->matches(bytes_str(m->values[i]));
}

/* Finds the name among the member's values; a clause and false if it is none of them. */
static bool check_name(struct clauses *c, const struct place *at, struct bytes name, int64_t *ret)
{
    const struct shape_member *m = at->member;

    for (size_t i = 0; m->values[i] != NULL; i++) {
        if (bytes_eq_str(name, m->values[i]) && takes_name(m, i)) {
            *ret = (int64_t)i;
            return true;
        }
    }
    if (!open_clause(c, at, shown_of(m), name))
        return false;
    buf_add_str(&c->text, "satisfy enum value set: ");
    if (m->enum_text != NULL) {
        buf_add_str(&c->text, m->enum_text);
        return false;
    }
    const char *before = "[";

    for (size_t i = 0; m->values[i] != NULL; i++) {
        if (!takes_name(m, i))
            continue;
        buf_add_str(&c->text, before);
        buf_add_str(&c->text, m->values[i]);
        before = ", ";
    }
    buf_add_str(&c->text, "]");
    return false;
}

/* --- members of the wrong type ---------------------------------------------------------------- */

/* `wanted`: "a String", ... What fits no scalar at all has its own texts (kms-behaviour 1.5). */
static enum kms_status wrong_type(struct json v, const char *wanted, struct kms_error *reterr)
{
    const char *found = "STRING_VALUE";

    switch (json_type(v)) {
    case JSON_OBJECT:
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION,
                          "Start of structure or map found where not expected.");
    case JSON_ARRAY:
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Start of list found where not expected.");
    case JSON_NULL:
    case JSON_STRING: break;
    case JSON_INT:
    case JSON_REAL:   found = "NUMBER_VALUE"; break;
    case JSON_BOOL:   found = json_bool(v) ? "TRUE_VALUE" : "FALSE_VALUE"; break;
    }
    return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "%s can not be converted to %s", found, wanted);
}

static enum kms_status read_text(struct json v, struct bytes *ret, struct kms_error *reterr)
{
    if (json_type(v) != JSON_STRING)
        return wrong_type(v, "a String", reterr);
    *ret = json_string(v);
    if (ret->ptr == NULL) /* sent but empty is not the same as not sent */
        *ret = bytes_str("");
    return KMS_OK;
}

static bool absent(struct json v)
{
    return v.node == NULL || json_type(v) == JSON_NULL;
}

/* --- one member ------------------------------------------------------------------------------- */

/* Constraints of a text: its length in characters, then its pattern. */
static void check_text(struct clauses *c, const struct place *at, struct bytes text)
{
    const struct shape_member *m = at->member;

    check_length(c, at, shown_of(m), text, shape_characters(text), m->min, m->max);
    if (m->matches != NULL && !m->matches(text) && open_clause(c, at, shown_of(m), text)) {
        buf_add_str(&c->text, "satisfy regular expression pattern: ");
        buf_add_str(&c->text, m->pattern);
    }
}

static enum kms_status read_string(struct clauses *c, const struct place *at, struct json v,
                                   struct bytes *ret, struct kms_error *reterr)
{
    TRY(read_text(v, ret, reterr));
    check_text(c, at, *ret);
    return KMS_OK;
}

/* Decodes in place: the text of the body is the caller's to write to (json/read.h), and so a
 * plaintext exists once. */
static enum kms_status read_blob(struct clauses *c, const struct place *at, struct json v,
                                 struct bytes *ret, struct kms_error *reterr)
{
    struct bytes text = { NULL, 0 };

    if (json_type(v) != JSON_STRING)
        return wrong_type(v, "a Blob", reterr);
    TRY(read_text(v, &text, reterr));
    if (text.len == 0) {
        *ret = text;
    } else {
        uint8_t *start = (uint8_t *)(uintptr_t)text.ptr;
        size_t   len = 0;

        if (!base64_read(text, start, &len))
            return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "%s is not base64", at->member->name);
        *ret = bytes_of(start, len);
    }
    check_length(c, at, SHOW_NOTHING, *ret, ret->len, at->member->min, at->member->max);
    return KMS_OK;
}

static enum kms_status read_int(struct clauses *c, const struct place *at, struct json v,
                                struct op_int *ret, struct kms_error *reterr)
{
    if (json_type(v) != JSON_INT || !json_int(v, &ret->v))
        return wrong_type(v, "an Integer", reterr);
    ret->set = true;
    check_int(c, at, ret->v);
    return KMS_OK;
}

static enum kms_status read_bool(struct json v, struct op_int *ret, struct kms_error *reterr)
{
    if (json_type(v) != JSON_BOOL)
        return wrong_type(v, "a Boolean", reterr);
    *ret = (struct op_int){ .set = true, .v = json_bool(v) };
    return KMS_OK;
}

/* Seconds, with or without fraction, as milliseconds rounded down; seconds and fraction apart, so
 * that .9999999 does not become the next second (R13). What is too far away for a double to have
 * milliseconds is cut to that edge: far away is all that matters then. */
static enum kms_status read_time(struct json v, struct op_int *ret, struct kms_error *reterr)
{
    static const double edge = 9007199254740.0; /* 2^53 ms */

    if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
        return wrong_type(v, "milliseconds since epoch", reterr);
    double seconds = json_number(v);

    seconds = seconds > edge ? edge : (seconds < -edge ? -edge : seconds);
    int64_t whole = (int64_t)seconds;

    if ((double)whole > seconds)
        whole--;
    int64_t part = (int64_t)((seconds - (double)whole) * 1000.0);

    *ret = (struct op_int){ .set = true, .v = whole * 1000 + part };
    return KMS_OK;
}

static enum kms_status read_enum(struct clauses *c, const struct place *at, struct json v,
                                 struct op_int *ret, struct kms_error *reterr)
{
    struct bytes name = { NULL, 0 };

    TRY(read_text(v, &name, reterr));
    ret->set = check_name(c, at, name, &ret->v);
    return KMS_OK;
}

/* --- lists and maps --------------------------------------------------------------------------- */

/* False, with a clause, if there are more items than the member may have. */
static bool check_items(struct clauses *c, const struct place *at, struct json v)
{
    const struct shape_member *m = at->member;

    if (m->max_items == 0 || json_count(v) <= m->max_items)
        return true;
    if (open_clause(c, at, SHOW_NOTHING, (struct bytes){ NULL, 0 }))
        buf_addf(&c->text, "have length less than or equal to %zu", m->max_items);
    return false;
}

/* One string of a structure in a list: "tags.1.member.tagKey". */
static enum kms_status check_field(struct clauses *c, struct place at, const char *field,
                                   struct json item, int64_t min, int64_t max,
                                   struct kms_error *reterr)
{
    struct json  v = json_member(item, field);
    struct bytes text = { NULL, 0 };

    at.field = field;
    if (absent(v)) {
        missing(c, &at);
        return KMS_OK;
    }
    TRY(read_text(v, &text, reterr));
    check_length(c, &at, SHOW_VALUE, text, shape_characters(text), min, max);
    return KMS_OK;
}

static enum kms_status read_tags(struct clauses *c, const struct shape_member *m, struct json v,
                                 struct json *ret, struct kms_error *reterr)
{
    struct place at = { .member = m };
    struct json  item;

    if (json_type(v) != JSON_ARRAY)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Expected list or null");
    *ret = v;
    if (!check_items(c, &at, v))
        return KMS_OK;
    for (struct json_iter it = json_iterate(v); json_next(&it, NULL, &item);) {
        at.item++;
        if (absent(item)) {
            missing(c, &at);
            continue;
        }
        if (json_type(item) != JSON_OBJECT)
            return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Expected structure or null");
        TRY(check_field(c, at, "TagKey", item, 1, 128, reterr));
        TRY(check_field(c, at, "TagValue", item, 0, 256, reterr));
    }
    return KMS_OK;
}

static enum kms_status read_strings(struct clauses *c, const struct shape_member *m, struct json v,
                                    struct json *ret, struct kms_error *reterr)
{
    struct place at = { .member = m };
    struct json  item;
    struct bytes text = { NULL, 0 };
    int64_t      index = 0;

    if (json_type(v) != JSON_ARRAY)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Expected list or null");
    *ret = v;
    if (!check_items(c, &at, v))
        return KMS_OK;
    for (struct json_iter it = json_iterate(v); json_next(&it, NULL, &item);) {
        at.item++;
        if (absent(item)) {
            missing(c, &at);
            continue;
        }
        TRY(read_text(item, &text, reterr));
        check_text(c, &at, text);
        if (m->values != NULL)
            (void)check_name(c, &at, text, &index);
    }
    return KMS_OK;
}

/* Values are strings; null is left to whoever uses the map (op_context refuses it). */
static enum kms_status read_map(struct clauses *c, const struct place *at, struct json v,
                                struct json *ret, struct kms_error *reterr)
{
    struct json  item;
    struct bytes name = { NULL, 0 };
    struct bytes text = { NULL, 0 };

    if (json_type(v) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Expected map or null");
    *ret = v;
    if (!check_items(c, at, v))
        return KMS_OK;
    for (struct json_iter it = json_iterate(v); json_next(&it, &name, &item);) {
        if (!absent(item))
            TRY(read_text(item, &text, reterr));
    }
    return KMS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Types that hold one value. `field` is that of the member in a struct op_input; which type it has
 * follows from the member's. */
static enum kms_status read_value(struct clauses *c, const struct place *at, struct json v,
                                  void *field, struct kms_error *reterr)
{
    switch (at->member->type) {
    case SHAPE_STRING:
    case SHAPE_KEY_ID:  return read_string(c, at, v, field, reterr);
    case SHAPE_BLOB:    return read_blob(c, at, v, field, reterr);
    case SHAPE_INT:     return read_int(c, at, v, field, reterr);
    case SHAPE_BOOL:    return read_bool(v, field, reterr);
    case SHAPE_TIME:    return read_time(v, field, reterr);
    case SHAPE_ENUM:    return read_enum(c, at, v, field, reterr);
    case SHAPE_TAGS:
    case SHAPE_STRINGS:
    case SHAPE_MAP:
    case SHAPE_OBJECT:  break;
    }
    assert(false);
    return KMS_E_INTERNAL;
}

/* A structure of single values and maps; they go into the input as those of the request do. */
static enum kms_status read_object(struct clauses *c, const struct shape_member *m, struct json v,
                                   struct op_input *in, struct kms_error *reterr)
{
    struct place at = { .parent = m };
    struct json *whole = (struct json *)(void *)((uint8_t *)in + m->offset);

    if (json_type(v) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "Expected structure or null");
    *whole = v;
    for (at.member = m->members; at.member->name != NULL; at.member++) {
        struct json inner = json_member(v, at.member->name);
        void       *field = (uint8_t *)in + at.member->offset;

        if (!absent(inner) && at.member->type == SHAPE_MAP)
            TRY(read_map(c, &at, inner, field, reterr));
        else if (!absent(inner))
            TRY(read_value(c, &at, inner, field, reterr));
        else if ((at.member->flags & SHAPE_REQUIRED) != 0)
            missing(c, &at);
    }
    return KMS_OK;
}

static enum kms_status read_member(struct clauses *c, const struct shape_member *m, struct json v,
                                   struct op_input *in, struct kms_error *reterr)
{
    struct place at = { .member = m };
    void        *field = (uint8_t *)in + m->offset;

    if (m->type == SHAPE_TAGS)
        return read_tags(c, m, v, field, reterr);
    if (m->type == SHAPE_STRINGS)
        return read_strings(c, m, v, field, reterr);
    if (m->type == SHAPE_MAP)
        return read_map(c, &at, v, field, reterr);
    if (m->type == SHAPE_OBJECT)
        return read_object(c, m, v, in, reterr);
    return read_value(c, &at, v, field, reterr);
}

static enum kms_status refuse_clauses(const struct clauses *c, struct kms_error *reterr)
{
    if (c->n == 0)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%zu validation error%s detected: %.*s", c->n,
                      c->n == 1 ? "" : "s", BYTES_FMT(buf_bytes(&c->text)));
}

enum kms_status operation_read_member(const struct operation *op, const char *name,
                                      struct json value, struct op_input *in,
                                      struct kms_error *reterr)
{
    CLEANUP(clauses_release) struct clauses c = { .text = BUF_INIT(KMS_MESSAGE_MAX) };
    const struct shape_member              *m = op->shape;

    while (m->name != NULL && strcmp(m->name, name) != 0)
        m++;
    assert(m->name != NULL);
    if (absent(value))
        missing(&c, &(struct place){ .member = m });
    else
        TRY(read_member(&c, m, value, in, reterr));
    return refuse_clauses(&c, reterr);
}

enum kms_status operation_read(const struct operation *op, struct json root, struct op_input *ret,
                               struct kms_error *reterr)
{
    CLEANUP(clauses_release) struct clauses c = { .text = BUF_INIT(KMS_MESSAGE_MAX) };
    struct op_input                         in = { .limit = { .set = false } };

    assert(op->shape != NULL);
    if (json_type(root) != JSON_OBJECT)
        return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "the body is not an object");
    for (const struct shape_member *m = op->shape; m->name != NULL; m++) {
        struct json v = json_member(root, m->name);

        if (!absent(v))
            TRY(read_member(&c, m, v, &in, reterr));
        else if ((m->flags & SHAPE_REQUIRED) != 0)
            missing(&c, &(struct place){ .member = m });
    }
    TRY(refuse_clauses(&c, reterr));
    in.has_key_material_id = in.key_material_id.ptr != NULL;
    *ret = in;
    return KMS_OK;
}
