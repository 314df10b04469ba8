/* seed/stage_internal.h - shared by stage.c and stage_key.c. */
#pragma once

#include "seed/internal.h"
#include "seed/stage.h"

/* The world in which a seed is made, and how far that is. */
struct stage {
    struct seed             *seed;
    const struct seed_world *from;
    struct seed_plan        *plan;
    int64_t                  now;
    size_t                   at; /* the item that is being made */
    uint64_t                 serial;
    struct epoch            *epoch;
    struct identity_book    *book;
    struct directory        *directory;
    struct op_env            env;
    struct buf               scratch, answer;
    struct json_writer       writer;
    struct xml               xml;
};

KMS_MUST_CHECK enum kms_status stage_refuse(const struct stage *st, const struct seed_item *item,
                                            struct kms_error *reterr, const char *text);
/* What an operation has refused, in *reterr, is refused at this item. */
KMS_MUST_CHECK enum kms_status stage_blame(const struct stage *st, const struct seed_item *item,
                                           struct kms_error *reterr);
/* Notes that something is not as in the seed, and stays so. */
void stage_leave(struct stage *st, unsigned line, const char *path, const char *text);
/* A call of the item's row in this world; without a change. Good until the next one. */
struct op_call stage_call(struct stage *st, const struct seed_item *item);
/* stage_key.c: a key or replica; the key of this name in this world (which is copied into it when it was
 * there before the seed), NULL if there is none. */
KMS_MUST_CHECK enum kms_status stage_key(struct stage *st, struct seed_item *item,
                                         struct kms_error *reterr);
const struct key_record *stage_key_there(struct stage *st, struct bytes account,
                                         struct bytes region, struct bytes id);
/* stage_key.c: was it there before the seed? */
bool stage_key_known(const struct stage *st, struct bytes account, struct bytes region,
                     struct bytes id);
/* stage_key.c: does an item before the present one name this key? If there is no such key then, it was
 * left away because its relatives are there. */
bool stage_key_named(const struct stage *st, struct bytes account, struct bytes region,
                     struct bytes id);
