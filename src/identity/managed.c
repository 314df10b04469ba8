/* identity/managed.c - see managed.h.
 *
 * The names are those that people know from AWS; the documents say for KMS, IAM and STS what the
 * names promise. They can be attached and be boundaries, and nobody can change them.
 */
#include "identity/managed.h"

#include "base/cleanup.h"

#define VERSION "{\"Version\":\"2012-10-17\",\"Statement\":"

/* What reads and changes nothing: no key is used, no key material leaves. */
#define KMS_READ "\"kms:Describe*\",\"kms:GetKey*\",\"kms:GetPublicKey\",\"kms:List*\""
#define IAM_READ "\"iam:Get*\",\"iam:List*\",\"iam:Simulate*\""

static const struct {
    const char *name;
    const char *unique_id;
    const char *description;
    const char *text;
} policies[] = {
    { "AdministratorAccess", "ANPATRENTMANAGED00001", "Everything.",
      VERSION "[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}" },
    { "IAMFullAccess", "ANPATRENTMANAGED00002", "Everything in IAM.",
      VERSION "[{\"Effect\":\"Allow\",\"Action\":\"iam:*\",\"Resource\":\"*\"}]}" },
    { "IAMReadOnlyAccess", "ANPATRENTMANAGED00003", "Looking at everything in IAM.",
      VERSION "[{\"Effect\":\"Allow\",\"Action\":[" IAM_READ "],\"Resource\":\"*\"}]}" },
    { "AWSKeyManagementServicePowerUser", "ANPATRENTMANAGED00004",
      "Creating keys and aliases, and looking at all of them; the keys' policies decide about use.",
      VERSION "[{\"Effect\":\"Allow\",\"Action\":[\"kms:CreateAlias\",\"kms:CreateKey\","
              "\"kms:DeleteAlias\",\"kms:Describe*\",\"kms:GenerateRandom\",\"kms:Get*\","
              "\"kms:List*\",\"kms:TagResource\",\"kms:UntagResource\",\"iam:ListRoles\","
              "\"iam:ListUsers\"],\"Resource\":\"*\"}]}" },
    { "ReadOnlyAccess", "ANPATRENTMANAGED00005", "Looking at everything, changing nothing.",
      VERSION "[{\"Effect\":\"Allow\",\"Action\":[" KMS_READ "," IAM_READ
              ",\"sts:GetCallerIdentity\"],\"Resource\":\"*\"}]}" },
};

enum { MANAGED_CREATED_S = 1767225600 }; /* 2026-01-01: of all of them */

size_t managed_count(void)
{
    return ARRAY_LEN(policies);
}

struct identity_record *managed_policy(size_t i)
{
    struct identity_record *r = identity_record_new();
    uint8_t                 room[IDENTITY_ARN_MAX];
    struct buf              arn = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    if (r == NULL)
        return NULL;
    r->kind = IDENTITY_POLICY;
    r->account = BYTES_LIT(MANAGED_ACCOUNT);
    r->path = BYTES_LIT("/");
    r->name = bytes_str(policies[i].name);
    r->unique_id = bytes_str(policies[i].unique_id);
    r->description = bytes_str(policies[i].description);
    r->created = r->updated = (int64_t)MANAGED_CREATED_S * 1000;
    r->serial = i + 1;
    r->version = 1;
    r->last_version = 1;
    identity_arn_add(&arn, r->kind, r->account, r->path, r->name); /* fits */
    r->arn = arena_copy(r->arena, buf_bytes(&arn));
    r->n_documents = 1;
    r->documents = arena_alloc(r->arena, sizeof r->documents[0]);
    r->documents[0] = (struct identity_document){ .name = BYTES_LIT("v1"),
                                                  .text = bytes_str(policies[i].text),
                                                  .created = r->created,
                                                  .is_default = true };
    return r;
}
