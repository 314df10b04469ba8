/* ctl/clock.c - `trent clock confirm`: the operator says that the machine's clock is right. */
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"

enum { ANSWER_MAX = 64 * 1024, NOT_CONFIRMED = 1 };

/* What the server says of it, in a sentence or as it is. */
static int show(struct ctl *c, int status, struct bytes body)
{
    CLEANUP(buf_release) struct buf          copy = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct json                              root;
    struct kms_error                         err;

    buf_add(&copy, body);
    if (doc == NULL || !buf_reserve(&copy, JSON_PADDING) ||
        json_parse(doc, copy.ptr, copy.len, &root, &err) != KMS_OK ||
        json_type(root) != JSON_OBJECT || (status != 200 && status != 409 && status != 503)) {
        ctl_error(c, "the server's answer is not one of trentd's");
        return EX_PROTOCOL;
    }
    if (status != 200) {
        ctl_error(c, "%.*s", BYTES_FMT(json_string(json_member(root, "error"))));
        return NOT_CONFIRMED;
    }
    if (c->json)
        buf_add(&text, body);
    else
        buf_addf(&text, "Confirmed: it is %.*s. What is due is erased within ten seconds.\n",
                 BYTES_FMT(json_string(json_member(root, "now"))));
    return ctl_print(c, &text, EX_OK);
}

int ctl_clock_confirm(struct ctl *c)
{
    CLEANUP(buf_release) struct buf answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(closep) int             fd = -1;
    struct instance_paths           p;
    struct bytes                    body = { NULL, 0 };
    int                             status = 0;
    struct kms_error                err;

    if (!ctl_arguments(c, NULL, 0, NULL, 0))
        return EX_USAGE;
    if (instance_paths(c->data, NULL, &p, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_USAGE);
    int failed = ctl_local_connect(c, &p, &fd);
    if (failed == CTL_NOT_RUNNING)
        ctl_error(c,
                  "no server is running on '%s': start trentd, which tells if there is anything "
                  "to confirm",
                  p.data);
    if (failed != 0)
        return failed;
    if (ctl_local_ask(fd, "POST /_trent/clock/confirm", &answer, &status, &body, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_UNAVAILABLE);
    return show(c, status, body);
}
