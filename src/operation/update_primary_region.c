/* operation/update_primary_region.c - UpdatePrimaryRegion: a replica becomes the primary
 * (recorded-authz-multiregion 6.4 and 6.8).
 *
 * Asked of the primary, about the replica too: call->key2, so that rights and state of both are looked at,
 * the primary's first. The Region where the primary is already is fine, and changes nothing.
 */
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_update_primary_region_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_REGION("PrimaryRegion", primary_region),
    SHAPE_END
};
// clang-format on

/* Not the words of ReplicateKey (6.8 rule 3). */
enum kms_status op_update_primary_region_usage(const struct op_call    *call,
                                               const struct key_record *key,
                                               struct kms_error        *reterr)
{
    if (key == call->key && key->multi_region != REGION_PRIMARY)
        return KMS_REFUSE(reterr, KMS_E_KEY_STATE, "%.*s is not a multi-Region primary key.",
                          BYTES_FMT(key->name.arn));
    return KMS_OK;
}

static bool stays(const struct op_call *call)
{
    return bytes_eq(call->in.primary_region, call->key->name.region);
}

enum kms_status op_update_primary_region_resolve(struct op_call *call, struct kms_error *reterr)
{
    const struct key_name   *name = &call->key->name;
    const struct key_record *to;

    (void)reterr;
    if (stays(call) || !key_regions_have(call->key->regions, call->in.primary_region))
        return KMS_OK;
    to = op_key(call, name->account, call->in.primary_region, name->id);
    if (to != NULL && !key_gone(to, call->now))
        call->key2 = to;
    return KMS_OK;
}

static enum kms_status no_replica(const struct op_call *call, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                      "%.*s does not have a replica key in the specified Region.",
                      BYTES_FMT(call->key->name.id));
}

enum kms_status op_update_primary_region_begin(struct op_call *call, struct kms_error *reterr)
{
    return call->key2 == NULL && !stays(call) ? no_replica(call, reterr) : KMS_OK;
}

enum kms_status op_update_primary_region_finish(struct op_call *call, struct kms_error *reterr)
{
    struct key_family family;

    if (stays(call))
        return KMS_OK;
    TRY(op_edit_family(call, &family, reterr));
    for (size_t i = 0; i < family.n; i++) {
        if (bytes_eq(family.of[i]->name.region, call->in.primary_region)) {
            family_promote(&family, i, op_settles(call));
            return KMS_OK;
        }
    }
    return no_replica(call, reterr); /* it went while this request was looking */
}
