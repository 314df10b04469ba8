/* iam/sts_web.c - AssumeRoleWithWebIdentity: no signature, but the token of an OIDC issuer that the
 * operator has configured and the role's trust policy names.
 *
 * The token is looked at twice, for the rights and for the answer: it costs less than keeping what it
 * says from one step to another, and a token that ends in between is refused.
 */
#include "iam/sts.h"

#include <strings.h>

#include "authz/authz.h"
#include "jwt/providers.h"

const struct iam_param sts_web_params[] = {
    { .name = "RoleArn", .type = IAM_STRING, .flags = IAM_REQUIRED, .min = 20, .max = 2048 },
    { .name = "RoleSessionName",
      .type = IAM_STRING,
      .flags = IAM_REQUIRED,
      .min = 2,
      .max = SESSION_NAME_MAX,
      IAM_PATTERN("[\\w+=,.@-]*", iam_is_name) },
    { .name = "WebIdentityToken",
      .type = IAM_STRING,
      .flags = IAM_REQUIRED | IAM_NO_AUDIT,
      .min = 4,
      .max = JWT_BYTES_MAX },
    { .name = "ProviderId", .type = IAM_STRING, .min = 4, .max = 2048 },
    IAM_DOCUMENT("Policy", 0),
    { .name = "DurationSeconds",
      .type = IAM_INT,
      .min = STS_DURATION_MIN,
      .max = STS_ROLE_DURATION_MAX },
    IAM_END,
};

enum kms_status sts_prepare_web(struct op_call *call, struct kms_error *reterr)
{
    TRY(iam_prepare(call, reterr));
    return sts_check_session(call, false, reterr);
}

static enum kms_status check_token(const struct op_call *call, struct oidc_identity *ret,
                                   struct kms_error *reterr)
{
    if (iam_arg(call, "ProviderId").ptr !=
        NULL) /* of OAuth 2.0 access tokens, which are none of ours */
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "ProviderId is for OAuth 2.0 access tokens only");
    return oidc_check(call->env->oidc, iam_arg(call, "WebIdentityToken"), call->now, ret, reterr);
}

static struct bytes add_provider_arn(const struct op_call *call, const struct oidc_identity *who,
                                     struct buf *out)
{
    buf_addf(out, "arn:aws:iam::%.*s:oidc-provider/%s", BYTES_FMT(call->identity->account),
             who->provider);
    return buf_bytes(out);
}

/* --- conditions -------------------------------------------------------------------------------------- */

/* Answers what is about the token, and asks on for the rest. */
struct web_question {
    const struct oidc_identity *who;
    struct bytes                provider_arn;
    condition_source           *values;
    void                       *ctx;
};

static bool same_text(struct bytes a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.ptr, b, a.len) == 0;
}

/* "host/path:sub": claims of the provider's own tokens only. */
static enum condition_answer ask_claim(const struct oidc_identity *who, struct bytes name, size_t i,
                                       struct bytes *ret)
{
    size_t at = strlen(who->provider);

    if (name.len <= at || name.ptr[at] != ':' || !same_text(bytes_of(name.ptr, at), who->provider))
        return CONDITION_ABSENT;
    struct bytes claim = bytes_of(name.ptr + at + 1, name.len - at - 1);
    if (same_text(claim, "amr"))
        return jwt_claim(who->token, "amr", i, ret) ? CONDITION_VALUE : CONDITION_ABSENT;
    if (i > 0)
        return CONDITION_ABSENT;
    if (same_text(claim, "sub"))
        *ret = jwt_subject(who->token);
    else if (same_text(claim, "aud"))
        *ret = who->audience;
    else
        return CONDITION_ABSENT;
    return CONDITION_VALUE;
}

static enum condition_answer answer(void *ctx, const struct condition_key *key, size_t i,
                                    char room[CONDITION_ROOM], struct bytes *ret)
{
    /* parameters of AssumeRole, which this action does not have */
    static const enum condition_key_id never[] = {
        ASK_EXTERNAL_ID, ASK_STS_SOURCE_IDENTITY, ASK_TRANSITIVE_TAG_KEYS, ASK_REQUEST_TAG,
        ASK_TAG_KEYS,
    };
    const struct web_question *q = ctx;

    if (key->id == ASK_TOKEN_CLAIM)
        return ask_claim(q->who, key->name, i, ret);
    if (key->id == ASK_FEDERATED_PROVIDER && i == 0) {
        *ret = q->provider_arn;
        return CONDITION_VALUE;
    }
    for (size_t k = 0; k < ARRAY_LEN(never); k++) {
        if (key->id == never[k])
            return CONDITION_ABSENT;
    }
    return q->values(q->ctx, key, i, room, ret);
}

/* --- rights ------------------------------------------------------------------------------------------ */

static enum kms_status refuse(struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_ACCESS_DENIED,
                      "Not authorized to perform sts:AssumeRoleWithWebIdentity");
}

enum kms_status sts_authorize_web(struct op_call *call, condition_source *values, void *ctx,
                                  struct kms_error *reterr)
{
    CLEANUP(oidc_identity_release) struct oidc_identity who = { 0 };
    CLEANUP(buf_release) struct buf                     provider = BUF_INIT(512);
    const struct identity_record                       *r = call->identity;

    TRY(check_token(call, &who, reterr));
    if (r == NULL || r->trust_rights == NULL || r->trust_rights->policy == NULL)
        return refuse(reterr);
    struct web_question         q = { .who = &who,
                                      .provider_arn = add_provider_arn(call, &who, &provider),
                                      .values = values,
                                      .ctx = ctx };
    const struct policy_request ask = {
        .caller = { .kind = CALLER_WEB, .account = r->account, .arn = q.provider_arn },
        .action = BYTES_LIT("sts:AssumeRoleWithWebIdentity"),
        .resource = r->arn,
        .values = answer,
        .ctx = &q,
    };
    struct policy_result said = policy_evaluate(r->trust_rights->policy, &ask);

    return said.verdict == POLICY_ALLOWS ? KMS_OK : refuse(reterr);
}

/* --- the session ------------------------------------------------------------------------------------- */

enum kms_status sts_assume_role_with_web_identity(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(oidc_identity_release) struct oidc_identity who = { 0 };
    CLEANUP(buf_release) struct buf                     provider = BUF_INIT(512);
    int                                                 packed = -1;

    TRY(check_token(call, &who, reterr));
    struct sts_wanted wanted = {
        .kind = SESSION_ROLE,
        .account = call->identity->account,
        .principal_id = call->identity->unique_id,
        .name = iam_arg(call, "RoleSessionName"),
        .provider = add_provider_arn(call, &who, &provider),
        .with_policies = true,
        .subject = jwt_subject(who.token),
    };
    TRY(sts_role_duration(call, false, &wanted.duration_s, reterr));
    xml_put(call->xml, "SubjectFromWebIdentityToken", jwt_subject(who.token));
    xml_put(call->xml, "Audience", who.audience);
    sts_put_role_user(call);
    TRY(sts_new_session(call, &wanted, &packed, reterr));
    xml_put(call->xml, "Provider", wanted.provider);
    if (packed >= 0)
        xml_put_int(call->xml, "PackedPolicySize", packed);
    return KMS_OK;
}
