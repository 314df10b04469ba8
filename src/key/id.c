/* key/id.c - see id.h. */
#include "key/id.h"

#include <assert.h>

enum { MRK_PREFIX = 4, MRK_HEX = 32 }; /* "mrk-" and a UUID without its hyphens */

static const struct {
    const char *prefix;
    const char *partition;
} partitions[] = {
    { "cn-", "aws-cn" },         { "us-gov-", "aws-us-gov" }, { "us-iso-", "aws-iso" },
    { "us-isob-", "aws-iso-b" }, { "eu-isoe-", "aws-iso-e" }, { "us-isof-", "aws-iso-f" },
    { "eusc-", "aws-eusc" },
};

const char *region_partition(struct bytes region)
{
    for (size_t i = 0; i < sizeof partitions / sizeof partitions[0]; i++) {
        if (bytes_starts(region, bytes_str(partitions[i].prefix)))
            return partitions[i].partition;
    }
    return "aws";
}

/* What a byte may be part of: one look-up, and no branch, for each of a key id's 36. */
enum { LOWER = 1 << 0, DIGIT = 1 << 1, HEX = 1 << 2, LOWER_HEX = 1 << 3, IN_REGION = 1 << 4 };
__extension__ static const uint8_t classes[256] = {
    ['0' ... '9'] = DIGIT | HEX | LOWER_HEX | IN_REGION,
    ['a' ... 'f'] = LOWER | HEX | LOWER_HEX | IN_REGION,
    ['g' ... 'z'] = LOWER | IN_REGION,
    ['A' ... 'F'] = HEX,
    ['-'] = IN_REGION,
};

static bool every(struct bytes in, uint8_t class)
{
    uint8_t all = class;

    for (size_t i = 0; i < in.len; i++)
        all &= classes[in.ptr[i]];
    return all != 0;
}

bool region_valid(struct bytes region)
{
    struct bytes rest = region;
    struct bytes word;
    unsigned     words = 0;

    if (region.len > REGION_MAX)
        return false;
    while (bytes_cut(&rest, '-', &word)) {
        if (word.len == 0 || !every(word, LOWER))
            return false;
        words++;
    }
    return (words == 2 || words == 3) && rest.len > 0 && every(rest, DIGIT);
}

static void arn_start(struct buf *out, struct bytes account, struct bytes region)
{
    buf_add_str(out, "arn:");
    buf_add_str(out, region_partition(region));
    buf_add_str(out, ":kms:");
    buf_add(out, region);
    buf_add_byte(out, ':');
    buf_add(out, account);
    buf_add_byte(out, ':');
}

void key_arn_add(struct buf *out, struct bytes account, struct bytes region, struct bytes key_id)
{
    arn_start(out, account, region);
    buf_add_str(out, "key/");
    buf_add(out, key_id);
}

void alias_arn_add(struct buf *out, struct bytes account, struct bytes region, struct bytes alias)
{
    arn_start(out, account, region);
    buf_add(out, alias);
}

struct key_name key_name_in(struct bytes arn, const struct key_name *like)
{
    static const size_t between = sizeof ":key/" - 1;
    const uint8_t      *id = arn.ptr + arn.len - like->id.len;
    const uint8_t      *account = id - between - like->account.len;
    const uint8_t      *region = account - 1 - like->region.len;

    assert(arn.len >= like->id.len + between + like->account.len + 1 + like->region.len);
    return (struct key_name){
        .account = bytes_of(account, like->account.len),
        .region = bytes_of(region, like->region.len),
        .id = bytes_of(id, like->id.len),
        .arn = arn,
    };
}

static bool uuid_well_formed(struct bytes id)
{
    static const uint8_t groups[] = { 8, 4, 4, 4, 12 };

    if (id.len != KEY_ID_MAX)
        return false;
    for (size_t i = 0; i < sizeof groups; i++) {
        struct bytes group = { NULL, 0 };
        if (!bytes_take(&id, groups[i], &group) || !every(group, HEX) ||
            (id.len > 0 && (!bytes_take(&id, 1, &group) || group.ptr[0] != '-')))
            return false;
    }
    return true;
}

bool key_id_well_formed(struct bytes id)
{
    struct bytes hex = id;
    struct bytes prefix;

    if (bytes_starts(id, BYTES_LIT("mrk-")))
        return bytes_take(&hex, MRK_PREFIX, &prefix) && hex.len == MRK_HEX && every(hex, LOWER_HEX);
    return uuid_well_formed(id);
}

/* Cuts "arn:<partition>:kms:<region>:<account>:" off `rest`. The partition has to be the Region's:
 * what we accept we can print again. The Region itself may be any word, since the answer to an ARN
 * of an unknown Region names it ("Invalid arn <region>"). */
static bool arn_head(struct bytes *rest, struct key_ref *ref)
{
    struct bytes word;

    if (!bytes_cut(rest, ':', &word) || !bytes_eq_str(word, "arn") ||
        !bytes_cut(rest, ':', &ref->partition) || !bytes_cut(rest, ':', &word) ||
        !bytes_eq_str(word, "kms") || !bytes_cut(rest, ':', &ref->region) ||
        !bytes_cut(rest, ':', &ref->account))
        return false;
    return ref->region.len > 0 && ref->region.len <= REGION_MAX && every(ref->region, IN_REGION) &&
           bytes_eq_str(ref->partition, region_partition(ref->region)) &&
           ref->account.len == ACCOUNT_LEN && every(ref->account, DIGIT);
}

struct key_ref key_ref_parse(struct bytes text)
{
    struct key_ref ref = { .kind = REF_MALFORMED, .text = text };
    struct key_ref arn = { .text = text };
    struct bytes   rest = text;
    struct bytes   word;

    if (key_id_well_formed(text)) {
        ref.kind = REF_KEY_ID;
        ref.id = text;
        ref.id_ok = true;
    } else if (bytes_starts(text, BYTES_LIT("alias/"))) {
        ref.kind = REF_ALIAS;
        ref.id = text;
    } else if (arn_head(&rest, &arn)) {
        arn.id = rest;
        if (bytes_starts(rest, BYTES_LIT("alias/"))) {
            arn.kind = REF_ALIAS_ARN;
            return arn;
        }
        if (bytes_cut(&rest, '/', &word) && bytes_eq_str(word, "key")) {
            arn.kind = REF_KEY_ARN;
            arn.id = rest;
            arn.id_ok = key_id_well_formed(rest);
            return arn;
        }
    }
    return ref;
}
