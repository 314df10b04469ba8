/* vault/grade.c - may we say "erased"? Looks at the filesystem under a slot file and tries it
 * (trust-model 2.7.4).
 *
 * Grade B needs all of: a filesystem known to overwrite in place, no journal of file contents, a
 * page that stays where it is over many rewrites, and an extent that is nobody else's. A question
 * that cannot be answered counts as a no.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vault/slot_file.h"

enum {
    REWRITES = 50,
    REWRITES_MIN = 5,             /* however slow the disk                       */
    BUDGET_NS = 15 * 1000 * 1000, /* start-up must not wait long for this        */
    MOUNTS_MAX = 4 * 1024 * 1024,
};

/* --- which filesystem ---------------------------------------------------------------------------------- */

struct mount {
    struct bytes type;
    struct bytes options;       /* of the mount      */
    struct bytes super_options; /* of the filesystem */
};

static struct bytes next_field(struct bytes *line)
{
    struct bytes field = *line;

    if (!bytes_cut(line, ' ', &field))
        *line = (struct bytes){ NULL, 0 };
    return field;
}

/* "36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda rw,errors=continue" (proc(5)) */
static bool mount_parse(struct bytes line, uint64_t want_id, struct mount *ret)
{
    char         id[24];
    int          len = snprintf(id, sizeof id, "%llu", (unsigned long long)want_id);
    struct bytes field = next_field(&line);

    if (!bytes_eq(field, bytes_of(id, (size_t)len)))
        return false;
    for (int skip = 0; skip < 4; skip++)
        (void)next_field(&line);
    ret->options = next_field(&line);
    while (line.len > 0 && !bytes_eq_str(field, "-"))
        field = next_field(&line);
    ret->type = next_field(&line);
    (void)next_field(&line);
    ret->super_options = next_field(&line);
    return ret->type.len > 0;
}

static bool mount_find(int fd, struct buf *text, struct mount *ret)
{
    struct statx st;
    struct bytes line;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0 || (st.stx_mask & STATX_MNT_ID) == 0 ||
        file_read("/proc/self/mountinfo", text, NULL) != KMS_OK)
        return false;
    struct bytes all = buf_bytes(text);
    while (bytes_cut(&all, '\n', &line)) {
        if (mount_parse(line, st.stx_mnt_id, ret))
            return true;
    }
    return false;
}

static bool has_option(struct bytes list, const char *option)
{
    while (list.len > 0) {
        struct bytes one = list;
        if (!bytes_cut(&list, ',', &one))
            list = (struct bytes){ NULL, 0 };
        if (bytes_eq_str(one, option))
            return true;
    }
    return false;
}

/* The mount table leaves out what is a filesystem's own default; ext4 tells the rest here. */
static bool ext4_journals_data(int fd, const struct mount *m)
{
    CLEANUP(buf_release) struct buf options = BUF_INIT(64 * 1024);
    struct stat                     st;
    char                            path[FILE_PATH_MAX];
    char                            device[FILE_PATH_MAX];
    int                             flags = 0;

    if (has_option(m->super_options, "data=journal") ||
        (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_JOURNAL_DATA_FL) != 0))
        return true;
    if (fstat(fd, &st) != 0)
        return true;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    ssize_t len = readlink(path, device, sizeof device - 1);
    if (len <= 0)
        return false; /* no such view here (a container): the mount options decide */
    device[len] = '\0';
    const char *slash = strrchr(device, '/');
    int         n = snprintf(path, sizeof path, "/proc/fs/ext4/%.200s/options",
                     slash == NULL ? device : slash + 1);
    if (n <= 0 || file_read(path, &options, NULL) != KMS_OK)
        return false;
    return memmem(options.ptr, options.len, "data=journal", 12) != NULL;
}

static bool btrfs_copies(int fd)
{
    int flags = 0;

    return ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_NOCOW_FL) == 0;
}

/* Why the kind of filesystem rules out grade B, or NULL. */
static const char *kind_objection(int fd, const struct mount *m)
{
    if (bytes_eq_str(m->type, "ext4"))
        return ext4_journals_data(fd, m) ? "data=journal keeps old contents in the journal" : NULL;
    if (bytes_eq_str(m->type, "xfs"))
        return NULL;
    if (bytes_eq_str(m->type, "btrfs"))
        return btrfs_copies(fd) ? "writes elsewhere instead of overwriting (no nodatacow)" : NULL;
    return "not known to overwrite in place";
}

/* --- where a page lies ------------------------------------------------------------------------------------ */

/* Fills the page's place on the device; false when the filesystem does not say, or says that the
 * place is not (only) ours. */
static bool place_of(int fd, uint64_t at, uint64_t *ret)
{
    const uint32_t bad = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |
                         FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |
                         FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_SHARED;
    /* room for one extent behind the request, aligned for it */
    union {
        struct fiemap map;
        uint8_t       room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } u = { .map = { .fm_start = at,
                     .fm_length = SLOT_PAGE,
                     .fm_flags = FIEMAP_FLAG_SYNC,
                     .fm_extent_count = 1 } };
    struct fiemap_extent e;

    if (ioctl(fd, FS_IOC_FIEMAP, &u.map) != 0 || u.map.fm_mapped_extents != 1)
        return false;
    memcpy(&e, u.room + sizeof(struct fiemap), sizeof e);
    if ((e.fe_flags & bad) != 0 || e.fe_logical > at || e.fe_logical + e.fe_length < at + SLOT_PAGE)
        return false;
    *ret = e.fe_physical + (at - e.fe_logical);
    return true;
}

bool grade_extent(int fd, uint64_t at, uint8_t ret[SHA256_LEN])
{
    uint64_t place[2] = { at, 0 };
    uint8_t  bytes[16];

    memset(ret, 0, SHA256_LEN);
    if (!place_of(fd, at, &place[1]))
        return false;
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(place[i / 8] >> (56 - 8 * (i % 8)));
    crypto_sha256(bytes_of(bytes, sizeof bytes), ret);
    return true;
}

/* Rewrites the page and looks each time whether it moved. False: it moved, or nobody can tell. */
static bool stays(int fd, uint64_t at, unsigned *ret_count, enum kms_status *ret_status,
                  struct kms_error *reterr)
{
    uint8_t  page[SLOT_PAGE];
    uint64_t home = 0;
    uint64_t now = 0;
    uint64_t until = clock_monotonic_ns() + BUDGET_NS;
    bool     same = place_of(fd, at, &home);

    for (*ret_count = 0; same && *ret_count < REWRITES; ++*ret_count) {
        if (*ret_count >= REWRITES_MIN && clock_monotonic_ns() > until)
            break;
        crypto_random(page, sizeof page);
        *ret_status = file_pwrite_all(fd, bytes_of(page, sizeof page), at, reterr);
        if (*ret_status == KMS_OK && fdatasync(fd) != 0)
            *ret_status = KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot sync a slot file: %s",
                                   strerror(errno));
        same = *ret_status == KMS_OK && place_of(fd, at, &now) && now == home;
    }
    return same;
}

enum kms_status grade_probe(int fd, uint64_t at, struct grade *ret, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(MOUNTS_MAX);
    struct mount                    m = { 0 };
    enum kms_status                 status = KMS_OK;
    unsigned                        count = 0;

    *ret = (struct grade){ .grade = ERASE_GRADE_C, .filesystem = "unknown" };
    if (!mount_find(fd, &text, &m)) {
        (void)snprintf(ret->reason, sizeof ret->reason, "the filesystem is not in the mount table");
        return KMS_OK;
    }
    (void)snprintf(ret->filesystem, sizeof ret->filesystem, "%.*s", BYTES_FMT(m.type));
    const char *objection = kind_objection(fd, &m);
    if (objection != NULL) {
        (void)snprintf(ret->reason, sizeof ret->reason, "%s: %s", ret->filesystem, objection);
        return KMS_OK;
    }
    if (!stays(fd, at, &count, &status, reterr)) {
        (void)snprintf(ret->reason, sizeof ret->reason,
                       "%s: a rewritten page moves, is shared, or "
                       "its place is not told",
                       ret->filesystem);
        return status;
    }
    ret->grade = ERASE_GRADE_B;
    (void)snprintf(ret->reason, sizeof ret->reason, "%s, extents unchanged over %u rewrites",
                   ret->filesystem, count);
    return KMS_OK;
}
