/* tests/faults/clock_shim.c - a clock that tests set, preloaded into the server (test_clock.py).
 *
 * The file that TRENT_TEST_CLOCK names holds two 64-bit numbers: milliseconds to add to the machine's
 * clock and to the boot clock. Each by itself: a jump moves only the former, time that passes moves
 * both. The monotonic clock, by which threads wait, stays as it is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offsets;

__attribute__((constructor)) static void open_offsets(void)
{
    const char *path = getenv("TRENT_TEST_CLOCK");
    int         fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    void *at = mmap(NULL, 2 * sizeof *offsets, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED)
        offsets = at;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long failed = syscall(SYS_clock_gettime, id, ret);

    if (failed != 0 || offsets == NULL || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME))
        return (int)failed;
    int64_t ns = ret->tv_nsec + offsets[id == CLOCK_BOOTTIME] * 1000000;
    ret->tv_sec += ns / 1000000000;
    ret->tv_nsec = ns % 1000000000;
    if (ret->tv_nsec < 0) {
        ret->tv_nsec += 1000000000;
        ret->tv_sec--;
    }
    return 0;
}
