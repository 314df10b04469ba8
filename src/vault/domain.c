/* vault/domain.c - domain keys: one for each account and Region, with versions.
 *
 * They are few and stay opened in secret memory until the vault is closed. Nothing is removed, so
 * readers need neither lock nor epoch section.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum {
    NAME_LEN_MAX = 1 + ACCOUNT_LEN + REGION_MAX,
    AAD_MAX = 256,
    WRAPPED_LEN = ENVELOPE_OVERHEAD + KEY_LEN
};

struct domain_key {
    struct domain_key *next; /* set before it is published */
    uint32_t           version;
    _Atomic bool       added; /* is in the store; until then only vault_new_domain knows it */
    struct secret     *key;
    uint8_t            wrapped[WRAPPED_LEN];
};

struct domain {
    struct index_node node; /* first: the index hands out this address */
    uint8_t           name[NAME_LEN_MAX];
    struct domain_key *_Atomic keys; /* in no order: there are few */
};

/* Account and Region with the account's length in front. False for names no record can have. */
static bool name_of(struct bytes account, struct bytes region, uint8_t ret[NAME_LEN_MAX],
                    struct bytes *ret_name)
{
    if (account.len > ACCOUNT_LEN || region.len > REGION_MAX)
        return false;
    ret[0] = (uint8_t)account.len;
    if (account.len > 0)
        memcpy(ret + 1, account.ptr, account.len);
    if (region.len > 0)
        memcpy(ret + 1 + account.len, region.ptr, region.len);
    *ret_name = bytes_of(ret, 1 + account.len + region.len);
    return true;
}

static struct domain *find(struct vault *v, struct bytes account, struct bytes region)
{
    uint8_t      room[NAME_LEN_MAX];
    struct bytes name;

    if (!name_of(account, region, room, &name))
        return NULL;
    return (struct domain *)(void *)index_find(v->domains, name);
}

static struct domain_key *first_key(struct domain *d)
{
    return d == NULL ? NULL : atomic_load_explicit(&d->keys, memory_order_acquire);
}

static struct domain_key *with_version(struct domain *d, uint32_t version)
{
    struct domain_key *k = first_key(d);

    while (k != NULL && k->version != version)
        k = k->next;
    return k;
}

/* The highest version in the store; before the first is there, the one that is about to be. */
static struct domain_key *current(struct domain *d)
{
    struct domain_key *best = NULL;

    for (struct domain_key *k = first_key(d); k != NULL; k = k->next) {
        bool added = atomic_load(&k->added);
        bool best_added = best != NULL && atomic_load(&best->added);
        if (best == NULL || added > best_added ||
            (added == best_added && k->version > best->version))
            best = k;
    }
    return best;
}

struct secret *domain_key(struct vault *v, struct bytes account, struct bytes region,
                          uint32_t version, uint32_t *ret_version)
{
    struct domain     *d = find(v, account, region);
    struct domain_key *k = version == 0 ? current(d) : with_version(d, version);

    if (k == NULL)
        return NULL;
    if (ret_version != NULL)
        *ret_version = k->version;
    return k->key;
}

uint32_t vault_domain_version(struct vault *v, struct bytes account, struct bytes region)
{
    struct domain_key *k = current(find(v, account, region));

    return k != NULL && atomic_load(&k->added) ? k->version : 0;
}

/* --- making and opening ------------------------------------------------------------------------------- */

static void aad_of(struct vault *v, struct bytes account, struct bytes region, uint32_t version,
                   struct buf *aad)
{
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_field(aad, account);
    buf_add_field(aad, region);
    buf_add_u32(aad, version);
}

static enum kms_status make(struct vault *v, struct bytes account, struct bytes region,
                            uint32_t version, struct domain_key **ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *key = secret_new(KEY_LEN);
    CLEANUP(freep) struct domain_key    *fresh = calloc(1, sizeof *fresh);
    CLEANUP(buf_release) struct buf      aad = BUF_INIT(AAD_MAX);
    CLEANUP(buf_release) struct buf      wrapped = BUF_INIT(WRAPPED_LEN);

    aad_of(v, account, region, version, &aad);
    if (key == NULL || fresh == NULL || !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a domain key");
    crypto_random(secret_data(key), KEY_LEN);
    TRY(envelope_seal(v->in.purpose[PURPOSE_DOMAIN], "domain-key", buf_bytes(&aad),
                      secret_view(key), &wrapped, reterr));
    memcpy(fresh->wrapped, wrapped.ptr, WRAPPED_LEN);
    fresh->version = version;
    fresh->key = TAKE(key);
    *ret = TAKE(fresh);
    return KMS_OK;
}

static enum kms_status open_record(struct vault *v, const struct domain_key_record *r,
                                   struct domain_key **ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *key = secret_new(KEY_LEN);
    CLEANUP(freep) struct domain_key    *fresh = calloc(1, sizeof *fresh);
    CLEANUP(buf_release) struct buf      aad = BUF_INIT(AAD_MAX);

    aad_of(v, r->account, r->region, r->version, &aad);
    if (key == NULL || fresh == NULL || !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a domain key");
    if (r->wrapped.len != WRAPPED_LEN || r->version == 0 ||
        envelope_open(v->in.purpose[PURPOSE_DOMAIN], "domain-key", buf_bytes(&aad), r->wrapped,
                      secret_data(key), NULL) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "the domain key of account %.*s in %.*s was "
                        "tampered with or is another instance's",
                        BYTES_FMT(r->account), BYTES_FMT(r->region));
    memcpy(fresh->wrapped, r->wrapped.ptr, WRAPPED_LEN);
    fresh->version = r->version;
    fresh->key = TAKE(key);
    *ret = TAKE(fresh);
    return KMS_OK;
}

/* --- the list; with the lock held ------------------------------------------------------------------------ */

static struct domain *find_or_add(struct vault *v, struct bytes account, struct bytes region)
{
    struct domain *d = find(v, account, region);

    if (d != NULL)
        return d;
    d = calloc(1, sizeof *d);
    if (d == NULL || !name_of(account, region, d->name, &d->node.key)) {
        free(d);
        return NULL;
    }
    index_insert(v->domains, &d->node, NULL); /* never grows: readers are in no section */
    return d;
}

static void publish(struct domain *d, struct domain_key *k)
{
    assert(k != NULL);
    k->next = first_key(d);
    atomic_store_explicit(&d->keys, k, memory_order_release);
}

static enum kms_status new_locked(struct vault *v, struct bytes account, struct bytes region,
                                  uint32_t version, struct buf *ret_wrapped,
                                  struct kms_error *reterr)
{
    struct domain     *d = find_or_add(v, account, region);
    struct domain_key *k = with_version(d, version);

    if (d == NULL || version == 0 || !buf_reserve(ret_wrapped, WRAPPED_LEN))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no domain '%.*s' '%.*s' %u", BYTES_FMT(account),
                        BYTES_FMT(region), version);
    if (k == NULL) {
        TRY(make(v, account, region, version, &k, reterr));
        publish(d, k);
    }
    buf_add(ret_wrapped, bytes_of(k->wrapped, WRAPPED_LEN));
    return KMS_OK;
}

static enum kms_status add_locked(struct vault *v, const struct domain_key_record *r,
                                  struct kms_error *reterr)
{
    struct domain     *d = find_or_add(v, r->account, r->region);
    struct domain_key *k = with_version(d, r->version);

    if (d == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a domain key");
    if (k == NULL) {
        TRY(open_record(v, r, &k, reterr));
        publish(d, k);
    } else if (!bytes_eq(bytes_of(k->wrapped, WRAPPED_LEN), r->wrapped)) {
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "two domain keys for account %.*s in %.*s, "
                        "version %u",
                        BYTES_FMT(r->account), BYTES_FMT(r->region), r->version);
    }
    atomic_store(&k->added, true);
    return KMS_OK;
}

enum kms_status vault_new_domain(struct vault *v, struct bytes account, struct bytes region,
                                 uint32_t version, struct buf *ret_wrapped,
                                 struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&v->domain_lock);
    enum kms_status status = new_locked(v, account, region, version, ret_wrapped, reterr);
    (void)pthread_mutex_unlock(&v->domain_lock);
    return status;
}

enum kms_status vault_add_domain(struct vault *v, const struct domain_key_record *domain,
                                 struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&v->domain_lock);
    enum kms_status status = add_locked(v, domain, reterr);
    (void)pthread_mutex_unlock(&v->domain_lock);
    return status;
}

static void domain_free(struct index_node *node, void *ctx)
{
    struct domain     *d = (struct domain *)(void *)node;
    struct domain_key *k = first_key(d);

    (void)ctx;
    while (k != NULL) {
        struct domain_key *next = k->next;
        secret_free(k->key);
        free(k);
        k = next;
    }
    free(d);
}

void domains_free(struct vault *v)
{
    if (v->domains == NULL)
        return;
    index_each(v->domains, domain_free, NULL);
    index_free(v->domains);
}
