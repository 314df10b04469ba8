/* sigv4/canonical.c - the canonical request, the string to sign, and the signing key.
 *
 * The canonical request must be, byte for byte, what the client hashed; every rule here is one
 * of the signing rules of SigV4. It is built straight into the caller's buffer, in one pass,
 * without memory of its own. */
#include "sigv4/inside.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/encode.h"
#include "crypto/crypto.h"

enum { HMAC_SHA256_BLOCK = 64 };

enum kms_status sigv4_mismatch(struct kms_error *reterr, const char *site, const char *fmt, ...)
{
    va_list args;

    (void)kms_refuse(reterr, KMS_E_INVALID_SIG, site,
                     "The request signature we calculated does not match the signature you "
                     "provided. Check your AWS Secret Access Key and signing method. Consult the "
                     "service documentation for details.");
    if (reterr == NULL)
        return KMS_E_INVALID_SIG;
    va_start(args, fmt);
    (void)vsnprintf(reterr->detail, sizeof reterr->detail, fmt, args);
    va_end(args);
    return KMS_E_INVALID_SIG;
}

/* --- path ------------------------------------------------------------------------------------- */

/* Escapes the path as it was sent: what the client escaped once is then escaped twice ("%20"
 * becomes "%2520"), which is the rule for every service but S3. */
static void add_path_text(struct buf *out, struct bytes path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (uri_unreserved(path.ptr[i]) || path.ptr[i] == '/')
            buf_add_byte(out, path.ptr[i]);
        else
            uri_add_escaped(out, path.ptr[i]);
    }
}

/* Removes the last "/segment" that was written after `start`, if there is one. */
static void drop_segment(struct buf *out, size_t start)
{
    size_t at = out->len;

    while (at > start && out->ptr[at - 1] != '/')
        at--;
    buf_truncate(out, at > start ? at - 1 : start);
}

/* "", "." and ".." go; a slash at the end stays if a segment is left. Written segments contain
 * no '/' of their own, so the output is the stack that ".." pops. */
static void add_path_normalized(struct buf *out, struct bytes path)
{
    size_t       start = out->len;
    bool         slash_at_end = path.len > 0 && path.ptr[path.len - 1] == '/';
    struct bytes segment;

    while (path.len > 0) {
        if (!bytes_cut(&path, '/', &segment)) {
            segment = path;
            path = (struct bytes){ NULL, 0 };
        }
        if (segment.len == 0 || bytes_eq_str(segment, "."))
            continue;
        if (bytes_eq_str(segment, "..")) {
            drop_segment(out, start);
            continue;
        }
        buf_add_byte(out, '/');
        add_path_text(out, segment);
    }
    if (out->len == start || slash_at_end)
        buf_add_byte(out, '/');
}

static void add_path(struct buf *out, struct bytes path, const struct sigv4_options *options)
{
    if (path.len == 0 || bytes_eq_str(path, "/")) /* every KMS request */
        buf_add_byte(out, '/');
    else if (options->normalize_path)
        add_path_normalized(out, path);
    else
        add_path_text(out, path);
}

/* --- query ------------------------------------------------------------------------------------ */

static enum kms_status add_query(struct buf *out, struct bytes query, bool query_form,
                                 struct kms_error *reterr)
{
    struct query_param sorted[SIGV4_QUERY_PARAMS_MAX];
    struct query_param param;
    size_t             n = 0;

    if (!query_well_formed(query))
        return SIGV4_MISMATCH(reterr, "the query has a '%%' without two hex digits");
    while (query_next(&query, &param)) {
        size_t at = n;

        if (query_form && query_is(param.name, "X-Amz-Signature"))
            continue; /* cannot be part of what it signs */
        if (n == SIGV4_QUERY_PARAMS_MAX)
            return SIGV4_MISMATCH(reterr, "more than %d query parameters", SIGV4_QUERY_PARAMS_MAX);
        for (; at > 0 && query_order(&sorted[at - 1], &param) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = param;
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_byte(out, '&');
        query_add_canonical(out, sorted[i].name);
        buf_add_byte(out, '=');
        query_add_canonical(out, sorted[i].value);
    }
    return KMS_OK;
}

/* --- headers ---------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Is none of eight bytes a space or a control character? */
static bool no_space(const uint8_t *p)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t       w;

    memcpy(&w, p, sizeof w);
    return ((w - each * (' ' + 1)) & ~w & each * 0x80) == 0;
}

/* Where the word that begins at `start` ends. Eight bytes at a time as long as they have no space: few
 * values have one. The last eight may have been looked at in part. */
static size_t word_end(struct bytes value, size_t start)
{
    size_t at = start;

    while (value.len - at >= 8 && no_space(value.ptr + at))
        at += 8;
    if (at > start && value.len - at < 8 && no_space(value.ptr + value.len - 8))
        return value.len;
    while (at < value.len && !is_space(value.ptr[at]))
        at++;
    return at;
}

/* The value without white space at its ends, each run of white space inside as one space. */
static void add_header_value(struct buf *out, struct bytes value)
{
    size_t at = 0;
    bool   first = true;

    for (;;) {
        while (at < value.len && is_space(value.ptr[at]))
            at++;
        size_t start = at;
        at = word_end(value, at);
        if (at == start)
            return;
        if (!first)
            buf_add_byte(out, ' ');
        buf_add(out, bytes_of(value.ptr + start, at - start));
        first = false;
    }
}

/* "name:value\n", the values of a header that was sent several times joined by commas in the order
 * in which they were sent. False if the request has no such header. */
static bool add_header(struct buf *out, const struct http_request *rq, struct bytes name)
{
    bool found = false;

    for (size_t i = 0; i < rq->n_headers; i++) {
        if (!http_name_equals(rq->headers[i].name, name))
            continue;
        if (!found)
            buf_add(out, name);
        buf_add_byte(out, found ? ',' : ':');
        add_header_value(out, rq->headers[i].value);
        found = true;
    }
    buf_add_byte(out, '\n');
    return found;
}

/* That names are lower-case needs no check of its own: http_name_equals finds no other. The notable
 * headers have been looked for, and most lists have no other ones. */
static enum kms_status add_headers(struct buf *out, const struct http_request *rq,
                                   const struct sigv4_notables *found,
                                   const struct sigv4_signed *names, struct kms_error *reterr)
{
    for (size_t i = 0; i < names->n; i++) {
        struct bytes name = names->at[i].name;
        enum notable k = names->at[i].which;

        if (k < NOTABLE_COUNT && found->count[k] == 1) {
            buf_add(out, name);
            buf_add_byte(out, ':');
            add_header_value(out, found->value[k]);
            buf_add_byte(out, '\n');
        } else if (!add_header(out, rq, name)) {
            return SIGV4_MISMATCH(reterr, "the signed header '%.*s' was not sent", BYTES_FMT(name));
        }
    }
    return KMS_OK;
}

/* --- the stages ------------------------------------------------------------------------------- */

static enum kms_status add_canonical(const struct http_request   *rq,
                                     const struct sigv4_notables *found,
                                     const struct sigv4_signed   *names,
                                     const struct sigv4_auth     *auth,
                                     const struct sigv4_options  *options,
                                     struct bytes payload_hash_hex, struct buf *out,
                                     struct kms_error *reterr)
{
    buf_add(out, rq->method_text);
    buf_add_byte(out, '\n');
    add_path(out, rq->path, options);
    buf_add_byte(out, '\n');
    if (rq->query.len > 0)
        TRY(add_query(out, rq->query, auth->query_form, reterr));
    buf_add_byte(out, '\n');
    TRY(add_headers(out, rq, found, names, reterr));
    buf_add_byte(out, '\n');
    buf_add(out, auth->signed_headers);
    buf_add_byte(out, '\n');
    buf_add(out, payload_hash_hex);
    if (!buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for the canonical request");
    return KMS_OK;
}

enum kms_status sigv4_canonical_found(const struct http_request   *rq,
                                      const struct sigv4_notables *found,
                                      const struct sigv4_signed   *names,
                                      const struct sigv4_auth     *auth,
                                      const struct sigv4_options  *options,
                                      struct bytes payload_hash_hex, struct buf *out,
                                      struct kms_error *reterr)
{
    size_t          before = out->len;
    enum kms_status status = add_canonical(rq, found, names, auth, options, payload_hash_hex, out,
                                           reterr);

    if (status != KMS_OK)
        buf_truncate(out, before);
    return status;
}

enum kms_status sigv4_canonical_request(const struct http_request  *rq,
                                        const struct sigv4_auth    *auth,
                                        const struct sigv4_options *options,
                                        struct bytes payload_hash_hex, struct buf *out,
                                        struct kms_error *reterr)
{
    struct sigv4_notables found;
    struct sigv4_signed   names;

    sigv4_notables_find(rq, &found);
    TRY(sigv4_signed_split(auth->signed_headers, &names, reterr));
    return sigv4_canonical_found(rq, &found, &names, auth, options, payload_hash_hex, out, reterr);
}

struct bytes sigv4_basic_time(const struct sigv4_auth *auth, char room[16])
{
    enum { BASIC = 16 };

    if (auth->time_text.len == BASIC) /* there is one way to write a time */
        return auth->time_text;
    date_basic_write(room, auth->time_ms);
    return bytes_of(room, BASIC);
}

void sigv4_string_to_sign(const struct sigv4_auth *auth, struct bytes canonical_request,
                          struct buf *out)
{
    uint8_t digest[SHA256_LEN];
    char    room[16];

    crypto_sha256(canonical_request, digest);
    buf_add(out, BYTES_LIT(SIGV4_ALGORITHM "\n"));
    buf_add(out, sigv4_basic_time(auth, room)); /* a Date header, too, is signed in this form */
    buf_add_byte(out, '\n');
    buf_add(out, auth->date);
    buf_add_byte(out, '/');
    buf_add(out, auth->region);
    buf_add_byte(out, '/');
    buf_add(out, auth->service);
    buf_add(out, BYTES_LIT("/" SIGV4_TERMINATOR "\n"));
    hex_add(out, bytes_of(digest, sizeof digest));
}

void sigv4_signing_key(struct bytes secret, struct bytes date, struct bytes region,
                       struct bytes service, uint8_t ret[32])
{
    uint8_t      first[HMAC_SHA256_BLOCK];
    uint8_t      by_date[SHA256_LEN];
    uint8_t      by_region[SHA256_LEN];
    uint8_t      by_service[SHA256_LEN];
    struct bytes prefix = BYTES_LIT("AWS4");
    size_t       len = prefix.len + secret.len;

    if (len <= sizeof first) {
        memcpy(first, prefix.ptr, prefix.len);
        if (secret.len > 0)
            memcpy(first + prefix.len, secret.ptr, secret.len);
    } else { /* HMAC itself would hash a key longer than its block (RFC 2104) */
        crypto_sha256_pieces((struct bytes[]){ prefix, secret }, 2, first);
        len = SHA256_LEN;
    }
    crypto_hmac_sha256(bytes_of(first, len), date, by_date);
    crypto_hmac_sha256(bytes_of(by_date, sizeof by_date), region, by_region);
    crypto_hmac_sha256(bytes_of(by_region, sizeof by_region), service, by_service);
    crypto_hmac_sha256(bytes_of(by_service, sizeof by_service), BYTES_LIT(SIGV4_TERMINATOR), ret);
    explicit_bzero(first, sizeof first);
    explicit_bzero(by_date, sizeof by_date);
    explicit_bzero(by_region, sizeof by_region);
    explicit_bzero(by_service, sizeof by_service);
}
