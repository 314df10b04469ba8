/* seed/read_key.c - the keys of a seed with their material and replicas, and aliases and grants.
 *
 * Members are those of CreateKey, ImportKeyMaterial, EnableKeyRotation, ReplicateKey, CreateAlias and
 * CreateGrant, and the rows of these operations check them one by one, so that an error names the
 * member. What the API does not have is checked here: ids, material, and what excludes each other.
 */
#include <stdio.h>

#include "seed/internal.h"

#include "base/encode.h"
#include "crypto/key.h"
#include "json/write.h"
#include "key/family.h"

/* --- members of operations -------------------------------------------------------------------- */

static const struct operation *row_of(const char *name)
{
    char target[64];

    (void)snprintf(target, sizeof target, "TrentService.%s", name);
    return operation_find(bytes_str(target));
}

static void begin_item(struct reader *r, const struct place *at, enum seed_kind kind,
                       const char *operation)
{
    r->item = reader_add(r, kind, at);
    r->item->op = row_of(operation);
}

/* Those of `names` that are there go into the present item's input, as members of this operation. */
static enum kms_status read_members(struct reader *r, const struct place *at, struct json object,
                                    const char *operation, const char *const *names)
{
    const struct operation *op = row_of(operation);

    for (; *names != NULL; names++) {
        struct place place;
        struct json  v = reader_member(at, object, *names, &place);
        if (v.node == NULL)
            continue;
        if (operation_read_member(op, *names, v, &r->item->in, r->reterr) != KMS_OK)
            return seed_blame(r->seed->file, reader_line(r, &place), reader_path(r, &place),
                              r->reterr);
    }
    return KMS_OK;
}

/* A document that came as an object is checked as the text that it would have been. */
static enum kms_status check_text(struct reader *r, struct bytes text)
{
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    CLEANUP(buf_release) struct buf          json = BUF_INIT(SEED_BYTES_MAX);
    struct json_writer                       w;
    struct json                              v;
    struct op_input                          unused = { .limit = { .set = false } };

    json_writer_init(&w, &json);
    json_put_string(&w, NULL, text);
    if (doc == NULL || !buf_reserve(&json, JSON_PADDING))
        return KMS_FAIL(r->reterr, KMS_E_INTERNAL, "no memory for a seed");
    TRY(json_parse(doc, json.ptr, json.len, &v, r->reterr));
    return operation_read_member(row_of("CreateKey"), "Policy", v, &unused, r->reterr);
}

static enum kms_status read_key_policy(struct reader *r, const struct place *at, struct json object)
{
    struct place place;
    struct bytes text = { NULL, 0 };
    struct json  v = reader_member(at, object, "Policy", &place);

    if (v.node == NULL)
        return KMS_OK;
    TRY(reader_document(r, &place, v, &text));
    if (check_text(r, text) != KMS_OK)
        return seed_blame(r->seed->file, reader_line(r, &place), reader_path(r, &place), r->reterr);
    r->item->in.policy = text;
    return KMS_OK;
}

/* --- material --------------------------------------------------------------------------------- */

/* Seconds since the epoch, or "2030-01-31T12:00:00Z". */
static enum kms_status read_date(struct reader *r, const struct place *at, struct json object,
                                 const char *name, int64_t *ret)
{
    struct place place;
    struct json  v = reader_member(at, object, name, &place);

    if (v.node == NULL)
        return KMS_OK;
    if (json_type(v) == JSON_INT && json_int(v, ret) && *ret > 0 && *ret < INT64_MAX / 1000) {
        *ret *= 1000;
        return KMS_OK;
    }
    if (json_type(v) != JSON_STRING || !date_iso8601_read(json_string(v), ret))
        return reader_refuse(r, &place,
                             "this must be a date like \"2030-01-31T12:00:00Z\", or "
                             "seconds since 1970");
    return KMS_OK;
}

/* Why bytes are no material of the key's spec; NULL if they are. */
static const char *material_fault(struct reader *r, enum key_spec spec, enum key_origin origin,
                                  struct bytes content)
{
    CLEANUP(secret_freep) struct secret *canonical = NULL;
    const struct key_spec_info          *info = spec_info(spec);

    if (info->openssl == NULL && origin == ORIGIN_AWS_KMS && content.len != info->material_min)
        return "this has not the length of generated material of this KeySpec "
               "(SYMMETRIC_DEFAULT: 32 bytes); for other lengths that can be imported, "
               "Origin is EXTERNAL";
    if (!r->check_material)
        return NULL;
    if (crypto_key_import(spec, content, &canonical, NULL) == KMS_OK)
        return NULL;
    return info->openssl == NULL ? "this has not the length of material for this KeySpec"
                                 : "this is no private key of this KeySpec: PKCS #8, DER, without "
                                   "a passphrase";
}

static enum kms_status decode(struct reader *r, const struct place *at, struct json object,
                              struct bytes *ret)
{
    struct buf  *plain = &r->seed->plain;
    struct place place;
    struct bytes text = { NULL, 0 };
    size_t       len = 0;
    const char  *fault = "this is not base64";

    TRY(reader_string(r, at, object, "Material", "the bytes, in base64", &text));
    (void)reader_member(at, object, "Material", &place);
    /* there is room for as many bytes as the whole file has */
    if (text.len > 0 && plain->cap - plain->len >= base64_decoded_max(text.len) &&
        base64_read(text, plain->ptr + plain->len, &len) && len > 0) {
        *ret = bytes_of(plain->ptr + plain->len, len);
        plain->len += len;
        fault = material_fault(r, (enum key_spec)r->item->in.key_spec.v,
                               (enum key_origin)r->item->in.origin.v, *ret);
    }
    return fault == NULL ? KMS_OK : reader_refuse(r, &place, "%s", fault);
}

static const char *const material_members[] = { "Material", "ValidTo", "KeyMaterialDescription",
                                                "RotationDate", NULL };

/* What only imported material has. */
static enum kms_status refuse_imported_only(struct reader *r, const struct place *at,
                                            struct json object)
{
    static const char *const names[] = { "ValidTo", "KeyMaterialDescription" };
    struct place             place;

    for (size_t i = 0; i < ARRAY_LEN(names) && r->item->in.origin.v != ORIGIN_EXTERNAL; i++) {
        if (reader_member(at, object, names[i], &place).node != NULL)
            return reader_refuse(r, &place,
                                 "only imported material has this: the key needs "
                                 "\"Origin\": \"EXTERNAL\"");
    }
    return KMS_OK;
}

static enum kms_status add_material(struct reader *r, const struct place *at, struct json v)
{
    static const char *const names[] = { "KeyMaterialDescription", NULL };
    struct seed_key         *key = r->item->key;
    struct seed_material     m = { .line = reader_line(r, at), .path = reader_path(r, at) };
    struct seed_material *all = arena_alloc(r->seed->arena, (key->n_materials + 1) * sizeof *all);

    TRY(decode(r, at, v, &m.bytes));
    TRY(refuse_imported_only(r, at, v));
    TRY(read_date(r, at, v, "ValidTo", &m.valid_to));
    TRY(read_date(r, at, v, "RotationDate", &m.rotation_date));
    r->item->in.key_material_description = (struct bytes){ NULL, 0 };
    TRY(read_members(r, at, v, "ImportKeyMaterial", names));
    m.description = r->item->in.key_material_description;
    m.has_description = m.description.ptr != NULL;
    for (size_t i = 0; i < key->n_materials; i++) {
        if (bytes_eq(key->materials[i].bytes, m.bytes))
            return reader_refuse(r, at, "the key has this material already");
    }
    if (key->n_materials > 0)
        memcpy(all, key->materials, key->n_materials * sizeof *all);
    all[key->n_materials++] = m;
    key->materials = all;
    return KMS_OK;
}

static enum kms_status read_material(struct reader *r, const struct place *at, struct json v)
{
    TRY(reader_object(r, at, v, material_members));
    return add_material(r, at, v);
}

/* Material: one, with what belongs to it beside it. Materials: a list, the oldest first. */
static enum kms_status read_materials(struct reader *r, const struct place *at, struct json object)
{
    struct seed_key *key = r->item->key;
    struct place     one;
    struct place     list;
    enum key_spec    spec = (enum key_spec)r->item->in.key_spec.v;
    bool             has_one = reader_member(at, object, "Material", &one).node != NULL;
    bool             has_list = reader_member(at, object, "Materials", &list).node != NULL;

    if (has_one && has_list)
        return reader_refuse(r, &list, "a key has Material or Materials, not both");
    if (has_one)
        return add_material(r, at, object);
    TRY(refuse_imported_only(r, at, object));
    TRY(reader_each(r, at, object, "Materials", read_material));
    if (key->n_materials > 1 && !spec_info(spec)->rotates)
        return reader_refuse(r, &list,
                             "only symmetric encryption keys rotate: this key has one "
                             "material");
    if (key->n_materials > LIMIT_ON_DEMAND_ROTATIONS + 1)
        return reader_refuse(r, &list, "a key has at most %d materials here",
                             LIMIT_ON_DEMAND_ROTATIONS + 1);
    return KMS_OK;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum kms_status read_id(struct reader *r, const struct place *at, struct json object)
{
    struct op_input *in = &r->item->in;
    struct seed_key *key = r->item->key;
    struct place     place;
    bool             multi;

    TRY(reader_string(r, at, object, "KeyId", "a fixed key id is what a seed is for", &key->id));
    (void)reader_member(at, object, "KeyId", &place);
    if (!key_id_well_formed(key->id))
        return reader_refuse(r, &place,
                             "a key id is a UUID, or mrk- and 32 digits of 0 to 9 and a "
                             "to f");
    multi = bytes_starts(key->id, BYTES_LIT("mrk-"));
    if (in->multi_region.set && (in->multi_region.v != 0) != multi)
        return reader_refuse(r, &place,
                             "the ids of multi-Region keys begin with mrk-, and no others "
                             "do");
    in->multi_region = (struct op_int){ .set = true, .v = multi };
    return KMS_OK;
}

static enum kms_status read_rotation(struct reader *r, const struct place *at, struct json object)
{
    static const char *const names[] = { "RotationPeriodInDays", NULL };
    struct op_input         *in = &r->item->in;
    struct seed_key         *key = r->item->key;
    struct place             place;

    TRY(reader_bool(r, at, object, "KeyRotationEnabled", &key->rotates));
    TRY(read_members(r, at, object, "EnableKeyRotation", names));
    key->rotation_period = in->rotation_period_days;
    if (key->rotation_period.set && !key->rotates) {
        (void)reader_member(at, object, names[0], &place);
        return reader_refuse(r, &place, "this means nothing without \"KeyRotationEnabled\": true");
    }
    if (key->rotates &&
        (!spec_info((enum key_spec)in->key_spec.v)->rotates || in->origin.v != ORIGIN_AWS_KMS)) {
        (void)reader_member(at, object, "KeyRotationEnabled", &place);
        return reader_refuse(r, &place,
                             "only symmetric encryption keys with origin AWS_KMS rotate by "
                             "themselves");
    }
    return KMS_OK;
}

static enum kms_status read_enabled(struct reader *r, const struct place *at, struct json object)
{
    struct place place;
    bool         enabled = true;

    TRY(reader_bool(r, at, object, "Enabled", &enabled));
    r->item->disabled = !enabled;
    if (!enabled && r->item->in.origin.v == ORIGIN_EXTERNAL && r->item->key->n_materials == 0) {
        (void)reader_member(at, object, "Enabled", &place);
        return reader_refuse(r, &place,
                             "a key that waits for its material is neither enabled nor "
                             "disabled");
    }
    return KMS_OK;
}

static enum kms_status check_item(struct reader *r, const struct place *at, struct json object)
{
    struct op_call call = seed_call_of(r->item);

    if (r->item->op->prepare(&call, r->reterr) != KMS_OK)
        return reader_blame(r, at, object);
    return KMS_OK;
}

static read_fn read_key_alias, read_key_grant;

static const char *const replica_members[] = { "Region",  "Description", "Policy", "Tags",
                                               "Enabled", "Aliases",     "Grants", NULL };

static enum kms_status add_region(struct reader *r, const struct place *at, struct seed_key *key)
{
    struct bytes *all = arena_alloc(r->seed->arena, (key->n_regions + 1) * sizeof *all);

    for (size_t i = 0; i < key->n_regions; i++) {
        if (bytes_eq(key->regions[i], r->region))
            return reader_refuse(r, at, "the key is in %.*s already", BYTES_FMT(r->region));
    }
    if (key->n_regions >= FAMILY_MAX)
        return reader_refuse(r, at, "a key is in at most %d Regions", FAMILY_MAX);
    if (key->n_regions > 0)
        memcpy(all, key->regions, key->n_regions * sizeof *all);
    all[key->n_regions++] = r->region;
    key->regions = all;
    return KMS_OK;
}

static enum kms_status read_replica(struct reader *r, const struct place *at, struct json v)
{
    static const char *const names[] = { "Description", "Tags", NULL };
    const struct bytes       outer = r->region;
    const size_t             primary = r->primary;
    struct bytes             region = { NULL, 0 };

    TRY(reader_object(r, at, v, replica_members));
    TRY(reader_string(r, at, v, "Region", "where is the replica?", &region));
    TRY(reader_region(r, at, v));
    begin_item(r, at, SEED_REPLICA, "CreateKey");
    r->item->primary = primary;
    const struct seed_item *of = &r->seed->items[primary];

    r->item->key = of->key;
    r->item->in.key_spec = of->in.key_spec;
    r->item->in.key_usage = of->in.key_usage;
    r->item->in.origin = of->in.origin;
    r->item->in.multi_region = of->in.multi_region;
    TRY(add_region(r, at, of->key));
    TRY(read_members(r, at, v, "CreateKey", names));
    TRY(read_key_policy(r, at, v));
    TRY(read_enabled(r, at, v));
    TRY(check_item(r, at, v));
    TRY(reader_each(r, at, v, "Aliases", read_key_alias));
    TRY(reader_each(r, at, v, "Grants", read_key_grant));
    r->region = outer;
    return KMS_OK;
}

static const char *const key_members[] = {
    "AccountId",
    "Region",
    "KeyId",
    "KeySpec",
    "KeyUsage",
    "Origin",
    "Enabled",
    "Description",
    "MultiRegion",
    "Policy",
    "Tags",
    "Material",
    "Materials",
    "ValidTo",
    "KeyMaterialDescription",
    "Aliases",
    "Grants",
    "KeyRotationEnabled",
    "Replicas",
    "RotationPeriodInDays",
    NULL,
};

static enum kms_status read_key_itself(struct reader *r, const struct place *at, struct json v)
{
    static const char *const names[] = { "KeySpec", "KeyUsage",    "Origin", "Description",
                                         "Tags",    "MultiRegion", NULL };
    struct op_input         *in = &r->item->in;

    TRY(read_members(r, at, v, "CreateKey", names));
    TRY(read_key_policy(r, at, v));
    TRY(read_id(r, at, v));
    TRY(add_region(r, at, r->item->key));
    TRY(check_item(r, at, v));
    /* what holds when it is not said; CreateKey's checks tell the two apart */
    in->key_spec = (struct op_int){ true, in->key_spec.v };
    in->key_usage = (struct op_int){ true, in->key_usage.v };
    in->origin = (struct op_int){ true, in->origin.v };
    TRY(read_materials(r, at, v));
    TRY(read_rotation(r, at, v));
    return read_enabled(r, at, v);
}

enum kms_status read_key(struct reader *r, const struct place *at, struct json v)
{
    const struct bytes account = r->account;
    const struct bytes region = r->region;
    struct place       place;

    TRY(reader_object(r, at, v, key_members));
    TRY(reader_account(r, at, v));
    TRY(reader_region(r, at, v));
    begin_item(r, at, SEED_KEY, "CreateKey");
    r->primary = r->seed->n - 1;
    r->item->key = arena_alloc(r->seed->arena, sizeof *r->item->key);
    TRY(read_key_itself(r, at, v));
    const struct seed_key *key = r->item->key;

    r->key_id = key->id;
    if (reader_member(at, v, "Replicas", &place).node != NULL && r->item->in.multi_region.v == 0)
        return reader_refuse(r, &place,
                             "only multi-Region keys have replicas: their ids begin with "
                             "mrk-");
    TRY(reader_each(r, at, v, "Aliases", read_key_alias));
    TRY(reader_each(r, at, v, "Grants", read_key_grant));
    TRY(reader_each(r, at, v, "Replicas", read_replica));
    r->account = account;
    r->region = region;
    return KMS_OK;
}

/* --- aliases and grants ----------------------------------------------------------------------- */

static const char *const alias_members[] = { "AccountId", "Region", "AliasName", "TargetKeyId",
                                             NULL };

/* A key id: the account and the Region are those of the alias or grant. */
static enum kms_status check_target(struct reader *r, const struct place *at, struct json object,
                                    const char *name, struct bytes id)
{
    struct place place;

    if (id.ptr == NULL)
        return reader_refuse(r, at, "%s is missing: the id of a key", name);
    if (key_id_well_formed(id))
        return KMS_OK;
    (void)reader_member(at, object, name, &place);
    return reader_refuse(r, &place, "this must be the id of a key, not an ARN or alias");
}

enum kms_status read_alias(struct reader *r, const struct place *at, struct json v)
{
    static const char *const names[] = { "AliasName", "TargetKeyId", NULL };
    const struct bytes       account = r->account;
    const struct bytes       region = r->region;

    TRY(reader_object(r, at, v, alias_members));
    TRY(reader_account(r, at, v));
    TRY(reader_region(r, at, v));
    begin_item(r, at, SEED_ALIAS, "CreateAlias");
    TRY(read_members(r, at, v, "CreateAlias", names));
    if (r->item->in.alias_name.ptr == NULL)
        return reader_refuse(r, at, "AliasName is missing: \"alias/...\"");
    TRY(check_target(r, at, v, "TargetKeyId", r->item->in.target_key_id));
    TRY(check_item(r, at, v));
    r->account = account;
    r->region = region;
    return KMS_OK;
}

/* Among a key's own: a name. */
static enum kms_status read_key_alias(struct reader *r, const struct place *at, struct json v)
{
    begin_item(r, at, SEED_ALIAS, "CreateAlias");
    if (json_type(v) != JSON_STRING)
        return reader_refuse(r, at, "this must be the name of an alias, \"alias/...\"");
    if (operation_read_member(r->item->op, "AliasName", v, &r->item->in, r->reterr) != KMS_OK)
        return reader_blame(r, at, v);
    r->item->in.target_key_id = r->key_id;
    return check_item(r, at, v);
}

static const char *const grant_members[] = {
    "AccountId",
    "Region",
    "KeyId",
    "GranteePrincipal",
    "RetiringPrincipal",
    "GranteeServicePrincipal",
    "Operations",
    "RetiringServicePrincipal",
    "Constraints",
    "Name",
    NULL,
};

static enum kms_status read_grant_members(struct reader *r, const struct place *at, struct json v)
{
    static const char *const names[] = { "GranteePrincipal",
                                         "GranteeServicePrincipal",
                                         "RetiringPrincipal",
                                         "RetiringServicePrincipal",
                                         "Operations",
                                         "Constraints",
                                         "Name",
                                         NULL };

    TRY(read_members(r, at, v, "CreateGrant", names));
    if (r->item->in.grant_operations.node == NULL)
        return reader_refuse(r, at, "Operations is missing: what does the grant allow?");
    return check_item(r, at, v);
}

enum kms_status read_grant(struct reader *r, const struct place *at, struct json v)
{
    const struct bytes account = r->account;
    const struct bytes region = r->region;
    struct bytes       id = { NULL, 0 };

    TRY(reader_object(r, at, v, grant_members));
    TRY(reader_account(r, at, v));
    TRY(reader_region(r, at, v));
    TRY(reader_string(r, at, v, "KeyId", "the id of a key", &id));
    TRY(check_target(r, at, v, "KeyId", id));
    begin_item(r, at, SEED_GRANT, "CreateGrant");
    r->item->in.key_id = id;
    TRY(read_grant_members(r, at, v));
    r->account = account;
    r->region = region;
    return KMS_OK;
}

static enum kms_status read_key_grant(struct reader *r, const struct place *at, struct json v)
{
    TRY(reader_object(r, at, v, grant_members + 3)); /* whose key it is, is known */
    begin_item(r, at, SEED_GRANT, "CreateGrant");
    r->item->in.key_id = r->key_id;
    return read_grant_members(r, at, v);
}
