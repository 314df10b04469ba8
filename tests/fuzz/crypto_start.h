/* tests/fuzz/crypto_start.h - crypto_init for fuzz targets.
 *
 * OpenSSL keeps its random generators in its secure heap, which the leak checker does not look into: what
 * only they point to seems lost. They are made here, so what is allocated here is left out. */
#pragma once

#include "crypto/crypto.h"

void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static inline enum kms_status start_crypto(void)
{
    if (__lsan_disable != NULL)
        __lsan_disable();
    enum kms_status status = crypto_init(NULL);
    if (__lsan_enable != NULL)
        __lsan_enable();
    return status;
}
