/* iam/rows.c - the table of the actions of IAM and STS, and how a request finds its row.
 *
 * Sorted by service and name; tests/unit/iam/test_rows.c checks that.
 */
#include "iam/handlers.h"
#include "iam/sts.h"

/* flags that go together */
#define READ  OP_READ_ONLY
#define REPLY OP_CHANGES
#define DONE  (OP_CHANGES | OP_EMPTY_ANSWER)
#define AWAY  (OP_CHANGES | OP_EMPTY_ANSWER | OP_TAKES_AWAY)

#define IAM_ROW(NAME, FLAGS, TARGET, PARAMS, FINISH)                                               \
    {                                                                                              \
        .op = { .name = (NAME),                                                                    \
                .key = OP_KEY_NONE,                                                                \
                .lane = LANE_SLOW,                                                                 \
                .flags = (FLAGS),                                                                  \
                .states = STATES_ALL,                                                              \
                .prepare = iam_prepare,                                                            \
                .resolve = iam_resolve,                                                            \
                .begin = iam_begin,                                                                \
                .finish = (FINISH),                                                                \
                .service = "iam" },                                                                \
        .params = (PARAMS), .target = (TARGET),                                                    \
    }

#define STS_ROW(NAME, FLAGS, PARAMS, PREPARE, RESOLVE, AUTHORIZE, FINISH)                          \
    {                                                                                              \
        .op = { .name = (NAME),                                                                    \
                .key = OP_KEY_NONE,                                                                \
                .lane = LANE_SLOW,                                                                 \
                .flags = OP_NO_AUTHZ | (FLAGS),                                                    \
                .states = STATES_ALL,                                                              \
                .prepare = (PREPARE),                                                              \
                .resolve = (RESOLVE),                                                              \
                .authorize = (AUTHORIZE),                                                          \
                .finish = (FINISH),                                                                \
                .service = "sts" },                                                                \
        .params = (PARAMS), .target = IAM_NOTHING,                                                 \
    }

// clang-format off
static const struct iam_row rows[] = {
    IAM_ROW("AttachRolePolicy",   DONE, IAM_ROLE, iam_attach_role_params, iam_attach_policy),
    IAM_ROW("AttachUserPolicy",   DONE, IAM_USER, iam_attach_user_params, iam_attach_policy),
    IAM_ROW("CreateAccessKey",    REPLY | OP_SECRET_REPLY, IAM_USER_OR_CALLER,
            iam_get_user_params, iam_create_access_key),
    IAM_ROW("CreatePolicy",       REPLY, IAM_NEW_POLICY, iam_create_policy_params, iam_create_policy),
    IAM_ROW("CreatePolicyVersion", REPLY, IAM_OWN_POLICY, iam_create_policy_version_params,
            iam_create_policy_version),
    IAM_ROW("CreateRole",         REPLY, IAM_NEW_ROLE, iam_create_role_params, iam_create_role),
    IAM_ROW("CreateUser",         REPLY, IAM_NEW_USER, iam_create_user_params, iam_create_user),
    IAM_ROW("DeleteAccessKey",    AWAY, IAM_USER_OR_CALLER, iam_delete_access_key_params,
            iam_delete_access_key),
    IAM_ROW("DeletePolicy",       AWAY, IAM_OWN_POLICY, iam_policy_params, iam_delete_policy),
    IAM_ROW("DeletePolicyVersion", AWAY, IAM_OWN_POLICY, iam_policy_version_params,
            iam_delete_policy_version),
    IAM_ROW("DeleteRole",         AWAY, IAM_ROLE, iam_role_params, iam_delete_identity),
    IAM_ROW("DeleteRolePermissionsBoundary", DONE, IAM_ROLE, iam_role_params, iam_delete_boundary),
    IAM_ROW("DeleteRolePolicy",   AWAY, IAM_ROLE, iam_role_policy_params, iam_delete_inline_policy),
    IAM_ROW("DeleteUser",         AWAY, IAM_USER, iam_user_params, iam_delete_identity),
    IAM_ROW("DeleteUserPermissionsBoundary", DONE, IAM_USER, iam_user_params, iam_delete_boundary),
    IAM_ROW("DeleteUserPolicy",   AWAY, IAM_USER, iam_user_policy_params, iam_delete_inline_policy),
    IAM_ROW("DetachRolePolicy",   AWAY, IAM_ROLE, iam_attach_role_params, iam_detach_policy),
    IAM_ROW("DetachUserPolicy",   AWAY, IAM_USER, iam_attach_user_params, iam_detach_policy),
    IAM_ROW("GetAccessKeyLastUsed", READ, IAM_KEY_OWNER, iam_access_key_params,
            iam_get_access_key_last_used),
    IAM_ROW("GetAccountSummary",  READ, IAM_NOTHING, NULL, iam_get_account_summary),
    IAM_ROW("GetPolicy",          READ, IAM_POLICY, iam_policy_params, iam_get_policy),
    IAM_ROW("GetPolicyVersion",   READ, IAM_POLICY, iam_policy_version_params,
            iam_get_policy_version),
    IAM_ROW("GetRole",            READ, IAM_ROLE, iam_role_params, iam_get_role),
    IAM_ROW("GetRolePolicy",      READ, IAM_ROLE, iam_role_policy_params, iam_get_inline_policy),
    IAM_ROW("GetUser",            READ, IAM_USER_OR_CALLER, iam_get_user_params, iam_get_user),
    IAM_ROW("GetUserPolicy",      READ, IAM_USER, iam_user_policy_params, iam_get_inline_policy),
    IAM_ROW("ListAccessKeys",     READ, IAM_USER_OR_CALLER, iam_list_access_keys_params,
            iam_list_access_keys),
    IAM_ROW("ListAccountAliases", READ, IAM_NOTHING, iam_page_params, iam_list_account_aliases),
    IAM_ROW("ListAttachedRolePolicies", READ, IAM_ROLE, iam_list_attached_role_params,
            iam_list_attached),
    IAM_ROW("ListAttachedUserPolicies", READ, IAM_USER, iam_list_attached_user_params,
            iam_list_attached),
    IAM_ROW("ListEntitiesForPolicy", READ, IAM_POLICY, iam_list_entities_params,
            iam_list_entities),
    IAM_ROW("ListPolicies",       READ, IAM_NOTHING, iam_list_policies_params, iam_list_policies),
    IAM_ROW("ListPolicyTags",     READ, IAM_POLICY, iam_policy_list_params, iam_list_tags),
    IAM_ROW("ListPolicyVersions", READ, IAM_POLICY, iam_policy_list_params,
            iam_list_policy_versions),
    IAM_ROW("ListRolePolicies",   READ, IAM_ROLE, iam_list_role_policies_params,
            iam_list_inline_policies),
    IAM_ROW("ListRoleTags",       READ, IAM_ROLE, iam_list_role_policies_params, iam_list_tags),
    IAM_ROW("ListRoles",          READ, IAM_ROLES, iam_list_roles_params, iam_list_roles),
    IAM_ROW("ListUserPolicies",   READ, IAM_USER, iam_list_user_policies_params,
            iam_list_inline_policies),
    IAM_ROW("ListUserTags",       READ, IAM_USER, iam_list_user_policies_params, iam_list_tags),
    IAM_ROW("ListUsers",          READ, IAM_USERS, iam_list_users_params, iam_list_users),
    IAM_ROW("PutRolePermissionsBoundary", DONE, IAM_ROLE, iam_put_role_boundary_params,
            iam_put_boundary_of),
    IAM_ROW("PutRolePolicy",      DONE, IAM_ROLE, iam_put_role_policy_params,
            iam_put_inline_policy),
    IAM_ROW("PutUserPermissionsBoundary", DONE, IAM_USER, iam_put_user_boundary_params,
            iam_put_boundary_of),
    IAM_ROW("PutUserPolicy",      DONE, IAM_USER, iam_put_user_policy_params,
            iam_put_inline_policy),
    IAM_ROW("SetDefaultPolicyVersion", DONE, IAM_OWN_POLICY, iam_policy_version_params,
            iam_set_default_policy_version),
    IAM_ROW("SimulateCustomPolicy", READ, IAM_NOTHING, iam_simulate_custom_params, iam_simulate),
    IAM_ROW("SimulatePrincipalPolicy", READ, IAM_SOURCE, iam_simulate_principal_params,
            iam_simulate),
    IAM_ROW("TagPolicy",          DONE, IAM_OWN_POLICY, iam_tag_policy_params, iam_tag),
    IAM_ROW("TagRole",            DONE, IAM_ROLE, iam_tag_role_params, iam_tag),
    IAM_ROW("TagUser",            DONE, IAM_USER, iam_tag_user_params, iam_tag),
    IAM_ROW("UntagPolicy",        DONE, IAM_OWN_POLICY, iam_untag_policy_params, iam_untag),
    IAM_ROW("UntagRole",          DONE, IAM_ROLE, iam_untag_role_params, iam_untag),
    IAM_ROW("UntagUser",          DONE, IAM_USER, iam_untag_user_params, iam_untag),
    IAM_ROW("UpdateAccessKey",    AWAY, IAM_USER_OR_CALLER, iam_update_access_key_params,
            iam_update_access_key),
    IAM_ROW("UpdateAssumeRolePolicy", DONE, IAM_ROLE, iam_update_assume_role_policy_params,
            iam_update_assume_role_policy),
    IAM_ROW("UpdateRole",         REPLY, IAM_ROLE, iam_update_role_params, iam_update_role),
    IAM_ROW("UpdateRoleDescription", REPLY, IAM_ROLE, iam_update_role_description_params,
            iam_update_role_description),
    STS_ROW("AssumeRole",         REPLY | OP_SECRET_REPLY, sts_assume_role_params,
            sts_prepare_assume_role, sts_find_role, sts_authorize_assume_role, sts_assume_role),
    STS_ROW("AssumeRoleWithWebIdentity", REPLY | OP_SECRET_REPLY | OP_UNSIGNED, sts_web_params,
            sts_prepare_web, sts_find_role, sts_authorize_web, sts_assume_role_with_web_identity),
    STS_ROW("GetCallerIdentity",  READ, NULL, iam_prepare, NULL, NULL, sts_get_caller_identity),
    STS_ROW("GetSessionToken",    REPLY | OP_SECRET_REPLY, sts_get_session_token_params,
            iam_prepare, NULL, NULL, sts_get_session_token),
};
// clang-format on

static int order(struct bytes service, struct bytes action, const struct operation *op)
{
    int c = bytes_cmp(service, bytes_str(op->service));

    return c != 0 ? c : bytes_cmp(action, bytes_str(op->name));
}

const struct operation *iam_find(struct bytes service, struct bytes action)
{
    size_t low = 0;
    size_t high = ARRAY_LEN(rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int    c = order(service, action, &rows[middle].op);
        if (c == 0)
            return &rows[middle].op;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct operation *iam_row(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i].op : NULL;
}
