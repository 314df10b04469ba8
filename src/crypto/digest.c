/* crypto/digest.c - hashing. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <stdlib.h>

/* All pieces through the thread's context of the digest, which keeps its algorithm. */
static void hash(enum digest digest, const struct bytes *pieces, size_t n, uint8_t *ret)
{
    EVP_MD_CTX *ctx = crypto_thread_or_abort()->digest[digest];
    bool        ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1;

    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len > 0)
            ok = ok && EVP_DigestUpdate(ctx, pieces[i].ptr, pieces[i].len) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
        abort();
}

void crypto_digest(enum digest digest, struct bytes in, uint8_t ret[DIGEST_MAX])
{
    assert(digest > DIGEST_NONE && digest < DIGEST_COUNT);
    hash(digest, &in, 1, ret);
}

void crypto_sha256_pieces(const struct bytes *pieces, size_t n, uint8_t ret[SHA256_LEN])
{
    hash(DIGEST_SHA_256, pieces, n, ret);
}

void crypto_sha256(struct bytes in, uint8_t ret[SHA256_LEN])
{
    hash(DIGEST_SHA_256, &in, 1, ret);
}
