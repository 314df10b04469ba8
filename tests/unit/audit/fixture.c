/* tests/unit/audit/fixture.c - see fixture.h. */
#include "fixture.h"
#include "folder.h"

#include <sys/stat.h>
#include <unistd.h>

const uint8_t fixture_node[16] = {
    0xab, 0xcd, 0xef, 0x01, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
};

const uint8_t fixture_seed[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
};
const uint8_t fixture_public_key[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};

enum kms_status fixture_sign(void *ctx, struct bytes message, uint8_t ret[64],
                             struct kms_error *reterr)
{
    return crypto_ed25519_sign(bytes_of(ctx, 32), message, ret, reterr);
}

int fixture_setup(void **state)
{
    static bool      ready; /* crypto is set up once per test program */
    static uint8_t   seed[32];
    struct kms_error err;
    struct fixture  *f = calloc(1, sizeof *f);

    assert_non_null(f);
    if (!ready && crypto_init(&err) != KMS_OK)
        fail_msg("%s", err.detail);
    ready = true;
    memcpy(seed, fixture_seed, sizeof seed);
    (void)snprintf(f->home, sizeof f->home, "/tmp/trent-audit-XXXXXX");
    assert_non_null(mkdtemp(f->home));
    (void)snprintf(f->dir, sizeof f->dir, "%s/audit", f->home);
    f->clock = clock_new(0);
    f->config = (struct audit_config){ .dir = f->dir,
                                       .node = fixture_node,
                                       .reserve_bytes = 65536,
                                       .clock = f->clock,
                                       .sign = fixture_sign,
                                       .sign_ctx = seed,
                                       .limits = { .tick_ms = 20 } };
    memcpy(f->config.public_key, fixture_public_key, sizeof f->config.public_key);
    if (audit_create(&f->config, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    clock_free(f->clock);
    int failed = folder_remove(f->home);
    free(f);
    return failed;
}

void fixture_open(struct fixture *f)
{
    struct kms_error err;

    if (audit_open(&f->config, &f->audit, &f->head, &err) != KMS_OK)
        fail_msg("%s", err.detail);
}

void fixture_close(struct fixture *f)
{
    audit_close(f->audit);
    f->audit = NULL;
}

const char *fixture_refused(struct fixture *f)
{
    static struct kms_error err;

    if (audit_open(&f->config, &f->audit, &f->head, &err) == KMS_OK)
        fail_msg("the audit opened");
    return err.detail;
}

void fixture_event(struct fixture *f, struct buf *out)
{
    struct audit_event e = {
        .time = clock_now(f->clock),
        .request_id = "ac81bb20-2ca4-4ac2-80cf-b1b0e6e4ef44",
        .event_type = "AwsApiCall",
        .event_name = "Encrypt",
        .region = BYTES_LIT("eu-central-1"),
        .account = BYTES_LIT("111122223333"),
        .principal_type = BYTES_LIT("Root"),
        .principal_arn = BYTES_LIT("arn:aws:iam::111122223333:root"),
        .principal_id = BYTES_LIT("111122223333"),
        .access_key_id = BYTES_LIT("AKIAIOSFODNN7EXAMPLE"),
        .source_ip = "127.0.0.1",
        .user_agent = BYTES_LIT("aws-cli/2.9.19 Python/3.11"),
        .request_parameters = BYTES_LIT("{\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"),
        .read_only = true,
        .key_arns = { BYTES_LIT("arn:aws:kms:eu-central-1:111122223333:key/"
                                "1234abcd-12ab-34cd-56ef-1234567890ab") },
    };
    uint8_t uuid[16] = { 0 };

    f->events++;
    uuid[0] = (uint8_t)(f->events >> 16);
    uuid[1] = (uint8_t)(f->events >> 8);
    uuid[2] = (uint8_t)f->events;
    uuid_write(e.event_id, uuid);
    audit_event_write(out, &e);
    assert_true(buf_ok(out));
}

void fixture_append(struct fixture *f, unsigned n, bool sync)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct kms_error                err;

    for (unsigned i = 0; i < n; i++) {
        buf_reset(&text);
        fixture_event(f, &text);
        struct bytes event = buf_bytes(&text);
        if (audit_append(f->audit, &event, 1, sync, false, &err) != KMS_OK)
            fail_msg("%s", err.detail);
    }
}

struct audit_report fixture_verify(const struct fixture *f)
{
    struct audit_verify_options o = { .dir = f->dir, .to = UINT64_MAX };
    struct audit_report         report;

    audit_verify(&o, &report);
    return report;
}

size_t fixture_files(const struct fixture *f)
{
    CLEANUP(audit_files_release) struct audit_files files = { 0 };

    assert_int_equal(audit_files_list(f->dir, &files, NULL), KMS_OK);
    return files.n;
}

void fixture_file(const struct fixture *f, size_t i, char path[FILE_PATH_MAX])
{
    CLEANUP(audit_files_release) struct audit_files files = { 0 };

    assert_int_equal(audit_files_list(f->dir, &files, NULL), KMS_OK);
    assert_true(i < files.n);
    assert_true(file_join(path, f->dir, files.list[i].name));
}

void fixture_read(const char *path, struct buf *ret)
{
    struct kms_error err;

    buf_reset(ret);
    if (file_read(path, ret, &err) != KMS_OK)
        fail_msg("%s", err.detail);
}

void fixture_write(const char *path, struct bytes content)
{
    /* a new file: truncating one that was just written makes some filesystems sync it first */
    (void)unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.ptr, 1, content.len, file), content.len);
    assert_int_equal(fclose(file), 0);
}
