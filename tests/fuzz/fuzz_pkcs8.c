/* tests/fuzz/fuzz_pkcs8.c - key material as customers import it. The first byte of an input is the spec.
 *
 * Whatever is accepted has one canonical form, which imports to itself, opens, and makes a key pair whose
 * halves belong together: what the private one signs, decrypts or derives, the public one, read from its
 * SubjectPublicKeyInfo, agrees to. */
#include <stdlib.h>

#include "crypto_start.h"
#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool sign(const struct crypto_key *key, const struct crypto_key *public, enum algorithm a)
{
    CLEANUP(buf_release) struct buf signature = BUF_INIT(8192);
    static const uint8_t            message[64];
    struct bytes                    m = bytes_of(message, sizeof message);
    enum message_type               type = (algorithm_info(a)->messages & 1u << MESSAGE_RAW) != 0
                                               ? MESSAGE_RAW
                                               : MESSAGE_DIGEST;

    return crypto_key_sign(key, a, type, m, &signature, NULL) == KMS_OK &&
           crypto_key_verify(public, a, type, m, buf_bytes(&signature), NULL) == KMS_OK;
}

static bool encrypt(const struct crypto_key *key, const struct crypto_key *public, enum algorithm a)
{
    CLEANUP(buf_release) struct buf      cipher = BUF_INIT(8192);
    CLEANUP(secret_freep) struct secret *plain = NULL;
    struct bytes                         m = BYTES_LIT("plain");

    return crypto_key_encrypt(public, a, m, &cipher, NULL) == KMS_OK &&
           crypto_key_decrypt(key, a, buf_bytes(&cipher), &plain, NULL) == KMS_OK &&
           bytes_eq(secret_view(plain), m);
}

static bool agree(const struct crypto_key *key, const struct crypto_key *public, enum algorithm a)
{
    CLEANUP(secret_freep) struct secret *one = NULL;
    CLEANUP(secret_freep) struct secret *two = NULL;

    (void)a;
    return crypto_key_derive(key, public, &one, NULL) == KMS_OK &&
           crypto_key_derive(key, key, &two, NULL) == KMS_OK &&
           bytes_eq(secret_view(one), secret_view(two));
}

static bool encapsulate(const struct crypto_key *key, const struct crypto_key *public,
                        enum algorithm           a)
{
    CLEANUP(buf_release) struct buf      cipher = BUF_INIT(8192);
    CLEANUP(secret_freep) struct secret *one = NULL;
    CLEANUP(secret_freep) struct secret *two = NULL;

    (void)a;
    return crypto_key_encapsulate(public, &one, &cipher, NULL) == KMS_OK &&
           crypto_key_decapsulate(key, buf_bytes(&cipher), &two, NULL) == KMS_OK &&
           bytes_eq(secret_view(one), secret_view(two));
}

static bool (*const uses[USAGE_COUNT])(const struct crypto_key *key,
                                       const struct crypto_key *public, enum algorithm a) = {
    [USAGE_ENCRYPT_DECRYPT] = encrypt,
    [USAGE_SIGN_VERIFY] = sign,
    [USAGE_KEY_AGREEMENT] = agree,
    [USAGE_ENCAPSULATE_DECAPSULATE] = encapsulate,
};

static void use(enum key_spec spec, struct bytes material)
{
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;
    CLEANUP(crypto_key_freep) struct crypto_key *public = NULL;
    CLEANUP(buf_release) struct buf spki = BUF_INIT(8192);
    const struct key_spec_info     *info = spec_info(spec);

    must(crypto_key_open(spec, material, &key, NULL) == KMS_OK);
    must(crypto_key_public(key, &spki, NULL) == KMS_OK);
    must(crypto_key_read_public(spec, buf_bytes(&spki), &public, NULL) == KMS_OK);
    for (enum key_usage u = 0; u < USAGE_COUNT; u++) {
        if (info->usages[u].count > 0)
            must(uses[u](key, public, info->usages[u].list[0]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool                          ready;
    CLEANUP(secret_freep) struct secret *material = NULL;
    CLEANUP(secret_freep) struct secret *again = NULL;

    if (!ready)
        must(start_crypto() == KMS_OK);
    ready = true;
    if (size == 0)
        return 0;
    enum key_spec   spec = data[0] % SPEC_COUNT;
    enum kms_status status = crypto_key_import(spec, bytes_of(data + 1, size - 1), &material, NULL);
    must(status == KMS_OK || (status == KMS_E_CIPHERTEXT && material == NULL));
    if (status != KMS_OK)
        return 0;
    must(crypto_key_import(spec, secret_view(material), &again, NULL) == KMS_OK);
    must(bytes_eq(secret_view(material), secret_view(again)));
    if (spec_is_asymmetric(spec))
        use(spec, secret_view(material));
    return 0;
}
