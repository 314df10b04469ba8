/* listener/listener.c - the listener as a whole: opening, threads, stopping; see listener.h. */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "listener/listener_internal.h"

enum { LOOPS_MAX = 64 };

/* --- opening -------------------------------------------------------------------------------------- */

static unsigned cores(void)
{
    cpu_set_t set;
    int       n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : (unsigned)n;
}

static void default_number(unsigned *value, unsigned usual)
{
    if (*value == 0)
        *value = usual;
}

static void default_ms(int64_t *value, int64_t usual)
{
    if (*value <= 0)
        *value = usual;
}

static void fill_defaults(struct listener_config *config)
{
    struct listener_limits *limits = &config->limits;

    default_number(&config->max_connections, LIMIT_CONNECTIONS);
    default_number(&config->max_per_address, LIMIT_CONNECTIONS_PER_ADDRESS);
    default_number(&config->max_unauthenticated, LIMIT_UNAUTHENTICATED_PER_ADDRESS);
    if (config->max_unproven_more == 0)
        config->max_unproven_more = LIMIT_UNPROVEN_INPUT_MORE;
    default_number(&config->loops, cores());
    if (config->loops > LOOPS_MAX)
        config->loops = LOOPS_MAX;
    default_ms(&limits->handshake_ms, LIMIT_TLS_HANDSHAKE_MS);
    default_ms(&limits->head_ms, LIMIT_HEAD_MS);
    default_ms(&limits->request_ms, LIMIT_REQUEST_MS);
    default_ms(&limits->keepalive_ms, LIMIT_KEEPALIVE_MS);
    default_ms(&limits->body_grace_ms, LIMIT_BODY_GRACE_MS);
    default_ms(&limits->body_rate, LIMIT_BODY_RATE);
    default_ms(&limits->linger_ms, LIMIT_LINGER_MS);
    default_number(&limits->requests, LIMIT_REQUESTS_PER_CONN);
}

/* An eighth of the shortest deadline, within bounds. */
static int64_t tick_of(const struct listener_limits *limits)
{
    const int64_t all[] = { limits->handshake_ms, limits->head_ms,       limits->request_ms,
                            limits->keepalive_ms, limits->body_grace_ms, limits->linger_ms };
    int64_t       tick = TICK_MAX_MS;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        tick = all[i] / 8 < tick ? all[i] / 8 : tick;
    return tick < TICK_MIN_MS ? TICK_MIN_MS : tick;
}

/* A copy of a setting that may be absent; false without memory. */
static bool copy_text(const char *from, char **ret)
{
    *ret = from == NULL ? NULL : strdup(from);
    return from == NULL || *ret != NULL;
}

static struct listener *new_listener(const struct listener_config *config)
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    (void)pthread_mutex_init(&l->tls_lock, NULL); /* cannot fail with default attributes */
    l->config = *config;
    fill_defaults(&l->config);
    l->tick_ms = tick_of(&l->config.limits);
    l->peers = peers_new(l->config.max_per_address, l->config.max_unauthenticated);
    l->loops = calloc(l->config.loops, sizeof *l->loops);
    if (l->peers == NULL || l->loops == NULL || !copy_text(config->address, &l->address) ||
        !copy_text(config->local_path, &l->local_path) ||
        !copy_text(config->tls_cert, &l->tls_cert) || !copy_text(config->tls_key, &l->tls_key)) {
        listener_free(l);
        return NULL;
    }
    l->config.address = l->address;
    l->config.local_path = l->local_path;
    l->config.tls_cert = l->tls_cert;
    l->config.tls_key = l->tls_key;
    return l;
}

static enum kms_status open_loops(struct listener *l, const int *fds, int local_fd,
                                  struct kms_error *reterr)
{
    unsigned        n = l->config.loops;
    enum kms_status status = KMS_OK;
    unsigned        i = 0;

    for (; i < n && status == KMS_OK; i++) {
        status = loop_init(&l->loops[i], l, i, fds[i], i == 0 ? local_fd : -1, reterr);
        if (status == KMS_OK)
            l->n_loops++;
    }
    for (; i < n; i++)
        (void)close(fds[i]);
    return status;
}

static enum kms_status open_listener(struct listener *l, struct kms_error *reterr)
{
    int  fds[LOOPS_MAX];
    int  local_fd = -1;
    bool secure = l->tls_cert != NULL;

    assert(l->config.hooks.request != NULL && l->address != NULL);
    if (secure && l->tls_key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "TLS certificate '%s' without a key", l->tls_cert);
    if (secure)
        TRY(tls_context_new(l->tls_cert, l->tls_key, &l->tls, reterr));
    if (l->local_path != NULL) {
        TRY(socket_listen_local(l->local_path, &local_fd, reterr));
        l->local_bound = true;
    }
    enum kms_status status = socket_listen(l->address, l->config.loops, secure, fds, l->url,
                                           sizeof l->url, reterr);
    if (status != KMS_OK) {
        if (local_fd >= 0)
            (void)close(local_fd);
        return status;
    }
    return open_loops(l, fds, local_fd, reterr);
}

enum kms_status listener_open(const struct listener_config *config, struct listener **ret,
                              struct kms_error *reterr)
{
    struct listener *l = new_listener(config);

    if (l == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "listener: out of memory");
    enum kms_status status = open_listener(l, reterr);
    if (status != KMS_OK) {
        listener_free(l);
        return status;
    }
    *ret = l;
    return KMS_OK;
}

const char *listener_url(const struct listener *l)
{
    return l->url;
}

unsigned listener_loops(const struct listener *l)
{
    return l->n_loops;
}

/* --- threads --------------------------------------------------------------------------------------- */

static void *loop_thread(void *arg)
{
    struct loop                 *loop = arg;
    const struct listener_hooks *hooks = &loop->listener->config.hooks;
    char                         name[16]; /* with its NUL, what Linux allows */

    (void)snprintf(name, sizeof name, "loop %u", loop->number);
    (void)pthread_setname_np(pthread_self(), name);
    if (hooks->thread_start != NULL)
        hooks->thread_start(hooks->ctx, loop->number);
    loop_run(loop);
    if (hooks->thread_end != NULL)
        hooks->thread_end(hooks->ctx, loop->number);
    return NULL;
}

enum kms_status listener_start(struct listener *l, struct kms_error *reterr)
{
    sigset_t all;
    sigset_t before;
    int      err = 0;

    (void)sigfillset(&all); /* signals are for the main thread: the loops inherit this mask */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < l->n_loops && err == 0; i++) {
        err = pthread_create(&l->loops[i].thread, NULL, loop_thread, &l->loops[i]);
        l->loops[i].started = err == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0)
        return KMS_OK;
    listener_stop(l, 0);
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "listener: cannot start a thread: %s", strerror(err));
}

void listener_stop(struct listener *l, int64_t ms)
{
    atomic_store(&l->stop_ms, ms);
    atomic_store(&l->stop, true);
    for (unsigned i = 0; i < l->n_loops; i++) {
        if (l->loops[i].started)
            (void)uv_async_send(&l->loops[i].wake);
    }
    for (unsigned i = 0; i < l->n_loops; i++) {
        if (l->loops[i].started)
            (void)pthread_join(l->loops[i].thread, NULL);
        l->loops[i].started = false;
    }
}

void listener_free(struct listener *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->n_loops; i++)
        loop_done(&l->loops[i]);
    if (l->local_bound)
        (void)unlink(l->local_path);
    free(l->loops);
    peers_free(l->peers);
    tls_context_free(l->tls);
    (void)pthread_mutex_destroy(&l->tls_lock);
    free(l->address);
    free(l->local_path);
    free(l->tls_cert);
    free(l->tls_key);
    free(l);
}

/* --- certificate and figures ------------------------------------------------------------------------ */

enum kms_status listener_reload(struct listener *l, struct kms_error *reterr)
{
    struct tls_context *fresh = NULL;

    if (l->tls_cert == NULL)
        return KMS_OK;
    TRY(tls_context_new(l->tls_cert, l->tls_key, &fresh, reterr));
    (void)pthread_mutex_lock(&l->tls_lock);
    struct tls_context *old = l->tls;
    l->tls = fresh;
    (void)pthread_mutex_unlock(&l->tls_lock);
    tls_context_free(old); /* open connections hold on to it */
    return KMS_OK;
}

void listener_counts(struct listener *l, struct listener_counts *ret)
{
    struct listener_counts sum = { .open = atomic_load(&l->n_open) + atomic_load(&l->n_local) };

    for (unsigned i = 0; i < l->n_loops; i++) {
        struct loop_counts *counts = &l->loops[i].counts;
        sum.accepted += atomic_load_explicit(&counts->accepted, memory_order_relaxed);
        sum.refused_limit += atomic_load_explicit(&counts->refused_limit, memory_order_relaxed);
        sum.refused_request += atomic_load_explicit(&counts->refused_request, memory_order_relaxed);
        sum.timeouts += atomic_load_explicit(&counts->timeouts, memory_order_relaxed);
        sum.tls_errors += atomic_load_explicit(&counts->tls_errors, memory_order_relaxed);
    }
    *ret = sum;
}
