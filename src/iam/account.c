/* iam/account.c - GetAccountSummary, ListAccountAliases. */
#include "iam/handlers.h"

const struct iam_param iam_page_params[] = { IAM_PAGE, IAM_END };

static void put_entry(struct xml *x, const char *key, size_t value)
{
    xml_open(x, "entry");
    xml_put_str(x, "key", key);
    xml_put_int(x, "value", (int64_t)value);
    xml_close(x);
}

enum kms_status iam_get_account_summary(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *keys[LIMIT_LIST_ITEMS];
    struct xml                     *x = call->xml;

    (void)reterr;
    xml_open(x, "SummaryMap");
    put_entry(x, "Users", iam_count(call, IDENTITY_USER));
    put_entry(x, "UsersQuota", LIMIT_IDENTITIES);
    put_entry(x, "Roles", iam_count(call, IDENTITY_ROLE));
    put_entry(x, "RolesQuota", LIMIT_IDENTITIES);
    put_entry(x, "Policies", iam_count(call, IDENTITY_POLICY));
    put_entry(x, "PoliciesQuota", LIMIT_IDENTITIES);
    put_entry(x, "Groups", 0);
    put_entry(x, "GroupsQuota", 0);
    put_entry(x, "Providers", 0);
    put_entry(x, "MFADevices", 0);
    put_entry(x, "AccountMFAEnabled", 0);
    put_entry(x, "AccountAccessKeysPresent",
              book_list_access_keys(call->env->identities, call->account, keys, ARRAY_LEN(keys)));
    put_entry(x, "AccessKeysPerUserQuota", IAM_KEYS_PER_USER);
    put_entry(x, "AttachedPoliciesPerUserQuota", IAM_ATTACHED_PER_IDENTITY);
    put_entry(x, "AttachedPoliciesPerRoleQuota", IAM_ATTACHED_PER_IDENTITY);
    put_entry(x, "PolicySizeQuota", IAM_POLICY_SIZE);
    put_entry(x, "UserPolicySizeQuota", IAM_USER_POLICY_SIZE);
    put_entry(x, "RolePolicySizeQuota", IAM_ROLE_POLICY_SIZE);
    put_entry(x, "AssumeRolePolicySizeQuota", IAM_TRUST_SIZE);
    put_entry(x, "VersionsPerPolicyQuota", POLICY_VERSIONS_MAX);
    xml_close(x);
    return KMS_OK;
}

/* Accounts have no aliases here; clients ask for them all the same. */
enum kms_status iam_list_account_aliases(struct op_call *call, struct kms_error *reterr)
{
    struct iam_page page;

    TRY(iam_page_read(call, &page, reterr));
    xml_open(call->xml, "AccountAliases");
    xml_close(call->xml);
    return iam_page_end(call, false, 0, reterr);
}
