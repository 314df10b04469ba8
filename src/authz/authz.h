/* authz/authz.h - may this caller do this to this key? Pure: no I/O, no clock, no globals.
 *
 * In this release the account's root user may use the account's keys, and nobody else may do
 * anything. The interface is the one that key policies, grants and identity policies will use:
 * everything that a decision depends on is handed in, and the answer carries its reason.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "key/record.h"

struct authz_request {
    struct bytes             caller_account;
    struct bytes             caller_arn; /* arn:aws:iam::<account>:root */
    const char              *operation;  /* "Encrypt": the action is kms:Encrypt */
    const struct key_record *key;        /* NULL for operations without a key */
    bool cross_account;                  /* the operation may be called for other accounts' keys */
};

/* KMS_OK, or KMS_E_ACCESS_DENIED with the recorded text (recorded-authz-multiregion section 3). */
KMS_MUST_CHECK enum kms_status authz_decide(const struct authz_request *rq,
                                            struct kms_error           *reterr);
