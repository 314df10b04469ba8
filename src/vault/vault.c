/* vault/vault.c - creating, opening and closing; status; slots as the rest of the program sees them. */
#include "vault/vault.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "vault/vault_internal.h"

const char *erase_grade_name(enum erase_grade grade)
{
    switch (grade) {
    case ERASE_GRADE_A: return "A";
    case ERASE_GRADE_B: return "B";
    case ERASE_GRADE_C: break;
    }
    return "C";
}

/* --- creating -------------------------------------------------------------------------------------------- */

/* Says before anything is written what would be in the way: files without an instance file are what an
 * interrupted creation leaves, and nothing was ever protected by them. */
static enum kms_status nothing_there(const struct vault_config *config, struct kms_error *reterr)
{
    const char *const names[] = { "instance.sealed", slot_file_name(SLOT_ERASABLE),
                                  slot_file_name(SLOT_DURABLE) };
    char              path[FILE_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!file_join(path, config->data_dir, names[i]))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", config->data_dir);
        if (file_exists(path))
            return KMS_FAIL(
                reterr, KMS_E_INTERNAL,
                i == 0 ? "'%s' exists: there is an instance here"
                       : "'%s' exists without an instance file: left by an interrupted init? "
                         "Remove it and try again",
                path);
    }
    if (file_exists(config->root_key_file))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "root key file '%s' exists and is not replaced",
                        config->root_key_file);
    return KMS_OK;
}

enum kms_status vault_create(const struct vault_config *config, struct kms_error *reterr)
{
    CLEANUP(instance_close) struct instance in = { 0 };
    CLEANUP(secret_freep) struct secret    *root = NULL;
    CLEANUP(secret_freep) struct secret    *key = NULL;

    TRY(nothing_there(config, reterr));
    TRY(instance_new(&in, &root, &key, reterr));
    struct slot_keys keys = instance_slot_keys(&in);
    TRY(slot_file_create(config->data_dir, SLOT_ERASABLE, &keys, 1, reterr));
    TRY(slot_file_create(config->data_dir, SLOT_DURABLE, &keys, 1, reterr));
    return instance_write(config, &in, root, key, reterr);
}

enum kms_status vault_replace_erasable(const struct vault_config *config, uint64_t generation,
                                       struct kms_error *reterr)
{
    CLEANUP(instance_close) struct instance in = { 0 };

    TRY(instance_open(config, &in, reterr));
    struct slot_keys keys = instance_slot_keys(&in);
    return slot_file_create(config->data_dir, SLOT_ERASABLE, &keys, generation, reterr);
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static void vault_closep(struct vault **v)
{
    vault_close(*v);
}

static struct vault *vault_alloc(const struct vault_config *config)
{
    struct vault *v = calloc(1, sizeof *v);

    if (v == NULL)
        return NULL;
    v->clock = config->clock;
    v->epoch = config->epoch;
    v->cache_idle_ms = (int64_t)config->cache_idle_s * 1000;
    v->ready_last = READY_KINDS - 1;
    for (int kind = 0; kind < READY_KINDS; kind++)
        v->ready[kind].target = config->ready_keys[kind];
    (void)pthread_mutex_init(&v->domain_lock, NULL);
    (void)pthread_mutex_init(&v->ready_lock, NULL);
    clock_cond_init(&v->ready_wake);
    v->ready_per_minute = config->ready_per_minute;
    (void)pthread_mutex_init(&v->signing_lock, NULL);
    return v;
}

static enum kms_status open_slots(struct vault *v, const struct vault_config *config,
                                  const uint64_t *min_generation, struct kms_error *reterr)
{
    struct slot_keys keys = instance_slot_keys(&v->in);

    for (int i = 0; i < 2; i++) {
        TRY(slot_file_open(config->data_dir, (enum slot_class)i, &keys,
                           min_generation == NULL ? 0 : min_generation[i], &v->slots[i], reterr));
        v->slots[i]->alarm = config->alarm;
    }
    TRY(grade_probe(v->slots[SLOT_ERASABLE]->fd, SLOT_SCRATCH_AT, &v->grade, reterr));
    if (v->grade.grade != ERASE_GRADE_C || config->allow_grade_c)
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "in '%s' deleted keys cannot be erased for certain (%s): use "
                    "ext4, xfs, or btrfs with chattr +C, or set allow-erase-grade-c",
                    config->data_dir, v->grade.reason);
}

enum kms_status vault_open(const struct vault_config *config, const uint64_t min_generation[2],
                           struct vault **ret, struct kms_error *reterr)
{
    CLEANUP(vault_closep) struct vault *v = vault_alloc(config);
    uint64_t                            seed;

    if (v == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the vault");
    crypto_random((uint8_t *)&seed, sizeof seed);
    v->domains = index_new(seed);
    if (v->domains == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for the vault");
    TRY(cache_init(&v->cache, reterr));
    TRY(instance_open(config, &v->in, reterr));
    TRY(crypto_ed25519_open(secret_view(v->in.audit_seed), &v->audit_key, reterr));
    TRY(open_slots(v, config, min_generation, reterr));
    TRY(signing_init(v, reterr));
    *ret = TAKE(v);
    return KMS_OK;
}

void vault_close(struct vault *v)
{
    if (v == NULL)
        return;
    ready_stop(v);
    cache_free(&v->cache);
    signing_free(v);
    domains_free(v);
    for (int i = 0; i < 2; i++)
        slot_file_close(v->slots[i]);
    crypto_key_free(v->audit_key);
    instance_close(&v->in);
    (void)pthread_mutex_destroy(&v->domain_lock);
    (void)pthread_mutex_destroy(&v->ready_lock);
    (void)pthread_cond_destroy(&v->ready_wake);
    (void)pthread_mutex_destroy(&v->signing_lock);
    free(v);
}

const uint8_t *vault_instance_id(const struct vault *v)
{
    return v->in.id;
}

void vault_status(struct vault *v, struct vault_status *ret)
{
    *ret = (struct vault_status){
        .grade = v->grade.grade,
        .memory = secret_memory_grade(),
        .cached_materials = index_count(v->cache.index),
        .root_on_data_filesystem = v->in.root_on_data_filesystem,
    };
    memcpy(ret->grade_reason, v->grade.reason, sizeof ret->grade_reason);
    memcpy(ret->filesystem, v->grade.filesystem, sizeof ret->filesystem);
    for (int i = 0; i < 2; i++)
        slot_file_counts(v->slots[i], &ret->slots_used[i], &ret->slots_total[i],
                         &ret->generation[i]);
    (void)pthread_mutex_lock(&v->ready_lock);
    for (int kind = 0; kind < READY_KINDS; kind++) {
        const struct ready_pool *p = &v->ready[kind];
        ret->ready_keys[kind] = p->count;
        ret->ready_waiting[kind] = p->waiting;
        ret->ready_made[kind] = p->made;
    }
    (void)pthread_mutex_unlock(&v->ready_lock);
}

/* --- slots ------------------------------------------------------------------------------------------------- */

static size_t names_of(const struct sealed *slots, size_t n, enum slot_class slot_class,
                       struct slot_name *names, size_t *at)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        if (slots[i].slot_class != slot_class)
            continue;
        names[m] = (struct slot_name){ slots[i].slot, slots[i].slot_generation, false };
        at[m++] = i;
    }
    return m;
}

enum kms_status vault_erase(struct vault *v, const struct sealed *slots, size_t n,
                            struct erase_proof *ret_proofs, struct kms_error *reterr)
{
    CLEANUP(freep) struct slot_name   *names = calloc(n + 1, sizeof *names);
    CLEANUP(freep) size_t             *at = calloc(n + 1, sizeof *at);
    CLEANUP(freep) struct erase_proof *proofs = calloc(n + 1, sizeof *proofs);

    if (names == NULL || at == NULL || proofs == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to erase %zu slots", n);
    for (int i = 0; i < 2; i++) {
        size_t m = names_of(slots, n, (enum slot_class)i, names, at);
        if (m == 0)
            continue;
        TRY(slot_file_erase(v->slots[i], &v->grade, names, m, proofs, reterr));
        for (size_t k = 0; k < m; k++)
            ret_proofs[at[k]] = proofs[k];
    }
    return KMS_OK;
}

enum kms_status vault_sync(struct vault *v, struct kms_error *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(v->slots); i++)
        TRY(slot_file_sync(v->slots[i], reterr));
    CRASH_POINT("vault-slots-synced");
    return KMS_OK;
}

void vault_release(struct vault *v, const struct sealed *slot)
{
    struct slot_name name = { slot->slot, slot->slot_generation, false };

    /* a failure leaves an orphan that nobody uses; the next start erases it */
    if (slot_file_erase(v->slots[slot->slot_class], &v->grade, &name, 1, NULL, NULL) != KMS_OK)
        return;
}

bool vault_slot_alive(struct vault *v, const struct sealed *slot)
{
    return slot_file_alive(v->slots[slot->slot_class], slot->slot, slot->slot_generation);
}

/* Which slots nobody claims. A damaged one of the durable class that a row still names is left for the
 * operator: it may be one flipped bit away from a key. Erasable ones can be imported again. */
static size_t find_orphans(struct slot_file *f, bool (*named)(uint32_t, uint64_t, void *),
                           void *ctx, struct slot_name *names)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < f->n_entries; slot++) {
        struct slot_entry e = f->entries[slot];
        bool              may_stay = e.state == SLOT_USED || f->slot_class == SLOT_DURABLE;
        if (e.state != SLOT_USED && e.state != SLOT_DAMAGED)
            continue;
        if (may_stay && named(slot, e.generation, ctx))
            continue;
        names[n++] = (struct slot_name){ slot, e.generation, true };
    }
    return n;
}

enum kms_status vault_sweep(struct vault *v, enum slot_class slot_class,
                            bool (*named)(uint32_t slot, uint64_t generation, void *ctx),
                            void (*erased)(uint32_t slot, uint64_t generation, void *ctx),
                            void *ctx, size_t *ret_count, struct kms_error *reterr)
{
    struct slot_file                *f = v->slots[slot_class];
    CLEANUP(freep) struct slot_name *names = calloc((size_t)f->n_entries + 1, sizeof *names);

    if (names == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to sweep %u slots", f->n_entries);
    size_t n = find_orphans(f, named, ctx, names);
    TRY(slot_file_erase(f, &v->grade, names, n, NULL, reterr));
    for (size_t i = 0; i < n; i++)
        erased(names[i].slot, names[i].generation, ctx);
    *ret_count = n;
    return KMS_OK;
}

/* --- other uses of keys -------------------------------------------------------------------------------------- */

void vault_row_mac(void *vault, struct bytes row, uint8_t ret[32])
{
    struct vault *v = vault;

    crypto_hmac_sha256(secret_view(v->in.purpose[PURPOSE_ROWMAC]), row, ret);
}

enum kms_status vault_audit_sign(void *vault, struct bytes message, uint8_t ret[64],
                                 struct kms_error *reterr)
{
    struct vault *v = vault;

    return crypto_ed25519_sign_with(v->audit_key, message, ret, reterr);
}

void vault_audit_public_key(struct vault *v, uint8_t ret[32])
{
    memcpy(ret, v->in.audit_public, ED25519_PUB_LEN);
}
