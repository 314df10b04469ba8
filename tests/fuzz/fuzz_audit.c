/* tests/fuzz/fuzz_audit.c - an audit log that was tampered with never verifies as good.
 *
 * The input is a program of edits on an honest log of 22 lines, or (first byte 'R') the log itself.
 * Without a witness only that log, and what it was after one of its checkpoints, may be good; with
 * one only that log. A receipt whose signature holds is one of the log's own. What verifies also
 * opens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto_start.h"
#include "audit/files.h"
#include "audit/format.h"
#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 20, LOG_LIMIT = 1 << 20, NAME_TIME = 1763747101 };

#define LOG_NAME "trent-20251121T174501Z-000000000001.jsonl"

static const uint8_t node[16] = { 0xab, 0xcd, 0xef, 0x01 };
static uint8_t       seed[32] = {
    /* RFC 8032 test 1 */
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
};
static const uint8_t public_key[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};

static struct {
    char         dir[64];
    char         log[128], key[128], witness[128];
    struct buf   honest;
    struct bytes last_checkpoint;
} world;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_audit: %s\n", what);
        abort();
    }
}

/* --- the honest log --------------------------------------------------------------------------- */

static enum kms_status sign(void *ctx, struct bytes message, uint8_t ret[64],
                            struct kms_error *reterr)
{
    return crypto_ed25519_sign(bytes_of(ctx, sizeof seed), message, ret, reterr);
}

struct chain {
    uint64_t seq, checkpoint;
    uint8_t  head[32], previous[32];
};

static void add_line(struct buf *log, struct chain *c, struct buf *text)
{
    char name[AUDIT_NODE_HEX + 1];

    audit_node_name(node, name);
    audit_link_add(text, name, ++c->seq, c->head);
    audit_link_hash(c->head, buf_bytes(text), c->head);
    buf_add(log, buf_bytes(text));
    buf_add_byte(log, '\n');
    buf_reset(text);
}

static void add_event(struct buf *log, struct chain *c, struct buf *text)
{
    struct audit_event e = { .time = NAME_TIME * INT64_C(1000) + (int64_t)c->seq,
                             .event_id = "00000000-0000-4000-8000-000000000000",
                             .event_type = "AwsApiCall",
                             .event_name = "Encrypt",
                             .commit = c->seq };

    audit_event_write(text, &e);
    add_line(log, c, text);
}

static void add_checkpoint(struct buf *log, struct chain *c, struct buf *text)
{
    struct audit_config     signer = { .sign = sign, .sign_ctx = seed };
    struct audit_checkpoint point = { .first = c->checkpoint + 1, .last = c->seq, .time = 5 };
    size_t                  start = log->len;

    memcpy(point.node, node, sizeof node);
    memcpy(point.head, c->head, sizeof point.head);
    memcpy(point.previous, c->previous, sizeof point.previous);
    memcpy(point.public_key, public_key, sizeof public_key);
    audit_checkpoint_add(text, &point);
    must(audit_signature_add(text, 0, &signer, NULL) == KMS_OK, "cannot sign");
    add_line(log, c, text);
    c->checkpoint = c->seq;
    memcpy(c->previous, c->head, sizeof c->previous);
    world.last_checkpoint = bytes_of(log->ptr + start, log->len - start - 1);
}

static void add_receipt(struct buf *log, struct chain *c, struct buf *text)
{
    struct audit_config  signer = { .sign = sign, .sign_ctx = seed };
    struct audit_receipt r = { .time = 7,
                               .key_arn = BYTES_LIT("arn:aws:kms:r:1:key/k"),
                               .reason = "api",
                               .slot_class = "erasable",
                               .slot = (uint32_t)c->seq,
                               .grade = "B",
                               .filesystem = "ext4" };

    audit_receipt_add(text, node, &r);
    must(audit_signature_add(text, 0, &signer, NULL) == KMS_OK, "cannot sign");
    add_line(log, c, text);
}

static void write_file(const char *path, struct bytes content)
{
    FILE *file = fopen(path, "wb");

    must(file != NULL, path);
    if (content.len > 0)
        must(fwrite(content.ptr, 1, content.len, file) == content.len, path);
    must(fclose(file) == 0, path);
}

static void clean_up(void)
{
    (void)unlink(world.log);
    (void)unlink(world.key);
    (void)unlink(world.witness);
    (void)rmdir(world.dir);
    buf_release(&world.honest);
}

static void set_up(void)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(65536);
    CLEANUP(buf_release) struct buf pem = BUF_INIT(4096);
    struct chain                    c = { .seq = 0 };

    must(start_crypto() == KMS_OK, "no crypto");
    (void)snprintf(world.dir, sizeof world.dir, "%s/trent-fuzz-audit-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(world.dir) != NULL, "no temporary folder");
    (void)snprintf(world.log, sizeof world.log, "%s/%s", world.dir, LOG_NAME);
    (void)snprintf(world.key, sizeof world.key, "%s/audit.pub", world.dir);
    (void)snprintf(world.witness, sizeof world.witness, "%s/witness", world.dir);
    buf_init(&world.honest, LOG_LIMIT);
    must(buf_reserve(&world.honest, LOG_LIMIT), "no memory"); /* views into it stay valid */
    for (int i = 0; i < RECORDS; i++) {
        if (i % 10 == 5)
            add_receipt(&world.honest, &c, &text);
        else
            add_event(&world.honest, &c, &text);
        if (i % 10 == 9)
            add_checkpoint(&world.honest, &c, &text);
    }
    audit_public_key_pem(&pem, public_key);
    write_file(world.key, buf_bytes(&pem));
    write_file(world.witness, world.last_checkpoint);
    (void)atexit(clean_up);
}

/* --- edits ------------------------------------------------------------------------------------ */

/* The n-th line (counted around), with its newline if it has one. */
static struct bytes line_of(const struct buf *log, unsigned n)
{
    struct bytes text = buf_bytes(log);
    struct bytes line = { NULL, 0 };
    unsigned     count = 0;

    for (size_t i = 0; i < log->len; i++)
        count += log->ptr[i] == '\n';
    if (count == 0)
        return text;
    for (n %= count; bytes_cut(&text, '\n', &line) && n > 0; n--)
        continue;
    return bytes_of(line.ptr, line.len + 1);
}

static void splice(struct buf *log, size_t at, size_t len, struct bytes with)
{
    CLEANUP(buf_release) struct buf tail = BUF_INIT(LOG_LIMIT);
    CLEANUP(buf_release) struct buf copy = BUF_INIT(LOG_LIMIT);

    buf_add(&copy, with);
    buf_add(&tail, bytes_of(log->ptr + at + len, log->len - at - len));
    buf_truncate(log, at);
    buf_add(log, buf_bytes(&copy));
    buf_add(log, buf_bytes(&tail));
}

/* Makes every link fit again, as anybody can; signatures stay what they are. */
static void relink(struct buf *log)
{
    CLEANUP(buf_release) struct buf fresh = BUF_INIT(LOG_LIMIT);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LOG_LIMIT);
    struct bytes                    rest = buf_bytes(log);
    struct bytes                    line;
    struct chain                    c = { .seq = 0 };

    while (bytes_cut(&rest, '\n', &line)) {
        struct audit_link link;
        buf_add(&text, audit_link_parse(line, &link) ? link.event : line);
        add_line(&fresh, &c, &text);
    }
    buf_reset(log);
    buf_add(log, buf_bytes(&fresh));
}

/* One edit: a kind and three bytes. */
static void edit(struct buf *log, const uint8_t op[4])
{
    struct bytes line = line_of(log, op[1]);
    size_t       at = (size_t)(line.ptr - log->ptr);
    size_t       inside = line.len == 0 ? 0 : ((size_t)op[2] << 4 | op[3] >> 4) % line.len;

    if (log->len == 0)
        return;
    switch (op[0] % 9) {
    case 0:  log->ptr[at + inside] ^= (uint8_t)(1u << (op[3] & 7)); break;
    case 1:  splice(log, at, line.len, bytes_of(NULL, 0)); break;
    case 2:  splice(log, at, 0, line_of(log, op[2])); break;
    case 3:  splice(log, at, line.len, line_of(log, op[2])); break;
    case 4:  buf_truncate(log, at + inside); break;
    case 5:  log->ptr[at + inside] = op[3]; break;
    case 6:  splice(log, at + inside, 1, bytes_of(NULL, 0)); break;
    case 7:  splice(log, at + inside, 0, bytes_of(op, 4)); break;
    case 8:  relink(log); break;
    default: break;
    }
}

static void make_log(struct bytes in, struct buf *log)
{
    struct bytes op;

    if (bytes_starts(in, BYTES_LIT("R"))) {
        buf_add(log, bytes_of(in.ptr + 1, in.len - 1));
        return;
    }
    buf_add(log, buf_bytes(&world.honest));
    for (int i = 0; i < 16 && bytes_take(&in, 4, &op); i++)
        edit(log, op.ptr);
}

/* --- properties ------------------------------------------------------------------------------- */

/* The honest log as it was after one of its checkpoints. */
static bool shorter(const struct buf *log)
{
    enum audit_kind kind;

    if (log->len == 0 || log->ptr[log->len - 1] != '\n' ||
        !bytes_starts(buf_bytes(&world.honest), buf_bytes(log)))
        return false;
    const uint8_t *hit = log->len < 2 ? NULL : memrchr(log->ptr, '\n', log->len - 1);
    size_t         at = hit == NULL ? 0 : (size_t)(hit + 1 - log->ptr);
    return audit_kind_of(bytes_of(log->ptr + at, log->len - at), &kind) &&
           kind == AUDIT_KIND_CHECKPOINT;
}

static void visit(void *ctx, struct bytes line, bool signature_ok)
{
    struct audit_link link;

    (void)ctx;
    if (!signature_ok)
        return;
    must(audit_link_parse(line, &link), "a good receipt without a link");
    must(memmem(world.honest.ptr, world.honest.len, link.event.ptr, link.event.len) != NULL,
         "a forged receipt has a good signature");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf log = BUF_INIT(LOG_LIMIT);
    struct audit_verify_options     o = { .dir = world.dir, .to = UINT64_MAX };
    struct audit_report             alone;
    struct audit_report             witnessed;
    struct audit_head               head;

    if (world.dir[0] == '\0')
        set_up();
    make_log(bytes_of(data, size), &log);
    write_file(world.log, buf_bytes(&log));
    bool same = bytes_eq(buf_bytes(&log), buf_bytes(&world.honest));

    audit_verify(&o, &alone);
    o.witness_file = world.witness;
    audit_verify(&o, &witnessed);
    must((witnessed.verdict == AUDIT_GOOD) == same, "with a witness only the honest log is good");
    must((alone.verdict == AUDIT_GOOD) == shorter(&log), "only an honest log is good");
    must(alone.verdict != AUDIT_UNUSABLE && witnessed.verdict != AUDIT_UNUSABLE, "cannot be read");

    o.allow_tail = true;
    audit_verify(&o, &witnessed);
    must(witnessed.verdict != AUDIT_GOOD || bytes_starts(buf_bytes(&log), buf_bytes(&world.honest)),
         "a tail may follow the honest log, no more");
    enum kms_status opened = audit_peek(world.dir, &head, NULL);
    if (alone.verdict == AUDIT_GOOD)
        must(opened == KMS_OK && head.seq == alone.head_seq && head.dropped == 0 &&
                 bytes_eq(bytes_of(head.hash, 32), bytes_of(alone.head, 32)),
             "what verifies does not open");
    must(audit_receipts(world.dir, NULL, NULL, visit, NULL, NULL) == KMS_OK ||
             size > AUDIT_LINE_MAX,
         "receipts cannot be read");
    return 0;
}
