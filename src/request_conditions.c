/* request_conditions.c - what the conditions of policies may ask about a request, and the answers
 * (kms-behaviour 12; the global keys as far as they make sense here).
 *
 * A condition key that a request has no value for is absent. Where two answers are possible the
 * answer is that nobody knows, and the request is denied.
 */
#include "base/cleanup.h"
#include "base/limits.h"
#include "request_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* One question, as the functions of the table below get it. */
struct question {
    struct asked *a;
    struct bytes  name; /* of a NAMED key */
    size_t        i;
    int   what; /* from the table: an enum op_asked, op_asked_number, asked_names, or nothing */
    char *room;
    struct bytes *ret;
};

static enum condition_answer word(const struct question *q, struct bytes text)
{
    *q->ret = text;
    return text.ptr == NULL ? CONDITION_ABSENT : CONDITION_VALUE;
}

static enum condition_answer absent(const struct question *q)
{
    return word(q, (struct bytes){ NULL, 0 });
}

static enum condition_answer truth(const struct question *q, bool yes)
{
    return word(q, bytes_str(yes ? "true" : "false"));
}

static enum condition_answer number(const struct question *q, int64_t v)
{
    int n = snprintf(q->room, CONDITION_ROOM, "%lld", (long long)v);

    return word(q, bytes_of(q->room, (size_t)n));
}

static enum condition_answer date(const struct question *q, int64_t ms)
{
    struct buf out = { .ptr = (uint8_t *)q->room, .cap = CONDITION_ROOM, .limit = CONDITION_ROOM };

    date_iso8601_add(&out, ms);
    return word(q, buf_bytes(&out));
}

static const struct op_call *call_of(const struct question *q)
{
    return &q->a->rq->call;
}

/* --- names of the client's -------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* By length, then without case. */
static int compare_names(struct bytes a, struct bytes b)
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

    return compare_names(ix->name[*(const uint8_t *)a], ix->name[*(const uint8_t *)b]);
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
        it = json_iterate(op_asked_context(call_of(q), q->a->destination));
        while (json_next(&it, &name, &v))
            index_add(ix, name, v.node);
    } else if (q->what == NAMES_REQUEST_TAGS) {
        it = json_iterate(call_of(q)->in.tags);
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
         op_asked_context(call_of(q), q->a->destination).node == NULL) ||
        (q->what == NAMES_REQUEST_TAGS && call_of(q)->in.tags.node == NULL))
        return CONDITION_ABSENT; /* so the two never take turns in the one index */
    const struct name_index *ix = names_of(q);
    size_t                   low = 0;
    size_t                   high = ix->n;

    while (low < high) { /* the first that is not less */
        size_t middle = low + (high - low) / 2;
        if (compare_names(ix->name[ix->order[middle]], q->name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ix->n || compare_names(ix->name[ix->order[low]], q->name) != 0)
        return CONDITION_ABSENT;
    if (low + 1 < ix->n && compare_names(ix->name[ix->order[low + 1]], q->name) == 0)
        return CONDITION_UNSURE;
    struct bytes value = value_at(q, ix->value[ix->order[low]]);
    return word(q, value.len > 0 ? value : bytes_str(""));
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

    if (!element(q, op_asked_context(call_of(q), q->a->destination), &name, &value))
        return CONDITION_ABSENT;
    return word(q, name);
}

/* TagResource sends tags, UntagResource their keys. */
static enum condition_answer tag_key(const struct question *q)
{
    const struct op_input *in = &call_of(q)->in;
    bool                   tags = in->tags.node != NULL;
    struct json            v;

    if (!element(q, tags ? in->tags : in->tag_keys, NULL, &v))
        return CONDITION_ABSENT;
    return word(q, json_string(tags ? json_member(v, "TagKey") : v));
}

static enum condition_answer key_alias(const struct question *q)
{
    struct asked            *a = q->a;
    const struct key_record *key = a->key;

    if (q->i == 0 && key != NULL)
        a->n_aliases = directory_list_aliases(a->rq->server->parts.directory, key->name.account,
                                              key->name.region, key->name.id, 0, a->aliases,
                                              ARRAY_LEN(a->aliases));
    return q->i < a->n_aliases ? word(q, a->aliases[q->i]->name.name) : CONDITION_ABSENT;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static enum condition_answer asked_word(const struct question *q)
{
    return word(q, op_asked_word(call_of(q), (enum op_asked)q->what, q->a->destination));
}

static enum condition_answer asked_number(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(call_of(q), (enum op_asked_number)q->what, &v) ? number(q, v)
                                                                          : CONDITION_ABSENT;
}

static enum condition_answer asked_truth(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(call_of(q), (enum op_asked_number)q->what, &v) ? truth(q, v != 0)
                                                                          : CONDITION_ABSENT;
}

static enum condition_answer asked_date(const struct question *q)
{
    int64_t v = 0;

    return op_asked_number(call_of(q), (enum op_asked_number)q->what, &v) ? date(q, v)
                                                                          : CONDITION_ABSENT;
}

static enum condition_answer request_alias(const struct question *q)
{
    struct key_ref ref = key_ref_parse(op_asked_key(call_of(q), q->a->destination));
    bool           alias = ref.kind == REF_ALIAS || ref.kind == REF_ALIAS_ARN;

    return alias ? word(q, ref.id) : CONDITION_ABSENT;
}

static enum condition_answer on_same_key(const struct question *q)
{
    const struct op_call *call = call_of(q);

    if (call->op->key != OP_KEY_BLOB_AND_DESTINATION)
        return CONDITION_ABSENT;
    return truth(q, call->key == call->key2);
}

/* --- the key, or the one that is to be created ------------------------------------------------- */

static enum condition_answer key_spec(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? word(q, bytes_str(key_spec_name(key->spec))) : asked_word(q);
}

static enum condition_answer key_usage(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? word(q, bytes_str(key_usage_name(key->usage))) : asked_word(q);
}

static enum condition_answer key_origin(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? word(q, bytes_str(key_origin_name(key->origin))) : asked_word(q);
}

static enum condition_answer multi_region(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? truth(q, key->multi_region != REGION_SINGLE) : asked_truth(q);
}

static enum condition_answer multi_region_type(const struct question *q)
{
    static const char *const types[] = { NULL, "PRIMARY", "REPLICA" };
    const struct key_record *key = q->a->key;

    return key != NULL ? word(q, bytes_str(types[key->multi_region])) : CONDITION_ABSENT;
}

static enum condition_answer key_account(const struct question *q)
{
    const struct key_record *key = q->a->key;

    return key != NULL ? word(q, key->name.account) : CONDITION_ABSENT;
}

/* --- the caller and the connection: only root users exist, none acts for a service ------------- */

static enum condition_answer caller_account(const struct question *q)
{
    return word(q, call_of(q)->account);
}

static enum condition_answer caller_arn(const struct question *q)
{
    return word(q, call_of(q)->caller_arn);
}

static enum condition_answer caller_type(const struct question *q)
{
    return word(q, BYTES_LIT("Account"));
}

static enum condition_answer caller_id(const struct question *q)
{
    return word(q, bytes_str(q->a->rq->principal_id));
}

static enum condition_answer no_service(const struct question *q)
{
    return truth(q, false);
}

static enum condition_answer source_ip(const struct question *q)
{
    const struct exchange *ex = q->a->rq->ex;

    return ex->local ? CONDITION_ABSENT : word(q, bytes_str(ex->source));
}

static enum condition_answer secure_transport(const struct question *q)
{
    return truth(q, q->a->rq->ex->secure);
}

static enum condition_answer requested_region(const struct question *q)
{
    return word(q, q->a->rq->region);
}

static enum condition_answer current_time(const struct question *q)
{
    return date(q, call_of(q)->now);
}

static enum condition_answer epoch_time(const struct question *q)
{
    return number(q, call_of(q)->now / 1000);
}

static enum condition_answer user_agent(const struct question *q)
{
    const struct http_request *in = &q->a->rq->ex->in;

    for (size_t i = 0; i < in->n_headers; i++) {
        if (http_name_is(in->headers[i].name, "user-agent"))
            return word(q, in->headers[i].value);
    }
    return CONDITION_ABSENT;
}

/* --- who answers what ------------------------------------------------------------------------- */

// clang-format off
static const struct {
    enum condition_answer (*answer)(const struct question *q);
    int  what;
    bool many;
} answers[] = {
    [ASK_BYPASS_LOCKOUT]            = { asked_truth,       ASKED_BYPASS_LOCKOUT,          false },
    [ASK_CALLER_ACCOUNT]            = { caller_account,    0,                             false },
    [ASK_KEY_SPEC]                  = { key_spec,          ASKED_KEY_SPEC,                false },
    [ASK_CUSTOMER_MASTER_KEY_SPEC]  = { key_spec,          ASKED_KEY_SPEC,                false },
    [ASK_KEY_USAGE]                 = { key_usage,         ASKED_KEY_USAGE,               false },
    [ASK_CUSTOMER_MASTER_KEY_USAGE] = { key_usage,         ASKED_KEY_USAGE,               false },
    [ASK_KEY_ORIGIN]                = { key_origin,        ASKED_KEY_ORIGIN,              false },
    [ASK_DATA_KEY_PAIR_SPEC]        = { asked_word,        ASKED_KEY_PAIR_SPEC,           false },
    [ASK_ENCRYPTION_ALGORITHM]      = { asked_word,        ASKED_ENCRYPTION_ALGORITHM,    false },
    [ASK_SIGNING_ALGORITHM]         = { asked_word,        ASKED_SIGNING_ALGORITHM,       false },
    [ASK_MAC_ALGORITHM]             = { asked_word,        ASKED_MAC_ALGORITHM,           false },
    [ASK_KEY_AGREEMENT_ALGORITHM]   = { asked_word,        ASKED_KEY_AGREEMENT_ALGORITHM, false },
    [ASK_MESSAGE_TYPE]              = { asked_word,        ASKED_MESSAGE_TYPE,            false },
    [ASK_ENCRYPTION_CONTEXT]        = { named_value,       NAMES_CONTEXT,                 false },
    [ASK_ENCRYPTION_CONTEXT_KEYS]   = { context_key,       0,                             true  },
    [ASK_EXPIRATION_MODEL]          = { asked_word,        ASKED_EXPIRATION_MODEL,        false },
    [ASK_VALID_TO]                  = { asked_date,        ASKED_VALID_TO,                false },
    [ASK_WRAPPING_ALGORITHM]        = { asked_word,        ASKED_WRAPPING_ALGORITHM,      false },
    [ASK_WRAPPING_KEY_SPEC]         = { asked_word,        ASKED_WRAPPING_KEY_SPEC,       false },
    [ASK_MULTI_REGION]              = { multi_region,      ASKED_MULTI_REGION,            false },
    [ASK_MULTI_REGION_KEY_TYPE]     = { multi_region_type, 0,                             false },
    [ASK_RE_ENCRYPT_ON_SAME_KEY]    = { on_same_key,       0,                             false },
    [ASK_REQUEST_ALIAS]             = { request_alias,     0,                             false },
    [ASK_RESOURCE_ALIASES]          = { key_alias,         0,                             true  },
    [ASK_ROTATION_PERIOD]           = { asked_number,      ASKED_ROTATION_PERIOD,         false },
    [ASK_PENDING_WINDOW]            = { asked_number,      ASKED_PENDING_WINDOW,          false },
    [ASK_RESOURCE_TAG]              = { named_value,       NAMES_RESOURCE_TAGS,           false },
    [ASK_REQUEST_TAG]               = { named_value,       NAMES_REQUEST_TAGS,            false },
    [ASK_TAG_KEYS]                  = { tag_key,           0,                             true  },
    [ASK_RESOURCE_ACCOUNT]          = { key_account,       0,                             false },
    [ASK_PRINCIPAL_ARN]             = { caller_arn,        0,                             false },
    [ASK_PRINCIPAL_ACCOUNT]         = { caller_account,    0,                             false },
    [ASK_PRINCIPAL_TYPE]            = { caller_type,       0,                             false },
    [ASK_PRINCIPAL_IS_SERVICE]      = { no_service,        0,                             false },
    [ASK_USER_ID]                   = { caller_id,         0,                             false },
    [ASK_VIA_SERVICE]               = { no_service,        0,                             false },
    [ASK_SOURCE_IP]                 = { source_ip,         0,                             false },
    [ASK_SECURE_TRANSPORT]          = { secure_transport,  0,                             false },
    [ASK_REQUESTED_REGION]          = { requested_region,  0,                             false },
    [ASK_CURRENT_TIME]              = { current_time,      0,                             false },
    [ASK_EPOCH_TIME]                = { epoch_time,        0,                             false },
    [ASK_USER_AGENT]                = { user_agent,        0,                             false },
    [ASK_GRANTEE_PRINCIPAL]         = { absent,            0,                             false },
    [ASK_GRANTEE_SERVICE]           = { absent,            0,                             false },
    [ASK_RETIRING_PRINCIPAL]        = { absent,            0,                             false },
    [ASK_RETIRING_SERVICE]          = { absent,            0,                             false },
    [ASK_GRANT_OPERATIONS]          = { absent,            0,                             false },
    [ASK_GRANT_CONSTRAINT_TYPE]     = { absent,            0,                             false },
    [ASK_GRANT_SOURCE_ARN]          = { absent,            0,                             false },
    [ASK_GRANT_FOR_AWS_RESOURCE]    = { absent,            0,                             false },
    [ASK_KMS_VIA_SERVICE]           = { absent,            0,                             false },
    [ASK_TRAILING_DAYS]             = { absent,            0,                             false },
    [ASK_ENCLAVE_IMAGE]             = { absent,            0,                             false },
    [ASK_ENCLAVE_PCR]               = { absent,            0,                             false },
    [ASK_TPM_PCR]                   = { absent,            0,                             false },
    [ASK_PRIMARY_REGION]            = { absent,            0,                             false },
    [ASK_REPLICA_REGION]            = { absent,            0,                             false },
    [ASK_PRINCIPAL_TAG]             = { absent,            0,                             false },
    [ASK_PRINCIPAL_ORG_ID]          = { absent,            0,                             false },
    [ASK_PRINCIPAL_SERVICE_NAME]    = { absent,            0,                             false },
    [ASK_SOURCE_ARN]                = { absent,            0,                             false },
    [ASK_SOURCE_ACCOUNT]            = { absent,            0,                             false },
    [ASK_CALLED_VIA]                = { absent,            0,                             false },
    [ASK_CALLED_VIA_FIRST]          = { absent,            0,                             false },
    [ASK_CALLED_VIA_LAST]           = { absent,            0,                             false },
    [ASK_USER_NAME]                 = { absent,            0,                             false },
    [ASK_TOKEN_ISSUE_TIME]          = { absent,            0,                             false },
    [ASK_MFA_PRESENT]               = { absent,            0,                             false },
    [ASK_FEDERATED_PROVIDER]        = { absent,            0,                             false },
    [ASK_SOURCE_IDENTITY]           = { absent,            0,                             false },
    [ASK_REFERER]                   = { absent,            0,                             false },
    [ASK_EXTERNAL_ID]               = { absent,            0,                             false },
    [ASK_ROLE_SESSION_NAME]         = { absent,            0,                             false },
    [ASK_STS_SOURCE_IDENTITY]       = { absent,            0,                             false },
    [ASK_TRANSITIVE_TAG_KEYS]       = { absent,            0,                             false },
    [ASK_STS_SERVICE_NAME]          = { absent,            0,                             false },
    [ASK_PERMISSIONS_BOUNDARY]      = { absent,            0,                             false },
    [ASK_POLICY_ARN]                = { absent,            0,                             false },
    [ASK_PASSED_TO_SERVICE]         = { absent,            0,                             false },
    [ASK_IAM_RESOURCE_TAG]          = { absent,            0,                             false },
    [ASK_TOKEN_CLAIM]               = { absent,            0,                             false },
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
