/* tests/fuzz/fuzz_attestation.c - what is taken for an attestation document can be written again, byte by
 * byte, from what was read of it; its views lie inside; and what its signature is over is a Sig_structure of
 * exactly these parts. The encoder here is not the library's. */
#include <stdlib.h>

#include "attestation/attestation_internal.h"
#include "base/cleanup.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void must_be_within(struct bytes whole, struct bytes part, size_t min, size_t max)
{
    must(part.len >= min && part.len <= max);
    must(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

/* A byte string with its shortest head; none is longer than LIMIT_ATTESTATION_BYTES. */
static void add_bytes(struct buf *out, struct bytes content)
{
    if (content.len < 24) {
        buf_add_byte(out, (uint8_t)(0x40 | content.len));
    } else if (content.len < 0x100) {
        buf_add_byte(out, 0x58);
        buf_add_byte(out, (uint8_t)content.len);
    } else if (content.len < 0x10000) {
        buf_add_byte(out, 0x59);
        buf_add_byte(out, (uint8_t)(content.len >> 8));
        buf_add_byte(out, (uint8_t)content.len);
    } else {
        buf_add_byte(out, 0x5a);
        buf_add_u32(out, (uint32_t)content.len);
    }
    buf_add(out, content);
}

static void check_views(struct bytes document, const struct attestation_signed *s)
{
    const struct attestation *a = &s->content;
    size_t                    registers = 0;

    must_be_within(document, s->payload, 1, document.len);
    must_be_within(s->payload, a->module_id, 1, s->payload.len);
    must_be_within(s->payload, a->public_key, 0, 1024);
    must_be_within(s->payload, s->certificate, 1, 1024);
    must(a->timestamp > 0 && s->n_bundle >= 1 && s->n_bundle <= ARRAY_LEN(s->bundle));
    for (size_t i = 0; i < s->n_bundle; i++)
        must_be_within(s->payload, s->bundle[i], 1, 1024);
    for (size_t i = 0; i < ATTESTATION_PCRS; i++) {
        size_t len = a->pcr[i].len;
        must_be_within(s->payload, a->pcr[i], 0, ATTESTATION_PCR_MAX);
        must(len == 0 || len == 32 || len == 48 || len == 64);
        registers += len != 0;
    }
    must(registers > 0);
}

static void check_document(struct bytes document, const struct attestation_signed *s)
{
    CLEANUP(buf_release) struct buf again = BUF_INIT(LIMIT_ATTESTATION_BYTES);

    if (document.ptr[0] == 0xd2)
        buf_add_byte(&again, 0xd2);
    buf_add_byte(&again, 0x84);
    add_bytes(&again, s->protected_header);
    buf_add_byte(&again, 0xa0);
    add_bytes(&again, s->payload);
    add_bytes(&again, s->signature);
    must(buf_ok(&again) && bytes_eq(buf_bytes(&again), document));
}

static void check_signed_bytes(const struct attestation_signed *s)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(2 * LIMIT_ATTESTATION_BYTES);
    CLEANUP(buf_release) struct buf want = BUF_INIT(2 * LIMIT_ATTESTATION_BYTES);

    attestation_signed_bytes(s, &got);
    buf_add_str(&want, "\x84\x6aSignature1");
    add_bytes(&want, s->protected_header);
    add_bytes(&want, (struct bytes){ 0 });
    add_bytes(&want, s->payload);
    must(buf_ok(&got) && bytes_eq(buf_bytes(&got), buf_bytes(&want)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes              document = bytes_of(data, size);
    struct attestation_signed s;

    if (!attestation_parse(document, &s))
        return 0;
    must(size <= LIMIT_ATTESTATION_BYTES);
    check_views(document, &s);
    check_document(document, &s);
    check_signed_bytes(&s);
    return 0;
}
