/* commit/event.c - see event.h. */
#include "commit/event.h"

#include "audit/audit.h"
#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "json/write.h"

void uuid_new(uint8_t ret[16])
{
    crypto_random(ret, 16);
    uuid_make_v4(ret);
}

void uuid_text_new(char ret[UUID_TEXT + 1])
{
    uint8_t uuid[16];

    uuid_new(uuid);
    uuid_write(ret, uuid);
    ret[UUID_TEXT] = '\0';
}

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
    struct audit_event e = {
        .time = now,
        .event_type = "AwsServiceEvent",
        .event_name = name,
        .region = arn_part(key_arn, 3),
        .account = arn_part(key_arn, 4),
        .additional = additional,
        .key_arns = { key_arn },
    };

    uuid_text_new(e.event_id);
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
