/* attestation/attestation_internal.h - what the files of this folder and the fuzz target share. */
#pragma once

#include "attestation/attestation.h"

/* Appends what the signature of a parsed document is over: the Sig_structure of RFC 9052 4.4,
 * ["Signature1", protected header, h'', payload]. Check buf_ok. */
void attestation_signed_bytes(const struct attestation_signed *s, struct buf *out);
