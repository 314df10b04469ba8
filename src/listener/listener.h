/* listener/listener.h - sockets, TLS, loops, deadlines: bytes in, requests out.
 *
 * One libuv loop per thread, each with its own listening socket (SO_REUSEPORT). A connection belongs to
 * its loop for life. Requests of one connection are handed out one at a time, in order; the next one
 * is parsed when the answer to the one before has been given, so answers are in order by
 * construction, pipelined or not. The listener knows nothing of KMS: it gets two functions.
 */
#pragma once

#include "base/error.h"
#include "http/http.h"

struct listener;

/* One request on its way, embedded in its connection. Valid from `request` until listener_answer. */
struct exchange {
    struct http_request in;
    struct buf         *out;    /* empty; append the complete answer here (http_answer_add)     */
    unsigned            loop;   /* number of the loop thread that owns it                       */
    bool                local;  /* came through the local socket of the data directory          */
    bool                secure; /* came over TLS                                                */
    bool                close;  /* the connection closes after the answer, which must say so: set
                                 * already if the client, a limit or stopping wants it, may be
                                 * set; look at it on the loop's thread, when answering         */
    bool         authenticated; /* to be set when the signature was good: per-address limits    */
    bool         secret;        /* to be set when the answer holds a plaintext: it is wiped     */
    const char  *source;        /* client address as text, at most 45 characters; "local" for the
                                 * socket of the data directory                                  */
    struct bytes network;       /* the address as limits count it: of IPv6 its /64; empty: local */
    const char  *tls_version;   /* "TLSv1.3"; NULL without TLS                                  */
    const char  *tls_cipher;
    int64_t      received_ns; /* clock_monotonic_ns when the head began                       */
    void        *user;        /* the handler's                                                */
};

struct listener_hooks {
    void *ctx;
    /* A complete request, on its loop's thread. The handler calls listener_answer for it sooner or
     * later, on the same thread, also from inside this call. */
    void (*request)(void *ctx, struct exchange *ex);
    /* After all events of one turn of a loop, before it sleeps: the handler settles its batch (audit)
     * and gives the answers. */
    void (*turn)(void *ctx, unsigned loop);
    /* When a loop thread starts and ends. */
    void (*thread_start)(void *ctx, unsigned loop);
    void (*thread_end)(void *ctx, unsigned loop);
};

/* Deadlines and rates; 0 is the value of base/limits.h. All are judged by one timer per loop, up to an
 * eighth of the shortest deadline (at most 250 ms) late. */
struct listener_limits {
    int64_t  handshake_ms;  /* TLS, from accept                                              */
    int64_t  head_ms;       /* first byte (of a new connection: accept) to the head's end    */
    int64_t  request_ms;    /* first byte to answer; and again for a client that does not read it */
    int64_t  keepalive_ms;  /* idle between requests                                         */
    int64_t  body_grace_ms; /* from the head's end; after this a body must have come at ...  */
    int64_t  body_rate;     /* ... this many bytes a second                                  */
    int64_t  linger_ms;     /* after the last answer, for the client to read it and close    */
    unsigned requests;      /* on one connection: the last one has keep_alive false          */
};

struct listener_config {
    const char *address;    /* "127.0.0.1:8080", "[::1]:0", ":8080"; port 0 picks a free one  */
    const char *local_path; /* UNIX socket, mode 0600; NULL: none                              */
    unsigned    loops;      /* 0: one per core                                                 */
    const char *tls_cert;   /* PEM chain; NULL: plain HTTP                                     */
    const char *tls_key;
    unsigned    max_connections, max_per_address, max_unauthenticated; /* 0: base/limits.h       */
    size_t      max_unproven_more; /* 0: LIMIT_UNPROVEN_INPUT_MORE                              */
    struct listener_limits limits;
    struct listener_hooks  hooks;
};

/* Binds and loads certificates; nothing is accepted yet. One clear line in detail when the address is
 * taken or a file cannot be used. */
KMS_MUST_CHECK enum kms_status listener_open(const struct listener_config *config,
                                             struct listener **ret, struct kms_error *reterr);
/* "http://127.0.0.1:8080" with the real port, valid as long as the listener. */
const char *listener_url(const struct listener *l);
unsigned listener_loops(const struct listener *l);
/* Starts the loop threads and accepts. */
KMS_MUST_CHECK enum kms_status listener_start(struct listener *l, struct kms_error *reterr);

/* Gives the answer that is in ex->out: on the loop's thread only. `ex` must not be touched afterwards.
 * An answer that did not fit (buf_ok) is replaced by a bare 500. The connection is closed after it if
 * ex->close is set. The client may be gone already: then the answer is forgotten. */
void listener_answer(struct exchange *ex);

/* Runs fn(arg) on a loop's thread, from any thread, in the order of the calls. `task` stays valid
 * until then (no allocation). Allowed until listener_free; a task posted after its loop has ended is
 * not run. */
struct listener_task {
    struct listener_task *next;
    void (*fn)(void *arg);
    void *arg;
};
void listener_post(struct listener *l, unsigned loop, struct listener_task *task);

/* Loads certificate and key again (SIGHUP); connections in progress keep theirs. On failure the old
 * ones stay in use. Thread-safe. */
KMS_MUST_CHECK enum kms_status listener_reload(struct listener *l, struct kms_error *reterr);
/* Stops accepting, lets requests in progress finish for at most `ms`, closes, joins the threads.
 * Exchanges that are not answered by then are abandoned: nobody may answer them any more. */
void listener_stop(struct listener *l, int64_t ms);
/* After listener_stop, or if listener_start was never called or failed; NULL is fine. */
void listener_free(struct listener *l);

struct listener_counts {
    uint64_t accepted;      /* connections, those refused below included                       */
    uint64_t open;          /* now                                                             */
    uint64_t refused_limit; /* closed at once: one of the three numbers of connections; or answered
                                 503: input without a good signature                              */
    uint64_t refused_request; /* not HTTP as we read it                                          */
    uint64_t timeouts;        /* deadlines missed, idle connections not counted                  */
    uint64_t tls_errors;      /* handshakes that failed                                          */
};
/* Thread-safe; the figures are of slightly different moments. */
void listener_counts(struct listener *l, struct listener_counts *ret);
