/* ctl/status.c - `trent status`: asks the running server, or looks at what it left behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "ctl/ctl.h"
#include "instance/instance.h"
#include "json/write.h"
#include "store/sqlite/sqlite.h"

enum { ANSWER_MAX = 1024 * 1024, ANSWER_SECONDS = 5 };

/* --- asking ------------------------------------------------------------------------------------------------- */

/* Connects to the local socket. Through a descriptor of its folder: a socket's path may be 107 bytes
 * long, a data directory's is not limited so. -1 with errno. */
static int connect_local(const struct instance_paths *p)
{
    struct sockaddr_un  address = { .sun_family = AF_UNIX };
    struct timeval      patience = { .tv_sec = ANSWER_SECONDS };
    CLEANUP(closep) int dir = open(p->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/trent.sock", dir);
    if (dir < 0 || fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) != 0)
        return -1;
    return TAKE_FD(fd);
}

/* The body of a complete answer with status 200; false for anything else. */
static bool body_of(struct bytes answer, struct bytes *ret)
{
    const uint8_t *end = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);

    if (end == NULL || !bytes_starts(answer, BYTES_LIT("HTTP/1.1 200 ")))
        return false;
    size_t head = (size_t)(end - answer.ptr) + 4;
    *ret = bytes_of(answer.ptr + head, answer.len - head);
    return true;
}

static enum kms_status ask(int fd, struct buf *answer, struct kms_error *reterr)
{
    static const char request[] = "GET /_trent/status HTTP/1.1\r\n"
                                  "Host: localhost\r\n"
                                  "Connection: close\r\n\r\n";

    TRY(file_append_all(fd, bytes_of(request, sizeof request - 1), reterr));
    for (;;) {
        if (!buf_reserve(answer, 4096))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "the server's answer is too long");
        ssize_t n = read(fd, answer->ptr + answer->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "the server does not answer: %s",
                            strerror(errno));
        if (n == 0)
            return KMS_OK;
        answer->len += (size_t)n;
    }
}

/* noinline here and below: an error is large, and one frame at a time is enough. */
__attribute__((noinline)) static int show_running(struct ctl *c, int fd)
{
    CLEANUP(buf_release) struct buf          answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          copy = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct bytes                             body;
    struct json                              root;
    struct kms_error                         err;

    if (ask(fd, &answer, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_UNAVAILABLE);
    if (!body_of(buf_bytes(&answer), &body)) {
        ctl_error(c, "the server's answer is not one of trentd's");
        return EX_PROTOCOL;
    }
    buf_add(&copy, body);
    if (doc == NULL || !buf_reserve(&copy, JSON_PADDING) ||
        json_parse(doc, copy.ptr, copy.len, &root, &err) != KMS_OK ||
        json_type(root) != JSON_OBJECT) {
        ctl_error(c, "the server's answer is not JSON");
        return EX_PROTOCOL;
    }
    if (c->json)
        buf_add(&text, body);
    else
        ctl_rows(&text, root);
    return ctl_print(c, &text, EX_OK);
}

/* --- looking ------------------------------------------------------------------------------------------------- */

static void describe(const struct instance_paths *p, const struct store_meta *meta,
                     const struct audit_head *head, const char *audit_problem, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_bool(&w, "running", false);
    json_put_str(&w, "dataDirectory", p->data);
    json_put_hex(&w, "instance", bytes_of(meta->instance_id, sizeof meta->instance_id));
    json_open_object(&w, "database");
    json_put_int(&w, "schema", meta->schema_version);
    json_put_int(&w, "commit", (int64_t)meta->commit);
    json_open_object(&w, "slotGeneration");
    json_put_int(&w, "erasable", (int64_t)meta->slot_generation[SLOT_ERASABLE]);
    json_put_int(&w, "durable", (int64_t)meta->slot_generation[SLOT_DURABLE]);
    json_close_object(&w);
    json_close_object(&w);
    json_open_object(&w, "audit");
    if (audit_problem != NULL) {
        json_put_str(&w, "problem", audit_problem);
    } else {
        json_put_int(&w, "sequence", (int64_t)head->seq);
        if (head->time > 0)
            json_put_date(&w, "lastRecord", head->time);
        json_put_hex(&w, "chainHead", bytes_of(head->hash, sizeof head->hash));
        json_put_int(&w, "unfinishedBytes", (int64_t)head->dropped);
    }
    json_close_object(&w);
    json_close_object(&w);
    buf_add_byte(out, '\n');
}

__attribute__((noinline)) static int show_files(struct ctl *c, const struct instance_paths *p)
{
    CLEANUP(buf_release) struct buf          raw = BUF_INIT(ANSWER_MAX);
    CLEANUP(buf_release) struct buf          text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct store_meta                        meta;
    struct audit_head                        head = { .seq = 0 };
    struct json                              root;
    struct kms_error                         err;

    if (!file_exists(p->database)) {
        ctl_error(
            c, "there is no data directory '%s': name it with --data, or make it with 'trent init'",
            p->data);
        return EX_NOINPUT;
    }
    if (store_sqlite_peek(p->database, &meta, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_DATAERR);
    int failed = ctl_prepare(c); /* signatures of the audit */
    if (failed != 0)
        return failed;
    bool sound = audit_peek(p->audit, &head, &err) == KMS_OK;
    describe(p, &meta, &head, sound ? NULL : err.detail, &raw);
    if (c->json)
        return ctl_print(c, &raw, CTL_NOT_RUNNING);
    if (doc == NULL || !buf_reserve(&raw, JSON_PADDING) ||
        json_parse(doc, raw.ptr, raw.len, &root, &err) != KMS_OK) {
        ctl_error(c, "out of memory");
        return EX_OSERR;
    }
    ctl_rows(&text, root);
    return ctl_print(c, &text, CTL_NOT_RUNNING);
}

int ctl_status(struct ctl *c)
{
    struct instance_paths p;
    struct kms_error      err;

    if (!ctl_arguments(c, NULL, 0, NULL, 0))
        return EX_USAGE;
    if (instance_paths(c->data, NULL, &p, &err) != KMS_OK)
        return ctl_failed(c, &err, EX_USAGE);
    CLEANUP(closep) int fd = connect_local(&p);
    if (fd >= 0)
        return show_running(c, fd);
    if (errno == EACCES || errno == EPERM) {
        ctl_error(c, "no access to '%s': run it as the user of trentd", p.data);
        return EX_NOPERM;
    }
    return show_files(c, &p);
}
