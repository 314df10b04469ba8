/* authz/pattern.c - texts with wildcards and policy variables.
 *
 * A pattern falls into pieces between its '*'. The first piece stands at the beginning of the text,
 * the last at its end, and each one between is taken where it occurs first: a later occurrence
 * never helps, so nothing is ever tried again. Pieces without '?' are found by memmem, whose cost
 * is linear; a piece with '?' is compared at each place, and the steps of the evaluation bound that.
 */
#include <string.h>

#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum { VARIABLES_MAX = 16, STEP_BYTES = 8 /* compared at the cost of one step */ };

/* --- compiling -------------------------------------------------------------------------------- */

struct pattern_maker {
    struct arena   *arena;
    unsigned        flags;
    uint8_t        *out;
    size_t          len;
    struct variable variables[VARIABLES_MAX];
    size_t          n_variables;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static struct bytes trim(struct bytes in)
{
    while (in.len > 0 && in.ptr[0] == ' ') {
        in.ptr++;
        in.len--;
    }
    while (in.len > 0 && in.ptr[in.len - 1] == ' ')
        in.len--;
    return in;
}

/* ${*}, ${?} and ${$} are the characters themselves. */
static bool is_escape(struct bytes name)
{
    return name.len == 1 && (name.ptr[0] == '*' || name.ptr[0] == '?' || name.ptr[0] == '$');
}

/* What stands between ${ and }: a key, or a key and 'a fallback'. */
static enum kms_status add_variable(struct pattern_maker *m, struct bytes inside,
                                    struct kms_error *reterr)
{
    struct bytes name;
    struct bytes rest = inside;

    if (is_escape(inside)) {
        m->out[m->len++] = inside.ptr[0];
        return KMS_OK;
    }
    if (m->n_variables == VARIABLES_MAX)
        return KMS_REFUSE(reterr, KMS_E_POLICY,
                          "A value in the policy has more than %d policy variables.",
                          VARIABLES_MAX);
    struct variable *v = &m->variables[m->n_variables++];
    *v = (struct variable){ 0 };
    if (bytes_cut(&rest, ',', &name)) {
        rest = trim(rest);
        if (rest.len < 2 || rest.ptr[0] != '\'' || rest.ptr[rest.len - 1] != '\'')
            return KMS_REFUSE(reterr, KMS_E_POLICY,
                              "The default value of a policy variable is not in single quotes.");
        v->has_fallback = true;
        v->fallback = arena_copy(m->arena, bytes_of(rest.ptr + 1, rest.len - 2));
    } else {
        name = inside;
    }
    v->key = condition_key_find(trim(name));
    v->key.name = arena_copy(m->arena, v->key.name);
    m->out[m->len++] = PATTERN_VARIABLE;
    return KMS_OK;
}

static enum kms_status add_text(struct pattern_maker *m, struct bytes text,
                                struct kms_error *reterr)
{
    while (text.len > 0) {
        uint8_t c = text.ptr[0];
        if ((m->flags & PATTERN_VARIABLES) != 0 && bytes_starts(text, BYTES_LIT("${"))) {
            struct bytes inside;
            text = bytes_of(text.ptr + 2, text.len - 2);
            if (!bytes_cut(&text, '}', &inside))
                return KMS_REFUSE(reterr, KMS_E_POLICY,
                                  "A policy variable is not closed with a brace.");
            TRY(add_variable(m, inside, reterr));
            continue;
        }
        if ((m->flags & PATTERN_WILD) != 0 && c == '*') {
            if (m->len == 0 || m->out[m->len - 1] != PATTERN_ANY)
                m->out[m->len++] = PATTERN_ANY;
        } else if ((m->flags & PATTERN_WILD) != 0 && c == '?') {
            m->out[m->len++] = PATTERN_ONE;
        } else {
            m->out[m->len++] = (m->flags & PATTERN_LOWER) != 0 ? lower(c) : c;
        }
        text = bytes_of(text.ptr + 1, text.len - 1);
    }
    return KMS_OK;
}

static bool has_byte(struct bytes in, int c)
{
    return in.len > 0 && memchr(in.ptr, c, in.len) != NULL;
}

static enum pattern_kind kind_of(struct bytes *text)
{
    bool         open = text->len > 0 && text->ptr[text->len - 1] == PATTERN_ANY;
    struct bytes head = bytes_of(text->ptr, text->len - (open ? 1 : 0));

    if (has_byte(head, PATTERN_ANY) || has_byte(head, PATTERN_ONE) ||
        has_byte(head, PATTERN_VARIABLE))
        return PATTERN_GLOB;
    *text = head;
    return open ? PATTERN_PREFIX : PATTERN_EXACT;
}

enum kms_status pattern_compile(struct arena *arena, struct bytes text, unsigned flags,
                                struct pattern *ret, struct kms_error *reterr)
{
    struct pattern_maker m = { .arena = arena, .flags = flags };

    m.out = arena_alloc(arena, text.len + 1); /* nothing gets longer */
    TRY(add_text(&m, text, reterr));
    ret->text = bytes_of(m.out, m.len);
    ret->kind = kind_of(&ret->text);
    ret->n_variables = m.n_variables;
    ret->variables = NULL;
    if (m.n_variables > 0) {
        size_t size = m.n_variables * sizeof m.variables[0];
        ret->variables = arena_alloc(arena, size);
        memcpy(ret->variables, m.variables, size);
    }
    return KMS_OK;
}

/* --- matching --------------------------------------------------------------------------------- */

/* Bytes of the UTF-16 unit that begins here: a character beyond U+FFFF has two, of two bytes each
 * in this count. 0 if none begins here. */
static size_t unit_at(struct bytes text, size_t at)
{
    size_t  n = 0;
    uint8_t c = text.ptr[at];

    if (c < 0x80)
        n = 1;
    else if (c >= 0xF0 || (c < 0xC0 && at >= 2 && text.ptr[at - 2] >= 0xF0))
        n = 2;
    else if (c >= 0xC0)
        n = c >= 0xE0 ? 3 : 2;
    return n <= text.len - at ? n : 0;
}

/* Bytes of the unit that ends before `at`. */
static size_t unit_before(struct bytes text, size_t at)
{
    for (size_t n = 1; n <= 3 && n <= at; n++) {
        if (unit_at(text, at - n) == n)
            return n;
    }
    return 0;
}

static const size_t no_match = SIZE_MAX;

/* Where the piece ends if it begins at `at`. */
static size_t piece_at(struct evaluation *ev, struct bytes piece, struct bytes text, size_t at)
{
    for (size_t i = 0; i < piece.len; i++) {
        if (at == text.len)
            return no_match;
        size_t n = piece.ptr[i] == PATTERN_ONE ? unit_at(text, at) : text.ptr[at] == piece.ptr[i];
        if (n == 0 || !spend(ev, 1))
            return no_match;
        at += n;
    }
    return at;
}

/* Where the piece begins if it ends with the text and begins at `from` or later. */
static size_t piece_at_end(struct evaluation *ev, struct bytes piece, struct bytes text,
                           size_t from)
{
    size_t at = text.len;

    for (size_t i = piece.len; i-- > 0;) {
        if (at == from)
            return no_match;
        size_t n = piece.ptr[i] == PATTERN_ONE ? unit_before(text, at)
                                               : text.ptr[at - 1] == piece.ptr[i];
        if (n == 0 || n > at - from || !spend(ev, 1))
            return no_match;
        at -= n;
    }
    return at;
}

/* Where the first occurrence at `from` or later ends. */
static size_t piece_after(struct evaluation *ev, struct bytes piece, struct bytes text, size_t from)
{
    if (!has_byte(piece, PATTERN_ONE)) {
        if (piece.len > text.len - from)
            return no_match;
        const uint8_t *hit = memmem(text.ptr + from, text.len - from, piece.ptr, piece.len);
        size_t         end = hit == NULL ? text.len : (size_t)(hit - text.ptr) + piece.len;
        return spend(ev, 2 + (end - from) / STEP_BYTES) && hit != NULL ? end : no_match;
    }
    for (size_t at = from; at <= text.len && spend(ev, 1); at++) {
        size_t end = piece_at(ev, piece, text, at);
        if (end != no_match)
            return end;
    }
    return no_match;
}

static bool glob(struct evaluation *ev, struct bytes pattern, struct bytes text)
{
    struct bytes rest = pattern;
    struct bytes piece;

    if (!bytes_cut(&rest, PATTERN_ANY, &piece))
        return piece_at(ev, pattern, text, 0) == text.len;
    size_t at = piece_at(ev, piece, text, 0);
    while (at != no_match && bytes_cut(&rest, PATTERN_ANY, &piece))
        at = piece_after(ev, piece, text, at);
    return at != no_match && piece_at_end(ev, rest, text, at) != no_match;
}

static bool append(struct evaluation *ev, size_t *len, struct bytes in)
{
    if (in.len > sizeof ev->expanded - *len) {
        ev->unsure = true;
        return false;
    }
    if (in.len > 0)
        memcpy(ev->expanded + *len, in.ptr, in.len);
    *len += in.len;
    return true;
}

/* Does a request's value look like one of our marks? Only a header that is no UTF-8 does. */
static bool has_marks(struct bytes in)
{
    return has_byte(in, PATTERN_ANY) || has_byte(in, PATTERN_ONE) || has_byte(in, PATTERN_VARIABLE);
}

bool pattern_expand(struct evaluation *ev, const struct pattern *p, struct bytes *ret)
{
    size_t len = 0;
    size_t next = 0;

    for (size_t i = 0; i < p->text.len; i++) {
        struct bytes part = bytes_of(p->text.ptr + i, 1);
        char         room[CONDITION_ROOM];
        if (part.ptr[0] == PATTERN_VARIABLE) {
            const struct variable *v = &p->variables[next++];
            if (condition_key_many(v->key.id))
                return false;
            if (!ask(ev, &v->key, 0, room, &part)) {
                if (!v->has_fallback)
                    return false;
                part = v->fallback;
            }
            if (has_marks(part))
                return false;
        }
        if (!spend(ev, 1 + part.len / STEP_BYTES) || !append(ev, &len, part))
            return false;
    }
    *ret = bytes_of(ev->expanded, len);
    return true;
}

bool pattern_matches(struct evaluation *ev, const struct pattern *p, struct bytes text)
{
    struct bytes pattern = p->text;

    if (!spend(ev, 1 + p->text.len / STEP_BYTES))
        return false;
    if (p->kind == PATTERN_EXACT)
        return bytes_eq(p->text, text);
    if (p->kind == PATTERN_PREFIX)
        return bytes_starts(text, p->text);
    if (p->n_variables > 0 && !pattern_expand(ev, p, &pattern))
        return false;
    return glob(ev, pattern, text);
}

enum { ARN_PARTS = 6 };

/* "arn:partition:service:region:account:resource"; colons in the resource are its own. */
static bool split_arn(struct bytes in, struct bytes ret[ARN_PARTS])
{
    for (size_t i = 0; i < ARN_PARTS - 1; i++) {
        if (!bytes_cut(&in, ':', &ret[i]))
            return false;
    }
    ret[ARN_PARTS - 1] = in;
    return true;
}

bool pattern_matches_arn(struct evaluation *ev, const struct pattern *p, struct bytes text)
{
    struct bytes pattern = p->text;
    struct bytes open[ARN_PARTS]; /* of the pattern */
    struct bytes parts[ARN_PARTS];

    if (!split_arn(text, parts) || !spend(ev, 1 + p->text.len / STEP_BYTES))
        return false;
    if (p->kind == PATTERN_EXACT)
        return bytes_eq(p->text, text);
    if (p->kind == PATTERN_PREFIX) /* "*", or one that reaches into the last part */
        return bytes_starts(text, p->text);
    if (p->n_variables > 0 && !pattern_expand(ev, p, &pattern))
        return false;
    if (!split_arn(pattern, open))
        return false;
    for (size_t i = 0; i < ARN_PARTS; i++) {
        if (!glob(ev, open[i], parts[i]))
            return false;
    }
    return true;
}
