/* identity/principals.h - whom policy documents name, bound to who that is.
 *
 * A document says "arn:aws:iam::111122223333:role/x" and means the role of that name that there is
 * when the document is put (kms-behaviour 12): a role that is created later under the same name
 * gets nothing by it. So beside the text stand its principals, lines "ARN unique-id\n", one for
 * each user, role and role session that it names, and compiling takes both.
 */
#pragma once

#include "identity/book.h"

/* For authz_check_key_policy and policy_principals_known; `ctx` is the book. Accounts, users, roles
 * and sessions of roles have to exist; services do, and nobody signs in otherwise. */
bool principal_known(const struct policy_principal *p, const void *ctx);
/* As principal_known, for trust policies: issuers of web identities are known too. */
bool principal_known_to_trust(const struct policy_principal *p, const void *ctx);

/* Appends the lines of a document that was compiled without any. Within an epoch section. */
void principals_bind(const struct identity_book *b, const struct policy *document,
                     struct buf *ret_lines);
/* The same from the text of one: KMS_E_POLICY and the like as policy_compile. */
KMS_MUST_CHECK enum kms_status principals_of(const struct identity_book *b, enum policy_kind kind,
                                             struct bytes text, struct buf *ret_lines,
                                             struct kms_error *reterr);

/* The document as answers show it: as it was put, but for those principals that are gone. Their
 * ARNs are shown as unique ids, also when there is another of the name. Within an epoch section. */
void principals_show(const struct identity_book *b, struct bytes text, struct bytes lines,
                     struct buf *out);
