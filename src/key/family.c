/* key/family.c - see family.h. Called by operations and jobs, between looking up the relatives
 * (directory_family) and committing a row for each.
 *
 * The relatives were found one by one, so they may disagree for once: then the store refuses what is
 * made of them. What stands here only has to survive that.
 */
#include "key/family.h"

#include <assert.h>

/* --- the clones ------------------------------------------------------------------------------- */

void family_release(struct key_family *f)
{
    for (size_t i = 0; i < f->n; i++)
        key_record_free(f->of[i]);
    *f = (struct key_family){ 0 };
}

bool family_clone(const struct key_record *const *list, size_t n, const struct key_record *key,
                  int64_t now, struct key_family *ret)
{
    struct key_family f = { 0 };

    assert(n > 0 && n <= FAMILY_MAX);
    for (; f.n < n; f.n++) {
        struct key_record *edit = key_record_clone(list[f.n]);
        if (edit == NULL) {
            family_release(&f);
            return false;
        }
        edit->version = list[f.n]->version + 1;
        key_settle(edit, now);
        if (bytes_eq(edit->name.region, key->name.region))
            f.named = f.n;
        if (edit->multi_region == REGION_PRIMARY)
            f.primary = f.n;
        f.of[f.n] = edit;
    }
    *ret = f;
    return true;
}

/* --- materials -------------------------------------------------------------------------------- */

/* I2. `but`: one that is leaving, or f->n. */
static void agree_on_pending(struct key_family *f, size_t but)
{
    bool everywhere = true;

    for (size_t i = 0; i < f->n; i++) {
        const struct key_material *m = key_pending_material(f->of[i]);
        everywhere = everywhere && (i == but || (m != NULL && m->present));
    }
    for (size_t i = 0; i < f->n; i++) {
        struct key_material *m = key_pending_material(f->of[i]);
        if (m != NULL)
            m->role = everywhere ? MATERIAL_PENDING_ROTATION : MATERIAL_PENDING_MULTI_REGION;
    }
}

static void share_description(struct key_record *to, struct key_material *m,
                              const struct key_material *from)
{
    m->has_description = from->has_description;
    m->description = arena_copy(to->arena, from->description);
}

/* A relative's material is listed here, and missing here (R46). */
static void list_missing(struct key_record *to, const struct key_material *from)
{
    struct key_material *m = key_record_add_material(to);

    m->id = from->id;
    memcpy(m->check, from->check, sizeof m->check);
    m->role = from->role;
    m->rotation_date = from->rotation_date;
    m->rotation_type = from->rotation_type;
    m->created = from->created;
    share_description(to, m, from);
}

enum kms_status family_import(struct key_family *f, const struct import_request *rq, int64_t now,
                              struct key_material **ret_material, struct kms_error *reterr)
{
    struct key_material *m = NULL;

    TRY(key_import(f->of[f->named], rq, now, &m, reterr));
    for (size_t i = 0; i < f->n; i++) {
        struct key_material *theirs = key_record_material(f->of[i], &rq->id);
        if (theirs == NULL)
            list_missing(f->of[i], m);
        else if (rq->has_description && theirs != m)
            share_description(f->of[i], theirs, m);
    }
    agree_on_pending(f, f->n);
    *ret_material = m;
    return KMS_OK;
}

void family_sealed(struct key_family *f, const struct key_material *m)
{
    for (size_t i = 0; i < f->n; i++) {
        struct key_material *theirs = key_record_material(f->of[i], &m->id);
        if (theirs != NULL && theirs != m)
            memcpy(theirs->check, m->check, sizeof theirs->check);
    }
}

/* R47: what the primary forgets, all forget. */
static void forget_pending(struct key_family *f, const struct material_id *id,
                           struct sealed *ret_sealed)
{
    for (size_t i = 0; i < f->n; i++) {
        struct key_material *m = i == f->named ? NULL : key_record_material(f->of[i], id);
        if (m == NULL)
            continue;
        ret_sealed[i] = m->sealed;
        key_record_remove_material(f->of[i], (size_t)(m - f->of[i]->materials));
    }
}

enum kms_status family_delete_material(struct key_family *f, const struct material_id *id,
                                       int64_t now, struct family_deleted *ret,
                                       struct kms_error *reterr)
{
    struct key_record *named = f->of[f->named];
    struct material_id deleted = { { 0 } };
    struct sealed      sealed = { 0 };
    bool               had = false;

    TRY(key_delete_material(named, id, now, &sealed, &deleted, &had, reterr));
    *ret = (struct family_deleted){ .id = deleted, .had = had };
    ret->sealed[f->named] = sealed;
    if (had && key_record_material(named, &deleted) == NULL)
        forget_pending(f, &deleted, ret->sealed);
    agree_on_pending(f, f->n);
    return KMS_OK;
}

void family_material_lost(struct key_family *f, size_t at, const struct material_id *id,
                          int64_t now)
{
    key_material_lost(f->of[at], id, now);
    agree_on_pending(f, f->n);
}

/* --- rotation --------------------------------------------------------------------------------- */

enum kms_status family_rotation_request(struct key_family *f, int64_t now, struct kms_error *reterr)
{
    struct key_record *primary = f->of[f->primary];

    TRY(key_rotation_request(primary, now, reterr));
    for (size_t i = 0; i < f->n; i++)
        f->of[i]->on_demand_start = primary->on_demand_start;
    return KMS_OK;
}

bool family_rotation_complete(struct key_family *f, int64_t now, enum rotation_type type)
{
    bool promoted = false;

    for (size_t i = 0; i < f->n; i++) {
        bool here = key_rotation_complete(f->of[i], now, type);
        promoted = promoted || (here && i == f->primary);
    }
    return promoted;
}

void family_rotation_enable(struct key_family *f, int64_t now, bool has_period, uint32_t days)
{
    for (size_t i = 0; i < f->n; i++)
        key_rotation_enable(f->of[i], now, has_period, days);
}

void family_rotation_disable(struct key_family *f)
{
    for (size_t i = 0; i < f->n; i++)
        key_rotation_disable(f->of[i]);
}

/* --- relatives come, change roles and go ------------------------------------------------------ */

/* The place of a Region in the order of the family's. */
static size_t place_of(const struct key_family *f, struct bytes regions, struct bytes region)
{
    struct bytes one;
    size_t       at = 0;

    while (key_regions_next(&regions, &one) && !bytes_eq(one, region))
        at++;
    return at < f->n ? at : f->n;
}

static void insert(struct key_family *f, size_t at, struct key_record *replica)
{
    assert(f->n < FAMILY_MAX);
    memmove(&f->of[at + 1], &f->of[at], (f->n - at) * sizeof(struct key_record *));
    f->of[at] = replica;
    f->n++;
    f->named += f->named >= at;
    f->primary += f->primary >= at;
}

static void share_all(struct key_record *to, const struct key_record *primary)
{
    to->spec = primary->spec;
    to->usage = primary->usage;
    to->origin = primary->origin;
    to->multi_region = REGION_REPLICA;
    to->primary_region = arena_copy(to->arena, primary->primary_region);
    to->regions = arena_copy(to->arena, primary->regions);
    to->rotation_enabled = primary->rotation_enabled;
    to->rotation_period_days = primary->rotation_period_days;
    to->next_rotation = primary->next_rotation;
    to->on_demand_start = primary->on_demand_start;
    to->on_demand_count = primary->on_demand_count;
    for (size_t i = 0; i < primary->n_materials; i++)
        list_missing(to, &primary->materials[i]);
}

size_t family_replicated(struct key_family *f, struct key_record *replica, int64_t now,
                         int64_t settles)
{
    struct key_record *primary = f->of[f->primary];

    assert(replica->state == KEY_CREATING && replica->n_materials == 0);
    for (size_t i = 0; i < f->n; i++) {
        if (!key_regions_have(f->of[i]->regions, replica->name.region))
            key_record_add_region(f->of[i], replica->name.region);
    }
    share_all(replica, primary);
    replica->created = now;
    replica->settles = settles;
    replica->version = 1;

    size_t at = place_of(f, primary->regions, replica->name.region);
    insert(f, at, replica);
    agree_on_pending(f, f->n);
    return at;
}

void family_promote(struct key_family *f, size_t to, int64_t settles)
{
    assert(to < f->n);
    if (to == f->primary)
        return;
    key_role_changes(f->of[f->primary], REGION_REPLICA, settles);
    key_role_changes(f->of[to], REGION_PRIMARY, settles);
    f->primary = to;
    for (size_t i = 0; i < f->n; i++)
        f->of[i]->primary_region = arena_copy(f->of[i]->arena, f->of[to]->name.region);
}

void family_left(struct key_family *f, int64_t now)
{
    struct bytes       gone = f->of[f->named]->name.region;
    struct key_record *primary = f->of[f->primary];

    for (size_t i = 0; i < f->n; i++) {
        if (i != f->named && key_regions_have(f->of[i]->regions, gone))
            key_record_remove_region(f->of[i], gone);
    }
    agree_on_pending(f, f->named);
    if (f->primary != f->named && primary->state == KEY_PENDING_REPLICA_DELETION &&
        bytes_eq(primary->regions, primary->name.region))
        key_replicas_gone(primary, now);
}
