/* tests/faults/disk_shim.c - a disk that fails when tests say so, preloaded into the server
 * (test_failing_disk.py).
 *
 * The file that TRENT_TEST_DISK names holds a 32-bit number of a call (0: none, 1: fsync and fdatasync,
 * 2: the calls that write), a 32-bit errno, and a text that ends with a zero byte: calls on files whose
 * path ends with that text fail. How often that has happened is counted in the 32 bits behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct fault {
    uint32_t call;
    int32_t  error;
    char     path_end[120];
    uint32_t count;
};
enum { SYNCS = 1, WRITES = 2 };

static volatile struct fault *fault;

__attribute__((constructor)) static void open_fault(void)
{
    const char *path = getenv("TRENT_TEST_DISK");
    int         fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED)
        fault = at;
}

static int fails(uint32_t call, int fd)
{
    char link[64], path[512];

    if (fault == NULL || fault->call != call)
        return 0;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path);
    size_t  end = strlen((const char *)fault->path_end);
    if (len < (ssize_t)end || memcmp(path + len - end, (const char *)fault->path_end, end) != 0)
        return 0;
    fault->count++;
    errno = fault->error;
    return 1;
}

int fsync(int fd)
{
    return fails(SYNCS, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(SYNCS, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *from, size_t len)
{
    return fails(WRITES, fd) ? -1 : syscall(SYS_write, fd, from, len);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    return fails(WRITES, fd) ? -1 : syscall(SYS_pwrite64, fd, from, len, at);
}

ssize_t pwrite64(int fd, const void *from, size_t len, off_t at)
{
    return fails(WRITES, fd) ? -1 : syscall(SYS_pwrite64, fd, from, len, at);
}
