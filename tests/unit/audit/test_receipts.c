/* tests/unit/audit/test_receipts.c - proofs of erasure: found again by key, each signed by itself. */
#include "fixture.h"

#include "json/read.h"

static const char *const arns[] = {
    "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555",
    "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-666666666666",
};

static void append_receipt(struct fixture *f, const char *arn, uint32_t slot)
{
    struct audit_receipt r = {
        .time = clock_now(f->clock),
        .key_arn = bytes_str(arn),
        .account = BYTES_LIT("111122223333"),
        .region = BYTES_LIT("eu-central-1"),
        .material_id = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        .reason = "api",
        .tombstone_time = INT64_C(1763747101918),
        .commit = 77,
        .slot_class = "erasable",
        .slot = slot,
        .slot_generation = 5,
        .file_generation = 9,
        .grade = "B",
        .filesystem = "ext4",
        .extents_before = { 1 },
        .extents_after = { 1 },
        .verified = true,
        .database_clean = true,
    };
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct kms_error                err;

    if (slot == 0)
        r.material_id = NULL;
    assert_int_equal(audit_receipt_write(f->audit, &r, &text, &err), KMS_OK);
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append(f->audit, &event, 1, true, true, &err), KMS_OK);
}

struct found {
    unsigned   n, bad;
    struct buf last;
};

static void count(void *ctx, struct bytes line, bool ok)
{
    struct found *found = ctx;

    found->n++;
    found->bad += !ok;
    buf_reset(&found->last);
    buf_add(&found->last, line);
}

static void found_release(struct found *found)
{
    buf_release(&found->last);
}

static struct found search(struct fixture *f, const char *key)
{
    struct found     found = { .last = BUF_INIT(1 << 20) };
    struct kms_error err;

    if (audit_receipts(f->dir, NULL, key, count, &found, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    return found;
}

static void test_receipts_are_found_by_key(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key;
        unsigned    want;
    } cases[] = {
        { "11111111-2222-3333-4444-555555555555", 2 },
        { "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555", 2 },
        { "11111111-2222-3333-4444-666666666666", 1 },
        { "1111-2222-3333-4444-555555555555", 0 }, /* the end of an id is not an id */
        { "", 3 },
        { NULL, 3 },
    };

    fixture_open(f);
    append_receipt(f, arns[0], 1);
    fixture_append(f, 5, false);
    append_receipt(f, arns[1], 2);
    append_receipt(f, arns[0], 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(found_release) struct found found = search(f, cases[i].key);
        assert_int_equal(found.n, cases[i].want);
        assert_int_equal(found.bad, 0);
    }
    fixture_close(f);
    struct audit_report r = fixture_verify(f);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.receipts, 3);
}

static void assert_text(struct json details, const char *name, const char *want)
{
    assert_true(bytes_eq_str(json_string(json_member(details, name)), want));
}

static void test_a_receipt_says_what_was_erased(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    append_receipt(f, arns[0], 3);
    CLEANUP(found_release) struct found      found = search(f, NULL);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct json                              root;
    int64_t                                  n = 0;
    assert_true(buf_reserve(&found.last, JSON_PADDING));
    assert_int_equal(json_parse(doc, found.last.ptr, found.last.len, &root, NULL), KMS_OK);
    assert_text(root, "eventName", "TrentReceipt");
    assert_text(root, "eventType", "AwsServiceEvent");
    struct json details = json_member(root, "serviceEventDetails");
    assert_text(details, "keyArn", arns[0]);
    assert_text(details, "node", "abcdef0105060708090a0b0c0d0e0f10");
    assert_text(details, "materialId",
                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    assert_text(details, "reason", "api");
    assert_text(details, "slotClass", "erasable");
    assert_text(details, "eraseGrade", "B");
    assert_text(details, "filesystem", "ext4");
    assert_true(json_int(json_member(details, "slot"), &n) && n == 3);
    assert_true(json_int(json_member(details, "slotGeneration"), &n) && n == 5);
    assert_true(json_int(json_member(details, "fileGeneration"), &n) && n == 9);
    assert_true(json_int(json_member(details, "tombstoneCommit"), &n) && n == 77);
    assert_true(json_int(json_member(details, "tombstoneTimeMs"), &n) &&
                n == INT64_C(1763747101918));
    assert_true(json_bool(json_member(details, "readBackVerified")));
    assert_false(json_bool(json_member(details, "alreadyEmpty")));
    assert_true(json_bool(json_member(details, "databaseClean")));
}

static void test_a_changed_receipt_shows(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
    char                            path[FILE_PATH_MAX];

    fixture_open(f);
    append_receipt(f, arns[0], 1);
    append_receipt(f, arns[0], 2);
    fixture_close(f);
    fixture_file(f, 0, path);
    fixture_read(path, &text);
    uint8_t *hit = memmem(text.ptr, text.len, "\"readBackVerified\":true", 23);
    assert_non_null(hit);
    memcpy(hit, "\"readBackVerified\":True", 23);
    fixture_write(path, buf_bytes(&text));
    CLEANUP(found_release) struct found found = search(f, arns[0]);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.bad, 1);
    assert_int_equal(fixture_verify(f).verdict, AUDIT_TAMPERED);
}

static void test_a_forged_receipt_in_the_chain_shows(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct audit_receipt            r = { .time = 1,
                                          .key_arn = bytes_str(arns[0]),
                                          .reason = "api",
                                          .slot_class = "erasable",
                                          .grade = "A",
                                          .filesystem = "x" };

    /* whoever can append, but not sign */
    fixture_open(f);
    audit_receipt_add(&text, fixture_node, &r);
    buf_add_str(&text, ",\"signature\":\"");
    for (int i = 0; i < AUDIT_SIGNATURE_HEX - 2; i++)
        buf_add_str(&text, "A");
    buf_add_str(&text, "==\"");
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append(f->audit, &event, 1, true, true, NULL), KMS_OK);
    fixture_close(f);
    struct audit_report report = fixture_verify(f);
    assert_verdict(report, AUDIT_TAMPERED);
    assert_int_equal(report.first_bad_seq, 1);
    assert_non_null(strstr(report.why, "receipt"));
}

static void test_a_failing_signer_leaves_nothing(void **state)
{
    struct fixture                 *f = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(400); /* too small for a receipt */
    struct audit_receipt            r = { .time = 1,
                                          .key_arn = bytes_str(arns[0]),
                                          .reason = "api",
                                          .slot_class = "erasable",
                                          .grade = "B",
                                          .filesystem = "x" };

    fixture_open(f);
    buf_add_str(&text, "before");
    assert_int_equal(audit_receipt_write(f->audit, &r, &text, NULL), KMS_E_INTERNAL);
    assert_int_equal(text.len, 6);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_receipts_are_found_by_key),
        WITH_FOLDER(test_a_receipt_says_what_was_erased),
        WITH_FOLDER(test_a_changed_receipt_shows),
        WITH_FOLDER(test_a_forged_receipt_in_the_chain_shows),
        WITH_FOLDER(test_a_failing_signer_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
