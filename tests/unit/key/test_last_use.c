/* tests/unit/key/test_last_use.c - slots of last uses: what is read is whole, the latest use stays,
 * nothing that was marked is missed by the store; and what a mark costs. The races are for
 * ThreadSanitizer and AddressSanitizer too: make check runs this under both. */
#include <pthread.h>
#include <sched.h>
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
#include "key/last_use.h"

enum { SLOWER = INSTRUMENTED ? 10 : 1 };
enum { MARKS = 200000, ROUNDS = 30000 / SLOWER, COST_MARKS = 2000000 / SLOWER };
enum { COST_LIMIT_NS = 1000 }; /* on a busy machine; the figure is printed */

struct world {
    struct epoch     *epoch;
    struct directory *d;
    int               reader;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    assert_non_null(w->epoch);
    w->d = directory_new(w->epoch, 1);
    assert_non_null(w->d);
    w->reader = epoch_register(w->epoch);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    directory_free(w->d);
    epoch_free(w->epoch);
    free(w);
    return 0;
}

static struct key_name add_key(struct world *w, uint64_t serial)
{
    struct key_record *k = fixture_key("us-east-1", serial, ORIGIN_AWS_KMS);

    directory_put_key(w->d, k);
    return k->name; /* of the record: until it is replaced or removed */
}

static void remove_key(struct world *w, uint64_t serial)
{
    char id[KEY_ID_MAX + 1];

    fixture_key_id(id, serial);
    directory_remove_key(w->d, BYTES_LIT("111122223333"), BYTES_LIT("us-east-1"), bytes_str(id));
    epoch_barrier(w->epoch);
    directory_reclaim(w->d);
}

/* Every byte of a mark follows from its number, so that a mixture of two shows. */
static struct key_usage_mark mark_of(uint64_t n)
{
    struct key_usage_mark m = {
        .operation = (enum tracked_operation)(1 + n % (TRACKED_COUNT - 1)),
        .at = (int64_t)n,
    };

    for (size_t i = 0; i < 2; i++) {
        uint64_t event = n * 3 + i;
        uint64_t request = n * 5 + i;
        memcpy(m.event_id + 8 * i, &event, 8);
        memcpy(m.request_id + 8 * i, &request, 8);
    }
    return m;
}

static bool mark_equal(const struct key_usage_mark *a, const struct key_usage_mark *b)
{
    return a->operation == b->operation && a->at == b->at &&
           memcmp(a->event_id, b->event_id, 16) == 0 &&
           memcmp(a->request_id, b->request_id, 16) == 0;
}

static void mark(struct world *w, const struct key_name *name, uint64_t n)
{
    struct key_usage_mark m = mark_of(n);

    directory_mark_used(w->d, name, &m);
}

static void expect(struct world *w, const struct key_name *name, uint64_t n)
{
    struct key_usage_record r;
    struct key_usage_mark   want = mark_of(n);

    assert_true(directory_last_usage(w->d, name, &r));
    assert_true(mark_equal(&r.last, &want));
}

static struct key_usage_record *take(struct world *w, size_t *ret_n)
{
    struct key_usage_record *list = NULL;
    struct kms_error         err;

    assert_int_equal(directory_take_used(w->d, &list, ret_n, &err), KMS_OK);
    return list;
}

/* --- one thread --------------------------------------------------------------------------------- */

static void names_are_inverse(void **state)
{
    (void)state;
    for (size_t i = 1; i < TRACKED_COUNT; i++)
        assert_int_equal(tracked_operation_of(tracked_operation_name((enum tracked_operation)i)),
                         i);
    assert_int_equal(tracked_operation_of("GetPublicKey"), TRACKED_NONE);
    assert_int_equal(tracked_operation_of("GenerateRandom"), TRACKED_NONE);
    assert_int_equal(tracked_operation_of(""), TRACKED_NONE);
}

static void the_latest_use_stays(void **state)
{
    struct world           *w = *state;
    struct key_name         name = add_key(w, 1);
    struct key_usage_record r;

    assert_true(directory_last_usage(w->d, &name, &r));
    assert_int_equal(r.last.operation, TRACKED_NONE);
    assert_int_equal(r.key, 1);
    assert_int_equal(r.since, 0);
    mark(w, &name, 10);
    expect(w, &name, 10);
    mark(w, &name, 9); /* of a loop that was slower */
    expect(w, &name, 10);
    struct key_usage_mark same_time = mark_of(11);
    same_time.at = 10;
    directory_mark_used(w->d, &name, &same_time);
    assert_true(directory_last_usage(w->d, &name, &r));
    assert_true(mark_equal(&r.last, &same_time));
}

static void outlives_the_record(void **state)
{
    struct world   *w = *state;
    struct key_name name = add_key(w, 1);

    mark(w, &name, 7);
    struct key_name after = add_key(w, 1);
    epoch_barrier(w->epoch);
    directory_reclaim(w->d);
    expect(w, &after, 7);
}

static void goes_with_the_key(void **state)
{
    struct world                           *w = *state;
    CLEANUP(freep) struct key_usage_record *list = NULL;
    struct key_usage_record                 r;
    char                                    arn[KEY_ARN_MAX + 1];
    size_t                                  n = 0;
    struct key_name                         name = add_key(w, 1);

    mark(w, &name, 7); /* queued when it is removed */
    (void)snprintf(arn, sizeof arn, "%.*s", BYTES_FMT(name.arn));
    name = key_name_in(bytes_str(arn), &name);
    remove_key(w, 1);
    assert_false(directory_last_usage(w->d, &name, &r));
    mark(w, &name, 8); /* a request that was on its way: nothing happens */
    assert_true(directory_has_used(w->d));
    list = take(w, &n);
    assert_int_equal(n, 0);
    assert_false(directory_has_used(w->d));
    struct key_name again = add_key(w, 1);
    assert_true(directory_last_usage(w->d, &again, &r));
    assert_int_equal(r.last.operation, TRACKED_NONE);
    mark(w, &again, 9); /* stays queued: directory_free has to find it */
}

static void taken_once_and_given_back(void **state)
{
    struct world   *w = *state;
    struct key_name name[3];
    size_t          n = 0;

    for (size_t i = 0; i < 3; i++)
        name[i] = add_key(w, i + 1);
    assert_false(directory_has_used(w->d));
    mark(w, &name[0], 1);
    mark(w, &name[2], 2);
    mark(w, &name[2], 3);
    struct key_usage_record *list = take(w, &n);
    assert_int_equal(n, 2);
    size_t                of_3 = list[0].key == 3 ? 0 : 1;
    struct key_usage_mark want = mark_of(3);
    assert_int_equal(list[of_3].key, 3);
    assert_int_equal(list[1 - of_3].key, 1);
    assert_true(mark_equal(&list[of_3].last, &want));
    mark(w, &name[0], 4); /* meanwhile */
    directory_give_back_used(w->d, list, n);
    free(list);
    list = take(w, &n);
    assert_int_equal(n, 2);
    free(list);
    list = take(w, &n);
    assert_int_equal(n, 0);
    free(list);
}

static void loaded_is_not_stored_again(void **state)
{
    struct world           *w = *state;
    struct key_name         name = add_key(w, 1);
    struct key_usage_record r = { .key = 1, .last = mark_of(5), .since = 3 };

    directory_load_usage(w->d, &name, &r);
    expect(w, &name, 5);
    assert_false(directory_has_used(w->d));
    assert_true(directory_last_usage(w->d, &name, &r));
    assert_int_equal(r.since, 3);
    mark(w, &name, 4);
    expect(w, &name, 5);
    assert_false(directory_has_used(w->d));
    mark(w, &name, 6);
    expect(w, &name, 6);
    assert_true(directory_has_used(w->d));
}

/* --- several threads ---------------------------------------------------------------------------- */

enum { MARKERS = 3, KEYS = 4 };

struct race {
    struct world    *w;
    struct key_name  name[KEYS];
    _Atomic uint64_t now;
    _Atomic int      running;
    _Atomic size_t   torn;
    _Atomic size_t   back; /* a later read gave an earlier use */
};

static void *marker(void *arg)
{
    struct race *r = arg;
    int          reader = epoch_register(r->w->epoch);

    for (size_t i = 0; i < MARKS; i++) {
        uint64_t n = atomic_fetch_add(&r->now, 1);
        epoch_enter(r->w->epoch, reader);
        mark(r->w, &r->name[i % KEYS], n);
        epoch_leave(r->w->epoch, reader);
    }
    atomic_fetch_sub(&r->running, 1);
    return NULL;
}

static void *looker(void *arg)
{
    struct race *r = arg;
    int          reader = epoch_register(r->w->epoch);
    int64_t      seen[KEYS] = { 0 };

    for (size_t i = 0; atomic_load(&r->running) > 0; i = (i + 1) % KEYS) {
        struct key_usage_record u;
        epoch_enter(r->w->epoch, reader);
        bool found = directory_last_usage(r->w->d, &r->name[i], &u);
        epoch_leave(r->w->epoch, reader);
        struct key_usage_mark want = mark_of((uint64_t)u.last.at);
        if (!found || (u.last.operation != TRACKED_NONE && !mark_equal(&u.last, &want)))
            atomic_fetch_add(&r->torn, 1);
        if (u.last.at < seen[i])
            atomic_fetch_add(&r->back, 1);
        seen[i] = u.last.at;
    }
    return NULL;
}

/* What was taken last of each key is what its slot has when all is quiet: no mark was missed. */
static void nothing_is_torn_or_missed(void **state)
{
    struct race r = { .w = *state, .now = 1, .running = MARKERS };
    pthread_t   threads[MARKERS + 1];
    int64_t     taken[KEYS + 1] = { 0 };

    for (size_t i = 0; i < KEYS; i++)
        r.name[i] = add_key(r.w, i + 1);
    for (size_t i = 0; i <= MARKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < MARKERS ? marker : looker, &r), 0);
    for (bool last = false; !last;) {
        size_t n = 0;
        last = atomic_load(&r.running) == 0;
        struct key_usage_record *list = take(r.w, &n);
        for (size_t i = 0; i < n; i++) {
            struct key_usage_mark want = mark_of((uint64_t)list[i].last.at);
            assert_true(mark_equal(&list[i].last, &want));
            taken[list[i].key] = list[i].last.at;
        }
        free(list);
    }
    for (size_t i = 0; i <= MARKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&r.torn), 0);
    assert_int_equal(atomic_load(&r.back), 0);
    for (size_t i = 0; i < KEYS; i++) {
        struct key_usage_record u;
        assert_true(directory_last_usage(r.w->d, &r.name[i], &u));
        assert_int_equal(u.last.at, taken[i + 1]);
    }
    assert_false(directory_has_used(r.w->d));
}

struct rounds {
    struct world    *w;
    struct key_name  name;
    _Atomic uint64_t go;
    _Atomic uint64_t done;
};

/* Marks twice each round: the second one while the first is taken, if it happens so. */
static void *mark_in_rounds(void *arg)
{
    struct rounds *r = arg;
    int            reader = epoch_register(r->w->epoch);

    for (uint64_t n = 1; n <= ROUNDS; n++) {
        while (atomic_load(&r->go) != n)
            (void)sched_yield();
        epoch_enter(r->w->epoch, reader);
        mark(r->w, &r->name, 2 * n);
        for (uint64_t pause = n % 32; pause > 0; pause--)
            atomic_signal_fence(memory_order_seq_cst);
        mark(r->w, &r->name, 2 * n + 1);
        epoch_leave(r->w->epoch, reader);
        atomic_store(&r->done, n);
    }
    return NULL;
}

/* A mark that comes while its key is taken from the queue is taken then, or the next time. */
static void the_last_mark_is_always_taken(void **state)
{
    struct rounds r = { .w = *state };
    pthread_t     thread;
    int64_t       taken = 0;

    r.name = add_key(r.w, 1);
    assert_int_equal(pthread_create(&thread, NULL, mark_in_rounds, &r), 0);
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        atomic_store(&r.go, n);
        for (bool last = false; !last;) {
            size_t found = 0;
            last = atomic_load(&r.done) == n;
            struct key_usage_record *list = take(r.w, &found);
            if (found > 0)
                taken = list[0].last.at;
            free(list);
        }
        assert_int_equal(taken, 2 * n + 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Keys come and go while they are marked; the sanitizers judge. */
static void removal_while_marked(void **state)
{
    struct race r = { .w = *state, .now = 1, .running = MARKERS };
    char        arn[KEYS][KEY_ARN_MAX + 1];
    pthread_t   threads[MARKERS];

    for (size_t i = 0; i < KEYS; i++) {
        struct key_name name = add_key(r.w, i + 1);
        (void)snprintf(arn[i], sizeof arn[i], "%.*s", BYTES_FMT(name.arn));
        r.name[i] = key_name_in(bytes_str(arn[i]), &name);
    }
    for (size_t i = 0; i < MARKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, marker, &r), 0);
    for (uint64_t serial = 1; atomic_load(&r.running) > 0; serial = serial % KEYS + 1) {
        size_t n = 0;
        remove_key(r.w, serial);
        if (serial % 2 == 0)
            free(take(r.w, &n));
        (void)add_key(r.w, serial);
    }
    for (size_t i = 0; i < MARKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* --- cost --------------------------------------------------------------------------------------- */

struct cost {
    struct world     *w;
    struct key_name   name;
    pthread_barrier_t start;
    double            ns[2];
};

struct cost_thread {
    struct cost *cost;
    size_t       number;
};

static double cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* As at the end of a loop's turn: the key by its name, and its slot. */
static void *cost_marks(void *arg)
{
    const struct cost_thread *t = arg;
    struct cost              *c = t->cost;
    int                       reader = epoch_register(c->w->epoch);
    struct key_usage_mark     m = mark_of(1);

    (void)pthread_barrier_wait(&c->start);
    epoch_enter(c->w->epoch, reader);
    double from = cpu_ns();
    for (size_t i = 0; i < COST_MARKS; i++) {
        m.at = (int64_t)i / 64; /* so many in one millisecond */
        directory_mark_used(c->w->d, &c->name, &m);
    }
    c->ns[t->number] = (cpu_ns() - from) / COST_MARKS;
    epoch_leave(c->w->epoch, reader);
    return NULL;
}

static double cost_of(struct cost *c, unsigned n)
{
    struct cost_thread t[2] = { { c, 0 }, { c, 1 } };
    pthread_t          threads[2];
    double             best = 1e9;

    for (size_t round = 0; round < 3; round++) {
        double sum = 0;
        assert_int_equal(pthread_barrier_init(&c->start, NULL, n), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, cost_marks, &t[i]), 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            sum += c->ns[i];
        }
        assert_int_equal(pthread_barrier_destroy(&c->start), 0);
        best = sum / n < best ? sum / n : best;
    }
    return best;
}

static void cost_is_small(void **state)
{
    struct cost c = { .w = *state };

    for (uint64_t i = 2; i <= 1000; i++)
        (void)add_key(c.w, i);
    c.name = add_key(c.w, 1);
    double one = cost_of(&c, 1);
    double two = cost_of(&c, 2);

    print_message("a mark costs %.1f ns CPU with one thread, %.1f ns with two on one key\n", one,
                  two);
    assert_cost(one, COST_LIMIT_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_inverse),
        cmocka_unit_test_setup_teardown(the_latest_use_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(outlives_the_record, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_with_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_once_and_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(loaded_is_not_stored_again, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_torn_or_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_mark_is_always_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(removal_while_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(cost_is_small, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
