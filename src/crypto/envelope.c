/* crypto/envelope.c - the CMS envelope of a Recipient: written by OpenSSL, read by an enclave.
 *
 * The shape is the service's: EnvelopedData of version 2, streamed, so with indefinite lengths; one
 * KeyTransRecipientInfo whose key is named by a subject key identifier. That identifier is the SHA-256
 * of the SubjectPublicKeyInfo (RFC 7093, method 4): readers have one key and skip it, but a reader with
 * several can find the right one.
 *
 * The plaintext goes from the caller's memory straight into the cipher: none of OpenSSL's functions
 * that read from a BIO are used, as those copy through a buffer on the stack. The content key and the
 * last block lie in OpenSSL's heap for the length of the call; the hooks of crypto.c wipe them.
 */
#include "crypto/recipient.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"
#include "crypto/crypto_internal.h"
#include "crypto/recipient_internal.h"

static void x509_freep(X509 **p)
{
    X509_free(*p);
}

static void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cms_freep(CMS_ContentInfo **p)
{
    CMS_ContentInfo_free(*p);
}

static void bio_chain_freep(BIO **p)
{
    BIO_free_all(*p);
}

static void octets_freep(ASN1_OCTET_STRING **p)
{
    ASN1_OCTET_STRING_free(*p);
}

/* OpenSSL takes recipients as certificates only: one that says nothing but the key and its name. */
static X509 *certificate_around(EVP_PKEY *key, struct bytes spki)
{
    uint8_t                                  id[SHA256_LEN];
    CLEANUP(x509_freep) X509                *cert = X509_new();
    CLEANUP(octets_freep) ASN1_OCTET_STRING *name = ASN1_OCTET_STRING_new();

    crypto_sha256(spki, id);
    if (cert == NULL || name == NULL || X509_set_version(cert, X509_VERSION_3) != 1 ||
        X509_set_pubkey(cert, key) != 1 || ASN1_OCTET_STRING_set(name, id, sizeof id) != 1 ||
        X509_add1_ext_i2d(cert, NID_subject_key_identifier, name, 0, 0) != 1)
        return NULL;
    return TAKE(cert);
}

static bool set_oaep(CMS_RecipientInfo *to)
{
    EVP_PKEY_CTX *ctx = CMS_RecipientInfo_get0_pkey_ctx(to);

    return ctx != NULL && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

/* Writes the envelope through the chain of BIOs that encrypts and encodes, into `out`. */
static bool write_through(CMS_ContentInfo *cms, struct bytes plain, BIO *out)
{
    BIO *top = BIO_new_CMS(out, cms); /* a chain that ends in `out` */

    if (top == NULL)
        return false;
    size_t written = 0;
    bool   good = (plain.len == 0 || (BIO_write_ex(top, plain.ptr, plain.len, &written) == 1 &&
                                    written == plain.len)) &&
                BIO_flush(top) == 1;
    while (top != NULL && top != out) {
        BIO *next = BIO_pop(top);
        (void)BIO_free(top);
        top = next;
    }
    return good;
}

static bool envelope(EVP_PKEY *key, struct bytes spki, struct bytes plain, BIO *out)
{
    CLEANUP(x509_freep) X509           *cert = certificate_around(key, spki);
    CLEANUP(cms_freep) CMS_ContentInfo *cms = CMS_EnvelopedData_create(EVP_aes_256_cbc());

    if (cert == NULL || cms == NULL)
        return false;
    CMS_RecipientInfo *to = CMS_add1_recipient_cert(cms, cert, CMS_USE_KEYID | CMS_KEY_PARAM);
    return to != NULL && set_oaep(to) && write_through(cms, plain, out);
}

enum kms_status crypto_envelope(struct bytes spki, struct bytes plain, struct buf *ret_cms,
                                struct kms_error *reterr)
{
    CLEANUP(bio_chain_freep) BIO *out = BIO_new(BIO_s_mem());
    CLEANUP(pkey_freep) EVP_PKEY *key = crypto_recipient_key(spki);
    uint8_t                      *der = NULL;

    if (key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "not the key of a recipient");
    if (out == NULL || !envelope(key, spki, plain, out))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot make an envelope for a recipient");
    long len = BIO_get_mem_data(out, &der);
    if (len <= 0 || !buf_reserve(ret_cms, (size_t)len))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for an envelope for a recipient");
    buf_add(ret_cms, bytes_of(der, (size_t)len));
    return KMS_OK;
}
