/* commit/erase.c - steps 1 and 5 to 7: "deleted means deleted".
 *
 * When these steps begin, the tombstone is committed and published, so no new request gets the
 * material. The first barrier waits for those that had it; then the opened material leaves the
 * cache, a second barrier waits for those that found it there, and its bytes are wiped. Then the
 * shred key goes.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/encode.h"
#include "base/log.h"
#include "commit/event.h"
#include "commit/internal.h"
#include "crypto/crypto.h"
#include "json/write.h"

enum {
    INTENT_BYTES = 256 * 1024,
    RECEIPT_BYTES = 16 * 1024,
    RECEIPTS_AT_ONCE = 32,
};

static void write_stone(struct json_writer *w, const struct tombstone *t)
{
    json_open_object(w, NULL);
    json_put_hex(w, "keyMaterialId", bytes_of(t->material.b, sizeof t->material.b));
    json_put_str(w, "reason", erase_reason_name((enum erase_reason)t->reason));
    json_put_str(w, "slotClass", t->slot_class == SLOT_ERASABLE ? "erasable" : "durable");
    json_put_int(w, "slot", t->slot);
    json_put_int(w, "slotGeneration", (int64_t)t->slot_generation);
    json_close_object(w);
}

static enum kms_status write_intent(struct committer *c, const struct commit_job *job,
                                    struct buf *text, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf list = BUF_INIT(INTENT_BYTES);
    struct json_writer              w;
    const struct tombstone         *first = NULL;

    json_writer_init(&w, &list);
    json_open_object(&w, NULL);
    json_open_array(&w, "erase");
    for (size_t i = 0; i < job->change.n_rows; i++) {
        if (job->change.rows[i].kind != ROW_TOMBSTONE_INSERT)
            continue;
        if (first == NULL)
            first = job->change.rows[i].tombstone;
        write_stone(&w, job->change.rows[i].tombstone);
    }
    json_close_array(&w);
    json_close_object(&w);
    assert(first != NULL); /* a job without tombstones has no intent */

    service_event_text(text, clock_now(c->parts.clock), "TrentEraseIntent",
                       bytes_str(first->key_arn), buf_bytes(&list));
    if (!buf_ok(&list) || !buf_ok(text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "erase intent of %s is too long", first->key_arn);
    return KMS_OK;
}

void commit_write_intents(struct committer *c, struct commit_job **jobs, size_t n)
{
    CLEANUP(freep) struct buf   *texts = calloc(n + 1, sizeof *texts);
    CLEANUP(freep) struct bytes *events = calloc(n + 1, sizeof *events);
    struct commit_job           *in[COMMIT_BATCH];
    struct kms_error             err;
    size_t                       m = 0;

    if (texts == NULL || events == NULL) {
        (void)KMS_FAIL(&err, KMS_E_INTERNAL, "no memory for %zu intents", n);
        for (size_t i = 0; i < n; i++)
            commit_job_fails(jobs[i], &err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        buf_init(&texts[i], INTENT_BYTES);
        if (write_intent(c, jobs[i], &texts[i], &err) != KMS_OK) {
            commit_job_fails(jobs[i], &err);
            continue;
        }
        events[m] = buf_bytes(&texts[i]);
        in[m++] = jobs[i];
    }
    if (m > 0 &&
        audit_append(c->parts.audit, events, m, false, in[0]->takes_away, &err) != KMS_OK) {
        for (size_t i = 0; i < m; i++)
            commit_job_fails(in[i], &err);
        m = 0;
    }
    c->syncs.intents = c->syncs.intents || m > 0;
    for (size_t i = 0; i < n; i++)
        buf_release(&texts[i]);
}

static void receipt_of(const struct tombstone *t, const struct erase_proof *p, bool clean,
                       int64_t now, uint64_t commit, const char *material_hex,
                       struct audit_receipt *ret)
{
    struct bytes arn = bytes_str(t->key_arn);

    *ret = (struct audit_receipt){
        .time = now,
        .key_arn = arn,
        .region = arn_part(arn, 3),
        .account = arn_part(arn, 4),
        .material_id = t->reason == ERASE_IMPORT_KEY ? NULL : material_hex,
        .reason = erase_reason_name((enum erase_reason)t->reason),
        .tombstone_time = t->at,
        .commit = commit,
        .slot_class = t->slot_class == SLOT_ERASABLE ? "erasable" : "durable",
        .slot = t->slot,
        .slot_generation = t->slot_generation,
        .file_generation = p->file_generation,
        .grade = erase_grade_name(p->grade),
        .filesystem = p->filesystem,
        .verified = p->verified,
        .already_empty = p->already_empty,
        .database_clean = clean,
    };
    memcpy(ret->extents_before, p->extents_before, sizeof ret->extents_before);
    memcpy(ret->extents_after, p->extents_after, sizeof ret->extents_after);
}

/* --- making receipts -------------------------------------------------------------------------- */

/* Signing takes longer than all else of a receipt, so two threads take turns, each the next one. */
struct receipts {
    struct committer         *c;
    struct tombstone        **stones;
    const struct erase_proof *proofs;
    struct buf               *texts;
    size_t                    n;
    _Atomic size_t            next; /* to be made */
    int64_t                   now;
    bool                      clean;
};

static enum kms_status make_receipts(struct receipts *r, struct kms_error *reterr)
{
    for (size_t i = atomic_fetch_add(&r->next, 1); i < r->n; i = atomic_fetch_add(&r->next, 1)) {
        char                 hex[65] = { 0 };
        struct audit_receipt receipt;
        buf_reset(&r->texts[i]);
        hex_write(hex, bytes_of(r->stones[i]->material.b, 32));
        receipt_of(r->stones[i], &r->proofs[i], r->clean, r->now, r->c->parts.store->meta.commit,
                   hex, &receipt);
        TRY(audit_receipt_write(r->c->parts.audit, &receipt, &r->texts[i], reterr));
    }
    return KMS_OK;
}

/* --- the database ----------------------------------------------------------------------------- */

/* Empties it of what was deleted while the slots are overwritten: these are other files, and none waits for
 * another's sync. A thread that is done with it while receipts are made helps with those. */
struct scrub {
    pthread_t thread;
    bool      running;
    bool      clean; /* of what was deleted; until the thread has ended, what is to be expected */
    /* the thread's until it has ended */
    struct store    *store;
    bool             found_clean;
    enum kms_status  status;
    struct kms_error error;
    enum kms_status  receipts_status;
    struct kms_error receipts_error;

    _Atomic(struct receipts *) receipts; /* to help with, once they can be made */
};

static void scrub_now(struct scrub *s)
{
    s->status = s->store->ops->scrub(s->store, &s->found_clean, &s->error);
}

static void *scrub_main(void *arg)
{
    struct scrub *s = arg;

    (void)pthread_setname_np(pthread_self(), "scrub");
    scrub_now(s);
    struct receipts *r = atomic_load(&s->receipts);
    if (r != NULL) {
        s->receipts_status = make_receipts(r, &s->receipts_error);
        crypto_thread_cleanup();
    }
    return NULL;
}

/* Without another thread it is done at once. */
static void scrub_begin(struct scrub *s)
{
    s->clean = true;
    s->running = pthread_create(&s->thread, NULL, scrub_main, s) == 0;
    if (!s->running)
        scrub_now(s);
}

static void scrub_join(struct scrub *s)
{
    if (s->running)
        (void)pthread_join(s->thread, NULL);
    s->running = false;
    s->clean = s->found_clean;
}

static enum kms_status scrub_end(struct scrub *s, struct kms_error *reterr)
{
    scrub_join(s);
    CRASH_POINT("erase-database-clean");
    if (s->status != KMS_OK && reterr != NULL)
        *reterr = s->error;
    return s->status;
}

/* --- receipts --------------------------------------------------------------------------------- */

/* While the database is still being emptied they are made for what is to be expected. When this returns the
 * scrub is over. */
static enum kms_status make_all(struct receipts *r, struct scrub *scrub, struct kms_error *reterr)
{
    atomic_store(&scrub->receipts, r);
    enum kms_status status = make_receipts(r, reterr);
    scrub_join(scrub); /* the other thread has done with `r`, too */
    atomic_store(&scrub->receipts, NULL);
    TRY(status);
    TRY(scrub_end(scrub, reterr));
    if (scrub->receipts_status != KMS_OK && reterr != NULL)
        *reterr = scrub->receipts_error;
    TRY(scrub->receipts_status);
    if (scrub->clean == r->clean)
        return KMS_OK;
    r->clean = scrub->clean;
    atomic_store(&r->next, 0);
    return make_receipts(r, reterr);
}

static enum kms_status append_receipts(struct committer *c, struct tombstone **stones,
                                       const struct erase_proof *proofs, size_t n,
                                       struct scrub *scrub, bool last, struct kms_error *reterr)
{
    struct buf      texts[RECEIPTS_AT_ONCE];
    struct bytes    lines[RECEIPTS_AT_ONCE];
    struct receipts r = { .c = c,
                          .stones = stones,
                          .proofs = proofs,
                          .texts = texts,
                          .n = n,
                          .now = clock_now(c->parts.clock),
                          .clean = scrub->clean };

    for (size_t i = 0; i < n; i++)
        buf_init(&texts[i], RECEIPT_BYTES);
    enum kms_status status = make_all(&r, scrub, reterr);
    for (size_t i = 0; i < n; i++)
        lines[i] = buf_bytes(&texts[i]);
    if (status == KMS_OK)
        status = audit_append(c->parts.audit, lines, n, last, true, reterr);
    for (size_t i = 0; i < n; i++)
        buf_release(&texts[i]);
    return status;
}

/* One sync for all of them: with the last. */
static enum kms_status write_receipts(struct committer *c, struct tombstone **stones,
                                      const struct erase_proof *proofs, size_t n,
                                      struct scrub *scrub, struct kms_error *reterr)
{
    for (size_t at = 0; at < n; at += RECEIPTS_AT_ONCE) {
        size_t left = n - at;
        bool   last = left <= RECEIPTS_AT_ONCE;
        TRY(append_receipts(c, stones + at, proofs + at, last ? left : RECEIPTS_AT_ONCE, scrub,
                            last, reterr));
    }
    return KMS_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void remember_erased(struct committer *c, const struct tombstone *t)
{
    if (c->n_erased == c->cap_erased) {
        size_t    cap = c->cap_erased == 0 ? 64 : c->cap_erased * 2;
        uint64_t *more = realloc(c->erased, cap * sizeof *more);
        if (more == NULL)
            return; /* not marked: the next start finds the slot empty and says so again */
        c->erased = more;
        c->cap_erased = cap;
    }
    c->erased[c->n_erased++] = t->serial;
}

/* A wrapping key has no material id, and a replaced material lives on in another slot. */
static void forget_opened(struct committer *c, struct tombstone **stones, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vault_forget(c->parts.vault, &stones[i]->material);
    epoch_barrier(c->parts.epoch);
    vault_reclaim(c->parts.vault);
    CRASH_POINT("erase-memory-wiped");
}

enum kms_status commit_erase_tombstones(struct committer *c, struct tombstone **stones, size_t n,
                                        struct kms_error *reterr)
{
    CLEANUP(freep) struct sealed      *slots = calloc(n, sizeof *slots);
    CLEANUP(freep) struct erase_proof *proofs = calloc(n, sizeof *proofs);
    CLEANUP(scrub_join) struct scrub   scrub = { .store = c->parts.store };

    if (slots == NULL || proofs == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to erase %zu slots", n);
    for (size_t i = 0; i < n; i++) {
        slots[i] = (struct sealed){ .slot = stones[i]->slot,
                                    .slot_generation = stones[i]->slot_generation,
                                    .slot_class = stones[i]->slot_class };
    }
    forget_opened(c, stones, n);
    scrub_begin(&scrub);
    TRY(vault_erase(c->parts.vault, slots, n, proofs, reterr));
    CRASH_POINT("erase-slots-empty");
    TRY(write_receipts(c, stones, proofs, n, &scrub, reterr));
    c->events_unsynced = false; /* they went to disk with them */
    CRASH_POINT("erase-receipt-written");
    for (size_t i = 0; i < n; i++)
        remember_erased(c, stones[i]);
    c->counts.erasures += n;
    return KMS_OK;
}

static void keep_unerased(struct committer *c, struct tombstone **stones, size_t n)
{
    struct tombstone *more = reallocarray(c->unerased, c->n_unerased + n, sizeof *more);

    if (more == NULL)
        abort(); /* as arenas do: the next start finishes it */
    c->unerased = more;
    for (size_t i = 0; i < n; i++)
        c->unerased[c->n_unerased++] = *stones[i];
}

void commit_note_unerased(struct committer *c, struct commit_job *job)
{
    for (size_t i = 0; job->says_erased && i < job->change.n_rows; i++) {
        const struct key_record *key = job->change.rows[i].key;
        for (size_t k = 0; key != NULL && k < c->n_unerased; k++)
            job->unerased = job->unerased || bytes_eq_str(key->name.arn, c->unerased[k].key_arn);
    }
}

void commit_erase_again(struct committer *c, struct commit_job **jobs, size_t n)
{
    CLEANUP(freep) struct tombstone **stones = NULL;
    struct kms_error                  err;
    bool                              asked = false;

    for (size_t i = 0; i < n; i++)
        asked = asked || jobs[i]->unerased;
    if (!asked)
        return;
    stones = calloc(c->n_unerased, sizeof(struct tombstone *));
    for (size_t i = 0; stones != NULL && i < c->n_unerased; i++)
        stones[i] = &c->unerased[i];
    enum kms_status status = stones == NULL
                                 ? KMS_FAIL(&err, KMS_E_INTERNAL, "no memory to erase")
                                 : commit_erase_tombstones(c, stones, c->n_unerased, &err);
    if (status == KMS_OK)
        c->n_unerased = 0;
    for (size_t i = 0; i < n && status != KMS_OK; i++) {
        if (jobs[i]->unerased && jobs[i]->status == KMS_OK) {
            jobs[i]->status = err.status;
            jobs[i]->error = err;
        }
    }
}

void commit_erase(struct committer *c, struct commit_job **jobs, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += jobs[i]->durable ? jobs[i]->change.n_rows : 0;
    CLEANUP(freep) struct tombstone **stones = calloc(total + 1, sizeof *stones);
    struct kms_error                  err;
    size_t                            m = 0;

    for (size_t i = 0; i < n && stones != NULL; i++) {
        for (size_t k = 0; jobs[i]->durable && k < jobs[i]->change.n_rows; k++) {
            if (jobs[i]->change.rows[k].kind == ROW_TOMBSTONE_INSERT)
                stones[m++] = jobs[i]->change.rows[k].tombstone;
        }
    }
    if (stones != NULL && m == 0)
        return;
    enum kms_status status = stones == NULL ? KMS_FAIL(&err, KMS_E_INTERNAL, "no memory to erase")
                                            : commit_erase_tombstones(c, stones, m, &err);
    if (status == KMS_OK)
        return;
    log_error("erase: %s (the material is unusable; erasing is tried again)", err.detail);
    c->counts.failures++;
    if (stones != NULL)
        keep_unerased(c, stones, m);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->durable && jobs[i]->status == KMS_OK) {
            jobs[i]->status = err.status;
            jobs[i]->error = err;
        }
    }
}

bool commit_add_marks(struct committer *c, struct change *change)
{
    for (size_t i = 0; i < c->n_erased; i++) {
        struct row *row = change_add(change, ROW_TOMBSTONE_ERASED);
        row->tombstone = calloc(1, sizeof *row->tombstone);
        if (row->tombstone == NULL)
            return false;
        row->tombstone->serial = c->erased[i];
    }
    return c->n_erased > 0;
}

void commit_mark_erased(struct committer *c)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    struct change                        *list[1] = { &change };
    enum kms_status                       result = KMS_OK;
    struct kms_error                      err;

    if (!commit_add_marks(c, &change))
        return;
    if (commit_apply(c, list, &result, 1, &err) == KMS_OK)
        c->n_erased = 0;
    else
        log_warning("tombstones stay unmarked: %s", err.detail);
}
