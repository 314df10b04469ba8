/* jwt/fetch.h - one document from an https URL, with bounds on everything; curl inside, nobody else
 * sees it (docs/decisions/0008-libcurl.md).
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "base/error.h"

enum { FETCH_CONNECT_S = 5, FETCH_TOTAL_S = 15, FETCH_URL_MAX = 2048 };

struct fetch_request {
    const char         *url;
    const char         *ca_file;    /* PEM; NULL: the certificate authorities of the system */
    bool                plain_http; /* development: http too, but only to this machine */
    const _Atomic bool *stop;       /* gives up soon after it has become true; may be NULL */
};

/* Once, before there are threads. */
KMS_MUST_CHECK enum kms_status fetch_init(struct kms_error *reterr);
void fetch_cleanup(void);

/* Is it a URL that fetch_get would ask? KMS_E_VALIDATION with the reason. */
KMS_MUST_CHECK enum kms_status fetch_check_url(const char *url, bool plain_http,
                                               struct kms_error *reterr);
/* GET; the body is appended to `out`, whose limit is the longest that is taken. Only status 200 will
 * do: redirects are not followed, proxies not used, nothing is sent that could name the caller.
 * KMS_E_INTERNAL with the reason. Waits: not for threads that have something else to do. */
KMS_MUST_CHECK enum kms_status fetch_get(const struct fetch_request *rq, struct buf *out,
                                         struct kms_error *reterr);
