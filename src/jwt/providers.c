/* jwt/providers.c - see providers.h.
 *
 * Invariants:
 *   I1  The lock is never held while the network is waited for. Files are read under it: they are
 *       small, and seldom new.
 *   I2  A key set is replaced only by one that was read whole: a failed attempt changes nothing but
 *       counters and times.
 *   I3  A list in use does not move: the thread and requests hold it as its users.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "fetch/fetch.h"
#include "jwt/providers_internal.h"

struct oidc_providers {
    struct oidc_config config;
    pthread_mutex_t    lock;
    pthread_cond_t     wake;
    pthread_t          thread;
    bool               started;
    _Atomic bool       stop;
    struct oidc_list  *list;
};

static void lock(struct oidc_providers *p)
{
    (void)pthread_mutex_lock(&p->lock);
}

static void unlock(struct oidc_providers *p)
{
    (void)pthread_mutex_unlock(&p->lock);
}

static struct oidc_list *list_share(struct oidc_providers *p)
{
    lock(p);
    struct oidc_list *list = p->list;
    list->users++;
    unlock(p);
    return list;
}

static void list_release(struct oidc_providers *p, struct oidc_list *list)
{
    lock(p);
    bool last = --list->users == 0;
    unlock(p);
    if (last)
        oidc_list_free(list);
}

static void note(const struct oidc_providers *p, const struct oidc_provider *about, bool warning,
                 const char *what)
{
    CLEANUP(buf_release) struct buf line = BUF_INIT(1024);

    if (p->config.note == NULL)
        return;
    buf_addf(&line, "oidc: %s: %s%c", about->issuer, what, 0);
    if (buf_ok(&line))
        p->config.note(p->config.ctx, warning, (const char *)line.ptr);
}

/* --- keys that came, or did not ----------------------------------------------------------------- */

/* I2. Under the lock, or before the list is in use. */
static void install(const struct oidc_providers *p, struct oidc_provider *to, struct jwks *keys)
{
    char what[80];

    jwks_release(to->keys);
    to->keys = keys;
    to->good_ms = clock_monotonic_ms();
    to->failed = to->wanted = false;
    to->reads++;
    (void)snprintf(what, sizeof what, "%zu usable keys read", jwks_count(keys));
    note(p, to, jwks_count(keys) == 0, what);
}

static void install_failure(const struct oidc_providers *p, struct oidc_provider *to,
                            const struct kms_error *why)
{
    CLEANUP(buf_release) struct buf what = BUF_INIT(KMS_DETAIL_MAX + 128);

    to->failed = true;
    to->wanted = false;
    to->failures++;
    buf_addf(&what, "no new keys, %s: %s%c",
             to->keys != NULL ? "the old ones stay" : "there are none", why->detail, 0);
    note(p, to, true, buf_ok(&what) ? (const char *)what.ptr : "no new keys");
}

/* --- files -------------------------------------------------------------------------------------- */

static bool stamp_of(const char *path, struct file_stamp *ret)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *ret = (struct file_stamp){ st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_ino,
                                (uint64_t)st.st_size };
    return true;
}

static bool stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->seconds == b->seconds && a->nanoseconds == b->nanoseconds && a->inode == b->inode &&
           a->size == b->size;
}

/* The stamp is taken first: a file that changes while it is read is read again. */
static enum kms_status read_file(struct oidc_provider *from, struct jwks **ret,
                                 struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(JWKS_BYTES_MAX);
    struct kms_error                why;

    if (!stamp_of(from->source, &from->stamp))
        from->stamp = (struct file_stamp){ 0 };
    if (file_read(from->source, &text, &why) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s", why.detail);
    enum kms_status status = jwks_read(buf_bytes(&text), ret, &why);
    if (status != KMS_OK)
        return KMS_FAIL(reterr, status, "%s: %s", from->source, why.detail);
    return KMS_OK;
}

/* Under the lock: is the file another one than it was? */
static void look_at_file(const struct oidc_providers *p, struct oidc_provider *at)
{
    int64_t           now = clock_monotonic_ms();
    struct file_stamp stamp = { 0 };
    struct jwks      *keys = NULL;
    struct kms_error  err;

    if (now - at->looked_ms < OIDC_LOOK_MS)
        return;
    at->looked_ms = now;
    if (stamp_of(at->source, &stamp) && stamp_same(&stamp, &at->stamp))
        return;
    if (at->failed && stamp_same(&stamp, &at->stamp))
        return; /* still not there: said once */
    if (read_file(at, &keys, &err) == KMS_OK)
        install(p, at, keys);
    else
        install_failure(p, at, &err);
}

/* --- URLs --------------------------------------------------------------------------------------- */

/* When it is to be asked next, monotonic. */
static int64_t due(const struct oidc_provider *p)
{
    if (p->looked_ms == 0)
        return 0;
    if (p->wanted)
        return p->looked_ms + OIDC_WANTED_MS;
    return p->looked_ms + (p->failed ? OIDC_RETRY_MS : OIDC_REFRESH_MS);
}

static void ask_url(struct oidc_providers *p, struct oidc_provider *at)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(JWKS_BYTES_MAX);
    const struct fetch_request      rq = { at->source, at->ca,
                                      p->config.dev ? FETCH_HTTP_HERE : FETCH_HTTPS, &p->stop };
    struct jwks                    *keys = NULL;
    struct kms_error                err;

    enum kms_status status = fetch_get(&rq, &text, &err);
    if (status == KMS_OK)
        status = jwks_read(buf_bytes(&text), &keys, &err);
    lock(p);
    if (status == KMS_OK)
        install(p, at, keys);
    else if (!atomic_load(&p->stop))
        install_failure(p, at, &err);
    unlock(p);
}

/* The next URL that is due, or NULL and how long until one is. */
static struct oidc_provider *next_due(struct oidc_list *list, int64_t *ret_wait_ms)
{
    int64_t now = clock_monotonic_ms();

    *ret_wait_ms = OIDC_REFRESH_MS;
    for (size_t i = 0; i < list->n; i++) {
        struct oidc_provider *p = &list->providers[i];
        if (!p->is_url)
            continue;
        int64_t left = due(p) - now;
        if (left <= 0) {
            p->looked_ms = now;
            return p;
        }
        if (left < *ret_wait_ms)
            *ret_wait_ms = left;
    }
    return NULL;
}

static void *ask_urls(void *arg)
{
    struct oidc_providers *p = arg;
    int64_t                wait_ms = 0;

    (void)pthread_setname_np(pthread_self(), "oidc");
    lock(p);
    while (!atomic_load(&p->stop)) {
        struct oidc_list     *list = p->list;
        struct oidc_provider *at = next_due(list, &wait_ms);

        if (at == NULL) {
            clock_cond_wait(&p->wake, &p->lock, wait_ms);
            continue;
        }
        list->users++; /* I3 */
        unlock(p);
        ask_url(p, at); /* I1 */
        list_release(p, list);
        lock(p);
    }
    unlock(p);
    return NULL;
}

/* --- opening and reading again ------------------------------------------------------------------ */

static enum kms_status read_files(const struct oidc_providers *p, struct oidc_list *list,
                                  struct kms_error *reterr)
{
    for (size_t i = 0; i < list->n; i++) {
        struct oidc_provider *at = &list->providers[i];
        struct jwks          *keys = NULL;

        if (at->is_url)
            continue;
        TRY(read_file(at, &keys, reterr));
        at->looked_ms = clock_monotonic_ms();
        install(p, at, keys);
    }
    return KMS_OK;
}

enum kms_status oidc_open(const struct oidc_config *config, struct oidc_providers **ret,
                          struct kms_error *reterr)
{
    CLEANUP(oidc_list_freep) struct oidc_list *list = NULL;
    CLEANUP(freep) struct oidc_providers      *p = calloc(1, sizeof *p);

    if (p == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for OIDC providers");
    TRY(fetch_init(reterr));
    p->config = *config;
    TRY(oidc_list_read(config, &list, reterr));
    TRY(read_files(p, list, reterr));
    (void)pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->wake);
    p->list = TAKE(list);
    *ret = TAKE(p);
    return KMS_OK;
}

enum kms_status oidc_start(struct oidc_providers *p, struct kms_error *reterr)
{
    if (pthread_create(&p->thread, NULL, ask_urls, p) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no thread for OIDC providers");
    p->started = true;
    return KMS_OK;
}

/* The keys of a URL are worth keeping until it has been asked again. */
static void carry_over(struct oidc_list *to, struct oidc_list *from)
{
    for (size_t i = 0; i < to->n; i++) {
        struct oidc_provider *a = &to->providers[i];
        for (size_t k = 0; a->is_url && k < from->n; k++) {
            struct oidc_provider *b = &from->providers[k];
            if (strcmp(a->issuer, b->issuer) != 0 || strcmp(a->source, b->source) != 0)
                continue;
            a->keys = jwks_share(b->keys);
            a->good_ms = b->good_ms;
            a->reads = b->reads;
            a->failures = b->failures;
        }
    }
}

enum kms_status oidc_reload(struct oidc_providers *p, struct kms_error *reterr)
{
    CLEANUP(oidc_list_freep) struct oidc_list *list = NULL;

    TRY(oidc_list_read(&p->config, &list, reterr));
    TRY(read_files(p, list, reterr));
    lock(p);
    struct oidc_list *old = p->list;
    carry_over(list, old);
    p->list = TAKE(list);
    (void)pthread_cond_signal(&p->wake);
    unlock(p);
    list_release(p, old);
    return KMS_OK;
}

void oidc_stop(struct oidc_providers *p)
{
    if (p == NULL || !p->started)
        return;
    lock(p);
    atomic_store(&p->stop, true);
    (void)pthread_cond_signal(&p->wake);
    unlock(p);
    (void)pthread_join(p->thread, NULL);
    p->started = false;
}

void oidc_free(struct oidc_providers *p)
{
    if (p == NULL)
        return;
    oidc_list_free(p->list);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    fetch_cleanup();
}

/* --- tokens ------------------------------------------------------------------------------------- */

void oidc_identity_release(struct oidc_identity *i)
{
    jwt_freep(&i->token);
}

static struct oidc_provider *provider_of(struct oidc_list *list, struct bytes issuer)
{
    for (size_t i = 0; i < list->n; i++) {
        if (bytes_eq_str(issuer, list->providers[i].issuer))
            return &list->providers[i];
    }
    return NULL;
}

/* The first audience of the token that is configured; empty if there is none. */
static struct bytes audience_of(const struct oidc_provider *p, const struct jwt *t)
{
    for (size_t i = 0; jwt_audience(t, i).len > 0; i++) {
        for (size_t k = 0; k < p->n_audiences; k++) {
            if (bytes_eq(jwt_audience(t, i), p->audiences[k]))
                return jwt_audience(t, i);
        }
    }
    return (struct bytes){ NULL, 0 };
}

/* The keys of now, looking at a file again if it is time; NULL: there are none. */
static struct jwks *keys_of(struct oidc_providers *p, struct oidc_provider *at)
{
    lock(p);
    if (!at->is_url)
        look_at_file(p, at);
    struct jwks *keys = jwks_share(at->keys);
    unlock(p);
    return keys;
}

static void want_keys(struct oidc_providers *p, struct oidc_provider *at)
{
    lock(p);
    at->wanted = true;
    (void)pthread_cond_signal(&p->wake);
    unlock(p);
}

static enum kms_status believe(struct oidc_providers *p, struct oidc_provider *at,
                               const struct jwt *t, int64_t now_ms, struct kms_error *reterr)
{
    CLEANUP(jwks_releasep) struct jwks *keys = keys_of(p, at);
    bool                                known = false;
    enum kms_status                     status;

    if (keys != NULL)
        status = jwt_verify(t, keys, now_ms, &known, reterr);
    else
        status = KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, JWT_NO_KEY);
    if (!known && at->is_url)
        want_keys(p, at);
    return status;
}

static enum kms_status refuse_issuer(struct bytes issuer, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN,
                      "No OpenIDConnect provider found in your account for %.*s",
                      BYTES_FMT(issuer));
}

static enum kms_status check_in(struct oidc_providers *p, struct oidc_list *list,
                                const struct jwt *t, int64_t now_ms, struct oidc_identity *ret,
                                struct kms_error *reterr)
{
    struct oidc_provider *at = provider_of(list, jwt_issuer(t));

    if (at == NULL)
        return refuse_issuer(jwt_issuer(t), reterr);
    TRY(believe(p, at, t, now_ms, reterr));
    ret->audience = audience_of(at, t);
    if (ret->audience.len == 0)
        return KMS_REFUSE(reterr, KMS_E_WEB_TOKEN, "Incorrect token audience");
    (void)snprintf(ret->provider, sizeof ret->provider, "%s", at->issuer + strlen("https://"));
    return KMS_OK;
}

enum kms_status oidc_check(struct oidc_providers *p, struct bytes token, int64_t now_ms,
                           struct oidc_identity *ret, struct kms_error *reterr)
{
    CLEANUP(oidc_identity_release) struct oidc_identity found = { 0 };

    TRY(jwt_read(token, &found.token, reterr));
    if (p == NULL)
        return refuse_issuer(jwt_issuer(found.token), reterr);
    struct oidc_list *list = list_share(p);
    enum kms_status   status = check_in(p, list, found.token, now_ms, &found, reterr);
    list_release(p, list);
    TRY(status);
    *ret = found;
    found.token = NULL;
    return KMS_OK;
}

bool oidc_status(struct oidc_providers *p, size_t i, struct oidc_status *ret)
{
    struct oidc_list *list = list_share(p);
    bool              there = i < list->n;

    if (there) {
        lock(p);
        const struct oidc_provider *at = &list->providers[i];
        *ret = (struct oidc_status){ .keys = at->keys == NULL ? 0 : jwks_count(at->keys),
                                     .reads = at->reads,
                                     .failures = at->failures,
                                     .age_ms = at->keys == NULL
                                                   ? -1
                                                   : clock_monotonic_ms() - at->good_ms };
        memcpy(ret->issuer, at->issuer, sizeof ret->issuer);
        unlock(p);
    }
    list_release(p, list);
    return there;
}
