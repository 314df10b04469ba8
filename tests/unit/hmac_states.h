/* tests/unit/hmac_states.h - what a key of HMAC-SHA-256 becomes when it is prepared (crypto/sha256.c): the
 * states of SHA-256 behind its two blocks, as they lie in memory. Worth as much as the key. */
#pragma once

#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* of OpenSSL's low-level functions */

/* `key` of at most 64 bytes; `ret` gets the inner state, then the outer one. */
static inline void hmac_states(const uint8_t *key, size_t len, uint8_t ret[64])
{
    static const uint8_t pads[2] = { 0x36, 0x5c };
    SHA256_CTX           ctx;
    uint8_t              block[SHA256_CBLOCK];

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (uint8_t)(pads[k] ^ (i < len ? key[i] : 0));
        (void)SHA256_Init(&ctx);
        SHA256_Transform(&ctx, block);
        memcpy(ret + 32 * k, ctx.h, 32);
    }
    explicit_bzero(&ctx, sizeof ctx);
    explicit_bzero(block, sizeof block);
}

#pragma GCC diagnostic pop
