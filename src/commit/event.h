/* commit/event.h - audit events that no request asked for. */
#pragma once

#include "base/encode.h"
#include "store/store.h"

/* A fresh random UUID (version 4). */
void uuid_new(uint8_t ret[16]);
/* The same as text, NUL-terminated: event ids, request ids. */
void uuid_text_new(char ret[UUID_TEXT + 1]);

/* An event of the service about a key, CloudTrail's AwsServiceEvent, as text for struct change. `details`
 * is a JSON object text, its serviceEventDetails; an empty ARN names no key. */
void service_event_text(struct buf *out, int64_t now, const char *name, struct bytes key_arn,
                        struct bytes details);
/* The same under a given id (a UUID as text). */
void service_event_with_id(struct buf *out, const char id[UUID_TEXT + 1], int64_t now,
                           const char *name, struct bytes key_arn, struct bytes details);
/* The nth colon-separated part of an ARN (0: "arn"); empty if there is none. */
struct bytes arn_part(struct bytes arn, unsigned nth);
