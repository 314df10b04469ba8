/* tests/budget/prctl_shim.c - preloaded into a trentd that valgrind runs: memory that cannot become executable
 * (PR_SET_MDWE, src/harden.c) is what valgrind's translations need. Nothing else is changed. */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SET_MDWE = 65 }; /* PR_SET_MDWE, which headers of Linux 6.1 lack */

int prctl(int option, ...)
{
    unsigned long more[4];
    va_list       args;

    va_start(args, option);
    for (int i = 0; i < 4; i++)
        more[i] = va_arg(args, unsigned long);
    va_end(args);
    if (option == SET_MDWE)
        return 0;
    return (int)syscall(SYS_prctl, option, more[0], more[1], more[2], more[3]);
}
