/* endpoint.c - /_trent/...: health, readiness, metrics, status for the operator's tool, and the
 * operator's word about the time. Not part of the API: no signature; nothing here says anything about keys by
 * name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "commit/event.h"
#include "jwt/providers.h"
#include "request_internal.h"

enum { PAGE_BYTES = 1024 * 1024 };

static void give(struct exchange *ex, int status, const char *type, struct buf *body,
                 const char date[29])
{
    const struct http_answer a = {
        .status = status,
        .content_type = type,
        .close = ex->close,
        .body = buf_bytes(body),
    };

    http_answer_add(ex->out, &a, date);
}

/* --- health and readiness --------------------------------------------------------------------- */

static void health(struct server *s, struct exchange *ex, const char date[29])
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);
    const char                     *status = "ok";
    struct commit_counts            c;

    commit_counts(s->parts.committer, &c);
    if (!audit_healthy(s->parts.audit))
        status = "audit cannot be written";
    else if (c.unreadable > 0)
        status = "a key cannot be read from the database";
    buf_addf(&body, "{\"status\":\"%s\"}\n", status);
    give(ex, strcmp(status, "ok") == 0 ? 200 : 503, "application/json", &body, date);
}

static void readiness(struct server *s, struct exchange *ex, const char date[29])
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);
    bool                            ready = atomic_load(&s->ready) && audit_healthy(s->parts.audit);

    buf_add_str(&body, ready ? "{\"ready\":true}\n" : "{\"ready\":false}\n");
    give(ex, ready ? 200 : 503, "application/json", &body, date);
}

/* --- metrics ---------------------------------------------------------------------------------- */

static uint64_t sum_requests(struct server *s, size_t row, int status)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->n_loops; i++)
        sum += atomic_load_explicit(&s->loops[i].requests[row][status], memory_order_relaxed);
    return sum;
}

static void metric_requests(struct server *s, struct buf *out)
{
    size_t n = operation_number(NULL);

    buf_add_str(out, "# HELP trent_requests_total API requests answered.\n"
                     "# TYPE trent_requests_total counter\n");
    for (size_t row = 0; row <= n; row++) {
        const char *name = row < n ? operation_numbered(row)->name : "-";
        for (int st = 0; st < KMS_STATUS_COUNT; st++) {
            uint64_t count = sum_requests(s, row, st);
            if (count > 0)
                buf_addf(out, "trent_requests_total{operation=\"%s\",result=\"%s\"} %llu\n", name,
                         kms_status_word((enum kms_status)st), (unsigned long long)count);
        }
    }
    buf_add_str(out, "# HELP trent_request_seconds_total Time from first byte to answer.\n"
                     "# TYPE trent_request_seconds_total counter\n");
    for (size_t row = 0; row <= n; row++) {
        uint64_t us = 0;
        for (unsigned i = 0; i < s->n_loops; i++)
            us += atomic_load_explicit(&s->loops[i].microseconds[row], memory_order_relaxed);
        if (us > 0)
            buf_addf(out, "trent_request_seconds_total{operation=\"%s\"} %llu.%06llu\n",
                     row < n ? operation_numbered(row)->name : "-",
                     (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
    }
}

/* What precedes the samples of a metric that has labels. */
static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    family(out, name, type, help);
    buf_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void metric_steps(struct server *s, struct buf *out)
{
    uint64_t ns[TIMED_COUNT] = { 0 };
    uint64_t calls[TIMED_COUNT] = { 0 };

    if (!s->step_times)
        return;
    for (unsigned i = 0; i < s->n_loops * TIMED_COUNT; i++) {
        const struct step_times *t = &s->loops[i / TIMED_COUNT].times;
        unsigned                 step = i % TIMED_COUNT;
        ns[step] += atomic_load_explicit(&t->ns[step], memory_order_relaxed);
        calls[step] += atomic_load_explicit(&t->calls[step], memory_order_relaxed);
    }
    family(out, "trent_request_step_seconds_total", "counter",
           "Time that the steps of requests took.");
    for (unsigned i = 0; i < TIMED_COUNT; i++)
        buf_addf(out, "trent_request_step_seconds_total{step=\"%s\"} %llu.%09llu\n", step_name(i),
                 (unsigned long long)(ns[i] / 1000000000),
                 (unsigned long long)(ns[i] % 1000000000));
    family(out, "trent_request_step_calls_total", "counter", "Requests that came to the step.");
    for (unsigned i = 0; i < TIMED_COUNT; i++)
        buf_addf(out, "trent_request_step_calls_total{step=\"%s\"} %llu\n", step_name(i),
                 (unsigned long long)calls[i]);
}

enum { READY_POOLS = 3 };
static const char *const pools[READY_POOLS] = { "RSA_2048", "RSA_3072", "RSA_4096" };

static void metric_ready_keys(struct buf *out, const struct vault_status *v)
{
    family(out, "trent_ready_keys", "gauge", "RSA keys made ahead that are ready.");
    for (unsigned i = 0; i < READY_POOLS; i++)
        buf_addf(out, "trent_ready_keys{spec=\"%s\"} %u\n", pools[i], v->ready_keys[i]);
    family(out, "trent_ready_keys_waiting", "gauge", "Requests waiting for an RSA key.");
    for (unsigned i = 0; i < READY_POOLS; i++)
        buf_addf(out, "trent_ready_keys_waiting{spec=\"%s\"} %u\n", pools[i], v->ready_waiting[i]);
    family(out, "trent_ready_keys_made_total", "counter", "RSA keys made.");
    for (unsigned i = 0; i < READY_POOLS; i++)
        buf_addf(out, "trent_ready_keys_made_total{spec=\"%s\"} %llu\n", pools[i],
                 (unsigned long long)v->ready_made[i]);
}

/* One sample per provider, by its place in the list: metrics name nothing. */
static void metric_issuers(struct server *s, struct buf *out, const char *name, const char *type,
                           const char *help, int64_t (*value)(const struct oidc_status *))
{
    struct oidc_status at;

    family(out, name, type, help);
    for (size_t i = 0; oidc_status(s->parts.oidc, i, &at); i++)
        buf_addf(out, "%s{provider=\"%zu\"} %lld\n", name, i, (long long)value(&at));
}

static int64_t issuer_keys(const struct oidc_status *at)
{
    return (int64_t)at->keys;
}

static int64_t issuer_failures(const struct oidc_status *at)
{
    return (int64_t)at->failures;
}

static int64_t issuer_age(const struct oidc_status *at)
{
    return at->age_ms < 0 ? -1 : at->age_ms / 1000;
}

static void metric_oidc(struct server *s, struct buf *out)
{
    if (s->parts.oidc == NULL)
        return;
    metric_issuers(s, out, "trent_oidc_keys", "gauge", "Usable keys of an OIDC issuer.",
                   issuer_keys);
    metric_issuers(s, out, "trent_oidc_failures_total", "counter",
                   "Times that keys of an OIDC issuer could not be read.", issuer_failures);
    metric_issuers(s, out, "trent_oidc_age_seconds", "gauge",
                   "Age of the keys of an OIDC issuer; -1: there are none.", issuer_age);
}

static void metric_webhook(struct server *s, struct buf *out)
{
    struct webhook_counts n;

    if (s->parts.webhook == NULL)
        return;
    webhook_counts(s->parts.webhook, &n);
    metric(out, "trent_webhook_waiting", "gauge", "Events that the webhook has not been told yet.",
           n.waiting);
    metric(out, "trent_webhook_oldest_seconds", "gauge", "Age of the oldest of them.",
           (uint64_t)n.oldest_ms / 1000);
    metric(out, "trent_webhook_delivered_total", "counter", "Events that the webhook has taken.",
           n.delivered);
    metric(out, "trent_webhook_failures_total", "counter", "Attempts that failed.", n.failed);
    metric(out, "trent_webhook_retry_seconds", "gauge",
           "Seconds until it is tried again; 0: it is not known to be down.",
           (uint64_t)(n.retry_ms + 999) / 1000);
}

enum { EXPIRING_MAX = 1000, EXPIRING_HINTS = 2 * EXPIRING_MAX };

/* Hints that are not true any more say nothing; half of them may be so. */
static void metric_expiring(struct server *s, const struct exchange *ex, struct buf *out)
{
    CLEANUP(freep) struct expiring_key *list = calloc(EXPIRING_HINTS, sizeof *list);
    int64_t                             now = clock_now(s->parts.clock);

    if (s->parts.expiring == NULL || list == NULL)
        return;
    size_t n = expiring_soonest(s->parts.expiring, now, list, EXPIRING_HINTS);
    size_t shown = 0;
    epoch_enter(s->parts.epoch, s->loops[ex->loop].reader);
    for (size_t i = 0; i < n && shown < EXPIRING_MAX; i++) {
        const struct key_record *key = directory_key(s->parts.directory, bytes_str(list[i].account),
                                                     bytes_str(list[i].region),
                                                     bytes_str(list[i].key_id));
        if (key == NULL || key_valid_to(key) != list[i].valid_to)
            continue;
        if (shown++ == 0)
            family(
                out, "trent_seconds_until_key_material_expiration", "gauge",
                "Seconds until imported material of a key expires, of those that expire soonest.");
        buf_addf(out,
                 "trent_seconds_until_key_material_expiration"
                 "{account=\"%s\",region=\"%s\",key_id=\"%s\"} %lld\n",
                 list[i].account, list[i].region, list[i].key_id,
                 (long long)(list[i].valid_to - now) / 1000);
    }
    epoch_leave(s->parts.epoch, s->loops[ex->loop].reader);
}

static void metric_identities(struct server *s, struct buf *out)
{
    struct book_counts n = book_counts(s->parts.identities);

    metric(out, "trent_accounts", "gauge", "Accounts.", n.accounts);
    metric(out, "trent_users", "gauge", "Users, all accounts.", n.users);
    metric(out, "trent_roles", "gauge", "Roles, all accounts.", n.roles);
    metric(out, "trent_access_keys", "gauge", "Long-term access keys.", n.access_keys);
    metric(out, "trent_sessions", "gauge",
           "Sessions, those that have ended less than 15 minutes ago among them.", n.sessions);
}

static void metric_rotations(struct buf *out, const struct commit_counts *c)
{
    static const char *const name = "trent_rotations_total";

    family(out, name, "counter", "Keys rotated, in all their Regions, by type.");
    buf_addf(out, "%s{type=\"on_demand\"} %llu\n", name, (unsigned long long)c->rotated_on_demand);
    buf_addf(out, "%s{type=\"automatic\"} %llu\n", name, (unsigned long long)c->rotated_automatic);
}

static void metric_parts(struct server *s, struct buf *out)
{
    struct directory_counts d = directory_counts(s->parts.directory);
    struct throttle_counts  t = throttle_counts(s->parts.throttle);
    struct commit_counts    c;
    struct audit_counts     a;
    struct jobs_counts      j;
    struct listener_counts  l;
    struct vault_status     v;

    commit_counts(s->parts.committer, &c);
    audit_counts(s->parts.audit, &a);
    jobs_counts(s->parts.jobs, &j);
    listener_counts(s->listener, &l);
    vault_status(s->parts.vault, &v);
    metric(out, "trent_keys", "gauge", "Keys, all accounts and Regions.", d.keys);
    metric(out, "trent_keys_in_memory", "gauge", "Keys in memory (cached-keys).", d.keys - d.cold);
    metric(out, "trent_key_loads_total", "counter", "Keys loaded when they were used.", c.loads);
    metric(out, "trent_key_evictions_total", "counter", "Keys that have left memory again.",
           c.evictions);
    metric(out, "trent_key_load_failures_total", "counter", "Times that a key could not be read.",
           c.load_failures);
    metric(
        out, "trent_keys_unreadable", "gauge",
        "Keys that cannot be read, damaged or changed by others, as far as is known; the first 64.",
        c.unreadable);
    metric(out, "trent_aliases", "gauge", "Aliases.", d.aliases);
    metric(out, "trent_import_tokens", "gauge", "Unexpired import tokens.", d.import_keys);
    metric(out, "trent_throttled_requests_total", "counter",
           "Requests refused for the rate of their principal or account.", t.requests);
    metric(out, "trent_throttled_sources_total", "counter",
           "Requests refused unseen, for failed signatures of their address.", t.sources);
    metric(out, "trent_commits_total", "counter", "Store transactions.", c.batches);
    metric(out, "trent_changes_total", "counter", "Changes committed.", c.changes);
    metric(out, "trent_change_conflicts_total", "counter", "Changes that ran again.", c.conflicts);
    metric(out, "trent_erasure_failures_total", "counter",
           "Erasures that failed, and are tried again.", c.failures);
    metric(out, "trent_erasures_total", "counter", "Slots erased and verified.", c.erasures);
    metric(out, "trent_audit_records_total", "counter", "Sequence number of the audit.", a.seq);
    metric(out, "trent_audit_failures_total", "counter", "Audit writes that failed.", a.failures);
    metric(out, "trent_audit_bytes_total", "counter", "Bytes written to the audit.", a.bytes);
    metric(out, "trent_audit_syncs_total", "counter", "Syncs of the audit.", a.syncs);
    metric(out, "trent_audit_checkpoint", "gauge", "Sequence number of the last checkpoint.",
           a.checkpoint_seq);
    metric(out, "trent_audit_healthy", "gauge", "1 while audit records can be written.",
           audit_healthy(s->parts.audit));
    metric(out, "trent_materials_expired_total", "counter", "Materials that reached their ValidTo.",
           j.expired);
    metric(out, "trent_keys_deleted_total", "counter", "Keys whose deletion window ended.",
           j.deleted);
    metric_rotations(out, &c);
    metric(out, "trent_expiry_warnings_total", "counter",
           "Times that a key was warned of its expiry.", j.warned);
    metric(out, "trent_import_tokens_expired_total", "counter", "Import tokens past their time.",
           j.import_keys);
    metric(out, "trent_clock_certain", "gauge",
           "0 while the time is in doubt, and nothing is erased by itself.",
           clock_certain(s->parts.clock));
    metric(out, "trent_timers", "gauge", "Due times waited for.", j.timers);
    metric(out, "trent_connections", "gauge", "Open connections.", l.open);
    metric(out, "trent_connections_total", "counter", "Connections accepted.", l.accepted);
    metric(out, "trent_connections_refused_total", "counter", "Connections over a limit.",
           l.refused_limit);
    metric(out, "trent_requests_malformed_total", "counter", "Requests refused by the HTTP parser.",
           l.refused_request);
    metric(out, "trent_timeouts_total", "counter", "Connections closed at a deadline.", l.timeouts);
    metric(out, "trent_tls_errors_total", "counter", "TLS handshakes that failed.", l.tls_errors);
    metric(out, "trent_slots_erasable", "gauge", "Erasable slots in use.",
           v.slots_used[SLOT_ERASABLE]);
    metric(out, "trent_slots_durable", "gauge", "Durable slots in use.",
           v.slots_used[SLOT_DURABLE]);
    metric(out, "trent_materials_opened", "gauge", "Opened materials in secret memory.",
           v.cached_materials);
    metric_ready_keys(out, &v);
    metric_oidc(s, out);
    metric_webhook(s, out);
    metric(out, "trent_pool_waiting", "gauge", "Requests waiting for a pool thread.",
           pool_waiting(s->parts.pool));
}

static void metrics(struct server *s, struct exchange *ex, const char date[29])
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);

    metric_requests(s, &body);
    metric_steps(s, &body);
    metric_parts(s, &body);
    metric_identities(s, &body);
    metric_expiring(s, ex, &body);
    give(ex, 200, "text/plain; version=0.0.4", &body, date);
}

/* --- status: for the operator's tool, through the local socket only --------------------------- */

static void status_vault(struct server *s, struct json_writer *w)
{
    static const char *const classes[] = { "erasable", "durable" };
    struct vault_status      v;

    vault_status(s->parts.vault, &v);
    json_open_object(w, "erase");
    json_put_str(w, "grade", erase_grade_name(v.grade));
    json_put_str(w, "reason", v.grade_reason);
    json_put_str(w, "filesystem", v.filesystem);
    json_close_object(w);
    json_put_str(w, "secretMemory", secret_grade_name(v.memory));
    json_open_object(w, "slots");
    for (unsigned i = 0; i < 2; i++) {
        json_open_object(w, classes[i]);
        json_put_int(w, "used", v.slots_used[i]);
        json_put_int(w, "total", v.slots_total[i]);
        json_put_int(w, "generation", (int64_t)v.generation[i]);
        json_close_object(w);
    }
    json_close_object(w);
    json_open_object(w, "readyKeys");
    for (unsigned i = 0; i < 3; i++)
        json_put_int(w, pools[i], v.ready_keys[i]);
    json_close_object(w);
    json_put_int(w, "openedMaterials", (int64_t)v.cached_materials);
}

static void status(struct server *s, struct exchange *ex, const char date[29])
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);
    struct directory_counts         d = directory_counts(s->parts.directory);
    struct audit_counts             a;
    struct json_writer              w;
    uint64_t                        requests = 0;
    size_t                          rows;

    (void)operation_rows(&rows);
    for (size_t row = 0; row <= rows; row++) {
        for (int st = 0; st < KMS_STATUS_COUNT; st++)
            requests += sum_requests(s, row, st);
    }
    audit_counts(s->parts.audit, &a);
    json_writer_init(&w, &body);
    json_open_object(&w, NULL);
    json_put_str(&w, "version", TRENT_VERSION);
    json_put_str(&w, "url", listener_url(s->listener));
    json_put_bool(&w, "development", s->parts.config->dev);
    json_put_int(&w, "uptimeSeconds", (clock_monotonic_ms() - s->started_ms) / 1000);
    json_put_date(&w, "time", clock_now(s->parts.clock));
    json_put_bool(&w, "timeCertain", clock_certain(s->parts.clock));
    json_put_int(&w, "keys", (int64_t)d.keys);
    json_put_int(&w, "aliases", (int64_t)d.aliases);
    json_put_int(&w, "requests", (int64_t)requests);
    status_vault(s, &w);
    json_open_object(&w, "audit");
    json_put_int(&w, "sequence", (int64_t)a.seq);
    json_put_bool(&w, "healthy", audit_healthy(s->parts.audit));
    if (a.last_checkpoint != 0)
        json_put_date(&w, "lastCheckpoint", a.last_checkpoint);
    json_close_object(&w);
    json_close_object(&w);
    buf_add_str(&body, "\n");
    give(ex, 200, "application/json", &body, date);
}

/* --- requests that nobody signs and that change something ----------------------------------------- */

/* application/json and nothing else, but for a parameter. */
static bool says_json(const struct http_request *in)
{
    struct bytes type = http_header(in, "content-type");
    struct bytes name;

    if (!bytes_cut(&type, ';', &name))
        name = type;
    while (name.len > 0 && name.ptr[name.len - 1] == ' ')
        name.len--;
    return http_name_is(name, "application/json");
}

/* Nobody signs this request, and a web page of anywhere may send requests to this machine. A browser
 * names the page in Origin, and asks before it sends JSON for a page of somewhere else. */
const char *endpoint_not_from_a_page(const struct http_request *in, int *ret_status)
{
    *ret_status = 403;
    if (http_header(in, "origin").ptr != NULL)
        return "requests of web pages are refused here";
    *ret_status = 415;
    return says_json(in) ? NULL : "expected Content-Type: application/json";
}

void endpoint_answer(struct server *s, struct exchange *ex, int status, struct buf *body)
{
    give(ex, status, "application/json", body, server_date(&s->loops[ex->loop]));
    listener_answer(ex);
}

void endpoint_refuse(struct server *s, struct exchange *ex, int status, const char *error)
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);

    clock_write(s, error, &body);
    endpoint_answer(s, ex, status, &body);
}

/* --- the operator's word about the time ---------------------------------------------------------- */

static void clock_answer(struct server *s, struct exchange *ex, int code, const char *error,
                         const char date[29])
{
    CLEANUP(buf_release) struct buf body = BUF_INIT(PAGE_BYTES);

    clock_write(s, error, &body);
    give(ex, code, "application/json", &body, date);
}

/* An operator says that the machine's clock is right: what is due is erased without waiting longer. */
static void clock_confirmed(struct server *s, struct exchange *ex, const char date[29])
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    struct kms_error                err;

    if (!clock_confirm(s->parts.clock)) {
        clock_answer(s, ex, 409,
                     "the machine's clock is behind the highest time that this server has seen: "
                     "set it right, or wait until it gets there",
                     date);
        return;
    }
    service_event_text(&text, clock_now(s->parts.clock), "TrentClockConfirmed",
                       (struct bytes){ NULL, 0 }, BYTES_LIT("{}"));
    struct bytes event = buf_bytes(&text);
    if (!buf_ok(&text) || audit_append(s->parts.audit, &event, 1, true, true, &err) != KMS_OK) {
        clock_doubt(s->parts.clock);
        clock_answer(s, ex, 503, "the audit cannot be written", date);
        return;
    }
    log_info("the time was confirmed by an operator");
    jobs_wake(s->parts.jobs);
    clock_answer(s, ex, 200, NULL, date);
}

/* --- which one -------------------------------------------------------------------------------- */

static const struct endpoint {
    const char      *path;
    enum http_method method;
    bool             dev_only;
    bool             local_only;
    void (*run)(struct server *s, struct exchange *ex, const char date[29]);
} endpoints[] = {
    { "/_trent/health", HTTP_GET, false, false, health },
    { "/_trent/ready", HTTP_GET, false, false, readiness },
    { "/_trent/metrics", HTTP_GET, false, false, metrics },
    { "/_trent/status", HTTP_GET, false, true, status },
    { "/_trent/clock/confirm", HTTP_POST, false, true, clock_confirmed },
};

bool endpoint_run(struct server *s, struct exchange *ex, const char date[29])
{
    if (!bytes_starts(ex->in.path, BYTES_LIT("/_trent/")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const struct endpoint *e = &endpoints[i];
        bool hidden = (e->dev_only && !s->parts.config->dev) || (e->local_only && !ex->local);
        if (hidden || !bytes_eq_str(ex->in.path, e->path))
            continue;
        if (ex->in.method == e->method) {
            e->run(s, ex, date);
            return true;
        }
        ex->close = true;
        http_refusal_add(ex->out, 405, date);
        return true;
    }
    ex->close = true;
    http_refusal_add(ex->out, 404, date);
    return true;
}
