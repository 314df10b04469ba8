/* Stopping: requests in progress are answered, nobody else waits. */
#include "toy.h"

#include <pthread.h>

struct stopping {
    struct toy *toy;
    int64_t     ms;
    int64_t     began, took_ms;
    pthread_t   thread;
};

static void *stop_now(void *arg)
{
    struct stopping *s = arg;

    listener_stop(toy_listener(s->toy), s->ms);
    s->took_ms = toy_now_ms() - s->began;
    return NULL;
}

static void begin(struct stopping *s, struct toy *t, int64_t ms)
{
    *s = (struct stopping){ .toy = t, .ms = ms, .began = toy_now_ms() };
    assert_int_equal(pthread_create(&s->thread, NULL, stop_now, s), 0);
}

static void end(struct stopping *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    toy_halt(s->toy, 0); /* a second stop does no harm; checks that nothing is open */
    toy_free(s->toy);
}

static void requests_in_progress_are_answered(void **state)
{
    struct toy     *t = toy_start(&(struct listener_config){ .loops = 2 });
    struct client  *held = client_new(t);
    struct client  *idle = client_new(t);
    struct client  *partial = client_new(t);
    struct stopping s;

    (void)state;
    client_send(held, GET("/hold") GET("/echo"));
    toy_wait_held(t, 1);
    client_send(idle, GET("/echo"));
    client_expect(idle, 200, "/echo");
    client_send(partial, "POST /turn HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbo");
    toy_sleep_ms(50);

    begin(&s, t, PATIENCE_MS);
    client_expect_end(idle, true);
    client_send(partial, "dy");
    struct bytes head = client_head(partial);
    assert_non_null(memmem(head.ptr, head.len, "Connection: close\r\n", 19));
    client_expect(partial, 200, "body");
    client_expect_end(partial, false);
    client_free(partial);
    client_expect_silence(held, 50);
    toy_release(t);
    head = client_head(held);
    assert_non_null(memmem(head.ptr, head.len, "Connection: close\r\n", 19));
    client_expect(held, 200, "/hold");
    client_expect_end(held, false); /* the second request of the pipeline is not begun */
    client_free(held);
    client_free(idle);
    end(&s);
    assert_true(s.took_ms < PATIENCE_MS);
}

/* Who has connected, or sent a request, before the loop learns of the stop is served: also those it
 * has not accepted or not read yet. */
static void what_has_arrived_is_answered(void **state)
{
    enum { CLIENTS = 20 };
    struct client  *c[CLIENTS];
    struct toy     *t = toy_start(&(struct listener_config){ 0 });
    struct client  *busy = client_new(t);
    struct stopping s;

    (void)state;
    for (int i = 0; i < CLIENTS / 2; i++) {
        c[i] = client_new(t);
        client_send(c[i], GET("/turn"));
        client_expect(c[i], 200, "/turn");
    }
    client_send(busy, GET("/block"));
    toy_wait_held(t, 1);
    begin(&s, t, PATIENCE_MS);
    toy_sleep_ms(50); /* the stop is the first thing that waits for the loop */
    for (int i = 0; i < CLIENTS; i++) {
        if (i >= CLIENTS / 2)
            c[i] = client_new(t);
        client_send(c[i], GET("/turn"));
    }
    toy_release(t);
    for (int i = 0; i < CLIENTS; i++) {
        client_expect(c[i], 200, "/turn");
        client_expect_end(c[i], false);
        client_free(c[i]);
    }
    client_expect(busy, 200, "/block");
    client_free(busy);
    end(&s);
    assert_true(s.took_ms < PATIENCE_MS);
}

/* A request is read, and the stop comes before the turn in which it would be parsed. That its client sends no
 * more, which is there to be read as well, does not mean that it wants no answer. */
static void what_was_read_is_answered_before_its_end_is_seen(void **state)
{
    enum { CLIENTS = 20 };
    struct client  *c[CLIENTS];
    struct toy     *t = toy_start(&(struct listener_config){ 0 });
    struct client  *busy = client_new(t);
    struct stopping s;

    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_new(t);
        client_send(c[i], GET("/turn"));
        client_expect(c[i], 200, "/turn");
    }
    client_send(busy, GET("/block"));
    toy_wait_held(t, 1);
    for (int i = 0; i < CLIENTS; i++) {
        client_send(c[i], GET("/turn"));
        client_finish_sending(c[i]);
    }
    toy_sleep_ms(50); /* these wait for the loop, and the stop behind them */
    begin(&s, t, PATIENCE_MS);
    toy_sleep_ms(50);
    toy_release(t);
    for (int i = 0; i < CLIENTS; i++) {
        client_expect(c[i], 200, "/turn");
        client_expect_end(c[i], false);
        client_free(c[i]);
    }
    client_expect(busy, 200, "/block");
    client_free(busy);
    end(&s);
    assert_true(s.took_ms < PATIENCE_MS);
}

static void waiting_has_an_end(void **state)
{
    struct toy     *t = toy_start(&(struct listener_config){ 0 });
    struct client  *held = client_new(t);
    struct client  *partial = client_new(t);
    struct client  *slow = client_new_narrow(t);
    struct stopping s;

    (void)state;
    client_send(held, GET("/hold"));
    client_send(partial, "GET / HT");
    client_send(slow, GET("/big?n=4000000"));
    toy_wait_held(t, 1);
    toy_sleep_ms(50);
    begin(&s, t, 200);
    client_expect_end(held, true);
    client_expect_end(partial, true);
    client_free(held);
    client_free(partial);
    client_free(slow);
    end(&s);
    assert_true(s.took_ms >= 195 && s.took_ms < PATIENCE_MS);
}

/* The client has given up, the handler has not: its work counts as in progress. */
static void a_request_without_its_client_is_waited_for(void **state)
{
    struct toy     *t = toy_start(&(struct listener_config){ 0 });
    struct client  *c = client_new(t);
    struct stopping s;

    (void)state;
    client_send(c, GET("/hold"));
    toy_wait_held(t, 1);
    client_reset(c);
    client_free(c);
    toy_wait_open(t, 0);
    begin(&s, t, PATIENCE_MS);
    toy_sleep_ms(50);
    toy_release(t);
    end(&s);
    assert_true(s.took_ms >= 40 && s.took_ms < PATIENCE_MS);
}

static void without_clients_it_stops_at_once(void **state)
{
    struct toy *t = toy_start(&(struct listener_config){ .loops = 3 });

    (void)state;
    toy_stop(t, PATIENCE_MS);
    listener_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_in_progress_are_answered),
        cmocka_unit_test(what_has_arrived_is_answered),
        cmocka_unit_test(what_was_read_is_answered_before_its_end_is_seen),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(a_request_without_its_client_is_waited_for),
        cmocka_unit_test(without_clients_it_stops_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
