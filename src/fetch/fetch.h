/* fetch/fetch.h - asking strangers over https, with bounds on everything; curl inside, nobody else
 * sees it (docs/decisions/0008-libcurl.md). Documents are fetched (jwt/), events are posted (webhook/).
 *
 * Always: redirects are not followed, proxies not used, certificates checked, TLS 1.2 at least, and at
 * most FETCH_TOTAL_S. Calls wait: not for threads that have something else to do.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "base/error.h"

enum {
    FETCH_CONNECT_S = 5,
    FETCH_TOTAL_S = 15,
    FETCH_URL_MAX = 2048,
    FETCH_ANSWER_MAX = 64 * 1024 /* of an answer to a post, which nobody reads */
};

/* Where http is good enough. */
enum fetch_plain { FETCH_HTTPS, FETCH_HTTP_HERE /* to this machine */, FETCH_HTTP_ANYWHERE };

struct fetch_request {
    const char      *url;
    const char      *ca_file; /* PEM; NULL: the certificate authorities of the system */
    enum fetch_plain plain;
    const _Atomic bool
        *stop; /* gives up within about a second after it has become true; may be NULL */
};

/* Before the first call of the others, from one thread; as often as fetch_cleanup. */
KMS_MUST_CHECK enum kms_status fetch_init(struct kms_error *reterr);
void fetch_cleanup(void);

/* Is it a URL that would be asked? KMS_E_VALIDATION with the reason. */
KMS_MUST_CHECK enum kms_status fetch_check_url(const char *url, enum fetch_plain plain,
                                               struct kms_error *reterr);
/* GET; the body is appended to `out`, whose limit is the longest that is taken. Only status 200 will
 * do, and nothing is sent that could name the caller. KMS_E_INTERNAL with the reason. */
KMS_MUST_CHECK enum kms_status fetch_get(const struct fetch_request *rq, struct buf *out,
                                         struct kms_error *reterr);

/* Keeps the connection between posts. One thread at a time. */
struct fetch_poster;
struct fetch_poster *fetch_poster_new(void); /* NULL when out of memory */
void fetch_poster_free(struct fetch_poster *p);
/* POST of JSON with headers of its own ("name: value", NULL at the end). KMS_OK if there was an answer,
 * whatever its status; KMS_E_INTERNAL with the reason if not. */
KMS_MUST_CHECK enum kms_status fetch_post(struct fetch_poster *p, const struct fetch_request *rq,
                                          const char *const *headers, struct bytes body,
                                          long *ret_status, struct kms_error *reterr);
