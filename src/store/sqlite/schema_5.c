/* store/sqlite/schema_5.c - the step from version 4 to 5: indexes, so that keys can be found one by one
 * (docs/decisions/0011-keys-are-loaded-when-they-are-used.md).
 *
 * A material without a sealed form names slot 0 of generation 0, which no slot has. What is most often not so is
 * left out of an index: a key that neither rotates, expires nor waits for its deletion is in the first three
 * only. So is what will not fall due as it is now (key_next_event, key_next_warning): rotations of keys that are
 * disabled and of replicas, expiries of material that is gone. keys_deleting says all that is asked of it.
 */
#include "store/sqlite/internal.h"

const char schema_5[] =
    "CREATE INDEX keys_in_order ON keys (account, region, serial);"
    "CREATE INDEX materials_by_id ON materials (id);"
    "CREATE INDEX materials_slots ON materials (slot_class, slot, slot_generation)"
    " WHERE slot_generation <> 0;"
    "CREATE INDEX materials_expiring ON materials (valid_to, warned_days)"
    " WHERE expiration = 1 AND role IN (0, 1) AND slot_generation <> 0;"
    "CREATE INDEX keys_rotating ON keys (next_rotation)"
    " WHERE rotation_enabled = 1 AND multi_region <> 2 AND state IN (0, 1, 7);"
    "CREATE INDEX keys_on_demand ON keys (on_demand_start)"
    " WHERE on_demand_start <> 0 AND multi_region <> 2;"
    "CREATE INDEX keys_deleting ON keys (deletion_date, account, region, key_id) WHERE state = 3;";
