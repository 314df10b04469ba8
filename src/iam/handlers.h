/* iam/handlers.h - parameters and `finish` of every row of iam/rows.c; one file per family. */
#pragma once

#include "iam/internal.h"

extern const char *const iam_policy_usages[]; /* values of PolicyUsageFilter */

/* user.c */
extern const struct iam_param iam_create_user_params[];
extern const struct iam_param iam_get_user_params[];
extern const struct iam_param iam_list_users_params[];
extern const struct iam_param iam_user_params[];
KMS_MUST_CHECK enum kms_status iam_create_user(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_user(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_users(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_identity(struct op_call *call, struct kms_error *reterr);

/* role.c */
extern const struct iam_param iam_create_role_params[];
extern const struct iam_param iam_role_params[];
extern const struct iam_param iam_list_roles_params[];
extern const struct iam_param iam_update_role_params[];
extern const struct iam_param iam_update_role_description_params[];
extern const struct iam_param iam_update_assume_role_policy_params[];
KMS_MUST_CHECK enum kms_status iam_create_role(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_role(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_roles(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_update_role(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_update_role_description(struct op_call   *call,
                                                           struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_update_assume_role_policy(struct op_call   *call,
                                                             struct kms_error *reterr);

/* access_key.c */
extern const struct iam_param iam_list_access_keys_params[];
extern const struct iam_param iam_update_access_key_params[];
extern const struct iam_param iam_delete_access_key_params[];
extern const struct iam_param iam_access_key_params[];
KMS_MUST_CHECK enum kms_status iam_create_access_key(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_access_keys(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_update_access_key(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_access_key_last_used(struct op_call   *call,
                                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_access_key(struct op_call   *call,
                                                     struct kms_error *reterr);

/* inline_policy.c */
extern const struct iam_param iam_put_user_policy_params[];
extern const struct iam_param iam_put_role_policy_params[];
extern const struct iam_param iam_user_policy_params[];
extern const struct iam_param iam_role_policy_params[];
extern const struct iam_param iam_list_user_policies_params[];
extern const struct iam_param iam_list_role_policies_params[];
KMS_MUST_CHECK enum kms_status iam_put_inline_policy(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_inline_policy(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_inline_policies(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_inline_policy(struct op_call   *call,
                                                        struct kms_error *reterr);

/* managed_policy.c */
extern const struct iam_param iam_create_policy_params[];
extern const struct iam_param iam_policy_params[];
extern const struct iam_param iam_list_policies_params[];
extern const struct iam_param iam_create_policy_version_params[];
extern const struct iam_param iam_policy_version_params[];
extern const struct iam_param iam_policy_list_params[];
KMS_MUST_CHECK enum kms_status iam_create_policy(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_policy(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_policies(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_policy(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_create_policy_version(struct op_call   *call,
                                                         struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_get_policy_version(struct op_call   *call,
                                                      struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_policy_versions(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_policy_version(struct op_call   *call,
                                                         struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_set_default_policy_version(struct op_call   *call,
                                                              struct kms_error *reterr);

/* attachment.c */
extern const struct iam_param iam_attach_user_params[];
extern const struct iam_param iam_attach_role_params[];
extern const struct iam_param iam_list_attached_user_params[];
extern const struct iam_param iam_list_attached_role_params[];
extern const struct iam_param iam_put_user_boundary_params[];
extern const struct iam_param iam_put_role_boundary_params[];
extern const struct iam_param iam_list_entities_params[];
KMS_MUST_CHECK enum kms_status iam_attach_policy(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_detach_policy(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_attached(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_put_boundary_of(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_delete_boundary(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_entities(struct op_call *call, struct kms_error *reterr);

/* tag.c */
extern const struct iam_param iam_tag_user_params[];
extern const struct iam_param iam_tag_role_params[];
extern const struct iam_param iam_tag_policy_params[];
extern const struct iam_param iam_untag_user_params[];
extern const struct iam_param iam_untag_role_params[];
extern const struct iam_param iam_untag_policy_params[];
KMS_MUST_CHECK enum kms_status iam_tag(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_untag(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_tags(struct op_call *call, struct kms_error *reterr);

/* account.c */
extern const struct iam_param iam_page_params[];
KMS_MUST_CHECK enum kms_status iam_get_account_summary(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_list_account_aliases(struct op_call   *call,
                                                        struct kms_error *reterr);

/* simulate.c */
extern const struct iam_param iam_simulate_custom_params[];
extern const struct iam_param iam_simulate_principal_params[];
KMS_MUST_CHECK enum kms_status iam_simulate(struct op_call *call, struct kms_error *reterr);
