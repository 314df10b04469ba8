/* tests/unit/identity/fixture.c - see fixture.h. */
#include "fixture.h"

int world_begin(void **state)
{
    static const char *const        accounts[] = { "111122223333", "444455556666" };
    const struct identity_compilers with = { authz_identity_compiler, authz_trust_compiler };
    struct world                   *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->epoch = epoch_new();
    w->b = identity_book_new(w->epoch, 7, &with);
    assert_non_null(w->b);
    for (size_t i = 0; i < ARRAY_LEN(accounts); i++) {
        struct account_record *a = calloc(1, sizeof *a);
        assert_non_null(a);
        memcpy(a->id, accounts[i], ACCOUNT_LEN);
        a->version = 1;
        book_put_account(w->b, a);
    }
    *state = w;
    return 0;
}

int world_end(void **state)
{
    struct world *w = *state;

    identity_book_free(w->b);
    epoch_free(w->epoch);
    free(w);
    return 0;
}

void settle(struct world *w)
{
    epoch_barrier(w->epoch);
    book_reclaim(w->b);
}

struct identity_record *make_identity(struct world *w, enum identity_kind kind,
                                      struct bytes account, const char *path, const char *name,
                                      const char *unique_id)
{
    struct identity_record *r = identity_record_new();
    uint8_t                 room[IDENTITY_ARN_MAX];
    struct buf              arn = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    assert_non_null(r);
    r->kind = kind;
    r->account = arena_copy(r->arena, account);
    r->path = arena_copy(r->arena, bytes_str(path));
    r->name = arena_copy(r->arena, bytes_str(name));
    r->unique_id = arena_copy(r->arena, bytes_str(unique_id));
    identity_arn_add(&arn, kind, account, r->path, r->name);
    r->arn = arena_copy(r->arena, buf_bytes(&arn));
    r->serial = ++w->serial;
    r->version = 1;
    return r;
}

void put_identity(struct world *w, enum identity_kind kind, struct bytes account, const char *path,
                  const char *name, const char *unique_id)
{
    book_put_identity(w->b, make_identity(w, kind, account, path, name, unique_id));
}

struct access_key_record *make_access_key(struct world *w, const char *id, struct bytes account,
                                          const char *principal_id)
{
    struct access_key_record *k = access_key_record_new();

    assert_non_null(k);
    k->id = arena_copy(k->arena, bytes_str(id));
    k->account = arena_copy(k->arena, account);
    k->principal_id = arena_copy(k->arena, bytes_str(principal_id));
    k->serial = ++w->serial;
    k->version = 1;
    k->active = true;
    return k;
}

void set_document(struct identity_record *r, const char *name, const char *text)
{
    r->n_documents = 1;
    r->documents = arena_alloc(r->arena, sizeof r->documents[0]);
    r->documents[0] = (struct identity_document){ .name = arena_copy(r->arena, bytes_str(name)),
                                                  .text = arena_copy(r->arena, bytes_str(text)),
                                                  .is_default = true };
}
