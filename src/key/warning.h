/* key/warning.h - telling owners that imported material is about to expire. Pure; the time is handed in.
 *
 * Settings name days before ValidTo ("30,7,1"). Of each, a material is warned once per import: its
 * `warned_days` is the fewest days left of which its owner was told. The import itself counts, since who
 * imports names the date: material that is imported for three days is not warned of 30 or 7. Nor is who
 * looks late told of every threshold that was passed: once, with the smallest.
 */
#pragma once

#include "key/record.h"

enum { WARNINGS_MAX = 8, WARNING_DAYS_MAX = 365 };

struct expiry_warnings {
    uint16_t days[WARNINGS_MAX]; /* any order */
    size_t   n;                  /* 0: nobody is warned */
};

/* What `warned_days` is after an import with this ValidTo: the days left, of which a begun one counts. */
uint16_t key_days_left(int64_t valid_to, int64_t now);
/* The days to warn of now: the smallest threshold that a present CURRENT or NON_CURRENT material has
 * reached and not been warned of; 0 for none, as when it has expired. */
uint16_t key_warning_due(const struct key_material *m, const struct expiry_warnings *w,
                         int64_t now);
/* When a warning of any material of the key is due next; INT64_MAX for never. In the past: now. */
int64_t key_next_warning(const struct key_record *key, const struct expiry_warnings *w);
/* Notes the warnings that are due in an editable record; how many there were. */
size_t key_warn(struct key_record *key, const struct expiry_warnings *w, int64_t now);
