/* identity/record.c - see record.h. */
#include "identity/record.h"

#include <assert.h>
#include <stdlib.h>

/* First block of a new record; a clone's is measured. */
enum { RECORD_BLOCK = 1024, ARENA_ALIGN = 16 };

struct identity_record *identity_record_new(void)
{
    struct arena *arena = arena_new(RECORD_BLOCK);

    if (arena == NULL)
        return NULL;
    struct identity_record *r = arena_alloc(arena, sizeof *r);

    r->arena = arena;
    return r;
}

struct access_key_record *access_key_record_new(void)
{
    struct arena *arena = arena_new(RECORD_BLOCK);

    if (arena == NULL)
        return NULL;
    struct access_key_record *k = arena_alloc(arena, sizeof *k);

    k->arena = arena;
    return k;
}

void identity_record_free(struct identity_record *r)
{
    if (r != NULL)
        arena_free(r->arena); /* the record lies in it */
}

void access_key_record_free(struct access_key_record *k)
{
    if (k != NULL)
        arena_free(k->arena); /* the record lies in it */
}

void identity_record_freep(struct identity_record **r)
{
    identity_record_free(*r);
    *r = NULL;
}

void access_key_record_freep(struct access_key_record **k)
{
    access_key_record_free(*k);
    *k = NULL;
}

/* --- deep copies ------------------------------------------------------------------------------ */

/* One walk for both: without an arena it only adds up what the copy will take. */
struct copier {
    struct arena *arena;
    size_t        size;
};

static void *copy_room(struct copier *c, size_t size)
{
    if (c->arena != NULL)
        return size == 0 ? NULL : arena_alloc(c->arena, size);
    c->size += (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    return NULL;
}

static struct bytes copy_bytes(struct copier *c, struct bytes in)
{
    if (c->arena != NULL)
        return arena_copy(c->arena, in);
    if (in.len > 0)
        (void)copy_room(c, in.len + 1); /* arena_copy adds a NUL */
    return in;
}

static struct key_tag *copy_tags(struct copier *c, const struct key_tag *from, size_t n)
{
    struct key_tag *to = copy_room(c, n * sizeof *to);

    for (size_t i = 0; i < n; i++) {
        struct key_tag tag = { copy_bytes(c, from[i].key), copy_bytes(c, from[i].value) };
        if (to != NULL)
            to[i] = tag;
    }
    return to;
}

static struct identity_document *copy_documents(struct copier                  *c,
                                                const struct identity_document *from, size_t n)
{
    struct identity_document *to = copy_room(c, n * sizeof *to);

    for (size_t i = 0; i < n; i++) {
        struct identity_document doc = from[i];
        doc.name = copy_bytes(c, doc.name);
        doc.text = copy_bytes(c, doc.text);
        doc.rights = NULL; /* not published */
        if (to != NULL)
            to[i] = doc;
    }
    return to;
}

static struct bytes *copy_list(struct copier *c, const struct bytes *from, size_t n)
{
    struct bytes *to = copy_room(c, n * sizeof *to);

    for (size_t i = 0; i < n; i++) {
        struct bytes item = copy_bytes(c, from[i]);
        if (to != NULL)
            to[i] = item;
    }
    return to;
}

static struct identity_record copy_identity(struct copier *c, const struct identity_record *from)
{
    struct identity_record to = *from;

    to.account = copy_bytes(c, from->account);
    to.path = copy_bytes(c, from->path);
    to.name = copy_bytes(c, from->name);
    to.arn = copy_bytes(c, from->arn);
    to.unique_id = copy_bytes(c, from->unique_id);
    to.description = copy_bytes(c, from->description);
    to.trust = copy_bytes(c, from->trust);
    to.trust_principals = copy_bytes(c, from->trust_principals);
    to.trust_rights = NULL;
    to.boundary = copy_bytes(c, from->boundary);
    to.attached = copy_list(c, from->attached, from->n_attached);
    to.documents = copy_documents(c, from->documents, from->n_documents);
    to.tags = copy_tags(c, from->tags, from->n_tags);
    to.arena = c->arena;
    return to;
}

struct identity_record *identity_record_clone(const struct identity_record *from)
{
    struct copier c = { 0 };

    (void)copy_room(&c, sizeof *from);
    (void)copy_identity(&c, from);
    c.arena = arena_new(c.size);
    if (c.arena == NULL)
        return NULL;
    struct identity_record *to = arena_alloc(c.arena, sizeof *to);

    *to = copy_identity(&c, from);
    return to;
}

static struct access_key_record copy_access_key(struct copier                  *c,
                                                const struct access_key_record *from)
{
    struct access_key_record to = *from;
    struct session          *s = &to.session;

    to.id = copy_bytes(c, from->id);
    to.account = copy_bytes(c, from->account);
    to.principal_id = copy_bytes(c, from->principal_id);
    to.wrapped_secret = copy_bytes(c, from->wrapped_secret);
    s->name = copy_bytes(c, s->name);
    s->source_identity = copy_bytes(c, s->source_identity);
    s->provider = copy_bytes(c, s->provider);
    s->policies = copy_documents(c, s->policies, s->n_policies);
    s->tags = copy_tags(c, s->tags, s->n_tags);
    to.arena = c->arena;
    return to;
}

struct access_key_record *access_key_record_clone(const struct access_key_record *from)
{
    struct copier c = { 0 };

    (void)copy_room(&c, sizeof *from);
    (void)copy_access_key(&c, from);
    c.arena = arena_new(c.size);
    if (c.arena == NULL)
        return NULL;
    struct access_key_record *to = arena_alloc(c.arena, sizeof *to);

    *to = copy_access_key(&c, from);
    return to;
}

/* --- names ------------------------------------------------------------------------------------ */

static const struct {
    const char *word;   /* in ARNs */
    const char *prefix; /* of unique ids */
} kinds[IDENTITY_KIND_COUNT] = {
    [IDENTITY_USER] = { "user", "AIDA" },
    [IDENTITY_ROLE] = { "role", "AROA" },
    [IDENTITY_POLICY] = { "policy", "ANPA" },
};

void identity_arn_add(struct buf *out, enum identity_kind kind, struct bytes account,
                      struct bytes path, struct bytes name)
{
    assert(kind < IDENTITY_KIND_COUNT);
    buf_add_str(out, "arn:aws:iam::");
    buf_add(out, account);
    buf_add_byte(out, ':');
    buf_add_str(out, kinds[kind].word);
    buf_add(out, path); /* with its slashes */
    buf_add(out, name);
}

void root_arn_add(struct buf *out, struct bytes account)
{
    buf_add_str(out, "arn:aws:iam::");
    buf_add(out, account);
    buf_add_str(out, ":root");
}

const char *identity_id_prefix(enum identity_kind kind)
{
    assert(kind < IDENTITY_KIND_COUNT);
    return kinds[kind].prefix;
}

struct identity_document *identity_document_find(const struct identity_record *r, struct bytes name)
{
    for (size_t i = 0; i < r->n_documents; i++) {
        if (bytes_eq(r->documents[i].name, name))
            return &r->documents[i];
    }
    return NULL;
}

const struct identity_document *identity_default_version(const struct identity_record *r)
{
    for (size_t i = 0; i < r->n_documents; i++) {
        if (r->documents[i].is_default)
            return &r->documents[i];
    }
    return NULL;
}
