/* tests/unit/ctl/tool.h - runs of `trent` inside the test: arguments in, exit code and text out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "json/read.h"

struct tool_run {
    int    code;
    char  *out, *err;
    size_t out_len, err_len;
};

/* A folder that is removed, with what is in it, by tool_teardown; *state is its path. */
int tool_setup(void **state);
int tool_teardown(void **state);

/* Sets up secret memory and cryptography, once. */
enum kms_status tool_prepare(struct kms_error *reterr);

/* Runs "trent ARGS": words separated by single spaces; "%" stands for the folder. `in` NULL: empty
 * standard input. The result is freed by tool_free (CLEANUP). */
struct tool_run tool(const char *folder, const char *args, const char *in);
void tool_free(struct tool_run *run);

/* The output must be (or contain) this, and nothing may be on the other stream. */
#define assert_code(run, want)                                                                     \
    do {                                                                                           \
        if ((run).code != (want))                                                                  \
            fail_msg("exit code %d: %s%s", (run).code, (run).out, (run).err);                      \
    } while (0)
#define assert_says(text, want)                                                                    \
    do {                                                                                           \
        if (strstr((text), (want)) == NULL)                                                        \
            fail_msg("no '%s' in: %s", (want), (text));                                            \
    } while (0)
