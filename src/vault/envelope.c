/* vault/envelope.c - small things sealed under a purpose key: keys of the instance file, domain keys,
 * secret access keys, import tokens, pagination markers, grant tokens. Bytes: docs/storage-format.md. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "vault/vault_internal.h"

enum { FORMAT = 1, MARKER_MAX = 4 * 1024, TEXT_AAD_MAX = 8 * 1024 };

/* The key is new with every nonce and seals one thing, so the IV may be fixed (trust-model 2.4). */
static const uint8_t no_iv[GCM_IV_LEN];

static enum kms_status one_time_key(struct secret *key, const char *label, const uint8_t *nonce,
                                    struct secret **ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *fresh = secret_new(AES256_KEY_LEN);

    if (fresh == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a key");
    crypto_kdf(secret_view(key), bytes_str(label), bytes_of(nonce, ENVELOPE_NONCE),
               secret_data(fresh), AES256_KEY_LEN);
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

/* --- text: an envelope in base64url (RFC 4648 section 5, no padding) ------------------------------------- */

/* What such texts are for. Each has a key and a label of its own: none opens as another. */
struct text_kind {
    enum purpose    purpose;
    const char     *label;
    size_t          max; /* characters that are looked at */
    enum kms_status refusal;
};

static const struct text_kind markers = { PURPOSE_MARKER, "marker", MARKER_MAX, KMS_E_MARKER };
static const struct text_kind grant_tokens = { PURPOSE_TOKEN, "grant-token", GRANT_TOKEN_MAX,
                                               KMS_E_GRANT_TOKEN };

static void text_aad(struct vault *v, struct bytes purpose, struct buf *aad)
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

static enum kms_status text_seal(struct vault *v, const struct text_kind *kind,
                                 struct bytes purpose, struct bytes content, struct buf *ret_text,
                                 struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(TEXT_AAD_MAX);
    CLEANUP(buf_release) struct buf sealed = BUF_INIT(kind->max);
    size_t                          start = ret_text->len;

    text_aad(v, purpose, &aad);
    if (!buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the purpose of a %s is too long", kind->label);
    TRY(envelope_seal(v->in.purpose[kind->purpose], kind->label, buf_bytes(&aad), content, &sealed,
                      reterr));
    base64_add(ret_text, buf_bytes(&sealed));
    if (!buf_ok(ret_text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a %s", kind->label);
    while (ret_text->len > start && ret_text->ptr[ret_text->len - 1] == '=')
        buf_truncate(ret_text, ret_text->len - 1);
    swap_alphabet(ret_text->ptr + start, ret_text->len - start, "+/", "-_");
    return KMS_OK;
}

/* Text to envelope. False for what text_seal never writes: two texts never open alike. */
static bool text_decode(const struct text_kind *kind, struct bytes text, struct buf *out)
{
    size_t len = 0;

    if (text.len == 0 || text.len > kind->max || memchr(text.ptr, '+', text.len) != NULL ||
        memchr(text.ptr, '/', text.len) != NULL || memchr(text.ptr, '=', text.len) != NULL)
        return false;
    buf_add(out, text);
    while (out->len % 4 != 0)
        buf_add_byte(out, '=');
    if (!buf_ok(out))
        return false;
    swap_alphabet(out->ptr, out->len, "-_", "+/");
    if (!buf_reserve(out, 3) || !base64_read(buf_bytes(out), out->ptr, &len))
        return false;
    buf_truncate(out, len);
    return true;
}

static enum kms_status text_open(struct vault *v, const struct text_kind *kind,
                                 struct bytes purpose, struct bytes text, struct buf *ret_content,
                                 struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf aad = BUF_INIT(TEXT_AAD_MAX);
    CLEANUP(buf_release) struct buf sealed = BUF_INIT(kind->max + 8);

    text_aad(v, purpose, &aad);
    if (!buf_ok(&aad) || !text_decode(kind, text, &sealed) || sealed.len < ENVELOPE_OVERHEAD)
        return KMS_FAIL(reterr, kind->refusal, "not a %s of ours", kind->label);
    size_t len = sealed.len - ENVELOPE_OVERHEAD;
    if (!buf_reserve(ret_content, len + 1))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a %s", kind->label);
    enum kms_status status = envelope_open(v->in.purpose[kind->purpose], kind->label,
                                           buf_bytes(&aad), buf_bytes(&sealed),
                                           ret_content->ptr + ret_content->len, reterr);
    if (status == KMS_E_CIPHERTEXT)
        return KMS_FAIL(reterr, kind->refusal, "%s of another purpose, or damaged", kind->label);
    TRY(status);
    ret_content->len += len;
    return KMS_OK;
}

/* --- pagination markers --------------------------------------------------------------------------------- */

enum kms_status vault_marker_seal(struct vault *v, struct bytes purpose, struct bytes content,
                                  struct buf *ret_text, struct kms_error *reterr)
{
    return text_seal(v, &markers, purpose, content, ret_text, reterr);
}

enum kms_status vault_marker_open(struct vault *v, struct bytes purpose, struct bytes text,
                                  struct buf *ret_content, struct kms_error *reterr)
{
    return text_open(v, &markers, purpose, text, ret_content, reterr);
}

/* --- grant tokens --------------------------------------------------------------------------------------- */

enum { GRANT_TOKEN_FORMAT = 1, GRANT_TOKEN_CONTENT = 512 };

enum kms_status vault_grant_token_seal(struct vault *v, const struct grant_record *g,
                                       struct buf *ret_text, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf content = BUF_INIT(GRANT_TOKEN_CONTENT);

    buf_add_byte(&content, GRANT_TOKEN_FORMAT);
    buf_add_field(&content, g->key.account);
    buf_add_field(&content, g->key.region);
    buf_add_field(&content, g->key.id);
    buf_add_field(&content, g->id);
    if (!buf_ok(&content))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for a grant token");
    return text_seal(v, &grant_tokens, (struct bytes){ NULL, 0 }, buf_bytes(&content), ret_text,
                     reterr);
}

/* Takes a field off `in` and copies it to an array of `size` characters. */
static bool take_text(struct bytes *in, char *ret, size_t size)
{
    uint32_t     len = 0;
    struct bytes text;

    if (!bytes_take_u32(in, &len) || len >= size || !bytes_take(in, len, &text))
        return false;
    if (len > 0)
        memcpy(ret, text.ptr, len);
    ret[len] = '\0';
    return true;
}

enum kms_status vault_grant_token_open(struct vault *v, struct bytes text, struct grant_token *ret,
                                       struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf content = BUF_INIT(GRANT_TOKEN_MAX);
    struct grant_token              t;
    struct bytes                    format;

    TRY(text_open(v, &grant_tokens, (struct bytes){ NULL, 0 }, text, &content, reterr));
    struct bytes in = buf_bytes(&content);

    if (!bytes_take(&in, 1, &format) || format.ptr[0] != GRANT_TOKEN_FORMAT ||
        !take_text(&in, t.account, sizeof t.account) ||
        !take_text(&in, t.region, sizeof t.region) || !take_text(&in, t.key_id, sizeof t.key_id) ||
        !take_text(&in, t.grant_id, sizeof t.grant_id) || in.len != 0)
        return KMS_FAIL(reterr, KMS_E_GRANT_TOKEN, "a grant token of another form");
    *ret = t;
    return KMS_OK;
}
