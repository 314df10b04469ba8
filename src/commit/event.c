/* commit/event.c - see event.h. */
#include "commit/event.h"

#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "json/write.h"

struct bytes arn_part(struct bytes arn, unsigned nth)
{
    struct bytes part = { NULL, 0 };

    for (unsigned i = 0; i <= nth; i++) {
        if (!bytes_cut(&arn, ':', &part))
            return (struct bytes){ NULL, 0 };
    }
    return part;
}

void service_event_text(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                        struct bytes additional)
{
    uint8_t            uuid[16];
    struct audit_event e = {
        .time = now,
        .event_type = "AwsServiceEvent",
        .event_name = name,
        .region = arn_part(key_arn, 3),
        .account = arn_part(key_arn, 4),
        .additional = additional,
        .key_arns = { key_arn },
    };

    crypto_random(uuid, sizeof uuid);
    uuid_make_v4(uuid);
    uuid_write(e.event_id, uuid);
    audit_event_write(out, &e);
}

void service_event_write(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                         const struct material_id *material)
{
    CLEANUP(buf_release) struct buf extra = BUF_INIT(4096);

    if (material != NULL) {
        struct json_writer w;
        json_writer_init(&w, &extra);
        json_open_object(&w, NULL);
        json_put_hex(&w, "keyMaterialId", bytes_of(material->b, sizeof material->b));
        json_close_object(&w);
    }
    service_event_text(out, now, name, key_arn, buf_bytes(&extra));
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
