/* operation/default_policy.c - the key policy of a key that was made without one.
 *
 * It hands the key to the root user of the account (recorded-imports 4.6).
 */
#include "operation/handlers.h"

void op_default_policy(struct bytes account, struct bytes region, struct buf *out)
{
    buf_add_str(out, "{\n"
                     "  \"Version\" : \"2012-10-17\",\n"
                     "  \"Id\" : \"key-default-1\",\n"
                     "  \"Statement\" : [ {\n"
                     "    \"Sid\" : \"Enable IAM User Permissions\",\n"
                     "    \"Effect\" : \"Allow\",\n"
                     "    \"Principal\" : {\n"
                     "      \"AWS\" : \"arn:");
    buf_add_str(out, region_partition(region));
    buf_add_str(out, ":iam::");
    buf_add(out, account);
    buf_add_str(out, ":root\"\n"
                     "    },\n"
                     "    \"Action\" : \"kms:*\",\n"
                     "    \"Resource\" : \"*\"\n"
                     "  } ]\n"
                     "}");
}
