/* crypto/recipient.h - what Recipient parameters need: checking who signed an attestation document, and the
 * envelope that only its key opens.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Trust anchors: certificates read from a PEM file at start. */
struct crypto_roots;
/* KMS_E_INTERNAL with what is wrong (not a certificate, more than one, not a CA). */
KMS_MUST_CHECK enum kms_status crypto_roots_read(struct bytes pem, struct crypto_roots **ret,
                                                 struct kms_error *reterr);
void crypto_roots_free(struct crypto_roots *r); /* NULL is fine */

enum { CERTIFICATES_MAX = 8 }; /* of one chain: Nitro documents have five */

/* Is `signature` (raw r and s, 96 bytes: COSE ES384, RFC 9053) over `message` by the key of `leaf`, and does
 * `leaf` (DER) chain up to one of the roots through the `n` DER certificates of `bundle`, all valid at `at`
 * (ms since the epoch)? Only P-384 leaves with ECDSA-SHA-384. KMS_E_VALIDATION without message, the reason in
 * the detail, if not. */
KMS_MUST_CHECK enum kms_status crypto_attested(const struct crypto_roots *roots, struct bytes leaf,
                                               const struct bytes *bundle, size_t n, int64_t at,
                                               struct bytes message, struct bytes signature,
                                               struct kms_error *reterr);

/* Is this a SubjectPublicKeyInfo (DER, nothing after it) of an RSA key of 2048 to 4096 bits? */
KMS_MUST_CHECK bool crypto_recipient_key_ok(struct bytes spki);

/* Appends a CMS ContentInfo with EnvelopedData (RFC 5652; BER of indefinite length, as the service sends it):
 * one key transport recipient named by subject key identifier, RSAES-OAEP with SHA-256 and MGF1-SHA-256,
 * content in AES-256-CBC. `plain` lies in secret memory of the caller; nothing of it stays in ours. */
KMS_MUST_CHECK enum kms_status crypto_envelope(struct bytes spki, struct bytes plain,
                                               struct buf *ret_cms, struct kms_error *reterr);
