/* request.h - the path of a request: what the listener hands in, and the list of steps behind it.
 *
 * request.c is the list; server.c is what all requests share (loops, batches, counters).
 */
#pragma once

#include "audit/audit.h"
#include "base/pool.h"
#include "commit/commit.h"
#include "config/config.h"
#include "jobs/jobs.h"
#include "listener/listener.h"
#include "operation/operation.h"
#include "throttle/throttle.h"
#include "webhook/webhook.h"

/* What a request may use. Filled by main.c; all of it outlives every request. */
struct server_parts {
    const struct config            *config;
    struct clock                   *clock;
    struct epoch                   *epoch;
    struct directory               *directory;
    struct identity_book           *identities;
    struct vault                   *vault;
    struct store                   *store;
    struct audit                   *audit;
    struct committer               *committer;
    struct jobs                    *jobs;
    struct pool                    *pool;
    struct throttle                *throttle;
    struct oidc_providers          *oidc;              /* NULL: none configured */
    struct webhook                 *webhook;           /* NULL: none configured */
    struct expiring                *expiring;          /* NULL: the metrics name no keys */
    const struct attestation_roots *attestation_roots; /* NULL: none configured */
    struct seeder                  *seeder;            /* NULL: not in development mode */
};

struct server;

KMS_MUST_CHECK enum kms_status server_new(const struct server_parts *parts, unsigned loops,
                                          struct server **ret, struct kms_error *reterr);
/* For struct listener_config; ctx is the server. */
struct listener_hooks server_hooks(struct server *s);
void server_set_listener(struct server *s, struct listener *l);
/* Health: from when it is ready, until it drains. */
void server_set_ready(struct server *s, bool ready);
void server_free(struct server *s);
