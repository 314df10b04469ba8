/* authz/policy_internal.h - the compiled form of a policy, shared by the files of this folder.
 *
 * Everything lies in the arena of the policy and is never changed once policy_compile has
 * returned.
 */
#pragma once

#include "authz/policy.h"
#include "base/arena.h"
#include "json/read.h"

/* --- patterns --------------------------------------------------------------------------------- */

/* In a compiled pattern these bytes, which no UTF-8 text contains, stand for what is not text. */
// clang-format off
enum {
    PATTERN_ANY      = 0xFF, /* '*'                             */
    PATTERN_ONE      = 0xFE, /* '?': one UTF-16 unit            */
    PATTERN_VARIABLE = 0xFD, /* the next one of `variables`     */
};
// clang-format on

struct variable {
    struct condition_key key;
    bool                 has_fallback;
    struct bytes         fallback; /* ${key, 'fallback'} */
};

enum pattern_kind { PATTERN_EXACT, PATTERN_PREFIX /* ends with the only '*' */, PATTERN_GLOB };

struct pattern {
    enum pattern_kind kind;
    struct bytes      text;
    struct variable  *variables;
    size_t            n_variables; /* with any of them: PATTERN_GLOB */
};

enum pattern_flags { PATTERN_WILD = 1 << 0, PATTERN_VARIABLES = 1 << 1, PATTERN_LOWER = 1 << 2 };

/* KMS_E_POLICY for a variable that is not closed, or too many of them. */
KMS_MUST_CHECK enum kms_status pattern_compile(struct arena *arena, struct bytes text,
                                               unsigned flags, struct pattern *ret,
                                               struct kms_error *reterr);

/* --- conditions ------------------------------------------------------------------------------- */

enum operand {
    OPERAND_STRING,
    OPERAND_NUMBER,
    OPERAND_DATE,
    OPERAND_BOOL,
    OPERAND_IP,
    OPERAND_ARN
};
/* How a request's value stands to a policy's. */
enum relation { REL_EQUAL, REL_EQUAL_NO_CASE, REL_LESS, REL_LESS_EQUAL, REL_MORE, REL_MORE_EQUAL };
enum quantifier { ONE_VALUE, FOR_ALL_VALUES, FOR_ANY_VALUE };

struct network {
    uint8_t  address[16];
    unsigned family; /* 4 or 6 */
    unsigned bits;   /* of the prefix */
};

struct operator
{
    const char   *name;
    enum operand  operand;
    enum relation relation;
    bool          negated;
    bool          wild; /* '*' and '?' in the policy's values are wildcards */
    bool          null; /* Null: is the key there at all? */
};

struct value {
    struct bytes   text;    /* as the document has it: for explanations */
    struct pattern pattern; /* OPERAND_STRING, OPERAND_ARN */
    double         number;  /* OPERAND_NUMBER; OPERAND_DATE in milliseconds since the epoch */
    bool           truth;   /* OPERAND_BOOL, Null */
    struct network network; /* OPERAND_IP */
};

struct condition {
    const struct operator* op;
    enum quantifier      quantifier;
    bool                 if_exists;
    struct condition_key key;
    struct value        *values;
    size_t               n_values;
};

/* Finds the key with this name; id ASK_UNKNOWN, with all of it as its name, for any other. `name` in
 * the result is a view. */
struct condition_key condition_key_find(struct bytes name);
/* What stands before the name of a key of this id; empty for ASK_UNKNOWN. */
struct bytes condition_key_prefix(enum condition_key_id id);
bool condition_key_many(enum condition_key_id id);
/* Is its value the same in every request of this caller on this key? */
bool condition_key_lasts(enum condition_key_id id);
/* One member of a Condition block: `name` is the operator's, `keys` its object of keys and values.
 * Appends to conditions[*n], where there is room for all of them. */
KMS_MUST_CHECK enum kms_status conditions_compile(struct arena *arena, bool variables,
                                                  struct bytes name, struct json keys,
                                                  struct condition *conditions, size_t *n,
                                                  struct kms_error *reterr);

/* Numbers, dates, truth values and addresses as conditions read them; false: it is not one. */
KMS_MUST_CHECK bool read_number(struct bytes text, double *ret);
KMS_MUST_CHECK bool read_date(struct bytes text, double *ret);
KMS_MUST_CHECK bool read_truth(struct bytes text, bool *ret);
KMS_MUST_CHECK bool read_address(struct bytes text, struct network *ret); /* without a prefix */
KMS_MUST_CHECK bool read_network(struct bytes text, struct network *ret); /* prefix optional */
bool network_holds(const struct network *net, const struct network *address);

/* --- statements ------------------------------------------------------------------------------- */

enum presence { ELEMENT_ABSENT, ELEMENT_LISTED, ELEMENT_EXCLUDED /* NotAction and the like */ };

struct patterns {
    enum presence   presence;
    struct pattern *list;
    size_t          n;
};

struct principals {
    enum presence            presence;
    bool                     anyone; /* "*" */
    struct policy_principal *list;
    size_t                   n;
};

struct statement {
    struct bytes      sid;
    bool              deny;
    struct principals principals;
    struct patterns   actions; /* lower case: actions are the same in any case */
    struct patterns   resources;
    struct condition *conditions;
    size_t            n_conditions;
};

struct policy {
    enum policy_kind  kind;
    struct statement *statements;
    size_t            n_statements;
    struct arena     *arena;
};

/* The Principal or NotPrincipal element of a statement; `bound` as policy_compile's principals. */
KMS_MUST_CHECK enum kms_status principals_compile(struct arena *arena, struct bytes bound,
                                                  struct json element, struct principals *ret,
                                                  struct kms_error *reterr);

/* --- evaluating ------------------------------------------------------------------------------- */

enum {
    /* What one evaluation may cost, in steps of a few nanoseconds each: far above what a document
     * of 32 KiB asks of an ordinary request, and well below a millisecond. */
    EVALUATION_STEPS = 60 * 1000,
    EXPANDED_MAX = 4096, /* a pattern with its variables filled in */
};

/* What of a statement did not match; the order in which it is looked at. */
enum part { PART_NONE, PART_ACTION, PART_PRINCIPAL, PART_RESOURCE, PART_CONDITION };

struct evaluation {
    const struct policy_request *rq;
    uint32_t                     left;      /* steps */
    bool                         unsure;    /* sticky: the request is denied */
    enum part                    missed;    /* of the last statement */
    const struct condition      *condition; /* which, for PART_CONDITION */
    uint8_t                      expanded[EXPANDED_MAX];
};

/* What one statement says of a request, for explanations. */
struct statement_trace {
    bool                    applies;
    bool                    unsure; /* it has no clear answer */
    enum part               missed; /* where it does not apply */
    const struct condition *condition;
};
struct statement_trace statement_trace(const struct policy *p, size_t number,
                                       const struct policy_request *rq);

/* Takes `steps` off what is left; false, and unsure, when there are not that many. */
static inline bool spend(struct evaluation *ev, size_t steps)
{
    if (ev->left < steps) {
        ev->unsure = true;
        ev->left = 0;
        return false;
    }
    ev->left -= (uint32_t)steps;
    return true;
}

/* Asks the request; unsure answers become absent ones of an unsure evaluation. */
bool ask(struct evaluation *ev, const struct condition_key *key, size_t i,
         char room[CONDITION_ROOM], struct bytes *ret);
bool pattern_matches(struct evaluation *ev, const struct pattern *p, struct bytes text);
/* The text with its variables filled in, lying in `ev`; it may hold the marks of wildcards. False:
 * a variable has no value, and then the pattern matches nothing (recorded 5.2: so it is with keys
 * of several values, even with a fallback). */
bool pattern_expand(struct evaluation *ev, const struct pattern *p, struct bytes *ret);
/* As ARNs: each of the six parts for itself; false if the text has fewer. */
bool pattern_matches_arn(struct evaluation *ev, const struct pattern *p, struct bytes text);
bool condition_holds(struct evaluation *ev, const struct condition *c);
/* How a principal element covers the caller, in order of weight. */
enum cover {
    COVERS_NOT,
    COVERS_ACCOUNT, /* through its account only: of allowances */
    COVERS,         /* its role */
    COVERS_ITSELF,  /* its own name, or everybody */
};
/* `deny`: whether the statement is a denial. */
enum cover principals_cover(const struct principals *p, bool deny,
                            const struct policy_caller *caller);
