/* operation/crypto_checks.c - checks that the cryptographic operations share. */
#include "operation/handlers.h"

#include "base/limits.h"

/* No grants yet, so no token can be one of ours (kms-behaviour 15: a bad token is refused). */
enum kms_status op_check_grant_tokens(struct op_call *call, struct kms_error *reterr)
{
    struct grant_token unused;
    struct json        token;

    for (struct json_iter it = json_iterate(call->in.grant_tokens); json_next(&it, NULL, &token);)
        TRY(vault_grant_token_open(call->env->vault, json_string(token), &unused, reterr));
    return KMS_OK;
}

bool op_is_dry_run(const struct op_call *call)
{
    return call->in.dry_run.set && call->in.dry_run.v != 0;
}

/* --- algorithm, context, size ----------------------------------------------------------------- */

enum algorithm op_algorithm(struct op_int algorithm)
{
    return algorithm.set ? (enum algorithm)algorithm.v : ALGORITHM_SYMMETRIC_DEFAULT;
}

enum kms_status op_check_algorithm(const struct key_record *key, enum algorithm algorithm,
                                   struct kms_error *reterr)
{
    if (spec_has_algorithm(key->spec, key->usage, algorithm))
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_KEY_USAGE, "Algorithm %s is incompatible with key spec %s.",
                      algorithm_names[algorithm], key_spec_name(key->spec));
}

enum kms_status op_key_context(struct op_call *call, const struct key_record *key,
                               struct json context, struct bytes *ret, struct kms_error *reterr)
{
    if (spec_is_asymmetric(key->spec) && context.node != NULL && json_count(context) > 0)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "EncryptionContext is not supported when encrypting/decrypting with "
                          "asymmetric CMKs.");
    return op_context(call, context, ret, reterr);
}

/* --- using the one material of a key ------------------------------------------------------------ */

enum kms_status op_begin_use(struct op_call *call, enum vault_command_kind kind, struct bytes input,
                             struct kms_error *reterr)
{
    struct vault_command *c = &call->command;

    c->algorithm = (enum algorithm)call->in.algorithm.v;
    TRY(op_check_algorithm(call->key, c->algorithm, reterr));
    c->kind = kind;
    c->from = op_current(call->key);
    c->input = input;
    return KMS_OK;
}

/* --- messages to sign ------------------------------------------------------------------------- */

/* recorded-crypto 11, step 6: type against spec, type against algorithm, then the length. */
enum kms_status op_check_message(const struct op_call *call, enum message_type *ret,
                                 struct kms_error *reterr)
{
    enum { MU_LEN = 64 };
    const struct algorithm_info *info = algorithm_info((enum algorithm)call->in.algorithm.v);
    const char                  *name = algorithm_names[call->in.algorithm.v];
    enum message_type type = call->in.message_type.set ? (enum message_type)call->in.message_type.v
                                                       : MESSAGE_RAW;
    bool              ml_dsa = spec_info(call->key->spec)->family == FAMILY_ML_DSA;

    if ((type == MESSAGE_EXTERNAL_MU && !ml_dsa) || (type == MESSAGE_DIGEST && ml_dsa))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Message type %s is incompatible with key spec %s.",
                          shape_message_types[type], key_spec_name(call->key->spec));
    if ((info->messages & 1u << type) == 0)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Message type %s is incompatible with algorithm %s.",
                          shape_message_types[type], name);
    if (type == MESSAGE_DIGEST && call->in.message.len != info->digest_len)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Digest is invalid length for algorithm %s.",
                          name);
    if (type == MESSAGE_EXTERNAL_MU && call->in.message.len != MU_LEN)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "External Mu is invalid length for algorithm %s.", name);
    *ret = type;
    return KMS_OK;
}

/* --- recipients ------------------------------------------------------------------------------- */

enum kms_status operation_read_recipient(struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;

    if (in->recipient.node == NULL)
        return KMS_OK;
    if (in->attestation_document.ptr == NULL || !in->key_encryption_algorithm.set)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Recipient must have AttestationDocument and KeyEncryptionAlgorithm.");
    return attestation_verify(call->env->attestation_roots, in->attestation_document,
                              clock_wall_ms(), &call->attestation, reterr);
}

void op_put_secret(struct op_call *call, const char *name)
{
    if (call->in.recipient.node == NULL)
        json_put_base64(call->answer, name, buf_bytes(&call->result.plain));
    else
        json_put_base64(call->answer, "CiphertextForRecipient", buf_bytes(&call->result.recipient));
}

/* --- blobs ------------------------------------------------------------------------------------ */

/* DryRunModifiers [IGNORE_CIPHERTEXT]: only with DryRun; then the key must be named (kms-behaviour
 * 10.1). */
static enum kms_status ignores_ciphertext(const struct op_call *call, bool *ret,
                                          struct kms_error *reterr)
{
    bool modified = call->in.dry_run_modifiers.node != NULL &&
                    json_count(call->in.dry_run_modifiers) > 0;

    if (modified && !op_is_dry_run(call))
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
    call->has_ciphertext = !ignored;
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
    if (spec_is_asymmetric(call->key->spec)) /* its ciphertexts name no material: there is one */
        return op_current(call->key);
    return (struct vault_material){ call->key,
                                    key_record_material(call->key, &call->blob.material) };
}
