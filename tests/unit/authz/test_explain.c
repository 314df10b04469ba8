/* Unit tests of authz/: explanations, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "key/rights.h"

#define MINE    "111111111111"
#define THEIRS  "222222222222"
#define KEY_ARN "arn:aws:kms:us-east-1:" MINE ":key/k"
#define U       "arn:aws:iam::" MINE ":user/u"
#define TEXT(X) { (const uint8_t *)("" X), sizeof(X) - 1 }
#define BIT(OPERATION) (1u << (OPERATION))
enum { MAX = 20, ROOM = 64 * 1024 };

/* With ' for ". */
static struct bytes quoted(struct buf *out, const char *text)
{
    buf_reset(out);
    for (; *text != '\0'; text++)
        buf_add_byte(out, *text == '\'' ? '"' : (uint8_t)*text);
    return buf_bytes(out);
}

static struct policy *compile(const struct rights_compiler *with, const char *text)
{
    CLEANUP(buf_release) struct buf room = BUF_INIT(ROOM);
    struct policy *p = with->compile(quoted(&room, text), (struct bytes){ NULL, 0 });

    assert_non_null(p);
    return p;
}

static enum condition_answer value_of(void *ctx, const struct condition_key *key, size_t i,
                                      char room[CONDITION_ROOM], struct bytes *ret)
{
    static const char *const aliases[] = { "alias/a", "alias/b" };

    (void)ctx;
    (void)room;
    if (key->id == ASK_RESOURCE_ALIASES && i < ARRAY_LEN(aliases)) {
        *ret = bytes_str(aliases[i]);
        return CONDITION_VALUE;
    }
    *ret = BYTES_LIT("HR");
    if (key->id == ASK_ENCRYPTION_CONTEXT && bytes_eq_str(key->name, "unclear"))
        return CONDITION_UNSURE;
    return key->id == ASK_ENCRYPTION_CONTEXT && i == 0 ? CONDITION_VALUE : CONDITION_ABSENT;
}

static const struct policy_caller user = {
    CALLER_USER, TEXT(MINE), TEXT(U), { NULL, 0 }, TEXT("AIDAEXAMPLEEXAMPLE12")
};

struct world {
    struct policy       *key_policy, *identity, *session, *boundary;
    struct authz_policy  documents[3];
    struct key_rights    rights;
    struct key_record    key;
    struct authz_caller  caller;
    struct authz_request rq;
};

static void world_release(struct world *w)
{
    policy_free(w->key_policy);
    policy_free(w->identity);
    policy_free(w->session);
    policy_free(w->boundary);
}

#define OWNER "{'Sid':'Owner','Effect':'Allow','Principal':{'AWS':'" MINE "'},'Action':'kms:*','Resource':'*'}"

/* A user who may nothing but what is given here. */
static void world_make(struct world *w, const char *key_policy, const char *identity)
{
    *w = (struct world){ .key = {
                             .name = { .account = BYTES_LIT(MINE), .arn = BYTES_LIT(KEY_ARN) } } };
    w->caller.as = user;
    if (identity != NULL) {
        w->identity = compile(&authz_identity_compiler, identity);
        w->documents[0] = (struct authz_policy){ w->identity, BYTES_LIT("mine") };
        w->caller.identity = &w->documents[0];
        w->caller.n_identity = 1;
    }
    w->rq = (struct authz_request){ .caller = &w->caller,
                                    .action = BYTES_LIT("kms:Encrypt"),
                                    .resource = BYTES_LIT("*"),
                                    .operation = GRANT_NO_OPERATION,
                                    .values = value_of };
    if (key_policy != NULL) {
        w->key_policy = compile(&authz_rights_compiler, key_policy);
        w->rights.policy = w->key_policy;
        w->key.rights = &w->rights;
        w->rq.key = &w->key;
        w->rq.resource = w->key.name.arn;
    }
}

/* The explanation is this object, with ' for ". */
static void expect(const struct world *w, size_t max, const char *expected)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf text = BUF_INIT(ROOM);
    struct json_writer              writer;

    json_writer_init(&writer, &out);
    json_open_object(&writer, NULL);
    authz_explain(&w->rq, max, &writer);
    json_close_object(&writer);
    assert_true(buf_ok(&out));
    if (!bytes_eq(buf_bytes(&out), quoted(&text, expected)))
        fail_msg("%.*s", BYTES_FMT(buf_bytes(&out)));
}

static void statements(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(
        &w,
        "{'Version':'2012-10-17','Statement':[" OWNER ","
        "{'Effect':'Allow','Principal':{'AWS':'" THEIRS "'},'Action':'*','Resource':'*'},"
        "{'Effect':'Allow','Principal':'*','Action':'*','Resource':'x'},"
        "{'Effect':'Deny','Principal':'*','Action':'kms:Decrypt','Resource':'*'},"
        "{'Sid':'Context','Effect':'Allow','Principal':'*','Action':'*','Resource':'*',"
        "'Condition':{'StringEquals':{'kms:EncryptionContext:department':['IT','${aws:userid}']}}},"
        "{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*',"
        "'Condition':{'ForAnyValue:StringLikeIfExists':{'kms:ResourceAliases':'alias/x*'}}},"
        "{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*',"
        "'Condition':{'Bool':{'own:key':true}}},"
        "{'Effect':'Deny','Principal':'*','Action':'*','Resource':'*',"
        "'Condition':{'ForAllValues:StringEquals':{'kms:ResourceAliases':'alias/a'}}}"
        "]}",
        NULL);
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "',"
           "'decidedBy':'the key policy','decidingStatement':0,'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true},{'statement':1,"
           "'effect':'Allow','applies':false,'differs':'principal'},{'statement':2,"
           "'effect':'Allow','applies':false,'differs':'resource'},{'statement':3,"
           "'effect':'Deny','applies':false,'differs':'action'},{'statement':4,"
           "'sid':'Context','effect':'Allow','applies':false,'differs':'condition',"
           "'condition':{'operator':'StringEquals','key':'kms:EncryptionContext:department',"
           "'policy':['IT','${aws:userid}'],'request':['HR']}},{'statement':5,"
           "'effect':'Deny','applies':false,'differs':'condition',"
           "'condition':{'operator':'ForAnyValue:StringLikeIfExists','key':'kms:ResourceAliases',"
           "'policy':['alias/x*'],'request':['alias/a','alias/b']}},{'statement':6,"
           "'effect':'Deny','applies':false,'differs':'condition',"
           "'condition':{'operator':'Bool','key':'own:key',"
           "'policy':['true'],'request':[]}},"
           "{'statement':7,'effect':'Deny','applies':false,'differs':'condition',"
           "'condition':{'operator':'ForAllValues:StringEquals','key':'kms:ResourceAliases',"
           "'policy':['alias/a'],'request':['alias/a','alias/b']}}]},'identityPolicies':[]}");
}

static void unclear(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w,
               "{'Statement':{'Effect':'Allow','Principal':'*','Action':'*','Resource':'*',"
               "'Condition':{'StringEquals':{'kms:EncryptionContext:unclear':'IT'}}}}",
               NULL);
    expect(&w, MAX,
           "{'allowed':false,'reason':'denied-by-resource-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "',"
           "'decidedBy':'the key policy','unclear':true,'sameAccount':true,"
           "'keyPolicy':{'says':'denies','unclear':true,'statements':[{'statement':0,"
           "'effect':'Allow','applies':false,'unclear':true,'differs':'condition',"
           "'condition':{'operator':'StringEquals','key':'kms:EncryptionContext:unclear',"
           "'policy':['IT'],'request':[],'unclear':true}}]},'identityPolicies':[]}");
}

/* A request that has no answers at all. */
static void no_values(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w, NULL,
               "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*',"
               "'Condition':{'StringEquals':{'aws:userid':'x'}}}}");
    w.rq.values = NULL;
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-identity-policy','caller':'" U "','action':'kms:Encrypt',"
           "'resource':'*','identityPolicies':[{'name':'mine','says':'nothing','statements':["
           "{'statement':0,'effect':'Allow','applies':false,'differs':'condition',"
           "'condition':{'operator':'StringEquals','key':'aws:userid',"
           "'policy':['x'],'request':[]}}]}]}");
}

static void layers(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w, "{'Statement':[" OWNER "]}",
               "{'Statement':{'Sid':'A','Effect':'Allow','Action':'*','Resource':'*'}}");
    w.session = compile(&authz_identity_compiler,
                        "{'Statement':{'Effect':'Allow','Action':'s3:*','Resource':'*'}}");
    w.documents[1] = (struct authz_policy){ w.session, BYTES_LIT("") };
    w.caller.limited = true;
    w.caller.session = &w.documents[1];
    w.caller.n_session = 1;
    w.caller.bounded = true;
    w.caller.boundary = (struct authz_policy){ NULL, BYTES_LIT("arn:aws:iam::" MINE ":policy/b") };
    expect(&w, MAX,
           "{'allowed':false,'reason':'denied-by-permissions-boundary',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "',"
           "'decidedBy':'arn:aws:iam::" MINE ":policy/b','unclear':true,"
           "'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},"
           "'identityPolicies':[{'name':'mine','says':'allows','statements':[{'statement':0,"
           "'sid':'A','effect':'Allow','applies':true}]}],"
           "'sessionPolicies':[{'name':'the inline "
           "policy','says':'nothing','statements':[{'statement':0,"
           "'effect':'Allow','applies':false,'differs':'action'}]}],"
           "'boundary':[{'name':'arn:aws:iam::" MINE ":policy/b','says':'denies',"
           "'unclear':true}]}");
}

static void bounds(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w, "{'Statement':[" OWNER "," OWNER "," OWNER "]}", NULL);
    expect(&w, 1,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "',"
           "'decidedBy':'the key policy','decidingStatement':0,'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}],'more':2},'identityPolicies':[]}");
}

static void without_a_key(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w, NULL, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}");
    expect(&w, MAX,
           "{'allowed':true,'reason':'allowed','caller':'" U "',"
           "'action':'kms:Encrypt','resource':'*','decidedBy':'mine','decidingStatement':0,"
           "'identityPolicies':[{'name':'mine','says':'allows','statements':[{'statement':0,"
           "'effect':'Allow','applies':true}]}]}");
}

/* --- grants ----------------------------------------------------------------------------------- */

static struct grant_pair         it_only[] = { { TEXT("department"), TEXT("IT") } };
static const struct grant_record decrypt = { .id = TEXT("d0"),
                                             .issuing_account = TEXT(MINE),
                                             .operations = BIT(GRANT_DECRYPT) };
static const struct grant_record sourced = { .id = TEXT("50"),
                                             .issuing_account = TEXT(MINE),
                                             .operations = BIT(GRANT_ENCRYPT),
                                             .source_arn = TEXT("arn:aws:sqs:::q") };
static const struct grant_record narrow = { .id = TEXT("c0"),
                                            .issuing_account = TEXT(THEIRS),
                                            .operations = BIT(GRANT_ENCRYPT),
                                            .constraint = GRANT_CONTEXT_SUBSET,
                                            .pairs = it_only,
                                            .n_pairs = 1 };
static const struct grant_record fine = { .id = TEXT("f0"),
                                          .issuing_account = TEXT(MINE),
                                          .operations = BIT(GRANT_ENCRYPT) };
static const struct grant_record create = { .id = TEXT("cc"),
                                            .issuing_account = TEXT(MINE),
                                            .operations = BIT(GRANT_CREATE_GRANT) };

static struct grant_set *set_of(const struct grant_record *const *list, size_t n)
{
    struct grant_set *set = calloc(1, sizeof *set + n * sizeof set->grants[0]);

    assert_non_null(set);
    for (size_t i = 0; i < n; i++)
        set->grants[set->n++] = list[i];
    return set;
}

static void grants(void **state)
{
    CLEANUP(world_release) struct world w;
    const struct grant_record *const    of_user[] = { &decrypt, &sourced, &narrow };
    const struct grant_record *const    of_account[] = { &fine };
    struct grant_set                   *user_set = set_of(of_user, ARRAY_LEN(of_user));
    struct grant_set                   *account_set = set_of(of_account, 1);

    (void)state;
    world_make(&w, "{'Statement':" OWNER "}", NULL);
    w.rq.operation = GRANT_ENCRYPT;
    w.rq.grants[BOUND_EXACTLY] = user_set;
    w.rq.grants[BOUND_TO_ACCOUNT] = account_set;
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "','grant':'f0',"
           "'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'d0','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'operation'},"
           "{'grantId':'50','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'source'},"
           "{'grantId':'c0','to':'the caller','issuingAccount':'" THEIRS
           "','counts':false,'differs':'encryption context'},"
           "{'grantId':'f0','to':'its account','issuingAccount':'" MINE "','counts':true}]}");
    expect(&w, 2,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "','grant':'f0',"
           "'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'d0','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'operation'},"
           "{'grantId':'50','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'source'}],"
           "'moreGrants':2}");
    expect(&w, 3,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "','grant':'f0',"
           "'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'d0','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'operation'},"
           "{'grantId':'50','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'source'},{'grantId':'c0','to':'the "
           "caller','issuingAccount':'" THEIRS "','counts':false,'differs':'encryption context'}],"
           "'moreGrants':1}");
    free(user_set);
    free(account_set);
}

static void new_grants(void **state)
{
    CLEANUP(world_release) struct world w;
    const struct grant_record *const    list[] = { &create };
    struct grant_set                   *set = set_of(list, 1);

    (void)state;
    world_make(&w, "{'Statement':" OWNER "}", NULL);
    w.rq.operation = GRANT_CREATE_GRANT;
    w.rq.action = BYTES_LIT("kms:CreateGrant");
    w.rq.child = &fine;
    w.rq.grants[BOUND_EXACTLY] = set;
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-identity-policy',"
           "'caller':'" U "','action':'kms:CreateGrant',"
           "'resource':'" KEY_ARN "',"
           "'decidedBy':'the key policy','decidingStatement':0,'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'cc','to':'the caller','issuingAccount':'" MINE
           "','counts':false,'differs':'new grant is wider'}]}");
    free(set);
}

static void retiring(void **state)
{
    CLEANUP(world_release) struct world w;
    struct grant_record                 g = { .id = BYTES_LIT("ab"),
                                              .issuing_account = BYTES_LIT(THEIRS),
                                              .retiring = BYTES_LIT("AIDAEXAMPLEEXAMPLE12") };

    (void)state;
    world_make(&w, "{'Statement':" OWNER "}", NULL);
    w.rq.operation = GRANT_RETIRE_GRANT;
    w.rq.action = BYTES_LIT("kms:RetireGrant");
    w.rq.retiring = &g;
    expect(&w, MAX,
           "{'allowed':true,'reason':'allowed','caller':'" U "',"
           "'action':'kms:RetireGrant',"
           "'resource':'" KEY_ARN "','grant':'ab',"
           "'sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'ab','to':'the caller','issuingAccount':'" THEIRS
           "','counts':true}]}");
    g.retiring = BYTES_LIT("AIDAOTHEROTHEROTHER1");
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-resource-policy',"
           "'caller':'" U "','action':'kms:RetireGrant',"
           "'resource':'" KEY_ARN "','sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[],"
           "'grants':[{'grantId':'ab','to':'others','issuingAccount':'" THEIRS
           "','counts':false,'differs':'principal'}]}");
    w.rq.retiring = NULL;
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-resource-policy',"
           "'caller':'" U "','action':'kms:RetireGrant',"
           "'resource':'" KEY_ARN "','sameAccount':true,"
           "'keyPolicy':{'says':'allows the account','statements':[{'statement':0,"
           "'sid':'Owner','effect':'Allow','applies':true}]},'identityPolicies':[]}");
}

static void other_accounts(void **state)
{
    CLEANUP(world_release) struct world w;

    (void)state;
    world_make(&w, "{'Statement':" OWNER "}", NULL);
    w.caller.as.account = BYTES_LIT(THEIRS);
    w.rq.cross_account = true;
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-resource-policy',"
           "'caller':'" U "','action':'kms:Encrypt',"
           "'resource':'" KEY_ARN "',"
           "'sameAccount':false,'acrossAccounts':true,"
           "'keyPolicy':{'says':'nothing','statements':[{'statement':0,'sid':'Owner',"
           "'effect':'Allow','applies':false,'differs':'principal'}]},'identityPolicies':[]}");
}

static void long_texts(void **state)
{
    static char                         sid[300];
    CLEANUP(world_release) struct world w;
    CLEANUP(buf_release) struct buf     text = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf     expected = BUF_INIT(ROOM);

    (void)state;
    memset(sid, 'x', sizeof sid - 1);
    memcpy(sid + 255, "\xC3\xA4", 2); /* a character across the end of what is shown */
    buf_addf(&text, "{'Statement':{'Sid':'%s','Effect':'Allow','Action':'*','Resource':'*'}}", sid);
    buf_add_byte(&text, 0);
    world_make(&w, NULL, (const char *)text.ptr);
    buf_addf(&expected,
             "{'allowed':true,'reason':'allowed','caller':'" U
             "','action':'kms:Encrypt','resource':'*','decidedBy':'mine','decidingStatement':0,'"
             "identityPolicies':[{'name':'mine','says':'allows','statements':[{'statement':0,'sid':"
             "'%.255s','effect':'Allow','applies':true}]}]}",
             sid);
    buf_add_byte(&expected, 0);
    expect(&w, MAX, (const char *)expected.ptr);
}

/* What is no UTF-8 has no character to end with. */
static void bad_texts(void **state)
{
    static uint8_t                      bad[300];
    CLEANUP(world_release) struct world w;

    (void)state;
    memset(bad, 0x80, sizeof bad);
    world_make(&w, NULL, NULL);
    w.rq.resource = bytes_of(bad, sizeof bad);
    expect(&w, MAX,
           "{'allowed':false,'reason':'no-identity-policy','caller':'" U "','action':'kms:Encrypt',"
           "'resource':'','identityPolicies':[]}");

    CLEANUP(buf_release) struct buf expected = BUF_INIT(ROOM);
    memset(bad, 'x', 256);
    w.rq.resource = bytes_of(bad, 256); /* just short enough, and what follows is not looked at */
    buf_addf(&expected,
             "{'allowed':false,'reason':'no-identity-policy','caller':'" U
             "','action':'kms:Encrypt','resource':'%.256s','identityPolicies':[]}",
             (const char *)bad);
    buf_add_byte(&expected, 0);
    expect(&w, MAX, (const char *)expected.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements), cmocka_unit_test(unclear),
        cmocka_unit_test(layers),     cmocka_unit_test(no_values),
        cmocka_unit_test(bounds),     cmocka_unit_test(without_a_key),
        cmocka_unit_test(grants),     cmocka_unit_test(new_grants),
        cmocka_unit_test(retiring),   cmocka_unit_test(other_accounts),
        cmocka_unit_test(long_texts), cmocka_unit_test(bad_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
