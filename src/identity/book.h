/* identity/book.h - every account, identity and access key of this server, in memory.
 *
 * Like key/directory.h: readers are inside an epoch section, take no locks and get immutable
 * records; the committer is the only writer; what is published is what the next request sees.
 */
#pragma once

#include "authz/authz.h"
#include "base/epoch.h"
#include "identity/record.h"
#include "key/rights.h"

struct identity_book;

/* How the documents are compiled; one compiler per kind of document. */
struct identity_compilers {
    struct rights_compiler identity; /* identity, session and boundary documents */
    struct rights_compiler trust;
};

/* NULL when out of memory. */
struct identity_book *identity_book_new(struct epoch *epoch, uint64_t seed,
                                        const struct identity_compilers *with);
void identity_book_free(struct identity_book *b); /* NULL is fine */

/* --- readers ---------------------------------------------------------------------------------- */

const struct account_record *book_account(const struct identity_book *b, struct bytes id);
const struct access_key_record *book_access_key(const struct identity_book *b, struct bytes id);
/* By name (any case) in an account. */
const struct identity_record *book_identity(const struct identity_book *b, struct bytes account,
                                            enum identity_kind kind, struct bytes name);
/* Users and roles by AIDA..., AROA...; managed policies by ANPA... */
const struct identity_record *book_identity_by_id(const struct identity_book *b,
                                                  struct bytes                unique_id);
/* By ARN, path included. Managed policies of "arn:aws:iam::aws:policy/..." are found too. */
const struct identity_record *book_identity_by_arn(const struct identity_book *b, struct bytes arn);

/* Up to `max` in order of creation, those with serial > after. Slow lane. */
size_t book_list_identities(const struct identity_book *b, struct bytes account,
                            enum identity_kind kind, uint64_t after,
                            const struct identity_record **ret, size_t max);
/* The long-term access keys of a principal (unique id; the account for root), oldest first. */
size_t book_list_access_keys(const struct identity_book *b, struct bytes principal_id,
                             const struct access_key_record **ret, size_t max);
size_t book_list_accounts(const struct identity_book *b, const struct account_record **ret,
                          size_t max);
/* Users and roles that a managed policy is attached to, or is the boundary of. Slow lane. */
size_t book_attached_to(const struct identity_book *b, struct bytes policy_arn,
                        const struct identity_record **ret, size_t max, size_t *ret_as_boundary);
struct book_counts {
    size_t accounts, users, roles, policies, access_keys, sessions;
};
struct book_counts book_counts(const struct identity_book *b);
size_t book_sessions_of(const struct identity_book *b, struct bytes account);

/* The policies of a user or role: inline ones by name, attached ones by ARN, each with what it now
 * says. Returns how many; `ret` has room for INLINE_MAX + ATTACHED_MAX. A policy that cannot be
 * found or compiled is there with `policy` NULL. */
size_t book_policies(const struct identity_book *b, const struct identity_record *r,
                     struct authz_policy *ret);
/* Likewise the policies of a session; room for SESSION_POLICIES_MAX. */
size_t book_session_policies(const struct identity_book *b, const struct session *s,
                             struct authz_policy *ret);
/* The permissions boundary; `policy` NULL if it cannot be found. Only if r->boundary is set. */
struct authz_policy book_boundary(const struct identity_book *b, const struct identity_record *r);

/* --- last uses of long-term access keys ---------------------------------------------------------- */

/* Readers, any thread, without a lock: nothing happens if there is no such key (any more), it is a
 * session's, or a use of this second is marked already. `use->access_key` does not matter. */
void book_mark_used(struct identity_book *b, struct bytes access_key_id,
                    const struct access_key_use *use);
/* False if there is no such key or it was never used. */
bool book_last_used(const struct identity_book *b, struct bytes access_key_id,
                    struct access_key_use *ret);
/* True if there may be something for book_take_used. Any thread. */
bool book_has_used(const struct identity_book *b);
/* The writer: those marked since the last call. *ret is released by free(), NULL if there are none.
 * KMS_E_INTERNAL: no memory, nothing is taken. */
KMS_MUST_CHECK enum kms_status book_take_used(struct identity_book *b, struct access_key_use **ret,
                                              size_t *ret_n, struct kms_error *reterr);
/* The writer: what was taken could not be stored, the next call takes all of it again. */
void book_give_back_used(struct identity_book *b);
/* The writer, while loading, after the access key. */
void book_load_used(struct identity_book *b, struct bytes access_key_id,
                    const struct access_key_use *use);

/* --- principals named in documents and grants (recorded-authz-multiregion 4.10, rules 1 to 6) ---- */

enum principal_found {
    FOUND,
    FOUND_MALFORMED, /* not an ARN of a principal, or with a path where there is none */
    FOUND_UNKNOWN,   /* well-formed, names nobody */
};
/* Resolves what names a principal: ARN of a root, user, role, role session or federated user;
 * unique id (AIDA..., AROA...), "AROA...:session". The identity is appended to `ret`: of a user or
 * role its unique id, of a session AROA...:name, of a federated user <account>:<name>, of a root
 * user the account. */
enum principal_found book_resolve_principal(const struct identity_book *b, struct bytes text,
                                            struct buf *ret);
/* The reverse, for answers: the ARN while the principal exists, else the identity as it is. */
void book_principal_text(const struct identity_book *b, struct bytes identity, struct buf *out);

/* --- the writer ------------------------------------------------------------------------------- */

/* Each takes ownership; a record with the same name is replaced, and freed by the next
 * book_reclaim, after a barrier. The writer must not be inside an epoch section. Memory that runs
 * out ends the process. */
void book_put_account(struct identity_book *b, struct account_record *a);
void book_put_identity(struct identity_book *b, struct identity_record *r);
void book_remove_identity(struct identity_book *b, struct bytes unique_id);
void book_put_access_key(struct identity_book *b, struct access_key_record *k);
void book_remove_access_key(struct identity_book *b, struct bytes id);
/* Visits every access key (writer side): sessions that have ended are looked for this way. */
void book_each_access_key(struct identity_book *b,
                          void (*visit)(const struct access_key_record *, void *), void *ctx);
void book_reclaim(struct identity_book *b);
/* Removes everything (development reset) but AWS's managed policies. Nobody is inside an epoch section
 * meanwhile (epoch_close). */
void book_clear(struct identity_book *b);
