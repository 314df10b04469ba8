/* throttle/throttle.h - how often: token buckets per principal, per account, and per source address
 * of failed authentication (trust-model 4.7).
 *
 * A bucket holds what one second allows and fills evenly. Any thread may ask; nobody waits for a
 * lock except who sees a principal for the first time.
 */
#pragma once

#include "base/bytes.h"

struct throttle;

/* Per second; 0: no limit. */
struct throttle_rates {
    uint32_t principal; /* requests of one user, role or root user */
    uint32_t account;   /* requests of all of an account */
    uint32_t failures;  /* requests of one address whose signature was not good */
};

/* `seed` hides which source addresses share a bucket (there are 16,384). NULL when out of
 * memory. */
struct throttle *throttle_new(const struct throttle_rates *rates, uint64_t seed);
void throttle_free(struct throttle *t); /* NULL is fine */

/* Takes one request out of both buckets; false: one of them is empty. `principal` is a unique id.
 * Principals beyond the first 262,144 since start are held back by
 * their account alone, or share one bucket where accounts have no rate. `now_ns`: monotonic. */
bool throttle_request(struct throttle *t, struct bytes account, struct bytes principal,
                      int64_t now_ns);

/* Has this source failed too often just now? `source`: its network, as in struct exchange. */
bool throttle_source_blocked(struct throttle *t, struct bytes source, int64_t now_ns);
/* A signature of this source was not good. */
void throttle_failure(struct throttle *t, struct bytes source, int64_t now_ns);

struct throttle_counts {
    uint64_t requests; /* refused for their principal's or account's rate */
    uint64_t sources;  /* refused for their source's failures */
};
struct throttle_counts throttle_counts(const struct throttle *t);
