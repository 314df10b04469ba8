/* identity/record.h - who may sign: accounts, users, roles, managed policies, access keys, sessions.
 *
 * Plain values, immutable once published, like those of key/record.h: a change clones, edits the
 * clone and commits it. All strings and lists of a record lie in its arena. Names, limits and forms
 * are those of IAM; Trent is not IAM: docs/identities.md says what is there and what is not. Times
 * are milliseconds since the epoch, UTC.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "key/record.h"

/* Stored; append only. */
enum identity_kind {
    IDENTITY_USER,
    IDENTITY_ROLE,
    IDENTITY_POLICY, /* a managed policy of the account's own */
    IDENTITY_KIND_COUNT
};

enum {
    UNIQUE_ID_MAX = 128,
    IDENTITY_NAME_MAX = 128, /* of policies; users and roles have 64 */
    IDENTITY_PATH_MAX = 512,
    IDENTITY_ARN_MAX = 31 + PARTITION_MAX + IDENTITY_PATH_MAX + IDENTITY_NAME_MAX,
    SESSION_NAME_MAX = 64,
    ATTACHED_MAX = 20,        /* managed policies of one user or role */
    INLINE_MAX = 28,          /* inline policies of one: IAM limits only their bytes */
    POLICY_VERSIONS_MAX = 5,  /* of a managed policy */
    SESSION_POLICIES_MAX = 11 /* one inline, ten managed */
};

/* A policy document: an inline policy, or a version of a managed one ("v1"). */
struct identity_document {
    struct bytes name;
    struct bytes text;
    int64_t      created;
    bool         is_default; /* of versions */
    /* what it says, compiled: in published records only (key/rights.h) */
    const struct key_rights *rights;
};

struct identity_record {
    enum identity_kind kind;
    struct bytes       account;
    struct bytes       path; /* "/", "/team/" */
    struct bytes       name; /* unique in account and kind, whatever its case */
    struct bytes       arn;
    struct bytes       unique_id; /* AIDA..., AROA..., ANPA...: never used again */
    struct bytes       description;
    int64_t            created, updated;
    uint64_t           serial;  /* order of creation */
    uint64_t           version; /* +1 with every committed change; 1 at creation */

    /* roles */
    struct bytes             trust;            /* AssumeRolePolicyDocument */
    struct bytes             trust_principals; /* as key_record.principals */
    const struct key_rights *trust_rights;
    uint32_t                 max_session_s; /* 3600 to 43200 */

    /* users and roles */
    struct bytes  boundary; /* ARN of a managed policy; empty: none */
    struct bytes *attached; /* ARNs of managed policies, in order of attachment */
    size_t        n_attached;

    /* users and roles: inline policies; managed policies: versions, oldest first */
    struct identity_document *documents;
    size_t                    n_documents;
    uint32_t                  last_version; /* of managed policies: number of the newest */

    struct key_tag *tags;
    size_t          n_tags;

    struct arena *arena;
};

struct account_record {
    char     id[ACCOUNT_LEN + 1];
    char     name[51];         /* for people; may be empty */
    char     organization[33]; /* aws:PrincipalOrgID: "o-..."; may be empty */
    int64_t  created;
    uint64_t version;
};

/* Stored; append only. */
enum session_kind {
    SESSION_NONE, /* a long-term access key */
    SESSION_ROLE, /* AssumeRole, AssumeRoleWithWebIdentity */
    SESSION_USER, /* GetSessionToken of a user */
    SESSION_ROOT, /* GetSessionToken of a root user */
};

/* What temporary credentials have besides an access key. */
struct session {
    enum session_kind kind;
    struct bytes      name; /* RoleSessionName */
    int64_t           expires;
    uint8_t           token_hash[32]; /* SHA-256 of the session token, which nobody keeps */
    struct bytes      source_identity;
    struct bytes      provider; /* web identity: ARN of its provider, else empty */
    /* session policies: the inline one has an empty name, managed ones their ARN and no text */
    struct identity_document *policies;
    size_t                    n_policies;
    struct key_tag           *tags; /* of the session, above those of the role */
    size_t                    n_tags;
    uint32_t n_transitive; /* the first so many of them go on to sessions that this one makes */
};

struct access_key_record {
    struct bytes   id; /* AKIA..., ASIA... */
    struct bytes   account;
    struct bytes   principal_id; /* unique id of the user or role; of a root user the account */
    bool           root;
    bool           active;
    int64_t        created;
    uint64_t       serial;
    uint64_t       version;
    struct bytes   wrapped_secret; /* under the `principal` purpose key */
    struct session session;        /* kind SESSION_NONE: a long-term key */
    struct arena  *arena;
};

/* Stored; append only. */
enum used_service { USED_NONE, USED_KMS, USED_IAM, USED_STS, USED_SERVICE_COUNT };

/* What a long-term access key was used for last: GetAccessKeyLastUsed. */
struct access_key_use {
    uint64_t          access_key; /* serial of its record */
    int64_t           at;         /* whole seconds in ms */
    enum used_service service;
    char              region[REGION_MAX + 1];
};

/* Empty ones, each in an arena of its own; NULL when out of memory. */
struct identity_record *identity_record_new(void);
struct access_key_record *access_key_record_new(void);
/* A deep copy that may be edited until it is published; without compiled forms. */
struct identity_record *identity_record_clone(const struct identity_record *from);
struct access_key_record *access_key_record_clone(const struct access_key_record *from);
void identity_record_free(struct identity_record *r);     /* NULL is fine */
void access_key_record_free(struct access_key_record *k); /* NULL is fine */
void identity_record_freep(struct identity_record **r);
void access_key_record_freep(struct access_key_record **k);

/* arn:aws:iam::<account>:user/path/name and its like, and of the root user. */
void identity_arn_add(struct buf *out, enum identity_kind kind, struct bytes account,
                      struct bytes path, struct bytes name);
void root_arn_add(struct buf *out, struct bytes account);
/* The prefix of the kind's unique ids: "AIDA", "AROA", "ANPA". */
const char *identity_id_prefix(enum identity_kind kind);
/* The inline policy or version of this name; NULL if there is none. */
struct identity_document *identity_document_find(const struct identity_record *r,
                                                 struct bytes                  name);
/* The default version of a managed policy. */
const struct identity_document *identity_default_version(const struct identity_record *r);
