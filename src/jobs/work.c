/* jobs/work.c - what a due time means: one change per key and its relatives, or per import key. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "jobs/internal.h"
#include "key/resolve.h"

/* What cannot be undone waits until the time is certain (trust-model 2.8). A rotation by the calendar erases
 * nothing, but it cannot be undone either: by a wrong time every key would get a new material and be
 * left out of rotation until that time has really come, while nothing is lost by doing it later. A rotation
 * that somebody asked for is not put off: its delay only imitates the service. */
static const bool waits_for_certainty[WORK_COUNT] = {
    [WORK_DELETE] = true,     [WORK_EXPIRE] = true,   [WORK_ROTATE_AUTOMATIC] = true,
    [WORK_IMPORT_KEY] = true, [WORK_SESSIONS] = true, [WORK_WARN] = true,
};

/* May use the audit's emergency space. */
static const bool takes_away[WORK_COUNT] = {
    [WORK_DELETE] = true,
    [WORK_EXPIRE] = true,
    [WORK_IMPORT_KEY] = true,
};

static enum work work_of(const struct jobs *j, const struct key_record *key, int64_t now)
{
    if (key_gone(key, now))
        return WORK_DELETE;
    if (key_expired_material(key, now) != NULL)
        return WORK_EXPIRE;
    if (key_on_demand_due(key, now, j->parts.rotation_delay))
        return WORK_ROTATE;
    if (key_automatic_due(key, now))
        return WORK_ROTATE_AUTOMATIC;
    return now >= key_next_warning(key, &j->parts.warnings) ? WORK_WARN : WORK_NOTHING;
}

/* Rows for all that are not in the change yet. */
static void add_rows(struct task *t)
{
    for (size_t i = 0; i < t->family.n; i++) {
        if (t->family.of[i] != NULL)
            change_add(&t->job.change, ROW_KEY_UPDATE)->key = TAKE(t->family.of[i]);
    }
}

/* The window has ended: the key and its materials; the committer adds its import tokens. Its relatives forget
 * it, and a primary that has waited for its last replica begins its own window. */
static void plan_delete(struct task *t, int64_t now)
{
    struct key_record *gone = t->family.of[t->family.named];

    for (size_t i = 0; i < gone->n_materials; i++)
        change_bury(&t->job.change, gone->name.arn, &gone->materials[i].id,
                    &gone->materials[i].sealed, ERASE_KEY_DELETION, now);
    family_left(&t->family, now);
    struct row *row = change_add(&t->job.change, ROW_KEY_DELETE);
    row->key = TAKE(t->family.of[t->family.named]);
    row->expected_version = t->version;
    add_rows(t);
}

/* In this Region only. */
static void plan_expire(struct task *t, int64_t now)
{
    struct key_record         *key = t->family.of[t->family.named];
    const struct key_material *m = key_expired_material(key, now);
    struct material_id         id = m->id;

    change_bury(&t->job.change, key->name.arn, &id, &m->sealed, ERASE_EXPIRY, now);
    key_material_expired(key, &id);
    add_rows(t);
}

/* Nothing but the note that it was said; the committer says it. */
static void plan_warn(struct jobs *j, struct task *t, int64_t now)
{
    (void)key_warn(t->family.of[t->family.named], &j->parts.warnings, now);
    add_rows(t);
}

/* R40, R41, for all Regions. A generated key has its new material by now. */
static void plan_rotate(struct task *t, int64_t now)
{
    enum rotation_type type = t->work == WORK_ROTATE_AUTOMATIC ? ROTATION_AUTOMATIC
                                                               : ROTATION_ON_DEMAND;

    if (!family_rotation_complete(&t->family, now, type))
        t->things = 0; /* the request ends, but nothing has rotated */
    add_rows(t);
}

bool task_due(const struct jobs *j, const struct key_record *key)
{
    return work_of(j, key, clock_now(j->parts.clock)) != WORK_NOTHING;
}

/* Copies what the change will be made of: nothing waits inside the section. */
static enum kms_status look(struct jobs *j, struct task *t, struct kms_error *reterr)
{
    const struct key_record *list[FAMILY_MAX];
    const struct key_record *key = directory_key(j->parts.directory, bytes_str(t->due.account),
                                                 bytes_str(t->due.region),
                                                 bytes_str(t->due.key_id));
    size_t                   n = 1;

    t->now = clock_now(j->parts.clock);
    if (key == NULL && !t->absent && !directory_lists_all(j->parts.directory))
        return KMS_FAIL(reterr, KMS_E_CHANGED, "key %s is not in memory any more", t->due.key_id);
    if (key == NULL)
        return KMS_OK;
    t->work = work_of(j, key, t->now);
    if (t->work == WORK_NOTHING)
        return KMS_OK;
    if (waits_for_certainty[t->work] && !clock_certain(j->parts.clock))
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    t->version = key->version;
    list[0] = key;
    if (t->work != WORK_EXPIRE && t->work != WORK_WARN) {
        n = directory_family(j->parts.directory, key, list);
        if (n < key_regions_count(key->regions) && !directory_lists_all(j->parts.directory))
            return KMS_FAIL(reterr, KMS_E_CHANGED, "relatives of key %s are not in memory any more",
                            t->due.key_id);
    }
    if (!family_clone(list, n, key, t->now, &t->family))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for key %.*s", BYTES_FMT(key->name.arn));
    return KMS_OK;
}

static enum kms_status look_at_key(struct jobs *j, struct task *t, struct kms_error *reterr)
{
    epoch_enter(j->parts.epoch, j->reader);
    enum kms_status status = look(j, t, reterr);
    epoch_leave(j->parts.epoch, j->reader);
    return status;
}

/* --- new materials ---------------------------------------------------------------------------- */

static bool needs_material(const struct task *t)
{
    return t->status == KMS_OK && (t->work == WORK_ROTATE || t->work == WORK_ROTATE_AUTOMATIC) &&
           t->family.of[t->family.named]->origin == ORIGIN_AWS_KMS;
}

/* The records of all tasks in the list that need one, with one sync for all. */
static enum kms_status generate(struct jobs *j, struct task **list, size_t n,
                                struct kms_error *reterr)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        total += list[i]->family.n;
    CLEANUP(freep) struct key_record **records = calloc(total, sizeof *records);
    CLEANUP(freep) struct sealed      *spares = calloc(total, sizeof *spares);
    if (records == NULL || spares == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to rotate %zu keys", n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < list[i]->family.n; k++)
            records[at++] = list[i]->family.of[k];
    }
    TRY(vault_generate_next(j->parts.vault, records, total, list[0]->now, spares, reterr));
    at = 0;
    for (size_t i = 0; i < n; i++) {
        struct task *t = list[i];
        memcpy(t->spares, spares + at, t->family.n * sizeof *spares);
        t->n_spares = t->family.n;
        at += t->family.n;
    }
    return KMS_OK;
}

/* Together; if that fails each alone, since the trouble may be that of one. */
static void generate_all(struct jobs *j, struct task *tasks, size_t n)
{
    struct task     *list[JOBS_AT_ONCE];
    struct kms_error err;
    size_t           m = 0;

    for (size_t i = 0; i < n; i++) {
        if (needs_material(&tasks[i]))
            list[m++] = &tasks[i];
    }
    if (m == 0 || generate(j, list, m, &err) == KMS_OK)
        return;
    for (size_t i = 0; i < m; i++)
        list[i]->status = generate(j, &list[i], 1, &list[i]->err);
}

/* --- the change ------------------------------------------------------------------------------- */

static void finish_plan(struct jobs *j, struct task *t)
{
    t->job.takes_away = takes_away[t->work];
    switch (t->work) {
    case WORK_DELETE:           plan_delete(t, t->now); break;
    case WORK_EXPIRE:           plan_expire(t, t->now); break;
    case WORK_WARN:             plan_warn(j, t, t->now); break;
    case WORK_ROTATE:
    case WORK_ROTATE_AUTOMATIC: plan_rotate(t, t->now); break;
    case WORK_NOTHING:
    case WORK_IMPORT_KEY:
    case WORK_SESSIONS:
    case WORK_COUNT:            break;
    }
}

static enum kms_status plan_import_key(struct jobs *j, struct task *t, struct kms_error *reterr)
{
    struct change *change = &t->job.change;

    epoch_enter(j->parts.epoch, j->reader);
    const struct import_key_record *k = directory_import_key(j->parts.directory, t->due.import_key);
    int64_t                         now = clock_now(j->parts.clock);
    bool                            due = k != NULL && now >= k->valid_to;
    bool                            certain = clock_certain(j->parts.clock);
    if (due && certain) {
        struct row *gone = change_add(change, ROW_IMPORT_KEY_DELETE);
        memcpy(gone->import_key_id, k->id, sizeof gone->import_key_id);
        change_bury(change, k->key.arn, NULL, &k->sealed, ERASE_IMPORT_KEY, now);
    }
    epoch_leave(j->parts.epoch, j->reader);
    t->work = due ? WORK_IMPORT_KEY : WORK_NOTHING;
    if (due && !certain)
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    return KMS_OK;
}

/* --- keys that are cold ------------------------------------------------------------------------- */

/* Those that have to be loaded; of_task[i] is the task that the i-th of them is for. */
static size_t find_cold(struct jobs *j, struct task *tasks, size_t n, struct key_load *ret,
                        struct task **of_task)
{
    size_t m = 0;

    epoch_enter(j->parts.epoch, j->reader);
    for (struct task *t = tasks; t < tasks + n; t++) {
        struct key_wants wants = { .n_absent = 0 };
        if (t->due.kind == DUE_KEY)
            (void)resolve_name(j->parts.directory, bytes_str(t->due.account),
                               bytes_str(t->due.region), bytes_str(t->due.key_id), &wants);
        if (wants.next.kind == WANT_NOTHING)
            continue;
        ret[m] = (struct key_load){ .want = wants.next };
        of_task[m++] = t;
    }
    epoch_leave(j->parts.epoch, j->reader);
    return m;
}

/* Brings the keys of the tasks into memory. A task whose key cannot be read, or for which there is no memory,
 * fails. */
static void bring(struct jobs *j, struct task *tasks, size_t n)
{
    struct task     *of_task[JOBS_AT_ONCE];
    struct kms_error err;
    size_t           m = find_cold(j, tasks, n, j->loads, of_task);

    if (m == 0)
        return;
    if (commit_load_all(j->committer, j->loads, m, &err) != KMS_OK)
        log_debug("jobs: %s is tried again", err.detail); /* each load says what became of it */
    for (size_t i = 0; i < m; i++) {
        of_task[i]->absent = j->loads[i].status == KMS_OK && !j->loads[i].found;
        of_task[i]->status = j->loads[i].status;
        of_task[i]->unread = j->loads[i].status != KMS_OK;
    }
}

void tasks_plan(struct jobs *j, struct task *tasks, size_t n)
{
    bring(j, tasks, n);
    for (size_t i = 0; i < n; i++) {
        struct task *t = &tasks[i];
        if (t->status != KMS_OK)
            continue;
        t->status = t->due.kind == DUE_IMPORT_KEY ? plan_import_key(j, t, &t->err)
                                                  : look_at_key(j, t, &t->err);
    }
    generate_all(j, tasks, n);
    for (size_t i = 0; i < n; i++) {
        if (tasks[i].status == KMS_OK)
            finish_plan(j, &tasks[i]);
    }
}

static void count(struct jobs *j, const struct task *t)
{
    struct jobs_counts *c = &j->counts;

    pthread_mutex_lock(&j->lock);
    switch (t->work) {
    case WORK_DELETE:           c->deleted += t->things; break;
    case WORK_EXPIRE:           c->expired += t->things; break;
    case WORK_ROTATE:           c->rotated += t->things; break;
    case WORK_ROTATE_AUTOMATIC: c->rotated_automatic += t->things; break;
    case WORK_WARN:             c->warned += t->things; break;
    case WORK_IMPORT_KEY:       c->import_keys += t->things; break;
    case WORK_SESSIONS:         c->sessions += t->things; break;
    case WORK_NOTHING:
    case WORK_COUNT:            break;
    }
    pthread_mutex_unlock(&j->lock);
}

void task_end(struct jobs *j, struct task *t)
{
    bool submitted = t->job.done != NULL; /* which planning leaves alone */

    if (submitted && t->job.status == KMS_OK)
        count(j, t);
    for (size_t i = 0; i < t->n_spares && (!submitted || t->job.untouched); i++) {
        if (t->spares[i].wrapped.len > 0)
            vault_release(j->parts.vault, &t->spares[i]);
    }
    change_release(&t->job.change);
    family_release(&t->family);
}
