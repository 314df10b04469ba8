/* audit/verify.c - does the log still say what it said when it was written?
 *
 * Three things are held against each line: the link it must end with (node, number, hash of all
 * before it: known in advance, so one comparison of bytes), the hash that the next line must
 * repeat, and, every thousand lines, a signature over the hash. JSON is not parsed: what was
 * signed is bytes.
 *
 * Wrong is TAMPERED; lines that are not there, or that no signature covers yet, are INCOMPLETE.
 * TAMPERED ends the check, INCOMPLETE goes on looking for worse.
 */
#include "audit/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "audit/files.h"
#include "audit/format.h"
#include "base/cleanup.h"
#include "base/file.h"

enum { WITNESS_MAX = 64 * 1024 * 1024 };

struct verifier {
    const struct audit_verify_options *o;
    struct audit_report                r;
    uint8_t                            public_key[32];
    struct audit_files                 files;

    const char *file; /* being read */
    uint64_t    line; /* its line */

    bool     linked; /* `seq` and `head` are known: the next line must fit them */
    uint64_t seq;    /* of the last line read */
    uint8_t  head[32];
    char     node[AUDIT_NODE_HEX + 1]; /* "" before the first line */
    bool     after_checkpoint;         /* `checkpoint_hash` is that of the checkpoint before */
    uint8_t  checkpoint_hash[32];
    uint64_t since; /* records after it */
    bool     done;  /* the range has been covered, or nothing more is to be said */

    struct buf   witness; /* text of the witness file */
    struct bytes witness_left;
    struct bytes witness_line; /* next one that must be met; empty for none */
    uint64_t     witness_seq;
};

const char *audit_verdict_name(enum audit_verdict verdict)
{
    switch (verdict) {
    case AUDIT_GOOD:       return "good";
    case AUDIT_TAMPERED:   return "TAMPERED";
    case AUDIT_INCOMPLETE: return "incomplete";
    case AUDIT_UNUSABLE:   break;
    }
    return "unusable";
}

/* --- verdicts --------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void conclude(struct verifier   *v,
                                                           enum audit_verdict verdict,
                                                           const char        *fmt, ...)
{
    va_list args;

    if (v->r.verdict == AUDIT_INCOMPLETE && verdict == AUDIT_INCOMPLETE)
        return; /* the first gap is the one to name */
    v->r.verdict = verdict;
    va_start(args, fmt);
    (void)vsnprintf(v->r.why, sizeof v->r.why, fmt, args);
    va_end(args);
}

/* `seq` is the record that should have stood there. */
static void tampered(struct verifier *v, uint64_t seq, const char *why)
{
    conclude(v, AUDIT_TAMPERED, "seq %llu: %s ('%s' line %llu)", (unsigned long long)seq, why,
             v->file, (unsigned long long)v->line);
    v->r.first_bad_seq = seq;
    v->done = true;
}

static void unusable(struct verifier *v, const char *why)
{
    conclude(v, AUDIT_UNUSABLE, "%s", why);
    v->done = true;
}

/* --- witness ------------------------------------------------------------------------------------------------ */

/* Takes the next saved checkpoint out of the witness file, past repetitions of the one before; false
 * if it is not one of this key's, oldest first. */
static bool next_witness(struct verifier *v)
{
    struct bytes before = v->witness_line;

    v->witness_line = bytes_of(NULL, 0);
    while (v->witness_left.len > 0) {
        struct audit_link       link;
        struct audit_checkpoint c;
        struct bytes            line;
        if (!bytes_cut(&v->witness_left, '\n', &line)) {
            line = v->witness_left;
            v->witness_left = bytes_of(NULL, 0);
        }
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || bytes_eq(line, before))
            continue;
        if (!audit_link_parse(line, &link) || !audit_checkpoint_parse(link.event, &c) ||
            !audit_signature_ok(link.event, v->public_key) || link.seq <= v->witness_seq)
            return false;
        v->witness_seq = link.seq;
        v->witness_line = line;
        return true;
    }
    return true;
}

static bool witness_bad(struct verifier *v)
{
    if (next_witness(v))
        return false;
    conclude(v, AUDIT_UNUSABLE,
             "witness file '%s' holds something that is not a checkpoint signed by this key, "
             "oldest first",
             v->o->witness_file);
    v->done = true;
    return true;
}

static void load_witness(struct verifier *v)
{
    struct kms_error err;

    if (v->o->witness_file == NULL)
        return;
    if (file_read(v->o->witness_file, &v->witness, &err) != KMS_OK) {
        unusable(v, err.detail);
        return;
    }
    v->witness_left = buf_bytes(&v->witness);
    if (!witness_bad(v) && v->witness_line.len == 0)
        unusable(v, "the witness file is empty");
}

/* A line has been read whose number a witness may know. */
static void compare_witness(struct verifier *v, struct bytes line)
{
    while (!v->done && v->witness_line.len > 0 && v->witness_seq < v->seq) {
        if (v->o->from <= v->witness_seq)
            conclude(v, AUDIT_INCOMPLETE,
                     "the witnessed checkpoint %llu is in a file that is missing",
                     (unsigned long long)v->witness_seq);
        (void)witness_bad(v);
    }
    if (v->done || v->witness_line.len == 0 || v->witness_seq != v->seq)
        return;
    if (bytes_eq(v->witness_line, line))
        (void)witness_bad(v);
    else
        tampered(v, v->seq, "witness mismatch: another checkpoint was witnessed here");
}

/* --- lines --------------------------------------------------------------------------------------------------- */

static bool all_zero(const uint8_t hash[32])
{
    static const uint8_t zero[32];

    return audit_hash_eq(hash, zero);
}

static const char *misfit(const struct verifier *v, const struct audit_link *link)
{
    if (strcmp(link->node, v->node) != 0)
        return "order: a record of another node";
    if (link->seq == v->seq + 1)
        return "hash: the record before it, or this one's link, was changed";
    return link->seq <= v->seq ? "order: a record repeated or moved"
                               : "gap: records were taken out";
}

/* Checks the link when what it must be is known: false if it is something else. */
static bool expected_link(const struct verifier *v, struct bytes line, struct bytes *ret_event)
{
    uint8_t    room[AUDIT_LINK_MAX];
    struct buf want = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    audit_link_add(&want, v->node, v->seq + 1, v->head);
    if (line.len < want.len)
        return false;
    *ret_event = bytes_of(line.ptr, line.len - want.len);
    return bytes_eq(bytes_of(line.ptr + ret_event->len, want.len), buf_bytes(&want));
}

/* The first line read, or the first after a missing file: its own word is taken for what came before
 * it, until the next checkpoint confirms it. */
static void start_chain(struct verifier *v, const struct audit_link *link)
{
    if (v->node[0] == '\0')
        memcpy(v->node, link->node, sizeof v->node);
    else if (strcmp(v->node, link->node) != 0)
        tampered(v, link->seq, "order: a record of another node");
    if (link->seq == 0 || (link->seq == 1 && !all_zero(link->prev)))
        tampered(v, link->seq, "hash: the first record must follow nothing");
    v->seq = link->seq - 1;
    memcpy(v->head, link->prev, sizeof v->head);
    v->linked = true;
}

static void check_checkpoint(struct verifier *v, struct bytes event)
{
    struct audit_checkpoint c;
    char                    node[AUDIT_NODE_HEX + 1];

    if (!audit_checkpoint_parse(event, &c) || !audit_signature_ok(event, v->public_key)) {
        tampered(v, v->seq, "signature: this checkpoint was not signed by the audit key");
        return;
    }
    audit_node_name(c.node, node);
    if (!audit_hash_eq(c.public_key, v->public_key) || strcmp(node, v->node) != 0)
        tampered(v, v->seq, "signature: a checkpoint of another node or key");
    else if (c.last != v->seq - 1 || !audit_hash_eq(c.head, v->head))
        tampered(v, v->seq, "hash: the records before it are not those that were signed");
    else if (v->after_checkpoint &&
             (!audit_hash_eq(c.previous, v->checkpoint_hash) || c.first != v->seq - v->since))
        tampered(v, v->seq, "gap: a checkpoint before this one is missing");
    else if (!v->after_checkpoint && c.first == 1 && !all_zero(c.previous))
        tampered(v, v->seq, "gap: a checkpoint before this one is missing");
    if (v->done)
        return;
    v->r.checkpoint_seq = v->seq;
    v->r.checkpoint_time = c.time;
}

static void check_event(struct verifier *v, struct bytes line, struct bytes event, bool in_range)
{
    enum audit_kind kind = AUDIT_KIND_EVENT;

    if (!audit_kind_of(event, &kind)) {
        tampered(v, v->seq, "hash: not an audit record");
        return;
    }
    if (kind == AUDIT_KIND_CHECKPOINT)
        check_checkpoint(v, event); /* against the head before this line */
    if (kind == AUDIT_KIND_RECEIPT && !audit_signature_ok(event, v->public_key))
        tampered(v, v->seq, "signature: this receipt was not signed by the audit key");
    if (v->done)
        return;

    audit_link_hash(v->head, line, v->head);
    v->since++;
    if (kind == AUDIT_KIND_CHECKPOINT) {
        memcpy(v->checkpoint_hash, v->head, sizeof v->checkpoint_hash);
        v->after_checkpoint = true;
        v->since = 0;
    }
    v->r.records += in_range;
    v->r.checkpoints += in_range && kind == AUDIT_KIND_CHECKPOINT;
    v->r.receipts += in_range && kind == AUDIT_KIND_RECEIPT;
    compare_witness(v, line);
    /* a checkpoint from the end of the range on says all that was asked */
    if (kind == AUDIT_KIND_CHECKPOINT && v->seq >= v->o->to)
        v->done = true;
}

static void check_line(struct verifier *v, struct bytes line)
{
    struct bytes      event;
    struct audit_link link;

    if (!v->linked || !expected_link(v, line, &event)) {
        if (!audit_link_parse(line, &link)) {
            tampered(v, v->seq + 1, "hash: not an audit record");
            return;
        }
        if (v->linked) {
            tampered(v, v->seq + 1, misfit(v, &link));
            return;
        }
        start_chain(v, &link);
        event = link.event;
    }
    if (v->done)
        return;
    v->seq++;
    check_event(v, line, event, v->seq >= v->o->from && v->seq <= v->o->to);
}

/* --- files --------------------------------------------------------------------------------------------------- */

/* Before the first line of a file: is it the one that comes next? */
static void enter_file(struct verifier *v, const struct audit_file *file)
{
    v->file = file->name;
    v->line = 0;
    if (!v->linked && v->o->from == 0 && file->first != 1) {
        conclude(v, AUDIT_INCOMPLETE, "records 1 to %llu are missing: no file before '%s'",
                 (unsigned long long)file->first - 1, file->name);
    } else if (v->linked && file->first > v->seq + 1) {
        conclude(v, AUDIT_INCOMPLETE, "records %llu to %llu are missing: no file before '%s'",
                 (unsigned long long)v->seq + 1, (unsigned long long)file->first - 1, file->name);
        v->linked = false;
        v->after_checkpoint = false;
    } else if (v->linked && file->first != v->seq + 1) {
        tampered(v, v->seq + 1,
                 "order: this file's name does not say the record it must begin with");
    }
    if (!v->linked)
        v->seq = file->first - 1;
}

static void end_file(struct verifier *v, enum line_result result, bool newest)
{
    if (result == LINE_END)
        return;
    v->line++;
    if (result == LINE_FAILED)
        unusable(v, strerror(errno));
    else if (result == LINE_LONG)
        tampered(v, v->seq + 1, "hash: a line longer than any record");
    else if (!newest)
        tampered(v, v->seq + 1, "hash: the last line of a finished file is cut off");
    else if (!v->o->allow_tail)
        conclude(v, AUDIT_INCOMPLETE, "the last line of '%s' is cut off after seq %llu", v->file,
                 (unsigned long long)v->seq);
}

static void check_file(struct verifier *v, size_t i)
{
    const struct audit_file *file = &v->files.list[i];
    CLEANUP(closep) int      fd = -1;
    struct bytes             line;
    struct kms_error         err;

    enter_file(v, file);
    if (v->done)
        return;
    if (audit_file_open(v->o->dir, file->name, O_RDONLY, &fd, &err) != KMS_OK) {
        unusable(v, err.detail);
        return;
    }
    CLEANUP(line_reader_release) struct line_reader r;
    if (!line_reader_init(&r, fd, 0)) {
        unusable(v, "out of memory");
        return;
    }
    while (!v->done) {
        enum line_result got = line_next(&r, &line);
        if (got != LINE_OK) {
            end_file(v, got, i + 1 == v->files.n);
            return;
        }
        v->line = r.number;
        check_line(v, line);
        if (v->line == 1 && !v->done && v->seq != file->first)
            tampered(v, file->first,
                     "order: this file's name does not say the record it begins with");
    }
}

/* --- the whole ------------------------------------------------------------------------------------------------ */

static void prepare(struct verifier *v)
{
    char             path[FILE_PATH_MAX];
    const char      *key_file = v->o->public_key_file;
    struct kms_error err;

    if (key_file == NULL) {
        if (!file_join(path, v->o->dir, "audit.pub")) {
            unusable(v, "path too long");
            return;
        }
        key_file = path;
    }
    if (v->o->from > v->o->to)
        unusable(v, "the range ends before it begins");
    else if (audit_public_key_read(key_file, v->public_key, &err) != KMS_OK ||
             audit_files_list(v->o->dir, &v->files, &err) != KMS_OK)
        unusable(v, err.detail);
    else
        load_witness(v);
}

/* The file that holds record `from`, or the first. */
static size_t first_file(const struct verifier *v)
{
    size_t i = 0;

    while (i + 1 < v->files.n && v->files.list[i + 1].first <= v->o->from)
        i++;
    return i;
}

/* All that is there has been read: is that all there should be? */
static void finish(struct verifier *v)
{
    v->r.head_seq = v->seq;
    memcpy(v->r.head, v->head, sizeof v->r.head);
    v->r.tail = v->since;
    if (v->done)
        return;
    if (v->witness_line.len > 0) {
        v->line++;
        tampered(v, v->seq + 1,
                 "witness mismatch: a checkpoint that was witnessed is missing, "
                 "the log was cut off");
    } else if (!v->linked) {
        conclude(v, AUDIT_INCOMPLETE, "there are no audit records in '%s'", v->o->dir);
    } else if (v->seq < v->o->from) {
        conclude(v, AUDIT_INCOMPLETE, "the log ends with seq %llu", (unsigned long long)v->seq);
    } else if (v->r.checkpoint_seq == 0) {
        conclude(v, AUDIT_INCOMPLETE, "no checkpoint: not one of %llu records is signed",
                 (unsigned long long)v->since);
    } else if (v->since > 0 && (!v->o->allow_tail || v->since > AUDIT_TAIL_MAX)) {
        conclude(v, AUDIT_INCOMPLETE, "%llu records after checkpoint %llu are not signed",
                 (unsigned long long)v->since, (unsigned long long)v->r.checkpoint_seq);
    }
}

void audit_verify(const struct audit_verify_options *o, struct audit_report *ret)
{
    struct verifier v = { .o = o, .file = "", .witness = BUF_INIT(WITNESS_MAX) };

    prepare(&v);
    for (size_t i = v.done ? 0 : first_file(&v); i < v.files.n && !v.done; i++)
        check_file(&v, i);
    finish(&v);
    *ret = v.r;
    audit_files_release(&v.files);
    buf_release(&v.witness);
}
