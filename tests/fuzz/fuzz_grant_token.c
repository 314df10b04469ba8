/* tests/fuzz/fuzz_grant_token.c - grant tokens: none is accepted unless we have sealed it, and one that
 * is says what we sealed.
 *
 * The first byte of an input chooses:
 *   0  the rest is a token as a client would send it
 *   1  the rest is a list of patches (two bytes: place, what) to a token that we made
 *   2  the rest is sealed as the content of a token
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto_start.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "vault/vault_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GRANT_ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct {
    char                 dir[64], root[96];
    struct clock        *clock;
    struct epoch        *epoch;
    struct vault        *v;
    struct grant_record *grant;
    struct buf           token;
} s;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void remove_files(void)
{
    static const char *const names[] = { "root.key", "instance.sealed", "erasable.slots",
                                         "durable.slots" };
    char                     path[FILE_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (file_join(path, s.dir, names[i]))
            (void)unlink(path);
    }
    (void)rmdir(s.dir);
}

static void open_vault(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(s.dir, sizeof s.dir, "%s/fuzz-grant-XXXXXX", base);
    must(mkdtemp(s.dir) != NULL && atexit(remove_files) == 0);
    (void)snprintf(s.root, sizeof s.root, "%s/root.key", s.dir);
    s.clock = clock_new(0);
    s.epoch = epoch_new();
    struct vault_config config = { .data_dir = s.dir,
                                   .root_key_file = s.root,
                                   .allow_grade_c = true,
                                   .cache_idle_s = 60,
                                   .clock = s.clock,
                                   .epoch = s.epoch };
    must(vault_create(&config, NULL) == KMS_OK && vault_open(&config, NULL, &s.v, NULL) == KMS_OK);
}

static void start(void)
{
    if (s.v != NULL)
        return;
    must(start_crypto() == KMS_OK);
    open_vault();
    s.grant = grant_record_new();
    must(s.grant != NULL);
    grant_record_set_key(s.grant, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"),
                         BYTES_LIT("1234abcd-12ab-34cd-56ef-1234567890ab"));
    s.grant->id = BYTES_LIT(GRANT_ID);
    buf_init(&s.token, GRANT_TOKEN_MAX);
    must(vault_grant_token_seal(s.v, s.grant, &s.token, NULL) == KMS_OK);
}

static bool opens(struct bytes text, struct grant_token *ret)
{
    struct kms_error err;
    enum kms_status  status = vault_grant_token_open(s.v, text, ret, &err);

    must(status == KMS_OK || (status == KMS_E_GRANT_TOKEN && err.message_len == 0));
    return status == KMS_OK;
}

static void patched(struct bytes patches)
{
    uint8_t            text[1024];
    struct bytes       whole = buf_bytes(&s.token);
    struct grant_token t;

    must(whole.len <= sizeof text);
    memcpy(text, whole.ptr, whole.len);
    for (size_t i = 0; i + 2 <= patches.len; i += 2)
        text[patches.ptr[i] % whole.len] ^= patches.ptr[i + 1];
    bool same = bytes_eq(bytes_of(text, whole.len), whole);
    must(opens(bytes_of(text, whole.len), &t) == same);
    if (same)
        must(strcmp(t.grant_id, GRANT_ID) == 0 && strcmp(t.region, "us-east-1") == 0);
}

static void add_text(struct buf *out, const char *text)
{
    buf_add_field(out, bytes_str(text));
}

/* base64url without padding, as the client gets it. */
static void add_base64url(struct buf *out, struct bytes in)
{
    base64_add(out, in);
    while (out->len > 0 && out->ptr[out->len - 1] == '=')
        buf_truncate(out, out->len - 1);
    for (size_t i = 0; i < out->len; i++) {
        if (out->ptr[i] == '+')
            out->ptr[i] = '-';
        if (out->ptr[i] == '/')
            out->ptr[i] = '_';
    }
}

/* Sealed by us, so only the reader of the content decides: what it takes is what it writes again,
 * except that text in the fields may end early at a NUL. */
static void sealed_content(struct bytes content)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(256), sealed = BUF_INIT(64 * 1024);
    CLEANUP(buf_release) struct buf text = BUF_INIT(128 * 1024), again = BUF_INIT(1024);
    struct grant_token              t;

    if (content.len > 32 * 1024)
        return;
    buf_add_field(&aad, bytes_of(vault_instance_id(s.v), 16));
    buf_add_field(&aad, (struct bytes){ NULL, 0 });
    must(envelope_seal(s.v->in.purpose[PURPOSE_TOKEN], "grant-token", buf_bytes(&aad), content,
                       &sealed, NULL) == KMS_OK);
    add_base64url(&text, buf_bytes(&sealed));
    if (!opens(buf_bytes(&text), &t))
        return;
    must(content.len > 0 && content.ptr[0] == 1 && text.len <= GRANT_TOKEN_MAX);
    must(strlen(t.account) <= 12 && strlen(t.grant_id) <= 64);
    if (memchr(content.ptr + 1, 0, 3) == NULL) /* the first length is at least 2^24: cannot be */
        abort();
    buf_add_byte(&again, 1);
    add_text(&again, t.account);
    add_text(&again, t.region);
    add_text(&again, t.key_id);
    add_text(&again, t.grant_id);
    must(again.len <= content.len);
    if (again.len == content.len)
        must(bytes_eq(buf_bytes(&again), content));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grant_token t;

    start();
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);

    if (data[0] == 0)
        must(!opens(rest, &t)); /* this instance was made just now */
    else if (data[0] == 1)
        patched(rest);
    else if (data[0] == 2)
        sealed_content(rest);
    return 0;
}
