/* tests/unit/base/test_index.c - the hash table: finding, growing, removing, and readers
 * meanwhile. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/index.h"

struct thing {
    struct index_node node;
    char              name[32];
    unsigned          visits;
};

static struct thing *things_new(size_t n)
{
    struct thing *t = calloc(n, sizeof *t);

    assert_non_null(t);
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(t[i].name, sizeof t[i].name, "thing-%zu", i);
        t[i].node.key = bytes_of(t[i].name, (size_t)len);
    }
    return t;
}

static void visit(struct index_node *node, void *ctx)
{
    unsigned *visits = ctx;

    ((struct thing *)(void *)node)->visits++;
    (*visits)++;
}

static void test_insert_find_remove(void **state)
{
    enum { N = 5000 };
    struct epoch *e = epoch_new();
    struct index *ix = index_new(1);
    struct thing *t = things_new(N);
    unsigned      visits = 0;

    (void)state;
    assert_null(index_find(ix, BYTES_LIT("thing-0")));
    for (size_t i = 0; i < N; i++) {
        index_insert(ix, &t[i].node, e);
        assert_int_equal(index_count(ix), i + 1);
        assert_ptr_equal(index_find(ix, t[i].node.key), &t[i].node);
    }
    for (size_t i = 0; i < N; i++)
        assert_ptr_equal(index_find(ix, t[i].node.key), &t[i].node);
    assert_null(index_find(ix, BYTES_LIT("thing-5000")));
    assert_null(index_find(ix, BYTES_LIT("thing-")));
    assert_null(index_find(ix, BYTES_LIT("")));

    for (size_t i = 0; i < N; i += 2)
        index_remove(ix, &t[i].node);
    assert_int_equal(index_count(ix), N / 2);
    for (size_t i = 0; i < N; i++)
        assert_ptr_equal(index_find(ix, t[i].node.key), i % 2 == 0 ? NULL : &t[i].node);

    index_each(ix, visit, &visits);
    assert_int_equal(visits, N / 2);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(t[i].visits, i % 2);

    index_insert(ix, &t[0].node, e); /* may come back */
    assert_ptr_equal(index_find(ix, t[0].node.key), &t[0].node);
    index_free(ix);
    epoch_free(e);
    free(t);
}

static void test_keys_of_every_length(void **state)
{
    static struct index_node node[65];
    static const uint8_t     zeros[65];
    struct index            *ix = index_new(7);

    (void)state;
    for (size_t len = 0; len < 65;
         len++) { /* equal bytes, so that only the length tells them apart */
        node[len].key = bytes_of(zeros, len);
        index_insert(ix, &node[len], NULL);
    }
    for (size_t len = 0; len < 65; len++)
        assert_ptr_equal(index_find(ix, bytes_of(zeros, len)), &node[len]);
    index_free(ix);
}

/* Every bit of every byte changes the hash, whatever the length, and the seed does. */
static void test_hash_sees_every_bit(void **state)
{
    enum { MAX = 50 };
    struct index *ix = index_new(0x123456789abcdef0u);
    struct index *other = index_new(0x123456789abcdef1u);
    uint8_t       key[MAX] = { 0 };

    (void)state;
    for (size_t len = 1; len <= MAX; len++) {
        uint64_t plain = index_hash(ix, bytes_of(key, len));
        assert_int_not_equal(plain, index_hash(other, bytes_of(key, len)));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(index_hash(ix, bytes_of(key, len)), plain);
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    index_free(ix);
    index_free(other);
}

/* Names that count upwards, as ids in tests and account numbers do, are spread over all slots. */
static void test_hash_spreads(void **state)
{
    enum { SLOTS = 1 << 12, LONGEST = 20 };
    static uint8_t load[SLOTS];
    struct index  *ix = index_new(1);
    size_t         empty = 0;

    (void)state;
    for (unsigned i = 0; i < 4 * SLOTS; i++) {
        char   name[24];
        int    len = snprintf(name, sizeof name, "%012u", i);
        size_t slot = index_hash(ix, bytes_of(name, (size_t)len)) % SLOTS;
        assert_true(++load[slot] <= LONGEST); /* 4 on average; by chance 1 in 10^8 has 20 */
    }
    for (size_t i = 0; i < SLOTS; i++)
        empty += load[i] == 0;
    assert_true(empty < SLOTS / 25); /* by chance one in 55 */
    index_free(ix);
}

static void test_without_an_epoch_it_does_not_grow_but_works(void **state)
{
    enum { N = 2000 };
    struct index *ix = index_new(3);
    struct thing *t = things_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++)
        index_insert(ix, &t[i].node, NULL);
    for (size_t i = 0; i < N; i++)
        assert_ptr_equal(index_find(ix, t[i].node.key), &t[i].node);
    index_free(ix);
    free(t);
}

/* Readers who count while it makes up for several growths: key/test_directory_stress.c. */
static void test_growth_left_out_is_made_up_for(void **state)
{
    enum { N = 5000 };
    struct epoch *e = epoch_new();
    struct index *ix = index_new(3);
    struct thing *t = things_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++)
        index_insert(ix, &t[i].node, NULL);
    for (int times = 0; times < 2; times++) { /* the second finds nothing to do */
        index_grow(ix, e);
        assert_int_equal(index_count(ix), N);
        for (size_t i = 0; i < N; i++)
            assert_ptr_equal(index_find(ix, t[i].node.key), &t[i].node);
    }
    for (size_t i = 0; i < N; i++)
        index_remove(ix, &t[i].node);
    assert_int_equal(index_count(ix), 0);
    index_free(ix);
    epoch_free(e);
    free(t);
}

struct remover {
    struct index *ix;
    unsigned      removed;
};

static void remove_it(struct index_node *node, void *ctx)
{
    struct remover *r = ctx;

    index_remove(r->ix, node);
    r->removed++;
}

static void test_visitor_may_remove(void **state)
{
    enum { N = 1000 };
    struct epoch  *e = epoch_new();
    struct remover r = { .ix = index_new(9) };
    struct thing  *t = things_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++)
        index_insert(r.ix, &t[i].node, e);
    index_each(r.ix, remove_it, &r);
    assert_int_equal(r.removed, N);
    assert_int_equal(index_count(r.ix), 0);
    index_free(r.ix);
    epoch_free(e);
    free(t);
}

/* Readers look for things that stay, while others come, make the table grow, and go. */
enum { STAYING = 500, COMING = 60000, READERS = 3 };

struct stress {
    struct epoch *epoch;
    struct index *ix;
    struct thing *staying;
    _Atomic bool  stop;
    _Atomic int   missed;
    _Atomic int   passes;
};

static void *look_for_all(void *arg)
{
    struct stress *s = arg;
    int            me = epoch_register(s->epoch);

    while (!atomic_load(&s->stop)) {
        for (size_t i = 0; i < STAYING; i++) {
            epoch_enter(s->epoch, me);
            if (index_find(s->ix, s->staying[i].node.key) != &s->staying[i].node)
                atomic_fetch_add(&s->missed, 1);
            if (index_find(s->ix, BYTES_LIT("never there")) != NULL)
                atomic_fetch_add(&s->missed, 1);
            epoch_leave(s->epoch, me);
        }
        atomic_fetch_add(&s->passes, 1);
    }
    return NULL;
}

static void test_readers_miss_nothing_while_it_grows(void **state)
{
    struct stress s = { .epoch = epoch_new(), .ix = index_new(11), .staying = things_new(STAYING) };
    struct thing *coming = calloc(COMING, sizeof *coming);
    pthread_t     thread[READERS];

    (void)state;
    assert_non_null(coming);
    for (size_t i = 0; i < STAYING; i++)
        index_insert(s.ix, &s.staying[i].node, s.epoch);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, look_for_all, &s), 0);
    while (atomic_load(&s.passes) < READERS) /* they are all on their way */
        (void)sched_yield();
    for (size_t i = 0; i < COMING; i++) {
        int len = snprintf(coming[i].name, sizeof coming[i].name, "coming-%zu", i);
        coming[i].node.key = bytes_of(coming[i].name, (size_t)len);
        index_insert(s.ix, &coming[i].node, s.epoch);
        if (i % 3 == 0)
            index_remove(s.ix, &coming[i / 3].node);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(atomic_load(&s.missed), 0);
    assert_int_equal(index_count(s.ix), STAYING + COMING - COMING / 3);
    index_free(s.ix);
    epoch_free(s.epoch);
    free(s.staying);
    free(coming);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_find_remove),
        cmocka_unit_test(test_keys_of_every_length),
        cmocka_unit_test(test_hash_sees_every_bit),
        cmocka_unit_test(test_hash_spreads),
        cmocka_unit_test(test_without_an_epoch_it_does_not_grow_but_works),
        cmocka_unit_test(test_growth_left_out_is_made_up_for),
        cmocka_unit_test(test_visitor_may_remove),
        cmocka_unit_test(test_readers_miss_nothing_while_it_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
