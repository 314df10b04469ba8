/* tests/fuzz/fuzz_local_kms.c - seed files of local-kms, in YAML.
 *
 * Whatever converts is a seed that its own reader accepts, and converts to the same again; whatever does not
 * has a line, and leaves nothing in the output. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "crypto_start.h"
#include "seed/local_kms.h"
#include "seed/seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(struct bytes json)
{
    CLEANUP(seed_freep) struct seed *seed = NULL;

    must(seed_read("seed.json", json, true, &seed, NULL) == KMS_OK);
    must(seed_check(seed, NULL) == KMS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool                     ready;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LOCAL_KMS_OUT_MAX);
    CLEANUP(buf_release) struct buf again = BUF_INIT(LOCAL_KMS_OUT_MAX);
    CLEANUP(buf_release) struct buf notes = BUF_INIT(LOCAL_KMS_OUT_MAX);
    const struct local_kms_asked    asked = { .file = "f" };
    struct kms_error                err;

    if (!ready)
        must(start_crypto() == KMS_OK);
    ready = true;
    enum kms_status status = local_kms_convert(&asked, bytes_of(data, size), &out, &notes, &err);
    if (status != KMS_OK) {
        must(status == KMS_E_VALIDATION && out.len == 0);
        must(bytes_starts(bytes_str(err.message), BYTES_LIT("f:")));
        must(err.message[2] >= '1' && err.message[2] <= '9');
        return 0;
    }
    check(buf_bytes(&out));
    must(local_kms_convert(&asked, bytes_of(data, size), &again, &notes, NULL) == KMS_OK);
    must(bytes_eq(buf_bytes(&out), buf_bytes(&again)));
    return 0;
}
