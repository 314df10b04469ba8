/* base/log.c - see log.h. One write(2) per line, so that lines of several threads do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"

enum { LINE_MAX_BYTES = 2048 };

static _Atomic int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

__attribute__((format(printf, 2, 0))) static void log_line(enum log_level level, const char *fmt,
                                                           va_list args)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    char                     text[LINE_MAX_BYTES];
    char                     line[LINE_MAX_BYTES + 64];

    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    (void)vsnprintf(text, sizeof text, fmt, args);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?'; /* no client text may start a line of its own */
    }
    char date[17] = { 0 };
    date_basic_write(date, clock_wall_ms());
    int len = snprintf(line, sizeof line, "%s %s %s\n", date, names[level], text);
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0) {
        /* nowhere left to say so */
    }
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *fmt, ...)                                                                \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        log_line(level, fmt, args);                                                                \
        va_end(args);                                                                              \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
