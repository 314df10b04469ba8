/* resets.c - POST /_trent/reset, in development mode: back to the seed, or to a new development server.
 *
 * The exchange waits for the committer, which makes the change (seed/seeder.h). One reset at a time; a
 * second one meanwhile is refused, since it would find nothing to do.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/write.h"
#include "request_internal.h"
#include "seed/seeder.h"

enum { RESET_BYTES = 16 * 1024 };

struct resets {
    struct server        *server;
    _Atomic bool          busy; /* everything below belongs to the reset that is under way */
    struct exchange      *ex;
    struct seeder_outcome outcome;
    struct listener_task  wake;
};

/* On the loop's thread again. */
static void answer(void *arg)
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(RESET_BYTES);
    struct resets                  *r = arg;
    struct exchange                *ex = r->ex;
    const struct kms_error         *err = &r->outcome.error;
    enum kms_status                 status = r->outcome.status;
    struct json_writer              w;

    json_writer_init(&w, &body);
    json_open_object(&w, NULL);
    if (status != KMS_OK)
        json_put_str(&w, "error", err->message_len > 0 ? err->message : err->detail);
    json_put_date(&w, "now", clock_now(r->server->parts.clock));
    json_put_int(&w, "microseconds", r->outcome.microseconds);
    json_close_object(&w);
    buf_add_str(&body, "\n");
    atomic_store(&r->busy, false);
    endpoint_answer(r->server, ex,
                    status == KMS_OK             ? 200
                    : status == KMS_E_VALIDATION ? 400
                                                 : 500,
                    &body);
}

/* On the committer's thread. */
static void reset_done(const struct seeder_outcome *o, void *arg)
{
    struct resets *r = arg;

    r->outcome = *o;
    r->wake = (struct listener_task){ .fn = answer, .arg = r };
    jobs_wake(r->server->parts.jobs); /* the clock was moved */
    listener_post(r->server->listener, r->ex->loop, &r->wake);
}

bool resets_run(struct resets *r, struct exchange *ex)
{
    int status = 0;

    if (!bytes_eq_str(ex->in.path, "/_trent/reset") || ex->in.method != HTTP_POST)
        return false;
    const char *why = endpoint_not_from_a_page(&ex->in, &status);
    if (why != NULL) {
        endpoint_refuse(r->server, ex, status, why);
        return true;
    }
    if (atomic_exchange(&r->busy, true)) {
        endpoint_refuse(r->server, ex, 409, "a reset is under way");
        return true;
    }
    r->ex = ex;
    seeder_reset(r->server->parts.seeder, reset_done, r);
    return true;
}

struct resets *resets_new(struct server *s)
{
    struct resets *r = calloc(1, sizeof *r);

    if (r != NULL)
        r->server = s;
    return r;
}

void resets_free(struct resets *r)
{
    free(r);
}
