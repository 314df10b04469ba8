/* tests/unit/key/life.h - a key's life written down as short words, for the tests of state.c.
 *
 *   A        ImportKeyMaterial of material A, no type, does not expire
 *   A!  A=   the same with NEW_KEY_MATERIAL, EXISTING_KEY_MATERIAL
 *   A@10     expires 10 seconds from now             A#B   KeyMaterialId is that of B
 *   A"text   with a description ("" is A")           -  -A DeleteImportedKeyMaterial
 *   d e s u  disable, enable, schedule deletion, cancel deletion
 *   r c      RotateKeyOnDemand, and its completion   a     an automatic rotation
 *   +10      10 seconds pass                         x     the expiry job
 *   ?A       the slot of A turns out to be gone
 *
 * A word does what the operation does: it looks at the state (kms-behaviour 5.1), edits a clone,
 * and publishes it, or refuses. Every step checks that each sealed form that is no longer named was
 * handed out for erasing, and that a refusal changed nothing.
 */
#pragma once

#include "base/error.h"
#include "key/state.h"

struct life {
    struct key_record *key;
    int64_t            now;
    uint32_t           slots;  /* handed out so far */
    bool               has_id; /* the material that the last '-' was about */
    struct material_id id;
    struct kms_error  *err; /* of the last refusal */
};

enum { LIFE_START_S = 1000 };

void life_begin(struct life *life, enum key_origin origin, enum multi_region multi_region,
                struct kms_error *err);
void life_end(struct life *life);
/* One word, up to a space or the end. */
enum kms_status life_step(struct life *life, const char *word);
/* All words; every one must succeed, except the last and those that begin with '~', which must be
 * refused. Returns what the last one came to. */
enum kms_status life_run(struct life *life, const char *words);
/* "Enabled [A CURRENT IMPORTED EXP 30 "text" rot 20] ..."; times in seconds since the start. */
void life_print(const struct life *life, struct buf *out);
/* `text` with <arn> and <A> put in. */
void life_expand(const struct life *life, const char *text, struct buf *out);
