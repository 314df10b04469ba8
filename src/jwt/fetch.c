/* jwt/fetch.c - see fetch.h. */
#include "jwt/fetch.h"

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

enum kms_status fetch_check_url(const char *url, bool plain_http, struct kms_error *reterr)
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
    if (strcmp(scheme, "http") == 0 && plain_http && is_this_machine(host))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_VALIDATION,
                    "not an https URL (http is for development mode, and only to this machine)");
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

static bool set_bounds(CURL *c, const struct buf *out)
{
    return curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)FETCH_CONNECT_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)FETCH_TOTAL_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(out->limit - out->len)) ==
               CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

static bool set_tls(CURL *c, const struct fetch_request *rq)
{
    const char *schemes = rq->plain_http ? "https,http" : "https";

    return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, schemes) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (rq->ca_file == NULL || (curl_easy_setopt(c, CURLOPT_CAINFO, rq->ca_file) == CURLE_OK &&
                                    curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK));
}

static bool set_request(CURL *c, const struct fetch_request *rq, struct curl_slist *headers,
                        struct buf *out)
{
    return curl_easy_setopt(c, CURLOPT_URL, rq->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "trentd/" TRENT_VERSION) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, out) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, watch) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFODATA, rq) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

enum kms_status fetch_get(const struct fetch_request *rq, struct buf *out, struct kms_error *reterr)
{
    CLEANUP(easy_freep) CURL              *c = curl_easy_init();
    CLEANUP(list_freep) struct curl_slist *headers = NULL;
    char                                   why[CURL_ERROR_SIZE] = "";
    long                                   status = 0;

    TRY(fetch_check_url(rq->url, rq->plain_http, reterr));
    headers = curl_slist_append(NULL, "Accept: application/json");
    if (c == NULL || headers == NULL || !set_bounds(c, out) || !set_tls(c, rq) ||
        !set_request(c, rq, headers, out) ||
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) != CURLE_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a transfer cannot be set up");
    CURLcode code = curl_easy_perform(c);
    if (code == CURLE_FILESIZE_EXCEEDED || !buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the document is longer than %zu bytes",
                        out->limit);
    if (code != CURLE_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "%s",
                        why[0] != '\0' ? why : curl_easy_strerror(code));
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the answer has status %ld", status);
    return KMS_OK;
}
