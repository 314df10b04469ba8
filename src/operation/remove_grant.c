/* operation/remove_grant.c - RetireGrant and RevokeGrant: both only delete the grant; what differs is
 * who may, and how the grant is named.
 *
 * RetireGrant's KeyId must be an ARN (recorded-authz-multiregion 4.8 row 9). A grant token names key
 * and grant by itself; one whose grant is gone is no grant token any more. It is the grant that allows to
 * retire it, so that it is not there is said to everybody: nobody can guess the id of one that is.
 */
#include <stdio.h>

#include "key/grants.h"
#include "key/resolve.h"
#include "operation/handlers.h"

const struct shape_member op_retire_grant_shape[] = {
    { .name = "GrantToken",
      .type = SHAPE_STRING,
      .flags = SHAPE_NO_AUDIT | SHAPE_SENSITIVE,
      .min = 1,
      .max = GRANT_TOKEN_MAX,
      SHAPE_AT(grant_token) },
    SHAPE_KEY("KeyId", key_id, 0),
    SHAPE_GRANT_ID(0),
    SHAPE_DRY_RUN,
    SHAPE_END,
};

const struct shape_member op_revoke_grant_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_GRANT_ID(SHAPE_REQUIRED),
    SHAPE_DRY_RUN,
    SHAPE_END,
};

enum kms_status op_retire_grant_prepare(struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;
    bool                   by_token = in->grant_token.ptr != NULL;
    bool                   key = in->key_id.ptr != NULL;
    bool                   id = in->grant_id.ptr != NULL;

    if (by_token ? key || id : !key || !id)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Please specify either a grant token, or a key ARN and a grant ID.");
    if (by_token)
        return KMS_OK;
    enum key_ref_kind kind = key_ref_parse(in->key_id).kind;

    if (kind != REF_KEY_ARN && kind != REF_ALIAS && kind != REF_ALIAS_ARN)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Invalid arn %.*s", BYTES_FMT(in->key_id));
    return op_check_grant_id(in->grant_id, reterr);
}

static enum kms_status resolve_token(struct op_call *call, struct kms_error *reterr)
{
    const struct directory *d = call->env->directory;
    struct grant_token      t;

    TRY(vault_grant_token_open(call->env->vault, call->in.grant_token, &t, reterr));
    if (bytes_eq_str(call->region, t.region))
        call->key = op_key(call, bytes_str(t.account), call->region, bytes_str(t.key_id));
    if (call->key == NULL || key_gone(call->key, call->now))
        return KMS_FAIL(reterr, KMS_E_GRANT_TOKEN, "its key is gone, or in another Region");
    call->retiring = grants_find(directory_grants(d), &call->key->name, bytes_str(t.grant_id));
    if (call->retiring == NULL)
        return KMS_FAIL(reterr, KMS_E_GRANT_TOKEN, "its grant is gone");
    return KMS_OK;
}

enum kms_status op_retire_grant_resolve(struct op_call *call, struct kms_error *reterr)
{
    struct resolve_from from = { .directory = call->env->directory,
                                 .account = call->account,
                                 .region = call->region,
                                 .now = call->now,
                                 .wants = call->wants };

    call->retiring = NULL;
    if (call->in.grant_token.ptr != NULL)
        return resolve_token(call, reterr);
    TRY(resolve_key(&from, call->in.key_id, &call->key, reterr));
    call->retiring = op_find_grant(call);
    return call->retiring != NULL ? KMS_OK : op_grant_not_found(call, reterr);
}

enum kms_status op_revoke_grant_begin(struct op_call *call, struct kms_error *reterr)
{
    TRY(op_check_grant_id(call->in.grant_id, reterr));
    call->retiring = op_find_grant(call);
    return call->retiring != NULL ? KMS_OK : op_grant_not_found(call, reterr);
}

enum kms_status op_remove_grant_finish(struct op_call *call, struct kms_error *reterr)
{
    struct row *row = change_add(call->change, ROW_GRANT_DELETE);

    (void)reterr;
    op_note_grant(call, call->retiring->id);
    (void)snprintf(row->grant_id, sizeof row->grant_id, "%.*s", BYTES_FMT(call->retiring->id));
    return KMS_OK;
}
