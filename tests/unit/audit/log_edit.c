/* tests/unit/audit/log_edit.c - see log_edit.h. */
#include "log_edit.h"

#include <unistd.h>

const char *const log_edit_names[LOG_EDIT_COUNT] = {
    [EDIT_BIT_FLIP] = "bit flip",   [EDIT_DROP] = "drop",
    [EDIT_SWAP] = "swap",           [EDIT_DUPLICATE] = "duplicate",
    [EDIT_TRUNCATE] = "truncate",   [EDIT_SPLICE] = "splice from another node",
    [EDIT_REHASH] = "re-hash",      [EDIT_RESIGN] = "re-hash, signed with another key",
    [EDIT_DROP_FILE] = "drop file", [EDIT_SWAP_FILES] = "swap files",
    [EDIT_INSERT] = "insert bytes", [EDIT_CUT_OUT] = "cut bytes out",
};

uint64_t log_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(uint64_t *random, size_t n)
{
    return n == 0 ? 0 : (size_t)(log_random(random) % n);
}

/* --- images -------------------------------------------------------------------------------------------------- */

void log_load(struct log_image *image, const char *dir)
{
    CLEANUP(audit_files_release) struct audit_files files = { 0 };
    char                                            path[FILE_PATH_MAX];

    *image = (struct log_image){ .n = 0 };
    assert_int_equal(audit_files_list(dir, &files, NULL), KMS_OK);
    assert_true(files.n <= LOG_FILES_MAX);
    for (size_t i = 0; i < files.n; i++) {
        struct log_file *file = &image->files[image->n++];
        memcpy(file->name, files.list[i].name, sizeof file->name);
        buf_init(&file->text, 16 << 20);
        assert_true(file_join(path, dir, file->name));
        fixture_read(path, &file->text);
    }
}

void log_copy(struct log_image *to, const struct log_image *from)
{
    to->n = from->n;
    for (size_t i = 0; i < from->n; i++) {
        memcpy(to->files[i].name, from->files[i].name, sizeof to->files[i].name);
        to->files[i].gone = from->files[i].gone;
        if (to->files[i].text.limit == 0)
            buf_init(&to->files[i].text, 16 << 20);
        buf_reset(&to->files[i].text);
        buf_add(&to->files[i].text, buf_bytes(&from->files[i].text));
    }
}

void log_store(const struct log_image *image, const char *dir)
{
    char path[FILE_PATH_MAX];

    for (size_t i = 0; i < image->n; i++) {
        assert_true(file_join(path, dir, image->files[i].name));
        if (image->files[i].gone)
            (void)unlink(path);
        else
            fixture_write(path, buf_bytes(&image->files[i].text));
    }
}

void log_release(struct log_image *image)
{
    for (size_t i = 0; i < LOG_FILES_MAX; i++)
        buf_release(&image->files[i].text);
}

bool log_same(const struct log_image *a, const struct log_image *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->files[i].gone != b->files[i].gone ||
            !bytes_eq(buf_bytes(&a->files[i].text), buf_bytes(&b->files[i].text)))
            return false;
    }
    return a->n == b->n;
}

size_t log_lines(const struct log_file *file)
{
    size_t n = 0;

    for (size_t i = 0; i < file->text.len; i++)
        n += file->text.ptr[i] == '\n';
    return n;
}

struct bytes log_line(const struct log_file *file, size_t i)
{
    struct bytes text = buf_bytes(&file->text);
    struct bytes line = { NULL, 0 };

    do {
        if (!bytes_cut(&text, '\n', &line))
            return bytes_of(NULL, 0);
    } while (i-- > 0);
    return bytes_of(line.ptr, line.len + 1);
}

static bool is_checkpoint(struct bytes line)
{
    enum audit_kind kind;

    return audit_kind_of(line, &kind) && kind == AUDIT_KIND_CHECKPOINT;
}

struct bytes log_last_checkpoint(const struct log_image *image)
{
    for (size_t f = image->n; f-- > 0;) {
        for (size_t i = log_lines(&image->files[f]); i-- > 0;) {
            struct bytes line = log_line(&image->files[f], i);
            if (is_checkpoint(line))
                return bytes_of(line.ptr, line.len - 1);
        }
    }
    return bytes_of(NULL, 0);
}

bool log_is_shorter(const struct log_image *image, const struct log_image *whole)
{
    bool ended = false;
    bool signed_end = false;

    for (size_t f = 0; f < whole->n; f++) {
        const struct log_file *file = &image->files[f];
        struct bytes           text = buf_bytes(&file->text);
        if (file->gone || text.len == 0) {
            ended = true;
            continue;
        }
        if (ended || !bytes_starts(buf_bytes(&whole->files[f].text), text))
            return false;
        ended = text.len < whole->files[f].text.len;
        struct bytes last = log_line(file, log_lines(file) - 1);
        signed_end = last.len > 0 && last.ptr + last.len == text.ptr + text.len &&
                     is_checkpoint(last);
    }
    return ended && signed_end;
}

/* --- edits --------------------------------------------------------------------------------------------------- */

/* Replaces the bytes [at, at + len) of a file. */
static void replace(struct log_file *file, size_t at, size_t len, struct bytes with)
{
    CLEANUP(buf_release) struct buf fresh = BUF_INIT(32 << 20);

    buf_add(&fresh, bytes_of(file->text.ptr, at));
    buf_add(&fresh, with);
    buf_add(&fresh, bytes_of(file->text.ptr + at + len, file->text.len - at - len));
    buf_reset(&file->text);
    buf_add(&file->text, buf_bytes(&fresh));
    assert_true(buf_ok(&file->text));
}

static void edit_lines(struct log_file *file, enum log_edit edit, uint64_t *random)
{
    size_t                          n = log_lines(file);
    size_t                          from = below(random, n);
    size_t                          to = below(random, n);
    struct bytes                    a = log_line(file, from < to ? from : to);
    struct bytes                    b = log_line(file, from < to ? to : from);
    size_t                          at_a = (size_t)(a.ptr - file->text.ptr);
    size_t                          at_b = (size_t)(b.ptr - file->text.ptr);
    CLEANUP(buf_release) struct buf copy_a = BUF_INIT(1 << 20);
    CLEANUP(buf_release) struct buf copy_b = BUF_INIT(1 << 20);

    buf_add(&copy_a, a);
    buf_add(&copy_b, b);
    if (edit == EDIT_DROP) {
        replace(file, at_a, a.len, bytes_of(NULL, 0));
    } else if (edit == EDIT_DUPLICATE) {
        replace(file, at_b, 0, buf_bytes(&copy_a));
    } else { /* swap: the later one first, so that offsets hold */
        replace(file, at_b, b.len, buf_bytes(&copy_a));
        replace(file, at_a, a.len, buf_bytes(&copy_b));
    }
}

static void edit_bytes(struct log_file *file, enum log_edit edit, uint64_t *random)
{
    size_t  at = below(random, file->text.len);
    uint8_t junk[8];

    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)log_random(random);
    if (edit == EDIT_BIT_FLIP)
        file->text.ptr[at] ^= (uint8_t)(1u << below(random, 8));
    else if (edit == EDIT_TRUNCATE)
        buf_truncate(&file->text, at);
    else if (edit == EDIT_INSERT)
        replace(file, at, 0, bytes_of(junk, 1 + below(random, sizeof junk)));
    else
        replace(file, at, 1 + below(random, file->text.len - at), bytes_of(NULL, 0));
}

/* The line as it would be with another link (and, for checkpoints, over another head). */
static void relink(struct bytes line, uint64_t seq, uint8_t head[32], uint8_t previous[32],
                   void *seed, struct buf *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(1 << 20);
    struct audit_link               link;
    struct audit_checkpoint         c;

    assert_true(audit_link_parse(line, &link));
    if (is_checkpoint(line) && audit_checkpoint_parse(link.event, &c)) {
        struct audit_config signer = { .sign = fixture_sign, .sign_ctx = seed };
        memcpy(c.head, head, sizeof c.head);
        memcpy(c.previous, previous, sizeof c.previous);
        c.last = seq - 1;
        audit_checkpoint_add(&text, &c);
        if (seed != NULL)
            assert_int_equal(audit_signature_add(&text, 0, &signer, NULL), KMS_OK);
        else /* the old signature */
            buf_add(&text, bytes_of(link.event.ptr + link.event.len - 103, 103));
    } else {
        buf_add(&text, link.event);
    }
    audit_link_add(&text, link.node, seq, head);
    audit_link_hash(head, buf_bytes(&text), head);
    if (is_checkpoint(line))
        memcpy(previous, head, 32);
    buf_add(out, buf_bytes(&text));
    buf_add_byte(out, '\n');
}

/* Changes one event, then makes the whole chain fit again as well as one can without the key. */
static void edit_rehash(struct log_image *image, size_t file, bool sign, uint64_t *random)
{
    static uint8_t other_seed[32] = { 42 };
    uint8_t        head[32] = { 0 };
    uint8_t        previous[32] = { 0 };
    uint64_t       seq = 0;
    size_t         victim = below(random, log_lines(&image->files[file]));

    for (size_t f = 0; f < image->n; f++) {
        CLEANUP(buf_release) struct buf fresh = BUF_INIT(16 << 20);
        CLEANUP(buf_release) struct buf line = BUF_INIT(1 << 20);
        size_t                          n = log_lines(&image->files[f]);
        for (size_t i = 0; i < n; i++) {
            struct bytes old = log_line(&image->files[f], i);
            buf_reset(&line);
            buf_add(&line, bytes_of(old.ptr, old.len - 1));
            if (f == file && i == victim && !is_checkpoint(old)) {
                uint8_t *hit = memmem(line.ptr, line.len, "Encrypt", 7);
                if (hit != NULL)
                    memcpy(hit, "Decrypt", 7);
            }
            relink(buf_bytes(&line), ++seq, head, previous, sign ? other_seed : NULL, &fresh);
        }
        buf_reset(&image->files[f].text);
        buf_add(&image->files[f].text, buf_bytes(&fresh));
    }
}

static void edit_splice(struct log_file *file, const struct log_file *other, uint64_t *random)
{
    size_t       n = log_lines(file);
    size_t       m = log_lines(other);
    size_t       i = below(random, n < m ? n : m);
    struct bytes old = log_line(file, i);

    replace(file, (size_t)(old.ptr - file->text.ptr), old.len, log_line(other, i));
}

static void swap_files(struct log_file *a, struct log_file *b)
{
    struct buf text = a->text;

    a->text = b->text;
    b->text = text;
}

void log_edit(struct log_image *image, const struct log_image *other, enum log_edit edit,
              uint64_t *random)
{
    size_t           f = below(random, image->n);
    struct log_file *file = &image->files[f];

    if (file->text.len == 0)
        file = &image->files[f = 0];
    switch (edit) {
    case EDIT_DROP:
    case EDIT_SWAP:
    case EDIT_DUPLICATE:  edit_lines(file, edit, random); break;
    case EDIT_BIT_FLIP:
    case EDIT_TRUNCATE:
    case EDIT_INSERT:
    case EDIT_CUT_OUT:    edit_bytes(file, edit, random); break;
    case EDIT_SPLICE:     edit_splice(file, &other->files[f < other->n ? f : 0], random); break;
    case EDIT_REHASH:     edit_rehash(image, f, false, random); break;
    case EDIT_RESIGN:     edit_rehash(image, f, true, random); break;
    case EDIT_DROP_FILE:  file->gone = true; break;
    case EDIT_SWAP_FILES: swap_files(file, &image->files[below(random, image->n)]); break;
    case LOG_EDIT_COUNT:  abort();
    }
}
