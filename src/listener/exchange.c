/* listener/exchange.c - one request: out of the input buffer, to the handler, and its answer back.
 *
 * Invariants:
 *   E1  At most one exchange of a connection is with the handler; the input is not touched meanwhile.
 *   E2  ex.out is a buffer of its own until the answer is given, so answers before it can be written
 *       while the handler fills it, and nothing of it leaves before.
 *   E3  The bytes of a request, and of an answer with a secret, are wiped when they have served.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "listener/listener_internal.h"

/* --- the pool ----------------------------------------------------------------------------------- */

static struct work *work_new(void)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    buf_init(&w->in, IN_MAX);
    buf_init(&w->answer, LIMIT_ANSWER_BYTES);
    buf_init(&w->out, LIMIT_ANSWER_BYTES + OUT_HIGH);
    w->parser = http_parser_new();
    if (w->parser == NULL || !buf_reserve(&w->in, IN_FIRST)) {
        work_free(w);
        return NULL;
    }
    return w;
}

void work_free(struct work *w)
{
    if (w == NULL)
        return;
    http_parser_free(w->parser);
    buf_release(&w->in);
    buf_release(&w->answer);
    buf_release(&w->out);
    free(w);
}

/* What does not change between the requests of a connection. */
static void exchange_init(struct exchange *ex, struct work *w, const struct conn *c)
{
    ex->out = &w->answer;
    ex->loop = c->loop->number;
    ex->local = c->local;
    ex->secure = c->tls != NULL;
    ex->source = c->source;
    ex->network = bytes_of(c->network, c->network_len);
    ex->tls_version = c->tls_version;
    ex->tls_cipher = c->tls_cipher;
}

struct work *work_take(struct conn *c)
{
    struct loop *loop = c->loop;
    struct work *w = loop->pool;

    if (w != NULL) {
        loop->pool = w->next;
        loop->n_pool--;
    } else {
        w = work_new();
        if (w == NULL)
            return NULL;
    }
    w->next = NULL;
    w->conn = c;
    exchange_init(&w->ex, w, c);
    return w;
}

static void trim(struct buf *b, bool wipe)
{
    if (b->cap > BUF_KEPT)
        buf_release(b);
    else if (wipe)
        buf_wipe(b);
    else
        buf_reset(b);
}

void work_discharge(struct listener *l, struct work *w)
{
    atomic_fetch_sub(&l->n_unproven, w->charged);
    w->charged = 0;
}

void work_release(struct loop *loop, struct work *w)
{
    work_discharge(loop->listener, w);
    if (loop->n_pool >= WORK_KEPT) {
        work_free(w);
        return;
    }
    trim(&w->in, true);
    trim(&w->answer, w->ex.secret);
    trim(&w->out, w->wipe);
    http_parser_reset(w->parser);
    w->conn = NULL;
    w->sent = 0;
    w->wipe = false;
    w->ex.secret = false;
    w->next = loop->pool;
    loop->pool = w;
    loop->n_pool++;
}

/* --- requests ----------------------------------------------------------------------------------- */

bool exchange_reads(const struct conn *c)
{
    bool reading = c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;

    return reading && !c->closing && !c->blocked && !c->ended &&
           (c->work == NULL || c->work->out.len < OUT_HIGH);
}

/* Output for conn_turn; without memory for it the connection cannot be answered any more. */
static void add_output(struct conn *c, struct bytes text)
{
    buf_add(&c->work->out, text);
    if (!buf_ok(&c->work->out)) {
        conn_drop(c);
        return;
    }
    loop_ready(c->loop, c);
}

void exchange_refuse(struct conn *c, int status)
{
    char date[29];

    loop_date(date);
    http_refusal_add(&c->work->out, status, date);
    c->closing = true;
    add_output(c, (struct bytes){ NULL, 0 });
}

void exchange_refuse_with(struct conn *c, int status, struct bytes text)
{
    const struct http_answer a = {
        .status = status, .content_type = "text/plain", .close = true, .body = text
    };
    char date[29];

    loop_date(date);
    http_answer_add(&c->work->out, &a, date);
    c->closing = true;
    add_output(c, (struct bytes){ NULL, 0 });
}

static void hand_out(struct conn *c)
{
    struct work     *w = c->work;
    struct exchange *ex = &w->ex;
    struct loop     *loop = c->loop;

    c->n_requests++;
    if (c->n_requests >= loop->listener->config.limits.requests || loop->stopping)
        ex->in.keep_alive = false;
    ex->close = !ex->in.keep_alive;
    ex->authenticated = false;
    ex->secret = false;
    ex->user = NULL;
    c->state = CONN_PENDING;
    c->pending = true;
    loop->n_pending++;
    loop->dirty = true;
    conn_deadline(c);
    loop->listener->config.hooks.request(loop->listener->config.hooks.ctx, ex);
}

static void head_read(struct conn *c)
{
    struct work *w = c->work;

    c->state = CONN_BODY;
    w->head_ms = (int64_t)uv_now(&c->loop->uv);
    if (http_wants_continue(w->parser))
        add_output(c, BYTES_LIT(HTTP_CONTINUE));
}

/* True if there may be another request in what is left. */
static bool advance_once(struct conn *c)
{
    struct work *w = c->work;
    int          status = 0;

    if (c->state == CONN_IDLE) {
        c->state = CONN_HEAD;
        w->began_ms = (int64_t)uv_now(&c->loop->uv);
        w->ex.received_ns = (int64_t)clock_monotonic_ns();
    }
    switch (http_parse(w->parser, &w->in, &w->ex.in, &w->used, &status)) {
    case HTTP_COMPLETE:  hand_out(c); return true;
    case HTTP_HEAD_READ: head_read(c); break;
    case HTTP_REFUSED:
        atomic_fetch_add_explicit(&c->loop->counts.refused_request, 1, memory_order_relaxed);
        exchange_refuse(c, status);
        break;
    case HTTP_MORE: break;
    }
    return false;
}

void exchange_advance(struct conn *c)
{
    while (exchange_reads(c) && c->work->in.len > 0) {
        if (!advance_once(c))
            break;
    }
    if (exchange_reads(c))
        conn_deadline(c);
}

/* --- answers ------------------------------------------------------------------------------------ */

/* Wipes what has been read as one request and moves the rest to the front. */
static void consume(struct work *w)
{
    size_t rest = w->in.len - w->used;

    if (rest > 0)
        memmove(w->in.ptr, w->in.ptr + w->used, rest);
    explicit_bzero(w->in.ptr + rest, w->used);
    w->in.len = rest;
    http_parser_reset(w->parser);
}

/* The answer becomes output: by exchanging the buffers, unless earlier answers wait in there. */
static void give(struct conn *c)
{
    struct work *w = c->work;

    w->wipe = w->wipe || w->ex.secret;
    if (w->out.len == 0) {
        struct buf answer = w->answer;
        size_t     limit = w->out.limit;
        w->answer = w->out;
        w->answer.limit = answer.limit;
        w->out = answer;
        w->out.limit = limit;
        loop_ready(c->loop, c);
        return;
    }
    add_output(c, buf_bytes(&w->answer));
    if (c->state == CONN_DEAD)
        return; /* with its work released */
    if (w->ex.secret)
        buf_wipe(&w->answer);
    else
        buf_reset(&w->answer);
}

static void answer_dead(struct conn *c)
{
    struct work *w = c->work;

    c->work = NULL;
    c->pending = false;
    work_release(c->loop, w);
    conn_answered_late(c);
    loop_conn_gone(c->loop);
    conn_bury(c);
}

void listener_answer(struct exchange *ex)
{
    struct work *w = LINK_OWNER(ex, struct work, ex);
    struct conn *c = w->conn;

    assert(c->pending && (c->state == CONN_PENDING || c->state == CONN_DEAD));
    c->loop->n_pending--;
    if (c->state == CONN_DEAD) {
        answer_dead(c);
        return;
    }
    if (!buf_ok(&w->answer)) {
        char date[29];
        loop_date(date);
        buf_wipe(&w->answer);
        http_refusal_add(&w->answer, 500, date);
        ex->close = true;
    }
    if (ex->authenticated && !c->authenticated && c->peer != NULL) {
        c->authenticated = true;
        work_discharge(c->loop->listener, w);
        peers_authenticated(c->loop->listener->peers, c->peer);
    }
    c->closing = c->closing || ex->close || c->loop->stopping;
    c->pending = false;
    c->fresh = false;
    c->state = CONN_IDLE;
    consume(w);
    give(c);
}
