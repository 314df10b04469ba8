/* audit/search.c - reading the lines of all audit files, oldest first, without believing them. */
#include <errno.h>
#include <fcntl.h>

#include "audit/internal.h"
#include "audit/verify.h"
#include "base/cleanup.h"

static enum kms_status search_file(const char *dir, const char *name, audit_line_fn *visit,
                                   void *ctx, bool *ret_enough, struct kms_error *reterr)
{
    CLEANUP(closep) int fd = -1;
    struct bytes        line;

    TRY(audit_file_open(dir, name, O_RDONLY, &fd, reterr));
    CLEANUP(line_reader_release) struct line_reader r;
    if (!line_reader_init(&r, fd, 0))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read '%s'", name);
    while (!*ret_enough) {
        enum line_result got = line_next(&r, &line);
        if (got == LINE_END || got == LINE_TORN)
            return KMS_OK;
        if (got != LINE_OK)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read '%s/%s': %s", dir, name,
                            got == LINE_LONG ? "a line is too long" : strerror(errno));
        *ret_enough = !visit(ctx, line);
    }
    return KMS_OK;
}

enum kms_status audit_each_line(const char *dir, audit_line_fn *visit, void *ctx,
                                struct kms_error *reterr)
{
    CLEANUP(audit_files_release) struct audit_files files = { 0 };
    bool                                            enough = false;

    TRY(audit_files_list(dir, &files, reterr));
    for (size_t i = 0; i < files.n && !enough; i++)
        TRY(search_file(dir, files.list[i].name, visit, ctx, &enough, reterr));
    return KMS_OK;
}
