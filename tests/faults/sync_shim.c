/* tests/faults/sync_shim.c - writes down which files are written and synced, in order, preloaded into the
 * server (test_syncs.py).
 *
 * The file that TRENT_TEST_SYNCS names gets a line "write NAME" or "sync NAME" for each such call on a file in
 * a folder; a sync that has succeeded is written down afterwards. With TRENT_TEST_SYNC_MS a sync takes so much
 * longer; as long as the file is there that TRENT_TEST_SYNC_HOLD names, none comes to its end, and each gets a
 * line "hold NAME" first.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int         log_fd = -1;
static long        sync_ms;
static const char *hold;

__attribute__((constructor)) static void open_log(void)
{
    const char *path = getenv("TRENT_TEST_SYNCS");
    const char *ms = getenv("TRENT_TEST_SYNC_MS");

    hold = getenv("TRENT_TEST_SYNC_HOLD");
    if (path != NULL)
        log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (ms != NULL)
        sync_ms = atol(ms);
}

static void note(const char *what, int fd)
{
    char link[64], path[512], line[600];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (log_fd < 0 || len <= 0 || path[0] != '/')
        return;
    path[len] = '\0';
    int n = snprintf(line, sizeof line, "%s %s\n", what, strrchr(path, '/') + 1);
    (void)!syscall(SYS_write, log_fd, line, (size_t)n);
}

static int after_sync(int result, int fd)
{
    struct timespec pause = { sync_ms / 1000, sync_ms % 1000 * 1000000 };

    if (sync_ms > 0)
        (void)nanosleep(&pause, NULL);
    if (hold != NULL && access(hold, F_OK) == 0)
        note("hold", fd);
    while (hold != NULL && access(hold, F_OK) == 0)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    if (result == 0)
        note("sync", fd);
    return result;
}

int fsync(int fd)
{
    return after_sync((int)syscall(SYS_fsync, fd), fd);
}

int fdatasync(int fd)
{
    return after_sync((int)syscall(SYS_fdatasync, fd), fd);
}

ssize_t write(int fd, const void *from, size_t len)
{
    note("write", fd);
    return syscall(SYS_write, fd, from, len);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    note("write", fd);
    return syscall(SYS_pwrite64, fd, from, len, at);
}

ssize_t pwrite64(int fd, const void *from, size_t len, off_t at)
{
    note("write", fd);
    return syscall(SYS_pwrite64, fd, from, len, at);
}
