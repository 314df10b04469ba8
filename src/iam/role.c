/* iam/role.c - CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription,
 * UpdateAssumeRolePolicy. DeleteRole is DeleteUser's function.
 *
 * A trust policy means the users and roles that there are when it is put: whom its ARNs name is kept
 * beside it (identity/principals.h), as beside key policies.
 */
#include "iam/handlers.h"

#include "authz/policy.h"
#include "identity/principals.h"

enum { SESSION_DEFAULT = 3600, TRUST_SHOWN_MAX = 64 * 1024 };

#define MAX_SESSION { .name = "MaxSessionDuration", .type = IAM_INT, .min = 3600, .max = 43200 }

const struct iam_param iam_create_role_params[] = {
    IAM_PATH,        IAM_ROLE_NAME, IAM_DOCUMENT("AssumeRolePolicyDocument", IAM_REQUIRED),
    IAM_DESCRIPTION, MAX_SESSION,   IAM_ARN("PermissionsBoundary", 0),
    IAM_TAG_LIST(0), IAM_END,
};
const struct iam_param iam_role_params[] = { IAM_ROLE_NAME, IAM_END };
const struct iam_param iam_list_roles_params[] = { IAM_PATH_PREFIX, IAM_PAGE, IAM_END };
const struct iam_param iam_update_role_params[] = {
    IAM_ROLE_NAME,
    IAM_DESCRIPTION,
    MAX_SESSION,
    IAM_END,
};
const struct iam_param iam_update_role_description_params[] = {
    IAM_ROLE_NAME,
    { .name = "Description", .type = IAM_STRING, .flags = IAM_REQUIRED, .max = 1000 },
    IAM_END,
};
const struct iam_param iam_update_assume_role_policy_params[] = {
    IAM_ROLE_NAME,
    IAM_DOCUMENT("PolicyDocument", IAM_REQUIRED),
    IAM_END,
};

/* --- trust policies --------------------------------------------------------------------------- */

struct stranger {
    const struct identity_book *book;
    struct policy_principal     found; /* the first that is not known */
};

static bool known(const struct policy_principal *p, const void *ctx)
{
    struct stranger *s = (struct stranger *)(uintptr_t)ctx;

    if (principal_known_to_trust(p, s->book))
        return true;
    s->found = *p;
    return false;
}

/* The document and whom it names, into the record. */
static enum kms_status set_trust(const struct op_call *call, struct identity_record *r,
                                 struct bytes text, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;
    CLEANUP(buf_release) struct buf      lines = BUF_INIT(TRUST_SHOWN_MAX);
    struct stranger                      s = { .book = call->env->identities };
    struct bytes                         nobody = { NULL, 0 };

    TRY(iam_check_length(text, reterr));
    if (iam_document_size(text) > IAM_TRUST_SIZE)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for ACLSizePerRole: %d",
                          IAM_TRUST_SIZE);
    enum kms_status status = policy_compile(POLICY_TRUST, text, nobody, &p, reterr);
    if (status == KMS_E_POLICY && (reterr == NULL || reterr->message_len == 0))
        return KMS_REFUSE(reterr, KMS_E_POLICY, "This policy contains invalid Json");
    TRY(status);
    if (!policy_principals_known(p, known, &s))
        return KMS_REFUSE(reterr, KMS_E_POLICY, "Invalid principal in policy: \"%s\":\"%.*s\"",
                          s.found.kind == PRINCIPAL_SERVICE     ? "SERVICE"
                          : s.found.kind == PRINCIPAL_FEDERATED ? "FEDERATED"
                                                                : "AWS",
                          BYTES_FMT(s.found.text));
    principals_bind(call->env->identities, p, &lines);
    if (!buf_ok(&lines))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for the principals of a trust policy");
    r->trust = arena_copy(r->arena, text);
    r->trust_principals = arena_copy(r->arena, buf_bytes(&lines));
    return KMS_OK;
}

/* As it was put, but for principals that are gone: those are shown as unique ids. */
static void put_trust(struct op_call *call, const struct identity_record *r)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(TRUST_SHOWN_MAX);

    principals_show(call->env->identities, r->trust, r->trust_principals, &text);
    xml_put_encoded(call->xml, "AssumeRolePolicyDocument",
                    buf_ok(&text) ? buf_bytes(&text) : r->trust);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void put_members(struct op_call *call, const struct identity_record *r, const void *ctx)
{
    (void)ctx;
    xml_put(call->xml, "Path", r->path);
    xml_put(call->xml, "RoleName", r->name);
    xml_put(call->xml, "RoleId", r->unique_id);
    xml_put(call->xml, "Arn", r->arn);
    xml_put_time(call->xml, "CreateDate", r->created);
    put_trust(call, r);
    if (r->description.len > 0)
        xml_put(call->xml, "Description", r->description);
    xml_put_int(call->xml, "MaxSessionDuration", r->max_session_s);
}

static void put_role(struct op_call *call, const struct identity_record *r)
{
    xml_open(call->xml, "Role");
    put_members(call, r, NULL);
    iam_put_boundary(call->xml, r);
    if (r->n_tags > 0)
        iam_put_tags(call->xml, r->tags, r->n_tags);
    xml_close(call->xml);
}

/* --- operations ------------------------------------------------------------------------------- */

enum kms_status iam_create_role(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record *r;

    TRY(iam_check_quota(call, IDENTITY_ROLE, reterr));
    r = iam_new(call, IDENTITY_ROLE, iam_arg(call, "Path"), iam_arg(call, "RoleName"));
    r->description = arena_copy(r->arena, iam_arg(call, "Description"));
    r->max_session_s = (uint32_t)iam_int(call, "MaxSessionDuration", SESSION_DEFAULT);
    TRY(set_trust(call, r, iam_arg(call, "AssumeRolePolicyDocument"), reterr));
    TRY(iam_set_boundary(call, r, reterr));
    TRY(iam_add_tags(call, r, reterr));
    put_role(call, r);
    return KMS_OK;
}

enum kms_status iam_get_role(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    put_role(call, call->identity);
    return KMS_OK;
}

enum kms_status iam_list_roles(struct op_call *call, struct kms_error *reterr)
{
    const struct iam_listing roles = {
        .name = "Roles",
        .kind = IDENTITY_ROLE,
        .accounts = { call->account },
        .put = put_members,
    };

    return iam_list(call, &roles, reterr);
}

enum kms_status iam_update_role(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record *r = iam_edit(call, call->identity);
    struct bytes            description = iam_arg(call, "Description");

    (void)reterr;
    if (description.ptr != NULL)
        r->description = arena_copy(r->arena, description);
    r->max_session_s = (uint32_t)iam_int(call, "MaxSessionDuration", r->max_session_s);
    return KMS_OK;
}

enum kms_status iam_update_role_description(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record *r = iam_edit(call, call->identity);

    (void)reterr;
    r->description = arena_copy(r->arena, iam_arg(call, "Description"));
    put_role(call, r);
    return KMS_OK;
}

enum kms_status iam_update_assume_role_policy(struct op_call *call, struct kms_error *reterr)
{
    return set_trust(call, iam_edit(call, call->identity), iam_arg(call, "PolicyDocument"), reterr);
}
