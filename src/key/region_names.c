/* key/region_names.c - the Regions that AWS has, of all partitions.
 *
 * A server in development answers for any Region that looks like one; where a request names a Region
 * beside its own, a typing error must not make a key there.
 */
#include "base/cleanup.h"
#include "key/id.h"

static const char *const names[] = {
    /* aws */
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    /* the others, as region_partition tells them apart */
    "cn-north-1",
    "cn-northwest-1",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "eu-isoe-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "eusc-de-east-1",
};

bool region_known(struct bytes region)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_eq_str(region, names[i]))
            return true;
    }
    return false;
}
