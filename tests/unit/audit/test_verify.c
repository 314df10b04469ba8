/* tests/unit/audit/test_verify.c - what verification finds, and that it finds no more than there is
 * (trust-model 5.7). TRENT_TEST_LONG=1 makes 10,000 edits instead of 1,000; TRENT_TEST_SEED repeats a
 * run. */
#include "log_edit.h"

#include <inttypes.h>
#include <unistd.h>

struct logs {
    struct fixture  *f;     /* where the edited log is stored, too */
    struct fixture  *other; /* another node */
    struct log_image honest;
    struct log_image foreign;
    char             witness[128];
};

/* Until the housekeeping has put a checkpoint behind the last record. */
static void wait_for_checkpoint(struct fixture *f)
{
    struct audit_counts c = { .seq = 1 };

    for (int tries = 0; tries < 150000 && c.checkpoint_seq != c.seq; tries++) {
        (void)usleep(200);
        audit_counts(f->audit, &c);
    }
    assert_int_equal(c.checkpoint_seq, c.seq);
}

static void wait_for_next_file(struct fixture *f)
{
    size_t files = fixture_files(f);

    assert_true(clock_advance(f->clock, 2 * 3600 * 1000));
    for (int tries = 0; tries < 60000 && fixture_files(f) == files; tries++)
        (void)usleep(1000);
    assert_int_equal(fixture_files(f), files + 1);
}

static void append_receipt(struct fixture *f)
{
    struct audit_receipt            r = { .time = 5,
                                          .key_arn = BYTES_LIT("arn:aws:kms:r:1:key/k"),
                                          .reason = "api",
                                          .slot_class = "erasable",
                                          .grade = "B",
                                          .filesystem = "ext4" };
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);

    assert_int_equal(audit_receipt_write(f->audit, &r, &text, NULL), KMS_OK);
    struct bytes event = buf_bytes(&text);
    assert_int_equal(audit_append(f->audit, &event, 1, true, true, NULL), KMS_OK);
}

/* Four files with a checkpoint every ten records, one of them with a receipt. */
static void write_log(struct fixture *f)
{
    f->config.limits.checkpoint_records = 10;
    fixture_open(f);
    for (int i = 0; i < 4; i++) {
        for (int n = 0; n < 3; n++) {
            fixture_append(f, 10, false);
            wait_for_checkpoint(f);
        }
        if (i == 1)
            append_receipt(f);
        if (i < 3)
            wait_for_next_file(f);
    }
    fixture_close(f);
}

static int logs_setup(void **state)
{
    static const uint8_t other_node[16] = { 0xab, 0xcd, 0xef, 0x02 };
    struct logs         *l = calloc(1, sizeof *l);
    void                *f = NULL;

    assert_non_null(l);
    (void)fixture_setup(&f);
    l->f = f;
    (void)fixture_setup(&f);
    l->other = f;
    l->other->config.node = other_node;
    write_log(l->f);
    write_log(l->other);
    log_load(&l->honest, l->f->dir);
    log_load(&l->foreign, l->other->dir);
    assert_true(l->honest.n == 4 && l->foreign.n == 4);
    (void)snprintf(l->witness, sizeof l->witness, "%s/witness", l->f->home);
    fixture_write(l->witness, log_last_checkpoint(&l->honest));
    *state = l;
    return 0;
}

static int logs_teardown(void **state)
{
    struct logs *l = *state;
    void        *f = l->f;
    int          failed = fixture_teardown(&f);

    f = l->other;
    failed |= fixture_teardown(&f);
    log_release(&l->honest);
    log_release(&l->foreign);
    free(l);
    return failed;
}

static struct audit_report verify(const struct logs *l, bool witness, bool allow_tail)
{
    struct audit_verify_options o = { .dir = l->f->dir,
                                      .to = UINT64_MAX,
                                      .allow_tail = allow_tail,
                                      .witness_file = witness ? l->witness : NULL };
    struct audit_report         r;

    audit_verify(&o, &r);
    return r;
}

static struct audit_report verify_range(const struct logs *l, uint64_t from, uint64_t to)
{
    struct audit_verify_options o = { .dir = l->f->dir, .from = from, .to = to };
    struct audit_report         r;

    audit_verify(&o, &r);
    return r;
}

/* --- honest logs ---------------------------------------------------------------------------------------------- */

static void test_an_honest_log_is_good(void **state)
{
    struct logs        *l = *state;
    struct audit_report r = verify(l, true, false);

    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.receipts, 1);
    assert_int_equal(r.records, r.head_seq);
    assert_int_equal(r.records - r.checkpoints - r.receipts, 120);
    assert_int_equal(r.checkpoint_seq, r.head_seq);
    assert_int_equal(r.first_bad_seq, 0);
    assert_string_equal(r.why, "");
}

static void test_a_range_needs_no_earlier_files(void **state)
{
    struct logs *l = *state;
    char         path[FILE_PATH_MAX];

    struct audit_report all = verify(l, false, false);
    struct audit_report r = verify_range(l, 40, 80);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.records, 41);
    assert_true(r.head_seq < all.head_seq); /* stopped at the checkpoint that covers it */

    fixture_file(l->f, 0, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(l, false, false).verdict, AUDIT_INCOMPLETE);
    assert_verdict(verify_range(l, 50, UINT64_MAX), AUDIT_GOOD);
    assert_int_equal(verify_range(l, 10000, UINT64_MAX).verdict, AUDIT_INCOMPLETE);
    assert_int_equal(verify_range(l, 50, 20).verdict, AUDIT_UNUSABLE);
}

static void test_a_running_server_has_a_tail(void **state)
{
    struct logs *l = *state;

    l->f->config.limits.checkpoint_records = 1000;
    fixture_open(l->f);
    fixture_append(l->f, 7, false);
    struct audit_report r = verify(l, false, false);
    assert_int_equal(r.verdict, AUDIT_INCOMPLETE);
    assert_int_equal(r.tail, 7);
    assert_non_null(strstr(r.why, "7 records"));
    r = verify(l, true, true);
    assert_verdict(r, AUDIT_GOOD);
    assert_int_equal(r.tail, 7);
}

static void test_a_tail_has_an_end(void **state)
{
    struct logs                    *l = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct bytes                    events[100];

    l->f->config.limits.checkpoint_records = 1000000;
    fixture_open(l->f);
    fixture_event(l->f, &text);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        events[i] = buf_bytes(&text);
    for (int i = 0; i < AUDIT_TAIL_MAX / 100; i++)
        assert_int_equal(audit_append(l->f->audit, events, 100, false, false, NULL), KMS_OK);
    assert_verdict(verify(l, false, true), AUDIT_GOOD);
    fixture_append(l->f, 1, false);
    assert_verdict(verify(l, false, true), AUDIT_INCOMPLETE);
}

static void test_nothing_there_is_not_good(void **state)
{
    void *f = NULL;

    (void)state;
    (void)fixture_setup(&f);
    struct fixture *empty = f;
    assert_int_equal(fixture_verify(empty).verdict, AUDIT_INCOMPLETE);
    /* records, but no checkpoint: nothing is vouched for, tail or not */
    fixture_open(empty);
    fixture_append(empty, 3, false);
    struct audit_verify_options o = { .dir = empty->dir, .to = UINT64_MAX, .allow_tail = true };
    struct audit_report         r;
    audit_verify(&o, &r);
    assert_int_equal(r.verdict, AUDIT_INCOMPLETE);
    o.dir = "/nonexistent";
    audit_verify(&o, &r);
    assert_int_equal(r.verdict, AUDIT_UNUSABLE);
    assert_int_equal(fixture_teardown(&f), 0);
}

/* --- tampered logs --------------------------------------------------------------------------------------------- */

/* Verifies the edited log without and with the witness, and puts the honest one back. Without, a
 * shorter log passes, and nothing else. */
static struct audit_report judge(struct logs *l, struct log_image *edited)
{
    log_store(edited, l->f->dir);
    struct audit_report alone = verify(l, false, false);
    struct audit_report r = verify(l, true, false);
    log_store(&l->honest, l->f->dir);
    if (log_is_shorter(edited, &l->honest))
        assert_verdict(alone, AUDIT_GOOD);
    else if (alone.verdict == AUDIT_GOOD)
        r = alone;
    return r;
}

static void test_single_edits_are_found(void **state)
{
    struct logs     *l = *state;
    const char      *seed_text = getenv("TRENT_TEST_SEED");
    uint64_t         seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : 20261121;
    uint64_t         random = seed;
    unsigned         edits = getenv("TRENT_TEST_LONG") != NULL ? 10000 : 1000;
    unsigned         made[LOG_EDIT_COUNT] = { 0 };
    unsigned         missed = 0;
    struct log_image edited = { .n = 0 };

    for (unsigned i = 0; i < edits; i++) {
        enum log_edit edit = (enum log_edit)(i % LOG_EDIT_COUNT);
        do {
            log_copy(&edited, &l->honest);
            log_edit(&edited, &l->foreign, edit, &random);
        } while (log_same(&edited, &l->honest));
        struct audit_report r = judge(l, &edited);
        made[edit]++;
        if (r.verdict != AUDIT_TAMPERED && r.verdict != AUDIT_INCOMPLETE) {
            missed++;
            print_message("# edit %u (%s) was found %s\n", i, log_edit_names[edit],
                          audit_verdict_name(r.verdict));
        }
        /* what lies before the last checkpoint is not merely missing: somebody changed it */
        if (edit == EDIT_REHASH || edit == EDIT_RESIGN || edit == EDIT_SPLICE || edit == EDIT_SWAP)
            assert_verdict(r, AUDIT_TAMPERED);
        if (r.verdict == AUDIT_TAMPERED)
            assert_true(r.first_bad_seq > 0 && r.why[0] != '\0');
    }
    print_message("# seed %" PRIu64 ", %u edits, %u missed\n", seed, edits, missed);
    for (size_t e = 0; e < LOG_EDIT_COUNT; e++)
        assert_true(made[e] > 0);
    assert_int_equal(missed, 0);
    assert_verdict(verify(l, true, false), AUDIT_GOOD); /* no false alarm at the end of it all */
    log_release(&edited);
}

/* Every bit of the last two records: nothing behind them repeats their hash. */
static void test_the_last_records_are_as_safe(void **state)
{
    struct logs     *l = *state;
    struct log_image edited = { .n = 0 };
    struct log_file *file = &l->honest.files[l->honest.n - 1];
    size_t           n = log_lines(file);
    size_t           from = (size_t)(log_line(file, n - 2).ptr - file->text.ptr);

    for (size_t at = from; at < file->text.len; at++) {
        log_copy(&edited, &l->honest);
        edited.files[l->honest.n - 1].text.ptr[at] ^= (uint8_t)(1u << at % 8);
        if (judge(l, &edited).verdict == AUDIT_GOOD)
            fail_msg("byte %zu of '%s'", at, file->name);
    }
    log_release(&edited);
}

static void test_the_reason_is_named(void **state)
{
    struct logs     *l = *state;
    struct log_image edited = { .n = 0 };
    struct bytes     line;

    /* a record in the middle of the second file */
    struct log_file *file = &l->honest.files[1];
    line = log_line(file, 5);
    struct audit_link link;
    assert_true(audit_link_parse(bytes_of(line.ptr, line.len - 1), &link));
    size_t at = (size_t)(line.ptr - file->text.ptr);

    log_copy(&edited, &l->honest);
    edited.files[1].text.ptr[at + 100] ^= 1;
    struct audit_report r = judge(l, &edited);
    assert_verdict(r, AUDIT_TAMPERED);
    assert_int_equal(r.first_bad_seq, link.seq + 1); /* where the hash no longer fits */
    assert_non_null(strstr(r.why, "hash"));
    assert_non_null(strstr(r.why, file->name));
    assert_non_null(strstr(r.why, "line 7"));

    log_copy(&edited, &l->honest);
    memmove(edited.files[1].text.ptr + at, edited.files[1].text.ptr + at + line.len,
            edited.files[1].text.len - at - line.len);
    edited.files[1].text.len -= line.len;
    r = judge(l, &edited);
    assert_verdict(r, AUDIT_TAMPERED);
    assert_int_equal(r.first_bad_seq, link.seq);
    assert_non_null(strstr(r.why, "gap"));
    log_release(&edited);
}

static void test_a_cut_off_end_needs_a_witness(void **state)
{
    struct logs     *l = *state;
    struct log_image edited = { .n = 0 };

    /* the last file is gone: what is left ends with a checkpoint, like any shorter log */
    log_copy(&edited, &l->honest);
    edited.files[3].gone = true;
    log_store(&edited, l->f->dir);
    assert_verdict(verify(l, false, false), AUDIT_GOOD);
    struct audit_report r = verify(l, true, false);
    assert_verdict(r, AUDIT_TAMPERED);
    assert_non_null(strstr(r.why, "witness"));
    log_release(&edited);
}

static void test_a_missing_file_is_incomplete(void **state)
{
    struct logs     *l = *state;
    struct log_image edited = { .n = 0 };

    log_copy(&edited, &l->honest);
    edited.files[1].gone = true;
    struct audit_report r = judge(l, &edited);
    assert_verdict(r, AUDIT_INCOMPLETE);
    assert_non_null(strstr(r.why, "missing"));
    /* and what was done to the rest still counts for more */
    log_copy(&edited, &l->honest);
    edited.files[1].gone = true;
    edited.files[3].text.ptr[200] ^= 1;
    assert_verdict(judge(l, &edited), AUDIT_TAMPERED);
    log_release(&edited);
}

static void test_another_key_does_not_fit(void **state)
{
    struct logs                    *l = *state;
    CLEANUP(buf_release) struct buf pem = BUF_INIT(4096);
    uint8_t                         key[32];
    char                            path[FILE_PATH_MAX];

    memcpy(key, fixture_public_key, sizeof key);
    key[0] ^= 1;
    audit_public_key_pem(&pem, key);
    assert_true(file_join(path, l->f->home, "other.pub"));
    fixture_write(path, buf_bytes(&pem));
    struct audit_verify_options o = { .dir = l->f->dir, .to = UINT64_MAX, .public_key_file = path };
    struct audit_report         r;
    audit_verify(&o, &r);
    assert_verdict(r, AUDIT_TAMPERED);
    assert_non_null(strstr(r.why, "signature"));
}

/* --- witnesses ----------------------------------------------------------------------------------------------- */

static void test_a_witness_file_may_hold_many(void **state)
{
    struct logs                    *l = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
    enum audit_kind                 kind;

    for (size_t f = 0; f < l->honest.n; f++) {
        for (size_t i = 0; i < log_lines(&l->honest.files[f]); i++) {
            struct bytes line = log_line(&l->honest.files[f], i);
            if (audit_kind_of(line, &kind) && kind == AUDIT_KIND_CHECKPOINT)
                for (size_t copies = 0; copies <= f; copies++) /* saved more than once */
                    buf_add(&text, line);
        }
    }
    fixture_write(l->witness, buf_bytes(&text));
    assert_verdict(verify(l, true, false), AUDIT_GOOD);
    buf_add(&text, log_line(&l->honest.files[0], 0)); /* not a checkpoint */
    fixture_write(l->witness, buf_bytes(&text));
    assert_verdict(verify(l, true, false), AUDIT_UNUSABLE);
    fixture_write(l->witness, BYTES_LIT("\n\n"));
    assert_verdict(verify(l, true, false), AUDIT_UNUSABLE);
}

static void test_a_witness_of_another_history(void **state)
{
    struct logs *l = *state;
    void        *f = NULL;
    char         path[128];

    /* the same node and key, but other records: a restored disk, say */
    (void)fixture_setup(&f);
    write_log(f);
    struct log_image image;
    log_load(&image, ((struct fixture *)f)->dir);
    (void)snprintf(path, sizeof path, "%s/witness", l->f->home);
    fixture_write(path, log_last_checkpoint(&image));
    struct audit_report r = verify(l, true, false);
    assert_verdict(r, AUDIT_TAMPERED);
    assert_non_null(strstr(r.why, "witness mismatch"));
    log_release(&image);
    assert_int_equal(fixture_teardown(&f), 0);
}

#define WITH_LOGS(test) cmocka_unit_test_setup_teardown(test, logs_setup, logs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOGS(test_an_honest_log_is_good),
        WITH_LOGS(test_a_range_needs_no_earlier_files),
        WITH_LOGS(test_a_running_server_has_a_tail),
        WITH_LOGS(test_a_tail_has_an_end),
        WITH_LOGS(test_nothing_there_is_not_good),
        WITH_LOGS(test_single_edits_are_found),
        WITH_LOGS(test_the_last_records_are_as_safe),
        WITH_LOGS(test_the_reason_is_named),
        WITH_LOGS(test_a_cut_off_end_needs_a_witness),
        WITH_LOGS(test_a_missing_file_is_incomplete),
        WITH_LOGS(test_another_key_does_not_fit),
        WITH_LOGS(test_a_witness_file_may_hold_many),
        WITH_LOGS(test_a_witness_of_another_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
