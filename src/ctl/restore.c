/* ctl/restore.c - `trent restore accept`: goes on without the shred keys that a backup rightly lacks. */
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "instance/instance.h"
#include "json/write.h"

enum { ONLY_SAID = 1 };

struct restore {
    const char           *root_key;
    bool                  go;
    struct instance_paths paths;
    uint64_t              generation;
};

static void say_text(const struct restore *r, struct buf *out)
{
    if (r->go) {
        buf_addf(out, "An empty '%s/erasable.slots' was made (generation %llu).\n", r->paths.data,
                 (unsigned long long)r->generation);
        buf_add_str(out, "Start trentd, then import the material of the keys that are "
                         "PendingImport again.\n");
        return;
    }
    buf_addf(out, "'%s/erasable.slots' is missing. Making an empty one means:\n", r->paths.data);
    buf_add_str(out,
                "\n"
                "  - All imported key material in this directory is gone for good. Its keys are\n"
                "    PendingImport until the same material is imported again.\n"
                "  - Import tokens that were given out are void.\n"
                "  - Generated keys, aliases, tags and the audit log stay as they are.\n"
                "\n"
                "If the newest erasable.slots exists anywhere, put that back instead. Nothing has\n"
                "been changed; to go ahead, add --forget-imported.\n");
}

static void say_json(const struct restore *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "dataDirectory", r->paths.data);
    json_put_bool(&w, "accepted", r->go);
    json_put_int(&w, "slotFileGeneration", (int64_t)r->generation);
    json_close_object(&w);
    buf_add_byte(out, '\n');
}

/* The lock first: a running server has the file, whatever the folder shows. */
static enum kms_status restore(const struct ctl *c, struct restore *r, struct kms_error *reterr)
{
    CLEANUP(closep) int lock = -1;

    TRY(instance_paths(c->data, r->root_key, &r->paths, reterr));
    if (!file_exists(r->paths.data))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "there is no data directory '%.200s'",
                        r->paths.data);
    TRY(instance_lock(&r->paths, &lock, reterr));
    TRY(instance_restore_check(&r->paths, &r->generation, reterr));
    return r->go ? instance_restore_accept(&r->paths, r->generation, reterr) : KMS_OK;
}

int ctl_restore_accept(struct ctl *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
    struct restore                  r = { .go = false };
    struct kms_error                err;
    const struct ctl_option         options[] = {
        { .name = "--forget-imported", .flag = &r.go },
        { .name = "--root-key", .value = &r.root_key },
    };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0))
        return EX_USAGE;
    int failed = ctl_prepare(c);
    if (failed != 0)
        return failed;
    if (restore(c, &r, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_DATAERR);
    if (c->json)
        say_json(&r, &text);
    else
        say_text(&r, &text);
    return ctl_print(c, &text, r.go ? EX_OK : ONLY_SAID);
}
