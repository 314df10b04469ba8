/* key/id.h - identifiers: key ids, ARNs, alias names, material ids (kms-behaviour 4).
 *
 * Parsing and printing are inverse (a fuzz target holds us to it).
 */
#pragma once

#include "base/bytes.h"
#include "base/buf.h"

enum {
    ACCOUNT_LEN = 12,
    REGION_MAX = 32,
    KEY_ID_MAX = 36, /* a UUID; "mrk-" + 32 hex is as long */
    ALIAS_MAX = 256,
    PARTITION_MAX = 16,
    KEY_ARN_MAX = 4 + PARTITION_MAX + 5 + REGION_MAX + 1 + ACCOUNT_LEN + 5 + KEY_ID_MAX,
    ALIAS_ARN_MAX = 4 + PARTITION_MAX + 5 + REGION_MAX + 1 + ACCOUNT_LEN + 1 + ALIAS_MAX,
};

struct material_id {
    uint8_t b[32];
};

/* A key's full name. All views are borrowed from whoever holds it. */
struct key_name {
    struct bytes account;
    struct bytes region;
    struct bytes id;
    struct bytes arn;
};

struct alias_name {
    struct bytes account;
    struct bytes region;
    struct bytes name; /* "alias/..." */
};

/* The partition of a Region: "aws", "aws-cn", "aws-us-gov", "aws-iso", ... by its prefix. */
const char *region_partition(struct bytes region);
/* `([a-z]+-){2,3}[0-9]+`, at most 32 characters. */
bool region_valid(struct bytes region);
/* One that AWS has (region_names.c). */
bool region_known(struct bytes region);

void key_arn_add(struct buf *out, struct bytes account, struct bytes region, struct bytes key_id);
void alias_arn_add(struct buf *out, struct bytes account, struct bytes region, struct bytes alias);

/* A name whose parts are views into `arn`, which is a copy of like->arn or what key_arn_add makes of its
 * other parts. */
struct key_name key_name_in(struct bytes arn, const struct key_name *like);

/* A UUID (either case, as the real service does; see kms-behaviour 3.2) or mrk- + 32 lower-case
 * hex. */
bool key_id_well_formed(struct bytes id);

enum key_ref_kind {
    REF_KEY_ID,    /* well-formed bare id */
    REF_KEY_ARN,   /* arn:...:key/...; `id` may be malformed (see id_ok) */
    REF_ALIAS,     /* "alias/..." */
    REF_ALIAS_ARN, /* arn:...:alias/... */
    REF_MALFORMED, /* neither */
};

/* What a KeyId member names, decided on the text alone. Views into the text. */
struct key_ref {
    enum key_ref_kind kind;
    struct bytes      text;      /* as sent */
    struct bytes      partition; /* of ARNs */
    struct bytes      region;    /* of ARNs */
    struct bytes      account;   /* of ARNs */
    struct bytes      id;        /* key id, or alias name with its "alias/" */
    bool              id_ok;     /* key kinds: the id is well-formed */
};
struct key_ref key_ref_parse(struct bytes text);
