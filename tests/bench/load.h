/* tests/bench/load.h - the parts of the load generator: what is wanted, connections, threads.
 *
 * load.c reads the arguments and prints, load_connection.c sends a request and takes its answer,
 * load_thread.c decides when: in a closed loop as soon as the last answer is there, in an open loop at
 * a rate. A failure that leaves nothing to measure ends the program (die()).
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load_histogram.h"

enum { ANSWER_KEPT = 8 * 1024 }; /* bytes of an answer that are looked at: its head must fit */

struct piece {
    const uint8_t *data;
    size_t         len;
};

/* What is asked for; the same for all threads, and constant while they run. */
struct plan {
    struct sockaddr_in to;
    size_t             connections; /* of all threads, as `threads` and `idle` */
    size_t             threads;
    size_t             idle;
    double             seconds;
    double             rate;     /* requests a second of all threads; 0: closed loop */
    bool               in_order; /* connection i takes the requests i, i + connections, ... */
    bool               once;     /* until every request was sent once, instead of `seconds` */
    bool               wait;     /* for whoever started it: see load.c */
    const char        *expect;   /* with what bodies must begin */
    SSL_CTX           *tls;      /* NULL: plain */
    struct piece      *requests;
    size_t             n_requests;
};

/* What came of it. An answer that is wrong counts as a request and as an error. */
struct outcome {
    struct histogram latency; /* of answers, right or wrong */
    uint64_t         wrong_status, wrong_body;
    uint64_t         closed;     /* connections that ended under a request */
    uint64_t         unanswered; /* open loop: due in time, no answer at the end */
    uint64_t         reopened;   /* connections that ended in good order: the server's limit */
    uint64_t         sent_bytes, received_bytes;
    uint64_t         end_ns; /* when the last one of this thread was over */
};

struct connection {
    int      fd;
    SSL     *tls;
    uint64_t number;   /* among those of all threads */
    uint64_t turn;     /* requests it has sent */
    uint64_t since_ns; /* when its request was sent or, in an open loop, should have been */
    bool     busy;     /* waits for an answer */
    size_t   got;      /* bytes of the answer, kept or not */
    size_t   want;     /* whole answer, 0 while the head is incomplete */
    size_t   body;     /* where the body begins */
    char     answer[ANSWER_KEPT + 1];
};

enum progress { MORE_TO_COME, ANSWERED, ENDED };

/* One of plan.threads. */
struct worker {
    const struct plan *plan;
    pthread_t          id;
    pthread_barrier_t *ready; /* all are connected: the time begins */
    const uint64_t    *start_ns;
    size_t             number, n; /* which of the threads; how many connections */
    struct connection *connections;
    size_t            *free; /* open loop: ring of connections that wait for a request */
    size_t             first_free, n_free;
    size_t             next, end; /* the requests it takes: end only with plan.once */
    int                epoll;
    struct outcome     outcome;
};

/* Prints what failed, and errno if it is set, and ends the program. */
_Noreturn void die(const char *what);
/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* Connects, and with TLS shakes hands, which blocks. */
void connection_open(const struct plan *plan, struct connection *c);
void connection_close(struct connection *c);
/* Sends the whole request; false if the connection has ended. */
bool connection_send(struct connection *c, struct piece request, struct outcome *o);
/* Takes what is there of the answer. */
enum progress connection_receive(struct connection *c, struct outcome *o);
/* Is the complete answer what it should be? Counts, and tells about the first wrong one. */
void connection_check(const struct plan *plan, const struct connection *c, struct outcome *o);
/* Will the server end the connection after this answer, and says so? */
bool connection_is_last(const struct connection *c);

/* A thread's whole work: pthread_create's function, `arg` is a struct worker. */
void *worker_run(void *arg);
