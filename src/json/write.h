/* json/write.h - a small JSON writer onto a struct buf.
 *
 * Commas and nesting are kept by the writer; member order is the order of calls. Strings are escaped
 * per RFC 8259; invalid UTF-8 (only possible in text that did not come through json/read.h) is
 * written as U+FFFD. `lower_first` writes every member name with its first letter in lower case, as
 * CloudTrail does with request parameters.
 */
#pragma once

#include "base/buf.h"
#include "json/read.h"

enum { JSON_WRITE_DEPTH = 16 }; /* open objects and arrays */

struct json_writer {
    struct buf *out;
    unsigned    depth;
    bool        lower_first;
    bool        empty[JSON_WRITE_DEPTH + 1]; /* nothing written yet at this depth */
};

void json_writer_init(struct json_writer *w, struct buf *out);

/* Structure. A name without bytes is none: at the root and for elements of arrays. The functions called
 * json_put_... below are these with the name as text. */
void json_add_object(struct json_writer *w, struct bytes name);
void json_close_object(struct json_writer *w);
void json_add_array(struct json_writer *w, struct bytes name);
void json_close_array(struct json_writer *w);

void json_add_string(struct json_writer *w, struct bytes name, struct bytes value);
/* A member whose name is not a constant (encryption contexts, tags): escaped like a value, and as it
 * is also with lower_first, which is about our own names. */
void json_put_pair(struct json_writer *w, struct bytes name, struct bytes value);
void json_add_bool(struct json_writer *w, struct bytes name, bool value);
void json_add_int(struct json_writer *w, struct bytes name, int64_t value);
void json_add_null(struct json_writer *w, struct bytes name);
void json_add_base64(struct json_writer *w, struct bytes name, struct bytes value);
void json_add_hex(struct json_writer *w, struct bytes name, struct bytes value);
/* Seconds since the epoch with millisecond fraction, as KMS writes times: 1499288695.918; whole seconds
 * end in ".0", other fractions carry no needless zeros (kms-behaviour 1.1). */
void json_add_time(struct json_writer *w, struct bytes name, int64_t ms);
/* "2026-11-21T17:45:01Z" */
void json_add_date(struct json_writer *w, struct bytes name, int64_t ms);
/* Already valid JSON, written as it is. */
void json_add_raw(struct json_writer *w, struct bytes name, struct bytes json);
/* A value that was read, with all that is in it, but for object members called `leave_out` (NULL: none).
 * False, and nothing good is written, if it is nested deeper than the writer goes. */
KMS_MUST_CHECK bool json_add_value(struct json_writer *w, struct bytes name, struct json value,
                                   const char *leave_out);

/* Without a writer, for what is written all the time in one form: a string value ... */
void json_append_text(struct buf *out, struct bytes in);
/* ... and with `before` as it is in front of it. Inline, so that a literal is copied without a call. */
static inline void json_append_string(struct buf *out, struct bytes before, struct bytes value)
{
    buf_add(out, before);
    json_append_text(out, value);
}

/* Copies a JSON text made by this writer with the first letter of every member name in lower case, as
 * CloudTrail shows answers: they are written once, for the client. Only for texts whose names are all
 * ours. */
void json_lower_names(struct buf *out, struct bytes json);

/* --- with names as text: NULL for none -----------------------------------------------------------
 *
 * Inline, so that the length of a literal is known where it stands: nobody counts it at run time. */

static inline void json_open_object(struct json_writer *w, const char *name)
{
    json_add_object(w, bytes_str(name));
}

static inline void json_open_array(struct json_writer *w, const char *name)
{
    json_add_array(w, bytes_str(name));
}

static inline void json_put_string(struct json_writer *w, const char *name, struct bytes value)
{
    json_add_string(w, bytes_str(name), value);
}

static inline void json_put_str(struct json_writer *w, const char *name, const char *value)
{
    json_add_string(w, bytes_str(name), bytes_str(value));
}

static inline void json_put_bool(struct json_writer *w, const char *name, bool value)
{
    json_add_bool(w, bytes_str(name), value);
}

static inline void json_put_int(struct json_writer *w, const char *name, int64_t value)
{
    json_add_int(w, bytes_str(name), value);
}

static inline void json_put_null(struct json_writer *w, const char *name)
{
    json_add_null(w, bytes_str(name));
}

static inline void json_put_base64(struct json_writer *w, const char *name, struct bytes value)
{
    json_add_base64(w, bytes_str(name), value);
}

static inline void json_put_hex(struct json_writer *w, const char *name, struct bytes value)
{
    json_add_hex(w, bytes_str(name), value);
}

static inline void json_put_time(struct json_writer *w, const char *name, int64_t ms)
{
    json_add_time(w, bytes_str(name), ms);
}

static inline void json_put_date(struct json_writer *w, const char *name, int64_t ms)
{
    json_add_date(w, bytes_str(name), ms);
}

static inline void json_put_raw(struct json_writer *w, const char *name, struct bytes json)
{
    json_add_raw(w, bytes_str(name), json);
}

KMS_MUST_CHECK static inline bool json_put_value(struct json_writer *w, const char *name,
                                                 struct json value, const char *leave_out)
{
    return json_add_value(w, bytes_str(name), value, leave_out);
}
