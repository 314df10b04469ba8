/* commit/recover.c - start-up: load everything, finish what a crash or a restore left undone.
 *
 * Runs before the committer thread and before the socket opens, so the first answer is right
 * (trust-model 2.7.2, 2.8).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/encode.h"
#include "base/log.h"
#include "commit/event.h"
#include "commit/internal.h"
#include "key/grants.h"
#include "key/family.h"

enum { OUTBOX_SEARCH_LINES = 100000 };

/* An erasable slot that a row names. */
struct named_slot {
    uint32_t slot;
    uint64_t generation;
};

struct loading {
    struct committer       *c;
    struct commit_recovery *found;
    struct tombstone      **stones; /* not erased yet */
    size_t                  n_stones, cap_stones;
    struct grant_record   **grants; /* put all at once: a set is then built once */
    size_t                  n_grants, cap_grants;
    struct named_slot      *slots;
    size_t                  n_slots, cap_slots;
    bool              cold;  /* there are more keys than are kept in memory: they are not loaded */
    struct used_slot *empty; /* named by materials, but not alive; only if `cold` */
    size_t            n_empty, cap_empty;
    bool              any_orphan;
};

static void loading_release(struct loading *l)
{
    for (size_t i = 0; i < l->n_stones; i++)
        free(l->stones[i]);
    free(l->stones);
    for (size_t i = 0; i < l->n_grants; i++)
        grant_record_free(l->grants[i]);
    free(l->grants);
    free(l->slots);
    free(l->empty);
}

/* Room for one more element; aborts when out of memory: nothing is served yet. */
static void *grow(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap == 0 ? 256 : *cap * 2;
    void *more = realloc(list, *cap * size);
    if (more == NULL)
        abort();
    return more;
}

static void name_slot(struct loading *l, const struct sealed *s)
{
    if (s->wrapped.len == 0 || s->slot_class != SLOT_ERASABLE)
        return;
    l->slots = grow(l->slots, l->n_slots, &l->cap_slots, sizeof *l->slots);
    l->slots[l->n_slots++] = (struct named_slot){ s->slot, s->slot_generation };
}

/* --- visitors --------------------------------------------------------------------------------- */

static enum kms_status load_key(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    for (size_t i = 0; i < key->n_materials; i++)
        name_slot(l, &key->materials[i].sealed);
    directory_put_key(l->c->parts.directory, key);
    l->found->keys++;
    return KMS_OK;
}

static enum kms_status load_usage(void *ctx, const struct key_name *name,
                                  const struct key_usage_record *u, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    directory_load_usage(l->c->parts.directory, name, u);
    return KMS_OK;
}

static enum kms_status load_alias(void *ctx, struct alias_record *alias, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    directory_put_alias(l->c->parts.directory, alias);
    return KMS_OK;
}

static enum kms_status load_import_key(void *ctx, struct import_key_record *k,
                                       struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    name_slot(l, &k->sealed);
    directory_put_import_key(l->c->parts.directory, k);
    return KMS_OK;
}

static enum kms_status load_grant(void *ctx, struct grant_record *g, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    l->grants = grow(l->grants, l->n_grants, &l->cap_grants, sizeof(struct grant_record *));
    l->grants[l->n_grants++] = g;
    return KMS_OK;
}

static enum kms_status load_domain(void *ctx, struct domain_key_record *d, struct kms_error *reterr)
{
    struct loading *l = ctx;
    enum kms_status status = vault_add_domain(l->c->parts.vault, d, reterr);

    free(d);
    return status;
}

static enum kms_status load_account(void *ctx, struct account_record *a, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    book_put_account(l->c->parts.identities, a);
    return KMS_OK;
}

static enum kms_status load_identity(void *ctx, struct identity_record *r, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    book_put_identity(l->c->parts.identities, r);
    return KMS_OK;
}

static enum kms_status load_access_key(void *ctx, struct access_key_record *k,
                                       struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    book_put_access_key(l->c->parts.identities, k);
    return KMS_OK;
}

static enum kms_status load_access_key_use(void *ctx, struct bytes id,
                                           const struct access_key_use *use,
                                           struct kms_error            *reterr)
{
    struct loading *l = ctx;

    (void)reterr;
    book_load_used(l->c->parts.identities, id, use);
    return KMS_OK;
}

static enum kms_status load_tombstone(void *ctx, const struct tombstone *t,
                                      struct kms_error *reterr)
{
    struct loading *l = ctx;

    if (t->erased)
        return KMS_OK;
    struct tombstone *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for tombstones");
    *copy = *t;
    l->stones = grow(l->stones, l->n_stones, &l->cap_stones, sizeof(struct tombstone *));
    l->stones[l->n_stones++] = copy;
    return KMS_OK;
}

/* `"eventID":"<36>"` of an event text; false if it is not there. */
static bool event_id_of(struct bytes event, char ret[UUID_TEXT + 1])
{
    static const char name[] = "\"eventID\":\"";
    const uint8_t    *hit = memmem(event.ptr, event.len, name, sizeof name - 1);

    if (hit == NULL || (size_t)(event.ptr + event.len - hit) < sizeof name - 1 + UUID_TEXT)
        return false;
    memcpy(ret, hit + sizeof name - 1, UUID_TEXT);
    ret[UUID_TEXT] = '\0';
    return true;
}

static enum kms_status count_delivery(void *ctx, const struct delivery *d, struct kms_error *reterr)
{
    struct loading *l = ctx;

    (void)d;
    (void)reterr;
    l->found->deliveries++;
    return KMS_OK;
}

static enum kms_status load_outbox(void *ctx, uint64_t serial, struct bytes event,
                                   struct kms_error *reterr)
{
    struct loading *l = ctx;
    char            id[UUID_TEXT + 1];

    if (!event_id_of(event, id))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "outbox event %llu has no eventID",
                        (unsigned long long)serial);
    if (!audit_has_event(l->c->parts.audit, id, OUTBOX_SEARCH_LINES)) {
        TRY(audit_append(l->c->parts.audit, &event, 1, true, true, reterr));
        l->found->outbox++;
    }
    l->c->outbox_done = serial;
    l->c->last_outbox = serial;
    return KMS_OK;
}

/* --- when not all keys are loaded ------------------------------------------------------------- */

static void look_at_slot(void *ctx, const struct used_slot *used)
{
    struct loading *l = ctx;

    if (used->at.slot_class == SLOT_ERASABLE) {
        l->slots = grow(l->slots, l->n_slots, &l->cap_slots, sizeof *l->slots);
        l->slots[l->n_slots++] = (struct named_slot){ used->at.slot, used->at.slot_generation };
    }
    if (vault_slot_alive(l->c->parts.vault, &used->at))
        return;
    l->empty = grow(l->empty, l->n_empty, &l->cap_empty, sizeof *l->empty);
    l->empty[l->n_empty++] = *used;
}

/* What repair_lost has to see is brought into memory. A key that cannot be read is not repaired: nobody can use
 * it either, and it was noted. */
static enum kms_status load_empty(struct loading *l, struct kms_error *reterr)
{
    struct store    *store = l->c->parts.store;
    struct kms_error err;

    TRY(store->ops->each_slot(store, look_at_slot, l, reterr));
    for (size_t i = 0; i < l->n_empty; i++) {
        struct key_load load = { .want = { .kind = WANT_SERIAL, .serial = l->empty[i].key } };
        if (commit_load(l->c, &load, &err) == KMS_E_MEMORY) {
            *reterr = err;
            return KMS_E_MEMORY;
        }
    }
    return KMS_OK;
}

static void note_end(void *ctx, const struct due_key *key)
{
    const struct loading *l = ctx;

    directory_note_end(l->c->parts.directory, key->account, key->region, key->key_id, key->when);
}

/* Counts the keys. If there are more than are kept in memory, they stay in the store, and `visitor` does not
 * ask for them. */
static enum kms_status choose_keys(struct loading *l, struct store_visitor *visitor,
                                   struct kms_error *reterr)
{
    struct committer *c = l->c;
    size_t            n = 0;

    if (c->parts.cached_keys == 0)
        return KMS_OK;
    TRY(c->parts.store->ops->count_keys(c->parts.store, &n, reterr));
    l->cold = n > c->parts.cached_keys;
    directory_keep(c->parts.directory, c->parts.cached_keys, l->cold ? n : 0);
    if (l->cold) {
        l->found->keys = n;
        visitor->key = NULL;
        visitor->usage = NULL;
    }
    return KMS_OK;
}

/* --- repairs ---------------------------------------------------------------------------------- */

struct lost {
    struct loading *l;
    struct change   change;
};

/* Only what a customer can bring again is given up. A generated material may be one misplaced
 * durable.slots away from its shred key: its row stays, and until then its uses are refused. */
static bool given_up(const struct key_record *key, const struct material_id *id,
                     enum slot_class slot_class)
{
    char hex[65] = { 0 };

    hex_write(hex, bytes_of(id->b, sizeof id->b));
    if (slot_class == SLOT_ERASABLE)
        log_warning("key %.*s: material %s has no shred key any more and counts as deleted",
                    BYTES_FMT(key->name.arn), hex);
    else
        log_error(
            "key %.*s: material %s cannot be used, its shred key is not in durable.slots: stop the "
            "server and put the right file back",
            BYTES_FMT(key->name.arn), hex);
    return slot_class == SLOT_ERASABLE;
}

static bool is_lost(const struct loading *l, const struct key_material *m)
{
    return m->sealed.wrapped.len > 0 && !vault_slot_alive(l->c->parts.vault, &m->sealed);
}

/* Gives up what of[at] has lost; returns how many materials. */
static size_t give_up(struct loading *l, struct key_family *f, size_t at)
{
    struct key_record *key = f->of[at];
    size_t             count = 0;

    for (size_t i = key->n_materials; i-- > 0;) { /* an entry may go */
        struct material_id id = key->materials[i].id;
        if (!is_lost(l, &key->materials[i]) ||
            !given_up(key, &id, key->materials[i].sealed.slot_class))
            continue;
        family_material_lost(f, at, &id, clock_now(l->c->parts.clock));
        count++;
    }
    return count;
}

/* A key with all its relatives, when its primary comes by: what one of them loses, the others list. */
static void find_lost(const struct key_record *key, void *ctx)
{
    struct lost             *lost = ctx;
    struct committer        *c = lost->l->c;
    const struct key_record *list[FAMILY_MAX];
    struct key_family        f;
    size_t                   count = 0;
    bool                     any = false;

    if (key->multi_region == REGION_REPLICA)
        return;
    size_t n = directory_family(c->parts.directory, key, list);
    for (size_t i = 0; i < n; i++) {
        for (size_t m = 0; m < list[i]->n_materials; m++)
            any = any || is_lost(lost->l, &list[i]->materials[m]);
    }
    if (!any)
        return;
    if (!family_clone(list, n, key, clock_now(c->parts.clock), &f))
        abort();
    for (size_t i = 0; i < n; i++)
        count += give_up(lost->l, &f, i);
    lost->l->found->lost_materials += count;
    for (size_t i = 0; count > 0 && i < n; i++)
        change_add(&lost->change, ROW_KEY_UPDATE)->key = TAKE(f.of[i]);
    family_release(&f);
}

static enum kms_status repair_lost(struct loading *l, struct kms_error *reterr)
{
    struct lost lost = { .l = l, .change = { .event = BUF_INIT(4096) } };

    directory_each_key(l->c->parts.directory, find_lost, &lost);
    CLEANUP(change_release) struct change change = lost.change;
    if (change.n_rows == 0)
        return KMS_OK;
    char extra[64];
    int  len = snprintf(extra, sizeof extra, "{\"materials\":%zu}", l->found->lost_materials);
    service_event_text(&change.event, clock_now(l->c->parts.clock), "TrentMaterialLost",
                       (struct bytes){ NULL, 0 }, bytes_of(extra, (size_t)len));

    struct change  *list[1] = { &change };
    enum kms_status result = KMS_OK;
    TRY(commit_apply(l->c, list, &result, 1, reterr));
    if (result != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot record lost materials");
    commit_publish(l->c, &change);
    directory_reclaim(l->c->parts.directory);
    book_reclaim(l->c->parts.identities);
    struct bytes event = buf_bytes(&change.event);
    TRY(audit_append(l->c->parts.audit, &event, 1, true, true, reterr));
    l->c->outbox_done = l->c->last_outbox;
    return KMS_OK;
}

static int slot_order(const void *a, const void *b)
{
    const struct named_slot *x = a;
    const struct named_slot *y = b;

    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    return x->generation == y->generation ? 0 : (x->generation < y->generation ? -1 : 1);
}

static bool slot_named(uint32_t slot, uint64_t generation, void *ctx)
{
    struct loading   *l = ctx;
    struct named_slot want = { slot, generation };

    return l->n_slots > 0 && /* without any there is no list to search */
           bsearch(&want, l->slots, l->n_slots, sizeof want, slot_order) != NULL;
}

/* Says that a row names it, and remembers if not. */
static bool look_for_orphan(uint32_t slot, uint64_t generation, void *ctx)
{
    struct loading *l = ctx;

    l->any_orphan = l->any_orphan || !slot_named(slot, generation, ctx);
    return true;
}

static void slot_swept(uint32_t slot, uint64_t generation, void *ctx)
{
    struct loading *l = ctx;

    log_info("slot %u (generation %llu) of an unfinished import was erased", slot,
             (unsigned long long)generation);
    l->found->orphans++;
}

static void sort_slots(struct loading *l)
{
    if (l->n_slots > 0)
        qsort(l->slots, l->n_slots, sizeof *l->slots, slot_order);
}

static enum kms_status name_slots(void *ctx, struct key_record *key, struct kms_error *reterr)
{
    (void)reterr;
    for (size_t i = 0; i < key->n_materials; i++)
        name_slot(ctx, &key->materials[i].sealed);
    key_record_free(key);
    return KMS_OK;
}

/* The slots were named by an index, which has no MAC. Before one is erased that it does not name, all rows are
 * read: after a crash in the middle of an import, as a rule. Damaged slots go at the first look already. */
static enum kms_status make_sure(struct loading *l, struct kms_error *reterr)
{
    const struct store_visitor visitor = { .ctx = l, .key = name_slots };
    struct store              *store = l->c->parts.store;
    size_t                     count = 0;

    TRY(vault_sweep(l->c->parts.vault, SLOT_ERASABLE, look_for_orphan, slot_swept, l, &count,
                    reterr));
    if (!l->any_orphan)
        return KMS_OK;
    TRY(store->ops->load(store, &visitor, reterr));
    sort_slots(l);
    return KMS_OK;
}

/* Erasable slots only. A durable one that no row names may belong to a key that a newer database
 * knows, with an older one in its place just now; one that a crash left protects nothing and costs
 * 128 bytes. */
static enum kms_status sweep(struct loading *l, struct kms_error *reterr)
{
    struct kms_error err;
    size_t           count = 0;

    sort_slots(l);
    if (l->cold && make_sure(l, &err) != KMS_OK) {
        log_error("slots that no row seems to name are not erased now, since not all rows can be "
                  "read: %s",
                  err.detail);
        return KMS_OK;
    }
    return vault_sweep(l->c->parts.vault, SLOT_ERASABLE, slot_named, slot_swept, l, &count, reterr);
}

/* The database counts its commits and the log names them. Marking tombstones is the only commit without
 * an event: one may follow each that the log knows or that was in the outbox. More are records that are
 * gone: an older copy of the log, or somebody's hand. The log goes on, and says so. */
static enum kms_status note_missing_records(struct loading *l, uint64_t logged, uint64_t stored,
                                            struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    char                            extra[96];

    if (stored <= logged + 2 + 2 * (uint64_t)l->found->outbox)
        return KMS_OK;
    log_warning(
        "the audit log is older than the database (commit %llu, database has %llu): records "
        "are missing",
        (unsigned long long)logged, (unsigned long long)stored);
    int len = snprintf(extra, sizeof extra, "{\"loggedCommit\":%llu,\"databaseCommit\":%llu}",
                       (unsigned long long)logged, (unsigned long long)stored);
    service_event_text(&text, clock_now(l->c->parts.clock), "TrentRecordsMissing",
                       (struct bytes){ NULL, 0 }, bytes_of(extra, (size_t)len));
    audit_event_commit(&text, stored); /* said once */
    struct bytes event = buf_bytes(&text);
    return audit_append(l->c->parts.audit, &event, 1, true, true, reterr);
}

enum kms_status commit_recover(struct committer *c, const struct audit_head *head,
                               struct commit_recovery *ret, struct kms_error *reterr)
{
    *ret = (struct commit_recovery){ 0 };
    CLEANUP(loading_release) struct loading l = { .c = c, .found = ret };

    struct store_visitor visitor = {
        .ctx = &l,
        .key = load_key,
        .usage = load_usage,
        .alias = load_alias,
        .import_key = load_import_key,
        .grant = load_grant,
        .domain = load_domain,
        .account = load_account,
        .identity = load_identity,
        .access_key = load_access_key,
        .access_key_use = load_access_key_use,
        .tombstone = load_tombstone,
        .outbox = load_outbox,
        .delivery = count_delivery,
    };
    uint64_t stored = c->parts.store->meta.commit;

    TRY(choose_keys(&l, &visitor, reterr));
    TRY(c->parts.store->ops->load(c->parts.store, &visitor, reterr));
    grants_put(directory_grants(c->parts.directory), l.grants, l.n_grants);
    l.n_grants = 0; /* they are the directory's now */
    if (l.cold)
        TRY(c->parts.store->ops->each_deleting(c->parts.store, note_end, &l, reterr));
    CRASH_POINT("recover-loaded");
    TRY(note_missing_records(&l, head->commit, stored, reterr));
    if (l.n_stones > 0) {
        TRY(commit_erase_tombstones(c, l.stones, l.n_stones, reterr));
        ret->erased = l.n_stones;
        commit_mark_erased(c);
    }
    if (l.cold)
        TRY(load_empty(&l, reterr));
    TRY(repair_lost(&l, reterr));
    if (head->commit > stored)
        log_warning("the database is older than the audit log (commit %llu, log has %llu): was a "
                    "backup restored? Shred keys of generated keys that it does not know are kept",
                    (unsigned long long)stored, (unsigned long long)head->commit);
    return sweep(&l, reterr);
}
