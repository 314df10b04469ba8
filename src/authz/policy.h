/* authz/policy.h - policy documents: compiled once, then asked as often as there are requests.
 *
 * Pure: no I/O, no clock, no globals; evaluating allocates nothing and its cost is bounded. What
 * cannot be decided within that bound, or not without doubt, is a denial: unsure means no. The
 * truth about what matches is recorded-authz-multiregion 5; docs/policies.md is the page for users.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

/* --- compiling -------------------------------------------------------------------------------- */

struct policy;

/* What a document is attached to: decides which elements it must and must not have. */
enum policy_kind {
    POLICY_KEY,      /* key policy: statements have a principal; Resource and Action may be absent,
                        the statement then has no effect (kms-behaviour 12) */
    POLICY_TRUST,    /* of a role: a principal and an action, no resource */
    POLICY_IDENTITY, /* of a user or role: no principal; an action and a resource */
    POLICY_SESSION,  /* given when a session is made: as POLICY_IDENTITY */
    POLICY_BOUNDARY, /* permissions boundary: as POLICY_IDENTITY */
    POLICY_KIND_COUNT
};

/* Compiles a document; the result keeps no view into `text` and is released by policy_free.
 * `principals` has lines "ARN unique-id\n": where the document names such an ARN, the identity with
 * this id is meant, and nobody who has the same name later. May be empty.
 * KMS_E_POLICY without message if it is not JSON, with one if it is not a policy of this kind: an
 * unknown element, operator or version refuses. KMS_E_ARN if a key policy names a group or a
 * malformed ARN (kms-behaviour 3.2). Whether principals exist is the caller's question. */
KMS_MUST_CHECK enum kms_status policy_compile(enum policy_kind kind, struct bytes text,
                                              struct bytes principals, struct policy **ret,
                                              struct kms_error *reterr);
void policy_free(struct policy *p); /* NULL is fine */
void policy_freep(struct policy **p);

enum policy_principal_kind {
    PRINCIPAL_ACCOUNT,   /* arn:...:root or twelve digits; `text` is the account */
    PRINCIPAL_ARN,       /* user, role, session or federated user */
    PRINCIPAL_UNIQUE_ID, /* AIDA..., AROA... */
    PRINCIPAL_SERVICE,
    PRINCIPAL_FEDERATED,
    PRINCIPAL_CANONICAL_USER,
};

struct policy_principal {
    enum policy_principal_kind kind;
    struct bytes               text;
};

/* Asks about every principal that the document names ("*" names none), until one is not `known`.
 * False if there was one. */
bool policy_principals_known(const struct policy *p,
                             bool (*known)(const struct policy_principal *, const void *ctx),
                             const void *ctx);

/* --- condition keys --------------------------------------------------------------------------- */

/* What conditions and policy variables may ask: identifier, name, how many values. A NAMED key
 * goes on with a name of the client's: "kms:EncryptionContext:department". Names match whatever
 * their case. The last row is every other name that ends like a claim of a web identity token,
 * "issuer.example/path:sub": the whole of it is its name. A key that is not in this list is absent
 * from every request. */
// clang-format off
#define CONDITION_KEYS(X)                                                                          \
    X(ASK_BYPASS_LOCKOUT,           "kms:BypassPolicyLockoutSafetyCheck",            ONE)          \
    X(ASK_CALLER_ACCOUNT,           "kms:CallerAccount",                             ONE)          \
    X(ASK_KEY_SPEC,                 "kms:KeySpec",                                   ONE)          \
    X(ASK_CUSTOMER_MASTER_KEY_SPEC, "kms:CustomerMasterKeySpec",                     ONE)          \
    X(ASK_KEY_USAGE,                "kms:KeyUsage",                                  ONE)          \
    X(ASK_CUSTOMER_MASTER_KEY_USAGE, "kms:CustomerMasterKeyUsage",                   ONE)          \
    X(ASK_KEY_ORIGIN,               "kms:KeyOrigin",                                 ONE)          \
    X(ASK_DATA_KEY_PAIR_SPEC,       "kms:DataKeyPairSpec",                           ONE)          \
    X(ASK_ENCRYPTION_ALGORITHM,     "kms:EncryptionAlgorithm",                       ONE)          \
    X(ASK_SIGNING_ALGORITHM,        "kms:SigningAlgorithm",                          ONE)          \
    X(ASK_MAC_ALGORITHM,            "kms:MacAlgorithm",                              ONE)          \
    X(ASK_KEY_AGREEMENT_ALGORITHM,  "kms:KeyAgreementAlgorithm",                     ONE)          \
    X(ASK_MESSAGE_TYPE,             "kms:MessageType",                               ONE)          \
    X(ASK_ENCRYPTION_CONTEXT,       "kms:EncryptionContext:",                        NAMED)        \
    X(ASK_ENCRYPTION_CONTEXT_KEYS,  "kms:EncryptionContextKeys",                     MANY)         \
    X(ASK_EXPIRATION_MODEL,         "kms:ExpirationModel",                           ONE)          \
    X(ASK_VALID_TO,                 "kms:ValidTo",                                   ONE)          \
    X(ASK_WRAPPING_ALGORITHM,       "kms:WrappingAlgorithm",                         ONE)          \
    X(ASK_WRAPPING_KEY_SPEC,        "kms:WrappingKeySpec",                           ONE)          \
    X(ASK_MULTI_REGION,             "kms:MultiRegion",                               ONE)          \
    X(ASK_MULTI_REGION_KEY_TYPE,    "kms:MultiRegionKeyType",                        ONE)          \
    X(ASK_RE_ENCRYPT_ON_SAME_KEY,   "kms:ReEncryptOnSameKey",                        ONE)          \
    X(ASK_REQUEST_ALIAS,            "kms:RequestAlias",                              ONE)          \
    X(ASK_RESOURCE_ALIASES,         "kms:ResourceAliases",                           MANY)         \
    X(ASK_ROTATION_PERIOD,          "kms:RotationPeriodInDays",                      ONE)          \
    X(ASK_PENDING_WINDOW,           "kms:ScheduleKeyDeletionPendingWindowInDays",ONE)          \
    X(ASK_RESOURCE_TAG,             "aws:ResourceTag/",                              NAMED)        \
    X(ASK_REQUEST_TAG,              "aws:RequestTag/",                               NAMED)        \
    X(ASK_TAG_KEYS,                 "aws:TagKeys",                                   MANY)         \
    X(ASK_RESOURCE_ACCOUNT,         "aws:ResourceAccount",                           ONE)          \
    X(ASK_PRINCIPAL_ARN,            "aws:PrincipalArn",                              ONE)          \
    X(ASK_PRINCIPAL_ACCOUNT,        "aws:PrincipalAccount",                          ONE)          \
    X(ASK_PRINCIPAL_TYPE,           "aws:PrincipalType",                             ONE)          \
    X(ASK_PRINCIPAL_IS_SERVICE,     "aws:PrincipalIsAWSService",                     ONE)          \
    X(ASK_USER_ID,                  "aws:userid",                                    ONE)          \
    X(ASK_VIA_SERVICE,              "aws:ViaAWSService",                             ONE)          \
    X(ASK_SOURCE_IP,                "aws:SourceIp",                                  ONE)          \
    X(ASK_SECURE_TRANSPORT,         "aws:SecureTransport",                           ONE)          \
    X(ASK_REQUESTED_REGION,         "aws:RequestedRegion",                           ONE)          \
    X(ASK_CURRENT_TIME,             "aws:CurrentTime",                               ONE)          \
    X(ASK_EPOCH_TIME,               "aws:EpochTime",                                 ONE)          \
    X(ASK_USER_AGENT,               "aws:UserAgent",                                 ONE)          \
    X(ASK_GRANTEE_PRINCIPAL,        "kms:GranteePrincipal",                          ONE)          \
    X(ASK_GRANTEE_SERVICE,          "kms:GranteeServicePrincipal",                   ONE)          \
    X(ASK_RETIRING_PRINCIPAL,       "kms:RetiringPrincipal",                         ONE)          \
    X(ASK_RETIRING_SERVICE,         "kms:RetiringServicePrincipal",                  ONE)          \
    X(ASK_GRANT_OPERATIONS,         "kms:GrantOperations",                           MANY)         \
    X(ASK_GRANT_CONSTRAINT_TYPE,    "kms:GrantConstraintType",                       ONE)          \
    X(ASK_GRANT_SOURCE_ARN,         "kms:GrantConstraintSourceArn",                  ONE)          \
    X(ASK_GRANT_FOR_AWS_RESOURCE,   "kms:GrantIsForAWSResource",                     ONE)          \
    X(ASK_KMS_VIA_SERVICE,          "kms:ViaService",                                ONE)          \
    X(ASK_TRAILING_DAYS,            "kms:TrailingDaysWithoutKeyUsage",               ONE)          \
    X(ASK_ENCLAVE_IMAGE,            "kms:RecipientAttestation:ImageSha384",          ONE)          \
    X(ASK_ENCLAVE_PCR,              "kms:RecipientAttestation:PCR",                  NAMED)        \
    X(ASK_TPM_PCR,                  "kms:RecipientAttestation:NitroTPMPCR",          NAMED)        \
    X(ASK_PRIMARY_REGION,           "kms:PrimaryRegion",                             ONE)          \
    X(ASK_REPLICA_REGION,           "kms:ReplicaRegion",                             ONE)          \
    X(ASK_PRINCIPAL_TAG,            "aws:PrincipalTag/",                             NAMED)        \
    X(ASK_PRINCIPAL_ORG_ID,         "aws:PrincipalOrgID",                            ONE)          \
    X(ASK_PRINCIPAL_SERVICE_NAME,   "aws:PrincipalServiceName",                      ONE)          \
    X(ASK_SOURCE_ARN,               "aws:SourceArn",                                 ONE)          \
    X(ASK_SOURCE_ACCOUNT,           "aws:SourceAccount",                             ONE)          \
    X(ASK_CALLED_VIA,               "aws:CalledVia",                                 MANY)         \
    X(ASK_CALLED_VIA_FIRST,         "aws:CalledViaFirst",                            ONE)          \
    X(ASK_CALLED_VIA_LAST,          "aws:CalledViaLast",                             ONE)          \
    X(ASK_USER_NAME,                "aws:username",                                  ONE)          \
    X(ASK_TOKEN_ISSUE_TIME,         "aws:TokenIssueTime",                            ONE)          \
    X(ASK_MFA_PRESENT,              "aws:MultiFactorAuthPresent",                    ONE)          \
    X(ASK_FEDERATED_PROVIDER,       "aws:FederatedProvider",                         ONE)          \
    X(ASK_SOURCE_IDENTITY,          "aws:SourceIdentity",                            ONE)          \
    X(ASK_REFERER,                  "aws:Referer",                                   ONE)          \
    X(ASK_EXTERNAL_ID,              "sts:ExternalId",                                ONE)          \
    X(ASK_ROLE_SESSION_NAME,        "sts:RoleSessionName",                           ONE)          \
    X(ASK_STS_SOURCE_IDENTITY,      "sts:SourceIdentity",                            ONE)          \
    X(ASK_TRANSITIVE_TAG_KEYS,      "sts:TransitiveTagKeys",                         MANY)         \
    X(ASK_STS_SERVICE_NAME,         "sts:AWSServiceName",                            ONE)          \
    X(ASK_PERMISSIONS_BOUNDARY,     "iam:PermissionsBoundary",                       ONE)          \
    X(ASK_POLICY_ARN,               "iam:PolicyARN",                                 ONE)          \
    X(ASK_PASSED_TO_SERVICE,        "iam:PassedToService",                           ONE)          \
    X(ASK_IAM_RESOURCE_TAG,         "iam:ResourceTag/",                              NAMED)        \
    X(ASK_TOKEN_CLAIM,              "",                                              NAMED)
// clang-format on

enum condition_key_id {
#define CONDITION_ID(id, name, many) id,
    CONDITION_KEYS(CONDITION_ID)
#undef CONDITION_ID
        ASK_UNKNOWN, /* never asked for: absent */
};

struct condition_key {
    enum condition_key_id id;
    struct bytes          name; /* of a NAMED key: what the client named, as the policy writes it */
};

enum condition_answer {
    CONDITION_ABSENT, /* no such key in this request, or no value number `i` */
    CONDITION_VALUE,
    CONDITION_UNSURE, /* two answers are possible: the request is denied */
};

enum { CONDITION_ROOM = 64 };

/* The value number `i` (from 0; keys that are not MANY have one). It may be written into `room`,
 * or lie in the request: those of the encryption context and its keys always do. Times are ISO 8601
 * or seconds since the epoch. */
typedef enum condition_answer condition_source(void *ctx, const struct condition_key *key, size_t i,
                                               char room[CONDITION_ROOM], struct bytes *ret);

/* --- evaluating ------------------------------------------------------------------------------- */

enum caller_kind {
    CALLER_ROOT,
    CALLER_USER,
    CALLER_SESSION,
    CALLER_FEDERATED, /* user */
    CALLER_SERVICE,
    CALLER_WEB, /* asks for a session with a token of its provider: covered by the provider's
                   "Federated" principal only, for denials by "*" too */
};

struct policy_caller {
    enum caller_kind kind;
    struct bytes     account;   /* empty for a service */
    struct bytes     arn;       /* as in messages; a service's name; the provider of CALLER_WEB */
    struct bytes     role_arn;  /* CALLER_SESSION: of its role, with the role's path; else empty */
    struct bytes     unique_id; /* AIDA...; AROA...:session; of a federated user <account>:<name>;
                                   of a root user the account; may be empty */
};

struct policy_request {
    struct policy_caller caller;
    struct bytes         action;   /* "kms:Encrypt" */
    struct bytes         resource; /* ARN */
    condition_source    *values;   /* NULL: every condition key is absent */
    void                *ctx;      /* for `values` */
    bool lasting; /* what will be allowed from now on, not just this time: an allowance that depends
                     on the circumstances of a request does not count, a denial does */
};

/* In order of weight: what a document says is the weightiest that any of its statements says. */
enum policy_verdict {
    POLICY_NOTHING,
    POLICY_DELEGATES, /* allows the caller's account: its identity policies decide */
    POLICY_ALLOWS,
    POLICY_DENIES,
};

enum { POLICY_NO_STATEMENT = -1 };

struct policy_result {
    enum policy_verdict verdict;
    int                 statement; /* which one decided, from 0; POLICY_NO_STATEMENT: none */
    struct bytes        sid;       /* of that statement, lies in the policy; may be empty */
    bool                unsure;    /* denied because there was no clear answer */
    bool                directly;  /* allowed as the user or session itself, or as everybody: not
                                      through its role or account */
};

/* What a document says of a request. Documents without principals (POLICY_IDENTITY and the like)
 * say it of whoever they are attached to. */
struct policy_result policy_evaluate(const struct policy *p, const struct policy_request *rq);
