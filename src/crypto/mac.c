/* crypto/mac.c - HMAC of the API, with every digest that has one there. For our own see sha256.c.
 *
 * A context copies its key, so OpenSSL is offered a room for it in secret memory (crypto.c). After each use
 * a zero key takes its place there.
 */
#include <assert.h>
#include <stdlib.h>

#include "crypto/crypto_internal.h"
#include "crypto/key.h"

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

void crypto_mac(struct bytes key, enum algorithm algorithm, struct bytes message,
                uint8_t ret[DIGEST_MAX], size_t *ret_len)
{
    enum digest  digest = algorithm_info(algorithm)->digest;
    EVP_MAC_CTX *ctx = crypto_thread_or_abort()->mac[digest];

    assert(crypto_has_mac(digest) && algorithm_info(algorithm)->usage == USAGE_GENERATE_VERIFY_MAC);
    if (!mac_key(digest, key) ||
        (message.len > 0 && EVP_MAC_update(ctx, message.ptr, message.len) != 1) ||
        EVP_MAC_final(ctx, ret, ret_len, DIGEST_MAX) != 1 || !mac_forget(digest))
        abort();
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
