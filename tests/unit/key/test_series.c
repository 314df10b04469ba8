/* tests/unit/key/test_series.c - ordered lists against a plain array, whatever order things come
 * in. */
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
#include "key/series.h"

enum { SERIALS = 3000 };

/* Item i stands for serial i; `there` says whether it is in the series. */
struct model {
    struct series      *series;
    struct series_trash trash;
    bool                there[SERIALS + 1];
    char                item[SERIALS + 1];
    size_t              count;
    uint64_t            random;
};

static uint64_t next_random(struct model *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return m->random >> 33;
}

static void model_begin(struct model *m)
{
    *m = (struct model){ .series = series_new(), .trash = { .epoch = epoch_new() }, .random = 1 };
}

static void model_end(struct model *m)
{
    series_free(m->series);
    series_trash_empty(&m->trash);
    epoch_free(m->trash.epoch);
}

static void add(struct model *m, uint64_t serial)
{
    series_add(m->series, serial, &m->item[serial], &m->trash);
    m->there[serial] = true;
    m->count++;
}

static void take_out(struct model *m, uint64_t serial)
{
    series_remove(m->series, serial, &m->trash);
    m->there[serial] = false;
    m->count--;
}

struct page {
    struct model *model;
    uint64_t      after; /* the serial that was seen last */
    size_t        left;
    size_t        seen;
};

static bool see(void *item, void *ctx)
{
    struct page *p = ctx;
    uint64_t     serial = (uint64_t)((char *)item - p->model->item);

    if (p->left == 0)
        return false;
    for (uint64_t s = p->after + 1; s < serial; s++)
        assert_false(p->model->there[s]); /* nothing left out */
    assert_true(serial > p->after && p->model->there[serial]);
    p->after = serial;
    p->left--;
    p->seen++;
    return true;
}

static void compare(struct model *m)
{
    struct page all = { .model = m, .left = SIZE_MAX };

    series_each(m->series, 0, see, &all);
    assert_int_equal(all.seen, m->count);
    assert_int_equal(series_count(m->series), m->count);
    for (uint64_t after = 0; after <= SERIALS; after += 97) {
        struct page p = { .model = m, .after = after, .left = 10 };
        size_t      want = 0;
        for (uint64_t s = after + 1; s <= SERIALS && want < 10; s++)
            want += m->there[s];
        series_each(m->series, after, see, &p);
        assert_int_equal(p.seen, want);
    }
}

static void test_empty(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    compare(&m);
    assert_false(series_has(m.series, 1));
    series_free(NULL);
    model_end(&m);
}

static void test_ascending(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (uint64_t s = 1; s <= SERIALS; s++) {
        add(&m, s);
        if (s < 20 || s % 500 == 0)
            compare(&m);
    }
    for (uint64_t s = 1; s <= SERIALS; s++)
        assert_true(series_has(m.series, s));
    assert_false(series_has(m.series, SERIALS + 1));
    model_end(&m);
}

static void test_descending(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (uint64_t s = SERIALS; s > 0; s--)
        add(&m, s);
    compare(&m);
    model_end(&m);
}

static void test_neighbours_swapped(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (uint64_t s = 1; s < SERIALS;
         s += 2) { /* two creations that committed the other way round */
        add(&m, s + 1);
        add(&m, s);
    }
    compare(&m);
    model_end(&m);
}

static void test_all_go(void **state)
{
    struct model m;

    (void)state;
    for (int backwards = 0; backwards < 2; backwards++) {
        model_begin(&m);
        for (uint64_t s = 1; s <= SERIALS; s++)
            add(&m, s);
        for (uint64_t i = 1; i <= SERIALS; i++) {
            take_out(&m, backwards ? SERIALS + 1 - i : i);
            if (i % 300 == 0)
                compare(&m);
        }
        compare(&m);
        for (uint64_t s = 10; s < 20; s++)
            add(&m, s);
        compare(&m);
        model_end(&m);
    }
}

static void test_anything_in_any_order(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (unsigned round = 0; round < 40000; round++) {
        uint64_t s = 1 + next_random(&m) % SERIALS;
        if (m.there[s])
            take_out(&m, s);
        else
            add(&m, s);
        assert_int_equal(series_has(m.series, s), m.there[s]);
        if (round % 1000 == 0)
            compare(&m);
    }
    compare(&m);
    model_end(&m);
}

static void test_mostly_holes(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (unsigned round = 0; round < 5; round++) { /* nearly all go, and come back */
        for (uint64_t s = 1; s <= SERIALS; s++) {
            if (!m.there[s])
                add(&m, s);
        }
        for (uint64_t s = 1; s <= SERIALS; s++) {
            if (s % 101 != 0)
                take_out(&m, s);
        }
        compare(&m);
    }
    model_end(&m);
}

/* Every block goes at once instead of waiting for the owner: a sanitizer sees what is used
 * after. */
static void test_full_trash(void **state)
{
    struct model m;

    (void)state;
    model_begin(&m);
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t s = 1 + next_random(&m) % 500;
        m.trash.bytes = SIZE_MAX / 2;
        if (m.there[s])
            take_out(&m, s);
        else
            add(&m, s);
        if (round % 100 == 99) { /* all out, so that it is rebuilt */
            for (s = 1; s <= 500; s++) {
                m.trash.bytes = SIZE_MAX / 2;
                if (m.there[s])
                    take_out(&m, s);
            }
        }
    }
    compare(&m);
    model_end(&m);
}

struct waiting {
    struct model *model;
    _Atomic bool  done;
};

static void *insert_one(void *arg)
{
    struct waiting *w = arg;

    add(w->model, 5);
    atomic_store(&w->done, true);
    return NULL;
}

static void test_full_trash_waits_for_readers(void **state)
{
    struct timespec nap = { 0, 20 * 1000 * 1000 };
    struct model    m;
    struct waiting  w = { .model = &m };
    pthread_t       writer;

    (void)state;
    model_begin(&m);
    for (uint64_t s = 10; s < 20; s++)
        add(&m, s);
    int reader = epoch_register(m.trash.epoch);
    epoch_enter(m.trash.epoch, reader);
    m.trash.bytes = SIZE_MAX / 2;
    assert_int_equal(pthread_create(&writer, NULL, insert_one, &w), 0);
    (void)nanosleep(&nap, NULL);
    assert_false(atomic_load(&w.done)); /* we may still be looking at what it replaces */
    epoch_leave(m.trash.epoch, reader);
    assert_int_equal(pthread_join(writer, NULL), 0);
    compare(&m);
    model_end(&m);
}

static void test_holes_do_not_pile_up(void **state)
{
    static char         item;
    struct series_trash trash = { .epoch = epoch_new() };
    struct series      *s = series_new();
    size_t              before = fixture_held();

    (void)state;
    for (uint64_t i = 1; i <= 200000; i++) { /* ten at a time: as import tokens or test keys */
        series_add(s, i, &item, &trash);
        if (i > 10)
            series_remove(s, i - 10, &trash);
        if (i % 100 == 0)
            series_trash_empty(&trash);
    }
    assert_int_equal(series_count(s), 10);
    assert_true(fixture_held() < before + 20000);
    series_free(s);
    series_trash_empty(&trash);
    epoch_free(trash.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_ascending),
        cmocka_unit_test(test_descending),
        cmocka_unit_test(test_neighbours_swapped),
        cmocka_unit_test(test_all_go),
        cmocka_unit_test(test_anything_in_any_order),
        cmocka_unit_test(test_mostly_holes),
        cmocka_unit_test(test_full_trash),
        cmocka_unit_test(test_full_trash_waits_for_readers),
        cmocka_unit_test(test_holes_do_not_pile_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
