/* tests/fuzz/fuzz_arn.c - whatever a KeyId is taken for, printing it gives back exactly its text,
 * and nothing is taken for something that cannot be printed. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "key/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* A view that is not empty lies within the text. */
static void must_be_within(struct bytes text, struct bytes part)
{
    must(part.len == 0 || (part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len));
}

static void print(struct buf *out, const struct key_ref *ref)
{
    switch (ref->kind) {
    case REF_KEY_ID:
        must(ref->id_ok && key_id_well_formed(ref->id) && ref->id.len == KEY_ID_MAX);
        buf_add(out, ref->id);
        break;
    case REF_KEY_ARN:
        must(ref->id_ok == key_id_well_formed(ref->id));
        key_arn_add(out, ref->account, ref->region, ref->id);
        must(!ref->id_ok || out->len <= KEY_ARN_MAX);
        break;
    case REF_ALIAS:
        must(bytes_starts(ref->id, BYTES_LIT("alias/")));
        buf_add(out, ref->id);
        break;
    case REF_ALIAS_ARN:
        must(bytes_starts(ref->id, BYTES_LIT("alias/")));
        alias_arn_add(out, ref->account, ref->region, ref->id);
        must(ref->id.len > ALIAS_MAX || out->len <= ALIAS_ARN_MAX);
        break;
    case REF_MALFORMED:
        must(!ref->id_ok && ref->id.len == 0 && ref->region.len == 0);
        buf_add(out, ref->text);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(size + 1);
    struct bytes                    text = bytes_of(data, size);
    struct key_ref                  ref = key_ref_parse(text);

    must(bytes_eq(ref.text, text));
    must_be_within(text, ref.partition);
    must_be_within(text, ref.region);
    must_be_within(text, ref.account);
    must_be_within(text, ref.id);
    must(ref.region.len <= REGION_MAX && ref.account.len <= ACCOUNT_LEN);
    must(ref.partition.len <= PARTITION_MAX);

    print(&out, &ref);
    must(buf_ok(&out) && bytes_eq(buf_bytes(&out), text));

    struct key_ref again = key_ref_parse(buf_bytes(&out));
    must(again.kind == ref.kind && bytes_eq(again.id, ref.id) && again.id_ok == ref.id_ok);

    if (region_valid(text)) { /* what is a Region fits where Regions go */
        must(size <= REGION_MAX && bytes_str(region_partition(text)).len <= PARTITION_MAX);
        must(!key_id_well_formed(text));
    }
    return 0;
}
