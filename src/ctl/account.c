/* ctl/account.c - `trent account ...`: accounts of the running server, through its local socket. */
#include <stdio.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "json/write.h"

enum { ANSWER_MAX = 8 * 1024 * 1024, NOT_DONE = 1 };

struct wanted {
    const char *id, *name, *organization;
    bool        replace;
};

static void put_if(struct json_writer *w, const char *name, const char *value)
{
    if (value != NULL)
        json_put_str(w, name, value);
}

static void request_text(const struct wanted *want, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    put_if(&w, "id", want->id);
    put_if(&w, "name", want->name);
    bool none = want->organization != NULL && bytes_eq_str(bytes_str(want->organization), "none");
    put_if(&w, "organization", none ? "" : want->organization);
    if (want->replace)
        json_put_bool(&w, "replace", true);
    json_close_object(&w);
}

/* One account: rows. Several: a line each. */
static void show_text(struct json root, struct buf *out)
{
    struct json v;

    if (json_type(root) != JSON_ARRAY) {
        ctl_rows(out, root);
        return;
    }
    for (struct json_iter it = json_iterate(root); json_next(&it, NULL, &v);)
        buf_addf(out, "%.*s  %.*s  %.*s  %.*s\n",
                 BYTES_FMT(json_string(json_member(v, "accountId"))),
                 BYTES_FMT(json_string(json_member(v, "created"))),
                 BYTES_FMT(json_string(json_member(v, "name"))),
                 BYTES_FMT(json_string(json_member(v, "organization"))));
}

static int show(struct ctl *c, int status, struct bytes body)
{
    CLEANUP(buf_release) struct buf          copy = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct json                              root;
    struct kms_error                         err;

    buf_add(&copy, body);
    if (status == 503) {
        ctl_error(c, "another operation on accounts is in progress: try again");
        return NOT_DONE;
    }
    if (doc == NULL || !buf_reserve(&copy, JSON_PADDING) ||
        json_parse(doc, copy.ptr, copy.len, &root, &err) != KMS_OK) {
        ctl_error(c, "the server's answer is not one of trentd's");
        return EX_PROTOCOL;
    }
    if (status != 200) {
        ctl_error(c, "%.*s", BYTES_FMT(json_string(json_member(root, "error"))));
        return status == 400 ? EX_USAGE : NOT_DONE;
    }
    if (c->json)
        buf_add(&text, body);
    else
        show_text(root, &text);
    return ctl_print(c, &text, EX_OK);
}

static int ask(struct ctl *c, const char *what, const struct wanted *want)
{
    CLEANUP(buf_release) struct buf request = BUF_INIT(16 * 1024);
    CLEANUP(buf_release) struct buf answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(closep) int             fd = -1;
    struct instance_paths           p;
    struct bytes                    body = { NULL, 0 };
    int                             status = 0;
    struct kms_error                err;

    if (instance_paths(c->data, NULL, &p, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_USAGE);
    request_text(want, &request);
    if (!buf_ok(&request)) {
        ctl_error(c, "the arguments are too long");
        return EX_USAGE;
    }
    int failed = ctl_local_connect(c, &p, &fd);
    if (failed == CTL_NOT_RUNNING)
        ctl_error(c, "no server is running on '%s': start trentd", p.data);
    if (failed != 0)
        return failed;
    if (ctl_local_send(fd, what, buf_bytes(&request), &answer, &status, &body, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_UNAVAILABLE);
    return show(c, status, body);
}

int ctl_account_create(struct ctl *c)
{
    struct wanted           want = { .replace = false };
    const struct ctl_option options[] = { { "--id", &want.id, NULL },
                                          { "--name", &want.name, NULL },
                                          { "--organization", &want.organization, NULL } };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0))
        return EX_USAGE;
    return ask(c, "POST /_trent/accounts/create", &want);
}

int ctl_account_list(struct ctl *c)
{
    const struct wanted all = { .replace = false };

    if (!ctl_arguments(c, NULL, 0, NULL, 0))
        return EX_USAGE;
    return ask(c, "POST /_trent/accounts/list", &all);
}

/* False after it has said that an account must be named. */
static bool names_account(struct ctl *c, const struct wanted *want)
{
    if (want->id == NULL)
        ctl_error(c, "which account? --id ID");
    return want->id != NULL;
}

int ctl_account_update(struct ctl *c)
{
    struct wanted           want = { .replace = false };
    const struct ctl_option options[] = { { "--id", &want.id, NULL },
                                          { "--name", &want.name, NULL },
                                          { "--organization", &want.organization, NULL } };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0) || !names_account(c, &want))
        return EX_USAGE;
    return ask(c, "POST /_trent/accounts/update", &want);
}

int ctl_account_access_key(struct ctl *c)
{
    struct wanted           want = { .replace = false };
    const struct ctl_option options[] = { { "--id", &want.id, NULL },
                                          { "--replace", NULL, &want.replace } };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0) || !names_account(c, &want))
        return EX_USAGE;
    return ask(c, "POST /_trent/accounts/access-key", &want);
}
