/* listener/listener_internal.h - what the files of this folder share.
 *
 *   listener.c   the public face: open, start, stop; certificate
 *   socket.c     addresses and listening sockets
 *   loop.c       one thread: libuv's callbacks, accepting, deadlines, turns, tasks
 *   conn.c       one connection: states, reading, writing, closing
 *   exchange.c   one request of it: parsing, handing out, the answer
 *
 * A connection between requests is small (struct conn, under 400 bytes, plus TLS); buffers, parser and
 * exchange come with the first byte of a request (struct work), from a pool of the loop.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

#include "base/limits.h"
#include "json/read.h"
#include "listener/listener.h"
#include "listener/peers_internal.h"
#include "listener/tls_internal.h"
#include "listener/wheel_internal.h"

enum {
    IN_FIRST = 8 * 1024, /* input buffer: fits all but imports and large policies at once     */
    IN_MAX = LIMIT_HEAD_BYTES + LIMIT_BODY_BYTES + JSON_PADDING,
    OUT_HIGH = 64 * 1024, /* unsent answers: no more requests of this connection until less    */
    BUF_KEPT = 16 * 1024, /* buffers of pooled work above this go back to the heap             */
    WORK_KEPT = 256,      /* pooled work of a loop: as many requests in one turn need no malloc */
    READ_ROUNDS = 8,      /* reads of one connection in one turn: others want to be read too   */
    ACCEPT_ROUNDS = 64,   /* likewise                                                          */
    TURN_REQUESTS = 32,   /* have come, and a turn begins: more of them would not fit the cache  */
    TURN_BYTES = 48 * 1024, /* likewise */
    TURN_ROUNDS = 4,        /* pipelined requests answered before other events are looked at     */
    TRIM_MS = 1000,         /* an idle connection with TLS gives its buffers back */
    TICK_MIN_MS = 5,
    TICK_MAX_MS = 250,
};

enum conn_state {
    CONN_HANDSHAKE, /* TLS                                                                */
    CONN_IDLE,      /* between requests, or before the first                              */
    CONN_HEAD,      /* a request has begun                                                */
    CONN_BODY,      /* its head is complete                                               */
    CONN_PENDING,   /* handed out, not answered                                           */
    CONN_LINGER,    /* our side is shut; reading and dropping until the client is through */
    CONN_DEAD,      /* closed; memory kept for libuv or for the pending exchange          */
};

struct conn {
    uv_poll_t          poll;
    struct loop       *loop;
    struct link        link;  /* loop->conns, later loop->dead                       */
    struct link        ready; /* in loop->ready: something to write or to go on with */
    struct wheel_entry timer;
    struct work       *work;        /* NULL between requests                               */
    struct tls        *tls;         /* NULL for plain connections                          */
    struct peer       *peer;        /* NULL for local ones                                 */
    const char        *tls_version; /* once the handshake is done; else NULL        */
    const char        *tls_cipher;
    int                fd;
    int                events; /* what libuv watches for: UV_READABLE, ...           */
    enum conn_state    state;
    bool               local;
    bool               authenticated;
    bool               fresh;        /* nothing has been answered yet                         */
    bool               closing;      /* no further request: close when the output is written  */
    bool               ended;        /* the client will send no more                          */
    bool               blocked;      /* output waits for the descriptor                       */
    bool               read_blocked; /* TLS must write before it reads on                     */
    bool               trimmed;      /* idle, and OpenSSL's buffers are given back            */
    bool               pending;      /* an exchange is with the handler                       */
    bool               closed;       /* libuv has let go of `poll`                            */
    unsigned           n_requests;
    int64_t            idle_until_ms;
    size_t             drained; /* bytes dropped while lingering */
    char               source[46];
    uint8_t            network[PEERS_NETWORK_MAX];
    size_t             network_len; /* 0: local */
};

struct work {
    struct exchange     ex;
    struct conn        *conn;
    struct work        *next; /* in the pool */
    struct http_parser *parser;
    struct buf          in;
    struct buf          answer;   /* what ex.out points to: becomes output when it is given */
    struct buf          out;      /* given answers                                          */
    size_t              charged;  /* its part of listener.n_unproven                        */
    size_t              sent;     /* bytes of `out` that are written                        */
    bool                wipe;     /* `out` holds a secret                                   */
    size_t              used;     /* bytes of `in` that belong to the exchange              */
    int64_t             began_ms; /* loop time of the request's first byte                  */
    int64_t             head_ms;  /* loop time of its head's end                            */
};

struct loop_counts {
    _Atomic uint64_t accepted, refused_limit, refused_request, timeouts, tls_errors;
};

struct acceptor {
    uv_poll_t    poll;
    struct loop *loop;
    int          fd;     /* -1: none              */
    bool         polled; /* `poll` is initialised */
    bool         local;
};

struct loop {
    struct listener *listener;
    unsigned         number;
    pthread_t        thread;
    bool             started;
    bool             handles; /* the handles below are initialised */
    uv_loop_t        uv;
    uv_async_t       wake;
    uv_timer_t       tick;
    uv_timer_t       stop_timer;
    uv_check_t       check;
    uv_idle_t        again; /* active: do not sleep, there is more to do */
    struct acceptor  acceptors[2];
    bool             accept_paused; /* out of descriptors: again with the next tick */
    struct link      conns;
    struct link      dead;
    struct link      ready;
    struct wheel     wheel;
    size_t           n_conns;
    size_t           n_pending;
    struct work     *pool;
    unsigned         n_pool;
    bool             dirty;   /* the handler's turn is due */
    unsigned         arrived; /* connections that something was read from since the last turn */
    size_t           arrived_bytes;
    bool             stopping;
    _Atomic(struct listener_task *) tasks; /* newest first */
    struct loop_counts              counts;
};

struct listener {
    struct listener_config config; /* limits filled in; strings are our copies */
    char                  *address, *local_path, *tls_cert, *tls_key;
    char                   url[128];
    int64_t                tick_ms;
    struct peers          *peers;
    pthread_mutex_t        tls_lock; /* guards `tls` */
    struct tls_context    *tls;
    bool                   local_bound; /* local_path is ours to remove */
    _Atomic unsigned       n_open;
    _Atomic unsigned       n_local;
    _Atomic size_t         n_unproven; /* bytes of LIMIT_UNPROVEN_INPUT_MORE in use */
    _Atomic unsigned       n_gone;     /* dropped with a request at the handler: see conn.c, C5 */
    _Atomic bool           stop;
    _Atomic int64_t        stop_ms;
    unsigned               n_loops;
    struct loop           *loops;
};

/* --- socket.c ----------------------------------------------------------------------------------- */

/* n sockets listening on the same address; ret_fds has room for them. `ret_url` gets the URL with the
 * real port. */
KMS_MUST_CHECK enum kms_status socket_listen(const char *address, unsigned n, bool secure,
                                             int *ret_fds, char *ret_url, size_t url_size,
                                             struct kms_error *reterr);
/* The local socket, mode 0600. A socket file that nobody listens on any more is replaced. */
KMS_MUST_CHECK enum kms_status socket_listen_local(const char *path, int *ret_fd,
                                                   struct kms_error *reterr);
/* The address without port, as text; `out` has room for INET6_ADDRSTRLEN. */
void socket_address_text(const struct sockaddr *address, char *out);
/* The process at the other end runs as our user or as root. */
bool socket_peer_is_owner(int fd);

/* --- loop.c ------------------------------------------------------------------------------------- */

/* Takes the descriptors even on failure (-1: none). */
KMS_MUST_CHECK enum kms_status loop_init(struct loop *loop, struct listener *l, unsigned number,
                                         int fd, int local_fd, struct kms_error *reterr);
void loop_run(
    struct loop *loop); /* on its thread, until stopped                                  */
void loop_done(struct loop *loop);
void loop_ready(struct loop *loop,
                struct conn *c); /* conn_turn(c) will be called in this turn     */
/* Between two events: a turn, if enough has come for one. */
void loop_turn_early(struct loop *loop);
void loop_conn_gone(struct loop *loop); /* after n_conns or n_pending went down         */
void loop_date(char out[29]);

/* --- conn.c ------------------------------------------------------------------------------------- */

/* Takes the descriptor. `tls` may be NULL; is taken too. */
void conn_open(struct loop *loop, int fd, const struct sockaddr *address, struct peer *peer,
               struct tls *tls, bool local);
void conn_turn(struct conn *c); /* writes what is to be written, goes on with what was read      */
void conn_timeout(
    struct conn *c);            /* its deadline has passed                                       */
void conn_stop(struct conn *c); /* closes unless a request is in progress                        */
void conn_drop(struct conn *c); /* closes now                                                    */
void conn_answered_late(
    struct conn *c); /* its request, after it was dropped: counts no more                        */
void conn_deadline(
    struct conn *c);            /* sets the deadline that its state calls for                    */
void conn_bury(struct conn *c); /* frees a dead one as soon as nobody needs it                   */

/* --- exchange.c --------------------------------------------------------------------------------- */

/* NULL: out of memory. */
struct work *work_take(struct conn *c);
/* Its input is held without asking from now on: the client has proved who it is, or is gone. */
void work_discharge(struct listener *l, struct work *w);
void work_release(struct loop *loop, struct work *w);
void work_free(struct work *w);
/* The connection can go on reading and handing out requests. */
bool exchange_reads(const struct conn *c);
/* Parses and hands out what is in the input buffer, as far as it goes. */
void exchange_advance(struct conn *c);
void exchange_refuse(struct conn *c, int status);
/* The same in words: text/plain. */
void exchange_refuse_with(struct conn *c, int status, struct bytes text);
