/* vault/command.h - the commands that use keys, as messages: what an operation's begin fills in, and what its
 * finish reads. One command per request (design 3); the materials in it never leave the vault.
 */
#pragma once

#include "vault/vault.h"

enum vault_command_kind {
    VAULT_NOTHING,
    VAULT_ENCRYPT,
    VAULT_DECRYPT,
    VAULT_REENCRYPT,
    VAULT_GENERATE_DATA_KEY,
    VAULT_GENERATE_DATA_KEY_PAIR,
    VAULT_GENERATE_RANDOM,
    VAULT_SIGN,
    VAULT_VERIFY,
    VAULT_GENERATE_MAC,
    VAULT_VERIFY_MAC,
    VAULT_DERIVE_SHARED_SECRET,
    VAULT_ENCAPSULATE,
    VAULT_DECAPSULATE,
    VAULT_PUBLIC_KEY,
};

struct vault_command {
    enum vault_command_kind kind;
    struct vault_material   from;      /* the material that opens, or the only one              */
    struct vault_material   to;        /* REENCRYPT: the material that seals                     */
    enum algorithm          algorithm; /* of `from`; checked against its key by the caller       */
    enum algorithm    to_algorithm;    /* REENCRYPT                                              */
    enum message_type message_type;    /* SIGN, VERIFY                                           */
    struct bytes      context;         /* canonical, of `from`; symmetric keys only              */
    struct bytes      to_context;      /* REENCRYPT                                              */
    struct bytes      input;      /* plaintext, ciphertext, message, peer's public key (DER)   */
    struct bytes      proof;      /* VERIFY: signature; VERIFY_MAC: MAC                        */
    size_t            length;     /* DATA_KEY, RANDOM: bytes                                   */
    enum key_spec     pair_spec;  /* DATA_KEY_PAIR                                             */
    bool              want_plain; /* DATA_KEY, DATA_KEY_PAIR: the plaintext too               */
    bool              dry_run;    /* DATA_KEY_PAIR: takes no ready key for it                 */
    /* SubjectPublicKeyInfo (DER) out of an attestation document: what would be `plain` in the result is
     * enveloped for this key instead (result.recipient). No bytes: no recipient. */
    struct bytes recipient;
};

/* Owned buffers, reused between requests; wiped by vault_result_wipe. */
struct vault_result {
    struct buf blob;       /* ciphertext, signature                                            */
    struct buf plain;      /* plaintext, data key, private key (PKCS#8), shared secret, MAC    */
    struct buf public_key; /* SubjectPublicKeyInfo: PUBLIC_KEY, DATA_KEY_PAIR                  */
    struct buf recipient;  /* CMS EnvelopedData, in place of `plain`                           */
};
void vault_result_init(struct vault_result *r);
void vault_result_wipe(struct vault_result *r);
void vault_result_release(struct vault_result *r);

/* Runs the command in the calling thread, which must be inside an epoch section. A material past its
 * ValidTo or without its slot: KMS_E_KEY_STATE "<arn> is pending import."; a generated material without
 * its slot: KMS_E_KEY_UNAVAILABLE. KMS_E_CIPHERTEXT, KMS_E_SIGNATURE, KMS_E_MAC and KMS_E_VALIDATION (peer
 * keys) without message for what does not open, verify or fit. DATA_KEY_PAIR of an RSA spec:
 * KMS_E_THROTTLED when no key of that spec is ready (vault_when_ready). */
KMS_MUST_CHECK enum kms_status vault_run(struct vault *v, const struct vault_command *command,
                                         struct vault_result *ret, struct kms_error *reterr);

/* Does this kind of command take longer with a key of this spec than a loop thread may (design 3: about
 * 0.2 ms of CPU)? The pool runs it then. Read from the rows of the specs. REENCRYPT is asked for as DECRYPT of
 * the one key and ENCRYPT of the other. */
bool vault_command_slow(enum vault_command_kind kind, enum key_spec spec);
