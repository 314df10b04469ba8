/* tests/bench/load_thread.c - one thread of the load generator: which request goes out when.
 *
 * Closed loop: each connection sends its next request when the answer to the last one is there. How long
 * requests take then says little about how long they would take a client that does not wait for others:
 * while the server stands still, nobody asks.
 *
 * Open loop: the requests are due at even distances, and their time counts from when they were due,
 * whether or not a connection was free (no coordinated omission). What was due before the end and has no
 * answer a little later counts as an error, with the time it has waited so far.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "load.h"

enum { EVENTS = 256 };
static const uint64_t SECOND = 1000000000;
static const uint64_t PATIENCE = 2 * SECOND; /* for answers after the end of an open loop */

static void watch(struct worker *w, struct connection *c)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        die("epoll_ctl");
}

/* What the connection sends next; false when there is nothing more (--once). */
static bool next_request(struct worker *w, struct connection *c, struct piece *ret)
{
    const struct plan *p = w->plan;
    size_t             at = p->in_order ? c->number + c->turn * p->connections : w->next++;

    if (p->once && at >= (p->in_order ? p->n_requests : w->end))
        return false;
    *ret = p->requests[at % p->n_requests];
    return true;
}

static void reopen(struct worker *w, struct connection *c)
{
    connection_close(c);
    connection_open(w->plan, c);
    watch(w, c);
}

static void make_free(struct worker *w, struct connection *c)
{
    if (w->plan->rate > 0)
        w->free[(w->first_free + w->n_free++) % w->n] = (size_t)(c - w->connections);
}

/* Sends a request that counts from `since`; false when there was none to send. */
static bool begin(struct worker *w, struct connection *c, uint64_t since)
{
    struct piece request;

    if (!next_request(w, c, &request))
        return false;
    c->since_ns = since;
    while (!connection_send(c, request, &w->outcome)) {
        w->outcome.closed++;
        reopen(w, c);
    }
    return true;
}

/* The connection has ended: under a request that is an error, else the server was tired of waiting. */
static void ended(struct worker *w, struct connection *c)
{
    if (c->busy)
        w->outcome.closed++;
    else
        w->outcome.reopened++;
    bool was_busy = c->busy;
    reopen(w, c);
    if (was_busy)
        make_free(w, c);
}

/* Takes what has come on a connection; true when it can take another request. */
static bool arrived(struct worker *w, struct connection *c)
{
    bool          was_busy = c->busy;
    enum progress progress = connection_receive(c, &w->outcome);

    if (progress == ENDED) {
        ended(w, c);
        return was_busy;
    }
    if (progress == MORE_TO_COME || !c->busy)
        return false;
    c->busy = false;
    w->outcome.end_ns = now_ns();
    histogram_add(&w->outcome.latency, w->outcome.end_ns - c->since_ns);
    connection_check(w->plan, c, &w->outcome);
    if (connection_is_last(c)) {
        w->outcome.reopened++;
        reopen(w, c);
    }
    make_free(w, c);
    return true;
}

/* Waits for answers until the given moment at most; with `again` connections go on at once. How many
 * of them had nothing more to send. */
static size_t serve(struct worker *w, uint64_t until, bool again)
{
    struct epoll_event events[EVENTS];
    uint64_t           now = now_ns(), rest = until > now ? until - now : 0;
    struct timespec    timeout = { .tv_sec = (time_t)(rest / SECOND),
                                   .tv_nsec = (long)(rest % SECOND) };
    int                n = epoll_pwait2(w->epoll, events, EVENTS, &timeout, NULL);
    size_t             idle = 0;

    if (n < 0 && errno != EINTR)
        die("epoll_pwait2");
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (arrived(w, c) && again && !begin(w, c, now_ns()))
            idle++;
    }
    return idle;
}

static void closed_loop(struct worker *w)
{
    uint64_t end = w->plan->once ? UINT64_MAX
                                 : *w->start_ns + (uint64_t)(w->plan->seconds * (double)SECOND);
    size_t   active = 0;

    for (size_t i = 0; i < w->n; i++)
        active += begin(w, &w->connections[i], now_ns());
    while (active > 0 && now_ns() < end)
        active -= serve(w, now_ns() + SECOND < end ? now_ns() + SECOND : end, true);
}

/* What is still without an answer when patience ends. */
static void give_up(struct worker *w, uint64_t due, uint64_t end, uint64_t distance)
{
    uint64_t now = now_ns();

    for (size_t i = 0; i < w->n; i++) {
        if (w->connections[i].busy) {
            w->outcome.unanswered++;
            histogram_add(&w->outcome.latency, now - w->connections[i].since_ns);
        }
    }
    for (; due < end; due += distance) {
        w->outcome.unanswered++;
        histogram_add(&w->outcome.latency, now - due);
    }
    w->outcome.end_ns = now;
}

static void open_loop(struct worker *w)
{
    const struct plan *p = w->plan;
    uint64_t           distance = (uint64_t)((double)SECOND * (double)p->threads / p->rate);
    uint64_t           due = *w->start_ns + distance * w->number / p->threads;
    uint64_t           end = *w->start_ns + (uint64_t)(p->seconds * (double)SECOND);

    while (due < end || w->n_free < w->n) {
        uint64_t now = now_ns();
        if (now >= end + PATIENCE)
            break;
        for (; due < end && due <= now && w->n_free > 0; due += distance) {
            struct connection *c = &w->connections[w->free[w->first_free]];
            w->first_free = (w->first_free + 1) % w->n;
            w->n_free--;
            (void)begin(w, c, due);
        }
        (void)serve(w, due < end && w->n_free > 0 ? due : end + PATIENCE, false);
    }
    give_up(w, due, end, distance);
}

void *worker_run(void *arg)
{
    struct worker *w = arg;

    (void)prctl(PR_SET_TIMERSLACK, 1); /* or a request is sent 50 us after it is due */
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0)
        die("epoll_create1");
    for (size_t i = 0; i < w->n; i++) {
        connection_open(w->plan, &w->connections[i]);
        watch(w, &w->connections[i]);
        make_free(w, &w->connections[i]);
    }
    (void)pthread_barrier_wait(w->ready); /* the first: all are connected; the second: go */
    (void)pthread_barrier_wait(w->ready);
    if (w->plan->rate > 0)
        open_loop(w);
    else
        closed_loop(w);
    return NULL;
}
