/* Unit tests of authz/: documents, principals, actions, resources, and which statement decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "authz/policy.h"
#include "base/buf.h"
#include "base/cleanup.h"

#define ME    "111111111111"
#define OTHER "222222222222"
#define KEY   "arn:aws:kms:us-east-1:" ME ":key/0d990263-018e-4e65-a703-eff731de951e"

/* ' stands for ". */
static void add_quoted(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_add_byte(out, *text == '\'' ? '"' : (uint8_t)*text);
}

static enum kms_status compile(enum policy_kind kind, const char *text, struct policy **ret,
                               struct kms_error *err)
{
    CLEANUP(buf_release) struct buf b = BUF_INIT(1 << 20);

    add_quoted(&b, text);
    kms_error_clear(err);
    return policy_compile(kind, buf_bytes(&b), (struct bytes){ NULL, 0 }, ret, err);
}

static struct policy *must_compile(enum policy_kind kind, const char *text)
{
    struct kms_error err;
    struct policy   *p = NULL;

    if (compile(kind, text, &p, &err) != KMS_OK)
        fail_msg("%s: %s %s", text, err.message, err.detail);
    return p;
}

/* --- documents -------------------------------------------------------------------------------- */

#define S(ELEMENTS)     "{'Version':'2012-10-17','Statement':{" ELEMENTS "}}"
#define GOOD            "'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'*'"
#define NO_MESSAGE      ""
#define BAD_PRINCIPAL   "Policy contains a statement with one or more invalid principals."
#define BAD_ARN         "An ARN in the specified key policy is invalid."
#define AWS(VALUE)      S("'Effect':'Allow','Principal':{'AWS':" VALUE "},'Action':'kms:*'," \
                          "'Resource':'*'")
#define COND(CONDITION) S(GOOD ",'Condition':" CONDITION)

struct document {
    const char      *section;
    enum policy_kind kind;
    const char      *text;
    enum kms_status  status;
    const char      *message; /* NULL: any that is not empty */
};

// clang-format off
static const struct document documents[] = {
    { "5.1 rule 1", POLICY_KEY, "{'Statement':[{" GOOD "}]}", KMS_OK, NULL },
    { "12", POLICY_KEY, S(GOOD), KMS_OK, NULL },
    { "12", POLICY_KEY, "{'Version':'2008-10-17','Id':'x','Statement':[{" GOOD ",'Sid':'a b'}]}", KMS_OK, NULL },
    { "12", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'kms:*'"), KMS_OK, NULL },
    { "12", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Resource':'*'"), KMS_OK, NULL },
    { "12", POLICY_KEY, COND("{}"), KMS_OK, NULL },
    /* not JSON: without message */
    { "3.2", POLICY_KEY, "", KMS_E_POLICY, NO_MESSAGE },
    { "3.2", POLICY_KEY, "policy", KMS_E_POLICY, NO_MESSAGE },
    { "3.2", POLICY_KEY, "{'Statement':[", KMS_E_POLICY, NO_MESSAGE },
    { "3.2", POLICY_KEY, S(GOOD ",'Effect':'Deny'"), KMS_E_POLICY, NO_MESSAGE },
    /* not a policy */
    { "own", POLICY_KEY, "[]", KMS_E_POLICY, "The policy is not an object." },
    { "own", POLICY_KEY, "{}", KMS_E_POLICY, "The policy has no statement." },
    { "own", POLICY_KEY, "{'Statement':[]}", KMS_E_POLICY, "The policy has no statement." },
    { "own", POLICY_KEY, "{'Statement':'x'}", KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, "{'Statement':[null]}", KMS_E_POLICY, "A statement of the policy is not an object." },
    { "own", POLICY_KEY, "{'Version':'2020-01-01','Statement':{" GOOD "}}", KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, "{'Version':2012,'Statement':{" GOOD "}}", KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, "{'version':'2012-10-17','Statement':{" GOOD "}}", KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, "{'Id':1,'Statement':{" GOOD "}}", KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S(GOOD ",'Principals':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, "{'Statement':{" GOOD "},'Own':1}", KMS_E_POLICY, "Unknown element 'Own' in the policy." },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'k','Resource':'*'"), KMS_E_POLICY, "The policy has an invalid action: 'k'." },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':['kms:*','Sign'],'Resource':'*'"), KMS_E_POLICY, "The policy has an invalid action: 'Sign'." },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':['*'],'Resource':['*','a']"), KMS_OK, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':[]"), KMS_E_POLICY, "Resource in a statement of the policy is empty." },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':['']"), KMS_E_POLICY, "Resource in a statement of the policy is not a list of texts." },
    { "own", POLICY_KEY, S("'NotAction':'kms:Sign'," GOOD), KMS_E_POLICY, "A statement of the policy has both Action and NotAction." },
    { "own", POLICY_KEY, S("'NotResource':'a'," GOOD), KMS_E_POLICY, "A statement of the policy has both Resource and NotResource." },
    { "own", POLICY_KEY, S("'NotPrincipal':'*'," GOOD), KMS_E_POLICY, "A statement of the policy has both Principal and NotPrincipal." },
    { "own", POLICY_KEY, S("'Principal':'*','Action':'a:b'"), KMS_E_POLICY, "A statement of the policy has no Effect of Allow or Deny." },
    { "own", POLICY_KEY, S(GOOD ",'Sid':7"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Principal':'*','Action':'kms:*','Resource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'allow','Principal':'*','Action':'kms:*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':true,'Principal':'*','Action':'kms:*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S(GOOD ",'NotAction':'kms:Sign'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S(GOOD ",'NotResource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S(GOOD ",'NotPrincipal':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'Encrypt','Resource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':[],'Resource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':[1],'Resource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'','Resource':'*'"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':{}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, S("'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'${aws:userid'"), KMS_E_POLICY, NULL },
    /* principals */
    { "12",  POLICY_KEY, S("'Effect':'Allow','Action':'kms:*','Resource':'*'"), KMS_E_POLICY, NULL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':'me','Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':{},'Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':{'Aws':'*'},'Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':{'Service':'*'},'Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("[]"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("''"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("7"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'11111111111'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAshort'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'11111111111x'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'x11111111111'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'aliceisalice'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'1111111111111'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'11111/111111'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXAM'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXA['"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXA@'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXAMPL['"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXAMPL@'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXAMPL:'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'AIDAEXAMPLEEXAMPL/'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'BIDAEXAMPLEEXAMPLE12'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("['AIDAEXAMPLEEXAMZ','AZ09EXAMPLEEXAMP','999999999999','000000000000']"), KMS_OK, NULL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':{'AWS':['*',7]},'Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, S("'Effect':'Allow','Principal':{'AWS':'*','Service':''},'Action':'kms:*'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'alice'"), KMS_E_POLICY, BAD_PRINCIPAL },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":group/g'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":user/'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":user/*'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":user/a?'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::*:root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":role/'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam:x:" ME ":root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:sts::" ME ":root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME ":assumed-role/r/s'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::11111111111:root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam:us-east-1:" ME ":root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:s3::" ME ":root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:sts::" ME ":user/a'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:x:iam::" ME ":root'"), KMS_E_ARN, BAD_ARN },
    { "3.2", POLICY_KEY, AWS("'arn:aws:iam::" ME "'"), KMS_E_ARN, BAD_ARN },
    { "12", POLICY_KEY, AWS("['*','" ME "','arn:aws:iam::" ME ":root','arn:aws:iam::" ME ":user/p/u']"), KMS_OK, NULL },
    { "12", POLICY_KEY, AWS("['arn:aws:iam::" ME ":role/r','arn:aws:sts::" ME ":assumed-role/r/s']"), KMS_OK, NULL },
    { "12", POLICY_KEY, AWS("['arn:aws:sts::" ME ":federated-user/f','AROAEXAMPLEEXAMPLE12']"), KMS_OK, NULL },
    { "12", POLICY_KEY, AWS("'arn:aws-us-gov:iam::" ME ":root'"), KMS_OK, NULL },
    { "12", POLICY_KEY, S("'Effect':'Allow','NotPrincipal':{'AWS':'" ME "'},'Action':'kms:*'"), KMS_OK, NULL },
    /* conditions */
    { "own", POLICY_KEY, COND("[]"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringSame':{'aws:userid':'x'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'stringEquals':{'aws:userid':'x'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'ForSomeValues:StringEquals':{'aws:userid':'x'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IfExists':{'aws:userid':'x'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NullIfExists':{'aws:userid':'true'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'ForAnyValue:Null':{'aws:userid':'true'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':'aws:userid'}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':[]}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':null}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':[{}]}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringLike':{'aws:userid':'${aws:userid'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringLike':{'aws:userid':'${aws:userid, x}'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':'one'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':'NaN'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':''}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':'1e999'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'DateEquals':{'aws:userid':'2023-02-29'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':['a',[]]}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':{}}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{}}"), KMS_OK, NULL },
    { "own", POLICY_KEY, COND("{'Own':{}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':18446744073709551615}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'StringEquals':{'aws:userid':9223372036854775807}}"), KMS_OK, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':[1,2.5,true]}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'NumericEquals':{'aws:userid':[1,2.5]}}"), KMS_OK, NULL },
    { "own", POLICY_KEY, COND("{'Bool':{'aws:userid':[true,'false']}}"), KMS_OK, NULL },
    { "own", POLICY_KEY, COND("{'ArnLike':{'aws:PrincipalArn':'arn:aws:x:y:z'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'ArnLike':{'aws:PrincipalArn':['arn:aws:x:y:z:a','*','${aws:userid}']}}"), KMS_OK, NULL },
    { "own", POLICY_KEY, COND("{'ArnLike':{'aws:PrincipalArn':'arn:*'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'DateEquals':{'aws:userid':'2023-01-01T00:00:00'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'DateEquals':{'aws:userid':'2023-01-01T24:00:00Z'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'Bool':{'aws:userid':'yes'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'Null':{'aws:userid':'1'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IpAddress':{'aws:SourceIp':'192.0.2.0/33'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IpAddress':{'aws:SourceIp':'192.0.2/24'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IpAddress':{'aws:SourceIp':'2001:db8::/129'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IpAddress':{'aws:SourceIp':'192.0.2.0/'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'IpAddress':{'aws:SourceIp':'1.2.3.256'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'ArnLike':{'aws:PrincipalArn':'arn:aws:*:user'}}"), KMS_E_POLICY, NULL },
    { "own", POLICY_KEY, COND("{'ArnEquals':{'aws:PrincipalArn':''}}"), KMS_E_POLICY, NULL },
    /* the other kinds: which elements belong in them */
    { "4", POLICY_IDENTITY, S("'Effect':'Allow','Action':'kms:*','Resource':'*'"), KMS_OK, NULL },
    { "4", POLICY_SESSION, S("'Effect':'Allow','Action':'kms:*','Resource':'*'"), KMS_OK, NULL },
    { "4", POLICY_BOUNDARY, S("'Effect':'Allow','Action':'kms:*','NotResource':'*'"), KMS_OK, NULL },
    { "4", POLICY_IDENTITY, S(GOOD), KMS_E_POLICY, NULL },
    { "4", POLICY_IDENTITY, S("'Effect':'Allow','Action':'kms:*'"), KMS_E_POLICY, NULL },
    { "4", POLICY_IDENTITY, S("'Effect':'Allow','Resource':'*'"), KMS_E_POLICY, NULL },
    { "4", POLICY_TRUST, S("'Effect':'Allow','Principal':{'AWS':'" ME "'},'Action':'sts:AssumeRole'"), KMS_OK, NULL },
    { "4", POLICY_TRUST, S("'Effect':'Allow','Principal':{'AWS':'" ME "'}"), KMS_E_POLICY, NULL },
    { "4", POLICY_TRUST, S(GOOD), KMS_E_POLICY, NULL },
};
// clang-format on

static void documents_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        const struct document *d = &documents[i];
        struct kms_error       err;
        struct policy         *p = NULL;
        enum kms_status        status = compile(d->kind, d->text, &p, &err);
        bool                   text_ok = d->message != NULL ? strcmp(err.message, d->message) == 0
                                                            : (status == KMS_OK) == (err.message[0] == '\0');
        if (status != d->status || !text_ok || (p != NULL) != (status == KMS_OK))
            fail_msg("document %zu (%s): %s: status %d, '%s'", i, d->section, d->text, (int)status,
                     err.message);
        policy_free(p);
    }
}

/* --- principals ------------------------------------------------------------------------------- */

#define TEXT(S) { (const uint8_t *)(S), sizeof(S) - 1 }
#define NONE    { NULL, 0 }
#define ROOT_OF(ACCOUNT) { CALLER_ROOT, TEXT(ACCOUNT), TEXT("arn:aws:iam::" ACCOUNT ":root"), NONE, \
                           TEXT(ACCOUNT) }
#define USER    { CALLER_USER, TEXT(ME), TEXT("arn:aws:iam::" ME ":user/u"), NONE, \
                  TEXT("AIDAEXAMPLEEXAMPLE12") }
#define SESSION { CALLER_SESSION, TEXT(ME), TEXT("arn:aws:sts::" ME ":assumed-role/r/s"), \
                  TEXT("arn:aws:iam::" ME ":role/team/r"), TEXT("AROAEXAMPLEEXAMPLE12:s") }
#define SERVICE { CALLER_SERVICE, NONE, TEXT("logs.amazonaws.com"), NONE, NONE }
enum { ROOT, OTHER_ROOT, A_USER, A_SESSION, A_SERVICE, CALLERS };
static const struct policy_caller callers[CALLERS] = {
    [ROOT] = ROOT_OF(ME),  [OTHER_ROOT] = ROOT_OF(OTHER), [A_USER] = USER,
    [A_SESSION] = SESSION, [A_SERVICE] = SERVICE,
};

// clang-format off
#define P(VALUE)  "'Principal':" VALUE
#define NP(VALUE) "'NotPrincipal':" VALUE
#define N POLICY_NOTHING
#define G POLICY_DELEGATES
#define Y POLICY_ALLOWS
#define D POLICY_DENIES
static const struct {
    const char         *section;
    const char         *element;
    enum policy_verdict allow[CALLERS]; /* root, root of the other account, user, session, service */
    enum policy_verdict deny[CALLERS];
} principals[] = {
    { "5.1",         P("'*'"),                                             { Y, Y, Y, Y, Y }, { D, D, D, D, D } },
    { "5.1",         P("{'AWS':'*'}"),                                     { Y, Y, Y, Y, Y }, { D, D, D, D, D } },
    { "12",          P("{'AWS':'arn:aws:iam::" ME ":root'}"),              { Y, N, G, G, N }, { D, N, D, D, N } },
    { "12",          P("{'AWS':'" ME "'}"),                                { Y, N, G, G, N }, { D, N, D, D, N } },
    { "4.7",         P("{'AWS':'" OTHER "'}"),                             { N, Y, N, N, N }, { N, D, N, N, N } },
    { "12",          P("{'AWS':'arn:aws:iam::" ME ":user/u'}"),            { N, N, Y, N, N }, { N, N, D, N, N } },
    { "12",          P("{'AWS':'arn:aws:iam::" ME ":user/U'}"),            { N, N, N, N, N }, { N, N, N, N, N } },
    { "12",          P("{'AWS':'arn:aws:iam::" ME ":role/team/r'}"),       { N, N, N, Y, N }, { N, N, N, D, N } },
    { "3",           P("{'AWS':'arn:aws:iam::" ME ":role/r'}"),            { N, N, N, N, N }, { N, N, N, N, N } },
    { "4.1",         P("{'AWS':'arn:aws:sts::" ME ":assumed-role/r/s'}"),  { N, N, N, Y, N }, { N, N, N, D, N } },
    { "4.1",         P("{'AWS':'arn:aws:sts::" ME ":assumed-role/r/t'}"),  { N, N, N, N, N }, { N, N, N, N, N } },
    { "4.6",         P("{'AWS':'AIDAEXAMPLEEXAMPLE12'}"),                  { N, N, Y, N, N }, { N, N, D, N, N } },
    { "4.6",         P("{'AWS':'AROAEXAMPLEEXAMPLE12'}"),                  { N, N, N, Y, N }, { N, N, N, D, N } },
    { "4.6",         P("{'AWS':'AROAEXAMPLEEXAMPLE1'}"),                   { N, N, N, N, N }, { N, N, N, N, N } },
    { "12",          P("{'Service':'logs.amazonaws.com'}"),                { N, N, N, N, Y }, { N, N, N, N, D } },
    { "12",          P("{'Service':['s3.amazonaws.com','logs.amazonaws.com']}"), { N, N, N, N, Y }, { N, N, N, N, D } },
    { "12",          P("{'Federated':'logs.amazonaws.com'}"),              { N, N, N, N, N }, { N, N, N, N, N } },
    { "12",          P("{'CanonicalUser':'abc'}"),                         { N, N, N, N, N }, { N, N, N, N, N } },
    { "12",          P("{'AWS':['" OTHER "','arn:aws:iam::" ME ":user/u']}"), { N, Y, Y, N, N }, { N, D, D, N, N } },
    { "12",          P("{'AWS':['" ME "','arn:aws:iam::" ME ":user/u']}"), { Y, N, Y, G, N }, { D, N, D, D, N } },
    { "12",          NP("{'AWS':'arn:aws:iam::" ME ":user/u'}"),           { Y, Y, N, Y, Y }, { D, D, D, D, D } },
    { "12",          NP("{'AWS':'" ME "'}"),                               { N, Y, N, N, Y }, { N, D, D, D, D } },
    { "12",          NP("{'AWS':['" ME "','arn:aws:iam::" ME ":user/u']}"), { N, Y, N, N, Y }, { N, D, N, D, D } },
    { "12",          NP("{'AWS':['" ME "','arn:aws:iam::" ME ":role/team/r']}"), { N, Y, N, N, Y }, { N, D, D, D, D } },
    { "12",          NP("{'AWS':['" ME "','arn:aws:iam::" ME ":role/team/r','arn:aws:sts::" ME ":assumed-role/r/s']}"),
                                                                           { N, Y, N, N, Y }, { N, D, D, N, D } },
    { "12",          NP("{'Service':'logs.amazonaws.com'}"),               { Y, Y, Y, Y, N }, { D, D, D, D, N } },
    { "12",          NP("'*'"),                                            { N, N, N, N, N }, { N, N, N, N, N } },
};
#undef N
#undef G
#undef Y
#undef D
// clang-format on

static enum policy_verdict ask(const struct policy *p, const struct policy_caller *caller,
                               const char *action, const char *resource)
{
    struct policy_request rq = { .caller = *caller,
                                 .action = bytes_str(action),
                                 .resource = bytes_str(resource) };

    return policy_evaluate(p, &rq).verdict;
}

static struct policy *with_principal(const char *effect, const char *element)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);

    buf_addf(&text,
             "{'Version':'2012-10-17','Statement':{'Effect':'%s',%s,'Action':'*','Resource':'*'}}",
             effect, element);
    buf_add_byte(&text, 0);
    return must_compile(POLICY_KEY, (const char *)text.ptr);
}

static void principals_are_covered(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(principals); i++) {
        CLEANUP(policy_freep) struct policy *allow = with_principal("Allow", principals[i].element);
        CLEANUP(policy_freep) struct policy *deny = with_principal("Deny", principals[i].element);
        for (size_t c = 0; c < CALLERS; c++) {
            enum policy_verdict a = ask(allow, &callers[c], "kms:Encrypt", KEY);
            enum policy_verdict d = ask(deny, &callers[c], "kms:Encrypt", KEY);
            if (a != principals[i].allow[c] || d != principals[i].deny[c])
                fail_msg("%s (%s), caller %zu: allow form %d, deny form %d", principals[i].element,
                         principals[i].section, c, (int)a, (int)d);
        }
    }
}

/* A name that is bound to an identity means that identity, whoever has the name later (4.6). */
static void bound_principals(void **state)
{
    static const char text[] = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":["
                               "\"arn:aws:iam::" ME ":user/u\",\"arn:aws:iam::" ME
                               ":role/team/r\"]},"
                               "\"Action\":\"*\",\"Resource\":\"*\"}}";
    static const struct {
        const char         *principals;
        enum policy_verdict user, session;
    } bound[] = {
        { "", POLICY_ALLOWS, POLICY_ALLOWS },
        { "arn:aws:iam::" ME ":user/u AIDAEXAMPLEEXAMPLE12\n"
          "arn:aws:iam::" ME ":role/team/r AROAEXAMPLEEXAMPLE12\n",
          POLICY_ALLOWS, POLICY_ALLOWS },
        { "arn:aws:iam::" ME ":user/u AIDAFORMERFORMER1234\n", POLICY_NOTHING, POLICY_ALLOWS },
        { "arn:aws:iam::" ME ":role/team/r AROAFORMERFORMER1234\n", POLICY_ALLOWS, POLICY_NOTHING },
        { "arn:aws:iam::" ME ":user/x AIDAFORMERFORMER1234\n", POLICY_ALLOWS, POLICY_ALLOWS },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
        CLEANUP(policy_freep) struct policy *p = NULL;
        assert_int_equal(
            policy_compile(POLICY_KEY, bytes_str(text), bytes_str(bound[i].principals), &p, NULL),
            KMS_OK);
        if (ask(p, &callers[A_USER], "kms:Encrypt", KEY) != bound[i].user ||
            ask(p, &callers[A_SESSION], "kms:Encrypt", KEY) != bound[i].session)
            fail_msg("row %zu", i);
    }
}

/* The unique id ends where its bytes end. */
static void unique_ids_end(void **state)
{
    static const char                    id[] = "AROAEXAMPLEEXAMPLE12:s";
    struct policy_caller                 caller = callers[A_SESSION];
    CLEANUP(policy_freep) struct policy *but = with_principal(
        "Deny", NP("{'AWS':['" ME "','AROAEXAMPLEEXAMPLE12']}"));
    CLEANUP(policy_freep) struct policy *allow = with_principal("Allow",
                                                                P("{'AWS':'AROAEXAMPLEEXAMPLE1'}"));

    (void)state;
    caller.unique_id = bytes_of(id, 20);
    assert_int_equal(ask(but, &caller, "kms:Encrypt", KEY), POLICY_DENIES);
    assert_int_equal(ask(allow, &caller, "kms:Encrypt", KEY), POLICY_NOTHING);
}

/* An action that is longer than any is not compared: denied. */
static void long_actions(void **state)
{
    CLEANUP(policy_freep) struct policy *allow = with_principal("Allow", P("'*'"));
    char                                 action[8192];

    (void)state;
    memset(action, 'a', sizeof action);
    struct policy_request rq = { .caller = callers[A_USER], .action = bytes_of(action, 128) };
    assert_int_equal(policy_evaluate(allow, &rq).verdict, POLICY_ALLOWS);
    for (size_t len = 129; len <= sizeof action; len += 8063) {
        rq.action.len = len;
        assert_true(policy_evaluate(allow, &rq).unsure);
    }
}

static void freed_policies_are_gone(void **state)
{
    struct policy *p = must_compile(POLICY_KEY, S(GOOD));

    (void)state;
    policy_freep(&p);
    assert_null(p);
    policy_free(NULL);
}

/* Under its own name, or as everybody: not through role or account. */
static void directly(void **state)
{
    static const struct {
        const char *element;
        bool        directly[CALLERS]; /* root, other root, user, session, service */
    } rows[] = {
        { P("'*'"), { true, true, true, true, true } },
        { P("{'AWS':'" ME "'}"), { true, false, false, false, false } },
        { P("{'AWS':'arn:aws:iam::" ME ":user/u'}"), { false, false, true, false, false } },
        { P("{'AWS':'AIDAEXAMPLEEXAMPLE12'}"), { false, false, true, false, false } },
        { P("{'AWS':'arn:aws:iam::" ME ":role/team/r'}"), { false } },
        { P("{'AWS':'AROAEXAMPLEEXAMPLE12'}"), { false } },
        { P("{'AWS':'arn:aws:sts::" ME ":assumed-role/r/s'}"),
          { false, false, false, true, false } },
        { NP("{'AWS':'" OTHER "'}"), { true, false, true, true, true } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(policy_freep) struct policy *allow = with_principal("Allow", rows[i].element);
        CLEANUP(policy_freep) struct policy *deny = with_principal("Deny", rows[i].element);
        for (size_t c = 0; c < CALLERS; c++) {
            struct policy_request rq = { .caller = callers[c], .action = BYTES_LIT("kms:Sign") };
            assert_false(policy_evaluate(deny, &rq).directly);
            if (policy_evaluate(allow, &rq).directly != rows[i].directly[c])
                fail_msg("%s, caller %zu", rows[i].element, c);
        }
    }
}

/* Who comes with a token is covered by the provider's name only; a denial of everybody is of it
 * too. */
static void web_identities(void **state)
{
    static const struct policy_caller web = { CALLER_WEB, TEXT(ME), TEXT("https://id.example"),
                                              NONE, NONE };
    static const struct {
        const char         *element;
        enum policy_verdict allow, deny;
    } rows[] = {
        { P("{'Federated':'https://id.example'}"), POLICY_ALLOWS, POLICY_DENIES },
        { P("{'Federated':'https://id.example2'}"), POLICY_NOTHING, POLICY_NOTHING },
        { P("'*'"), POLICY_NOTHING, POLICY_DENIES },
        { P("{'AWS':'*'}"), POLICY_NOTHING, POLICY_DENIES },
        { P("{'Service':'https://id.example'}"), POLICY_NOTHING, POLICY_NOTHING },
        { NP("{'Federated':'https://other.example'}"), POLICY_NOTHING, POLICY_DENIES },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(policy_freep) struct policy *allow = with_principal("Allow", rows[i].element);
        CLEANUP(policy_freep) struct policy *deny = with_principal("Deny", rows[i].element);
        if (ask(allow, &web, "sts:X", "r") != rows[i].allow ||
            ask(deny, &web, "sts:X", "r") != rows[i].deny)
            fail_msg("%s", rows[i].element);
    }
}

static bool known_if_mine(const struct policy_principal *p, const void *ctx)
{
    return p->kind == PRINCIPAL_ACCOUNT && bytes_eq_str(p->text, ctx);
}

static void principals_are_asked_about(void **state)
{
    CLEANUP(policy_freep) struct policy *p = must_compile(POLICY_KEY,
                                                          AWS("['" ME "','*','" OTHER "']"));
    CLEANUP(policy_freep) struct policy *mine = must_compile(
        POLICY_KEY, AWS("['" ME "','*','arn:aws:iam::" ME ":root']"));

    (void)state;
    assert_false(policy_principals_known(p, known_if_mine, ME));
    assert_true(policy_principals_known(mine, known_if_mine, ME));
    assert_false(policy_principals_known(mine, known_if_mine, OTHER));
}

/* --- actions and resources --------------------------------------------------------------------- */

#define R(ELEMENT) "'Action':'*'," ELEMENT
#define A(ELEMENT) "'Resource':'*'," ELEMENT

static const struct {
    const char *section;
    const char *elements;
    const char *action;
    const char *resource;
    bool        applies;
} targets[] = {
    { "12", A("'Action':'kms:*'"), "kms:Encrypt", KEY, true },
    { "12", A("'Action':'*'"), "kms:Encrypt", KEY, true },
    { "12", A("'Action':'kms:Encrypt'"), "kms:Encrypt", KEY, true },
    { "12", A("'Action':'KMS:eNCRYPT'"), "kms:Encrypt", KEY, true },
    { "12", A("'Action':'kms:Encrypt'"), "kms:EncryptX", KEY, false },
    { "12", A("'Action':'kms:AZaz'"), "KMS:azAZ", KEY, true },
    { "12", A("'Action':'kms:Encryp'"), "kms:Encrypt", KEY, false },
    { "12", A("'Action':'s3:*'"), "kms:Encrypt", KEY, false },
    { "12", A("'Action':['kms:Decrypt','kms:Enc*']"), "kms:Encrypt", KEY, true },
    { "12", A("'Action':['kms:Decrypt','kms:Sign']"), "kms:Encrypt", KEY, false },
    { "5.1", A("'Action':'kms:ReEncrypt*'"), "kms:ReEncryptFrom", KEY, true },
    { "5.1", A("'Action':'kms:ReEncrypt*'"), "kms:ReEncryptTo", KEY, true },
    { "5.1", A("'Action':'kms:GenerateDataKey*'"), "kms:GenerateDataKey", KEY, true },
    { "5.1", A("'Action':'kms:GenerateDataKey*'"), "kms:GenerateRandom", KEY, false },
    { "5.1", A("'Action':'kms:*Key'"), "kms:DescribeKey", KEY, true },
    { "5.1", A("'Action':'kms:*Key'"), "kms:DescribeKeys", KEY, false },
    { "5.1", A("'Action':'kms:?ncrypt'"), "kms:Encrypt", KEY, true },
    { "5.1", A("'Action':'kms:?Encrypt'"), "kms:Encrypt", KEY, false },
    { "12", A("'NotAction':'kms:Encrypt'"), "kms:Encrypt", KEY, false },
    { "12", A("'NotAction':'kms:encrypt'"), "kms:Encrypt", KEY, false },
    { "12", A("'NotAction':'kms:Encrypt'"), "kms:Decrypt", KEY, true },
    { "12", A("'NotAction':['kms:Sign','kms:D*']"), "kms:Decrypt", KEY, false },
    { "12", "'Resource':'*'", "kms:Encrypt", KEY, false }, /* no Action: no effect */
    { "12", "'Action':'*'", "kms:Encrypt", KEY, false },   /* no Resource: no effect */
    { "5.2", R("'Resource':'*'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'" KEY "'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'arn:aws:kms:*'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'arn:*e951e'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'arn:*:key/0d99'"), "kms:Encrypt", KEY, false },
    { "5.2", R("'Resource':'*:us-east-?:*'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'*:us-west-?:*'"), "kms:Encrypt", KEY, false },
    { "5.2", R("'Resource':'ARN:aws:kms:*'"), "kms:Encrypt", KEY, false },
    { "5.2", R("'Resource':['a','" KEY "']"), "kms:Encrypt", KEY, true },
    { "5.2", R("'NotResource':'" KEY "'"), "kms:Encrypt", KEY, false },
    { "5.2", R("'NotResource':'arn:aws:s3:::*'"), "kms:Encrypt", KEY, true },
    { "5.2", R("'Resource':'*${aws:userid}'"), "kms:Encrypt", KEY, false },
    { "5.2", R("'Resource':'*${aws:userid, \\u0027e951e\\u0027}'"), "kms:Encrypt", KEY, true },
};

static void targets_are_matched(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
        buf_addf(&text,
                 "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Principal':'*',%s}}",
                 targets[i].elements);
        buf_add_byte(&text, 0);
        CLEANUP(policy_freep) struct policy *p = must_compile(POLICY_KEY, (const char *)text.ptr);
        enum policy_verdict v = ask(p, &callers[A_USER], targets[i].action, targets[i].resource);
        if (v != (targets[i].applies ? POLICY_ALLOWS : POLICY_NOTHING))
            fail_msg("row %zu (%s): %s", i, targets[i].section, targets[i].elements);
    }
}

/* --- which statement decides ------------------------------------------------------------------- */

#define ST(SID, EFFECT, PRINCIPAL, ACTION)                                                         \
    "{'Sid':'" SID "','Effect':'" EFFECT "','Principal':" PRINCIPAL ",'Action':'" ACTION           \
    "','Resource':'*'}"

static struct policy_result result_of(const char *statements, int caller)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    static char                     sid[64];
    struct policy_request           rq = { .caller = callers[caller],
                                           .action = BYTES_LIT("kms:Encrypt"),
                                           .resource = BYTES_LIT(KEY) };

    buf_addf(&text, "{'Statement':[%s]}", statements);
    buf_add_byte(&text, 0);
    CLEANUP(policy_freep) struct policy *p = must_compile(POLICY_KEY, (const char *)text.ptr);
    struct policy_result                 r = policy_evaluate(p, &rq);
    if (r.sid.len > 0)
        memcpy(sid, r.sid.ptr, r.sid.len);
    r.sid.ptr = (const uint8_t *)sid;
    return r;
}

static void expect(struct policy_result r, enum policy_verdict verdict, int statement,
                   const char *sid)
{
    assert_int_equal(r.verdict, verdict);
    assert_int_equal(r.statement, statement);
    assert_true(bytes_eq_str(r.sid, sid));
    assert_false(r.unsure);
}

/* 5.2: an explicit deny beats an allow in the same policy, wherever it stands. */
static void weightiest_decides(void **state)
{

    (void)state;
    expect(result_of(ST("a", "Allow", "'*'", "kms:*") "," ST("d", "Deny", "'*'", "kms:Encrypt"),
                     A_USER),
           POLICY_DENIES, 1, "d");
    expect(result_of(ST("d", "Deny", "'*'", "kms:Encrypt") "," ST("a", "Allow", "'*'", "kms:*"),
                     A_USER),
           POLICY_DENIES, 0, "d");
    expect(result_of(ST("a", "Allow", "'*'", "kms:*") "," ST("d", "Deny", "'*'", "kms:Decrypt"),
                     A_USER),
           POLICY_ALLOWS, 0, "a");
    expect(result_of(ST("g", "Allow", "{'AWS':'" ME "'}", "kms:*") "," ST(
                         "a", "Allow", "{'AWS':'arn:aws:iam::" ME ":user/u'}", "kms:Encrypt"),
                     A_USER),
           POLICY_ALLOWS, 1, "a");
    expect(result_of(ST("a", "Allow", "{'AWS':'arn:aws:iam::" ME ":user/u'}",
                        "kms:Encrypt") "," ST("g", "Allow", "{'AWS':'" ME "'}", "kms:*"),
                     A_USER),
           POLICY_ALLOWS, 0, "a");
    expect(result_of(ST("g", "Allow", "{'AWS':'" ME "'}", "kms:*"), A_USER), POLICY_DELEGATES, 0,
           "g");
    expect(result_of(ST("g", "Allow", "{'AWS':'" OTHER "'}", "kms:*"), A_USER), POLICY_NOTHING,
           POLICY_NO_STATEMENT, "");
}

/* An identity policy has no principal: it speaks of whoever it is attached to. */
static void attached_documents(void **state)
{
    CLEANUP(policy_freep) struct policy *p = must_compile(
        POLICY_IDENTITY, S("'Effect':'Allow','Action':'kms:Enc*','Resource':'*'"));

    (void)state;
    assert_int_equal(ask(p, &callers[A_USER], "kms:Encrypt", KEY), POLICY_ALLOWS);
    assert_int_equal(ask(p, &callers[A_USER], "kms:Decrypt", KEY), POLICY_NOTHING);
    CLEANUP(policy_freep) struct policy *trust = must_compile(
        POLICY_TRUST, S("'Effect':'Allow','Principal':{'AWS':'" ME "'},'Action':'sts:AssumeRole'"));
    assert_int_equal(ask(trust, &callers[ROOT], "sts:AssumeRole", KEY), POLICY_ALLOWS);
    assert_int_equal(ask(trust, &callers[OTHER_ROOT], "sts:AssumeRole", KEY), POLICY_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_checked),
        cmocka_unit_test(principals_are_covered),
        cmocka_unit_test(bound_principals),
        cmocka_unit_test(web_identities),
        cmocka_unit_test(unique_ids_end),
        cmocka_unit_test(freed_policies_are_gone),
        cmocka_unit_test(long_actions),
        cmocka_unit_test(directly),
        cmocka_unit_test(principals_are_asked_about),
        cmocka_unit_test(targets_are_matched),
        cmocka_unit_test(weightiest_decides),
        cmocka_unit_test(attached_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
