/* vault/slot_codec.c - the bytes of a slot file; see slot_file.h and docs/storage-format.md. */
#include <assert.h>

#include "base/cleanup.h"
#include "vault/slot_file.h"

enum {
    FORMAT = 1,
    /* header page */
    HEADER_CLASS = 12,
    HEADER_INSTANCE = 16,
    HEADER_NUMBER = 32,
    HEADER_MAC = 40,
    /* slot */
    AT_FORMAT = 4,
    AT_GENERATION = 8,
    AT_OWNER = 16,
    AT_WRAPPED = 32,
    AT_MAC = 72,
    AT_REST = 88,
};

static const uint8_t header_magic[8] = "TRENTSLT";
static const uint8_t slot_magic[4] = "SLOT";

static void put_u32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put_u64(uint8_t *at, uint64_t v)
{
    put_u32(at, (uint32_t)(v >> 32));
    put_u32(at + 4, (uint32_t)v);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | at[i];
    return v;
}

static bool all_zero(const uint8_t *at, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++)
        any |= at[i];
    return any == 0;
}

static void header_mac(const struct slot_keys *keys, const uint8_t *header, uint8_t ret[SHA256_LEN])
{
    const struct bytes pieces[] = { BYTES_LIT("slot-header"), { header, HEADER_MAC } };

    crypto_hmac_sha256_pieces(secret_view(keys->mac), pieces, ARRAY_LEN(pieces), ret);
}

void slot_header_encode(const struct slot_keys *keys, enum slot_class slot_class,
                        uint64_t generation, uint8_t ret[SLOT_HEADER])
{
    memcpy(ret, header_magic, sizeof header_magic);
    put_u32(ret + sizeof header_magic, FORMAT);
    put_u32(ret + HEADER_CLASS, (uint32_t)slot_class);
    memcpy(ret + HEADER_INSTANCE, keys->instance, sizeof keys->instance);
    put_u64(ret + HEADER_NUMBER, generation);
    header_mac(keys, ret, ret + HEADER_MAC);
}

enum slot_header slot_header_decode(const struct slot_keys *keys, enum slot_class slot_class,
                                    const uint8_t in[SLOT_HEADER], uint64_t *ret_generation)
{
    uint8_t  want[SLOT_HEADER];
    uint64_t generation = get_u64(in + HEADER_NUMBER);

    slot_header_encode(keys, slot_class, generation, want);
    if (!bytes_eq(bytes_of(in, HEADER_CLASS), bytes_of(want, HEADER_CLASS)))
        return SLOT_HEADER_DAMAGED;
    if (!bytes_eq(bytes_of(in, HEADER_NUMBER), bytes_of(want, HEADER_NUMBER)))
        return SLOT_HEADER_FOREIGN;
    if (generation == 0 || !ct_equal(bytes_of(in, SLOT_HEADER), bytes_of(want, SLOT_HEADER)))
        return SLOT_HEADER_DAMAGED;
    *ret_generation = generation;
    return SLOT_HEADER_GOOD;
}

void slot_owner(const struct slot_keys *keys, struct bytes key_id, struct bytes item,
                uint8_t ret[SLOT_OWNER])
{
    uint8_t            mac[SHA256_LEN];
    uint8_t            len[4];
    const struct bytes pieces[] = { BYTES_LIT("slot-owner"), { len, sizeof len }, key_id, item };

    put_u32(len, (uint32_t)key_id.len);
    crypto_hmac_sha256_pieces(secret_view(keys->mac), pieces, ARRAY_LEN(pieces), mac);
    memcpy(ret, mac, SLOT_OWNER);
}

/* Magic and format. */
static void put_start(uint8_t ret[AT_GENERATION])
{
    memcpy(ret, slot_magic, sizeof slot_magic);
    put_u32(ret + AT_FORMAT, FORMAT);
}

/* Over file and place as well: a slot copied elsewhere does not verify. */
static void slot_mac(const struct slot_keys *keys, enum slot_class slot_class, uint32_t slot,
                     const uint8_t *bytes, uint8_t ret[SHA256_LEN])
{
    uint8_t            place[8];
    const struct bytes pieces[] = {
        BYTES_LIT("slot"),
        { keys->instance, sizeof keys->instance },
        { place, sizeof place },
        { bytes, AT_MAC },
    };

    put_u32(place, (uint32_t)slot_class);
    put_u32(place + 4, slot);
    crypto_hmac_sha256_pieces(secret_view(keys->mac), pieces, ARRAY_LEN(pieces), ret);
}

void slot_encode(const struct slot_keys *keys, enum slot_class slot_class, uint32_t slot,
                 const struct slot_content *content, uint8_t ret[SLOT_BYTES])
{
    uint8_t mac[SHA256_LEN];

    assert(content->generation != 0);
    memset(ret, 0, SLOT_BYTES);
    put_start(ret);
    put_u64(ret + AT_GENERATION, content->generation);
    memcpy(ret + AT_OWNER, content->owner, SLOT_OWNER);
    memcpy(ret + AT_WRAPPED, content->wrapped, SLOT_WRAPPED);
    slot_mac(keys, slot_class, slot, ret, mac);
    memcpy(ret + AT_MAC, mac, SLOT_MAC);
}

void slot_decode(const struct slot_keys *keys, enum slot_class slot_class, uint32_t slot,
                 const uint8_t in[SLOT_BYTES], struct slot_content *ret)
{
    uint8_t mac[SHA256_LEN];
    uint8_t start[AT_GENERATION];

    *ret = (struct slot_content){ .state = SLOT_FREE };
    if (all_zero(in, SLOT_BYTES))
        return;
    ret->state = SLOT_DAMAGED;
    ret->generation = get_u64(in + AT_GENERATION);
    put_start(start);
    if (!bytes_eq(bytes_of(in, sizeof start), bytes_of(start, sizeof start)) ||
        ret->generation == 0 || !all_zero(in + AT_REST, SLOT_BYTES - AT_REST))
        return;
    slot_mac(keys, slot_class, slot, in, mac);
    if (!ct_equal(bytes_of(mac, SLOT_MAC), bytes_of(in + AT_MAC, SLOT_MAC)))
        return;
    memcpy(ret->owner, in + AT_OWNER, SLOT_OWNER);
    memcpy(ret->wrapped, in + AT_WRAPPED, SLOT_WRAPPED);
    ret->state = SLOT_USED;
}
