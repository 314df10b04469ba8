/* Unit tests of authz/: hostile documents and hostile requests cost less than a millisecond, and
 * where the answer would cost more it is no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "authz/policy.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "instrumented.h"

enum { DOCUMENT = 32 * 1024, CONTEXT_PAIRS = 256, VALUE_BYTES = 8 * 1024 };
enum { LIMIT_NS = 1000000 };

static uint8_t many_a[VALUE_BYTES];

/* Every key has the longest value there is, keys of several values have as many as there can be. */
static enum condition_answer hostile(void *ctx, const struct condition_key *key, size_t i,
                                     char room[CONDITION_ROOM], struct bytes *ret)
{
    bool many = key->id == ASK_ENCRYPTION_CONTEXT_KEYS;

    (void)ctx;
    (void)room;
    if (i >= (many ? CONTEXT_PAIRS : 1))
        return CONDITION_ABSENT;
    *ret = bytes_of(many_a, many ? VALUE_BYTES / CONTEXT_PAIRS : VALUE_BYTES);
    return CONDITION_VALUE;
}

struct hostile_document {
    const char *what;
    const char *head;   /* with ' for " */
    const char *repeat; /* as often as it fits */
    const char *tail;
};

#define BEGIN(OPERATOR, KEY)                                                                       \
    "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Principal':'*','Action':'*',"          \
    "'Resource':'*','Condition':{'" OPERATOR "':{'" KEY "':"
#define END "}}}}"
#define CTX "kms:EncryptionContext:a"

static const struct hostile_document hostile_documents[] = {
    { "one pattern of stars", BEGIN("StringLike", CTX) "'", "*a", "b'" END },
    { "stars and question marks", BEGIN("StringLike", CTX) "'", "*?a", "b'" END },
    { "one long piece with question marks", BEGIN("StringLike", CTX) "'*", "?a", "b*'" END },
    { "many short patterns", BEGIN("StringLike", CTX) "['x'", ",'*ab*'", "]" END },
    { "many pieces with question marks", BEGIN("StringLike", CTX) "['x'", ",'*a?aaaaaaaaaaab*'",
      "]" END },
    { "long pieces with question marks", BEGIN("StringLike", CTX) "['x'",
      ",'*?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab*'", "]" END },
    { "many values, many patterns",
      BEGIN("ForAnyValue:StringLike", "kms:EncryptionContextKeys") "['x'", ",'b*'", "]" END },
    { "many values, many texts",
      BEGIN("ForAnyValue:StringEquals", "kms:EncryptionContextKeys") "['x'", ",'b'", "]" END },
    { "many values, any case",
      BEGIN("ForAnyValue:StringEqualsIgnoreCase", "kms:EncryptionContextKeys") "['x'",
      ",'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAb'", "]" END },
    { "many variables", BEGIN("StringLike", CTX) "['x'", ",'*${aws:UserAgent}b'", "]" END },
    { "small variables", BEGIN("StringLike", CTX) "['x'", ",'${aws:x,\\u0027a\\u0027}*b'",
      "]" END },
    { "many conditions",
      BEGIN("StringEquals", "aws:userid") "'x'},'StringLike':{'aws:UserAgent':"
                                          "'*'",
      "", END },
    { "many statements",
      "{'Statement':[{'Effect':'Deny','Principal':'*','Action':'x:y','Resource':'*'}",
      ",{'Effect':'Allow','Principal':'*','Action':'*','Resource':'*b'}", "]}" },
    { "many actions",
      "{'Statement':{'Effect':'Allow','Principal':'*','Resource':'*','Action':['x:y'",
      ",'*k*m?:*z'", "]}}" },
    { "many principals",
      "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*','Principal':{'AWS':['*'",
      ",'111111111111'", "]}}}" },
};

static void add_quoted(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_add_byte(out, *text == '\'' ? '"' : (uint8_t)*text);
}

static struct policy *make(const struct hostile_document *d)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(DOCUMENT);
    struct kms_error                err;
    struct policy                  *p = NULL;
    size_t                          room = DOCUMENT - strlen(d->head) - strlen(d->tail);

    add_quoted(&text, d->head);
    for (size_t n = strlen(d->repeat); n > 0 && room >= n; room -= n)
        add_quoted(&text, d->repeat);
    add_quoted(&text, d->tail);
    kms_error_clear(&err);
    if (policy_compile(POLICY_KEY, buf_bytes(&text), (struct bytes){ NULL, 0 }, &p, &err) != KMS_OK)
        fail_msg("%s: %s%s", d->what, err.message, err.detail);
    return p;
}

/* CPU time of this thread: other work on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void hostile_documents_are_cheap(void **state)
{
    struct policy_request rq = { .caller = { .kind = CALLER_USER,
                                             .account = BYTES_LIT("222222222222"),
                                             .arn = BYTES_LIT("arn:aws:iam::222222222222:user/u") },
                                 .action = BYTES_LIT("kms:GenerateDataKeyWithoutPlaintext"),
                                 .resource = BYTES_LIT("arn:aws:kms:us-east-1:111111111111:key/"
                                                       "0d990263-018e-4e65-a703-eff731de951e"),
                                 .values = hostile };

    (void)state;
    memset(many_a, 'a', sizeof many_a);
    for (size_t i = 0; i < ARRAY_LEN(hostile_documents); i++) {
        CLEANUP(policy_freep) struct policy *p = make(&hostile_documents[i]);
        uint64_t                             best = UINT64_MAX;
        struct policy_result                 r = { 0 };
        for (int run = 0; run < 7; run++) {
            uint64_t begin = cpu_ns();
            r = policy_evaluate(p, &rq);
            uint64_t took = cpu_ns() - begin;
            best = took < best ? took : best;
        }
        print_message("# %-36s %7.1f us%s\n", hostile_documents[i].what, (double)best / 1000,
                      r.unsure ? ", no answer: denied" : "");
        assert_true(r.verdict != POLICY_ALLOWS || i == ARRAY_LEN(hostile_documents) - 1);
        assert_cost(best, LIMIT_NS);
    }
}

/* The bound is far above what an honest document and request need. */
static void honest_documents_are_answered(void **state)
{
    const struct hostile_document honest = {
        "900 roles", BEGIN("ArnNotLike", "aws:PrincipalArn") "['arn:aws:iam::1:role/x'",
        ",'arn:aws:iam::222222222222:role/a*'", "]" END
    };
    struct policy_request rq = { .action = BYTES_LIT("kms:Encrypt"), .values = hostile };
    CLEANUP(policy_freep) struct policy *p = make(&honest);
    CLEANUP(policy_freep) struct policy *many = make(&(struct hostile_document){
        "256 pairs, 8 patterns",
        BEGIN("ForAllValues:StringLike", "kms:EncryptionContextKeys") "['b*','c*d','*e','f?',"
                                                                      "'g','h','i*','*a*'",
        "", "]" END });

    (void)state;
    assert_false(policy_evaluate(p, &rq).unsure);
    assert_int_equal(policy_evaluate(many, &rq).verdict, POLICY_ALLOWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_documents_are_cheap),
        cmocka_unit_test(honest_documents_are_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
