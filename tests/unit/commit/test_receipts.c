/* tests/unit/commit/test_receipts.c - receipts say what became of the database. They are made while it is still being
 * emptied, for what is to be expected, by two threads; if it turns out otherwise they are made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "audit/verify.h"
#include "base/cleanup.h"
#include "commit/internal.h"
#include "crypto/crypto.h"
#include "folder.h"
#include "instance/instance.h"
#include "store/sqlite/sqlite.h"

#define ARN "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"

enum { STONES = 40 /* more than are appended at once */, EMPTYING_MS = 20 };

/* A store that empties its database, or does not. */
struct fake_store {
    struct store     base; /* first */
    struct store_ops ops;
    bool             clean;
    enum kms_status  fails;
    unsigned         delay_ms;
};

struct world {
    char              dir[64], data[96];
    struct clock     *clock;
    struct fake_store store;
    struct committer *c;
    struct tombstone  stones[STONES], *list[STONES];
    struct kms_error  err;
};

static enum kms_status scrub(struct store *store, bool *ret_clean, struct kms_error *reterr)
{
    struct fake_store *s = (struct fake_store *)store;

    (void)nanosleep(&(struct timespec){ .tv_nsec = s->delay_ms * 1000L * 1000 }, NULL);
    if (s->fails != KMS_OK)
        return KMS_FAIL(reterr, s->fails, "the disk has failed");
    *ret_clean = s->clean;
    return KMS_OK;
}

#define ok(w, call)                                                                                \
    do {                                                                                           \
        if ((call) != KMS_OK)                                                                      \
            fail_msg("%s: %s", #call, (w)->err.detail);                                            \
    } while (0)

static void open_parts(struct world *w, struct committer_parts *parts)
{
    struct instance_paths paths;
    struct store_meta     meta;
    struct audit_head     head;

    ok(w, instance_paths(w->data, NULL, &paths, &w->err));
    ok(w, store_sqlite_peek(paths.database, &meta, &w->err));
    struct vault_config vc = { .data_dir = w->data,
                               .root_key_file = paths.root_key,
                               .allow_grade_c = true,
                               .clock = w->clock,
                               .epoch = parts->epoch };
    ok(w, vault_open(&vc, meta.slot_generation, &parts->vault, &w->err));
    struct audit_config ac = { .dir = paths.audit,
                               .node = vault_instance_id(parts->vault),
                               .clock = w->clock,
                               .sign = vault_audit_sign,
                               .sign_ctx = parts->vault };
    vault_audit_public_key(parts->vault, ac.public_key);
    ok(w, audit_open(&ac, &parts->audit, &head, &w->err));
}

static int setup(void **state)
{
    struct world          *w = calloc(1, sizeof *w);
    struct instance_result made;

    assert_non_null(w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/trent-receipts-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->data, sizeof w->data, "%s/data", w->dir);
    struct instance_config config = { .data_dir = w->data,
                                      .account = "111122223333",
                                      .development = true };
    ok(w, instance_create(&config, &made, &w->err));
    instance_result_wipe(&made);

    w->clock = clock_new(0);
    w->store.ops.scrub = scrub;
    w->store.base.ops = &w->store.ops;
    struct committer_parts parts = { .store = &w->store.base,
                                     .clock = w->clock,
                                     .epoch = epoch_new() };
    open_parts(w, &parts);
    w->c = committer_new(&parts);
    assert_non_null(w->c);
    for (size_t i = 0; i < STONES; i++) { /* of slots that are empty */
        w->stones[i] = (struct tombstone){
            .serial = i + 1, .slot = (uint32_t)i, .slot_generation = 1, .slot_class = SLOT_ERASABLE
        };
        memcpy(w->stones[i].key_arn, ARN, sizeof ARN);
        w->list[i] = &w->stones[i];
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world          *w = *state;
    struct committer_parts parts = w->c->parts;

    audit_close(parts.audit);
    committer_free(w->c);
    vault_close(parts.vault);
    epoch_free(parts.epoch);
    clock_free(w->clock);
    (void)folder_remove(w->dir);
    free(w);
    return 0;
}

struct found {
    size_t n, clean, unclean, bad;
    size_t of_slot[STONES];
};

static bool has(struct bytes line, const char *text)
{
    return memmem(line.ptr, line.len, text, strlen(text)) != NULL;
}

static void look(void *ctx, struct bytes line, bool signature_ok)
{
    struct found *f = ctx;
    char          slot[32];

    f->n++;
    f->bad += !signature_ok;
    f->clean += has(line, "\"databaseClean\":true");
    f->unclean += has(line, "\"databaseClean\":false");
    for (unsigned i = 0; i < STONES; i++) {
        (void)snprintf(slot, sizeof slot, "\"slot\":%u,", i);
        f->of_slot[i] += has(line, slot);
    }
}

static struct found find(struct world *w)
{
    struct found f = { 0 };
    char         dir[128];

    (void)snprintf(dir, sizeof dir, "%s/audit", w->data);
    ok(w, audit_receipts(dir, NULL, ARN, look, &f, &w->err));
    return f;
}

static void erase(struct world *w, bool clean, unsigned delay_ms)
{
    w->store.clean = clean;
    w->store.delay_ms = delay_ms;
    ok(w, commit_erase_tombstones(w->c, w->list, STONES, &w->err));
}

/* Whether the database is emptied at once, and its thread makes receipts, too, or when all are made. */
static void test_what_the_database_became(void **state)
{
    struct world *w = *state;

    for (size_t round = 1; round <= 2; round++) {
        unsigned delay_ms = round == 1 ? 0 : EMPTYING_MS;
        erase(w, true, delay_ms);
        erase(w, false, delay_ms);
        struct found f = find(w);
        assert_int_equal(f.n, 2 * STONES * round);
        assert_int_equal(f.clean, STONES * round);
        assert_int_equal(f.unclean, STONES * round);
        assert_int_equal(f.bad, 0);
        for (size_t i = 0; i < STONES; i++)
            assert_int_equal(f.of_slot[i], 2 * round);
    }
}

/* What has failed has no receipt, however many were made meanwhile. */
static void test_none_when_it_failed(void **state)
{
    struct world *w = *state;

    w->store.fails = KMS_E_INTERNAL;
    for (unsigned delay_ms = 0; delay_ms <= EMPTYING_MS; delay_ms += EMPTYING_MS) {
        w->store.delay_ms = delay_ms;
        assert_int_equal(commit_erase_tombstones(w->c, w->list, STONES, &w->err), KMS_E_INTERNAL);
        assert_string_equal(w->err.detail, "the disk has failed");
    }
    struct found f = find(w);
    assert_int_equal(f.n, 0);
    assert_int_equal(w->c->n_erased, 0);
}

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_the_database_became, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none_when_it_failed, setup, teardown),
    };

    if (secret_memory_init(false, &err) != KMS_OK || crypto_init(&err) != KMS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
