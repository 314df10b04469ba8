/* commit/caused.c - what the service does to keys by itself is told, whoever has it done: a request, a
 * due time, for one key or for a whole family.
 *
 * So it is read off the rows of a change, compared with what is published, and not left to those who
 * make changes: nobody can forget it, and a key with relatives has an event in each Region in which
 * something happens.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "commit/event.h"
#include "commit/internal.h"
#include "json/write.h"
#include "key/state.h"

enum { CAUSED_BYTES = 16 * 1024 };

/* One event, before it is written. */
struct cause {
    const char               *name;        /* as CloudTrail calls it */
    const char               *detail_type; /* as EventBridge does */
    const struct key_record  *key;
    const struct material_id *material; /* NULL: none */
    const char               *rotation; /* NULL: no rotation */
    int64_t                   valid_to; /* of a warning */
    unsigned                  days;     /* of a warning; 0: none */
};

struct causing {
    struct committer *c;
    struct change    *change;
    int64_t           now;
};

static void put_details(struct buf *out, const struct cause *cause)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_string(&w, "keyId", cause->key->name.id);
    if (cause->material != NULL)
        json_put_hex(&w, "keyMaterialId", bytes_of(cause->material->b, sizeof cause->material->b));
    if (cause->rotation != NULL) {
        json_put_str(&w, "keyOrigin", key_origin_name(cause->key->origin));
        json_put_str(&w, "rotationType", cause->rotation);
    }
    if (cause->days != 0) {
        json_put_date(&w, "validTo", cause->valid_to);
        json_put_int(&w, "days", cause->days);
    }
    json_close_object(&w);
}

/* As EventBridge hands events of the service on; what only we tell, in the same shape. */
static void put_body(struct buf *out, const struct cause *cause, const char *id, int64_t now)
{
    const struct key_name *name = &cause->key->name;
    struct json_writer     w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "version", "0");
    json_put_str(&w, "id", id);
    json_put_str(&w, "detail-type", cause->detail_type);
    json_put_str(&w, "source", "aws.kms");
    json_put_string(&w, "account", name->account);
    json_put_date(&w, "time", now);
    json_put_string(&w, "region", name->region);
    json_open_array(&w, "resources");
    json_put_string(&w, NULL, name->arn);
    json_close_array(&w);
    json_open_object(&w, "detail");
    json_put_string(&w, "key-id", name->id);
    if (cause->material != NULL)
        json_put_hex(&w, "key-material-id",
                     bytes_of(cause->material->b, sizeof cause->material->b));
    if (cause->rotation != NULL)
        json_put_str(&w, "rotation-type", cause->rotation);
    if (cause->days != 0) {
        json_put_date(&w, "valid-to", cause->valid_to);
        json_put_int(&w, "days", cause->days);
    }
    json_close_object(&w);
    json_close_object(&w);
}

static void tell(const struct causing *at, const struct cause *cause)
{
    CLEANUP(buf_release) struct buf details = BUF_INIT(CAUSED_BYTES);
    struct caused_event            *e = change_add_caused(at->change, CAUSED_BYTES);
    struct bytes                    arn = cause->key->name.arn;

    uuid_text_new(e->id);
    put_details(&details, cause);
    service_event_with_id(&e->event, e->id, at->now, cause->name, arn, buf_bytes(&details));
    if (at->c->parts.deliveries_added == NULL)
        return; /* nobody listens */
    e->tell = true;
    e->at = at->now;
    memcpy(e->key_arn, arn.ptr, arn.len < KEY_ARN_MAX ? arn.len : KEY_ARN_MAX);
    put_body(&e->body, cause, e->id, at->now);
}

/* The material that became current and was not, unless it is the first one; NULL if none did. */
static const struct key_material *rotated_to(const struct key_record *old,
                                             const struct key_record *new)
{
    const struct key_material *was = key_record_with_role(old, MATERIAL_CURRENT);
    const struct key_material *is = key_record_with_role(new, MATERIAL_CURRENT);

    if (was == NULL || is == NULL ||
        bytes_eq(bytes_of(was->id.b, sizeof was->id.b), bytes_of(is->id.b, sizeof is->id.b)))
        return NULL;
    return is;
}

void commit_count_rotation(struct committer *c, const struct key_record *new)
{
    const struct key_record *old = directory_key(c->parts.directory, new->name.account,
                                                 new->name.region, new->name.id);

    if (old == NULL || new->multi_region == REGION_REPLICA)
        return;
    const struct key_material *m = rotated_to(old, new);
    if (m != NULL && m->rotation_type == ROTATION_AUTOMATIC)
        c->counts.rotated_automatic++;
    else if (m != NULL)
        c->counts.rotated_on_demand++;
}

static void look_for_rotation(const struct causing *at, const struct key_record *old,
                              const struct key_record *new)
{
    const struct key_material *is = rotated_to(old, new);

    if (is == NULL)
        return;
    const struct cause cause = {
        .name = "RotateKey",
        .detail_type = "KMS CMK Rotation",
        .key = new,
        .material = &is->id,
        .rotation = is->rotation_type == ROTATION_AUTOMATIC ? "AUTOMATIC" : "ON_DEMAND",
    };
    tell(at, &cause);
}

/* The jobs note a warning in the material; an import does so too (key_import), but brings another sealed
 * form with it. */
static void look_for_warnings(const struct causing *at, const struct key_record *old,
                              const struct key_record *new)
{
    for (size_t i = 0; i < new->n_materials; i++) {
        const struct key_material *is = &new->materials[i];
        const struct key_material *was = key_record_material(old, &is->id);
        if (was == NULL || was->warned_days == is->warned_days || is->warned_days == 0 ||
            was->sealed.slot != is->sealed.slot ||
            was->sealed.slot_generation != is->sealed.slot_generation)
            continue;
        const struct cause cause = {
            .name = "TrentKeyMaterialExpirationWarning",
            .detail_type = "Trent Imported Key Material Expiration Warning",
            .key = new,
            .material = &is->id,
            .valid_to = is->valid_to,
            .days = is->warned_days,
        };
        tell(at, &cause);
    }
}

static void look_for_expiry(const struct causing *at, const struct key_record *key, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        const struct tombstone *t = at->change->rows[i].tombstone;
        if (at->change->rows[i].kind != ROW_TOMBSTONE_INSERT || t->reason != ERASE_EXPIRY ||
            !bytes_eq_str(key->name.arn, t->key_arn))
            continue;
        const struct cause cause = {
            .name = "DeleteExpiredKeyMaterial",
            .detail_type = "KMS Imported Key Material Expiration",
            .key = key,
            .material = &t->material,
        };
        tell(at, &cause);
    }
}

void commit_add_caused(struct committer *c, struct change *change)
{
    const struct causing at = { c, change, clock_now(c->parts.clock) };

    for (size_t i = 0; i < change->n_rows; i++) {
        const struct key_record *new = change->rows[i].key;
        if (new == NULL)
            continue;
        const struct key_record *old = directory_key(c->parts.directory, new->name.account,
                                                     new->name.region, new->name.id);
        if (old == NULL)
            continue; /* it is new, or the store refuses the change */
        if (change->rows[i].kind == ROW_KEY_DELETE && key_gone(old, at.now)) {
            tell(&at, &(struct cause){
                          .name = "DeleteKey", .detail_type = "KMS CMK Deletion", .key = old });
        } else if (change->rows[i].kind == ROW_KEY_UPDATE) {
            look_for_expiry(&at, new, change->n_rows);
            look_for_rotation(&at, old, new);
            look_for_warnings(&at, old, new);
        }
    }
}

void commit_number_events(struct change *change, uint64_t number)
{
    if (change->event.len > 0)
        audit_event_commit(&change->event, number);
    for (size_t i = 0; i < change->n_caused; i++)
        audit_event_commit(&change->caused[i].event, number);
}

bool commit_room_for_events(struct committer *c, size_t n)
{
    if (n <= c->cap_events)
        return true;
    size_t        cap = n < 2 * COMMIT_BATCH ? 2 * COMMIT_BATCH : 2 * n;
    struct bytes *events = realloc(c->events, cap * sizeof *events);
    if (events == NULL)
        return false;
    c->events = events;
    c->cap_events = cap;
    return true;
}

/* --- what the webhook is to be told ----------------------------------------------------------- */

static enum kms_status add_to_page(void *ctx, const struct delivery *d, struct kms_error *reterr)
{
    struct delivery_page *page = ctx;
    struct delivery      *to = &page->list[page->n++];

    (void)reterr;
    *to = *d;
    to->key_arn = arena_copy(page->arena, d->key_arn);
    to->body = arena_copy(page->arena, d->body);
    return KMS_OK;
}

void commit_fill_pages(struct committer *c, struct commit_job **jobs, size_t n)
{
    const struct store_ops *ops = c->parts.store->ops;

    for (size_t i = 0; i < n; i++) {
        struct delivery_page *page = jobs[i]->reads;
        if (page == NULL)
            continue;
        const struct store_visitor visitor = { .ctx = page, .delivery = add_to_page };
        page->n = 0;
        jobs[i]->status = ops->read_deliveries(c->parts.store, page->after, DELIVERY_PAGE, &visitor,
                                               &jobs[i]->error);
    }
}

void commit_tell_webhook(struct committer *c, struct commit_job **jobs, size_t n)
{
    size_t added = 0;

    if (c->parts.deliveries_added == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->durable) /* even if its audit record or its erasure has to wait */
            added += jobs[i]->change.n_caused;
    }
    if (added > 0)
        c->parts.deliveries_added(c->parts.deliveries_ctx, added);
}
