/* authz/authz.h - may this caller do this to this key? Pure: no I/O, no clock, no globals.
 *
 * The key policy is the root of authority: what it does not allow, nobody may do, not even the
 * account's root user. Callers other than root users have no identity policies in this release, so
 * what a key policy hands over to their account ends there. Everything that a decision depends on
 * is handed in, and the answer carries its reason.
 */
#pragma once

#include "authz/policy.h"
#include "base/bytes.h"
#include "base/error.h"
#include "key/record.h"

struct authz_request {
    struct bytes             caller_account;
    struct bytes             caller_arn; /* arn:aws:iam::<account>:root */
    const char              *operation;  /* "Encrypt": the action is kms:Encrypt */
    const struct key_record *key;        /* NULL for operations that no key policy can allow */
    bool              cross_account;     /* the operation may be called for other accounts' keys */
    condition_source *values; /* what conditions ask; NULL: every condition key is absent */
    void             *ctx;    /* for `values` */
};

/* KMS_OK, or KMS_E_ACCESS_DENIED with the recorded text (recorded-authz-multiregion section 3) and
 * the statement that decided in the operator's detail. */
KMS_MUST_CHECK enum kms_status authz_decide(const struct authz_request *rq,
                                            struct kms_error           *reterr);

/* May this document become the key policy of rq->key, or of the key that the request creates
 * (rq->key is NULL)? Asked when the caller may put one at all; `rq->operation` does not matter.
 *
 * KMS_E_LIMIT over LIMIT_POLICY_BYTES, the errors of policy_compile, KMS_E_POLICY for a principal
 * that does not exist, and unless `bypass` for a policy under which the caller could not call
 * PutKeyPolicy any more (kms-behaviour 12): an allowance that depends on the circumstances of a
 * request proves nothing. `resource` is the ARN of the key, or what one of this Region looks
 * like. */
KMS_MUST_CHECK enum kms_status authz_check_key_policy(const struct authz_request *rq,
                                                      struct bytes text, struct bytes resource,
                                                      bool bypass, struct kms_error *reterr);

/* How the directory compiles key policies (key/rights.h). */
extern const struct rights_compiler authz_rights_compiler;
