/* sigv4/parse.c - finds the signature of a request and splits it into its parts.
 *
 * Decides nothing about keys or time. Whatever could be read two ways is refused: a header or a
 * parameter sent twice, both forms at once. Texts: kms-behaviour 2.1; those not in its table are
 * marked. */
#include "sigv4/inside.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/limits.h"

/* As BYTES_LIT, where the language wants a constant. */
#define NAME(s) { (const uint8_t *)("" s), sizeof(s) - 1 }

static const struct bytes notable_names[NOTABLE_COUNT] = {
    [NOTABLE_AUTHORIZATION] = NAME("authorization"),
    [NOTABLE_HOST] = NAME("host"),
    [NOTABLE_DATE] = NAME("date"),
    [NOTABLE_AMZ_DATE] = NAME("x-amz-date"),
    [NOTABLE_AMZ_TARGET] = NAME("x-amz-target"),
    [NOTABLE_AMZ_TOKEN] = NAME("x-amz-security-token"),
    [NOTABLE_AMZ_SHA256] = NAME("x-amz-content-sha256"),
};

/* The parameters of the query form. */
enum presign {
    PRESIGN_ALGORITHM,
    PRESIGN_CREDENTIAL,
    PRESIGN_SIGNATURE,
    PRESIGN_SIGNED_HEADERS,
    PRESIGN_DATE,
    PRESIGN_EXPIRES,
    PRESIGN_TOKEN,
    PRESIGN_COUNT
};

static const char *const presign_names[PRESIGN_COUNT] = {
    [PRESIGN_ALGORITHM] = "X-Amz-Algorithm",
    [PRESIGN_CREDENTIAL] = "X-Amz-Credential",
    [PRESIGN_SIGNATURE] = "X-Amz-Signature",
    [PRESIGN_SIGNED_HEADERS] = "X-Amz-SignedHeaders",
    [PRESIGN_DATE] = "X-Amz-Date",
    [PRESIGN_EXPIRES] = "X-Amz-Expires",
    [PRESIGN_TOKEN] = "X-Amz-Security-Token",
};

struct presign_found {
    struct bytes value[PRESIGN_COUNT]; /* as sent */
    unsigned     count[PRESIGN_COUNT];
};

/* The first one with a name of this length; there are at most two, and most headers have another length.
 * NOTABLE_COUNT: none. */
static enum notable first_of(size_t len)
{
    enum { MAX = 20, NONE = 0 };
    static const uint8_t first[MAX + 1] = {
        [4] = 1 + NOTABLE_HOST,        [10] = 1 + NOTABLE_AMZ_DATE,
        [12] = 1 + NOTABLE_AMZ_TARGET, [13] = 1 + NOTABLE_AUTHORIZATION,
        [20] = 1 + NOTABLE_AMZ_TOKEN,
    };

    return len > MAX || first[len] == NONE ? NOTABLE_COUNT : (enum notable)(first[len] - 1);
}

static inline enum notable notable_sent(struct bytes name)
{
    enum notable k = first_of(name.len);

    if (k == NOTABLE_COUNT || http_name_equals(name, notable_names[k]))
        return k;
    k++;
    return k < NOTABLE_COUNT && http_name_equals(name, notable_names[k]) ? k : NOTABLE_COUNT;
}

enum notable sigv4_notable_named(struct bytes name)
{
    return notable_sent(name);
}

/* The same for a name that must be in lower case. */
static enum notable notable_listed(struct bytes name)
{
    enum notable k = first_of(name.len);

    if (k == NOTABLE_COUNT || bytes_eq(name, notable_names[k]))
        return k;
    k++;
    return k < NOTABLE_COUNT && bytes_eq(name, notable_names[k]) ? k : NOTABLE_COUNT;
}

struct bytes sigv4_notable_name(enum notable which)
{
    return notable_names[which];
}

void sigv4_notables_find(const struct http_request *rq, struct sigv4_notables *ret)
{
    *ret = (struct sigv4_notables){ 0 };
    for (size_t i = 0; i < rq->n_headers; i++) {
        enum notable k = notable_sent(rq->headers[i].name);
        if (k < NOTABLE_COUNT && ret->count[k]++ == 0)
            ret->value[k] = rq->headers[i].value;
    }
}

enum kms_status sigv4_signed_split(struct bytes list, struct sigv4_signed *ret,
                                   struct kms_error *reterr)
{
    struct bytes rest = list;
    struct bytes last = { NULL, 0 };
    struct bytes name;
    bool         more = true;

    for (ret->n = 0; more; ret->n++) {
        more = bytes_cut(&rest, ';', &name);
        if (!more)
            name = rest;
        if (bytes_cmp(last, name) >= 0)
            return SIGV4_MISMATCH(reterr, "signed headers are not in ascending order: '%.*s'",
                                  BYTES_FMT(list));
        if (ret->n == LIMIT_HEADERS)
            return SIGV4_MISMATCH(reterr, "more than %d signed headers", LIMIT_HEADERS);
        ret->at[ret->n].name = name;
        ret->at[ret->n].which = notable_listed(name);
        last = name;
    }
    return KMS_OK;
}

static void presign_find(struct bytes query, struct presign_found *ret)
{
    struct query_param param;

    while (query_next(&query, &param)) {
        for (size_t k = 0; k < PRESIGN_COUNT; k++) {
            if (query_is(param.name, presign_names[k]) && ret->count[k]++ == 0)
                ret->value[k] = param.value;
        }
    }
}

static bool presign_meant(const struct presign_found *found)
{
    return found->count[PRESIGN_ALGORITHM] > 0 || found->count[PRESIGN_CREDENTIAL] > 0 ||
           found->count[PRESIGN_SIGNATURE] > 0;
}

/* --- what both forms share -------------------------------------------------------------------- */

static enum kms_status check_algorithm(struct bytes name, struct kms_error *reterr)
{
    if (bytes_eq_str(name, SIGV4_ALGORITHM))
        return KMS_OK;
    /* not in the table: general knowledge of the front end */
    return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG, "Unsupported AWS 'algorithm': '%.*s'.",
                      BYTES_FMT(name));
}

/* keyid/date/region/service/term, nothing more, nothing less. */
static enum kms_status split_credential(struct sigv4_auth *auth, struct kms_error *reterr)
{
    struct bytes rest = auth->credential;

    if (bytes_cut(&rest, '/', &auth->access_key_id) && bytes_cut(&rest, '/', &auth->date) &&
        bytes_cut(&rest, '/', &auth->region) && bytes_cut(&rest, '/', &auth->service) &&
        (rest.len == 0 || memchr(rest.ptr, '/', rest.len) == NULL)) {
        auth->terminator = rest;
        return KMS_OK;
    }
    return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                      "Credential must have exactly 5 slash-delimited elements, e.g. "
                      "keyid/date/region/service/term, got '%.*s'",
                      BYTES_FMT(auth->credential));
}

static enum kms_status refuse_date(struct bytes text, struct kms_error *reterr)
{
    /* not in the table: general knowledge of the front end */
    return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                      "Date must be in ISO-8601 'basic format'. Got '%.*s'. See "
                      "http://en.wikipedia.org/wiki/ISO_8601",
                      BYTES_FMT(text));
}

/* --- header form ------------------------------------------------------------------------------ */

/* Takes "Name=value" off a comma-separated list, trimmed. False at the end. */
static bool next_piece(struct bytes *rest, struct bytes *ret)
{
    if (rest->len == 0)
        return false;
    if (!bytes_cut(rest, ',', ret)) {
        *ret = *rest;
        *rest = (struct bytes){ NULL, 0 };
    }
    while (ret->len > 0 && (ret->ptr[0] == ' ' || ret->ptr[0] == '\t')) {
        ret->ptr++;
        ret->len--;
    }
    while (ret->len > 0 && (ret->ptr[ret->len - 1] == ' ' || ret->ptr[ret->len - 1] == '\t'))
        ret->len--;
    return true;
}

/* Splits what follows the algorithm. A part that is missing stays empty; a part that is unknown or
 * comes twice is refused, since it could be read two ways (texts not in the table, the first one
 * from general knowledge of the front end). */
static enum kms_status split_authorization(struct bytes header, struct bytes rest,
                                           struct sigv4_auth *auth, struct kms_error *reterr)
{
    struct bytes piece;
    struct bytes name;

    while (next_piece(&rest, &piece)) {
        struct bytes value = piece;

        if (!bytes_cut(&value, '=', &name))
            return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                              "'%.*s' not a valid key=value pair (missing equal-sign) in "
                              "Authorization header: '%.*s'.",
                              BYTES_FMT(piece), BYTES_FMT(header));
        struct bytes *to = bytes_eq_str(name, "Credential")      ? &auth->credential
                           : bytes_eq_str(name, "SignedHeaders") ? &auth->signed_headers
                           : bytes_eq_str(name, "Signature")     ? &auth->signature
                                                                 : NULL;
        if (to == NULL || to->ptr != NULL)
            return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                              "Authorization header has an unknown or repeated parameter '%.*s'. "
                              "Authorization=%.*s",
                              BYTES_FMT(name), BYTES_FMT(header));
        *to = value;
    }
    return KMS_OK;
}

static enum kms_status parse_header(const struct sigv4_notables *found, struct sigv4_auth *auth,
                                    struct kms_error *reterr)
{
    struct bytes header = found->value[NOTABLE_AUTHORIZATION];
    struct bytes rest = header;
    struct bytes algorithm;
    bool         has_amz_date = found->count[NOTABLE_AMZ_DATE] > 0;
    bool         has_date = has_amz_date || found->count[NOTABLE_DATE] > 0;

    if (!bytes_cut(&rest, ' ', &algorithm)) {
        algorithm = header;
        rest = (struct bytes){ NULL, 0 };
    }
    TRY(split_authorization(header, rest, auth, reterr));
    if (auth->credential.len == 0 || auth->signature.len == 0 || auth->signed_headers.len == 0 ||
        !has_date)
        return KMS_REFUSE(
            reterr, KMS_E_INCOMPLETE_SIG, "%s%s%s%sAuthorization=%.*s",
            auth->credential.len > 0 ? ""
                                     : "Authorization header requires 'Credential' parameter. ",
            auth->signature.len > 0 ? "" : "Authorization header requires 'Signature' parameter. ",
            auth->signed_headers.len > 0
                ? ""
                : "Authorization header requires 'SignedHeaders' parameter. ",
            has_date ? ""
                     : "Authorization header requires existence of either a 'X-Amz-Date' or a "
                       "'Date' header. ",
            BYTES_FMT(header));
    TRY(check_algorithm(algorithm, reterr));
    TRY(split_credential(auth, reterr));

    auth->session_token = found->value[NOTABLE_AMZ_TOKEN];
    auth->time_text = found->value[has_amz_date ? NOTABLE_AMZ_DATE : NOTABLE_DATE];
    if (date_basic_read(auth->time_text, &auth->time_ms) ||
        (!has_amz_date && date_http_read(auth->time_text, &auth->time_ms)))
        return KMS_OK;
    return refuse_date(auth->time_text, reterr);
}

/* --- query form ------------------------------------------------------------------------------- */

/* Names what is missing, in the order of the enum (text from general knowledge of the front end;
 * that X-Amz-Expires cannot be left out is our choice). */
static enum kms_status check_complete(const struct presign_found *found, struct kms_error *reterr)
{
    char   text[400]; /* six clauses of at most 62 characters */
    size_t at = 0;

    for (size_t k = 0; k < PRESIGN_TOKEN; k++) {
        if (found->value[k].len > 0)
            continue;
        int n = snprintf(text + at, sizeof text - at,
                         "AWS query-string parameters must include '%s'. ", presign_names[k]);
        at += (size_t)n;
    }
    if (at == 0)
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG, "%.*sRe-examine the query-string parameters.",
                      (int)at, text);
}

/* 1 to LIMIT_PRESIGN_S, in decimal without leading zeros. */
static bool read_expires(struct bytes text, int64_t *ret)
{
    int64_t v = 0;

    if (text.len == 0 || text.len > 6 || text.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (text.ptr[i] - '0');
    }
    if (v > LIMIT_PRESIGN_S)
        return false;
    *ret = v;
    return true;
}

static enum kms_status parse_query(const struct presign_found *found, struct bytes header_token,
                                   struct buf *scratch, struct sigv4_auth *auth,
                                   struct kms_error *reterr)
{
    struct bytes text[PRESIGN_COUNT];

    for (size_t k = 0; k < PRESIGN_COUNT; k++) {
        if (found->count[k] > 1)
            return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                              "AWS query-string parameter '%s' must be present only once. "
                              "Re-examine the query-string parameters.",
                              presign_names[k]);
    }
    TRY(check_complete(found, reterr));
    for (size_t k = 0; k < PRESIGN_COUNT; k++)
        text[k] = query_decode(scratch, found->value[k]);
    if (!buf_ok(scratch))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "scratch is too small for the query");

    auth->query_form = true;
    auth->credential = text[PRESIGN_CREDENTIAL];
    auth->signed_headers = text[PRESIGN_SIGNED_HEADERS];
    auth->signature = text[PRESIGN_SIGNATURE];
    auth->time_text = text[PRESIGN_DATE];
    auth->session_token = found->count[PRESIGN_TOKEN] > 0 ? text[PRESIGN_TOKEN] : header_token;
    TRY(check_algorithm(text[PRESIGN_ALGORITHM], reterr));
    TRY(split_credential(auth, reterr));
    if (!date_basic_read(auth->time_text, &auth->time_ms))
        return refuse_date(auth->time_text, reterr);
    if (!read_expires(text[PRESIGN_EXPIRES], &auth->expires_s))
        return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                          "X-Amz-Expires must be a number of seconds from 1 to %d, got '%.*s'",
                          LIMIT_PRESIGN_S, BYTES_FMT(text[PRESIGN_EXPIRES]));
    return KMS_OK;
}

/* --- both ------------------------------------------------------------------------------------- */

static enum kms_status check_single(const struct sigv4_notables *found, struct kms_error *reterr)
{
    for (size_t k = 0; k < NOTABLE_COUNT; k++) {
        if (found->count[k] > 1)
            return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG, "Header '%.*s' must be sent only once.",
                              BYTES_FMT(notable_names[k]));
    }
    return KMS_OK;
}

enum kms_status sigv4_parse(const struct http_request *rq, struct buf *scratch,
                            struct sigv4_auth *ret, struct kms_error *reterr)
{
    struct sigv4_notables found;

    sigv4_notables_find(rq, &found);
    return sigv4_parse_found(rq, &found, scratch, ret, reterr);
}

enum kms_status sigv4_parse_found(const struct http_request *rq, const struct sigv4_notables *found,
                                  struct buf *scratch, struct sigv4_auth *ret,
                                  struct kms_error *reterr)
{
    struct sigv4_auth    auth = { 0 };
    struct presign_found query = { 0 };

    if (rq->query.len > 0)
        presign_find(rq->query, &query);
    bool in_header = found->count[NOTABLE_AUTHORIZATION] > 0;
    bool in_query = presign_meant(&query);

    if (!in_header && !in_query)
        return KMS_REFUSE(reterr, KMS_E_MISSING_AUTH, "Missing Authentication Token");
    TRY(check_single(found, reterr));
    if (in_header && in_query)
        return KMS_REFUSE(reterr, KMS_E_INCOMPLETE_SIG,
                          "Only one auth mechanism allowed; only the X-Amz-Algorithm query "
                          "parameter or the Authorization header should be specified");
    if (in_header)
        TRY(parse_header(found, &auth, reterr));
    else
        TRY(parse_query(&query, found->value[NOTABLE_AMZ_TOKEN], scratch, &auth, reterr));
    *ret = auth;
    return KMS_OK;
}
