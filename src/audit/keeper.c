/* audit/keeper.c - the housekeeping thread: syncs what was written, writes checkpoints, begins new
 * files, and keeps the emergency space that lets rights be taken away on a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/internal.h"
#include "base/cleanup.h"

/* Beside the reserve: room for what is written between two looks. */
enum { SPACE_SLACK = 256 * 1024 };

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

static bool look_now(const struct audit *a, int64_t last_ms)
{
    return clock_monotonic_ms() - last_ms >= a->limits.tick_ms ||
           a->chain.since >= a->limits.checkpoint_records || a->size >= a->limits.rotate_bytes;
}

void *audit_keeper_main(void *audit)
{
    struct audit *a = audit;
    int64_t       last_ms = clock_monotonic_ms();

    (void)pthread_setname_np(pthread_self(), "audit");
    (void)pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        if (a->first_waiter == NULL)
            clock_cond_wait(&a->wake, &a->lock, a->limits.tick_ms);
        else
            audit_tried(audit_sync_locked(a, a->first_waiter->seq, NULL)); /* they are told */
        tell_waiters(a);
        if (a->broken || a->stopping || !look_now(a, last_ms))
            continue;
        turn(a);
        last_ms = clock_monotonic_ms();
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}
