/* See toy.h: the server. */
#include "toy.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "base/clock.h"
#include "base/encode.h"

enum { BATCH_MAX = 1024, LOOPS_MAX = 8 };

struct delayed {
    struct listener_task task;
    struct toy          *toy;
    struct exchange     *ex;
    int64_t              due_ms;
    bool                 used;
};

struct toy {
    struct listener *listener;
    unsigned         descriptors; /* open before it was started */
    pthread_t        thread;
    pthread_mutex_t  lock; /* guards what follows */
    pthread_cond_t   changed;
    bool             ending;
    bool             release;
    unsigned         held;
    unsigned         turns, requests;
    struct delayed   delayed[BATCH_MAX];
    struct exchange *batch[LOOPS_MAX][BATCH_MAX]; /* its loop's thread only */
    size_t           n_batch[LOOPS_MAX];
};

int64_t toy_now_ms(void)
{
    return clock_monotonic_ms();
}

void toy_sleep_ms(int64_t ms)
{
    struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    (void)nanosleep(&ts, NULL);
}

/* --- the handler ----------------------------------------------------------------------------------- */

static size_t number_of(const struct exchange *ex)
{
    struct bytes q = ex->in.query;
    size_t       n = 0;

    for (size_t i = 2; i < q.len && q.ptr[i] >= '0' && q.ptr[i] <= '9'; i++)
        n = n * 10 + (size_t)(q.ptr[i] - '0');
    return n;
}

static void give(struct exchange *ex, struct bytes body)
{
    char               date[29];
    struct http_answer a = {
        .status = 200,
        .close = ex->close,
        .head = ex->in.method == HTTP_HEAD,
        .body = body,
    };

    date_http_write(date, clock_wall_ms());
    http_answer_add(ex->out, &a, date);
    listener_answer(ex);
}

static void echo(struct exchange *ex)
{
    give(ex, ex->in.body_len > 0 ? bytes_of(ex->in.body, ex->in.body_len) : ex->in.target);
}

static void big(struct exchange *ex)
{
    size_t   n = number_of(ex);
    uint8_t *body = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        body[i] = (uint8_t)('a' + i % 26);
    give(ex, bytes_of(body, n));
    free(body);
}

static void info(struct exchange *ex)
{
    struct buf text = BUF_INIT(1024);

    buf_addf(&text, "local=%d secure=%d source=%s tls=%s cipher=%s", ex->local, ex->secure,
             ex->source, ex->tls_version == NULL ? "-" : ex->tls_version,
             ex->tls_cipher == NULL ? "-" : ex->tls_cipher);
    give(ex, buf_bytes(&text));
    buf_release(&text);
}

static void delay(struct toy *t, struct exchange *ex, bool hold)
{
    (void)pthread_mutex_lock(&t->lock);
    struct delayed *d = t->delayed;
    while (d->used)
        d++;
    *d = (struct delayed){ .toy = t, .ex = ex, .used = true };
    d->due_ms = hold ? INT64_MAX : toy_now_ms() + (int64_t)number_of(ex);
    if (hold)
        t->held++;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

static void block(struct toy *t)
{
    bool released = false;

    (void)pthread_mutex_lock(&t->lock);
    t->held++;
    (void)pthread_cond_broadcast(&t->changed);
    while (!released) {
        released = t->release;
        (void)pthread_mutex_unlock(&t->lock);
        toy_sleep_ms(1);
        (void)pthread_mutex_lock(&t->lock);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

static void on_request(void *ctx, struct exchange *ex)
{
    struct toy  *t = ctx;
    struct bytes path = ex->in.path;

    (void)pthread_mutex_lock(&t->lock);
    t->requests++;
    (void)pthread_mutex_unlock(&t->lock);
    ex->authenticated = bytes_eq_str(path, "/auth");
    ex->secret = bytes_eq_str(path, "/secret");
    ex->close = ex->close || bytes_eq_str(path, "/close");
    if (bytes_eq_str(path, "/block"))
        block(t);
    if (bytes_eq_str(path, "/turn")) {
        t->batch[ex->loop][t->n_batch[ex->loop]++] = ex;
    } else if (bytes_eq_str(path, "/thread") || bytes_eq_str(path, "/hold")) {
        delay(t, ex, bytes_eq_str(path, "/hold"));
    } else if (bytes_eq_str(path, "/big")) {
        big(ex);
    } else if (bytes_eq_str(path, "/info")) {
        info(ex);
    } else if (bytes_eq_str(path, "/overflow")) {
        while (buf_ok(ex->out))
            buf_add(ex->out, BYTES_LIT("0123456789abcdef"));
        listener_answer(ex);
    } else {
        echo(ex);
    }
}

static void on_turn(void *ctx, unsigned loop)
{
    struct toy *t = ctx;

    (void)pthread_mutex_lock(&t->lock);
    t->turns++;
    (void)pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->n_batch[loop]; i++)
        echo(t->batch[loop][i]);
    t->n_batch[loop] = 0;
}

/* --- the thread that answers later ----------------------------------------------------------------- */

static void on_task(void *arg)
{
    struct delayed  *d = arg;
    struct exchange *ex = d->ex;
    struct toy      *t = d->toy;

    (void)pthread_mutex_lock(&t->lock);
    d->used = false;
    (void)pthread_mutex_unlock(&t->lock);
    echo(ex);
}

static void post_due(struct toy *t)
{
    int64_t now = toy_now_ms();

    for (size_t i = 0; i < BATCH_MAX; i++) {
        struct delayed *d = &t->delayed[i];
        bool            due = d->due_ms <= now || (d->due_ms == INT64_MAX && t->release);
        if (!d->used || d->ex == NULL || d->task.fn != NULL || !due)
            continue;
        d->task = (struct listener_task){ .fn = on_task, .arg = d };
        listener_post(t->listener, d->ex->loop, &d->task);
    }
}

static void *later(void *arg)
{
    struct toy *t = arg;

    (void)pthread_mutex_lock(&t->lock);
    while (!t->ending) {
        post_due(t);
        (void)pthread_mutex_unlock(&t->lock);
        toy_sleep_ms(1);
        (void)pthread_mutex_lock(&t->lock);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------ */

unsigned toy_descriptors(void)
{
    DIR     *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

struct toy *toy_start(const struct listener_config *config)
{
    struct toy            *t = calloc(1, sizeof *t);
    struct listener_config filled = *config;
    struct kms_error       err = { 0 };
    uv_loop_t              first;

    assert_non_null(t);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
    assert_int_equal(uv_loop_init(&first),
                     0); /* libuv keeps some descriptors of its own for ever */
    assert_int_equal(uv_loop_close(&first), 0);
    t->descriptors = toy_descriptors();
    filled.address = config->address == NULL ? "127.0.0.1:0" : config->address;
    filled.loops = config->loops == 0 ? 1 : config->loops;
    filled.hooks = (struct listener_hooks){ .ctx = t, .request = on_request, .turn = on_turn };
    if (listener_open(&filled, &t->listener, &err) != KMS_OK ||
        listener_start(t->listener, &err) != KMS_OK)
        fail_msg("%s", err.detail);
    assert_int_equal(pthread_create(&t->thread, NULL, later, t), 0);
    return t;
}

struct listener *toy_listener(struct toy *t)
{
    return t->listener;
}

unsigned toy_port(const struct toy *t)
{
    return (unsigned)strtoul(strrchr(listener_url(t->listener), ':') + 1, NULL, 10);
}

void toy_halt(struct toy *t, int64_t ms)
{
    listener_stop(t->listener, ms);
    struct listener_counts counts = toy_counts(t);
    assert_int_equal(counts.open, 0);
}

void toy_free(struct toy *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->ending = true;
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    listener_free(t->listener);
    assert_int_equal(toy_descriptors(), t->descriptors);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->changed);
    free(t);
}

void toy_stop(struct toy *t, int64_t ms)
{
    toy_halt(t, ms);
    toy_free(t);
}

void toy_wait_held(struct toy *t, unsigned n)
{
    (void)pthread_mutex_lock(&t->lock);
    while (t->held < n)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

void toy_release(struct toy *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->release = true;
    (void)pthread_mutex_unlock(&t->lock);
}

struct listener_counts toy_counts(struct toy *t)
{
    struct listener_counts counts;

    listener_counts(t->listener, &counts);
    return counts;
}

void toy_wait_open(struct toy *t, uint64_t n)
{
    int64_t until = toy_now_ms() + PATIENCE_MS;

    while (toy_counts(t).open != n && toy_now_ms() < until)
        toy_sleep_ms(2);
    assert_int_equal(toy_counts(t).open, n);
}

unsigned toy_turns(struct toy *t)
{
    (void)pthread_mutex_lock(&t->lock);
    unsigned n = t->turns;
    (void)pthread_mutex_unlock(&t->lock);
    return n;
}

unsigned toy_requests(struct toy *t)
{
    (void)pthread_mutex_lock(&t->lock);
    unsigned n = t->requests;
    (void)pthread_mutex_unlock(&t->lock);
    return n;
}

/* --- files ------------------------------------------------------------------------------------------ */

void toy_dir_make(char out[64])
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(out, 64, "%s/trent-listener-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(out));
}

void toy_dir_remove(const char *dir)
{
    DIR           *d = opendir(dir);
    struct dirent *entry;
    char           path[512];

    assert_non_null(d);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        assert_int_equal(unlink(path), 0);
    }
    (void)closedir(d);
    assert_int_equal(rmdir(dir), 0);
}
