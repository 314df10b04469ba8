/* identity/caller.h - who signed a request, and what its own side says.
 *
 * Looked up at every request, and again whenever one goes on after its epoch section was left: what
 * was taken away meanwhile is gone.
 */
#pragma once

#include "identity/book.h"

enum {
    CALLER_ID_MAX = UNIQUE_ID_MAX + 1 + SESSION_NAME_MAX,
    CALLER_ARN_MAX = IDENTITY_ARN_MAX,
    ACCESS_KEY_ID_MAX = 128,
};

struct caller {
    /* valid in the epoch section of the lookup */
    const struct access_key_record *key;
    const struct identity_record   *identity; /* user or role; NULL: a root user */
    const struct account_record    *account;
    struct authz_caller             authz;
    struct authz_policy             policies[INLINE_MAX + ATTACHED_MAX];
    struct authz_policy             session[SESSION_POLICIES_MAX];

    /* copies, valid as long as this is */
    char access_key_id[ACCESS_KEY_ID_MAX + 1];
    char account_id[ACCOUNT_LEN + 1];
    char arn[CALLER_ARN_MAX + 1];      /* as in messages: a role's path is no part of it */
    char unique_id[CALLER_ID_MAX + 1]; /* AIDA..., AROA...:session; of a root user the account */
    struct bytes arn_view, unique_id_view;
};

/* Fills *ret for an access key; its policies are empty until caller_policies. False, and *ret says
 * nothing, if there is no such key, it is not active, its session has ended at `now`, or its user or
 * role is gone. */
KMS_MUST_CHECK bool caller_find(const struct identity_book *b, struct bytes access_key_id,
                                int64_t now, struct caller *ret);
/* Fills in ret->authz what documents say: before the first decision in a section. */
void caller_policies(const struct identity_book *b, struct caller *ret);
/* "Root", "IAMUser", "AssumedRole": as audit records and aws:PrincipalType name it. */
const char *caller_type(const struct caller *c);
