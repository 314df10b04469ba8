/* base/file.h - whole-file reading and durable writing, with errors that say what and where; and the
 * alarm for files that did not keep what was written. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Reads a file of at most out->limit bytes. */
KMS_MUST_CHECK enum kms_status file_read(const char *path, struct buf *out,
                                         struct kms_error *reterr);
/* Writes path.tmp, syncs, renames, syncs the folder. Refuses to replace an existing file unless
 * `replace`. `mode` as for open(2). */
KMS_MUST_CHECK enum kms_status file_write(const char *path, struct bytes content, unsigned mode,
                                          bool replace, struct kms_error *reterr);
/* pread/pwrite/write that go on after short counts and EINTR. KMS_E_INTERNAL with errno's text; errno
 * is still that of the failed call. */
KMS_MUST_CHECK enum kms_status file_pread_all(int fd, void *to, size_t len, uint64_t at,
                                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status file_pwrite_all(int fd, struct bytes from, uint64_t at,
                                               struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status file_append_all(int fd, struct bytes from, struct kms_error *reterr);
bool file_exists(const char *path);
/* "dir/name" into a fixed buffer; false if it does not fit. */
enum { FILE_PATH_MAX = 512 };
KMS_MUST_CHECK bool file_join(char out[FILE_PATH_MAX], const char *dir, const char *name);
/* fsync of a folder, so that creations and renames in it are durable. */
KMS_MUST_CHECK enum kms_status file_sync_dir(const char *dir, struct kms_error *reterr);

/* Was it that no more fits (ENOSPC, EDQUOT)? Then nothing is lost, and it may work again later. */
bool file_full(int error);
/* Whom to tell that a file did not keep what was written: a sync failed, or a write for another
 * reason than a full disk. Nobody knows then what is in the file, and a second sync that succeeds
 * proves nothing, since the kernel reports a lost write once (trust-model, rule 6). Whoever sees it
 * refuses everything from then on, and rings once. What that does is its owner's business: the server
 * ends, tests note it, tools have none (ring NULL). It may be called from any thread and with locks
 * held, so it must not call back. */
struct file_alarm {
    void (*ring)(void *ctx, const char *what); /* `what`: one line, what failed and where */
    void *ctx;
};
void file_alarm_ring(const struct file_alarm *alarm, const char *what);
