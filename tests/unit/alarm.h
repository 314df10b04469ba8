/* tests/unit/alarm.h - a file_alarm (base/file.h) that notes what it was told. */
#pragma once

#include <stdio.h>

#include "base/file.h"

struct rung {
    unsigned times;
    char     what[256]; /* the last one */
};

static inline void rung_note(void *ctx, const char *what)
{
    struct rung *r = ctx;

    r->times++;
    (void)snprintf(r->what, sizeof r->what, "%s", what);
}

static inline struct file_alarm rung_alarm(struct rung *r)
{
    return (struct file_alarm){ rung_note, r };
}
