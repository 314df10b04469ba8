/* vault/material.c - materials at rest (trust-model 2.4, 2.6): ids, wrapping, and what binds them.
 *
 *   WK = KDF(domain key || shred key, "wrap", instance, slot class, slot, slot generation)
 *   W  = AES-256-GCM(WK, iv = 0, material, AAD)
 *
 * The shred key is fresh for every sealing, so each WK encrypts once and a fixed IV is sound. Import
 * wrapping keys are sealed the same way, with an AAD of their own.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "vault/vault_internal.h"

enum { PUBLIC_KEY_MAX = 8192, AAD_MAX = 2048, AAD_FORMAT = 1, NO_IMPORT_GENERATION = 0 };

static const uint8_t no_iv[GCM_IV_LEN];

static struct bytes u32_bytes(uint32_t v, uint8_t room[4])
{
    for (unsigned i = 0; i < 4; i++)
        room[i] = (uint8_t)(v >> (24 - 8 * i));
    return bytes_of(room, 4);
}

/* --- identity ---------------------------------------------------------------------------------------------- */

static void digest_with(struct vault *v, const char *label, const struct key_record *key,
                        struct bytes material, uint8_t ret[32])
{
    uint8_t      len[5][4];
    uint8_t      spec[4];
    struct bytes fields[] = { bytes_str(label), key->name.account, key->name.id,
                              u32_bytes((uint32_t)key->spec, spec), material };
    struct bytes pieces[2 * ARRAY_LEN(fields)];

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        pieces[2 * i] = u32_bytes((uint32_t)fields[i].len, len[i]);
        pieces[2 * i + 1] = fields[i];
    }
    crypto_hmac_sha256_pieces(secret_view(v->in.digest), pieces, ARRAY_LEN(pieces), ret);
}

/* The bytes that stand for a material: themselves, or the public key of a pair, appended to `room`. */
static enum kms_status identity(const struct key_record *key, struct bytes material,
                                struct buf *room, struct bytes *ret, struct kms_error *reterr)
{
    *ret = material;
    if (!spec_is_asymmetric(key->spec))
        return KMS_OK;
    TRY(crypto_key_public_of(key->spec, material, room, reterr));
    *ret = buf_bytes(room);
    return KMS_OK;
}

enum kms_status material_identify(struct vault *v, const struct key_record *key,
                                  struct bytes material, struct material_id *ret_id,
                                  uint8_t ret_check[32], struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf room = BUF_INIT(PUBLIC_KEY_MAX);
    struct bytes                    what;

    TRY(identity(key, material, &room, &what, reterr));
    digest_with(v, "material-id", key, what, ret_id->b);
    digest_with(v, "material-check", key, what, ret_check);
    return KMS_OK;
}

/* --- wrapping ---------------------------------------------------------------------------------------------- */

static enum kms_status wrapping_key(struct vault *v, struct secret *domain, struct secret *shred,
                                    const struct sealed *sealed, struct secret **ret,
                                    struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *both = secret_new(2 * KEY_LEN);
    CLEANUP(secret_freep) struct secret *key = secret_new(AES256_KEY_LEN);
    uint8_t                              room[INSTANCE_ID_LEN + 16];
    struct buf context = { .ptr = room, .cap = sizeof room, .limit = sizeof room }; /* borrows */

    if (both == NULL || key == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a wrapping key");
    assert(secret_len(domain) == KEY_LEN && secret_len(shred) == KEY_LEN);
    memcpy(secret_data(both), secret_data(domain), KEY_LEN);
    memcpy(secret_data(both) + KEY_LEN, secret_data(shred), KEY_LEN);
    buf_add(&context, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_u32(&context, (uint32_t)sealed->slot_class);
    buf_add_u32(&context, sealed->slot);
    buf_add_u64(&context, sealed->slot_generation);
    crypto_kdf(secret_view(both), BYTES_LIT("wrap"), buf_bytes(&context), secret_data(key),
               AES256_KEY_LEN);
    *ret = TAKE(key);
    return KMS_OK;
}

static struct seal_request owned_by(const struct key_name *key, struct bytes owner,
                                    enum slot_class slot_class, bind_fn bind, const void *what)
{
    return (struct seal_request){ key, owner, slot_class, bind, what };
}

static void owner_of(struct vault *v, const struct seal_request *r, uint8_t ret[SLOT_OWNER])
{
    slot_owner(&v->slots[r->slot_class]->keys, r->key->id, r->owner, ret);
}

static enum kms_status seal_into(struct vault *v, const struct seal_request *r,
                                 struct secret *domain, struct secret *shred, struct bytes plain,
                                 struct arena *arena, struct sealed *s, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    CLEANUP(buf_release) struct buf      aad = BUF_INIT(AAD_MAX);
    uint8_t                             *wrapped = arena_alloc(arena, plain.len + GCM_TAG_LEN);

    TRY(wrapping_key(v, domain, shred, s, &key, reterr));
    r->bind(v, r->what, s, &aad);
    if (!buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "what binds a material is too long");
    TRY(crypto_gcm_seal(secret_view(key), no_iv, buf_bytes(&aad), plain, wrapped, reterr));
    s->wrapped = bytes_of(wrapped, plain.len + GCM_TAG_LEN);
    return KMS_OK;
}

/* What material_seal_all works on, one for each seal_order. */
struct sealing {
    struct slot_new *slots;
    struct secret  **domains; /* borrowed */
    struct sealed   *made;
    size_t           n;
};

static void sealing_release(struct sealing *s)
{
    for (size_t i = 0; s->slots != NULL && i < s->n; i++)
        secret_free(s->slots[i].shred);
    free(s->slots);
    free(s->domains);
    free(s->made);
}

static enum kms_status sealing_begin(struct vault *v, const struct seal_order *orders, size_t n,
                                     struct sealing *ret, struct kms_error *reterr)
{
    ret->n = n;
    ret->slots = calloc(n, sizeof *ret->slots);
    ret->domains = calloc(n, sizeof(struct secret *));
    ret->made = calloc(n, sizeof *ret->made);
    if (ret->slots == NULL || ret->domains == NULL || ret->made == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to seal %zu materials", n);
    for (size_t i = 0; i < n; i++) {
        const struct seal_request *r = &orders[i].request;
        assert(r->slot_class == orders[0].request.slot_class);
        ret->made[i].slot_class = r->slot_class;
        ret->domains[i] = domain_key(v, r->key->account, r->key->region, 0,
                                     &ret->made[i].domain_version);
        if (ret->domains[i] == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no domain key for account %.*s in %.*s",
                            BYTES_FMT(r->key->account), BYTES_FMT(r->key->region));
        owner_of(v, r, ret->slots[i].owner);
    }
    return KMS_OK;
}

static enum kms_status seal_each(struct vault *v, const struct seal_order *orders,
                                 struct sealing *s, struct kms_error *reterr)
{
    for (size_t i = 0; i < s->n; i++)
        TRY(seal_into(v, &orders[i].request, s->domains[i], s->slots[i].shred, orders[i].plain,
                      orders[i].arena, &s->made[i], reterr));
    return KMS_OK;
}

enum kms_status material_seal_all(struct vault *v, struct seal_order *orders, size_t n,
                                  struct kms_error *reterr)
{
    CLEANUP(sealing_release) struct sealing s = { 0 };

    TRY(sealing_begin(v, orders, n, &s, reterr));
    TRY(slot_file_write(v->slots[orders[0].request.slot_class], s.slots, n, reterr));
    for (size_t i = 0; i < n; i++) {
        s.made[i].slot = s.slots[i].slot;
        s.made[i].slot_generation = s.slots[i].generation;
    }
    enum kms_status status = seal_each(v, orders, &s, reterr);
    for (size_t i = 0; i < n; i++) {
        if (status == KMS_OK)
            orders[i].sealed = s.made[i];
        else
            vault_release(v, &s.made[i]);
    }
    return status;
}

enum kms_status material_seal(struct vault *v, const struct seal_request *r, struct bytes plain,
                              struct arena *arena, struct sealed *ret, struct kms_error *reterr)
{
    struct seal_order order = { .request = *r, .plain = plain, .arena = arena };

    TRY(material_seal_all(v, &order, 1, reterr));
    *ret = order.sealed;
    return KMS_OK;
}

enum kms_status material_open(struct vault *v, const struct seal_request *r,
                              const struct sealed *sealed, struct secret **ret,
                              struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *shred = NULL;
    CLEANUP(secret_freep) struct secret *key = NULL;
    CLEANUP(buf_release) struct buf      aad = BUF_INIT(AAD_MAX);
    uint8_t                              owner[SLOT_OWNER];
    struct secret *domain = domain_key(v, r->key->account, r->key->region, sealed->domain_version,
                                       NULL);

    if (sealed->slot_class != r->slot_class || sealed->wrapped.len <= GCM_TAG_LEN ||
        sealed->domain_version == 0 || domain == NULL)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "a sealed material of key %.*s is not in order", BYTES_FMT(r->key->id));
    owner_of(v, r, owner);
    TRY(slot_file_read(v->slots[r->slot_class], sealed->slot, sealed->slot_generation, owner,
                       &shred, reterr));
    TRY(wrapping_key(v, domain, shred, sealed, &key, reterr));
    r->bind(v, r->what, sealed, &aad);
    CLEANUP(secret_freep) struct secret *plain = secret_new(sealed->wrapped.len - GCM_TAG_LEN);
    if (plain == NULL || !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to open a material");
    enum kms_status status = crypto_gcm_open(secret_view(key), no_iv, buf_bytes(&aad),
                                             sealed->wrapped, secret_data(plain), reterr);
    if (status == KMS_E_CIPHERTEXT)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE,
                        "a material of key %.*s does not verify: its row "
                        "was changed",
                        BYTES_FMT(r->key->id));
    TRY(status);
    *ret = TAKE(plain);
    return KMS_OK;
}

/* --- materials of keys --------------------------------------------------------------------------------------- */

/* The AAD of trust-model 2.4. Replicas share id and material, so a multi-Region key is bound by its
 * key id; its Region is bound by the domain key. */
static void bind_material(const struct vault *v, const void *what, const struct sealed *s,
                          struct buf *aad)
{
    const struct vault_material *m = what;
    const struct key_record     *k = m->key;
    bool                         multi = k->multi_region != REGION_SINGLE;
    uint8_t                      room[8];
    const uint32_t               numbers[] = {
        (uint32_t)k->spec,
        (uint32_t)k->usage,
        (uint32_t)k->origin,
        NO_IMPORT_GENERATION,
        s->domain_version,
        (uint32_t)s->slot_class,
        s->slot,
    };

    buf_add_field(aad, BYTES_LIT("material"));
    buf_add_field(aad, u32_bytes(AAD_FORMAT, room));
    buf_add_field(aad, bytes_of(v->in.id, sizeof v->in.id));
    buf_add_field(aad, multi ? k->name.id : k->name.arn);
    buf_add_field(aad, bytes_of(m->material->id.b, sizeof m->material->id.b));
    buf_add_field(aad, bytes_of(m->material->check, sizeof m->material->check));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_add_field(aad, u32_bytes(numbers[i], room));
    buf_add_u32(aad, 8);
    buf_add_u64(aad, s->slot_generation);
    buf_add_field(aad, u32_bytes((uint32_t)m->material->expiration, room));
    buf_add_u32(aad, 8);
    buf_add_u64(aad, (uint64_t)m->material->valid_to);
}

struct seal_request material_request(const struct vault_material *m)
{
    enum slot_class slot_class = m->key->origin == ORIGIN_EXTERNAL ? SLOT_ERASABLE : SLOT_DURABLE;

    return owned_by(&m->key->name, bytes_of(m->material->id.b, sizeof m->material->id.b),
                    slot_class, bind_material, m);
}
