/* audit/audit.h - the proof of what happened: CloudTrail-shaped JSON lines, hash-chained, with signed
 * checkpoints (trust-model 5). No audit record, no answer.
 *
 * Files: DIR/audit/trent-<yyyymmddThhmmssZ>-<first seq>.jsonl, one per hour or 256 MiB, append-only.
 * A line is an event object whose last member is
 *   "trent":{"node":"<instance id, first 8 hex>","seq":N,"prev":"<64 hex>"}
 * where prev is the chain head before it; the new head is SHA-256(prev bytes || line without newline).
 * Every 1,000 records or 60 s a checkpoint line (eventName "TrentCheckpoint") with sequence range,
 * chain head, slot generations, commit number, time, and an Ed25519 signature over its other members.
 * The public key lies beside the files (audit.pub, PEM) and in every checkpoint. docs/audit.md has
 * the format byte by byte.
 */
#pragma once

#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

struct audit;

/* Thresholds; 0 means the default in brackets. Tests lower them. */
struct audit_limits {
    uint64_t checkpoint_records; /* records without a checkpoint [1,000] */
    int64_t  checkpoint_ms;      /* age of the oldest such record [60,000] */
    int64_t  sync_ms;            /* longest time between a write and its sync, about [400] */
    int64_t  gather_ms;          /* longest time that a sync waits for more records [1] */
    uint64_t rotate_bytes;       /* a new file from this size on [256 MiB] */
    int64_t  rotate_ms;          /* or from this age on [3,600,000] */
    int64_t  tick_ms;            /* how often the housekeeping thread looks [500] */
    unsigned min_free_percent;   /* less free space: only records that take rights away go in [1] */
};

/* The system calls that a sick or full disk makes fail; results as the calls of these names give
 * them (posix_fallocate returns the error number). */
struct audit_io {
    ssize_t (*write)(int fd, const void *from, size_t len);
    int (*ftruncate)(int fd, off_t len);
    int (*fdatasync)(int fd);
    int (*posix_fallocate)(int fd, off_t at, off_t len);
    int (*statvfs)(const char *path, struct statvfs *ret);
};

struct audit_config {
    const char    *dir;           /* DIR/audit */
    const uint8_t *node;          /* 16 bytes: instance id */
    bool           sync_always;   /* audit.sync = always */
    uint64_t       reserve_bytes; /* preallocated emergency space (64 MiB; --dev 1 MiB) */
    struct clock  *clock;
    /* signs a checkpoint or receipt */
    enum kms_status (*sign)(void *ctx, struct bytes message, uint8_t ret[64],
                            struct kms_error *reterr);
    void                  *sign_ctx;
    uint8_t                public_key[32];
    struct audit_limits    limits;
    const struct audit_io *io;    /* NULL: the system's own; tests hand in calls that fail */
    struct file_alarm      alarm; /* rung when it is broken for good (audit_failed) */
};

/* Makes the folder, the public key file and the reserve. Nothing is overwritten. */
KMS_MUST_CHECK enum kms_status audit_create(const struct audit_config *config,
                                            struct kms_error          *reterr);

/* What opening found in the files. */
struct audit_head {
    uint64_t seq;                /* of the last record; 0 for none */
    uint8_t  hash[32];           /* chain head */
    int64_t  time;               /* time of the last record */
    uint64_t commit;             /* highest "commit" of a change record */
    uint64_t slot_generation[2]; /* of the slot files, as the last checkpoint has them */
    uint64_t dropped; /* bytes of a torn last line that were cut off (no answer had left for it) */
};
/* Opens for appending: finds the head, checks the chain back to the last checkpoint; refuses with one
 * line (file, seq, why) when it does not fit. Lines that a power cut left half-written or as zeros,
 * all after the last checkpoint and never synced, are moved to DIR/audit/torn-<seq>-<n> and counted in
 * `dropped`. Starts the housekeeping thread (sync, checkpoints, rotation, reserve). Copies what it
 * needs of `config`, except the clock, io and what the alarm is given, which must outlive it. */
KMS_MUST_CHECK enum kms_status audit_open(const struct audit_config *config, struct audit **ret,
                                          struct audit_head *ret_head, struct kms_error *reterr);
/* True if the event with this id is already in the files (searches back at most `lines` lines). For
 * start-up: appends wait meanwhile. */
bool audit_has_event(struct audit *a, const char event_id[36], size_t lines);
/* What the files say without opening them for writing: for tools beside a stopped server. Nothing is
 * cut or written; `dropped` counts the bytes that audit_open would cut. */
KMS_MUST_CHECK enum kms_status audit_peek(const char *dir, struct audit_head *ret_head,
                                          struct kms_error *reterr);
void audit_close(struct audit *a); /* writes a last checkpoint, syncs; NULL is fine */

/* Appends events (each an object text without its closing brace, as audit_event_write makes it, no
 * newline in it) in one write; they are in the file when this returns. `sync`: also on disk (always so
 * with sync_always). `reserve`: these take rights away, so they may use the emergency space. On a full
 * disk none of them is in the file and the chain is unchanged: KMS_E_INTERNAL. After any other failed
 * write, or a failed sync, what is on disk is unknown: KMS_E_INTERNAL, the alarm is rung, and the audit
 * refuses everything until it is opened again (audit_failed). Thread-safe. */
KMS_MUST_CHECK enum kms_status audit_append(struct audit *a, const struct bytes *events, size_t n,
                                            bool sync, bool reserve, struct kms_error *reterr);
/* Somebody who is told when records are on disk. */
struct audit_waiter {
    struct audit_waiter *next; /* this and `seq` are the audit's */
    uint64_t             seq;
    /* On the audit's thread, which holds its lock: must not call the audit. KMS_OK, or KMS_E_INTERNAL: the
     * audit is broken, and nobody knows what the disk has */
    void (*told)(struct audit_waiter *w, enum kms_status status);
};
/* Like audit_append, but does not wait for the disk: `w`, which stays the audit's until then, is told when it
 * has the records. On failure it is not told. Many callers, few syncs: one serves all that wait. */
KMS_MUST_CHECK enum kms_status audit_append_later(struct audit *a, const struct bytes *events,
                                                  size_t n, bool reserve, struct audit_waiter *w,
                                                  struct kms_error *reterr);
/* Nobody who waits will be told any more. */
void audit_forget_waiters(struct audit *a);
/* Returns when everything that was appended before is on disk. Fails as audit_append does when a sync
 * fails. Thread-safe. */
KMS_MUST_CHECK enum kms_status audit_sync(struct audit *a, struct kms_error *reterr);
/* Gives the emergency space back to the file system, for a change that takes rights away and found no
 * room in another file; until the space is there again only such records go in. False if there is none. */
bool audit_give_reserve(struct audit *a);
/* Numbers that go into the next checkpoint. */
void audit_note(struct audit *a, const uint64_t slot_generation[2], uint64_t commit);
/* False while records cannot be written: health is red. */
bool audit_healthy(struct audit *a);
/* True once it is broken for good (a sync, a write or a cut back failed): the alarm has been rung. */
bool audit_failed(struct audit *a);
struct audit_counts {
    uint64_t seq, bytes; /* of the last record; written since it was opened */
    uint64_t syncs, failures;
    uint64_t checkpoint_seq;  /* of the last checkpoint */
    int64_t  last_checkpoint; /* its time; 0 for none */
};
void audit_counts(struct audit *a, struct audit_counts *ret);

/* --- events ------------------------------------------------------------------------------------------ */

/* Values of one event; views. Empty views are left out or null as CloudTrail does. */
struct audit_event {
    int64_t      time;
    char         event_id[37]; /* UUID */
    const char  *request_id;   /* NULL for service events */
    const char  *event_type;   /* "AwsApiCall" or "AwsServiceEvent" */
    const char  *event_name;
    const char  *source; /* eventSource; NULL: "kms.amazonaws.com" */
    struct bytes region;
    struct bytes account;        /* of the caller, and recipientAccountId */
    struct bytes principal_type; /* "Root", "IAMUser", ...; empty: service event */
    struct bytes principal_arn;
    struct bytes principal_id;
    struct bytes access_key_id;
    const char  *source_ip;
    struct bytes user_agent; /* truncated to 256 bytes and escaped */
    const char  *error_code; /* NULL on success */
    struct bytes error_message;
    struct bytes request_parameters; /* JSON object text; empty: null */
    struct bytes response_elements;  /* JSON object text; empty: null */
    struct bytes additional;         /* JSON object text for additionalEventData (of service events:
                                        serviceEventDetails); empty: left out                    */
    bool         read_only;
    struct bytes key_arns[2]; /* resources */
    const char  *tls_version, *tls_cipher;
    uint64_t     commit; /* number of the commit; 0 for none */
};
/* Appends the event text without its closing brace. The caller checks buf_ok(). The text ends with
 * "eventTimeMs" and, for a change, "commit": audit_open finds them there without parsing. */
void audit_event_write(struct buf *out, const struct audit_event *e);

/* Adds the number of the commit to an event text (the event is written before its change commits). */
void audit_event_commit(struct buf *event, uint64_t commit);

/* A receipt for one erasure (trust-model 2.7.6). */
struct audit_receipt {
    int64_t      time;
    struct bytes key_arn;
    struct bytes account, region;
    const char  *material_id; /* 64 hex; NULL for import wrapping keys */
    const char  *reason;      /* erase_reason_name */
    int64_t      tombstone_time;
    uint64_t     commit;
    const char  *slot_class; /* "erasable", "durable" */
    uint32_t     slot;
    uint64_t     slot_generation, file_generation;
    const char  *grade; /* "A", "B", "C" */
    const char  *filesystem;
    uint8_t      extents_before[32], extents_after[32];
    bool         verified, already_empty;
    bool         database_clean; /* the truncating checkpoint succeeded */
};
/* Appends the signed receipt: a text without closing brace, like an event's. */
KMS_MUST_CHECK enum kms_status audit_receipt_write(struct audit *a, const struct audit_receipt *r,
                                                   struct buf *out, struct kms_error *reterr);
