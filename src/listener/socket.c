/* listener/socket.c - addresses as text and listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "listener/listener_internal.h"

enum { HOST_MAX = 256 };

/* --- text ---------------------------------------------------------------------------------------- */

/* "host:port", "[v6]:port" or ":port" into its parts; false if it is none of these. */
static bool split(const char *address, char host[HOST_MAX], char port[8])
{
    const char *colon = strrchr(address, ':');

    if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len) != NULL) {
        return false; /* IPv6 without brackets */
    }
    if (len >= HOST_MAX)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

void socket_address_text(const struct sockaddr *address, char *out)
{
    struct sockaddr_in  in;
    struct sockaddr_in6 in6;

    out[0] = '\0';
    if (address->sa_family == AF_INET) {
        memcpy(&in, address, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, out, INET6_ADDRSTRLEN);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&in6, address, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) /* an IPv4 client of a socket for both */
            (void)inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
        else
            (void)inet_ntop(AF_INET6, &in6.sin6_addr, out, INET6_ADDRSTRLEN);
    }
}

static in_port_t port_of(const struct sockaddr_storage *address)
{
    struct sockaddr_in  in;
    struct sockaddr_in6 in6;

    if (address->ss_family == AF_INET) {
        memcpy(&in, address, sizeof in);
        return ntohs(in.sin_port);
    }
    memcpy(&in6, address, sizeof in6);
    return ntohs(in6.sin6_port);
}

/* The URL by which a client on this machine reaches it. */
static void write_url(char *out, size_t size, bool secure, const char *host,
                      const struct sockaddr_storage *bound)
{
    struct buf url = { .ptr = (uint8_t *)out, .cap = size, .limit = size };
    bool       v6 = strchr(host, ':') != NULL;

    buf_add_str(&url, secure ? "https://" : "http://");
    buf_add_str(&url, v6 ? "[" : "");
    buf_add_str(&url, host[0] == '\0' ? "localhost" : host);
    buf_add_str(&url, v6 ? "]:" : ":");
    buf_add_decimal(&url, port_of(bound));
    buf_add_byte(&url, '\0');
    if (!buf_ok(&url))
        out[0] = '\0';
}

/* --- TCP ----------------------------------------------------------------------------------------- */

struct place {
    int                     family;
    struct sockaddr_storage address;
    socklen_t               len;
};

static enum kms_status resolve(const char *host, const char *port, const char *address,
                               struct place *ret, struct kms_error *reterr)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
        /* no host: all addresses, which one IPv6 socket for both families covers */
        .ai_family = host[0] == '\0' ? AF_INET6 : AF_UNSPEC,
    };
    struct addrinfo *found = NULL;
    int              err = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);

    if (err != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot listen on '%s': %s", address,
                        gai_strerror(err));
    ret->family = found->ai_family;
    ret->len = found->ai_addrlen;
    memcpy(&ret->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return KMS_OK;
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* The first one binds alone, so that an address in use is noticed even if the other program (a second
 * server of the same user) shares it with SO_REUSEPORT; after that it lets its siblings join. */
static bool bind_and_listen(int fd, const struct place *place, bool first, bool shared)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) && /* accepted sockets inherit it */
           (place->family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
           (!shared || first || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
           bind(fd, (const struct sockaddr *)&place->address, place->len) == 0 &&
           (!shared || !first || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
           listen(fd, SOMAXCONN) == 0;
}

/* A listening socket; -1 with errno. */
static int bind_one(const struct place *place, bool first, bool shared)
{
    int fd = socket(place->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !bind_and_listen(fd, place, first, shared))
        closep(&fd);
    return fd;
}

static const char *bind_reason(int err)
{
    switch (err) {
    case EADDRINUSE:    return "the address is in use by another program";
    case EACCES:        return "ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE)";
    case EADDRNOTAVAIL: return "this machine does not have the address";
    default:            return strerror(err);
    }
}

enum kms_status socket_listen(const char *address, unsigned n, bool secure, int *ret_fds,
                              char *ret_url, size_t url_size, struct kms_error *reterr)
{
    struct place place = { 0 };
    char         host[HOST_MAX];
    char         port[8];

    if (!split(address, host, port))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "cannot listen on '%s': write it as HOST:PORT, [IPV6]:PORT or :PORT",
                        address);
    TRY(resolve(host, port, address, &place, reterr));
    ret_fds[0] = bind_one(&place, true, n > 1);
    if (ret_fds[0] < 0 && errno == EAFNOSUPPORT && host[0] == '\0') { /* a machine without IPv6 */
        TRY(resolve("0.0.0.0", port, address, &place, reterr));
        ret_fds[0] = bind_one(&place, true, n > 1);
    }
    if (ret_fds[0] < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot listen on '%s': %s", address,
                        bind_reason(errno));

    place.len = sizeof place.address;
    (void)getsockname(ret_fds[0], (struct sockaddr *)&place.address,
                      &place.len); /* the real port */
    for (unsigned i = 1; i < n; i++) {
        ret_fds[i] = bind_one(&place, false, true);
        if (ret_fds[i] < 0) {
            int err = errno;
            while (i-- > 0)
                (void)close(ret_fds[i]);
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot listen on '%s' %u times: %s", address,
                            n, bind_reason(err));
        }
    }
    write_url(ret_url, url_size, secure, host, &place.address);
    return KMS_OK;
}

/* --- the local socket ---------------------------------------------------------------------------- */

/* Somebody accepts on this path. */
static bool is_served(const struct sockaddr_un *address)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return true;
    return connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
}

/* Makes room for the name: nothing there, or a socket that nobody serves any more. */
static enum kms_status clear_name(const struct sockaddr_un *address, struct kms_error *reterr)
{
    const char *path = address->sun_path;
    struct stat st;

    if (lstat(path, &st) != 0)
        return KMS_OK;
    if (!S_ISSOCK(st.st_mode))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "local socket '%s': something else has this name",
                        path);
    if (is_served(address))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "local socket '%s': another server is running on this data", path);
    (void)unlink(path); /* left behind by a server that was killed */
    return KMS_OK;
}

/* The mode before the name: it is never open to others. */
static bool bind_local(int fd, const struct sockaddr_un *address)
{
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return false;
    if (listen(fd, SOMAXCONN) == 0)
        return true;
    int err = errno;
    (void)unlink(address->sun_path);
    errno = err;
    return false;
}

enum kms_status socket_listen_local(const char *path, int *ret_fd, struct kms_error *reterr)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "local socket '%s': the path is longer than the %zu characters that a socket "
            "may have",
            path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    TRY(clear_name(&address, reterr));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !bind_local(fd, &address))
        closep(&fd);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "local socket '%s': %s", path, strerror(errno));
    *ret_fd = fd;
    return KMS_OK;
}

bool socket_peer_is_owner(int fd)
{
    struct ucred peer;
    socklen_t    len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}
