/* base/secret.h - memory for key bytes: locked, absent from dumps, wiped (trust-model 4.1).
 *
 * A secret has its own type. It cannot be printed, copied by assignment or put in a struct buf,
 * because no function with those shapes accepts it. Small secrets share 64 KiB arenas with guard
 * pages; every block has a canary and is wiped when it goes back; a damaged canary aborts.
 *
 * A child that was forked inherits nothing of it: it must not use secrets, nor make any, before exec.
 */
#pragma once

#include "base/bytes.h"

struct secret;

enum secret_grade {
    SECRET_MEMFD,    /* memfd_secret: not even root reads it through /proc/PID/mem        */
    SECRET_LOCKED,   /* mlock + MADV_DONTDUMP + MADV_WIPEONFORK                            */
    SECRET_UNLOCKED, /* DONTDUMP only; development, and only when explicitly allowed        */
};

/* Probes what the machine can do, in that order, and keeps it. KMS_E_INTERNAL with one line of
 * detail (what, where, how to mend: LimitMEMLOCK) when memory cannot be locked and `allow_unlocked`
 * is false. Call once, before threads. Tests that never call it get SECRET_UNLOCKED.
 * In builds with KMS_CRASH_POINTS the environment variable TRENT_SECRET_MEMORY=mlock leaves
 * memfd_secret out, so that a test can look for keys in the process's memory. */
struct kms_error;
KMS_MUST_CHECK enum kms_status secret_memory_init(bool allow_unlocked, struct kms_error *reterr);
enum secret_grade secret_memory_grade(void);
const char *secret_grade_name(enum secret_grade grade); /* "memfd_secret", "mlock", "unlocked" */

/* A zeroed secret of `len` bytes (1..LIMIT_SECRET_BYTES); NULL when there is no memory.
 * Thread-safe. */
struct secret *secret_new(size_t len);
/* Copies `from` in; the caller wipes its own copy. */
struct secret *secret_copy(struct bytes from);
void secret_free(struct secret *s);   /* wipes; NULL is fine */
void secret_freep(struct secret **s); /* for CLEANUP()       */

/* The bytes themselves, for crypto/ and vault/ only (scripts/lint). */
uint8_t *secret_data(struct secret *s);
size_t secret_len(const struct secret *s);
static inline struct bytes secret_view(struct secret *s)
{
    return bytes_of(secret_data(s), secret_len(s));
}

/* Compares in constant time; lengths may differ (then false, at once: lengths are not secret). */
KMS_MUST_CHECK bool ct_equal(struct bytes a, struct bytes b);

/* Number of live secrets, for status and for leak tests. */
size_t secret_count(void);
