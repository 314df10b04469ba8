/* operation/replicate_key.c - ReplicateKey: a relative of a multi-Region primary in another Region
 * (recorded-authz-multiregion 6.2 and 6.8, recorded-imports R45).
 *
 * The replica and what the others learn of it are one change: nobody sees a replica that its primary does
 * not know, or one without its materials. Generated materials are sealed anew for the other Region;
 * imported ones stay where they are, and the replica lists them as missing.
 *
 * Checks in recorded order: primary's role, its state, the Region's name, whether there is a replica.
 */
#include "base/cleanup.h"
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_replicate_key_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_REGION("ReplicaRegion", replica_region),
    SHAPE_POLICY(0),
    SHAPE_FLAG("BypassPolicyLockoutSafetyCheck", bypass_lockout),
    { .name = "Description", .type = SHAPE_STRING, .max = 8192, SHAPE_AT(description) },
    SHAPE_TAG_LIST(0),
    SHAPE_END
};
// clang-format on

enum kms_status op_replicate_key_prepare(struct op_call *call, struct kms_error *reterr)
{
    return op_check_tags(call->in.tags, reterr);
}

enum kms_status op_replicate_key_usage(const struct op_call *call, const struct key_record *key,
                                       struct kms_error *reterr)
{
    (void)call;
    if (key->multi_region != REGION_PRIMARY)
        return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED, "%.*s is not a multi-region primary key.",
                          BYTES_FMT(key->name.arn));
    return KMS_OK;
}

/* A Region that this server does not answer for is none to its clients. */
static enum kms_status check_region(const struct op_call *call, struct kms_error *reterr)
{
    const struct op_env *env = call->env;
    struct bytes         to = call->in.replica_region;
    bool                 served = env->serves(env->serves_ctx, to);

    if (bytes_eq(to, call->key->name.region))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "%.*s cannot have a replica because it contains the primary.",
                          BYTES_FMT(to));
    if ((served || region_known(to)) &&
        strcmp(region_partition(to), region_partition(call->key->name.region)) != 0)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "The replica key Region must be in the same AWS partition as the primary "
                          "key Region.");
    if (!served)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "Region %.*s is not a valid Region or multi-Region keys are not supported "
            "in Region %.*s.",
            BYTES_FMT(to), BYTES_FMT(to));
    return KMS_OK;
}

/* One that is pending deletion is there, until its end has been carried out. */
enum kms_status op_replicate_key_begin(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    struct bytes             to = call->in.replica_region;

    TRY(check_region(call, reterr));
    if (key_regions_have(key->regions, to) ||
        op_key(call, key->name.account, to, key->name.id) != NULL)
        return KMS_REFUSE(
            reterr, KMS_E_ALREADY_EXISTS,
            "You can create only one replica of each primary key in each AWS Region.");
    if (key_regions_count(key->regions) >= FAMILY_MAX)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "A multi-Region key has at most %d related keys.",
                          FAMILY_MAX);
    return KMS_OK;
}

/* What is the replica's own. */
static enum kms_status new_record(struct op_call *call, struct key_record *replica,
                                  struct kms_error *reterr)
{
    const struct key_name *name = &call->key->name;

    key_record_set_name(replica, name->account, call->in.replica_region, name->id);
    replica->created = call->now;
    replica->version = 1;
    replica->description = arena_copy(replica->arena, call->in.description);
    TRY(op_first_policy(call, replica, reterr));
    return op_apply_tags(replica, call->in.tags, reterr);
}

static enum kms_status copy_materials(struct op_call *call, struct key_record *replica,
                                      struct kms_error *reterr)
{
    for (size_t i = 0; i < replica->n_materials; i++) {
        struct key_material  *copy = &replica->materials[i];
        struct vault_material from = { call->key, key_record_material(call->key, &copy->id) };

        if (from.material == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "a replica lists a material of no key");
        copy->expiration = from.material->expiration; /* sealed with it */
        copy->valid_to = from.material->valid_to;
        TRY(vault_copy_material(call->env->vault, from, replica, replica->arena, copy, reterr));
        op_spare(call, &copy->sealed);
    }
    return KMS_OK;
}

static void write_answer(struct op_call *call, const struct key_record *replica)
{
    struct json_writer *w = call->answer;

    op_write_replica_metadata(w, "ReplicaKeyMetadata", replica, call->key, call->now);
    json_put_string(w, "ReplicaPolicy", replica->policy);
    if (replica->n_tags == 0)
        return;
    json_open_array(w, "ReplicaTags");
    for (size_t i = 0; i < replica->n_tags; i++)
        op_put_tag(w, &replica->tags[i]);
    json_close_array(w);
}

enum kms_status op_replicate_key_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *replica = key_record_new();
    struct key_family                            family;

    if (replica == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a replica");
    TRY(new_record(call, replica, reterr));
    TRY(op_add_domain(call, call->in.replica_region, reterr));
    TRY(op_edit_family(call, &family, reterr));

    struct row *row = change_add(call->change, ROW_KEY_INSERT);
    row->key = TAKE(replica);

    struct key_record *added = row->key;
    (void)family_replicated(&family, added, call->now, op_settles(call));
    if (added->origin == ORIGIN_AWS_KMS)
        TRY(copy_materials(call, added, reterr));
    write_answer(call, added);
    return KMS_OK;
}
