/* ctl/main.c - the program `trent`; everything is in run.c, where tests can call it. */
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
    return ctl_main(argc, argv, stdin, stdout, stderr);
}
