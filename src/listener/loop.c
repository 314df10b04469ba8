/* listener/loop.c - one thread with its libuv loop: accepting, deadlines, turns, tasks, stopping.
 *
 * A turn: libuv reports events, connections read, tasks run; then, in the check phase or as soon as
 * TURN_REQUESTS or TURN_BYTES have come, what was read is parsed and handed out, the handler's `turn` settles it, and
 * every connection with output writes it. Each of these is done for all connections before the next begins,
 * while its code is in the processor's cache.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "listener/listener_internal.h"

void loop_date(char out[29])
{
    date_http_write(out, clock_wall_ms());
}

/* --- turns --------------------------------------------------------------------------------------- */

void loop_ready(struct loop *loop, struct conn *c)
{
    if (link_empty(&c->ready))
        link_append(&loop->ready, &c->ready);
}

static void on_again(uv_idle_t *handle)
{
    (void)handle; /* while it is active, libuv does not sleep: that is all */
}

static void turn_conns(struct loop *loop)
{
    struct link now;

    link_take_all(&loop->ready, &now);
    while (!link_empty(&now)) {
        struct conn *c = LINK_OWNER(now.next, struct conn, ready);
        link_remove(&c->ready);
        conn_turn(c);
    }
}

static void loop_turn(struct loop *loop)
{
    const struct listener_hooks *hooks = &loop->listener->config.hooks;

    loop->arrived = 0;
    loop->arrived_bytes = 0;
    turn_conns(loop); /* what was read */
    if (loop->dirty) {
        loop->dirty = false;
        if (hooks->turn != NULL)
            hooks->turn(hooks->ctx, loop->number);
    }
    turn_conns(loop); /* what was answered */
}

void loop_turn_early(struct loop *loop)
{
    if (loop->arrived >= TURN_REQUESTS || loop->arrived_bytes >= TURN_BYTES)
        loop_turn(loop);
}

/* Pipelined requests are answered at once for some rounds; then others get their turn first. */
static void loop_turns(struct loop *loop)
{
    bool more = loop->dirty || !link_empty(&loop->ready);

    for (unsigned round = 0; more && round < TURN_ROUNDS; round++) {
        loop_turn(loop);
        more = loop->dirty || !link_empty(&loop->ready);
    }
    if (more)
        (void)uv_idle_start(&loop->again, on_again);
    else
        (void)uv_idle_stop(&loop->again);
}

static void on_check(uv_check_t *handle)
{
    loop_turns(handle->data);
}

/* --- accepting ----------------------------------------------------------------------------------- */

static void on_acceptable(uv_poll_t *handle, int status, int events);

static void accept_watch(struct loop *loop, bool on)
{
    for (size_t i = 0; i < 2; i++) {
        struct acceptor *a = &loop->acceptors[i];
        if (a->fd < 0)
            continue;
        if (on)
            (void)uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
        else
            (void)uv_poll_stop(&a->poll);
    }
}

static void on_tick(uv_timer_t *handle);

/* The timer runs only while there is something to time: an idle server sleeps. */
static void tick_start(struct loop *loop)
{
    uint64_t ms = (uint64_t)loop->listener->tick_ms;

    if (!uv_is_active((uv_handle_t *)&loop->tick))
        (void)uv_timer_start(&loop->tick, on_tick, ms, ms);
}

static void accept_pause(struct loop *loop)
{
    loop->accept_paused = true;
    accept_watch(loop, false);
    tick_start(loop);
}

static void refuse_at_limit(struct loop *loop, int fd)
{
    atomic_fetch_add_explicit(&loop->counts.refused_limit, 1, memory_order_relaxed);
    (void)close(fd);
}

/* The caller has counted the connection in n_open. */
static void take_connection(struct loop *loop, int fd, const struct sockaddr *address)
{
    struct listener *l = loop->listener;
    struct tls      *tls = NULL;
    struct peer     *peer = peers_enter(l->peers, address);

    if (peer != NULL && l->config.tls_cert != NULL) {
        (void)pthread_mutex_lock(&l->tls_lock);
        tls = tls_new(l->tls, fd);
        (void)pthread_mutex_unlock(&l->tls_lock);
    }
    if (peer == NULL || (l->config.tls_cert != NULL && tls == NULL)) {
        if (peer != NULL)
            peers_leave(l->peers, peer, false);
        atomic_fetch_sub(&l->n_open, 1);
        refuse_at_limit(loop, fd);
        return;
    }
    conn_open(loop, fd, address, peer, tls, false);
}

static void take_local(struct loop *loop, int fd)
{
    struct listener *l = loop->listener;

    if (atomic_fetch_add(&l->n_local, 1) >= LIMIT_LOCAL_CONNECTIONS || !socket_peer_is_owner(fd)) {
        atomic_fetch_sub(&l->n_local, 1);
        refuse_at_limit(loop, fd);
        return;
    }
    conn_open(loop, fd, NULL, NULL, NULL, true);
}

/* True if there may be another connection to accept. */
static bool accept_one(struct acceptor *a)
{
    struct loop            *loop = a->loop;
    struct listener        *l = loop->listener;
    struct sockaddr_storage address = { 0 };
    socklen_t               len = sizeof address;
    int fd = accept4(a->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    int err = fd < 0 ? errno : 0;

    if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM)
        accept_pause(loop); /* it stays acceptable: asking again at once would spin */
    if (fd < 0)
        return err == ECONNABORTED || err == EINTR || err == EPROTO;
    atomic_fetch_add_explicit(&loop->counts.accepted, 1, memory_order_relaxed);
    if (a->local) {
        take_local(loop, fd);
    } else if (atomic_fetch_add(&l->n_open, 1) + atomic_load(&l->n_gone) >=
               l->config.max_connections) {
        atomic_fetch_sub(&l->n_open, 1);
        refuse_at_limit(loop, fd);
    } else {
        take_connection(loop, fd, (const struct sockaddr *)&address);
    }
    if (loop->n_conns > 0)
        tick_start(loop);
    return true;
}

static void on_acceptable(uv_poll_t *handle, int status, int events)
{
    struct acceptor *a = handle->data;
    bool             more = status == 0 && (events & UV_READABLE) != 0;

    for (unsigned round = 0; more && round < ACCEPT_ROUNDS; round++)
        more = accept_one(a);
}

/* --- deadlines ----------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    struct link  due;

    wheel_due(&loop->wheel, (int64_t)uv_now(&loop->uv), &due);
    while (!link_empty(&due)) {
        struct wheel_entry *e = LINK_OWNER(due.next, struct wheel_entry, link);
        link_remove(&e->link);
        conn_timeout(LINK_OWNER(e, struct conn, timer));
    }
    if (loop->accept_paused && !loop->stopping) {
        loop->accept_paused = false;
        accept_watch(loop, true);
    }
    if (loop->n_conns == 0)
        (void)uv_timer_stop(&loop->tick);
    loop_turns(loop); /* the check phase may come after a sleep */
}

/* --- tasks and stopping -------------------------------------------------------------------------- */

void listener_post(struct listener *l, unsigned number, struct listener_task *task)
{
    struct loop          *loop = &l->loops[number];
    struct listener_task *head = atomic_load_explicit(&loop->tasks, memory_order_relaxed);

    assert(number < l->n_loops);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->tasks, &head, task, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) /* otherwise whoever was first has woken the loop */
        (void)uv_async_send(&loop->wake);
}

static void run_tasks(struct loop *loop)
{
    struct listener_task *newest = atomic_exchange_explicit(&loop->tasks, NULL,
                                                            memory_order_acquire);
    struct listener_task *oldest = NULL;

    while (newest != NULL) { /* turn the list round */
        struct listener_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct listener_task *next = oldest->next; /* the task may be gone after its call */
        oldest->fn(oldest->arg);
        oldest = next;
        loop->dirty = true;
    }
}

void loop_conn_gone(struct loop *loop)
{
    if (loop->stopping && loop->n_conns == 0 && loop->n_pending == 0)
        uv_stop(&loop->uv);
}

static void drop_all(struct loop *loop)
{
    while (!link_empty(&loop->conns))
        conn_drop(LINK_OWNER(loop->conns.next, struct conn, link));
}

static void on_stop_deadline(uv_timer_t *handle)
{
    struct loop *loop = handle->data;

    drop_all(loop);
    uv_stop(&loop->uv);
}

static void acceptor_close(struct acceptor *a)
{
    if (a->fd < 0)
        return;
    if (a->polled)
        uv_close((uv_handle_t *)&a->poll, NULL);
    (void)close(a->fd);
    a->fd = -1;
}

static void loop_stop(struct loop *loop)
{
    int64_t ms = atomic_load(&loop->listener->stop_ms);

    for (size_t i = 0; i < 2; i++) { /* who has connected before the end is served */
        if (loop->acceptors[i].fd >= 0)
            on_acceptable(&loop->acceptors[i].poll, 0, UV_READABLE);
        acceptor_close(&loop->acceptors[i]);
    }
    loop->stopping = true;
    struct link left;
    link_take_all(&loop->conns, &left);
    while (!link_empty(&left)) { /* stopping one may drop any other */
        struct conn *c = LINK_OWNER(left.next, struct conn, link);
        link_remove(&c->link);
        link_append(&loop->conns, &c->link);
        conn_stop(c);
    }
    (void)uv_timer_start(&loop->stop_timer, on_stop_deadline, ms < 0 ? 0 : (uint64_t)ms, 0);
    loop_conn_gone(loop);
}

static void on_wake(uv_async_t *handle)
{
    struct loop *loop = handle->data;

    run_tasks(loop);
    if (atomic_load(&loop->listener->stop) && !loop->stopping)
        loop_stop(loop);
}

/* --- life ---------------------------------------------------------------------------------------- */

static void acceptor_init(struct loop *loop, struct acceptor *a, int fd, bool local)
{
    *a = (struct acceptor){ .loop = loop, .fd = fd, .local = local };
    a->poll.data = a;
}

static int init_handles(struct loop *loop)
{
    int err = uv_async_init(&loop->uv, &loop->wake, on_wake);

    if (err != 0)
        return err;
    (void)uv_timer_init(&loop->uv, &loop->tick); /* these cannot fail */
    (void)uv_timer_init(&loop->uv, &loop->stop_timer);
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_idle_init(&loop->uv, &loop->again);
    loop->handles = true;
    loop->wake.data = loop;
    loop->tick.data = loop;
    loop->stop_timer.data = loop;
    loop->check.data = loop;
    loop->again.data = loop;
    (void)uv_check_start(&loop->check, on_check);
    for (size_t i = 0; i < 2; i++) {
        struct acceptor *a = &loop->acceptors[i];
        err = a->fd < 0 ? 0 : uv_poll_init(&loop->uv, &a->poll, a->fd);
        if (err != 0)
            return err;
        a->polled = a->fd >= 0;
    }
    return 0;
}

enum kms_status loop_init(struct loop *loop, struct listener *l, unsigned number, int fd,
                          int local_fd, struct kms_error *reterr)
{
    *loop = (struct loop){ .listener = l, .number = number };
    acceptor_init(loop, &loop->acceptors[0], fd, false);
    acceptor_init(loop, &loop->acceptors[1], local_fd, true);
    link_init(&loop->conns);
    link_init(&loop->dead);
    link_init(&loop->ready);
    int err = uv_loop_init(&loop->uv);
    if (err == 0) {
        wheel_init(&loop->wheel, l->tick_ms, (int64_t)uv_now(&loop->uv));
        err = init_handles(loop);
        if (err == 0)
            return KMS_OK;
        loop_done(loop);
    } else {
        (void)close(fd);
        if (local_fd >= 0)
            (void)close(local_fd);
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "event loop %u: %s", number, uv_strerror(err));
}

void loop_run(struct loop *loop)
{
    uv_update_time(&loop->uv);
    accept_watch(loop, true);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

/* After the thread has ended, or before it was started. */
void loop_done(struct loop *loop)
{
    uv_handle_t *handles[] = { (uv_handle_t *)&loop->wake, (uv_handle_t *)&loop->tick,
                               (uv_handle_t *)&loop->stop_timer, (uv_handle_t *)&loop->check,
                               (uv_handle_t *)&loop->again };

    for (size_t i = 0; i < 2; i++)
        acceptor_close(&loop->acceptors[i]);
    drop_all(loop);
    for (size_t i = 0; loop->handles && i < sizeof handles / sizeof *handles; i++)
        uv_close(handles[i], NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until all are closed */
    while (!link_empty(&loop->dead)) {       /* those whose exchange nobody has answered */
        struct conn *c = LINK_OWNER(loop->dead.next, struct conn, link);
        work_free(c->work);
        c->work = NULL;
        c->pending = false;
        conn_bury(c);
    }
    while (loop->pool != NULL) {
        struct work *next = loop->pool->next;
        work_free(loop->pool);
        loop->pool = next;
    }
    int err = uv_loop_close(&loop->uv);
    assert(err == 0);
    (void)err;
}
