/* identity/managed.h - the managed policies that are there from the start, as account "aws" has
 * them. */
#pragma once

#include "identity/record.h"

/* The account in their ARNs: arn:aws:iam::aws:policy/<name>. */
#define MANAGED_ACCOUNT "aws"

size_t managed_count(void);
/* A record of its own of policy number `i`; NULL when out of memory. */
struct identity_record *managed_policy(size_t i);
