/* jobs/due.c - the heap of due times, and how the records get into it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "jobs/internal.h"

enum {
    SESSION_KEPT_MS = 15 * 60 * 1000, /* after its end */
    HEAP_SLACK = 256, /* entries beyond twice the needed ones, before the heap is tidied */
    WINDOW_MS = 10 * 60 * 1000, /* so far ahead the heap knows of keys that are cold */
};

static void heap_swap(struct due *a, struct due *b)
{
    struct due t = *a;

    *a = *b;
    *b = t;
}

static void heap_push(struct jobs *j, const struct due *d)
{
    if (j->n == j->cap) {
        size_t      cap = j->cap == 0 ? 256 : j->cap * 2;
        struct due *more = realloc(j->heap, cap * sizeof *more);
        if (more == NULL) {
            log_error("jobs: no memory for a timer; its key is looked at after the next restart");
            return;
        }
        j->heap = more;
        j->cap = cap;
    }
    size_t at = j->n++;
    j->heap[at] = *d;
    while (at > 0 && j->heap[at].when < j->heap[(at - 1) / 2].when) {
        heap_swap(&j->heap[at], &j->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct due heap_pop(struct jobs *j)
{
    struct due top = j->heap[0];

    j->heap[0] = j->heap[--j->n];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < j->n && j->heap[child].when < j->heap[least].when)
                least = child;
        }
        if (least == at)
            return top;
        heap_swap(&j->heap[at], &j->heap[least]);
        at = least;
    }
}

void due_push(struct jobs *j, const struct due *d)
{
    pthread_mutex_lock(&j->lock);
    bool first = j->n == 0 || d->when < j->heap[0].when;
    heap_push(j, d);
    if (first)
        pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

bool due_related(const struct due *a, const struct due *b)
{
    return a->kind == DUE_KEY && b->kind == DUE_KEY && strcmp(a->key_id, b->key_id) == 0 &&
           strcmp(a->account, b->account) == 0;
}

/* Where the heap's first goes: into the list, back later (a relative waits for the next change of its
 * family), or nowhere, if the very same is in the list. */
static void take_first(struct jobs *j, struct due *list, size_t *n, size_t *n_later)
{
    struct due first = heap_pop(j);

    for (size_t i = 0; i < *n; i++) {
        if (!due_related(&list[i], &first))
            continue;
        if (strcmp(list[i].region, first.region) != 0)
            j->later[(*n_later)++] = first;
        return;
    }
    list[(*n)++] = first;
}

size_t due_take(struct jobs *j, struct due *ret, size_t max)
{
    size_t  n = 0, n_later = 0;
    int64_t now = clock_now(j->parts.clock);

    assert(max <= JOBS_AT_ONCE);
    pthread_mutex_lock(&j->lock);
    while (n < max && n_later < max && j->n > 0 && j->heap[0].when <= now) {
        bool session = j->heap[0].kind == DUE_SESSION;
        if (n > 0 && session != (ret[0].kind == DUE_SESSION))
            break;
        take_first(j, ret, &n, &n_later);
    }
    for (size_t i = 0; i < n_later; i++)
        heap_push(j, &j->later[i]);
    pthread_mutex_unlock(&j->lock);
    return n;
}

bool due_any(struct jobs *j)
{
    int64_t now = clock_now(j->parts.clock);

    pthread_mutex_lock(&j->lock);
    bool due = j->n > 0 && j->heap[0].when <= now;
    pthread_mutex_unlock(&j->lock);
    return due;
}

static void name_copy(char *to, size_t size, struct bytes from)
{
    size_t n = from.len < size - 1 ? from.len : size - 1;

    memcpy(to, from.ptr, n);
    to[n] = '\0';
}

void due_name(struct due *ret, const struct key_record *key)
{
    name_copy(ret->account, sizeof ret->account, key->name.account);
    name_copy(ret->region, sizeof ret->region, key->name.region);
    name_copy(ret->key_id, sizeof ret->key_id, key->name.id);
}

static void add_key(struct jobs *j, const struct key_record *key)
{
    struct due d = { .when = key_next_event(key, j->parts.rotation_delay) };
    int64_t    warning = key_next_warning(key, &j->parts.warnings);

    if (j->parts.expiring != NULL)
        expiring_note(j->parts.expiring, key);
    if (warning < d.when)
        d.when = warning;
    if (d.when == INT64_MAX)
        return;
    due_name(&d, key);
    due_push(j, &d);
}

static void add_import_key(struct jobs *j, const struct import_key_record *key)
{
    struct due d = { .when = key->valid_to, .kind = DUE_IMPORT_KEY };

    memcpy(d.import_key, key->id, sizeof d.import_key);
    due_push(j, &d);
}

/* Its access key says for a while that it has ended; then it is one that nobody knows. */
static void add_session(struct jobs *j, const struct access_key_record *key)
{
    struct due d = { .when = key->session.expires + SESSION_KEPT_MS, .kind = DUE_SESSION };

    if (key->session.kind == SESSION_NONE)
        return;
    name_copy(d.key_id, sizeof d.key_id, key->id);
    due_push(j, &d);
}

static void load_key(const struct key_record *key, void *ctx)
{
    add_key(ctx, key);
}

static void load_import_key(const struct import_key_record *key, void *ctx)
{
    add_import_key(ctx, key);
}

static void load_session(const struct access_key_record *key, void *ctx)
{
    add_session(ctx, key);
}

void jobs_load(struct jobs *j)
{
    book_each_access_key(j->parts.identities, load_session, j);
    directory_each_key(j->parts.directory, load_key, j);
    directory_each_import_key(j->parts.directory, load_import_key, j);
    if (j->parts.expiring != NULL)
        expiring_filled(j->parts.expiring);
    pthread_mutex_lock(&j->lock);
    j->tidy_at = 2 * j->n + HEAP_SLACK;
    pthread_mutex_unlock(&j->lock);
}

static void add_due(void *ctx, const struct due_key *key)
{
    struct due d = { .when = key->when };

    name_copy(d.account, sizeof d.account, key->account);
    name_copy(d.region, sizeof d.region, key->region);
    name_copy(d.key_id, sizeof d.key_id, key->key_id);
    due_push(ctx, &d);
}

enum kms_status due_read(struct jobs *j, struct kms_error *reterr)
{
    int64_t now = clock_now(j->parts.clock);

    if (directory_lists_all(j->parts.directory))
        return KMS_OK; /* no key was ever cold: the heap has them all */
    pthread_mutex_lock(&j->lock);
    int64_t  after = j->window_until;
    uint64_t round = j->window_round;
    pthread_mutex_unlock(&j->lock);
    if (after - now > WINDOW_MS / 2)
        return KMS_OK;
    struct due_load due = { .range = { .after = after,
                                       .until = now + WINDOW_MS,
                                       .rotation_delay = j->parts.rotation_delay,
                                       .warning_days = j->parts.warnings.days,
                                       .n_warning_days = j->parts.warnings.n },
                            .visit = add_due,
                            .ctx = j };
    TRY(commit_read_due(j->committer, &due, reterr));
    pthread_mutex_lock(&j->lock);
    if (round == j->window_round)
        j->window_until = due.range.until;
    pthread_mutex_unlock(&j->lock);
    return KMS_OK;
}

/* Every change of a key adds an entry, and those before it stay until their time: a year, it may be. When
 * they are most of the heap it is made anew from the records. On the committer's thread, which alone may
 * walk the directory; what the jobs thread puts back meanwhile is at worst there twice. */
static void tidy(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    bool many = j->n > j->tidy_at ||
                (j->parts.expiring != NULL && expiring_crowded(j->parts.expiring));
    if (many) {
        j->n = 0;
        j->window_until = 0;
        j->window_round++;
    }
    pthread_mutex_unlock(&j->lock);
    if (many && j->parts.expiring != NULL)
        expiring_clear(j->parts.expiring);
    if (many)
        jobs_load(j);
}

void jobs_key_changed(void *jobs, const struct key_record *key)
{
    add_key(jobs, key);
    tidy(jobs);
}

void jobs_import_key_added(void *jobs, const struct import_key_record *key)
{
    add_import_key(jobs, key);
    tidy(jobs);
}

void jobs_session_added(void *jobs, const struct access_key_record *key)
{
    add_session(jobs, key);
    tidy(jobs);
}
