/* server.c - what all requests share: loops, the batch that the audit settles, counters.
 *
 * A finished request is not answered: it joins the batch of its loop. At the end of the loop's turn
 * the audit records of the whole batch are written at once, and only then do the answers leave. If
 * they cannot be written, every answer of the batch becomes an error. No audit record, no answer.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "commit/event.h"
#include "crypto/crypto.h"
#include "iam/iam.h"
#include "request_internal.h"
#include "sigv4/sigv4.h"

/* --- requests: made once, reused -------------------------------------------------------------- */

static void request_free(struct request *rq)
{
    if (rq->job.done != NULL) /* the committer is through with it, but nobody has been told */
        change_release(&rq->job.change);
    json_doc_free(rq->doc);
    vault_result_release(&rq->call.result);
    op_spares_forget(&rq->call);
    buf_release(&rq->scratch);
    buf_release(&rq->body);
    buf_release(&rq->parameters);
    buf_release(&rq->event);
    buf_release(&rq->explanation);
    form_release(&rq->form);
    change_release(&rq->change);
    free(rq->page);
    free(rq);
}

static struct request *request_new(struct server *s, unsigned loop)
{
    struct request *rq = aligned_alloc(alignof(struct request), sizeof *rq);

    if (rq == NULL)
        return NULL;
    memset(rq, 0, sizeof *rq);
    rq->server = s;
    rq->loop = loop;
    rq->doc = json_doc_new();
    vault_result_init(&rq->call.result);
    buf_init(&rq->scratch, SIGV4_SCRATCH_MAX);
    buf_init(&rq->body, ANSWER_BYTES);
    buf_init(&rq->parameters, EVENT_BYTES);
    buf_init(&rq->event, EVENT_BYTES);
    rq->change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    if (rq->doc == NULL) {
        request_free(rq);
        return NULL;
    }
    return rq;
}

static struct request *request_take(struct server *s, struct exchange *ex)
{
    struct loop    *l = &s->loops[ex->loop];
    struct request *rq = l->free;

    if (rq != NULL) {
        l->free = rq->next;
        l->n_free--;
    } else {
        rq = request_new(s, ex->loop);
    }
    if (rq == NULL)
        return NULL;
    rq->prev = NULL;
    rq->next = l->busy;
    if (l->busy != NULL)
        l->busy->prev = rq;
    l->busy = rq;
    rq->ex = ex;
    rq->reader = l->reader;
    uuid_new(rq->id_bytes);
    uuid_write(rq->id, rq->id_bytes);
    return rq;
}

/* Is it worth keeping? A burst of requests must not cost memory for ever, nor must large ones. */
static bool keeps(const struct loop *l, const struct request *rq)
{
    return l->n_free < REQUESTS_KEPT && rq->ex->in.body_len <= KEPT_BODY &&
           rq->scratch.cap <= KEPT_BYTES && rq->body.cap <= KEPT_BYTES &&
           rq->parameters.cap <= KEPT_BYTES && rq->event.cap <= KEPT_BYTES;
}

/* Its record is written: wipes and forgets what only the run needed, while the processor's cache still has
 * it; in the meantime until its turn ends it sees many others. */
static void request_clear_call(struct request *rq)
{
    rq->time = rq->call.now;
    buf_wipe(&rq->scratch);
    buf_reset(&rq->parameters);
    op_call_clear(&rq->call);
}

/* Wipes what may hold plaintext and puts the request back. */
static void request_put(struct request *rq)
{
    struct loop *l = &rq->server->loops[rq->loop];

    if (rq->next != NULL)
        rq->next->prev = rq->prev;
    if (rq->prev != NULL)
        rq->prev->next = rq->next;
    else
        l->busy = rq->next;
    if (!keeps(l, rq)) {
        request_free(rq);
        return;
    }
    buf_wipe(&rq->body);
    buf_reset(&rq->event);
    if (rq->change.n_rows > 0 || rq->change.event.ptr != NULL) {
        change_release(&rq->change);
        rq->change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    }
    if (rq->status != KMS_OK) /* it has one */
        kms_error_clear(&rq->error);
    rq->status = KMS_OK;
    rq->op = NULL;
    rq->step = rq->tries = rq->loads = 0;
    rq->wants.next.kind = WANT_NOTHING;
    rq->wants.n_absent = 0;
    if (rq->page != NULL) {
        free(rq->page);
        rq->page = NULL;
    }
    rq->ready_until_ms = 0;
    rq->pool_task.takes_long = false;
    rq->on_pool = rq->committed = rq->authenticated = false;
    rq->job.done = NULL;
    form_release(&rq->form);
    buf_release(&rq->explanation);
    rq->tells_why = false;
    rq->service = NULL;
    rq->region = rq->target = (struct bytes){ NULL, 0 };
    rq->keys[0] = rq->keys[1] = (struct key_name){ 0 };
    rq->ex = NULL;
    rq->next = l->free;
    l->free = rq;
    l->n_free++;
}

/* Rows of KMS first, then those of IAM and STS, then what is no operation at all. */
const struct operation *operation_numbered(size_t i)
{
    size_t                  n;
    const struct operation *rows = operation_rows(&n);

    return i < n ? &rows[i] : iam_row(i - n);
}

size_t operation_number(const struct operation *op)
{
    size_t                  n;
    const struct operation *rows = operation_rows(&n);

    if (op != NULL && op->service == NULL)
        return (size_t)(op - rows);
    size_t i = 0;
    while (iam_row(i) != NULL && iam_row(i) != op)
        i++;
    return n + i;
}

/* --- answers ---------------------------------------------------------------------------------- */

static const char *date_of(struct loop *l, int64_t wall_ms)
{
    if (wall_ms / 1000 != l->date_second) {
        l->date_second = wall_ms / 1000;
        date_http_write(l->date, wall_ms);
    }
    return l->date;
}

const char *server_date(struct loop *l)
{
    return date_of(l, clock_wall_ms());
}

static void error_body(struct request *rq)
{
    buf_wipe(&rq->body);
    if (rq->service == NULL)
        http_error_body(&rq->body, &rq->error);
    else
        query_error_body(&rq->body, rq->service, &rq->error, rq->id);
}

/* The header that explains a denial; empty if there is none. */
static void explanation_header(const struct request *rq, struct buf *out)
{
    if (!rq->tells_why || rq->status != KMS_E_ACCESS_DENIED)
        return;
    buf_add_str(out, EXPLANATION_HEADER ": ");
    base64_add(out, buf_bytes(&rq->explanation));
    buf_add(out, bytes_of("\r\n", 3)); /* with its NUL: http_answer.extra is a string */
}

/* The time of a turn: the answers of its batch leave together. */
struct turn {
    const char *date; /* for the header */
    int64_t     monotonic_ns;
};

/* To a counter that this thread alone writes: no other can come between. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void count(struct loop *l, const struct request *rq, int64_t now_ns)
{
    size_t   row = operation_number(rq->op);
    uint64_t us = (uint64_t)(now_ns - rq->ex->received_ns) / 1000;

    assert(row < OPERATIONS_MAX);
    add(&l->requests[row][rq->status], 1);
    add(&l->microseconds[row], us);
}

static void answer(struct request *rq, const struct turn *turn)
{
    CLEANUP(buf_release) struct buf extra = BUF_INIT(EXPLANATION_HEADER_BYTES);
    struct loop                    *l = &rq->server->loops[rq->loop];
    struct exchange                *ex = rq->ex;
    bool                            json = rq->service == NULL;
    struct http_answer              a = {
                     .status = json ? kms_status_http(rq->status) : query_status_http(rq->status),
                     .content_type = json ? "application/x-amz-json-1.1" : QUERY_CONTENT_TYPE,
                     .close = ex->close,
                     .cors = true,
    };

    if (rq->status != KMS_OK)
        error_body(rq);
    explanation_header(rq, &extra);
    if (extra.len > 0 && buf_ok(&extra))
        a.extra = (const char *)extra.ptr;
    memcpy(a.request_id, rq->id, sizeof a.request_id);
    a.body = buf_bytes(&rq->body);
    http_answer_add(ex->out, &a, turn->date);
    count(l, rq, turn->monotonic_ns);
    request_put(rq);
    listener_answer(ex);
}

/* --- the audit record ------------------------------------------------------------------------- */

static void answer_elements(struct request *rq, struct buf *out)
{
    bool wanted = rq->status == KMS_OK && rq->op != NULL &&
                  (rq->op->flags & OP_AUDIT_ANSWER) != 0 && rq->service == NULL;

    if (wanted)
        json_lower_names(out, buf_bytes(&rq->body));
}

static const char *event_source(const struct query_service *service)
{
    if (service == NULL)
        return NULL; /* KMS */
    return strcmp(service->name, "iam") == 0 ? "iam.amazonaws.com" : "sts.amazonaws.com";
}

void request_event_write(struct request *rq, struct buf *out)
{
    CLEANUP(buf_release) struct buf elements = BUF_INIT(EVENT_BYTES);
    struct exchange                *ex = rq->ex;
    const struct caller            *who = rq->authenticated ? &rq->caller : NULL;
    const struct bytes              nobody = { NULL, 0 };

    struct audit_event e = {
        .time = rq->call.now != 0 ? rq->call.now : clock_now(rq->server->parts.clock),
        .request_id = rq->id,
        .event_type = "AwsApiCall",
        .event_name = rq->op != NULL ? rq->op->name : "UnknownOperation",
        .region = rq->region,
        .source = event_source(rq->service),
        .account = who != NULL ? bytes_str(who->account_id) : nobody,
        .principal_type = bytes_str(who != NULL ? caller_type(who) : "Unknown"),
        .principal_arn = who != NULL ? who->arn_view : nobody,
        .principal_id = who != NULL ? who->unique_id_view : nobody,
        .access_key_id = who != NULL ? bytes_str(who->access_key_id) : nobody,
        .source_ip = ex->source,
        .user_agent = http_header(&ex->in, "user-agent"),
        .request_parameters = buf_bytes(&rq->parameters),
        .additional = rq->call.audit_extra,
        .read_only = rq->op != NULL && (rq->op->flags & OP_READ_ONLY) != 0,
        .key_arns = { rq->keys[0].arn, rq->keys[1].arn },
        .tls_version = ex->tls_version,
        .tls_cipher = ex->tls_cipher,
    };

    uuid_new(rq->event_id);
    uuid_write(e.event_id, rq->event_id);
    answer_elements(rq, &elements);
    e.response_elements = buf_bytes(&elements);
    if (rq->status != KMS_OK) {
        e.error_code = rq->service == NULL ? kms_status_wire(rq->status)
                                           : query_status_code(rq->status);
        /* that text quotes the Authorization header (TM 5.2) */
        if (rq->status != KMS_E_INCOMPLETE_SIG)
            e.error_message = bytes_of(rq->error.message, rq->error.message_len);
    }
    audit_event_write(out, &e);
}

/* After NOISE_RECORDED failed authentications of one source in one minute the rest is only counted;
 * the count becomes a record of its own (trust-model 5.5). True if this one is to be recorded. */
static bool noise_recorded(struct loop *l, const struct exchange *ex, int64_t minute)
{
    if (minute != l->noise_minute) {
        memset(l->noise, 0, sizeof l->noise);
        l->noise_minute = minute;
        l->noise_due += l->noise_dropped;
        l->noise_dropped = 0;
    }
    for (size_t i = 0; i < NOISE_SOURCES; i++) {
        struct noise *n = &l->noise[i];
        if (n->count == 0)
            memcpy(n->source, ex->source, strlen(ex->source) + 1);
        if (strcmp(n->source, ex->source) != 0)
            continue;
        if (++n->count <= NOISE_RECORDED)
            return true;
        break;
    }
    l->noise_dropped++;
    return false;
}

/* The record of what was only counted in an earlier minute; empty if nothing was. The count stays until
 * the record is written. */
static void noise_summary(struct server *s, struct loop *l, int64_t wall_ms, struct buf *out)
{
    if (wall_ms / 60000 != l->noise_minute) {
        l->noise_due += l->noise_dropped;
        l->noise_dropped = 0;
    }
    if (l->noise_due == 0)
        return;
    char extra[64];
    int  len = snprintf(extra, sizeof extra, "{\"failedAuthentications\":%llu}",
                        (unsigned long long)l->noise_due);
    service_event_text(out, clock_now(s->parts.clock), "TrentUnauthenticatedRequests",
                       (struct bytes){ NULL, 0 }, bytes_of(extra, (size_t)len));
}

/* --- what each step takes --------------------------------------------------------------------- */

void step_add(struct loop *l, unsigned step, size_t n, int64_t began_ns)
{
    uint64_t ns = clock_monotonic_ns() - (uint64_t)began_ns;

    atomic_fetch_add_explicit(&l->times.ns[step], ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->times.calls[step], n, memory_order_relaxed);
}

/* --- the end of a turn ------------------------------------------------------------------------ */

void server_refuse(struct request *const *list, size_t n, const struct kms_error *why)
{
    for (size_t i = 0; i < n; i++) {
        struct request *rq = list[i];
        if (rq->committed || rq->event.len == 0)
            continue; /* its record is there already, or it is noise that needs none */
        rq->status = why->status;
        rq->error = *why;
        rq->error.message_len = 0;
        rq->error.message[0] = '\0';
    }
}

static bool needs_sync(const struct request *rq)
{
    return rq->op != NULL && (rq->op->flags & OP_READ_ONLY) == 0 && rq->status != KMS_E_THROTTLED;
}

/* Has its record to be on disk before the answer leaves? */
static bool waits(const struct server *s, const struct request *rq)
{
    return rq->event.len > 0 &&
           (s->parts.config->audit_sync == AUDIT_SYNC_ALWAYS || needs_sync(rq));
}

/* Those of the batch that wait become a group; the others stay. */
static void hand_over(const struct server *s, struct loop *l, struct waiting *g)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n_batch; i++) {
        if (waits(s, l->batch[i]))
            waiting_add(g, l->batch[i]);
        else
            l->batch[n++] = l->batch[i];
    }
    l->n_batch = n;
}

/* Leaves in the batch what can be answered now. */
static void settle(struct server *s, struct loop *l, int64_t wall_ms)
{
    CLEANUP(buf_release) struct buf summary = BUF_INIT(4096);
    struct bytes                   *events = l->events;
    size_t                          n = 0;
    size_t                          n_waiting = 0;
    UNINITIALIZED struct kms_error  err;

    noise_summary(s, l, wall_ms, &summary);
    bool reserve = summary.len == 0;
    if (summary.len > 0)
        events[n++] = buf_bytes(&summary);
    for (size_t i = 0; i < l->n_batch; i++) {
        struct request *rq = l->batch[i];
        if (rq->event.len == 0)
            continue;
        events[n++] = buf_bytes(&rq->event);
        n_waiting += waits(s, rq);
        reserve = reserve && rq->op != NULL && (rq->op->flags & OP_TAKES_AWAY) != 0;
    }
    if (n == 0)
        return;
    struct waiting *g = n_waiting == 0 ? NULL
                                       : waiting_take(s, (unsigned)(l - s->loops), n_waiting);
    enum kms_status status =
        g != NULL ? audit_append_later(s->parts.audit, events, n, reserve, waiting_waiter(g), &err)
                  : audit_append(s->parts.audit, events, n, n_waiting > 0, reserve, &err);
    if (status != KMS_OK) {
        log_error("audit: %zu records could not be written, their requests are refused: %s", n,
                  err.detail);
        server_refuse(l->batch, l->n_batch, &err);
        waiting_put(g);
        return;
    }
    l->noise_due = summary.len > 0 ? 0 : l->noise_due;
    if (g != NULL)
        hand_over(s, l, g);
}

/* Every request with a good signature counts as use of its access key (GetAccessKeyLastUsed). */
static void mark_access_key(struct server *s, const struct request *rq)
{
    struct access_key_use use = { .service = USED_KMS };

    if (!rq->authenticated)
        return;
    use.at = rq->time != 0 ? rq->time : clock_now(s->parts.clock);
    if (rq->service != NULL)
        use.service = strcmp(rq->service->name, "sts") == 0 ? USED_STS : USED_IAM;
    size_t n = rq->region.len < sizeof use.region ? rq->region.len : 0;
    if (n > 0)
        memcpy(use.region, rq->region.ptr, n);
    book_mark_used(s->parts.identities, bytes_str(rq->caller.access_key_id), &use);
}

/* What succeeded and is on record counts as use of its keys (GetKeyLastUsage), before the answer says
 * so. */
static void mark_used(struct server *s, const struct loop *l, struct request *const *list, size_t n)
{
    epoch_enter(s->parts.epoch, l->reader);
    for (size_t i = 0; i < n; i++) {
        const struct request *rq = list[i];
        mark_access_key(s, rq);
        struct key_usage_mark mark = {
            .operation = s->tracked[operation_number(rq->op)],
            .at = rq->time,
        };
        if (rq->status != KMS_OK || mark.operation == TRACKED_NONE)
            continue;
        memcpy(mark.event_id, rq->event_id, sizeof mark.event_id);
        memcpy(mark.request_id, rq->id_bytes, sizeof mark.request_id);
        for (size_t k = 0; k < ARRAY_LEN(rq->keys) && rq->keys[k].arn.len > 0; k++)
            directory_mark_used(s->parts.directory, &rq->keys[k], &mark);
    }
    epoch_leave(s->parts.epoch, l->reader);
}

static void answer_all(struct server *s, struct loop *l, struct request *const *list, size_t n,
                       int64_t wall_ms)
{
    unsigned loop = (unsigned)(l - s->loops);
    int64_t  began = step_begins(s);

    if (n == 0)
        return; /* all of them wait for the disk */
    mark_used(s, l, list, n);
    step_ends(s, loop, TIMED_USE, n, began);
    struct turn turn = { date_of(l, wall_ms), (int64_t)clock_monotonic_ns() };
    for (size_t i = 0; i < n; i++)
        answer(list[i], &turn);
    step_ends(s, loop, TIMED_ANSWER, n, turn.monotonic_ns);
}

void server_answer(struct server *s, struct loop *l, struct request *const *list, size_t n)
{
    answer_all(s, l, list, n, clock_wall_ms());
}

static void settle_batch(struct server *s, struct loop *l)
{
    size_t n = l->n_batch;

    if (n == 0)
        return;
    int64_t wall_ms = clock_wall_ms();
    int64_t began = step_begins(s);
    settle(s, l, wall_ms);
    step_ends(s, (unsigned)(l - s->loops), TIMED_AUDIT, n, began);
    n = l->n_batch;
    l->n_batch = 0;
    answer_all(s, l, l->batch, n, wall_ms);
}

static void run_group(struct loop *l)
{
    size_t n = l->n_group;

    l->n_group = 0;
    if (n > 0)
        request_run(l->group, n);
}

static void on_turn(void *ctx, unsigned loop)
{
    struct server *s = ctx;

    run_group(&s->loops[loop]);
    settle_batch(s, &s->loops[loop]);
}

void request_finished(struct request *rq)
{
    struct server *s = rq->server;
    struct loop   *l = &s->loops[rq->loop];
    int64_t        began = step_begins(s);

    if (!rq->committed) {
        bool noise = !rq->authenticated && !noise_recorded(l, rq->ex, clock_wall_ms() / 60000);
        if (!noise)
            request_event_write(rq, &rq->event);
        if (!buf_ok(&rq->event)) {
            rq->status = KMS_FAIL(&rq->error, KMS_E_INTERNAL, "the audit record is too long");
            buf_reset(&rq->event);
        }
    }
    request_clear_call(rq);
    step_ends(s, rq->loop, TIMED_RECORD, 1, began);
    l->batch[l->n_batch++] = rq;
    if (l->n_batch == BATCH_MAX)
        settle_batch(s, l);
}

/* --- moving between threads ------------------------------------------------------------------- */

static void resume_on_loop(void *arg)
{
    struct request *rq = arg;

    rq->on_pool = false;
    rq->reader = rq->server->loops[rq->loop].reader;
    if (rq->job.load != NULL)
        request_loaded(rq);
    else if (rq->status != KMS_OK || rq->job.done == NULL)
        request_finished(rq);
    else
        request_run(&rq, 1);
}

void request_to_loop(struct request *rq)
{
    rq->wake = (struct listener_task){ .fn = resume_on_loop, .arg = rq };
    listener_post(rq->server->listener, rq->loop, &rq->wake);
}

static void resume_on_pool(struct pool_task *task, unsigned worker)
{
    struct request *rq = (void *)((char *)task - offsetof(struct request, pool_task));

    rq->on_pool = true;
    rq->reader = rq->server->pool_readers[worker];
    if (rq->job.load != NULL)
        request_loaded(rq);
    else
        request_run(&rq, 1);
}

void request_to_pool(struct request *rq)
{
    rq->pool_task.run = resume_on_pool;
    pool_submit(rq->server->parts.pool, &rq->pool_task);
}

/* --- from the listener ------------------------------------------------------------------------ */

static void refuse(struct server *s, struct exchange *ex, int status)
{
    ex->close = true;
    http_refusal_add(ex->out, status, server_date(&s->loops[ex->loop]));
    listener_answer(ex);
}

/* All but POST / of the network: preflights, pages under /_trent/, and what is not there. */
static void on_other(struct server *s, struct exchange *ex)
{
    struct loop *l = &s->loops[ex->loop];

    if (ex->in.method == HTTP_OPTIONS) {
        http_preflight_add(ex->out, &ex->in, server_date(l));
        listener_answer(ex);
        return;
    }
    if (s->clock_moves != NULL && clock_moves_run(s->clock_moves, ex))
        return;
    if (s->resets != NULL && resets_run(s->resets, ex))
        return;
    if (accounts_run(s->accounts, ex))
        return;
    if (endpoint_run(s, ex, server_date(l))) {
        listener_answer(ex);
        return;
    }
    refuse(s, ex, 404);
}

static void on_request(void *ctx, struct exchange *ex)
{
    struct server *s = ctx;

    if (ex->in.method != HTTP_POST || !bytes_eq(ex->in.path, BYTES_LIT("/"))) {
        on_other(s, ex);
        return;
    }
    struct request *rq = ex->local ? NULL : request_take(s, ex);
    if (rq == NULL) {
        refuse(s, ex, 503);
        return;
    }
    struct loop *l = &s->loops[ex->loop];
    step_ends(s, ex->loop, TIMED_HTTP, 1, ex->received_ns);
    l->group[l->n_group++] = rq;
    if (l->n_group == GROUP_MAX)
        run_group(l);
}

/* What was only counted so far would be lost otherwise. */
static void on_thread_end(void *ctx, unsigned loop)
{
    struct server *s = ctx;
    struct loop   *l = &s->loops[loop];

    l->noise_due += l->noise_dropped;
    l->noise_dropped = 0;
    settle(s, l, clock_wall_ms());
    crypto_thread_cleanup();
}

static void on_thread_start(void *ctx, unsigned loop)
{
    (void)ctx;
    (void)loop;
}

struct listener_hooks server_hooks(struct server *s)
{
    return (struct listener_hooks){ s, on_request, on_turn, on_thread_start, on_thread_end };
}

/* --- making one ------------------------------------------------------------------------------- */

/* Cryptographic operations are those that count: TRACKED_NONE for all others. */
static void note_tracked(struct server *s)
{
    size_t                  n;
    const struct operation *rows = operation_rows(&n);

    assert(n < OPERATIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        if ((rows[i].flags & OP_CRYPTO) != 0)
            s->tracked[i] = tracked_operation_of(rows[i].name);
    }
}

/* Without a list of Regions any is answered for (development); beside its own a request may name
 * those that there are. */
static bool serves(const void *ctx, struct bytes region)
{
    const struct config *config = ctx;

    return region_valid(region) && config_region(config, region) &&
           (config->regions[0] != '\0' || region_known(region));
}

enum kms_status server_new(const struct server_parts *parts, unsigned loops, struct server **ret,
                           struct kms_error *reterr)
{
    struct server *s = calloc(1, sizeof *s);
    size_t         workers = pool_workers(parts->pool);

    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the server");
    s->parts = *parts;
    s->env = (struct op_env){
        .vault = parts->vault,
        .directory = parts->directory,
        .clock = parts->clock,
        .rotation_delay = parts->config->rotation_delay_s * 1000,
        .region_delay = parts->config->region_delay_s * 1000,
        .serves = serves,
        .serves_ctx = parts->config,
        .attestation_roots = parts->attestation_roots,
        .identities = parts->identities,
        .oidc = parts->oidc,
    };
    note_tracked(s);
    s->step_times = parts->config->step_times;
    s->n_loops = loops;
    s->loops = calloc(loops, sizeof *s->loops);
    s->pool_readers = calloc(workers, sizeof *s->pool_readers);
    s->started_ms = clock_monotonic_ms();
    s->accounts = accounts_new(s);
    bool readers = s->loops != NULL && s->pool_readers != NULL && s->accounts != NULL;
    if (parts->config->dev)
        readers = (s->clock_moves = clock_moves_new(s)) != NULL && readers;
    if (parts->seeder != NULL)
        readers = (s->resets = resets_new(s)) != NULL && readers;
    for (unsigned i = 0; readers && i < loops; i++)
        readers = (s->loops[i].reader = epoch_register(parts->epoch)) >= 0;
    for (size_t i = 0; readers && i < workers; i++)
        readers = (s->pool_readers[i] = epoch_register(parts->epoch)) >= 0;
    if (!readers) {
        server_free(s);
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "too many threads: %u loops and %zu pool threads of at most %d", loops,
                        workers, EPOCH_READERS_MAX);
    }
    *ret = s;
    return KMS_OK;
}

void server_set_listener(struct server *s, struct listener *l)
{
    s->listener = l;
}

void server_set_ready(struct server *s, bool ready)
{
    atomic_store(&s->ready, ready);
}

static void free_list(struct request *rq)
{
    while (rq != NULL) {
        struct request *next = rq->next;
        request_free(rq);
        rq = next;
    }
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; s->loops != NULL && i < s->n_loops; i++) {
        free_list(s->loops[i].free);
        free_list(s->loops[i].busy); /* those that waited for something that will not come */
        waiting_free_all(&s->loops[i]);
    }
    free(s->loops);
    free(s->pool_readers);
    accounts_free(s->accounts);
    clock_moves_free(s->clock_moves);
    resets_free(s->resets);
    free(s);
}
