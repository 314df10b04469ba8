/* key/relatives.c - a key and those that share its id in other Regions, out of the directory. */
#include "key/directory.h"
#include "key/family.h"

size_t directory_family(const struct directory *d, const struct key_record *key,
                        const struct key_record **ret)
{
    struct bytes rest = key->regions;
    struct bytes region;
    size_t       n = 0;

    if (key->multi_region == REGION_SINGLE) {
        ret[0] = key;
        return 1;
    }
    while (n < FAMILY_MAX && key_regions_next(&rest, &region)) {
        const struct key_record *one = bytes_eq(region, key->name.region)
                                           ? key
                                           : directory_key(d, key->name.account, region,
                                                           key->name.id);
        if (one != NULL)
            ret[n++] = one;
    }
    return n;
}
