/* vault/making.c - new materials: generated, generated for a rotation in every Region of a key, copied to
 * another Region, given in clear by a seed. */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "vault/vault_internal.h"

/* RSA keys come from the pools of ready ones: making one takes longer than a request may. */
enum kms_status fresh_material(struct vault *v, enum key_spec spec, struct secret **ret,
                               struct kms_error *reterr)
{
    int kind = ready_kind(spec);

    if (kind < 0)
        return crypto_key_generate(spec, NULL, ret, reterr);
    CLEANUP(ready_key_freep) struct ready_key *ready = ready_take(v, kind);
    if (ready == NULL)
        return KMS_FAIL(reterr, KMS_E_THROTTLED, "no RSA key is ready");
    *ret = TAKE(ready->pkcs8);
    return KMS_OK;
}

enum kms_status vault_generate_material(struct vault *v, const struct key_record *key,
                                        struct arena *arena, struct key_material *ret,
                                        struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct key_material                  fresh = *ret;
    struct vault_material                m = { key, &fresh };

    TRY(fresh_material(v, key->spec, &material, reterr));
    TRY(material_identify(v, key, secret_view(material), &fresh.id, fresh.check, reterr));
    fresh.present = true;
    fresh.expiration = DOES_NOT_EXPIRE;
    fresh.valid_to = 0;
    struct seal_request r = material_request(&m);
    TRY(material_seal(v, &r, secret_view(material), arena, &fresh.sealed, reterr));
    *ret = fresh;
    return KMS_OK;
}

/* --- rotation --------------------------------------------------------------------------------------- */

/* One of them is made for each record; relatives share the first one's bytes. */
struct next {
    struct secret        *material; /* borrowed from the first relative, unless `own` */
    bool                  own;
    struct key_material   fresh;
    struct vault_material what;
};

struct making {
    struct next       *next;
    struct seal_order *orders;
    size_t             n;
};

static void making_release(struct making *m)
{
    for (size_t i = 0; m->next != NULL && i < m->n; i++) {
        if (m->next[i].own)
            secret_free(m->next[i].material);
    }
    free(m->next);
    free(m->orders);
}

static bool related(const struct key_record *a, const struct key_record *b)
{
    return bytes_eq(a->name.id, b->name.id) && bytes_eq(a->name.account, b->name.account);
}

static enum kms_status make_next(struct vault *v, struct key_record *const *keys, size_t i,
                                 int64_t now, struct next *next, struct kms_error *reterr)
{
    struct next *x = &next[i];

    if (keys[i]->n_materials >= KEY_MATERIALS_MAX)
        return KMS_FAIL(reterr, KMS_E_LIMIT, "key %.*s has as many materials as there can be",
                        BYTES_FMT(keys[i]->name.arn));
    x->fresh = (struct key_material){ .role = MATERIAL_PENDING_ROTATION,
                                      .present = true,
                                      .expiration = DOES_NOT_EXPIRE,
                                      .created = now };
    x->what = (struct vault_material){ keys[i], &x->fresh };
    if (i > 0 && related(keys[i - 1], keys[i])) {
        x->material = next[i - 1].material;
        x->fresh.id = next[i - 1].fresh.id;
        memcpy(x->fresh.check, next[i - 1].fresh.check, sizeof x->fresh.check);
        return KMS_OK;
    }
    TRY(fresh_material(v, keys[i]->spec, &x->material, reterr));
    x->own = true;
    return material_identify(v, keys[i], secret_view(x->material), &x->fresh.id, x->fresh.check,
                             reterr);
}

enum kms_status vault_generate_next(struct vault *v, struct key_record *const *keys, size_t n,
                                    int64_t now, struct sealed *ret_spare, struct kms_error *reterr)
{
    CLEANUP(making_release) struct making m = { calloc(n, sizeof *m.next),
                                                calloc(n, sizeof *m.orders), n };

    if (m.next == NULL || m.orders == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to make %zu materials", n);
    for (size_t i = 0; i < n; i++) {
        assert(keys[i]->origin == ORIGIN_AWS_KMS);
        TRY(make_next(v, keys, i, now, m.next, reterr));
        m.orders[i] = (struct seal_order){ .request = material_request(&m.next[i].what),
                                           .plain = secret_view(m.next[i].material),
                                           .arena = keys[i]->arena };
    }
    TRY(material_seal_all(v, m.orders, n, reterr));
    for (size_t i = 0; i < n; i++) {
        m.next[i].fresh.sealed = ret_spare[i] = m.orders[i].sealed;
        *key_record_add_material(keys[i]) = m.next[i].fresh;
    }
    return KMS_OK;
}

/* --- a relative in another Region ------------------------------------------------------------------- */

enum kms_status vault_copy_material(struct vault *v, struct vault_material from,
                                    const struct key_record *to, struct arena *arena,
                                    struct key_material *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct key_material                  fresh = *ret;
    struct vault_material                there = { to, &fresh };
    struct seal_request                  r = material_request(&from);

    assert(related(from.key, to) && from.key->spec == to->spec);
    TRY(material_open(v, &r, &from.material->sealed, &material, reterr));
    fresh.present = true;
    r = material_request(&there);
    TRY(material_seal(v, &r, secret_view(material), arena, &fresh.sealed, reterr));
    *ret = fresh;
    return KMS_OK;
}

/* --- given in clear --------------------------------------------------------------------------------- */

enum kms_status vault_place_material(struct vault *v, const struct key_record *key,
                                     struct bytes material, struct arena *arena,
                                     struct key_material *ret, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *given = NULL;
    CLEANUP(secret_freep) struct secret *canonical = NULL;
    const struct key_spec_info          *info = spec_info(key->spec);
    struct key_material                  fresh = *ret;
    struct vault_material                m = { key, &fresh };

    if (material.len == 0 || material.len < info->material_min || material.len > info->material_max)
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "%zu bytes are no material of %s", material.len,
                        key_spec_name(key->spec));
    given = secret_copy(material);
    if (given == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a material");
    TRY(material_read(key->spec, &given, &canonical, reterr));
    TRY(material_identify(v, key, secret_view(canonical), &fresh.id, fresh.check, reterr));
    fresh.present = true;
    if (key->origin != ORIGIN_EXTERNAL || fresh.expiration == EXPIRATION_NONE) {
        fresh.expiration = DOES_NOT_EXPIRE;
        fresh.valid_to = 0;
    }
    struct seal_request r = material_request(&m);
    TRY(material_seal(v, &r, secret_view(canonical), arena, &fresh.sealed, reterr));
    *ret = fresh;
    return KMS_OK;
}
