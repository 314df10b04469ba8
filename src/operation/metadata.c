/* operation/metadata.c - KeyMetadata, as CreateKey and DescribeKey answer it (kms-behaviour
 * 15.7). */
#include "base/cleanup.h"
#include "operation/handlers.h"

static const char *const list_names[USAGE_COUNT] = {
    [USAGE_ENCRYPT_DECRYPT] = "EncryptionAlgorithms",
    [USAGE_SIGN_VERIFY] = "SigningAlgorithms",
    [USAGE_GENERATE_VERIFY_MAC] = "MacAlgorithms",
    [USAGE_KEY_AGREEMENT] = "KeyAgreementAlgorithms",
    [USAGE_ENCAPSULATE_DECAPSULATE] = "EncapsulationAlgorithms",
};

void op_put_algorithms(struct json_writer *w, const struct key_record *key)
{
    const struct key_spec_info *info = spec_info(key->spec);

    json_open_array(w, list_names[key->usage]);
    for (unsigned i = 0; i < info->usages[key->usage].count; i++)
        json_put_str(w, NULL, algorithm_names[info->usages[key->usage].list[i]]);
    json_close_array(w);
}

/* ExpirationModel and ValidTo: only of imported keys, and only while nothing is missing or expired
 * (R34, kms-behaviour 7.7). A pending material does not count. */
static bool shows_expiration(const struct key_record *key, enum key_state state, int64_t now)
{
    if (key->origin != ORIGIN_EXTERNAL || state == KEY_PENDING_IMPORT ||
        key_record_with_role(key, MATERIAL_CURRENT) == NULL)
        return false;
    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        bool associated = m->role == MATERIAL_CURRENT || m->role == MATERIAL_NON_CURRENT;
        bool gone = !m->present || m->sealed.wrapped.len == 0;

        if (associated && (gone || (m->expiration == EXPIRES && m->valid_to <= now)))
            return false;
    }
    return true;
}

static void put_key_in_region(struct json_writer *w, const char *name, const struct key_record *key,
                              struct bytes region)
{
    CLEANUP(buf_release) struct buf arn = BUF_INIT(KEY_ARN_MAX);

    key_arn_add(&arn, key->name.account, region, key->name.id);
    json_open_object(w, name);
    json_put_string(w, "Arn", buf_bytes(&arn));
    json_put_string(w, "Region", region);
    json_close_object(w);
}

static void put_multi_region(struct json_writer *w, const struct key_record *key)
{
    json_put_bool(w, "MultiRegion", key->multi_region != REGION_SINGLE);
    if (key->multi_region == REGION_SINGLE)
        return;
    json_open_object(w, "MultiRegionConfiguration");
    json_put_str(w, "MultiRegionKeyType",
                 key->multi_region == REGION_PRIMARY ? "PRIMARY" : "REPLICA");
    put_key_in_region(w, "PrimaryKey", key, key->primary_region);
    json_open_array(w, "ReplicaKeys"); /* of a replica: itself among them */
    struct bytes rest = key->regions;
    struct bytes region;
    while (key_regions_next(&rest, &region)) {
        if (!bytes_eq(region, key->primary_region))
            put_key_in_region(w, NULL, key, region);
    }
    json_close_array(w);
    json_close_object(w);
}

static void put_deletion(struct json_writer *w, const struct key_record *key, enum key_state state)
{
    if (state == KEY_PENDING_DELETION)
        json_put_time(w, "DeletionDate", key->deletion_date);
    if (state == KEY_PENDING_REPLICA_DELETION)
        json_put_int(w, "PendingDeletionWindowInDays", key->pending_window_days);
}

static void put_current_material(struct json_writer *w, const struct key_record *key,
                                 enum key_state state)
{
    const struct key_material *current = key_record_with_role(key, MATERIAL_CURRENT);

    /* no RSA, ECC, HMAC or ML-DSA key shows one, nor a replica that is being made (R45) */
    if (spec_info(key->spec)->rotates && current != NULL && state != KEY_CREATING)
        json_put_hex(w, "CurrentKeyMaterialId", bytes_of(current->id.b, sizeof current->id.b));
}

/* `expiring`: whose ExpirationModel and ValidTo are shown. */
static void write_metadata(struct json_writer *w, const char *name, const struct key_record *key,
                           enum key_state state, const struct key_record *expiring, int64_t now)
{
    bool    expiration = shows_expiration(expiring, key_state_at(expiring, now), now);
    int64_t valid_to = expiration ? key_valid_to(expiring) : 0;

    json_open_object(w, name);
    json_put_string(w, "AWSAccountId", key->name.account);
    json_put_string(w, "KeyId", key->name.id);
    json_put_string(w, "Arn", key->name.arn);
    json_put_time(w, "CreationDate", key->created);
    json_put_bool(w, "Enabled", state == KEY_ENABLED);
    json_put_string(w, "Description", key->description);
    json_put_str(w, "KeyUsage", key_usage_name(key->usage));
    json_put_str(w, "KeyState", key_state_name(state));
    put_deletion(w, key, state);
    if (valid_to != 0)
        json_put_time(w, "ValidTo", valid_to);
    json_put_str(w, "Origin", key_origin_name(key->origin));
    if (expiration)
        json_put_str(w, "ExpirationModel",
                     valid_to != 0 ? "KEY_MATERIAL_EXPIRES" : "KEY_MATERIAL_DOES_NOT_EXPIRE");
    json_put_str(w, "KeyManager", "CUSTOMER");
    /* both carry the same, also for specs that the deprecated one has no value for (recorded-crypto
     * 1.1) */
    json_put_str(w, "CustomerMasterKeySpec", key_spec_name(key->spec));
    json_put_str(w, "KeySpec", key_spec_name(key->spec));
    op_put_algorithms(w, key);
    put_multi_region(w, key);
    put_current_material(w, key, state);
    json_close_object(w);
}

void op_write_metadata(struct json_writer *w, const char *name, const struct key_record *key,
                       int64_t now)
{
    write_metadata(w, name, key, key_state_at(key, now), key, now);
}

void op_write_replica_metadata(struct json_writer *w, const char *name,
                               const struct key_record *replica, const struct key_record *primary,
                               int64_t now)
{
    /* Creating also if that has lasted no time at all (setting region-delay): recorded authz 6.2 */
    write_metadata(w, name, replica, KEY_CREATING, primary, now);
}
