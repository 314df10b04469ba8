/* instance/clock_mark.c - what the machine's clock was set to when the server last ran.
 *
 * The file DIR/clock is one line: the boot id of the kernel, a space, and the machine's clock minus
 * its boot clock in milliseconds. While the machine stays up that number changes only when the clock
 * is set, however long the server was down. After a reboot nothing tells how long the machine was off:
 * an hour or a year are the same, so the time has to be confirmed, by an operator or by ten minutes.
 *
 * The line has no MAC: who can write it can erase the slots themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "instance/instance.h"

enum { BOOT_ID = 36, LINE_MAX_LEN = 80, SAME_MS = 1000 };

struct mark {
    char    boot[BOOT_ID + 1];
    int64_t drift;
};

/* The kernel's name for the time since it was started; false if it has none. */
static bool read_boot(char ret[BOOT_ID + 1])
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LINE_MAX_LEN);

    if (file_read("/proc/sys/kernel/random/boot_id", &text, NULL) != KMS_OK || text.len < BOOT_ID)
        return false;
    memcpy(ret, text.ptr, BOOT_ID);
    ret[BOOT_ID] = '\0';
    return true;
}

static bool read_mark(const char *path, struct mark *ret)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LINE_MAX_LEN);
    char                           *end = NULL;

    if (!file_exists(path) || file_read(path, &text, NULL) != KMS_OK)
        return false;
    buf_add_byte(&text, '\0');
    if (!buf_ok(&text) || text.len < BOOT_ID + 4 || text.ptr[BOOT_ID] != ' ')
        return false;
    memcpy(ret->boot, text.ptr, BOOT_ID);
    ret->boot[BOOT_ID] = '\0';
    ret->drift = strtoll((const char *)text.ptr + BOOT_ID + 1, &end, 10);
    return *end == '\n';
}

void instance_clock_check(const struct instance_paths *paths, struct clock *clock, int64_t seen)
{
    struct mark mark;
    char        boot[BOOT_ID + 1];
    bool        doubt;

    if (!read_mark(paths->clock, &mark))
        doubt = clock_wall_ms() - seen > CLOCK_JUMP_MS;
    else if (!read_boot(boot) || strcmp(boot, mark.boot) != 0)
        doubt = true; /* times seen since the note may have been doubtful themselves */
    else
        doubt = clock_drift_ms() - mark.drift > CLOCK_JUMP_MS;
    if (doubt)
        clock_doubt(clock);
}

enum kms_status instance_clock_note(const struct instance_paths *paths, struct clock *clock,
                                    struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LINE_MAX_LEN);
    struct mark                     now = { .drift = clock_drift_ms() };
    struct mark                     stored;

    if (!clock_certain(clock) || !read_boot(now.boot))
        return KMS_OK;
    if (read_mark(paths->clock, &stored) && strcmp(stored.boot, now.boot) == 0 &&
        llabs(stored.drift - now.drift) < SAME_MS)
        return KMS_OK;
    buf_addf(&text, "%s %lld\n", now.boot, (long long)now.drift);
    return file_write(paths->clock, buf_bytes(&text), 0600, true, reterr);
}
