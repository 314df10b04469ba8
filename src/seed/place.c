/* seed/place.c - where in the file something stands, and errors that say so. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "seed/internal.h"

enum { TEXT_ROOM = KMS_MESSAGE_MAX - 1024, PATH_ROOM = 512 };

/* --- errors ----------------------------------------------------------------------------------- */

enum kms_status seed_refuse(const char *file, unsigned line, const char *path,
                            struct kms_error *reterr, const char *fmt, ...)
{
    char    text[TEXT_ROOM];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%s:%u: %s: %s", file, line, path, text);
}

enum kms_status seed_blame(const char *file, unsigned line, const char *path,
                           struct kms_error *reterr)
{
    struct kms_error why = *reterr;
    const char      *text = why.message_len > 0     ? why.message
                            : why.detail[0] != '\0' ? why.detail
                                                    : kms_status_wire(why.status);

    if (why.status == KMS_E_INTERNAL)
        return KMS_E_INTERNAL; /* is not about the file */
    return seed_refuse(file, line, path, reterr, "%s", text);
}

/* --- paths and lines -------------------------------------------------------------------------- */

unsigned reader_line(const struct reader *r, const struct place *at)
{
    size_t low = 0;
    size_t high = r->n_lines;

    while (at != NULL && at->near == NULL)
        at = at->up;
    if (at == NULL)
        return 1;
    size_t offset = (size_t)(at->near - r->seed->text.ptr);

    while (high - low > 1) { /* the last line that does not begin after it */
        size_t middle = low + (high - low) / 2;
        if (r->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return (unsigned)low + 1;
}

static void add_path(struct buf *out, const struct place *at)
{
    const struct place *chain[LIMIT_JSON_DEPTH + 1];
    size_t              n = 0;

    for (; at->up != NULL && n < ARRAY_LEN(chain); at = at->up)
        chain[n++] = at;
    buf_add_byte(out, '$');
    while (n > 0) {
        at = chain[--n];
        if (at->name != NULL)
            buf_addf(out, ".%s", at->name);
        else
            buf_addf(out, "[%zu]", at->index);
    }
}

const char *reader_path(struct reader *r, const struct place *at)
{
    CLEANUP(buf_release) struct buf path = BUF_INIT(PATH_ROOM);

    add_path(&path, at);
    return (const char *)arena_copy(r->seed->arena, buf_bytes(&path)).ptr;
}

enum kms_status reader_refuse(struct reader *r, const struct place *at, const char *fmt, ...)
{
    char    text[TEXT_ROOM];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return seed_refuse(r->seed->file, reader_line(r, at), reader_path(r, at), r->reterr, "%s",
                       text);
}

/* "... at 'keySpec' failed ...", "... at 'tags.1.member.key' ...": KeySpec, Tags. False if the text
 * names no member. */
static bool named_member(const char *text, char ret[LIMIT_FORM_NAME])
{
    const char *at = strstr(text, " at '");
    size_t      n = 0;

    if (at == NULL)
        return false;
    for (at += sizeof " at '" - 1;
         n + 1 < LIMIT_FORM_NAME && *at != '\'' && *at != '.' && *at != '\0'; at++)
        ret[n++] = *at;
    ret[n] = '\0';
    if (ret[0] >= 'a' && ret[0] <= 'z')
        ret[0] = (char)(ret[0] - 'a' + 'A');
    return n > 0;
}

enum kms_status reader_blame(struct reader *r, const struct place *at, struct json object)
{
    char         name[LIMIT_FORM_NAME];
    struct place member = *at;
    struct place found = *at;

    if (named_member(r->reterr->message, name)) {
        struct json v = reader_member(at, object, name, &found);
        if (v.node != NULL)
            member = found;
    }
    return seed_blame(r->seed->file, reader_line(r, &member), reader_path(r, &member), r->reterr);
}

/* --- members ---------------------------------------------------------------------------------- */

struct json reader_member(const struct place *at, struct json object, const char *name,
                          struct place *ret)
{
    const struct json nothing = { NULL };
    struct bytes      known;
    struct json       v;

    for (struct json_iter it = json_iterate(object); it.object && json_next(&it, &known, &v);) {
        if (!bytes_eq_str(known, name))
            continue;
        *ret = (struct place){ .up = at, .name = name, .near = known.ptr };
        if (json_type(v) == JSON_NULL)
            return nothing;
        return v;
    }
    *ret = *at;
    return nothing;
}

static bool is_among(struct bytes name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (bytes_eq_str(name, *names))
            return true;
    }
    return false;
}

static enum kms_status refuse_member(struct reader *r, const struct place *at, struct bytes name,
                                     const char *const *names)
{
    CLEANUP(buf_release) struct buf list = BUF_INIT(2048);
    enum { SHOWN = 64 };

    for (const char *const *n = names; *n != NULL; n++)
        buf_addf(&list, "%s%s", n == names ? "" : ", ", *n);
    struct place member = { .up = at, .name = "", .near = name.ptr };
    return seed_refuse(r->seed->file, reader_line(r, &member), reader_path(r, at), r->reterr,
                       "there is no member '%.*s' here; there are %.*s",
                       (int)(name.len < SHOWN ? name.len : SHOWN), (const char *)name.ptr,
                       BYTES_FMT(buf_bytes(&list)));
}

enum kms_status reader_object(struct reader *r, const struct place *at, struct json v,
                              const char *const *names)
{
    struct bytes name;
    struct json  member;

    if (json_type(v) != JSON_OBJECT)
        return reader_refuse(r, at, "this must be an object, { ... }");
    for (struct json_iter it = json_iterate(v); json_next(&it, &name, &member);) {
        if (bytes_eq_str(name, "Comment") && json_type(member) == JSON_STRING)
            continue;
        if (!is_among(name, names))
            return refuse_member(r, at, name, names);
    }
    return KMS_OK;
}

enum kms_status reader_string(struct reader *r, const struct place *at, struct json object,
                              const char *name, const char *required, struct bytes *ret)
{
    struct place place;
    struct json  v = reader_member(at, object, name, &place);

    *ret = (struct bytes){ NULL, 0 };
    if (v.node == NULL)
        return required == NULL ? KMS_OK
                                : reader_refuse(r, at, "%s is missing: %s", name, required);
    if (json_type(v) != JSON_STRING)
        return reader_refuse(r, &place, "this must be a string, \"...\"");
    *ret = json_string(v);
    if (ret->ptr == NULL) /* there, but empty */
        *ret = bytes_str("");
    return KMS_OK;
}

enum kms_status reader_bool(struct reader *r, const struct place *at, struct json object,
                            const char *name, bool *ret)
{
    struct place place;
    struct json  v = reader_member(at, object, name, &place);

    if (v.node == NULL)
        return KMS_OK;
    if (json_type(v) != JSON_BOOL)
        return reader_refuse(r, &place, "this must be true or false");
    *ret = json_bool(v);
    return KMS_OK;
}

enum kms_status reader_each(struct reader *r, const struct place *at, struct json object,
                            const char *name, read_fn *fn)
{
    struct place list;
    struct json  element;
    struct json  v = reader_member(at, object, name, &list);

    if (v.node == NULL)
        return KMS_OK;
    if (json_type(v) != JSON_ARRAY)
        return reader_refuse(r, &list, "this must be a list, [ ... ]");
    struct place place = { .up = &list };

    for (struct json_iter it = json_iterate(v); json_next(&it, NULL, &element); place.index++) {
        place.near = json_near(element);
        TRY(fn(r, &place, element));
    }
    return KMS_OK;
}
