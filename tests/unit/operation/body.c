#include "body.h"

void body_init(struct body *b)
{
    *b = (struct body){ .doc = json_doc_new() };
    assert_non_null(b->doc);
}

void body_release(struct body *b)
{
    json_doc_freep(&b->doc);
    free(b->text);
    b->text = NULL;
}

struct json body_parse(struct body *b, struct bytes text)
{
    struct kms_error err;

    free(b->text);
    b->text = malloc(text.len + JSON_PADDING);
    assert_non_null(b->text);
    memcpy(b->text, text.ptr, text.len);
    memset(b->text + text.len, 0, JSON_PADDING);
    assert_int_equal(json_parse(b->doc, b->text, text.len, &b->root, &err), KMS_OK);
    return b->root;
}

struct json body_str(struct body *b, const char *text)
{
    return body_parse(b, bytes_str(text));
}

char *repeated(char c, size_t n)
{
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, c, n);
    text[n] = '\0';
    return text;
}

char *textf(const char *fmt, ...)
{
    char   *text = NULL;
    va_list args;

    va_start(args, fmt);
    assert_true(vasprintf(&text, fmt, args) >= 0);
    va_end(args);
    return text;
}

const struct operation *row_of(const char *name)
{
    char                   *target = textf("TrentService.%s", name);
    const struct operation *op = operation_find(bytes_str(target));

    free(target);
    assert_non_null(op);
    assert_string_equal(op->name, name);
    return op;
}
