/* tests/fuzz/fuzz_jwt.c - tokens and key sets.
 *
 * The input is a key set, a zero byte, and a token (either may be missing). A '@' as the third part
 * of a token stands for the right signature of our own ES256 key, whose set is tried too: so what is
 * read behind a good signature is reached as well.
 *
 *   P1  Reading twice gives the same: what is accepted is accepted again, with the same claims.
 *   P2  What is believed has a good header: one of two algorithms, no `crit`, and its parts are
 *       what their canonical base64url says: no second text has the same signature.
 *   P3  A token that is believed is not believed with one bit of its text changed, nor after its time.
 *   P4  A set says of itself what it does: a key that it has not verifies nothing.
 */
#include "crypto_start.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "crypto/key.h"
#include "jwt/jwt.h"

enum { INPUT_MAX = 64 * 1024, NOW_MS = 1500 * 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto_key *own_key;
static struct jwks       *own_set;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

/* --- our own issuer --------------------------------------------------------------------------- */

static void add_base64url(struct buf *out, struct bytes in)
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
}

static void make_issuer(void)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    CLEANUP(buf_release) struct buf      spki = BUF_INIT(1024);
    CLEANUP(buf_release) struct buf      text = BUF_INIT(1024);

    must(crypto_key_generate(SPEC_ECC_NIST_P256, NULL, &material, NULL) == KMS_OK &&
             crypto_key_open(SPEC_ECC_NIST_P256, secret_view(material), &own_key, NULL) == KMS_OK &&
             crypto_key_public(own_key, &spki, NULL) == KMS_OK,
         "no key");
    buf_add_str(&text, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
    add_base64url(&text, bytes_of(spki.ptr + spki.len - 64, 32));
    buf_add_str(&text, "\",\"y\":\"");
    add_base64url(&text, bytes_of(spki.ptr + spki.len - 32, 32));
    buf_add_str(&text, "\"}]}");
    must(jwks_read(buf_bytes(&text), &own_set, NULL) == KMS_OK, "no set");
}

/* DER to r || s. */
static void raw_signature(struct bytes der, uint8_t ret[64])
{
    const uint8_t *at = der.ptr + 2;

    memset(ret, 0, 64);
    for (size_t i = 0; i < 2; i++) {
        size_t         len = at[1];
        const uint8_t *n = at + 2;

        at = n + len;
        for (; len > 32; len--)
            n++;
        memcpy(ret + 32 * (i + 1) - len, n, len);
    }
}

/* The token with our signature for "@". */
static bool complete(struct bytes token, struct buf *out)
{
    CLEANUP(buf_release) struct buf der = BUF_INIT(256);
    uint8_t                         raw[64];

    if (token.len < 2 || memcmp(token.ptr + token.len - 2, ".@", 2) != 0)
        return false;
    struct bytes text = bytes_of(token.ptr, token.len - 2);
    must(crypto_key_sign(own_key, ALGORITHM_ECDSA_SHA_256, MESSAGE_RAW, text, &der, NULL) == KMS_OK,
         "signing fails");
    raw_signature(buf_bytes(&der), raw);
    buf_add(out, text);
    buf_add_byte(out, '.');
    add_base64url(out, bytes_of(raw, sizeof raw));
    return buf_ok(out);
}

/* --- the properties --------------------------------------------------------------------------- */

static enum kms_status judge(struct bytes token, const struct jwks *set, int64_t now_ms)
{
    CLEANUP(jwt_freep) struct jwt *t = NULL;

    TRY(jwt_read(token, &t, NULL));
    return jwt_verify(t, set, now_ms, NULL, NULL);
}

/* P1 */
static void check_same(const struct jwt *a, const struct jwt *b)
{
    must(bytes_eq(jwt_issuer(a), jwt_issuer(b)) && bytes_eq(jwt_subject(a), jwt_subject(b)) &&
             bytes_eq(jwt_key_id(a), jwt_key_id(b)),
         "P1: two readings");
    for (size_t i = 0; i <= JWT_AUDIENCES_MAX; i++)
        must(bytes_eq(jwt_audience(a, i), jwt_audience(b, i)), "P1: two lists of audiences");
    must(jwt_issuer(a).len > 0 && jwt_subject(a).len > 0 && jwt_audience(a, 0).len > 0,
         "P1: a token without what it must have");
}

/* P2, P3: `token` is believed. */
static void check_believed(struct bytes token, const struct jwks *set)
{
    CLEANUP(buf_release) struct buf copy = BUF_INIT(INPUT_MAX + 1);
    unsigned                        sum = 0;

    buf_add(&copy, token);
    for (size_t i = 0; i < token.len; i++) {
        uint8_t c = token.ptr[i];
        must((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '_' || c == '.',
             "P2: believed, and not base64url");
        sum = sum * 31 + c;
    }
    copy.ptr[sum / 8 % copy.len] ^= (uint8_t)(1u << sum % 8);
    must(judge(buf_bytes(&copy), set, NOW_MS) != KMS_OK, "P3: a changed token is believed");
    must(judge(token, set, INT64_C(253402300800) * 1000 + 3600 * 1000) != KMS_OK,
         "P3: believed after the end of all times");
}

static void check_token(struct bytes token, const struct jwks *set)
{
    CLEANUP(jwt_freep) struct jwt *once = NULL;
    CLEANUP(jwt_freep) struct jwt *twice = NULL;
    bool                           known = false;
    struct bytes                   claim;

    enum kms_status first = jwt_read(token, &once, NULL);
    must(first == jwt_read(token, &twice, NULL), "P1: read once, refused once");
    if (first != KMS_OK)
        return;
    check_same(once, twice);
    (void)jwt_claim(once, "amr", 1, &claim);
    enum kms_status status = jwt_verify(once, set, NOW_MS, &known, NULL);
    must(known || status == KMS_E_WEB_TOKEN, "P4: believed without a key");
    must(jwks_count(set) > 0 || !known, "P4: a key of an empty set");
    if (status == KMS_OK)
        check_believed(token, set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(jwks_releasep) struct jwks *set = NULL;
    CLEANUP(buf_release) struct buf     whole = BUF_INIT(INPUT_MAX + 128);
    struct bytes                        token = bytes_of(data, size);
    struct bytes                        keys;

    if (own_set == NULL) {
        must(start_crypto() == KMS_OK, "no cryptography");
        make_issuer();
    }
    if (size > INPUT_MAX)
        return 0;
    if (bytes_cut(&token, 0, &keys) && jwks_read(keys, &set, NULL) == KMS_OK)
        check_token(token, set);
    check_token(token, own_set);
    if (complete(token, &whole))
        check_token(buf_bytes(&whole), own_set);
    return 0;
}
