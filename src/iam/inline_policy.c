/* iam/inline_policy.c - Put, Get, List and Delete of the inline policies of users and roles. */
#include "iam/handlers.h"

const struct iam_param iam_put_user_policy_params[] = {
    IAM_USER_NAME,
    IAM_POLICY_NAME,
    IAM_DOCUMENT("PolicyDocument", IAM_REQUIRED),
    IAM_END,
};
const struct iam_param iam_put_role_policy_params[] = {
    IAM_ROLE_NAME,
    IAM_POLICY_NAME,
    IAM_DOCUMENT("PolicyDocument", IAM_REQUIRED),
    IAM_END,
};
const struct iam_param iam_user_policy_params[] = { IAM_USER_NAME, IAM_POLICY_NAME, IAM_END };
const struct iam_param iam_role_policy_params[] = { IAM_ROLE_NAME, IAM_POLICY_NAME, IAM_END };
const struct iam_param iam_list_user_policies_params[] = { IAM_USER_NAME, IAM_PAGE, IAM_END };
const struct iam_param iam_list_role_policies_params[] = { IAM_ROLE_NAME, IAM_PAGE, IAM_END };

static enum kms_status check_sizes(const struct identity_record *r, struct kms_error *reterr)
{
    size_t limit = r->kind == IDENTITY_USER ? IAM_USER_POLICY_SIZE : IAM_ROLE_POLICY_SIZE;
    size_t size = 0;

    for (size_t i = 0; i < r->n_documents; i++)
        size += iam_document_size(r->documents[i].text);
    if (size > limit)
        return KMS_REFUSE(reterr, KMS_E_LIMIT,
                          "Maximum policy size of %zu bytes exceeded for %s %.*s", limit,
                          iam_kind_word(r->kind), BYTES_FMT(r->name));
    return KMS_OK;
}

/* Room for one more at the end. */
static struct identity_document *add_document(struct identity_record *r)
{
    struct identity_document *all = arena_alloc(r->arena, (r->n_documents + 1) * sizeof *all);

    if (r->n_documents > 0)
        memcpy(all, r->documents, r->n_documents * sizeof *all);
    r->documents = all;
    return &all[r->n_documents++];
}

enum kms_status iam_put_inline_policy(struct op_call *call, struct kms_error *reterr)
{
    struct bytes              name = iam_arg(call, "PolicyName");
    struct bytes              text = iam_arg(call, "PolicyDocument");
    struct identity_record   *r;
    struct identity_document *d;

    TRY(iam_check_document(text, reterr));
    r = iam_edit(call, call->identity);
    d = identity_document_find(r, name);
    if (d == NULL && r->n_documents >= INLINE_MAX)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for inline policies: %d",
                          INLINE_MAX);
    if (d == NULL) {
        d = add_document(r);
        d->name = arena_copy(r->arena, name);
    }
    d->text = arena_copy(r->arena, text);
    d->created = call->now;
    return check_sizes(r, reterr);
}

static enum kms_status find_document(const struct op_call *call, const struct identity_record *r,
                                     struct identity_document **ret, struct kms_error *reterr)
{
    struct bytes              name = iam_arg(call, "PolicyName");
    struct identity_document *d = identity_document_find(r, name);

    if (d == NULL)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "The %s policy with name %.*s cannot be found.",
                          iam_kind_word(r->kind), BYTES_FMT(name));
    *ret = d;
    return KMS_OK;
}

enum kms_status iam_get_inline_policy(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    struct identity_document     *d = NULL;

    TRY(find_document(call, r, &d, reterr));
    xml_put(call->xml, r->kind == IDENTITY_USER ? "UserName" : "RoleName", r->name);
    xml_put(call->xml, "PolicyName", d->name);
    xml_put_encoded(call->xml, "PolicyDocument", d->text);
    return KMS_OK;
}

enum kms_status iam_list_inline_policies(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    size_t                        from = 0;
    size_t                        to = 0;

    TRY(iam_slice(call, r->n_documents, &from, &to, reterr));
    xml_open(call->xml, "PolicyNames");
    for (size_t i = from; i < to; i++)
        xml_put(call->xml, "member", r->documents[i].name);
    xml_close(call->xml);
    return iam_slice_end(call, r->n_documents, to, reterr);
}

enum kms_status iam_delete_inline_policy(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record   *r = iam_edit(call, call->identity);
    struct identity_document *d = NULL;

    TRY(find_document(call, r, &d, reterr));
    for (struct identity_document *last = &r->documents[r->n_documents - 1]; d < last; d++)
        *d = d[1];
    r->n_documents--;
    return KMS_OK;
}
