/* Unit tests of authz/: conditions. Every row names the section of the references that it comes
 * from; "I" marks what follows from the recorded rows without being one of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "authz/policy_internal.h"
#include "base/buf.h"
#include "base/cleanup.h"

/* A request's values: "name=value" pairs with '|' between them. */
struct values {
    const char *pairs;
};

static bool next_pair(struct bytes *rest, struct bytes *ret)
{
    if (rest->ptr == NULL)
        return false;
    if (!bytes_cut(rest, '|', ret)) {
        *ret = *rest;
        rest->ptr = NULL;
    }
    return true;
}

static enum condition_answer value_of(void *ctx, const struct condition_key *key, size_t i,
                                      char room[CONDITION_ROOM], struct bytes *ret)
{
    const struct values *v = ctx;
    struct bytes         rest = bytes_str(v->pairs);
    struct bytes         pair;
    size_t               seen = 0;

    (void)room;
    while (next_pair(&rest, &pair)) {
        struct bytes name;
        if (!bytes_cut(&pair, '=', &name))
            continue;
        struct condition_key has = condition_key_find(name);
        if (has.id == key->id && bytes_eq(has.name, key->name) && seen++ == i) {
            *ret = pair;
            return CONDITION_VALUE;
        }
    }
    return CONDITION_ABSENT;
}

struct row {
    const char *section;
    const char *condition; /* JSON, with ' for " */
    const char *values;
    bool        holds;
};

#define KEYS  "kms:EncryptionContextKeys" /* of several values */
#define ALL   "{'ForAllValues:StringEquals':{'" KEYS "':'v'}}"
#define ANY   "{'ForAnyValue:StringEquals':{'" KEYS "':'v'}}"
#define NALL  "{'ForAllValues:StringNotEquals':{'" KEYS "':'v'}}"
#define NANY  "{'ForAnyValue:StringNotEquals':{'" KEYS "':'v'}}"
#define ONE(OP, VALUE)  "{'" OP "':{'aws:userid':" VALUE "}}"
#define DAYS  "kms:RotationPeriodInDays"
#define TIME  "aws:CurrentTime"
#define NUM(OP, VALUE)  "{'" OP "':{'" DAYS "':" VALUE "}}"
#define DATE(OP, VALUE) "{'" OP "':{'" TIME "':" VALUE "}}"
#define IP(OP, VALUE)   "{'" OP "':{'aws:SourceIp':" VALUE "}}"
#define ARN(OP, VALUE)  "{'" OP "':{'aws:PrincipalArn':" VALUE "}}"
#define CTX(NAME)       "kms:EncryptionContext:" NAME

// clang-format off
static const struct row rows[] = {
    /* plain operators never hold for a key of several values that is there */
    { "5.2", "{'StringEquals':{'" KEYS "':'v'}}",            KEYS "=v", false },
    { "5.2", "{'StringNotEquals':{'" KEYS "':'w'}}",         KEYS "=v", false },
    { "5.2", "{'StringEqualsIfExists':{'" KEYS "':'v'}}",    KEYS "=v", false },
    { "5.2", "{'StringNotEqualsIfExists':{'" KEYS "':'w'}}", KEYS "=v", false },
    { "5.2", "{'StringLike':{'" KEYS "':'*'}}",              KEYS "=v", false },
    { "5.2", "{'StringNotLike':{'" KEYS "':'w'}}",           KEYS "=v|" KEYS "=x", false },
    { "5.2 I", "{'StringNotEquals':{'" KEYS "':'w'}}",       "", true },
    /* absent keys */
    { "5.2", ONE("StringEquals", "'v'"),            "", false },
    { "5.2", ONE("StringNotEquals", "'v'"),         "", true },
    { "5.2", ONE("StringEqualsIfExists", "'v'"),    "", true },
    { "5.2", ONE("StringNotEqualsIfExists", "'v'"), "", true },
    { "5.2", ONE("StringEquals", "'v'"),            "aws:userid=v", true },
    { "5.2", ONE("StringEquals", "'v'"),            "aws:userid=w", false },
    { "5.2", ONE("StringEqualsIfExists", "'v'"),    "aws:userid=w", false },
    { "5.2", ONE("StringNotEqualsIfExists", "'v'"), "aws:userid=v", false },
    { "5.2", ONE("StringEquals", "''"),             "aws:userid=", true },
    { "5.2 I", ONE("StringEquals", "['u','v','w']"), "aws:userid=v", true },
    { "5.2 I", ONE("StringNotEquals", "['u','v']"), "aws:userid=v", false },
    { "5.2 I", ONE("StringNotEquals", "['u','v']"), "aws:userid=w", true },
    /* sets */
    { "5.2", ANY, "", false },          { "5.2", ANY, KEYS "=v", true },
    { "5.2", ANY, KEYS "=w", false },   { "5.2", ANY, KEYS "=v|" KEYS "=w", true },
    { "5.2 I", ANY, KEYS "=w|" KEYS "=x|" KEYS "=v", true },
    { "5.2", ALL, "", true },           { "5.2", ALL, KEYS "=v", true },
    { "5.2", ALL, KEYS "=w", false },   { "5.2", ALL, KEYS "=v|" KEYS "=w", false },
    { "5.2", NANY, "", false },         { "5.2", NANY, KEYS "=v", false },
    { "5.2", NANY, KEYS "=w", true },   { "5.2", NANY, KEYS "=v|" KEYS "=w", true },
    { "5.2", NALL, "", true },          { "5.2", NALL, KEYS "=v", false },
    { "5.2", NALL, KEYS "=w", true },   { "5.2", NALL, KEYS "=v|" KEYS "=w", false },
    { "5.2", ONE("ForAllValues:StringEquals", "'v'"), "", true },
    { "5.2 I", ONE("ForAnyValue:StringEquals", "'v'"), "", false },
    { "5.2 I", ONE("ForAnyValue:StringEqualsIfExists", "'v'"), "", true },
    { "5.2 I", ONE("ForAnyValue:StringEquals", "'v'"), "aws:userid=v", true },
    { "5.2 I", "{'ForAllValues:StringLike':{'" KEYS "':['a*','b?']}}", KEYS "=ab|" KEYS "=bc", true },
    { "5.2 I", "{'ForAllValues:StringLike':{'" KEYS "':['a*','b?']}}", KEYS "=ab|" KEYS "=b", false },
    /* Null */
    { "5.2", ONE("Null", "'true'"),  "aws:userid=", false },
    { "5.2", ONE("Null", "'false'"), "aws:userid=", true },
    { "5.2", ONE("Null", "true"),    "", true },
    { "5.2", ONE("Null", "false"),   "", false },
    { "5.2", "{'Null':{'" KEYS "':'false'}}", KEYS "=v", true },
    { "12",  "{'Null':{'kms:NoSuchKey':'true'}}", "", true },
    { "12",  "{'StringEquals':{'kms:NoSuchKey':'v'}}", "", false },
    { "12",  "{'Null':{'kms:EncryptionContext:':'true'}}", "", true },
    /* StringLike */
    { "5.2", ONE("StringLike", "'a*z'"),       "aws:userid=a/b/z", true },
    { "5.2", ONE("StringLike", "'a?z'"),       "aws:userid=a:z", true },
    { "5.2", ONE("StringLike", "'[b]'"),       "aws:userid=[b]", true },
    { "5.2", ONE("StringLike", "'[b]'"),       "aws:userid=b", false },
    { "5.2", ONE("StringLike", "'?\?'"),        "aws:userid=\xF0\x90\x90\x80", true },
    { "5.2", ONE("StringLike", "'?'"),         "aws:userid=\xF0\x90\x90\x80", false },
    { "5.2", ONE("StringLike", "'??\?'"),       "aws:userid=\xF0\x90\x90\x80", false },
    { "5.2 I", ONE("StringLike", "'?'"),       "aws:userid=\xC3\xA9", true },
    { "5.2 I", ONE("StringLike", "'*?'"),      "aws:userid=\xC3\xA9", true },
    { "5.2 I", ONE("StringLike", "'*?\?'"),     "aws:userid=\xC3\xA9", false },
    { "5.2 I", ONE("StringLike", "'?*?'"),     "aws:userid=\xF0\x90\x90\x80", true },
    { "5.2 I", ONE("StringLike", "'?*?\?'"),    "aws:userid=\xF0\x90\x90\x80", false },
    { "5.2 I", ONE("StringLike", "'x?y'"),     "aws:userid=x\xE2\x82\xACy", true },
    { "5.2 I", ONE("StringLike", "'*?y*'"),    "aws:userid=x\xE2\x82\xACyz", true },
    { "5.2 I", ONE("StringLike", "'?*'"),      "aws:userid=\xC3", false }, /* no UTF-8 */
    { "5.2 I", ONE("StringLike", "'*'"),       "aws:userid=", true },
    { "5.2 I", ONE("StringLike", "'?*'"),      "aws:userid=", false },
    { "5.2 I", ONE("StringLike", "'a*'"),      "aws:userid=a", true },
    { "5.2 I", ONE("StringLike", "'a*'"),      "aws:userid=ba", false },
    { "5.2 I", ONE("StringLike", "'*a'"),      "aws:userid=aba", true },
    { "5.2 I", ONE("StringLike", "'a*a'"),     "aws:userid=a", false },
    { "5.2 I", ONE("StringLike", "'ab*ba'"),   "aws:userid=aba", false },
    { "5.2 I", ONE("StringLike", "'ab*ba'"),   "aws:userid=abba", true },
    { "5.2 I", ONE("StringLike", "'*ab*cd*'"), "aws:userid=xxabyycdzz", true },
    { "5.2 I", ONE("StringLike", "'*ab*cd*'"), "aws:userid=xxcdyyabzz", false },
    { "5.2 I", ONE("StringLike", "'*a?c*e'"),  "aws:userid=aaabcde", true },
    { "5.2 I", ONE("StringLike", "'a**b'"),    "aws:userid=ab", true },
    { "5.2 I", ONE("StringLike", "'A*'"),      "aws:userid=abc", false },
    { "5.2 I", ONE("StringEquals", "'a*'"),    "aws:userid=abc", false },
    { "5.2 I", ONE("StringEquals", "'a*'"),    "aws:userid=a*", true },
    { "5.2 I", ONE("StringNotLike", "'a*'"),   "aws:userid=abc", false },
    { "5.2 I", ONE("StringNotLike", "'a*'"),   "aws:userid=bc", true },
    { "5.2 I", ONE("StringNotLike", "'a*'"),   "", true },
    /* case */
    { "5.2", ONE("StringEqualsIgnoreCase", "'PrOd'"),    "aws:userid=prod", true },
    { "5.2", ONE("StringEqualsIgnoreCase", "'i'"),       "aws:userid=\xC4\xB1", false },
    { "5.2", ONE("StringEqualsIgnoreCase", "'i'"),       "aws:userid=\xC4\xB0", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC3\x89'"), "aws:userid=\xC3\xA9", true },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC3\x97'"), "aws:userid=\xC3\xB7", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'pro'"),   "aws:userid=prod", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'prod'"),  "aws:userid=brod", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'azAZ'"),  "aws:userid=AZaz", true },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'@[`{'"),  "aws:userid=`{@[", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC3\x80'"), "aws:userid=\xC3\xA0", true },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC3\x9E'"), "aws:userid=\xC3\xBE", true },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC3\x9F'"), "aws:userid=\xC3\xBF", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'\xC4\x80'"), "aws:userid=\xC4\xA0", false },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'${aws:PrincipalType}'"), "aws:userid=", false },
    { "5.2 I", ONE("StringNotEqualsIgnoreCase", "'PROD'"), "aws:userid=prod", false },
    { "5.2 I", ONE("StringNotEqualsIgnoreCase", "'PROD'"), "aws:userid=test", true },
    { "5.2 I", ONE("StringEquals", "'PrOd'"),            "aws:userid=prod", false },
    { "12 I", "{'StringEquals':{'AWS:UserID':'v'}}",     "aws:userid=v", true },
    /* numbers */
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=1", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=01", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=2", false },
    { "5.2", NUM("NumericEquals", "[1,2]"), DAYS "=2", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=0", false },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=2", true },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=1.0", false },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=+1", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=1.0", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=1e0", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=", false },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=no-number", false },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=no-number", true },
    { "5.2", NUM("NumericEquals", "'1'"), DAYS "=NaN", false },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=NaN", true },
    { "5.2", NUM("NumericNotEquals", "'1'"), DAYS "=Infinity", true },
    { "5.2 I", NUM("NumericLessThan", "'1'"), DAYS "=NaN", false },
    { "5.2 I", NUM("NumericGreaterThan", "'1'"), DAYS "=Infinity", false },
    { "5.2 I", NUM("NumericEquals", "'16'"), DAYS "=0x10", false },
    { "5.1.3", NUM("NumericGreaterThan", "100"), DAYS "=90", false },
    { "5.1.4", NUM("NumericGreaterThan", "100"), DAYS "=180", true },
    { "5.1 I", NUM("NumericGreaterThan", "100"), DAYS "=100", false },
    { "5.1 I", NUM("NumericGreaterThanEquals", "100"), DAYS "=100", true },
    { "5.1 I", NUM("NumericLessThan", "100"), DAYS "=100", false },
    { "5.1 I", NUM("NumericLessThan", "100.5"), DAYS "=100", true },
    { "5.1 I", NUM("NumericLessThanEquals", "100"), DAYS "=100", true },
    { "5.1 I", NUM("NumericLessThanEquals", "100"), DAYS "=101", false },
    { "5.1 I", NUM("NumericLessThan", "[10,20]"), DAYS "=15", true },
    { "5.1.2", "{'Null':{'" DAYS "':'true'}}", DAYS "=365", false },
    { "5.1 I", NUM("NumericGreaterThan", "100"), "", false },
    { "5.1 I", NUM("NumericGreaterThanIfExists", "100"), "", true },
    { "5.1 I", NUM("NumericNotEquals", "100"), "", true },
    /* dates */
    { "5.2", DATE("DateEquals", "'2030-01-01T00:00:00Z'"), TIME "=2030-01-01", true },
    { "5.2", DATE("DateEquals", "'2030-01-01T00:00:00Z'"), TIME "=1893456000", true },
    { "5.2", DATE("DateEquals", "'2030-01-01T00:00:00Z'"), TIME "=not-a-date", false },
    { "5.2", DATE("DateNotEquals", "'2030-01-01T00:00:00Z'"), TIME "=not-a-date", true },
    { "5.2", DATE("DateEquals", "'2030-01-01T00:00:00Z'"), TIME "=", false },
    { "5.2", DATE("DateNotEquals", "'2030-01-01T00:00:00Z'"), TIME "=", true },
    { "5.2 I", DATE("DateLessThan", "'2030-01-01'"), TIME "=2029-12-31T23:59:59Z", true },
    { "5.2 I", DATE("DateLessThan", "'2030-01-01'"), TIME "=2030-01-01T00:00:00Z", false },
    { "5.2 I", DATE("DateLessThanEquals", "1893456000"), TIME "=2030-01-01T00:00:00Z", true },
    { "5.2 I", DATE("DateGreaterThan", "'2024-02-29'"), TIME "=2024-03-01", true },
    { "5.2 I", DATE("DateGreaterThanEquals", "'2024-03-01T01:00:00+01:00'"), TIME "=2024-03-01", true },
    { "5.2 I", DATE("DateGreaterThan", "'2024-03-01T00:00:00-01:00'"), TIME "=2024-03-01T00:30:00Z", false },
    { "5.2 I", DATE("DateEquals", "'1970-01-01T00:00:00.250Z'"), TIME "=0.25", true },
    { "5.2 I", DATE("DateEquals", "'2000-03-01'"), TIME "=951868800", true },
    { "5.2 I", DATE("DateEquals", "'2026-11'"), TIME "=2026-11-01", true },
    { "5.2 I", DATE("DateNotEquals", "'2023-03-01'"), TIME "=2023-02-29", true },
    /* truth */
    { "5.2", ONE("Bool", "'true'"), "aws:userid=true", true },
    { "5.2", ONE("Bool", "'true'"), "aws:userid=True", true },
    { "5.2", ONE("Bool", "'true'"), "aws:userid=TRUE", true },
    { "5.2", ONE("Bool", "'false'"), "aws:userid=false", true },
    { "5.2", ONE("Bool", "'false'"), "aws:userid=yes", true },
    { "5.2", ONE("Bool", "'false'"), "aws:userid=1", true },
    { "5.2", ONE("Bool", "'false'"), "aws:userid=", true },
    { "5.2", ONE("Bool", "'false'"), "aws:userid= true ", true },
    { "5.2 I", ONE("Bool", "'true'"), "aws:userid=yes", false },
    { "5.2 I", ONE("Bool", "'false'"), "", false },
    { "5.2 I", ONE("BoolIfExists", "'false'"), "", true },
    { "5.1.6", "{'Bool':{'aws:ViaAWSService':'false'}}", "aws:ViaAWSService=false", true },
    { "5.1.6", "{'Bool':{'aws:PrincipalIsAWSService':'false'}}", "aws:PrincipalIsAWSService=false", true },
    { "5.1.6", "{'StringNotEqualsIfExists':{'aws:CalledViaLast':'sqs.amazonaws.com'}}", "", true },
    /* binary */
    { "5.2", ONE("BinaryEquals", "'YQ=='"), "aws:userid=YQ==", true },
    { "5.2", ONE("BinaryEquals", "'YQ=='"), "aws:userid=YQ", false },
    { "5.2", ONE("BinaryEquals", "'YQ=='"), "aws:userid=YR==", false },
    { "5.2", ONE("BinaryEquals", "'YQ=='"), "aws:userid= YQ==", false },
    /* addresses */
    { "5.2", IP("IpAddress", "'192.0.2.0/24'"), "aws:SourceIp=192.0.2.77", true },
    { "5.2", IP("IpAddress", "'192.0.2.0/24'"), "aws:SourceIp=192.0.3.1", false },
    { "5.2", IP("NotIpAddress", "'192.0.2.0/24'"), "aws:SourceIp=192.0.3.1", true },
    { "5.2", IP("IpAddress", "'192.0.2.0/24'"), "aws:SourceIp=not-an-ip", false },
    { "5.2", IP("NotIpAddress", "'192.0.2.0/24'"), "aws:SourceIp=not-an-ip", false },
    { "5.2", IP("IpAddress", "'192.0.2.0/24'"), "aws:SourceIp=", false },
    { "5.2", IP("NotIpAddress", "'192.0.2.0/24'"), "aws:SourceIp=", false },
    { "5.2", IP("IpAddress", "'192.0.2.0/24'"), "aws:SourceIp=192.0.2.1/32", false },
    { "5.2", IP("NotIpAddress", "'192.0.2.0/24'"), "aws:SourceIp=192.0.2.1/32", false },
    { "5.2", IP("IpAddress", "'192.0.2.1'"), "aws:SourceIp=192.000.2.1", true },
    { "5.2", IP("IpAddress", "'192.0.2.5/24'"), "aws:SourceIp=192.0.2.9", true },
    { "5.2", IP("IpAddress", "'0.0.0.0/0'"), "aws:SourceIp=2001:db8::1", false },
    { "5.2", IP("NotIpAddress", "'0.0.0.0/0'"), "aws:SourceIp=2001:db8::1", true },
    { "5.2 I", IP("IpAddress", "'0.0.0.0/0'"), "aws:SourceIp=203.0.113.9", true },
    { "5.2 I", IP("IpAddress", "'2001:db8::/33'"), "aws:SourceIp=2001:db8:7fff::1", true },
    { "5.2 I", IP("IpAddress", "'2001:db8::/33'"), "aws:SourceIp=2001:db8:8000::1", false },
    { "5.2 I", IP("IpAddress", "['10.0.0.0/8','192.0.2.0/24']"), "aws:SourceIp=192.0.2.1", true },
    { "5.2 I", IP("NotIpAddress", "['10.0.0.0/8','192.0.2.0/24']"), "aws:SourceIp=192.0.2.1", false },
    { "5.2 I", IP("NotIpAddress", "'192.0.2.0/24'"), "", true },
    /* ARNs */
    { "5.2", ARN("ArnLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=arn:aws:iam::111111111111:user/a/b", true },
    { "5.2", ARN("ArnLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=not-an-arn", false },
    { "5.2", ARN("ArnNotLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=not-an-arn", false },
    { "5.2", ARN("ArnLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=", false },
    { "5.2", ARN("ArnNotLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=xrn:aws:iam::1:role/r", false },
    { "5.2", ARN("ArnNotLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=arn:aws:iam::1", false },
    { "5.2", ARN("ArnNotLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=", false },
    { "5.2 I", ARN("ArnNotLike", "'arn:aws:iam::*:user/*'"), "aws:PrincipalArn=arn:aws:iam::1:role/r", true },
    { "5.2 I", ARN("ArnEquals", "'arn:aws:iam::1:role/*'"), "aws:PrincipalArn=arn:aws:iam::1:role/r", true },
    { "5.2 I", ARN("ArnEquals", "'arn:*:iam::1:role/r'"), "aws:PrincipalArn=arn:a:iam::1:role/r", true },
    { "5.2 I", ARN("ArnLike", "'arn:aws:i*:1:role/r:x'"), "aws:PrincipalArn=arn:aws:iam::1:role/r:x", false },
    { "5.2 I", ARN("ArnLike", "'arn:aws:sns:?:1:t:*'"), "aws:PrincipalArn=arn:aws:sns:x:1:t:u:v", true },
    { "5.2 I", ARN("ArnLike", "'*'"), "aws:PrincipalArn=arn:aws:iam::1:root", true },
    { "5.2 I", ARN("ArnLike", "'*'"), "aws:PrincipalArn=root", false },
    { "5.2 I", ARN("ArnNotEquals", "'arn:aws:iam::1:role/r'"), "aws:PrincipalArn=arn:aws:iam::1:role/r", false },
    { "5.2 I", ARN("ArnNotEquals", "'arn:aws:iam::1:role/r'"), "", true },
    /* encryption context */
    { "5.1.7", "{'StringNotEquals':{'" CTX("aws:sns:topicArn") "':'t'}}", CTX("aws:sns:topicArn") "=t", false },
    { "5.1.7", "{'StringNotEquals':{'" CTX("aws:sns:topicArn") "':'t'}}", CTX("aws:sns:topicArn") "=u", true },
    { "5.1 rule 4", "{'StringEquals':{'" CTX("a:b") "':'v'}}", CTX("a:b") "=v", true },
    { "5.1 rule 4", "{'StringEquals':{'" CTX("a:b") "':'v'}}", CTX("a") "=v", false },
    /* policy variables */
    { "5.2", ONE("StringEquals", "'${aws:TagKeys}'"), "aws:userid=v|aws:TagKeys=v", false },
    { "5.2", ONE("StringNotEquals", "'${aws:TagKeys}'"), "aws:userid=v|aws:TagKeys=v", true },
    { "5.2", ONE("StringEquals", "'${aws:TagKeys, \\'v\\'}'"), "aws:userid=v", false },
    { "5.2", ONE("StringNotEquals", "'${aws:TagKeys, \\'v\\'}'"), "aws:userid=v", true },
    { "5.2 I", ONE("StringEquals", "'${aws:PrincipalAccount}'"), "aws:userid=1|aws:PrincipalAccount=1", true },
    { "5.2 I", ONE("StringEquals", "'x${aws:PrincipalAccount}y'"), "aws:userid=x1y|aws:PrincipalAccount=1", true },
    { "5.2 I", ONE("StringEquals", "'${aws:PrincipalAccount}'"), "aws:userid=2|aws:PrincipalAccount=1", false },
    { "5.2 I", ONE("StringEquals", "'${aws:PrincipalAccount}'"), "aws:userid=${aws:PrincipalAccount}", false },
    { "5.2 I", ONE("StringEquals", "'${aws:PrincipalAccount, \\'d\\'}'"), "aws:userid=d", true },
    { "5.2 I", ONE("StringEquals", "'${aws:PrincipalAccount, \\'d\\'}'"), "aws:userid=d|aws:PrincipalAccount=1", false },
    { "5.2 I", ONE("StringLike", "'${aws:PrincipalAccount}*'"), "aws:userid=1x|aws:PrincipalAccount=1", true },
    { "5.2 I", ONE("StringLike", "'a${aws:PrincipalAccount}'"), "aws:userid=abc|aws:PrincipalAccount=*", false },
    { "5.2 I", ONE("StringLike", "'a${aws:PrincipalAccount}'"), "aws:userid=a*|aws:PrincipalAccount=*", true },
    { "5.2 I", ONE("StringLike", "'a${*}'"), "aws:userid=abc", false },
    { "5.2 I", ONE("StringLike", "'a${*}${?}${$}'"), "aws:userid=a*?$", true },
    { "5.2 I", ONE("StringEqualsIgnoreCase", "'${aws:PrincipalType}'"), "aws:userid=ACCOUNT|aws:PrincipalType=Account", true },
    { "5.2 I", ONE("StringEquals", "'${aws:UserAgent}'"), "aws:userid=x|aws:UserAgent=\xFF", false },
    { "5.2 I", ONE("StringEquals", "'${aws:UserAgent}'"), "aws:userid=\xFE|aws:UserAgent=\xFE", false },
    { "5.2 I", ONE("StringEquals", "'${aws:UserAgent}'"), "aws:userid=\xFD|aws:UserAgent=\xFD", false },
    { "5.2 I", ONE("StringEquals", "'${aws:UserAgent}'"), "aws:userid=\xFC|aws:UserAgent=\xFC", true },
    /* several conditions, several keys: all of them */
    { "I", "{'StringEquals':{'aws:userid':'a','aws:UserAgent':'b'}}", "aws:userid=a|aws:UserAgent=b", true },
    { "I", "{'StringEquals':{'aws:userid':'a','aws:UserAgent':'b'}}", "aws:userid=a|aws:UserAgent=c", false },
    { "I", "{'StringEquals':{'aws:userid':'a'},'Bool':{'aws:SecureTransport':true}}", "aws:userid=a|aws:SecureTransport=false", false },
    { "I", "{}", "", true },
};
// clang-format on

/* ' for ", and \' for '. */
static void add_quoted(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] == '\'')
            buf_add_byte(out, (uint8_t)*++text);
        else
            buf_add_byte(out, *text == '\'' ? '"' : (uint8_t)*text);
    }
}

static struct policy *compile(const char *version, const char *effect, const char *condition)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    struct kms_error                err;
    struct policy                  *p = NULL;

    buf_addf(&text,
             "{\"Version\":\"%s\",\"Statement\":{\"Effect\":\"%s\",\"Principal\":\"*\","
             "\"Action\":\"kms:*\",\"Resource\":\"*\",\"Condition\":",
             version, effect);
    add_quoted(&text, condition);
    buf_add_str(&text, "}}");
    kms_error_clear(&err);
    if (policy_compile(POLICY_KEY, buf_bytes(&text), (struct bytes){ NULL, 0 }, &p, &err) != KMS_OK)
        fail_msg("%.*s: %s %s", BYTES_FMT(buf_bytes(&text)), err.message, err.detail);
    return p;
}

static enum policy_verdict verdict(const struct policy *p, const char *values)
{
    struct values         v = { values };
    struct policy_request rq = { .caller = { .kind = CALLER_USER,
                                             .account = BYTES_LIT("111111111111"),
                                             .arn = BYTES_LIT("arn:aws:iam::111111111111:user/u") },
                                 .action = BYTES_LIT("kms:Encrypt"),
                                 .resource = BYTES_LIT("arn:aws:kms:us-east-1:1:key/k"),
                                 .values = value_of,
                                 .ctx = &v };

    return policy_evaluate(p, &rq).verdict;
}

/* Every row in an allow and in a deny form, as they were recorded. */
static void recorded_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row                    *r = &rows[i];
        CLEANUP(policy_freep) struct policy *allow = compile("2012-10-17", "Allow", r->condition);
        CLEANUP(policy_freep) struct policy *deny = compile("2012-10-17", "Deny", r->condition);
        enum policy_verdict                  a = verdict(allow, r->values);
        enum policy_verdict                  d = verdict(deny, r->values);
        if (a != (r->holds ? POLICY_ALLOWS : POLICY_NOTHING) ||
            d != (r->holds ? POLICY_DENIES : POLICY_NOTHING))
            fail_msg("row %zu (%s): %s with %s: allow form %d, deny form %d", i, r->section,
                     r->condition, r->values, (int)a, (int)d);
    }
}

/* Version 2008-10-17 knows no variables: the text is itself. */
static void old_version(void **state)
{
    CLEANUP(policy_freep) struct policy *p = compile(
        "2008-10-17", "Allow", ONE("StringEquals", "'${aws:PrincipalAccount}'"));

    (void)state;
    assert_int_equal(verdict(p, "aws:userid=1|aws:PrincipalAccount=1"), POLICY_NOTHING);
    assert_int_equal(verdict(p, "aws:userid=${aws:PrincipalAccount}"), POLICY_ALLOWS);
}

static enum condition_answer unsure(void *ctx, const struct condition_key *key, size_t i,
                                    char room[CONDITION_ROOM], struct bytes *ret)
{
    (void)ctx;
    (void)key;
    (void)i;
    (void)room;
    (void)ret;
    return CONDITION_UNSURE;
}

/* A request that has two answers is denied, whatever the statements would say of them. */
static void unsure_is_no(void **state)
{
    static const char *const conditions[] = {
        ONE("StringEquals", "'v'"),
        ONE("StringNotEquals", "'v'"),
        ONE("StringEqualsIfExists", "'v'"),
        ONE("Null", "'true'"),
        ONE("ForAllValues:StringEquals", "'v'"),
    };
    struct policy_request rq = { .caller = { .kind = CALLER_USER },
                                 .action = BYTES_LIT("kms:Encrypt"),
                                 .values = unsure };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        CLEANUP(policy_freep) struct policy *p = compile("2012-10-17", "Allow", conditions[i]);
        struct policy_result                 r = policy_evaluate(p, &rq);
        assert_int_equal(r.verdict, POLICY_DENIES);
        assert_true(r.unsure);
        assert_int_equal(r.statement, POLICY_NO_STATEMENT);
    }
}

#undef ONE /* which the rows above use in another sense */

/* Every key is found under its name in any case, with a name of the client's where it has one, and
 * under no other; what ends like a claim of a token and is no other key is one. */
enum key_values { VALUES_ONE, VALUES_MANY, VALUES_NAMED };

static void names_of_keys(void **state)
{
    static const struct {
        const char     *name;
        enum key_values values;
    } keys[] = {
#define KEY_ROW(id, name, values) { name, VALUES_##values },
        CONDITION_KEYS(KEY_ROW)
#undef KEY_ROW
    };
    static const struct {
        const char           *name;
        enum condition_key_id id;
    } others[] = {
        { "id.example/pool:sub", ASK_TOKEN_CLAIM },
        { "id.example:AUD", ASK_TOKEN_CLAIM },
        { "id.example:AZP", ASK_TOKEN_CLAIM },
        { "i:sub", ASK_TOKEN_CLAIM },
        { "xws:userid", ASK_UNKNOWN },
        { "aws:useri", ASK_UNKNOWN },
        { "id.example:amr", ASK_TOKEN_CLAIM },
        { "id.example:azp", ASK_TOKEN_CLAIM },
        { "id.example:email", ASK_TOKEN_CLAIM },
        { "id.example:sub:x", ASK_UNKNOWN },
        { ":sub", ASK_UNKNOWN },
        { "sub", ASK_UNKNOWN },
        { "", ASK_UNKNOWN },
        { "kms:EncryptionContext:sub", ASK_ENCRYPTION_CONTEXT },
        { "kms:RecipientAttestation:PCR8", ASK_ENCLAVE_PCR },
        { "kms:RecipientAttestation:NitroTPMPCR8", ASK_TPM_PCR },
        { "aws:ResourceTag/", ASK_UNKNOWN },
        { "aws:userid2", ASK_UNKNOWN },
    };
    char name[128];

    (void)state;
    for (size_t i = 0; i < ASK_TOKEN_CLAIM; i++) {
        bool named = keys[i].values == VALUES_NAMED;
        (void)snprintf(name, sizeof name, "%s%s", keys[i].name, named ? "Own" : "");
        for (char *c = name; *c != '\0' && !named; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        struct condition_key found = condition_key_find(bytes_str(name));
        assert_int_equal(found.id, i);
        assert_true(condition_key_many(found.id) == (keys[i].values == VALUES_MANY));
        assert_true(bytes_eq_str(found.name, named ? "Own" : ""));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (condition_key_find(bytes_str(others[i].name)).id != others[i].id)
            fail_msg("'%s'", others[i].name);
    }
    struct bytes claim = BYTES_LIT("id.example/pool:sub");
    assert_true(bytes_eq(condition_key_find(claim).name, claim));
    assert_true(bytes_eq_str(condition_key_find(BYTES_LIT("own:key")).name, "own:key"));
    assert_true(bytes_eq_str(condition_key_prefix(ASK_USER_ID), "aws:userid"));
    assert_int_equal(condition_key_prefix(ASK_UNKNOWN).len, 0);
    assert_false(condition_key_many(ASK_UNKNOWN));
    assert_int_equal(condition_key_find(bytes_of("aws:userid", 9)).id, ASK_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_keys),
        cmocka_unit_test(recorded_rows),
        cmocka_unit_test(old_version),
        cmocka_unit_test(unsure_is_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
