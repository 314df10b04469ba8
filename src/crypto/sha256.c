/* crypto/sha256.c - SHA-256, and HMAC and the key derivation built on it: what every request does some times.
 *
 * The one file that uses OpenSSL's low-level functions, which are marked as deprecated: they are the same
 * code behind less, and only they have a state that can be kept (docs/decisions/0010-sha256.md).
 *
 * HMAC hashes a block made of the key before all else, for its inner and its outer hash (RFC 2104). The two
 * states behind those blocks are a prepared key: worth as much to a thief as the key, so they are in secret
 * memory too.
 *
 * Invariant: of a key, a message or a MAC nothing stays in the room of the thread but the last digest.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "crypto/crypto_internal.h"

/* A prepared key: the states of SHA-256 after one block. */
struct hmac_states {
    SHA_LONG inner[8];
    SHA_LONG outer[8];
};

/* What a thread works with, in secret memory. */
struct sha256_room {
    SHA256_CTX         ctx;
    struct hmac_states states;               /* of a key that is not kept */
    uint8_t            block[SHA256_CBLOCK]; /* the key, padded; the inner digest, padded */
    uint8_t digest[SHA256_LEN]; /* of a long key; the inner one; a block of a derivation */
    uint8_t text[KDF_TEXT_MAX]; /* what a derivation hashes: no secret */
};

_Static_assert(sizeof(struct hmac_states) == HMAC_KEY_LEN, "what crypto.h says");

static struct sha256_room *my_room(void)
{
    return (struct sha256_room *)(void *)secret_data(crypto_thread_or_abort()->sha256);
}

struct secret *crypto_sha256_room_new(void)
{
    return secret_new(sizeof(struct sha256_room));
}

/* --- hashing ------------------------------------------------------------------------------------ */

/* These functions of OpenSSL cannot fail; that they say so is checked all the same. */
static void must(int ok)
{
    if (ok != 1)
        abort();
}

static void add(SHA256_CTX *ctx, const struct bytes *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len > 0)
            must(SHA256_Update(ctx, pieces[i].ptr, pieces[i].len));
    }
}

void crypto_sha256_pieces(const struct bytes *pieces, size_t n, uint8_t ret[SHA256_LEN])
{
    SHA256_CTX *ctx = &my_room()->ctx;

    must(SHA256_Init(ctx));
    add(ctx, pieces, n);
    must(SHA256_Final(ret, ctx));
}

void crypto_sha256(struct bytes in, uint8_t ret[SHA256_LEN])
{
    crypto_sha256_pieces(&in, 1, ret);
}

/* --- HMAC --------------------------------------------------------------------------------------- */

/* The state behind the key's block, each of whose bytes is changed by `pad`. */
static void state_of(struct sha256_room *room, struct bytes key, uint8_t pad, SHA_LONG ret[8])
{
    memset(room->block, pad, sizeof room->block);
    for (size_t i = 0; i < key.len; i++)
        room->block[i] ^= key.ptr[i];
    must(SHA256_Init(&room->ctx));
    SHA256_Transform(&room->ctx, room->block);
    memcpy(ret, room->ctx.h, sizeof room->ctx.h);
}

static void prepare(struct sha256_room *room, struct bytes key, struct hmac_states *ret)
{
    if (key.len > SHA256_CBLOCK) {
        crypto_sha256(key, room->digest);
        key = bytes_of(room->digest, sizeof room->digest);
    }
    state_of(room, key, 0x36, ret->inner);
    state_of(room, key, 0x5c, ret->outer);
}

/* Goes on behind the block that made the state: all that SHA256_Init sets up, but for the bytes that wait to
 * fill a block, of which there are none. */
static void resume(SHA256_CTX *ctx, const SHA_LONG state[8])
{
    memcpy(ctx->h, state, sizeof ctx->h);
    ctx->Nl = 8 * SHA256_CBLOCK; /* bits hashed so far */
    ctx->Nh = 0;
    ctx->num = 0;
    ctx->md_len = SHA256_LEN;
}

/* The outer hash: behind the key's block comes one more, the inner digest with what SHA-256 ends 96 bytes with. */
static void outer(struct sha256_room *room, const SHA_LONG state[8], uint8_t *ret)
{
    enum { BITS = 8 * (SHA256_CBLOCK + SHA256_LEN) };
    uint8_t *block = room->block;

    memcpy(block, room->digest, SHA256_LEN);
    memset(block + SHA256_LEN, 0, SHA256_CBLOCK - SHA256_LEN);
    block[SHA256_LEN] = 0x80;
    block[SHA256_CBLOCK - 2] = BITS >> 8;
    block[SHA256_CBLOCK - 1] = BITS & 0xff;
    memcpy(room->ctx.h, state, sizeof room->ctx.h);
    SHA256_Transform(&room->ctx, block);
    for (size_t i = 0; i < 8; i++) {
        uint32_t word = htobe32(room->ctx.h[i]);
        memcpy(ret + 4 * i, &word, sizeof word);
    }
}

static void hmac(struct sha256_room *room, const struct hmac_states *key,
                 const struct bytes *pieces, size_t n, uint8_t *ret)
{
    resume(&room->ctx, key->inner);
    add(&room->ctx, pieces, n);
    must(SHA256_Final(room->digest, &room->ctx));
    outer(room, key->outer, ret);
}

/* After everything that had a key. */
static void wipe(struct sha256_room *room)
{
    explicit_bzero(room, offsetof(struct sha256_room, text));
}

static const struct hmac_states *states_of(struct hmac_key key)
{
    return (const struct hmac_states *)(void *)secret_data(key.states);
}

enum kms_status crypto_hmac_key(struct bytes key, struct hmac_key *ret, struct kms_error *reterr)
{
    struct secret      *states = secret_new(sizeof(struct hmac_states));
    struct sha256_room *room = my_room();

    if (states == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a key");
    prepare(room, key, (struct hmac_states *)(void *)secret_data(states));
    wipe(room);
    *ret = (struct hmac_key){ states };
    return KMS_OK;
}

void crypto_hmac_key_free(struct hmac_key *key)
{
    secret_freep(&key->states);
}

void crypto_hmac_sha256_kept(struct hmac_key key, struct bytes in, uint8_t ret[SHA256_LEN])
{
    struct sha256_room *room = my_room();

    hmac(room, states_of(key), &in, 1, ret);
    wipe(room);
}

void crypto_hmac_sha256_pieces(struct bytes key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN])
{
    struct sha256_room *room = my_room();

    prepare(room, key, &room->states);
    hmac(room, &room->states, pieces, n, ret);
    wipe(room);
}

void crypto_hmac_sha256_secret(struct secret *key, const struct bytes *pieces, size_t n,
                               uint8_t ret[SHA256_LEN])
{
    crypto_hmac_sha256_pieces(secret_view(key), pieces, n, ret);
}

void crypto_hmac_sha256(struct bytes key, struct bytes in, uint8_t ret[SHA256_LEN])
{
    crypto_hmac_sha256_pieces(key, &in, 1, ret);
}

/* --- key derivation ----------------------------------------------------------------------------- */

/* Blocks 1, 2, ... of SP 800-108. They differ in the counter only, so their text is written once. */
static void derive(struct sha256_room *room, const struct hmac_states *key, struct bytes label,
                   struct bytes context, uint8_t *ret, size_t out_len)
{
    struct buf text = { .ptr = room->text,
                        .cap = KDF_TEXT_MAX,
                        .limit = KDF_TEXT_MAX }; /* borrows */

    assert(out_len > 0 && out_len <= 255 * SHA256_LEN);
    buf_add_u32(&text, 0);
    buf_add(&text, label);
    buf_add_byte(&text, 0);
    buf_add(&text, context);
    buf_add_u32(&text, (uint32_t)(8 * out_len));
    assert(buf_ok(&text));
    struct bytes piece = buf_bytes(&text);
    for (size_t done = 0; done < out_len; done += SHA256_LEN) {
        size_t left = out_len - done;
        room->text[3]++;
        hmac(room, key, &piece, 1, left < SHA256_LEN ? room->digest : ret + done);
        if (left < SHA256_LEN)
            memcpy(ret + done, room->digest, left);
    }
}

void crypto_kdf(struct bytes key, struct bytes label, struct bytes context, uint8_t *ret,
                size_t out_len)
{
    struct sha256_room *room = my_room();

    prepare(room, key, &room->states);
    derive(room, &room->states, label, context, ret, out_len);
    wipe(room);
}

void crypto_kdf_kept(struct hmac_key key, struct bytes label, struct bytes context, uint8_t *ret,
                     size_t out_len)
{
    struct sha256_room *room = my_room();

    derive(room, states_of(key), label, context, ret, out_len);
    wipe(room);
}
