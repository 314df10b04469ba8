/* jwt/tokens.c - see tokens.h. The DER in here comes from crypto/ and is of known shape. */
#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/key.h"

enum { KEYS = 2 };

static struct crypto_key *keys[2][KEYS];

static const struct crypto_key *issuer_key(bool rsa, unsigned which)
{
    enum key_spec                        spec = rsa ? SPEC_RSA_2048 : SPEC_ECC_NIST_P256;
    struct crypto_key                  **key = &keys[rsa][which];
    CLEANUP(secret_freep) struct secret *material = NULL;

    assert_true(which < KEYS);
    if (*key != NULL)
        return *key;
    assert_int_equal(crypto_key_generate(spec, NULL, &material, NULL), KMS_OK);
    assert_int_equal(crypto_key_open(spec, secret_view(material), key, NULL), KMS_OK);
    return *key;
}

const struct crypto_key *issuer_rsa(unsigned which)
{
    return issuer_key(true, which);
}

const struct crypto_key *issuer_ec(unsigned which)
{
    return issuer_key(false, which);
}

void issuer_free(void)
{
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        crypto_key_free(keys[i / KEYS][i % KEYS]);
        keys[i / KEYS][i % KEYS] = NULL;
    }
}

void base64url_add(struct buf *out, struct bytes in)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0;
    unsigned n = 0;

    for (size_t i = 0; i < in.len; i++) {
        bits = bits << 8 | in.ptr[i];
        for (n += 8; n >= 6; n -= 6)
            buf_add_byte(out, (uint8_t)letters[bits >> (n - 6) & 63]);
    }
    if (n > 0)
        buf_add_byte(out, (uint8_t)letters[bits << (6 - n) & 63]);
    assert_true(buf_ok(out));
}

/* An element with a length in two bytes or one. */
static struct bytes take_der(struct bytes *in, uint8_t tag)
{
    struct bytes out;

    assert_true(in->len > 4 && in->ptr[0] == tag);
    size_t head = in->ptr[1] < 0x80 ? 2 : in->ptr[1] == 0x81 ? 3 : 4;
    size_t len = head == 2   ? in->ptr[1]
                 : head == 3 ? in->ptr[2]
                             : (size_t)in->ptr[2] << 8 | in->ptr[3];
    assert_true(in->len >= head + len);
    out = bytes_of(in->ptr + head, len);
    *in = bytes_of(in->ptr + head + len, in->len - head - len);
    return out;
}

static struct bytes take_integer(struct bytes *in)
{
    struct bytes n = { in->ptr + 2, in->ptr[1] };

    if (n.len < 0x80) {
        assert_int_equal(in->ptr[0], 0x02);
        *in = bytes_of(n.ptr + n.len, in->len - 2 - n.len);
    } else {
        n = take_der(in, 0x02);
    }
    while (n.len > 1 && n.ptr[0] == 0) {
        n.ptr++;
        n.len--;
    }
    return n;
}

void jwk_add(struct buf *out, const struct crypto_key *key)
{
    CLEANUP(buf_release) struct buf spki = BUF_INIT(4096);

    assert_int_equal(crypto_key_public(key, &spki, NULL), KMS_OK);
    if (crypto_key_spec(key) == SPEC_ECC_NIST_P256) {
        buf_add_str(out, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
        base64url_add(out, bytes_of(spki.ptr + spki.len - 64, 32));
        buf_add_str(out, "\",\"y\":\"");
        base64url_add(out, bytes_of(spki.ptr + spki.len - 32, 32));
        buf_add_str(out, "\"");
        return;
    }
    struct bytes rest = buf_bytes(&spki);
    rest = take_der(&rest, 0x30);
    (void)take_der(&rest, 0x30);
    rest = take_der(&rest, 0x03);
    rest = bytes_of(rest.ptr + 1, rest.len - 1);
    rest = take_der(&rest, 0x30);
    buf_add_str(out, "\"kty\":\"RSA\",\"n\":\"");
    base64url_add(out, take_integer(&rest));
    buf_add_str(out, "\",\"e\":\"");
    base64url_add(out, take_integer(&rest));
    buf_add_str(out, "\"");
}

void token_sign(struct buf *out, struct bytes text, const struct crypto_key *key)
{
    CLEANUP(buf_release) struct buf made = BUF_INIT(1024);
    bool                            rsa = crypto_key_spec(key) == SPEC_RSA_2048;
    uint8_t                         raw[64] = { 0 };

    assert_int_equal(
        crypto_key_sign(key, rsa ? ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256 : ALGORITHM_ECDSA_SHA_256,
                        MESSAGE_RAW, text, &made, NULL),
        KMS_OK);
    if (rsa) {
        base64url_add(out, buf_bytes(&made));
        return;
    }
    struct bytes rest = buf_bytes(&made);
    rest = take_der(&rest, 0x30);
    for (size_t i = 0; i < 2; i++) {
        struct bytes n = take_integer(&rest);
        memcpy(raw + 32 * (i + 1) - n.len, n.ptr, n.len);
    }
    base64url_add(out, bytes_of(raw, sizeof raw));
}

void token_add(struct buf *out, const char *header, const char *payload,
               const struct crypto_key *key)
{
    size_t start = out->len;

    base64url_add(out, bytes_str(header));
    buf_add_byte(out, '.');
    base64url_add(out, bytes_str(payload));
    struct bytes                    text = { out->ptr + start, out->len - start };
    CLEANUP(buf_release) struct buf copy = BUF_INIT(text.len + 1);
    buf_add(&copy, text);
    buf_add_byte(out, '.');
    token_sign(out, buf_bytes(&copy), key);
}
