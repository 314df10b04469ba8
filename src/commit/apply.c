/* commit/apply.c - steps 2 and 3: one transaction, then what it changed is published. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "commit/event.h"
#include "commit/internal.h"
#include "key/grants.h"
#include "key/last_use.h"

struct with_key {
    struct change *change;
    struct bytes   arn;
    int64_t        now;
};

static void bury_import_key(const struct import_key_record *k, void *ctx)
{
    const struct with_key *w = ctx;

    if (!bytes_eq(k->key.arn, w->arn))
        return;
    struct row *gone = change_add(w->change, ROW_IMPORT_KEY_DELETE);
    memcpy(gone->import_key_id, k->id, sizeof gone->import_key_id);
    change_bury(w->change, w->arn, NULL, &k->sealed, ERASE_IMPORT_KEY, w->now);
}

/* The rows of import keys from `from` on go before all others: in the database they go with their key by
 * ON DELETE CASCADE, and what is gone already cannot be deleted. */
static void import_keys_first(struct change *change, size_t from)
{
    for (size_t i = from; i < change->n_rows; i++) {
        struct row row = change->rows[i];

        if (row.kind != ROW_IMPORT_KEY_DELETE)
            continue;
        memmove(&change->rows[1], &change->rows[0], i * sizeof row);
        change->rows[0] = row;
    }
}

void commit_complete(struct committer *c, struct change *change)
{
    size_t n = change->n_rows;

    for (size_t i = 0; i < n; i++) {
        if (change->rows[i].kind != ROW_KEY_DELETE)
            continue;
        struct with_key w = { change, change->rows[i].key->name.arn, clock_now(c->parts.clock) };
        directory_each_import_key(c->parts.directory, bury_import_key, &w);
    }
    import_keys_first(change, n);
    commit_add_caused(c, change);
}

enum kms_status commit_apply(struct committer *c, struct change **changes, enum kms_status *results,
                             size_t n, struct kms_error *reterr)
{
    struct vault_status vs;
    vault_status(c->parts.vault, &vs);

    struct store_batch batch = {
        .changes = changes,
        .results = results,
        .n = n,
        .outbox_done = c->outbox_done,
        .slot_generation = { vs.generation[0], vs.generation[1] },
        .ready = commit_syncs_end,
        .ready_ctx = c,
    };
    enum kms_status status = c->parts.store->ops->apply(c->parts.store, &batch, reterr);
    if (batch.ret_reindexed)
        log_warning(
            "commit: an index of the database had not what it should have, as after somebody's "
            "hand or a failing disk: all were made anew from the rows");
    TRY(status);
    c->last_outbox = batch.ret_outbox;
    audit_note(c->parts.audit, batch.slot_generation, batch.ret_commit);
    return KMS_OK;
}

static enum kms_status flush_used(struct committer *c, struct kms_error *reterr)
{
    CLEANUP(freep) struct key_usage_record *list = NULL;
    struct directory                       *d = c->parts.directory;
    size_t                                  n = 0;

    TRY(directory_take_used(d, &list, &n, reterr));
    if (n == 0)
        return KMS_OK;
    enum kms_status status = c->parts.store->ops->put_usage(c->parts.store, list, n, reterr);
    if (status != KMS_OK)
        directory_give_back_used(d, list, n);
    else
        directory_stored_used(d, list, n);
    return status;
}

enum { LATE_AT_ONCE = 64 };

/* Uses of keys that were cold when they were marked, as rows. */
struct late_rows {
    struct key_usage_record list[LATE_AT_ONCE];
    size_t                  n;
};

static bool is_later(const struct key_usage_mark *a, const struct key_usage_mark *b)
{
    return b->operation == TRACKED_NONE || a->at >= b->at;
}

static void add_late(struct late_rows *rows, uint64_t key, int64_t since,
                     const struct key_usage_mark *mark)
{
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->list[i].key != key)
            continue;
        if (is_later(mark, &rows->list[i].last))
            rows->list[i].last = *mark;
        return;
    }
    rows->list[rows->n++] = (struct key_usage_record){ .key = key, .last = *mark, .since = since };
}

/* A row, unless the store has a later use, or no such key, or its rows cannot be read. */
static enum kms_status late_row(struct committer *c, const struct late_use *use,
                                struct late_rows *rows, struct kms_error *reterr)
{
    struct store     *store = c->parts.store;
    struct stored_key got = { .key = NULL };

    if (directory_mark_late(c->parts.directory, use))
        return KMS_OK; /* it is back: that is stored with the next ones */
    enum kms_status status = store->ops->find_key(store, &use->key, &got, reterr);
    if (status == KMS_E_MEMORY)
        return status;
    if (status != KMS_OK)
        commit_note_unreadable(c, &use->key, got.row, reterr);
    else if (got.key != NULL && is_later(&use->mark, &got.usage.last))
        add_late(rows, got.key->serial, got.usage.since, &use->mark);
    key_record_free(got.key);
    return KMS_OK;
}

static enum kms_status store_late(struct committer *c, const struct late_use *first, size_t n,
                                  struct kms_error *reterr)
{
    struct late_rows rows = { .n = 0 };
    struct store    *store = c->parts.store;

    for (const struct late_use *use = first; n > 0; use = use->next, n--)
        TRY(late_row(c, use, &rows, reterr));
    return rows.n == 0 ? KMS_OK : store->ops->put_usage(store, rows.list, rows.n, reterr);
}

static enum kms_status flush_late(struct committer *c, struct kms_error *reterr)
{
    struct late_use *list = directory_take_late(c->parts.directory);

    while (list != NULL) {
        struct late_use *rest = list;
        size_t           n = 0;
        while (rest != NULL && n < LATE_AT_ONCE) {
            rest = rest->next;
            n++;
        }
        enum kms_status status = store_late(c, list, n, reterr);
        if (status != KMS_OK) {
            directory_give_back_late(c->parts.directory, list);
            return status;
        }
        while (list != rest) {
            struct late_use *next = list->next;
            free(list);
            list = next;
        }
    }
    return KMS_OK;
}

enum kms_status commit_flush_usage(struct committer *c, struct kms_error *reterr)
{
    TRY(flush_used(c, reterr));
    return flush_late(c, reterr);
}

static enum kms_status store_access_key_uses(struct committer *c, struct kms_error *reterr)
{
    CLEANUP(freep) struct access_key_use *list = NULL;
    struct identity_book                 *b = c->parts.identities;
    struct store                         *store = c->parts.store;
    size_t                                n = 0;

    TRY(book_take_used(b, &list, &n, reterr));
    if (n == 0)
        return KMS_OK;
    enum kms_status status = store->ops->put_access_key_uses(store, list, n, reterr);
    if (status != KMS_OK)
        book_give_back_used(b);
    return status;
}

void commit_store_usage(struct committer *c, struct commit_job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!jobs[i]->stores_usage)
            continue;
        jobs[i]->status = commit_flush_usage(c, &jobs[i]->error);
        if (jobs[i]->status == KMS_OK)
            jobs[i]->status = store_access_key_uses(c, &jobs[i]->error);
    }
}

static bool puts_key(const struct row *row)
{
    return row->kind == ROW_KEY_INSERT || row->kind == ROW_KEY_UPDATE;
}

static size_t key_rows(const struct change *change)
{
    size_t n = 0;

    for (size_t i = 0; i < change->n_rows; i++)
        n += puts_key(&change->rows[i]) || change->rows[i].kind == ROW_KEY_DELETE;
    return n;
}

/* Several at once: whoever sees one relative as it is now sees the others so too. */
static void publish_several(struct directory *d, struct change *change, size_t n)
{
    CLEANUP(freep) struct key_record **put = calloc(n, sizeof *put);
    CLEANUP(freep) struct key_name    *removed = calloc(n, sizeof *removed);
    size_t                             n_put = 0;
    size_t                             n_removed = 0;

    if (put == NULL || removed == NULL)
        abort(); /* as the directory does: half a change must not be visible */
    for (size_t i = 0; i < change->n_rows; i++) {
        struct row *row = &change->rows[i];
        if (puts_key(row))
            put[n_put++] = row->key;
        else if (row->kind == ROW_KEY_DELETE)
            removed[n_removed++] = row->key->name;
    }
    directory_publish(d, put, n_put, removed, n_removed);
}

static void publish_one(struct directory *d, const struct change *change)
{
    for (size_t i = 0; i < change->n_rows; i++) {
        const struct row *row = &change->rows[i];
        if (puts_key(row))
            directory_put_key(d, row->key);
        else if (row->kind == ROW_KEY_DELETE)
            directory_remove_key(d, row->key->name.account, row->key->name.region,
                                 row->key->name.id);
    }
}

static void publish_keys(struct committer *c, struct change *change)
{
    size_t n = key_rows(change);

    for (size_t i = 0; n > 0 && i < change->n_rows; i++) {
        if (change->rows[i].kind == ROW_KEY_UPDATE)
            commit_count_rotation(c, change->rows[i].key);
    }
    if (n > 1)
        publish_several(c->parts.directory, change, n);
    else if (n == 1)
        publish_one(c->parts.directory, change);
    for (size_t i = 0; n > 0 && i < change->n_rows; i++) {
        if (!puts_key(&change->rows[i]))
            continue;
        const struct key_record *key = TAKE(change->rows[i].key); /* the directory's now */
        if (c->parts.changed != NULL)
            c->parts.changed(c->parts.changed_ctx, key);
    }
}

static void publish_domain(struct committer *c, const struct row *row)
{
    struct kms_error err;

    if (vault_add_domain(c->parts.vault, row->domain, &err) != KMS_OK)
        log_error("domain key of %.*s/%.*s: %s", BYTES_FMT(row->domain->account),
                  BYTES_FMT(row->domain->region), err.detail);
}

/* An access key that signs no more leaves nothing in the vault's caches. */
static void publish_access_key(struct committer *c, struct row *row)
{
    const struct access_key_record *k = row->access_key;

    if (!k->active)
        vault_forget_access_key(c->parts.vault, k->id);
    book_put_access_key(c->parts.identities, TAKE(row->access_key));
    if (k->session.kind != SESSION_NONE && c->parts.session_added != NULL)
        c->parts.session_added(c->parts.changed_ctx, k);
}

static void remove_access_key(struct committer *c, const struct row *row)
{
    book_remove_access_key(c->parts.identities, row->access_key->id);
    vault_forget_access_key(c->parts.vault, row->access_key->id);
}

static void publish_all(struct committer *c, struct change *change)
{
    struct directory     *d = c->parts.directory;
    struct identity_book *b = c->parts.identities;

    for (size_t i = 0; i < change->n_rows; i++) {
        if (change->rows[i].kind == ROW_DOMAIN_INSERT) /* keys cannot be used without */
            publish_domain(c, &change->rows[i]);
    }
    publish_keys(c, change);
    for (size_t i = 0; i < change->n_rows; i++) {
        struct row *row = &change->rows[i];
        switch (row->kind) {
        case ROW_ALIAS_INSERT:
        case ROW_ALIAS_UPDATE: directory_put_alias(d, TAKE(row->alias)); break;
        case ROW_ALIAS_DELETE:
            directory_remove_alias(d, row->alias->name.account, row->alias->name.region,
                                   row->alias->name.name);
            break;
        case ROW_IMPORT_KEY_INSERT: {
            struct import_key_record *k = TAKE(row->import_key);
            directory_put_import_key(d, k);
            if (c->parts.import_key_added != NULL)
                c->parts.import_key_added(c->parts.changed_ctx, k);
            break;
        }
        case ROW_IMPORT_KEY_DELETE: directory_remove_import_key(d, row->import_key_id); break;
        case ROW_GRANT_INSERT:      {
            struct grant_record *g = TAKE(row->grant);
            grants_put(directory_grants(d), &g, 1);
            break;
        }
        case ROW_GRANT_DELETE:      grants_remove(directory_grants(d), bytes_str(row->grant_id)); break;
        case ROW_ACCOUNT_INSERT:
        case ROW_ACCOUNT_UPDATE:    book_put_account(b, TAKE(row->account)); break;
        case ROW_IDENTITY_INSERT:
        case ROW_IDENTITY_UPDATE:   book_put_identity(b, TAKE(row->identity)); break;
        case ROW_IDENTITY_DELETE:   book_remove_identity(b, row->identity->unique_id); break;
        case ROW_ACCESS_KEY_INSERT:
        case ROW_ACCESS_KEY_UPDATE: publish_access_key(c, row); break;
        case ROW_ACCESS_KEY_DELETE: remove_access_key(c, row); break;
        case ROW_KEY_INSERT:
        case ROW_KEY_UPDATE:
        case ROW_KEY_DELETE:
        case ROW_DOMAIN_INSERT:     /* published already */
        case ROW_TOMBSTONE_INSERT:
        case ROW_TOMBSTONE_ERASED:
        case ROW_DELIVERY_DELETE:
        case ROW_CLEAR:             break;
        }
    }
}

void commit_publish(struct committer *c, struct change *change)
{
    bool clears = commit_clears(change);

    if (clears) { /* nobody sees the server empty, or half full again */
        epoch_close(c->parts.epoch);
        commit_clear(c);
    }
    publish_all(c, change);
    if (clears)
        epoch_open(c->parts.epoch);
}

static enum kms_status append_one(void *ctx, uint64_t serial, struct bytes event,
                                  struct kms_error *reterr)
{
    struct committer *c = ctx;

    TRY(audit_append(c->parts.audit, &event, 1, true, false, reterr));
    c->outbox_done = serial;
    return KMS_OK;
}

void commit_drain_outbox(struct committer *c)
{
    struct kms_error     err;
    struct store_visitor v = { .ctx = c, .outbox = append_one };

    if (c->parts.store->ops->load(c->parts.store, &v, &err) == KMS_OK)
        c->outbox_stuck = false;
}
