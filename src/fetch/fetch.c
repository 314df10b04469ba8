/* fetch/fetch.c - see fetch.h. */
#include "fetch/fetch.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/bytes.h"
#include "base/cleanup.h"

static void easy_freep(CURL **c)
{
    curl_easy_cleanup(*c);
}

static void url_freep(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void text_freep(char **text)
{
    curl_free(*text);
}

static void list_freep(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

enum kms_status fetch_init(struct kms_error *reterr)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "curl cannot be initialised");
    return KMS_OK;
}

void fetch_cleanup(void)
{
    curl_global_cleanup();
}

/* --- URLs ------------------------------------------------------------------------------------- */

static bool is_this_machine(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 ||
           strcmp(host, "localhost") == 0;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    CLEANUP(text_freep) char *text = NULL;

    return curl_url_get(url, part, &text, 0) == CURLUE_OK;
}

static bool plain_will_do(enum fetch_plain plain, const char *host)
{
    return plain == FETCH_HTTP_ANYWHERE || (plain == FETCH_HTTP_HERE && is_this_machine(host));
}

enum kms_status fetch_check_url(const char *url, enum fetch_plain plain, struct kms_error *reterr)
{
    CLEANUP(url_freep) CURLU *parsed = curl_url();
    CLEANUP(text_freep) char *scheme = NULL;
    CLEANUP(text_freep) char *host = NULL;

    if (parsed == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a URL");
    if (strlen(url) > FETCH_URL_MAX || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "not a URL");
    if (has_part(parsed, CURLUPART_USER) || has_part(parsed, CURLUPART_PASSWORD) ||
        has_part(parsed, CURLUPART_FRAGMENT))
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "a URL with credentials or a fragment");
    if (strcmp(scheme, "https") == 0)
        return KMS_OK;
    if (strcmp(scheme, "http") == 0 && plain_will_do(plain, host))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_VALIDATION, "not an https URL%s",
                    plain == FETCH_HTTP_HERE ? " (http is good enough only to this machine)" : "");
}

/* --- fetching --------------------------------------------------------------------------------- */

/* What curl hands over; fewer bytes taken than given end the transfer. */
static size_t take_body(char *data, size_t size, size_t n, void *out)
{
    buf_add(out, bytes_of(data, size * n));
    return buf_ok(out) ? size * n : 0;
}

static int watch(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    const struct fetch_request *rq = ctx;

    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    return rq->stop != NULL && atomic_load(rq->stop) ? 1 : 0;
}

static bool set_bounds(CURL *c)
{
    return curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)FETCH_CONNECT_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)FETCH_TOTAL_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

static bool set_tls(CURL *c, const struct fetch_request *rq)
{
    const char *schemes = rq->plain == FETCH_HTTPS ? "https" : "https,http";

    return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, schemes) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (rq->ca_file == NULL || (curl_easy_setopt(c, CURLOPT_CAINFO, rq->ca_file) == CURLE_OK &&
                                    curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK));
}

static bool set_request(CURL *c, const struct fetch_request *rq, struct curl_slist *headers,
                        char why[CURL_ERROR_SIZE])
{
    return curl_easy_setopt(c, CURLOPT_URL, rq->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "trentd/" TRENT_VERSION) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, watch) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFODATA, rq) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) == CURLE_OK && set_bounds(c) &&
           set_tls(c, rq);
}

static bool set_output(CURL *c, struct buf *out)
{
    return curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, out) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(out->limit - out->len)) ==
               CURLE_OK;
}

static enum kms_status cannot(CURLcode code, const char *why, struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s", why[0] != '\0' ? why : curl_easy_strerror(code));
}

enum kms_status fetch_get(const struct fetch_request *rq, struct buf *out, struct kms_error *reterr)
{
    CLEANUP(easy_freep) CURL              *c = curl_easy_init();
    CLEANUP(list_freep) struct curl_slist *headers = NULL;
    char                                   why[CURL_ERROR_SIZE] = "";
    long                                   status = 0;

    TRY(fetch_check_url(rq->url, rq->plain, reterr));
    headers = curl_slist_append(NULL, "Accept: application/json");
    if (c == NULL || headers == NULL || !set_request(c, rq, headers, why) || !set_output(c, out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a transfer cannot be set up");
    CURLcode code = curl_easy_perform(c);
    if (code == CURLE_FILESIZE_EXCEEDED || !buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the document is longer than %zu bytes",
                        out->limit);
    if (code != CURLE_OK)
        return cannot(code, why, reterr);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the answer has status %ld", status);
    return KMS_OK;
}

/* --- posting ---------------------------------------------------------------------------------- */

struct fetch_poster {
    CURL *c;
};

struct fetch_poster *fetch_poster_new(void)
{
    struct fetch_poster *p = calloc(1, sizeof *p);

    if (p == NULL || (p->c = curl_easy_init()) == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

void fetch_poster_free(struct fetch_poster *p)
{
    if (p == NULL)
        return;
    curl_easy_cleanup(p->c);
    free(p);
}

/* Nobody reads it, but an endless answer has to end. */
static size_t drop_body(char *data, size_t size, size_t n, void *got)
{
    size_t *sum = got;

    (void)data;
    *sum += size * n;
    return *sum <= FETCH_ANSWER_MAX ? size * n : 0;
}

/* One after the other: a list that cannot grow is NULL from then on. */
static struct curl_slist *list_of(const char *const *headers)
{
    struct curl_slist *list = NULL;

    for (size_t i = 0; headers[i] != NULL; i++) {
        struct curl_slist *more = curl_slist_append(list, headers[i]);
        if (more == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = more;
    }
    return list;
}

static bool set_post(CURL *c, struct bytes body, size_t *got)
{
    return curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.ptr) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, got) == CURLE_OK;
}

enum kms_status fetch_post(struct fetch_poster *p, const struct fetch_request *rq,
                           const char *const *headers, struct bytes body, long *ret_status,
                           struct kms_error *reterr)
{
    CLEANUP(list_freep) struct curl_slist *list = list_of(headers);
    char                                   why[CURL_ERROR_SIZE] = "";
    long                                   status = 0;
    size_t                                 got = 0;

    TRY(fetch_check_url(rq->url, rq->plain, reterr));
    curl_easy_reset(p->c); /* options only: connections stay */
    if (list == NULL || !set_request(p->c, rq, list, why) || !set_post(p->c, body, &got))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a transfer cannot be set up");
    CURLcode code = curl_easy_perform(p->c);
    (void)curl_easy_getinfo(p->c, CURLINFO_RESPONSE_CODE, &status);
    bool too_long = code == CURLE_WRITE_ERROR && got > FETCH_ANSWER_MAX;
    curl_easy_reset(p->c); /* it must not know this stack frame any more */
    if (code != CURLE_OK && !too_long)
        return cannot(code, why, reterr);
    *ret_status = status;
    return KMS_OK;
}
