/* tests/unit/instance/test_instance.c - making a data directory, and holding it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "folder.h"
#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "instance/instance.h"
#include "store/sqlite/sqlite.h"
#include "vault/vault.h"

struct place {
    char                  home[64];
    char                  data[128];
    struct instance_paths paths;
};

static int setup(void **state)
{
    static bool   ready;
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    if (!ready) {
        assert_int_equal(secret_memory_init(true, NULL), KMS_OK);
        assert_int_equal(crypto_init(NULL), KMS_OK);
    }
    ready = true;
    (void)snprintf(p->home, sizeof p->home, "/tmp/trent-instance-XXXXXX");
    assert_non_null(mkdtemp(p->home));
    (void)snprintf(p->data, sizeof p->data, "%s/data", p->home);
    assert_int_equal(instance_paths(p->data, NULL, &p->paths, NULL), KMS_OK);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    int           failed = folder_remove(p->home);

    free(p);
    return failed;
}

static struct instance_config config_of(const struct place *p)
{
    return (struct instance_config){ .data_dir = p->data,
                                     .account = "111122223333",
                                     .access_key_id = "test",
                                     .secret_access_key = "test",
                                     .audit_reserve_bytes = 65536 };
}

static void create(const struct place *p, struct instance_result *ret)
{
    struct instance_config config = config_of(p);
    struct kms_error       err;

    if (instance_create(&config, ret, &err) != KMS_OK)
        fail_msg("%s", err.detail);
}

/* --- what is in it -------------------------------------------------------------------------------------- */

struct contents {
    unsigned                  accounts, access_keys, others;
    struct access_key_record *key;
};

static enum kms_status count_account(void *ctx, struct account_record *a, struct kms_error *reterr)
{
    struct contents *c = ctx;

    (void)reterr;
    assert_string_equal(a->id, "111122223333");
    c->accounts++;
    free(a);
    return KMS_OK;
}

static enum kms_status count_access_key(void *ctx, struct access_key_record *k,
                                        struct kms_error *reterr)
{
    struct contents *c = ctx;

    (void)reterr;
    c->access_keys++;
    access_key_record_free(c->key);
    c->key = k;
    return KMS_OK;
}

static enum kms_status count_outbox(void *ctx, uint64_t serial, struct bytes event,
                                    struct kms_error *reterr)
{
    (void)serial;
    (void)event;
    (void)reterr;
    ((struct contents *)ctx)->others++;
    return KMS_OK;
}

static void test_the_first_account_is_in_the_database(void **state)
{
    struct place              *p = *state;
    struct instance_result     made;
    struct store_meta          meta;
    struct store              *store = NULL;
    struct vault              *v = NULL;
    struct kms_error           err;
    struct contents            c = { .accounts = 0 };
    struct epoch              *epoch = epoch_new();
    struct clock              *clock = clock_new(0);
    struct vault_config        vc = { .data_dir = p->data,
                                      .root_key_file = p->paths.root_key,
                                      .allow_grade_c = true,
                                      .clock = clock,
                                      .epoch = epoch };
    const struct store_visitor visitor = {
        .ctx = &c, .account = count_account, .access_key = count_access_key, .outbox = count_outbox
    };

    create(p, &made);
    assert_string_equal(made.access_key_id, "test");
    assert_string_equal(made.secret_access_key, "test");
    assert_int_equal(store_sqlite_peek(p->paths.database, &meta, &err), KMS_OK);
    assert_int_equal(vault_open(&vc, meta.slot_generation, &v, &err), KMS_OK);
    assert_memory_equal(meta.instance_id, vault_instance_id(v), 16);
    assert_int_equal(
        store_sqlite_open(p->paths.database, meta.instance_id, vault_row_mac, v, &store, &err),
        KMS_OK);
    assert_int_equal(store->ops->load(store, &visitor, &err), KMS_OK);
    assert_int_equal(c.accounts, 1);
    assert_int_equal(c.access_keys, 1);
    assert_int_equal(c.others, 0);
    assert_true(bytes_eq_str(c.key->id, "test"));
    assert_true(bytes_eq_str(c.key->account, "111122223333"));
    assert_true(bytes_eq_str(c.key->principal_id, "111122223333"));
    assert_true(c.key->active && c.key->root && c.key->session.kind == SESSION_NONE);
    access_key_record_free(c.key);
    store_close(store);
    vault_close(v);
    epoch_free(epoch);
    clock_free(clock);
}

static void test_the_audit_begins_with_it(void **state)
{
    struct place               *p = *state;
    struct instance_result      made;
    struct audit_verify_options o = { .dir = p->paths.audit, .to = UINT64_MAX };
    struct audit_report         r;

    create(p, &made);
    audit_verify(&o, &r);
    if (r.verdict != AUDIT_GOOD)
        fail_msg("%s", r.why);
    assert_int_equal(r.records, 2); /* the creation, and the checkpoint that signs it */
}

static void test_a_directory_that_was_not_finished(void **state)
{
    struct place          *p = *state;
    struct instance_result made;
    struct instance_config config = config_of(*state);
    struct kms_error       err;

    /* as if the power had gone before the database was complete */
    create(p, &made);
    assert_int_equal(unlink(p->paths.database), 0);
    assert_int_equal(instance_create(&config, &made, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "instance.sealed' exists already"));
}

static void test_bad_accounts(void **state)
{
    static const char *const bad[] = { "", "12345678901", "1234567890123", "12345678901x",
                                       "-12345678901" };
    struct instance_config   config = config_of(*state);
    struct instance_result   made;
    struct kms_error         err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        config.account = bad[i];
        assert_int_equal(instance_create(&config, &made, &err), KMS_E_VALIDATION);
    }
    assert_int_not_equal(access(config.data_dir, F_OK), 0); /* nothing was made */
}

static void test_generated_keys_differ(void **state)
{
    struct place          *p = *state;
    struct instance_config config = config_of(*state);
    struct instance_result one;
    struct instance_result two;
    char                   other[160];
    struct kms_error       err;

    config.access_key_id = config.secret_access_key = NULL;
    assert_int_equal(instance_create(&config, &one, &err), KMS_OK);
    (void)snprintf(other, sizeof other, "%s-2", p->data);
    config.data_dir = other;
    assert_int_equal(instance_create(&config, &two, &err), KMS_OK);
    assert_string_not_equal(one.access_key_id, two.access_key_id);
    assert_string_not_equal(one.secret_access_key, two.secret_access_key);
    assert_int_equal(strlen(one.access_key_id), 20);
    assert_int_equal(strlen(one.secret_access_key), 40);
    instance_result_wipe(&one);
    assert_string_equal(one.secret_access_key, "");
}

/* --- holding it -------------------------------------------------------------------------------------------- */

static void test_one_holder_at_a_time(void **state)
{
    struct place       *p = *state;
    CLEANUP(closep) int first = -1;
    int                 second = -1;
    struct kms_error    err;
    char                pid[32];

    assert_int_equal(instance_make_directory(&p->paths, &err), KMS_OK);
    assert_int_equal(instance_lock(&p->paths, &first, &err), KMS_OK);
    assert_int_equal(instance_lock(&p->paths, &second, &err), KMS_E_INTERNAL);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.detail, pid));
    closep(&first);
    assert_int_equal(instance_lock(&p->paths, &second, &err), KMS_OK);
    closep(&second);
}

static void test_a_dead_holder_holds_nothing(void **state)
{
    struct place       *p = *state;
    CLEANUP(closep) int fd = -1;
    struct kms_error    err;

    assert_int_equal(instance_make_directory(&p->paths, &err), KMS_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(instance_lock(&p->paths, &fd, &err) == KMS_OK ? 0 : 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(instance_lock(&p->paths, &fd, &err), KMS_OK);
}

static void test_paths(void **state)
{
    struct instance_paths paths;
    struct kms_error      err;
    char                  longest[FILE_PATH_MAX + 1];

    (void)state;
    assert_int_equal(instance_paths("/d", NULL, &paths, &err), KMS_OK);
    assert_string_equal(paths.root_key, "/d/root.key");
    assert_string_equal(paths.database, "/d/trent.db");
    assert_string_equal(paths.socket, "/d/trent.sock");
    assert_int_equal(instance_paths("/d", "/k/root", &paths, &err), KMS_OK);
    assert_string_equal(paths.root_key, "/k/root");
    assert_int_equal(instance_paths("", NULL, &paths, &err), KMS_E_INTERNAL);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(instance_paths(longest, NULL, &paths, &err), KMS_E_INTERNAL);
    assert_int_equal(instance_paths("/d", longest, &paths, &err), KMS_E_INTERNAL);
}

static void test_a_file_in_the_way(void **state)
{
    struct place    *p = *state;
    struct kms_error err;
    FILE            *file = fopen(p->data, "w");

    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(instance_make_directory(&p->paths, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "is not a folder"));
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_the_first_account_is_in_the_database),
        IN_PLACE(test_the_audit_begins_with_it),
        IN_PLACE(test_a_directory_that_was_not_finished),
        IN_PLACE(test_bad_accounts),
        IN_PLACE(test_generated_keys_differ),
        IN_PLACE(test_one_holder_at_a_time),
        IN_PLACE(test_a_dead_holder_holds_nothing),
        IN_PLACE(test_paths),
        IN_PLACE(test_a_file_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
