/* identity/book.c - see book.h.
 *
 * Made like key/directory.c: hash tables find entries by name, an entry points to the present
 * record, replacing a record swaps that pointer. Users, roles and policies are found by their name
 * in the account and by their unique id; an ARN is taken apart for its name and then has to be that
 * of the record, so that a path is never guessed.
 *
 * The entry of an account stays for good. The account "aws" is there for its managed policies only:
 * it has no record, so nobody finds it.
 */
#include "identity/book.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/index.h"
#include "base/retired.h"
#include "identity/internal.h"
#include "identity/managed.h"
#include "key/series.h"

/* Every entry ends with the text that its nodes' keys are. */
struct account_entry {
    struct index_node node; /* account id */
    const struct account_record *_Atomic record;
    struct series *identities[IDENTITY_KIND_COUNT];
    _Atomic size_t sessions;
};

struct identity_entry {
    struct index_node by_id;   /* unique id */
    struct index_node by_name; /* "account:kind:name", lower case */
    const struct identity_record *_Atomic record;
    struct account_entry *account;
};

struct access_key_entry {
    struct index_node node; /* access key id */
    const struct access_key_record *_Atomic record;
    struct use_slot use; /* there as long as the entry is, whatever the record */
};

/* Whose long-term access keys: users by unique id, root users by account. */
struct owner_entry {
    struct index_node node;
    struct series    *keys;
};

struct identity_book {
    struct epoch       *epoch;
    struct index       *accounts;
    struct index       *by_id;
    struct index       *by_name;
    struct index       *access_keys;
    struct index       *owners;
    struct series      *account_list; /* in the order in which they were put */
    uint64_t            n_accounts;
    struct retired      retired;
    struct series_trash trash;
    struct rights_book *identity_rights;
    struct rights_book *trust_rights;
    _Atomic size_t      counts[IDENTITY_KIND_COUNT];
    _Atomic size_t      long_term;
    _Atomic size_t      sessions;
    struct region_names regions;
    _Atomic bool        used; /* some access key, since book_take_used */
};

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* --- names ------------------------------------------------------------------------------------ */

enum { NAME_ROOM = ACCOUNT_LEN + 3 + IDENTITY_NAME_MAX };

struct name {
    size_t  len; /* 0: longer than any name, so nothing has it */
    uint8_t text[NAME_ROOM];
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static void name_set(struct name *n, struct bytes account, enum identity_kind kind,
                     struct bytes name)
{
    n->len = 0;
    if (account.len == 0 || account.len > ACCOUNT_LEN || name.len == 0 ||
        name.len > IDENTITY_NAME_MAX)
        return;
    memcpy(n->text, account.ptr, account.len);
    n->text[account.len] = ':';
    n->text[account.len + 1] = (uint8_t)('0' + kind);
    n->text[account.len + 2] = ':';
    for (size_t i = 0; i < name.len; i++)
        n->text[account.len + 3 + i] = lower(name.ptr[i]);
    n->len = account.len + 3 + name.len;
}

static struct bytes name_bytes(const struct name *n)
{
    return bytes_of(n->text, n->len);
}

/* A zeroed entry of `size` bytes that begins with its node, and the node's key behind it. */
static void *entry_new(size_t size, struct bytes key)
{
    uint8_t           *memory = must(calloc(1, size + key.len));
    struct index_node *node = (void *)memory;

    assert(key.len > 0);
    memcpy(memory + size, key.ptr, key.len);
    node->key = bytes_of(memory + size, key.len);
    return memory;
}

/* --- finding ---------------------------------------------------------------------------------- */

static struct account_entry *find_account(const struct identity_book *b, struct bytes id)
{
    return (void *)index_find(b->accounts, id);
}

static const struct identity_record *identity_of(const struct identity_entry *e)
{
    return atomic_load_explicit(&e->record, memory_order_acquire);
}

static const struct access_key_record *access_key_of(const struct access_key_entry *e)
{
    return atomic_load_explicit(&e->record, memory_order_acquire);
}

static struct identity_entry *entry_by_name(struct index_node *node)
{
    return node == NULL ? NULL
                        : (void *)((uint8_t *)node - offsetof(struct identity_entry, by_name));
}

const struct account_record *book_account(const struct identity_book *b, struct bytes id)
{
    const struct account_entry *e = find_account(b, id);

    return e == NULL ? NULL : atomic_load_explicit(&e->record, memory_order_acquire);
}

const struct access_key_record *book_access_key(const struct identity_book *b, struct bytes id)
{
    const struct access_key_entry *e = (void *)index_find(b->access_keys, id);

    return e == NULL ? NULL : access_key_of(e);
}

const struct identity_record *book_identity(const struct identity_book *b, struct bytes account,
                                            enum identity_kind kind, struct bytes name)
{
    struct name n;

    name_set(&n, account, kind, name);
    const struct identity_entry *e = entry_by_name(index_find(b->by_name, name_bytes(&n)));
    return e == NULL ? NULL : identity_of(e);
}

const struct identity_record *book_identity_by_id(const struct identity_book *b,
                                                  struct bytes                unique_id)
{
    const struct identity_entry *e = (void *)index_find(b->by_id, unique_id);

    return e == NULL ? NULL : identity_of(e);
}

/* Behind the last slash. */
static struct bytes last_part(struct bytes path)
{
    size_t at = path.len;

    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    return bytes_of(path.ptr + at, path.len - at);
}

const struct identity_record *book_identity_by_arn(const struct identity_book *b, struct bytes arn)
{
    static const char *const words[IDENTITY_KIND_COUNT] = { "user/", "role/", "policy/" };
    struct bytes             rest = arn;
    struct bytes             account;

    if (!bytes_starts(arn, BYTES_LIT("arn:aws:iam::")))
        return NULL;
    rest = bytes_of(arn.ptr + 13, arn.len - 13);
    if (!bytes_cut(&rest, ':', &account))
        return NULL;
    for (unsigned kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        if (!bytes_starts(rest, bytes_str(words[kind])))
            continue;
        const struct identity_record *r = book_identity(b, account, (enum identity_kind)kind,
                                                        last_part(rest));
        return r != NULL && bytes_eq(r->arn, arn) ? r : NULL;
    }
    return NULL;
}

/* --- listing ---------------------------------------------------------------------------------- */

struct page {
    const void **ret;
    size_t       n, max;
};

static bool take_identity(void *item, void *ctx)
{
    struct page *page = ctx;

    if (page->n == page->max)
        return false;
    page->ret[page->n++] = identity_of(item);
    return true;
}

size_t book_list_identities(const struct identity_book *b, struct bytes account,
                            enum identity_kind kind, uint64_t after,
                            const struct identity_record **ret, size_t max)
{
    const struct account_entry *e = find_account(b, account);
    struct page                 page = { .ret = (const void **)ret, .max = max };

    if (e != NULL)
        series_each(e->identities[kind], after, take_identity, &page);
    return page.n;
}

static bool take_access_key(void *item, void *ctx)
{
    struct page *page = ctx;

    if (page->n == page->max)
        return false;
    page->ret[page->n++] = access_key_of(item);
    return true;
}

size_t book_list_access_keys(const struct identity_book *b, struct bytes principal_id,
                             const struct access_key_record **ret, size_t max)
{
    const struct owner_entry *owner = (void *)index_find(b->owners, principal_id);
    struct page               page = { .ret = (const void **)ret, .max = max };

    if (owner != NULL)
        series_each(owner->keys, 0, take_access_key, &page);
    return page.n;
}

static bool take_account(void *item, void *ctx)
{
    const struct account_entry *e = item;
    struct page                *page = ctx;

    if (page->n == page->max)
        return false;
    page->ret[page->n++] = atomic_load_explicit(&e->record, memory_order_acquire);
    return true;
}

size_t book_list_accounts(const struct identity_book *b, const struct account_record **ret,
                          size_t max)
{
    struct page page = { .ret = (const void **)ret, .max = max };

    series_each(b->account_list, 0, take_account, &page);
    return page.n;
}

struct attached {
    struct page  page;
    struct bytes policy_arn;
    size_t       as_boundary;
};

static bool is_attached(const struct identity_record *r, struct bytes policy_arn)
{
    for (size_t i = 0; i < r->n_attached; i++) {
        if (bytes_eq(r->attached[i], policy_arn))
            return true;
    }
    return false;
}

static bool look_attached(void *item, void *ctx)
{
    const struct identity_record *r = identity_of(item);
    struct attached              *a = ctx;
    bool                          bounds = bytes_eq(r->boundary, a->policy_arn);

    a->as_boundary += bounds;
    if ((bounds || is_attached(r, a->policy_arn)) && a->page.n < a->page.max)
        a->page.ret[a->page.n++] = r;
    return true;
}

static bool look_in_account(void *item, void *ctx)
{
    const struct account_entry *e = item;

    series_each(e->identities[IDENTITY_USER], 0, look_attached, ctx);
    series_each(e->identities[IDENTITY_ROLE], 0, look_attached, ctx);
    return true;
}

size_t book_attached_to(const struct identity_book *b, struct bytes policy_arn,
                        const struct identity_record **ret, size_t max, size_t *ret_as_boundary)
{
    struct attached a = { .page = { .ret = (const void **)ret, .max = max },
                          .policy_arn = policy_arn };

    series_each(b->account_list, 0, look_in_account, &a);
    *ret_as_boundary = a.as_boundary;
    return a.page.n;
}

static size_t load_count(const _Atomic size_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

struct book_counts book_counts(const struct identity_book *b)
{
    return (struct book_counts){
        .accounts = series_count(b->account_list),
        .users = load_count(&b->counts[IDENTITY_USER]),
        .roles = load_count(&b->counts[IDENTITY_ROLE]),
        .policies = load_count(&b->counts[IDENTITY_POLICY]),
        .access_keys = load_count(&b->long_term),
        .sessions = load_count(&b->sessions),
    };
}

size_t book_sessions_of(const struct identity_book *b, struct bytes account)
{
    const struct account_entry *e = find_account(b, account);

    return e == NULL ? 0 : load_count(&e->sessions);
}

/* --- writing: accounts ------------------------------------------------------------------------ */

static struct account_entry *account_for(struct identity_book *b, struct bytes id)
{
    struct account_entry *e = find_account(b, id);

    if (e != NULL)
        return e;
    e = entry_new(sizeof *e, id);
    for (unsigned kind = 0; kind < IDENTITY_KIND_COUNT; kind++)
        e->identities[kind] = must(series_new());
    index_insert(b->accounts, &e->node, b->epoch);
    return e;
}

void book_put_account(struct identity_book *b, struct account_record *a)
{
    struct account_entry        *e = account_for(b, bytes_str(a->id));
    const struct account_record *old = atomic_exchange(&e->record, a);

    if (old == NULL)
        series_add(b->account_list, ++b->n_accounts, e, &b->trash);
    else
        retire(&b->retired, old, free);
}

/* --- writing: users, roles, policies ---------------------------------------------------------- */

static void release_identity(void *memory)
{
    struct identity_record *r = memory;

    for (size_t i = 0; i < r->n_documents; i++)
        rights_give_back(r->documents[i].rights);
    rights_give_back(r->trust_rights);
    identity_record_free(r);
}

static void compile_documents(struct identity_book *b, struct identity_record *r)
{
    struct bytes nobody = { NULL, 0 };

    for (size_t i = 0; i < r->n_documents; i++)
        r->documents[i].rights = rights_take(b->identity_rights, r->documents[i].text, nobody);
    if (r->kind == IDENTITY_ROLE)
        r->trust_rights = rights_take(b->trust_rights, r->trust, r->trust_principals);
}

static struct identity_entry *identity_entry_new(const struct identity_record *r)
{
    struct name            n;
    struct identity_entry *e = must(calloc(1, sizeof *e + NAME_ROOM + r->unique_id.len));
    uint8_t               *text = (uint8_t *)(e + 1);

    name_set(&n, r->account, r->kind, r->name);
    assert(n.len > 0 && r->unique_id.len > 0);
    memcpy(text, n.text, n.len);
    memcpy(text + n.len, r->unique_id.ptr, r->unique_id.len);
    e->by_name.key = bytes_of(text, n.len);
    e->by_id.key = bytes_of(text + n.len, r->unique_id.len);
    atomic_init(&e->record, r);
    return e;
}

static bool is_counted(const struct identity_record *r)
{
    return !bytes_eq(r->account, BYTES_LIT(MANAGED_ACCOUNT));
}

static void remove_identity(struct identity_book *b, struct identity_entry *e)
{
    const struct identity_record *r = identity_of(e);

    index_remove(b->by_name, &e->by_name);
    index_remove(b->by_id, &e->by_id);
    series_remove(e->account->identities[r->kind], r->serial, &b->trash);
    if (is_counted(r))
        atomic_fetch_sub_explicit(&b->counts[r->kind], 1, memory_order_relaxed);
    retire(&b->retired, r, release_identity);
    retire(&b->retired, e, free);
}

void book_put_identity(struct identity_book *b, struct identity_record *r)
{
    struct identity_entry *e = (void *)index_find(b->by_id, r->unique_id);

    compile_documents(b, r);
    if (e != NULL) {
        const struct identity_record *old = atomic_exchange(&e->record, r);
        assert(old->serial == r->serial && bytes_eq(old->arn, r->arn));
        retire(&b->retired, old, release_identity);
        return;
    }
    e = identity_entry_new(r);
    e->account = account_for(b, r->account);
    struct identity_entry *of_name = entry_by_name(index_find(b->by_name, e->by_name.key));
    if (of_name != NULL) /* deleted and created again in one change */
        remove_identity(b, of_name);
    index_insert(b->by_id, &e->by_id, b->epoch);
    index_insert(b->by_name, &e->by_name, b->epoch);
    series_add(e->account->identities[r->kind], r->serial, e, &b->trash);
    if (is_counted(r))
        atomic_fetch_add_explicit(&b->counts[r->kind], 1, memory_order_relaxed);
}

void book_remove_identity(struct identity_book *b, struct bytes unique_id)
{
    struct identity_entry *e = (void *)index_find(b->by_id, unique_id);

    if (e != NULL)
        remove_identity(b, e);
}

/* --- writing: access keys --------------------------------------------------------------------- */

static void release_series(void *memory)
{
    series_free(memory);
}

static void release_access_key(void *memory)
{
    struct access_key_record *k = memory;

    for (size_t i = 0; i < k->session.n_policies; i++)
        rights_give_back(k->session.policies[i].rights);
    access_key_record_free(k);
}

static bool is_session(const struct access_key_record *k)
{
    return k->session.kind != SESSION_NONE;
}

static void count_access_key(struct identity_book *b, const struct access_key_record *k, bool added)
{
    struct account_entry *account = account_for(b, k->account);
    size_t                by = added ? 1 : SIZE_MAX; /* wraps: one less */

    if (!is_session(k)) {
        atomic_fetch_add_explicit(&b->long_term, by, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&b->sessions, by, memory_order_relaxed);
    atomic_fetch_add_explicit(&account->sessions, by, memory_order_relaxed);
}

static void own(struct identity_book *b, struct access_key_entry *e)
{
    const struct access_key_record *k = access_key_of(e);
    struct owner_entry             *owner = (void *)index_find(b->owners, k->principal_id);

    if (owner == NULL) {
        owner = entry_new(sizeof *owner, k->principal_id);
        owner->keys = must(series_new());
        index_insert(b->owners, &owner->node, b->epoch);
    }
    series_add(owner->keys, k->serial, e, &b->trash);
}

static void disown(struct identity_book *b, const struct access_key_record *k)
{
    struct owner_entry *owner = (void *)index_find(b->owners, k->principal_id);

    series_remove(owner->keys, k->serial, &b->trash);
    if (series_count(owner->keys) > 0)
        return;
    index_remove(b->owners, &owner->node);
    retire(&b->retired, owner->keys, release_series);
    retire(&b->retired, owner, free);
}

void book_put_access_key(struct identity_book *b, struct access_key_record *k)
{
    struct access_key_entry *e = (void *)index_find(b->access_keys, k->id);

    for (size_t i = 0; i < k->session.n_policies; i++) {
        struct identity_document *doc = &k->session.policies[i];
        if (doc->name.len == 0)
            doc->rights = rights_take(b->identity_rights, doc->text, (struct bytes){ NULL, 0 });
    }
    if (e != NULL) {
        const struct access_key_record *old = atomic_exchange(&e->record, k);
        assert(old->serial == k->serial && is_session(old) == is_session(k));
        retire(&b->retired, old, release_access_key);
        return;
    }
    e = entry_new(sizeof *e, k->id);
    atomic_init(&e->record, k);
    index_insert(b->access_keys, &e->node, b->epoch);
    count_access_key(b, k, true);
    if (!is_session(k))
        own(b, e);
}

static void remove_access_key(struct identity_book *b, struct access_key_entry *e)
{
    const struct access_key_record *k = access_key_of(e);

    index_remove(b->access_keys, &e->node);
    count_access_key(b, k, false);
    if (!is_session(k))
        disown(b, k);
    retire(&b->retired, k, release_access_key);
    retire(&b->retired, e, free);
}

void book_remove_access_key(struct identity_book *b, struct bytes id)
{
    struct access_key_entry *e = (void *)index_find(b->access_keys, id);

    if (e != NULL)
        remove_access_key(b, e);
}

/* --- last uses of access keys ----------------------------------------------------------------- */

void book_mark_used(struct identity_book *b, struct bytes access_key_id,
                    const struct access_key_use *use)
{
    struct access_key_entry *e = (void *)index_find(b->access_keys, access_key_id);

    if (e != NULL && !is_session(access_key_of(e)) && use_slot_mark(&e->use, &b->regions, use))
        atomic_store_explicit(&b->used, true, memory_order_release);
}

bool book_last_used(const struct identity_book *b, struct bytes access_key_id,
                    struct access_key_use *ret)
{
    const struct access_key_entry *e = (void *)index_find(b->access_keys, access_key_id);

    if (e == NULL)
        return false;
    ret->access_key = access_key_of(e)->serial;
    return use_slot_read(&e->use, &b->regions, ret);
}

bool book_has_used(const struct identity_book *b)
{
    return atomic_load_explicit(&b->used, memory_order_acquire);
}

struct taking {
    struct identity_book  *b;
    struct access_key_use *list;
    size_t                 n, room;
};

static void take_used(struct index_node *node, void *ctx)
{
    struct taking           *t = ctx;
    struct access_key_entry *e = (void *)node;

    if (t->n == t->room || !atomic_exchange(&e->use.changed, false))
        return;
    struct access_key_use *use = &t->list[t->n];
    use->access_key = access_key_of(e)->serial;
    t->n += use_slot_read(&e->use, &t->b->regions, use);
}

enum kms_status book_take_used(struct identity_book *b, struct access_key_use **ret, size_t *ret_n,
                               struct kms_error *reterr)
{
    struct taking t = { .b = b, .room = index_count(b->access_keys) };

    *ret = NULL;
    *ret_n = 0;
    if (t.room == 0 || !atomic_exchange(&b->used, false))
        return KMS_OK;
    t.list = calloc(t.room, sizeof *t.list);
    if (t.list == NULL) {
        atomic_store(&b->used, true);
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for last uses of access keys");
    }
    index_each(b->access_keys, take_used, &t);
    *ret = t.list;
    *ret_n = t.n;
    return KMS_OK;
}

static void give_back_used(struct index_node *node, void *ctx)
{
    struct access_key_entry *e = (void *)node;

    (void)ctx;
    if (atomic_load(&e->use.word) != 0)
        atomic_store(&e->use.changed, true);
}

void book_give_back_used(struct identity_book *b)
{
    index_each(b->access_keys, give_back_used, NULL);
    atomic_store(&b->used, true);
}

void book_load_used(struct identity_book *b, struct bytes access_key_id,
                    const struct access_key_use *use)
{
    struct access_key_entry *e = (void *)index_find(b->access_keys, access_key_id);

    if (e != NULL && use_slot_mark(&e->use, &b->regions, use))
        atomic_store(&e->use.changed, false);
}

struct visit {
    void (*visit)(const struct access_key_record *, void *);
    void *ctx;
};

static void visit_access_key(struct index_node *node, void *ctx)
{
    const struct visit *v = ctx;

    v->visit(access_key_of((void *)node), v->ctx);
}

void book_each_access_key(struct identity_book *b,
                          void (*visit)(const struct access_key_record *, void *), void *ctx)
{
    struct visit v = { visit, ctx };

    index_each(b->access_keys, visit_access_key, &v);
}

/* --- everything ------------------------------------------------------------------------------- */

void book_reclaim(struct identity_book *b)
{
    retired_release(&b->retired);
    series_trash_empty(&b->trash);
}

static void clear_access_key(struct index_node *node, void *ctx)
{
    remove_access_key(ctx, (void *)node);
}

static void clear_identity(struct index_node *node, void *ctx)
{
    remove_identity(ctx, (void *)node);
}

static void free_account(struct index_node *node, void *ctx)
{
    struct identity_book *b = ctx;
    struct account_entry *e = (void *)node;

    index_remove(b->accounts, node);
    for (unsigned kind = 0; kind < IDENTITY_KIND_COUNT; kind++)
        series_free(e->identities[kind]);
    free((void *)(uintptr_t)atomic_load(&e->record));
    free(e);
}

static bool add_managed(struct identity_book *b)
{
    for (size_t i = 0; i < managed_count(); i++) {
        struct identity_record *r = managed_policy(i);
        if (r == NULL)
            return false;
        book_put_identity(b, r);
    }
    return true;
}

static void clear_all(struct identity_book *b)
{
    index_each(b->access_keys, clear_access_key, b);
    index_each(b->by_id, clear_identity, b);
    book_reclaim(b);
    index_each(b->accounts, free_account, b);
}

void book_clear(struct identity_book *b)
{
    clear_all(b);
    series_free(b->account_list);
    b->account_list = series_new();
    if (b->account_list == NULL || !add_managed(b))
        abort(); /* as when it grows: half a book must not be visible */
}

struct identity_book *identity_book_new(struct epoch *epoch, uint64_t seed,
                                        const struct identity_compilers *with)
{
    struct identity_book *b = calloc(1, sizeof *b);

    if (b == NULL)
        return NULL;
    struct index **tables[] = { &b->accounts, &b->by_id, &b->by_name, &b->access_keys, &b->owners };
    bool           ok = true;

    region_names_init(&b->regions);
    b->epoch = epoch;
    b->trash.epoch = epoch;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        *tables[i] = index_new(seed + i);
        ok = ok && *tables[i] != NULL;
    }
    b->account_list = series_new();
    b->identity_rights = rights_book_new(epoch, seed, with->identity);
    b->trust_rights = rights_book_new(epoch, seed, with->trust);
    ok = ok && b->account_list != NULL && b->identity_rights != NULL && b->trust_rights != NULL;
    if (!ok || !add_managed(b)) {
        identity_book_free(b);
        return NULL;
    }
    return b;
}

void identity_book_free(struct identity_book *b)
{
    if (b == NULL)
        return;
    if (b->trust_rights != NULL && b->identity_rights != NULL && b->account_list != NULL &&
        b->owners != NULL) { /* else nothing was put */
        clear_all(b);
    }
    index_free(b->accounts);
    index_free(b->by_id);
    index_free(b->by_name);
    index_free(b->access_keys);
    index_free(b->owners);
    series_free(b->account_list);
    rights_book_free(b->identity_rights);
    rights_book_free(b->trust_rights);
    region_names_release(&b->regions);
    free(b);
}
