/* jobs/work.c - what a due time means: one change per key, handed to the committer, which also tells
 * about it (commit/caused.c). */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/log.h"
#include "commit/event.h"
#include "crypto/crypto.h"
#include "jobs/internal.h"

enum { EVENT_BYTES = 64 * 1024 };

/* What is to be done with a key now. */
enum work { WORK_NOTHING, WORK_DELETE, WORK_EXPIRE, WORK_ROTATE, WORK_WARN };

static enum work work_of(const struct jobs *j, const struct key_record *key, int64_t now)
{
    if (key_gone(key, now))
        return WORK_DELETE;
    if (key_expired_material(key, now) != NULL)
        return WORK_EXPIRE;
    if (key->on_demand_start != 0 && now >= key->on_demand_start + j->parts.rotation_delay)
        return WORK_ROTATE;
    if (now >= key_next_warning(key, &j->parts.warnings))
        return WORK_WARN;
    return WORK_NOTHING;
}

/* The window has ended: the key and its materials; the committer adds its import tokens. */
static void plan_delete(const struct key_record *key, struct key_record *edit, int64_t now,
                        struct change *change)
{
    struct row *row = change_add(change, ROW_KEY_DELETE);

    row->key = edit;
    row->expected_version = key->version;
    for (size_t i = 0; i < key->n_materials; i++)
        change_bury(change, key->name.arn, &key->materials[i].id, &key->materials[i].sealed,
                    ERASE_KEY_DELETION, now);
}

static void plan_expire(struct key_record *edit, int64_t now, struct change *change)
{
    const struct key_material *m = key_expired_material(edit, now);
    struct material_id         id = m->id;

    change_bury(change, edit->name.arn, &id, &m->sealed, ERASE_EXPIRY, now);
    key_material_expired(edit, &id);
    change_add(change, ROW_KEY_UPDATE)->key = edit;
}

/* Nothing but the note that it was said; the committer says it. */
static void plan_warn(struct jobs *j, struct key_record *edit, int64_t now, struct change *change)
{
    (void)key_warn(edit, &j->parts.warnings, now);
    change_add(change, ROW_KEY_UPDATE)->key = edit;
}

/* A delayed on-demand rotation ends: R40, R41. A generated key gets its new material now. */
static enum kms_status plan_rotate(struct jobs *j, struct key_record *edit, int64_t now,
                                   struct change *change, struct sealed *ret_spare,
                                   struct kms_error *reterr)
{
    struct key_record *owned = edit;

    change_add(change, ROW_KEY_UPDATE)->key = owned;
    if (edit->origin == ORIGIN_AWS_KMS) {
        struct key_material fresh = { .role = MATERIAL_PENDING_ROTATION, .created = now };
        TRY(vault_generate_material(j->parts.vault, edit, edit->arena, &fresh, reterr));
        fresh.role = MATERIAL_PENDING_ROTATION;
        *key_record_add_material(edit) = fresh;
        *ret_spare = fresh.sealed;
    }
    (void)key_rotation_complete(edit, now, ROTATION_ON_DEMAND);
    return KMS_OK;
}

static enum kms_status plan(struct jobs *j, enum work work, const struct key_record *key,
                            int64_t now, struct change *change, struct sealed *ret_spare,
                            struct kms_error *reterr)
{
    struct key_record *edit = key_record_clone(key);

    if (edit == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for key %.*s", BYTES_FMT(key->name.arn));
    edit->version = key->version + 1;
    switch (work) {
    case WORK_DELETE:  plan_delete(key, edit, now, change); return KMS_OK;
    case WORK_EXPIRE:  plan_expire(edit, now, change); return KMS_OK;
    case WORK_WARN:    plan_warn(j, edit, now, change); return KMS_OK;
    case WORK_ROTATE:  return plan_rotate(j, edit, now, change, ret_spare, reterr);
    case WORK_NOTHING: break;
    }
    key_record_free(edit);
    return KMS_OK;
}

static void count(struct jobs *j, enum work work)
{
    pthread_mutex_lock(&j->lock);
    j->counts.deleted += work == WORK_DELETE;
    j->counts.expired += work == WORK_EXPIRE;
    j->counts.rotated += work == WORK_ROTATE;
    j->counts.warned += work == WORK_WARN;
    pthread_mutex_unlock(&j->lock);
}

enum kms_status job_key(struct jobs *j, const struct due *d, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(EVENT_BYTES) };
    struct sealed                         spare = { 0 };
    enum kms_status                       status = KMS_OK;
    enum work                             work = WORK_NOTHING;
    bool                                  untouched = true;

    epoch_enter(j->parts.epoch, j->reader);
    const struct key_record *key = directory_key(j->parts.directory, bytes_str(d->account),
                                                 bytes_str(d->region), bytes_str(d->key_id));
    int64_t                  now = clock_now(j->parts.clock);
    if (key != NULL)
        work = work_of(j, key, now);
    bool doubtful = work != WORK_NOTHING && work != WORK_ROTATE && !clock_certain(j->parts.clock);
    if (work != WORK_NOTHING && !doubtful)
        status = plan(j, work, key, now, &change, &spare, reterr);
    epoch_leave(j->parts.epoch, j->reader);

    if (doubtful)
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    if (status == KMS_OK && change.n_rows > 0) {
        status = commit_wait(j->committer, &change, true, &untouched, reterr);
        if (status == KMS_OK)
            count(j, work);
    }
    if (untouched && spare.wrapped.len > 0)
        vault_release(j->parts.vault, &spare);
    return status;
}

enum kms_status job_import_key(struct jobs *j, const struct due *d, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(EVENT_BYTES) };

    epoch_enter(j->parts.epoch, j->reader);
    const struct import_key_record *k = directory_import_key(j->parts.directory, d->import_key);
    int64_t                         now = clock_now(j->parts.clock);
    bool                            due = k != NULL && now >= k->valid_to;
    if (due) {
        struct row *gone = change_add(&change, ROW_IMPORT_KEY_DELETE);
        memcpy(gone->import_key_id, k->id, sizeof gone->import_key_id);
        change_bury(&change, k->key.arn, NULL, &k->sealed, ERASE_IMPORT_KEY, now);
    }
    epoch_leave(j->parts.epoch, j->reader);

    if (!due)
        return KMS_OK;
    if (!clock_certain(j->parts.clock))
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    TRY(commit_wait(j->committer, &change, true, NULL, reterr));
    pthread_mutex_lock(&j->lock);
    j->counts.import_keys++;
    pthread_mutex_unlock(&j->lock);
    return KMS_OK;
}

/* One event for all: that a session has ended was said when it was made. */
static enum kms_status plan_sessions(struct jobs *j, const struct due *list, size_t n,
                                     struct change *change, struct kms_error *reterr)
{
    char extra[48];

    for (size_t i = 0; i < n; i++) {
        const struct access_key_record *k = book_access_key(j->parts.identities,
                                                            bytes_str(list[i].key_id));
        if (k == NULL || k->session.kind == SESSION_NONE)
            continue;
        struct row *gone = change_add(change, ROW_ACCESS_KEY_DELETE);
        gone->access_key = access_key_record_clone(k);
        gone->expected_version = k->version;
        if (gone->access_key == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a session");
    }
    int len = snprintf(extra, sizeof extra, "{\"sessions\":%zu}", change->n_rows);
    service_event_text(&change->event, clock_now(j->parts.clock), "TrentSessionsRemoved",
                       (struct bytes){ NULL, 0 }, bytes_of(extra, (size_t)len));
    return KMS_OK;
}

enum kms_status job_sessions(struct jobs *j, const struct due *list, size_t n,
                             struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(EVENT_BYTES) };

    epoch_enter(j->parts.epoch, j->reader);
    enum kms_status status = plan_sessions(j, list, n, &change, reterr);
    epoch_leave(j->parts.epoch, j->reader);
    TRY(status);
    size_t removed = change.n_rows;
    if (removed == 0)
        return KMS_OK;
    if (!clock_certain(j->parts.clock))
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    TRY(commit_wait(j->committer, &change, true, NULL, reterr));
    pthread_mutex_lock(&j->lock);
    j->counts.sessions += removed;
    pthread_mutex_unlock(&j->lock);
    return KMS_OK;
}
