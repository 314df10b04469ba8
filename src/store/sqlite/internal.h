/* store/sqlite/internal.h - shared by the files of this folder; only they and their tests
 * include it.
 *
 *   open.c        creating, opening, refusing; settings
 *   schema.c      the schema and its steps from version to version
 *   schema_3.c    one of these steps: identities
 *   schema_4.c    another: relatives in other Regions
 *   schema_5.c    another: indexes, by which keys are found one by one
 *   statements.c  every statement there is, and running one
 *   row.c         records <-> columns <-> MAC input, one list of columns for all three
 *   load.c        all rows out, MACs checked
 *   find.c        single keys out, and what the indexes say about them
 *   apply.c       a batch in
 *   upkeep.c      scrub, clock floor, full check
 *   page.c        unused bytes of pages are zero in the file
 */
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "store/sqlite/sqlite.h"

enum {
    APPLICATION_ID = 0x54524e54, /* "TRNT", in the file header                              */
    PAGE_BYTES = 4096,
    ROW_MAC_LEN = 32,
    ROW_MAC_INPUT_MAX = 16 << 20, /* a key of 512 RSA-4096 materials with descriptions: 5 MiB */
};

/* Highest serial numbers given out. They never go back, so that a marker of a listing or an event
 * of the outbox never means something else later. */
struct serials {
    uint64_t key, alias, tombstone, outbox, identity, access_key, grant;
};

/* --- statements ------------------------------------------------------------------------------- */

enum statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_SAVEPOINT,
    STMT_RELEASE,
    STMT_ROLLBACK_TO,
    STMT_META,
    STMT_META_UPDATE,
    STMT_KEYS,
    STMT_KEY_INSERT,
    STMT_KEY_UPDATE,
    STMT_KEY_DELETE,
    STMT_KEY_COUNT,
    STMT_KEY_BY_NAME,
    STMT_KEY_BY_MATERIAL,
    STMT_KEY_OF,
    STMT_KEY_PAGE,
    STMT_KEYS_NEXT,
    STMT_KEYS_DELETING,
    STMT_KEYS_ROTATING,
    STMT_KEYS_ON_DEMAND,
    STMT_KEYS_EXPIRING,
    STMT_MATERIALS_OF,
    STMT_TAGS_OF,
    STMT_USAGE_OF,
    STMT_SLOTS,
    STMT_MATERIALS,
    STMT_MATERIAL_PUT,
    STMT_MATERIALS_TRIM,
    STMT_TAGS,
    STMT_TAG_PUT,
    STMT_TAGS_TRIM,
    STMT_USAGES,
    STMT_USAGE_PUT,
    STMT_ALIASES,
    STMT_ALIAS_INSERT,
    STMT_ALIAS_UPDATE,
    STMT_ALIAS_DELETE,
    STMT_IMPORT_KEYS,
    STMT_IMPORT_KEY_INSERT,
    STMT_IMPORT_KEY_DELETE,
    STMT_GRANTS,
    STMT_GRANT_INSERT,
    STMT_GRANT_DELETE,
    STMT_DOMAINS,
    STMT_DOMAIN_INSERT,
    STMT_ACCOUNTS,
    STMT_ACCOUNT_INSERT,
    STMT_ACCOUNT_UPDATE,
    STMT_IDENTITIES,
    STMT_IDENTITY_INSERT,
    STMT_IDENTITY_UPDATE,
    STMT_IDENTITY_DELETE,
    STMT_DOCUMENTS,
    STMT_DOCUMENT_PUT,
    STMT_DOCUMENTS_TRIM,
    STMT_ATTACHMENTS,
    STMT_ATTACHMENT_PUT,
    STMT_ATTACHMENTS_TRIM,
    STMT_IDENTITY_TAGS,
    STMT_IDENTITY_TAG_PUT,
    STMT_IDENTITY_TAGS_TRIM,
    STMT_ACCESS_KEYS,
    STMT_ACCESS_KEY_INSERT,
    STMT_ACCESS_KEY_UPDATE,
    STMT_ACCESS_KEY_DELETE,
    STMT_ACCESS_KEY_USES,
    STMT_ACCESS_KEY_USE_PUT,
    STMT_SESSION_POLICIES,
    STMT_SESSION_POLICY_PUT,
    STMT_SESSION_TAGS,
    STMT_SESSION_TAG_PUT,
    STMT_TOMBSTONES,
    STMT_TOMBSTONE,
    STMT_TOMBSTONE_INSERT,
    STMT_TOMBSTONE_UPDATE,
    STMT_OUTBOX,
    STMT_OUTBOX_INSERT,
    STMT_OUTBOX_TRIM,
    STMT_DELIVERIES,
    STMT_DELIVERY_INSERT,
    STMT_DELIVERY_DELETE,
    STMT_CLEAR_MATERIALS,
    STMT_CLEAR_TAGS,
    STMT_CLEAR_KEY_USAGE,
    STMT_CLEAR_GRANTS,
    STMT_CLEAR_ALIASES,
    STMT_CLEAR_IMPORT_KEYS,
    STMT_CLEAR_KEYS,
    STMT_CLEAR_SESSION_POLICIES,
    STMT_CLEAR_SESSION_TAGS,
    STMT_CLEAR_ACCESS_KEY_USAGE,
    STMT_CLEAR_ACCESS_KEYS,
    STMT_CLEAR_DOCUMENTS,
    STMT_CLEAR_ATTACHMENTS,
    STMT_CLEAR_IDENTITY_TAGS,
    STMT_CLEAR_IDENTITIES,
    STMT_CLEAR_ACCOUNTS,
    STMT_CLEAR_DELIVERIES,
    STMT_COUNT
};

extern const char *const statement_sql[STMT_COUNT];

/* --- the store -------------------------------------------------------------------------------- */

/* The methods of the database file with our xWrite in front (page.c). SQLite has its address. */
struct page_wiper {
    sqlite3_io_methods        methods; /* first: the file points at it */
    const sqlite3_io_methods *real;
    uint8_t                  *page; /* PAGE_BYTES, belongs to the store */
};

/* The methods of the WAL with ours in front (wal.c). SQLite has its address. */
struct wal_watch {
    sqlite3_io_methods        methods; /* first: the file points at it */
    const sqlite3_io_methods *real;
    bool                      written;     /* since the last sync */
    bool                      only_header; /* was written since it was on the disk as empty */
};

struct sqlite_store {
    struct store   base; /* first: callers hold a pointer to it */
    sqlite3       *db;
    char          *path;
    store_mac_fn   mac;
    void          *mac_ctx;
    sqlite3_stmt  *statements[STMT_COUNT];
    struct buf     mac_input; /* reused for every row */
    struct serials serials;
    int            last_failure; /* SQLite's code for the last statement that failed */
    bool batch_lost; /* apply: what failed concerns the whole transaction, not one change */
    bool cleared;    /* apply: ROW_CLEAR was among the rows */
    bool broken;     /* the file system failed: only a restart tells the outcome; alarm rung */
    bool unsettled;  /* a commit failed otherwise: the WAL may hold it until the next commit */
    struct page_wiper wiper;
    struct wal_watch  wal;
    uint8_t           page[PAGE_BYTES];
};

/* --- statements.c ----------------------------------------------------------------------------- */

/* Turns an SQLite failure into KMS_E_INTERNAL with one line: in use, damaged, full, or what SQLite
 * says. `doing` completes "cannot <doing> database '<path>'". */
enum kms_status database_fail(sqlite3 *db, const char *path, int rc, const char *doing,
                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status statements_prepare(struct sqlite_store *s, struct kms_error *reterr);
void statements_finalize(struct sqlite_store *s);
/* Resets and clears: for CLEANUP of a borrowed statement. */
void statement_resetp(sqlite3_stmt **stmt);
void statement_finalizep(sqlite3_stmt **stmt);
/* Runs a bound statement that returns no rows, and resets it. *ret_changed (may be NULL) is the
 * number of rows it inserted, updated or deleted itself. KMS_E_CHANGED when it hits a row that
 * exists already or misses one that it refers to; any other failure is KMS_E_INTERNAL, and sets
 * batch_lost unless it is about this row alone. */
KMS_MUST_CHECK enum kms_status statement_run(struct sqlite_store *s, enum statement id,
                                             int *ret_changed, struct kms_error *reterr);
/* Runs SQL text that returns no rows (schema steps). */
KMS_MUST_CHECK enum kms_status database_exec(sqlite3 *db, const char *path, const char *sql,
                                             const char *doing, struct kms_error *reterr);
/* First column of the first row of a PRAGMA as text; empty if there is no row. `size` bytes at
 * `ret`. */
KMS_MUST_CHECK enum kms_status database_ask(sqlite3 *db, const char *path, const char *sql,
                                            char *ret, size_t size, struct kms_error *reterr);
/* PRAGMA quick_check or integrity_check: KMS_E_INTERNAL with the first problem. */
KMS_MUST_CHECK enum kms_status database_check(sqlite3 *db, const char *path, const char *pragma,
                                              struct kms_error *reterr);

/* --- schema.c --------------------------------------------------------------------------------- */

/* From one version to the next: SQL, then (may be NULL) what SQL cannot do. A step that changes
 * what a row's MAC covers makes the new MACs here. */
struct schema_step {
    const char *sql;
    enum kms_status (*convert)(struct sqlite_store *s, struct kms_error *reterr);
};

/* schema_3.c: identities */
extern const char schema_3[];
KMS_MUST_CHECK enum kms_status schema_3_convert(struct sqlite_store *s, struct kms_error *reterr);
/* schema_4.c: relatives in other Regions */
extern const char schema_4[];
KMS_MUST_CHECK enum kms_status schema_4_convert(struct sqlite_store *s, struct kms_error *reterr);

/* schema_5.c: indexes. Nothing that a MAC covers changes. */
extern const char schema_5[];

/* Step i leads from version i to i + 1; the first makes today's schema out of an empty file. */
extern const struct schema_step schema_steps[];
extern const unsigned           schema_newest;

/* user_version; KMS_E_INTERNAL with a line that says so if it is above `newest`. */
KMS_MUST_CHECK enum kms_status schema_version(sqlite3 *db, const char *path, unsigned newest,
                                              unsigned *ret, struct kms_error *reterr);
/* Brings the database to version `newest` in one transaction, after a full integrity check if there
 * is something in it. Either all steps happen or none. `steps` has `newest` entries. */
KMS_MUST_CHECK enum kms_status schema_migrate(struct sqlite_store      *s,
                                              const struct schema_step *steps, unsigned newest,
                                              struct kms_error *reterr);

/* --- row.c ------------------------------------------------------------------------------------ */

struct row_io;

/* A table whose rows are records. */
struct row_type {
    const char *table;           /* also the label in the MAC input */
    int         name_at, name_n; /* columns that name a row in messages */
    void (*columns)(struct row_io *io, void *record);
    void (*parts)(struct row_io *io,
                  void          *record); /* rows of other tables under the same MAC; or NULL */
    unsigned revision;           /* of the MAC's input: one more whenever columns change */
};

struct meta_row {
    struct store_meta meta;
    struct serials    serials;
};
/* A grant, and its pairs as the one value that they are stored as. */
struct grant_row {
    struct grant_record *grant;
    struct bytes         pairs;
};
struct outbox_row {
    uint64_t     serial;
    struct bytes event;
};

extern const struct row_type row_meta;            /* struct meta_row            */
extern const struct row_type row_keys;            /* struct key_record          */
extern const struct row_type row_materials;       /* struct key_material; no MAC */
extern const struct row_type row_tags;            /* struct key_tag; no MAC     */
extern const struct row_type row_usages;          /* struct key_usage_record    */
extern const struct row_type row_aliases;         /* struct alias_record        */
extern const struct row_type row_import_keys;     /* struct import_key_record   */
extern const struct row_type row_grants;          /* struct grant_row           */
extern const struct row_type row_domains;         /* struct domain_key_record   */
extern const struct row_type row_accounts;        /* struct account_record      */
extern const struct row_type row_identities;      /* struct identity_record     */
extern const struct row_type row_documents;       /* struct identity_document; no MAC */
extern const struct row_type row_attachments;     /* struct bytes; no MAC       */
extern const struct row_type row_access_keys;     /* struct access_key_record   */
extern const struct row_type row_access_key_uses; /* struct access_key_use  */
extern const struct row_type row_tombstones;      /* struct tombstone           */
extern const struct row_type row_outbox;          /* struct outbox_row          */
extern const struct row_type row_deliveries;      /* struct delivery            */

/* As versions 1 and 2 had them: only schema_3.c reads these. */
struct access_key_2 {
    struct bytes id, account, principal_arn, principal_id, wrapped_secret;
    bool         active;
    int64_t      created;
    uint64_t     version;
};
extern const struct row_type row_meta_2;        /* struct meta_row       */
extern const struct row_type row_accounts_2;    /* struct account_record */
extern const struct row_type row_access_keys_2; /* struct access_key_2   */
/* As versions 1 to 3 had them: only schema_4.c reads these. */
extern const struct row_type row_keys_3;      /* struct key_record; `regions`, `settles` stay */
extern const struct row_type row_materials_3; /* struct key_material; `warned_days` stays     */

/* The columns of `meta` that every schema version has, under these names, and their values from a
 * row of peek_sql (schema.c). */
extern const char peek_sql[];
KMS_MUST_CHECK enum kms_status row_read_peek(sqlite3_stmt *stmt, const char *path,
                                             struct store_meta *ret, struct kms_error *reterr);

/* The MAC of a record, over its canonical bytes (docs/storage-database.md). */
KMS_MUST_CHECK enum kms_status row_mac(struct sqlite_store *s, const struct row_type *type,
                                       void *record, uint8_t ret[ROW_MAC_LEN],
                                       struct kms_error *reterr);
/* Binds the columns from parameter `first` on. Borrows strings until the statement is reset. */
KMS_MUST_CHECK enum kms_status row_bind(struct sqlite_store *s, sqlite3_stmt *stmt, int first,
                                        const struct row_type *type, void *record,
                                        struct kms_error *reterr);
/* Binds columns and MAC from parameter 1 on and runs the statement, which must change exactly one
 * row: KMS_E_CHANGED otherwise. */
KMS_MUST_CHECK enum kms_status row_put(struct sqlite_store *s, enum statement id,
                                       const struct row_type *type, void *record,
                                       struct kms_error *reterr);
/* Reads the columns from column `first` on. Strings are copied to `arena`, or are views until the
 * statement moves on when it is NULL; names of keys are always such views. */
KMS_MUST_CHECK enum kms_status row_read(struct sqlite_store *s, sqlite3_stmt *stmt, int first,
                                        const struct row_type *type, void *record,
                                        struct arena *arena, struct kms_error *reterr);
/* Compares the MAC in the last column with the record's. */
KMS_MUST_CHECK enum kms_status row_verify(struct sqlite_store *s, sqlite3_stmt *stmt,
                                          const struct row_type *type, void *record,
                                          struct kms_error *reterr);
/* Steps; false at the end, else the record was read (strings as views) and its MAC verified. */
KMS_MUST_CHECK enum kms_status row_next(struct sqlite_store *s, sqlite3_stmt *stmt,
                                        const struct row_type *type, void *record, bool *ret_more,
                                        struct kms_error *reterr);
/* Steps only. */
KMS_MUST_CHECK enum kms_status row_step(struct sqlite_store *s, sqlite3_stmt *stmt, bool *ret_more,
                                        struct kms_error *reterr);
/* KMS_E_INTERNAL: this row is not as we write it. `why` completes "table <t>, row <r>: <why>". */
enum kms_status row_damaged(struct sqlite_store *s, sqlite3_stmt *stmt, const struct row_type *type,
                            const char *why, struct kms_error *reterr);

/* --- load.c, apply.c, upkeep.c: the operations of store.h ------------------------------------- */

/* Where keys come from: three prepared statements in the order of serials, and what their columns
 * are. */
struct key_tables {
    sqlite3_stmt          *keys, *materials, *tags;
    const struct row_type *key, *material;
};
/* Reads every key with its materials and tags, in the order of serials, and verifies its MAC. `visit`
 * gets each, whole and its own, and may write to its row. The statements are not reset. */
KMS_MUST_CHECK enum kms_status sqlite_read_keys(
    struct sqlite_store *s, const struct key_tables *from,
    enum kms_status (*visit)(void *ctx, struct key_record *key, struct kms_error *reterr),
    void *ctx, struct kms_error *reterr);
/* find.c */
KMS_MUST_CHECK enum kms_status sqlite_find_key(struct store *store, const struct key_want *want,
                                               struct stored_key *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_count_keys(struct store *store, size_t *ret,
                                                 struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_list_keys(
    struct store *store, const struct key_want *want, size_t max,
    void (*visit)(void *ctx, const struct listed_key *key), void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_next_keys(struct store *store, uint64_t after, size_t max,
                                                void (*visit)(void *ctx, uint64_t serial),
                                                void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_each_deleting(struct store *store,
                                                    void (*visit)(void                 *ctx,
                                                                  const struct due_key *key),
                                                    void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_each_slot(struct store *store,
                                                void (*visit)(void                   *ctx,
                                                              const struct used_slot *slot),
                                                void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_each_due(struct store *store, const struct due_range *range,
                                               void (*visit)(void *ctx, const struct due_key *key),
                                               void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_load(struct store *store, const struct store_visitor *v,
                                           struct kms_error *reterr);
/* Checks the MAC of every row of every table, old tombstones included. */
KMS_MUST_CHECK enum kms_status sqlite_verify_rows(struct sqlite_store *s, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_apply(struct store *store, struct store_batch *batch,
                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_read_deliveries(struct store *store, uint64_t after,
                                                      size_t max, const struct store_visitor *v,
                                                      struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_put_usage(struct store *store, struct key_usage_record *list,
                                                size_t n, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_put_access_key_uses(struct store          *store,
                                                          struct access_key_use *list, size_t n,
                                                          struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_scrub(struct store *store, bool *ret_clean,
                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_set_clock_floor(struct store *store, int64_t ms,
                                                      struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sqlite_check(struct store *store, struct kms_error *reterr);
/* What every operation asks first: KMS_E_INTERNAL when an earlier commit failed in a way that only
 * a restart can settle. What can be settled is, here. */
KMS_MUST_CHECK enum kms_status sqlite_usable(struct sqlite_store *s, struct kms_error *reterr);
/* After a failed commit: sets `broken` or `unsettled` by last_failure. */
void sqlite_commit_failed(struct sqlite_store *s);
/* Is it SQLite's code for a file system that failed (a full disk is not that)? */
bool sqlite_disk_failed(int rc);
/* Sets `broken` and rings the alarm. `rc`: SQLite's code for what failed. */
void sqlite_lost(struct sqlite_store *s, int rc);
/* Copies the WAL into the file from time to time, as SQLite would by itself but for not telling when
 * that fails. */
void sqlite_mind_wal(struct sqlite_store *s);

/* --- wal.c ------------------------------------------------------------------------------------ */

/* Puts our methods in front of the WAL's. Call once, when the WAL is open and before the store is used. */
KMS_MUST_CHECK enum kms_status wal_watch_install(struct sqlite_store *s, struct kms_error *reterr);

/* --- page.c ----------------------------------------------------------------------------------- */

/* Puts our xWrite in front of the database file's. Call once, before anything is written. */
KMS_MUST_CHECK enum kms_status page_wiper_install(struct sqlite_store *s, struct kms_error *reterr);
/* Zeroes what a b-tree page (at file offset `at`) does not use between its cell pointers and its
 * cells. Other pages are left alone. */
void page_wipe_gap(uint8_t page[PAGE_BYTES], sqlite3_int64 at);
