/* Connections per address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "listener/peers_internal.h"

static struct sockaddr_storage socket_address(const char *address)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr_in      in = { .sin_family = AF_INET };
    struct sockaddr_in6     in6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
        memcpy(&storage, &in, sizeof in);
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
        memcpy(&storage, &in6, sizeof in6);
    }
    return storage;
}

static struct peer *enter(struct peers *p, const char *address)
{
    struct sockaddr_storage storage = socket_address(address);

    return peers_enter(p, (const struct sockaddr *)&storage);
}

static bool same_network(const char *one, const char *other)
{
    struct sockaddr_storage a = socket_address(one);
    struct sockaddr_storage b = socket_address(other);
    uint8_t                 of_a[PEERS_NETWORK_MAX] = { 0 };
    uint8_t                 of_b[PEERS_NETWORK_MAX] = { 0 };

    return peers_network((const struct sockaddr *)&a, of_a) ==
               peers_network((const struct sockaddr *)&b, of_b) &&
           memcmp(of_a, of_b, sizeof of_a) == 0;
}

static void total_per_address(void **state)
{
    struct peers *p = peers_new(3, 100);
    struct peer  *a[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_non_null(a[i] = enter(p, "10.0.0.1"));
    assert_null(enter(p, "10.0.0.1"));
    struct peer *other = enter(p, "10.0.0.2");
    assert_non_null(other);
    peers_leave(p, other, false);
    peers_leave(p, a[0], false);
    assert_non_null(a[0] = enter(p, "10.0.0.1"));
    assert_null(enter(p, "10.0.0.1"));
    for (size_t i = 0; i < 3; i++)
        peers_leave(p, a[i], false);
    peers_free(p);
}

static void unauthenticated_per_address(void **state)
{
    struct peers *p = peers_new(4, 2);
    struct peer  *a[4];

    (void)state;
    assert_non_null(a[0] = enter(p, "10.0.0.1"));
    assert_non_null(a[1] = enter(p, "10.0.0.1"));
    assert_null(enter(p, "10.0.0.1"));
    peers_authenticated(p, a[0]);
    assert_non_null(a[2] = enter(p, "10.0.0.1"));
    assert_null(enter(p, "10.0.0.1"));
    peers_leave(p, a[0], true); /* does not make room for another unauthenticated one */
    assert_null(enter(p, "10.0.0.1"));
    peers_leave(p, a[1], false);
    assert_non_null(a[3] = enter(p, "10.0.0.1"));
    peers_leave(p, a[2], false);
    peers_leave(p, a[3], false);
    peers_free(p);
}

static void what_counts_as_one_address(void **state)
{
    static const struct {
        const char *one, *other;
        bool        same;
    } cases[] = {
        { "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true },
        { "2001:db8:1:2::1", "2001:db8:1:3::1", false },
        { "::ffff:10.0.0.1", "10.0.0.1", true },
        { "::ffff:10.0.0.1", "::ffff:10.0.0.2", false },
        { "::1", "127.0.0.1", false },
        { "0.0.0.0", "::1", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peers *p = peers_new(1, 1);
        assert_non_null(enter(p, cases[i].one));
        assert_int_equal(enter(p, cases[i].other) == NULL, cases[i].same);
        assert_int_equal(same_network(cases[i].one, cases[i].other), cases[i].same);
        peers_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(total_per_address),
        cmocka_unit_test(unauthenticated_per_address),
        cmocka_unit_test(what_counts_as_one_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
