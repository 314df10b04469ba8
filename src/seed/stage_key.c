/* seed/stage_key.c - the keys of a seed: records, material, replicas; see stage.c. */
#include <stdlib.h>

#include "authz/authz.h"
#include "base/clock.h"
#include "identity/principals.h"
#include "key/state.h"
#include "seed/stage_internal.h"

#include <pthread.h>

enum { DOMAIN_VERSION = 1, WRAPPED_DOMAIN = 1024, READY_MS = 60 * 1000 };

/* --- what is there ---------------------------------------------------------------------------- */

static const struct key_record *before(const struct stage *st, struct bytes account,
                                       struct bytes region, struct bytes id)
{
    const struct key_record *key = NULL;

    if (st->from->directory != NULL)
        key = directory_key(st->from->directory, account, region, id);
    return key == NULL || key_gone(key, st->now) ? NULL : key;
}

bool stage_key_known(const struct stage *st, struct bytes account, struct bytes region,
                     struct bytes id)
{
    return !st->from->fresh && before(st, account, region, id) != NULL;
}

static void put_key(struct stage *st, const struct key_record *key)
{
    struct key_record *copy = key_record_clone(key);

    if (copy == NULL)
        abort();
    copy->serial = ++st->serial;
    directory_put_key(st->directory, copy);
}

const struct key_record *stage_key_there(struct stage *st, struct bytes account,
                                         struct bytes region, struct bytes id)
{
    const struct key_record *key = directory_key(st->directory, account, region, id);

    if (key != NULL || st->from->fresh)
        return key;
    key = before(st, account, region, id);
    if (key == NULL)
        return NULL;
    put_key(st, key);
    return directory_key(st->directory, account, region, id);
}

/* --- slots ------------------------------------------------------------------------------------ */

static void note(struct sealed **list, size_t *n, const struct sealed *sealed)
{
    struct sealed *more = realloc(*list, (*n + 1) * sizeof *more);

    if (more == NULL) /* as arenas do */
        abort();
    *list = more;
    more[(*n)++] = *sealed;
}

/* The material that the key had before a reset, if its slot is still there: sealed for the same key,
 * with the same expiration, it goes on as it is. */
static bool keep(struct stage *st, const struct key_record *key, const struct key_material *old,
                 struct key_material *m)
{
    if (old == NULL || !old->present || old->sealed.wrapped.len == 0 ||
        old->expiration != m->expiration || old->valid_to != m->valid_to ||
        !vault_slot_alive(st->from->vault, &old->sealed))
        return false;
    m->id = old->id;
    memcpy(m->check, old->check, sizeof m->check);
    m->sealed = old->sealed;
    m->sealed.wrapped = arena_copy(key->arena, old->sealed.wrapped);
    m->present = true;
    note(&st->plan->kept, &st->plan->n_kept, &m->sealed);
    return true;
}

/* What was of this name before the reset, if it was the same kind of key: AADs bind these. */
static const struct key_record *predecessor(const struct stage *st, const struct key_record *key)
{
    const struct key_record *old = NULL;

    if (st->from->fresh)
        old = before(st, key->name.account, key->name.region, key->name.id);
    if (old == NULL || old->spec != key->spec || old->usage != key->usage ||
        old->origin != key->origin)
        return NULL;
    return old;
}

static enum kms_status add_domain(struct stage *st, const struct seed_item *item,
                                  struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(WRAPPED_DOMAIN);
    struct vault                   *v = st->from->vault;

    if (vault_domain_version(v, item->account, item->region) != 0)
        return KMS_OK;
    for (size_t i = 0; i < st->plan->change.n_rows; i++) {
        const struct domain_key_record *d = st->plan->change.rows[i].domain;
        if (d != NULL && bytes_eq(d->account, item->account) && bytes_eq(d->region, item->region))
            return KMS_OK;
    }
    TRY(vault_new_domain(v, item->account, item->region, DOMAIN_VERSION, &wrapped, reterr));
    struct domain_key_record *domain = domain_key_new(item->account, item->region, DOMAIN_VERSION,
                                                      buf_bytes(&wrapped));

    if (domain == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a domain key");
    change_add(&st->plan->change, ROW_DOMAIN_INSERT)->domain = domain;
    return KMS_OK;
}

/* --- material that was given ------------------------------------------------------------------ */

static enum kms_status identify(struct stage *st, const struct key_record *key,
                                struct seed_material *given, struct kms_error *reterr)
{
    struct key_material m = { .present = true };

    if (given->known)
        return KMS_OK;
    TRY(vault_identify_given(st->from->vault, key, given->bytes, &m, reterr));
    given->id = m.id;
    memcpy(given->check, m.check, sizeof given->check);
    given->known = true;
    return KMS_OK;
}

static enum kms_status place(struct stage *st, const struct key_record *key,
                             struct seed_material *given, struct key_material *m,
                             struct kms_error *reterr)
{
    const struct key_record *old = predecessor(st, key);

    TRY(identify(st, key, given, reterr));
    if (old != NULL && keep(st, key, key_record_material(old, &given->id), m))
        return KMS_OK;
    TRY(vault_place_material(st->from->vault, key, given->bytes, key->arena, m, reterr));
    note(&st->plan->spare, &st->plan->n_spare, &m->sealed);
    return KMS_OK;
}

/* As ImportKeyMaterial and, from the second material on, RotateKeyOnDemand. */
static enum kms_status import(struct stage *st, struct key_record *key, struct seed_material *given,
                              struct kms_error *reterr)
{
    struct key_material m = {
        .created = st->now,
        .expiration = given->valid_to != 0 ? EXPIRES : DOES_NOT_EXPIRE,
        .valid_to = given->valid_to,
    };
    struct key_material *entry = NULL;

    TRY(place(st, key, given, &m, reterr));
    const struct import_request rq = {
        .id = m.id,
        .new_type = true,
        .expiration = m.expiration,
        .valid_to = m.valid_to,
        .has_description = given->has_description,
        .description = given->description,
    };

    TRY(key_import(key, &rq, st->now, &entry, reterr));
    entry->sealed = m.sealed;
    memcpy(entry->check, m.check, sizeof entry->check);
    if (key->n_materials > 1)
        (void)key_rotation_complete(key, given->rotation_date != 0 ? given->rotation_date : st->now,
                                    ROTATION_ON_DEMAND);
    return KMS_OK;
}

static enum kms_status add_given(struct stage *st, struct key_record *key,
                                 struct seed_material *given, struct kms_error *reterr)
{
    bool                first = key->n_materials == 0;
    struct key_material m = {
        .role = first ? MATERIAL_CURRENT : MATERIAL_PENDING_ROTATION,
        .created = st->now,
        .expiration = DOES_NOT_EXPIRE,
    };

    TRY(place(st, key, given, &m, reterr));
    *key_record_add_material(key) = m;
    if (!first)
        (void)key_rotation_complete(key, given->rotation_date != 0 ? given->rotation_date : st->now,
                                    ROTATION_AUTOMATIC);
    return KMS_OK;
}

/* --- material that is generated --------------------------------------------------------------- */

struct ready {
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    bool            is;
};

static void is_ready(void *arg)
{
    struct ready *r = arg;

    pthread_mutex_lock(&r->lock);
    r->is = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

/* Until the vault has an RSA key, or READY_MS have passed. */
static void wait_for_rsa(struct vault *v, enum key_spec spec)
{
    struct ready r = { .is = false };

    pthread_mutex_init(&r.lock, NULL);
    clock_cond_init(&r.wake);
    vault_when_ready(v, spec, clock_monotonic_ms() + READY_MS, is_ready, &r);
    pthread_mutex_lock(&r.lock);
    while (!r.is)
        clock_cond_wait(&r.wake, &r.lock, 1000);
    pthread_mutex_unlock(&r.lock);
    pthread_mutex_destroy(&r.lock);
    pthread_cond_destroy(&r.wake);
}

static enum kms_status generate_material(struct stage *st, const struct key_record *key,
                                         struct key_material *m, struct kms_error *reterr)
{
    struct vault   *v = st->from->vault;
    int64_t         until = clock_monotonic_ms() + READY_MS;
    enum kms_status status = vault_generate_material(v, key, key->arena, m, reterr);

    while (status == KMS_E_THROTTLED && clock_monotonic_ms() < until) {
        wait_for_rsa(v, key->spec);
        status = vault_generate_material(v, key, key->arena, m, reterr);
    }
    if (status == KMS_E_THROTTLED)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no RSA key was made within %d s", READY_MS / 1000);
    return status;
}

/* The key that a replica has its material from, as it is in the change. */
static const struct key_record *primary_of(const struct stage *st, const struct seed_item *item)
{
    const struct seed_item *primary = &st->seed->items[item->primary];

    for (size_t i = 0; i < st->plan->change.n_rows; i++) {
        const struct key_record *key = st->plan->change.rows[i].key;
        if (key != NULL && bytes_eq(key->name.id, primary->key->id) &&
            bytes_eq(key->name.account, primary->account) &&
            bytes_eq(key->name.region, primary->region))
            return key;
    }
    return NULL;
}

static enum kms_status add_generated(struct stage *st, const struct seed_item *item,
                                     struct key_record *key, struct kms_error *reterr)
{
    const struct key_record *old = predecessor(st, key);
    const struct key_record *primary = item->kind == SEED_REPLICA ? primary_of(st, item) : NULL;
    struct key_material      m = {
             .role = MATERIAL_CURRENT,
             .created = st->now,
             .expiration = DOES_NOT_EXPIRE,
    };
    const struct key_material *first = old != NULL && old->n_materials > 0 ? old->materials : NULL;

    if (primary != NULL && first != NULL &&
        key_record_material(primary, &first->id) != primary->materials)
        first = NULL; /* the primary's was lost, and made anew */
    if (!keep(st, key, first, &m)) {
        if (primary != NULL) {
            struct vault_material from = { primary, &primary->materials[0] };
            m = primary->materials[0];
            TRY(vault_copy_material(st->from->vault, from, key, key->arena, &m, reterr));
        } else {
            TRY(generate_material(st, key, &m, reterr));
        }
        note(&st->plan->spare, &st->plan->n_spare, &m.sealed);
    }
    *key_record_add_material(key) = m;
    return KMS_OK;
}

/* --- the record ------------------------------------------------------------------------------- */

static enum kms_status add_materials(struct stage *st, const struct seed_item *item,
                                     struct key_record *key, struct kms_error *reterr)
{
    struct seed_key *sk = item->key;

    if (st->from->vault == NULL) {
        key_created(key);
        return KMS_OK;
    }
    TRY(add_domain(st, item, reterr));
    if (key->origin == ORIGIN_EXTERNAL)
        key_created(key); /* waits for its material */
    for (size_t i = 0; i < sk->n_materials; i++) {
        struct seed_material *given = &sk->materials[i];
        enum kms_status status = key->origin == ORIGIN_EXTERNAL ? import(st, key, given, reterr)
                                                                : add_given(st, key, given, reterr);
        if (status != KMS_OK)
            return seed_blame(st->seed->file, given->line, given->path, reterr);
    }
    if (key->origin == ORIGIN_EXTERNAL)
        return KMS_OK;
    if (sk->n_materials == 0)
        TRY(add_generated(st, item, key, reterr));
    key_created(key);
    return KMS_OK;
}

static void set_family(struct key_record *key, const struct seed_item *item)
{
    const struct seed_key *sk = item->key;

    if (item->in.multi_region.v == 0)
        return;
    key->multi_region = item->kind == SEED_REPLICA ? REGION_REPLICA : REGION_PRIMARY;
    key->primary_region = arena_copy(key->arena, sk->regions[0]);
    for (size_t i = 0; i < sk->n_regions; i++) {
        if (!key_regions_have(key->regions, sk->regions[i]))
            key_record_add_region(key, sk->regions[i]);
    }
}

/* As request.c checks it before CreateKey; who seeds may lock everybody out. */
static enum kms_status check_policy(struct stage *st, const struct key_record *key,
                                    const struct seed_item *item, struct kms_error *reterr)
{
    const struct authz_caller  nobody = { .n_identity = 0 };
    const struct authz_request rq = { .caller = &nobody, .action = BYTES_LIT("CreateKey") };

    if (item->in.policy.ptr == NULL)
        return KMS_OK;
    return authz_check_key_policy(&rq, item->in.policy, key->name.arn, true, principal_known,
                                  st->book, reterr);
}

static enum kms_status make_key(struct stage *st, const struct seed_item *item,
                                struct key_record **ret, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *key = NULL;
    struct op_call                               call = stage_call(st, item);
    const struct key_record                     *old = NULL;

    if (op_new_key(&call, item->key->id, &key, reterr) != KMS_OK ||
        check_policy(st, key, item, reterr) != KMS_OK)
        return stage_blame(st, item, reterr);
    set_family(key, item);
    TRY(add_materials(st, item, key, reterr));
    if (item->key->rotates)
        key_rotation_enable(key, st->now, item->key->rotation_period.set,
                            (uint32_t)item->key->rotation_period.v);
    if (item->disabled &&
        key->state == KEY_ENABLED) /* not if it waits for material, or that has expired */
        key_disable(key);
    if (st->from->fresh && st->from->directory != NULL)
        old = directory_key(st->from->directory, item->account, item->region, item->key->id);
    if (old != NULL) /* who has seen the old one and wants to change it is refused */
        key->version = old->version + 1;
    *ret = TAKE(key);
    return KMS_OK;
}

/* --- one that is there already ---------------------------------------------------------------- */

/* Materials are compared by their position: what users have added stands behind those of the seed, and
 * a position that is not there was deleted. */
static enum kms_status compare_materials(struct stage *st, const struct seed_item *item,
                                         const struct key_record *there, struct kms_error *reterr)
{
    struct seed_key *sk = item->key;

    for (size_t i = 0; i < sk->n_materials && st->from->vault != NULL; i++) {
        struct seed_material *given = &sk->materials[i];
        TRY(identify(st, there, given, reterr));
        const struct key_material *m = key_record_material(there, &given->id);
        if (m == NULL && i < there->n_materials)
            return seed_refuse(st->seed->file, given->line, given->path, reterr,
                               "the key is there already, and this is not among its materials");
        if (m == NULL || !m->present)
            stage_leave(st, given->line, given->path, "this material is not in the key any more");
    }
    return KMS_OK;
}

static enum kms_status compare(struct stage *st, const struct seed_item *item,
                               const struct key_record *there, struct kms_error *reterr)
{
    const struct op_input *in = &item->in;

    if (there->spec != (enum key_spec)in->key_spec.v)
        return stage_refuse(st, item, reterr, "the key is there already, with another KeySpec");
    if (there->usage != (enum key_usage)in->key_usage.v)
        return stage_refuse(st, item, reterr, "the key is there already, with another KeyUsage");
    if (there->origin != (enum key_origin)in->origin.v)
        return stage_refuse(st, item, reterr, "the key is there already, with another Origin");
    if ((STATES_PENDING_DELETION & KEY_IN(there->state)) != 0)
        stage_leave(st, item->line, item->path, "the key is scheduled for deletion");
    return compare_materials(st, item, there, reterr);
}

struct relative {
    const struct stage     *st;
    const struct seed_item *item;
    bool                    found;
};

static void look_for_relative(const struct key_record *key, void *ctx)
{
    struct relative        *r = ctx;
    const struct seed_item *item = r->item;

    if (bytes_eq(key->name.id, item->key->id) && bytes_eq(key->name.account, item->account) &&
        !key_gone(key, r->st->now))
        r->found = true;
}

/* Of a family that is there in other Regions, in those of the file or elsewhere. It would not be a
 * relative of theirs if it were made by itself. */
static bool left_away(struct stage *st, const struct seed_item *item)
{
    struct relative r = { st, item, false };

    if (item->in.multi_region.v == 0 || st->from->fresh || st->from->directory == NULL)
        return false;
    directory_each_key(st->from->directory, look_for_relative, &r);
    if (r.found)
        stage_leave(
            st, item->line, item->path,
            "the key is there in other Regions, but not in this one (ReplicateKey makes it)");
    return r.found;
}

bool stage_key_named(const struct stage *st, struct bytes account, struct bytes region,
                     struct bytes id)
{
    for (size_t i = 0; i < st->at; i++) {
        const struct seed_item *other = &st->seed->items[i];
        if ((other->kind == SEED_KEY || other->kind == SEED_REPLICA) &&
            bytes_eq(other->key->id, id) && bytes_eq(other->account, account) &&
            bytes_eq(other->region, region))
            return true;
    }
    return false;
}

enum kms_status stage_key(struct stage *st, struct seed_item *item, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *key = NULL;
    const struct key_record                     *there;

    if (!st->env.serves(st->env.serves_ctx, item->region))
        return stage_refuse(st, item, reterr,
                            "the server does not answer for this Region: see its "
                            "setting 'regions'");
    if (stage_key_named(st, item->account, item->region, item->key->id))
        return stage_refuse(st, item, reterr, "the file has this key already, in this Region");
    there = stage_key_there(st, item->account, item->region, item->key->id);
    if (there != NULL)
        return compare(st, item, there, reterr);
    if (left_away(st, item))
        return KMS_OK;
    TRY(make_key(st, item, &key, reterr));
    put_key(st, key);
    change_add(&st->plan->change, ROW_KEY_INSERT)->key = TAKE(key);
    return KMS_OK;
}

void seed_recall(struct seed *s, const struct seed *from)
{
    for (size_t i = 0; i < s->n && i < from->n; i++) {
        if (s->items[i].kind != SEED_KEY || from->items[i].kind != SEED_KEY)
            continue;
        struct seed_key       *to = s->items[i].key;
        const struct seed_key *of = from->items[i].key;
        for (size_t k = 0; k < to->n_materials && k < of->n_materials; k++) {
            to->materials[k].known = of->materials[k].known;
            to->materials[k].id = of->materials[k].id;
            memcpy(to->materials[k].check, of->materials[k].check, sizeof to->materials[k].check);
        }
    }
}
