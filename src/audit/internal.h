/* audit/internal.h - what audit.c, open.c and keeper.c share; for audit/ only.
 *
 * Invariants, under `lock`:
 *   I1  `seq` and `head` are those of the last line in the file; a write that fails leaves file and
 *       chain as they were, or the audit is `broken`.
 *   I2  every file but the newest ends with a checkpoint and was synced before the next was begun.
 *   I3  while `full` or `low`, only records that take rights away are written (trust-model 5.6).
 *   I4  `fd` is not replaced while `syncing`.
 */
#pragma once

#include <pthread.h>

#include "audit/files.h"
#include "audit/format.h"
#include "base/file.h"

/* Where the chain stands. */
struct audit_chain {
    uint64_t seq;
    uint8_t  head[32];
    int64_t  time;                /* of the last record */
    uint64_t commit;              /* highest seen */
    uint64_t since;               /* records after the last checkpoint */
    uint64_t checkpoint_seq;      /* 0 for none yet */
    uint8_t  checkpoint_hash[32]; /* chain head after that checkpoint's line */
    int64_t  checkpoint_time;
    uint64_t slot_generation[2];
};

/* The end of the files, found by audit_tail_find. */
struct audit_tail {
    struct audit_chain chain;
    struct audit_file  file;    /* the newest; name "" for none */
    uint64_t           end;     /* its length without what is torn */
    uint64_t           dropped; /* bytes that are torn */
};

/* How the keeper's next sync takes along what comes in a moment (keeper.c). */
struct audit_gather {
    uint64_t expected;    /* sequence number: nothing more is waited for */
    uint64_t wait_ns;     /* at most so long */
    unsigned syncs_alone; /* so many more wait for nobody */
    bool     waiting;
};

enum { PIECES_UNDER_WAY = 8 };

/* How far the keeper has the kernel write the file between syncs, in bytes. */
struct audit_writing {
    uint64_t begun;                     /* it was asked to write so much */
    uint64_t earlier[PIECES_UNDER_WAY]; /* what `begun` was, in turn */
    unsigned oldest;                    /* of these */
    uint64_t forgotten;                 /* it was asked to drop so much from its cache */
};

struct audit {
    struct audit_config    config; /* dir and node point into here */
    struct audit_limits    limits; /* defaults filled in */
    const struct audit_io *io;
    char                   dir[FILE_PATH_MAX];
    uint8_t                node[16];
    char                   node_name[AUDIT_NODE_HEX + 1];

    pthread_mutex_t lock;
    pthread_cond_t  wake;       /* for the keeper: something is due */
    pthread_cond_t  synced_now; /* a sync has ended */
    pthread_t       keeper;
    bool            stopping;

    int                fd;
    struct audit_file  file;
    uint64_t           size;
    struct audit_chain chain;
    uint64_t           synced; /* sequence number up to which all is on disk */
    bool               syncing;
    uint64_t forgotten; /* bytes of the file that the page cache was told to let go, synced */
    struct audit_writing writing;
    /* in the order of their records */
    struct audit_waiter *first_waiter, *last_waiter;
    struct audit_gather  gather;
    int64_t              last_sync;      /* monotonic ms */
    int64_t              unsigned_since; /* monotonic ms of the first record after the checkpoint */

    bool                broken;  /* for good; the alarm has been rung */
    bool                failing; /* the last write did not go in */
    bool                full;    /* ENOSPC was seen; until space has returned */
    bool                low;     /* under min_free_percent */
    bool                reserve; /* the emergency space is there */
    struct buf          batch;   /* lines of the present append */
    struct audit_counts counts;
};

enum { AUDIT_BATCH_MAX = 64 * 1024 * 1024 };

/* Finds the end of the chain in `dir`. `node` NULL: whatever node the files are of. */
KMS_MUST_CHECK enum kms_status audit_tail_find(const char *dir, const uint8_t *node,
                                               const uint8_t public_key[32], struct audit_tail *ret,
                                               struct kms_error *reterr);

/* --- under `lock` ------------------------------------------------------------------------------------- */

KMS_MUST_CHECK enum kms_status audit_append_locked(struct audit *a, const struct bytes *events,
                                                   size_t n, bool reserve,
                                                   struct kms_error *reterr);
/* Returns once everything up to `seq` is on disk; gives the lock up meanwhile. */
KMS_MUST_CHECK enum kms_status audit_sync_locked(struct audit *a, uint64_t seq,
                                                 struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status audit_checkpoint_locked(struct audit *a, struct kms_error *reterr);
/* Begins the next file. */
KMS_MUST_CHECK enum kms_status audit_rotate_locked(struct audit *a, struct kms_error *reterr);
/* Creates and opens the file that begins with record `first`. The folder is not synced yet. */
KMS_MUST_CHECK enum kms_status audit_file_begin(struct audit *a, uint64_t first, int *ret_fd,
                                                struct audit_file *ret, struct kms_error *reterr);

/* Takes the outcome of something that is tried again later or shows elsewhere. */
static inline void audit_tried(enum kms_status status)
{
    (void)status;
}

/* --- the keeper ------------------------------------------------------------------------------------------ */

/* The housekeeping thread. */
void *audit_keeper_main(void *audit);
/* Makes the emergency space anew; false (and nothing left of it) when there is no room. */
bool audit_reserve_make(struct audit *a);
/* Gives it up. */
bool audit_reserve_free(struct audit *a);
