/* tests/faults/clock_shim.c - a clock that tests set, preloaded into the server (clock_site.py).
 *
 * The file that TRENT_TEST_CLOCK names holds five 64-bit numbers, the first four milliseconds:
 *
 *   0, 1  added to the machine's clock and to the boot clock. Each by itself: a jump moves only the
 *         former, time that passes moves both
 *   2     if not 0, the machine's clock stands still at this time, and 0 does not count
 *   3     if not 0, the next sync of a slot file or of the database first moves the machine's clock by
 *         this (0, or 2 if it stands still), and it becomes 0: a step between a check and its commit
 *   4     so many such syncs are let pass before that
 *
 * The monotonic clock, by which threads wait, stays as it is; TRENT_TEST_NAP_MS shortens their waits.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WALL, BOOT, FROZEN, STEP, PASS, NUMBERS };

static volatile int64_t *numbers;
static long              nap_ms;

__attribute__((constructor)) static void open_numbers(void)
{
    const char *path = getenv("TRENT_TEST_CLOCK"), *nap = getenv("TRENT_TEST_NAP_MS");
    int         fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);

    nap_ms = nap == NULL ? 0 : strtol(nap, NULL, 10);
    if (fd < 0)
        return;
    void *at = mmap(NULL, NUMBERS * sizeof *numbers, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED)
        numbers = at;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long failed = syscall(SYS_clock_gettime, id, ret);

    if (failed != 0 || numbers == NULL || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME))
        return (int)failed;
    int64_t frozen = id == CLOCK_REALTIME ? numbers[FROZEN] : 0;
    if (frozen != 0) {
        ret->tv_sec = frozen / 1000;
        ret->tv_nsec = frozen % 1000 * 1000000;
        return 0;
    }
    int64_t ns = ret->tv_nsec + numbers[id == CLOCK_BOOTTIME ? BOOT : WALL] * 1000000;
    ret->tv_sec += ns / 1000000000;
    ret->tv_nsec = ns % 1000000000;
    if (ret->tv_nsec < 0) {
        ret->tv_nsec += 1000000000;
        ret->tv_sec--;
    }
    return 0;
}

/* --- a step at a sync --------------------------------------------------------------------------- */

static void step_at(int fd)
{
    char    link[64], name[512] = "";
    int64_t by = numbers == NULL ? 0 : numbers[STEP];

    if (by == 0)
        return;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, name, sizeof name - 1) <= 0 ||
        (strstr(name, ".slots") == NULL && strstr(name, "trent.db") == NULL))
        return;
    if (numbers[PASS] > 0) {
        numbers[PASS]--;
        return;
    }
    numbers[numbers[FROZEN] != 0 ? FROZEN : WALL] += by;
    numbers[STEP] = 0;
}

int fsync(int fd)
{
    step_at(fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    step_at(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

/* --- shorter waits: for whom waits, a wake-up that need not have a reason ----------------------------- */

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *lock, const struct timespec *until)
{
    struct timespec soon;

    if (nap_ms == 0)
        return pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, until);
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &soon);
    soon.tv_nsec += nap_ms * 1000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    if (until->tv_sec < soon.tv_sec ||
        (until->tv_sec == soon.tv_sec && until->tv_nsec < soon.tv_nsec))
        soon = *until;
    return pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, &soon);
}
