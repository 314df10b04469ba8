/* crypto/digest.c - hashing with any digest; sha256.c has the one that is used all the time. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <stdlib.h>

void crypto_digest(enum digest digest, struct bytes in, uint8_t ret[DIGEST_MAX])
{
    assert(digest > DIGEST_NONE && digest < DIGEST_COUNT);
    EVP_MD_CTX *ctx = crypto_thread_or_abort()->digest[digest]; /* it keeps its algorithm */

    if (EVP_DigestInit_ex2(ctx, NULL, NULL) != 1 ||
        (in.len > 0 && EVP_DigestUpdate(ctx, in.ptr, in.len) != 1) ||
        EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
        abort();
}
