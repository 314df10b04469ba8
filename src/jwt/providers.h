/* jwt/providers.h - the OIDC issuers whose tokens are believed, and where their keys come from.
 *
 * A file of the operator's names them (setting `oidc-providers`, docs/identities.md). Keys come from
 * a file, which is looked at again whenever it may have changed, or from an https URL, which a thread
 * of its own asks every ten minutes, and at once when a token names a key that is not there. Nobody
 * who answers a request waits for the network: such a token is refused, and the next one may be
 * good. When new keys cannot be had, the last good ones stay.
 *
 * Thread-safe. What is in use (a list, a set of keys) is counted and goes with its last user.
 */
#pragma once

#include "jwt/jwt.h"

enum {
    OIDC_PROVIDERS_MAX = 64,
    OIDC_AUDIENCES_MAX = 100, /* of one provider, as in IAM */
    OIDC_LIST_BYTES_MAX = 256 * 1024,
    OIDC_LOOK_MS = 1000,          /* a file is looked at once in this time, at most */
    OIDC_REFRESH_MS = 600 * 1000, /* a URL is asked that often */
    OIDC_RETRY_MS = 60 * 1000,    /* ... after it has failed */
    OIDC_WANTED_MS = 5 * 1000,    /* ... and at most that often when keys are missing */
};

struct oidc_providers;

struct oidc_config {
    const char *path; /* the list; absolute or not */
    bool        dev;  /* http to this machine is fine */
    /* One line about keys that came, or did not; from any thread. May be NULL. */
    void (*note)(void *ctx, bool warning, const char *line);
    void *ctx;
};

/* Reads the list, and all files that it names: what cannot be read is KMS_E_VALIDATION with path and
 * place. `config` is copied, except what its pointers show to. */
KMS_MUST_CHECK enum kms_status oidc_open(const struct oidc_config *config,
                                         struct oidc_providers **ret, struct kms_error *reterr);
/* Starts the thread that asks URLs. */
KMS_MUST_CHECK enum kms_status oidc_start(struct oidc_providers *p, struct kms_error *reterr);
/* Reads everything again. On failure all stays as it was. */
KMS_MUST_CHECK enum kms_status oidc_reload(struct oidc_providers *p, struct kms_error *reterr);
void oidc_stop(struct oidc_providers *p); /* ends the thread; NULL is fine */
void oidc_free(struct oidc_providers *p); /* after oidc_stop; NULL is fine */

/* Who has brought a token. */
struct oidc_identity {
    struct jwt  *token;
    char         provider[JWT_CLAIM_MAX + 1]; /* the issuer without "https://", as ARNs name it */
    struct bytes audience; /* the one of the token's that is configured; view into `token` */
};
void oidc_identity_release(struct oidc_identity *i); /* for CLEANUP; fine on a zeroed one */

/* Reads a token and believes it or not. KMS_E_WEB_TOKEN, KMS_E_WEB_TOKEN_EXPIRED. `p` NULL: no
 * provider is configured. */
KMS_MUST_CHECK enum kms_status oidc_check(struct oidc_providers *p, struct bytes token,
                                          int64_t now_ms, struct oidc_identity *ret,
                                          struct kms_error *reterr);

struct oidc_status {
    char     issuer[JWT_CLAIM_MAX + 1];
    size_t   keys;
    uint64_t reads, failures; /* of its file or URL, since the start */
    int64_t  age_ms;          /* of the keys; -1: there are none yet */
};
/* Of provider number `i`; false behind the last. */
bool oidc_status(struct oidc_providers *p, size_t i, struct oidc_status *ret);
