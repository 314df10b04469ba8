/* tests/unit/crypto/certificates.c - see certificates.h. */
#include "crypto/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void add_extension(X509 *cert, X509V3_CTX *ctx, const char *name, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf(NULL, ctx, name, value);

    must(ext != NULL && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

static void add_extensions(const struct certificate *c, X509 *cert, X509 *issuer)
{
    X509V3_CTX ctx;
    char       name[64];

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    if (c->basic != NULL)
        add_extension(cert, &ctx, "basicConstraints", c->basic);
    if (c->usage != NULL)
        add_extension(cert, &ctx, "keyUsage", c->usage);
    if (c->other != NULL) {
        size_t len = strcspn(c->other, "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, c->other);
        add_extension(cert, &ctx, name, c->other + len + 1);
    }
}

void party_make(const struct certificate *c, struct party *ret)
{
    static _Atomic long serial = 1;
    EVP_PKEY           *key = c->rsa != 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)c->rsa)
                                          : EVP_PKEY_Q_keygen(NULL, NULL, "EC",
                                                    c->curve != NULL ? c->curve : "P-384");
    X509               *cert = X509_new();
    X509               *issuer = c->issuer != NULL ? c->issuer->cert : cert;
    X509_NAME          *name = X509_NAME_new();

    must(key != NULL && cert != NULL && name != NULL);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)c->name, -1, -1, 0));
    must(X509_set_version(cert, X509_VERSION_3) && X509_set_pubkey(cert, key));
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++));
    must(X509_set_subject_name(cert, name));
    must(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
    must(ASN1_TIME_set(X509_getm_notBefore(cert), c->from != 0 ? c->from : VALID_FROM) != NULL);
    must(ASN1_TIME_set(X509_getm_notAfter(cert), c->to != 0 ? c->to : VALID_TO) != NULL);
    add_extensions(c, cert, issuer);
    must(X509_sign(cert, c->issuer != NULL ? c->issuer->key : key,
                   c->digest != NULL ? c->digest : EVP_sha384()) > 0);
    X509_NAME_free(name);
    ret->key = key;
    ret->cert = cert;
}

void party_release(struct party *p)
{
    EVP_PKEY_free(p->key);
    X509_free(p->cert);
    *p = (struct party){ 0 };
}

static void add_and_free(struct buf *out, uint8_t *der, int len)
{
    must(len > 0);
    buf_add(out, bytes_of(der, (size_t)len));
    must(buf_ok(out));
    OPENSSL_free(der);
}

void party_der(const struct party *p, struct buf *out)
{
    uint8_t *der = NULL;
    int      len = i2d_X509(p->cert, &der);

    add_and_free(out, der, len);
}

void party_spki(const struct party *p, struct buf *out)
{
    uint8_t *der = NULL;
    int      len = i2d_PUBKEY(p->key, &der);

    add_and_free(out, der, len);
}

void party_pem(const struct party *p, struct buf *out)
{
    BIO     *mem = BIO_new(BIO_s_mem());
    uint8_t *text = NULL;

    must(mem != NULL && PEM_write_bio_X509(mem, p->cert) == 1);
    long len = BIO_get_mem_data(mem, &text);
    buf_add(out, bytes_of(text, (size_t)len));
    must(buf_ok(out) && BIO_free(mem) == 1);
}

void party_sign(const struct party *p, struct bytes message, uint8_t ret[96])
{
    EVP_MD_CTX    *ctx = EVP_MD_CTX_new();
    uint8_t        der[160];
    size_t         len = sizeof der;
    const uint8_t *at = der;

    must(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, p->key) == 1);
    must(EVP_DigestSign(ctx, der, &len, message.ptr, message.len) == 1);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    must(sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 48) == 48);
    must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 48, 48) == 48);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
}
