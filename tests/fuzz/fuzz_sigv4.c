/* tests/fuzz/fuzz_sigv4.c - two readings of one signed request must agree.
 *
 * The input is a request as text. Beside src/sigv4/ there is here a second canonicaliser,
 * written the slow and obvious way (split, decode, encode, sort strings, join), which shares no
 * code with it but the hash. Properties:
 *
 *   P1  Both refuse, or both give the same canonical request, with and without normalizing the
 *       path.
 *   P2  What is accepted carries exactly the signature that the second implementation computes.
 *   P3  A request signed by the second implementation is never refused for its signature.
 *   P4  With any one bit of a good signature changed, it is refused.
 *   P5  Nothing is accepted longer than a week after it was signed, or more than 5 minutes before.
 *
 * A '@' in the input stands for 64 hex digits; where they are the request's signature, P3 and P4
 * put the right one there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto_start.h"
#include "base/encode.h"
#include "base/limits.h"
#include "crypto/crypto.h"
#include "sigv4/sigv4.h"

#define PLACE  "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f"
#define KEY_ID "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

enum { TEXT_MAX = 1 << 20, HEX = 64, PARTS_MAX = 200 };

static const char *const services[] = { "kms", "service", NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wrong(const char *what, struct bytes a, struct bytes b)
{
    fprintf(stderr, "%s\n--- ours:\n%.*s\n--- second:\n%.*s\n", what, BYTES_FMT(a), BYTES_FMT(b));
    abort();
}

/* --- the request as text ---------------------------------------------------------------------- */

static bool take(struct bytes *rest, uint8_t until, struct bytes *ret)
{
    if (rest->len == 0)
        return false;
    if (!bytes_cut(rest, until, ret)) {
        *ret = *rest;
        *rest = bytes_of(rest->ptr + rest->len, 0);
    }
    return true;
}

static bool split(uint8_t *text, size_t len, struct http_request *ret)
{
    struct bytes rest = bytes_of(text, len);
    struct bytes line = { NULL, 0 };

    memset(ret, 0, sizeof *ret);
    if (!take(&rest, '\n', &line) || !bytes_cut(&line, ' ', &ret->method_text))
        return false;
    ret->target = line;
    ret->query = line;
    if (!bytes_cut(&ret->query, '?', &ret->path)) {
        ret->path = line;
        ret->query = bytes_of(NULL, 0);
    }
    while (take(&rest, '\n', &line) && line.len > 0) {
        struct http_header *h = &ret->headers[ret->n_headers];

        if (ret->n_headers == LIMIT_HEADERS || !bytes_cut(&line, ':', &h->name))
            return false;
        h->value = line.len > 0 && line.ptr[0] == ' ' ? bytes_of(line.ptr + 1, line.len - 1) : line;
        ret->n_headers++;
    }
    ret->body = text + (rest.ptr - text);
    ret->body_len = rest.len;
    return true;
}

/* --- the second implementation ---------------------------------------------------------------- */

static bool plain(unsigned char c)
{
    return c != '\0' &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) != NULL;
}

/* Percent-encodes into a C string, keeping the characters of `keep`. */
static char *encode(struct bytes in, const char *keep)
{
    char *out = malloc(3 * in.len + 1);
    char *at = out;

    if (out == NULL)
        abort();
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = in.ptr[i];

        if (plain(c) || (c != '\0' && strchr(keep, c) != NULL))
            *at++ = (char)c;
        else
            at += sprintf(at, "%%%02X", c);
    }
    *at = '\0';
    return out;
}

/* Percent-decodes; false if it cannot be. */
static bool decode(struct bytes in, struct buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        char  two[3] = "";
        char *end;

        if (in.ptr[i] != '%') {
            buf_add_byte(out, in.ptr[i]);
            continue;
        }
        if (i + 2 >= in.len)
            return false;
        memcpy(two, in.ptr + i + 1, 2);
        unsigned long v = strtoul(two, &end, 16);
        if (end != two + 2 || two[0] == '+' || two[0] == '-' || two[0] == ' ' || two[1] == 'x' ||
            (two[0] >= '\t' && two[0] <= '\r'))
            return false;
        buf_add_byte(out, (uint8_t)v);
        i += 2;
    }
    return true;
}

static void second_path(struct buf *out, struct bytes path, bool normalize)
{
    char  *text = encode(path, "/");
    size_t len = strlen(text);
    char **parts = calloc(len + 1, sizeof *parts);
    size_t n = 0;
    bool   end = len > 0 && text[len - 1] == '/';
    char  *save = NULL;

    if (parts == NULL)
        abort();
    if (!normalize) {
        buf_add_str(out, len == 0 ? "/" : text);
    } else {
        for (char *p = strtok_r(text, "/", &save); p != NULL; p = strtok_r(NULL, "/", &save)) {
            if (strcmp(p, "..") == 0)
                n -= n > 0;
            else if (strcmp(p, ".") != 0)
                parts[n++] = p;
        }
        for (size_t i = 0; i < n; i++)
            buf_addf(out, "/%s", parts[i]);
        if (n == 0 || end)
            buf_add_str(out, "/");
    }
    free(parts);
    free(text);
}

struct pair {
    char *name, *value;
};

static int pair_order(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    int                diff = strcmp(x->name, y->name);

    return diff != 0 ? diff : strcmp(x->value, y->value);
}

/* Decodes and encodes again; NULL if it cannot be decoded. */
static char *recode(struct bytes in)
{
    struct buf plain_text = BUF_INIT(TEXT_MAX);
    char      *out = decode(in, &plain_text) ? encode(buf_bytes(&plain_text), "") : NULL;

    buf_release(&plain_text);
    return out;
}

static bool second_query(struct buf *out, struct bytes query, bool query_form)
{
    struct pair  pairs[PARTS_MAX];
    size_t       n = 0;
    bool         good = true;
    struct bytes piece = { NULL, 0 };

    while (good && take(&query, '&', &piece)) {
        struct bytes name = { NULL, 0 };

        if (piece.len == 0)
            continue;
        if (!bytes_cut(&piece, '=', &name)) {
            name = piece;
            piece = bytes_of(NULL, 0);
        }
        pairs[n] = (struct pair){ recode(name), recode(piece) };
        good = pairs[n].name != NULL && pairs[n].value != NULL;
        if (good && query_form && strcmp(pairs[n].name, "X-Amz-Signature") == 0) {
            free(pairs[n].name);
            free(pairs[n].value);
            continue;
        }
        n++;
        good = good && n <= SIGV4_QUERY_PARAMS_MAX;
    }
    if (good && n > 0)
        qsort(pairs, n, sizeof pairs[0], pair_order);
    for (size_t i = 0; i < n; i++) {
        if (good)
            buf_addf(out, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name, pairs[i].value);
        free(pairs[i].name);
        free(pairs[i].value);
    }
    return good;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* A state machine where ours takes words. */
static void second_value(struct buf *out, struct bytes in)
{
    bool   pending = false;
    size_t start = out->len;

    for (size_t i = 0; i < in.len; i++) {
        if (blank(in.ptr[i])) {
            pending = out->len > start;
            continue;
        }
        if (pending)
            buf_add_byte(out, ' ');
        pending = false;
        buf_add_byte(out, in.ptr[i]);
    }
}

static bool second_header(struct buf *out, const struct http_request *rq, struct bytes name)
{
    unsigned count = 0;

    for (size_t i = 0; i < rq->n_headers; i++) {
        struct bytes sent = rq->headers[i].name;

        if (sent.len != name.len ||
            strncasecmp((const char *)sent.ptr, (const char *)name.ptr, sent.len) != 0)
            continue;
        if (count++ == 0)
            buf_addf(out, "%.*s:", BYTES_FMT(name));
        else
            buf_add_str(out, ",");
        second_value(out, rq->headers[i].value);
    }
    buf_add_str(out, "\n");
    return count > 0;
}

static bool second_headers(struct buf *out, const struct http_request *rq, struct bytes list)
{
    struct bytes before = { NULL, 0 };

    for (;;) {
        const uint8_t *semicolon = list.len > 0 ? memchr(list.ptr, ';', list.len) : NULL;
        struct bytes   name = list;

        if (semicolon != NULL)
            name.len = (size_t)(semicolon - list.ptr);
        for (size_t i = 0; i < name.len; i++) {
            if (name.ptr[i] == '\0' || (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z'))
                return false;
        }
        if (name.len == 0 || bytes_cmp(before, name) >= 0 || !second_header(out, rq, name))
            return false;
        if (semicolon == NULL)
            return true;
        before = name;
        list = bytes_of(semicolon + 1, list.len - name.len - 1);
    }
}

static bool second_canonical(const struct http_request *rq, const struct sigv4_auth *auth,
                             bool normalize, struct bytes payload, struct buf *out)
{
    buf_add(out, rq->method_text);
    buf_add_str(out, "\n");
    second_path(out, rq->path, normalize);
    buf_add_str(out, "\n");
    if (!second_query(out, rq->query, auth->query_form))
        return false;
    buf_add_str(out, "\n");
    if (!second_headers(out, rq, auth->signed_headers))
        return false;
    buf_add_str(out, "\n");
    buf_add(out, auth->signed_headers);
    buf_add_str(out, "\n");
    buf_add(out, payload);
    return true;
}

static void hash_hex(struct bytes in, char ret[HEX])
{
    uint8_t digest[32];

    crypto_sha256(in, digest);
    hex_write(ret, bytes_of(digest, sizeof digest));
}

/* The signature of a canonical request, by hand. */
static void second_signature(const struct sigv4_auth *auth, struct bytes canonical, char ret[HEX])
{
    struct buf to_sign = BUF_INIT(TEXT_MAX);
    char       time[16];
    char       hash[HEX];
    uint8_t    key[32];
    uint8_t    next[32];

    date_basic_write(time, auth->time_ms);
    hash_hex(canonical, hash);
    buf_addf(&to_sign, "AWS4-HMAC-SHA256\n%.16s\n", time);
    buf_add(&to_sign, auth->date);
    buf_add_str(&to_sign, "/");
    buf_add(&to_sign, auth->region);
    buf_add_str(&to_sign, "/");
    buf_add(&to_sign, auth->service);
    buf_addf(&to_sign, "/aws4_request\n%.64s", hash);

    const struct bytes steps[] = { auth->date, auth->region, auth->service,
                                   BYTES_LIT("aws4_request"), buf_bytes(&to_sign) };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        crypto_hmac_sha256(i == 0 ? BYTES_LIT("AWS4" SECRET) : bytes_of(key, sizeof key), steps[i],
                           next);
        memcpy(key, next, sizeof key);
    }
    hex_write(ret, bytes_of(key, sizeof key));
    buf_release(&to_sign);
}

/* --- the properties --------------------------------------------------------------------------- */

static enum kms_status mac(void *ctx, const struct sigv4_auth *auth, struct bytes string_to_sign,
                           uint8_t ret[32], struct sigv4_key *ret_key, struct kms_error *reterr)
{
    uint8_t key[32];

    (void)ctx;
    (void)reterr;
    sigv4_signing_key(BYTES_LIT(SECRET), auth->date, auth->region, auth->service, key);
    crypto_hmac_sha256(bytes_of(key, sizeof key), string_to_sign, ret);
    ret_key->known = bytes_eq_str(auth->access_key_id, KEY_ID);
    return KMS_OK;
}

static bool any_region(void *ctx, const struct sigv4_auth *auth)
{
    (void)ctx;
    (void)auth;
    return true;
}

static enum kms_status verify(const struct http_request *rq, int64_t now_ms, struct kms_error *err)
{
    static const struct sigv4_hooks hooks = { .mac = mac, .region_ok = any_region };
    struct buf                      scratch = BUF_INIT(8 * TEXT_MAX);
    struct sigv4_caller             caller;

    err->detail[0] = '\0';
    enum kms_status status = sigv4_verify(rq, services, now_ms, &hooks, &scratch, &caller, err);
    buf_release(&scratch);
    return status;
}

/* P1. On success the second signature is in ret_hex. */
static bool check_canonical(const struct http_request *rq, const struct sigv4_auth *auth,
                            bool normalize, char ret_hex[HEX])
{
    struct sigv4_options options = { .normalize_path = normalize };
    struct buf           ours = BUF_INIT(8 * TEXT_MAX);
    struct buf           second = BUF_INIT(8 * TEXT_MAX);
    char                 payload[HEX];

    hash_hex(bytes_of(rq->body, rq->body_len), payload);
    bool ok = sigv4_canonical_request(rq, auth, &options, bytes_of(payload, HEX), &ours, NULL) ==
              KMS_OK;
    bool ok2 = second_canonical(rq, auth, normalize, bytes_of(payload, HEX), &second);
    if (ok != ok2 || (ok && !bytes_eq(buf_bytes(&ours), buf_bytes(&second))))
        wrong("P1: two canonical requests", buf_bytes(&ours), buf_bytes(&second));
    if (!ok && ours.len > 0)
        wrong("P1: something is left of a refused one", buf_bytes(&ours), buf_bytes(&second));
    if (ok)
        second_signature(auth, buf_bytes(&second), ret_hex);
    buf_release(&ours);
    buf_release(&second);
    return ok;
}

/* P3 and P4: `at` is where the 64 digits of the signature stand in the request. */
static void check_signed(const struct http_request *rq, int64_t now_ms, uint8_t *at,
                         const char good[HEX])
{
    struct kms_error err;
    unsigned         sum = 0;

    memcpy(at, good, HEX);
    enum kms_status status = verify(rq, now_ms, &err);
    if (strncmp(err.detail, "the canonical request here", 26) == 0)
        wrong("P3: a good signature is refused", bytes_str(err.detail), bytes_of(good, HEX));
    if (status != KMS_OK)
        return;
    for (size_t i = 0; i < HEX; i++)
        sum = sum * 31 + at[i];
    at[sum / 8 % HEX] ^= (uint8_t)(1u << sum % 8);
    if (verify(rq, now_ms, &err) == KMS_OK)
        wrong("P4: a changed signature is accepted", bytes_of(at, HEX), bytes_of(good, HEX));
}

static void check_request(const struct http_request *rq, uint8_t *place)
{
    struct buf        scratch = BUF_INIT(8 * TEXT_MAX);
    struct sigv4_auth auth;
    struct kms_error  err;
    char              plain_path[HEX];
    char              good[HEX];

    if (!buf_reserve(&scratch, rq->query.len + 1))
        abort();
    if (sigv4_parse(rq, &scratch, &auth, NULL) == KMS_OK) {
        (void)check_canonical(rq, &auth, false, plain_path);
        bool canonical = check_canonical(rq, &auth, true, good);

        if (verify(rq, auth.time_ms, &err) == KMS_OK) {
            if (!canonical || !bytes_eq(auth.signature, bytes_of(good, HEX)))
                wrong("P2: accepted", auth.signature, bytes_of(good, HEX));
        }
        if (verify(rq, auth.time_ms + (LIMIT_PRESIGN_S + 1) * INT64_C(1000), &err) == KMS_OK ||
            verify(rq, auth.time_ms - (LIMIT_SKEW_S + 1) * INT64_C(1000), &err) == KMS_OK)
            wrong("P5: accepted out of its time", auth.time_text, auth.signature);
        if (canonical && place != NULL && bytes_eq_str(auth.signature, PLACE))
            check_signed(rq, auth.time_ms, place, good);
    } else if (verify(rq, 0, &err) == KMS_OK) {
        wrong("P2: accepted what cannot be parsed", rq->target, rq->query);
    }
    buf_release(&scratch);
}

/* The text with PLACE for the first '@'; *ret_place shows into it if PLACE is then there once. */
static void place_signature(const uint8_t *data, size_t size, struct buf *text, uint8_t **ret_place)
{
    struct bytes after = bytes_of(data, size);
    struct bytes before;

    *ret_place = NULL;
    if (!bytes_cut(&after, '@', &before)) {
        buf_add(text, after);
        return;
    }
    buf_add(text, before);
    buf_add_str(text, PLACE);
    buf_add(text, after);
    uint8_t *first = memmem(text->ptr, text->len, PLACE, HEX);
    size_t   past = (size_t)(first - text->ptr) + 1;
    if (memmem(text->ptr + past, text->len - past, PLACE, HEX) == NULL)
        *ret_place = first;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool         ready;
    struct http_request rq;
    struct buf          text = BUF_INIT(TEXT_MAX);
    uint8_t            *place;

    if (!ready && start_crypto() != KMS_OK)
        abort();
    ready = true;
    if (size == 0 || size > TEXT_MAX / 64)
        return 0;
    place_signature(data, size, &text, &place);
    if (split(text.ptr, text.len, &rq))
        check_request(&rq, place);
    buf_release(&text);
    return 0;
}
