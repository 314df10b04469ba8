/* Whatever is read can be written, and reads back as the same value; what was written is written
 * the same again. And what is read obeys our limits, counted independently. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "json/read.h"
#include "json/write.h"

enum { TEXT_MAX = 4 * 1024 * 1024 };

static void broken(const char *what)
{
    fprintf(stderr, "fuzz_json: %s\n", what);
    abort();
}

static bool same_number(struct json a, struct json b)
{
    int64_t x = 0;
    int64_t y = 0;
    double  p = json_number(a);
    double  q = json_number(b);

    if (json_int(a, &x) && json_int(b, &y))
        return x == y;
    return !(p < q) && !(p > q);
}

static bool is_number(struct json v)
{
    return json_type(v) == JSON_INT || json_type(v) == JSON_REAL;
}

/* Nested at most LIMIT_JSON_DEPTH deep, or the check itself aborts. */
static bool same(struct json a, struct json b, unsigned depth, size_t *values)
{
    struct json_iter i = json_iterate(a);
    struct json_iter j = json_iterate(b);
    struct bytes     name_a;
    struct bytes     name_b;
    struct json      x;
    struct json      y;
    bool             more;

    ++*values;
    if (is_number(a) && is_number(b))
        return same_number(a, b);
    if (json_type(a) != json_type(b) || json_count(a) != json_count(b))
        return false;
    if (json_type(a) == JSON_STRING)
        return bytes_eq(json_string(a), json_string(b));
    if (json_type(a) == JSON_BOOL)
        return json_bool(a) == json_bool(b);
    if (json_type(a) != JSON_NULL && depth == LIMIT_JSON_DEPTH)
        broken("nested too deep");
    while ((more = json_next(&i, &name_a, &x)) == json_next(&j, &name_b, &y) && more) {
        *values += i.object;
        if (!bytes_eq(name_a, name_b) || !same(x, y, depth + 1, values))
            return false;
        if (i.object && name_a.len > 0 && memchr(name_a.ptr, 0, name_a.len) == NULL) {
            char *name = strndup((const char *)name_a.ptr, name_a.len);
            if (name == NULL || json_member(a, name).node != x.node)
                broken("a member that its name does not find, or a name twice");
            free(name);
        }
    }
    return !more;
}

/* A name as the writer's constants are: escaped already, NUL-terminated. */
static char *escaped(struct bytes name)
{
    struct buf         text = BUF_INIT(TEXT_MAX);
    struct json_writer w;

    json_writer_init(&w, &text);
    json_put_string(&w, NULL, name);
    char *out = calloc(1, text.len - 1);
    if (out == NULL)
        broken("no memory");
    memcpy(out, text.ptr + 1, text.len - 2);
    if (strlen(out) != text.len - 2)
        broken("an escaped name with NUL");
    buf_release(&text);
    return out;
}

static void write_leaf(struct json_writer *w, const char *name, struct json v)
{
    char    text[40];
    int64_t i = 0;

    if (json_type(v) == JSON_STRING) {
        json_put_string(w, name, json_string(v));
    } else if (json_type(v) == JSON_BOOL) {
        json_put_bool(w, name, json_bool(v));
    } else if (json_type(v) == JSON_NULL) {
        json_put_null(w, name);
    } else if (json_int(v, &i)) {
        json_put_int(w, name, i);
    } else {
        (void)snprintf(text, sizeof text, "%.17e", json_number(v));
        json_put_raw(w, name, bytes_str(text));
    }
}

/* Nested at most LIMIT_JSON_DEPTH deep. */
static void write_value(struct json_writer *w, const char *name, struct json v)
{
    struct json_iter it = json_iterate(v);
    struct bytes     member;
    struct json      x;

    if (json_type(v) == JSON_ARRAY) {
        json_open_array(w, name);
        while (json_next(&it, NULL, &x))
            write_value(w, NULL, x);
        json_close_array(w);
    } else if (json_type(v) == JSON_OBJECT) {
        json_open_object(w, name);
        while (json_next(&it, &member, &x)) {
            if (json_type(x) == JSON_STRING) {
                json_put_pair(w, member, json_string(x));
                continue;
            }
            char *text = escaped(member);
            write_value(w, text, x);
            free(text);
        }
        json_close_object(w);
    } else {
        write_leaf(w, name, v);
    }
}

/* `text` gets the padding that json_parse asks for. */
static bool parse(struct json_doc *doc, struct buf *text, struct json *ret)
{
    static const char behind[JSON_PADDING] = { 'n', 'e', 'x', 't' };

    if (!buf_reserve(text, JSON_PADDING))
        broken("a text that is too long for the test");
    memcpy(text->ptr + text->len, behind, sizeof behind);
    enum kms_status status = json_parse(doc, text->ptr, text->len, ret, NULL);
    if (memcmp(text->ptr + text->len, behind, sizeof behind) != 0)
        broken("the bytes behind the text were changed");
    if (status != KMS_OK && status != KMS_E_SERIALIZATION)
        broken("another status");
    return status == KMS_OK;
}

static void write_text(struct buf *out, struct json v)
{
    struct json_writer w;

    json_writer_init(&w, out);
    write_value(&w, NULL, v);
    if (!buf_ok(out))
        broken("the writer's buffer is too small");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_MAX / 8)
        return 0;
    struct json_doc *doc = json_doc_new();
    struct json_doc *doc2 = json_doc_new();
    struct buf       text = BUF_INIT(TEXT_MAX);
    struct buf       written = BUF_INIT(TEXT_MAX);
    struct buf       again = BUF_INIT(TEXT_MAX); /* read in place: `second` looks into it */
    struct buf       last = BUF_INIT(TEXT_MAX);
    struct json      first;
    struct json      second;
    size_t           values = 0;

    buf_add(&text, bytes_of(data, size));
    if (parse(doc, &text, &first)) {
        write_text(&written, first);
        buf_add(&again, buf_bytes(&written));
        if (!parse(doc2, &again, &second))
            broken("what was written cannot be read");
        if (!same(first, second, 0, &values))
            broken("what was written reads back as something else");
        if (values > LIMIT_JSON_VALUES)
            broken("too many values");
        write_text(&last, second);
        if (!bytes_eq(buf_bytes(&written), buf_bytes(&last)))
            broken("written otherwise the second time");
    }
    buf_release(&text);
    buf_release(&written);
    buf_release(&again);
    buf_release(&last);
    json_doc_free(doc);
    json_doc_free(doc2);
    return 0;
}
