/* listener/peers.c - see peers_internal.h. */
#include "listener/peers_internal.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 }; /* a quarter of LIMIT_CONNECTIONS: chains stay short without growing */

struct peer {
    struct peer *next;
    uint64_t     key;
    bool         ipv6;
    unsigned     total;
    unsigned     unauthenticated;
};

struct peers {
    pthread_mutex_t lock;
    unsigned        max_per_address;
    unsigned        max_unauthenticated;
    struct peer    *buckets[BUCKETS];
};

struct peers *peers_new(unsigned max_per_address, unsigned max_unauthenticated)
{
    struct peers *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail with default attributes */
    p->max_per_address = max_per_address;
    p->max_unauthenticated = max_unauthenticated;
    return p;
}

void peers_free(struct peers *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (p->buckets[i] != NULL) {
            struct peer *next = p->buckets[i]->next;
            free(p->buckets[i]);
            p->buckets[i] = next;
        }
    }
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

size_t peers_network(const struct sockaddr *address, uint8_t ret[PEERS_NETWORK_MAX])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    uint8_t              bytes[16] = { 0 };

    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(ret, &in.sin_addr, PEERS_IPV4);
        return PEERS_IPV4;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(bytes, &in6.sin6_addr, sizeof bytes);
    }
    bool is_mapped = true;
    for (size_t i = 0; i < sizeof mapped; i++)
        is_mapped = is_mapped && bytes[i] == mapped[i];
    size_t len = is_mapped ? PEERS_IPV4 : PEERS_NETWORK_MAX;
    memcpy(ret, is_mapped ? bytes + sizeof mapped : bytes, len);
    return len;
}

static uint64_t key_of(const struct sockaddr *address, bool *ret_ipv6)
{
    uint8_t  network[PEERS_NETWORK_MAX] = { 0 };
    uint64_t key;

    *ret_ipv6 = peers_network(address, network) != PEERS_IPV4;
    memcpy(&key, network, sizeof key);
    return key;
}

static struct peer **bucket_of(struct peers *p, uint64_t key)
{
    return &p->buckets[(key * 0x9e3779b97f4a7c15u) >>
                       54]; /* 54: the upper 10 bits, of 1024 buckets */
}

static struct peer *find_or_add(struct peers *p, uint64_t key, bool ipv6)
{
    struct peer **bucket = bucket_of(p, key);

    for (struct peer *peer = *bucket; peer != NULL; peer = peer->next) {
        if (peer->key == key && peer->ipv6 == ipv6)
            return peer;
    }
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->key = key;
    peer->ipv6 = ipv6;
    peer->next = *bucket;
    *bucket = peer;
    return peer;
}

static void forget(struct peers *p, struct peer *peer)
{
    struct peer **at = bucket_of(p, peer->key);

    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    free(peer);
}

struct peer *peers_enter(struct peers *p, const struct sockaddr *address)
{
    bool     ipv6;
    uint64_t key = key_of(address, &ipv6);

    (void)pthread_mutex_lock(&p->lock);
    struct peer *peer = find_or_add(p, key, ipv6);
    if (peer != NULL &&
        (peer->total >= p->max_per_address || peer->unauthenticated >= p->max_unauthenticated)) {
        if (peer->total == 0)
            forget(p, peer);
        peer = NULL;
    }
    if (peer != NULL) {
        peer->total++;
        peer->unauthenticated++;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return peer;
}

void peers_authenticated(struct peers *p, struct peer *peer)
{
    (void)pthread_mutex_lock(&p->lock);
    peer->unauthenticated--;
    (void)pthread_mutex_unlock(&p->lock);
}

void peers_leave(struct peers *p, struct peer *peer, bool authenticated)
{
    (void)pthread_mutex_lock(&p->lock);
    peer->total--;
    if (!authenticated)
        peer->unauthenticated--;
    if (peer->total == 0)
        forget(p, peer);
    (void)pthread_mutex_unlock(&p->lock);
}
