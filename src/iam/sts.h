/* iam/sts.h - what the operations of STS share; no other family includes it. */
#pragma once

#include "iam/internal.h"
#include "identity/caller.h"

struct oidc_identity;

enum {
    STS_DURATION_MIN = 900,
    STS_ROLE_DURATION = 3600, /* where a request names none, and at most for a chain of roles */
    STS_ROLE_DURATION_MAX = 43200,
    STS_USER_DURATION = 43200,
    STS_USER_DURATION_MAX = 129600,
    STS_ROOT_DURATION_MAX = 3600,
    STS_POLICY_ARNS_MAX = 10,
    /* Bytes of session policies and tags: AWS packs them and says how full the packet is, by a rule
     * that it keeps to itself. Ours are counted as they are, white space of documents left out. */
    STS_PACKED_MAX = 4096,
    STS_TOKEN_BYTES = 48, /* of a session token, before it is base64 */
};

/* --- making sessions (sts_session.c) ---------------------------------------------------------- */

/* What is to be made. Views into the request or into records. */
struct sts_wanted {
    enum session_kind kind;
    struct bytes      account;
    struct bytes      principal_id; /* of a role its unique id; of a user likewise; the account */
    struct bytes      name;         /* RoleSessionName */
    int64_t           duration_s;
    struct bytes      source_identity;
    struct bytes      provider;          /* ARN */
    const struct session *made_by;       /* a chain: its transitive tags go on; may be NULL */
    bool                  with_policies; /* Policy and PolicyArns of the request count */
    bool                  with_tags;     /* Tags and TransitiveTagKeys do */
    struct bytes          subject;       /* of a web identity, for the audit */
};

/* Checks what the request says about session policies and (`tags`) tags, as far as no record is
 * needed: KMS_E_VALIDATION, KMS_E_POLICY, KMS_E_PACKED_POLICY. */
KMS_MUST_CHECK enum kms_status sts_check_session(struct op_call *call, bool tags,
                                                 struct kms_error *reterr);
/* The row of the new session, and <Credentials>; PackedPolicySize is the caller's to write
 * (*ret_packed, in per cent; -1: there is nothing to be packed). KMS_E_LIMIT when the account has
 * LIMIT_SESSIONS; KMS_E_VALIDATION for tags that clash, KMS_E_POLICY for a policy that is not there. */
KMS_MUST_CHECK enum kms_status sts_new_session(struct op_call          *call,
                                               const struct sts_wanted *wanted, int *ret_packed,
                                               struct kms_error *reterr);

/* --- roles (sts_role.c) ------------------------------------------------------------------------- */

/* The role that RoleArn names into call->identity (NULL: there is none), its ARN into
 * call->resource. KMS_E_VALIDATION for what is no ARN. */
KMS_MUST_CHECK enum kms_status sts_find_role(struct op_call *call, struct kms_error *reterr);
/* How long a session of the role may and shall last. `chained`: a session of a role makes it. */
KMS_MUST_CHECK enum kms_status sts_role_duration(const struct op_call *call, bool chained,
                                                 int64_t *ret, struct kms_error *reterr);
/* <AssumedRoleUser>. */
void sts_put_role_user(struct op_call *call);

/* --- handlers ----------------------------------------------------------------------------------- */

extern const struct iam_param sts_assume_role_params[];
extern const struct iam_param sts_web_params[];
extern const struct iam_param sts_get_session_token_params[];

KMS_MUST_CHECK enum kms_status sts_prepare_assume_role(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_prepare_web(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_authorize_assume_role(struct op_call   *call,
                                                         condition_source *values, void *ctx,
                                                         struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_assume_role(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_authorize_web(struct op_call *call, condition_source *values,
                                                 void *ctx, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_assume_role_with_web_identity(struct op_call   *call,
                                                                 struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_get_session_token(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status sts_get_caller_identity(struct op_call   *call,
                                                       struct kms_error *reterr);
