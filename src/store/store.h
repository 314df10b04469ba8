/* store/store.h - the durable state, spoken of in records and conditional changes, not in SQL.
 *
 * A change is a list of rows and one audit event that commit as one, or not at all. Rows that
 * update repeat the version they expect; if it has moved on, the change is refused with
 * KMS_E_CHANGED and the request runs again. Only the committer (commit/) and start-up call the
 * store: one connection, one thread, and what is read while requests run is read between two
 * batches, so a truncating checkpoint never meets a reader (trust-model 2.7.1).
 *
 * Rows that decide rights carry a MAC over all their columns and their version (trust-model 2.4),
 * made by the function handed in and checked when rows are loaded.
 */
#pragma once

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"
#include "identity/record.h"
#include "key/grant.h"
#include "key/last_use.h"
#include "key/record.h"
#include "key/want.h"

enum row_kind {
    ROW_KEY_INSERT,        /* key                                                        */
    ROW_KEY_UPDATE,        /* key, with key->version - 1 expected in the store           */
    ROW_KEY_DELETE,        /* name, expected_version; aliases, import keys, grants go too */
    ROW_ALIAS_INSERT,      /* alias; KMS_E_CHANGED if the name is taken                   */
    ROW_ALIAS_UPDATE,      /* alias, with alias->version - 1 expected                     */
    ROW_ALIAS_DELETE,      /* alias (name only), expected_version                         */
    ROW_IMPORT_KEY_INSERT, /* import_key                                                  */
    ROW_IMPORT_KEY_DELETE, /* import_key_id                                               */
    ROW_GRANT_INSERT,      /* grant; KMS_E_CHANGED if its key is gone, or has the same grant
                              under the same name                                       */
    ROW_GRANT_DELETE,      /* grant_id                                                    */
    ROW_DOMAIN_INSERT,     /* domain; KMS_E_CHANGED if there is one of this version        */
    ROW_ACCOUNT_INSERT,    /* account; KMS_E_CHANGED if there is one of this id            */
    ROW_ACCOUNT_UPDATE,    /* account, with account->version - 1 expected                  */
    ROW_IDENTITY_INSERT,   /* identity; KMS_E_CHANGED if its name is taken, in whatever case,
                              or there is no such account                                 */
    ROW_IDENTITY_UPDATE,   /* identity, with identity->version - 1 expected                */
    ROW_IDENTITY_DELETE,   /* identity (a clone that names it), expected_version           */
    ROW_ACCESS_KEY_INSERT, /* access_key; KMS_E_CHANGED if the id is taken                 */
    ROW_ACCESS_KEY_UPDATE, /* access_key, with access_key->version - 1 expected            */
    ROW_ACCESS_KEY_DELETE, /* access_key (a clone that names it), expected_version         */
    ROW_TOMBSTONE_INSERT,  /* tombstone; its serial is assigned by the store               */
    ROW_TOMBSTONE_ERASED,  /* tombstone->serial                                           */
    ROW_DELIVERY_DELETE,   /* delivery; no matter if it is gone                            */
    ROW_CLEAR, /* none: all accounts, identities, access keys, keys and what hangs on them go, so do
                  all deliveries, and the highest time seen is forgotten. A development reset; the first row of its
                  change                                                                      */
};

/* One row. Owned by its change until commit; after a successful commit the committer hands the
 * records to the directory and sets the pointers to NULL. */
struct row {
    enum row_kind             kind;
    uint64_t                  expected_version;
    struct key_record        *key; /* INSERT, UPDATE; DELETE: a clone that names it */
    struct alias_record      *alias;
    struct import_key_record *import_key;
    uint8_t                   import_key_id[16];
    struct grant_record      *grant;
    char                      grant_id[GRANT_ID_LEN + 1];
    struct tombstone         *tombstone;
    uint64_t                  delivery; /* serial */
    struct domain_key_record *domain;   /* with its bytes in one allocation: domain_key_new */
    struct account_record    *account;
    struct identity_record   *identity;
    struct access_key_record *access_key;
};

/* What the webhook is to be told, as the store has it until it was delivered. */
struct delivery {
    uint64_t     serial; /* that of its event in the outbox: the order in which things happened */
    char         id[UUID_TEXT + 1]; /* the event's */
    int64_t      at;
    struct bytes key_arn; /* views */
    struct bytes body;    /* JSON text */
};

/* An event of the service that follows from the rows of a change (commit/caused.c). */
struct caused_event {
    struct buf event; /* audit event text, for the audit after the change's own */
    bool       tell;  /* there is a webhook: `id` to `body` become a row of its own */
    char       id[UUID_TEXT + 1];
    int64_t    at;
    char       key_arn[KEY_ARN_MAX + 1];
    struct buf body;
};

struct change {
    struct row          *rows;
    size_t               n_rows;
    struct buf           event;  /* audit event text (audit/audit.h); empty for none            */
    struct caused_event *caused; /* the committer's own */
    size_t               n_caused;
};

/* Appends a row with every pointer NULL; aborts when out of memory (rows are few and small). */
struct row *change_add(struct change *c, enum row_kind kind);
/* Appends an event to `caused`, whose texts are at most so long; aborts when out of memory. */
struct caused_event *change_add_caused(struct change *c, size_t limit);
/* A tombstone row for a sealed form that a change gives up; nothing when there is none. */
void change_bury(struct change *change, struct bytes key_arn, const struct material_id *material,
                 const struct sealed *sealed, enum erase_reason reason, int64_t now);
/* Frees rows and what they still own. */
void change_release(struct change *c);
/* A record with copies of its strings in one allocation: free() releases it. NULL when out of
 * memory. */
struct domain_key_record *domain_key_new(struct bytes account, struct bytes region,
                                         uint32_t version, struct bytes wrapped);

/* --- the interface an implementation fills in ------------------------------------------------- */

struct store;

struct store_batch {
    struct change  **changes;
    enum kms_status *results; /* out, per change: KMS_OK, KMS_E_CHANGED, KMS_E_INTERNAL        */
    size_t           n;
    uint64_t outbox_done; /* events up to this serial are safe in the audit files: drop them */
    uint64_t slot_generation[2]; /* recorded with the batch                                  */
    /* Called before the commit, with all rows in the transaction; an error takes it back. May be called again
     * for the same batch. NULL: nothing. */
    enum kms_status (*ready)(void *ready_ctx, struct kms_error *reterr);
    void    *ready_ctx;
    uint64_t ret_outbox; /* out: highest outbox serial after this batch                    */
    uint64_t ret_commit; /* out: number of this commit, +1 each                            */
    bool
        ret_reindexed; /* out: an index had not what it should have, and all were made anew from the rows */
};

struct store_meta {
    uint8_t  instance_id[16];
    uint64_t slot_generation[2];
    uint64_t commit;
    int64_t  clock_floor;
    unsigned schema_version;
};

/* Tombstones that were erased are loaded only if they are among the newest so many. */
enum { STORE_TOMBSTONES_KEPT = 1024 };

/* What loading calls, once per record; each record becomes the visitor's own (views of events and
 * the tombstone: valid during the call). A visitor may return an error to stop loading, and must
 * not call the store. NULL: those records are not wanted, and their tables are not read. */
struct store_visitor {
    void *ctx;
    enum kms_status (*key)(void *ctx, struct key_record *key, struct kms_error *reterr);
    enum kms_status (*alias)(void *ctx, struct alias_record *alias, struct kms_error *reterr);
    enum kms_status (*import_key)(void *ctx, struct import_key_record *k, struct kms_error *reterr);
    enum kms_status (*grant)(void *ctx, struct grant_record *g, struct kms_error *reterr);
    enum kms_status (*domain)(void *ctx, struct domain_key_record *d, struct kms_error *reterr);
    enum kms_status (*account)(void *ctx, struct account_record *a, struct kms_error *reterr);
    enum kms_status (*identity)(void *ctx, struct identity_record *r, struct kms_error *reterr);
    enum kms_status (*access_key)(void *ctx, struct access_key_record *k, struct kms_error *reterr);
    /* what an access key was last used for, after all of them; `id` is valid during the call */
    enum kms_status (*access_key_use)(void *ctx, struct bytes id, const struct access_key_use *use,
                                      struct kms_error *reterr);
    enum kms_status (*tombstone)(void *ctx, const struct tombstone *t, struct kms_error *reterr);
    /* what a key was last used for, after all keys; `name` and `u` are valid during the call */
    enum kms_status (*usage)(void *ctx, const struct key_name *name,
                             const struct key_usage_record *u, struct kms_error *reterr);
    /* events committed but perhaps not in the audit files yet, in order */
    enum kms_status (*outbox)(void *ctx, uint64_t serial, struct bytes event,
                              struct kms_error *reterr);
    /* what the webhook has not been told yet, in order; valid during the call */
    enum kms_status (*delivery)(void *ctx, const struct delivery *d, struct kms_error *reterr);
};

/* A key as the store has it. */
struct stored_key {
    struct key_record      *key;   /* with materials and tags; NULL: there is none */
    struct key_usage_record usage; /* what it was last used for; `key` 0: nothing is noted */
    uint64_t
        row; /* serial of the key whose rows were read; on failure too, 0 if it was none's in particular */
};

/* What a listing of keys says. Its row's MAC has not been checked. */
struct listed_key {
    uint64_t     serial;
    struct bytes key_id; /* a view, during the call */
    bool         deleting;
    int64_t      deletion_date; /* if it is */
};

/* A slot that a material names, by an index: neither its key's MAC nor the rest of its row was looked
 * at. */
struct used_slot {
    uint64_t      key; /* serial */
    struct sealed at;  /* slot, slot_generation, slot_class; the rest is 0 */
};

/* A time at which something may have to be done for a key: a hint, as its MAC has not been checked. */
struct due_key {
    int64_t      when;
    struct bytes account, region, key_id; /* views, during the call */
};
/* Which times: those after `after` (0 or more), up to `until`. */
struct due_range {
    int64_t         after, until;
    int64_t         rotation_delay; /* ms, as for key_next_event */
    const uint16_t *warning_days;
    size_t          n_warning_days;
};

typedef void (*store_mac_fn)(void *ctx, struct bytes row, uint8_t ret[32]);

struct store_ops {
    /* All rows, MACs checked: a row whose MAC does not verify stops loading with one line that
     * names table and row. Domains come first, then accounts, identities, access keys, keys, their
     * last uses, aliases, import keys, grants (in order of their serials), tombstones (only those
     * not erased, and the newest STORE_TOMBSTONES_KEPT), outbox, deliveries. */
    enum kms_status (*load)(struct store *s, const struct store_visitor *v,
                            struct kms_error *reterr);
    /* One transaction; each change in a savepoint of its own. Serials of new keys, aliases, grants,
     * identities, access keys and tombstones are written into their records (0 if the change is
     * refused). KMS_OK: results say
     * what became of each change; if one is KMS_E_INTERNAL, *reterr tells the last reason.
     * KMS_E_INTERNAL, also as every result: the transaction as a whole failed and nothing of it is
     * durable, except when the file system failed to write or sync the commit itself. Then only the
     * next start shows its outcome: the alarm is rung, and until then every operation of this store
     * fails. A full disk is not such a case: the store works again when there is space. */
    enum kms_status (*apply)(struct store *s, struct store_batch *batch, struct kms_error *reterr);
    /* Records what keys were last used for, all in one transaction; keys that the store does not have
     * are left out. It is no commit in the sense of meta.commit and has no audit event: it changes
     * nothing that anybody may do. On failure nothing is recorded; as for apply. */
    enum kms_status (*put_usage)(struct store *s, struct key_usage_record *list, size_t n,
                                 struct kms_error *reterr);
    /* Likewise what access keys were last used for. */
    enum kms_status (*put_access_key_uses)(struct store *s, struct access_key_use *list, size_t n,
                                           struct kms_error *reterr);
    /* The next deliveries behind a serial, in order, at most so many, MACs checked: v->delivery. For the
     * webhook, which does not keep them all. */
    enum kms_status (*read_deliveries)(struct store *s, uint64_t after, size_t max,
                                       const struct store_visitor *v, struct kms_error *reterr);
    /* The key that is wanted (by name, material or serial), MAC checked; ret->key, the caller's, is NULL if there is
     * none. KMS_E_INTERNAL: the row is not as we wrote it, or cannot be read; KMS_E_MEMORY: not now. Then
     * *ret has no key, and its `row`. */
    enum kms_status (*find_key)(struct store *s, const struct key_want *want,
                                struct stored_key *ret, struct kms_error *reterr);
    enum kms_status (*count_keys)(struct store *s, size_t *ret, struct kms_error *reterr);
    /* Up to `max` keys of a WANT_PAGE. */
    enum kms_status (*list_keys)(struct store *s, const struct key_want *want, size_t max,
                                 void (*visit)(void *ctx, const struct listed_key *key), void *ctx,
                                 struct kms_error *reterr);
    /* The serials of up to `max` keys above `after`, in order. The visitor must not call the store, nor must
     * those of the next ones. */
    enum kms_status (*next_keys)(struct store *s, uint64_t after, size_t max,
                                 void (*visit)(void *ctx, uint64_t serial), void *ctx,
                                 struct kms_error *reterr);
    /* The keys that wait for their deletion, and until when. */
    enum kms_status (*each_deleting)(struct store *s,
                                     void (*visit)(void *ctx, const struct due_key *key), void *ctx,
                                     struct kms_error *reterr);
    enum kms_status (*each_slot)(struct store *s,
                                 void (*visit)(void *ctx, const struct used_slot *slot), void *ctx,
                                 struct kms_error *reterr);
    /* Expiries, warnings of them, rotations and deletions, in no order, a key perhaps several times. */
    enum kms_status (*each_due)(struct store *s, const struct due_range                   *range,
                                void (*visit)(void *ctx, const struct due_key *key), void *ctx,
                                struct kms_error *reterr);
    /* Overwrites what deleted rows left behind: SQLite's TRUNCATE checkpoint. *ret_clean false if
     * it could not be completed now (busy). A write or sync that fails ends the store as in apply. */
    enum kms_status (*scrub)(struct store *s, bool *ret_clean, struct kms_error *reterr);
    /* Records the highest time seen (trust-model 2.8). */
    enum kms_status (*set_clock_floor)(struct store *s, int64_t ms, struct kms_error *reterr);
    /* Full integrity check, MACs of all rows included; KMS_E_INTERNAL with the first problem. */
    enum kms_status (*check)(struct store *s, struct kms_error *reterr);
    void (*close)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    struct store_meta       meta; /* as of open; kept up to date by apply */
    struct file_alarm alarm; /* rung when writing or syncing fails; may be set once it is open */
};

static inline void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}
