/* listener/tls.c - see tls_internal.h.
 *
 * OpenSSL reads and writes the descriptor itself: one system call fills its buffer with all records
 * that have come (read ahead), an answer of up to 16 KiB leaves as one record in one write. Its buffers
 * of 34 KiB stay between requests that follow each other closely (giving them back after every one,
 * as SSL_MODE_RELEASE_BUFFERS does, means wiping them every time) and go when a connection falls idle.
 */
#include "listener/tls_internal.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* TLS 1.2: ephemeral keys and AEAD only. (The suites of TLS 1.3 are all of that kind.) */
static const char suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                             "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                             "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* struct tls_context and struct tls are OpenSSL's SSL_CTX and SSL under our names. */
static SSL_CTX *ctx_of(struct tls_context *c)
{
    return (SSL_CTX *)c;
}

static SSL *ssl_of(struct tls *t)
{
    return (SSL *)t;
}

static enum kms_status unusable(struct kms_error *reterr, const char *what, const char *file)
{
    unsigned long code = ERR_peek_error(); /* the first one says the cause */
    const char   *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    enum kms_status status = KMS_FAIL(reterr, KMS_E_INTERNAL, "%s '%s' cannot be used: %s", what,
                                      file, reason == NULL ? "unknown error" : reason);
    ERR_clear_error();
    return status;
}

/* An encrypted key is an error: nobody is there to be asked for its passphrase. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* Clients that offer protocols must offer HTTP/1.1; those that offer none are taken to speak it. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    struct bytes offered = bytes_of(in, in_len);
    struct bytes head;
    struct bytes name;

    (void)ssl;
    (void)arg;
    while (bytes_take(&offered, 1, &head) && bytes_take(&offered, head.ptr[0], &name)) {
        if (bytes_eq_str(name, "http/1.1")) {
            *ret = name.ptr;
            *ret_len = (unsigned char)name.len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_rules(SSL_CTX *ctx)
{
    char groups[] = "X25519MLKEM768:X25519:P-256:P-384"; /* the macro below casts a const away */

    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                       SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_set_mode(ctx,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, suites) == 1 && SSL_CTX_set1_groups_list(ctx, groups) == 1;
}

enum kms_status tls_context_new(const char *cert, const char *key, struct tls_context **ret,
                                struct kms_error *reterr)
{
    enum kms_status status = KMS_OK;

    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || !set_rules(ctx))
        status = unusable(reterr, "TLS library", OpenSSL_version(OPENSSL_VERSION));
    else if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        status = unusable(reterr, "TLS certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        status = unusable(reterr, "TLS key", key);

    if (status != KMS_OK) {
        SSL_CTX_free(ctx);
        return status;
    }
    *ret = (struct tls_context *)ctx;
    return KMS_OK;
}

void tls_context_free(struct tls_context *c)
{
    SSL_CTX_free(ctx_of(c));
}

struct tls *tls_new(struct tls_context *c, int fd)
{
    SSL *ssl = SSL_new(ctx_of(c));

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return (struct tls *)ssl;
}

void tls_free(struct tls *t)
{
    SSL_free(ssl_of(t));
}

static enum io outcome(SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:   return IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:  return IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return IO_END;
    default:                    break;
    }
    /* Many clients just close. Nothing can be cut off that way: a request has its length. */
    bool ended = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    ERR_clear_error();
    return ended ? IO_END : IO_FAILED;
}

enum io tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int result = SSL_do_handshake(ssl_of(t));
    if (result == 1)
        return IO_OK;
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
        ERR_clear_error();
        return IO_PLAIN_HTTP;
    }
    return outcome(ssl_of(t), result);
}

enum io tls_read(struct tls *t, uint8_t *out, size_t room, size_t *ret_n)
{
    ERR_clear_error();
    int result = SSL_read_ex(ssl_of(t), out, room, ret_n);
    return result == 1 ? IO_OK : outcome(ssl_of(t), result);
}

enum io tls_write(struct tls *t, struct bytes in, size_t *ret_n)
{
    ERR_clear_error();
    int result = SSL_write_ex(ssl_of(t), in.ptr, in.len, ret_n);
    return result == 1 ? IO_OK : outcome(ssl_of(t), result);
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    (void)SSL_shutdown(ssl_of(t)); /* what it says does not matter: the connection ends */
    ERR_clear_error();
}

bool tls_pending(struct tls *t)
{
    return SSL_has_pending(ssl_of(t)) == 1;
}

void tls_trim(struct tls *t)
{
    (void)SSL_free_buffers(ssl_of(t)); /* refuses if they hold something */
    ERR_clear_error();
}

const char *tls_version(struct tls *t)
{
    return SSL_get_version(ssl_of(t));
}

const char *tls_cipher(struct tls *t)
{
    return SSL_get_cipher_name(ssl_of(t));
}
