/* iam/sts_role.c - AssumeRole: whoever has credentials gets a session of a role that trusts it.
 *
 * A trust policy is to a role what a key policy is to a key: the root of authority, which allows by
 * itself or hands over to the identity policies of an account; across accounts both sides are
 * needed, and an explicit deny anywhere wins. So authz/ decides about it as about a key.
 */
#include "iam/sts.h"

#include "authz/authz.h"

#define ROLE_ARN { .name = "RoleArn", .type = IAM_STRING, .flags = IAM_REQUIRED, .min = 20, .max = 2048 }

const struct iam_param sts_assume_role_params[] = {
    ROLE_ARN,
    { .name = "RoleSessionName",
      .type = IAM_STRING,
      .flags = IAM_REQUIRED,
      .min = 2,
      .max = SESSION_NAME_MAX,
      IAM_PATTERN("[\\w+=,.@-]*", iam_is_name) },
    IAM_DOCUMENT("Policy", 0),
    { .name = "DurationSeconds",
      .type = IAM_INT,
      .min = STS_DURATION_MIN,
      .max = STS_ROLE_DURATION_MAX },
    IAM_TAG_LIST(0),
    { .name = "TransitiveTagKeys", .type = IAM_STRINGS, .min = 1, .max = 128 },
    { .name = "ExternalId",
      .type = IAM_STRING,
      .min = 2,
      .max = 1224,
      IAM_PATTERN("[\\w+=,.@:\\/-]*", iam_is_external_id) },
    { .name = "SerialNumber", .type = IAM_STRING, .min = 9, .max = 256 },
    { .name = "TokenCode", .type = IAM_STRING, .flags = IAM_NO_AUDIT, .min = 6, .max = 6 },
    { .name = "SourceIdentity",
      .type = IAM_STRING,
      .min = 2,
      .max = 64,
      IAM_PATTERN("[\\w+=,.@-]*", iam_is_name) },
    IAM_END,
};

/* --- which role -------------------------------------------------------------------------------------- */

enum kms_status sts_find_role(struct op_call *call, struct kms_error *reterr)
{
    struct bytes                  arn = iam_arg(call, "RoleArn");
    const struct identity_record *r = book_identity_by_arn(call->env->identities, arn);

    call->resource = arn;
    call->identity = r != NULL && r->kind == IDENTITY_ROLE ? r : NULL;
    if (call->identity != NULL)
        return KMS_OK;
    struct bytes rest = arn;
    struct bytes part = { NULL, 0 };
    for (unsigned i = 0; i < 5; i++) {
        if (!bytes_cut(&rest, ':', &part))
            return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%.*s is invalid", BYTES_FMT(arn));
    }
    if (!bytes_starts(arn, BYTES_LIT("arn:")) || !bytes_starts(rest, BYTES_LIT("role/")))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%.*s is invalid", BYTES_FMT(arn));
    return KMS_OK;
}

enum kms_status sts_prepare_assume_role(struct op_call *call, struct kms_error *reterr)
{
    TRY(iam_prepare(call, reterr));
    return sts_check_session(call, true, reterr);
}

enum kms_status sts_role_duration(const struct op_call *call, bool chained, int64_t *ret,
                                  struct kms_error *reterr)
{
    int64_t wanted = iam_int(call, "DurationSeconds", STS_ROLE_DURATION);

    if (chained && wanted > STS_ROLE_DURATION)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "The requested DurationSeconds exceeds the 1 hour session limit for roles "
            "assumed by role chaining.");
    if (wanted > call->identity->max_session_s)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    *ret = wanted;
    return KMS_OK;
}

void sts_put_role_user(struct op_call *call)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(512);
    const struct identity_record   *r = call->identity;
    struct bytes                    name = iam_arg(call, "RoleSessionName");

    xml_open(call->xml, "AssumedRoleUser");
    buf_addf(&text, "%.*s:%.*s", BYTES_FMT(r->unique_id), BYTES_FMT(name));
    xml_put(call->xml, "AssumedRoleId", buf_bytes(&text));
    buf_reset(&text);
    buf_addf(&text, "arn:aws:sts::%.*s:assumed-role/%.*s/%.*s", BYTES_FMT(r->account),
             BYTES_FMT(r->name), BYTES_FMT(name));
    xml_put(call->xml, "Arn", buf_bytes(&text));
    xml_close(call->xml);
}

/* --- rights ---------------------------------------------------------------------------------------- */

static enum kms_status refuse(const struct op_call *call, const char *action,
                              struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                      "User: %.*s is not authorized to perform: %s on resource: %.*s",
                      BYTES_FMT(call->caller_arn), action, BYTES_FMT(call->resource));
}

static void explain(struct op_call *call, const struct authz_request *a,
                    const struct authz_decision *d)
{
    struct buf *scratch = op_scratch(call);
    size_t      start = scratch->len;

    authz_explanation_add(a, d, scratch);
    if (op_scratch_since(call, start, &call->audit_extra, NULL) != KMS_OK)
        call->audit_extra = (struct bytes){ NULL, 0 };
}

/* The role stands where authz/ has a key: a resource with a policy of its own. */
static enum kms_status may(struct op_call *call, const char *action, condition_source *values,
                           void *ctx, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    const struct key_record       role = {
              .name = { .account = r->account, .arn = r->arn },
              .rights = r->trust_rights,
    };
    const struct authz_request a = {
        .caller = &call->caller->authz,
        .action = bytes_str(action),
        .resource = r->arn,
        .key = &role,
        .cross_account = true,
        .operation = GRANT_NO_OPERATION,
        .values = values,
        .ctx = ctx,
    };
    struct authz_decision d;

    enum kms_status status = authz_decide(&a, &d, reterr);
    if (status != KMS_E_ACCESS_DENIED)
        return status;
    explain(call, &a, &d);
    return refuse(call, action, reterr);
}

/* One that was set once stays in a chain of roles, and is set for each role anew. */
static struct bytes source_identity(const struct op_call *call)
{
    struct bytes inherited = call->caller->key->session.source_identity;

    return inherited.len > 0 ? inherited : iam_arg(call, "SourceIdentity");
}

enum kms_status sts_authorize_assume_role(struct op_call *call, condition_source *values, void *ctx,
                                          struct kms_error *reterr)
{
    struct bytes sent = iam_arg(call, "SourceIdentity");
    struct bytes source = source_identity(call);

    if (call->caller->authz.as.kind == CALLER_ROOT)
        return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                          "Roles may not be assumed by root accounts.");
    if (iam_arg(call, "SerialNumber").ptr != NULL || iam_arg(call, "TokenCode").ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                          "MultiFactorAuthentication failed, unable to validate MFA code.");
    if (call->identity == NULL)
        return refuse(call, "sts:AssumeRole", reterr);
    TRY(may(call, "sts:AssumeRole", values, ctx, reterr));
    if (form_element(call->form, BYTES_LIT("Tags"), 1, "Key").ptr != NULL)
        TRY(may(call, "sts:TagSession", values, ctx, reterr));
    if (sent.ptr != NULL && !bytes_eq(sent, source))
        return refuse(call, "sts:SetSourceIdentity", reterr);
    return source.len == 0 ? KMS_OK : may(call, "sts:SetSourceIdentity", values, ctx, reterr);
}

/* --- the session ----------------------------------------------------------------------------------- */

enum kms_status sts_assume_role(struct op_call *call, struct kms_error *reterr)
{
    const struct session *by = &call->caller->key->session;
    bool                  chained = by->kind == SESSION_ROLE;
    struct sts_wanted     wanted = {
            .kind = SESSION_ROLE,
            .account = call->identity->account,
            .principal_id = call->identity->unique_id,
            .name = iam_arg(call, "RoleSessionName"),
            .source_identity = source_identity(call),
            .made_by = chained ? by : NULL,
            .with_policies = true,
            .with_tags = true,
    };
    int packed = -1;

    TRY(sts_role_duration(call, chained, &wanted.duration_s, reterr));
    sts_put_role_user(call);
    TRY(sts_new_session(call, &wanted, &packed, reterr));
    if (packed >= 0)
        xml_put_int(call->xml, "PackedPolicySize", packed);
    if (wanted.source_identity.len > 0)
        xml_put(call->xml, "SourceIdentity", wanted.source_identity);
    return KMS_OK;
}
