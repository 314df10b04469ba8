/* base/file.c - see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

bool file_join(char out[FILE_PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, FILE_PATH_MAX, "%s/%s", dir, name);

    return len > 0 && len < FILE_PATH_MAX;
}

bool file_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

void file_alarm_ring(const struct file_alarm *alarm, const char *what)
{
    if (alarm->ring != NULL)
        alarm->ring(alarm->ctx, what);
}

bool file_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

enum kms_status file_read(const char *path, struct buf *out, struct kms_error *reterr)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open '%s': %s", path, strerror(errno));
    for (;;) {
        size_t room = out->limit - out->len < 65536 ? out->limit - out->len : 65536;
        if (room == 0) {
            uint8_t one;
            ssize_t more = read(fd, &one, 1);
            if (more == 0)
                return KMS_OK;
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s' is longer than %zu bytes", path,
                            out->limit);
        }
        if (!buf_reserve(out, room))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for '%s'", path);
        ssize_t n = read(fd, out->ptr + out->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read '%s': %s", path, strerror(errno));
        if (n == 0)
            return KMS_OK;
        out->len += (size_t)n;
    }
}

/* Formatting a text may change errno. */
static enum kms_status write_failed(struct kms_error *reterr)
{
    int             why = errno;
    enum kms_status status = KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot write: %s", strerror(why));

    errno = why;
    return status;
}

enum kms_status file_append_all(int fd, struct bytes from, struct kms_error *reterr)
{
    while (from.len > 0) {
        ssize_t n = write(fd, from.ptr, from.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_failed(reterr);
        from.ptr += n;
        from.len -= (size_t)n;
    }
    return KMS_OK;
}

enum kms_status file_pwrite_all(int fd, struct bytes from, uint64_t at, struct kms_error *reterr)
{
    while (from.len > 0) {
        ssize_t n = pwrite(fd, from.ptr, from.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_failed(reterr);
        from.ptr += n;
        from.len -= (size_t)n;
        at += (uint64_t)n;
    }
    return KMS_OK;
}

enum kms_status file_pread_all(int fd, void *to, size_t len, uint64_t at, struct kms_error *reterr)
{
    uint8_t *p = to;

    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read: %s", strerror(errno));
        if (n == 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "file ends %zu bytes early", len);
        p += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return KMS_OK;
}

enum kms_status file_sync_dir(const char *dir, struct kms_error *reterr)
{
    CLEANUP(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot sync folder '%s': %s", dir,
                        strerror(errno));
    return KMS_OK;
}

enum kms_status file_write(const char *path, struct bytes content, unsigned mode, bool replace,
                           struct kms_error *reterr)
{
    char tmp[FILE_PATH_MAX];
    char dir[FILE_PATH_MAX];

    if (!replace && file_exists(path))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s' exists already", path);
    int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (n < 0 || n >= (int)sizeof tmp)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", path);
    {
        CLEANUP(closep) int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                                      (mode_t)mode);
        if (fd < 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create '%s': %s", tmp, strerror(errno));
        TRY(file_append_all(fd, content, reterr));
        if (fsync(fd) != 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot sync '%s': %s", tmp, strerror(errno));
    }
    if (rename(tmp, path) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot rename '%s': %s", tmp, strerror(errno));

    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL)
        return file_sync_dir(".", reterr);
    slash[slash == dir ? 1 : 0] = '\0';
    return file_sync_dir(dir, reterr);
}
