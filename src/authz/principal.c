/* authz/principal.c - the Principal element: compiling it, and whom it covers.
 *
 * A caller goes by several names at once: its account, its role if it is a session, and its own.
 * An account that is allowed hands the decision to its identity policies, except to its root user,
 * who has none; an account that is denied is all of its principals.
 */
#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum { ACCOUNT_DIGITS = 12, UNIQUE_ID_MIN = 16, UNIQUE_ID_MAX = 128 };

/* --- compiling -------------------------------------------------------------------------------- */

static bool is_account(struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] < '0' || in.ptr[i] > '9')
            return false;
    }
    return in.len == ACCOUNT_DIGITS;
}

static bool is_unique_id(struct bytes in)
{
    if (in.len < UNIQUE_ID_MIN || in.len > UNIQUE_ID_MAX || in.ptr[0] != 'A')
        return false;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

static bool has_kind(struct bytes resource, const char *const kinds[])
{
    for (; *kinds != NULL; kinds++) {
        struct bytes kind = bytes_str(*kinds);
        if (bytes_starts(resource, kind) && resource.len > kind.len)
            return true;
    }
    return false;
}

/* arn:<partition>:iam::<account>:{root,user/...,role/...}, arn:<partition>:sts::<account>:
 * {assumed-role/...,federated-user/...}. Groups and wildcards are no principals. */
static bool read_arn(struct bytes arn, struct policy_principal *ret)
{
    static const char *const iam_kinds[] = { "user/", "role/", NULL };
    static const char *const sts_kinds[] = { "assumed-role/", "federated-user/", NULL };
    struct bytes             part[5];
    struct bytes             resource = arn;

    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        if (!bytes_cut(&resource, ':', &part[i]))
            return false;
    }
    bool iam = bytes_eq(part[2], BYTES_LIT("iam"));
    bool sts = bytes_eq(part[2], BYTES_LIT("sts"));
    if (!bytes_eq(part[0], BYTES_LIT("arn")) || !bytes_starts(part[1], BYTES_LIT("aws")) ||
        (!iam && !sts) || part[3].len > 0 || !is_account(part[4]))
        return false;
    if (iam && bytes_eq(resource, BYTES_LIT("root"))) {
        *ret = (struct policy_principal){ PRINCIPAL_ACCOUNT, part[4] };
        return true;
    }
    *ret = (struct policy_principal){ PRINCIPAL_ARN, arn };
    return has_kind(resource, iam ? iam_kinds : sts_kinds) &&
           memchr(resource.ptr, '*', resource.len) == NULL &&
           memchr(resource.ptr, '?', resource.len) == NULL;
}

static enum kms_status invalid(struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_POLICY,
                      "Policy contains a statement with one or more invalid principals.");
}

static enum kms_status read_aws(struct bytes text, struct policy_principal *ret,
                                struct kms_error *reterr)
{
    if (bytes_starts(text, BYTES_LIT("arn:"))) {
        if (!read_arn(text, ret))
            return KMS_REFUSE(reterr, KMS_E_ARN, "An ARN in the specified key policy is invalid.");
        return KMS_OK;
    }
    if (is_account(text))
        *ret = (struct policy_principal){ PRINCIPAL_ACCOUNT, text };
    else if (is_unique_id(text))
        *ret = (struct policy_principal){ PRINCIPAL_UNIQUE_ID, text };
    else
        return invalid(reterr);
    return KMS_OK;
}

static const struct {
    const char                *name;
    enum policy_principal_kind kind;
} kinds[] = {
    { "AWS", PRINCIPAL_ARN },
    { "Service", PRINCIPAL_SERVICE },
    { "Federated", PRINCIPAL_FEDERATED },
    { "CanonicalUser", PRINCIPAL_CANONICAL_USER },
};

/* The unique id that an ARN is bound to; false if it is not. */
static bool find_bound(struct bytes bound, struct bytes arn, struct bytes *ret)
{
    struct bytes line;
    struct bytes name;

    while (bytes_cut(&bound, '\n', &line)) {
        if (bytes_cut(&line, ' ', &name) && bytes_eq(name, arn)) {
            *ret = line;
            return true;
        }
    }
    return false;
}

static enum kms_status add_principal(struct arena *arena, struct bytes bound, size_t kind,
                                     struct json v, struct principals *to, struct kms_error *reterr)
{
    struct bytes            text = json_string(v);
    struct policy_principal p = { kinds[kind].kind, text };

    if (json_type(v) != JSON_STRING || text.len == 0)
        return invalid(reterr);
    if (kinds[kind].kind == PRINCIPAL_ARN) {
        if (bytes_eq(text, BYTES_LIT("*"))) {
            to->anyone = true;
            return KMS_OK;
        }
        TRY(read_aws(text, &p, reterr));
        if (p.kind == PRINCIPAL_ARN && find_bound(bound, text, &p.text))
            p.kind = PRINCIPAL_UNIQUE_ID;
    } else if (memchr(text.ptr, '*', text.len) != NULL) {
        return invalid(reterr);
    }
    p.text = arena_copy(arena, p.text);
    to->list[to->n++] = p;
    return KMS_OK;
}

static size_t count(struct json v)
{
    return json_type(v) == JSON_ARRAY ? json_count(v) : 1;
}

static enum kms_status add_kind(struct arena *arena, struct bytes bound, struct bytes name,
                                struct json element, struct principals *to,
                                struct kms_error *reterr)
{
    struct json v;
    size_t      kind = 0;

    while (kind < ARRAY_LEN(kinds) && !bytes_eq_str(name, kinds[kind].name))
        kind++;
    if (kind == ARRAY_LEN(kinds) || count(element) == 0)
        return invalid(reterr);
    if (json_type(element) != JSON_ARRAY)
        return add_principal(arena, bound, kind, element, to, reterr);
    for (struct json_iter it = json_iterate(element); json_next(&it, NULL, &v);)
        TRY(add_principal(arena, bound, kind, v, to, reterr));
    return KMS_OK;
}

enum kms_status principals_compile(struct arena *arena, struct bytes bound, struct json element,
                                   struct principals *ret, struct kms_error *reterr)
{
    struct bytes name;
    struct json  v;
    size_t       room = 0;

    if (json_type(element) == JSON_STRING && bytes_eq(json_string(element), BYTES_LIT("*"))) {
        ret->anyone = true;
        return KMS_OK;
    }
    if (json_type(element) != JSON_OBJECT || json_count(element) == 0)
        return invalid(reterr);
    for (struct json_iter it = json_iterate(element); json_next(&it, NULL, &v);)
        room += count(v);
    ret->list = arena_alloc(arena, room * sizeof ret->list[0]);
    for (struct json_iter it = json_iterate(element); json_next(&it, &name, &v);)
        TRY(add_kind(arena, bound, name, v, ret, reterr));
    return KMS_OK;
}

/* --- covering --------------------------------------------------------------------------------- */

static bool names_account(const struct policy_principal *p, const struct policy_caller *c)
{
    return p->kind == PRINCIPAL_ACCOUNT && bytes_eq(p->text, c->account);
}

/* The unique id of a session is that of its role, a colon, and its name. */
static bool names_role(const struct policy_principal *p, const struct policy_caller *c)
{
    if (p->kind == PRINCIPAL_ARN)
        return bytes_eq(p->text, c->role_arn);
    return p->kind == PRINCIPAL_UNIQUE_ID && bytes_starts(c->unique_id, p->text) &&
           c->unique_id.len > p->text.len && c->unique_id.ptr[p->text.len] == ':';
}

static bool names_itself(const struct policy_principal *p, const struct policy_caller *c)
{
    bool has_arn = c->kind != CALLER_SERVICE && c->kind != CALLER_WEB;

    switch (p->kind) {
    case PRINCIPAL_ARN:            return has_arn && bytes_eq(p->text, c->arn);
    case PRINCIPAL_UNIQUE_ID:      return bytes_eq(p->text, c->unique_id);
    case PRINCIPAL_SERVICE:        return c->kind == CALLER_SERVICE && bytes_eq(p->text, c->arn);
    case PRINCIPAL_FEDERATED:      return c->kind == CALLER_WEB && bytes_eq(p->text, c->arn);
    case PRINCIPAL_ACCOUNT:
    case PRINCIPAL_CANONICAL_USER: break; /* nobody signs in as one of these two */
    }
    return false;
}

/* Which of the caller's names are in the list. */
struct named {
    bool account, role, itself;
};

static struct named look_up(const struct principals *p, const struct policy_caller *c)
{
    struct named found = { false, false, false };

    for (size_t i = 0; i < p->n; i++) {
        found.account = found.account || names_account(&p->list[i], c);
        found.role = found.role || names_role(&p->list[i], c);
        found.itself = found.itself || names_itself(&p->list[i], c);
    }
    if (c->kind == CALLER_ROOT)
        found.itself = found.itself || found.account;
    return found;
}

/* NotPrincipal. A denial spares only those of whom every name is excepted, an allowance reaches
 * only those of whom none is: whatever is unclear is less. */
static enum cover all_but(const struct principals *p, bool deny, const struct policy_caller *c)
{
    struct named found = look_up(p, c);

    if (p->anyone)
        return COVERS_NOT;
    if (!deny) {
        bool left_out = found.account || found.role || found.itself || c->kind == CALLER_WEB;
        return left_out ? COVERS_NOT : COVERS_ITSELF;
    }
    bool spared = found.itself && (found.account || c->account.len == 0) &&
                  (found.role || c->role_arn.len == 0);
    return spared ? COVERS_NOT : COVERS;
}

enum cover principals_cover(const struct principals *p, bool deny,
                            const struct policy_caller *caller)
{
    if (p->presence == ELEMENT_ABSENT) /* a document that is attached to the caller */
        return COVERS;
    if (p->presence == ELEMENT_EXCLUDED)
        return all_but(p, deny, caller);
    struct named found = look_up(p, caller);
    if (found.itself || (p->anyone && (deny || caller->kind != CALLER_WEB)))
        return COVERS_ITSELF;
    if (found.role)
        return COVERS;
    if (!found.account)
        return COVERS_NOT;
    return deny ? COVERS : COVERS_ACCOUNT;
}
