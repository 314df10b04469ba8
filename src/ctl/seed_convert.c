/* ctl/seed_convert.c - `trent seed convert`: seed files of local-kms as our own. */
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "key/id.h"
#include "seed/local_kms.h"

static bool good_options(struct ctl *c, const char *account, const char *region)
{
    if (account != NULL &&
        (strlen(account) != ACCOUNT_LEN || strspn(account, "0123456789") != ACCOUNT_LEN)) {
        ctl_error(c, "--account: an account id has 12 digits");
        return false;
    }
    if (region != NULL && !region_valid(bytes_str(region))) {
        ctl_error(c, "--region: names of Regions look like eu-west-2");
        return false;
    }
    return true;
}

/* Each line of the notes as one complaint. */
static void say_notes(struct ctl *c, const struct buf *notes)
{
    struct bytes rest = buf_bytes(notes);
    struct bytes line;

    while (bytes_cut(&rest, '\n', &line))
        ctl_error(c, "%.*s", BYTES_FMT(line));
}

int ctl_seed_convert(struct ctl *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LOCAL_KMS_BYTES_MAX);
    CLEANUP(buf_release) struct buf out = BUF_INIT(LOCAL_KMS_OUT_MAX);
    CLEANUP(buf_release) struct buf notes = BUF_INIT(CTL_OUTPUT_MAX);
    const char                     *file = NULL;
    const char                     *account = NULL;
    const char                     *region = NULL;
    const struct ctl_option         options[] = { { .name = "--account", .value = &account },
                                                  { .name = "--region", .value = &region } };
    struct kms_error                err;

    if (!ctl_arguments(c, options, ARRAY_LEN(options), &file, 1) ||
        !good_options(c, account, region))
        return EX_USAGE;
    if (file == NULL) {
        ctl_error(c, "name the file: trent seed convert FILE");
        return EX_USAGE;
    }
    int failed = ctl_prepare(c);

    if (failed != 0)
        return failed;
    const struct local_kms_asked asked = { file, bytes_str(account), bytes_str(region) };

    if (file_read(file, &text, &err) != KMS_OK ||
        local_kms_convert(&asked, buf_bytes(&text), &out, &notes, &err) != KMS_OK) {
        ctl_error(c, "%s", err.message_len > 0 ? err.message : err.detail);
        return EX_DATAERR;
    }
    say_notes(c, &notes);
    return ctl_print(c, &out, EX_OK);
}
