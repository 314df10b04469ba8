/* request.c - the path of a request. Read the list `steps` first: it is the whole program.
 *
 * A step says DONE, or PENDING (the request is taken up at the next step when what it waits for has
 * come), or REFUSED (rq->error says why: straight to the answer). The first part runs on the loop
 * thread of the connection. At `key`, requests of the slow lane move to a pool thread; keys, rights
 * and states are looked at where the operation runs, in one epoch section, so what was checked is
 * what is used.
 */
#include "request_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/log.h"
#include "identity/principals.h"
#include "key/resolve.h"
#include "key/state.h"
#include "sigv4/sigv4.h"

enum step_result { DONE, PENDING, REFUSED };

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

enum step {
    STEP_SIGV4,
    STEP_OPERATION,
    STEP_LANE,
    STEP_RECIPIENT,
    STEP_KEY, /* where a request goes on that changed threads, and begins again after a conflict */
    STEP_AUTHZ,
    STEP_STATE,
    STEP_RUN,
    STEP_COMMIT,
    STEP_COMMITTED,
};

static const struct {
    const char *name;
    enum step_result (*run)(struct request *rq);
} steps[] = {
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

static void give_back_slots(struct request *rq)
{
    for (size_t i = 0; i < rq->call.n_spare; i++)
        vault_release(rq->server->parts.vault, &rq->call.spare[i]);
    rq->call.n_spare = 0;
}

/* One stretch of steps on one thread, inside one epoch section. */
static enum step_result run_stretch(struct request *rq)
{
    enum step_result result = DONE;

    epoch_enter(rq->server->parts.epoch, rq->reader);
    while (rq->step < ARRAY_LEN(steps)) {
        unsigned at = rq->step++;
        result = steps[at].run(rq);
        if (result == REFUSED)
            log_failure(rq, steps[at].name);
        if (result != DONE)
            break;
    }
    epoch_leave(rq->server->parts.epoch, rq->reader);
    return result;
}

static void key_ready(void *arg)
{
    request_to_pool(arg);
}

/* A pending request may be running on another thread before these lines are left: what is needed
 * here is read first, and handing over is the last thing done. */
void request_run(struct request *rq)
{
    struct server   *s = rq->server;
    enum step_result result = run_stretch(rq);

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
    if (result == REFUSED)
        give_back_slots(rq);
    if (rq->on_pool)
        request_to_loop(rq);
    else
        request_finished(rq);
}

/* --- sigv4 ------------------------------------------------------------------------------------ */

static void remember_caller(struct request *rq, const struct access_key_record *key)
{
    (void)snprintf(rq->account, sizeof rq->account, "%.*s", BYTES_FMT(key->account));
    (void)snprintf(rq->caller_arn, sizeof rq->caller_arn, "arn:aws:iam::%.*s:root",
                   BYTES_FMT(key->account));
    (void)snprintf(rq->principal_id, sizeof rq->principal_id, "%.*s", BYTES_FMT(key->principal_id));
    (void)snprintf(rq->access_key_id, sizeof rq->access_key_id, "%.*s", BYTES_FMT(key->id));
}

static enum kms_status signature_mac(void *ctx, const struct sigv4_auth *auth,
                                     struct bytes string_to_sign, uint8_t ret[32],
                                     struct sigv4_key *ret_key, struct kms_error *reterr)
{
    struct request                 *rq = ctx;
    const struct server_parts      *parts = &rq->server->parts;
    const struct access_key_record *key = book_access_key(parts->identities, auth->access_key_id);
    const struct bytes              nothing = { NULL, 0 };
    struct sigv4_scope_text         scope = { auth->date, auth->region, auth->service };

    if (key != NULL && (!key->active || !key->root || key->session.kind != SESSION_NONE))
        key = NULL;
    TRY(vault_sigv4_mac(parts->vault, key == NULL ? nothing : key->id,
                        key == NULL ? nothing : key->wrapped_secret, &scope, string_to_sign, ret,
                        reterr));
    if (key != NULL)
        remember_caller(rq, key);
    ret_key->known = key != NULL;
    return KMS_OK;
}

static bool region_answered(void *ctx, struct bytes region)
{
    const struct request *rq = ctx;

    return server_answers_for(rq->server, rq->loop, region);
}

static enum kms_status too_many(struct request *rq)
{
    return KMS_REFUSE(&rq->error, KMS_E_THROTTLED,
                      "You have exceeded the rate at which you may call KMS. Reduce the frequency "
                      "of your calls.");
}

/* Who guesses signatures is refused before any more are computed. */
static enum step_result step_sigv4(struct request *rq)
{
    static const char *const services[] = { "kms", NULL };
    const struct sigv4_hooks hooks = { rq, signature_mac, region_answered };
    struct sigv4_caller      caller;
    struct throttle         *throttle = rq->server->parts.throttle;
    const int64_t            now = rq->ex->received_ns;

    if (throttle_source_blocked(throttle, rq->ex->source, now))
        return outcome(rq, too_many(rq));
    enum kms_status status = sigv4_verify(&rq->ex->in, services, clock_wall_ms(), &hooks,
                                          &rq->scratch, &caller, &rq->error);
    if (status != KMS_OK) {
        throttle_failure(throttle, rq->ex->source, now);
        return outcome(rq, status);
    }
    rq->authenticated = true;
    rq->ex->authenticated = true;
    rq->region = caller.region;
    return DONE;
}

/* --- operation -------------------------------------------------------------------------------- */

static struct bytes single_header(const struct http_request *in, const char *name)
{
    struct bytes value = { NULL, 0 };
    unsigned     seen = 0;

    for (size_t i = 0; i < in->n_headers; i++) {
        if (http_name_is(in->headers[i].name, name)) {
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

    TRY(json_parse(rq->doc, empty ? nothing : ex->in.body, empty ? 2 : ex->in.body_len, &root,
                   &rq->error));
    if (rq->op->shape == NULL)
        return KMS_REFUSE(&rq->error, KMS_E_UNSUPPORTED, "Trent does not implement %s yet.",
                          rq->op->name);
    operation_audit_parameters(rq->op, root, &rq->parameters);
    return operation_read(rq->op, root, &rq->call.in, &rq->error);
}

static enum step_result step_operation(struct request *rq)
{
    rq->op = operation_find(single_header(&rq->ex->in, "x-amz-target"));
    if (!throttle_request(rq->server->parts.throttle, bytes_str(rq->account),
                          bytes_str(rq->principal_id), rq->ex->received_ns))
        return outcome(rq, too_many(rq));
    if (rq->op == NULL)
        return outcome(rq, KMS_FAIL(&rq->error, KMS_E_UNKNOWN_OPERATION, "unknown target"));
    enum kms_status status = read_input(rq);
    if (status != KMS_OK)
        return outcome(rq, status);

    struct op_call *call = &rq->call;
    buf_reset(&rq->scratch);
    call->env = &rq->server->env;
    call->op = rq->op;
    call->now = clock_now(rq->server->parts.clock);
    call->account = bytes_str(rq->account);
    call->caller_arn = bytes_str(rq->caller_arn);
    call->region = rq->region;
    call->request_id = rq->id;
    call->scratch = &rq->scratch;
    call->answer = &rq->writer;
    call->change = &rq->change;
    rq->ex->secret = (rq->op->flags & OP_SECRET_REPLY) != 0;
    return rq->op->prepare == NULL ? DONE : outcome(rq, rq->op->prepare(call, &rq->error));
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
        .account = bytes_str(rq->account),
        .region = rq->region,
        .now = rq->call.now,
        .aliases = aliases,
    };
}

/* Decrypt and ReEncrypt: the blob names its key; a KeyId must name the same one (kms-behaviour
 * 10). */
static enum kms_status key_of_blob(struct request *rq, struct bytes named)
{
    struct op_call          *call = &rq->call;
    struct resolve_from      from = resolve_from(rq, true);
    const struct key_record *key = NULL;

    if (named.ptr != NULL)
        TRY(resolve_key(&from, named, &key, &rq->error));
    if (!call->has_blob) {
        call->key = key;
        return KMS_OK;
    }
    if (key != NULL && key_record_material(key, &call->blob.material) == NULL)
        return KMS_REFUSE(&rq->error, KMS_E_INCORRECT_KEY,
                          "The key ID in the request does not identify a CMK that can perform this "
                          "operation.");
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

    call->now = clock_now(rq->server->parts.clock);
    call->key = call->key2 = NULL;
    call->alias = NULL;
    call->retry_when_ready = false;
    change_release(&rq->change); /* of an earlier try */
    rq->change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    enum kms_status status = find_keys(rq);
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

/* `action` without its service. */
static struct authz_request question(struct asked *asked, const char *action)
{
    const struct request *rq = asked->rq;

    asked->caller = (struct authz_caller){ .as = { .kind = CALLER_ROOT,
                                                   .account = bytes_str(rq->account),
                                                   .arn = bytes_str(rq->caller_arn),
                                                   .unique_id = bytes_str(rq->principal_id) } };
    int n = snprintf(asked->action, sizeof asked->action, "kms:%s", action);
    assert(n > 0 && (size_t)n < sizeof asked->action);
    return (struct authz_request){
        .caller = &asked->caller,
        .action = bytes_of(asked->action, (size_t)n),
        .resource = asked->key != NULL ? asked->key->name.arn : BYTES_LIT("*"),
        .key = asked->key,
        .cross_account = (rq->op->flags & OP_CROSS_ACCOUNT) != 0,
        .operation = GRANT_NO_OPERATION,
        .values = request_condition,
        .ctx = asked,
    };
}

static enum kms_status decide(struct request *rq, const char *action, const struct key_record *key,
                              bool destination)
{
    struct name_index names[NAME_INDEXES];
    struct asked      asked = { .rq = rq, .key = key, .destination = destination, .names = names };
    struct authz_request a = question(&asked, action);

    return authz_decide(&a, NULL, &rq->error);
}

/* A key policy that the request brings. */
static enum kms_status check_new_policy(struct request *rq)
{
    static const char    any_key[] = "00000000-0000-0000-0000-000000000000";
    char                 room[KEY_ARN_MAX + 1];
    struct buf           arn = { .ptr = (uint8_t *)room, .cap = sizeof room, .limit = sizeof room };
    struct name_index    names[NAME_INDEXES];
    struct asked         asked = { .rq = rq, .key = rq->call.key, .names = names };
    struct authz_request a = question(&asked, rq->op->name);
    const struct op_int *bypass = &rq->call.in.bypass_lockout;

    if (rq->call.in.policy.ptr == NULL)
        return KMS_OK;
    if (a.key != NULL)
        buf_add(&arn, a.key->name.arn);
    else
        key_arn_add(&arn, bytes_str(rq->account), rq->region, bytes_str(any_key));
    return authz_check_key_policy(&a, rq->call.in.policy, buf_bytes(&arn),
                                  bypass->set && bypass->v != 0, principal_known,
                                  rq->server->parts.identities, &rq->error);
}

/* The key that an alias points to so far: who takes an alias away from a key needs rights on it
 * (kms-behaviour 12). */
static const struct key_record *key_of_alias(const struct request *rq)
{
    const struct alias_record *alias = rq->call.alias;

    if (alias == NULL || strcmp(rq->op->name, "CreateAlias") == 0) /* which takes none away */
        return NULL;
    return directory_key(rq->server->parts.directory, alias->name.account, alias->name.region,
                         bytes_str(alias->key_id));
}

static enum kms_status may(struct request *rq)
{
    const char              *name = rq->op->name;
    const struct key_record *key = rq->call.key;
    const struct key_record *former = key_of_alias(rq);
    bool                     own = key == NULL || bytes_eq_str(key->name.account, rq->account);

    switch (rq->op->key) {
    case OP_KEY_BLOB_AND_DESTINATION:
        TRY(decide(rq, "ReEncryptFrom", key, false));
        return decide(rq, "ReEncryptTo", rq->call.key2, true);
    case OP_KEY_OPTIONAL: /* the key only narrows the list: identity policies alone decide */
        return decide(rq, name, own ? NULL : key, false);
    case OP_KEY_NONE:
    case OP_KEY_ID:
    case OP_KEY_ANY:
    case OP_KEY_TARGET:
    case OP_KEY_BLOB:   break;
    }
    TRY(decide(rq, name, key, false));
    return former == NULL || former == key ? KMS_OK : decide(rq, name, former, false);
}

static enum step_result step_authz(struct request *rq)
{
    enum kms_status status = may(rq);

    if (status == KMS_OK)
        status = check_new_policy(rq);
    return outcome(rq, status);
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

static enum kms_status run_operation(struct request *rq)
{
    const struct operation *op = rq->op;
    struct op_call         *call = &rq->call;

    TRY(run_command(rq));
    if (call->in.dry_run.set && call->in.dry_run.v != 0)
        return KMS_REFUSE(&rq->error, KMS_E_DRY_RUN,
                          "The request would have succeeded, but the DryRun option is set.");

    buf_wipe(&rq->body);
    json_writer_init(&rq->writer, &rq->body);
    if ((op->flags & OP_EMPTY_ANSWER) == 0)
        json_open_object(&rq->writer, NULL);
    TRY(op->finish(call, &rq->error));
    if ((op->flags & OP_EMPTY_ANSWER) == 0)
        json_close_object(&rq->writer);
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
        return outcome(rq, too_many(rq));
    }
    rq->step = STEP_KEY;
    return PENDING;
}

/* What the key makes slow begins again in the pool: the records it looks at are then those of its
 * own section. */
static enum step_result step_run(struct request *rq)
{
    struct op_call *call = &rq->call;
    enum kms_status status = KMS_OK;

    call->command = (struct vault_command){ .kind = VAULT_NOTHING };
    if (rq->op->begin != NULL)
        status = rq->op->begin(call, &rq->error);
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
        rq->call.n_spare = 0;
    if (rq->job.status == KMS_OK) {
        rq->committed = true;
        return DONE;
    }
    give_back_slots(rq);
    if (rq->job.status == KMS_E_CHANGED && ++rq->tries < CHANGED_TRIES) {
        rq->step = STEP_KEY;
        return PENDING;
    }
    rq->error = rq->job.error;
    if (rq->job.status == KMS_E_CHANGED)
        return outcome(
            rq, KMS_FAIL(&rq->error, KMS_E_INTERNAL, "other requests kept changing the key"));
    return outcome(rq, rq->job.status);
}
