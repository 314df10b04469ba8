/* tests/unit/store/test_conflicts.c - conditions of changes: who comes second is refused, alone. */
#include "fixture.h"

#include "key/directory.h"

/* Applies several changes as one batch. */
static struct store_batch apply_all(struct fixture *f, struct change **changes,
                                    enum kms_status *results, size_t n)
{
    struct store_batch b = { .changes = changes, .results = results, .n = n };

    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    return b;
}

static size_t count(struct fixture *f, const char *table)
{
    const struct sqlite_store *s = (const struct sqlite_store *)f->store;
    char                       sql[64];
    char                       answer[24];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_ok(f, database_ask(s->db, f->path, sql, answer, sizeof answer, &f->error));
    return strtoul(answer, NULL, 10);
}

/* Asked before a commit: counts, and refuses for a while. The rows are in the transaction by then. */
struct gate {
    struct fixture *f;
    unsigned        asked, refusals;
    size_t          keys_seen;
};

static enum kms_status may_commit(void *gate, struct kms_error *reterr)
{
    struct gate *g = gate;

    g->asked++;
    g->keys_seen = count(g->f, "keys");
    if (g->asked > g->refusals)
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "not yet");
}

static void test_nothing_is_committed_that_is_not_ready(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change a = { .event = BUF_INIT(10) };
    CLEANUP(change_release) struct change b = { .event = BUF_INIT(10) };
    struct change                        *list[] = { &a, &b };
    enum kms_status                       results[2] = { KMS_OK, KMS_OK };
    struct gate                           gate = { .f = f, .refusals = 1 };
    struct store_batch                    batch = {
                           .changes = list, .results = results, .n = 2, .ready = may_commit, .ready_ctx = &gate
    };

    change_add(&a, ROW_KEY_INSERT)->key = random_key(f);
    change_add(&b, ROW_KEY_INSERT)->key = random_key(f);
    uint64_t commit = f->store->meta.commit;
    assert_int_equal(f->store->ops->apply(f->store, &batch, &f->error), KMS_E_INTERNAL);
    assert_string_equal(f->error.detail, "not yet");
    assert_true(gate.asked == 1 && gate.keys_seen == 2);
    assert_int_equal(results[0], KMS_E_INTERNAL);
    assert_int_equal(count(f, "keys"), 0);
    assert_true(a.rows[0].key->serial == 0 && f->store->meta.commit == commit);

    assert_ok(f, f->store->ops->apply(f->store, &batch, &f->error)); /* and nothing is in its way */
    assert_true(gate.asked == 2 && results[0] == KMS_OK && results[1] == KMS_OK);
    assert_true(a.rows[0].key->serial == 1 && f->store->meta.commit == commit + 1);
    fixture_reopen(f);
    assert_int_equal(count(f, "keys"), 2);
}

static void test_one_refused_neighbours_commit(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *old = random_key(f);
    CLEANUP(change_release) struct change        a = { .event = BUF_INIT(10) };
    CLEANUP(change_release) struct change        b = { .event = BUF_INIT(10) };
    CLEANUP(change_release) struct change        c = { .event = BUF_INIT(10) };
    struct change                               *list[] = { &a, &b, &c };
    enum kms_status                              results[3];

    add_key(f, old);
    change_add(&a, ROW_KEY_INSERT)->key = random_key(f);
    buf_add_str(&a.event, "a");
    /* b does three things; the last is refused, so all three are taken back, and its event */
    change_add(&b, ROW_KEY_INSERT)->key = random_key(f);
    change_add(&b, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
    change_add(&b, ROW_KEY_UPDATE)->key = key_record_clone(old); /* version 1 is there: wants 0 */
    buf_add_str(&b.event, "b");
    change_add(&c, ROW_KEY_INSERT)->key = random_key(f);
    change_add(&c, ROW_TOMBSTONE_INSERT)->tombstone = random_tombstone(f);
    buf_add_str(&c.event, "c");

    struct store_batch batch = apply_all(f, list, results, 3);
    assert_int_equal(results[0], KMS_OK);
    assert_int_equal(results[1], KMS_E_CHANGED);
    assert_int_equal(results[2], KMS_OK);
    /* serials of what was refused are given to others */
    assert_true(a.rows[0].key->serial == 2 && b.rows[0].key->serial == 0);
    assert_true(c.rows[0].key->serial == 3 && batch.ret_outbox == 2);
    assert_true(b.rows[1].tombstone->serial == 0 && c.rows[1].tombstone->serial == 1);

    fixture_reopen(f);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.keys.n, 3);
    assert_int_equal(l.tombstones.n, 1);
    assert_int_equal(l.events.n, 2);
    assert_string_equal(l.events.at[0], "a");
    assert_string_equal(l.events.at[1], "c");
    assert_keys_equal(loaded_key(&l, old), old);
    assert_null(loaded_key(&l, b.rows[0].key));
    assert_keys_equal(loaded_key(&l, c.rows[0].key), c.rows[0].key);
}

static void test_two_updates_of_one_version(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(change_release) struct change        a = { 0 };
    CLEANUP(change_release) struct change        b = { 0 };
    struct change                               *list[] = { &a, &b };
    enum kms_status                              results[2];

    add_key(f, k);
    change_add(&a, ROW_KEY_UPDATE)->key = key_record_clone(k);
    change_add(&b, ROW_KEY_UPDATE)->key = key_record_clone(k);
    random_edit(f, a.rows[0].key);
    random_edit(f, b.rows[0].key);
    apply_all(f, list, results, 2);
    assert_int_equal(results[0], KMS_OK);
    assert_int_equal(results[1], KMS_E_CHANGED);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_keys_equal(l.keys.at[0], a.rows[0].key);
}

static void test_key_conditions(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(key_record_freep) struct key_record *never = random_key(f);

    add_key(f, k);
    assert_int_equal(put_key(f, ROW_KEY_INSERT, k), KMS_E_CHANGED);
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, never), KMS_E_CHANGED);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, never), KMS_E_CHANGED);
    k->version = 3; /* 2 was never there */
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_E_CHANGED);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_E_CHANGED);
    k->version = 2;
    k->serial++; /* another key's number */
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_E_CHANGED);
    k->serial--;
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_E_CHANGED);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_OK);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_E_CHANGED);
    k->version = 3;
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_E_CHANGED);
    assert_int_equal(count(f, "keys"), 0);
}

/* The same id in two Regions is two keys (multi-Region replicas). */
static void test_replicas(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *a = random_key(f);
    CLEANUP(key_record_freep) struct key_record *b = key_record_clone(a);
    CLEANUP(freep) struct alias_record          *alias = NULL;

    key_record_set_name(b, a->name.account, BYTES_LIT("ap-south-1"), a->name.id);
    add_key(f, a);
    alias = random_alias(f, b);
    assert_int_equal(put_alias(f, ROW_ALIAS_INSERT, alias), KMS_E_CHANGED); /* not in that Region */
    add_key(f, b);
    add_alias(f, alias);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, b), KMS_OK);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.keys.n, 1);
    assert_int_equal(l.aliases.n, 0);
    assert_keys_equal(l.keys.at[0], a);
}

static void test_key_deletion_takes_all_along(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *a = random_key(f);
    CLEANUP(key_record_freep) struct key_record *b = random_key(f);
    CLEANUP(change_release) struct change        c = { 0 };

    while (a->n_materials < 2 || a->n_tags < 2) {
        key_record_free(a);
        a = random_key(f);
    }
    add_key(f, a);
    add_key(f, b);
    for (size_t i = 0; i < 3; i++) {
        const struct key_record *target = i < 2 ? a : b;
        change_add(&c, ROW_ALIAS_INSERT)->alias = random_alias(f, target);
        change_add(&c, ROW_IMPORT_KEY_INSERT)->import_key = random_import_key(f, target);
    }
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
    assert_int_equal(put_key(f, ROW_KEY_DELETE, a), KMS_OK);
    assert_int_equal(count(f, "keys"), 1);
    assert_int_equal(count(f, "aliases"), 1);
    assert_int_equal(count(f, "import_keys"), 1);
    assert_int_equal(count(f, "materials"), b->n_materials);
    assert_int_equal(count(f, "tags"), b->n_tags);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_keys_equal(l.keys.at[0], b);
}

static void test_alias_conditions(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(key_record_freep) struct key_record *other = random_key(f);
    CLEANUP(key_record_freep) struct key_record *never = random_key(f);

    key_record_set_name(other, k->name.account, k->name.region, other->name.id);
    add_key(f, k);
    add_key(f, other);
    CLEANUP(freep) struct alias_record *a = random_alias(f, k);
    CLEANUP(freep) struct alias_record *lost = random_alias(f, never);
    assert_int_equal(put_alias(f, ROW_ALIAS_INSERT, lost), KMS_E_CHANGED); /* no such key */
    assert_int_equal(put_alias(f, ROW_ALIAS_UPDATE, a), KMS_E_CHANGED);    /* no such alias */
    assert_int_equal(put_alias(f, ROW_ALIAS_DELETE, a), KMS_E_CHANGED);
    add_alias(f, a);
    assert_true(a->serial == 1);
    assert_int_equal(put_alias(f, ROW_ALIAS_INSERT, a), KMS_E_CHANGED); /* the name is taken */

    a->version = 2;
    memcpy(a->key_id, never->name.id.ptr, never->name.id.len);
    assert_int_equal(put_alias(f, ROW_ALIAS_UPDATE, a), KMS_E_CHANGED); /* no such target */
    memcpy(a->key_id, other->name.id.ptr, other->name.id.len);
    assert_int_equal(put_alias(f, ROW_ALIAS_UPDATE, a), KMS_OK);
    assert_int_equal(put_alias(f, ROW_ALIAS_UPDATE, a), KMS_E_CHANGED); /* version 1 is gone */
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.aliases.n, 1);
    assert_aliases_equal(l.aliases.at[0], a);
    a->version = 1;
    assert_int_equal(put_alias(f, ROW_ALIAS_DELETE, a), KMS_E_CHANGED);
    a->version = 2;
    assert_int_equal(put_alias(f, ROW_ALIAS_DELETE, a), KMS_OK);
    assert_int_equal(put_alias(f, ROW_ALIAS_DELETE, a), KMS_E_CHANGED);
}

static const struct account_record *add_account(struct fixture *f, struct change *home)
{
    struct account_record *account = random_account(f);

    change_add(home, ROW_ACCOUNT_INSERT)->account = account;
    assert_int_equal(fixture_apply(f, home), KMS_OK);
    return account;
}

/* One row of its kind, twice. */
static void test_second_insert_is_refused(void **state)
{
    CLEANUP(change_release) struct change home = { 0 };
    static const enum row_kind            kinds[] = { ROW_IMPORT_KEY_INSERT, ROW_DOMAIN_INSERT,
                                                      ROW_ACCOUNT_INSERT, ROW_ACCESS_KEY_INSERT };
    struct fixture                       *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(key_record_freep) struct key_record *never = random_key(f);

    add_key(f, k);
    const struct account_record *account = add_account(f, &home);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(change_release) struct change c = { 0 };
        struct row                           *row = change_add(&c, kinds[i]);
        row->import_key = random_import_key(f, k);
        row->domain = random_domain(f);
        row->account = random_account(f);
        row->access_key = random_access_key(f, account);
        assert_int_equal(fixture_apply(f, &c), KMS_OK);
        assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED);
    }
    CLEANUP(change_release) struct change c = { 0 };
    change_add(&c, ROW_IMPORT_KEY_INSERT)->import_key = random_import_key(f, never);
    assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED); /* its key is not there */
}

/* One row, applied by itself; what it is made of stays the caller's. */
static enum kms_status put_identity(struct fixture *f, enum row_kind kind,
                                    const struct identity_record *r, uint64_t expected)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, kind);

    row->identity = identity_record_clone(r);
    row->expected_version = expected;
    return fixture_apply(f, &c);
}

static enum kms_status put_access_key(struct fixture *f, enum row_kind kind,
                                      const struct access_key_record *k, uint64_t expected)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, kind);

    row->access_key = access_key_record_clone(k);
    row->expected_version = expected;
    return fixture_apply(f, &c);
}

static void test_identity_conditions(void **state)
{
    struct fixture                                        *f = *state;
    CLEANUP(change_release) struct change                  home = { 0 };
    const struct account_record                           *account = add_account(f, &home);
    CLEANUP(identity_record_freep) struct identity_record *a = random_identity(f, account);
    CLEANUP(identity_record_freep) struct identity_record *b = random_identity(f, account);
    CLEANUP(freep) struct account_record                  *nowhere = random_account(f);
    CLEANUP(identity_record_freep) struct identity_record *lost = random_identity(f, nowhere);

    assert_int_equal(put_identity(f, ROW_IDENTITY_INSERT, lost, 0), KMS_E_CHANGED); /* no account */
    a->kind = b->kind = IDENTITY_USER;
    a->name = BYTES_LIT("Alice");
    b->name = BYTES_LIT("aLICE");
    assert_int_equal(put_identity(f, ROW_IDENTITY_INSERT, a, 0), KMS_OK);
    assert_int_equal(put_identity(f, ROW_IDENTITY_INSERT, b, 0), KMS_E_CHANGED); /* same name */
    b->kind = IDENTITY_ROLE; /* another kind may have it */
    assert_int_equal(put_identity(f, ROW_IDENTITY_INSERT, b, 0), KMS_OK);
    a->serial = 1;
    a->version = 3; /* 2 was never there */
    assert_int_equal(put_identity(f, ROW_IDENTITY_UPDATE, a, 0), KMS_E_CHANGED);
    a->version = 1;
    random_identity_edit(f, a);
    assert_int_equal(put_identity(f, ROW_IDENTITY_UPDATE, a, 0), KMS_OK);
    assert_int_equal(put_identity(f, ROW_IDENTITY_UPDATE, a, 0), KMS_E_CHANGED);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_int_equal(l.identities.n, 2);
    assert_identities_equal(l.identities.at[0], a);

    assert_int_equal(put_identity(f, ROW_IDENTITY_DELETE, a, 1), KMS_E_CHANGED);
    assert_int_equal(put_identity(f, ROW_IDENTITY_DELETE, a, 2), KMS_OK);
    assert_int_equal(put_identity(f, ROW_IDENTITY_DELETE, a, 2), KMS_E_CHANGED);
    assert_int_equal(put_identity(f, ROW_IDENTITY_DELETE, b, 1), KMS_OK);
    assert_int_equal(count(f, "documents") + count(f, "attachments") + count(f, "identity_tags"),
                     0); /* they went along */
    a->version = 1;
    assert_int_equal(put_identity(f, ROW_IDENTITY_INSERT, a, 0), KMS_OK); /* the name is free */
    CLEANUP(loaded_release) struct loaded again;
    loaded_from(f, &again);
    assert_true(((struct identity_record *)again.identities.at[0])->serial == 3); /* never 1 */
}

static void test_access_key_conditions(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change home = { 0 };
    struct account_record                *account = (void *)(uintptr_t)add_account(f, &home);
    CLEANUP(access_key_record_freep) struct access_key_record *k = random_access_key(f, account);

    while (k->session.n_policies == 0 || k->session.n_tags == 0) {
        access_key_record_free(k);
        k = random_access_key(f, account);
    }
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_INSERT, k, 0), KMS_OK);
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_INSERT, k, 0), KMS_E_CHANGED);
    k->serial = 1;
    k->active = !k->active;
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_UPDATE, k, 0), KMS_E_CHANGED);
    k->version = 2;
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_UPDATE, k, 0), KMS_OK);
    CLEANUP(loaded_release) struct loaded l;
    loaded_from(f, &l);
    assert_access_keys_equal(l.access_keys.at[0], k);
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_DELETE, k, 1), KMS_E_CHANGED);
    assert_int_equal(put_access_key(f, ROW_ACCESS_KEY_DELETE, k, 2), KMS_OK);
    assert_int_equal(count(f, "session_policies") + count(f, "session_tags"), 0);

    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, ROW_ACCOUNT_UPDATE);
    row->account = calloc(1, sizeof *row->account);
    assert_non_null(row->account);
    *row->account = *account;
    assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED); /* version 1 is there: wants 0 */
    row->account->version = 2;
    (void)snprintf(row->account->name, sizeof row->account->name, "renamed");
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
}

static void test_import_key_deletion(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(change_release) struct change        add = { 0 };
    CLEANUP(change_release) struct change        del = { 0 };

    add_key(f, k);
    change_add(&add, ROW_IMPORT_KEY_INSERT)->import_key = random_import_key(f, k);
    memcpy(change_add(&del, ROW_IMPORT_KEY_DELETE)->import_key_id, add.rows[0].import_key->id, 16);
    assert_int_equal(fixture_apply(f, &del), KMS_E_CHANGED);
    assert_int_equal(fixture_apply(f, &add), KMS_OK);
    assert_int_equal(fixture_apply(f, &del), KMS_OK);
    assert_int_equal(fixture_apply(f, &del), KMS_E_CHANGED);
}

static void test_unknown_tombstone(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change c = { 0 };

    change_add(&c, ROW_TOMBSTONE_ERASED)->tombstone = random_tombstone(f);
    c.rows[0].tombstone->serial = 5;
    assert_int_equal(fixture_apply(f, &c), KMS_E_CHANGED);
}

/* A change that cannot be written at all fails alone, and says why. */
static void test_impossible_changes(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change good = { 0 };
    CLEANUP(change_release) struct change torn = { .event = BUF_INIT(3) };
    CLEANUP(change_release) struct change large = { 0 };
    struct change                        *list[] = { &torn, &good, &large };
    enum kms_status                       results[3];
    CLEANUP(freep) uint8_t               *policy = calloc(1, ROW_MAC_INPUT_MAX);

    assert_non_null(policy);
    change_add(&torn, ROW_ACCOUNT_INSERT)->account = random_account(f);
    buf_add_str(&torn.event, "too long");
    change_add(&good, ROW_ACCOUNT_INSERT)->account = random_account(f);
    change_add(&large, ROW_KEY_INSERT)->key = random_key(f);
    large.rows[0].key->policy = bytes_of(policy, ROW_MAC_INPUT_MAX);
    apply_all(f, list, results, 3);
    assert_int_equal(results[0], KMS_E_INTERNAL);
    assert_int_equal(results[1], KMS_OK);
    assert_int_equal(results[2], KMS_E_INTERNAL);
    assert_contains(f->error.detail, "too large");
    assert_int_equal(count(f, "accounts"), 1);
    assert_int_equal(count(f, "keys"), 0);
}

/* A serial is never given out twice, not even after a restart. */
static void test_serials_never_come_back(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= 6; i++) {
        CLEANUP(key_record_freep) struct key_record *k = random_key(f);
        add_key(f, k);
        assert_true(k->serial == i);
        assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_OK);
        if (i % 2 == 0)
            fixture_reopen(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_committed_that_is_not_ready),
        TEST(test_one_refused_neighbours_commit),
        TEST(test_two_updates_of_one_version),
        TEST(test_key_conditions),
        TEST(test_replicas),
        TEST(test_key_deletion_takes_all_along),
        TEST(test_alias_conditions),
        TEST(test_second_insert_is_refused),
        TEST(test_identity_conditions),
        TEST(test_access_key_conditions),
        TEST(test_import_key_deletion),
        TEST(test_unknown_tombstone),
        TEST(test_impossible_changes),
        TEST(test_serials_never_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
