/* ctl/init.c - `trent init`: a data directory and its first account. */
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "instance/instance.h"
#include "json/write.h"

enum { RESERVE_BYTES = 64 * 1024 * 1024 };

struct init {
    struct instance_paths  paths;
    struct instance_config config;
    struct instance_result result;
    char                   account[13];
};

static void say_text(const struct init *i, struct buf *out)
{
    ctl_row(out, "data directory", bytes_str(i->paths.data));
    ctl_row(out, "account", bytes_str(i->config.account));
    ctl_row(out, "access key id", bytes_str(i->result.access_key_id));
    ctl_row(out, "secret access key", bytes_str(i->result.secret_access_key));
    buf_add_str(out, "\n"
                     "The secret access key is shown this once: write it down.\n");
    buf_addf(out,
             "The root key is in '%s': keep a copy elsewhere, without it nothing can be opened.\n",
             i->paths.root_key);
    buf_addf(out,
             "The audit key is '%s/audit.pub': keep a copy elsewhere, to verify the audit with.\n",
             i->paths.audit);
}

static void say_json(const struct init *i, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "dataDirectory", i->paths.data);
    json_put_str(&w, "rootKeyFile", i->paths.root_key);
    json_put_str(&w, "account", i->config.account);
    json_put_str(&w, "accessKeyId", i->result.access_key_id);
    json_put_str(&w, "secretAccessKey", i->result.secret_access_key);
    json_close_object(&w);
    buf_add_byte(out, '\n');
}

/* The lock first: nobody else is at work in this folder. */
static enum kms_status create(struct init *i, struct kms_error *reterr)
{
    CLEANUP(closep) int lock = -1;

    TRY(instance_paths(i->config.data_dir, i->config.root_key_file, &i->paths, reterr));
    TRY(instance_make_directory(&i->paths, reterr));
    TRY(instance_lock(&i->paths, &lock, reterr));
    return instance_create(&i->config, &i->result, reterr);
}

static void init_wipe(struct init *i)
{
    instance_result_wipe(&i->result);
}

int ctl_init(struct ctl *c)
{
    CLEANUP(init_wipe) struct init  i = { .config = { .data_dir = c->data,
                                                      .audit_reserve_bytes = RESERVE_BYTES } };
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
    struct kms_error                err;
    const struct ctl_option         options[] = {
        { .name = "--root-key", .value = &i.config.root_key_file },
        { .name = "--account", .value = &i.config.account },
    };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0))
        return EX_USAGE;
    int failed = ctl_prepare(c);
    if (failed != 0)
        return failed;
    instance_new_account_id(i.account);
    if (i.config.account == NULL)
        i.config.account = i.account;
    if (create(&i, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_CANTCREAT);
    if (c->json)
        say_json(&i, &text);
    else
        say_text(&i, &text);
    return ctl_print(c, &text, EX_OK);
}
