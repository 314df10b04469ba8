/* audit/audit.c - the writer: one chain, one mutex, one write() per append (see internal.h for the
 * invariants). Records are hashed and written under the lock, since their order is the chain; the
 * fdatasync happens outside of it, one for everybody who waits. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/internal.h"
#include "base/cleanup.h"
#include "crypto/crypto.h"

static ssize_t io_write(int fd, const void *from, size_t len)
{
    return write(fd, from, len);
}

static const struct audit_io system_io = {
    .write = io_write,
    .ftruncate = ftruncate,
    .fdatasync = fdatasync,
    .posix_fallocate = posix_fallocate,
    .statvfs = statvfs,
};

static struct audit_limits with_defaults(struct audit_limits l)
{
    static const struct audit_limits standard = {
        .checkpoint_records = 1000,
        .checkpoint_ms = 60 * 1000,
        .sync_ms = 400,
        .gather_ms = 1,
        .rotate_bytes = 256ull * 1024 * 1024,
        .rotate_ms = 3600 * 1000,
        .tick_ms = 500,
        .min_free_percent = 1,
    };

    return (struct audit_limits){
        .checkpoint_records = l.checkpoint_records ? l.checkpoint_records
                                                   : standard.checkpoint_records,
        .checkpoint_ms = l.checkpoint_ms ? l.checkpoint_ms : standard.checkpoint_ms,
        .sync_ms = l.sync_ms ? l.sync_ms : standard.sync_ms,
        .gather_ms = l.gather_ms ? l.gather_ms : standard.gather_ms,
        .rotate_bytes = l.rotate_bytes ? l.rotate_bytes : standard.rotate_bytes,
        .rotate_ms = l.rotate_ms ? l.rotate_ms : standard.rotate_ms,
        .tick_ms = l.tick_ms ? l.tick_ms : standard.tick_ms,
        .min_free_percent = l.min_free_percent ? l.min_free_percent : standard.min_free_percent,
    };
}

/* --- making and freeing ------------------------------------------------------------------------------------ */

static void audit_free(struct audit *a)
{
    if (a->fd >= 0)
        (void)close(a->fd);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_cond_destroy(&a->synced_now);
    (void)pthread_mutex_destroy(&a->lock);
    buf_release(&a->batch);
    free(a);
}

static void audit_freep(struct audit **a)
{
    if (*a != NULL)
        audit_free(*a);
}

static enum kms_status audit_new(const struct audit_config *config, struct audit **ret,
                                 struct kms_error *reterr)
{
    struct audit *a = calloc(1, sizeof *a);

    if (a == NULL || strlen(config->dir) >= sizeof a->dir) {
        free(a);
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the audit of '%s'", config->dir);
    }
    memcpy(a->dir, config->dir, strlen(config->dir) + 1);
    memcpy(a->node, config->node, sizeof a->node);
    audit_node_name(a->node, a->node_name);
    a->config = *config;
    a->config.dir = a->dir;
    a->config.node = a->node;
    a->limits = with_defaults(config->limits);
    a->io = config->io != NULL ? config->io : &system_io;
    a->fd = -1;
    buf_init(&a->batch, AUDIT_BATCH_MAX);
    (void)pthread_mutex_init(&a->lock, NULL);
    clock_cond_init(&a->wake);
    (void)pthread_cond_init(&a->synced_now, NULL);
    *ret = a;
    return KMS_OK;
}

enum kms_status audit_create(const struct audit_config *config, struct kms_error *reterr)
{
    CLEANUP(audit_freep) struct audit *a = NULL;
    CLEANUP(buf_release) struct buf    pem = BUF_INIT(4096);
    char                               path[FILE_PATH_MAX];

    TRY(audit_new(config, &a, reterr));
    if (mkdir(a->dir, 0700) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create folder '%s': %s", a->dir,
                        strerror(errno));
    if (!file_join(path, a->dir, "audit.pub"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", a->dir);
    audit_public_key_pem(&pem, config->public_key);
    TRY(file_write(path, buf_bytes(&pem), 0644, false, reterr));
    if (!audit_reserve_make(a))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for %llu bytes of emergency space in '%s'",
                        (unsigned long long)config->reserve_bytes, a->dir);
    return file_sync_dir(a->dir, reterr);
}

/* --- opening ------------------------------------------------------------------------------------------------- */

enum kms_status audit_file_begin(struct audit *a, uint64_t first, int *ret_fd,
                                 struct audit_file *ret, struct kms_error *reterr)
{
    struct audit_file file = { .first = first, .time = clock_now(a->config.clock) };
    char              path[FILE_PATH_MAX];

    audit_file_name(file.name, file.time, first);
    if (!file_join(path, a->dir, file.name))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", a->dir);
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create '%s': %s", path, strerror(errno));
    *ret = file;
    *ret_fd = TAKE_FD(fd);
    return KMS_OK;
}

/* Keeps what is about to be cut: a power cut explains it, but somebody may want to look. Without
 * room for it, it is not kept: that must not keep the server from starting. */
static void keep_torn(struct audit *a, const struct audit_tail *tail)
{
    char                name[AUDIT_NAME_MAX];
    char                path[FILE_PATH_MAX];
    uint8_t             block[4096];
    CLEANUP(closep) int from = -1;

    (void)snprintf(name, sizeof name, "torn-%012llu-%lld", (unsigned long long)tail->chain.seq + 1,
                   (long long)clock_now(a->config.clock));
    if (audit_file_open(a->dir, tail->file.name, O_RDONLY, &from, NULL) != KMS_OK ||
        !file_join(path, a->dir, name))
        return;
    CLEANUP(closep) int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (uint64_t done = 0; to >= 0 && done < tail->dropped;) {
        size_t n = sizeof block;
        if (tail->dropped - done < n)
            n = (size_t)(tail->dropped - done);
        if (file_pread_all(from, block, n, tail->end + done, NULL) != KMS_OK ||
            file_append_all(to, bytes_of(block, n), NULL) != KMS_OK)
            return;
        done += n;
    }
}

static enum kms_status cut_torn(struct audit *a, const struct audit_tail *tail,
                                struct kms_error *reterr)
{
    keep_torn(a, tail);
    if (a->io->ftruncate(a->fd, (off_t)tail->end) != 0 || a->io->fdatasync(a->fd) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot cut '%s/%s' to %llu bytes: %s", a->dir,
                        tail->file.name, (unsigned long long)tail->end, strerror(errno));
    return KMS_OK;
}

static enum kms_status continue_file(struct audit *a, const struct audit_tail *tail,
                                     struct kms_error *reterr)
{
    a->chain = tail->chain;
    a->synced = 0; /* what a crash left may not be on disk yet */
    a->size = tail->end;
    a->file = tail->file;
    if (tail->file.name[0] == '\0') {
        TRY(audit_file_begin(a, 1, &a->fd, &a->file, reterr));
        return file_sync_dir(a->dir, reterr);
    }
    TRY(audit_file_open(a->dir, tail->file.name, O_WRONLY | O_APPEND, &a->fd, reterr));
    if (tail->dropped > 0)
        TRY(cut_torn(a, tail, reterr));
    if (a->io->fdatasync(a->fd) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot sync '%s/%s': %s", a->dir, tail->file.name,
                        strerror(errno));
    a->synced = a->chain.seq;
    return KMS_OK;
}

/* A reserve that a full disk had us give up is made again by the keeper, when there is room. */
static void look_for_reserve(struct audit *a)
{
    char        path[FILE_PATH_MAX];
    struct stat st;

    a->reserve = a->config.reserve_bytes == 0 ||
                 (file_join(path, a->dir, "reserve") && stat(path, &st) == 0 &&
                  (uint64_t)st.st_size >= a->config.reserve_bytes);
    if (!a->reserve)
        a->reserve = audit_reserve_make(a);
    a->full = !a->reserve;
}

enum kms_status audit_open(const struct audit_config *config, struct audit **ret,
                           struct audit_head *ret_head, struct kms_error *reterr)
{
    CLEANUP(audit_freep) struct audit *a = NULL;
    struct audit_tail                  tail;

    TRY(audit_new(config, &a, reterr));
    TRY(audit_tail_find(a->dir, a->node, config->public_key, &tail, reterr));
    TRY(continue_file(a, &tail, reterr));
    look_for_reserve(a);
    a->last_sync = clock_monotonic_ms();
    a->unsigned_since = a->last_sync;
    /* before the thread that writes checkpoints moves the chain on */
    struct audit_head head = { .seq = a->chain.seq,
                               .time = a->chain.time,
                               .commit = a->chain.commit,
                               .dropped = tail.dropped };
    memcpy(head.hash, tail.chain.head, sizeof head.hash);
    memcpy(head.slot_generation, tail.chain.slot_generation, sizeof head.slot_generation);
    int failed = pthread_create(&a->keeper, NULL, audit_keeper_main, a);
    if (failed != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start the audit thread: %s",
                        strerror(failed));
    *ret_head = head;
    *ret = TAKE(a);
    return KMS_OK;
}

void audit_close(struct audit *a)
{
    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    a->stopping = true;
    (void)pthread_cond_signal(&a->wake);
    (void)pthread_mutex_unlock(&a->lock);
    (void)pthread_join(a->keeper, NULL);

    /* what fails here is found and mended when it is opened again */
    (void)pthread_mutex_lock(&a->lock);
    if (a->chain.since > 0)
        audit_tried(audit_checkpoint_locked(a, NULL));
    audit_tried(audit_sync_locked(a, a->chain.seq, NULL));
    (void)pthread_mutex_unlock(&a->lock);
    audit_free(a);
}

/* --- appending ----------------------------------------------------------------------------------------------- */

/* Puts the lines of the events into `batch`; `chain` becomes what it will be after them. */
static enum kms_status build(struct audit *a, const struct bytes *events, size_t n,
                             struct audit_chain *chain, struct kms_error *reterr)
{
    buf_reset(&a->batch);
    for (size_t i = 0; i < n; i++) {
        size_t start = a->batch.len;
        if (events[i].len == 0 || events[i].len > AUDIT_LINE_MAX - AUDIT_LINK_MAX ||
            memchr(events[i].ptr, '\n', events[i].len) != NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: a record of %zu bytes is not one line",
                            events[i].len);
        chain->seq++;
        chain->since++;
        buf_add(&a->batch, events[i]);
        audit_link_add(&a->batch, a->node_name, chain->seq, chain->head);
        if (!buf_ok(&a->batch))
            break;
        struct bytes line = { a->batch.ptr + start, a->batch.len - start };
        audit_link_hash(chain->head, line, chain->head);
        buf_add_byte(&a->batch, '\n');
        int64_t  time;
        uint64_t commit;
        audit_ending(events[i], &time, &commit);
        if (time > 0)
            chain->time = time;
        if (commit > chain->commit)
            chain->commit = commit;
    }
    if (!buf_ok(&a->batch))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: no memory for %zu records", n);
    return KMS_OK;
}

/* Broken for good. The kernel reports a lost write once and forgets it: a second try that succeeds
 * would prove nothing. Only reading the files again can tell what is in them. */
static enum kms_status audit_lost(struct audit *a, const char *doing, int why,
                                  struct kms_error *reterr)
{
    struct kms_error err;
    enum kms_status  status = KMS_FAIL(&err, KMS_E_INTERNAL, "audit: cannot %s '%s/%s': %s", doing,
                                       a->dir, a->file.name, strerror(why));

    a->counts.failures++;
    if (!a->broken) {
        a->broken = true;
        file_alarm_ring(&a->config.alarm, err.detail);
    }
    if (reterr != NULL)
        *reterr = err;
    return status;
}

/* One write. If not all of it went in, the file is as it was before: 0, or the error's number. */
static int write_batch(struct audit *a)
{
    ssize_t n;

    do {
        n = a->io->write(a->fd, a->batch.ptr, a->batch.len);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 && (size_t)n == a->batch.len)
        return 0;
    int cause = n < 0 ? errno : ENOSPC; /* a short write to a file: no more fits */
    if (n > 0 && a->io->ftruncate(a->fd, (off_t)a->size) != 0) /* half a record stays there */
        return errno == 0 || file_full(errno) ? EIO : errno;
    return cause;
}

enum kms_status audit_append_locked(struct audit *a, const struct bytes *events, size_t n,
                                    bool reserve, struct kms_error *reterr)
{
    struct audit_chain chain = a->chain;

    if (a->broken)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: refused after an earlier failure; restart");
    if ((a->full || a->low) && !reserve)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: no room in '%s'", a->dir);
    TRY(build(a, events, n, &chain, reterr));
    int cause = write_batch(a);
    if (file_full(cause)) {
        a->full = true;
        if (reserve && a->reserve && audit_reserve_free(a))
            cause = write_batch(a);
    }
    a->failing = cause != 0;
    if (cause != 0 && !file_full(cause))
        return audit_lost(a, "write", cause, reterr);
    if (cause != 0) {
        a->counts.failures++;
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: cannot write '%s/%s': %s", a->dir,
                        a->file.name, strerror(cause));
    }
    if (a->chain.since == 0)
        a->unsigned_since = clock_monotonic_ms();
    a->chain = chain;
    a->size += a->batch.len;
    a->counts.bytes += a->batch.len;
    if (chain.since >= a->limits.checkpoint_records || a->size >= a->limits.rotate_bytes)
        (void)pthread_cond_signal(&a->wake);
    return KMS_OK;
}

/* Without the lock. Nobody reads the log soon, and it would push what is read out of the page cache, and take a
 * new page for every few records. What is on disk is let go, so much at a time that it costs nothing; the page that
 * the next record begins in stays. Returns how much is gone. */
static uint64_t forget_cached(int fd, uint64_t forgotten, uint64_t size)
{
    enum { PAGE = 4096, AT_A_TIME = 64 * PAGE };
    uint64_t whole = size / PAGE * PAGE;

    if (whole < forgotten + AT_A_TIME)
        return forgotten;
    (void)posix_fadvise(fd, (off_t)forgotten, (off_t)(whole - forgotten), POSIX_FADV_DONTNEED);
    return whole;
}

enum kms_status audit_sync_locked(struct audit *a, uint64_t seq, struct kms_error *reterr)
{
    while (a->synced < seq) {
        if (a->broken)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: a sync has failed; restart");
        if (a->syncing) { /* the next one will take our records along */
            (void)pthread_cond_wait(&a->synced_now, &a->lock);
            continue;
        }
        uint64_t upto = a->chain.seq;
        uint64_t size = a->size;
        uint64_t forgotten = a->forgotten;
        int      fd = a->fd;
        a->syncing = true;
        (void)pthread_mutex_unlock(&a->lock);
        int failed = a->io->fdatasync(fd) != 0 ? errno : 0;
        if (failed == 0)
            forgotten = forget_cached(fd, forgotten, size);
        (void)pthread_mutex_lock(&a->lock);
        a->syncing = false;
        a->forgotten = forgotten;
        (void)pthread_cond_broadcast(&a->synced_now);
        if (failed != 0)
            return audit_lost(a, "sync", failed, reterr);
        a->synced = upto;
        a->last_sync = clock_monotonic_ms();
        a->counts.syncs++;
    }
    return KMS_OK;
}

enum kms_status audit_append(struct audit *a, const struct bytes *events, size_t n, bool sync,
                             bool reserve, struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&a->lock);
    enum kms_status status = audit_append_locked(a, events, n, reserve, reterr);
    if (status == KMS_OK && (sync || a->config.sync_always))
        status = audit_sync_locked(a, a->chain.seq, reterr);
    (void)pthread_mutex_unlock(&a->lock);
    return status;
}

enum kms_status audit_append_later(struct audit *a, const struct bytes *events, size_t n,
                                   bool reserve, struct audit_waiter *w, struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&a->lock);
    enum kms_status status = audit_append_locked(a, events, n, reserve, reterr);
    if (status == KMS_OK) {
        w->next = NULL;
        w->seq = a->chain.seq;
        if (a->first_waiter == NULL)
            a->first_waiter = w;
        else
            a->last_waiter->next = w;
        a->last_waiter = w;
        if (a->first_waiter == w || (a->gather.waiting && a->chain.seq >= a->gather.expected))
            (void)pthread_cond_signal(&a->wake); /* else the keeper is at it */
    }
    (void)pthread_mutex_unlock(&a->lock);
    return status;
}

void audit_forget_waiters(struct audit *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->first_waiter = a->last_waiter = NULL;
    (void)pthread_mutex_unlock(&a->lock);
}

enum kms_status audit_sync(struct audit *a, struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&a->lock);
    enum kms_status status = audit_sync_locked(a, a->chain.seq, reterr);
    (void)pthread_mutex_unlock(&a->lock);
    return status;
}

/* --- checkpoints and files ------------------------------------------------------------------------------------ */

enum kms_status audit_checkpoint_locked(struct audit *a, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    struct audit_checkpoint         c = {
                .first = a->chain.checkpoint_seq + 1,
                .last = a->chain.seq,
                .slot_generation = { a->chain.slot_generation[0], a->chain.slot_generation[1] },
                .commit = a->chain.commit,
                .time = clock_now(a->config.clock),
    };

    memcpy(c.node, a->node, sizeof c.node);
    memcpy(c.head, a->chain.head, sizeof c.head);
    memcpy(c.previous, a->chain.checkpoint_hash, sizeof c.previous);
    memcpy(c.public_key, a->config.public_key, sizeof c.public_key);
    audit_checkpoint_add(&text, &c);
    TRY(audit_signature_add(&text, 0, &a->config, reterr));
    struct bytes event = buf_bytes(&text);
    TRY(audit_append_locked(a, &event, 1, false, reterr));
    a->chain.since = 0;
    a->chain.checkpoint_seq = a->chain.seq;
    a->chain.checkpoint_time = c.time;
    memcpy(a->chain.checkpoint_hash, a->chain.head, sizeof a->chain.head);
    return KMS_OK;
}

enum kms_status audit_rotate_locked(struct audit *a, struct kms_error *reterr)
{
    struct audit_file   next;
    CLEANUP(closep) int fd = -1;

    TRY(audit_sync_locked(a, a->chain.seq, reterr)); /* most of it, while others write on */
    while (a->syncing)
        (void)pthread_cond_wait(&a->synced_now, &a->lock);
    /* from here on the lock is not given up: nothing comes between checkpoint and end of file */
    if (a->chain.since > 0)
        TRY(audit_checkpoint_locked(a, reterr));
    if (a->io->fdatasync(a->fd) != 0)
        return audit_lost(a, "sync", errno, reterr);
    a->synced = a->chain.seq;
    TRY(audit_file_begin(a, a->chain.seq + 1, &fd, &next, reterr));
    if (file_sync_dir(a->dir, reterr) != KMS_OK)
        return audit_lost(a, "sync the folder of", errno, reterr);
    (void)close(a->fd);
    a->fd = TAKE_FD(fd);
    a->file = next;
    a->size = a->forgotten = 0;
    a->writing = (struct audit_writing){ 0 };
    return KMS_OK;
}

/* --- asking ---------------------------------------------------------------------------------------------------- */

void audit_note(struct audit *a, const uint64_t slot_generation[2], uint64_t commit)
{
    (void)pthread_mutex_lock(&a->lock);
    a->chain.slot_generation[0] = slot_generation[0];
    a->chain.slot_generation[1] = slot_generation[1];
    if (commit > a->chain.commit)
        a->chain.commit = commit;
    (void)pthread_mutex_unlock(&a->lock);
}

bool audit_healthy(struct audit *a)
{
    (void)pthread_mutex_lock(&a->lock);
    bool healthy = !a->broken && !a->failing && !a->full && !a->low;
    (void)pthread_mutex_unlock(&a->lock);
    return healthy;
}

bool audit_failed(struct audit *a)
{
    (void)pthread_mutex_lock(&a->lock);
    bool broken = a->broken;
    (void)pthread_mutex_unlock(&a->lock);
    return broken;
}

void audit_counts(struct audit *a, struct audit_counts *ret)
{
    (void)pthread_mutex_lock(&a->lock);
    *ret = a->counts;
    ret->seq = a->chain.seq;
    ret->checkpoint_seq = a->chain.checkpoint_seq;
    ret->last_checkpoint = a->chain.checkpoint_time;
    (void)pthread_mutex_unlock(&a->lock);
}
