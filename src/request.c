/* request.c - the path of a request. Read the list `steps` first: it is the whole program.
 *
 * A step says DONE, or PENDING (the request is taken up at the next step when what it waits for has
 * come), or REFUSED (rq->error says why: straight to the answer). Whatever a step says that has looked for a
 * key which only the store may have, it does not count: the key is loaded, and the request goes on at `key`
 * (COLD). The first part runs on the loop
 * thread of the connection. At `key`, requests of the slow lane move to a pool thread; keys, rights
 * and states are looked at where the operation runs, in one epoch section, so what was checked is
 * what is used.
 *
 * Requests that come in one turn of a loop go side by side: all take a step before any takes the next. A step's
 * code is then fetched once for all of them; one by one, the whole path would not fit the processor's cache.
 */
#include "request_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/log.h"
#include "key/resolve.h"
#include "key/state.h"

// clang-format off
static enum step_result step_sigv4(struct request *rq);     /* who signed this, and is it fresh?    */
static enum step_result step_operation(struct request *rq); /* which row; is the input well-formed? */
static enum step_result step_lane(struct request *rq);      /* slow operations move to the pool     */
static enum step_result step_recipient(struct request *rq); /* which enclave is to be answered?    */
static enum step_result step_key(struct request *rq);       /* key id, ARN, alias, blob -> record   */
static enum step_result step_authz(struct request *rq);     /* may this caller do this?             */
static enum step_result step_state(struct request *rq);     /* usage, origin, key state             */
static enum step_result step_run(struct request *rq);       /* begin, vault command, finish         */
static enum step_result step_commit(struct request *rq);    /* the change, with its audit event     */
static enum step_result step_committed(struct request *rq); /* what became of it                    */

static const struct {
    const char *name;
    enum step_result (*run)(struct request *rq);
} steps[STEPS] = {
    [STEP_SIGV4]     = { "sigv4", step_sigv4 },
    [STEP_OPERATION] = { "operation", step_operation },
    [STEP_LANE]      = { "lane", step_lane },
    [STEP_RECIPIENT] = { "recipient", step_recipient },
    [STEP_KEY]       = { "key", step_key },
    [STEP_AUTHZ]     = { "authz", step_authz },
    [STEP_STATE]     = { "state", step_state },
    [STEP_RUN]       = { "run", step_run },
    [STEP_COMMIT]    = { "commit", step_commit },
    [STEP_COMMITTED] = { "committed", step_committed },
    /* then, for every request: its audit record, and only then its answer (server.c, on_turn) */
};
// clang-format on

const char *step_name(unsigned step)
{
    static const char *const besides[] = { "http", "record", "audit", "use", "answer" };

    return step < STEPS ? steps[step].name : besides[step - STEPS];
}

/* DONE for KMS_OK, else REFUSED with this status. */
static enum step_result outcome(struct request *rq, enum kms_status status)
{
    rq->status = status;
    return status == KMS_OK ? DONE : REFUSED;
}

static void log_failure(const struct request *rq, const char *step)
{
    const struct kms_error *e = &rq->error;

    if (kms_status_http(rq->status) >= 500)
        log_error("request=%s operation=%s step=%s status=%s site=%s detail='%s'", rq->id,
                  rq->op != NULL ? rq->op->name : "-", step, kms_status_word(rq->status), e->site,
                  e->detail);
    else
        log_debug("request=%s operation=%s step=%s status=%s detail='%s' message='%.200s'", rq->id,
                  rq->op != NULL ? rq->op->name : "-", step, kms_status_word(rq->status), e->detail,
                  rq->authenticated ? e->message : ""); /* may quote the Authorization header */
}

/* A failed authentication counts before the next of the group is looked at: otherwise as many guesses as fit a
 * group would be for the price of one. */
static void refused(const struct request *rq, unsigned at)
{
    log_failure(rq, steps[at].name);
    if (!rq->authenticated && rq->status != KMS_E_THROTTLED)
        throttle_failure(rq->server->parts.throttle, rq->ex->network, rq->ex->received_ns);
}

/* The step `at` of those that stand there. How many they were. */
static size_t take_step(struct request *const *list, size_t n, unsigned at)
{
    size_t taken = 0;

    for (size_t i = 0; i < n; i++) {
        struct request *rq = list[i];
        if (rq->step != at || rq->result != DONE)
            continue;
        rq->step++;
        rq->result = steps[at].run(rq);
        if (rq->wants.next.kind != WANT_NOTHING)
            rq->result = COLD;
        if (rq->result == REFUSED)
            refused(rq, at);
        taken++;
    }
    return taken;
}

/* One stretch of steps on one thread, inside one epoch section. */
static void run_stretch(struct request *const *list, size_t n)
{
    struct server *s = list[0]->server;
    int            reader = list[0]->reader;

    epoch_enter(s->parts.epoch, reader);
    for (size_t i = 0; i < n; i++) {
        list[i]->caller_fresh = list[i]->has_policies = list[i]->has_time = false;
        list[i]->result = DONE;
    }
    for (unsigned at = 0; at < ARRAY_LEN(steps); at++) {
        int64_t began = step_begins(s);
        size_t  taken = take_step(list, n, at);
        if (taken > 0)
            step_ends(s, list[0]->loop, at, taken, began);
    }
    epoch_leave(s->parts.epoch, reader);
}

static void key_ready(void *arg)
{
    request_to_pool(arg);
}

/* --- keys that only the store has --------------------------------------------------------------- */

/* On the committer thread. */
static void load_done(struct commit_job *job)
{
    struct request *rq = job->arg;

    if (rq->on_pool)
        request_to_pool(rq);
    else
        request_to_loop(rq);
}

/* What the step has done is undone. False if that is the end of the request: rq->error says why. */
static bool begin_load(struct request *rq)
{
    bool page = rq->wants.next.kind == WANT_PAGE;

    op_spares_give_back(&rq->call);
    kms_error_clear(&rq->error);
    if (page && rq->page == NULL)
        rq->page = malloc(sizeof *rq->page);
    rq->status = KMS_OK;
    if (page && rq->page == NULL)
        rq->status = KMS_FAIL(&rq->error, KMS_E_INTERNAL, "no memory for a page of keys");
    else if (++rq->loads > LOADS_MAX)
        rq->status = KMS_FAIL(&rq->error, KMS_E_INTERNAL, "its keys do not stay in memory");
    if (rq->status != KMS_OK) {
        log_failure(rq, "load");
        return false;
    }
    rq->load = (struct key_load){ .want = rq->wants.next, .page = rq->page };
    rq->job = (struct commit_job){ .load = &rq->load, .done = load_done, .arg = rq };
    return true;
}

/* A pending request may be running on another thread before these lines are left: what is needed
 * here is read first, and handing over is the last thing done. */
static void go_on(struct request *rq)
{
    struct server   *s = rq->server;
    enum step_result result = rq->result;

    if (result == COLD && begin_load(rq)) {
        commit_submit(s->parts.committer, &rq->job);
        return;
    }
    if (result == PENDING) {
        if (rq->call.retry_when_ready)
            vault_when_ready(s->parts.vault, rq->call.ready_spec, rq->ready_until_ms, key_ready,
                             rq);
        else if (rq->step == STEP_RECIPIENT || rq->step == STEP_KEY)
            request_to_pool(rq);
        else
            commit_submit(s->parts.committer, &rq->job);
        return;
    }
    if (result != DONE)
        op_spares_give_back(&rq->call);
    if (rq->on_pool)
        request_to_loop(rq);
    else
        request_finished(rq);
}

void request_run(struct request *const *list, size_t n)
{
    assert(n > 0 && n <= GROUP_MAX);
    run_stretch(list, n);
    for (size_t i = 0; i < n; i++)
        go_on(list[i]);
}

void request_loaded(struct request *rq)
{
    enum kms_status status = rq->job.status;

    rq->error = rq->job.error;
    rq->call.page = rq->page;
    rq->job = (struct commit_job){ .done = NULL };
    key_wants_served(&rq->wants, rq->load.found);
    if (outcome(rq, status) == DONE) {
        rq->step = STEP_KEY;
        request_run(&rq, 1);
        return;
    }
    if (rq->on_pool)
        request_to_loop(rq);
    else
        request_finished(rq);
}

void request_time(struct request *rq, int64_t wall_ms)
{
    rq->call.now = clock_now_at(rq->server->parts.clock, wall_ms);
    rq->has_time = true;
}

static void have_time(struct request *rq)
{
    if (!rq->has_time)
        request_time(rq, clock_wall_ms());
}

/* --- sigv4 ------------------------------------------------------------------------------------ */

static enum step_result step_sigv4(struct request *rq)
{
    return outcome(rq, request_signature(rq));
}

/* --- operation -------------------------------------------------------------------------------- */

struct bytes request_header(const struct http_request *in, struct bytes name)
{
    struct bytes value = { NULL, 0 };
    unsigned     seen = 0;

    for (size_t i = 0; i < in->n_headers; i++) {
        if (http_name_equals(in->headers[i].name, name)) {
            value = in->headers[i].value;
            seen++;
        }
    }
    return seen == 1 ? value : (struct bytes){ NULL, 0 };
}

static enum kms_status read_input(struct request *rq)
{
    /* no body stands for no members; where it would be may stand the next request */
    uint8_t          nothing[2 + JSON_PADDING] = { '{', '}' };
    struct exchange *ex = rq->ex;
    bool             empty = ex->in.body_len == 0;
    struct json      root;

    rq->op = operation_find(rq->target);
    if (rq->op == NULL)
        return KMS_FAIL(&rq->error, KMS_E_UNKNOWN_OPERATION, "unknown target");
    TRY(json_parse(rq->doc, empty ? nothing : ex->in.body, empty ? 2 : ex->in.body_len, &root,
                   &rq->error));
    if (rq->op->shape == NULL)
        return KMS_REFUSE(&rq->error, KMS_E_UNSUPPORTED, "Trent does not implement %s yet.",
                          rq->op->name);
    operation_audit_parameters(rq->op, root, &rq->parameters);
    return operation_read(rq->op, root, &rq->call.in, &rq->error);
}

static void fill_call(struct request *rq)
{
    struct op_call *call = &rq->call;

    buf_reset(&rq->scratch);
    call->env = &rq->server->env;
    call->wants = &rq->wants;
    call->op = rq->op;
    have_time(rq);
    if (call->caller != NULL) {
        call->account = rq->caller.authz.as.account;
        call->caller_arn = rq->caller.arn_view;
    }
    call->region = rq->region;
    call->request_id = rq->id;
    call->scratch = &rq->scratch;
    call->answer = &rq->writer;
    call->change = &rq->change;
}

static enum step_result step_operation(struct request *rq)
{
    enum kms_status status = rq->service == NULL ? read_input(rq) : request_query_read(rq);
    enum kms_status rate = request_rate(rq);

    if (rate != KMS_OK || status != KMS_OK)
        return outcome(rq, rate != KMS_OK ? rate : status);
    fill_call(rq);
    rq->ex->secret = (rq->op->flags & OP_SECRET_REPLY) != 0;
    return rq->op->prepare == NULL ? DONE : outcome(rq, rq->op->prepare(&rq->call, &rq->error));
}

static enum step_result step_lane(struct request *rq)
{
    bool slow = rq->op->lane == LANE_SLOW || rq->call.in.recipient.node != NULL;

    return slow && !rq->on_pool ? PENDING : DONE;
}

static enum step_result step_recipient(struct request *rq)
{
    return outcome(rq, operation_read_recipient(&rq->call, &rq->error));
}

/* --- key -------------------------------------------------------------------------------------- */

static struct resolve_from resolve_from(const struct request *rq, bool aliases)
{
    return (struct resolve_from){
        .directory = rq->server->parts.directory,
        .account = rq->call.account,
        .region = rq->region,
        .now = rq->call.now,
        .aliases = aliases,
        .wants = rq->call.wants,
    };
}

static enum kms_status incorrect_key(struct request *rq)
{
    return KMS_REFUSE(&rq->error, KMS_E_INCORRECT_KEY,
                      "The key ID in the request does not identify a CMK that can perform this "
                      "operation.");
}

/* Related or not (recorded-authz-multiregion 6.3 step 11, 6.8 rule 7). */
static bool is_key_elsewhere(const struct request *rq, struct bytes named)
{
    struct key_ref ref = key_ref_parse(named);

    return ref.kind == REF_KEY_ARN && !bytes_eq(ref.region, rq->region);
}

/* Decrypt and ReEncrypt: the blob names its key; a KeyId must name the same one (kms-behaviour
 * 10). */
static enum kms_status key_of_blob(struct request *rq, struct bytes named)
{
    struct op_call          *call = &rq->call;
    struct resolve_from      from = resolve_from(rq, true);
    const struct key_record *key = NULL;

    if (named.ptr != NULL && call->has_blob && is_key_elsewhere(rq, named))
        return incorrect_key(rq);
    if (named.ptr != NULL)
        TRY(resolve_key(&from, named, &key, &rq->error));
    if (!call->has_blob) {
        call->key = key;
        return KMS_OK;
    }
    if (key != NULL && key_record_material(key, &call->blob.material) == NULL)
        return incorrect_key(rq);
    if (key == NULL)
        key = resolve_material(&from, &call->blob.material);
    if (key == NULL)
        return KMS_REFUSE(
            &rq->error, KMS_E_ACCESS_DENIED,
            "The ciphertext refers to a customer master key that does not exist, does not "
            "exist in this region, or you are not allowed to access.");
    call->key = key;
    return KMS_OK;
}

static enum kms_status find_keys(struct request *rq)
{
    struct op_call     *call = &rq->call;
    struct resolve_from ids = resolve_from(rq, false);
    struct resolve_from any = resolve_from(rq, true);

    switch (rq->op->key) {
    case OP_KEY_NONE:   return KMS_OK;
    case OP_KEY_ID:     return resolve_key(&ids, call->in.key_id, &call->key, &rq->error);
    case OP_KEY_ANY:    return resolve_key(&any, call->in.key_id, &call->key, &rq->error);
    case OP_KEY_TARGET: return resolve_key(&ids, call->in.target_key_id, &call->key, &rq->error);
    case OP_KEY_OPTIONAL:
        return call->in.key_id.ptr == NULL
                   ? KMS_OK
                   : resolve_key(&ids, call->in.key_id, &call->key, &rq->error);
    case OP_KEY_BLOB: return key_of_blob(rq, call->in.key_id);
    case OP_KEY_BLOB_AND_DESTINATION:
        TRY(key_of_blob(rq, call->in.source_key_id));
        return resolve_key(&any, call->in.destination_key_id, &call->key2, &rq->error);
    }
    return KMS_FAIL(&rq->error, KMS_E_INTERNAL, "the row of %s has no key rule", rq->op->name);
}

static void remember_key(struct request *rq, size_t i, const struct key_record *key)
{
    size_t n = key->name.arn.len < KEY_ARN_MAX ? key->name.arn.len : KEY_ARN_MAX;

    memcpy(rq->arn_text[i], key->name.arn.ptr, n);
    rq->arn_text[i][n] = '\0';
    rq->keys[i] = key_name_in(bytes_of(rq->arn_text[i], n), &key->name);
}

static enum step_result step_key(struct request *rq)
{
    struct op_call *call = &rq->call;

    have_time(rq);
    rq->generation = commit_generation(rq->server->parts.committer);
    enum kms_status status = request_caller_again(rq);
    if (status != KMS_OK)
        return outcome(rq, status);
    call->key = call->key2 = NULL;
    call->child = call->retiring = NULL;
    call->identity = NULL;
    call->resource = (struct bytes){ NULL, 0 };
    call->alias = NULL;
    call->retry_when_ready = false;
    change_release(&rq->change); /* of an earlier try */
    rq->change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    status = find_keys(rq);
    if (status != KMS_OK)
        return outcome(rq, status);
    if ((rq->op->flags & OP_ALIAS_NAME) != 0)
        call->alias = directory_alias(rq->server->parts.directory, call->account, call->region,
                                      call->in.alias_name);
    if (rq->op->resolve != NULL)
        status = rq->op->resolve(call, &rq->error);
    if (status != KMS_OK)
        return outcome(rq, status);
    if (call->key != NULL)
        remember_key(rq, 0, call->key);
    if (call->key2 != NULL)
        remember_key(rq, 1, call->key2);
    return DONE;
}

/* --- authz ------------------------------------------------------------------------------------ */

static enum step_result step_authz(struct request *rq)
{
    return outcome(rq, request_authorize(rq));
}

/* --- state: usage before state, then origin (kms-behaviour 1.5, steps 7 and 8) ---------------- */

static enum kms_status check_usage(struct request *rq, const struct key_record *key)
{
    if (rq->op->usage != NULL)
        return rq->op->usage(&rq->call, key, &rq->error);
    if (rq->op->usages == 0 || (rq->op->usages & 1u << key->usage) != 0)
        return KMS_OK;
    return KMS_REFUSE(&rq->error, KMS_E_KEY_USAGE,
                      "%.*s key usage is %s which is not valid for %s.", BYTES_FMT(key->name.arn),
                      key_usage_name(key->usage), rq->op->name);
}

static enum kms_status check_origin(struct request *rq, const struct key_record *key)
{
    bool fits = rq->op->origin == OP_ANY_ORIGIN ||
                (rq->op->origin == OP_ONLY_EXTERNAL && key->origin == ORIGIN_EXTERNAL) ||
                (rq->op->origin == OP_ONLY_AWS_KMS && key->origin == ORIGIN_AWS_KMS);

    if (fits)
        return KMS_OK;
    return KMS_REFUSE(&rq->error, KMS_E_UNSUPPORTED,
                      "%.*s origin is %s which is not valid for this operation.",
                      BYTES_FMT(key->name.arn), key_origin_name(key->origin));
}

static enum kms_status check_key(struct request *rq, const struct key_record *key)
{
    if (key == NULL)
        return KMS_OK;
    TRY(check_usage(rq, key));
    TRY(check_origin(rq, key));
    return key_state_check(key, key_state_at(key, rq->call.now), rq->op->states, &rq->error);
}

static enum step_result step_state(struct request *rq)
{
    enum kms_status status = check_key(rq, rq->call.key);

    if (status == KMS_OK)
        status = check_key(rq, rq->call.key2);
    return outcome(rq, status);
}

/* --- run -------------------------------------------------------------------------------------- */

/* Does the key make this too slow for a loop thread? */
static bool too_slow(const struct vault_command *c)
{
    if (c->kind == VAULT_REENCRYPT)
        return vault_command_slow(VAULT_DECRYPT, c->from.key->spec) ||
               vault_command_slow(VAULT_ENCRYPT, c->to.key->spec);
    return c->from.key != NULL && vault_command_slow(c->kind, c->from.key->spec);
}

static enum kms_status run_command(struct request *rq)
{
    struct op_call *call = &rq->call;
    enum kms_status status = vault_run(rq->server->parts.vault, &call->command, &call->result,
                                       &rq->error);

    if (status == KMS_E_THROTTLED) { /* no RSA key is ready for a pair */
        call->retry_when_ready = true;
        call->ready_spec = call->command.pair_spec;
    }
    return status;
}

static enum kms_status finish_json(struct request *rq)
{
    bool empty = (rq->op->flags & OP_EMPTY_ANSWER) != 0;

    json_writer_init(&rq->writer, &rq->body);
    if (!empty)
        json_open_object(&rq->writer, NULL);
    TRY(rq->op->finish(&rq->call, &rq->error));
    if (!empty)
        json_close_object(&rq->writer);
    return KMS_OK;
}

static enum kms_status run_operation(struct request *rq)
{
    struct op_call *call = &rq->call;

    TRY(run_command(rq));
    if (call->in.dry_run.set && call->in.dry_run.v != 0)
        return KMS_REFUSE(&rq->error, KMS_E_DRY_RUN,
                          "The request would have succeeded, but the DryRun option is set.");

    buf_wipe(&rq->body);
    TRY(rq->service == NULL ? finish_json(rq) : request_query_finish(rq));
    if (!buf_ok(&rq->body))
        return KMS_FAIL(&rq->error, KMS_E_INTERNAL, "the answer does not fit %d bytes",
                        ANSWER_BYTES);
    return KMS_OK;
}

/* No RSA key is ready: parks the request. Not for ever, also because one whose client has hung up takes a
 * connection's place until it is answered (C5 of listener/conn.c). */
static enum step_result wait_for_key(struct request *rq)
{
    int64_t now = clock_monotonic_ms();

    if (rq->ready_until_ms == 0)
        rq->ready_until_ms = now + LIMIT_READY_MS;
    if (now >= rq->ready_until_ms) {
        rq->call.retry_when_ready = false;
        return outcome(rq, request_too_often(&rq->error));
    }
    rq->step = STEP_KEY;
    return PENDING;
}

/* Others have changed what the request was about to change. */
static enum step_result run_again(struct request *rq)
{
    op_spares_give_back(&rq->call);
    kms_error_clear(&rq->error);
    if (++rq->tries >= CHANGED_TRIES)
        return outcome(
            rq, KMS_FAIL(&rq->error, KMS_E_INTERNAL, "other requests kept changing the key"));
    rq->step = STEP_KEY;
    return PENDING;
}

/* What the key makes slow begins again in the pool: the records it looks at are then those of its
 * own section. */
static enum step_result step_run(struct request *rq)
{
    struct op_call *call = &rq->call;
    call->command = (struct vault_command){ .kind = VAULT_NOTHING };
    enum kms_status status = request_begin(rq);
    if (status == KMS_OK && !rq->on_pool && too_slow(&call->command)) {
        rq->pool_task.takes_long = true;
        rq->step = STEP_KEY;
        return PENDING;
    }
    if (status == KMS_OK)
        status = run_operation(rq);

    vault_result_wipe(&rq->call.result);
    if (status != KMS_OK && rq->call.retry_when_ready)
        return wait_for_key(rq);
    if (status == KMS_E_CHANGED)
        return run_again(rq);
    return outcome(rq, status);
}

/* --- commit ----------------------------------------------------------------------------------- */

/* On the committer thread. */
static void committed(struct commit_job *job)
{
    request_to_loop(job->arg);
}

static enum step_result step_commit(struct request *rq)
{
    if (rq->change.n_rows == 0)
        return DONE; /* nothing to change: audited with the batch */
    request_event_write(rq, &rq->change.event);
    if (!buf_ok(&rq->change.event))
        return outcome(rq, KMS_FAIL(&rq->error, KMS_E_INTERNAL, "the audit record is too long"));
    rq->job = (struct commit_job){
        .change = rq->change,
        .takes_away = (rq->op->flags & OP_TAKES_AWAY) != 0,
        .says_erased = (rq->op->flags & OP_SAYS_ERASED) != 0,
        .done = committed,
        .arg = rq,
        .generation = rq->generation,
    };
    rq->change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    return PENDING;
}

static enum step_result step_committed(struct request *rq)
{
    if (rq->job.done == NULL)
        return DONE; /* there was nothing to commit */
    change_release(&rq->job.change);
    rq->job.done = NULL;
    if (!rq->job.untouched)
        /* committed rows name these slots, or may do so: start-up finds out */
        op_spares_forget(&rq->call);
    if (rq->job.status == KMS_OK) {
        rq->committed = true;
        return DONE;
    }
    if (rq->job.status == KMS_E_CHANGED)
        return run_again(rq);
    op_spares_give_back(&rq->call);
    rq->error = rq->job.error;
    return outcome(rq, rq->job.status);
}
