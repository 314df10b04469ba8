/* tests/bench/load.c - sends prepared HTTP requests over keep-alive connections and times the
 * answers.
 *
 *   load HOST PORT CONNECTIONS SECONDS FILE
 *
 * FILE holds requests one after another, each with a 4-byte big-endian length in front
 * (tests/bench/run signs them freshly for every run: a pool of pre-signed requests inside the
 * 5-minute window). Each connection has one request under way at a time; an answer counts only with
 * status 200. One thread, epoll. Prints one JSON object: requests, errors, seconds, p50/p90/p99/max
 * in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 * 1024,
    CONNECTIONS_MAX = 10000,
    BUCKETS = 100000 /* microseconds, then the rest */
};

struct piece {
    const uint8_t *data;
    size_t         len;
};

struct connection {
    int      fd;
    uint64_t sent_ns;
    size_t   got;
    size_t   want; /* whole answer, 0 while the head is incomplete */
    uint8_t  answer[ANSWER_MAX];
};

struct load {
    struct piece *requests;
    size_t        n_requests, next;
    uint64_t      done, errors;
    uint64_t      latency[BUCKETS + 1];
    uint64_t      max_us;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void read_requests(struct load *l, const char *path)
{
    FILE *f = fopen(path, "rb");
    long  size;

    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) <= 0 ||
        fseek(f, 0, SEEK_SET) != 0)
        die(path);
    uint8_t *data = malloc((size_t)size);
    if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size)
        die(path);
    (void)fclose(f);
    for (size_t at = 0; at + 4 <= (size_t)size;) {
        size_t len = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 |
                     (size_t)data[at + 2] << 8 | data[at + 3];
        l->requests = realloc(l->requests, (l->n_requests + 1) * sizeof *l->requests);
        if (l->requests == NULL || at + 4 + len > (size_t)size)
            die("request file");
        l->requests[l->n_requests++] = (struct piece){ data + at + 4, len };
        at += 4 + len;
    }
}

static void open_connection(struct connection *c, const struct sockaddr_in *to)
{
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof *to) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->got = c->want = 0;
}

static void send_next(struct load *l, struct connection *c)
{
    struct piece p = l->requests[l->next++ % l->n_requests];

    c->got = c->want = 0;
    c->sent_ns = now_ns();
    if (send(c->fd, p.data, p.len, MSG_NOSIGNAL) != (ssize_t)p.len)
        die("send");
}

/* Length of the whole answer once its head is there, else 0. */
static size_t whole_length(struct connection *c)
{
    static const char field[] = "content-length:";
    uint8_t          *end = memmem(c->answer, c->got, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    for (uint8_t *p = c->answer; p < end; p++) {
        if (strncasecmp((char *)p, field, sizeof field - 1) == 0)
            return (size_t)(end - c->answer) + 4 + strtoul((char *)p + sizeof field - 1, NULL, 10);
    }
    return (size_t)(end - c->answer) + 4;
}

/* The server ends a connection after a number of requests, and says so in the last answer. */
static bool last_answer(const struct connection *c)
{
    static const char field[] = "\r\nconnection: close\r\n";

    for (size_t i = 0; i + sizeof field - 1 <= c->got; i++) {
        if (strncasecmp((const char *)c->answer + i, field, sizeof field - 1) == 0)
            return true;
        if (memcmp(c->answer + i, "\r\n\r\n", 4) == 0)
            return false;
    }
    return false;
}

static void finished(struct load *l, struct connection *c)
{
    uint64_t us = (now_ns() - c->sent_ns) / 1000;

    l->latency[us < BUCKETS ? us : BUCKETS]++;
    if (us > l->max_us)
        l->max_us = us;
    l->done++;
    if (c->got < 12 || memcmp(c->answer + 9, "200", 3) != 0)
        l->errors++;
}

/* Reads what is there; true when the answer is complete. */
static bool receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - c->got, 0);

    if (n <= 0)
        die("the server closed the connection in the middle of an answer");
    c->got += (size_t)n;
    if (c->want == 0)
        c->want = whole_length(c);
    return c->want != 0 && c->got >= c->want;
}

static uint64_t percentile(const struct load *l, double p)
{
    uint64_t rank = (uint64_t)((double)l->done * p);
    uint64_t seen = 0;

    for (size_t us = 0; us < BUCKETS; us++) {
        seen += l->latency[us];
        if (seen > rank)
            return us;
    }
    return l->max_us;
}

int main(int argc, char **argv)
{
    static struct load l;

    if (argc != 6) {
        (void)fprintf(stderr, "usage: load HOST PORT CONNECTIONS SECONDS FILE\n");
        return 64;
    }
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])) };
    size_t             n = (size_t)atoi(argv[3]);
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || n < 1 || n > CONNECTIONS_MAX)
        die("arguments");
    read_requests(&l, argv[5]);

    struct connection *connections = calloc(n, sizeof *connections);
    int                ep = epoll_create1(0);
    if (connections == NULL || ep < 0)
        die("memory");
    for (size_t i = 0; i < n; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = &connections[i] };
        open_connection(&connections[i], &to);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, connections[i].fd, &e) != 0)
            die("epoll");
        send_next(&l, &connections[i]);
    }

    uint64_t start = now_ns();
    uint64_t end = start + (uint64_t)(atof(argv[4]) * 1e9);
    while (now_ns() < end) {
        struct epoll_event events[256];
        int                ready = epoll_wait(ep, events, 256, 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive(c))
                continue;
            finished(&l, c);
            if (last_answer(c)) {
                struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
                (void)close(c->fd); /* and out of the epoll set with it */
                open_connection(c, &to);
                if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) != 0)
                    die("epoll");
            }
            send_next(&l, c);
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    (void)printf("{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"p50\":%llu,\"p90\":%llu,"
                 "\"p99\":%llu,\"max\":%llu}\n",
                 (unsigned long long)l.done, (unsigned long long)l.errors, seconds,
                 (unsigned long long)percentile(&l, 0.5), (unsigned long long)percentile(&l, 0.9),
                 (unsigned long long)percentile(&l, 0.99), (unsigned long long)l.max_us);
    return 0;
}
