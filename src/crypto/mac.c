/* crypto/mac.c - HMAC, and the key derivation built on it.
 *
 * A context copies its key, so OpenSSL is offered a room for it in secret memory (crypto.c). After each use
 * a zero key takes its place there.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "crypto/crypto_internal.h"
#include "crypto/key.h"

/* One MAC with the key that `ctx` has. */
static bool mac_pieces(EVP_MAC_CTX *ctx, const struct bytes *pieces, size_t n, uint8_t *ret,
                       size_t max, size_t *ret_len)
{
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len > 0 && EVP_MAC_update(ctx, pieces[i].ptr, pieces[i].len) != 1)
            return false;
    }
    return EVP_MAC_final(ctx, ret, ret_len, max) == 1;
}

static bool mac_key(enum digest digest, struct bytes key)
{
    EVP_MAC_CTX *ctx = crypto_thread_or_abort()->mac[digest];

    crypto_offer_room(digest); /* for the copy that the context keeps */
    /* a NULL key would mean "the same as before" */
    bool ok = EVP_MAC_init(ctx, key.len == 0 ? crypto_zero_key : key.ptr, key.len, NULL) == 1;
    crypto_offer_room(DIGEST_NONE);
    return ok;
}

static bool mac_forget(enum digest digest)
{
    return mac_key(digest, bytes_of(crypto_zero_key, sizeof crypto_zero_key));
}

/* Writes the whole MAC to `ret`, which has room for `max` bytes. */
static void mac(enum digest digest, struct bytes key, const struct bytes *pieces, size_t n,
                uint8_t *ret, size_t max, size_t *ret_len)
{
    EVP_MAC_CTX *ctx = crypto_thread_or_abort()->mac[digest];

    if (!mac_key(digest, key) || !mac_pieces(ctx, pieces, n, ret, max, ret_len) ||
        !mac_forget(digest))
        abort();
}

void crypto_hmac_sha256_pieces(struct bytes key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN])
{
    size_t len;

    mac(DIGEST_SHA_256, key, pieces, n, ret, SHA256_LEN, &len);
}

void crypto_hmac_sha256_secret(struct secret *key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN])
{
    crypto_hmac_sha256_pieces(secret_view(key), pieces, n, ret);
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
    size_t             len;
    bool               ok = true;
    const struct bytes pieces[] = {
        { counter, 4 }, label, { crypto_zero_key, 1 }, context, { tail, 4 },
    };

    for (size_t done = 0; ok && done < out_len; done += SHA256_LEN) {
        counter[3]++;
        ok = done == 0 || EVP_MAC_init(ctx, NULL, 0, NULL) == 1; /* from the top, same key */
        if (out_len - done >= SHA256_LEN) {
            ok = ok && mac_pieces(ctx, pieces, ARRAY_LEN(pieces), ret + done, SHA256_LEN, &len);
        } else {
            ok = ok && mac_pieces(ctx, pieces, ARRAY_LEN(pieces), block, SHA256_LEN, &len);
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
    bool ok = mac_key(DIGEST_SHA_256, key) &&
              kdf_blocks(t->mac[DIGEST_SHA_256], label, context, ret, out_len);
    if (mac_forget(DIGEST_SHA_256) && ok)
        return KMS_OK;
    explicit_bzero(ret, out_len);
    return CRYPTO_FAIL(reterr, KMS_E_INTERNAL, "key derivation failed");
}

/* --- of the API --------------------------------------------------------------------------------- */

void crypto_mac(struct bytes key, enum algorithm algorithm, struct bytes message,
                uint8_t ret[DIGEST_MAX], size_t *ret_len)
{
    enum digest digest = algorithm_info(algorithm)->digest;

    assert(crypto_has_mac(digest) && algorithm_info(algorithm)->usage == USAGE_GENERATE_VERIFY_MAC);
    mac(digest, key, &message, 1, ret, DIGEST_MAX, ret_len);
}

enum kms_status crypto_mac_verify(struct bytes key, enum algorithm algorithm, struct bytes message,
                                  struct bytes given, struct kms_error *reterr)
{
    uint8_t want[DIGEST_MAX];
    size_t  len;

    crypto_mac(key, algorithm, message, want, &len);
    bool same = ct_equal(bytes_of(want, len), given);
    explicit_bzero(want, sizeof want);
    if (!same)
        return KMS_FAIL(reterr, KMS_E_MAC, "MAC does not verify");
    return KMS_OK;
}
