/* commit/event.c - see event.h. */
#include "commit/event.h"

#include <string.h>

#include "audit/audit.h"
#include "crypto/crypto.h"

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

void service_event_with_id(struct buf *out, const char id[UUID_TEXT + 1], int64_t now,
                           const char *name, struct bytes key_arn, struct bytes details)
{
    struct audit_event e = {
        .time = now,
        .event_type = "AwsServiceEvent",
        .event_name = name,
        .region = arn_part(key_arn, 3),
        .account = arn_part(key_arn, 4),
        .additional = details,
        .key_arns = { key_arn },
    };

    memcpy(e.event_id, id, sizeof e.event_id);
    audit_event_write(out, &e);
}

void service_event_text(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                        struct bytes details)
{
    char id[UUID_TEXT + 1];

    uuid_text_new(id);
    service_event_with_id(out, id, now, name, key_arn, details);
}
