/* audit/format.c - see format.h. What is read is rebuilt and compared, so that there is exactly one
 * spelling of every link and every checkpoint: nothing can be changed without a byte that tells. */
#include "audit/format.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"

#define LINE_START   "{\"eventVersion\":\"1.11\",\"eventID\":\""
#define IS_CHECKPOINT "\",\"eventName\":\"TrentCheckpoint\",\"serviceEventDetails\":{\"version\":1,"
#define IS_RECEIPT    "\",\"eventName\":\"TrentReceipt\",\"serviceEventDetails\":{\"version\":1,"
#define SIGNATURE    ",\"signature\":\""

enum { SIGNATURE_MEMBER = sizeof SIGNATURE - 1 + AUDIT_SIGNATURE_HEX + 1 };

/* --- reading text of a fixed form ---------------------------------------------------------------------- */

struct scan {
    struct bytes at;
    bool         ok;
};

static void scan_text(struct scan *s, struct bytes text)
{
    s->ok = s->ok && bytes_starts(s->at, text);
    if (s->ok)
        s->at = bytes_of(s->at.ptr + text.len, s->at.len - text.len);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint64_t scan_number(struct scan *s)
{
    enum { FIT = 19 }; /* so many digits of any kind are no more than UINT64_MAX */
    struct bytes at = s->at;
    uint64_t     value = 0;
    size_t       n = 0;
    bool         ok = s->ok;

    for (; n < at.len && n < FIT && is_digit(at.ptr[n]); n++)
        value = value * 10 + (uint64_t)(at.ptr[n] - '0');
    for (; ok && n < at.len && is_digit(at.ptr[n]); n++)
        ok = !__builtin_mul_overflow(value, 10, &value) &&
             !__builtin_add_overflow(value, (uint64_t)(at.ptr[n] - '0'), &value);
    s->ok = ok && n > 0;
    if (s->ok)
        s->at = bytes_of(at.ptr + n, at.len - n);
    return value;
}

static void scan_hex(struct scan *s, uint8_t *ret, size_t len)
{
    struct bytes text;

    s->ok = s->ok && bytes_take(&s->at, 2 * len, &text) && hex_read(text, ret, len);
}

/* --- links --------------------------------------------------------------------------------------------- */

void audit_node_name(const uint8_t node[16], char ret[AUDIT_NODE_HEX + 1])
{
    hex_write(ret, bytes_of(node, AUDIT_NODE_HEX / 2));
    ret[AUDIT_NODE_HEX] = '\0';
}

void audit_link_add(struct buf *line, const char *node, uint64_t seq, const uint8_t prev[32])
{
    char hex[64];

    hex_write(hex, bytes_of(prev, 32));
    buf_add(line, BYTES_LIT(",\"trent\":{\"node\":\""));
    buf_add(line, bytes_of(node, AUDIT_NODE_HEX));
    buf_add(line, BYTES_LIT("\",\"seq\":"));
    buf_add_decimal(line, seq);
    buf_add(line, BYTES_LIT(",\"prev\":\""));
    buf_add(line, bytes_of(hex, sizeof hex));
    buf_add(line, BYTES_LIT("\"}}"));
}

bool audit_link_parse(struct bytes line, struct audit_link *ret)
{
    const struct bytes              mark = BYTES_LIT(",\"trent\":{");
    CLEANUP(buf_release) struct buf again = BUF_INIT(AUDIT_LINK_MAX);
    size_t                          tail = line.len < AUDIT_LINK_MAX ? line.len : AUDIT_LINK_MAX;
    const uint8_t    *hit = memmem(line.ptr + line.len - tail, tail, mark.ptr, mark.len);
    struct audit_link link = { .node = "" };

    if (hit == NULL)
        return false;
    link.event = bytes_of(line.ptr, (size_t)(hit - line.ptr));
    struct bytes text = { hit, line.len - link.event.len };
    struct scan  s = { text, true };
    uint8_t      node[AUDIT_NODE_HEX / 2];
    scan_text(&s, BYTES_LIT(",\"trent\":{\"node\":\""));
    scan_hex(&s, node, sizeof node);
    scan_text(&s, BYTES_LIT("\",\"seq\":"));
    link.seq = scan_number(&s);
    scan_text(&s, BYTES_LIT(",\"prev\":\""));
    scan_hex(&s, link.prev, sizeof link.prev);
    if (!s.ok)
        return false;
    hex_write(link.node, bytes_of(node, sizeof node));
    audit_link_add(&again, link.node, link.seq, link.prev);
    if (!buf_ok(&again) || !bytes_eq(buf_bytes(&again), text))
        return false;
    *ret = link;
    return true;
}

void audit_link_hash(const uint8_t prev[32], struct bytes line, uint8_t ret[32])
{
    const struct bytes pieces[2] = { bytes_of(prev, 32), line };

    crypto_sha256_pieces(pieces, 2, ret);
}

/* --- events ---------------------------------------------------------------------------------------------- */

bool audit_kind_of(struct bytes line, enum audit_kind *ret)
{
    struct bytes id;

    if (!bytes_starts(line, BYTES_LIT(LINE_START)))
        return false;
    line = bytes_of(line.ptr + sizeof LINE_START - 1, line.len - (sizeof LINE_START - 1));
    if (!bytes_take(&line, UUID_TEXT, &id))
        return false;
    if (bytes_starts(line, BYTES_LIT(IS_CHECKPOINT)))
        *ret = AUDIT_KIND_CHECKPOINT;
    else if (bytes_starts(line, BYTES_LIT(IS_RECEIPT)))
        *ret = AUDIT_KIND_RECEIPT;
    else
        *ret = AUDIT_KIND_EVENT;
    return true;
}

struct bytes audit_id_of(struct bytes line)
{
    enum audit_kind kind;

    if (!audit_kind_of(line, &kind))
        return bytes_of(NULL, 0);
    return bytes_of(line.ptr + sizeof LINE_START - 1, UUID_TEXT);
}

/* Where the digits begin that `text` ends in. */
static size_t last_number(struct bytes text)
{
    size_t at = text.len;

    while (at > 0 && is_digit(text.ptr[at - 1]))
        at--;
    return at;
}

/* Cuts `name` and the number after it, which begins at `at`, off the end of `text`; false, changing
 * nothing, if it is not there. */
static bool cut_number(struct bytes *text, size_t at, struct bytes name, uint64_t *ret)
{
    if (at == text->len || at < name.len ||
        !bytes_eq(bytes_of(text->ptr + at - name.len, name.len), name))
        return false;
    struct scan s = { bytes_of(text->ptr + at, text->len - at), true };
    uint64_t    value = scan_number(&s);
    if (!s.ok)
        return false;
    text->len = at - name.len;
    *ret = value;
    return true;
}

/* The part of an event text that its signature covers; empty if it does not end in a signature. */
static struct bytes signed_part(struct bytes event)
{
    if (event.len < SIGNATURE_MEMBER || event.ptr[event.len - 1] != '"')
        return bytes_of(NULL, 0);
    struct bytes part = { event.ptr, event.len - SIGNATURE_MEMBER };
    struct bytes rest = { event.ptr + part.len, SIGNATURE_MEMBER };
    return bytes_starts(rest, BYTES_LIT(SIGNATURE)) ? part : bytes_of(NULL, 0);
}

void audit_ending(struct bytes event, int64_t *ret_time, uint64_t *ret_commit)
{
    struct bytes part = signed_part(event);
    uint64_t     time = 0;
    uint64_t     commit = 0;

    if (part.len > 0)
        event = part;
    size_t at = last_number(event);
    if (cut_number(&event, at, BYTES_LIT(",\"commit\":"), &commit))
        at = last_number(event);
    if (!cut_number(&event, at, BYTES_LIT(",\"eventTimeMs\":"), &time) || time > INT64_MAX)
        time = 0;
    *ret_time = (int64_t)time;
    *ret_commit = commit;
}

enum kms_status audit_signature_add(struct buf *out, size_t start,
                                    const struct audit_config *config, struct kms_error *reterr)
{
    uint8_t signature[ED25519_SIG_LEN];

    if (!buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: no memory for a signed record");
    struct bytes text = { out->ptr + start, out->len - start };
    TRY(config->sign(config->sign_ctx, text, signature, reterr));
    buf_add(out, BYTES_LIT(SIGNATURE));
    base64_add(out, bytes_of(signature, sizeof signature));
    buf_add_byte(out, '"');
    if (!buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "audit: no memory for a signed record");
    return KMS_OK;
}

bool audit_signature_ok(struct bytes event, const uint8_t public_key[32])
{
    struct bytes part = signed_part(event);
    uint8_t      signature[AUDIT_SIGNATURE_HEX];
    size_t       len = 0;

    if (part.len == 0)
        return false;
    struct bytes text = { part.ptr + part.len + sizeof SIGNATURE - 1, AUDIT_SIGNATURE_HEX };
    return base64_read(text, signature, &len) && len == ED25519_SIG_LEN &&
           crypto_ed25519_verify(bytes_of(public_key, ED25519_PUB_LEN), part,
                                 bytes_of(signature, len));
}

/* --- checkpoints ----------------------------------------------------------------------------------------- */

/* Checkpoints need no random id: the chain head they sign names them. */
static void checkpoint_start(struct buf *out, const struct audit_checkpoint *c)
{
    uint8_t uuid[16];
    char    id[UUID_TEXT];

    memcpy(uuid, c->head, sizeof uuid);
    uuid_make_v4(uuid);
    uuid_write(id, uuid);
    buf_add(out, BYTES_LIT(LINE_START));
    buf_add(out, bytes_of(id, sizeof id));
    buf_add(out, BYTES_LIT(IS_CHECKPOINT));
}

void audit_checkpoint_add(struct buf *out, const struct audit_checkpoint *c)
{
    checkpoint_start(out, c);
    buf_add_str(out, "\"node\":\"");
    hex_add(out, bytes_of(c->node, sizeof c->node));
    buf_add_str(out, "\",\"firstSeq\":");
    buf_add_decimal(out, c->first);
    buf_add_str(out, ",\"lastSeq\":");
    buf_add_decimal(out, c->last);
    buf_add_str(out, ",\"chainHead\":\"");
    hex_add(out, bytes_of(c->head, sizeof c->head));
    buf_add_str(out, "\",\"previousCheckpoint\":\"");
    hex_add(out, bytes_of(c->previous, sizeof c->previous));
    buf_add_str(out, "\",\"slotGenerations\":[");
    buf_add_decimal(out, c->slot_generation[0]);
    buf_add_str(out, ",");
    buf_add_decimal(out, c->slot_generation[1]);
    buf_add_str(out, "],\"lastCommit\":");
    buf_add_decimal(out, c->commit);
    buf_add_str(out, ",\"publicKey\":\"");
    hex_add(out, bytes_of(c->public_key, sizeof c->public_key));
    buf_add_str(out, "\"},\"userIdentity\":{\"invokedBy\":\"Trent\"},\"eventTime\":\"");
    date_iso8601_add(out, c->time);
    buf_add_str(out,
                "\",\"eventSource\":\"kms.amazonaws.com\",\"requestParameters\":null,"
                "\"responseElements\":null,\"readOnly\":true,\"eventType\":\"AwsServiceEvent\","
                "\"managementEvent\":true,\"eventTimeMs\":");
    buf_add_decimal(out, (uint64_t)c->time);
    buf_add_str(out, ",\"commit\":");
    buf_add_decimal(out, c->commit);
}

bool audit_checkpoint_parse(struct bytes event, struct audit_checkpoint *ret)
{
    CLEANUP(buf_release) struct buf again = BUF_INIT(4096);
    struct bytes                    part = signed_part(event);
    struct audit_checkpoint         c = { .first = 0 };
    struct bytes                    id;
    struct scan                     s = { part, true };
    uint64_t                        commit;

    scan_text(&s, BYTES_LIT(LINE_START));
    s.ok = s.ok && bytes_take(&s.at, UUID_TEXT, &id);
    scan_text(&s, BYTES_LIT(IS_CHECKPOINT "\"node\":\""));
    scan_hex(&s, c.node, sizeof c.node);
    scan_text(&s, BYTES_LIT("\",\"firstSeq\":"));
    c.first = scan_number(&s);
    scan_text(&s, BYTES_LIT(",\"lastSeq\":"));
    c.last = scan_number(&s);
    scan_text(&s, BYTES_LIT(",\"chainHead\":\""));
    scan_hex(&s, c.head, sizeof c.head);
    scan_text(&s, BYTES_LIT("\",\"previousCheckpoint\":\""));
    scan_hex(&s, c.previous, sizeof c.previous);
    scan_text(&s, BYTES_LIT("\",\"slotGenerations\":["));
    c.slot_generation[0] = scan_number(&s);
    scan_text(&s, BYTES_LIT(","));
    c.slot_generation[1] = scan_number(&s);
    scan_text(&s, BYTES_LIT("],\"lastCommit\":"));
    c.commit = scan_number(&s);
    scan_text(&s, BYTES_LIT(",\"publicKey\":\""));
    scan_hex(&s, c.public_key, sizeof c.public_key);
    if (!s.ok)
        return false;
    audit_ending(event, &c.time, &commit);
    audit_checkpoint_add(&again, &c);
    if (!buf_ok(&again) || !bytes_eq(buf_bytes(&again), part))
        return false;
    *ret = c;
    return true;
}

/* --- receipts --------------------------------------------------------------------------------------------- */

static void add_flag(struct buf *out, const char *name, bool value)
{
    buf_add_str(out, name);
    buf_add_str(out, value ? "true" : "false");
}

static void add_count(struct buf *out, const char *name, uint64_t value)
{
    buf_add_str(out, name);
    buf_add_decimal(out, value);
}

static void add_hex(struct buf *out, const char *name, struct bytes value)
{
    buf_add_str(out, name);
    hex_add(out, value);
    buf_add_str(out, "\"");
}

/* A string of ours (names, ARNs, numbers): nothing in it needs escaping, and what does is left out. */
static void add_word(struct buf *out, const char *name, struct bytes value)
{
    buf_add_str(out, name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] >= 0x20 && value.ptr[i] < 0x7f && value.ptr[i] != '"' &&
            value.ptr[i] != '\\')
            buf_add_byte(out, value.ptr[i]);
    }
    buf_add_str(out, "\"");
}

/* The id follows from what was erased, so that one erasure has one receipt id. */
static void receipt_start(struct buf *out, const uint8_t node[16], const struct audit_receipt *r)
{
    CLEANUP(buf_release) struct buf what = BUF_INIT(4096);
    uint8_t                         hash[32];
    char                            id[UUID_TEXT];

    buf_add_field(&what, bytes_of(node, 16));
    buf_add_field(&what, r->key_arn);
    buf_add_field(&what, bytes_str(r->slot_class));
    buf_add_u32(&what, r->slot);
    buf_add_u64(&what, r->slot_generation);
    buf_add_u64(&what, (uint64_t)r->time);
    crypto_sha256(buf_bytes(&what), hash);
    uuid_make_v4(hash);
    uuid_write(id, hash);
    buf_add(out, BYTES_LIT(LINE_START));
    buf_add(out, bytes_of(id, sizeof id));
    buf_add(out, BYTES_LIT(IS_RECEIPT));
}

static void receipt_details(struct buf *out, const uint8_t node[16], const struct audit_receipt *r)
{
    add_hex(out, "\"node\":\"", bytes_of(node, 16));
    add_word(out, ",\"keyArn\":\"", r->key_arn);
    if (r->material_id != NULL)
        add_word(out, ",\"materialId\":\"", bytes_str(r->material_id));
    else
        buf_add_str(out, ",\"materialId\":null");
    add_word(out, ",\"reason\":\"", bytes_str(r->reason));
    add_count(out, ",\"tombstoneTimeMs\":", (uint64_t)r->tombstone_time);
    add_count(out, ",\"tombstoneCommit\":", r->commit);
    add_word(out, ",\"slotClass\":\"", bytes_str(r->slot_class));
    add_count(out, ",\"slot\":", r->slot);
    add_count(out, ",\"slotGeneration\":", r->slot_generation);
    add_count(out, ",\"fileGeneration\":", r->file_generation);
    add_word(out, ",\"eraseGrade\":\"", bytes_str(r->grade));
    add_word(out, ",\"filesystem\":\"", bytes_str(r->filesystem));
    add_hex(out, ",\"extentsBefore\":\"", bytes_of(r->extents_before, sizeof r->extents_before));
    add_hex(out, ",\"extentsAfter\":\"", bytes_of(r->extents_after, sizeof r->extents_after));
    add_flag(out, ",\"readBackVerified\":", r->verified);
    add_flag(out, ",\"alreadyEmpty\":", r->already_empty);
    add_flag(out, ",\"databaseClean\":", r->database_clean);
    buf_add_str(out, "}");
}

void audit_receipt_add(struct buf *out, const uint8_t node[16], const struct audit_receipt *r)
{
    receipt_start(out, node, r);
    receipt_details(out, node, r);
    add_word(out, ",\"userIdentity\":{\"invokedBy\":\"Trent\",\"accountId\":\"", r->account);
    buf_add_str(out, "},\"eventTime\":\"");
    date_iso8601_add(out, r->time);
    add_word(out, "\",\"eventSource\":\"kms.amazonaws.com\",\"awsRegion\":\"", r->region);
    buf_add_str(out, ",\"requestParameters\":null,\"responseElements\":null,\"readOnly\":false,");
    add_word(out, "\"resources\":[{\"accountId\":\"", r->account);
    add_word(out, ",\"type\":\"AWS::KMS::Key\",\"ARN\":\"", r->key_arn);
    buf_add_str(out, "}],\"eventType\":\"AwsServiceEvent\",\"managementEvent\":true,");
    add_word(out, "\"recipientAccountId\":\"", r->account);
    add_count(out, ",\"eventTimeMs\":", (uint64_t)r->time);
    add_count(out, ",\"commit\":", r->commit);
}

struct bytes audit_receipt_key(struct bytes line)
{
    const struct bytes name = BYTES_LIT(",\"keyArn\":\"");
    enum audit_kind    kind;
    struct bytes       arn;
    const size_t       at = sizeof LINE_START - 1 + UUID_TEXT + sizeof IS_RECEIPT - 1 +
                      sizeof "\"node\":\"" - 1 + 32 + 1;

    if (!audit_kind_of(line, &kind) || kind != AUDIT_KIND_RECEIPT || line.len < at)
        return bytes_of(NULL, 0);
    struct bytes rest = { line.ptr + at, line.len - at };
    if (!bytes_starts(rest, name))
        return bytes_of(NULL, 0);
    rest = bytes_of(rest.ptr + name.len, rest.len - name.len);
    return bytes_cut(&rest, '"', &arn) ? arn : bytes_of(NULL, 0);
}
