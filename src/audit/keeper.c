/* audit/keeper.c - the housekeeping thread: syncs what was written, writes checkpoints, begins new
 * files, and keeps the emergency space that lets rights be taken away on a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/internal.h"
#include "base/cleanup.h"

enum {
    SPACE_SLACK = 256 * 1024, /* beside the reserve: room for what is written between two looks */
    SYNCS_ALONE = 16,         /* that wait for nobody, after one that has waited in vain */
    PIECE_MS = 10,            /* between two pieces of what is written out */
    PIECE_LEAST = 256 * 1024, /* bytes; less is left to the next sync */
    PIECE_MOST = 1024 * 1024,
    PAGE = 4096,
};

/* --- emergency space ----------------------------------------------------------------------------------------- */

bool audit_reserve_make(struct audit *a)
{
    char path[FILE_PATH_MAX];

    if (a->config.reserve_bytes == 0)
        return true;
    if (!file_join(path, a->dir, "reserve"))
        return false;
    CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (a->io->posix_fallocate(fd, 0, (off_t)a->config.reserve_bytes) != 0) {
        (void)!ftruncate(fd, 0); /* give back what it got */
        return false;
    }
    return true;
}

bool audit_reserve_free(struct audit *a)
{
    char path[FILE_PATH_MAX];

    if (!file_join(path, a->dir, "reserve") || truncate(path, 0) != 0)
        return false;
    a->reserve = false;
    return true;
}

bool audit_give_reserve(struct audit *a)
{
    (void)pthread_mutex_lock(&a->lock);
    bool given = a->reserve && !a->broken && audit_reserve_free(a);
    a->full = a->full || given;
    (void)pthread_mutex_unlock(&a->lock);
    return given;
}

/* Free bytes on the audit's filesystem, and whether that is less than it should be. */
static bool look_at_space(struct audit *a, uint64_t *ret_free, bool *ret_low)
{
    struct statvfs st;

    if (a->io->statvfs(a->dir, &st) != 0)
        return false;
    uint64_t total = (uint64_t)st.f_blocks * st.f_frsize;
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_low = total > 0 && *ret_free < total / 100 * a->limits.min_free_percent;
    return true;
}

/* Health turns green again without a restart once there is room for the reserve and some more. */
static void mind_space(struct audit *a)
{
    uint64_t free_bytes = 0;
    bool     low = false;

    if (!look_at_space(a, &free_bytes, &low))
        return;
    a->low = low;
    if (!a->full || low)
        return;
    if (!a->reserve && free_bytes >= a->config.reserve_bytes + SPACE_SLACK)
        a->reserve = audit_reserve_make(a);
    if (a->reserve && look_at_space(a, &free_bytes, &low) && !low && free_bytes >= SPACE_SLACK)
        a->full = false;
}

/* --- the thread ---------------------------------------------------------------------------------------------- */

/* One look at everything. What fails here shows in `healthy` and is tried again next time; records
 * that must not be lost have callers of their own who hear of it. */
static void turn(struct audit *a)
{
    int64_t now = clock_monotonic_ms();

    mind_space(a);
    /* failing: a checkpoint is also the write that shows whether the disk works again */
    if (a->failing || a->chain.since >= a->limits.checkpoint_records ||
        (a->chain.since > 0 && now - a->unsigned_since >= a->limits.checkpoint_ms))
        audit_tried(audit_checkpoint_locked(a, NULL));
    if (a->synced < a->chain.seq && now - a->last_sync >= a->limits.sync_ms)
        audit_tried(audit_sync_locked(a, a->chain.seq, NULL));
    if (a->size > 0 && (a->size >= a->limits.rotate_bytes ||
                        clock_now(a->config.clock) - a->file.time >= a->limits.rotate_ms))
        audit_tried(audit_rotate_locked(a, NULL));
}

static void tell_waiters(struct audit *a)
{
    while (a->first_waiter != NULL && (a->broken || a->first_waiter->seq <= a->synced)) {
        struct audit_waiter *w = a->first_waiter;
        a->first_waiter = w->next;
        w->told(w, w->seq <= a->synced ? KMS_OK : KMS_E_INTERNAL);
    }
}

/* Whoever has just been told asks again in a moment. On a slow disk one sync for all is better than two that take
 * turns, so the next one waits for those who were told, beside those who have come meanwhile, as long as the last
 * one took: on a fast one, too, it costs the processor more than twenty requests do. */
static void gather(struct audit *a)
{
    struct audit_gather *g = &a->gather;
    uint64_t             began = a->chain.seq;
    uint64_t             now = clock_monotonic_ns();
    uint64_t             until = now + g->wait_ns;

    if (g->syncs_alone > 0 || began >= g->expected) {
        g->syncs_alone -= g->syncs_alone > 0;
        return;
    }
    g->waiting = true;
    while (a->chain.seq < g->expected && a->first_waiter != NULL && now < until && !a->stopping) {
        clock_cond_wait_ns(&a->wake, &a->lock, (int64_t)(until - now));
        now = clock_monotonic_ns();
    }
    g->waiting = false;
    if ((a->chain.seq - began) * 2 < g->expected - began) /* these do not come back */
        g->syncs_alone = SYNCS_ALONE;
}

static void sync_for_waiters(struct audit *a)
{
    gather(a);
    uint64_t before = a->synced;
    uint64_t began = clock_monotonic_ns();
    if (a->first_waiter != NULL)
        audit_tried(audit_sync_locked(a, a->first_waiter->seq, NULL)); /* they are told */
    uint64_t took = clock_monotonic_ns() - began;
    uint64_t most = (uint64_t)a->limits.gather_ms * 1000 * 1000;
    a->gather.wait_ns = took < most ? took : most;
    a->gather.expected = a->chain.seq + (a->synced - before);
}

static bool look_now(const struct audit *a, int64_t last_ms)
{
    return clock_monotonic_ms() - last_ms >= a->limits.tick_ms ||
           a->chain.since >= a->limits.checkpoint_records || a->size >= a->limits.rotate_bytes;
}

/* Has the kernel begin to write what was appended, and forget what it began with some pieces ago: that is written
 * by now, and for what is not all processors would be interrupted. A sync of all that half a second brings would keep
 * a processor for ten milliseconds and more, and the loops' answers wait as long; in pieces it is work of a moment.
 * Only begins: whether it succeeds is for the next sync to say. False if there is not enough for a piece. */
static bool write_piece(struct audit *a)
{
    struct audit_writing *w = &a->writing;
    uint64_t upto = a->size / PAGE * PAGE; /* the page that the next record begins in stays */
    uint64_t written = w->earlier[w->oldest];
    int      fd = a->fd;

    if (upto < w->begun + PIECE_LEAST)
        return false;
    if (upto > w->begun + PIECE_MOST)
        upto = w->begun + PIECE_MOST;
    (void)pthread_mutex_unlock(&a->lock); /* nobody but this thread replaces the file */
    (void)sync_file_range(fd, (off_t)w->begun, (off_t)(upto - w->begun), SYNC_FILE_RANGE_WRITE);
    if (written > w->forgotten)
        (void)posix_fadvise(fd, (off_t)w->forgotten, (off_t)(written - w->forgotten),
                            POSIX_FADV_DONTNEED);
    (void)pthread_mutex_lock(&a->lock);
    w->forgotten = written;
    w->earlier[w->oldest] = w->begun;
    w->oldest = (w->oldest + 1) % PIECES_UNDER_WAY;
    w->begun = upto;
    return true;
}

/* Until somebody waits for a sync, or for a tick. */
static void rest(struct audit *a)
{
    int64_t ms = write_piece(a) ? PIECE_MS : a->limits.tick_ms;

    if (a->first_waiter == NULL && !a->stopping) /* the lock was given up */
        clock_cond_wait(&a->wake, &a->lock, ms);
}

void *audit_keeper_main(void *audit)
{
    struct audit *a = audit;
    int64_t       last_ms = clock_monotonic_ms();

    (void)pthread_setname_np(pthread_self(), "audit");
    (void)pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        if (a->first_waiter == NULL)
            rest(a);
        else
            sync_for_waiters(a);
        tell_waiters(a);
        if (a->broken || a->stopping || !look_now(a, last_ms))
            continue;
        turn(a);
        last_ms = clock_monotonic_ms();
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}
