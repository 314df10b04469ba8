/* Unit tests of authz/: what a decision costs, under the default policy and with everything around it
 * that a busy key has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "instrumented.h"
#include "key/rights.h"

#define MINE "111111111111"
#define TEXT(X) { (const uint8_t *)("" X), sizeof(X) - 1 }
#define ALLOW(PRINCIPAL)                                                                           \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" PRINCIPAL "\"},\"Action\":[\"kms:Decrypt\"," \
    "\"kms:Enc*\"],\"Resource\":\"*\"}"
#define ROOT_STATEMENT                                                                             \
    "{\"Sid\":\"Owner\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::" MINE          \
    ":root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}"

enum { GRANTS = 50, ROUNDS = INSTRUMENTED ? 200 : 20 * 1000, RUNS = 7, BAR_NS = 2000 };

static const struct policy_caller root = {
    CALLER_ROOT, TEXT(MINE), TEXT("arn:aws:iam::" MINE ":root"), { NULL, 0 }, TEXT(MINE)
};
static const struct policy_caller session = { CALLER_SESSION, TEXT(MINE),
                                              TEXT("arn:aws:sts::" MINE ":assumed-role/r/s"),
                                              TEXT("arn:aws:iam::" MINE ":role/team/r"),
                                              TEXT("AROAEXAMPLEEXAMPLE12:s") };

static enum condition_answer context(void *ctx, const struct condition_key *key, size_t i,
                                     char room[CONDITION_ROOM], struct bytes *ret)
{
    (void)ctx;
    (void)room;
    if (i > 0)
        return CONDITION_ABSENT;
    if (key->id == ASK_ENCRYPTION_CONTEXT_KEYS)
        *ret = BYTES_LIT("tenant");
    else if (key->id == ASK_ENCRYPTION_CONTEXT && bytes_eq_str(key->name, "tenant"))
        *ret = BYTES_LIT("49");
    else
        return CONDITION_ABSENT;
    return CONDITION_VALUE;
}

/* CPU time of this thread: other work on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The least of some runs, in nanoseconds a decision. */
static uint64_t cost_of(const struct authz_request *rq)
{
    uint64_t best = UINT64_MAX;

    for (int run = 0; run < RUNS; run++) {
        uint64_t begin = cpu_ns();
        for (int i = 0; i < ROUNDS; i++)
            assert_true(authz_decide(rq, NULL, NULL) == KMS_OK);
        uint64_t each = (cpu_ns() - begin) / ROUNDS;
        best = each < best ? each : best;
    }
    return best;
}

static struct policy *compile(const struct rights_compiler *with, struct bytes text)
{
    struct policy *p = with->compile(text, (struct bytes){ NULL, 0 });

    assert_non_null(p);
    return p;
}

/* 4 KiB: statements on other roles, with the root statement at the end. */
static struct policy *large_key_policy(void)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(8192);

    buf_add_str(&text, "{\"Version\":\"2012-10-17\",\"Statement\":[");
    for (int i = 0; i < 32; i++)
        buf_addf(&text, ALLOW("arn:aws:iam::" MINE ":role/team/r-%d") ",", i);
    buf_add_str(&text, ROOT_STATEMENT "]}");
    assert_true(text.len > 4096);
    return compile(&authz_rights_compiler, buf_bytes(&text));
}

/* A grant to one tenant each, so that only the last holds. */
static struct grant_set *tenants(struct grant_record records[GRANTS],
                                 struct grant_pair pairs[GRANTS], char numbers[GRANTS][4])
{
    struct grant_set *set = calloc(1, sizeof *set + GRANTS * sizeof set->grants[0]);

    assert_non_null(set);
    for (size_t i = 0; i < GRANTS; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%zu", i);
        pairs[i] = (struct grant_pair){ BYTES_LIT("tenant"), bytes_str(numbers[i]) };
        records[i] = (struct grant_record){ .operations = 1u << GRANT_ENCRYPT,
                                            .issuing_account = BYTES_LIT(MINE),
                                            .constraint = GRANT_CONTEXT_SUBSET,
                                            .pairs = &pairs[i],
                                            .n_pairs = 1 };
        set->grants[set->n++] = &records[i];
    }
    return set;
}

static void cost(void **state)
{
    static const char other[] = "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:*\","
                                "\"sqs:*\",\"kms:Decrypt\"],\"Resource\":\"*\"}]}";
    static const char mine[] = "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:*\","
                               "\"Resource\":\"arn:aws:kms:*:" MINE ":key/*\"}]}";
    CLEANUP(policy_freep) struct policy *plain = compile(
        &authz_rights_compiler, BYTES_LIT("{\"Statement\":[" ROOT_STATEMENT "]}"));
    CLEANUP(policy_freep) struct policy *large = large_key_policy();
    CLEANUP(policy_freep) struct policy *first = compile(&authz_identity_compiler,
                                                         bytes_str(other));
    CLEANUP(policy_freep) struct policy *second = compile(&authz_identity_compiler,
                                                          bytes_str(mine));
    struct key_rights                    rights = { .policy = plain };
    struct key_record                    key = { .name = { .account = BYTES_LIT(MINE),
                                                           .arn = BYTES_LIT("arn:aws:kms:us-east-1:" MINE ":key/k") },
                                                 .rights = &rights };
    struct grant_record                  records[GRANTS];
    struct grant_pair                    pairs[GRANTS];
    char                                 numbers[GRANTS][4];
    struct grant_set                    *grants = tenants(records, pairs, numbers);
    const struct authz_policy            identity[] = { { first, BYTES_LIT("first") },
                                                        { second, BYTES_LIT("second") } };
    struct authz_caller                  caller = { .as = root };
    struct authz_request                 rq = { .caller = &caller,
                                                .action = BYTES_LIT("kms:Encrypt"),
                                                .resource = key.name.arn,
                                                .key = &key,
                                                .operation = GRANT_ENCRYPT,
                                                .values = context };

    (void)state;
    uint64_t by_default = cost_of(&rq);
    rights.policy = large;
    caller = (struct authz_caller){ .as = session, .identity = identity, .n_identity = 2 };
    rq.grants[BOUND_EXACTLY] = grants;
    uint64_t by_policy = cost_of(&rq);
    caller.n_identity = 1; /* the other one does not allow it: grants are looked at */
    uint64_t by_grant = cost_of(&rq);
    free(grants);
    print_message("# default policy: %llu ns a decision; 4 KiB key policy, two identity policies: "
                  "%llu ns; the last of 50 grants besides: %llu ns\n",
                  (unsigned long long)by_default, (unsigned long long)by_policy,
                  (unsigned long long)by_grant);
    uint64_t bound = by_default + 2 * BAR_NS; /* a busy machine may take twice as long */
    assert_cost(by_policy, bound);
    assert_cost(by_grant, bound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
