/* iam/internal.h - what the families of operations share. */
#pragma once

#include "base/cleanup.h"
#include "base/limits.h"
#include "iam/iam.h"
#include "identity/book.h"

/* --- rows ------------------------------------------------------------------------------------- */

/* What a request is about: the resource that policies are asked about, and the identity it names.
 * One that is not there is refused after authorization, by iam_begin. */
enum iam_target {
    IAM_NOTHING, /* "*" */
    IAM_USERS,   /* the users or roles of the account below PathPrefix */
    IAM_ROLES,
    IAM_USER,           /* UserName */
    IAM_USER_OR_CALLER, /* UserName, or who signed: a user, or the root user (call->identity NULL) */
    IAM_ROLE,           /* RoleName */
    IAM_POLICY,         /* PolicyArn; those of AWS may be read */
    IAM_OWN_POLICY,     /* PolicyArn, one that is to be changed */
    IAM_NEW_USER,       /* Path and UserName, not taken */
    IAM_NEW_ROLE,
    IAM_NEW_POLICY,
    IAM_SOURCE,    /* PolicySourceArn: a user or role */
    IAM_KEY_OWNER, /* the user of AccessKeyId */
};

enum iam_type { IAM_STRING, IAM_INT, IAM_BOOL, IAM_STRINGS, IAM_TAGS, IAM_CONTEXT_ENTRIES };
enum iam_flags { IAM_REQUIRED = 1 << 0, IAM_NO_AUDIT = 1 << 1 };

/* A parameter. Lengths count characters; of lists `max` counts elements. */
struct iam_param {
    const char   *name; /* NULL: end of the list */
    enum iam_type type;
    uint32_t      flags;
    int64_t       min, max; /* length, value or elements; max 0: no limit of its own */
    const char   *pattern;  /* named in the refusal of what `matches` does not take */
    bool (*matches)(struct bytes value);
    const char *const *values; /* an enumeration; NULL-terminated */
};

struct iam_row {
    struct operation        op; /* first: a row is found by its operation */
    const struct iam_param *params;
    enum iam_target         target;
};
static inline const struct iam_row *iam_row_of(const struct operation *op)
{
    return (const struct iam_row *)(const void *)op;
}

/* The steps of every row of IAM: parameters, target, and whether it is there. `finish` is the row's
 * own. Rows of STS have steps of their own and share iam_prepare. */
KMS_MUST_CHECK enum kms_status iam_prepare(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_resolve(struct op_call *call, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_begin(struct op_call *call, struct kms_error *reterr);

/* --- parameters (params.c) -------------------------------------------------------------------- */

bool iam_is_name(struct bytes text);        /* [\w+=,.@-]+ */
bool iam_is_path(struct bytes text);        /* (\u002F)|(\u002F[\u0021-\u007E]+\u002F) */
bool iam_is_path_prefix(struct bytes text); /* \u002F[\u0021-\u007F]* */
bool iam_is_policy_path(struct bytes text); /* ((/[A-Za-z0-9\.,\+@=_-]+)*)/ */
bool iam_is_word(struct bytes text);        /* [\w]+ */
bool iam_is_external_id(struct bytes text); /* [\w+=,.@:\/-]+ */
bool iam_is_latin(struct bytes text);       /* [\u0020-\u00FF]+ */
bool iam_is_document(struct bytes text);    /* [\u0009\u000A\u000D\u0020-\u00FF]+ */
bool iam_is_version(struct bytes text);     /* v[1-9][0-9]*(\.[A-Za-z0-9-]*)? */
/* Characters (code points) of a text. */
size_t iam_characters(struct bytes text);

/* A parameter of the request; ptr NULL: absent. */
struct bytes iam_arg(const struct op_call *call, const char *name);
/* Checked numbers and booleans; what is absent is `otherwise`. */
int64_t iam_int(const struct op_call *call, const char *name, int64_t otherwise);
bool iam_bool(const struct op_call *call, const char *name, bool otherwise);

/* Initialisers of struct iam_param that many operations share. */
// clang-format off
#define IAM_PATTERN(TEXT, FN)       .pattern = (TEXT), .matches = (FN)
#define IAM_NAME(NAME, FLAGS, MAX)                                                                 \
    { .name = (NAME), .type = IAM_STRING, .flags = (FLAGS), .min = 1, .max = (MAX),                \
      IAM_PATTERN("[\\w+=,.@-]+", iam_is_name) }
#define IAM_USER_NAME               IAM_NAME("UserName", IAM_REQUIRED, 64)
#define IAM_USER_NAME_OR_CALLER     IAM_NAME("UserName", 0, 128)
#define IAM_ROLE_NAME               IAM_NAME("RoleName", IAM_REQUIRED, 64)
#define IAM_POLICY_NAME             IAM_NAME("PolicyName", IAM_REQUIRED, IDENTITY_NAME_MAX)
#define IAM_ARN(NAME, FLAGS)                                                                       \
    { .name = (NAME), .type = IAM_STRING, .flags = (FLAGS), .min = 20, .max = 2048 }
#define IAM_PATH                                                                                   \
    { .name = "Path", .type = IAM_STRING, .min = 1, .max = IDENTITY_PATH_MAX,                      \
      IAM_PATTERN("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", iam_is_path) }
#define IAM_PATH_PREFIX                                                                            \
    { .name = "PathPrefix", .type = IAM_STRING, .min = 1, .max = IDENTITY_PATH_MAX,                \
      IAM_PATTERN("\\u002F[\\u0021-\\u007F]*", iam_is_path_prefix) }
#define IAM_POLICY_PATH(NAME)                                                                      \
    { .name = (NAME), .type = IAM_STRING, .min = 1, .max = IDENTITY_PATH_MAX,                      \
      IAM_PATTERN("((/[A-Za-z0-9\\.,\\+@=_-]+)*)/", iam_is_policy_path) }
#define IAM_DOCUMENT(NAME, FLAGS)                                                                  \
    { .name = (NAME), .type = IAM_STRING, .flags = IAM_NO_AUDIT | (FLAGS), .min = 1, .max = 131072,\
      IAM_PATTERN("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", iam_is_document) }
#define IAM_DESCRIPTION                                                                            \
    { .name = "Description", .type = IAM_STRING, .max = 1000 }
#define IAM_TAG_LIST(FLAGS)                                                                        \
    { .name = "Tags", .type = IAM_TAGS, .flags = (FLAGS), .max = LIMIT_TAGS }
#define IAM_PAGE                                                                                   \
    { .name = "Marker", .type = IAM_STRING, .flags = IAM_NO_AUDIT, .min = 1, .max = 320,           \
      IAM_PATTERN("[\\u0020-\\u00FF]+", iam_is_latin) },                                           \
    { .name = "MaxItems", .type = IAM_INT, .min = 1, .max = 1000 }
#define IAM_END                     { .name = NULL }
// clang-format on

/* --- who has which managed policy (uses.c) ---------------------------------------------------- */

/* Attachments and boundaries of a managed policy in the caller's account. */
struct iam_uses {
    size_t attached, boundaries;
};
/* One walk through all users and roles. */
struct iam_uses iam_uses(const struct op_call *call, struct bytes policy_arn);

/* All of them, for many questions: one walk, then a search for each. */
struct iam_use_table {
    struct iam_use *uses; /* sorted by ARN; owned */
    size_t          n, room;
};
KMS_MUST_CHECK enum kms_status iam_use_table(const struct op_call *call, struct iam_use_table *ret,
                                             struct kms_error *reterr);
void iam_use_table_release(struct iam_use_table *t);
struct iam_uses iam_use_table_find(const struct iam_use_table *t, struct bytes policy_arn);

/* --- limits of IAM ----------------------------------------------------------------------------- */

enum {
    IAM_KEYS_PER_USER = 2,
    IAM_ATTACHED_PER_IDENTITY = 10,
    /* characters that are not white space */
    IAM_USER_POLICY_SIZE = 2048,  /* of all inline policies of a user */
    IAM_ROLE_POLICY_SIZE = 10240, /* of all inline policies of a role */
    IAM_POLICY_SIZE = 6144,       /* of a version of a managed policy */
    IAM_TRUST_SIZE = 2048,
};

/* --- what handlers share (common.c) ----------------------------------------------------------- */

/* The user who signed, with a key of its own or a session of GetSessionToken; NULL for others. */
const struct identity_record *iam_caller_user(const struct op_call *call);
bool iam_caller_is_root(const struct op_call *call);

/* The name for messages: "user", "role", "policy". */
const char *iam_kind_word(enum identity_kind kind);

/* A record of the caller's account with a new unique id, as row of the change; owned by it. `path`
 * ptr NULL: "/". */
struct identity_record *iam_new(struct op_call *call, enum identity_kind kind, struct bytes path,
                                struct bytes name);
/* A clone that the change updates: what else is made from the same version runs again. Built-in
 * policies have no row and are never edited. */
struct identity_record *iam_edit(struct op_call *call, const struct identity_record *r);
/* Nothing of the record changes, but whoever changes it at the same time runs again: what this request
 * does depends on it being as it is. Nothing is done for a built-in policy. */
void iam_hold(struct op_call *call, const struct identity_record *r);
/* Likewise the caller's account. */
void iam_hold_account(struct op_call *call);
void iam_delete(struct op_call *call, const struct identity_record *r);
bool iam_is_built_in(const struct identity_record *r);

/* A managed policy by ARN, of the caller's account or built in; NULL if there is none. */
const struct identity_record *iam_policy(const struct op_call *call, struct bytes arn);
/* The policy that a request attaches: KMS_E_INPUT for what is no ARN of a policy, KMS_E_NOT_FOUND. It is
 * held. */
KMS_MUST_CHECK enum kms_status iam_take_policy(struct op_call *call, struct bytes arn,
                                               const struct identity_record **ret,
                                               struct kms_error              *reterr);
/* The name in a policy's ARN. */
struct bytes iam_policy_name(struct bytes arn);

/* Characters of a document that are not white space: what IAM's limits count. */
size_t iam_document_size(struct bytes text);
/* KMS_E_LIMIT over LIMIT_POLICY_BYTES: white space is stored too. */
KMS_MUST_CHECK enum kms_status iam_check_length(struct bytes text, struct kms_error *reterr);
/* KMS_E_POLICY with a text for what is no identity policy; iam_check_length. */
KMS_MUST_CHECK enum kms_status iam_check_document(struct bytes text, struct kms_error *reterr);

/* PermissionsBoundary of a request, if there is one, into the record; KMS_E_NOT_FOUND. */
KMS_MUST_CHECK enum kms_status iam_set_boundary(struct op_call *call, struct identity_record *r,
                                                struct kms_error *reterr);
/* Members of users and roles that have them: PermissionsBoundary and Tags. */
void iam_put_boundary(struct xml *x, const struct identity_record *r);
void iam_put_tags(struct xml *x, const struct key_tag *tags, size_t n);
/* Tags of a request (checked: iam_prepare) into the record. KMS_E_INPUT for keys that differ only in
 * case or are reserved, KMS_E_LIMIT for too many. */
KMS_MUST_CHECK enum kms_status iam_add_tags(struct op_call *call, struct identity_record *r,
                                            struct kms_error *reterr);
/* KMS_E_LIMIT when the account has as many of the kind as it may. */
KMS_MUST_CHECK enum kms_status iam_check_quota(const struct op_call *call, enum identity_kind kind,
                                               struct kms_error *reterr);
size_t iam_count(const struct op_call *call, enum identity_kind kind);

/* Does the record have the policy attached? Its place, or n_attached. */
size_t iam_attached_at(const struct identity_record *r, struct bytes arn);
/* The tag with this key, whatever its case; NULL if there is none. */
struct key_tag *iam_find_tag(struct key_tag *tags, size_t n, struct bytes key);

/* A new access key as row of the change, which owns it: id (prefix "AKIA" or "ASIA", and 16 characters),
 * secret, account of the caller, no session. The secret is appended to `ret_secret` for the answer. */
KMS_MUST_CHECK enum kms_status iam_new_access_key(struct op_call *call, const char prefix[4],
                                                  struct bytes principal_id, struct buf *ret_secret,
                                                  struct access_key_record **ret,
                                                  struct kms_error          *reterr);

/* --- listings --------------------------------------------------------------------------------- */

/* One page: Marker and MaxItems of a request. `after` is the position of the last item of the page
 * before: a serial number, or how many items came before. */
struct iam_page {
    uint64_t after;
    size_t   max;
};
KMS_MUST_CHECK enum kms_status iam_page_read(struct op_call *call, struct iam_page *ret,
                                             struct kms_error *reterr);
/* The end of a listing: IsTruncated, and Marker if there is more after `position`. */
KMS_MUST_CHECK enum kms_status iam_page_end(struct op_call *call, bool more, uint64_t position,
                                            struct kms_error *reterr);
/* Is there so much on the page that it ends before it has as many items as were asked for? IAM's pages may, too.
 * One more item of any kind fits: the longest are documents, LIMIT_POLICY_BYTES percent-encoded. */
enum { PAGE_BYTES = 128 * 1024 };
bool iam_page_full(const struct op_call *call);
/* Of `n` items those on this page: from *ret_from to before *ret_to. */
KMS_MUST_CHECK enum kms_status iam_slice(struct op_call *call, size_t n, size_t *ret_from,
                                         size_t *ret_to, struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status iam_slice_end(struct op_call *call, size_t n, size_t to,
                                             struct kms_error *reterr);
/* A listing of identities, in order of creation. */
struct iam_listing {
    const char        *name; /* of the list in the answer: "Users" */
    enum identity_kind kind;
    struct bytes       accounts[2]; /* one after the other; the second may be empty */
    const void        *ctx;         /* for both functions */
    /* NULL: all */
    bool (*wanted)(const struct op_call *call, const struct identity_record *r, const void *ctx);
    /* members of one */
    void (*put)(struct op_call *call, const struct identity_record *r, const void *ctx);
};
/* Writes those below PathPrefix that are on this page, and the end of the listing. */
KMS_MUST_CHECK enum kms_status iam_list(struct op_call *call, const struct iam_listing *listing,
                                        struct kms_error *reterr);
