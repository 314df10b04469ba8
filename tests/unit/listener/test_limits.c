/* Numbers of connections, in all and per address, and what happens without descriptors. */
#include "toy.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/limits.h"

/* One connection more than there may be: closed without a word. */
static void is_refused(struct toy *t)
{
    uint64_t       before = toy_counts(t).refused_limit;
    struct client *c = client_new(t);

    client_expect_end(c, true);
    client_free(c);
    assert_int_equal(toy_counts(t).refused_limit, before + 1);
}

static struct client *is_served(struct toy *t, const char *path)
{
    struct client *c = client_new(t);
    char           text[128];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
    client_send(c, text);
    client_expect(c, 200, path);
    return c;
}

static void connections_in_all(void **state)
{
    struct toy    *t = toy_start(&(struct listener_config){ .max_connections = 3, .loops = 2 });
    struct client *c[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        c[i] = is_served(t, "/auth");
    is_refused(t);
    is_refused(t);
    client_free(c[0]);
    toy_wait_open(t, 2);
    c[0] = is_served(t, "/auth");
    for (int i = 0; i < 3; i++) {
        client_send(c[i], GET("/echo"));
        client_expect(c[i], 200, "/echo");
        client_free(c[i]);
    }
    toy_stop(t, 0);
}

static void connections_per_address(void **state)
{
    struct toy    *t = toy_start(&(struct listener_config){ .max_per_address = 2 });
    struct client *c[2] = { is_served(t, "/auth"), is_served(t, "/auth") };

    (void)state;
    is_refused(t);
    client_free(c[0]);
    toy_wait_open(t, 1);
    c[0] = is_served(t, "/auth");
    client_free(c[0]);
    client_free(c[1]);
    toy_stop(t, 0);
}

/* A good signature makes room for other connections of the address; a bad one does not. */
static void connections_without_a_good_signature(void **state)
{
    struct toy    *t = toy_start(&(struct listener_config){ .max_unauthenticated = 2 });
    struct client *a = is_served(t, "/echo");
    struct client *b = is_served(t, "/auth");
    struct client *c = is_served(t, "/echo");

    (void)state;
    is_refused(t);
    client_send(a, GET("/turn"));
    client_expect(a, 200, "/turn");
    is_refused(t);
    for (int i = 0; i < 2; i++) { /* counted once */
        client_send(a, GET("/auth"));
        client_expect(a, 200, "/auth");
    }
    struct client *d = is_served(t, "/echo");
    is_refused(t);
    client_free(a);
    client_free(b); /* authenticated ones leave no room behind */
    toy_wait_open(t, 2);
    is_refused(t);
    client_free(c);
    toy_wait_open(t, 1);
    c = is_served(t, "/echo");
    client_free(c);
    client_free(d);
    toy_stop(t, 0);
}

/* Begins a request whose body is longer than what is held without asking. */
static struct client *begins_large(struct toy *t, const char *path)
{
    struct client *c = client_new(t);
    char           text[128];

    (void)snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n",
                   path);
    client_send(c, text);
    return c;
}

static void send_zeros(struct client *c, size_t n)
{
    static const uint8_t zeros[1000];

    for (size_t sent = 0; sent < n; sent += sizeof zeros)
        client_send_bytes(c, bytes_of(zeros, sizeof zeros));
}

/* Those that have not proved who they are share what is held beyond 32 KiB for each: here it is enough
 * for one. Who has proved it, or comes through the local socket, does not count. */
static void input_without_a_good_signature(void **state)
{
    char dir[64];
    char path[128];

    (void)state;
    toy_dir_make(dir);
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    struct toy    *t = toy_start(&(struct listener_config){
           .loops = 2, .max_unproven_more = 40 * 1024, .local_path = path });
    struct client *proved = is_served(t, "/auth");
    struct client *a = begins_large(t, "/auth");
    send_zeros(a, 40000);
    client_expect_silence(a, 50);

    struct client *b = begins_large(t, "/echo");
    send_zeros(b, 30000); /* so much goes without asking */
    client_expect_silence(b, 50);
    uint64_t before = toy_counts(t).refused_limit;
    send_zeros(b, 10000);
    client_expect(b, 503, "");
    assert_int_equal(toy_counts(t).refused_limit, before + 1);
    client_free(b);

    client_send(proved, "POST /secret HTTP/1.1\r\n" HOST "Content-Length: 120000\r\n\r\n");
    send_zeros(proved, 120000);
    client_expect(proved, 200, NULL);
    struct client *local = client_local(path);
    client_send(local, "POST /secret HTTP/1.1\r\n" HOST "Content-Length: 120000\r\n\r\n");
    send_zeros(local, 120000);
    client_expect(local, 200, NULL);
    client_free(local);

    uint8_t end[1002] = { [1000] = 'G', [1001] = 'E' }; /* the next request has begun */
    send_zeros(a, 19000);
    client_send_bytes(a, bytes_of(end, sizeof end));
    client_expect(a, 200, NULL); /* its signature was good: its share is free again */
    struct client *d = begins_large(t, "/echo");
    send_zeros(d, 60000);
    client_expect(d, 200, NULL);
    client_free(d); /* it has been given its answer and is idle: free again, however it ended */
    toy_wait_open(t, 2);
    struct client *e = begins_large(t, "/echo");
    send_zeros(e, 40000);
    client_expect_silence(e, 50);
    client_reset(e); /* in the middle */
    client_free(e);
    toy_wait_open(t, 2);
    struct client *f = begins_large(t, "/echo");
    send_zeros(f, 60000);
    client_expect(f, 200, NULL);
    client_free(f);
    client_free(a);
    client_free(proved);
    toy_stop(t, 0);
    toy_dir_remove(dir);
}

static void the_usual_limits_are_those_of_the_list(void **state)
{
    struct client *c[LIMIT_UNAUTHENTICATED_PER_ADDRESS];
    struct toy    *t = toy_start(&(struct listener_config){ 0 });

    (void)state;
    for (int i = 0; i < LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++)
        c[i] = client_new(t);
    toy_wait_open(t, LIMIT_UNAUTHENTICATED_PER_ADDRESS);
    is_refused(t);
    for (int i = 0; i < LIMIT_UNAUTHENTICATED_PER_ADDRESS; i++)
        client_free(c[i]);
    toy_wait_open(t, 0);
    toy_stop(t, 0);
}

/* The operator gets in when all other places are taken. */
static void the_local_socket_does_not_count(void **state)
{
    char        dir[64];
    char        path[128];
    struct stat st;

    (void)state;
    toy_dir_make(dir);
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    struct toy *t = toy_start(
        &(struct listener_config){ .max_connections = 1, .local_path = path });
    struct client *c = is_served(t, "/auth");
    is_refused(t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct client *local[3];
    for (int i = 0; i < 3; i++) {
        local[i] = client_local(path);
        client_send(local[i], GET("/info"));
        client_expect(local[i], 200, "local=1 secure=0 source=local tls=- cipher=-");
    }
    assert_int_equal(toy_counts(t).open, 4);
    for (int i = 0; i < 3; i++)
        client_free(local[i]);
    client_free(c);
    toy_stop(t, 0);
    assert_int_equal(stat(path, &st), -1); /* gone with the server */
    toy_dir_remove(dir);
}

static int64_t cpu_ms(void)
{
    struct rusage use;

    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
           (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
}

/* Without descriptors accept fails and the socket stays acceptable: waiting, not spinning. */
static void without_descriptors_it_waits(void **state)
{
    struct rlimit           limit;
    struct sockaddr_storage to;
    socklen_t               len = sizeof to;
    struct toy             *t = toy_start(&(struct listener_config){ 0 });
    struct client          *c = is_served(t, "/echo");

    (void)state;
    assert_int_equal(getpeername(c->fd, (struct sockaddr *)&to, &len), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = { .rlim_cur = 3, .rlim_max = limit.rlim_max };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* the last descriptor there is */
    assert_true(fd >= 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, len), 0);
    int64_t before = cpu_ms();
    toy_sleep_ms(700);
    int64_t used = cpu_ms() - before;
    assert_int_equal(toy_counts(t).open, 1);
    client_send(c, GET("/turn")); /* who is in is served */
    client_expect(c, 200, "/turn");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    toy_wait_open(t, 2);
    if (used > 60) /* a busy machine lets even a spinning thread have no more than its share */
        fail_msg("%d ms of CPU while waiting 700 ms", (int)used);

    struct client waiting = { .fd = fd };
    client_send(&waiting, GET("/echo"));
    client_reset(&waiting);
    client_free(c);
    toy_wait_open(t, 0);
    toy_stop(t, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_in_all),
        cmocka_unit_test(connections_per_address),
        cmocka_unit_test(connections_without_a_good_signature),
        cmocka_unit_test(input_without_a_good_signature),
        cmocka_unit_test(the_usual_limits_are_those_of_the_list),
        cmocka_unit_test(the_local_socket_does_not_count),
        cmocka_unit_test(without_descriptors_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
