/* main.c - trentd: the order in which the server comes up, and how it goes down.
 *
 * Every refusal at start is one line that says what, where and how to mend it; the exit code
 * follows sysexits(3). Nothing listens before everything that a crash left undone is finished and
 * everything that fell due while the server was down is done.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "attestation/attestation.h"
#include "authz/authz.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/limits.h"
#include "crypto/crypto.h"
#include "harden.h"
#include "instance/instance.h"
#include "jwt/providers.h"
#include "request.h"
#include "seed/seeder.h"
#include "store/sqlite/sqlite.h"
#include "webhook/webhook.h"

/* Everything that runs, in the order of starting; taken down in the opposite order. */
struct daemon {
    struct config             config;
    struct instance_paths     paths;
    int                       lock;
    struct clock             *clock;
    struct epoch             *epoch;
    struct directory         *directory;
    struct identity_book     *identities;
    struct vault             *vault;
    struct store             *store;
    struct audit             *audit;
    struct committer         *committer;
    struct jobs              *jobs;
    struct pool              *pool;
    struct throttle          *throttle;
    struct listener          *listener;
    struct server            *server;
    struct attestation_roots *attestation_roots; /* NULL: none configured */
    struct oidc_providers    *oidc;              /* likewise */
    struct webhook           *webhook;           /* likewise */
    struct seeder            *seeder;            /* NULL: not in development mode */
    struct expiring          *expiring;          /* NULL: the metrics name no keys */
    bool                      recovered; /* the database was found good, and may be written to */
    bool                      clock_certain; /* when it was last looked at */
};

static int refuse(int code, const struct kms_error *err)
{
    (void)fprintf(stderr, "trentd: %s\n", err->detail[0] != '\0' ? err->detail : err->message);
    return code;
}

/* A file did not keep what was written. Nothing after that can be trusted, so the process ends here
 * and now, before another answer leaves (trust-model, rule 6): no request is finished, no last
 * checkpoint written. The next start reads the files again and finishes what is undone. */
static void disk_failed(void *ctx, const char *what)
{
    (void)ctx;
    log_error(
        "%s; what the disk holds is unknown, so the server ends: check the disk, then start it "
        "again",
        what);
    _exit(EX_IOERR);
}

/* --- starting --------------------------------------------------------------------------------- */

/* Development mode makes its data directory, with the access key test/test. */
static enum kms_status create_if_missing(struct daemon *d, struct kms_error *reterr)
{
    if (file_exists(d->paths.database))
        return KMS_OK;
    struct instance_config config = {
        .data_dir = d->config.data,
        .root_key_file = d->config.root_key_file[0] != '\0' ? d->config.root_key_file : NULL,
        .account = "000000000000",
        .access_key_id = "test",
        .secret_access_key = "test",
        .development = true,
        .audit_reserve_bytes = (uint64_t)d->config.audit_reserve_mib << 20,
    };
    struct instance_result result;

    TRY(instance_create(&config, &result, reterr));
    instance_result_wipe(&result);
    return KMS_OK;
}

static enum kms_status open_vault(struct daemon *d, const struct store_meta *meta,
                                  struct kms_error *reterr)
{
    const struct config      *c = &d->config;
    const struct vault_config config = {
        .data_dir = c->data,
        .root_key_file = d->paths.root_key,
        .allow_grade_c = c->dev || c->allow_erase_grade_c,
        .development = c->dev,
        .ready_keys = { (unsigned)c->ready_keys_2048, (unsigned)c->ready_keys_3072,
                        (unsigned)c->ready_keys_4096 },
        .ready_per_minute = (unsigned)c->ready_keys_per_minute,
        .cache_idle_s = (unsigned)c->cache_idle_s,
        .alarm = { disk_failed, NULL },
        .clock = d->clock,
        .epoch = d->epoch,
    };

    TRY(vault_open(&config, meta->slot_generation, &d->vault, reterr));
    if (!bytes_eq(bytes_of(vault_instance_id(d->vault), sizeof meta->instance_id),
                  bytes_of(meta->instance_id, sizeof meta->instance_id)))
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "%s belongs to another instance than %s: bring together the files of one backup",
            d->paths.database, d->paths.instance);
    return KMS_OK;
}

static enum kms_status open_audit(struct daemon *d, struct audit_head *ret_head,
                                  struct kms_error *reterr)
{
    struct audit_config config = {
        .dir = d->paths.audit,
        .node = vault_instance_id(d->vault),
        .sync_always = d->config.audit_sync == AUDIT_SYNC_ALWAYS,
        .reserve_bytes = (uint64_t)d->config.audit_reserve_mib << 20,
        .clock = d->clock,
        .sign = vault_audit_sign,
        .sign_ctx = d->vault,
        .alarm = { disk_failed, NULL },
    };

    vault_audit_public_key(d->vault, config.public_key);
    return audit_open(&config, &d->audit, ret_head, reterr);
}

/* The database knows the slot files that it was used with, the audit log all that there ever were:
 * both files from an old backup would bring deleted material back. */
static enum kms_status check_slots(struct daemon *d, struct kms_error *reterr)
{
    static const char *const names[] = { "erasable.slots", "durable.slots" };
    struct audit_head        head;
    struct vault_status      v;

    TRY(audit_peek(d->paths.audit, &head, reterr));
    vault_status(d->vault, &v);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (v.generation[i] < head.slot_generation[i])
            return KMS_FAIL(reterr, KMS_E_INTERNAL,
                            "slot file '%s/%s' is an old copy: generation %llu, the audit log has "
                            "seen %llu; put "
                            "the newest one back",
                            d->paths.data, names[i], (unsigned long long)v.generation[i],
                            (unsigned long long)head.slot_generation[i]);
    }
    return KMS_OK;
}

static void note_clock(struct daemon *d)
{
    struct kms_error err;

    if (instance_clock_note(&d->paths, d->clock, &err) != KMS_OK)
        log_warning("the machine's clock was not noted for the next start: %s", err.detail);
}

/* The data directory: lock, vault, database, audit. */
static enum kms_status open_data(struct daemon *d, struct audit_head *ret_head,
                                 struct kms_error *reterr)
{
    struct store_meta meta;

    TRY(instance_paths(d->config.data,
                       d->config.root_key_file[0] != '\0' ? d->config.root_key_file : NULL,
                       &d->paths, reterr));
    if (!d->config.dev && !file_exists(d->paths.database))
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "there is no database '%s': make a data directory with 'trent init --data %s'",
            d->paths.database, d->paths.data);
    TRY(instance_make_directory(&d->paths, reterr));
    TRY(instance_lock(&d->paths, &d->lock, reterr));
    TRY(create_if_missing(d, reterr));
    TRY(store_sqlite_peek(d->paths.database, &meta, reterr));

    d->clock = clock_new(meta.clock_floor);
    d->epoch = epoch_new();
    uint64_t seed = 0;
    crypto_random((uint8_t *)&seed, sizeof seed);
    const struct identity_compilers documents = { authz_identity_compiler, authz_trust_compiler };
    if (d->epoch != NULL) {
        d->directory = directory_new(d->epoch, seed);
        d->identities = identity_book_new(d->epoch, seed, &documents);
    }
    if (d->clock == NULL || d->directory == NULL || d->identities == NULL ||
        !directory_use_rights(d->directory, seed, authz_rights_compiler))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");

    TRY(open_vault(d, &meta, reterr));
    TRY(check_slots(d, reterr));
    TRY(store_sqlite_open(d->paths.database, vault_instance_id(d->vault), vault_row_mac, d->vault,
                          &d->store, reterr));
    d->store->alarm = (struct file_alarm){ disk_failed, NULL };
    TRY(open_audit(d, ret_head, reterr));
    clock_raise_floor(d->clock, ret_head->time);
    int64_t ahead = clock_now(d->clock) - clock_wall_ms();
    if (d->config.dev && ahead > 0) /* moved in an earlier run: it goes on from there */
        (void)clock_advance(d->clock, ahead);
    if (!d->config.dev) /* there it is moved at will */
        instance_clock_check(&d->paths, d->clock,
                             meta.clock_floor > ret_head->time ? meta.clock_floor : ret_head->time);
    d->clock_certain = clock_certain(d->clock);
    note_clock(d); /* from now on: a kill may come at any time */
    if (ret_head->dropped > 0)
        log_warning(
            "audit: %llu bytes of an unfinished record were cut off; no answer had left for it",
            (unsigned long long)ret_head->dropped);
    return KMS_OK;
}

static void report_recovery(const struct commit_recovery *r)
{
    if (r->lost_materials + r->erased + r->orphans + r->outbox > 0)
        log_warning(
            "recovered: %zu erasures finished, %zu orphaned slots erased, %zu materials without "
            "shred key, %zu audit records brought up",
            r->erased, r->orphans, r->lost_materials, r->outbox);
}

static enum kms_status read_attestation_root(struct daemon *d, struct kms_error *reterr)
{
    struct kms_error err;

    if (d->config.attestation_root[0] == '\0')
        return KMS_OK;
    if (attestation_roots_read(d->config.attestation_root, &d->attestation_roots, &err) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "attestation-root: %s", err.detail);
    return KMS_OK;
}

static void note_oidc(void *ctx, bool warning, const char *line)
{
    (void)ctx;
    if (warning)
        log_warning("%s", line);
    else
        log_info("%s", line);
}

static enum kms_status read_oidc_providers(struct daemon *d, struct kms_error *reterr)
{
    const struct oidc_config config = { .path = d->config.oidc_providers,
                                        .dev = d->config.dev,
                                        .note = note_oidc };
    struct kms_error         err;

    if (config.path[0] == '\0')
        return KMS_OK;
    if (oidc_open(&config, &d->oidc, &err) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "oidc-providers: %s", err.detail);
    return KMS_OK;
}

static enum kms_status open_webhook(struct daemon *d, struct kms_error *reterr)
{
    const struct config        *c = &d->config;
    const struct webhook_config config = {
        .url = c->webhook_url,
        .secret_file = c->webhook_secret_file,
        .ca_file = c->webhook_ca_file[0] != '\0' ? c->webhook_ca_file : NULL,
        .dev = c->dev,
    };

    return c->webhook_url[0] == '\0' ? KMS_OK : webhook_new(&config, &d->webhook, reterr);
}

static enum kms_status start_webhook(struct daemon *d, size_t waiting, struct kms_error *reterr)
{
    if (d->webhook != NULL)
        return webhook_start(d->webhook, d->committer, d->clock, waiting, reterr);
    if (waiting > 0)
        log_warning("%zu events wait for the webhook, and there is none any more: they stay in the "
                    "database until webhook-url and webhook-secret-file are set again",
                    waiting);
    return KMS_OK;
}

/* Nothing was erased by a time that may be wrong. */
static void report_put_off(struct daemon *d)
{
    struct jobs_counts counts;

    jobs_counts(d->jobs, &counts);
    if (counts.put_off > 0)
        log_warning(
            "the machine's clock may have been set forward while the server was stopped: %llu "
            "keys or tokens that are due are refused, and erased in ten minutes, or at once "
            "after 'trent clock confirm'",
            (unsigned long long)counts.put_off);
}

/* What takes long leaves a core to what is quick, if there is more than one. */
static unsigned long_threads(const struct config *c)
{
    enum { MANY = 33 }; /* more cores than that are not all wanted for private keys */
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (c->long_threads != 0)
        return (unsigned)c->long_threads;
    return cores <= 2 ? 1 : (unsigned)(cores < MANY ? cores : MANY) - 1;
}

/* What a crash left undone, then what fell due meanwhile. */
static enum kms_status start_work(struct daemon *d, const struct audit_head *head,
                                  struct kms_error *reterr)
{
    const int64_t     rotation_delay = d->config.rotation_delay_s * 1000;
    struct jobs_parts jobs = { .directory = d->directory,
                               .identities = d->identities,
                               .vault = d->vault,
                               .epoch = d->epoch,
                               .clock = d->clock,
                               .rotation_delay = rotation_delay,
                               .usage_flush = d->config.usage_flush_s * 1000 };
    jobs.warnings.n = config_warning_days(&d->config, jobs.warnings.days);
    struct committer_parts parts = { .store = d->store,
                                     .audit = d->audit,
                                     .vault = d->vault,
                                     .directory = d->directory,
                                     .identities = d->identities,
                                     .epoch = d->epoch,
                                     .clock = d->clock,
                                     .cached_keys = (size_t)d->config.cached_keys };
    struct commit_recovery recovery;
    size_t                 done = 0;

    if (config_metrics_keys(&d->config))
        jobs.expiring = d->expiring = expiring_new();
    if ((d->jobs = jobs_new(&jobs)) == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    parts.changed = jobs_key_changed;
    parts.import_key_added = jobs_import_key_added;
    parts.session_added = jobs_session_added;
    parts.changed_ctx = d->jobs;
    parts.deliveries_added = d->webhook != NULL ? webhook_added : NULL;
    parts.deliveries_cleared = d->webhook != NULL ? webhook_cleared : NULL;
    parts.deliveries_ctx = d->webhook;
    if ((d->committer = committer_new(&parts)) == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    jobs_set_committer(d->jobs, d->committer);

    TRY(commit_recover(d->committer, head, &recovery, reterr));
    d->recovered = true;
    report_recovery(&recovery);
    TRY(committer_start(d->committer, reterr));
    jobs_load(d->jobs);
    TRY(jobs_run_due(d->jobs, &done, reterr));
    if (done > 0)
        log_info("jobs: %zu expiries, deletions or rotations were due", done);
    report_put_off(d);
    TRY(start_webhook(d, recovery.deliveries, reterr));
    TRY(jobs_start(d->jobs, reterr));
    TRY(vault_start(d->vault, reterr));
    if (d->oidc != NULL)
        TRY(oidc_start(d->oidc, reterr));
    return pool_new((unsigned)d->config.pool_threads, long_threads(&d->config),
                    crypto_thread_cleanup, &d->pool, reterr);
}

static bool serves(const void *config, struct bytes region)
{
    return region_valid(region) && config_region(config, region);
}

/* What a development server begins with. */
static enum kms_status put_seed(struct daemon *d, struct kms_error *reterr)
{
    const struct seeder_parts parts = {
        .file = d->config.seed[0] != '\0' ? d->config.seed : NULL,
        .committer = d->committer,
        .identities = d->identities,
        .directory = d->directory,
        .vault = d->vault,
        .clock = d->clock,
        .serves = serves,
        .serves_ctx = &d->config,
    };
    size_t rows = 0;
    bool   exposed = false;

    if (!d->config.dev)
        return KMS_OK;
    if ((d->seeder = seeder_new(&parts)) == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    if (parts.file == NULL)
        return KMS_OK;
    TRY(seeder_apply(d->seeder, &rows, &exposed, reterr));
    if (rows > 0)
        log_info("seed: %zu records of '%s' were made", rows, parts.file);
    if (exposed)
        log_warning("others may read '%s', and the keys in it: chmod 0600 it", parts.file);
    return KMS_OK;
}

static struct throttle *make_throttle(const struct config *c)
{
    const struct throttle_rates rates = {
        .principal = config_rate(c, c->rate_principal, LIMIT_RATE_PRINCIPAL),
        .account = config_rate(c, c->rate_account, LIMIT_RATE_ACCOUNT),
        .failures = config_rate(c, c->rate_failures, LIMIT_RATE_FAILURES),
    };
    uint64_t seed;

    crypto_random((uint8_t *)&seed, sizeof seed);
    return throttle_new(&rates, seed);
}

static enum kms_status start_listening(struct daemon *d, struct kms_error *reterr)
{
    const struct config *c = &d->config;

    d->throttle = make_throttle(c);
    if (d->throttle == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    const struct server_parts parts = {
        .config = c,
        .clock = d->clock,
        .epoch = d->epoch,
        .directory = d->directory,
        .identities = d->identities,
        .vault = d->vault,
        .store = d->store,
        .audit = d->audit,
        .committer = d->committer,
        .jobs = d->jobs,
        .pool = d->pool,
        .throttle = d->throttle,
        .attestation_roots = d->attestation_roots,
        .oidc = d->oidc,
        .webhook = d->webhook,
        .seeder = d->seeder,
        .expiring = d->expiring,
    };
    unsigned loops = c->loops != 0 ? (unsigned)c->loops : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

    TRY(server_new(&parts, loops, &d->server, reterr));
    const struct listener_config config = {
        .address = c->listen,
        .local_path = d->paths.socket,
        .loops = loops,
        .tls_cert = c->tls_cert[0] != '\0' ? c->tls_cert : NULL,
        .tls_key = c->tls_key[0] != '\0' ? c->tls_key : NULL,
        .max_connections = (unsigned)c->max_connections,
        .max_per_address = (unsigned)c->max_per_address,
        .max_unauthenticated = (unsigned)c->max_unauthenticated,
        .hooks = server_hooks(d->server),
    };
    TRY(listener_open(&config, &d->listener, reterr));
    server_set_listener(d->server, d->listener);
    TRY(listener_start(d->listener, reterr));
    server_set_ready(d->server, true);
    return KMS_OK;
}

/* --- running and stopping --------------------------------------------------------------------- */

static void report_ready(struct daemon *d)
{
    struct vault_status v;

    vault_status(d->vault, &v);
    if (v.root_on_data_filesystem && !d->config.dev)
        log_warning(
            "the root key '%s' is on the file system of the data directory: one stolen disk has "
            "both",
            d->paths.root_key);
    if (v.memory == SECRET_UNLOCKED)
        log_warning("memory for keys is not locked: keys may reach swap");
    if (v.grade == ERASE_GRADE_C)
        log_warning(
            "erase grade C (%s): deleted material is unusable, but copies may survive below the "
            "file system",
            v.grade_reason);
    (void)printf("trentd: ready on %s\n", listener_url(d->listener));
    (void)fflush(stdout);
}

/* Once a minute: has the machine's clock jumped? */
static void look_at_clock(struct daemon *d)
{
    bool certain = clock_certain(d->clock);

    if (certain != d->clock_certain && !certain)
        log_warning(
            "the machine's clock has been set, or is behind the highest time seen: what is due "
            "by the new time is refused, but erased only when the time is certain again; "
            "'trent clock confirm' says that it is right");
    else if (certain != d->clock_certain)
        log_info("the time is certain again");
    d->clock_certain = certain;
    note_clock(d);
}

static void reload_oidc(struct daemon *d, struct kms_error *err)
{
    if (d->oidc == NULL)
        return;
    if (oidc_reload(d->oidc, err) == KMS_OK)
        log_info("SIGHUP: OIDC providers read again");
    else
        log_error("SIGHUP: the old OIDC providers stay in use: %s", err->detail);
}

static void reload_webhook(struct daemon *d, struct kms_error *err)
{
    if (d->webhook == NULL)
        return;
    if (webhook_reload(d->webhook, err) == KMS_OK)
        log_info("SIGHUP: secret of the webhook read again, what waits is sent now");
    else
        log_error("SIGHUP: the old secret of the webhook stays in use: %s", err->detail);
}

/* SIGHUP: what is read from files beside the data directory is read again. */
static void reload(struct daemon *d)
{
    struct kms_error err;

    if (listener_reload(d->listener, &err) == KMS_OK)
        log_info("SIGHUP: certificate read again");
    else
        log_error("SIGHUP: the old certificate stays in use: %s", err.detail);
    reload_oidc(d, &err);
    reload_webhook(d, &err);
}

/* SIGTERM and SIGINT end. */
static void wait_for_end(struct daemon *d, const sigset_t *signals)
{
    const struct timespec minute = { .tv_sec = 60 };

    for (;;) {
        look_at_clock(d);
        int sig = sigtimedwait(signals, NULL, &minute);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGHUP)
            reload(d);
    }
}

static void stop(struct daemon *d)
{
    if (d->server != NULL)
        server_set_ready(d->server, false);
    if (d->listener != NULL)
        listener_stop(d->listener, LIMIT_DRAIN_MS);
    jobs_stop(d->jobs);
    oidc_stop(d->oidc);
    webhook_stop(d->webhook);
    vault_stop(d->vault); /* a key that becomes ready must not call into a stopped pool */
    pool_stop(d->pool);
    committer_stop(d->committer);
    if (d->audit != NULL)
        audit_forget_waiters(d->audit); /* those of requests that nobody will answer any more */
    listener_free(d->listener);
    server_free(d->server);
    throttle_free(d->throttle);
    if (d->recovered) {
        struct kms_error err;
        if (d->store->ops->set_clock_floor(d->store, clock_now(d->clock), &err) != KMS_OK)
            log_warning("the highest time seen was not stored: %s", err.detail);
        note_clock(d);
    }
    audit_close(d->audit);
    store_close(d->store);
    committer_free(d->committer);
    seeder_free(d->seeder);
    jobs_free(d->jobs);
    expiring_free(d->expiring);
    vault_close(d->vault);
    directory_free(d->directory);
    identity_book_free(d->identities);
    epoch_free(d->epoch);
    clock_free(d->clock);
    attestation_roots_free(d->attestation_roots);
    oidc_free(d->oidc);
    webhook_free(d->webhook);
    closep(&d->lock);
    config_free(&d->config);
    crypto_cleanup();
}

/* --- the command line ------------------------------------------------------------------------- */

static int print_and_exit(const struct config *config, enum config_action action)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(256 * 1024);

    if (action == CONFIG_HELP)
        config_help(&text);
    else if (action == CONFIG_PRINT)
        config_print(config, &text);
    else if (action == CONFIG_VERSION)
        buf_add_str(&text, "trentd " TRENT_VERSION "\n");
    else
        buf_add_str(&text, "trentd: the configuration is good\n");
    (void)fwrite(text.ptr, 1, text.len, stdout);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* Secrets may have come by the environment (credentials of a root provider): gone before anything
 * else runs. Test hooks of a test build stay. */
static void wipe_environment(void)
{
#ifndef KMS_CRASH_POINTS
    extern char **environ;

    for (char **e = environ; e != NULL && *e != NULL; e++)
        explicit_bzero(*e, strlen(*e));
    (void)clearenv();
#endif
}

static int run(struct daemon *d, const sigset_t *signals)
{
    struct kms_error  err;
    struct audit_head head;

    if (secret_memory_init(d->config.dev || d->config.allow_unlocked_memory, &err) != KMS_OK)
        return refuse(EX_OSERR, &err);
    if (crypto_init(&err) != KMS_OK)
        return refuse(EX_SOFTWARE, &err);
    if (read_attestation_root(d, &err) != KMS_OK)
        return refuse(EX_CONFIG, &err);
    if (read_oidc_providers(d, &err) != KMS_OK)
        return refuse(EX_CONFIG, &err);
    if (open_webhook(d, &err) != KMS_OK)
        return refuse(EX_CONFIG, &err);
    if (open_data(d, &head, &err) != KMS_OK)
        return refuse(EX_DATAERR, &err);
    if (start_work(d, &head, &err) != KMS_OK)
        return refuse(EX_DATAERR, &err);
    if (put_seed(d, &err) != KMS_OK)
        return refuse(EX_DATAERR, &err);
    if (start_listening(d, &err) != KMS_OK)
        return refuse(EX_UNAVAILABLE, &err);
    report_ready(d);
    wait_for_end(d, signals);
    return EX_OK;
}

int main(int argc, char **argv)
{
    CLEANUP(freep) struct daemon *d = calloc(1, sizeof *d);
    enum config_action            action;
    struct kms_error              err;
    sigset_t                      signals;

    if (d == NULL)
        return EX_OSERR;
    d->lock = -1;
    if (config_load(argc, (const char *const *)argv, &d->config, &action, &err) != KMS_OK) {
        config_free(&d->config);
        return refuse(EX_CONFIG, &err);
    }
    if (action != CONFIG_RUN) {
        int code = print_and_exit(&d->config, action);
        config_free(&d->config);
        return code;
    }
    log_set_level((enum log_level)d->config.log_level);
    if (harden_process(&err) != KMS_OK)
        return refuse(EX_OSERR, &err);
    wipe_environment();
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals,
                          NULL); /* every thread inherits it; sigwait takes them */

    int code = run(d, &signals);
    stop(d);
    return code;
}
