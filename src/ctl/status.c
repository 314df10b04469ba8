/* ctl/status.c - `trent status`: asks the running server, or looks at what it left behind. */
#include <sysexits.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "ctl/ctl.h"
#include "instance/instance.h"
#include "json/write.h"
#include "store/sqlite/sqlite.h"

enum { ANSWER_MAX = 1024 * 1024 };

/* --- asking ------------------------------------------------------------------------------------------------- */

/* noinline here and below: an error is large, and one frame at a time is enough. */
__attribute__((noinline)) static int show_running(struct ctl *c, int fd)
{
    CLEANUP(buf_release) struct buf          answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          copy = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct bytes                             body;
    int                                      status = 0;
    struct json                              root;
    struct kms_error                         err;

    if (ctl_local_ask(fd, "GET /_trent/status", &answer, &status, &body, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_UNAVAILABLE);
    if (status != 200) {
        ctl_error(c, "the server's answer is not one of trentd's");
        return EX_PROTOCOL;
    }
    buf_add(&copy, body);
    if (doc == NULL || !buf_reserve(&copy, JSON_PADDING) ||
        json_parse(doc, copy.ptr, copy.len, &root, &err) != KMS_OK ||
        json_type(root) != JSON_OBJECT) {
        ctl_error(c, "the server's answer is not JSON");
        return EX_PROTOCOL;
    }
    if (c->json)
        buf_add(&text, body);
    else
        ctl_rows(&text, root);
    return ctl_print(c, &text, EX_OK);
}

/* --- looking ------------------------------------------------------------------------------------------------- */

static void describe(const struct instance_paths *p, const struct store_meta *meta,
                     const struct audit_head *head, const char *audit_problem, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_bool(&w, "running", false);
    json_put_str(&w, "dataDirectory", p->data);
    json_put_hex(&w, "instance", bytes_of(meta->instance_id, sizeof meta->instance_id));
    json_open_object(&w, "database");
    json_put_int(&w, "schema", meta->schema_version);
    json_put_int(&w, "commit", (int64_t)meta->commit);
    json_open_object(&w, "slotGeneration");
    json_put_int(&w, "erasable", (int64_t)meta->slot_generation[SLOT_ERASABLE]);
    json_put_int(&w, "durable", (int64_t)meta->slot_generation[SLOT_DURABLE]);
    json_close_object(&w);
    json_close_object(&w);
    json_open_object(&w, "audit");
    if (audit_problem != NULL) {
        json_put_str(&w, "problem", audit_problem);
    } else {
        json_put_int(&w, "sequence", (int64_t)head->seq);
        if (head->time > 0)
            json_put_date(&w, "lastRecord", head->time);
        json_put_hex(&w, "chainHead", bytes_of(head->hash, sizeof head->hash));
        json_put_int(&w, "unfinishedBytes", (int64_t)head->dropped);
    }
    json_close_object(&w);
    json_close_object(&w);
    buf_add_byte(out, '\n');
}

__attribute__((noinline)) static int show_files(struct ctl *c, const struct instance_paths *p)
{
    CLEANUP(buf_release) struct buf          raw = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct store_meta                        meta;
    struct audit_head                        head = { .seq = 0 };
    struct json                              root;
    struct kms_error                         err;

    if (!file_exists(p->database)) {
        ctl_error(
            c, "there is no data directory '%s': name it with --data, or make it with 'trent init'",
            p->data);
        return EX_NOINPUT;
    }
    if (store_sqlite_peek(p->database, &meta, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_DATAERR);
    int failed = ctl_prepare(c); /* signatures of the audit */
    if (failed != 0)
        return failed;
    bool sound = audit_peek(p->audit, &head, &err) == KMS_OK;
    describe(p, &meta, &head, sound ? NULL : err.detail, &raw);
    if (c->json)
        return ctl_print(c, &raw, CTL_NOT_RUNNING);
    if (doc == NULL || !buf_reserve(&raw, JSON_PADDING) ||
        json_parse(doc, raw.ptr, raw.len, &root, &err) != KMS_OK) {
        ctl_error(c, "out of memory");
        return EX_OSERR;
    }
    ctl_rows(&text, root);
    return ctl_print(c, &text, CTL_NOT_RUNNING);
}

int ctl_status(struct ctl *c)
{
    struct instance_paths p;
    struct kms_error      err;

    if (!ctl_arguments(c, NULL, 0, NULL, 0))
        return EX_USAGE;
    if (instance_paths(c->data, NULL, &p, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_USAGE);
    CLEANUP(closep) int fd = -1;
    int                 failed = ctl_local_connect(c, &p, &fd);
    if (failed == CTL_NOT_RUNNING)
        return show_files(c, &p);
    return failed != 0 ? failed : show_running(c, fd);
}
