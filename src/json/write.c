/* json/write.c - see write.h. Once per answer and per audit record: no printf, no allocation of its
 * own, member names copied as they are. */
#include "json/write.h"

#include <assert.h>

#include "base/encode.h"
#include "base/utf8.h"

#define NO_NAME ((struct bytes){ NULL, 0 })

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){ .out = out };
    w->empty[0] = true;
}

/* Comma, name and colon, and room for `extra` bytes of a value: where they begin, or NULL if there is
 * no room. The writer takes them in with finish(). Our own names need no escaping. */
static inline uint8_t *begin(struct json_writer *w, struct bytes name, size_t extra)
{
    bool   comma = !w->empty[w->depth];
    size_t need = extra + comma + (name.ptr != NULL ? name.len + 3 : 0);

    w->empty[w->depth] = false;
    if (!buf_reserve(w->out, need) || w->out->ptr == NULL)
        return NULL;
    uint8_t *to = w->out->ptr + w->out->len;
    if (comma)
        *to++ = ',';
    if (name.ptr == NULL)
        return to;
    *to++ = '"';
    memcpy(to, name.ptr, name.len);
    if (w->lower_first && to[0] >= 'A' && to[0] <= 'Z')
        to[0] = (uint8_t)(to[0] + 'a' - 'A');
    to += name.len;
    *to++ = '"';
    *to++ = ':';
    return to;
}

static void finish(struct json_writer *w, const uint8_t *to)
{
    w->out->len = (size_t)(to - w->out->ptr);
}

/* What needs no escaping, as it is. */
static void put_plain(struct json_writer *w, struct bytes name, struct bytes value)
{
    uint8_t *to = begin(w, name, value.len);

    if (to == NULL)
        return;
    if (value.len > 0)
        memcpy(to, value.ptr, value.len);
    finish(w, to + value.len);
}

/* The name; at least one byte of value follows. */
static void put_name(struct json_writer *w, struct bytes name)
{
    uint8_t *to = begin(w, name, 1);

    if (to != NULL)
        finish(w, to);
}

static void open_container(struct json_writer *w, struct bytes name, bool object)
{
    put_plain(w, name, object ? BYTES_LIT("{") : BYTES_LIT("["));
    assert(w->depth < JSON_WRITE_DEPTH);
    w->empty[++w->depth] = true;
}

static void close_container(struct json_writer *w, uint8_t bracket)
{
    assert(w->depth > 0);
    w->depth--;
    buf_add_byte(w->out, bracket);
}

void json_add_object(struct json_writer *w, struct bytes name)
{
    open_container(w, name, true);
}

void json_close_object(struct json_writer *w)
{
    close_container(w, '}');
}

void json_add_array(struct json_writer *w, struct bytes name)
{
    open_container(w, name, false);
}

void json_close_array(struct json_writer *w)
{
    close_container(w, ']');
}

static bool plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Are eight bytes all plain? A byte that is not leaves its highest bit set: it has it, or it is less
 * than what is taken from it. (A borrow may set the one above, too, but only if there is one.) */
static bool plain_word(uint64_t v)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t       control = v - each * ' ';
    uint64_t       quote = (v ^ each * '"') - each;
    uint64_t       backslash = (v ^ each * '\\') - each;
    return ((v | control | quote | backslash) & each * 0x80) == 0;
}

/* Sixteen bytes in the vectors of GNU C, where a comparison gives 0 or all bits: which are not plain?
 * They are signed, so those from 0x80 on are below ' '. */
typedef int8_t   chars __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static halves copy_vector(uint8_t *to, const uint8_t *from)
{
    chars c;

    memcpy(&c, from, sizeof c);
    memcpy(to, &c, sizeof c);
    return (halves)((c < ' ') | (c == '"') | (c == '\\'));
}

static bool copy_short(uint8_t *to, struct bytes in)
{
    size_t at = 0;

    if (in.len >= sizeof(uint64_t)) { /* the second word begins inside the first */
        uint64_t words[2];
        memcpy(&words[0], in.ptr, sizeof words[0]);
        memcpy(&words[1], in.ptr + in.len - sizeof words[1], sizeof words[1]);
        memcpy(to, &words[0], sizeof words[0]);
        memcpy(to + in.len - sizeof words[1], &words[1], sizeof words[1]);
        return plain_word(words[0]) && plain_word(words[1]);
    }
    if (in.len >= sizeof(uint32_t)) { /* likewise */
        uint32_t parts[2];
        memcpy(&parts[0], in.ptr, sizeof parts[0]);
        memcpy(&parts[1], in.ptr + in.len - sizeof parts[1], sizeof parts[1]);
        memcpy(to, &parts[0], sizeof parts[0]);
        memcpy(to + in.len - sizeof parts[1], &parts[1], sizeof parts[1]);
        return plain_word((uint64_t)parts[0] << 32 | parts[1]);
    }
    for (; at < in.len && plain(in.ptr[at]); at++)
        to[at] = in.ptr[at];
    return at == in.len;
}

/* Copies a text that needs no escaping: most are such, and looking at it while it is copied costs little.
 * False if it has something to escape, and then what is at `to` is good for nothing. */
static bool copy_plain(uint8_t *to, struct bytes in)
{
    if (in.len < sizeof(chars))
        return copy_short(to, in);
    size_t last = in.len - sizeof(chars); /* the last vector begins inside the one before */
    halves other = copy_vector(to + last, in.ptr + last);
    for (size_t at = 0; at < last; at += sizeof(chars))
        other |= copy_vector(to + at, in.ptr + at);
    return (other[0] | other[1]) == 0;
}

static void add_escape(struct buf *out, uint8_t c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
    char              text[6] = { '\\', 'u', '0', '0' };

    for (size_t i = 0; i + 1 < sizeof short_forms; i += 2) {
        if (c == (uint8_t)short_forms[i]) {
            text[1] = short_forms[i + 1];
            buf_add(out, bytes_of(text, 2));
            return;
        }
    }
    hex_write(text + 4, bytes_of(&c, 1));
    buf_add(out, bytes_of(text, sizeof text));
}

/* Some readers end a line at U+0085, U+2028 or U+2029 too, and some terminals obey C1 controls and turn
 * round what follows U+202A to U+202E: a client's text must not look like a record of its own. */
static bool must_escape(struct bytes sequence)
{
    return (sequence.ptr[0] == 0xc2 && sequence.ptr[1] < 0xa0) ||
           (sequence.ptr[0] == 0xe2 && sequence.ptr[1] == 0x80 && sequence.ptr[2] >= 0xa8 &&
            sequence.ptr[2] <= 0xae);
}

static void add_long_escape(struct buf *out, struct bytes sequence)
{
    bool    two = sequence.len == 2;
    uint8_t code[2] = { two ? 0x00 : 0x20, two ? sequence.ptr[1] : sequence.ptr[2] & 0x3f };

    buf_add(out, BYTES_LIT("\\u"));
    hex_add(out, bytes_of(code, sizeof code));
}

__attribute__((cold, noinline)) static void add_escaped(struct buf *out, struct bytes in)
{
    buf_add_byte(out, '"');
    while (in.len > 0) {
        size_t run = 0;
        while (run < in.len && plain(in.ptr[run]))
            run++;
        struct bytes head = { in.ptr, run };
        buf_add(out, head);
        in = bytes_of(in.ptr + run, in.len - run);
        if (in.len == 0)
            break;
        size_t used = 1;
        if (in.ptr[0] < 0x80) {
            add_escape(out, in.ptr[0]);
        } else if (utf8_sequence(in) > 0) {
            used = utf8_sequence(in);
            struct bytes sequence = bytes_of(in.ptr, used);
            if (must_escape(sequence))
                add_long_escape(out, sequence);
            else
                buf_add(out, sequence);
        } else {
            buf_add(out, BYTES_LIT("\xef\xbf\xbd"));
        }
        in = bytes_of(in.ptr + used, in.len - used);
    }
    buf_add_byte(out, '"');
}

void json_append_text(struct buf *out, struct bytes in)
{
    if (!buf_reserve(out, in.len + 2))
        return;
    uint8_t *to = out->ptr + out->len;
    to[0] = '"';
    if (!copy_plain(to + 1, in)) {
        add_escaped(out, in);
        return;
    }
    to[in.len + 1] = '"';
    out->len += in.len + 2;
}

void json_add_string(struct json_writer *w, struct bytes name, struct bytes value)
{
    put_name(w, name);
    json_append_text(w->out, value);
}

void json_put_pair(struct json_writer *w, struct bytes name, struct bytes value)
{
    put_name(w, NO_NAME);
    json_append_text(w->out, name);
    buf_add_byte(w->out, ':');
    json_append_text(w->out, value);
}

void json_add_bool(struct json_writer *w, struct bytes name, bool value)
{
    put_plain(w, name, value ? BYTES_LIT("true") : BYTES_LIT("false"));
}

/* The magnitude of a negative number; INT64_MIN has no positive counterpart. */
static uint64_t magnitude(int64_t v)
{
    return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
}

/* A number with what follows it. */
static void put_number(struct json_writer *w, struct bytes name, bool negative, uint64_t v,
                       struct bytes fraction)
{
    put_name(w, name);
    if (negative)
        buf_add_byte(w->out, '-');
    buf_add_decimal(w->out, v);
    buf_add(w->out, fraction);
}

void json_add_int(struct json_writer *w, struct bytes name, int64_t value)
{
    put_number(w, name, value < 0, magnitude(value), BYTES_LIT(""));
}

void json_add_null(struct json_writer *w, struct bytes name)
{
    put_plain(w, name, BYTES_LIT("null"));
}

void json_add_base64(struct json_writer *w, struct bytes name, struct bytes value)
{
    put_plain(w, name, BYTES_LIT("\""));
    base64_add(w->out, value);
    buf_add_byte(w->out, '"');
}

void json_add_hex(struct json_writer *w, struct bytes name, struct bytes value)
{
    put_plain(w, name, BYTES_LIT("\""));
    hex_add(w->out, value);
    buf_add_byte(w->out, '"');
}

void json_add_time(struct json_writer *w, struct bytes name, int64_t ms)
{
    uint64_t m = magnitude(ms);
    unsigned part = (unsigned)(m % 1000);
    char     fraction[4] = { '.', (char)('0' + part / 100), (char)('0' + part / 10 % 10),
                             (char)('0' + part % 10) };
    size_t   len = sizeof fraction;

    while (len > 2 && fraction[len - 1] == '0')
        len--;
    put_number(w, name, ms < 0, m / 1000, bytes_of(fraction, len));
}

void json_add_date(struct json_writer *w, struct bytes name, int64_t ms)
{
    put_plain(w, name, BYTES_LIT("\""));
    date_iso8601_add(w->out, ms);
    buf_add_byte(w->out, '"');
}

void json_add_raw(struct json_writer *w, struct bytes name, struct bytes json)
{
    put_plain(w, name, json);
}

/* The position after the string that begins at `at` (a quote). */
static size_t string_end(struct bytes json, size_t at)
{
    for (at++; at < json.len && json.ptr[at] != '"'; at++) {
        if (json.ptr[at] == '\\')
            at++;
    }
    return at < json.len ? at + 1 : json.len;
}

void json_lower_names(struct buf *out, struct bytes json)
{
    size_t at = 0;

    while (at < json.len) {
        size_t end = json.ptr[at] == '"' ? string_end(json, at) : at + 1;
        bool   name = end - at > 2 && end < json.len && json.ptr[end] == ':' && json.ptr[at] == '"';
        size_t start = out->len;
        buf_add(out, bytes_of(json.ptr + at, end - at));
        if (name && buf_ok(out) && json.ptr[at + 1] >= 'A' && json.ptr[at + 1] <= 'Z')
            out->ptr[start + 1] = (uint8_t)(json.ptr[at + 1] + 'a' - 'A');
        at = end;
    }
}

/* --- what was read ---------------------------------------------------------------------------- */

/* In JSON's own form, which is read again as the same number. */
static void put_real(struct json_writer *w, struct bytes name, double value)
{
    put_name(w, name);
    buf_addf(w->out, "%.17g", value);
    if (value > -1e15 && value < 1e15 && value == (double)(int64_t)value)
        buf_add_str(w->out, ".0"); /* %g leaves it out, and it would be an integer */
}

static void put_scalar(struct json_writer *w, struct bytes name, struct json v)
{
    int64_t number = 0;

    switch (json_type(v)) {
    case JSON_STRING: json_add_string(w, name, json_string(v)); break;
    case JSON_BOOL:   json_add_bool(w, name, json_bool(v)); break;
    case JSON_INT:
        if (json_int(v, &number))
            json_add_int(w, name, number);
        else
            put_real(w, name, json_number(v));
        break;
    case JSON_REAL:   put_real(w, name, json_number(v)); break;
    case JSON_NULL:   json_add_null(w, name); break;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
}

static bool is_container(struct json v)
{
    return json_type(v) == JSON_OBJECT || json_type(v) == JSON_ARRAY;
}

/* The name of a member; what follows is written as if it were the first of its container. */
static void put_member(struct json_writer *w, struct bytes name)
{
    put_name(w, NO_NAME);
    json_append_text(w->out, name);
    buf_add_byte(w->out, ':');
    w->empty[w->depth] = true;
}

static bool next_value(struct json_iter *it, const char *leave_out, struct bytes *ret_name,
                       struct json *ret)
{
    do {
        if (!json_next(it, ret_name, ret))
            return false;
    } while (leave_out != NULL && it->object && bytes_eq_str(*ret_name, leave_out));
    return true;
}

static struct json_iter open_value(struct json_writer *w, struct bytes name, struct json v)
{
    open_container(w, name, json_type(v) == JSON_OBJECT);
    return json_iterate(v);
}

bool json_add_value(struct json_writer *w, struct bytes name, struct json value,
                    const char *leave_out)
{
    struct json_iter open[JSON_WRITE_DEPTH];
    size_t           depth = 0;
    struct bytes     member = { NULL, 0 };
    struct json      v = value;

    if (!is_container(v)) {
        put_scalar(w, name, v);
        return true;
    }
    if (w->depth == JSON_WRITE_DEPTH)
        return false;
    open[depth++] = open_value(w, name, v);
    for (;;) {
        while (!next_value(&open[depth - 1], leave_out, &member, &v)) {
            close_container(w, open[--depth].object ? '}' : ']');
            if (depth == 0)
                return true;
        }
        if (open[depth - 1].object)
            put_member(w, member);
        if (!is_container(v))
            put_scalar(w, NO_NAME, v);
        else if (w->depth == JSON_WRITE_DEPTH)
            return false;
        else
            open[depth++] = open_value(w, NO_NAME, v);
    }
}
