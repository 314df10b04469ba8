/* commit/event.h - events that nobody asked for, and the rows of giving something up. */
#pragma once

#include "store/store.h"

/* A service event about a key (expiry, rotation, deletion), CloudTrail's AwsServiceEvent, as text for
 * struct change. `material` may be NULL. */
void service_event_write(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                         const struct material_id *material);
/* The same with any JSON object text as additionalEventData; an empty ARN names no key. */
void service_event_text(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                        struct bytes additional);
/* The nth colon-separated part of an ARN (0: "arn"); empty if there is none. */
struct bytes arn_part(struct bytes arn, unsigned nth);
/* A tombstone row for a sealed form that a change gives up; nothing when there is none. */
void change_bury(struct change *change, struct bytes key_arn, const struct material_id *material,
                 const struct sealed *sealed, enum erase_reason reason, int64_t now);
