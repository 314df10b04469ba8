/* iam/simulate.c - SimulatePrincipalPolicy, SimulateCustomPolicy: what would documents say?
 *
 * The documents are those of a user or role, and those that the request brings; what conditions ask is
 * answered by the request's ContextEntries, and for a principal by what is known of it. A resource policy
 * is read as a key policy is, except that it allows beside identity policies instead of above them, as
 * with most services.
 */
#include "iam/handlers.h"

#include <stdio.h>

#include "authz/policy.h"
#include "base/encode.h"

enum {
    INPUT_MAX = 16, /* documents of a list in one request */
    DOCUMENTS_MAX = INLINE_MAX + ATTACHED_MAX + INPUT_MAX,
    MISSING_NAME_MAX = 256,
    MISSING_MAX = 32,    /* condition keys named as missing, for one decision */
    DECISIONS_MAX = 100, /* in one answer */
    SOURCE_ROOM = 64,
};

#define DOCUMENTS(NAME, FLAGS)                                                                     \
    { .name = (NAME), .type = IAM_STRINGS, .flags = IAM_NO_AUDIT | (FLAGS), .min = 1,              \
      .max = 131072, IAM_PATTERN("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", iam_is_document) }
#define RESOURCE(NAME, TYPE) { .name = (NAME), .type = (TYPE), .min = 1, .max = 2048 }
#define SHARED_PARAMETERS                                                                          \
    DOCUMENTS("PermissionsBoundaryPolicyInputList", 0),                                            \
    { .name = "ActionNames", .type = IAM_STRINGS, .flags = IAM_REQUIRED, .min = 3, .max = 128 },   \
    RESOURCE("ResourceArns", IAM_STRINGS),                                                         \
    IAM_DOCUMENT("ResourcePolicy", 0),                                                             \
    RESOURCE("ResourceOwner", IAM_STRING),                                                         \
    RESOURCE("CallerArn", IAM_STRING),                                                             \
    { .name = "ContextEntries", .type = IAM_CONTEXT_ENTRIES, .max = LIMIT_LIST_ITEMS },            \
    IAM_PAGE

const struct iam_param iam_simulate_custom_params[] = {
    DOCUMENTS("PolicyInputList", IAM_REQUIRED),
    SHARED_PARAMETERS,
    IAM_END,
};
const struct iam_param iam_simulate_principal_params[] = {
    IAM_ARN("PolicySourceArn", IAM_REQUIRED),
    DOCUMENTS("PolicyInputList", 0),
    SHARED_PARAMETERS,
    IAM_END,
};

struct document {
    const struct policy *policy; /* NULL: cannot be read, so it denies */
    struct policy       *owned;
    char                 id[SOURCE_ROOM]; /* of the request's own, else empty */
    struct bytes         name;
    const char          *type;
};

struct missing {
    enum condition_key_id id;
    struct bytes          name;
};

struct simulation {
    struct op_call               *call;
    const struct identity_record *source; /* NULL: SimulateCustomPolicy */
    struct policy_caller          caller;
    struct document               documents[DOCUMENTS_MAX];
    size_t                        n_documents;
    bool                          bounded;
    struct document               boundary;
    bool                          has_resource_policy;
    struct document               resource_policy;
    struct bytes                  entries[LIMIT_LIST_ITEMS]; /* ContextKeyName of each */
    size_t                        n_entries;
    struct missing                missing[MISSING_MAX];
    size_t                        n_missing;
};

static void release(struct simulation *s)
{
    for (size_t i = 0; i < s->n_documents; i++)
        policy_free(s->documents[i].owned);
    policy_free(s->boundary.owned);
    policy_free(s->resource_policy.owned);
}

/* --- what conditions ask ---------------------------------------------------------------------- */

static const char *const key_names[] = {
#define KEY_NAME(id, name, many) [id] = (name),
    CONDITION_KEYS(KEY_NAME)
#undef KEY_NAME
};
static const bool key_has_many[] = {
#define ONE   false
#define NAMED false
#define MANY  true
#define KEY_MANY(id, name, many) [id] = many,
    CONDITION_KEYS(KEY_MANY)
#undef KEY_MANY
#undef ONE
#undef NAMED
#undef MANY
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool same_word(struct bytes a, struct bytes b)
{
    bool same = a.len == b.len;

    for (size_t i = 0; same && i < a.len; i++)
        same = lower(a.ptr[i]) == lower(b.ptr[i]);
    return same;
}

static bool names_key(struct bytes name, const struct condition_key *key)
{
    struct bytes head = bytes_str(key_names[key->id]);
    struct bytes got;

    return name.len == head.len + key->name.len && bytes_take(&name, head.len, &got) &&
           same_word(got, head) && same_word(name, key->name);
}

/* Value number `i` of the request's entry for the key. Asked for every condition of every decision: the
 * names are read once (read_entries). */
static enum condition_answer entry_value(const struct simulation    *s,
                                         const struct condition_key *key, size_t i, bool *ret_known,
                                         struct bytes *ret)
{
    struct bytes entries = BYTES_LIT("ContextEntries");
    size_t       k = 0;

    while (k < s->n_entries && !names_key(s->entries[k], key))
        k++;
    *ret_known = k < s->n_entries;
    if (!*ret_known || (i > 0 && !key_has_many[key->id]))
        return CONDITION_ABSENT;
    struct form_name list = form_name(entries, k + 1, "ContextKeyValues");

    *ret = form_element(s->call->form, bytes_of(list.text, list.len), i + 1, NULL);
    return ret->ptr != NULL ? CONDITION_VALUE : CONDITION_ABSENT;
}

static enum condition_answer written(struct buf *b, struct bytes *ret)
{
    *ret = buf_bytes(b);
    return buf_ok(b) ? CONDITION_VALUE : CONDITION_UNSURE;
}

/* What is known without being told. */
static enum condition_answer known_value(const struct simulation    *s,
                                         const struct condition_key *key, char room[CONDITION_ROOM],
                                         struct bytes *ret)
{
    const struct identity_record *r = s->source;
    struct buf b = { .ptr = (uint8_t *)room, .cap = CONDITION_ROOM, .limit = CONDITION_ROOM };

    if (key->id == ASK_CURRENT_TIME) {
        date_iso8601_add(&b, s->call->now);
        return written(&b, ret);
    }
    if (key->id == ASK_EPOCH_TIME) {
        buf_add_decimal(&b, (uint64_t)(s->call->now / 1000));
        return written(&b, ret);
    }
    if (r == NULL)
        return CONDITION_ABSENT;
    const struct key_tag *tag = NULL;
    bool                  user = r->kind == IDENTITY_USER;

    if (key->id == ASK_PRINCIPAL_TAG)
        tag = iam_find_tag(r->tags, r->n_tags, key->name);
    if (tag != NULL)
        *ret = tag->value;
    else if (key->id == ASK_PRINCIPAL_ARN)
        *ret = r->arn;
    else if (key->id == ASK_PRINCIPAL_ACCOUNT)
        *ret = r->account;
    else if (key->id == ASK_PRINCIPAL_TYPE)
        *ret = bytes_str(user ? "User" : "AssumedRole");
    else if (key->id == ASK_USER_NAME && user)
        *ret = r->name;
    else if (key->id == ASK_USER_ID && user)
        *ret = r->unique_id;
    else
        return CONDITION_ABSENT;
    return CONDITION_VALUE;
}

static void note_missing(struct simulation *s, const struct condition_key *key)
{
    for (size_t i = 0; i < s->n_missing; i++) {
        if (s->missing[i].id == key->id && same_word(s->missing[i].name, key->name))
            return;
    }
    if (s->n_missing < MISSING_MAX && key->name.len <= MISSING_NAME_MAX)
        s->missing[s->n_missing++] = (struct missing){ key->id, key->name };
}

static enum condition_answer answer(void *ctx, const struct condition_key *key, size_t i,
                                    char room[CONDITION_ROOM], struct bytes *ret)
{
    struct simulation    *s = ctx;
    bool                  known = false;
    enum condition_answer a = entry_value(s, key, i, &known, ret);

    if (known)
        return a;
    a = i == 0 ? known_value(s, key, room, ret) : CONDITION_ABSENT;
    if (a == CONDITION_ABSENT && i == 0)
        note_missing(s, key);
    return a;
}

/* --- the documents ---------------------------------------------------------------------------- */

/* A document of the request. */
static enum kms_status compile(struct document *d, enum policy_kind kind, struct bytes text,
                               const char *list, size_t i, struct kms_error *reterr)
{
    struct kms_error err;
    struct bytes     nobody = { NULL, 0 };

    (void)snprintf(d->id, sizeof d->id, "%s.%zu", list, i);
    d->name = bytes_str(d->id);
    d->type = kind == POLICY_KEY ? "Resource Policy" : "IAM Policy";
    if (policy_compile(kind, text, nobody, &d->owned, &err) != KMS_OK)
        return KMS_REFUSE(reterr, KMS_E_INPUT, "%s: %s", d->id,
                          err.message_len > 0 ? err.message : "Syntax errors in policy.");
    d->policy = d->owned;
    return KMS_OK;
}

static enum kms_status read_inputs(struct simulation *s, struct kms_error *reterr)
{
    const struct form *form = s->call->form;
    static const char  list[] = "PolicyInputList";
    size_t             n = 0;

    TRY(form_list(form, bytes_str(list), INPUT_MAX, &n, reterr));
    for (size_t i = 1; i <= n; i++) {
        struct document *d = &s->documents[s->n_documents++];
        TRY(compile(d, POLICY_IDENTITY, form_element(form, bytes_str(list), i, NULL), list, i,
                    reterr));
    }
    return KMS_OK;
}

static const char *source_type(const struct simulation *s, struct bytes name)
{
    if (!bytes_starts(name, BYTES_LIT("arn:")))
        return iam_kind_word(s->source->kind);
    const struct identity_record *r = book_identity_by_arn(s->call->env->identities, name);

    return r != NULL && iam_is_built_in(r) ? "aws-managed" : "user-managed";
}

static void read_source(struct simulation *s)
{
    struct authz_policy policies[INLINE_MAX + ATTACHED_MAX];
    size_t              n = book_policies(s->call->env->identities, s->source, policies);

    for (size_t i = 0; i < n; i++)
        s->documents[s->n_documents++] = (struct document){
            .policy = policies[i].policy,
            .name = policies[i].name,
            .type = source_type(s, policies[i].name),
        };
    if (s->source->boundary.len == 0)
        return;
    struct authz_policy boundary = book_boundary(s->call->env->identities, s->source);

    s->bounded = true;
    s->boundary = (struct document){ .policy = boundary.policy, .name = boundary.name };
}

/* The request's boundary stands in for the principal's own. */
static enum kms_status read_boundary(struct simulation *s, struct kms_error *reterr)
{
    static const char list[] = "PermissionsBoundaryPolicyInputList";
    size_t            n = 0;

    TRY(form_list(s->call->form, bytes_str(list), 1, &n, reterr));
    if (n == 0)
        return KMS_OK;
    s->bounded = true;
    s->boundary = (struct document){ .policy = NULL };
    return compile(&s->boundary, POLICY_BOUNDARY,
                   form_element(s->call->form, bytes_str(list), 1, NULL), list, 1, reterr);
}

static enum kms_status read_resource_policy(struct simulation *s, struct kms_error *reterr)
{
    struct bytes text = iam_arg(s->call, "ResourcePolicy");

    if (text.ptr == NULL)
        return KMS_OK;
    if (s->caller.arn.ptr == NULL)
        return KMS_REFUSE(reterr, KMS_E_INPUT,
                          "CallerArn is required if you include a ResourcePolicy and the "
                          "PolicySourceArn is not the ARN for an IAM user.");
    s->has_resource_policy = true;
    return compile(&s->resource_policy, POLICY_KEY, text, "ResourcePolicy", 1, reterr);
}

/* Who would call: a user of the account, named by CallerArn or the source itself. */
static enum kms_status read_caller(struct simulation *s, struct kms_error *reterr)
{
    struct bytes                  arn = iam_arg(s->call, "CallerArn");
    const struct identity_record *r = s->source;

    if (arn.ptr != NULL)
        r = book_identity_by_arn(s->call->env->identities, arn);
    if (r != NULL && r->kind == IDENTITY_USER && bytes_eq(r->account, s->call->account))
        s->caller = (struct policy_caller){
            .kind = CALLER_USER,
            .account = r->account,
            .arn = r->arn,
            .unique_id = r->unique_id,
        };
    else if (arn.ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_INPUT, "Invalid Entity Arn: %.*s does not name a user.",
                          BYTES_FMT(arn));
    return KMS_OK;
}

static enum kms_status refuse_unsupported(const struct op_call *call, struct kms_error *reterr)
{
    static const char *const lists[] = { "PolicyExclusionList",
                                         "OrderedOrganizationPolicyInputList" };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t n = 0;
        if (form_list(call->form, bytes_str(lists[i]), LIMIT_LIST_ITEMS, &n, NULL) != KMS_OK ||
            n > 0)
            return KMS_REFUSE(reterr, KMS_E_INPUT, "Trent does not support %s.", lists[i]);
    }
    if (iam_arg(call, "ResourceHandlingOption").ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_INPUT, "Trent does not support ResourceHandlingOption.");
    return KMS_OK;
}

static enum kms_status read_entries(struct simulation *s, struct kms_error *reterr)
{
    struct bytes entries = BYTES_LIT("ContextEntries");

    TRY(form_list(s->call->form, entries, LIMIT_LIST_ITEMS, &s->n_entries, reterr));
    for (size_t k = 0; k < s->n_entries; k++)
        s->entries[k] = form_element(s->call->form, entries, k + 1, "ContextKeyName");
    return KMS_OK;
}

static enum kms_status read_request(struct simulation *s, struct kms_error *reterr)
{
    TRY(refuse_unsupported(s->call, reterr));
    TRY(read_entries(s, reterr));
    if (s->source != NULL)
        read_source(s);
    TRY(read_inputs(s, reterr));
    TRY(read_boundary(s, reterr));
    TRY(read_caller(s, reterr));
    return read_resource_policy(s, reterr);
}

/* --- decisions -------------------------------------------------------------------------------- */

/* What the documents say of one action and resource. */
struct decision {
    bool                   denied, allowed, within_boundary;
    const struct document *matched[DOCUMENTS_MAX + 2];
    size_t                 n_matched;
};

static enum policy_verdict ask(const struct document *d, const struct policy_request *rq)
{
    return d->policy == NULL ? POLICY_DENIES : policy_evaluate(d->policy, rq).verdict;
}

static void count(struct decision *v, const struct document *d, enum policy_verdict verdict)
{
    if (verdict != POLICY_ALLOWS && verdict != POLICY_DENIES)
        return;
    v->denied = v->denied || verdict == POLICY_DENIES;
    v->allowed = v->allowed || verdict == POLICY_ALLOWS;
    v->matched[v->n_matched++] = d;
}

static struct decision decide(struct simulation *s, struct bytes action, struct bytes resource)
{
    struct decision             v = { .within_boundary = true };
    const struct policy_request rq = {
        .caller = s->caller,
        .action = action,
        .resource = resource,
        .values = answer,
        .ctx = s,
    };

    s->n_missing = 0;
    for (size_t i = 0; i < s->n_documents; i++)
        count(&v, &s->documents[i], ask(&s->documents[i], &rq));
    if (s->has_resource_policy)
        count(&v, &s->resource_policy, ask(&s->resource_policy, &rq));
    if (s->bounded) {
        enum policy_verdict verdict = ask(&s->boundary, &rq);
        v.within_boundary = verdict == POLICY_ALLOWS;
        v.denied = v.denied || verdict == POLICY_DENIES;
    }
    return v;
}

static void put_matched(struct xml *x, const struct decision *v)
{
    xml_open(x, "MatchedStatements");
    for (size_t i = 0; i < v->n_matched; i++) {
        xml_open(x, "member");
        xml_put(x, "SourcePolicyId", v->matched[i]->name);
        xml_put_str(x, "SourcePolicyType", v->matched[i]->type);
        xml_close(x);
    }
    xml_close(x);
}

static void put_missing(struct xml *x, const struct simulation *s)
{
    xml_open(x, "MissingContextValues");
    for (size_t i = 0; i < s->n_missing; i++) {
        CLEANUP(buf_release) struct buf name = BUF_INIT(2 * MISSING_NAME_MAX);
        buf_add_str(&name, key_names[s->missing[i].id]);
        buf_add(&name, s->missing[i].name);
        xml_put(x, "member", buf_bytes(&name));
    }
    xml_close(x);
}

static void put_decision(struct simulation *s, struct bytes action, struct bytes resource)
{
    struct decision v = decide(s, action, resource);
    struct xml     *x = s->call->xml;

    xml_open(x, "member");
    xml_put(x, "EvalActionName", action);
    xml_put(x, "EvalResourceName", resource);
    xml_put_str(x, "EvalDecision",
                v.denied                         ? "explicitDeny"
                : v.allowed && v.within_boundary ? "allowed"
                                                 : "implicitDeny");
    put_matched(x, &v);
    put_missing(x, s);
    if (s->bounded) {
        xml_open(x, "PermissionsBoundaryDecisionDetail");
        xml_put_bool(x, "AllowedByPermissionsBoundary", v.within_boundary);
        xml_close(x);
    }
    xml_close(x);
}

/* Every action with every resource, page by page. */
static enum kms_status put_decisions(struct simulation *s, struct kms_error *reterr)
{
    const struct form *form = s->call->form;
    struct bytes       actions = BYTES_LIT("ActionNames");
    struct bytes       resources = BYTES_LIT("ResourceArns");
    size_t             n_actions = 0;
    size_t             n_resources = 0;
    size_t             from = 0;
    size_t             to = 0;

    TRY(form_list(form, actions, LIMIT_LIST_ITEMS, &n_actions, reterr));
    TRY(form_list(form, resources, LIMIT_LIST_ITEMS, &n_resources, reterr));
    size_t per_action = n_resources > 0 ? n_resources : 1;
    size_t n = n_actions * per_action;

    TRY(iam_slice(s->call, n, &from, &to, reterr));
    to = to - from > DECISIONS_MAX ? from + DECISIONS_MAX : to;
    xml_open(s->call->xml, "EvaluationResults");
    for (size_t i = from; i < to; i++) {
        put_decision(s, form_element(form, actions, i / per_action + 1, NULL),
                     n_resources > 0 ? form_element(form, resources, i % per_action + 1, NULL)
                                     : BYTES_LIT("*"));
        if (iam_page_full(s->call))
            to = i + 1;
    }
    xml_close(s->call->xml);
    return iam_slice_end(s->call, n, to, reterr);
}

enum kms_status iam_simulate(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(release) struct simulation s = { .call = call, .source = call->identity };

    TRY(read_request(&s, reterr));
    return put_decisions(&s, reterr);
}
