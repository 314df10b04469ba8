/* vault/slot_file.h - shred keys in a file of slots that are overwritten in place (trust-model 2.7).
 *
 * Format: docs/storage-format.md. A file has a header (two copies, written in turn), a page on which
 * the filesystem is tried, and slots of 128 bytes, 32 to a page. A slot is written and erased by
 * overwriting its page where it is; the file is never renamed, copied or cut. It grows by whole
 * chunks of real zeros.
 *
 * Invariants:
 *   I1  A slot is given out only after its bytes were seen to be zeros, at start or by the read-back
 *       of its last erasure.
 *   I2  The file generation rises with every erasure, in the sync before the zeros are written; a
 *       slot's generation is the file's when it was written. So no slot has the same generation twice.
 *   I3  After a failed sync, or a write that failed for another reason than a full disk, nothing more
 *       is written and the alarm has been rung: the kernel may have dropped what it could not write,
 *       and a second sync would call that success (trust-model, rule 6).
 */
#pragma once

#include <pthread.h>

#include "base/file.h"
#include "crypto/crypto.h"
#include "vault/vault.h"

enum {
    SLOT_PAGE = 4096,
    SLOT_BYTES = 128,
    SLOT_OWNER = 16,
    SLOT_WRAPPED = 40,
    SLOT_MAC = 16,
    SLOT_SCRATCH_AT = 2 * SLOT_PAGE, /* the page grade.c rewrites         */
    SLOT_FIRST_AT = 4 * SLOT_PAGE,   /* the first slot                    */
    SLOT_CHUNK = 1024 * 1024,        /* growth: 8192 slots                */
    SLOT_HEADER = 72,                /* used bytes of a header page       */
};

struct slot_keys {
    struct secret *wrap; /* AES-256 key wrap of the shred keys           */
    struct secret *mac;  /* MACs of header and slots, owner tags         */
    uint8_t        instance[16];
};

/* --- codec (slot_codec.c): bytes to meaning, without a file --------------------------------------- */

void slot_header_encode(const struct slot_keys *keys, enum slot_class slot_class,
                        uint64_t generation, uint8_t ret[SLOT_HEADER]);
enum slot_header {
    SLOT_HEADER_GOOD,
    SLOT_HEADER_FOREIGN /* of another instance or class */,
    SLOT_HEADER_DAMAGED
};
enum slot_header slot_header_decode(const struct slot_keys *keys, enum slot_class slot_class,
                                    const uint8_t in[SLOT_HEADER], uint64_t *ret_generation);

/* What owns a slot, as a keyed hash: the key's id and a material id or token id. */
void slot_owner(const struct slot_keys *keys, struct bytes key_id, struct bytes item,
                uint8_t ret[SLOT_OWNER]);

enum slot_state {
    SLOT_FREE, /* all zeros                                                            */
    SLOT_USED,
    SLOT_BUSY,    /* being written or erased (in memory only)                             */
    SLOT_DAMAGED, /* neither: a crash while erasing, or tampering. Never used, never given out */
};
struct slot_content {
    enum slot_state state;
    uint64_t        generation; /* of a damaged slot: what stands where the generation would be */
    uint8_t         owner[SLOT_OWNER];
    uint8_t         wrapped[SLOT_WRAPPED];
};
/* FREE, USED or DAMAGED; USED only if the MAC verifies for this file and place. */
void slot_decode(const struct slot_keys *keys, enum slot_class slot_class, uint32_t slot,
                 const uint8_t in[SLOT_BYTES], struct slot_content *ret);
void slot_encode(const struct slot_keys *keys, enum slot_class slot_class, uint32_t slot,
                 const struct slot_content *content, uint8_t ret[SLOT_BYTES]);

/* --- what the filesystem makes of an overwrite (grade.c) ------------------------------------------- */

struct grade {
    enum erase_grade grade;
    char             reason[160];
    char             filesystem[32];
};
/* Rewrites the page at `at` up to 50 times and looks whether it stayed where it was. */
KMS_MUST_CHECK enum kms_status grade_probe(int fd, uint64_t at, struct grade *ret,
                                           struct kms_error *reterr);
/* SHA-256 of where the page at `at` lies on the device; false (and zeros) if that cannot be told. */
bool grade_extent(int fd, uint64_t at, uint8_t ret[SHA256_LEN]);

/* --- the file (slot_file.c) -------------------------------------------------------------------------- */

struct slot_entry {
    uint64_t        generation;
    enum slot_state state;
};

struct slot_file {
    enum slot_class    slot_class;
    struct slot_keys   keys; /* borrowed from the instance */
    int                fd;
    int                direct_fd; /* for reading back past the page cache; -1: not possible here */
    char               path[FILE_PATH_MAX];
    pthread_mutex_t    erase_lock; /* one erasure at a time; before `lock`            */
    pthread_mutex_t    sync_lock;  /* one sync at a time (slot_file_sync); before `lock`  */
    pthread_mutex_t    lock;       /* everything below, and read-change-write of pages */
    struct file_alarm  alarm;      /* may be set once it is open, before it is used */
    bool               broken;     /* I3 */
    uint64_t           written;    /* how many writes there were */
    uint64_t           synced;     /* so many of them are on disk */
    uint64_t           generation;
    uint64_t           generation_synced; /* this one is on disk */
    struct slot_entry *entries;
    uint32_t           n_entries;
    uint32_t          *free; /* stack of free slots */
    uint32_t           n_free;
};

/* Makes a new file of one chunk, under its name when it is complete. Refuses to replace one. */
KMS_MUST_CHECK enum kms_status slot_file_create(const char *dir, enum slot_class slot_class,
                                                const struct slot_keys *keys, uint64_t generation,
                                                struct kms_error *reterr);
/* Opens, locks and reads it. One line for each refusal, as vault_open promises. */
KMS_MUST_CHECK enum kms_status slot_file_open(const char *dir, enum slot_class slot_class,
                                              const struct slot_keys *keys, uint64_t min_generation,
                                              struct slot_file **ret, struct kms_error *reterr);
void slot_file_close(struct slot_file *f);
const char *slot_file_name(enum slot_class slot_class);

/* One shred key to be made, and then where it is. */
struct slot_new {
    uint8_t        owner[SLOT_OWNER];
    uint32_t       slot;
    uint64_t       generation;
    struct secret *shred; /* the caller's */
};
/* Makes n shred keys and writes each into a free slot. They are on disk after slot_file_sync: nothing that
 * lasts may name such a slot before. All or none: on failure no slot is in use and no `shred` is set. */
KMS_MUST_CHECK enum kms_status slot_file_write(struct slot_file *f, struct slot_new *list, size_t n,
                                               struct kms_error *reterr);
/* Reads one back. KMS_E_KEY_STATE if the slot is empty or has another generation,
 * KMS_E_KEY_UNAVAILABLE if it is damaged or somebody else's. */
KMS_MUST_CHECK enum kms_status slot_file_read(struct slot_file *f, uint32_t slot,
                                              uint64_t generation, const uint8_t owner[SLOT_OWNER],
                                              struct secret **ret_shred, struct kms_error *reterr);
bool slot_file_alive(struct slot_file *f, uint32_t slot, uint64_t generation);
/* *ret_generation is on disk: what remembers it calls a file with a lower one an old copy. */
void slot_file_counts(struct slot_file *f, uint32_t *ret_used, uint32_t *ret_total,
                      uint64_t *ret_generation);

/* Shared by slot_file.c and slot_erase.c. A failed write ends the use of the file (I3).
 * With the lock held, from reading a page until it is written: the page at `at`, as it is with what was
 * written to it. */
KMS_MUST_CHECK enum kms_status slot_file_read_page(const struct slot_file *f, uint64_t at,
                                                   uint8_t           ret_page[SLOT_PAGE],
                                                   struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status slot_file_write_page(struct slot_file *f, uint64_t at,
                                                    const uint8_t     page[SLOT_PAGE],
                                                    struct kms_error *reterr);
/* Without the lock: puts on disk what was written before the call. Nothing is done if it is there.
 * One at a time: that a write was lost the kernel tells only one of two (I3). */
KMS_MUST_CHECK enum kms_status slot_file_sync(struct slot_file *f, struct kms_error *reterr);
/* With the lock held. */
KMS_MUST_CHECK enum kms_status slot_file_put_header(struct slot_file *f, uint64_t generation,
                                                    struct kms_error *reterr);
static inline uint64_t slot_offset(uint32_t slot)
{
    return SLOT_FIRST_AT + (uint64_t)slot * SLOT_BYTES;
}
static inline uint64_t slot_page(uint32_t slot)
{
    return slot_offset(slot) / SLOT_PAGE * SLOT_PAGE;
}

/* --- erasing (slot_erase.c) ---------------------------------------------------------------------------- */

struct slot_name {
    uint32_t slot;
    uint64_t generation;
    bool     any_generation; /* whatever is there (sweeping damaged slots) */
};
/* Erases n slots of the file together; proofs may be NULL. */
KMS_MUST_CHECK enum kms_status slot_file_erase(struct slot_file *f, const struct grade *grade,
                                               const struct slot_name *names, size_t n,
                                               struct erase_proof *ret_proofs,
                                               struct kms_error   *reterr);
