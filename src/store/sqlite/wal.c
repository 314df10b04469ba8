/* store/sqlite/wal.c - which syncs the WAL needs.
 *
 * Two of SQLite's do nothing for us, and clients wait for both. It syncs the header of a new WAL by itself, so
 * that a crash does not leave an old header before new frames: there are none of either when the WAL was empty
 * on the disk. And it syncs the WAL before copying it, though each commit has done so. Two are missing: that the
 * WAL was emptied is not on the disk before the next commit; and what a killed predecessor has written is read as
 * committed before it is on the disk, and slots would be erased for it. So:
 *
 * I0  What the WAL has when it is opened is on the disk before anybody acts on it.
 * I1  The WAL is on the disk as empty when emptying it has returned.
 * I2  A sync is left out only if nothing was written since the last one, or nothing but the header of a WAL that
 *     was empty by I1: it goes to the disk with the commit behind it. Of what was cut off before that, the next
 *     start finds no header, or frames whose checksums do not follow from it, and so nothing.
 */
#include "store/sqlite/internal.h"

enum { WAL_HEADER = 32 };

/* SQLite holds them as const, but they are the store's. */
static struct wal_watch *watch_of(const sqlite3_file *file)
{
    union {
        const sqlite3_io_methods *methods;
        struct wal_watch         *watch;
    } at = { .methods = file->pMethods };

    return at.watch;
}

static int watched_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
    struct wal_watch *w = watch_of(file);

    w->written = true;
    w->only_header = w->only_header && at == 0 && len == WAL_HEADER;
    return w->real->xWrite(file, from, len, at);
}

static int watched_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct wal_watch *w = watch_of(file);

    w->written = true;
    w->only_header = false;
    int rc = w->real->xTruncate(file, size);
    if (rc == SQLITE_OK && size == 0)
        rc = w->real->xSync(file, SQLITE_SYNC_NORMAL);
    if (rc != SQLITE_OK || size != 0)
        return rc;
    w->written = false;
    w->only_header = true;
    return SQLITE_OK;
}

static int watched_sync(sqlite3_file *file, int flags)
{
    struct wal_watch *w = watch_of(file);

    if (!w->written || w->only_header)
        return SQLITE_OK;
    int rc = w->real->xSync(file, flags);
    w->written = rc != SQLITE_OK;
    return rc;
}

enum kms_status wal_watch_install(struct sqlite_store *s, struct kms_error *reterr)
{
    sqlite3_file *file = NULL;
    int           rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);

    if (rc != SQLITE_OK || file == NULL || file->pMethods == NULL)
        return database_fail(s->db, s->path, rc, "open", reterr);
    rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL); /* I0 */
    if (rc != SQLITE_OK)
        return database_fail(s->db, s->path, rc, "write", reterr);
    s->wal = (struct wal_watch){
        .methods = *file->pMethods,
        .real = file->pMethods,
    };
    s->wal.methods.xWrite = watched_write;
    s->wal.methods.xTruncate = watched_truncate;
    s->wal.methods.xSync = watched_sync;
    file->pMethods = &s->wal.methods;
    return KMS_OK;
}
