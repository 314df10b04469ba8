/* commit/buried.c - nothing that was sealed is dropped without a tombstone.
 *
 * A tombstone is what makes the committer erase a slot and sign for it. A change that takes a sealed form
 * out of a key and forgets the tombstone would leave the shred key where it is, and nobody would know
 * (trust-model 3.8). So each key row is compared with the record that it replaces.
 */
#include "base/log.h"
#include "commit/internal.h"

static bool same_slot(const struct sealed *a, const struct sealed *b)
{
    return a->slot == b->slot && a->slot_generation == b->slot_generation &&
           a->slot_class == b->slot_class;
}

/* Does the record still have it? Mostly in the same place of its list. */
static bool keeps(const struct key_record *k, size_t place, const struct sealed *sealed)
{
    if (place < k->n_materials && same_slot(&k->materials[place].sealed, sealed))
        return k->materials[place].sealed.wrapped.len > 0;
    for (size_t i = 0; i < k->n_materials; i++) {
        if (same_slot(&k->materials[i].sealed, sealed))
            return k->materials[i].sealed.wrapped.len > 0;
    }
    return false;
}

static bool buries(const struct change *change, const struct sealed *sealed)
{
    for (size_t i = 0; i < change->n_rows; i++) {
        const struct tombstone *t = change->rows[i].tombstone;
        if (change->rows[i].kind == ROW_TOMBSTONE_INSERT && t->slot == sealed->slot &&
            t->slot_generation == sealed->slot_generation && t->slot_class == sealed->slot_class)
            return true;
    }
    return false;
}

/* The published record that a row replaces or deletes. NULL if there is none, or it has another version:
 * then the store refuses the change. */
static const struct key_record *replaced(const struct directory *d, const struct row *row)
{
    if (row->kind != ROW_KEY_UPDATE && row->kind != ROW_KEY_DELETE)
        return NULL;

    const struct key_record *old = directory_key(d, row->key->name.account, row->key->name.region,
                                                 row->key->name.id);
    uint64_t expected = row->kind == ROW_KEY_UPDATE ? row->key->version - 1 : row->expected_version;

    return old != NULL && old->version == expected ? old : NULL;
}

const struct key_material *commit_unburied(const struct directory *d, const struct change *change)
{
    for (size_t r = 0; r < change->n_rows; r++) {
        const struct row        *row = &change->rows[r];
        const struct key_record *old = replaced(d, row);
        for (size_t i = 0; old != NULL && i < old->n_materials; i++) {
            const struct sealed *sealed = &old->materials[i].sealed;
            bool                 kept = row->kind == ROW_KEY_UPDATE && keeps(row->key, i, sealed);
            if (sealed->wrapped.len > 0 && !kept && !buries(change, sealed))
                return &old->materials[i];
        }
    }
    return NULL;
}

void commit_demand_tombstones(struct committer *c, struct commit_job *job)
{
    const struct key_material *m = commit_unburied(c->parts.directory, &job->change);
    struct kms_error           err;

    if (m == NULL)
        return;
    (void)KMS_FAIL(&err, KMS_E_INTERNAL,
                   "a change drops slot %u (generation %llu) without having it "
                   "erased: refused; please report this mistake of ours",
                   m->sealed.slot, (unsigned long long)m->sealed.slot_generation);
    log_error("commit: %s", err.detail);
    commit_job_fails(job, &err);
}
