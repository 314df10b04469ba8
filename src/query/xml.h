/* query/xml.h - a small XML writer onto a struct buf: elements with text, no attributes but the
 * namespace of the root.
 *
 * Text is escaped (XML 1.0 section 2.4) and what cannot stand in XML is written as U+FFFD. Carriage
 * returns become "&#xD;", since readers would turn them into line feeds. Names are constants of ours.
 */
#pragma once

#include "base/buf.h"

enum { XML_DEPTH = 16 }; /* open elements */

struct xml {
    struct buf *out;
    unsigned    depth;
    const char *names[XML_DEPTH];
    const char *action; /* of the answer that this is: query/answer.h */
    bool        has_result;
};

void xml_writer_init(struct xml *w, struct buf *out);
/* Opening an element, and closing the innermost one. `xmlns` may be NULL. */
void xml_open(struct xml *w, const char *name);
void xml_open_root(struct xml *w, const char *name, const char *xmlns);
void xml_close(struct xml *w);

void xml_put(struct xml *w, const char *name, struct bytes value);
void xml_put_str(struct xml *w, const char *name, const char *value);
void xml_put_bool(struct xml *w, const char *name, bool value);
void xml_put_int(struct xml *w, const char *name, int64_t value);
/* Milliseconds since the epoch as "2026-11-21T17:45:01Z". */
void xml_put_time(struct xml *w, const char *name, int64_t ms);
/* Text percent-encoded as RFC 3986 says: how IAM answers with policy documents. */
void xml_put_encoded(struct xml *w, const char *name, struct bytes value);
