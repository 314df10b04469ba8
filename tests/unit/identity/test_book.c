/* tests/unit/identity/test_book.c - what is put is found, listed and counted; what is removed is
 * not; published records stay readable until the barrier. */
#include "fixture.h"

#define ALLOW "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"
#define TRUST                                                                                      \
    "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\","                         \
    "\"Principal\":{\"AWS\":\"111122223333\"}}]}"

static const struct identity_record *find(struct world *w, const char *arn)
{
    return book_identity_by_arn(w->b, bytes_str(arn));
}

static void test_accounts(void **state)
{
    struct world                *w = *state;
    const struct account_record *list[3];

    assert_string_equal(book_account(w->b, ACCOUNT)->id, "111122223333");
    assert_null(book_account(w->b, BYTES_LIT("111122223334")));
    assert_null(book_account(w->b, BYTES_LIT("aws"))); /* whose policies are there */
    assert_null(book_account(w->b, (struct bytes){ NULL, 0 }));
    assert_int_equal(book_list_accounts(w->b, list, 3), 2);
    assert_string_equal(list[1]->id, "444455556666");
    assert_int_equal(book_list_accounts(w->b, list, 1), 1);

    struct account_record *a = calloc(1, sizeof *a);
    assert_non_null(a);
    *a = *book_account(w->b, ACCOUNT);
    a->version = 2;
    const struct account_record *old = book_account(w->b, ACCOUNT);
    book_put_account(w->b, a);
    assert_int_equal(old->version, 1); /* may still be read */
    settle(w);
    assert_ptr_equal(book_account(w->b, ACCOUNT), a);
    assert_int_equal(book_counts(w->b).accounts, 2);
}

static void test_names(void **state)
{
    struct world *w = *state;

    put_identity(w, IDENTITY_USER, ACCOUNT, "/team/", "Ann", "AIDA1");
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/", "ann", "AROA1");
    put_identity(w, IDENTITY_USER, OTHER, "/", "ann", "AIDA2");
    assert_true(bytes_eq_str(
        book_identity(w->b, ACCOUNT, IDENTITY_USER, BYTES_LIT("aNN"))->unique_id, "AIDA1"));
    assert_true(bytes_eq_str(
        book_identity(w->b, ACCOUNT, IDENTITY_ROLE, BYTES_LIT("ann"))->unique_id, "AROA1"));
    assert_null(book_identity(w->b, ACCOUNT, IDENTITY_POLICY, BYTES_LIT("ann")));
    assert_null(book_identity(w->b, OTHER, IDENTITY_ROLE, BYTES_LIT("ann")));
    assert_null(book_identity(w->b, ACCOUNT, IDENTITY_USER, (struct bytes){ NULL, 0 }));
    assert_true(
        bytes_eq_str(book_identity_by_id(w->b, BYTES_LIT("AIDA2"))->account, "444455556666"));
    assert_null(book_identity_by_id(w->b, BYTES_LIT("AIDA3")));

    /* an ARN is exact: path, case, kind, account, partition */
    assert_non_null(find(w, "arn:aws:iam::111122223333:user/team/Ann"));
    assert_null(find(w, "arn:aws:iam::111122223333:user/Ann"));
    assert_null(find(w, "arn:aws:iam::111122223333:user/team/ann"));
    assert_null(find(w, "arn:aws:iam::111122223333:user/team/x/Ann"));
    assert_null(find(w, "arn:aws:iam::111122223333:role/team/Ann"));
    assert_null(find(w, "arn:aws:iam::444455556666:user/team/Ann"));
    assert_null(find(w, "arn:aws-cn:iam::111122223333:user/team/Ann"));
    assert_null(find(w, "arn:aws:iam::111122223333"));
    assert_null(find(w, "arn:aws:iam::111122223333:root"));
    assert_null(find(w, "arn:aws:iam::111122223333:user/"));
    assert_null(find(w, ""));
    char longer[700];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(book_identity(w->b, ACCOUNT, IDENTITY_USER, bytes_str(longer)));
    assert_null(book_identity(w->b, bytes_str(longer), IDENTITY_USER, BYTES_LIT("ann")));

    struct book_counts n = book_counts(w->b);
    assert_true(n.users == 2 && n.roles == 1 && n.policies == 0);
}

/* Deleted and made again: another unique id, and nothing of the old one is found. */
static void test_made_again(void **state)
{
    struct world *w = *state;

    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/", "ops", "AROA1");
    const struct identity_record *old = book_identity_by_id(w->b, BYTES_LIT("AROA1"));
    book_remove_identity(w->b, BYTES_LIT("AROA1"));
    assert_null(book_identity_by_id(w->b, BYTES_LIT("AROA1")));
    assert_null(find(w, "arn:aws:iam::111122223333:role/ops"));
    assert_true(bytes_eq_str(old->name, "ops")); /* until the barrier */
    settle(w);
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/", "Ops", "AROA2");
    assert_true(bytes_eq_str(find(w, "arn:aws:iam::111122223333:role/Ops")->unique_id, "AROA2"));
    put_identity(w, IDENTITY_ROLE, ACCOUNT, "/", "ops",
                 "AROA3"); /* in one change with the deletion */
    assert_null(book_identity_by_id(w->b, BYTES_LIT("AROA2")));
    settle(w);
    assert_int_equal(book_counts(w->b).roles, 1);
    book_remove_identity(w->b, BYTES_LIT("AROA2")); /* gone: nothing happens */
    assert_non_null(book_identity_by_id(w->b, BYTES_LIT("AROA3")));
}

static void test_listing(void **state)
{
    struct world                 *w = *state;
    const struct identity_record *list[10];
    char                          name[8], id[8];

    for (unsigned i = 0; i < 9; i++) {
        (void)snprintf(name, sizeof name, "n%u", 9 - i); /* not in order of names */
        (void)snprintf(id, sizeof id, "AIDA%u", i);
        put_identity(w, IDENTITY_USER, i % 3 == 2 ? OTHER : ACCOUNT, "/", name, id);
    }
    assert_int_equal(book_list_identities(w->b, ACCOUNT, IDENTITY_USER, 0, list, 10), 6);
    assert_true(bytes_eq_str(list[0]->name, "n9") && bytes_eq_str(list[5]->name, "n2"));
    assert_int_equal(book_list_identities(w->b, ACCOUNT, IDENTITY_USER, 0, list, 2), 2);
    assert_int_equal(book_list_identities(w->b, ACCOUNT, IDENTITY_USER, list[1]->serial, list, 10),
                     4);
    assert_true(bytes_eq_str(list[0]->name, "n6"));
    assert_int_equal(book_list_identities(w->b, ACCOUNT, IDENTITY_ROLE, 0, list, 10), 0);
    assert_int_equal(
        book_list_identities(w->b, BYTES_LIT("000000000000"), IDENTITY_USER, 0, list, 10), 0);
    /* those that are there from the start */
    assert_int_equal(book_list_identities(w->b, BYTES_LIT("aws"), IDENTITY_POLICY, 0, list, 10), 5);
}

static void test_policies(void **state)
{
    struct world           *w = *state;
    struct authz_policy     got[INLINE_MAX + ATTACHED_MAX];
    struct bytes            attached[3] = { BYTES_LIT("arn:aws:iam::111122223333:policy/p"),
                                            BYTES_LIT("arn:aws:iam::aws:policy/AdministratorAccess"),
                                            BYTES_LIT("arn:aws:iam::111122223333:policy/gone") };
    struct identity_record *p = make_identity(w, IDENTITY_POLICY, ACCOUNT, "/", "p", "ANPA1");
    struct identity_record *r = make_identity(w, IDENTITY_ROLE, ACCOUNT, "/", "r", "AROA1");

    set_document(p, "v1", ALLOW);
    set_document(r, "inline", ALLOW);
    r->attached = attached;
    r->n_attached = 3;
    r->boundary = attached[0];
    r->trust = BYTES_LIT(TRUST);
    book_put_identity(w->b, p);
    book_put_identity(w->b, r);
    const struct identity_record *role = book_identity_by_id(w->b, BYTES_LIT("AROA1"));
    assert_int_equal(book_policies(w->b, role, got), 4);
    assert_true(got[0].policy != NULL && bytes_eq_str(got[0].name, "inline"));
    assert_true(got[1].policy == got[0].policy); /* one text, one compiled form */
    assert_true(bytes_eq(got[1].name, attached[0]));
    assert_true(got[2].policy != NULL && got[3].policy == NULL);
    assert_true(bytes_eq(got[3].name, attached[2]));
    assert_non_null(book_boundary(w->b, role).policy);
    assert_non_null(role->trust_rights->policy);

    /* another default version counts from now on */
    struct identity_record *edit = identity_record_clone(
        book_identity_by_id(w->b, BYTES_LIT("ANPA1")));
    set_document(edit, "v2", "no policy at all");
    edit->version = 2;
    book_put_identity(w->b, edit);
    settle(w);
    assert_int_equal(book_policies(w->b, role, got), 4);
    assert_null(got[1].policy);
    assert_null(book_boundary(w->b, role).policy);
    edit = identity_record_clone(book_identity_by_id(w->b, BYTES_LIT("ANPA1")));
    edit->documents[0].is_default = false;
    book_put_identity(w->b, edit);
    settle(w);
    assert_int_equal(book_policies(w->b, role, got), 4);
    assert_null(got[1].policy);
}

static void test_attached_to(void **state)
{
    struct world                 *w = *state;
    struct bytes                  arn = BYTES_LIT("arn:aws:iam::111122223333:policy/p");
    const struct identity_record *list[4];
    size_t                        bounds = 9;

    for (unsigned i = 0; i < 4; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "A%u", i);
        struct identity_record *r = make_identity(w, i < 2 ? IDENTITY_USER : IDENTITY_ROLE, ACCOUNT,
                                                  "/", id, id);
        if (i % 2 == 0) {
            r->attached = arena_alloc(r->arena, sizeof r->attached[0]);
            r->attached[0] = arn;
            r->n_attached = 1;
        }
        if (i == 2 || i == 3)
            r->boundary = arn;
        book_put_identity(w->b, r);
    }
    assert_int_equal(book_attached_to(w->b, arn, list, 4, &bounds), 3);
    assert_int_equal(bounds, 2);
    assert_true(bytes_eq_str(list[0]->name, "A0") && bytes_eq_str(list[2]->name, "A3"));
    assert_int_equal(book_attached_to(w->b, arn, list, 1, &bounds), 1);
    assert_int_equal(book_attached_to(w->b, BYTES_LIT("arn:other"), list, 4, &bounds), 0);
    assert_int_equal(bounds, 0);
}

static void count_one(const struct access_key_record *k, void *ctx)
{
    (void)k;
    (*(size_t *)ctx)++;
}

static void test_access_keys(void **state)
{
    struct world                   *w = *state;
    const struct access_key_record *list[4];
    size_t                          seen = 0;

    book_put_access_key(w->b, make_access_key(w, "AKIA1", ACCOUNT, "AIDA1"));
    book_put_access_key(w->b, make_access_key(w, "AKIA2", ACCOUNT, "AIDA1"));
    book_put_access_key(w->b, make_access_key(w, "AKIA3", ACCOUNT, "111122223333"));
    struct access_key_record *s = make_access_key(w, "ASIA1", ACCOUNT, "AIDA1");
    s->session.kind = SESSION_USER;
    book_put_access_key(w->b, s);
    assert_true(bytes_eq_str(book_access_key(w->b, BYTES_LIT("AKIA2"))->principal_id, "AIDA1"));
    assert_null(book_access_key(w->b, BYTES_LIT("AKIA")));
    assert_int_equal(book_list_access_keys(w->b, BYTES_LIT("AIDA1"), list, 4), 2); /* no sessions */
    assert_true(bytes_eq_str(list[0]->id, "AKIA1") && bytes_eq_str(list[1]->id, "AKIA2"));
    assert_int_equal(book_list_access_keys(w->b, ACCOUNT, list, 4), 1);
    assert_int_equal(book_list_access_keys(w->b, BYTES_LIT("AIDA2"), list, 4), 0);
    book_each_access_key(w->b, count_one, &seen);
    assert_int_equal(seen, 4);
    struct book_counts n = book_counts(w->b);
    assert_true(n.access_keys == 3 && n.sessions == 1);
    assert_int_equal(book_sessions_of(w->b, ACCOUNT), 1);
    assert_int_equal(book_sessions_of(w->b, OTHER), 0);

    struct access_key_record *edit = access_key_record_clone(list[0]);
    assert_non_null(edit);
    struct access_key_record *off = access_key_record_clone(
        book_access_key(w->b, BYTES_LIT("AKIA1")));
    access_key_record_free(edit);
    off->active = false;
    book_put_access_key(w->b, off);
    settle(w);
    assert_false(book_access_key(w->b, BYTES_LIT("AKIA1"))->active);
    book_remove_access_key(w->b, BYTES_LIT("AKIA1"));
    book_remove_access_key(w->b, BYTES_LIT("AKIA2"));
    book_remove_access_key(w->b, BYTES_LIT("ASIA1"));
    book_remove_access_key(w->b, BYTES_LIT("ASIA1")); /* gone: nothing happens */
    settle(w);
    assert_null(book_access_key(w->b, BYTES_LIT("AKIA1")));
    assert_int_equal(book_list_access_keys(w->b, BYTES_LIT("AIDA1"), list, 4), 0);
    assert_int_equal(book_sessions_of(w->b, ACCOUNT), 0);
    n = book_counts(w->b);
    assert_true(n.access_keys == 1 && n.sessions == 0);
}

static void test_session_policies(void **state)
{
    struct world             *w = *state;
    struct authz_policy       got[SESSION_POLICIES_MAX];
    struct access_key_record *k = make_access_key(w, "ASIA1", ACCOUNT, "AROA1");
    struct identity_document *docs = arena_alloc(k->arena, 2 * sizeof *docs);

    docs[0].text = BYTES_LIT(ALLOW);
    docs[1].name = BYTES_LIT("arn:aws:iam::aws:policy/ReadOnlyAccess");
    k->session = (struct session){ .kind = SESSION_ROLE, .policies = docs, .n_policies = 2 };
    book_put_access_key(w->b, k);
    assert_int_equal(book_session_policies(w->b, &k->session, got), 2);
    assert_true(got[0].policy != NULL && got[0].name.len == 0);
    assert_true(got[1].policy != NULL && bytes_eq(got[1].name, docs[1].name));
}

static struct access_key_use use_at(int64_t at, enum used_service service, const char *region)
{
    struct access_key_use use = { .at = at, .service = service };

    (void)snprintf(use.region, sizeof use.region, "%s", region);
    return use;
}

static void mark(struct world *w, struct access_key_use use)
{
    book_mark_used(w->b, BYTES_LIT("AKIA1"), &use);
}

static void test_last_used(void **state)
{
    struct world             *w = *state;
    struct access_key_record *s = make_access_key(w, "ASIA1", ACCOUNT, "AIDA1");
    struct access_key_use     got, *list = NULL;
    struct access_key_use     use = use_at(9000, USED_KMS, "eu-west-3");
    size_t                    n = 9;

    book_put_access_key(w->b, make_access_key(w, "AKIA1", ACCOUNT, "AIDA1"));
    s->session.kind = SESSION_USER;
    book_put_access_key(w->b, s);
    assert_false(book_last_used(w->b, BYTES_LIT("AKIA1"), &got));
    assert_false(book_has_used(w->b));
    book_mark_used(w->b, BYTES_LIT("ASIA1"), &use); /* sessions do not count */
    book_mark_used(w->b, BYTES_LIT("AKIA9"), &use);
    assert_false(book_has_used(w->b));

    mark(w, use);
    mark(w, use_at(8000, USED_IAM, "us-east-1")); /* earlier: nothing happens */
    assert_true(book_last_used(w->b, BYTES_LIT("AKIA1"), &got));
    assert_true(got.at == 9000 && got.service == USED_KMS);
    assert_string_equal(got.region, "eu-west-3");
    assert_true(book_has_used(w->b));
    assert_int_equal(book_take_used(w->b, &list, &n, NULL), KMS_OK);
    assert_int_equal(n, 1);
    assert_true(list[0].access_key == got.access_key && list[0].at == 9000);
    free(list);
    assert_int_equal(book_take_used(w->b, &list, &n, NULL), KMS_OK);
    assert_true(n == 0 && list == NULL);
    book_give_back_used(w->b); /* it could not be stored */
    assert_int_equal(book_take_used(w->b, &list, &n, NULL), KMS_OK);
    assert_int_equal(n, 1);
    free(list);

    mark(w, use_at(10999, USED_STS, "us-east-1"));
    assert_true(book_last_used(w->b, BYTES_LIT("AKIA1"), &got));
    assert_true(got.at == 10000 && got.service == USED_STS);
    assert_string_equal(got.region, "us-east-1");
    /* more Regions than there are numbers: the rest has no name, and nothing else suffers */
    for (unsigned i = 0; i < 1100; i++) {
        char region[24];
        (void)snprintf(region, sizeof region, "xx-test-%u", i);
        mark(w, use_at(20000 + 1000 * (int64_t)i, USED_KMS, region));
        assert_true(book_last_used(w->b, BYTES_LIT("AKIA1"), &got));
        assert_string_equal(got.region, i < 1021 ? region : "");
    }
}

/* Every managed policy of the server's own says something. */
static void test_managed(void **state)
{
    struct world                 *w = *state;
    const struct identity_record *list[10];
    size_t n = book_list_identities(w->b, BYTES_LIT("aws"), IDENTITY_POLICY, 0, list, 10);

    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(identity_default_version(list[i])->rights->policy);
        assert_ptr_equal(book_identity_by_arn(w->b, list[i]->arn), list[i]);
        assert_int_equal(list[i]->unique_id.len, 21);
    }
    assert_true(
        bytes_eq_str(list[3]->arn, "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"));
    assert_int_equal(book_counts(w->b).policies, 0); /* of customers */
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_accounts),    IN_WORLD(test_names),
        IN_WORLD(test_made_again),  IN_WORLD(test_listing),
        IN_WORLD(test_policies),    IN_WORLD(test_attached_to),
        IN_WORLD(test_access_keys), IN_WORLD(test_session_policies),
        IN_WORLD(test_managed),     IN_WORLD(test_last_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
