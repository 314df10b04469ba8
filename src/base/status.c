/* base/status.c - the texts behind the list of outcomes, and the two ways to report one. */
#include "base/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

struct status_row {
    int                  http;
    const char          *wire;
    enum kms_text_member member;
    const char          *word;
};

static const struct status_row rows[KMS_STATUS_COUNT] = {
#define X(symbol, http, wire, member, word) [symbol] = { http, wire, member, word },
    KMS_STATUS_LIST(X)
#undef X
};

int kms_status_http(enum kms_status status)
{
    assert(status < KMS_STATUS_COUNT);
    return rows[status].http;
}

const char *kms_status_wire(enum kms_status status)
{
    assert(status < KMS_STATUS_COUNT);
    return rows[status].wire;
}

enum kms_text_member kms_status_text_member(enum kms_status status)
{
    assert(status < KMS_STATUS_COUNT);
    return rows[status].member;
}

const char *kms_status_word(enum kms_status status)
{
    assert(status < KMS_STATUS_COUNT);
    return rows[status].word;
}

void kms_error_clear(struct kms_error *err)
{
    err->status = KMS_OK;
    err->site = "";
    err->message_len = 0;
    err->detail[0] = '\0';
    err->message[0] = '\0';
}

enum kms_status kms_fail(struct kms_error *reterr, enum kms_status status, const char *site,
                         const char *fmt, ...)
{
    if (reterr == NULL)
        return status;
    kms_error_clear(reterr);
    reterr->status = status;
    reterr->site = site;

    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(reterr->detail, sizeof reterr->detail, fmt, args);
    va_end(args);
    return status;
}

enum kms_status kms_refuse(struct kms_error *reterr, enum kms_status status, const char *site,
                           const char *fmt, ...)
{
    if (reterr == NULL)
        return status;
    kms_error_clear(reterr);
    reterr->status = status;
    reterr->site = site;

    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(reterr->message, sizeof reterr->message, fmt, args);
    va_end(args);
    if (len > 0)
        reterr->message_len = (size_t)len < sizeof reterr->message ? (size_t)len
                                                                   : sizeof reterr->message - 1;
    return status;
}
