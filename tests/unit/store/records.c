/* tests/unit/store/records.c - random records and their comparison; see fixture.h. */
#include "fixture.h"

#include "base/encode.h"
#include "key/directory.h"

uint64_t random_next(struct fixture *f) /* xorshift64* */
{
    f->random ^= f->random >> 12;
    f->random ^= f->random << 25;
    f->random ^= f->random >> 27;
    return f->random * 0x2545f4914f6cdd1d;
}

uint64_t random_below(struct fixture *f, uint64_t n)
{
    return (random_next(f) >> 16) % n;
}

void random_fill(struct fixture *f, void *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = (uint8_t)(random_next(f) >> 24);
}

/* Up to `max` bytes of any kind, NUL and bad UTF-8 included. */
static struct bytes some_bytes(struct fixture *f, struct arena *arena, size_t max)
{
    size_t len = random_below(f, 4) == 0 ? 0 : random_below(f, max + 1);

    if (len == 0)
        return (struct bytes){ NULL, 0 };
    uint8_t *to = arena_alloc(arena, len);

    random_fill(f, to, len);
    return bytes_of(to, len);
}

/* Any 64 bits, and often the ends of the range. */
static uint64_t some_u64(struct fixture *f)
{
    static const uint64_t ends[] = { 0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
    uint64_t              i = random_below(f, 2 * ARRAY_LEN(ends));

    return i < ARRAY_LEN(ends) ? ends[i] : random_next(f);
}

static uint32_t some_u32(struct fixture *f)
{
    return random_below(f, 4) == 0 ? UINT32_MAX : (uint32_t)random_next(f);
}

static bool some_bool(struct fixture *f)
{
    return random_below(f, 2) != 0;
}

static void digits(struct fixture *f, char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('0' + random_below(f, 10));
}

static const char *const regions[] = { "us-east-1", "eu-central-1", "cn-north-1" };

static void random_sealed(struct fixture *f, struct arena *arena, struct sealed *s)
{
    s->wrapped = some_bytes(f, arena, random_below(f, 4) == 0 ? 2500 : 64);
    s->domain_version = some_u32(f);
    s->slot = some_u32(f);
    s->slot_generation = some_u64(f);
    s->slot_class = random_below(f, 2) == 0 ? SLOT_ERASABLE : SLOT_DURABLE;
}

static void random_material(struct fixture *f, struct key_record *k)
{
    struct key_material *m = key_record_add_material(k);

    random_fill(f, m->id.b, sizeof m->id.b);
    random_fill(f, m->check, sizeof m->check);
    m->role = (enum material_role)random_below(f, MATERIAL_ROLE_COUNT);
    m->present = some_bool(f);
    m->expiration = (enum expiration_model)random_below(f, DOES_NOT_EXPIRE + 1);
    m->valid_to = (int64_t)some_u64(f);
    m->has_description = some_bool(f);
    if (m->has_description)
        m->description = some_bytes(f, k->arena, 100);
    m->rotation_date = (int64_t)some_u64(f);
    m->rotation_type = (enum rotation_type)random_below(f, ROTATION_AUTOMATIC + 1);
    m->created = (int64_t)some_u64(f);
    m->warned_days = (uint16_t)some_u64(f);
    random_sealed(f, k->arena, &m->sealed);
}

static void random_life(struct fixture *f, struct key_record *k)
{
    k->multi_region = (enum multi_region)random_below(f, REGION_REPLICA + 1);
    k->primary_region = some_bytes(f, k->arena, REGION_MAX);
    k->regions = some_bytes(f, k->arena, 200);
    k->state = (enum key_state)random_below(f, KEY_STATE_COUNT);
    k->settles = (int64_t)some_u64(f);
    k->deletion_date = (int64_t)some_u64(f);
    k->pending_window_days = some_u32(f);
    k->description = some_bytes(f, k->arena, 200);
    k->policy = some_bytes(f, k->arena, random_below(f, 5) == 0 ? 32768 : 900);
    k->principals = some_bytes(f, k->arena, 300);
    k->rotation_enabled = some_bool(f);
    k->rotation_period_days = some_u32(f);
    k->next_rotation = (int64_t)some_u64(f);
    k->on_demand_start = (int64_t)some_u64(f);
    k->on_demand_count = some_u32(f);
}

static void random_tags(struct fixture *f, struct key_record *k)
{
    k->n_tags = random_below(f, 6);
    k->tags = arena_alloc(k->arena, (k->n_tags + 1) * sizeof *k->tags);
    for (size_t i = 0; i < k->n_tags; i++) {
        k->tags[i].key = some_bytes(f, k->arena, 128);
        k->tags[i].value = some_bytes(f, k->arena, 256);
    }
}

struct key_record *random_key(struct fixture *f)
{
    struct key_record *k = key_record_new();
    char               account[ACCOUNT_LEN];
    char               id[UUID_TEXT];
    uint8_t            uuid[16];

    assert_non_null(k);
    digits(f, account, sizeof account);
    random_fill(f, uuid, sizeof uuid);
    uuid_write(id, uuid);
    key_record_set_name(k, bytes_of(account, sizeof account),
                        bytes_str(regions[random_below(f, ARRAY_LEN(regions))]),
                        bytes_of(id, sizeof id));
    k->spec = (enum key_spec)random_below(f, SPEC_COUNT);
    k->usage = (enum key_usage)random_below(f, USAGE_COUNT);
    k->origin = (enum key_origin)random_below(f, ORIGIN_COUNT);
    k->created = (int64_t)some_u64(f);
    k->version = 1;
    random_life(f, k);
    for (uint64_t n = random_below(f, 5); n > 0; n--)
        random_material(f, k);
    random_tags(f, k);
    return k;
}

void random_edit(struct fixture *f, struct key_record *k)
{
    k->version++;
    random_life(f, k);
    if (k->n_materials > 0 && some_bool(f))
        key_record_remove_material(k, random_below(f, k->n_materials));
    if (some_bool(f))
        random_material(f, k);
    if (k->n_materials > 0 && some_bool(f))
        random_sealed(f, k->arena, &k->materials[random_below(f, k->n_materials)].sealed);
    if (some_bool(f))
        random_tags(f, k);
}

struct alias_record *random_alias(struct fixture *f, const struct key_record *target)
{
    char name[ALIAS_MAX] = "alias/";

    digits(f, name + 6, 20);
    size_t len = random_below(f, 3) == 0 ? ALIAS_MAX : 26; /* the long one ends in NULs */
    struct alias_record *a = alias_record_new(target->name.account, target->name.region,
                                              bytes_of(name, len));

    assert_non_null(a);
    memcpy(a->key_id, target->name.id.ptr, target->name.id.len);
    a->key_id[target->name.id.len] = '\0';
    a->created = (int64_t)some_u64(f);
    a->updated = (int64_t)some_u64(f);
    a->version = 1;
    return a;
}

struct alias_record *alias_clone(const struct alias_record *a)
{
    struct alias_record *to = alias_record_new(a->name.account, a->name.region, a->name.name);

    assert_non_null(to);
    struct alias_name name = to->name;

    *to = *a;
    to->name = name;
    return to;
}

struct import_key_record *random_import_key(struct fixture *f, const struct key_record *key)
{
    struct import_key_record *k = import_key_record_new();

    assert_non_null(k);
    random_fill(f, k->id, sizeof k->id);
    k->key.account = arena_copy(k->arena, key->name.account);
    k->key.region = arena_copy(k->arena, key->name.region);
    k->key.id = arena_copy(k->arena, key->name.id);
    k->key.arn = arena_copy(k->arena, key->name.arn);
    k->wrapping_algorithm = (uint8_t)random_below(f, 256);
    k->wrapping_spec = (uint8_t)random_below(f, 256);
    random_fill(f, k->fingerprint, sizeof k->fingerprint);
    k->valid_to = (int64_t)some_u64(f);
    random_sealed(f, k->arena, &k->sealed);
    return k;
}

static void random_pairs(struct fixture *f, struct grant_record *g)
{
    g->n_pairs = random_below(f, GRANT_PAIRS_MAX + 1);
    g->pairs = arena_alloc(g->arena, (g->n_pairs + 1) * sizeof *g->pairs);
    for (size_t i = 0; i < g->n_pairs; i++) {
        char key[2] = { (char)('a' + i), 'x' }; /* in order */
        g->pairs[i].key = arena_copy(g->arena, bytes_of(key, sizeof key));
        g->pairs[i].value = some_bytes(f, g->arena, 384);
    }
}

struct grant_record *random_grant(struct fixture *f, const struct key_record *key)
{
    struct grant_record *g = grant_record_new();
    char                 id[GRANT_ID_LEN];

    assert_non_null(g);
    digits(f, id, sizeof id);
    grant_record_set_key(g, key->name.account, key->name.region, key->name.id);
    g->id = arena_copy(g->arena, bytes_of(id, sizeof id));
    g->name = some_bytes(f, g->arena, 256);
    g->created = (int64_t)some_u64(f);
    g->grantee = some_bytes(f, g->arena, GRANT_PRINCIPAL_MAX);
    g->grantee_is_service = some_bool(f);
    g->retiring = some_bytes(f, g->arena, GRANT_PRINCIPAL_MAX);
    g->retiring_is_service = some_bool(f);
    g->issuing_account = arena_copy(g->arena, key->name.account);
    g->operations = some_u32(f);
    g->constraint = (enum grant_constraint)random_below(f, GRANT_CONTEXT_SUBSET + 1);
    random_pairs(f, g);
    g->source_arn = some_bytes(f, g->arena, 200);
    return g;
}

struct tombstone *random_tombstone(struct fixture *f)
{
    struct tombstone *t = calloc(1, sizeof *t);

    assert_non_null(t);
    memset(t->key_arn, 'a', random_below(f, sizeof t->key_arn));
    random_fill(f, t->material.b, sizeof t->material.b);
    t->slot = some_u32(f);
    t->slot_generation = some_u64(f);
    t->slot_class = random_below(f, 2) == 0 ? SLOT_ERASABLE : SLOT_DURABLE;
    t->at = (int64_t)some_u64(f);
    t->reason = (uint8_t)random_below(f, ERASE_REASON_COUNT);
    return t;
}

struct domain_key_record *random_domain(struct fixture *f)
{
    char    account[ACCOUNT_LEN];
    uint8_t wrapped[80];

    digits(f, account, sizeof account);
    random_fill(f, wrapped, sizeof wrapped);
    struct domain_key_record *d = domain_key_new(
        bytes_of(account, sizeof account), BYTES_LIT("eu-west-3"), some_u32(f),
        bytes_of(wrapped, random_below(f, sizeof wrapped)));

    assert_non_null(d);
    return d;
}

struct account_record *random_account(struct fixture *f)
{
    struct account_record *a = calloc(1, sizeof *a);

    assert_non_null(a);
    digits(f, a->id, ACCOUNT_LEN);
    digits(f, a->name, random_below(f, sizeof a->name));
    digits(f, a->organization, random_below(f, sizeof a->organization));
    a->created = (int64_t)some_u64(f);
    a->version = 1;
    return a;
}

static struct bytes some_digits(struct fixture *f, struct arena *arena, size_t min, size_t max)
{
    char   text[IDENTITY_PATH_MAX];
    size_t len = min + random_below(f, max - min + 1);

    digits(f, text, len);
    return arena_copy(arena, bytes_of(text, len));
}

static void random_documents(struct fixture *f, struct arena *arena, struct identity_document **ret,
                             size_t *n, size_t max)
{
    *n = random_below(f, max + 1);
    *ret = arena_alloc(arena, (*n + 1) * sizeof **ret);
    for (size_t i = 0; i < *n; i++)
        (*ret)[i] = (struct identity_document){ .name = some_bytes(f, arena, 128),
                                                .text = some_bytes(f, arena, 6000),
                                                .created = (int64_t)some_u64(f),
                                                .is_default = some_bool(f) };
}

static void random_tag_list(struct fixture *f, struct arena *arena, struct key_tag **ret, size_t *n)
{
    *n = random_below(f, 6);
    *ret = arena_alloc(arena, (*n + 1) * sizeof **ret);
    for (size_t i = 0; i < *n; i++)
        (*ret)[i] = (struct key_tag){ some_bytes(f, arena, 128), some_bytes(f, arena, 256) };
}

/* Everything that an update may change. */
static void random_identity_body(struct fixture *f, struct identity_record *r)
{
    r->path = some_digits(f, r->arena, 1, IDENTITY_PATH_MAX); /* the ARN is made of it */
    r->description = some_bytes(f, r->arena, 200);
    r->created = (int64_t)some_u64(f);
    r->updated = (int64_t)some_u64(f);
    r->trust = some_bytes(f, r->arena, 2000);
    r->trust_principals = some_bytes(f, r->arena, 300);
    r->max_session_s = some_u32(f);
    r->boundary = some_bytes(f, r->arena, 100);
    r->last_version = some_u32(f);
    random_documents(f, r->arena, &r->documents, &r->n_documents,
                     random_below(f, 4) == 0 ? INLINE_MAX : 3);
    r->n_attached = random_below(f, ATTACHED_MAX + 1);
    r->attached = arena_alloc(r->arena, (r->n_attached + 1) * sizeof r->attached[0]);
    for (size_t i = 0; i < r->n_attached; i++)
        r->attached[i] = some_bytes(f, r->arena, 100);
    random_tag_list(f, r->arena, &r->tags, &r->n_tags);
    uint8_t    room[IDENTITY_ARN_MAX];
    struct buf arn = { .ptr = room, .cap = sizeof room, .limit = sizeof room };
    identity_arn_add(&arn, r->kind, r->account, r->path, r->name);
    r->arn = arena_copy(r->arena, buf_bytes(&arn));
}

struct identity_record *random_identity(struct fixture *f, const struct account_record *account)
{
    struct identity_record *r = identity_record_new();

    assert_non_null(r);
    r->kind = (enum identity_kind)random_below(f, IDENTITY_KIND_COUNT);
    r->account = arena_copy(r->arena, bytes_str(account->id));
    r->name = some_digits(f, r->arena, 20, IDENTITY_NAME_MAX);
    r->unique_id = some_digits(f, r->arena, 20, UNIQUE_ID_MAX);
    r->version = 1;
    random_identity_body(f, r);
    return r;
}

void random_identity_edit(struct fixture *f, struct identity_record *r)
{
    r->version++;
    random_identity_body(f, r);
}

struct access_key_record *random_access_key(struct fixture *f, const struct account_record *account)
{
    struct access_key_record *k = access_key_record_new();
    struct session           *s = &k->session;

    assert_non_null(k);
    k->id = some_digits(f, k->arena, 20, 128);
    k->account = arena_copy(k->arena, bytes_str(account->id));
    k->principal_id = some_digits(f, k->arena, 12, UNIQUE_ID_MAX);
    k->root = some_bool(f);
    k->active = some_bool(f);
    k->created = (int64_t)some_u64(f);
    k->version = 1;
    k->wrapped_secret = some_bytes(f, k->arena, 100);
    s->kind = (enum session_kind)random_below(f, SESSION_ROOT + 1);
    if (s->kind == SESSION_NONE)
        return k;
    s->name = some_bytes(f, k->arena, SESSION_NAME_MAX);
    s->expires = (int64_t)some_u64(f);
    random_fill(f, s->token_hash, sizeof s->token_hash);
    s->source_identity = some_bytes(f, k->arena, 64);
    s->provider = some_bytes(f, k->arena, 200);
    random_documents(f, k->arena, &s->policies, &s->n_policies, SESSION_POLICIES_MAX);
    random_tag_list(f, k->arena, &s->tags, &s->n_tags);
    s->n_transitive = (uint32_t)random_below(f, 51);
    return k;
}

/* --- comparison: member by member, on purpose without the code under test --------------------- */

static void same_bytes(struct bytes a, struct bytes b)
{
    assert_int_equal(a.len, b.len);
    assert_true(bytes_eq(a, b));
}

static void same_sealed(const struct sealed *a, const struct sealed *b)
{
    same_bytes(a->wrapped, b->wrapped);
    assert_int_equal(a->domain_version, b->domain_version);
    assert_int_equal(a->slot, b->slot);
    assert_true(a->slot_generation == b->slot_generation);
    assert_int_equal(a->slot_class, b->slot_class);
}

static void same_name(const struct key_name *a, const struct key_name *b)
{
    same_bytes(a->account, b->account);
    same_bytes(a->region, b->region);
    same_bytes(a->id, b->id);
    same_bytes(a->arn, b->arn);
}

static void same_material(const struct key_material *a, const struct key_material *b)
{
    assert_memory_equal(a->id.b, b->id.b, sizeof a->id.b);
    assert_memory_equal(a->check, b->check, sizeof a->check);
    assert_int_equal(a->role, b->role);
    assert_int_equal(a->present, b->present);
    assert_int_equal(a->expiration, b->expiration);
    assert_true(a->valid_to == b->valid_to);
    assert_int_equal(a->has_description, b->has_description);
    same_bytes(a->description, b->description);
    assert_true(a->rotation_date == b->rotation_date);
    assert_int_equal(a->rotation_type, b->rotation_type);
    assert_true(a->created == b->created);
    assert_int_equal(a->warned_days, b->warned_days);
    same_sealed(&a->sealed, &b->sealed);
}

void assert_keys_equal(const struct key_record *a, const struct key_record *b)
{
    same_name(&a->name, &b->name);
    assert_int_equal(a->spec, b->spec);
    assert_int_equal(a->usage, b->usage);
    assert_int_equal(a->origin, b->origin);
    assert_int_equal(a->multi_region, b->multi_region);
    same_bytes(a->primary_region, b->primary_region);
    same_bytes(a->regions, b->regions);
    assert_true(a->created == b->created);
    assert_true(a->serial == b->serial);
    assert_true(a->version == b->version);
    assert_int_equal(a->state, b->state);
    assert_true(a->settles == b->settles);
    assert_true(a->deletion_date == b->deletion_date);
    assert_int_equal(a->pending_window_days, b->pending_window_days);
    same_bytes(a->description, b->description);
    same_bytes(a->policy, b->policy);
    same_bytes(a->principals, b->principals);
    assert_int_equal(a->n_materials, b->n_materials);
    for (size_t i = 0; i < a->n_materials; i++)
        same_material(&a->materials[i], &b->materials[i]);
    assert_int_equal(a->rotation_enabled, b->rotation_enabled);
    assert_int_equal(a->rotation_period_days, b->rotation_period_days);
    assert_true(a->next_rotation == b->next_rotation);
    assert_true(a->on_demand_start == b->on_demand_start);
    assert_int_equal(a->on_demand_count, b->on_demand_count);
    assert_int_equal(a->n_tags, b->n_tags);
    for (size_t i = 0; i < a->n_tags; i++) {
        same_bytes(a->tags[i].key, b->tags[i].key);
        same_bytes(a->tags[i].value, b->tags[i].value);
    }
}

void assert_aliases_equal(const struct alias_record *a, const struct alias_record *b)
{
    same_bytes(a->name.account, b->name.account);
    same_bytes(a->name.region, b->name.region);
    same_bytes(a->name.name, b->name.name);
    assert_string_equal(a->key_id, b->key_id);
    assert_true(a->created == b->created);
    assert_true(a->updated == b->updated);
    assert_true(a->serial == b->serial);
    assert_true(a->version == b->version);
}

void assert_import_keys_equal(const struct import_key_record *a, const struct import_key_record *b)
{
    assert_memory_equal(a->id, b->id, sizeof a->id);
    same_name(&a->key, &b->key);
    assert_int_equal(a->wrapping_algorithm, b->wrapping_algorithm);
    assert_int_equal(a->wrapping_spec, b->wrapping_spec);
    assert_memory_equal(a->fingerprint, b->fingerprint, sizeof a->fingerprint);
    assert_true(a->valid_to == b->valid_to);
    same_sealed(&a->sealed, &b->sealed);
}

void assert_grants_equal(const struct grant_record *a, const struct grant_record *b)
{
    same_name(&a->key, &b->key);
    same_bytes(a->id, b->id);
    same_bytes(a->name, b->name);
    assert_true(a->created == b->created);
    assert_true(a->serial == b->serial);
    same_bytes(a->grantee, b->grantee);
    assert_int_equal(a->grantee_is_service, b->grantee_is_service);
    same_bytes(a->retiring, b->retiring);
    assert_int_equal(a->retiring_is_service, b->retiring_is_service);
    same_bytes(a->issuing_account, b->issuing_account);
    assert_int_equal(a->operations, b->operations);
    assert_int_equal(a->constraint, b->constraint);
    assert_int_equal(a->n_pairs, b->n_pairs);
    for (size_t i = 0; i < a->n_pairs; i++) {
        same_bytes(a->pairs[i].key, b->pairs[i].key);
        same_bytes(a->pairs[i].value, b->pairs[i].value);
    }
    same_bytes(a->source_arn, b->source_arn);
}

void assert_tombstones_equal(const struct tombstone *a, const struct tombstone *b)
{
    assert_true(a->serial == b->serial);
    assert_string_equal(a->key_arn, b->key_arn);
    assert_memory_equal(a->material.b, b->material.b, sizeof a->material.b);
    assert_int_equal(a->slot, b->slot);
    assert_true(a->slot_generation == b->slot_generation);
    assert_int_equal(a->slot_class, b->slot_class);
    assert_true(a->at == b->at);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->erased, b->erased);
}

void assert_domains_equal(const struct domain_key_record *a, const struct domain_key_record *b)
{
    same_bytes(a->account, b->account);
    same_bytes(a->region, b->region);
    assert_int_equal(a->version, b->version);
    same_bytes(a->wrapped, b->wrapped);
}

static void same_documents(const struct identity_document *a, size_t n_a,
                           const struct identity_document *b, size_t n_b)
{
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++) {
        same_bytes(a[i].name, b[i].name);
        same_bytes(a[i].text, b[i].text);
        assert_true(a[i].created == b[i].created);
        assert_int_equal(a[i].is_default, b[i].is_default);
    }
}

static void same_tags(const struct key_tag *a, size_t n_a, const struct key_tag *b, size_t n_b)
{
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++) {
        same_bytes(a[i].key, b[i].key);
        same_bytes(a[i].value, b[i].value);
    }
}

void assert_accounts_equal(const struct account_record *a, const struct account_record *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->organization, b->organization);
    assert_true(a->created == b->created);
    assert_true(a->version == b->version);
}

void assert_identities_equal(const struct identity_record *a, const struct identity_record *b)
{
    assert_int_equal(a->kind, b->kind);
    same_bytes(a->account, b->account);
    same_bytes(a->path, b->path);
    same_bytes(a->name, b->name);
    same_bytes(a->arn, b->arn);
    same_bytes(a->unique_id, b->unique_id);
    same_bytes(a->description, b->description);
    assert_true(a->created == b->created);
    assert_true(a->updated == b->updated);
    assert_true(a->serial == b->serial);
    assert_true(a->version == b->version);
    same_bytes(a->trust, b->trust);
    same_bytes(a->trust_principals, b->trust_principals);
    assert_int_equal(a->max_session_s, b->max_session_s);
    same_bytes(a->boundary, b->boundary);
    assert_int_equal(a->last_version, b->last_version);
    same_documents(a->documents, a->n_documents, b->documents, b->n_documents);
    assert_int_equal(a->n_attached, b->n_attached);
    for (size_t i = 0; i < a->n_attached; i++)
        same_bytes(a->attached[i], b->attached[i]);
    same_tags(a->tags, a->n_tags, b->tags, b->n_tags);
}

void assert_access_keys_equal(const struct access_key_record *a, const struct access_key_record *b)
{
    const struct session *x = &a->session;
    const struct session *y = &b->session;

    same_bytes(a->id, b->id);
    same_bytes(a->account, b->account);
    same_bytes(a->principal_id, b->principal_id);
    assert_int_equal(a->root, b->root);
    assert_int_equal(a->active, b->active);
    assert_true(a->created == b->created);
    assert_true(a->serial == b->serial);
    assert_true(a->version == b->version);
    same_bytes(a->wrapped_secret, b->wrapped_secret);
    assert_int_equal(x->kind, y->kind);
    same_bytes(x->name, y->name);
    assert_true(x->expires == y->expires);
    assert_memory_equal(x->token_hash, y->token_hash, sizeof x->token_hash);
    same_bytes(x->source_identity, y->source_identity);
    same_bytes(x->provider, y->provider);
    assert_int_equal(x->n_transitive, y->n_transitive);
    same_documents(x->policies, x->n_policies, y->policies, y->n_policies);
    same_tags(x->tags, x->n_tags, y->tags, y->n_tags);
}
