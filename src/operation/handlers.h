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

extern const struct shape_member op_replicate_key_shape[];
KMS_MUST_CHECK enum kms_status op_replicate_key_prepare(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_replicate_key_usage(const struct op_call    *call,
                                                      const struct key_record *key,
                                                      struct kms_error        *reterr);
KMS_MUST_CHECK enum kms_status op_replicate_key_begin(struct op_call   *call,
                                                      struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_replicate_key_finish(struct op_call   *call,
                                                       struct kms_error *reterr);

extern const struct shape_member op_update_primary_region_shape[];
KMS_MUST_CHECK enum kms_status op_update_primary_region_usage(const struct op_call    *call,
                                                              const struct key_record *key,
                                                              struct kms_error        *reterr);
KMS_MUST_CHECK enum kms_status op_update_primary_region_resolve(struct op_call   *call,
                                                                struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_update_primary_region_begin(struct op_call   *call,
                                                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_update_primary_region_finish(struct op_call   *call,
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

/* --- key policies (key_policy.c) -------------------------------------------------------------- */

extern const struct shape_member op_get_key_policy_shape[];
extern const struct shape_member op_put_key_policy_shape[];
extern const struct shape_member op_list_key_policies_shape[];
KMS_MUST_CHECK enum kms_status op_key_policy_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_get_key_policy_finish(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_put_key_policy_finish(struct op_call   *call,
                                                        struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_list_key_policies_finish(struct op_call   *call,
                                                           struct kms_error *reterr);

/* --- grants ----------------------------------------------------------------------------------- */

/* create_grant.c */
extern const struct shape_member op_create_grant_shape[];
KMS_MUST_CHECK enum kms_status op_create_grant_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_grant_resolve(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_grant_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_create_grant_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

/* list_grants.c */
extern const struct shape_member op_list_grants_shape[];
extern const struct shape_member op_list_retirable_grants_shape[];
KMS_MUST_CHECK enum kms_status op_list_grants_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_list_grants_finish(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_list_retirable_grants_begin(struct op_call   *call,
                                                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_list_retirable_grants_finish(struct op_call   *call,
                                                               struct kms_error *reterr);

/* remove_grant.c */
extern const struct shape_member op_retire_grant_shape[];
extern const struct shape_member op_revoke_grant_shape[];
KMS_MUST_CHECK enum kms_status op_retire_grant_prepare(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_retire_grant_resolve(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_revoke_grant_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_remove_grant_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

/* grants.c */

/* What a GranteePrincipal or RetiringPrincipal names, appended to `ret`. InvalidArnException with the
 * texts of recorded-authz-multiregion 4.2 for an ARN that names nobody; `unknown` is the text for
 * anything else that does. */
KMS_MUST_CHECK enum kms_status op_grant_principal(const struct op_call *call, struct bytes text,
                                                  const char *unknown, struct buf *ret,
                                                  struct kms_error *reterr);
/* KMS_E_GRANT_ID for what cannot be a GrantId (kms-behaviour 18 #26). */
KMS_MUST_CHECK enum kms_status op_check_grant_id(struct bytes id, struct kms_error *reterr);
/* The grant of call->key that GrantId names; NULL if there is none. */
const struct grant_record *op_find_grant(const struct op_call *call);
/* Notes the grant for the audit record, which has neither tokens nor answers (common.c). */
void op_note_grant(struct op_call *call, struct bytes id);
KMS_MUST_CHECK enum kms_status op_grant_not_found(const struct op_call *call,
                                                  struct kms_error     *reterr);

/* --- shared by several of the above ----------------------------------------------------------- */

/* What a tag list must obey besides its shape (kms-behaviour 3.2, 13.2): KMS_E_TAG with the
 * recorded text. `tags` with node NULL is fine. */
KMS_MUST_CHECK enum kms_status op_check_tags(struct json tags, struct kms_error *reterr);
/* {TagKey, TagValue} as an element of the open array. */
void op_put_tag(struct json_writer *w, const struct key_tag *tag);
/* Puts the tags into the record: known keys get their new value in place, new ones are appended.
 * KMS_E_TAG "Too many tags" if there would be more than LIMIT_TAGS; then the record is
 * unchanged. */
KMS_MUST_CHECK enum kms_status op_apply_tags(struct key_record *key, struct json tags,
                                             struct kms_error *reterr);

/* The one list of algorithms of a key, in recorded order, as the member that its usage names
 * (metadata.c). */
void op_put_algorithms(struct json_writer *w, const struct key_record *key);
/* UnsupportedOperationException for specs that this Region does not have (kms-behaviour 3.2). */
KMS_MUST_CHECK enum kms_status op_check_spec_region(struct bytes region, enum key_spec spec,
                                                    struct kms_error *reterr);

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
/* The policy of a new key: that of the request, or the default one. */
KMS_MUST_CHECK enum kms_status op_first_policy(const struct op_call *call, struct key_record *key,
                                               struct kms_error *reterr);
/* The domain key of the caller's account in this Region, if it has none yet: a row of the change that the
 * first key there comes with (create_key.c). */
KMS_MUST_CHECK enum kms_status op_add_domain(struct op_call *call, struct bytes region,
                                             struct kms_error *reterr);
/* Makes `text` the key's policy, for those principals that its names are today. `key` is not
 * published. Within the request's epoch section; the text was checked by request.c. */
KMS_MUST_CHECK enum kms_status op_set_policy(const struct op_call *call, struct key_record *key,
                                             struct bytes text, struct kms_error *reterr);

/* --- cryptography, import, rotation ----------------------------------------------------------- */

extern const struct shape_member op_encrypt_shape[];
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
KMS_MUST_CHECK enum kms_status op_disable_key_rotation_begin(struct op_call   *call,
                                                             struct kms_error *reterr);
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

extern const struct shape_member op_generate_data_key_pair_shape[];
KMS_MUST_CHECK enum kms_status op_generate_data_key_pair_prepare(struct op_call   *call,
                                                                 struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_data_key_pair_begin(struct op_call   *call,
                                                               struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_data_key_pair_finish(struct op_call   *call,
                                                                struct kms_error *reterr);

extern const struct shape_member op_generate_data_key_pair_without_plaintext_shape[];
KMS_MUST_CHECK enum kms_status op_generate_data_key_pair_without_plaintext_begin(
    struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_sign_shape[];
KMS_MUST_CHECK enum kms_status op_sign_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_sign_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_verify_shape[];
KMS_MUST_CHECK enum kms_status op_verify_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_verify_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_generate_mac_shape[];
KMS_MUST_CHECK enum kms_status op_generate_mac_begin(struct op_call   *call,
                                                     struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_generate_mac_finish(struct op_call   *call,
                                                      struct kms_error *reterr);

extern const struct shape_member op_verify_mac_shape[];
KMS_MUST_CHECK enum kms_status op_verify_mac_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_verify_mac_finish(struct op_call *call, struct kms_error *reterr);

extern const struct shape_member op_derive_shared_secret_shape[];
KMS_MUST_CHECK enum kms_status op_derive_shared_secret_begin(struct op_call   *call,
                                                             struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_derive_shared_secret_finish(struct op_call   *call,
                                                              struct kms_error *reterr);

extern const struct shape_member op_encapsulate_shape[];
KMS_MUST_CHECK enum kms_status op_encapsulate_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_encapsulate_finish(struct op_call   *call,
                                                     struct kms_error *reterr);

extern const struct shape_member op_decapsulate_shape[];
KMS_MUST_CHECK enum kms_status op_decapsulate_begin(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_decapsulate_finish(struct op_call   *call,
                                                     struct kms_error *reterr);

extern const struct shape_member op_get_public_key_shape[];
KMS_MUST_CHECK enum kms_status op_get_public_key_begin(struct op_call   *call,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_get_public_key_finish(struct op_call   *call,
                                                        struct kms_error *reterr);

bool op_is_dry_run(const struct op_call *call);
/* KMS_E_GRANT_TOKEN for a token that this instance has not made. That is all: a grant counts without
 * its token too, and one that is gone leaves a token that means nothing (docs/deviations.md). The whole
 * prepare of many operations. */
KMS_MUST_CHECK enum kms_status op_check_grant_tokens(struct op_call   *call,
                                                     struct kms_error *reterr);
/* What a member that may be absent names: SYMMETRIC_DEFAULT then. */
enum algorithm op_algorithm(struct op_int algorithm);
/* InvalidKeyUsageException when the key does not serve the algorithm (recorded-crypto 11, step 5). */
KMS_MUST_CHECK enum kms_status op_check_algorithm(const struct key_record *key,
                                                  enum algorithm           algorithm,
                                                  struct kms_error        *reterr);
/* op_context for this key: asymmetric ones take only an empty one (recorded-crypto 1.1). */
KMS_MUST_CHECK enum kms_status op_key_context(struct op_call *call, const struct key_record *key,
                                              struct json context, struct bytes *ret,
                                              struct kms_error *reterr);
/* The begin of Sign, GenerateMac and their like: checks the algorithm that the request names and fills
 * the command with it, the key's current material and `input`. */
KMS_MUST_CHECK enum kms_status op_begin_use(struct op_call *call, enum vault_command_kind kind,
                                            struct bytes input, struct kms_error *reterr);
/* MessageType against spec, algorithm and length of the message (recorded-crypto 11, step 6). */
KMS_MUST_CHECK enum kms_status op_check_message(const struct op_call *call, enum message_type *ret,
                                                struct kms_error *reterr);
/* The secret of the result as member `name`, or for a recipient as CiphertextForRecipient. */
void op_put_secret(struct op_call *call, const char *name);
/* Fills call->blob, has_blob and has_ciphertext from CiphertextBlob; `key_id` is the member that names the
 * key where the blob does not. */
KMS_MUST_CHECK enum kms_status op_read_blob(struct op_call *call, struct bytes key_id,
                                            const char *key_member, struct op_int algorithm,
                                            struct kms_error *reterr);
/* The material of call->key that opens the ciphertext. */
struct vault_material op_blob_material(const struct op_call *call);
