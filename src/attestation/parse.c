/* attestation/parse.c - the CBOR of attestation documents, read strictly; see attestation.h.
 *
 * libcbor's streaming decoder takes one data item's head at a time from the bytes, allocates nothing and
 * does not nest. What may follow is known at each place, so there is neither recursion nor a tree to build:
 * a hostile length or depth is refused at its first byte. Each value has one accepted spelling (RFC 8949
 * 4.1, preferred serialization; the security module writes no other), so that nobody can read the same
 * document in two ways.
 */
#include <cbor.h>

#include "attestation/attestation_internal.h"
#include "base/cleanup.h"
#include "base/limits.h"

enum {
    COSE_SIGN1_TAG = 0xc0 | 18, /* RFC 9052 2, table 1; the security module leaves it out */
    SIGNATURE_LEN = 96,
    HEAD_MAX = 9, /* bytes of a CBOR head */
    CERTIFICATE_MAX = 1024,
    PUBLIC_KEY_MAX = 1024,
    USER_DATA_MAX = 512, /* and of nonce */
};

/* --- items ------------------------------------------------------------------------------------ */

enum item_kind { ITEM_OTHER, ITEM_UINT, ITEM_BYTES, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP, ITEM_NULL };

struct item {
    enum item_kind kind;    /* ITEM_OTHER: nothing that a document has anywhere   */
    uint64_t       value;   /* number, count of elements or pairs, or length */
    struct bytes   content; /* of a string                                        */
};

static void set(void *to, enum item_kind kind, uint64_t value)
{
    *(struct item *)to = (struct item){ .kind = kind, .value = value };
}

static void on_uint8(void *to, uint8_t v)
{
    set(to, ITEM_UINT, v);
}

static void on_uint16(void *to, uint16_t v)
{
    set(to, ITEM_UINT, v);
}

static void on_uint32(void *to, uint32_t v)
{
    set(to, ITEM_UINT, v);
}

static void on_uint64(void *to, uint64_t v)
{
    set(to, ITEM_UINT, v);
}

static void on_null(void *to)
{
    set(to, ITEM_NULL, 0);
}

/* Lengths and counts are size_t in libcbor 0.8 and uint64_t in 0.10, which is one type where Trent runs. */
static void on_array(void *to, size_t n)
{
    set(to, ITEM_ARRAY, n);
}

static void on_map(void *to, size_t n)
{
    set(to, ITEM_MAP, n);
}

static void on_bytes(void *to, cbor_data at, size_t len)
{
    set(to, ITEM_BYTES, len);
    ((struct item *)to)->content = bytes_of(at, len);
}

static void on_text(void *to, cbor_data at, size_t len)
{
    set(to, ITEM_TEXT, len);
    ((struct item *)to)->content = bytes_of(at, len);
}

/* Length of the shortest head with this value. */
static size_t head_len(uint64_t value)
{
    if (value < 24)
        return 1;
    if (value <= UINT8_MAX)
        return 2;
    if (value <= UINT16_MAX)
        return 3;
    return value <= UINT32_MAX ? 5 : HEAD_MAX;
}

/* Takes one item off `in`: of an array, a map or a tag only the head. */
static bool next(struct bytes *in, struct item *ret)
{
    struct cbor_callbacks on = cbor_empty_callbacks; /* all others leave ITEM_OTHER */
    struct item           item = { 0 };
    struct bytes          taken;

    on.uint8 = on_uint8;
    on.uint16 = on_uint16;
    on.uint32 = on_uint32;
    on.uint64 = on_uint64;
    on.null = on_null;
    on.array_start = on_array;
    on.map_start = on_map;
    on.byte_string = on_bytes;
    on.string = on_text;
    struct cbor_decoder_result got = cbor_stream_decode(in->ptr, in->len, &on, &item);
    if (got.status != CBOR_DECODER_FINISHED || item.kind == ITEM_OTHER)
        return false;
    if (got.read != head_len(item.value) + item.content.len || !bytes_take(in, got.read, &taken))
        return false;
    *ret = item;
    return true;
}

static bool next_is(struct bytes *in, enum item_kind kind, struct item *ret)
{
    return next(in, ret) && ret->kind == kind;
}

/* --- members of the payload ------------------------------------------------------------------- */

static bool next_bytes(struct bytes *in, size_t min, size_t max, struct bytes *ret)
{
    struct item item;

    if (!next_is(in, ITEM_BYTES, &item) || item.content.len < min || item.content.len > max)
        return false;
    *ret = item.content;
    return true;
}

/* The optional members are null when the enclave gave none. */
static bool next_bytes_or_null(struct bytes *in, size_t min, size_t max, struct bytes *ret)
{
    struct bytes ahead = *in;
    struct item  item;

    if (next_is(&ahead, ITEM_NULL, &item)) {
        *in = ahead;
        return true;
    }
    return next_bytes(in, min, max, ret);
}

/* An instance's name and a number: printable ASCII, so that it can stand in any record. */
static bool read_module_id(struct bytes *in, struct attestation_signed *to)
{
    struct item item;

    if (!next_is(in, ITEM_TEXT, &item) || item.content.len == 0)
        return false;
    for (size_t i = 0; i < item.content.len; i++) {
        if (item.content.ptr[i] < ' ' || item.content.ptr[i] > '~')
            return false;
    }
    to->content.module_id = item.content;
    return true;
}

static bool read_digest(struct bytes *in, struct attestation_signed *to)
{
    struct item item;

    (void)to;
    return next_is(in, ITEM_TEXT, &item) && bytes_eq_str(item.content, "SHA384");
}

static bool read_timestamp(struct bytes *in, struct attestation_signed *to)
{
    struct item item;

    if (!next_is(in, ITEM_UINT, &item) || item.value == 0 || item.value > INT64_MAX)
        return false;
    to->content.timestamp = (int64_t)item.value;
    return true;
}

static bool read_pcrs(struct bytes *in, struct attestation_signed *to)
{
    struct item map;

    if (!next_is(in, ITEM_MAP, &map) || map.value == 0 || map.value > ATTESTATION_PCRS)
        return false;
    for (uint64_t i = 0; i < map.value; i++) {
        struct item  index;
        struct bytes pcr;
        if (!next_is(in, ITEM_UINT, &index) || index.value >= ATTESTATION_PCRS)
            return false;
        if (!next_bytes(in, 32, ATTESTATION_PCR_MAX, &pcr))
            return false;
        if (pcr.len % 16 != 0 || to->content.pcr[index.value].len != 0)
            return false; /* of no hash, or there twice */
        to->content.pcr[index.value] = pcr;
    }
    return true;
}

static bool read_certificate(struct bytes *in, struct attestation_signed *to)
{
    return next_bytes(in, 1, CERTIFICATE_MAX, &to->certificate);
}

static bool read_cabundle(struct bytes *in, struct attestation_signed *to)
{
    struct item array;

    if (!next_is(in, ITEM_ARRAY, &array) || array.value == 0 || array.value > ARRAY_LEN(to->bundle))
        return false;
    for (uint64_t i = 0; i < array.value; i++) {
        if (!next_bytes(in, 1, CERTIFICATE_MAX, &to->bundle[i]))
            return false;
    }
    to->n_bundle = (size_t)array.value;
    return true;
}

static bool read_public_key(struct bytes *in, struct attestation_signed *to)
{
    return next_bytes_or_null(in, 1, PUBLIC_KEY_MAX, &to->content.public_key);
}

/* user_data and nonce: nobody here reads them. */
static bool read_user_data(struct bytes *in, struct attestation_signed *to)
{
    struct bytes data;

    (void)to;
    return next_bytes_or_null(in, 0, USER_DATA_MAX, &data);
}

/* AWS Nitro Enclaves, "Attestation document specification": the members and their sizes. */
static const struct {
    const char *name;
    bool        needed;
    bool (*read)(struct bytes *in, struct attestation_signed *to);
} members[] = {
    { "module_id", true, read_module_id },     { "digest", true, read_digest },
    { "timestamp", true, read_timestamp },     { "pcrs", true, read_pcrs },
    { "certificate", true, read_certificate }, { "cabundle", true, read_cabundle },
    { "public_key", false, read_public_key },  { "user_data", false, read_user_data },
    { "nonce", false, read_user_data },
};

static bool read_member(struct bytes *in, uint32_t *seen, struct attestation_signed *to)
{
    struct item name;

    if (!next_is(in, ITEM_TEXT, &name))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (!bytes_eq_str(name.content, members[i].name))
            continue;
        if ((*seen & 1u << i) != 0)
            return false;
        *seen |= 1u << i;
        return members[i].read(in, to);
    }
    return false;
}

static bool read_payload(struct bytes in, struct attestation_signed *to)
{
    struct item map;
    uint32_t    seen = 0;

    if (!next_is(&in, ITEM_MAP, &map) || map.value > ARRAY_LEN(members))
        return false;
    for (uint64_t i = 0; i < map.value; i++) {
        if (!read_member(&in, &seen, to))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (members[i].needed && (seen & 1u << i) == 0)
            return false;
    }
    return in.len == 0;
}

/* --- the envelope ----------------------------------------------------------------------------- */

/* COSE_Sign1 (RFC 9052 4.2): [protected header, unprotected header, payload, signature]. */
static bool read_sign1(struct bytes in, struct attestation_signed *to)
{
    static const uint8_t es384[] = { 0xa1, 0x01, 0x38, 0x22 }; /* {1: -35}, spelt in one way only */
    struct item          item;

    if (in.len > 0 && in.ptr[0] == COSE_SIGN1_TAG) /* libcbor 0.8 takes most tags for mistakes */
        in = bytes_of(in.ptr + 1, in.len - 1);
    if (!next_is(&in, ITEM_ARRAY, &item) || item.value != 4)
        return false;
    if (!next_bytes(&in, 0, sizeof es384, &to->protected_header) ||
        !bytes_eq(to->protected_header, bytes_of(es384, sizeof es384)))
        return false;
    if (!next_is(&in, ITEM_MAP, &item) || item.value != 0)
        return false;
    return next_bytes(&in, 1, LIMIT_ATTESTATION_BYTES, &to->payload) &&
           next_bytes(&in, SIGNATURE_LEN, SIGNATURE_LEN, &to->signature) && in.len == 0;
}

bool attestation_parse(struct bytes document, struct attestation_signed *ret)
{
    struct attestation_signed s = { 0 };

    if (document.len > LIMIT_ATTESTATION_BYTES || !read_sign1(document, &s) ||
        !read_payload(s.payload, &s))
        return false;
    *ret = s;
    return true;
}

/* --- what is signed --------------------------------------------------------------------------- */

static void add_bytes(struct buf *out, struct bytes content)
{
    uint8_t head[HEAD_MAX];

    buf_add(out, bytes_of(head, cbor_encode_bytestring_start(content.len, head, sizeof head)));
    buf_add(out, content);
}

void attestation_signed_bytes(const struct attestation_signed *s, struct buf *out)
{
    static const char context[] = "Signature1";
    uint8_t           head[HEAD_MAX];

    buf_add(out, bytes_of(head, cbor_encode_array_start(4, head, sizeof head)));
    buf_add(out, bytes_of(head, cbor_encode_string_start(sizeof context - 1, head, sizeof head)));
    buf_add_str(out, context);
    add_bytes(out, s->protected_header);
    add_bytes(out, (struct bytes){ 0 });
    add_bytes(out, s->payload);
}
