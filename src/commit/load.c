/* commit/load.c - keys that only the store has are brought into the directory, and go again.
 *
 * All of it on the committer's thread, between two batches: then the store and what is published say the
 * same, so a key that is read cannot be an older one than a change has published, nor can a change come
 * between reading and publishing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "commit/internal.h"
#include "key/family.h"

enum { USES_AGAIN_MS = 10 * 1000 };

/* A key and its relatives, as read. */
struct loaded {
    struct key_record      *keys[FAMILY_MAX];
    struct key_usage_record usages[FAMILY_MAX];
    size_t                  n;
};

static void loaded_release(struct loaded *l)
{
    for (size_t i = 0; i < l->n; i++)
        key_record_free(l->keys[i]);
}

static const struct key_record *find(const struct directory *d, const struct key_want *want)
{
    struct bytes region = bytes_str(want->region);

    switch (want->kind) {
    case WANT_KEY:
        return directory_key(d, bytes_str(want->account), region, bytes_str(want->key_id));
    case WANT_MATERIAL: return directory_key_by_material(d, region, &want->material);
    case WANT_NOTHING:
    case WANT_SERIAL:
    case WANT_PAGE:
    case WANT_CHECK:    break;
    }
    return NULL;
}

static bool is_published(const struct committer *c, const struct key_name *name)
{
    return directory_key(c->parts.directory, name->account, name->region, name->id) != NULL;
}

/* Unless it is not there, or in the directory already. */
static enum kms_status read_one(struct committer *c, const struct key_want *want, struct loaded *l,
                                struct kms_error *reterr)
{
    struct store     *store = c->parts.store;
    struct stored_key got;

    enum kms_status status = store->ops->find_key(store, want, &got, reterr);
    if (status != KMS_OK) {
        commit_note_unreadable(c, want, got.row, reterr);
        return status;
    }
    if (got.key == NULL)
        return KMS_OK;
    if (is_published(c, &got.key->name) || l->n == FAMILY_MAX) {
        key_record_free(got.key);
        return KMS_OK;
    }
    l->keys[l->n] = got.key;
    l->usages[l->n++] = got.usage;
    return KMS_OK;
}

static enum kms_status read_relatives(struct committer *c, struct loaded *l,
                                      struct kms_error *reterr)
{
    const struct key_record *key = l->keys[0];
    struct bytes             rest = key->regions;
    struct bytes             region;

    while (key->multi_region != REGION_SINGLE && key_regions_next(&rest, &region)) {
        struct key_want want;
        if (!bytes_eq(region, key->name.region) &&
            key_want_named(&want, key->name.account, region, key->name.id))
            TRY(read_one(c, &want, l, reterr));
    }
    return KMS_OK;
}

enum kms_status commit_load(struct committer *c, struct key_load *load, struct kms_error *reterr)
{
    CLEANUP(loaded_release) struct loaded l = { .n = 0 };

    load->found = find(c->parts.directory, &load->want) != NULL;
    if (load->found)
        return KMS_OK;
    TRY(read_one(c, &load->want, &l, reterr));
    if (l.n == 0)
        return KMS_OK;
    TRY(read_relatives(c, &l, reterr));
    directory_load(c->parts.directory, l.keys, l.usages, l.n);
    c->counts.loads += l.n;
    l.n = 0; /* they are the directory's */
    load->found = true;
    return KMS_OK;
}

/* --- pages ------------------------------------------------------------------------------------ */

static void take_listed(void *ctx, const struct listed_key *key)
{
    struct key_page *page = ctx;

    (void)snprintf(page->list[page->n].key_id, sizeof page->list[page->n].key_id, "%.*s",
                   BYTES_FMT(key->key_id));
    page->list[page->n].serial = key->serial;
    page->list[page->n].deleting = key->deleting;
    page->list[page->n++].deletion_date = key->deletion_date;
}

static enum kms_status read_page(struct committer *c, struct key_load *load,
                                 struct kms_error *reterr)
{
    struct store *store = c->parts.store;

    load->page->n = 0;
    load->page->after = load->want.serial;
    enum kms_status status = store->ops->list_keys(store, &load->want, KEY_PAGE, take_listed,
                                                   load->page, reterr);
    if (status != KMS_OK)
        commit_note_unreadable(c, &load->want, 0, reterr);
    return status;
}

/* --- looking through the store ---------------------------------------------------------------- */

struct next_keys {
    uint64_t at[COMMIT_LOOK];
    size_t   n;
};

static void note_next(void *ctx, uint64_t serial)
{
    struct next_keys *next = ctx;

    if (next->n < COMMIT_LOOK)
        next->at[next->n++] = serial;
}

static void check_one(struct committer *c, const struct key_load *load, uint64_t serial)
{
    const struct key_want want = { .kind = WANT_SERIAL, .serial = serial };
    struct store         *store = c->parts.store;
    struct stored_key     got = { .key = NULL };
    struct kms_error      err;

    if (store->ops->find_key(store, &want, &got, &err) != KMS_OK)
        commit_note_unreadable(c, &want, got.row, &err);
    else if (got.key != NULL && load->seen != NULL)
        load->seen(load->ctx, got.key);
    key_record_free(got.key);
}

/* A key that is not as we wrote it is told of, and the next ones are looked at. */
static enum kms_status check_some(struct committer *c, struct key_load *load,
                                  struct kms_error *reterr)
{
    struct store    *store = c->parts.store;
    struct next_keys next = { .n = 0 };

    commit_read_again(c);
    enum kms_status status = store->ops->next_keys(store, load->want.serial, COMMIT_LOOK, note_next,
                                                   &next, reterr);
    if (status != KMS_OK) { /* the rows before may be well: from the first on again */
        commit_note_unreadable(c, &load->want, 0, reterr);
        load->want.serial = 0;
        return status;
    }
    for (size_t i = 0; i < next.n; i++)
        check_one(c, load, next.at[i]);
    load->want.serial = next.n < COMMIT_LOOK ? 0 : next.at[next.n - 1];
    return KMS_OK;
}

/* --- jobs ------------------------------------------------------------------------------------- */

static enum kms_status read_due(struct committer *c, const struct due_load *due,
                                struct kms_error *reterr)
{
    struct store   *store = c->parts.store;
    enum kms_status status = store->ops->each_due(store, &due->range, due->visit, due->ctx, reterr);

    commit_note_due(c, status, reterr);
    return status;
}

static enum kms_status serve(struct committer *c, struct commit_job *job, struct kms_error *reterr)
{
    if (job->due != NULL)
        return read_due(c, job->due, reterr);
    if (job->load->want.kind == WANT_CHECK)
        return check_some(c, job->load, reterr);
    return job->load->want.kind == WANT_PAGE ? read_page(c, job->load, reterr)
                                             : commit_load(c, job->load, reterr);
}

size_t commit_serve_reads(struct committer *c, struct commit_job **jobs, size_t n)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->load == NULL && jobs[i]->due == NULL) {
            jobs[left++] = jobs[i];
            continue;
        }
        jobs[i]->status = serve(c, jobs[i], &jobs[i]->error);
        if (jobs[i]->load != NULL)
            jobs[i]->load->status = jobs[i]->status;
        jobs[i]->done(jobs[i]);
    }
    return left;
}

void commit_bring(struct committer *c, struct commit_job *job)
{
    for (size_t i = 0; i < job->change.n_rows; i++) {
        const struct row *row = &job->change.rows[i];
        struct key_load   load = { 0 };
        struct kms_error  err;

        if ((row->kind != ROW_KEY_UPDATE && row->kind != ROW_KEY_DELETE) ||
            is_published(c, &row->key->name) ||
            !directory_unsure(c->parts.directory, row->key->name.account, row->key->name.region,
                              row->key->name.id, &load.want))
            continue;
        if (commit_load(c, &load, &err) != KMS_OK)
            commit_job_fails(job, &err);
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

struct serial_list {
    uint64_t *at;
    size_t    n, cap;
};

static void serial_list_release(struct serial_list *l)
{
    free(l->at);
}

static void note_serial(void *ctx, uint64_t serial)
{
    struct serial_list *l = ctx;

    if (l->n == l->cap) {
        size_t    cap = l->cap == 0 ? 256 : 2 * l->cap;
        uint64_t *more = realloc(l->at, cap * sizeof *more);
        if (more == NULL)
            abort(); /* as at start: nothing is half done */
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = serial;
}

static enum kms_status note_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    (void)reterr;
    note_serial(ctx, key->serial);
    key_record_free(key);
    return KMS_OK;
}

static enum kms_status load_serials(struct committer *c, const struct serial_list *l,
                                    struct kms_error *reterr)
{
    for (size_t i = 0; i < l->n; i++) {
        struct key_load load = { .want = { .kind = WANT_SERIAL, .serial = l->at[i] } };
        TRY(commit_load(c, &load, reterr));
    }
    return KMS_OK;
}

enum kms_status commit_load_everything(struct committer *c, struct kms_error *reterr)
{
    CLEANUP(serial_list_release) struct serial_list l = { .at = NULL };
    const struct store_visitor                      visitor = { .ctx = &l, .key = note_key };

    if (directory_lists_all(c->parts.directory))
        return KMS_OK;
    TRY(c->parts.store->ops->load(c->parts.store, &visitor, reterr));
    return load_serials(c, &l, reterr);
}

/* True if there are no uses any more that keep keys in memory. After a failure it is not tried with every
 * batch. */
static bool store_uses(struct committer *c)
{
    struct kms_error err;
    int64_t          now = clock_monotonic_ms();

    if (c->usage_failed != 0 && now - c->usage_failed < USES_AGAIN_MS)
        return false;
    enum kms_status status = commit_flush_usage(c, &err);
    c->usage_failed = status == KMS_OK ? 0 : now;
    if (status != KMS_OK)
        log_error("commit: last uses of keys were not stored, so these keys stay in memory: %s",
                  err.detail);
    return status == KMS_OK;
}

void commit_evict(struct committer *c)
{
    struct directory *d = c->parts.directory;

    c->counts.evictions += directory_evict(d);
    if (directory_crowded(d) && store_uses(c))
        c->counts.evictions += directory_evict(d);
}
