/* ctl/receipts.c - `trent receipts`: proofs of erasure, each with the verdict on its signature. */
#include <sysexits.h>

#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "ctl/ctl.h"
#include "json/write.h"

enum { BAD_SIGNATURE = 1, NONE_FOUND = 2 };

struct showing {
    struct buf         text;
    struct json_writer w;
    struct json_doc   *doc;
    bool               json;
    size_t             n, bad;
};

/* The members of the receipt as rows; those of the envelope that matter. */
static void show_text(struct showing *s, struct bytes line, bool signature_ok)
{
    CLEANUP(buf_release) struct buf copy = BUF_INIT(CTL_OUTPUT_MAX);
    struct json                     root = { NULL };

    if (s->n > 1)
        buf_add_byte(&s->text, '\n');
    ctl_row(&s->text, "signature", bytes_str(signature_ok ? "good" : "BAD"));
    buf_add(&copy, line);
    if (s->doc == NULL || !buf_reserve(&copy, JSON_PADDING) ||
        json_parse(s->doc, copy.ptr, copy.len, &root, NULL) != KMS_OK) {
        ctl_row(&s->text, "unreadable", line);
        return;
    }
    ctl_row(&s->text, "time", json_string(json_member(root, "eventTime")));
    ctl_rows(&s->text, json_member(root, "serviceEventDetails"));
}

static void show(void *ctx, struct bytes line, bool signature_ok)
{
    struct showing *s = ctx;

    s->n++;
    s->bad += !signature_ok;
    if (!s->json) {
        show_text(s, line, signature_ok);
        return;
    }
    /* as a string: what was signed is bytes, and a changed line may not even be JSON */
    json_open_object(&s->w, NULL);
    json_put_str(&s->w, "signature", signature_ok ? "good" : "bad");
    json_put_string(&s->w, "record", line);
    json_close_object(&s->w);
}

static void showing_release(struct showing *s)
{
    buf_release(&s->text);
    json_doc_free(s->doc);
}

int ctl_receipts(struct ctl *c)
{
    CLEANUP(showing_release) struct showing s = { .text = BUF_INIT(CTL_OUTPUT_MAX),
                                                  .json = c->json };
    char                                    dir[FILE_PATH_MAX];
    const char                             *own_dir = NULL;
    const char                             *public_key = NULL;
    const char                             *key = NULL;
    struct kms_error                        err;
    const struct ctl_option                 options[] = {
        { .name = "--dir", .value = &own_dir },
        { .name = "--pubkey", .value = &public_key },
    };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), &key, 1) || !ctl_audit_dir(c, own_dir, dir))
        return EX_USAGE;
    int failed = ctl_prepare(c);
    if (failed != 0)
        return failed;
    s.doc = json_doc_new();
    json_writer_init(&s.w, &s.text);
    if (c->json)
        json_open_array(&s.w, NULL);
    if (audit_receipts(dir, public_key, key, show, &s, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_NOINPUT);
    if (c->json) {
        json_close_array(&s.w);
        buf_add_byte(&s.text, '\n');
    }
    if (s.n == 0)
        ctl_error(c, "there are no receipts%s%s in '%s'", key != NULL ? " of " : "",
                  key != NULL ? key : "", dir);
    return ctl_print(c, &s.text, s.bad > 0 ? BAD_SIGNATURE : s.n == 0 ? NONE_FOUND : EX_OK);
}
