/* TLS clients of the toy server: the far side, so OpenSSL directly. */
#pragma once

#include <openssl/ssl.h>

#include "toy.h"

struct tls_wish {
    int         min, max; /* TLS1_2_VERSION, ...; 0: any */
    const char *ciphers;  /* TLS 1.2 and below; NULL: any */
    const char *alpn;     /* one protocol to offer; NULL: none */
};

/* Connects and shakes hands; NULL if the server refuses. */
struct client *client_tls(struct toy *t, const struct tls_wish *wish);
/* For a process that knows only the port. */
struct client *client_at(unsigned port, bool tls);
SSL *client_ssl(struct client *c);
/* The common name of the server's certificate. */
void client_server_name(struct client *c, char *out, size_t size);
