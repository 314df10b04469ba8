/* base/error.h - what went wrong, for two readers.
 *
 * Filled by whoever discovers the failure, read by request.c (which answers and logs) or main.c.
 * `message` is what the client may read: a recorded text or one of ours, never key bytes.
 * `detail` is for the operator only. A failure reported with KMS_FAIL has no client message (the
 * error body is then just {"__type":...}); one reported with KMS_REFUSE has one.
 */
#pragma once

#include <stddef.h>

#include "base/status.h"

enum { KMS_MESSAGE_MAX = 4096, KMS_DETAIL_MAX = 240 };

struct kms_error {
    enum kms_status status;
    const char     *site; /* "file.c:123", a string literal */
    size_t          message_len;
    char            detail[KMS_DETAIL_MAX];   /* NUL-terminated, may be empty */
    char            message[KMS_MESSAGE_MAX]; /* NUL-terminated; empty = no member */
};

#define KMS_STR2(x) #x
#define KMS_STR(x)  KMS_STR2(x)
#define KMS_SITE    __FILE__ ":" KMS_STR(__LINE__)

/* Fails with an operator detail and no client message. */
#define KMS_FAIL(reterr, status, ...)                                                              \
    ((void)kms_fail((reterr), (status), KMS_SITE, __VA_ARGS__), (enum kms_status)(status))
/* Fails with a text that the client reads. */
#define KMS_REFUSE(reterr, status, ...)                                                            \
    ((void)kms_refuse((reterr), (status), KMS_SITE, __VA_ARGS__), (enum kms_status)(status))
/* (The status is written out so that static analysis knows what the expression is.) */

/* Both return `status`. `reterr` may be NULL when the caller needs only the status. Cold: what leads to them is
 * compiled out of the way of what goes well. */
enum kms_status kms_fail(struct kms_error *reterr, enum kms_status status, const char *site,
                         const char *fmt, ...) __attribute__((cold, format(printf, 4, 5)));
enum kms_status kms_refuse(struct kms_error *reterr, enum kms_status status, const char *site,
                           const char *fmt, ...) __attribute__((cold, format(printf, 4, 5)));
/* Empties an error before it is filled (cheap: does not clear the text arrays). */
void kms_error_clear(struct kms_error *err);

/* The only macro in the project that hides a return. Safe because resources are released by scope
 * (base/cleanup.h), never by a label further down. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum kms_status try_status_ = (expr);                                                      \
        if (__builtin_expect(try_status_ != KMS_OK, 0))                                                                 \
            return try_status_;                                                                    \
    } while (0)
