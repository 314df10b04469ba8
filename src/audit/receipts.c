/* audit/receipts.c - proofs of erasure: making them, and finding them again. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "audit/internal.h"
#include "audit/verify.h"
#include "base/cleanup.h"

enum kms_status audit_receipt_write(struct audit *a, const struct audit_receipt *r, struct buf *out,
                                    struct kms_error *reterr)
{
    size_t start = out->len;

    audit_receipt_add(out, a->node, r);
    enum kms_status status = audit_signature_add(out, start, &a->config, reterr);
    if (status != KMS_OK)
        buf_truncate(out, start);
    return status;
}

struct receipt_search {
    const char  *dir;
    uint8_t      public_key[32];
    struct bytes key;
    void (*visit)(void *ctx, struct bytes line, bool signature_ok);
    void *ctx;
};

static bool wanted(const struct receipt_search *s, struct bytes arn)
{
    if (s->key.len == 0 || bytes_eq(arn, s->key))
        return true;
    /* a bare key id: the ARN ends in "key/<id>" */
    if (arn.len < s->key.len + 4)
        return false;
    struct bytes end = { arn.ptr + arn.len - s->key.len - 4, s->key.len + 4 };
    return bytes_starts(end, BYTES_LIT("key/")) &&
           bytes_eq(bytes_of(end.ptr + 4, s->key.len), s->key);
}

static void show(const struct receipt_search *s, struct bytes line)
{
    struct bytes      arn = audit_receipt_key(line);
    struct audit_link link;

    if (arn.len == 0 || !wanted(s, arn))
        return;
    bool ok = audit_link_parse(line, &link) && audit_signature_ok(link.event, s->public_key);
    s->visit(s->ctx, line, ok);
}

static enum kms_status search_receipts(const struct receipt_search *s, const char *name,
                                       struct kms_error *reterr)
{
    CLEANUP(closep) int fd = -1;
    struct bytes        line;

    TRY(audit_file_open(s->dir, name, O_RDONLY, &fd, reterr));
    CLEANUP(line_reader_release) struct line_reader r;
    if (!line_reader_init(&r, fd, 0))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read '%s'", name);
    for (;;) {
        enum line_result got = line_next(&r, &line);
        if (got == LINE_END || got == LINE_TORN)
            return KMS_OK;
        if (got != LINE_OK)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read '%s/%s': %s", s->dir, name,
                            got == LINE_LONG ? "a line is too long" : strerror(errno));
        show(s, line);
    }
}

enum kms_status audit_receipts(const char *dir, const char *public_key_file, const char *key,
                               void (*visit)(void *ctx, struct bytes line, bool signature_ok),
                               void *ctx, struct kms_error *reterr)
{
    struct receipt_search s = { .dir = dir, .key = bytes_str(key), .visit = visit, .ctx = ctx };
    char                  path[FILE_PATH_MAX];
    CLEANUP(audit_files_release) struct audit_files files = { 0 };

    if (!file_join(path, dir, "audit.pub"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", dir);
    TRY(audit_public_key_read(public_key_file != NULL ? public_key_file : path, s.public_key,
                              reterr));
    TRY(audit_files_list(dir, &files, reterr));
    for (size_t i = 0; i < files.n; i++)
        TRY(search_receipts(&s, files.list[i].name, reterr));
    return KMS_OK;
}
