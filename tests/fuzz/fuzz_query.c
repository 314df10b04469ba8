/* tests/fuzz/fuzz_query.c - a form that is read says the same when it is written again in another
 * spelling, lookup finds exactly what is there, lists name only parameters that exist, and whatever
 * text a form holds XML can carry: the writer replaces none of it. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "query/answer.h"
#include "query/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void encode(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_addf(out, "%%%02x", text.ptr[i]);
}

/* All parameters, last first, every byte percent-encoded. */
static void write_again(struct buf *out, const struct form *f)
{
    for (size_t i = f->n; i-- > 0;) {
        encode(out, f->params[i].name);
        buf_add_byte(out, '=');
        encode(out, f->params[i].value);
        if (i > 0)
            buf_add_byte(out, '&');
    }
    must(buf_ok(out));
}

static void same(const struct form *f, const struct form *g)
{
    must(f->n == g->n);
    for (size_t i = 0; i < f->n; i++) {
        must(bytes_eq(f->params[i].name, g->params[i].name));
        must(bytes_eq(f->params[i].value, g->params[i].value));
        struct bytes found = form_get(g, f->params[i].name);
        must(found.ptr != NULL && bytes_eq(found, f->params[i].value));
    }
}

static void lists(const struct form *f)
{
    static const char *const names[] = { "L", "Tags", "" };
    struct kms_error         err;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct bytes name = bytes_str(names[i]);
        size_t       n = 0;
        if (form_list(f, name, 300, &n, &err) != KMS_OK) {
            must(err.status == KMS_E_VALIDATION);
            continue;
        }
        must(n <= LIMIT_LIST_ITEMS && n <= f->n);
        for (size_t k = 1; k <= n; k++) {
            struct form_name element = form_name(name, k, NULL);
            size_t           hits = 0;
            for (size_t p = 0; p < f->n; p++)
                hits += bytes_starts(f->params[p].name, bytes_of(element.text, element.len));
            must(hits > 0);
        }
    }
}

static void xml(const struct form *f)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(8 * 1024 * 1024);
    struct xml                      w;
    long                            replaced = 0;

    xml_writer_init(&w, &out);
    for (size_t i = 0; i < f->n; i++) {
        struct bytes value = f->params[i].value;
        for (size_t k = 0; k + 2 < value.len; k++)
            replaced -= memcmp(value.ptr + k, "\xef\xbf\xbd", 3) == 0;
        xml_put(&w, "v", value);
    }
    must(buf_ok(&out));
    for (size_t k = 0; k + 2 < out.len; k++)
        replaced += memcmp(out.ptr + k, "\xef\xbf\xbd", 3) == 0;
    must(replaced == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf   body = BUF_INIT(size + 1);
    CLEANUP(buf_release) struct buf   text = BUF_INIT(3 * size + 4096);
    CLEANUP(form_release) struct form f = { .n = 0 };
    CLEANUP(form_release) struct form g = { .n = 0 };
    struct kms_error                  err;

    buf_add(&body, bytes_of(data, size));
    if (form_parse(body.ptr, body.len, &f, &err) != KMS_OK) {
        must(f.params == NULL && err.status == KMS_E_SERIALIZATION);
        return 0;
    }
    must(f.n <= LIMIT_FORM_PARAMS);
    for (size_t i = 1; i < f.n; i++)
        must(bytes_cmp(f.params[i - 1].name, f.params[i].name) < 0);
    write_again(&text, &f);
    must(form_parse(text.ptr, text.len, &g, &err) == KMS_OK);
    same(&f, &g);
    lists(&f);
    xml(&f);
    return 0;
}
