/* clock_moves.c - POST /_trent/clock, in development mode: moves the clock of the key life cycle.
 *
 *   {"advanceSeconds": 86400}                    forward by so much
 *   {"advanceTo": "2027-01-31T00:00:00Z"}        forward to that time
 *
 * What falls due is done before the answer, so that a test neither sleeps nor asks again: the exchange waits
 * for the jobs, which may take as long as their deadline; "jobsDone" says whether they have come to an end.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/read.h"
#include "json/write.h"
#include "request_internal.h"

enum { MOVE_BYTES = 4096 };

/* One request that waits. It is on the list until it has been answered, or until the server is freed: a task
 * whose loop has ended is not run. */
struct clock_move {
    struct clock_move   *next;
    struct clock_moves  *all;
    struct exchange     *ex;
    struct jobs_waiter   waiter;
    struct listener_task wake;
    bool                 done;
};

struct clock_moves {
    struct server     *server;
    pthread_mutex_t    lock; /* the list */
    struct clock_move *first;
};

void clock_write(struct server *s, const char *error, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    if (error != NULL)
        json_put_str(&w, "error", error);
    json_put_date(&w, "now", clock_now(s->parts.clock));
    json_close_object(&w);
    buf_add_str(out, "\n");
}

static void take_off(struct clock_moves *all, struct clock_move *m)
{
    pthread_mutex_lock(&all->lock);
    for (struct clock_move **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at == m) {
            *at = m->next;
            break;
        }
    }
    pthread_mutex_unlock(&all->lock);
}

/* On the loop's thread again. */
static void answer(void *arg)
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(MOVE_BYTES);
    struct clock_move              *m = arg;
    struct server                  *s = m->all->server;
    struct json_writer              w;

    json_writer_init(&w, &body);
    json_open_object(&w, NULL);
    json_put_date(&w, "now", clock_now(s->parts.clock));
    json_put_bool(&w, "jobsDone", m->done);
    json_close_object(&w);
    buf_add_str(&body, "\n");
    take_off(m->all, m);
    endpoint_answer(s, m->ex, 200, &body);
    free(m);
}

/* On the jobs thread. */
static void jobs_done(void *arg, bool all_done)
{
    struct clock_move *m = arg;

    m->done = all_done;
    listener_post(m->all->server->listener, m->ex->loop, &m->wake);
}

static void wait_for_jobs(struct clock_moves *all, struct exchange *ex)
{
    struct clock_move *m = calloc(1, sizeof *m);

    if (m == NULL) {
        endpoint_refuse(all->server, ex, 503, "out of memory");
        return;
    }
    *m = (struct clock_move){ .all = all, .ex = ex };
    m->waiter = (struct jobs_waiter){ .fn = jobs_done, .arg = m };
    m->wake = (struct listener_task){ .fn = answer, .arg = m };
    pthread_mutex_lock(&all->lock);
    m->next = all->first;
    all->first = m;
    pthread_mutex_unlock(&all->lock);
    jobs_when_done(all->server->parts.jobs, &m->waiter);
}

/* How far to move, from what the request says. */
static bool read_move(struct clock *clock, struct json root, int64_t *ret_ms)
{
    static const int64_t most = (int64_t)100 * 366 * 86400; /* seconds */
    struct json          by = json_member(root, "advanceSeconds");
    struct json          to = json_member(root, "advanceTo");
    int64_t              seconds = 0, then = 0;

    if (by.node != NULL && to.node != NULL)
        return false;
    if (by.node != NULL) {
        if (!json_int(by, &seconds) || seconds < 0 || seconds > most)
            return false;
        *ret_ms = seconds * 1000;
        return true;
    }
    if (json_type(to) != JSON_STRING || !date_iso8601_read(json_string(to), &then))
        return false;
    *ret_ms = then - clock_now(clock);
    return *ret_ms > -1000; /* "now" in whole seconds may be named again */
}

bool clock_moves_run(struct clock_moves *all, struct exchange *ex)
{
    CLEANUP(json_doc_freep) struct json_doc *doc = NULL;
    struct server                           *s = all->server;
    struct kms_error                         err;
    struct json                              root;
    int64_t                                  by_ms = 0;
    int                                      status = 0;

    if (!bytes_eq_str(ex->in.path, "/_trent/clock") || ex->in.method != HTTP_POST)
        return false;
    const char *why = endpoint_not_from_a_page(&ex->in, &status);
    if (why != NULL) {
        endpoint_refuse(s, ex, status, why);
        return true;
    }
    doc = json_doc_new();
    if (doc == NULL || json_parse(doc, ex->in.body, ex->in.body_len, &root, &err) != KMS_OK ||
        json_type(root) != JSON_OBJECT || !read_move(s->parts.clock, root, &by_ms) ||
        !clock_advance(s->parts.clock, by_ms < 0 ? 0 : by_ms)) {
        endpoint_refuse(
            s, ex, 400,
            "expected {\"advanceSeconds\": N} with N from 0 to a hundred years, or "
            "{\"advanceTo\": \"2027-01-31T00:00:00Z\"} with a time that is not past, and not "
            "beyond the year 9999");
        return true;
    }
    wait_for_jobs(all, ex);
    return true;
}

struct clock_moves *clock_moves_new(struct server *s)
{
    struct clock_moves *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    m->server = s;
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void clock_moves_free(struct clock_moves *all)
{
    if (all == NULL)
        return;
    while (all->first != NULL) {
        struct clock_move *m = all->first;
        all->first = m->next;
        free(m);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}
