/* tests/unit/ctl/test_audit.c - `trent audit verify` and `trent receipts` on a log made here. */
#include "tool.h"

#include <unistd.h>

#include "audit/audit.h"
#include "base/file.h"
#include "crypto/crypto.h"

static const char arn[] =
    "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555";

static uint8_t seed[32] = {
    /* RFC 8032 test 1 */
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
};
static const uint8_t public_key[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};

static enum kms_status sign(void *ctx, struct bytes message, uint8_t ret[64],
                            struct kms_error *reterr)
{
    return crypto_ed25519_sign(bytes_of(ctx, sizeof seed), message, ret, reterr);
}

static void append(struct audit *a, struct buf *text)
{
    struct bytes event = buf_bytes(text);

    assert_int_equal(audit_append(a, &event, 1, true, false, NULL), KMS_OK);
    buf_reset(text);
}

/* FOLDER/audit with an event, a receipt and a checkpoint. */
static int make_log(void **state)
{
    static const uint8_t            node[16] = { 1, 2, 3, 4 };
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    char                            dir[256];
    struct audit_config config = { .dir = dir, .node = node, .sign = sign, .sign_ctx = seed };
    struct audit       *a = NULL;
    struct audit_head   head;

    (void)tool_setup(state);
    assert_int_equal(tool_prepare(NULL), KMS_OK);
    (void)snprintf(dir, sizeof dir, "%s/audit", (char *)*state);
    memcpy(config.public_key, public_key, sizeof public_key);
    config.clock = clock_new(0);
    assert_int_equal(audit_create(&config, NULL), KMS_OK);
    assert_int_equal(audit_open(&config, &a, &head, NULL), KMS_OK);
    const struct audit_event e = { .time = 1763747101918,
                                   .event_name = "CreateKey",
                                   .event_type = "AwsApiCall",
                                   .event_id = "00000000-0000-4000-8000-000000000001" };
    audit_event_write(&text, &e);
    append(a, &text);
    const struct audit_receipt r = { .time = 1763747101918,
                                     .key_arn = bytes_str(arn),
                                     .reason = "api",
                                     .slot_class = "erasable",
                                     .grade = "B",
                                     .filesystem = "ext4",
                                     .verified = true };
    assert_int_equal(audit_receipt_write(a, &r, &text, NULL), KMS_OK);
    append(a, &text);
    audit_close(a);
    clock_free(config.clock);
    return 0;
}

/* Changes one byte of the log: the first letter of `what`. */
static void tamper(const char *folder, const char *what)
{
    char command[512];

    (void)snprintf(command, sizeof command, "sed -i 's/%s/X%s/' '%s'/audit/trent-*.jsonl", what,
                   what + 1, folder);
    assert_int_equal(system(command), 0);
}

#define RUN(name, args) CLEANUP(tool_free) struct tool_run name = tool(*state, args, NULL)

static void test_a_good_log(void **state)
{
    RUN(run, "audit verify --data %");
    RUN(json, "audit verify --data % --json");
    RUN(dir, "audit verify --dir %/audit --pubkey %/audit/audit.pub");

    assert_code(run, 0);
    assert_says(run.out, "good\n3 records read, 1 checkpoints, 1 receipts");
    assert_code(json, 0);
    assert_says(json.out, "{\"verdict\":\"good\",\"records\":3,\"checkpoints\":1,\"receipts\":1,");
    assert_code(dir, 0);
}

static void test_a_tampered_log(void **state)
{
    tamper(*state, "CreateKey");
    RUN(run, "audit verify --data %");
    RUN(json, "audit verify --data % --json");

    assert_code(run, 1);
    assert_says(run.out, "TAMPERED: seq 2: hash:");
    assert_code(json, 1);
    assert_says(json.out, "\"firstBadSequence\":2");
}

static void test_an_incomplete_log(void **state)
{
    char command[512];

    /* the closing checkpoint is taken away */
    (void)snprintf(command, sizeof command, "sed -i '$d' '%s'/audit/trent-*.jsonl", (char *)*state);
    assert_int_equal(system(command), 0);
    RUN(run, "audit verify --data %");
    assert_code(run, 2);
    assert_says(run.out, "incomplete: no checkpoint");
}

static void test_a_witness(void **state)
{
    char command[512];

    (void)snprintf(
        command, sizeof command,
        "cd '%s' && tail -n 1 audit/trent-*.jsonl >witness && sed 's/\"lastSeq\":2/\"lastSeq\":3/' "
        "witness >forged",
        (char *)*state);
    assert_int_equal(system(command), 0);
    RUN(good, "audit verify --data % --witness %/witness");
    RUN(bad, "audit verify --data % --witness %/forged");
    RUN(none, "audit verify --data % --witness %/nothing");
    assert_code(good, 0);
    assert_code(bad, 3);
    assert_code(none, 3);
    assert_says(none.out, "unusable: cannot open");
}

static void test_a_folder_without_a_log(void **state)
{
    RUN(run, "audit verify --data %/nothing");
    RUN(receipts, "receipts --data %/nothing");

    assert_code(run, 3);
    assert_says(run.out, "unusable");
    assert_code(receipts, EX_NOINPUT);
    assert_says(receipts.err, "cannot open");
}

static void test_receipts_of_a_key(void **state)
{
    RUN(all, "receipts --data %");
    RUN(by_id, "receipts 11111111-2222-3333-4444-555555555555 --data %");
    RUN(other, "receipts 99999999-2222-3333-4444-555555555555 --data %");
    RUN(json, "receipts --data % --json");

    assert_code(all, 0);
    assert_says(all.out, "signature                        good\n");
    assert_says(all.out, arn);
    assert_says(all.out, "readBackVerified                 yes\n");
    assert_says(all.out, "time                             2025-11-21T17:45:01Z\n");
    assert_code(by_id, 0);
    assert_string_equal(by_id.out, all.out);
    assert_code(other, 2);
    assert_says(other.err, "no receipts of 99999999");
    assert_code(json, 0);
    assert_says(json.out, "[{\"signature\":\"good\",\"record\":\"{\\\"eventVersion\\\"");
}

static void test_a_forged_receipt(void **state)
{
    tamper(*state, "ext4");
    RUN(run, "receipts --data %");
    assert_code(run, 1);
    assert_says(run.out, "signature                        BAD\n");
}

#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, make_log, tool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOG(test_a_good_log),
        WITH_LOG(test_a_tampered_log),
        WITH_LOG(test_an_incomplete_log),
        WITH_LOG(test_a_witness),
        WITH_LOG(test_a_folder_without_a_log),
        WITH_LOG(test_receipts_of_a_key),
        WITH_LOG(test_a_forged_receipt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
