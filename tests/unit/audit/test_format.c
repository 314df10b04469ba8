/* tests/unit/audit/test_format.c - links, checkpoints and receipts have one spelling each. */
#include "fixture.h"

static void make_line(struct buf *line)
{
    static const uint8_t prev[32] = { 1, 2, 3 };

    buf_add_str(line,
                "{\"eventVersion\":\"1.11\",\"eventID\":\"00000000-0000-4000-8000-000000000000\","
                "\"eventName\":\"X\",\"eventTimeMs\":5");
    audit_link_add(line, "abcdef01", 1234567, prev);
}

static void test_a_link_reads_as_it_was_written(void **state)
{
    CLEANUP(buf_release) struct buf line = BUF_INIT(4096);
    struct audit_link               link;

    (void)state;
    make_line(&line);
    assert_true(audit_link_parse(buf_bytes(&line), &link));
    assert_string_equal(link.node, "abcdef01");
    assert_int_equal(link.seq, 1234567);
    assert_int_equal(link.prev[0], 1);
    assert_int_equal(link.prev[31], 0);
    assert_int_equal(link.event.ptr[link.event.len - 1], '5');
}

static void test_a_changed_link_is_another_link_or_none(void **state)
{
    CLEANUP(buf_release) struct buf line = BUF_INIT(4096);
    struct audit_link               link;
    struct audit_link               other;

    (void)state;
    make_line(&line);
    assert_true(audit_link_parse(buf_bytes(&line), &link));
    for (size_t i = link.event.len; i < line.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            line.ptr[i] ^= (uint8_t)(1 << bit);
            if (audit_link_parse(buf_bytes(&line), &other))
                assert_true(other.seq != link.seq || strcmp(other.node, link.node) != 0 ||
                            memcmp(other.prev, link.prev, 32) != 0);
            line.ptr[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t cut = 1; cut <= line.len; cut++)
        assert_false(audit_link_parse(bytes_of(line.ptr, line.len - cut), &other));
}

static void test_only_one_spelling_of_a_link(void **state)
{
    static const char *const bad[] = {
        ",\"trent\":{\"node\":\"ABCDEF01\",\"seq\":1,\"prev\":\"",  /* upper case */
        ",\"trent\":{\"node\":\"abcdef01\",\"seq\":01,\"prev\":\"", /* leading zero */
        ",\"trent\":{\"node\":\"abcdef01\",\"seq\":+1,\"prev\":\"",
        ",\"trent\":{\"node\":\"abcdef01\", \"seq\":1,\"prev\":\"", /* white space */
        ",\"trent\":{\"node\":\"abcdef01\",\"seq\":18446744073709551616,\"prev\":\"",
        ",\"trent\":{\"seq\":1,\"node\":\"abcdef01\",\"prev\":\"", /* another order */
        ",\"trent\":{\"node\":\"abcdef0\",\"seq\":1,\"prev\":\"",
    };
    struct audit_link link;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_release) struct buf line = BUF_INIT(4096);
        buf_add_str(&line, "{\"a\":1");
        buf_add_str(&line, bad[i]);
        for (int n = 0; n < 64; n++)
            buf_add_str(&line, "0");
        buf_add_str(&line, "\"}}");
        if (audit_link_parse(buf_bytes(&line), &link))
            fail_msg("accepted: %s", bad[i]);
    }
}

static void make_checkpoint(struct fixture *f, struct buf *text)
{
    struct audit_checkpoint c = { .first = 7,
                                  .last = 1006,
                                  .slot_generation = { 3, 9 },
                                  .commit = 42,
                                  .time = INT64_C(1763747101918) };

    memcpy(c.node, fixture_node, sizeof c.node);
    memset(c.head, 0x5a, sizeof c.head);
    memset(c.previous, 0xa5, sizeof c.previous);
    memcpy(c.public_key, fixture_public_key, sizeof c.public_key);
    audit_checkpoint_add(text, &c);
    assert_int_equal(audit_signature_add(text, 0, &f->config, NULL), KMS_OK);
}

static void test_a_checkpoint_reads_as_it_was_written(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    struct audit_checkpoint         c;
    enum audit_kind                 kind;

    make_checkpoint(*state, &text);
    assert_true(audit_kind_of(buf_bytes(&text), &kind));
    assert_int_equal(kind, AUDIT_KIND_CHECKPOINT);
    assert_true(audit_checkpoint_parse(buf_bytes(&text), &c));
    assert_int_equal(c.first, 7);
    assert_int_equal(c.last, 1006);
    assert_int_equal(c.slot_generation[0], 3);
    assert_int_equal(c.slot_generation[1], 9);
    assert_int_equal(c.commit, 42);
    assert_int_equal(c.time, INT64_C(1763747101918));
    assert_memory_equal(c.node, fixture_node, 16);
    assert_memory_equal(c.public_key, fixture_public_key, 32);
    assert_true(audit_signature_ok(buf_bytes(&text), fixture_public_key));
}

static void test_no_bit_of_a_checkpoint_can_change(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    struct audit_checkpoint         c;

    make_checkpoint(*state, &text);
    for (size_t i = 0; i < text.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text.ptr[i] ^= (uint8_t)(1 << bit);
            if (audit_checkpoint_parse(buf_bytes(&text), &c) &&
                audit_signature_ok(buf_bytes(&text), fixture_public_key))
                fail_msg("byte %zu bit %d", i, bit);
            text.ptr[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_true(audit_signature_ok(buf_bytes(&text), fixture_public_key));
}

static void test_a_signature_is_of_one_key(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    uint8_t                         other[32];

    make_checkpoint(*state, &text);
    memcpy(other, fixture_public_key, sizeof other);
    other[3] ^= 1;
    assert_false(audit_signature_ok(buf_bytes(&text), other));
    assert_false(audit_signature_ok(BYTES_LIT(""), fixture_public_key));
    assert_false(audit_signature_ok(BYTES_LIT("\""), fixture_public_key));
}

static void test_the_public_key_file_reads_back(void **state)
{
    struct fixture  *f = *state;
    char             path[FILE_PATH_MAX];
    uint8_t          key[32];
    struct kms_error err;

    assert_true(file_join(path, f->dir, "audit.pub"));
    assert_int_equal(audit_public_key_read(path, key, &err), KMS_OK);
    assert_memory_equal(key, fixture_public_key, 32);
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    fixture_read(path, &text);
    /* RFC 8410 section 10.1 has this prefix for every Ed25519 key */
    assert_true(
        bytes_starts(buf_bytes(&text), BYTES_LIT("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA")));
    text.ptr[40] = '!';
    fixture_write(path, buf_bytes(&text));
    assert_int_equal(audit_public_key_read(path, key, &err), KMS_E_INTERNAL);
    fixture_write(path, BYTES_LIT(""));
    assert_int_equal(audit_public_key_read(path, key, &err), KMS_E_INTERNAL);
}

static void test_file_names_sort_by_number(void **state)
{
    struct fixture                                 *f = *state;
    CLEANUP(audit_files_release) struct audit_files files = { 0 };
    static const char *const                        names[] = {
        "trent-20261121T174501Z-000000000900.jsonl",
        "trent-20261121T184501Z-1000000000000.jsonl",
        "trent-20261121T164501Z-000000001000.jsonl", /* the clock had gone back */
        "trent-20261121T174501Z-1.jsonl",
        "trent-20261321T174501Z-000000000001.jsonl",
        "trent-20261121T174501Z-00000000000x.jsonl",
        "other.jsonl",
        "trent-20261121T174501Z-000000000001.json",
    };
    char path[FILE_PATH_MAX];
    char name[AUDIT_NAME_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(file_join(path, f->dir, names[i]));
        fixture_write(path, BYTES_LIT(""));
    }
    assert_int_equal(audit_files_list(f->dir, &files, NULL), KMS_OK);
    assert_int_equal(files.n, 3);
    assert_int_equal(files.list[0].first, 900);
    assert_int_equal(files.list[1].first, 1000);
    assert_int_equal(files.list[2].first, INT64_C(1000000000000));
    audit_file_name(name, files.list[0].time, files.list[0].first);
    assert_string_equal(name, names[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_link_reads_as_it_was_written),
        cmocka_unit_test(test_a_changed_link_is_another_link_or_none),
        cmocka_unit_test(test_only_one_spelling_of_a_link),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_reads_as_it_was_written, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_no_bit_of_a_checkpoint_can_change, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_signature_is_of_one_key, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_the_public_key_file_reads_back, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_file_names_sort_by_number, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
