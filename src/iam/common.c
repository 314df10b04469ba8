/* iam/common.c - whom a request is about, and what handlers share. */
#include "iam/internal.h"

#include <assert.h>
#include <stdlib.h>

#include "authz/policy.h"
#include "crypto/crypto.h"
#include "identity/caller.h"
#include "identity/managed.h"

/* --- whom a request is about ------------------------------------------------------------------ */

const struct identity_record *iam_caller_user(const struct op_call *call)
{
    const struct identity_record *r = call->caller->identity;

    return r != NULL && r->kind == IDENTITY_USER ? r : NULL;
}

bool iam_caller_is_root(const struct op_call *call)
{
    return call->caller->identity == NULL;
}

const char *iam_kind_word(enum identity_kind kind)
{
    static const char *const words[IDENTITY_KIND_COUNT] = { "user", "role", "policy" };

    return words[kind];
}

static enum kms_status ask_about(struct op_call *call, enum identity_kind kind, struct bytes path,
                                 struct bytes name, struct kms_error *reterr)
{
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    identity_arn_add(s, kind, call->account, path.ptr != NULL ? path : BYTES_LIT("/"), name);
    return op_scratch_since(call, start, &call->resource, reterr);
}

static enum kms_status about_identity(struct op_call *call, enum identity_kind kind,
                                      struct bytes name, struct kms_error *reterr)
{
    call->identity = book_identity(call->env->identities, call->account, kind, name);
    if (call->identity == NULL)
        return ask_about(call, kind, (struct bytes){ NULL, 0 }, name, reterr);
    call->resource = call->identity->arn;
    return KMS_OK;
}

static enum kms_status about_new(struct op_call *call, enum identity_kind kind, const char *name,
                                 struct kms_error *reterr)
{
    struct bytes wanted = iam_arg(call, name);

    call->identity = book_identity(call->env->identities, call->account, kind, wanted);
    return ask_about(call, kind, iam_arg(call, "Path"), wanted, reterr);
}

static enum kms_status about_root(struct op_call *call, struct kms_error *reterr)
{
    struct buf *s = op_scratch(call);
    size_t      start = s->len;

    root_arn_add(s, call->account);
    return op_scratch_since(call, start, &call->resource, reterr);
}

static enum kms_status about_user_or_caller(struct op_call *call, struct kms_error *reterr)
{
    struct bytes name = iam_arg(call, "UserName");

    if (name.ptr != NULL)
        return about_identity(call, IDENTITY_USER, name, reterr);
    if (iam_caller_is_root(call))
        return about_root(call, reterr);
    call->identity = iam_caller_user(call);
    if (call->identity == NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Must specify userName when calling with non-User credentials");
    call->resource = call->identity->arn;
    return KMS_OK;
}

static enum kms_status about_all(struct op_call *call, enum identity_kind kind,
                                 struct kms_error *reterr)
{
    struct bytes prefix = iam_arg(call, "PathPrefix");

    return ask_about(call, kind, prefix, (struct bytes){ NULL, 0 }, reterr);
}

static void about_policy(struct op_call *call)
{
    call->resource = iam_arg(call, "PolicyArn");
    call->identity = iam_policy(call, call->resource);
}

/* A user or role of the caller's account, by ARN. */
static void about_source(struct op_call *call)
{
    const struct identity_record *r;

    call->resource = iam_arg(call, "PolicySourceArn");
    r = book_identity_by_arn(call->env->identities, call->resource);
    if (r != NULL && r->kind != IDENTITY_POLICY && bytes_eq(r->account, call->account))
        call->identity = r;
}

static enum kms_status about_key_owner(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *key = book_access_key(call->env->identities,
                                                          iam_arg(call, "AccessKeyId"));

    if (key == NULL || !bytes_eq(key->account, call->account) || key->session.kind != SESSION_NONE)
        return KMS_OK; /* asked about "*"; begin refuses */
    if (key->root)
        return about_root(call, reterr);
    call->identity = book_identity_by_id(call->env->identities, key->principal_id);
    if (call->identity != NULL)
        call->resource = call->identity->arn;
    return KMS_OK;
}

enum kms_status iam_resolve(struct op_call *call, struct kms_error *reterr)
{
    call->identity = NULL;
    call->resource = (struct bytes){ NULL, 0 };
    switch (iam_row_of(call->op)->target) {
    case IAM_NOTHING:        return KMS_OK;
    case IAM_USERS:          return about_all(call, IDENTITY_USER, reterr);
    case IAM_ROLES:          return about_all(call, IDENTITY_ROLE, reterr);
    case IAM_USER_OR_CALLER: return about_user_or_caller(call, reterr);
    case IAM_USER:           return about_identity(call, IDENTITY_USER, iam_arg(call, "UserName"), reterr);
    case IAM_ROLE:           return about_identity(call, IDENTITY_ROLE, iam_arg(call, "RoleName"), reterr);
    case IAM_NEW_USER:       return about_new(call, IDENTITY_USER, "UserName", reterr);
    case IAM_NEW_ROLE:       return about_new(call, IDENTITY_ROLE, "RoleName", reterr);
    case IAM_NEW_POLICY:     return about_new(call, IDENTITY_POLICY, "PolicyName", reterr);
    case IAM_POLICY:
    case IAM_OWN_POLICY:     about_policy(call); return KMS_OK;
    case IAM_SOURCE:         about_source(call); return KMS_OK;
    case IAM_KEY_OWNER:      return about_key_owner(call, reterr);
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "the row of %s has no target", call->op->name);
}

/* --- is it there? ----------------------------------------------------------------------------- */

static enum kms_status refuse_missing(const struct op_call *call, enum identity_kind kind,
                                      const char *param, struct kms_error *reterr)
{
    if (call->identity != NULL)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "The %s with name %.*s cannot be found.",
                      iam_kind_word(kind), BYTES_FMT(iam_arg(call, param)));
}

static enum kms_status refuse_missing_policy(const struct op_call *call, struct kms_error *reterr)
{
    struct bytes arn = iam_arg(call, "PolicyArn");

    if (!bytes_starts(arn, BYTES_LIT("arn:")))
        return KMS_REFUSE(reterr, KMS_E_INPUT, "ARN %.*s is not valid.", BYTES_FMT(arn));
    if (call->identity == NULL)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Policy %.*s was not found.", BYTES_FMT(arn));
    return KMS_OK;
}

static enum kms_status refuse_taken(const struct op_call *call, const char *param,
                                    struct kms_error *reterr)
{
    struct bytes name = iam_arg(call, param);

    if (call->identity == NULL)
        return KMS_OK;
    switch (call->identity->kind) {
    case IDENTITY_USER:
        return KMS_REFUSE(reterr, KMS_E_ALREADY_EXISTS, "User with name %.*s already exists.",
                          BYTES_FMT(name));
    case IDENTITY_ROLE:
        return KMS_REFUSE(reterr, KMS_E_ALREADY_EXISTS, "Role with name %.*s already exists.",
                          BYTES_FMT(name));
    case IDENTITY_POLICY:
    case IDENTITY_KIND_COUNT: break;
    }
    return KMS_REFUSE(reterr, KMS_E_ALREADY_EXISTS,
                      "A policy called %.*s already exists. Duplicate names are not allowed.",
                      BYTES_FMT(name));
}

/* Built-in policies belong to nobody's account: nobody may change them. */
static enum kms_status refuse_built_in(const struct op_call *call, struct kms_error *reterr)
{
    TRY(refuse_missing_policy(call, reterr));
    if (iam_is_built_in(call->identity))
        return KMS_REFUSE(
            reterr, KMS_E_ACCESS_DENIED,
            "User: %.*s is not authorized to perform: iam:%s on resource: policy %.*s",
            BYTES_FMT(call->caller_arn), call->op->name, BYTES_FMT(call->identity->arn));
    return KMS_OK;
}

enum kms_status iam_begin(struct op_call *call, struct kms_error *reterr)
{
    switch (iam_row_of(call->op)->target) {
    case IAM_NOTHING:
    case IAM_USERS:
    case IAM_ROLES:   return KMS_OK;
    case IAM_USER:    return refuse_missing(call, IDENTITY_USER, "UserName", reterr);
    case IAM_USER_OR_CALLER:
        return iam_arg(call, "UserName").ptr == NULL
                   ? KMS_OK
                   : refuse_missing(call, IDENTITY_USER, "UserName", reterr);
    case IAM_ROLE:       return refuse_missing(call, IDENTITY_ROLE, "RoleName", reterr);
    case IAM_POLICY:     return refuse_missing_policy(call, reterr);
    case IAM_OWN_POLICY: return refuse_built_in(call, reterr);
    case IAM_NEW_USER:   return refuse_taken(call, "UserName", reterr);
    case IAM_NEW_ROLE:   return refuse_taken(call, "RoleName", reterr);
    case IAM_NEW_POLICY: return refuse_taken(call, "PolicyName", reterr);
    case IAM_SOURCE:
        if (call->identity == NULL)
            return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "The entity %.*s cannot be found.",
                              BYTES_FMT(iam_arg(call, "PolicySourceArn")));
        return KMS_OK;
    case IAM_KEY_OWNER:
        if (call->resource.ptr == NULL)
            return KMS_REFUSE(reterr, KMS_E_NOT_FOUND,
                              "The Access Key with id %.*s cannot be found.",
                              BYTES_FMT(iam_arg(call, "AccessKeyId")));
        return KMS_OK;
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "the row of %s has no target", call->op->name);
}

/* --- changes ---------------------------------------------------------------------------------- */

enum { UNIQUE_ID_RANDOM = 17 };

static struct bytes new_unique_id(struct arena *arena, enum identity_kind kind)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t           random[UNIQUE_ID_RANDOM];
    char              text[8 + UNIQUE_ID_RANDOM];
    size_t            n = strlen(identity_id_prefix(kind));

    assert(n < 8);
    memcpy(text, identity_id_prefix(kind), n);
    crypto_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        text[n++] = alphabet[random[i] % 32];
    return arena_copy(arena, bytes_of(text, n));
}

struct identity_record *iam_new(struct op_call *call, enum identity_kind kind, struct bytes path,
                                struct bytes name)
{
    struct identity_record *r = identity_record_new();

    if (r == NULL) /* as arenas do: half a change must not exist */
        abort();
    r->kind = kind;
    r->account = arena_copy(r->arena, call->account);
    r->path = arena_copy(r->arena, path.ptr != NULL ? path : BYTES_LIT("/"));
    r->name = arena_copy(r->arena, name);
    r->arn = arena_copy(r->arena, call->resource);
    r->unique_id = new_unique_id(r->arena, kind);
    r->created = r->updated = call->now;
    r->version = 1;
    change_add(call->change, ROW_IDENTITY_INSERT)->identity = r;
    return r;
}

static struct identity_record *clone_of(const struct identity_record *r)
{
    struct identity_record *edit = identity_record_clone(r);

    if (edit == NULL)
        abort();
    return edit;
}

struct identity_record *iam_edit(struct op_call *call, const struct identity_record *r)
{
    struct identity_record *edit = clone_of(r);

    edit->version = r->version + 1;
    edit->updated = call->now;
    change_add(call->change, ROW_IDENTITY_UPDATE)->identity = edit;
    return edit;
}

bool iam_is_built_in(const struct identity_record *r)
{
    return bytes_eq_str(r->account, MANAGED_ACCOUNT);
}

void iam_hold(struct op_call *call, const struct identity_record *r)
{
    if (iam_is_built_in(r))
        return;
    struct identity_record *edit = iam_edit(call, r);

    edit->updated = r->updated;
}

void iam_delete(struct op_call *call, const struct identity_record *r)
{
    struct row *row = change_add(call->change, ROW_IDENTITY_DELETE);

    row->identity = clone_of(r);
    row->expected_version = r->version;
}

void iam_hold_account(struct op_call *call)
{
    const struct account_record *a = book_account(call->env->identities, call->account);
    struct account_record       *edit = malloc(sizeof *edit);

    if (a == NULL || edit == NULL) /* whoever signed has an account */
        abort();
    *edit = *a;
    edit->version = a->version + 1;
    change_add(call->change, ROW_ACCOUNT_UPDATE)->account = edit;
}

/* --- managed policies ------------------------------------------------------------------------- */

const struct identity_record *iam_policy(const struct op_call *call, struct bytes arn)
{
    const struct identity_record *r = book_identity_by_arn(call->env->identities, arn);

    if (r == NULL || r->kind != IDENTITY_POLICY ||
        (!iam_is_built_in(r) && !bytes_eq(r->account, call->account)))
        return NULL;
    return r;
}

enum kms_status iam_take_policy(struct op_call *call, struct bytes arn,
                                const struct identity_record **ret, struct kms_error *reterr)
{
    const struct identity_record *r = iam_policy(call, arn);

    if (!bytes_starts(arn, BYTES_LIT("arn:")))
        return KMS_REFUSE(reterr, KMS_E_INPUT, "ARN %.*s is not valid.", BYTES_FMT(arn));
    if (r == NULL)
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND,
                          "Policy %.*s does not exist or is not attachable.", BYTES_FMT(arn));
    iam_hold(call, r);
    *ret = r;
    return KMS_OK;
}

struct bytes iam_policy_name(struct bytes arn)
{
    struct bytes part;

    while (bytes_cut(&arn, '/', &part)) {
    }
    return arn;
}

size_t iam_attached_at(const struct identity_record *r, struct bytes arn)
{
    size_t i = 0;

    while (i < r->n_attached && !bytes_eq(r->attached[i], arn))
        i++;
    return i;
}

/* --- documents -------------------------------------------------------------------------------- */

size_t iam_document_size(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        n += c != ' ' && c != '\t' && c != '\n' && c != '\r' && (c & 0xc0) != 0x80;
    }
    return n;
}

enum kms_status iam_check_length(struct bytes text, struct kms_error *reterr)
{
    if (text.len > LIMIT_POLICY_BYTES)
        return KMS_REFUSE(
            reterr, KMS_E_LIMIT,
            "A policy document must not have more than %d bytes, white space included.",
            LIMIT_POLICY_BYTES);
    return KMS_OK;
}

enum kms_status iam_check_document(struct bytes text, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;

    TRY(iam_check_length(text, reterr));
    enum kms_status status = policy_compile(POLICY_IDENTITY, text, (struct bytes){ NULL, 0 }, &p,
                                            reterr);

    if (status == KMS_E_POLICY && (reterr == NULL || reterr->message_len == 0))
        return KMS_REFUSE(reterr, KMS_E_POLICY, "Syntax errors in policy.");
    return status;
}

/* --- boundaries and tags ---------------------------------------------------------------------- */

enum kms_status iam_set_boundary(struct op_call *call, struct identity_record *r,
                                 struct kms_error *reterr)
{
    struct bytes                  arn = iam_arg(call, "PermissionsBoundary");
    const struct identity_record *policy = NULL;

    if (arn.ptr == NULL)
        return KMS_OK;
    TRY(iam_take_policy(call, arn, &policy, reterr));
    r->boundary = arena_copy(r->arena, policy->arn);
    return KMS_OK;
}

void iam_put_boundary(struct xml *x, const struct identity_record *r)
{
    if (r->boundary.len == 0)
        return;
    xml_open(x, "PermissionsBoundary");
    xml_put_str(x, "PermissionsBoundaryType", "Policy");
    xml_put(x, "PermissionsBoundaryArn", r->boundary);
    xml_close(x);
}

void iam_put_tags(struct xml *x, const struct key_tag *tags, size_t n)
{
    xml_open(x, "Tags");
    for (size_t i = 0; i < n; i++) {
        xml_open(x, "member");
        xml_put(x, "Key", tags[i].key);
        xml_put(x, "Value", tags[i].value);
        xml_close(x);
    }
    xml_close(x);
}

/* Tag keys of IAM are the same whatever their case (ASCII: as names). */
static bool same_key(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        uint8_t x = a.ptr[i];
        uint8_t y = b.ptr[i];
        x |= x >= 'A' && x <= 'Z' ? 0x20 : 0;
        y |= y >= 'A' && y <= 'Z' ? 0x20 : 0;
        if (x != y)
            return false;
    }
    return true;
}

struct key_tag *iam_find_tag(struct key_tag *tags, size_t n, struct bytes key)
{
    for (size_t i = 0; i < n; i++) {
        if (same_key(tags[i].key, key))
            return &tags[i];
    }
    return NULL;
}

static enum kms_status check_tag_keys(const struct op_call *call, size_t n,
                                      struct kms_error *reterr)
{
    struct bytes tags = BYTES_LIT("Tags");

    for (size_t i = 1; i <= n; i++) {
        struct bytes key = form_element(call->form, tags, i, "Key");
        struct bytes head = bytes_of(key.ptr, key.len < 4 ? key.len : 4);
        if (same_key(head, BYTES_LIT("aws:")))
            return KMS_REFUSE(reterr, KMS_E_INPUT,
                              "Tag keys that begin with \"aws:\" are reserved for system use.");
        for (size_t k = 1; k < i; k++) {
            if (same_key(key, form_element(call->form, tags, k, "Key")))
                return KMS_REFUSE(reterr, KMS_E_INPUT,
                                  "Duplicate tag keys found. Please note that Tag keys are case "
                                  "insensitive.");
        }
    }
    return KMS_OK;
}

enum kms_status iam_add_tags(struct op_call *call, struct identity_record *r,
                             struct kms_error *reterr)
{
    struct bytes    tags = BYTES_LIT("Tags");
    struct key_tag *all;
    size_t          n = 0;

    TRY(form_list(call->form, tags, LIMIT_TAGS, &n, reterr));
    TRY(check_tag_keys(call, n, reterr));
    if (n == 0)
        return KMS_OK;
    all = arena_alloc(r->arena, (r->n_tags + n) * sizeof *all);
    if (r->n_tags > 0)
        memcpy(all, r->tags, r->n_tags * sizeof *all);
    r->tags = all;
    for (size_t i = 1; i <= n; i++) {
        struct bytes    key = form_element(call->form, tags, i, "Key");
        struct key_tag *known = iam_find_tag(r->tags, r->n_tags, key);
        if (known == NULL)
            known = &r->tags[r->n_tags++];
        known->key = arena_copy(r->arena, key);
        known->value = arena_copy(r->arena, form_element(call->form, tags, i, "Value"));
    }
    if (r->n_tags > LIMIT_TAGS)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for TagsPer%s: %d",
                          r->kind == IDENTITY_USER   ? "User"
                          : r->kind == IDENTITY_ROLE ? "Role"
                                                     : "Policy",
                          LIMIT_TAGS);
    return KMS_OK;
}

/* --- quotas ----------------------------------------------------------------------------------- */

size_t iam_count(const struct op_call *call, enum identity_kind kind)
{
    const struct identity_record *chunk[128];
    uint64_t                      after = 0;
    size_t                        n = ARRAY_LEN(chunk);
    size_t                        total = 0;

    while (n == ARRAY_LEN(chunk)) {
        n = book_list_identities(call->env->identities, call->account, kind, after, chunk,
                                 ARRAY_LEN(chunk));
        total += n;
        after = n > 0 ? chunk[n - 1]->serial : after;
    }
    return total;
}

enum kms_status iam_check_quota(const struct op_call *call, enum identity_kind kind,
                                struct kms_error *reterr)
{
    static const char *const names[IDENTITY_KIND_COUNT] = { "UsersPerAccount", "RolesPerAccount",
                                                            "PoliciesPerAccount" };

    if (iam_count(call, kind) < LIMIT_IDENTITIES)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for %s: %d", names[kind],
                      LIMIT_IDENTITIES);
}
