/* audit/files.c - see files.h. */
#include "audit/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/format.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"

enum {
    READ_BLOCK = 256 * 1024,
    FORWARD_BLOCK = AUDIT_LINE_MAX + 2 * READ_BLOCK,
    FILES_MAX = 4 * 1024 * 1024, /* a century of hours: more is not an audit folder */
};

/* --- names ------------------------------------------------------------------------------------------------ */

void audit_file_name(char out[AUDIT_NAME_MAX], int64_t ms, uint64_t first)
{
    char date[17] = { 0 };

    date_basic_write(date, ms);
    (void)snprintf(out, AUDIT_NAME_MAX, "trent-%s-%012llu.jsonl", date, (unsigned long long)first);
}

static bool parse_name(const char *name, struct audit_file *ret)
{
    struct bytes      text = bytes_str(name);
    struct bytes      part;
    struct audit_file file = { .first = 0 };

    if (text.len >= AUDIT_NAME_MAX || !bytes_cut(&text, '-', &part) ||
        !bytes_eq_str(part, "trent") || !bytes_cut(&text, '-', &part) ||
        !date_basic_read(part, &file.time) || !bytes_cut(&text, '.', &part) ||
        !bytes_eq_str(text, "jsonl") || part.len < 12 || part.len > 19)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < '0' || part.ptr[i] > '9')
            return false;
        file.first = file.first * 10 + (uint64_t)(part.ptr[i] - '0');
    }
    memcpy(file.name, name, strlen(name) + 1);
    *ret = file;
    return true;
}

static int file_order(const void *a, const void *b)
{
    const struct audit_file *x = a;
    const struct audit_file *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum kms_status add_file(struct audit_files *files, size_t *cap,
                                const struct audit_file *file, struct kms_error *reterr)
{
    if (files->n == *cap) {
        size_t             more = *cap == 0 ? 64 : *cap * 2;
        struct audit_file *list = more > FILES_MAX ? NULL
                                                   : reallocarray(files->list, more, sizeof *list);
        if (list == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "too many audit files");
        files->list = list;
        *cap = more;
    }
    files->list[files->n++] = *file;
    return KMS_OK;
}

static void closedirp(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

enum kms_status audit_files_list(const char *dir, struct audit_files *ret, struct kms_error *reterr)
{
    CLEANUP(closedirp) DIR                         *d = opendir(dir);
    CLEANUP(audit_files_release) struct audit_files files = { 0 };
    size_t                                          cap = 0;
    struct audit_file                               file;

    if (d == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open folder '%s': %s", dir,
                        strerror(errno));
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (entry == NULL && errno != 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot read folder '%s': %s", dir,
                            strerror(errno));
        if (entry == NULL)
            break;
        if (parse_name(entry->d_name, &file))
            TRY(add_file(&files, &cap, &file, reterr));
    }
    if (files.n > 1)
        qsort(files.list, files.n, sizeof files.list[0], file_order);
    ret->n = files.n;
    ret->list = TAKE(files.list);
    return KMS_OK;
}

void audit_files_release(struct audit_files *files)
{
    free(files->list);
    *files = (struct audit_files){ 0 };
}

enum kms_status audit_file_open(const char *dir, const char *name, int flags, int *ret,
                                struct kms_error *reterr)
{
    char        path[FILE_PATH_MAX];
    struct stat st;

    if (!file_join(path, dir, name))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s/%s' is too long", dir, name);
    /* O_NONBLOCK: a pipe of this name must not stop us; for regular files it means nothing */
    CLEANUP(closep) int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s' is not a regular file", path);
    *ret = TAKE_FD(fd);
    return KMS_OK;
}

/* --- the public key ----------------------------------------------------------------------------------------- */

/* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }: RFC 8410 section 4. */
static const uint8_t spki_start[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
enum { SPKI_LEN = sizeof spki_start + 32, SPKI_TEXT = 60 };

#define PEM_START "-----BEGIN PUBLIC KEY-----\n"
#define PEM_END   "\n-----END PUBLIC KEY-----\n"

void audit_public_key_pem(struct buf *out, const uint8_t key[32])
{
    uint8_t der[SPKI_LEN];

    memcpy(der, spki_start, sizeof spki_start);
    memcpy(der + sizeof spki_start, key, 32);
    buf_add_str(out, PEM_START);
    base64_add(out, bytes_of(der, sizeof der));
    buf_add_str(out, PEM_END);
}

enum kms_status audit_public_key_read(const char *path, uint8_t ret[32], struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    uint8_t                         der[SPKI_TEXT];
    size_t                          len = 0;

    TRY(file_read(path, &text, reterr));
    struct bytes pem = buf_bytes(&text);
    struct bytes part;
    bool ok = bytes_take(&pem, sizeof PEM_START - 1, &part) && bytes_eq_str(part, PEM_START) &&
              bytes_take(&pem, SPKI_TEXT, &part) && base64_read(part, der, &len) &&
              len == SPKI_LEN &&
              bytes_starts(bytes_of(der, len), bytes_of(spki_start, sizeof spki_start)) &&
              bytes_starts(pem, bytes_str("\n-----END PUBLIC KEY-----"));
    if (!ok)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "'%s' is not an Ed25519 public key in PEM form (audit.pub)", path);
    memcpy(ret, der + sizeof spki_start, 32);
    return KMS_OK;
}

/* --- lines, forwards ------------------------------------------------------------------------------------ */

bool line_reader_init(struct line_reader *r, int fd, uint64_t offset)
{
    *r = (struct line_reader){ .fd = fd, .offset = offset, .block = malloc(FORWARD_BLOCK) };
    return r->block != NULL;
}

void line_reader_release(struct line_reader *r)
{
    free(r->block);
    r->block = NULL;
}

/* Reads on behind what is held; the held part is moved to the front when the end is near. */
static enum line_result fill(struct line_reader *r)
{
    if (FORWARD_BLOCK - r->len < READ_BLOCK) {
        memmove(r->block, r->block + r->at, r->len - r->at);
        r->len -= r->at;
        r->at = 0;
    }
    for (;;) {
        ssize_t n = pread(r->fd, r->block + r->len, READ_BLOCK,
                          (off_t)(r->offset + (r->len - r->at)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LINE_FAILED;
        r->len += (size_t)n;
        return n == 0 ? LINE_END : LINE_OK;
    }
}

enum line_result line_next(struct line_reader *r, struct bytes *ret_line)
{
    size_t seen = 0; /* bytes from `at` on that hold no newline */

    for (;;) {
        const uint8_t *from = r->block + r->at;
        const uint8_t *hit = memchr(from + seen, '\n', r->len - r->at - seen);
        if (hit != NULL) {
            size_t len = (size_t)(hit - from);
            if (len > AUDIT_LINE_MAX)
                return LINE_LONG;
            *ret_line = bytes_of(from, len);
            r->at += len + 1;
            r->offset += len + 1;
            r->number++;
            return LINE_OK;
        }
        seen = r->len - r->at;
        if (seen > AUDIT_LINE_MAX)
            return LINE_LONG;
        enum line_result more = fill(r);
        if (more == LINE_END && seen > 0) {
            *ret_line = bytes_of(r->block + r->at, seen);
            return LINE_TORN;
        }
        if (more != LINE_OK)
            return more;
    }
}

/* --- lines, backwards ------------------------------------------------------------------------------------- */

bool line_backward_init(struct line_backward *b, int fd, uint64_t end)
{
    *b = (struct line_backward){ .fd = fd, .offset = end, .cap = READ_BLOCK };
    b->block = malloc(b->cap);
    b->start = b->end = b->cap;
    return b->block != NULL;
}

void line_backward_release(struct line_backward *b)
{
    free(b->block);
    b->block = NULL;
}

/* Makes room in front of what is held: moves it to the end of a block that is large enough. */
static bool make_room(struct line_backward *b)
{
    size_t held = b->end - b->start;

    if (held + READ_BLOCK > b->cap) {
        size_t   cap = b->cap * 2;
        uint8_t *block = malloc(cap);
        if (block == NULL)
            return false;
        memcpy(block + cap - held, b->block + b->start, held);
        free(b->block);
        b->block = block;
        b->cap = cap;
    } else {
        memmove(b->block + b->cap - held, b->block + b->start, held);
    }
    b->start = b->cap - held;
    b->end = b->cap;
    return true;
}

static enum line_result fill_back(struct line_backward *b)
{
    struct kms_error err;

    if (b->start == 0 && !make_room(b))
        return LINE_FAILED;
    size_t n = b->start;
    if (n > b->offset)
        n = (size_t)b->offset;
    if (file_pread_all(b->fd, b->block + b->start - n, n, b->offset - n, &err) != KMS_OK)
        return LINE_FAILED;
    b->start -= n;
    b->offset -= n;
    return LINE_OK;
}

enum line_result line_previous(struct line_backward *b, struct bytes *ret_line,
                               uint64_t *ret_offset)
{
    for (;;) {
        size_t         held = b->end - b->start;
        const uint8_t *from = b->block + b->start;
        /* the last byte held is the newline of the line wanted */
        const uint8_t *hit = held < 2 ? NULL : memrchr(from, '\n', held - 1);
        if (hit != NULL || (b->offset == 0 && held > 0)) {
            size_t at = hit == NULL ? 0 : (size_t)(hit + 1 - from);
            *ret_line = bytes_of(from + at, held - 1 - at);
            *ret_offset = b->offset + at;
            b->end = b->start + at;
            return LINE_OK;
        }
        if (b->offset == 0)
            return LINE_END;
        if (held > AUDIT_LINE_MAX + 1)
            return LINE_LONG;
        enum line_result more = fill_back(b);
        if (more != LINE_OK)
            return more;
    }
}
