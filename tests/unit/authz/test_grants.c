/* Unit tests of authz/: which grants count. Constraints on the encryption context and the source,
 * and what a grant may delegate (recorded-authz-multiregion 4.4 and rule 14). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "key/rights.h"

#define MINE    "111111111111"
#define KEY_ARN "arn:aws:kms:us-east-1:" MINE ":key/k"
#define SELF    "arn:aws:sts::" MINE ":assumed-role/d/target"
#define OWNER                                                                                      \
    "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" MINE                          \
    "\"},\"Action\":\"*\",\"Resource\":\"*\"}}"
#define TEXT(X) { (const uint8_t *)("" X), sizeof(X) - 1 }
#define BIT(OPERATION) (1u << (OPERATION))

/* --- a request with an encryption context, written "a=1|b=2", and a source --------------------- */

struct asked {
    const char *context; /* NULL: none */
    const char *source;
    unsigned    unsure; /* answer number so many of the context has no clear answer */
    size_t      asked;
};

/* Pair number i. */
static bool pair_at(const char *context, size_t i, struct bytes *ret_key, struct bytes *ret_value)
{
    struct bytes rest = bytes_str(context);
    struct bytes pair = rest;

    for (size_t n = 0; n <= i; n++) {
        if (rest.ptr == NULL)
            return false;
        if (!bytes_cut(&rest, '|', &pair)) {
            pair = rest;
            rest.ptr = NULL;
        }
    }
    *ret_value = pair;
    return bytes_cut(ret_value, '=', ret_key);
}

static bool same_but_case(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if ((a.ptr[i] | 0x20) != (b.ptr[i] | 0x20))
            return false;
    }
    return true;
}

/* As request.c answers: names without regard to case, two that differ in nothing else are unclear. */
static enum condition_answer value_of(void *ctx, const struct condition_key *key, size_t i,
                                      char room[CONDITION_ROOM], struct bytes *ret)
{
    struct asked *a = ctx;
    struct bytes  name;
    struct bytes  value;
    unsigned      found = 0;

    (void)room;
    if (key->id == ASK_SOURCE_ARN && a->source != NULL) {
        *ret = bytes_str(a->source);
        return CONDITION_VALUE;
    }
    if (key->id == ASK_ENCRYPTION_CONTEXT_KEYS) {
        if (++a->asked == a->unsure)
            return CONDITION_UNSURE;
        return pair_at(a->context, i, ret, &value) ? CONDITION_VALUE : CONDITION_ABSENT;
    }
    if (key->id != ASK_ENCRYPTION_CONTEXT)
        return CONDITION_ABSENT;
    for (size_t n = 0; pair_at(a->context, n, &name, &value); n++) {
        if (same_but_case(name, key->name)) {
            *ret = value;
            found++;
        }
    }
    return found == 0 ? CONDITION_ABSENT : (found == 1 ? CONDITION_VALUE : CONDITION_UNSURE);
}

static struct grant_pair it_only[] = { { TEXT("department"), TEXT("IT") } };
static struct grant_pair apollo[] = { { TEXT("project"), TEXT("apollo") } };
static struct grant_pair both[] = { { TEXT("department"), TEXT("IT") },
                                    { TEXT("project"), TEXT("apollo") } };
static struct grant_pair other_it[] = { { TEXT("department"), TEXT("HR") } };

#define GRANT(OPERATIONS, CONSTRAINT, PAIRS)                                                       \
    { .issuing_account = TEXT(MINE), .operations = (OPERATIONS), .constraint = (CONSTRAINT),       \
      .pairs = (PAIRS), .n_pairs = ARRAY_LEN(PAIRS) }

static const struct grant_record equals_it = GRANT(~0u, GRANT_CONTEXT_EQUALS, it_only);
static const struct grant_record equals_both = GRANT(~0u, GRANT_CONTEXT_EQUALS, both);
static const struct grant_record subset_it = GRANT(~0u, GRANT_CONTEXT_SUBSET, it_only);
static const struct grant_record subset_both = GRANT(~0u, GRANT_CONTEXT_SUBSET, both);
static const struct grant_record equals_none = { .operations = ~0u,
                                                 .constraint = GRANT_CONTEXT_EQUALS };
static const struct grant_record subset_none = { .operations = ~0u,
                                                 .constraint = GRANT_CONTEXT_SUBSET };
static const struct grant_record free_of_any = { .operations = ~0u };
static const struct grant_record damaged = { .operations = ~0u,
                                             .constraint = (enum grant_constraint)7 };

static const struct {
    const struct grant_record *grant;
    const char                *context;
    bool                       holds;
} contexts[] = {
    { &equals_it, "department=IT", true },
    { &equals_it, "department=IT|project=apollo", false },
    { &equals_it, "department=HR", false },
    { &equals_it, "department=", false },
    { &equals_it, "Department=IT", false }, /* a context has a case, condition keys have none */
    { &equals_it, "department=it", false },
    { &equals_it, "a=IT", false },
    { &equals_it, NULL, false },
    { &equals_both, "department=IT|project=apollo", true },
    { &equals_both, "project=apollo|department=IT", true },
    { &equals_both, "project=apollo|a=b", false },
    { &equals_both, "department=IT|z=b", false },
    { &equals_both, "department=IT", false },
    { &equals_both, "department=apollo|project=IT", false },
    { &subset_it, "department=IT", true },
    { &subset_it, "a=1|z=2|department=IT", true },
    { &subset_it, "department=HR|a=1", false },
    { &subset_it, "a=1", false },
    { &subset_it, "z=1", false },
    { &subset_it, NULL, false },
    { &subset_it, "department=IT|DEPARTMENT=HR", false }, /* unclear: no */
    { &subset_both, "project=apollo|x=y|department=IT", true },
    { &subset_both, "project=apollo|x=y", false },
    { &equals_none, NULL, true },
    { &equals_none, "a=1", false },
    { &subset_none, NULL, true },
    { &subset_none, "a=1", true },
    { &free_of_any, NULL, true },
    { &free_of_any, "a=1|A=1", true },
    { &damaged, NULL, false },
};

static void context_constraints(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        struct asked a = { .context = contexts[i].context };
        if (authz_grant_context_holds(contexts[i].grant, value_of, &a) != contexts[i].holds)
            fail_msg("row %zu: '%s'", i, contexts[i].context);
    }
    assert_false(authz_grant_context_holds(&subset_it, NULL, NULL));
    assert_true(authz_grant_context_holds(&equals_none, NULL, NULL));
    for (unsigned n = 1; n <= 3; n++) { /* the first key, the second, the end */
        struct asked a = { .context = "department=IT|b=c", .unsure = n };
        assert_false(authz_grant_context_holds(&subset_it, value_of, &a));
    }
}

/* The longest context that a request can have is compared, one pair more is not clear. */
static void long_contexts(void **state)
{
    static char context[300 * 16];
    size_t      len = 0;

    (void)state;
    for (unsigned i = 0; i < 255; i++)
        len += (size_t)snprintf(context + len, sizeof context - len, "k%u=v|", (i * 37) % 255);
    (void)snprintf(context + len, sizeof context - len, "department=IT");
    struct asked a = { .context = context };
    assert_true(authz_grant_context_holds(&subset_it, value_of, &a));
    assert_false(authz_grant_context_holds(&equals_it, value_of, &a));
    assert_false(authz_grant_context_holds(&subset_both, value_of, &a));
    (void)snprintf(context + len, sizeof context - len, "department=IT|more=1");
    assert_false(authz_grant_context_holds(&subset_it, value_of, &a));
}

/* --- in a decision ---------------------------------------------------------------------------- */

enum { SET_MAX = 3 };

struct row {
    const char                *row;
    enum grant_operation       operation;
    const struct grant_record *grants[SET_MAX]; /* to the role */
    const struct grant_record *child;
    struct asked               asked;
    const struct grant_record *allowed_by; /* NULL: denied */
};

static enum kms_status decide(const struct row *r, struct authz_decision *d, struct kms_error *err)
{
    static const struct authz_caller who = { .as = { CALLER_SESSION, TEXT(MINE), TEXT(SELF),
                                                     TEXT("arn:aws:iam::" MINE ":role/d"),
                                                     TEXT("AROAEXAMPLEEXAMPLE12:target") } };
    struct grant_set *set = calloc(1, sizeof *set + SET_MAX * sizeof(struct grant_record *));
    struct key_rights rights = { .policy = authz_rights_compiler.compile(
                                     BYTES_LIT(OWNER), (struct bytes){ NULL, 0 }) };
    struct key_record key = { .name = { .account = BYTES_LIT(MINE), .arn = BYTES_LIT(KEY_ARN) },
                              .rights = &rights };
    struct asked      asked = r->asked;
    char              action[64];

    (void)snprintf(action, sizeof action, "kms:%s", grant_operation_names[r->operation]);
    assert_non_null(set);
    for (size_t i = 0; i < SET_MAX && r->grants[i] != NULL; i++)
        set->grants[set->n++] = r->grants[i];
    const struct authz_request rq = { .caller = &who,
                                      .action = bytes_str(action),
                                      .resource = key.name.arn,
                                      .key = &key,
                                      .operation = r->operation,
                                      .grants = { NULL, set, NULL },
                                      .child = r->child,
                                      .values = value_of,
                                      .ctx = &asked };
    kms_error_clear(err);
    enum kms_status status = authz_decide(&rq, d, err);
    policy_free(rights.policy);
    free(set);
    return status;
}

/* Parents of 4.4, both to the role. */
static const struct grant_record p1 = GRANT(BIT(GRANT_CREATE_GRANT) | BIT(GRANT_DECRYPT),
                                            GRANT_CONTEXT_SUBSET, it_only);
static const struct grant_record p2 = GRANT(BIT(GRANT_ENCRYPT), GRANT_CONTEXT_SUBSET, apollo);
static const struct grant_record p2_delegating = GRANT(BIT(GRANT_ENCRYPT) | BIT(GRANT_CREATE_GRANT),
                                                       GRANT_CONTEXT_SUBSET, apollo);
static const struct grant_record p_equals = GRANT(BIT(GRANT_CREATE_GRANT) | BIT(GRANT_DECRYPT),
                                                  GRANT_CONTEXT_EQUALS, it_only);
static const struct grant_record p_free = {
    .issuing_account = TEXT(MINE), .operations = BIT(GRANT_CREATE_GRANT) | BIT(GRANT_DECRYPT)
};
static const struct grant_record p_source = { .issuing_account = TEXT(MINE),
                                              .operations = BIT(GRANT_CREATE_GRANT) |
                                                            BIT(GRANT_DECRYPT) |
                                                            BIT(GRANT_DESCRIBE_KEY),
                                              .source_arn = TEXT("arn:aws:sqs:::q") };

#define CHILD(NAME, OPERATIONS, CONSTRAINT, PAIRS)                                                 \
    static const struct grant_record NAME = GRANT(OPERATIONS, CONSTRAINT, PAIRS)
CHILD(both_operations, BIT(GRANT_DECRYPT) | BIT(GRANT_ENCRYPT), GRANT_CONTEXT_EQUALS, both);
CHILD(encrypt_both, BIT(GRANT_ENCRYPT), GRANT_CONTEXT_EQUALS, both);
CHILD(decrypt_both, BIT(GRANT_DECRYPT), GRANT_CONTEXT_EQUALS, both);
CHILD(decrypt_subset, BIT(GRANT_DECRYPT), GRANT_CONTEXT_SUBSET, both);
CHILD(decrypt_subset_it, BIT(GRANT_DECRYPT), GRANT_CONTEXT_SUBSET, it_only);
CHILD(decrypt_it, BIT(GRANT_DECRYPT), GRANT_CONTEXT_EQUALS, it_only);
CHILD(decrypt_hr, BIT(GRANT_DECRYPT), GRANT_CONTEXT_EQUALS, other_it);
CHILD(decrypt_apollo, BIT(GRANT_DECRYPT), GRANT_CONTEXT_EQUALS, apollo);
static const struct grant_record decrypt_free = { .operations = BIT(GRANT_DECRYPT) };
static const struct grant_record create_and_decrypt = GRANT(
    BIT(GRANT_DECRYPT) | BIT(GRANT_CREATE_GRANT), GRANT_CONTEXT_EQUALS, both);
static const struct grant_record from_source = { .operations = BIT(GRANT_DECRYPT),
                                                 .source_arn = TEXT("arn:aws:sqs:::q") };
static const struct grant_record from_other = { .operations = BIT(GRANT_DECRYPT),
                                                .source_arn = TEXT("arn:aws:sqs:::q2") };

#define SOURCE { .source = "arn:aws:sqs:::q" }
#define CREATE GRANT_CREATE_GRANT

#define NOBODY .allowed_by = NULL

static const struct row rows[] = {
    { "4.4.1", CREATE, { &p1, &p2 }, &both_operations, NOBODY },
    { "4.4.1, parents are not added together",
      CREATE,
      { &p1, &p2_delegating },
      &both_operations,
      NOBODY },
    { "4.4.2", CREATE, { &p1, &p2 }, &encrypt_both, NOBODY },
    { "4.4.3", CREATE, { &p1, &p2 }, &decrypt_free, NOBODY },
    { "4.4.4", CREATE, { &p1, &p2 }, &decrypt_both, .allowed_by = &p1 },
    { "4.4.4, second parent", CREATE, { &p2, &p1 }, &decrypt_both, .allowed_by = &p1 },
    { "rule 14: a subset may become narrower",
      CREATE,
      { &p1 },
      &decrypt_subset,
      .allowed_by = &p1 },
    { "rule 14: as narrow", CREATE, { &p1 }, &decrypt_subset_it, .allowed_by = &p1 },
    { "rule 14: another value", CREATE, { &p1 }, &decrypt_hr, NOBODY },
    { "rule 14: another key", CREATE, { &p1 }, &decrypt_apollo, NOBODY },
    { "rule 14: exactly", CREATE, { &p_equals }, &decrypt_it, .allowed_by = &p_equals },
    { "rule 14: exactly, wider", CREATE, { &p_equals }, &decrypt_subset_it, NOBODY },
    { "rule 14: exactly, other pairs", CREATE, { &p_equals }, &decrypt_both, NOBODY },
    { "rule 14: exactly, other value", CREATE, { &p_equals }, &decrypt_hr, NOBODY },
    { "rule 14: exactly, none", CREATE, { &p_equals }, &decrypt_free, NOBODY },
    { "rule 14: free", CREATE, { &p_free }, &decrypt_free, .allowed_by = &p_free },
    { "rule 14: free", CREATE, { &p_free }, &decrypt_both, .allowed_by = &p_free },
    { "rule 14: CreateGrant itself", CREATE, { &p1 }, &create_and_decrypt, .allowed_by = &p1 },
    { "rule 14: no CreateGrant", CREATE, { &p2 }, &encrypt_both, NOBODY },
    { "a damaged parent", CREATE, { &damaged }, &decrypt_both, NOBODY },
    { "no child", CREATE, { &p_free }, NULL, NOBODY },
    { "the context of the request does not matter",
      CREATE,
      { &p1 },
      &decrypt_both,
      .asked = { .context = "a=b" },
      .allowed_by = &p1 },
    { "source", CREATE, { &p_source }, &from_source, SOURCE, .allowed_by = &p_source },
    { "source", CREATE, { &p_source }, &from_source, NOBODY },
    { "source", CREATE, { &p_source }, &from_other, SOURCE, NOBODY },
    { "source", CREATE, { &p_source }, &decrypt_free, SOURCE, NOBODY },
    { "source", GRANT_DECRYPT, { &p_source }, .asked = SOURCE, .allowed_by = &p_source },
    { "source", GRANT_DECRYPT, { &p_source }, .asked = { .source = "arn:aws:sqs:::Q" } },
    { "source", GRANT_DECRYPT, { &p_source }, NOBODY },
    { "source, DescribeKey",
      GRANT_DESCRIBE_KEY,
      { &p_source },
      .asked = SOURCE,
      .allowed_by = &p_source },
    { "source, DescribeKey", GRANT_DESCRIBE_KEY, { &p_source }, NOBODY },
    { "context",
      GRANT_DECRYPT,
      { &p1 },
      .asked = { .context = "department=IT|a=b" },
      .allowed_by = &p1 },
    { "context", GRANT_DECRYPT, { &p1 }, .asked = { .context = "department=HR" } },
    { "context", GRANT_DECRYPT, { &p1 }, NOBODY },
    { "context, another operation",
      GRANT_ENCRYPT,
      { &p1 },
      .asked = { .context = "department=IT" } },
    { "context, the second of three",
      GRANT_ENCRYPT,
      { &p1, &p2, &p2_delegating },
      .asked = { .context = "project=apollo" },
      .allowed_by = &p2 },
    { "context, the last", GRANT_DECRYPT, { &p2, &p1, &p_free }, .allowed_by = &p_free },
    { "no context for DescribeKey", GRANT_DESCRIBE_KEY, { &equals_it }, .allowed_by = &equals_it },
    { "for GetPublicKey there is one", GRANT_GET_PUBLIC_KEY, { &equals_it }, NOBODY },
    { "last operation", GRANT_DECAPSULATE, { &free_of_any }, .allowed_by = &free_of_any },
    { "first operation", GRANT_DECRYPT, { &p_free }, .allowed_by = &p_free },
};

static void decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row     *r = &rows[i];
        struct authz_decision d;
        struct kms_error      err;
        char                  text[512];
        const char           *operation = grant_operation_names[r->operation];
        enum kms_status       status = decide(r, &d, &err);
        (void)snprintf(text, sizeof text,
                       "User: " SELF " is not authorized to perform: kms:%s on resource: " KEY_ARN
                       " because no identity-based policy allows the kms:%s action",
                       operation, operation);
        if ((status == KMS_OK) != (r->allowed_by != NULL) || d.grant != r->allowed_by ||
            (status != KMS_OK && strcmp(err.message, text) != 0))
            fail_msg("row %zu (%s): %d '%s'", i, r->row, (int)status, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_constraints),
        cmocka_unit_test(long_contexts),
        cmocka_unit_test(decisions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
