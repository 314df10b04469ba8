/* jwt/providers_internal.h - shared by providers.c and providers_list.c; nobody else includes it. */
#pragma once

#include "base/arena.h"
#include "jwt/providers.h"

/* What tells that a file is another one than before. */
struct file_stamp {
    int64_t  seconds, nanoseconds; /* of its last change */
    uint64_t inode, size;
};

struct oidc_provider {
    char          issuer[JWT_CLAIM_MAX + 1];
    char         *source; /* path or URL of the key set */
    bool          is_url;
    char         *ca; /* NULL: those of the system */
    struct bytes *audiences;
    size_t        n_audiences;

    /* under the lock of struct oidc_providers, once the list is in use; times are monotonic */
    struct jwks      *keys; /* NULL: none yet */
    struct file_stamp stamp;
    int64_t           looked_ms; /* at the file; at the URL */
    int64_t           good_ms;   /* when the keys came */
    bool              failed;    /* the last time */
    bool              wanted;    /* keys are missing */
    uint64_t          reads, failures;
};

struct oidc_list {
    unsigned             users; /* under the same lock */
    struct arena        *arena;
    size_t               n;
    struct oidc_provider providers[OIDC_PROVIDERS_MAX];
};

/* Reads the list alone, without any keys; it has one user. KMS_E_VALIDATION with path and place. */
KMS_MUST_CHECK enum kms_status oidc_list_read(const struct oidc_config *config,
                                              struct oidc_list **ret, struct kms_error *reterr);
void oidc_list_free(struct oidc_list *list); /* whoever uses it; NULL is fine */
void oidc_list_freep(struct oidc_list **list);
