/* key/expiring.h - which keys expire soonest, for the metrics: found without looking at all keys.
 *
 * A heap of hints by ValidTo. Every change of a key adds one, and those before it stay, so a hint is
 * checked against the record before it is believed, and when most are out of date the owner makes the
 * heap anew. Thread-safe.
 */
#pragma once

#include "key/record.h"

struct expiring;

struct expiring_key {
    int64_t valid_to; /* key_valid_to, ms */
    char    account[ACCOUNT_LEN + 1];
    char    region[REGION_MAX + 1];
    char    key_id[KEY_ID_MAX + 1];
};

struct expiring *expiring_new(void); /* NULL when out of memory */
void expiring_free(struct expiring *e);
/* A key is new or has changed; nothing if it does not expire. */
void expiring_note(struct expiring *e, const struct key_record *key);
/* True once most hints must be out of date: expiring_clear, and note all keys again. */
bool expiring_crowded(struct expiring *e);
void expiring_clear(struct expiring *e);
/* After all keys were noted: so many hints are needed. */
void expiring_filled(struct expiring *e);
/* Copies the soonest hints behind `now`, in order, none twice, at most `max`; drops those that are past. */
size_t expiring_soonest(struct expiring *e, int64_t now, struct expiring_key *ret, size_t max);
