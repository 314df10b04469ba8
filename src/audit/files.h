/* audit/files.h - the files of an audit folder, listed and read; for audit/ only. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum { AUDIT_NAME_MAX = 64 };

struct audit_file {
    char     name[AUDIT_NAME_MAX];
    uint64_t first; /* sequence number of its first record, by its name */
    int64_t  time;  /* when it was begun, by its name */
};

struct audit_files {
    struct audit_file *list; /* by `first` */
    size_t             n;
};

/* Finds the files of a folder by their names; others are not ours. */
KMS_MUST_CHECK enum kms_status audit_files_list(const char *dir, struct audit_files *ret,
                                                struct kms_error *reterr);
void audit_files_release(struct audit_files *files); /* for CLEANUP */

/* "trent-20261121T174501Z-000000000001.jsonl" */
void audit_file_name(char out[AUDIT_NAME_MAX], int64_t ms, uint64_t first);
/* Opens one for reading: a regular file, no link. The descriptor is the caller's. */
KMS_MUST_CHECK enum kms_status audit_file_open(const char *dir, const char *name, int flags,
                                               int *ret, struct kms_error *reterr);

/* audit.pub: an Ed25519 key as PEM (SubjectPublicKeyInfo, RFC 8410). */
void audit_public_key_pem(struct buf *out, const uint8_t key[32]);
KMS_MUST_CHECK enum kms_status audit_public_key_read(const char *path, uint8_t ret[32],
                                                     struct kms_error *reterr);

/* --- lines, forwards ------------------------------------------------------------------------------------ */

enum line_result {
    LINE_OK,
    LINE_END,
    LINE_TORN /* bytes without a newline at the end */,
    LINE_LONG,
    LINE_FAILED /* errno */
};

struct line_reader {
    int      fd;    /* borrowed */
    uint8_t *block; /* owned */
    size_t   len, at;
    uint64_t offset; /* in the file, of block[at]: where the next line starts */
    uint64_t number; /* of the line given last, from 1 */
};

/* Starts at `offset`, which must be where a line starts. False when there is no memory. */
KMS_MUST_CHECK bool line_reader_init(struct line_reader *r, int fd, uint64_t offset);
/* The next line without its newline; valid until the next call. LINE_TORN gives what is there. */
enum line_result line_next(struct line_reader *r, struct bytes *ret_line);
void line_reader_release(struct line_reader *r);

/* --- lines, backwards ------------------------------------------------------------------------------------- */

struct line_backward {
    int      fd;    /* borrowed */
    uint8_t *block; /* owned */
    size_t   cap;
    size_t   start, end; /* what is held of the file: block[start, end) */
    uint64_t offset;     /* in the file, of block[start] */
};

/* Starts before `end`, which must be where a line ended (after its newline) or 0. */
KMS_MUST_CHECK bool line_backward_init(struct line_backward *b, int fd, uint64_t end);
/* The line before, without its newline, and where it starts; LINE_END at the start of the file. */
enum line_result line_previous(struct line_backward *b, struct bytes *ret_line,
                               uint64_t *ret_offset);
void line_backward_release(struct line_backward *b);
