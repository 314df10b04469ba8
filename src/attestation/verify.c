/* attestation/verify.c - whether an attestation document is believed; see attestation.h. */
#include "attestation/attestation.h"

#include <stdio.h>
#include <stdlib.h>

#include "attestation/attestation_internal.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/limits.h"
#include "crypto/recipient.h"

enum {
    ROOT_FILE_MAX = 64 * 1024,
    SIG_STRUCTURE_EXTRA = 64 /* what a Sig_structure has beside the payload */
};

struct attestation_roots {
    struct crypto_roots *roots;
};

enum kms_status attestation_roots_read(const char *path, struct attestation_roots **ret,
                                       struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf pem = BUF_INIT(ROOT_FILE_MAX);
    struct crypto_roots            *roots = NULL;
    struct kms_error                err;

    TRY(file_read(path, &pem, reterr));
    enum kms_status status = crypto_roots_read(buf_bytes(&pem), &roots, &err);
    if (status != KMS_OK)
        return KMS_FAIL(reterr, status, "'%s': %s", path, err.detail);
    struct attestation_roots *r = calloc(1, sizeof *r);
    if (r == NULL) {
        crypto_roots_free(roots);
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a root certificate");
    }
    r->roots = roots;
    *ret = r;
    return KMS_OK;
}

void attestation_roots_free(struct attestation_roots *r)
{
    if (r == NULL)
        return;
    crypto_roots_free(r->roots);
    free(r);
}

/* One text for every fault: which check failed is the operator's business. */
static enum kms_status refuse(struct kms_error *reterr, const char *why)
{
    enum kms_status status = KMS_REFUSE(reterr, KMS_E_VALIDATION,
                                        "Attestation document is invalid.");

    if (reterr != NULL)
        (void)snprintf(reterr->detail, sizeof reterr->detail, "attestation document: %.200s", why);
    return status;
}

static bool is_fresh(int64_t timestamp, int64_t now)
{
    int64_t age = now > 0 ? now - timestamp : -timestamp; /* both positive: no overflow */

    return age <= LIMIT_ATTESTATION_AGE_S * 1000 && age >= -(int64_t)LIMIT_SKEW_S * 1000;
}

static enum kms_status check_signed(const struct attestation_roots  *roots,
                                    const struct attestation_signed *s, int64_t now,
                                    struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf message = BUF_INIT(LIMIT_ATTESTATION_BYTES +
                                                       SIG_STRUCTURE_EXTRA);
    struct kms_error                err;

    attestation_signed_bytes(s, &message);
    if (!buf_ok(&message))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an attestation document");
    enum kms_status status = crypto_attested(roots->roots, s->certificate, s->bundle, s->n_bundle,
                                             now, buf_bytes(&message), s->signature, &err);
    if (status == KMS_E_VALIDATION)
        return refuse(reterr, err.detail);
    if (status != KMS_OK)
        return KMS_FAIL(reterr, status, "%s", err.detail);
    return KMS_OK;
}

enum kms_status attestation_verify(const struct attestation_roots *roots, struct bytes document,
                                   int64_t now, struct attestation *ret, struct kms_error *reterr)
{
    struct attestation_signed s;

    if (roots == NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "Recipient cannot be used: no attestation root is configured (setting "
                          "attestation-root).");
    if (!attestation_parse(document, &s))
        return refuse(reterr, "malformed");
    if (!is_fresh(s.content.timestamp, now))
        return refuse(reterr, "its timestamp is too far from the present");
    TRY(check_signed(roots, &s, now, reterr));
    /* only now: what a stranger sent never gets as far as another parser */
    if (!crypto_recipient_key_ok(s.content.public_key))
        return refuse(reterr, "no public key, or not an RSA key of 2048 to 4096 bits");
    *ret = s.content;
    return KMS_OK;
}
