/* key/lookup.h - the names under which directory.c keeps things in its tables. */
#pragma once

#include "key/record.h"

enum { LOOKUP_MAX = ACCOUNT_LEN + 1 + REGION_MAX + 1 + ALIAS_MAX };

struct lookup {
    size_t  len; /* 0: longer than any name, so nothing has it */
    uint8_t text[LOOKUP_MAX];
};

/* A view of it. */
struct bytes lookup_bytes(const struct lookup *l);
/* "account:region", and ":name" if there is a name. */
void lookup_set(struct lookup *l, struct bytes account, struct bytes region, struct bytes name);
/* Material id, Region. */
void lookup_set_material(struct lookup *l, const struct material_id *id, struct bytes region);
