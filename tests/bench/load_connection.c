/* tests/bench/load_connection.c - one connection of the load generator: requests out, answers in. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

void connection_open(const struct plan *plan, struct connection *c)
{
    int on = 1;

    errno = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&plan->to, sizeof plan->to) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (plan->tls != NULL) {
        c->tls = SSL_new(plan->tls);
        if (c->tls == NULL || SSL_set_fd(c->tls, c->fd) != 1 || SSL_connect(c->tls) != 1)
            die("TLS handshake");
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    c->busy = false;
}

void connection_close(struct connection *c)
{
    SSL_free(c->tls);
    ERR_clear_error(); /* SSL_get_error() looks at it for the next connection, too */
    c->tls = NULL;
    (void)close(c->fd); /* and out of the epoll set with it */
}

/* Bytes written, 0 when the socket is full, -1 when the connection has ended. */
static ssize_t write_some(struct connection *c, const uint8_t *data, size_t len)
{
    if (c->tls != NULL) {
        int n = SSL_write(c->tls, data, (int)len);
        if (n > 0)
            return n;
        return SSL_get_error(c->tls, n) == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

bool connection_send(struct connection *c, struct piece request, struct outcome *o)
{
    size_t sent = 0;

    c->got = c->want = c->body = 0;
    c->busy = true;
    c->turn++;
    while (sent < request.len) {
        ssize_t n = write_some(c, request.data + sent, request.len - sent);
        if (n < 0)
            return false;
        if (n == 0) { /* larger than the socket's buffer: the server is reading it */
            struct pollfd p = { .fd = c->fd, .events = POLLOUT };
            (void)poll(&p, 1, 1000);
        }
        sent += (size_t)n;
    }
    o->sent_bytes += sent;
    return true;
}

/* Bytes read, 0 when there are none now, -1 when the connection has ended. */
static ssize_t read_some(struct connection *c, void *to, size_t len)
{
    if (c->tls != NULL) {
        int n = SSL_read(c->tls, to, (int)len);
        if (n > 0)
            return n;
        return SSL_get_error(c->tls, n) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t n = recv(c->fd, to, len, 0);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    return n == 0 ? -1 : n;
}

/* The value of a header of the answer, as the rest of the text; NULL if it is not there. */
static const char *header(const struct connection *c, const char *name)
{
    size_t      len = strlen(name);
    const char *line = c->answer;

    while ((line = strchr(line, '\n')) != NULL && ++line < c->answer + c->body) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    }
    return NULL;
}

/* The head has just become complete: how long the answer is. */
static void read_head(struct connection *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n");

    if (end == NULL) {
        if (c->got >= ANSWER_KEPT)
            die("the head of an answer is too long");
        return;
    }
    c->body = (size_t)(end - c->answer) + 4;
    const char *length = header(c, "content-length");
    c->want = c->body + (length == NULL ? 0 : strtoul(length, NULL, 10));
}

enum progress connection_receive(struct connection *c, struct outcome *o)
{
    for (;;) {
        char    rest[ANSWER_KEPT];
        bool    keep = c->got < ANSWER_KEPT;
        ssize_t n = keep ? read_some(c, c->answer + c->got, ANSWER_KEPT - c->got)
                         : read_some(c, rest, sizeof rest);
        if (n < 0)
            return ENDED;
        if (n == 0)
            return MORE_TO_COME;
        c->got += (size_t)n;
        o->received_bytes += (uint64_t)n;
        if (keep)
            c->answer[c->got] = '\0';
        if (c->want == 0)
            read_head(c);
        if (c->want != 0 && c->got >= c->want)
            return ANSWERED;
        if (c->tls == NULL && c->got < ANSWER_KEPT)
            return MORE_TO_COME; /* the socket has no more: epoll tells when it has */
    }
}

void connection_check(const struct plan *plan, const struct connection *c, struct outcome *o)
{
    bool status = strncmp(c->answer, "HTTP/1.", 7) == 0 && strncmp(c->answer + 8, " 200 ", 5) == 0;
    bool body = plan->expect == NULL ||
                strncmp(c->answer + c->body, plan->expect, strlen(plan->expect)) == 0;

    if (status && body)
        return;
    if (o->wrong_status + o->wrong_body == 0)
        (void)fprintf(stderr, "load: a wrong answer: %.600s\n", c->answer);
    o->wrong_status += !status;
    o->wrong_body += status && !body;
}

bool connection_is_last(const struct connection *c)
{
    const char *value = header(c, "connection");

    if (value != NULL)
        return strncasecmp(value, "close", 5) == 0;
    return strncmp(c->answer, "HTTP/1.0", 8) == 0;
}
