/* vault/vault.h - the only door to key bytes.
 *
 * The interface is message-shaped so that the vault can move into a process of its own without a
 * change above it: plain values in, plain values or wrapped blobs out, no pointers that outlive the
 * call, never raw key bytes. Compound commands (re-encrypt, generate a data key, import) keep
 * plaintext keys from crossing the seam. Today a command runs inline in the calling thread.
 *
 * What the vault checks by itself, whatever the caller says: the material's ValidTo against the
 * clock, the slot generation, the AAD over every field of the sealed form. A material whose slot
 * is gone is gone: VAULT_GONE, never a guess.
 *
 * Threads: everything here is thread-safe. Fast commands (seal, open, data keys, MACs) take no lock
 * that another core holds for long; the cache of opened materials is read inside the caller's
 * epoch section, so the caller must be inside one for commands that use a material.
 */
#pragma once

#include "base/clock.h"
#include "base/epoch.h"
#include "base/file.h"
#include "base/secret.h"
#include "key/grant.h"
#include "key/record.h"

struct vault;

/* --- opening -------------------------------------------------------------------------------------- */

struct vault_config {
    const char *data_dir;      /* instance file and slot files live here                         */
    const char *root_key_file; /* 32 random bytes, mode 0400, regular file, own owner             */
    bool        allow_grade_c; /* start although slots cannot be erased for certain (--dev: true) */
    bool        development; /* a missing root key file is refused all the same; this only silences
                                   main's warning of vault_status.root_on_data_filesystem          */
    unsigned    ready_keys[3]; /* target pool sizes of ready RSA keys: 2048, 3072, 4096           */
    unsigned    ready_per_minute; /* keys made for the pools at most; 0: no limit                 */
    unsigned    cache_idle_s; /* opened material is wiped after this many idle seconds (60)      */
    struct file_alarm alarm;  /* rung when a slot file, once open, cannot be written or synced    */
    struct clock     *clock;
    struct epoch     *epoch;
};

/* Creates root key file (refuses if it exists), instance file (instance key sealed by the root,
 * cluster id, digest key, audit signing key) and the two slot files. Nothing is overwritten. */
KMS_MUST_CHECK enum kms_status vault_create(const struct vault_config *config,
                                            struct kms_error          *reterr);
/* Makes an empty file of erasable slots where there is none, with that file generation: above all that
 * the lost one has had, or a slot generation could be given out twice. What it held is gone for good. */
KMS_MUST_CHECK enum kms_status vault_replace_erasable(const struct vault_config *config,
                                                      uint64_t                   generation,
                                                      struct kms_error          *reterr);
/* Opens them. One clear line per refusal: root key file missing, unreadable by mode or owner, wrong
 * length; instance file missing, foreign or sealed by another root; slot file missing, of another
 * instance, damaged or older than `min_generation` says (one per class: what the database last saw). */
KMS_MUST_CHECK enum kms_status vault_open(const struct vault_config *config,
                                          const uint64_t min_generation[2], struct vault **ret,
                                          struct kms_error *reterr);
/* Starts the generator thread of ready RSA keys. Separate, so that tools do not start it. */
KMS_MUST_CHECK enum kms_status vault_start(struct vault *v, struct kms_error *reterr);
/* Ends that thread: nobody who waits for a key is called any more. Before what they would use is gone;
 * the rest of the vault goes on. NULL is fine. */
void vault_stop(struct vault *v);
void vault_close(struct vault *v); /* wipes everything */

/* 16 bytes that name this instance; in AAD, tokens, slot files and the database. */
const uint8_t *vault_instance_id(const struct vault *v);

enum erase_grade { ERASE_GRADE_A, ERASE_GRADE_B, ERASE_GRADE_C };
struct vault_status {
    enum erase_grade  grade; /* trust-model 2.7.4, probed when opened                   */
    char              grade_reason[160]; /* "ext4, extents unchanged over 50 rewrites", ...       */
    char              filesystem[32];
    enum secret_grade memory;
    uint64_t          generation[2]; /* of the slot files on disk, by enum slot_class            */
    uint32_t          slots_used[2], slots_total[2];
    unsigned          ready_keys[3]; /* in the pools now                                         */
    unsigned          ready_waiting[3]; /* requests that wait for one                            */
    uint64_t          ready_made[3];    /* since the start                                       */
    size_t            cached_materials;
    bool root_on_data_filesystem; /* main warns of it outside development: a thief of the
                                                 disk has both halves                            */
};
void vault_status(struct vault *v, struct vault_status *ret);
const char *erase_grade_name(enum erase_grade grade); /* "A", "B", "C" */

/* --- domain keys ------------------------------------------------------------------------------------- */

/* The account-and-Region domain key, wrapped for the store: the caller commits it together with the
 * first key that uses it, the committer then calls vault_add_domain. Until then every call for the same
 * account, Region and version appends the same wrapped key, and new materials are sealed under it
 * already: of several first keys at once, one commit wins and the others run again, and no material
 * can be sealed under a domain key that was never stored. */
KMS_MUST_CHECK enum kms_status vault_new_domain(struct vault *v, struct bytes account,
                                                struct bytes region, uint32_t version,
                                                struct buf *ret_wrapped, struct kms_error *reterr);
/* Makes a stored domain key known (opened and kept in secret memory). Idempotent. Loading at start
 * and after a commit. */
KMS_MUST_CHECK enum kms_status vault_add_domain(struct vault                   *v,
                                                const struct domain_key_record *domain,
                                                struct kms_error               *reterr);
/* The current version for an account and Region, 0 if none was added yet (vault_new_domain alone does
 * not count). */
uint32_t vault_domain_version(struct vault *v, struct bytes account, struct bytes region);

/* --- what binds a material: the AAD of its sealed form ------------------------------------------------- */

/* Views, borrowed. A record and one of its materials; every field is in the AAD (trust-model 2.4). */
struct vault_material {
    const struct key_record   *key;
    const struct key_material *material;
};

/* --- commands --------------------------------------------------------------------------------------------
 * Statuses beyond KMS_E_INTERNAL: KMS_E_CIPHERTEXT where said; KMS_E_KEY_UNAVAILABLE when a sealed
 * form's tag fails (a security event: the caller audits it) ; KMS_E_KEY_STATE with no message when the
 * material is past its ValidTo or its slot is gone (VAULT_GONE): the caller answers "is pending import". */

enum blob_kind { BLOB_ENCRYPT = 2, BLOB_DATA_KEY = 3 }; /* third byte of the blob, as recorded */

enum { BLOB_OVERHEAD = 152, BLOB_PREFIX = 37 };

/* Encryption context in canonical form: number of pairs (32-bit), then pairs sorted by the bytes of the
 * key, each key and value with a 32-bit length (trust-model 2.5); empty bytes for no context. */

/* Appends plain.len + 152 bytes to `ret_blob`. */
KMS_MUST_CHECK enum kms_status vault_encrypt(struct vault *v, struct vault_material m,
                                             enum blob_kind kind, struct bytes context,
                                             struct bytes plain, struct buf *ret_blob,
                                             struct kms_error *reterr);
/* Appends the plaintext. KMS_E_CIPHERTEXT for anything that is not exactly what vault_encrypt made
 * under this material and context; one error, one path. */
KMS_MUST_CHECK enum kms_status vault_decrypt(struct vault *v, struct vault_material m,
                                             struct bytes context, struct bytes blob,
                                             struct buf *ret_plain, struct kms_error *reterr);
/* A random data key of `len` bytes. `ret_plain` may be NULL (WithoutPlaintext). */
KMS_MUST_CHECK enum kms_status vault_generate_data_key(struct vault *v, struct vault_material m,
                                                       struct bytes context, size_t len,
                                                       struct buf *ret_blob, struct buf *ret_plain,
                                                       struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status vault_random(struct vault *v, size_t len, struct buf *ret,
                                            struct kms_error *reterr);

/* The material id named inside a ciphertext blob, without any key. False if it does not have the form
 * of a blob of ours (then the caller answers InvalidCiphertextException). */
struct blob_header {
    enum blob_kind     kind;
    uint8_t            format; /* our format version                     */
    struct material_id material;
    size_t             plaintext_len;
};
KMS_MUST_CHECK bool vault_blob_inspect(struct bytes blob, struct blob_header *ret);

/* --- making materials: these write a slot, which is on disk after vault_sync; slow lane ----------------- */

/* Generates a material for `key` (AWS_KMS origin) in a durable slot; KMS_E_THROTTLED (no message) for an RSA
 * key when the pool is empty: vault_when_ready. Fills id, check, sealed, present of
 * *ret; strings of `sealed` lie in `arena`. If the caller's commit fails it must vault_release the slot. */
KMS_MUST_CHECK enum kms_status vault_generate_material(struct vault            *v,
                                                       const struct key_record *key,
                                                       struct arena            *arena,
                                                       struct key_material     *ret,
                                                       struct kms_error        *reterr);

/* The next materials of keys that rotate, in all their Regions: generated once for each key, sealed for each
 * of the `n` records (editable; relatives stand next to each other) and appended to its list as
 * MATERIAL_PENDING_ROTATION.
 * ret_spare[i]: what was sealed for keys[i]. KMS_E_LIMIT for a record that has KEY_MATERIALS_MAX. On
 * failure no slot stays in use, and the lists are as they were. */
KMS_MUST_CHECK enum kms_status vault_generate_next(struct vault *v, struct key_record *const *keys,
                                                   size_t n, int64_t now, struct sealed *ret_spare,
                                                   struct kms_error *reterr);
/* Seals a material of `from` anew for `to`, a relative in another Region (same account, key id and spec),
 * under that Region's domain key and a slot of its own: fills sealed and present of *ret, whose other
 * fields are those of the copy already (they are part of the AAD). KMS_E_INTERNAL if the Region has no
 * domain key yet. As for vault_generate_material, who does not commit it gives the slot back. */
KMS_MUST_CHECK enum kms_status vault_copy_material(struct vault *v, struct vault_material from,
                                                   const struct key_record *to, struct arena *arena,
                                                   struct key_material *ret,
                                                   struct kms_error    *reterr);
/* Seals material that was given in clear (a seed, development mode only): as vault_generate_material, and
 * KMS_E_CIPHERTEXT if it is none of key->spec: 32 bytes, a MAC key of the spec's length, or PKCS#8 in DER.
 * Generated (origin AWS_KMS): a durable slot; imported: an erasable one. */
KMS_MUST_CHECK enum kms_status vault_place_material(struct vault *v, const struct key_record *key,
                                                    struct bytes material, struct arena *arena,
                                                    struct key_material *ret,
                                                    struct kms_error    *reterr);

/* What vault_place_material would call it: fills id and check of *ret, writes nothing. */
KMS_MUST_CHECK enum kms_status vault_identify_given(struct vault *v, const struct key_record *key,
                                                    struct bytes material, struct key_material *ret,
                                                    struct kms_error *reterr);

struct vault_import_parameters {
    struct import_key_record
              *record; /* to be committed; owned by the caller                       */
    struct buf token;  /* opaque, sealed; at most 6,144 bytes                        */
    struct buf spki;   /* public key, DER                                            */
};
void vault_import_parameters_release(struct vault_import_parameters *p);
/* Takes a ready RSA key of the spec from the pool. KMS_E_THROTTLED (no message) when the pool is empty:
 * the caller parks the request with vault_when_ready and comes again. */
KMS_MUST_CHECK enum kms_status vault_import_parameters(struct vault            *v,
                                                       const struct key_record *key,
                                                       enum wrapping_algorithm  algorithm,
                                                       enum key_spec wrapping_spec, int64_t now,
                                                       struct vault_import_parameters *ret,
                                                       struct kms_error               *reterr);
/* Calls fn(arg) once: from the generator thread, when a key of the spec has become ready (at once, from
 * the calling thread, if one is there now); or from vault_wake_overdue, when `until_ms` of the monotonic
 * clock has passed before that. One key wakes one waiter. vault_close forgets waiters without calling them. */
void vault_when_ready(struct vault *v, enum key_spec wrapping_spec, int64_t until_ms,
                      void (*fn)(void *arg), void *arg);
/* Calls those who have waited until now in vain, from the calling thread. */
void vault_wake_overdue(struct vault *v);

/* Opens an import token: which import key record it belongs to. KMS_E_IMPORT_TOKEN (no message) for
 * anything that this instance did not seal for this very key; KMS_E_EXPIRED_TOKEN after its 24 h. */
KMS_MUST_CHECK enum kms_status vault_token_open(struct vault *v, const struct key_record *key,
                                                struct bytes token, int64_t now, uint8_t ret_id[16],
                                                struct kms_error *reterr);

/* Unwraps a customer's material: two steps, so that the state machine decides between them.
 * vault_import_open: unwraps and validates; KMS_E_EXPIRED_TOKEN (no message) when the wrapping key is past
 * its time or erased, KMS_E_VALIDATION "Invalid encrypted key size." when the
 * length cannot fit the wrapping key, KMS_E_CIPHERTEXT (no message) for every other fault. On success
 * *ret_handle names the opened material inside the vault and *ret_id is its material id. */
struct vault_import; /* opened material, held in secret memory */
KMS_MUST_CHECK enum kms_status vault_import_open(struct vault *v, const struct key_record *key,
                                                 const struct import_key_record *wrapping,
                                                 struct bytes                    wrapped,
                                                 struct vault_import           **ret_handle,
                                                 struct material_id             *ret_id,
                                                 struct kms_error               *reterr);
/* For a material that is already in the key's list: does the independent check tag match too?
 * KMS_E_INCORRECT_MATERIAL (no message) if not. Constant time. */
KMS_MUST_CHECK enum kms_status vault_import_check(struct vault_import       *handle,
                                                  const struct key_material *known,
                                                  struct kms_error          *reterr);
/* Seals the opened material into a fresh erasable slot: fills id, check and sealed of *m, whose other
 * fields (expiration, valid_to, ...) are final by now since they are part of the AAD. */
KMS_MUST_CHECK enum kms_status vault_import_seal(struct vault *v, struct vault_import *handle,
                                                 const struct key_record *key, struct arena *arena,
                                                 struct key_material *m, struct kms_error *reterr);
void vault_import_close(struct vault_import *handle);   /* wipes; NULL is fine */
void vault_import_closep(struct vault_import **handle); /* for CLEANUP()       */

/* --- erasing ------------------------------------------------------------------------------------------------ */

/* Proof of one erasure, for the receipt (trust-model 2.7.6). */
struct erase_proof {
    bool verified;      /* overwritten and read back past the page cache                       */
    bool already_empty; /* the slot held another generation or nothing: erased before          */
    enum erase_grade grade;
    char             filesystem[32];
    uint8_t          extents_before[32],
        extents_after[32]; /* SHA-256 of the extent map; zero if not supported  */
    uint64_t
        file_generation; /* of the slot file afterwards                                          */
};
/* Unlinks a material from the cache of opened ones. The bytes are wiped by vault_reclaim. Call only
 * after epoch_barrier(), so that no reader can put it back; then barrier again, then vault_reclaim. */
void vault_forget(struct vault *v, const struct material_id *id);
/* Wipes what was unlinked, after a barrier of its own: other threads may have unlinked since the caller's.
 * Not from inside a section. */
void vault_reclaim(struct vault *v);
/* Unlinks materials that have been idle for cache_idle_s. Then barrier, then vault_reclaim. Returns how many. */
size_t vault_forget_idle(struct vault *v);
/* Overwrites n slots with random bytes, syncs, with zeros, syncs, reads back (2.7.2 step 4). Slots whose
 * generation differs are left alone (`already_empty`). A read-back that differs is KMS_E_INTERNAL. So is a
 * failed sync, after which nothing more is written to that file until the process is started again. */
KMS_MUST_CHECK enum kms_status vault_erase(struct vault *v, const struct sealed *slots, size_t n,
                                           struct erase_proof *ret_proofs,
                                           struct kms_error   *reterr);
/* Puts on disk every slot that was written before the call. Nothing that lasts may name one that is not. A
 * failed sync is KMS_E_INTERNAL for good, as in vault_erase. */
KMS_MUST_CHECK enum kms_status vault_sync(struct vault *v, struct kms_error *reterr);
/* Gives back the slot of a material whose change did not commit. */
void vault_release(struct vault *v, const struct sealed *slot);
/* Is the shred key of this sealed form there (slot in use, not damaged, same generation)? Whose it is, is
 * checked when it is opened. */
bool vault_slot_alive(struct vault *v, const struct sealed *slot);
/* Erases every slot in use that `named` does not claim (start-up repair, before other threads use the
 * vault); returns how many, and calls `erased` for each. Damaged slots go as well, but for durable ones
 * that are claimed. */
KMS_MUST_CHECK enum kms_status vault_sweep(struct vault *v, enum slot_class slot_class,
                                           bool (*named)(uint32_t slot, uint64_t generation,
                                                         void *ctx),
                                           void (*erased)(uint32_t slot, uint64_t generation,
                                                          void *ctx),
                                           void *ctx, size_t *ret_count, struct kms_error *reterr);

/* --- other uses of keys --------------------------------------------------------------------------------------- */

/* MAC over a database row's canonical bytes, under the row key. */
void vault_row_mac(void *vault, struct bytes row, uint8_t ret[32]);

/* Makes a secret access key, 40 characters: appended to `ret_secret`, for the one answer that shows it,
 * and wrapped for the store. Nothing is appended on failure. */
enum { SECRET_KEY_LEN = 40 };
KMS_MUST_CHECK enum kms_status vault_new_secret_key(struct vault *v, struct bytes access_key_id,
                                                    struct buf *ret_secret, struct buf *ret_wrapped,
                                                    struct kms_error *reterr);
/* Wraps a principal's secret access key for the store. */
KMS_MUST_CHECK enum kms_status vault_wrap_secret_key(struct vault *v, struct bytes access_key_id,
                                                     struct bytes secret, struct buf *ret_wrapped,
                                                     struct kms_error *reterr);
/* SigV4: HMAC-SHA-256 of `string_to_sign` under the signing key derived for date, Region and service.
 * The derived key is cached in secret memory. An empty id: the same work with a dummy secret, so that an
 * unknown access key takes as long (the result is then meaningless). */
struct sigv4_scope_text {
    struct bytes date, region, service;
};
KMS_MUST_CHECK enum kms_status vault_sigv4_mac(struct vault *v, struct bytes access_key_id,
                                               struct bytes                   wrapped_secret,
                                               const struct sigv4_scope_text *scope,
                                               struct bytes string_to_sign, uint8_t ret[32],
                                               struct kms_error *reterr);
/* Drops cached signing keys of an access key (deleted or deactivated). */
void vault_forget_access_key(struct vault *v, struct bytes access_key_id);

/* Signs an audit checkpoint or receipt (Ed25519). */
KMS_MUST_CHECK enum kms_status vault_audit_sign(void *vault, struct bytes message, uint8_t ret[64],
                                                struct kms_error *reterr);
void vault_audit_public_key(struct vault *v, uint8_t ret[32]);

/* Seals and opens small opaque strings (pagination markers): base64url text, bound to `purpose`, which is
 * the account, Region and operation. Open: KMS_E_MARKER (no message) for anything else. */
KMS_MUST_CHECK enum kms_status vault_marker_seal(struct vault *v, struct bytes purpose,
                                                 struct bytes content, struct buf *ret_text,
                                                 struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status vault_marker_open(struct vault *v, struct bytes purpose,
                                                 struct bytes text, struct buf *ret_content,
                                                 struct kms_error *reterr);

/* Grant tokens: base64url text that says which grant, and that only this instance can have made. Every
 * call seals another text. Open: KMS_E_GRANT_TOKEN (no message) for anything else; whether the grant is
 * still there is not asked. */
enum { GRANT_TOKEN_MAX = 8192 }; /* kms-behaviour 16.1; ours have about 280 characters */
struct grant_token {
    char account[ACCOUNT_LEN + 1]; /* of the key */
    char region[REGION_MAX + 1];
    char key_id[KEY_ID_MAX + 1];
    char grant_id[GRANT_ID_LEN + 1];
};
KMS_MUST_CHECK enum kms_status vault_grant_token_seal(struct vault *v, const struct grant_record *g,
                                                      struct buf       *ret_text,
                                                      struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status vault_grant_token_open(struct vault *v, struct bytes text,
                                                      struct grant_token *ret,
                                                      struct kms_error   *reterr);
