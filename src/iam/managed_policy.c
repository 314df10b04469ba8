/* iam/managed_policy.c - CreatePolicy, GetPolicy, ListPolicies, DeletePolicy, and their versions.
 *
 * A managed policy is its versions, of which one is in force. Whoever attaches it makes a new
 * version of its record (iam_hold), so that it is not deleted meanwhile.
 */
#include "iam/handlers.h"

#include <inttypes.h>
#include <stdio.h>

#include "identity/managed.h"

enum { VERSION_NAME_MAX = 16 };

static const char *const scopes[] = { "All", "AWS", "Local", NULL };
const char *const        iam_policy_usages[] = { "PermissionsPolicy", "PermissionsBoundary", NULL };

#define VERSION_ID                                                                                 \
    { .name = "VersionId", .type = IAM_STRING, .flags = IAM_REQUIRED, .min = 1, .max = 64,         \
      IAM_PATTERN("v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?", iam_is_version) }
#define POLICY_ARN IAM_ARN("PolicyArn", IAM_REQUIRED)

const struct iam_param iam_create_policy_params[] = {
    IAM_POLICY_NAME, IAM_POLICY_PATH("Path"), IAM_DOCUMENT("PolicyDocument", IAM_REQUIRED),
    IAM_DESCRIPTION, IAM_TAG_LIST(0),         IAM_END,
};
const struct iam_param iam_policy_params[] = { POLICY_ARN, IAM_END };
const struct iam_param iam_list_policies_params[] = {
    { .name = "Scope", .type = IAM_STRING, .values = scopes },
    { .name = "OnlyAttached", .type = IAM_BOOL },
    IAM_POLICY_PATH("PathPrefix"),
    { .name = "PolicyUsageFilter", .type = IAM_STRING, .values = iam_policy_usages },
    IAM_PAGE,
    IAM_END,
};
const struct iam_param iam_create_policy_version_params[] = {
    POLICY_ARN,
    IAM_DOCUMENT("PolicyDocument", IAM_REQUIRED),
    { .name = "SetAsDefault", .type = IAM_BOOL },
    IAM_END,
};
const struct iam_param iam_policy_version_params[] = { POLICY_ARN, VERSION_ID, IAM_END };
const struct iam_param iam_policy_list_params[] = { POLICY_ARN, IAM_PAGE, IAM_END };

/* --- answers ---------------------------------------------------------------------------------- */

static void put_members(struct op_call *call, const struct identity_record *r, struct iam_uses uses)
{
    const struct identity_document *d = identity_default_version(r);

    xml_put(call->xml, "PolicyName", r->name);
    xml_put(call->xml, "PolicyId", r->unique_id);
    xml_put(call->xml, "Arn", r->arn);
    xml_put(call->xml, "Path", r->path);
    if (d != NULL)
        xml_put(call->xml, "DefaultVersionId", d->name);
    xml_put_int(call->xml, "AttachmentCount", (int64_t)uses.attached);
    xml_put_int(call->xml, "PermissionsBoundaryUsageCount", (int64_t)uses.boundaries);
    xml_put_bool(call->xml, "IsAttachable", true);
    xml_put_time(call->xml, "CreateDate", r->created);
    xml_put_time(call->xml, "UpdateDate", r->updated);
}

static void put_policy(struct op_call *call, const struct identity_record *r)
{
    xml_open(call->xml, "Policy");
    put_members(call, r, iam_uses(call, r->arn));
    if (r->description.len > 0)
        xml_put(call->xml, "Description", r->description);
    iam_put_tags(call->xml, r->tags, r->n_tags);
    xml_close(call->xml);
}

/* --- documents -------------------------------------------------------------------------------- */

static enum kms_status check_document(struct bytes text, struct kms_error *reterr)
{
    TRY(iam_check_document(text, reterr));
    if (iam_document_size(text) > IAM_POLICY_SIZE)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for PolicySize: %d",
                          IAM_POLICY_SIZE);
    return KMS_OK;
}

/* Makes the newest version of a record that is being edited; not the default one. */
static struct identity_document *add_version(struct identity_record *r, struct bytes text,
                                             int64_t now)
{
    struct identity_document *all = arena_alloc(r->arena, (r->n_documents + 1) * sizeof *all);
    struct identity_document *d = &all[r->n_documents];
    char                      name[VERSION_NAME_MAX];

    if (r->n_documents > 0)
        memcpy(all, r->documents, r->n_documents * sizeof *all);
    (void)snprintf(name, sizeof name, "v%" PRIu32, ++r->last_version);
    d->name = arena_copy(r->arena, bytes_str(name));
    d->text = arena_copy(r->arena, text);
    d->created = now;
    r->documents = all;
    r->n_documents++;
    return d;
}

/* --- policies --------------------------------------------------------------------------------- */

enum kms_status iam_create_policy(struct op_call *call, struct kms_error *reterr)
{
    struct bytes            text = iam_arg(call, "PolicyDocument");
    struct identity_record *r;

    TRY(check_document(text, reterr));
    TRY(iam_check_quota(call, IDENTITY_POLICY, reterr));
    r = iam_new(call, IDENTITY_POLICY, iam_arg(call, "Path"), iam_arg(call, "PolicyName"));
    r->description = arena_copy(r->arena, iam_arg(call, "Description"));
    add_version(r, text, call->now)->is_default = true;
    TRY(iam_add_tags(call, r, reterr));
    put_policy(call, r);
    return KMS_OK;
}

enum kms_status iam_get_policy(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    put_policy(call, call->identity);
    return KMS_OK;
}

static void put_listed(struct op_call *call, const struct identity_record *r, const void *table)
{
    put_members(call, r, iam_use_table_find(table, r->arn));
}

static bool is_wanted(const struct op_call *call, const struct identity_record *r,
                      const void *table)
{
    struct bytes    usage = iam_arg(call, "PolicyUsageFilter");
    bool            only_attached = iam_bool(call, "OnlyAttached", false);
    struct iam_uses uses = { 0, 0 };

    if (usage.ptr == NULL && !only_attached)
        return true;
    uses = iam_use_table_find(table, r->arn);
    if (bytes_eq_str(usage, "PermissionsBoundary"))
        return uses.boundaries > 0;
    if (bytes_eq_str(usage, "PermissionsPolicy"))
        return uses.attached > 0;
    return uses.attached + uses.boundaries > 0;
}

enum kms_status iam_list_policies(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(iam_use_table_release) struct iam_use_table table = { .n = 0 };
    struct bytes                                        scope = iam_arg(call, "Scope");
    struct bytes                                        nobody = { NULL, 0 };
    bool                                                local = !bytes_eq_str(scope, "AWS");
    bool                                                built_in = !bytes_eq_str(scope, "Local");
    const struct iam_listing                            policies = {
                                   .name = "Policies",
                                   .kind = IDENTITY_POLICY,
                                   .accounts = { local ? call->account : nobody,
                      built_in ? bytes_str(MANAGED_ACCOUNT) : nobody },
                                   .ctx = &table,
                                   .wanted = is_wanted,
                                   .put = put_listed,
    };

    TRY(iam_use_table(call, &table, reterr));
    return iam_list(call, &policies, reterr);
}

enum kms_status iam_delete_policy(struct op_call *call, struct kms_error *reterr)
{
    struct iam_uses uses = iam_uses(call, call->identity->arn);

    if (uses.attached + uses.boundaries > 0)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT, "Cannot delete a policy attached to entities.");
    if (call->identity->n_documents > 1)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT,
                          "This policy has more than one version. Before you delete a policy, you "
                          "must delete the policy's versions. The default version is deleted with "
                          "the policy.");
    iam_delete(call, call->identity);
    return KMS_OK;
}

/* --- versions --------------------------------------------------------------------------------- */

static void put_version(struct op_call *call, const struct identity_document *d, bool with_document)
{
    if (with_document)
        xml_put_encoded(call->xml, "Document", d->text);
    xml_put(call->xml, "VersionId", d->name);
    xml_put_bool(call->xml, "IsDefaultVersion", d->is_default);
    xml_put_time(call->xml, "CreateDate", d->created);
}

static void set_default(struct identity_record *r, const struct identity_document *chosen)
{
    for (size_t i = 0; i < r->n_documents; i++)
        r->documents[i].is_default = &r->documents[i] == chosen;
}

enum kms_status iam_create_policy_version(struct op_call *call, struct kms_error *reterr)
{
    struct bytes              text = iam_arg(call, "PolicyDocument");
    struct identity_record   *r;
    struct identity_document *d;

    TRY(check_document(text, reterr));
    if (call->identity->n_documents >= POLICY_VERSIONS_MAX)
        return KMS_REFUSE(reterr, KMS_E_LIMIT,
                          "A managed policy can have up to %d versions. Before you create a new "
                          "version, you must delete an existing version.",
                          POLICY_VERSIONS_MAX);
    r = iam_edit(call, call->identity);
    d = add_version(r, text, call->now);
    if (iam_bool(call, "SetAsDefault", false))
        set_default(r, d);
    xml_open(call->xml, "PolicyVersion");
    put_version(call, d, false);
    xml_close(call->xml);
    return KMS_OK;
}

static enum kms_status find_version(const struct op_call *call, const struct identity_record *r,
                                    struct identity_document **ret, struct kms_error *reterr)
{
    struct bytes              version = iam_arg(call, "VersionId");
    struct identity_document *d = identity_document_find(r, version);

    if (d == NULL)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND,
                          "Policy %.*s version %.*s does not exist or is not attachable.",
                          BYTES_FMT(r->arn), BYTES_FMT(version));
    *ret = d;
    return KMS_OK;
}

enum kms_status iam_get_policy_version(struct op_call *call, struct kms_error *reterr)
{
    struct identity_document *d = NULL;

    TRY(find_version(call, call->identity, &d, reterr));
    xml_open(call->xml, "PolicyVersion");
    put_version(call, d, true);
    xml_close(call->xml);
    return KMS_OK;
}

/* Newest first. */
enum kms_status iam_list_policy_versions(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    size_t                        from = 0;
    size_t                        to = 0;

    TRY(iam_slice(call, r->n_documents, &from, &to, reterr));
    xml_open(call->xml, "Versions");
    for (size_t i = from; i < to; i++) {
        xml_open(call->xml, "member");
        put_version(call, &r->documents[r->n_documents - 1 - i], false);
        xml_close(call->xml);
    }
    xml_close(call->xml);
    return iam_slice_end(call, r->n_documents, to, reterr);
}

enum kms_status iam_delete_policy_version(struct op_call *call, struct kms_error *reterr)
{
    struct identity_document *d = NULL;

    TRY(find_version(call, call->identity, &d, reterr));
    if (d->is_default)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT, "Cannot delete the default version of a policy.");
    struct identity_record *r = iam_edit(call, call->identity);

    d = identity_document_find(r, d->name);
    for (struct identity_document *last = &r->documents[r->n_documents - 1]; d < last; d++)
        *d = d[1];
    r->n_documents--;
    return KMS_OK;
}

enum kms_status iam_set_default_policy_version(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record   *r = iam_edit(call, call->identity);
    struct identity_document *d = NULL;

    TRY(find_version(call, r, &d, reterr));
    set_default(r, d);
    return KMS_OK;
}
