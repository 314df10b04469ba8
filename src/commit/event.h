/* commit/event.h - audit events that no request asked for. */
#pragma once

#include "base/encode.h"
#include "store/store.h"

/* A fresh random UUID (version 4). */
void uuid_new(uint8_t ret[16]);
/* The same as text, NUL-terminated: event ids, request ids. */
void uuid_text_new(char ret[UUID_TEXT + 1]);

/* A service event about a key (expiry, rotation, deletion), CloudTrail's AwsServiceEvent, as text
 * for struct change. `material` may be NULL. */
void service_event_write(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                         const struct material_id *material);
/* The same with any JSON object text as additionalEventData; an empty ARN names no key. */
void service_event_text(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                        struct bytes additional);
/* The nth colon-separated part of an ARN (0: "arn"); empty if there is none. */
struct bytes arn_part(struct bytes arn, unsigned nth);
