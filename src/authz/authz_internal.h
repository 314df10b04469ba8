/* authz/authz_internal.h - what deciding and explaining share. */
#pragma once

#include "authz/authz.h"
#include "key/rights.h"

/* Is the key of the caller's account? Only where there is a key. */
bool authz_is_own(const struct authz_request *rq);
/* The policy of the key; NULL if it could not be compiled. Only where there is a key. */
const struct policy *authz_key_policy(const struct authz_request *rq);
/* The request as documents are asked. */
struct policy_request authz_question(const struct authz_request *rq);
/* What one document says; a NULL one denies, unsure. */
struct policy_result authz_ask(const struct authz_request *rq, const struct policy *p);

/* Its name; inline session policies have none. */
struct bytes authz_name(const struct authz_policy *p);

/* --- grants.c --------------------------------------------------------------------------------- */

/* The grants that count, one of each sort. */
struct authz_granted {
    const struct grant_record *whole[AUTHZ_BINDINGS];
    const struct grant_record *half[AUTHZ_BINDINGS]; /* to another account, which must agree */
};

/* Looks for them; not in sets of a lesser binding if there is a whole exact one. */
void authz_look_at_grants(const struct authz_request *rq, struct authz_granted *ret);

/* Why a grant of rq->grants does not count: the first of its reasons. */
enum authz_grant_flaw {
    GRANT_COUNTS,
    GRANT_LACKS_OPERATION,
    GRANT_HAS_OTHER_SOURCE,
    GRANT_HAS_OTHER_CONTEXT,
    GRANT_IS_NARROWER, /* than the child that CreateGrant wants to make */
};
/* Not for RetireGrant. */
enum authz_grant_flaw authz_grant_flaw(const struct authz_request *rq,
                                       const struct grant_record  *g);
