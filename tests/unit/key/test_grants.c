/* tests/unit/key/test_grants.c - grants in memory against a plain list, their pairs as one value,
 * and what a key with many of them costs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "instrumented.h"
#include "key/directory.h"
#include "key/grants.h"

enum { KEYS = 3, GRANTEES = 4, MODEL = 400 };

static const char *const key_ids[KEYS] = { "1234abcd-12ab-34cd-56ef-1234567890ab",
                                           "2234abcd-12ab-34cd-56ef-1234567890ab",
                                           "mrk-1234abcd12ab34cd56ef1234567890ab" };
static const char *const grantees[GRANTEES] = { "AIDAEXAMPLE", "AROAEXAMPLE", "AROAEXAMPLE:name",
                                                "111122223333" };

static struct key_name name_of(size_t key)
{
    return (struct key_name){ BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                              bytes_str(key_ids[key]), BYTES_LIT("not looked at") };
}

static struct grant_record *grant(size_t key, uint64_t serial, size_t grantee, const char *retiring)
{
    struct grant_record *g = grant_record_new();
    char                 id[GRANT_ID_LEN + 1];

    assert_non_null(g);
    (void)snprintf(id, sizeof id, "%064llx", (unsigned long long)serial);
    grant_record_set_key(g, BYTES_LIT("111122223333"), BYTES_LIT("eu-west-3"),
                         bytes_str(key_ids[key]));
    g->id = arena_copy(g->arena, bytes_str(id));
    g->serial = serial;
    g->grantee = bytes_str(grantees[grantee]);
    g->retiring = bytes_str(retiring);
    g->issuing_account = BYTES_LIT("111122223333");
    g->operations = 1u << GRANT_DECRYPT;
    return g;
}

struct world {
    struct epoch      *epoch;
    struct grant_book *book;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    w->book = grant_book_new(w->epoch, 1);
    assert_true(w->epoch != NULL && w->book != NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    grant_book_free(w->book);
    epoch_free(w->epoch);
    free(w);
    return 0;
}

static void put(struct world *w, struct grant_record *g)
{
    grants_put(w->book, &g, 1);
}

/* --- against a plain list --------------------------------------------------------------------- */

struct model {
    const struct grant_record *at[MODEL]; /* by serial; NULL: not there */
    uint64_t                   random;
};

static size_t below(struct model *m, size_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(m->random >> 33) % n;
}

static bool is_of(const struct grant_record *g, size_t key, const char *grantee)
{
    return g != NULL && bytes_eq_str(g->key.id, key_ids[key]) &&
           (grantee == NULL || bytes_eq_str(g->grantee, grantee));
}

static void compare_list(struct world *w, const struct model *m, size_t key, const char *grantee)
{
    const struct grant_record *got[MODEL];
    struct key_name            name = name_of(key);
    size_t                     n = grants_list(w->book, &name, bytes_str(grantee), 0, got, MODEL);
    size_t                     want = 0;

    for (size_t i = 0; i < MODEL; i++) {
        if (!is_of(m->at[i], key, grantee))
            continue;
        assert_true(want < n && got[want] == m->at[i]); /* in order */
        want++;
    }
    assert_int_equal(n, want);
    if (grantee == NULL) {
        assert_int_equal(grants_count_on(w->book, &name), want);
        assert_int_equal(grants_on(w->book, &name) != NULL, want > 0);
        return;
    }
    const struct grant_set *set = grants_to(w->book, grants_on(w->book, &name), bytes_str(grantee));
    assert_int_equal(set == NULL ? 0 : set->n, want);
}

static void compare(struct world *w, const struct model *m)
{
    const struct grant_record *got[MODEL];
    size_t                     retirable = 0;
    size_t                     all = 0;

    for (size_t key = 0; key < KEYS; key++) {
        compare_list(w, m, key, NULL);
        for (size_t i = 0; i < GRANTEES; i++)
            compare_list(w, m, key, grantees[i]);
    }
    for (size_t i = 0; i < MODEL; i++) {
        all += m->at[i] != NULL;
        retirable += m->at[i] != NULL && m->at[i]->retiring.len > 0 &&
                     !m->at[i]->retiring_is_service;
    }
    assert_int_equal(grants_count(w->book), all);
    assert_int_equal(
        grants_list_retirable(w->book, BYTES_LIT("eu-west-3"), BYTES_LIT("retirer"), 0, got, MODEL),
        retirable);
    for (size_t i = 1; i < retirable; i++)
        assert_true(got[i - 1]->serial < got[i]->serial);
    assert_int_equal(
        grants_list_retirable(w->book, BYTES_LIT("us-east-1"), BYTES_LIT("retirer"), 0, got, MODEL),
        0);
}

static void remove_one(struct world *w, struct model *m)
{
    size_t i = below(m, MODEL);

    if (m->at[i] == NULL)
        return;
    struct bytes    id = m->at[i]->id;
    struct key_name name = name_of(0);

    name.arn = m->at[i]->key.arn;
    assert_ptr_equal(grants_find(w->book, &name, id), m->at[i]);
    name.arn = BYTES_LIT("another");
    assert_null(grants_find(w->book, &name, id));
    grants_remove(w->book, id);
    name.arn = m->at[i]->key.arn;
    assert_null(grants_find(w->book, &name, id)); /* not reclaimed yet */
    m->at[i] = NULL;
}

static void test_like_a_list(void **state)
{
    struct world *w = *state;
    struct model  m = { .random = 7 };

    for (uint64_t serial = 1; serial < MODEL; serial++) {
        const char          *retiring = below(&m, 3) == 0 ? NULL : "retirer";
        struct grant_record *g = grant(below(&m, KEYS), serial, below(&m, GRANTEES), retiring);

        g->retiring_is_service = below(&m, 5) == 0;
        m.at[serial] = g;
        put(w, g);
        if (below(&m, 3) == 0)
            remove_one(w, &m);
        if (serial % 40 == 0) {
            compare(w, &m);
            grants_reclaim(w->book);
            compare(w, &m);
        }
    }
    struct key_name name = name_of(1); /* with all that it has */

    grants_remove_key(w->book, &name);
    for (size_t i = 0; i < MODEL; i++) {
        if (is_of(m.at[i], 1, NULL))
            m.at[i] = NULL;
    }
    compare(w, &m);
    grants_reclaim(w->book);
    for (size_t i = 0; i < 8 * MODEL; i++)
        remove_one(w, &m);
    compare(w, &m);
}

static void test_all_at_once(void **state)
{
    struct world        *w = *state;
    struct model         m = { .random = 3 };
    struct grant_record *list[MODEL];
    size_t               n = 0;

    put(w, grant(0, 1, 0, "retirer")); /* sets that are there are added to */
    grants_put(w->book, NULL, 0);
    grants_remove(w->book, BYTES_LIT("nobody"));
    for (uint64_t serial = 2; serial < MODEL; serial++) {
        list[n] = grant(below(&m, KEYS), serial, below(&m, GRANTEES), "retirer");
        m.at[serial] = list[n++];
    }
    grants_put(w->book, list, n);
    struct key_name            name = name_of(0);
    const struct grant_record *first = NULL;

    assert_int_equal(grants_list(w->book, &name, (struct bytes){ NULL, 0 }, 0, &first, 1), 1);
    m.at[1] = first;
    compare(w, &m);
}

static void test_pages(void **state)
{
    struct world              *w = *state;
    const struct grant_record *got[3];
    struct key_name            name = name_of(0);

    for (uint64_t serial = 1; serial <= 8; serial++)
        put(w, grant(0, serial * 10, serial % 2, "retirer"));
    assert_int_equal(grants_list(w->book, &name, (struct bytes){ NULL, 0 }, 30, got, 3), 3);
    assert_true(got[0]->serial == 40 && got[2]->serial == 60);
    assert_int_equal(grants_list(w->book, &name, bytes_str(grantees[1]), 30, got, 3), 2);
    assert_true(got[0]->serial == 50 && got[1]->serial == 70);
    assert_int_equal(
        grants_list_retirable(w->book, BYTES_LIT("eu-west-3"), BYTES_LIT("retirer"), 60, got, 3),
        2);
    assert_true(got[0]->serial == 70 && got[1]->serial == 80);
}

static void test_names_that_are_too_long(void **state)
{
    struct world   *w = *state;
    char            text[GRANT_PRINCIPAL_MAX + 2];
    struct key_name name = name_of(0);

    memset(text, 'x', sizeof text);
    put(w, grant(0, 1, 0, NULL));
    const struct key_grants *on = grants_on(w->book, &name);
    assert_null(grants_to(w->book, on, bytes_of(text, sizeof text)));
    assert_null(grants_to(w->book, on, (struct bytes){ NULL, 0 }));
    assert_null(grants_to(w->book, NULL, bytes_str(grantees[0])));
    assert_non_null(grants_to(w->book, on, bytes_str(grantees[0])));
    name.region = bytes_of(text, sizeof text);
    assert_null(grants_on(w->book, &name));
    assert_int_equal(grants_list_retirable(w->book, BYTES_LIT("eu-west-3"),
                                           bytes_of(text, sizeof text), 0,
                                           (const struct grant_record *[1]){ NULL }, 1),
                     0);
}

/* --- with the directory ----------------------------------------------------------------------- */

static void test_a_key_takes_them_along(void **state)
{
    struct world     *w = *state;
    struct directory *d = directory_new(w->epoch, 5);
    struct key_name   name = name_of(0);

    assert_non_null(d);
    struct key_record *k = key_record_new();
    assert_non_null(k);
    key_record_set_name(k, name.account, name.region, name.id);
    k->serial = 1;
    directory_put_key(d, k);
    for (uint64_t serial = 1; serial <= 5; serial++) {
        struct grant_record *g = grant(serial == 5, serial, serial % GRANTEES, "retirer");
        grants_put(directory_grants(d), &g, 1);
    }
    assert_int_equal(grants_count_on(directory_grants(d), &name), 4);
    directory_remove_key(d, name.account, name.region, name.id);
    assert_int_equal(grants_count_on(directory_grants(d), &name), 0);
    assert_int_equal(grants_count(directory_grants(d)), 1); /* of another key */
    epoch_barrier(w->epoch);
    directory_reclaim(d);
    directory_free(d);
}

/* --- many ------------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The worst case: all of a key's grants are to one grantee, so that each one more copies their set. */
static void test_a_full_key(void **state)
{
    struct world         *w = *state;
    struct grant_record **list = calloc(GRANTS_PER_KEY, sizeof(struct grant_record *));
    struct key_name       name = name_of(0);
    enum { MORE = 200 };

    assert_non_null(list);
    for (size_t i = 0; i < GRANTS_PER_KEY; i++)
        list[i] = grant(0, i + 1, 0, "retirer");
    double start = seconds();
    grants_put(w->book, list, GRANTS_PER_KEY);
    double loaded = seconds();
    for (uint64_t i = 1; i <= MORE; i++)
        put(w, grant(0, GRANTS_PER_KEY + i, 0, "retirer"));
    double added = seconds();
    for (size_t i = 0; i < MORE; i++)
        grants_remove(w->book, list[i * 100]->id);
    double removed = seconds();
    assert_int_equal(grants_count_on(w->book, &name), GRANTS_PER_KEY);
    print_message("# loading %d grants: %.0f ms; one more: %.0f us; one less: %.0f us\n",
                  GRANTS_PER_KEY, (loaded - start) * 1e3, (added - loaded) * 1e6 / MORE,
                  (removed - added) * 1e6 / MORE);
    /* copying 400 kB, not 50,000 times that */
    assert_cost((added - loaded) / MORE, 0.02);
    assert_cost((removed - added) / MORE, 0.02);
    free(list);
}

/* --- readers beside the writer ---------------------------------------------------------------- */

struct reading {
    struct world *w;
    _Atomic bool  stop;
    _Atomic long  seen;
};

static void *read_on(void *arg)
{
    struct reading *r = arg;
    int             reader = epoch_register(r->w->epoch);
    struct key_name name = name_of(0);

    assert_true(reader >= 0);
    while (!atomic_load(&r->stop)) {
        epoch_enter(r->w->epoch, reader);
        const struct key_grants *on = grants_on(r->w->book, &name);
        const struct grant_set  *set = grants_to(r->w->book, on, bytes_str(grantees[0]));
        for (size_t i = 0; set != NULL && i < set->n; i++) {
            assert_true(bytes_eq_str(set->grants[i]->grantee, grantees[0]));
            atomic_fetch_add(&r->seen, 1);
        }
        const struct grant_record *page[16];
        size_t n = grants_list(r->w->book, &name, (struct bytes){ NULL, 0 }, 0, page, 16);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(page[i]->id.len, GRANT_ID_LEN);
        epoch_leave(r->w->epoch, reader);
    }
    return NULL;
}

static void test_readers(void **state)
{
    struct world  *w = *state;
    struct reading r = { .w = w };
    pthread_t      thread;

    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (uint64_t serial = 1; serial < 3000 || atomic_load(&r.seen) == 0; serial++) {
        struct grant_record *g = grant(0, serial, serial % 3 == 0 ? 1 : 0, "retirer");
        char                 old[GRANT_ID_LEN + 1];

        put(w, g);
        (void)snprintf(old, sizeof old, "%064llx", (unsigned long long)(serial - 10));
        if (serial > 10)
            grants_remove(w->book, bytes_str(old));
        if (serial % 7 == 0) {
            epoch_barrier(w->epoch);
            grants_reclaim(w->book);
        }
    }
    atomic_store(&r.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&r.seen) > 0);
}

/* --- records ---------------------------------------------------------------------------------- */

static void test_operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < GRANT_OPERATION_COUNT; i++)
        assert_int_equal(grant_operation_of(bytes_str(grant_operation_names[i])), i);
    assert_null(grant_operation_names[GRANT_OPERATION_COUNT]);
    assert_int_equal(grant_operation_of(BYTES_LIT("encrypt")), GRANT_NO_OPERATION);
    assert_int_equal(grant_operation_of(BYTES_LIT("")), GRANT_NO_OPERATION);
    assert_int_equal(GRANT_ENCAPSULATE, 17); /* stored: docs/storage-database.md */
}

static void test_pairs(void **state)
{
    struct grant_pair                                pairs[] = { { BYTES_LIT("a"), BYTES_LIT("1") },
                                                                 { BYTES_LIT("ab"), BYTES_LIT("") } };
    CLEANUP(grant_record_freep) struct grant_record *g = grant(0, 1, 0, NULL);
    CLEANUP(grant_record_freep) struct grant_record *to = grant(0, 1, 0, NULL);
    CLEANUP(buf_release) struct buf                  out = BUF_INIT(4096);

    (void)state;
    assert_true(grant_pairs_read(to, (struct bytes){ NULL, 0 }) && to->n_pairs == 0);
    g->pairs = pairs;
    g->n_pairs = 2;
    grant_pairs_add(&out, g);
    assert_true(grant_pairs_read(to, buf_bytes(&out)));
    assert_true(grant_same(g, to));
    for (size_t len = 1; len < out.len; len++) /* also the one that ends after the first pair */
        assert_int_equal(grant_pairs_read(to, bytes_of(out.ptr, len)), len == 10);
    assert_true(!grant_same(g, to));

    struct grant_pair        backwards[] = { pairs[1], pairs[0] };
    struct grant_pair        twice[] = { pairs[0], pairs[0] };
    struct grant_pair *const wrong[] = { backwards, twice };
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&out);
        g->pairs = wrong[i];
        grant_pairs_add(&out, g);
        assert_false(grant_pairs_read(to, buf_bytes(&out)));
        assert_int_equal(to->n_pairs, 0);
    }
    buf_reset(&out);
    for (size_t i = 0; i <= GRANT_PAIRS_MAX; i++) {
        uint8_t key = (uint8_t)('a' + i);
        buf_add_field(&out, bytes_of(&key, 1));
        buf_add_field(&out, BYTES_LIT(""));
    }
    assert_false(grant_pairs_read(to, buf_bytes(&out)));
    assert_true(grant_pairs_read(to, bytes_of(out.ptr, out.len - 9)));
    assert_int_equal(to->n_pairs, GRANT_PAIRS_MAX);
}

/* Everything that makes a grant with a name another one. */
static void test_same(void **state)
{
    CLEANUP(grant_record_freep) struct grant_record *a = grant(0, 1, 0, "retirer");
    CLEANUP(grant_record_freep) struct grant_record *b = grant(0, 2, 0, "retirer");
    struct grant_pair                                pair = { BYTES_LIT("k"), BYTES_LIT("v") };
    struct grant_record                              other[11];

    (void)state;
    b->created = 5;
    assert_true(grant_same(a, b)); /* id, serial and time do not count */
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        other[i] = *b;
    other[0].key.arn = BYTES_LIT("other");
    other[1].name = BYTES_LIT("other");
    other[2].grantee = BYTES_LIT("other");
    other[3].grantee_is_service = true;
    other[4].retiring = BYTES_LIT("other");
    other[5].retiring_is_service = true;
    other[6].issuing_account = BYTES_LIT("444455556666");
    other[7].operations |= 1u << GRANT_ENCRYPT;
    other[8].constraint = GRANT_CONTEXT_EQUALS;
    other[9].pairs = &pair;
    other[9].n_pairs = 1;
    other[10].source_arn = BYTES_LIT("arn:aws:sqs:eu-west-3:111122223333:q");
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_false(grant_same(a, &other[i]));
    struct grant_record one = other[9];
    struct grant_pair   key = { BYTES_LIT("K"), BYTES_LIT("v") };
    struct grant_pair   value = { BYTES_LIT("k"), BYTES_LIT("V") };

    assert_true(grant_same(&one, &other[9]));
    one.pairs = &key;
    assert_false(grant_same(&one, &other[9]));
    one.pairs = &value;
    assert_false(grant_same(&one, &other[9]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_like_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_takes_them_along, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers, setup, teardown),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
