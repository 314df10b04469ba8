/* vault/envelope.c - small things sealed under a purpose key: keys of the instance file, domain keys,
 * secret access keys, import tokens, pagination markers. Bytes: docs/storage-format.md. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "vault/vault_internal.h"

enum { FORMAT = 1, MARKER_MAX = 8 * 1024 };

/* The key is new with every nonce and seals one thing, so the IV may be fixed (trust-model 2.4). */
static const uint8_t no_iv[GCM_IV_LEN];

static enum kms_status one_time_key(struct secret *key, const char *label, const uint8_t *nonce,
                                    struct secret **ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *fresh = secret_new(AES256_KEY_LEN);

    if (fresh == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a key");
    TRY(crypto_kdf(secret_view(key), bytes_str(label), bytes_of(nonce, ENVELOPE_NONCE),
                   secret_data(fresh), AES256_KEY_LEN, reterr));
    *ret = TAKE(fresh);
    return KMS_OK;
}

enum kms_status envelope_seal(struct secret *key, const char *label, struct bytes aad,
                              struct bytes plain, struct buf *out, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *fresh = NULL;

    if (!buf_reserve(out, plain.len + ENVELOPE_OVERHEAD))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for %zu sealed bytes", plain.len);
    uint8_t *at = out->ptr + out->len;
    at[0] = FORMAT;
    crypto_random(at + 1, ENVELOPE_NONCE);
    TRY(one_time_key(key, label, at + 1, &fresh, reterr));
    TRY(crypto_gcm_seal(secret_view(fresh), no_iv, aad, plain, at + 1 + ENVELOPE_NONCE, reterr));
    out->len += plain.len + ENVELOPE_OVERHEAD;
    return KMS_OK;
}

enum kms_status envelope_open(struct secret *key, const char *label, struct bytes aad,
                              struct bytes sealed, uint8_t *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *fresh = NULL;
    struct bytes                         head;

    if (sealed.len < ENVELOPE_OVERHEAD || !bytes_take(&sealed, 1 + ENVELOPE_NONCE, &head) ||
        head.ptr[0] != FORMAT)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "not a sealed string");
    TRY(one_time_key(key, label, head.ptr + 1, &fresh, reterr));
    return crypto_gcm_open(secret_view(fresh), no_iv, aad, sealed, ret, reterr);
}

/* --- pagination markers: an envelope in base64url (RFC 4648 section 5, no padding) ------------------ */

static void marker_aad(struct vault *v, struct bytes purpose, struct buf *aad)
{
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_field(aad, purpose);
}

static void swap_alphabet(uint8_t *text, size_t len, const char from[2], const char to[2])
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == (uint8_t)from[0])
            text[i] = (uint8_t)to[0];
        else if (text[i] == (uint8_t)from[1])
            text[i] = (uint8_t)to[1];
    }
}

enum kms_status vault_marker_seal(struct vault *v, struct bytes purpose, struct bytes content,
                                  struct buf *ret_text, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(MARKER_MAX);
    CLEANUP(buf_release) struct buf sealed = BUF_INIT(MARKER_MAX);
    size_t                          start = ret_text->len;

    marker_aad(v, purpose, &aad);
    if (!buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the purpose of a marker is too long");
    TRY(envelope_seal(v->in.purpose[PURPOSE_MARKER], "marker", buf_bytes(&aad), content, &sealed,
                      reterr));
    base64_add(ret_text, buf_bytes(&sealed));
    if (!buf_ok(ret_text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a marker");
    while (ret_text->len > start && ret_text->ptr[ret_text->len - 1] == '=')
        buf_truncate(ret_text, ret_text->len - 1);
    swap_alphabet(ret_text->ptr + start, ret_text->len - start, "+/", "-_");
    return KMS_OK;
}

/* Text to envelope. False for what vault_marker_seal never writes: two texts never open alike. */
static bool marker_decode(struct bytes text, struct buf *out)
{
    return text.len > 0 && text.len <= MARKER_MAX / 2 && buf_reserve(out, text.len + 3) &&
           base64url_read(text, out->ptr, &out->len);
}

enum kms_status vault_marker_open(struct vault *v, struct bytes purpose, struct bytes text,
                                  struct buf *ret_content, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(MARKER_MAX);
    CLEANUP(buf_release) struct buf sealed = BUF_INIT(MARKER_MAX);

    marker_aad(v, purpose, &aad);
    if (!buf_ok(&aad) || !marker_decode(text, &sealed) || sealed.len < ENVELOPE_OVERHEAD)
        return KMS_FAIL(reterr, KMS_E_MARKER, "not a marker of ours");
    size_t len = sealed.len - ENVELOPE_OVERHEAD;
    if (!buf_reserve(ret_content, len + 1))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a marker");
    enum kms_status status = envelope_open(v->in.purpose[PURPOSE_MARKER], "marker", buf_bytes(&aad),
                                           buf_bytes(&sealed), ret_content->ptr + ret_content->len,
                                           reterr);
    if (status == KMS_E_CIPHERTEXT)
        return KMS_FAIL(reterr, KMS_E_MARKER, "marker of another list, or damaged");
    TRY(status);
    ret_content->len += len;
    return KMS_OK;
}
