/* audit/format.h - the lines of the audit files, written and read; for audit/ only.
 *
 * Every line is
 *   {"eventVersion":"1.11","eventID":"<36>", ... [,"signature":"<88>"]LINK
 * with LINK = ,"trent":{"node":"<8 hex>","seq":N,"prev":"<64 hex>"}}
 * The start and the end are ours to the byte, so neither needs a JSON parser, and nothing a client
 * sends can stand there. Before the signature or the link come "eventTimeMs":N and, for changes,
 * "commit":N. Checkpoints and receipts have their eventName and serviceEventDetails right after
 * the event id, where ordinary events have userIdentity: no client can make a line that passes for one.
 *
 * What is signed is the text from the first brace up to the comma before "signature".
 */
#pragma once

#include "audit/audit.h"

enum {
    AUDIT_LINE_MAX = 1024 * 1024, /* a request body is at most 128 KiB; escaped six times as long */
    AUDIT_NODE_HEX = 8,
    AUDIT_LINK_MAX = 130,     /* longest link */
    AUDIT_SIGNATURE_HEX = 88, /* base64 of 64 bytes */
};

/* --- links --------------------------------------------------------------------------------------------- */

struct audit_link {
    char         node[AUDIT_NODE_HEX + 1];
    uint64_t     seq;
    uint8_t      prev[32];
    struct bytes event; /* the text before the link */
};

/* Appends the link to the event text in `line`. */
void audit_link_add(struct buf *line, const char *node, uint64_t seq, const uint8_t prev[32]);
/* Takes a line (without newline) apart. False unless the link is there exactly as we write it. */
KMS_MUST_CHECK bool audit_link_parse(struct bytes line, struct audit_link *ret);
/* The chain head after a line. */
void audit_link_hash(const uint8_t prev[32], struct bytes line, uint8_t ret[32]);
static inline bool audit_hash_eq(const uint8_t a[32], const uint8_t b[32])
{
    return bytes_eq(bytes_of(a, 32), bytes_of(b, 32));
}
/* First 8 hex digits of the instance id, NUL-terminated. */
void audit_node_name(const uint8_t node[16], char ret[AUDIT_NODE_HEX + 1]);

/* --- events ---------------------------------------------------------------------------------------------- */

enum audit_kind { AUDIT_KIND_EVENT, AUDIT_KIND_CHECKPOINT, AUDIT_KIND_RECEIPT };

/* What kind of line (or event text) this is, by its start; false if it does not start like a line. */
KMS_MUST_CHECK bool audit_kind_of(struct bytes line, enum audit_kind *ret);
/* The event id of a line; empty if it does not start like one. */
struct bytes audit_id_of(struct bytes line);
/* Time and commit number at the end of an event text; 0 where there is none. */
void audit_ending(struct bytes event, int64_t *ret_time, uint64_t *ret_commit);

/* Signs `out` from `start` on and appends the signature. */
KMS_MUST_CHECK enum kms_status audit_signature_add(struct buf *out, size_t start,
                                                   const struct audit_config *config,
                                                   struct kms_error          *reterr);
/* Does the event text end in a good signature over the rest? */
KMS_MUST_CHECK bool audit_signature_ok(struct bytes event, const uint8_t public_key[32]);

/* --- checkpoints ----------------------------------------------------------------------------------------- */

struct audit_checkpoint {
    uint8_t  node[16];
    uint64_t first, last;  /* records it is the first checkpoint to cover */
    uint8_t  head[32];     /* chain head after `last` */
    uint8_t  previous[32]; /* chain head after the previous checkpoint line; zero for the first */
    uint64_t slot_generation[2];
    uint64_t commit; /* highest so far */
    uint8_t  public_key[32];
    int64_t  time;
};
/* Appends the text up to the signature. */
void audit_checkpoint_add(struct buf *out, const struct audit_checkpoint *c);
/* Reads an event text (with its signature). False unless it is exactly what audit_checkpoint_add
 * writes for the result, followed by something that has the form of a signature. */
KMS_MUST_CHECK bool audit_checkpoint_parse(struct bytes event, struct audit_checkpoint *ret);

/* --- receipts --------------------------------------------------------------------------------------------- */

/* Appends the text up to the signature. */
void audit_receipt_add(struct buf *out, const uint8_t node[16], const struct audit_receipt *r);
/* The key's ARN in a receipt line; empty if it is not one. */
struct bytes audit_receipt_key(struct bytes line);
