/* vault/command.c - see command.h. */
#include "vault/command.h"

#include "base/limits.h"

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

static enum kms_status run(struct vault *v, const struct vault_command *c, struct vault_result *ret,
                           struct kms_error *reterr)
{
    switch (c->kind) {
    case VAULT_NOTHING: return KMS_OK;
    case VAULT_ENCRYPT:
        return vault_encrypt(v, c->from, BLOB_ENCRYPT, c->context, c->input, &ret->blob, reterr);
    case VAULT_DECRYPT: return vault_decrypt(v, c->from, c->context, c->input, &ret->plain, reterr);
    case VAULT_REENCRYPT:
        return vault_reencrypt(v, c->from, c->context, c->input, c->to, c->to_context, &ret->blob,
                               reterr);
    case VAULT_GENERATE_DATA_KEY:
        return vault_generate_data_key(v, c->from, c->context, c->length, &ret->blob,
                                       c->want_plain ? &ret->plain : NULL, reterr);
    case VAULT_GENERATE_RANDOM:        return vault_random(v, c->length, &ret->plain, reterr);
    case VAULT_GENERATE_DATA_KEY_PAIR:
    case VAULT_SIGN:
    case VAULT_VERIFY:
    case VAULT_GENERATE_MAC:
    case VAULT_VERIFY_MAC:
    case VAULT_DERIVE_SHARED_SECRET:
    case VAULT_ENCAPSULATE:
    case VAULT_DECAPSULATE:
    case VAULT_PUBLIC_KEY:             break;
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "unknown vault command %d", (int)c->kind);
}

enum kms_status vault_run(struct vault *v, const struct vault_command *command,
                          struct vault_result *ret, struct kms_error *reterr)
{
    vault_result_wipe(ret);
    enum kms_status status = run(v, command, ret, reterr);

    if (status == KMS_E_KEY_STATE) {
        /* R35: the material expired or vanished between the state check and its use */
        const struct vault_material *m = &command->from;
        if (command->kind == VAULT_REENCRYPT &&
            key_record_material(m->key, &m->material->id) != NULL &&
            vault_slot_alive(v, &m->material->sealed))
            m = &command->to;
        if (m->key->origin !=
            ORIGIN_EXTERNAL) /* nobody can import it: durable.slots is not the right one */
            return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                            "the shred key of a generated material of %.*s is gone",
                            BYTES_FMT(m->key->name.arn));
        return KMS_REFUSE(reterr, KMS_E_KEY_STATE, "%.*s is pending import.",
                          BYTES_FMT(m->key->name.arn));
    }
    return status;
}
