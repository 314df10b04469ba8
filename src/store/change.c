/* store/change.c - building and releasing a change; see store.h. */
#include "store/store.h"

#include <stdlib.h>

struct row *change_add(struct change *c, enum row_kind kind)
{
    struct row *rows = realloc(c->rows, (c->n_rows + 1) * sizeof *rows);

    if (rows == NULL)
        abort();
    c->rows = rows;
    rows[c->n_rows] = (struct row){ .kind = kind };
    return &rows[c->n_rows++];
}

struct caused_event *change_add_caused(struct change *c, size_t limit)
{
    struct caused_event *caused = realloc(c->caused, (c->n_caused + 1) * sizeof *caused);

    if (caused == NULL)
        abort();
    c->caused = caused;
    caused[c->n_caused] = (struct caused_event){ .tell = false };
    buf_init(&caused[c->n_caused].event, limit);
    buf_init(&caused[c->n_caused].body, limit);
    return &caused[c->n_caused++];
}

void change_release(struct change *c)
{
    for (size_t i = 0; i < c->n_caused; i++) {
        buf_release(&c->caused[i].event);
        buf_release(&c->caused[i].body);
    }
    free(c->caused);
    c->caused = NULL;
    c->n_caused = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        struct row *row = &c->rows[i];
        key_record_free(row->key);
        import_key_record_free(row->import_key);
        grant_record_free(row->grant);
        free(row->alias);
        free(row->tombstone);
        free(row->domain);
        free(row->account);
        identity_record_free(row->identity);
        access_key_record_free(row->access_key);
    }
    free(c->rows);
    c->rows = NULL;
    c->n_rows = 0;
    buf_release(&c->event);
}

static struct bytes copy_to(uint8_t **at, struct bytes in)
{
    uint8_t *start = *at;

    if (in.len == 0)
        return (struct bytes){ NULL, 0 };
    memcpy(start, in.ptr, in.len);
    *at += in.len;
    return bytes_of(start, in.len);
}

struct domain_key_record *domain_key_new(struct bytes account, struct bytes region,
                                         uint32_t version, struct bytes wrapped)
{
    struct domain_key_record *d = malloc(sizeof *d + account.len + region.len + wrapped.len);

    if (d == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)(d + 1);

    d->account = copy_to(&at, account);
    d->region = copy_to(&at, region);
    d->version = version;
    d->wrapped = copy_to(&at, wrapped);
    return d;
}

void change_bury(struct change *change, struct bytes key_arn, const struct material_id *material,
                 const struct sealed *sealed, enum erase_reason reason, int64_t now)
{
    if (sealed->wrapped.len == 0)
        return;
    struct tombstone *t = calloc(1, sizeof *t);
    if (t == NULL)
        abort();
    size_t n = key_arn.len < sizeof t->key_arn - 1 ? key_arn.len : sizeof t->key_arn - 1;
    memcpy(t->key_arn, key_arn.ptr, n);
    if (material != NULL)
        t->material = *material;
    t->slot = sealed->slot;
    t->slot_generation = sealed->slot_generation;
    t->slot_class = sealed->slot_class;
    t->at = now;
    t->reason = (uint8_t)reason;
    change_add(change, ROW_TOMBSTONE_INSERT)->tombstone = t;
}
