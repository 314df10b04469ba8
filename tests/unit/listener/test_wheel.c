/* Deadlines: never early, at most two ticks late, whatever they were before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "listener/wheel_internal.h"

enum { TICK = 10, ENTRIES = 64 };

struct timed {
    struct wheel_entry entry;
    int64_t            fired; /* -1: not yet */
};

/* Looks at the wheel at `now` and notes what fires. */
static void look(struct wheel *w, int64_t now)
{
    struct link due;

    wheel_due(w, now, &due);
    while (!link_empty(&due)) {
        struct wheel_entry *e = LINK_OWNER(due.next, struct wheel_entry, link);
        struct timed       *t = LINK_OWNER(e, struct timed, entry);
        link_remove(&e->link);
        assert_int_equal(t->fired, -1);
        assert_true(now >= e->deadline_ms);
        t->fired = now;
    }
}

static void timed_init(struct timed *t)
{
    wheel_entry_init(&t->entry);
    t->fired = -1;
}

static void fires_on_time_from_near_to_beyond_the_wheel(void **state)
{
    static const int64_t after[] = { 0,
                                     1,
                                     9,
                                     10,
                                     11,
                                     100,
                                     1000,
                                     TICK * WHEEL_SLOTS - 1,
                                     TICK * WHEEL_SLOTS,
                                     TICK * WHEEL_SLOTS * 3 + 7 };
    (void)state;
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        struct wheel w;
        struct timed t;
        int64_t      start = 123456;
        wheel_init(&w, TICK, start);
        timed_init(&t);
        wheel_set(&w, &t.entry, start + after[i]);
        for (int64_t now = start; t.fired < 0; now += TICK) {
            look(&w, now);
            assert_true(now <= start + after[i] + 2 * TICK);
        }
    }
}

static void a_deadline_can_move_both_ways(void **state)
{
    struct wheel w;
    struct timed t;

    (void)state;
    wheel_init(&w, TICK, 0);
    timed_init(&t);
    wheel_set(&w, &t.entry, 100);
    wheel_set(&w, &t.entry, 500); /* away: stays in its slot and is put back from there */
    for (int64_t now = 0; now < 500; now += TICK)
        look(&w, now);
    assert_int_equal(t.fired, -1);
    look(&w, 510);
    assert_int_equal(t.fired, 510);

    timed_init(&t);
    wheel_set(&w, &t.entry, 2000);
    wheel_set(&w, &t.entry, 600); /* nearer */
    look(&w, 620);
    assert_int_equal(t.fired, 620);

    timed_init(&t);
    wheel_set(&w, &t.entry, 100); /* past already */
    look(&w, 630);
    assert_int_equal(t.fired, 630);

    timed_init(&t);
    wheel_set(&w, &t.entry, 700);
    wheel_remove(&t.entry);
    wheel_remove(&t.entry);
    look(&w, 10000);
    assert_int_equal(t.fired, -1);
}

static void after_a_long_sleep_all_fire_at_once(void **state)
{
    struct wheel w;
    struct timed t[ENTRIES];

    (void)state;
    wheel_init(&w, TICK, 0);
    for (size_t i = 0; i < ENTRIES; i++) {
        timed_init(&t[i]);
        wheel_set(&w, &t[i].entry, (int64_t)(i * 97));
    }
    look(&w, (int64_t)TICK * WHEEL_SLOTS * 10);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_true(t[i].fired > 0);
}

/* Against a naive model, with random moves and looks. */
static void agrees_with_a_simple_model(void **state)
{
    struct wheel w;
    struct timed t[ENTRIES];
    uint32_t     random = 1;
    int64_t      now = 777;

    (void)state;
    wheel_init(&w, TICK, now);
    for (size_t i = 0; i < ENTRIES; i++)
        timed_init(&t[i]);
    for (unsigned step = 0; step < 200000; step++) {
        random = random * 1664525u + 1013904223u;
        struct timed *one = &t[(random >> 8) % ENTRIES];
        one->fired = -1;
        wheel_set(&w, &one->entry, now + (int64_t)((random >> 16) % 5000));
        if (random >> 28 != 0)
            continue;
        now += (random >> 12) % 60;
        look(&w, now);
        for (size_t i = 0; i < ENTRIES; i++) {
            bool waits = !link_empty(&t[i].entry.link);
            if (waits)
                assert_true(t[i].entry.deadline_ms > now - 2 * TICK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_on_time_from_near_to_beyond_the_wheel),
        cmocka_unit_test(a_deadline_can_move_both_ways),
        cmocka_unit_test(after_a_long_sleep_all_fire_at_once),
        cmocka_unit_test(agrees_with_a_simple_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
