/* tests/fuzz/fuzz_seed.c - the reader of seeds.
 *
 * An input is the text of a seed.
 *
 *   S1  what is accepted, written and read again, is accepted and counts the same things;
 *   S2  writing that gives the same text;
 *   S3  a refusal, also by the operations that would make its things, names a line of the text and a
 *       path from the root.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto_start.h"
#include "base/cleanup.h"
#include "seed/seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024, WRITTEN_MAX = 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static unsigned long lines_of(struct bytes text)
{
    unsigned long n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

/* "f:LINE: $PATH: text" */
static void check_refusal(const struct kms_error *err, struct bytes text)
{
    char         *end;
    unsigned long line;

    must(err->status == KMS_E_VALIDATION && strncmp(err->message, "f:", 2) == 0);
    line = strtoul(err->message + 2, &end, 10);
    must(line >= 1 && line <= lines_of(text));
    must(strncmp(end, ": $", 3) == 0 && strstr(end + 2, ": ") != NULL);
}

static void read_again(struct bytes text, struct seed_counts counts)
{
    CLEANUP(seed_freep) struct seed *seed = NULL;
    CLEANUP(buf_release) struct buf  written = BUF_INIT(WRITTEN_MAX);
    struct kms_error                 err;

    must(seed_read("f", text, false, &seed, &err) == KMS_OK);
    const struct seed_counts again = seed_counts(seed);

    must(memcmp(&again, &counts, sizeof counts) == 0);
    seed_write(seed, &written);
    must(buf_ok(&written) && bytes_eq(buf_bytes(&written), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool                      started;
    CLEANUP(seed_freep) struct seed *seed = NULL;
    CLEANUP(buf_release) struct buf  written = BUF_INIT(WRITTEN_MAX);
    const struct bytes               text = bytes_of(data, size);
    struct kms_error                 err;

    if (!started)
        must(start_crypto() == KMS_OK);
    started = true;
    if (size > INPUT_MAX)
        return 0;
    if (seed_read("f", text, false, &seed, &err) != KMS_OK) {
        check_refusal(&err, text);
        return 0;
    }
    seed_write(seed, &written);
    must(buf_ok(&written));
    read_again(buf_bytes(&written), seed_counts(seed));
    if (seed_check(seed, &err) != KMS_OK)
        check_refusal(&err, text);
    return 0;
}
