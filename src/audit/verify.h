/* audit/verify.h - checking audit files from outside: needs no server and no secrets (trust-model 5.7). */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum audit_verdict {
    AUDIT_GOOD = 0,       /* exit codes of `trent audit verify`                              */
    AUDIT_TAMPERED = 1,
    AUDIT_INCOMPLETE = 2, /* missing files, or an unsigned tail after the last checkpoint      */
    AUDIT_UNUSABLE = 3,   /* cannot read                                                     */
};
struct audit_verify_options {
    const char *dir;
    const char *public_key_file; /* NULL: DIR/audit.pub                                        */
    const char *witness_file;    /* a saved checkpoint line that must be in the chain; NULL: none */
    uint64_t    from, to;        /* sequence range to report on; 0, UINT64_MAX for all           */
    bool        allow_tail;      /* an unsigned tail is fine (a running server)                  */
};
struct audit_report {
    enum audit_verdict verdict;
    uint64_t records, checkpoints, receipts, tail;
    uint64_t first_bad_seq;
    char     why[240];           /* hash, gap, order, signature, witness mismatch; file and line  */
    uint8_t  head[32];
    uint64_t head_seq;
};
void audit_verify(const struct audit_verify_options *o, struct audit_report *ret);

/* Calls `visit` for each receipt line of a key (ARN, key id, or NULL for all), in order. `signature_ok`
 * is the verdict on its own signature. */
KMS_MUST_CHECK enum kms_status audit_receipts(const char *dir, const char *public_key_file, const char *key,
                                              void (*visit)(void *ctx, struct bytes line, bool signature_ok),
                                              void *ctx, struct kms_error *reterr);
