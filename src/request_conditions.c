/* request_conditions.c - what the conditions of policies may ask about a request, and the answers
 * (kms-behaviour 12; the global keys as far as they make sense here).
 *
 * A condition key that a request has no value for is absent. Where two answers are possible the
 * answer is that nobody knows, and the request is denied.
 */
#include "base/cleanup.h"
#include "base/limits.h"
#include "iam/iam.h"
#include "request_conditions.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* `what` of some of them */
enum { IS_PRINCIPAL, IS_SERVICE };
enum { STS_EXTERNAL_ID, STS_SESSION_NAME, STS_SOURCE_IDENTITY };

enum condition_answer answer_word(const struct question *q, struct bytes text)
{
    *q->ret = text;
    return text.ptr == NULL ? CONDITION_ABSENT : CONDITION_VALUE;
}

enum condition_answer answer_absent(const struct question *q)
{
    return answer_word(q, (struct bytes){ NULL, 0 });
}

enum condition_answer answer_truth(const struct question *q, bool yes)
{
    return answer_word(q, bytes_str(yes ? "true" : "false"));
}

enum condition_answer answer_number(const struct question *q, int64_t v)
{
    int n = snprintf(q->room, CONDITION_ROOM, "%lld", (long long)v);

    return answer_word(q, bytes_of(q->room, (size_t)n));
}

enum condition_answer answer_date(const struct question *q, int64_t ms)
{
    struct buf out = { .ptr = (uint8_t *)q->room, .cap = CONDITION_ROOM, .limit = CONDITION_ROOM };

    date_iso8601_add(&out, ms);
    return answer_word(q, buf_bytes(&out));
}

const struct op_call *question_call(const struct question *q)
{
    return &q->a->rq->call;
}

/* --- names of the client's -------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* By length, then without case. */
int names_compare(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    for (size_t i = 0; i < a.len; i++) {
        int difference = lower(a.ptr[i]) - lower(b.ptr[i]);
        if (difference != 0)
            return difference;
    }
    return 0;
}

static int compare_entries(const void *a, const void *b, void *ctx)
{
    const struct name_index *ix = ctx;

    return names_compare(ix->name[*(const uint8_t *)a], ix->name[*(const uint8_t *)b]);
}

_Static_assert(LIMIT_LIST_ITEMS <= UINT8_MAX + 1, "name_index.order holds every entry");
_Static_assert((int)LIMIT_TAGS <= (int)LIMIT_LIST_ITEMS, "the tags of a key fit name_index");

static void index_add(struct name_index *ix, struct bytes name, const void *value)
{
    assert(ix->n < LIMIT_LIST_ITEMS); /* the shapes see to that */
    ix->order[ix->n] = (uint8_t)ix->n;
    ix->name[ix->n] = name;
    ix->value[ix->n++] = value;
}

static void index_fill(const struct question *q, struct name_index *ix)
{
    const struct key_record *key = q->a->key;
    struct json_iter         it;
    struct bytes             name;
    struct json              v;

    if (q->what == NAMES_CONTEXT) {
        it = json_iterate(op_asked_context(question_call(q), q->a->destination));
        while (json_next(&it, &name, &v))
            index_add(ix, name, v.node);
    } else if (q->what == NAMES_REQUEST_TAGS) {
        it = json_iterate(question_call(q)->in.tags);
        while (json_next(&it, NULL, &v))
            index_add(ix, json_string(json_member(v, "TagKey")), json_member(v, "TagValue").node);
    } else {
        for (size_t i = 0; key != NULL && i < key->n_tags; i++)
            index_add(ix, key->tags[i].key, &key->tags[i]);
    }
}

static const struct name_index *names_of(const struct question *q)
{
    /* no operation takes an encryption context and tags */
    size_t             at = q->what == NAMES_RESOURCE_TAGS ? 1 : 0;
    struct name_index *ix = &q->a->names[at];

    if (!q->a->indexed[at] || q->a->what[at] != q->what) {
        ix->n = 0;
        index_fill(q, ix);
        qsort_r(ix->order, ix->n, 1, compare_entries, ix); /* so few need no memory */
        q->a->indexed[at] = true;
        q->a->what[at] = q->what;
    }
    return ix;
}

static struct bytes value_at(const struct question *q, const void *value)
{
    if (q->what == NAMES_RESOURCE_TAGS)
        return ((const struct key_tag *)value)->value;
    return json_string((struct json){ (void *)(uintptr_t)value });
}

/* Condition keys have no case, names in a context or of tags do: if two of those are the same
 * otherwise, either could be meant. An empty value is there. */
static enum condition_answer named_value(const struct question *q)
{
    if ((q->what == NAMES_CONTEXT &&
         op_asked_context(question_call(q), q->a->destination).node == NULL) ||
        (q->what == NAMES_REQUEST_TAGS && question_call(q)->in.tags.node == NULL))
        return CONDITION_ABSENT; /* so the two never take turns in the one index */
    const struct name_index *ix = names_of(q);
    size_t                   low = 0;
    size_t                   high = ix->n;

    while (low < high) { /* the first that is not less */
        size_t middle = low + (high - low) / 2;
        if (names_compare(ix->name[ix->order[middle]], q->name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ix->n || names_compare(ix->name[ix->order[low]], q->name) != 0)
        return CONDITION_ABSENT;
    if (low + 1 < ix->n && names_compare(ix->name[ix->order[low + 1]], q->name) == 0)
        return CONDITION_UNSURE;
    struct bytes value = value_at(q, ix->value[ix->order[low]]);
    return answer_word(q, value.len > 0 ? value : bytes_str(""));
}

/* --- short lists of tags ---------------------------------------------------------------------- */

bool tags_have(const struct key_tag *tags, size_t n, struct bytes name)
{
    size_t i = 0;

    while (i < n && names_compare(tags[i].key, name) != 0)
        i++;
    return i < n;
}

enum condition_answer answer_tag(const struct question *q, const struct key_tag *tags, size_t n)
{
    const struct key_tag *found = NULL;

    for (size_t i = 0; i < n; i++) {
        if (names_compare(tags[i].key, q->name) != 0)
            continue;
        if (found != NULL)
            return CONDITION_UNSURE;
        found = &tags[i];
    }
    if (found == NULL)
        return CONDITION_ABSENT;
    return answer_word(q, found->value.len > 0 ? found->value : bytes_str(""));
}

/* --- keys of several values ------------------------------------------------------------------- */

/* Element number q->i of a list, or member of an object; asking for the next one costs one step. */
static bool element(const struct question *q, struct json list, struct bytes *ret_name,
                    struct json *ret)
{
    struct asked *a = q->a;

    if (q->i == 0 || a->listing != list.node || a->next > q->i) {
        a->listing = list.node;
        a->at = json_iterate(list);
        a->next = 0;
    }
    bool more = true;
    while (more && a->next <= q->i) {
        more = json_next(&a->at, ret_name, ret);
        a->next++;
    }
    return more;
}

static enum condition_answer context_key(const struct question *q)
{
    struct json  value;
    struct bytes name;

    if (!element(q, op_asked_context(question_call(q), q->a->destination), &name, &value))
        return CONDITION_ABSENT;
    return answer_word(q, name);
}

/* TagResource sends tags, UntagResource their keys. */
static enum condition_answer tag_key(const struct question *q)
{
    const struct op_input *in = &question_call(q)->in;
    bool                   tags = in->tags.node != NULL;
    struct json            v;

    if (!element(q, tags ? in->tags : in->tag_keys, NULL, &v))
        return CONDITION_ABSENT;
    return answer_word(q, json_string(tags ? json_member(v, "TagKey") : v));
}

static enum condition_answer key_alias(const struct question *q)
{
    struct asked            *a = q->a;
    const struct key_record *key = a->key;

    if (q->i == 0 && key != NULL)
        a->n_aliases = directory_list_aliases(a->rq->server->parts.directory, key->name.account,
                                              key->name.region, key->name.id, 0, a->aliases,
                                              ARRAY_LEN(a->aliases));
    return q->i < a->n_aliases ? answer_word(q, a->aliases[q->i]->name.name) : CONDITION_ABSENT;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static enum condition_answer asked_word(const struct question *q)
{
    return answer_word(q,
                       op_asked_word(question_call(q), (enum op_asked)q->what, q->a->destination));
}

static enum condition_answer asked_number(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(question_call(q), (enum op_asked_number)q->what, &v)
               ? answer_number(q, v)
               : CONDITION_ABSENT;
}

static enum condition_answer asked_truth(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(question_call(q), (enum op_asked_number)q->what, &v)
               ? answer_truth(q, v != 0)
               : CONDITION_ABSENT;
}

static enum condition_answer asked_date(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(question_call(q), (enum op_asked_number)q->what, &v) ? answer_date(q, v)
                                                                                : CONDITION_ABSENT;
}

static enum condition_answer request_alias(const struct question *q)
{
    struct key_ref ref = key_ref_parse(op_asked_key(question_call(q), q->a->destination));
    bool           alias = ref.kind == REF_ALIAS || ref.kind == REF_ALIAS_ARN;

    return alias ? answer_word(q, ref.id) : CONDITION_ABSENT;
}

static enum condition_answer on_same_key(const struct question *q)
{
    const struct op_call *call = question_call(q);

    if (call->op->key != OP_KEY_BLOB_AND_DESTINATION)
        return CONDITION_ABSENT;
    return answer_truth(q, call->key == call->key2);
}

/* --- the key, or the one that is to be created ------------------------------------------------- */

static enum condition_answer key_spec(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? answer_word(q, bytes_str(key_spec_name(key->spec))) : asked_word(q);
}

static enum condition_answer key_usage(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? answer_word(q, bytes_str(key_usage_name(key->usage))) : asked_word(q);
}

static enum condition_answer key_origin(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? answer_word(q, bytes_str(key_origin_name(key->origin))) : asked_word(q);
}

static enum condition_answer multi_region(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? answer_truth(q, key->multi_region != REGION_SINGLE) : asked_truth(q);
}

static enum condition_answer multi_region_type(const struct question *q)
{
    static const char *const types[] = { NULL, "PRIMARY", "REPLICA" };
    const struct key_record *key = q->a->key;
    int64_t                  multi = 0;
    enum multi_region        type = REGION_SINGLE;

    if (key != NULL)
        type = key->multi_region;
    else if (question_call(q)->in.replica_region.ptr != NULL)
        type = REGION_REPLICA;
    else if (op_asked_number(question_call(q), ASKED_MULTI_REGION, &multi) && multi != 0)
        type = REGION_PRIMARY;
    return type == REGION_SINGLE ? CONDITION_ABSENT : answer_word(q, bytes_str(types[type]));
}

static enum condition_answer primary_region(const struct question *q)
{
    return answer_word(q, question_call(q)->in.primary_region);
}

static enum condition_answer replica_region(const struct question *q)
{
    return answer_word(q, question_call(q)->in.replica_region);
}

/* Of the key, of the user, role or policy, else the caller's: aliases and what is yet to be made are
 * never another account's. */
static enum condition_answer resource_account(const struct question *q)
{
    const struct key_record *key = q->a->key;
    const struct op_call    *call = question_call(q);

    if (key != NULL)
        return answer_word(q, key->name.account);
    return answer_word(q, call->identity != NULL ? call->identity->account : call->account);
}

/* --- the grant that is to be made --------------------------------------------------------------- */

/* An identity as its ARN, where it still has one. */
static enum condition_answer principal(const struct question *q, struct bytes identity)
{
    struct asked *a = q->a;
    struct buf    out = { .ptr = a->text, .cap = sizeof a->text, .limit = sizeof a->text };

    if (identity.len == 0)
        return CONDITION_ABSENT;
    book_principal_text(a->rq->server->parts.identities, identity, &out);
    return buf_ok(&out) ? answer_word(q, buf_bytes(&out)) : CONDITION_UNSURE;
}

static enum condition_answer grantee(const struct question *q)
{
    const struct grant_record *g = question_call(q)->child;
    bool                       service = q->what == IS_SERVICE;

    if (g == NULL || g->grantee_is_service != service)
        return CONDITION_ABSENT;
    return service ? answer_word(q, g->grantee) : principal(q, g->grantee);
}

static enum condition_answer retiring(const struct question *q)
{
    const struct grant_record *g = question_call(q)->child;
    bool                       service = q->what == IS_SERVICE;

    if (g == NULL || g->retiring.len == 0 || g->retiring_is_service != service)
        return CONDITION_ABSENT;
    return service ? answer_word(q, g->retiring) : principal(q, g->retiring);
}

static enum condition_answer grant_operation_name(const struct question *q)
{
    const struct grant_record *g = question_call(q)->child;
    size_t                     seen = 0;

    for (size_t op = 0; g != NULL && op < GRANT_OPERATION_COUNT; op++) {
        if ((g->operations & 1u << op) != 0 && seen++ == q->i)
            return answer_word(q, bytes_str(grant_operation_names[op]));
    }
    return CONDITION_ABSENT;
}

static enum condition_answer grant_constraint_type(const struct question *q)
{
    const struct grant_record *g = question_call(q)->child;

    if (g == NULL || g->constraint == GRANT_UNCONSTRAINED)
        return CONDITION_ABSENT;
    return answer_word(q, g->constraint == GRANT_CONTEXT_EQUALS
                              ? BYTES_LIT("EncryptionContextEquals")
                              : BYTES_LIT("EncryptionContextSubset"));
}

static enum condition_answer grant_source_arn(const struct question *q)
{
    const struct grant_record *g = question_call(q)->child;

    return g != NULL && g->source_arn.len > 0 ? answer_word(q, g->source_arn) : CONDITION_ABSENT;
}

/* No service asks on behalf of a resource of its own. */
static enum condition_answer grant_for_resource(const struct question *q)
{
    static const char *const asking[] = { "CreateGrant", "ListGrants", "RevokeGrant" };

    for (size_t i = 0; i < ARRAY_LEN(asking); i++) {
        if (strcmp(question_call(q)->op->name, asking[i]) == 0)
            return answer_truth(q, false);
    }
    return CONDITION_ABSENT;
}

/* --- enclaves, and how long a key has not been used --------------------------------------------- */

static enum condition_answer pcr(const struct question *q, size_t at)
{
    const struct attestation *d = &question_call(q)->attestation;
    struct asked             *a = q->a;
    struct buf out = { .ptr = a->text, .cap = sizeof a->text, .limit = sizeof a->text };

    if (at >= ATTESTATION_PCRS || d->pcr[at].len == 0)
        return CONDITION_ABSENT;
    hex_add(&out, d->pcr[at]);
    return buf_ok(&out) ? answer_word(q, buf_bytes(&out)) : CONDITION_UNSURE;
}

static enum condition_answer enclave_image(const struct question *q)
{
    return pcr(q, 0);
}

/* "kms:RecipientAttestation:PCR<0 to 31>" */
static enum condition_answer enclave_pcr(const struct question *q)
{
    size_t at = 0;

    if (q->name.len == 0 || q->name.len > 2 || (q->name.len == 2 && q->name.ptr[0] == '0'))
        return CONDITION_ABSENT;
    for (size_t i = 0; i < q->name.len; i++) {
        if (q->name.ptr[i] < '0' || q->name.ptr[i] > '9')
            return CONDITION_ABSENT;
        at = at * 10 + (size_t)(q->name.ptr[i] - '0');
    }
    return pcr(q, at);
}

/* Whole days since its last use; of a key that was never used, since that has been watched. */
static enum condition_answer trailing_days(const struct question *q)
{
    const struct key_record *key = q->a->key;
    struct key_usage_record  u;
    const int64_t            day = 24 * 3600 * 1000;
    const char              *name = question_call(q)->op->name;

    if (key == NULL ||
        (strcmp(name, "ScheduleKeyDeletion") != 0 && strcmp(name, "DisableKey") != 0) ||
        !directory_last_usage(q->a->rq->server->parts.directory, &key->name, &u))
        return CONDITION_ABSENT;
    int64_t since = u.last.operation != TRACKED_NONE ? u.last.at : u.since;
    return answer_number(q,
                         question_call(q)->now > since ? (question_call(q)->now - since) / day : 0);
}

/* --- requests of the Query protocol -------------------------------------------------------------- */

/* Of parameters that the action does not have nothing is known: a client that could answer a condition
 * with one would choose its rights itself. */

static enum condition_answer parameter(const struct question *q, const char *service,
                                       const char *name)
{
    const struct op_call *call = question_call(q);

    if (call->form == NULL || strcmp(call->op->service, service) != 0 || !iam_takes(call->op, name))
        return CONDITION_ABSENT;
    return answer_word(q, form_get_str(call->form, name));
}

static enum condition_answer sts_parameter(const struct question *q)
{
    static const char *const names[] = {
        [STS_EXTERNAL_ID] = "ExternalId",
        [STS_SESSION_NAME] = "RoleSessionName",
        [STS_SOURCE_IDENTITY] = "SourceIdentity",
    };

    return parameter(q, "sts", names[q->what]);
}

/* Element number `i`, from 1, of a list that the action has. */
static struct bytes listed(const struct question *q, const char *list, size_t i, const char *field)
{
    const struct op_call *call = question_call(q);

    if (call->form == NULL || !iam_takes(call->op, list))
        return (struct bytes){ NULL, 0 };
    return form_element(call->form, bytes_str(list), i, field);
}

static enum condition_answer transitive_tag(const struct question *q)
{
    return answer_word(q, listed(q, "TransitiveTagKeys", q->i + 1, NULL));
}

static enum condition_answer policy_arn(const struct question *q)
{
    return parameter(q, "iam", "PolicyArn");
}

/* That which the request sets, or that of whom it is about. */
static enum condition_answer boundary(const struct question *q)
{
    const struct identity_record *r = question_call(q)->identity;

    if (parameter(q, "iam", "PermissionsBoundary") == CONDITION_VALUE)
        return CONDITION_VALUE;
    return r != NULL && r->boundary.len > 0 ? answer_word(q, r->boundary) : answer_absent(q);
}

static enum condition_answer identity_tag(const struct question *q)
{
    const struct identity_record *r = question_call(q)->identity;

    return r != NULL ? answer_tag(q, r->tags, r->n_tags) : answer_absent(q);
}

static enum condition_answer resource_tag(const struct question *q)
{
    return question_call(q)->form != NULL ? identity_tag(q) : named_value(q);
}

static enum condition_answer request_tag(const struct question *q)
{
    struct bytes key;
    struct bytes value = { NULL, 0 };

    if (question_call(q)->form == NULL)
        return named_value(q);
    for (size_t i = 1; i <= LIMIT_TAGS && (key = listed(q, "Tags", i, "Key")).ptr; i++) {
        if (names_compare(key, q->name) != 0)
            continue;
        if (value.ptr != NULL)
            return CONDITION_UNSURE;
        value = listed(q, "Tags", i, "Value");
    }
    return answer_word(q, value);
}

static enum condition_answer request_tag_key(const struct question *q)
{
    struct bytes key;

    if (question_call(q)->form == NULL)
        return tag_key(q);
    key = listed(q, "Tags", q->i + 1, "Key");
    return answer_word(q, key.ptr != NULL ? key : listed(q, "TagKeys", q->i + 1, NULL));
}

/* --- who answers what ------------------------------------------------------------------------- */

// clang-format off
static const struct {
    enum condition_answer (*answer)(const struct question *q);
    int  what;
    bool many;
} answers[] = {
    [ASK_BYPASS_LOCKOUT]              = { asked_truth,          ASKED_BYPASS_LOCKOUT,          false },
    [ASK_CALLER_ACCOUNT]              = { asked_caller_account,       0,                             false },
    [ASK_KEY_SPEC]                    = { key_spec,             ASKED_KEY_SPEC,                false },
    [ASK_CUSTOMER_MASTER_KEY_SPEC]    = { key_spec,             ASKED_KEY_SPEC,                false },
    [ASK_KEY_USAGE]                   = { key_usage,            ASKED_KEY_USAGE,               false },
    [ASK_CUSTOMER_MASTER_KEY_USAGE]   = { key_usage,            ASKED_KEY_USAGE,               false },
    [ASK_KEY_ORIGIN]                  = { key_origin,           ASKED_KEY_ORIGIN,              false },
    [ASK_DATA_KEY_PAIR_SPEC]          = { asked_word,           ASKED_KEY_PAIR_SPEC,           false },
    [ASK_ENCRYPTION_ALGORITHM]        = { asked_word,           ASKED_ENCRYPTION_ALGORITHM,    false },
    [ASK_SIGNING_ALGORITHM]           = { asked_word,           ASKED_SIGNING_ALGORITHM,       false },
    [ASK_MAC_ALGORITHM]               = { asked_word,           ASKED_MAC_ALGORITHM,           false },
    [ASK_KEY_AGREEMENT_ALGORITHM]     = { asked_word,           ASKED_KEY_AGREEMENT_ALGORITHM, false },
    [ASK_MESSAGE_TYPE]                = { asked_word,           ASKED_MESSAGE_TYPE,            false },
    [ASK_ENCRYPTION_CONTEXT]          = { named_value,          NAMES_CONTEXT,                 false },
    [ASK_ENCRYPTION_CONTEXT_KEYS]     = { context_key,          0,                             true  },
    [ASK_EXPIRATION_MODEL]            = { asked_word,           ASKED_EXPIRATION_MODEL,        false },
    [ASK_VALID_TO]                    = { asked_date,           ASKED_VALID_TO,                false },
    [ASK_WRAPPING_ALGORITHM]          = { asked_word,           ASKED_WRAPPING_ALGORITHM,      false },
    [ASK_WRAPPING_KEY_SPEC]           = { asked_word,           ASKED_WRAPPING_KEY_SPEC,       false },
    [ASK_MULTI_REGION]                = { multi_region,         ASKED_MULTI_REGION,            false },
    [ASK_MULTI_REGION_KEY_TYPE]       = { multi_region_type,    0,                             false },
    [ASK_RE_ENCRYPT_ON_SAME_KEY]      = { on_same_key,          0,                             false },
    [ASK_REQUEST_ALIAS]               = { request_alias,        0,                             false },
    [ASK_RESOURCE_ALIASES]            = { key_alias,            0,                             true  },
    [ASK_ROTATION_PERIOD]             = { asked_number,         ASKED_ROTATION_PERIOD,         false },
    [ASK_PENDING_WINDOW]              = { asked_number,         ASKED_PENDING_WINDOW,          false },
    [ASK_RESOURCE_TAG]                = { resource_tag,         NAMES_RESOURCE_TAGS,           false },
    [ASK_REQUEST_TAG]                 = { request_tag,          NAMES_REQUEST_TAGS,            false },
    [ASK_TAG_KEYS]                    = { request_tag_key,      0,                             true  },
    [ASK_RESOURCE_ACCOUNT]            = { resource_account,     0,                             false },
    [ASK_PRINCIPAL_ARN]               = { asked_caller_arn,           0,                             false },
    [ASK_PRINCIPAL_ACCOUNT]           = { asked_caller_account,       0,                             false },
    [ASK_PRINCIPAL_TYPE]              = { asked_caller_type_word,     0,                             false },
    [ASK_PRINCIPAL_IS_SERVICE]        = { asked_no_service,           0,                             false },
    [ASK_USER_ID]                     = { asked_caller_id,            0,                             false },
    [ASK_VIA_SERVICE]                 = { asked_no_service,           0,                             false },
    [ASK_SOURCE_IP]                   = { asked_source_ip,            0,                             false },
    [ASK_SECURE_TRANSPORT]            = { asked_secure_transport,     0,                             false },
    [ASK_REQUESTED_REGION]            = { asked_requested_region,     0,                             false },
    [ASK_CURRENT_TIME]                = { asked_current_time,         0,                             false },
    [ASK_EPOCH_TIME]                  = { asked_epoch_time,           0,                             false },
    [ASK_USER_AGENT]                  = { asked_user_agent,           0,                             false },
    [ASK_GRANTEE_PRINCIPAL]           = { grantee,              0,                             false },
    [ASK_GRANTEE_SERVICE]             = { grantee,              IS_SERVICE,                    false },
    [ASK_RETIRING_PRINCIPAL]          = { retiring,             0,                             false },
    [ASK_RETIRING_SERVICE]            = { retiring,             IS_SERVICE,                    false },
    [ASK_GRANT_OPERATIONS]            = { grant_operation_name, 0,                             true  },
    [ASK_GRANT_CONSTRAINT_TYPE]       = { grant_constraint_type, 0,                             false },
    [ASK_GRANT_SOURCE_ARN]            = { grant_source_arn,     0,                             false },
    [ASK_GRANT_FOR_AWS_RESOURCE]      = { grant_for_resource,   0,                             false },
    [ASK_KMS_VIA_SERVICE]             = { answer_absent,               0,                             false },
    [ASK_TRAILING_DAYS]               = { trailing_days,        0,                             false },
    [ASK_ENCLAVE_IMAGE]               = { enclave_image,        0,                             false },
    [ASK_ENCLAVE_PCR]                 = { enclave_pcr,          0,                             false },
    [ASK_TPM_PCR]                     = { answer_absent,               0,                             false },
    [ASK_PRIMARY_REGION]              = { primary_region,       0,                             false },
    [ASK_REPLICA_REGION]              = { replica_region,       0,                             false },
    [ASK_PRINCIPAL_TAG]               = { asked_caller_tag,           0,                             false },
    [ASK_PRINCIPAL_ORG_ID]            = { asked_caller_organization,  0,                             false },
    [ASK_PRINCIPAL_SERVICE_NAME]      = { answer_absent,               0,                             false },
    [ASK_SOURCE_ARN]                  = { answer_absent,               0,                             false },
    [ASK_SOURCE_ACCOUNT]              = { answer_absent,               0,                             false },
    [ASK_CALLED_VIA]                  = { answer_absent,               0,                             true  },
    [ASK_CALLED_VIA_FIRST]            = { answer_absent,               0,                             false },
    [ASK_CALLED_VIA_LAST]             = { answer_absent,               0,                             false },
    [ASK_USER_NAME]                   = { asked_caller_user_name,     0,                             false },
    [ASK_TOKEN_ISSUE_TIME]            = { asked_token_issued,         0,                             false },
    [ASK_MFA_PRESENT]                 = { asked_second_factor,        0,                             false },
    [ASK_FEDERATED_PROVIDER]          = { asked_provider,             0,                             false },
    [ASK_SOURCE_IDENTITY]             = { asked_source_identity,      0,                             false },
    [ASK_REFERER]                     = { answer_absent,               0,                             false },
    [ASK_EXTERNAL_ID]                 = { sts_parameter,        STS_EXTERNAL_ID,               false },
    [ASK_ROLE_SESSION_NAME]           = { sts_parameter,        STS_SESSION_NAME,              false },
    [ASK_STS_SOURCE_IDENTITY]         = { sts_parameter,        STS_SOURCE_IDENTITY,           false },
    [ASK_TRANSITIVE_TAG_KEYS]         = { transitive_tag,       0,                             true  },
    [ASK_STS_SERVICE_NAME]            = { answer_absent,               0,                             false },
    [ASK_PERMISSIONS_BOUNDARY]        = { boundary,             0,                             false },
    [ASK_POLICY_ARN]                  = { policy_arn,           0,                             false },
    [ASK_PASSED_TO_SERVICE]           = { answer_absent,               0,                             false },
    [ASK_IAM_RESOURCE_TAG]            = { identity_tag,         0,                             false },
    [ASK_TOKEN_CLAIM]                 = { answer_absent,               0,                             false },
};
// clang-format on

_Static_assert(ARRAY_LEN(answers) == ASK_UNKNOWN, "every condition key has its answer");

enum condition_answer request_condition(void *ctx, const struct condition_key *key, size_t i,
                                        char room[CONDITION_ROOM], struct bytes *ret)
{
    struct question q = { .a = ctx, .name = key->name, .i = i, .room = room, .ret = ret };

    if (key->id >= ASK_UNKNOWN || (i > 0 && !answers[key->id].many))
        return CONDITION_ABSENT;
    q.what = answers[key->id].what;
    return answers[key->id].answer(&q);
}
