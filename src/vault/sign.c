/* vault/sign.c - the commands that sign, authenticate and agree: signatures, MACs, ECDH, ML-KEM, and the public
 * half of a key. Algorithms, message types and lengths were checked by the operation. */
#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum kms_status use_sign(struct vault *v, const struct vault_command *c, struct vault_result *ret,
                         struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    TRY(material_use(v, &c->from, &use, reterr));
    return crypto_key_sign(use.key, c->algorithm, c->message_type, c->input, &ret->blob, reterr);
}

enum kms_status use_verify(struct vault *v, const struct vault_command *c, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    TRY(material_use(v, &c->from, &use, reterr));
    return crypto_key_verify(use.key, c->algorithm, c->message_type, c->input, c->proof, reterr);
}

enum kms_status use_mac(struct vault *v, const struct vault_command *c, struct vault_result *ret,
                        struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    uint8_t                                    mac[DIGEST_MAX];
    size_t                                     len;

    TRY(material_use(v, &c->from, &use, reterr));
    crypto_mac(secret_view(use.secret), c->algorithm, c->input, mac, &len);
    buf_add(&ret->plain, bytes_of(mac, len)); /* callers may take it for a key */
    explicit_bzero(mac, sizeof mac);
    return KMS_OK;
}

enum kms_status use_mac_verify(struct vault *v, const struct vault_command *c,
                               struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    TRY(material_use(v, &c->from, &use, reterr));
    return crypto_mac_verify(secret_view(use.secret), c->algorithm, c->input, c->proof, reterr);
}

enum kms_status use_derive(struct vault *v, const struct vault_command *c, struct vault_result *ret,
                           struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use   use = { 0 };
    CLEANUP(crypto_key_freep) struct crypto_key *peer = NULL;
    CLEANUP(secret_freep) struct secret         *shared = NULL;

    TRY(material_use(v, &c->from, &use, reterr));
    TRY(crypto_key_read_public(c->from.key->spec, c->input, &peer, reterr));
    TRY(crypto_key_derive(use.key, peer, &shared, reterr));
    buf_add(&ret->plain, secret_view(shared));
    return KMS_OK;
}

enum kms_status use_encapsulate(struct vault *v, const struct vault_command *c,
                                struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    CLEANUP(secret_freep) struct secret       *shared = NULL;

    TRY(material_use(v, &c->from, &use, reterr));
    TRY(crypto_key_encapsulate(use.key, &shared, &ret->blob, reterr));
    buf_add(&ret->plain, secret_view(shared));
    return KMS_OK;
}

enum kms_status use_decapsulate(struct vault *v, const struct vault_command *c,
                                struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };
    CLEANUP(secret_freep) struct secret       *shared = NULL;

    TRY(material_use(v, &c->from, &use, reterr));
    TRY(crypto_key_decapsulate(use.key, c->input, &shared, reterr));
    buf_add(&ret->plain, secret_view(shared));
    return KMS_OK;
}

enum kms_status use_public_key(struct vault *v, const struct vault_command *c,
                               struct vault_result *ret, struct kms_error *reterr)
{
    CLEANUP(material_done) struct material_use use = { 0 };

    TRY(material_use(v, &c->from, &use, reterr));
    return crypto_key_public(use.key, &ret->public_key, reterr);
}
