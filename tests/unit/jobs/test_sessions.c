/* tests/unit/jobs/test_sessions.c - sessions are removed some time after their end, many in one change,
 * and after a restart too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "folder.h"
#include "instance/instance.h"
#include "jobs/jobs.h"
#include "store/sqlite/sqlite.h"

enum { HOUR = 60 * 60 * 1000, KEPT = 15 * 60 * 1000, MANY = 400 /* more than one change takes */ };

struct site {
    char                  dir[64], data[96];
    struct instance_paths paths;
    struct clock         *clock;
    struct epoch         *epoch;
    struct directory     *directory;
    struct identity_book *book;
    struct vault         *vault;
    struct store         *store;
    struct audit         *audit;
    struct jobs          *jobs;
    struct committer     *committer;
    struct kms_error      err;
};

#define ok(s, call)                                                                                \
    do {                                                                                           \
        if ((call) != KMS_OK)                                                                      \
            fail_msg("%s: %s", #call, (s)->err.detail);                                            \
    } while (0)

static void open_files(struct site *s, struct audit_head *head)
{
    struct store_meta   meta;
    struct vault_config vc = { .data_dir = s->data,
                               .root_key_file = s->paths.root_key,
                               .allow_grade_c = true,
                               .clock = s->clock,
                               .epoch = s->epoch };

    ok(s, store_sqlite_peek(s->paths.database, &meta, &s->err));
    ok(s, vault_open(&vc, meta.slot_generation, &s->vault, &s->err));
    ok(s, store_sqlite_open(s->paths.database, meta.instance_id, vault_row_mac, s->vault, &s->store,
                            &s->err));
    struct audit_config ac = { .dir = s->paths.audit,
                               .node = vault_instance_id(s->vault),
                               .clock = s->clock,
                               .sign = vault_audit_sign,
                               .sign_ctx = s->vault };
    vault_audit_public_key(s->vault, ac.public_key);
    ok(s, audit_open(&ac, &s->audit, head, &s->err));
}

static void open_site(struct site *s)
{
    const struct identity_compilers with = { authz_identity_compiler, authz_trust_compiler };
    struct audit_head               head;
    struct commit_recovery          found;

    s->epoch = epoch_new();
    s->directory = directory_new(s->epoch, 1);
    s->book = identity_book_new(s->epoch, 1, &with);
    open_files(s, &head);
    struct jobs_parts jp = { .directory = s->directory,
                             .identities = s->book,
                             .vault = s->vault,
                             .epoch = s->epoch,
                             .clock = s->clock };
    s->jobs = jobs_new(&jp);
    struct committer_parts cp = { .store = s->store,
                                  .audit = s->audit,
                                  .vault = s->vault,
                                  .directory = s->directory,
                                  .identities = s->book,
                                  .epoch = s->epoch,
                                  .clock = s->clock,
                                  .session_added = jobs_session_added,
                                  .changed_ctx = s->jobs };
    s->committer = committer_new(&cp);
    assert_true(s->jobs != NULL && s->committer != NULL);
    jobs_set_committer(s->jobs, s->committer);
    ok(s, commit_recover(s->committer, &head, &found, &s->err));
    ok(s, committer_start(s->committer, &s->err));
    jobs_load(s->jobs);
}

static void close_site(struct site *s)
{
    committer_stop(s->committer);
    audit_close(s->audit);
    store_close(s->store);
    committer_free(s->committer);
    jobs_free(s->jobs);
    vault_close(s->vault);
    directory_free(s->directory);
    identity_book_free(s->book);
    epoch_free(s->epoch);
}

static int setup(void **state)
{
    struct site           *s = calloc(1, sizeof *s);
    struct instance_result made;

    assert_non_null(s);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/trent-jobs-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    struct instance_config config = { .data_dir = s->data,
                                      .account = "111122223333",
                                      .development = true };
    ok(s, instance_create(&config, &made, &s->err));
    instance_result_wipe(&made);
    ok(s, instance_paths(s->data, NULL, &s->paths, &s->err));
    s->clock = clock_new(0);
    open_site(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;

    close_site(s);
    clock_free(s->clock);
    (void)folder_remove(s->dir);
    free(s);
    return 0;
}

static void add(struct site *s, unsigned number, int64_t lasts_ms, enum session_kind kind)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    struct access_key_record             *k = access_key_record_new();
    char                                  id[24];

    assert_non_null(k);
    (void)snprintf(id, sizeof id, "ASIA%016u", number);
    k->id = arena_copy(k->arena, bytes_str(id));
    k->account = arena_copy(k->arena, BYTES_LIT("111122223333"));
    k->principal_id = k->account;
    k->wrapped_secret = arena_copy(k->arena, BYTES_LIT("wrapped"));
    k->root = k->active = true;
    k->version = 1;
    k->session.kind = kind;
    k->session.expires = kind == SESSION_NONE ? 0 : clock_now(s->clock) + lasts_ms;
    change_add(&change, ROW_ACCESS_KEY_INSERT)->access_key = k;
    ok(s, commit_wait(s->committer, &change, false, NULL, &s->err));
}

static size_t run_due(struct site *s)
{
    size_t done = 0;

    ok(s, jobs_run_due(s->jobs, &done, &s->err));
    return done;
}

static size_t sessions(struct site *s)
{
    return book_counts(s->book).sessions;
}

static void test_removed_after_their_end(void **state)
{
    struct site         *s = *state;
    struct commit_counts before, after;

    for (unsigned i = 0; i < MANY; i++)
        add(s, i, HOUR, SESSION_ROOT);
    add(s, MANY, 3 * HOUR, SESSION_ROOT);
    add(s, MANY + 1, 0, SESSION_NONE); /* a long-term key stays */
    assert_int_equal(run_due(s), 0);
    assert_true(clock_advance(s->clock, HOUR + KEPT - 60 * 1000));
    assert_int_equal(run_due(s), 0); /* ended, and still there to be told so */
    assert_int_equal(sessions(s), MANY + 1);
    assert_true(clock_advance(s->clock, 60 * 1000));
    commit_counts(s->committer, &before);
    assert_int_equal(run_due(s), MANY);
    commit_counts(s->committer, &after);
    assert_int_equal(after.changes - before.changes, 3); /* 400 of at most 192 */
    assert_int_equal(sessions(s), 1);
    assert_int_equal(book_sessions_of(s->book, BYTES_LIT("111122223333")), 1);
    assert_int_equal(book_counts(s->book).access_keys, 2); /* with the first account's */
    struct jobs_counts counts;
    jobs_counts(s->jobs, &counts);
    assert_int_equal(counts.sessions, MANY);
}

static void test_after_a_restart(void **state)
{
    struct site *s = *state;

    add(s, 1, HOUR, SESSION_ROOT);
    close_site(s);
    open_site(s);
    assert_int_equal(sessions(s), 1);
    assert_true(clock_advance(s->clock, HOUR + KEPT));
    assert_int_equal(run_due(s), 1);
    assert_int_equal(sessions(s), 0);
    close_site(s);
    open_site(s);
    assert_int_equal(sessions(s), 0); /* from the database too */
}

/* Somebody else removed it: nothing is left to do. */
static void test_gone_before(void **state)
{
    struct site                          *s = *state;
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };

    add(s, 1, HOUR, SESSION_ROOT);
    struct row *gone = change_add(&change, ROW_ACCESS_KEY_DELETE);
    gone->access_key = access_key_record_clone(
        book_access_key(s->book, BYTES_LIT("ASIA0000000000000001")));
    gone->expected_version = 1;
    ok(s, commit_wait(s->committer, &change, true, NULL, &s->err));
    assert_true(clock_advance(s->clock, HOUR + KEPT));
    assert_int_equal(run_due(s), 1);
    struct jobs_counts counts;
    jobs_counts(s->jobs, &counts);
    assert_int_equal(counts.sessions, 0);
}

/* While the time is in doubt nothing is erased. */
static void test_doubtful_clock(void **state)
{
    struct site *s = *state;

    add(s, 1, HOUR, SESSION_ROOT);
    assert_true(clock_advance(s->clock, HOUR + KEPT));
    clock_doubt(s->clock);
    assert_int_equal(run_due(s), 0);
    assert_int_equal(sessions(s), 1);
    struct jobs_counts counts;
    jobs_counts(s->jobs, &counts);
    assert_int_equal(counts.put_off, 1);
}

#define IN_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = {
        IN_SITE(test_removed_after_their_end),
        IN_SITE(test_after_a_restart),
        IN_SITE(test_gone_before),
        IN_SITE(test_doubtful_clock),
    };

    if (secret_memory_init(false, &err) != KMS_OK || crypto_init(&err) != KMS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
