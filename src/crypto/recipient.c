/* crypto/recipient.c - certificates of attestation documents, and the keys in them; see recipient.h.
 *
 * Chains are left to X509_verify_cert: it checks dates, signatures, the CA bit and key usage of every issuer
 * but the root, path lengths and critical extensions. Roots are checked when they are read.
 */
#include "crypto/recipient.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "crypto/crypto_internal.h"
#include "crypto/recipient_internal.h"

enum {
    SIGNATURE_LEN = 96,    /* ES384: r and s, 48 bytes each                                    */
    AUTH_LEVEL = 2,        /* 112 bits: no SHA-1, no RSA below 2048 in the chain               */
    EXPONENT_BITS_MAX = 64 /* of a recipient's RSA key: longer ones only cost us time          */
};

struct crypto_roots {
    X509_STORE *store;
};

static void x509_freep(X509 **p)
{
    X509_free(*p);
}

static void chain_freep(STACK_OF(X509) * *p)
{
    sk_X509_pop_free(*p, X509_free);
}

static void store_ctx_freep(X509_STORE_CTX **p)
{
    X509_STORE_CTX_free(*p);
}

static void bio_freep(BIO **p)
{
    (void)BIO_free(*p);
}

static void ecdsa_sig_freep(ECDSA_SIG **p)
{
    ECDSA_SIG_free(*p);
}

static void md_ctx_freep(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

static void pkey_freep(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void bn_freep(BIGNUM **p)
{
    BN_free(*p);
}

/* One DER certificate and nothing after it; NULL otherwise. */
static X509 *certificate_of(struct bytes der)
{
    const uint8_t            *at = der.ptr;
    CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &at, (long)der.len);

    if (cert == NULL || at != der.ptr + der.len)
        return NULL;
    return TAKE(cert);
}

/* --- roots ------------------------------------------------------------------------------------ */

/* One block of a PEM file, as OpenSSL hands it out. */
struct pem_block {
    char    *name, *header;
    uint8_t *data;
    long     len;
};

static void pem_block_release(struct pem_block *b)
{
    OPENSSL_free(b->name);
    OPENSSL_free(b->header);
    OPENSSL_free(b->data);
}

/* Not PEM_read_bio_X509: it steps over blocks of other kinds, such as a private key that does not
 * belong there, and may ask the terminal for a passphrase. */
static enum kms_status read_pem(struct bytes pem, X509 **ret, struct kms_error *reterr)
{
    CLEANUP(bio_freep) BIO                     *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    CLEANUP(pem_block_release) struct pem_block first = { 0 };
    CLEANUP(pem_block_release) struct pem_block second = { 0 };

    if (in == NULL || PEM_read_bio(in, &first.name, &first.header, &first.data, &first.len) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "not a PEM file");
    if (strcmp(first.name, PEM_STRING_X509) != 0 || first.header[0] != '\0')
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "not a certificate but a PEM block '%.40s'",
                        first.name);
    if (PEM_read_bio(in, &second.name, &second.header, &second.data, &second.len) == 1)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "more than one PEM block: only the root certificate belongs there");
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "damaged PEM after the certificate");
    ERR_clear_error();
    X509 *cert = certificate_of(bytes_of(first.data, (size_t)first.len));
    if (cert == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "not a certificate");
    *ret = cert;
    return KMS_OK;
}

enum kms_status crypto_roots_read(struct bytes pem, struct crypto_roots **ret,
                                  struct kms_error *reterr)
{
    CLEANUP(x509_freep) X509 *cert = NULL;

    if (pem.len > INT32_MAX)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "not a PEM file");
    TRY(read_pem(pem, &cert, reterr));
    if (X509_check_ca(cert) != 1)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "not a CA: its basic constraints or key usage do not let it sign "
                        "certificates");
    if (X509_self_signed(cert, 1) != 1) {
        ERR_clear_error();
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "not a root: the certificate is signed by somebody else");
    }
    struct crypto_roots *r = calloc(1, sizeof *r);
    if (r != NULL)
        r->store = X509_STORE_new();
    if (r == NULL || r->store == NULL || X509_STORE_add_cert(r->store, cert) != 1) {
        crypto_roots_free(r);
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot keep the root certificate");
    }
    *ret = r;
    return KMS_OK;
}

void crypto_roots_free(struct crypto_roots *r)
{
    if (r == NULL)
        return;
    X509_STORE_free(r->store);
    free(r);
}

/* --- the chain -------------------------------------------------------------------------------- */

static enum kms_status read_bundle(const struct bytes *bundle, size_t n, STACK_OF(X509) * *ret,
                                   struct kms_error *reterr)
{
    CLEANUP(chain_freep) STACK_OF(X509) *chain = sk_X509_new_null();

    if (chain == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "no memory for certificates");
    if (n > CERTIFICATES_MAX)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "more than %d certificates", CERTIFICATES_MAX);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(x509_freep) X509 *cert = certificate_of(bundle[i]);
        if (cert == NULL)
            return CRYPTO_FAIL(reterr, KMS_E_VALIDATION, "cabundle holds a bad certificate");
        if (sk_X509_push(chain, cert) <= 0)
            return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "no memory for certificates");
        (void)TAKE(cert);
    }
    *ret = TAKE(chain);
    return KMS_OK;
}

static enum kms_status check_chain(const struct crypto_roots *roots, X509 *leaf,
                                   STACK_OF(X509) * between, int64_t at, struct kms_error *reterr)
{
    CLEANUP(store_ctx_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (ctx == NULL || X509_STORE_CTX_init(ctx, roots->store, leaf, between) != 1)
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up the check of a chain");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)(at / 1000));
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    if (X509_verify_cert(ctx) != 1) {
        ERR_clear_error();
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "certificate %d of the chain: %s",
                        X509_STORE_CTX_get_error_depth(ctx),
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) /* all bits where there is none */
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "the certificate's key may not sign");
    return KMS_OK;
}

/* --- the signature ---------------------------------------------------------------------------- */

/* COSE has r and s side by side, OpenSSL wants them as a DER sequence. Appends it. */
static bool signature_der(struct bytes raw, uint8_t **ret, size_t *ret_len)
{
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    CLEANUP(bn_freep) BIGNUM           *r = BN_bin2bn(raw.ptr, SIGNATURE_LEN / 2, NULL);
    CLEANUP(bn_freep) BIGNUM *s = BN_bin2bn(raw.ptr + SIGNATURE_LEN / 2, SIGNATURE_LEN / 2, NULL);

    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
        return false;
    (void)TAKE(r);
    (void)TAKE(s);
    int len = i2d_ECDSA_SIG(sig, ret);
    *ret_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

static bool is_p384(const EVP_PKEY *key)
{
    char   name[32];
    size_t len;

    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, name, sizeof name, &len) == 1 &&
           strcmp(name, "secp384r1") == 0;
}

static enum kms_status check_signature(X509 *leaf, struct bytes message, struct bytes signature,
                                       struct kms_error *reterr)
{
    EVP_PKEY                         *key = X509_get0_pubkey(leaf);
    CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t                          *der = NULL;
    size_t                            der_len = 0;

    if (key == NULL || !is_p384(key) || signature.len != SIGNATURE_LEN)
        return CRYPTO_FAIL(reterr, KMS_E_VALIDATION, "not a signature by a P-384 key");
    if (ctx == NULL || !signature_der(signature, &der, &der_len))
        return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "cannot set up the check of a signature");
    bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, key) == 1 &&
                EVP_DigestVerify(ctx, der, der_len, message.ptr, message.len) == 1;
    OPENSSL_free(der);
    if (!good)
        return CRYPTO_FAIL(reterr, KMS_E_VALIDATION, "the signature does not verify");
    return KMS_OK;
}

enum kms_status crypto_attested(const struct crypto_roots *roots, struct bytes leaf,
                                const struct bytes *bundle, size_t n, int64_t at,
                                struct bytes message, struct bytes signature,
                                struct kms_error *reterr)
{
    CLEANUP(chain_freep) STACK_OF(X509) *between = NULL;
    CLEANUP(x509_freep) X509 *cert = certificate_of(leaf);

    if (cert == NULL)
        return CRYPTO_FAIL(reterr, KMS_E_VALIDATION, "the certificate cannot be read");
    TRY(read_bundle(bundle, n, &between, reterr));
    /* the chain first: what a stranger made costs one check of the root's signature at most */
    TRY(check_chain(roots, cert, between, at, reterr));
    return check_signature(cert, message, signature, reterr);
}

/* --- the recipient's key ---------------------------------------------------------------------- */

/* OpenSSL also reads BER and other spellings: the key written again must be the bytes that came. */
static bool is_canonical(EVP_PKEY *key, struct bytes spki)
{
    uint8_t *der = NULL;
    int      len = i2d_PUBKEY(key, &der);
    bool     same = len > 0 && bytes_eq(bytes_of(der, (size_t)len), spki);

    OPENSSL_free(der);
    return same;
}

/* Neither a modulus that makes encryption fail nor an exponent that makes it nothing, or slow. */
static bool numbers_ok(const EVP_PKEY *key)
{
    CLEANUP(bn_freep) BIGNUM *n = NULL;
    CLEANUP(bn_freep) BIGNUM *e = NULL;

    return EVP_PKEY_get_bn_param(key, "n", &n) == 1 && EVP_PKEY_get_bn_param(key, "e", &e) == 1 &&
           BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX;
}

EVP_PKEY *crypto_recipient_key(struct bytes spki)
{
    const uint8_t                *at = spki.ptr;
    CLEANUP(pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    bool good = key != NULL && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048 &&
                EVP_PKEY_get_bits(key) <= 4096 && is_canonical(key, spki) && numbers_ok(key);

    ERR_clear_error();
    return good ? TAKE(key) : NULL;
}

bool crypto_recipient_key_ok(struct bytes spki)
{
    CLEANUP(pkey_freep) EVP_PKEY *key = crypto_recipient_key(spki);

    return key != NULL;
}
