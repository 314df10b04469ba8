/* commit/reset.c - changes that are made on the committer's thread, and the one that clears everything.
 *
 * A development reset is one transaction: ROW_CLEAR and the rows of the seed. Then, while nobody is in an
 * epoch section, memory is emptied and filled again, opened materials are wiped, and the clock goes back
 * to the machine's. What was begun before and has not committed is refused by its generation.
 *
 * The slots of what went are overwritten and the database is scrubbed after the answer: no request can
 * reach them. If the process ends before, the next start erases those of imported material, which no row
 * names any more; those of generated material stay, as after any crash (commit/recover.c: sweep), and
 * open nothing, since the rows are gone. There are no tombstones and receipts: a reset promises a clean
 * server, not the destruction of a customer's key.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "commit/internal.h"

uint64_t commit_generation(const struct committer *c)
{
    return atomic_load(&c->generation);
}

bool commit_clears(const struct change *change)
{
    return change->n_rows > 0 && change->rows[0].kind == ROW_CLEAR;
}

/* --- what goes -------------------------------------------------------------------------------- */

struct list {
    struct sealed *slots;
    size_t         n, cap;
};

static void add_slot(struct list *l, const struct sealed *s)
{
    if (s->wrapped.len == 0)
        return;
    if (l->n == l->cap) {
        size_t         cap = l->cap == 0 ? 256 : l->cap * 2;
        struct sealed *more = realloc(l->slots, cap * sizeof *more);
        if (more == NULL)
            return; /* an orphan: it opens nothing */
        l->slots = more;
        l->cap = cap;
    }
    l->slots[l->n] = *s;
    l->slots[l->n++].wrapped = (struct bytes){ NULL, 0 }; /* goes with its record */
}

static void add_key(const struct key_record *key, void *ctx)
{
    for (size_t i = 0; i < key->n_materials; i++)
        add_slot(ctx, &key->materials[i].sealed);
}

static void add_import_key(const struct import_key_record *key, void *ctx)
{
    add_slot(ctx, &key->sealed);
}

static int slot_order(const void *a, const void *b)
{
    const struct sealed *x = a;
    const struct sealed *y = b;

    if (x->slot_class != y->slot_class)
        return x->slot_class < y->slot_class ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Leaves out those that the new records go on using. */
static void leave_kept(struct list *l, const struct commit_job *job)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        bool kept = false;
        for (size_t k = 0; k < job->n_kept && !kept; k++)
            kept = slot_order(&l->slots[i], &job->kept[k]) == 0;
        if (!kept)
            l->slots[n++] = l->slots[i];
    }
    l->n = n;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void forget_materials(const struct key_record *key, void *ctx)
{
    for (size_t i = 0; i < key->n_materials; i++)
        vault_forget(ctx, &key->materials[i].id);
}

static void forget_access_key(const struct access_key_record *key, void *ctx)
{
    vault_forget_access_key(ctx, key->id);
}

void commit_clear(struct committer *c)
{
    struct vault *v = c->parts.vault;

    directory_each_key(c->parts.directory, forget_materials, v);
    book_each_access_key(c->parts.identities, forget_access_key, v);
    vault_reclaim(v);
    directory_clear(c->parts.directory);
    book_clear(c->parts.identities);
    if (c->parts.deliveries_cleared != NULL)
        c->parts.deliveries_cleared(c->parts.deliveries_ctx);
    clock_reset(c->parts.clock);
    atomic_fetch_add(&c->generation, 1);
}

/* --- running ---------------------------------------------------------------------------------- */

static void erase(struct committer *c, const struct list *l)
{
    CLEANUP(freep) struct erase_proof *proofs = calloc(l->n + 1, sizeof *proofs);
    bool                               clean = false;
    struct kms_error                   err;

    CRASH_POINT("reset-answered");
    if (proofs == NULL || vault_erase(c->parts.vault, l->slots, l->n, proofs, &err) != KMS_OK)
        log_error("reset: %zu slots were not erased; nothing names them any more", l->n);
    else if (c->parts.store->ops->scrub(c->parts.store, &clean, &err) != KMS_OK)
        log_error("reset: the database was not scrubbed: %s", err.detail);
}

void commit_run_filled(struct committer *c, struct commit_job *job,
                       void (*run_batch)(struct committer *c, struct commit_job **jobs, size_t n))
{
    struct list gone = { .slots = NULL };
    bool        clears = false;

    job->status = commit_load_everything(c, &job->error);
    if (job->status == KMS_OK)
        job->status = job->fill(job, &job->error);
    if (job->status == KMS_OK && job->change.n_rows > 0) {
        clears = commit_clears(&job->change);
        if (clears) {
            directory_each_key(c->parts.directory, add_key, &gone);
            directory_each_import_key(c->parts.directory, add_import_key, &gone);
            leave_kept(&gone, job);
        }
        run_batch(c, &job, 1);
    }
    clears = clears && job->durable; /* the job is its owner's again after this */
    job->done(job);
    if (clears && gone.n > 0)
        erase(c, &gone);
    free(gone.slots);
    commit_mark_erased(c);
}
