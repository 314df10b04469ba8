/* store/sqlite/upkeep.c - emptying the WAL, the clock's floor, and checking everything. */
#include "store/sqlite/internal.h"

#include <time.h>

#include "base/cleanup.h"

enum {
    SCRUB_TRIES = 5,
    SCRUB_WAIT_NS = 2 * 1000 * 1000,
    WAL_PAGES = 1000, /* from this length on the WAL is copied into the file after a commit */
};

bool sqlite_disk_failed(int rc)
{
    return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_NOMEM;
}

void sqlite_lost(struct sqlite_store *s, int rc)
{
    char what[256];

    if (s->broken)
        return;
    s->broken = true;
    (void)sqlite3_snprintf(sizeof what, what, "cannot write database '%.120s': %s (%s, code %d)",
                           s->path, sqlite3_errstr(rc), strerror(sqlite3_system_errno(s->db)), rc);
    file_alarm_ring(&s->base.alarm, what);
}

/* The commit before it is done, whatever becomes of this. */
static int copy_wal(void *store, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_store *s = store;

    if (pages < WAL_PAGES)
        return SQLITE_OK;
    int rc = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (sqlite_disk_failed(rc))
        sqlite_lost(s, rc);
    return SQLITE_OK;
}

void sqlite_mind_wal(struct sqlite_store *s)
{
    (void)sqlite3_wal_hook(s->db, copy_wal, s); /* gives back the hook before: SQLite's own */
}

/* A commit that failed may be complete in the WAL all the same: SQLite forgets it, but after a
 * crash the next start would find it.
 *
 * Full disk: it is not. The last thing to be written is the page that makes it a commit.
 * Write or sync error: nobody knows what the disk has. The process has to end (trust-model, rule 6):
 * the alarm sees to that.
 * Anything else, such as memory that ran out: the next commit goes to the same place in the WAL and
 * so overwrites it. */
void sqlite_commit_failed(struct sqlite_store *s)
{
    if (sqlite_disk_failed(s->last_failure))
        sqlite_lost(s, s->last_failure);
    else if ((s->last_failure & 0xff) != SQLITE_FULL)
        s->unsettled = true;
}

/* Ends what could not be rolled back, and commits something that changes nothing. */
static enum kms_status settle(struct sqlite_store *s, struct kms_error *reterr)
{
    struct meta_row m = { .meta = s->base.meta, .serials = s->serials };

    if (sqlite3_get_autocommit(s->db) == 0)
        TRY(statement_run(s, STMT_ROLLBACK, NULL, reterr));
    s->last_failure = SQLITE_OK;
    enum kms_status status = row_put(s, STMT_META_UPDATE, &row_meta, &m, reterr);

    if (status == KMS_OK)
        s->unsettled = false;
    else
        sqlite_commit_failed(s);
    return status;
}

enum kms_status sqlite_usable(struct sqlite_store *s, struct kms_error *reterr)
{
    if (s->unsettled)
        TRY(settle(s, reterr));
    if (s->broken)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "database '%.120s': a write failed and its outcome is unknown until the next "
            "start: check the disk and restart",
            s->path);
    return KMS_OK;
}

/* What the checkpoint copies is all zero where rows were deleted (secure_delete, page.c), and the
 * WAL with the older pages is truncated. Then the page cache is emptied: its pages may hold what
 * page.c kept out of the file, and would carry it into the next WAL. */
enum kms_status sqlite_scrub(struct store *store, bool *ret_clean, struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    int                  rc = SQLITE_BUSY;

    TRY(sqlite_usable(s, reterr));
    for (int i = 0; i < SCRUB_TRIES; i++) {
        int left = -1;
        rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, &left, NULL);
        if (rc == SQLITE_OK && left == 0)
            break;
        if (rc == SQLITE_OK)
            rc = SQLITE_BUSY;
        if (sqlite_disk_failed(rc))
            sqlite_lost(s, rc);
        if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
            return database_fail(s->db, s->path, rc, "write", reterr);
        struct timespec wait = { .tv_nsec = SCRUB_WAIT_NS };
        (void)nanosleep(&wait, NULL); /* cut short by a signal, it only tries earlier */
    }
    if (rc == SQLITE_OK)
        (void)sqlite3_db_release_memory(s->db); /* fails only if there is nothing to give back */
    *ret_clean = rc == SQLITE_OK;
    return KMS_OK;
}

enum kms_status sqlite_set_clock_floor(struct store *store, int64_t ms, struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct meta_row      m = { .meta = s->base.meta, .serials = s->serials };

    TRY(sqlite_usable(s, reterr));
    if (ms <= m.meta.clock_floor)
        return KMS_OK;
    m.meta.clock_floor = ms;
    s->last_failure = SQLITE_OK;
    enum kms_status status = row_put(s, STMT_META_UPDATE, &row_meta, &m, reterr);
    if (status != KMS_OK) { /* the statement is a transaction of its own */
        sqlite_commit_failed(s);
        return status;
    }
    s->base.meta = m.meta;
    return KMS_OK;
}

enum kms_status sqlite_check(struct store *store, struct kms_error *reterr)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    char                 broken[64];

    TRY(database_check(s->db, s->path, "PRAGMA integrity_check(1)", reterr));
    TRY(database_ask(s->db, s->path, "PRAGMA foreign_key_check", broken, sizeof broken, reterr));
    if (broken[0] != '\0')
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "database '%.120s' is damaged (a row of table %s refers to no key): restore it "
            "from a backup",
            s->path, broken);
    return sqlite_verify_rows(s, reterr);
}
