/* operation/registry.c - the table of all operations of the API, and how a request finds its row.
 *
 * Names: kms-behaviour 15 and newer-operations. States: kms-behaviour 5.1 as corrected by
 * recorded-imports 1.2 and 3. Identifiers and cross-account use: kms-behaviour 4.2, 4.3.
 * A row whose shape is NULL is known but not built yet: request.c answers it with
 * UnsupportedOperationException. Sorted by name; tests/unit/operation/test_registry.c checks order
 * and completeness.
 */
#include "operation/operation.h"

#include "base/cleanup.h"
#include "operation/handlers.h"

/* Which states let an operation proceed (kms-behaviour 5.1). */
#define ALL        STATES_ALL
#define USABLE     STATES_USABLE
#define GRANTING   (STATES_USABLE | KEY_IN(KEY_UNAVAILABLE))
#define DELETING   STATES_PENDING_DELETION
#define ALIVE      (STATES_ALL & ~(uint32_t)STATES_PENDING_DELETION)
#define ON_OFF     (KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED))
#define SWITCH     (ON_OFF | KEY_IN(KEY_UNAVAILABLE))
#define SCHEDULE   (ALIVE & ~KEY_IN(KEY_UPDATING))
#define PARAMETERS (ON_OFF | KEY_IN(KEY_PENDING_IMPORT))
#define IMPORT     (PARAMETERS | KEY_IN(KEY_UPDATING))
#define ERASE      (PARAMETERS | STATES_PENDING_DELETION)
#define ON_DEMAND  KEY_IN(KEY_ENABLED)
#define REPLICATE  KEY_IN(KEY_ENABLED)
#define PUBLIC     (ON_OFF | KEY_IN(KEY_UPDATING))

/* usages */
#define ANY_USE 0
#define ENCRYPT (1u << USAGE_ENCRYPT_DECRYPT)
#define SIGN    (1u << USAGE_SIGN_VERIFY)
#define MAC     (1u << USAGE_GENERATE_VERIFY_MAC)
#define AGREE   (1u << USAGE_KEY_AGREEMENT)
#define ENCAPS  (1u << USAGE_ENCAPSULATE_DECAPSULATE)

/* flags that go together */
#define CHANGE  OP_CHANGES
#define REPLY   (OP_CHANGES | OP_AUDIT_ANSWER)
#define SILENT  (OP_CHANGES | OP_EMPTY_ANSWER)
#define READ    OP_READ_ONLY
#define CRYPTO  (OP_CRYPTO | OP_CROSS_ACCOUNT | OP_READ_ONLY)
#define SECRET  OP_SECRET_REPLY
#define FOREIGN OP_CROSS_ACCOUNT
#define TAKES   OP_TAKES_AWAY
#define ERASES  OP_SAYS_ERASED
#define ALIAS   OP_ALIAS_NAME

/* origins */
#define ANY      OP_ANY_ORIGIN
#define EXTERNAL OP_ONLY_EXTERNAL
#define AWS_KMS  OP_ONLY_AWS_KMS

/* An operation of a later release. */
#define LATER(title) { .name = title, .lane = LANE_SLOW, .states = ALL }

// clang-format off
static const struct operation rows[] = {
    /* name: as in X-Amz-Target
     *                         key: what the request may name
     *                                        lane: where it runs
     *                                                   flags
     *                                                                    states: that may proceed
     *                                                                                usages: of the key
     *                                                                                         origin: of the key
     * then the functions that it has, in the order in which they are called */
    { "CancelKeyDeletion",     OP_KEY_ID,     LANE_SLOW, REPLY,           DELETING,   ANY_USE, ANY,
      .shape = op_cancel_key_deletion_shape, .finish = op_cancel_key_deletion_finish },
    LATER("ConnectCustomKeyStore"),
    { "CreateAlias",           OP_KEY_TARGET, LANE_SLOW, SILENT | ALIAS,  ALIVE,      ANY_USE, ANY,
      .shape = op_create_alias_shape, .prepare = op_create_alias_prepare,
      .begin = op_create_alias_begin, .finish = op_create_alias_finish },
    LATER("CreateCustomKeyStore"),
    /* no REPLY: grant tokens are in no record */
    { "CreateGrant",           OP_KEY_ID,     LANE_SLOW, CHANGE | FOREIGN, GRANTING,  ANY_USE, ANY,
      .shape = op_create_grant_shape, .prepare = op_create_grant_prepare,
      .resolve = op_create_grant_resolve, .begin = op_create_grant_begin,
      .finish = op_create_grant_finish },
    { "CreateKey",             OP_KEY_NONE,   LANE_SLOW, REPLY,           ALL,        ANY_USE, ANY,
      .shape = op_create_key_shape, .prepare = op_create_key_prepare,
      .finish = op_create_key_finish },
    { "Decapsulate",           OP_KEY_ANY,    LANE_FAST, CRYPTO | SECRET, USABLE,     ENCAPS, ANY,
      .shape = op_decapsulate_shape, .prepare = op_check_grant_tokens,
      .begin = op_decapsulate_begin, .finish = op_decapsulate_finish },
    { "Decrypt",               OP_KEY_BLOB,   LANE_FAST, CRYPTO | SECRET, USABLE,     ENCRYPT, ANY,
      .shape = op_decrypt_shape, .prepare = op_decrypt_prepare, .begin = op_decrypt_begin,
      .finish = op_decrypt_finish },
    { "DeleteAlias",           OP_KEY_NONE,   LANE_SLOW, SILENT | ALIAS,  ALL,        ANY_USE, ANY,
      .shape = op_delete_alias_shape, .prepare = op_delete_alias_prepare,
      .begin = op_delete_alias_begin, .finish = op_delete_alias_finish },
    LATER("DeleteCustomKeyStore"),
    { "DeleteImportedKeyMaterial", OP_KEY_ID, LANE_SLOW, REPLY | TAKES | ERASES, ERASE, ANY_USE, EXTERNAL,
      .shape = op_delete_imported_key_material_shape,
      .finish = op_delete_imported_key_material_finish },
    { "DeriveSharedSecret",    OP_KEY_ANY,    LANE_FAST, CRYPTO | SECRET, USABLE,     AGREE, ANY,
      .shape = op_derive_shared_secret_shape, .prepare = op_check_grant_tokens,
      .begin = op_derive_shared_secret_begin, .finish = op_derive_shared_secret_finish },
    LATER("DescribeCustomKeyStores"),
    { "DescribeKey",           OP_KEY_ANY,    LANE_FAST, READ | FOREIGN,  ALL,        ANY_USE, ANY,
      .shape = op_describe_key_shape, .prepare = op_check_grant_tokens,
      .finish = op_describe_key_finish },
    { "DisableKey",            OP_KEY_ID,     LANE_SLOW, SILENT | TAKES,  SWITCH,     ANY_USE, ANY,
      .shape = op_disable_key_shape, .finish = op_disable_key_finish },
    { "DisableKeyRotation",    OP_KEY_ID,     LANE_SLOW, SILENT,          USABLE,     ANY_USE, AWS_KMS,
      .shape = op_disable_key_rotation_shape, .begin = op_disable_key_rotation_begin,
      .finish = op_disable_key_rotation_finish },
    LATER("DisconnectCustomKeyStore"),
    { "EnableKey",             OP_KEY_ID,     LANE_SLOW, SILENT,          SWITCH,     ANY_USE, ANY,
      .shape = op_enable_key_shape, .finish = op_enable_key_finish },
    { "EnableKeyRotation",     OP_KEY_ID,     LANE_SLOW, SILENT,          USABLE,     ANY_USE, AWS_KMS,
      .shape = op_enable_key_rotation_shape, .begin = op_enable_key_rotation_begin,
      .finish = op_enable_key_rotation_finish },
    { "Encapsulate",           OP_KEY_ANY,    LANE_FAST, CRYPTO | SECRET, USABLE,     ENCAPS, ANY,
      .shape = op_encapsulate_shape, .prepare = op_check_grant_tokens,
      .begin = op_encapsulate_begin, .finish = op_encapsulate_finish },
    { "Encrypt",               OP_KEY_ANY,    LANE_FAST, CRYPTO,          USABLE,     ENCRYPT, ANY,
      .shape = op_encrypt_shape, .prepare = op_check_grant_tokens, .begin = op_encrypt_begin,
      .finish = op_encrypt_finish },
    { "GenerateDataKey",       OP_KEY_ANY,    LANE_FAST, CRYPTO | SECRET, USABLE,     ENCRYPT, ANY,
      .shape = op_generate_data_key_shape, .prepare = op_generate_data_key_prepare,
      .begin = op_generate_data_key_begin, .finish = op_generate_data_key_finish },
    { "GenerateDataKeyPair",   OP_KEY_ANY,    LANE_SLOW, CRYPTO | SECRET, USABLE,     ENCRYPT, ANY,
      .shape = op_generate_data_key_pair_shape, .prepare = op_generate_data_key_pair_prepare,
      .begin = op_generate_data_key_pair_begin, .finish = op_generate_data_key_pair_finish },
    { "GenerateDataKeyPairWithoutPlaintext", OP_KEY_ANY, LANE_SLOW, CRYPTO, USABLE,   ENCRYPT, ANY,
      .shape = op_generate_data_key_pair_without_plaintext_shape,
      .prepare = op_generate_data_key_pair_prepare,
      .begin = op_generate_data_key_pair_without_plaintext_begin,
      .finish = op_generate_data_key_pair_finish },
    { "GenerateDataKeyWithoutPlaintext", OP_KEY_ANY, LANE_FAST, CRYPTO,   USABLE,     ENCRYPT, ANY,
      .shape = op_generate_data_key_without_plaintext_shape,
      .prepare = op_generate_data_key_prepare,
      .begin = op_generate_data_key_without_plaintext_begin,
      .finish = op_generate_data_key_finish },
    { "GenerateMac",           OP_KEY_ANY,    LANE_FAST, CRYPTO | SECRET, USABLE,     MAC,  ANY,
      .shape = op_generate_mac_shape, .prepare = op_check_grant_tokens,
      .begin = op_generate_mac_begin, .finish = op_generate_mac_finish },
    { "GenerateRandom",        OP_KEY_NONE,   LANE_FAST, READ | SECRET,   ALL,        ANY_USE, ANY,
      .shape = op_generate_random_shape, .prepare = op_generate_random_prepare,
      .begin = op_generate_random_begin, .finish = op_generate_random_finish },
    { "GetKeyLastUsage",       OP_KEY_ID,     LANE_FAST, READ,            ALL,        ANY_USE, ANY,
      .shape = op_get_key_last_usage_shape, .finish = op_get_key_last_usage_finish },
    { "GetKeyPolicy",          OP_KEY_ID,     LANE_FAST, READ,            ALL,        ANY_USE, ANY,
      .shape = op_get_key_policy_shape, .begin = op_key_policy_begin,
      .finish = op_get_key_policy_finish },
    { "GetKeyRotationStatus",  OP_KEY_ID,     LANE_FAST, READ | FOREIGN,  ALL,        ANY_USE, ANY,
      .shape = op_get_key_rotation_status_shape, .finish = op_get_key_rotation_status_finish },
    /* readOnly as the real service's trail says, although a wrapping key is stored */
    { "GetParametersForImport", OP_KEY_ID,    LANE_SLOW, CHANGE | READ,   PARAMETERS, ANY_USE, EXTERNAL,
      .shape = op_get_parameters_for_import_shape, .begin = op_get_parameters_for_import_begin,
      .finish = op_get_parameters_for_import_finish },
    { "GetPublicKey",          OP_KEY_ANY,    LANE_FAST, READ | FOREIGN,  PUBLIC,     ANY_USE, ANY,
      .shape = op_get_public_key_shape, .prepare = op_check_grant_tokens,
      .begin = op_get_public_key_begin, .finish = op_get_public_key_finish },
    { "ImportKeyMaterial",     OP_KEY_ID,     LANE_SLOW, REPLY,           IMPORT,     ANY_USE, EXTERNAL,
      .shape = op_import_key_material_shape, .prepare = op_import_key_material_prepare,
      .begin = op_import_key_material_begin, .finish = op_import_key_material_finish },
    { "ListAliases",           OP_KEY_OPTIONAL, LANE_SLOW, READ,          ALL,        ANY_USE, ANY,
      .shape = op_list_aliases_shape, .finish = op_list_aliases_finish },
    { "ListGrants",            OP_KEY_ID,     LANE_SLOW, READ | FOREIGN,  ALL,        ANY_USE, ANY,
      .shape = op_list_grants_shape, .begin = op_list_grants_begin,
      .finish = op_list_grants_finish },
    { "ListKeyPolicies",       OP_KEY_ID,     LANE_FAST, READ,            ALL,        ANY_USE, ANY,
      .shape = op_list_key_policies_shape, .finish = op_list_key_policies_finish },
    { "ListKeyRotations",      OP_KEY_ID,     LANE_FAST, READ,            ALL,        ANY_USE, ANY,
      .shape = op_list_key_rotations_shape, .begin = op_list_key_rotations_begin,
      .finish = op_list_key_rotations_finish },
    { "ListKeys",              OP_KEY_NONE,   LANE_SLOW, READ,            ALL,        ANY_USE, ANY,
      .shape = op_list_keys_shape, .finish = op_list_keys_finish },
    { "ListResourceTags",      OP_KEY_ID,     LANE_FAST, READ,            ALL,        ANY_USE, ANY,
      .shape = op_list_resource_tags_shape, .finish = op_list_resource_tags_finish },
    { "ListRetirableGrants",   OP_KEY_NONE,   LANE_SLOW, READ,            ALL,        ANY_USE, ANY,
      .shape = op_list_retirable_grants_shape, .begin = op_list_retirable_grants_begin,
      .finish = op_list_retirable_grants_finish },
    { "PutKeyPolicy",          OP_KEY_ID,     LANE_SLOW, SILENT | TAKES,  ALL,        ANY_USE, ANY,
      .shape = op_put_key_policy_shape, .begin = op_key_policy_begin,
      .finish = op_put_key_policy_finish },
    { "ReEncrypt",             OP_KEY_BLOB_AND_DESTINATION, LANE_FAST, CRYPTO, USABLE, ENCRYPT, ANY,
      .shape = op_re_encrypt_shape, .prepare = op_re_encrypt_prepare, .begin = op_re_encrypt_begin,
      .finish = op_re_encrypt_finish },
    /* no REPLY: policies are in no record */
    { "ReplicateKey",          OP_KEY_ID,     LANE_SLOW, CHANGE,          REPLICATE,  ANY_USE, ANY,
      .shape = op_replicate_key_shape, .prepare = op_replicate_key_prepare,
      .usage = op_replicate_key_usage, .begin = op_replicate_key_begin,
      .finish = op_replicate_key_finish },
    { "RetireGrant",           OP_KEY_NONE,   LANE_SLOW, SILENT | TAKES | FOREIGN, ALL, ANY_USE, ANY,
      .shape = op_retire_grant_shape, .prepare = op_retire_grant_prepare,
      .resolve = op_retire_grant_resolve, .finish = op_remove_grant_finish },
    { "RevokeGrant",           OP_KEY_ID,     LANE_SLOW, SILENT | TAKES | FOREIGN, ALL, ANY_USE, ANY,
      .shape = op_revoke_grant_shape, .begin = op_revoke_grant_begin,
      .finish = op_remove_grant_finish },
    { "RotateKeyOnDemand",     OP_KEY_ID,     LANE_SLOW, REPLY,           ON_DEMAND,  ANY_USE, ANY,
      .shape = op_rotate_key_on_demand_shape, .begin = op_rotate_key_on_demand_begin,
      .finish = op_rotate_key_on_demand_finish },
    { "ScheduleKeyDeletion",   OP_KEY_ID,     LANE_SLOW, REPLY | TAKES,   SCHEDULE,   ANY_USE, ANY,
      .shape = op_schedule_key_deletion_shape, .prepare = op_schedule_key_deletion_prepare,
      .finish = op_schedule_key_deletion_finish },
    { "Sign",                  OP_KEY_ANY,    LANE_FAST, CRYPTO,          USABLE,     SIGN, ANY,
      .shape = op_sign_shape, .prepare = op_check_grant_tokens, .begin = op_sign_begin,
      .finish = op_sign_finish },
    { "TagResource",           OP_KEY_ID,     LANE_SLOW, SILENT,          ALIVE,      ANY_USE, ANY,
      .shape = op_tag_resource_shape, .prepare = op_tag_resource_prepare,
      .finish = op_tag_resource_finish },
    { "UntagResource",         OP_KEY_ID,     LANE_SLOW, SILENT,          ALIVE,      ANY_USE, ANY,
      .shape = op_untag_resource_shape, .finish = op_untag_resource_finish },
    { "UpdateAlias",           OP_KEY_TARGET, LANE_SLOW, SILENT | ALIAS,  ALIVE,      ANY_USE, ANY,
      .shape = op_update_alias_shape, .prepare = op_update_alias_prepare,
      .begin = op_update_alias_begin, .finish = op_update_alias_finish },
    LATER("UpdateCustomKeyStore"),
    { "UpdateKeyDescription",  OP_KEY_ID,     LANE_SLOW, SILENT,          ALIVE,      ANY_USE, ANY,
      .shape = op_update_key_description_shape, .finish = op_update_key_description_finish },
    { "UpdatePrimaryRegion",   OP_KEY_ID,     LANE_SLOW, SILENT,          USABLE,     ANY_USE, ANY,
      .shape = op_update_primary_region_shape, .usage = op_update_primary_region_usage,
      .resolve = op_update_primary_region_resolve, .begin = op_update_primary_region_begin,
      .finish = op_update_primary_region_finish },
    { "Verify",                OP_KEY_ANY,    LANE_FAST, CRYPTO,          USABLE,     SIGN, ANY,
      .shape = op_verify_shape, .prepare = op_check_grant_tokens, .begin = op_verify_begin,
      .finish = op_verify_finish },
    { "VerifyMac",             OP_KEY_ANY,    LANE_FAST, CRYPTO,          USABLE,     MAC,  ANY,
      .shape = op_verify_mac_shape, .prepare = op_check_grant_tokens, .begin = op_verify_mac_begin,
      .finish = op_verify_mac_finish },
};
// clang-format on

const struct operation *operation_rows(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(rows);
    return rows;
}

const struct operation *operation_find(struct bytes target)
{
    static const struct bytes prefix = { (const uint8_t *)"TrentService.", 13 };

    if (!bytes_starts(target, prefix))
        return NULL;
    struct bytes name = { target.ptr + prefix.len, target.len - prefix.len };
    size_t       low = 0;
    size_t       high = ARRAY_LEN(rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int    order = bytes_cmp(name, bytes_str(rows[middle].name));

        if (order == 0)
            return &rows[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
