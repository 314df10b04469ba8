/* listener/peers_internal.h - how many connections each address has (trust-model 4.7).
 *
 * Shared by all loops, under one mutex, and touched when a connection comes, goes, or shows its first
 * good signature; never per request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct peers;
struct peer; /* one address that has connections */

struct peers *peers_new(unsigned max_per_address,
                        unsigned max_unauthenticated); /* NULL: no memory */
void peers_free(struct peers *p);

/* What of an address counts as one: an IPv4 address, also mapped into IPv6; an IPv6 /64, since that is what
 * one host gets. Its length, PEERS_IPV4 or PEERS_NETWORK_MAX. */
enum { PEERS_IPV4 = 4, PEERS_NETWORK_MAX = 8 };
size_t peers_network(const struct sockaddr *address, uint8_t ret[PEERS_NETWORK_MAX]);

/* Counts one more connection of this address. NULL when that is one too many (or for lack of memory): refuse it. */
struct peer *peers_enter(struct peers *p, const struct sockaddr *address);
/* The connection has shown a good signature and counts as authenticated. */
void peers_authenticated(struct peers *p, struct peer *peer);
/* The connection is gone; `authenticated` if peers_authenticated was called for it. */
void peers_leave(struct peers *p, struct peer *peer, bool authenticated);
