/* operation/operation.h - the operations of the API: one row of the registry and one file each.
 *
 * A row says everything that request.c needs to know before the handler runs, so a handler cannot
 * forget authorization, state or audit. A handler is up to three short functions:
 *
 *   prepare   checks that come before any lookup (kms-behaviour 1.5 step 5: parameters against each
 *             other; Decrypt: the form of the blob), and where the key is named if not in KeyId
 *   begin     after authorization and state: algorithm and data checks; says which vault command
 *             to run
 *   finish    result of the command -> the answer, and the change to commit
 *
 * request.c runs them in this order: shape, prepare, key, resolve, authz, usage, origin, state,
 * begin, vault, finish, commit. DryRun stops after the vault command, before finish (recorded-crypto 11
 * step 7). Handlers never check permission, key state, usage or origin themselves.
 *
 * Slow-lane handlers run on a pool thread inside an epoch section and may call the vault directly
 * (imports, new materials). If finish, or the store of their change, says KMS_E_CHANGED, the request runs
 * again from `key`, so begin and finish must not depend on having run before.
 */
#pragma once

#include "attestation/attestation.h"
#include "authz/authz.h"
#include "base/clock.h"
#include "json/read.h"
#include "json/write.h"
#include "key/directory.h"
#include "key/family.h"
#include "store/store.h"
#include "vault/command.h"
#include "vault/vault.h"

/* --- input ------------------------------------------------------------------------------------ */

struct op_int {
    bool    set;
    int64_t v;
};

/* Every member that any operation takes. A member that was not sent: ptr NULL, `set` false, node
 * NULL. Enum members hold the index into their list of names (shape.h). Blobs are decoded. Views
 * into the request's body. */
struct op_input {
    struct bytes  key_id;             /* KeyId */
    struct bytes  target_key_id;      /* TargetKeyId */
    struct bytes  source_key_id;      /* ReEncrypt */
    struct bytes  destination_key_id; /* ReEncrypt */
    struct bytes  alias_name;
    struct bytes  description;
    struct bytes  policy, policy_name;
    struct bytes  custom_key_store_id, xks_key_id;
    struct op_int key_usage; /* enum key_usage */
    struct op_int key_spec;  /* enum key_spec */
    struct op_int customer_master_key_spec;
    struct op_int origin;                                                     /* enum key_origin */
    struct op_int multi_region, bypass_lockout, dry_run;                      /* booleans */
    struct json   tags, tag_keys, grant_tokens, dry_run_modifiers, recipient; /* checked lists */
    struct bytes  replica_region, primary_region; /* ReplicateKey; UpdatePrimaryRegion */
    struct op_int limit;
    struct bytes  marker;
    struct op_int pending_window_days;
    struct op_int rotation_period_days;
    struct op_int include_key_material; /* 1: ALL_KEY_MATERIAL */
    struct op_int wrapping_algorithm;   /* index into wrapping_algorithm_names */
    struct op_int wrapping_key_spec;    /* index into wrapping_spec_names */
    struct bytes  import_token, encrypted_key_material;
    struct op_int valid_to;         /* ms; from integer or fraction */
    struct op_int expiration_model; /* index: 0 EXPIRES, 1 DOES_NOT_EXPIRE */
    struct op_int import_type;      /* index: 0 NEW, 1 EXISTING */
    struct bytes  key_material_description;
    bool          has_key_material_id;
    struct bytes  key_material_id; /* 64 hex digits */
    struct bytes  plaintext, ciphertext_blob;
    struct json   encryption_context, source_context, destination_context; /* checked maps */
    /* enum algorithm; `algorithm` is that of signing, MACs, key agreement or encapsulation */
    struct op_int encryption_algorithm, source_algorithm, destination_algorithm, algorithm;
    struct bytes  attestation_document;     /* of Recipient */
    struct op_int key_encryption_algorithm; /* of Recipient: it has one value */
    struct op_int key_pair_spec;            /* enum key_spec */
    struct op_int message_type;             /* enum message_type */
    struct bytes  message, signature, mac, public_key;
    struct bytes  shared_secret_ciphertext; /* Decapsulate */
    struct op_int number_of_bytes;
    struct op_int data_key_spec; /* 0 AES_256, 1 AES_128 */
    struct bytes  grantee_principal, grantee_service;
    struct bytes  retiring_principal, retiring_service;
    struct bytes  grant_name, grant_id, grant_token;
    struct json   grant_operations;           /* checked list of grant_operation_names */
    struct json   constraints;                /* the structure that the next three are in */
    struct json   grant_equals, grant_subset; /* maps */
    struct bytes  grant_source_arn;
};
/* --- the call --------------------------------------------------------------------------------- */

struct caller;
struct form;
struct grant_record;
struct identity_book;
struct identity_record;
struct oidc_providers;
struct xml;

/* What operations may use; the same for all calls. */
struct op_env {
    struct vault     *vault;
    struct directory *directory;
    struct clock     *clock;
    int64_t           rotation_delay; /* ms; 0: on-demand rotations complete at once */
    int64_t           region_delay;   /* ms that Creating and Updating last */
    /* does this server answer for the Region, and is there one of this name? */
    bool (*serves)(const void *ctx, struct bytes region);
    const void                     *serves_ctx;
    const struct attestation_roots *attestation_roots; /* NULL: none configured */
    struct identity_book           *identities;
    struct oidc_providers          *oidc; /* NULL: none configured */
};

struct op_call {
    const struct op_env    *env;
    const struct operation *op;
    struct op_input         in;
    int64_t                 now;     /* life-cycle clock, read once per run */
    struct bytes            account; /* of the caller */
    struct bytes            caller_arn;
    struct bytes            region; /* of the credential scope */
    const char             *request_id;
    const struct caller    *caller; /* identity/caller.h; NULL: the request is not signed */

    /* of rows with OP_NO_AUTHZ, during begin: the caller with what its own side says (NULL: not
     * signed), and what conditions may ask about the request */
    const struct authz_caller *rights;
    condition_source          *values;
    void                      *values_ctx;

    /* Query protocol: the parameters, and what `resolve` makes of them */
    const struct form            *form;     /* query/form.h */
    struct xml                   *xml;      /* finish writes the members of the result */
    struct bytes                  resource; /* ARN that policies are asked about, in scratch; empty:
                                               "*" */
    const struct identity_record *identity; /* that the request names; NULL: there is none */

    /* grants, named by `resolve` */
    const struct grant_record *child;    /* CreateGrant: the one to be made */
    const struct grant_record *retiring; /* RetireGrant: the one to go */

    /* the keys, resolved by request.c; NULL where the row has none */
    const struct key_record   *key;   /* KeyId, TargetKeyId or SourceKeyId / the blob's key */
    const struct key_record   *key2;  /* ReEncrypt: destination */
    const struct alias_record *alias; /* operations on AliasName: the alias, NULL if absent */

    /* keys that are looked for and may be cold (op_key): then what the step says does not count, and the
     * request runs again from `key` when they are loaded. NULL: there are none */
    struct key_wants      *wants;
    const struct key_page *page; /* of WANT_PAGE; NULL: none was wanted yet */

    struct blob_header blob;           /* OP_KEY_BLOB...: read by prepare; names the key */
    bool               has_blob;       /* false: the key is named by KeyId / SourceKeyId alone */
    bool               has_ciphertext; /* false: DryRun with IGNORE_CIPHERTEXT */

    struct vault_command command; /* filled by begin; kind VAULT_NOTHING: no command */
    struct buf          *scratch; /* temporaries of this call, wiped afterwards; views into it
                                            stay good: see OP_SCRATCH_BYTES */
    struct json_writer  *answer;  /* finish writes the members; the outer object is open */
    struct change       *change;  /* finish fills it (OP_CHANGES); its event by request.c */
    struct sealed       *spare;   /* slots made by begin/finish: released when the change fails */
    size_t               n_spare; /* op_spare and its like write these two */
    bool                 retry_when_ready; /* no RSA key ready: park the request */
    enum key_spec        ready_spec;
    struct bytes         audit_extra; /* JSON for additionalEventData; in scratch */

    /* What is above is zero when a request begins, and so is this if no other had a Recipient here before */
    struct attestation  attestation; /* requests with a Recipient: whom to answer to */
    struct vault_result result;      /* its buffers are kept from one request to the next */
};
/* After a request, before the next one: forgets all of it but `result`, which is wiped. */
void op_call_clear(struct op_call *call);

/* --- the registry ----------------------------------------------------------------------------- */

enum op_key {
    OP_KEY_NONE,
    OP_KEY_ID,   /* key id or key ARN; aliases refused on their text (kms-behaviour 4.2) */
    OP_KEY_ANY,  /* also alias name and alias ARN */
    OP_KEY_BLOB, /* Decrypt: named by the blob, KeyId optional (any form) */
    OP_KEY_BLOB_AND_DESTINATION, /* ReEncrypt */
    OP_KEY_TARGET,               /* TargetKeyId, id or ARN */
    OP_KEY_OPTIONAL,             /* ListAliases: KeyId may be absent */
};
enum op_lane { LANE_FAST, LANE_SLOW };
enum op_origin { OP_ANY_ORIGIN, OP_ONLY_EXTERNAL, OP_ONLY_AWS_KMS };

// clang-format off
enum op_flags {
    OP_CHANGES       = 1 << 0, /* finish makes a change                                           */
    OP_SECRET_REPLY  = 1 << 1, /* the answer holds a plaintext: wiped after it was sent            */
    OP_EMPTY_ANSWER  = 1 << 2, /* no output shape: 200 with an empty body                          */
    OP_READ_ONLY     = 1 << 3, /* readOnly in the audit record                                     */
    OP_TAKES_AWAY    = 1 << 4, /* may use the audit's emergency space                              */
    OP_CROSS_ACCOUNT = 1 << 5, /* allowed for keys of other accounts, by ARN (kms-behaviour 4.3)    */
    OP_CRYPTO        = 1 << 6, /* cryptographic: usage is checked, DryRun exists, counts as use     */
    OP_AUDIT_ANSWER  = 1 << 7, /* responseElements: the answer goes into the audit record           */
    OP_ALIAS_NAME    = 1 << 8, /* request.c resolves AliasName into call->alias                     */
    OP_STATE_FIRST   = 1 << 9, /* state before origin (not used by import and rotation calls)       */
    OP_SAYS_ERASED   = 1 << 10, /* the answer says that bytes are erased: says_erased of commit.h   */
    OP_UNSIGNED      = 1 << 11, /* may come without a signature: it brings its own proof            */
    OP_NO_AUTHZ      = 1 << 12, /* decides about rights itself, or needs none                       */
};
// clang-format on

/* Limit of call->scratch. The helpers of common.c reserve all of it when they first use it, so that
 * it never moves: two canonical contexts and some names fit. */
enum { OP_SCRATCH_BYTES = 32 * 1024 };

struct shape_member;

struct operation {
    const char    *name; /* "Encrypt": X-Amz-Target is "TrentService.Encrypt" */
    enum op_key    key;
    enum op_lane   lane;
    uint32_t       flags;
    uint32_t       states; /* KEY_IN masks that may proceed; STATES_ALL where it does not matter */
    uint32_t       usages; /* 1u << enum key_usage; 0: any */
    enum op_origin origin;
    /* members of the input, ending with name NULL; NULL: not built yet */
    const struct shape_member *shape;
    enum kms_status (*prepare)(struct op_call *call, struct kms_error *reterr);
    /* instead of the usage mask and text: for operations with their own (may be NULL) */
    enum kms_status (*usage)(const struct op_call *call, const struct key_record *key,
                             struct kms_error *reterr);
    /* in step `key`, at every try, after the key was found: what else the request names (a grant,
     * an identity); it may fill call->key. Nothing may be said of what is not there before authorization: a name that leads
     * nowhere is refused by `begin`. */
    enum kms_status (*resolve)(struct op_call *call, struct kms_error *reterr);
    /* instead of authorization by the path (NULL): rows that decide about rights themselves. `values`
     * answers the condition keys of the request, with `ctx`; the caller's rights are filled in. */
    enum kms_status (*authorize)(struct op_call *call, condition_source *values, void *ctx,
                                 struct kms_error *reterr);
    enum kms_status (*begin)(struct op_call *call, struct kms_error *reterr);
    enum kms_status (*finish)(struct op_call *call, struct kms_error *reterr);
    const char *service; /* NULL: "kms". "iam", "sts": the Query protocol */
};

/* The row for "TrentService.<name>" (the whole header value); NULL if there is none. */
const struct operation *operation_find(struct bytes target);
/* All rows, sorted by name. */
const struct operation *operation_rows(size_t *ret_n);
/* Parses and checks the body against the row's shape: KMS_E_SERIALIZATION for wrong JSON types,
 * then the recorded validation texts. */
KMS_MUST_CHECK enum kms_status operation_read(const struct operation *op, struct json root,
                                              struct op_input *ret, struct kms_error *reterr);
/* One member of it: `value`, as the row's member `name` (which it has), into *in. */
KMS_MUST_CHECK enum kms_status operation_read_member(const struct operation *op, const char *name,
                                                     struct json value, struct op_input *in,
                                                     struct kms_error *reterr);
/* Verifies the attestation document of a request that has a Recipient: fills call->attestation. Some
 * milliseconds: slow lane. KMS_E_VALIDATION with attestation_verify's texts. */
KMS_MUST_CHECK enum kms_status operation_read_recipient(struct op_call   *call,
                                                        struct kms_error *reterr);
/* Writes the members that may be audited as a JSON object (lower-case first letters). */
void operation_audit_parameters(const struct operation *op, struct json root, struct buf *out);

/* --- what a request asks for, for the conditions of policies (operation/asked.c) --------------- */

enum op_asked {
    ASKED_KEY_SPEC, /* the first three of CreateKey and of ReplicateKey's replica */
    ASKED_KEY_USAGE,
    ASKED_KEY_ORIGIN,
    ASKED_KEY_PAIR_SPEC,
    ASKED_ENCRYPTION_ALGORITHM,
    ASKED_SIGNING_ALGORITHM,
    ASKED_MAC_ALGORITHM,
    ASKED_KEY_AGREEMENT_ALGORITHM,
    ASKED_MESSAGE_TYPE,
    ASKED_WRAPPING_ALGORITHM,
    ASKED_WRAPPING_KEY_SPEC,
    ASKED_EXPIRATION_MODEL,
};
enum op_asked_number {
    ASKED_PENDING_WINDOW,  /* days */
    ASKED_ROTATION_PERIOD, /* days */
    ASKED_BYPASS_LOCKOUT,  /* 0 or 1, as the next */
    ASKED_MULTI_REGION,
    ASKED_VALID_TO, /* ms since the epoch */
};
/* Days that hold when a request names none (kms-behaviour 9.2, recorded-authz-multiregion 5.1). */
enum { OP_WINDOW_DEFAULT = 30, OP_PERIOD_DEFAULT = 365 };

/* As the API spells it; a member that may be left out counts with what then holds. {NULL, 0} where
 * the operation has no such member. `destination`: of ReEncrypt's second half. */
struct bytes op_asked_word(const struct op_call *call, enum op_asked what, bool destination);
/* Likewise a number; false where the operation has none. */
bool op_asked_number(const struct op_call *call, enum op_asked_number what, int64_t *ret);
/* The encryption context that was sent; node NULL without one. */
struct json op_asked_context(const struct op_call *call, bool destination);
/* What the key was named by: key id, ARN or alias; empty where the blob or nothing named it. */
struct bytes op_asked_key(const struct op_call *call, bool destination);

/* --- helpers for handlers (operation/common.c) ------------------------------------------------ */

/* Canonical form of an encryption context appended to call->scratch (trust-model 2.5); no bytes for
 * an empty or absent one. KMS_E_VALIDATION for a null value or one over LIMIT_CONTEXT_BYTES. */
KMS_MUST_CHECK enum kms_status op_context(struct op_call *call, struct json context,
                                          struct bytes *ret, struct kms_error *reterr);
/* KeyMetadata (kms-behaviour 15.7) as the member `name`. */
void op_write_metadata(struct json_writer *w, const char *name, const struct key_record *key,
                       int64_t now);
/* The same of a replica as ReplicateKey answers it: with the ExpirationModel of its primary (R45). */
void op_write_replica_metadata(struct json_writer *w, const char *name,
                               const struct key_record *replica, const struct key_record *primary,
                               int64_t now);
/* The record that CreateKey makes of call->in, as key `id`: policy and tags set, no material, state
 * Creating. The caller's. KMS_E_POLICY and KMS_E_TAG as PutKeyPolicy and TagResource. */
KMS_MUST_CHECK enum kms_status op_new_key(struct op_call *call, struct bytes id,
                                          struct key_record **ret, struct kms_error *reterr);
/* A clone of call->key with version + 1, added to the change as ROW_KEY_UPDATE; owned by the
 * change. */
struct key_record *op_edit_key(struct op_call *call);
/* The same for the key and all its relatives (key/family.h): views of clones that are in the change
 * already, so neither family_release nor a further row. A replica that family_replicated adds needs a row
 * of its own. KMS_E_CHANGED if a relative is not as it was when rights and states were judged. */
KMS_MUST_CHECK enum kms_status op_edit_family(struct op_call *call, struct key_family *ret,
                                              struct kms_error *reterr);
/* When Creating and Updating that begin now end. 0 without a region-delay: then nobody sees them, not
 * even a request that is judged by an earlier time than this one and finds what this one wrote. */
int64_t op_settles(const struct op_call *call);
/* What only the primary of a family takes: KMS_E_UNSUPPORTED with the recorded text, which names the
 * operation, for a replica (recorded-authz-multiregion 6.3, 6.8 rule 9). */
KMS_MUST_CHECK enum kms_status op_refuse_replica(const struct op_call *call,
                                                 struct kms_error     *reterr);
/* directory_key, for a key that may be cold: NULL if there is none, or it has to be loaded first. */
const struct key_record *op_key(const struct op_call *call, struct bytes account,
                                struct bytes region, struct bytes key_id);
/* Notes a slot that was made for the change. */
void op_spare(struct op_call *call, const struct sealed *sealed);
/* The change has failed: gives back the slots that were noted. */
void op_spares_give_back(struct op_call *call);
/* The slots are used now, or might be: forgets them. */
void op_spares_forget(struct op_call *call);
/* Tombstone row for a sealed form that the change gives up. */
void op_bury(struct op_call *call, const struct key_record *key, const struct material_id *id,
             const struct sealed *sealed, enum erase_reason reason);
/* The CURRENT material as a vault argument. */
struct vault_material op_current(const struct key_record *key);
/* call->scratch, all of whose room is taken at the first use: views into it stay good while more is
 * appended. */
struct buf *op_scratch(struct op_call *call);
/* What was appended since `start`; KMS_E_INTERNAL if it did not fit. */
KMS_MUST_CHECK enum kms_status op_scratch_since(const struct op_call *call, size_t start,
                                                struct bytes *ret, struct kms_error *reterr);
/* A 64-bit position as sealed text, in call->scratch, and back; good for this purpose only.
 * KMS_E_MARKER without message for what is none. */
KMS_MUST_CHECK enum kms_status op_position_seal(struct op_call *call, struct bytes purpose,
                                                uint64_t position, struct bytes *ret,
                                                struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status op_position_open(struct op_call *call, struct bytes purpose,
                                                struct bytes marker, uint64_t *ret,
                                                struct kms_error *reterr);
/* Marker of a listing: a sealed 64-bit position, bound to account, Region, operation and key. 0 if
 * none was sent; KMS_E_MARKER without message if it is not one of ours for this listing. */
KMS_MUST_CHECK enum kms_status op_marker_read(struct op_call *call, uint64_t *ret,
                                              struct kms_error *reterr);
/* The end of a listing's answer: Truncated, and NextMarker when there is `more` after
 * `position`. */
KMS_MUST_CHECK enum kms_status op_marker_write(struct op_call *call, bool more, uint64_t position,
                                               struct kms_error *reterr);
/* A name for a new object in an answer or error, in call->scratch. */
struct bytes op_alias_arn(struct op_call *call, struct bytes alias);
