/* tests/fuzz/fuzz_spki.c - public keys that clients send. The first byte of an input chooses the spec.
 *
 * Whatever is accepted is written in one form, which reads and writes to itself; and that form is the input,
 * unless a point was compressed. */
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

static void rewrite(enum key_spec spec, const struct crypto_key *key, struct bytes in)
{
    CLEANUP(crypto_key_freep) struct crypto_key *second = NULL;
    CLEANUP(buf_release) struct buf              one = BUF_INIT(8192);
    CLEANUP(buf_release) struct buf              two = BUF_INIT(8192);

    must(crypto_key_public(key, &one, NULL) == KMS_OK);
    must(crypto_key_read_public(spec, buf_bytes(&one), &second, NULL) == KMS_OK);
    must(crypto_key_public(second, &two, NULL) == KMS_OK);
    must(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
    must(bytes_eq(buf_bytes(&one), in) || (spec_info(spec)->group != NULL && in.len < one.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool                                  ready;
    CLEANUP(crypto_key_freep) struct crypto_key *key = NULL;

    if (!ready)
        must(start_crypto() == KMS_OK);
    ready = true;
    if (size == 0 || !spec_is_asymmetric(data[0] % SPEC_COUNT))
        return 0;
    enum key_spec   spec = data[0] % SPEC_COUNT;
    struct bytes    in = bytes_of(data + 1, size - 1);
    enum kms_status status = crypto_key_read_public(spec, in, &key, NULL);
    must(status == KMS_OK || (status == KMS_E_VALIDATION && key == NULL));
    if (status == KMS_OK)
        rewrite(spec, key, in);
    return 0;
}
