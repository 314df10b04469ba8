/* Addresses to listen on, clients that disappear, many loops. */
#include "toy.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void unused(void *ctx, struct exchange *ex)
{
    (void)ctx;
    listener_answer(ex);
}

static enum kms_status open_on(const char *address, const char *local, unsigned loops,
                               struct listener **ret, struct kms_error *reterr)
{
    return listener_open(&(struct listener_config){ .address = address,
                                                    .local_path = local,
                                                    .loops = loops,
                                                    .hooks = { .request = unused } },
                         ret, reterr);
}

static void refused(const char *address, const char *local, const char *why)
{
    struct listener *l = NULL;
    struct kms_error err = { 0 };

    if (open_on(address, local, 2, &l, &err) == KMS_OK)
        fail_msg("'%s' can be listened on", address);
    assert_null(l);
    if (strstr(err.detail, why) == NULL || strchr(err.detail, '\n') != NULL)
        fail_msg("'%s': '%s' does not say '%s'", address, err.detail, why);
}

static void addresses_as_text(void **state)
{
    static const struct {
        const char *address, *url; /* up to the port */
    } good[] = {
        { "127.0.0.1:0", "http://127.0.0.1:" },
        { "localhost:0", "http://localhost:" },
        { ":0", "http://localhost:" },
        { "[::1]:0", "http://[::1]:" },
    };
    static const char *const bad[] = {
        "",         "127.0.0.1",    "127.0.0.1:",       "127.0.0.1:x",
        "::1:8080", "127.0.0.1:-1", "127.0.0.1:123456", "8080"
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct listener *l = NULL;
        struct kms_error err = { 0 };
        if (open_on(good[i].address, NULL, 2, &l, &err) != KMS_OK) {
            if (strstr(good[i].address, "::1") != NULL)
                continue; /* a machine without IPv6 */
            fail_msg("%s", err.detail);
        }
        if (strncmp(listener_url(l), good[i].url, strlen(good[i].url)) != 0)
            fail_msg("'%s' has the URL '%s'", good[i].address, listener_url(l));
        assert_true(strtoul(listener_url(l) + strlen(good[i].url), NULL, 10) > 0);
        assert_int_equal(listener_loops(l), 2);
        listener_free(l);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], NULL, "HOST:PORT");
    refused("192.0.2.1:0", NULL, "does not have the address");
    refused("no-such-host.invalid:0", NULL, "cannot listen on 'no-such-host.invalid:0'");
}

/* Also against a second server of the same user that would share the port just as we do. */
static void an_address_in_use_is_noticed(void **state)
{
    char             address[64];
    struct listener *l = NULL;
    struct kms_error err = { 0 };

    (void)state;
    for (unsigned loops = 1; loops <= 2; loops++) {
        assert_int_equal(open_on("127.0.0.1:0", NULL, loops, &l, &err), KMS_OK);
        (void)snprintf(address, sizeof address, "127.0.0.1%s", strrchr(listener_url(l), ':'));
        refused(address, NULL, "in use");
        listener_free(l);
        assert_int_equal(open_on(address, NULL, loops, &l, &err), KMS_OK); /* free again */
        listener_free(l);
    }
}

static void the_local_socket_is_ours_alone(void **state)
{
    char             dir[64];
    char             path[128];
    char             other[128];
    struct listener *l = NULL;
    struct kms_error err = { 0 };
    struct stat      st;

    (void)state;
    toy_dir_make(dir);
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    (void)snprintf(other, sizeof other, "%s/file", dir);
    assert_int_equal(open_on("127.0.0.1:0", path, 1, &l, &err), KMS_OK);
    refused("127.0.0.1:0", path, "another server is running");
    assert_int_equal(stat(path, &st), 0); /* and left it alone */
    listener_free(l);
    assert_int_equal(stat(path, &st), -1);

    /* left behind by a server that was killed: replaced */
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    memcpy(name.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_on("127.0.0.1:0", path, 1, &l, &err), KMS_OK);
    listener_free(l);

    FILE *file = fopen(other, "w");
    assert_true(file != NULL && fclose(file) == 0);
    refused("127.0.0.1:0", other, "something else has this name");
    assert_int_equal(stat(other, &st), 0);
    refused("127.0.0.1:0",
            "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
            "0123456789012345678901234567890123456789",
            "longer than");
    refused("127.0.0.1:0", "/no/such/folder/socket", "No such file");
    toy_dir_remove(dir);
}

static void what_the_handler_is_told(void **state)
{
    struct toy    *t = toy_start(&(struct listener_config){ .address = ":0" });
    struct client *c = client_new(t);

    (void)state;
    client_send(c, GET("/info")); /* an IPv4 client of a socket for both */
    client_expect(c, 200, "local=0 secure=0 source=127.0.0.1 tls=- cipher=-");
    client_free(c);
    toy_stop(t, 0);
}

/* The memory of a request outlives its client, in every way a client can go. */
static void clients_may_go_while_a_request_is_pending(void **state)
{
    enum { CLIENTS = 12 };
    struct toy    *t = toy_start(&(struct listener_config){ .loops = 2 });
    struct client *c[CLIENTS];

    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_new(t);
        client_send(c[i], i % 2 == 0 ? GET("/hold?x") : GET("/echo") GET("/hold") GET("/echo"));
    }
    toy_wait_held(t, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 2 != 0) /* closing with something unread would be a reset */
            client_expect(c[i], 200, "/echo");
        if (i % 3 == 0)
            client_reset(c[i]);
        else if (i % 3 == 1)
            client_finish_sending(c[i]);
        if (i % 3 != 1)
            client_free(c[i]);
    }
    toy_wait_open(t, CLIENTS - CLIENTS / 3); /* resets are noticed at once */
    toy_release(t);
    for (int i = 1; i < CLIENTS; i += 3) { /* who only stopped sending gets all answers */
        client_expect(c[i], 200, i % 2 != 0 ? "/hold" : "/hold?x");
        if (i % 2 != 0)
            client_expect(c[i], 200, "/echo");
        client_expect_end(c[i], false);
        client_free(c[i]);
    }
    toy_wait_open(t, 0);
    toy_stop(t, 0);
}

static void clients_may_go_in_the_middle_of_anything(void **state)
{
    static const char *const parts[] = { "",
                                         "\r",
                                         "G",
                                         "GET / HTTP/1.1\r\n",
                                         "GET /echo HTTP/1.1\r\n" HOST,
                                         "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n",
                                         "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
                                         GET("/echo"),
                                         GET("/turn") GET("/turn"),
                                         GET("/thread?n=1"),
                                         GET("/big?n=4000000"),
                                         GET("/big?n=4000000") GET("/turn"),
                                         "NONSENSE",
                                         GET("/close") };
    struct toy              *t = toy_start(
        &(struct listener_config){ .max_unauthenticated = 1000, .max_per_address = 1000 });

    (void)state;
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            struct client *c = client_new(t);
            client_send(c, parts[i]);
            toy_sleep_ms(round % 3);
            if (round % 2 == 0)
                client_reset(c);
            client_free(c);
        }
    }
    toy_wait_open(t, 0);
    struct client *c = client_new(t);
    client_send(c, GET("/turn"));
    client_expect(c, 200, "/turn");
    client_free(c);
    toy_stop(t, 0);
}

/* Connections find their way to every loop, and each is answered on its own. */
static void loops_share_the_port(void **state)
{
    enum { CLIENTS = 48 };
    struct toy    *t = toy_start(&(struct listener_config){ .loops = 4 });
    struct client *c[CLIENTS];

    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        c[i] = client_new(t);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < CLIENTS; i++)
            client_send(c[i], i % 3 == 0 ? GET("/thread?n=1") : GET("/turn") GET("/echo"));
        for (int i = 0; i < CLIENTS; i++) {
            client_expect(c[i], 200, i % 3 == 0 ? "/thread?n=1" : "/turn");
            if (i % 3 != 0)
                client_expect(c[i], 200, "/echo");
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_free(c[i]);
    toy_stop(t, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_as_text),
        cmocka_unit_test(an_address_in_use_is_noticed),
        cmocka_unit_test(the_local_socket_is_ours_alone),
        cmocka_unit_test(what_the_handler_is_told),
        cmocka_unit_test(clients_may_go_while_a_request_is_pending),
        cmocka_unit_test(clients_may_go_in_the_middle_of_anything),
        cmocka_unit_test(loops_share_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
