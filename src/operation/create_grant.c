/* operation/create_grant.c - CreateGrant (kms-behaviour 11, recorded-authz-multiregion 4).
 *
 * The grant is put together by `resolve`, since policies ask about it and a parent grant is compared
 * with it; it is a row of the change from then on, which owns it. What is wrong with it is said by
 * `begin`, to those who may create one.
 */
#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "identity/book.h"
#include "key/grants.h"
#include "operation/handlers.h"

#include <stdio.h>
#include <stdlib.h>

enum { VALUE_MAX = 384 /* characters of a constraint's value */ };

// clang-format off
static const struct shape_member constraint_members[] = {
    SHAPE_CONTEXT("EncryptionContextSubset", grant_subset),
    SHAPE_CONTEXT("EncryptionContextEquals", grant_equals),
    { .name = "SourceArn", .type = SHAPE_STRING, .min = 20, .max = 2048,
      SHAPE_AT(grant_source_arn) },
    SHAPE_END,
};

const struct shape_member op_create_grant_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_PRINCIPAL("GranteePrincipal", grantee_principal, 0), /* or the next */
    SHAPE_SERVICE("GranteeServicePrincipal", grantee_service),
    SHAPE_PRINCIPAL("RetiringPrincipal", retiring_principal, 0),
    SHAPE_SERVICE("RetiringServicePrincipal", retiring_service),
    { .name = "Operations", .type = SHAPE_STRINGS, .flags = SHAPE_REQUIRED,
      .max_items = LIMIT_LIST_ITEMS, .values = grant_operation_names, SHAPE_AT(grant_operations) },
    { .name = "Constraints", .type = SHAPE_OBJECT, .members = constraint_members,
      SHAPE_AT(constraints) },
    SHAPE_GRANT_TOKENS,
    { .name = "Name", .type = SHAPE_STRING, .min = 1, .max = 256,
      .pattern = "^[a-zA-Z0-9:/_-]+$", .matches = shape_is_alias, SHAPE_AT(grant_name) },
    SHAPE_DRY_RUN,
    SHAPE_END,
};
// clang-format on

/* --- prepare: the parameters against each other ----------------------------------------------- */

static enum kms_status check_services(const struct op_input *in, struct kms_error *reterr)
{
    if (in->grantee_service.ptr == NULL)
        return KMS_OK;
    if (in->grant_source_arn.ptr == NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "GranteeServicePrincipal requires a SourceArn constraint");
    if (in->retiring_principal.ptr == NULL && in->retiring_service.ptr == NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "GranteeServicePrincipal requires a RetiringPrincipal or a "
                          "RetiringServicePrincipal");
    return KMS_OK;
}

static enum kms_status check_principals(const struct op_input *in, struct kms_error *reterr)
{
    if (in->grantee_principal.ptr == NULL && in->grantee_service.ptr == NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "1 validation error detected: Value null at 'granteePrincipal' failed to "
                          "satisfy constraint: Member must not be null");
    if (in->grantee_principal.ptr != NULL && in->grantee_service.ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "GranteePrincipal and GranteeServicePrincipal cannot both be specified");
    if (in->retiring_principal.ptr != NULL && in->retiring_service.ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "RetiringPrincipal and RetiringServicePrincipal cannot both be "
                          "specified");
    return check_services(in, reterr);
}

/* 1u << enum grant_operation for each name of the list, which the shape has checked. */
static uint32_t operations_of(struct json list)
{
    struct json name;
    uint32_t    mask = 0;

    for (struct json_iter it = json_iterate(list); json_next(&it, NULL, &name);)
        mask |= 1u << grant_operation_of(json_string(name));
    return mask;
}

static enum kms_status check_operations(const struct op_input *in, struct kms_error *reterr)
{
    uint32_t mask = operations_of(in->grant_operations);

    if (mask == 0)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "1 validation error detected: Value '[]' at 'operations' failed to "
                          "satisfy constraint: Member must have length greater than or equal to "
                          "1");
    if (mask == 1u << GRANT_CREATE_GRANT)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Grants must not contain only the CreateGrant operation.");
    return KMS_OK;
}

static struct json context_of(const struct op_input *in)
{
    return in->grant_equals.node != NULL ? in->grant_equals : in->grant_subset;
}

static enum kms_status check_pairs(struct json context, struct kms_error *reterr)
{
    struct bytes key;
    struct json  value;
    size_t       size = 0;

    if (json_count(context) > GRANT_PAIRS_MAX)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "A grant constraint must not have more than %d encryption context pairs",
                          GRANT_PAIRS_MAX);
    for (struct json_iter it = json_iterate(context); json_next(&it, &key, &value);) {
        if (json_type(value) != JSON_STRING)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Invalid EncryptionContext");
        if (shape_characters(json_string(value)) > VALUE_MAX)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "A value of a grant constraint must not have more than %d characters",
                              VALUE_MAX);
        size += key.len + json_string(value).len;
    }
    if (size > LIMIT_CONTEXT_BYTES) /* no request could ever have it */
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "EncryptionContext must not be larger than %d bytes",
                          LIMIT_CONTEXT_BYTES);
    return KMS_OK;
}

/* arn:partition:service:region:account:resource */
static bool looks_like_arn(struct bytes text)
{
    struct bytes part;

    if (!bytes_cut(&text, ':', &part) || !bytes_eq_str(part, "arn"))
        return false;
    for (int i = 0; i < 4; i++) {
        if (!bytes_cut(&text, ':', &part))
            return false;
    }
    return text.len > 0;
}

static enum kms_status check_constraints(const struct op_input *in, struct kms_error *reterr)
{
    if (in->grant_equals.node != NULL && in->grant_subset.node != NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "More than one constraint supplied");
    if (in->grant_source_arn.ptr != NULL && !looks_like_arn(in->grant_source_arn))
        return KMS_REFUSE(reterr, KMS_E_ARN, "ARN is not valid: %.*s",
                          BYTES_FMT(in->grant_source_arn));
    return check_pairs(context_of(in), reterr);
}

enum kms_status op_create_grant_prepare(struct op_call *call, struct kms_error *reterr)
{
    TRY(op_check_grant_tokens(call, reterr));
    TRY(check_principals(&call->in, reterr));
    TRY(check_operations(&call->in, reterr));
    return check_constraints(&call->in, reterr);
}

/* --- resolve: the grant as it would be -------------------------------------------------------- */

/* Nobody, if it names nobody: begin will say so. */
static struct bytes identity_of(const struct op_call *call, struct arena *arena, struct bytes text,
                                struct bytes service)
{
    CLEANUP(buf_release) struct buf identity = BUF_INIT(GRANT_PRINCIPAL_MAX);

    if (service.ptr != NULL)
        return arena_copy(arena, service);
    if (text.ptr == NULL ||
        book_resolve_principal(call->env->identities, text, &identity) != FOUND ||
        !buf_ok(&identity))
        return (struct bytes){ NULL, 0 };
    return arena_copy(arena, buf_bytes(&identity));
}

static int pair_order(const void *a, const void *b)
{
    return bytes_cmp(((const struct grant_pair *)a)->key, ((const struct grant_pair *)b)->key);
}

static void set_pairs(struct grant_record *g, struct json context)
{
    size_t       n = json_count(context);
    struct bytes key;
    struct json  value;

    if (n == 0)
        return;
    g->pairs = arena_alloc(g->arena, n * sizeof g->pairs[0]);
    for (struct json_iter it = json_iterate(context); json_next(&it, &key, &value); g->n_pairs++) {
        g->pairs[g->n_pairs].key = arena_copy(g->arena, key);
        g->pairs[g->n_pairs].value = arena_copy(g->arena, json_string(value));
    }
    qsort(g->pairs, g->n_pairs, sizeof g->pairs[0], pair_order);
}

enum kms_status op_create_grant_resolve(struct op_call *call, struct kms_error *reterr)
{
    const struct op_input *in = &call->in;
    struct grant_record   *g = grant_record_new();

    (void)reterr;
    if (g == NULL) /* as arenas do: half a change must not exist */
        abort();
    change_add(call->change, ROW_GRANT_INSERT)->grant = g;
    grant_record_set_key(g, call->key->name.account, call->key->name.region, call->key->name.id);
    g->name = arena_copy(g->arena, in->grant_name);
    g->created = call->now / 1000 * 1000; /* whole seconds (recorded 4.1) */
    g->grantee = identity_of(call, g->arena, in->grantee_principal, in->grantee_service);
    g->grantee_is_service = in->grantee_service.ptr != NULL;
    g->retiring = identity_of(call, g->arena, in->retiring_principal, in->retiring_service);
    g->retiring_is_service = in->retiring_service.ptr != NULL;
    g->issuing_account = arena_copy(g->arena, call->account);
    g->operations = operations_of(in->grant_operations);
    if (context_of(in).node != NULL)
        g->constraint = in->grant_equals.node != NULL ? GRANT_CONTEXT_EQUALS : GRANT_CONTEXT_SUBSET;
    set_pairs(g, context_of(in));
    g->source_arn = arena_copy(g->arena, in->grant_source_arn);
    call->child = g;
    return KMS_OK;
}

/* --- begin: the grant against its key --------------------------------------------------------- */

enum {
    ANY_KEY = 1u << GRANT_CREATE_GRANT | 1u << GRANT_RETIRE_GRANT | 1u << GRANT_DESCRIBE_KEY,
    PUBLIC_KEY = 1u << GRANT_GET_PUBLIC_KEY,
    BOTH_WAYS = 1u << GRANT_ENCRYPT | 1u << GRANT_DECRYPT | 1u << GRANT_RE_ENCRYPT_FROM |
                1u << GRANT_RE_ENCRYPT_TO,
    DATA_KEYS = 1u << GRANT_GENERATE_DATA_KEY | 1u << GRANT_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT |
                1u << GRANT_GENERATE_DATA_KEY_PAIR |
                1u << GRANT_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
};

/* What a grant on such a key may allow besides ANY_KEY. */
static uint32_t operations_for(const struct key_record *key)
{
    static const uint32_t by_usage[USAGE_COUNT] = {
        [USAGE_SIGN_VERIFY] = 1u << GRANT_SIGN | 1u << GRANT_VERIFY | PUBLIC_KEY,
        [USAGE_GENERATE_VERIFY_MAC] = 1u << GRANT_GENERATE_MAC | 1u << GRANT_VERIFY_MAC,
        [USAGE_KEY_AGREEMENT] = 1u << GRANT_DERIVE_SHARED_SECRET | PUBLIC_KEY,
        [USAGE_ENCAPSULATE_DECAPSULATE] = 1u << GRANT_ENCAPSULATE | 1u << GRANT_DECAPSULATE |
                                          PUBLIC_KEY,
    };

    if (key->usage != USAGE_ENCRYPT_DECRYPT)
        return by_usage[key->usage];
    return spec_is_asymmetric(key->spec) ? BOTH_WAYS | PUBLIC_KEY : BOTH_WAYS | DATA_KEYS;
}

static void add_names(struct buf *out, uint32_t mask, const char **separator)
{
    for (size_t i = 0; i < GRANT_OPERATION_COUNT; i++) {
        if ((mask & 1u << i) == 0)
            continue;
        buf_add_str(out, *separator);
        buf_add_str(out, grant_operation_names[i]);
        *separator = ", ";
    }
}

/* The text of 4.9 row 2: an HMAC key is "symmetric" there too, what every key has comes first. */
static enum kms_status check_key_type(const struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf refused = BUF_INIT(1024);
    CLEANUP(buf_release) struct buf valid = BUF_INIT(1024);
    const struct key_record        *key = call->key;
    uint32_t                        fits = operations_for(key);
    uint32_t                        wrong = call->child->operations & ~(fits | ANY_KEY);
    const char                     *separator = "";

    if (wrong == 0)
        return KMS_OK;
    add_names(&refused, wrong, &separator);
    separator = "";
    add_names(&valid, ANY_KEY, &separator);
    add_names(&valid, fits, &separator);
    return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                      "Operations [%.*s] are not supported when creating a grant for %s KMS key "
                      "with key usage %s. Valid operations are [%.*s]",
                      BYTES_FMT(buf_bytes(&refused)),
                      spec_is_asymmetric(key->spec) ? "an asymmetric" : "a symmetric",
                      key_usage_name(key->usage), BYTES_FMT(buf_bytes(&valid)));
}

static enum kms_status check_context(const struct op_call *call, struct kms_error *reterr)
{
    if (call->child->constraint == GRANT_UNCONSTRAINED || call->key->spec == SPEC_SYMMETRIC_DEFAULT)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                      "EncryptionContext is supported only when creating a grant for a symmetric "
                      "encryption KMS key.");
}

static enum kms_status check_principal(const struct op_call *call, struct bytes text,
                                       const char *unknown, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf unused = BUF_INIT(GRANT_PRINCIPAL_MAX);

    return text.ptr == NULL ? KMS_OK : op_grant_principal(call, text, unknown, &unused, reterr);
}

/* The grant that a repeated request with a Name means; NULL: a new one (recorded 4.6, 4.10 rule
 * 7). */
static const struct grant_record *made_before(const struct op_call *call)
{
    const struct grant_book   *book = directory_grants(call->env->directory);
    const struct grant_record *g = call->child;
    const struct grant_set    *set = grants_to(book, grants_on(book, &g->key), g->grantee);

    for (size_t i = 0; set != NULL && g->name.len > 0 && i < set->n; i++) {
        if (grant_same(set->grants[i], g))
            return set->grants[i];
    }
    return NULL;
}

static size_t grants_of_key(const struct op_call *call)
{
    return grants_count_on(directory_grants(call->env->directory), &call->key->name);
}

static enum kms_status check_quota(const struct op_call *call, struct kms_error *reterr)
{
    size_t used = grants_of_key(call);

    if (used < GRANTS_PER_KEY || made_before(call) != NULL)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_LIMIT,
                      "Grants per key quota for this account in this region is %d, current usage "
                      "is %zu.",
                      GRANTS_PER_KEY, used);
}

enum kms_status op_create_grant_begin(struct op_call *call, struct kms_error *reterr)
{
    TRY(check_principal(call, call->in.grantee_principal,
                        "GranteePrincipal does not refer to a valid principal.", reterr));
    TRY(check_principal(call, call->in.retiring_principal,
                        "RetiringPrincipal does not refer to a valid principal.", reterr));
    TRY(check_key_type(call, reterr));
    TRY(check_context(call, reterr));
    return check_quota(call, reterr);
}

/* --- finish ----------------------------------------------------------------------------------- */

/* As op_hold_alias_quota: a new version of the key in the change, so that of those who want the last
 * places only as many as there are get one. */
static void hold_quota(struct op_call *call)
{
    enum { NEAR = 1024 };

    if (grants_of_key(call) + NEAR >= GRANTS_PER_KEY)
        (void)op_edit_key(call);
}

static void name_grant(struct grant_record *g)
{
    uint8_t random[GRANT_ID_LEN / 2];
    char    hex[GRANT_ID_LEN + 1];

    crypto_random(random, sizeof random);
    hex_write(hex, bytes_of(random, sizeof random));
    g->id = arena_copy(g->arena, bytes_of(hex, GRANT_ID_LEN));
}

/* The grant, as our row has it; it is the only one so far. */
static struct grant_record *row_of_grant(const struct op_call *call)
{
    return call->change->rows[0].grant;
}

static void forget_grant(struct op_call *call)
{
    grant_record_free(row_of_grant(call));
    call->change->n_rows = 0;
    call->child = NULL;
}

enum kms_status op_create_grant_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf token = BUF_INIT(GRANT_TOKEN_MAX);
    const struct grant_record      *g = made_before(call);

    if (g != NULL) {
        forget_grant(call);
    } else {
        name_grant(row_of_grant(call));
        g = row_of_grant(call);
        hold_quota(call);
    }
    op_note_grant(call, g->id);
    TRY(vault_grant_token_seal(call->env->vault, g, &token, reterr));
    json_put_string(call->answer, "GrantToken", buf_bytes(&token));
    json_put_string(call->answer, "GrantId", g->id);
    return KMS_OK;
}
