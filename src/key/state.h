/* key/state.h - the life of a key as data: states, material roles, import states and every
 * transition of recorded-imports. Nothing else writes `state`, `role`, `present`, `expiration`,
 * `valid_to`, `rotation_date`, `on_demand_start` of a record, but for key/family.c, which shares
 * them out. Pure: no I/O; the time is handed in.
 */
#pragma once

#include "key/record.h"

/* What the key is now: the stored state, corrected by the clock. A CURRENT or NON_CURRENT material
 * past its ValidTo makes an Enabled or Disabled key PendingImport before any job has run (R33,
 * R37). */
enum key_state key_state_at(const struct key_record *key, int64_t now);
/* Creating and Updating end by themselves (key->settles): what key_state_at says of that becomes the
 * stored state of a record that is about to be edited. */
void key_settle(struct key_record *key, int64_t now);
/* True once the deletion window has ended: the key no longer exists for anybody. */
bool key_gone(const struct key_record *key, int64_t now);
/* A present CURRENT/NON_CURRENT material that is past its ValidTo but not yet erased; NULL if
 * none. */
const struct key_material *key_expired_material(const struct key_record *key, int64_t now);
/* The material that waits to be rotated in, whether or not every Region has it; NULL if there is none. */
struct key_material *key_pending_material(const struct key_record *key);
/* The next moment at which something happens by itself (expiry, end of window, end of a delayed
 * on-demand rotation, automatic rotation); INT64_MAX for never. `rotation_delay` in ms. Once it has
 * been reached, one of key_expired_material, key_gone, key_on_demand_due and key_automatic_due says
 * so, and acting on it moves it on. */
int64_t key_next_event(const struct key_record *key, int64_t rotation_delay);
/* An on-demand rotation was asked for `rotation_delay` ms ago or longer, in whatever state the key
 * is now (R42). Never of a replica: the primary's rotation is that of all. */
bool key_on_demand_due(const struct key_record *key, int64_t now, int64_t rotation_delay);
/* NextRotationDate has been reached and the key is Enabled: in any other state it waits, and rotates
 * when it is Enabled again (kms-behaviour 8). Never of a replica. */
bool key_automatic_due(const struct key_record *key, int64_t now);

/* Earliest ValidTo among CURRENT and NON_CURRENT materials; 0 if none expires (kms-behaviour
 * 7.7). */
int64_t key_valid_to(const struct key_record *key);

/* --- which states let an operation proceed ---------------------------------------------------- */

#define KEY_IN(state) (1u << (state))
enum {
    STATES_ALL = (1u << KEY_STATE_COUNT) - 1,
    STATES_USABLE = 1u << KEY_ENABLED | 1u << KEY_UPDATING, /* cryptography (kms-behaviour 5.1) */
    STATES_PENDING_DELETION = 1u << KEY_PENDING_DELETION | 1u << KEY_PENDING_REPLICA_DELETION,
};
/* KMS_OK if the state is in the mask; else the recorded exception and text for that state:
 * DisabledException "<arn> is disabled.", KMSInvalidStateException "<arn> is pending import.", ...
 * A row whose mask is exactly STATES_PENDING_DELETION (CancelKeyDeletion) refuses every other state
 * with KMSInvalidStateException "<arn> is not pending deletion." */
KMS_MUST_CHECK enum kms_status key_state_check(const struct key_record *key,
                                               enum key_state now_state, uint32_t allowed,
                                               struct kms_error *reterr);

/* --- the table behind it, for docs/key-states.md and its test --------------------------------- */

enum key_event {
    EVENT_CREATED,       /* created with its material */
    EVENT_CREATED_EMPTY, /* created without: origin EXTERNAL */
    EVENT_ENABLE,
    EVENT_DISABLE,
    EVENT_SCHEDULE_DELETION,
    EVENT_CANCEL,         /* deletion cancelled, nothing missing */
    EVENT_CANCEL_MISSING, /* deletion cancelled, a material is missing */
    EVENT_MISSING,        /* a CURRENT or NON_CURRENT material is missing now */
    EVENT_COMPLETE,       /* one was imported, and none is missing now */
    EVENT_ROLE_CHANGES,   /* it becomes the primary, or is one no longer */
    EVENT_AWAIT_REPLICAS, /* as EVENT_SCHEDULE_DELETION, for a primary that has replicas */
    EVENT_REPLICAS_GONE,  /* the last replica has gone, whom its deletion waited for */
    KEY_EVENT_COUNT
};
const char *key_event_name(enum key_event event); /* "schedule deletion", ... */
/* The state that follows; KEY_STATE_COUNT if the event cannot happen in this state. */
enum key_state key_state_after(enum key_state from, enum key_event event);
/* What becomes of a material: the role that follows, MATERIAL_ROLE_COUNT if its entry goes. */
enum material_role material_role_rotated(enum material_role role);
enum material_role material_role_deleted(enum material_role role);

/* --- transitions: each edits a clone ------------------------------------------------------------
 * Each assumes that the state check of the operation's row has passed; what the recorded rules
 * refuse beyond that is refused here with the recorded text. They return KMS_OK and the record is
 * changed, or a refusal and the record is unchanged. */

void key_created(struct key_record *key); /* Enabled or PendingImport (R1) */
void key_enable(struct key_record *key);
void key_disable(struct key_record *key);
/* A primary with replicas waits for them (kms-behaviour 9.2): PendingReplicaDeletion without a date. */
void key_schedule_deletion(struct key_record *key, int64_t now, uint32_t days);
/* The last of them has gone: its own window begins (recorded-authz-multiregion 6.8, rule 13). */
void key_replicas_gone(struct key_record *key, int64_t now);
/* It becomes the primary or a replica, Updating until `settles` (family_promote). */
void key_role_changes(struct key_record *key, enum multi_region role, int64_t settles);
/* R36: PendingImport if a material is missing, else Disabled. */
void key_cancel_deletion(struct key_record *key, int64_t now);

struct import_request {
    struct material_id    id;            /* made from the material by the vault */
    bool                  new_type;      /* NEW_KEY_MATERIAL */
    bool                  existing_type; /* EXISTING_KEY_MATERIAL, sent explicitly */
    bool                  has_expected_id;
    struct material_id    expected_id; /* KeyMaterialId of the request */
    enum expiration_model expiration;  /* EXPIRES or DOES_NOT_EXPIRE */
    int64_t               valid_to;    /* ms, with EXPIRES; cut to whole seconds here (R13) */
    bool                  has_description;
    struct bytes          description;
};
/* R18..R25; the parameter checks before them (R7..R12) are the operation's. On success
 * *ret_material is the entry that the material went to (new, or existing and now present), its
 * `sealed` still to be filled by the caller. A re-import leaves the old sealed form in it until
 * then (wrapped.len 0 if there was none): the caller has it erased (ERASE_REPLACED) once the new
 * one is committed. A new material of a primary becomes PENDING_ROTATION: who knows the replicas
 * corrects that (R43). */
KMS_MUST_CHECK enum kms_status key_import(struct key_record *key, const struct import_request *rq,
                                          int64_t now, struct key_material **ret_material,
                                          struct kms_error *reterr);

/* R27..R31, R47. `id` NULL means the current one. *ret_erased: a copy of the sealed form to erase
 * (wrapped.len 0 if there was none; the view is good as long as `key`), *ret_id: the material's
 * id if there ever was one (*ret_had), whether or not the answer names it (R29). */
KMS_MUST_CHECK enum kms_status key_delete_material(struct key_record        *key,
                                                   const struct material_id *id, int64_t now,
                                                   struct sealed      *ret_erased,
                                                   struct material_id *ret_id, bool *ret_had,
                                                   struct kms_error *reterr);
/* The expiry of one CURRENT/NON_CURRENT material has been carried out: bytes gone, key
 * PendingImport (unless pending deletion); the listing keeps IMPORTED, EXPIRES and ValidTo
 * (R37). */
void key_material_expired(struct key_record *key, const struct material_id *id);
/* The slot of this material is gone although nobody deleted it (found at start, after a restore).
 * Past its ValidTo it has expired, otherwise it counts as deleted; the entry of a pending one stays, as
 * missing, if there are relatives in other Regions (family_material_lost). An AWS_KMS key keeps its state:
 * nothing that its owner could do would bring the material back. */
void key_material_lost(struct key_record *key, const struct material_id *id, int64_t now);

/* R40..R42, R44: the request; KMS_E_CONFLICT when an automatic rotation is due within 20 minutes
 * (kms-behaviour 8). An AWS_KMS key has nothing pending then; at completion the caller
 * appends the generated material as MATERIAL_PENDING_ROTATION, then calls key_rotation_complete. A
 * second request while one is in progress is KMS_OK and keeps the first one's date. */
KMS_MUST_CHECK enum kms_status key_rotation_request(struct key_record *key, int64_t now,
                                                    struct kms_error *reterr);
/* R40, R41: promotes whatever is pending; if nothing is, the request ends silently (false).
 * ROTATION_ON_DEMAND ends the request and counts it if it promoted something; ROTATION_AUTOMATIC
 * moves NextRotationDate on by one period. */
bool key_rotation_complete(struct key_record *key, int64_t now, enum rotation_type type);

/* R50..R52 */
void key_rotation_enable(struct key_record *key, int64_t now, bool has_period, uint32_t days);
void key_rotation_disable(struct key_record *key);
