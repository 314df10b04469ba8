/* operation/handlers.h - what the files of this folder offer to the registry and to each other.
 *
 * Names are op_<snake_name>_{shape,prepare,usage,begin,finish}; what each hook does stands at
 * operation/operation.h. An operation has only the hooks that it needs.
 */
#pragma once

#include "operation/shape.h"

/* --- keys ------------------------------------------------------------------------------------- */

extern const struct shape_member op_create_key_shape[];
KMS_MUST_CHECK enum kms_status op_create_key_prepare(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_key_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_describe_key_shape[];
KMS_MUST_CHECK enum kms_status op_describe_key_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_list_keys_shape[];
KMS_MUST_CHECK enum kms_status op_list_keys_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_update_key_description_shape[];
KMS_MUST_CHECK enum kms_status op_update_key_description_finish(struct op_call   *call,
                                                                struct kms_error *reterr);

/* enable_key.c */
extern const struct shape_member op_enable_key_shape[];
KMS_MUST_CHECK enum kms_status op_enable_key_finish(struct op_call *call, struct kms_error *reterr);
extern const struct shape_member op_disable_key_shape[];
KMS_MUST_CHECK enum kms_status op_disable_key_finish(struct op_call   *call,
                                                     struct kms_error *reterr);

extern const struct shape_member op_schedule_key_deletion_shape[];
KMS_MUST_CHECK enum kms_status op_schedule_key_deletion_prepare(struct op_call   *call,
                                                                struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_schedule_key_deletion_finish(struct op_call   *call,
                                                               struct kms_error *reterr);

extern const struct shape_member op_cancel_key_deletion_shape[];
KMS_MUST_CHECK enum kms_status op_cancel_key_deletion_finish(struct op_call   *call,
                                                             struct kms_error *reterr);

/* --- aliases ---------------------------------------------------------------------------------- */

extern const struct shape_member op_create_alias_shape[];
KMS_MUST_CHECK enum kms_status op_create_alias_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_alias_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_alias_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_update_alias_shape[];
KMS_MUST_CHECK enum kms_status op_update_alias_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_update_alias_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_update_alias_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_delete_alias_shape[];
KMS_MUST_CHECK enum kms_status op_delete_alias_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_delete_alias_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_delete_alias_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_list_aliases_shape[];
KMS_MUST_CHECK enum kms_status op_list_aliases_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

/* --- tags ------------------------------------------------------------------------------------- */

extern const struct shape_member op_tag_resource_shape[];
KMS_MUST_CHECK enum kms_status op_tag_resource_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_tag_resource_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_untag_resource_shape[];
KMS_MUST_CHECK enum kms_status op_untag_resource_finish(struct op_call   *call,
                                                        struct kms_error *reterr);

extern const struct shape_member op_list_resource_tags_shape[];
KMS_MUST_CHECK enum kms_status op_list_resource_tags_finish(struct op_call   *call,
                                                            struct kms_error *reterr);

/* --- shared by several of the above ----------------------------------------------------------- */

/* What a tag list must obey besides its shape (kms-behaviour 3.2, 13.2): KMS_E_TAG with the
 * recorded text. `tags` with node NULL is fine. */
KMS_MUST_CHECK enum kms_status op_check_tags(struct json tags, struct kms_error *reterr);
/* Puts the tags into the record: known keys get their new value in place, new ones are appended.
 * KMS_E_TAG "Too many tags" if there would be more than LIMIT_TAGS; then the record is
 * unchanged. */
KMS_MUST_CHECK enum kms_status op_apply_tags(struct key_record *key, struct json tags,
                                             struct kms_error *reterr);

/* The algorithms of a key, in recorded order, ending with NULL; NULL itself if the spec does not
 * have this usage (metadata.c). */
const char *const *op_algorithms(enum key_spec spec, enum key_usage usage);

/* The rules of alias names (kms-behaviour 13.1) for operations that change aliases. */
KMS_MUST_CHECK enum kms_status op_check_alias_name(struct bytes name, struct kms_error *reterr);
/* call->alias, unless it names a key that no longer exists: then NULL, since its aliases ended with
 * it although the job that removes them may not have run yet. */
const struct alias_record *op_live_alias(const struct op_call *call);
/* NotFoundException "Alias <alias-arn> is not found." */
KMS_MUST_CHECK enum kms_status op_alias_not_found(struct op_call *call, struct kms_error *reterr);
/* KMS_E_LIMIT when the key has as many aliases as it may have. */
KMS_MUST_CHECK enum kms_status op_check_alias_quota(const struct op_call *call,
                                                    struct kms_error     *reterr);
/* For the finish of what adds an alias to call->key: sees to it that the quota still holds when the
 * change is committed. */
void op_hold_alias_quota(struct op_call *call);

/* The key policy that a key gets when none is given (recorded-imports 4.6), appended to `out`. */
void op_default_policy(struct bytes account, struct bytes region, struct buf *out);
/* Is this text the default policy, as JSON values (white space and member order do not matter)?
 * KMS_E_POLICY without message if it is not JSON. */
KMS_MUST_CHECK enum kms_status op_is_default_policy(struct bytes account, struct bytes region,
                                                    struct bytes text, bool *ret,
                                                    struct kms_error *reterr);

/* --- cryptography, import, rotation ----------------------------------------------------------- */

extern const struct shape_member op_encrypt_shape[];
KMS_MUST_CHECK enum kms_status op_encrypt_prepare(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_encrypt_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_encrypt_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_decrypt_shape[];
KMS_MUST_CHECK enum kms_status op_decrypt_prepare(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_decrypt_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_decrypt_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_re_encrypt_shape[];
KMS_MUST_CHECK enum kms_status op_re_encrypt_prepare(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_re_encrypt_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_re_encrypt_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_generate_data_key_shape[];
KMS_MUST_CHECK enum kms_status op_generate_data_key_prepare(struct op_call   *call,
                                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_data_key_begin(struct op_call   *call,
                                                          struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_data_key_finish(struct op_call   *call,
                                                           struct kms_error *reterr);

extern const struct shape_member op_generate_data_key_without_plaintext_shape[];
KMS_MUST_CHECK enum kms_status op_generate_data_key_without_plaintext_begin(
    struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_generate_random_shape[];
KMS_MUST_CHECK enum kms_status op_generate_random_prepare(struct op_call   *call,
                                                          struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_random_begin(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_random_finish(struct op_call   *call,
                                                         struct kms_error *reterr);

extern const struct shape_member op_get_key_last_usage_shape[];
KMS_MUST_CHECK enum kms_status op_get_key_last_usage_finish(struct op_call   *call,
                                                            struct kms_error *reterr);

extern const struct shape_member op_get_parameters_for_import_shape[];
KMS_MUST_CHECK enum kms_status op_get_parameters_for_import_begin(struct op_call   *call,
                                                                  struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_get_parameters_for_import_finish(struct op_call   *call,
                                                                   struct kms_error *reterr);

extern const struct shape_member op_import_key_material_shape[];
KMS_MUST_CHECK enum kms_status op_import_key_material_prepare(struct op_call   *call,
                                                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_import_key_material_begin(struct op_call   *call,
                                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_import_key_material_finish(struct op_call   *call,
                                                             struct kms_error *reterr);

extern const struct shape_member op_delete_imported_key_material_shape[];
KMS_MUST_CHECK enum kms_status op_delete_imported_key_material_finish(struct op_call   *call,
                                                                      struct kms_error *reterr);

extern const struct shape_member op_list_key_rotations_shape[];
KMS_MUST_CHECK enum kms_status op_list_key_rotations_begin(struct op_call   *call,
                                                           struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_list_key_rotations_finish(struct op_call   *call,
                                                            struct kms_error *reterr);

extern const struct shape_member op_enable_key_rotation_shape[];
KMS_MUST_CHECK enum kms_status op_enable_key_rotation_begin(struct op_call   *call,
                                                            struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_enable_key_rotation_finish(struct op_call   *call,
                                                             struct kms_error *reterr);

extern const struct shape_member op_disable_key_rotation_shape[];
KMS_MUST_CHECK enum kms_status op_disable_key_rotation_finish(struct op_call   *call,
                                                              struct kms_error *reterr);

extern const struct shape_member op_get_key_rotation_status_shape[];
KMS_MUST_CHECK enum kms_status op_get_key_rotation_status_finish(struct op_call   *call,
                                                                 struct kms_error *reterr);

extern const struct shape_member op_rotate_key_on_demand_shape[];
KMS_MUST_CHECK enum kms_status op_rotate_key_on_demand_begin(struct op_call   *call,
                                                             struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_rotate_key_on_demand_finish(struct op_call   *call,
                                                              struct kms_error *reterr);

/* crypto_checks.c: a token when there are no grants: KMS_E_GRANT_TOKEN. */
KMS_MUST_CHECK enum kms_status op_check_grant_tokens(const struct op_call *call,
                                                     struct kms_error     *reterr);
/* Attestation documents are for a later release. */
KMS_MUST_CHECK enum kms_status op_check_recipient(const struct op_call *call,
                                                  struct kms_error     *reterr);
/* InvalidKeyUsageException when the algorithm is not that of a symmetric key. */
KMS_MUST_CHECK enum kms_status op_check_symmetric(const struct key_record *key,
                                                  struct op_int            algorithm,
                                                  struct kms_error        *reterr);
/* Fills call->blob and call->has_blob from CiphertextBlob; `key_id` is the member that names the
 * key where the blob does not. */
KMS_MUST_CHECK enum kms_status op_read_blob(struct op_call *call, struct bytes key_id,
                                            const char *key_member, struct op_int algorithm,
                                            struct kms_error *reterr);
/* The material of call->key that made the blob. */
struct vault_material op_blob_material(const struct op_call *call);
