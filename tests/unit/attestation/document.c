/* tests/unit/attestation/document.c - see document.h. The encoder is not libcbor's: what is tested is not
 * tested with itself. */
#include "attestation/document.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/encode.h"

enum { VALUE_MAX = 128 * 1024 };

void cbor_head(struct buf *out, unsigned major, uint64_t value)
{
    unsigned size = value < 24            ? 0
                    : value < 0x100       ? 1
                    : value < 0x10000     ? 2
                    : value <= UINT32_MAX ? 4
                                          : 8;
    unsigned low = size == 0   ? (unsigned)value
                   : size == 1 ? 24
                   : size == 2 ? 25
                   : size == 4 ? 26
                               : 27;

    buf_add_byte(out, (uint8_t)(major << 5 | low));
    while (size-- > 0)
        buf_add_byte(out, (uint8_t)(value >> 8 * size));
}

void cbor_bytes(struct buf *out, struct bytes content)
{
    cbor_head(out, 2, content.len);
    buf_add(out, content);
}

void cbor_text(struct buf *out, const char *text)
{
    cbor_head(out, 3, strlen(text));
    buf_add_str(out, text);
}

void add_hex(struct buf *out, const char *hex)
{
    uint8_t byte;

    for (; *hex != '\0'; hex += 2) {
        if (!hex_read(bytes_of(hex, 2), &byte, 1))
            abort();
        buf_add_byte(out, byte);
    }
}

struct buf *document_member(struct document *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->member[i].name, name) == 0)
            return &d->member[i].value;
    }
    if (d->n == ARRAY_LEN(d->member))
        abort();
    d->member[d->n].name = name;
    buf_init(&d->member[d->n].value, VALUE_MAX);
    return &d->member[d->n++].value;
}

void document_set(struct document *d, const char *name, const char *hex)
{
    struct buf *value = document_member(d, name);

    buf_reset(value);
    add_hex(value, hex);
}

void document_drop(struct document *d, const char *name)
{
    struct buf *value = document_member(d, name);
    size_t      i = 0;

    while (&d->member[i].value != value)
        i++;
    buf_release(value);
    for (d->n--; i < d->n; i++)
        d->member[i] = d->member[i + 1];
    d->member[d->n].value = (struct buf){ 0 };
}

static void add_certificate(struct buf *out, const struct party *p)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(VALUE_MAX);

    party_der(p, &der);
    cbor_bytes(out, buf_bytes(&der));
}

/* 16 registers of SHA-384, as a real document has them; the first is 00..2f, the others are zero. */
static void add_pcrs(struct buf *out)
{
    uint8_t pcr[48] = { 0 };

    cbor_head(out, 5, 16);
    for (unsigned i = 0; i < 16; i++) {
        for (uint8_t j = 0; j < sizeof pcr; j++)
            pcr[j] = i == 0 ? j : 0;
        cbor_head(out, 0, i);
        cbor_bytes(out, bytes_of(pcr, sizeof pcr));
    }
}

void document_init(struct document *d, const struct party *leaf, const struct party *const *bundle,
                   size_t n, int64_t timestamp, struct bytes public_key)
{
    *d = (struct document){
        .before = "84", .protected_header = "44a1013822", .unprotected_header = "a0", .after = ""
    };
    buf_init(&d->payload_head, VALUE_MAX);
    cbor_text(document_member(d, "module_id"), "i-0123456789abcdef0-enc0123456789abcdef");
    cbor_text(document_member(d, "digest"), "SHA384");
    cbor_head(document_member(d, "timestamp"), 0, (uint64_t)timestamp);
    add_pcrs(document_member(d, "pcrs"));
    add_certificate(document_member(d, "certificate"), leaf);
    cbor_head(document_member(d, "cabundle"), 4, n);
    for (size_t i = 0; i < n; i++)
        add_certificate(document_member(d, "cabundle"), bundle[i]);
    cbor_bytes(document_member(d, "public_key"), public_key);
    document_set(d, "user_data", "f6");
    document_set(d, "nonce", "f6");
}

void document_release(struct document *d)
{
    for (size_t i = 0; i < d->n; i++)
        buf_release(&d->member[i].value);
    buf_release(&d->payload_head);
}

static void write_payload(const struct document *d, struct buf *out)
{
    if (d->payload_head.len > 0)
        buf_add(out, buf_bytes(&d->payload_head));
    else
        cbor_head(out, 5, d->n);
    for (size_t i = 0; i < d->n; i++) {
        /* "nonce again" is a second member "nonce" */
        CLEANUP(freep) char *name = strndup(d->member[i].name, strcspn(d->member[i].name, " "));
        cbor_text(out, name);
        buf_add(out, buf_bytes(&d->member[i].value));
    }
}

/* RFC 9052 4.4, spelt out once more. */
static void sign(const struct document *d, struct bytes payload, const struct party *signer,
                 uint8_t ret[96])
{
    CLEANUP(buf_release) struct buf message = BUF_INIT(2 * VALUE_MAX);

    cbor_head(&message, 4, 4);
    cbor_text(&message, "Signature1");
    add_hex(&message, d->protected_header);
    cbor_bytes(&message, (struct bytes){ 0 });
    cbor_bytes(&message, payload);
    party_sign(signer, buf_bytes(&message), ret);
}

void document_write(const struct document *d, const struct party *signer, struct buf *out)
{
    CLEANUP(buf_release) struct buf payload = BUF_INIT(VALUE_MAX);
    uint8_t                         signature[96];

    write_payload(d, &payload);
    sign(d, buf_bytes(&payload), signer, signature);
    add_hex(out, d->before);
    add_hex(out, d->protected_header);
    add_hex(out, d->unprotected_header);
    cbor_bytes(out, buf_bytes(&payload));
    cbor_bytes(out, bytes_of(signature, sizeof signature));
    add_hex(out, d->after);
    if (!buf_ok(out) || !buf_ok(&payload))
        abort();
}
