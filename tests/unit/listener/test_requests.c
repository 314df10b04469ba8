/* Requests over real sockets: persistence, pipelining, bodies, refusals. */
#include "toy.h"

#include "base/limits.h"

static int setup(void **state)
{
    *state = toy_start(&(struct listener_config){ 0 });
    return 0;
}

static int teardown(void **state)
{
    toy_stop(*state, 0);
    return 0;
}

static void connections_are_kept_alive(void **state)
{
    struct client *c = client_new(*state);

    for (int i = 0; i < 50; i++) {
        client_send(c, GET("/echo?1"));
        client_expect(c, 200, "/echo?1");
        client_send(c, "POST /turn HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        client_expect(c, 200, "hello");
        client_send(c, GET("/thread?n=0"));
        client_expect(c, 200, "/thread?n=0");
    }
    assert_int_equal(toy_counts(*state).accepted, 1);
    client_free(c);
    toy_wait_open(*state, 0);
}

static void close_is_honoured(void **state)
{
    static const char *const requests[] = {
        "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "GET /turn HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "GET /thread?n=5 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "GET /echo HTTP/1.0\r\n\r\n",
        GET("/close"),
    };

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct client *c = client_new(*state);
        client_send(c, requests[i]);
        client_send(c, GET("/echo?not-read"));
        struct bytes head = client_head(c);
        assert_non_null(memmem(head.ptr, head.len, "Connection: close\r\n", 19));
        client_expect(c, 200, NULL);
        client_expect_end(c, false);
        client_free(c);
    }
}

/* Answers come in the order of the requests, however long each takes. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    struct client *c = client_new(*state);

    for (int round = 0; round < 20; round++) {
        client_send(c,
                    GET("/thread?n=20") GET("/echo?1") GET("/turn?2")
                        GET("/thread?n=0") "POST /echo HTTP/1.1\r\n" HOST
                                           "Content-Length: 3\r\n\r\nabc" GET("/turn?3")
                                               GET("/turn?4") GET("/big?n=70000") GET("/echo?5"));
        client_expect(c, 200, "/thread?n=20");
        client_expect(c, 200, "/echo?1");
        client_expect(c, 200, "/turn?2");
        client_expect(c, 200, "/thread?n=0");
        client_expect(c, 200, "abc");
        client_expect(c, 200, "/turn?3");
        client_expect(c, 200, "/turn?4");
        client_expect_big(c, 70000);
        client_expect(c, 200, "/echo?5");
    }
    client_free(c);
}

static void a_long_pipeline_is_answered_without_loss(void **state)
{
    enum { MANY = 2000 };
    struct client *c = client_new(*state);
    struct buf     all = BUF_INIT(MANY * 64);
    char           want[32];

    for (int i = 0; i < MANY; i++)
        buf_addf(&all, "GET /%s?%d HTTP/1.1\r\n" HOST "\r\n", i % 3 == 0 ? "turn" : "echo", i);
    assert_true(buf_ok(&all));
    client_send_bytes(c, buf_bytes(&all));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(want, sizeof want, "/%s?%d", i % 3 == 0 ? "turn" : "echo", i);
        client_expect(c, 200, want);
    }
    buf_release(&all);
    client_free(c);
}

static void bytes_may_come_one_by_one(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\none by on"
                               "GET /turn HTTP/1.1\r\n" HOST "\r\n";
    struct client    *c = client_new(*state);

    for (size_t i = 0; i < sizeof text - 1; i++) {
        client_send_bytes(c, bytes_of(text + i, 1));
        if (i % 16 == 0)
            toy_sleep_ms(1);
    }
    client_expect(c, 200, "one by on");
    client_expect(c, 200, "/turn");
    client_free(c);
}

static void the_largest_body_is_taken(void **state)
{
    struct client *c = client_new(*state);
    struct buf     text = BUF_INIT(2 * LIMIT_BODY_BYTES);
    char          *body = malloc(LIMIT_BODY_BYTES + 1);

    for (size_t i = 0; i < LIMIT_BODY_BYTES; i++)
        body[i] = (char)('A' + i % 23);
    body[LIMIT_BODY_BYTES] = '\0';
    buf_addf(&text, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n%s", LIMIT_BODY_BYTES,
             body);
    for (int i = 0; i < 3; i++) {
        client_send_bytes(c, buf_bytes(&text));
        client_send(c, GET("/echo"));
        client_expect(c, 200, body);
        client_expect(c, 200, "/echo");
    }
    free(body);
    buf_release(&text);
    client_free(c);
}

static void large_answers_wait_for_a_slow_reader(void **state)
{
    enum { SIZE = 4000000 };
    struct client *c = client_new_narrow(*state);

    client_send(c, GET("/big?n=4000000") GET("/big?n=4000000") GET("/turn"));
    for (int64_t until = toy_now_ms() + PATIENCE_MS; toy_requests(*state) == 0;) {
        assert_true(toy_now_ms() < until);
        toy_sleep_ms(1);
    }
    toy_sleep_ms(100);                         /* the socket is full by now */
    assert_int_equal(toy_requests(*state), 1); /* the next one waits until the first is written */
    client_expect_big(c, SIZE);
    client_expect_big(c, SIZE);
    client_expect(c, 200, "/turn");
    client_free(c);
}

static void clients_that_wait_for_continue_get_it(void **state)
{
    struct client *c = client_new(*state);

    client_send(c,
                "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client_expect(c, 100, "");
    client_send(c, "body");
    client_expect(c, 200, "body");
    /* and those that do not wait get none */
    client_send(c,
                "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
                "body");
    client_expect(c, 200, "body");
    client_free(c);
}

/* After FIN, what was sent completely is answered. */
static void a_client_may_stop_sending(void **state)
{
    static const char *const paths[] = { "/echo", "/turn", "/thread?n=30" };
    char                     text[128];

    for (size_t i = 0; i < 3; i++) {
        struct client *c = client_new(*state);
        (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        client_send(c, text);
        client_finish_sending(c);
        client_expect(c, 200, paths[i]);
        client_expect_end(c, false);
        client_free(c);
    }
    struct client *c = client_new(*state);
    client_send(c, "GET /echo HTTP/1.1\r\nHos");
    client_finish_sending(c);
    client_expect_end(c, false);
    client_free(c);
    toy_wait_open(*state, 0);
}

/* The end may be seen in the same turn as the request before it, if that fills the buffer. */
static void the_end_may_come_with_the_request(void **state)
{
    struct buf text = BUF_INIT(16 * 1024);

    for (size_t len = 8150; len < 8200; len++) {
        buf_reset(&text);
        buf_add_str(&text, "GET /echo HTTP/1.1\r\n" HOST "X: ");
        while (text.len < len - 4)
            buf_add_byte(&text, 'x');
        buf_add_str(&text, "\r\n\r\n");
        struct client *c = client_new(*state);
        client_send_bytes(c, buf_bytes(&text));
        client_finish_sending(c);
        client_expect(c, 200, "/echo");
        client_expect_end(c, false);
        client_free(c);
    }
    buf_release(&text);
}

static void the_last_request_of_a_connection_says_so(void **state)
{
    struct toy    *t = toy_start(&(struct listener_config){ .limits = { .requests = 3 } });
    struct client *c = client_new(t);

    (void)state;
    client_send(c, GET("/echo") GET("/turn") GET("/turn") GET("/echo"));
    client_expect(c, 200, "/echo");
    client_expect(c, 200, "/turn");
    struct bytes head = client_head(c);
    assert_non_null(memmem(head.ptr, head.len, "Connection: close\r\n", 19));
    client_expect(c, 200, "/turn");
    client_expect_end(c, false);
    client_free(c);
    assert_int_equal(toy_requests(t), 3);
    toy_stop(t, 0);
}

static void an_answer_that_does_not_fit_is_a_bare_500(void **state)
{
    struct client *c = client_new(*state);

    client_send(c, GET("/turn") GET("/overflow"));
    client_expect(c, 200, "/turn");
    client_expect(c, 500, "");
    client_expect_end(c, false);
    client_free(c);
}

/* --- refusals ------------------------------------------------------------------------------------ */

static void refused(struct toy *t, struct bytes text, int status)
{
    struct client *c = client_new(t);
    uint64_t       before = toy_counts(t).refused_request;
    unsigned       requests = toy_requests(t);

    client_send_bytes(c, text);
    struct bytes head = client_head(c);
    assert_non_null(
        memmem(head.ptr, head.len, "Connection: close\r\nContent-Length: 0\r\n\r\n", 40));
    client_expect(c, status, "");
    client_expect_end(c, false);
    client_free(c);
    assert_int_equal(toy_counts(t).refused_request, before + 1);
    assert_int_equal(toy_requests(t), requests);
}

#define REFUSED(status, text) refused(*state, BYTES_LIT(text), status)
#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"

/* The parser's tests have all shapes; here: the status reaches the client, the connection is closed,
 * and nothing behind it is read as a request. */
static void what_is_not_one_reading_is_refused(void **state)
{
    REFUSED(400,
            "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            "0\r\n\r\n" SMUGGLED);
    REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED);
    REFUSED(400,
            "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 39\r\n\r\n" SMUGGLED);
    REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +0\r\n\r\n" SMUGGLED);
    REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 0\r\n\r\n" SMUGGLED);
    REFUSED(411, "POST / HTTP/1.1\r\n" HOST "\r\n" SMUGGLED);
    REFUSED(400, "GET / HTTP/1.1\n" HOST "\n" SMUGGLED);
    REFUSED(400, "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n" SMUGGLED);
    REFUSED(400, "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n" SMUGGLED);
    REFUSED(400, "GET / HTTP/1.1\r\nHost : toy\r\n\r\n" SMUGGLED);
    REFUSED(400, "GET http://toy/ HTTP/1.1\r\n" HOST "\r\n" SMUGGLED);
    REFUSED(400, "GET /\r\n");
    REFUSED(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0");
    REFUSED(400, "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
}

static void refusals_come_after_the_answers_before_them(void **state)
{
    struct client *c = client_new(*state);

    client_send(c, GET("/thread?n=20") GET("/echo") "NONSENSE\r\n" SMUGGLED);
    client_expect(c, 200, "/thread?n=20");
    client_expect(c, 200, "/echo");
    client_expect(c, 501, "");
    client_expect_end(c, false);
    client_free(c);
    assert_int_equal(toy_requests(*state), 2);
}

/* The client is still sending when it is refused; the answer must reach it all the same. */
static void heads_and_bodies_have_limits(void **state)
{
    struct buf text = BUF_INIT(4 * LIMIT_BODY_BYTES);

    buf_addf(&text, "POST / HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", LIMIT_BODY_BYTES + 1);
    while (text.len < LIMIT_BODY_BYTES)
        buf_add(&text, BYTES_LIT("0123456789abcdef"));
    refused(*state, buf_bytes(&text), 413);

    buf_reset(&text);
    buf_add_str(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
    while (text.len < 4 * LIMIT_HEAD_BYTES)
        buf_add(&text, BYTES_LIT("0123456789abcdef"));
    refused(*state, buf_bytes(&text), 431);

    buf_reset(&text);
    buf_add_str(&text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 1; i <= LIMIT_HEADERS; i++)
        buf_addf(&text, "X%d:\r\n", i);
    buf_add_str(&text, "\r\n");
    refused(*state, buf_bytes(&text), 431);
    buf_release(&text);
}

/* --- the hooks ------------------------------------------------------------------------------------ */

static void turn_is_called_once_for_what_was_handed_out(void **state)
{
    struct client *c = client_new(*state);

    toy_sleep_ms(20);
    assert_int_equal(toy_turns(*state), 0); /* a connection alone is no reason */
    client_send(c, GET("/echo?1") GET("/echo?2") GET("/echo?3"));
    for (int i = 0; i < 3; i++)
        client_expect(c, 200, NULL);
    assert_int_equal(toy_turns(*state), 1);
    client_send(c, GET("/turn"));
    client_expect(c, 200, "/turn");
    assert_int_equal(toy_turns(*state), 2);
    client_send(c, "GET /echo HTTP/1.1\r\n");
    toy_sleep_ms(20);
    assert_int_equal(toy_turns(*state), 2);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_are_kept_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(close_is_honoured, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_pipeline_is_answered_without_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_may_come_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_body_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(large_answers_wait_for_a_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_wait_for_continue_get_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_may_stop_sending, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_may_come_with_the_request, setup, teardown),
        cmocka_unit_test(the_last_request_of_a_connection_says_so),
        cmocka_unit_test_setup_teardown(an_answer_that_does_not_fit_is_a_bare_500, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_one_reading_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_come_after_the_answers_before_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(heads_and_bodies_have_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(turn_is_called_once_for_what_was_handed_out, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
