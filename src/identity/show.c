/* identity/show.c - a policy document with the unique ids of principals that are gone.
 *
 * The text was read and checked when it was put, so it is JSON; here only its strings are looked
 * at, and those that are not principals stay byte for byte. A principal is a string inside the
 * Principal or NotPrincipal of a statement; statements are at depth 2 or, in a list, 3.
 */
#include "base/cleanup.h"
#include "base/encode.h"
#include "identity/internal.h"
#include "identity/principals.h"

enum { STATEMENT_DEPTH_MIN = 2, STATEMENT_DEPTH_MAX = 3 };

struct scan {
    const struct identity_book *b;
    struct bytes                lines;
    struct buf                 *out;
    unsigned                    depth;     /* of open objects and lists */
    unsigned                    principal; /* depth of the statement whose principal it is in; 0 */
};

/* A string with its quotes, off the front. */
static struct bytes take_string(struct bytes *text)
{
    struct bytes token = { NULL, 0 };
    size_t       end = 1;

    while (end < text->len && text->ptr[end] != '"')
        end += text->ptr[end] == '\\' ? 2 : 1;
    if (!bytes_take(text, end + 1, &token)) { /* not closed, so not ours */
        token = *text;
        *text = (struct bytes){ NULL, 0 };
    }
    return token;
}

static bool take_escape(struct bytes *in, uint8_t *ret)
{
    struct bytes digits;
    uint8_t      code[2];

    if (!bytes_take(in, 2, &digits))
        return false;
    *ret = digits.ptr[1];
    if (*ret != 'u')
        return *ret == '/';
    if (!bytes_take(in, 4, &digits) || !hex_read(digits, code, sizeof code) || code[0] != 0)
        return false;
    *ret = code[1];
    return true;
}

/* The text of a string that is an ARN: false for one with escapes that none needs. */
static bool unquote(struct bytes token, struct buf *ret)
{
    struct bytes in = { token.ptr + 1, token.len < 2 ? 0 : token.len - 2 };
    struct bytes byte;

    while (in.len > 0) {
        uint8_t c = in.ptr[0];
        if (c == '\\' ? !take_escape(&in, &c) : !bytes_take(&in, 1, &byte))
            return false;
        buf_add_byte(ret, c);
    }
    return buf_ok(ret);
}

static bool is_gone(const struct identity_book *b, struct bytes id)
{
    struct bytes name = id;
    struct bytes role;

    return book_identity_by_id(b, bytes_cut(&name, ':', &role) ? role : id) == NULL;
}

static void show_string(struct scan *s, struct bytes token, bool is_name)
{
    uint8_t      room[IDENTITY_ARN_MAX];
    struct buf   text = { .ptr = room, .cap = sizeof room, .limit = sizeof room };
    struct bytes id = { NULL, 0 };

    if (s->principal > 0 && !is_name && unquote(token, &text))
        id = principal_line(s->lines, buf_bytes(&text));
    if (id.len == 0 || !is_gone(s->b, id)) {
        buf_add(s->out, token);
        return;
    }
    buf_add_byte(s->out, '"');
    buf_add(s->out, id);
    buf_add_byte(s->out, '"');
}

/* Is what was read just now the name of a member? */
static bool before_colon(struct bytes text)
{
    size_t at = 0;

    while (at < text.len && memchr(" \t\r\n", text.ptr[at], 4) != NULL)
        at++;
    return at < text.len && text.ptr[at] == ':';
}

static bool names_principal(const struct scan *s, struct bytes token)
{
    uint8_t    room[sizeof "NotPrincipal"];
    struct buf name = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    return s->depth >= STATEMENT_DEPTH_MIN && s->depth <= STATEMENT_DEPTH_MAX &&
           unquote(token, &name) &&
           (bytes_eq(buf_bytes(&name), BYTES_LIT("Principal")) ||
            bytes_eq(buf_bytes(&name), BYTES_LIT("NotPrincipal")));
}

static void show_other(struct scan *s, uint8_t c)
{
    if (c == '{' || c == '[')
        s->depth++;
    if ((c == '}' || c == ']') && s->depth > 0)
        s->depth--;
    /* the next member of the statement, or its end */
    if ((c == ',' || c == '}') && s->depth <= s->principal)
        s->principal = 0;
    buf_add_byte(s->out, c);
}

static bool any_gone(const struct identity_book *b, struct bytes lines)
{
    struct bytes line;
    struct bytes name;

    while (bytes_cut(&lines, '\n', &line)) {
        if (bytes_cut(&line, ' ', &name) && is_gone(b, line))
            return true;
    }
    return false;
}

void principals_show(const struct identity_book *b, struct bytes text, struct bytes lines,
                     struct buf *out)
{
    struct scan  s = { .b = b, .lines = lines, .out = out };
    struct bytes byte;

    if (!any_gone(b, lines)) {
        buf_add(out, text);
        return;
    }
    while (text.len > 0) {
        if (text.ptr[0] != '"') {
            show_other(&s, text.ptr[0]);
            if (!bytes_take(&text, 1, &byte))
                return;
            continue;
        }
        struct bytes token = take_string(&text);
        bool         is_name = before_colon(text);
        show_string(&s, token, is_name);
        if (is_name && names_principal(&s, token))
            s.principal = s.depth;
    }
}
