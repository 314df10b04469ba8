/* See toy.h and toy_tls.h: the clients and their certificates. */
#include "toy_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 * 1024 * 1024 };

static struct client *client_on(int fd)
{
    struct client *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->fd = fd;
    buf_init(&c->in, ANSWER_MAX);
    return c;
}

static struct client *connect_to(unsigned port, int receive_buffer)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (receive_buffer > 0)
        assert_int_equal(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return client_on(fd);
}

struct client *client_new(struct toy *t)
{
    return connect_to(toy_port(t), 0);
}

struct client *client_new_narrow(struct toy *t)
{
    return connect_to(toy_port(t), 4096);
}

struct client *client_local(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof to.sun_path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return client_on(fd);
}

void client_free(struct client *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        (void)close(c->fd);
    buf_release(&c->in);
    free(c);
}

/* A socket with a time limit is interrupted without any signal where the kernel has work for this thread, as
 * libuv's io_uring gives it (1.45 and later). */
static bool interrupted(SSL *ssl, int result)
{
    int reason = errno;
    int why = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);

    errno = 0;
    return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) && reason == EINTR;
}

static ssize_t tls_send(struct client *c, struct bytes in)
{
    int n;

    do
        n = SSL_write(c->ssl, in.ptr, (int)in.len);
    while (interrupted(c->ssl, n));
    return n;
}

static ssize_t tls_receive(struct client *c, uint8_t *out, size_t room)
{
    int n;

    do
        n = SSL_read(c->ssl, out, (int)room);
    while (interrupted(c->ssl, n));
    return n;
}

void client_send_bytes(struct client *c, struct bytes in)
{
    while (in.len > 0) {
        ssize_t n = c->ssl != NULL ? tls_send(c, in) : send(c->fd, in.ptr, in.len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* refused in the middle: the answer tells */
        in = bytes_of(in.ptr + n, in.len - (size_t)n);
    }
}

void client_send(struct client *c, const char *text)
{
    client_send_bytes(c, bytes_str(text));
}

void client_finish_sending(struct client *c)
{
    if (c->ssl != NULL)
        (void)SSL_shutdown(c->ssl);
    (void)shutdown(c->fd, SHUT_WR);
}

void client_reset(struct client *c)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    (void)close(c->fd);
    c->fd = -1;
}

/* Readable within `ms`? */
static bool wait_for(struct client *c, int64_t ms)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };

    return (c->ssl != NULL && SSL_pending(c->ssl) > 0) || poll(&p, 1, (int)ms) == 1;
}

/* > 0 bytes, 0 at the end, -1 reset. The test fails if nothing comes at all. */
static ssize_t receive(struct client *c)
{
    uint8_t part[8192];

    if (!wait_for(c, PATIENCE_MS))
        fail_msg("nothing came in %d ms; so far: %.*s", PATIENCE_MS, BYTES_FMT(buf_bytes(&c->in)));
    ssize_t n = c->ssl != NULL ? tls_receive(c, part, sizeof part)
                               : recv(c->fd, part, sizeof part, 0);
    if (n > 0)
        buf_add(&c->in, bytes_of(part, (size_t)n));
    explicit_bzero(part, sizeof part);
    if (c->ssl != NULL && n <= 0)
        return SSL_get_error(c->ssl, (int)n) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    return n;
}

static const uint8_t *head_end(struct client *c)
{
    return c->in.len == 0 ? NULL : memmem(c->in.ptr, c->in.len, "\r\n\r\n", 4);
}

struct bytes client_head(struct client *c)
{
    const uint8_t *end;

    while ((end = head_end(c)) == NULL) {
        if (receive(c) <= 0)
            fail_msg("the server closed after '%.*s'", BYTES_FMT(buf_bytes(&c->in)));
    }
    return bytes_of(c->in.ptr, (size_t)(end + 4 - c->in.ptr));
}

static size_t length_of(struct bytes head)
{
    static const char name[] = "\r\nContent-Length: ";
    const uint8_t    *at = memmem(head.ptr, head.len, name, sizeof name - 1);
    size_t            n = 0;

    assert_non_null(at);
    for (at += sizeof name - 1; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (size_t)(*at - '0');
    return n;
}

/* Reads one answer; its length in all. Interim answers (100) count as answers without a body. */
static size_t read_answer(struct client *c, int *ret_status, struct bytes *ret_body)
{
    struct bytes head = client_head(c);

    assert_true(bytes_starts(head, BYTES_LIT("HTTP/1.1 ")));
    *ret_status = (head.ptr[9] - '0') * 100 + (head.ptr[10] - '0') * 10 + head.ptr[11] - '0';
    size_t length = *ret_status == 100 ? 0 : length_of(head);
    size_t head_len = head.len;
    while (c->in.len < head_len + length) {
        if (receive(c) <= 0)
            fail_msg("the server closed within a body");
    }
    *ret_body = bytes_of(c->in.ptr + head_len, length);
    return head_len + length;
}

void client_expect(struct client *c, int status, const char *body)
{
    int          got = 0;
    struct bytes text;
    size_t       len = read_answer(c, &got, &text);

    if (got != status)
        fail_msg("status %d instead of %d: %.*s", got, status, BYTES_FMT(client_head(c)));
    if (body != NULL && !bytes_eq_str(text, body))
        fail_msg("body '%.*s' instead of '%s'", BYTES_FMT(text), body);
    buf_consume(&c->in, len);
}

void client_expect_big(struct client *c, size_t n)
{
    int          got = 0;
    struct bytes text;
    size_t       len = read_answer(c, &got, &text);

    assert_int_equal(got, 200);
    assert_int_equal(text.len, n);
    for (size_t i = 0; i < n; i++) {
        if (text.ptr[i] != 'a' + i % 26)
            fail_msg("byte %zu of %zu is wrong", i, n);
    }
    buf_consume(&c->in, len);
}

void client_expect_end(struct client *c, bool reset_too)
{
    if (c->in.len > 0)
        fail_msg("not asked for: '%.*s'", BYTES_FMT(buf_bytes(&c->in)));
    ssize_t n = receive(c);
    if (n > 0)
        fail_msg("instead of closing the server says '%.*s'", BYTES_FMT(buf_bytes(&c->in)));
    if (n < 0 && !reset_too)
        fail_msg("the connection was reset");
}

void client_expect_silence(struct client *c, int64_t ms)
{
    if (c->in.len > 0 || wait_for(c, ms))
        fail_msg("the server was expected to wait");
}

/* --- TLS --------------------------------------------------------------------------------------------- */

SSL *client_ssl(struct client *c)
{
    return c->ssl;
}

static SSL_CTX *context_of(const struct tls_wish *wish)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0); /* so that it is the server who refuses */
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, wish->min), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, wish->max), 1);
    if (wish->ciphers != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, wish->ciphers), 1);
    if (wish->alpn != NULL) {
        unsigned char list[32] = { (unsigned char)strlen(wish->alpn) };
        memcpy(list + 1, wish->alpn, list[0]);
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, list, list[0] + 1u), 0);
    }
    return ctx;
}

static struct client *tls_on(struct client *c, const struct tls_wish *wish)
{
    SSL_CTX       *ctx = context_of(wish);
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    c->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    assert_non_null(c->ssl);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    int result;
    do
        result = SSL_connect(c->ssl);
    while (interrupted(c->ssl, result));
    if (result == 1)
        return c;
    client_free(c);
    return NULL;
}

struct client *client_tls(struct toy *t, const struct tls_wish *wish)
{
    return tls_on(client_new(t), wish);
}

struct client *client_at(unsigned port, bool tls)
{
    struct client *c = connect_to(port, 0);

    return tls ? tls_on(c, &(struct tls_wish){ 0 }) : c;
}

void client_server_name(struct client *c, char *out, size_t size)
{
    X509 *cert = SSL_get1_peer_certificate(c->ssl);

    assert_non_null(cert);
    assert_true(
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)size) > 0);
    X509_free(cert);
}

void toy_certificate(const char *dir, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509     *cert = X509_new();
    char      path[256];

    assert_true(key != NULL && cert != NULL);
    X509_NAME *subject = X509_get_subject_name(cert);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(cert, subject), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);

    (void)snprintf(path, sizeof path, "%s/cert.pem", dir);
    FILE *file = fopen(path, "w");
    assert_true(file != NULL && PEM_write_X509(file, cert) == 1 && fclose(file) == 0);
    (void)snprintf(path, sizeof path, "%s/cert.key", dir);
    file = fopen(path, "w");
    assert_true(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                fclose(file) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}
