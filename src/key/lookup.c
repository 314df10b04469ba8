/* key/lookup.c - see lookup.h. */
#include "key/lookup.h"

struct bytes lookup_bytes(const struct lookup *l)
{
    return bytes_of(l->text, l->len);
}

static void lookup_add(struct lookup *l, struct bytes part)
{
    if (part.len > 0)
        memcpy(l->text + l->len, part.ptr, part.len);
    l->len += part.len;
}

void lookup_set(struct lookup *l, struct bytes account, struct bytes region, struct bytes name)
{
    l->len = 0;
    if (account.len > ACCOUNT_LEN || region.len > REGION_MAX || name.len > ALIAS_MAX)
        return;
    lookup_add(l, account);
    lookup_add(l, BYTES_LIT(":"));
    lookup_add(l, region);
    if (name.len > 0) {
        lookup_add(l, BYTES_LIT(":"));
        lookup_add(l, name);
    }
}

void lookup_set_material(struct lookup *l, const struct material_id *id, struct bytes region)
{
    l->len = 0;
    if (region.len > REGION_MAX)
        return;
    lookup_add(l, bytes_of(id->b, sizeof id->b));
    lookup_add(l, region);
}
