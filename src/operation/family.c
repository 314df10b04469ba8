/* operation/family.c - a key and its relatives, edited by an operation (key/family.h). */
#include "operation/handlers.h"

#include <stdlib.h>

/* The relatives have been looked up one by one, and after rights and states were judged: a change may have
 * come between, and not all that is newer makes the store refuse. A primary that has become one meanwhile
 * may be in a state in which it cannot become a replica, and who was judged must be who is changed. */
static bool as_judged(const struct op_call *call, const struct key_record *const *list, size_t n)
{
    const struct key_record *key = call->key;
    const struct key_record *key2 = call->key2;

    for (size_t i = 0; i < n; i++) {
        if (!bytes_eq(list[i]->regions, key->regions) ||
            !bytes_eq(list[i]->primary_region, key->primary_region))
            return false;
        if (key2 != NULL && bytes_eq(list[i]->name.arn, key2->name.arn) &&
            list[i]->version != key2->version)
            return false;
    }
    return true;
}

/* Relatives are loaded and go together, but they may have gone since the key was found. */
static bool family_is_cold(const struct op_call *call)
{
    const struct key_name *name = &call->key->name;
    struct bytes           rest = call->key->regions;
    struct bytes           region;

    while (key_regions_next(&rest, &region))
        (void)op_key(call, name->account, region, name->id);
    return call->wants != NULL && call->wants->next.kind != WANT_NOTHING;
}

enum kms_status op_edit_family(struct op_call *call, struct key_family *ret,
                               struct kms_error *reterr)
{
    const struct key_record *list[FAMILY_MAX];
    size_t                   n = directory_family(call->env->directory, call->key, list);

    if (family_is_cold(call))
        return KMS_FAIL(reterr, KMS_E_CHANGED, "a relative is not in memory any more");
    if (!as_judged(call, list, n))
        return KMS_FAIL(reterr, KMS_E_CHANGED, "a relative has changed since it was judged");
    if (!family_clone(list, n, call->key, call->now, ret))
        abort(); /* as op_edit_key: half a change must not exist */
    for (size_t i = 0; i < ret->n; i++)
        change_add(call->change, ROW_KEY_UPDATE)->key = ret->of[i];
    return KMS_OK;
}

enum kms_status op_refuse_replica(const struct op_call *call, struct kms_error *reterr)
{
    if (call->key->multi_region != REGION_REPLICA)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED,
                      "%.*s is a multi-region replica key which is not valid for %s.",
                      BYTES_FMT(call->key->name.arn), call->op->name);
}
