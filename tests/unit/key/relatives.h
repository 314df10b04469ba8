/* tests/unit/key/relatives.h - a key and its relatives as short words (life.h), each with the letter of
 * the Region in front that it is said in: e us-east-1, where it was created, w us-west-2, a ap-east-1.
 *
 *   eA eA! eA@10 eA"text e- e-A ed ee es eu er ea ex   as in life.h
 *   c         the rotation that was asked for completes      +10   10 seconds pass
 *   eRw       ReplicateKey to us-west-2                      ePw   UpdatePrimaryRegion to us-west-2
 *   wX        the end of the deletion window in us-west-2    w?A     the slot of A there turns out to be gone
 *
 * After every word the invariants of family.h hold, and each sealed form that is no longer named was handed
 * out for erasing.
 */
#pragma once

#include "base/error.h"
#include "key/family.h"

enum { RELATIVES_MAX = 3, RELATIVES_SEALED = 32, RELATIVES_SETTLE_MS = 1000 };

struct relatives {
    struct key_record *of[RELATIVES_MAX]; /* NULL: not there */
    int64_t            now;
    uint32_t           slots;
    uint32_t           erased[RELATIVES_SEALED]; /* by the last word */
    size_t             n_erased;
    bool               had;
    struct kms_error  *err;
};

/* A primary in us-east-1. */
void relatives_begin(struct relatives *w, enum key_origin origin, struct kms_error *err);
void relatives_end(struct relatives *w);
/* One word, up to a space or the end. */
enum kms_status relatives_step(struct relatives *w, const char *word);
/* All words; every one must succeed, but the last and those after a '~'. */
enum kms_status relatives_run(struct relatives *w, const char *words);
/* Lives as life_print has them, Regions in the order e, w, a. */
void relatives_print(const struct relatives *w, struct buf *out);
const struct key_record *relatives_primary(const struct relatives *w); /* NULL: all are gone */
/* Those that are there, in the order of their `regions`. */
size_t relatives_list(const struct relatives *w, const struct key_record **ret);
/* Takes the clones over; the named one is gone then if it `leaves`. */
void relatives_publish(struct relatives *w, struct key_family *f, bool leaves);
/* The invariants I1 and I2 of family.h. */
void relatives_check(const struct relatives *w, const char *word);
