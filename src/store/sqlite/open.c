/* store/sqlite/open.c - creating a database, opening one, and every reason not to.
 *
 * Until all checks have passed, nothing is written: not the file, not its WAL. Each refusal is one
 * line that says what, where and how to mend it.
 */
#include "store/sqlite/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum {
    HEADER_BYTES = 100,
    HEADER_APPLICATION_ID = 68,
    QUICK_CHECK_PAGES = 16384, /* 64 MiB, some 100,000 keys */
};

/* --- settings (trust-model 4.9) --------------------------------------------------------------- */

/* Set (unless NULL), then read back. `optional`: a library built without it answers nothing. */
struct setting {
    const char *set;
    const char *read;
    const char *want;
    bool        optional;
};

/* Before anything is read. Exclusive: no other process, no shared memory file beside the WAL. */
static const struct setting first_settings[] = {
    { "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA main.locking_mode", "exclusive", false },
    { "PRAGMA busy_timeout=0", "PRAGMA busy_timeout", "0", false },
};

/* 33554431 pages: see I1 of page.c, which also needs the page size and auto_vacuum as they are. */
static const struct setting settings[] = {
    { NULL, "PRAGMA page_size", "4096", false },
    { NULL, "PRAGMA auto_vacuum", "0", false },
    { NULL, "PRAGMA encoding", "UTF-8", false },
    { "PRAGMA max_page_count=33554431", "PRAGMA max_page_count", "33554431", false },
    { "PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal", false },
    { "PRAGMA synchronous=FULL", "PRAGMA synchronous", "2", false },
    { "PRAGMA secure_delete=ON", "PRAGMA secure_delete", "1", false },
    { "PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2", false },
    { "PRAGMA mmap_size=0", "PRAGMA mmap_size", "0", true },
    { "PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", "0", false },
    { "PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", "1", false },
    { "PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", "1", false },
};

/* What a schema made by somebody else could make us run is off; cascades are not triggers. */
static const struct db_switch {
    int option, want;
} switches[] = {
    { SQLITE_DBCONFIG_DEFENSIVE, 1 },
    { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
    { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
    { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
    { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
    { SQLITE_DBCONFIG_DQS_DDL, 0 },
    { SQLITE_DBCONFIG_DQS_DML, 0 },
    { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 }, /* until all checks have passed */
};

static enum kms_status apply_settings(sqlite3 *db, const char *path, const struct setting *list,
                                      size_t n, struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++) {
        char got[32];
        if (list[i].set != NULL)
            TRY(database_exec(db, path, list[i].set, "set up", reterr));
        TRY(database_ask(db, path, list[i].read, got, sizeof got, reterr));
        if (bytes_eq_str(bytes_str(got), list[i].want) || (list[i].optional && got[0] == '\0'))
            continue;
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' cannot be used: '%s' answers '%s' and must answer '%s'",
                        path, list[i].read, got, list[i].want);
    }
    return KMS_OK;
}

static enum kms_status apply_switches(sqlite3 *db, const char *path, struct kms_error *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        int now = -1;
        int rc = sqlite3_db_config(db, switches[i].option, switches[i].want, &now);
        if (rc != SQLITE_OK || now != switches[i].want)
            return KMS_FAIL(
                reterr, KMS_E_INTERNAL,
                "database '%.120s' cannot be used: the SQLite library refuses option %d", path,
                switches[i].option);
    }
    return KMS_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

/* `path` with a suffix. */
static enum kms_status path_with(char out[FILE_PATH_MAX], const char *path, const char *suffix,
                                 struct kms_error *reterr)
{
    int len = snprintf(out, FILE_PATH_MAX, "%s%s", path, suffix);

    if (len < 0 || len >= FILE_PATH_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the path '%.100s...' is too long", path);
    return KMS_OK;
}

/* Makes the names of the files in the folder of `path` durable. */
static enum kms_status sync_folder(const char *path, struct kms_error *reterr)
{
    char folder[FILE_PATH_MAX];

    TRY(path_with(folder, path, "", reterr));
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return file_sync_dir(".", reterr);
    slash[slash == folder ? 1 : 0] = '\0';
    return file_sync_dir(folder, reterr);
}

static enum kms_status check_file(const char *path, struct kms_error *reterr)
{
    struct stat st;

    if (stat(path, &st) != 0 && errno == ENOENT)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "database '%.160s' is missing: restore it from a backup, or initialise a new "
            "data directory",
            path);
    if (stat(path, &st) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open database '%.160s': %s", path,
                        strerror(errno));
    if (!S_ISREG(st.st_mode))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "database '%.160s' is not a regular file", path);
    return KMS_OK;
}

/* Reads the file header through SQLite's descriptor: no lock is taken, and none is lost by closing
 * another descriptor of the same file (POSIX locks belong to the process). */
static enum kms_status check_header(sqlite3 *db, const char *path, struct kms_error *reterr)
{
    uint8_t       head[HEADER_BYTES];
    sqlite3_file *file = NULL;
    uint32_t      id = 0;
    int           rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc == SQLITE_OK)
        rc = file->pMethods->xRead(file, head, sizeof head, 0);
    if (rc == SQLITE_IOERR_SHORT_READ ||
        (rc == SQLITE_OK && memcmp(head, "SQLite format 3", 16) != 0))
        return database_fail(db, path, SQLITE_NOTADB, "open", reterr);
    if (rc != SQLITE_OK)
        return database_fail(db, path, rc, "read", reterr);
    struct bytes at = bytes_of(head + HEADER_APPLICATION_ID, 4);
    if (!bytes_take_u32(&at, &id) || id != APPLICATION_ID)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' belongs to another program (application_id %#x): choose "
                        "another data directory",
                        path, id);
    return KMS_OK;
}

static enum kms_status open_database(const char *path, sqlite3 **ret, struct kms_error *reterr)
{
    int rc = sqlite3_open_v2(
        path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

    if (rc != SQLITE_OK)
        return database_fail(*ret, path, rc, "open", reterr);
    if (sqlite3_db_readonly(*ret, "main") != 0)
        return database_fail(*ret, path, SQLITE_READONLY, "open", reterr);
    TRY(apply_switches(*ret, path, reterr));
    return apply_settings(*ret, path, first_settings, ARRAY_LEN(first_settings), reterr);
}

static void database_closep(sqlite3 **db)
{
    (void)sqlite3_close(
        *db); /* SQLITE_BUSY only with statements left, which would be ours to mend */
    *db = NULL;
}

/* --- looking at it ---------------------------------------------------------------------------- */

static enum kms_status read_peek(sqlite3 *db, const char *path, struct store_meta *ret,
                                 struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *stmt = NULL;
    struct store_meta                          m = { 0 };
    unsigned                                   version = 0;

    TRY(schema_version(db, path, schema_newest, &version, reterr));
    int rc = sqlite3_prepare_v2(db, peek_sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE || rc == SQLITE_ERROR) /* no row; no table or column */
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "database '%.120s' is damaged (table meta): restore it from a backup",
                        path);
    if (rc != SQLITE_ROW)
        return database_fail(db, path, rc, "read", reterr);
    TRY(row_read_peek(stmt, path, &m, reterr));
    m.schema_version = version;
    *ret = m;
    return KMS_OK;
}

enum kms_status store_sqlite_peek(const char *path, struct store_meta *ret,
                                  struct kms_error *reterr)
{
    CLEANUP(database_closep) sqlite3 *db = NULL;

    TRY(check_file(path, reterr));
    TRY(open_database(path, &db, reterr));
    TRY(check_header(db, path, reterr));
    return read_peek(db, path, ret, reterr);
}

/* --- a store ---------------------------------------------------------------------------------- */

static void sqlite_close(struct store *store)
{
    struct sqlite_store *s = (struct sqlite_store *)store;

    statements_finalize(s);
    database_closep(&s->db);
    buf_release(&s->mac_input);
    free(s->path);
    free(s);
}

static void store_closep(struct sqlite_store **s)
{
    if (*s != NULL)
        sqlite_close(&(*s)->base);
    *s = NULL;
}

static const struct store_ops sqlite_ops = {
    .load = sqlite_load,
    .apply = sqlite_apply,
    .put_usage = sqlite_put_usage,
    .read_deliveries = sqlite_read_deliveries,
    .find_key = sqlite_find_key,
    .count_keys = sqlite_count_keys,
    .list_keys = sqlite_list_keys,
    .next_keys = sqlite_next_keys,
    .each_deleting = sqlite_each_deleting,
    .each_slot = sqlite_each_slot,
    .each_due = sqlite_each_due,
    .put_access_key_uses = sqlite_put_access_key_uses,
    .scrub = sqlite_scrub,
    .set_clock_floor = sqlite_set_clock_floor,
    .check = sqlite_check,
    .close = sqlite_close,
};

static struct sqlite_store *store_new(const char *path, store_mac_fn mac, void *mac_ctx)
{
    struct sqlite_store *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->base.ops = &sqlite_ops;
    s->path = strdup(path);
    s->mac = mac;
    s->mac_ctx = mac_ctx;
    buf_init(&s->mac_input, ROW_MAC_INPUT_MAX);
    if (s->path == NULL)
        store_closep(&s);
    return s;
}

/* A counter below what is in its table would give a serial out twice. */
static enum kms_status check_serials(struct sqlite_store *s, struct kms_error *reterr)
{
    static const char *const highest[] = {
        "SELECT max(serial) FROM keys",       "SELECT max(serial) FROM aliases",
        "SELECT max(serial) FROM tombstones", "SELECT max(serial) FROM outbox",
        "SELECT max(serial) FROM identities", "SELECT max(serial) FROM access_keys",
        "SELECT max(serial) FROM grants",     "SELECT max(serial) FROM deliveries",
    };
    const uint64_t last[] = { s->serials.key,    s->serials.alias,    s->serials.tombstone,
                              s->serials.outbox, s->serials.identity, s->serials.access_key,
                              s->serials.grant,  s->serials.outbox };

    for (size_t i = 0; i < ARRAY_LEN(highest); i++) {
        CLEANUP(statement_finalizep) sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(s->db, highest[i], -1, &stmt, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            return database_fail(s->db, s->path, rc, "read", reterr);
        if ((uint64_t)sqlite3_column_int64(stmt, 0) > last[i])
            return KMS_FAIL(reterr, KMS_E_INTERNAL,
                            "table meta of database '%.100s' is older than what it counts (%s): "
                            "restore it from a backup",
                            s->path, highest[i]);
    }
    return KMS_OK;
}

static bool meta_is_new(const struct meta_row *m)
{
    return m->meta.commit == 0 && m->meta.slot_generation[0] == 0 &&
           m->meta.slot_generation[1] == 0 && m->meta.clock_floor == 0 && m->serials.key == 0 &&
           m->serials.alias == 0 && m->serials.tombstone == 0 && m->serials.outbox == 0 &&
           m->serials.identity == 0 && m->serials.access_key == 0 && m->serials.grant == 0;
}

/* The row has no MAC when the database was created, since there was no key to make it with; then it
 * says nothing either, and check_serials sees to it that there is nothing it should count. */
static enum kms_status read_meta(struct sqlite_store *s, struct kms_error *reterr)
{
    CLEANUP(statement_resetp) sqlite3_stmt *stmt = s->statements[STMT_META];
    struct meta_row                         m = { 0 };
    bool                                    more = false;

    TRY(row_step(s, stmt, &more, reterr));
    if (!more)
        return database_fail(NULL, s->path, SQLITE_CORRUPT, "read", reterr);
    TRY(row_read(s, stmt, 0, &row_meta, &m, NULL, reterr));
    bool unsigned_yet = sqlite3_column_type(stmt, sqlite3_column_count(stmt) - 1) == SQLITE_NULL;
    if (!unsigned_yet || !meta_is_new(&m))
        TRY(row_verify(s, stmt, &row_meta, &m, reterr));
    m.meta.schema_version = schema_newest;
    s->base.meta = m.meta;
    s->serials = m.serials;
    return check_serials(s, reterr);
}

/* Takes the exclusive lock for good: in exclusive mode it stays when the transaction ends. */
static enum kms_status lock_database(struct sqlite_store *s, struct kms_error *reterr)
{
    TRY(database_exec(s->db, s->path, "BEGIN EXCLUSIVE", "lock", reterr));
    return database_exec(s->db, s->path, "COMMIT", "lock", reterr);
}

static enum kms_status close_checkpoints(sqlite3 *db, const char *path, struct kms_error *reterr)
{
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);

    return rc == SQLITE_OK ? KMS_OK : database_fail(db, path, rc, "set up", reterr);
}

/* Looks at the structure of every page, which takes about a second for 500 MiB: so only of a small database.
 * A large one is looked at where it is read, page by page. */
static enum kms_status check_pages(const struct sqlite_store *s, struct kms_error *reterr)
{
    char pages[32];

    TRY(database_ask(s->db, s->path, "PRAGMA page_count", pages, sizeof pages, reterr));
    if (strtoll(pages, NULL, 10) > QUICK_CHECK_PAGES)
        return KMS_OK;
    return database_check(s->db, s->path, "PRAGMA quick_check(1)", reterr);
}

enum kms_status store_sqlite_open(const char *path, const uint8_t instance_id[16], store_mac_fn mac,
                                  void *mac_ctx, struct store **ret, struct kms_error *reterr)
{
    CLEANUP(store_closep) struct sqlite_store *s = store_new(path, mac, mac_ctx);
    struct store_meta                          seen;

    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to open database '%.120s'", path);
    TRY(check_file(path, reterr));
    TRY(open_database(path, &s->db, reterr));
    TRY(check_header(s->db, path, reterr));
    TRY(read_peek(s->db, path, &seen, reterr));
    if (!bytes_eq(bytes_of(seen.instance_id, 16), bytes_of(instance_id, 16)))
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "database '%.120s' belongs to another instance than the files beside it: put "
            "back the files that belong together",
            path);
    TRY(check_pages(s, reterr));

    TRY(page_wiper_install(s, reterr));
    TRY(apply_settings(s->db, path, settings, ARRAY_LEN(settings), reterr));
    TRY(lock_database(s, reterr));
    TRY(schema_migrate(s, schema_steps, schema_newest, reterr));
    TRY(statements_prepare(s, reterr));
    TRY(read_meta(s, reterr));
    /* SQLite syncs the folder when it has made the WAL, but would not tell if that failed. */
    TRY(sync_folder(path, reterr));
    TRY(close_checkpoints(s->db, path, reterr));
    TRY(wal_watch_install(s, reterr));
    sqlite_mind_wal(s);
    *ret = &TAKE(s)->base;
    return KMS_OK;
}

/* --- creating --------------------------------------------------------------------------------- */

static const char *const beside[] = { "", "-wal", "-journal", "-shm" };

/* A WAL left beside a removed database would be taken for the new one's. */
static enum kms_status check_absent(const char *path, struct kms_error *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
        char        name[FILE_PATH_MAX];
        struct stat st;
        TRY(path_with(name, path, beside[i], reterr));
        if (lstat(name, &st) == 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL,
                            "'%.140s' exists already: remove it if it is not needed, nothing is "
                            "overwritten",
                            name);
    }
    return KMS_OK;
}

/* Removes what an unfinished creation left. */
static void remove_unfinished(const char *path)
{
    struct kms_error ignored;

    for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
        char name[FILE_PATH_MAX];
        if (path_with(name, path, beside[i], &ignored) == KMS_OK)
            (void)unlink(name); /* usually there is none; what stays makes the next step fail */
    }
}

/* Empties the WAL into the file, so that the file alone is the database. */
static enum kms_status finish_file(sqlite3 *db, const char *path, struct kms_error *reterr)
{
    int left = -1;
    int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, &left, NULL);

    if (rc != SQLITE_OK || left != 0)
        return database_fail(db, path, rc, "write", reterr);
    return close_checkpoints(db, path, reterr); /* and so removes the WAL */
}

static enum kms_status fill_new(struct sqlite_store *s, const uint8_t instance_id[16],
                                struct kms_error *reterr)
{
    CLEANUP(statement_finalizep) sqlite3_stmt *stmt = NULL;
    static const char                          insert[] =
        "INSERT INTO meta (id, instance_id, commits, slot_generation_erasable,"
        " slot_generation_durable, clock_floor, last_key, last_alias,"
        " last_tombstone, last_outbox) VALUES (1, ?1, 0, 0, 0, 0, 0, 0, 0, 0)";
    char pragma[64];

    (void)snprintf(pragma, sizeof pragma, "PRAGMA application_id=%d", APPLICATION_ID);
    TRY(database_exec(s->db, s->path, "PRAGMA page_size=4096", "set up", reterr));
    TRY(database_exec(s->db, s->path, "PRAGMA auto_vacuum=NONE", "set up", reterr));
    TRY(database_exec(s->db, s->path, "PRAGMA encoding='UTF-8'", "set up", reterr));
    TRY(database_exec(s->db, s->path, pragma, "set up", reterr));
    TRY(apply_settings(s->db, s->path, settings, ARRAY_LEN(settings), reterr));
    TRY(schema_migrate(s, schema_steps, schema_newest, reterr));

    int rc = sqlite3_prepare_v2(s->db, insert, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(stmt, 1, instance_id, 16, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        return database_fail(s->db, s->path, rc, "write", reterr);
    return KMS_OK;
}

static enum kms_status create_at(const char *path, const uint8_t instance_id[16],
                                 struct kms_error *reterr)
{
    CLEANUP(store_closep) struct sqlite_store *s = store_new(path, NULL, NULL);
    CLEANUP(closep) int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to create database '%.120s'", path);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create database '%.120s': %s", path,
                        strerror(errno));
    closep(&fd); /* before SQLite locks the file */
    TRY(open_database(path, &s->db, reterr));
    TRY(page_wiper_install(s, reterr));
    TRY(fill_new(s, instance_id, reterr));
    return finish_file(s->db, path, reterr);
}

static enum kms_status publish(const char *unfinished, const char *path, struct kms_error *reterr)
{
    if (renameat2(AT_FDCWD, unfinished, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create database '%.120s': %s", path,
                        strerror(errno));
    return sync_folder(path, reterr);
}

enum kms_status store_sqlite_create(const char *path, const uint8_t instance_id[16],
                                    struct kms_error *reterr)
{
    char unfinished[FILE_PATH_MAX];

    TRY(check_absent(path, reterr));
    TRY(path_with(unfinished, path, ".new", reterr));
    remove_unfinished(unfinished);
    enum kms_status status = create_at(unfinished, instance_id, reterr);
    if (status == KMS_OK)
        status = publish(unfinished, path, reterr);
    if (status != KMS_OK)
        remove_unfinished(unfinished);
    return status;
}
