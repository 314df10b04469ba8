/* tests/unit/jobs/test_cold.c - what falls due of keys that are not in memory, when they cannot be read: one that there
 * is no memory for comes again, one that is damaged keeps nobody from starting, and none is taken for gone. */
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

enum { HOUR = 60 * 60 * 1000, KEYS = 3, RETRY_MS = 10 * 1000 };

/* The real store, but for keys that cannot be read. */
static const struct store_ops *real;
static enum kms_status         fails;
static uint64_t                fails_at; /* the serial, 0: all */

struct site {
    char                  dir[64], data[96];
    struct instance_paths paths;
    struct clock         *clock;
    struct epoch         *epoch;
    struct directory     *directory;
    struct identity_book *book;
    struct vault         *vault;
    struct store         *store;
    struct store_ops      ops;
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

static enum kms_status find_key(struct store *store, const struct key_want *want,
                                struct stored_key *ret, struct kms_error *reterr)
{
    TRY(real->find_key(store, want, ret, reterr));
    if (fails == KMS_OK || (fails_at != 0 && ret->row != fails_at))
        return KMS_OK;
    key_record_free(ret->key);
    ret->key = NULL;
    return KMS_FAIL(reterr, fails, "row %llu cannot be read", (unsigned long long)ret->row);
}

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
    real = s->store->ops;
    s->ops = *real;
    s->ops.find_key = find_key;
    s->store->ops = &s->ops;
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
                             .clock = s->clock,
                             .usage_flush = HOUR };
    s->jobs = jobs_new(&jp);
    struct committer_parts cp = { .store = s->store,
                                  .audit = s->audit,
                                  .vault = s->vault,
                                  .directory = s->directory,
                                  .identities = s->book,
                                  .epoch = s->epoch,
                                  .clock = s->clock,
                                  .changed = jobs_key_changed,
                                  .changed_ctx = s->jobs,
                                  .cached_keys = 1 };
    s->committer = committer_new(&cp);
    assert_true(s->jobs != NULL && s->committer != NULL);
    jobs_set_committer(s->jobs, s->committer);
    ok(s, commit_recover(s->committer, &head, &found, &s->err));
    ok(s, committer_start(s->committer, &s->err));
    jobs_load(s->jobs);
}

static void close_site(struct site *s)
{
    jobs_stop(s->jobs);
    committer_stop(s->committer);
    audit_close(s->audit);
    s->store->ops = real;
    store_close(s->store);
    committer_free(s->committer);
    jobs_free(s->jobs);
    vault_close(s->vault);
    directory_free(s->directory);
    identity_book_free(s->book);
    epoch_free(s->epoch);
}

/* Waits for its deletion, for an hour. */
static void add(struct site *s, unsigned number)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    struct key_record                    *k = key_record_new();
    char                                  id[16];

    assert_non_null(k);
    (void)snprintf(id, sizeof id, "key-%u", number);
    key_record_set_name(k, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"), bytes_str(id));
    k->version = 1;
    k->state = KEY_PENDING_DELETION;
    k->deletion_date = clock_now(s->clock) + HOUR;
    change_add(&change, ROW_KEY_INSERT)->key = k;
    ok(s, commit_wait(s->committer, &change, false, NULL, &s->err));
}

static int setup(void **state)
{
    struct site           *s = calloc(1, sizeof *s);
    struct instance_result made;

    assert_non_null(s);
    fails = KMS_OK;
    fails_at = 0;
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
    for (unsigned i = 1; i <= KEYS; i++)
        add(s, i);
    close_site(s);
    open_site(s); /* all of them are cold */
    assert_true(clock_advance(s->clock, HOUR));
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

static size_t run_due(struct site *s)
{
    size_t done = 0;

    ok(s, jobs_run_due(s->jobs, &done, &s->err));
    return done;
}

static size_t keys(struct site *s)
{
    return directory_counts(s->directory).keys;
}

static void test_as_it_should_be(void **state)
{
    struct site *s = *state;

    assert_int_equal(run_due(s), KEYS);
    assert_int_equal(keys(s), 0);
}

static void test_no_memory(void **state)
{
    struct site         *s = *state;
    struct commit_counts n;

    fails = KMS_E_MEMORY;
    assert_int_equal(run_due(s), 0);
    assert_int_equal(keys(s), KEYS);
    fails = KMS_OK;
    assert_int_equal(run_due(s), 0);
    assert_true(clock_advance(s->clock, RETRY_MS));
    assert_int_equal(run_due(s), KEYS);
    assert_int_equal(keys(s), 0);
    commit_counts(s->committer, &n);
    assert_int_equal(n.unreadable, 0);
}

/* It is told, and the others are served. */
static void test_damaged(void **state)
{
    struct site         *s = *state;
    struct commit_counts n;

    fails = KMS_E_INTERNAL;
    fails_at = 2;
    assert_int_equal(run_due(s), KEYS - 1);
    assert_int_equal(keys(s), 1);
    commit_counts(s->committer, &n);
    assert_int_equal(n.unreadable, 1);
    fails = KMS_OK;
    assert_true(clock_advance(s->clock, RETRY_MS));
    assert_int_equal(run_due(s), 1);
    assert_int_equal(keys(s), 0);
}

#define IN_SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = {
        IN_SITE(test_as_it_should_be),
        IN_SITE(test_no_memory),
        IN_SITE(test_damaged),
    };

    if (secret_memory_init(false, &err) != KMS_OK || crypto_init(&err) != KMS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
