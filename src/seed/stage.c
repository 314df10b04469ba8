/* seed/stage.c - a seed as one change, made by the operations themselves in a world of their own.
 *
 * The change has to be complete before any of it is visible, but a key policy names roles of the same
 * file. So the things of the seed are made one after the other, each by the row of the operation that
 * would make it, in a book and a directory that nobody else sees, which begin as copies of what the
 * seed can meet; and their rows are collected in the one change.
 */
#include "seed/stage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "authz/authz.h"
#include "identity/principals.h"
#include "key/grants.h"
#include "key/state.h"
#include "seed/stage_internal.h"

enum { SCRATCH_MAX = 256 * 1024, ANSWER_MAX = 1024 * 1024, LISTED = 64 };

static const char first_account[] = "000000000000";

enum kms_status stage_refuse(const struct stage *st, const struct seed_item *item,
                             struct kms_error *reterr, const char *text)
{
    return seed_refuse(st->seed->file, item->line, item->path, reterr, "%s", text);
}

enum kms_status stage_blame(const struct stage *st, const struct seed_item *item,
                            struct kms_error *reterr)
{
    return seed_blame(st->seed->file, item->line, item->path, reterr);
}

void stage_leave(struct stage *st, unsigned line, const char *path, const char *text)
{
    struct seed_plan *plan = st->plan;

    if (plan->n_left++ == 0)
        (void)snprintf(plan->left, sizeof plan->left, "%s:%u: %s: %s", st->seed->file, line, path,
                       text);
}

/* --- the world -------------------------------------------------------------------------------- */

static void put_account(struct stage *st, const struct account_record *a)
{
    struct account_record *copy = malloc(sizeof *copy);

    if (copy == NULL) /* as arenas do */
        abort();
    *copy = *a;
    book_put_account(st->book, copy);
}

/* What is new in the seed comes after all that is there. */
static void order(struct stage *st, uint64_t *serial)
{
    if (*serial == 0)
        *serial = ++st->serial;
    else if (*serial > st->serial)
        st->serial = *serial;
}

static void put_identity(struct stage *st, const struct identity_record *r)
{
    struct identity_record *copy = identity_record_clone(r);

    if (copy == NULL)
        abort();
    order(st, &copy->serial);
    book_put_identity(st->book, copy);
}

static void put_access_key(struct stage *st, const struct access_key_record *k)
{
    struct access_key_record *copy = access_key_record_clone(k);

    if (copy == NULL)
        abort();
    order(st, &copy->serial);
    book_put_access_key(st->book, copy);
}

static void copy_identities(struct stage *st, struct bytes account)
{
    const struct identity_record *list[LISTED];

    for (unsigned kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        uint64_t after = 0;
        size_t   n;
        while ((n = book_list_identities(st->from->identities, account, (enum identity_kind)kind,
                                         after, list, LISTED)) > 0) {
            for (size_t i = 0; i < n; i++)
                put_identity(st, list[i]);
            after = list[n - 1]->serial;
        }
    }
}

static void copy_long_term(const struct access_key_record *k, void *ctx)
{
    if (k->session.kind == SESSION_NONE)
        put_access_key(ctx, k);
}

/* What policies, grants and access keys of the seed can meet. Keys are copied when they are met. */
static void copy_book(struct stage *st)
{
    size_t                        n = book_counts(st->from->identities).accounts;
    const struct account_record **all = calloc(n + 1, sizeof(struct account_record *));

    if (all == NULL)
        abort();
    n = book_list_accounts(st->from->identities, all, n);
    for (size_t i = 0; i < n; i++) {
        put_account(st, all[i]);
        copy_identities(st, bytes_str(all[i]->id));
    }
    free(all);
    book_each_access_key(st->from->identities, copy_long_term, st);
}

static bool serves_any(const void *ctx, struct bytes region)
{
    (void)ctx;
    return region_valid(region);
}

static enum kms_status make_world(struct stage *st, struct kms_error *reterr)
{
    const struct identity_compilers documents = { authz_identity_compiler, authz_trust_compiler };

    st->epoch = epoch_new();
    if (st->epoch != NULL) {
        st->book = identity_book_new(st->epoch, 0, &documents);
        st->directory = directory_new(st->epoch, 0);
    }
    if (st->book == NULL || st->directory == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a seed");
    st->env = (struct op_env){
        .vault = st->from->vault,
        .directory = st->directory,
        .identities = st->book,
        .serves = st->from->serves != NULL ? st->from->serves : serves_any,
        .serves_ctx = st->from->serves_ctx,
    };
    return KMS_OK;
}

static void release_world(struct stage *st)
{
    directory_free(st->directory);
    identity_book_free(st->book);
    epoch_free(st->epoch);
    buf_release(&st->scratch);
    buf_release(&st->answer);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* A later version of a record that the change has already takes its place. */
static void merge_identity(struct stage *st, struct row *row)
{
    for (size_t i = 0; i < st->plan->change.n_rows; i++) {
        struct row *known = &st->plan->change.rows[i];
        if (known->identity == NULL ||
            !bytes_eq(known->identity->unique_id, row->identity->unique_id))
            continue;
        row->identity->version = known->identity->version;
        identity_record_free(known->identity);
        known->identity = TAKE(row->identity);
        return;
    }
    change_add(&st->plan->change, row->kind)->identity = TAKE(row->identity);
}

static void take_alias(struct stage *st, struct row *row)
{
    const struct alias_record *a = row->alias;
    struct alias_record *copy = alias_record_new(a->name.account, a->name.region, a->name.name);

    if (copy == NULL)
        abort();
    memcpy(copy->key_id, a->key_id, sizeof copy->key_id);
    copy->serial = ++st->serial;
    directory_put_alias(st->directory, copy);
    change_add(&st->plan->change, row->kind)->alias = TAKE(row->alias);
}

/* The rows of one operation: into the world, and into the change. What only keeps another request out
 * (a new version of an account or of a key) is not needed: there is none. */
static void take_rows(struct stage *st, struct change *change)
{
    for (size_t i = 0; i < change->n_rows; i++) {
        struct row *row = &change->rows[i];
        if (row->identity != NULL) {
            put_identity(st, row->identity);
            merge_identity(st, row);
        } else if (row->kind == ROW_ALIAS_INSERT) {
            take_alias(st, row);
        } else if (row->kind == ROW_GRANT_INSERT) {
            change_add(&st->plan->change, row->kind)->grant = TAKE(row->grant);
        }
    }
    change_release(change);
}

/* --- calls ------------------------------------------------------------------------------------ */

struct op_call stage_call(struct stage *st, const struct seed_item *item)
{
    struct op_call call = seed_call_of(item);

    buf_reset(&st->scratch);
    buf_reset(&st->answer);
    json_writer_init(&st->writer, &st->answer);
    xml_writer_init(&st->xml, &st->answer);
    call.env = &st->env;
    call.now = st->now;
    call.request_id = "";
    call.scratch = &st->scratch;
    call.answer = &st->writer;
    call.xml = &st->xml;
    return call;
}

/* Resolve, begin and finish of the row, as request.c runs them. */
static enum kms_status run_row(struct stage *st, struct op_call *call, bool finish,
                               struct kms_error *reterr)
{
    struct change   change = { .event = BUF_INIT(0) };
    enum kms_status status = KMS_OK;

    call->change = &change;
    if (call->op->resolve != NULL)
        status = call->op->resolve(call, reterr);
    if (status == KMS_OK && call->op->begin != NULL)
        status = call->op->begin(call, reterr);
    if (status == KMS_OK && finish)
        status = call->op->finish(call, reterr);
    if (status == KMS_OK && finish)
        take_rows(st, &change);
    change_release(&change);
    call->change = NULL;
    return status;
}

static enum kms_status add_account(struct stage *st, const struct account_record *a,
                                   struct kms_error *reterr)
{
    struct account_record *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an account");
    *copy = *a;
    change_add(&st->plan->change, ROW_ACCOUNT_INSERT)->account = copy;
    put_account(st, a);
    return KMS_OK;
}

/* Takes the record over, whatever comes of it. */
static enum kms_status add_access_key(struct stage *st, struct access_key_record *k,
                                      struct kms_error *reterr)
{
    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an access key");
    change_add(&st->plan->change, ROW_ACCESS_KEY_INSERT)->access_key = k;
    put_access_key(st, k);
    return KMS_OK;
}

/* --- accounts and identities ------------------------------------------------------------------ */

static enum kms_status stage_account(struct stage *st, const struct seed_item *item,
                                     struct kms_error *reterr)
{
    struct account_record        a = { .created = st->now, .version = 1 };
    const struct account_record *there = book_account(st->book, item->account);

    for (size_t i = 0; i < st->at; i++) {
        const struct seed_item *other = &st->seed->items[i];
        if (other->kind == SEED_ACCOUNT && bytes_eq(other->account, item->account))
            return stage_refuse(st, item, reterr, "the file has this account already");
    }
    if (there != NULL)
        return KMS_OK;
    (void)snprintf(a.id, sizeof a.id, "%.*s", BYTES_FMT(item->account));
    (void)snprintf(a.name, sizeof a.name, "%.*s", BYTES_FMT(item->name));
    return add_account(st, &a, reterr);
}

static enum kms_status need_account(const struct stage *st, const struct seed_item *item,
                                    struct kms_error *reterr)
{
    if (book_account(st->book, item->account) != NULL)
        return KMS_OK;
    return seed_refuse(st->seed->file, item->line, item->path, reterr,
                       "there is no account %.*s: add it to $.Accounts", BYTES_FMT(item->account));
}

/* Was it there before the seed? Then it stays as it is. */
static bool known_before(const struct stage *st, const struct seed_item *item)
{
    return !st->from->fresh && st->from->identities != NULL &&
           book_identity(st->from->identities, item->account, item->identity, item->name) != NULL;
}

static enum kms_status stage_identity(struct stage *st, const struct seed_item *item,
                                      struct kms_error *reterr)
{
    if (known_before(st, item))
        return KMS_OK;
    struct op_call call = stage_call(st, item);

    if (run_row(st, &call, true, reterr) != KMS_OK)
        return stage_blame(st, item, reterr);
    return KMS_OK;
}

/* --- access keys ------------------------------------------------------------------------------ */

static struct bytes owner_of(const struct stage *st, const struct seed_item *item)
{
    const struct identity_record *user;

    if (item->name.len == 0)
        return item->account;
    user = book_identity(st->book, item->account, IDENTITY_USER, item->name);
    assert(user != NULL); /* its own item comes before */
    return user->unique_id;
}

static enum kms_status make_access_key(struct stage *st, const struct seed_item *item,
                                       struct bytes owner, struct access_key_record *k,
                                       struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(512);

    k->id = arena_copy(k->arena, item->access_key.id);
    k->account = arena_copy(k->arena, item->account);
    k->principal_id = arena_copy(k->arena, owner);
    k->root = item->name.len == 0;
    k->active = item->access_key.active;
    k->created = st->now;
    k->version = 1;
    if (st->from->vault == NULL)
        return KMS_OK;
    TRY(vault_wrap_secret_key(st->from->vault, k->id, item->access_key.secret, &wrapped, reterr));
    k->wrapped_secret = arena_copy(k->arena, buf_bytes(&wrapped));
    return KMS_OK;
}

static enum kms_status stage_access_key(struct stage *st, const struct seed_item *item,
                                        struct kms_error *reterr)
{
    CLEANUP(access_key_record_freep) struct access_key_record *k = NULL;
    const struct access_key_record *there = book_access_key(st->book, item->access_key.id);
    struct bytes                    owner = owner_of(st, item);

    if (there != NULL && !bytes_eq(there->principal_id, owner))
        return stage_refuse(st, item, reterr,
                            "this access key id is another principal's: choose another");
    for (size_t i = 0; i < st->at; i++) {
        const struct seed_item *other = &st->seed->items[i];
        if (other->kind == SEED_ACCESS_KEY && bytes_eq(other->access_key.id, item->access_key.id))
            return stage_refuse(st, item, reterr, "the file has this access key already");
    }
    if (there != NULL)
        return KMS_OK;
    k = access_key_record_new();
    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an access key");
    TRY(make_access_key(st, item, owner, k, reterr));
    return add_access_key(st, TAKE(k), reterr);
}

/* --- aliases and grants ----------------------------------------------------------------------- */

/* *ret NULL: it is a key of the seed that was left away. */
static enum kms_status find_target(struct stage *st, const struct seed_item *item, struct bytes id,
                                   const struct key_record **ret, struct kms_error *reterr)
{
    *ret = stage_key_there(st, item->account, item->region, id);
    if (*ret != NULL || stage_key_named(st, item->account, item->region, id))
        return KMS_OK;
    return seed_refuse(st->seed->file, item->line, item->path, reterr,
                       "there is no key %.*s in account %.*s and Region %.*s", BYTES_FMT(id),
                       BYTES_FMT(item->account), BYTES_FMT(item->region));
}

/* One that was there before the seed; a user may have given it to another key. */
static bool alias_there(struct stage *st, const struct seed_item *item)
{
    const struct alias_record *a = NULL;

    if (!st->from->fresh && st->from->directory != NULL)
        a = directory_alias(st->from->directory, item->account, item->region, item->in.alias_name);
    if (a != NULL && !bytes_eq_str(item->in.target_key_id, a->key_id))
        stage_leave(st, item->line, item->path, "the alias is there already, of another key");
    return a != NULL;
}

/* An alias or grant that its key cannot have in the state in which a user has left it. */
static bool prevented(struct stage *st, const struct seed_item *item, const struct op_call *call)
{
    struct kms_error why;

    if (!stage_key_known(st, item->account, item->region, call->key->name.id) ||
        key_state_check(call->key, key_state_at(call->key, st->now), call->op->states, &why) ==
            KMS_OK)
        return false;
    stage_leave(st, item->line, item->path, "the state of the key does not allow this now");
    return true;
}

static enum kms_status stage_alias(struct stage *st, const struct seed_item *item,
                                   struct kms_error *reterr)
{
    struct op_call call = stage_call(st, item);

    TRY(find_target(st, item, item->in.target_key_id, &call.key, reterr));
    if (call.key == NULL || alias_there(st, item) || prevented(st, item, &call))
        return KMS_OK;
    call.alias = directory_alias(st->directory, item->account, item->region, item->in.alias_name);
    if (run_row(st, &call, true, reterr) != KMS_OK)
        return stage_blame(st, item, reterr);
    return KMS_OK;
}

/* Is it there already, in the world before the seed or in the file? */
static bool same_grant(const struct stage *st, const struct grant_record *g, bool in_file)
{
    if (in_file) {
        for (size_t i = 0; i < st->plan->change.n_rows; i++) {
            const struct grant_record *other = st->plan->change.rows[i].grant;
            if (other != NULL && grant_same(other, g))
                return true;
        }
        return false;
    }
    if (st->from->fresh || st->from->directory == NULL)
        return false;
    const struct grant_book *book = directory_grants(st->from->directory);
    const struct grant_set  *set = grants_to(book, grants_on(book, &g->key), g->grantee);

    for (size_t i = 0; set != NULL && i < set->n; i++) {
        if (grant_same(set->grants[i], g))
            return true;
    }
    return false;
}

static enum kms_status stage_grant(struct stage *st, const struct seed_item *item,
                                   struct kms_error *reterr)
{
    struct op_call call = stage_call(st, item);
    struct change  change = { .event = BUF_INIT(0) };

    TRY(find_target(st, item, item->in.key_id, &call.key, reterr));
    if (call.key == NULL)
        return KMS_OK;
    call.change = &change;
    json_open_object(call.answer, NULL);
    enum kms_status status = call.op->resolve(&call, reterr);
    if (status == KMS_OK)
        status = call.op->begin(&call, reterr);
    if (status == KMS_OK && same_grant(st, call.child, true)) {
        change_release(&change);
        return stage_refuse(st, item, reterr, "the file has this grant already");
    }
    bool there = status == KMS_OK &&
                 (same_grant(st, call.child, false) || prevented(st, item, &call));
    if (status == KMS_OK && !there && st->from->vault != NULL)
        status = call.op->finish(&call, reterr);
    if (status == KMS_OK && !there)
        take_rows(st, &change);
    change_release(&change);
    return status == KMS_OK ? KMS_OK : stage_blame(st, item, reterr);
}

/* --- all of it -------------------------------------------------------------------------------- */

static enum kms_status stage_item(struct stage *st, struct seed_item *item,
                                  struct kms_error *reterr)
{
    if (item->kind != SEED_ACCOUNT)
        TRY(need_account(st, item, reterr));
    switch (item->kind) {
    case SEED_ACCOUNT:    return stage_account(st, item, reterr);
    case SEED_CALL:       return stage_identity(st, item, reterr);
    case SEED_ACCESS_KEY: return stage_access_key(st, item, reterr);
    case SEED_KEY:
    case SEED_REPLICA:    return stage_key(st, item, reterr);
    case SEED_ALIAS:      return stage_alias(st, item, reterr);
    case SEED_GRANT:      return stage_grant(st, item, reterr);
    }
    return KMS_E_INTERNAL;
}

/* What `trentd --dev` makes for itself: an account, and access key test/test of its root user. A data
 * directory that was made otherwise keeps its oldest account and the oldest access key of its root user. */
static enum kms_status begin_fresh(struct stage *st, struct kms_error *reterr)
{
    const struct account_record    *there = book_account(st->from->identities,
                                                         bytes_str(first_account));
    const struct access_key_record *key = NULL;
    struct account_record           a = { .created = st->now };
    struct seed_item                test = {
                       .access_key = { BYTES_LIT("test"), BYTES_LIT("test"), true },
    };

    (void)change_add(&st->plan->change, ROW_CLEAR);
    if (there == NULL && book_list_accounts(st->from->identities, &there, 1) == 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "there is no account to begin from");
    memcpy(a.id, there->id, sizeof a.id);
    a.created = there->created < st->now ? there->created : st->now;
    a.version = there->version + 1;
    TRY(add_account(st, &a, reterr));
    if (strcmp(a.id, first_account) != 0) {
        if (book_list_access_keys(st->from->identities, bytes_str(a.id), &key, 1) == 0)
            return KMS_OK;
        struct access_key_record *copy = access_key_record_clone(key);
        return add_access_key(st, copy, reterr);
    }
    test.account = bytes_str(a.id);
    CLEANUP(access_key_record_freep) struct access_key_record *k = access_key_record_new();
    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an access key");
    TRY(make_access_key(st, &test, test.account, k, reterr));
    return add_access_key(st, TAKE(k), reterr);
}

static enum kms_status stage_all(struct stage *st, struct kms_error *reterr)
{
    struct account_record first = { .version = 1 };

    TRY(make_world(st, reterr));
    memcpy(first.id, first_account, sizeof first_account);
    if (st->from->fresh)
        TRY(begin_fresh(st, reterr));
    else if (st->from->identities == NULL)
        put_account(st, &first);
    else
        copy_book(st);
    for (st->at = 0; st->seed != NULL && st->at < st->seed->n; st->at++)
        TRY(stage_item(st, &st->seed->items[st->at], reterr));
    return KMS_OK;
}

enum kms_status seed_stage(struct seed *s, const struct seed_world *from, struct seed_plan *ret,
                           struct kms_error *reterr)
{
    struct stage st = {
        .seed = s,
        .from = from,
        .plan = ret,
        .now = from->now,
        .scratch = BUF_INIT(SCRATCH_MAX),
        .answer = BUF_INIT(ANSWER_MAX),
    };

    enum kms_status status = stage_all(&st, reterr);
    release_world(&st);
    return status;
}

enum kms_status seed_check(struct seed *s, struct kms_error *reterr)
{
    CLEANUP(seed_plan_release) struct seed_plan plan = { .change = { .event = BUF_INIT(0) } };
    const struct seed_world                     nothing = { .now = clock_wall_ms() };

    return seed_stage(s, &nothing, &plan, reterr);
}

void seed_plan_release(struct seed_plan *p)
{
    change_release(&p->change);
    free(p->spare);
    free(p->kept);
    p->spare = p->kept = NULL;
    p->n_spare = p->n_kept = 0;
}
