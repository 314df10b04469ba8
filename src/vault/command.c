/* vault/command.c - see command.h. */
#include "vault/command.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "crypto/recipient.h"
#include "vault/vault_internal.h"

void vault_result_init(struct vault_result *r)
{
    buf_init(&r->blob, LIMIT_CIPHERTEXT);
    buf_init(&r->plain, LIMIT_CIPHERTEXT);
    buf_init(&r->public_key, LIMIT_CIPHERTEXT);
    buf_init(&r->recipient, LIMIT_CIPHERTEXT);
}

void vault_result_wipe(struct vault_result *r)
{
    buf_reset(&r->blob);
    buf_wipe(&r->plain);
    buf_reset(&r->public_key);
    buf_reset(&r->recipient);
}

void vault_result_release(struct vault_result *r)
{
    buf_release(&r->blob);
    buf_release(&r->plain);
    buf_release(&r->public_key);
    buf_release(&r->recipient);
}

bool vault_command_slow(enum vault_command_kind kind, enum key_spec spec)
{
    switch (kind) {
    case VAULT_ENCRYPT:
    case VAULT_VERIFY:
    case VAULT_ENCAPSULATE:
    case VAULT_PUBLIC_KEY:             return !spec_info(spec)->fast_public;
    case VAULT_DECRYPT:
    case VAULT_SIGN:
    case VAULT_GENERATE_MAC:
    case VAULT_VERIFY_MAC:
    case VAULT_DERIVE_SHARED_SECRET:
    case VAULT_DECAPSULATE:            return !spec_info(spec)->fast_private;
    case VAULT_GENERATE_DATA_KEY_PAIR: return true;
    case VAULT_REENCRYPT:              /* asked for each side: as VAULT_DECRYPT and VAULT_ENCRYPT */
    case VAULT_GENERATE_DATA_KEY:
    case VAULT_GENERATE_RANDOM:
    case VAULT_NOTHING:                break;
    }
    return false;
}

static enum kms_status decrypt(struct vault *v, const struct vault_command *c,
                               struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;

    if (c->algorithm == ALGORITHM_SYMMETRIC_DEFAULT) /* without an allocation */
        return vault_decrypt(v, c->from, c->context, c->input, &ret->plain, reterr);
    TRY(use_decrypt(v, &c->from, c->algorithm, c->context, c->input, &plain, reterr));
    if (plain != NULL)
        buf_add(&ret->plain, secret_view(plain));
    return KMS_OK;
}

static enum kms_status reencrypt(struct vault *v, const struct vault_command *c,
                                 struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;
    struct bytes                         view = { NULL, 0 };

    TRY(use_decrypt(v, &c->from, c->algorithm, c->context, c->input, &plain, reterr));
    if (plain != NULL)
        view = secret_view(plain);
    return use_encrypt(v, &c->to, c->to_algorithm, c->to_context, view, &ret->blob, reterr);
}

static enum kms_status run(struct vault *v, const struct vault_command *c, struct vault_result *ret,
                           struct kms_error *reterr)
{
    switch (c->kind) {
    case VAULT_NOTHING: return KMS_OK;
    case VAULT_ENCRYPT:
        return use_encrypt(v, &c->from, c->algorithm, c->context, c->input, &ret->blob, reterr);
    case VAULT_DECRYPT:   return decrypt(v, c, ret, reterr);
    case VAULT_REENCRYPT: return reencrypt(v, c, ret, reterr);
    case VAULT_GENERATE_DATA_KEY:
        return vault_generate_data_key(v, c->from, c->context, c->length, &ret->blob,
                                       c->want_plain ? &ret->plain : NULL, reterr);
    case VAULT_GENERATE_DATA_KEY_PAIR: return use_generate_pair(v, c, ret, reterr);
    case VAULT_GENERATE_RANDOM:        return vault_random(v, c->length, &ret->plain, reterr);
    case VAULT_SIGN:                   return use_sign(v, c, ret, reterr);
    case VAULT_VERIFY:                 return use_verify(v, c, reterr);
    case VAULT_GENERATE_MAC:           return use_mac(v, c, ret, reterr);
    case VAULT_VERIFY_MAC:             return use_mac_verify(v, c, reterr);
    case VAULT_DERIVE_SHARED_SECRET:   return use_derive(v, c, ret, reterr);
    case VAULT_ENCAPSULATE:            return use_encapsulate(v, c, ret, reterr);
    case VAULT_DECAPSULATE:            return use_decapsulate(v, c, ret, reterr);
    case VAULT_PUBLIC_KEY:             return use_public_key(v, c, ret, reterr);
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "unknown vault command %d", (int)c->kind);
}

/* R35: the material expired or vanished between the state check and its use. */
static enum kms_status gone(struct vault *v, const struct vault_command *command,
                            struct kms_error *reterr)
{
    const struct vault_material *m = &command->from;

    if (command->kind == VAULT_REENCRYPT && key_record_material(m->key, &m->material->id) != NULL &&
        vault_slot_alive(v, &m->material->sealed))
        m = &command->to;
    if (m->key->origin != ORIGIN_EXTERNAL) /* nobody can import it: durable.slots is a wrong one */
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "the shred key of a generated material of %.*s is gone",
                        BYTES_FMT(m->key->name.arn));
    return KMS_REFUSE(reterr, KMS_E_KEY_STATE, "%.*s is pending import.",
                      BYTES_FMT(m->key->name.arn));
}

/* What would be answered in clear goes into an envelope that only the enclave opens. */
static enum kms_status envelope(const struct vault_command *c, struct vault_result *ret,
                                struct kms_error *reterr)
{
    enum kms_status status = crypto_envelope(c->recipient, buf_bytes(&ret->plain), &ret->recipient,
                                             reterr);

    buf_wipe(&ret->plain);
    return status;
}

enum kms_status vault_run(struct vault *v, const struct vault_command *command,
                          struct vault_result *ret, struct kms_error *reterr)
{
    vault_result_wipe(ret);
    enum kms_status status = run(v, command, ret, reterr);

    if (status == KMS_E_KEY_STATE)
        return gone(v, command, reterr);
    TRY(status);
    if (!buf_ok(&ret->blob) || !buf_ok(&ret->plain) || !buf_ok(&ret->public_key))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for the result of a command");
    if (command->recipient.len > 0)
        return envelope(command, ret, reterr);
    return KMS_OK;
}
