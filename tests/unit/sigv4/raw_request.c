/* sigv4/raw_request.c - see raw_request.h. */
#include "raw_request.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"

static struct bytes trim(struct bytes in)
{
    while (in.len > 0 && (in.ptr[0] == ' ' || in.ptr[0] == '\t'))
        in = bytes_of(in.ptr + 1, in.len - 1);
    while (in.len > 0 && (in.ptr[in.len - 1] == ' ' || in.ptr[in.len - 1] == '\t'))
        in.len--;
    return in;
}

static bool take_line(struct bytes *rest, struct bytes *ret)
{
    if (rest->len == 0)
        return false;
    if (!bytes_cut(rest, '\n', ret)) {
        *ret = *rest;
        *rest = bytes_of(rest->ptr + rest->len, 0);
    }
    return true;
}

static void split_request_line(struct bytes line, struct http_request *ret)
{
    size_t end = line.len;

    assert_true(bytes_cut(&line, ' ', &ret->method_text));
    end = line.len;
    while (end > 0 && line.ptr[end - 1] != ' ')
        end--;
    assert_true(end > 0);
    ret->target = bytes_of(line.ptr, end - 1);
    ret->query = ret->target;
    if (!bytes_cut(&ret->query, '?', &ret->path)) {
        ret->path = ret->target;
        ret->query = (struct bytes){ NULL, 0 };
    }
}

void raw_request_split(const char *text, size_t len, struct http_request *ret)
{
    struct bytes rest = bytes_of(text, len);
    struct bytes line = { NULL, 0 };

    memset(ret, 0, sizeof *ret);
    ret->method = HTTP_OTHER;
    assert_true(take_line(&rest, &line));
    split_request_line(line, ret);
    while (take_line(&rest, &line) && line.len > 0) {
        struct http_header *h = &ret->headers[ret->n_headers];

        if (line.ptr[0] == ' ' || line.ptr[0] == '\t') { /* a fold: the value goes on */
            assert_true(ret->n_headers > 0);
            h = &ret->headers[ret->n_headers - 1];
            h->value.len = (size_t)(line.ptr + line.len - h->value.ptr);
            continue;
        }
        assert_true(ret->n_headers < LIMIT_HEADERS);
        assert_true(bytes_cut(&line, ':', &h->name));
        h->value = trim(line);
        ret->n_headers++;
    }
    /* the type has a writable body; sigv4 only reads it */
    ret->body = (uint8_t *)(uintptr_t)rest.ptr;
    ret->body_len = rest.len;
}

void raw_request_mac(const struct sigv4_auth *auth, struct bytes string_to_sign, uint8_t ret[32])
{
    uint8_t key[32];

    sigv4_signing_key(BYTES_LIT(TEST_SECRET), auth->date, auth->region, auth->service, key);
    crypto_hmac_sha256(bytes_of(key, sizeof key), string_to_sign, ret);
}

/* The signature that belongs into the request. */
static void signature_of(const struct http_request *rq, char ret_hex[64])
{
    static const struct sigv4_options options = { .normalize_path = true };
    struct buf                        scratch = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct buf                        canonical = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct buf                        to_sign = BUF_INIT(SIGV4_SCRATCH_MAX);
    struct sigv4_auth                 auth;
    struct kms_error                  err;
    uint8_t                           digest[32];
    char                              payload[64];

    assert_true(buf_reserve(&scratch, SIGV4_SCRATCH_MAX));
    crypto_sha256(bytes_of(rq->body, rq->body_len), digest);
    hex_write(payload, bytes_of(digest, sizeof digest));
    assert_int_equal(sigv4_parse(rq, &scratch, &auth, &err), KMS_OK);
    assert_int_equal(sigv4_canonical_request(rq, &auth, &options, bytes_of(payload, sizeof payload),
                                             &canonical, &err),
                     KMS_OK);
    sigv4_string_to_sign(&auth, buf_bytes(&canonical), &to_sign);
    raw_request_mac(&auth, buf_bytes(&to_sign), digest);
    hex_write(ret_hex, bytes_of(digest, sizeof digest));
    buf_release(&scratch);
    buf_release(&canonical);
    buf_release(&to_sign);
}

void raw_request_sign(const char *text, struct buf *out, struct http_request *ret)
{
    struct bytes after = bytes_str(text);
    struct bytes before;
    char         hex[64];

    buf_reset(out);
    if (bytes_cut(&after, '@', &before)) {
        raw_request_split(text, strlen(text), ret);
        signature_of(ret, hex);
        buf_add(out, before);
        buf_add(out, bytes_of(hex, sizeof hex));
    }
    buf_add(out, after);
    assert_true(buf_ok(out));
    raw_request_split((const char *)out->ptr, out->len, ret);
}

static enum kms_status server_mac(void *ctx, const struct sigv4_auth *auth,
                                  struct bytes string_to_sign, uint8_t ret[32],
                                  struct sigv4_key *ret_key, struct kms_error *reterr)
{
    struct raw_server *s = ctx;

    s->mac_calls++;
    if (s->mac_status != KMS_OK)
        return KMS_FAIL(reterr, s->mac_status, "the hook fails");
    raw_request_mac(auth, string_to_sign, ret);
    if (bytes_eq_str(auth->access_key_id, TEST_KEY_ID)) {
        ret_key->known = true;
    } else if (bytes_starts(auth->access_key_id, BYTES_LIT(TEST_SESSION_ID))) {
        ret_key->known = ret_key->temporary = true;
        ret_key->expired = bytes_eq_str(auth->access_key_id, TEST_ENDED_ID);
        crypto_sha256(BYTES_LIT(TEST_TOKEN), ret_key->token_hash);
    }
    return KMS_OK;
}

static bool server_region_ok(void *ctx, const struct sigv4_auth *auth)
{
    (void)ctx;
    return auth->region.len > 0 && !bytes_eq_str(auth->region, "nowhere-1");
}

struct sigv4_hooks raw_server_hooks(struct raw_server *s)
{
    return (struct sigv4_hooks){ .ctx = s, .mac = server_mac, .region_ok = server_region_ok };
}

/* --- judging ---------------------------------------------------------------------------------- */

const char *const kms_only[] = { "kms", NULL };

void verdict_release(struct verdict *v)
{
    buf_release(&v->text);
    buf_release(&v->scratch);
}

void judge_at(struct verdict *v, const char *text, const char *const *services, int64_t now_ms)
{
    struct raw_server   server = { 0 };
    struct sigv4_hooks  hooks = raw_server_hooks(&server);
    struct http_request rq;

    *v = (struct verdict){ .text = BUF_INIT(64 * 1024), .scratch = BUF_INIT(SIGV4_SCRATCH_MAX) };
    raw_request_sign(text, &v->text, &rq);
    v->status = sigv4_verify(&rq, services, now_ms, &hooks, &v->scratch, &v->caller, &v->err);
    v->mac_calls = server.mac_calls;
}

void check_verdict(const char *text, enum kms_status status, const char *message)
{
    CLEANUP(verdict_release) struct verdict v;

    judge_at(&v, text, kms_only, (int64_t)SIGNED_AT_S * 1000);
    if (v.status != status || strcmp(v.err.message, message) != 0)
        fail_msg("%s\n--- gives %s, '%s' (%s)\n--- instead of %s, '%s'", text,
                 kms_status_word(v.status), v.err.message, v.err.detail, kms_status_word(status),
                 message);
    assert_int_equal(v.err.message_len, strlen(message));
}
