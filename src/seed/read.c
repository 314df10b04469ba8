/* seed/read.c - the text of a seed to the list of things that it makes; see seed.h. */
#include "seed/internal.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/file.h"
#include "json/write.h"
#include "seed/seed.h"

enum { DOCUMENT_MAX = 1024 * 1024 };

/* --- what the parts share --------------------------------------------------------------------- */

struct seed_item *reader_add(struct reader *r, enum seed_kind kind, const struct place *at)
{
    struct seed *s = r->seed;

    if (s->n == s->cap) {
        size_t            cap = s->cap == 0 ? 64 : s->cap * 2;
        struct seed_item *more = realloc(s->items, cap * sizeof *more);
        if (more == NULL) /* as arenas do */
            abort();
        s->items = more;
        s->cap = cap;
    }
    struct seed_item *item = &s->items[s->n++];

    *item = (struct seed_item){
        .kind = kind,
        .line = reader_line(r, at),
        .path = reader_path(r, at),
        .account = r->account,
        .region = r->region,
        .identity = r->identity,
        .name = r->name,
    };
    return item;
}

enum kms_status reader_document(struct reader *r, const struct place *at, struct json v,
                                struct bytes *ret)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(DOCUMENT_MAX);
    struct json_writer              w;

    if (json_type(v) == JSON_STRING) {
        *ret = json_string(v);
        return KMS_OK;
    }
    if (json_type(v) != JSON_OBJECT)
        return reader_refuse(r, at,
                             "this must be a policy document: the object itself, or its "
                             "text as a string");
    json_writer_init(&w, &text);
    if (!json_put_value(&w, NULL, v, NULL) || !buf_ok(&text))
        return reader_refuse(r, at, "this document is too long or nested too deep");
    *ret = arena_copy(r->seed->arena, buf_bytes(&text));
    return KMS_OK;
}

enum kms_status reader_account(struct reader *r, const struct place *at, struct json object)
{
    struct place place;
    struct bytes id = { NULL, 0 };

    TRY(reader_string(r, at, object, "AccountId", NULL, &id));
    if (id.ptr == NULL)
        return KMS_OK;
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9')
            id.len = 0;
    }
    if (id.len != ACCOUNT_LEN) {
        (void)reader_member(at, object, "AccountId", &place);
        return reader_refuse(r, &place, "an account id has 12 digits");
    }
    r->account = id;
    return KMS_OK;
}

enum kms_status reader_region(struct reader *r, const struct place *at, struct json object)
{
    struct place place;
    struct bytes region = { NULL, 0 };

    TRY(reader_string(r, at, object, "Region", NULL, &region));
    if (region.ptr == NULL && r->region.ptr == NULL)
        return reader_refuse(r, at,
                             "Region is missing, here and at the top of the file: where is "
                             "this to be?");
    if (region.ptr != NULL && !region_valid(region)) {
        (void)reader_member(at, object, "Region", &place);
        return reader_refuse(r, &place,
                             "this is not the name of a Region: they look like "
                             "eu-central-1");
    }
    if (region.ptr != NULL)
        r->region = region;
    return KMS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static const char *const top_members[] = { "AccountId", "Region", "Accounts", "Keys",
                                           "Aliases",   "Grants", NULL };

static enum kms_status read_top(struct reader *r, struct json root)
{
    const struct place top = { .near = r->seed->text.ptr };
    struct bytes       region = { NULL, 0 };

    TRY(reader_object(r, &top, root, top_members));
    r->account = BYTES_LIT("000000000000");
    TRY(reader_account(r, &top, root));
    TRY(reader_string(r, &top, root, "Region", NULL, &region));
    if (region.ptr != NULL)
        TRY(reader_region(r, &top, root));
    /* in this order, whatever that of the file: policies and grants name identities */
    TRY(reader_each(r, &top, root, "Accounts", read_account));
    TRY(reader_each(r, &top, root, "Keys", read_key));
    TRY(reader_each(r, &top, root, "Aliases", read_alias));
    return reader_each(r, &top, root, "Grants", read_grant);
}

/* Where the lines begin, while the text is as it was. */
static enum kms_status find_lines(struct reader *r)
{
    const struct buf *text = &r->seed->text;
    size_t            n = 1;

    for (size_t i = 0; i < text->len; i++)
        n += text->ptr[i] == '\n';
    r->lines = malloc(n * sizeof *r->lines);
    if (r->lines == NULL)
        return KMS_FAIL(r->reterr, KMS_E_INTERNAL, "no memory for a seed");
    r->lines[r->n_lines++] = 0;
    for (size_t i = 0; i < text->len; i++) {
        if (text->ptr[i] == '\n')
            r->lines[r->n_lines++] = i + 1;
    }
    return KMS_OK;
}

static enum kms_status parse(struct reader *r)
{
    struct seed     *s = r->seed;
    struct kms_error err;
    enum kms_status  status = json_parse(s->doc, s->text.ptr, s->text.len, &s->root, &err);

    if (status == KMS_OK)
        return KMS_OK;
    if (status == KMS_E_INTERNAL)
        return KMS_FAIL(r->reterr, KMS_E_INTERNAL, "no memory for a seed");
    const struct place here = { .near = s->text.ptr + json_error_at(s->doc) };

    return seed_refuse(s->file, reader_line(r, &here), "$", r->reterr, "this is not JSON: %s",
                       err.detail);
}

/* Room for all key material at once, so that views into it stay good. */
static enum kms_status take_text(struct seed *s, const char *file, struct bytes text,
                                 struct kms_error *reterr)
{
    s->file = strdup(file);
    s->arena = arena_new(16 * 1024);
    s->doc = json_doc_new();
    s->text = BUF_INIT(SEED_BYTES_MAX + JSON_PADDING);
    s->plain = BUF_INIT(SEED_BYTES_MAX);
    if (text.len > SEED_BYTES_MAX)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%s: a seed has at most %d bytes", file,
                          SEED_BYTES_MAX);
    if (s->file == NULL || s->arena == NULL || s->doc == NULL ||
        !buf_reserve(&s->text, text.len + JSON_PADDING) || !buf_reserve(&s->plain, text.len + 1))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a seed");
    buf_add(&s->text, text);
    return KMS_OK;
}

enum kms_status seed_read(const char *file, struct bytes text, bool check_material,
                          struct seed **ret, struct kms_error *reterr)
{
    CLEANUP(seed_freep) struct seed *s = calloc(1, sizeof *s);
    struct kms_error                 unread;
    struct reader                    r = { .seed = s, .check_material = check_material };

    r.reterr = reterr != NULL ? reterr : &unread;
    kms_error_clear(r.reterr);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a seed");
    TRY(take_text(s, file, text, r.reterr));
    enum kms_status status = find_lines(&r);
    if (status == KMS_OK)
        status = parse(&r);
    if (status == KMS_OK)
        status = read_top(&r, s->root);
    free(r.lines);
    TRY(status);
    *ret = TAKE(s);
    return KMS_OK;
}

enum kms_status seed_load(const char *path, bool check_material, struct seed **ret,
                          struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(SEED_BYTES_MAX);

    TRY(file_read(path, &text, reterr));
    return seed_read(path, buf_bytes(&text), check_material, ret, reterr);
}

bool seed_exposed(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & 077) != 0;
}

void seed_forget_plain(struct seed *s)
{
    buf_wipe(&s->text);
    buf_wipe(&s->plain);
}

void seed_free(struct seed *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        form_release(&s->items[i].form);
    free(s->items);
    json_doc_free(s->doc);
    buf_release(&s->text); /* wiped, as is `plain` */
    buf_release(&s->plain);
    arena_free(s->arena);
    free(s->file);
    free(s);
}

void seed_freep(struct seed **s)
{
    seed_free(*s);
    *s = NULL;
}

void seed_write(const struct seed *s, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    if (!json_put_value(&w, NULL, s->root, "Comment"))
        out->overflow = true;
}

struct seed_counts seed_counts(const struct seed *s)
{
    struct seed_counts n = { 0 };

    for (size_t i = 0; i < s->n; i++) {
        const struct seed_item *item = &s->items[i];
        n.accounts += item->kind == SEED_ACCOUNT;
        n.identities += item->kind == SEED_CALL && item->makes;
        n.access_keys += item->kind == SEED_ACCESS_KEY;
        n.keys += item->kind == SEED_KEY;
        n.replicas += item->kind == SEED_REPLICA;
        n.aliases += item->kind == SEED_ALIAS;
        n.grants += item->kind == SEED_GRANT;
    }
    return n;
}
