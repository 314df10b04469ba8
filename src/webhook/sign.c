/* webhook/sign.c - the secret, and the headers that prove who sent an event and when. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "webhook/internal.h"

enum { FILE_BYTES = 1024 };

#define PREFIX "whsec_"

static struct bytes trimmed(struct bytes text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    return text;
}

enum kms_status webhook_secret_parse(struct bytes text, struct secret **ret,
                                     struct kms_error *reterr)
{
    uint8_t      decoded[FILE_BYTES] = { 0 };
    struct bytes key = trimmed(text);
    bool         good = key.len <= FILE_BYTES && memchr(key.ptr, '\n', key.len) == NULL;

    if (good && bytes_starts(key, BYTES_LIT(PREFIX))) {
        size_t       len = 0;
        struct bytes rest = bytes_of(key.ptr + strlen(PREFIX), key.len - strlen(PREFIX));
        good = base64_read(rest, decoded, &len);
        key = bytes_of(decoded, good ? len : 0);
    }
    struct secret *made = NULL;
    if (good && key.len >= SECRET_MIN && key.len <= SECRET_MAX)
        made = secret_copy(key);
    explicit_bzero(decoded, sizeof decoded);
    if (made == NULL)
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "not one line with %d to %d bytes, or with " PREFIX
                        " and so many in base64: openssl rand -base64 32 makes one",
                        SECRET_MIN, SECRET_MAX);
    *ret = made;
    return KMS_OK;
}

enum kms_status webhook_secret_read(const char *path, struct secret **ret, struct kms_error *reterr)
{
    uint8_t          room[FILE_BYTES];
    struct buf       text = { .ptr = room, .cap = sizeof room, .limit = sizeof room };
    struct kms_error err;

    enum kms_status status = file_read(path, &text, &err); /* fits: never grown out of `room` */
    if (status == KMS_OK)
        status = webhook_secret_parse(buf_bytes(&text), ret, &err);
    explicit_bzero(room, sizeof room);
    if (status != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "webhook-secret-file '%.200s': %s", path,
                        err.detail);
    return KMS_OK;
}

void webhook_sign(struct secret *secret, const struct delivery *d, int64_t wall_s,
                  struct webhook_headers *ret)
{
    char       base64[64];
    struct buf text = { .ptr = (uint8_t *)base64, .cap = sizeof base64, .limit = sizeof base64 };
    uint8_t    mac[SHA256_LEN];
    char       when[24];

    (void)snprintf(when, sizeof when, "%lld", (long long)wall_s);
    const struct bytes pieces[] = { bytes_str(d->id), BYTES_LIT("."), bytes_str(when),
                                    BYTES_LIT("."), d->body };
    crypto_hmac_sha256_secret(secret, pieces, ARRAY_LEN(pieces), mac);
    base64_add(&text, bytes_of(mac, sizeof mac));
    (void)snprintf(ret->id, sizeof ret->id, "webhook-id: %s", d->id);
    (void)snprintf(ret->timestamp, sizeof ret->timestamp, "webhook-timestamp: %s", when);
    (void)snprintf(ret->signature, sizeof ret->signature, "webhook-signature: v1,%.*s",
                   BYTES_FMT(buf_bytes(&text)));
    const char *const list[5] = { "content-type: application/json", ret->id, ret->timestamp,
                                  ret->signature, NULL };
    memcpy(ret->list, list, sizeof list);
}
