/* accounts.h - what the operator does with accounts, through the local socket: `trent account ...`.
 *
 * POST /_trent/accounts/list, create, update and access-key, with parameters in JSON. Not part of
 * the API and not signed: who reaches the socket in the data directory may read that directory. One
 * operation at a time, on the pool, since it waits for a commit; each change has its audit event.
 */
#pragma once

#include <stdatomic.h>

#include "identity/record.h"
#include "listener/listener.h"

struct server;
struct accounts;

/* NULL when out of memory. */
struct accounts *accounts_new(struct server *s);
/* After the pool has stopped; NULL is fine. */
void accounts_free(struct accounts *a);
/* On the loop's thread. True if the path is one of these and the exchange local: then it has been,
 * or will be, answered. */
bool accounts_run(struct accounts *a, struct exchange *ex);
