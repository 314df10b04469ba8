/* attestation/attestation.h - attestation documents of Nitro enclaves: what Recipient parameters carry.
 *
 * A document is a COSE_Sign1 structure (RFC 9052) over a CBOR map (RFC 8949): module_id, timestamp, digest,
 * pcrs, certificate, cabundle, public_key, user_data, nonce. It is believed when its certificate chains up to
 * a configured root and its signature (ES384) verifies; then its public key is the one to answer to. Read
 * strictly: definite lengths, no duplicate or unknown-typed members, sizes as the vendor's specification says,
 * nothing after the end.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct attestation_roots; /* of the setting attestation-root; NULL: none configured */
/* Reads a PEM file with one certificate; errors name the file and what is wrong with it. */
KMS_MUST_CHECK enum kms_status attestation_roots_read(const char                *path,
                                                      struct attestation_roots **ret,
                                                      struct kms_error          *reterr);
void attestation_roots_free(struct attestation_roots *r); /* NULL is fine */

enum { ATTESTATION_PCRS = 32, ATTESTATION_PCR_MAX = 64 };

/* Views into the document. */
struct attestation {
    struct bytes module_id;
    int64_t      timestamp;             /* ms since the epoch                     */
    struct bytes pcr[ATTESTATION_PCRS]; /* no bytes: not in the document          */
    struct bytes public_key;            /* SubjectPublicKeyInfo (DER), RSA 2048..4096 */
};

/* Parses without believing anything: the fuzz target's door. False for anything malformed. */
struct attestation_signed {
    struct attestation content;
    struct bytes       protected_header, payload, signature, certificate;
    struct bytes       bundle[8]; /* root first, as in the document */
    size_t             n_bundle;
};
KMS_MUST_CHECK bool attestation_parse(struct bytes document, struct attestation_signed *ret);

/* Parses and verifies at time `now` (ms): the document's timestamp is at most 5 minutes old and not in the future by
 * more than that; certificates are valid now; a public key is there. KMS_E_VALIDATION with one text for every
 * fault, the reason in the detail; also when `roots` is NULL (docs/deviations.md: the service's texts were not
 * recorded). */
KMS_MUST_CHECK enum kms_status attestation_verify(const struct attestation_roots *roots,
                                                  struct bytes document, int64_t now,
                                                  struct attestation *ret,
                                                  struct kms_error   *reterr);
