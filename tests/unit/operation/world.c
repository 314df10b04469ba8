#include "world.h"

#include <dirent.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "key/grants.h"
#include "key/resolve.h"
#include "store/sqlite/sqlite.h"

static void check(enum kms_status status, const struct kms_error *err)
{
    if (status != KMS_OK)
        fail_msg("%s: %s %s at %s", kms_status_wire(status), err->message, err->detail, err->site);
}

int world_start(void **state)
{
    struct kms_error err;

    (void)state;
    check(crypto_init(&err), &err);
    return 0;
}

int world_stop(void **state)
{
    (void)state;
    crypto_cleanup();
    return 0;
}

/* --- what commit/ does with the store and the directory --------------------------------------- */

static enum kms_status load_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    struct world *w = ctx;

    (void)reterr;
    directory_put_key(w->directory, key);
    return KMS_OK;
}

static enum kms_status load_alias(void *ctx, struct alias_record *alias, struct kms_error *reterr)
{
    struct world *w = ctx;

    (void)reterr;
    directory_put_alias(w->directory, alias);
    return KMS_OK;
}

static enum kms_status load_domain(void *ctx, struct domain_key_record *d, struct kms_error *reterr)
{
    struct world   *w = ctx;
    enum kms_status status = vault_add_domain(w->vault, d, reterr);

    free(d);
    return status;
}

static void publish(struct world *w, struct row *row)
{
    switch (row->kind) {
    case ROW_KEY_INSERT:
    case ROW_KEY_UPDATE:   directory_put_key(w->directory, TAKE(row->key)); break;
    case ROW_ALIAS_INSERT:
    case ROW_ALIAS_UPDATE: directory_put_alias(w->directory, TAKE(row->alias)); break;
    case ROW_ALIAS_DELETE:
        directory_remove_alias(w->directory, row->alias->name.account, row->alias->name.region,
                               row->alias->name.name);
        break;
    case ROW_GRANT_INSERT: {
        struct grant_record *g = TAKE(row->grant);
        grants_put(directory_grants(w->directory), &g, 1);
        break;
    }
    case ROW_GRANT_DELETE:
        grants_remove(directory_grants(w->directory), bytes_str(row->grant_id));
        break;
    case ROW_CLEAR:         break; /* no operation asks for it */
    case ROW_DOMAIN_INSERT: {
        struct kms_error err;
        check(vault_add_domain(w->vault, row->domain, &err), &err);
        break;
    }
    case ROW_KEY_DELETE:
    case ROW_IMPORT_KEY_INSERT:
    case ROW_IMPORT_KEY_DELETE:
    case ROW_ACCOUNT_INSERT:
    case ROW_ACCOUNT_UPDATE:
    case ROW_IDENTITY_INSERT:
    case ROW_IDENTITY_UPDATE:
    case ROW_IDENTITY_DELETE:
    case ROW_ACCESS_KEY_INSERT:
    case ROW_ACCESS_KEY_UPDATE:
    case ROW_ACCESS_KEY_DELETE:
    case ROW_TOMBSTONE_INSERT:
    case ROW_DELIVERY_DELETE:
    case ROW_TOMBSTONE_ERASED:  fail_msg("no operation under test makes rows of kind %d", row->kind);
    }
}

enum kms_status run_commit(struct world *w, struct run *r)
{
    struct change     *changes[] = { &r->change };
    enum kms_status    result = KMS_E_INTERNAL;
    struct store_batch batch = { .changes = changes, .results = &result, .n = 1 };

    if (r->change.n_rows == 0)
        return KMS_OK;
    check(w->store->ops->apply(w->store, &batch, &r->err), &r->err);
    if (result == KMS_OK) {
        for (size_t i = 0; i < r->change.n_rows; i++)
            publish(w, &r->change.rows[i]);
        op_spares_forget(&r->call);
        epoch_barrier(w->epoch);
        directory_reclaim(w->directory);
    }
    op_spares_give_back(&r->call);
    return result;
}

/* --- what request.c does ---------------------------------------------------------------------- */

static enum kms_status find_key(struct world *w, struct run *r)
{
    struct op_call     *call = &r->call;
    bool                target = call->op->key == OP_KEY_TARGET;
    struct bytes        named = target ? call->in.target_key_id : call->in.key_id;
    struct resolve_from from = {
        .directory = w->directory,
        .account = call->account,
        .region = call->region,
        .now = call->now,
        .aliases = call->op->key == OP_KEY_ANY,
    };

    if ((call->op->flags & OP_ALIAS_NAME) != 0)
        call->alias = directory_alias(w->directory, call->account, call->region,
                                      call->in.alias_name);
    if (call->op->key == OP_KEY_NONE || (call->op->key == OP_KEY_OPTIONAL && named.ptr == NULL))
        return KMS_OK;
    TRY(resolve_key(&from, named, &call->key, &r->err));
    return key_state_check(call->key, key_state_at(call->key, call->now), call->op->states,
                           &r->err);
}

static enum kms_status run_steps(struct world *w, struct run *r)
{
    const struct operation *op = r->call.op;

    TRY(operation_read(op, r->body.root, &r->call.in, &r->err));
    if (op->prepare != NULL)
        TRY(op->prepare(&r->call, &r->err));
    TRY(find_key(w, r));
    if (op->resolve != NULL)
        TRY(op->resolve(&r->call, &r->err));
    if (op->begin != NULL)
        TRY(op->begin(&r->call, &r->err));
    json_writer_init(&r->writer, &r->answer);
    if ((op->flags & OP_EMPTY_ANSWER) == 0)
        json_open_object(&r->writer, NULL);
    TRY(op->finish(&r->call, &r->err));
    if ((op->flags & OP_EMPTY_ANSWER) == 0)
        json_close_object(&r->writer);
    assert_true(buf_ok(&r->answer));
    assert_int_equal(r->writer.depth, 0);
    if ((op->flags & OP_EMPTY_ANSWER) != 0)
        assert_int_equal(r->answer.len, 0);
    if ((op->flags & OP_CHANGES) == 0)
        assert_int_equal(r->change.n_rows, 0);
    return KMS_OK;
}

enum kms_status run_start(struct world *w, struct run *r, const char *operation, const char *body)
{
    *r = (struct run){ .change = { .event = BUF_INIT(1024) } };
    body_init(&r->body);
    body_str(&r->body, body);
    buf_init(&r->scratch, 64 * 1024);
    buf_init(&r->answer, 256 * 1024);
    kms_error_clear(&r->err);
    r->call = (struct op_call){
        .env = &w->env,
        .op = row_of(operation),
        .now = clock_now(w->clock),
        .account = bytes_str(w->account),
        .caller_arn = BYTES_LIT("arn:aws:iam::111122223333:root"),
        .region = bytes_str(w->region),
        .request_id = "0b7e4ccf-0000-4000-8000-000000000000",
        .scratch = &r->scratch,
        .answer = &r->writer,
        .change = &r->change,
    };
    assert_non_null(r->call.op->shape);
    epoch_enter(w->epoch, w->reader);
    enum kms_status status = run_steps(w, r);
    epoch_leave(w->epoch, w->reader);
    if (status != KMS_OK)
        assert_int_equal(r->err.status, status);
    if (status != KMS_OK)
        op_spares_give_back(&r->call);
    return status;
}

void run_release(struct run *r)
{
    op_spares_forget(&r->call);
    change_release(&r->change);
    body_release(&r->body);
    buf_release(&r->scratch);
    buf_release(&r->answer);
}

enum kms_status world_call(struct world *w, const char *operation, const char *body)
{
    struct run      r;
    enum kms_status status = run_start(w, &r, operation, body);

    if (status == KMS_OK)
        status = run_commit(w, &r);
    buf_reset(&w->answer);
    buf_add(&w->answer, buf_bytes(&r.answer));
    buf_add_byte(&w->answer, 0);
    w->err = r.err;
    run_release(&r);
    return status == KMS_E_CHANGED ? world_call(w, operation, body) : status;
}

enum kms_status world_callf(struct world *w, const char *operation, const char *fmt, ...)
{
    char   *body = NULL;
    va_list args;

    va_start(args, fmt);
    assert_true(vasprintf(&body, fmt, args) >= 0);
    va_end(args);
    enum kms_status status = world_call(w, operation, body);
    free(body);
    return status;
}

const char *world_ok(struct world *w, const char *operation, const char *fmt, ...)
{
    char   *body = NULL;
    va_list args;

    va_start(args, fmt);
    assert_true(vasprintf(&body, fmt, args) >= 0);
    va_end(args);
    enum kms_status status = world_call(w, operation, body);
    if (status != KMS_OK)
        fail_msg("%s %s: %s '%s' '%s'", operation, body, kms_status_wire(status), w->err.message,
                 w->err.detail);
    free(body);
    return (const char *)w->answer.ptr;
}

void world_refused(struct world *w, const char *operation, const char *body, enum kms_status status,
                   const char *message)
{
    assert_int_equal(world_call(w, operation, body), status);
    assert_string_equal(w->err.message, message);
}

/* --- looking at what came out ----------------------------------------------------------------- */

const char *world_text(struct world *w, const char *name)
{
    static char text[2048];
    char       *label = textf("\"%s\":\"", name);
    const char *at = strstr((const char *)w->answer.ptr, label);

    if (at == NULL)
        fail_msg("no %s in %s", name, (const char *)w->answer.ptr);
    at += strlen(label);
    free(label);
    (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(at, "\""), at);
    return text;
}

void world_key(struct world *w, const char *members, char ret_id[KEY_ID_MAX + 1])
{
    (void)world_ok(w, "CreateKey", "{%s}", members);
    (void)snprintf(ret_id, KEY_ID_MAX + 1, "%s", world_text(w, "KeyId"));
}

const struct key_record *world_record(struct world *w, const char *id)
{
    const struct key_record *key = directory_key(w->directory, bytes_str(w->account),
                                                 bytes_str(w->region), bytes_str(id));

    assert_non_null(key);
    return key;
}

/* --- from nothing to an open server, and back ------------------------------------------------- */

static struct vault_config vault_config_of(const struct world *w, const char *root_key)
{
    return (struct vault_config){
        .data_dir = w->dir,
        .root_key_file = root_key,
        .allow_grade_c = true,
        .development = true,
        .cache_idle_s = 60,
        .clock = w->clock,
        .epoch = w->epoch,
    };
}

static void open_parts(struct world *w)
{
    struct kms_error     err;
    char                *root_key = textf("%s/root.key", w->dir);
    char                *database = textf("%s/test.db", w->dir);
    struct vault_config  config = vault_config_of(w, root_key);
    struct store_visitor visitor = {
        .ctx = w, .key = load_key, .alias = load_alias, .domain = load_domain
    };

    check(vault_open(&config, NULL, &w->vault, &err), &err);
    check(store_sqlite_open(database, vault_instance_id(w->vault), vault_row_mac, w->vault,
                            &w->store, &err),
          &err);
    w->directory = directory_new(w->epoch, 1);
    assert_non_null(w->directory);
    check(w->store->ops->load(w->store, &visitor, &err), &err);
    const struct identity_compilers documents = { authz_identity_compiler, authz_trust_compiler };
    w->identities = identity_book_new(w->epoch, 1, &documents);
    assert_non_null(w->identities);
    w->env = (struct op_env){
        .vault = w->vault, .directory = w->directory, .identities = w->identities, .clock = w->clock
    };
    free(root_key);
    free(database);
}

static void close_parts(struct world *w)
{
    directory_free(w->directory);
    identity_book_free(w->identities);
    store_close(w->store);
    vault_close(w->vault);
}

int world_open(void **state)
{
    struct world    *w = calloc(1, sizeof *w);
    struct kms_error err;
    const char      *base = getenv("TMPDIR");

    assert_non_null(w);
    (void)snprintf(w->dir, sizeof w->dir, "%.30s/operation-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(w->dir));
    w->clock = clock_new(0);
    w->epoch = epoch_new();
    w->reader = epoch_register(w->epoch);
    w->account = ACCOUNT;
    w->region = REGION;
    buf_init(&w->answer, 256 * 1024 + 1);

    char               *root_key = textf("%s/root.key", w->dir);
    char               *database = textf("%s/test.db", w->dir);
    struct vault_config config = vault_config_of(w, root_key);

    check(vault_create(&config, &err), &err);
    check(vault_open(&config, NULL, &w->vault, &err), &err);
    check(store_sqlite_create(database, vault_instance_id(w->vault), &err), &err);
    vault_close(w->vault);
    free(root_key);
    free(database);
    open_parts(w);
    *state = w;
    return 0;
}

void world_reopen(struct world *w)
{
    close_parts(w);
    open_parts(w);
}

void world_wait(struct world *w, int64_t ms)
{
    assert_true(clock_advance(w->clock, ms));
}

int world_close(void **state)
{
    struct world *w = *state;
    DIR          *d;

    close_parts(w);
    d = opendir(w->dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char *path = textf("%s/%s", w->dir, e->d_name);
        (void)unlink(path);
        free(path);
    }
    (void)closedir(d);
    assert_int_equal(rmdir(w->dir), 0);
    clock_free(w->clock);
    epoch_free(w->epoch);
    buf_release(&w->answer);
    free(w);
    return 0;
}
