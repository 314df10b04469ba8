/* base/crash_point.c - see crash_point.h. */
#include "base/crash_point.h"

#ifdef KMS_CRASH_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_point(const char *name)
{
    static _Atomic int passed;
    const char        *want = getenv("TRENT_CRASH_POINT");
    size_t             len = strlen(name);

    if (want == NULL || strncmp(want, name, len) != 0 || (want[len] != '\0' && want[len] != ':'))
        return;
    long nth = want[len] == ':' ? strtol(want + len + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 >= nth)
        (void)kill(getpid(), SIGKILL);
}

#else
typedef int crash_points_are_off; /* ISO C wants a declaration in every file */
#endif
