/* audit/receipts.c - proofs of erasure: making them, and finding them again. */
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

static bool show(void *ctx, struct bytes line)
{
    const struct receipt_search *s = ctx;
    struct bytes                 arn = audit_receipt_key(line);
    struct audit_link            link;

    if (arn.len == 0 || !wanted(s, arn))
        return true;
    bool ok = audit_link_parse(line, &link) && audit_signature_ok(link.event, s->public_key);
    s->visit(s->ctx, line, ok);
    return true;
}

enum kms_status audit_receipts(const char *dir, const char *public_key_file, const char *key,
                               void (*visit)(void *ctx, struct bytes line, bool signature_ok),
                               void *ctx, struct kms_error *reterr)
{
    struct receipt_search s = { .key = bytes_str(key), .visit = visit, .ctx = ctx };
    char                  path[FILE_PATH_MAX];

    if (!file_join(path, dir, "audit.pub"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", dir);
    TRY(audit_public_key_read(public_key_file != NULL ? public_key_file : path, s.public_key,
                              reterr));
    return audit_each_line(dir, show, &s, reterr);
}
