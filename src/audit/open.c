/* audit/open.c - finding the end of the chain: back to the last checkpoint that is signed, then
 * forward from there, every link checked. Never reads more than that, however long the log is.
 *
 * What may be cut: the bytes after the last newline, since a record is written with one write and no
 * answer left before it was complete; and, since a power cut leaves unsynced blocks as zeros, what
 * follows the last line that fits if there are zero bytes in it. Anything else that does not fit is
 * refused: somebody has been at the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/internal.h"
#include "base/cleanup.h"
#include "base/encode.h"

struct search {
    const char        *dir;
    const uint8_t     *node;
    const uint8_t     *public_key;
    struct audit_files files;
    size_t             at;     /* file that the forward check begins in */
    uint64_t           offset; /* and where */
    char               node_name[AUDIT_NODE_HEX + 1];
    struct audit_chain chain;
    bool               linked; /* chain.seq and head are known */
};

static enum kms_status cannot_read(const struct search *s, const char *name,
                                   struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read '%s/%s': %s", s->dir, name,
                    strerror(errno));
}

/* The length of a file, and where its last complete line ends. */
static enum kms_status measure(const struct search *s, int fd, const char *name, uint64_t *ret_size,
                               uint64_t *ret_end, struct kms_error *reterr)
{
    struct stat st;
    uint8_t     block[4096];

    if (fstat(fd, &st) != 0)
        return cannot_read(s, name, reterr);
    uint64_t end = (uint64_t)st.st_size;
    *ret_size = end;
    while (end > 0) {
        size_t n = end < sizeof block ? (size_t)end : sizeof block;
        TRY(file_pread_all(fd, block, n, end - n, reterr));
        const uint8_t *hit = memrchr(block, '\n', n);
        if (hit != NULL) {
            *ret_end = end - n + (size_t)(hit + 1 - block);
            return KMS_OK;
        }
        end -= n;
    }
    *ret_end = 0;
    return KMS_OK;
}

/* --- back to the last checkpoint ------------------------------------------------------------------------- */

/* True if the line is a checkpoint of ours whose signature holds: the chain is known after it. */
static bool anchor(struct search *s, struct bytes line)
{
    struct audit_checkpoint c;
    struct audit_link       link;
    enum audit_kind         kind;

    if (!audit_kind_of(line, &kind) || kind != AUDIT_KIND_CHECKPOINT ||
        !audit_link_parse(line, &link) || !audit_checkpoint_parse(link.event, &c) ||
        !audit_signature_ok(link.event, s->public_key))
        return false;
    if (link.seq != c.last + 1 || !audit_hash_eq(link.prev, c.head) ||
        (s->node != NULL && !bytes_eq(bytes_of(s->node, 16), bytes_of(c.node, 16))))
        return false;
    audit_node_name(c.node, s->node_name);
    if (strcmp(link.node, s->node_name) != 0)
        return false;

    s->chain = (struct audit_chain){
        .seq = link.seq,
        .time = c.time,
        .commit = c.commit,
        .checkpoint_seq = link.seq,
        .checkpoint_time = c.time,
        .slot_generation = { c.slot_generation[0], c.slot_generation[1] },
    };
    audit_link_hash(link.prev, line, s->chain.head);
    memcpy(s->chain.checkpoint_hash, s->chain.head, sizeof s->chain.head);
    s->linked = true;
    return true;
}

static enum kms_status search_file(struct search *s, size_t i, struct kms_error *reterr)
{
    const char         *name = s->files.list[i].name;
    CLEANUP(closep) int fd = -1;
    uint64_t            size = 0;
    uint64_t            end = 0;
    uint64_t            start = 0;
    struct bytes        line;

    TRY(audit_file_open(s->dir, name, O_RDONLY, &fd, reterr));
    TRY(measure(s, fd, name, &size, &end, reterr));
    CLEANUP(line_backward_release) struct line_backward back;
    if (!line_backward_init(&back, fd, end))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read '%s'", name);
    for (;;) {
        enum line_result got = line_previous(&back, &line, &start);
        if (got == LINE_END)
            return KMS_OK;
        if (got == LINE_LONG)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s/%s' has a line over %d bytes", s->dir,
                            name, AUDIT_LINE_MAX);
        if (got != LINE_OK)
            return cannot_read(s, name, reterr);
        if (anchor(s, line)) {
            s->at = i;
            s->offset = start + line.len + 1;
            return KMS_OK;
        }
    }
}

static enum kms_status find_anchor(struct search *s, struct kms_error *reterr)
{
    for (size_t i = s->files.n; i-- > 0 && !s->linked;)
        TRY(search_file(s, i, reterr));
    if (s->linked || s->files.n == 0)
        return KMS_OK;
    if (s->files.list[0].first != 1)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "no checkpoint in '%s' is signed by this instance's audit key", s->dir);
    s->linked = true; /* not one checkpoint yet: from the very first record */
    return KMS_OK;
}

/* --- forward to the end ------------------------------------------------------------------------------------ */

/* Is this line the next link? NULL if so (then the chain has it), else what is wrong. */
static const char *follow(struct search *s, struct bytes line)
{
    struct audit_link link;
    enum audit_kind   kind;
    int64_t           time;
    uint64_t          commit;

    if (!audit_kind_of(line, &kind) || !audit_link_parse(line, &link))
        return "is not an audit record";
    if (s->node_name[0] == '\0')
        memcpy(s->node_name, link.node, sizeof s->node_name);
    if (strcmp(link.node, s->node_name) != 0)
        return "is of another instance";
    if (link.seq != s->chain.seq + 1)
        return "is out of sequence";
    if (!audit_hash_eq(link.prev, s->chain.head))
        return "does not fit the record before it";
    if (kind == AUDIT_KIND_CHECKPOINT)
        return "is a checkpoint that this instance's audit key has not signed";
    audit_link_hash(link.prev, line, s->chain.head);
    s->chain.seq = link.seq;
    s->chain.since++;
    audit_ending(link.event, &time, &commit);
    if (time > 0)
        s->chain.time = time;
    if (commit > s->chain.commit)
        s->chain.commit = commit;
    return NULL;
}

/* Does a power cut explain what stands from `offset` on? */
static enum kms_status has_zeros(int fd, uint64_t offset, uint64_t size, bool *ret,
                                 struct kms_error *reterr)
{
    uint8_t block[4096];

    *ret = false;
    while (offset < size && !*ret) {
        size_t n = size - offset < sizeof block ? (size_t)(size - offset) : sizeof block;
        TRY(file_pread_all(fd, block, n, offset, reterr));
        *ret = memchr(block, '\0', n) != NULL;
        offset += n;
    }
    return KMS_OK;
}

static enum kms_status misfit(const struct search *s, int fd, size_t i, uint64_t start,
                              uint64_t size, const char *why, struct audit_tail *ret,
                              struct kms_error *reterr)
{
    bool zeros = false;

    if (i + 1 == s->files.n)
        TRY(has_zeros(fd, start, size, &zeros, reterr));
    if (!zeros)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "audit file '%s/%s': line after seq %llu (byte %llu) %s; see 'trent audit verify'",
            s->dir, s->files.list[i].name, (unsigned long long)s->chain.seq,
            (unsigned long long)start, why);
    ret->end = start;
    ret->dropped = size - start;
    return KMS_OK;
}

static enum kms_status follow_file(struct search *s, size_t i, uint64_t offset,
                                   struct audit_tail *ret, struct kms_error *reterr)
{
    const char         *name = s->files.list[i].name;
    CLEANUP(closep) int fd = -1;
    uint64_t            size = 0;
    uint64_t            end = 0;
    struct bytes        line;

    TRY(audit_file_open(s->dir, name, O_RDONLY, &fd, reterr));
    TRY(measure(s, fd, name, &size, &end, reterr));
    CLEANUP(line_reader_release) struct line_reader r;
    if (!line_reader_init(&r, fd, offset))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read '%s'", name);
    for (;;) {
        uint64_t         start = r.offset;
        const char      *why = NULL;
        enum line_result got = line_next(&r, &line);
        ret->end = start;
        ret->dropped = size > start ? size - start : 0;
        if (got == LINE_END || (got == LINE_TORN && i + 1 == s->files.n))
            return KMS_OK;
        if (got == LINE_FAILED)
            return cannot_read(s, name, reterr);
        if (got == LINE_OK)
            why = follow(s, line);
        else
            why = got == LINE_LONG ? "is too long" : "is cut off";
        if (why != NULL)
            return misfit(s, fd, i, start, size, why, ret, reterr);
    }
}

enum kms_status audit_tail_find(const char *dir, const uint8_t *node, const uint8_t public_key[32],
                                struct audit_tail *ret, struct kms_error *reterr)
{
    struct search     s = { .dir = dir, .node = node, .public_key = public_key };
    struct audit_tail tail = { .end = 0 };

    TRY(audit_files_list(dir, &s.files, reterr));
    CLEANUP(audit_files_release) struct audit_files files = s.files; /* frees what `s` uses */
    if (node != NULL)
        audit_node_name(node, s.node_name);
    TRY(find_anchor(&s, reterr));
    for (size_t i = s.at; i < files.n; i++) {
        uint64_t offset = i == s.at ? s.offset : 0;
        if (offset == 0 && files.list[i].first != s.chain.seq + 1)
            return KMS_FAIL(reterr, KMS_E_INTERNAL,
                            "audit file '%s/%s' should begin with seq %llu: one is missing", dir,
                            files.list[i].name, (unsigned long long)s.chain.seq + 1);
        TRY(follow_file(&s, i, offset, &tail, reterr));
    }
    tail.chain = s.chain;
    if (files.n > 0)
        tail.file = files.list[files.n - 1];
    *ret = tail;
    return KMS_OK;
}

enum kms_status audit_peek(const char *dir, struct audit_head *ret_head, struct kms_error *reterr)
{
    char              path[FILE_PATH_MAX];
    uint8_t           key[32];
    struct audit_tail tail;

    if (!file_join(path, dir, "audit.pub"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", dir);
    TRY(audit_public_key_read(path, key, reterr));
    TRY(audit_tail_find(dir, NULL, key, &tail, reterr));
    *ret_head = (struct audit_head){ .seq = tail.chain.seq,
                                     .time = tail.chain.time,
                                     .commit = tail.chain.commit,
                                     .dropped = tail.dropped };
    memcpy(ret_head->hash, tail.chain.head, sizeof ret_head->hash);
    memcpy(ret_head->slot_generation, tail.chain.slot_generation, sizeof ret_head->slot_generation);
    return KMS_OK;
}

/* --- looking for one event ---------------------------------------------------------------------------------- */

/* Looks through the lines before `end`, at most *lines of them. */
static bool file_has_event(const char *dir, const char *name, uint64_t end, struct bytes id,
                           size_t *lines)
{
    CLEANUP(closep) int fd = -1;
    struct bytes        line;
    uint64_t            start;

    if (audit_file_open(dir, name, O_RDONLY, &fd, NULL) != KMS_OK)
        return false;
    CLEANUP(line_backward_release) struct line_backward back;
    if (!line_backward_init(&back, fd, end))
        return false;
    while (*lines > 0 && line_previous(&back, &line, &start) == LINE_OK) {
        if (bytes_eq(audit_id_of(line), id))
            return true;
        --*lines;
    }
    return false;
}

bool audit_has_event(struct audit *a, const char event_id[36], size_t lines)
{
    CLEANUP(audit_files_release) struct audit_files files = { 0 };
    bool                                            found = false;

    (void)pthread_mutex_lock(&a->lock);
    if (audit_files_list(a->dir, &files, NULL) == KMS_OK) {
        for (size_t i = files.n; i-- > 0 && lines > 0 && !found;) {
            char        path[FILE_PATH_MAX];
            struct stat st;
            if (file_join(path, a->dir, files.list[i].name) && stat(path, &st) == 0)
                found = file_has_event(a->dir, files.list[i].name, (uint64_t)st.st_size,
                                       bytes_of(event_id, UUID_TEXT), &lines);
        }
    }
    (void)pthread_mutex_unlock(&a->lock);
    return found;
}
