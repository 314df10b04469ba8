/* operation/create_key.c - CreateKey.
 *
 * What this release builds: keys of every spec with origin AWS_KMS or EXTERNAL, single-Region ones and
 * primaries. Everything else is checked as the real service checks it and
 * then refused with UnsupportedOperationException, never half done.
 *
 * RSA keys come from the vault's pools; when none is ready the request waits for one.
 *
 * The first key of an account in a Region brings the domain key that wraps all materials there.
 * Several first keys at once insert the same domain key (vault_new_domain); the store lets one of
 * them in, the others are run again and find it there.
 */
#include "base/cleanup.h"
#include "base/encode.h"
#include "operation/handlers.h"

enum {
    DOMAIN_VERSION = 1, /* the first; domain keys are not rotated yet */
    WRAPPED_DOMAIN = 1024,
    POLICY_BYTES = 1024, /* the default text has about 330 */
};

static bool takes_deprecated_spec(struct bytes name)
{
    /* the deprecated enum never got the newer specs (kms-behaviour 16.2) */
    return !bytes_starts(name, BYTES_LIT("ML_")) && !bytes_eq_str(name, "ECC_NIST_EDWARDS25519");
}

// clang-format off
const struct shape_member op_create_key_shape[] = {
    SHAPE_POLICY(0),
    { .name = "Description", .type = SHAPE_STRING, .max = 8192, SHAPE_AT(description) },
    { .name = "KeyUsage", .type = SHAPE_ENUM, .values = key_usage_names,
      .enum_text = shape_key_usage_text, SHAPE_AT(key_usage) },
    { .name = "CustomerMasterKeySpec", .type = SHAPE_ENUM, .values = key_spec_names,
      .enum_text = shape_deprecated_spec_text, .matches = takes_deprecated_spec,
      SHAPE_AT(customer_master_key_spec) },
    { .name = "KeySpec", .type = SHAPE_ENUM, .values = key_spec_names,
      .enum_text = shape_key_spec_text, SHAPE_AT(key_spec) },
    { .name = "Origin", .type = SHAPE_ENUM, .values = key_origin_names, SHAPE_AT(origin) },
    { .name = "CustomKeyStoreId", .type = SHAPE_STRING, .min = 1, .max = 64,
      SHAPE_AT(custom_key_store_id) },
    SHAPE_FLAG("BypassPolicyLockoutSafetyCheck", bypass_lockout),
    SHAPE_TAG_LIST(0),
    SHAPE_FLAG("MultiRegion", multi_region),
    { .name = "XksKeyId", .type = SHAPE_STRING, .min = 1, .max = 128,
      .pattern = "^[a-zA-Z0-9-_.]+$", .matches = shape_is_xks_key_id, SHAPE_AT(xks_key_id) },
    SHAPE_END
};
// clang-format on

/* --- what is asked for ------------------------------------------------------------------------ */

static enum key_spec spec_of(const struct op_input *in)
{
    if (in->key_spec.set)
        return (enum key_spec)in->key_spec.v;
    return in->customer_master_key_spec.set ? (enum key_spec)in->customer_master_key_spec.v
                                            : SPEC_SYMMETRIC_DEFAULT;
}

static enum key_usage usage_of(const struct op_input *in)
{
    return in->key_usage.set ? (enum key_usage)in->key_usage.v : USAGE_ENCRYPT_DECRYPT;
}

static enum key_origin origin_of(const struct op_input *in)
{
    return in->origin.set ? (enum key_origin)in->origin.v : ORIGIN_AWS_KMS;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Spec, usage and origin against each other (kms-behaviour 3.2, recorded-crypto 3, R2). */
static enum kms_status check_spec(const struct op_input *in, struct kms_error *reterr)
{
    enum key_spec  spec = spec_of(in);
    enum key_usage usage = usage_of(in);

    if (in->key_spec.set && in->customer_master_key_spec.set)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated.");
    if (!in->key_usage.set && spec != SPEC_SYMMETRIC_DEFAULT)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "You must specify a KeyUsage value for all KMS keys except for symmetric "
                          "encryption keys.");
    if (!spec_has_usage(spec, usage))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "KeyUsage %s is not compatible with KeySpec %s",
                          key_usage_name(usage), key_spec_name(spec));
    if (origin_of(in) == ORIGIN_EXTERNAL && !spec_importable(spec))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "KeySpec %s is not supported for Origin EXTERNAL", key_spec_name(spec));
    return KMS_OK;
}

enum kms_status op_check_spec_region(struct bytes region, enum key_spec spec,
                                     struct kms_error *reterr)
{
    const struct key_spec_info *info = spec_info(spec);
    bool                        china = strcmp(region_partition(region), "aws-cn") == 0;

    if ((info->only_china && !china) || (info->not_china && china))
        return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED, "KeySpec %s is not supported in this Region",
                          key_spec_name(spec));
    return KMS_OK;
}

static enum kms_status check_built(const struct op_input *in, struct kms_error *reterr)
{
    enum key_origin origin = origin_of(in);

    if (in->custom_key_store_id.ptr != NULL || in->xks_key_id.ptr != NULL ||
        (origin != ORIGIN_AWS_KMS && origin != ORIGIN_EXTERNAL))
        return KMS_REFUSE(reterr, KMS_E_UNSUPPORTED,
                          "Trent does not implement custom key stores yet.");
    return KMS_OK;
}

enum kms_status op_create_key_prepare(struct op_call *call, struct kms_error *reterr)
{
    TRY(check_spec(&call->in, reterr));
    TRY(op_check_spec_region(call->region, spec_of(&call->in), reterr));
    TRY(check_built(&call->in, reterr));
    return op_check_tags(call->in.tags, reterr);
}

/* --- the new key ------------------------------------------------------------------------------ */

/* A UUID, or mrk- and 32 hex digits for a multi-Region key (kms-behaviour 4.1). */
static enum kms_status new_key_id(struct op_call *call, char ret[KEY_ID_MAX],
                                  struct kms_error *reterr)
{
    uint8_t    id[16];
    struct buf random = { .ptr = id, .cap = sizeof id, .limit = sizeof id };

    TRY(vault_random(call->env->vault, sizeof id, &random, reterr));
    if (call->in.multi_region.v != 0) {
        memcpy(ret, "mrk-", 4);
        hex_write(ret + 4, bytes_of(id, sizeof id));
    } else {
        uuid_make_v4(id);
        uuid_write(ret, id);
    }
    return KMS_OK;
}

enum kms_status op_first_policy(const struct op_call *call, struct key_record *key,
                                struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(POLICY_BYTES);

    if (call->in.policy.ptr != NULL) /* kept as it was written */
        return op_set_policy(call, key, call->in.policy, reterr);
    op_default_policy(key->name.account, key->name.region, &text);
    key->policy = arena_copy(key->arena, buf_bytes(&text)); /* it names the account only */
    return KMS_OK;
}

enum kms_status op_new_key(struct op_call *call, struct bytes id, struct key_record **ret,
                           struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *key = key_record_new();

    if (key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a key");
    key_record_set_name(key, call->account, call->region, id);
    key->spec = spec_of(&call->in);
    key->usage = usage_of(&call->in);
    key->origin = origin_of(&call->in);
    if (call->in.multi_region.v != 0) {
        key->multi_region = REGION_PRIMARY;
        key->primary_region = arena_copy(key->arena, call->region);
        key_record_add_region(key, call->region);
    }
    key->created = call->now;
    key->version = 1;
    key->description = arena_copy(key->arena, call->in.description);
    TRY(op_first_policy(call, key, reterr));
    TRY(op_apply_tags(key, call->in.tags, reterr));
    *ret = TAKE(key);
    return KMS_OK;
}

enum kms_status op_add_domain(struct op_call *call, struct bytes region, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(WRAPPED_DOMAIN);
    struct vault                   *v = call->env->vault;

    if (vault_domain_version(v, call->account, region) != 0)
        return KMS_OK;
    TRY(vault_new_domain(v, call->account, region, DOMAIN_VERSION, &wrapped, reterr));
    struct domain_key_record *domain = domain_key_new(call->account, region, DOMAIN_VERSION,
                                                      buf_bytes(&wrapped));

    if (domain == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a domain key");
    change_add(call->change, ROW_DOMAIN_INSERT)->domain = domain;
    return KMS_OK;
}

/* The material of a key that we generate. Its slot is given back by request.c if the change
 * fails. */
static enum kms_status add_material(struct op_call *call, struct key_record *key,
                                    struct kms_error *reterr)
{
    struct key_material fresh = {
        .role = MATERIAL_CURRENT,
        .expiration = DOES_NOT_EXPIRE,
        .created = call->now,
    };

    enum kms_status status = vault_generate_material(call->env->vault, key, key->arena, &fresh,
                                                     reterr);
    call->retry_when_ready = status == KMS_E_THROTTLED;
    call->ready_spec = key->spec;
    TRY(status);
    op_spare(call, &fresh.sealed);
    *key_record_add_material(key) = fresh;
    return KMS_OK;
}

enum kms_status op_create_key_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(key_record_freep) struct key_record *key = NULL;
    char                                         id[KEY_ID_MAX];

    TRY(new_key_id(call, id, reterr));
    TRY(op_new_key(call, bytes_of(id, sizeof id), &key, reterr));
    TRY(op_add_domain(call, call->region, reterr));
    if (key->origin == ORIGIN_AWS_KMS)
        TRY(add_material(call, key, reterr));
    key_created(key);
    op_write_metadata(call->answer, "KeyMetadata", key, call->now);
    change_add(call->change, ROW_KEY_INSERT)->key = TAKE(key);
    return KMS_OK;
}
