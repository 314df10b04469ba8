/* Unit tests of authz/: the whole decision, with identity policies, sessions, boundaries and grants.
 * Rows and rules are those of recorded-authz-multiregion; the text of every refusal is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "key/rights.h"

#define MINE   "111111111111"
#define THEIRS "222222222222"
#define THIRD  "333333333333"
#define KEY_ARN "arn:aws:kms:us-east-1:" MINE ":key/k"
#define ROOT(ACCOUNT) "arn:aws:iam::" ACCOUNT ":root"
#define ROLE(ACCOUNT) "arn:aws:iam::" ACCOUNT ":role/team/r"
#define S(ACCOUNT) "arn:aws:sts::" ACCOUNT ":assumed-role/r/target"
#define USER(ACCOUNT) "arn:aws:iam::" ACCOUNT ":user/u"
#define FEDERATED "arn:aws:sts::" MINE ":federated-user/f"

/* --- documents -------------------------------------------------------------------------------- */

#define DOC(STATEMENTS) "{\"Version\":\"2012-10-17\",\"Statement\":[" STATEMENTS "]}"
#define GIVE(ACTION) "{\"Effect\":\"Allow\",\"Action\":\"" ACTION "\",\"Resource\":\"*\"}"
#define TAKE_AWAY(ACTION) "{\"Effect\":\"Deny\",\"Action\":\"" ACTION "\",\"Resource\":\"*\"}"
#define FOR(EFFECT, PRINCIPAL, ACTION)                                                             \
    "{\"Effect\":\"" EFFECT "\",\"Principal\":{\"AWS\":\"" PRINCIPAL "\"},\"Action\":\"" ACTION    \
    "\",\"Resource\":\"*\"}"

#define ADMIN   DOC(GIVE("*"))
#define ON_KEY                                                                                     \
    DOC("{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"" KEY_ARN "\"}")
#define LIMITED DOC(GIVE("s3:ListAllMyBuckets"))
#define DENIED  DOC(GIVE("*") "," TAKE_AWAY("kms:*"))
#define OWNER   DOC(FOR("Allow", ROOT(MINE), "kms:*"))
/* of 4.7 */
#define SHARED                                                                                     \
    DOC(FOR("Allow", ROOT(MINE), "kms:*") "," FOR("Allow", ROOT(THEIRS), "kms:CreateGrant"))
#define NAMING(PRINCIPAL) DOC(FOR("Allow", PRINCIPAL, "kms:*"))
#define UNREADABLE        "{"

/* --- callers ---------------------------------------------------------------------------------- */

#define TEXT(X) { (const uint8_t *)("" X), sizeof(X) - 1 }
#define NONE    { NULL, 0 }
#define ROLE_ID "AROAEXAMPLEEXAMPLE12"

static const struct policy_caller root = { CALLER_ROOT, TEXT(MINE), TEXT(ROOT(MINE)), NONE,
                                           TEXT(MINE) };
static const struct policy_caller their_root = { CALLER_ROOT, TEXT(THEIRS), TEXT(ROOT(THEIRS)),
                                                 NONE, TEXT(THEIRS) };
static const struct policy_caller user = { CALLER_USER, TEXT(MINE), TEXT(USER(MINE)), NONE,
                                           TEXT("AIDAEXAMPLEEXAMPLE12") };
static const struct policy_caller their_user = { CALLER_USER, TEXT(THEIRS), TEXT(USER(THEIRS)),
                                                 NONE, TEXT("AIDAOTHEROTHEROTHER1") };
static const struct policy_caller target = { CALLER_SESSION, TEXT(MINE), TEXT(S(MINE)),
                                             TEXT(ROLE(MINE)), TEXT(ROLE_ID ":target") };
static const struct policy_caller theirs = { CALLER_SESSION, TEXT(THEIRS), TEXT(S(THEIRS)),
                                             TEXT(ROLE(THEIRS)), TEXT(ROLE_ID ":target") };
static const struct policy_caller federated = { CALLER_FEDERATED, TEXT(MINE), TEXT(FEDERATED), NONE,
                                                TEXT(MINE ":f") };
static const struct policy_caller service = { CALLER_SERVICE, NONE, TEXT("sqs.amazonaws.com"), NONE,
                                              NONE };

/* --- grants ----------------------------------------------------------------------------------- */

#define BIT(OPERATION) (1u << (OPERATION))
#define ISSUED_BY(ACCOUNT, OPERATIONS)                                                             \
    { .issuing_account = TEXT(ACCOUNT), .operations = (OPERATIONS) }

static const struct grant_record g1 = ISSUED_BY(MINE, BIT(GRANT_DECRYPT) | BIT(GRANT_RETIRE_GRANT));
static const struct grant_record describe = ISSUED_BY(MINE, BIT(GRANT_DESCRIBE_KEY));
static const struct grant_record encrypt = ISSUED_BY(MINE, BIT(GRANT_ENCRYPT));
static const struct grant_record their_describe = ISSUED_BY(THEIRS, BIT(GRANT_DESCRIBE_KEY));
static const struct grant_record their_encrypt = ISSUED_BY(THEIRS, BIT(GRANT_ENCRYPT));
static const struct grant_record third_encrypt = ISSUED_BY(THIRD, BIT(GRANT_ENCRYPT));

/* RetireGrant: by whom the grant can be retired. */
#define RETIRING(ISSUER, RETIRING_ID)                                                              \
    { .issuing_account = TEXT(ISSUER), .operations = BIT(GRANT_DESCRIBE_KEY), .grantee = TEXT(MINE), \
      .retiring = TEXT(RETIRING_ID) }
#define GRANTEE(ISSUER, GRANTEE_ID, OPERATIONS)                                                    \
    { .issuing_account = TEXT(ISSUER), .operations = (OPERATIONS), .grantee = TEXT(GRANTEE_ID) }
static const struct grant_record by_session = RETIRING(MINE, ROLE_ID ":target");
static const struct grant_record by_role = RETIRING(MINE, ROLE_ID);
static const struct grant_record by_sibling = RETIRING(MINE, ROLE_ID ":sibling");
static const struct grant_record by_federated = RETIRING(MINE, MINE ":f");
static const struct grant_record by_account = RETIRING(MINE, THEIRS);
static const struct grant_record by_owner = RETIRING(THEIRS, MINE);
static const struct grant_record of_session = GRANTEE(MINE, ROLE_ID ":target",
                                                      BIT(GRANT_RETIRE_GRANT));
static const struct grant_record of_role = GRANTEE(MINE, ROLE_ID, BIT(GRANT_RETIRE_GRANT));
static const struct grant_record of_nobody = GRANTEE(MINE, "AIDANOBODYNOBODY1234",
                                                     BIT(GRANT_RETIRE_GRANT));
static const struct grant_record no_operation = GRANTEE(MINE, ROLE_ID ":target",
                                                        BIT(GRANT_DECRYPT));
static const struct grant_record their_session = RETIRING(THEIRS, ROLE_ID ":target");
static const struct grant_record their_nobody = GRANTEE(THEIRS, "AIDANOBODYNOBODY1234",
                                                        BIT(GRANT_DECRYPT));
static const struct grant_record of_service = { .issuing_account = TEXT(MINE),
                                                .retiring = TEXT("sqs.amazonaws.com"),
                                                .retiring_is_service = true };
static const struct grant_record by_nobody = { .operations = BIT(GRANT_DESCRIBE_KEY) };
static const struct grant_record of_prefix = RETIRING(MINE, "AROAEXAMPLE");

/* --- rows ------------------------------------------------------------------------------------- */

#define CANNOT(CALLER, OPERATION, ON) "User: " CALLER " is not authorized to perform: kms:" OPERATION ON
#define HERE   " on resource: " KEY_ARN
#define ACROSS " on this resource"
#define NO_IDENTITY(OPERATION) " because no identity-based policy allows the kms:" OPERATION " action"
#define NO_RESOURCE(OPERATION) " because no resource-based policy allows the kms:" OPERATION " action"
#define NO_SESSION(OPERATION)  " because no session policy allows the kms:" OPERATION " action"
#define NO_BOUNDARY(OPERATION)                                                                     \
    " because no permissions boundary allows the kms:" OPERATION " action"
#define IDENTITY_DENIES " with an explicit deny in an identity-based policy"
#define RESOURCE_DENIES " with an explicit deny in a resource-based policy"
#define SESSION_DENIES  " with an explicit deny in a session policy"
#define BOUNDARY_DENIES " with an explicit deny in a permissions boundary"

struct row {
    const char                 *row;
    const struct policy_caller *caller;
    enum grant_operation        operation;
    const char                 *key_policy; /* NULL: no key */
    const char                 *identity, *session, *boundary;
    const struct grant_record  *grants[AUTHZ_BINDINGS];
    const struct grant_record  *retiring;
    const char                 *text; /* NULL: allowed */
};

#define DECRYPT  GRANT_DECRYPT
#define ENCRYPT  GRANT_ENCRYPT
#define DESCRIBE GRANT_DESCRIBE_KEY
#define RETIRE   GRANT_RETIRE_GRANT
#define D_HERE   CANNOT(S(MINE), "Decrypt", HERE)
#define E_HERE(CALLER) CANNOT(CALLER, "Encrypt", HERE)
#define D_THEIRS CANNOT(S(THEIRS), "DescribeKey", ACROSS)
#define E_THEIRS CANNOT(S(THEIRS), "Encrypt", ACROSS)
#define R_THEIRS CANNOT(S(THEIRS), "RetireGrant", ACROSS)
#define R_HERE   CANNOT(S(MINE), "RetireGrant", HERE)

#define ALLOWED .text = NULL

// clang-format off
static const struct row rows[] = {
    /* a grant to one session: nothing else need allow (rule 9) */
    { "4.1.2", &target, DECRYPT, OWNER, .grants = { &g1 } },
    { "4.1.3", &target, DECRYPT, OWNER, .session = LIMITED, .grants = { &g1 } },
    { "4.1.4", &target, DECRYPT, OWNER, .session = DENIED, .grants = { &g1 }, .text = D_HERE SESSION_DENIES },
    { "4.1.5", &target, DECRYPT, OWNER, .text = D_HERE NO_IDENTITY("Decrypt") },
    { "4.5.2", &federated, DECRYPT, OWNER, .session = LIMITED, .grants = { &g1 } },
    { "4.6.14", &target, DESCRIBE, OWNER, .text = CANNOT(S(MINE), "DescribeKey", HERE) NO_IDENTITY("DescribeKey") },
    { "rule 9, of a user", &user, DECRYPT, OWNER, .boundary = LIMITED, .grants = { &g1 } },
    { "rule 8", &target, DECRYPT, OWNER, .identity = DENIED, .grants = { &g1 }, .text = D_HERE IDENTITY_DENIES },
    { "rule 8", &target, DECRYPT, OWNER, .boundary = DENIED, .grants = { &g1 }, .text = D_HERE BOUNDARY_DENIES },
    { "rule 8", &target, DECRYPT, DOC(FOR("Deny", "*", "kms:Decrypt")), .grants = { &g1 }, .text = D_HERE RESOURCE_DENIES },
    { "a grant needs no key policy", &target, DECRYPT, NAMING(USER(MINE)), .grants = { &g1 } },
    { "another operation", &target, ENCRYPT, OWNER, .grants = { &g1 }, .text = E_HERE(S(MINE)) NO_IDENTITY("Encrypt") },
    { "another operation", &target, GRANT_NO_OPERATION, OWNER, .grants = { &g1 }, .text = CANNOT(S(MINE), "ListKeyPolicies", HERE) NO_IDENTITY("ListKeyPolicies") },

    /* to its role: session policy and boundary must allow too (rule 10) */
    { "4.3.1", &target, DECRYPT, OWNER, .grants = { NULL, &g1 } },
    { "4.3.2", &target, DECRYPT, OWNER, .session = LIMITED, .grants = { NULL, &g1 }, .text = D_HERE NO_SESSION("Decrypt") },
    { "4.3.3", &target, DECRYPT, OWNER, .session = DENIED, .grants = { NULL, &g1 }, .text = D_HERE SESSION_DENIES },
    { "4.3.4", &target, DECRYPT, OWNER, .boundary = LIMITED, .grants = { &g1 } },
    { "4.3.5", &target, DECRYPT, OWNER, .boundary = LIMITED, .grants = { NULL, &g1 }, .text = D_HERE NO_BOUNDARY("Decrypt") },
    { "rule 10", &target, DECRYPT, OWNER, .boundary = ADMIN, .session = ADMIN, .grants = { NULL, &g1 } },
    { "both lack", &target, DECRYPT, OWNER, .boundary = LIMITED, .session = LIMITED, .grants = { NULL, &g1 }, .text = D_HERE NO_SESSION("Decrypt") },
    { "the exact one counts", &target, DECRYPT, OWNER, .session = LIMITED, .grants = { &g1, &g1 } },
    { "the exact one lacks the operation", &target, DECRYPT, OWNER, .session = LIMITED, .grants = { &encrypt, &g1 }, .text = D_HERE NO_SESSION("Decrypt") },

    /* to the account: as a root statement */
    { "account", &root, ENCRYPT, NAMING(USER(MINE)), .grants = { &encrypt } },
    { "account", &user, ENCRYPT, NAMING(ROLE(MINE)), .grants = { NULL, NULL, &encrypt }, .text = E_HERE(USER(MINE)) NO_IDENTITY("Encrypt") },
    { "account", &user, ENCRYPT, NAMING(ROLE(MINE)), .identity = ADMIN, .grants = { NULL, NULL, &encrypt } },
    { "account", &user, ENCRYPT, NAMING(ROLE(MINE)), .identity = ADMIN, .text = E_HERE(USER(MINE)) NO_RESOURCE("Encrypt") },
    { "account", &target, ENCRYPT, NAMING(USER(MINE)), .identity = ADMIN, .session = LIMITED, .grants = { NULL, NULL, &encrypt }, .text = E_HERE(S(MINE)) NO_SESSION("Encrypt") },

    /* from another account (rules 11 and 12) */
    { "4.7.1", &theirs, DESCRIBE, SHARED, .grants = { &describe }, .text = D_THEIRS NO_IDENTITY("DescribeKey") },
    { "4.7.2", &theirs, DESCRIBE, SHARED, .session = LIMITED, .grants = { &describe }, .text = D_THEIRS NO_IDENTITY("DescribeKey") },
    { "4.7.3", &theirs, ENCRYPT, SHARED, .grants = { NULL, &encrypt }, .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "4.7.4", &theirs, ENCRYPT, SHARED, .session = LIMITED, .grants = { NULL, &encrypt }, .text = E_THEIRS NO_SESSION("Encrypt") },
    { "4.7.4, boundary", &theirs, ENCRYPT, SHARED, .boundary = LIMITED, .grants = { NULL, &encrypt }, .text = E_THEIRS NO_BOUNDARY("Encrypt") },
    { "4.7.5", &theirs, DESCRIBE, SHARED, .identity = ON_KEY, .grants = { &describe, &encrypt } },
    { "4.7.5", &theirs, ENCRYPT, SHARED, .identity = ON_KEY, .grants = { NULL, &encrypt } },
    { "4.7.6", &theirs, DESCRIBE, SHARED, .identity = ON_KEY, .session = LIMITED, .grants = { &describe, &encrypt }, .text = D_THEIRS NO_SESSION("DescribeKey") },
    { "4.7.6, boundary", &theirs, DESCRIBE, SHARED, .identity = ON_KEY, .boundary = LIMITED, .grants = { &describe, &encrypt }, .text = D_THEIRS NO_BOUNDARY("DescribeKey") },
    { "4.7.7", &theirs, DESCRIBE, SHARED, .grants = { &their_describe } },
    { "4.7.8", &theirs, DESCRIBE, SHARED, .session = LIMITED, .grants = { &their_describe } },
    { "4.7.9", &theirs, ENCRYPT, SHARED, .grants = { NULL, &their_encrypt } },
    { "4.7.10", &theirs, ENCRYPT, SHARED, .session = LIMITED, .grants = { NULL, &their_encrypt }, .text = E_THEIRS NO_SESSION("Encrypt") },
    { "4.7.11", &theirs, DESCRIBE, SHARED, .identity = ON_KEY, .grants = { &their_describe } },
    { "4.7.12", &theirs, DESCRIBE, SHARED, .identity = ON_KEY, .session = LIMITED, .grants = { &their_describe } },
    { "issued by a third account", &theirs, ENCRYPT, SHARED, .grants = { &third_encrypt }, .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "issued by another account, used in the owner's", &target, ENCRYPT, OWNER, .session = LIMITED, .grants = { &their_encrypt } },
    { "no grant, no policy", &theirs, ENCRYPT, SHARED, .identity = ADMIN, .text = E_THEIRS NO_RESOURCE("Encrypt") },
    { "neither side", &theirs, ENCRYPT, OWNER, .text = E_THEIRS NO_RESOURCE("Encrypt") },
    { "root needs no identity policy", &their_root, ENCRYPT, SHARED, .grants = { &encrypt } },
    { "both accounts", &theirs, ENCRYPT, SHARED, .identity = ON_KEY, .grants = { NULL, NULL, &encrypt } },
    { "both accounts", &theirs, ENCRYPT, SHARED, .grants = { NULL, NULL, &encrypt }, .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "their account's own grant", &theirs, ENCRYPT, SHARED, .grants = { NULL, NULL, &their_encrypt }, .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "4.7 by policy: account", &theirs, ENCRYPT, NAMING(THEIRS), .identity = ON_KEY },
    { "4.7 by policy: account", &theirs, ENCRYPT, NAMING(THEIRS), .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "4.7 by policy: role", &theirs, ENCRYPT, NAMING(ROLE(THEIRS)), .identity = ON_KEY },
    { "4.7 by policy: role", &theirs, ENCRYPT, NAMING(ROLE(THEIRS)), .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "4.7 by policy: session", &theirs, ENCRYPT, NAMING(S(THEIRS)), .text = E_THEIRS NO_IDENTITY("Encrypt") },
    { "4.7 by policy: session", &theirs, ENCRYPT, NAMING(S(THEIRS)), .identity = ON_KEY, .session = LIMITED, .text = E_THEIRS NO_SESSION("Encrypt") },
    { "4.7 by policy: user", &their_user, ENCRYPT, NAMING(USER(THEIRS)), .identity = ADMIN },
    { "4.7 by policy: user", &their_user, ENCRYPT, NAMING(USER(THEIRS)), .identity = ADMIN, .boundary = LIMITED, .text = CANNOT(USER(THEIRS), "Encrypt", ACROSS) NO_BOUNDARY("Encrypt") },
    { "4.7 by policy: everybody", &their_user, ENCRYPT, NAMING("*"), .text = CANNOT(USER(THEIRS), "Encrypt", ACROSS) NO_IDENTITY("Encrypt") },
    { "4.3: not across accounts", &theirs, GRANT_NO_OPERATION, NAMING(THEIRS), .identity = ADMIN, .text = CANNOT(S(THEIRS), "ListKeyPolicies", ACROSS) NO_RESOURCE("ListKeyPolicies") },

    /* RetireGrant (rule 15): the grant decides */
    { "4.1.8, 4.5.4", &target, RETIRE, OWNER, .session = LIMITED, .retiring = &by_session },
    { "4.5.3", &federated, RETIRE, OWNER, .session = LIMITED, .retiring = &by_federated },
    { "4.8.1", &theirs, RETIRE, SHARED, .retiring = &by_session, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.2", &theirs, RETIRE, SHARED, .session = LIMITED, .retiring = &by_session, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.3", &theirs, RETIRE, SHARED, .retiring = &of_session, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.4", &theirs, RETIRE, SHARED, .session = LIMITED, .retiring = &of_session, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.5", &theirs, RETIRE, SHARED, .retiring = &by_role, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.6", &theirs, RETIRE, SHARED, .session = LIMITED, .retiring = &by_role, .text = R_THEIRS NO_SESSION("RetireGrant") },
    { "4.8.7", &theirs, RETIRE, SHARED, .retiring = &of_role, .text = R_THEIRS NO_IDENTITY("RetireGrant") },
    { "4.8.8", &theirs, RETIRE, SHARED, .session = LIMITED, .retiring = &of_role, .text = R_THEIRS NO_SESSION("RetireGrant") },
    { "rule 11", &theirs, RETIRE, SHARED, .identity = ADMIN, .retiring = &by_session },
    { "rule 12", &theirs, RETIRE, SHARED, .session = LIMITED, .retiring = &their_session },
    { "4.8.10", &target, RETIRE, OWNER, .identity = ADMIN, .retiring = &by_role },
    { "rule 10", &target, RETIRE, OWNER, .retiring = &of_role },
    { "rule 10", &target, RETIRE, OWNER, .session = LIMITED, .retiring = &by_role, .text = R_HERE NO_SESSION("RetireGrant") },
    { "rule 8", &target, RETIRE, OWNER, .identity = DENIED, .retiring = &by_session, .text = R_HERE IDENTITY_DENIES },
    { "a sibling's", &target, RETIRE, NAMING(ROLE(MINE)), .retiring = &by_sibling, .text = R_HERE NO_IDENTITY("RetireGrant") },
    { "part of an id", &target, RETIRE, NAMING(ROLE(MINE)), .retiring = &of_prefix, .text = R_HERE NO_IDENTITY("RetireGrant") },
    { "the grantee without the operation", &target, RETIRE, OWNER, .retiring = &no_operation, .text = R_HERE NO_IDENTITY("RetireGrant") },
    { "another grant's operation", &target, RETIRE, OWNER, .retiring = &of_nobody, .grants = { &g1, &g1 }, .text = R_HERE NO_IDENTITY("RetireGrant") },
    { "no grant", &target, RETIRE, OWNER, .identity = ADMIN, .grants = { &g1 }, .text = R_HERE NO_RESOURCE("RetireGrant") },
    { "11: the account that issued it", &root, RETIRE, NAMING(USER(MINE)), .retiring = &of_nobody },
    { "11: the account that issued it", &user, RETIRE, NAMING(ROLE(MINE)), .identity = ADMIN, .retiring = &of_nobody },
    { "11: the account that issued it", &their_root, RETIRE, SHARED, .retiring = &their_nobody },
    { "11: the account that issued it", &theirs, RETIRE, SHARED, .identity = ADMIN, .retiring = &their_nobody },
    { "no key policy allows it", &root, RETIRE, OWNER, .retiring = &their_nobody, .text = CANNOT(ROOT(MINE), "RetireGrant", HERE) NO_RESOURCE("RetireGrant") },
    { "no key policy allows it", &user, RETIRE, NAMING(USER(MINE)), .identity = ADMIN, .retiring = &their_nobody, .text = CANNOT(USER(MINE), "RetireGrant", HERE) NO_RESOURCE("RetireGrant") },
    { "a retiring account", &their_root, RETIRE, SHARED, .retiring = &by_account },
    { "a retiring account", &their_user, RETIRE, SHARED, .retiring = &by_account, .text = CANNOT(USER(THEIRS), "RetireGrant", ACROSS) NO_IDENTITY("RetireGrant") },
    { "a retiring account", &their_user, RETIRE, SHARED, .identity = ADMIN, .retiring = &by_account },
    { "a retiring account", &user, RETIRE, NAMING(ROLE(MINE)), .retiring = &by_owner, .text = CANNOT(USER(MINE), "RetireGrant", HERE) NO_IDENTITY("RetireGrant") },
    { "a retiring account", &root, RETIRE, NAMING(ROLE(MINE)), .retiring = &by_owner },
    { "a retiring service", &service, RETIRE, OWNER, .retiring = &of_service },
    { "a retiring service", &service, RETIRE, OWNER, .session = LIMITED, .retiring = &of_service },
    { "a grant of nobody", &service, RETIRE, OWNER, .retiring = &by_nobody, .text = CANNOT("sqs.amazonaws.com", "RetireGrant", ACROSS) NO_RESOURCE("RetireGrant") },
    { "a name like a service's", &target, RETIRE, OWNER, .retiring = &of_service, .text = R_HERE NO_IDENTITY("RetireGrant") },
    { "a service", &service, RETIRE, OWNER, .retiring = &by_session, .text = CANNOT("sqs.amazonaws.com", "RetireGrant", ACROSS) NO_RESOURCE("RetireGrant") },

    /* key policies in the same account */
    { "5.1.10", &user, ENCRYPT, OWNER, .text = E_HERE(USER(MINE)) NO_IDENTITY("Encrypt") },
    { "5.1.10", &user, ENCRYPT, OWNER, .identity = ADMIN },
    { "5.1.10", &user, ENCRYPT, OWNER, .identity = LIMITED, .text = E_HERE(USER(MINE)) NO_IDENTITY("Encrypt") },
    { "5.1.12", &user, ENCRYPT, DOC(FOR("Allow", ROOT(MINE), "kms:Decrypt")), .identity = ADMIN, .text = E_HERE(USER(MINE)) NO_RESOURCE("Encrypt") },
    { "5.1.4", &user, ENCRYPT, DOC(FOR("Allow", ROOT(MINE), "kms:*") "," FOR("Deny", "*", "kms:Encrypt")), .identity = ADMIN, .text = E_HERE(USER(MINE)) RESOURCE_DENIES },
    { "5.1 rule 7", &target, ENCRYPT, OWNER, .identity = ADMIN, .session = LIMITED, .text = E_HERE(S(MINE)) NO_SESSION("Encrypt") },
    { "5.1 rule 7", &target, ENCRYPT, OWNER, .identity = ADMIN, .session = ADMIN, .boundary = LIMITED, .text = E_HERE(S(MINE)) NO_BOUNDARY("Encrypt") },
    { "5.1 rule 7", &target, ENCRYPT, OWNER, .identity = ADMIN, .session = ADMIN, .boundary = ADMIN },
    { "5.1 rule 7", &target, ENCRYPT, OWNER, .session = LIMITED, .boundary = LIMITED, .text = E_HERE(S(MINE)) NO_IDENTITY("Encrypt") },
    { "the user by name", &user, ENCRYPT, NAMING(USER(MINE)), ALLOWED },
    { "the user by name", &user, ENCRYPT, NAMING(USER(MINE)), .boundary = LIMITED },
    { "the role by name", &target, ENCRYPT, NAMING(ROLE(MINE)), ALLOWED },
    { "the role by name", &target, ENCRYPT, NAMING(ROLE(MINE)), .session = LIMITED, .text = E_HERE(S(MINE)) NO_SESSION("Encrypt") },
    { "the role by name", &target, ENCRYPT, NAMING(ROLE(MINE)), .boundary = LIMITED, .text = E_HERE(S(MINE)) NO_BOUNDARY("Encrypt") },
    { "the role by id", &target, ENCRYPT, NAMING(ROLE_ID), .boundary = LIMITED, .text = E_HERE(S(MINE)) NO_BOUNDARY("Encrypt") },
    { "the session by name", &target, ENCRYPT, NAMING(S(MINE)), .session = LIMITED, .boundary = LIMITED },
    { "the role and the session", &target, ENCRYPT, DOC(FOR("Allow", ROLE(MINE), "kms:*") "," FOR("Allow", S(MINE), "kms:*")), .session = LIMITED },
    { "everybody", &target, ENCRYPT, NAMING("*"), .session = LIMITED, .boundary = LIMITED },
    { "the federated user by name", &federated, ENCRYPT, NAMING(FEDERATED), .session = LIMITED },
    { "a denial by name", &user, ENCRYPT, NAMING(USER(MINE)), .identity = DENIED, .text = E_HERE(USER(MINE)) IDENTITY_DENIES },
    { "a denial by name", &target, ENCRYPT, NAMING(S(MINE)), .session = DENIED, .text = E_HERE(S(MINE)) SESSION_DENIES },
    { "the root user, limited", &root, ENCRYPT, OWNER, .session = LIMITED, .text = E_HERE(ROOT(MINE)) NO_SESSION("Encrypt") },
    { "a service", &service, ENCRYPT, DOC("{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"sqs.amazonaws.com\"},\"Action\":\"*\",\"Resource\":\"*\"}"), ALLOWED },
    { "a service", &service, ENCRYPT, OWNER, .text = CANNOT("sqs.amazonaws.com", "Encrypt", ACROSS) NO_RESOURCE("Encrypt") },
    { "a service", &service, ENCRYPT, OWNER, .grants = { &encrypt } },

    /* one reason hides another */
    { "all deny", &target, ENCRYPT, NAMING("*"), .identity = DENIED, .session = DENIED, .boundary = DENIED, .text = E_HERE(S(MINE)) IDENTITY_DENIES },
    { "all deny", &target, ENCRYPT, DOC(FOR("Deny", "*", "kms:*")), .session = DENIED, .boundary = DENIED, .text = E_HERE(S(MINE)) RESOURCE_DENIES },
    { "all deny", &target, ENCRYPT, OWNER, .session = DENIED, .boundary = DENIED, .text = E_HERE(S(MINE)) SESSION_DENIES },
    { "3 rule 1", &target, ENCRYPT, OWNER, .session = DOC(TAKE_AWAY("kms:*")), .text = E_HERE(S(MINE)) SESSION_DENIES },

    /* documents that cannot be read deny */
    { "unreadable", &user, ENCRYPT, OWNER, .identity = UNREADABLE, .text = E_HERE(USER(MINE)) IDENTITY_DENIES },
    { "unreadable", &user, ENCRYPT, UNREADABLE, .identity = ADMIN, .grants = { &encrypt }, .text = E_HERE(USER(MINE)) RESOURCE_DENIES },
    { "unreadable", &user, ENCRYPT, OWNER, .identity = ADMIN, .session = UNREADABLE, .text = E_HERE(USER(MINE)) SESSION_DENIES },
    { "unreadable", &user, ENCRYPT, OWNER, .identity = ADMIN, .boundary = UNREADABLE, .text = E_HERE(USER(MINE)) BOUNDARY_DENIES },

    /* requests that are not on one key: identity policies decide */
    { "no key", &root, ENCRYPT, NULL, ALLOWED },
    { "no key", &root, ENCRYPT, NULL, .session = DENIED, .text = CANNOT(ROOT(MINE), "Encrypt", "") SESSION_DENIES },
    { "no key", &user, ENCRYPT, NULL, .text = CANNOT(USER(MINE), "Encrypt", "") NO_IDENTITY("Encrypt") },
    { "no key", &user, ENCRYPT, NULL, .identity = ADMIN },
    { "no key", &user, ENCRYPT, NULL, .identity = DENIED, .text = CANNOT(USER(MINE), "Encrypt", "") IDENTITY_DENIES },
    { "no key", &target, ENCRYPT, NULL, .identity = ADMIN, .session = LIMITED, .text = CANNOT(S(MINE), "Encrypt", "") NO_SESSION("Encrypt") },
    { "no key", &target, ENCRYPT, NULL, .identity = ADMIN, .boundary = LIMITED, .text = CANNOT(S(MINE), "Encrypt", "") NO_BOUNDARY("Encrypt") },
    { "no key: grants do not matter", &target, ENCRYPT, NULL, .grants = { &encrypt }, .text = CANNOT(S(MINE), "Encrypt", "") NO_IDENTITY("Encrypt") },
    { "no key", &service, ENCRYPT, NULL, .text = CANNOT("sqs.amazonaws.com", "Encrypt", "") NO_IDENTITY("Encrypt") },
};
// clang-format on

/* --- running them ----------------------------------------------------------------------------- */

struct world {
    struct policy      *documents[3];
    struct authz_policy named[3];
    struct key_record   key;
    struct key_rights   rights;
    struct authz_caller caller;
};

static void world_release(struct world *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->documents); i++)
        policy_free(w->documents[i]);
    policy_free(w->rights.policy);
}

static void world_make(struct world *w, const struct row *r)
{
    const char *texts[3] = { r->identity, r->session, r->boundary };

    *w = (struct world){ .key.name = { .account = BYTES_LIT(MINE), .arn = BYTES_LIT(KEY_ARN) } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL)
            w->documents[i] = authz_identity_compiler.compile(bytes_str(texts[i]),
                                                              (struct bytes){ NULL, 0 });
        w->named[i] = (struct authz_policy){ w->documents[i], BYTES_LIT("d") };
    }
    w->caller = (struct authz_caller){
        .as = *r->caller,
        .identity = &w->named[0],
        .n_identity = r->identity != NULL,
        .limited = r->session != NULL,
        .session = &w->named[1],
        .n_session = r->session != NULL,
        .bounded = r->boundary != NULL,
        .boundary = w->named[2],
    };
    if (r->key_policy != NULL) {
        w->key.rights = &w->rights;
        w->rights.policy = authz_rights_compiler.compile(bytes_str(r->key_policy),
                                                         (struct bytes){ NULL, 0 });
    }
}

static enum kms_status run(const struct world *w, const struct row *r, struct authz_decision *d,
                           struct kms_error *err)
{
    struct grant_set *sets[AUTHZ_BINDINGS];
    bool              known = r->operation != GRANT_NO_OPERATION;
    char              action[64] = "kms:ListKeyPolicies";

    if (known)
        (void)snprintf(action, sizeof action, "kms:%s", grant_operation_names[r->operation]);
    struct authz_request rq = { .caller = &w->caller,
                                .action = bytes_str(action),
                                .resource = BYTES_LIT("*"),
                                .cross_account = known,
                                .operation = r->operation,
                                .retiring = r->retiring };
    if (r->key_policy != NULL) {
        rq.key = &w->key;
        rq.resource = w->key.name.arn;
    }
    for (size_t i = 0; i < AUTHZ_BINDINGS; i++) {
        sets[i] = calloc(1, sizeof *sets[i] + sizeof(struct grant_record *));
        assert_non_null(sets[i]);
        sets[i]->n = 1;
        sets[i]->grants[0] = r->grants[i];
        rq.grants[i] = r->grants[i] == NULL ? NULL : sets[i];
    }
    kms_error_clear(err);
    enum kms_status status = authz_decide(&rq, d, err);
    for (size_t i = 0; i < AUTHZ_BINDINGS; i++)
        free(sets[i]);
    return status;
}

static void decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row                   *r = &rows[i];
        CLEANUP(world_release) struct world w;
        struct authz_decision               d;
        struct kms_error                    err;
        world_make(&w, r);
        enum kms_status status = run(&w, r, &d, &err);
        if (status != (r->text == NULL ? KMS_OK : KMS_E_ACCESS_DENIED) ||
            strcmp(err.message, r->text == NULL ? "" : r->text) != 0 ||
            (status == KMS_OK) != (d.reason == AUTHZ_ALLOWED))
            fail_msg("row %zu (%s): %d '%s', expected '%s'", i, r->row, (int)status, err.message,
                     r->text == NULL ? "" : r->text);
    }
}

/* --- what the decision says ------------------------------------------------------------------- */

static const struct {
    const char                *what;
    struct row                 row;
    enum authz_reason          reason;
    const char                *policy;
    int                        statement;
    const char                *sid;
    bool                       unsure;
    const char                *detail; /* for the operator */
    const struct grant_record *grant;
} says[] = {
    { "key policy",
      { "", &user, ENCRYPT,
        DOC(FOR("Allow", ROOT(MINE),
                "kms:Decrypt") ","
                               "{\"Sid\":\"ByName\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
                               "\"" USER(MINE) "\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}"),
        ALLOWED },
      AUTHZ_ALLOWED,
      "",
      1,
      "ByName",
      false,
      "",
      NULL },
    { "identity policy",
      { "", &user, ENCRYPT, OWNER,
        .identity = DOC(GIVE("s3:*") ","
                                     "{\"Sid\":\"Mine\",\"Effect\":\"Allow\",\"Action\":\"*\","
                                     "\"Resource\":\"*\"}") },
      AUTHZ_ALLOWED,
      "d",
      1,
      "Mine",
      false,
      "",
      NULL },
    { "grant",
      { "", &target, ENCRYPT, OWNER, .grants = { NULL, &encrypt } },
      AUTHZ_ALLOWED,
      "",
      POLICY_NO_STATEMENT,
      "",
      false,
      "",
      &encrypt },
    { "a grant is not needed",
      { "", &target, ENCRYPT, OWNER, .identity = ADMIN, .grants = { &encrypt } },
      AUTHZ_ALLOWED,
      "d",
      0,
      "",
      false,
      "",
      NULL },
    { "grant that would have",
      { "", &target, ENCRYPT, OWNER, .session = LIMITED, .grants = { NULL, &encrypt } },
      AUTHZ_NO_SESSION_POLICY,
      "",
      POLICY_NO_STATEMENT,
      "",
      false,
      "",
      &encrypt },
    { "half a grant",
      { "", &theirs, ENCRYPT, SHARED, .grants = { NULL, &encrypt } },
      AUTHZ_NO_IDENTITY_POLICY,
      "",
      POLICY_NO_STATEMENT,
      "",
      false,
      "",
      &encrypt },
    { "delegating statement",
      { "", &user, ENCRYPT, OWNER, ALLOWED },
      AUTHZ_NO_IDENTITY_POLICY,
      "",
      0,
      "",
      false,
      "statement 0 '' of the key policy decided",
      NULL },
    { "denying document",
      { "", &user, ENCRYPT, OWNER, .identity = DENIED },
      AUTHZ_DENIED_BY_IDENTITY_POLICY,
      "d",
      1,
      "",
      false,
      "statement 1 '' of d decided",
      NULL },
    { "unreadable document",
      { "", &user, ENCRYPT, OWNER, .boundary = UNREADABLE },
      AUTHZ_DENIED_BY_BOUNDARY,
      "d",
      POLICY_NO_STATEMENT,
      "",
      true,
      "d has no clear answer for this request",
      NULL },
    { "unreadable key policy",
      { "", &user, ENCRYPT, UNREADABLE, ALLOWED },
      AUTHZ_DENIED_BY_RESOURCE_POLICY,
      "",
      POLICY_NO_STATEMENT,
      "",
      true,
      "the key policy has no clear answer for this request",
      NULL },
    { "nothing",
      { "", &user, ENCRYPT, NAMING(ROLE(MINE)), ALLOWED },
      AUTHZ_NO_RESOURCE_POLICY,
      "",
      POLICY_NO_STATEMENT,
      "",
      false,
      "",
      NULL },
};

static void decision_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        CLEANUP(world_release) struct world w;
        struct authz_decision               d;
        struct kms_error                    err;
        world_make(&w, &says[i].row);
        (void)run(&w, &says[i].row, &d, &err);
        if (d.reason != says[i].reason || !bytes_eq_str(d.policy, says[i].policy) ||
            d.statement != says[i].statement || !bytes_eq_str(d.sid, says[i].sid) ||
            d.unsure != says[i].unsure || d.grant != says[i].grant ||
            strcmp(err.detail, says[i].detail) != 0)
            fail_msg("%s: %s, '%.*s' statement %d '%.*s' unsure %d grant %d: '%s'", says[i].what,
                     authz_reason_word(d.reason), BYTES_FMT(d.policy), d.statement,
                     BYTES_FMT(d.sid), (int)d.unsure, (int)(d.grant != NULL), err.detail);
    }
}

/* All documents of a layer are asked: one allows, one denies, one cannot be read. */
static void several_documents(void **state)
{
    CLEANUP(policy_freep) struct policy *admin = authz_identity_compiler.compile(
        BYTES_LIT(ADMIN), (struct bytes){ NULL, 0 });
    CLEANUP(policy_freep) struct policy *limited = authz_identity_compiler.compile(
        BYTES_LIT(LIMITED), (struct bytes){ NULL, 0 });
    CLEANUP(policy_freep) struct policy *denies = authz_identity_compiler.compile(
        BYTES_LIT(DENIED), (struct bytes){ NULL, 0 });
    const struct authz_policy list[] = {
        { limited, BYTES_LIT("limited") }, { admin, BYTES_LIT("admin") },
        { admin, BYTES_LIT("last") },      { denies, BYTES_LIT("denies") },
        { NULL, BYTES_LIT("lost") },
    };
    static const struct {
        size_t            from, n;
        enum authz_reason reason;
        const char       *policy;
    } cases[] = {
        { 0, 1, AUTHZ_NO_IDENTITY_POLICY, "" },
        { 0, 2, AUTHZ_ALLOWED, "admin" },
        { 0, 3, AUTHZ_ALLOWED, "admin" },
        { 0, 4, AUTHZ_DENIED_BY_IDENTITY_POLICY, "denies" },
        { 4, 1, AUTHZ_DENIED_BY_IDENTITY_POLICY, "lost" },
        { 0, 0, AUTHZ_NO_IDENTITY_POLICY, "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct authz_caller  who = { .as = user,
                                           .identity = list + cases[i].from,
                                           .n_identity = cases[i].n };
        const struct authz_request rq = { .caller = &who,
                                          .action = BYTES_LIT("kms:ListKeys"),
                                          .resource = BYTES_LIT("*") };
        struct authz_decision      d;
        struct kms_error           err;
        enum kms_status            status = authz_decide(&rq, &d, &err);
        assert_int_equal(status, d.reason == AUTHZ_ALLOWED ? KMS_OK : KMS_E_ACCESS_DENIED);
        if (d.reason != cases[i].reason || !bytes_eq_str(d.policy, cases[i].policy))
            fail_msg("case %zu: %s, %.*s", i, authz_reason_word(d.reason), BYTES_FMT(d.policy));
    }
}

/* Requests of other services have the same grammar, with the resource where they are on one. */
static void other_services(void **state)
{
    static const struct {
        const char *action, *resource, *text;
    } cases[] = {
        { "iam:CreateUser", USER(MINE),
          "User: " USER(MINE) " is not authorized to perform: iam:CreateUser on resource: " USER(
              MINE) " because no identity-based policy allows the iam:CreateUser action" },
        { "sts:X", "x",
          "User: " USER(MINE) " is not authorized to perform: sts:X on resource: x because no "
                              "identity-based policy allows the sts:X action" },
        { "sts:GetSessionToken", "*",
          "User: " USER(MINE) " is not authorized to perform: sts:GetSessionToken because no "
                              "identity-based policy allows the sts:GetSessionToken action" },
        { "sts:GetSessionToken", "",
          "User: " USER(MINE) " is not authorized to perform: sts:GetSessionToken because no "
                              "identity-based policy allows the sts:GetSessionToken action" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct authz_caller  who = { .as = user };
        const struct authz_request rq = { .caller = &who,
                                          .action = bytes_str(cases[i].action),
                                          .resource = bytes_str(cases[i].resource) };
        struct kms_error           err;
        assert_int_equal(authz_decide(&rq, NULL, &err), KMS_E_ACCESS_DENIED);
        assert_string_equal(err.message, cases[i].text);
        assert_int_equal(authz_decide(&rq, NULL, NULL), KMS_E_ACCESS_DENIED);
    }
}

/* Session policies of a request have no name when they came with it. */
static void inline_policies(void **state)
{
    const struct row r = { "", &user, ENCRYPT, OWNER, .identity = ADMIN, .session = DENIED };
    CLEANUP(world_release) struct world w;
    struct authz_decision               d;
    struct kms_error                    err;

    (void)state;
    world_make(&w, &r);
    w.named[1].name = (struct bytes){ NULL, 0 };
    assert_int_equal(run(&w, &r, &d, &err), KMS_E_ACCESS_DENIED);
    assert_true(bytes_eq_str(d.policy, "the inline policy"));
    assert_string_equal(err.detail, "statement 1 '' of the inline policy decided");
}

static void words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AUTHZ_REASON_COUNT; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(authz_reason_word((enum authz_reason)i),
                                    authz_reason_word((enum authz_reason)k));
    }
    assert_string_equal(authz_reason_word(AUTHZ_ALLOWED), "allowed");
    assert_string_equal(authz_reason_word(AUTHZ_NO_BOUNDARY), "no-permissions-boundary");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),         cmocka_unit_test(decision_says_why),
        cmocka_unit_test(several_documents), cmocka_unit_test(other_services),
        cmocka_unit_test(inline_policies),   cmocka_unit_test(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
