/* iam/params.c - the parameters of a request against those of its row.
 *
 * All failures of one request are told at once, in the order of the row, as the services do:
 * "1 validation error detected: Value 'x' at 'userName' failed to satisfy constraint: ...".
 */
#include "iam/internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "json/write.h"

/* --- patterns --------------------------------------------------------------------------------- */

static bool is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ASCII letters, digits and these others; not empty. */
static bool consists_of(struct bytes text, const char *others)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || strchr(others, text.ptr[i]) == NULL))
            return false;
    }
    return text.len > 0;
}

bool iam_is_name(struct bytes text)
{
    return consists_of(text, "_+=,.@-");
}

bool iam_is_word(struct bytes text)
{
    return consists_of(text, "_");
}

bool iam_is_external_id(struct bytes text)
{
    return consists_of(text, "_+=,.@:/-");
}

static bool within(struct bytes text, uint8_t low, uint8_t high)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < low || text.ptr[i] > high)
            return false;
    }
    return true;
}

bool iam_is_path(struct bytes text)
{
    return text.len > 0 && text.ptr[0] == '/' && text.ptr[text.len - 1] == '/' && text.len != 2 &&
           within(text, 0x21, 0x7e);
}

bool iam_is_path_prefix(struct bytes text)
{
    return text.len > 0 && text.ptr[0] == '/' && within(text, 0x21, 0x7f);
}

bool iam_is_policy_path(struct bytes text)
{
    struct bytes part;

    if (!bytes_cut(&text, '/', &part) || part.len != 0)
        return false;
    while (text.len > 0) {
        if (!bytes_cut(&text, '/', &part) || !consists_of(part, ".,+@=_-"))
            return false;
    }
    return true;
}

/* U+0020 to U+00FF, and line ends and tabs. The text is UTF-8 (query/form.h). */
static bool is_latin(struct bytes text, bool lines)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == 0xc2 || c == 0xc3)
            i++;
        else if (c >= 0x7f || (c < ' ' && !(lines && (c == '\t' || c == '\n' || c == '\r'))))
            return false;
    }
    return text.len > 0;
}

bool iam_is_latin(struct bytes text)
{
    return is_latin(text, false);
}

bool iam_is_document(struct bytes text)
{
    return is_latin(text, true);
}

bool iam_is_version(struct bytes text)
{
    size_t i = 1;

    if (text.len < 2 || text.ptr[0] != 'v' || text.ptr[1] < '1' || text.ptr[1] > '9')
        return false;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        i++;
    if (i == text.len)
        return true;
    struct bytes rest = bytes_of(text.ptr + i + 1, text.len - i - 1);

    return text.ptr[i] == '.' && (rest.len == 0 || consists_of(rest, "-"));
}

size_t iam_characters(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* --- collecting failures ---------------------------------------------------------------------- */

enum { FAILURES_ROOM = KMS_MESSAGE_MAX - 64, VALUE_SHOWN = 256, PATH_ROOM = LIMIT_FORM_NAME + 32 };

struct checker {
    const struct form *form;
    struct buf         text; /* of all failures */
    size_t             n;
    enum kms_status    broken; /* the form itself: a list that is none */
    struct kms_error  *reterr;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* "Tags.member.1.Key" is shown as "tags.1.member.key": each part with its first letter in lower case,
 * numbers before the word member. */
static void add_path(struct buf *out, struct bytes name)
{
    struct bytes part = name;

    for (bool first = true; part.len > 0; first = false) {
        struct bytes head = part;
        struct bytes number;
        if (!bytes_cut(&part, '.', &head))
            part.len = 0;
        if (!first)
            buf_add_byte(out, '.');
        if (bytes_eq_str(head, "member") && part.len > 0) {
            number = part;
            if (!bytes_cut(&part, '.', &number))
                part.len = 0;
            buf_add(out, number);
            buf_add_str(out, ".");
        }
        buf_add_byte(out, lower(head.ptr[0]));
        buf_add(out, bytes_of(head.ptr + 1, head.len - 1));
    }
}

/* A failure that does not fit any more is counted, but not told. */
static void fail(struct checker *c, struct bytes name, struct bytes value, bool show,
                 const char *constraint)
{
    struct buf *t = &c->text;
    size_t      before = t->len;

    if (c->n++ > 0)
        buf_add_str(t, "; ");
    if (!show) {
        buf_add_str(t, "Value at '");
    } else if (value.ptr == NULL) {
        buf_add_str(t, "Value null at '");
    } else {
        buf_add_str(t, "Value '");
        buf_add(t, value.len <= VALUE_SHOWN ? value : bytes_of(value.ptr, VALUE_SHOWN));
        buf_add_str(t, "' at '");
    }
    add_path(t, name);
    buf_add_str(t, "' failed to satisfy constraint: ");
    buf_add_str(t, constraint);
    if (!buf_ok(t)) {
        t->overflow = false;
        buf_truncate(t, before);
    }
}

static void fail_with(struct checker *c, const struct iam_param *p, struct bytes name,
                      struct bytes value, const char *what, int64_t number)
{
    char constraint[160];

    (void)snprintf(constraint, sizeof constraint, "Member must have %s %" PRId64, what, number);
    fail(c, name, value, (p->flags & IAM_NO_AUDIT) == 0, constraint);
}

/* --- checks ----------------------------------------------------------------------------------- */

static void check_enum(struct checker *c, const struct iam_param *p, struct bytes name,
                       struct bytes value)
{
    char   text[320];
    size_t at = 0;

    for (size_t i = 0; p->values[i] != NULL; i++) {
        if (bytes_eq_str(value, p->values[i]))
            return;
    }
    for (size_t i = 0; p->values[i] != NULL && at < sizeof text; i++) {
        int n = snprintf(text + at, sizeof text - at, "%s%s", i == 0 ? "" : ", ", p->values[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    char constraint[384];

    (void)snprintf(constraint, sizeof constraint, "Member must satisfy enum value set: [%s]", text);
    fail(c, name, value, true, constraint);
}

static void check_text(struct checker *c, const struct iam_param *p, struct bytes name,
                       struct bytes value)
{
    size_t len = iam_characters(value);

    if (p->values != NULL) {
        check_enum(c, p, name, value);
        return;
    }
    if (len < (size_t)p->min)
        fail_with(c, p, name, value, "length greater than or equal to", p->min);
    if (p->max > 0 && len > (size_t)p->max)
        fail_with(c, p, name, value, "length less than or equal to", p->max);
    if (p->matches != NULL && len > 0 && !p->matches(value)) {
        char constraint[160];
        (void)snprintf(constraint, sizeof constraint,
                       "Member must satisfy regular expression pattern: %s", p->pattern);
        fail(c, name, value, (p->flags & IAM_NO_AUDIT) == 0, constraint);
    }
}

/* Up to 9 digits, without a sign: no parameter needs more. */
static bool read_number(struct bytes text, int64_t *ret)
{
    int64_t n = 0;

    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (text.ptr[i] - '0');
    }
    *ret = n;
    return true;
}

static bool read_bool(struct bytes text, bool *ret)
{
    *ret = bytes_eq_str(text, "true");
    return *ret || bytes_eq_str(text, "false");
}

static void check_number(struct checker *c, const struct iam_param *p, struct bytes name,
                         struct bytes value)
{
    int64_t n = 0;

    if (!read_number(value, &n))
        fail(c, name, value, true, "Member must be an integer");
    else if (n < p->min)
        fail_with(c, p, name, value, "value greater than or equal to", p->min);
    else if (p->max > 0 && n > p->max)
        fail_with(c, p, name, value, "value less than or equal to", p->max);
}

static void check_bool(struct checker *c, struct bytes name, struct bytes value)
{
    bool b = false;

    if (!read_bool(value, &b))
        fail(c, name, value, true, "Member must be a boolean");
}

/* Member `field` of element `i`, which is a text. */
static void check_field(struct checker *c, struct bytes list, size_t i,
                        const struct iam_param *field)
{
    struct form_name path = form_name(list, i, field->name);
    struct bytes     name = bytes_of(path.text, path.len);
    struct bytes     value = form_get(c->form, name);

    if (value.ptr != NULL)
        check_text(c, field, name, value);
    else if ((field->flags & IAM_REQUIRED) != 0)
        fail(c, name, value, true, "Member must not be null");
}

/* [\p{L}\p{Z}\p{N}_.:/=+\-@]: of the characters beyond ASCII all are taken, since telling letters from
 * others there needs the Unicode tables. */
static bool is_tag_text(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x80 && !is_alnum(c) && (c == '\0' || strchr(" _.:/=+-@", c) == NULL))
            return false;
    }
    return true;
}

static const struct iam_param tag_key = { .name = "Key",
                                          .flags = IAM_REQUIRED,
                                          .min = 1,
                                          .max = 128,
                                          .pattern = "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
                                          .matches = is_tag_text };
static const struct iam_param tag_value = { .name = "Value",
                                            .flags = IAM_REQUIRED,
                                            .max = 256,
                                            .pattern = "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*",
                                            .matches = is_tag_text };
static const struct iam_param context_name = {
    .name = "ContextKeyName", .flags = IAM_REQUIRED, .min = 5, .max = 256
};

static void check_list(struct checker *c, const struct iam_param *p)
{
    struct bytes    name = bytes_str(p->name);
    bool            texts = p->type == IAM_STRINGS;
    size_t          most = texts || p->max == 0 ? LIMIT_LIST_ITEMS : (size_t)p->max;
    size_t          n = 0;
    enum kms_status status = form_list(c->form, name, LIMIT_LIST_ITEMS, &n, c->reterr);

    if (status != KMS_OK) {
        c->broken = status;
        return;
    }
    if (n == 0 && (p->flags & IAM_REQUIRED) != 0 && form_get(c->form, name).ptr == NULL)
        fail(c, name, (struct bytes){ NULL, 0 }, true, "Member must not be null");
    if (n > most)
        fail_with(c, p, name, (struct bytes){ NULL, 0 }, "length less than or equal to",
                  (int64_t)most);
    struct iam_param element = *p;

    element.name = NULL;
    element.flags |= IAM_REQUIRED;
    for (size_t i = 1; i <= n; i++) {
        if (p->type == IAM_STRINGS) {
            check_field(c, name, i, &element);
        } else if (p->type == IAM_TAGS) {
            check_field(c, name, i, &tag_key);
            check_field(c, name, i, &tag_value);
        } else {
            check_field(c, name, i, &context_name);
        }
    }
}

static void check_param(struct checker *c, const struct iam_param *p)
{
    struct bytes name = bytes_str(p->name);
    struct bytes value = form_get(c->form, name);

    if (p->type >= IAM_STRINGS) {
        check_list(c, p);
    } else if (value.ptr == NULL) {
        if ((p->flags & IAM_REQUIRED) != 0)
            fail(c, name, value, true, "Member must not be null");
    } else if (p->type == IAM_STRING) {
        check_text(c, p, name, value);
    } else if (p->type == IAM_INT) {
        check_number(c, p, name, value);
    } else {
        check_bool(c, name, value);
    }
}

enum kms_status iam_prepare(struct op_call *call, struct kms_error *reterr)
{
    struct checker c = { .form = call->form, .text = BUF_INIT(FAILURES_ROOM), .reterr = reterr };
    const struct iam_row *row = iam_row_of(call->op);
    enum kms_status       status = KMS_OK;

    for (const struct iam_param *p = row->params; p != NULL && p->name != NULL; p++)
        check_param(&c, p);
    if (c.broken != KMS_OK)
        status = c.broken;
    else if (c.n > 0)
        status = KMS_REFUSE(reterr, KMS_E_VALIDATION, "%zu validation error%s detected: %.*s", c.n,
                            c.n == 1 ? "" : "s", BYTES_FMT(buf_bytes(&c.text)));
    buf_release(&c.text);
    return status;
}

/* --- access ----------------------------------------------------------------------------------- */

bool iam_takes(const struct operation *op, const char *name)
{
    const struct iam_param *p = iam_row_of(op)->params;

    while (p != NULL && p->name != NULL && strcmp(p->name, name) != 0)
        p++;
    return p != NULL && p->name != NULL;
}

struct bytes iam_arg(const struct op_call *call, const char *name)
{
    return form_get_str(call->form, name);
}

int64_t iam_int(const struct op_call *call, const char *name, int64_t otherwise)
{
    int64_t n = 0;

    return read_number(iam_arg(call, name), &n) ? n : otherwise;
}

bool iam_bool(const struct op_call *call, const char *name, bool otherwise)
{
    bool b = false;

    return read_bool(iam_arg(call, name), &b) ? b : otherwise;
}

/* --- audit ------------------------------------------------------------------------------------ */

static void audit_list(struct json_writer *w, const struct form *form, const struct iam_param *p)
{
    struct bytes name = bytes_str(p->name);
    size_t       n = 0;

    if (form_list(form, name, LIMIT_LIST_ITEMS, &n, NULL) != KMS_OK || n == 0)
        return;
    json_open_array(w, p->name);
    for (size_t i = 1; i <= n; i++) {
        if (p->type == IAM_STRINGS) {
            json_put_string(w, NULL, form_element(form, name, i, NULL));
            continue;
        }
        json_open_object(w, NULL);
        json_put_string(w, "Key", form_element(form, name, i, "Key"));
        json_put_string(w, "Value", form_element(form, name, i, "Value"));
        json_close_object(w);
    }
    json_close_array(w);
}

static void audit_param(struct json_writer *w, const struct form *form, const struct iam_param *p)
{
    struct bytes value = form_get_str(form, p->name);
    int64_t      n = 0;
    bool         b = false;

    if ((p->flags & IAM_NO_AUDIT) != 0 || p->type == IAM_CONTEXT_ENTRIES)
        return;
    if (p->type >= IAM_STRINGS)
        audit_list(w, form, p);
    else if (value.ptr == NULL)
        return;
    else if (p->type == IAM_INT && read_number(value, &n))
        json_put_int(w, p->name, n);
    else if (p->type == IAM_BOOL && read_bool(value, &b))
        json_put_bool(w, p->name, b);
    else
        json_put_string(w, p->name, value);
}

void iam_audit_parameters(const struct operation *op, const struct form *form, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    w.lower_first = true;
    json_open_object(&w, NULL);
    for (const struct iam_param *p = iam_row_of(op)->params; p != NULL && p->name != NULL; p++)
        audit_param(&w, form, p);
    json_close_object(&w);
}
