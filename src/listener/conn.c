/* listener/conn.c - one connection: its states, its descriptor and its end.
 *
 *   HANDSHAKE -> IDLE -> HEAD -> BODY -> PENDING -> IDLE ...      (HEAD and BODY may be skipped)
 *   any of them -> LINGER -> DEAD, or -> DEAD at once
 *
 * Invariants:
 *   C1  The memory of a connection lives until libuv has let go of its handle and the handler has
 *       answered its exchange, however early the client is gone.
 *   C2  Output is written in conn_turn only, once per turn of the loop, when the handler has settled.
 *   C3  `work` is there while there is input, unwritten output or a pending exchange.
 *   C4  Each state has a deadline.
 *   C5  A connection counts against the limits until its request is answered, even if the client is
 *       gone: who hangs up and comes again has no more requests at work than connections.
 *   C6  What was read is parsed before anything more is read: behind it may be the end of the client's
 *       sending, and who has sent a whole request is answered all the same.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener/listener_internal.h"

static void conn_event(uv_poll_t *poll, int status, int events);

/* --- the descriptor ------------------------------------------------------------------------------ */

static void conn_watch(struct conn *c, int events)
{
    if (c->events == events)
        return;
    c->events = events;
    if (events == 0)
        (void)uv_poll_stop(&c->poll);
    else
        (void)uv_poll_start(&c->poll, events, conn_event); /* fails only for a closing handle */
}

static enum io outcome(ssize_t n)
{
    if (n >= 0)
        return n == 0 ? IO_END : IO_OK;
    if (errno == EAGAIN || errno == EINTR)
        return IO_WANT_READ;
    return IO_FAILED;
}

static enum io conn_receive(struct conn *c, uint8_t *out, size_t room, size_t *ret_n)
{
    if (c->tls != NULL)
        return tls_read(c->tls, out, room, ret_n);
    ssize_t n = recv(c->fd, out, room, MSG_DONTWAIT);
    if (n > 0)
        *ret_n = (size_t)n;
    return outcome(n);
}

static enum io conn_send(struct conn *c, struct bytes in, size_t *ret_n)
{
    if (c->tls != NULL)
        return tls_write(c->tls, in, ret_n);
    ssize_t n = send(c->fd, in.ptr, in.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_WANT_WRITE;
    if (n < 0)
        return IO_FAILED;
    *ret_n = (size_t)n;
    return IO_OK;
}

/* --- deadlines ----------------------------------------------------------------------------------- */

/* A body has its grace; after that, what has come must not fall behind the rate. */
static int64_t body_deadline(const struct work *w, const struct listener_limits *limits)
{
    int64_t received = (int64_t)(w->in.len - http_head_len(w->parser));
    int64_t behind = w->head_ms + limits->body_grace_ms + received * 1000 / limits->body_rate;
    int64_t whole = w->began_ms + limits->request_ms;

    return behind < whole ? behind : whole;
}

/* With TLS, the first deadline is that of OpenSSL's buffers. */
static int64_t idle_deadline(struct conn *c, int64_t now)
{
    const struct listener_limits *limits = &c->loop->listener->config.limits;

    c->idle_until_ms = now + (c->fresh ? limits->head_ms : limits->keepalive_ms);
    c->trimmed = c->tls == NULL;
    return c->trimmed || c->idle_until_ms < now + TRIM_MS ? c->idle_until_ms : now + TRIM_MS;
}

void conn_deadline(struct conn *c)
{
    const struct listener_limits *limits = &c->loop->listener->config.limits;
    int64_t                       now = (int64_t)uv_now(&c->loop->uv);
    int64_t                       due;

    switch (c->state) {
    case CONN_HANDSHAKE: due = now + limits->handshake_ms; break;
    case CONN_IDLE:      due = idle_deadline(c, now); break;
    case CONN_HEAD:      due = c->work->began_ms + limits->head_ms; break;
    case CONN_BODY:      due = body_deadline(c->work, limits); break;
    case CONN_PENDING:   due = c->work->began_ms + limits->request_ms; break;
    case CONN_LINGER:    due = now + limits->linger_ms; break;
    case CONN_DEAD:
    default:             return;
    }
    if (c->blocked && c->state != CONN_PENDING)
        due = now + limits->request_ms;
    wheel_set(&c->loop->wheel, &c->timer, due);
}

/* --- the end ------------------------------------------------------------------------------------- */

void conn_bury(struct conn *c)
{
    if (!c->closed || c->pending)
        return; /* C1 */
    link_remove(&c->link);
    free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    c->closed = true;
    conn_bury(c);
}

static void leave_peer(struct conn *c)
{
    if (c->peer != NULL)
        peers_leave(c->loop->listener->peers, c->peer, c->authenticated);
    c->peer = NULL;
}

void conn_answered_late(struct conn *c)
{
    leave_peer(c);
    atomic_fetch_sub(&c->loop->listener->n_gone, 1);
}

void conn_drop(struct conn *c)
{
    struct loop *loop = c->loop;

    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    tls_free(c->tls);
    c->tls = NULL;
    if (c->pending)
        atomic_fetch_add(&loop->listener->n_gone, 1); /* C5 */
    else
        leave_peer(c);
    atomic_fetch_sub(c->local ? &loop->listener->n_local : &loop->listener->n_open, 1);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    (void)close(c->fd); /* the client may come again at once: it must not count any more */
    c->fd = -1;
    link_remove(&c->ready);
    wheel_remove(&c->timer);
    link_remove(&c->link);
    link_append(&loop->dead, &c->link);
    if (c->work != NULL && !c->pending) {
        work_release(loop, c->work);
        c->work = NULL;
    }
    loop->n_conns--;
    loop_conn_gone(loop);
}

/* All is written. The client may still be sending: closing now would reset the connection, and the
 * reset could overtake the answer. So: shut our side, read on for a moment, drop what comes. */
static void conn_finish(struct conn *c)
{
    if (c->tls != NULL)
        tls_shutdown(c->tls);
    if (c->ended || shutdown(c->fd, SHUT_WR) != 0) {
        conn_drop(c);
        return;
    }
    if (c->work != NULL)
        work_release(c->loop, c->work);
    c->work = NULL;
    c->state = CONN_LINGER;
    conn_deadline(c);
    conn_watch(c, UV_READABLE);
}

static void conn_linger(struct conn *c)
{
    uint8_t dropped[4096];
    ssize_t n = recv(c->fd, dropped, sizeof dropped, MSG_DONTWAIT);

    if (n > 0)
        c->drained += (size_t)n;
    explicit_bzero(dropped, n > 0 ? (size_t)n : 0);
    enum io io = outcome(n);
    if (io == IO_END || io == IO_FAILED || c->drained > LIMIT_LINGER_BYTES)
        conn_drop(c);
}

/* --- reading ------------------------------------------------------------------------------------- */

/* After reading or writing, with nothing more to do in this turn: what to wait for. */
static void conn_settle(struct conn *c)
{
    struct work *w = c->work;

    if (c->state == CONN_DEAD || c->state == CONN_LINGER || c->state == CONN_PENDING)
        return;
    if (c->blocked || c->read_blocked) {
        conn_watch(c, UV_WRITABLE);
        return;
    }
    if (!link_empty(&c->ready))
        return;
    conn_watch(c, UV_READABLE);
    if (c->state == CONN_IDLE && w != NULL && w->in.len == 0 && w->out.len == 0) {
        c->work = NULL;
        work_release(c->loop, w);
    }
}

enum { ROOM_MIN = 512 };

/* May its input buffer grow, if it has to? Without a good signature a client is given little; those
 * that need more share what there is of it, so many addresses together cannot take all memory. */
static bool conn_may_grow(struct conn *c)
{
    struct listener  *l = c->loop->listener;
    struct work      *w = c->work;
    const struct buf *in = &w->in;
    size_t            next = in->cap * 2 < in->limit ? in->cap * 2 : in->limit;

    if (in->cap - in->len >= ROOM_MIN + JSON_PADDING || next <= LIMIT_UNPROVEN_INPUT ||
        c->authenticated || c->local)
        return true;
    size_t more = next - LIMIT_UNPROVEN_INPUT - w->charged;
    if (atomic_fetch_add(&l->n_unproven, more) + more > l->config.max_unproven_more) {
        atomic_fetch_sub(&l->n_unproven, more);
        return false;
    }
    w->charged += more;
    return true;
}

/* Room in the input buffer, always leaving JSON_PADDING behind it; 0: no memory. It grows by doubling,
 * so that a client must send before we hold memory for what it announced. */
static size_t conn_room(struct buf *in)
{
    if (in->cap - in->len < ROOM_MIN + JSON_PADDING) {
        size_t left = in->limit - in->len;
        size_t want = in->cap == 0 ? IN_FIRST : ROOM_MIN + JSON_PADDING;
        if (!buf_reserve(in, left < want ? left : want))
            return 0;
    }
    return in->cap - in->len - JSON_PADDING;
}

/* The client will send no more. What it has sent completely is still answered. */
static void conn_ended(struct conn *c)
{
    c->ended = true;
    c->closing = true;
    if (c->work != NULL && c->work->out.len > 0)
        loop_ready(c->loop, c);
    else
        conn_drop(c);
}

/* One read; true if there may be more to read at once. */
static bool conn_read_once(struct conn *c)
{
    struct work *w = c->work;
    size_t       n = 0;

    if (!conn_may_grow(c)) {
        atomic_fetch_add_explicit(&c->loop->counts.refused_limit, 1, memory_order_relaxed);
        exchange_refuse(c, 503);
        return false;
    }
    size_t room = conn_room(&w->in);
    if (room == 0) {
        conn_drop(c);
        return false;
    }
    switch (conn_receive(c, w->in.ptr + w->in.len, room, &n)) {
    case IO_OK:
        w->in.len += n;
        /* a short read has emptied the socket; OpenSSL may hold more, of which libuv knows nothing */
        if (c->tls != NULL ? tls_pending(c->tls) : n == room) {
            exchange_advance(c);
            return exchange_reads(c);
        }
        loop_ready(c->loop, c); /* parsed with what else has come */
        c->loop->arrived++;
        c->loop->arrived_bytes += n;
        return false;
    case IO_WANT_READ: return false;
    case IO_WANT_WRITE: /* TLS has something of its own to say first */
        c->read_blocked = true;
        return false;
    case IO_END:        conn_ended(c); return false;
    case IO_FAILED:
    case IO_PLAIN_HTTP: conn_drop(c); return false;
    }
    return false;
}

static void conn_read(struct conn *c)
{
    bool more = true;

    c->read_blocked = false;
    if (c->work == NULL)
        c->work = work_take(c);
    if (c->work == NULL) {
        conn_drop(c);
        return;
    }
    for (unsigned round = 0; more && round < READ_ROUNDS; round++)
        more = conn_read_once(c);
    if (more && c->tls != NULL)
        loop_ready(c->loop, c);
    conn_settle(c);
}

static void conn_handshake(struct conn *c)
{
    switch (tls_handshake(c->tls)) {
    case IO_OK:
        c->state = CONN_IDLE;
        c->tls_version = tls_version(c->tls);
        c->tls_cipher = tls_cipher(c->tls);
        conn_watch(c, UV_READABLE);
        conn_deadline(c);
        conn_read(c);
        return;
    case IO_WANT_READ:  conn_watch(c, UV_READABLE); return;
    case IO_WANT_WRITE: conn_watch(c, UV_WRITABLE); return;
    case IO_PLAIN_HTTP: /* told so in plain HTTP, or nobody understands it */
        atomic_fetch_add_explicit(&c->loop->counts.tls_errors, 1, memory_order_relaxed);
        tls_free(c->tls);
        c->tls = NULL;
        c->state = CONN_IDLE;
        c->work = work_take(c);
        if (c->work == NULL)
            conn_drop(c);
        else
            exchange_refuse_with(c, 400, BYTES_LIT("This port speaks TLS: use https://\n"));
        return;
    case IO_END:
    case IO_FAILED: break;
    }
    atomic_fetch_add_explicit(&c->loop->counts.tls_errors, 1, memory_order_relaxed);
    tls_free(c->tls); /* it has said what is wrong, if anything could be said */
    c->tls = NULL;
    conn_finish(c);
}

/* --- writing ------------------------------------------------------------------------------------- */

/* True when all output is written; otherwise the connection waits, or is gone. */
static bool conn_flush(struct conn *c)
{
    struct work *w = c->work;

    if (w == NULL || w->out.len == 0)
        return true;
    while (w->sent < w->out.len) {
        size_t  n = 0;
        enum io io = conn_send(c, bytes_of(w->out.ptr + w->sent, w->out.len - w->sent), &n);
        if (io == IO_WANT_WRITE) {
            bool before = c->blocked;
            c->blocked = true;
            if (!before)
                conn_deadline(c);
            conn_watch(c, UV_WRITABLE);
            return false;
        }
        if (io != IO_OK) {
            conn_drop(c);
            return false;
        }
        w->sent += n;
    }
    if (w->wipe)
        buf_wipe(&w->out);
    else
        buf_reset(&w->out);
    w->sent = 0;
    w->wipe = false;
    c->blocked = false;
    return true;
}

void conn_turn(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE || c->state == CONN_LINGER || !conn_flush(c))
        return;
    if (c->state == CONN_PENDING)
        return;
    if (c->closing) {
        conn_finish(c);
        return;
    }
    if (c->work != NULL)
        exchange_advance(c);
    if (exchange_reads(c) && c->tls != NULL && tls_pending(c->tls)) {
        conn_read(c);
        return;
    }
    conn_settle(c);
}

/* --- events -------------------------------------------------------------------------------------- */

/* With a request at the handler nothing is read. The first event is pipelining or the end of the
 * client's sending; what is left to learn then is whether the connection breaks. */
static void conn_event_pending(struct conn *c, int events)
{
    if (c->blocked && (events & UV_WRITABLE) != 0) {
        loop_ready(c->loop, c);
        conn_watch(c, UV_DISCONNECT);
        return;
    }
    conn_watch(c, (events & UV_DISCONNECT) != 0 ? 0 : UV_DISCONNECT);
}

static void conn_event(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    struct loop *loop = c->loop;

    if (status < 0) { /* reset by the client */
        conn_drop(c);
        return;
    }
    switch (c->state) {
    case CONN_HANDSHAKE: conn_handshake(c); break;
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_BODY:
        if (c->blocked)
            loop_ready(c->loop, c);
        else if (exchange_reads(c) && link_empty(&c->ready)) /* else its turn comes first: C6 */
            conn_read(c);
        break;
    case CONN_PENDING: conn_event_pending(c, events); break;
    case CONN_LINGER:  conn_linger(c); break;
    case CONN_DEAD:    break;
    }
    loop_turn_early(loop);
}

/* The first of the two deadlines of an idle connection with TLS. */
static bool conn_trim(struct conn *c)
{
    if (c->state != CONN_IDLE || c->blocked || c->trimmed ||
        c->idle_until_ms <= (int64_t)uv_now(&c->loop->uv))
        return false;
    tls_trim(c->tls);
    c->trimmed = true;
    wheel_set(&c->loop->wheel, &c->timer, c->idle_until_ms);
    return true;
}

void conn_timeout(struct conn *c)
{
    if (conn_trim(c))
        return;
    bool waiting = c->state == CONN_LINGER || (c->state == CONN_IDLE && !c->blocked);

    if (!waiting)
        atomic_fetch_add_explicit(&c->loop->counts.timeouts, 1, memory_order_relaxed);
    if ((c->state == CONN_HEAD || c->state == CONN_BODY) && !c->blocked && !c->closing) {
        exchange_refuse(c, 408);
        return;
    }
    if (c->state == CONN_IDLE && c->tls != NULL)
        tls_shutdown(c->tls);
    conn_drop(c);
}

void conn_stop(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE) {
        conn_drop(c);
        return;
    }
    if (c->work != NULL)
        exchange_advance(c); /* C6 */
    if (exchange_reads(c) && c->state == CONN_IDLE)
        conn_read(c); /* a request that is there already is answered */
    if (c->state != CONN_DEAD && c->work != NULL)
        exchange_advance(c);
    if (c->state == CONN_PENDING) {
        assert(c->work != NULL);
        c->work->ex.close = true; /* the answer says so */
    }
    if (c->state != CONN_IDLE)
        return;
    c->closing = true;
    if (c->work == NULL || c->work->out.len == 0) {
        if (c->tls != NULL)
            tls_shutdown(c->tls);
        conn_drop(c);
    }
}

void conn_open(struct loop *loop, int fd, const struct sockaddr *address, struct peer *peer,
               struct tls *tls, bool local)
{
    struct conn *c = calloc(1, sizeof *c);

    if (c == NULL || uv_poll_init(&loop->uv, &c->poll, fd) != 0) {
        free(c);
        tls_free(tls);
        (void)close(fd);
        if (peer != NULL)
            peers_leave(loop->listener->peers, peer, false);
        atomic_fetch_sub(local ? &loop->listener->n_local : &loop->listener->n_open, 1);
        return;
    }
    c->poll.data = c;
    c->loop = loop;
    c->fd = fd;
    c->peer = peer;
    c->tls = tls;
    c->local = local;
    c->fresh = true;
    c->state = tls == NULL ? CONN_IDLE : CONN_HANDSHAKE;
    if (local)
        memcpy(c->source, "local", sizeof "local");
    else
        socket_address_text(address, c->source);
    if (!local)
        c->network_len = peers_network(address, c->network);
    link_init(&c->ready);
    wheel_entry_init(&c->timer);
    link_append(&loop->conns, &c->link);
    loop->n_conns++;
    conn_deadline(c);
    conn_watch(c, UV_READABLE);
}
