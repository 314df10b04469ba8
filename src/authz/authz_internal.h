/* authz/authz_internal.h - what deciding and explaining share. */
#pragma once

#include "authz/authz.h"
#include "key/rights.h"

/* Is the key of the caller's account? Only where there is a key. */
bool authz_is_own(const struct authz_request *rq);
/* The request as documents are asked. */
struct policy_request authz_question(const struct authz_request *rq);
/* What one document says; a NULL one denies, unsure. */
struct policy_result authz_ask(const struct authz_request *rq, const struct policy *p);
