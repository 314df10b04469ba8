/* vault/command.h - the fast commands as messages: what an operation's begin fills in, and what its finish
 * reads. One command per request (design 3); the materials in it never leave the vault.
 */
#pragma once

#include "vault/vault.h"

enum vault_command_kind {
    VAULT_NOTHING,
    VAULT_ENCRYPT,
    VAULT_DECRYPT,
    VAULT_REENCRYPT,
    VAULT_GENERATE_DATA_KEY,
    VAULT_GENERATE_RANDOM,
};

struct vault_command {
    enum vault_command_kind kind;
    struct vault_material   from;       /* the material that opens, or the only one          */
    struct vault_material   to;         /* REENCRYPT: the material that seals                 */
    struct bytes            context;    /* canonical, of `from`                               */
    struct bytes            to_context; /* REENCRYPT                                          */
    struct bytes            input;      /* plaintext or blob                                  */
    size_t                  length;     /* DATA_KEY, RANDOM: bytes                            */
    bool                    want_plain; /* DATA_KEY: the plaintext too                        */
};

/* Owned buffers, reused between requests; wiped by vault_result_wipe. */
struct vault_result {
    struct buf blob;
    struct buf plain;
};
void vault_result_init(struct vault_result *r);
void vault_result_wipe(struct vault_result *r);
void vault_result_release(struct vault_result *r);

/* Runs the command in the calling thread, which must be inside an epoch section. A material past its
 * ValidTo or without its slot: KMS_E_KEY_STATE "<arn> is pending import."; a generated material without
 * its slot: KMS_E_KEY_UNAVAILABLE. */
KMS_MUST_CHECK enum kms_status vault_run(struct vault *v, const struct vault_command *command,
                                         struct vault_result *ret, struct kms_error *reterr);
