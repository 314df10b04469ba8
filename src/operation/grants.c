/* operation/grants.c - what the operations on grants share. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "identity/book.h"
#include "key/grants.h"
#include "operation/handlers.h"

enum kms_status op_grant_principal(const struct op_call *call, struct bytes text,
                                   const char *unknown, struct buf *ret, struct kms_error *reterr)
{
    bool                 is_arn = bytes_starts(text, BYTES_LIT("arn:"));
    enum principal_found found = book_resolve_principal(call->env->identities, text, ret);

    if (found == FOUND)
        return buf_ok(ret) ? KMS_OK
                           : KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a principal's identity");
    if (is_arn && found == FOUND_MALFORMED)
        return KMS_REFUSE(reterr, KMS_E_ARN, "ARN is not valid: %.*s", BYTES_FMT(text));
    if (is_arn)
        return KMS_REFUSE(reterr, KMS_E_ARN, "ARN does not refer to a valid principal: %.*s",
                          BYTES_FMT(text));
    return KMS_REFUSE(reterr, KMS_E_ARN, "%s", unknown);
}

enum kms_status op_check_grant_id(struct bytes id, struct kms_error *reterr)
{
    if (id.len == GRANT_ID_LEN && shape_is_hex(id))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_GRANT_ID, "a GrantId of another form");
}

const struct grant_record *op_find_grant(const struct op_call *call)
{
    return grants_find(directory_grants(call->env->directory), &call->key->name, call->in.grant_id);
}

enum kms_status op_grant_not_found(const struct op_call *call, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Grant ID %.*s is not found",
                      BYTES_FMT(call->in.grant_id));
}
