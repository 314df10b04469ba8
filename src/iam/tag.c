/* iam/tag.c - Tag, Untag and List of the tags of users, roles and managed policies. */
#include "iam/handlers.h"

#define TAG_KEYS                                                                                   \
    { .name = "TagKeys", .type = IAM_STRINGS, .flags = IAM_REQUIRED, .min = 1, .max = 128 }
#define POLICY_ARN IAM_ARN("PolicyArn", IAM_REQUIRED)

const struct iam_param iam_tag_user_params[] = {
    IAM_USER_NAME,
    IAM_TAG_LIST(IAM_REQUIRED),
    IAM_END,
};
const struct iam_param iam_tag_role_params[] = {
    IAM_ROLE_NAME,
    IAM_TAG_LIST(IAM_REQUIRED),
    IAM_END,
};
const struct iam_param iam_tag_policy_params[] = {
    POLICY_ARN,
    IAM_TAG_LIST(IAM_REQUIRED),
    IAM_END,
};
const struct iam_param iam_untag_user_params[] = { IAM_USER_NAME, TAG_KEYS, IAM_END };
const struct iam_param iam_untag_role_params[] = { IAM_ROLE_NAME, TAG_KEYS, IAM_END };
const struct iam_param iam_untag_policy_params[] = { POLICY_ARN, TAG_KEYS, IAM_END };

enum kms_status iam_tag(struct op_call *call, struct kms_error *reterr)
{
    return iam_add_tags(call, iam_edit(call, call->identity), reterr);
}

/* Keys that are not there are no error. */
enum kms_status iam_untag(struct op_call *call, struct kms_error *reterr)
{
    struct identity_record *r = iam_edit(call, call->identity);
    struct bytes            keys = BYTES_LIT("TagKeys");
    size_t                  n = 0;

    TRY(form_list(call->form, keys, LIMIT_LIST_ITEMS, &n, reterr));
    for (size_t i = 1; i <= n; i++) {
        struct key_tag *t = iam_find_tag(r->tags, r->n_tags,
                                         form_element(call->form, keys, i, NULL));
        if (t == NULL)
            continue;
        for (struct key_tag *last = &r->tags[r->n_tags - 1]; t < last; t++)
            *t = t[1];
        r->n_tags--;
    }
    return KMS_OK;
}

enum kms_status iam_list_tags(struct op_call *call, struct kms_error *reterr)
{
    const struct identity_record *r = call->identity;
    size_t                        from = 0;
    size_t                        to = 0;

    TRY(iam_slice(call, r->n_tags, &from, &to, reterr));
    iam_put_tags(call->xml, r->tags + from, to - from);
    return iam_slice_end(call, r->n_tags, to, reterr);
}
