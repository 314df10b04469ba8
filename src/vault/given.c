/* vault/given.c - material that was given in clear: a seed's, in development mode only. */
#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum kms_status vault_identify_given(struct vault *v, const struct key_record *key,
                                     struct bytes material, struct key_material *ret,
                                     struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *given = secret_copy(material);
    CLEANUP(secret_freep) struct secret *canonical = NULL;

    if (given == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a material");
    TRY(material_read(key->spec, &given, &canonical, reterr));
    return material_identify(v, key, secret_view(canonical), &ret->id, ret->check, reterr);
}
