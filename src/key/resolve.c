/* key/resolve.c - see resolve.h. */
#include "key/resolve.h"

#include "base/cleanup.h"
#include "base/limits.h"

/* "Key '<arn>' does not exist": always the full ARN, with the letter case as sent. */
static enum kms_status no_such_key(struct bytes account, struct bytes region, struct bytes id,
                                   struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf arn = BUF_INIT(LIMIT_ARN_BYTES);

    key_arn_add(&arn, account, region, id);
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Key '%.*s' does not exist",
                      BYTES_FMT(buf_bytes(&arn)));
}

const struct key_record *resolve_name(const struct directory *d, struct bytes account,
                                      struct bytes region, struct bytes key_id,
                                      struct key_wants *wants)
{
    const struct key_record *key = directory_key(d, account, region, key_id);
    struct key_want          want;

    if (key == NULL && wants != NULL && directory_unsure(d, account, region, key_id, &want))
        key_wants_add(wants, &want);
    return key;
}

static enum kms_status by_id(const struct resolve_from *from, struct bytes account, struct bytes id,
                             const struct key_record **ret, struct kms_error *reterr)
{
    const struct key_record *key = resolve_name(from->directory, account, from->region, id,
                                                from->wants);

    if (key == NULL || key_gone(key, from->now))
        return no_such_key(account, from->region, id, reterr);
    *ret = key;
    return KMS_OK;
}

static enum kms_status by_alias(const struct resolve_from *from, struct bytes account,
                                struct bytes alias, const struct key_record **ret,
                                struct kms_error *reterr)
{
    const struct alias_record *a = directory_alias(from->directory, account, from->region, alias);
    const struct key_record   *key = NULL;

    if (a != NULL)
        key = resolve_name(from->directory, account, from->region, bytes_str(a->key_id),
                           from->wants);
    if (key == NULL || key_gone(key, from->now)) {
        CLEANUP(buf_release) struct buf arn = BUF_INIT(LIMIT_ARN_BYTES);
        alias_arn_add(&arn, account, from->region, alias);
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Alias %.*s is not found.",
                          BYTES_FMT(buf_bytes(&arn)));
    }
    *ret = key;
    return KMS_OK;
}

/* ARNs name a Region: only the one that was asked is answered for (kms-behaviour 3.2). */
static enum kms_status same_region(const struct resolve_from *from, const struct key_ref *ref,
                                   struct kms_error *reterr)
{
    if (!bytes_eq(ref->region, from->region))
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Invalid arn %.*s", BYTES_FMT(ref->region));
    return KMS_OK;
}

enum kms_status resolve_key(const struct resolve_from *from, struct bytes text,
                            const struct key_record **ret, struct kms_error *reterr)
{
    struct key_ref ref = key_ref_parse(text);

    if (!from->aliases && (ref.kind == REF_ALIAS || ref.kind == REF_ALIAS_ARN))
        return KMS_REFUSE(reterr, KMS_E_ARN, "Key Aliases are not supported for this operation.");
    switch (ref.kind) {
    case REF_KEY_ID: return by_id(from, from->account, ref.id, ret, reterr);
    case REF_KEY_ARN:
        TRY(same_region(from, &ref, reterr));
        if (!ref.id_ok)
            return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Invalid keyId %.*s", BYTES_FMT(ref.id));
        return by_id(from, ref.account, ref.id, ret, reterr);
    case REF_ALIAS: return by_alias(from, from->account, ref.id, ret, reterr);
    case REF_ALIAS_ARN:
        TRY(same_region(from, &ref, reterr));
        return by_alias(from, ref.account, ref.id, ret, reterr);
    case REF_MALFORMED: break;
    }
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Invalid keyId '%.*s'", BYTES_FMT(text));
}

const struct key_record *resolve_material(const struct resolve_from *from,
                                          const struct material_id  *id)
{
    const struct key_record *key = directory_key_by_material(from->directory, from->region, id);
    struct key_want          want;

    if (key == NULL && from->wants != NULL &&
        directory_unsure_material(from->directory, from->region, id, &want))
        key_wants_add(from->wants, &want);
    return key == NULL || key_gone(key, from->now) ? NULL : key;
}
