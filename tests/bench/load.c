/* tests/bench/load.c - sends prepared HTTP requests over keep-alive connections and times the answers.
 *
 *   load [options] HOST PORT FILE
 *
 *   --connections N  kept open, each with at most one request under way (default 64)
 *   --seconds S      how long (default 3)
 *   --rate R         open loop: R requests a second, whatever the server does; latencies count from
 *                    the moment a request was due. Without it: closed loop, the next request when the
 *                    answer is there
 *   --threads N      that share the connections (default 1)
 *   --tls            TLS, one handshake per connection, no resumption. The certificate is NOT verified:
 *                    this is for the loopback interface
 *   --in-order       connection i takes the requests i, i + N, i + 2 N, ... of the file: what has to
 *                    follow each other (import, delete) is put at distances of N
 *   --once           ends when every request of the file was sent once and answered
 *   --expect TEXT    bodies must begin so
 *   --idle N         connections that are held besides: each has sent one request and had its answer
 *   --wait           says "ready" when all connections are there, begins when it is sent a line, and ends when
 *                    standard input does: who measures the server counts neither handshakes nor closing
 *
 * FILE holds requests one after another, each with a 4-byte big-endian length in front. The server
 * takes a signature for 5 minutes, so tests/bench/run signs a pool of them freshly for each round.
 *
 * An answer is right with status 200 and the expected beginning; others are counted as errors, and the
 * first one is shown. So are connections that end under a request; they are opened again. Prints one
 * JSON object; times in microseconds.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 100000, THREADS_MAX = 64 };

_Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
                  errno != 0 ? strerror(errno) : "");
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static size_t length_at(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static void read_requests(struct plan *p, const char *path)
{
    FILE    *f = fopen(path, "rb");
    size_t   size = 0, room = 0;
    uint8_t *data = NULL;

    if (f == NULL)
        die(path);
    do {
        room = room == 0 ? 1 << 20 : room * 2;
        data = realloc(data, room);
        if (data == NULL)
            die("memory");
        size += fread(data + size, 1, room - size, f);
    } while (size == room);
    (void)fclose(f);
    errno = 0;
    for (size_t at = 0; at < size; at += 4 + length_at(data + at)) {
        if (size - at < 4 || size - at - 4 < length_at(data + at))
            die("the request file is cut short");
        if (p->n_requests % 1024 == 0)
            p->requests = realloc(p->requests, (p->n_requests + 1024) * sizeof *p->requests);
        if (p->requests == NULL)
            die("memory");
        p->requests[p->n_requests++] = (struct piece){ data + at + 4, length_at(data + at) };
    }
    if (p->n_requests == 0)
        die("the request file is empty");
}

static SSL_CTX *new_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        die("OpenSSL");
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call per answer, as with plain HTTP */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

static _Noreturn void usage(void)
{
    (void)fprintf(stderr,
                  "usage: load [--connections N] [--seconds S] [--rate R] [--threads N] [--tls]\n"
                  "            [--in-order] [--once] [--expect TEXT] [--idle N] [--wait]\n"
                  "            HOST PORT FILE\n");
    exit(64);
}

static void set(struct plan *p, int option)
{
    switch (option) {
    case 'c': p->connections = strtoul(optarg, NULL, 10); break;
    case 's': p->seconds = strtod(optarg, NULL); break;
    case 'r': p->rate = strtod(optarg, NULL); break;
    case 't': p->threads = strtoul(optarg, NULL, 10); break;
    case 'T': p->tls = new_tls(); break;
    case 'o': p->in_order = true; break;
    case 'O': p->once = true; break;
    case 'e': p->expect = optarg; break;
    case 'i': p->idle = strtoul(optarg, NULL, 10); break;
    case 'w': p->wait = true; break;
    default:  usage();
    }
}

static void read_arguments(struct plan *p, int argc, char **argv)
{
    static const struct option options[] = { { "connections", required_argument, NULL, 'c' },
                                             { "seconds", required_argument, NULL, 's' },
                                             { "rate", required_argument, NULL, 'r' },
                                             { "threads", required_argument, NULL, 't' },
                                             { "tls", no_argument, NULL, 'T' },
                                             { "in-order", no_argument, NULL, 'o' },
                                             { "once", no_argument, NULL, 'O' },
                                             { "expect", required_argument, NULL, 'e' },
                                             { "idle", required_argument, NULL, 'i' },
                                             { "wait", no_argument, NULL, 'w' },
                                             { NULL, 0, NULL, 0 } };
    int                        option;

    *p = (struct plan){ .connections = 64, .threads = 1, .seconds = 3 };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        set(p, option);
    if (argc - optind != 3)
        usage();
    p->to.sin_family = AF_INET;
    p->to.sin_port = htons((uint16_t)strtoul(argv[optind + 1], NULL, 10));
    bool fits = p->connections >= p->threads && p->connections <= CONNECTIONS_MAX &&
                p->threads >= 1 && p->threads <= THREADS_MAX && p->idle <= CONNECTIONS_MAX &&
                p->seconds > 0 && p->rate >= 0 && !(p->once && p->rate > 0);
    if (!fits || inet_pton(AF_INET, argv[optind], &p->to.sin_addr) != 1)
        usage();
    read_requests(p, argv[optind + 2]);
}

/* --- connections that only stay --------------------------------------------------------------- */

static int *open_idle(const struct plan *p)
{
    int              *fds = calloc(p->idle + 1, sizeof *fds);
    struct connection c = { .tls = NULL };
    struct outcome   *ignored = calloc(1, sizeof *ignored);

    if (fds == NULL || ignored == NULL)
        die("memory");
    for (size_t i = 0; i < p->idle; i++) {
        connection_open(p, &c);
        enum progress progress = MORE_TO_COME;
        bool          sent = connection_send(&c, p->requests[i % p->n_requests], ignored);
        while (sent && progress == MORE_TO_COME) {
            struct pollfd wait = { .fd = c.fd, .events = POLLIN };
            if (poll(&wait, 1, 10000) != 1)
                break;
            progress = connection_receive(&c, ignored);
        }
        connection_check(p, &c, ignored);
        if (progress != ANSWERED || ignored->wrong_status + ignored->wrong_body > 0)
            die("an idle connection got no good answer");
        fds[i] = c.fd; /* of TLS the state is lost, but nothing more is said */
    }
    free(ignored);
    return fds;
}

/* How many of them the server has closed. */
static size_t lost(const int *fds, size_t n)
{
    size_t closed = 0;

    for (size_t i = 0; i < n; i++) {
        char byte;
        closed += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    return closed;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static void prepare(struct worker *w, const struct plan *p, size_t number)
{
    size_t first = p->connections * number / p->threads;

    w->plan = p;
    w->number = number;
    w->n = p->connections * (number + 1) / p->threads - first;
    w->next = p->n_requests * number / p->threads;
    w->end = p->n_requests * (number + 1) / p->threads;
    w->connections = calloc(w->n, sizeof *w->connections);
    w->free = calloc(w->n, sizeof *w->free);
    if (w->connections == NULL || w->free == NULL)
        die("memory");
    for (size_t i = 0; i < w->n; i++)
        w->connections[i].number = first + i;
}

static void add(struct outcome *to, const struct outcome *from)
{
    histogram_merge(&to->latency, &from->latency);
    to->wrong_status += from->wrong_status;
    to->wrong_body += from->wrong_body;
    to->closed += from->closed;
    to->unanswered += from->unanswered;
    to->reopened += from->reopened;
    to->sent_bytes += from->sent_bytes;
    to->received_bytes += from->received_bytes;
    if (from->end_ns > to->end_ns)
        to->end_ns = from->end_ns;
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print(const struct plan *p, const struct outcome *o, double seconds, double cpu,
                  size_t idle_lost)
{
#define COUNT(x) (unsigned long long)(x)
    (void)printf(
        "{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.4f,\"p50\":%.1f,\"p90\":%.1f,"
        "\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,",
        COUNT(o->latency.count), COUNT(o->wrong_status + o->wrong_body + o->closed + o->unanswered),
        seconds, histogram_percentile_us(&o->latency, 0.5),
        histogram_percentile_us(&o->latency, 0.9), histogram_percentile_us(&o->latency, 0.99),
        histogram_percentile_us(&o->latency, 0.999), (double)o->latency.max_ns / 1000);
    (void)printf("\"wrong_status\":%llu,\"wrong_body\":%llu,\"closed\":%llu,\"unanswered\":%llu,"
                 "\"reopened\":%llu,\"idle\":%zu,\"idle_lost\":%zu,\"sent_bytes\":%llu,"
                 "\"received_bytes\":%llu,\"load_cpu_seconds\":%.4f}\n",
                 COUNT(o->wrong_status), COUNT(o->wrong_body), COUNT(o->closed),
                 COUNT(o->unanswered), COUNT(o->reopened), p->idle, idle_lost, COUNT(o->sent_bytes),
                 COUNT(o->received_bytes), cpu);
#undef COUNT
}

/* Until there is a line on standard input, or its end. */
static void wait_for_line(void)
{
    int c = 0;

    while (c != '\n' && c != EOF)
        c = getchar();
}

/* As many descriptors as we may have. */
static void raise_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    static struct worker  workers[THREADS_MAX];
    static struct outcome all;
    struct plan           plan;
    pthread_barrier_t     ready;
    uint64_t              start;

    read_arguments(&plan, argc, argv);
    raise_limit();
    int *idle = open_idle(&plan);
    (void)pthread_barrier_init(&ready, NULL, (unsigned)plan.threads + 1);
    for (size_t i = 0; i < plan.threads; i++) {
        prepare(&workers[i], &plan, i);
        workers[i].ready = &ready;
        workers[i].start_ns = &start;
        if (pthread_create(&workers[i].id, NULL, worker_run, &workers[i]) != 0)
            die("pthread_create");
    }
    (void)pthread_barrier_wait(&ready);
    if (plan.wait) {
        (void)puts("ready");
        (void)fflush(stdout);
        wait_for_line();
    }
    start = now_ns();
    double cpu = cpu_seconds();
    (void)pthread_barrier_wait(&ready);
    for (size_t i = 0; i < plan.threads; i++) {
        (void)pthread_join(workers[i].id, NULL);
        add(&all, &workers[i].outcome);
    }
    if (all.end_ns < start) /* not one answer */
        all.end_ns = now_ns();
    print(&plan, &all, (double)(all.end_ns - start) / 1e9, cpu_seconds() - cpu,
          lost(idle, plan.idle));
    (void)fflush(stdout);
    if (plan.wait)
        wait_for_line();
    return 0;
}
