/* Slow clients: each deadline closes the connection, not before its time, with the right answer.
 * Upper bounds are generous: the machine that runs this may be busy, and then a client may be late itself. */
#include "toy.h"

#include <sys/socket.h>

enum { SHORT = 150, LONG = 60 * 1000 };

/* All deadlines are out of reach but those that a test sets. */
static struct listener_limits far_away(void)
{
    return (struct listener_limits){ .handshake_ms = LONG,
                                     .head_ms = LONG,
                                     .request_ms = LONG,
                                     .keepalive_ms = LONG,
                                     .body_grace_ms = LONG,
                                     .linger_ms = LONG };
}

static struct toy *start(const struct listener_limits *limits)
{
    return toy_start(&(struct listener_config){ .limits = *limits });
}

static void check_timeouts(struct toy *t, uint64_t n)
{
    assert_int_equal(toy_counts(t).timeouts, n);
}

/* The server says something, instead of closing. */
static bool is_answered(struct client *c)
{
    char byte;

    return recv(c->fd, &byte, 1, MSG_PEEK) == 1;
}

static void a_slow_head_is_answered_408(void **state)
{
    static const char head[] = "GET /echo HTTP/1.1\r\n" HOST "X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct listener_limits limits = far_away();

    (void)state;
    limits.head_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = NULL;
    for (bool answered = false; !answered;) {
        int64_t connected = toy_now_ms();
        if (c != NULL)
            client_free(c);
        c = client_new(t);
        client_send(c, GET("/echo"));
        answered = is_answered(c);
        assert_true(answered || toy_now_ms() - connected >= SHORT - 5); /* the head was late */
    }
    client_expect(c, 200, "/echo");
    int64_t began = toy_now_ms();
    client_send(c, "GET /");
    for (size_t i = 5; i < 15; i++) { /* that bytes keep coming makes no difference */
        toy_sleep_ms(SHORT / 20);
        client_send_bytes(c, bytes_of(head + i, 1));
    }
    client_expect(c, 408, "");
    assert_true(toy_now_ms() - began >= SHORT);
    client_finish_sending(c);
    client_expect_end(c, false);
    client_free(c);
    check_timeouts(t, 1);
    toy_wait_open(t, 0);
    toy_stop(t, 0);
}

/* A connection that never says a word: browsers open such ahead of need. No answer, just the end. */
static void a_silent_connection_is_closed(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.head_ms = SHORT;
    struct toy    *t = start(&limits);
    int64_t        began = toy_now_ms();
    struct client *c = client_new(t);
    client_expect_end(c, false);
    assert_true(toy_now_ms() - began >= SHORT - 5); /* the loop's clock is milliseconds, rounded */
    client_free(c);
    toy_stop(t, 0);
}

static void an_idle_connection_is_closed(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.keepalive_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    int64_t        asked = toy_now_ms();
    for (int i = 0; i < 4; i++) { /* each request begins the time anew */
        int64_t before = asked;
        asked = toy_now_ms();
        client_send(c, GET("/echo"));
        if (!is_answered(c)) {
            assert_true(i > 0 && toy_now_ms() - before >= SHORT - 5); /* the request was late */
            client_free(c);
            c = client_new(t);
            i = -1;
            continue;
        }
        client_expect(c, 200, "/echo");
        toy_sleep_ms(SHORT / 3);
    }
    client_expect_end(c, false);
    assert_true(toy_now_ms() - asked >= SHORT - 5);
    client_free(c);
    check_timeouts(t, 0);
    toy_stop(t, 0);
}

static void a_body_must_come_at_a_rate(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.body_grace_ms = SHORT;
    limits.body_rate = 1000;
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    int64_t        began = toy_now_ms();
    client_send(c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n");
    for (int i = 0; i < 10; i++) { /* 100 bytes in 10 ms steps: 0.1 s more than the grace */
        client_send(c, "0123456789");
        toy_sleep_ms(10);
    }
    client_expect(c, 408, "");
    assert_true(toy_now_ms() - began >= SHORT + 100 - 5);
    client_free(c);
    check_timeouts(t, 1);
    toy_stop(t, 0);
}

static void a_fast_enough_body_is_taken(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.body_grace_ms = SHORT;
    limits.body_rate = 5; /* 20 s for 100 bytes */
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    client_send(c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 110\r\n\r\n"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    toy_sleep_ms(3 * SHORT); /* without the rate's credit the grace would be over */
    client_send(c, "bbbbbbbbbb");
    client_expect(c, 200, NULL);
    client_free(c);
    check_timeouts(t, 0);
    toy_stop(t, 0);
}

static void a_body_has_the_requests_deadline_too(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.request_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    int64_t        began = toy_now_ms();
    client_send(c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    client_expect(c, 408, "");
    assert_true(toy_now_ms() - began >= SHORT - 5);
    client_free(c);
    check_timeouts(t, 1);
    toy_stop(t, 0);
}

/* The handler takes too long: the client is let go, the late answer goes nowhere. */
static void a_request_must_be_answered_in_time(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.request_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    int64_t        began = toy_now_ms();
    client_send(c, GET("/hold"));
    client_expect_end(c, true);
    assert_true(toy_now_ms() - began >= SHORT - 5);
    client_free(c);
    check_timeouts(t, 1);
    toy_wait_open(t, 0);
    toy_release(t);
    toy_stop(t, PATIENCE_MS);
}

static void a_client_must_read_its_answer(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.request_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = client_new_narrow(t);
    client_send(c, GET("/big?n=4000000"));
    for (int64_t until = toy_now_ms() + PATIENCE_MS; toy_counts(t).timeouts == 0;) {
        assert_true(toy_now_ms() < until);
        toy_sleep_ms(2);
    }
    toy_wait_open(t, 0);
    client_free(c);
    check_timeouts(t, 1);
    toy_stop(t, 0);
}

/* After a refusal the server does not wait for ever, nor read for ever. */
static void lingering_ends(void **state)
{
    struct listener_limits limits = far_away();

    (void)state;
    limits.linger_ms = SHORT;
    struct toy    *t = start(&limits);
    struct client *c = client_new(t);
    int64_t        began = toy_now_ms();
    client_send(c, "NONSENSE\r\n");
    client_expect(c, 501, "");
    client_expect_end(c, false);
    if (toy_counts(t).open == 0) /* else it still listens to us */
        assert_true(toy_now_ms() - began >= SHORT - 5);
    toy_wait_open(t, 0);
    client_free(c);
    check_timeouts(t, 0);
    toy_stop(t, 0);

    limits.linger_ms = LONG;
    t = start(&limits);
    c = client_new(t);
    client_send(c, "NONSENSE\r\n");
    client_expect(c, 501, "");
    for (int i = 0; i < 2000 && toy_counts(t).open > 0; i++) {
        client_send(c, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        toy_sleep_ms(i % 50 == 0);
    }
    toy_wait_open(t, 0);
    client_free(c);
    toy_stop(t, 0);
}

/* Many slow clients do not keep an honest one from being served. */
static void slow_clients_do_not_hinder_others(void **state)
{
    enum { SLOW = 60 };
    struct listener_limits limits = far_away();
    struct client         *slow[SLOW];

    (void)state;
    struct toy *t = start(&limits);
    for (int i = 0; i < SLOW; i++) {
        slow[i] = client_new(t);
        client_send(slow[i], i % 2 == 0 ? "GET / HT"
                                        : "POST / HTTP/1.1\r\n" HOST
                                          "Content-Length: 100\r\n\r\nabc");
    }
    struct client *c = client_new(t);
    for (int i = 0; i < 100; i++) {
        client_send(c, GET("/turn"));
        client_expect(c, 200, "/turn");
    }
    client_free(c);
    for (int i = 0; i < SLOW; i++)
        client_free(slow[i]);
    toy_wait_open(t, 0);
    toy_stop(t, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_head_is_answered_408),
        cmocka_unit_test(a_silent_connection_is_closed),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_body_must_come_at_a_rate),
        cmocka_unit_test(a_fast_enough_body_is_taken),
        cmocka_unit_test(a_body_has_the_requests_deadline_too),
        cmocka_unit_test(a_request_must_be_answered_in_time),
        cmocka_unit_test(a_client_must_read_its_answer),
        cmocka_unit_test(lingering_ends),
        cmocka_unit_test(slow_clients_do_not_hinder_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
