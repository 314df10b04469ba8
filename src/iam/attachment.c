/* iam/attachment.c - managed policies of users and roles: Attach, Detach, ListAttached,
 * ListEntitiesForPolicy, and permissions boundaries. */
#include "iam/handlers.h"

static const char *const entity_kinds[] = {
    "User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy", NULL
};

#define POLICY_ARN IAM_ARN("PolicyArn", IAM_REQUIRED)
#define BOUNDARY   IAM_ARN("PermissionsBoundary", IAM_REQUIRED)

const struct iam_param iam_attach_user_params[] = { IAM_USER_NAME, POLICY_ARN, IAM_END };
const struct iam_param iam_attach_role_params[] = { IAM_ROLE_NAME, POLICY_ARN, IAM_END };
const struct iam_param iam_list_attached_user_params[] = {
    IAM_USER_NAME,
    IAM_POLICY_PATH("PathPrefix"),
    IAM_PAGE,
    IAM_END,
};
const struct iam_param iam_list_attached_role_params[] = {
    IAM_ROLE_NAME,
    IAM_POLICY_PATH("PathPrefix"),
    IAM_PAGE,
    IAM_END,
};
const struct iam_param iam_put_user_boundary_params[] = { IAM_USER_NAME, BOUNDARY, IAM_END };
const struct iam_param iam_put_role_boundary_params[] = { IAM_ROLE_NAME, BOUNDARY, IAM_END };
const struct iam_param iam_list_entities_params[] = {
    POLICY_ARN,
    { .name = "EntityFilter", .type = IAM_STRING, .values = entity_kinds },
    IAM_PATH_PREFIX,
    { .name = "PolicyUsageFilter", .type = IAM_STRING, .values = iam_policy_usages },
    IAM_PAGE,
    IAM_END,
};

/* --- attaching -------------------------------------------------------------------------------- */

/* What is attached already stays so: no change, no error. */
enum kms_status iam_attach_policy(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *policy = NULL;
    const struct identity_record *r = call->identity;

    TRY(iam_take_policy(call, iam_arg(call, "PolicyArn"), &policy, reterr));
    if (iam_attached_at(r, policy->arn) < r->n_attached)
        return KMS_OK;
    if (r->n_attached >= IAM_ATTACHED_PER_IDENTITY)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for PoliciesPer%s: %d",
                          r->kind == IDENTITY_USER ? "User" : "Role", IAM_ATTACHED_PER_IDENTITY);
    struct identity_record *edit = iam_edit(call, r);
    struct bytes           *all = arena_alloc(edit->arena, (edit->n_attached + 1) * sizeof *all);

    if (edit->n_attached > 0)
        memcpy(all, edit->attached, edit->n_attached * sizeof *all);
    all[edit->n_attached++] = arena_copy(edit->arena, policy->arn);
    edit->attached = all;
    return KMS_OK;
}

enum kms_status iam_detach_policy(struct op_call *call, struct kms_error *reterr)
{
    struct bytes            arn = iam_arg(call, "PolicyArn");
    struct identity_record *r;
    size_t                  at = iam_attached_at(call->identity, arn);

    if (at == call->identity->n_attached)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Policy %.*s was not found.", BYTES_FMT(arn));
    r = iam_edit(call, call->identity);
    for (; at + 1 < r->n_attached; at++)
        r->attached[at] = r->attached[at + 1];
    r->n_attached--;
    return KMS_OK;
}

/* The path of a managed policy, from its ARN: "arn:aws:iam::123456789012:policy/path/name". */
static struct bytes path_of(struct bytes arn)
{
    struct bytes name = iam_policy_name(arn);
    struct bytes rest = bytes_of(arn.ptr, arn.len - name.len);
    struct bytes head;

    return bytes_cut(&rest, '/', &head) ? bytes_of(rest.ptr - 1, rest.len + 1) : rest;
}

enum kms_status iam_list_attached(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    struct bytes                  prefix = iam_arg(call, "PathPrefix");
    size_t                        from = 0;
    size_t                        to = 0;

    TRY(iam_slice(call, r->n_attached, &from, &to, reterr));
    xml_open(call->xml, "AttachedPolicies");
    for (size_t i = from; i < to; i++) {
        if (!bytes_starts(path_of(r->attached[i]), prefix))
            continue;
        xml_open(call->xml, "member");
        xml_put(call->xml, "PolicyName", iam_policy_name(r->attached[i]));
        xml_put(call->xml, "PolicyArn", r->attached[i]);
        xml_close(call->xml);
    }
    xml_close(call->xml);
    return iam_slice_end(call, r->n_attached, to, reterr);
}

/* --- permissions boundaries ------------------------------------------------------------------- */

enum kms_status iam_put_boundary_of(struct op_call *call, struct kms_error *reterr)
{
    return iam_set_boundary(call, iam_edit(call, call->identity), reterr);
}

enum kms_status iam_delete_boundary(struct op_call *call, struct kms_error *reterr)
{
    (void)reterr;
    if (call->identity->boundary.len > 0)
        iam_edit(call, call->identity)->boundary = (struct bytes){ NULL, 0 };
    return KMS_OK;
}

/* --- who has a policy ------------------------------------------------------------------------- */

/* One walk per list of the answer: roles and users are counted through, so that a page is a slice of
 * both together. */
struct walk {
    struct op_call *call;
    size_t          seen, from, to;
};

static bool has_policy(const struct op_call *call, const struct identity_record *r)
{
    struct bytes usage = iam_arg(call, "PolicyUsageFilter");
    bool         attached = iam_attached_at(r, call->identity->arn) < r->n_attached;
    bool         bounded = bytes_eq(r->boundary, call->identity->arn);

    if (!bytes_starts(r->path, iam_arg(call, "PathPrefix")))
        return false;
    if (bytes_eq_str(usage, "PermissionsBoundary"))
        return bounded;
    return bytes_eq_str(usage, "PermissionsPolicy") ? attached : attached || bounded;
}

static void put_entity(struct xml *x, const struct identity_record *r)
{
    xml_open(x, "member");
    xml_put(x, r->kind == IDENTITY_USER ? "UserName" : "RoleName", r->name);
    xml_put(x, r->kind == IDENTITY_USER ? "UserId" : "RoleId", r->unique_id);
    xml_close(x);
}

static void walk_kind(struct walk *w, enum identity_kind kind)
{
    const struct identity_record *chunk[128];
    uint64_t                      after = 0;
    size_t                        n = ARRAY_LEN(chunk);

    while (n == ARRAY_LEN(chunk)) {
        n = book_list_identities(w->call->env->identities, w->call->account, kind, after, chunk,
                                 ARRAY_LEN(chunk));
        for (size_t i = 0; i < n; i++) {
            after = chunk[i]->serial;
            if (!has_policy(w->call, chunk[i]))
                continue;
            if (w->seen >= w->from && w->seen < w->to)
                put_entity(w->call->xml, chunk[i]);
            w->seen++;
        }
    }
}

enum kms_status iam_list_entities(struct op_call *call, struct kms_error *reterr)
{
    struct bytes    filter = iam_arg(call, "EntityFilter");
    struct iam_page page;

    TRY(iam_page_read(call, &page, reterr));
    struct walk w = { call, 0, (size_t)page.after, (size_t)page.after + page.max };

    xml_open(call->xml, "PolicyGroups");
    xml_close(call->xml);
    xml_open(call->xml, "PolicyUsers");
    if (filter.ptr == NULL || bytes_eq_str(filter, "User"))
        walk_kind(&w, IDENTITY_USER);
    xml_close(call->xml);
    xml_open(call->xml, "PolicyRoles");
    if (filter.ptr == NULL || bytes_eq_str(filter, "Role"))
        walk_kind(&w, IDENTITY_ROLE);
    xml_close(call->xml);
    return iam_page_end(call, w.seen > w.to, w.to, reterr);
}
