/* crypto/recipient_internal.h - what recipient.c and envelope.c share. */
#pragma once

#include <openssl/evp.h>

#include "base/bytes.h"

/* The key of a SubjectPublicKeyInfo that crypto_recipient_key_ok accepts; NULL for any other. The
 * caller frees it. Leaves nothing in OpenSSL's error queue. */
EVP_PKEY *crypto_recipient_key(struct bytes spki);
