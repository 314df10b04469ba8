/* vault/vault_internal.h - what the files of this folder share.
 *
 *   envelope.c   small secrets and opaque strings, sealed under a purpose key
 *   instance.c   root key file, instance file
 *   slot_file.c  shred keys: file of slots that are overwritten in place (slot_file.h)
 *   slot_erase.c erasing slots, with proof; grade.c: what the filesystem makes of an overwrite
 *   domain.c     domain keys
 *   material.c   materials at rest: id, wrapping, AAD
 *   making.c     new materials: generated, for a rotation, copied to a Region, given in clear
 *   cache.c      opened materials
 *   blob.c       ciphertext blobs
 *   use.c        encrypt, decrypt, data keys
 *   sign.c       signatures, MACs, key agreement, encapsulation, public keys
 *   command.c    all of them as messages
 *   ready.c      RSA wrapping keys made in advance
 *   import.c     tokens and imports
 *   principal.c  secret access keys, SigV4 signing keys
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/index.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "vault/command.h"
#include "vault/slot_file.h"
#include "vault/vault.h"

enum { INSTANCE_ID_LEN = 16, KEY_LEN = 32 };

/* Keys derived from the instance key, one for each thing it protects. Order is not stored. */
enum purpose {
    PURPOSE_DOMAIN,    /* wraps domain keys                      */
    PURPOSE_SLOT,      /* wraps shred keys in the slot files     */
    PURPOSE_SLOT_MAC,  /* authenticates slots and their files    */
    PURPOSE_DIGEST,    /* wraps the digest key                   */
    PURPOSE_TOKEN,     /* seals import tokens and grant tokens   */
    PURPOSE_ROWMAC,    /* MACs database rows                     */
    PURPOSE_PRINCIPAL, /* wraps secret access keys               */
    PURPOSE_AUDIT,     /* wraps the audit signing key            */
    PURPOSE_MARKER,    /* seals pagination markers               */
    PURPOSE_COUNT
};

/* What the instance file holds, opened. */
struct instance {
    uint8_t        id[INSTANCE_ID_LEN];
    struct secret *purpose[PURPOSE_COUNT];
    struct secret *digest;     /* keys material ids and check tags        */
    struct secret *audit_seed; /* Ed25519                                 */
    uint8_t        audit_public[ED25519_PUB_LEN];
    bool           root_on_data_filesystem;
};

enum { READY_KINDS = 3 }; /* RSA 2048, 3072, 4096 */
struct ready_key;
struct ready_waiter;
struct ready_pool {
    struct ready_key    *keys;
    unsigned             count;
    unsigned             target;
    unsigned             waiting; /* length of the list of waiters */
    uint64_t             made;    /* since the start */
    struct ready_waiter *first, *last;
};

struct opened;
enum { CACHE_BUCKETS = 1024 };
struct cache {
    struct index   *index; /* by slot: read without locks, written under `lock` */
    pthread_mutex_t lock;
    struct opened  *bucket[CACHE_BUCKETS]; /* by material id                     */
    size_t          n_parsed;              /* entries that hold a parsed key     */
    struct opened  *retired;               /* unlinked, waiting for vault_reclaim              */
};

struct signing_cache;

struct vault {
    struct instance    in;
    struct crypto_key *audit_key; /* of its seed, ready to sign */
    struct slot_file  *slots[2];  /* by enum slot_class */
    struct grade       grade;
    struct clock      *clock;
    struct epoch      *epoch;
    int64_t            cache_idle_ms;
    struct cache       cache;

    struct index   *domains; /* by account and Region; nothing is ever removed */
    pthread_mutex_t domain_lock;

    pthread_mutex_t   ready_lock;
    pthread_cond_t    ready_wake;
    struct ready_pool ready[READY_KINDS];
    int               ready_last; /* the kind made last */
    unsigned          ready_per_minute;
    pthread_t         ready_thread;
    bool              ready_started;
    _Atomic bool      ready_stop;

    pthread_mutex_t       signing_lock; /* the list of all threads' caches */
    struct signing_cache *signing;
    pthread_key_t         signing_key;
    bool                  signing_key_made;
    uint64_t              signing_seed;
    struct buf            dummy_secret; /* a wrapped secret of nobody: see principal.c */
};

/* --- envelope.c ---------------------------------------------------------------------------------
 * Version byte, 16-byte nonce, ciphertext, 16-byte tag; AES-256-GCM under a key used once, derived
 * from `key`, `label` and the nonce. `aad` says what the content belongs to. */
enum { ENVELOPE_NONCE = 16, ENVELOPE_OVERHEAD = 1 + ENVELOPE_NONCE + GCM_TAG_LEN };
KMS_MUST_CHECK enum kms_status envelope_seal(struct secret *key, const char *label,
                                             struct bytes aad, struct bytes plain, struct buf *out,
                                             struct kms_error *reterr);
/* `ret` gets sealed.len - ENVELOPE_OVERHEAD bytes. KMS_E_CIPHERTEXT for anything else than what was
 * sealed with the same key, label and aad; then `ret` is wiped or untouched. */
KMS_MUST_CHECK enum kms_status envelope_open(struct secret *key, const char *label,
                                             struct bytes aad, struct bytes sealed, uint8_t *ret,
                                             struct kms_error *reterr);

/* --- instance.c --------------------------------------------------------------------------------- */

/* Fresh keys for a new instance, with the root key and the instance key they hang on. */
KMS_MUST_CHECK enum kms_status instance_new(struct instance *ret, struct secret **ret_root,
                                            struct secret **ret_key, struct kms_error *reterr);
/* Writes the root key file and, last, the instance file. Replaces nothing. */
KMS_MUST_CHECK enum kms_status instance_write(const struct vault_config *config,
                                              struct instance *in, struct secret *root,
                                              struct secret *key, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status instance_open(const struct vault_config *config,
                                             struct instance *ret, struct kms_error *reterr);
void instance_close(struct instance *in); /* wipes; for CLEANUP too */
/* Opens the content of an instance file; `path` is for messages. The parser, for its fuzz target. */
KMS_MUST_CHECK enum kms_status instance_parse(struct bytes file, const char *path,
                                              struct secret *root, struct instance *ret,
                                              struct kms_error *reterr);
/* The keys of the slot files; borrows. */
struct slot_keys instance_slot_keys(struct instance *in);

/* --- domain.c ------------------------------------------------------------------------------------- */

/* A known domain key, or NULL; version 0: the current one. Lives until the vault is closed. */
struct secret *domain_key(struct vault *v, struct bytes account, struct bytes region,
                          uint32_t version, uint32_t *ret_version);
void domains_free(struct vault *v);

/* --- material.c ----------------------------------------------------------------------------------- */

/* Material id and the second, secret tag (trust-model 2.6). Of raw bytes, or of the public half of a
 * key pair: it stands for the private one, whatever its encoding (recorded-imports R16). */
KMS_MUST_CHECK enum kms_status material_identify(struct vault *v, const struct key_record *key,
                                                 struct bytes material, struct material_id *ret_id,
                                                 uint8_t ret_check[32], struct kms_error *reterr);
/* Seals secret bytes: fresh shred key in a slot of the class, AES-256-GCM under a key of domain key
 * and shred key. `aad` gets what binds it, appended by `bind` once slot and version are known. */
typedef void (*bind_fn)(const struct vault *v, const void *what, const struct sealed *sealed,
                        struct buf *aad);
struct seal_request {
    const struct key_name *key;
    struct bytes           owner; /* material id or token id */
    enum slot_class        slot_class;
    bind_fn                bind;
    const void            *what;
};
KMS_MUST_CHECK enum kms_status material_seal(struct vault *v, const struct seal_request *r,
                                             struct bytes plain, struct arena *arena,
                                             struct sealed *ret, struct kms_error *reterr);
/* Several at once, all or none, in slots of one class. */
struct seal_order {
    struct seal_request request;
    struct bytes        plain;
    struct arena       *arena;
    struct sealed       sealed; /* out */
};
KMS_MUST_CHECK enum kms_status material_seal_all(struct vault *v, struct seal_order *orders,
                                                 size_t n, struct kms_error *reterr);
/* KMS_E_KEY_STATE (VAULT_GONE) when the slot is gone, KMS_E_KEY_UNAVAILABLE when a tag fails. */
KMS_MUST_CHECK enum kms_status material_open(struct vault *v, const struct seal_request *r,
                                             const struct sealed *sealed, struct secret **ret,
                                             struct kms_error *reterr);
/* The request for a material of a key: borrows both. */
struct seal_request material_request(const struct vault_material *m);
/* Material of a spec out of bytes that somebody gave: its canonical form. KMS_E_CIPHERTEXT if it is none;
 * raw bytes must have a fitting length already. Takes *content or leaves it. */
KMS_MUST_CHECK enum kms_status material_read(enum key_spec spec, struct secret **content,
                                             struct secret **ret, struct kms_error *reterr);
/* New canonical material of a spec; RSA out of the pools: KMS_E_THROTTLED when none is ready. */
KMS_MUST_CHECK enum kms_status fresh_material(struct vault *v, enum key_spec spec,
                                              struct secret **ret, struct kms_error *reterr);

/* --- cache.c -------------------------------------------------------------------------------------- */

/* A material in use: prepared for deriving keys (SYMMETRIC_DEFAULT), raw bytes (HMAC), or the parsed
 * key of asymmetric specs. What could not be cached is `own` and freed by material_done. */
struct material_use {
    struct hmac_key    prepared;
    struct secret     *secret;
    struct crypto_key *key;
    bool               own;
};
/* Checks presence and expiry, finds the opened material or opens it. Inside an epoch section. */
KMS_MUST_CHECK enum kms_status material_use(struct vault *v, const struct vault_material *m,
                                            struct material_use *ret, struct kms_error *reterr);
void material_done(struct material_use *use); /* for CLEANUP */
KMS_MUST_CHECK enum kms_status cache_init(struct cache *c, struct kms_error *reterr);
void cache_free(struct cache *c);

/* --- use.c, sign.c: what command.c puts together --------------------------------------------------- */

/* The plaintext under any encryption algorithm; *ret NULL: it is empty. */
KMS_MUST_CHECK enum kms_status use_decrypt(struct vault *v, const struct vault_material *m,
                                           enum algorithm algorithm, struct bytes context,
                                           struct bytes blob, struct secret **ret,
                                           struct kms_error *reterr);
/* KMS_E_VALIDATION with the recorded text for more bytes than the key can encrypt (recorded-crypto 4.1). */
KMS_MUST_CHECK enum kms_status use_encrypt(struct vault *v, const struct vault_material *m,
                                           enum algorithm algorithm, struct bytes context,
                                           struct bytes plain, struct buf *ret_blob,
                                           struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_generate_pair(struct vault *v, const struct vault_command *c,
                                                 struct vault_result *ret,
                                                 struct kms_error    *reterr);
KMS_MUST_CHECK enum kms_status use_sign(struct vault *v, const struct vault_command *c,
                                        struct vault_result *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_verify(struct vault *v, const struct vault_command *c,
                                          struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_mac(struct vault *v, const struct vault_command *c,
                                       struct vault_result *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_mac_verify(struct vault *v, const struct vault_command *c,
                                              struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_derive(struct vault *v, const struct vault_command *c,
                                          struct vault_result *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_encapsulate(struct vault *v, const struct vault_command *c,
                                               struct vault_result *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_decapsulate(struct vault *v, const struct vault_command *c,
                                               struct vault_result *ret, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status use_public_key(struct vault *v, const struct vault_command *c,
                                              struct vault_result *ret, struct kms_error *reterr);

/* --- ready.c -------------------------------------------------------------------------------------- */

struct ready_key {
    struct ready_key *next;
    struct secret    *pkcs8;
    struct buf        spki;
};
int ready_kind(enum key_spec spec);                      /* index, or -1 */
struct ready_key *ready_take(struct vault *v, int kind); /* NULL: none ready */
void ready_key_freep(struct ready_key **k);
void ready_stop(struct vault *v);

/* --- principal.c ---------------------------------------------------------------------------------- */

KMS_MUST_CHECK enum kms_status signing_init(struct vault *v, struct kms_error *reterr);
void signing_free(struct vault *v);

/* --- small things --------------------------------------------------------------------------------- */

/* A material that is not there any more, or past its time. */
#define VAULT_GONE(reterr, ...) KMS_FAIL((reterr), KMS_E_KEY_STATE, __VA_ARGS__)
