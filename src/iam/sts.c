/* iam/sts.c - GetCallerIdentity, which everybody may ask, and GetSessionToken, which users may. */
#include "iam/sts.h"

#define MFA_PARAMS                                                                                 \
    { .name = "SerialNumber", .type = IAM_STRING, .min = 9, .max = 256 },                          \
        { .name = "TokenCode", .type = IAM_STRING, .flags = IAM_NO_AUDIT, .min = 6, .max = 6 }

const struct iam_param sts_get_session_token_params[] = {
    { .name = "DurationSeconds",
      .type = IAM_INT,
      .min = STS_DURATION_MIN,
      .max = STS_USER_DURATION_MAX },
    MFA_PARAMS,
    IAM_END,
};

enum kms_status sts_get_caller_identity(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    xml_put(call->xml, "Arn", call->caller->arn_view);
    xml_put(call->xml, "UserId", call->caller->unique_id_view);
    xml_put(call->xml, "Account", call->caller->authz.as.account);
    return KMS_OK;
}

/* A root user gets an hour at most, whatever it asks for, as the service does it. */
static int64_t duration(const struct op_call *call, bool root)
{
    int64_t wanted = iam_int(call, "DurationSeconds", STS_USER_DURATION);

    return root && wanted > STS_ROOT_DURATION_MAX ? STS_ROOT_DURATION_MAX : wanted;
}

enum kms_status sts_get_session_token(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *by = call->caller->key;
    const struct sts_wanted         wanted = {
                .kind = by->root ? SESSION_ROOT : SESSION_USER,
                .account = by->account,
                .principal_id = by->principal_id,
                .duration_s = duration(call, by->root),
    };
    int packed = 0;

    if (by->session.kind != SESSION_NONE)
        return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                          "Cannot call GetSessionToken with session credentials");
    if (iam_arg(call, "SerialNumber").ptr != NULL || iam_arg(call, "TokenCode").ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                          "MultiFactorAuthentication failed, unable to validate MFA code.");
    return sts_new_session(call, &wanted, &packed, reterr);
}
