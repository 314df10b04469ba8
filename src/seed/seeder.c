/* seed/seeder.c - see seeder.h. */
#include "seed/seeder.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "commit/event.h"
#include "seed/internal.h"
#include "seed/stage.h"

enum { EVENT_BYTES = 16 * 1024 };

struct seeder {
    struct seeder_parts   parts;
    struct seed          *last;                  /* as it was put in; without key material */
    uint8_t               last_text[SHA256_LEN]; /* of its file */
    struct commit_job     job;
    struct seed_plan      plan;
    struct seeder_outcome outcome;
    bool                  fresh, exposed;
    size_t                rows;
    uint64_t              started_ns;
    void (*done)(const struct seeder_outcome *o, void *arg);
    void *arg;
};

struct seeder *seeder_new(const struct seeder_parts *parts)
{
    struct seeder *s = calloc(1, sizeof *s);

    if (s != NULL)
        s->parts = *parts;
    return s;
}

void seeder_free(struct seeder *s)
{
    if (s == NULL)
        return;
    seed_free(s->last);
    free(s);
}

/* --- making the change: on the committer's thread --------------------------------------------- */

/* The file as it is now. What has not changed since is not proved again: that takes long for RSA keys. */
static enum kms_status read_file(struct seeder *s, struct seed **ret, uint8_t digest[SHA256_LEN],
                                 struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(SEED_BYTES_MAX);
    bool                            same;

    TRY(file_read(s->parts.file, &text, reterr));
    s->exposed = seed_exposed(s->parts.file);
    crypto_sha256(buf_bytes(&text), digest);
    same = s->last != NULL &&
           bytes_eq(bytes_of(digest, SHA256_LEN), bytes_of(s->last_text, SHA256_LEN));
    TRY(seed_read(s->parts.file, buf_bytes(&text), !same, ret, reterr));
    if (same)
        seed_recall(*ret, s->last);
    return KMS_OK;
}

static enum kms_status write_event(const struct seeder *s, struct change *change, int64_t now,
                                   struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf details = BUF_INIT(EVENT_BYTES);
    struct json_writer              w;

    json_writer_init(&w, &details);
    json_open_object(&w, NULL);
    if (s->parts.file != NULL)
        json_put_str(&w, "seed", s->parts.file);
    json_put_int(&w, "rows", (int64_t)s->rows);
    json_close_object(&w);
    service_event_text(&change->event, now, s->fresh ? "TrentReset" : "TrentSeeded",
                       (struct bytes){ NULL, 0 }, buf_bytes(&details));
    if (!buf_ok(&details) || !buf_ok(&change->event))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the audit record of a seed is too long");
    return KMS_OK;
}

static enum kms_status make_change(struct seeder *s, struct commit_job *job,
                                   struct kms_error *reterr)
{
    CLEANUP(seed_freep) struct seed *seed = NULL;
    uint8_t                          digest[SHA256_LEN] = { 0 };
    const struct seed_world          world = {
                 .identities = s->parts.identities,
                 .directory = s->parts.directory,
                 .vault = s->parts.vault,
                 .serves = s->parts.serves,
                 .serves_ctx = s->parts.serves_ctx,
                 .now = s->fresh ? clock_wall_ms() : clock_now(s->parts.clock),
                 .fresh = s->fresh,
    };

    if (s->parts.file != NULL)
        TRY(read_file(s, &seed, digest, reterr));
    TRY(seed_stage(seed, &world, &s->plan, reterr));
    if (s->plan.n_left > 0)
        log_info("seed: %zu things are not as in the file any more, and stay so; the first: %s",
                 s->plan.n_left, s->plan.left);
    s->rows = s->plan.change.n_rows;
    if (s->rows > 0)
        TRY(write_event(s, &s->plan.change, world.now, reterr));
    job->change = s->plan.change;
    s->plan.change = (struct change){ .event = BUF_INIT(EVENT_BYTES) };
    job->kept = s->plan.kept;
    job->n_kept = s->plan.n_kept;
    if (seed != NULL)
        seed_forget_plain(seed);
    seed_free(s->last);
    s->last = TAKE(seed);
    memcpy(s->last_text, digest,
           sizeof digest); /* not before: what is recalled is of the same text */
    return KMS_OK;
}

static enum kms_status fill(struct commit_job *job, struct kms_error *reterr)
{
    struct seeder *s = job->arg;

    s->plan = (struct seed_plan){ .change = { .event = BUF_INIT(EVENT_BYTES) } };
    s->started_ns = clock_monotonic_ns();
    return make_change(s, job, reterr);
}

/* Slots that nothing names. A failure leaves orphans, which the next start erases. */
static void give_back(const struct seeder *s)
{
    struct erase_proof *proofs = calloc(s->plan.n_spare + 1, sizeof *proofs);

    if (proofs == NULL ||
        vault_erase(s->parts.vault, s->plan.spare, s->plan.n_spare, proofs, NULL) != KMS_OK)
        log_warning("seed: %zu slots stay in use until the next start", s->plan.n_spare);
    free(proofs);
}

static void finished(struct commit_job *job)
{
    struct seeder *s = job->arg;

    s->outcome.status = job->status;
    s->outcome.error = job->error;
    s->outcome.microseconds = (int64_t)((clock_monotonic_ns() - s->started_ns) / 1000);
    if (job->status != KMS_OK && job->untouched && s->plan.n_spare > 0)
        give_back(s);
    change_release(&job->change);
    seed_plan_release(&s->plan);
    s->done(&s->outcome, s->arg);
}

static void submit(struct seeder *s, bool fresh)
{
    s->fresh = fresh;
    s->job = (struct commit_job){ .fill = fill, .done = finished, .arg = s };
    commit_submit(s->parts.committer, &s->job);
}

void seeder_reset(struct seeder *s, void (*done)(const struct seeder_outcome *o, void *arg),
                  void          *arg)
{
    s->done = done;
    s->arg = arg;
    submit(s, true);
}

/* --- at start --------------------------------------------------------------------------------- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    bool            done;
};

static void wake(const struct seeder_outcome *o, void *arg)
{
    struct waiter *w = arg;

    (void)o;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void submit_and_wait(struct seeder *s, struct waiter *w)
{
    s->done = wake;
    s->arg = w;
    submit(s, false);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

enum kms_status seeder_apply(struct seeder *s, size_t *ret_rows, bool *ret_exposed,
                             struct kms_error *reterr)
{
    struct waiter w = { .done = false };

    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    submit_and_wait(s, &w);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.wake);
    if (s->outcome.status != KMS_OK && reterr != NULL)
        *reterr = s->outcome.error;
    *ret_rows = s->rows;
    *ret_exposed = s->exposed;
    return s->outcome.status;
}
