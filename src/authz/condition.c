/* authz/condition.c - the Condition element: compiling it, and whether a request fulfils it.
 *
 * All rules are those of recorded-authz-multiregion 5.2. Two that surprise: an operator without
 * ForAllValues or ForAnyValue never holds for a key of several values that is there, not even a
 * negated one; and addresses and ARNs that are none fulfil neither an operator nor its negation.
 */
#include "authz/policy_internal.h"
#include "base/cleanup.h"
#include "base/encode.h"

#define POSITIVE false
#define NEGATED  true
#define PLAIN    false
#define WILD     true

// clang-format off
static const struct operator operators[] = {
    { "ArnEquals",                 OPERAND_ARN,    REL_EQUAL,         POSITIVE, WILD,  false },
    { "ArnLike",                   OPERAND_ARN,    REL_EQUAL,         POSITIVE, WILD,  false },
    { "ArnNotEquals",              OPERAND_ARN,    REL_EQUAL,         NEGATED,  WILD,  false },
    { "ArnNotLike",                OPERAND_ARN,    REL_EQUAL,         NEGATED,  WILD,  false },
    { "BinaryEquals",              OPERAND_STRING, REL_EQUAL,         POSITIVE, PLAIN, false },
    { "Bool",                      OPERAND_BOOL,   REL_EQUAL,         POSITIVE, PLAIN, false },
    { "DateEquals",                OPERAND_DATE,   REL_EQUAL,         POSITIVE, PLAIN, false },
    { "DateGreaterThan",           OPERAND_DATE,   REL_MORE,          POSITIVE, PLAIN, false },
    { "DateGreaterThanEquals",     OPERAND_DATE,   REL_MORE_EQUAL,    POSITIVE, PLAIN, false },
    { "DateLessThan",              OPERAND_DATE,   REL_LESS,          POSITIVE, PLAIN, false },
    { "DateLessThanEquals",        OPERAND_DATE,   REL_LESS_EQUAL,    POSITIVE, PLAIN, false },
    { "DateNotEquals",             OPERAND_DATE,   REL_EQUAL,         NEGATED,  PLAIN, false },
    { "IpAddress",                 OPERAND_IP,     REL_EQUAL,         POSITIVE, PLAIN, false },
    { "NotIpAddress",              OPERAND_IP,     REL_EQUAL,         NEGATED,  PLAIN, false },
    { "Null",                      OPERAND_BOOL,   REL_EQUAL,         POSITIVE, PLAIN, true  },
    { "NumericEquals",             OPERAND_NUMBER, REL_EQUAL,         POSITIVE, PLAIN, false },
    { "NumericGreaterThan",        OPERAND_NUMBER, REL_MORE,          POSITIVE, PLAIN, false },
    { "NumericGreaterThanEquals",  OPERAND_NUMBER, REL_MORE_EQUAL,    POSITIVE, PLAIN, false },
    { "NumericLessThan",           OPERAND_NUMBER, REL_LESS,          POSITIVE, PLAIN, false },
    { "NumericLessThanEquals",     OPERAND_NUMBER, REL_LESS_EQUAL,    POSITIVE, PLAIN, false },
    { "NumericNotEquals",          OPERAND_NUMBER, REL_EQUAL,         NEGATED,  PLAIN, false },
    { "StringEquals",              OPERAND_STRING, REL_EQUAL,         POSITIVE, PLAIN, false },
    { "StringEqualsIgnoreCase",    OPERAND_STRING, REL_EQUAL_NO_CASE, POSITIVE, PLAIN, false },
    { "StringLike",                OPERAND_STRING, REL_EQUAL,         POSITIVE, WILD,  false },
    { "StringNotEquals",           OPERAND_STRING, REL_EQUAL,         NEGATED,  PLAIN, false },
    { "StringNotEqualsIgnoreCase", OPERAND_STRING, REL_EQUAL_NO_CASE, NEGATED,  PLAIN, false },
    { "StringNotLike",             OPERAND_STRING, REL_EQUAL,         NEGATED,  WILD,  false },
};

enum key_values { ONE, MANY, NAMED };
static const struct { const char *name; enum key_values values; } keys[] = {
#define CONDITION_ROW(id, name, values) [id] = { name, values },
    CONDITION_KEYS(CONDITION_ROW)
#undef CONDITION_ROW
};
// clang-format on

/* --- names ------------------------------------------------------------------------------------ */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool starts_no_case(struct bytes in, struct bytes prefix)
{
    if (in.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        if (lower(in.ptr[i]) != lower(prefix.ptr[i]))
            return false;
    }
    return true;
}

/* "issuer.example/path:sub" */
static bool is_token_claim(struct bytes name)
{
    static const char *const claims[] = { ":aud", ":sub", ":amr", ":azp", ":email" };

    for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
        struct bytes claim = bytes_str(claims[i]);
        if (name.len > claim.len &&
            starts_no_case(bytes_of(name.ptr + name.len - claim.len, claim.len), claim))
            return true;
    }
    return false;
}

struct condition_key condition_key_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct bytes known = bytes_str(keys[i].name);
        bool         named = keys[i].values == NAMED;
        if (!starts_no_case(name, known) || (named ? name.len == known.len : name.len > known.len))
            continue;
        if (i == ASK_TOKEN_CLAIM && !is_token_claim(name))
            continue;
        return (struct condition_key){ (enum condition_key_id)i,
                                       bytes_of(name.ptr + known.len, name.len - known.len) };
    }
    return (struct condition_key){ ASK_UNKNOWN, name };
}

struct bytes condition_key_prefix(enum condition_key_id id)
{
    return id == ASK_UNKNOWN ? (struct bytes){ NULL, 0 } : bytes_str(keys[id].name);
}

bool condition_key_many(enum condition_key_id id)
{
    return id != ASK_UNKNOWN && keys[id].values == MANY;
}

bool condition_key_lasts(enum condition_key_id id)
{
    static const enum condition_key_id lasting[] = {
        ASK_CALLER_ACCOUNT,
        ASK_PRINCIPAL_ACCOUNT,
        ASK_PRINCIPAL_ARN,
        ASK_PRINCIPAL_TYPE,
        ASK_PRINCIPAL_IS_SERVICE,
        ASK_RESOURCE_ACCOUNT,
        ASK_REQUESTED_REGION,
        ASK_KEY_SPEC,
        ASK_CUSTOMER_MASTER_KEY_SPEC,
        ASK_KEY_USAGE,
        ASK_CUSTOMER_MASTER_KEY_USAGE,
        ASK_KEY_ORIGIN,
        ASK_MULTI_REGION,
    };

    for (size_t i = 0; i < ARRAY_LEN(lasting); i++) {
        if (lasting[i] == id)
            return true;
    }
    return false;
}

/* "ForAnyValue:StringLikeIfExists" */
static bool read_operator(struct bytes name, struct condition *ret)
{
    static const struct bytes all = { (const uint8_t *)"ForAllValues:", 13 };
    static const struct bytes any = { (const uint8_t *)"ForAnyValue:", 12 };
    static const struct bytes tail = { (const uint8_t *)"IfExists", 8 };
    struct bytes              prefix;

    *ret = (struct condition){ .quantifier = ONE_VALUE };
    if (bytes_starts(name, all) && bytes_take(&name, all.len, &prefix))
        ret->quantifier = FOR_ALL_VALUES;
    else if (bytes_starts(name, any) && bytes_take(&name, any.len, &prefix))
        ret->quantifier = FOR_ANY_VALUE;
    if (name.len > tail.len && bytes_eq(bytes_of(name.ptr + name.len - tail.len, tail.len), tail)) {
        name.len -= tail.len;
        ret->if_exists = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (bytes_eq_str(name, operators[i].name))
            ret->op = &operators[i];
    }
    if (ret->op == NULL)
        return false;
    return !ret->op->null || (!ret->if_exists && ret->quantifier == ONE_VALUE);
}

/* --- compiling -------------------------------------------------------------------------------- */

/* Numbers and truth values may be written with or without quotes. */
static bool value_text(struct json v, struct buf *room, struct bytes *ret)
{
    int64_t whole = 0;

    buf_reset(room);
    switch (json_type(v)) {
    case JSON_STRING: *ret = json_string(v); return true;
    case JSON_BOOL:   *ret = bytes_str(json_bool(v) ? "true" : "false"); return true;
    case JSON_INT:
        if (!json_int(v, &whole))
            return false;
        buf_addf(room, "%lld", (long long)whole);
        break;
    case JSON_REAL:   buf_addf(room, "%.17g", json_number(v)); break;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT: return false;
    }
    *ret = buf_bytes(room);
    return buf_ok(room);
}

static enum kms_status bad_value(const struct condition *c, struct bytes text,
                                 struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_POLICY, "The value '%.*s' cannot be compared with %s.",
                      BYTES_FMT(text), c->op->name);
}

/* An ARN's parts are compared one by one, so a pattern has to have them; "*" is any ARN. Where a
 * variable may bring them only the request shows. */
static bool is_arn_pattern(const struct pattern *p)
{
    size_t colons = 0;

    if (p->n_variables > 0 || (p->kind == PATTERN_PREFIX && p->text.len == 0))
        return true;
    for (size_t i = 0; i < p->text.len; i++)
        colons += p->text.ptr[i] == ':';
    return colons >= 5;
}

static enum kms_status value_compile(struct arena *arena, bool variables, const struct condition *c,
                                     struct bytes text, struct value *ret, struct kms_error *reterr)
{
    unsigned flags = (variables ? PATTERN_VARIABLES : 0u) | (c->op->wild ? PATTERN_WILD : 0u);
    bool     fine = true;

    switch (c->op->operand) {
    case OPERAND_STRING:
    case OPERAND_ARN:
        TRY(pattern_compile(arena, text, flags, &ret->pattern, reterr));
        fine = c->op->operand == OPERAND_STRING || is_arn_pattern(&ret->pattern);
        break;
    case OPERAND_NUMBER: fine = read_number(text, &ret->number); break;
    case OPERAND_DATE:   fine = read_date(text, &ret->number); break;
    case OPERAND_BOOL:   fine = read_truth(text, &ret->truth); break;
    case OPERAND_IP:     fine = read_network(text, &ret->network); break;
    }
    return fine ? KMS_OK : bad_value(c, text, reterr);
}

static enum kms_status values_compile(struct arena *arena, bool variables, struct json element,
                                      struct condition *c, struct kms_error *reterr)
{
    char         number[CONDITION_ROOM];
    struct buf   room = { .ptr = (uint8_t *)number, .cap = sizeof number, .limit = sizeof number };
    bool         list = json_type(element) == JSON_ARRAY;
    size_t       n = list ? json_count(element) : 1;
    struct json  v = element;
    struct bytes text;

    if (n == 0)
        return KMS_REFUSE(reterr, KMS_E_POLICY, "A condition with %s has no value.", c->op->name);
    c->values = arena_alloc(arena, n * sizeof c->values[0]);
    struct json_iter it = json_iterate(element);
    for (size_t i = 0; i < n; i++) {
        if ((list && !json_next(&it, NULL, &v)) || !value_text(v, &room, &text))
            return KMS_REFUSE(reterr, KMS_E_POLICY,
                              "A condition with %s has a value that is no text, number or truth "
                              "value.",
                              c->op->name);
        c->values[i].text = arena_copy(arena, text);
        TRY(value_compile(arena, variables, c, text, &c->values[i], reterr));
    }
    c->n_values = n;
    return KMS_OK;
}

enum kms_status conditions_compile(struct arena *arena, bool variables, struct bytes name,
                                   struct json block, struct condition *conditions, size_t *n,
                                   struct kms_error *reterr)
{
    struct condition common;
    struct bytes     key;
    struct json      values;

    if (!read_operator(name, &common))
        return KMS_REFUSE(reterr, KMS_E_POLICY, "Unknown condition operator '%.*s'.",
                          BYTES_FMT(name));
    if (json_type(block) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_POLICY,
                          "The condition operator %.*s has no condition keys.", BYTES_FMT(name));
    for (struct json_iter it = json_iterate(block); json_next(&it, &key, &values);) {
        struct condition *c = &conditions[(*n)++];
        *c = common;
        c->key = condition_key_find(key);
        c->key.name = arena_copy(arena, c->key.name);
        TRY(values_compile(arena, variables, values, c, reterr));
    }
    return KMS_OK;
}

/* --- evaluating ------------------------------------------------------------------------------- */

/* A name of the client's is looked for among all that the request has, and the first value of
 * several may have to be looked up. */
static size_t cost_of(const struct condition_key *key, size_t i)
{
    enum { COST_NAMED = 50, COST_FIRST = 50, COST_ONE = 1 };

    if (keys[key->id].values == NAMED)
        return COST_NAMED + 2 * key->name.len;
    return keys[key->id].values == MANY && i == 0 ? COST_FIRST : COST_ONE;
}

bool ask(struct evaluation *ev, const struct condition_key *key, size_t i,
         char room[CONDITION_ROOM], struct bytes *ret)
{
    if (key->id == ASK_UNKNOWN || ev->rq->values == NULL || !spend(ev, cost_of(key, i)))
        return false;
    switch (ev->rq->values(ev->rq->ctx, key, i, room, ret)) {
    case CONDITION_VALUE:  return true;
    case CONDITION_ABSENT: return false;
    case CONDITION_UNSURE: break;
    }
    ev->unsure = true;
    return false;
}

/* One character in lower case: ASCII, and the letters of Latin-1, which in UTF-8 are C3 80 to
 * C3 9E (C3 97 is the multiplication sign). */
static uint8_t lower_at(struct bytes in, size_t i)
{
    uint8_t c = in.ptr[i];

    if (i > 0 && in.ptr[i - 1] == 0xC3 && c >= 0x80 && c <= 0x9E && c != 0x97)
        return (uint8_t)(c + 0x20);
    return lower(c);
}

static bool equal_no_case(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower_at(a, i) != lower_at(b, i))
            return false;
    }
    return true;
}

static bool string_matches(struct evaluation *ev, const struct condition *c,
                           const struct pattern *p, struct bytes text)
{
    if (c->op->operand == OPERAND_ARN)
        return pattern_matches_arn(ev, p, text);
    if (c->op->relation == REL_EQUAL)
        return pattern_matches(ev, p, text);
    if (!spend(ev, 1 + text.len / 4))
        return false;
    if (p->n_variables == 0)
        return equal_no_case(p->text, text);
    struct bytes filled;
    return pattern_expand(ev, p, &filled) && equal_no_case(filled, text);
}

static bool number_relates(enum relation relation, double request, double policy)
{
    switch (relation) {
    case REL_LESS:          return request < policy;
    case REL_LESS_EQUAL:    return request <= policy;
    case REL_MORE:          return request > policy;
    case REL_MORE_EQUAL:    return request >= policy;
    case REL_EQUAL:
    case REL_EQUAL_NO_CASE: break;
    }
    return !(request < policy) && !(request > policy);
}

/* What the request's value is, read once for all values of the policy. */
struct subject {
    struct bytes   text;
    double         number;
    bool           truth;
    struct network address;
};

static bool value_relates(struct evaluation *ev, const struct condition *c, const struct subject *s,
                          const struct value *v)
{
    switch (c->op->operand) {
    case OPERAND_STRING:
    case OPERAND_ARN:    return string_matches(ev, c, &v->pattern, s->text);
    case OPERAND_NUMBER:
    case OPERAND_DATE:   return spend(ev, 1) && number_relates(c->op->relation, s->number, v->number);
    case OPERAND_BOOL:   return spend(ev, 1) && s->truth == v->truth;
    case OPERAND_IP:     return spend(ev, 1) && network_holds(&v->network, &s->address);
    }
    return false;
}

static bool is_arn(struct bytes text)
{
    size_t colons = 0;

    for (size_t i = 0; i < text.len; i++)
        colons += text.ptr[i] == ':';
    return colons >= 5 && bytes_starts(text, BYTES_LIT("arn:"));
}

/* One value of the request against all values of the policy. */
static bool value_fulfils(struct evaluation *ev, const struct condition *c, struct bytes text)
{
    struct subject s = { .text = text };

    switch (c->op->operand) {
    case OPERAND_STRING: break;
    case OPERAND_ARN:
        if (!is_arn(text))
            return false; /* for the negated ones too */
        break;
    case OPERAND_IP:
        if (!read_address(text, &s.address))
            return false; /* for the negated one too */
        break;
    case OPERAND_NUMBER:
        if (!read_number(text, &s.number))
            return c->op->negated;
        break;
    case OPERAND_DATE:
        if (!read_date(text, &s.number))
            return c->op->negated;
        break;
    case OPERAND_BOOL: /* whatever is not true is false */
        if (!read_truth(text, &s.truth))
            s.truth = false;
        break;
    }
    for (size_t i = 0; i < c->n_values && !ev->unsure; i++) {
        if (value_relates(ev, c, &s, &c->values[i]))
            return !c->op->negated;
    }
    return c->op->negated;
}

static bool null_holds(const struct condition *c, bool present)
{
    for (size_t i = 0; i < c->n_values; i++) {
        if (c->values[i].truth == !present)
            return true;
    }
    return false;
}

static bool quantified_holds(struct evaluation *ev, const struct condition *c, struct bytes first,
                             bool present)
{
    bool         all = c->quantifier == FOR_ALL_VALUES;
    char         room[CONDITION_ROOM];
    struct bytes value = first;

    if (!present)
        return all || c->if_exists;
    for (size_t i = 1; !ev->unsure; i++) {
        bool fulfils = value_fulfils(ev, c, value);
        if (fulfils != all)
            return fulfils;
        if (!condition_key_many(c->key.id) || !ask(ev, &c->key, i, room, &value))
            return all;
    }
    return false;
}

bool condition_holds(struct evaluation *ev, const struct condition *c)
{
    char         room[CONDITION_ROOM];
    struct bytes value = { NULL, 0 };
    bool         present = ask(ev, &c->key, 0, room, &value);

    if (c->op->null)
        return null_holds(c, present);
    if (c->quantifier != ONE_VALUE)
        return quantified_holds(ev, c, value, present);
    if (!present)
        return c->if_exists || c->op->negated;
    if (condition_key_many(c->key.id))
        return false;
    return value_fulfils(ev, c, value);
}
