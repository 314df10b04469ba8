/* operation/crypto_checks.c - checks that the cryptographic operations share. */
#include "operation/handlers.h"

#include "base/limits.h"

/* No grants yet, so no token can be one of ours (kms-behaviour 15: a bad token is refused). */
enum kms_status op_check_grant_tokens(const struct op_call *call, struct kms_error *reterr)
{
    if (call->in.grant_tokens.node != NULL && json_count(call->in.grant_tokens) > 0)
        return KMS_FAIL(reterr, KMS_E_GRANT_TOKEN, "a grant token, but there are no grants");
    return KMS_OK;
}

enum kms_status op_check_recipient(const struct op_call *call, struct kms_error *reterr)
{
    if (call->in.recipient.node != NULL)
        return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED, "Trent does not implement Recipient yet.");
    return KMS_OK;
}

enum kms_status op_check_symmetric(const struct key_record *key, struct op_int algorithm,
                                   struct kms_error *reterr)
{
    if (!algorithm.set || algorithm.v == ALGORITHM_SYMMETRIC_DEFAULT)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_KEY_USAGE, "Algorithm %s is incompatible with key spec %s.",
                      algorithm_names[algorithm.v], key_spec_name(key->spec));
}

/* DryRunModifiers [IGNORE_CIPHERTEXT]: only with DryRun; then the key must be named (kms-behaviour
 * 10.1). */
static enum kms_status ignores_ciphertext(const struct op_call *call, bool *ret,
                                          struct kms_error *reterr)
{
    bool modified = call->in.dry_run_modifiers.node != NULL &&
                    json_count(call->in.dry_run_modifiers) > 0;

    if (modified && !(call->in.dry_run.set && call->in.dry_run.v != 0))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "DryRunModifiers can only be used with DryRun.");
    *ret = modified;
    return KMS_OK;
}

enum kms_status op_read_blob(struct op_call *call, struct bytes key_id, const char *key_member,
                             struct op_int algorithm, struct kms_error *reterr)
{
    bool asymmetric = algorithm.set && algorithm.v != ALGORITHM_SYMMETRIC_DEFAULT;
    bool ignored = false;

    TRY(ignores_ciphertext(call, &ignored, reterr));
    if (!ignored && call->in.ciphertext_blob.ptr == NULL)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy "
            "constraint: Member must not be null");
    call->has_blob = !ignored && !asymmetric;
    if (!call->has_blob) /* recorded-crypto 11, step 2 */
        return key_id.ptr != NULL
                   ? KMS_OK
                   : KMS_REFUSE(reterr, KMS_E_VALIDATION, "%s must not be null", key_member);
    if (!vault_blob_inspect(call->in.ciphertext_blob, &call->blob))
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "not a ciphertext of ours");
    return KMS_OK;
}

struct vault_material op_blob_material(const struct op_call *call)
{
    return (struct vault_material){ call->key,
                                    key_record_material(call->key, &call->blob.material) };
}
