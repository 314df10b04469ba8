/* iam/user.c - CreateUser, GetUser, ListUsers, DeleteUser (and DeleteRole). */
#include "iam/handlers.h"

const struct iam_param iam_create_user_params[] = {
    IAM_PATH, IAM_USER_NAME, IAM_ARN("PermissionsBoundary", 0), IAM_TAG_LIST(0), IAM_END,
};
const struct iam_param iam_get_user_params[] = { IAM_USER_NAME_OR_CALLER, IAM_END };
const struct iam_param iam_list_users_params[] = { IAM_PATH_PREFIX, IAM_PAGE, IAM_END };
const struct iam_param iam_user_params[] = { IAM_USER_NAME, IAM_END };

static void put_members(struct op_call *call, const struct identity_record *r, const void *ctx)
{
    (void)ctx;
    xml_put(call->xml, "Path", r->path);
    xml_put(call->xml, "UserName", r->name);
    xml_put(call->xml, "UserId", r->unique_id);
    xml_put(call->xml, "Arn", r->arn);
    xml_put_time(call->xml, "CreateDate", r->created);
}

static void put_user(struct op_call *call, const struct identity_record *r)
{
    xml_open(call->xml, "User");
    put_members(call, r, NULL);
    iam_put_boundary(call->xml, r);
    if (r->n_tags > 0)
        iam_put_tags(call->xml, r->tags, r->n_tags);
    xml_close(call->xml);
}

enum kms_status iam_create_user(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record *r;

    TRY(iam_check_quota(call, IDENTITY_USER, reterr));
    r = iam_new(call, IDENTITY_USER, iam_arg(call, "Path"), iam_arg(call, "UserName"));
    TRY(iam_set_boundary(call, r, reterr));
    TRY(iam_add_tags(call, r, reterr));
    put_user(call, r);
    return KMS_OK;
}

/* A root user is its account, and has no name. */
static void put_root(struct op_call *call)
{
    const struct account_record *a = book_account(call->env->identities, call->account);

    xml_open(call->xml, "User");
    xml_put(call->xml, "UserId", call->account);
    xml_put(call->xml, "Arn", call->resource);
    if (a != NULL)
        xml_put_time(call->xml, "CreateDate", a->created);
    xml_close(call->xml);
}

enum kms_status iam_get_user(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    if (call->identity != NULL)
        put_user(call, call->identity);
    else
        put_root(call);
    return KMS_OK;
}

enum kms_status iam_list_users(struct op_call *call, struct kms_error *reterr)
{
    const struct iam_listing users = {
        .name = "Users",
        .kind = IDENTITY_USER,
        .accounts = { call->account },
        .put = put_members,
    };

    return iam_list(call, &users, reterr);
}

/* What hangs on a user or role has to go first, so that nobody deletes it by mistake. */
static enum kms_status check_deletable(const struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record   *r = call->identity;
    const struct access_key_record *key[1];

    if (book_list_access_keys(call->env->identities, r->unique_id, key, 1) > 0)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT,
                          "Cannot delete entity, must delete access keys first.");
    if (r->n_documents > 0)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT,
                          "Cannot delete entity, must delete policies first.");
    if (r->n_attached > 0)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT,
                          "Cannot delete entity, must detach all policies first.");
    return KMS_OK;
}

enum kms_status iam_delete_identity(struct op_call *call, struct kms_error *reterr)
{
    TRY(check_deletable(call, reterr));
    iam_delete(call, call->identity);
    return KMS_OK;
}
