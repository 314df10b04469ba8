/* operation/default_policy.c - the key policy that every key has until policies are built.
 *
 * It hands the key to the root user of the account (recorded-imports 4.6).
 */
#include "base/cleanup.h"
#include "operation/handlers.h"

enum {
    POLICY_ROOM = 1024, /* the default text has about 330 bytes */
    PAIRS = 16,         /* the default has 11 values: never more are waiting at once */
};

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

/* Values still to be compared. Only containers of equal size are opened, so there are never more
 * than the wanted document has. */
struct waiting {
    struct json given[PAIRS];
    struct json wanted[PAIRS];
    size_t      n;
};

static bool wait_for(struct waiting *w, struct json given, struct json wanted)
{
    if (w->n == PAIRS)
        return false;
    w->given[w->n] = given;
    w->wanted[w->n] = wanted;
    w->n++;
    return true;
}

static struct json member_named(struct json object, struct bytes name)
{
    struct json  value;
    struct bytes found;

    for (struct json_iter it = json_iterate(object); json_next(&it, &found, &value);) {
        if (bytes_eq(found, name))
            return value;
    }
    return (struct json){ NULL };
}

/* Members in any order; elements of lists in the same order. */
static bool open_pair(struct waiting *w, struct json given, struct json wanted)
{
    struct json_iter it = json_iterate(given);
    struct json_iter with = json_iterate(wanted);
    struct json      value;
    struct json      wanted_value;
    struct bytes     name;

    if (json_count(given) != json_count(wanted))
        return false;
    while (json_next(&it, &name, &value)) {
        if (json_type(given) == JSON_OBJECT)
            wanted_value = member_named(wanted, name);
        else if (!json_next(&with, NULL, &wanted_value))
            return false;
        if (wanted_value.node == NULL || !wait_for(w, value, wanted_value))
            return false;
    }
    return true;
}

/* `wanted` holds strings, objects and lists only. */
static bool same_json(struct json given, struct json wanted)
{
    struct waiting w = { .n = 0 };

    (void)wait_for(&w, given, wanted);
    while (w.n > 0) {
        w.n--;
        struct json a = w.given[w.n];
        struct json b = w.wanted[w.n];

        if (json_type(a) != json_type(b))
            return false;
        if (json_type(a) == JSON_STRING ? !bytes_eq(json_string(a), json_string(b))
                                        : !open_pair(&w, a, b))
            return false;
    }
    return true;
}

/* Parses the text in `room`, which has room for the reader's padding. */
static enum kms_status parse(struct json_doc *doc, struct buf *room, struct json *ret,
                             struct kms_error *reterr)
{
    if (doc == NULL || !buf_reserve(room, JSON_PADDING))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read a policy");
    memset(room->ptr + room->len, 0, JSON_PADDING);
    enum kms_status status = json_parse(doc, room->ptr, room->len, ret, reterr);

    /* a policy that is not JSON: MalformedPolicyDocumentException without message (kms-behaviour
     * 3.2) */
    if (status == KMS_E_SERIALIZATION)
        return KMS_FAIL(reterr, KMS_E_POLICY, "the policy is not JSON");
    return status;
}

enum kms_status op_is_default_policy(struct bytes account, struct bytes region, struct bytes text,
                                     bool *ret, struct kms_error *reterr)
{
    CLEANUP(json_doc_freep) struct json_doc *given_doc = json_doc_new();
    CLEANUP(json_doc_freep) struct json_doc *wanted_doc = json_doc_new();
    CLEANUP(buf_release) struct buf          given_text = BUF_INIT(text.len + JSON_PADDING);
    CLEANUP(buf_release) struct buf          wanted_text = BUF_INIT(POLICY_ROOM);
    struct json                              given;
    struct json                              wanted;

    buf_add(&given_text, text);
    op_default_policy(account, region, &wanted_text);
    TRY(parse(given_doc, &given_text, &given, reterr));
    TRY(parse(wanted_doc, &wanted_text, &wanted, reterr));
    *ret = same_json(given, wanted);
    return KMS_OK;
}
