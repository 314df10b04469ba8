/* key/record.c - see record.h. */
#include "key/record.h"

#include <assert.h>
#include <stdlib.h>

/* First block of a new record: a key with one material, the default policy and a short description
 * fits. A clone's block is measured instead. */
enum { KEY_RECORD_BLOCK = 1024, IMPORT_KEY_BLOCK = 1024, ARENA_ALIGN = 16 };

/* --- names ------------------------------------------------------------------------------------ */

static const char *const state_names[KEY_STATE_COUNT] = {
    [KEY_CREATING] = "Creating",
    [KEY_ENABLED] = "Enabled",
    [KEY_DISABLED] = "Disabled",
    [KEY_PENDING_DELETION] = "PendingDeletion",
    [KEY_PENDING_IMPORT] = "PendingImport",
    [KEY_PENDING_REPLICA_DELETION] = "PendingReplicaDeletion",
    [KEY_UNAVAILABLE] = "Unavailable",
    [KEY_UPDATING] = "Updating",
};

const char *const key_origin_names[ORIGIN_COUNT + 1] = {
    [ORIGIN_AWS_KMS] = "AWS_KMS",
    [ORIGIN_EXTERNAL] = "EXTERNAL",
    [ORIGIN_AWS_CLOUDHSM] = "AWS_CLOUDHSM",
    [ORIGIN_EXTERNAL_KEY_STORE] = "EXTERNAL_KEY_STORE",
};

static const char *const role_names[MATERIAL_ROLE_COUNT] = {
    [MATERIAL_CURRENT] = "CURRENT",
    [MATERIAL_NON_CURRENT] = "NON_CURRENT",
    [MATERIAL_PENDING_ROTATION] = "PENDING_ROTATION",
    [MATERIAL_PENDING_MULTI_REGION] = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
};

static const char *const erase_names[ERASE_REASON_COUNT] = {
    [ERASE_API] = "api",
    [ERASE_EXPIRY] = "expiry",
    [ERASE_KEY_DELETION] = "key-deletion",
    [ERASE_REPLACED] = "replaced",
    [ERASE_IMPORT_KEY] = "import-key",
    [ERASE_ORPHAN] = "orphan",
};

const char *key_state_name(enum key_state state)
{
    assert(state < KEY_STATE_COUNT);
    return state_names[state];
}

const char *key_spec_name(enum key_spec spec)
{
    assert(spec < SPEC_COUNT);
    return key_spec_names[spec];
}

const char *key_usage_name(enum key_usage usage)
{
    assert(usage < USAGE_COUNT);
    return key_usage_names[usage];
}

const char *key_origin_name(enum key_origin origin)
{
    assert(origin < ORIGIN_COUNT);
    return key_origin_names[origin];
}

const char *material_role_name(enum material_role role)
{
    assert(role < MATERIAL_ROLE_COUNT);
    return role_names[role];
}

const char *erase_reason_name(enum erase_reason reason)
{
    assert(reason < ERASE_REASON_COUNT);
    return erase_names[reason];
}

/* --- key records ------------------------------------------------------------------------------ */

static struct key_record *record_in(struct arena *arena)
{
    if (arena == NULL)
        return NULL;
    struct key_record *k = arena_alloc(arena, sizeof *k);

    k->arena = arena;
    return k;
}

struct key_record *key_record_new(void)
{
    return record_in(arena_new(KEY_RECORD_BLOCK));
}

void key_record_free(struct key_record *k)
{
    if (k != NULL)
        arena_free(k->arena); /* the record lies in it */
}

void key_record_freep(struct key_record **k)
{
    key_record_free(*k);
    *k = NULL;
}

void key_record_set_name(struct key_record *k, struct bytes account, struct bytes region,
                         struct bytes key_id)
{
    char       text[KEY_ARN_MAX + 1];
    struct buf arn = { .ptr = (uint8_t *)text, .cap = sizeof text, .limit = sizeof text };

    assert(account.len <= ACCOUNT_LEN && region.len <= REGION_MAX && key_id.len <= KEY_ID_MAX);
    key_arn_add(&arn, account, region, key_id); /* fits, so `text` is never grown out of */
    assert(buf_ok(&arn));

    const struct key_name like = { .account = account, .region = region, .id = key_id };

    k->name = key_name_in(arena_copy(k->arena, buf_bytes(&arn)), &like);
}

static size_t aligned(size_t size)
{
    return (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static size_t copy_size(struct bytes in)
{
    return in.len == 0 ? 0 : aligned(in.len + 1); /* arena_copy adds a NUL */
}

static bool within(struct bytes whole, struct bytes part)
{
    return part.len > 0 && whole.len >= part.len && part.ptr >= whole.ptr &&
           part.ptr <= whole.ptr + (whole.len - part.len);
}

/* The room that a part of the name takes beside the ARN: none if it is a view into it. */
static size_t name_size(const struct key_name *name, struct bytes part)
{
    return within(name->arn, part) ? 0 : copy_size(part);
}

static struct bytes clone_part(struct key_record *to, const struct key_name *from,
                               struct bytes part)
{
    if (!within(from->arn, part))
        return arena_copy(to->arena, part);
    return bytes_of(to->name.arn.ptr + (part.ptr - from->arn.ptr), part.len);
}

static void clone_name(struct key_record *to, const struct key_name *from)
{
    to->name.arn = arena_copy(to->arena, from->arn);
    to->name.account = clone_part(to, from, from->account);
    to->name.region = clone_part(to, from, from->region);
    to->name.id = clone_part(to, from, from->id);
}

static size_t clone_size(const struct key_record *k)
{
    size_t size = aligned(sizeof *k) + copy_size(k->name.arn) +
                  name_size(&k->name, k->name.account) + name_size(&k->name, k->name.region) +
                  name_size(&k->name, k->name.id) + copy_size(k->primary_region) +
                  copy_size(k->regions) + copy_size(k->description) + copy_size(k->policy) +
                  copy_size(k->principals) + aligned(k->n_materials * sizeof k->materials[0]) +
                  aligned(k->n_tags * sizeof k->tags[0]);

    for (size_t i = 0; i < k->n_materials; i++)
        size += copy_size(k->materials[i].description) + copy_size(k->materials[i].sealed.wrapped);
    for (size_t i = 0; i < k->n_tags; i++)
        size += copy_size(k->tags[i].key) + copy_size(k->tags[i].value);
    return size;
}

static void clone_materials(struct key_record *to, const struct key_record *from)
{
    to->materials = NULL;
    to->materials_cap = to->n_materials;
    if (to->n_materials == 0)
        return;
    to->materials = arena_alloc(to->arena, to->n_materials * sizeof to->materials[0]);
    for (size_t i = 0; i < to->n_materials; i++) {
        struct key_material *m = &to->materials[i];
        *m = from->materials[i];
        m->description = arena_copy(to->arena, m->description);
        m->sealed.wrapped = arena_copy(to->arena, m->sealed.wrapped);
    }
}

static void clone_tags(struct key_record *to, const struct key_record *from)
{
    to->tags = NULL;
    if (to->n_tags == 0)
        return;
    to->tags = arena_alloc(to->arena, to->n_tags * sizeof to->tags[0]);
    for (size_t i = 0; i < to->n_tags; i++) {
        to->tags[i].key = arena_copy(to->arena, from->tags[i].key);
        to->tags[i].value = arena_copy(to->arena, from->tags[i].value);
    }
}

struct key_record *key_record_clone(const struct key_record *from)
{
    struct key_record *to = record_in(arena_new(clone_size(from)));

    if (to == NULL)
        return NULL;
    struct arena *arena = to->arena;

    *to = *from;
    to->arena = arena;
    to->rights = NULL; /* not published */
    clone_name(to, &from->name);
    to->primary_region = arena_copy(arena, from->primary_region);
    to->regions = arena_copy(arena, from->regions);
    to->description = arena_copy(arena, from->description);
    to->policy = arena_copy(arena, from->policy);
    to->principals = arena_copy(arena, from->principals);
    clone_materials(to, from);
    clone_tags(to, from);
    return to;
}

/* --- Regions ---------------------------------------------------------------------------------- */

enum { REGIONS_BYTES = 4096 };

bool key_regions_next(struct bytes *rest, struct bytes *ret)
{
    if (rest->len == 0)
        return false;
    const uint8_t *space = memchr(rest->ptr, ' ', rest->len);
    size_t         len = space == NULL ? rest->len : (size_t)(space - rest->ptr);
    size_t         past = space == NULL ? len : len + 1;

    *ret = bytes_of(rest->ptr, len);
    *rest = bytes_of(rest->ptr + past, rest->len - past);
    return true;
}

size_t key_regions_count(struct bytes regions)
{
    struct bytes one;
    size_t       n = 0;

    while (key_regions_next(&regions, &one))
        n++;
    return n;
}

bool key_regions_have(struct bytes regions, struct bytes region)
{
    struct bytes one;

    while (key_regions_next(&regions, &one)) {
        if (bytes_eq(one, region))
            return true;
    }
    return false;
}

static void add_name(struct buf *to, struct bytes region)
{
    if (to->len > 0)
        buf_add_byte(to, ' ');
    buf_add(to, region);
}

static bool sorts_before(struct bytes a, struct bytes b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order < 0 : a.len < b.len;
}

void key_record_add_region(struct key_record *k, struct bytes region)
{
    uint8_t      room[REGIONS_BYTES];
    struct buf   text = { .ptr = room, .cap = sizeof room, .limit = sizeof room }; /* borrows */
    struct bytes rest = k->regions;
    struct bytes one;
    bool         added = false;

    assert(region.len > 0 && !key_regions_have(k->regions, region));
    while (key_regions_next(&rest, &one)) {
        if (!added && sorts_before(region, one)) {
            add_name(&text, region);
            added = true;
        }
        add_name(&text, one);
    }
    if (!added)
        add_name(&text, region);
    assert(buf_ok(&text));
    k->regions = arena_copy(k->arena, buf_bytes(&text));
}

void key_record_remove_region(struct key_record *k, struct bytes region)
{
    uint8_t      room[REGIONS_BYTES];
    struct buf   text = { .ptr = room, .cap = sizeof room, .limit = sizeof room }; /* borrows */
    struct bytes rest = k->regions;
    struct bytes one;

    assert(key_regions_have(k->regions, region));
    while (key_regions_next(&rest, &one)) {
        if (!bytes_eq(one, region))
            add_name(&text, one);
    }
    assert(buf_ok(&text));
    k->regions = arena_copy(k->arena, buf_bytes(&text));
}

/* --- materials -------------------------------------------------------------------------------- */

struct key_material *key_record_add_material(struct key_record *k)
{
    assert(k->n_materials < KEY_MATERIALS_MAX);
    if (k->n_materials >= k->materials_cap) {
        /* doubling: what the arena loses to old arrays stays below what the last one takes */
        size_t               cap = k->n_materials == 0 ? 1 : k->n_materials * 2;
        struct key_material *fresh = arena_alloc(k->arena, cap * sizeof *fresh);
        if (k->n_materials > 0)
            memcpy(fresh, k->materials, k->n_materials * sizeof *fresh);
        k->materials = fresh;
        k->materials_cap = cap;
    }
    struct key_material *m = &k->materials[k->n_materials++];
    *m = (struct key_material){ 0 };
    return m;
}

void key_record_remove_material(struct key_record *k, size_t at)
{
    assert(at < k->n_materials);
    k->n_materials--;
    memmove(&k->materials[at], &k->materials[at + 1],
            (k->n_materials - at) * sizeof k->materials[0]);
}

struct key_material *key_record_material(const struct key_record *k, const struct material_id *id)
{
    for (size_t i = 0; i < k->n_materials; i++) {
        if (bytes_eq(bytes_of(k->materials[i].id.b, sizeof id->b), bytes_of(id->b, sizeof id->b)))
            return &k->materials[i];
    }
    return NULL;
}

struct key_material *key_record_with_role(const struct key_record *k, enum material_role role)
{
    for (size_t i = 0; i < k->n_materials; i++) {
        if (k->materials[i].role == role)
            return &k->materials[i];
    }
    return NULL;
}

/* --- the other records ------------------------------------------------------------------------ */

struct import_key_record *import_key_record_new(void)
{
    struct arena *arena = arena_new(IMPORT_KEY_BLOCK);

    if (arena == NULL)
        return NULL;
    struct import_key_record *k = arena_alloc(arena, sizeof *k);

    k->arena = arena;
    return k;
}

void import_key_record_free(struct import_key_record *k)
{
    if (k != NULL)
        arena_free(k->arena); /* the record lies in it */
}

void import_key_record_freep(struct import_key_record **k)
{
    import_key_record_free(*k);
    *k = NULL;
}

struct alias_record *alias_record_new(struct bytes account, struct bytes region, struct bytes name)
{
    struct alias_record *a = calloc(1, sizeof *a + account.len + region.len + name.len);

    if (a == NULL)
        return NULL;
    uint8_t      *to = (uint8_t *)(a + 1);
    struct bytes *views[] = { &a->name.account, &a->name.region, &a->name.name };
    struct bytes  parts[] = { account, region, name };

    for (size_t i = 0; i < 3; i++) {
        if (parts[i].len > 0)
            memcpy(to, parts[i].ptr, parts[i].len);
        *views[i] = bytes_of(to, parts[i].len);
        to += parts[i].len;
    }
    return a;
}
