/* crypto/digest.c - SHA-256, HMAC-SHA-256 and the key derivation built on it. */
#include "crypto/crypto_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"

void crypto_sha256_pieces(const struct bytes *pieces, size_t n, uint8_t ret[SHA256_LEN])
{
    EVP_MD_CTX *ctx = crypto_thread_or_abort()->sha256;
    bool        ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1;

    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len > 0)
            ok = ok && EVP_DigestUpdate(ctx, pieces[i].ptr, pieces[i].len) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
        abort();
}

void crypto_sha256(struct bytes in, uint8_t ret[SHA256_LEN])
{
    crypto_sha256_pieces(&in, 1, ret);
}

/* One MAC with the key that `ctx` has. */
static bool mac_pieces(EVP_MAC_CTX *ctx, const struct bytes *pieces, size_t n,
                       uint8_t ret[SHA256_LEN])
{
    size_t len;

    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len > 0 && EVP_MAC_update(ctx, pieces[i].ptr, pieces[i].len) != 1)
            return false;
    }
    return EVP_MAC_final(ctx, ret, &len, SHA256_LEN) == 1;
}

static bool mac_key(EVP_MAC_CTX *ctx, struct bytes key)
{
    crypto_offer_room(true); /* for the copy that the context keeps */
    /* a NULL key would mean "the same as before" */
    bool ok = EVP_MAC_init(ctx, key.len == 0 ? crypto_zero_key : key.ptr, key.len, NULL) == 1;
    crypto_offer_room(false);
    return ok;
}

static bool mac_forget(EVP_MAC_CTX *ctx)
{
    return mac_key(ctx, bytes_of(crypto_zero_key, sizeof crypto_zero_key));
}

void crypto_hmac_sha256_pieces(struct bytes key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN])
{
    EVP_MAC_CTX *ctx = crypto_thread_or_abort()->hmac;

    if (!mac_key(ctx, key) || !mac_pieces(ctx, pieces, n, ret) || !mac_forget(ctx))
        abort();
}

void crypto_hmac_sha256(struct bytes key, struct bytes in, uint8_t ret[SHA256_LEN])
{
    crypto_hmac_sha256_pieces(key, &in, 1, ret);
}

/* Blocks 1, 2, ... of the derivation; the key is in `ctx`. */
static bool kdf_blocks(EVP_MAC_CTX *ctx, struct bytes label, struct bytes context, uint8_t *ret,
                       size_t out_len)
{
    uint8_t            counter[4] = { 0 };
    uint8_t            tail[4] = { 0, (uint8_t)(out_len >> 13), (uint8_t)(out_len >> 5),
                                   (uint8_t)(out_len << 3) };
    uint8_t            block[SHA256_LEN];
    bool               ok = true;
    const struct bytes pieces[] = {
        { counter, 4 }, label, { crypto_zero_key, 1 }, context, { tail, 4 },
    };

    for (size_t done = 0; ok && done < out_len; done += SHA256_LEN) {
        counter[3]++;
        ok = done == 0 || EVP_MAC_init(ctx, NULL, 0, NULL) == 1; /* from the top, same key */
        if (out_len - done >= SHA256_LEN) {
            ok = ok && mac_pieces(ctx, pieces, ARRAY_LEN(pieces), ret + done);
        } else {
            ok = ok && mac_pieces(ctx, pieces, ARRAY_LEN(pieces), block);
            memcpy(ret + done, block, out_len - done);
            explicit_bzero(block, sizeof block);
        }
    }
    return ok;
}

enum kms_status crypto_kdf(struct bytes key, struct bytes label, struct bytes context, uint8_t *ret,
                           size_t out_len, struct kms_error *reterr)
{
    struct crypto_thread *t = crypto_thread();

    assert(out_len > 0 && out_len <= 255 * SHA256_LEN);
    if (t == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for this thread's contexts");
    bool ok = mac_key(t->hmac, key) && kdf_blocks(t->hmac, label, context, ret, out_len);
    if (mac_forget(t->hmac) && ok)
        return KMS_OK;
    explicit_bzero(ret, out_len);
    return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "key derivation failed");
}
