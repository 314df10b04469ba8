/* query/xml.c - see xml.h. */
#include "query/xml.h"

#include <assert.h>

#include "base/encode.h"
#include "base/utf8.h"

void xml_writer_init(struct xml *w, struct buf *out)
{
    *w = (struct xml){ .out = out };
}

void xml_open_root(struct xml *w, const char *name, const char *xmlns)
{
    assert(w->depth < XML_DEPTH);
    w->names[w->depth++] = name;
    buf_add_byte(w->out, '<');
    buf_add_str(w->out, name);
    if (xmlns != NULL) {
        buf_add(w->out, BYTES_LIT(" xmlns=\""));
        buf_add_str(w->out, xmlns);
        buf_add_byte(w->out, '"');
    }
    buf_add_byte(w->out, '>');
}

void xml_open(struct xml *w, const char *name)
{
    xml_open_root(w, name, NULL);
}

void xml_close(struct xml *w)
{
    assert(w->depth > 0);
    buf_add(w->out, BYTES_LIT("</"));
    buf_add_str(w->out, w->names[--w->depth]);
    buf_add_byte(w->out, '>');
}

static const char *escape_of(uint8_t c)
{
    switch (c) {
    case '&':  return "&amp;";
    case '<':  return "&lt;";
    case '>':  return "&gt;";
    case '"':  return "&quot;";
    case '\r': return "&#xD;";
    default:   return NULL;
    }
}

/* How many bytes at the front of `in`, which is not empty, are one character that XML can write; 0 if
 * none. */
static size_t character(struct bytes in)
{
    uint8_t c = in.ptr[0];

    if (c < 0x80)
        return c >= ' ' || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
    size_t n = utf8_sequence(in);
    return c == 0xef && n == 3 && in.ptr[1] == 0xbf && in.ptr[2] >= 0xbe ? 0 : n;
}

static void add_text(struct buf *out, struct bytes in)
{
    while (in.len > 0) {
        const char *escape = escape_of(in.ptr[0]);
        size_t      n = character(in);

        if (escape != NULL)
            buf_add_str(out, escape);
        else if (n == 0)
            buf_add(out, BYTES_LIT("\xef\xbf\xbd"));
        else
            buf_add(out, bytes_of(in.ptr, n));
        n += n == 0;
        in = bytes_of(in.ptr + n, in.len - n);
    }
}

void xml_put(struct xml *w, const char *name, struct bytes value)
{
    xml_open(w, name);
    add_text(w->out, value);
    xml_close(w);
}

void xml_put_str(struct xml *w, const char *name, const char *value)
{
    xml_put(w, name, bytes_str(value));
}

void xml_put_bool(struct xml *w, const char *name, bool value)
{
    xml_put_str(w, name, value ? "true" : "false");
}

void xml_put_int(struct xml *w, const char *name, int64_t value)
{
    xml_open(w, name);
    buf_addf(w->out, "%lld", (long long)value);
    xml_close(w);
}

void xml_put_time(struct xml *w, const char *name, int64_t ms)
{
    xml_open(w, name);
    date_iso8601_add(w->out, ms);
    xml_close(w);
}

static bool unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void xml_put_encoded(struct xml *w, const char *name, struct bytes value)
{
    static const char digits[] = "0123456789ABCDEF";

    xml_open(w, name);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        uint8_t code[3] = { '%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15] };
        if (unreserved(c))
            buf_add_byte(w->out, c);
        else
            buf_add(w->out, bytes_of(code, sizeof code));
    }
    xml_close(w);
}
