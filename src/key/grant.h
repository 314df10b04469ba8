/* key/grant.h - grants: who may do what with one key, beside its policy (kms-behaviour 11).
 *
 * A grant is bound to identities, not to names (recorded-authz-multiregion 4.10): grantee and
 * retiring principal are what book_resolve_principal makes of them. Records are immutable; a grant
 * never changes, it is made and it is gone.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "key/id.h"

struct key_record;

/* What a grant may allow; stored as bits: append only. */
// clang-format off
#define GRANT_OPERATIONS(X)                                                                        \
    X(GRANT_DECRYPT,                "Decrypt")                                                     \
    X(GRANT_ENCRYPT,                "Encrypt")                                                     \
    X(GRANT_GENERATE_DATA_KEY,      "GenerateDataKey")                                             \
    X(GRANT_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, "GenerateDataKeyWithoutPlaintext")                \
    X(GRANT_RE_ENCRYPT_FROM,        "ReEncryptFrom")                                               \
    X(GRANT_RE_ENCRYPT_TO,          "ReEncryptTo")                                                 \
    X(GRANT_SIGN,                   "Sign")                                                        \
    X(GRANT_VERIFY,                 "Verify")                                                      \
    X(GRANT_GET_PUBLIC_KEY,         "GetPublicKey")                                                \
    X(GRANT_CREATE_GRANT,           "CreateGrant")                                                 \
    X(GRANT_RETIRE_GRANT,           "RetireGrant")                                                 \
    X(GRANT_DESCRIBE_KEY,           "DescribeKey")                                                 \
    X(GRANT_GENERATE_DATA_KEY_PAIR, "GenerateDataKeyPair")                                         \
    X(GRANT_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT, "GenerateDataKeyPairWithoutPlaintext")       \
    X(GRANT_GENERATE_MAC,           "GenerateMac")                                                 \
    X(GRANT_VERIFY_MAC,             "VerifyMac")                                                   \
    X(GRANT_DERIVE_SHARED_SECRET,   "DeriveSharedSecret")                                          \
    X(GRANT_ENCAPSULATE,            "Encapsulate")                                                 \
    X(GRANT_DECAPSULATE,            "Decapsulate")
// clang-format on

enum grant_operation {
#define GRANT_ID(id, name) id,
    GRANT_OPERATIONS(GRANT_ID)
#undef GRANT_ID
        GRANT_NO_OPERATION /* no grant allows it */
};
#define GRANT_OPERATION_COUNT GRANT_NO_OPERATION
/* Names as on the wire, in the order of the enum, NULL at the end. */
extern const char *const grant_operation_names[GRANT_OPERATION_COUNT + 1];
/* GRANT_NO_OPERATION for any other name. */
enum grant_operation grant_operation_of(struct bytes name);

/* Stored; append only. */
enum grant_constraint { GRANT_UNCONSTRAINED, GRANT_CONTEXT_EQUALS, GRANT_CONTEXT_SUBSET };

enum {
    GRANT_ID_LEN = 64,         /* hex digits */
    GRANT_PAIRS_MAX = 8,       /* of a constraint */
    GRANT_PRINCIPAL_MAX = 256, /* of an identity, or of a service's name */
    GRANTS_PER_KEY = 50000,
    GRANT_PAIRS_BYTES = 1024 * 1024, /* more than a request can bring */
};

struct grant_pair {
    struct bytes key, value;
};

struct grant_record {
    struct key_name key;  /* views into the arena */
    struct bytes    id;   /* 64 lower-case hex digits */
    struct bytes    name; /* empty: none */
    int64_t         created;
    uint64_t        serial;  /* order of creation; markers name it */
    struct bytes    grantee; /* identity; of a service "sqs.amazonaws.com" */
    bool            grantee_is_service;
    struct bytes    retiring; /* identity, may be empty */
    bool            retiring_is_service;
    struct bytes    issuing_account; /* decides about cross-account use: rule 11, 12 */
    uint32_t        operations;      /* 1u << enum grant_operation */

    enum grant_constraint constraint;
    struct grant_pair    *pairs; /* sorted by key */
    size_t                n_pairs;
    struct bytes          source_arn; /* Constraints.SourceArn; may be empty */

    struct arena *arena;
};

struct grant_record *grant_record_new(void);    /* NULL when out of memory */
void grant_record_free(struct grant_record *g); /* NULL is fine */
void grant_record_freep(struct grant_record **g);
/* Fills `key`: the ARN lies in the arena, the other three are views into it. */
void grant_record_set_key(struct grant_record *g, struct bytes account, struct bytes region,
                          struct bytes key_id);
/* Are they the same but for id, creation and serial? Such a grant with a name is not made twice
 * (recorded-authz-multiregion 4.6). */
bool grant_same(const struct grant_record *a, const struct grant_record *b);
/* The pairs as one value, as they are stored: per pair field(key) field(value), in their order. */
void grant_pairs_add(struct buf *out, const struct grant_record *g);
/* The reverse, copied into the arena. False if it is not such a value with at most GRANT_PAIRS_MAX
 * pairs whose keys ascend; `g` then has none. */
KMS_MUST_CHECK bool grant_pairs_read(struct grant_record *g, struct bytes stored);

/* The grants of one key to one grantee: what a decision looks at. Immutable. */
struct grant_set {
    size_t                     n;
    const struct grant_record *grants[];
};
