/* ctl/blob_inspect.c - `trent blob inspect`: the header of a ciphertext blob. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "ctl/ctl.h"
#include "json/write.h"
#include "vault/vault.h"

enum { INPUT_MAX = 64 * 1024 }; /* a blob is at most 6,144 bytes; in base64, and with line breaks */

static enum kms_status read_stream(FILE *in, struct buf *out, struct kms_error *reterr)
{
    for (;;) {
        if (!buf_reserve(out, 4096))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "standard input is longer than any blob");
        size_t n = fread(out->ptr + out->len, 1, 4096, in);
        out->len += n;
        if (n == 0 && ferror(in))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read standard input: %s",
                            strerror(errno));
        if (n == 0)
            return KMS_OK;
    }
}

/* A file if there is one of this name, else the text itself. */
static enum kms_status read_input(struct ctl *c, const char *what, struct buf *out,
                                  struct kms_error *reterr)
{
    if (what == NULL || strcmp(what, "-") == 0)
        return read_stream(c->world.in, out, reterr);
    if (file_exists(what))
        return file_read(what, out, reterr);
    buf_add_str(out, what);
    if (!buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the text is longer than any blob");
    return KMS_OK;
}

/* Base64 with white space in it, in place; false if it is something else. */
static bool decode(struct buf *b)
{
    size_t kept = 0;
    size_t len = 0;

    for (size_t i = 0; i < b->len; i++) {
        if (memchr(" \t\r\n", b->ptr[i], 4) == NULL)
            b->ptr[kept++] = b->ptr[i];
    }
    if (kept == 0 || !base64_read(bytes_of(b->ptr, kept), b->ptr, &len))
        return false;
    buf_truncate(b, len);
    return true;
}

static const char *kind_name(enum blob_kind kind)
{
    switch (kind) {
    case BLOB_ENCRYPT:  return "Encrypt";
    case BLOB_DATA_KEY: return "GenerateDataKey";
    }
    return "unknown";
}

static void say(const struct blob_header *h, size_t len, bool json, struct buf *out)
{
    struct json_writer w;

    if (json) {
        json_writer_init(&w, out);
        json_open_object(&w, NULL);
        json_put_str(&w, "madeBy", kind_name(h->kind));
        json_put_int(&w, "format", h->format);
        json_put_hex(&w, "keyMaterialId", bytes_of(h->material.b, sizeof h->material.b));
        json_put_int(&w, "blobBytes", (int64_t)len);
        json_put_int(&w, "plaintextBytes", (int64_t)h->plaintext_len);
        json_close_object(&w);
        buf_add_byte(out, '\n');
        return;
    }
    char text[80] = { 0 };
    ctl_row(out, "made by", bytes_str(kind_name(h->kind)));
    (void)snprintf(text, sizeof text, "%u", h->format);
    ctl_row(out, "format", bytes_str(text));
    hex_write(text, bytes_of(h->material.b, sizeof h->material.b));
    ctl_row(out, "key material id", bytes_of(text, 64));
    (void)snprintf(text, sizeof text, "%zu bytes", len);
    ctl_row(out, "blob", bytes_str(text));
    (void)snprintf(text, sizeof text, "%zu bytes", h->plaintext_len);
    ctl_row(out, "plaintext", bytes_str(text));
}

int ctl_blob_inspect(struct ctl *c)
{
    CLEANUP(buf_release) struct buf in = BUF_INIT(INPUT_MAX);
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
    struct blob_header              header;
    const char                     *what = NULL;
    struct kms_error                err;

    if (!ctl_arguments(c, NULL, 0, &what, 1))
        return EX_USAGE;
    if (read_input(c, what, &in, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_NOINPUT);
    if (!vault_blob_inspect(buf_bytes(&in), &header) &&
        (!decode(&in) || !vault_blob_inspect(buf_bytes(&in), &header))) {
        ctl_error(c, "this is not a ciphertext blob of trentd, neither raw nor in base64%s",
                  what == NULL || strcmp(what, "-") == 0 || file_exists(what) ? ""
                                                                              : ", nor a file");
        return EX_DATAERR;
    }
    say(&header, in.len, c->json, &text);
    return ctl_print(c, &text, EX_OK);
}
