/* key/state.c - decides what a key's life looks like: which state follows which event, what becomes
 * of each material, and what is refused in between. Called by operations and jobs with a clone of
 * the record; the rules R1..R56 are those of the recorded behaviour (docs/key-states.md).
 *
 *                    created                  created without material (EXTERNAL)
 *                       |                                  |
 *                       v          missing                 v
 *                 +- Enabled ------------------------> PendingImport -+
 *                 |   ^   |  <------------------------    ^           |
 *                 |   |   |        complete               |           |
 *          enable |   |   | disable                       | missing   |
 *        complete |   |   v                               |           |
 *                 |   Disabled ---------------------------+           |
 *                 |      |                                            |
 *                 +------+--- schedule deletion ----------------------+
 *                             v
 *     PendingReplicaDeletion ---> PendingDeletion ---- end of the window ----> gone
 *                 |     last replica    |
 *                 +---------------------+
 *                             |
 *                             +-- cancel: Disabled, or PendingImport if a material is missing;
 *                                 never straight to Enabled: someone must decide to use it again
 *
 * Invariants:
 *   I1  `state` is written by move() and nowhere else.
 *   I2  Once there is any material, exactly one is CURRENT, and at most one is pending.
 *   I3  An EXTERNAL key that is Enabled or Disabled has no missing CURRENT or NON_CURRENT material
 *       (R33), or it has expired since and key_state_at says PendingImport.
 *   I4  A material that is not present has no expiration, no ValidTo and no bytes (R30).
 *   I5  A refusal leaves the record as it was (R6).
 */
#include "key/state.h"

#include <assert.h>

#include "base/encode.h"
#include "base/limits.h"
#include "key/warning.h"

enum { ROTATION_DAYS_DEFAULT = 365, ID_TEXT = 65 };

static const int64_t DAY_MS = 24 * 60 * 60 * 1000;
static const int64_t ROTATION_CONFLICT_MS = 20 * 60 * 1000; /* kms-behaviour 8 */

/* --- the tables ------------------------------------------------------------------------------- */

/* clang-format off */
enum { /* short names, for the table's sake */
    CRE = KEY_CREATING,    ENA = KEY_ENABLED,        DIS = KEY_DISABLED,
    IMP = KEY_PENDING_IMPORT, DEL = KEY_PENDING_DELETION, REP = KEY_PENDING_REPLICA_DELETION,
    UNA = KEY_UNAVAILABLE, UPD = KEY_UPDATING,
    NO  = KEY_STATE_COUNT, /* the event cannot happen in this state */
};

static const uint8_t next_state[KEY_STATE_COUNT][KEY_EVENT_COUNT] = {
    /*         created  empty  enable  disable  schedule  cancel  cancel-m  missing  complete  role   wait  last */
    [CRE] = {  ENA,     IMP,   NO,     NO,      DEL,      NO,     NO,       CRE,     CRE,      NO,    NO,   NO   },
    [ENA] = {  NO,      NO,    ENA,    DIS,     DEL,      NO,     NO,       IMP,     ENA,      UPD,   REP,  NO   },
    [DIS] = {  NO,      NO,    ENA,    DIS,     DEL,      NO,     NO,       IMP,     ENA,      NO,    REP,  NO   },
    [DEL] = {  NO,      NO,    NO,     NO,      NO,       DIS,    IMP,      DEL,     DEL,      NO,    NO,   NO   },
    [IMP] = {  NO,      NO,    NO,     NO,      DEL,      NO,     NO,       IMP,     ENA,      NO,    REP,  NO   },
    [REP] = {  NO,      NO,    NO,     NO,      NO,       DIS,    IMP,      REP,     REP,      NO,    NO,   DEL  },
    [UNA] = {  NO,      NO,    UNA,    UNA,     DEL,      NO,     NO,       UNA,     UNA,      NO,    REP,  NO   },
    [UPD] = {  ENA,     IMP,   NO,     NO,      NO,       NO,     NO,       IMP,     UPD,      UPD,   NO,   NO   },
};

/* What becomes of a material of each role; MATERIAL_ROLE_COUNT: its entry goes. */
static const struct role_row {
    bool    lasting; /* the key needs it: missing or expired makes it PendingImport (R33, R38) */
    uint8_t rotated; /* by a completed rotation (R41)                                         */
    uint8_t deleted; /* by DeleteImportedKeyMaterial (R30, R31); a replica keeps it (R47)      */
} roles[MATERIAL_ROLE_COUNT] = {
    [MATERIAL_CURRENT]              = { true,  MATERIAL_NON_CURRENT, MATERIAL_CURRENT     },
    [MATERIAL_NON_CURRENT]          = { true,  MATERIAL_NON_CURRENT, MATERIAL_NON_CURRENT },
    [MATERIAL_PENDING_ROTATION]     = { false, MATERIAL_CURRENT,     MATERIAL_ROLE_COUNT  },
    [MATERIAL_PENDING_MULTI_REGION] = { false, MATERIAL_CURRENT,     MATERIAL_ROLE_COUNT  },
};

/* What an operation answers whose row does not name the state (kms-behaviour 3.2, R35). */
static const struct refusal {
    enum kms_status status;
    const char     *text;
} refusals[KEY_STATE_COUNT] = {
    [KEY_CREATING]                 = { KMS_E_KEY_STATE, "is creating." },
    [KEY_ENABLED]                  = { KMS_OK,          NULL },  /* every row names it but one  */
    [KEY_DISABLED]                 = { KMS_E_DISABLED,  "is disabled." },
    [KEY_PENDING_DELETION]         = { KMS_E_KEY_STATE, "is pending deletion." },
    [KEY_PENDING_IMPORT]           = { KMS_E_KEY_STATE, "is pending import." },
    [KEY_PENDING_REPLICA_DELETION] = { KMS_E_KEY_STATE, "is pending replica deletion." },
    [KEY_UNAVAILABLE]              = { KMS_E_KEY_STATE, "is unavailable." },
    [KEY_UPDATING]                 = { KMS_E_KEY_STATE, "is updating." },
};
/* clang-format on */

static const char *const event_names[KEY_EVENT_COUNT] = {
    [EVENT_CREATED] = "created",
    [EVENT_CREATED_EMPTY] = "created without material",
    [EVENT_ENABLE] = "enable",
    [EVENT_DISABLE] = "disable",
    [EVENT_SCHEDULE_DELETION] = "schedule deletion",
    [EVENT_CANCEL] = "cancel, complete",
    [EVENT_CANCEL_MISSING] = "cancel, missing",
    [EVENT_MISSING] = "material missing",
    [EVENT_COMPLETE] = "material complete",
    [EVENT_ROLE_CHANGES] = "role changes",
    [EVENT_AWAIT_REPLICAS] = "schedule deletion, with replicas",
    [EVENT_REPLICAS_GONE] = "last replica gone",
};

const char *key_event_name(enum key_event event)
{
    assert(event < KEY_EVENT_COUNT);
    return event_names[event];
}

enum key_state key_state_after(enum key_state from, enum key_event event)
{
    assert(from < KEY_STATE_COUNT && event < KEY_EVENT_COUNT);
    return (enum key_state)next_state[from][event];
}

enum material_role material_role_rotated(enum material_role role)
{
    assert(role < MATERIAL_ROLE_COUNT);
    return (enum material_role)roles[role].rotated;
}

enum material_role material_role_deleted(enum material_role role)
{
    assert(role < MATERIAL_ROLE_COUNT);
    return (enum material_role)roles[role].deleted;
}

/* I1. An event that the table refuses here is our own mistake: the operation's row has let a state
 * through that it should not have. */
static void move(struct key_record *key, enum key_event event)
{
    enum key_state to = key_state_after(key->state, event);

    assert(to != KEY_STATE_COUNT);
    key->state = to;
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool expired(const struct key_material *m, int64_t now)
{
    return m->expiration == EXPIRES && now >= m->valid_to;
}

static bool gone(const struct key_material *m)
{
    return !m->present || m->sealed.wrapped.len == 0;
}

/* Is a material missing that the key needs? `imported`, if not NULL, counts as present: its sealed
 * form is about to be made. Only imported material can be missing. */
static bool missing(const struct key_record *key, int64_t now, const struct key_material *imported)
{
    if (key->origin != ORIGIN_EXTERNAL)
        return false;
    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        if (roles[m->role].lasting && ((m != imported && gone(m)) || expired(m, now)))
            return true;
    }
    return key->n_materials == 0;
}

struct key_material *key_pending_material(const struct key_record *key)
{
    for (size_t i = 0; i < key->n_materials; i++) {
        if (!roles[key->materials[i].role].lasting)
            return &key->materials[i];
    }
    return NULL;
}

static bool transient(const struct key_record *key)
{
    return key->state == KEY_CREATING || key->state == KEY_UPDATING;
}

static bool has_relatives(const struct key_record *key)
{
    struct bytes rest = key->regions;
    struct bytes region;

    while (key_regions_next(&rest, &region)) {
        if (!bytes_eq(region, key->name.region))
            return true;
    }
    return false;
}

enum key_state key_state_at(const struct key_record *key, int64_t now)
{
    enum key_state state = key->state;
    bool           lacks = missing(key, now, NULL);

    if (transient(key) && now >= key->settles)
        return key_state_after(state, lacks ? EVENT_CREATED_EMPTY : EVENT_CREATED);
    if (lacks && (state == KEY_ENABLED || state == KEY_DISABLED || state == KEY_UPDATING))
        return key_state_after(state, EVENT_MISSING);
    return state;
}

void key_settle(struct key_record *key, int64_t now)
{
    if (!transient(key) || key_state_at(key, now) == key->state)
        return;
    if (now < key->settles)
        move(key, EVENT_MISSING);
    else
        move(key, missing(key, now, NULL) ? EVENT_CREATED_EMPTY : EVENT_CREATED);
    key->settles = 0;
}

bool key_gone(const struct key_record *key, int64_t now)
{
    return key->state == KEY_PENDING_DELETION && now >= key->deletion_date;
}

const struct key_material *key_expired_material(const struct key_record *key, int64_t now)
{
    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        if (roles[m->role].lasting && !gone(m) && expired(m, now))
            return m;
    }
    return NULL;
}

/* Its relatives rotate with it. */
static bool drives(const struct key_record *key)
{
    return key->multi_region != REGION_REPLICA;
}

bool key_on_demand_due(const struct key_record *key, int64_t now, int64_t rotation_delay)
{
    return drives(key) && key->on_demand_start != 0 && now >= key->on_demand_start + rotation_delay;
}

/* When it would rotate if it keeps its state until then. */
static int64_t next_automatic(const struct key_record *key)
{
    bool able = key->state == KEY_ENABLED || transient(key);

    if (!drives(key) || !key->rotation_enabled || !able || key->n_materials >= KEY_MATERIALS_MAX)
        return INT64_MAX;
    return transient(key) && key->settles > key->next_rotation ? key->settles : key->next_rotation;
}

bool key_automatic_due(const struct key_record *key, int64_t now)
{
    int64_t when = next_automatic(key);

    return when != INT64_MAX && now >= when && key_state_at(key, now) == KEY_ENABLED;
}

int64_t key_next_event(const struct key_record *key, int64_t rotation_delay)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        if (roles[m->role].lasting && !gone(m) && m->expiration == EXPIRES && m->valid_to < next)
            next = m->valid_to;
    }
    if (key->state == KEY_PENDING_DELETION && key->deletion_date < next)
        next = key->deletion_date;
    if (drives(key) && key->on_demand_start != 0 && key->on_demand_start + rotation_delay < next)
        next = key->on_demand_start + rotation_delay;
    return next_automatic(key) < next ? next_automatic(key) : next;
}

int64_t key_valid_to(const struct key_record *key)
{
    int64_t earliest = 0;

    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        if (roles[m->role].lasting && m->expiration == EXPIRES &&
            (earliest == 0 || m->valid_to < earliest))
            earliest = m->valid_to;
    }
    return earliest;
}

/* --- refusals --------------------------------------------------------------------------------- */

enum kms_status key_state_check(const struct key_record *key, enum key_state now_state,
                                uint32_t allowed, struct kms_error *reterr)
{
    assert(now_state < KEY_STATE_COUNT);
    const struct refusal *refusal = &refusals[now_state];

    if ((allowed & KEY_IN(now_state)) != 0)
        return KMS_OK;
    if (allowed == STATES_PENDING_DELETION)
        return KMS_REFUSE(reterr, KMS_E_KEY_STATE, "%.*s is not pending deletion.",
                          BYTES_FMT(key->name.arn));
    if (refusal->text == NULL)
        return KMS_FAIL(reterr, KMS_E_KEY_STATE, "state %s is not in the mask %x",
                        key_state_name(now_state), allowed);
    return KMS_REFUSE(reterr, refusal->status, "%.*s %s", BYTES_FMT(key->name.arn), refusal->text);
}

struct id_text {
    char s[ID_TEXT];
};

static struct id_text text_of(const struct material_id *id)
{
    struct id_text text = { { 0 } };

    hex_write(text.s, bytes_of(id->b, sizeof id->b));
    return text;
}

static bool same_id(const struct material_id *a, const struct material_id *b)
{
    return bytes_eq(bytes_of(a->b, sizeof a->b), bytes_of(b->b, sizeof b->b));
}

/* --- life of the key -------------------------------------------------------------------------- */

void key_created(struct key_record *key)
{
    move(key, missing(key, 0, NULL) ? EVENT_CREATED_EMPTY : EVENT_CREATED);
}

void key_enable(struct key_record *key)
{
    move(key, EVENT_ENABLE);
}

void key_disable(struct key_record *key)
{
    move(key, EVENT_DISABLE);
}

void key_schedule_deletion(struct key_record *key, int64_t now, uint32_t days)
{
    bool waits = key->multi_region == REGION_PRIMARY && has_relatives(key);

    move(key, waits ? EVENT_AWAIT_REPLICAS : EVENT_SCHEDULE_DELETION);
    key->pending_window_days = days;
    key->deletion_date = waits ? 0 : now + days * DAY_MS;
}

void key_replicas_gone(struct key_record *key, int64_t now)
{
    move(key, EVENT_REPLICAS_GONE);
    key->deletion_date = now + key->pending_window_days * DAY_MS;
}

void key_role_changes(struct key_record *key, enum multi_region role, int64_t settles)
{
    move(key, EVENT_ROLE_CHANGES);
    key->multi_region = role;
    key->settles = settles;
}

void key_cancel_deletion(struct key_record *key, int64_t now)
{
    move(key, missing(key, now, NULL) ? EVENT_CANCEL_MISSING : EVENT_CANCEL);
    key->pending_window_days = 0;
    key->deletion_date = 0;
}

/* --- imports ---------------------------------------------------------------------------------- */

/* R22: the material is not one that this key expects. */
static enum kms_status refuse_unexpected(const struct import_request *rq,
                                         const struct material_id    *otherwise,
                                         struct kms_error            *reterr)
{
    struct id_text id = text_of(rq->has_expected_id ? &rq->expected_id : otherwise);

    return KMS_REFUSE(reterr, KMS_E_INCORRECT_MATERIAL,
                      "Imported key material does not have the expected identifier (%s).", id.s);
}

/* R19, R20: NEW_KEY_MATERIAL. The first of the two wins for the pending material itself. Neither
 * asks for the key's state: NEW is accepted while an older material is missing (chosen, not
 * recorded). */
static enum kms_status check_new(const struct key_record *key, const struct import_request *rq,
                                 struct kms_error *reterr)
{
    const struct key_material *waiting = key_pending_material(key);
    struct id_text             id = text_of(&rq->id);

    if (key_record_material(key, &rq->id) != NULL)
        return KMS_REFUSE(reterr, KMS_E_INCORRECT_MATERIAL,
                          "Key material (id: %s) being imported as NEW_KEY_MATERIAL is already "
                          "associated with KMS key %.*s.",
                          id.s, BYTES_FMT(key->name.arn));
    if (waiting != NULL) {
        struct id_text other = text_of(&waiting->id);
        return KMS_REFUSE(reterr, KMS_E_KEY_STATE,
                          "New key material (id: %s) cannot be imported into KMS key %.*s, because "
                          "another key material (id: %s) is pending rotation.",
                          id.s, BYTES_FMT(key->name.arn), other.s);
    }
    return KMS_OK;
}

/* R22, R23: no type, or EXISTING_KEY_MATERIAL. The pending material of a single-Region key is
 * accepted too, as a refresh (chosen; recorded for replicas). */
static enum kms_status check_existing(const struct key_record *key, const struct import_request *rq,
                                      struct kms_error *reterr)
{
    const struct key_material *current = key_record_with_role(key, MATERIAL_CURRENT);

    if (rq->has_expected_id && !same_id(&rq->expected_id, &rq->id))
        return refuse_unexpected(rq, &rq->id, reterr);
    /* Nothing imported yet: without a type the material becomes the first (R18). Asking for an
     * existing one is refused with R22's sentence; as there is no current id that it could name, it
     * names the request's KeyMaterialId, else the supplied material (chosen, not recorded). */
    if (current == NULL)
        return rq->existing_type ? refuse_unexpected(rq, &rq->id, reterr) : KMS_OK;
    if (key_record_material(key, &rq->id) == NULL)
        return refuse_unexpected(rq, &current->id, reterr);
    return KMS_OK;
}

/* R24: what an import says about a material, new or known. */
static void take_import(struct arena *arena, struct key_material *m,
                        const struct import_request *rq, int64_t now)
{
    m->present = true;
    m->expiration = rq->expiration;
    m->valid_to = rq->expiration == EXPIRES ? rq->valid_to - rq->valid_to % 1000 : 0; /* R13 */
    m->warned_days = rq->expiration == EXPIRES ? key_days_left(m->valid_to, now) : 0;
    if (rq->has_description) {
        m->has_description = true;
        m->description = arena_copy(arena, rq->description);
    }
}

enum kms_status key_import(struct key_record *key, const struct import_request *rq, int64_t now,
                           struct key_material **ret_material, struct kms_error *reterr)
{
    if (rq->new_type)
        TRY(check_new(key, rq, reterr));
    else
        TRY(check_existing(key, rq, reterr));

    struct key_material *m = key_record_material(key, &rq->id);
    if (m == NULL) {
        bool first = key->n_materials == 0;
        m = key_record_add_material(key);
        m->id = rq->id;
        m->role = first ? MATERIAL_CURRENT : MATERIAL_PENDING_ROTATION; /* R18, R21 */
        m->created = now;
    }
    take_import(key->arena, m, rq, now);

    /* R21, R25, R33: an import of a pending material, even of one that was pending before, leaves
     * the state alone. Any other enables the key if nothing is missing, also if it was Disabled. */
    if (roles[m->role].lasting)
        move(key, missing(key, now, m) ? EVENT_MISSING : EVENT_COMPLETE);
    *ret_material = m;
    return KMS_OK;
}

/* --- deletion and expiry ---------------------------------------------------------------------- */

/* I4. A pending material goes with its entry, unless that stays `listed`: on a replica it is the
 * primary's (R47). What the key needs stays listed with its description, as missing (R30). */
static void drop_material(struct key_record *key, struct key_material *m, bool listed)
{
    if (roles[m->role].lasting && key->origin == ORIGIN_EXTERNAL)
        move(key, EVENT_MISSING);

    enum material_role left = material_role_deleted(m->role);

    if (left == MATERIAL_ROLE_COUNT && !listed) {
        key_record_remove_material(key, (size_t)(m - key->materials));
        return;
    }
    if (left != MATERIAL_ROLE_COUNT)
        m->role = left;
    m->present = false;
    m->warned_days = 0;
    m->expiration = EXPIRATION_NONE;
    m->valid_to = 0;
    m->sealed = (struct sealed){ 0 };
}

enum kms_status key_delete_material(struct key_record *key, const struct material_id *id,
                                    int64_t now, struct sealed *ret_erased,
                                    struct material_id *ret_id, bool *ret_had,
                                    struct kms_error *reterr)
{
    struct key_material *m = id != NULL ? key_record_material(key, id)
                                        : key_record_with_role(key, MATERIAL_CURRENT); /* R27 */

    (void)now; /* what has expired is deleted like what has not */
    if (m == NULL && id != NULL) {
        struct id_text text = text_of(id);
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Key material (id: %s) has never been imported into KMS key %.*s.",
                          text.s, BYTES_FMT(key->name.arn));
    }
    if (m == NULL) { /* R29: there never was one */
        *ret_erased = (struct sealed){ 0 };
        *ret_had = false;
        return KMS_OK;
    }
    *ret_erased = m->sealed;
    *ret_id = m->id;
    *ret_had = true;
    drop_material(key, m, key->multi_region == REGION_REPLICA);
    return KMS_OK;
}

void key_material_expired(struct key_record *key, const struct material_id *id)
{
    struct key_material *m = key_record_material(key, id);

    assert(m != NULL && roles[m->role].lasting && m->expiration == EXPIRES);
    m->sealed = (struct sealed){ 0 };
    move(key, EVENT_MISSING);
}

void key_material_lost(struct key_record *key, const struct material_id *id, int64_t now)
{
    struct key_material *m = key_record_material(key, id);

    assert(m != NULL);
    if (roles[m->role].lasting && expired(m, now))
        key_material_expired(key, id);
    else
        drop_material(key, m, has_relatives(key));
}

/* --- rotation --------------------------------------------------------------------------------- */

/* R42, R44: an imported key needs a material to rotate to, present in every Region. */
static enum kms_status check_pending(const struct key_record *key, struct kms_error *reterr)
{
    const struct key_material *waiting = key_pending_material(key);

    if (waiting == NULL)
        return KMS_REFUSE(reterr, KMS_E_KEY_STATE,
                          "No available key material pending rotation for the key: %.*s.",
                          BYTES_FMT(key->name.arn));
    if (waiting->role == MATERIAL_PENDING_MULTI_REGION)
        return KMS_REFUSE(
            reterr, KMS_E_KEY_STATE,
            "Cannot perform key material rotation: Key material has not been imported "
            "for replicas of the Multi-Region key.");
    return KMS_OK;
}

enum kms_status key_rotation_request(struct key_record *key, int64_t now, struct kms_error *reterr)
{
    if (key->on_demand_start != 0)
        return KMS_OK; /* J27: no second rotation, the date stays */
    if (key->on_demand_count >= LIMIT_ON_DEMAND_ROTATIONS || key->n_materials >= KEY_MATERIALS_MAX)
        return KMS_REFUSE(reterr, KMS_E_LIMIT,
                          "The on-demand rotations limit has been reached for the given keyId. No "
                          "more on-demand rotations can be performed for this key: %.*s",
                          BYTES_FMT(key->name.arn));
    if (key->origin == ORIGIN_EXTERNAL)
        TRY(check_pending(key, reterr));
    if (key->rotation_enabled && key->next_rotation - now <= ROTATION_CONFLICT_MS)
        return KMS_REFUSE(reterr, KMS_E_CONFLICT,
                          "An automatic rotation of the key is in progress or due within 20 "
                          "minutes: %.*s",
                          BYTES_FMT(key->name.arn));
    key->on_demand_start = now;
    return KMS_OK;
}

bool key_rotation_complete(struct key_record *key, int64_t now, enum rotation_type type)
{
    struct key_material *next = key_pending_material(key);

    if (type == ROTATION_ON_DEMAND)
        key->on_demand_start = 0;
    if (next == NULL)
        return false;

    struct key_material *current = key_record_with_role(key, MATERIAL_CURRENT);
    assert(current != NULL);
    current->role = material_role_rotated(current->role);
    next->role = material_role_rotated(next->role);
    next->rotation_date = now;
    next->rotation_type = type;
    if (type == ROTATION_ON_DEMAND)
        key->on_demand_count++;
    else
        key->next_rotation = now + key->rotation_period_days * DAY_MS;
    if (missing(key, now, NULL)) /* R39, R48. Nothing missing enables nobody: R42 */
        move(key, EVENT_MISSING);
    return true;
}

void key_rotation_enable(struct key_record *key, int64_t now, bool has_period, uint32_t days)
{
    if (key->rotation_enabled && (!has_period || days == key->rotation_period_days))
        return; /* R51: neither period nor date change */
    key->rotation_enabled = true;
    key->rotation_period_days = has_period ? days : ROTATION_DAYS_DEFAULT;
    key->next_rotation = now + key->rotation_period_days * DAY_MS;
}

void key_rotation_disable(struct key_record *key)
{
    key->rotation_enabled = false;
    key->rotation_period_days = 0;
    key->next_rotation = 0;
}
