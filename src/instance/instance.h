/* instance/instance.h - a data directory: which files it has, making one, and holding it.
 *
 *   root.key          32 random bytes, mode 0400 (elsewhere when root-key-file says so)
 *   instance.sealed   instance key and its like, sealed by the root key        (vault/)
 *   erasable.slots    shred keys of imported material: never in a backup        (vault/)
 *   durable.slots     shred keys of generated material                         (vault/)
 *   trent.db          the database                                             (store/sqlite/)
 *   audit/            the audit files and audit.pub                            (audit/)
 *   clock             what the machine's clock was set to when the server last ran
 *   lock              held by the running server
 *   trent.sock        local socket of the running server
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "key/id.h"

struct account_record;
struct change;
struct vault;

struct instance_paths {
    char data[FILE_PATH_MAX];
    char root_key[FILE_PATH_MAX];
    char instance[FILE_PATH_MAX];
    char database[FILE_PATH_MAX];
    char audit[FILE_PATH_MAX];
    char clock[FILE_PATH_MAX];
    char lock[FILE_PATH_MAX];
    char socket[FILE_PATH_MAX];
};

/* Paths of a data directory; `root_key_file` NULL: root.key in it. */
KMS_MUST_CHECK enum kms_status instance_paths(const char *data_dir, const char *root_key_file,
                                              struct instance_paths *ret, struct kms_error *reterr);

/* Makes the folder itself, mode 0700, if it is not there. */
KMS_MUST_CHECK enum kms_status instance_make_directory(const struct instance_paths *paths,
                                                       struct kms_error            *reterr);

struct instance_config {
    const char *data_dir;
    const char *root_key_file;     /* NULL: DATA/root.key; refused if the file exists */
    const char *account;           /* 12 digits */
    const char *access_key_id;     /* NULL: generated, AKIA and 16 characters */
    const char *secret_access_key; /* NULL: generated, 40 characters */
    bool        development;
    uint64_t    audit_reserve_bytes;
};

/* The first account's root access key; the secret is nowhere else in clear. Wipe after showing
 * it. */
struct instance_result {
    char access_key_id[129];
    char secret_access_key[129];
};
void instance_result_wipe(struct instance_result *r);

/* --- accounts: the first one, and those that `trent account create` makes ------------------------ */

/* Twelve random digits that do not begin with a zero. */
void instance_new_account_id(char ret[ACCOUNT_LEN + 1]);
/* A random access key: AKIA and 16 characters, with a secret of 40. */
void instance_new_access_key(struct instance_result *ret);
/* Adds to the change: the account, and an access key of its root user. */
KMS_MUST_CHECK enum kms_status instance_add_account(struct vault *v, struct change *change,
                                                    const struct account_record  *account,
                                                    const struct instance_result *key,
                                                    struct kms_error             *reterr);
/* Adds an access key of the root user; `now` in milliseconds. */
KMS_MUST_CHECK enum kms_status instance_add_root_key(struct vault *v, struct change *change,
                                                     const char *account, int64_t now,
                                                     const struct instance_result *key,
                                                     struct kms_error             *reterr);

/* Makes a data directory (mode 0700) with everything in it and the first account. Refuses a folder
 * that has any file of a data directory in it; nothing is overwritten. If it fails halfway, what it
 * made is left for inspection and named in the message. crypto_init and secret_memory_init come
 * first. */
KMS_MUST_CHECK enum kms_status instance_create(const struct instance_config *config,
                                               struct instance_result       *ret,
                                               struct kms_error             *reterr);

/* --- restoring (restore.c) ---------------------------------------------------------------------
 * A backup rightly lacks erasable.slots. When the newest one is lost with its disk, an empty one lets
 * the rest be used again; the imported material of that backup is gone. The caller holds the lock. */

/* Is that what this directory needs? *ret_generation: for the new file, far above what database and
 * audit log have seen. Refuses with one line if erasable.slots is there, or something else is not. */
KMS_MUST_CHECK enum kms_status instance_restore_check(const struct instance_paths *paths,
                                                      uint64_t                    *ret_generation,
                                                      struct kms_error            *reterr);
/* Makes the empty file, and a record TrentRestoreAccepted in the audit log. crypto_init and
 * secret_memory_init come first. */
KMS_MUST_CHECK enum kms_status instance_restore_accept(const struct instance_paths *paths,
                                                       uint64_t                     generation,
                                                       struct kms_error            *reterr);

/* --- the clock of the last run (clock_mark.c) ---------------------------------------------------
 * Was the machine's clock set forward while no server was running? Then what fell due meanwhile must
 * not be erased before the time is confirmed (trust-model 2.8). */

/* Doubts the time (clock_doubt) if it was, and if that cannot be told: after a reboot; or, where no run
 * has left a note, when the clock is more than a minute after `seen`, the highest time that the data
 * directory knows. */
void instance_clock_check(const struct instance_paths *paths, struct clock *clock, int64_t seen);
/* Stores for the next start what the clock is set to now. Does nothing while the time is in doubt, or
 * if that is stored already. */
KMS_MUST_CHECK enum kms_status instance_clock_note(const struct instance_paths *paths,
                                                   struct clock *clock, struct kms_error *reterr);

/* --- holding ---------------------------------------------------------------------------------- */

/* Takes the exclusive lock of a data directory; *ret_fd holds it until closed. Refuses with the
 * process id of the holder. */
KMS_MUST_CHECK enum kms_status instance_lock(const struct instance_paths *paths, int *ret_fd,
                                             struct kms_error *reterr);
