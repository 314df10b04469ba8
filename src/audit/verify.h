/* audit/verify.h - checking audit files from outside: needs no server and no secrets (trust-model 5.7). */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum audit_verdict {
    AUDIT_GOOD = 0, /* exit codes of `trent audit verify` */
    AUDIT_TAMPERED = 1,
    AUDIT_INCOMPLETE = 2, /* missing files, or an unsigned tail after the last checkpoint */
    AUDIT_UNUSABLE = 3,   /* cannot read */
};
/* "good", "TAMPERED", "incomplete", "unusable" */
const char *audit_verdict_name(enum audit_verdict verdict);

struct audit_verify_options {
    const char *dir;
    const char *public_key_file; /* NULL: DIR/audit.pub */
    const char *witness_file;    /* saved checkpoint lines, oldest first, that must be in the chain;
                                    NULL: none                                               */
    uint64_t    from, to;        /* sequence range to report on; 0, UINT64_MAX for all. With `from`,
                                    files before it need not be there; what stands before the first
                                    record read is vouched for by the next checkpoint         */
    bool        allow_tail;      /* an unsigned tail of at most AUDIT_TAIL_MAX records is fine (a
                                    running server)                                          */
};
enum { AUDIT_TAIL_MAX = 10000 };
struct audit_report {
    enum audit_verdict verdict;
    uint64_t           records, checkpoints,
        receipts;           /* in the range; checkpoints and receipts are records too */
    uint64_t tail;          /* records after the last checkpoint */
    uint64_t first_bad_seq; /* 0: nothing bad */
    char     why[480];      /* "" for good; hash, gap, order, signature, witness; file and line */
    uint8_t  head[32];      /* chain head after record `head_seq`, the last one read */
    uint64_t head_seq;
    uint64_t checkpoint_seq; /* the last checkpoint read; 0 for none */
    int64_t  checkpoint_time;
};
/* Reads files only. Everything from the first record read to the last checkpoint is vouched for by the
 * public key; what comes after is the tail. */
void audit_verify(const struct audit_verify_options *o, struct audit_report *ret);

/* Calls `visit` for each receipt line of a key (ARN, key id, or NULL for all), in order. `signature_ok`
 * is the verdict on its own signature. */
KMS_MUST_CHECK enum kms_status audit_receipts(const char *dir, const char *public_key_file,
                                              const char *key,
                                              void (*visit)(void *ctx, struct bytes line,
                                                            bool signature_ok),
                                              void *ctx, struct kms_error *reterr);

/* Calls `visit` for every line of every file, oldest first, until it says false. Nothing is checked:
 * what matters is what audit_verify says. */
typedef bool audit_line_fn(void *ctx, struct bytes line);
KMS_MUST_CHECK enum kms_status audit_each_line(const char *dir, audit_line_fn *visit, void *ctx,
                                               struct kms_error *reterr);
