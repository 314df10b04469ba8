/* ctl/explain.c - `trent explain`: why a request was denied, from its audit record.
 *
 * The server wrote the whole decision into the record of the denial (request_authz.c); the client was
 * told no more than the real service tells.
 */
#include <sysexits.h>

#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "ctl/ctl.h"
#include "json/write.h"

enum { NONE_FOUND = 2 };

struct finding {
    struct bytes     id;
    struct buf       line;   /* as it is in the file; empty: not found */
    struct buf       parsed; /* the same, where `root` lies */
    struct json_doc *doc;
    struct json      root;
};

static void finding_release(struct finding *f)
{
    buf_release(&f->line);
    buf_release(&f->parsed);
    json_doc_free(f->doc);
}

/* Is it anywhere in there? Most lines are not the one: they need no parsing. */
static bool mentions(struct bytes line, struct bytes id)
{
    return memmem(line.ptr, line.len, id.ptr, id.len) != NULL;
}

static bool find(void *ctx, struct bytes line)
{
    struct finding *f = ctx;

    if (!mentions(line, f->id))
        return true;
    buf_reset(&f->parsed);
    buf_add(&f->parsed, line);
    if (!buf_reserve(&f->parsed, JSON_PADDING) ||
        json_parse(f->doc, f->parsed.ptr, f->parsed.len, &f->root, NULL) != KMS_OK ||
        !bytes_eq(json_string(json_member(f->root, "requestID")), f->id))
        return true;
    buf_add(&f->line, line);
    return false;
}

static void member(struct buf *out, const char *name, struct json parent, const char *member)
{
    struct json v = json_member(parent, member);

    if (json_type(v) == JSON_STRING)
        ctl_row(out, name, json_string(v));
}

static void say_text(struct json record, struct buf *out)
{
    struct json who = json_member(record, "userIdentity");
    struct json decision = json_member(json_member(record, "additionalEventData"), "decision");
    struct json resource;

    member(out, "time", record, "eventTime");
    member(out, "service", record, "eventSource");
    member(out, "operation", record, "eventName");
    member(out, "Region", record, "awsRegion");
    member(out, "caller", who, "arn");
    member(out, "access key", who, "accessKeyId");
    member(out, "address", record, "sourceIPAddress");
    for (struct json_iter it = json_iterate(json_member(record, "resources"));
         json_next(&it, NULL, &resource);)
        member(out, "resource", resource, "ARN");
    member(out, "error", record, "errorCode");
    member(out, "told", record, "errorMessage");
    if (json_type(decision) == JSON_OBJECT) {
        buf_add_byte(out, '\n');
        ctl_rows(out, decision);
    } else {
        ctl_row(out, "decision", BYTES_LIT("not a matter of rights: it was not denied"));
    }
}

int ctl_explain(struct ctl *c)
{
    CLEANUP(finding_release) struct finding f = { .line = BUF_INIT(CTL_OUTPUT_MAX),
                                                  .parsed = BUF_INIT(CTL_OUTPUT_MAX) };
    CLEANUP(buf_release) struct buf         text = BUF_INIT(CTL_OUTPUT_MAX);
    char                                    dir[FILE_PATH_MAX];
    const char                             *own_dir = NULL;
    const char                             *id = NULL;
    struct kms_error                        err;
    const struct ctl_option                 options[] = { { .name = "--dir", .value = &own_dir } };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), &id, 1) || !ctl_audit_dir(c, own_dir, dir))
        return EX_USAGE;
    if (id == NULL || strlen(id) != UUID_TEXT) {
        ctl_error(c, "say which request: the id is in the header x-amzn-RequestId of its answer, "
                     "and AWS clients show it with the error");
        return EX_USAGE;
    }
    f.id = bytes_str(id);
    f.doc = json_doc_new();
    if (f.doc == NULL || audit_each_line(dir, find, &f, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_NOINPUT);
    if (f.line.len == 0) {
        ctl_error(c, "there is no request %s in the audit log '%s'", id, dir);
        return NONE_FOUND;
    }
    if (c->json) {
        buf_add(&text, buf_bytes(&f.line));
        buf_add_byte(&text, '\n');
    } else {
        say_text(f.root, &text);
    }
    return ctl_print(c, &text, EX_OK);
}
