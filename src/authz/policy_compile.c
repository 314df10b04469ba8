/* authz/policy_compile.c - from the text of a policy document to its compiled form.
 *
 * Whatever is not understood refuses the document: a policy that is stored and half understood
 * would say more or less than its author thinks.
 */
#include <stdlib.h>

#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum { ARENA_SPARE = 512 };

/* Which elements a statement of each kind has. */
enum need { MUST, MAY, MUST_NOT };
static const struct {
    enum need principal, action, resource;
} needs[POLICY_KIND_COUNT] = {
    [POLICY_KEY] = { MUST, MAY, MAY },
    [POLICY_TRUST] = { MUST, MUST, MUST_NOT },
    [POLICY_IDENTITY] = { MUST_NOT, MUST, MUST },
    [POLICY_SESSION] = { MUST_NOT, MUST, MUST },
    [POLICY_BOUNDARY] = { MUST_NOT, MUST, MUST },
};

struct compiler {
    struct policy *policy;
    struct bytes   principals; /* bound to unique ids */
    bool           variables;  /* version 2012-10-17 has policy variables, 2008-10-17 has not */
};

/* --- lists of patterns ------------------------------------------------------------------------ */

static enum kms_status patterns_compile(struct arena *arena, const char *name, struct json element,
                                        unsigned flags, struct patterns *to,
                                        struct kms_error *reterr)
{
    bool        list = json_type(element) == JSON_ARRAY;
    size_t      n = list ? json_count(element) : 1;
    struct json v = element;

    if (n == 0)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "%s in a statement of the policy is empty.", name);
    to->list = arena_alloc(arena, n * sizeof to->list[0]);
    struct json_iter it = json_iterate(element);
    for (size_t i = 0; i < n; i++) {
        if ((list && !json_next(&it, NULL, &v)) || json_type(v) != JSON_STRING ||
            json_string(v).len == 0)
            return KMS_REFUSE(reterr, KMS_E_POLICY,
                              "%s in a statement of the policy is not a list of texts.", name);
        TRY(pattern_compile(arena, json_string(v), flags, &to->list[i], reterr));
    }
    to->n = n;
    return KMS_OK;
}

/* "kms:Encrypt", "kms:*" or "*". */
static enum kms_status check_actions(struct json element, struct kms_error *reterr)
{
    struct json      v = element;
    struct json_iter it = json_iterate(element);

    while (json_type(element) != JSON_ARRAY || json_next(&it, NULL, &v)) {
        struct bytes text = json_string(v);
        if (text.len > 0 && !bytes_eq(text, BYTES_LIT("*")) &&
            memchr(text.ptr, ':', text.len) == NULL)
            return KMS_REFUSE(reterr, KMS_E_POLICY, "The policy has an invalid action: '%.*s'.",
                              BYTES_FMT(text));
        if (json_type(element) != JSON_ARRAY)
            break;
    }
    return KMS_OK;
}

/* --- statements ------------------------------------------------------------------------------- */

static enum kms_status read_effect(struct json v, struct statement *s, struct kms_error *reterr)
{
    struct bytes text = json_string(v);

    s->deny = bytes_eq(text, BYTES_LIT("Deny"));
    if (!s->deny && !bytes_eq(text, BYTES_LIT("Allow")))
        return KMS_REFUSE(reterr, KMS_E_POLICY,
                          "A statement of the policy has no Effect of Allow or Deny.");
    return KMS_OK;
}

static enum kms_status read_condition(const struct compiler *c, struct json element,
                                      struct statement *s, struct kms_error *reterr)
{
    struct bytes name;
    struct json  block;
    size_t       room = 0;

    if (json_type(element) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "The Condition of a statement is not an object.");
    for (struct json_iter it = json_iterate(element); json_next(&it, NULL, &block);)
        room += json_count(block);
    s->conditions = arena_alloc(c->policy->arena, (room + 1) * sizeof s->conditions[0]);
    for (struct json_iter it = json_iterate(element); json_next(&it, &name, &block);)
        TRY(conditions_compile(c->policy->arena, c->variables, name, block, s->conditions,
                               &s->n_conditions, reterr));
    return KMS_OK;
}

static enum kms_status twice(const char *name, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_POLICY, "A statement of the policy has both %s and Not%s.",
                      name, name);
}

enum element {
    SID,
    EFFECT,
    PRINCIPAL,
    NOT_PRINCIPAL,
    ACTION,
    NOT_ACTION,
    RESOURCE,
    NOT_RESOURCE,
    CONDITION,
    ELEMENTS
};
static const char *const element_names[ELEMENTS] = {
    [SID] = "Sid",
    [EFFECT] = "Effect",
    [PRINCIPAL] = "Principal",
    [NOT_PRINCIPAL] = "NotPrincipal",
    [ACTION] = "Action",
    [NOT_ACTION] = "NotAction",
    [RESOURCE] = "Resource",
    [NOT_RESOURCE] = "NotResource",
    [CONDITION] = "Condition",
};

static enum presence presence_of(bool excluded)
{
    return excluded ? ELEMENT_EXCLUDED : ELEMENT_LISTED;
}

static enum kms_status read_element(const struct compiler *c, enum element which, struct json v,
                                    struct statement *s, struct kms_error *reterr)
{
    struct arena *arena = c->policy->arena;
    unsigned      resource = PATTERN_WILD | (c->variables ? PATTERN_VARIABLES : 0u);

    switch (which) {
    case SID:
        if (json_type(v) != JSON_STRING)
            return KMS_REFUSE(reterr, KMS_E_POLICY, "The Sid of a statement is not a text.");
        s->sid = arena_copy(arena, json_string(v));
        return KMS_OK;
    case EFFECT: return read_effect(v, s, reterr);
    case PRINCIPAL:
    case NOT_PRINCIPAL:
        if (s->principals.presence != ELEMENT_ABSENT)
            return twice("Principal", reterr);
        s->principals.presence = presence_of(which == NOT_PRINCIPAL);
        return principals_compile(arena, c->principals, v, &s->principals, reterr);
    case ACTION:
    case NOT_ACTION:
        if (s->actions.presence != ELEMENT_ABSENT)
            return twice("Action", reterr);
        s->actions.presence = presence_of(which == NOT_ACTION);
        TRY(check_actions(v, reterr));
        return patterns_compile(arena, element_names[which], v, PATTERN_WILD | PATTERN_LOWER,
                                &s->actions, reterr);
    case RESOURCE:
    case NOT_RESOURCE:
        if (s->resources.presence != ELEMENT_ABSENT)
            return twice("Resource", reterr);
        s->resources.presence = presence_of(which == NOT_RESOURCE);
        return patterns_compile(arena, element_names[which], v, resource, &s->resources, reterr);
    case CONDITION: return read_condition(c, v, s, reterr);
    case ELEMENTS:  break;
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "no such element of a statement");
}

static enum kms_status check_need(enum need need, enum presence presence, const char *name,
                                  struct kms_error *reterr)
{
    if (need == MUST && presence == ELEMENT_ABSENT)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "A statement of the policy has no %s.", name);
    if (need == MUST_NOT && presence != ELEMENT_ABSENT)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "A policy of this kind must not have a %s.", name);
    return KMS_OK;
}

static enum kms_status read_statement(const struct compiler *c, struct json v, struct statement *s,
                                      struct kms_error *reterr)
{
    enum policy_kind kind = c->policy->kind;
    bool             has_effect = false;
    struct bytes     name;
    struct json      value;

    if (json_type(v) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "A statement of the policy is not an object.");
    for (struct json_iter it = json_iterate(v); json_next(&it, &name, &value);) {
        unsigned which = 0;
        while (which < ELEMENTS && !bytes_eq_str(name, element_names[which]))
            which++;
        if (which == ELEMENTS)
            return KMS_REFUSE(reterr, KMS_E_POLICY, "Unknown element '%.*s' in a policy statement.",
                              BYTES_FMT(name));
        has_effect = has_effect || which == EFFECT;
        TRY(read_element(c, (enum element)which, value, s, reterr));
    }
    if (!has_effect)
        return read_effect((struct json){ NULL }, s, reterr);
    TRY(check_need(needs[kind].principal, s->principals.presence, "Principal", reterr));
    TRY(check_need(needs[kind].action, s->actions.presence, "Action", reterr));
    return check_need(needs[kind].resource, s->resources.presence, "Resource", reterr);
}

static enum kms_status read_statements(const struct compiler *c, struct json element,
                                       struct kms_error *reterr)
{
    bool           list = json_type(element) == JSON_ARRAY;
    size_t         n = list ? json_count(element) : 1;
    struct policy *p = c->policy;
    struct json    v = element;

    if (n == 0)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "The policy has no statement.");
    p->statements = arena_alloc(p->arena, n * sizeof p->statements[0]);
    struct json_iter it = json_iterate(element);
    for (size_t i = 0; i < n; i++) {
        if (list && !json_next(&it, NULL, &v))
            break;
        TRY(read_statement(c, v, &p->statements[i], reterr));
    }
    p->n_statements = n;
    return KMS_OK;
}

/* --- documents -------------------------------------------------------------------------------- */

/* No version is that of 2008 (recorded 5.1 rule 1: accepted). */
static enum kms_status read_version(struct json v, bool *ret_variables, struct kms_error *reterr)
{
    struct bytes text = json_string(v);

    *ret_variables = bytes_eq(text, BYTES_LIT("2012-10-17"));
    if (v.node == NULL || *ret_variables || bytes_eq(text, BYTES_LIT("2008-10-17")))
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_POLICY, "The Version of a policy is 2012-10-17 or 2008-10-17.");
}

static enum kms_status read_document(struct policy *p, struct bytes principals, struct json root,
                                     struct kms_error *reterr)
{
    struct compiler c = { .policy = p, .principals = principals };
    struct bytes    name;
    struct json     v;

    if (json_type(root) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "The policy is not an object.");
    for (struct json_iter it = json_iterate(root); json_next(&it, &name, &v);) {
        if (bytes_eq(name, BYTES_LIT("Id")) && json_type(v) == JSON_STRING)
            continue;
        if (!bytes_eq(name, BYTES_LIT("Version")) && !bytes_eq(name, BYTES_LIT("Statement")))
            return KMS_REFUSE(reterr, KMS_E_POLICY, "Unknown element '%.*s' in the policy.",
                              BYTES_FMT(name));
    }
    TRY(read_version(json_member(root, "Version"), &c.variables, reterr));
    struct json statements = json_member(root, "Statement");
    if (statements.node == NULL)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "The policy has no statement.");
    return read_statements(&c, statements, reterr);
}

static struct policy *policy_new(enum policy_kind kind, size_t text_len)
{
    struct arena *arena = arena_new(ARENA_SPARE + 2 * text_len);

    if (arena == NULL)
        return NULL;
    struct policy *p = arena_alloc(arena, sizeof *p);
    p->kind = kind;
    p->arena = arena;
    return p;
}

void policy_free(struct policy *p)
{
    if (p != NULL)
        arena_free(p->arena); /* the policy lies in it */
}

void policy_freep(struct policy **p)
{
    policy_free(*p);
    *p = NULL;
}

enum kms_status policy_compile(enum policy_kind kind, struct bytes text, struct bytes principals,
                               struct policy **ret, struct kms_error *reterr)
{
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    CLEANUP(policy_freep) struct policy     *p = policy_new(kind, text.len);
    CLEANUP(buf_release) struct buf          room = BUF_INIT(text.len + JSON_PADDING);
    struct json                              root;

    buf_add(&room, text);
    if (doc == NULL || p == NULL || !buf_reserve(&room, JSON_PADDING) || !buf_ok(&room))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to compile a policy");
    memset(room.ptr + room.len, 0, JSON_PADDING);
    enum kms_status status = json_parse(doc, room.ptr, room.len, &root, reterr);
    if (status == KMS_E_SERIALIZATION) /* without message (kms-behaviour 3.2) */
        return KMS_FAIL(reterr, KMS_E_POLICY, "the policy is not JSON");
    TRY(status);
    TRY(read_document(p, principals, root, reterr));
    *ret = TAKE(p);
    return KMS_OK;
}

bool policy_principals_known(const struct policy *p,
                             bool (*known)(const struct policy_principal *, const void *ctx),
                             const void *ctx)
{
    for (size_t i = 0; i < p->n_statements; i++) {
        const struct principals *who = &p->statements[i].principals;
        for (size_t k = 0; k < who->n; k++) {
            if (!known(&who->list[k], ctx))
                return false;
        }
    }
    return true;
}
